/*
 * The only place where durable state changes: one function a kind of record, the same in a running
 * broker and in recovery.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "broker/core/state.h"

uint64_t
reel_core_fingerprint (const struct reel_core *core, struct reel_slice text)
{
    return reel_hash_fingerprint (core->key, text);
}

struct reel_flow *
reel_core_find (const struct reel_core *core, struct reel_slice workflow_id)
{
    struct reel_flow *flow = reel_map_get_pointer (&core->flows, reel_core_fingerprint (core, workflow_id));
    return flow != NULL && reel_slice_equal (flow->workflow_id, workflow_id) ? flow : NULL;
}

struct reel_flow *
reel_core_find_lease (const struct reel_core *core, struct reel_lease lease)
{
    struct reel_flow *flow = reel_map_get_pointer (&core->leases, lease.counter);
    return flow != NULL && (REEL_MUTANT_IS (14) || reel_lease_equal (flow->lease, lease)) ? flow : NULL;
}

enum reel_status
reel_core_parse (struct reel_core *core, const struct reel_flow *flow)
{
    enum reel_status status = reel_workflow_parse (&core->workflow, flow->document, REEL_WORKFLOW_STRICT, NULL);
    REEL_ASSERT (status != REEL_INVALID); /* it was accepted */
    if (status == REEL_OK)
        reel_flow_outcomes (flow, core->outcomes);
    return status;
}

void
reel_core_set_state (struct reel_core *core, struct reel_flow *flow, enum reel_flow_state state)
{
    core->state_count[flow->state]--;
    flow->state = state;
    core->state_count[flow->state]++;
}

static void
drop_lease (struct reel_core *core, struct reel_flow *flow)
{
    if (flow->lease.counter != 0)
        reel_map_remove (&core->leases, flow->lease.counter);
    flow->lease = (struct reel_lease){0};
    flow->report_index = 0;
}

/* While recovery goes through a snapshot, what was accepted since does not yet stand behind all that it holds. */
static struct reel_roll *
roll_of (struct reel_core *core, const struct reel_flow *flow)
{
    return core->partial && flow->accepted_seq > core->snapshot.seq ? &core->recent : &core->roll;
}

enum reel_status
reel_apply_new_flow (struct reel_core *core, struct reel_flow *flow)
{
    flow->fingerprint = reel_core_fingerprint (core, flow->workflow_id);
    if (reel_map_put_pointer (&core->flows, flow->fingerprint, flow) != REEL_OK)
        return REEL_NO_MEMORY;
    if (reel_roll_add (roll_of (core, flow), flow) != REEL_OK) {
        reel_map_remove (&core->flows, flow->fingerprint);
        return REEL_NO_MEMORY;
    }
    core->state_count[flow->state]++;
    core->live_bytes += flow->bytes;
    return REEL_OK;
}

void
reel_core_remove_flow (struct reel_core *core, struct reel_flow *flow)
{
    while (flow->waits != NULL)
        reel_request_drop_wait (core, flow->waits);
    reel_roster_release (flow);
    reel_queue_remove (core, flow);
    reel_heap_remove (&core->expiries, &flow->expiry);
    drop_lease (core, flow);
    reel_map_remove (&core->flows, flow->fingerprint);
    reel_roll_remove (roll_of (core, flow), flow);
    core->state_count[flow->state]--;
    core->live_bytes -= flow->bytes;
    reel_flow_destroy (flow);
}

enum reel_status
reel_apply_contradicts (struct reel_error *err, const char *what)
{
    return reel_error_set (err, REEL_INVALID, "damaged", "", "a record that contradicts those before it: %s", what);
}

static enum reel_status
apply_accepted (struct reel_core *core, const struct reel_record *record, bool parsed, struct reel_error *err)
{
    const struct reel_message *event = record->event;
    struct reel_slice workflow_id = event->value[REEL_F_WORKFLOW_ID].s;
    if (reel_map_get (&core->flows, reel_core_fingerprint (core, workflow_id)) != 0)
        return reel_apply_contradicts (err, "a workflow that is live is accepted again");
    if (!parsed) {
        enum reel_status status = reel_workflow_parse (&core->workflow, record->document, REEL_WORKFLOW_STRICT, err);
        if (status != REEL_OK)
            return status;
    }
    struct reel_flow *flow = NULL;
    struct reel_slice origin = reel_message_has (event, REEL_F_ORIGIN) ? event->value[REEL_F_ORIGIN].s
                                                                       : REEL_SLICE_NONE;
    if (reel_flow_create (workflow_id, &core->workflow, record->provenance, origin, &flow) != REEL_OK)
        return REEL_NO_MEMORY;
    flow->accepted_seq = flow->last_seq = event->value[REEL_F_SEQ].u;
    flow->priority = reel_message_has (event, REEL_F_PRIORITY) ? event->value[REEL_F_PRIORITY].i : 0;
    flow->not_before_us = reel_message_has (event, REEL_F_NOT_BEFORE_US)
                              ? (int64_t) event->value[REEL_F_NOT_BEFORE_US].u
                              : 0;
    flow->submitted_us = (int64_t) event->value[REEL_F_AT_US].u;
    flow->last_index = event->value[REEL_F_INDEX].u;
    if (reel_apply_new_flow (core, flow) != REEL_OK) {
        reel_flow_destroy (flow);
        return REEL_NO_MEMORY;
    }
    core->last_seq = flow->last_seq;
    return REEL_OK;
}

static enum reel_status
apply_assigned (struct reel_core *core, struct reel_flow *flow, const struct reel_message *event)
{
    struct reel_flow_step *step = flow->next < flow->step_count ? &flow->steps[flow->next] : NULL;
    if (reel_message_has (event, REEL_F_RETURNED)) {
        flow->lost -= flow->lost > 0; /* it was not lost after all */
        if (step != NULL && flow->in_flight)
            step->outcome.status = REEL_STEP_RUNNING;
        flow->yielding = flow->yielding || flow->paused || core->paused;
    } else {
        struct reel_lease lease = event->value[REEL_F_LEASE].lease;
        drop_lease (core, flow);
        if (reel_map_put_pointer (&core->leases, lease.counter, flow) != REEL_OK)
            return REEL_NO_MEMORY;
        flow->lease = lease;
        flow->deliveries = event->value[REEL_F_DELIVERY].u;
        flow->in_flight = flow->yielding = false;
        if (flow->started_us == REEL_TIME_NIL)
            flow->started_us = (int64_t) event->value[REEL_F_AT_US].u;
        if (lease.counter > core->lease_counter)
            core->lease_counter = lease.counter;
    }
    reel_core_set_state (core, flow, REEL_FLOW_RUNNING);
    return REEL_OK;
}

static enum reel_status
apply_outcome (struct reel_core *core, struct reel_flow *flow, const struct reel_message *event, bool own)
{
    enum reel_step_status status = event->command == REEL_EVENT_SUCCEEDED ? REEL_STEP_SUCCEEDED
                                   : event->command == REEL_EVENT_FAILED  ? REEL_STEP_FAILED
                                                                          : REEL_STEP_SKIPPED;
    struct reel_slice receipt = status == REEL_STEP_SUCCEEDED ? event->value[REEL_F_RECEIPT].s : REEL_SLICE_NONE;
    struct reel_slice error = status == REEL_STEP_SUCCEEDED ? REEL_SLICE_NONE : event->value[REEL_F_ERROR].s;
    if (reel_flow_set_outcome (flow, flow->next, status, receipt, error, (int64_t) event->value[REEL_F_AT_US].u)
        != REEL_OK)
        return REEL_NO_MEMORY;
    reel_flow_advance (flow);
    if (own)
        drop_lease (core, flow); /* whoever held it must not give the step another outcome */
    return REEL_OK;
}

/* May what the checkpoint names be under way still? */
static bool
leaves_open (const struct reel_message *event)
{
    return reel_message_has (event, REEL_F_OPEN) && event->value[REEL_F_OPEN].b && !REEL_MUTANT_IS (20);
}

static enum reel_status
apply_step (struct reel_core *core, struct reel_flow *flow, const struct reel_record *record, struct reel_error *err)
{
    const struct reel_message *event = record->event;
    if (flow->next == flow->step_count
        || !reel_slice_equal (event->value[REEL_F_STEP_ID].s, reel_flow_step_id (flow, flow->next)))
        return reel_apply_contradicts (err, "an event of a step that is not the next");
    struct reel_outcome *outcome = &flow->steps[flow->next].outcome;
    switch (event->command) {
    case REEL_EVENT_STARTED:
        outcome->status = REEL_STEP_RUNNING;
        if (outcome->started_us == REEL_TIME_NIL)
            outcome->started_us = (int64_t) event->value[REEL_F_AT_US].u;
        flow->attempts = (uint32_t) event->value[REEL_F_ATTEMPT].u;
        flow->idempotent = event->value[REEL_F_IDEMPOTENT].b;
        flow->in_doubt = REEL_IN_DOUBT_HOLD;
        if (reel_message_has (event, REEL_F_IN_DOUBT) && !REEL_MUTANT_IS (18)
            && !reel_in_doubt_parse (event->value[REEL_F_IN_DOUBT].s, &flow->in_doubt))
            return reel_apply_contradicts (err, "an in_doubt policy of no known name");
        flow->in_flight = true;
        break;
    case REEL_EVENT_RETRYING:
        flow->in_flight = false;
        if (!leaves_open (event) && reel_flow_set_checkpoint (flow, REEL_SLICE_NONE) != REEL_OK)
            return REEL_NO_MEMORY;
        break;
    case REEL_EVENT_CHECKPOINT:
        if (reel_flow_set_checkpoint (flow, event->value[REEL_F_CHECKPOINT].s) != REEL_OK)
            return REEL_NO_MEMORY;
        break;
    case REEL_EVENT_SUCCEEDED:
    case REEL_EVENT_FAILED:
    case REEL_EVENT_SKIPPED:
        if (apply_outcome (core, flow, event, record->report_index == 0) != REEL_OK)
            return REEL_NO_MEMORY;
        break;
    case REEL_EVENT_IN_DOUBT: break;
    default: return reel_apply_contradicts (err, "a step record of another kind of event");
    }
    if (record->report_index > 0)
        flow->report_index = record->report_index;
    return REEL_OK;
}

/* Nobody works on it: the step that was running will be started again. */
static void
apply_taken_back (struct reel_core *core, struct reel_flow *flow, bool keep_lease)
{
    if (flow->next < flow->step_count && flow->steps[flow->next].outcome.status == REEL_STEP_RUNNING)
        flow->steps[flow->next].outcome.status = REEL_STEP_PENDING;
    if (!keep_lease)
        drop_lease (core, flow);
    reel_core_set_state (core, flow, REEL_FLOW_QUEUED);
}

static bool
holder_may_return (const struct reel_message *event)
{
    return reel_slice_is (event->value[REEL_F_REASON].s, "worker_lost") && !REEL_MUTANT_IS (16);
}

static void
make_all_yield (struct reel_roll *roll)
{
    for (size_t i = 0; i < roll->count; i++) {
        struct reel_flow *flow = roll->places[i].flow;
        if (flow != NULL && flow->state == REEL_FLOW_RUNNING)
            flow->yielding = true;
    }
}

static void
apply_switched (struct reel_core *core, bool paused)
{
    core->paused = paused;
    if (!paused)
        return;
    make_all_yield (&core->roll);
    make_all_yield (&core->recent);
}

static enum reel_status
apply_to_flow (struct reel_core *core, struct reel_flow *flow, const struct reel_record *record, struct reel_error *err)
{
    const struct reel_message *event = record->event;
    switch (record->kind) {
    case REEL_RECORD_ASSIGNED: return apply_assigned (core, flow, event);
    case REEL_RECORD_STEP: return apply_step (core, flow, record, err);
    case REEL_RECORD_YIELDED: apply_taken_back (core, flow, false); return REEL_OK;
    case REEL_RECORD_REQUEUED:
        flow->lost++;
        apply_taken_back (core, flow, holder_may_return (event));
        return REEL_OK;
    case REEL_RECORD_HELD:
        flow->lost++;
        if (!holder_may_return (event))
            drop_lease (core, flow);
        reel_core_set_state (core, flow, REEL_FLOW_HELD);
        return REEL_OK;
    case REEL_RECORD_CANCELLING: flow->cancelling = true; return REEL_OK;
    case REEL_RECORD_RESOLVED: apply_taken_back (core, flow, true); return REEL_OK;
    case REEL_RECORD_PAUSED:
        flow->paused = true;
        flow->yielding |= flow->state == REEL_FLOW_RUNNING;
        return REEL_OK;
    case REEL_RECORD_RESUMED: flow->paused = false; return REEL_OK;
    default: return REEL_OK; /* ENDED; the others are not of a live workflow */
    }
}

/* Of a workflow that the snapshot from which recovery goes has not come to yet: it holds all that matters. */
static enum reel_status
apply_to_unknown (struct reel_core *core, const struct reel_record *record)
{
    const struct reel_message *event = record->event;
    core->last_seq = event->value[REEL_F_SEQ].u;
    if (record->kind == REEL_RECORD_ASSIGNED && event->value[REEL_F_LEASE].lease.counter > core->lease_counter
        && !REEL_MUTANT_IS (48))
        core->lease_counter = event->value[REEL_F_LEASE].lease.counter;
    if (record->kind != REEL_RECORD_ENDED)
        return REEL_OK;
    core->ended_count++;
    return reel_map_put (&core->ended, reel_core_fingerprint (core, event->value[REEL_F_WORKFLOW_ID].s),
                         core->last_seq);
}

/* A record that holds an event. */
static enum reel_status
apply_event (struct reel_core *core, const struct reel_record *record, bool parsed, struct reel_error *err)
{
    const struct reel_message *event = record->event;
    if (event->value[REEL_F_SEQ].u != core->last_seq + 1)
        return reel_apply_contradicts (err, "an event out of sequence");
    if (record->kind == REEL_RECORD_ACCEPTED)
        return apply_accepted (core, record, parsed, err);
    struct reel_flow *flow = reel_core_find (core, event->value[REEL_F_WORKFLOW_ID].s);
    if (flow == NULL)
        return core->partial ? apply_to_unknown (core, record)
                             : reel_apply_contradicts (err, "an event of no live workflow");
    if (record->previous_seq != flow->last_seq || event->value[REEL_F_INDEX].u != flow->last_index + 1)
        return reel_apply_contradicts (err, "an event that does not follow the workflow's last");
    size_t bytes_before = flow->bytes;
    enum reel_status status = apply_to_flow (core, flow, record, err);
    core->live_bytes += flow->bytes - bytes_before;
    if (status != REEL_OK)
        return status;
    core->last_seq = flow->last_seq = event->value[REEL_F_SEQ].u;
    flow->last_index = event->value[REEL_F_INDEX].u;
    if (record->kind != REEL_RECORD_ENDED || REEL_MUTANT_IS (29))
        return REEL_OK;
    if (reel_map_put (&core->ended, flow->fingerprint, flow->last_seq) != REEL_OK)
        return REEL_NO_MEMORY;
    core->ended_count++;
    reel_core_remove_flow (core, flow);
    return REEL_OK;
}

static enum reel_status
apply_epoch (struct reel_core *core, uint64_t epoch, struct reel_error *err)
{
    if (epoch <= core->epoch && !REEL_MUTANT_IS (11))
        return reel_apply_contradicts (err, "an epoch that does not rise");
    core->epoch = epoch;
    core->snapshot_open = core->snapshot_open && REEL_MUTANT_IS (46); /* what was under way ended with the last one */
    return REEL_OK;
}

static enum reel_status
apply_any (struct reel_core *core, const struct reel_record *record, bool parsed, struct reel_error *err)
{
    switch (record->kind) {
    case REEL_RECORD_EPOCH: return apply_epoch (core, record->epoch, err);
    case REEL_RECORD_SWITCHED: apply_switched (core, record->paused); return REEL_OK;
    case REEL_RECORD_SNAPSHOT:
    case REEL_RECORD_LIVE:
    case REEL_RECORD_SNAPSHOT_ENDS: return reel_snapshot_apply (core, record, err);
    case REEL_RECORD_FORGOTTEN: return reel_retention_apply (core, record->forgotten_seq, err);
    case REEL_RECORD_TERM: core->term_ms = record->term_ms; return REEL_OK;
    default: return apply_event (core, record, parsed, err);
    }
}

static bool
is_quiet (enum reel_record_kind kind)
{
    return kind == REEL_RECORD_EPOCH || kind == REEL_RECORD_SWITCHED || kind == REEL_RECORD_TERM;
}

enum reel_status
reel_apply_record (struct reel_core *core, const struct reel_record *record, size_t bytes, bool parsed,
                   struct reel_error *err)
{
    enum reel_status status = apply_any (core, record, parsed, err);
    if (status != REEL_OK)
        return status;
    core->journal_bytes += bytes;
    core->quiet_count += is_quiet (record->kind);
    return REEL_OK;
}

enum reel_status
reel_core_apply (struct reel_core *core, struct reel_slice bytes, struct reel_error *err)
{
    REEL_ASSERT (!core->started);
    enum reel_status status = reel_record_read (bytes, &core->record, &core->in, err);
    if (status != REEL_OK || (core->skipping && core->record.kind != REEL_RECORD_SNAPSHOT))
        return status;
    return reel_apply_record (core, &core->record, bytes.len + REEL_RECORD_FRAME_BYTES, false, err);
}
