/*
 * The second half of validation: what the steps say of each other.
 */
#ifndef REEL_PROTO_GRAPH_H
#define REEL_PROTO_GRAPH_H

#include "proto/place.h"
#include "proto/workflow.h"

/* The place of the list of steps, which all others of the graph lie in. */
extern const struct reel_place reel_place_steps;

/*
 * Indexes the ids of a workflow whose steps have been read, resolves depends_on into workflow->depends, and
 * checks ids, dependencies, statuses and references. `flags` as for reel_workflow_parse().
 */
enum reel_status reel_graph_check (struct reel_workflow *workflow, unsigned flags,
                                   struct reel_error *err) REEL_MUST_USE;

#endif
