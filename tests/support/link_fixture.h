/*
 * A worker's link in a test that is its connection, its broker and its clock. Say LINK_MONOTONIC_US and LINK_WALL_US first.
 */
#ifndef REEL_TESTS_SUPPORT_LINK_FIXTURE_H
#define REEL_TESTS_SUPPORT_LINK_FIXTURE_H

#include "tests/support/timers.h"
#include "worker/link.h"

static struct reel_loop loop;
static struct reel_registry *registry;
static struct reel_link *link_of_worker;

int64_t
reel_clock_monotonic_us (void)
{
    return LINK_MONOTONIC_US;
}

int64_t
reel_clock_wall_us (void)
{
    return LINK_WALL_US;
}

static inline void
welcomed (void *context)
{
    (void) context;
}

static inline void
destroy_nothing (struct reel_adapter *adapter)
{
    (void) adapter;
}

/* The registry has the builtin adapters and these; a NULL ends them. Of the setup only what differs is given. */
static inline enum reel_status
make_link (struct reel_link_setup setup, struct reel_adapter *const *adapters)
{
    const struct reel_policy none = {0};
    struct reel_error err;
    enum reel_status status = reel_registry_create (&registry);
    if (status == REEL_OK)
        status = reel_registry_add_builtin (registry, &err);
    for (; *adapters != NULL && status == REEL_OK; adapters++) {
        struct reel_adapter *adapter = *adapters;
        status = reel_registry_add (registry, adapter->name, &adapter, &none, &err);
    }
    setup.name = "w";
    setup.drain_ms = 1000;
    setup.registry = registry;
    setup.loop = &loop;
    setup.welcomed = welcomed;
    return status == REEL_OK ? reel_link_create (&setup, &link_of_worker) : status;
}

#endif
