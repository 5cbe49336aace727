/*
 * The core's table, against a plain array, under keys that fall on one another.
 */
#include <check.h>
#include <stdlib.h>

#include "base/random.h"
#include "broker/core/map.h"
#include "tests/support/suite.h"

#define KEYS 512

static struct reel_map map;
static uint64_t
    wrong; /* answers that are not what they should be; an assertion each would take longer than the table */

static void
tear_down (void)
{
    reel_map_free (&map);
    ck_assert_uint_eq (map.count, 0);
    ck_assert_uint_eq (reel_map_get (&map, 1), 0);
    ck_assert_uint_eq (wrong, 0);
}

static void
put (uint64_t key, uint64_t value)
{
    wrong += reel_map_put (&map, key, value) != REEL_OK;
}

static void
expect (uint64_t key, uint64_t value)
{
    wrong += reel_map_get (&map, key) != value;
}

START_TEST (empty)
{
    ck_assert_uint_eq (reel_map_get (&map, 0), 0);
    ck_assert_ptr_null (reel_map_get_pointer (&map, 7));
    reel_map_remove (&map, 7);
}
END_TEST

START_TEST (adds_replaces_removes)
{
    ck_assert_int_eq (reel_map_put (&map, 0, 1), REEL_OK);
    ck_assert_int_eq (reel_map_put (&map, UINT64_MAX, UINT64_MAX - 1), REEL_OK);
    ck_assert_uint_eq (map.count, 2);
    ck_assert_int_eq (reel_map_put (&map, 0, 5), REEL_OK);
    ck_assert_uint_eq (map.count, 2);
    ck_assert_uint_eq (reel_map_get (&map, 0), 5);
    ck_assert_uint_eq (reel_map_get (&map, UINT64_MAX), UINT64_MAX - 1);
    reel_map_remove (&map, 0);
    reel_map_remove (&map, 0);
    ck_assert_uint_eq (reel_map_get (&map, 0), 0);
    ck_assert_uint_eq (map.count, 1);
}
END_TEST

START_TEST (keeps_pointers)
{
    int thing;
    ck_assert_int_eq (reel_map_put_pointer (&map, 3, &thing), REEL_OK);
    ck_assert_ptr_eq (reel_map_get_pointer (&map, 3), &thing);
}
END_TEST

/* Keys that share their place, so that removing moves others about, past the end of the table too. */
static uint64_t
key_of (uint64_t number, bool colliding)
{
    return colliding ? (number / 8) << 50 | number % 8 : number * UINT64_C (0x123456789abcdef);
}

START_TEST (does_as_an_array_does)
{
    struct reel_random random;
    uint64_t expected[KEYS] = {0};
    size_t count = 0;
    reel_random_seed (&random, 1);
    for (unsigned turn = 0; turn < 50000; turn++) {
        uint64_t number = reel_random_below (&random, KEYS), value = 1 + reel_random_below (&random, 1000);
        bool fill = turn / 5000 % 2 == 0;
        if (reel_random_below (&random, 10) < (fill ? 7u : 3u)) {
            count += expected[number] == 0;
            expected[number] = value;
            put (key_of (number, _i == 1), value);
        } else {
            count -= expected[number] != 0;
            expected[number] = 0;
            reel_map_remove (&map, key_of (number, _i == 1));
        }
        wrong += map.count != count;
        if (turn % 100 == 0)
            for (uint64_t i = 0; i < KEYS; i++)
                expect (key_of (i, _i == 1), expected[i]);
    }
}
END_TEST

START_TEST (grows_and_does_not_slow_down_when_emptied_and_filled_again)
{
    for (unsigned round = 0; round < 20; round++) {
        for (uint64_t i = 0; i < 20000; i++)
            put (i * 7919 + round, i + 1);
        ck_assert_uint_eq (map.count, 20000);
        for (uint64_t i = 0; i < 20000; i++) {
            expect (i * 7919 + round, i + 1);
            reel_map_remove (&map, i * 7919 + round);
        }
        ck_assert_uint_eq (map.count, 0);
    }
    ck_assert_uint_le (map.cap, 32768);
}
END_TEST

/* No change looks at more than a few slots, however large the table has become. */
START_TEST (grows_a_little_at_a_time)
{
    size_t moved = 0, tables = 0;
    for (uint64_t i = 1; i <= 300000; i++) {
        bool before = reel_map_settling (&map);
        put (i * UINT64_C (0x123456789abcdef), i);
        tables += !before && reel_map_settling (&map);
        if (reel_map_settling (&map))
            wrong += map.moved - (before ? moved : 0) > 8;
        moved = reel_map_settling (&map) ? map.moved : 0;
    }
    ck_assert_uint_gt (tables, 10);
    for (uint64_t i = 1; i <= 300000; i++)
        expect (i * UINT64_C (0x123456789abcdef), i);
}
END_TEST

START_TEST (forgets)
{
    enum { COUNT = 20000 };
    for (uint64_t round = 0; round < 10; round++) {
        for (uint64_t i = 1; i <= COUNT; i++)
            put (i + round * 7, round * COUNT + i);
        uint64_t least = round * COUNT + COUNT - 100;
        ck_assert_int_eq (reel_map_forget (&map, least, 101), REEL_OK);
        /* At once, whether it has been looked at or not; and what is put meanwhile stays. */
        for (uint64_t i = 1; i <= COUNT; i++)
            expect (i + round * 7, i < COUNT - 100 ? 0 : round * COUNT + i);
        ck_assert_int_eq (reel_map_put (&map, 3 + round * 7, least + 7), REEL_OK);
        reel_map_remove (&map, COUNT + round * 7);
        for (size_t turns = 0; reel_map_settling (&map); turns++) {
            ck_assert_uint_lt (turns, 1000);
            reel_map_settle (&map, 100);
        }
        ck_assert_uint_eq (reel_map_get (&map, 3 + round * 7), least + 7);
        ck_assert_uint_eq (reel_map_get (&map, COUNT + round * 7), 0);
        ck_assert_uint_eq (map.count, 101);
        ck_assert_uint_le (map.cap, 512);
    }
}
END_TEST

/* Where all that may move is moved but there is no room for it, only another entry goes on with it. */
START_TEST (does_not_wait_for_what_cannot_settle)
{
    enum { COUNT = 20000, LEFT = 48 };
    for (uint64_t i = 1; i <= COUNT; i++)
        put (i, i);
    ck_assert_int_eq (reel_map_forget (&map, COUNT + 1, 0), REEL_OK);
    for (uint64_t i = COUNT + 1; i <= COUNT + LEFT; i++)
        ck_assert_int_eq (reel_map_put (&map, i, i), REEL_OK);
    ck_assert_ptr_nonnull (map.old);
    for (size_t turns = 0; reel_map_settling (&map); turns++) {
        ck_assert_uint_lt (turns, 1000);
        reel_map_settle (&map, 100);
    }
    ck_assert_int_eq (reel_map_put (&map, COUNT + LEFT + 1, COUNT + LEFT + 1), REEL_OK);
    ck_assert_ptr_null (map.old);
    for (uint64_t i = 1; i <= COUNT + LEFT + 1; i++)
        expect (i, i <= COUNT ? 0 : i);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("map");
    TCase *tests = suite_case (suite, "map", NULL, tear_down);
    tcase_add_test (tests, empty);
    tcase_add_test (tests, adds_replaces_removes);
    tcase_add_test (tests, keeps_pointers);
    tcase_add_loop_test (tests, does_as_an_array_does, 0, 2);
    tcase_add_test (tests, grows_and_does_not_slow_down_when_emptied_and_filled_again);
    tcase_add_test (tests, grows_a_little_at_a_time);
    tcase_add_test (tests, forgets);
    tcase_add_test (tests, does_not_wait_for_what_cannot_settle);
    return suite_run (suite);
}
