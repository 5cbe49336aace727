/*
 * What tests of the broker's workers have in common.
 */
#ifndef REEL_TESTS_SUPPORT_BROKER_WORKER_H
#define REEL_TESTS_SUPPORT_BROKER_WORKER_H

#include "tests/support/broker_fixture.h"

#define WELCOME(peer)                                                                                                  \
    peer                                                                                                               \
        " WELCOME {'heartbeat_ms':2000,'lease_ms':10000,'epoch':1,'limits':{'receipt_bytes':262144,'report_bytes':4194304,'depth':21}}"

/* A worker "w" of one slot that holds a workflow "wf" of steps a, b (after a) and c under [1,1]. */
static inline void
assigned (void)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, WORKFLOW ("wf", STEP ("a", "echo") "," STEP ("b", "echo", ",'depends_on':['a']") "," STEP (
                                                "c", "echo")));
    broker_forget (&broker);
}

static inline const char *
status (const char *workflow_id)
{
    return broker_model (&broker, workflow_id)->status;
}

#endif
