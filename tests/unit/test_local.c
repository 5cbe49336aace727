/*
 * The local runner: outcomes, what it tells, the output file as acknowledgement, going on from one, stopping.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/json.h"
#include "proto/scan.h"
#include "tests/support/call.h"
#include "tests/support/scratch.h"
#include "tests/support/suite.h"
#include "worker/local.h"
#include "worker/rewrite.h"

static struct reel_registry *registry;
static struct reel_local_setup setup;
static struct reel_local_result result;
static struct reel_error err;
static struct reel_buf document;
static struct reel_buf told; /* "index kind step_id\n" of every event */
static char directory[SCRATCH_BYTES];
static char output[4096];
static const char *stop_at; /* write to the pipe when this was told */
static int stop_pipe[2];

static void
take_event (void *context, struct reel_slice event)
{
    struct reel_slice kind = REEL_SLICE_NONE, step = REEL_SLICE_NONE, id = REEL_SLICE_NONE;
    uint64_t index = 0, at_us = 0;
    ck_assert_ptr_eq (context, &setup);
    ck_assert_int_eq (reel_scan_check (event, 24, &err), REEL_OK);
    ck_assert (reel_scan_find_str (event, "kind", &kind));
    ck_assert (reel_scan_find_str (event, "workflow_id", &id) && id.len > 0);
    ck_assert (reel_scan_find_uint (event, "at_us", &at_us) && at_us > 1600000000000000);
    (void) reel_scan_find_uint (event, "index", &index);
    (void) reel_scan_find_str (event, "step_id", &step);
    reel_buf_printf (&told, "%d %.*s %.*s\n", (int) index, REEL_TEXT (kind), REEL_TEXT (step));
    if (stop_at != NULL && reel_slice_is (kind, stop_at))
        ck_assert_int_eq (write (stop_pipe[1], "x", 1), 1);
}

static void
set_up (void)
{
    scratch_make (directory, false);
    snprintf (output, sizeof output, "%s/out.json", directory);
    ck_assert_int_eq (reel_registry_create (&registry), REEL_OK);
    ck_assert_int_eq (reel_registry_add_builtin (registry, &err), REEL_OK);
    stop_at = NULL;
    ck_assert_int_eq (pipe (stop_pipe), 0);
    setup = (struct reel_local_setup){
        .registry = registry, .stop_fd = -1, .watcher = {.event = take_event, .context = &setup}};
    result = (struct reel_local_result){0};
}

static void
tear_down (void)
{
    reel_local_result_free (&result);
    reel_registry_destroy (&registry);
    reel_buf_free (&document);
    reel_buf_free (&told);
    close (stop_pipe[0]);
    close (stop_pipe[1]);
    scratch_remove (directory);
}

/* Adds a modality that is served by a script of the shell, not idempotent, with the output file as $1. */
static void
add_script (const char *modality, const char *script)
{
    call_add_script (registry, modality, script, directory, output);
}

static enum reel_status
run (const char *json)
{
    reel_buf_clear (&document);
    reel_buf_clear (&told);
    reel_local_result_free (&result);
    ck_assert_msg (reel_json_read (reel_slice_text (json), &document, &err) == REEL_OK, "%s", err.message);
    setup.document = reel_buf_slice (&document);
    enum reel_status status = reel_local_run (&setup, &result, &err);
    reel_buf_add_byte (&told, 0);
    return status;
}

static void
run_well (const char *json)
{
    ck_assert_msg (run (json) == REEL_OK, "%s: %s", err.path, err.message);
}

/* What the pointer finds in a msgpack document, as JSON. */
static const char *
at (const struct reel_buf *msgpack, const char *pointer)
{
    static char text[8192];
    struct reel_slice found;
    struct reel_buf json = {0};
    if (!reel_scan_pointer (reel_buf_slice (msgpack), reel_slice_text (pointer), &found))
        return "";
    ck_assert_int_eq (reel_json_write (found, REEL_JSON_COMPACT, &json), REEL_OK);
    snprintf (text, sizeof text, "%.*s", REEL_TEXT (reel_buf_slice (&json)));
    reel_buf_free (&json);
    return text;
}

#define STEP(id, modality, payload, more)                                                                              \
    "{\"step_id\":\"" id "\",\"modality\":\"" modality "\",\"payload\":" payload more "}"

START_TEST (steps_run_in_order_and_are_told)
{
    run_well ("{\"workflow_id\":\"wf\",\"steps\":[" STEP ("a", "echo", "{\"x\":1}", "") "," STEP (
        "b", "sleep", "{\"ms\":1}", "") "," STEP ("c", "echo", "{\"y\":{\"$ref\":\"#/a/output/x\"}}",
                                                  ",\"depends_on\":[\"a\"]") "]}");
    ck_assert_str_eq (result.status, "succeeded");
    ck_assert_str_eq ((const char *) told.data, "1 workflow.accepted \n"
                                                "2 step.started a\n3 step.succeeded a\n"
                                                "4 step.started b\n5 step.succeeded b\n"
                                                "6 step.started c\n7 step.succeeded c\n"
                                                "8 workflow.succeeded \n");
    ck_assert_str_eq (at (&result.receipt, "/workflow_id"), "\"wf\"");
    ck_assert_str_eq (at (&result.receipt, "/status"), "\"succeeded\"");
    ck_assert_str_eq (at (&result.receipt, "/deliveries"), "1");
    ck_assert_str_eq (at (&result.receipt, "/error"), "null");
    ck_assert_str_eq (at (&result.receipt, "/steps/2/receipt/output"), "{\"y\":1}");
    ck_assert_str_eq (at (&result.receipt, "/steps/2/receipt/adapter"), "\"echo\"");
    ck_assert_str_eq (at (&result.document, "/steps/2/payload"), "{\"y\":{\"$ref\":\"#/a/output/x\"}}");
    ck_assert_str_eq (at (&result.document, "/steps/1/status"), "\"succeeded\"");
}
END_TEST

START_TEST (failure_skips_what_depends_on_it)
{
    run_well ("{\"steps\":[" STEP ("a", "fail", "{\"message\":\"no\"}", "") "," STEP (
        "b", "echo", "{}", ",\"depends_on\":[\"a\"]") "," STEP ("c", "echo", "{}", "") "]}");
    ck_assert_str_eq (result.status, "failed");
    ck_assert_str_eq ((const char *) told.data, "1 workflow.accepted \n2 step.started a\n3 step.failed a\n"
                                                "4 step.skipped b\n5 step.started c\n6 step.succeeded c\n"
                                                "7 workflow.failed \n");
    ck_assert_str_eq (at (&result.receipt, "/steps/0/error/message"), "\"no\"");
    ck_assert_str_eq (at (&result.receipt, "/steps/1/error/code"), "\"dependency_failed\"");
}
END_TEST

START_TEST (id_and_time_are_given_where_there_are_none)
{
    run_well ("{\"steps\":[" STEP ("a", "echo", "{}", "") "]}");
    ck_assert_uint_eq (strlen (at (&result.document, "/workflow_id")), 38);
    ck_assert_uint_eq (strlen (at (&result.document, "/created_at")), 29);
    ck_assert_str_eq (at (&result.receipt, "/steps/0/receipt/provenance/workflow_step_id"), "\"a\"");
    run_well ("{\"workflow_id\":\"mine\",\"created_at\":\"2026-04-28T09:10:06Z\",\"steps\":[" STEP ("a", "echo", "{}",
                                                                                                    "") "]}");
    ck_assert_str_eq (at (&result.document, "/created_at"), "\"2026-04-28T09:10:06Z\"");
    ck_assert_str_eq (at (&result.receipt, "/created_at"), "\"2026-04-28T09:10:06Z\"");
}
END_TEST

START_TEST (bad_document_is_refused_and_nothing_runs)
{
    ck_assert_int_eq (run ("{\"steps\":[]}"), REEL_INVALID);
    ck_assert_str_eq (err.code, "empty_workflow");
    ck_assert_str_eq ((const char *) told.data, "");
    ck_assert_ptr_null (result.status);
}
END_TEST

START_TEST (modality_without_adapter_fails_its_step)
{
    run_well ("{\"steps\":[" STEP ("a", "video", "{}", "") "," STEP ("b", "echo", "{}", "") "]}");
    ck_assert_str_eq (at (&result.receipt, "/steps/0/error/code"), "\"no_adapter\"");
    ck_assert_str_eq (at (&result.receipt, "/steps/1/status"), "\"succeeded\"");
}
END_TEST

START_TEST (attempts_are_retried)
{
    run_well ("{\"steps\":[" STEP ("a", "fail", "{\"retryable\":true}",
                                   ",\"policy\":{\"retry\":{\"max_attempts\":3,\"backoff_ms\":2}}") "]}");
    ck_assert_str_eq ((const char *) told.data,
                      "1 workflow.accepted \n2 step.started a\n3 step.retrying a\n4 step.started a\n5 step.retrying a\n"
                      "6 step.started a\n7 step.failed a\n8 workflow.failed \n");
}
END_TEST

START_TEST (a_thousand_steps_do_not_deepen_the_stack)
{
    struct reel_buf json = {0};
    reel_buf_add_text (&json, "{\"steps\":[");
    for (int i = 0; i < 1000; i++)
        reel_buf_printf (&json, "%s{\"step_id\":\"s%d\",\"modality\":\"echo\"}", i == 0 ? "" : ",", i);
    reel_buf_add_text (&json, "]}");
    reel_buf_add_byte (&json, 0);
    setup.watcher.event = NULL;
    run_well ((const char *) json.data);
    ck_assert_str_eq (result.status, "succeeded");
    ck_assert_str_eq (at (&result.receipt, "/steps/999/status"), "\"succeeded\"");
    reel_buf_free (&json);
}
END_TEST

/* --- the output file ------------------------------------------------------------------------ */

START_TEST (output_is_the_document_as_it_stands)
{
    setup.output = output;
    setup.output_form = REEL_LOCAL_JSON;
    run_well ("{\"workflow_id\":\"wf\",\"extra\":1,\"steps\":[" STEP ("a", "echo", "{}", "") "]}");
    char *text = call_read_file (directory, "out.json");
    struct reel_buf read = {0};
    ck_assert_int_eq (reel_json_read (reel_slice_text (text), &read, &err), REEL_OK);
    ck_assert (reel_slice_equal (reel_buf_slice (&read), reel_buf_slice (&result.document)));
    ck_assert_str_eq (at (&read, "/extra"), "1");
    ck_assert_int_eq (text[strlen (text) - 1], '\n');
    reel_buf_free (&read);
    free (text);
    setup.output_form = REEL_LOCAL_MSGPACK;
    run_well ("{\"workflow_id\":\"wf\",\"steps\":[" STEP ("a", "echo", "{}", "") "]}");
    FILE *file = fopen (output, "re");
    uint8_t bytes[8192];
    size_t got = fread (bytes, 1, sizeof bytes, file);
    fclose (file);
    ck_assert (reel_slice_equal (reel_slice (bytes, got), reel_buf_slice (&result.document)));
}
END_TEST

START_TEST (paid_step_starts_only_once_its_start_is_in_the_file)
{
    /* The step itself looks at the file: it finds the step before finished, and itself running. */
    add_script ("paid", "cat \"$1\"");
    setup.output = output;
    setup.output_form = REEL_LOCAL_JSON;
    run_well ("{\"workflow_id\":\"wf\",\"steps\":[" STEP ("a", "echo", "{}", "") "," STEP ("b", "paid", "{}", "") "]}");
    ck_assert_str_eq (at (&result.receipt, "/steps/1/receipt/output/steps/0/status"), "\"succeeded\"");
    ck_assert_str_eq (at (&result.receipt, "/steps/1/receipt/output/steps/1/status"), "\"running\"");
}
END_TEST

START_TEST (output_that_cannot_be_written_ends_the_run)
{
    add_script ("paid", "touch ../ran");
    snprintf (output, sizeof output, "%s/gone/out.json", directory);
    setup.output = output;
    ck_assert_int_eq (run ("{\"workflow_id\":\"wf\",\"steps\":[" STEP ("b", "paid", "{}", "") "]}"), REEL_IO);
    ck_assert_ptr_nonnull (strstr (err.message, "gone/out.json"));
    ck_assert_ptr_null (result.status);
    ck_assert_ptr_null (call_read_file (directory, "wf/ran"));
}
END_TEST

START_TEST (output_is_locked_by_one_at_a_time)
{
    struct reel_rewrite_lock first = {0}, second = {0};
    struct reel_error error = {0};
    char named[32], beside[4200];
    snprintf (named, sizeof named, "(process %ld)", (long) getpid ());
    snprintf (beside, sizeof beside, "%s.lock", output);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq (reel_rewrite_lock (output, &first, &error), REEL_OK);
        ck_assert_int_eq (reel_rewrite_lock (output, &second, &error), REEL_AGAIN);
        ck_assert_ptr_nonnull (strstr (error.message, named));
        ck_assert_int_eq (ftruncate (first.fd, 0), 0);
        ck_assert_int_eq (reel_rewrite_lock (output, &second, &error), REEL_AGAIN);
        ck_assert_ptr_nonnull (strstr (error.message, "(process unknown)"));
        reel_rewrite_unlock (&first);
        reel_rewrite_unlock (&first);
        ck_assert_int_ne (access (beside, F_OK), 0);
        call_write_file (directory, "out.json.lock", "1\n"); /* a killed one's */
    }
    static const char *const own[] = {"[package]\n", "1 a\n", "11111111111111111\n"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) { /* somebody's own */
        struct stat about;
        call_write_file (directory, "out.json.lock", own[i]);
        ck_assert_int_eq (reel_rewrite_lock (output, &first, &error), REEL_IO);
        ck_assert_int_eq (stat (beside, &about), 0);
        ck_assert_int_eq (about.st_size, (off_t) strlen (own[i]));
    }
    ck_assert_int_eq (unlink (beside), 0);
    ck_assert_int_eq (symlink ("elsewhere", beside), 0);
    ck_assert_int_eq (reel_rewrite_lock (output, &first, &error), REEL_IO);
    ck_assert_int_eq (unlink (beside), 0);
}
END_TEST

START_TEST (output_is_replaced_as_a_whole_and_leaves_nothing_beside_it)
{
    call_write_file (directory, "out.json", "old");
    setup.output = output;
    run_well ("{\"workflow_id\":\"wf\",\"steps\":[" STEP ("a", "echo", "{}", "") "]}");
    char command[4200];
    snprintf (command, sizeof command, "[ \"$(ls '%s')\" = out.json ]", directory);
    ck_assert_int_eq (system (command), 0);
}
END_TEST

START_TEST (finished_steps_are_not_run_again)
{
    run_well ("{\"workflow_id\":\"wf\",\"steps\":[" STEP (
        "a", "fail", "{}",
        ",\"status\":\"succeeded\",\"receipt\":{\"output\":{\"x\":7}},\"started_us\":1,\"finished_us\":2") "," STEP ("b",
                                                                                                                     "echo",
                                                                                                                     "{\"y\":{\"$ref\":\"#/a/output/x\"}}",
                                                                                                                     ",\"depends_on\":[\"a\"]") "]}");
    ck_assert_str_eq ((const char *) told.data,
                      "1 workflow.accepted \n2 step.started b\n3 step.succeeded b\n4 workflow.succeeded \n");
    ck_assert_str_eq (at (&result.receipt, "/steps/1/receipt/output"), "{\"y\":7}");
}
END_TEST

START_TEST (step_that_was_cut_off_goes_on_only_if_it_may)
{
    add_script ("paid", "true");
    run_well ("{\"workflow_id\":\"wf\",\"steps\":[" STEP ("a", "echo", "{}",
                                                          ",\"status\":\"running\",\"started_us\":5") "]}");
    ck_assert_str_eq (result.status, "succeeded");
    run_well ("{\"workflow_id\":\"wf\",\"steps\":[" STEP ("a", "paid", "{}",
                                                          ",\"status\":\"running\",\"started_us\":5") "]}");
    ck_assert_str_eq (at (&result.receipt, "/steps/0/error/code"), "\"in_doubt\"");
    run_well ("{\"workflow_id\":\"wf\",\"steps\":[" STEP (
        "a", "paid", "{}", ",\"status\":\"running\",\"started_us\":5,\"policy\":{\"in_doubt\":\"retry\"}") "]}");
    ck_assert_str_eq (result.status, "succeeded");
}
END_TEST

/* --- while it runs -------------------------------------------------------------------------- */

START_TEST (progress_is_told_without_an_index)
{
    add_script ("paid", "echo '{{\"progress\":0.5}}'");
    run_well ("{\"workflow_id\":\"wf\",\"steps\":[" STEP ("a", "paid", "{}", "") "]}");
    ck_assert_str_eq ((const char *) told.data, "1 workflow.accepted \n2 step.started a\n0 step.progress a\n"
                                                "3 step.succeeded a\n4 workflow.succeeded \n");
}
END_TEST

START_TEST (stop_cancels_what_runs)
{
    setup.stop_fd = stop_pipe[0];
    stop_at = "step.started";
    run_well ("{\"workflow_id\":\"wf\",\"steps\":[" STEP ("a", "sleep", "{\"ms\":60000}", "") "," STEP ("b", "echo",
                                                                                                        "{}", "") "]}");
    ck_assert_str_eq (result.status, "cancelled");
    ck_assert_str_eq ((const char *) told.data,
                      "1 workflow.accepted \n2 step.started a\n3 step.failed a\n4 workflow.cancelled \n");
    ck_assert_str_eq (at (&result.receipt, "/steps/0/error/code"), "\"cancelled\"");
    ck_assert_str_eq (at (&result.receipt, "/steps/1/status"), "\"pending\"");
    ck_assert_str_eq (at (&result.receipt, "/error/code"), "\"cancelled\"");
}
END_TEST

START_TEST (second_stop_does_not_wait_for_the_grace)
{
    /* It ignores TERM, and says so each time it is sent. */
    add_script ("stubborn", "trap 'echo \"{{\\\"progress\\\":1}}\"' TERM; echo '{{\"progress\":0}}'; "
                            "while :; do sleep 0.02; done");
    setup.stop_fd = stop_pipe[0];
    stop_at = "step.progress";
    run_well ("{\"workflow_id\":\"wf\",\"steps\":[" STEP ("a", "stubborn", "{}", "") "]}");
    ck_assert_str_eq (result.status, "cancelled");
}
END_TEST

static unsigned ticks;

static void
tick (void *context)
{
    ck_assert_ptr_eq (context, &setup);
    ticks++;
}

START_TEST (tick_comes_while_a_step_runs)
{
    setup.watcher.tick = tick;
    setup.watcher.tick_ms = 5;
    run_well ("{\"workflow_id\":\"wf\",\"steps\":[" STEP ("a", "sleep", "{\"ms\":400}", "") "]}");
    ck_assert_uint_ge (ticks, 2);
    ck_assert_uint_le (ticks, 90);
}
END_TEST

START_TEST (overrides_go_between_the_layers)
{
    struct reel_buf provenance = {0};
    ck_assert_int_eq (reel_json_read (reel_slice_text ("{\"a\":2,\"workflow_id\":\"forged\"}"), &provenance, &err),
                      REEL_OK);
    setup.provenance = reel_buf_slice (&provenance);
    run_well ("{\"workflow_id\":\"wf\",\"global_provenance\":{\"a\":1,\"b\":1},\"steps\":[" STEP ("s", "echo", "{}",
                                                                                                  "") "]}");
    ck_assert_str_eq (at (&result.receipt, "/steps/0/receipt/provenance"),
                      "{\"a\":2,\"b\":1,\"workflow_id\":\"wf\",\"workflow_step_id\":\"s\"}");
    reel_buf_free (&provenance);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("local");
    TCase *tc = suite_case (suite, "local", set_up, tear_down);
    tcase_add_test (tc, steps_run_in_order_and_are_told);
    tcase_add_test (tc, failure_skips_what_depends_on_it);
    tcase_add_test (tc, id_and_time_are_given_where_there_are_none);
    tcase_add_test (tc, bad_document_is_refused_and_nothing_runs);
    tcase_add_test (tc, modality_without_adapter_fails_its_step);
    tcase_add_test (tc, attempts_are_retried);
    tcase_add_test (tc, a_thousand_steps_do_not_deepen_the_stack);
    tcase_add_test (tc, output_is_the_document_as_it_stands);
    tcase_add_test (tc, output_is_locked_by_one_at_a_time);
    tcase_add_test (tc, output_is_replaced_as_a_whole_and_leaves_nothing_beside_it);
    tcase_add_test (tc, finished_steps_are_not_run_again);
    tcase_add_test (tc, stop_cancels_what_runs);
    tcase_add_test (tc, tick_comes_while_a_step_runs);
    tcase_add_test (tc, overrides_go_between_the_layers);
    if (call_has_children ()) {
        tcase_add_test (tc, paid_step_starts_only_once_its_start_is_in_the_file);
        tcase_add_test (tc, output_that_cannot_be_written_ends_the_run);
        tcase_add_test (tc, step_that_was_cut_off_goes_on_only_if_it_may);
        tcase_add_test (tc, progress_is_told_without_an_index);
        tcase_add_test (tc, second_stop_does_not_wait_for_the_grace);
    }
    return suite_run (suite);
}
