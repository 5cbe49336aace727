/*
 * What exec starts a command with: the payload, its arguments, its environment, its descriptors and signals; and what
 * cannot be started.
 */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/exec_fixture.h"
#include "tests/support/suite.h"

/* --- payload ---------------------------------------------------------------------------------------- */

START_TEST (payload_is_on_standard_input)
{
    call_bench_payload (&bench, "{\"text\":\"a \\\"b\\\"\",\"n\":[1,2.5,null],\"$$ref\":{\"x\":true}}");
    run ("cat");
    ck_assert_str_eq (call_bench_output (&bench),
                      "{\"text\":\"a \\\"b\\\"\",\"n\":[1,2.5,null],\"$$ref\":{\"x\":true}}");
    ck_assert_str_eq (adapter->name, "exec");
    ck_assert_int_eq (adapter->class, REEL_ADAPTER_NEITHER);
}
END_TEST

START_TEST (absent_payload_is_an_empty_object)
{
    bench.call.payload = REEL_SLICE_NONE;
    run ("read -r line && printf '{{\"line\":\"%s\"}}' \"$line\"");
    ck_assert_str_eq (call_bench_output (&bench), "{\"line\":\"{}\"}");
}
END_TEST

/* A payload of that many bytes in one text. */
static void
large_payload (size_t bytes)
{
    char *json = malloc (bytes + 64);
    ck_assert_ptr_nonnull (json);
    int at = snprintf (json, 64, "{\"text\":\"");
    memset (json + at, 'x', bytes);
    snprintf (json + (size_t) at + bytes, 16, "\"}");
    call_bench_payload (&bench, json);
    free (json);
}

START_TEST (large_payload_arrives_whole)
{
    large_payload (1 << 20);
    run ("printf '{{\"bytes\":%d}}' $(wc -c)");
    ck_assert_str_eq (call_bench_output (&bench), "{\"bytes\":1048588}");
}
END_TEST

START_TEST (large_payload_need_not_be_read)
{
    large_payload (1 << 20);
    run ("exec 0<&-; echo '{{\"ok\":true}}'");
    ck_assert_str_eq (call_bench_output (&bench), "{\"ok\":true}");
    run ("head -c 10 >/dev/null; echo '{{\"ok\":true}}'");
    ck_assert_str_eq (call_bench_output (&bench), "{\"ok\":true}");
}
END_TEST

/* --- arguments -------------------------------------------------------------------------------------- */

START_TEST (arguments_are_filled_in_and_go_through_no_shell)
{
    call_bench_payload (&bench, "{\"a\":{\"b/c\":\"it's $(id); `id` {x}\"},\"n\":-7,\"f\":2.5,\"t\":true,\"z\":null,"
                                "\"l\":[1,\"x\"]}");
    bench.call.attempt = 3;
    bench.call.delivery = 2;
    arguments[3] = "{workflow_id}/{step_id}";
    arguments[4] = "{modality}";
    arguments[5] = "{attempt}-{delivery}";
    arguments[6] = "{idempotency_key}";
    arguments[7] = "<{payload/a/b~1c}>";
    arguments[8] = "{payload/n} {payload/f} {payload/t} [{payload/z}]";
    arguments[9] = "{payload/l}";
    arguments[10] = "{{step_id}}";
    run ("for a in \"$@\"; do printf '%s\\n' \"$a\"; done >args; echo {{}}");
    ck_assert_str_eq (call_bench_output (&bench), "{}");
    setup.keep = REEL_EXEC_KEEP_ALWAYS;
    run ("for a in \"$@\"; do printf '%s\\n' \"$a\"; done >args");
    char *text = call_read_file (work, "wf/step.2.3/args");
    ck_assert_str_eq (text,
                      "wf/step\nimage\n3-2\nwf/step\n<it's $(id); `id` {x}>\n-7 2.5 true []\n[1,\"x\"]\n{step_id}\n");
    free (text);
}
END_TEST

static const struct {
    const char *payload, *argument;
} unfit[] = {
    {"{}", "{payload/a}"},
    {"{\"a\":\"x\\u0000y\"}", "{payload/a}"},
    {"{\"a\":{\"$bin\":\"AAEC\"}}", "{payload/a}"},
    {"{\"a\":[1]}", "{payload/a/1}"},
};

START_TEST (argument_that_cannot_be_filled_in_is_a_bad_payload)
{
    call_bench_payload (&bench, unfit[_i].payload);
    arguments[3] = unfit[_i].argument;
    run ("echo {{}}");
    expect_failure ("bad_payload", false, false);
    ck_assert (bench.inside);
}
END_TEST

START_TEST (argument_that_is_too_long_is_a_bad_payload)
{
    large_payload (256 << 10);
    arguments[3] = "{payload/text}";
    run ("echo {{}}");
    expect_failure ("bad_payload", false, false);
}
END_TEST

static const char *const bad_templates[] = {"{", "x}", "{}", "{step}", "{payload}", "{payload/", "a{{b}c"};

START_TEST (template_that_does_not_hold_is_refused_at_once)
{
    arguments[0] = bad_templates[_i];
    ck_assert_int_eq (reel_adapter_exec_create (&setup, &adapter, &err), REEL_INVALID);
    ck_assert_str_ne (err.message, "");
    ck_assert_ptr_null (adapter);
}
END_TEST

/* --- what it inherits ------------------------------------------------------------------------------- */

static int
compare_lines (const void *a, const void *b)
{
    return strcmp (*(char *const *) a, *(char *const *) b);
}

/* The lines of a text in alphabetic order, one after the other. */
static void
sort_lines (char *text, char *out, size_t out_bytes)
{
    char *lines[64];
    size_t count = 0, at = 0;
    for (char *rest = text, *line; count < 64 && (line = strsep (&rest, "\n")) != NULL;)
        if (*line != '\0')
            lines[count++] = line;
    qsort (lines, count, sizeof lines[0], compare_lines);
    for (size_t i = 0; i < count; i++)
        at += (size_t) snprintf (out + at, out_bytes - at, "%s\n", lines[i]);
}

START_TEST (environment_is_empty_but_for_what_is_allowed)
{
    char sorted[4096];
    setenv ("REEL_TEST_SECRET", "secret", 1);
    setenv ("REEL_TEST_ALLOWED", "allowed", 1);
    setenv ("REEL_ATTEMPT", "99", 1);
    unsetenv ("REEL_TEST_ABSENT");
    setup.environment = (const char *const[]){"REEL_TEST_ALLOWED", "REEL_TEST_ABSENT", NULL};
    setup.variables = (const char *const[]){"THREADS=2", "EMPTY=", NULL};
    setup.keep = REEL_EXEC_KEEP_ALWAYS;
    /* The command reads its own environment: a shell would add to it. */
    setup.command = "/bin/cp";
    arguments[0] = "/proc/self/environ";
    arguments[1] = "environment";
    create ();
    call_bench_run (&bench, adapter);
    ck_assert_str_eq (call_bench_output (&bench), "{}");
    char path[4096], *text = NULL;
    snprintf (path, sizeof path, "%s/wf/step.1.1/environment", work);
    FILE *file = fopen (path, "re");
    ck_assert_ptr_nonnull (file);
    text = calloc (1, 4096);
    size_t got = fread (text, 1, 4095, file);
    fclose (file);
    for (size_t i = 0; i < got; i++)
        if (text[i] == '\0')
            text[i] = '\n';
    sort_lines (text, sorted, sizeof sorted);
    ck_assert_str_eq (sorted, "EMPTY=\nREEL_ATTEMPT=1\nREEL_DELIVERY=1\nREEL_IDEMPOTENCY_KEY=wf/step\n"
                              "REEL_MODALITY=image\nREEL_STEP_ID=step\nREEL_TEST_ALLOWED=allowed\n"
                              "REEL_WORKFLOW_ID=wf\nTHREADS=2\n");
    free (text);
}
END_TEST

START_TEST (descriptors_are_three)
{
    /* One that is not close-on-exec, as a library might leave it. */
    int stray = fcntl (STDERR_FILENO, F_DUPFD, 20);
    ck_assert_int_ge (stray, 20);
    run ("exec >&2; ls /proc/self/fd; exit 1"); /* which has the directory open as well */
    expect_failure ("exit_status", false, false);
    ck_assert_msg (strstr ((const char *) bench.detail.data, "\"stderr\":\"0\\n1\\n2\\n3\"") != NULL, "%s",
                   (const char *) bench.detail.data);
    close (stray);
}
END_TEST

START_TEST (signals_are_as_they_are_by_default)
{
    sigset_t all;
    sigfillset (&all);
    sigprocmask (SIG_BLOCK, &all, NULL);
    signal (SIGPIPE, SIG_IGN);
    run ("grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -d '\\n' >&2; exit 1");
    unsigned long long blocked = 1, ignored = 1;
    ck_assert_int_eq (sscanf (bench.message, "exit status 1: SigBlk: %16llxSigIgn: %16llx", &blocked, &ignored), 2);
    ck_assert_uint_eq (blocked, 0);
    ck_assert_uint_eq (ignored & 0x7fffffff, 0); /* glibc ignores two of its own beyond these */
}
END_TEST

/* --- what cannot be started -------------------------------------------------------------------------- */

START_TEST (command_that_is_not_there_is_not_started)
{
    setup.command = "/nonexistent/command";
    create ();
    call_bench_run (&bench, adapter);
    expect_failure ("spawn_failed", false, false);
    ck_assert (bench.inside);
    ck_assert_str_eq (bench.message, "/nonexistent/command: No such file or directory");
}
END_TEST

START_TEST (out_of_descriptors_is_a_failure_like_another)
{
    int held[1024], count = 0;
    arguments[0] = "-c";
    arguments[1] = "true";
    create ();
    while (count < 1024 && (held[count] = open ("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    /* From none to as many as it takes. */
    while (count > 0) {
        call_bench_run (&bench, adapter);
        if (bench.succeeded)
            break;
        ck_assert (bench.retryable);
        close (held[--count]);
    }
    ck_assert (bench.succeeded);
    while (count > 0)
        close (held[--count]);
}
END_TEST

int
main (void)
{
    if (!call_has_children ())
        return EXIT_SUCCESS;
    Suite *suite = suite_create ("adapter_exec, start");
    TCase *tests = suite_case (suite, "start", set_up, tear_down);
    tcase_add_test (tests, payload_is_on_standard_input);
    tcase_add_test (tests, absent_payload_is_an_empty_object);
    tcase_add_test (tests, large_payload_arrives_whole);
    tcase_add_test (tests, large_payload_need_not_be_read);
    tcase_add_test (tests, arguments_are_filled_in_and_go_through_no_shell);
    tcase_add_loop_test (tests, argument_that_cannot_be_filled_in_is_a_bad_payload, 0, COUNT (unfit));
    tcase_add_test (tests, argument_that_is_too_long_is_a_bad_payload);
    tcase_add_loop_test (tests, template_that_does_not_hold_is_refused_at_once, 0, COUNT (bad_templates));
    tcase_add_test (tests, environment_is_empty_but_for_what_is_allowed);
    tcase_add_test (tests, descriptors_are_three);
    tcase_add_test (tests, signals_are_as_they_are_by_default);
    tcase_add_test (tests, command_that_is_not_there_is_not_started);
    tcase_add_test (tests, out_of_descriptors_is_a_failure_like_another);
    return suite_run (suite);
}
