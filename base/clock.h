/*
 * The two clocks. Only shells read them: what decides is handed the time.
 */
#ifndef REEL_BASE_CLOCK_H
#define REEL_BASE_CLOCK_H

#include <stdint.h>

/* Wall clock, microseconds since the Unix epoch: for what is recorded. */
int64_t reel_clock_wall_us (void);
/* Monotonic clock, microseconds since some start: for every duration and deadline. */
int64_t reel_clock_monotonic_us (void);

#endif
