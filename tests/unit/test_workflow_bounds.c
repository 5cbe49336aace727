/*
 * The workflow document: how much of everything it may have, and that the memory of one serves the next, however large.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "proto/pack.h"
#include "tests/support/document.h"
#include "tests/support/suite.h"
#include "tests/support/workflow_fixture.h"

/* --- bounds ------------------------------------------------------------------------------ */

static struct reel_slice
taken_from (struct reel_buf *out)
{
    ck_assert_int_eq (reel_buf_status (out), REEL_OK);
    struct reel_slice copy = document_copy (reel_buf_slice (out));
    reel_buf_free (out);
    return copy;
}

static void
begin_steps (struct reel_buf *out, uint32_t count)
{
    reel_pack_map (out, 1);
    reel_pack_text (out, "steps");
    reel_pack_array (out, count);
}

/* The head of a step of that number with `more` fields to follow. */
static void
begin_step (struct reel_buf *out, unsigned number, uint32_t more)
{
    char id[16];
    snprintf (id, sizeof id, "s%u", number);
    reel_pack_map (out, 2 + more);
    reel_pack_text (out, "step_id");
    reel_pack_text (out, id);
    reel_pack_text (out, "modality");
    reel_pack_text (out, "m");
}

static struct reel_slice
steps_of (uint32_t count)
{
    struct reel_buf out = {0};
    begin_steps (&out, count);
    for (uint32_t i = 0; i < count; i++)
        begin_step (&out, i, 0);
    return taken_from (&out);
}

START_TEST (steps_are_bounded)
{
    ck_assert_taken (steps_of (1000), REEL_WORKFLOW_STRICT);
    ck_assert_uint_eq (workflow.step_count, 1000);
    ck_assert_refused (steps_of (1001), REEL_WORKFLOW_STRICT, "limit_exceeded", "/steps", "1001 steps, at most 1000");
}
END_TEST

static struct reel_slice
depends_of (uint32_t count)
{
    struct reel_buf out = {0};
    begin_steps (&out, 2);
    begin_step (&out, 0, 0);
    begin_step (&out, 1, 1);
    reel_pack_text (&out, "depends_on");
    reel_pack_array (&out, count);
    for (uint32_t i = 0; i < count; i++)
        reel_pack_text (&out, "s0");
    return taken_from (&out);
}

START_TEST (dependencies_are_bounded)
{
    ck_assert_taken (depends_of (1000), REEL_WORKFLOW_STRICT);
    ck_assert_uint_eq (workflow.steps[1].depends_count, 1000);
    ck_assert_refused (depends_of (1001), REEL_WORKFLOW_STRICT, "limit_exceeded", "/steps/1/depends_on",
                       "1001 dependencies, at most 1000");
}
END_TEST

static struct reel_slice
references_of (uint32_t count)
{
    struct reel_buf out = {0};
    begin_steps (&out, 2);
    begin_step (&out, 0, 0);
    begin_step (&out, 1, 2);
    reel_pack_text (&out, "depends_on");
    reel_pack_array (&out, 1);
    reel_pack_text (&out, "s0");
    reel_pack_text (&out, "payload");
    reel_pack_map (&out, 1);
    reel_pack_text (&out, "x");
    reel_pack_array (&out, count);
    for (uint32_t i = 0; i < count; i++) {
        reel_pack_map (&out, 1);
        reel_pack_text (&out, "$ref");
        reel_pack_text (&out, "#/s0");
    }
    return taken_from (&out);
}

START_TEST (references_are_bounded)
{
    ck_assert_taken (references_of (1000), REEL_WORKFLOW_STRICT);
    ck_assert_refused (references_of (1001), REEL_WORKFLOW_STRICT, "limit_exceeded", "/steps/1/payload/x/1000",
                       "references");
}
END_TEST

START_TEST (ids_are_bounded)
{
    char id[REEL_ID_BYTES_MAX + 2], modality[REEL_MODALITY_BYTES_MAX + 2];
    memset (id, 'i', sizeof id - 1);
    memset (modality, 'm', sizeof modality - 1);
    id[128] = modality[64] = '\0';
    ck_assert_taken (document_of ("{'workflow_id':'%s','steps':[{'step_id':'%s','modality':'%s'}]}", id, id, modality),
                     REEL_WORKFLOW_STRICT);
    id[128] = modality[64] = 'x';
    id[129] = modality[65] = '\0';
    ck_assert_refused (document_of ("{'workflow_id':'%s'}", id), REEL_WORKFLOW_STRICT, "bad_id", "/workflow_id", "128");
    ck_assert_refused (document_of ("{'steps':[{'step_id':'%s'}]}", id), REEL_WORKFLOW_STRICT, "bad_id",
                       "/steps/0/step_id", "128");
    ck_assert_refused (document_of ("{'steps':[{'modality':'%s'}]}", modality), REEL_WORKFLOW_STRICT, "bad_id",
                       "/steps/0/modality", "64");
}
END_TEST

START_TEST (numbers_are_taken_up_to_their_bounds)
{
    const struct reel_step *step = only_step (
        ONE (",'started_us':0,'finished_us':9223372036854775807,'policy':{'timeout_ms':31622400000,'retry':{"
             "'max_attempts':1000,'backoff_ms':31622400000,'backoff_max_ms':31622400000},'in_doubt':'fail'}"));
    ck_assert_int_eq (step->started_us, 0);
    ck_assert_int_eq (step->finished_us, INT64_MAX);
    ck_assert_int_eq (step->policy.timeout_ms, REEL_DURATION_MS_MAX);
    ck_assert_uint_eq (step->policy.max_attempts, 1000);
    ck_assert_int_eq (step->policy.backoff_ms, REEL_DURATION_MS_MAX);
    ck_assert_int_eq (step->policy.backoff_max_ms, REEL_DURATION_MS_MAX);
    step = only_step (ONE (",'policy':{'timeout_ms':1,'retry':{'max_attempts':1,'backoff_ms':0,'backoff_max_ms':0}}"));
    ck_assert_int_eq (step->policy.timeout_ms, 1);
    ck_assert_uint_eq (step->policy.max_attempts, 1);
}
END_TEST

/* A document of exactly that many bytes. */
static struct reel_slice
document_of_bytes (size_t len)
{
    struct reel_buf out = {0};
    begin_steps (&out, 1);
    begin_step (&out, 0, 1);
    reel_pack_text (&out, "payload");
    reel_pack_map (&out, 1);
    reel_pack_text (&out, "x");
    uint8_t *filler = calloc (1, len);
    ck_assert_ptr_nonnull (filler);
    reel_pack_bin (&out, reel_slice (filler, len - out.len - 5));
    free (filler);
    ck_assert_uint_eq (out.len, len);
    return taken_from (&out);
}

START_TEST (bytes_are_bounded_when_it_is_submitted)
{
    ck_assert_taken (document_of_bytes (REEL_DOCUMENT_BYTES_MAX), REEL_WORKFLOW_STRICT);
    struct reel_slice larger = document_of_bytes (REEL_DOCUMENT_BYTES_MAX + 1);
    ck_assert_refused (larger, REEL_WORKFLOW_STRICT, "limit_exceeded", "", "16777217 bytes, at most 16777216");
    ck_assert_refused (larger, REEL_WORKFLOW_RUNNING_OK, "limit_exceeded", "", "bytes");
    ck_assert_taken (larger, REEL_WORKFLOW_GROWN);
}
END_TEST

static struct reel_slice
payload_of_depth (unsigned depth)
{
    struct reel_buf out = {0};
    begin_steps (&out, 1);
    begin_step (&out, 0, 1);
    reel_pack_text (&out, "payload");
    for (unsigned i = 0; i < depth; i++) {
        reel_pack_map (&out, 1);
        reel_pack_text (&out, "x");
    }
    reel_pack_nil (&out);
    return taken_from (&out);
}

START_TEST (nesting_is_bounded)
{
    ck_assert_taken (payload_of_depth (21), REEL_WORKFLOW_STRICT);
    ck_assert_refused (payload_of_depth (22), REEL_WORKFLOW_STRICT, "limit_exceeded",
                       "/steps/0/payload/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x", "deep");
}
END_TEST

static void
add_keys (struct reel_buf *out, uint32_t count)
{
    char key[16];
    for (uint32_t i = 0; i < count; i++) {
        snprintf (key, sizeof key, "x%u", i);
        reel_pack_text (out, key);
        reel_pack_nil (out);
    }
}

/* A map of `count` keys: that of the workflow, that of its step, or a payload. */
static struct reel_slice
keys_of (char where, uint32_t count)
{
    struct reel_buf out = {0};
    reel_pack_map (&out, where == 'w' ? count : 1);
    if (where == 'w')
        add_keys (&out, count - 1);
    reel_pack_text (&out, "steps");
    reel_pack_array (&out, 1);
    begin_step (&out, 0, where == 's' ? count - 2 : 1);
    if (where == 's') {
        add_keys (&out, count - 2);
        return taken_from (&out);
    }
    reel_pack_text (&out, "payload");
    reel_pack_map (&out, where == 'p' ? count : 0);
    if (where == 'p')
        add_keys (&out, count);
    return taken_from (&out);
}

START_TEST (keys_are_bounded)
{
    ck_assert_taken (keys_of ('p', 65536), REEL_WORKFLOW_STRICT);
    ck_assert_refused (keys_of ('p', 65537), REEL_WORKFLOW_STRICT, "limit_exceeded", "/steps/0/payload", "keys");
    /* What is submitted leaves room for what is added to it. */
    ck_assert_taken (keys_of ('w', 65528), REEL_WORKFLOW_STRICT);
    ck_assert_refused (keys_of ('w', 65529), REEL_WORKFLOW_STRICT, "limit_exceeded", "", "65529 keys, at most 65528");
    ck_assert_taken (keys_of ('w', 65536), REEL_WORKFLOW_GROWN);
    ck_assert_refused (keys_of ('w', 65537), REEL_WORKFLOW_GROWN, "limit_exceeded", "", "keys");
    ck_assert_taken (keys_of ('s', 65528), REEL_WORKFLOW_STRICT);
    ck_assert_refused (keys_of ('s', 65529), REEL_WORKFLOW_STRICT, "limit_exceeded", "/steps/0", "65529 keys");
    ck_assert_taken (keys_of ('s', 65536), REEL_WORKFLOW_GROWN);
}
END_TEST

/* All 1000 wait for the one after, the last for the first. */
START_TEST (a_long_cycle_is_named_in_short)
{
    struct reel_buf out = {0};
    struct reel_error err = {0};
    char id[16];
    begin_steps (&out, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        begin_step (&out, i, 1);
        reel_pack_text (&out, "depends_on");
        reel_pack_array (&out, 1);
        snprintf (id, sizeof id, "s%u", (i + 1) % 1000);
        reel_pack_text (&out, id);
    }
    ck_assert_int_eq (reel_workflow_parse (&workflow, taken_from (&out), REEL_WORKFLOW_STRICT, &err), REEL_INVALID);
    ck_assert_str_eq (err.code, "cycle");
    ck_assert_str_eq (err.path, "/steps/0/depends_on/0");
    ck_assert_msg (strstr (err.message, ": s0 -> s1 -> s2 -> ") != NULL, "%s", err.message);
    ck_assert_msg (strstr (err.message, " more) -> s0") != NULL, "%s", err.message);
}
END_TEST

START_TEST (long_names_do_not_break_a_message)
{
    char first[129], second[129];
    struct reel_error err = {0};
    memset (first, 'f', 128);
    memset (second, 's', 128);
    first[128] = second[128] = '\0';
    struct reel_slice bytes = document_of (
        "{'steps':[{'step_id':'%s','modality':'m','depends_on':['%s']},{'step_id':'%s',"
        "'modality':'m','depends_on':['%s']}]}",
        first, second, second, first);
    ck_assert_int_eq (reel_workflow_parse (&workflow, bytes, REEL_WORKFLOW_STRICT, &err), REEL_INVALID);
    ck_assert_str_eq (err.code, "cycle");
    ck_assert_uint_eq (strlen (err.message), strlen ("these steps wait for each other: ") + 3 * 128 + 2 * 4);
}
END_TEST

/* --- use again --------------------------------------------------------------------------- */

START_TEST (memory_is_used_again_after_anything)
{
    ck_assert_taken (steps_of (3), REEL_WORKFLOW_STRICT);
    ck_assert_taken (steps_of (1000), REEL_WORKFLOW_STRICT);
    ck_assert_taken (depends_of (1000), REEL_WORKFLOW_STRICT);
    ck_assert_refused (document ("{'workflow_id':'w','steps':[]}"), REEL_WORKFLOW_STRICT, "empty_workflow", "/steps",
                       "");
    ck_assert_refused (document ("{'workflow_id':'w'}"), REEL_WORKFLOW_STRICT, "missing_field", "", "");
    ck_assert_taken (
        document ("{'workflow_id':'w','created_at':'2026-04-28T09:10:06Z','global_provenance':{},'steps':[" STEP (
            "a", "") "]}"),
        REEL_WORKFLOW_STRICT);
    ck_assert_taken (document (ONE ("")), REEL_WORKFLOW_STRICT);
    ck_assert_uint_eq (workflow.step_count, 1);
    ck_assert_uint_eq (workflow.depends_count, 0);
    ck_assert_uint_eq (workflow.workflow_id.len, 0); /* nothing is left of an earlier one */
    ck_assert_uint_eq (workflow.created_at.len, 0);
    ck_assert_uint_eq (workflow.global_provenance.len, 0);
    ck_assert_int_eq (reel_workflow_find (&workflow, reel_slice_text ("s0")), -1);
    reel_workflow_free (&workflow);
    ck_assert_ptr_null (workflow.steps);
    ck_assert_taken (document (TWO ("", AFTER ("'a'"))), REEL_WORKFLOW_STRICT);
    reel_workflow_free (&workflow);
    reel_workflow_free (&workflow);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("workflow bounds");
    TCase *tcase = suite_case (suite, "workflow bounds", setup, teardown);
    tcase_add_test (tcase, steps_are_bounded);
    tcase_add_test (tcase, dependencies_are_bounded);
    tcase_add_test (tcase, references_are_bounded);
    tcase_add_test (tcase, ids_are_bounded);
    tcase_add_test (tcase, numbers_are_taken_up_to_their_bounds);
    tcase_add_test (tcase, bytes_are_bounded_when_it_is_submitted);
    tcase_add_test (tcase, nesting_is_bounded);
    tcase_add_test (tcase, keys_are_bounded);
    tcase_add_test (tcase, a_long_cycle_is_named_in_short);
    tcase_add_test (tcase, long_names_do_not_break_a_message);
    tcase_add_test (tcase, memory_is_used_again_after_anything);
    return suite_run (suite);
}
