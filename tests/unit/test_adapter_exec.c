/*
 * exec with real children: what they are given, what is taken from them, and that nothing of them is left.
 */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/call.h"
#include "tests/support/scratch.h"
#include "tests/support/suite.h"
#include "worker/adapter_exec.h"

static struct call_bench bench;
static struct reel_adapter *adapter;
static struct reel_exec_setup setup;
static struct reel_error err;
static const char *arguments[16];
static char work[SCRATCH_BYTES];
static const char *const path_only[] = {"PATH", NULL};

static void
set_up (void)
{
    call_bench_init (&bench);
    adapter = NULL;
    scratch_make (work, false);
    setup = (struct reel_exec_setup){
        .command = "/bin/sh",
        .arguments = arguments,
        .environment = path_only,
        .work = work,
        .grace_ms = 5000,
        .output_bytes_max = REEL_EXEC_OUTPUT_BYTES_DEFAULT,
    };
    memset (arguments, 0, sizeof arguments);
}

static void
tear_down (void)
{
    if (adapter != NULL)
        adapter->destroy (adapter);
    call_bench_free (&bench);
    /* Not even a zombie is left. */
    ck_assert_int_eq (waitpid (-1, NULL, WNOHANG), -1);
    scratch_remove (work);
}

static void
create (void)
{
    if (adapter != NULL)
        adapter->destroy (adapter);
    adapter = NULL;
    ck_assert_msg (reel_adapter_exec_create (&setup, &adapter, &err) == REEL_OK, "%s", err.message);
}

/* Runs a script of the shell, with more arguments ($1 ...) when they were set from arguments[3] on. */
static void
run (const char *script)
{
    arguments[0] = "-c";
    arguments[1] = script;
    arguments[2] = "script";
    create ();
    call_bench_run (&bench, adapter);
}

static void
expect_failure (const char *code, bool retryable, bool open)
{
    ck_assert_msg (!bench.succeeded, "%s", (const char *) bench.output.data);
    ck_assert_msg (strcmp (bench.code, code) == 0, "%s, not %s: %s", bench.code, code, bench.message);
    ck_assert_int_eq (bench.retryable, retryable);
    ck_assert_int_eq (bench.open, open);
}

/* --- what goes in ------------------------------------------------------------------------- */

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

/* --- what comes out ----------------------------------------------------------------------- */

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

/* --- how it ends ---------------------------------------------------------------------------- */

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

START_TEST (timeout_of_the_step_ends_it)
{
    bench.call.timeout_ms = 50;
    setup.grace_ms = 60000;
    int64_t before_ms = call_now_ms ();
    run ("exec sleep 60");
    ck_assert_int_ge (call_now_ms () - before_ms, 49);
    ck_assert_int_lt (call_now_ms () - before_ms, 30000);
    expect_failure ("timeout", true, true);
    ck_assert_str_eq ((const char *) bench.detail.data, "{\"timeout_ms\":50,\"stderr\":\"\"}");
}
END_TEST

START_TEST (command_that_ignores_term_is_killed_after_the_grace)
{
    bench.cancel_at = 1;
    setup.grace_ms = 100;
    int64_t before_ms = call_now_ms ();
    run ("trap '' TERM; echo '{{\"progress\":0}}'; while :; do sleep 0.02; done");
    ck_assert_int_ge (call_now_ms () - before_ms, 99);
    expect_failure ("cancelled", false, true);
}
END_TEST

START_TEST (command_that_cleans_up_at_term_has_its_grace)
{
    setup.keep = REEL_EXEC_KEEP_ALWAYS;
    bench.cancel_at = 1;
    run ("trap 'echo clean >done; exit 0' TERM; echo '{{\"progress\":0}}'; while :; do sleep 0.02; done");
    expect_failure ("cancelled", false, true);
    char *text = call_read_file (work, "wf/step.1.1/done");
    ck_assert_str_eq (text, "clean\n");
    free (text);
}
END_TEST

/* What a command does when it is told to end, and what becomes of it; output NULL: it was ended. */
static const struct {
    const char *at_term, *output;
} endings[] = {
    {"echo \"$paid\"; exit 0", "{\"paid\":1}"},
    {"echo \"$paid\"; sh -c \"sleep 1000; :\" & exit 0", "{\"paid\":1}"},
    {"echo \"$paid\"; exit 1", NULL},
    {"echo \"$paid\"; kill -KILL $$", NULL},
    {"echo \"$paid\"; while :; do sleep 1; done", NULL},
    {"printf \"{{\"; exit 0", NULL},
    {"exit 0", NULL},
};

/* Ends the command by a cancel, or by a timeout when one is set. */
static void
end_at (const char *at_term)
{
    char script[512];
    bench.cancel_at = bench.call.timeout_ms > 0 ? 0 : 1;
    setup.grace_ms = 200;
    snprintf (script, sizeof script,
              "paid='{{\"paid\":1}}'; trap '%s' TERM; echo '{{\"progress\":0}}'; while :; do sleep 0.02; done",
              at_term);
    run (script);
}

START_TEST (output_that_comes_late_is_taken)
{
    end_at (endings[_i].at_term);
    if (endings[_i].output != NULL)
        ck_assert_str_eq (call_bench_output (&bench), endings[_i].output);
    else
        expect_failure ("cancelled", false, true);
}
END_TEST

START_TEST (output_that_comes_after_the_timeout_is_taken)
{
    bench.call.timeout_ms = 1500; /* by then it has its trap */
    end_at (endings[0].at_term);
    ck_assert_str_eq (call_bench_output (&bench), endings[0].output);
}
END_TEST

START_TEST (too_much_output_is_no_success_by_its_end)
{
    setup.output_bytes_max = 10;
    run ("trap 'exit 0' TERM; echo '{{\"a\":\"xxxxxxxxxxxxxxxx\"}}'; while :; do sleep 0.02; done");
    expect_failure ("limit_exceeded", false, false);
}
END_TEST

START_TEST (command_that_had_exited_is_not_ended_by_a_cancel)
{
    /* Its own child holds its output open, and is what the cancel ends. */
    bench.cancel_at = 1;
    setup.grace_ms = 60000;
    run ("sh -c 'while kill -0 \"$1\" && ! grep -q \"^State:.Z\" /proc/$1/status; do sleep 0.01; done; sleep 0.1; "
         "echo \"{{\\\"progress\\\":1}}\"; exec sleep 1000' sh $$ & exit 0");
    ck_assert_str_eq (call_bench_output (&bench), "{}");
}
END_TEST

START_TEST (hook_that_is_late_failed)
{
    bench.call.hook = REEL_HOOK_POST_STEP;
    bench.call.timeout_ms = 300;
    end_at (endings[0].at_term);
    expect_failure ("timeout", true, true);
}
END_TEST

START_TEST (cancelling_twice_does_not_wait_for_the_grace)
{
    bench.cancel_at = 1;
    bench.cancel_times = 2;
    setup.grace_ms = 60000;
    run ("trap '' TERM; echo '{{\"progress\":0}}'; while :; do sleep 0.02; done");
    expect_failure ("cancelled", false, true);
}
END_TEST

/* The numbers that the command left in its file `pids`; none of them lives. */
static void
expect_gone (unsigned count)
{
    char *text = call_read_file (work, "wf/step.1.1/pids");
    ck_assert_ptr_nonnull (text);
    unsigned seen = 0;
    for (char *at = text, *end; *at != '\0'; at = end + 1, seen++) {
        long pid = strtol (at, &end, 10);
        ck_assert_int_gt (pid, 1);
        ck_assert_msg (!call_process_lives (pid), "process %ld of %s", pid, text);
    }
    ck_assert_uint_eq (seen, count);
    free (text);
}

START_TEST (cancel_ends_the_whole_group)
{
    setup.keep = REEL_EXEC_KEEP_ALWAYS;
    bench.cancel_at = 1;
    run ("echo $$ >pids; for i in 1 2 3; do sh -c 'echo $$ >>pids; sleep 1000; :' & done; "
         "while [ $(wc -l <pids) -lt 4 ]; do sleep 0.01; done; echo '{{\"progress\":0}}'; wait");
    expect_failure ("cancelled", false, true);
    expect_gone (4);
}
END_TEST

START_TEST (grandchildren_that_ignore_term_are_killed)
{
    setup.keep = REEL_EXEC_KEEP_ALWAYS;
    setup.grace_ms = 100;
    bench.cancel_at = 1;
    run ("sh -c 'trap \"\" TERM; echo $$ >pids; while :; do sleep 0.02; done' & "
         "while [ ! -s pids ]; do sleep 0.01; done; echo '{{\"progress\":0}}'; wait");
    expect_failure ("cancelled", false, true);
    expect_gone (1);
}
END_TEST

START_TEST (background_of_a_command_that_succeeded_is_killed)
{
    setup.keep = REEL_EXEC_KEEP_ALWAYS;
    setup.grace_ms = 60000;
    int64_t before_ms = call_now_ms ();
    run ("sh -c 'echo $$ >pids; sleep 1000; :' >/dev/null 2>&1 & while [ ! -s pids ]; do sleep 0.01; done; echo "
         "'{{\"a\":1}}'");
    ck_assert_str_eq (call_bench_output (&bench), "{\"a\":1}");
    ck_assert_int_lt (call_now_ms () - before_ms, 30000); /* nothing was held open: no grace */
    expect_gone (1);
}
END_TEST

START_TEST (output_held_open_is_waited_for_until_the_grace)
{
    setup.keep = REEL_EXEC_KEEP_ALWAYS;
    setup.grace_ms = 150;
    int64_t before_ms = call_now_ms ();
    run ("sh -c 'echo $$ >pids; sleep 1000; :' & while [ ! -s pids ]; do sleep 0.01; done; echo '{{\"a\":1}}'");
    ck_assert_int_ge (call_now_ms () - before_ms, 149);
    ck_assert_str_eq (call_bench_output (&bench), "{\"a\":1}");
    expect_gone (1);
}
END_TEST

START_TEST (double_forks_are_found_and_killed)
{
    /* In a session of its own, and with a child that it leaves behind when it is killed. */
    setup.keep = REEL_EXEC_KEEP_ALWAYS;
    run ("setsid sh -c 'echo $$ >>pids; setsid sh -c \"echo \\$\\$ >>pids; exec sleep 1000\" & sleep 1000; :' "
         ">/dev/null 2>&1 </dev/null & "
         "i=0; while [ ! -f pids ] || [ $(wc -l <pids) -lt 2 ]; do sleep 0.01; done; echo '{{\"a\":1}}'");
    ck_assert_str_eq (call_bench_output (&bench), "{\"a\":1}");
    expect_gone (2);
}
END_TEST

START_TEST (strays_of_other_steps_are_left_alone)
{
    /* An orphan that carries another step's key comes down to us as well. */
    setup.keep = REEL_EXEC_KEEP_ALWAYS;
    run ("REEL_IDEMPOTENCY_KEY=wf/other setsid sh -c 'echo $$ >pids; sleep 1000; :' >/dev/null 2>&1 </dev/null & "
         "while [ ! -s pids ]; do sleep 0.01; done");
    char *text = call_read_file (work, "wf/step.1.1/pids");
    long pid = strtol (text, NULL, 10);
    free (text);
    ck_assert (call_process_lives (pid));
    bench.call.idempotency_key = reel_slice_text ("wf/other");
    run ("true");
    ck_assert (!call_process_lives (pid));
}
END_TEST

static pthread_barrier_t turns;

/* As system(3) does in a C function: begins a child, and waits for it; a step ends between the child's end and that. */
static void *
wait_for_child (void *status)
{
    siginfo_t about;
    pid_t pid = fork ();
    if (pid == 0)
        _exit (7);
    (void) waitid (P_PID, (id_t) pid, &about, WEXITED | WNOWAIT);
    (void) pthread_barrier_wait (&turns);
    (void) pthread_barrier_wait (&turns);
    if (waitpid (pid, status, 0) != pid)
        *(int *) status = -1;
    return NULL;
}

START_TEST (children_of_other_threads_are_left_to_them)
{
    pthread_t thread;
    int status = 0;
    ck_assert_int_eq (pthread_barrier_init (&turns, NULL, 2), 0);
    ck_assert_int_eq (pthread_create (&thread, NULL, wait_for_child, &status), 0);
    (void) pthread_barrier_wait (&turns);
    run ("echo '{{\"a\":1}}'");
    ck_assert_str_eq (call_bench_output (&bench), "{\"a\":1}");
    (void) pthread_barrier_wait (&turns);
    ck_assert_int_eq (pthread_join (thread, NULL), 0);
    ck_assert (WIFEXITED (status) && WEXITSTATUS (status) == 7);
    ck_assert_int_eq (pthread_barrier_destroy (&turns), 0);
}
END_TEST

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

START_TEST (work_that_has_no_place_is_not_started)
{
    setup.work = "/dev/null/work";
    run ("true");
    expect_failure ("spawn_failed", true, false);
    ck_assert_ptr_nonnull (strstr (bench.message, "/dev/null/work"));
}
END_TEST

/* --- where it works ------------------------------------------------------------------------- */

static bool
exists (const char *name)
{
    char path[4096];
    struct stat about;
    snprintf (path, sizeof path, "%s/%s", work, name);
    return lstat (path, &about) == 0;
}

static const struct {
    enum reel_exec_keep keep;
    bool after_success, after_failure;
} keeping[] = {
    {REEL_EXEC_KEEP_NEVER, false, false}, {REEL_EXEC_KEEP_FAILED, false, true}, {REEL_EXEC_KEEP_ALWAYS, true, true}};

START_TEST (directory_stays_as_configured)
{
    setup.keep = keeping[_i].keep;
    bench.call.step_id = reel_slice_text ("good");
    run ("mkdir -p a/b; echo x >a/b/c; ln -s / root; chmod 500 a");
    ck_assert (bench.succeeded);
    ck_assert_int_eq (exists ("wf/good.1.1/a/b/c"), keeping[_i].after_success);
    bench.call.step_id = reel_slice_text ("bad");
    run ("echo x >c; exit 1");
    ck_assert_int_eq (exists ("wf/bad.1.1/c"), keeping[_i].after_failure);
    ck_assert_int_eq (exists ("wf"), keeping[_i].after_failure);
    ck_assert (exists ("."));
}
END_TEST

START_TEST (directory_is_empty_each_time)
{
    setup.keep = REEL_EXEC_KEEP_ALWAYS;
    run ("ls -A >../listing; pwd -P; mkdir d; ln -s ../listing link; echo x >d/left");
    run ("ls -A >../listing; echo '{{\"where\":\"'$(pwd -P)'\"}}'");
    char *listing = call_read_file (work, "wf/listing");
    ck_assert_str_eq (listing, "");
    free (listing);
    ck_assert_ptr_nonnull (strstr (call_bench_output (&bench), "/wf/step.1.1\""));
    bench.call.attempt = 2;
    run ("true");
    ck_assert (exists ("wf/step.1.1") && exists ("wf/step.1.2"));
}
END_TEST

START_TEST (directory_is_no_way_out)
{
    /* Somebody has put a link there: what it leads to is not touched. */
    char from[4200], to[4200];
    setup.keep = REEL_EXEC_KEEP_ALWAYS;
    snprintf (from, sizeof from, "%s/wf", work);
    ck_assert_int_eq (mkdir (from, 0755), 0);
    snprintf (from, sizeof from, "%s/wf/step.1.1", work);
    snprintf (to, sizeof to, "%s/elsewhere", work);
    ck_assert_int_eq (mkdir (to, 0755), 0);
    call_write_file (to, "precious", "x");
    ck_assert_int_eq (symlink (to, from), 0);
    run ("touch mine");
    ck_assert (bench.succeeded);
    ck_assert (exists ("elsewhere/precious") && !exists ("elsewhere/mine") && exists ("wf/step.1.1/mine"));
    /* A file in its place makes way. */
    snprintf (from, sizeof from, "%s/wf", work);
    call_write_file (from, "step.1.2", "x");
    bench.call.attempt = 2;
    run ("touch mine");
    ck_assert (exists ("wf/step.1.2/mine"));
}
END_TEST

START_TEST (directory_without_a_root_is_a_temporary_one)
{
    const char *base = getenv ("TMPDIR");
    char *before = base == NULL ? NULL : strdup (base);
    setup.work = NULL;
    setenv ("TMPDIR", work, 1);
    run ("echo '{{\"where\":\"'$(pwd -P)'\"}}'");
    ck_assert_ptr_nonnull (strstr (call_bench_output (&bench), "/reel-work-"));
    adapter->destroy (adapter);
    adapter = NULL;
    DIR *dir = opendir (work);
    unsigned left = 0;
    while (readdir (dir) != NULL)
        left++;
    closedir (dir);
    ck_assert_uint_eq (left, 2); /* . and .. */
    if (before == NULL)
        unsetenv ("TMPDIR");
    else
        setenv ("TMPDIR", before, 1);
    free (before);
}
END_TEST

/* --- nothing is left ------------------------------------------------------------------------ */

static unsigned
open_descriptors (void)
{
    unsigned count = 0;
    DIR *dir = opendir ("/proc/self/fd");
    while (readdir (dir) != NULL)
        count++;
    closedir (dir);
    return count;
}

START_TEST (descriptors_do_not_leak)
{
    run ("true");
    unsigned before = open_descriptors ();
    for (int i = 0; i < 20; i++) {
        run (i % 2 == 0 ? "true" : "exit 1");
        setup.command = i % 5 == 0 ? "/nonexistent" : "/bin/sh";
    }
    ck_assert_uint_eq (open_descriptors (), before);
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

#define COUNT(list) (sizeof (list) / sizeof (list)[0])

int
main (void)
{
    if (!call_has_children ())
        return EXIT_SUCCESS;
    Suite *suite = suite_create ("adapter_exec");
    TCase *tc = suite_case (suite, "adapter_exec", set_up, tear_down);
    tcase_add_test (tc, payload_is_on_standard_input);
    tcase_add_test (tc, absent_payload_is_an_empty_object);
    tcase_add_test (tc, large_payload_arrives_whole);
    tcase_add_test (tc, large_payload_need_not_be_read);
    tcase_add_test (tc, arguments_are_filled_in_and_go_through_no_shell);
    tcase_add_loop_test (tc, argument_that_cannot_be_filled_in_is_a_bad_payload, 0, COUNT (unfit));
    tcase_add_test (tc, argument_that_is_too_long_is_a_bad_payload);
    tcase_add_loop_test (tc, template_that_does_not_hold_is_refused_at_once, 0, COUNT (bad_templates));
    tcase_add_test (tc, environment_is_empty_but_for_what_is_allowed);
    tcase_add_test (tc, descriptors_are_three);
    tcase_add_test (tc, signals_are_as_they_are_by_default);
    tcase_add_loop_test (tc, output_is_read, 0, COUNT (outputs));
    tcase_add_loop_test (tc, output_that_is_no_object_is_refused, 0, COUNT (bad_outputs));
    tcase_add_test (tc, output_may_be_as_long_as_the_limit);
    tcase_add_test (tc, output_without_end_is_ended);
    tcase_add_test (tc, progress_is_told_and_is_no_output);
    tcase_add_test (tc, progress_does_not_count_as_output);
    tcase_add_loop_test (tc, exit_status_fails_the_step, 0, COUNT (exits));
    tcase_add_loop_test (tc, signal_leaves_it_open_what_happened, 0, COUNT (signals));
    tcase_add_test (tc, standard_error_is_kept_at_its_end);
    tcase_add_test (tc, standard_error_becomes_text);
    tcase_add_test (tc, timeout_of_the_step_ends_it);
    tcase_add_test (tc, command_that_ignores_term_is_killed_after_the_grace);
    tcase_add_test (tc, command_that_cleans_up_at_term_has_its_grace);
    tcase_add_loop_test (tc, output_that_comes_late_is_taken, 0, sizeof endings / sizeof endings[0]);
    tcase_add_test (tc, output_that_comes_after_the_timeout_is_taken);
    tcase_add_test (tc, too_much_output_is_no_success_by_its_end);
    tcase_add_test (tc, command_that_had_exited_is_not_ended_by_a_cancel);
    tcase_add_test (tc, hook_that_is_late_failed);
    tcase_add_test (tc, cancelling_twice_does_not_wait_for_the_grace);
    tcase_add_test (tc, cancel_ends_the_whole_group);
    tcase_add_test (tc, grandchildren_that_ignore_term_are_killed);
    tcase_add_test (tc, background_of_a_command_that_succeeded_is_killed);
    tcase_add_test (tc, output_held_open_is_waited_for_until_the_grace);
    tcase_add_test (tc, double_forks_are_found_and_killed);
    tcase_add_test (tc, strays_of_other_steps_are_left_alone);
    tcase_add_test (tc, children_of_other_threads_are_left_to_them);
    tcase_add_test (tc, command_that_is_not_there_is_not_started);
    tcase_add_test (tc, work_that_has_no_place_is_not_started);
    tcase_add_loop_test (tc, directory_stays_as_configured, 0, COUNT (keeping));
    tcase_add_test (tc, directory_is_empty_each_time);
    tcase_add_test (tc, directory_is_no_way_out);
    tcase_add_test (tc, directory_without_a_root_is_a_temporary_one);
    tcase_add_test (tc, descriptors_do_not_leak);
    tcase_add_test (tc, out_of_descriptors_is_a_failure_like_another);
    return suite_run (suite);
}
