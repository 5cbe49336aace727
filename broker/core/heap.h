/*
 * A binary heap of nodes that lie inside other structs: what is next in a queue, which deadline comes
 * first. The least (key, tie) is on top.
 */
#ifndef REEL_BROKER_CORE_HEAP_H
#define REEL_BROKER_CORE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct reel_heap_node {
    int64_t key;
    uint64_t tie;
    size_t place; /* 1 + index in the heap; 0: in none */
};

struct reel_heap {
    struct reel_heap_node **nodes;
    size_t count;
    size_t cap;
};

/* The struct that a node lies in. */
#define REEL_HEAP_OWNER(node, type, member) ((type *) (void *) ((char *) (node) -offsetof (type, member)))

/* Adds a node that is in no heap, with its key and tie set. */
enum reel_status reel_heap_add (struct reel_heap *heap, struct reel_heap_node *node) REEL_MUST_USE;
/* Removes a node that may be in this heap, or in none. */
void reel_heap_remove (struct reel_heap *heap, struct reel_heap_node *node);
/* The least, or NULL. */
struct reel_heap_node *reel_heap_top (const struct reel_heap *heap);
void reel_heap_free (struct reel_heap *heap);

#endif
