/*
 * The follower against scripted deliveries: what it gives out, and when it asks; of all workflows, and of one.
 */
#include <check.h>

#include "tests/support/follow_fixture.h"
#include "tests/support/suite.h"

#define NOBODY "other"

/* --- the recipe ------------------------------------------------------------------------------- */

START_TEST (replays_at_once)
{
    begin (NULL, 0);
    asks (0);
    is_content (); /* one asking at a time */
    page (1, 3, 3);
    ck_assert_str_eq (given (), "1 2 3");
    is_content ();
}
END_TEST

START_TEST (replays_past_what_is_known_already)
{
    begin (NULL, 5);
    asks (5);
    page (6, 7, 7);
    ck_assert_str_eq (given (), "6 7");
    live (5);
    live (8);
    ck_assert_str_eq (given (), "8");
    ck_assert_uint_eq (follow.lost, 0);
}
END_TEST

START_TEST (first_beat_asks_again_whatever_it_says)
{
    begin (NULL, 0);
    asks (0);
    page (1, 2, 2);
    beat (4, 7);
    asks (2);
    page (3, 4, 4);
    ck_assert_str_eq (given (), "1 2 3 4");
    beat (4, 7);
    is_content ();
}
END_TEST

START_TEST (drops_live_events_already_seen)
{
    settle (NULL, 3);
    live (2);
    live (3);
    live (4);
    live (4);
    ck_assert_str_eq (given (), "4");
}
END_TEST

START_TEST (live_events_wait_for_the_replay)
{
    begin (NULL, 0);
    asks (0);
    live (4);
    live (5);
    ck_assert_str_eq (given (), "");
    page (1, 4, 4);
    ck_assert_str_eq (given (), "1 2 3 4 5");
    is_content ();
}
END_TEST

START_TEST (live_events_before_the_asking_wait_too)
{
    begin (NULL, 0);
    live (1);
    ck_assert_str_eq (given (), "");
    asks (0);
    page (1, 1, 1);
    ck_assert_str_eq (given (), "1");
}
END_TEST

START_TEST (gap_by_seq_is_asked_for)
{
    settle (NULL, 3);
    live (6);
    ck_assert_str_eq (given (), "");
    asks (3);
    live (7);
    page (4, 6, 6);
    ck_assert_str_eq (given (), "4 5 6 7");
    is_content ();
}
END_TEST

START_TEST (second_gap_while_the_first_is_asked_for)
{
    settle (NULL, 3);
    live (5);
    asks (3);
    live (8);
    page (4, 5, 5);
    ck_assert_str_eq (given (), "4 5");
    asks (5);
    page (6, 8, 8);
    ck_assert_str_eq (given (), "6 7 8");
    is_content ();
}
END_TEST

START_TEST (beat_ahead_is_a_gap)
{
    settle (NULL, 3);
    beat (3, 7);
    is_content ();
    beat (5, 7);
    asks (3);
    page (4, 5, 5);
    ck_assert_str_eq (given (), "4 5");
    beat (4, 7); /* sent before what the page held */
    is_content ();
}
END_TEST

START_TEST (pages_follow_each_other)
{
    begin (NULL, 0);
    asks (0);
    ck_assert_int_eq (page_of (1, 2, 1, 5, true), REEL_OK);
    asks (2);
    live (6);
    page (3, 5, 5);
    ck_assert_str_eq (given (), "1 2 3 4 5 6");
}
END_TEST

START_TEST (progress_is_passed_on_in_its_place)
{
    settle (NULL, 3);
    deliver (0, 0, "w", "step.progress");
    live (4);
    deliver (0, 0, "w", "step.progress");
    ck_assert_str_eq (given (), "p 4 p");
    live (6);
    deliver (0, 0, "w", "step.progress"); /* would overtake 5 and 6 */
    asks (4);
    page (5, 6, 6);
    ck_assert_str_eq (given (), "5 6");
}
END_TEST

/* --- one workflow ----------------------------------------------------------------------------- */

START_TEST (one_workflow_goes_by_index)
{
    settle ("w", 3);
    deliver (10, 4, "w", "step.started");
    deliver (20, 5, "w", "step.started");
    ck_assert_str_eq (given (), "10 20");
    deliver (40, 7, "w", "step.started");
    ck_assert_str_eq (given (), "");
    asks (20);
    ck_assert_int_eq (page_of (39, 40, 6, 41, false), REEL_OK);
    ck_assert_str_eq (given (), "39 40");
    is_content ();
}
END_TEST

START_TEST (others_do_not_count_for_one_workflow)
{
    settle ("w", 3);
    deliver (4, 1, NOBODY, "workflow.succeeded");
    ck_assert_str_eq (given (), "");
    beat (4, 7);
    is_content ();
    ck_assert (!reel_follow_ended (&follow));
}
END_TEST

START_TEST (index_that_is_not_known_is_asked_for)
{
    begin ("w", 30);
    asks (30);
    empty_page (35);
    deliver (36, 9, "w", "step.started");
    ck_assert_str_eq (given (), "");
    asks (30);
    ck_assert_int_eq (page_of (36, 36, 9, 36, false), REEL_OK);
    deliver (38, 10, "w", "step.started");
    ck_assert_str_eq (given (), "36 38");
    ck_assert_uint_eq (follow.lost, 0);
}
END_TEST

START_TEST (final_event_is_the_end)
{
    settle ("w", 3);
    deliver (4, 4, "w", "workflow.failed");
    ck_assert (!reel_follow_ended (&follow)); /* not before it was given out */
    ck_assert_str_eq (given (), "4");
    ck_assert (reel_follow_ended (&follow));
    now_us += 60 * SECOND;
    is_content ();
    ck_assert_int_eq (reel_follow_wake_us (&follow), INT64_MAX);
    live (5);
    ck_assert_str_eq (given (), "");
}
END_TEST

START_TEST (final_event_of_one_is_no_end_of_all)
{
    settle (NULL, 3);
    deliver (4, 1, "w", "workflow.succeeded");
    live (5);
    ck_assert_str_eq (given (), "4 5");
    ck_assert (!reel_follow_ended (&follow));
}
END_TEST

/* What PUB dropped last of all shows only by nothing coming. */
START_TEST (quiet_workflow_is_asked_about)
{
    settle ("w", 3);
    for (int i = 0; i < 4; i++) {
        now_us += SECOND;
        beat (10 + (uint64_t) i, 7);
        is_content ();
    }
    ck_assert_int_eq (reel_follow_wake_us (&follow), now_us + SECOND);
    now_us += SECOND;
    beat (14, 7);
    asks (3);
    ck_assert_int_eq (page_of (13, 13, 4, 14, false), REEL_OK);
    ck_assert_str_eq (given (), "13");
    now_us += SECOND;
    beat (14, 7);
    is_content (); /* nothing was published since */
}
END_TEST

int
main (void)
{
    const TTest *const tests[] = {
        replays_at_once,
        replays_past_what_is_known_already,
        first_beat_asks_again_whatever_it_says,
        drops_live_events_already_seen,
        live_events_wait_for_the_replay,
        live_events_before_the_asking_wait_too,
        gap_by_seq_is_asked_for,
        second_gap_while_the_first_is_asked_for,
        beat_ahead_is_a_gap,
        pages_follow_each_other,
        progress_is_passed_on_in_its_place,
        one_workflow_goes_by_index,
        others_do_not_count_for_one_workflow,
        index_that_is_not_known_is_asked_for,
        final_event_is_the_end,
        final_event_of_one_is_no_end_of_all,
        quiet_workflow_is_asked_about,
    };
    Suite *suite = suite_create ("client/follow");
    TCase *tcase = suite_case (suite, "follow", NULL, teardown);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        tcase_add_test (tcase, tests[i]);
    return suite_run (suite);
}
