/*
 * The two clocks. Only shells read them: what decides is handed the time.
 */
#ifndef REEL_BASE_CLOCK_H
#define REEL_BASE_CLOCK_H

#include <stdint.h>

/* Wall clock, microseconds since the Unix epoch: for what is recorded. */
int64_t reel_clock_wall_us (void);
/* Monotonic clock, microseconds since some start: for every duration and deadline. It goes on while the machine is
 * suspended (CLOCK_MONOTONIC does not), because elsewhere a lease runs out meanwhile. Whoever waits in the kernel wakes
 * later by that much, and has to look then. */
int64_t reel_clock_monotonic_us (void);

#endif
