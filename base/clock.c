/*
 * Reading the two clocks.
 */
#include "base/clock.h"

#include <time.h>

#include "base/assert.h"

static int64_t
read_us (clockid_t clock)
{
    struct timespec now;
    REEL_ASSERT (clock_gettime (clock, &now) == 0);
    return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t
reel_clock_wall_us (void)
{
    return read_us (CLOCK_REALTIME);
}

int64_t
reel_clock_monotonic_us (void)
{
    return read_us (CLOCK_BOOTTIME);
}
