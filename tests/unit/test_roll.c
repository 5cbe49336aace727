/*
 * The roll of live workflows: its order, its places, and its holes.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "broker/core/roll.h"
#include "tests/support/suite.h"

#define FLOWS 2000

static struct reel_roll roll;
static struct reel_flow flows[FLOWS];
static bool there[FLOWS];

static void
set_up (void)
{
    memset (there, 0, sizeof there);
    for (size_t i = 0; i < FLOWS; i++)
        flows[i].accepted_seq = 3 * i + 2;
}

static void
tear_down (void)
{
    reel_roll_free (&roll);
    ck_assert_ptr_null (reel_roll_last (&roll));
}

static void
add (size_t i)
{
    ck_assert_int_eq (reel_roll_add (&roll, &flows[i]), REEL_OK);
    there[i] = true;
}

static void
take_out (size_t i)
{
    reel_roll_remove (&roll, &flows[i]);
    there[i] = false;
}

/* Walked backwards from any seq, it holds just those that are there. */
static void
check (uint64_t before)
{
    size_t place = reel_roll_before (&roll, before);
    for (size_t i = FLOWS; i-- > 0;) {
        if (!there[i] || flows[i].accepted_seq >= before)
            continue;
        while (place > 0 && roll.places[place - 1].flow == NULL)
            place--;
        ck_assert_uint_gt (place, 0);
        ck_assert_ptr_eq (roll.places[--place].flow, &flows[i]);
    }
    while (place > 0)
        ck_assert_ptr_null (roll.places[--place].flow);
}

START_TEST (empty)
{
    ck_assert_ptr_null (reel_roll_last (&roll));
    ck_assert_uint_eq (reel_roll_before (&roll, UINT64_MAX), 0);
}
END_TEST

START_TEST (first_in_first_out_closes_its_holes)
{
    for (size_t i = 0; i < FLOWS; i++) {
        add (i);
        ck_assert_ptr_eq (reel_roll_last (&roll), &flows[i]);
        if (i >= 10)
            take_out (i - 10);
        ck_assert_uint_le (roll.count, 2 * 11 + 64 + 64);
    }
    check (UINT64_MAX);
    ck_assert_uint_le (roll.cap, 256);
}
END_TEST

START_TEST (last_in_first_out_leaves_none)
{
    for (size_t i = 0; i < 100; i++)
        add (i);
    for (size_t i = 100; i-- > 0;) {
        take_out (i);
        ck_assert_uint_eq (roll.count, i);
        ck_assert_uint_eq (roll.holes, 0);
    }
}
END_TEST

START_TEST (in_any_order)
{
    struct reel_random random;
    size_t next = 0, count = 0;
    reel_random_seed (&random, 1);
    for (unsigned turn = 0; turn < 6000; turn++) {
        size_t i = reel_random_below (&random, next + 1);
        if (next < FLOWS && reel_random_below (&random, 3) > 0) {
            add (next++);
            count++;
        } else if (i < next && there[i]) {
            take_out (i);
            count--;
        }
        ck_assert_uint_eq (roll.count - roll.holes, count);
        if (turn % 50 == 0)
            check (reel_random_below (&random, 3 * FLOWS + 5));
    }
    check (UINT64_MAX);
    for (struct reel_flow *last; (last = reel_roll_last (&roll)) != NULL;)
        take_out ((size_t) (last - flows));
    ck_assert_uint_eq (roll.count, 0);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("roll");
    TCase *tests = suite_case (suite, "roll", set_up, tear_down);
    tcase_add_test (tests, empty);
    tcase_add_test (tests, first_in_first_out_closes_its_holes);
    tcase_add_test (tests, last_in_first_out_leaves_none);
    tcase_add_test (tests, in_any_order);
    return suite_run (suite);
}
