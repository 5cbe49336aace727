/*
 * The run machine's rule that protects paid work: what is not idempotent is not begun before its start is durable and its
 * lease is known to be its own still; and after a standstill nothing is.
 */
#include <check.h>

#include "tests/support/run_fixture.h"
#include "tests/support/suite.h"

START_TEST (protect_waits_for_the_acknowledgement_of_its_own_start)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_confirm (&bench);
    run_bench_expect (&bench, "started a 1 protected hold");
    run_bench_ack (&bench, 1);
    run_bench_expect (&bench, "dispatch a 1");
}
END_TEST

START_TEST (protect_waits_for_everything_reported_before)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "paid", "")));
    run_bench_confirm (&bench);
    run_bench_succeed (&bench, "{}");
    run_bench_ack (&bench, 1);
    run_bench_ack (&bench, 2);
    run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1", "succeeded a",
                      "started b 1 protected hold");
    run_bench_ack (&bench, 3);
    run_bench_expect (&bench, "dispatch b 1");
}
END_TEST

START_TEST (protect_covers_resumable_steps)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "resum", "")));
    run_bench_expect (&bench, "started a 1 protected hold");
    run_bench_answer (&bench);
    run_bench_expect (&bench, "dispatch a 1");
}
END_TEST

START_TEST (protect_lets_idempotent_steps_flow)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1", "succeeded a",
                      "started b 1 idempotent hold", "dispatch b 1");
}
END_TEST

/* Whoever was stopped for so long may have been replaced: nothing is begun before it is known. */
START_TEST (stalled_run_begins_nothing_before_its_lease_is_confirmed)
{
    static const int64_t lease_us = 10000 * 1000;
    for (int stalled = 0; stalled < 2; stalled++) {
        run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
        run_bench_confirm (&bench);
        run_bench_forget (&bench);
        run_bench_pass_ms (&bench, 20000);
        run_bench_feed (&bench, (struct reel_run_event){.kind = REEL_RUN_TICK, .stalled_us = lease_us - !stalled});
        run_bench_succeed (&bench, "{}");
        if (!stalled) {
            run_bench_expect (&bench, "succeeded a", "started b 1 idempotent hold", "dispatch b 1");
        } else {
            run_bench_expect (&bench, "succeeded a", "started b 1 idempotent hold", "confirm");
            /* An answer to what was sent before it was stopped says nothing. */
            run_bench_feed (&bench, (struct reel_run_event){.kind = REEL_RUN_CONFIRMED, .confirmed_us = 1});
            run_bench_ack_all (&bench);
            run_bench_expect (&bench, "confirm", "confirm");
            run_bench_confirm (&bench);
            run_bench_expect (&bench, "dispatch b 1");
        }
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

/* It was too long by the lease that it had then, and would not be by the one that it is told now. */
START_TEST (stalled_run_asks_though_its_lease_got_longer)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_confirm (&bench);
    bench.monotonic_us = 10000 * 1000;
    run_bench_feed (&bench, (struct reel_run_event){.kind = REEL_RUN_TICK, .stalled_us = 10000 * 1000});
    reel_run_set_terms (bench.run, 60000, 0, 0);
    run_bench_ack (&bench, 1);
    run_bench_expect (&bench, "started a 1 protected hold", "confirm");
    run_bench_confirm (&bench);
    run_bench_expect (&bench, "dispatch a 1");
}
END_TEST

START_TEST (protect_confirms_a_lease_that_was_never_confirmed)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_ack (&bench, 1);
    run_bench_expect (&bench, "started a 1 protected hold", "confirm");
    run_bench_confirm (&bench);
    run_bench_expect (&bench, "dispatch a 1");
}
END_TEST

START_TEST (protect_holds_for_less_than_lease_ms)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", ""), STEP ("b", "paid", "")));
    run_bench_confirm (&bench);
    bench.monotonic_us = 10000 * 1000 - 1;
    run_bench_ack (&bench, 1);
    run_bench_expect (&bench, "started a 1 protected hold", "dispatch a 1");
    run_bench_succeed (&bench, "{}");
    bench.monotonic_us = 10000 * 1000;
    run_bench_ack (&bench, 3);
    run_bench_expect (&bench, "succeeded a", "started b 1 protected hold", "confirm");
    run_bench_confirm (&bench);
    run_bench_expect (&bench, "dispatch b 1");
}
END_TEST

START_TEST (protect_asks_once_and_again_only_when_the_answer_is_too_old)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_ack (&bench, 1);
    run_bench_expect (&bench, "started a 1 protected hold", "confirm");
    run_bench_tick (&bench);
    run_bench_expect (&bench, "");
    run_bench_pass_ms (&bench, 20000);
    run_bench_feed (&bench, (struct reel_run_event){.kind = REEL_RUN_CONFIRMED, .confirmed_us = 1000});
    run_bench_expect (&bench, "confirm");
    run_bench_confirm (&bench);
    run_bench_expect (&bench, "dispatch a 1");
}
END_TEST

START_TEST (protect_counts_from_when_the_message_was_sent)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_pass_ms (&bench, 15000);
    run_bench_feed (&bench, (struct reel_run_event){.kind = REEL_RUN_CONFIRMED, .confirmed_us = 5000 * 1000});
    run_bench_ack (&bench, 1);
    run_bench_expect (&bench, "started a 1 protected hold", "confirm");
}
END_TEST

START_TEST (protect_takes_the_newest_confirmation)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_pass_ms (&bench, 15000);
    run_bench_confirm (&bench);
    run_bench_feed (&bench, (struct reel_run_event){.kind = REEL_RUN_CONFIRMED, .confirmed_us = 1});
    run_bench_ack (&bench, 1);
    run_bench_expect (&bench, "started a 1 protected hold", "dispatch a 1");
}
END_TEST

START_TEST (protect_covers_every_attempt)
{
    bench.defaults = (struct reel_policy){.max_attempts = 2};
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_answer (&bench);
    run_bench_fail (&bench, "busy", "r");
    run_bench_expect (&bench, "started a 1 protected hold", "dispatch a 1", "retrying a busy 0",
                      "started a 2 protected hold");
    run_bench_ack (&bench, 2);
    run_bench_expect (&bench, "");
    run_bench_ack (&bench, 3);
    run_bench_expect (&bench, "dispatch a 2");
}
END_TEST

START_TEST (protect_ignores_acknowledgements_that_cannot_be)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_confirm (&bench);
    run_bench_ack (&bench, 2);
    run_bench_ack (&bench, UINT64_MAX);
    run_bench_ack (&bench, 0);
    run_bench_expect (&bench, "started a 1 protected hold");
    run_bench_ack (&bench, 1);
    run_bench_expect (&bench, "dispatch a 1");
    run_bench_ack (&bench, 1);
    run_bench_expect (&bench, "");
}
END_TEST

START_TEST (protect_needs_no_lease_in_a_local_run)
{
    bench.setup.local = true;
    bench.setup.lease_ms = 0;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_expect (&bench, "started a 1 protected hold");
    run_bench_ack_all (&bench);
    run_bench_expect (&bench, "dispatch a 1");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("run_protect");
    TCase *tc = suite_case (suite, "protect", set_up_bench, tear_down_bench);
    tcase_add_test (tc, protect_waits_for_the_acknowledgement_of_its_own_start);
    tcase_add_test (tc, protect_waits_for_everything_reported_before);
    tcase_add_test (tc, protect_covers_resumable_steps);
    tcase_add_test (tc, protect_lets_idempotent_steps_flow);
    tcase_add_test (tc, stalled_run_begins_nothing_before_its_lease_is_confirmed);
    tcase_add_test (tc, stalled_run_asks_though_its_lease_got_longer);
    tcase_add_test (tc, protect_confirms_a_lease_that_was_never_confirmed);
    tcase_add_test (tc, protect_holds_for_less_than_lease_ms);
    tcase_add_test (tc, protect_asks_once_and_again_only_when_the_answer_is_too_old);
    tcase_add_test (tc, protect_counts_from_when_the_message_was_sent);
    tcase_add_test (tc, protect_takes_the_newest_confirmation);
    tcase_add_test (tc, protect_covers_every_attempt);
    tcase_add_test (tc, protect_ignores_acknowledgements_that_cannot_be);
    tcase_add_test (tc, protect_needs_no_lease_in_a_local_run);
    return suite_run (suite);
}
