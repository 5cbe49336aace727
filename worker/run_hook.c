/*
 * Hooks: what is called before a step's first attempt, and after its outcome.
 *
 * A hook is dispatched like an adapter, one after the other in the order of their registration;
 * the run waits for each. What it is given is one map,
 *
 *     {"hook": point, "step": as the document has it, "context": {...}, "receipt" | "error"}
 *
 * made once for a point. Outcomes are reported before their hooks are called, so that no hook
 * stands between what was paid for and its record.
 */
#include <string.h>

#include "proto/pack.h"
#include "worker/run_state.h"

const char *
reel_hook_point_name (enum reel_hook_point point)
{
    switch (point) {
    case REEL_HOOK_NONE: return "";
    case REEL_HOOK_PRE_STEP: return "pre_step";
    case REEL_HOOK_POST_STEP: return "post_step";
    case REEL_HOOK_ON_FAILURE: return "on_failure";
    }
    return "";
}

static void
pack_context (const struct reel_run *run, struct reel_buf *out)
{
    const struct reel_step *step = reel_run_current_step (run);
    const struct reel_run_current *current = &run->current;
    reel_pack_map (out, 7);
    reel_pack_text (out, "workflow_id");
    reel_pack_str (out, reel_buf_slice (&run->workflow_id));
    reel_pack_text (out, "step_id");
    reel_pack_str (out, step->step_id);
    reel_pack_text (out, "modality");
    reel_pack_str (out, step->modality);
    reel_pack_text (out, "provenance");
    if (current->provenance.len > 0)
        reel_pack_raw (out, reel_buf_slice (&current->provenance));
    else
        reel_pack_map (out, 0);
    reel_pack_text (out, "attempt");
    reel_pack_uint (out, current->attempt);
    reel_pack_text (out, "delivery");
    reel_pack_uint (out, run->base.delivery);
    reel_pack_text (out, "idempotency_key");
    reel_pack_str (out, reel_buf_slice (&current->key));
}

/* Makes the map of the point that is at hand. */
static enum reel_status
pack_payload (struct reel_run *run, enum reel_hook_point point)
{
    const struct reel_outcome *outcome = reel_run_current_outcome (run);
    struct reel_buf *out = &run->hook.payload;
    enum reel_status status = reel_run_make_context (run);
    if (status != REEL_OK)
        return status;
    reel_buf_clear (out);
    reel_pack_map (out, point == REEL_HOOK_PRE_STEP ? 3 : 4);
    reel_pack_text (out, "hook");
    reel_pack_text (out, reel_hook_point_name (point));
    reel_pack_text (out, "step");
    reel_pack_raw (out, reel_run_current_step (run)->bytes);
    reel_pack_text (out, "context");
    pack_context (run, out);
    if (point != REEL_HOOK_PRE_STEP) {
        reel_pack_text (out, point == REEL_HOOK_POST_STEP ? "receipt" : "error");
        reel_pack_raw (out, point == REEL_HOOK_POST_STEP ? outcome->receipt : outcome->error);
    }
    return reel_buf_status (out);
}

void
reel_run_hook_dispatch (struct reel_run *run)
{
    run->dispatch = reel_run_undoubted (run);
    run->phase = run->dispatch ? PHASE_HOOK : PHASE_CLAIM;
}

/* Dispatches hook `index`; false: there are no more of them. */
static bool
dispatch (struct reel_run *run, uint32_t index)
{
    if (!run->look_up_hook (run->registry, run->hook.point, index, &run->hook.found))
        return false;
    run->hook.index = index;
    reel_run_hook_dispatch (run);
    return true;
}

enum reel_status
reel_run_hooks_begin (struct reel_run *run, enum reel_hook_point point, bool *begun)
{
    *begun = false;
    if (run->look_up_hook == NULL || !run->look_up_hook (run->registry, point, 0, &run->hook.found))
        return REEL_OK;
    run->hook.point = point;
    enum reel_status status = pack_payload (run, point);
    if (status == REEL_OK)
        *begun = dispatch (run, 0);
    return status;
}

bool
reel_run_hooks_next (struct reel_run *run)
{
    return dispatch (run, run->hook.index + 1);
}

enum reel_status
reel_run_hook_failed (struct reel_run *run, const struct reel_failure *failure)
{
    struct reel_buf message = {0}, detail = {0}, error = {0};
    struct reel_slice step_id = reel_run_current_step (run)->step_id;
    const char *point = reel_hook_point_name (run->hook.point);
    reel_buf_printf (&message, "hook %s failed (%s of step %.*s)", run->hook.found.name, point, REEL_TEXT (step_id));
    if (failure->message.len > 0)
        reel_buf_printf (&message, ": %.*s", REEL_TEXT (failure->message));
    reel_pack_map (&detail, 3);
    reel_pack_text (&detail, "hook");
    reel_pack_text (&detail, run->hook.found.name);
    reel_pack_text (&detail, "point");
    reel_pack_text (&detail, point);
    reel_pack_text (&detail, "step_id");
    reel_pack_str (&detail, step_id);
    enum reel_status status = message.failed || detail.failed ? REEL_NO_MEMORY : REEL_OK;
    const struct reel_failure told = {
        .code = "hook_failed", .message = reel_buf_slice (&message), .detail = reel_buf_slice (&detail)};
    if (status == REEL_OK && run->hook.point == REEL_HOOK_PRE_STEP)
        status = reel_run_finish_failed (run, &told);
    reel_run_error_write (&told, &run->limits, &error);
    if (status == REEL_OK)
        status = reel_buf_status (&error);
    if (status == REEL_OK) {
        reel_buf_free (&run->error);
        run->error = error;
        run->hook_failed = true;
        error = (struct reel_buf){0};
    }
    reel_buf_free (&message);
    reel_buf_free (&detail);
    reel_buf_free (&error);
    return status;
}
