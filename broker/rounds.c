/*
 * Three batches go round. What has nothing to do with the journal waits for the batches before it all the same: so
 * whatever leaves, leaves in the order in which it was decided.
 */
#include "broker/rounds.h"

#include "base/mutant.h"

/* A batch that holds this much is full. */
#define BATCH_BYTES_MAX ((size_t) 8 << 20)
#define BATCH_SENDS_MAX 16384
#define BATCH_READS_MAX 8
/* Percent of it. */
#define WORKER_SHARE 75

void
reel_rounds_begin (struct reel_rounds *rounds, int64_t monotonic_us, int64_t wall_us)
{
    rounds->clock_us = monotonic_us;
    rounds->now = (struct reel_core_time){wall_us, monotonic_us};
    rounds->all_heard = true;
    rounds->pending = &rounds->batches[0];
    rounds->spares[0] = &rounds->batches[1];
    rounds->spares[1] = &rounds->batches[2];
    rounds->spare_count = 2;
}

void
reel_rounds_end (struct reel_rounds *rounds)
{
    for (size_t i = 0; i < sizeof rounds->batches / sizeof *rounds->batches; i++)
        reel_batch_free (&rounds->batches[i]);
}

void
reel_rounds_keep_time (struct reel_rounds *rounds, int64_t monotonic_us, int64_t wall_us)
{
    int64_t passed_us = monotonic_us - rounds->clock_us;
    rounds->clock_us = monotonic_us;
    rounds->now.wall_us = wall_us;
    if (rounds->all_heard)
        rounds->now.monotonic_us += passed_us < 2 * rounds->pause_us_max || REEL_MUTANT_IS (43) ? passed_us
                                                                                                : rounds->pause_us_max;
}

static bool
has_filled (const struct reel_rounds *rounds, unsigned percent)
{
    const struct reel_effects *effects = &rounds->pending->effects;
    return effects->records.len + effects->bytes.len >= BATCH_BYTES_MAX / 100 * percent
           || effects->send_count >= BATCH_SENDS_MAX / 100 * percent
           || effects->read_count - effects->again_count >= BATCH_READS_MAX;
}

bool
reel_rounds_full (const struct reel_rounds *rounds)
{
    return has_filled (rounds, 100);
}

bool
reel_rounds_full_of_workers (const struct reel_rounds *rounds)
{
    return has_filled (rounds, REEL_MUTANT_IS (63) ? 100 : WORKER_SHARE);
}

bool
reel_rounds_idle (const struct reel_rounds *rounds)
{
    return !rounds->committing && reel_effects_empty (&rounds->pending->effects);
}

/* Gives the journal what has gathered, if it is free and there is something for it. */
static void
hand_over (struct reel_rounds *rounds)
{
    struct reel_batch *batch = rounds->pending;
    if (rounds->committing || (batch->effects.records.len == 0 && batch->effects.read_count == 0))
        return;
    rounds->committing = true;
    rounds->pending = rounds->spares[--rounds->spare_count];
    rounds->hand (rounds->context, batch);
}

enum reel_status
reel_rounds_pass_on (struct reel_rounds *rounds)
{
    hand_over (rounds);
    if (rounds->committing || reel_effects_empty (&rounds->pending->effects))
        return REEL_OK;
    enum reel_status status = rounds->send_out (rounds->context, &rounds->pending->effects);
    reel_batch_clear (rounds->pending);
    return status;
}

enum reel_status
reel_rounds_settle (struct reel_rounds *rounds, struct reel_batch *done)
{
    rounds->committing = false;
    hand_over (rounds);
    enum reel_status status = rounds->send_out (rounds->context, &done->effects);
    rounds->last_seq = done->last_seq;
    for (size_t i = 0; i < done->reading_count && status == REEL_OK; i++)
        status = reel_core_reading (rounds->core, rounds->now, &done->readings[i], &rounds->pending->effects);
    reel_batch_clear (done);
    rounds->spares[rounds->spare_count++] = done;
    return status;
}
