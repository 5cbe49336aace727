/*
 * RERUN: a workflow that has ended, done again from where it failed or from a step on.
 */
#include <check.h>
#include <string.h>

#include "tests/support/broker_control.h"
#include "tests/support/suite.h"

#define RERUN(more) "{'workflow_id':'wf'" more "}"

static const char *
document_of (const char *workflow_id)
{
    return broker_json (&broker, reel_buf_slice (&broker_model (&broker, workflow_id)->document));
}

START_TEST (rerun_keeps_what_succeeded)
{
    ended ();
    broker_ready (&broker, "w", 0, "'echo'");
    broker_forget (&broker);
    ask ("RERUN", RERUN (",'new_workflow_id':'again'"));
    broker_expect (&broker, "8 again.1 workflow.accepted {'origin':'wf'}",
                   "c OK {'workflow_id':'again','status':'queued','duplicate':false,'seq':8}");
    ck_assert_str_eq (document_of ("again"),
                      "{'workflow_id':'again','steps':[{'step_id':'a','modality':'echo','status':'succeeded',"
                      "'receipt':{'of':'a'},'error':null,'started_us':5,'finished_us':5},"
                      "{'step_id':'b','modality':'echo'}]}");
    broker_ready (&broker, "v", 1, "'echo'");
    struct reel_lease lease = broker_model (&broker, "again")->lease;
    broker_report (&broker, "v", lease.counter, 1, "[" STARTED ("b", "1", "true") "," SUCCEEDED ("b") "," ENDED "]");
    ck_assert_str_eq (broker_model (&broker, "again")->status, "succeeded");
}
END_TEST

START_TEST (rerun_from_a_step_begins_there)
{
    ended ();
    broker_ready (&broker, "w", 0, "'echo'");
    ask ("RERUN", RERUN (",'from_step':'a','new_workflow_id':'again'"));
    ck_assert_str_eq (document_of ("again"), "{'workflow_id':'again','steps':[{'step_id':'a','modality':'echo'},"
                                             "{'step_id':'b','modality':'echo'}]}");
}
END_TEST

START_TEST (rerun_without_an_id_gets_one)
{
    ended ();
    broker_ready (&broker, "w", 0, "'echo'");
    ask ("RERUN", RERUN (""));
    ck_assert_uint_eq (strlen (broker_header (&broker, "/workflow_id")), 36 + 2);
    ck_assert_str_eq (broker_header (&broker, "/duplicate"), "false");
}
END_TEST

START_TEST (rerun_said_again_is_a_duplicate)
{
    ended ();
    broker_ready (&broker, "w", 0, "'echo'");
    ask ("RERUN", RERUN (",'new_workflow_id':'again'"));
    ask ("RERUN", RERUN (",'new_workflow_id':'again'"));
    ck_assert_str_eq (broker_header (&broker, "/duplicate"), "true");
    ck_assert_str_eq (refused ("RERUN", RERUN (",'new_workflow_id':'again','from_step':'a'")),
                      "'conflict'  '/workflow_id'");
    /* Also when it has ended meanwhile. */
    ask ("CANCEL", "{'workflow_id':'again'}");
    ask ("RERUN", RERUN (",'new_workflow_id':'again'"));
    ck_assert_str_eq (broker_header (&broker, "/duplicate"), "true");
    ck_assert_str_eq (replied_status (), "'cancelled'");
    ck_assert_str_eq (refused ("RERUN", RERUN (",'new_workflow_id':'again','from_step':'a'")),
                      "'conflict'  '/workflow_id'");
}
END_TEST

START_TEST (rerun_keeps_priority_and_provenance)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_client (&broker, "c", "SUBMIT", "{'provenance':{'who':'me'},'priority':7}",
                   "{'workflow_id':'wf','created_at':'2020-01-01T00:00:00.000000Z','note':1,'steps':[{'step_id':'a',"
                   "'modality':'echo'}]}");
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "," FAILED ("a") "," ENDED "]");
    broker_ready (&broker, "w", 0, "'echo'");
    ask ("RERUN", RERUN (",'new_workflow_id':'again'"));
    ask ("GET", "{'workflow_id':'again'}");
    ck_assert_str_eq (broker_header (&broker, "/priority"), "7");
    ck_assert_str_eq (broker_header (&broker, "/provenance"), "{'who':'me'}");
    ck_assert_str_eq (broker_header (&broker, "/origin"), "'wf'");
    ck_assert_str_eq (document_of ("again"),
                      "{'workflow_id':'again','created_at':null,'note':1,'steps':[{'step_id':'a',"
                      "'modality':'echo'}]}");
}
END_TEST

START_TEST (rerun_is_refused)
{
    ck_assert_str_eq (refused ("RERUN", RERUN ("")), "'unknown_workflow'  ");
    broker_submit (&broker, TWO);
    ck_assert_str_eq (refused ("RERUN", RERUN ("")), "'bad_state' 'queued' ");
    tear_down ();
    set_up ();
    ended ();
    ck_assert_str_eq (refused ("RERUN", RERUN (",'from_step':'x'")), "'unknown_step'  '/from_step'");
    ck_assert_str_eq (refused ("RERUN", RERUN (",'new_workflow_id':'wf'")), "'conflict'  '/new_workflow_id'");
    ck_assert_str_eq (refused ("RERUN", RERUN (",'new_workflow_id':'-'")), "'malformed'  '/new_workflow_id'");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("core, RERUN");
    TCase *tests = suite_case (suite, "rerun", set_up, tear_down);
    tcase_add_test (tests, rerun_keeps_what_succeeded);
    tcase_add_test (tests, rerun_from_a_step_begins_there);
    tcase_add_test (tests, rerun_without_an_id_gets_one);
    tcase_add_test (tests, rerun_said_again_is_a_duplicate);
    tcase_add_test (tests, rerun_keeps_priority_and_provenance);
    tcase_add_test (tests, rerun_is_refused);
    return suite_run (suite);
}
