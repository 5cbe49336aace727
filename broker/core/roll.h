/*
 * All live workflows in the order in which they were accepted. An array, so that a page of LIST begins
 * in the middle of a million without walking there; who leaves makes a hole, and the holes are closed
 * when they are the greater part.
 */
#ifndef REEL_BROKER_CORE_ROLL_H
#define REEL_BROKER_CORE_ROLL_H

#include "broker/core/flow.h"

struct reel_roll_place {
    uint64_t accepted_seq;
    struct reel_flow *flow; /* NULL: a hole */
};

struct reel_roll {
    struct reel_roll_place *places;
    size_t count; /* holes included; the last place is none */
    size_t holes;
    size_t cap;
};

/* Adds the workflow accepted last. */
enum reel_status reel_roll_add (struct reel_roll *roll, struct reel_flow *flow) REEL_MUST_USE;
void reel_roll_remove (struct reel_roll *roll, const struct reel_flow *flow);
/* How many places hold workflows accepted before `seq`. */
size_t reel_roll_before (const struct reel_roll *roll, uint64_t seq);
/* The workflow accepted last, or NULL. */
struct reel_flow *reel_roll_last (const struct reel_roll *roll);
void reel_roll_free (struct reel_roll *roll);

#endif
