/*
 * The run machine's policy of a step: what is in force of the step's and the worker's own, which errors are tried again,
 * how often, and after how long.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "tests/support/run_fixture.h"
#include "tests/support/suite.h"

START_TEST (policy_says_what_is_in_force)
{
    static const struct {
        const char *step;
        enum reel_in_doubt worker;
        const char *started;
    } cases[] = {{"", REEL_IN_DOUBT_UNSET, "started a 1 idempotent hold"},
                 {"", REEL_IN_DOUBT_RETRY, "started a 1 idempotent retry"},
                 {"", REEL_IN_DOUBT_FAIL, "started a 1 idempotent fail"},
                 {",'policy':{'in_doubt':'hold'}", REEL_IN_DOUBT_FAIL, "started a 1 idempotent hold"},
                 {",'policy':{'in_doubt':'retry'}", REEL_IN_DOUBT_UNSET, "started a 1 idempotent retry"},
                 {",'policy':{'in_doubt':'fail'}", REEL_IN_DOUBT_RETRY, "started a 1 idempotent fail"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char step[128] = "{'step_id':'a','modality':'idem'";
        strncat (step, cases[i].step, sizeof step - strlen (step) - 2);
        strncat (step, "}", sizeof step - strlen (step) - 1);
        bench.defaults.in_doubt = cases[i].worker;
        run_bench_start (&bench, WORKFLOW (step));
        run_bench_expect (&bench, cases[i].started, "dispatch a 1");
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

START_TEST (policy_takes_the_timeout_of_the_step_before_the_workers)
{
    bench.defaults.timeout_ms = 500;
    run_bench_start (&bench,
                     WORKFLOW (STEP ("a", "idem", ",'policy':{'timeout_ms':7}"), STEP ("b", "idem", ",'policy':{}")));
    ck_assert_int_eq (bench.call.timeout_ms, 7);
    run_bench_succeed (&bench, "{}");
    ck_assert_int_eq (bench.call.timeout_ms, 500);
}
END_TEST

START_TEST (policy_is_one_attempt_by_default)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_fail (&bench, "busy", "r");
    run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1", "failed a busy", "ended", "END");
    ck_assert_str_eq (run_bench_of_error (&bench, "a", "/retryable"), "true");
}
END_TEST

START_TEST (policy_stops_after_max_attempts)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ",'policy':{'retry':{'max_attempts':2}}")));
    run_bench_fail (&bench, "busy", "r");
    run_bench_fail (&bench, "busier", "r");
    run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1", "retrying a busy 0",
                      "started a 2 idempotent hold", "dispatch a 2", "failed a busier", "ended", "END");
}
END_TEST

START_TEST (policy_of_the_worker_gives_attempts_too)
{
    bench.defaults.max_attempts = 2;
    run_bench_start (&bench,
                     WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", ",'policy':{'retry':{'max_attempts':1}}")));
    run_bench_fail (&bench, "busy", "r");
    run_bench_fail (&bench, "busy", "r");
    run_bench_fail (&bench, "busy", "r");
    run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1", "retrying a busy 0",
                      "started a 2 idempotent hold", "dispatch a 2", "failed a busy", "started b 1 idempotent hold",
                      "dispatch b 1", "failed b busy", "ended", "END");
}
END_TEST

START_TEST (policy_retries_only_what_may_be)
{
    static const struct {
        const char *modality, *in_doubt, *code, *how;
        bool again;
    } cases[] = {
        {"idem", "hold", "busy", "", false},     {"idem", "hold", "busy", "r", true},
        {"idem", "hold", "lost", "ro", true},    {"idem", "fail", "lost", "ro", true},
        {"idem", "hold", "timeout", "r", true},  {"idem", "hold", "timeout", "", false},
        {"paid", "hold", "busy", "r", true},     {"paid", "hold", "busy", "", false},
        {"paid", "hold", "lost", "ro", false},   {"paid", "fail", "lost", "ro", false},
        {"paid", "retry", "lost", "ro", true},   {"paid", "retry", "lost", "o", false},
        {"paid", "hold", "timeout", "r", false}, {"paid", "retry", "timeout", "r", true},
        {"resum", "hold", "lost", "ro", false},  {"resum", "retry", "lost", "ro", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char step[256];
        snprintf (step, sizeof step, "{'step_id':'a','modality':'%s'" THREE ",'in_doubt':'%s'}}", cases[i].modality,
                  cases[i].in_doubt);
        run_bench_start (&bench, WORKFLOW (step));
        run_bench_answer (&bench);
        run_bench_fail (&bench, cases[i].code, cases[i].how);
        ck_assert_msg ((status_of ("a") == REEL_STEP_RUNNING) == cases[i].again, "case %zu", i);
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

START_TEST (policy_counts_on_from_the_attempts_that_were_lost)
{
    bench.setup.attempts = 2;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", THREE "}"), STEP ("b", "idem", THREE "}")));
    run_bench_fail (&bench, "busy", "r");
    run_bench_expect (&bench, "started a 3 idempotent hold", "dispatch a 3", "failed a busy",
                      "started b 1 idempotent hold", "dispatch b 1");
    ck_assert_uint_eq (bench.call.attempt, 1);
}
END_TEST

START_TEST (policy_gives_a_redelivered_step_its_attempt)
{
    bench.setup.attempts = 7;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "started a 8 idempotent hold", "dispatch a 8", "succeeded a", "ended", "END");
    ck_assert_str_eq (run_bench_of_receipt (&bench, "a", "/attempts"), "8");
}
END_TEST

START_TEST (policy_does_not_count_for_a_step_that_is_skipped_before)
{
    bench.setup.attempts = 2;
    run_bench_start (&bench, WORKFLOW ("{'step_id':'x','modality':'idem','status':'failed','error':'e','started_us':1,"
                                       "'finished_us':2}",
                                       STEP ("y", "idem", AFTER ("'x'")), STEP ("a", "idem", "")));
    run_bench_expect (&bench, "skipped y dependency_failed", "started a 3 idempotent hold", "dispatch a 3");
}
END_TEST

/* The delay that the trace's last "retrying" announced, and the one asked for; then lets it pass. */
static int
next_delay (void)
{
    int announced = -1, asked = -1;
    run_bench_forget (&bench);
    run_bench_fail (&bench, "busy", "r");
    reel_buf_add_byte (&bench.trace, 0);
    const char *trace = (const char *) bench.trace.data;
    ck_assert_int_eq (strncmp (trace, "retrying a busy ", 16), 0);
    announced = (int) strtol (trace + 16, NULL, 10);
    const char *wake = strstr (trace, "wake +");
    if (wake != NULL) {
        asked = (int) strtol (wake + 6, NULL, 10);
        ck_assert_int_eq (asked, announced);
        ck_assert (!bench.open);
        run_bench_pass_ms (&bench, asked);
        run_bench_tick (&bench);
    } else {
        ck_assert_int_eq (announced, 0);
    }
    ck_assert (bench.open);
    return announced;
}

START_TEST (policy_backs_off_with_doubling_and_full_jitter)
{
    static const int ceilings[] = {100, 200, 400, 800, 1000, 1000, 1000, 1000};
    int least[8], most[8];
    for (int i = 0; i < 8; i++) {
        least[i] = INT32_MAX;
        most[i] = -1;
    }
    for (uint64_t seed = 0; seed < 200; seed++) {
        bench.setup.seed = seed;
        run_bench_start (&bench, WORKFLOW (STEP ("a", "idem",
                                                 ",'policy':{'retry':{'max_attempts':9,'backoff_ms':100,"
                                                 "'backoff_max_ms':1000}}")));
        for (int i = 0; i < 8; i++) {
            int delay = next_delay ();
            ck_assert_int_le (delay, ceilings[i]);
            least[i] = delay < least[i] ? delay : least[i];
            most[i] = delay > most[i] ? delay : most[i];
        }
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
    for (int i = 0; i < 8; i++) {
        ck_assert_int_lt (least[i], ceilings[i] / 10);
        ck_assert_int_gt (most[i], ceilings[i] - ceilings[i] / 10);
    }
}
END_TEST

START_TEST (policy_without_a_backoff_wins_over_the_workers)
{
    bench.defaults.backoff_ms = 1000000;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ",'policy':{'retry':{'max_attempts':9,'backoff_ms':0}}")));
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq (next_delay (), 0);
}
END_TEST

START_TEST (policy_jitter_comes_from_the_seed)
{
    int first[4];
    for (int round = 0; round < 2; round++) {
        bench.setup.seed = 42;
        run_bench_start (&bench,
                         WORKFLOW (STEP ("a", "idem", ",'policy':{'retry':{'max_attempts':5,'backoff_ms':1000000}}")));
        for (int i = 0; i < 4; i++) {
            int delay = next_delay ();
            ck_assert (round == 0 || first[i] == delay);
            first[i] = delay;
        }
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

START_TEST (policy_without_a_ceiling_stays_a_duration)
{
    bench.setup.attempts = 900;
    run_bench_start (
        &bench, WORKFLOW (STEP ("a", "idem", ",'policy':{'retry':{'max_attempts':1000,'backoff_ms':31622400000}}")));
    run_bench_forget (&bench);
    run_bench_fail (&bench, "busy", "r");
    ck_assert_uint_eq (bench.commands.count, 2);
    ck_assert_int_eq (bench.commands.list[1].kind, REEL_RUN_WAKE);
    ck_assert_int_ge (bench.commands.list[1].wake_us, 0);
    ck_assert_int_le (bench.commands.list[1].wake_us, REEL_DURATION_MS_MAX * 1000);
}
END_TEST

START_TEST (policy_takes_an_early_tick_as_a_reminder)
{
    bench.setup.seed = 3;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ",'policy':{'retry':{'max_attempts':2,'backoff_ms':1000}}")));
    run_bench_fail (&bench, "busy", "r");
    int64_t wake_us = bench.commands.list[bench.commands.count - 1].wake_us;
    ck_assert_int_gt (wake_us, 2000);
    run_bench_forget (&bench);
    bench.monotonic_us = wake_us - 1;
    run_bench_tick (&bench);
    run_bench_expect (&bench, "wake +0");
    ck_assert_int_eq (bench.commands.list[0].wake_us, wake_us);
    bench.monotonic_us = wake_us;
    run_bench_tick (&bench);
    run_bench_expect (&bench, "started a 2 idempotent hold", "dispatch a 2");
}
END_TEST

START_TEST (policy_hands_every_attempt_the_same_call)
{
    run_bench_start (&bench,
                     WORKFLOW (STEP ("z", "idem", ""),
                               STEP ("a", "idem", AFTER ("'z'") ",'payload':{'n':{'$ref':'#/z/output'}}" THREE "}")));
    run_bench_succeed (&bench, "{'n':1}");
    run_bench_fail (&bench, "busy", "r");
    ck_assert_uint_eq (bench.call.attempt, 2);
    ck_assert_str_eq (run_bench_json (&bench, bench.call.payload), "{'n':{'n':1}}");
    ck_assert (reel_slice_is (bench.call.idempotency_key, "wf/a"));
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("run_policy");
    TCase *tc = suite_case (suite, "policy", set_up_bench, tear_down_bench);
    tcase_add_test (tc, policy_says_what_is_in_force);
    tcase_add_test (tc, policy_takes_the_timeout_of_the_step_before_the_workers);
    tcase_add_test (tc, policy_is_one_attempt_by_default);
    tcase_add_test (tc, policy_stops_after_max_attempts);
    tcase_add_test (tc, policy_of_the_worker_gives_attempts_too);
    tcase_add_test (tc, policy_retries_only_what_may_be);
    tcase_add_test (tc, policy_counts_on_from_the_attempts_that_were_lost);
    tcase_add_test (tc, policy_gives_a_redelivered_step_its_attempt);
    tcase_add_test (tc, policy_does_not_count_for_a_step_that_is_skipped_before);
    tcase_add_test (tc, policy_backs_off_with_doubling_and_full_jitter);
    tcase_add_test (tc, policy_jitter_comes_from_the_seed);
    tcase_add_test (tc, policy_without_a_backoff_wins_over_the_workers);
    tcase_add_test (tc, policy_without_a_ceiling_stays_a_duration);
    tcase_add_test (tc, policy_takes_an_early_tick_as_a_reminder);
    tcase_add_test (tc, policy_hands_every_attempt_the_same_call);
    return suite_run (suite);
}
