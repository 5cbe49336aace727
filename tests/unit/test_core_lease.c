/*
 * Leases: what becomes of a workflow when its worker is lost, comes back, or the broker starts again.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/broker_fixture.h"
#include "tests/support/suite.h"

#define THREE WORKFLOW ("wf", STEP ("a", "echo") "," STEP ("b", "echo") "," STEP ("c", "echo"))
#define IN_DOUBT(step, attempt, policy)                                                                                \
    STEP_EVENT ("step.started", step, ",'attempt':" attempt ",'idempotent':false,'in_doubt':'" policy "'")

/* "w" holds "wf" of steps a, b, c under [1,1], and has reported these events. */
static void
running (const char *events)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, THREE);
    if (events != NULL)
        broker_report (&broker, "w", 1, 1, events);
    broker_forget (&broker);
}

static const char *
status (void)
{
    return broker_model (&broker, "wf")->status;
}

static uint64_t
deliveries (void)
{
    return broker_model (&broker, "wf")->deliveries;
}

static const char *
step (uint32_t index)
{
    return reel_step_status_name (broker_model (&broker, "wf")->outcomes[index].status);
}

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

/* --- restart ------------------------------------------------------------------------------------------------- */

START_TEST (restart_gives_every_lease_a_full_term)
{
    running ("[" STARTED ("a", "1", "true") "]");
    broker_pass_ms (&broker, 9000);
    broker_restart (&broker);
    ck_assert_int_eq (broker.wake_us, 19000000);
    broker_pass_ms (&broker, 9999);
    ck_assert_str_eq (status (), "running");
    broker_pass_ms (&broker, 1);
    ck_assert_str_eq (status (), "queued");
}
END_TEST

/* A worker that is cut off goes by the lease_ms that it was told. */
START_TEST (restart_with_a_shorter_lease_waits_for_the_longer_one)
{
    running (NULL);
    broker.setup.lease_ms = 1000;
    broker_restart (&broker);
    broker_pass_ms (&broker, 6000);
    broker_restart (&broker); /* and again, before it was over */
    broker_worker (&broker, "w", "READY", "{'name':'w','slots':1,'modalities':['echo'],'resume':[[[1,1],0]]}", NULL);
    broker_pass_ms (&broker, 9999);
    ck_assert_str_eq (status (), "running");
    broker_pass_ms (&broker, 1);
    ck_assert_str_eq (status (), "queued");
    broker_ready (&broker, "v", 1, "'echo'");
    broker_forget (&broker);
    broker_pass_ms (&broker, 999);
    broker_expect_nothing (&broker);
    broker_pass_ms (&broker, 1);
    ck_assert_str_eq (status (), "queued");
}
END_TEST

START_TEST (restart_after_the_longer_term_waits_for_the_shorter_one)
{
    running (NULL);
    broker.setup.lease_ms = 1000;
    broker_restart (&broker);
    ck_assert_int_eq (broker.wake_us, 10000000);
    broker_pass_ms (&broker, 10000);
    broker_ready (&broker, "v", 1, "'echo'");
    ck_assert_uint_eq (deliveries (), 2);
    broker_restart (&broker);
    ck_assert_int_eq (broker.wake_us, 11000000);
    broker_pass_ms (&broker, 1000);
    ck_assert_str_eq (status (), "queued");
}
END_TEST

START_TEST (restart_with_a_longer_lease_has_it_at_once)
{
    running (NULL);
    broker.setup.lease_ms = 60000;
    broker_restart (&broker);
    ck_assert_int_eq (broker.wake_us, 60000000);
    broker.setup.lease_ms = 10000;
    broker_restart (&broker);
    ck_assert_int_eq (broker.wake_us, 60000000);
}
END_TEST

START_TEST (restart_in_every_phase)
{
    static const char *const reports[] = {STARTED ("a", "1", "true"),
                                          CHECKPOINT ("a", "1"),
                                          RETRYING ("a"),
                                          STARTED ("a", "2", "true"),
                                          SUCCEEDED ("a"),
                                          STARTED ("b", "1", "false"),
                                          FAILED ("b"),
                                          STARTED ("c", "1", "true"),
                                          SUCCEEDED ("c"),
                                          ENDED};
    char events[512];
    broker_restart (&broker);
    broker_submit (&broker, THREE);
    broker_restart (&broker);
    broker_ready (&broker, "w", 1, "'echo'");
    ck_assert_str_eq (broker_header (&broker, "/lease"), "[3,1]");
    for (size_t i = 0; i < sizeof reports / sizeof reports[0]; i++) {
        broker_restart (&broker);
        broker_worker (&broker, "w", "READY", "{'name':'w','slots':1,'modalities':['echo'],'resume':[[[3,1],0]]}",
                       NULL);
        ck_assert_uint_eq (strtoull (broker_header (&broker, "/report_index"), NULL, 10), i);
        snprintf (events, sizeof events, "[%s]", reports[i]);
        char header[64];
        snprintf (header, sizeof header, "{'lease':[3,1],'report_index':%zu}", i + 1);
        broker_worker (&broker, "w", "REPORT", header, events);
        ck_assert_int_eq (broker.sent[broker.sent_count - 1].command, REEL_ACK);
    }
    broker_restart (&broker);
    ck_assert_str_eq (status (), "failed");
    ck_assert_uint_eq (deliveries (), 1);
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf'}", NULL);
    ck_assert (reel_slice_equal (reel_buf_slice (&broker.sent[0].document),
                                 reel_buf_slice (&broker_model (&broker, "wf")->receipt)));
}
END_TEST

START_TEST (restart_raises_the_epoch_and_never_repeats_a_lease)
{
    broker_ready (&broker, "w", 9, "'echo'");
    broker_submit (&broker, WORKFLOW ("1", STEP ("a", "echo")));
    ck_assert_str_eq (broker_header (&broker, "/lease"), "[1,1]");
    broker_restart (&broker);
    broker_ready (&broker, "w", 9, "'echo'");
    broker_submit (&broker, WORKFLOW ("2", STEP ("a", "echo")));
    ck_assert_str_eq (broker_header (&broker, "/lease"), "[2,2]");
    broker_worker (&broker, "w", "HEARTBEAT", HEARTBEAT ("[1,2]"), NULL);
    ck_assert_int_eq (broker.sent[0].command, REEL_FENCED);
}
END_TEST

START_TEST (start_before_1970_has_an_epoch)
{
    struct reel_core *core = NULL;
    struct reel_effects effects = {0};
    ck_assert_int_eq (reel_core_create (&broker.setup, &core), REEL_OK);
    ck_assert_int_eq (reel_core_start (core, (struct reel_core_time){-1, 0}, &effects), REEL_OK);
    ck_assert_uint_eq (effects.epoch, 1);
    reel_core_destroy (&core);
    reel_effects_free (&effects);
}
END_TEST

START_TEST (restart_keeps_the_order_of_the_queue)
{
    broker_submit (&broker, WORKFLOW ("1", STEP ("a", "echo")));
    broker_client (&broker, "c", "SUBMIT", "{'priority':1}", WORKFLOW ("2", STEP ("a", "echo")));
    broker_submit (&broker, WORKFLOW ("3", STEP ("a", "echo")));
    broker_restart (&broker);
    broker_forget (&broker);
    broker_ready (&broker, "w", 3, "'echo'");
    broker_expect (&broker, "w WELCOME ...", "4 2.2 ...", "5 1.2 ...", "6 3.2 ...", "w ASSIGN ...", "w ASSIGN ...",
                   "w ASSIGN ...");
}
END_TEST

START_TEST (restart_forgets_who_waits)
{
    broker_submit (&broker, THREE);
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf','wait_ms':1000}", NULL);
    broker_restart (&broker);
    broker_forget (&broker);
    broker_pass_ms (&broker, 5000);
    broker_expect_nothing (&broker);
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
    Suite *suite = suite_create ("core, leases");
    TCase *tests = suite_case (suite, "lease", set_up, tear_down);
    tcase_add_test (tests, lease_expires_after_its_term);
    tcase_add_test (tests, nobody_is_given_up_before_all_is_read);
    tcase_add_test (tests, wall_clock_that_is_set_expires_nothing);
    tcase_add_test (tests, heartbeats_and_reports_renew_it_however_long_a_step_runs);
    tcase_add_test (tests, heartbeat_without_the_lease_does_not_renew_it);
    tcase_add_test (tests, leases_expire_one_by_one);
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
    tcase_add_loop_test (tests, holder_comes_back_before_another_grant, 0, sizeof returns / sizeof returns[0]);
    tcase_add_loop_test (tests, holder_comes_back_and_the_hold_is_lifted, 0, sizeof returns / sizeof returns[0]);
    tcase_add_test (tests, holder_comes_back_after_a_restart_while_it_is_held);
    tcase_add_test (tests, holder_comes_back_after_another_grant);
    tcase_add_test (tests, holder_that_yields_after_its_lease_expired);
    tcase_add_test (tests, holder_that_contradicts_itself_cannot_come_back);
    tcase_add_test (tests, restart_gives_every_lease_a_full_term);
    tcase_add_test (tests, restart_with_a_shorter_lease_waits_for_the_longer_one);
    tcase_add_test (tests, restart_after_the_longer_term_waits_for_the_shorter_one);
    tcase_add_test (tests, restart_with_a_longer_lease_has_it_at_once);
    tcase_add_test (tests, restart_in_every_phase);
    tcase_add_test (tests, restart_raises_the_epoch_and_never_repeats_a_lease);
    tcase_add_test (tests, start_before_1970_has_an_epoch);
    tcase_add_test (tests, restart_keeps_the_order_of_the_queue);
    tcase_add_test (tests, restart_forgets_who_waits);
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
