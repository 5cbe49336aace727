/*
 * The document as it stands and the final receipt: only what happened is written anew, all else is copied.
 */
#include "proto/outcome.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/support/count.h"
#include "tests/support/document.h"
#include "tests/support/suite.h"
#include "tests/support/workflow_fixture.h"

#define STEPS_MOST 8

static struct reel_outcome outcomes[STEPS_MOST];

/* Reads a document and the outcomes that it brings along. */
static void
take (struct reel_slice bytes, unsigned flags)
{
    ck_assert_taken (bytes, flags);
    ck_assert_uint_le (workflow.step_count, STEPS_MOST);
    for (uint32_t i = 0; i < workflow.step_count; i++)
        outcomes[i] = reel_outcome_of (&workflow.steps[i]);
}

static struct reel_slice
merged (const char *workflow_id, const char *created_at)
{
    struct reel_buf out = {0};
    reel_outcome_document (&out, &workflow, outcomes, reel_slice_text (workflow_id), reel_slice_text (created_at));
    ck_assert_int_eq (reel_buf_status (&out), REEL_OK);
    struct reel_slice copy = document_copy (reel_buf_slice (&out));
    reel_buf_free (&out);
    ck_assert_int_eq (reel_scan_check (copy, REEL_DEPTH_MAX, NULL), REEL_OK);
    return copy;
}

static void
ck_assert_merged (const char *workflow_id, const char *created_at, const char *json)
{
    ck_assert_str_eq (document_json (merged (workflow_id, created_at)), json);
}

static void
set_succeeded (uint32_t step, const char *receipt)
{
    outcomes[step] = (struct reel_outcome){
        .status = REEL_STEP_SUCCEEDED, .receipt = document (receipt), .started_us = 5, .finished_us = 6};
}

static void
set_failed (uint32_t step, const char *error)
{
    outcomes[step] = (struct reel_outcome){
        .status = REEL_STEP_FAILED, .error = document (error), .started_us = 7, .finished_us = 8};
}

static void
set_skipped (uint32_t step, const char *error)
{
    outcomes[step] = (struct reel_outcome){
        .status = REEL_STEP_SKIPPED, .error = document (error), .started_us = REEL_TIME_NIL, .finished_us = 9};
}

/* --- outcomes ---------------------------------------------------------------------------- */

START_TEST (a_document_brings_its_outcomes_along)
{
    take (
        document (
            "{'steps':[" STEP ("a", ",'status':'succeeded','receipt':{'r':1},'started_us':1,'finished_us':2") "," STEP (
                "b", ",'status':'failed','error':'why','finished_us':4") "," STEP ("c", "") "]}"),
        REEL_WORKFLOW_STRICT);
    ck_assert_int_eq (outcomes[0].status, REEL_STEP_SUCCEEDED);
    ck_assert_str_eq (document_json (outcomes[0].receipt), "{'r':1}");
    ck_assert_uint_eq (outcomes[0].error.len, 0);
    ck_assert_int_eq (outcomes[0].started_us, 1);
    ck_assert_int_eq (outcomes[0].finished_us, 2);
    ck_assert_int_eq (outcomes[1].status, REEL_STEP_FAILED);
    ck_assert_str_eq (document_json (outcomes[1].error), "'why'");
    ck_assert_int_eq (outcomes[1].started_us, REEL_TIME_NIL);
    ck_assert_int_eq (outcomes[1].finished_us, 4);
    ck_assert_int_eq (outcomes[2].status, REEL_STEP_PENDING);
    ck_assert_int_eq (outcomes[2].finished_us, REEL_TIME_NIL);
}
END_TEST

START_TEST (a_workflow_is_over_when_every_step_has_an_outcome)
{
    static const struct {
        enum reel_step_status status[3];
        bool final, succeeded;
    } cases[] = {
        {{REEL_STEP_SUCCEEDED, REEL_STEP_SUCCEEDED, REEL_STEP_SUCCEEDED}, true, true},
        {{REEL_STEP_SUCCEEDED, REEL_STEP_FAILED, REEL_STEP_SUCCEEDED}, true, false},
        {{REEL_STEP_SUCCEEDED, REEL_STEP_SUCCEEDED, REEL_STEP_SKIPPED}, true, false},
        {{REEL_STEP_PENDING, REEL_STEP_SUCCEEDED, REEL_STEP_SUCCEEDED}, false, false},
        {{REEL_STEP_SUCCEEDED, REEL_STEP_SUCCEEDED, REEL_STEP_RUNNING}, false, false},
        {{REEL_STEP_FAILED, REEL_STEP_SKIPPED, REEL_STEP_PENDING}, false, false},
    };
    for (size_t i = 0; i < COUNT (cases); i++) {
        for (size_t step = 0; step < 3; step++)
            outcomes[step].status = cases[i].status[step];
        ck_assert_int_eq (reel_outcome_all_final (outcomes, 3), cases[i].final);
        ck_assert_int_eq (reel_outcome_all_succeeded (outcomes, 3), cases[i].succeeded);
    }
}
END_TEST

START_TEST (the_first_dependency_that_stopped_is_the_one_to_name)
{
    take (document ("{'steps':[" STEP ("a", "") "," STEP ("b", "") "," STEP ("c", "") "," STEP (
              "d", AFTER ("'c','a','b'")) "]}"),
          REEL_WORKFLOW_STRICT);
    ck_assert_int_eq (reel_outcome_blocking (&workflow, 0, outcomes), -1);
    ck_assert_int_eq (reel_outcome_blocking (&workflow, 3, outcomes), -1);
    outcomes[0].status = REEL_STEP_SUCCEEDED;
    ck_assert_int_eq (reel_outcome_blocking (&workflow, 3, outcomes), -1);
    outcomes[1].status = REEL_STEP_FAILED;
    ck_assert_int_eq (reel_outcome_blocking (&workflow, 3, outcomes), 1);
    outcomes[0].status = REEL_STEP_SKIPPED;
    ck_assert_int_eq (reel_outcome_blocking (&workflow, 3, outcomes), 0);
    outcomes[2].status = REEL_STEP_FAILED;
    ck_assert_int_eq (reel_outcome_blocking (&workflow, 3, outcomes), 2);
}
END_TEST

/* --- the document ------------------------------------------------------------------------ */

#define RICH                                                                                                           \
    "{'z':{'$bin':'AAEC'},'workflow_id':'w','steps':[" STEP (                                                          \
        "a",                                                                                                           \
        ",'status':'succeeded','receipt':{'cost':{'$f32':'"                                                            \
        "3dcccccd'}},'extra':[1]") "," STEP ("b",                                                                      \
                                             AFTER (                                                                   \
                                                 "'a'")) "],'created_at':'2026-04-28T09:10:06Z','a':{'$ext':[-1,'AAAAAQ==']}}"

START_TEST (an_untouched_document_keeps_its_bytes)
{
    struct reel_slice bytes = document (RICH);
    take (bytes, REEL_WORKFLOW_STRICT);
    ck_assert_str_eq (document_bytes (merged (NULL, NULL)), document_bytes (bytes));
    ck_assert_str_eq (document_bytes (merged ("other", "2030-01-01T00:00:00Z")), document_bytes (bytes));
}
END_TEST

/* {"steps": [{"step_id": "a", "modality": "m", "payload": {"n": 1}, "x": [-1]}]}, every number and length wider than it need be. */
#define WIDE_STEP_HEAD "de 00 04 da 00 07 73 74 65 70 5f 69 64 d9 01 61 a8 6d 6f 64 61 6c 69 74 79 a1 6d "
#define WIDE_PAYLOAD "a7 70 61 79 6c 6f 61 64 df 00 00 00 01 a1 6e cf 00 00 00 00 00 00 00 01 "
#define WIDE_UNKNOWN "d9 01 78 dc 00 01 d3 ff ff ff ff ff ff ff ff"

START_TEST (an_untouched_step_keeps_its_bytes)
{
    struct reel_slice bytes = document_hex (
        "df 00 00 00 01 d9 05 73 74 65 70 73 dd 00 00 00 02 " WIDE_STEP_HEAD WIDE_PAYLOAD WIDE_UNKNOWN
        " 82 a7 73 74 65 70 5f 69 64 a1 62 a8 6d 6f 64 61 6c 69 74 79 a1 6d");
    take (bytes, REEL_WORKFLOW_STRICT);
    ck_assert_str_eq (document_bytes (merged (NULL, NULL)), document_bytes (bytes));
    set_succeeded (1, "{}");
    struct reel_slice out = merged (NULL, NULL);
    ck_assert_ptr_nonnull (memmem (out.data, out.len, workflow.steps[0].bytes.data, workflow.steps[0].bytes.len));
}
END_TEST

START_TEST (a_touched_step_keeps_the_bytes_of_its_other_fields)
{
    struct reel_slice bytes = document_hex ("81 a5 73 74 65 70 73 91 " WIDE_STEP_HEAD WIDE_PAYLOAD WIDE_UNKNOWN);
    take (bytes, REEL_WORKFLOW_STRICT);
    set_succeeded (0, "{}");
    char expected[1024];
    snprintf (
        expected, sizeof expected, "%s%s",
        "81 a5 73 74 65 70 73 91 89 da 00 07 73 74 65 70 5f 69 64 d9 01 61 a8 6d 6f 64 61 6c 69 74 79 a1 6d " WIDE_PAYLOAD
            WIDE_UNKNOWN,
        " a6 73 74 61 74 75 73 a9 73 75 63 63 65 65 64 65 64 a7 72 65 63 65 69 70 74 80 a5 65 72 72 6f 72 c0"
        " aa 73 74 61 72 74 65 64 5f 75 73 05 ab 66 69 6e 69 73 68 65 64 5f 75 73 06");
    ck_assert_str_eq (document_bytes (merged (NULL, NULL)), expected);
}
END_TEST

START_TEST (what_happened_is_written_where_the_field_is)
{
    take (
        document ("{'steps':[{'finished_us':null,'one':1,'status':'pending','step_id':'a','error':null,'two':{'status':"
                  "'x'},'modality':'m','receipt':null,'started_us':null,'three':[]}],'y':'z'}"),
        REEL_WORKFLOW_STRICT);
    set_succeeded (0, "{'adapter':'echo','output':{'x':[1,{'$bin':''}]}}");
    ck_assert_merged (
        NULL, NULL,
        "{'steps':[{'finished_us':6,'one':1,'status':'succeeded','step_id':'a','error':null,'two':{'status':"
        "'x'},'modality':'m','receipt':{'adapter':'echo','output':{'x':[1,{'$bin':''}]}},'started_us':5,"
        "'three':[]}],'y':'z'}");
}
END_TEST

START_TEST (what_is_missing_is_added_at_the_end)
{
    take (document ("{'steps':[" STEP ("a", "") "," STEP ("b", AFTER ("'a'") ",'error':null") "," STEP ("c", "") "]}"),
          REEL_WORKFLOW_STRICT);
    set_failed (0, "{'code':'x','message':'y','retryable':false}");
    set_skipped (1, "'because'");
    ck_assert_merged (
        NULL, NULL,
        "{'steps':[{'step_id':'a','modality':'m','status':'failed','receipt':null,'error':{'code':'x','message':'y',"
        "'retryable':false},'started_us':7,'finished_us':8},{'step_id':'b','modality':'m','depends_on':['a'],'error':"
        "'because','status':'skipped','receipt':null,'started_us':null,'finished_us':9},{'step_id':'c','modality':'m'}]}");
}
END_TEST

START_TEST (an_outcome_is_taken_back)
{
    take (document ("{'steps':[" STEP ("a", ",'status':'failed','error':'x','started_us':1,'finished_us':2") "]}"),
          REEL_WORKFLOW_STRICT);
    outcomes[0] = (struct reel_outcome){.started_us = REEL_TIME_NIL, .finished_us = REEL_TIME_NIL};
    ck_assert_merged (NULL, NULL,
                      "{'steps':[{'step_id':'a','modality':'m','status':'pending','error':null,'started_us':null,"
                      "'finished_us':null,'receipt':null}]}");
}
END_TEST

START_TEST (each_field_alone_is_a_change)
{
    struct reel_slice bytes = document ("{'steps':[" STEP (
        "a", ",'status':'failed','receipt':{'a':1},'error':'x','started_us':1,'finished_us':2") "]}");
    static const char *const expected[] = {
        "'status':'failed','receipt':{'a':1},'error':'x','started_us':1,'finished_us':2",
        "'status':'succeeded','receipt':{'a':1},'error':'x','started_us':1,'finished_us':2",
        "'status':'failed','receipt':{'a':2},'error':'x','started_us':1,'finished_us':2",
        "'status':'failed','receipt':{'a':1},'error':'y','started_us':1,'finished_us':2",
        "'status':'failed','receipt':{'a':1},'error':'x','started_us':0,'finished_us':2",
        "'status':'failed','receipt':{'a':1},'error':'x','started_us':1,'finished_us':3",
        "'status':'failed','receipt':null,'error':'x','started_us':1,'finished_us':2",
    };
    for (size_t i = 0; i < COUNT (expected); i++) {
        take (bytes, REEL_WORKFLOW_STRICT);
        switch (i) {
        case 1: outcomes[0].status = REEL_STEP_SUCCEEDED; break;
        case 2: outcomes[0].receipt = document ("{'a':2}"); break;
        case 3: outcomes[0].error = document ("'y'"); break;
        case 4: outcomes[0].started_us = 0; break;
        case 5: outcomes[0].finished_us = 3; break;
        case 6: outcomes[0].receipt = REEL_SLICE_NONE; break;
        default: break;
        }
        char whole[256];
        snprintf (whole, sizeof whole, "{'steps':[{'step_id':'a','modality':'m',%s}]}", expected[i]);
        ck_assert_merged (NULL, NULL, whole);
    }
}
END_TEST

START_TEST (id_and_time_are_added_only_where_there_are_none)
{
    static const struct {
        const char *before, *after; /* around the steps */
        const char *id, *created;
        const char *expected_before, *expected_after;
    } cases[] = {
        {"", "", "w", "2026-04-28T09:10:06Z", "", ",'workflow_id':'w','created_at':'2026-04-28T09:10:06Z'"},
        {"", "", "w", NULL, "", ",'workflow_id':'w'"},
        {"", "", NULL, "2026-04-28T09:10:06Z", "", ",'created_at':'2026-04-28T09:10:06Z'"},
        {"", ",'x':1", "w", NULL, "", ",'x':1,'workflow_id':'w'"},
        {"'workflow_id':null,", ",'created_at':null,'x':1", "w", "2026-04-28T09:10:06Z", "'workflow_id':'w',",
         ",'created_at':'2026-04-28T09:10:06Z','x':1"},
        {"'workflow_id':null,", "", NULL, NULL, "'workflow_id':null,", ""},
        {"'created_at':'2020-01-01T00:00:00Z',", "", "w", "2026-04-28T09:10:06Z",
         "'created_at':'2020-01-01T00:00:00Z',", ",'workflow_id':'w'"},
        {"", ",'workflow_id':'own'", "w", "2026-04-28T09:10:06Z", "",
         ",'workflow_id':'own','created_at':'2026-04-28T09:10:06Z'"},
    };
    for (size_t i = 0; i < COUNT (cases); i++) {
        char expected[256];
        take (document_of ("{%s'steps':[" STEP ("a", "") "]%s}", cases[i].before, cases[i].after),
              REEL_WORKFLOW_STRICT);
        snprintf (expected, sizeof expected, "{%s'steps':[" STEP ("a", "") "]%s}", cases[i].expected_before,
                  cases[i].expected_after);
        ck_assert_merged (cases[i].id, cases[i].created, expected);
    }
}
END_TEST

/* --- round trips ------------------------------------------------------------------------- */

/* What is written is read again with the same outcomes, and written again as the same bytes. */
static void
ck_assert_round_trip (void)
{
    struct reel_outcome before[STEPS_MOST];
    memcpy (before, outcomes, sizeof before);
    struct reel_slice once = merged ("w", "2026-04-28T09:10:06Z");
    take (once, REEL_WORKFLOW_GROWN);
    ck_assert (reel_slice_is (workflow.workflow_id, "w"));
    for (uint32_t i = 0; i < workflow.step_count; i++) {
        ck_assert_int_eq (outcomes[i].status, before[i].status);
        ck_assert (reel_slice_equal (outcomes[i].receipt, before[i].receipt));
        ck_assert (reel_slice_equal (outcomes[i].error, before[i].error));
        ck_assert_int_eq (outcomes[i].started_us, before[i].started_us);
        ck_assert_int_eq (outcomes[i].finished_us, before[i].finished_us);
    }
    ck_assert_str_eq (document_bytes (merged ("w", "2026-04-28T09:10:06Z")), document_bytes (once));
}

#define FOUR                                                                                                                    \
    "{'global_provenance':{'p':1},'steps':[" STEP ("a", ",'payload':{'x':{'$uint':'18446744073709551615'}},'own':1") "," STEP ( \
        "b", AFTER ("'a'")) "," STEP ("c", AFTER ("'b'") ",'status':null") "," STEP ("d", "") "]}"

START_TEST (a_workflow_not_begun_round_trips)
{
    take (document (FOUR), REEL_WORKFLOW_STRICT);
    ck_assert_round_trip ();
}
END_TEST

START_TEST (a_half_executed_workflow_round_trips)
{
    take (document (FOUR), REEL_WORKFLOW_STRICT);
    set_succeeded (0, "{'output':{'n':9007199254740993,'f':{'$f32':'7fa00001'},'d':{'$f64':'7ff8000000000001'}}}");
    ck_assert_round_trip ();
}
END_TEST

START_TEST (an_executed_workflow_round_trips)
{
    take (document (FOUR), REEL_WORKFLOW_STRICT);
    set_succeeded (0, "{'output':{'t':{'$ext':[-1,'AAAAAQ==']},'b':{'$bin':'AAEC'}},'artifacts':[]}");
    set_failed (1, "{'code':'x','message':'','retryable':true,'detail':[1,null]}");
    set_skipped (2, "{'code':'dependency_failed','message':'b','retryable':false}");
    set_succeeded (3, "{}");
    ck_assert_round_trip ();
}
END_TEST

START_TEST (an_executed_workflow_grows_no_further_when_it_runs_again)
{
    take (document (FOUR), REEL_WORKFLOW_STRICT);
    set_succeeded (0, "{}");
    take (merged ("w", "2026-04-28T09:10:06Z"), REEL_WORKFLOW_GROWN);
    set_failed (1, "'x'");
    set_skipped (2, "'x'");
    struct reel_slice once = merged ("w", "2026-04-28T09:10:06Z");
    take (once, REEL_WORKFLOW_GROWN);
    ck_assert_uint_eq (merged ("other", "2030-01-01T00:00:00Z").len, once.len);
}
END_TEST

/* The most keys that may be submitted leave room for those that are added. */
START_TEST (what_may_be_submitted_can_be_merged)
{
    struct reel_buf out = {0};
    char key[16];
    reel_pack_map (&out, REEL_OWN_KEYS_MAX);
    for (unsigned level = 0; level < 2; level++) {
        for (unsigned i = 0; i < REEL_OWN_KEYS_MAX - (level == 0 ? 1 : 2); i++) {
            snprintf (key, sizeof key, "x%u", i);
            reel_pack_text (&out, key);
            reel_pack_nil (&out);
        }
        reel_pack_text (&out, level == 0 ? "steps" : "step_id");
        if (level == 0) {
            reel_pack_array (&out, 1);
            reel_pack_map (&out, REEL_OWN_KEYS_MAX);
        } else {
            reel_pack_text (&out, "a");
            reel_pack_text (&out, "modality");
            reel_pack_text (&out, "m");
        }
    }
    take (document_copy (reel_buf_slice (&out)), REEL_WORKFLOW_STRICT);
    reel_buf_free (&out);
    set_succeeded (0, "{}");
    take (merged ("w", "2026-04-28T09:10:06Z"), REEL_WORKFLOW_GROWN);
    ck_assert_int_eq (outcomes[0].status, REEL_STEP_SUCCEEDED);
}
END_TEST

/* --- the final receipt ------------------------------------------------------------------- */

static const char *
receipt_json (const struct reel_final *final)
{
    struct reel_buf out = {0};
    reel_outcome_receipt (&out, final, &workflow, outcomes);
    ck_assert_int_eq (reel_buf_status (&out), REEL_OK);
    ck_assert_int_eq (reel_scan_check (reel_buf_slice (&out), REEL_DEPTH_MAX, NULL), REEL_OK);
    const char *json = document_json (reel_buf_slice (&out));
    reel_buf_free (&out);
    return json;
}

START_TEST (the_final_receipt_has_every_field_in_order)
{
    take (document (FOUR), REEL_WORKFLOW_STRICT);
    set_succeeded (0, "{'output':{}}");
    set_failed (1, "'why'");
    set_skipped (2, "{'code':'dependency_failed'}");
    struct reel_final final = {
        .workflow_id = reel_slice_text ("w"),
        .status = "failed",
        .created_at = reel_slice_text ("2026-04-28T09:10:06.000000Z"),
        .submitted_us = 1,
        .started_us = 2,
        .finished_us = 3,
        .deliveries = 4,
        .origin = reel_slice_text ("first"),
        .error = document ("{'code':'hook_failed','message':'x','retryable':false}"),
    };
    ck_assert_str_eq (
        receipt_json (&final),
        "{'workflow_id':'w','status':'failed','created_at':'2026-04-28T09:10:06.000000Z','submitted_us':1,'started_us':2,"
        "'finished_us':3,'deliveries':4,'origin':'first','error':{'code':'hook_failed','message':'x','retryable':false},"
        "'global_provenance':{'p':1},'steps':["
        "{'step_id':'a','modality':'m','status':'succeeded','receipt':{'output':{}},'error':null,'started_us':5,"
        "'finished_us':6},"
        "{'step_id':'b','modality':'m','status':'failed','receipt':null,'error':'why','started_us':7,'finished_us':8},"
        "{'step_id':'c','modality':'m','status':'skipped','receipt':null,'error':{'code':'dependency_failed'},"
        "'started_us':null,'finished_us':9},"
        "{'step_id':'d','modality':'m','status':'pending','receipt':null,'error':null,'started_us':null,'finished_us':"
        "null}]}");
}
END_TEST

START_TEST (what_a_final_receipt_does_not_have_is_nil)
{
    take (document ("{'steps':[" STEP ("a", "") "]}"), REEL_WORKFLOW_STRICT);
    struct reel_final final = {
        .workflow_id = reel_slice_text ("w"),
        .status = "cancelled",
        .created_at = reel_slice_text ("2026-04-28T09:10:06Z"),
        .started_us = REEL_TIME_NIL,
        .finished_us = 3,
    };
    ck_assert_str_eq (
        receipt_json (&final),
        "{'workflow_id':'w','status':'cancelled','created_at':'2026-04-28T09:10:06Z','submitted_us':0,"
        "'started_us':null,'finished_us':3,'deliveries':0,'origin':null,'error':null,'global_provenance':{},"
        "'steps':[{'step_id':'a','modality':'m','status':'pending','receipt':null,'error':null,'started_us':"
        "null,'finished_us':null}]}");
}
END_TEST

/* A receipt as deep as one may be still fits into both documents. */
START_TEST (the_deepest_receipt_fits)
{
    struct reel_buf out = {0};
    take (document ("{'steps':[" STEP ("a", "") "]}"), REEL_WORKFLOW_STRICT);
    for (unsigned i = 0; i < REEL_RECEIPT_DEPTH_MAX; i++) {
        reel_pack_map (&out, 1);
        reel_pack_text (&out, "x");
    }
    reel_pack_nil (&out);
    outcomes[0] = (struct reel_outcome){.status = REEL_STEP_SUCCEEDED, .receipt = reel_buf_slice (&out)};
    ck_assert_uint_eq (reel_scan_depth (merged (NULL, NULL)), REEL_DEPTH_MAX);
    struct reel_final final = {.status = "succeeded"};
    ck_assert_ptr_nonnull (receipt_json (&final));
    reel_buf_free (&out);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("outcome");
    TCase *tcase = suite_case (suite, "outcome", setup, teardown);
    tcase_add_test (tcase, a_document_brings_its_outcomes_along);
    tcase_add_test (tcase, a_workflow_is_over_when_every_step_has_an_outcome);
    tcase_add_test (tcase, the_first_dependency_that_stopped_is_the_one_to_name);
    tcase_add_test (tcase, an_untouched_document_keeps_its_bytes);
    tcase_add_test (tcase, an_untouched_step_keeps_its_bytes);
    tcase_add_test (tcase, a_touched_step_keeps_the_bytes_of_its_other_fields);
    tcase_add_test (tcase, what_happened_is_written_where_the_field_is);
    tcase_add_test (tcase, what_is_missing_is_added_at_the_end);
    tcase_add_test (tcase, an_outcome_is_taken_back);
    tcase_add_test (tcase, each_field_alone_is_a_change);
    tcase_add_test (tcase, id_and_time_are_added_only_where_there_are_none);
    tcase_add_test (tcase, a_workflow_not_begun_round_trips);
    tcase_add_test (tcase, a_half_executed_workflow_round_trips);
    tcase_add_test (tcase, an_executed_workflow_round_trips);
    tcase_add_test (tcase, an_executed_workflow_grows_no_further_when_it_runs_again);
    tcase_add_test (tcase, what_may_be_submitted_can_be_merged);
    tcase_add_test (tcase, the_final_receipt_has_every_field_in_order);
    tcase_add_test (tcase, what_a_final_receipt_does_not_have_is_nil);
    tcase_add_test (tcase, the_deepest_receipt_fits);
    return suite_run (suite);
}
