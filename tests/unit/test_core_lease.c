/*
 * Leases: how long they last, what renews them, and what becomes of a holder that comes back after its term.
 */
#include <check.h>

#include "tests/support/broker_lease.h"
#include "tests/support/suite.h"

/* --- the term ------------------------------------------------------------------------------------------ */

START_TEST (lease_expires_after_its_term)
{
    running (NULL);
    ck_assert_int_eq (broker.wake_us, 10000000);
    broker_pass_ms (&broker, 9999);
    broker_expect_nothing (&broker);
    broker_pass_ms (&broker, 1);
    broker_expect (&broker, "3 wf.3 workflow.requeued {'reason':'worker_lost'}");
}
END_TEST

START_TEST (nobody_is_given_up_before_all_is_read)
{
    running (NULL);
    broker.more_to_read = true;
    broker_pass_ms (&broker, 10000);
    broker_expect_nothing (&broker);
    broker_worker (&broker, "w", "HEARTBEAT", HEARTBEAT ("[1,1]"), NULL);
    broker.more_to_read = false;
    broker_pass_ms (&broker, 9999);
    ck_assert_str_eq (status (), "running");
    broker_pass_ms (&broker, 1);
    ck_assert_str_eq (status (), "queued");
}
END_TEST

START_TEST (wall_clock_that_is_set_expires_nothing)
{
    running (NULL);
    broker_pass_ms (&broker, 5000);
    broker.wall_us += INT64_C (7200000000);
    broker_tick (&broker);
    broker.wall_us -= INT64_C (3600000000);
    broker_tick (&broker);
    broker_pass_ms (&broker, 4999);
    broker_expect_nothing (&broker);
    broker_pass_ms (&broker, 1);
    broker_expect (&broker, "3 wf.3 workflow.requeued {'reason':'worker_lost'}");
}
END_TEST

START_TEST (heartbeats_and_reports_renew_it_however_long_a_step_runs)
{
    running ("[" STARTED ("a", "1", "false") "]");
    for (int i = 0; i < 20; i++) {
        broker_pass_ms (&broker, 9999);
        broker_worker (&broker, "w", "HEARTBEAT", HEARTBEAT ("[1,1]"), NULL);
        broker_pass_ms (&broker, 9999);
        broker_report (&broker, "w", 1, 1, "[]");
        broker_pass_ms (&broker, 9999);
        broker_worker (&broker, "w", "REPORT", "{'lease':[1,1],'report_index':null}", "[" PROGRESS ("a") "]");
    }
    ck_assert_str_eq (status (), "running");
    ck_assert_uint_eq (broker.event_count, 3);
}
END_TEST

START_TEST (heartbeat_without_the_lease_does_not_renew_it)
{
    running (NULL);
    for (int i = 0; i < 5; i++) {
        ck_assert_str_eq (status (), "running");
        broker_pass_ms (&broker, 2000);
        broker_worker (&broker, "w", "HEARTBEAT", HEARTBEAT (""), NULL);
    }
    /* The worker is there, so it gets it anew. */
    ck_assert_uint_eq (deliveries (), 2);
}
END_TEST

START_TEST (leases_expire_one_by_one)
{
    broker_ready (&broker, "w", 3, "'echo'");
    broker_submit (&broker, WORKFLOW ("1", STEP ("a", "echo")));
    broker_pass_ms (&broker, 100);
    broker_submit (&broker, WORKFLOW ("2", STEP ("a", "echo")));
    broker_pass_ms (&broker, 100);
    broker_submit (&broker, WORKFLOW ("3", STEP ("a", "echo")));
    broker_worker (&broker, "w", "HEARTBEAT", HEARTBEAT ("[1,1]"), NULL);
    broker_worker (&broker, "w", "LEAVE", "{}", NULL);
    broker_forget (&broker);
    broker_pass_ms (&broker, 9900);
    broker_expect (&broker, "7 2.3 workflow.requeued ...");
    broker_pass_ms (&broker, 99);
    broker_expect_nothing (&broker);
    broker_pass_ms (&broker, 1);
    broker_expect (&broker, "8 1.3 workflow.requeued ...", "9 3.3 workflow.requeued ...");
}
END_TEST

/* --- who comes back ----------------------------------------------------------------------------------------- */

static const struct {
    const char *command;
    const char *header;
    const char *document;
} returns[] = {
    {"READY", "{'name':'w','slots':1,'modalities':['echo'],'resume':[[[1,1],9]]}", NULL},
    {"HEARTBEAT", HEARTBEAT ("[1,1]"), NULL},
    {"REPORT", "{'lease':[1,1],'report_index':2}", "[]"},
    {"REPORT", "{'lease':[1,1],'report_index':null}", "[" PROGRESS ("a") "]"},
};

START_TEST (holder_comes_back_before_another_grant)
{
    running ("[" STARTED ("a", "1", "true") "]");
    broker_pass_ms (&broker, 10000);
    broker_expect (&broker, "4 wf.4 workflow.requeued {'reason':'worker_lost'}");
    broker_ready (&broker, "w", 0, "'echo'");
    broker_forget (&broker);
    broker_worker (&broker, "w", returns[_i].command, returns[_i].header, returns[_i].document);
    ck_assert_str_eq (status (), "running");
    ck_assert_uint_eq (deliveries (), 1);
    /* It goes on where it was: the step was not interrupted. */
    broker_report (&broker, "w", 1, 2, "[" SUCCEEDED ("a") "," STARTED ("b", "1", "true") "]");
    ck_assert_str_eq (step (0), "succeeded");
    /* And nobody else gets it, though it had waited in the queue. */
    broker_ready (&broker, "v", 1, "'echo'");
    ck_assert_int_eq (broker.sent[broker.sent_count - 1].command, REEL_WELCOME);
    broker_pass_ms (&broker, 9999);
    ck_assert_str_eq (status (), "running");
}
END_TEST

START_TEST (holder_comes_back_and_the_hold_is_lifted)
{
    running ("[" STARTED ("a", "1", "false") "]");
    broker_pass_ms (&broker, 10000);
    ck_assert_str_eq (status (), "held");
    broker_ready (&broker, "w", 0, "'echo'");
    broker_forget (&broker);
    broker_worker (&broker, "w", returns[_i].command, returns[_i].header, returns[_i].document);
    ck_assert_str_eq (status (), "running");
    broker_forget (&broker);
    broker_report (&broker, "w", 1, 2, "[" SUCCEEDED ("a") "]");
    broker_expect (&broker, "7 wf.7 step.succeeded ...", "w ACK {'lease':[1,1],'report_index':2}");
}
END_TEST

START_TEST (holder_comes_back_after_a_restart_while_it_is_held)
{
    running ("[" STARTED ("a", "1", "false") "]");
    broker_pass_ms (&broker, 10000);
    broker_restart (&broker);
    broker_forget (&broker);
    broker_worker (&broker, "w", "READY", returns[0].header, NULL);
    broker_expect (&broker, "6 wf.6 workflow.assigned {'worker':'w','delivery':1,'lease':[1,1],'returned':true}",
                   "w WELCOME ...", "w ACK {'lease':[1,1],'report_index':1}");
}
END_TEST

START_TEST (holder_comes_back_after_another_grant)
{
    running ("[" STARTED ("a", "1", "true") "]");
    broker_pass_ms (&broker, 10000);
    broker_ready (&broker, "v", 1, "'echo'");
    broker_forget (&broker);
    broker_worker (&broker, "w", "READY", "{'name':'w','slots':1,'modalities':['echo'],'resume':[[[1,1],2]]}", NULL);
    broker_expect (&broker, "w WELCOME ...", "w FENCED {'lease':[1,1]}");
    broker_report (&broker, "w", 1, 2, "[" SUCCEEDED ("a") "]");
    broker_expect (&broker, "w FENCED {'lease':[1,1]}");
    broker_report (&broker, "v", 2, 1, "[" STARTED ("a", "2", "true") "," SUCCEEDED ("a") "]");
    ck_assert_uint_eq (broker.event_count, 7);
}
END_TEST

START_TEST (holder_that_yields_after_its_lease_expired)
{
    running ("[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "]");
    broker_pass_ms (&broker, 10000);
    broker_forget (&broker);
    broker_ready (&broker, "w", 0, "'echo'");
    broker_report (&broker, "w", 1, 3, "[" YIELDED "]");
    broker_expect (&broker, "w WELCOME ...", "6 wf.6 workflow.assigned {...", "7 wf.7 workflow.yielded",
                   "w ACK {'lease':[1,1],'report_index':3}");
    ck_assert_str_eq (status (), "queued");
}
END_TEST

START_TEST (holder_that_contradicts_itself_cannot_come_back)
{
    running ("[" STARTED ("a", "1", "false") "]");
    broker_report (&broker, "w", 1, 2, "[" SUCCEEDED ("b") "]");
    broker_expect (&broker, "4 wf.4 step.in_doubt ...", "5 wf.5 workflow.held {'step_id':'a','reason':'contradiction'}",
                   "w FENCED ...");
    broker_worker (&broker, "w", "HEARTBEAT", HEARTBEAT ("[1,1]"), NULL);
    broker_expect (&broker, "w FENCED {'lease':[1,1]}", "w HEARTBEAT {'sent_us':1}");
    ck_assert_str_eq (status (), "held");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("core, leases");
    TCase *tests = suite_case (suite, "lease", set_up, tear_down);
    tcase_add_test (tests, lease_expires_after_its_term);
    tcase_add_test (tests, nobody_is_given_up_before_all_is_read);
    tcase_add_test (tests, wall_clock_that_is_set_expires_nothing);
    tcase_add_test (tests, heartbeats_and_reports_renew_it_however_long_a_step_runs);
    tcase_add_test (tests, heartbeat_without_the_lease_does_not_renew_it);
    tcase_add_test (tests, leases_expire_one_by_one);
    tcase_add_loop_test (tests, holder_comes_back_before_another_grant, 0, sizeof returns / sizeof returns[0]);
    tcase_add_loop_test (tests, holder_comes_back_and_the_hold_is_lifted, 0, sizeof returns / sizeof returns[0]);
    tcase_add_test (tests, holder_comes_back_after_a_restart_while_it_is_held);
    tcase_add_test (tests, holder_comes_back_after_another_grant);
    tcase_add_test (tests, holder_that_yields_after_its_lease_expired);
    tcase_add_test (tests, holder_that_contradicts_itself_cannot_come_back);
    return suite_run (suite);
}
