/*
 * Error codes to exit codes, by sysexits.h, and the form of an error's line.
 */
#include "client/complaint.h"

#include <langinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "client/text.h"

static void
print_line (const struct reel_buf *line)
{
    struct reel_buf safe = {0};
    reel_buf_add_text (&safe, "reel: ");
    (void) reel_text_add (&safe, reel_buf_slice (line), strcmp (nl_langinfo (CODESET), "UTF-8") == 0);
    reel_buf_add_byte (&safe, '\n');
    if (reel_buf_status (&safe) == REEL_OK && reel_buf_status (line) == REEL_OK)
        (void) fwrite (safe.data, 1, safe.len, stderr);
    else
        (void) fputs ("reel: out of memory\n", stderr);
    reel_buf_free (&safe);
}

void
reel_complain (const char *format, ...)
{
    char message[2 * REEL_ERROR_MESSAGE_BYTES];
    struct reel_buf line = {0};
    va_list args;
    va_start (args, format);
    (void) vsnprintf (message, sizeof message, format, args);
    va_end (args);
    reel_buf_add_text (&line, message);
    print_line (&line);
    reel_buf_free (&line);
}

static void
complain_in_form (const char *subject, const char *code, const char *reason, const char *path, const char *message)
{
    struct reel_buf line = {0};
    if (subject)
        reel_buf_printf (&line, "%s: ", subject);
    reel_buf_add_text (&line, code);
    if (reason[0] != '\0')
        reel_buf_printf (&line, "/%s", reason);
    if (path[0] != '\0')
        reel_buf_printf (&line, " at %s", path);
    reel_buf_printf (&line, ": %s", message);
    print_line (&line);
    reel_buf_free (&line);
}

struct refusal {
    const char *code;
    int exit_code;
};

/* The broker's codes; what is not here is the broker's own trouble. */
static const struct refusal refusals[] = {
    {"malformed", EX_DATAERR},        {"invalid_workflow", EX_DATAERR}, {"too_large", EX_DATAERR},
    {"conflict", EX_DATAERR},         {"bad_state", EX_DATAERR},        {"unknown_workflow", EX_NOINPUT},
    {"unknown_step", EX_NOINPUT},     {"not_finished", EX_TEMPFAIL},    {"overloaded", EX_TEMPFAIL},
    {"draining", EX_TEMPFAIL},        {"forbidden", EX_NOPERM},         {"unsupported_version", EX_PROTOCOL},
    {"unknown_command", EX_PROTOCOL},
};

int
reel_exit_code (enum reel_client_status status, const char *code)
{
    switch (status) {
    case REEL_CLIENT_OK:
    case REEL_CLIENT_END: return EX_OK;
    case REEL_CLIENT_UNREACHABLE: return EX_UNAVAILABLE;
    case REEL_CLIENT_TIMEOUT: return EX_TEMPFAIL;
    case REEL_CLIENT_PROTOCOL: return EX_PROTOCOL;
    case REEL_CLIENT_INTERRUPTED: return REEL_EXIT_INTERRUPTED;
    case REEL_CLIENT_INVALID: return strcmp (code, "id_conflict") == 0 ? EX_DATAERR : EX_USAGE;
    case REEL_CLIENT_NO_MEMORY:
    case REEL_CLIENT_SYSTEM: return EX_OSERR;
    case REEL_CLIENT_REFUSED: break;
    }
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (strcmp (code, refusals[i].code) == 0)
            return refusals[i].exit_code;
    return EX_SOFTWARE;
}

int
reel_complain_client (const char *subject, enum reel_client_status status, const struct reel_client_error *error)
{
    complain_in_form (subject, error->code, error->reason, error->path, error->message);
    return reel_exit_code (status, error->code);
}

int
reel_complain_document (const char *subject, const char *code, enum reel_status status, const struct reel_error *err)
{
    REEL_ASSERT (status != REEL_OK);
    if (status == REEL_NO_MEMORY) {
        reel_complain ("%s: out of memory", subject);
        return EX_OSERR;
    }
    if (code)
        complain_in_form (subject, code, err->code, err->path, err->message);
    else
        complain_in_form (subject, err->code, "", err->path, err->message);
    return EX_DATAERR;
}
