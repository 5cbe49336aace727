/*
 * Merging provenance. The overrides are indexed by their sorted keys, so that two large
 * layers cost no more than sorting one of them.
 */
#include "proto/provenance.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "proto/pack.h"
#include "proto/scan.h"

enum { IDENTITY_WORKFLOW, IDENTITY_STEP, IDENTITY_COUNT };
static const char *const identity_names[IDENTITY_COUNT] = {"workflow_id", "workflow_step_id"};

struct entry {
    struct reel_slice key;
    struct reel_slice value;
    bool below; /* the lower layer has this key too */
};

struct merge {
    struct reel_slice identity[IDENTITY_COUNT];
    bool identity_there[IDENTITY_COUNT];
    struct entry *overrides; /* in their own order */
    struct entry **sorted;
    uint32_t override_count;
};

static int
compare_entries (const void *a, const void *b)
{
    const struct entry *const *left = a, *const *right = b;
    return reel_slice_compare ((*left)->key, (*right)->key);
}

static uint32_t
open_map (struct reel_slice map, struct reel_cursor *cursor)
{
    struct reel_value head;
    *cursor = reel_scan_start (map);
    if (map.len == 0)
        return 0;
    bool read = reel_scan_next (cursor, &head);
    REEL_ASSERT (read && head.type == REEL_MAP);
    return head.count;
}

static void
take_pair (struct reel_cursor *cursor, struct reel_slice *key, struct reel_slice *value)
{
    bool read = reel_scan_key (cursor, key) && reel_scan_skip (cursor, value);
    REEL_ASSERT (read);
}

static enum reel_status
index_overrides (struct merge *merge, struct reel_slice overrides)
{
    struct reel_cursor cursor;
    uint32_t count = open_map (overrides, &cursor);
    if (count == 0)
        return REEL_OK;
    merge->overrides = calloc (count, sizeof *merge->overrides);
    merge->sorted = calloc (count, sizeof *merge->sorted);
    if (merge->overrides == NULL || merge->sorted == NULL)
        return REEL_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        take_pair (&cursor, &merge->overrides[i].key, &merge->overrides[i].value);
        merge->sorted[i] = &merge->overrides[i];
    }
    qsort (merge->sorted, count, sizeof *merge->sorted, compare_entries);
    merge->override_count = count;
    return REEL_OK;
}

static struct entry *
find_override (const struct merge *merge, struct reel_slice key)
{
    if (merge->override_count == 0)
        return NULL;
    struct entry wanted = {.key = key};
    const struct entry *wanted_at = &wanted;
    struct entry **found = bsearch (&wanted_at, merge->sorted, merge->override_count, sizeof *merge->sorted,
                                    compare_entries);
    return found != NULL ? *found : NULL;
}

static int
identity_of (struct reel_slice key)
{
    int identity = 0;
    while (identity < IDENTITY_COUNT && !reel_slice_is (key, identity_names[identity]))
        identity++;
    return identity;
}

/* Marks what occurs twice; the number of keys of the result. */
static uint32_t
count_keys (struct merge *merge, struct reel_slice global)
{
    struct reel_cursor cursor;
    uint32_t global_count = open_map (global, &cursor), count = global_count;
    bool there[IDENTITY_COUNT + 1] = {false};
    for (uint32_t i = 0; i < global_count; i++) {
        struct reel_slice key, value;
        take_pair (&cursor, &key, &value);
        there[identity_of (key)] = true;
        struct entry *override = find_override (merge, key);
        if (override != NULL)
            override->below = true;
    }
    for (uint32_t i = 0; i < merge->override_count; i++) {
        count += !merge->overrides[i].below;
        there[identity_of (merge->overrides[i].key)] = true;
    }
    for (int i = 0; i < IDENTITY_COUNT; i++) {
        merge->identity_there[i] = there[i];
        count += !there[i];
    }
    return count;
}

static void
write_pair (const struct merge *merge, struct reel_slice key, struct reel_slice value, struct reel_buf *out)
{
    int identity = identity_of (key);
    reel_pack_str (out, key);
    if (identity < IDENTITY_COUNT)
        reel_pack_str (out, merge->identity[identity]);
    else
        reel_pack_raw (out, value);
}

static void
write_merged (struct merge *merge, struct reel_slice global, struct reel_buf *out)
{
    struct reel_cursor cursor;
    reel_pack_map (out, count_keys (merge, global));
    uint32_t global_count = open_map (global, &cursor);
    for (uint32_t i = 0; i < global_count; i++) {
        struct reel_slice key, value;
        take_pair (&cursor, &key, &value);
        const struct entry *override = find_override (merge, key);
        write_pair (merge, key, override != NULL && !REEL_MUTANT_IS (41) ? override->value : value, out);
    }
    for (uint32_t i = 0; i < merge->override_count; i++)
        if (!merge->overrides[i].below)
            write_pair (merge, merge->overrides[i].key, merge->overrides[i].value, out);
    for (int i = 0; i < IDENTITY_COUNT; i++)
        if (!merge->identity_there[i])
            write_pair (merge, reel_slice_text (identity_names[i]), REEL_SLICE_NONE, out);
}

enum reel_status
reel_provenance_merge (struct reel_slice global, struct reel_slice overrides, struct reel_slice workflow_id,
                       struct reel_slice step_id, struct reel_buf *out)
{
    size_t start = out->len;
    struct merge merge = {.identity = {workflow_id, step_id}};
    enum reel_status status = index_overrides (&merge, overrides);
    if (status == REEL_OK) {
        write_merged (&merge, global, out);
        status = reel_buf_status (out);
    }
    if (status != REEL_OK)
        out->len = start;
    free (merge.sorted);
    free (merge.overrides);
    return status;
}
