/*
 * The loop: timers in order and never early, descriptors, children, turns, and taking any of them away from within.
 */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "tests/support/call.h"
#include "tests/support/suite.h"
#include "worker/loop.h"

static struct reel_loop *loop;

static void
set_up (void)
{
    ck_assert_int_eq (reel_loop_create (&loop), REEL_OK);
}

static void
tear_down (void)
{
    reel_loop_destroy (&loop);
    ck_assert_ptr_null (loop);
    reel_loop_destroy (&loop);
}

/* --- timers ------------------------------------------------------------------------------- */

#define MANY 2000

static struct reel_timer timers[MANY];
static int64_t last_us;
static unsigned fired, expected;

static void
in_order (struct reel_timer *timer)
{
    ck_assert (!timer->armed);
    ck_assert_int_ge (timer->at_us, last_us);
    ck_assert_int_le (timer->at_us, reel_clock_monotonic_us ());
    last_us = timer->at_us;
    if (++fired == expected)
        reel_loop_stop (loop);
}

START_TEST (timers_fire_in_order_whatever_was_moved_or_taken_away)
{
    struct reel_random random;
    reel_random_seed (&random, (uint64_t) _i);
    int64_t base_us = reel_clock_monotonic_us ();
    last_us = 0;
    fired = expected = 0;
    for (size_t i = 0; i < MANY; i++)
        timers[i] = (struct reel_timer){.due = in_order};
    for (size_t i = 0; i < 5 * MANY; i++) {
        struct reel_timer *timer = &timers[reel_random_below (&random, MANY)];
        if (reel_random_below (&random, 3) == 0)
            reel_loop_disarm (loop, timer);
        else
            reel_loop_arm (loop, timer, base_us + (int64_t) reel_random_below (&random, 20000));
    }
    for (size_t i = 0; i < MANY; i++)
        expected += timers[i].armed;
    ck_assert_uint_gt (expected, MANY / 4);
    ck_assert_int_eq (reel_loop_run (loop), REEL_OK);
    ck_assert_uint_eq (fired, expected);
}
END_TEST

static void
disarm_the_second (struct reel_timer *timer)
{
    (void) timer;
    reel_loop_disarm (loop, &timers[1]);
}

static void
stop (struct reel_timer *timer)
{
    (void) timer;
    reel_loop_stop (loop);
}

static void
never (struct reel_timer *timer)
{
    (void) timer;
    ck_abort_msg ("it was taken away");
}

START_TEST (timer_taken_away_by_another_does_not_fire)
{
    int64_t now_us = reel_clock_monotonic_us ();
    timers[0] = (struct reel_timer){.due = disarm_the_second};
    timers[1] = (struct reel_timer){.due = never};
    timers[2] = (struct reel_timer){.due = stop};
    for (int i = 0; i < 3; i++)
        reel_loop_arm (loop, &timers[i], now_us + i);
    ck_assert_int_eq (reel_loop_run (loop), REEL_OK);
}
END_TEST

static unsigned rounds;

static void
again (struct reel_timer *timer)
{
    if (++rounds == 5)
        reel_loop_stop (loop);
    else
        reel_loop_arm (loop, timer, reel_clock_monotonic_us () + 1000);
}

START_TEST (timer_may_arm_itself_again)
{
    rounds = 0;
    int64_t before_us = reel_clock_monotonic_us ();
    timers[0] = (struct reel_timer){.due = again};
    reel_loop_arm (loop, &timers[0], 0);
    ck_assert_int_eq (reel_loop_run (loop), REEL_OK);
    ck_assert_uint_eq (rounds, 5);
    ck_assert_int_ge (reel_clock_monotonic_us () - before_us, 4000);
}
END_TEST

/* --- descriptors -------------------------------------------------------------------------- */

static struct reel_watch watches[2];
static unsigned ready_count;

static void
take_the_other_away (struct reel_watch *watch, uint32_t events)
{
    ck_assert (events & EPOLLIN);
    ready_count++;
    reel_loop_unwatch (loop, &watches[watch == &watches[0]]);
    reel_loop_unwatch (loop, watch);
    reel_loop_stop (loop);
}

START_TEST (watch_taken_away_in_the_same_turn_is_not_called)
{
    int ends[2][2];
    ready_count = 0;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq (pipe2 (ends[i], O_CLOEXEC), 0);
        ck_assert_int_eq (write (ends[i][1], "x", 1), 1);
        watches[i] = (struct reel_watch){.fd = ends[i][0], .ready = take_the_other_away};
        ck_assert_int_eq (reel_loop_watch (loop, &watches[i], EPOLLIN), REEL_OK);
    }
    ck_assert_int_eq (reel_loop_run (loop), REEL_OK);
    ck_assert_uint_eq (ready_count, 1);
    for (int i = 0; i < 4; i++)
        close (ends[i / 2][i % 2]);
}
END_TEST

static void
see_the_end (struct reel_watch *watch, uint32_t events)
{
    ck_assert (events & EPOLLHUP);
    ready_count++;
    reel_loop_unwatch (loop, watch);
    reel_loop_stop (loop);
}

START_TEST (watch_hears_of_the_other_end_closing)
{
    int ends[2];
    ready_count = 0;
    ck_assert_int_eq (pipe2 (ends, O_CLOEXEC), 0);
    close (ends[1]);
    watches[0] = (struct reel_watch){.fd = ends[0], .ready = see_the_end};
    ck_assert_int_eq (reel_loop_watch (loop, &watches[0], EPOLLIN), REEL_OK);
    ck_assert_int_eq (reel_loop_run (loop), REEL_OK);
    ck_assert_uint_eq (ready_count, 1);
    close (ends[0]);
}
END_TEST

START_TEST (watch_refuses_what_cannot_be_watched)
{
    watches[0] = (struct reel_watch){.fd = -1, .ready = see_the_end};
    ck_assert_int_eq (reel_loop_watch (loop, &watches[0], EPOLLIN), REEL_IO);
    ck_assert (!watches[0].added);
    reel_loop_unwatch (loop, &watches[0]);
}
END_TEST

/* --- children ----------------------------------------------------------------------------- */

static unsigned exits;

static void
child_exited (struct reel_child *child)
{
    (void) child;
    if (++exits == 3)
        reel_loop_stop (loop);
}

static pid_t
start (const char *script)
{
    pid_t pid;
    char *const argv[] = {(char *) "sh", (char *) "-c", (char *) script, NULL};
    char *const envp[] = {NULL};
    ck_assert_int_eq (posix_spawn (&pid, "/bin/sh", NULL, NULL, argv, envp), 0);
    return pid;
}

START_TEST (children_are_told_of_and_reaped_one_by_one)
{
    static const char *const scripts[] = {"exit 0", "exit 7", "kill -9 $$"};
    static const int statuses[] = {0, 7 << 8, SIGKILL};
    struct reel_child children[3] = {0};
    exits = 0;
    for (int i = 0; i < 3; i++) {
        children[i] = (struct reel_child){.pid = start (scripts[i]), .exited = child_exited};
        ck_assert_int_eq (reel_loop_add_child (loop, &children[i]), REEL_OK);
        ck_assert (reel_loop_has_child (loop, children[i].pid));
    }
    ck_assert_int_eq (reel_loop_run (loop), REEL_OK);
    for (int i = 1; i < 4; i++) {
        int status = -1;
        reel_loop_reap_child (loop, &children[i % 3], &status);
        ck_assert_int_eq (status, statuses[i % 3]);
        ck_assert (!reel_loop_has_child (loop, children[i % 3].pid));
    }
    ck_assert_int_eq (waitpid (-1, NULL, WNOHANG), -1);
}
END_TEST

START_TEST (child_that_there_is_none_of_is_refused)
{
    pid_t pid = start ("exit 0");
    ck_assert_int_eq (waitpid (pid, NULL, 0), pid);
    struct reel_child child = {.pid = pid, .exited = child_exited};
    ck_assert_int_eq (reel_loop_add_child (loop, &child), REEL_IO);
    ck_assert (!child.added && !reel_loop_has_child (loop, pid));
}
END_TEST

/* --- turns -------------------------------------------------------------------------------- */

static bool
three_turns (struct reel_turn *turn)
{
    (void) turn;
    if (++rounds == 3)
        reel_loop_stop (loop);
    return true; /* nothing else would wake the loop */
}

START_TEST (turn_with_more_to_do_keeps_the_loop_from_waiting)
{
    struct reel_turn turn = {.ended = three_turns};
    rounds = 0;
    reel_loop_add_turn (loop, &turn);
    ck_assert_int_eq (reel_loop_run (loop), REEL_OK);
    ck_assert_uint_eq (rounds, 3);
    reel_loop_remove_turn (loop, &turn);
    timers[0] = (struct reel_timer){.due = stop};
    reel_loop_arm (loop, &timers[0], 0);
    ck_assert_int_eq (reel_loop_run (loop), REEL_OK);
    ck_assert_uint_eq (rounds, 3);
}
END_TEST

static bool
after_the_timer (struct reel_turn *turn)
{
    *(unsigned *) turn->context = fired;
    return false;
}

START_TEST (turn_sees_what_the_last_turn_brought)
{
    unsigned seen = 99;
    struct reel_turn turn = {.ended = after_the_timer, .context = &seen};
    fired = 0;
    expected = 1;
    last_us = 0;
    timers[0] = (struct reel_timer){.due = in_order};
    reel_loop_arm (loop, &timers[0], reel_clock_monotonic_us ());
    reel_loop_add_turn (loop, &turn);
    ck_assert_int_eq (reel_loop_run (loop), REEL_OK);
    ck_assert_uint_eq (seen, 1);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("loop");
    TCase *tc = suite_case (suite, "loop", set_up, tear_down);
    tcase_add_loop_test (tc, timers_fire_in_order_whatever_was_moved_or_taken_away, 0, 10);
    tcase_add_test (tc, timer_taken_away_by_another_does_not_fire);
    tcase_add_test (tc, timer_may_arm_itself_again);
    tcase_add_test (tc, watch_taken_away_in_the_same_turn_is_not_called);
    tcase_add_test (tc, watch_hears_of_the_other_end_closing);
    tcase_add_test (tc, watch_refuses_what_cannot_be_watched);
    tcase_add_test (tc, turn_with_more_to_do_keeps_the_loop_from_waiting);
    tcase_add_test (tc, turn_sees_what_the_last_turn_brought);
    if (call_has_children ()) {
        tcase_add_test (tc, children_are_told_of_and_reaped_one_by_one);
        tcase_add_test (tc, child_that_there_is_none_of_is_refused);
    }
    return suite_run (suite);
}
