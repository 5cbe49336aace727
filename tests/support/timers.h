/*
 * The clock and the timers of worker/loop.h for a test that has the time itself, in the place of the real ones: for what
 * waits for nothing but time. Say TIMERS_MONOTONIC_US and TIMERS_WALL_US first.
 */
#ifndef REEL_TESTS_SUPPORT_TIMERS_H
#define REEL_TESTS_SUPPORT_TIMERS_H

#include "base/clock.h"
#include "worker/loop.h"

struct reel_loop {
    struct reel_timer *first; /* of all that are armed, in no order */
};

static struct reel_loop loop;

int64_t
reel_clock_monotonic_us (void)
{
    return TIMERS_MONOTONIC_US;
}

int64_t
reel_clock_wall_us (void)
{
    return TIMERS_WALL_US;
}

void
reel_loop_disarm (struct reel_loop *on, struct reel_timer *timer)
{
    struct reel_timer **at = &on->first;
    while (*at != NULL && *at != timer)
        at = &(*at)->next;
    if (*at != NULL)
        *at = timer->next;
    timer->armed = false;
}

void
reel_loop_arm (struct reel_loop *on, struct reel_timer *timer, int64_t at_us)
{
    reel_loop_disarm (on, timer);
    timer->at_us = at_us;
    timer->armed = true;
    timer->next = on->first;
    on->first = timer;
}

static struct reel_timer *
soonest (void)
{
    struct reel_timer *found = loop.first;
    for (struct reel_timer *timer = loop.first; timer != NULL; timer = timer->next)
        if (timer->at_us < found->at_us)
            found = timer;
    return found;
}

/* Calls whatever is due. */
static void
run_timers (void)
{
    for (struct reel_timer *timer = soonest (); timer != NULL && timer->at_us <= TIMERS_MONOTONIC_US;
         timer = soonest ()) {
        reel_loop_disarm (&loop, timer);
        timer->due (timer);
    }
}

#endif
