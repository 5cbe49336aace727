/*
 * A worker's shell in a thread of its own, against a broker that a script plays: what the broker says, and what it expects
 * to hear.
 */
#ifndef REEL_TESTS_SUPPORT_WORKER_SHELL_FIXTURE_H
#define REEL_TESTS_SUPPORT_WORKER_SHELL_FIXTURE_H

#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/socket.h"
#include "proto/json.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/support/call.h"
#include "tests/support/scratch.h"
#include "worker/shell.h"

#define DEADLINE_MS 20000

static struct reel_registry *registry;
static struct reel_error err;
static struct reel_worker_shell_setup setup;
static struct reel_error shell_err;
static enum reel_status shell_status;
static pthread_t thread;
static bool running;
static int stop_pipe[2];
static char directory[SCRATCH_BYTES];
static void *context;
static void *router;
static char endpoint[REEL_ENDPOINT_BYTES];
static struct reel_inbox inbox;
static struct reel_message in;
static struct reel_buf peer; /* who sent `in` */
static struct reel_buf json; /* of the last document() */

/* The worker goes by the real clock. */
static inline void
let_pass_ms (int64_t ms)
{
    int64_t until_ms = call_now_ms () + ms;
    for (int64_t left_ms = ms; left_ms > 0; left_ms = until_ms - call_now_ms ())
        poll (NULL, 0, (int) left_ms);
}

static inline void
set_up (void)
{
    scratch_make (directory, false);
    ck_assert_int_eq (reel_registry_create (&registry), REEL_OK);
    ck_assert_int_eq (reel_registry_add_builtin (registry, &err), REEL_OK);
    ck_assert_int_eq (pipe (stop_pipe), 0);
    context = zmq_ctx_new ();
    const struct reel_socket_setup socket = {.type = ZMQ_ROUTER};
    ck_assert_int_eq (reel_socket_open (context, &socket, &router, &err), REEL_OK);
    ck_assert_int_eq (reel_socket_bind (router, "tcp://127.0.0.1:*", endpoint, &err), REEL_OK);
    reel_inbox_init (&inbox);
    setup = (struct reel_worker_shell_setup){.broker = endpoint,
                                             .name = "tested",
                                             .slots = 4,
                                             .drain_ms = DEADLINE_MS,
                                             .registry = registry,
                                             .stop_fd = stop_pipe[0]};
}

static inline void *
run_shell (void *unused)
{
    (void) unused;
    shell_status = reel_worker_shell_run (&setup, &shell_err);
    return NULL;
}

static inline void
stop (void)
{
    ck_assert_int_eq (write (stop_pipe[1], "x", 1), 1);
}

static inline enum reel_status
join (void)
{
    struct timespec until;
    clock_gettime (CLOCK_REALTIME, &until);
    until.tv_sec += DEADLINE_MS / 1000;
    ck_assert_int_eq (pthread_timedjoin_np (thread, NULL, &until), 0);
    running = false;
    return shell_status;
}

static inline void
tear_down (void)
{
    /* One read may take several: so it is said again until it has ended. */
    for (int i = 0; running && i < 1000; i++) {
        if (i % 10 == 0)
            stop ();
        struct timespec until;
        clock_gettime (CLOCK_REALTIME, &until);
        until.tv_nsec += 20000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        running = pthread_timedjoin_np (thread, NULL, &until) != 0;
    }
    ck_assert (!running);
    reel_inbox_free (&inbox);
    reel_socket_close (&router);
    zmq_ctx_term (context);
    reel_registry_destroy (&registry);
    reel_buf_free (&peer);
    reel_buf_free (&json);
    close (stop_pipe[0]);
    close (stop_pipe[1]);
    scratch_remove (directory);
}

/* --- playing the broker --------------------------------------------------------------------- */

/* Receives one message into `in`; false when none came within that time. */
static inline bool
receive_within (int64_t ms)
{
    int64_t until_ms = call_now_ms () + ms;
    for (;;) {
        enum reel_status status = reel_socket_receive (router, &inbox);
        if (status == REEL_OK)
            break;
        ck_assert_int_eq (status, REEL_AGAIN);
        int64_t left_ms = until_ms - call_now_ms ();
        if (left_ms <= 0)
            return false;
        zmq_pollitem_t item = {.socket = router, .events = ZMQ_POLLIN};
        zmq_poll (&item, 1, (long) left_ms);
    }
    reel_buf_clear (&peer);
    reel_buf_add_slice (&peer, inbox.frames[0]);
    ck_assert_msg (
        reel_message_decode (REEL_TO_BROKER, REEL_COMMAND_COUNT, inbox.frames + 1, inbox.count - 1, &in, &err)
            == REEL_OK,
        "%s: %s", err.path, err.message);
    return true;
}

static inline void
send_out (struct reel_message *out)
{
    struct reel_buf header = {0};
    reel_message_encode (out, &header);
    ck_assert_int_eq (reel_socket_send_message (router, NULL, reel_buf_slice (&peer), false, out->command,
                                                reel_buf_slice (&header), out->has_document ? &out->document : NULL),
                      REEL_OK);
    reel_buf_free (&header);
}

/* The next message that is no HEARTBEAT; those are answered. */
static inline void
expect (enum reel_command command)
{
    for (;;) {
        ck_assert_msg (receive_within (DEADLINE_MS), "no %s came", reel_message_spec (command)->name);
        if (in.command != REEL_WORKER_HEARTBEAT || command == REEL_WORKER_HEARTBEAT)
            break;
        struct reel_message out;
        reel_message_init (&out, REEL_BROKER_HEARTBEAT);
        reel_message_set_uint (&out, REEL_F_SENT_US, in.value[REEL_F_SENT_US].u);
        send_out (&out);
    }
    ck_assert_str_eq (reel_message_spec (in.command)->name, reel_message_spec (command)->name);
}

static struct reel_buf limits; /* empty: WELCOME names none */

static inline void
send_welcome (uint64_t heartbeat_ms, uint64_t lease_ms)
{
    static const uint8_t no_limits[] = {0x80};
    struct reel_message out;
    reel_message_init (&out, REEL_WELCOME);
    reel_message_set_uint (&out, REEL_F_HEARTBEAT_MS, heartbeat_ms);
    reel_message_set_uint (&out, REEL_F_LEASE_MS, lease_ms);
    reel_message_set_uint (&out, REEL_F_EPOCH, 7);
    reel_message_set (&out, REEL_F_LIMITS, limits.len > 0 ? reel_buf_slice (&limits) : reel_slice (no_limits, 1));
    send_out (&out);
}

static inline struct reel_lease
lease (uint64_t counter)
{
    return (struct reel_lease){7, counter};
}

static inline void
send_about (enum reel_command command, uint64_t counter)
{
    struct reel_message out;
    reel_message_init (&out, command);
    reel_message_set_lease (&out, REEL_F_LEASE, lease (counter));
    send_out (&out);
}

static inline void
send_ack (uint64_t counter, uint64_t index)
{
    struct reel_message out;
    reel_message_init (&out, REEL_ACK);
    reel_message_set_lease (&out, REEL_F_LEASE, lease (counter));
    reel_message_set_uint (&out, REEL_F_REPORT_INDEX, index);
    send_out (&out);
}

static inline void
send_assign (uint64_t counter, const char *document_json)
{
    struct reel_message out;
    struct reel_buf document = {0};
    ck_assert_msg (reel_json_read (reel_slice_text (document_json), &document, &err) == REEL_OK, "%s", err.message);
    reel_message_init (&out, REEL_ASSIGN);
    reel_message_set_lease (&out, REEL_F_LEASE, lease (counter));
    reel_message_set_text (&out, REEL_F_WORKFLOW_ID, "wf");
    reel_message_set_uint (&out, REEL_F_DELIVERY, 1);
    reel_message_set_document (&out, reel_buf_slice (&document));
    send_out (&out);
    reel_buf_free (&document);
}

/* Starts the worker and welcomes it. */
static inline void
start (uint64_t heartbeat_ms, uint64_t lease_ms)
{
    ck_assert_int_eq (pthread_create (&thread, NULL, run_shell, NULL), 0);
    running = true;
    expect (REEL_READY);
    send_welcome (heartbeat_ms, lease_ms);
}

#define STEP(id, modality, payload) "{\"step_id\":\"" id "\",\"modality\":\"" modality "\",\"payload\":" payload "}"
#define ONE(modality, payload) "{\"steps\":[" STEP ("a", modality, payload) "]}"

/* "kind step, kind step, ..." of the report that was received. */
static inline const char *
events (void)
{
    static char text[8192];
    size_t at = 0;
    struct reel_cursor cursor = reel_scan_start (in.document);
    struct reel_value head;
    struct reel_slice event;
    ck_assert_int_eq (in.command, REEL_REPORT);
    ck_assert_int_eq (reel_scan_check (in.document, 24, &err), REEL_OK);
    ck_assert (reel_scan_next (&cursor, &head) && head.type == REEL_ARRAY);
    while (reel_scan_skip (&cursor, &event)) {
        struct reel_slice kind = REEL_SLICE_NONE, step = REEL_SLICE_NONE;
        ck_assert (reel_scan_find_str (event, "kind", &kind));
        (void) reel_scan_find_str (event, "step_id", &step);
        at += (size_t) snprintf (text + at, sizeof text - at, "%s%.*s%s%.*s", at == 0 ? "" : ", ", REEL_TEXT (kind),
                                 step.len > 0 ? " " : "", REEL_TEXT (step));
    }
    text[at] = '\0';
    return text;
}

/* What the pointer finds in the report, as JSON. */
static inline const char *
document (const char *pointer)
{
    struct reel_slice found;
    reel_buf_clear (&json);
    if (reel_scan_pointer (in.document, reel_slice_text (pointer), &found))
        ck_assert_int_eq (reel_json_write (found, REEL_JSON_COMPACT, &json), REEL_OK);
    reel_buf_add_byte (&json, 0);
    return (const char *) json.data;
}

static inline void
expect_report (uint64_t counter, uint64_t index, const char *list)
{
    expect (REEL_REPORT);
    ck_assert (reel_lease_equal (in.value[REEL_F_LEASE].lease, lease (counter)));
    ck_assert_str_eq (events (), list);
    ck_assert (!in.value[REEL_F_REPORT_INDEX].nil);
    ck_assert_uint_eq (in.value[REEL_F_REPORT_INDEX].u, index);
}

static inline bool
file_exists (const char *name)
{
    char path[4096];
    snprintf (path, sizeof path, "%s/%s", directory, name);
    return access (path, F_OK) == 0;
}

/* Waits for a condition that the worker brings about by itself. */
static inline void
await_file (const char *name)
{
    int64_t until_ms = call_now_ms () + DEADLINE_MS;
    while (!file_exists (name)) {
        ck_assert_msg (call_now_ms () < until_ms, "%s", name);
        poll (NULL, 0, 5);
    }
}

/* Adds a modality that is served by a script of the shell, with the test's directory as $1. */
static inline void
add_script (const char *modality, const char *script)
{
    call_add_script (registry, modality, script, directory, directory);
}

#endif
