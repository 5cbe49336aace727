/*
 * PAUSE and RESUME, of a workflow and of everything.
 */
#include <check.h>
#include <stdio.h>

#include "tests/support/broker_control.h"
#include "tests/support/suite.h"

START_TEST (paused_workflow_is_not_handed_out)
{
    broker_submit (&broker, TWO);
    broker_forget (&broker);
    ask ("PAUSE", ID);
    broker_expect (&broker, "2 wf.2 workflow.paused", "c OK {'workflow_id':'wf','status':'queued'}");
    ask ("PAUSE", ID);
    broker_expect (&broker, "c OK {'workflow_id':'wf','status':'queued'}");
    broker_ready (&broker, "w", 1, "'echo'");
    ck_assert_str_eq (status (), "queued");
    ask ("GET", ID);
    ck_assert_str_eq (broker_header (&broker, "/paused"), "true");
    ck_assert_str_eq (broker_header (&broker, "/waiting_for"), "");
    broker_restart (&broker);
    broker_ready (&broker, "w", 1, "'echo'");
    ck_assert_str_eq (status (), "queued");
    broker_forget (&broker);
    ask ("RESUME", ID);
    broker_expect (&broker, "3 wf.3 workflow.resumed", "c OK {'workflow_id':'wf','status':'queued'}",
                   "4 wf.4 workflow.assigned ...", "w ASSIGN ...");
    ask ("RESUME", ID);
    ck_assert_str_eq (replied_status (), "'running'");
}
END_TEST

START_TEST (pause_asks_the_worker_to_yield)
{
    running ("[" STARTED ("a", "1", "false") "]");
    ask ("PAUSE", ID);
    broker_expect (&broker, "4 wf.4 workflow.paused", "w YIELD {'lease':[1,1]}",
                   "c OK {'workflow_id':'wf','status':'running'}");
    broker_worker (&broker, "w", "HEARTBEAT", HEARTBEAT ("[1,1]"), NULL);
    broker_expect (&broker, "w YIELD {'lease':[1,1]}", "w HEARTBEAT {'sent_us':1}");
    broker_report (&broker, "w", 1, 2, "[" SUCCEEDED ("a") "," EVENT ("workflow.yielded", "") "]");
    ck_assert_str_eq (status (), "queued");
    ask ("STATS", "{}");
    ck_assert_str_eq (broker_header (&broker, "/counters/requeued"), "0"); /* nobody was lost */
    ask ("RESUME", ID);
    ck_assert_str_eq (status (), "running");
    ck_assert_str_eq (step (0), "succeeded");
}
END_TEST

START_TEST (yield_that_was_asked_for_is_no_loss_after_all_that_may_come_between)
{
    running (NULL);
    ask ("PAUSE", ID);
    ask ("RESUME", ID);
    broker_restart (&broker);
    broker_worker (&broker, "w", "READY", "{'name':'w','slots':1,'modalities':['echo'],'resume':[[[1,1],0]]}", NULL);
    broker_report (&broker, "w", 1, 1, "[" EVENT ("workflow.yielded", "") "]");
    ask ("STATS", "{}");
    ck_assert_str_eq (broker_header (&broker, "/counters/requeued"), "0");
    ck_assert_str_eq (status (), "running"); /* handed out again */
    /* The next lease was not asked. */
    char report[64];
    snprintf (report, sizeof report, "[%s]", EVENT ("workflow.yielded", ""));
    struct reel_lease lease = broker_model (&broker, "wf")->lease;
    char header[64];
    snprintf (header, sizeof header, "{'lease':[%llu,%llu],'report_index':1}", (unsigned long long) lease.epoch,
              (unsigned long long) lease.counter);
    broker_worker (&broker, "w", "REPORT", header, report);
    ask ("STATS", "{}");
    ck_assert_str_eq (broker_header (&broker, "/counters/requeued"), "1");
}
END_TEST

START_TEST (yield_in_the_middle_of_a_step_is_a_loss_asked_or_not)
{
    running ("[" STARTED ("a", "1", "true") "]");
    ask ("PAUSE", ID);
    broker_report (&broker, "w", 1, 2, "[" EVENT ("workflow.yielded", "") "]");
    ask ("STATS", "{}");
    ck_assert_str_eq (broker_header (&broker, "/counters/requeued"), "1");
}
END_TEST

START_TEST (paused_and_lost_waits_to_be_resumed)
{
    running ("[" STARTED ("a", "1", "true") "]");
    ask ("PAUSE", ID);
    lose ();
    broker_ready (&broker, "v", 1, "'echo'");
    ck_assert_str_eq (status (), "queued");
    ask ("RESUME", ID);
    ck_assert_str_eq (status (), "running");
}
END_TEST

/* Who comes back to a workflow that was paused meanwhile is asked for it, and its yield is no loss. */
START_TEST (paused_while_it_is_held_and_its_holder_returns)
{
    held ();
    ask ("PAUSE", _i == 0 ? ID : "{}");
    broker_worker (&broker, "w", "READY", "{'name':'w','slots':1,'modalities':['echo'],'resume':[[[1,1],1]]}", NULL);
    ck_assert_str_eq (status (), "running");
    broker_report (&broker, "w", 1, 2, "[" SUCCEEDED ("a") "," EVENT ("workflow.yielded", "") "]");
    ck_assert_str_eq (status (), "queued");
    ask ("STATS", "{}");
    ck_assert_str_eq (broker_header (&broker, "/counters/requeued"), "0");
}
END_TEST

START_TEST (everything_can_be_paused)
{
    running (NULL);
    broker_submit (&broker, WORKFLOW ("x", STEP ("a", "echo", "")));
    broker_forget (&broker);
    ask ("PAUSE", "{}");
    broker_expect (&broker, "paused", "c OK {'status':'paused'}");
    ask ("PAUSE", "{}");
    broker_expect (&broker, "c OK {'status':'paused'}");
    ask ("PING", "{}");
    ck_assert_str_eq (broker_header (&broker, "/paused"), "true");
    broker_ready (&broker, "v", 1, "'echo'");
    broker_worker (&broker, "w", "HEARTBEAT", HEARTBEAT ("[1,1]"), NULL);
    ck_assert_str_eq (broker_model (&broker, "x")->status, "queued");
    broker_restart (&broker);
    broker_ready (&broker, "v", 1, "'echo'");
    ask ("PING", "{}");
    ck_assert_str_eq (broker_header (&broker, "/paused"), "true");
    broker_forget (&broker);
    broker_worker (&broker, "w", "READY", "{'name':'w','slots':1,'modalities':['echo'],'resume':[[[1,1],0]]}", NULL);
    broker_expect (&broker, "w WELCOME ...", "w ACK {'lease':[1,1],'report_index':0}", "w YIELD {'lease':[1,1]}");
    broker_report (&broker, "w", 1, 1, "[" EVENT ("workflow.yielded", "") "]");
    ck_assert_str_eq (status (), "queued");
    broker_forget (&broker);
    ask ("RESUME", "{}");
    broker_expect (&broker, "resumed", "c OK {'status':'resumed'}", "5 wf.4 workflow.assigned ...",
                   "6 x.2 workflow.assigned ...", "v ASSIGN ...", "w ASSIGN ...");
    ck_assert_str_eq (status (), "running");
    ck_assert_str_eq (broker_model (&broker, "x")->status, "running");
    ask ("STATS", "{}");
    ck_assert_str_eq (broker_header (&broker, "/counters/requeued"), "0");
}
END_TEST

START_TEST (one_that_is_paused_stays_so_when_everything_is_resumed)
{
    broker_submit (&broker, TWO);
    ask ("PAUSE", ID);
    ask ("PAUSE", "{}");
    ask ("RESUME", "{}");
    broker_ready (&broker, "v", 1, "'echo'");
    ck_assert_str_eq (status (), "queued");
}
END_TEST

START_TEST (pause_is_refused)
{
    ck_assert_str_eq (refused ("PAUSE", "{'workflow_id':'no'}"), "'unknown_workflow'  ");
    ck_assert_str_eq (refused ("RESUME", "{'workflow_id':'no'}"), "'unknown_workflow'  ");
    ended ();
    ck_assert_str_eq (refused ("PAUSE", ID), "'bad_state' 'failed' ");
    ck_assert_str_eq (refused ("RESUME", ID), "'bad_state' 'failed' ");
}
END_TEST

START_TEST (cancel_of_a_paused_workflow)
{
    broker_submit (&broker, TWO);
    ask ("PAUSE", ID);
    ask ("CANCEL", ID);
    ck_assert_str_eq (status (), "cancelled");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("core, PAUSE and RESUME");
    TCase *tests = suite_case (suite, "pause", set_up, tear_down);
    tcase_add_test (tests, paused_workflow_is_not_handed_out);
    tcase_add_test (tests, pause_asks_the_worker_to_yield);
    tcase_add_test (tests, yield_that_was_asked_for_is_no_loss_after_all_that_may_come_between);
    tcase_add_test (tests, yield_in_the_middle_of_a_step_is_a_loss_asked_or_not);
    tcase_add_test (tests, paused_and_lost_waits_to_be_resumed);
    tcase_add_loop_test (tests, paused_while_it_is_held_and_its_holder_returns, 0, 2);
    tcase_add_test (tests, everything_can_be_paused);
    tcase_add_test (tests, one_that_is_paused_stays_so_when_everything_is_resumed);
    tcase_add_test (tests, pause_is_refused);
    tcase_add_test (tests, cancel_of_a_paused_workflow);
    return suite_run (suite);
}
