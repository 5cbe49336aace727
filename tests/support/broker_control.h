/*
 * What tests of the operators' commands have in common: a workflow of two steps, and how it came to where it is.
 */
#ifndef REEL_TESTS_SUPPORT_BROKER_CONTROL_H
#define REEL_TESTS_SUPPORT_BROKER_CONTROL_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/broker_running.h"

#define TWO WORKFLOW ("wf", STEP ("a", "echo") "," STEP ("b", "echo"))
#define ID "{'workflow_id':'wf'}"

static inline void
ask (const char *command, const char *header)
{
    broker_client (&broker, "c", command, header, NULL);
}

/* "w" holds "wf" of steps a, b under [1,1], and has reported these events. */
static inline void
running (const char *events)
{
    hand_out (TWO, events);
}

static inline void
lose (void)
{
    broker_pass_ms (&broker, 10000);
    broker_forget (&broker);
}

/* Its first step, which may not run twice, is in doubt. */
static inline void
held (void)
{
    running ("[" STARTED ("a", "1", "false") "]");
    lose ();
}

/* "wf" has ended: a succeeded, b failed. */
static inline void
ended (void)
{
    running ("[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," STARTED ("b", "1",
                                                                             "true") "," FAILED ("b") "," ENDED "]");
    ck_assert_str_eq (broker_model (&broker, "wf")->status, "failed");
}

static inline const char *
replied_status (void)
{
    return broker_header (&broker, "/status");
}

static inline const char *
refused (const char *command, const char *header)
{
    static char text[128];
    ask (command, header);
    snprintf (text, sizeof text, "%s ", broker_header (&broker, "/code"));
    snprintf (text + strlen (text), sizeof text - strlen (text), "%s ", broker_header (&broker, "/reason"));
    snprintf (text + strlen (text), sizeof text - strlen (text), "%s", broker_header (&broker, "/path"));
    return text;
}

#endif
