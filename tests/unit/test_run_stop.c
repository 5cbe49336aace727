/*
 * The run machine when it is told to stop: cancelled for good, or yielding to whoever goes on elsewhere.
 */
#include <check.h>

#include "tests/support/run_fixture.h"
#include "tests/support/suite.h"

/* --- cancelling ---------------------------------------------------------------------------- */

START_TEST (cancel_aborts_the_open_call_once)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", AFTER ("'a'"))));
    run_bench_forget (&bench);
    run_bench_cancel (&bench);
    run_bench_cancel (&bench);
    run_bench_expect (&bench, "abort");
    ck_assert (!reel_run_ended (bench.run));
    run_bench_fail (&bench, "killed", "r");
    run_bench_expect (&bench, "failed a cancelled", "ended cancelled", "END");
    ck_assert_int_eq (status_of ("b"), REEL_STEP_PENDING);
    ck_assert_str_eq (run_bench_error (&bench, "a"),
                      "{'code':'cancelled','message':'the workflow was cancelled while this "
                      "step was running','retryable':false}");
    ck_assert_str_eq (run_bench_json (&bench, reel_run_error (bench.run)),
                      "{'code':'cancelled','message':'the workflow was cancelled','retryable':false}");
}
END_TEST

START_TEST (cancel_lets_a_success_stand)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    run_bench_cancel (&bench);
    run_bench_forget (&bench);
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "succeeded a", "ended cancelled", "END");
    ck_assert (reel_run_cancelled (bench.run));
}
END_TEST

START_TEST (cancel_is_too_late_when_the_last_step_succeeds)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_cancel (&bench);
    run_bench_forget (&bench);
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "succeeded a", "ended", "END");
    ck_assert (!reel_run_cancelled (bench.run));
}
END_TEST

START_TEST (cancel_of_the_last_step_cancels_the_workflow)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_cancel (&bench);
    run_bench_forget (&bench);
    run_bench_fail (&bench, "killed", "");
    run_bench_expect (&bench, "failed a cancelled", "ended cancelled", "END");
}
END_TEST

START_TEST (cancel_keeps_what_the_adapter_said_of_it)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_cancel (&bench);
    run_bench_fail (&bench, "cancelled", "");
    ck_assert_str_eq (run_bench_of_error (&bench, "a", "/message"), "'it broke'");
}
END_TEST

START_TEST (cancel_retries_nothing)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", THREE "}")));
    run_bench_cancel (&bench);
    run_bench_forget (&bench);
    run_bench_fail (&bench, "busy", "r");
    run_bench_expect (&bench, "failed a cancelled", "ended cancelled", "END");
}
END_TEST

START_TEST (cancel_ends_a_backoff)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ",'policy':{'retry':{'max_attempts':3,'backoff_ms':60000}}"),
                                       STEP ("b", "idem", "")));
    run_bench_fail (&bench, "busy", "r");
    run_bench_forget (&bench);
    run_bench_cancel (&bench);
    run_bench_expect (&bench, "failed a cancelled", "ended cancelled", "END");
    ck_assert_int_eq (status_of ("b"), REEL_STEP_PENDING);
    run_bench_pass_ms (&bench, 60000);
    run_bench_tick (&bench);
    run_bench_expect (&bench, "");
}
END_TEST

START_TEST (cancel_ends_a_step_that_waits_for_its_acknowledgement)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_forget (&bench);
    run_bench_cancel (&bench);
    run_bench_expect (&bench, "failed a cancelled", "ended cancelled", "END");
    run_bench_answer (&bench);
    run_bench_expect (&bench, "");
}
END_TEST

START_TEST (cancel_wins_over_yield)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    run_bench_yield (&bench);
    run_bench_cancel (&bench);
    run_bench_yield (&bench);
    run_bench_forget (&bench);
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "succeeded a", "ended cancelled", "END");
}
END_TEST

/* --- yielding ------------------------------------------------------------------------------ */

START_TEST (yield_waits_for_the_open_call)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    run_bench_forget (&bench);
    run_bench_yield (&bench);
    run_bench_yield (&bench);
    run_bench_expect (&bench, "");
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "succeeded a", "yielded", "END");
    ck_assert_int_eq (status_of ("b"), REEL_STEP_PENDING);
    ck_assert (!reel_run_cancelled (bench.run));
}
END_TEST

START_TEST (yield_after_a_failure_skips_first)
{
    run_bench_start (&bench,
                     WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", AFTER ("'a'")), STEP ("c", "idem", "")));
    run_bench_yield (&bench);
    run_bench_forget (&bench);
    run_bench_fail (&bench, "boom", "");
    run_bench_expect (&bench, "failed a boom", "skipped b dependency_failed", "yielded", "END");
}
END_TEST

START_TEST (yield_with_nothing_left_to_dispatch_ends_the_workflow)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", AFTER ("'a'"))));
    run_bench_yield (&bench);
    run_bench_forget (&bench);
    run_bench_fail (&bench, "boom", "");
    run_bench_expect (&bench, "failed a boom", "skipped b dependency_failed", "ended", "END");
}
END_TEST

START_TEST (yield_gives_back_a_step_that_will_be_retried)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", THREE "}")));
    run_bench_yield (&bench);
    run_bench_forget (&bench);
    run_bench_fail (&bench, "busy", "r");
    run_bench_expect (&bench, "retrying a busy 0", "yielded", "END");
}
END_TEST

START_TEST (yield_ends_a_backoff)
{
    run_bench_start (&bench,
                     WORKFLOW (STEP ("a", "idem", ",'policy':{'retry':{'max_attempts':3,'backoff_ms':60000}}")));
    run_bench_fail (&bench, "busy", "r");
    run_bench_forget (&bench);
    run_bench_yield (&bench);
    run_bench_expect (&bench, "yielded", "END");
    run_bench_pass_ms (&bench, 60000);
    run_bench_tick (&bench);
    run_bench_expect (&bench, "");
}
END_TEST

START_TEST (yield_takes_back_a_start_that_was_not_dispatched)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_forget (&bench);
    run_bench_yield (&bench);
    run_bench_expect (&bench, "retrying a yielded 0", "yielded", "END");
    run_bench_answer (&bench);
    run_bench_expect (&bench, "");
}
END_TEST

START_TEST (yield_takes_a_step_with_a_checkpoint_back)
{
    struct reel_buf job = run_bench_msgpack ("'j0'");
    bench.setup.checkpoint = reel_buf_slice (&job);
    run_bench_start (&bench, WORKFLOW (STEP ("a", "resum", ""), STEP ("b", "idem", "")));
    reel_buf_free (&job);
    run_bench_yield (&bench);
    run_bench_expect (&bench, "started a 1 protected hold", "retrying a yielded 0 open", "yielded", "END");
}
END_TEST

#define SLOW ",'policy':{'in_doubt':'retry','retry':{'max_attempts':3,'backoff_ms':60000}}"

START_TEST (yield_in_a_backoff_leaves_the_checkpoint_that_was_reported)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "resum", SLOW), STEP ("b", "idem", "")));
    run_bench_answer (&bench);
    run_bench_checkpoint (&bench, "'j1'");
    run_bench_fail (&bench, "timeout", "ro");
    run_bench_yield (&bench);
    run_bench_expect (&bench, "started a 1 protected retry", "dispatch a 1", "checkpoint a 'j1'",
                      "retrying a timeout 3115 open", "wake +3115", "yielded", "END");
}
END_TEST

START_TEST (yield_makes_no_other_attempt)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "resum", SLOW), STEP ("b", "idem", "")));
    run_bench_answer (&bench);
    run_bench_checkpoint (&bench, "'j1'");
    run_bench_yield (&bench);
    run_bench_forget (&bench);
    run_bench_fail (&bench, "busy", "r"); /* its job is over */
    run_bench_expect (&bench, "retrying a busy 3115", "yielded", "END");
}
END_TEST

START_TEST (yield_gives_a_step_back_where_the_outbox_is_full)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ",'policy':{'retry':{'max_attempts':1000}}"),
                                       STEP ("b", "idem", ",'policy':{'retry':{'max_attempts':1000}}"),
                                       STEP ("c", "idem", ",'policy':{'retry':{'max_attempts':1000}}")));
    while (bench.open) {
        run_bench_checkpoint (&bench, "'j1'");
        run_bench_fail (&bench, "timeout", "ro");
    }
    ck_assert (!reel_run_ended (bench.run));
    run_bench_forget (&bench);
    run_bench_yield (&bench);
    run_bench_expect (&bench, "yielded", "END");
}
END_TEST

START_TEST (yield_takes_back_a_start_that_waits_for_the_lease)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_ack (&bench, 1);
    run_bench_forget (&bench);
    run_bench_yield (&bench);
    run_bench_expect (&bench, "retrying a yielded 0", "yielded", "END");
    run_bench_confirm (&bench);
    run_bench_expect (&bench, "");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("run_stop");
    TCase *tc = suite_case (suite, "cancel", set_up_bench, tear_down_bench);
    tcase_add_test (tc, cancel_aborts_the_open_call_once);
    tcase_add_test (tc, cancel_lets_a_success_stand);
    tcase_add_test (tc, cancel_is_too_late_when_the_last_step_succeeds);
    tcase_add_test (tc, cancel_of_the_last_step_cancels_the_workflow);
    tcase_add_test (tc, cancel_keeps_what_the_adapter_said_of_it);
    tcase_add_test (tc, cancel_retries_nothing);
    tcase_add_test (tc, cancel_ends_a_backoff);
    tcase_add_test (tc, cancel_ends_a_step_that_waits_for_its_acknowledgement);
    tcase_add_test (tc, cancel_wins_over_yield);
    tc = suite_case (suite, "yield", set_up_bench, tear_down_bench);
    tcase_add_test (tc, yield_waits_for_the_open_call);
    tcase_add_test (tc, yield_after_a_failure_skips_first);
    tcase_add_test (tc, yield_with_nothing_left_to_dispatch_ends_the_workflow);
    tcase_add_test (tc, yield_gives_back_a_step_that_will_be_retried);
    tcase_add_test (tc, yield_ends_a_backoff);
    tcase_add_test (tc, yield_takes_back_a_start_that_was_not_dispatched);
    tcase_add_test (tc, yield_takes_a_step_with_a_checkpoint_back);
    tcase_add_test (tc, yield_in_a_backoff_leaves_the_checkpoint_that_was_reported);
    tcase_add_test (tc, yield_makes_no_other_attempt);
    tcase_add_test (tc, yield_gives_a_step_back_where_the_outbox_is_full);
    tcase_add_test (tc, yield_takes_back_a_start_that_waits_for_the_lease);
    return suite_run (suite);
}
