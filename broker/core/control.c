/*
 * What operators ask of a workflow that is under way: CANCEL, RESOLVE, PAUSE, RESUME.
 *
 * Whatever a worker has in hand is asked back of it (CANCEL, YIELD), and asked again at every heartbeat
 * until its lease ends; nothing is taken from it.
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/limits.h"
#include "broker/core/state.h"
#include "proto/scan.h"

static enum reel_status
reply_status (struct reel_core *core, const struct reel_asker *asker, struct reel_slice status,
              struct reel_effects *effects)
{
    struct reel_message *ok = reel_request_begin (core, asker);
    if (reel_message_has (&core->in, REEL_F_WORKFLOW_ID))
        reel_message_set (ok, REEL_F_WORKFLOW_ID, core->in.value[REEL_F_WORKFLOW_ID].s);
    reel_message_set (ok, REEL_F_STATUS, status);
    return reel_request_reply (core, asker, effects);
}

/* The status of a workflow that was live when the request came, and may have ended by it. */
static enum reel_status
reply_where_it_stands (struct reel_core *core, const struct reel_asker *asker, const char *status_if_ended,
                       struct reel_effects *effects)
{
    const struct reel_flow *flow = reel_core_find (core, core->in.value[REEL_F_WORKFLOW_ID].s);
    return reply_status (
        core, asker, reel_slice_text (flow == NULL ? status_if_ended : reel_flow_state_name (flow->state)), effects);
}

/* Records an event that says nothing but that it happened. */
static enum reel_status
record_plain (struct reel_core *core, struct reel_flow *flow, enum reel_record_kind kind, enum reel_command event,
              struct reel_effects *effects)
{
    reel_core_event (core, flow, event);
    core->record = (struct reel_record){.kind = kind};
    return reel_core_record (core, flow, effects);
}

/* --- CANCEL --------------------------------------------------------------------------------- */

static enum reel_status
on_cancel (struct reel_core *core, const struct reel_asker *asker, struct reel_flow *flow, struct reel_effects *effects)
{
    enum reel_status status;
    if (flow->state != REEL_FLOW_RUNNING) {
        /* Nobody has it; where every step has its outcome, only its end is still to be said. */
        bool open = flow->next < flow->step_count;
        reel_flow_outcomes (flow, core->outcomes);
        bool succeeded = !open && reel_outcome_all_succeeded (core->outcomes, flow->step_count);
        status = open ? reel_core_end_cancelled (core, flow, 0, effects)
                      : reel_core_end (core, flow, REEL_SLICE_NONE, 0, effects);
        return status == REEL_OK ? reply_where_it_stands (core, asker,
                                                          open        ? "cancelled"
                                                          : succeeded ? "succeeded"
                                                                      : "failed",
                                                          effects)
                                 : status;
    }
    if (!flow->cancelling) {
        status = record_plain (core, flow, REEL_RECORD_CANCELLING, REEL_EVENT_CANCELLING, effects);
        if (status == REEL_OK)
            status = reel_lease_remind (core, flow, effects);
        if (status != REEL_OK)
            return status;
    }
    return reply_status (core, asker, reel_slice_text ("cancelling"), effects);
}

/* --- RESOLVE -------------------------------------------------------------------------------- */

enum resolution { RESOLVE_RETRY, RESOLVE_FAILED, RESOLVE_SUCCEEDED, RESOLVE_COUNT };
static const char *const resolutions[] = {"retry", "failed", "succeeded"};

static bool
has_step (const struct reel_flow *flow, struct reel_slice step_id)
{
    for (uint32_t i = 0; i < flow->step_count; i++)
        if (reel_slice_equal (reel_flow_step_id (flow, i), step_id))
            return true;
    return false;
}

/* What is wrong with a RESOLVE of that flow; `code` NULL: nothing. */
struct refusal {
    const char *code, *reason, *path, *message;
};

static struct refusal
resolve_trouble (const struct reel_core *core, const struct reel_flow *flow, enum resolution resolution)
{
    const struct reel_message *in = &core->in;
    bool receipt = reel_message_has (in, REEL_F_RECEIPT);
    struct reel_slice step_id = in->value[REEL_F_STEP_ID].s;
    if (resolution == RESOLVE_COUNT)
        return (struct refusal){"malformed", NULL, "/as", "as is one of retry, failed, succeeded"};
    if (receipt != (resolution == RESOLVE_SUCCEEDED))
        return (struct refusal){"malformed", NULL, "/receipt",
                                receipt ? "only a step that is resolved as succeeded takes a receipt"
                                        : "a step that is resolved as succeeded needs its receipt"};
    if (receipt
        && (in->value[REEL_F_RECEIPT].s.len > REEL_RECEIPT_BYTES_MAX
            || reel_scan_depth (in->value[REEL_F_RECEIPT].s) > REEL_RECEIPT_DEPTH_MAX))
        return (struct refusal){"too_large", NULL, "/receipt",
                                "the receipt is larger than 256 KiB or deeper than 21, which are the limits"};
    if (!has_step (flow, step_id))
        return (struct refusal){"unknown_step", NULL, "/step_id", "the workflow has no step of that id"};
    if (flow->state != REEL_FLOW_HELD)
        return (struct refusal){"bad_state", reel_flow_state_name (flow->state), NULL,
                                "only a workflow that is held is resolved"};
    if (!reel_slice_equal (step_id, reel_flow_step_id (flow, flow->next)))
        return (struct refusal){"bad_state", "held", "/step_id", "it is another step that is in doubt"};
    return (struct refusal){0};
}

static enum reel_status
record_resolved (struct reel_core *core, struct reel_flow *flow, struct reel_effects *effects)
{
    const struct reel_message *in = &core->in;
    reel_core_event (core, flow, REEL_EVENT_RESOLVED);
    reel_message_set (&core->out, REEL_F_STEP_ID, in->value[REEL_F_STEP_ID].s);
    reel_message_set (&core->out, REEL_F_AS, in->value[REEL_F_AS].s);
    if (reel_message_has (in, REEL_F_NOTE))
        reel_message_set (&core->out, REEL_F_NOTE, in->value[REEL_F_NOTE].s);
    core->record = (struct reel_record){.kind = REEL_RECORD_RESOLVED};
    return reel_core_record (core, flow, effects);
}

static enum reel_status
on_resolve (struct reel_core *core, const struct reel_asker *asker, struct reel_flow *flow,
            struct reel_effects *effects)
{
    const struct reel_message *in = &core->in;
    unsigned resolution = 0;
    while (resolution < RESOLVE_COUNT && !reel_slice_is (in->value[REEL_F_AS].s, resolutions[resolution]))
        resolution++;
    struct refusal refusal = resolve_trouble (core, flow, (enum resolution) resolution);
    if (refusal.code != NULL)
        return reel_request_refuse (core, asker, refusal.code, refusal.reason, refusal.path, refusal.message, effects);
    enum reel_status status = record_resolved (core, flow, effects);
    if (status == REEL_OK && resolution == RESOLVE_FAILED)
        status = reel_core_fail_step (core, flow, "in_doubt",
                                      reel_message_has (in, REEL_F_NOTE) ? in->value[REEL_F_NOTE].s
                                                                         : reel_slice_text ("resolved as failed"),
                                      effects);
    if (status == REEL_OK && resolution == RESOLVE_SUCCEEDED)
        status = reel_core_succeed_step (core, flow, in->value[REEL_F_RECEIPT].s, effects);
    if (status != REEL_OK)
        return status;
    if (flow->next < flow->step_count) {
        status = reel_queue_add (core, flow);
        return status == REEL_OK ? reply_where_it_stands (core, asker, "", effects) : status;
    }
    reel_flow_outcomes (flow, core->outcomes);
    bool succeeded = reel_outcome_all_succeeded (core->outcomes, flow->step_count);
    status = reel_core_end (core, flow, REEL_SLICE_NONE, 0, effects);
    return status == REEL_OK ? reply_where_it_stands (core, asker, succeeded ? "succeeded" : "failed", effects)
                             : status;
}

/* --- PAUSE, RESUME -------------------------------------------------------------------------- */

static enum reel_status
on_pause (struct reel_core *core, const struct reel_asker *asker, struct reel_flow *flow, struct reel_effects *effects)
{
    enum reel_status status = REEL_OK;
    if (!flow->paused) {
        reel_queue_remove (core, flow);
        status = record_plain (core, flow, REEL_RECORD_PAUSED, REEL_EVENT_PAUSED, effects);
        if (status == REEL_OK)
            status = reel_lease_remind (core, flow, effects);
    }
    return status == REEL_OK ? reply_where_it_stands (core, asker, "", effects) : status;
}

static enum reel_status
on_resume (struct reel_core *core, const struct reel_asker *asker, struct reel_flow *flow, struct reel_effects *effects)
{
    enum reel_status status = REEL_OK;
    if (flow->paused) {
        status = record_plain (core, flow, REEL_RECORD_RESUMED, REEL_EVENT_RESUMED, effects);
        if (status == REEL_OK && flow->state == REEL_FLOW_QUEUED)
            status = reel_queue_add (core, flow);
    }
    return status == REEL_OK ? reply_where_it_stands (core, asker, "", effects) : status;
}

/* Everything at once: durable, and no event. Workers hear of it with their next heartbeats. */
static enum reel_status
switch_all (struct reel_core *core, const struct reel_asker *asker, bool paused, struct reel_effects *effects)
{
    if (core->paused != paused) {
        core->record = (struct reel_record){.kind = REEL_RECORD_SWITCHED, .paused = paused};
        if (reel_core_record_plain (core, effects) != REEL_OK)
            return REEL_NO_MEMORY;
    }
    return reply_status (core, asker, reel_slice_text (paused ? "paused" : "resumed"), effects);
}

/* --- the doors ------------------------------------------------------------------------------ */

enum reel_status
reel_control_request (struct reel_core *core, const struct reel_asker *asker, struct reel_slice header,
                      struct reel_effects *effects)
{
    const struct reel_message *in = &core->in;
    if (!reel_message_has (in, REEL_F_WORKFLOW_ID))
        return switch_all (core, asker, in->command == REEL_PAUSE, effects);
    struct reel_flow *flow = reel_core_find (core, in->value[REEL_F_WORKFLOW_ID].s);
    if (flow == NULL)
        return reel_request_ask_ended (core, asker, header, effects);
    switch (in->command) {
    case REEL_CANCEL: return on_cancel (core, asker, flow, effects);
    case REEL_RESOLVE: return on_resolve (core, asker, flow, effects);
    case REEL_PAUSE: return on_pause (core, asker, flow, effects);
    case REEL_RESUME: return on_resume (core, asker, flow, effects);
    default: REEL_ASSERT (false); return REEL_OK;
    }
}

enum reel_status
reel_control_ended (struct reel_core *core, const struct reel_asker *asker, struct reel_slice status,
                    struct reel_effects *effects)
{
    char reason[16];
    if (core->in.command == REEL_CANCEL)
        return reply_status (core, asker, status, effects);
    snprintf (reason, sizeof reason, "%.*s", REEL_TEXT (status));
    return reel_request_refuse (core, asker, "bad_state", reason, NULL, "the workflow has ended", effects);
}
