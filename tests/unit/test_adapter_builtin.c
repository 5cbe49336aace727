/*
 * echo, sleep and fail.
 */
#include <check.h>
#include <stdlib.h>

#include "tests/support/call.h"
#include "tests/support/suite.h"
#include "worker/adapter_builtin.h"

static struct call_bench bench;
static struct reel_adapter *adapter;

static void
set_up (void)
{
    call_bench_init (&bench);
    adapter = NULL;
}

static void
tear_down (void)
{
    if (adapter != NULL)
        adapter->destroy (adapter);
    call_bench_free (&bench);
}

static void
run (const char *name, const char *payload)
{
    if (adapter == NULL)
        ck_assert_int_eq (reel_adapter_builtin_create (name, &adapter), REEL_OK);
    ck_assert_int_eq (adapter->class, REEL_ADAPTER_IDEMPOTENT);
    ck_assert_str_eq (adapter->name, name);
    call_bench_payload (&bench, payload);
    call_bench_run (&bench, adapter);
}

START_TEST (unknown_name_is_not_found)
{
    ck_assert_int_eq (reel_adapter_builtin_create ("exec", &adapter), REEL_NOT_FOUND);
    ck_assert_ptr_null (adapter);
}
END_TEST

START_TEST (echo_gives_the_payload_back)
{
    static const char payload[] = "{\"text\":\"a\",\"deep\":{\"list\":[1,null,true,-2.5]},\"$$ref\":\"x\"}";
    run ("echo", payload);
    ck_assert (bench.inside);
    ck_assert_str_eq (call_bench_output (&bench), payload);
    ck_assert_str_eq ((const char *) bench.extra.data, "");
    bench.call.payload = REEL_SLICE_NONE;
    call_bench_run (&bench, adapter);
    ck_assert_str_eq (call_bench_output (&bench), "");
}
END_TEST

START_TEST (sleep_waits_no_less_than_it_was_asked_to)
{
    int64_t before_ms = call_now_ms ();
    run ("sleep", "{\"ms\":30,\"tag\":1}");
    ck_assert_int_ge (call_now_ms () - before_ms, 29);
    ck_assert_str_eq (call_bench_output (&bench), "{\"ms\":30,\"tag\":1}");
    run ("sleep", "{\"ms\":0}");
    ck_assert (bench.succeeded);
}
END_TEST

static const char *const bad_naps[] = {
    "{}", "{\"ms\":-1}", "{\"ms\":\"5\"}", "{\"ms\":1.5}", "{\"ms\":null}", "{\"ms\":31622400001}",
};

START_TEST (sleep_refuses_a_bad_payload)
{
    run ("sleep", bad_naps[_i]);
    ck_assert (bench.inside && !bench.succeeded && !bench.retryable && !bench.open);
    ck_assert_str_eq (bench.code, "bad_payload");
}
END_TEST

START_TEST (sleep_is_cut_off_at_the_steps_timeout)
{
    bench.call.timeout_ms = 20;
    int64_t before_ms = call_now_ms ();
    run ("sleep", "{\"ms\":60000}");
    ck_assert_int_ge (call_now_ms () - before_ms, 19);
    ck_assert_str_eq (bench.code, "timeout");
    ck_assert (bench.retryable && bench.open);
    run ("sleep", "{\"ms\":20}"); /* as long as the timeout is not longer */
    ck_assert (bench.succeeded);
}
END_TEST

static void
cancel (struct reel_timer *timer)
{
    (void) timer;
    reel_task_cancel (&bench.task);
}

START_TEST (sleep_can_be_cancelled)
{
    struct reel_timer timer = {.due = cancel};
    reel_loop_arm (bench.loop, &timer, 0);
    run ("sleep", "{\"ms\":60000}");
    ck_assert_str_eq (bench.code, "cancelled");
    ck_assert (!bench.retryable);
}
END_TEST

START_TEST (fail_fails_as_it_is_told_to)
{
    run ("fail", "{\"message\":\"no light\",\"retryable\":true}");
    ck_assert (bench.inside && !bench.succeeded && bench.retryable && !bench.open);
    ck_assert_str_eq (bench.code, "failed");
    ck_assert_str_eq (bench.message, "no light");
    run ("fail", "{}");
    ck_assert (!bench.succeeded && !bench.retryable);
    ck_assert_str_eq (bench.code, "failed");
    ck_assert_str_ne (bench.message, "");
}
END_TEST

static const char *const bad_failures[] = {"{\"message\":1}", "{\"retryable\":\"yes\"}"};

START_TEST (fail_refuses_a_bad_payload)
{
    run ("fail", bad_failures[_i]);
    ck_assert_str_eq (bench.code, "bad_payload");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("adapter_builtin");
    TCase *tc = suite_case (suite, "adapter_builtin", set_up, tear_down);
    tcase_add_test (tc, unknown_name_is_not_found);
    tcase_add_test (tc, echo_gives_the_payload_back);
    tcase_add_test (tc, sleep_waits_no_less_than_it_was_asked_to);
    tcase_add_loop_test (tc, sleep_refuses_a_bad_payload, 0, sizeof bad_naps / sizeof bad_naps[0]);
    tcase_add_test (tc, sleep_is_cut_off_at_the_steps_timeout);
    tcase_add_test (tc, sleep_can_be_cancelled);
    tcase_add_test (tc, fail_fails_as_it_is_told_to);
    tcase_add_loop_test (tc, fail_refuses_a_bad_payload, 0, sizeof bad_failures / sizeof bad_failures[0]);
    return suite_run (suite);
}
