/*
 * reel-broker: options in, a shell around them, an exit code out.
 */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "base/log.h"
#include "broker/recovery.h"
#include "broker/shell.h"
#include "cli/notify.h"
#include "cli/options.h"
#include "cli/standard.h"

#define NUMBER_BYTES 24
#define RETAIN_MS_MAX (INT64_C (1000) * 365 * 24 * 3600 * 1000) /* a thousand years */
#define DISK_RESERVE_BYTES_DEFAULT (64u << 20)
#define SUBSCRIBER_WAITING_MAX_DEFAULT 100000
#define WAITING_BYTES_MAX_DEFAULT (256u << 20)
/* Descriptors that are not connections. */
#define DESCRIPTORS_RESERVED 64
#define DESCRIPTORS_MAX 1000000

enum {
    CLIENT,
    WORKER,
    EVENTS,
    DATA,
    LEASE_MS,
    HEARTBEAT_MS,
    QUEUE_COUNT_MAX,
    QUEUE_BYTES_MAX,
    WORKERS_MAX,
    DELIVERIES_MAX,
    WAITS_MAX,
    CONNECTIONS_MAX,
    SUBSCRIBER_WAITING_MAX,
    WAITING_BYTES_MAX,
    DISK_RESERVE_BYTES,
    SNAPSHOT_BYTES,
    RETAIN_MS,
    RETAIN_BYTES,
    LOG,
    CONFIG,
    CHECK_CONFIG,
    VERIFY,
    OPTION_COUNT
};

/* The defaults of the numbers are the core's, filled in by describe_numbers(). */
static struct reel_option table[OPTION_COUNT] = {
    [CLIENT] = {"client", 0, REEL_OPTION_TEXT, "ENDPOINT", REEL_CLIENT_ENDPOINT_DEFAULT, 0, 0,
                "Where producers and operators connect; port * is a free one.", "REEL_CLIENT", "broker/client"},
    [WORKER] = {"worker", 0, REEL_OPTION_TEXT, "ENDPOINT", REEL_WORKER_ENDPOINT_DEFAULT, 0, 0, "Where workers connect.",
                "REEL_WORKER", "broker/worker"},
    [EVENTS] = {"events", 0, REEL_OPTION_TEXT, "ENDPOINT", REEL_EVENTS_ENDPOINT_DEFAULT, 0, 0,
                "Where subscribers connect.", "REEL_EVENTS", "broker/events"},
    [DATA] = {"data", 'd', REEL_OPTION_TEXT, "DIR", "reel-data", 0, 0,
              "Where the journal is kept; made if it is not there.", "REEL_DATA", "broker/data"},
    [LEASE_MS] = {"lease-ms", 0, REEL_OPTION_NUMBER, "MS", NULL, 100, REEL_DURATION_MS_MAX,
                  "How long a worker may be silent before its work is given to another.", "REEL_LEASE_MS",
                  "broker/lease_ms"},
    [HEARTBEAT_MS] = {"heartbeat-ms", 0, REEL_OPTION_NUMBER, "MS", NULL, 10, REEL_DURATION_MS_MAX / 2,
                      "How often workers are to be heard; at most half of --lease-ms.", "REEL_HEARTBEAT_MS",
                      "broker/heartbeat_ms"},
    [QUEUE_COUNT_MAX] = {"queue-count-max", 0, REEL_OPTION_NUMBER, "N", NULL, 1, INT64_MAX,
                         "Live workflows; past that, SUBMIT is answered `overloaded`.", "REEL_QUEUE_COUNT_MAX",
                         "broker/queue_count_max"},
    [QUEUE_BYTES_MAX] = {"queue-bytes-max", 0, REEL_OPTION_NUMBER, "BYTES", NULL, 1, INT64_MAX,
                         "Memory for live workflows; past that, SUBMIT is answered `overloaded`.",
                         "REEL_QUEUE_BYTES_MAX", "broker/queue_bytes_max"},
    [WORKERS_MAX] = {"workers-max", 0, REEL_OPTION_NUMBER, "N", NULL, 1, 1000000, "Connected workers.",
                     "REEL_WORKERS_MAX", "broker/workers_max"},
    [DELIVERIES_MAX] = {"deliveries-max", 0, REEL_OPTION_NUMBER, "N", NULL, 1, 1000000,
                        "Workers that one workflow may lose before it is failed.", "REEL_DELIVERIES_MAX",
                        "broker/deliveries_max"},
    [WAITS_MAX] = {"waits-max", 0, REEL_OPTION_NUMBER, "N", NULL, 0, 10000000, "RECEIPT requests that wait.",
                   "REEL_WAITS_MAX", "broker/waits_max"},
    [CONNECTIONS_MAX] = {"connections-max", 0, REEL_OPTION_NUMBER, "N", NULL, 1, DESCRIPTORS_MAX,
                         "Connections of clients, of workers and of subscribers, each; past that, new ones are closed. "
                         "The default is what the limit of open files allows.",
                         "REEL_CONNECTIONS_MAX", "broker/connections_max"},
    [SUBSCRIBER_WAITING_MAX] = {"subscriber-waiting-max", 0, REEL_OPTION_NUMBER, "N", NULL, 1, INT32_MAX,
                                "Messages that wait for one subscriber; past that, it misses some, and finds them with "
                                "EVENTS.",
                                "REEL_SUBSCRIBER_WAITING_MAX", "broker/subscriber_waiting_max"},
    [WAITING_BYTES_MAX] =
        {"waiting-bytes-max", 0, REEL_OPTION_NUMBER, "BYTES", NULL, 1, INT64_MAX,
         "Memory for what waits to be read by clients, by workers and by subscribers, each; past that, "
         "requests are answered `overloaded`, workers get no work, subscribers miss events.",
         "REEL_WAITING_BYTES_MAX", "broker/waiting_bytes_max"},
    [DISK_RESERVE_BYTES] = {"disk-reserve-bytes", 0, REEL_OPTION_NUMBER, "BYTES", NULL, 0, INT64_MAX,
                            "With less free on the journal's disk, SUBMIT is answered `overloaded`; what is under way "
                            "still ends.",
                            "REEL_DISK_RESERVE_BYTES", "broker/disk_reserve_bytes"},
    [SNAPSHOT_BYTES] =
        {"snapshot-bytes", 0, REEL_OPTION_NUMBER, "BYTES", NULL, 1, INT64_MAX,
         "Live workflows are journaled anew when so much was journaled since the last time (and as much as "
         "they take): a start replays what comes after.",
         "REEL_SNAPSHOT_BYTES", "broker/snapshot_bytes"},
    [RETAIN_MS] = {"retain-ms", 0, REEL_OPTION_NUMBER, "MS", NULL, 0, RETAIN_MS_MAX,
                   "How long ended workflows and all events are kept, to within an eighth; 0: for ever.",
                   "REEL_RETAIN_MS", "broker/retain_ms"},
    [RETAIN_BYTES] =
        {"retain-bytes", 0, REEL_OPTION_NUMBER, "BYTES", NULL, 0, INT64_MAX,
         "How much is kept of what was journaled, to within an eighth, live workflows aside; 0: everything.",
         "REEL_RETAIN_BYTES", "broker/retain_bytes"},
    [LOG] = {"log", 0, REEL_OPTION_CHOICE, REEL_LOG_LEVELS, "info", 0, 0, "What is said on standard error.", "REEL_LOG",
             "broker/log"},
    [CONFIG] = {"config", 0, REEL_OPTION_TEXT, "FILE", NULL, 0, 0, "A file with these options (ZPL).", "REEL_CONFIG",
                NULL},
    [CHECK_CONFIG] = {"check-config", 0, REEL_OPTION_FLAG, NULL, NULL, 0, 0,
                      "Check options, environment and file, and end.", NULL, NULL},
    [VERIFY] = {"verify", 0, REEL_OPTION_TEXT, "DIR", NULL, 0, 0,
                "Check the journal in DIR, from its first record to its last, say what it holds, and end.", NULL, NULL},
};

static const struct reel_options_spec spec = {
    .program = "reel-broker",
    .summary = "Accepts workflows, keeps them, hands them to workers, and publishes what happens.",
    .epilogue = "Prints client=..., worker=... and events=..., the endpoints it got, then ready.\n"
                "SIGTERM ends it after everything that it took in is durable and answered; what comes meanwhile is\n"
                "answered `draining`.",
    .table = table,
    .count = OPTION_COUNT,
    .config = CONFIG,
};

static void
describe_numbers (const struct reel_core_setup *defaults, uint64_t connections_max)
{
    static char texts[OPTION_COUNT][NUMBER_BYTES];
    const uint64_t numbers[OPTION_COUNT] = {
        [LEASE_MS] = (uint64_t) defaults->lease_ms,
        [HEARTBEAT_MS] = (uint64_t) defaults->heartbeat_ms,
        [QUEUE_COUNT_MAX] = defaults->queue_count_max,
        [QUEUE_BYTES_MAX] = defaults->queue_bytes_max,
        [WORKERS_MAX] = defaults->workers_max,
        [DELIVERIES_MAX] = defaults->deliveries_max,
        [WAITS_MAX] = defaults->waits_max,
        [CONNECTIONS_MAX] = connections_max,
        [SUBSCRIBER_WAITING_MAX] = SUBSCRIBER_WAITING_MAX_DEFAULT,
        [WAITING_BYTES_MAX] = WAITING_BYTES_MAX_DEFAULT,
        [DISK_RESERVE_BYTES] = DISK_RESERVE_BYTES_DEFAULT,
        [SNAPSHOT_BYTES] = defaults->snapshot_bytes,
        [RETAIN_MS] = (uint64_t) defaults->retain_ms,
        [RETAIN_BYTES] = defaults->retain_bytes,
    };
    for (int i = 0; i < OPTION_COUNT; i++)
        if (table[i].type == REEL_OPTION_NUMBER) {
            (void) snprintf (texts[i], NUMBER_BYTES, "%" PRIu64, numbers[i]);
            table[i].standard = texts[i];
        }
}

/* What only several options together, or with the system's limits, can get wrong. */
static int
read_setup (const struct reel_options *options, uint64_t connections_max, struct reel_shell_setup *setup)
{
    const struct reel_option_value *values = options->values;
    setup->client = values[CLIENT].text;
    setup->worker = values[WORKER].text;
    setup->events = values[EVENTS].text;
    setup->data = values[DATA].text;
    setup->core.lease_ms = (int64_t) values[LEASE_MS].number;
    setup->core.heartbeat_ms = (int64_t) values[HEARTBEAT_MS].number;
    setup->core.queue_count_max = values[QUEUE_COUNT_MAX].number;
    setup->core.queue_bytes_max = values[QUEUE_BYTES_MAX].number;
    setup->core.workers_max = (uint32_t) values[WORKERS_MAX].number;
    setup->core.deliveries_max = (uint32_t) values[DELIVERIES_MAX].number;
    setup->core.waits_max = (uint32_t) values[WAITS_MAX].number;
    setup->connections_max = values[CONNECTIONS_MAX].number;
    setup->subscriber_waiting_max = (int) values[SUBSCRIBER_WAITING_MAX].number;
    setup->waiting_bytes_max = values[WAITING_BYTES_MAX].number;
    setup->disk_reserve_bytes = values[DISK_RESERVE_BYTES].number;
    setup->core.snapshot_bytes = values[SNAPSHOT_BYTES].number;
    setup->core.retain_ms = (int64_t) values[RETAIN_MS].number;
    setup->core.retain_bytes = values[RETAIN_BYTES].number;
    if (setup->connections_max > connections_max)
        return reel_options_complain (&spec,
                                      "connections-max: the limit of open files (ulimit -n) allows %" PRIu64
                                      " connections of each socket at most",
                                      connections_max);
    if (2 * setup->core.heartbeat_ms > setup->core.lease_ms)
        return reel_options_complain (&spec, "heartbeat-ms (%" PRId64 ") is more than half of lease-ms (%" PRId64 ")",
                                      setup->core.heartbeat_ms, setup->core.lease_ms);
    return EX_OK;
}

/* Each connection is a descriptor; out of them, the thread of ZeroMQ would spin. Raises the limit as far as it goes;
 * gives the connections that each of the three sockets may have. */
static uint64_t
raise_descriptors (void)
{
    struct rlimit limit;
    if (getrlimit (RLIMIT_NOFILE, &limit) != 0)
        return 1;
    if (limit.rlim_cur != limit.rlim_max) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        if (setrlimit (RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    uint64_t descriptors = limit.rlim_cur > DESCRIPTORS_MAX ? DESCRIPTORS_MAX : limit.rlim_cur;
    return descriptors > DESCRIPTORS_RESERVED + 3 ? (descriptors - DESCRIPTORS_RESERVED) / 3 : 1;
}

static int
exit_code (enum reel_status status, const struct reel_error *err)
{
    static const struct {
        const char *code;
        int exit_code;
    } codes[] = {{"journal_in_use", EX_TEMPFAIL}, {"bad_endpoint", EX_CONFIG}, {"socket_failed", EX_UNAVAILABLE}};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (err->code && strcmp (err->code, codes[i].code) == 0)
            return codes[i].exit_code;
    switch (status) {
    case REEL_OK: return EX_OK;
    case REEL_NO_MEMORY: return EX_OSERR;
    case REEL_INVALID: return EX_DATAERR;
    case REEL_NOT_FOUND:
    case REEL_AGAIN:
    case REEL_IO: break;
    }
    return EX_IOERR;
}

static void
announce (const struct reel_shell *shell)
{
    if (printf ("client=%s\nworker=%s\nevents=%s\nready\n", reel_shell_endpoint (shell, 0),
                reel_shell_endpoint (shell, 1), reel_shell_endpoint (shell, 2))
            < 0
        || fflush (stdout) != 0)
        reel_log (REEL_LOG_WARNING, "cannot say on standard output that it is ready: %s", strerror (errno));
    reel_notify ("READY=1");
}

/* Of a journal that no broker has open. */
static int
verify (const char *directory)
{
    struct reel_error err = {0};
    enum reel_status status = reel_recovery_verify (&(struct reel_journal_setup){.directory = directory}, &err);
    if (status != REEL_OK)
        reel_log (REEL_LOG_ERROR, "%s", err.message[0] != '\0' ? err.message : reel_status_name (status));
    return status == REEL_NOT_FOUND ? EX_NOINPUT : exit_code (status, &err);
}

static int
serve (const struct reel_shell_setup *setup)
{
    struct reel_shell *shell = NULL;
    struct reel_error err = {0};
    enum reel_status status = reel_shell_open (setup, &shell, &err);
    if (status == REEL_OK) {
        announce (shell);
        status = reel_shell_run (shell, &err);
    }
    if (status != REEL_OK)
        reel_log (REEL_LOG_ERROR, "%s", err.message[0] != '\0' ? err.message : reel_status_name (status));
    reel_shell_close (&shell);
    return exit_code (status, &err);
}

int
main (int argc, char **argv)
{
    struct reel_shell_setup setup = {0};
    struct reel_options options;
    if (!reel_standard_keep ())
        return EX_OSERR;
    /* The end of a thread's arena is given back only when a piece before it is freed and joined to it at once. */
    (void) mallopt (M_MXFAST, 0);
    reel_core_setup_defaults (&setup.core);
    uint64_t connections_max = raise_descriptors ();
    describe_numbers (&setup.core, connections_max);
    int code = reel_options_read (&spec, argc, argv, &options);
    if (code != REEL_OPTIONS_GO)
        return code;
    code = read_setup (&options, connections_max, &setup);
    if (code == EX_OK && !options.values[CHECK_CONFIG].flag) {
        reel_log_start ("reel-broker", (enum reel_log_level) options.values[LOG].number);
        (void) signal (SIGPIPE, SIG_IGN);
        (void) signal (SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of the disk */
        (void) umask (0077);
        code = options.values[VERIFY].text != NULL ? verify (options.values[VERIFY].text) : serve (&setup);
    }
    reel_options_free (&options);
    return code;
}
