/*
 * What the sources of the bench have of each other; nobody else uses it.
 */
#ifndef REEL_TESTS_SUPPORT_BROKER_INSIDE_H
#define REEL_TESTS_SUPPORT_BROKER_INSIDE_H

#include <check.h>
#include <stdlib.h>

#include "broker/core/record.h"
#include "tests/support/broker.h"

/* Check's own assertions each cost a system call, and here are thousands. */
#define MUST_SAY(condition, ...)                                                                                       \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            ck_abort_msg (__VA_ARGS__);                                                                                \
    } while (0)
#define MUST(condition) MUST_SAY (condition, "%s", #condition)
#define SAME(a, b)                                                                                                     \
    MUST_SAY ((uint64_t) (a) == (uint64_t) (b), "%s is %llu, not %s, %llu", #a, (unsigned long long) (a), #b,          \
              (unsigned long long) (b))

/* Room for one more element of a list. */
static inline void *
broker_grown (void *list, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return list;
    *cap = *cap == 0 ? 64 : 2 * *cap;
    void *moved = realloc (list, *cap * size);
    MUST (moved != NULL);
    return moved;
}

/* --- the model ---------------------------------------------------------------------------------- */

/* An event that is durable; it must fit what was before. */
void broker_model_take (struct broker *broker, const struct reel_record *record);
/* The workflow of an event; NULL: none. */
struct broker_model *broker_model_of (struct broker *broker, const struct reel_message *event);
/* It has ended and is not forgotten. */
bool broker_is_retained (const struct broker *broker, const struct broker_model *model);
void broker_models_free (struct broker *broker);
struct reel_message broker_event_at (struct broker *broker, uint64_t seq);

/* --- effects ------------------------------------------------------------------------------------ */

/* Takes all effects, and adds what is sent to what the step has sent so far (again), or begins anew. */
void broker_take (struct broker *broker, bool again);
/* Of them the records, what is published and what is sent. */
void broker_take_outcome (struct broker *broker);
/* Of them the reads, whose contexts would be gone once they are answered. */
void broker_take_reads (struct broker *broker);

#endif
