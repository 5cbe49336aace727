/*
 * The worker's shell against a broker that a script plays: what it says, when, and what it does about the answers.
 */
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/socket.h"
#include "proto/json.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/support/call.h"
#include "tests/support/suite.h"
#include "worker/adapter_exec.h"
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
static char *directory;
static void *context;
static void *router;
static char endpoint[REEL_ENDPOINT_BYTES];
static struct reel_inbox inbox;
static struct reel_message in;
static struct reel_buf peer; /* who sent `in` */
static struct reel_buf json; /* of the last document() */

static void
set_up (void)
{
    directory = call_directory ();
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

static void *
run_shell (void *unused)
{
    (void) unused;
    shell_status = reel_worker_shell_run (&setup, &shell_err);
    return NULL;
}

static void
stop (void)
{
    ck_assert_int_eq (write (stop_pipe[1], "x", 1), 1);
}

static enum reel_status
join (void)
{
    struct timespec until;
    clock_gettime (CLOCK_REALTIME, &until);
    until.tv_sec += DEADLINE_MS / 1000;
    ck_assert_int_eq (pthread_timedjoin_np (thread, NULL, &until), 0);
    running = false;
    return shell_status;
}

static void
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
    call_directory_remove (directory);
}

/* --- playing the broker --------------------------------------------------------------------- */

/* Receives one message into `in`; false when none came within that time. */
static bool
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

static void
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
static void
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

static void
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

static struct reel_lease
lease (uint64_t counter)
{
    return (struct reel_lease){7, counter};
}

static void
send_about (enum reel_command command, uint64_t counter)
{
    struct reel_message out;
    reel_message_init (&out, command);
    reel_message_set_lease (&out, REEL_F_LEASE, lease (counter));
    send_out (&out);
}

static void
send_ack (uint64_t counter, uint64_t index)
{
    struct reel_message out;
    reel_message_init (&out, REEL_ACK);
    reel_message_set_lease (&out, REEL_F_LEASE, lease (counter));
    reel_message_set_uint (&out, REEL_F_REPORT_INDEX, index);
    send_out (&out);
}

static void
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
static void
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
static const char *
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
static const char *
document (const char *pointer)
{
    struct reel_slice found;
    reel_buf_clear (&json);
    if (reel_scan_pointer (in.document, reel_slice_text (pointer), &found))
        ck_assert_int_eq (reel_json_write (found, REEL_JSON_COMPACT, &json), REEL_OK);
    reel_buf_add_byte (&json, 0);
    return (const char *) json.data;
}

static void
expect_report (uint64_t counter, uint64_t index, const char *list)
{
    expect (REEL_REPORT);
    ck_assert (reel_lease_equal (in.value[REEL_F_LEASE].lease, lease (counter)));
    ck_assert_str_eq (events (), list);
    ck_assert (!in.value[REEL_F_REPORT_INDEX].nil);
    ck_assert_uint_eq (in.value[REEL_F_REPORT_INDEX].u, index);
}

static bool
file_exists (const char *name)
{
    char path[4096];
    snprintf (path, sizeof path, "%s/%s", directory, name);
    return access (path, F_OK) == 0;
}

/* Waits for a condition that the worker brings about by itself. */
static void
await_file (const char *name)
{
    int64_t until_ms = call_now_ms () + DEADLINE_MS;
    while (!file_exists (name)) {
        ck_assert_msg (call_now_ms () < until_ms, "%s", name);
        poll (NULL, 0, 5);
    }
}

/* Adds a modality that is served by a script of the shell, with the test's directory as $1. */
static void
add_script (const char *modality, const char *script)
{
    struct reel_adapter *adapter = NULL;
    const char *const arguments[] = {"-c", script, "script", directory, NULL};
    const char *const environment[] = {"PATH", NULL};
    const struct reel_exec_setup exec = {.command = "/bin/sh",
                                         .arguments = arguments,
                                         .environment = environment,
                                         .work = directory,
                                         .grace_ms = 60000,
                                         .output_bytes_max = 100000};
    ck_assert_msg (reel_adapter_exec_create (&exec, &adapter, &err) == REEL_OK, "%s", err.message);
    ck_assert_int_eq (reel_registry_add (registry, modality, &adapter, &(struct reel_policy){0}, &err), REEL_OK);
}

/* --- READY and work ------------------------------------------------------------------------- */

START_TEST (ready_says_what_it_can_do)
{
    ck_assert_int_eq (pthread_create (&thread, NULL, run_shell, NULL), 0);
    running = true;
    expect (REEL_READY);
    ck_assert (reel_slice_is (in.value[REEL_F_NAME].s, "tested"));
    ck_assert_uint_eq (in.value[REEL_F_INSTANCE].s.len, 16);
    ck_assert_uint_eq (in.value[REEL_F_SLOTS].u, 4);
    ck_assert (!reel_message_has (&in, REEL_F_RESUMED));
    struct reel_buf text = {0};
    ck_assert_int_eq (reel_json_write (in.value[REEL_F_MODALITIES].s, 0, &text), REEL_OK);
    ck_assert (reel_slice_is (reel_buf_slice (&text), "[\"echo\",\"fail\",\"sleep\"]"));
    reel_buf_clear (&text);
    ck_assert_int_eq (reel_json_write (in.value[REEL_F_DISPATCH].s, 0, &text), REEL_OK);
    reel_buf_add_byte (&text, '\0');
    ck_assert_ptr_eq (strstr ((const char *) text.data, "{\"echo\":{\"adapter\":\"echo\",\"class\":\"idempotent\"}"),
                      text.data);
    reel_buf_free (&text);
}
END_TEST

START_TEST (workflow_of_idempotent_steps_is_one_report)
{
    start (5000, 20000);
    send_assign (1, "{\"steps\":[" STEP ("a", "echo", "{\"x\":1}") "," STEP ("b", "fail", "{}") "," STEP (
                        "c", "echo", "{\"y\":2}") "]}");
    expect_report (1, 1,
                   "step.started a, step.succeeded a, step.started b, step.failed b, step.started c, step.succeeded "
                   "c, workflow.ended");
    ck_assert_str_eq (document ("/1/receipt/output"), "{\"x\":1}");
    ck_assert_str_eq (document ("/1/receipt/provenance"), "{\"workflow_id\":\"wf\",\"workflow_step_id\":\"a\"}");
    ck_assert_str_eq (document ("/3/error/code"), "\"failed\"");
    send_ack (1, 7);
    send_assign (2, ONE ("echo", "{}"));
    expect_report (2, 1, "step.started a, step.succeeded a, workflow.ended");
}
END_TEST

START_TEST (slots_are_worked_at_together)
{
    start (5000, 20000);
    for (uint64_t i = 1; i <= 4; i++)
        send_assign (i, ONE ("sleep", "{\"ms\":1000}"));
    for (int i = 0; i < 4; i++) {
        expect (REEL_REPORT);
        ck_assert_str_eq (events (), "step.started a");
    }
    for (int i = 0; i < 4; i++) {
        expect (REEL_REPORT);
        ck_assert_str_eq (events (), "step.succeeded a, workflow.ended");
        ck_assert_uint_eq (in.value[REEL_F_REPORT_INDEX].u, 2);
    }
}
END_TEST

START_TEST (delivery_attempts_and_provenance_reach_the_run)
{
    struct reel_message out;
    struct reel_buf bytes = {0}, provenance = {0};
    start (5000, 20000);
    ck_assert_int_eq (reel_json_read (reel_slice_text (ONE ("echo", "{}")), &bytes, &err), REEL_OK);
    ck_assert_int_eq (reel_json_read (reel_slice_text ("{\"who\":\"me\"}"), &provenance, &err), REEL_OK);
    reel_message_init (&out, REEL_ASSIGN);
    reel_message_set_lease (&out, REEL_F_LEASE, lease (9));
    reel_message_set_text (&out, REEL_F_WORKFLOW_ID, "given");
    reel_message_set_uint (&out, REEL_F_DELIVERY, 3);
    reel_message_set_uint (&out, REEL_F_ATTEMPTS, 2);
    reel_message_set (&out, REEL_F_PROVENANCE, reel_buf_slice (&provenance));
    reel_message_set_document (&out, reel_buf_slice (&bytes));
    send_out (&out);
    expect_report (9, 1, "step.started a, step.succeeded a, workflow.ended");
    ck_assert_str_eq (document ("/0/attempt"), "3");
    ck_assert_str_eq (document ("/1/receipt/provenance"),
                      "{\"who\":\"me\",\"workflow_id\":\"given\",\"workflow_step_id\":\"a\"}");
    ck_assert_str_eq (document ("/1/receipt/idempotency_key"), "\"given/a\"");
    reel_buf_free (&bytes);
    reel_buf_free (&provenance);
}
END_TEST

/* The broker says what it takes: what is larger, or deeper, fails its step here. */
START_TEST (limits_of_the_broker_bind_the_worker)
{
    char large[3100];
    ck_assert_int_eq (
        reel_json_read (reel_slice_text ("{\"receipt_bytes\":2000,\"report_bytes\":2500,\"depth\":5}"), &limits, &err),
        REEL_OK);
    start (5000, 20000);
    snprintf (large, sizeof large, "{\"x\":\"%03000d\"}", 0);
    const char *const payloads[] = {large, "{\"x\":[[[[[]]]]]}"};
    for (unsigned i = 0; i < 2; i++) {
        char workflow[4096];
        snprintf (workflow, sizeof workflow,
                  "{\"workflow_id\":\"wf\",\"steps\":[{\"step_id\":\"a\",\"modality\":\"echo\",\"payload\":%s}]}",
                  payloads[i]);
        send_assign (1 + i, workflow);
        expect_report (1 + i, 1, "step.started a, step.failed a, workflow.ended");
        ck_assert_str_eq (document ("/1/error/code"), "\"limit_exceeded\"");
    }
    reel_buf_free (&limits);
}
END_TEST

/* A broker that comes back may take more than the one before, or (who says 0 says nothing usable) hardly anything. */
START_TEST (limits_are_those_of_the_newest_welcome)
{
    static const char *const told[] = {"{\"receipt_bytes\":0,\"report_bytes\":0,\"depth\":0}", "{}"};
    char workflow[4096];
    snprintf (workflow, sizeof workflow,
              "{\"steps\":[{\"step_id\":\"a\",\"modality\":\"echo\",\"payload\":{\"x\":[[[\"%03000d\"]]]}}]}", 0);
    start (5000, 20000);
    for (unsigned i = 0; i < 2; i++) {
        reel_buf_clear (&limits);
        ck_assert_int_eq (reel_json_read (reel_slice_text (told[i]), &limits, &err), REEL_OK);
        send_welcome (5000, 20000);
        send_assign (1 + i, workflow);
        if (i == 0) { /* one event a report */
            expect_report (1, 1, "step.started a");
            expect_report (1, 2, "step.failed a");
            expect_report (1, 3, "workflow.ended");
        } else
            expect_report (2, 1, "step.started a, step.succeeded a, workflow.ended");
    }
    reel_buf_free (&limits);
}
END_TEST

/* Why a lease is not ours any more is for the log, whatever form it has. */
START_TEST (fenced_lease_may_say_why)
{
    static const char *const errors[] = {"{\"code\":\"x\",\"message\":\"it was given to another\"}", "{}", "\"why\""};
    setup.slots = 1;
    start (20, 20000);
    for (unsigned i = 0; i < 3; i++) {
        struct reel_message out;
        struct reel_buf error = {0};
        ck_assert_int_eq (reel_json_read (reel_slice_text (errors[i]), &error, &err), REEL_OK);
        send_assign (1 + i, ONE ("sleep", "{\"ms\":60000}"));
        expect_report (1 + i, 1, "step.started a");
        reel_message_init (&out, REEL_FENCED);
        reel_message_set_lease (&out, REEL_F_LEASE, lease (1 + i));
        reel_message_set (&out, REEL_F_ERROR, reel_buf_slice (&error));
        send_out (&out);
        send_out (&out); /* it is nothing to us any more */
        reel_buf_free (&error);
    }
}
END_TEST

START_TEST (modality_not_served_is_given_back)
{
    start (5000, 20000);
    send_assign (1, "{\"steps\":[" STEP ("a", "echo", "{}") "," STEP ("b", "video", "{}") "]}");
    expect_report (1, 1, "step.started a, step.succeeded a, workflow.yielded");
}
END_TEST

START_TEST (assignment_before_the_welcome_is_given_back)
{
    ck_assert_int_eq (pthread_create (&thread, NULL, run_shell, NULL), 0);
    running = true;
    expect (REEL_READY);
    send_assign (1, ONE ("echo", "{}"));
    expect_report (1, 1, "workflow.yielded");
    send_welcome (5000, 20000);
    send_assign (2, ONE ("echo", "{}"));
    expect_report (2, 1, "step.started a, step.succeeded a, workflow.ended");
}
END_TEST

START_TEST (same_assignment_twice_is_one)
{
    start (5000, 20000);
    send_assign (1, ONE ("sleep", "{\"ms\":50}"));
    send_assign (1, ONE ("sleep", "{\"ms\":50}"));
    expect_report (1, 1, "step.started a");
    expect_report (1, 2, "step.succeeded a, workflow.ended");
}
END_TEST

START_TEST (workflow_that_does_not_hold_is_given_back)
{
    start (5000, 20000);
    send_assign (1, "{\"steps\":[]}");
    expect_report (1, 1, "workflow.yielded");
    send_assign (2, ONE ("echo", "{}"));
    expect_report (2, 1, "step.started a, step.succeeded a, workflow.ended");
}
END_TEST

START_TEST (workflow_beyond_the_slots_is_given_back)
{
    setup.slots = 1;
    start (5000, 20000);
    send_assign (1, ONE ("sleep", "{\"ms\":60000}"));
    send_assign (2, ONE ("echo", "{}"));
    expect (REEL_REPORT);
    bool first = in.value[REEL_F_LEASE].lease.counter == 1;
    ck_assert_str_eq (events (), first ? "step.started a" : "workflow.yielded");
    expect (REEL_REPORT);
    ck_assert_str_eq (events (), first ? "workflow.yielded" : "step.started a");
}
END_TEST

START_TEST (slot_is_free_as_soon_as_the_run_has_ended)
{
    /* The broker may hand out the next one before its ACK is here. */
    setup.slots = 1;
    start (5000, 20000);
    for (uint64_t i = 1; i <= 20; i++) {
        send_assign (i, ONE ("echo", "{}"));
        expect_report (i, 1, "step.started a, step.succeeded a, workflow.ended");
    }
}
END_TEST

START_TEST (nonsense_is_passed_over)
{
    start (5000, 20000);
    static const char *const frames[][4] = {
        {"REEL2", "ASSIGN", "\x80", NULL},
        {"REEL1", "DANCE", "\x80", NULL},
        {"REEL1", "ASSIGN", "\x80", NULL},
        {"REEL1", NULL, NULL, NULL},
        {"", "", "", ""},
        {"REEL1", "ACK", "\xc1", NULL},
    };
    for (size_t i = 0; i < 6; i++) {
        struct reel_slice list[5] = {reel_buf_slice (&peer)};
        size_t count = 1;
        for (size_t j = 0; j < 4 && frames[i][j] != NULL; j++)
            list[count++] = reel_slice_text (frames[i][j]);
        ck_assert_int_eq (reel_socket_send (router, list, count), REEL_OK);
    }
    send_ack (99, 1);
    send_about (REEL_FENCED, 99);
    send_about (REEL_WORKER_CANCEL, 99);
    send_about (REEL_WORKER_YIELD, 99);
    struct reel_message out;
    reel_message_init (&out, REEL_WORKER_ERROR);
    reel_message_set_text (&out, REEL_F_CODE, "malformed");
    reel_message_set_text (&out, REEL_F_MESSAGE, "for the log");
    send_out (&out);
    send_assign (1, ONE ("sleep", "{\"ms\":50}"));
    expect_report (1, 1, "step.started a");
    send_ack (1, 77); /* beyond what was ever sent */
    expect_report (1, 2, "step.succeeded a, workflow.ended");
}
END_TEST

/* --- the rule that protects paid work --------------------------------------------------------- */

START_TEST (paid_step_starts_after_its_start_is_durable)
{
    add_script ("paid", "touch $1/ran; echo '{{\"a\":1}}'");
    start (20, 20000);
    send_assign (1, ONE ("paid", "{}"));
    expect_report (1, 1, "step.started a");
    ck_assert_str_eq (document ("/0/idempotent"), "false");
    for (int i = 0; i < 3; i++)
        expect (REEL_WORKER_HEARTBEAT); /* several turns of its loop later */
    ck_assert (!file_exists ("ran"));
    send_ack (1, 1);
    expect_report (1, 2, "step.succeeded a, workflow.ended");
    ck_assert (file_exists ("ran"));
}
END_TEST

START_TEST (paid_step_waits_for_a_lease_that_is_known_to_live)
{
    /* The ACK comes, but what it answers was sent too long ago. */
    add_script ("paid", "touch $1/ran");
    start (60000, 200);
    send_assign (1, ONE ("paid", "{}"));
    expect_report (1, 1, "step.started a");
    int64_t late_ms = call_now_ms () + 300;
    while (call_now_ms () < late_ms)
        poll (NULL, 0, 10);
    send_ack (1, 1);
    expect (REEL_WORKER_HEARTBEAT);
    ck_assert (!file_exists ("ran"));
    uint64_t sent_us = in.value[REEL_F_SENT_US].u;
    struct reel_message out;
    reel_message_init (&out, REEL_BROKER_HEARTBEAT);
    reel_message_set_uint (&out, REEL_F_SENT_US, sent_us - 250000); /* an old one, under this lease, does not help */
    send_out (&out);
    expect (REEL_WORKER_HEARTBEAT);
    ck_assert (!file_exists ("ran"));
    reel_message_set_uint (&out, REEL_F_SENT_US, in.value[REEL_F_SENT_US].u);
    send_out (&out);
    expect_report (1, 2, "step.succeeded a, workflow.ended");
    ck_assert (file_exists ("ran"));
}
END_TEST

START_TEST (terms_of_a_new_welcome_hold_for_what_is_under_way)
{
    add_script ("paid", "touch $1/ran");
    start (60000, 20000);
    send_assign (1, ONE ("paid", "{}"));
    expect_report (1, 1, "step.started a");
    send_welcome (60000, 200);
    int64_t late_ms = call_now_ms () + 300;
    while (call_now_ms () < late_ms)
        poll (NULL, 0, 10);
    send_ack (1, 1);
    expect (REEL_WORKER_HEARTBEAT);
    ck_assert (!file_exists ("ran"));
}
END_TEST

START_TEST (report_sent_again_counts_from_its_first_sending)
{
    /* A lease of 1200: sent again after 600; the ACK at 1250 may answer the first, which is too long ago. */
    add_script ("paid", "touch $1/ran");
    start (50, 1200);
    send_assign (1, ONE ("paid", "{}"));
    expect_report (1, 1, "step.started a");
    int64_t sent_ms = call_now_ms ();
    do {
        ck_assert (receive_within (DEADLINE_MS)); /* heartbeats stay unanswered, but something is heard */
        send_about (REEL_FENCED, 99);
    } while (in.command != REEL_REPORT);
    ck_assert_str_eq (events (), "step.started a");
    ck_assert_uint_eq (in.value[REEL_F_REPORT_INDEX].u, 1);
    while (call_now_ms () < sent_ms + 1250) {
        (void) receive_within (10);
        send_about (REEL_FENCED, 99);
    }
    send_ack (1, 1);
    int64_t answer_ms = call_now_ms () + 200;
    while (call_now_ms () < answer_ms) {
        (void) receive_within (10);
        send_about (REEL_FENCED, 99);
    }
    ck_assert (!file_exists ("ran"));
    expect_report (1, 2, "step.succeeded a, workflow.ended");
}
END_TEST

/* --- heartbeats, fences, reconnection ----------------------------------------------------------- */

START_TEST (heartbeat_names_every_lease)
{
    start (20, 20000);
    send_assign (1, ONE ("sleep", "{\"ms\":60000}"));
    send_assign (2, ONE ("sleep", "{\"ms\":60000}"));
    struct reel_buf text = {0};
    int64_t until_ms = call_now_ms () + DEADLINE_MS;
    do {
        ck_assert (receive_within (DEADLINE_MS) && call_now_ms () < until_ms);
        if (in.command != REEL_WORKER_HEARTBEAT)
            continue;
        reel_buf_clear (&text);
        ck_assert_int_eq (reel_json_write (in.value[REEL_F_LEASES].s, 0, &text), REEL_OK);
    } while (!reel_slice_is (reel_buf_slice (&text), "[[7,2],[7,1]]")
             && !reel_slice_is (reel_buf_slice (&text), "[[7,1],[7,2]]"));
    ck_assert_int_le ((int64_t) in.value[REEL_F_SENT_US].u, reel_clock_monotonic_us ());
    reel_buf_free (&text);
}
END_TEST

START_TEST (fenced_lease_is_ended_without_a_word)
{
    setup.slots = 1;
    add_script ("long", "echo $$ >$1/pid.new; mv $1/pid.new $1/pid; exec sleep 60");
    start (20, 20000);
    send_assign (1, ONE ("long", "{}"));
    expect_report (1, 1, "step.started a");
    send_ack (1, 1);
    await_file ("pid");
    send_about (REEL_FENCED, 1);
    /* The slot is free at once; and nothing more is heard of the first lease. */
    send_assign (2, ONE ("sleep", "{\"ms\":100}"));
    expect_report (2, 1, "step.started a");
    expect_report (2, 2, "step.succeeded a, workflow.ended");
    char *text = call_read_file (directory, "pid");
    long pid = strtol (text, NULL, 10);
    int64_t until_ms = call_now_ms () + DEADLINE_MS;
    while (call_process_lives (pid)) {
        ck_assert_int_lt (call_now_ms (), until_ms);
        poll (NULL, 0, 5);
    }
    free (text);
    expect (REEL_WORKER_HEARTBEAT);
    ck_assert_uint_eq (in.value[REEL_F_LEASES].s.len, 1 + 3); /* [[7, 2]], which is not acknowledged */
}
END_TEST

/* The resume list of READY, as JSON. */
static const char *
resume (void)
{
    reel_buf_clear (&json);
    if (reel_message_has (&in, REEL_F_RESUMED))
        ck_assert_int_eq (reel_json_write (in.value[REEL_F_RESUMED].s, 0, &json), REEL_OK);
    reel_buf_add_byte (&json, 0);
    return (const char *) json.data;
}

START_TEST (who_is_answered_with_ready_and_the_rest_is_sent_again)
{
    start (5000, 20000);
    send_assign (1, "{\"steps\":[" STEP ("a", "echo", "{}") "," STEP ("b", "sleep", "{\"ms\":60000}") "]}");
    expect_report (1, 1, "step.started a, step.succeeded a, step.started b");
    struct reel_message out;
    reel_message_init (&out, REEL_WHO);
    send_out (&out);
    send_out (&out); /* of another message that was under way */
    expect (REEL_READY);
    ck_assert_str_eq (resume (), "[[[7,1],3]]");
    ck_assert_uint_eq (in.value[REEL_F_SLOTS].u, 4);
    send_welcome (5000, 20000);
    send_ack (1, 1);
    expect_report (1, 2, "step.succeeded a, step.started b");
    send_ack (1, 3);
    send_about (REEL_WORKER_CANCEL, 1);
    expect_report (1, 4, "step.failed b, workflow.ended");
}
END_TEST

START_TEST (nothing_is_reported_between_ready_and_its_answer)
{
    start (20, 20000);
    send_assign (1, ONE ("sleep", "{\"ms\":500}"));
    expect_report (1, 1, "step.started a");
    struct reel_message out;
    reel_message_init (&out, REEL_WHO);
    send_out (&out);
    expect (REEL_READY);
    ck_assert_str_eq (resume (), "[[[7,1],1]]");
    /* While it is not welcome it says READY again and again, and nothing else: not even what has ended by now. */
    int64_t until_ms = call_now_ms () + 700;
    while (call_now_ms () < until_ms) {
        if (receive_within (10))
            ck_assert_str_eq (reel_message_spec (in.command)->name, "READY");
    }
    send_welcome (5000, 20000);
    send_ack (1, 0);
    do
        ck_assert (receive_within (DEADLINE_MS));
    while (in.command == REEL_READY);
    ck_assert_str_eq (events (), "step.started a, step.succeeded a, workflow.ended");
    ck_assert_uint_eq (in.value[REEL_F_REPORT_INDEX].u, 1);
}
END_TEST

START_TEST (lease_that_ready_named_in_vain_is_named_again)
{
    start (20, 20000);
    send_assign (1, ONE ("echo", "{}"));
    expect_report (1, 1, "step.started a, step.succeeded a, workflow.ended");
    struct reel_message out;
    reel_message_init (&out, REEL_WHO);
    send_out (&out);
    expect (REEL_READY);
    send_welcome (20, 20000);
    do /* the answer about the lease got lost */
        ck_assert (receive_within (DEADLINE_MS));
    while (in.command != REEL_READY);
    ck_assert_str_eq (resume (), "[[[7,1],3]]");
    send_welcome (5000, 20000);
    send_ack (1, 2);
    do
        ck_assert (receive_within (DEADLINE_MS));
    while (in.command != REEL_REPORT);
    ck_assert_str_eq (events (), "workflow.ended");
}
END_TEST

START_TEST (lease_that_was_lost_meanwhile_is_dropped)
{
    setup.slots = 1;
    start (5000, 20000);
    send_assign (1, ONE ("sleep", "{\"ms\":60000}"));
    expect_report (1, 1, "step.started a");
    struct reel_message out;
    reel_message_init (&out, REEL_WHO);
    send_out (&out);
    expect (REEL_READY);
    send_welcome (5000, 20000);
    send_about (REEL_FENCED, 1);
    send_assign (2, ONE ("echo", "{}"));
    expect_report (2, 1, "step.started a, step.succeeded a, workflow.ended");
}
END_TEST

START_TEST (silent_broker_is_connected_to_again)
{
    uint8_t instance[16];
    ck_assert_int_eq (pthread_create (&thread, NULL, run_shell, NULL), 0);
    running = true;
    expect (REEL_READY);
    memcpy (instance, in.value[REEL_F_INSTANCE].s.data, 16);
    send_welcome (20, 1000);
    send_assign (1, ONE ("sleep", "{\"ms\":60000}"));
    expect_report (1, 1, "step.started a");
    struct reel_buf before = {0};
    reel_buf_add_slice (&before, reel_buf_slice (&peer));
    do
        ck_assert (receive_within (DEADLINE_MS)); /* nothing is answered */
    while (reel_slice_equal (reel_buf_slice (&before), reel_buf_slice (&peer)));
    ck_assert_int_eq (in.command, REEL_READY);
    ck_assert_int_eq (memcmp (instance, in.value[REEL_F_INSTANCE].s.data, 16), 0);
    ck_assert_str_eq (resume (), "[[[7,1],1]]");
    send_welcome (5000, 20000);
    send_ack (1, 1);
    send_about (REEL_WORKER_CANCEL, 1);
    do
        ck_assert (receive_within (DEADLINE_MS));
    while (in.command != REEL_REPORT || in.value[REEL_F_REPORT_INDEX].u != 2);
    ck_assert_str_eq (events (), "step.failed a, workflow.ended");
    reel_buf_free (&before);
}
END_TEST

START_TEST (report_that_was_lost_is_sent_again)
{
    start (20, 1000);
    send_assign (1, ONE ("echo", "{}"));
    expect_report (1, 1, "step.started a, step.succeeded a, workflow.ended");
    expect_report (1, 1, "step.started a, step.succeeded a, workflow.ended");
    send_ack (1, 2); /* says from where */
    do
        expect (REEL_REPORT);
    while (in.value[REEL_F_REPORT_INDEX].u == 1); /* sent before that arrived */
    ck_assert_str_eq (events (), "workflow.ended");
    ck_assert_uint_eq (in.value[REEL_F_REPORT_INDEX].u, 3);
    send_ack (1, 3);
    do
        ck_assert (receive_within (DEADLINE_MS));
    while (in.command != REEL_WORKER_HEARTBEAT || in.value[REEL_F_LEASES].s.len != 1); /* [] */
}
END_TEST

/* --- progress ------------------------------------------------------------------------------------ */

START_TEST (progress_is_thinned_and_the_newest_arrives)
{
    add_script ("busy", "for i in 1 2 3 4 5 6 7 8 9; do echo '{{\"progress\":0.'$i'}}'; done; "
                        "while [ ! -e $1/go ]; do sleep 0.01; done");
    start (5000, 20000);
    send_assign (1, ONE ("busy", "{}"));
    expect_report (1, 1, "step.started a");
    send_ack (1, 1);
    unsigned count = 0;
    int64_t begun_ms = call_now_ms ();
    do {
        expect (REEL_REPORT);
        ck_assert (in.value[REEL_F_REPORT_INDEX].nil);
        ck_assert_str_eq (events (), "step.progress a");
        ck_assert_int_le (++count, 2 + (call_now_ms () - begun_ms) / 240);
    } while (strncmp (document ("/0/fraction"), "0.9", 3) != 0);
    call_write_file (directory, "go", "");
    expect_report (1, 2, "step.succeeded a, workflow.ended");
}
END_TEST

/* --- ending early -------------------------------------------------------------------------------- */

START_TEST (cancel_ends_the_step_and_the_workflow)
{
    start (5000, 20000);
    send_assign (1, "{\"steps\":[" STEP ("a", "sleep", "{\"ms\":60000}") "," STEP ("b", "echo", "{}") "]}");
    expect_report (1, 1, "step.started a");
    send_about (REEL_WORKER_CANCEL, 1);
    send_about (REEL_WORKER_CANCEL, 1);
    expect_report (1, 2, "step.failed a, workflow.ended");
    ck_assert_str_eq (document ("/0/error/code"), "\"cancelled\"");
    ck_assert_str_eq (document ("/1/error/code"), "\"cancelled\"");
}
END_TEST

START_TEST (yield_lets_the_step_end)
{
    start (5000, 20000);
    send_assign (1, "{\"steps\":[" STEP ("a", "sleep", "{\"ms\":1000}") "," STEP ("b", "echo", "{}") "]}");
    expect_report (1, 1, "step.started a");
    send_about (REEL_WORKER_YIELD, 1);
    expect_report (1, 2, "step.succeeded a, workflow.yielded");
}
END_TEST

START_TEST (idle_worker_leaves_at_once)
{
    start (5000, 20000);
    send_assign (1, ONE ("echo", "{}"));
    expect_report (1, 1, "step.started a, step.succeeded a, workflow.ended");
    send_ack (1, 3);
    stop ();
    expect (REEL_READY);
    ck_assert_uint_eq (in.value[REEL_F_SLOTS].u, 0);
    expect (REEL_LEAVE);
    ck_assert_int_eq (join (), REEL_OK);
}
END_TEST

START_TEST (draining_worker_ends_its_steps_gives_back_the_rest_and_leaves)
{
    start (5000, 20000);
    send_assign (1, "{\"steps\":[" STEP ("a", "sleep", "{\"ms\":1000}") "," STEP ("b", "echo", "{}") "]}");
    send_assign (2, ONE ("sleep", "{\"ms\":1000}"));
    expect (REEL_REPORT);
    expect (REEL_REPORT);
    stop ();
    expect (REEL_READY);
    ck_assert_uint_eq (in.value[REEL_F_SLOTS].u, 0);
    send_assign (3, ONE ("echo", "{}")); /* was on its way */
    send_welcome (5000, 20000);
    expect_report (3, 1, "workflow.yielded");
    for (int i = 0; i < 2; i++) {
        expect (REEL_REPORT);
        uint64_t counter = in.value[REEL_F_LEASE].lease.counter;
        ck_assert_str_eq (events (),
                          counter == 1 ? "step.succeeded a, workflow.yielded" : "step.succeeded a, workflow.ended");
        ck_assert (running);
        send_ack (counter, 3); /* only now has it nothing to say any more */
    }
    expect (REEL_LEAVE);
    ck_assert_int_eq (join (), REEL_OK);
}
END_TEST

START_TEST (step_that_outlasts_the_draining_is_ended)
{
    setup.drain_ms = 50;
    add_script ("long", "echo $$ >$1/pid.new; mv $1/pid.new $1/pid; exec sleep 60");
    start (5000, 20000);
    send_assign (1, ONE ("long", "{}"));
    expect_report (1, 1, "step.started a");
    send_ack (1, 1);
    await_file ("pid");
    stop ();
    expect (REEL_READY);
    ck_assert_int_eq (join (), REEL_AGAIN);
    ck_assert (!receive_within (50)); /* neither a report nor LEAVE: the broker finds out by the lease */
    char *text = call_read_file (directory, "pid");
    ck_assert (!call_process_lives (strtol (text, NULL, 10)));
    free (text);
}
END_TEST

START_TEST (second_stop_ends_at_once)
{
    add_script ("stubborn", "trap '' TERM; touch $1/begun; while :; do sleep 0.02; done");
    start (5000, 20000);
    send_assign (1, ONE ("stubborn", "{}"));
    expect_report (1, 1, "step.started a");
    send_ack (1, 1);
    await_file ("begun");
    stop ();
    expect (REEL_READY);
    stop ();
    ck_assert_int_eq (join (), REEL_AGAIN);
}
END_TEST

START_TEST (worker_without_a_broker_can_be_stopped)
{
    reel_socket_close (&router);
    ck_assert_int_eq (pthread_create (&thread, NULL, run_shell, NULL), 0);
    running = true;
    stop ();
    ck_assert_int_eq (join (), REEL_OK);
}
END_TEST

START_TEST (bad_endpoint_is_refused)
{
    setup.broker = "nonsense";
    ck_assert_int_eq (reel_worker_shell_run (&setup, &err), REEL_INVALID);
    ck_assert_ptr_nonnull (strstr (err.message, "nonsense"));
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("worker_shell");
    TCase *tc = suite_case (suite, "worker_shell", set_up, tear_down);
    tcase_add_test (tc, ready_says_what_it_can_do);
    tcase_add_test (tc, workflow_of_idempotent_steps_is_one_report);
    tcase_add_test (tc, slots_are_worked_at_together);
    tcase_add_test (tc, delivery_attempts_and_provenance_reach_the_run);
    tcase_add_test (tc, limits_of_the_broker_bind_the_worker);
    tcase_add_test (tc, limits_are_those_of_the_newest_welcome);
    tcase_add_test (tc, fenced_lease_may_say_why);
    tcase_add_test (tc, modality_not_served_is_given_back);
    tcase_add_test (tc, assignment_before_the_welcome_is_given_back);
    tcase_add_test (tc, same_assignment_twice_is_one);
    tcase_add_test (tc, workflow_that_does_not_hold_is_given_back);
    tcase_add_test (tc, workflow_beyond_the_slots_is_given_back);
    tcase_add_test (tc, slot_is_free_as_soon_as_the_run_has_ended);
    tcase_add_test (tc, nonsense_is_passed_over);
    tcase_add_test (tc, heartbeat_names_every_lease);
    tcase_add_test (tc, who_is_answered_with_ready_and_the_rest_is_sent_again);
    tcase_add_test (tc, nothing_is_reported_between_ready_and_its_answer);
    tcase_add_test (tc, lease_that_ready_named_in_vain_is_named_again);
    tcase_add_test (tc, lease_that_was_lost_meanwhile_is_dropped);
    tcase_add_test (tc, silent_broker_is_connected_to_again);
    tcase_add_test (tc, report_that_was_lost_is_sent_again);
    tcase_add_test (tc, cancel_ends_the_step_and_the_workflow);
    tcase_add_test (tc, yield_lets_the_step_end);
    tcase_add_test (tc, idle_worker_leaves_at_once);
    tcase_add_test (tc, draining_worker_ends_its_steps_gives_back_the_rest_and_leaves);
    tcase_add_test (tc, worker_without_a_broker_can_be_stopped);
    tcase_add_test (tc, bad_endpoint_is_refused);
    if (call_has_children ()) {
        tcase_add_test (tc, paid_step_starts_after_its_start_is_durable);
        tcase_add_test (tc, paid_step_waits_for_a_lease_that_is_known_to_live);
        tcase_add_test (tc, terms_of_a_new_welcome_hold_for_what_is_under_way);
        tcase_add_test (tc, report_sent_again_counts_from_its_first_sending);
        tcase_add_test (tc, fenced_lease_is_ended_without_a_word);
        tcase_add_test (tc, progress_is_thinned_and_the_newest_arrives);
        tcase_add_test (tc, step_that_outlasts_the_draining_is_ended);
        tcase_add_test (tc, second_stop_ends_at_once);
    }
    return suite_run (suite);
}
