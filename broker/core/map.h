/*
 * A table from 64-bit numbers to 64-bit numbers (or pointers): fingerprints to workflows, lease
 * counters to workflows, fingerprints to final events. Open addressing with linear probing; keys are
 * mixed under no secret, so keys that a stranger chooses must be fingerprints already. An all-zero map
 * is a valid empty one.
 *
 * A table that has become too small is not copied at one go, which at a million entries would hold up everything else
 * for a tenth of a second: it stays beside the new one, and each change moves a few of its entries. Values may have an
 * order, such that all below some bound are forgotten at once; what they took is given back in the same way.
 */
#ifndef REEL_BROKER_CORE_MAP_H
#define REEL_BROKER_CORE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct reel_map_slot {
    uint64_t key;
    uint64_t value; /* 0: the slot is free; UINT64_MAX: what was in it is gone. Neither can be stored */
};

struct reel_map {
    struct reel_map_slot *slots;
    size_t cap;     /* 0 or a power of two */
    size_t used;    /* slots that are not free */
    size_t count;   /* entries of both tables, those included that are below `least` and were not looked at since */
    uint64_t least; /* a value below it is as good as none */
    struct reel_map_slot *old; /* the table before; NULL: all of it has moved */
    size_t old_cap;
    size_t moved; /* what lies before has moved */
};

/* The value of `key`, 0 when there is none. */
uint64_t reel_map_get (const struct reel_map *map, uint64_t key);
void *reel_map_get_pointer (const struct reel_map *map, uint64_t key);
/* Adds or replaces; `value` is neither 0 nor UINT64_MAX. */
enum reel_status reel_map_put (struct reel_map *map, uint64_t key, uint64_t value) REEL_MUST_USE;
enum reel_status reel_map_put_pointer (struct reel_map *map, uint64_t key, void *value) REEL_MUST_USE;
void reel_map_remove (struct reel_map *map, uint64_t key);
/* Forgets all entries with a value below `least`; about `left` are left. REEL_NO_MEMORY: they are forgotten, but what
 * they took is not given back. */
enum reel_status reel_map_forget (struct reel_map *map, uint64_t least, uint64_t left) REEL_MUST_USE;
/* Moves what is in so many slots of the table before. */
void reel_map_settle (struct reel_map *map, size_t slots);
/* Is there something to settle? Not where the table is full: then the next entry makes room. */
bool reel_map_settling (const struct reel_map *map);
void reel_map_free (struct reel_map *map);

#endif
