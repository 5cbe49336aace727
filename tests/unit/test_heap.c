/*
 * The core's heap: the least first, equals in the order of their ties, and anything taken out of the middle.
 */
#include <check.h>
#include <stdlib.h>

#include "base/random.h"
#include "broker/core/heap.h"
#include "tests/support/suite.h"

#define NODES 300

struct thing {
    int number;
    struct reel_heap_node node;
};

static struct reel_heap heap;
static struct thing things[NODES];

static void
tear_down (void)
{
    reel_heap_free (&heap);
    ck_assert_ptr_null (reel_heap_top (&heap));
}

static void
add (size_t i, int64_t key, uint64_t tie)
{
    things[i] = (struct thing){.number = (int) i, .node = {.key = key, .tie = tie}};
    ck_assert_int_eq (reel_heap_add (&heap, &things[i].node), REEL_OK);
}

static int
top (void)
{
    return REEL_HEAP_OWNER (reel_heap_top (&heap), struct thing, node)->number;
}

START_TEST (empty)
{
    ck_assert_ptr_null (reel_heap_top (&heap));
    reel_heap_remove (&heap, &things[0].node);
    ck_assert_uint_eq (heap.count, 0);
}
END_TEST

START_TEST (the_least_key_then_the_least_tie)
{
    add (0, 5, 1);
    add (1, INT64_MAX, 0);
    add (2, INT64_MIN, UINT64_MAX);
    add (3, 5, 0);
    add (4, -5, 9);
    static const int order[] = {2, 4, 3, 0, 1};
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq (top (), order[i]);
        reel_heap_remove (&heap, reel_heap_top (&heap));
        ck_assert_uint_eq (things[order[i]].node.place, 0);
        reel_heap_remove (&heap, &things[order[i]].node);
        ck_assert_uint_eq (heap.count, 4 - i);
    }
}
END_TEST

static bool
before (const struct reel_heap_node *a, const struct reel_heap_node *b)
{
    return a->key < b->key || (a->key == b->key && a->tie < b->tie);
}

START_TEST (does_as_a_search_does)
{
    struct reel_random random;
    reel_random_seed (&random, 1);
    for (size_t i = 0; i < NODES; i++)
        things[i].node.place = 0;
    for (unsigned turn = 0; turn < 40000; turn++) {
        size_t i = reel_random_below (&random, NODES);
        if (things[i].node.place == 0)
            add (i, (int64_t) reel_random_below (&random, 20) - 10, i);
        else
            reel_heap_remove (&heap, reel_random_below (&random, 3) == 0 ? reel_heap_top (&heap) : &things[i].node);
        const struct reel_heap_node *least = NULL;
        size_t count = 0, misplaced = 0; /* an assertion of Check's costs a system call */
        for (size_t n = 0; n < NODES; n++) {
            if (things[n].node.place == 0)
                continue;
            misplaced += heap.nodes[things[n].node.place - 1] != &things[n].node;
            least = least == NULL || before (&things[n].node, least) ? &things[n].node : least;
            count++;
        }
        ck_assert_uint_eq (misplaced, 0);
        ck_assert_ptr_eq (reel_heap_top (&heap), least);
        ck_assert_uint_eq (heap.count, count);
    }
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("heap");
    TCase *tests = suite_case (suite, "heap", NULL, tear_down);
    tcase_add_test (tests, empty);
    tcase_add_test (tests, the_least_key_then_the_least_tie);
    tcase_add_test (tests, does_as_a_search_does);
    return suite_run (suite);
}
