/*
 * A hash of chains: leases are numbered one after the other, so their low bits spread them.
 */
#include "worker/leases.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"

#define BUCKETS 4096
/* Kept for use again. */
#define SPARE_MAX 512

enum reel_status
reel_leases_init (struct reel_leases *leases)
{
    *leases = (struct reel_leases){.bucket_mask = BUCKETS - 1};
    leases->buckets = calloc (BUCKETS, sizeof *leases->buckets);
    return leases->buckets == NULL ? REEL_NO_MEMORY : REEL_OK;
}

void
reel_leases_free (struct reel_leases *leases)
{
    REEL_ASSERT (leases->first == NULL);
    while (leases->spare != NULL) {
        struct reel_held *held = leases->spare;
        leases->spare = held->next;
        free (held);
    }
    free (leases->buckets);
    *leases = (struct reel_leases){0};
}

static struct reel_held **
bucket (const struct reel_leases *leases, struct reel_lease id)
{
    return &leases->buckets[(id.counter ^ id.epoch) & leases->bucket_mask];
}

struct reel_held *
reel_leases_find (const struct reel_leases *leases, struct reel_lease id)
{
    struct reel_held *held = *bucket (leases, id);
    while (held != NULL && !reel_lease_equal (held->id, id))
        held = held->bucket_next;
    return held;
}

static struct reel_held *
take_spare (struct reel_leases *leases)
{
    struct reel_held *held = leases->spare;
    if (held == NULL)
        return calloc (1, sizeof *held);
    leases->spare = held->next;
    leases->spare_count--;
    memset (held, 0, sizeof *held);
    return held;
}

struct reel_held *
reel_leases_add (struct reel_leases *leases, struct reel_lease id)
{
    struct reel_held *held = take_spare (leases);
    if (held == NULL)
        return NULL;
    held->id = id;
    struct reel_held **at = bucket (leases, id);
    held->bucket_next = *at;
    *at = held;
    held->next = leases->first;
    if (held->next != NULL)
        held->next->previous = held;
    leases->first = held;
    leases->count++;
    return held;
}

void
reel_leases_remove (struct reel_leases *leases, struct reel_held *held)
{
    struct reel_held **at = bucket (leases, held->id);
    while (*at != held)
        at = &(*at)->bucket_next;
    *at = held->bucket_next;
    if (held->previous != NULL)
        held->previous->next = held->next;
    else
        leases->first = held->next;
    if (held->next != NULL)
        held->next->previous = held->previous;
    leases->count--;
    reel_drive_free (&held->drive);
    reel_buf_free (&held->told);
    if (leases->spare_count == SPARE_MAX) {
        free (held);
        return;
    }
    held->next = leases->spare;
    leases->spare = held;
    leases->spare_count++;
}
