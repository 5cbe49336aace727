/*
 * Linear probing with backward-shift deletion: no tombstones, so a table that lives for months stays
 * as fast as a new one. Only in a table that is on its way out, what is removed leaves one.
 */
#include "broker/core/map.h"

#include <stdlib.h>

#include "base/assert.h"

#define CAP_FIRST 64
/* Slots that each change moves. A table is left with a quarter of its slots free, and the next one has room for as many
 * entries more as this one had slots: two would do. */
#define SLOTS_MOVED 8
/* In the old table: removed, but others lie behind it. */
#define GONE UINT64_MAX

static size_t
home (size_t cap, uint64_t key)
{
    return (size_t) ((key * UINT64_C (0x9e3779b97f4a7c15)) >> 20) & (cap - 1);
}

/* The slot of `key`, or the free one where it would be. */
static struct reel_map_slot *
find (struct reel_map_slot *slots, size_t cap, uint64_t key)
{
    size_t at = home (cap, key);
    while (slots[at].value != 0 && slots[at].key != key)
        at = (at + 1) & (cap - 1);
    return &slots[at];
}

/* The entry of `key` that has not moved yet, or NULL. */
static struct reel_map_slot *
find_old (const struct reel_map *map, uint64_t key)
{
    if (map->old == NULL)
        return NULL;
    struct reel_map_slot *slot = find (map->old, map->old_cap, key);
    bool there = slot->value != 0 && slot->value != GONE && (size_t) (slot - map->old) >= map->moved;
    return there ? slot : NULL;
}

uint64_t
reel_map_get (const struct reel_map *map, uint64_t key)
{
    if (map->cap == 0)
        return 0;
    uint64_t value = find (map->slots, map->cap, key)->value;
    if (value == 0) {
        const struct reel_map_slot *old = find_old (map, key);
        value = old == NULL ? 0 : old->value;
    }
    return value < map->least ? 0 : value;
}

void *
reel_map_get_pointer (const struct reel_map *map, uint64_t key)
{
    return (void *) (uintptr_t) reel_map_get (map, key);
}

static bool
is_crowded (const struct reel_map *map)
{
    return 4 * (map->used + 1) > 3 * map->cap;
}

static void
move (struct reel_map *map, const struct reel_map_slot *slot)
{
    if (slot->value == 0 || slot->value == GONE)
        return;
    if (slot->value < map->least) {
        map->count--;
        return;
    }
    *find (map->slots, map->cap, slot->key) = *slot;
    map->used++;
}

void
reel_map_settle (struct reel_map *map, size_t slots)
{
    for (; map->old != NULL && slots > 0 && !is_crowded (map); slots--) {
        move (map, &map->old[map->moved++]);
        if (map->moved < map->old_cap)
            continue;
        free (map->old);
        map->old = NULL;
    }
}

bool
reel_map_settling (const struct reel_map *map)
{
    return map->old != NULL && !is_crowded (map);
}

static void
move_all (struct reel_map *map, struct reel_map_slot *slots, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        move (map, &slots[i]);
    free (slots);
}

/* Begins to move to a table of another size. Where one is being left already, everything moves at once. */
static enum reel_status
renew (struct reel_map *map, size_t cap)
{
    const struct reel_map last = *map;
    struct reel_map_slot *slots = calloc (cap, sizeof *slots);
    if (slots == NULL)
        return REEL_NO_MEMORY;
    *map = (struct reel_map){.slots = slots, .cap = cap, .count = last.count, .least = last.least};
    if (last.old != NULL) {
        move_all (map, last.old, last.moved, last.old_cap);
        move_all (map, last.slots, 0, last.cap);
    } else {
        map->old = last.slots;
        map->old_cap = last.cap;
    }
    return REEL_OK;
}

enum reel_status
reel_map_put (struct reel_map *map, uint64_t key, uint64_t value)
{
    REEL_ASSERT (value != 0 && value != GONE);
    reel_map_settle (map, SLOTS_MOVED);
    if (is_crowded (map) && renew (map, map->cap == 0 ? CAP_FIRST : 2 * map->cap) != REEL_OK)
        return REEL_NO_MEMORY;
    struct reel_map_slot *slot = find (map->slots, map->cap, key), *old = slot->value == 0 ? find_old (map, key) : NULL;
    if (old != NULL)
        old->value = GONE;
    map->count += slot->value == 0 && old == NULL;
    map->used += slot->value == 0;
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
    struct reel_map_slot *old = find_old (map, key);
    size_t hole = (size_t) (find (map->slots, map->cap, key) - map->slots);
    if (map->slots[hole].value == 0 && old != NULL) {
        old->value = GONE;
        map->count--;
        return;
    }
    if (map->slots[hole].value == 0)
        return;
    map->count--;
    map->used--;
    for (size_t at = hole;;) {
        at = (at + 1) & (map->cap - 1);
        if (map->slots[at].value == 0)
            break;
        /* May what lies here move into the hole? Only if its home is not between the two. */
        size_t from_home = (at - home (map->cap, map->slots[at].key)) & (map->cap - 1);
        size_t from_hole = (at - hole) & (map->cap - 1);
        if (from_home >= from_hole) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole].value = 0;
}

enum reel_status
reel_map_forget (struct reel_map *map, uint64_t least, uint64_t left)
{
    size_t cap = CAP_FIRST;
    REEL_ASSERT (least >= map->least);
    map->least = least;
    while (2 * left > (uint64_t) cap)
        cap *= 2;
    return map->cap == 0 || map->old != NULL ? REEL_OK : renew (map, cap);
}

void
reel_map_free (struct reel_map *map)
{
    free (map->slots);
    free (map->old);
    *map = (struct reel_map){0};
}
