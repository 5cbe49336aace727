/*
 * The run machine's rules: what protects paid work, retries, checkpoints, cancelling, yielding,
 * local runs, the outbox, and each bound at N and at N + 1.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/support/run_bench.h"
#include "tests/support/suite.h"
#include "worker/run_state.h"

static struct run_bench bench;

static void
set_up (void)
{
    run_bench_init (&bench);
}

static void
tear_down (void)
{
    run_bench_free (&bench);
}

static enum reel_step_status
status_of (const char *step_id)
{
    return run_bench_outcome (&bench, step_id).status;
}

static void
succeed_raw (struct reel_slice output, struct reel_slice extra)
{
    run_bench_feed (&bench, (struct reel_run_event){.kind = REEL_RUN_FINISHED,
                                                    .result = {.succeeded = true, .output = output, .extra = extra}});
}

static void
fail_raw (const char *code, struct reel_slice message, struct reel_slice detail)
{
    run_bench_feed (&bench,
                    (struct reel_run_event){.kind = REEL_RUN_FINISHED,
                                            .result.failure = {.code = code, .message = message, .detail = detail}});
}

/* --- what protects paid work --------------------------------------------------------------- */

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

/* --- policy -------------------------------------------------------------------------------- */

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

#define THREE ",'policy':{'retry':{'max_attempts':3}"

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

/* --- checkpoints --------------------------------------------------------------------------- */

START_TEST (checkpoint_is_reported)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "resum", "")));
    run_bench_answer (&bench);
    run_bench_forget (&bench);
    run_bench_checkpoint (&bench, "{'job':'j1'}");
    run_bench_expect (&bench, "checkpoint a {'job':'j1'}");
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "succeeded a", "ended", "END");
}
END_TEST

START_TEST (checkpoint_of_an_earlier_delivery_is_handed_to_the_step_in_doubt_alone)
{
    struct reel_buf job = run_bench_msgpack ("{'job':'j0'}");
    bench.setup.checkpoint = reel_buf_slice (&job);
    bench.setup.attempts = 1;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "resum", ""), STEP ("b", "resum", "")));
    reel_buf_free (&job);
    run_bench_answer (&bench);
    ck_assert_str_eq (run_bench_json (&bench, bench.call.checkpoint), "{'job':'j0'}");
    run_bench_succeed (&bench, "{}");
    run_bench_answer (&bench);
    ck_assert (reel_slice_is (bench.call.step_id, "b"));
    ck_assert_uint_eq (bench.call.checkpoint.len, 0);
}
END_TEST

START_TEST (checkpoint_leaves_the_open_call_as_it_is)
{
    struct reel_buf job = run_bench_msgpack ("'j0'");
    bench.setup.checkpoint = reel_buf_slice (&job);
    run_bench_start (&bench, WORKFLOW (STEP ("a", "resum", "")));
    reel_buf_free (&job);
    run_bench_answer (&bench);
    run_bench_checkpoint (&bench, "'a longer checkpoint than the one before, so that memory moves, and once more'");
    ck_assert_str_eq (run_bench_json (&bench, bench.call.checkpoint), "'j0'");
}
END_TEST

START_TEST (checkpoint_goes_to_the_next_attempt_when_the_call_was_left_open)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "resum", THREE ",'in_doubt':'retry'}")));
    run_bench_answer (&bench);
    run_bench_checkpoint (&bench, "'j1'");
    run_bench_fail (&bench, "lost", "ro");
    run_bench_answer (&bench);
    run_bench_expect (&bench, "started a 1 protected retry", "dispatch a 1", "checkpoint a 'j1'", "retrying a lost 0",
                      "started a 2 protected retry", "checkpoint a 'j1'", "dispatch a 2");
    ck_assert_str_eq (run_bench_json (&bench, bench.call.checkpoint), "'j1'");
    run_bench_fail (&bench, "busy", "r");
    run_bench_answer (&bench);
    ck_assert_uint_eq (bench.call.attempt, 3);
    ck_assert_uint_eq (bench.call.checkpoint.len, 0);
}
END_TEST

START_TEST (checkpoint_keeps_only_the_newest_while_one_is_not_acknowledged)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_forget (&bench);
    run_bench_checkpoint (&bench, "1");
    run_bench_checkpoint (&bench, "2");
    run_bench_checkpoint (&bench, "3");
    run_bench_expect (&bench, "checkpoint a 1");
    run_bench_ack (&bench, 1);
    run_bench_expect (&bench, "");
    run_bench_ack (&bench, 2);
    run_bench_expect (&bench, "checkpoint a 3");
    run_bench_ack (&bench, 3);
    run_bench_expect (&bench, "");
    run_bench_checkpoint (&bench, "4");
    run_bench_expect (&bench, "checkpoint a 4");
}
END_TEST

START_TEST (checkpoint_that_waits_is_dropped_with_its_attempt)
{
    bench.defaults.max_attempts = 2;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_checkpoint (&bench, "1");
    run_bench_checkpoint (&bench, "2");
    run_bench_forget (&bench);
    run_bench_fail (&bench, "busy", "r");
    run_bench_ack_all (&bench);
    run_bench_expect (&bench, "retrying a busy 0", "started a 2 idempotent hold", "dispatch a 2");
    ck_assert_uint_eq (bench.call.checkpoint.len, 0);
}
END_TEST

START_TEST (checkpoint_that_waits_goes_with_the_next_attempt_when_the_call_was_left_open)
{
    bench.defaults.max_attempts = 2;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_checkpoint (&bench, "1");
    run_bench_checkpoint (&bench, "2");
    run_bench_forget (&bench);
    run_bench_fail (&bench, "lost", "ro");
    run_bench_ack_all (&bench);
    run_bench_expect (&bench, "retrying a lost 0", "started a 2 idempotent hold", "checkpoint a 2", "dispatch a 2");
    ck_assert_str_eq (run_bench_json (&bench, bench.call.checkpoint), "2");
}
END_TEST

START_TEST (checkpoint_that_waits_is_dropped_with_its_step)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    run_bench_checkpoint (&bench, "1");
    run_bench_checkpoint (&bench, "2");
    run_bench_succeed (&bench, "{}");
    run_bench_forget (&bench);
    run_bench_ack_all (&bench);
    run_bench_expect (&bench, "");
    run_bench_checkpoint (&bench, "7");
    run_bench_expect (&bench, "checkpoint b 7");
}
END_TEST

START_TEST (checkpoint_does_not_wait_for_that_of_another_step)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    run_bench_checkpoint (&bench, "1");
    run_bench_succeed (&bench, "{}");
    run_bench_forget (&bench);
    run_bench_checkpoint (&bench, "2");
    run_bench_expect (&bench, "checkpoint b 2");
}
END_TEST

START_TEST (checkpoint_of_an_adapter_that_cannot_go_on_from_it_is_dropped)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_answer (&bench);
    run_bench_forget (&bench);
    run_bench_checkpoint (&bench, "1");
    run_bench_expect (&bench, "tell progress a a checkpoint was dropped: the adapter is not resumable");
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "succeeded a", "ended", "END");
}
END_TEST

START_TEST (checkpoint_without_an_open_call_is_nothing)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_forget (&bench);
    run_bench_checkpoint (&bench, "1");
    run_bench_progress (&bench, 0.5, "x");
    run_bench_expect (&bench, "");
}
END_TEST

/* --- cancelling ---------------------------------------------------------------------------- */

START_TEST (cancel_aborts_the_open_call_once)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", AFTER ("'a'"))));
    run_bench_forget (&bench);
    run_bench_cancel (&bench);
    run_bench_cancel (&bench);
    run_bench_expect (&bench, "abort");
    ck_assert (!reel_run_ended (bench.run));
    run_bench_fail (&bench, "killed", "r");
    run_bench_expect (&bench, "failed a cancelled", "ended cancelled", "END");
    ck_assert_int_eq (status_of ("b"), REEL_STEP_PENDING);
    ck_assert_str_eq (run_bench_error (&bench, "a"),
                      "{'code':'cancelled','message':'the workflow was cancelled while this "
                      "step was running','retryable':false}");
    ck_assert_str_eq (run_bench_json (&bench, reel_run_error (bench.run)),
                      "{'code':'cancelled','message':'the workflow was cancelled','retryable':false}");
}
END_TEST

START_TEST (cancel_lets_a_success_stand)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    run_bench_cancel (&bench);
    run_bench_forget (&bench);
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "succeeded a", "ended cancelled", "END");
    ck_assert (reel_run_cancelled (bench.run));
}
END_TEST

START_TEST (cancel_is_too_late_when_the_last_step_succeeds)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_cancel (&bench);
    run_bench_forget (&bench);
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "succeeded a", "ended", "END");
    ck_assert (!reel_run_cancelled (bench.run));
}
END_TEST

START_TEST (cancel_of_the_last_step_cancels_the_workflow)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_cancel (&bench);
    run_bench_forget (&bench);
    run_bench_fail (&bench, "killed", "");
    run_bench_expect (&bench, "failed a cancelled", "ended cancelled", "END");
}
END_TEST

START_TEST (cancel_keeps_what_the_adapter_said_of_it)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_cancel (&bench);
    run_bench_fail (&bench, "cancelled", "");
    ck_assert_str_eq (run_bench_of_error (&bench, "a", "/message"), "'it broke'");
}
END_TEST

START_TEST (cancel_retries_nothing)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", THREE "}")));
    run_bench_cancel (&bench);
    run_bench_forget (&bench);
    run_bench_fail (&bench, "busy", "r");
    run_bench_expect (&bench, "failed a cancelled", "ended cancelled", "END");
}
END_TEST

START_TEST (cancel_ends_a_backoff)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ",'policy':{'retry':{'max_attempts':3,'backoff_ms':60000}}"),
                                       STEP ("b", "idem", "")));
    run_bench_fail (&bench, "busy", "r");
    run_bench_forget (&bench);
    run_bench_cancel (&bench);
    run_bench_expect (&bench, "failed a cancelled", "ended cancelled", "END");
    ck_assert_int_eq (status_of ("b"), REEL_STEP_PENDING);
    run_bench_pass_ms (&bench, 60000);
    run_bench_tick (&bench);
    run_bench_expect (&bench, "");
}
END_TEST

START_TEST (cancel_ends_a_step_that_waits_for_its_acknowledgement)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_forget (&bench);
    run_bench_cancel (&bench);
    run_bench_expect (&bench, "failed a cancelled", "ended cancelled", "END");
    run_bench_answer (&bench);
    run_bench_expect (&bench, "");
}
END_TEST

START_TEST (cancel_wins_over_yield)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    run_bench_yield (&bench);
    run_bench_cancel (&bench);
    run_bench_yield (&bench);
    run_bench_forget (&bench);
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "succeeded a", "ended cancelled", "END");
}
END_TEST

/* --- yielding ------------------------------------------------------------------------------ */

START_TEST (yield_waits_for_the_open_call)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    run_bench_forget (&bench);
    run_bench_yield (&bench);
    run_bench_yield (&bench);
    run_bench_expect (&bench, "");
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "succeeded a", "yielded", "END");
    ck_assert_int_eq (status_of ("b"), REEL_STEP_PENDING);
    ck_assert (!reel_run_cancelled (bench.run));
}
END_TEST

START_TEST (yield_after_a_failure_skips_first)
{
    run_bench_start (&bench,
                     WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", AFTER ("'a'")), STEP ("c", "idem", "")));
    run_bench_yield (&bench);
    run_bench_forget (&bench);
    run_bench_fail (&bench, "boom", "");
    run_bench_expect (&bench, "failed a boom", "skipped b dependency_failed", "yielded", "END");
}
END_TEST

START_TEST (yield_with_nothing_left_to_dispatch_ends_the_workflow)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", AFTER ("'a'"))));
    run_bench_yield (&bench);
    run_bench_forget (&bench);
    run_bench_fail (&bench, "boom", "");
    run_bench_expect (&bench, "failed a boom", "skipped b dependency_failed", "ended", "END");
}
END_TEST

START_TEST (yield_gives_back_a_step_that_will_be_retried)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", THREE "}")));
    run_bench_yield (&bench);
    run_bench_forget (&bench);
    run_bench_fail (&bench, "busy", "r");
    run_bench_expect (&bench, "retrying a busy 0", "yielded", "END");
}
END_TEST

START_TEST (yield_ends_a_backoff)
{
    run_bench_start (&bench,
                     WORKFLOW (STEP ("a", "idem", ",'policy':{'retry':{'max_attempts':3,'backoff_ms':60000}}")));
    run_bench_fail (&bench, "busy", "r");
    run_bench_forget (&bench);
    run_bench_yield (&bench);
    run_bench_expect (&bench, "yielded", "END");
    run_bench_pass_ms (&bench, 60000);
    run_bench_tick (&bench);
    run_bench_expect (&bench, "");
}
END_TEST

START_TEST (yield_takes_back_a_start_that_was_not_dispatched)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_forget (&bench);
    run_bench_yield (&bench);
    run_bench_expect (&bench, "retrying a yielded 0", "yielded", "END");
    run_bench_answer (&bench);
    run_bench_expect (&bench, "");
}
END_TEST

START_TEST (yield_does_not_take_a_step_with_a_checkpoint_back)
{
    struct reel_buf job = run_bench_msgpack ("'j0'");
    bench.setup.checkpoint = reel_buf_slice (&job);
    run_bench_start (&bench, WORKFLOW (STEP ("a", "resum", ""), STEP ("b", "idem", "")));
    reel_buf_free (&job);
    run_bench_yield (&bench);
    run_bench_answer (&bench);
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "started a 1 protected hold", "dispatch a 1", "succeeded a", "yielded", "END");
}
END_TEST

#define SLOW ",'policy':{'in_doubt':'retry','retry':{'max_attempts':3,'backoff_ms':60000}}"

START_TEST (yield_in_a_backoff_does_not_forget_a_checkpoint)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "resum", SLOW), STEP ("b", "idem", "")));
    run_bench_answer (&bench);
    run_bench_checkpoint (&bench, "'j1'");
    run_bench_fail (&bench, "timeout", "ro");
    run_bench_forget (&bench);
    run_bench_yield (&bench);
    run_bench_yield (&bench);
    run_bench_expect (&bench, "started a 2 protected retry", "checkpoint a 'j1'");
    run_bench_answer (&bench);
    ck_assert_str_eq (run_bench_json (&bench, bench.call.checkpoint), "'j1'");
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "dispatch a 2", "succeeded a", "yielded", "END");
}
END_TEST

START_TEST (yield_makes_the_next_attempt_at_once_where_a_checkpoint_may_be_good)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "resum", SLOW), STEP ("b", "idem", "")));
    run_bench_answer (&bench);
    run_bench_checkpoint (&bench, "'j1'");
    run_bench_yield (&bench);
    run_bench_forget (&bench);
    run_bench_fail (&bench, "timeout", "ro");
    run_bench_expect (&bench, "retrying a timeout 0", "started a 2 protected retry", "checkpoint a 'j1'");
    run_bench_answer (&bench);
    run_bench_fail (&bench, "busy", "r"); /* its job is over */
    run_bench_expect (&bench, "dispatch a 2", "retrying a busy 104184", "yielded", "END");
}
END_TEST

START_TEST (yield_does_not_forget_a_checkpoint_where_the_outbox_is_full)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ",'policy':{'retry':{'max_attempts':1000}}"),
                                       STEP ("b", "idem", ",'policy':{'retry':{'max_attempts':1000}}"),
                                       STEP ("c", "idem", ",'policy':{'retry':{'max_attempts':1000}}")));
    while (bench.open) {
        run_bench_checkpoint (&bench, "'j1'");
        run_bench_fail (&bench, "timeout", "ro");
    }
    ck_assert (!reel_run_ended (bench.run));
    run_bench_forget (&bench);
    run_bench_yield (&bench);
    run_bench_expect (&bench, "");
    run_bench_ack (&bench, 10);
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "started b 367 idempotent hold", "checkpoint b 'j1'", "dispatch b 367", "succeeded b",
                      "yielded", "END");
}
END_TEST

START_TEST (yield_takes_back_a_start_that_waits_for_the_lease)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_ack (&bench, 1);
    run_bench_forget (&bench);
    run_bench_yield (&bench);
    run_bench_expect (&bench, "retrying a yielded 0", "yielded", "END");
    run_bench_confirm (&bench);
    run_bench_expect (&bench, "");
}
END_TEST

/* --- local runs ---------------------------------------------------------------------------- */

#define RUNNING(modality, more) "{'step_id':'a','modality':'" modality "','status':'running','started_us':5" more "}"

static void
start_local (const char *document)
{
    bench.setup.local = true;
    bench.setup.lease_ms = 0;
    bench.setup.flags = REEL_WORKFLOW_RUNNING_OK;
    run_bench_start (&bench, document);
}

START_TEST (local_running_idempotent_step_goes_on)
{
    start_local (WORKFLOW (RUNNING ("idem", "")));
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1", "succeeded a", "ended", "END");
    ck_assert_int_eq (run_bench_outcome (&bench, "a").started_us, 5);
}
END_TEST

START_TEST (local_running_step_with_retry_goes_on)
{
    start_local (WORKFLOW (RUNNING ("paid", ",'policy':{'in_doubt':'retry'}")));
    run_bench_ack_all (&bench);
    run_bench_expect (&bench, "started a 1 protected retry", "dispatch a 1");
}
END_TEST

START_TEST (local_running_step_otherwise_fails)
{
    start_local (WORKFLOW (RUNNING ("paid", ""), STEP ("b", "idem", AFTER ("'a'")), STEP ("c", "idem", "")));
    run_bench_expect (&bench, "failed a in_doubt", "skipped b dependency_failed", "started c 1 idempotent hold",
                      "dispatch c 1");
    ck_assert_int_eq (run_bench_outcome (&bench, "a").started_us, 5);
    ck_assert_int_eq (run_bench_outcome (&bench, "a").finished_us, 1000);
}
END_TEST

START_TEST (local_running_step_finishes_no_earlier_than_it_started)
{
    bench.wall_us = 2;
    start_local (WORKFLOW (RUNNING ("paid", "")));
    ck_assert_int_eq (run_bench_outcome (&bench, "a").finished_us, 5);
}
END_TEST

START_TEST (local_running_resumable_step_fails_too)
{
    start_local (WORKFLOW (RUNNING ("resum", "")));
    run_bench_expect (&bench, "failed a in_doubt", "ended", "END");
}
END_TEST

START_TEST (local_running_step_without_adapter_is_in_doubt)
{
    start_local (WORKFLOW (RUNNING ("unknown", "")));
    run_bench_expect (&bench, "failed a in_doubt", "ended", "END");
}
END_TEST

START_TEST (local_running_step_passes_no_attempts_on)
{
    bench.setup.attempts = 4;
    start_local (WORKFLOW (RUNNING ("paid", ""), STEP ("b", "idem", "")));
    run_bench_expect (&bench, "failed a in_doubt", "started b 1 idempotent hold", "dispatch b 1");
}
END_TEST

/* --- bounds -------------------------------------------------------------------------------- */

/* A map {"x": bin} of exactly that many bytes. */
static struct reel_buf
map_of_bytes (size_t bytes)
{
    struct reel_buf out = {0};
    size_t body = bytes - 3 - (bytes > 65541 ? 5 : bytes > 261 ? 3 : 2);
    uint8_t *zeros = calloc (1, body);
    reel_pack_map (&out, 1);
    reel_pack_text (&out, "x");
    reel_pack_bin (&out, reel_slice (zeros, body));
    free (zeros);
    ck_assert_uint_eq (out.len, bytes);
    return out;
}

/* Arrays inside a map, `depth` in all. */
static struct reel_buf
map_of_depth (unsigned depth)
{
    struct reel_buf out = {0};
    reel_pack_map (&out, 1);
    reel_pack_text (&out, "x");
    for (unsigned i = 1; i < depth; i++)
        reel_pack_array (&out, 1);
    reel_pack_nil (&out);
    ck_assert_uint_eq (reel_scan_depth (reel_buf_slice (&out)), depth);
    return out;
}

static size_t
receipt_frame_bytes (void)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_succeed (&bench, "{}");
    size_t bytes = run_bench_outcome (&bench, "a").receipt.len - 1;
    run_bench_free (&bench);
    run_bench_init (&bench);
    return bytes;
}

static void
check_receipt_bytes (size_t bytes_max)
{
    size_t frame = receipt_frame_bytes (), limit = bytes_max > 0 ? bytes_max : REEL_RECEIPT_BYTES_MAX;
    for (size_t over = 0; over < 2; over++) {
        bench.setup.receipt_bytes_max = bytes_max;
        bench.defaults.max_attempts = 5;
        run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
        struct reel_buf output = map_of_bytes (limit - frame + over);
        succeed_raw (reel_buf_slice (&output), REEL_SLICE_NONE);
        run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1",
                          over ? "failed a limit_exceeded" : "succeeded a", "ended", "END");
        if (over)
            ck_assert_str_eq (run_bench_of_error (&bench, "a", "/retryable"), "false");
        reel_buf_free (&output);
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}

START_TEST (bound_of_a_receipt_in_bytes)
{
    check_receipt_bytes (0);
    check_receipt_bytes (2000);
}
END_TEST

START_TEST (bound_of_a_receipt_is_that_of_the_newest_terms)
{
    struct reel_buf output = map_of_bytes (3000);
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    reel_run_set_terms (bench.run, 10000, 2000, 4);
    succeed_raw (reel_buf_slice (&output), REEL_SLICE_NONE);
    reel_run_set_terms (bench.run, 10000, REEL_RECEIPT_BYTES_MAX, REEL_RECEIPT_DEPTH_MAX);
    succeed_raw (reel_buf_slice (&output), REEL_SLICE_NONE);
    run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1", "failed a limit_exceeded",
                      "started b 1 idempotent hold", "dispatch b 1", "succeeded b", "ended", "END");
    reel_buf_free (&output);
}
END_TEST

START_TEST (bound_of_a_receipt_is_at_least_1024)
{
    size_t frame = receipt_frame_bytes ();
    for (size_t over = 0; over < 2; over++) {
        bench.setup.receipt_bytes_max = 1;
        run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
        struct reel_buf output = map_of_bytes (1024 - frame + over);
        succeed_raw (reel_buf_slice (&output), REEL_SLICE_NONE);
        ck_assert_int_eq (status_of ("a"), over ? REEL_STEP_FAILED : REEL_STEP_SUCCEEDED);
        reel_buf_free (&output);
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

START_TEST (bound_of_a_receipt_holds_for_each_part)
{
    struct reel_buf parts[] = {map_of_bytes (REEL_RECEIPT_BYTES_MAX + 1), map_of_depth (REEL_RECEIPT_DEPTH_MAX + 1)};
    for (size_t i = 0; i < 2; i++) {
        run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
        succeed_raw (reel_buf_slice (&parts[i]), REEL_SLICE_NONE);
        ck_assert_str_eq (run_bench_of_error (&bench, "a", "/code"), "'limit_exceeded'");
        reel_buf_free (&parts[i]);
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

START_TEST (bound_of_a_receipt_in_depth)
{
    static const struct {
        unsigned asked, in_force;
    } cases[] = {{0, REEL_RECEIPT_DEPTH_MAX}, {24, REEL_RECEIPT_DEPTH_MAX}, {5, 5}, {1, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (unsigned over = 0; over < 2; over++) {
            bench.setup.receipt_depth_max = cases[i].asked;
            run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
            struct reel_buf output = map_of_depth (cases[i].in_force - 1 + over);
            succeed_raw (over ? reel_buf_slice (&output) : REEL_SLICE_NONE,
                         over ? REEL_SLICE_NONE : reel_buf_slice (&output));
            ck_assert_int_eq (status_of ("a"), over ? REEL_STEP_FAILED : REEL_STEP_SUCCEEDED);
            if (over)
                ck_assert_str_eq (run_bench_of_error (&bench, "a", "/code"), "'limit_exceeded'");
            reel_buf_free (&output);
            run_bench_free (&bench);
            run_bench_init (&bench);
        }
}
END_TEST

START_TEST (bound_of_a_checkpoint)
{
    bench.setup.receipt_bytes_max = 2000;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_forget (&bench);
    for (size_t over = 0; over < 2; over++) {
        struct reel_buf checkpoint = map_of_bytes (2000 + over);
        run_bench_feed (
            &bench, (struct reel_run_event){.kind = REEL_RUN_CHECKPOINT, .checkpoint = reel_buf_slice (&checkpoint)});
        ck_assert_uint_eq (reel_run_last_index (bench.run), 2);
        run_bench_ack_all (&bench);
        reel_buf_free (&checkpoint);
        if (!over)
            run_bench_forget (&bench);
    }
    struct reel_buf deep = map_of_depth (REEL_RECEIPT_DEPTH_MAX + 1);
    run_bench_feed (&bench, (struct reel_run_event){.kind = REEL_RUN_CHECKPOINT, .checkpoint = reel_buf_slice (&deep)});
    reel_buf_free (&deep);
    run_bench_expect (&bench, "tell progress a a checkpoint was dropped: it is too large, too deep or no msgpack",
                      "tell progress a a checkpoint was dropped: it is too large, too deep or no msgpack");
}
END_TEST

START_TEST (bound_of_an_error_in_bytes)
{
    static char text[REEL_RECEIPT_BYTES_MAX + 10];
    memset (text, 'x', sizeof text - 1);
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    fail_raw ("loud", reel_slice_text (text), REEL_SLICE_NONE);
    struct reel_slice error = run_bench_outcome (&bench, "a").error;
    ck_assert_uint_le (error.len, REEL_RECEIPT_BYTES_MAX);
    ck_assert_uint_gt (error.len, REEL_RECEIPT_BYTES_MAX - 300);
}
END_TEST

START_TEST (bound_of_an_errors_message_is_at_a_character)
{
    static char text[4000] = "e";
    for (size_t i = 1; i + 3 < sizeof text; i += 2)
        memcpy (text + i, "\xc3\xa9", 2);
    for (size_t odd = 0; odd < 2; odd++) {
        bench.setup.receipt_bytes_max = 1024;
        run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
        fail_raw ("loud", reel_slice_text (text + 1 - odd), REEL_SLICE_NONE);
        struct reel_slice error = run_bench_outcome (&bench, "a").error, message = REEL_SLICE_NONE;
        ck_assert_uint_le (error.len, 1024);
        ck_assert (reel_scan_find_str (error, "message", &message));
        ck_assert_uint_eq (message.len, 768 - odd);
        ck_assert (reel_scan_utf8 (message));
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

START_TEST (bound_of_an_errors_detail)
{
    struct {
        struct reel_buf detail;
        bool kept;
    } cases[] = {{map_of_bytes (500), true},
                 {map_of_bytes (1024), false},
                 {map_of_depth (REEL_RECEIPT_DEPTH_MAX - 1), true},
                 {map_of_depth (REEL_RECEIPT_DEPTH_MAX), false},
                 {map_of_bytes (20), false}};
    cases[4].detail.len = 10; /* cut off */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bench.setup.receipt_bytes_max = 1024;
        run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
        fail_raw ("odd", reel_slice_text ("m"), reel_buf_slice (&cases[i].detail));
        ck_assert_int_eq (run_bench_of_error (&bench, "a", "/detail")[0] != '\0', cases[i].kept);
        ck_assert_str_eq (run_bench_of_error (&bench, "a", "/message"), "'m'");
        reel_buf_free (&cases[i].detail);
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

START_TEST (bound_of_an_errors_code)
{
    static const struct {
        const char *code;
        bool kept;
    } cases[] = {{"a_1", true},
                 {"x234567890123456789012345678901234567890123456789012345678901234", true},
                 {"x2345678901234567890123456789012345678901234567890123456789012345", false},
                 {"", false},
                 {"Upper", false},
                 {"sp ace", false},
                 {NULL, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
        fail_raw (cases[i].code, reel_slice_text ("m"), REEL_SLICE_NONE);
        struct reel_slice code = REEL_SLICE_NONE;
        ck_assert (reel_scan_find_str (run_bench_outcome (&bench, "a").error, "code", &code));
        ck_assert (reel_slice_is (code, cases[i].kept ? cases[i].code : "adapter_failed"));
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

START_TEST (bound_broken_text_is_mended)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_forget (&bench);
    run_bench_progress (&bench, -1, "a\xff\xc3\xa9\xed\xa0\x80z\xc3");
    run_bench_expect (&bench, "tell progress a a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd");
    fail_raw ("bad", reel_slice_text ("\xfe!"), REEL_SLICE_NONE);
    ck_assert_str_eq (run_bench_of_error (&bench, "a", "/message"), "'\xef\xbf\xbd!'");
}
END_TEST

START_TEST (bound_of_a_progress_message)
{
    char text[REEL_PROGRESS_TEXT_BYTES_MAX + 2];
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    for (size_t over = 0; over < 2; over++) {
        memset (text, 'x', sizeof text);
        text[REEL_PROGRESS_TEXT_BYTES_MAX + over] = '\0';
        run_bench_forget (&bench);
        run_bench_progress (&bench, -1, text);
        ck_assert_uint_eq (bench.trace.len, strlen ("tell progress a \n") + REEL_PROGRESS_TEXT_BYTES_MAX);
    }
}
END_TEST

START_TEST (bound_output_that_is_no_map_fails_the_step)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {{"\x93\x01\x02\x03", 4},       /* an array */
                 {"\x81\xa1x", 3},              /* cut off */
                 {"\x82\xa1x\x01\xa1x\x02", 7}, /* a key twice */
                 {"\x81\x01\x02", 3},           /* a key that is no string */
                 {"\x81\xa1x\xa1\xff", 5},      /* no UTF-8 */
                 {"\x80\x80", 2}};              /* bytes left over */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int extra = 0; extra < 2; extra++) {
            run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
            struct reel_slice bytes = reel_slice (cases[i].bytes, cases[i].len);
            succeed_raw (extra ? REEL_SLICE_NONE : bytes, extra ? bytes : REEL_SLICE_NONE);
            ck_assert_str_eq (run_bench_of_error (&bench, "a", "/code"), "'bad_output'");
            run_bench_free (&bench);
            run_bench_init (&bench);
        }
}
END_TEST

START_TEST (bound_provenance_that_no_receipt_can_hold_is_not_paid_for)
{
    for (size_t over = 0; over < 2; over++) {
        bench.setup.receipt_bytes_max = 3000;
        struct reel_buf overrides = map_of_bytes (2800 + 200 * over);
        bench.setup.provenance = reel_buf_slice (&overrides);
        run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
        reel_buf_free (&overrides);
        run_bench_expect (&bench, "started a 1 idempotent hold", over ? "failed a limit_exceeded" : "dispatch a 1",
                          over ? "ended" : "", over ? "END" : "");
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

START_TEST (bound_provenance_that_is_too_deep_is_not_paid_for)
{
    for (unsigned over = 0; over < 2; over++) {
        struct reel_buf overrides = map_of_depth (REEL_RECEIPT_DEPTH_MAX - 1 + over);
        bench.setup.provenance = reel_buf_slice (&overrides);
        run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
        reel_buf_free (&overrides);
        ck_assert_int_eq (status_of ("a"), over ? REEL_STEP_FAILED : REEL_STEP_RUNNING);
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

/* Runs idempotent steps that leave `bytes` in the outbox each, until one waits. */
static uint32_t
steps_until_full (const char *document, size_t bytes)
{
    struct reel_buf output = map_of_bytes (bytes);
    uint32_t done = 0;
    run_bench_start (&bench, document);
    while (bench.open) {
        succeed_raw (reel_buf_slice (&output), REEL_SLICE_NONE);
        done++;
    }
    reel_buf_free (&output);
    return done;
}

static char *
many_steps (int count, const char *more)
{
    struct reel_buf document = {0};
    reel_buf_add_text (&document, "{'steps':[");
    for (int i = 0; i < count; i++)
        reel_buf_printf (&document, "%s{'step_id':'s%d','modality':'idem'%s}", i > 0 ? "," : "", i, more);
    reel_buf_add_text (&document, "]}");
    char *copy = reel_slice_dup (reel_buf_slice (&document));
    reel_buf_free (&document);
    ck_assert_ptr_nonnull (copy);
    return copy;
}

START_TEST (bound_of_the_outbox_in_bytes)
{
    char *document = many_steps (60, "");
    uint32_t done = steps_until_full (document, 200000);
    free (document);
    ck_assert_uint_eq (done, REEL_OUTBOX_BYTES_MAX / 200000 + 1);
    ck_assert (!reel_run_ended (bench.run));
    run_bench_forget (&bench);
    run_bench_ack (&bench, 1);
    run_bench_expect (&bench, "");
    run_bench_ack (&bench, 2);
    ck_assert (bench.open);
}
END_TEST

START_TEST (bound_of_the_outbox_in_events_is_not_reached)
{
    char *document = many_steps (2, ",'policy':{'retry':{'max_attempts':1000}}");
    run_bench_start (&bench, document);
    free (document);
    while (bench.open)
        run_bench_fail (&bench, "busy", "r");
    ck_assert_uint_eq (reel_run_last_index (bench.run), 4001);
    ck_assert (reel_run_ended (bench.run));
}
END_TEST

START_TEST (bound_of_the_outbox_in_events_holds_a_retry_back)
{
    char *document = many_steps (5, ",'policy':{'retry':{'max_attempts':1000}}");
    run_bench_start (&bench, document);
    free (document);
    while (bench.open)
        run_bench_fail (&bench, "busy", "r");
    ck_assert_uint_eq (reel_run_last_index (bench.run), REEL_OUTBOX_EVENTS_MAX);
    ck_assert (!reel_run_ended (bench.run));
    run_bench_forget (&bench);
    run_bench_ack (&bench, 1);
    run_bench_expect (&bench, "started s2 49 idempotent hold", "dispatch s2 49");
}
END_TEST

START_TEST (bound_of_the_outbox_lets_cancel_and_yield_through)
{
    for (int cancel = 0; cancel < 2; cancel++) {
        char *document = many_steps (60, "");
        (void) steps_until_full (document, 200000);
        free (document);
        run_bench_forget (&bench);
        if (cancel)
            run_bench_cancel (&bench);
        else
            run_bench_yield (&bench);
        run_bench_expect (&bench, cancel ? "ended cancelled" : "yielded", "END");
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

START_TEST (bound_of_the_outbox_holds_skips_back)
{
    static const char retried[] = "'modality':'idem','policy':{'retry':{'max_attempts':1000}}}";
    struct reel_buf document = {0};
    reel_buf_printf (&document, "{'steps':[{'step_id':'r',%s,{'step_id':'s',%s,{'step_id':'f','modality':'idem'}",
                     retried, retried);
    for (int i = 0; i < 600; i++)
        reel_buf_printf (&document, ",{'step_id':'d%d','modality':'idem','depends_on':['f']}", i);
    reel_buf_add_text (&document, ",{'step_id':'last','modality':'idem'}]}");
    reel_buf_add_byte (&document, 0);
    run_bench_start (&bench, (const char *) document.data);
    reel_buf_free (&document);
    while (bench.open)
        run_bench_fail (&bench, "busy", "r");
    ck_assert_uint_eq (reel_run_last_index (bench.run), REEL_OUTBOX_EVENTS_MAX);
    ck_assert_int_eq (status_of ("d93"), REEL_STEP_SKIPPED);
    ck_assert_int_eq (status_of ("d94"), REEL_STEP_PENDING);
    run_bench_forget (&bench);
    run_bench_yield (&bench); /* what is to be skipped is not given back */
    run_bench_expect (&bench, "");
    run_bench_ack (&bench, 1);
    run_bench_expect (&bench, "skipped d94 dependency_failed");
    run_bench_ack_all (&bench);
    ck_assert (reel_run_ended (bench.run));
    ck_assert_int_eq (status_of ("d599"), REEL_STEP_SKIPPED);
    ck_assert_uint_eq (reel_run_last_index (bench.run), 4002 + 600 + 1);
}
END_TEST

/* What one attempt can add to an outbox that had room for it: its start, a checkpoint, its outcome, and, where a hook fails
 * as well, the outcome and the error of the workflow. */
#define ATTEMPT_EVENTS_MAX 4
#define ATTEMPT_BYTES_MAX ((size_t) ATTEMPT_EVENTS_MAX * (REEL_RECEIPT_BYTES_MAX + 1024))

/* One event without a trace of it, which would be long. */
static void
feed_untraced (struct reel_run_event event)
{
    event.wall_us = bench.wall_us += 1000;
    event.monotonic_us = bench.monotonic_us += 1000;
    ck_assert_int_eq (reel_run_step (bench.run, &event, &bench.commands), REEL_OK);
    bench.open = bench.open && event.kind != REEL_RUN_FINISHED;
    for (size_t i = 0; i < bench.commands.count; i++)
        bench.open |= bench.commands.list[i].kind == REEL_RUN_DISPATCH;
    const struct reel_run_outbox *outbox = &bench.run->outbox;
    ck_assert_uint_le (outbox->count, REEL_OUTBOX_EVENTS_MAX + ATTEMPT_EVENTS_MAX);
    ck_assert_uint_le (outbox->bytes.len - outbox->start, REEL_OUTBOX_BYTES_MAX + ATTEMPT_BYTES_MAX);
    /* Not even of what was freed is more kept than of what is there. */
    ck_assert_uint_le (outbox->bytes.cap, 4 * (REEL_OUTBOX_BYTES_MAX + ATTEMPT_BYTES_MAX));
}

/* A step that does, or a hook, or an operator, what makes the most of an outbox that is acknowledged hardly ever. A call ends
 * at one chance in `patience`. */
static void
flood (struct reel_random *random, uint64_t patience, struct reel_slice output, struct reel_slice checkpoint)
{
    struct reel_slice zeros = reel_slice (checkpoint.data + checkpoint.len / 2, checkpoint.len - checkpoint.len / 2);
    struct reel_run_result failed = {.failure = {.code = "busy", .message = zeros, .retryable = true}};
    uint64_t what = reel_random_below (random, 16);
    if (what >= 7 && reel_random_below (random, patience) > 0)
        return;
    switch (what) {
    case 0: feed_untraced ((struct reel_run_event){.kind = REEL_RUN_TICK}); break;
    case 1:
        if (reel_random_below (random, 4) == 0)
            feed_untraced ((struct reel_run_event){.kind = REEL_RUN_ACKED,
                                                   .index = bench.run->outbox.acked + reel_random_below (random, 4)});
        break;
    case 2:
    case 3:
    case 4: feed_untraced ((struct reel_run_event){.kind = REEL_RUN_CHECKPOINT, .checkpoint = checkpoint}); break;
    case 5: feed_untraced ((struct reel_run_event){.kind = REEL_RUN_PROGRESS, .progress = {0.5, zeros}}); break;
    case 6:
        if (reel_random_below (random, 5000) == 0)
            feed_untraced ((struct reel_run_event){.kind = REEL_RUN_YIELD});
        break;
    case 7:
    case 8:
    case 9:
        feed_untraced (
            (struct reel_run_event){.kind = REEL_RUN_FINISHED, .result = {.succeeded = true, .output = output}});
        break;
    default:
        failed.succeeded = bench.run->phase == PHASE_HOOK
                           && reel_random_below (random, 1000) > 0; /* that would end it */
        failed.failure.open = reel_random_below (random, 2) == 0;
        feed_untraced ((struct reel_run_event){.kind = REEL_RUN_FINISHED, .result = failed});
    }
}

START_TEST (bound_of_the_outbox_whatever_a_step_does)
{
    static const struct run_bench_hook hooks[] = {
        {"all", REEL_HOOK_PRE_STEP | REEL_HOOK_POST_STEP | REEL_HOOK_ON_FAILURE}, {NULL, 0}};
    static const size_t sizes[] = {REEL_RECEIPT_BYTES_MAX, 60000, 5, 5};
    struct reel_random random;
    reel_random_seed (&random, (uint64_t) _i + 1);
    struct reel_buf output = map_of_bytes (sizes[_i] > 5 ? sizes[_i] - 1000 : 5), checkpoint = map_of_bytes (sizes[_i]);
    char *document = many_steps (900, ",'policy':{'retry':{'max_attempts':1000}}");
    bench.hooks = _i % 2 == 0 ? NULL : hooks;
    run_bench_create (&bench, document);
    free (document);
    feed_untraced ((struct reel_run_event){.kind = REEL_RUN_BEGIN});
    int events = getenv ("REEL_VALGRIND") != NULL ? 500 : 10000;
    for (int i = 0; i < events && !reel_run_ended (bench.run); i++)
        flood (&random, _i == 0 ? 20 : 1, reel_buf_slice (&output), reel_buf_slice (&checkpoint));
    ck_assert (events < 10000 || reel_run_ended (bench.run) || !reel_run_outbox_room (&bench.run->outbox));
    reel_buf_free (&output);
    reel_buf_free (&checkpoint);
}
END_TEST

/* --- the outbox ---------------------------------------------------------------------------- */

static enum reel_status
pack (uint64_t from, size_t bytes_max, uint32_t *count, size_t *bytes)
{
    struct reel_buf out = {0};
    enum reel_status status = reel_run_outbox (bench.run, from, bytes_max, &out, count);
    struct reel_value head;
    if (status == REEL_OK) {
        ck_assert_int_eq (reel_scan_check (reel_buf_slice (&out), REEL_DEPTH_MAX, NULL), REEL_OK);
        ck_assert (reel_scan_value (reel_buf_slice (&out), &head) && head.type == REEL_ARRAY && head.count == *count);
    }
    *bytes = out.len;
    reel_buf_free (&out);
    return status;
}

START_TEST (outbox_packs_from_anywhere)
{
    uint32_t count;
    size_t all, rest;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    run_bench_succeed (&bench, "{}");
    run_bench_succeed (&bench, "{}");
    ck_assert_uint_eq (reel_run_last_index (bench.run), 5);
    ck_assert_int_eq (pack (1, REEL_REPORT_BYTES_MAX, &count, &all), REEL_OK);
    ck_assert_uint_eq (count, 5);
    ck_assert_int_eq (pack (4, REEL_REPORT_BYTES_MAX, &count, &rest), REEL_OK);
    ck_assert_uint_eq (count, 2);
    ck_assert_uint_lt (rest, all);
    ck_assert_int_eq (pack (6, REEL_REPORT_BYTES_MAX, &count, &rest), REEL_NOT_FOUND);
    ck_assert_int_eq (pack (0, REEL_REPORT_BYTES_MAX, &count, &rest), REEL_NOT_FOUND);
    run_bench_ack (&bench, 3);
    ck_assert_int_eq (pack (3, REEL_REPORT_BYTES_MAX, &count, &rest), REEL_NOT_FOUND);
    ck_assert_int_eq (pack (4, REEL_REPORT_BYTES_MAX, &count, &rest), REEL_OK);
    ck_assert_uint_eq (count, 2);
    run_bench_ack (&bench, 5);
    ck_assert (reel_run_outbox_empty (bench.run));
    ck_assert_int_eq (pack (6, REEL_REPORT_BYTES_MAX, &count, &rest), REEL_NOT_FOUND);
    ck_assert_uint_eq (reel_run_last_index (bench.run), 5);
}
END_TEST

START_TEST (outbox_packs_within_bytes_but_one_event_always)
{
    uint32_t count;
    size_t bytes, two;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    run_bench_succeed (&bench, "{}");
    run_bench_succeed (&bench, "{}");
    ck_assert_int_eq (pack (1, 1, &count, &bytes), REEL_OK);
    ck_assert_uint_eq (count, 1);
    ck_assert_int_eq (pack (1, REEL_REPORT_BYTES_MAX, &count, &bytes), REEL_OK);
    /* An array's head is counted as the longest one, though that of so few events is a byte. */
    ck_assert_int_eq (pack (1, bytes + 3, &count, &two), REEL_OK);
    ck_assert_uint_eq (count, 4);
    ck_assert_int_eq (pack (1, bytes + 4, &count, &two), REEL_OK);
    ck_assert_uint_eq (count, 5);
    for (size_t limit = 1; limit < bytes + 10; limit++) {
        ck_assert_int_eq (pack (1, limit, &count, &two), REEL_OK);
        ck_assert (count == 1 || two <= limit);
    }
    ck_assert_uint_eq (count, 5);
}
END_TEST

START_TEST (outbox_packs_so_many_events_at_once)
{
    uint32_t count;
    size_t bytes;
    bench.defaults.max_attempts = 1000;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    for (int i = 0; i < 600; i++)
        run_bench_fail (&bench, "busy", "r");
    ck_assert_int_eq (pack (1, REEL_REPORT_BYTES_MAX, &count, &bytes), REEL_OK);
    ck_assert_uint_eq (count, REEL_REPORT_EVENTS_MAX);
    ck_assert_int_eq (pack (1201 - REEL_REPORT_EVENTS_MAX, REEL_REPORT_BYTES_MAX, &count, &bytes), REEL_OK);
    ck_assert_uint_eq (count, REEL_REPORT_EVENTS_MAX);
    ck_assert_int_eq (pack (1202 - REEL_REPORT_EVENTS_MAX, REEL_REPORT_BYTES_MAX, &count, &bytes), REEL_OK);
    ck_assert_uint_eq (count, REEL_REPORT_EVENTS_MAX);
    ck_assert_int_eq (pack (1203 - REEL_REPORT_EVENTS_MAX, REEL_REPORT_BYTES_MAX, &count, &bytes), REEL_OK);
    ck_assert_uint_eq (count, REEL_REPORT_EVENTS_MAX - 1);
}
END_TEST

START_TEST (outbox_of_the_largest_receipt_fits_a_report)
{
    size_t frame = receipt_frame_bytes (), bytes;
    uint32_t count;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    struct reel_buf output = map_of_bytes (REEL_RECEIPT_BYTES_MAX - frame);
    succeed_raw (reel_buf_slice (&output), REEL_SLICE_NONE);
    reel_buf_free (&output);
    ck_assert_int_eq (pack (1, REEL_REPORT_BYTES_MAX, &count, &bytes), REEL_OK);
    ck_assert_uint_eq (count, 3);
}
END_TEST

/* ------------------------------------------------------------------------------------------- */

int
main (void)
{
    Suite *suite = suite_create ("run_rules");
    TCase *tc;
    tc = suite_case (suite, "protect", set_up, tear_down);
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
    tc = suite_case (suite, "policy", set_up, tear_down);
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
    tc = suite_case (suite, "checkpoint", set_up, tear_down);
    tcase_add_test (tc, checkpoint_is_reported);
    tcase_add_test (tc, checkpoint_of_an_earlier_delivery_is_handed_to_the_step_in_doubt_alone);
    tcase_add_test (tc, checkpoint_leaves_the_open_call_as_it_is);
    tcase_add_test (tc, checkpoint_goes_to_the_next_attempt_when_the_call_was_left_open);
    tcase_add_test (tc, checkpoint_keeps_only_the_newest_while_one_is_not_acknowledged);
    tcase_add_test (tc, checkpoint_that_waits_is_dropped_with_its_attempt);
    tcase_add_test (tc, checkpoint_that_waits_goes_with_the_next_attempt_when_the_call_was_left_open);
    tcase_add_test (tc, checkpoint_that_waits_is_dropped_with_its_step);
    tcase_add_test (tc, checkpoint_does_not_wait_for_that_of_another_step);
    tcase_add_test (tc, checkpoint_of_an_adapter_that_cannot_go_on_from_it_is_dropped);
    tcase_add_test (tc, checkpoint_without_an_open_call_is_nothing);
    tc = suite_case (suite, "cancel", set_up, tear_down);
    tcase_add_test (tc, cancel_aborts_the_open_call_once);
    tcase_add_test (tc, cancel_lets_a_success_stand);
    tcase_add_test (tc, cancel_is_too_late_when_the_last_step_succeeds);
    tcase_add_test (tc, cancel_of_the_last_step_cancels_the_workflow);
    tcase_add_test (tc, cancel_keeps_what_the_adapter_said_of_it);
    tcase_add_test (tc, cancel_retries_nothing);
    tcase_add_test (tc, cancel_ends_a_backoff);
    tcase_add_test (tc, cancel_ends_a_step_that_waits_for_its_acknowledgement);
    tcase_add_test (tc, cancel_wins_over_yield);
    tc = suite_case (suite, "yield", set_up, tear_down);
    tcase_add_test (tc, yield_waits_for_the_open_call);
    tcase_add_test (tc, yield_after_a_failure_skips_first);
    tcase_add_test (tc, yield_with_nothing_left_to_dispatch_ends_the_workflow);
    tcase_add_test (tc, yield_gives_back_a_step_that_will_be_retried);
    tcase_add_test (tc, yield_ends_a_backoff);
    tcase_add_test (tc, yield_takes_back_a_start_that_was_not_dispatched);
    tcase_add_test (tc, yield_does_not_take_a_step_with_a_checkpoint_back);
    tcase_add_test (tc, yield_in_a_backoff_does_not_forget_a_checkpoint);
    tcase_add_test (tc, yield_makes_the_next_attempt_at_once_where_a_checkpoint_may_be_good);
    tcase_add_test (tc, yield_does_not_forget_a_checkpoint_where_the_outbox_is_full);
    tcase_add_test (tc, yield_takes_back_a_start_that_waits_for_the_lease);
    tc = suite_case (suite, "local", set_up, tear_down);
    tcase_add_test (tc, local_running_idempotent_step_goes_on);
    tcase_add_test (tc, local_running_step_with_retry_goes_on);
    tcase_add_test (tc, local_running_step_otherwise_fails);
    tcase_add_test (tc, local_running_step_finishes_no_earlier_than_it_started);
    tcase_add_test (tc, local_running_resumable_step_fails_too);
    tcase_add_test (tc, local_running_step_without_adapter_is_in_doubt);
    tcase_add_test (tc, local_running_step_passes_no_attempts_on);
    tc = suite_case (suite, "bound", set_up, tear_down);
    tcase_add_test (tc, bound_of_a_receipt_in_bytes);
    tcase_add_test (tc, bound_of_a_receipt_is_that_of_the_newest_terms);
    tcase_add_test (tc, bound_of_a_receipt_is_at_least_1024);
    tcase_add_test (tc, bound_of_a_receipt_holds_for_each_part);
    tcase_add_test (tc, bound_of_a_receipt_in_depth);
    tcase_add_test (tc, bound_of_a_checkpoint);
    tcase_add_test (tc, bound_of_an_error_in_bytes);
    tcase_add_test (tc, bound_of_an_errors_message_is_at_a_character);
    tcase_add_test (tc, bound_of_an_errors_detail);
    tcase_add_test (tc, bound_of_an_errors_code);
    tcase_add_test (tc, bound_broken_text_is_mended);
    tcase_add_test (tc, bound_of_a_progress_message);
    tcase_add_test (tc, bound_output_that_is_no_map_fails_the_step);
    tcase_add_test (tc, bound_provenance_that_no_receipt_can_hold_is_not_paid_for);
    tcase_add_test (tc, bound_provenance_that_is_too_deep_is_not_paid_for);
    tcase_add_test (tc, bound_of_the_outbox_in_bytes);
    tcase_add_test (tc, bound_of_the_outbox_in_events_is_not_reached);
    tcase_add_test (tc, bound_of_the_outbox_in_events_holds_a_retry_back);
    tcase_add_test (tc, bound_of_the_outbox_lets_cancel_and_yield_through);
    tcase_add_test (tc, bound_of_the_outbox_holds_skips_back);
    tcase_add_loop_test (tc, bound_of_the_outbox_whatever_a_step_does, 0, 4);
    tc = suite_case (suite, "outbox", set_up, tear_down);
    tcase_add_test (tc, outbox_packs_from_anywhere);
    tcase_add_test (tc, outbox_packs_within_bytes_but_one_event_always);
    tcase_add_test (tc, outbox_packs_so_many_events_at_once);
    tcase_add_test (tc, outbox_of_the_largest_receipt_fits_a_report);
    return suite_run (suite);
}
