/*
 * How exec ends commands: a timeout or a cancel, the grace, and all that the command began; nothing of it is left.
 */
#include <check.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/exec_fixture.h"
#include "tests/support/suite.h"

/* --- timeout and cancel --------------------------------------------------------------------------------- */

START_TEST (timeout_of_the_step_ends_it)
{
    bench.call.timeout_ms = 50;
    setup.grace_ms = 60000;
    int64_t before_ms = call_now_ms ();
    run ("exec sleep 60");
    ck_assert_int_ge (call_now_ms () - before_ms, 49);
    ck_assert_int_lt (call_now_ms () - before_ms, 30000);
    expect_failure ("timeout", true, true);
    ck_assert_str_eq ((const char *) bench.detail.data, "{\"timeout_ms\":50,\"stderr\":\"\"}");
}
END_TEST

START_TEST (command_that_ignores_term_is_killed_after_the_grace)
{
    bench.cancel_at = 1;
    setup.grace_ms = 100;
    int64_t before_ms = call_now_ms ();
    run ("trap '' TERM; echo '{{\"progress\":0}}'; while :; do sleep 0.02; done");
    ck_assert_int_ge (call_now_ms () - before_ms, 99);
    expect_failure ("cancelled", false, true);
}
END_TEST

START_TEST (command_that_cleans_up_at_term_has_its_grace)
{
    setup.keep = REEL_EXEC_KEEP_ALWAYS;
    bench.cancel_at = 1;
    run ("trap 'echo clean >done; exit 0' TERM; echo '{{\"progress\":0}}'; while :; do sleep 0.02; done");
    expect_failure ("cancelled", false, true);
    char *text = call_read_file (work, "wf/step.1.1/done");
    ck_assert_str_eq (text, "clean\n");
    free (text);
}
END_TEST

/* What a command does when it is told to end, and what becomes of it; output NULL: it was ended. */
static const struct {
    const char *at_term, *output;
} endings[] = {
    {"echo \"$paid\"; exit 0", "{\"paid\":1}"},
    {"echo \"$paid\"; sh -c \"sleep 1000; :\" & exit 0", "{\"paid\":1}"},
    {"echo \"$paid\"; exit 1", NULL},
    {"echo \"$paid\"; kill -KILL $$", NULL},
    {"echo \"$paid\"; while :; do sleep 1; done", NULL},
    {"printf \"{{\"; exit 0", NULL},
    {"exit 0", NULL},
};

/* Ends the command by a cancel, or by a timeout when one is set. */
static void
end_at (const char *at_term)
{
    char script[512];
    bench.cancel_at = bench.call.timeout_ms > 0 ? 0 : 1;
    setup.grace_ms = 200;
    snprintf (script, sizeof script,
              "paid='{{\"paid\":1}}'; trap '%s' TERM; echo '{{\"progress\":0}}'; while :; do sleep 0.02; done",
              at_term);
    run (script);
}

START_TEST (output_that_comes_late_is_taken)
{
    end_at (endings[_i].at_term);
    if (endings[_i].output != NULL)
        ck_assert_str_eq (call_bench_output (&bench), endings[_i].output);
    else
        expect_failure ("cancelled", false, true);
}
END_TEST

START_TEST (output_that_comes_after_the_timeout_is_taken)
{
    bench.call.timeout_ms = 1500; /* by then it has its trap */
    end_at (endings[0].at_term);
    ck_assert_str_eq (call_bench_output (&bench), endings[0].output);
}
END_TEST

START_TEST (too_much_output_is_no_success_by_its_end)
{
    setup.output_bytes_max = 10;
    run ("trap 'exit 0' TERM; echo '{{\"a\":\"xxxxxxxxxxxxxxxx\"}}'; while :; do sleep 0.02; done");
    expect_failure ("limit_exceeded", false, false);
}
END_TEST

START_TEST (command_that_had_exited_is_not_ended_by_a_cancel)
{
    /* Its own child holds its output open, and is what the cancel ends. */
    bench.cancel_at = 1;
    setup.grace_ms = 60000;
    run ("sh -c 'while kill -0 \"$1\" && ! grep -q \"^State:.Z\" /proc/$1/status; do sleep 0.01; done; sleep 0.1; "
         "echo \"{{\\\"progress\\\":1}}\"; exec sleep 1000' sh $$ & exit 0");
    ck_assert_str_eq (call_bench_output (&bench), "{}");
}
END_TEST

START_TEST (hook_that_is_late_failed)
{
    bench.call.hook = REEL_HOOK_POST_STEP;
    bench.call.timeout_ms = 300;
    end_at (endings[0].at_term);
    expect_failure ("timeout", true, true);
}
END_TEST

START_TEST (cancelling_twice_does_not_wait_for_the_grace)
{
    bench.cancel_at = 1;
    bench.cancel_times = 2;
    setup.grace_ms = 60000;
    run ("trap '' TERM; echo '{{\"progress\":0}}'; while :; do sleep 0.02; done");
    expect_failure ("cancelled", false, true);
}
END_TEST

/* --- processes --------------------------------------------------------------------------------------- */

/* The numbers that the command left in its file `pids`; none of them lives. */
static void
expect_gone (unsigned count)
{
    char *text = call_read_file (work, "wf/step.1.1/pids");
    ck_assert_ptr_nonnull (text);
    unsigned seen = 0;
    for (char *at = text, *end; *at != '\0'; at = end + 1, seen++) {
        long pid = strtol (at, &end, 10);
        ck_assert_int_gt (pid, 1);
        ck_assert_msg (!call_process_lives (pid), "process %ld of %s", pid, text);
    }
    ck_assert_uint_eq (seen, count);
    free (text);
}

START_TEST (cancel_ends_the_whole_group)
{
    setup.keep = REEL_EXEC_KEEP_ALWAYS;
    bench.cancel_at = 1;
    run ("echo $$ >pids; for i in 1 2 3; do sh -c 'echo $$ >>pids; sleep 1000; :' & done; "
         "while [ $(wc -l <pids) -lt 4 ]; do sleep 0.01; done; echo '{{\"progress\":0}}'; wait");
    expect_failure ("cancelled", false, true);
    expect_gone (4);
}
END_TEST

START_TEST (grandchildren_that_ignore_term_are_killed)
{
    setup.keep = REEL_EXEC_KEEP_ALWAYS;
    setup.grace_ms = 100;
    bench.cancel_at = 1;
    run ("sh -c 'trap \"\" TERM; echo $$ >pids; while :; do sleep 0.02; done' & "
         "while [ ! -s pids ]; do sleep 0.01; done; echo '{{\"progress\":0}}'; wait");
    expect_failure ("cancelled", false, true);
    expect_gone (1);
}
END_TEST

START_TEST (background_of_a_command_that_succeeded_is_killed)
{
    setup.keep = REEL_EXEC_KEEP_ALWAYS;
    setup.grace_ms = 60000;
    int64_t before_ms = call_now_ms ();
    run ("sh -c 'echo $$ >pids; sleep 1000; :' >/dev/null 2>&1 & while [ ! -s pids ]; do sleep 0.01; done; echo "
         "'{{\"a\":1}}'");
    ck_assert_str_eq (call_bench_output (&bench), "{\"a\":1}");
    ck_assert_int_lt (call_now_ms () - before_ms, 30000); /* nothing was held open: no grace */
    expect_gone (1);
}
END_TEST

START_TEST (output_held_open_is_waited_for_until_the_grace)
{
    setup.keep = REEL_EXEC_KEEP_ALWAYS;
    setup.grace_ms = 150;
    int64_t before_ms = call_now_ms ();
    run ("sh -c 'echo $$ >pids; sleep 1000; :' & while [ ! -s pids ]; do sleep 0.01; done; echo '{{\"a\":1}}'");
    ck_assert_int_ge (call_now_ms () - before_ms, 149);
    ck_assert_str_eq (call_bench_output (&bench), "{\"a\":1}");
    expect_gone (1);
}
END_TEST

START_TEST (double_forks_are_found_and_killed)
{
    /* In a session of its own, and with a child that it leaves behind when it is killed. */
    setup.keep = REEL_EXEC_KEEP_ALWAYS;
    run ("setsid sh -c 'echo $$ >>pids; setsid sh -c \"echo \\$\\$ >>pids; exec sleep 1000\" & sleep 1000; :' "
         ">/dev/null 2>&1 </dev/null & "
         "i=0; while [ ! -f pids ] || [ $(wc -l <pids) -lt 2 ]; do sleep 0.01; done; echo '{{\"a\":1}}'");
    ck_assert_str_eq (call_bench_output (&bench), "{\"a\":1}");
    expect_gone (2);
}
END_TEST

START_TEST (strays_of_other_steps_are_left_alone)
{
    /* An orphan that carries another step's key comes down to us as well. */
    setup.keep = REEL_EXEC_KEEP_ALWAYS;
    run ("REEL_IDEMPOTENCY_KEY=wf/other setsid sh -c 'echo $$ >pids; sleep 1000; :' >/dev/null 2>&1 </dev/null & "
         "while [ ! -s pids ]; do sleep 0.01; done");
    char *text = call_read_file (work, "wf/step.1.1/pids");
    long pid = strtol (text, NULL, 10);
    free (text);
    ck_assert (call_process_lives (pid));
    bench.call.idempotency_key = reel_slice_text ("wf/other");
    run ("true");
    ck_assert (!call_process_lives (pid));
}
END_TEST

static pthread_barrier_t turns;

/* As system(3) does in a C function: begins a child, and waits for it; a step ends between the child's end and that. */
static void *
wait_for_child (void *status)
{
    siginfo_t about;
    pid_t pid = fork ();
    if (pid == 0)
        _exit (7);
    (void) waitid (P_PID, (id_t) pid, &about, WEXITED | WNOWAIT);
    (void) pthread_barrier_wait (&turns);
    (void) pthread_barrier_wait (&turns);
    if (waitpid (pid, status, 0) != pid)
        *(int *) status = -1;
    return NULL;
}

START_TEST (children_of_other_threads_are_left_to_them)
{
    pthread_t thread;
    int status = 0;
    ck_assert_int_eq (pthread_barrier_init (&turns, NULL, 2), 0);
    ck_assert_int_eq (pthread_create (&thread, NULL, wait_for_child, &status), 0);
    (void) pthread_barrier_wait (&turns);
    run ("echo '{{\"a\":1}}'");
    ck_assert_str_eq (call_bench_output (&bench), "{\"a\":1}");
    (void) pthread_barrier_wait (&turns);
    ck_assert_int_eq (pthread_join (thread, NULL), 0);
    ck_assert (WIFEXITED (status) && WEXITSTATUS (status) == 7);
    ck_assert_int_eq (pthread_barrier_destroy (&turns), 0);
}
END_TEST

/* --- descriptors -------------------------------------------------------------------------------------- */

static unsigned
open_descriptors (void)
{
    unsigned count = 0;
    DIR *dir = opendir ("/proc/self/fd");
    while (readdir (dir) != NULL)
        count++;
    closedir (dir);
    return count;
}

START_TEST (descriptors_do_not_leak)
{
    run ("true");
    unsigned before = open_descriptors ();
    for (int i = 0; i < 20; i++) {
        run (i % 2 == 0 ? "true" : "exit 1");
        setup.command = i % 5 == 0 ? "/nonexistent" : "/bin/sh";
    }
    ck_assert_uint_eq (open_descriptors (), before);
}
END_TEST

int
main (void)
{
    if (!call_has_children ())
        return EXIT_SUCCESS;
    Suite *suite = suite_create ("adapter_exec, end");
    TCase *tests = suite_case (suite, "end", set_up, tear_down);
    tcase_add_test (tests, timeout_of_the_step_ends_it);
    tcase_add_test (tests, command_that_ignores_term_is_killed_after_the_grace);
    tcase_add_test (tests, command_that_cleans_up_at_term_has_its_grace);
    tcase_add_loop_test (tests, output_that_comes_late_is_taken, 0, sizeof endings / sizeof endings[0]);
    tcase_add_test (tests, output_that_comes_after_the_timeout_is_taken);
    tcase_add_test (tests, too_much_output_is_no_success_by_its_end);
    tcase_add_test (tests, command_that_had_exited_is_not_ended_by_a_cancel);
    tcase_add_test (tests, hook_that_is_late_failed);
    tcase_add_test (tests, cancelling_twice_does_not_wait_for_the_grace);
    tcase_add_test (tests, cancel_ends_the_whole_group);
    tcase_add_test (tests, grandchildren_that_ignore_term_are_killed);
    tcase_add_test (tests, background_of_a_command_that_succeeded_is_killed);
    tcase_add_test (tests, output_held_open_is_waited_for_until_the_grace);
    tcase_add_test (tests, double_forks_are_found_and_killed);
    tcase_add_test (tests, strays_of_other_steps_are_left_alone);
    tcase_add_test (tests, children_of_other_threads_are_left_to_them);
    tcase_add_test (tests, descriptors_do_not_leak);
    return suite_run (suite);
}
