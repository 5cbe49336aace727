/*
 * The run machine, as a user of the reference knows it: which workflows it refuses, the order of their steps, cascades, and
 * outcomes with their times.
 */
#include <check.h>

#include "proto/scan.h"
#include "tests/support/run_fixture.h"
#include "tests/support/suite.h"

static const char *
refusal (const char *document)
{
    static struct reel_error err;
    struct reel_buf bytes = run_bench_msgpack (document);
    bench.setup.document = reel_buf_slice (&bytes);
    ck_assert_int_eq (reel_run_create (&bench.setup, &bench.run, &err), REEL_INVALID);
    ck_assert_ptr_null (bench.run);
    reel_buf_free (&bytes);
    return err.code;
}

START_TEST (executor_refuses_an_empty_workflow)
{
    ck_assert_str_eq (refusal ("{'steps':[]}"), "empty_workflow");
}
END_TEST

START_TEST (executor_refuses_a_missing_dependency)
{
    ck_assert_str_eq (refusal (WORKFLOW (STEP ("a", "idem", AFTER ("'x'")))), "missing_dependency");
}
END_TEST

START_TEST (executor_refuses_a_step_that_depends_on_itself)
{
    ck_assert_str_eq (refusal (WORKFLOW (STEP ("a", "idem", AFTER ("'a'")))), "self_dependency");
}
END_TEST

START_TEST (executor_refuses_a_forward_reference)
{
    ck_assert_str_eq (refusal (WORKFLOW (STEP ("a", "idem", AFTER ("'b'")), STEP ("b", "idem", ""))),
                      "forward_reference");
}
END_TEST

START_TEST (executor_refuses_a_cycle)
{
    ck_assert_str_eq (refusal (WORKFLOW (STEP ("a", "idem", AFTER ("'b'")), STEP ("b", "idem", AFTER ("'a'")))),
                      "cycle");
}
END_TEST

START_TEST (executor_refuses_doubled_step_ids)
{
    ck_assert_str_eq (refusal (WORKFLOW (STEP ("a", "idem", ""), STEP ("a", "idem", ""))), "duplicate_step");
}
END_TEST

START_TEST (executor_needs_an_id_from_somewhere)
{
    bench.setup.workflow_id = REEL_SLICE_NONE;
    ck_assert_str_eq (refusal (WORKFLOW (STEP ("a", "idem", ""))), "missing_field");
}
END_TEST

START_TEST (executor_runs_a_single_step)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1");
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "succeeded a", "ended", "END");
    ck_assert (reel_run_ended (bench.run));
    ck_assert (!reel_run_cancelled (bench.run));
    ck_assert_uint_eq (reel_run_error (bench.run).len, 0);
}
END_TEST

START_TEST (executor_runs_in_list_order)
{
    run_bench_start (&bench,
                     WORKFLOW (STEP ("c", "idem", ""), STEP ("a", "idem", ""), STEP ("b", "idem", AFTER ("'c'"))));
    run_bench_succeed (&bench, "{}");
    run_bench_succeed (&bench, "{}");
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "started c 1 idempotent hold", "dispatch c 1", "succeeded c",
                      "started a 1 idempotent hold", "dispatch a 1", "succeeded a", "started b 1 idempotent hold",
                      "dispatch b 1", "succeeded b", "ended", "END");
}
END_TEST

START_TEST (executor_is_serial)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1");
    run_bench_tick (&bench);
    run_bench_answer (&bench);
    run_bench_expect (&bench, "");
    ck_assert_int_eq (status_of ("a"), REEL_STEP_RUNNING);
    ck_assert_int_eq (status_of ("b"), REEL_STEP_PENDING);
}
END_TEST

START_TEST (executor_records_a_failure)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_fail (&bench, "exit_status", "");
    run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1", "failed a exit_status", "ended", "END");
    ck_assert_str_eq (run_bench_error (&bench, "a"), "{'code':'exit_status','message':'it broke','retryable':false}");
    ck_assert_uint_eq (run_bench_outcome (&bench, "a").receipt.len, 0);
    ck_assert_uint_eq (reel_run_error (bench.run).len, 0);
}
END_TEST

START_TEST (executor_skips_what_depends_on_a_failure)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", AFTER ("'a'"))));
    run_bench_fail (&bench, "boom", "");
    run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1", "failed a boom",
                      "skipped b dependency_failed", "ended", "END");
    ck_assert_str_eq (run_bench_error (&bench, "b"),
                      "{'code':'dependency_failed','message':'step a, which this one depends on, failed',"
                      "'retryable':false,'detail':{'step_id':'a'}}");
}
END_TEST

START_TEST (executor_cascades_skips)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", AFTER ("'a'")),
                                       STEP ("c", "idem", AFTER ("'b'")), STEP ("d", "idem", AFTER ("'c'"))));
    run_bench_fail (&bench, "boom", "");
    run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1", "failed a boom",
                      "skipped b dependency_failed", "skipped c dependency_failed", "skipped d dependency_failed",
                      "ended", "END");
    ck_assert_str_eq (run_bench_of_error (&bench, "d", "/message"), "'step c, which this one depends on, was skipped'");
}
END_TEST

START_TEST (executor_names_the_first_blocking_dependency)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", ""), STEP ("c", "idem", ""),
                                       STEP ("d", "idem", AFTER ("'c','b','a'"))));
    run_bench_fail (&bench, "boom", "");
    run_bench_fail (&bench, "boom", "");
    run_bench_succeed (&bench, "{}");
    ck_assert_str_eq (run_bench_of_error (&bench, "d", "/detail"), "{'step_id':'b'}");
}
END_TEST

START_TEST (executor_goes_on_with_what_does_not_depend_on_a_failure)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", AFTER ("'a'")),
                                       STEP ("c", "idem", ""), STEP ("d", "idem", AFTER ("'c'"))));
    run_bench_fail (&bench, "boom", "");
    run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1", "failed a boom",
                      "skipped b dependency_failed", "started c 1 idempotent hold", "dispatch c 1");
    run_bench_succeed (&bench, "{}");
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "succeeded c", "started d 1 idempotent hold", "dispatch d 1", "succeeded d", "ended",
                      "END");
}
END_TEST

START_TEST (executor_stamps_started_and_finished)
{
    bench.wall_us = 1700000000000001;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    run_bench_pass_ms (&bench, 7);
    run_bench_succeed (&bench, "{}");
    run_bench_pass_ms (&bench, 3);
    run_bench_succeed (&bench, "{}");
    ck_assert_int_eq (run_bench_outcome (&bench, "a").started_us, 1700000000000001);
    ck_assert_int_eq (run_bench_outcome (&bench, "a").finished_us, 1700000000007001);
    ck_assert_int_eq (run_bench_outcome (&bench, "b").started_us, 1700000000007001);
    ck_assert_int_eq (run_bench_outcome (&bench, "b").finished_us, 1700000000010001);
}
END_TEST

START_TEST (executor_stamps_a_skip_with_its_end_only)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", AFTER ("'a'"))));
    run_bench_pass_ms (&bench, 5);
    run_bench_fail (&bench, "boom", "");
    ck_assert_int_eq (run_bench_outcome (&bench, "b").started_us, REEL_TIME_NIL);
    ck_assert_int_eq (run_bench_outcome (&bench, "b").finished_us, 6000);
}
END_TEST

START_TEST (executor_never_stamps_backwards)
{
    struct reel_buf report = {0};
    struct reel_slice event;
    uint32_t count;
    uint64_t at_us;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    bench.wall_us = 10;
    run_bench_succeed (&bench, "{}");
    ck_assert_int_eq (run_bench_outcome (&bench, "a").finished_us, 1000);
    ck_assert_int_eq (reel_run_outbox (bench.run, 2, 1, &report, &count), REEL_OK);
    ck_assert (reel_scan_pointer (reel_buf_slice (&report), reel_slice_text ("/0"), &event));
    ck_assert (reel_scan_find_uint (event, "at_us", &at_us));
    ck_assert_uint_eq (at_us, 1000);
    reel_buf_free (&report);
}
END_TEST

START_TEST (executor_resumes_a_half_executed_document)
{
    run_bench_start (&bench, WORKFLOW (DONE ("a"), STEP ("b", "idem", AFTER ("'a'"))));
    run_bench_expect (&bench, "started b 1 idempotent hold", "dispatch b 1");
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "succeeded b", "ended", "END");
    ck_assert_str_eq (run_bench_receipt (&bench, "a"), "{'output':{'n':1}}");
    ck_assert_int_eq (run_bench_outcome (&bench, "a").finished_us, 2);
}
END_TEST

START_TEST (executor_skips_for_failures_of_an_earlier_run)
{
    run_bench_start (
        &bench, WORKFLOW ("{'step_id':'a','modality':'paid','status':'failed','error':'out of luck','started_us':1,"
                          "'finished_us':2}",
                          STEP ("b", "idem", AFTER ("'a'"))));
    run_bench_expect (&bench, "skipped b dependency_failed", "ended", "END");
    ck_assert_str_eq (run_bench_error (&bench, "a"), "'out of luck'");
}
END_TEST

START_TEST (executor_of_a_finished_document_only_ends)
{
    run_bench_start (&bench, WORKFLOW (DONE ("a"), DONE ("b")));
    run_bench_expect (&bench, "ended", "END");
}
END_TEST

START_TEST (executor_does_nothing_before_it_begins)
{
    run_bench_create (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_tick (&bench);
    run_bench_answer (&bench);
    run_bench_cancel (&bench);
    run_bench_yield (&bench);
    run_bench_fail (&bench, "stray", "");
    run_bench_expect (&bench, "");
    run_bench_feed (&bench, (struct reel_run_event){.kind = REEL_RUN_BEGIN});
    run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1");
    run_bench_feed (&bench, (struct reel_run_event){.kind = REEL_RUN_BEGIN});
    run_bench_expect (&bench, "");
}
END_TEST

START_TEST (executor_does_nothing_after_its_end)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_succeed (&bench, "{}");
    run_bench_forget (&bench);
    run_bench_cancel (&bench);
    run_bench_yield (&bench);
    run_bench_fail (&bench, "stray", "");
    run_bench_checkpoint (&bench, "1");
    run_bench_progress (&bench, 0.5, "");
    run_bench_tick (&bench);
    run_bench_confirm (&bench);
    run_bench_expect (&bench, "");
    ck_assert (!reel_run_outbox_empty (bench.run));
    run_bench_ack_all (&bench);
    ck_assert (reel_run_outbox_empty (bench.run));
    ck_assert (!reel_run_cancelled (bench.run));
    ck_assert_int_eq (status_of ("a"), REEL_STEP_SUCCEEDED);
}
END_TEST

START_TEST (executor_ignores_a_result_that_nobody_waits_for)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "paid", "")));
    run_bench_expect (&bench, "started a 1 protected hold");
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "");
    ck_assert_int_eq (status_of ("a"), REEL_STEP_RUNNING);
}
END_TEST

START_TEST (executor_takes_a_thousand_steps)
{
    struct reel_buf document = {0};
    reel_buf_add_text (&document, "{'steps':[");
    for (int i = 0; i < 1000; i++)
        reel_buf_printf (&document, "%s{'step_id':'s%d','modality':'idem','depends_on':[%s]}", i > 0 ? "," : "", i,
                         i > 0 ? "'s0'" : "");
    reel_buf_add_text (&document, "]}");
    reel_buf_add_byte (&document, 0);
    run_bench_start (&bench, (const char *) document.data);
    run_bench_fail (&bench, "boom", "");
    ck_assert (reel_run_ended (bench.run));
    ck_assert_int_eq (status_of ("s999"), REEL_STEP_SKIPPED);
    ck_assert_uint_eq (reel_run_last_index (bench.run), 1002);
    reel_buf_free (&document);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("run");
    TCase *tc = suite_case (suite, "executor", set_up_bench, tear_down_bench);
    tcase_add_test (tc, executor_refuses_an_empty_workflow);
    tcase_add_test (tc, executor_refuses_a_missing_dependency);
    tcase_add_test (tc, executor_refuses_a_step_that_depends_on_itself);
    tcase_add_test (tc, executor_refuses_a_forward_reference);
    tcase_add_test (tc, executor_refuses_a_cycle);
    tcase_add_test (tc, executor_refuses_doubled_step_ids);
    tcase_add_test (tc, executor_needs_an_id_from_somewhere);
    tcase_add_test (tc, executor_runs_a_single_step);
    tcase_add_test (tc, executor_runs_in_list_order);
    tcase_add_test (tc, executor_is_serial);
    tcase_add_test (tc, executor_records_a_failure);
    tcase_add_test (tc, executor_skips_what_depends_on_a_failure);
    tcase_add_test (tc, executor_cascades_skips);
    tcase_add_test (tc, executor_names_the_first_blocking_dependency);
    tcase_add_test (tc, executor_goes_on_with_what_does_not_depend_on_a_failure);
    tcase_add_test (tc, executor_stamps_started_and_finished);
    tcase_add_test (tc, executor_stamps_a_skip_with_its_end_only);
    tcase_add_test (tc, executor_never_stamps_backwards);
    tcase_add_test (tc, executor_resumes_a_half_executed_document);
    tcase_add_test (tc, executor_skips_for_failures_of_an_earlier_run);
    tcase_add_test (tc, executor_of_a_finished_document_only_ends);
    tcase_add_test (tc, executor_does_nothing_before_it_begins);
    tcase_add_test (tc, executor_does_nothing_after_its_end);
    tcase_add_test (tc, executor_ignores_a_result_that_nobody_waits_for);
    tcase_add_test (tc, executor_takes_a_thousand_steps);
    return suite_run (suite);
}
