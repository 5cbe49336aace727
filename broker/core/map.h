/*
 * A table from 64-bit numbers to 64-bit numbers (or pointers): fingerprints to workflows, lease
 * counters to workflows, fingerprints to final events. Open addressing with linear probing; keys are
 * mixed under no secret, so keys that a stranger chooses must be fingerprints already. An all-zero map
 * is a valid empty one.
 */
#ifndef REEL_BROKER_CORE_MAP_H
#define REEL_BROKER_CORE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct reel_map_slot {
    uint64_t key;
    uint64_t value; /* 0: the slot is free, so 0 cannot be stored */
};

struct reel_map {
    struct reel_map_slot *slots;
    size_t cap; /* 0 or a power of two */
    size_t count;
};

/* The value of `key`, 0 when there is none. */
uint64_t reel_map_get (const struct reel_map *map, uint64_t key);
void *reel_map_get_pointer (const struct reel_map *map, uint64_t key);
/* Adds or replaces; `value` is not 0. */
enum reel_status reel_map_put (struct reel_map *map, uint64_t key, uint64_t value) REEL_MUST_USE;
enum reel_status reel_map_put_pointer (struct reel_map *map, uint64_t key, void *value) REEL_MUST_USE;
void reel_map_remove (struct reel_map *map, uint64_t key);
void reel_map_free (struct reel_map *map);

#endif
