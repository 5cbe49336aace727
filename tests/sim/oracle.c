/*
 * What must hold, after every step.
 *
 * The oracle knows what has reached the disk: it keeps the records that were made durable, and a model of every workflow
 * that is made from their events alone. Whatever leaves the broker, and whatever a worker begins, is held against that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/core/record.h"
#include "proto/message.h"
#include "proto/outcome.h"
#include "proto/scan.h"
#include "tests/sim/sim.h"

struct oracle {
    struct reel_core *mirror; /* replays what is durable */
    struct reel_buf handed;   /* records on their way to the disk */
    bool on_its_way, unknown;
    uint64_t record_count, epoch, last_seq, forgotten_seq;
    uint64_t snapshot_begun, snapshot; /* records before the batch in which one begins: the newest, the newest whole */
    bool begins, ends;                 /* one in the batch that was handed over */
    uint64_t *events;                  /* their hashes, by seq - 1 */
    size_t event_cap;
    struct reel_lease newest_lease;
    int64_t decided_us; /* the batch that was handed over: see sim_oracle_handed() */
    int64_t lease_ms, leases_begin_us;
    bool paused;
    struct sim_flow flows[SIM_FLOWS_MAX];
    size_t flow_count, ended_count, forgotten_count;
    uint64_t published_seq;
    bool published_any;                /* by this broker */
    const struct sim_flow *just_ended; /* its final event was published just now */
    struct reel_workflow workflow;
};

static struct oracle oracle;

/* --- what can be asked ---------------------------------------------------------------------- */

size_t
sim_oracle_flow_count (void)
{
    return oracle.flow_count;
}

struct sim_flow *
sim_oracle_flow (size_t number)
{
    return &oracle.flows[number];
}

struct sim_flow *
sim_oracle_find (struct reel_slice id)
{
    for (size_t i = oracle.flow_count; i-- > 0;)
        if (reel_slice_is (id, oracle.flows[i].id))
            return &oracle.flows[i];
    return NULL;
}

uint64_t
sim_oracle_forgotten_seq (void)
{
    return oracle.forgotten_seq;
}

bool
sim_oracle_paused (void)
{
    return oracle.paused;
}

uint64_t
sim_oracle_last_seq (void)
{
    return oracle.last_seq;
}

/* The workflow that was handed out last under that lease. */
static struct sim_flow *
leased (struct reel_lease lease)
{
    for (size_t i = 0; i < oracle.flow_count; i++)
        if (oracle.flows[i].deliveries > 0 && reel_lease_equal (oracle.flows[i].lease, lease))
            return &oracle.flows[i];
    return NULL;
}

/* --- what becomes durable ------------------------------------------------------------------- */

static void
copy_text (char *out, size_t size, struct reel_slice text)
{
    SIM_HOLDS ("form", text.len < size, "%.*s is too long", REEL_TEXT (text));
    memcpy (out, text.data, text.len);
    out[text.len] = '\0';
}

static void
apply_accepted (const struct reel_record *record)
{
    const struct reel_message *event = record->event;
    struct reel_slice id = event->value[REEL_F_WORKFLOW_ID].s;
    const struct sim_flow *known = sim_oracle_find (id);
    SIM_HOLDS ("accepted once", known == NULL || known->forgotten, "%.*s is accepted again", REEL_TEXT (id));
    SIM_HOLDS ("bounds", oracle.flow_count < SIM_FLOWS_MAX, "too many workflows");
    SIM_HOLDS ("form", reel_workflow_parse (&oracle.workflow, record->document, REEL_WORKFLOW_STRICT, NULL) == REEL_OK,
               "%.*s was accepted with a bad document", REEL_TEXT (id));
    struct sim_flow *flow = &oracle.flows[oracle.flow_count++];
    const struct reel_workflow *workflow = &oracle.workflow;
    *flow = (struct sim_flow){.document = sim_hash (record->document),
                              .accepted_seq = event->value[REEL_F_SEQ].u,
                              .step_count = workflow->step_count};
    copy_text (flow->id, sizeof flow->id, id);
    if (reel_message_has (event, REEL_F_PRIORITY))
        flow->priority = event->value[REEL_F_PRIORITY].i;
    flow->waits = reel_message_has (event, REEL_F_NOT_BEFORE_US);
    if (reel_message_has (event, REEL_F_ORIGIN))
        copy_text (flow->origin, sizeof flow->origin, event->value[REEL_F_ORIGIN].s);
    for (uint32_t i = 0; i < workflow->step_count; i++) {
        struct sim_step *step = &flow->steps[i];
        copy_text (step->modality, sizeof step->modality, workflow->steps[i].modality);
        step->status = workflow->steps[i].status;
        step->in_doubt = workflow->steps[i].policy.in_doubt;
        step->allowed = 1;
        for (uint32_t d = 0; d < workflow->steps[i].depends_count; d++)
            step->depends |= 1u << workflow->depends[workflow->steps[i].depends_first + d];
        if (reel_step_status_final (step->status) && flow->next == i)
            flow->next = i + 1;
    }
    sim_counts.workflows++;
    sim_counts.reruns += flow->origin[0] != '\0';
}

static bool
is_blocked (const struct sim_flow *flow, uint32_t step)
{
    for (uint32_t i = 0; i < step; i++)
        if ((flow->steps[step].depends >> i & 1) != 0 && flow->steps[i].status != REEL_STEP_SUCCEEDED)
            return true;
    return false;
}

/* The step that would be called if somebody had the workflow; step_count: none. */
static uint32_t
next_call (const struct sim_flow *flow)
{
    bool dead[SIM_STEPS_MAX] = {false};
    uint32_t step;
    for (step = 0; step < flow->step_count; step++) {
        enum reel_step_status status = flow->steps[step].status;
        dead[step] = reel_step_status_final (status) && status != REEL_STEP_SUCCEEDED;
        for (uint32_t i = 0; i < step; i++)
            dead[step] |= (flow->steps[step].depends >> i & 1) != 0 && dead[i];
        if (!dead[step] && !reel_step_status_final (status))
            break;
    }
    return step;
}

/* Where they wait for the same, the more urgent one goes first. */
static void
check_priority (const struct sim_flow *flow)
{
    uint32_t call = next_call (flow);
    for (size_t i = 0; i < oracle.flow_count && call < flow->step_count; i++) {
        const struct sim_flow *other = &oracle.flows[i];
        uint32_t others = other->state == SIM_QUEUED ? next_call (other) : other->step_count;
        if (others == other->step_count || other->paused || other->waits || other->checkpointed || flow->checkpointed)
            continue;
        SIM_HOLDS ("priority",
                   other->priority <= flow->priority
                       || strcmp (other->steps[others].modality, flow->steps[call].modality) != 0,
                   "%s is handed out before %s, which is more urgent", flow->id, other->id);
    }
}

static void
apply_assigned (struct sim_flow *flow, const struct reel_message *event)
{
    struct reel_lease lease = event->value[REEL_F_LEASE].lease;
    if (reel_message_has (event, REEL_F_RETURNED)) {
        SIM_HOLDS ("leases", flow->lease_good && reel_lease_equal (lease, flow->lease),
                   "%s: somebody is back under a lease that is not the last granted", flow->id);
        SIM_HOLDS ("leases", flow->state == SIM_QUEUED || flow->state == SIM_HELD,
                   "%s: somebody is back who was not lost", flow->id);
        flow->lost -= flow->lost > 0;
        flow->state = SIM_RUNNING;
        flow->granted_us = oracle.decided_us;
        sim_counts.returned++;
        return;
    }
    SIM_HOLDS ("leases",
               lease.counter > oracle.newest_lease.counter && lease.epoch >= oracle.newest_lease.epoch
                   && lease.epoch == oracle.epoch,
               "%s: the lease [%llu, %llu] does not rise above [%llu, %llu]", flow->id,
               (unsigned long long) lease.epoch, (unsigned long long) lease.counter,
               (unsigned long long) oracle.newest_lease.epoch, (unsigned long long) oracle.newest_lease.counter);
    SIM_HOLDS ("leases", flow->state == SIM_QUEUED, "%s: is handed out, and is not queued", flow->id);
    check_priority (flow);
    SIM_HOLDS ("pause", !flow->paused && !oracle.paused, "%s: is handed out, and is paused", flow->id);
    SIM_HOLDS ("in doubt",
               !flow->in_flight || flow->idempotent || flow->checkpointed || flow->in_doubt == REEL_IN_DOUBT_RETRY
                   || flow->excused,
               "%s: is handed out, and its step %u is in doubt", flow->id, flow->next);
    SIM_HOLDS ("deliveries", event->value[REEL_F_DELIVERY].u == flow->deliveries + 1, "%s: delivery %llu follows %llu",
               flow->id, (unsigned long long) event->value[REEL_F_DELIVERY].u, (unsigned long long) flow->deliveries);
    sim_counts.deliveries++;
    sim_counts.redeliveries += flow->deliveries > 0;
    oracle.newest_lease = flow->lease = lease;
    flow->lease_good = true;
    flow->granted_us = oracle.decided_us;
    flow->report_index = 0;
    flow->deliveries++;
    flow->in_flight = false;
    flow->state = SIM_RUNNING;
}

static void
apply_outcome (struct sim_flow *flow, const struct reel_message *event, bool own)
{
    struct sim_step *step = &flow->steps[flow->next];
    bool succeeded = event->command == REEL_EVENT_SUCCEEDED;
    SIM_HOLDS ("order", is_blocked (flow, flow->next) == (event->command == REEL_EVENT_SKIPPED) || own,
               "%s: step %u is skipped, or not, against its dependencies", flow->id, flow->next);
    step->status = succeeded                              ? REEL_STEP_SUCCEEDED
                   : event->command == REEL_EVENT_SKIPPED ? REEL_STEP_SKIPPED
                                                          : REEL_STEP_FAILED;
    step->outcome = sim_hash (event->value[succeeded ? REEL_F_RECEIPT : REEL_F_ERROR].s);
    while (flow->next < flow->step_count && reel_step_status_final (flow->steps[flow->next].status))
        flow->next++;
    flow->in_flight = flow->checkpointed = flow->excused = false;
    flow->attempts = 0;
    if (own)
        flow->lease_good = false;
}

static bool
is_retryable (struct reel_slice error)
{
    struct reel_slice bytes;
    struct reel_value value;
    return reel_scan_find (error, reel_slice_text ("retryable"), &bytes) && reel_scan_value (bytes, &value)
           && value.type == REEL_BOOL && value.boolean;
}

static void
apply_step (struct sim_flow *flow, const struct reel_record *record)
{
    const struct reel_message *event = record->event;
    char id[16];
    snprintf (id, sizeof id, "s%u", flow->next);
    SIM_HOLDS ("order", flow->next < flow->step_count && reel_slice_is (event->value[REEL_F_STEP_ID].s, id),
               "%s: %s of %.*s, and the next step is %u", flow->id, reel_message_spec (event->command)->name,
               REEL_TEXT (event->value[REEL_F_STEP_ID].s), flow->next);
    if (record->report_index > 0) {
        SIM_HOLDS ("fencing",
                   flow->lease_good && reel_lease_equal (record->lease, flow->lease) && flow->state == SIM_RUNNING,
                   "%s: a report under lease %llu is taken, and %llu is the last", flow->id,
                   (unsigned long long) record->lease.counter, (unsigned long long) flow->lease.counter);
        SIM_HOLDS ("reports", record->report_index == flow->report_index + 1, "%s: report %llu is taken after %llu",
                   flow->id, (unsigned long long) record->report_index, (unsigned long long) flow->report_index);
        flow->report_index = record->report_index;
    }
    switch (event->command) {
    case REEL_EVENT_STARTED:
        SIM_HOLDS ("order", !flow->in_flight && event->value[REEL_F_ATTEMPT].u == flow->attempts + 1,
                   "%s: attempt %llu begins after %u", flow->id, (unsigned long long) event->value[REEL_F_ATTEMPT].u,
                   flow->attempts);
        flow->attempts++;
        flow->in_flight = true;
        flow->excused = false;
        flow->idempotent = event->value[REEL_F_IDEMPOTENT].b;
        flow->in_doubt = REEL_IN_DOUBT_HOLD;
        if (reel_message_has (event, REEL_F_IN_DOUBT))
            SIM_HOLDS ("form", reel_in_doubt_parse (event->value[REEL_F_IN_DOUBT].s, &flow->in_doubt), "in_doubt");
        break;
    case REEL_EVENT_RETRYING:
        SIM_HOLDS ("retries", is_retryable (event->value[REEL_F_ERROR].s), "%s: an error that is final is tried again",
                   flow->id);
        flow->in_flight = false;
        flow->checkpointed &= reel_message_has (event, REEL_F_OPEN) && event->value[REEL_F_OPEN].b;
        break;
    case REEL_EVENT_CHECKPOINT:
        flow->checkpointed = reel_scan_type (event->value[REEL_F_CHECKPOINT].s) != REEL_NIL;
        break;
    case REEL_EVENT_IN_DOUBT: sim_counts.in_doubt++; break;
    default: apply_outcome (flow, event, record->report_index == 0); break;
    }
}

static void
check_receipt (const struct sim_flow *flow, struct reel_slice receipt)
{
    struct reel_slice status, steps = REEL_SLICE_NONE, step;
    struct reel_value head;
    SIM_HOLDS ("receipt",
               reel_scan_find_str (receipt, "status", &status) && reel_slice_is (status, flow->status)
                   && reel_scan_find (receipt, reel_slice_text ("steps"), &steps),
               "%s: its receipt does not say that it is %s", flow->id, flow->status);
    struct reel_cursor cursor = reel_scan_start (steps);
    bool read = reel_scan_next (&cursor, &head) && head.count == flow->step_count;
    for (uint32_t i = 0; read && i < flow->step_count; i++) {
        struct reel_slice body = REEL_SLICE_NONE;
        const struct sim_step *known = &flow->steps[i];
        read = reel_scan_skip (&cursor, &step) && reel_scan_find_str (step, "status", &status)
               && reel_slice_is (status, reel_step_status_name (known->status))
               && reel_scan_find (step, reel_slice_text (known->status == REEL_STEP_SUCCEEDED ? "receipt" : "error"),
                                  &body)
               && (known->outcome == 0 || sim_hash (body) == known->outcome);
    }
    SIM_HOLDS ("receipt", read, "%s: its receipt is not what its events say", flow->id);
}

static void
apply_ended (struct sim_flow *flow, const struct reel_record *record)
{
    bool succeeded = true;
    for (uint32_t i = 0; i < flow->step_count; i++)
        succeeded &= flow->steps[i].status == REEL_STEP_SUCCEEDED;
    SIM_HOLDS ("one end", flow->state != SIM_ENDED, "%s: ends again", flow->id);
    switch (record->event->command) {
    case REEL_EVENT_WORKFLOW_SUCCEEDED:
        SIM_HOLDS ("one end", succeeded, "%s: succeeded, and not every step did", flow->id);
        (void) snprintf (flow->status, sizeof flow->status, "succeeded");
        sim_counts.succeeded++;
        break;
    case REEL_EVENT_WORKFLOW_FAILED:
        (void) snprintf (flow->status, sizeof flow->status, "failed");
        sim_counts.failed++;
        break;
    default:
        (void) snprintf (flow->status, sizeof flow->status, "cancelled");
        sim_counts.cancelled++;
        break;
    }
    flow->report_index++; /* the end was reported, or comes of a yield */
    flow->state = SIM_ENDED;
    flow->lease_good = false;
    flow->receipt = sim_hash (record->receipt);
    oracle.ended_count++;
    check_receipt (flow, record->receipt);
}

/* A step in doubt goes as its policy says; and no workflow loses its worker for ever. */
static void
check_taken_back (const struct sim_flow *flow, bool held)
{
    bool in_doubt = flow->in_flight && !flow->idempotent && !flow->checkpointed;
    SIM_HOLDS ("in doubt", held == (in_doubt && flow->in_doubt == REEL_IN_DOUBT_HOLD),
               "%s: step %u is held, or not, against its policy", flow->id, flow->next);
    SIM_HOLDS ("deliveries", held || flow->lost < sim_plan.deliveries_max, "%s: has lost its worker %llu times",
               flow->id, (unsigned long long) flow->lost);
}

/* A lease ends when its holder could have been heard for a whole term, and was not. */
static void
check_expired (const struct sim_flow *flow)
{
    int64_t from_us = flow->granted_us > oracle.leases_begin_us ? flow->granted_us : oracle.leases_begin_us;
    SIM_HOLDS ("leases", sim_broker_listened_us () - from_us >= oracle.lease_ms * 1000,
               "%s: its worker is given up, and could have been heard for %lld ms only", flow->id,
               (long long) (sim_broker_listened_us () - from_us) / 1000);
}

static void
apply_to_flow (struct sim_flow *flow, const struct reel_record *record)
{
    const struct reel_message *event = record->event;
    bool lost = reel_message_has (event, REEL_F_REASON) && reel_slice_is (event->value[REEL_F_REASON].s, "worker_lost");
    switch (record->kind) {
    case REEL_RECORD_ASSIGNED: apply_assigned (flow, event); break;
    case REEL_RECORD_STEP: apply_step (flow, record); break;
    case REEL_RECORD_YIELDED:
        SIM_HOLDS ("yield", flow->state == SIM_RUNNING && !flow->in_flight, "%s: is yielded while a step runs",
                   flow->id);
        flow->report_index++;
        flow->state = SIM_QUEUED;
        flow->lease_good = false;
        sim_counts.yielded++;
        break;
    case REEL_RECORD_REQUEUED:
    case REEL_RECORD_HELD:
        SIM_HOLDS ("leases", flow->state == SIM_RUNNING, "%s: is taken back, and nobody has it", flow->id);
        flow->lost++;
        if (lost)
            check_expired (flow);
        check_taken_back (flow, record->kind == REEL_RECORD_HELD);
        flow->report_index += !lost; /* it was a yield that counts as a loss */
        flow->lease_good &= lost;
        flow->state = record->kind == REEL_RECORD_HELD ? SIM_HELD : SIM_QUEUED;
        sim_counts.requeued += record->kind == REEL_RECORD_REQUEUED;
        sim_counts.held += record->kind == REEL_RECORD_HELD;
        SIM_HOLDS ("honesty", !reel_slice_is (event->value[REEL_F_REASON].s, "contradiction"),
                   "%s: its worker is taken for a liar", flow->id);
        break;
    case REEL_RECORD_RESOLVED:
        SIM_HOLDS ("resolve", flow->state == SIM_HELD, "%s: is resolved, and is not held", flow->id);
        flow->state = SIM_QUEUED;
        if (reel_slice_is (event->value[REEL_F_AS].s, "retry")) {
            flow->excused = true;
            flow->steps[flow->next].allowed++;
        }
        sim_counts.resolved++;
        break;
    case REEL_RECORD_ENDED: apply_ended (flow, record); break;
    case REEL_RECORD_CANCELLING: flow->cancelling = true; break;
    case REEL_RECORD_PAUSED:
        flow->paused = true;
        sim_counts.paused++;
        break;
    case REEL_RECORD_RESUMED: flow->paused = false; break;
    default: break;
    }
}

static void
note_event (const struct reel_record *record)
{
    uint64_t seq = record->event->value[REEL_F_SEQ].u;
    SIM_HOLDS ("numbering", seq == oracle.last_seq + 1, "event %llu follows %llu", (unsigned long long) seq,
               (unsigned long long) oracle.last_seq);
    if (oracle.last_seq == oracle.event_cap) {
        oracle.event_cap = oracle.event_cap > 0 ? 2 * oracle.event_cap : 1024;
        oracle.events = realloc (oracle.events, oracle.event_cap * sizeof *oracle.events);
        SIM_HOLDS ("memory", oracle.events != NULL, "out of memory");
    }
    oracle.events[oracle.last_seq++] = sim_hash (record->event_bytes);
    sim_counts.events++;
}

static void
apply_forgotten (uint64_t seq)
{
    SIM_HOLDS ("retention", seq >= oracle.forgotten_seq && seq <= oracle.last_seq && sim_plan.snapshot_bytes > 0,
               "events up to %llu are forgotten", (unsigned long long) seq);
    oracle.forgotten_seq = seq;
    for (size_t i = 0; i < oracle.flow_count; i++) {
        struct sim_flow *flow = &oracle.flows[i];
        if (flow->state != SIM_ENDED || flow->last_seq > seq || flow->forgotten)
            continue;
        flow->forgotten = true;
        oracle.forgotten_count++;
        sim_counts.forgotten++;
    }
}

static void
apply_record (struct reel_slice bytes)
{
    struct reel_record record;
    static struct reel_message event;
    struct reel_error err = {0};
    SIM_HOLDS ("form", reel_record_read (bytes, &record, &event, &err) == REEL_OK, "a record: %s", err.message);
    SIM_HOLDS ("replay", reel_core_apply (oracle.mirror, bytes, &err) == REEL_OK, "a record: %s", err.message);
    oracle.record_count++;
    if (record.kind == REEL_RECORD_EPOCH) {
        SIM_HOLDS ("epochs", record.epoch > oracle.epoch, "epoch %llu follows %llu", (unsigned long long) record.epoch,
                   (unsigned long long) oracle.epoch);
        oracle.epoch = record.epoch;
        oracle.published_any = false;
    }
    if (record.kind == REEL_RECORD_SWITCHED)
        oracle.paused = record.paused;
    if (record.kind == REEL_RECORD_FORGOTTEN)
        apply_forgotten (record.forgotten_seq);
    if (record.event == NULL)
        return;
    note_event (&record);
    if (record.kind == REEL_RECORD_ACCEPTED)
        apply_accepted (&record);
    struct sim_flow *flow = sim_oracle_find (event.value[REEL_F_WORKFLOW_ID].s);
    SIM_HOLDS ("form", flow != NULL, "an event of no workflow");
    SIM_HOLDS ("numbering",
               event.value[REEL_F_INDEX].u == flow->last_index + 1 && record.previous_seq == flow->last_seq,
               "%s: event %llu follows %llu", flow->id, (unsigned long long) event.value[REEL_F_INDEX].u,
               (unsigned long long) flow->last_index);
    flow->last_index++;
    flow->last_seq = oracle.last_seq;
    SIM_HOLDS ("one end", flow->state != SIM_ENDED, "%s: goes on after its end", flow->id);
    if (record.kind != REEL_RECORD_ACCEPTED)
        apply_to_flow (flow, &record);
    sim_trace (record.event_bytes, "durable: %llu %s.%llu %s", (unsigned long long) oracle.last_seq, flow->id,
               (unsigned long long) flow->last_index, reel_message_spec (event.command)->name);
}

void
sim_oracle_handed (const struct reel_effects *effects, int64_t decided_us)
{
    SIM_HOLDS ("rounds", !oracle.on_its_way && !oracle.unknown, "two batches are with the journal");
    reel_buf_clear (&oracle.handed);
    reel_buf_add_slice (&oracle.handed, reel_buf_slice (&effects->records));
    oracle.begins = effects->snapshot_begins;
    oracle.ends = effects->snapshot_ends;
    oracle.on_its_way = true;
    oracle.decided_us = decided_us;
}

void
sim_oracle_leases_begin (int64_t lease_ms)
{
    oracle.lease_ms = lease_ms;
    oracle.leases_begin_us = sim_broker_listened_us ();
}

void
sim_oracle_committed (void)
{
    struct reel_slice rest = reel_buf_slice (&oracle.handed), record;
    bool damaged = false;
    SIM_HOLDS ("rounds", oracle.on_its_way || oracle.unknown, "a batch is durable that was not handed over");
    if (oracle.begins)
        oracle.snapshot_begun = oracle.record_count;
    if (oracle.ends)
        oracle.snapshot = oracle.snapshot_begun;
    sim_counts.snapshots += oracle.ends;
    while (reel_record_take (&rest, &record, &damaged))
        apply_record (record);
    SIM_HOLDS ("form", !damaged, "a batch of records out of form");
    oracle.on_its_way = oracle.unknown = false;
}

void
sim_oracle_lost (void)
{
    oracle.on_its_way = false;
}

void
sim_oracle_unknown (void)
{
    oracle.on_its_way = false;
    oracle.unknown = true;
}

/* A batch that nobody knew about is there as a whole, or not at all. */
static void
settle_unknown (const struct reel_core *core, uint64_t records)
{
    bool absent = records == oracle.record_count - oracle.snapshot
                  && reel_core_digest (core) == reel_core_digest (oracle.mirror);
    if (!absent)
        sim_oracle_committed ();
    SIM_TRACE ("the batch that nobody knew about is %s", absent ? "gone" : "there");
    oracle.unknown = false;
}

void
sim_oracle_replayed (const struct reel_core *core, uint64_t records)
{
    sim_counts.replays++;
    if (oracle.unknown)
        settle_unknown (core, records);
    SIM_HOLDS ("durability", records == oracle.record_count - oracle.snapshot,
               "%llu records were durable since the last snapshot, and %llu are there",
               (unsigned long long) (oracle.record_count - oracle.snapshot), (unsigned long long) records);
    SIM_HOLDS ("replay", reel_core_digest (core) == reel_core_digest (oracle.mirror),
               "what was replayed is not what was decided");
}

void
sim_oracle_quiet (const struct reel_core *core)
{
    uint64_t live, ended;
    reel_core_count (core, &live, &ended);
    SIM_HOLDS ("counts",
               live == oracle.flow_count - oracle.ended_count && ended == oracle.ended_count - oracle.forgotten_count,
               "%zu were accepted, %zu have ended and %zu are forgotten, and the core knows %llu live and %llu ended",
               oracle.flow_count, oracle.ended_count, oracle.forgotten_count, (unsigned long long) live,
               (unsigned long long) ended);
    if (sim_below (16) == 0)
        SIM_HOLDS ("replay", reel_core_digest (core) == reel_core_digest (oracle.mirror),
                   "the core is not what its records make of another");
}

/* --- what leaves ---------------------------------------------------------------------------- */

/* An ASSIGN brings every outcome that is there. */
static void
check_assigned_document (const struct sim_flow *flow, struct reel_slice document)
{
    struct reel_error err = {0};
    struct reel_workflow *workflow = &oracle.workflow;
    SIM_HOLDS ("form", reel_workflow_parse (workflow, document, REEL_WORKFLOW_GROWN, &err) == REEL_OK,
               "%s: is handed out with a bad document: %s", flow->id, err.message);
    for (uint32_t i = 0; i < flow->step_count; i++) {
        const struct reel_outcome outcome = reel_outcome_of (&workflow->steps[i]);
        const struct sim_step *step = &flow->steps[i];
        bool same = !reel_step_status_final (step->status) || step->status == outcome.status;
        if (same && step->outcome != 0)
            same = sim_hash (outcome.receipt.len > 0 ? outcome.receipt : outcome.error) == step->outcome;
        SIM_HOLDS ("finished is finished", same, "%s: is handed out without the outcome of step %u", flow->id, i);
    }
}

static void
check_to_worker (const struct reel_message *message)
{
    const struct reel_field_value *value = message->value;
    struct sim_flow *flow = reel_message_has (message, REEL_F_LEASE) ? leased (value[REEL_F_LEASE].lease) : NULL;
    switch (message->command) {
    case REEL_ASSIGN:
        flow = sim_oracle_find (value[REEL_F_WORKFLOW_ID].s);
        SIM_HOLDS ("durable first", flow != NULL && flow->deliveries >= value[REEL_F_DELIVERY].u,
                   "%.*s is handed out before that is durable", REEL_TEXT (value[REEL_F_WORKFLOW_ID].s));
        if (reel_lease_equal (flow->lease, value[REEL_F_LEASE].lease))
            check_assigned_document (flow, message->document);
        break;
    case REEL_ACK:
        SIM_HOLDS ("durable first", flow == NULL || flow->report_index >= value[REEL_F_REPORT_INDEX].u,
                   "%s: report %llu is acknowledged, and %llu are durable", flow->id,
                   (unsigned long long) value[REEL_F_REPORT_INDEX].u, (unsigned long long) flow->report_index);
        break;
    case REEL_FENCED:
        sim_counts.fenced++;
        SIM_HOLDS ("fencing", flow == NULL || !flow->lease_good, "%s: its good lease is fenced", flow->id);
        break;
    case REEL_WORKER_CANCEL:
        SIM_HOLDS ("durable first", flow != NULL && flow->cancelling,
                   "a worker is told to cancel before that is durable");
        break;
    case REEL_WELCOME:
        SIM_HOLDS ("durable first", value[REEL_F_EPOCH].u == oracle.epoch, "epoch %llu is told, and %llu is durable",
                   (unsigned long long) value[REEL_F_EPOCH].u, (unsigned long long) oracle.epoch);
        break;
    case REEL_WORKER_ERROR: sim_fail ("honesty", "a worker is told: %.*s", REEL_TEXT (value[REEL_F_MESSAGE].s)); break;
    default: break;
    }
}

/* A workflow of that id: where it is retained no longer there may be another by now. */
static bool
has_ended (struct reel_slice id)
{
    for (size_t i = 0; i < oracle.flow_count; i++)
        if (oracle.flows[i].state == SIM_ENDED && reel_slice_is (id, oracle.flows[i].id))
            return true;
    return false;
}

static void
check_to_client (const struct reel_message *message)
{
    const struct reel_field_value *value = message->value;
    struct sim_flow *flow = reel_message_has (message, REEL_F_WORKFLOW_ID)
                                ? sim_oracle_find (value[REEL_F_WORKFLOW_ID].s)
                                : NULL;
    switch (message->command) {
    case REEL_OK_SUBMIT:
    case REEL_OK_RERUN:
    case REEL_OK_GET:
        SIM_HOLDS ("durable first", flow != NULL, "%.*s is acknowledged, and is not durable",
                   REEL_TEXT (value[REEL_F_WORKFLOW_ID].s));
        break;
    case REEL_OK_RECEIPT: sim_oracle_told_receipt (value[REEL_F_WORKFLOW_ID].s, message->document); break;
    case REEL_OK_EVENTS:
        SIM_HOLDS ("retention", value[REEL_F_FIRST_SEQ].u <= oracle.forgotten_seq + 1,
                   "events from %llu on are said to be retained, and %llu is the last that was forgotten",
                   (unsigned long long) value[REEL_F_FIRST_SEQ].u, (unsigned long long) oracle.forgotten_seq);
        break;
    case REEL_OK_CANCEL:
        SIM_HOLDS ("durable first",
                   reel_slice_is (value[REEL_F_STATUS].s, "cancelling") ? flow != NULL && flow->cancelling
                                                                        : has_ended (value[REEL_F_WORKFLOW_ID].s),
                   "a cancel is acknowledged before it is durable");
        break;
    case REEL_CLIENT_ERROR:
        sim_counts.overloaded += reel_slice_is (value[REEL_F_CODE].s, "overloaded");
        SIM_HOLDS ("answers", !reel_slice_is (value[REEL_F_CODE].s, "internal"), "%.*s",
                   REEL_TEXT (value[REEL_F_MESSAGE].s));
        break;
    default: break;
    }
}

void
sim_oracle_sends (const struct reel_effects *effects, const struct reel_send *send)
{
    static struct reel_message message;
    struct reel_error err = {0};
    const struct reel_slice frames[] = {
        reel_slice_text (REEL_PROTOCOL), reel_slice_text (reel_message_spec (send->command)->name),
        reel_effects_slice (effects, send->header), reel_effects_slice (effects, send->document)};
    bool to_worker = send->socket == REEL_SOCKET_WORKER;
    enum reel_command asked = to_worker || send->command == REEL_CLIENT_ERROR
                                  ? REEL_PING
                                  : (enum reel_command) (REEL_SUBMIT + (send->command - REEL_OK_SUBMIT));
    SIM_HOLDS ("form",
               reel_message_decode (to_worker ? REEL_TO_WORKER : REEL_CLIENT_REPLY, asked, frames,
                                    send->has_document ? 4 : 3, &message, &err)
                   == REEL_OK,
               "the broker says what cannot be read: %s", err.message);
    if (to_worker)
        check_to_worker (&message);
    else
        check_to_client (&message);
}

void
sim_oracle_told_event (struct reel_slice event)
{
    uint64_t seq;
    SIM_HOLDS ("form", reel_scan_find_uint (event, "seq", &seq), "an event without seq");
    SIM_HOLDS ("durable first", seq >= 1 && seq <= oracle.last_seq, "event %llu is told, and %llu are durable",
               (unsigned long long) seq, (unsigned long long) oracle.last_seq);
    SIM_HOLDS ("published is kept", oracle.events[seq - 1] == sim_hash (event), "event %llu is told as another",
               (unsigned long long) seq);
}

void
sim_oracle_told_receipt (struct reel_slice id, struct reel_slice receipt)
{
    bool known = false;
    for (size_t i = 0; i < oracle.flow_count && !known; i++)
        known = oracle.flows[i].state == SIM_ENDED && oracle.flows[i].receipt == sim_hash (receipt)
                && reel_slice_is (id, oracle.flows[i].id);
    SIM_HOLDS ("receipt", known, "%.*s: another receipt than its own is told, or before it is durable", REEL_TEXT (id));
}

static void
publish_event (struct reel_slice body)
{
    uint64_t seq;
    if (!reel_scan_find_uint (body, "seq", &seq))
        return; /* progress, which is not kept */
    sim_oracle_told_event (body);
    SIM_HOLDS ("order of events", oracle.published_any ? seq == oracle.published_seq + 1 : seq > oracle.published_seq,
               "event %llu is published after %llu", (unsigned long long) seq,
               (unsigned long long) oracle.published_seq);
    oracle.published_seq = seq;
    oracle.published_any = true;
    struct reel_slice id = REEL_SLICE_NONE;
    (void) reel_scan_find_str (body, "workflow_id", &id);
    const struct sim_flow *flow = sim_oracle_find (id);
    oracle.just_ended = flow != NULL && flow->state == SIM_ENDED && flow->last_seq == seq ? flow : NULL;
}

void
sim_oracle_publishes (struct reel_slice topic, struct reel_slice body)
{
    static const char receipt[] = "receipt/";
    size_t len = sizeof receipt - 1;
    const struct sim_flow *ended = oracle.just_ended;
    oracle.just_ended = NULL;
    sim_trace (body, "published: %.*s", REEL_TEXT (topic));
    if (topic.len <= len || memcmp (topic.data, receipt, len) != 0) {
        SIM_HOLDS ("receipt", ended == NULL, "%s: its final event is not followed by its receipt", ended->id);
        publish_event (body);
        return;
    }
    struct sim_flow *flow = sim_oracle_find (reel_slice (topic.data + len, topic.len - len));
    SIM_HOLDS ("receipt", flow != NULL && flow == ended && !flow->receipt_published,
               "a receipt is published out of turn, or again");
    flow->receipt_published = true;
    sim_oracle_told_receipt (reel_slice_text (flow->id), body);
}

/* --- what workers do ------------------------------------------------------------------------ */

/* It may not run twice: then its start is durable, and its lease the good one, at the moment of the call. */
static void
check_protected (const struct sim_flow *flow, uint32_t step, const struct reel_call *call)
{
    SIM_HOLDS ("the one rule",
               flow->state == SIM_RUNNING && flow->lease_good && flow->deliveries == call->delivery
                   && flow->next == step && flow->in_flight && flow->attempts == call->attempt,
               "%s: step %u is called (delivery %u, attempt %u) before its start is durable, or under a lease that is "
               "not good",
               flow->id, step, call->delivery, call->attempt);
}

struct sim_step *
sim_oracle_calls (unsigned worker, const struct reel_call *call, enum reel_adapter_class class)
{
    struct sim_flow *flow = sim_oracle_find (call->workflow_id);
    SIM_HOLDS ("durable first", flow != NULL, "worker %u works on what is not durable", worker);
    uint32_t number = (uint32_t) strtoul ((const char *) call->step_id.data + 1, NULL, 10);
    struct sim_step *step = &flow->steps[number];
    bool fresh = class == REEL_ADAPTER_NEITHER || call->checkpoint.len == 0;
    bool current = flow->lease_good && flow->deliveries == call->delivery;
    sim_counts.calls++;
    sim_trace (call->idempotency_key, "worker %u: calls %s of %s/%u, delivery %u, attempt %u%s", worker, step->modality,
               flow->id, number, call->delivery, call->attempt, fresh ? "" : ", from a checkpoint");
    SIM_HOLDS ("finished is finished", !current || !reel_step_status_final (step->status),
               "%s: worker %u calls step %u, whose outcome is recorded", flow->id, worker, number);
    if (class == REEL_ADAPTER_IDEMPOTENT)
        return step;
    check_protected (flow, number, call);
    SIM_HOLDS ("checkpoints", class == REEL_ADAPTER_NEITHER || fresh == !flow->checkpointed,
               "%s: step %u is called %s, and %s durable", flow->id, number, fresh ? "anew" : "from a checkpoint",
               flow->checkpointed ? "one is" : "none is");
    sim_counts.resumed_calls += !fresh;
    if (!fresh)
        return step;
    sim_counts.paid_calls++;
    step->paid++;
    SIM_HOLDS ("paid once", step->in_doubt == REEL_IN_DOUBT_RETRY || step->paid <= step->allowed,
               "%s: step %u is paid %u times, and %u were allowed", flow->id, number, step->paid, step->allowed);
    return step;
}

void
sim_oracle_call_undone (struct sim_step *step)
{
    step->paid -= step->paid > 0;
}

/* --- beginning and end ---------------------------------------------------------------------- */

void
sim_oracle_begin (void)
{
    struct reel_core_setup setup;
    memset (&oracle, 0, sizeof oracle);
    reel_core_setup_defaults (&setup);
    SIM_HOLDS ("memory", reel_core_create (&setup, &oracle.mirror) == REEL_OK, "out of memory");
}

void
sim_oracle_end (void)
{
    reel_core_destroy (&oracle.mirror);
    reel_buf_free (&oracle.handed);
    reel_workflow_free (&oracle.workflow);
    free (oracle.events);
}
