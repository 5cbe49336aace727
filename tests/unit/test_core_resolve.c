/*
 * RESOLVE: what an operator makes of a step in doubt.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/broker_control.h"
#include "tests/support/suite.h"

#define RESOLVE(as, more) "{'workflow_id':'wf','step_id':'a','as':'" as "'" more "}"

START_TEST (resolve_retry_hands_the_step_out_again)
{
    held ();
    ask ("RESOLVE", RESOLVE ("retry", ",'note':'nothing was billed'"));
    broker_expect (&broker, "6 wf.6 workflow.resolved {'step_id':'a','as':'retry','note':'nothing was billed'}",
                   "c OK {'workflow_id':'wf','status':'queued'}");
    broker_ready (&broker, "v", 1, "'echo'");
    ck_assert_str_eq (status (), "running");
    ck_assert_str_eq (broker_header (&broker, "/attempts"), "1");
}
END_TEST

START_TEST (resolve_retry_leaves_the_old_lease_good_until_a_new_one)
{
    held ();
    ask ("RESOLVE", RESOLVE ("retry", ""));
    broker_ready (&broker, "w", 0, "'echo'");
    broker_report (&broker, "w", 1, 2, "[" SUCCEEDED ("a") "]");
    ck_assert_str_eq (status (), "running");
    ck_assert_str_eq (step (0), "succeeded");
}
END_TEST

START_TEST (resolve_failed_gives_the_step_its_outcome)
{
    held ();
    broker_ready (&broker, "w", 0, "'echo'");
    broker_forget (&broker);
    ask ("RESOLVE", RESOLVE ("failed", ""));
    broker_expect (&broker, "6 wf.6 workflow.resolved {'step_id':'a','as':'failed'}",
                   "7 wf.7 step.failed {'step_id':'a','error':{'code':'in_doubt','message':'resolved as "
                   "failed','retryable':false}}",
                   "c OK {'workflow_id':'wf','status':'queued'}");
    broker_report (&broker, "w", 1, 2, "[" SUCCEEDED ("a") "]");
    broker_expect (&broker, "w FENCED {'lease':[1,1]}");
}
END_TEST

START_TEST (resolve_succeeded_takes_the_receipt)
{
    held ();
    ask ("RESOLVE", RESOLVE ("succeeded", ",'receipt':{'output':{'image':'k.png'}}"));
    ck_assert_str_eq (replied_status (), "'queued'");
    ck_assert_str_eq (step (0), "succeeded");
    ck_assert_str_eq (broker_json (&broker, broker_model (&broker, "wf")->outcomes[0].receipt),
                      "{'output':{'image':'k.png'}}");
    broker_ready (&broker, "v", 1, "'echo'");
    ck_assert_str_eq (status (), "running");
    ck_assert_str_eq (broker_header (&broker, "/attempts"), ""); /* it is the next step's turn */
}
END_TEST

START_TEST (resolve_of_the_last_step_ends_the_workflow)
{
    for (int i = 0; i < 2; i++) {
        if (i > 0) {
            tear_down ();
            set_up ();
        }
        running ("[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," STARTED ("b", "1", "false") "]");
        lose ();
        ask ("RESOLVE", i == 0 ? "{'workflow_id':'wf','step_id':'b','as':'succeeded','receipt':{}}"
                               : "{'workflow_id':'wf','step_id':'b','as':'failed'}");
        ck_assert_str_eq (replied_status (), i == 0 ? "'succeeded'" : "'failed'");
        ck_assert_str_eq (status (), i == 0 ? "succeeded" : "failed");
    }
}
END_TEST

START_TEST (resolve_of_a_paused_one_waits_to_be_resumed)
{
    held ();
    ask ("PAUSE", ID);
    ask ("RESOLVE", RESOLVE ("retry", ""));
    broker_ready (&broker, "v", 1, "'echo'");
    ck_assert_str_eq (status (), "queued");
    ask ("RESUME", ID);
    ck_assert_str_eq (status (), "running");
}
END_TEST

START_TEST (resolve_is_refused)
{
    broker_submit (&broker, TWO);
    ck_assert_str_eq (refused ("RESOLVE", RESOLVE ("retry", "")), "'bad_state' 'queued' ");
    ck_assert_str_eq (refused ("RESOLVE", "{'workflow_id':'no','step_id':'a','as':'retry'}"), "'unknown_workflow'  ");
    tear_down ();
    set_up ();
    held ();
    ck_assert_str_eq (refused ("RESOLVE", RESOLVE ("maybe", "")), "'malformed'  '/as'");
    ck_assert_str_eq (refused ("RESOLVE", RESOLVE ("succeeded", "")), "'malformed'  '/receipt'");
    ck_assert_str_eq (refused ("RESOLVE", RESOLVE ("failed", ",'receipt':{}")), "'malformed'  '/receipt'");
    ck_assert_str_eq (refused ("RESOLVE", "{'workflow_id':'wf','step_id':'x','as':'retry'}"),
                      "'unknown_step'  '/step_id'");
    ck_assert_str_eq (refused ("RESOLVE", "{'workflow_id':'wf','step_id':'b','as':'retry'}"),
                      "'bad_state' 'held' '/step_id'");
    ck_assert_str_eq (status (), "held");
    tear_down ();
    set_up ();
    ended ();
    ck_assert_str_eq (refused ("RESOLVE", RESOLVE ("retry", "")), "'bad_state' 'failed' ");
}
END_TEST

/* The largest receipt that is taken, and one byte more; and the same in depth. */
START_TEST (resolve_bounds_the_receipt)
{
    static char header[REEL_RECEIPT_BYTES_MAX + 256];
    for (size_t more = 0; more < 2; more++) {
        held ();
        size_t len = (size_t) snprintf (header, sizeof header,
                                        "{'workflow_id':'wf','step_id':'a','as':'succeeded',"
                                        "'receipt':{'x':'");
        size_t text = REEL_RECEIPT_BYTES_MAX - 3 - 5 + more; /* a map of one, a key of one, the head of a str32 */
        memset (header + len, 'y', text);
        snprintf (header + len + text, sizeof header - len - text, "'}}");
        ask ("RESOLVE", header);
        ck_assert_str_eq (broker_header (&broker, "/code"), more ? "'too_large'" : "");
        ck_assert_str_eq (status (), more ? "held" : "queued");
        tear_down ();
        set_up ();
    }
    for (unsigned more = 0; more < 2; more++) {
        held ();
        char *at = header
                   + snprintf (header, sizeof header,
                               "{'workflow_id':'wf','step_id':'a','as':'succeeded',"
                               "'receipt':{'x':");
        unsigned lists = REEL_RECEIPT_DEPTH_MAX - 1 + more;
        memset (at, '[', lists);
        memset (at + lists, ']', lists);
        snprintf (at + 2 * lists, 3, "}}");
        ask ("RESOLVE", header);
        ck_assert_str_eq (broker_header (&broker, "/code"), more ? "'too_large'" : "");
        tear_down ();
        set_up ();
    }
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("core, RESOLVE");
    TCase *tests = suite_case (suite, "resolve", set_up, tear_down);
    tcase_add_test (tests, resolve_retry_hands_the_step_out_again);
    tcase_add_test (tests, resolve_retry_leaves_the_old_lease_good_until_a_new_one);
    tcase_add_test (tests, resolve_failed_gives_the_step_its_outcome);
    tcase_add_test (tests, resolve_succeeded_takes_the_receipt);
    tcase_add_test (tests, resolve_of_the_last_step_ends_the_workflow);
    tcase_add_test (tests, resolve_of_a_paused_one_waits_to_be_resumed);
    tcase_add_test (tests, resolve_is_refused);
    tcase_add_test (tests, resolve_bounds_the_receipt);
    return suite_run (suite);
}
