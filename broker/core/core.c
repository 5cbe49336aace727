/*
 * The core's doors: a message, a reading, the time. Each sets the clock, lets the files beside this one
 * decide, and leaves the effects behind.
 */
#include "broker/core/core.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "broker/core/state.h"
#include "proto/pack.h"

void
reel_core_setup_defaults (struct reel_core_setup *setup)
{
    *setup = (struct reel_core_setup){
        .heartbeat_ms = REEL_HEARTBEAT_MS_DEFAULT,
        .lease_ms = REEL_LEASE_MS_DEFAULT,
        .queue_count_max = 2000000,
        .queue_bytes_max = UINT64_C (4) << 30,
        .workers_max = 1024,
        .deliveries_max = 5,
        .waits_max = 10000,
        .snapshot_bytes = UINT64_C (64) << 20,
        .snapshot_piece_bytes = UINT64_C (256) << 10,
        .retain_ms = INT64_C (30) * 24 * 3600 * 1000,
        .retain_bytes = UINT64_C (16) << 30,
    };
}

enum reel_status
reel_core_create (const struct reel_core_setup *setup, struct reel_core **out)
{
    struct reel_core *core = calloc (1, sizeof *core);
    if (core == NULL)
        return REEL_NO_MEMORY;
    core->setup = *setup;
    reel_random_seed (&core->random, setup->seed);
    for (size_t i = 0; i < sizeof core->key; i++)
        core->key[i] = (uint8_t) reel_random_next (&core->random);
    *out = core;
    return REEL_OK;
}

void
reel_core_destroy (struct reel_core **slot)
{
    struct reel_core *core = *slot;
    if (core == NULL)
        return;
    while (core->peer_count > 0)
        reel_roster_remove (core, core->peers[core->peer_count - 1]);
    for (struct reel_flow *flow; (flow = reel_roll_last (&core->roll)) != NULL;)
        reel_core_remove_flow (core, flow);
    for (struct reel_flow *flow; (flow = reel_roll_last (&core->recent)) != NULL;)
        reel_core_remove_flow (core, flow);
    REEL_ASSERT (core->lanes.count == 0 && core->live_bytes == 0);
    free (core->peers);
    reel_map_free (&core->flows);
    reel_roll_free (&core->roll);
    reel_roll_free (&core->recent);
    reel_map_free (&core->ended);
    reel_map_free (&core->leases);
    reel_map_free (&core->routes);
    reel_map_free (&core->lanes);
    reel_heap_free (&core->later);
    reel_heap_free (&core->expiries);
    reel_heap_free (&core->waits);
    reel_workflow_free (&core->workflow);
    reel_buf_free (&core->scratch);
    reel_buf_free (&core->receipt);
    reel_buf_free (&core->context);
    free (core);
    *slot = NULL;
}

static void
enter (struct reel_core *core, struct reel_core_time now, struct reel_effects *effects)
{
    core->now = now;
    if (REEL_MUTANT_IS (12))
        core->now.monotonic_us = now.wall_us;
    effects->epoch = core->epoch;
    if (effects->event_count == 0)
        effects->first_seq = core->last_seq + 1;
}

enum reel_status
reel_core_message (struct reel_core *core, struct reel_core_time now, const struct reel_core_frames *frames,
                   struct reel_effects *effects)
{
    REEL_ASSERT (core->started);
    enter (core, now, effects);
    return frames->socket == REEL_SOCKET_CLIENT ? reel_request_message (core, frames, effects)
                                                : reel_worker_message (core, frames, effects);
}

enum reel_status
reel_core_reading (struct reel_core *core, struct reel_core_time now, const struct reel_core_reading *reading,
                   struct reel_effects *effects)
{
    enter (core, now, effects);
    return reel_request_reading (core, reading, effects);
}

static void
sooner (int64_t *wake_us, int64_t at_us)
{
    if (at_us < *wake_us)
        *wake_us = at_us;
}

static int64_t
next_wake (const struct reel_core *core, bool all_heard, const struct reel_effects *effects)
{
    const int64_t now_us = core->now.monotonic_us;
    int64_t wake_us = INT64_MAX;
    const struct reel_heap_node *node;
    if (all_heard)
        sooner (&wake_us, reel_lease_wake_us (core));
    if ((node = reel_heap_top (&core->waits)) != NULL)
        sooner (&wake_us, node->key);
    if ((node = reel_heap_top (&core->later)) != NULL) {
        /* By the wall clock, which may be set: look again after a minute at the latest. */
        int64_t left_us = node->key - core->now.wall_us;
        sooner (&wake_us, now_us + (left_us > REEL_LOOK_AGAIN_US ? REEL_LOOK_AGAIN_US : left_us));
    }
    if (core->more_to_hand_out)
        sooner (&wake_us, now_us);
    sooner (&wake_us, reel_snapshot_wake_us (core, effects));
    sooner (&wake_us, reel_retention_wake_us (core));
    sooner (&wake_us, reel_backup_wake_us (core));
    return wake_us;
}

enum reel_status
reel_core_tick (struct reel_core *core, struct reel_core_time now, bool all_heard, struct reel_effects *effects,
                int64_t *wake_us)
{
    enter (core, now, effects);
    enum reel_status status = all_heard || REEL_MUTANT_IS (55) ? reel_lease_expire (core, effects) : REEL_OK;
    if (status == REEL_OK)
        status = reel_request_expire_waits (core, effects);
    if (status == REEL_OK)
        status = reel_queue_wake (core);
    if (status == REEL_OK)
        status = reel_lease_hand_out (core, effects);
    if (status == REEL_OK)
        status = reel_snapshot_tick (core, effects);
    if (status == REEL_OK)
        status = reel_retention_tick (core, effects);
    if (status == REEL_OK)
        status = reel_backup_tick (core, effects);
    *wake_us = next_wake (core, all_heard, effects);
    return status;
}

enum reel_status
reel_core_drain (struct reel_core *core, struct reel_core_time now, struct reel_effects *effects)
{
    enter (core, now, effects);
    core->draining = true;
    return reel_request_drain (core, effects);
}

void
reel_core_unroutable (struct reel_core *core, struct reel_slice route)
{
    struct reel_peer *peer = reel_roster_find (core, route);
    if (peer != NULL)
        reel_roster_remove (core, peer);
}

void
reel_core_disk_low (struct reel_core *core, bool low)
{
    core->disk_low = low;
}

enum reel_status
reel_core_start (struct reel_core *core, struct reel_core_time now, struct reel_effects *effects)
{
    REEL_ASSERT (!core->started && !core->skipping && !core->partial);
    enter (core, now, effects);
    uint64_t seconds = now.wall_us < 0 ? 0 : (uint64_t) now.wall_us / 1000000;
    uint64_t next = core->epoch + !REEL_MUTANT_IS (11);
    core->record = (struct reel_record){.kind = REEL_RECORD_EPOCH, .epoch = next > seconds ? next : seconds};
    enum reel_status status = reel_core_record_plain (core, effects);
    effects->epoch = core->epoch;
    if (status == REEL_OK)
        status = reel_lease_begin_term (core, effects);
    for (size_t i = 0; i < core->roll.count && status == REEL_OK; i++) {
        struct reel_flow *flow = core->roll.places[i].flow;
        if (flow == NULL)
            continue;
        if (flow->state == REEL_FLOW_QUEUED)
            status = reel_queue_add (core, flow);
        else if (flow->state == REEL_FLOW_RUNNING && !REEL_MUTANT_IS (13))
            status = reel_lease_start (core, flow);
    }
    core->started = status == REEL_OK;
    return status;
}

void
reel_core_count (const struct reel_core *core, uint64_t *live, uint64_t *ended)
{
    *live = core->state_count[REEL_FLOW_QUEUED] + core->state_count[REEL_FLOW_RUNNING]
            + core->state_count[REEL_FLOW_HELD];
    *ended = reel_retention_ended (core);
}

/* --- the digest ----------------------------------------------------------------------------- */

uint64_t
reel_core_digest (const struct reel_core *core)
{
    static const uint8_t key[REEL_FINGERPRINT_KEY_BYTES] = {0};
    struct reel_buf state = {0};
    uint64_t digest = 0;
    bool failed = false;
    reel_snapshot_pack_broker (&state, core, &core->snapshot);
    reel_pack_bool (&state, core->snapshot_open);
    for (size_t i = 0; i < core->roll.count; i++) {
        const struct reel_flow *flow = core->roll.places[i].flow;
        if (flow == NULL)
            continue;
        reel_snapshot_pack_flow (&state, flow);
        reel_pack_bin (&state, flow->document);
        reel_pack_bin (&state, flow->provenance);
        digest ^= reel_hash_fingerprint (key, reel_buf_slice (&state)) + flow->accepted_seq;
        failed |= state.failed;
        reel_buf_clear (&state);
    }
    digest ^= reel_hash_fingerprint (key, reel_buf_slice (&state));
    failed |= state.failed;
    reel_buf_free (&state);
    return failed ? 0 : digest;
}
