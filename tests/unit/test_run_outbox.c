/*
 * The run machine's outbox: its bounds, whatever a step does while nothing is acknowledged, and what is packed of it into
 * one report.
 */
#include <check.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/random.h"
#include "proto/scan.h"
#include "tests/support/run_fixture.h"
#include "tests/support/suite.h"
#include "worker/run_state.h"

/* --- its bounds ----------------------------------------------------------------------------- */

/* Runs idempotent steps that leave `bytes` in the outbox each, until one waits. */
static uint32_t
steps_until_full (const char *document, size_t bytes)
{
    struct reel_buf output = map_of_bytes (bytes);
    uint32_t done = 0;
    run_bench_start (&bench, document);
    while (bench.open) {
        succeed_raw (reel_buf_slice (&output), REEL_SLICE_NONE);
        done++;
    }
    reel_buf_free (&output);
    return done;
}

static char *
many_steps (int count, const char *more)
{
    struct reel_buf document = {0};
    reel_buf_add_text (&document, "{'steps':[");
    for (int i = 0; i < count; i++)
        reel_buf_printf (&document, "%s{'step_id':'s%d','modality':'idem'%s}", i > 0 ? "," : "", i, more);
    reel_buf_add_text (&document, "]}");
    char *copy = reel_slice_dup (reel_buf_slice (&document));
    reel_buf_free (&document);
    ck_assert_ptr_nonnull (copy);
    return copy;
}

START_TEST (bound_of_the_outbox_in_bytes)
{
    char *document = many_steps (60, "");
    uint32_t done = steps_until_full (document, 200000);
    free (document);
    ck_assert_uint_eq (done, REEL_OUTBOX_BYTES_MAX / 200000 + 1);
    ck_assert (!reel_run_ended (bench.run));
    run_bench_forget (&bench);
    run_bench_ack (&bench, 1);
    run_bench_expect (&bench, "");
    run_bench_ack (&bench, 2);
    ck_assert (bench.open);
}
END_TEST

START_TEST (bound_of_the_outbox_in_events_is_not_reached)
{
    char *document = many_steps (2, ",'policy':{'retry':{'max_attempts':1000}}");
    run_bench_start (&bench, document);
    free (document);
    while (bench.open)
        run_bench_fail (&bench, "busy", "r");
    ck_assert_uint_eq (reel_run_last_index (bench.run), 4001);
    ck_assert (reel_run_ended (bench.run));
}
END_TEST

START_TEST (bound_of_the_outbox_in_events_holds_a_retry_back)
{
    char *document = many_steps (5, ",'policy':{'retry':{'max_attempts':1000}}");
    run_bench_start (&bench, document);
    free (document);
    while (bench.open)
        run_bench_fail (&bench, "busy", "r");
    ck_assert_uint_eq (reel_run_last_index (bench.run), REEL_OUTBOX_EVENTS_MAX);
    ck_assert (!reel_run_ended (bench.run));
    run_bench_forget (&bench);
    run_bench_ack (&bench, 1);
    run_bench_expect (&bench, "started s2 49 idempotent hold", "dispatch s2 49");
}
END_TEST

START_TEST (bound_of_the_outbox_lets_cancel_and_yield_through)
{
    for (int cancel = 0; cancel < 2; cancel++) {
        char *document = many_steps (60, "");
        (void) steps_until_full (document, 200000);
        free (document);
        run_bench_forget (&bench);
        if (cancel)
            run_bench_cancel (&bench);
        else
            run_bench_yield (&bench);
        run_bench_expect (&bench, cancel ? "ended cancelled" : "yielded", "END");
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

START_TEST (bound_of_the_outbox_holds_skips_back)
{
    static const char retried[] = "'modality':'idem','policy':{'retry':{'max_attempts':1000}}}";
    struct reel_buf document = {0};
    reel_buf_printf (&document, "{'steps':[{'step_id':'r',%s,{'step_id':'s',%s,{'step_id':'f','modality':'idem'}",
                     retried, retried);
    for (int i = 0; i < 600; i++)
        reel_buf_printf (&document, ",{'step_id':'d%d','modality':'idem','depends_on':['f']}", i);
    reel_buf_add_text (&document, ",{'step_id':'last','modality':'idem'}]}");
    reel_buf_add_byte (&document, 0);
    run_bench_start (&bench, (const char *) document.data);
    reel_buf_free (&document);
    while (bench.open)
        run_bench_fail (&bench, "busy", "r");
    ck_assert_uint_eq (reel_run_last_index (bench.run), REEL_OUTBOX_EVENTS_MAX);
    ck_assert_int_eq (status_of ("d93"), REEL_STEP_SKIPPED);
    ck_assert_int_eq (status_of ("d94"), REEL_STEP_PENDING);
    run_bench_forget (&bench);
    run_bench_yield (&bench); /* what is to be skipped is not given back */
    run_bench_expect (&bench, "");
    run_bench_ack (&bench, 1);
    run_bench_expect (&bench, "skipped d94 dependency_failed");
    run_bench_ack_all (&bench);
    ck_assert (reel_run_ended (bench.run));
    ck_assert_int_eq (status_of ("d599"), REEL_STEP_SKIPPED);
    ck_assert_uint_eq (reel_run_last_index (bench.run), 4002 + 600 + 1);
}
END_TEST

/* What one attempt can add to an outbox that had room for it: its start, a checkpoint, the one that waited behind it, its
 * outcome (or that it is tried again), and the end of the workflow or of the lease. */
#define ATTEMPT_EVENTS_MAX 4
#define ATTEMPT_BYTES_MAX ((size_t) ATTEMPT_EVENTS_MAX * (REEL_RECEIPT_BYTES_MAX + 1024))

/* One event without a trace of it, which would be long. */
static void
feed_untraced (struct reel_run_event event)
{
    event.wall_us = bench.wall_us += 1000;
    event.monotonic_us = bench.monotonic_us += 1000;
    ck_assert_int_eq (reel_run_step (bench.run, &event, &bench.commands), REEL_OK);
    bench.open = bench.open && event.kind != REEL_RUN_FINISHED;
    for (size_t i = 0; i < bench.commands.count; i++)
        bench.open |= bench.commands.list[i].kind == REEL_RUN_DISPATCH;
    const struct reel_run_outbox *outbox = &bench.run->outbox;
    ck_assert_uint_le (outbox->count, REEL_OUTBOX_EVENTS_MAX + ATTEMPT_EVENTS_MAX);
    ck_assert_uint_le (outbox->bytes.len - outbox->start, REEL_OUTBOX_BYTES_MAX + ATTEMPT_BYTES_MAX);
    /* Not even of what was freed is more kept than of what is there. */
    ck_assert_uint_le (outbox->bytes.cap, 4 * (REEL_OUTBOX_BYTES_MAX + ATTEMPT_BYTES_MAX));
}

/* A step that does, or a hook, or an operator, what makes the most of an outbox that is acknowledged hardly ever. A call ends
 * at one chance in `patience`. */
static void
flood (struct reel_random *random, uint64_t patience, struct reel_slice output, struct reel_slice checkpoint)
{
    struct reel_slice zeros = reel_slice (checkpoint.data + checkpoint.len / 2, checkpoint.len - checkpoint.len / 2);
    struct reel_run_result failed = {.failure = {.code = "busy", .message = zeros, .retryable = true}};
    uint64_t what = reel_random_below (random, 16);
    if (what >= 7 && reel_random_below (random, patience) > 0)
        return;
    switch (what) {
    case 0: feed_untraced ((struct reel_run_event){.kind = REEL_RUN_TICK}); break;
    case 1:
        if (reel_random_below (random, 4) == 0)
            feed_untraced ((struct reel_run_event){.kind = REEL_RUN_ACKED,
                                                   .index = bench.run->outbox.acked + reel_random_below (random, 4)});
        break;
    case 2:
    case 3:
    case 4: feed_untraced ((struct reel_run_event){.kind = REEL_RUN_CHECKPOINT, .checkpoint = checkpoint}); break;
    case 5: feed_untraced ((struct reel_run_event){.kind = REEL_RUN_PROGRESS, .progress = {0.5, zeros}}); break;
    case 6:
        if (reel_random_below (random, 5000) == 0)
            feed_untraced ((struct reel_run_event){.kind = REEL_RUN_YIELD});
        break;
    case 7:
    case 8:
    case 9:
        feed_untraced (
            (struct reel_run_event){.kind = REEL_RUN_FINISHED, .result = {.succeeded = true, .output = output}});
        break;
    default:
        failed.succeeded = bench.run->phase == PHASE_HOOK
                           && reel_random_below (random, 1000) > 0; /* that would end it */
        failed.failure.open = reel_random_below (random, 2) == 0;
        feed_untraced ((struct reel_run_event){.kind = REEL_RUN_FINISHED, .result = failed});
    }
}

START_TEST (bound_of_the_outbox_whatever_a_step_does)
{
    static const struct run_bench_hook hooks[] = {
        {"all", REEL_HOOK_PRE_STEP | REEL_HOOK_POST_STEP | REEL_HOOK_ON_FAILURE}, {NULL, 0}};
    static const size_t sizes[] = {REEL_RECEIPT_BYTES_MAX, 60000, 5, 5};
    struct reel_random random;
    reel_random_seed (&random, (uint64_t) _i + 1);
    struct reel_buf output = map_of_bytes (sizes[_i] > 5 ? sizes[_i] - 1000 : 5), checkpoint = map_of_bytes (sizes[_i]);
    char *document = many_steps (900, ",'policy':{'retry':{'max_attempts':1000}}");
    bench.hooks = _i % 2 == 0 ? NULL : hooks;
    run_bench_create (&bench, document);
    free (document);
    feed_untraced ((struct reel_run_event){.kind = REEL_RUN_BEGIN});
    int events = getenv ("REEL_VALGRIND") != NULL ? 500 : 10000;
    for (int i = 0; i < events && !reel_run_ended (bench.run); i++)
        flood (&random, _i == 0 ? 20 : 1, reel_buf_slice (&output), reel_buf_slice (&checkpoint));
    ck_assert (events < 10000 || reel_run_ended (bench.run) || !reel_run_outbox_room (&bench.run->outbox));
    reel_buf_free (&output);
    reel_buf_free (&checkpoint);
}
END_TEST

/* --- packing -------------------------------------------------------------------------------- */

static enum reel_status
pack (uint64_t from, size_t bytes_max, uint32_t *count, size_t *bytes)
{
    struct reel_buf out = {0};
    enum reel_status status = reel_run_outbox (bench.run, from, bytes_max, &out, count);
    struct reel_value head;
    if (status == REEL_OK) {
        ck_assert_int_eq (reel_scan_check (reel_buf_slice (&out), REEL_DEPTH_MAX, NULL), REEL_OK);
        ck_assert (reel_scan_value (reel_buf_slice (&out), &head) && head.type == REEL_ARRAY && head.count == *count);
    }
    *bytes = out.len;
    reel_buf_free (&out);
    return status;
}

START_TEST (outbox_packs_from_anywhere)
{
    uint32_t count;
    size_t all, rest;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    run_bench_succeed (&bench, "{}");
    run_bench_succeed (&bench, "{}");
    ck_assert_uint_eq (reel_run_last_index (bench.run), 5);
    ck_assert_int_eq (pack (1, REEL_REPORT_BYTES_MAX, &count, &all), REEL_OK);
    ck_assert_uint_eq (count, 5);
    ck_assert_int_eq (pack (4, REEL_REPORT_BYTES_MAX, &count, &rest), REEL_OK);
    ck_assert_uint_eq (count, 2);
    ck_assert_uint_lt (rest, all);
    ck_assert_int_eq (pack (6, REEL_REPORT_BYTES_MAX, &count, &rest), REEL_NOT_FOUND);
    ck_assert_int_eq (pack (0, REEL_REPORT_BYTES_MAX, &count, &rest), REEL_NOT_FOUND);
    run_bench_ack (&bench, 3);
    ck_assert_int_eq (pack (3, REEL_REPORT_BYTES_MAX, &count, &rest), REEL_NOT_FOUND);
    ck_assert_int_eq (pack (4, REEL_REPORT_BYTES_MAX, &count, &rest), REEL_OK);
    ck_assert_uint_eq (count, 2);
    run_bench_ack (&bench, 5);
    ck_assert (reel_run_outbox_empty (bench.run));
    ck_assert_int_eq (pack (6, REEL_REPORT_BYTES_MAX, &count, &rest), REEL_NOT_FOUND);
    ck_assert_uint_eq (reel_run_last_index (bench.run), 5);
}
END_TEST

START_TEST (outbox_packs_within_bytes_but_one_event_always)
{
    uint32_t count;
    size_t bytes, two;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    run_bench_succeed (&bench, "{}");
    run_bench_succeed (&bench, "{}");
    ck_assert_int_eq (pack (1, 1, &count, &bytes), REEL_OK);
    ck_assert_uint_eq (count, 1);
    ck_assert_int_eq (pack (1, REEL_REPORT_BYTES_MAX, &count, &bytes), REEL_OK);
    /* An array's head is counted as the longest one, though that of so few events is a byte. */
    ck_assert_int_eq (pack (1, bytes + 3, &count, &two), REEL_OK);
    ck_assert_uint_eq (count, 4);
    ck_assert_int_eq (pack (1, bytes + 4, &count, &two), REEL_OK);
    ck_assert_uint_eq (count, 5);
    for (size_t limit = 1; limit < bytes + 10; limit++) {
        ck_assert_int_eq (pack (1, limit, &count, &two), REEL_OK);
        ck_assert (count == 1 || two <= limit);
    }
    ck_assert_uint_eq (count, 5);
}
END_TEST

START_TEST (outbox_packs_so_many_events_at_once)
{
    uint32_t count;
    size_t bytes;
    bench.defaults.max_attempts = 1000;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    for (int i = 0; i < 600; i++)
        run_bench_fail (&bench, "busy", "r");
    ck_assert_int_eq (pack (1, REEL_REPORT_BYTES_MAX, &count, &bytes), REEL_OK);
    ck_assert_uint_eq (count, REEL_REPORT_EVENTS_MAX);
    ck_assert_int_eq (pack (1201 - REEL_REPORT_EVENTS_MAX, REEL_REPORT_BYTES_MAX, &count, &bytes), REEL_OK);
    ck_assert_uint_eq (count, REEL_REPORT_EVENTS_MAX);
    ck_assert_int_eq (pack (1202 - REEL_REPORT_EVENTS_MAX, REEL_REPORT_BYTES_MAX, &count, &bytes), REEL_OK);
    ck_assert_uint_eq (count, REEL_REPORT_EVENTS_MAX);
    ck_assert_int_eq (pack (1203 - REEL_REPORT_EVENTS_MAX, REEL_REPORT_BYTES_MAX, &count, &bytes), REEL_OK);
    ck_assert_uint_eq (count, REEL_REPORT_EVENTS_MAX - 1);
}
END_TEST

START_TEST (outbox_of_the_largest_receipt_fits_a_report)
{
    size_t frame = receipt_frame_bytes (), bytes;
    uint32_t count;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    struct reel_buf output = map_of_bytes (REEL_RECEIPT_BYTES_MAX - frame);
    succeed_raw (reel_buf_slice (&output), REEL_SLICE_NONE);
    reel_buf_free (&output);
    ck_assert_int_eq (pack (1, REEL_REPORT_BYTES_MAX, &count, &bytes), REEL_OK);
    ck_assert_uint_eq (count, 3);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("run_outbox");
    TCase *tc = suite_case (suite, "bound", set_up_bench, tear_down_bench);
    tcase_add_test (tc, bound_of_the_outbox_in_bytes);
    tcase_add_test (tc, bound_of_the_outbox_in_events_is_not_reached);
    tcase_add_test (tc, bound_of_the_outbox_in_events_holds_a_retry_back);
    tcase_add_test (tc, bound_of_the_outbox_lets_cancel_and_yield_through);
    tcase_add_test (tc, bound_of_the_outbox_holds_skips_back);
    tcase_add_loop_test (tc, bound_of_the_outbox_whatever_a_step_does, 0, 4);
    tc = suite_case (suite, "outbox", set_up_bench, tear_down_bench);
    tcase_add_test (tc, outbox_packs_from_anywhere);
    tcase_add_test (tc, outbox_packs_within_bytes_but_one_event_always);
    tcase_add_test (tc, outbox_packs_so_many_events_at_once);
    tcase_add_test (tc, outbox_of_the_largest_receipt_fits_a_report);
    return suite_run (suite);
}
