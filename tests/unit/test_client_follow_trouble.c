/*
 * The follower where something is amiss: a broker that is silent, starts again or fails, events that are no longer
 * there, nonsense, and more than may wait.
 */
#include <check.h>

#include "tests/support/follow_fixture.h"
#include "tests/support/suite.h"

/* --- silence, restarts, failures -------------------------------------------------------------- */

START_TEST (silence_asks_and_asks_again)
{
    settle (NULL, 3);
    ck_assert_int_eq (reel_follow_wake_us (&follow), now_us + REEL_FOLLOW_SILENCE_US);
    now_us += REEL_FOLLOW_SILENCE_US - 1;
    is_content ();
    now_us += 1;
    asks (3);
    empty_page (3);
    is_content ();
    now_us += REEL_FOLLOW_SILENCE_US;
    asks (3);
    page (4, 4, 4);
    ck_assert_str_eq (given (), "4");
}
END_TEST

START_TEST (beats_are_no_silence)
{
    settle (NULL, 3);
    for (int i = 0; i < 10; i++) {
        now_us += SECOND;
        beat (3, 7);
        is_content ();
    }
}
END_TEST

START_TEST (new_epoch_asks)
{
    settle (NULL, 3);
    beat (3, 8);
    asks (3);
    empty_page (3);
    beat (3, 8);
    is_content ();
}
END_TEST

START_TEST (failed_asking_is_tried_again_later_and_later)
{
    begin (NULL, 0);
    int64_t wait_us = REEL_FOLLOW_RETRY_US;
    for (int i = 0; i < 6; i++) {
        asks (0);
        reel_follow_failed (&follow, now_us);
        ck_assert_int_eq (reel_follow_wake_us (&follow), now_us + wait_us);
        now_us += wait_us - 1;
        is_content ();
        now_us += 1;
        wait_us = wait_us * 2 < REEL_FOLLOW_RETRY_MAX_US ? wait_us * 2 : REEL_FOLLOW_RETRY_MAX_US;
    }
    asks (0);
    page (1, 1, 1);
    ck_assert_str_eq (given (), "1");
    live (3);
    asks (1);
    reel_follow_failed (&follow, now_us);
    ck_assert_int_eq (reel_follow_wake_us (&follow), now_us + REEL_FOLLOW_RETRY_US);
}
END_TEST

START_TEST (other_history_is_an_error)
{
    settle (NULL, 9);
    beat (2, 8);
    asks (9);
    struct reel_buf none = {0};
    reel_pack_array (&none, 0);
    struct reel_follow_page short_one = {.last_seq = 2, .events = reel_buf_slice (&none)};
    ck_assert_int_eq (reel_follow_page (&follow, now_us, &short_one, &err), REEL_INVALID);
    ck_assert_str_eq (err.code, "journal_replaced");
    reel_buf_free (&none);
}
END_TEST

/* --- what is no longer there ------------------------------------------------------------------ */

START_TEST (pruned_before_the_start_is_no_loss)
{
    begin (NULL, 0);
    asks (0);
    page (100, 101, 101);
    ck_assert_str_eq (given (), "100 101");
    ck_assert_uint_eq (follow.lost, 0);
}
END_TEST

START_TEST (pruned_after_a_given_start_is_counted)
{
    begin (NULL, 50);
    asks (50);
    page (100, 101, 101);
    ck_assert_str_eq (given (), "100 101");
    ck_assert_uint_eq (follow.lost, 49);
}
END_TEST

START_TEST (pruned_of_one_workflow_is_counted)
{
    begin ("w", 0);
    asks (0);
    ck_assert_int_eq (page_of (100, 101, 5, 101, false), REEL_OK);
    ck_assert_str_eq (given (), "100 101");
    ck_assert_uint_eq (follow.lost, 4);
}
END_TEST

START_TEST (pruned_to_the_last_is_counted_and_does_not_hang)
{
    settle (NULL, 3);
    live (6);
    asks (3);
    empty_page (6);
    ck_assert_str_eq (given (), "");
    ck_assert_uint_eq (follow.lost, 3);
    is_content ();
    live (7);
    ck_assert_str_eq (given (), "7");
}
END_TEST

/* --- nonsense --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *bytes;
    size_t len;
} nonsense[] = {
    {"nothing", "", 0},
    {"no msgpack", "\xdf\xff\xff\xff\xff", 5},
    {"bytes left over", "\x80\x80", 2},
    {"no map", "\x93\x01\x02\x03", 4},
    {"an empty map", "\x80", 1},
    {"a kind of another type", "\x81\xa4kind\x01", 7},
};

START_TEST (live_nonsense_is_passed_over)
{
    settle (NULL, 3);
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        deliver_bytes ("event/w/k", reel_slice (nonsense[i].bytes, nonsense[i].len));
        deliver_bytes ("beat", reel_slice (nonsense[i].bytes, nonsense[i].len));
        deliver_bytes ("receipt/w", reel_slice (nonsense[i].bytes, nonsense[i].len));
        deliver_bytes ("", reel_slice (nonsense[i].bytes, nonsense[i].len));
    }
    deliver (9, 1, "w", "step.started");
    struct reel_buf no_index = {0};
    reel_pack_map (&no_index, 3);
    reel_pack_text (&no_index, "seq");
    reel_pack_uint (&no_index, 4);
    reel_pack_text (&no_index, "workflow_id");
    reel_pack_text (&no_index, "w");
    reel_pack_text (&no_index, "kind");
    reel_pack_text (&no_index, "k");
    deliver_bytes ("event/w/k", reel_buf_slice (&no_index));
    reel_buf_free (&no_index);
    ck_assert_str_eq (given (), "");
    asks (3); /* because of 9 alone */
    page (4, 9, 9);
    ck_assert_str_eq (given (), "4 5 6 7 8 9");
}
END_TEST

START_TEST (pages_of_nonsense_are_errors)
{
    static const struct {
        uint64_t from, to;
        bool more;
    } pages[] = {
        {3, 4, false}, /* begins at what was given out */
        {1, 0, true},  /* promises more and brings nothing */
    };
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        settle (NULL, 3);
        live (9);
        asks (3);
        ck_assert_int_eq (page_of (pages[i].from, pages[i].to, pages[i].from, 9, pages[i].more), REEL_INVALID);
        ck_assert_str_eq (err.code, "malformed");
        reel_follow_free (&follow);
    }
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        settle (NULL, 3);
        live (9);
        asks (3);
        struct reel_follow_page page = {.last_seq = 9, .events = reel_slice (nonsense[i].bytes, nonsense[i].len)};
        ck_assert_msg (reel_follow_page (&follow, now_us, &page, &err) == REEL_INVALID, "%s", nonsense[i].name);
        reel_follow_free (&follow);
    }
}
END_TEST

/* A gap that is long in filling does not gather events without bound, and loses none by that. */
START_TEST (waiting_is_bounded)
{
    static uint8_t filler[60000];
    struct reel_buf body = {0};
    settle (NULL, 3);
    live (5);
    asks (3);
    uint64_t last = 5;
    while (last < 120) {
        last++;
        reel_buf_clear (&body);
        reel_pack_map (&body, 5);
        reel_pack_text (&body, "seq");
        reel_pack_uint (&body, last);
        reel_pack_text (&body, "index");
        reel_pack_uint (&body, last);
        reel_pack_text (&body, "workflow_id");
        reel_pack_text (&body, "w");
        reel_pack_text (&body, "kind");
        reel_pack_text (&body, "k");
        reel_pack_text (&body, "filler");
        reel_pack_bin (&body, reel_slice (filler, sizeof filler));
        deliver_bytes ("event/w/k", reel_buf_slice (&body));
        ck_assert_uint_le (follow.waiting.len, REEL_FOLLOW_WAITING_BYTES_MAX);
    }
    page (4, 5, 120);
    uint64_t have = follow.checked;
    ck_assert_uint_gt (have, 60);
    ck_assert_uint_lt (have, 120);
    asks (have);
    page (have + 1, 120, 120);
    is_content ();
    ck_assert_uint_eq (follow.checked, 120);
    ck_assert_uint_eq (follow.lost, 0);
    reel_buf_free (&body);
}
END_TEST

int
main (void)
{
    const TTest *const tests[] = {
        silence_asks_and_asks_again,
        beats_are_no_silence,
        new_epoch_asks,
        failed_asking_is_tried_again_later_and_later,
        other_history_is_an_error,
        pruned_before_the_start_is_no_loss,
        pruned_after_a_given_start_is_counted,
        pruned_of_one_workflow_is_counted,
        pruned_to_the_last_is_counted_and_does_not_hang,
        live_nonsense_is_passed_over,
        pages_of_nonsense_are_errors,
        waiting_is_bounded,
    };
    Suite *suite = suite_create ("client/follow, trouble");
    TCase *tcase = suite_case (suite, "trouble", NULL, teardown);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        tcase_add_test (tcase, tests[i]);
    return suite_run (suite);
}
