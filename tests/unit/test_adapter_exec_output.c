/*
 * What exec takes from a command that ran: output, progress, exit status, signal, standard error.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/exec_fixture.h"
#include "tests/support/suite.h"

/* --- standard output ---------------------------------------------------------------------------------- */

static const struct {
    const char *script, *output, *extra;
} outputs[] = {
    {"true", "{}", ""},
    {"echo; echo ' '", "{}", ""},
    {"printf '{{\"a\":1}}'", "{\"a\":1}", ""},
    {"printf '{{\\n  \"a\": [\\n    1\\n  ]\\n}}\\n\\n'", "{\"a\":[1]}", ""},
    {"echo chatter; echo '{{\"no\":1}}'; echo '{{\"a\":2}}'", "{\"a\":2}", ""},
    {"echo '{{\"progress\":0.5}}'; echo '{{\"a\":3}}'", "{\"a\":3}", ""},
    {"echo '{{\"a\":4}}'; printf '{{\"progress\":1}}'", "{\"a\":4}", ""},
    {"echo '{{\"progress\":0.5,\"a\":5}}'", "{\"progress\":0.5,\"a\":5}", ""},
    {"echo '{{\"progress\":\"half\"}}'", "{\"progress\":\"half\"}", ""},
    {"echo '{{\"a\":1,\"artifacts\":[{{\"uri\":\"x\"}}],\"b\":2}}'", "{\"a\":1,\"b\":2}",
     "{\"artifacts\":[{\"uri\":\"x\"}]}"},
    {"echo '{{\"artifacts\":[]}}'", "{}", "{\"artifacts\":[]}"},
    {"echo '{{\"artifacts\":\"none\"}}'", "{\"artifacts\":\"none\"}", ""},
    {"echo '{{\"a\":{{\"artifacts\":[1]}}}}'", "{\"a\":{\"artifacts\":[1]}}", ""},
    {"(sleep 0.1; echo '{{\"late\":1}}') &", "{\"late\":1}", ""},
};

START_TEST (output_is_read)
{
    run (outputs[_i].script);
    ck_assert_str_eq (call_bench_output (&bench), outputs[_i].output);
    ck_assert_str_eq ((const char *) bench.extra.data, outputs[_i].extra);
}
END_TEST

static const char *const bad_outputs[] = {
    "echo hello",         "echo '[1]'",
    "echo '\"x\"'",       "printf '{{\"a\":1}} x'",
    "printf '{{\"a\":1'", "printf '{{\"a\":1,\"a\":2}}'",
    "printf '\\377'",
};

START_TEST (output_that_is_no_object_is_refused)
{
    run (bad_outputs[_i]);
    expect_failure ("bad_output", false, false);
}
END_TEST

START_TEST (output_may_be_as_long_as_the_limit)
{
    setup.output_bytes_max = 100000;
    run ("printf '{{\"a\":\"'; head -c 99992 /dev/zero | tr '\\0' x; printf '\"}}'");
    ck_assert_uint_eq (strlen (call_bench_output (&bench)), 100000);
    run ("printf '{{\"a\":\"'; head -c 99993 /dev/zero | tr '\\0' x; printf '\"}}'");
    expect_failure ("limit_exceeded", false, false);
}
END_TEST

START_TEST (output_without_end_is_ended)
{
    run ("yes");
    expect_failure ("limit_exceeded", false, false);
}
END_TEST

/* --- progress --------------------------------------------------------------------------------------- */

START_TEST (progress_is_told_and_is_no_output)
{
    run ("printf '{{\"progress\":0.2'; sleep 0.05; printf '5,\"message\":\"quarter\"}}\\n'; echo '{{\"a\":1}}'");
    ck_assert_str_eq (call_bench_output (&bench), "{\"a\":1}");
    ck_assert_uint_eq (bench.progress_count, 1);
    ck_assert_double_eq (bench.fraction, 0.25);
    ck_assert_str_eq ((const char *) bench.said.data, "quarter");
    run ("for i in 1 2 3; do echo '{{\"progress\":null,\"message\":\"\\u00e9t\\u00e9\"}}'; done");
    ck_assert_uint_eq (bench.progress_count, 3);
    ck_assert_double_lt (bench.fraction, 0);
    ck_assert_str_eq ((const char *) bench.said.data, "\xc3\xa9t\xc3\xa9");
    run ("echo '  {{ \"progress\" : 7 }}  '");
    ck_assert_double_eq (bench.fraction, 1);
    run ("echo '{{\"progress\":-3}}'");
    ck_assert_double_lt (bench.fraction, 0);
}
END_TEST

START_TEST (progress_does_not_count_as_output)
{
    setup.output_bytes_max = 200;
    run ("for i in $(seq 1000); do echo '{{\"progress\":0.5}}'; done; echo '{{\"a\":1}}'");
    ck_assert_str_eq (call_bench_output (&bench), "{\"a\":1}");
    ck_assert_uint_eq (bench.progress_count, 1000);
}
END_TEST

/* --- exit status and standard error -------------------------------------------------------------------- */

static const struct {
    int status;
    bool retryable;
} exits[] = {{1, false}, {2, false}, {74, false}, {75, true}, {76, false}, {127, false}, {255, false}};

START_TEST (exit_status_fails_the_step)
{
    char script[128], detail[128], message[128];
    snprintf (script, sizeof script, "echo first >&2; echo '{{\"a\":1}}'; echo last >&2; exit %d", exits[_i].status);
    snprintf (detail, sizeof detail, "{\"exit_status\":%d,\"stderr\":\"first\\nlast\"}", exits[_i].status);
    snprintf (message, sizeof message, "exit status %d: last", exits[_i].status);
    run (script);
    expect_failure ("exit_status", exits[_i].retryable, false);
    ck_assert_str_eq ((const char *) bench.detail.data, detail);
    ck_assert_str_eq (bench.message, message);
}
END_TEST

static const int signals[] = {SIGKILL, SIGTERM, SIGSEGV, SIGPIPE, SIGINT};

START_TEST (signal_leaves_it_open_what_happened)
{
    char script[64], start[64];
    snprintf (script, sizeof script, "ulimit -c 0; kill -%d $$; sleep 60", signals[_i]);
    snprintf (start, sizeof start, "killed by signal %d ", signals[_i]);
    run (script);
    expect_failure ("signal", true, true);
    ck_assert_ptr_eq (strstr (bench.message, start), bench.message);
}
END_TEST

START_TEST (standard_error_is_kept_at_its_end)
{
    run ("i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done >&2; exit 1");
    const char *tail = strstr ((const char *) bench.detail.data, "\"stderr\":\"");
    ck_assert_ptr_nonnull (tail);
    ck_assert_uint_gt (strlen (tail), 3500);
    ck_assert_uint_lt (strlen (tail), 5500);
    ck_assert_ptr_nonnull (strstr (tail, "line 4999\""));
    ck_assert_str_eq (bench.message, "exit status 1: line 4999");
}
END_TEST

START_TEST (standard_error_becomes_text)
{
    run ("printf 'a\\377b\\303\\251' >&2; exit 1");
    ck_assert_str_eq (bench.message, "exit status 1: a?b??");
    /* The tail begins in the middle of a character. */
    run ("i=0; while [ $i -lt 3000 ]; do printf '\\303\\251'; i=$((i+1)); done >&2; printf x >&2; exit 1");
    const char *tail = strstr ((const char *) bench.detail.data, "\"stderr\":\"");
    ck_assert_ptr_nonnull (tail);
    ck_assert_int_eq (memcmp (tail + 10, "\xc3\xa9", 2), 0);
    ck_assert_ptr_null (strchr (tail, '?'));
}
END_TEST

int
main (void)
{
    if (!call_has_children ())
        return EXIT_SUCCESS;
    Suite *suite = suite_create ("adapter_exec, output");
    TCase *tests = suite_case (suite, "output", set_up, tear_down);
    tcase_add_loop_test (tests, output_is_read, 0, COUNT (outputs));
    tcase_add_loop_test (tests, output_that_is_no_object_is_refused, 0, COUNT (bad_outputs));
    tcase_add_test (tests, output_may_be_as_long_as_the_limit);
    tcase_add_test (tests, output_without_end_is_ended);
    tcase_add_test (tests, progress_is_told_and_is_no_output);
    tcase_add_test (tests, progress_does_not_count_as_output);
    tcase_add_loop_test (tests, exit_status_fails_the_step, 0, COUNT (exits));
    tcase_add_loop_test (tests, signal_leaves_it_open_what_happened, 0, COUNT (signals));
    tcase_add_test (tests, standard_error_is_kept_at_its_end);
    tcase_add_test (tests, standard_error_becomes_text);
    return suite_run (suite);
}
