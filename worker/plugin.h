/*
 * Plugins: shared objects that bring adapters and hooks as C functions (worker/adapter.h).
 *
 * A plugin stays loaded until the process ends: what it registered may be in use until then.
 */
#ifndef REEL_WORKER_PLUGIN_H
#define REEL_WORKER_PLUGIN_H

#include "worker/registry.h"

/* An adapter that modalities may name. */
struct reel_plugin_kind {
    char *name;
    enum reel_adapter_class class;
    reel_adapter_fn function;
    void *context;
};

/* All that were loaded. All-zero is none. */
struct reel_plugins {
    struct reel_plugin_kind *kinds;
    size_t count;
};

/*
 * Loads one: its adapters go to `plugins`, its hooks to the registry, in the order in which it registers them. `work`:
 * the root of working directories, NULL: a temporary one. REEL_INVALID (err->message, which names the file): it is no
 * plugin, was built for another ABI, did not want to start, or registers something out of form or a second time.
 * REEL_NO_MEMORY.
 */
enum reel_status reel_plugin_load (struct reel_plugins *plugins, const char *path, const char *work,
                                   struct reel_registry *registry, struct reel_error *err) REEL_MUST_USE;
/* NULL: none brought an adapter of that name. */
const struct reel_plugin_kind *reel_plugins_find (const struct reel_plugins *plugins, const char *name);
/* Forgets the names; what was made with them lives on. */
void reel_plugins_free (struct reel_plugins *plugins);

#endif
