/*
 * What tests of the broker's clients have in common.
 */
#ifndef REEL_TESTS_SUPPORT_BROKER_CLIENT_H
#define REEL_TESTS_SUPPORT_BROKER_CLIENT_H

#include <stdlib.h>

#include "tests/support/broker_fixture.h"

/* What is reported of a workflow of one step that succeeds. */
#define RUN "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," ENDED "]"

/* Starts again, with another setup that begins where there is nothing yet. */
static inline void
start_over (void)
{
    struct reel_core_setup setup = broker.setup;
    broker_free (&broker);
    broker_init (&broker);
    broker.setup = setup;
    broker_start (&broker);
    broker_forget (&broker);
}

/* One worker ends a workflow of one step under that lease. */
static inline void
end (const char *document, uint64_t counter)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, document);
    broker_report (&broker, "w", counter, 1, RUN);
    broker_forget (&broker);
}

/* A number of STATS. */
static inline uint64_t
number (const char *pointer)
{
    broker_client (&broker, "c", "STATS", "{}", NULL);
    return strtoull (broker_header (&broker, pointer), NULL, 10);
}

#endif
