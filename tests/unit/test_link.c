/*
 * The worker's link while its broker is away: whatever the steps do meanwhile, what it keeps and what it gives its
 * connection to send stays within bounds; and when the broker is back it hears all of it, in order.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/random.h"
#include "proto/json.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/support/suite.h"

static int64_t now_us = 1000000;

#define LINK_MONOTONIC_US now_us
#define LINK_WALL_US now_us
#include "tests/support/link_fixture.h"

#define HEARTBEAT_MS 50
#define LEASE_MS 60000
#define AWAY_MS (4 * LEASE_MS)
#define STEPS 150
/* An outbox at its fullest, and what one attempt adds. */
#define OUTBOX_BYTES (REEL_OUTBOX_BYTES_MAX + 4u * (REEL_RECEIPT_BYTES_MAX + 1024))
/* In one connection that is not read, until it is given up after a lease: all of it twice, and what is small. */
#define UNREAD_BYTES_MAX (2u * OUTBOX_BYTES + (4u << 20))

static struct reel_random random_of_steps;

/* --- an adapter that floods ------------------------------------------------------------------------ */

static struct call {
    struct reel_task *task;
    struct reel_timer timer;
} call;
static struct reel_buf large; /* a map of as many bytes as a checkpoint may have */

static void
end_call (struct reel_task *task)
{
    struct reel_slice map = reel_buf_slice (&large), text = reel_slice (map.data + map.len / 2, map.len / 2);
    call.task = NULL;
    if (reel_random_below (&random_of_steps, 2) == 0)
        reel_task_succeed (task, map, REEL_SLICE_NONE); /* which its receipt is too large for */
    else
        reel_task_fail (task, &(struct reel_failure){.code = "busy",
                                                     .message = text,
                                                     .retryable = true,
                                                     .open = reel_random_below (&random_of_steps, 2) == 0});
}

static void
call_due (struct reel_timer *timer)
{
    struct reel_task *task = call.task;
    if (reel_random_below (&random_of_steps, 5) == 0) {
        end_call (task);
        return;
    }
    reel_loop_arm (&loop, timer, now_us + 20000);
    for (int i = 0; i < 5; i++)
        reel_task_progress (task, 0.5, reel_slice_text ("half way"));
    reel_task_checkpoint (task, reel_buf_slice (&large));
}

static enum reel_status
start_call (struct reel_adapter *adapter, struct reel_task *task)
{
    (void) adapter;
    call.task = task;
    call.timer = (struct reel_timer){.due = call_due};
    reel_loop_arm (&loop, &call.timer, now_us + 20000);
    return REEL_OK;
}

static void
cancel_call (struct reel_adapter *adapter, struct reel_task *task)
{
    (void) adapter;
    reel_loop_disarm (&loop, &call.timer);
    end_call (task);
}

static struct reel_adapter floods = {"flood", REEL_ADAPTER_IDEMPOTENT, start_call, cancel_call, destroy_nothing};

/* --- the broker ------------------------------------------------------------------------------------- */

static struct {
    bool away;
    bool has_said;    /* something that it would have answered */
    uint64_t durable; /* events */
    bool ended;
    size_t unread_bytes; /* what this connection was given while nobody read it */
    size_t unread_most;
    uint64_t progress; /* reports of it */
    unsigned connections;
} broker;

static void
answer (struct reel_message *out)
{
    struct reel_buf header = {0};
    reel_message_encode (out, &header);
    struct reel_slice frames[4] = {reel_slice_text (REEL_PROTOCOL),
                                   reel_slice_text (reel_message_spec (out->command)->name), reel_buf_slice (&header),
                                   out->document};
    reel_link_message (link_of_worker, frames, out->has_document ? 4 : 3);
    reel_buf_free (&header);
}

static const struct reel_lease lease = {7, 1};

static void
acknowledge (void)
{
    struct reel_message out;
    reel_message_init (&out, REEL_ACK);
    reel_message_set_lease (&out, REEL_F_LEASE, lease);
    reel_message_set_uint (&out, REEL_F_REPORT_INDEX, broker.durable);
    answer (&out);
}

static void
welcome (void)
{
    static const uint8_t none[] = {0x80};
    struct reel_message out;
    reel_message_init (&out, REEL_WELCOME);
    reel_message_set_uint (&out, REEL_F_HEARTBEAT_MS, HEARTBEAT_MS);
    reel_message_set_uint (&out, REEL_F_LEASE_MS, LEASE_MS);
    reel_message_set_uint (&out, REEL_F_EPOCH, 7);
    reel_message_set (&out, REEL_F_LIMITS, reel_slice (none, 1));
    answer (&out);
}

/* Some are tried again, and some are skipped. */
static void
assign (void)
{
    struct reel_buf json = {0}, document = {0};
    struct reel_message out;
    reel_buf_add_text (&json, "{\"steps\":[{\"step_id\":\"f\",\"modality\":\"fail\"}");
    for (int i = 1; i < STEPS; i++)
        reel_buf_printf (&json,
                         ",{\"step_id\":\"s%d\",\"modality\":\"%s\"%s,\"policy\":{\"retry\":{\"max_attempts\":3}}}", i,
                         i % 3 == 0 ? "echo" : "flood", i % 2 == 0 ? ",\"depends_on\":[\"f\"]" : "");
    reel_buf_add_text (&json, "]}");
    ck_assert_int_eq (reel_json_read (reel_buf_slice (&json), &document, NULL), REEL_OK);
    reel_message_init (&out, REEL_ASSIGN);
    reel_message_set_lease (&out, REEL_F_LEASE, lease);
    reel_message_set_text (&out, REEL_F_WORKFLOW_ID, "wf");
    reel_message_set_uint (&out, REEL_F_DELIVERY, 1);
    reel_message_set_document (&out, reel_buf_slice (&document));
    answer (&out);
    reel_buf_free (&json);
    reel_buf_free (&document);
}

/* Events that are known are passed over, and none may be missing. */
static void
take_report (struct reel_slice header, struct reel_slice document)
{
    struct reel_cursor cursor = reel_scan_start (document);
    struct reel_value head;
    struct reel_slice event, kind, value;
    uint64_t index;
    ck_assert (reel_scan_find (header, reel_slice_text ("report_index"), &value));
    if (reel_scan_type (value) == REEL_NIL) {
        broker.progress++;
        return;
    }
    ck_assert (reel_scan_find_uint (header, "report_index", &index));
    if (broker.away)
        return;
    ck_assert_uint_le (index, broker.durable + 1);
    for (ck_assert (reel_scan_next (&cursor, &head)); reel_scan_skip (&cursor, &event); index++) {
        ck_assert (reel_scan_find_str (event, "kind", &kind));
        broker.durable = index > broker.durable ? index : broker.durable;
        broker.ended |= reel_slice_is (kind, "workflow.ended");
    }
    broker.has_said = true;
}

static bool
send_message (void *context, enum reel_command command, struct reel_slice header, const struct reel_slice *document)
{
    (void) context;
    broker.unread_bytes += header.len + (document != NULL ? document->len : 0);
    if (broker.unread_bytes > broker.unread_most)
        broker.unread_most = broker.unread_bytes;
    ck_assert_uint_le (broker.unread_bytes, UNREAD_BYTES_MAX);
    if (command == REEL_REPORT)
        take_report (header, *document);
    return true;
}

/* What was not sent is gone with the connection. */
static void
silent (void *context)
{
    (void) context;
    broker.unread_bytes = 0;
    broker.connections++;
    reel_link_connected (link_of_worker);
}

/* --- the test ---------------------------------------------------------------------------------------- */

static bool
turn (void)
{
    run_timers (&loop);
    bool over = reel_link_end_turn (link_of_worker);
    if (!broker.away)
        broker.unread_bytes = 0;
    if (!broker.away && broker.has_said) {
        broker.has_said = false;
        acknowledge ();
    }
    now_us = loop.first != NULL && loop.first->at_us > now_us ? loop.first->at_us : now_us + 1;
    return over;
}

static void
set_up (void)
{
    struct reel_adapter *const adapters[] = {&floods, NULL};
    struct reel_buf zeros = {0};
    reel_random_seed (&random_of_steps, 1);
    memset (reel_buf_reserve (&zeros, REEL_RECEIPT_BYTES_MAX - 8), 0, REEL_RECEIPT_BYTES_MAX - 8);
    reel_pack_map (&large, 1);
    reel_pack_text (&large, "x");
    reel_pack_bin (&large, reel_slice (zeros.data, REEL_RECEIPT_BYTES_MAX - 8));
    reel_buf_free (&zeros);
    ck_assert_uint_eq (large.len, REEL_RECEIPT_BYTES_MAX);
    const struct reel_link_setup setup = {.slots = 1, .send = send_message, .silent = silent};
    ck_assert_int_eq (make_link (setup, adapters), REEL_OK);
}

static void
tear_down (void)
{
    reel_link_destroy (&link_of_worker);
    reel_registry_destroy (&registry);
    reel_buf_free (&large);
    ck_assert_ptr_null (loop.first);
}

START_TEST (broker_that_is_away_for_long_is_told_everything_in_the_end)
{
    reel_link_connected (link_of_worker);
    welcome ();
    broker.away = true;
    assign ();
    int64_t end_us = now_us + (int64_t) AWAY_MS * 1000;
    while (now_us < end_us)
        (void) turn ();
    /* It has come to the end of its room, and waits: once it has given up the first connection nothing is said but READY. */
    ck_assert_uint_ge (broker.connections, AWAY_MS / LEASE_MS - 1);
    ck_assert_uint_gt (broker.unread_most, REEL_OUTBOX_BYTES_MAX);
    ck_assert_uint_le (broker.progress, LEASE_MS / 250 + 1);
    ck_assert_ptr_null (call.task);
    broker.away = false;
    welcome ();
    acknowledge ();
    end_us = now_us + (int64_t) 100 * AWAY_MS * 1000;
    while (!broker.ended && now_us < end_us)
        (void) turn ();
    ck_assert (broker.ended);
    reel_link_stop (link_of_worker);
    while (!turn ())
        ck_assert_int_lt (now_us, end_us);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("link");
    TCase *tests = suite_case (suite, "link", set_up, tear_down);
    tcase_add_test (tests, broker_that_is_away_for_long_is_told_everything_in_the_end);
    return suite_run (suite);
}
