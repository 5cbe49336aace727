/*
 * The workflow document: what is read out of one that is taken, a half-executed one too, and what its statuses are called.
 */
#include "proto/workflow.h"

#include <check.h>
#include <stdio.h>

#include "proto/pack.h"
#include "tests/support/count.h"
#include "tests/support/document.h"
#include "tests/support/suite.h"
#include "tests/support/workflow_fixture.h"

/* --- construction ------------------------------------------------------------------------ */

START_TEST (a_step_has_its_defaults)
{
    const struct reel_step *step = only_step (ONE (""));
    ck_assert (reel_slice_is (step->step_id, "a"));
    ck_assert (reel_slice_is (step->modality, "m"));
    ck_assert_uint_eq (step->payload.len, 0);
    ck_assert_uint_eq (step->depends_on.len, 0);
    ck_assert_uint_eq (step->depends_count, 0);
    ck_assert_int_eq (step->status, REEL_STEP_PENDING);
    ck_assert_uint_eq (step->receipt.len, 0);
    ck_assert_uint_eq (step->error.len, 0);
    ck_assert_int_eq (step->started_us, REEL_TIME_NIL);
    ck_assert_int_eq (step->finished_us, REEL_TIME_NIL);
    ck_assert_int_eq (step->policy.timeout_ms, 0);
    ck_assert_uint_eq (step->policy.max_attempts, 0);
    ck_assert_int_eq (step->policy.backoff_ms, 0);
    ck_assert_int_eq (step->policy.backoff_max_ms, 0);
    ck_assert_int_eq (step->policy.in_doubt, REEL_IN_DOUBT_UNSET);
    ck_assert_str_eq (document_json (step->bytes), STEP ("a", ""));
}
END_TEST

START_TEST (a_workflow_has_its_defaults)
{
    struct reel_slice bytes = document (ONE (""));
    ck_assert_taken (bytes, REEL_WORKFLOW_STRICT);
    ck_assert_ptr_eq (workflow.document.data, bytes.data);
    ck_assert_uint_eq (workflow.document.len, bytes.len);
    ck_assert_uint_eq (workflow.workflow_id.len, 0);
    ck_assert_uint_eq (workflow.created_at.len, 0);
    ck_assert_uint_eq (workflow.global_provenance.len, 0);
}
END_TEST

START_TEST (nil_counts_as_absent_where_there_is_a_default)
{
    const struct reel_step *step = only_step (
        "{'workflow_id':null,'created_at':null,'global_provenance':null,'steps':[" STEP (
            "a", ",'payload':null,'depends_on':null,'status':null,'receipt':null,'error':null,'started_us':null,"
                 "'finished_us':null,'policy':null") "]}");
    ck_assert_uint_eq (workflow.workflow_id.len + workflow.created_at.len + workflow.global_provenance.len, 0);
    ck_assert_uint_eq (step->payload.len + step->depends_on.len + step->receipt.len + step->error.len, 0);
    ck_assert_int_eq (step->status, REEL_STEP_PENDING);
    ck_assert_int_eq (step->started_us, REEL_TIME_NIL);
    ck_assert_int_eq (step->finished_us, REEL_TIME_NIL);
    step = only_step (ONE (",'policy':{'timeout_ms':null,'retry':null,'in_doubt':null}"));
    ck_assert_int_eq (step->policy.timeout_ms, 0);
    step = only_step (ONE (",'policy':{'retry':{'max_attempts':null,'backoff_ms':null,'backoff_max_ms':null}}"));
    ck_assert_uint_eq (step->policy.max_attempts, 0);
}
END_TEST

START_TEST (a_step_keeps_all_it_was_given)
{
    ck_assert_taken (
        document (
            "{'workflow_id':'wf-1','created_at':'2026-04-28T09:10:06.000000Z','global_provenance':{'by':'jt'},"
            "'steps':[" STEP (
                "a",
                SUCCEEDED) ",{'policy':{'in_doubt':'retry','retry':{'backoff_max_ms':3,"
                           "'backoff_ms':2,'max_attempts':7},'timeout_ms':1},'finished_us':20,'started_us':10,'error':{'code':"
                           "'x'},'receipt':{'r':1},'status':'failed','depends_on':['a'],'payload':{'p':[1]},'modality':"
                           "'video.hd_2-x','step_id':'B.c_d:e-f'}]}"),
        REEL_WORKFLOW_STRICT);
    ck_assert (reel_slice_is (workflow.workflow_id, "wf-1"));
    ck_assert (reel_slice_is (workflow.created_at, "2026-04-28T09:10:06.000000Z"));
    ck_assert_str_eq (document_json (workflow.global_provenance), "{'by':'jt'}");
    const struct reel_step *step = &workflow.steps[1];
    ck_assert (reel_slice_is (step->step_id, "B.c_d:e-f"));
    ck_assert (reel_slice_is (step->modality, "video.hd_2-x"));
    ck_assert_str_eq (document_json (step->payload), "{'p':[1]}");
    ck_assert_str_eq (document_json (step->depends_on), "['a']");
    ck_assert_int_eq (step->status, REEL_STEP_FAILED);
    ck_assert_str_eq (document_json (step->receipt), "{'r':1}");
    ck_assert_str_eq (document_json (step->error), "{'code':'x'}");
    ck_assert_int_eq (step->started_us, 10);
    ck_assert_int_eq (step->finished_us, 20);
    ck_assert_int_eq (step->policy.timeout_ms, 1);
    ck_assert_uint_eq (step->policy.max_attempts, 7);
    ck_assert_int_eq (step->policy.backoff_ms, 2);
    ck_assert_int_eq (step->policy.backoff_max_ms, 3);
    ck_assert_int_eq (step->policy.in_doubt, REEL_IN_DOUBT_RETRY);
    ck_assert_uint_eq (step->depends_count, 1);
    ck_assert_uint_eq (workflow.depends[step->depends_first], 0);
}
END_TEST

START_TEST (slices_lie_in_the_document)
{
    struct reel_slice bytes = document (TWO (",'payload':{'x':1}", AFTER ("'a'")));
    ck_assert_taken (bytes, REEL_WORKFLOW_STRICT);
    for (uint32_t i = 0; i < 2; i++) {
        const struct reel_step *step = &workflow.steps[i];
        ck_assert (step->bytes.data > bytes.data && step->bytes.data + step->bytes.len <= bytes.data + bytes.len);
        ck_assert (step->step_id.data > step->bytes.data);
    }
    ck_assert_ptr_eq (workflow.steps[0].bytes.data + workflow.steps[0].bytes.len, workflow.steps[1].bytes.data);
    ck_assert_ptr_eq (workflow.steps[1].bytes.data + workflow.steps[1].bytes.len, bytes.data + bytes.len);
}
END_TEST

START_TEST (unknown_keys_are_passed_over_at_every_level)
{
    const struct reel_step *step = only_step ("{'x':{'steps':[]},'Steps':7,'steps':[" STEP (
        "a", ",'x':[{'step_id':7}],'Status':'?','policy':{'x':1,"
             "'retry':{'x':'y','max_attempts':2},'timeout':-1}") "],'version':{'$bin':'AA=='}}");
    ck_assert_uint_eq (step->policy.max_attempts, 2);
}
END_TEST

START_TEST (fields_may_come_in_any_order)
{
    ck_assert_taken (document ("{'steps':[{'depends_on':[],'modality':'m','status':'pending','step_id':'a'},"
                               "{'payload':{},'step_id':'b','depends_on':['a'],'modality':'m'}],'workflow_id':'w'}"),
                     REEL_WORKFLOW_STRICT);
    ck_assert (reel_slice_is (workflow.workflow_id, "w"));
    ck_assert (reel_slice_is (workflow.steps[1].step_id, "b"));
}
END_TEST

START_TEST (an_error_may_be_a_plain_string)
{
    const struct reel_step *step = only_step (ONE (FAILED));
    ck_assert_str_eq (document_json (step->error), "'it broke'");
    step = only_step (ONE (",'status':'failed','error':''")); /* it is there, and that is enough */
    ck_assert_str_eq (document_json (step->error), "''");
}
END_TEST

START_TEST (dependencies_become_indexes_in_their_order)
{
    ck_assert_taken (
        document ("{'steps':[" STEP ("z", "") "," STEP ("a", "") "," STEP ("m", AFTER ("'a','z'")) "," STEP (
            "b", AFTER ("'m'")) "," STEP ("c", AFTER ("'z','z','m'")) "]}"),
        REEL_WORKFLOW_STRICT);
    static const uint32_t first[] = {0, 0, 0, 2, 3}, count[] = {0, 0, 2, 1, 3}, depends[] = {1, 0, 2, 0, 0, 2};
    for (uint32_t i = 0; i < 5; i++) {
        ck_assert_uint_eq (workflow.steps[i].depends_first, first[i]);
        ck_assert_uint_eq (workflow.steps[i].depends_count, count[i]);
    }
    ck_assert_uint_eq (workflow.depends_count, COUNT (depends));
    for (size_t i = 0; i < COUNT (depends); i++)
        ck_assert_uint_eq (workflow.depends[i], depends[i]);
}
END_TEST

START_TEST (steps_are_found_by_id)
{
    ck_assert_taken (document (THREE ("", "", "")), REEL_WORKFLOW_STRICT);
    ck_assert_int_eq (reel_workflow_find (&workflow, reel_slice_text ("a")), 0);
    ck_assert_int_eq (reel_workflow_find (&workflow, reel_slice_text ("b")), 1);
    ck_assert_int_eq (reel_workflow_find (&workflow, reel_slice_text ("c")), 2);
    static const char *const none[] = {"", "A", "aa", "d", "0"};
    for (size_t i = 0; i < COUNT (none); i++)
        ck_assert_int_eq (reel_workflow_find (&workflow, reel_slice_text (none[i])), -1);
}
END_TEST

/* Ids that are prefixes of one another, in no order. */
START_TEST (many_steps_are_found_by_id)
{
    struct reel_buf out = {0};
    char id[16];
    reel_pack_map (&out, 1);
    reel_pack_text (&out, "steps");
    reel_pack_array (&out, REEL_STEPS_MAX);
    for (unsigned i = 0; i < REEL_STEPS_MAX; i++) {
        snprintf (id, sizeof id, "%u", i * 7 % REEL_STEPS_MAX);
        reel_pack_map (&out, 2);
        reel_pack_text (&out, "modality");
        reel_pack_text (&out, "m");
        reel_pack_text (&out, "step_id");
        reel_pack_text (&out, id);
    }
    ck_assert_taken (document_copy (reel_buf_slice (&out)), REEL_WORKFLOW_STRICT);
    for (unsigned i = 0; i < REEL_STEPS_MAX; i++) {
        snprintf (id, sizeof id, "%u", i * 7 % REEL_STEPS_MAX);
        ck_assert_int_eq (reel_workflow_find (&workflow, reel_slice_text (id)), i);
    }
    ck_assert_int_eq (reel_workflow_find (&workflow, reel_slice_text ("1000")), -1);
    reel_buf_free (&out);
}
END_TEST

/* --- half-executed ----------------------------------------------------------------------- */

START_TEST (half_executed_documents_are_taken)
{
    static const char *const documents[] = {
        ONE (SUCCEEDED),
        ONE (FAILED),
        ONE (FAILED ",'receipt':{}"),
        ONE (",'error':'of an earlier attempt'"),
        ONE (",'started_us':5"),
        TWO (SUCCEEDED, AFTER ("'a'")),
        TWO (SUCCEEDED, AFTER ("'a'") SUCCEEDED),
        TWO (SUCCEEDED, AFTER ("'a'") FAILED),
        TWO (FAILED, AFTER ("'a'")), /* to be skipped when it is its turn */
        TWO (FAILED, AFTER ("'a'") SKIPPED),
        TWO (FAILED, SUCCEEDED),
        TWO ("", SUCCEEDED), /* independent of it: in no order */
        THREE (FAILED, AFTER ("'a'") SKIPPED, AFTER ("'b'") SKIPPED),
        THREE (FAILED, AFTER ("'a'") SKIPPED, AFTER ("'b'")),
        THREE (SUCCEEDED, FAILED, AFTER ("'a','b'") SKIPPED),
        THREE (SUCCEEDED, FAILED, AFTER ("'b','a'") SKIPPED),
        THREE (FAILED, "", AFTER ("'a','b'") SKIPPED),
    };
    for (size_t i = 0; i < COUNT (documents); i++)
        ck_assert_taken (document (documents[i]), REEL_WORKFLOW_STRICT);
}
END_TEST

START_TEST (a_running_step_is_for_a_local_run_only)
{
    struct reel_slice bytes = document (TWO (SUCCEEDED, AFTER ("'a'") ",'status':'running','started_us':7"));
    ck_assert_taken (bytes, REEL_WORKFLOW_RUNNING_OK);
    ck_assert_int_eq (workflow.steps[1].status, REEL_STEP_RUNNING);
    ck_assert_taken (bytes, REEL_WORKFLOW_RUNNING_OK | REEL_WORKFLOW_GROWN);
    ck_assert_refused (bytes, REEL_WORKFLOW_STRICT, "bad_status", "/steps/1/status", "cannot be running");
    ck_assert_refused (bytes, REEL_WORKFLOW_GROWN, "bad_status", "/steps/1/status", "cannot be running");
    ck_assert_refused (document (TWO ("", AFTER ("'a'") ",'status':'running'")), REEL_WORKFLOW_RUNNING_OK, "bad_status",
                       "/steps/1/status", "only after all its dependencies");
    ck_assert_refused (document (TWO (FAILED, AFTER ("'a'") ",'status':'running'")), REEL_WORKFLOW_RUNNING_OK,
                       "bad_status", "/steps/1/status", "only after all its dependencies");
}
END_TEST

START_TEST (references_to_what_is_depended_on_are_taken)
{
    static const char *const documents[] = {
        TWO ("", AFTER ("'a'") ",'payload':{'x':{'$ref':'#/a/output/image'}}"),
        TWO ("", AFTER ("'a'") ",'payload':{'x':{'$ref':'#/a'},'y':[{'$ref':'#/a/b~0~1/0'}]}"),
        TWO ("", AFTER ("'a'") ",'payload':{'$ref':'#/a/output'}"),
        TWO ("", ",'payload':{'x':{'$$ref':'#/a/output'}}"),         /* a literal */
        TWO ("", ",'payload':{'x':{'$ref':'#/a/output','more':1}}"), /* no map of one key */
        TWO ("", ",'payload':{'x':'$ref','$':{'ref':1},'$refs':{}}"),
        TWO ("", ",'other':{'$ref':'#/a'}"), /* not in a payload */
        THREE ("", "", AFTER ("'b','a'") ",'payload':{'x':[{'$ref':'#/a'},{'$ref':'#/b'},{'$ref':'#/a'}]}"),
    };
    for (size_t i = 0; i < COUNT (documents); i++)
        ck_assert_taken (document (documents[i]), REEL_WORKFLOW_STRICT);
}
END_TEST

/* --- names ------------------------------------------------------------------------------- */

START_TEST (statuses_have_names)
{
    static const char *const names[] = {"pending", "running", "succeeded", "failed", "skipped"};
    for (int i = REEL_STEP_PENDING; i <= REEL_STEP_SKIPPED; i++) {
        enum reel_step_status status = REEL_STEP_PENDING;
        ck_assert_str_eq (reel_step_status_name ((enum reel_step_status) i), names[i]);
        ck_assert (reel_step_status_parse (reel_slice_text (names[i]), &status));
        ck_assert_int_eq (status, i);
        ck_assert_int_eq (reel_step_status_final ((enum reel_step_status) i), i >= REEL_STEP_SUCCEEDED);
    }
    static const char *const none[] = {"", "pendin", "pendingx", "SKIPPED", "cancelled"};
    enum reel_step_status untouched = REEL_STEP_FAILED;
    for (size_t i = 0; i < COUNT (none); i++)
        ck_assert (!reel_step_status_parse (reel_slice_text (none[i]), &untouched));
    ck_assert_int_eq (untouched, REEL_STEP_FAILED);
}
END_TEST

START_TEST (in_doubt_has_names)
{
    static const char *const names[] = {"", "hold", "retry", "fail"};
    enum reel_in_doubt in_doubt = REEL_IN_DOUBT_UNSET;
    for (int i = REEL_IN_DOUBT_UNSET; i <= REEL_IN_DOUBT_FAIL; i++) {
        ck_assert_str_eq (reel_in_doubt_name ((enum reel_in_doubt) i), names[i]);
        ck_assert_int_eq (reel_in_doubt_parse (reel_slice_text (names[i]), &in_doubt), i != REEL_IN_DOUBT_UNSET);
        ck_assert_int_eq (in_doubt, i);
    }
    ck_assert (!reel_in_doubt_parse (reel_slice_text ("Hold"), &in_doubt));
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("workflow");
    TCase *tcase = suite_case (suite, "workflow", setup, teardown);
    tcase_add_test (tcase, a_step_has_its_defaults);
    tcase_add_test (tcase, a_workflow_has_its_defaults);
    tcase_add_test (tcase, nil_counts_as_absent_where_there_is_a_default);
    tcase_add_test (tcase, a_step_keeps_all_it_was_given);
    tcase_add_test (tcase, slices_lie_in_the_document);
    tcase_add_test (tcase, unknown_keys_are_passed_over_at_every_level);
    tcase_add_test (tcase, fields_may_come_in_any_order);
    tcase_add_test (tcase, an_error_may_be_a_plain_string);
    tcase_add_test (tcase, dependencies_become_indexes_in_their_order);
    tcase_add_test (tcase, steps_are_found_by_id);
    tcase_add_test (tcase, many_steps_are_found_by_id);
    tcase_add_test (tcase, half_executed_documents_are_taken);
    tcase_add_test (tcase, a_running_step_is_for_a_local_run_only);
    tcase_add_test (tcase, references_to_what_is_depended_on_are_taken);
    tcase_add_test (tcase, statuses_have_names);
    tcase_add_test (tcase, in_doubt_has_names);
    return suite_run (suite);
}
