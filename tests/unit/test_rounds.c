/*
 * The core's time: it runs only while what has arrived is read, so that nothing expires that may have been renewed.
 */
#include <check.h>
#include <stdint.h>

#include "broker/rounds.h"
#include "tests/support/suite.h"

static struct reel_rounds rounds;

static void
begin (void)
{
    rounds = (struct reel_rounds){.pause_us_max = 250000};
    reel_rounds_begin (&rounds, 1000, 77);
}

START_TEST (time_runs_as_the_clocks_do)
{
    begin ();
    reel_rounds_keep_time (&rounds, 251000, 78);
    ck_assert_int_eq (rounds.now.monotonic_us, 251000);
    reel_rounds_keep_time (&rounds, 1000 + 3 * 250000 - 1, 5);
    ck_assert_int_eq (rounds.now.monotonic_us, 1000 + 3 * 250000 - 1);
    ck_assert_int_eq (rounds.now.wall_us, 5);
}
END_TEST

START_TEST (time_that_it_did_not_run_is_one_pause)
{
    begin ();
    reel_rounds_keep_time (&rounds, 1000 + 10000000, 78);
    ck_assert_int_eq (rounds.now.monotonic_us, 1000 + 250000);
    reel_rounds_keep_time (&rounds, 1000 + 10000000 + 7, 78);
    ck_assert_int_eq (rounds.now.monotonic_us, 1000 + 250000 + 7);
    reel_rounds_end (&rounds);
}
END_TEST

START_TEST (time_stands_still_while_workers_are_not_read_to_the_end)
{
    begin ();
    rounds.all_heard = false;
    reel_rounds_keep_time (&rounds, 2000, 78);
    ck_assert_int_eq (rounds.now.monotonic_us, 1000);
    ck_assert_int_eq (rounds.now.wall_us, 78);
    rounds.all_heard = true;
    reel_rounds_keep_time (&rounds, 2500, 79);
    ck_assert_int_eq (rounds.now.monotonic_us, 1500);
}
END_TEST

/* Reads that go on are in the way of none that is new. */
START_TEST (new_reads_fill_a_batch)
{
    begin ();
    struct reel_effects *effects = &rounds.pending->effects;
    effects->read_count = effects->again_count = 64;
    ck_assert (!reel_rounds_full (&rounds));
    effects->read_count += 7;
    ck_assert (!reel_rounds_full (&rounds));
    effects->read_count++;
    ck_assert (reel_rounds_full (&rounds));
    reel_effects_clear (effects);
    ck_assert (!reel_rounds_full (&rounds));
    ck_assert_uint_eq (effects->again_count, 0);
}
END_TEST

/* Workers may fill three quarters of it. */
START_TEST (messages_fill_a_batch)
{
    begin ();
    struct reel_effects *effects = &rounds.pending->effects;
    effects->send_count = 12000;
    ck_assert (!reel_rounds_full_of_workers (&rounds) && !reel_rounds_full (&rounds));
    effects->send_count = 12300;
    ck_assert (reel_rounds_full_of_workers (&rounds) && !reel_rounds_full (&rounds));
    effects->send_count = 16384;
    ck_assert (reel_rounds_full (&rounds));
    effects->send_count = 0;
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("rounds");
    TCase *tests = tcase_create ("time");
    tcase_add_test (tests, time_runs_as_the_clocks_do);
    tcase_add_test (tests, time_that_it_did_not_run_is_one_pause);
    tcase_add_test (tests, time_stands_still_while_workers_are_not_read_to_the_end);
    tcase_add_test (tests, new_reads_fill_a_batch);
    tcase_add_test (tests, messages_fill_a_batch);
    suite_add_tcase (suite, tests);
    return suite_run (suite);
}
