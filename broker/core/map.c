/*
 * Linear probing with backward-shift deletion: no tombstones, so a table that lives for months stays
 * as fast as a new one.
 */
#include "broker/core/map.h"

#include <stdlib.h>

#include "base/assert.h"

#define CAP_FIRST 64

static size_t
home (const struct reel_map *map, uint64_t key)
{
    return (size_t) ((key * UINT64_C (0x9e3779b97f4a7c15)) >> 20) & (map->cap - 1);
}

static struct reel_map_slot *
find (const struct reel_map *map, uint64_t key)
{
    size_t at = home (map, key);
    while (map->slots[at].value != 0 && map->slots[at].key != key)
        at = (at + 1) & (map->cap - 1);
    return &map->slots[at];
}

uint64_t
reel_map_get (const struct reel_map *map, uint64_t key)
{
    return map->cap == 0 ? 0 : find (map, key)->value;
}

void *
reel_map_get_pointer (const struct reel_map *map, uint64_t key)
{
    return (void *) (uintptr_t) reel_map_get (map, key);
}

static enum reel_status
grow (struct reel_map *map)
{
    struct reel_map larger = {.cap = map->cap == 0 ? CAP_FIRST : 2 * map->cap, .count = map->count};
    larger.slots = calloc (larger.cap, sizeof *larger.slots);
    if (larger.slots == NULL)
        return REEL_NO_MEMORY;
    for (size_t i = 0; i < map->cap; i++)
        if (map->slots[i].value != 0)
            *find (&larger, map->slots[i].key) = map->slots[i];
    free (map->slots);
    *map = larger;
    return REEL_OK;
}

enum reel_status
reel_map_put (struct reel_map *map, uint64_t key, uint64_t value)
{
    REEL_ASSERT (value != 0);
    if (4 * (map->count + 1) > 3 * map->cap && grow (map) != REEL_OK)
        return REEL_NO_MEMORY;
    struct reel_map_slot *slot = find (map, key);
    map->count += slot->value == 0;
    *slot = (struct reel_map_slot){key, value};
    return REEL_OK;
}

enum reel_status
reel_map_put_pointer (struct reel_map *map, uint64_t key, void *value)
{
    return reel_map_put (map, key, (uint64_t) (uintptr_t) value);
}

void
reel_map_remove (struct reel_map *map, uint64_t key)
{
    if (map->cap == 0)
        return;
    size_t hole = (size_t) (find (map, key) - map->slots);
    if (map->slots[hole].value == 0)
        return;
    map->count--;
    for (size_t at = hole;;) {
        at = (at + 1) & (map->cap - 1);
        if (map->slots[at].value == 0)
            break;
        /* May what lies here move into the hole? Only if its home is not between the two. */
        size_t from_home = (at - home (map, map->slots[at].key)) & (map->cap - 1);
        size_t from_hole = (at - hole) & (map->cap - 1);
        if (from_home >= from_hole) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole].value = 0;
}

void
reel_map_free (struct reel_map *map)
{
    free (map->slots);
    *map = (struct reel_map){0};
}
