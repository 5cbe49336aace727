/*
 * What the run machine dispatches: the context of a step with its payload, references and provenance; and the receipt that it
 * composes of what comes back.
 */
#include <check.h>
#include <string.h>

#include "base/hash.h"
#include "tests/support/run_fixture.h"
#include "tests/support/suite.h"

static const char *
provenance (void)
{
    return run_bench_json (&bench, bench.call.provenance);
}

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

int
main (void)
{
    Suite *suite = suite_create ("run_dispatch");
    TCase *tc = suite_case (suite, "dispatch", set_up_bench, tear_down_bench);
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
    return suite_run (suite);
}
