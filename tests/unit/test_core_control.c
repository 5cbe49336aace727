/*
 * What operators ask: CANCEL, RESOLVE, RERUN, PAUSE, RESUME, in every state a workflow can be in.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/scan.h"
#include "tests/support/broker_fixture.h"
#include "tests/support/suite.h"

#define TWO WORKFLOW ("wf", STEP ("a", "echo") "," STEP ("b", "echo"))
#define ID "{'workflow_id':'wf'}"
#define ENDED_CANCELLED EVENT ("workflow.ended", ",'error':{'code':'cancelled','message':'m','retryable':false}")
#define FAILED_CANCELLED(step)                                                                                         \
    STEP_EVENT ("step.failed", step, ",'error':{'code':'cancelled','message':'m','retryable':false}")

static void
ask (const char *command, const char *header)
{
    broker_client (&broker, "c", command, header, NULL);
}

/* "w" holds "wf" of steps a, b under [1,1], and has reported these events. */
static void
running (const char *events)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, TWO);
    if (events != NULL)
        broker_report (&broker, "w", 1, 1, events);
    broker_forget (&broker);
}

static void
lose (void)
{
    broker_pass_ms (&broker, 10000);
    broker_forget (&broker);
}

/* Its first step, which may not run twice, is in doubt. */
static void
held (void)
{
    running ("[" STARTED ("a", "1", "false") "]");
    lose ();
}

/* "wf" has ended: a succeeded, b failed. */
static void
ended (void)
{
    running ("[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," STARTED ("b", "1",
                                                                             "true") "," FAILED ("b") "," ENDED "]");
    ck_assert_str_eq (broker_model (&broker, "wf")->status, "failed");
}

static const char *
status (void)
{
    return broker_model (&broker, "wf")->status;
}

static const char *
step (uint32_t index)
{
    return reel_step_status_name (broker_model (&broker, "wf")->outcomes[index].status);
}

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

static const char *
replied_status (void)
{
    return broker_header (&broker, "/status");
}

static const char *
refused (const char *command, const char *header)
{
    static char text[128];
    ask (command, header);
    snprintf (text, sizeof text, "%s ", broker_header (&broker, "/code"));
    snprintf (text + strlen (text), sizeof text - strlen (text), "%s ", broker_header (&broker, "/reason"));
    snprintf (text + strlen (text), sizeof text - strlen (text), "%s", broker_header (&broker, "/path"));
    return text;
}

/* --- CANCEL -------------------------------------------------------------------------------------- */

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

/* --- RESOLVE ------------------------------------------------------------------------------------- */

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

/* --- PAUSE, RESUME --------------------------------------------------------------------------------- */

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

/* --- RERUN ----------------------------------------------------------------------------------------- */

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
    Suite *suite = suite_create ("core, control");
    TCase *tc = suite_case (suite, "cancel", set_up, tear_down);
    tcase_add_test (tc, cancel_ends_a_queued_workflow);
    tcase_add_test (tc, cancel_asks_the_worker_of_a_running_one);
    tcase_add_test (tc, cancel_of_the_last_step_is_cancelled_all_the_same);
    tcase_add_test (tc, cancel_that_comes_after_the_last_outcome_changes_nothing);
    tcase_add_test (tc, cancelled_wins_over_another_end);
    tcase_add_test (tc, end_that_calls_itself_cancelled_unasked_is_a_failure);
    tcase_add_test (tc, lease_lost_while_cancelling_ends_the_workflow);
    tcase_add_test (tc, lease_lost_while_cancelling_between_steps_leaves_them_pending);
    tcase_add_test (tc, lease_lost_while_cancelling_between_attempts);
    tcase_add_test (tc, lease_lost_while_cancelling_after_the_last_outcome);
    tcase_add_test (tc, yield_while_cancelling_ends_the_workflow);
    tcase_add_test (tc, yield_while_cancelling_after_the_last_outcome_is_its_end);
    tcase_add_loop_test (tc, end_while_cancelling_that_says_something_else, 0, 3);
    tcase_add_test (tc, cancel_ends_a_held_workflow);
    tcase_add_test (tc, cancel_of_one_that_waits_after_a_loss);
    tcase_add_test (tc, cancel_of_one_whose_end_alone_is_missing);
    tcase_add_test (tc, cancel_of_one_that_succeeded_and_whose_end_is_missing);
    tcase_add_test (tc, cancelling_survives_a_restart);
    tcase_add_test (tc, cancel_answers_those_who_wait_for_the_receipt);
    tcase_add_test (tc, cancel_of_what_is_not_there);
    tc = suite_case (suite, "resolve", set_up, tear_down);
    tcase_add_test (tc, resolve_retry_hands_the_step_out_again);
    tcase_add_test (tc, resolve_retry_leaves_the_old_lease_good_until_a_new_one);
    tcase_add_test (tc, resolve_failed_gives_the_step_its_outcome);
    tcase_add_test (tc, resolve_succeeded_takes_the_receipt);
    tcase_add_test (tc, resolve_of_the_last_step_ends_the_workflow);
    tcase_add_test (tc, resolve_of_a_paused_one_waits_to_be_resumed);
    tcase_add_test (tc, resolve_is_refused);
    tcase_add_test (tc, resolve_bounds_the_receipt);
    tc = suite_case (suite, "pause", set_up, tear_down);
    tcase_add_test (tc, paused_workflow_is_not_handed_out);
    tcase_add_test (tc, pause_asks_the_worker_to_yield);
    tcase_add_test (tc, yield_that_was_asked_for_is_no_loss_after_all_that_may_come_between);
    tcase_add_test (tc, yield_in_the_middle_of_a_step_is_a_loss_asked_or_not);
    tcase_add_test (tc, paused_and_lost_waits_to_be_resumed);
    tcase_add_loop_test (tc, paused_while_it_is_held_and_its_holder_returns, 0, 2);
    tcase_add_test (tc, everything_can_be_paused);
    tcase_add_test (tc, one_that_is_paused_stays_so_when_everything_is_resumed);
    tcase_add_test (tc, pause_is_refused);
    tcase_add_test (tc, cancel_of_a_paused_workflow);
    tc = suite_case (suite, "rerun", set_up, tear_down);
    tcase_add_test (tc, rerun_keeps_what_succeeded);
    tcase_add_test (tc, rerun_from_a_step_begins_there);
    tcase_add_test (tc, rerun_without_an_id_gets_one);
    tcase_add_test (tc, rerun_said_again_is_a_duplicate);
    tcase_add_test (tc, rerun_keeps_priority_and_provenance);
    tcase_add_test (tc, rerun_is_refused);
    return suite_run (suite);
}
