/*
 * The clocks of a machine that was suspended: CLOCK_BOOTTIME has gone on, CLOCK_MONOTONIC has not.
 */
#include <check.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/call.h"
#include "tests/support/scratch.h"
#include "tests/support/suite.h"
#include "worker/adapter_function.h"

#define HOUR_US INT64_C (3600000000)

static int64_t suspended_us;

/* In the place of the C library's: what the kernel says, on a machine that was suspended for so long. */
int
clock_gettime (clockid_t clock, struct timespec *now)
{
    int result = (int) syscall (SYS_clock_gettime, clock, now);
    if (clock == CLOCK_BOOTTIME)
        now->tv_sec += suspended_us / 1000000;
    return result;
}

static int64_t
monotonic_us (void)
{
    struct timespec now;
    ck_assert_int_eq (clock_gettime (CLOCK_MONOTONIC, &now), 0);
    return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void
suspend (void)
{
    suspended_us += HOUR_US;
}

START_TEST (time_passes_while_the_machine_is_suspended)
{
    int64_t before_us = reel_clock_monotonic_us (), wall_us = reel_clock_wall_us ();
    suspend ();
    ck_assert_int_ge (reel_clock_monotonic_us () - before_us, HOUR_US);
    ck_assert_int_lt (reel_clock_monotonic_us () - before_us, 2 * HOUR_US);
    ck_assert_int_lt (reel_clock_wall_us () - wall_us, HOUR_US);
}
END_TEST

static void
due (struct reel_timer *timer)
{
    reel_loop_stop (timer->context);
}

START_TEST (timer_is_due_at_the_first_look_after_it)
{
    struct reel_loop *loop = NULL;
    ck_assert_int_eq (reel_loop_create (&loop), REEL_OK);
    struct reel_timer timer = {.due = due, .context = loop};
    reel_loop_arm (loop, &timer, reel_clock_monotonic_us () + HOUR_US / 2);
    suspend ();
    ck_assert_int_eq (reel_loop_run (loop), REEL_OK);
    reel_loop_destroy (&loop);
}
END_TEST

static int64_t left_us;

static int
look (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    (void) reply;
    (void) context;
    left_us = call->deadline_us - monotonic_us ();
    return 0;
}

START_TEST (plugin_is_told_its_deadline_on_the_clock_of_its_abi)
{
    struct call_bench bench;
    struct reel_adapter *adapter = NULL;
    char work[SCRATCH_BYTES];
    scratch_make (work, false);
    const struct reel_function_setup setup = {
        .name = "mine", .class = REEL_ADAPTER_NEITHER, .function = look, .work = work};
    suspend ();
    call_bench_init (&bench);
    bench.call.timeout_ms = 60000;
    ck_assert_int_eq (reel_adapter_function_create (&setup, &adapter), REEL_OK);
    call_bench_run (&bench, adapter);
    ck_assert_str_eq (call_bench_output (&bench), "");
    ck_assert_int_gt (left_us, 0);
    ck_assert_int_le (left_us, 60000000);
    adapter->destroy (adapter);
    call_bench_free (&bench);
    scratch_remove (work);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("clock");
    TCase *tcase = tcase_create ("clock");
    tcase_add_test (tcase, time_passes_while_the_machine_is_suspended);
    tcase_add_test (tcase, timer_is_due_at_the_first_look_after_it);
    tcase_add_test (tcase, plugin_is_told_its_deadline_on_the_clock_of_its_abi);
    suite_add_tcase (suite, tcase);
    return suite_run (suite);
}
