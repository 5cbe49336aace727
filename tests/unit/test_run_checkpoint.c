/*
 * The run machine's checkpoints: which are reported, which wait, and who is handed one.
 */
#include <check.h>

#include "tests/support/run_fixture.h"
#include "tests/support/suite.h"

START_TEST (checkpoint_is_reported)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "resum", "")));
    run_bench_answer (&bench);
    run_bench_forget (&bench);
    run_bench_checkpoint (&bench, "{'job':'j1'}");
    run_bench_expect (&bench, "checkpoint a {'job':'j1'}");
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "succeeded a", "ended", "END");
}
END_TEST

START_TEST (checkpoint_of_an_earlier_delivery_is_handed_to_the_step_in_doubt_alone)
{
    struct reel_buf job = run_bench_msgpack ("{'job':'j0'}");
    bench.setup.checkpoint = reel_buf_slice (&job);
    bench.setup.attempts = 1;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "resum", ""), STEP ("b", "resum", "")));
    reel_buf_free (&job);
    run_bench_answer (&bench);
    ck_assert_str_eq (run_bench_json (&bench, bench.call.checkpoint), "{'job':'j0'}");
    run_bench_succeed (&bench, "{}");
    run_bench_answer (&bench);
    ck_assert (reel_slice_is (bench.call.step_id, "b"));
    ck_assert_uint_eq (bench.call.checkpoint.len, 0);
}
END_TEST

START_TEST (checkpoint_leaves_the_open_call_as_it_is)
{
    struct reel_buf job = run_bench_msgpack ("'j0'");
    bench.setup.checkpoint = reel_buf_slice (&job);
    run_bench_start (&bench, WORKFLOW (STEP ("a", "resum", "")));
    reel_buf_free (&job);
    run_bench_answer (&bench);
    run_bench_checkpoint (&bench, "'a longer checkpoint than the one before, so that memory moves, and once more'");
    ck_assert_str_eq (run_bench_json (&bench, bench.call.checkpoint), "'j0'");
}
END_TEST

START_TEST (checkpoint_goes_to_the_next_attempt_when_the_call_was_left_open)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "resum", THREE ",'in_doubt':'retry'}")));
    run_bench_answer (&bench);
    run_bench_checkpoint (&bench, "'j1'");
    run_bench_fail (&bench, "lost", "ro");
    run_bench_answer (&bench);
    run_bench_expect (&bench, "started a 1 protected retry", "dispatch a 1", "checkpoint a 'j1'",
                      "retrying a lost 0 open", "started a 2 protected retry", "dispatch a 2");
    ck_assert_str_eq (run_bench_json (&bench, bench.call.checkpoint), "'j1'");
    run_bench_fail (&bench, "busy", "r");
    run_bench_answer (&bench);
    run_bench_expect (&bench, "retrying a busy 0", "started a 3 protected retry", "dispatch a 3");
    ck_assert_uint_eq (bench.call.checkpoint.len, 0);
}
END_TEST

START_TEST (checkpoint_keeps_only_the_newest_while_one_is_not_acknowledged)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_forget (&bench);
    run_bench_checkpoint (&bench, "1");
    run_bench_checkpoint (&bench, "2");
    run_bench_checkpoint (&bench, "3");
    run_bench_expect (&bench, "checkpoint a 1");
    run_bench_ack (&bench, 1);
    run_bench_expect (&bench, "");
    run_bench_ack (&bench, 2);
    run_bench_expect (&bench, "checkpoint a 3");
    run_bench_ack (&bench, 3);
    run_bench_expect (&bench, "");
    run_bench_checkpoint (&bench, "4");
    run_bench_expect (&bench, "checkpoint a 4");
}
END_TEST

START_TEST (checkpoint_that_waits_is_dropped_with_its_attempt)
{
    bench.defaults.max_attempts = 2;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_checkpoint (&bench, "1");
    run_bench_checkpoint (&bench, "2");
    run_bench_forget (&bench);
    run_bench_fail (&bench, "busy", "r");
    run_bench_ack_all (&bench);
    run_bench_expect (&bench, "retrying a busy 0", "started a 2 idempotent hold", "dispatch a 2");
    ck_assert_uint_eq (bench.call.checkpoint.len, 0);
}
END_TEST

START_TEST (checkpoint_that_waits_goes_ahead_of_the_end_of_its_attempt_when_the_call_was_left_open)
{
    bench.defaults.max_attempts = 2;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_checkpoint (&bench, "1");
    run_bench_checkpoint (&bench, "2");
    run_bench_forget (&bench);
    run_bench_fail (&bench, "lost", "ro");
    run_bench_ack_all (&bench);
    run_bench_expect (&bench, "checkpoint a 2", "retrying a lost 0 open", "started a 2 idempotent hold",
                      "dispatch a 2");
    ck_assert_str_eq (run_bench_json (&bench, bench.call.checkpoint), "2");
}
END_TEST

START_TEST (checkpoint_that_waits_is_dropped_with_its_step)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    run_bench_checkpoint (&bench, "1");
    run_bench_checkpoint (&bench, "2");
    run_bench_succeed (&bench, "{}");
    run_bench_forget (&bench);
    run_bench_ack_all (&bench);
    run_bench_expect (&bench, "");
    run_bench_checkpoint (&bench, "7");
    run_bench_expect (&bench, "checkpoint b 7");
}
END_TEST

START_TEST (checkpoint_does_not_wait_for_that_of_another_step)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    run_bench_checkpoint (&bench, "1");
    run_bench_succeed (&bench, "{}");
    run_bench_forget (&bench);
    run_bench_checkpoint (&bench, "2");
    run_bench_expect (&bench, "checkpoint b 2");
}
END_TEST

START_TEST (checkpoint_of_an_adapter_that_cannot_go_on_from_it_is_dropped)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_answer (&bench);
    run_bench_forget (&bench);
    run_bench_checkpoint (&bench, "1");
    run_bench_expect (&bench, "tell progress a a checkpoint was dropped: the adapter is not resumable");
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "succeeded a", "ended", "END");
}
END_TEST

START_TEST (checkpoint_that_the_adapter_cannot_go_on_from_is_taken_back)
{
    struct reel_buf job = run_bench_msgpack ("'j0'");
    bench.setup.checkpoint = reel_buf_slice (&job);
    bench.setup.attempts = 1;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", THREE ",'in_doubt':'retry'}")));
    reel_buf_free (&job);
    run_bench_answer (&bench);
    run_bench_expect (&bench, "started a 2 protected retry", "checkpoint a null", "dispatch a 2");
    ck_assert_uint_eq (bench.call.checkpoint.len, 0);
    run_bench_fail (&bench, "lost", "ro");
    run_bench_expect (&bench, "retrying a lost 0", "started a 3 protected retry");
}
END_TEST

START_TEST (checkpoint_that_is_nil_takes_back_what_was_left)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "resum", THREE ",'in_doubt':'retry'}")));
    run_bench_answer (&bench);
    run_bench_forget (&bench);
    run_bench_checkpoint (&bench, "'j1'");
    if (_i == 0)
        run_bench_ack_all (&bench);
    run_bench_checkpoint (&bench, "null");
    run_bench_fail (&bench, "lost", "ro");
    run_bench_answer (&bench);
    run_bench_expect (&bench, "checkpoint a 'j1'", _i == 0 ? "checkpoint a null" : "", "retrying a lost 0",
                      "started a 2 protected retry", "dispatch a 2");
    ck_assert_uint_eq (bench.call.checkpoint.len, 0);
}
END_TEST

START_TEST (checkpoint_without_an_open_call_is_nothing)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_forget (&bench);
    run_bench_checkpoint (&bench, "1");
    run_bench_progress (&bench, 0.5, "x");
    run_bench_expect (&bench, "");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("run_checkpoint");
    TCase *tc = suite_case (suite, "checkpoint", set_up_bench, tear_down_bench);
    tcase_add_test (tc, checkpoint_is_reported);
    tcase_add_test (tc, checkpoint_of_an_earlier_delivery_is_handed_to_the_step_in_doubt_alone);
    tcase_add_test (tc, checkpoint_leaves_the_open_call_as_it_is);
    tcase_add_test (tc, checkpoint_goes_to_the_next_attempt_when_the_call_was_left_open);
    tcase_add_test (tc, checkpoint_keeps_only_the_newest_while_one_is_not_acknowledged);
    tcase_add_test (tc, checkpoint_that_waits_is_dropped_with_its_attempt);
    tcase_add_test (tc, checkpoint_that_waits_goes_ahead_of_the_end_of_its_attempt_when_the_call_was_left_open);
    tcase_add_test (tc, checkpoint_that_waits_is_dropped_with_its_step);
    tcase_add_test (tc, checkpoint_does_not_wait_for_that_of_another_step);
    tcase_add_test (tc, checkpoint_of_an_adapter_that_cannot_go_on_from_it_is_dropped);
    tcase_add_test (tc, checkpoint_that_the_adapter_cannot_go_on_from_is_taken_back);
    tcase_add_loop_test (tc, checkpoint_that_is_nil_takes_back_what_was_left, 0, 2);
    tcase_add_test (tc, checkpoint_without_an_open_call_is_nothing);
    return suite_run (suite);
}
