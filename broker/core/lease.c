/*
 * Leases: granted with each hand-out, renewed by whatever is heard from their holder, and what becomes of
 * a workflow when that stops.
 */
#include "base/assert.h"
#include "base/mutant.h"
#include "broker/core/state.h"
#include "proto/pack.h"

/*
 * How long a silent worker may still go by its lease. What a worker was told last is what it goes by until it is told
 * otherwise, which one that is cut off is not: a broker that has shorter leases than the one before it keeps to the longer
 * term until that is over. The longest term that anybody was told is durable for that.
 */
static int64_t
term_us (const struct reel_core *core)
{
    return 1000 * (REEL_MUTANT_IS (54) ? core->setup.lease_ms : core->term_ms);
}

static enum reel_status
record_term (struct reel_core *core, struct reel_effects *effects)
{
    core->record = (struct reel_record){.kind = REEL_RECORD_TERM, .term_ms = core->setup.lease_ms};
    return reel_core_record_plain (core, effects);
}

enum reel_status
reel_lease_begin_term (struct reel_core *core, struct reel_effects *effects)
{
    core->term_due_us = core->now.monotonic_us + term_us (core);
    return core->term_ms < core->setup.lease_ms ? record_term (core, effects) : REEL_OK;
}

enum reel_status
reel_lease_start (struct reel_core *core, struct reel_flow *flow)
{
    flow->deadline_us = core->now.monotonic_us + term_us (core);
    if (flow->expiry.place != 0)
        return REEL_OK; /* the heap learns of the later deadline when the earlier one has come */
    flow->expiry.key = flow->deadline_us;
    flow->expiry.tie = flow->accepted_seq;
    return reel_heap_add (&core->expiries, &flow->expiry);
}

/* Records that `peer` works on the flow, under a new lease or (returned) under the one it has. */
static enum reel_status
record_assigned (struct reel_core *core, struct reel_flow *flow, struct reel_peer *peer, bool returned,
                 struct reel_effects *effects)
{
    struct reel_lease lease = {core->epoch, core->lease_counter + !REEL_MUTANT_IS (15)};
    reel_core_event (core, flow, REEL_EVENT_ASSIGNED);
    reel_message_set_text (&core->out, REEL_F_WORKER, peer->name);
    reel_message_set_uint (&core->out, REEL_F_DELIVERY, flow->deliveries + !returned);
    reel_message_set_lease (&core->out, REEL_F_LEASE, returned ? flow->lease : lease);
    if (returned)
        reel_message_set_bool (&core->out, REEL_F_RETURNED, true);
    core->record = (struct reel_record){.kind = REEL_RECORD_ASSIGNED};
    reel_queue_remove (core, flow);
    if (reel_core_record (core, flow, effects) != REEL_OK)
        return REEL_NO_MEMORY;
    reel_roster_hold (peer, flow);
    return reel_lease_start (core, flow);
}

static enum reel_status
assign (struct reel_core *core, struct reel_flow *flow, struct reel_peer *peer, struct reel_effects *effects)
{
    struct reel_slice document = flow->document;
    if (record_assigned (core, flow, peer, false, effects) != REEL_OK)
        return REEL_NO_MEMORY;
    if (flow->deliveries > 1) {
        if (reel_core_parse (core, flow) != REEL_OK)
            return REEL_NO_MEMORY;
        reel_buf_clear (&core->receipt);
        reel_outcome_document (&core->receipt, &core->workflow, core->outcomes, REEL_SLICE_NONE, REEL_SLICE_NONE);
        if (reel_buf_status (&core->receipt) != REEL_OK)
            return REEL_NO_MEMORY;
        document = reel_buf_slice (&core->receipt);
    }
    struct reel_message *message = &core->out;
    reel_message_init (message, REEL_ASSIGN);
    reel_message_set_lease (message, REEL_F_LEASE, flow->lease);
    reel_message_set (message, REEL_F_WORKFLOW_ID, flow->workflow_id);
    reel_message_set_uint (message, REEL_F_DELIVERY, flow->deliveries);
    if (flow->provenance.len > 0)
        reel_message_set (message, REEL_F_PROVENANCE, flow->provenance);
    if (flow->checkpoint.len > 0)
        reel_message_set (message, REEL_F_CHECKPOINT, flow->checkpoint);
    if (flow->attempts > 0 && !REEL_MUTANT_IS (19))
        reel_message_set_uint (message, REEL_F_ATTEMPTS, flow->attempts);
    reel_message_set_document (message, document);
    core->counters.assigned++;
    return reel_effects_send (effects, REEL_SOCKET_WORKER, peer->route, false, message);
}

static bool
has_room (const struct reel_core *core, const struct reel_peer *peer)
{
    return core->setup.has_room == NULL || REEL_MUTANT_IS (82)
           || core->setup.has_room (core->setup.has_room_context, peer->route);
}

/* One workflow to each worker with a free slot, round after round, so that no worker gets all; the next time it goes
 * on behind the last one that got something. */
enum reel_status
reel_lease_hand_out (struct reel_core *core, struct reel_effects *effects)
{
    core->more_to_hand_out = false;
    if (core->paused && !REEL_MUTANT_IS (21))
        return REEL_OK;
    for (size_t in_vain = 0; in_vain < core->peer_count && core->state_count[REEL_FLOW_QUEUED] > 0; in_vain++) {
        size_t place = (core->turn + in_vain) % core->peer_count;
        struct reel_peer *peer = core->peers[place];
        struct reel_flow *flow = peer->leases < peer->slots ? reel_queue_next (core, peer) : NULL;
        if (flow == NULL || !has_room (core, peer))
            continue;
        core->more_to_hand_out = reel_effects_full (effects);
        if (core->more_to_hand_out)
            break;
        if (assign (core, flow, peer, effects) != REEL_OK)
            return REEL_NO_MEMORY;
        core->turn = place + 1;
        in_vain = SIZE_MAX; /* begin to count again */
    }
    return REEL_OK;
}

enum reel_status
reel_lease_remind (struct reel_core *core, const struct reel_flow *flow, struct reel_effects *effects)
{
    if (flow->state != REEL_FLOW_RUNNING || flow->holder == NULL
        || (!flow->cancelling && !flow->paused && !core->paused))
        return REEL_OK;
    reel_message_init (&core->out, flow->cancelling ? REEL_WORKER_CANCEL : REEL_WORKER_YIELD);
    reel_message_set_lease (&core->out, REEL_F_LEASE, flow->lease);
    return reel_effects_send (effects, REEL_SOCKET_WORKER, flow->holder->route, false, &core->out);
}

enum reel_status
reel_lease_renew (struct reel_core *core, struct reel_flow *flow, struct reel_peer *peer, struct reel_effects *effects)
{
    if (flow->state != REEL_FLOW_RUNNING)
        return record_assigned (core, flow, peer, true, effects);
    reel_roster_hold (peer, flow);
    return reel_lease_start (core, flow);
}

static enum reel_status
requeue (struct reel_core *core, struct reel_flow *flow, const char *reason, struct reel_effects *effects)
{
    reel_core_event (core, flow, REEL_EVENT_REQUEUED);
    reel_message_set_text (&core->out, REEL_F_REASON, reason);
    core->record = (struct reel_record){.kind = REEL_RECORD_REQUEUED};
    core->counters.requeued++;
    if (reel_core_record (core, flow, effects) != REEL_OK)
        return REEL_NO_MEMORY;
    return reel_queue_add (core, flow);
}

static enum reel_status
hold (struct reel_core *core, struct reel_flow *flow, const char *reason, struct reel_effects *effects)
{
    reel_core_event (core, flow, REEL_EVENT_HELD);
    reel_message_set (&core->out, REEL_F_STEP_ID, reel_flow_step_id (flow, flow->next));
    reel_message_set_text (&core->out, REEL_F_REASON, reason);
    core->record = (struct reel_record){.kind = REEL_RECORD_HELD};
    core->counters.held++;
    return reel_core_record (core, flow, effects);
}

static enum reel_status
tell_in_doubt (struct reel_core *core, struct reel_flow *flow, struct reel_effects *effects)
{
    reel_core_event (core, flow, REEL_EVENT_IN_DOUBT);
    reel_message_set (&core->out, REEL_F_STEP_ID, reel_flow_step_id (flow, flow->next));
    reel_message_set_text (&core->out, REEL_F_IN_DOUBT, reel_in_doubt_name (flow->in_doubt));
    core->record = (struct reel_record){.kind = REEL_RECORD_STEP};
    return reel_core_record (core, flow, effects);
}

static enum reel_status
give_up (struct reel_core *core, struct reel_flow *flow, struct reel_effects *effects)
{
    static const char message[] = "its worker was lost at every delivery";
    struct reel_buf error = {0};
    enum reel_status status = REEL_OK;
    if (flow->next < flow->step_count && flow->steps[flow->next].outcome.status == REEL_STEP_RUNNING)
        status = reel_core_fail_step (core, flow, "too_many_deliveries", reel_slice_text (message), effects);
    reel_pack_error (&error, "too_many_deliveries", reel_slice_text (message), false);
    if (status == REEL_OK)
        status = reel_buf_status (&error);
    if (status == REEL_OK)
        status = reel_core_end (core, flow, reel_buf_slice (&error), 0, effects);
    reel_buf_free (&error);
    return status;
}

enum reel_status
reel_lease_lose (struct reel_core *core, struct reel_flow *flow, const char *reason, struct reel_effects *effects)
{
    REEL_ASSERT (flow->state == REEL_FLOW_RUNNING);
    reel_roster_release (flow);
    reel_heap_remove (&core->expiries, &flow->expiry);
    if (flow->cancelling)
        return flow->next < flow->step_count ? reel_core_end_cancelled (core, flow, 0, effects)
                                             : reel_core_end (core, flow, REEL_SLICE_NONE, 0, effects);
    /* A checkpoint makes a step resumable; an idempotent step may run again; the rest is in doubt. */
    bool in_doubt = flow->in_flight && !flow->idempotent && flow->checkpoint.len == 0 && !REEL_MUTANT_IS (17);
    if (in_doubt && tell_in_doubt (core, flow, effects) != REEL_OK)
        return REEL_NO_MEMORY;
    if (in_doubt && flow->in_doubt == REEL_IN_DOUBT_HOLD)
        return hold (core, flow, reason, effects);
    if (in_doubt && flow->in_doubt == REEL_IN_DOUBT_FAIL) {
        static const char message[] = "its worker was lost while it ran, and it may not run twice";
        if (reel_core_fail_step (core, flow, "in_doubt", reel_slice_text (message), effects) != REEL_OK)
            return REEL_NO_MEMORY;
        if (flow->next == flow->step_count)
            return reel_core_end (core, flow, REEL_SLICE_NONE, 0, effects);
    }
    return flow->lost + 1 < core->setup.deliveries_max || REEL_MUTANT_IS (23) ? requeue (core, flow, reason, effects)
                                                                              : give_up (core, flow, effects);
}

static void
forget_silent (struct reel_core *core)
{
    int64_t now_us = core->now.monotonic_us;
    if (now_us < core->silence_due_us)
        return;
    core->silence_due_us = now_us + term_us (core);
    for (size_t i = core->peer_count; i-- > 0;) {
        struct reel_peer *peer = core->peers[i];
        if (peer->heard_us + term_us (core) <= now_us)
            reel_roster_remove (core, peer);
        else if (peer->heard_us + term_us (core) < core->silence_due_us)
            core->silence_due_us = peer->heard_us + term_us (core);
    }
}

/* From when on nobody goes by a longer term than this broker's. */
static int64_t
term_wake_us (const struct reel_core *core)
{
    return core->term_ms > core->setup.lease_ms ? core->term_due_us : INT64_MAX;
}

int64_t
reel_lease_wake_us (const struct reel_core *core)
{
    const struct reel_heap_node *node = reel_heap_top (&core->expiries);
    int64_t wake_us = term_wake_us (core);
    if (node != NULL && node->key < wake_us)
        wake_us = node->key;
    if (core->peer_count > 0 && core->silence_due_us < wake_us)
        wake_us = core->silence_due_us;
    return wake_us;
}

enum reel_status
reel_lease_expire (struct reel_core *core, struct reel_effects *effects)
{
    struct reel_heap_node *node;
    forget_silent (core);
    while ((node = reel_heap_top (&core->expiries)) != NULL && node->key <= core->now.monotonic_us
           && !reel_effects_full (effects)) {
        struct reel_flow *flow = REEL_HEAP_OWNER (node, struct reel_flow, expiry);
        reel_heap_remove (&core->expiries, node);
        REEL_ASSERT (flow->state == REEL_FLOW_RUNNING);
        enum reel_status status;
        if (flow->deadline_us > core->now.monotonic_us) {
            node->key = flow->deadline_us;
            status = reel_heap_add (&core->expiries, node);
        } else {
            status = reel_lease_lose (core, flow, "worker_lost", effects);
        }
        if (status != REEL_OK)
            return status;
    }
    if (core->now.monotonic_us < term_wake_us (core))
        return REEL_OK;
    core->silence_due_us = core->now.monotonic_us; /* which was far off, by the longer term */
    return record_term (core, effects);
}
