/*
 * What a workflow costs: a broker and a worker as real processes, a producer and a subscriber here.
 *
 * Each workflow has three steps that do nothing (echo) and about 1 KiB of payload; it counts when its final
 * receipt has arrived on the event channel. Since absolute figures do not travel, each repetition also measures
 * bare libzmq round trips on the same machine (a DEALER and a ROUTER that echoes, TCP on loopback), and the
 * workflows per second are given as a ratio to those too.
 *
 *     bench BIN_DIR WORK_DIR [repetitions [workflows [in_flight]]]
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "net/socket.h"
#include "proto/pack.h"
#include "proto/scan.h"

#define REPETITIONS_MAX 99
#define WAIT_MS 60000
#define LATENCY_WORKFLOWS 1000
#define PAYLOAD_BYTES 300 /* in each of the three steps */

struct child {
    pid_t pid;
    int out; /* its standard output */
};

struct bench {
    void *context;
    struct child broker, worker;
    char client[REEL_ENDPOINT_BYTES], work[REEL_ENDPOINT_BYTES], events[REEL_ENDPOINT_BYTES];
    void *producer, *subscriber;
    struct reel_inbox inbox;
    uint64_t next_id;
};

struct usage {
    double broker_us, worker_us; /* CPU */
    uint64_t commits;
};

static void
die (const char *what)
{
    fprintf (stderr, "bench: %s: %s\n", what, strerror (errno));
    exit (1);
}

/* --- the processes ------------------------------------------------------------------------- */

static struct child
start (char *const argv[])
{
    struct child child;
    int ends[2];
    posix_spawn_file_actions_t actions;
    if (pipe2 (ends, O_CLOEXEC) != 0 || posix_spawn_file_actions_init (&actions) != 0
        || posix_spawn_file_actions_adddup2 (&actions, ends[1], 1) != 0)
        die ("pipe");
    extern char **environ;
    errno = posix_spawn (&child.pid, argv[0], &actions, NULL, argv, environ);
    if (errno != 0)
        die (argv[0]);
    posix_spawn_file_actions_destroy (&actions);
    close (ends[1]);
    child.out = ends[0];
    return child;
}

static void
stop (struct child *child)
{
    if (child->pid <= 0)
        return;
    kill (child->pid, SIGTERM);
    waitpid (child->pid, NULL, 0);
    close (child->out);
    child->pid = 0;
}

/* Reads `name=value` lines until `ready`. */
static void
read_endpoints (struct bench *bench)
{
    FILE *lines = fdopen (dup (bench->broker.out), "r");
    char line[REEL_ENDPOINT_BYTES + 16];
    const struct {
        const char *name;
        char *value;
    } wanted[] = {{"client=", bench->client}, {"worker=", bench->work}, {"events=", bench->events}};
    while (lines != NULL && fgets (line, sizeof line, lines) != NULL) {
        line[strcspn (line, "\n")] = '\0';
        if (strcmp (line, "ready") == 0) {
            fclose (lines);
            return;
        }
        for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
            if (strncmp (line, wanted[i].name, strlen (wanted[i].name)) == 0)
                snprintf (wanted[i].value, REEL_ENDPOINT_BYTES, "%s", line + strlen (wanted[i].name));
    }
    errno = EPIPE;
    die ("reel-broker did not say ready");
}

static double
cpu_us (pid_t pid)
{
    char path[64], text[1024];
    unsigned long user = 0, system = 0;
    snprintf (path, sizeof path, "/proc/%d/stat", (int) pid);
    FILE *file = fopen (path, "r");
    if (file == NULL || fgets (text, sizeof text, file) == NULL)
        die (path);
    fclose (file);
    const char *after_name = strrchr (text, ')');
    if (after_name == NULL
        || sscanf (after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        die (path);
    return (double) (user + system) * 1e6 / (double) sysconf (_SC_CLK_TCK);
}

static unsigned long
resident_kib (pid_t pid)
{
    char path[64], line[256];
    unsigned long kib = 0;
    snprintf (path, sizeof path, "/proc/%d/status", (int) pid);
    FILE *file = fopen (path, "r");
    while (file != NULL && fgets (line, sizeof line, file) != NULL)
        if (sscanf (line, "VmRSS: %lu", &kib) == 1)
            break;
    if (file != NULL)
        fclose (file);
    return kib;
}

/* --- the wire ------------------------------------------------------------------------------ */

static void *
open_socket (struct bench *bench, int type, const char *endpoint)
{
    void *socket = NULL;
    struct reel_error err;
    struct reel_socket_setup setup = {.type = type, .send_max = 100000, .receive_max = 1000000};
    if (reel_socket_open (bench->context, &setup, &socket, &err) != REEL_OK
        || reel_socket_connect (socket, endpoint, &err) != REEL_OK) {
        fprintf (stderr, "bench: %s\n", err.message);
        exit (1);
    }
    return socket;
}

static bool
receive (void *socket, struct reel_inbox *inbox, int timeout_ms)
{
    zmq_pollitem_t item = {socket, 0, ZMQ_POLLIN, 0};
    for (;;) {
        enum reel_status status = reel_socket_receive (socket, inbox);
        if (status == REEL_OK)
            return true;
        if (status != REEL_AGAIN || zmq_poll (&item, 1, timeout_ms) <= 0)
            return false;
    }
}

static uint64_t
stat_counter (struct bench *bench, const char *name)
{
    struct reel_buf header = {0};
    struct reel_message message;
    uint64_t value = 0;
    reel_message_init (&message, REEL_STATS);
    reel_message_encode (&message, &header);
    if (reel_socket_send_message (bench->producer, NULL, REEL_SLICE_NONE, false, REEL_STATS, reel_buf_slice (&header),
                                  NULL)
        != REEL_OK)
        die ("STATS");
    for (;;) {
        if (!receive (bench->producer, &bench->inbox, WAIT_MS))
            die ("no answer to STATS");
        struct reel_slice counters;
        if (bench->inbox.count >= 3
            && reel_scan_find (bench->inbox.frames[2], reel_slice_text ("counters"), &counters)) {
            reel_scan_find_uint (counters, name, &value);
            break;
        }
    }
    reel_buf_free (&header);
    return value;
}

static void
write_workflow (struct reel_buf *out, uint64_t id)
{
    static const char *const names[] = {"keyframe", "video", "film"};
    char text[PAYLOAD_BYTES + 1], workflow_id[32];
    memset (text, 'x', PAYLOAD_BYTES);
    text[PAYLOAD_BYTES] = '\0';
    snprintf (workflow_id, sizeof workflow_id, "bench-%d-%08llu", (int) getpid (), (unsigned long long) id);
    reel_buf_clear (out);
    reel_pack_map (out, 2);
    reel_pack_text (out, "workflow_id");
    reel_pack_text (out, workflow_id);
    reel_pack_text (out, "steps");
    reel_pack_array (out, 3);
    for (size_t i = 0; i < 3; i++) {
        reel_pack_map (out, 4);
        reel_pack_text (out, "step_id");
        reel_pack_text (out, names[i]);
        reel_pack_text (out, "modality");
        reel_pack_text (out, "echo");
        reel_pack_text (out, "payload");
        reel_pack_map (out, 1);
        reel_pack_text (out, "prompt");
        reel_pack_text (out, text);
        reel_pack_text (out, "depends_on");
        reel_pack_array (out, i == 0 ? 0 : 1);
        if (i > 0)
            reel_pack_text (out, names[i - 1]);
    }
}

static void
submit (struct bench *bench, struct reel_buf *document)
{
    static const uint8_t empty_map[] = {0x80};
    write_workflow (document, bench->next_id++);
    struct reel_slice slice = reel_buf_slice (document);
    if (reel_socket_send_message (bench->producer, NULL, REEL_SLICE_NONE, false, REEL_SUBMIT,
                                  reel_slice (empty_map, sizeof empty_map), &slice)
        != REEL_OK)
        die ("SUBMIT");
}

/* Reads answers to SUBMIT that are there, and waits for at least one receipt; returns how many came. */
static size_t
collect (struct bench *bench)
{
    size_t receipts = 0;
    zmq_pollitem_t items[] = {{bench->subscriber, 0, ZMQ_POLLIN, 0}, {bench->producer, 0, ZMQ_POLLIN, 0}};
    while (receipts == 0) {
        if (zmq_poll (items, 2, WAIT_MS) <= 0)
            die ("no receipt for a minute");
        while (reel_socket_receive (bench->producer, &bench->inbox) == REEL_OK)
            if (bench->inbox.count < 2 || !reel_slice_is (bench->inbox.frames[1], "OK"))
                die ("a SUBMIT was refused");
        while (reel_socket_receive (bench->subscriber, &bench->inbox) == REEL_OK)
            receipts++;
    }
    return receipts;
}

/* --- measuring ----------------------------------------------------------------------------- */

static int
compare (const void *a, const void *b)
{
    double left = *(const double *) a, right = *(const double *) b;
    return left < right ? -1 : left > right;
}

static double
quantile (double *values, size_t count, double q)
{
    qsort (values, count, sizeof *values, compare);
    return values[(size_t) (q * (double) (count - 1) + 0.5)];
}

static struct usage
used (struct bench *bench)
{
    return (struct usage){cpu_us (bench->broker.pid), cpu_us (bench->worker.pid), stat_counter (bench, "commits")};
}

static double
throughput (struct bench *bench, size_t workflows, size_t in_flight)
{
    struct reel_buf document = {0};
    size_t sent = 0, done = 0;
    int64_t start_us = reel_clock_monotonic_us ();
    while (done < workflows) {
        while (sent < workflows && sent - done < in_flight) {
            submit (bench, &document);
            sent++;
        }
        done += collect (bench);
    }
    reel_buf_free (&document);
    return (double) workflows * 1e6 / (double) (reel_clock_monotonic_us () - start_us);
}

static void
latency (struct bench *bench, double *p50_ms, double *p99_ms)
{
    static double values[LATENCY_WORKFLOWS];
    struct reel_buf document = {0};
    for (size_t i = 0; i < LATENCY_WORKFLOWS; i++) {
        int64_t start_us = reel_clock_monotonic_us ();
        submit (bench, &document);
        collect (bench);
        values[i] = (double) (reel_clock_monotonic_us () - start_us) / 1000;
    }
    reel_buf_free (&document);
    *p50_ms = quantile (values, LATENCY_WORKFLOWS, 0.5);
    *p99_ms = quantile (values, LATENCY_WORKFLOWS, 0.99);
}

/* The reference: what bare libzmq does here and now. */
static void *
echo (void *router)
{
    struct reel_inbox inbox;
    reel_inbox_init (&inbox);
    while (receive (router, &inbox, WAIT_MS) && inbox.frames[1].len > 1)
        if (reel_socket_send (router, inbox.frames, inbox.count) != REEL_OK)
            break;
    reel_inbox_free (&inbox);
    return NULL;
}

static double
bare_round_trips (struct bench *bench, size_t count, size_t in_flight)
{
    static const uint8_t body[1024] = {0};
    char endpoint[REEL_ENDPOINT_BYTES];
    struct reel_error err;
    struct reel_socket_setup setup = {.type = ZMQ_ROUTER, .send_max = 100000, .receive_max = 100000};
    void *router = NULL;
    pthread_t thread;
    if (reel_socket_open (bench->context, &setup, &router, &err) != REEL_OK
        || reel_socket_bind (router, "tcp://127.0.0.1:*", endpoint, &err) != REEL_OK
        || pthread_create (&thread, NULL, echo, router) != 0)
        die ("reference");
    void *dealer = open_socket (bench, ZMQ_DEALER, endpoint);
    const struct reel_slice frame = reel_slice (body, sizeof body), end = reel_slice (body, 1);
    size_t sent = 0, done = 0;
    int64_t start_us = reel_clock_monotonic_us ();
    while (done < count) {
        for (; sent < count && sent - done < in_flight; sent++)
            if (reel_socket_send (dealer, &frame, 1) != REEL_OK)
                die ("reference");
        if (!receive (dealer, &bench->inbox, WAIT_MS))
            die ("reference");
        done++;
    }
    double rate = (double) count * 1e6 / (double) (reel_clock_monotonic_us () - start_us);
    if (reel_socket_send (dealer, &end, 1) != REEL_OK)
        die ("reference");
    pthread_join (thread, NULL);
    reel_socket_close (&dealer);
    reel_socket_close (&router);
    return rate;
}

struct figures {
    double rate[REPETITIONS_MAX], bare[REPETITIONS_MAX], ratio[REPETITIONS_MAX];
    double broker_us[REPETITIONS_MAX], worker_us[REPETITIONS_MAX], syncs[REPETITIONS_MAX];
    double p50_ms[REPETITIONS_MAX], p99_ms[REPETITIONS_MAX], syncs_one[REPETITIONS_MAX];
};

static void
measure (struct bench *bench, struct figures *figures, size_t i, size_t workflows, size_t in_flight)
{
    double each = 1 / (double) workflows;
    figures->bare[i] = bare_round_trips (bench, 100000, in_flight);
    struct usage before = used (bench);
    figures->rate[i] = throughput (bench, workflows, in_flight);
    struct usage after = used (bench);
    figures->ratio[i] = figures->rate[i] / figures->bare[i];
    figures->broker_us[i] = (after.broker_us - before.broker_us) * each;
    figures->worker_us[i] = (after.worker_us - before.worker_us) * each;
    figures->syncs[i] = (double) (after.commits - before.commits) * each;
    before.commits = after.commits;
    latency (bench, &figures->p50_ms[i], &figures->p99_ms[i]);
    figures->syncs_one[i] = (double) (stat_counter (bench, "commits") - before.commits) / LATENCY_WORKFLOWS;
    printf ("  repetition %zu: %.0f workflows/s, p50 %.2f ms\n", i + 1, figures->rate[i], figures->p50_ms[i]);
    fflush (stdout);
}

static void
print_median (const char *what, double *values, size_t count, const char *unit)
{
    double middle = quantile (values, count, 0.5);
    printf ("%-52s %10.2f %-6s [%.2f .. %.2f]\n", what, middle, unit, values[0], values[count - 1]);
}

static void
start_all (struct bench *bench, const char *bin, const char *directory)
{
    char broker[4096], worker[4096], data[4096];
    snprintf (broker, sizeof broker, "%s/reel-broker", bin);
    snprintf (worker, sizeof worker, "%s/reel-worker", bin);
    snprintf (data, sizeof data, "%s/data", directory);
    char *broker_argv[] = {broker,
                           "--client",
                           "tcp://127.0.0.1:*",
                           "--worker",
                           "tcp://127.0.0.1:*",
                           "--events",
                           "tcp://127.0.0.1:*",
                           "--data",
                           data,
                           NULL};
    bench->broker = start (broker_argv);
    read_endpoints (bench);
    char *worker_argv[] = {worker, "--broker", bench->work, "--slots", "256", NULL};
    bench->worker = start (worker_argv);
    bench->context = zmq_ctx_new ();
    bench->producer = open_socket (bench, ZMQ_DEALER, bench->client);
    bench->subscriber = open_socket (bench, ZMQ_SUB, bench->events);
    if (bench->context == NULL || zmq_setsockopt (bench->subscriber, ZMQ_SUBSCRIBE, "receipt/", 8) != 0)
        die ("subscribe");
    /* The first receipt shows that the worker is there and that the subscription has arrived. */
    struct reel_buf document = {0};
    zmq_pollitem_t item = {bench->subscriber, 0, ZMQ_POLLIN, 0};
    do
        submit (bench, &document);
    while (zmq_poll (&item, 1, 200) == 0);
    uint64_t ended = 0;
    while (ended < bench->next_id)
        ended = stat_counter (bench, "succeeded");
    while (zmq_poll (&item, 1, 200) > 0 && reel_socket_receive (bench->subscriber, &bench->inbox) == REEL_OK)
        ;
    reel_buf_free (&document);
}

int
main (int argc, char **argv)
{
    static struct figures figures;
    struct bench bench = {0};
    if (argc < 3) {
        fprintf (stderr, "usage: bench BIN_DIR WORK_DIR [repetitions [workflows [in_flight]]]\n");
        return 64;
    }
    size_t repetitions = argc > 3 ? strtoul (argv[3], NULL, 10) : 5;
    size_t workflows = argc > 4 ? strtoul (argv[4], NULL, 10) : 50000;
    size_t in_flight = argc > 5 ? strtoul (argv[5], NULL, 10) : 512;
    if (repetitions < 1 || repetitions > REPETITIONS_MAX || workflows < 1 || in_flight < 1) {
        fprintf (stderr, "bench: 1 to %d repetitions, 1 or more workflows and in flight\n", REPETITIONS_MAX);
        return 64;
    }
    reel_inbox_init (&bench.inbox);
    start_all (&bench, argv[1], argv[2]);
    printf ("%zu repetitions of %zu workflows with %zu in flight, then %d with one\n", repetitions, workflows,
            in_flight, LATENCY_WORKFLOWS);
    for (size_t i = 0; i < repetitions; i++)
        measure (&bench, &figures, i, workflows, in_flight);
    printf ("\n%-52s %10s %-6s [least .. most]\n", "three no-op steps, 1 KiB, all of it durable", "median", "");
    print_median ("workflows a second", figures.rate, repetitions, "/s");
    print_median ("bare libzmq round trips a second, at the same time", figures.bare, repetitions, "/s");
    print_median ("workflows for each bare round trip", figures.ratio, repetitions, "");
    print_median ("CPU of the broker, a workflow", figures.broker_us, repetitions, "us");
    print_median ("CPU of the worker, a workflow", figures.worker_us, repetitions, "us");
    print_median ("syncs a workflow", figures.syncs, repetitions, "");
    print_median ("submit to receipt with one in flight, p50", figures.p50_ms, repetitions, "ms");
    print_median ("submit to receipt with one in flight, p99", figures.p99_ms, repetitions, "ms");
    print_median ("syncs a workflow with one in flight", figures.syncs_one, repetitions, "");
    printf ("%-52s %10.1f MiB\n", "resident size of the broker afterwards",
            (double) resident_kib (bench.broker.pid) / 1024);
    printf ("%-52s %10.1f MiB\n", "resident size of the worker afterwards",
            (double) resident_kib (bench.worker.pid) / 1024);
    reel_socket_close (&bench.producer);
    reel_socket_close (&bench.subscriber);
    reel_inbox_free (&bench.inbox);
    zmq_ctx_term (bench.context);
    stop (&bench.worker);
    stop (&bench.broker);
    return 0;
}
