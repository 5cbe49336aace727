/*
 * What a run reports: the events of its steps, their outcomes, and its end.
 *
 * An outcome and the event that says so are made together, or not at all.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "proto/message.h"
#include "proto/pack.h"
#include "worker/run_state.h"

/* --- reporting ------------------------------------------------------------------------- */

static void
start_event (const struct reel_run *run, struct reel_message *event, enum reel_command kind)
{
    reel_message_init (event, kind);
    reel_message_set_uint (event, REEL_F_AT_US, (uint64_t) run->wall_us);
}

static void
start_step_event (const struct reel_run *run, struct reel_message *event, enum reel_command kind)
{
    start_event (run, event, kind);
    reel_message_set (event, REEL_F_STEP_ID, reel_run_current_step (run)->step_id);
}

enum reel_status
reel_run_report_started (struct reel_run *run)
{
    struct reel_message event;
    start_step_event (run, &event, REEL_REPORTED_STARTED);
    reel_message_set_uint (&event, REEL_F_ATTEMPT, run->current.attempt);
    reel_message_set_bool (&event, REEL_F_IDEMPOTENT, reel_run_idempotent (run));
    reel_message_set_text (&event, REEL_F_IN_DOUBT, reel_in_doubt_name (run->current.policy.in_doubt));
    return reel_run_outbox_add (&run->outbox, &event);
}

enum reel_status
reel_run_report_retrying (struct reel_run *run, const struct reel_failure *failure, int64_t delay_ms)
{
    struct reel_message event;
    struct reel_buf error = {0};
    reel_run_error_write (failure, &run->limits, &error);
    enum reel_status status = reel_buf_status (&error);
    if (status == REEL_OK) {
        start_step_event (run, &event, REEL_REPORTED_RETRYING);
        reel_message_set (&event, REEL_F_ERROR, reel_buf_slice (&error));
        reel_message_set_uint (&event, REEL_F_DELAY_MS, (uint64_t) delay_ms);
        if (run->current.checkpoint.len > 0)
            reel_message_set_bool (&event, REEL_F_OPEN, true);
        status = reel_run_outbox_add (&run->outbox, &event);
    }
    reel_buf_free (&error);
    return status;
}

enum reel_status
reel_run_report_checkpoint (struct reel_run *run)
{
    struct reel_message event;
    start_step_event (run, &event, REEL_REPORTED_CHECKPOINT);
    reel_message_set (&event, REEL_F_CHECKPOINT, reel_buf_slice (&run->current.checkpoint));
    enum reel_status status = reel_run_outbox_add (&run->outbox, &event);
    if (status == REEL_OK) {
        run->current.checkpoint_held = false;
        run->current.checkpoint_index = reel_run_outbox_last (&run->outbox);
    }
    return status;
}

enum reel_status
reel_run_tell_progress (struct reel_run *run, double fraction, struct reel_slice text)
{
    struct reel_message event;
    struct reel_buf clean = {0};
    reel_run_text_add (&clean, text, REEL_PROGRESS_TEXT_BYTES_MAX);
    start_step_event (run, &event, REEL_REPORTED_PROGRESS);
    if (fraction >= 0)
        reel_message_set_number (&event, REEL_F_FRACTION, fraction > 1 ? 1 : fraction);
    if (clean.len > 0)
        reel_message_set (&event, REEL_F_MESSAGE, reel_buf_slice (&clean));
    reel_buf_clear (&run->told);
    reel_message_encode (&event, &run->told);
    enum reel_status status = clean.failed ? REEL_NO_MEMORY : reel_buf_status (&run->told);
    reel_buf_free (&clean);
    run->tell = status == REEL_OK;
    return status;
}

/* --- outcomes -------------------------------------------------------------------------- */

void
reel_run_leave_step (struct reel_run *run)
{
    struct reel_run_current *current = &run->current;
    reel_buf_clear (&current->payload);
    reel_buf_clear (&current->provenance);
    reel_buf_clear (&current->key);
    reel_buf_clear (&current->handed_checkpoint);
    reel_buf_clear (&current->checkpoint);
    current->begun = current->over = current->known = current->prepared = current->referred = current->checkpoint_held =
        false;
    current->checkpoint_index = 0;
    current->attempt = run->setup_attempts = 0;
}

enum reel_status
reel_run_finish (struct reel_run *run, enum reel_step_status result, struct reel_slice body)
{
    struct reel_outcome *outcome = reel_run_current_outcome (run);
    uint8_t *copy = malloc (body.len);
    if (copy == NULL)
        return REEL_NO_MEMORY;
    memcpy (copy, body.data, body.len);
    struct reel_slice kept = reel_slice (copy, body.len);
    bool succeeded = result == REEL_STEP_SUCCEEDED;
    struct reel_message event;
    start_step_event (run, &event,
                      succeeded                     ? REEL_REPORTED_SUCCEEDED
                      : result == REEL_STEP_SKIPPED ? REEL_REPORTED_SKIPPED
                                                    : REEL_REPORTED_FAILED);
    reel_message_set (&event, succeeded ? REEL_F_RECEIPT : REEL_F_ERROR, kept);
    enum reel_status status = reel_run_outbox_add (&run->outbox, &event);
    if (status != REEL_OK) {
        free (copy);
        return status;
    }
    run->kept[run->cursor] = copy;
    bool was_running = outcome->status == REEL_STEP_RUNNING;
    outcome->status = result;
    outcome->receipt = succeeded ? kept : REEL_SLICE_NONE;
    outcome->error = succeeded ? REEL_SLICE_NONE : kept;
    /* The clock may have been set back since an earlier run began this step. */
    outcome->finished_us = run->wall_us > outcome->started_us ? run->wall_us : outcome->started_us;
    run->current.over = was_running;
    run->hook.owed = succeeded                    ? REEL_HOOK_POST_STEP
                     : result == REEL_STEP_FAILED ? REEL_HOOK_ON_FAILURE
                                                  : REEL_HOOK_NONE;
    return REEL_OK;
}

static enum reel_status
finish_with_error (struct reel_run *run, enum reel_step_status result, const struct reel_failure *failure)
{
    struct reel_buf error = {0};
    reel_run_error_write (failure, &run->limits, &error);
    enum reel_status status = reel_buf_status (&error);
    if (status == REEL_OK)
        status = reel_run_finish (run, result, reel_buf_slice (&error));
    reel_buf_free (&error);
    return status;
}

enum reel_status
reel_run_finish_failed (struct reel_run *run, const struct reel_failure *failure)
{
    return finish_with_error (run, REEL_STEP_FAILED, failure);
}

enum reel_status
reel_run_fail (struct reel_run *run, const char *code, const char *message)
{
    struct reel_failure failure = {.code = code, .message = reel_slice_text (message)};
    return finish_with_error (run, REEL_STEP_FAILED, &failure);
}

enum reel_status
reel_run_skip (struct reel_run *run, uint32_t blocking)
{
    struct reel_slice name = run->workflow.steps[blocking].step_id;
    const char *how = run->outcomes[blocking].status == REEL_STEP_FAILED ? "failed" : "was skipped";
    struct reel_buf message = {0}, detail = {0};
    reel_buf_printf (&message, "step %.*s, which this one depends on, %s", REEL_TEXT (name), how);
    reel_pack_map (&detail, 1);
    reel_pack_text (&detail, "step_id");
    reel_pack_str (&detail, name);
    enum reel_status status = message.failed || detail.failed ? REEL_NO_MEMORY : REEL_OK;
    struct reel_failure failure = {
        .code = "dependency_failed", .message = reel_buf_slice (&message), .detail = reel_buf_slice (&detail)};
    if (status == REEL_OK)
        status = finish_with_error (run, REEL_STEP_SKIPPED, &failure);
    reel_buf_free (&message);
    reel_buf_free (&detail);
    return status;
}

/* --- the end --------------------------------------------------------------------------- */

enum reel_status
reel_run_end (struct reel_run *run, enum reel_command kind)
{
    struct reel_message event;
    start_event (run, &event, kind);
    if (kind == REEL_REPORTED_ENDED && run->cancelled
        && (run->cut || !reel_outcome_all_final (run->outcomes, run->workflow.step_count))) {
        reel_buf_clear (&run->error);
        reel_pack_error (&run->error, "cancelled", reel_slice_text ("the workflow was cancelled"), false);
        run->ended_cancelled = true;
    }
    if (kind == REEL_REPORTED_ENDED && run->error.len > 0)
        reel_message_set (&event, REEL_F_ERROR, reel_buf_slice (&run->error));
    enum reel_status status = reel_buf_status (&run->error);
    if (status == REEL_OK)
        status = reel_run_outbox_add (&run->outbox, &event);
    run->phase = PHASE_ENDED;
    run->ended = true;
    return status;
}
