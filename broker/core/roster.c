/*
 * The workers that are connected. A connection is known by its routing id; a worker that comes back on
 * another connection is known by its instance.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "broker/core/state.h"

static enum reel_status
set_route (struct reel_core *core, struct reel_peer *peer, struct reel_slice route)
{
    uint8_t *copy = malloc (route.len == 0 ? 1 : route.len);
    if (copy == NULL)
        return REEL_NO_MEMORY;
    if (route.len > 0)
        memcpy (copy, route.data, route.len);
    uint64_t fingerprint = reel_core_fingerprint (core, route);
    if (reel_map_put_pointer (&core->routes, fingerprint, peer) != REEL_OK) {
        free (copy);
        return REEL_NO_MEMORY;
    }
    peer->route = reel_slice (copy, route.len);
    peer->fingerprint = fingerprint;
    return REEL_OK;
}

static void
free_route (struct reel_peer *peer)
{
    void *data;
    memcpy (&data, &peer->route.data, sizeof data);
    free (data);
}

struct reel_peer *
reel_roster_find (const struct reel_core *core, struct reel_slice route)
{
    struct reel_peer *peer = reel_map_get_pointer (&core->routes, reel_core_fingerprint (core, route));
    return peer != NULL && reel_slice_equal (peer->route, route) ? peer : NULL;
}

struct reel_peer *
reel_roster_find_instance (const struct reel_core *core, struct reel_slice instance)
{
    for (size_t i = 0; i < core->peer_count; i++)
        if (core->peers[i]->has_instance
            && reel_slice_equal (instance, reel_slice (core->peers[i]->instance, sizeof core->peers[i]->instance)))
            return core->peers[i];
    return NULL;
}

enum reel_status
reel_roster_add (struct reel_core *core, struct reel_slice route, struct reel_peer **out)
{
    if (core->peer_count == core->peer_cap) {
        size_t cap = core->peer_cap == 0 ? 16 : 2 * core->peer_cap;
        struct reel_peer **peers = realloc (core->peers, cap * sizeof (struct reel_peer *));
        if (peers == NULL)
            return REEL_NO_MEMORY;
        core->peers = peers;
        core->peer_cap = cap;
    }
    struct reel_peer *peer = calloc (1, sizeof *peer);
    if (peer == NULL || set_route (core, peer, route) != REEL_OK) {
        free (peer);
        return REEL_NO_MEMORY;
    }
    peer->place = core->peer_count;
    core->peers[core->peer_count++] = peer;
    *out = peer;
    return REEL_OK;
}

enum reel_status
reel_roster_move (struct reel_core *core, struct reel_peer *peer, struct reel_slice route)
{
    struct reel_peer before = *peer;
    reel_map_remove (&core->routes, before.fingerprint);
    if (set_route (core, peer, route) != REEL_OK)
        return REEL_NO_MEMORY;
    free_route (&before);
    return REEL_OK;
}

void
reel_roster_remove (struct reel_core *core, struct reel_peer *peer)
{
    while (peer->flows != NULL)
        reel_roster_release (peer->flows);
    reel_queue_serve_none (core, peer);
    reel_map_remove (&core->routes, peer->fingerprint);
    core->peers[peer->place] = core->peers[--core->peer_count];
    core->peers[peer->place]->place = peer->place;
    free_route (peer);
    free (peer->name);
    reel_buf_free (&peer->dispatch);
    free (peer);
}

void
reel_roster_hold (struct reel_peer *peer, struct reel_flow *flow)
{
    if (flow->holder == peer)
        return;
    reel_roster_release (flow);
    flow->holder = peer;
    flow->holder_prev = NULL;
    flow->holder_next = peer->flows;
    if (peer->flows != NULL)
        peer->flows->holder_prev = flow;
    peer->flows = flow;
    peer->leases++;
}

void
reel_roster_release (struct reel_flow *flow)
{
    struct reel_peer *peer = flow->holder;
    if (peer == NULL)
        return;
    if (flow->holder_prev != NULL)
        flow->holder_prev->holder_next = flow->holder_next;
    else
        peer->flows = flow->holder_next;
    if (flow->holder_next != NULL)
        flow->holder_next->holder_prev = flow->holder_prev;
    flow->holder = NULL;
    flow->holder_prev = flow->holder_next = NULL;
    REEL_ASSERT (peer->leases > 0);
    peer->leases--;
}
