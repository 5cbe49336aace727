/*
 * The run machine: its making, its cursor, and what each event does.
 *
 * Every function that may run out of memory says so, and from then on the run is broken: what it
 * would do next is not to be trusted.
 */
#include "worker/run.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mutant.h"
#include "proto/message.h"
#include "proto/scan.h"
#include "worker/run_state.h"

/* --- making --------------------------------------------------------------------------- */

static struct reel_run_limits
usable_limits (size_t bytes_max, unsigned depth_max)
{
    size_t bytes = bytes_max > 0 ? bytes_max : REEL_RECEIPT_BYTES_MAX;
    unsigned depth = depth_max > 0 ? depth_max : REEL_RECEIPT_DEPTH_MAX;
    bytes = bytes < REEL_RUN_BYTES_LEAST ? REEL_RUN_BYTES_LEAST : bytes;
    depth = depth < 2 ? 2 : depth > REEL_RECEIPT_DEPTH_MAX ? REEL_RECEIPT_DEPTH_MAX : depth;
    return (struct reel_run_limits){bytes, depth};
}

static enum reel_status
take_document (struct reel_run *run, const struct reel_run_setup *setup, struct reel_error *err)
{
    reel_buf_add_slice (&run->document, setup->document);
    enum reel_status status = reel_buf_status (&run->document);
    if (status == REEL_OK)
        status = reel_workflow_parse (&run->workflow, reel_buf_slice (&run->document), setup->flags, err);
    if (status != REEL_OK)
        return status;
    struct reel_slice id = setup->workflow_id.len > 0 ? setup->workflow_id : run->workflow.workflow_id;
    if (id.len == 0)
        return reel_error_set (err, REEL_INVALID, "missing_field", "", "the workflow has no workflow_id");
    reel_buf_add_slice (&run->workflow_id, id);
    reel_buf_add_slice (&run->overrides, setup->provenance);
    reel_buf_add_slice (&run->current.checkpoint, setup->checkpoint);
    run->outcomes = calloc (run->workflow.step_count, sizeof *run->outcomes);
    run->kept = calloc (run->workflow.step_count, sizeof *run->kept);
    if (run->outcomes == NULL || run->kept == NULL || run->workflow_id.failed || run->overrides.failed
        || run->current.checkpoint.failed)
        return REEL_NO_MEMORY;
    for (uint32_t i = 0; i < run->workflow.step_count; i++)
        run->outcomes[i] = reel_outcome_of (&run->workflow.steps[i]);
    run->base = (struct reel_call){.workflow_id = reel_buf_slice (&run->workflow_id), .delivery = setup->delivery};
    return REEL_OK;
}

enum reel_status
reel_run_create (const struct reel_run_setup *setup, struct reel_run **out, struct reel_error *err)
{
    struct reel_run *run = calloc (1, sizeof *run);
    if (run == NULL)
        return REEL_NO_MEMORY;
    enum reel_status status = take_document (run, setup, err);
    if (status != REEL_OK) {
        reel_run_destroy (&run);
        return status;
    }
    run->setup_attempts = setup->attempts;
    run->local = setup->local;
    run->lease_ms = setup->lease_ms;
    run->limits = usable_limits (setup->receipt_bytes_max, setup->receipt_depth_max);
    run->route = setup->route;
    run->look_up_hook = setup->hook;
    run->registry = setup->registry;
    reel_random_seed (&run->random, setup->seed);
    *out = run;
    return REEL_OK;
}

static void
free_current (struct reel_run_current *current)
{
    reel_buf_free (&current->payload);
    reel_buf_free (&current->provenance);
    reel_buf_free (&current->key);
    reel_buf_free (&current->handed_checkpoint);
    reel_buf_free (&current->checkpoint);
}

void
reel_run_destroy (struct reel_run **run)
{
    struct reel_run *gone = *run;
    if (gone == NULL)
        return;
    for (uint32_t i = 0; gone->kept != NULL && i < gone->workflow.step_count; i++)
        free (gone->kept[i]);
    free (gone->kept);
    free (gone->outcomes);
    free_current (&gone->current);
    reel_workflow_free (&gone->workflow);
    reel_run_outbox_free (&gone->outbox);
    reel_buf_free (&gone->document);
    reel_buf_free (&gone->workflow_id);
    reel_buf_free (&gone->overrides);
    reel_buf_free (&gone->hook.payload);
    reel_buf_free (&gone->told);
    reel_buf_free (&gone->error);
    free (gone);
    *run = NULL;
}

void
reel_run_set_terms (struct reel_run *run, int64_t lease_ms, size_t receipt_bytes_max, unsigned receipt_depth_max)
{
    run->lease_ms = lease_ms;
    run->limits = usable_limits (receipt_bytes_max, receipt_depth_max);
}

/* --- the cursor ------------------------------------------------------------------------ */

/* A step that an earlier local run left running, and that nothing allows to run again. */
static bool
is_in_doubt (struct reel_run *run)
{
    return reel_run_current_outcome (run)->status == REEL_STEP_RUNNING && !reel_run_may_run_twice (run);
}

/* Takes the step at the cursor on, unless it is not this run's to take. */
static enum reel_status
take_step (struct reel_run *run)
{
    int64_t blocking = reel_outcome_blocking (&run->workflow, run->cursor, run->outcomes);
    bool skips = blocking >= 0 && !REEL_MUTANT_IS (35);
    reel_run_look_up (run);
    if (!skips && (run->yielding || (!run->current.known && !run->local)))
        return reel_run_end (run, REEL_REPORTED_YIELDED);
    if (!reel_run_outbox_room (&run->outbox)) {
        run->phase = PHASE_ROOM;
        return REEL_OK;
    }
    if (skips)
        return reel_run_skip (run, (uint32_t) blocking);
    if (is_in_doubt (run))
        return reel_run_fail (run, "in_doubt",
                              "an earlier run was cut off in the middle of this step, and it is not known what "
                              "became of it");
    return reel_run_begin (run);
}

static bool
at_outcome (const struct reel_run *run)
{
    return run->cursor < run->workflow.step_count && reel_step_status_final (run->outcomes[run->cursor].status);
}

/* Moves past the steps that have their outcome; `hooked`: up to one whose hooks come first. */
static enum reel_status
pass_outcomes (struct reel_run *run, bool *hooked)
{
    enum reel_status status = REEL_OK;
    for (*hooked = false; at_outcome (run); run->cursor++) {
        enum reel_hook_point owed = run->hook.owed;
        run->hook.owed = REEL_HOOK_NONE;
        if (owed != REEL_HOOK_NONE)
            status = reel_run_hooks_begin (run, owed, hooked);
        if (status != REEL_OK || *hooked)
            return status;
        if (run->current.over)
            reel_run_leave_step (run);
    }
    return REEL_OK;
}

/* Goes on from a step that has its outcome, until something must be waited for. */
static enum reel_status
proceed (struct reel_run *run)
{
    enum reel_status status = REEL_OK;
    while (status == REEL_OK) {
        bool hooked;
        status = pass_outcomes (run, &hooked);
        if (status != REEL_OK || hooked)
            return status;
        if (run->cursor == run->workflow.step_count || run->cancelled)
            return reel_run_end (run, REEL_REPORTED_ENDED);
        status = take_step (run);
        if (!at_outcome (run))
            return status;
    }
    return status;
}

/* Begins the attempt whose time has come, and goes on if that was all of it. */
static enum reel_status
next_attempt (struct reel_run *run)
{
    if (!reel_run_outbox_room (&run->outbox)) {
        run->phase = PHASE_ROOM;
        return REEL_OK;
    }
    enum reel_status status = reel_run_begin (run);
    return status == REEL_OK && at_outcome (run) ? proceed (run) : status;
}

/* --- events ---------------------------------------------------------------------------- */

static enum reel_status
finish_cancelled (struct reel_run *run, struct reel_slice message)
{
    struct reel_failure failure = {.code = "cancelled", .message = message};
    run->cut = true;
    return reel_run_finish_failed (run, &failure);
}

static enum reel_status
take_success (struct reel_run *run, const struct reel_run_result *result)
{
    struct reel_buf receipt = {0};
    struct reel_error err = {0};
    struct reel_run_receipt own = reel_run_own_receipt (run);
    enum reel_status status = reel_run_receipt_write (&own, result->output, result->extra, &run->limits, &receipt,
                                                      &err);
    if (status == REEL_OK)
        status = reel_run_finish (run, REEL_STEP_SUCCEEDED, reel_buf_slice (&receipt));
    else if (status == REEL_INVALID)
        status = reel_run_fail (run, err.code, err.message);
    reel_buf_free (&receipt);
    return status;
}

static enum reel_status
retry (struct reel_run *run, const struct reel_failure *failure)
{
    int64_t delay_ms;
    enum reel_status status = reel_run_retry (run, failure, &delay_ms);
    if (status != REEL_OK)
        return status;
    if (run->yielding)
        return reel_run_end (run, REEL_REPORTED_YIELDED);
    if (delay_ms == 0)
        return next_attempt (run);
    run->phase = PHASE_BACKOFF;
    run->wake = true;
    return REEL_OK;
}

/* A step that was started but not dispatched is taken back first: left as started, it would be in doubt. */
static enum reel_status
give_back (struct reel_run *run)
{
    struct reel_failure failure = {
        .code = "yielded",
        .message = reel_slice_text ("the worker gave the step back before it was dispatched"),
        .retryable = true};
    enum reel_status status = reel_run_report_retrying (run, &failure, 0);
    return status == REEL_OK ? reel_run_end (run, REEL_REPORTED_YIELDED) : status;
}

/* The hooks before a step are through. */
static enum reel_status
go_on_from_pre_step (struct reel_run *run)
{
    enum reel_status status;
    if (run->cancelled)
        status = finish_cancelled (run, reel_slice_text ("the workflow was cancelled before this step was dispatched"));
    else if (run->yielding)
        return give_back (run);
    else
        status = reel_run_attempt (run);
    return status == REEL_OK && at_outcome (run) ? proceed (run) : status;
}

static enum reel_status
take_hook_result (struct reel_run *run, const struct reel_run_result *result)
{
    bool before = run->hook.point == REEL_HOOK_PRE_STEP;
    if (before && run->cancelled)
        return go_on_from_pre_step (run);
    if (!result->succeeded) {
        enum reel_status status = reel_run_hook_failed (run, &result->failure);
        return status == REEL_OK ? reel_run_end (run, REEL_REPORTED_ENDED) : status;
    }
    if (reel_run_hooks_next (run))
        return REEL_OK;
    if (before)
        return go_on_from_pre_step (run);
    if (run->current.over)
        reel_run_leave_step (run);
    run->cursor++;
    return proceed (run);
}

static enum reel_status
take_result (struct reel_run *run, const struct reel_run_result *result)
{
    if (run->phase == PHASE_HOOK)
        return take_hook_result (run, result);
    if (run->phase != PHASE_CALL)
        return REEL_OK;
    const struct reel_failure *failure = &result->failure;
    enum reel_status status;
    if (result->succeeded)
        status = take_success (run, result);
    else if (run->cancelled)
        status = finish_cancelled (run,
                                   failure->code != NULL && strcmp (failure->code, "cancelled") == 0
                                       ? failure->message
                                       : reel_slice_text ("the workflow was cancelled while this step was running"));
    else if (reel_run_may_retry (run, failure))
        return retry (run, failure);
    else
        status = reel_run_finish_failed (run, failure);
    return status == REEL_OK ? proceed (run) : status;
}

static enum reel_status
take_checkpoint (struct reel_run *run, struct reel_slice checkpoint)
{
    struct reel_run_current *current = &run->current;
    if (run->phase != PHASE_CALL)
        return REEL_OK;
    /* Nobody would ever go on from it: the broker keeps the step for a worker that calls its modality resumable. */
    if (current->route.class == REEL_ADAPTER_NEITHER)
        return reel_run_tell_progress (run, -1,
                                       reel_slice_text ("a checkpoint was dropped: the adapter is not resumable"));
    enum reel_status status = reel_run_value_check (checkpoint, &run->limits, NULL);
    if (status == REEL_INVALID)
        return reel_run_tell_progress (
            run, -1, reel_slice_text ("a checkpoint was dropped: it is too large, too deep or no msgpack"));
    if (status != REEL_OK)
        return status;
    reel_buf_clear (&current->checkpoint);
    if (reel_scan_type (checkpoint) != REEL_NIL)
        reel_buf_add_slice (&current->checkpoint, checkpoint);
    status = reel_buf_status (&current->checkpoint);
    current->checkpoint_held = current->checkpoint_index > run->outbox.acked;
    return status == REEL_OK && !current->checkpoint_held ? reel_run_report_checkpoint (run) : status;
}

static enum reel_status
take_acked (struct reel_run *run, uint64_t index)
{
    if (!reel_run_outbox_ack (&run->outbox, index))
        return REEL_OK;
    if (run->phase == PHASE_CALL && run->current.checkpoint_held && run->current.checkpoint_index <= index)
        return reel_run_report_checkpoint (run);
    if (run->phase == PHASE_DURABLE)
        reel_run_dispatch (run);
    else if (run->phase == PHASE_ROOM)
        return run->current.begun ? next_attempt (run) : proceed (run);
    return REEL_OK;
}

static void
take_confirmed (struct reel_run *run, int64_t confirmed_us)
{
    if (!run->confirmed || confirmed_us > run->confirmed_us)
        run->confirmed_us = REEL_MUTANT_IS (32) ? run->monotonic_us : confirmed_us;
    run->confirmed = true;
    if (confirmed_us >= run->doubted_us)
        run->doubted = false;
    if (run->phase == PHASE_DURABLE)
        reel_run_dispatch (run);
    else if (run->phase == PHASE_CLAIM)
        reel_run_hook_dispatch (run);
}

static enum reel_status
take_tick (struct reel_run *run)
{
    if (run->phase != PHASE_BACKOFF)
        return REEL_OK;
    if (run->monotonic_us >= run->current.wake_us)
        return next_attempt (run);
    run->wake = true;
    return REEL_OK;
}

static enum reel_status
take_cancel (struct reel_run *run)
{
    if (run->phase == PHASE_NEW || run->phase == PHASE_ENDED || run->cancelled)
        return REEL_OK;
    run->cancelled = true;
    /* A hook after the outcome has a right to its end. */
    run->abort = (run->phase == PHASE_CALL && !REEL_MUTANT_IS (36))
                 || (run->phase == PHASE_HOOK && run->hook.point == REEL_HOOK_PRE_STEP);
    if (run->phase == PHASE_CALL || run->phase == PHASE_HOOK
        || (run->phase == PHASE_CLAIM && run->hook.point != REEL_HOOK_PRE_STEP))
        return REEL_OK;
    enum reel_status status = REEL_OK;
    if (run->current.begun)
        status = finish_cancelled (run, reel_slice_text ("the workflow was cancelled before this attempt was made"));
    return status == REEL_OK ? proceed (run) : status;
}

static enum reel_status
take_yield (struct reel_run *run)
{
    if (run->phase == PHASE_NEW || run->phase == PHASE_ENDED)
        return REEL_OK;
    run->yielding = true;
    if (run->phase == PHASE_CALL || run->phase == PHASE_HOOK || run->phase == PHASE_CLAIM)
        return REEL_OK;
    if (run->phase == PHASE_ROOM && !run->current.begun)
        return proceed (run); /* it may only have to be skipped */
    return run->phase == PHASE_DURABLE ? give_back (run) : reel_run_end (run, REEL_REPORTED_YIELDED);
}

static enum reel_status
take_begin (struct reel_run *run)
{
    return run->phase == PHASE_NEW ? proceed (run) : REEL_OK;
}

static enum reel_status
take (struct reel_run *run, const struct reel_run_event *event)
{
    switch (event->kind) {
    case REEL_RUN_BEGIN: return take_begin (run);
    case REEL_RUN_TICK: return take_tick (run);
    case REEL_RUN_FINISHED: return take_result (run, &event->result);
    case REEL_RUN_PROGRESS:
        return run->phase == PHASE_CALL
                   ? reel_run_tell_progress (run, event->progress.fraction, event->progress.message)
                   : REEL_OK;
    case REEL_RUN_CHECKPOINT: return take_checkpoint (run, event->checkpoint);
    case REEL_RUN_ACKED: return take_acked (run, event->index);
    case REEL_RUN_CONFIRMED: take_confirmed (run, event->confirmed_us); return REEL_OK;
    case REEL_RUN_CANCEL: return take_cancel (run);
    case REEL_RUN_YIELD: return take_yield (run);
    }
    return REEL_OK;
}

/* --- commands -------------------------------------------------------------------------- */

static struct reel_run_command *
command (struct reel_run_commands *commands, enum reel_run_command_kind kind)
{
    REEL_ASSERT (commands->count < REEL_RUN_COMMANDS_MAX);
    struct reel_run_command *added = &commands->list[commands->count++];
    added->kind = kind;
    return added;
}

/* SEND goes before DISPATCH, so that a step is reported before it is run. */
static void
write_commands (struct reel_run *run, bool send, struct reel_run_commands *commands)
{
    if (run->tell)
        command (commands, REEL_RUN_TELL)->event = reel_buf_slice (&run->told);
    if (run->abort)
        command (commands, REEL_RUN_ABORT);
    if (send)
        command (commands, REEL_RUN_SEND);
    if (run->confirm)
        command (commands, REEL_RUN_CONFIRM);
    if (run->wake)
        command (commands, REEL_RUN_WAKE)->wake_us = run->current.wake_us;
    if (run->dispatch)
        command (commands, REEL_RUN_DISPATCH)->call = reel_run_open_call (run);
    if (run->ended)
        command (commands, REEL_RUN_ENDED);
}

enum reel_status
reel_run_step (struct reel_run *run, const struct reel_run_event *event, struct reel_run_commands *commands)
{
    commands->count = 0;
    if (run->broken)
        return REEL_NO_MEMORY;
    run->wall_us = event->wall_us > run->wall_us ? event->wall_us : run->wall_us;
    run->monotonic_us = event->monotonic_us > run->monotonic_us ? event->monotonic_us : run->monotonic_us;
    if (run->lease_ms > 0 && event->stalled_us >= run->lease_ms * 1000) {
        run->doubted = true;
        run->doubted_us = run->monotonic_us;
    }
    run->tell = run->abort = run->confirm = run->wake = run->dispatch = run->ended = false;
    uint64_t last = reel_run_outbox_last (&run->outbox);
    enum reel_status status = take (run, event);
    if (status != REEL_OK) {
        REEL_ASSERT (status == REEL_NO_MEMORY);
        run->broken = true;
        return status;
    }
    write_commands (run, reel_run_outbox_last (&run->outbox) > last, commands);
    return REEL_OK;
}

/* --- what can be asked ------------------------------------------------------------------ */

enum reel_status
reel_run_outbox (const struct reel_run *run, uint64_t from, size_t bytes_max, struct reel_buf *out, uint32_t *count)
{
    return reel_run_outbox_pack (&run->outbox, from, bytes_max, out, count);
}

uint64_t
reel_run_last_index (const struct reel_run *run)
{
    return reel_run_outbox_last (&run->outbox);
}

bool
reel_run_outbox_empty (const struct reel_run *run)
{
    return run->outbox.count == 0;
}

bool
reel_run_ended (const struct reel_run *run)
{
    return run->phase == PHASE_ENDED;
}

const struct reel_workflow *
reel_run_workflow (const struct reel_run *run)
{
    return &run->workflow;
}

const struct reel_outcome *
reel_run_outcomes (const struct reel_run *run)
{
    return run->outcomes;
}

struct reel_slice
reel_run_error (const struct reel_run *run)
{
    return reel_buf_slice (&run->error);
}

bool
reel_run_cancelled (const struct reel_run *run)
{
    return run->ended_cancelled;
}
