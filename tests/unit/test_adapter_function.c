/*
 * C functions as adapters and hooks: in threads of their own, told when to end, given up when they do not.
 */
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "tests/support/call.h"
#include "tests/support/scratch.h"
#include "tests/support/suite.h"
#include "worker/adapter_function.h"

#undef fail /* a macro of Check, and a function of the host */

static struct call_bench bench;
static struct reel_adapter *adapter;
static char work[SCRATCH_BYTES];

static void
set_up (void)
{
    call_bench_init (&bench);
    adapter = NULL;
    scratch_make (work, false);
}

static void
tear_down (void)
{
    if (adapter != NULL)
        adapter->destroy (adapter);
    call_bench_free (&bench);
    scratch_remove (work);
}

static void
use (reel_adapter_fn function, void *context)
{
    if (adapter != NULL)
        adapter->destroy (adapter);
    adapter = NULL;
    const struct reel_function_setup setup = {
        .name = "mine", .class = REEL_ADAPTER_RESUMABLE, .function = function, .context = context, .work = work};
    ck_assert_int_eq (reel_adapter_function_create (&setup, &adapter), REEL_OK);
    ck_assert_str_eq (adapter->name, "mine");
    ck_assert_int_eq (adapter->class, REEL_ADAPTER_RESUMABLE);
}

static const char *
run (reel_adapter_fn function, void *context)
{
    use (function, context);
    call_bench_run (&bench, adapter);
    return bench.succeeded ? call_bench_output (&bench) : bench.code;
}

/* --- what comes out ---------------------------------------------------------------------------- */

static int
says_nothing (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    (void) call, (void) reply;
    return context == NULL ? 0 : *(int *) context;
}

static int
both_forms (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    static const uint8_t map[] = {0x81, 0xa1, 'c', 0x07};
    if (*(int *) context == 0)
        return call->host->output_json (reply, "{\"image\": \"k.png\"}")
               | call->host->extra (reply, (struct reel_adapter_bytes){map, sizeof map});
    return call->host->output (reply, (struct reel_adapter_bytes){map, sizeof map})
           | call->host->extra_json (reply, "{\"cost\": 1}");
}

START_TEST (output_comes_in_both_forms)
{
    int form = 0;
    ck_assert_str_eq (run (both_forms, &form), "{\"image\":\"k.png\"}");
    ck_assert_str_eq ((const char *) bench.extra.data, "{\"c\":7}");
    form = 1;
    ck_assert_str_eq (run (both_forms, &form), "{\"c\":7}");
    ck_assert_str_eq ((const char *) bench.extra.data, "{\"cost\":1}");
}
END_TEST

START_TEST (nothing_said_is_an_empty_output)
{
    ck_assert_str_eq (run (says_nothing, NULL), "");
    ck_assert (bench.succeeded);
}
END_TEST

START_TEST (failure_without_a_word)
{
    int result = 3;
    ck_assert_str_eq (run (says_nothing, &result), "adapter_failed");
    ck_assert_str_eq (bench.message, "the function returned 3 and did not say why");
    ck_assert (!bench.retryable && !bench.open);
}
END_TEST

struct saying {
    const char *code, *message;
    unsigned flags;
    int result;
};

static int
says (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    const struct saying *saying = context;
    int said = call->host->fail (reply, saying->code, saying->message, saying->flags);
    return saying->result != 0 ? saying->result : said;
}

START_TEST (failure_is_told_as_it_was_said)
{
    struct saying saying = {"busy", "try later", REEL_FAIL_RETRYABLE, 1};
    ck_assert_str_eq (run (says, &saying), "busy");
    ck_assert_str_eq (bench.message, "try later");
    ck_assert (bench.retryable && !bench.open);
    saying = (struct saying){"lost", NULL, REEL_FAIL_OPEN, 1};
    ck_assert_str_eq (run (says, &saying), "lost");
    ck_assert (!bench.retryable && bench.open);
}
END_TEST

START_TEST (failure_out_of_form_is_bad_output)
{
    static char long_code[80];
    memset (long_code, 'a', sizeof long_code - 1);
    const struct saying sayings[] = {{NULL, "m", 0, 1},  {"", "m", 0, 1},        {"Bad", "m", 0, 1},
                                     {"a b", "m", 0, 1}, {long_code, "m", 0, 1}, {"a", "m", 4, 1}};
    for (size_t i = 0; i < sizeof sayings / sizeof sayings[0]; i++) {
        struct saying saying = sayings[i];
        ck_assert_str_eq (run (says, &saying), "bad_output");
    }
    long_code[64] = '\0';
    ck_assert_str_eq (run (says, &(struct saying){long_code, "m", 0, 1}), long_code);
}
END_TEST

/* The nth thing that a host must refuse. */
static int
misuses (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    static const uint8_t array[] = {0x90}, cut[] = {0x81, 0xa1}, two[] = {0x80, 0x80};
    const struct reel_adapter_host *host = call->host;
    int refused = 0;
    switch (*(int *) context) {
    case 0: refused = host->output_json (reply, NULL); break;
    case 1: refused = host->output_json (reply, "{"); break;
    case 2: refused = host->output_json (reply, "[]"); break;
    case 3: refused = host->output (reply, (struct reel_adapter_bytes){array, sizeof array}); break;
    case 4: refused = host->output (reply, (struct reel_adapter_bytes){cut, sizeof cut}); break;
    case 5: refused = host->output (reply, (struct reel_adapter_bytes){two, sizeof two}); break;
    case 6: refused = host->output (reply, (struct reel_adapter_bytes){NULL, 5}); break;
    case 7: refused = host->extra_json (reply, "7"); break;
    case 8: refused = host->extra (reply, (struct reel_adapter_bytes){NULL, 0}); break;
    default: ck_abort ();
    }
    return refused == -1 ? 0 : 9; /* as if nothing had been wrong */
}

START_TEST (output_out_of_form_fails_the_step)
{
    for (int i = 0; i <= 8; i++) {
        use (misuses, &i);
        call_bench_run (&bench, adapter);
        ck_assert_msg (!bench.succeeded && strcmp (bench.code, "bad_output") == 0, "%d", i);
        ck_assert (!bench.retryable);
    }
}
END_TEST

START_TEST (hook_is_good_or_not_and_no_more)
{
    int form = 0, misuse = 2, result = 1;
    bench.call.hook = REEL_HOOK_POST_STEP;
    ck_assert_str_eq (run (both_forms, &form), "");
    ck_assert_str_eq ((const char *) bench.extra.data, "");
    ck_assert_str_eq (run (misuses, &misuse), "");
    ck_assert_str_eq (run (says_nothing, &result), "adapter_failed");
}
END_TEST

/* --- what goes in ------------------------------------------------------------------------------- */

static char seen[1024];

static int
looks (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    struct stat about;
    struct timespec now;
    (void) reply, (void) context;
    (void) clock_gettime (CLOCK_MONOTONIC, &now);
    int64_t left_us = call->deadline_us - ((int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000);
    snprintf (seen, sizeof seen, "%u %d %s %s %s %s %u %u %s %zu %zu %d %d %d", call->host->abi, (int) call->hook,
              call->workflow_id, call->step_id, call->modality, call->idempotency_key, call->attempt, call->delivery,
              call->payload_json, call->payload.size, call->checkpoint.size,
              stat (call->directory, &about) == 0 && S_ISDIR (about.st_mode), left_us > 0 && left_us <= 60000000,
              call->host->cancelled (call));
    return 0;
}

START_TEST (call_is_told_everything)
{
    static const uint8_t checkpoint[] = {0x81, 0xa1, 'j', 0x01};
    char expected[256], *left;
    call_bench_payload (&bench, "{\"n\": 1, \"s\": \"\\u00e9\"}");
    bench.call.checkpoint = reel_slice (checkpoint, sizeof checkpoint);
    bench.call.attempt = 2;
    bench.call.delivery = 3;
    bench.call.timeout_ms = 60000;
    run (looks, NULL);
    snprintf (expected, sizeof expected, "1 0 wf step image wf/step 2 3 {\"n\":1,\"s\":\"\xc3\xa9\"} %zu 4 1 1 0",
              bench.payload.len);
    ck_assert_str_eq (seen, expected);
    left = NULL;
    ck_assert_int_gt (asprintf (&left, "%s/wf", work), 0);
    ck_assert_int_ne (access (left, F_OK), 0); /* its directory is gone */
    free (left);
}
END_TEST

/* --- on the way ----------------------------------------------------------------------------------- */

static int
tells (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    static const uint8_t bad[] = {0xc1};
    (void) reply, (void) context;
    call->host->progress (call, 0.25, "a quarter");
    call->host->progress (call, 7, NULL);
    call->host->progress (call, 0.5, "half");
    bool good = call->host->checkpoint (call, (struct reel_adapter_bytes){bad, 1}) == -1
                && call->host->checkpoint_json (call, "{") == -1 && call->host->checkpoint_json (call, NULL) == -1
                && call->host->checkpoint_json (call, "{\"job\": 1}") == 0
                && call->host->checkpoint_json (call, "{\"job\": 2}") == 0;
    return good ? 0 : 1;
}

START_TEST (progress_and_checkpoints_arrive)
{
    run (tells, NULL);
    ck_assert (bench.succeeded);
    ck_assert_uint_ge (bench.progress_count, 1); /* thinned out, but the last one is there */
    ck_assert_double_eq (bench.fraction, 0.5);
    ck_assert_str_eq ((const char *) bench.said.data, "half");
    ck_assert_str_eq ((const char *) bench.left.data, "{\"job\":2}");
}
END_TEST

/* Blocks until it is told to end, after it has said that it is there. */
static int
waits (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    struct pollfd told = {.fd = call->host->cancel_fd (call), .events = POLLIN};
    bool before = call->host->cancelled (call);
    call->host->progress (call, -1, "there");
    int ready = poll (&told, 1, 30000);
    if (context != NULL) /* it came to its result all the same */
        return call->host->output_json (reply, "{\"late\": true}");
    if (before || ready != 1 || !call->host->cancelled (call))
        return call->host->fail (reply, "not_told", "", 0), 1;
    return call->host->fail (reply, "gave_in", "", 0), 1;
}

START_TEST (cancel_is_seen)
{
    bench.cancel_at = 1;
    ck_assert_str_eq (run (waits, NULL), "cancelled");
    ck_assert (bench.open && !bench.retryable);
}
END_TEST

START_TEST (timeout_is_seen)
{
    bench.call.timeout_ms = 20;
    ck_assert_str_eq (run (waits, NULL), "timeout");
    ck_assert_str_eq (bench.message, "it took longer than 20 ms");
    ck_assert (bench.open && bench.retryable);
}
END_TEST

START_TEST (result_that_comes_late_is_taken)
{
    int yes = 1;
    bench.cancel_at = 1;
    ck_assert_str_eq (run (waits, &yes), "{\"late\":true}");
    bench.cancel_at = 0;
    bench.call.timeout_ms = 20;
    ck_assert_str_eq (run (waits, &yes), "{\"late\":true}");
}
END_TEST

/* --- who does not listen ----------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool let_go;
static unsigned there, gone;

static int
ignores (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    (void) context;
    call->host->progress (call, -1, "there");
    pthread_mutex_lock (&lock);
    there++;
    pthread_cond_broadcast (&changed);
    while (!let_go)
        pthread_cond_wait (&changed, &lock);
    pthread_mutex_unlock (&lock);
    /* All of this goes nowhere, and harms nobody. */
    call->host->progress (call, 1, "done");
    (void) call->host->checkpoint_json (call, "{}");
    (void) call->host->output_json (reply, "{\"late\": true}");
    bool kept = strcmp (call->workflow_id, "wf") == 0 && call->host->cancelled (call);
    pthread_mutex_lock (&lock);
    gone += kept;
    pthread_cond_broadcast (&changed);
    pthread_mutex_unlock (&lock);
    return 0;
}

static void
begin_ignoring (void)
{
    let_go = false;
    there = gone = 0;
}

/* Waits until all that were begun have ended, threads and all. */
static void
end_ignoring (void)
{
    pthread_mutex_lock (&lock);
    let_go = true;
    pthread_cond_broadcast (&changed);
    while (gone < there)
        pthread_cond_wait (&changed, &lock);
    pthread_mutex_unlock (&lock);
    for (int64_t until_ms = call_now_ms () + 30000; reel_adapter_function_abandoned () > 0;) {
        ck_assert_int_lt (call_now_ms (), until_ms);
        sched_yield ();
    }
}

START_TEST (function_that_does_not_listen_is_abandoned)
{
    begin_ignoring ();
    bench.cancel_at = 1;
    bench.cancel_times = 2; /* at once */
    ck_assert_str_eq (run (ignores, NULL), "cancelled");
    ck_assert (bench.open);
    ck_assert_uint_eq (reel_adapter_function_abandoned (), 1);
    /* Its adapter goes before it. */
    adapter->destroy (adapter);
    adapter = NULL;
    end_ignoring ();
}
END_TEST

START_TEST (function_that_does_not_listen_to_its_deadline_is_abandoned_after_a_grace)
{
    begin_ignoring ();
    bench.call.timeout_ms = 1;
    int64_t from_ms = call_now_ms ();
    ck_assert_str_eq (run (ignores, NULL), "timeout");
    ck_assert_int_ge (call_now_ms () - from_ms, REEL_FUNCTION_GRACE_MS);
    ck_assert_uint_eq (reel_adapter_function_abandoned (), 1);
    end_ignoring ();
}
END_TEST

START_TEST (number_of_abandoned_calls_is_bounded)
{
    begin_ignoring ();
    bench.cancel_at = 1;
    bench.cancel_times = 2;
    for (unsigned i = 0; i < REEL_ABANDONED_MAX; i++)
        ck_assert_str_eq (run (ignores, NULL), "cancelled");
    ck_assert_uint_eq (reel_adapter_function_abandoned (), REEL_ABANDONED_MAX);
    ck_assert_str_eq (run (ignores, NULL), "too_many_abandoned");
    ck_assert (bench.retryable && !bench.open);
    end_ignoring ();
    bench.cancel_at = 0;
    ck_assert_str_eq (run (says_nothing, NULL), "");
}
END_TEST

/* --- side by side ---------------------------------------------------------------------------------------- */

static void
second_finished (struct reel_task *task, const struct reel_run_result *result)
{
    ck_assert (result->succeeded);
    reel_loop_stop (reel_task_loop (task));
}

START_TEST (call_that_blocks_holds_nobody_up)
{
    struct call_bench other;
    struct reel_adapter *quick = NULL;
    const struct reel_function_setup setup = {.name = "quick", .function = says_nothing, .work = work};
    call_bench_init (&other);
    begin_ignoring ();
    use (ignores, NULL);
    bench.call.delivery = 2;
    reel_task_open (&bench.task, adapter, &bench.call);
    pthread_mutex_lock (&lock);
    while (there == 0)
        pthread_cond_wait (&changed, &lock);
    pthread_mutex_unlock (&lock);
    /* In the same loop, one after the other. */
    ck_assert_int_eq (reel_adapter_function_create (&setup, &quick), REEL_OK);
    struct reel_task second = {
        .loop = bench.loop, .finished = second_finished, .progress = bench.task.progress, .context = &other};
    for (int i = 0; i < 10; i++) {
        reel_task_open (&second, quick, &other.call);
        ck_assert_int_eq (reel_loop_run (bench.loop), REEL_OK);
    }
    ck_assert (bench.task.open);
    reel_task_cancel (&bench.task);
    end_ignoring ();
    while (bench.task.open)
        ck_assert_int_eq (reel_loop_run (bench.loop), REEL_OK);
    ck_assert (bench.succeeded); /* it returned within its grace */
    quick->destroy (quick);
    call_bench_free (&other);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("adapter_function");
    TCase *tc = suite_case (suite, "function", set_up, tear_down);
    tcase_add_test (tc, output_comes_in_both_forms);
    tcase_add_test (tc, nothing_said_is_an_empty_output);
    tcase_add_test (tc, failure_without_a_word);
    tcase_add_test (tc, failure_is_told_as_it_was_said);
    tcase_add_test (tc, failure_out_of_form_is_bad_output);
    tcase_add_test (tc, output_out_of_form_fails_the_step);
    tcase_add_test (tc, hook_is_good_or_not_and_no_more);
    tcase_add_test (tc, call_is_told_everything);
    tcase_add_test (tc, progress_and_checkpoints_arrive);
    tcase_add_test (tc, cancel_is_seen);
    tcase_add_test (tc, timeout_is_seen);
    tcase_add_test (tc, result_that_comes_late_is_taken);
    tcase_add_test (tc, function_that_does_not_listen_is_abandoned);
    tcase_add_test (tc, function_that_does_not_listen_to_its_deadline_is_abandoned_after_a_grace);
    tcase_add_test (tc, number_of_abandoned_calls_is_bounded);
    tcase_add_test (tc, call_that_blocks_holds_nobody_up);
    return suite_run (suite);
}
