/*
 * One workflow "wf" that a worker "w" holds, and what has become of it.
 */
#ifndef REEL_TESTS_SUPPORT_BROKER_RUNNING_H
#define REEL_TESTS_SUPPORT_BROKER_RUNNING_H

#include "tests/support/broker_fixture.h"

/* "w" holds "wf", which is this document, under [1,1], and has reported these events. */
static inline void
hand_out (const char *document, const char *events)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, document);
    if (events != NULL)
        broker_report (&broker, "w", 1, 1, events);
    broker_forget (&broker);
}

static inline const char *
status (void)
{
    return broker_model (&broker, "wf")->status;
}

static inline const char *
step (uint32_t index)
{
    return reel_step_status_name (broker_model (&broker, "wf")->outcomes[index].status);
}

#endif
