/*
 * What the broker holds in memory: no more than what is live gives reason for, and within its limits.
 */
#include "broker/core/state.h"
#include "tests/sim/sim.h"

/* Of a workflow with its outcomes; of what gathers while a batch is on its way: more than the world ever makes. */
#define FLOW_BYTES_MAX 16384
#define EFFECTS_BYTES_MAX (2u << 20)
#define LANES_MAX 16

uint64_t
sim_bounds_bytes (const struct reel_core *core)
{
    return core->live_bytes;
}

void
sim_bounds_accepted (const struct reel_core *core, uint64_t bytes_before)
{
    const struct reel_core_setup *setup = &core->setup;
    SIM_HOLDS ("bounds", core->flows.count <= setup->queue_count_max, "%zu workflows are live, and %llu may be",
               core->flows.count, (unsigned long long) setup->queue_count_max);
    SIM_HOLDS ("bounds", bytes_before + reel_roll_last (&core->roll)->document.len <= setup->queue_bytes_max,
               "a workflow is accepted beside %llu bytes, and there may be %llu", (unsigned long long) bytes_before,
               (unsigned long long) setup->queue_bytes_max);
}

void
sim_bounds_turn (const struct reel_core *core, const struct reel_effects *pending)
{
    size_t live = core->flows.count;
    uint64_t bytes = 0;
    for (size_t i = 0; i < core->roll.count; i++) {
        const struct reel_flow *flow = core->roll.places[i].flow;
        SIM_HOLDS ("bounds", flow == NULL || flow->bytes <= FLOW_BYTES_MAX, "a workflow takes %zu bytes", flow->bytes);
        bytes += flow != NULL ? flow->bytes : 0;
    }
    SIM_HOLDS ("bounds", bytes == core->live_bytes, "live workflows take %llu bytes, and %llu are counted",
               (unsigned long long) bytes, (unsigned long long) core->live_bytes);
    SIM_HOLDS ("bounds", core->waits.count <= core->setup.waits_max, "%zu requests wait", core->waits.count);
    SIM_HOLDS ("bounds",
               core->leases.count <= live && core->expiries.count <= core->state_count[REEL_FLOW_RUNNING]
                   && core->later.count <= core->state_count[REEL_FLOW_QUEUED],
               "%zu leases, %zu terms and %zu that wait for their time, and %zu workflows", core->leases.count,
               core->expiries.count, core->later.count, live);
    SIM_HOLDS ("bounds",
               core->peer_count <= core->setup.workers_max && core->routes.count <= core->peer_count
                   && core->lanes.count <= LANES_MAX,
               "%zu workers under %zu routes, %zu lanes", core->peer_count, core->routes.count, core->lanes.count);
    SIM_HOLDS ("bounds", pending->records.len + pending->bytes.len <= EFFECTS_BYTES_MAX, "%zu bytes wait for the disk",
               pending->records.len + pending->bytes.len);
}
