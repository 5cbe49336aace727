/*
 * How the worker's shell ends: a workflow that is cancelled or asked back, and the worker itself, which drains and leaves,
 * or is stopped at once.
 */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/suite.h"
#include "tests/support/worker_shell_fixture.h"

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
    Suite *suite = suite_create ("worker_shell, ended");
    TCase *tc = suite_case (suite, "end", set_up, tear_down);
    tcase_add_test (tc, cancel_ends_the_step_and_the_workflow);
    tcase_add_test (tc, yield_lets_the_step_end);
    tcase_add_test (tc, idle_worker_leaves_at_once);
    tcase_add_test (tc, draining_worker_ends_its_steps_gives_back_the_rest_and_leaves);
    tcase_add_test (tc, worker_without_a_broker_can_be_stopped);
    tcase_add_test (tc, bad_endpoint_is_refused);
    if (call_has_children ()) {
        tcase_add_test (tc, step_that_outlasts_the_draining_is_ended);
        tcase_add_test (tc, second_stop_ends_at_once);
    }
    return suite_run (suite);
}
