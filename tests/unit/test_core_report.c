/*
 * What workers report: every kind of event, what is said twice or out of turn, and workflows that are given back.
 */
#include <check.h>
#include <string.h>

#include "tests/support/broker_worker.h"
#include "tests/support/suite.h"

/* --- REPORT ------------------------------------------------------------------------------------------ */

START_TEST (report_of_every_kind)
{
    assigned ();
    broker_report (
        &broker, "w", 1, 1,
        "[" STEP_EVENT ("step.started", "a", ",'attempt':1,'idempotent':false,'in_doubt':'retry','more':[1]") "]");
    broker_expect (&broker,
                   "3 wf.3 step.started {'step_id':'a','attempt':1,'idempotent':false,'in_doubt':'retry','more':[1]}",
                   "w ACK {'lease':[1,1],'report_index':1}");
    broker_report (&broker, "w", 1, 2,
                   "[" CHECKPOINT ("a", "{'job':7}") "," RETRYING ("a") "," STARTED ("a", "2", "false") "]");
    broker_expect (
        &broker, "4 wf.4 step.checkpoint {'step_id':'a','checkpoint':{'job':7}}",
        "5 wf.5 step.retrying {'step_id':'a','error':{'code':'x','message':'m','retryable':true},'delay_ms':7}",
        "6 wf.6 step.started {'step_id':'a','attempt':2,'idempotent':false}", "w ACK {'lease':[1,1],'report_index':4}");
    broker_report (&broker, "w", 1, 5,
                   "[" FAILED ("a") "," SKIPPED ("b") "," STARTED ("c", "1", "true") "," SUCCEEDED ("c") "]");
    broker_expect (&broker, "7 wf.7 step.failed ...", "8 wf.8 step.skipped ...", "9 wf.9 step.started ...",
                   "10 wf.10 step.succeeded {'step_id':'c','receipt':{'of':'c'}}",
                   "w ACK {'lease':[1,1],'report_index':8}");
    broker_report (&broker, "w", 1, 9, "[" ENDED "]");
    broker_expect (&broker, "11 wf.11 workflow.failed", "receipt wf", "w ACK {'lease':[1,1],'report_index':9}");
    /* The lease is over with it. */
    broker_report (&broker, "w", 1, 9, "[" ENDED "]");
    broker_expect (&broker, "w FENCED {'lease':[1,1]}");
}
END_TEST

START_TEST (step_starts_with_its_first_attempt)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, ONE ("wf"));
    broker_report (&broker, "w", 1, 1,
                   "[{'kind':'step.started','at_us':7,'step_id':'a','attempt':1,'idempotent':true}," RETRYING (
                       "a") ",{'kind':'step.started','at_us':9,'step_id':'a','attempt':2,'idempotent':true},"
                            "{'kind':'step.succeeded','at_us':11,'step_id':'a','receipt':{}}]");
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf'}", NULL);
    ck_assert_ptr_nonnull (strstr (broker_document (&broker), "'started_us':7,'finished_us':11"));
}
END_TEST

START_TEST (report_of_an_end_with_an_error)
{
    assigned ();
    broker_report (&broker, "w", 1, 1,
                   "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," EVENT (
                       "workflow.ended", ",'error':{'code':'hook_failed','message':'m','retryable':false}") "]");
    broker_expect (&broker, "3 ...", "4 ...",
                   "5 wf.5 workflow.failed {'error':{'code':'hook_failed','message':'m','retryable':false}}",
                   "receipt wf", "w ACK ...");
}
END_TEST

START_TEST (report_of_an_end_with_an_error_after_all_succeeded)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, ONE ("wf"));
    broker_report (&broker, "w", 1, 1,
                   "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," EVENT ("workflow.ended", ",'error':{}") "]");
    ck_assert_str_eq (status ("wf"), "failed");
}
END_TEST

START_TEST (report_of_an_end_with_a_nil_error_is_one_without)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, ONE ("wf"));
    broker_report (
        &broker, "w", 1, 1,
        "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," EVENT ("workflow.ended", ",'error':null") "]");
    ck_assert_str_eq (status ("wf"), "succeeded");
}
END_TEST

START_TEST (report_of_a_failure_before_the_start)
{
    assigned ();
    broker_report (&broker, "w", 1, 1, "[" FAILED ("a") "," SKIPPED ("b") "," FAILED ("c") "," ENDED "]");
    ck_assert_str_eq (status ("wf"), "failed");
}
END_TEST

START_TEST (report_twice_is_passed_over)
{
    assigned ();
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "]");
    broker_forget (&broker);
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "]");
    broker_expect (&broker, "w ACK {'lease':[1,1],'report_index':2}");
    broker_report (&broker, "w", 1, 2, "[" SUCCEEDED ("a") "," STARTED ("b", "1", "true") "]");
    broker_expect (&broker, "5 wf.5 step.started {'step_id':'b',...", "w ACK {'lease':[1,1],'report_index':3}");
    broker_report (&broker, "w", 1, 1, "[]");
    broker_expect (&broker, "w ACK {'lease':[1,1],'report_index':3}");
    broker_report (&broker, "w", 1, 4, "[]");
    broker_expect (&broker, "w ACK {'lease':[1,1],'report_index':3}");
}
END_TEST

START_TEST (report_beyond_a_gap_is_dropped)
{
    assigned ();
    broker_report (&broker, "w", 1, 2, "[" SUCCEEDED ("a") "]");
    broker_expect (&broker, "w ACK {'lease':[1,1],'report_index':0}");
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "]");
    broker_report (&broker, "w", 1, 9223372036854775807, "[" SUCCEEDED ("a") "]");
    broker_expect (&broker, "3 wf.3 ...", "w ACK {'lease':[1,1],'report_index':1}",
                   "w ACK {'lease':[1,1],'report_index':1}");
}
END_TEST

START_TEST (report_under_another_lease)
{
    assigned ();
    broker_report (&broker, "w", 2, 1, "[" STARTED ("a", "1", "true") "]");
    broker_expect (&broker, "w FENCED {'lease':[1,2]}");
    broker_worker (&broker, "w", "REPORT", "{'lease':[2,1],'report_index':1}", "[" STARTED ("a", "1", "true") "]");
    broker_expect (&broker, "w FENCED {'lease':[2,1]}");
    broker_worker (&broker, "w", "REPORT", "{'lease':[0,0],'report_index':1}", "[]");
    broker_expect (&broker, "w FENCED {'lease':[0,0]}");
}
END_TEST

START_TEST (report_from_an_unknown_connection)
{
    assigned ();
    broker_report (&broker, "x", 1, 1, "[" STARTED ("a", "1", "true") "]");
    broker_expect (&broker, "x WHO {}");
    broker_report (&broker, "x", 9, 1, "[" STARTED ("a", "1", "true") "]");
    broker_expect (&broker, "x FENCED {'lease':[1,9]}", "x WHO {}");
    ck_assert_uint_eq (broker.event_count, 2);
}
END_TEST

START_TEST (report_from_another_connection_takes_the_lease_along)
{
    assigned ();
    broker_ready (&broker, "x", 1, "'echo'");
    broker_report (&broker, "x", 1, 1, "[" STARTED ("a", "1", "true") "]");
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/worker"), "'x'");
    broker_forget (&broker);
    broker_submit (&broker, ONE ("next"));
    broker_expect (&broker, "4 next.1 ...", "c OK ...", "5 next.2 workflow.assigned {'worker':'w',...", "w ASSIGN ...");
}
END_TEST

START_TEST (progress_is_published_and_not_kept)
{
    assigned ();
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "]");
    broker_forget (&broker);
    broker_worker (&broker, "w", "REPORT", "{'lease':[1,1],'report_index':null}",
                   "[" PROGRESS ("a") "," PROGRESS ("a") "]");
    broker_expect (&broker, "~ wf step.progress {'step_id':'a','fraction':0.5}",
                   "~ wf step.progress {'step_id':'a','fraction':0.5}");
    /* Of a step that is not known to run: its start got lost, or it has an outcome. */
    broker_worker (&broker, "w", "REPORT", "{'lease':[1,1],'report_index':null}", "[" PROGRESS ("b") "]");
    broker_expect_nothing (&broker);
    broker_report (&broker, "w", 1, 2, "[" SUCCEEDED ("a") "," STARTED ("b", "1", "true") "]");
    broker_forget (&broker);
    broker_worker (&broker, "w", "REPORT", "{'lease':[1,1],'report_index':null}", "[" PROGRESS ("a") "]");
    broker_expect_nothing (&broker);
    broker_worker (&broker, "w", "REPORT", "{'lease':[1,9],'report_index':null}", "[" PROGRESS ("a") "]");
    broker_expect (&broker, "w FENCED {'lease':[1,9]}");
    ck_assert_uint_eq (broker.event_count, 5);
    broker_worker (&broker, "w", "REPORT", "{'lease':[1,1],'report_index':null}", "[{'kind':'step.progress'}]");
    ck_assert_uint_eq (broker_model (&broker, "wf")->deliveries, 2); /* what cannot be read counts as a lost worker */
}
END_TEST

START_TEST (nothing_but_progress_comes_without_an_index)
{
    assigned ();
    broker_ready (&broker, "w", 0, "'echo'");
    broker_forget (&broker);
    broker_worker (&broker, "w", "REPORT", "{'lease':[1,1],'report_index':null}", "[" STARTED ("a", "1", "true") "]");
    broker_expect (&broker, "3 wf.3 workflow.requeued ...", "w FENCED {'lease':[1,1],'error':{'code':'malformed',...");
}
END_TEST

/* --- yield ------------------------------------------------------------------------------------------- */

START_TEST (yield_at_a_modality_that_is_not_served)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, WORKFLOW ("wf", STEP ("a", "echo") "," STEP ("b", "video")));
    broker_forget (&broker);
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," YIELDED "]");
    broker_expect (&broker, "3 ...", "4 ...", "5 wf.5 workflow.yielded", "w ACK {'lease':[1,1],'report_index':3}");
    broker_report (&broker, "w", 1, 3, "[" YIELDED "]");
    broker_expect (&broker, "w FENCED {'lease':[1,1]}");
    broker_ready (&broker, "v", 1, "'video'");
    broker_expect (&broker, WELCOME ("v"), "6 wf.6 workflow.assigned {'worker':'v','delivery':2,'lease':[1,2]}",
                   "v ASSIGN ...");
    ck_assert_str_eq (broker_document (&broker),
                      "{'workflow_id':'wf','steps':[{'step_id':'a','modality':'echo','status':'succeeded','receipt':"
                      "{'of':'a'},'error':null,'started_us':5,'finished_us':5},{'step_id':'b','modality':'video'}]}");
}
END_TEST

START_TEST (yield_that_counts_as_a_lost_worker)
{
    static const char *const events[] = {
        "[" YIELDED "]",                                /* at a modality it announced */
        "[" STARTED ("a", "1", "true") "," YIELDED "]", /* while a step runs */
        "[" STARTED ("a", "1", "true") "," CHECKPOINT ("a", "1") "," YIELDED "]",
        "[" FAILED ("a") "," YIELDED "]",                                    /* where c is left */
        "[" FAILED ("a") "," SKIPPED ("b") "," FAILED ("c") "," YIELDED "]", /* where nothing is */
    };
    assigned ();
    broker_report (&broker, "w", 1, 1, events[_i]);
    ck_assert_str_eq (broker_model (&broker, "wf")->status, "running"); /* it got it again */
    ck_assert_uint_eq (broker_model (&broker, "wf")->deliveries, 2);
    broker_client (&broker, "c", "STATS", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/counters/requeued"), "1");
}
END_TEST

START_TEST (yield_while_it_drains)
{
    static const char *const events[] = {"[" YIELDED "]",
                                         "[" STARTED ("a", "1", "true") "," RETRYING ("a") "," YIELDED "]"};
    assigned ();
    broker_ready (&broker, "w", 0, "'echo'");
    broker_report (&broker, "w", 1, 1, events[_i]);
    broker_client (&broker, "c", "STATS", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/counters/requeued"), "0");
    ck_assert_str_eq (status ("wf"), "queued");
    /* The bench sees to it that the next one goes on counting attempts. */
    broker_ready (&broker, "w", 1, "'echo'");
    ck_assert_str_eq (status ("wf"), "running");
}
END_TEST

START_TEST (yield_of_a_running_step_while_it_drains_is_a_loss_all_the_same)
{
    assigned ();
    broker_ready (&broker, "w", 0, "'echo'");
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "false") "," YIELDED "]");
    ck_assert_str_eq (status ("wf"), "held");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("core, reports");
    TCase *tests = suite_case (suite, "report", set_up, tear_down);
    tcase_add_test (tests, report_of_every_kind);
    tcase_add_test (tests, step_starts_with_its_first_attempt);
    tcase_add_test (tests, report_of_an_end_with_an_error);
    tcase_add_test (tests, report_of_an_end_with_an_error_after_all_succeeded);
    tcase_add_test (tests, report_of_an_end_with_a_nil_error_is_one_without);
    tcase_add_test (tests, report_of_a_failure_before_the_start);
    tcase_add_test (tests, report_twice_is_passed_over);
    tcase_add_test (tests, report_beyond_a_gap_is_dropped);
    tcase_add_test (tests, report_under_another_lease);
    tcase_add_test (tests, report_from_an_unknown_connection);
    tcase_add_test (tests, report_from_another_connection_takes_the_lease_along);
    tcase_add_test (tests, progress_is_published_and_not_kept);
    tcase_add_test (tests, nothing_but_progress_comes_without_an_index);
    tcase_add_test (tests, yield_at_a_modality_that_is_not_served);
    tcase_add_loop_test (tests, yield_that_counts_as_a_lost_worker, 0, 5);
    tcase_add_loop_test (tests, yield_while_it_drains, 0, 2);
    tcase_add_test (tests, yield_of_a_running_step_while_it_drains_is_a_loss_all_the_same);
    return suite_run (suite);
}
