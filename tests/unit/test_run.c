/*
 * The run machine, as a user of the reference knows it: the order of steps, cascades, outcomes,
 * dispatch with its context and provenance, and whole workflows as a studio would write them.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
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

/* The dispatched context's values, as JSON. */
static const char *
payload (void)
{
    return run_bench_json (&bench, bench.call.payload);
}

static const char *
provenance (void)
{
    return run_bench_json (&bench, bench.call.provenance);
}

/* --- executor ---------------------------------------------------------------------------- */

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

#define DONE(id)                                                                                                       \
    "{'step_id':'" id "','modality':'paid','status':'succeeded','receipt':{'output':{'n':1}},'started_us':1,"          \
    "'finished_us':2}"

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

/* --- dispatch ---------------------------------------------------------------------------- */

START_TEST (dispatch_carries_the_context)
{
    bench.setup.delivery = 3;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem.still", ",'payload':{'n':1},'policy':{'timeout_ms':250}")));
    ck_assert (reel_slice_is (bench.call.workflow_id, "wf"));
    ck_assert (reel_slice_is (bench.call.step_id, "a"));
    ck_assert (reel_slice_is (bench.call.modality, "idem.still"));
    ck_assert (reel_slice_is (bench.call.idempotency_key, "wf/a"));
    ck_assert_uint_eq (bench.call.checkpoint.len, 0);
    ck_assert_uint_eq (bench.call.attempt, 1);
    ck_assert_uint_eq (bench.call.delivery, 3);
    ck_assert_int_eq (bench.call.timeout_ms, 250);
    ck_assert_str_eq (payload (), "{'n':1}");
    ck_assert_str_eq (provenance (), "{'workflow_id':'wf','workflow_step_id':'a'}");
}
END_TEST

START_TEST (dispatch_gives_an_absent_payload_as_an_empty_map)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    ck_assert_str_eq (payload (), "{}");
}
END_TEST

START_TEST (dispatch_leaves_a_payload_as_it_was_written)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem",
                                             ",'payload':{'z':{'$bin':'AAE='},'y':{'$f32':'40490fdb'},'x':[1,-1,null],"
                                             "'w':{'$uint':'18446744073709551615'}}")));
    ck_assert_str_eq (payload (), "{'z':{'$bin':'AAE='},'y':{'$f32':'40490fdb'},'x':[1,-1,null],"
                                  "'w':{'$uint':'18446744073709551615'}}");
}
END_TEST

START_TEST (dispatch_has_its_own_context_for_each_step)
{
    run_bench_start (&bench,
                     WORKFLOW (STEP ("a", "idem", ",'payload':{'n':1}"), STEP ("b", "idem", ",'payload':{'n':2}")));
    ck_assert_str_eq (payload (), "{'n':1}");
    run_bench_succeed (&bench, "{}");
    ck_assert (reel_slice_is (bench.call.idempotency_key, "wf/b"));
    ck_assert_str_eq (payload (), "{'n':2}");
    ck_assert_str_eq (provenance (), "{'workflow_id':'wf','workflow_step_id':'b'}");
}
END_TEST

START_TEST (dispatch_merges_three_layers_of_provenance)
{
    struct reel_buf overrides = run_bench_msgpack ("{'project':'over','workflow_step_id':'liar','new':2}");
    bench.setup.provenance = reel_buf_slice (&overrides);
    run_bench_start (&bench, "{'global_provenance':{'workflow_id':'liar','project':'base','seed':7},'steps':["
                             "{'step_id':'a','modality':'idem'}]}");
    reel_buf_free (&overrides);
    ck_assert_str_eq (provenance (), "{'workflow_id':'wf','project':'over','seed':7,'workflow_step_id':'a','new':2}");
    run_bench_succeed (&bench, "{}");
    ck_assert_str_eq (run_bench_of_receipt (&bench, "a", "/provenance"),
                      "{'workflow_id':'wf','project':'over','seed':7,'workflow_step_id':'a','new':2}");
}
END_TEST

START_TEST (dispatch_composes_the_receipt)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_succeed_with (&bench, "{'image':'a.png'}", "{'cost':{'usd':0.25},'artifacts':[]}");
    ck_assert_str_eq (run_bench_receipt (&bench, "a"),
                      "{'adapter':'idem','output':{'image':'a.png'},"
                      "'provenance':{'workflow_id':'wf','workflow_step_id':'a'},'attempts':1,'idempotency_key':'wf/a',"
                      "'cost':{'usd':0.25},'artifacts':[]}");
}
END_TEST

START_TEST (dispatch_takes_no_output_as_an_empty_map)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_succeed_with (&bench, NULL, NULL);
    ck_assert_str_eq (run_bench_of_receipt (&bench, "a", "/output"), "{}");
}
END_TEST

START_TEST (dispatch_lets_no_adapter_forge_a_receipt)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_succeed_with (&bench, "{}",
                            "{'adapter':'x','x':1,'output':{'n':9},'provenance':{},'attempts':9,'idempotency_key':'x',"
                            "'payload_sha256':'x','y':2}");
    ck_assert_str_eq (run_bench_receipt (&bench, "a"),
                      "{'adapter':'idem','output':{},'provenance':{'workflow_id':'wf','workflow_step_id':'a'},"
                      "'attempts':1,'idempotency_key':'wf/a','x':1,'y':2}");
}
END_TEST

START_TEST (dispatch_resolves_references)
{
    run_bench_start (
        &bench, WORKFLOW (STEP ("a", "idem", ""),
                          STEP ("b", "idem",
                                AFTER ("'a'") ",'payload':{"
                                              "'image':{'$ref':'#/a/output/image'},'n':[1,{'$ref':'#/a/output/n'}],"
                                              "'literal':{'$$ref':'#/a'},'all':{'$ref':'#/a/output'}}")));
    run_bench_succeed (&bench, "{'image':'a.png','n':{'deep':[true]}}");
    ck_assert_str_eq (payload (), "{'image':'a.png','n':[1,{'deep':[true]}],'literal':{'$ref':'#/a'},"
                                  "'all':{'image':'a.png','n':{'deep':[true]}}}");
}
END_TEST

START_TEST (dispatch_resolves_from_an_earlier_runs_receipt)
{
    run_bench_start (
        &bench, WORKFLOW (DONE ("a"), STEP ("b", "idem", AFTER ("'a'") ",'payload':{'n':{'$ref':'#/a/output/n'}}")));
    ck_assert_str_eq (payload (), "{'n':1}");
}
END_TEST

START_TEST (dispatch_says_what_it_dispatched_when_that_is_not_in_the_document)
{
    char wanted[2 * REEL_SHA256_BYTES + 1];
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""),
                                       STEP ("b", "idem", AFTER ("'a'") ",'payload':{'n':{'$ref':'#/a/output/n'}}"),
                                       STEP ("c", "idem", ",'payload':{'n':{'$$ref':'x'}}")));
    run_bench_succeed (&bench, "{'n':5}");
    reel_hash_sha256_hex (bench.call.payload, wanted);
    run_bench_succeed (&bench, "{}");
    const char *got = run_bench_of_receipt (&bench, "b", "/payload_sha256");
    ck_assert_uint_eq (strlen (got), 66);
    ck_assert_int_eq (strncmp (got + 1, wanted, 64), 0);
    run_bench_succeed (&bench, "{}");
    ck_assert_str_eq (run_bench_of_receipt (&bench, "c", "/payload_sha256"), "");
}
END_TEST

START_TEST (dispatch_takes_a_whole_payload_by_reference)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""),
                                       STEP ("b", "idem", AFTER ("'a'") ",'payload':{'$ref':'#/a/output'}")));
    run_bench_succeed (&bench, "{'n':5}");
    ck_assert_str_eq (payload (), "{'n':5}");
}
END_TEST

START_TEST (dispatch_fails_a_step_whose_reference_finds_nothing)
{
    run_bench_start (&bench,
                     WORKFLOW (STEP ("a", "idem", ""),
                               STEP ("b", "paid", AFTER ("'a'") ",'payload':{'x':[{'$ref':'#/a/output/none'}]}"),
                               STEP ("c", "idem", AFTER ("'b'"))));
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1", "succeeded a",
                      "started b 1 protected hold", "failed b unresolved_reference", "skipped c dependency_failed",
                      "ended", "END");
    ck_assert_str_eq (run_bench_of_error (&bench, "b", "/message"),
                      "'payload/x/0: the reference \\'#/a/output/none\\' finds nothing in that step's receipt'");
}
END_TEST

START_TEST (dispatch_fails_a_step_whose_payload_becomes_no_map)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""),
                                       STEP ("b", "idem", AFTER ("'a'") ",'payload':{'$ref':'#/a/attempts'}")));
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1", "succeeded a",
                      "started b 1 idempotent hold", "failed b unresolved_reference", "ended", "END");
}
END_TEST

START_TEST (dispatch_does_not_look_into_what_a_reference_brought)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""),
                                       STEP ("b", "idem", AFTER ("'a'") ",'payload':{'x':{'$ref':'#/a/output'}}")));
    run_bench_succeed (&bench, "{'y':{'$ref':'#/a/nothing'}}");
    ck_assert_str_eq (payload (), "{'x':{'y':{'$ref':'#/a/nothing'}}}");
}
END_TEST

START_TEST (dispatch_yields_at_a_modality_without_adapter)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "unknown", ""), STEP ("c", "idem", "")));
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1", "succeeded a", "yielded", "END");
    ck_assert_int_eq (status_of ("b"), REEL_STEP_PENDING);
}
END_TEST

START_TEST (dispatch_fails_without_an_adapter_in_a_local_run)
{
    bench.setup.local = true;
    bench.setup.lease_ms = 0;
    run_bench_start (&bench,
                     WORKFLOW (STEP ("a", "unknown", ""), STEP ("b", "idem", AFTER ("'a'")), STEP ("c", "idem", "")));
    run_bench_expect (&bench, "started a 1 protected hold", "failed a no_adapter", "skipped b dependency_failed",
                      "started c 1 idempotent hold", "dispatch c 1");
    ck_assert_str_eq (run_bench_of_error (&bench, "a", "/retryable"), "false");
}
END_TEST

START_TEST (dispatch_keeps_an_adapters_detail)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    struct reel_buf detail = run_bench_msgpack ("{'exit':3}");
    run_bench_feed (&bench, (struct reel_run_event){.kind = REEL_RUN_FINISHED,
                                                    .result.failure = {.code = "exit_status",
                                                                       .message = reel_slice_text ("status 3"),
                                                                       .retryable = true,
                                                                       .detail = reel_buf_slice (&detail)}});
    reel_buf_free (&detail);
    ck_assert_str_eq (run_bench_error (&bench, "a"),
                      "{'code':'exit_status','message':'status 3','retryable':true,'detail':{'exit':3}}");
}
END_TEST

START_TEST (dispatch_executed_workflow_round_trips)
{
    run_bench_start (&bench,
                     "{'x-studio':[1,2],'steps':[{'step_id':'a','x':null,'modality':'idem','payload':{'n':1}},"
                     "{'step_id':'b','modality':'idem','depends_on':['a'],'payload':{'n':{'$ref':'#/a/output/n'}}}]}");
    run_bench_succeed (&bench, "{'n':{'$bin':'AAE='}}");
    run_bench_succeed (&bench, "{}");
    struct reel_buf once = run_bench_document (&bench);
    struct reel_workflow again = {0};
    ck_assert_int_eq (reel_workflow_parse (&again, reel_buf_slice (&once), REEL_WORKFLOW_STRICT, NULL), REEL_OK);
    ck_assert (reel_slice_equal (again.steps[0].receipt, run_bench_outcome (&bench, "a").receipt));
    ck_assert (reel_slice_equal (again.steps[1].receipt, run_bench_outcome (&bench, "b").receipt));
    ck_assert_int_eq (again.steps[1].status, REEL_STEP_SUCCEEDED);
    const char *text = run_bench_json (&bench, reel_buf_slice (&once));
    ck_assert_ptr_nonnull (strstr (text, "'x-studio':[1,2]"));
    ck_assert_ptr_nonnull (strstr (text, "'payload':{'n':{'$ref':'#/a/output/n'}}"));
    reel_workflow_free (&again);
    reel_buf_free (&once);
}
END_TEST

START_TEST (dispatch_gives_progress_away_and_keeps_none)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_forget (&bench);
    uint64_t last = reel_run_last_index (bench.run);
    run_bench_progress (&bench, 0.25, "frame 6");
    run_bench_progress (&bench, -1, "warming up");
    run_bench_progress (&bench, 7, "");
    run_bench_expect (&bench, "tell progress a 0.25 frame 6", "tell progress a warming up", "tell progress a 1.00");
    ck_assert_uint_eq (reel_run_last_index (bench.run), last);
}
END_TEST

/* --- production-shaped -------------------------------------------------------------------- */

#define SHOT                                                                                                           \
    "{'workflow_id':'wf','global_provenance':{'project':'ep1','shot':'sh010'},'steps':["                               \
    "{'step_id':'keyframe','modality':'paid.keyframe','payload':{'prompt':'a quiet harbour'}},"                        \
    "{'step_id':'video','modality':'paid.video','depends_on':['keyframe'],"                                            \
    "'payload':{'first_frame':{'$ref':'#/keyframe/output/image'},'seconds':4}},"                                       \
    "{'step_id':'soundtrack','modality':'idem.audio','payload':{'mood':'calm'}},"                                      \
    "{'step_id':'film','modality':'idem.mux','depends_on':['video','soundtrack'],"                                     \
    "'payload':{'picture':{'$ref':'#/video/output/clip'},'sound':{'$ref':'#/soundtrack/output/wav'}}}]}"

START_TEST (scenario_a_film_from_four_steps)
{
    run_bench_start (&bench, SHOT);
    run_bench_answer (&bench);
    run_bench_succeed (&bench, "{'image':'k.png'}");
    run_bench_answer (&bench);
    ck_assert_str_eq (payload (), "{'first_frame':'k.png','seconds':4}");
    run_bench_succeed (&bench, "{'clip':'v.mp4'}");
    run_bench_succeed (&bench, "{'wav':'s.wav'}");
    ck_assert_str_eq (payload (), "{'picture':'v.mp4','sound':'s.wav'}");
    run_bench_succeed (&bench, "{'film':'f.mp4'}");
    run_bench_expect (&bench, "started keyframe 1 protected hold", "dispatch keyframe 1", "succeeded keyframe",
                      "started video 1 protected hold", "dispatch video 1", "succeeded video",
                      "started soundtrack 1 idempotent hold", "dispatch soundtrack 1", "succeeded soundtrack",
                      "started film 1 idempotent hold", "dispatch film 1", "succeeded film", "ended", "END");
    ck_assert_str_eq (run_bench_of_receipt (&bench, "film", "/provenance"),
                      "{'project':'ep1','shot':'sh010','workflow_id':'wf','workflow_step_id':'film'}");
}
END_TEST

START_TEST (scenario_a_failed_video_spares_the_soundtrack)
{
    run_bench_start (&bench, SHOT);
    run_bench_answer (&bench);
    run_bench_succeed (&bench, "{'image':'k.png'}");
    run_bench_answer (&bench);
    run_bench_forget (&bench);
    run_bench_fail (&bench, "content_policy", "");
    run_bench_succeed (&bench, "{'wav':'s.wav'}");
    run_bench_expect (&bench, "failed video content_policy", "started soundtrack 1 idempotent hold",
                      "dispatch soundtrack 1", "succeeded soundtrack", "skipped film dependency_failed", "ended",
                      "END");
}
END_TEST

START_TEST (scenario_a_failed_keyframe_skips_two_levels)
{
    run_bench_start (&bench, SHOT);
    run_bench_answer (&bench);
    run_bench_fail (&bench, "exit_status", "");
    run_bench_succeed (&bench, "{'wav':'s.wav'}");
    ck_assert_int_eq (status_of ("video"), REEL_STEP_SKIPPED);
    ck_assert_int_eq (status_of ("soundtrack"), REEL_STEP_SUCCEEDED);
    ck_assert_int_eq (status_of ("film"), REEL_STEP_SKIPPED);
    ck_assert_str_eq (run_bench_of_error (&bench, "film", "/detail/step_id"), "'video'");
}
END_TEST

START_TEST (scenario_a_provider_that_recovers)
{
    bench.defaults = (struct reel_policy){.max_attempts = 3};
    run_bench_start (&bench, SHOT);
    run_bench_answer (&bench);
    run_bench_fail (&bench, "http_503", "r");
    run_bench_answer (&bench);
    run_bench_fail (&bench, "http_503", "r");
    run_bench_answer (&bench);
    run_bench_succeed (&bench, "{'image':'k.png'}");
    run_bench_expect (&bench, "started keyframe 1 protected hold", "dispatch keyframe 1",
                      "retrying keyframe http_503 0", "started keyframe 2 protected hold", "dispatch keyframe 2",
                      "retrying keyframe http_503 0", "started keyframe 3 protected hold", "dispatch keyframe 3",
                      "succeeded keyframe", "started video 1 protected hold");
    ck_assert_str_eq (run_bench_of_receipt (&bench, "keyframe", "/attempts"), "3");
    ck_assert_int_eq (run_bench_outcome (&bench, "keyframe").started_us, 1000);
}
END_TEST

START_TEST (scenario_the_rest_goes_to_another_worker)
{
    run_bench_start (&bench, WORKFLOW (STEP ("keyframe", "idem", ""),
                                       STEP ("video", "elsewhere",
                                             AFTER ("'keyframe'") ",'payload':{'i':{'$ref':'#/keyframe/output/i'}}")));
    run_bench_succeed (&bench, "{'i':'k.png'}");
    ck_assert (reel_run_ended (bench.run));
    const char *rest = run_bench_document_json (&bench);
    run_bench_free (&bench);

    run_bench_init (&bench);
    bench.setup.delivery = 2;
    bench.serves_everything = true;
    run_bench_start (&bench, rest);
    run_bench_expect (&bench, "started video 1 idempotent hold", "dispatch video 1");
    ck_assert_str_eq (payload (), "{'i':'k.png'}");
    ck_assert_uint_eq (bench.call.delivery, 2);
}
END_TEST

START_TEST (scenario_coverage_of_many_independent_shots)
{
    run_bench_start (&bench,
                     WORKFLOW (STEP ("wide", "idem", ""), STEP ("close", "idem", ""), STEP ("insert", "idem", ""),
                               STEP ("cut", "idem", AFTER ("'wide','close','insert'"))));
    run_bench_succeed (&bench, "{}");
    run_bench_fail (&bench, "boom", "");
    run_bench_succeed (&bench, "{}");
    ck_assert_int_eq (status_of ("wide"), REEL_STEP_SUCCEEDED);
    ck_assert_int_eq (status_of ("close"), REEL_STEP_FAILED);
    ck_assert_int_eq (status_of ("insert"), REEL_STEP_SUCCEEDED);
    ck_assert_int_eq (status_of ("cut"), REEL_STEP_SKIPPED);
    ck_assert_str_eq (run_bench_of_error (&bench, "cut", "/detail/step_id"), "'close'");
}
END_TEST

START_TEST (scenario_a_cancelled_shoot_keeps_what_is_there)
{
    run_bench_start (&bench, SHOT);
    run_bench_answer (&bench);
    run_bench_succeed (&bench, "{'image':'k.png'}");
    run_bench_answer (&bench);
    run_bench_forget (&bench);
    run_bench_cancel (&bench);
    run_bench_fail (&bench, "cancelled", "");
    run_bench_expect (&bench, "abort", "failed video cancelled", "ended cancelled", "END");
    ck_assert_int_eq (status_of ("keyframe"), REEL_STEP_SUCCEEDED);
    ck_assert_int_eq (status_of ("soundtrack"), REEL_STEP_PENDING);
    ck_assert_int_eq (status_of ("film"), REEL_STEP_PENDING);
    ck_assert (reel_run_cancelled (bench.run));
}
END_TEST

/* --- keyframe to video --------------------------------------------------------------------- */

#define POC                                                                                                               \
    "{'global_provenance':{'shot':'sh020'},'steps':[{'step_id':'keyframe','modality':'idem.keyframe','payload':{'p':1}}," \
    "{'step_id':'video','modality':'idem.video','depends_on':['keyframe'],"                                               \
    "'payload':{'image':{'$ref':'#/keyframe/artifacts/0/uri'}}}]}"

START_TEST (keyframe_video_passes_the_artifact_on)
{
    run_bench_start (&bench, POC);
    run_bench_succeed_with (&bench, "{}", "{'artifacts':[{'uri':'file:///k.png','bytes':9}]}");
    ck_assert_str_eq (payload (), "{'image':'file:///k.png'}");
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "started keyframe 1 idempotent hold", "dispatch keyframe 1", "succeeded keyframe",
                      "started video 1 idempotent hold", "dispatch video 1", "succeeded video", "ended", "END");
}
END_TEST

START_TEST (keyframe_video_failed_keyframe_skips_the_video)
{
    run_bench_start (&bench, POC);
    run_bench_fail (&bench, "exit_status", "");
    run_bench_expect (&bench, "started keyframe 1 idempotent hold", "dispatch keyframe 1",
                      "failed keyframe exit_status", "skipped video dependency_failed", "ended", "END");
}
END_TEST

START_TEST (keyframe_video_without_the_artifact_is_not_dispatched)
{
    run_bench_start (&bench, POC);
    run_bench_succeed (&bench, "{}");
    run_bench_expect (&bench, "started keyframe 1 idempotent hold", "dispatch keyframe 1", "succeeded keyframe",
                      "started video 1 idempotent hold", "failed video unresolved_reference", "ended", "END");
}
END_TEST

START_TEST (keyframe_video_says_where_both_come_from)
{
    run_bench_start (&bench, POC);
    run_bench_succeed_with (&bench, "{}", "{'artifacts':[{'uri':'file:///k.png'}]}");
    run_bench_succeed (&bench, "{}");
    ck_assert_str_eq (run_bench_of_receipt (&bench, "keyframe", "/provenance"),
                      "{'shot':'sh020','workflow_id':'wf','workflow_step_id':'keyframe'}");
    ck_assert_str_eq (run_bench_of_receipt (&bench, "video", "/provenance"),
                      "{'shot':'sh020','workflow_id':'wf','workflow_step_id':'video'}");
    ck_assert_str_eq (run_bench_of_receipt (&bench, "video", "/idempotency_key"), "'wf/video'");
}
END_TEST

START_TEST (keyframe_video_goes_on_elsewhere_after_the_keyframe)
{
    run_bench_start (&bench, POC);
    run_bench_yield (&bench);
    run_bench_succeed_with (&bench, "{}", "{'artifacts':[{'uri':'file:///k.png'}]}");
    run_bench_expect (&bench, "started keyframe 1 idempotent hold", "dispatch keyframe 1", "succeeded keyframe",
                      "yielded", "END");
    const char *rest = run_bench_document_json (&bench);
    run_bench_free (&bench);

    run_bench_init (&bench);
    run_bench_start (&bench, rest);
    run_bench_expect (&bench, "started video 1 idempotent hold", "dispatch video 1");
    ck_assert_str_eq (payload (), "{'image':'file:///k.png'}");
}
END_TEST

/* ------------------------------------------------------------------------------------------ */

int
main (void)
{
    Suite *suite = suite_create ("run");
    TCase *tc;
    tc = suite_case (suite, "executor", set_up_bench, tear_down_bench);
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
    tc = suite_case (suite, "dispatch", set_up_bench, tear_down_bench);
    tcase_add_test (tc, dispatch_carries_the_context);
    tcase_add_test (tc, dispatch_gives_an_absent_payload_as_an_empty_map);
    tcase_add_test (tc, dispatch_leaves_a_payload_as_it_was_written);
    tcase_add_test (tc, dispatch_has_its_own_context_for_each_step);
    tcase_add_test (tc, dispatch_merges_three_layers_of_provenance);
    tcase_add_test (tc, dispatch_composes_the_receipt);
    tcase_add_test (tc, dispatch_takes_no_output_as_an_empty_map);
    tcase_add_test (tc, dispatch_lets_no_adapter_forge_a_receipt);
    tcase_add_test (tc, dispatch_resolves_references);
    tcase_add_test (tc, dispatch_resolves_from_an_earlier_runs_receipt);
    tcase_add_test (tc, dispatch_says_what_it_dispatched_when_that_is_not_in_the_document);
    tcase_add_test (tc, dispatch_takes_a_whole_payload_by_reference);
    tcase_add_test (tc, dispatch_fails_a_step_whose_reference_finds_nothing);
    tcase_add_test (tc, dispatch_fails_a_step_whose_payload_becomes_no_map);
    tcase_add_test (tc, dispatch_does_not_look_into_what_a_reference_brought);
    tcase_add_test (tc, dispatch_yields_at_a_modality_without_adapter);
    tcase_add_test (tc, dispatch_fails_without_an_adapter_in_a_local_run);
    tcase_add_test (tc, dispatch_keeps_an_adapters_detail);
    tcase_add_test (tc, dispatch_executed_workflow_round_trips);
    tcase_add_test (tc, dispatch_gives_progress_away_and_keeps_none);
    tc = suite_case (suite, "production-shaped", set_up_bench, tear_down_bench);
    tcase_add_test (tc, scenario_a_film_from_four_steps);
    tcase_add_test (tc, scenario_a_failed_video_spares_the_soundtrack);
    tcase_add_test (tc, scenario_a_failed_keyframe_skips_two_levels);
    tcase_add_test (tc, scenario_a_provider_that_recovers);
    tcase_add_test (tc, scenario_the_rest_goes_to_another_worker);
    tcase_add_test (tc, scenario_coverage_of_many_independent_shots);
    tcase_add_test (tc, scenario_a_cancelled_shoot_keeps_what_is_there);
    tc = suite_case (suite, "keyframe to video", set_up_bench, tear_down_bench);
    tcase_add_test (tc, keyframe_video_passes_the_artifact_on);
    tcase_add_test (tc, keyframe_video_failed_keyframe_skips_the_video);
    tcase_add_test (tc, keyframe_video_without_the_artifact_is_not_dispatched);
    tcase_add_test (tc, keyframe_video_says_where_both_come_from);
    tcase_add_test (tc, keyframe_video_goes_on_elsewhere_after_the_keyframe);
    return suite_run (suite);
}
