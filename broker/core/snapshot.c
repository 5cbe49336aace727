/*
 * Snapshots: live state is journaled anew, so that recovery need not go back to the beginning, and what is older
 * can be cut off, whatever long-lived workflow is still there.
 *
 * A snapshot is a run of records among all others: SNAPSHOT says how the broker stands, LIVE how one workflow stands
 * now, in the order of acceptance and a bounded number of bytes a batch, SNAPSHOT_ENDS that all were said. What is
 * accepted after SNAPSHOT needs no LIVE. Recovery that goes from SNAPSHOT passes over what happened to a workflow
 * before its LIVE.
 */
#include "base/assert.h"
#include "broker/core/state.h"
#include "proto/pack.h"
#include "proto/scan.h"

/* Retention can cut at a snapshot only: so many of them within what is retained. */
#define SNAPSHOTS_RETAINED 8
/* Restarts, and pauses of everything, bring no event, and each makes a batch: so many of them are reason for a snapshot
 * too, where one costs no more than they did. */
#define QUIET_COUNT 1000
#define QUIET_BYTES 100
/* Where the batch has its share of a snapshot, the next one is soon there. */
#define NEXT_BATCH_US 1000

/* --- what is said ------------------------------------------------------------------------------ */

/* The numbers of a workflow, in the order in which they are packed. */
enum {
    PRIORITY,
    NOT_BEFORE_US,
    SUBMITTED_US,
    STARTED_US,
    ACCEPTED_SEQ,
    LAST_SEQ,
    LAST_INDEX,
    DELIVERIES,
    LOST,
    STATE,
    LEASE_EPOCH,
    LEASE_COUNTER,
    REPORT_INDEX,
    STEP_COUNT,
    IN_FLIGHT,
    IDEMPOTENT,
    IN_DOUBT,
    ATTEMPTS,
    CANCELLING,
    PAUSED,
    YIELDING,
    NUMBER_COUNT
};
#define TEXT_COUNT 3    /* workflow_id, origin, checkpoint */
#define OUTCOME_COUNT 5 /* of a step: status, receipt, error, started_us, finished_us */

void
reel_snapshot_pack_flow (struct reel_buf *out, const struct reel_flow *flow)
{
    const uint64_t numbers[NUMBER_COUNT] = {
        [PRIORITY] = (uint64_t) flow->priority,
        [NOT_BEFORE_US] = (uint64_t) flow->not_before_us,
        [SUBMITTED_US] = (uint64_t) flow->submitted_us,
        [STARTED_US] = (uint64_t) flow->started_us,
        [ACCEPTED_SEQ] = flow->accepted_seq,
        [LAST_SEQ] = flow->last_seq,
        [LAST_INDEX] = flow->last_index,
        [DELIVERIES] = flow->deliveries,
        [LOST] = flow->lost,
        [STATE] = flow->state,
        [LEASE_EPOCH] = flow->lease.epoch,
        [LEASE_COUNTER] = flow->lease.counter,
        [REPORT_INDEX] = flow->report_index,
        [STEP_COUNT] = flow->step_count,
        [IN_FLIGHT] = flow->in_flight,
        [IDEMPOTENT] = flow->idempotent,
        [IN_DOUBT] = flow->in_doubt,
        [ATTEMPTS] = flow->attempts,
        [CANCELLING] = flow->cancelling,
        [PAUSED] = flow->paused,
        [YIELDING] = flow->yielding,
    };
    reel_pack_array (out, NUMBER_COUNT + TEXT_COUNT + OUTCOME_COUNT * flow->step_count);
    for (size_t i = 0; i < NUMBER_COUNT; i++)
        reel_pack_uint (out, numbers[i]);
    reel_pack_bin (out, flow->workflow_id);
    reel_pack_bin (out, flow->origin);
    reel_pack_bin (out, flow->checkpoint);
    for (uint32_t i = 0; i < flow->step_count; i++) {
        const struct reel_outcome *outcome = &flow->steps[i].outcome;
        reel_pack_uint (out, outcome->status);
        reel_pack_bin (out, outcome->receipt);
        reel_pack_bin (out, outcome->error);
        reel_pack_uint (out, (uint64_t) outcome->started_us);
        reel_pack_uint (out, (uint64_t) outcome->finished_us);
    }
}

static void
pack_mark (struct reel_buf *out, const struct reel_mark *mark)
{
    reel_pack_uint (out, mark->seq);
    reel_pack_uint (out, (uint64_t) mark->at_us);
    reel_pack_uint (out, mark->bytes);
    reel_pack_uint (out, mark->ended);
}

/* The numbers of the broker, likewise. */
enum { EPOCH, BROKER_SEQ, LEASE_NUMBER, TERM_MS, ALL_PAUSED, ENDED_COUNT, JOURNAL_BYTES, BROKER_COUNT };
#define MARK_COUNT 4 /* numbers of a mark */

void
reel_snapshot_pack_broker (struct reel_buf *out, const struct reel_core *core, const struct reel_mark *mark)
{
    const uint64_t numbers[BROKER_COUNT] = {
        [EPOCH] = core->epoch,
        [BROKER_SEQ] = core->last_seq,
        [LEASE_NUMBER] = core->lease_counter,
        [TERM_MS] = (uint64_t) core->term_ms,
        [ALL_PAUSED] = core->paused,
        [ENDED_COUNT] = core->ended_count,
        [JOURNAL_BYTES] = core->journal_bytes,
    };
    reel_pack_array (out, BROKER_COUNT + MARK_COUNT * (2 + (uint32_t) core->mark_count));
    for (size_t i = 0; i < BROKER_COUNT; i++)
        reel_pack_uint (out, numbers[i]);
    pack_mark (out, mark);
    pack_mark (out, &core->forgotten);
    for (size_t i = 0; i < core->mark_count; i++)
        pack_mark (out, &core->marks[i]);
}

/* --- and heard again ------------------------------------------------------------------------- */

static bool
take_time (struct reel_cursor *cursor, int64_t *at_us)
{
    uint64_t number;
    if (!reel_scan_uint (cursor, &number))
        return false;
    *at_us = (int64_t) number;
    return true;
}

static bool
take_bin (struct reel_cursor *cursor, struct reel_slice *bytes)
{
    struct reel_value value;
    if (!reel_scan_next (cursor, &value) || value.type != REEL_BIN)
        return false;
    *bytes = value.bytes;
    return true;
}

/* The head of an array that holds at least `least` members. */
static bool
take_array (struct reel_cursor *cursor, uint32_t least, uint32_t *count)
{
    struct reel_value value;
    if (!reel_scan_next (cursor, &value) || value.type != REEL_ARRAY || value.count < least)
        return false;
    *count = value.count;
    return true;
}

static bool
take_mark (struct reel_cursor *cursor, struct reel_mark *mark)
{
    return reel_scan_uint (cursor, &mark->seq) && take_time (cursor, &mark->at_us)
           && reel_scan_uint (cursor, &mark->bytes) && reel_scan_uint (cursor, &mark->ended);
}

/* What a SNAPSHOT says. */
struct broker {
    uint64_t numbers[BROKER_COUNT];
    struct reel_mark snapshot, forgotten;
    struct reel_mark marks[REEL_MARKS_MAX];
    uint32_t mark_count;
};

static bool
read_broker (struct reel_slice state, struct broker *broker)
{
    struct reel_cursor cursor = reel_scan_start (state);
    uint32_t count;
    if (!take_array (&cursor, BROKER_COUNT + 2 * MARK_COUNT, &count) || (count - BROKER_COUNT) % MARK_COUNT != 0)
        return false;
    broker->mark_count = (count - BROKER_COUNT) / MARK_COUNT - 2;
    bool read = broker->mark_count <= REEL_MARKS_MAX;
    for (size_t i = 0; i < BROKER_COUNT && read; i++)
        read = reel_scan_uint (&cursor, &broker->numbers[i]);
    read = read && broker->numbers[TERM_MS] <= REEL_DURATION_MS_MAX && take_mark (&cursor, &broker->snapshot)
           && take_mark (&cursor, &broker->forgotten);
    for (uint32_t i = 0; i < broker->mark_count && read; i++)
        read = take_mark (&cursor, &broker->marks[i])
               && broker->marks[i].seq >= (i == 0 ? broker->forgotten.seq : broker->marks[i - 1].seq);
    return read && cursor.at == cursor.end;
}

/* What a LIVE says, but for the outcomes, at which `rest` stands. */
struct live {
    uint64_t numbers[NUMBER_COUNT];
    struct reel_slice workflow_id, origin, checkpoint;
    uint32_t step_count;
    struct reel_cursor rest;
};

static bool
read_live (struct reel_slice state, struct live *live)
{
    uint32_t count;
    live->rest = reel_scan_start (state);
    bool read = take_array (&live->rest, NUMBER_COUNT + TEXT_COUNT, &count);
    for (size_t i = 0; i < NUMBER_COUNT && read; i++)
        read = reel_scan_uint (&live->rest, &live->numbers[i]);
    if (!read || live->numbers[STATE] > REEL_FLOW_HELD || live->numbers[IN_DOUBT] > REEL_IN_DOUBT_FAIL
        || live->numbers[STEP_COUNT] != (count - NUMBER_COUNT - TEXT_COUNT) / OUTCOME_COUNT)
        return false;
    live->step_count = (uint32_t) live->numbers[STEP_COUNT];
    return take_bin (&live->rest, &live->workflow_id) && take_bin (&live->rest, &live->origin)
           && take_bin (&live->rest, &live->checkpoint);
}

static enum reel_status
out_of_form (struct reel_error *err)
{
    return reel_apply_contradicts (err, "a snapshot that is out of form");
}

/* Outcomes that came with the document stay there. */
static enum reel_status
set_outcomes (struct reel_flow *flow, struct reel_cursor rest, struct reel_error *err)
{
    for (uint32_t i = 0; i < flow->step_count; i++) {
        struct reel_outcome *kept = &flow->steps[i].outcome, given;
        uint64_t step_status;
        if (!reel_scan_uint (&rest, &step_status) || step_status > REEL_STEP_SKIPPED
            || !take_bin (&rest, &given.receipt) || !take_bin (&rest, &given.error)
            || !take_time (&rest, &given.started_us) || !take_time (&rest, &given.finished_us))
            return out_of_form (err);
        if ((!reel_slice_equal (given.receipt, kept->receipt) || !reel_slice_equal (given.error, kept->error))
            && reel_flow_set_outcome (flow, i, kept->status, given.receipt, given.error, given.finished_us) != REEL_OK)
            return REEL_NO_MEMORY;
        kept->status = (enum reel_step_status) step_status;
        kept->started_us = given.started_us;
        kept->finished_us = given.finished_us;
    }
    reel_flow_advance (flow);
    return rest.at == rest.end ? REEL_OK : out_of_form (err);
}

static void
set_numbers (struct reel_flow *flow, const uint64_t numbers[NUMBER_COUNT])
{
    flow->priority = (int64_t) numbers[PRIORITY];
    flow->not_before_us = (int64_t) numbers[NOT_BEFORE_US];
    flow->submitted_us = (int64_t) numbers[SUBMITTED_US];
    flow->started_us = (int64_t) numbers[STARTED_US];
    flow->accepted_seq = numbers[ACCEPTED_SEQ];
    flow->last_seq = numbers[LAST_SEQ];
    flow->last_index = numbers[LAST_INDEX];
    flow->deliveries = numbers[DELIVERIES];
    flow->lost = numbers[LOST];
    flow->state = (enum reel_flow_state) numbers[STATE];
    flow->lease = (struct reel_lease){numbers[LEASE_EPOCH], numbers[LEASE_COUNTER]};
    flow->report_index = numbers[REPORT_INDEX];
    flow->in_flight = numbers[IN_FLIGHT] != 0;
    flow->idempotent = numbers[IDEMPOTENT] != 0;
    flow->in_doubt = (enum reel_in_doubt) numbers[IN_DOUBT];
    flow->attempts = (uint32_t) numbers[ATTEMPTS];
    flow->cancelling = numbers[CANCELLING] != 0;
    flow->paused = numbers[PAUSED] != 0;
    flow->yielding = numbers[YIELDING] != 0;
}

static enum reel_status
fill (struct reel_core *core, struct reel_flow *flow, const struct live *live, struct reel_error *err)
{
    if (flow->step_count != live->step_count || live->numbers[ACCEPTED_SEQ] > core->snapshot.seq
        || live->numbers[ACCEPTED_SEQ] <= core->snapshot_next)
        return out_of_form (err);
    enum reel_status status = set_outcomes (flow, live->rest, err);
    if (status == REEL_OK)
        status = reel_flow_set_checkpoint (flow, live->checkpoint);
    if (status != REEL_OK)
        return status;
    set_numbers (flow, live->numbers);
    status = reel_apply_new_flow (core, flow);
    if (status == REEL_OK && flow->lease.counter != 0)
        status = reel_map_put_pointer (&core->leases, flow->lease.counter, flow);
    return status;
}

static enum reel_status
apply_live (struct reel_core *core, const struct reel_record *record, struct reel_error *err)
{
    struct live live;
    if (!core->snapshot_open || !read_live (record->state, &live) || record->previous_seq != live.numbers[LAST_SEQ])
        return out_of_form (err);
    struct reel_flow *flow = reel_core_find (core, live.workflow_id);
    if (flow != NULL && flow->last_seq == record->previous_seq && !core->partial)
        return REEL_OK;
    if (flow != NULL || !core->partial)
        return reel_apply_contradicts (err, "a live workflow that is another than it was");
    enum reel_status status = reel_workflow_parse (&core->workflow, record->document, REEL_WORKFLOW_STRICT, err);
    if (status == REEL_OK)
        status = reel_flow_create (live.workflow_id, &core->workflow, record->provenance, live.origin, &flow);
    if (status != REEL_OK)
        return status;
    status = fill (core, flow, &live, err);
    core->snapshot_next = live.numbers[ACCEPTED_SEQ];
    if (status != REEL_OK && reel_core_find (core, live.workflow_id) != flow)
        reel_flow_destroy (flow);
    return status;
}

/* The state that recovery starts with. */
static void
load_broker (struct reel_core *core, const struct broker *broker)
{
    core->epoch = broker->numbers[EPOCH];
    core->last_seq = broker->numbers[BROKER_SEQ];
    core->lease_counter = broker->numbers[LEASE_NUMBER];
    core->term_ms = (int64_t) broker->numbers[TERM_MS];
    core->paused = broker->numbers[ALL_PAUSED] != 0;
    core->ended_count = broker->numbers[ENDED_COUNT];
    core->journal_bytes = broker->numbers[JOURNAL_BYTES];
    core->forgotten = broker->forgotten;
    core->ended.least = core->forgotten.seq + 1;
    core->mark_count = broker->mark_count;
    for (uint32_t i = 0; i < broker->mark_count; i++)
        core->marks[i] = broker->marks[i];
    core->skipping = false;
    core->partial = true;
}

static enum reel_status
apply_begin (struct reel_core *core, const struct reel_record *record, struct reel_error *err)
{
    struct broker broker;
    if (!read_broker (record->state, &broker))
        return out_of_form (err);
    if (core->skipping)
        load_broker (core, &broker);
    else if (broker.numbers[EPOCH] != core->epoch || broker.numbers[BROKER_SEQ] != core->last_seq
             || broker.numbers[LEASE_NUMBER] != core->lease_counter
             || broker.numbers[TERM_MS] != (uint64_t) core->term_ms
             || broker.numbers[JOURNAL_BYTES] != core->journal_bytes)
        return reel_apply_contradicts (err, "a snapshot of another state");
    core->snapshot = broker.snapshot;
    core->snapshot_open = true;
    core->snapshot_next = 0;
    return REEL_OK;
}

/* There is room for one more mark: of every two, the later one stays. */
static void
thin_out (struct reel_core *core)
{
    if (core->mark_count < REEL_MARKS_MAX)
        return;
    for (size_t i = 0; i < REEL_MARKS_MAX / 2; i++)
        core->marks[i] = core->marks[2 * i + 1];
    core->mark_count = REEL_MARKS_MAX / 2;
}

static enum reel_status
apply_end (struct reel_core *core, struct reel_error *err)
{
    if (!core->snapshot_open)
        return reel_apply_contradicts (err, "the end of no snapshot");
    core->snapshot_open = core->partial = false;
    core->snapshot_end = core->journal_bytes;
    core->quiet_count = 0;
    /* Nothing to be forgotten lies between two of one seq. */
    if (core->snapshot.seq > (core->mark_count > 0 ? core->marks[core->mark_count - 1].seq : core->forgotten.seq)) {
        thin_out (core);
        core->marks[core->mark_count++] = core->snapshot;
    }
    for (size_t i = 0; i < core->recent.count; i++)
        if (core->recent.places[i].flow != NULL && reel_roll_add (&core->roll, core->recent.places[i].flow) != REEL_OK)
            return REEL_NO_MEMORY;
    reel_roll_free (&core->recent);
    return REEL_OK;
}

enum reel_status
reel_snapshot_apply (struct reel_core *core, const struct reel_record *record, struct reel_error *err)
{
    switch (record->kind) {
    case REEL_RECORD_SNAPSHOT: return apply_begin (core, record, err);
    case REEL_RECORD_LIVE: return apply_live (core, record, err);
    default: return apply_end (core, err);
    }
}

/* --- when, and how much at a time ------------------------------------------------------------ */

static int64_t
interval_us (const struct reel_core *core)
{
    return core->setup.retain_ms * 1000 / SNAPSHOTS_RETAINED;
}

/* By time only where there is something to be forgotten one day. */
static bool
wants_time (const struct reel_core *core)
{
    return core->setup.snapshot_bytes > 0 && core->setup.retain_ms > 0 && !core->snapshot_open
           && core->last_seq > core->snapshot.seq;
}

/* Something must have happened since it began, and as much must have been journaled since it ended as live workflows take, so
 * that writing them again and again costs about as much as writing everything else. */
static bool
is_due (const struct reel_core *core)
{
    uint64_t bytes = core->setup.snapshot_bytes, retained = core->setup.retain_bytes / SNAPSHOTS_RETAINED;
    if (bytes > 0 && core->quiet_count >= QUIET_COUNT && core->quiet_count * QUIET_BYTES >= core->live_bytes)
        return true;
    if (bytes == 0 || core->last_seq == core->snapshot.seq)
        return false;
    if (core->setup.retain_bytes > 0 && retained < bytes)
        bytes = retained;
    if (core->live_bytes > bytes)
        bytes = core->live_bytes;
    return core->journal_bytes - core->snapshot_end >= bytes
           || (wants_time (core) && core->now.wall_us - core->snapshot.at_us >= interval_us (core));
}

/* For all of it, before the reserve: half a snapshot would be room that is taken, and gives none back. */
static bool
has_room (const struct reel_core *core)
{
    const struct reel_shell_stats *shell = core->setup.shell;
    return shell == NULL
           || shell->disk_free_bytes + shell->journal_free_bytes >= core->live_bytes + shell->disk_reserve_bytes;
}

static enum reel_status
begin (struct reel_core *core, struct reel_effects *effects)
{
    const struct reel_mark mark = {core->last_seq, core->now.wall_us, core->journal_bytes, core->ended_count};
    reel_buf_clear (&core->scratch);
    reel_snapshot_pack_broker (&core->scratch, core, &mark);
    if (reel_buf_status (&core->scratch) != REEL_OK)
        return REEL_NO_MEMORY;
    core->record = (struct reel_record){.kind = REEL_RECORD_SNAPSHOT, .state = reel_buf_slice (&core->scratch)};
    effects->snapshot_begins = true;
    return reel_core_record_plain (core, effects);
}

static enum reel_status
record_live (struct reel_core *core, const struct reel_flow *flow, struct reel_effects *effects)
{
    size_t before = effects->records.len;
    reel_buf_clear (&core->scratch);
    reel_snapshot_pack_flow (&core->scratch, flow);
    if (reel_buf_status (&core->scratch) != REEL_OK)
        return REEL_NO_MEMORY;
    core->record = (struct reel_record){.kind = REEL_RECORD_LIVE,
                                        .previous_seq = flow->last_seq,
                                        .document = flow->document,
                                        .provenance = flow->provenance,
                                        .state = reel_buf_slice (&core->scratch)};
    enum reel_status status = reel_core_record_plain (core, effects);
    effects->snapshot_bytes += effects->records.len - before;
    return status;
}

static bool
has_its_share (const struct reel_core *core, const struct reel_effects *effects)
{
    return effects->snapshot_bytes >= core->setup.snapshot_piece_bytes || reel_effects_full (effects);
}

static enum reel_status
go_on (struct reel_core *core, struct reel_effects *effects)
{
    size_t place = reel_roll_before (&core->roll, core->snapshot_next + 1);
    size_t end = reel_roll_before (&core->roll, core->snapshot.seq + 1);
    enum reel_status status = REEL_OK;
    for (; place < end && !has_its_share (core, effects) && status == REEL_OK; place++) {
        const struct reel_roll_place *at = &core->roll.places[place];
        if (at->flow != NULL)
            status = record_live (core, at->flow, effects);
        core->snapshot_next = at->accepted_seq;
    }
    if (status != REEL_OK || place < end)
        return status;
    core->record = (struct reel_record){.kind = REEL_RECORD_SNAPSHOT_ENDS};
    effects->snapshot_ends = true;
    core->counters.snapshots++;
    return reel_core_record_plain (core, effects);
}

enum reel_status
reel_snapshot_tick (struct reel_core *core, struct reel_effects *effects)
{
    enum reel_status status = REEL_OK;
    /* What room is left is for what is under way to end in; one that was begun may need far more. */
    if (core->disk_low)
        return REEL_OK;
    /* One to begin in a batch, and none where one ended: then a batch says where recovery goes from. */
    if (!core->snapshot_open && !effects->snapshot_begins && !effects->snapshot_ends && is_due (core)
        && has_room (core))
        status = begin (core, effects);
    return status == REEL_OK && core->snapshot_open ? go_on (core, effects) : status;
}

int64_t
reel_snapshot_wake_us (const struct reel_core *core, const struct reel_effects *effects)
{
    if (core->disk_low)
        return INT64_MAX;
    if (core->snapshot_open)
        return core->now.monotonic_us + (has_its_share (core, effects) ? NEXT_BATCH_US : 0);
    if (!wants_time (core))
        return INT64_MAX;
    int64_t left_us = core->snapshot.at_us + interval_us (core) - core->now.wall_us;
    return core->now.monotonic_us + (left_us > 0 && left_us < REEL_LOOK_AGAIN_US ? left_us : REEL_LOOK_AGAIN_US);
}

/* --- recovery -------------------------------------------------------------------------------- */

void
reel_core_recover_snapshot (struct reel_core *core)
{
    core->skipping = true;
}

enum reel_status
reel_core_recover_ended (struct reel_core *core, struct reel_slice workflow_id, uint64_t ended_seq,
                         struct reel_error *err)
{
    uint64_t fingerprint = reel_core_fingerprint (core, workflow_id);
    if (ended_seq == 0 || ended_seq > core->last_seq)
        return reel_apply_contradicts (err, "a workflow has ended that did not");
    return reel_map_get (&core->ended, fingerprint) >= ended_seq ? REEL_OK
                                                                 : reel_map_put (&core->ended, fingerprint, ended_seq);
}

enum reel_status
reel_core_recovered (const struct reel_core *core, uint64_t first_seq, uint64_t ended, struct reel_error *err)
{
    if (core->skipping || core->partial)
        return reel_apply_contradicts (err, "recovery goes from a snapshot that is not there as a whole");
    if (first_seq != core->forgotten.seq + 1)
        return reel_apply_contradicts (err, "events are retained from another one on than was decided");
    return ended == reel_retention_ended (core)
               ? REEL_OK
               : reel_apply_contradicts (err, "other ended workflows are retained than was decided");
}
