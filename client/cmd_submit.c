/*
 * reel submit: from files to the broker, and from there to their ends.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/await.h"
#include "client/commands.h"
#include "client/input.h"
#include "client/submission.h"
#include "client/watching.h"
#include "proto/json.h"
#include "proto/pack.h"
#include "proto/scan.h"

enum { WATCH = REEL_SESSION_OPTION_COUNT, WAIT, ID, PRIORITY, PROVENANCE, OPTION_COUNT };

static const struct reel_option table[] = {
    REEL_SESSION_OPTIONS,
    [WATCH] = {.name = "watch",
               .letter = 'w',
               .type = REEL_OPTION_FLAG,
               .help = "Follow to the end: events, then receipts"},
    [WAIT] = {.name = "wait", .type = REEL_OPTION_FLAG, .help = "Wait for the final receipts"},
    [ID] = {.name = "id",
            .type = REEL_OPTION_TEXT,
            .argument = "ID",
            .help = "The workflow_id for a document without one (a new UUIDv7 otherwise)"},
    [PRIORITY] = {.name = "priority",
                  .type = REEL_OPTION_TEXT,
                  .argument = "N",
                  .help = "Higher ones first; may be negative"},
    [PROVENANCE] = {.name = "provenance",
                    .type = REEL_OPTION_TEXT,
                    .argument = "JSON",
                    .help = "An object whose keys override global_provenance"},
};

static const struct reel_options_spec spec = {
    .program = "reel submit",
    .operands = "FILE...",
    .operands_min = 1,
    .operands_max = SIZE_MAX,
    .summary = "Submits each workflow in the files: JSON, JSON lines (one document a line) or msgpack, told apart by\n"
               "their bytes; - is standard input. OK means that the broker has it on disk. A document without a\n"
               "workflow_id gets one at its end before it leaves, so that it can be sent again without harm.",
    .table = table,
    .count = OPTION_COUNT,
    .config = REEL_SESSION_CONFIG,
};

/* One workflow that the broker has. */
struct accepted {
    char workflow_id[REEL_CLIENT_ID_BYTES];
    uint64_t seq;
    const struct reel_input *input;
};

struct submit {
    struct reel_session session;
    struct reel_inputs inputs;
    struct reel_buf provenance;
    int64_t priority;
    struct accepted *accepted; /* as many as there are inputs */
    size_t accepted_count;
};

static int
read_priority (struct submit *submit)
{
    const char *text = reel_session_option (&submit->session, PRIORITY)->text;
    char *end;
    if (!text)
        return REEL_OPTIONS_GO;
    errno = 0;
    submit->priority = strtoll (text, &end, 10);
    if (errno != 0 || end == text || *end != '\0')
        return reel_options_complain (&spec, "--priority: '%s' is not an integer of 64 bits", text);
    return REEL_OPTIONS_GO;
}

static int
read_provenance (struct submit *submit)
{
    const char *text = reel_session_option (&submit->session, PROVENANCE)->text;
    struct reel_error err = {0};
    if (!text)
        return REEL_OPTIONS_GO;
    if (reel_json_read (reel_slice_text (text), &submit->provenance, &err) != REEL_OK)
        return reel_options_complain (&spec, "--provenance: %s", err.message);
    if (reel_scan_type (reel_buf_slice (&submit->provenance)) != REEL_MAP)
        return reel_options_complain (&spec, "--provenance: an object is wanted");
    return REEL_OPTIONS_GO;
}

/* Reads every file before anything is submitted: a slip in the last one should not leave half of them behind. */
static int
read_inputs (struct submit *submit)
{
    const struct reel_options *options = &submit->session.options;
    int code = REEL_OPTIONS_GO;
    for (size_t i = 0; i < options->operand_count; i++) {
        struct reel_error err = {0};
        enum reel_status status = reel_inputs_add (&submit->inputs, options->operands[i], &err);
        if (status == REEL_INVALID || status == REEL_NO_MEMORY) {
            code = reel_complain_document (options->operands[i], NULL, status, &err);
        } else if (status != REEL_OK) {
            reel_complain ("%s: %s", options->operands[i], err.message);
            code = EX_NOINPUT;
        }
    }
    for (size_t i = 0; i < submit->inputs.count; i++) {
        const struct reel_input *input = &submit->inputs.list[i];
        if (input->status != REEL_OK)
            code = reel_complain_document (input->label, NULL, input->status, &input->err);
    }
    if (code == REEL_OPTIONS_GO && reel_session_option (&submit->session, ID)->text && submit->inputs.count > 1)
        return reel_options_complain (&spec, "--id is for one document, and there are %zu", submit->inputs.count);
    return code;
}

static void
print_accepted (struct submit *submit, const struct reel_input *input, const struct reel_client_submitted *submitted)
{
    struct reel_output *output = &submit->session.output;
    if (output->json) {
        struct reel_buf row = {0};
        reel_pack_map (&row, 5);
        reel_pack_text (&row, "workflow_id");
        reel_pack_text (&row, submitted->workflow_id);
        reel_pack_text (&row, "status");
        reel_pack_text (&row, submitted->status);
        reel_pack_text (&row, "duplicate");
        reel_pack_bool (&row, submitted->duplicate != 0);
        reel_pack_text (&row, "seq");
        reel_pack_uint (&row, submitted->seq);
        reel_pack_text (&row, "file");
        /* A file's name may be any bytes; JSON wants UTF-8. */
        struct reel_slice label = reel_slice_text (input->label);
        reel_pack_str (&row, reel_scan_utf8 (label) ? label : reel_slice_text ("?"));
        reel_output_row (output, &row);
        reel_buf_free (&row);
    } else if (!reel_session_option (&submit->session, WATCH)->flag || !output->live) {
        reel_buf_printf (&output->buf, "%s  %s%s\n", submitted->workflow_id, submitted->status,
                         submitted->duplicate ? "  (submitted before)" : "");
        reel_output_flush (output);
    }
}

/* True when going on with the next document makes no sense. */
static bool
is_hopeless (enum reel_client_status status)
{
    return status != REEL_CLIENT_OK && status != REEL_CLIENT_REFUSED && status != REEL_CLIENT_INVALID;
}

static enum reel_client_status
send_until_answered (struct submit *submit, const struct reel_client_submission *submission,
                     struct reel_client_submitted *submitted, struct reel_client_error *error, int *number)
{
    for (;;) {
        enum reel_client_status status = reel_client_submit (submit->session.client, submission, submitted, error);
        if (status != REEL_CLIENT_INTERRUPTED)
            return status;
        *number = reel_session_signal (&submit->session);
        if (*number != 0)
            return status;
    }
}

static int
submit_one (struct submit *submit, const struct reel_input *input, enum reel_client_status *status)
{
    struct reel_client_submission submission = {
        .document = input->document.data,
        .size = input->document.len,
        .workflow_id = reel_session_option (&submit->session, ID)->text,
        .priority = submit->priority,
        .provenance = submit->provenance.len > 0 ? submit->provenance.data : NULL,
        .provenance_size = submit->provenance.len,
    };
    struct reel_client_submitted submitted = {0};
    struct reel_client_error error;
    char id[REEL_CLIENT_ID_BYTES];
    struct reel_slice own;
    int number = 0;
    /* The id is chosen here, once, so that every repeat carries the same. */
    if (!submission.workflow_id && !reel_submission_id (reel_buf_slice (&input->document), &own)) {
        reel_client_new_id (id);
        submission.workflow_id = id;
    }
    *status = send_until_answered (submit, &submission, &submitted, &error, &number);
    if (*status == REEL_CLIENT_OK) {
        struct accepted *accepted = &submit->accepted[submit->accepted_count++];
        *accepted = (struct accepted){.seq = submitted.seq, .input = input};
        memcpy (accepted->workflow_id, submitted.workflow_id, sizeof submitted.workflow_id);
        print_accepted (submit, input, &submitted);
        return EX_OK;
    }
    int code = reel_complain_client (input->label, *status, &error);
    if (submitted.workflow_id[0] != '\0')
        reel_complain ("%s: it is not known whether it was accepted; submitting it again with --id %s is safe",
                       input->label, submitted.workflow_id);
    return number != 0 ? 128 + number : code;
}

static int
submit_all (struct submit *submit)
{
    int code = EX_OK;
    enum reel_client_status status = REEL_CLIENT_OK;
    for (size_t i = 0; i < submit->inputs.count && !is_hopeless (status); i++) {
        int failed = submit_one (submit, &submit->inputs.list[i], &status);
        code = code == EX_OK ? failed : code;
    }
    return code;
}

/* --- afterwards ------------------------------------------------------------------------------- */

static int
watch (struct submit *submit)
{
    struct reel_watching *watching = reel_watching_create (&submit->session);
    enum reel_status status = watching ? REEL_OK : REEL_NO_MEMORY;
    for (size_t i = 0; i < submit->accepted_count && status == REEL_OK; i++) {
        const struct accepted *accepted = &submit->accepted[i];
        status = reel_watching_add (watching, reel_slice_text (accepted->workflow_id),
                                    reel_buf_slice (&accepted->input->document), accepted->seq);
    }
    int code = EX_OSERR;
    if (status == REEL_OK)
        code = reel_watching_run (watching);
    else
        reel_complain ("out of memory");
    reel_watching_destroy (&watching);
    return code;
}

/* Every receipt, in the order of submission; nothing more after an error. */
static int
await_all (struct submit *submit)
{
    int code = EX_OK;
    for (size_t i = 0; i < submit->accepted_count; i++) {
        int one = reel_await (&submit->session, submit->accepted[i].workflow_id, -1);
        if (one != EX_OK)
            code = one;
        if (one != EX_OK && one != REEL_EXIT_FAILED)
            break;
    }
    return code;
}

static int
finish (struct submit *submit)
{
    /* What was accepted must find its place, so there is one for each before anything is sent. */
    struct accepted *accepted = calloc (submit->inputs.count, sizeof *accepted);
    if (!accepted) {
        reel_complain ("out of memory");
        return EX_OSERR;
    }
    submit->accepted = accepted;
    int code = submit_all (submit), ended = EX_OK;
    if (reel_session_option (&submit->session, WATCH)->flag)
        ended = watch (submit);
    else if (reel_session_option (&submit->session, WAIT)->flag)
        ended = await_all (submit);
    free (accepted);
    return code == EX_OK ? ended : code;
}

int
reel_command_submit (int argc, char **argv)
{
    struct submit submit = {0};
    int code = reel_session_start (&submit.session, &spec, 0, argc, argv);
    if (code != REEL_OPTIONS_GO)
        return code;
    unsigned flags = REEL_SESSION_CLIENT;
    if (reel_session_option (&submit.session, WATCH)->flag || reel_session_option (&submit.session, WAIT)->flag)
        flags |= REEL_SESSION_SIGNALS;
    code = read_priority (&submit);
    if (code == REEL_OPTIONS_GO)
        code = read_provenance (&submit);
    if (code == REEL_OPTIONS_GO)
        code = read_inputs (&submit);
    if (code == REEL_OPTIONS_GO)
        code = reel_session_connect (&submit.session, flags);
    if (code == REEL_OPTIONS_GO)
        code = finish (&submit);
    reel_inputs_free (&submit.inputs);
    reel_buf_free (&submit.provenance);
    return reel_session_end (&submit.session, code);
}
