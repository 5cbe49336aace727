/*
 * Who waits for what: a lane for each modality, first come first served within a priority, and beside
 * the lanes those whose time has not come.
 *
 * Producers choose modalities, so a lane exists only as long as somebody waits in it or serves it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "broker/core/state.h"

static struct reel_flow *
ready_flow (struct reel_heap_node *node)
{
    return node == NULL ? NULL : REEL_HEAP_OWNER (node, struct reel_flow, ready);
}

static enum reel_status
open_lane (struct reel_core *core, struct reel_slice modality, bool resumable, struct reel_lane **lane)
{
    uint64_t key = reel_core_fingerprint (core, modality) ^ (resumable ? UINT64_MAX : 0);
    *lane = reel_map_get_pointer (&core->lanes, key);
    if (*lane != NULL)
        return REEL_OK;
    struct reel_lane *fresh = calloc (1, sizeof *fresh);
    if (fresh == NULL)
        return REEL_NO_MEMORY;
    REEL_ASSERT (modality.len < sizeof fresh->name);
    if (modality.len > 0)
        memcpy (fresh->name, modality.data, modality.len);
    fresh->key = key;
    fresh->resumable = resumable;
    if (reel_map_put_pointer (&core->lanes, key, fresh) != REEL_OK) {
        free (fresh);
        return REEL_NO_MEMORY;
    }
    *lane = fresh;
    return REEL_OK;
}

static void
close_unused_lane (struct reel_core *core, struct reel_lane *lane)
{
    if (lane->servers > 0 || lane->flows > 0)
        return;
    reel_map_remove (&core->lanes, lane->key);
    reel_heap_free (&lane->ready);
    free (lane);
}

/* The least key comes first, so the priority is turned round; the order of acceptance decides among equals. */
static enum reel_status
make_ready (struct reel_flow *flow)
{
    flow->ready.key = flow->priority == INT64_MIN ? INT64_MAX : REEL_MUTANT_IS (22) ? flow->priority : -flow->priority;
    flow->ready.tie = flow->accepted_seq;
    return reel_heap_add (&flow->lane->ready, &flow->ready);
}

enum reel_status
reel_queue_add (struct reel_core *core, struct reel_flow *flow)
{
    REEL_ASSERT (flow->state == REEL_FLOW_QUEUED && flow->lane == NULL);
    if (flow->paused)
        return REEL_OK; /* it waits for nothing but to be resumed */
    struct reel_slice modality = REEL_SLICE_NONE;
    uint32_t step = reel_flow_next_dispatch (flow);
    if (step < flow->step_count)
        modality = reel_flow_modality (flow, step);
    bool resumable = step == flow->next && flow->checkpoint.len > 0 && !flow->idempotent;
    if (open_lane (core, modality, resumable, &flow->lane) != REEL_OK)
        return REEL_NO_MEMORY;
    flow->lane->flows++;
    if (flow->not_before_us <= core->now.wall_us)
        return make_ready (flow);
    flow->ready.key = flow->not_before_us;
    flow->ready.tie = flow->accepted_seq;
    return reel_heap_add (&core->later, &flow->ready);
}

void
reel_queue_remove (struct reel_core *core, struct reel_flow *flow)
{
    if (flow->lane == NULL)
        return;
    struct reel_heap_node *node = &flow->ready;
    bool waits_for_time = node->place > 0 && node->place <= core->later.count
                          && core->later.nodes[node->place - 1] == node;
    reel_heap_remove (waits_for_time ? &core->later : &flow->lane->ready, node);
    flow->lane->flows--;
    close_unused_lane (core, flow->lane);
    flow->lane = NULL;
}

enum reel_status
reel_queue_wake (struct reel_core *core)
{
    struct reel_heap_node *node;
    while ((node = reel_heap_top (&core->later)) != NULL && node->key <= core->now.wall_us) {
        reel_heap_remove (&core->later, node);
        if (make_ready (ready_flow (node)) != REEL_OK)
            return REEL_NO_MEMORY;
    }
    return REEL_OK;
}

static void
choose (struct reel_heap_node **best, const struct reel_lane *lane)
{
    struct reel_heap_node *top = lane == NULL ? NULL : reel_heap_top (&lane->ready);
    if (top != NULL
        && (*best == NULL || top->key < (*best)->key || (top->key == (*best)->key && top->tie < (*best)->tie)))
        *best = top;
}

struct reel_flow *
reel_queue_next (const struct reel_core *core, const struct reel_peer *peer)
{
    struct reel_heap_node *best = NULL;
    choose (&best, reel_map_get_pointer (&core->lanes, reel_core_fingerprint (core, REEL_SLICE_NONE)));
    for (size_t i = 0; i < peer->lane_count; i++)
        choose (&best, peer->lanes[i]);
    return ready_flow (best);
}

const char *
reel_queue_waiting_for (const struct reel_flow *flow)
{
    const struct reel_lane *lane = flow->lane;
    return lane == NULL || lane->servers > 0 || lane->name[0] == '\0' ? NULL : lane->name;
}

enum reel_status
reel_queue_serve (struct reel_core *core, struct reel_peer *peer, struct reel_slice modality, bool resumable)
{
    struct reel_lane *lane;
    if (open_lane (core, modality, resumable, &lane) != REEL_OK)
        return REEL_NO_MEMORY;
    for (size_t i = 0; i < peer->lane_count; i++)
        if (peer->lanes[i] == lane)
            return REEL_OK;
    struct reel_lane **lanes = realloc (peer->lanes, (peer->lane_count + 1) * sizeof (struct reel_lane *));
    if (lanes == NULL) {
        close_unused_lane (core, lane);
        return REEL_NO_MEMORY;
    }
    peer->lanes = lanes;
    peer->lanes[peer->lane_count++] = lane;
    lane->servers++;
    return REEL_OK;
}

void
reel_queue_serve_none (struct reel_core *core, struct reel_peer *peer)
{
    for (size_t i = 0; i < peer->lane_count; i++) {
        peer->lanes[i]->servers--;
        close_unused_lane (core, peer->lanes[i]);
    }
    free (peer->lanes);
    peer->lanes = NULL;
    peer->lane_count = 0;
}
