/*
 * The run machine without a broker: what it makes of a step that an earlier run left running.
 */
#include <check.h>

#include "tests/support/run_fixture.h"
#include "tests/support/suite.h"

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

int
main (void)
{
    Suite *suite = suite_create ("run_local");
    TCase *tc = suite_case (suite, "local", set_up_bench, tear_down_bench);
    tcase_add_test (tc, local_running_idempotent_step_goes_on);
    tcase_add_test (tc, local_running_step_with_retry_goes_on);
    tcase_add_test (tc, local_running_step_otherwise_fails);
    tcase_add_test (tc, local_running_step_finishes_no_earlier_than_it_started);
    tcase_add_test (tc, local_running_resumable_step_fails_too);
    tcase_add_test (tc, local_running_step_without_adapter_is_in_doubt);
    tcase_add_test (tc, local_running_step_passes_no_attempts_on);
    return suite_run (suite);
}
