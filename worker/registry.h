/*
 * What a worker can do: each modality with its adapter and the defaults of its policy, and the
 * hooks that are called around every step.
 *
 * Built once, from configuration or as the three builtin adapters; printed by
 * `reel-worker --list-dispatch`, offered to the broker in READY, asked by the run machine.
 */
#ifndef REEL_WORKER_REGISTRY_H
#define REEL_WORKER_REGISTRY_H

#include "proto/workflow.h"
#include "worker/call.h"
#include "worker/run.h"

struct reel_registry;

struct reel_registry_entry {
    char *modality;
    struct reel_adapter *adapter;
    struct reel_policy policy; /* 0 or UNSET: no default */
};

enum reel_status reel_registry_create (struct reel_registry **registry) REEL_MUST_USE;
/* Destroys the adapters too; no task of theirs is left. */
void reel_registry_destroy (struct reel_registry **registry);

/*
 * Takes the adapter. REEL_INVALID (err, without path): the modality is out of form, is there
 * already, or is one too many. REEL_NO_MEMORY.
 */
enum reel_status reel_registry_add (struct reel_registry *registry, const char *modality, struct reel_adapter **adapter,
                                    const struct reel_policy *policy, struct reel_error *err) REEL_MUST_USE;
/* What a worker serves without any configuration: echo, sleep and fail. */
enum reel_status reel_registry_add_builtin (struct reel_registry *registry, struct reel_error *err) REEL_MUST_USE;

/* In the order of their names. */
size_t reel_registry_count (const struct reel_registry *registry);
const struct reel_registry_entry *reel_registry_at (const struct reel_registry *registry, size_t index);
/* NULL when the modality is not served. */
const struct reel_registry_entry *reel_registry_find (const struct reel_registry *registry, struct reel_slice modality);

/*
 * Takes the adapter, to be called at each of `points` (reel_hook_point, added up) after the hooks that are there already.
 * REEL_INVALID (err, without path): the name is out of form or there already, the points are none, or it is one too
 * many. REEL_NO_MEMORY.
 */
enum reel_status reel_registry_add_hook (struct reel_registry *registry, const char *name, unsigned points,
                                         int64_t timeout_ms, struct reel_adapter **adapter,
                                         struct reel_error *err) REEL_MUST_USE;

/* Hook `index` of all, in the order of registration; NULL: there are no more. */
const char *reel_registry_hook_at (const struct reel_registry *registry, size_t index, unsigned *points);

/* A reel_route_fn and a reel_hook_fn over a struct reel_registry. */
bool reel_registry_route (void *registry, struct reel_slice modality, struct reel_route *route);
bool reel_registry_hook (void *registry, enum reel_hook_point point, uint32_t index, struct reel_hook *hook);
/* Who is to be called: the adapter of the modality, or of the hook. NULL: nobody. */
struct reel_adapter *reel_registry_adapter (const struct reel_registry *registry, const struct reel_call *call);

/* Appends the array of modalities, and the map modality -> {adapter, class, limits?}, as READY has them. */
void reel_registry_pack_modalities (const struct reel_registry *registry, struct reel_buf *out);
void reel_registry_pack_dispatch (const struct reel_registry *registry, struct reel_buf *out);

#endif
