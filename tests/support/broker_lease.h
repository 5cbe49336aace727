/*
 * What tests of leases have in common: a workflow of three steps.
 */
#ifndef REEL_TESTS_SUPPORT_BROKER_LEASE_H
#define REEL_TESTS_SUPPORT_BROKER_LEASE_H

#include "tests/support/broker_running.h"

#define THREE WORKFLOW ("wf", STEP ("a", "echo") "," STEP ("b", "echo") "," STEP ("c", "echo"))

/* "w" holds "wf" of steps a, b, c under [1,1], and has reported these events. */
static inline void
running (const char *events)
{
    hand_out (THREE, events);
}

static inline uint64_t
deliveries (void)
{
    return broker_model (&broker, "wf")->deliveries;
}

#endif
