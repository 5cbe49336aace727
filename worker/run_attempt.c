/*
 * The step at the cursor, from its route to its dispatch.
 *
 * Each attempt is reported before anything else is done for it. What the call is given is made
 * once, before the first one.
 */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mutant.h"
#include "proto/provenance.h"
#include "proto/reference.h"
#include "worker/run_state.h"

bool
reel_run_may_run_twice (const struct reel_run *run)
{
    return reel_run_idempotent (run) || run->current.policy.in_doubt == REEL_IN_DOUBT_RETRY;
}

/* What the step says goes before what the worker says. */
void
reel_run_look_up (struct reel_run *run)
{
    struct reel_run_current *current = &run->current;
    current->route = (struct reel_route){0};
    current->known = run->route (run->registry, reel_run_current_step (run)->modality, &current->route);
    const struct reel_policy *own = &reel_run_current_step (run)->policy;
    const struct reel_policy *otherwise = &current->route.policy;
    struct reel_policy *policy = &current->policy;
    policy->timeout_ms = own->timeout_ms > 0 ? own->timeout_ms : otherwise->timeout_ms;
    policy->max_attempts = own->max_attempts > 0 ? own->max_attempts : otherwise->max_attempts;
    policy->backoff_ms = own->backoff_ms > 0 || own->no_backoff ? own->backoff_ms : otherwise->backoff_ms;
    policy->backoff_max_ms = own->backoff_max_ms > 0 ? own->backoff_max_ms : otherwise->backoff_max_ms;
    policy->in_doubt = own->in_doubt != REEL_IN_DOUBT_UNSET ? own->in_doubt : otherwise->in_doubt;
    if (policy->in_doubt == REEL_IN_DOUBT_UNSET)
        policy->in_doubt = REEL_IN_DOUBT_HOLD;
}

static bool
receipt_of (void *context, struct reel_slice step_id, struct reel_slice *receipt)
{
    const struct reel_run *run = context;
    int64_t step = reel_workflow_find (&run->workflow, step_id);
    if (step < 0)
        return false;
    *receipt = run->outcomes[step].receipt;
    return receipt->len > 0;
}

struct reel_run_receipt
reel_run_own_receipt (const struct reel_run *run)
{
    const struct reel_run_current *current = &run->current;
    return (struct reel_run_receipt){.adapter = current->route.adapter,
                                     .provenance = reel_buf_slice (&current->provenance),
                                     .attempts = current->attempt,
                                     .idempotency_key = reel_buf_slice (&current->key),
                                     .payload_sha256 = current->referred ? current->payload_sha256 : NULL};
}

enum reel_status
reel_run_make_context (struct reel_run *run)
{
    struct reel_run_current *current = &run->current;
    struct reel_slice step_id = reel_run_current_step (run)->step_id;
    if (current->key.len > 0)
        return REEL_OK;
    enum reel_status status = reel_provenance_merge (run->workflow.global_provenance, reel_buf_slice (&run->overrides),
                                                     run->base.workflow_id, step_id, &current->provenance);
    reel_buf_add_slice (&current->key, run->base.workflow_id);
    reel_buf_add_byte (&current->key, '/');
    reel_buf_add_slice (&current->key, step_id);
    return status == REEL_OK ? reel_buf_status (&current->key) : status;
}

struct reel_call
reel_run_open_call (const struct reel_run *run)
{
    const struct reel_step *step = reel_run_current_step (run);
    const struct reel_run_current *current = &run->current;
    struct reel_call call = run->base;
    call.step_id = step->step_id;
    call.modality = step->modality;
    call.payload = reel_buf_slice (&current->payload);
    call.provenance = reel_buf_slice (&current->provenance);
    call.checkpoint = reel_buf_slice (&current->handed_checkpoint);
    call.idempotency_key = reel_buf_slice (&current->key);
    call.attempt = current->attempt;
    call.timeout_ms = current->policy.timeout_ms;
    if (run->phase != PHASE_HOOK)
        return call;
    call.hook = run->hook.point;
    call.hook_index = run->hook.index;
    call.payload = reel_buf_slice (&run->hook.payload);
    call.timeout_ms = run->hook.found.timeout_ms;
    return call;
}

/* What the call gets. REEL_INVALID: the step cannot be dispatched. */
static enum reel_status
prepare (struct reel_run *run, struct reel_error *err)
{
    struct reel_run_current *current = &run->current;
    const struct reel_step *step = reel_run_current_step (run);
    enum reel_status status = reel_reference_resolve (step->payload, receipt_of, run, &current->payload,
                                                      &current->referred, err);
    if (status == REEL_OK && current->referred)
        reel_hash_sha256_hex (reel_buf_slice (&current->payload), current->payload_sha256);
    if (status == REEL_OK)
        status = reel_run_make_context (run);
    struct reel_call call = reel_run_open_call (run);
    if (status == REEL_OK)
        status = reel_call_check (&call, err);
    if (status != REEL_OK)
        return status;
    /* What could never be recorded must not be paid for. */
    struct reel_buf least = {0};
    struct reel_run_receipt receipt = reel_run_own_receipt (run);
    status = reel_run_receipt_write (&receipt, REEL_SLICE_NONE, REEL_SLICE_NONE, &run->limits, &least, err);
    reel_buf_free (&least);
    current->prepared = status == REEL_OK;
    return status;
}

static bool
protected_work_may_go (struct reel_run *run)
{
    if (run->outbox.count > 0 && !REEL_MUTANT_IS (30))
        return false;
    if (run->lease_ms <= 0 || REEL_MUTANT_IS (31)
        || (run->confirmed && run->monotonic_us - run->confirmed_us < run->lease_ms * 1000))
        return true;
    run->confirm = true;
    return false;
}

bool
reel_run_undoubted (struct reel_run *run)
{
    run->confirm = run->confirm || run->doubted;
    return !run->doubted || REEL_MUTANT_IS (61);
}

void
reel_run_dispatch (struct reel_run *run)
{
    if (!reel_run_undoubted (run) || (!reel_run_idempotent (run) && !protected_work_may_go (run))) {
        run->phase = PHASE_DURABLE;
        return;
    }
    run->phase = PHASE_CALL;
    run->dispatch = true;
}

static enum reel_status
fail_unprepared (struct reel_run *run, const struct reel_error *err)
{
    char message[REEL_ERROR_PATH_BYTES + REEL_ERROR_MESSAGE_BYTES + 16];
    snprintf (message, sizeof message, "payload%s: %s", err->path, err->message);
    return reel_run_fail (run, err->code, err->path[0] != '\0' ? message : err->message);
}

enum reel_status
reel_run_begin (struct reel_run *run)
{
    struct reel_run_current *current = &run->current;
    struct reel_outcome *outcome = reel_run_current_outcome (run);
    bool again = current->begun;
    if (!again)
        current->attempt = run->setup_attempts;
    current->begun = true;
    current->attempt++;
    outcome->status = REEL_STEP_RUNNING;
    if (outcome->started_us == REEL_TIME_NIL)
        outcome->started_us = run->wall_us;
    /* An idempotent adapter elsewhere left it. The broker would keep the step for one that goes on from it. */
    bool useless = current->checkpoint.len > 0 && current->route.class == REEL_ADAPTER_NEITHER;
    if (useless)
        reel_buf_clear (&current->checkpoint);
    reel_buf_clear (&current->handed_checkpoint);
    reel_buf_add_slice (&current->handed_checkpoint, reel_buf_slice (&current->checkpoint));
    enum reel_status status = reel_buf_status (&current->handed_checkpoint);
    if (status == REEL_OK)
        status = reel_run_report_started (run);
    if (status == REEL_OK && useless)
        status = reel_run_report_checkpoint (run);
    bool hooked = false;
    if (status == REEL_OK && !again)
        status = reel_run_hooks_begin (run, REEL_HOOK_PRE_STEP, &hooked);
    return status == REEL_OK && !hooked ? reel_run_attempt (run) : status;
}

enum reel_status
reel_run_attempt (struct reel_run *run)
{
    struct reel_run_current *current = &run->current;
    enum reel_status status = REEL_OK;
    if (!current->known)
        return reel_run_fail (run, "no_adapter", "no adapter serves the step's modality");
    struct reel_error err = {0};
    if (!current->prepared)
        status = prepare (run, &err);
    if (status == REEL_INVALID)
        return fail_unprepared (run, &err);
    if (status == REEL_OK)
        reel_run_dispatch (run);
    return status;
}

static int64_t
backoff_ms (struct reel_run *run)
{
    const struct reel_policy *policy = &run->current.policy;
    int64_t most = policy->backoff_max_ms > 0 ? policy->backoff_max_ms : REEL_DURATION_MS_MAX;
    int64_t ceiling = policy->backoff_ms;
    for (uint32_t i = 1; i < run->current.attempt && ceiling > 0 && ceiling < most; i++)
        ceiling *= 2;
    ceiling = ceiling < most ? ceiling : most;
    return (int64_t) reel_random_below (&run->random, (uint64_t) ceiling + 1);
}

static bool
leaves_open (const struct reel_failure *failure)
{
    return failure->open || (failure->code != NULL && strcmp (failure->code, "timeout") == 0);
}

bool
reel_run_may_retry (const struct reel_run *run, const struct reel_failure *failure)
{
    return (failure->retryable || REEL_MUTANT_IS (33)) && run->current.attempt < run->current.policy.max_attempts
           && (!leaves_open (failure) || reel_run_may_run_twice (run) || REEL_MUTANT_IS (34));
}

enum reel_status
reel_run_retry (struct reel_run *run, const struct reel_failure *failure, int64_t *delay_ms)
{
    struct reel_run_current *current = &run->current;
    /* The job that a checkpoint names came to its end, unless nobody knows. */
    if (!leaves_open (failure))
        reel_buf_clear (&current->checkpoint);
    /* One that was taken back goes with step.retrying. */
    bool held = current->checkpoint_held && current->checkpoint.len > 0;
    current->checkpoint_held = false;
    enum reel_status status = held ? reel_run_report_checkpoint (run) : REEL_OK;
    *delay_ms = backoff_ms (run);
    current->wake_us = run->monotonic_us + *delay_ms * 1000;
    return status == REEL_OK ? reel_run_report_retrying (run, failure, *delay_ms) : status;
}
