/*
 * What tests of the broker's core stand on: a broker, started anew for each of them and checked at its end, and the
 * documents that it is given.
 */
#ifndef REEL_TESTS_SUPPORT_BROKER_FIXTURE_H
#define REEL_TESTS_SUPPORT_BROKER_FIXTURE_H

#include "tests/support/broker.h"

/* A step, and what it has besides. */
#define STEP(id, modality, ...) "{'step_id':'" id "','modality':'" modality "'" __VA_ARGS__ "}"
#define WORKFLOW(id, steps) "{'workflow_id':'" id "','steps':[" steps "]}"
#define ONE(id) WORKFLOW (id, STEP ("a", "echo"))
#define OTHER(id) WORKFLOW (id, STEP ("a", "video"))
#define HEARTBEAT(lease) "{'leases':[" lease "],'sent_us':1}"

static struct broker broker;

static inline void
set_up (void)
{
    broker_init (&broker);
    broker_start (&broker);
    broker_forget (&broker);
}

static inline void
tear_down (void)
{
    broker_free (&broker);
}

#endif
