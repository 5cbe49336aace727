/*
 * Retention: the past is forgotten up to the beginning of a complete snapshot, when that is long enough ago, or when
 * more than what may be retained has come since. Live workflows are in the snapshot, so they are never touched.
 *
 * This is where it is decided. The journal takes its time to give the space back, but shows nothing of it any more.
 */
#include "base/assert.h"
#include "base/mutant.h"
#include "broker/core/state.h"

/* Of the table of ended workflows, slots that are looked at in one tick. */
#define SETTLE_SLOTS 4096

uint64_t
reel_retention_ended (const struct reel_core *core)
{
    return core->ended_count - core->forgotten.ended;
}

enum reel_status
reel_retention_apply (struct reel_core *core, uint64_t seq, struct reel_error *err)
{
    size_t place = 0;
    while (place < core->mark_count && core->marks[place].seq != seq)
        place++;
    if (place == core->mark_count)
        return reel_apply_contradicts (err, "what lies before no snapshot is forgotten");
    core->forgotten = core->marks[place];
    core->mark_count -= place + 1;
    for (size_t i = 0; i < core->mark_count; i++)
        core->marks[i] = core->marks[place + 1 + i];
    return reel_map_forget (&core->ended, seq + 1, reel_retention_ended (core));
}

static bool
is_old (const struct reel_core *core, const struct reel_mark *mark)
{
    return core->setup.retain_ms > 0
           && (REEL_MUTANT_IS (45) || core->now.wall_us - mark->at_us >= core->setup.retain_ms * 1000);
}

/* Is there too much even without all that lies before the mark before this one? */
static bool
is_too_much (const struct reel_core *core, const struct reel_mark *before)
{
    return core->setup.retain_bytes > 0 && core->journal_bytes - before->bytes > core->setup.retain_bytes;
}

enum reel_status
reel_retention_tick (struct reel_core *core, struct reel_effects *effects)
{
    size_t count = 0;
    while (count < core->mark_count
           && (is_old (core, &core->marks[count])
               || is_too_much (core, count == 0 ? &core->forgotten : &core->marks[count - 1])))
        count++;
    reel_map_settle (&core->ended, SETTLE_SLOTS);
    if (count == 0)
        return REEL_OK;
    uint64_t ended = reel_retention_ended (core);
    core->record = (struct reel_record){.kind = REEL_RECORD_FORGOTTEN, .forgotten_seq = core->marks[count - 1].seq};
    effects->forgotten_seq = core->record.forgotten_seq;
    enum reel_status status = reel_core_record_plain (core, effects);
    if (status == REEL_OK)
        core->counters.forgotten += ended - reel_retention_ended (core);
    return status;
}

int64_t
reel_retention_wake_us (const struct reel_core *core)
{
    if (reel_map_settling (&core->ended))
        return core->now.monotonic_us;
    if (core->setup.retain_ms == 0 || core->mark_count == 0)
        return INT64_MAX;
    int64_t left_us = core->marks[0].at_us + core->setup.retain_ms * 1000 - core->now.wall_us;
    return core->now.monotonic_us + (left_us > 0 && left_us < REEL_LOOK_AGAIN_US ? left_us : REEL_LOOK_AGAIN_US);
}
