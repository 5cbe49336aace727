/*
 * The timers of worker/loop.h in a test that has the time itself, in the place of the real ones: for what waits for nothing
 * but time. What is due at the same time comes in the order in which it was armed.
 */
#ifndef REEL_TESTS_SUPPORT_TIMERS_H
#define REEL_TESTS_SUPPORT_TIMERS_H

#include "base/clock.h"
#include "worker/loop.h"

struct reel_loop {
    struct reel_timer *first; /* the soonest */
};

void
reel_loop_disarm (struct reel_loop *loop, struct reel_timer *timer)
{
    if (!timer->armed)
        return;
    if (timer->previous != NULL)
        timer->previous->next = timer->next;
    else
        loop->first = timer->next;
    if (timer->next != NULL)
        timer->next->previous = timer->previous;
    timer->armed = false;
}

void
reel_loop_arm (struct reel_loop *loop, struct reel_timer *timer, int64_t at_us)
{
    struct reel_timer *before = NULL, *after;
    reel_loop_disarm (loop, timer);
    for (after = loop->first; after != NULL && after->at_us <= at_us; after = after->next)
        before = after;
    timer->at_us = at_us;
    timer->armed = true;
    timer->previous = before;
    timer->next = after;
    if (before != NULL)
        before->next = timer;
    else
        loop->first = timer;
    if (after != NULL)
        after->previous = timer;
}

/* Calls whatever is due. */
static inline void
run_timers (struct reel_loop *loop)
{
    int64_t until_us = reel_clock_monotonic_us ();
    while (loop->first != NULL && loop->first->at_us <= until_us) {
        struct reel_timer *timer = loop->first;
        reel_loop_disarm (loop, timer);
        timer->due (timer);
    }
}

#endif
