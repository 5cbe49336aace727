/*
 * CANCEL, in every state a workflow can be in.
 */
#include <check.h>
#include <stdio.h>

#include "proto/scan.h"
#include "tests/support/broker_control.h"
#include "tests/support/suite.h"

#define ENDED_CANCELLED EVENT ("workflow.ended", ",'error':{'code':'cancelled','message':'m','retryable':false}")
#define FAILED_CANCELLED(step)                                                                                         \
    STEP_EVENT ("step.failed", step, ",'error':{'code':'cancelled','message':'m','retryable':false}")

static const char *
error_code (uint32_t index)
{
    static char text[64];
    struct reel_slice code = REEL_SLICE_NONE;
    snprintf (text, sizeof text, "%s",
              reel_scan_find_str (broker_model (&broker, "wf")->outcomes[index].error, "code", &code) ? "" : "none");
    if (code.len > 0)
        snprintf (text, sizeof text, "%.*s", REEL_TEXT (code));
    return text;
}

START_TEST (cancel_ends_a_queued_workflow)
{
    broker_submit (&broker, TWO);
    broker_forget (&broker);
    ask ("CANCEL", ID);
    broker_expect (&broker,
                   "2 wf.2 workflow.cancelled {'error':{'code':'cancelled','message':'the workflow was "
                   "cancelled','retryable':false}}",
                   "receipt wf", "c OK {'workflow_id':'wf','status':'cancelled'}");
    ck_assert_str_eq (step (0), "pending");
    broker_ready (&broker, "w", 1, "'echo'");
    ck_assert_str_eq (status (), "cancelled"); /* and is not handed out */
    ck_assert_uint_eq (broker_model (&broker, "wf")->deliveries, 0);
}
END_TEST

START_TEST (cancel_asks_the_worker_of_a_running_one)
{
    running ("[" STARTED ("a", "1", "false") "]");
    ask ("CANCEL", ID);
    broker_expect (&broker, "4 wf.4 workflow.cancelling", "w CANCEL {'lease':[1,1]}",
                   "c OK {'workflow_id':'wf','status':'cancelling'}");
    ask ("CANCEL", ID); /* again: nothing more happens */
    broker_expect (&broker, "c OK {'workflow_id':'wf','status':'cancelling'}");
    broker_worker (&broker, "w", "HEARTBEAT", HEARTBEAT ("[1,1]"), NULL);
    broker_expect (&broker, "w CANCEL {'lease':[1,1]}", "w HEARTBEAT {'sent_us':1}");
    broker_report (&broker, "w", 1, 2, "[" FAILED_CANCELLED ("a") "," ENDED_CANCELLED "]");
    ck_assert_str_eq (status (), "cancelled");
    ck_assert_str_eq (step (0), "failed");
    ck_assert_str_eq (error_code (0), "cancelled");
    ck_assert_str_eq (step (1), "pending");
    ask ("CANCEL", ID);
    ck_assert_str_eq (replied_status (), "'cancelled'");
}
END_TEST

START_TEST (cancel_of_the_last_step_is_cancelled_all_the_same)
{
    running ("[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," STARTED ("b", "1", "true") "]");
    ask ("CANCEL", ID);
    broker_report (&broker, "w", 1, 4, "[" FAILED_CANCELLED ("b") "," ENDED_CANCELLED "]");
    ck_assert_str_eq (status (), "cancelled");
}
END_TEST

START_TEST (cancel_that_comes_after_the_last_outcome_changes_nothing)
{
    running ("[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," STARTED ("b", "1", "true") "]");
    ask ("CANCEL", ID);
    broker_report (&broker, "w", 1, 4, "[" SUCCEEDED ("b") "," ENDED "]");
    ck_assert_str_eq (status (), "succeeded");
}
END_TEST

START_TEST (cancelled_wins_over_another_end)
{
    running ("[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "]");
    ask ("CANCEL", ID);
    broker_report (&broker, "w", 1, 3, "[" EVENT ("workflow.ended", ",'error':{'code':'hook_failed'}") "]");
    ck_assert_str_eq (status (), "cancelled");
}
END_TEST

START_TEST (end_that_calls_itself_cancelled_unasked_is_a_failure)
{
    running (NULL);
    broker_report (&broker, "w", 1, 1, "[" ENDED_CANCELLED "]");
    ck_assert_str_eq (status (), "failed");
}
END_TEST

START_TEST (lease_lost_while_cancelling_ends_the_workflow)
{
    running ("[" STARTED ("a", "1", "true") "]");
    ask ("CANCEL", ID);
    lose ();
    ck_assert_str_eq (status (), "cancelled");
    ck_assert_str_eq (step (0), "failed");
    ck_assert_str_eq (error_code (0), "in_doubt");
    broker_report (&broker, "w", 1, 2, "[" SUCCEEDED ("a") "]");
    broker_expect (&broker, "w FENCED {'lease':[1,1]}", "w WHO {}");
}
END_TEST

START_TEST (lease_lost_while_cancelling_between_steps_leaves_them_pending)
{
    running ("[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "]");
    ask ("CANCEL", ID);
    lose ();
    ck_assert_str_eq (status (), "cancelled");
    ck_assert_str_eq (step (0), "succeeded");
    ck_assert_str_eq (step (1), "pending");
}
END_TEST

START_TEST (lease_lost_while_cancelling_between_attempts)
{
    running ("[" STARTED ("a", "1", "true") "," RETRYING ("a") "]");
    ask ("CANCEL", ID);
    lose ();
    ck_assert_str_eq (status (), "cancelled");
    ck_assert_str_eq (error_code (0), "cancelled");
}
END_TEST

START_TEST (lease_lost_while_cancelling_after_the_last_outcome)
{
    running ("[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," STARTED ("b", "1", "true") "," SUCCEEDED ("b") "]");
    ask ("CANCEL", ID);
    lose ();
    ck_assert_str_eq (status (), "succeeded");
}
END_TEST

START_TEST (yield_while_cancelling_ends_the_workflow)
{
    running ("[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "]");
    ask ("CANCEL", ID);
    broker_ready (&broker, "w", 0, "'echo'"); /* it drains */
    broker_report (&broker, "w", 1, 3, "[" EVENT ("workflow.yielded", "") "]");
    ck_assert_str_eq (status (), "cancelled");
    ck_assert_str_eq (step (1), "pending");
}
END_TEST

START_TEST (yield_while_cancelling_after_the_last_outcome_is_its_end)
{
    running ("[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," STARTED ("b", "1", "true") "," SUCCEEDED ("b") "]");
    ask ("CANCEL", ID);
    broker_ready (&broker, "w", 0, "'echo'"); /* it drains */
    broker_report (&broker, "w", 1, 5, "[" EVENT ("workflow.yielded", "") "]");
    ck_assert_str_eq (status (), "succeeded");
}
END_TEST

/* The end says why, in a form that is not ours. */
START_TEST (end_while_cancelling_that_says_something_else)
{
    static const char *const errors[] = {"'x'", "{}", "{'code':7}"};
    char end[128];
    running ("[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," STARTED ("b", "1", "true") "," SUCCEEDED ("b") "]");
    ask ("CANCEL", ID);
    snprintf (end, sizeof end, "[" EVENT ("workflow.ended", ",'error':%s") "]", errors[_i]);
    broker_report (&broker, "w", 1, 5, end);
    ck_assert_str_eq (status (), "failed");
}
END_TEST

START_TEST (cancel_ends_a_held_workflow)
{
    held ();
    ask ("CANCEL", ID);
    ck_assert_str_eq (replied_status (), "'cancelled'");
    ck_assert_str_eq (status (), "cancelled");
    ck_assert_str_eq (error_code (0), "in_doubt");
}
END_TEST

START_TEST (cancel_of_one_that_waits_after_a_loss)
{
    running ("[" STARTED ("a", "1", "true") "]");
    lose ();
    ask ("CANCEL", ID);
    ck_assert_str_eq (status (), "cancelled");
    ck_assert_str_eq (error_code (0), "in_doubt");
    ck_assert_str_eq (step (1), "pending");
}
END_TEST

START_TEST (cancel_of_one_whose_end_alone_is_missing)
{
    running ("[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," STARTED ("b", "1", "true") "," FAILED ("b") "]");
    lose ();
    ask ("CANCEL", ID);
    ck_assert_str_eq (replied_status (), "'failed'");
    ck_assert_str_eq (status (), "failed");
}
END_TEST

START_TEST (cancel_of_one_that_succeeded_and_whose_end_is_missing)
{
    running ("[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," STARTED ("b", "1", "true") "," SUCCEEDED ("b") "]");
    lose ();
    ask ("CANCEL", ID);
    ck_assert_str_eq (replied_status (), "'succeeded'");
    ck_assert_str_eq (status (), "succeeded");
}
END_TEST

START_TEST (cancelling_survives_a_restart)
{
    running ("[" STARTED ("a", "1", "true") "]");
    ask ("CANCEL", ID);
    broker_restart (&broker);
    broker_forget (&broker);
    broker_worker (&broker, "w2", "READY", "{'name':'w','slots':1,'modalities':['echo'],'resume':[[[1,1],1]]}", NULL);
    broker_expect (&broker, "w2 WELCOME ...", "w2 ACK {'lease':[1,1],'report_index':1}", "w2 CANCEL {'lease':[1,1]}");
}
END_TEST

START_TEST (cancel_answers_those_who_wait_for_the_receipt)
{
    broker_submit (&broker, TWO);
    broker_client (&broker, "d", "RECEIPT", "{'workflow_id':'wf','wait_ms':60000}", NULL);
    broker_forget (&broker);
    ask ("CANCEL", ID);
    broker_expect (&broker, "2 wf.2 workflow.cancelled ...", "receipt wf",
                   "d OK {'workflow_id':'wf','status':'cancelled'} +",
                   "c OK {'workflow_id':'wf','status':'cancelled'}");
}
END_TEST

START_TEST (cancel_of_what_is_not_there)
{
    ck_assert_str_eq (refused ("CANCEL", "{'workflow_id':'no'}"), "'unknown_workflow'  ");
    ck_assert_str_eq (refused ("CANCEL", "{}"), "'malformed'  '/workflow_id'");
    ended ();
    ask ("CANCEL", ID);
    ck_assert_str_eq (replied_status (), "'failed'");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("core, CANCEL");
    TCase *tests = suite_case (suite, "cancel", set_up, tear_down);
    tcase_add_test (tests, cancel_ends_a_queued_workflow);
    tcase_add_test (tests, cancel_asks_the_worker_of_a_running_one);
    tcase_add_test (tests, cancel_of_the_last_step_is_cancelled_all_the_same);
    tcase_add_test (tests, cancel_that_comes_after_the_last_outcome_changes_nothing);
    tcase_add_test (tests, cancelled_wins_over_another_end);
    tcase_add_test (tests, end_that_calls_itself_cancelled_unasked_is_a_failure);
    tcase_add_test (tests, lease_lost_while_cancelling_ends_the_workflow);
    tcase_add_test (tests, lease_lost_while_cancelling_between_steps_leaves_them_pending);
    tcase_add_test (tests, lease_lost_while_cancelling_between_attempts);
    tcase_add_test (tests, lease_lost_while_cancelling_after_the_last_outcome);
    tcase_add_test (tests, yield_while_cancelling_ends_the_workflow);
    tcase_add_test (tests, yield_while_cancelling_after_the_last_outcome_is_its_end);
    tcase_add_loop_test (tests, end_while_cancelling_that_says_something_else, 0, 3);
    tcase_add_test (tests, cancel_ends_a_held_workflow);
    tcase_add_test (tests, cancel_of_one_that_waits_after_a_loss);
    tcase_add_test (tests, cancel_of_one_whose_end_alone_is_missing);
    tcase_add_test (tests, cancel_of_one_that_succeeded_and_whose_end_is_missing);
    tcase_add_test (tests, cancelling_survives_a_restart);
    tcase_add_test (tests, cancel_answers_those_who_wait_for_the_receipt);
    tcase_add_test (tests, cancel_of_what_is_not_there);
    return suite_run (suite);
}
