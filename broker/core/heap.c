/*
 * The textbook heap, with each node knowing its place so that it can be taken out from the middle.
 */
#include "broker/core/heap.h"

#include <stdlib.h>

static bool
before (const struct reel_heap_node *a, const struct reel_heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->tie < b->tie;
}

static void
put (struct reel_heap *heap, size_t at, struct reel_heap_node *node)
{
    heap->nodes[at] = node;
    node->place = at + 1;
}

static void
sift_up (struct reel_heap *heap, size_t at, struct reel_heap_node *node)
{
    while (at > 0 && before (node, heap->nodes[(at - 1) / 2])) {
        put (heap, at, heap->nodes[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put (heap, at, node);
}

static void
sift_down (struct reel_heap *heap, size_t at, struct reel_heap_node *node)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && before (heap->nodes[child + 1], heap->nodes[child]))
            child++;
        if (!before (heap->nodes[child], node))
            break;
        put (heap, at, heap->nodes[child]);
        at = child;
    }
    put (heap, at, node);
}

enum reel_status
reel_heap_add (struct reel_heap *heap, struct reel_heap_node *node)
{
    if (heap->count == heap->cap) {
        size_t cap = heap->cap == 0 ? 16 : 2 * heap->cap;
        struct reel_heap_node **nodes = realloc (heap->nodes, cap * sizeof (struct reel_heap_node *));
        if (nodes == NULL)
            return REEL_NO_MEMORY;
        heap->nodes = nodes;
        heap->cap = cap;
    }
    sift_up (heap, heap->count++, node);
    return REEL_OK;
}

void
reel_heap_remove (struct reel_heap *heap, struct reel_heap_node *node)
{
    if (node->place == 0)
        return;
    size_t at = node->place - 1;
    struct reel_heap_node *last = heap->nodes[--heap->count];
    node->place = 0;
    if (last == node)
        return;
    if (at > 0 && before (last, heap->nodes[(at - 1) / 2]))
        sift_up (heap, at, last);
    else
        sift_down (heap, at, last);
}

struct reel_heap_node *
reel_heap_top (const struct reel_heap *heap)
{
    return heap->count == 0 ? NULL : heap->nodes[0];
}

void
reel_heap_free (struct reel_heap *heap)
{
    free (heap->nodes);
    *heap = (struct reel_heap){0};
}
