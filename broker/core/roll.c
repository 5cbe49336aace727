/*
 * The order of acceptance is the order of the array, so places are found by bisection.
 */
#include "broker/core/roll.h"

#include <stdlib.h>

#include "base/assert.h"

#define CAP_FIRST 64

enum reel_status
reel_roll_add (struct reel_roll *roll, struct reel_flow *flow)
{
    REEL_ASSERT (roll->count == 0 || roll->places[roll->count - 1].accepted_seq < flow->accepted_seq);
    if (roll->count == roll->cap) {
        size_t cap = roll->cap == 0 ? CAP_FIRST : 2 * roll->cap;
        struct reel_roll_place *places = realloc (roll->places, cap * sizeof *places);
        if (places == NULL)
            return REEL_NO_MEMORY;
        roll->places = places;
        roll->cap = cap;
    }
    roll->places[roll->count++] = (struct reel_roll_place){flow->accepted_seq, flow};
    return REEL_OK;
}

static void
close_holes (struct reel_roll *roll)
{
    size_t kept = 0;
    for (size_t i = 0; i < roll->count; i++)
        if (roll->places[i].flow != NULL)
            roll->places[kept++] = roll->places[i];
    roll->count = kept;
    roll->holes = 0;
}

void
reel_roll_remove (struct reel_roll *roll, const struct reel_flow *flow)
{
    size_t place = reel_roll_before (roll, flow->accepted_seq);
    REEL_ASSERT (place < roll->count && roll->places[place].flow == flow);
    roll->places[place].flow = NULL;
    roll->holes++;
    while (roll->count > 0 && roll->places[roll->count - 1].flow == NULL) {
        roll->count--;
        roll->holes--;
    }
    if (roll->holes > CAP_FIRST && 2 * roll->holes > roll->count)
        close_holes (roll);
}

size_t
reel_roll_before (const struct reel_roll *roll, uint64_t seq)
{
    size_t from = 0, to = roll->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (roll->places[middle].accepted_seq < seq)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

struct reel_flow *
reel_roll_last (const struct reel_roll *roll)
{
    return roll->count == 0 ? NULL : roll->places[roll->count - 1].flow;
}

void
reel_roll_free (struct reel_roll *roll)
{
    free (roll->places);
    *roll = (struct reel_roll){0};
}
