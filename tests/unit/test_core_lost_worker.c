/*
 * What becomes of a workflow whose worker is lost: what is kept and carried on, what is in doubt, who may resume it,
 * and how often it is handed out again.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/broker_lease.h"
#include "tests/support/suite.h"

#define IN_DOUBT(step, attempt, policy)                                                                                \
    STEP_EVENT ("step.started", step, ",'attempt':" attempt ",'idempotent':false,'in_doubt':'" policy "'")

/* --- a lost worker -------------------------------------------------------------------------------------- */

static void
lose (void)
{
    broker_worker (&broker, "w", "LEAVE", "{}", NULL);
    broker_pass_ms (&broker, 10000);
}

START_TEST (finished_steps_are_kept_byte_for_byte)
{
    running ("[" STEP_EVENT ("step.started", "a", ",'attempt':1,'idempotent':true") "," STEP_EVENT (
        "step.succeeded", "a",
        ",'receipt':{'$$bin':{'$bin':'AAE='},'f':{'$f32':'3fc00000'},'z':[1,{'$uint':'18446744073709551615'}]}") "," STEP_EVENT ("step.started",
                                                                                                                                 "b",
                                                                                                                                 ",'attempt':1,'idempotent':true") "]");
    lose ();
    broker_expect (&broker, "6 wf.6 workflow.requeued {'reason':'worker_lost'}");
    broker_ready (&broker, "v", 1, "'echo'");
    broker_expect (&broker, "v WELCOME ...", "7 wf.7 workflow.assigned {'worker':'v','delivery':2,'lease':[1,2]}",
                   "v ASSIGN {'lease':[1,2],'workflow_id':'wf','delivery':2,'attempts':1} +");
    /* The bench has compared the bytes. */
    ck_assert_str_eq (
        broker_document (&broker),
        "{'workflow_id':'wf','steps':[{'step_id':'a','modality':'echo','status':'succeeded','receipt':"
        "{'$$bin':{'$bin':'AAE='},'f':{'$f32':'3fc00000'},'z':[1,{'$uint':'18446744073709551615'}]},"
        "'error':null,'started_us':5,'finished_us':5},{'step_id':'b','modality':'echo','status':'pending',"
        "'receipt':null,'error':null,'started_us':5,'finished_us':null},{'step_id':'c','modality':'echo'}]}");
    broker_report (&broker, "v", 2, 1, "[" STARTED ("a", "1", "true") "]");
    ck_assert_int_eq (broker.sent[0].command, REEL_FENCED);
}
END_TEST

START_TEST (attempts_are_carried_on)
{
    running ("[" STARTED ("a", "1", "true") "," RETRYING ("a") "," STARTED ("a", "2", "true") "]");
    lose ();
    broker_ready (&broker, "w", 1, "'echo'");
    ck_assert_str_eq (broker_header (&broker, "/attempts"), "2");
    broker_report (&broker, "w", 2, 1, "[" STARTED ("a", "3", "true") "," RETRYING ("a") "]");
    lose ();
    broker_ready (&broker, "w", 1, "'echo'");
    ck_assert_str_eq (broker_header (&broker, "/attempts"), "3");
    broker_report (
        &broker, "w", 3, 1,
        "[" STARTED ("a", "4", "true") "," SUCCEEDED ("a") "," STARTED ("b", "1", "true") "," SUCCEEDED ("b") "]");
    lose ();
    broker_ready (&broker, "w", 1, "'echo'");
    ck_assert_str_eq (broker_header (&broker, "/attempts"), "");
    ck_assert_str_eq (broker_header (&broker, "/delivery"), "4");
}
END_TEST

START_TEST (step_that_may_not_run_twice_is_held)
{
    running ("[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," STARTED ("b", "1", "false") "]");
    lose ();
    broker_expect (&broker, "6 wf.6 step.in_doubt {'step_id':'b','in_doubt':'hold'}",
                   "7 wf.7 workflow.held {'step_id':'b','reason':'worker_lost'}");
    broker_ready (&broker, "v", 1, "'echo'");
    ck_assert_str_eq (status (), "held");
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/reason"), "'held'");
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/status"), "'held'");
    ck_assert_str_eq (broker_header (&broker, "/worker"), "");
}
END_TEST

START_TEST (step_with_a_nil_checkpoint_has_none)
{
    running ("[" STARTED ("a", "1", "false") "," CHECKPOINT ("a", "{'job':1}") "," CHECKPOINT ("a", "null") "]");
    lose ();
    ck_assert_str_eq (status (), "held");
}
END_TEST

START_TEST (step_that_may_be_tried_again_is_requeued)
{
    running ("[" IN_DOUBT ("a", "1", "retry") "]");
    lose ();
    broker_expect (&broker, "4 wf.4 step.in_doubt {'step_id':'a','in_doubt':'retry'}",
                   "5 wf.5 workflow.requeued {'reason':'worker_lost'}");
    broker_ready (&broker, "v", 1, "'echo'");
    ck_assert_str_eq (broker_header (&broker, "/attempts"), "1");
}
END_TEST

START_TEST (step_that_fails_when_in_doubt)
{
    running ("[" IN_DOUBT ("a", "1", "fail") "]");
    lose ();
    broker_expect (&broker, "4 wf.4 step.in_doubt {'step_id':'a','in_doubt':'fail'}",
                   "5 wf.5 step.failed {'step_id':'a','error':{'code':'in_doubt',...",
                   "6 wf.6 workflow.requeued {'reason':'worker_lost'}");
    ck_assert_str_eq (step (0), "failed");
    /* The broker gave the step its outcome, so the old holder has lost it for good. */
    broker_worker (&broker, "w", "READY", "{'name':'w','slots':0,'modalities':[],'resume':[[[1,1],1]]}", NULL);
    ck_assert_int_eq (broker.sent[1].command, REEL_FENCED);
    broker_ready (&broker, "v", 1, "'echo'");
    broker_report (&broker, "v", 2, 1, "[" STARTED ("b", "1", "true") "]");
    ck_assert_str_eq (status (), "running");
}
END_TEST

START_TEST (last_step_that_fails_when_in_doubt_ends_the_workflow)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, WORKFLOW ("wf", STEP ("a", "echo")));
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf','wait_ms':60000}", NULL);
    broker_report (&broker, "w", 1, 1, "[" IN_DOUBT ("a", "1", "fail") "]");
    broker_forget (&broker);
    lose ();
    broker_expect (&broker, "4 wf.4 step.in_doubt ...", "5 wf.5 step.failed ...", "6 wf.6 workflow.failed",
                   "receipt wf", "c OK {'workflow_id':'wf','status':'failed'} +");
}
END_TEST

START_TEST (step_that_did_not_run_is_not_in_doubt)
{
    static const char *const events[] = {"[]", "[" STARTED ("a", "1", "false") "," RETRYING ("a") "]",
                                         "[" STARTED ("a", "1", "false") "," SUCCEEDED ("a") "]",
                                         "[" STARTED ("a", "1", "false") "," FAILED ("a") "]"};
    running (events[_i]);
    lose ();
    ck_assert_str_eq (status (), "queued");
    broker_ready (&broker, "v", 1, "'echo'");
    ck_assert_str_eq (status (), "running");
}
END_TEST

/* --- checkpoints ------------------------------------------------------------------------------------------ */

#define READY(name, class)                                                                                             \
    "{'name':'" name "','slots':1,'modalities':['echo'],'dispatch':{'echo':{'adapter':'exec','class':'" class "'}}}"

START_TEST (checkpoint_goes_to_a_worker_that_can_resume_it)
{
    running ("[" STARTED ("a", "1", "false") "," CHECKPOINT ("a", "{'job':1}") "," CHECKPOINT ("a", "{'job':2}") "]");
    lose ();
    broker_expect (&broker, "6 wf.6 workflow.requeued {'reason':'worker_lost'}");
    broker_worker (&broker, "u", "READY", READY ("u", "idempotent"), NULL);
    broker_ready (&broker, "v", 1, "'echo'");
    ck_assert_str_eq (status (), "queued");
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/waiting_for"), "'echo'");
    broker_forget (&broker);
    broker_worker (&broker, "r", "READY", READY ("r", "resumable"), NULL);
    broker_expect (&broker, "r WELCOME ...", "7 wf.7 workflow.assigned ...",
                   "r ASSIGN {'lease':[1,2],'workflow_id':'wf','delivery':2,'checkpoint':{'job':2},'attempts':1} +");
    /* Lost again, it still has its checkpoint. */
    broker_report (&broker, "r", 2, 1, "[" STARTED ("a", "2", "false") "]");
    broker_worker (&broker, "r", "LEAVE", "{}", NULL);
    broker_pass_ms (&broker, 10000);
    ck_assert_str_eq (status (), "queued");
    broker_worker (&broker, "s", "READY", READY ("s", "resumable"), NULL);
    ck_assert_str_eq (broker_header (&broker, "/checkpoint"), "{'job':2}");
    ck_assert_str_eq (broker_header (&broker, "/attempts"), "2");
    /* A worker that resumes serves the plain lane too; the next step needs nobody who can resume. */
    broker_report (&broker, "s", 3, 1, "[" STARTED ("a", "3", "false") "," SUCCEEDED ("a") "]");
    broker_worker (&broker, "s", "LEAVE", "{}", NULL);
    broker_ready (&broker, "v", 1, "'echo'");
    broker_pass_ms (&broker, 9000);
    broker_worker (&broker, "v", "HEARTBEAT", HEARTBEAT (""), NULL);
    broker_pass_ms (&broker, 1000);
    ck_assert_str_eq (broker.sent[broker.sent_count - 1].peer, "v");
    ck_assert_str_eq (broker_header (&broker, "/checkpoint"), "");
}
END_TEST

START_TEST (checkpoint_of_an_idempotent_step_goes_to_any_worker)
{
    running ("[" STARTED ("a", "1", "true") "," CHECKPOINT ("a", "{'job':1}") "]");
    lose ();
    broker_ready (&broker, "v", 1, "'echo'");
    ck_assert_str_eq (broker_header (&broker, "/checkpoint"), "{'job':1}");
}
END_TEST

START_TEST (checkpoint_is_over_with_its_attempt)
{
    /* The job that it names has failed, or was given up; the next attempt's may be under way. */
    static const char *const events[] = {
        CHECKPOINT ("a", "{'job':1}") "," RETRYING ("a"),
        CHECKPOINT ("a", "{'job':1}") "," RETRYING_AS ("a", ",'open':false"),
        CHECKPOINT ("a", "{'job':1}") "," CHECKPOINT ("a", "null") "," RETRYING_AS ("a", ",'open':true")};
    char report[1024];
    snprintf (report, sizeof report, "[" STARTED ("a", "1", "false") ",%s," STARTED ("a", "2", "false") "]",
              events[_i]);
    running (report);
    lose ();
    ck_assert_str_eq (status (), "held");
}
END_TEST

START_TEST (checkpoint_of_a_job_that_may_be_under_way_outlives_its_attempt)
{
    running (
        "[" STARTED ("a", "1", "false") "," CHECKPOINT ("a", "{'job':1}") "," RETRYING_AS ("a", ",'open':true") "]");
    lose ();
    broker_ready (&broker, "v", 1, "'echo'");
    ck_assert_str_eq (status (), "queued");
    broker_worker (&broker, "r", "READY", READY ("r", "resumable"), NULL);
    ck_assert_str_eq (broker_header (&broker, "/checkpoint"), "{'job':1}");
}
END_TEST

START_TEST (checkpoint_survives_a_restart)
{
    running ("[" STARTED ("a", "1", "false") "," CHECKPOINT ("a", "{'job':1}") "]");
    lose ();
    broker_restart (&broker);
    broker_ready (&broker, "v", 1, "'echo'");
    ck_assert_str_eq (status (), "queued");
    broker_worker (&broker, "r", "READY", READY ("r", "resumable"), NULL);
    ck_assert_str_eq (broker_header (&broker, "/checkpoint"), "{'job':1}");
}
END_TEST

/* --- too many ------------------------------------------------------------------------------------------------- */

static void
deliver_and_lose (const char *events, int times)
{
    for (int i = 0; i < times; i++) {
        broker_ready (&broker, "w", 1, "'echo'");
        ck_assert_str_eq (status (), "running");
        broker_report (&broker, "w", broker.newest_lease.counter, 1, events);
        broker_forget (&broker);
        lose ();
    }
}

START_TEST (too_many_lost_workers_fail_it)
{
    broker_submit (&broker, THREE);
    deliver_and_lose ("[]", 4);
    ck_assert_str_eq (status (), "queued");
    deliver_and_lose ("[]", 1);
    broker_expect (&broker, "11 wf.11 workflow.failed {'error':{'code':'too_many_deliveries',...", "receipt wf");
    ck_assert_str_eq (step (0), "pending");
}
END_TEST

START_TEST (too_many_lost_workers_fail_the_step_that_ran)
{
    char events[256];
    broker_submit (&broker, THREE);
    for (int i = 1; i <= 5; i++) {
        snprintf (events, sizeof events, "[" STEP_EVENT ("step.started", "a", ",'attempt':%d,'idempotent':true") "]",
                  i);
        deliver_and_lose (events, 1);
    }
    broker_expect (&broker, "16 wf.16 step.failed {'step_id':'a','error':{'code':'too_many_deliveries',...",
                   "17 wf.17 workflow.failed {'error':{'code':'too_many_deliveries',...", "receipt wf");
    ck_assert_str_eq (step (1), "pending");
}
END_TEST

START_TEST (too_many_lost_workers_after_the_last_outcome)
{
    broker_free (&broker);
    broker_init (&broker);
    broker.setup.deliveries_max = 1;
    broker_start (&broker);
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, THREE);
    broker_report (&broker, "w", 1, 1,
                   "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," STARTED ("b", "1", "true") "," SUCCEEDED (
                       "b") "," STARTED ("c", "1", "true") "," SUCCEEDED ("c") "]");
    lose ();
    ck_assert_str_eq (status (), "failed");
    ck_assert_str_eq (step (2), "succeeded");
}
END_TEST

START_TEST (too_many_lost_workers_while_it_backs_off)
{
    char events[512];
    broker_submit (&broker, THREE);
    for (int i = 1; i <= 5; i++) {
        snprintf (events, sizeof events,
                  "[" STEP_EVENT ("step.started", "a", ",'attempt':%d,'idempotent':true") "," RETRYING ("a") "]", i);
        deliver_and_lose (events, 1);
    }
    ck_assert_str_eq (status (), "failed");
    ck_assert_str_eq (step (0), "failed"); /* no receipt says that a step is running */
}
END_TEST

START_TEST (too_many_lost_workers_survive_a_restart)
{
    broker_submit (&broker, THREE);
    deliver_and_lose ("[]", 3);
    broker_restart (&broker);
    deliver_and_lose ("[]", 1);
    broker_restart (&broker);
    deliver_and_lose ("[]", 1);
    ck_assert_str_eq (status (), "failed");
}
END_TEST

START_TEST (who_comes_back_was_not_lost)
{
    running ("[" STARTED ("a", "1", "true") "]");
    for (int i = 0; i < 20; i++) {
        broker_pass_ms (&broker, 10000);
        ck_assert_str_eq (status (), "queued");
        broker_worker (&broker, "w", "READY", "{'name':'w','slots':1,'modalities':['echo'],'resume':[[[1,1],9]]}",
                       NULL);
        ck_assert_str_eq (status (), "running");
    }
    ck_assert_uint_eq (deliveries (), 1);
}
END_TEST

START_TEST (step_in_doubt_is_held_however_many_were_lost)
{
    char events[256];
    broker_submit (&broker, THREE);
    deliver_and_lose ("[]", 4);
    snprintf (events, sizeof events, "[%s]", STARTED ("a", "1", "false"));
    deliver_and_lose (events, 1);
    ck_assert_str_eq (status (), "held");
}
END_TEST

START_TEST (yields_do_not_count)
{
    broker_submit (&broker, THREE);
    for (int i = 0; i < 10; i++) {
        broker_ready (&broker, "w", 1, "'echo'");
        broker_ready (&broker, "w", 0, "'echo'");
        broker_report (&broker, "w", broker.newest_lease.counter, 1, "[" YIELDED "]");
    }
    ck_assert_str_eq (status (), "queued");
    ck_assert_uint_eq (deliveries (), 10);
}
END_TEST

/* --- many expire at once ---------------------------------------------------------------------------------------- */

START_TEST (many_that_wait_expire_and_end_at_once)
{
    char document[128];
    broker_ready (&broker, "w", 500, "'echo'");
    for (int i = 0; i < 500; i++) {
        snprintf (document, sizeof document, "{'workflow_id':'%d','steps':[{'step_id':'a','modality':'echo'}]}", i);
        broker_submit (&broker, document);
        broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'0','wait_ms':60000}", NULL);
        broker_report (&broker, "w", (uint64_t) i + 1, 1, "[" IN_DOUBT ("a", "1", "fail") "]");
    }
    broker_worker (&broker, "w", "LEAVE", "{}", NULL);
    broker_pass_ms (&broker, 10000);
    for (int i = 0; i < 500; i++) {
        snprintf (document, sizeof document, "%d", i);
        ck_assert_str_eq (broker_model (&broker, document)->status, "failed");
    }
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("core, lost workers");
    TCase *tests = suite_case (suite, "lost worker", set_up, tear_down);
    tcase_add_test (tests, finished_steps_are_kept_byte_for_byte);
    tcase_add_test (tests, attempts_are_carried_on);
    tcase_add_test (tests, step_that_may_not_run_twice_is_held);
    tcase_add_test (tests, step_with_a_nil_checkpoint_has_none);
    tcase_add_test (tests, step_that_may_be_tried_again_is_requeued);
    tcase_add_test (tests, step_that_fails_when_in_doubt);
    tcase_add_test (tests, last_step_that_fails_when_in_doubt_ends_the_workflow);
    tcase_add_loop_test (tests, step_that_did_not_run_is_not_in_doubt, 0, 4);
    tcase_add_test (tests, checkpoint_goes_to_a_worker_that_can_resume_it);
    tcase_add_test (tests, checkpoint_of_an_idempotent_step_goes_to_any_worker);
    tcase_add_loop_test (tests, checkpoint_is_over_with_its_attempt, 0, 3);
    tcase_add_test (tests, checkpoint_of_a_job_that_may_be_under_way_outlives_its_attempt);
    tcase_add_test (tests, checkpoint_survives_a_restart);
    tcase_add_test (tests, too_many_lost_workers_fail_it);
    tcase_add_test (tests, too_many_lost_workers_fail_the_step_that_ran);
    tcase_add_test (tests, too_many_lost_workers_after_the_last_outcome);
    tcase_add_test (tests, too_many_lost_workers_while_it_backs_off);
    tcase_add_test (tests, too_many_lost_workers_survive_a_restart);
    tcase_add_test (tests, who_comes_back_was_not_lost);
    tcase_add_test (tests, step_in_doubt_is_held_however_many_were_lost);
    tcase_add_test (tests, yields_do_not_count);
    tcase_add_test (tests, many_that_wait_expire_and_end_at_once);
    return suite_run (suite);
}
