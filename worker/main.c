/*
 * reel-worker: options, configuration, signals; then the shell.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "cli/options.h"
#include "cli/standard.h"
#include "proto/json.h"
#include "proto/scan.h"
#include "worker/config.h"
#include "worker/guard.h"
#include "worker/shell.h"

enum { BROKER, CONFIG, NAME, SLOTS, DRAIN_MS, LOG, LIST_DISPATCH, JSON, CHECK_CONFIG };

static const struct reel_option table[] = {
    [BROKER] = {"broker", 'b', REEL_OPTION_TEXT, "ENDPOINT", REEL_WORKER_ENDPOINT_DEFAULT, 0, 0,
                "the broker's endpoint for workers", "REEL_BROKER", "worker/broker"},
    [CONFIG] = {"config", 'c', REEL_OPTION_TEXT, "FILE", NULL, 0, 0,
                "which modality is served by what (ZPL); without it: echo, sleep and fail", "REEL_CONFIG", NULL},
    [NAME] = {"name", 'n', REEL_OPTION_TEXT, "NAME", NULL, 0, 0,
              "what this worker is called where people look; the host's name and the process's number if not given",
              "REEL_NAME", "worker/name"},
    [SLOTS] = {"slots", 's', REEL_OPTION_NUMBER, "N", "1", 1, REEL_LEASES_MAX,
               "how many workflows are worked on at a time", "REEL_SLOTS", "worker/slots"},
    [DRAIN_MS] = {"drain-ms", 0, REEL_OPTION_NUMBER, "MS", "30000", 0, 86400000,
                  "how long steps under way may go on after SIGTERM", "REEL_DRAIN_MS", "worker/drain_ms"},
    [LOG] = {"log", 'l', REEL_OPTION_CHOICE, REEL_LOG_LEVELS, "info", 0, 0, "what is said on standard error",
             "REEL_LOG", "worker/log"},
    [LIST_DISPATCH] = {"list-dispatch", 0, REEL_OPTION_FLAG, NULL, NULL, 0, 0, "print what is served by what, and end",
                       NULL, NULL},
    [JSON] = {"json", 'j', REEL_OPTION_FLAG, NULL, NULL, 0, 0, "print it as JSON: the map that READY has as `dispatch`",
              NULL, NULL},
    [CHECK_CONFIG] = {"check-config", 0, REEL_OPTION_FLAG, NULL, NULL, 0, 0, "check the configuration, and end", NULL,
                      NULL},
};

static const struct reel_options_spec spec = {
    .program = "reel-worker",
    .summary = "Executes the steps of the workflows that a reel broker hands out.",
    .epilogue = "SIGTERM or SIGINT: takes no more work, lets the steps under way end, gives the rest back, and ends.\n"
                "A second one ends what runs at once. Exit code 75: something was given up unreported.",
    .table = table,
    .count = sizeof table / sizeof table[0],
    .config = CONFIG,
    .reserved = reel_config_names,
};

/* --- printing ----------------------------------------------------------------------------- */

static int
print_json (const struct reel_registry *registry)
{
    struct reel_buf dispatch = {0}, json = {0};
    int code = EX_OSERR;
    reel_registry_pack_dispatch (registry, &dispatch);
    if (reel_buf_status (&dispatch) == REEL_OK
        && reel_json_write (reel_buf_slice (&dispatch), REEL_JSON_PRETTY, &json) == REEL_OK)
        code = printf ("%.*s\n", REEL_TEXT (reel_buf_slice (&json))) < 0 || fflush (stdout) != 0 ? EX_IOERR : EX_OK;
    reel_buf_free (&dispatch);
    reel_buf_free (&json);
    return code;
}

static void
print_duration (const char *name, int64_t ms)
{
    if (ms > 0)
        printf ("  %s=%" PRId64, name, ms);
}

/* In the order in which they are called. */
static void
print_hooks (const struct reel_registry *registry)
{
    static const enum reel_hook_point all[] = {REEL_HOOK_PRE_STEP, REEL_HOOK_POST_STEP, REEL_HOOK_ON_FAILURE};
    const char *name;
    unsigned points;
    for (size_t i = 0; (name = reel_registry_hook_at (registry, i, &points)) != NULL; i++) {
        printf ("%shook %s:", i == 0 ? "\n" : "", name);
        for (size_t p = 0; p < sizeof all / sizeof all[0]; p++)
            if ((points & all[p]) != 0)
                printf (" %s", reel_hook_point_name (all[p]));
        putchar ('\n');
    }
}

static int
print_table (const struct reel_registry *registry)
{
    int width = (int) strlen ("MODALITY"), adapter_width = (int) strlen ("ADAPTER");
    for (size_t i = 0; i < reel_registry_count (registry); i++) {
        int len = (int) strlen (reel_registry_at (registry, i)->modality);
        int adapter_len = (int) strlen (reel_registry_at (registry, i)->adapter->name);
        width = len > width ? len : width;
        adapter_width = adapter_len > adapter_width ? adapter_len : adapter_width;
    }
    printf ("%-*s  %-*s  %-10s  LIMITS\n", width, "MODALITY", adapter_width, "ADAPTER", "CLASS");
    for (size_t i = 0; i < reel_registry_count (registry); i++) {
        const struct reel_registry_entry *entry = reel_registry_at (registry, i);
        printf ("%-*s  %-*s  %-10s", width, entry->modality, adapter_width, entry->adapter->name,
                reel_adapter_class_name (entry->adapter->class));
        print_duration ("timeout_ms", entry->policy.timeout_ms);
        print_duration ("max_attempts", entry->policy.max_attempts);
        print_duration ("backoff_ms", entry->policy.backoff_ms);
        print_duration ("backoff_max_ms", entry->policy.backoff_max_ms);
        if (entry->policy.in_doubt != REEL_IN_DOUBT_UNSET)
            printf ("  in_doubt=%s", reel_in_doubt_name (entry->policy.in_doubt));
        putchar ('\n');
    }
    print_hooks (registry);
    return fflush (stdout) != 0 ? EX_IOERR : EX_OK;
}

/* --- working ------------------------------------------------------------------------------ */

/* SIGTERM and SIGINT as something to read, in every thread that is begun later as well. */
static int
open_signals (void)
{
    sigset_t ends;
    sigemptyset (&ends);
    sigaddset (&ends, SIGTERM);
    sigaddset (&ends, SIGINT);
    if (signal (SIGPIPE, SIG_IGN) == SIG_ERR || sigprocmask (SIG_BLOCK, &ends, NULL) < 0)
        return -1;
    return signalfd (-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int
exit_code (enum reel_status status, const struct reel_error *err)
{
    switch (status) {
    case REEL_OK: return EX_OK;
    case REEL_AGAIN: return EX_TEMPFAIL;
    case REEL_INVALID: reel_log (REEL_LOG_ERROR, "--broker: %s", err->message); return EX_USAGE;
    case REEL_NO_MEMORY: reel_log (REEL_LOG_ERROR, "out of memory"); return EX_OSERR;
    default: reel_log (REEL_LOG_ERROR, "%s", err->message); return EX_OSERR;
    }
}

static int
work (const struct reel_options *options, struct reel_registry *registry)
{
    char name[REEL_NOTE_BYTES_MAX + 1], host[256] = "worker";
    struct reel_error err = {0};
    const char *given = options->values[NAME].text;
    if (gethostname (host, sizeof host - 1) < 0)
        host[0] = '\0';
    int len = given != NULL ? snprintf (name, sizeof name, "%s", given)
                            : snprintf (name, sizeof name, "%s-%ld", host, (long) getpid ());
    if (len < 0 || (size_t) len >= sizeof name)
        return reel_options_complain (&spec, "--name is longer than %d bytes", REEL_NOTE_BYTES_MAX);
    if (len == 0 || !reel_scan_utf8 (reel_slice_text (name)))
        return reel_options_complain (&spec, "--name is empty, or no UTF-8");
    int signals = open_signals ();
    if (signals < 0) {
        reel_log (REEL_LOG_ERROR, "the signals cannot be watched: %s", strerror (errno));
        return EX_OSERR;
    }
    reel_log (REEL_LOG_INFO, "%s connects to %s, to serve %zu modalities", name, options->values[BROKER].text,
              reel_registry_count (registry));
    const struct reel_worker_shell_setup setup = {
        .broker = options->values[BROKER].text,
        .name = name,
        .slots = (uint32_t) options->values[SLOTS].number,
        .drain_ms = (int64_t) options->values[DRAIN_MS].number,
        .registry = registry,
        .stop_fd = signals,
    };
    int code = exit_code (reel_worker_shell_run (&setup, &err), &err);
    close (signals);
    return code;
}

static int
run (const struct reel_options *options, struct reel_registry *registry)
{
    struct reel_error err = {0};
    const char *path = options->values[CONFIG].text;
    enum reel_status status = options->file != NULL ? reel_config_read (options->file, path, registry, &err)
                                                    : reel_config_load (NULL, registry, &err);
    if (status != REEL_OK) {
        fprintf (stderr, "%s: %s\n", spec.program, status == REEL_INVALID ? err.message : "out of memory");
        return status == REEL_INVALID ? EX_CONFIG : EX_OSERR;
    }
    if (options->values[LIST_DISPATCH].flag)
        return options->values[JSON].flag ? print_json (registry) : print_table (registry);
    if (options->values[JSON].flag)
        return reel_options_complain (&spec, "--json goes with --list-dispatch");
    if (options->values[CHECK_CONFIG].flag)
        return EX_OK;
    return work (options, registry);
}

int
main (int argc, char **argv)
{
    struct reel_options options = {0};
    struct reel_registry *registry = NULL;
    if (!reel_standard_keep ())
        return EX_OSERR;
    int code = reel_options_read (&spec, argc, argv, &options);
    if (code != REEL_OPTIONS_GO)
        return code;
    reel_log_start (spec.program, (enum reel_log_level) options.values[LOG].number);
    bool works = !options.values[LIST_DISPATCH].flag && !options.values[CHECK_CONFIG].flag;
    if (works && reel_guard_start () != REEL_OK) {
        reel_log (REEL_LOG_ERROR, "nobody can watch over the commands: %s", strerror (errno));
        reel_options_free (&options);
        return EX_OSERR;
    }
    if (reel_registry_create (&registry) == REEL_OK) {
        code = run (&options, registry);
    } else {
        reel_log (REEL_LOG_ERROR, "out of memory");
        code = EX_OSERR;
    }
    reel_registry_destroy (&registry);
    reel_options_free (&options);
    return code;
}
