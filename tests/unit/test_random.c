/*
 * A seed gives the same numbers on every machine and for ever: recorded simulations depend on it.
 */
#include "base/random.h"
#include "tests/support/suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST (numbers_of_a_state)
{
    /* The state 1, 2, 3, 4 and what follows it, as the generator's authors and others publish it. */
    static const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240u};
    struct reel_random random = {{1, 2, 3, 4}};
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_eq (reel_random_next (&random), expected[i]);
}
END_TEST

/* Reckoned with a second implementation (Python). */
START_TEST (numbers_of_a_seed)
{
    static const struct {
        uint64_t seed, numbers[4];
    } cases[] = {
        {0, {0x99ec5f36cb75f2b4u, 0xbf6e1f784956452au, 0x1a5f849d4933e6e0u, 0x6aa594f1262d2d2cu}},
        {42, {0x15780b2e0c2ec716u, 0x6104d9866d113a7eu, 0xae17533239e499a1u, 0xecb8ad4703b360a1u}},
        {UINT64_MAX, {0x8f5520d52a7ead08u, 0xc476a018caa1802du, 0x81de31c0d260469eu, 0xbf658d7e065f3c2fu}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reel_random random;
        reel_random_seed (&random, cases[i].seed);
        for (size_t k = 0; k < 4; k++)
            ck_assert_uint_eq (reel_random_next (&random), cases[i].numbers[k]);
    }
}
END_TEST

START_TEST (below_stays_below)
{
    static const uint64_t bounds[] = {1, 2, 3, 7, 1000, (1ull << 63) + 1, UINT64_MAX};
    struct reel_random random;
    reel_random_seed (&random, 1);
    ck_assert_uint_eq (reel_random_below (&random, 0), 0);
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++)
        for (unsigned n = 0; n < 1000; n++)
            ck_assert (reel_random_below (&random, bounds[i]) < bounds[i]);
}
END_TEST

/* Of 3 * 2^62 numbers a remainder alone would draw the lower third twice as often. */
START_TEST (below_is_even)
{
    struct reel_random random;
    reel_random_seed (&random, 2);
    unsigned lower = 0, draws = 30000;
    for (unsigned n = 0; n < draws; n++)
        lower += reel_random_below (&random, 3ull << 62) < 1ull << 62;
    ck_assert_uint_gt (lower, 9500);
    ck_assert_uint_lt (lower, 10500);
}
END_TEST

START_TEST (system_bytes_differ)
{
    uint8_t a[32] = {0}, b[32] = {0};
    reel_random_system (a, sizeof a);
    reel_random_system (b, sizeof b);
    ck_assert (memcmp (a, b, sizeof a) != 0);
    uint8_t untouched[2] = {1, 2};
    reel_random_system (untouched, 0);
    ck_assert_uint_eq (untouched[0], 1);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("random");
    TCase *tcase = tcase_create ("random");
    tcase_add_test (tcase, numbers_of_a_state);
    tcase_add_test (tcase, numbers_of_a_seed);
    tcase_add_test (tcase, below_stays_below);
    tcase_add_test (tcase, below_is_even);
    tcase_add_test (tcase, system_bytes_differ);
    suite_add_tcase (suite, tcase);
    return suite_run (suite);
}
