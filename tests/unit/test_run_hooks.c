/*
 * Hooks in the run machine: when each is called, what it is given, and what its failing does.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proto/scan.h"
#include "tests/support/run_fixture.h"
#include "tests/support/suite.h"

#define ALL (REEL_HOOK_PRE_STEP | REEL_HOOK_POST_STEP | REEL_HOOK_ON_FAILURE)
#define ONE WORKFLOW (STEP ("a", "idem", ""))
#define TWO WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", AFTER ("'a'")))

static const struct run_bench_hook log_everything[] = {{"log", ALL}, {NULL, 0}};
static const struct run_bench_hook two_at_each[] = {{"first", ALL}, {"second", ALL}, {NULL, 0}};
static const struct run_bench_hook mixed[] = {{"f", REEL_HOOK_ON_FAILURE},
                                              {"p", REEL_HOOK_POST_STEP},
                                              {"b", REEL_HOOK_PRE_STEP},
                                              {"pb", REEL_HOOK_PRE_STEP | REEL_HOOK_POST_STEP},
                                              {NULL, 0}};

static void
set_up (void)
{
    set_up_bench ();
    bench.hooks = log_everything;
}

static void
go_on (void)
{
    run_bench_succeed (&bench, "{}");
}

static const char *
of_payload (const char *pointer)
{
    struct reel_slice found = REEL_SLICE_NONE;
    if (!reel_scan_pointer (bench.call.payload, reel_slice_text (pointer), &found))
        return "";
    return run_bench_json (&bench, found);
}

static const char *
error_at (const char *key)
{
    struct reel_slice found = REEL_SLICE_NONE;
    if (!reel_scan_find (reel_run_error (bench.run), reel_slice_text (key), &found))
        return "";
    return run_bench_json (&bench, found);
}

/* --- when ---------------------------------------------------------------------------------- */

START_TEST (hooks_are_called_before_and_after_a_step_that_succeeds)
{
    run_bench_start (&bench, TWO);
    run_bench_expect (&bench, "started a 1 idempotent hold", "hook pre_step log a");
    go_on ();
    run_bench_expect (&bench, "dispatch a 1");
    go_on ();
    run_bench_expect (&bench, "succeeded a", "hook post_step log a");
    go_on ();
    run_bench_expect (&bench, "started b 1 idempotent hold", "hook pre_step log b");
    go_on ();
    go_on ();
    run_bench_expect (&bench, "dispatch b 1", "succeeded b", "hook post_step log b");
    go_on ();
    run_bench_expect (&bench, "ended", "END");
    ck_assert_uint_eq (reel_run_error (bench.run).len, 0);
}
END_TEST

START_TEST (hooks_are_called_before_and_after_a_step_that_fails)
{
    run_bench_start (&bench, TWO);
    go_on ();
    run_bench_fail (&bench, "broken", "");
    run_bench_expect (&bench, "started a 1 idempotent hold", "hook pre_step log a", "dispatch a 1", "failed a broken",
                      "hook on_failure log a");
    go_on ();
    /* A skipped step has none. */
    run_bench_expect (&bench, "skipped b dependency_failed", "ended", "END");
    ck_assert_uint_eq (reel_run_error (bench.run).len, 0);
}
END_TEST

START_TEST (hooks_of_one_point_go_in_the_order_of_registration)
{
    bench.hooks = two_at_each;
    run_bench_start (&bench, ONE);
    go_on ();
    go_on ();
    go_on ();
    go_on ();
    go_on ();
    run_bench_expect (&bench, "started a 1 idempotent hold", "hook pre_step first a", "hook pre_step second a",
                      "dispatch a 1", "succeeded a", "hook post_step first a", "hook post_step second a", "ended",
                      "END");
}
END_TEST

START_TEST (hooks_are_called_at_their_own_points_only)
{
    bench.hooks = mixed;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    go_on ();
    go_on ();
    go_on ();
    go_on ();
    go_on ();
    run_bench_expect (&bench, "started a 1 idempotent hold", "hook pre_step b a", "hook pre_step pb a", "dispatch a 1",
                      "succeeded a", "hook post_step p a", "hook post_step pb a", "started b 1 idempotent hold",
                      "hook pre_step b b");
    go_on ();
    go_on ();
    run_bench_fail (&bench, "broken", "");
    go_on ();
    run_bench_expect (&bench, "hook pre_step pb b", "dispatch b 1", "failed b broken", "hook on_failure f b", "ended",
                      "END");
}
END_TEST

START_TEST (hooks_before_a_step_are_called_before_its_first_attempt_only)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ",'policy':{'retry':{'max_attempts':2}}")));
    go_on ();
    run_bench_fail (&bench, "busy", "r");
    run_bench_expect (&bench, "started a 1 idempotent hold", "hook pre_step log a", "dispatch a 1", "retrying a busy 0",
                      "started a 2 idempotent hold", "dispatch a 2");
    run_bench_fail (&bench, "busy", "r");
    go_on ();
    run_bench_expect (&bench, "failed a busy", "hook on_failure log a", "ended", "END");
}
END_TEST

START_TEST (hooks_of_a_finished_step_are_not_called_again)
{
    run_bench_start (&bench,
                     WORKFLOW (STEP ("a", "idem", ",'status':'succeeded','receipt':{},'started_us':1,'finished_us':2"),
                               STEP ("b", "idem", "")));
    run_bench_expect (&bench, "started b 1 idempotent hold", "hook pre_step log b");
}
END_TEST

START_TEST (hooks_are_called_for_a_step_that_cannot_be_dispatched)
{
    bench.setup.local = true;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "unheard-of", "")));
    go_on ();
    go_on ();
    run_bench_expect (&bench, "started a 1 protected hold", "hook pre_step log a", "failed a no_adapter",
                      "hook on_failure log a", "ended", "END");
}
END_TEST

START_TEST (hooks_before_a_step_come_before_its_references)
{
    run_bench_start (&bench,
                     WORKFLOW (STEP ("a", "idem", ""),
                               STEP ("b", "idem", AFTER ("'a'") ",'payload':{'x':{'$ref':'#/a/output/none'}}")));
    go_on ();
    go_on ();
    go_on ();
    run_bench_forget (&bench);
    ck_assert_str_eq (of_payload ("/step/payload"), "{'x':{'$ref':'#/a/output/none'}}");
    go_on ();
    run_bench_expect (&bench, "failed b unresolved_reference", "hook on_failure log b");
}
END_TEST

START_TEST (hook_of_a_step_that_an_earlier_run_left_running_is_told_of_its_failure)
{
    bench.setup.local = true;
    bench.setup.flags = REEL_WORKFLOW_RUNNING_OK;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", ",'status':'running','started_us':1")));
    run_bench_expect (&bench, "failed a in_doubt", "hook on_failure log a");
    ck_assert_str_eq (of_payload ("/context/attempt"), "0");
    go_on ();
    run_bench_expect (&bench, "ended", "END");
}
END_TEST

START_TEST (hook_comes_before_the_rule_that_protects_paid_work)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_expect (&bench, "started a 1 protected hold", "hook pre_step log a");
    go_on ();
    run_bench_expect (&bench, NULL); /* its start is not durable yet */
    run_bench_answer (&bench);
    run_bench_expect (&bench, "dispatch a 1");
}
END_TEST

/* --- what it is given ------------------------------------------------------------------------ */

#define CONTEXT(attempt)                                                                                               \
    "{'workflow_id':'wf','step_id':'a','modality':'idem','provenance':{'p':1,'workflow_id':'wf',"                      \
    "'workflow_step_id':'a'},'attempt':" attempt ",'delivery':3,'idempotency_key':'wf/a'}"
#define WITH_PROVENANCE                                                                                                \
    "{'global_provenance':{'p':1},'steps':[{'step_id':'a','modality':'idem','payload':{'n':1},'note':'kept'}]}"
#define AS_WRITTEN "{'step_id':'a','modality':'idem','payload':{'n':1},'note':'kept'}"

START_TEST (hook_before_a_step_sees_the_step_and_its_context)
{
    bench.setup.delivery = 3;
    run_bench_start (&bench, WITH_PROVENANCE);
    ck_assert_str_eq (run_bench_json (&bench, bench.call.payload),
                      "{'hook':'pre_step','step':" AS_WRITTEN ",'context':" CONTEXT ("1") "}");
    ck_assert_int_eq (bench.call.hook, REEL_HOOK_PRE_STEP);
    ck_assert_int_eq (bench.call.timeout_ms, 700);
    ck_assert_str_eq (run_bench_json (&bench, bench.call.provenance),
                      "{'p':1,'workflow_id':'wf','workflow_step_id':'a'}");
}
END_TEST

START_TEST (hook_after_a_step_sees_its_receipt)
{
    bench.setup.delivery = 3;
    run_bench_start (&bench, WITH_PROVENANCE);
    go_on ();
    run_bench_succeed (&bench, "{'made':true}");
    ck_assert_str_eq (of_payload ("/hook"), "'post_step'");
    ck_assert_str_eq (of_payload ("/step"), AS_WRITTEN);
    ck_assert_str_eq (of_payload ("/context"), CONTEXT ("1"));
    ck_assert_str_eq (of_payload ("/receipt/output"), "{'made':true}");
    ck_assert_str_eq (of_payload ("/error"), "");
}
END_TEST

START_TEST (hook_on_failure_sees_the_error)
{
    bench.setup.delivery = 3;
    run_bench_start (&bench, WITH_PROVENANCE);
    go_on ();
    run_bench_fail (&bench, "broken", "");
    ck_assert_str_eq (of_payload ("/hook"), "'on_failure'");
    ck_assert_str_eq (of_payload ("/context"), CONTEXT ("1"));
    ck_assert_str_eq (of_payload ("/error/code"), "'broken'");
    ck_assert_str_eq (of_payload ("/receipt"), "");
}
END_TEST

START_TEST (step_does_not_see_what_its_hook_was_given)
{
    run_bench_start (&bench, WITH_PROVENANCE);
    go_on ();
    ck_assert_int_eq (bench.call.hook, REEL_HOOK_NONE);
    ck_assert_str_eq (run_bench_json (&bench, bench.call.payload), "{'n':1}");
    ck_assert_int_eq (bench.call.timeout_ms, 0);
}
END_TEST

/* --- failing --------------------------------------------------------------------------------- */

START_TEST (failing_before_a_step_fails_it_and_ends_the_run)
{
    bench.hooks = two_at_each;
    run_bench_start (&bench, TWO);
    run_bench_fail (&bench, "exit_status", "r");
    /* Neither dispatched, nor told to on_failure, nor anything after it begun. */
    run_bench_expect (&bench, "started a 1 idempotent hold", "hook pre_step first a", "failed a hook_failed",
                      "ended hook_failed", "END");
    ck_assert_int_eq (status_of ("a"), REEL_STEP_FAILED);
    ck_assert_int_eq (status_of ("b"), REEL_STEP_PENDING);
    ck_assert_str_eq (error_at ("code"), "'hook_failed'");
    ck_assert_str_eq (error_at ("detail"), "{'hook':'first','point':'pre_step','step_id':'a'}");
    ck_assert_ptr_nonnull (strstr (error_at ("message"), "hook first failed (pre_step of step a)"));
    ck_assert_str_eq (run_bench_of_error (&bench, "a", "/code"), "'hook_failed'");
    ck_assert_str_eq (run_bench_of_error (&bench, "a", "/retryable"), "false");
    ck_assert (!reel_run_cancelled (bench.run));
}
END_TEST

START_TEST (failing_after_a_step_leaves_its_outcome)
{
    run_bench_start (&bench, TWO);
    go_on ();
    run_bench_succeed (&bench, "{'made':1}");
    run_bench_forget (&bench);
    run_bench_fail (&bench, "timeout", "ro");
    run_bench_expect (&bench, "ended hook_failed", "END");
    ck_assert_int_eq (status_of ("a"), REEL_STEP_SUCCEEDED);
    ck_assert_str_eq (run_bench_of_receipt (&bench, "a", "/output"), "{'made':1}");
    ck_assert_int_eq (status_of ("b"), REEL_STEP_PENDING);
    ck_assert_str_eq (error_at ("detail"), "{'hook':'log','point':'post_step','step_id':'a'}");
}
END_TEST

START_TEST (failing_after_the_last_step_fails_the_workflow)
{
    run_bench_start (&bench, ONE);
    go_on ();
    go_on ();
    run_bench_forget (&bench);
    run_bench_fail (&bench, "x", "");
    run_bench_expect (&bench, "ended hook_failed", "END");
}
END_TEST

START_TEST (failing_on_failure_leaves_the_error_of_the_step)
{
    run_bench_start (&bench, TWO);
    go_on ();
    run_bench_fail (&bench, "broken", "");
    run_bench_forget (&bench);
    run_bench_fail (&bench, "x", "");
    run_bench_expect (&bench, "ended hook_failed", "END");
    ck_assert_str_eq (run_bench_of_error (&bench, "a", "/code"), "'broken'");
    ck_assert_int_eq (status_of ("b"), REEL_STEP_PENDING);
    ck_assert_str_eq (error_at ("detail"), "{'hook':'log','point':'on_failure','step_id':'a'}");
}
END_TEST

START_TEST (second_hook_is_not_called_after_the_first_failed)
{
    bench.hooks = two_at_each;
    run_bench_start (&bench, ONE);
    go_on ();
    run_bench_forget (&bench);
    run_bench_fail (&bench, "x", "");
    ck_assert_str_eq (error_at ("detail"), "{'hook':'second','point':'pre_step','step_id':'a'}");
}
END_TEST

/* --- while something else happens --------------------------------------------------------------- */

START_TEST (cancel_ends_a_hook_before_its_step)
{
    run_bench_start (&bench, TWO);
    run_bench_forget (&bench);
    run_bench_cancel (&bench);
    run_bench_expect (&bench, "abort");
    run_bench_fail (&bench, "cancelled", "");
    run_bench_expect (&bench, "failed a cancelled", "hook on_failure log a");
    run_bench_cancel (&bench);
    run_bench_expect (&bench, NULL);
    go_on ();
    run_bench_expect (&bench, "ended cancelled", "END");
    ck_assert (reel_run_cancelled (bench.run));
    ck_assert_int_eq (status_of ("b"), REEL_STEP_PENDING);
}
END_TEST

START_TEST (cancel_dispatches_nothing_after_a_hook_that_succeeded_all_the_same)
{
    bench.hooks = two_at_each;
    run_bench_start (&bench, ONE);
    run_bench_cancel (&bench);
    run_bench_forget (&bench);
    go_on ();
    run_bench_expect (&bench, "failed a cancelled", "hook on_failure first a");
}
END_TEST

START_TEST (cancel_lets_a_hook_after_a_step_finish)
{
    run_bench_start (&bench, TWO);
    go_on ();
    go_on ();
    run_bench_forget (&bench);
    run_bench_cancel (&bench);
    run_bench_expect (&bench, NULL);
    go_on ();
    run_bench_expect (&bench, "ended cancelled", "END");
    ck_assert_int_eq (status_of ("a"), REEL_STEP_SUCCEEDED);
}
END_TEST

START_TEST (cancel_after_the_last_outcome_changes_nothing)
{
    run_bench_start (&bench, ONE);
    go_on ();
    go_on ();
    run_bench_forget (&bench);
    run_bench_cancel (&bench);
    go_on ();
    run_bench_expect (&bench, "ended", "END");
    ck_assert (!reel_run_cancelled (bench.run));
}
END_TEST

START_TEST (cancelled_wins_over_a_failing_hook)
{
    run_bench_start (&bench, TWO);
    go_on ();
    go_on ();
    run_bench_forget (&bench);
    run_bench_cancel (&bench);
    run_bench_fail (&bench, "x", "");
    run_bench_expect (&bench, "ended cancelled", "END");
    ck_assert (reel_run_cancelled (bench.run));
}
END_TEST

START_TEST (failing_hook_after_the_last_outcome_fails_a_cancelled_workflow)
{
    run_bench_start (&bench, ONE);
    go_on ();
    go_on ();
    run_bench_forget (&bench);
    run_bench_cancel (&bench);
    run_bench_fail (&bench, "x", "");
    run_bench_expect (&bench, "ended hook_failed", "END");
    ck_assert (!reel_run_cancelled (bench.run));
}
END_TEST

START_TEST (yield_gives_a_step_back_whose_hooks_are_through)
{
    bench.hooks = two_at_each;
    run_bench_start (&bench, TWO);
    run_bench_forget (&bench);
    run_bench_yield (&bench);
    run_bench_expect (&bench, NULL);
    go_on ();
    run_bench_expect (&bench, "hook pre_step second a");
    go_on ();
    run_bench_expect (&bench, "retrying a yielded 0", "yielded", "END");
}
END_TEST

START_TEST (yield_lets_a_hook_after_a_step_finish)
{
    run_bench_start (&bench, TWO);
    go_on ();
    go_on ();
    run_bench_forget (&bench);
    run_bench_yield (&bench);
    run_bench_expect (&bench, NULL);
    go_on ();
    run_bench_expect (&bench, "yielded", "END");
}
END_TEST

/* --- a lease that may be somebody else's ------------------------------------------------------ */

/* This process did not run for as long as a lease lives. */
static void
stall (void)
{
    run_bench_pass_ms (&bench, 20000);
    run_bench_feed (&bench, (struct reel_run_event){.kind = REEL_RUN_TICK, .stalled_us = 10000 * 1000});
}

START_TEST (stalled_run_calls_no_hook_before_its_lease_is_confirmed)
{
    run_bench_start (&bench, TWO);
    go_on ();
    stall ();
    run_bench_forget (&bench);
    go_on ();
    run_bench_expect (&bench, "succeeded a", "confirm");
    run_bench_answer (&bench);
    run_bench_expect (&bench, "hook post_step log a");
    stall ();
    go_on ();
    run_bench_expect (&bench, "started b 1 idempotent hold", "confirm");
    go_on (); /* nothing is open */
    /* An answer to what was sent before it was stopped says nothing. */
    run_bench_feed (&bench, (struct reel_run_event){.kind = REEL_RUN_CONFIRMED, .confirmed_us = 1});
    run_bench_ack_all (&bench);
    run_bench_expect (&bench, "confirm");
    run_bench_confirm (&bench);
    run_bench_expect (&bench, "hook pre_step log b");
}
END_TEST

START_TEST (cancel_before_a_hook_was_called_does_without_one_before_a_step_only)
{
    run_bench_start (&bench, TWO);
    go_on ();
    go_on ();
    stall ();
    go_on ();
    run_bench_forget (&bench);
    run_bench_cancel (&bench);
    run_bench_expect (&bench, "failed b cancelled", "confirm");
    run_bench_cancel (&bench);
    run_bench_expect (&bench, NULL);
    run_bench_confirm (&bench);
    run_bench_expect (&bench, "hook on_failure log b");
    go_on ();
    run_bench_expect (&bench, "ended cancelled", "END");
}
END_TEST

START_TEST (cancel_before_the_hook_after_a_step_was_called_lets_it_be_called)
{
    run_bench_start (&bench, TWO);
    go_on ();
    stall ();
    go_on ();
    run_bench_cancel (&bench);
    run_bench_forget (&bench);
    run_bench_confirm (&bench);
    run_bench_expect (&bench, "hook post_step log a");
    go_on ();
    run_bench_expect (&bench, "ended cancelled", "END");
    ck_assert_int_eq (status_of ("a"), REEL_STEP_SUCCEEDED);
}
END_TEST

START_TEST (yield_before_a_hook_was_called_lets_it_be_called)
{
    run_bench_start (&bench, TWO);
    go_on ();
    go_on ();
    stall ();
    go_on ();
    run_bench_forget (&bench);
    run_bench_yield (&bench);
    run_bench_expect (&bench, NULL);
    run_bench_confirm (&bench);
    go_on ();
    run_bench_expect (&bench, "hook pre_step log b", "retrying b yielded 0", "yielded", "END");
}
END_TEST

START_TEST (progress_and_checkpoints_of_a_hook_are_nobodys)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "resum", "")));
    run_bench_forget (&bench);
    run_bench_progress (&bench, 0.5, "half");
    run_bench_checkpoint (&bench, "{'job':1}");
    run_bench_expect (&bench, NULL);
}
END_TEST

START_TEST (acknowledgement_while_a_hook_is_open_dispatches_nothing)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_forget (&bench);
    run_bench_answer (&bench);
    run_bench_expect (&bench, NULL);
    go_on ();
    run_bench_expect (&bench, "dispatch a 1");
}
END_TEST

/* --- the context ------------------------------------------------------------------------------- */

static const char *
refused_context (struct reel_call call)
{
    static struct reel_error err;
    err = (struct reel_error){0};
    if (reel_call_check (&call, &err) == REEL_OK)
        return "";
    ck_assert_str_eq (err.code, "bad_context");
    return strchr (err.message, ':') + 2;
}

START_TEST (context_is_checked_again_with_each_step)
{
    run_bench_start (&bench, WITH_PROVENANCE);
    go_on ();
    struct reel_call call = bench.call, bad;
    ck_assert_str_eq (refused_context (call), "");
    bad = call, bad.workflow_id = reel_slice_text ("-");
    ck_assert_str_eq (refused_context (bad), "an id is out of form");
    bad = call, bad.step_id = REEL_SLICE_NONE;
    ck_assert_str_eq (refused_context (bad), "an id is out of form");
    bad = call, bad.step_id = reel_slice_text ("other");
    ck_assert_str_eq (refused_context (bad), "the provenance does not name the workflow and the step");
    bad = call, bad.modality = reel_slice_text ("Idem");
    ck_assert_str_eq (refused_context (bad), "the modality is out of form");
    bad = call, bad.payload = REEL_SLICE_NONE;
    ck_assert_str_eq (refused_context (bad), "the payload is not a map");
    bad = call, bad.provenance = call.payload;
    ck_assert_str_eq (refused_context (bad), "the provenance does not name the workflow and the step");
    bad = call, bad.idempotency_key = reel_slice_text ("wf/b");
    ck_assert_str_eq (refused_context (bad), "the idempotency key is not <workflow_id>/<step_id>");
    bad = call, bad.attempt = 0;
    ck_assert_str_eq (refused_context (bad), "attempts and deliveries count from 1");
    bad = call, bad.delivery = 0;
    ck_assert_str_eq (refused_context (bad), "attempts and deliveries count from 1");
    bad = call, bad.timeout_ms = -1;
    ck_assert_str_eq (refused_context (bad), "the timeout is out of range");
    bad = call, bad.timeout_ms = REEL_DURATION_MS_MAX + 1;
    ck_assert_str_eq (refused_context (bad), "the timeout is out of range");
    bad = call, bad.payload = reel_slice_text ("\xa1x");
    ck_assert_str_eq (refused_context (bad), "the payload is not a map");
    bad = call, bad.provenance = reel_slice_text ("\xa1x");
    ck_assert_str_eq (refused_context (bad), "the provenance does not name the workflow and the step");
    bad = call, bad.provenance = reel_slice_text ("\x81\xabworkflow_id\x07");
    ck_assert_str_eq (refused_context (bad), "the provenance does not name the workflow and the step");
    bad = call, bad.idempotency_key = reel_slice_text ("wg/a");
    ck_assert_str_eq (refused_context (bad), "the idempotency key is not <workflow_id>/<step_id>");
    bad = call, bad.idempotency_key = reel_slice_text ("wf.a");
    ck_assert_str_eq (refused_context (bad), "the idempotency key is not <workflow_id>/<step_id>");
    bad = call, bad.idempotency_key = reel_slice_text ("wf/");
    ck_assert_str_eq (refused_context (bad), "the idempotency key is not <workflow_id>/<step_id>");
}
END_TEST

START_TEST (context_that_does_not_hold_is_not_dispatched)
{
    bench.hooks = NULL;
    bench.setup.delivery = 0;
    run_bench_start (&bench, ONE);
    run_bench_expect (&bench, "started a 1 idempotent hold", "failed a bad_context", "ended", "END");
}
END_TEST

START_TEST (context_of_one_step_is_not_changed_by_the_next)
{
    bench.hooks = NULL;
    run_bench_start (
        &bench, WORKFLOW (STEP ("a", "idem", ",'payload':{'x':1},'policy':{'timeout_ms':5}"), STEP ("b", "paid", "")));
    ck_assert_int_eq (bench.call.timeout_ms, 5);
    go_on ();
    run_bench_answer (&bench);
    ck_assert_int_eq (bench.call.timeout_ms, 0);
    ck_assert_str_eq (run_bench_json (&bench, bench.call.payload), "{}");
    ck_assert_str_eq (run_bench_json (&bench, bench.call.provenance), "{'workflow_id':'wf','workflow_step_id':'b'}");
    ck_assert_uint_eq (bench.call.delivery, 1);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("run_hooks");
    TCase *tc = suite_case (suite, "when", set_up, tear_down_bench);
    tcase_add_test (tc, hooks_are_called_before_and_after_a_step_that_succeeds);
    tcase_add_test (tc, hooks_are_called_before_and_after_a_step_that_fails);
    tcase_add_test (tc, hooks_of_one_point_go_in_the_order_of_registration);
    tcase_add_test (tc, hooks_are_called_at_their_own_points_only);
    tcase_add_test (tc, hooks_before_a_step_are_called_before_its_first_attempt_only);
    tcase_add_test (tc, hooks_of_a_finished_step_are_not_called_again);
    tcase_add_test (tc, hooks_are_called_for_a_step_that_cannot_be_dispatched);
    tcase_add_test (tc, hooks_before_a_step_come_before_its_references);
    tcase_add_test (tc, hook_of_a_step_that_an_earlier_run_left_running_is_told_of_its_failure);
    tcase_add_test (tc, hook_comes_before_the_rule_that_protects_paid_work);
    tc = suite_case (suite, "given", set_up, tear_down_bench);
    tcase_add_test (tc, hook_before_a_step_sees_the_step_and_its_context);
    tcase_add_test (tc, hook_after_a_step_sees_its_receipt);
    tcase_add_test (tc, hook_on_failure_sees_the_error);
    tcase_add_test (tc, step_does_not_see_what_its_hook_was_given);
    tc = suite_case (suite, "failing", set_up, tear_down_bench);
    tcase_add_test (tc, failing_before_a_step_fails_it_and_ends_the_run);
    tcase_add_test (tc, failing_after_a_step_leaves_its_outcome);
    tcase_add_test (tc, failing_after_the_last_step_fails_the_workflow);
    tcase_add_test (tc, failing_on_failure_leaves_the_error_of_the_step);
    tcase_add_test (tc, second_hook_is_not_called_after_the_first_failed);
    tc = suite_case (suite, "meanwhile", set_up, tear_down_bench);
    tcase_add_test (tc, cancel_ends_a_hook_before_its_step);
    tcase_add_test (tc, cancel_dispatches_nothing_after_a_hook_that_succeeded_all_the_same);
    tcase_add_test (tc, cancel_lets_a_hook_after_a_step_finish);
    tcase_add_test (tc, cancel_after_the_last_outcome_changes_nothing);
    tcase_add_test (tc, cancelled_wins_over_a_failing_hook);
    tcase_add_test (tc, failing_hook_after_the_last_outcome_fails_a_cancelled_workflow);
    tcase_add_test (tc, yield_gives_a_step_back_whose_hooks_are_through);
    tcase_add_test (tc, yield_lets_a_hook_after_a_step_finish);
    tcase_add_test (tc, stalled_run_calls_no_hook_before_its_lease_is_confirmed);
    tcase_add_test (tc, cancel_before_a_hook_was_called_does_without_one_before_a_step_only);
    tcase_add_test (tc, cancel_before_the_hook_after_a_step_was_called_lets_it_be_called);
    tcase_add_test (tc, yield_before_a_hook_was_called_lets_it_be_called);
    tcase_add_test (tc, progress_and_checkpoints_of_a_hook_are_nobodys);
    tcase_add_test (tc, acknowledgement_while_a_hook_is_open_dispatches_nothing);
    tc = suite_case (suite, "context", set_up, tear_down_bench);
    tcase_add_test (tc, context_is_checked_again_with_each_step);
    tcase_add_test (tc, context_that_does_not_hold_is_not_dispatched);
    tcase_add_test (tc, context_of_one_step_is_not_changed_by_the_next);
    return suite_run (suite);
}
