/*
 * xoshiro256** for what must be repeatable, libsodium's generator for what must be unguessable.
 */
#include "base/random.h"

#include <sodium.h>

#include "base/assert.h"

/* splitmix64 (Vigna), which the authors of xoshiro recommend for filling its state. */
static uint64_t
splitmix64 (uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

void
reel_random_seed (struct reel_random *random, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++)
        random->state[i] = splitmix64 (&seed);
}

static uint64_t
rotate_left (uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

uint64_t
reel_random_next (struct reel_random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate_left (s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left (s[3], 45);
    return result;
}

uint64_t
reel_random_below (struct reel_random *random, uint64_t bound)
{
    if (bound == 0)
        return 0;
    /* 2^64 mod bound numbers are too many for an even share: draw again on them. */
    uint64_t surplus = (0 - bound) % bound;
    uint64_t drawn;
    do
        drawn = reel_random_next (random);
    while (drawn < surplus);
    return drawn % bound;
}

void
reel_random_system (void *out, size_t len)
{
    /* Idempotent and safe from any thread. */
    REEL_ASSERT (sodium_init () >= 0);
    randombytes_buf (out, len);
}
