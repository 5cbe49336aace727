/*
 * Random numbers from a seed (xoshiro256**, Blackman and Vigna), so that a simulated run can
 * be repeated, and random bytes from the system for everything real.
 */
#ifndef REEL_BASE_RANDOM_H
#define REEL_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct reel_random {
    uint64_t state[4];
};

void reel_random_seed (struct reel_random *random, uint64_t seed);
uint64_t reel_random_next (struct reel_random *random);
/* Uniform in [0, bound); 0 when bound is 0. */
uint64_t reel_random_below (struct reel_random *random, uint64_t bound);

/* Bytes from the system's generator; cannot fail. */
void reel_random_system (void *out, size_t len);

#endif
