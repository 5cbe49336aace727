/*
 * Random msgpack from a seed, for tests of properties: every type, the values at the borders of
 * each, and what is hard to carry (NUL, escapes, NaN payloads, keys that look like `$` forms).
 */
#ifndef REEL_TESTS_SUPPORT_GENERATE_H
#define REEL_TESTS_SUPPORT_GENERATE_H

#include "base/bytes.h"
#include "base/random.h"

/* Appends one value as reel_pack_*() writes it; reel_scan_check (.., depth_max, ..) accepts it. */
void generate_value (struct reel_random *random, unsigned depth_max, struct reel_buf *out);
/* The same, and it is a map. `depth_max` is 1 or more. */
void generate_map (struct reel_random *random, unsigned depth_max, struct reel_buf *out);
/*
 * Appends the same value with some of its heads wider than they need be: integers, lengths and counts. Without
 * `random` with the shortest of all, as reel_pack_*() and other packers write them.
 */
void generate_spelling (struct reel_random *random, struct reel_slice msgpack, struct reel_buf *out);
/* Flips, replaces, removes, doubles or cuts off a few bytes. */
void generate_mutation (struct reel_random *random, struct reel_buf *bytes);

#endif
