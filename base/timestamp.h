/*
 * RFC 3339 timestamps in UTC with microseconds, such as 2026-04-28T09:10:06.000000Z.
 */
#ifndef REEL_BASE_TIMESTAMP_H
#define REEL_BASE_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define REEL_TIMESTAMP_BYTES 28 /* the final NUL included */

/* Writes wall_us (microseconds since the Unix epoch, 0 to the end of year 9999; clamped). */
void reel_timestamp_format (int64_t wall_us, char out[REEL_TIMESTAMP_BYTES]);
/* True when text is an RFC 3339 date-time in UTC ("Z" or "+00:00") with 0 to 9 fraction
 * digits, and names a day that exists. `wall_us` may be NULL. */
bool reel_timestamp_parse (struct reel_slice text, int64_t *wall_us);

#endif
