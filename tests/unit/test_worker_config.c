/*
 * A worker's configuration: what it makes of a good file, and that each bad one is refused by file and key.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/call.h"
#include "tests/support/scratch.h"
#include "tests/support/suite.h"
#include "worker/config.h"

static struct reel_registry *registry;
static struct reel_error err;
static char directory[SCRATCH_BYTES];
static char path[4096];

static void
set_up (void)
{
    scratch_make (directory, false);
    snprintf (path, sizeof path, "%s/worker.zpl", directory);
    ck_assert_int_eq (reel_registry_create (&registry), REEL_OK);
    call_write_file (directory, "tool", "#!/bin/sh\necho \"{\\\"tool\\\": \\\"$1\\\"}\"\n");
    char tool[4200];
    snprintf (tool, sizeof tool, "%s/tool", directory);
    ck_assert_int_eq (chmod (tool, 0755), 0);
    call_write_file (directory, "text", "no program\n");
}

static void
tear_down (void)
{
    reel_registry_destroy (&registry);
    scratch_remove (directory);
}

static enum reel_status
load (const char *text)
{
    call_write_file (directory, "worker.zpl", text);
    return reel_config_load (path, registry, &err);
}

static const struct reel_registry_entry *
entry (const char *modality)
{
    const struct reel_registry_entry *found = reel_registry_find (registry, reel_slice_text (modality));
    ck_assert_msg (found != NULL, "%s", modality);
    return found;
}

/* The output of one call of that modality. */
static const char *
output (const char *modality, const char *payload)
{
    static char text[1024];
    struct call_bench bench;
    call_bench_init (&bench);
    call_bench_payload (&bench, payload);
    call_bench_run (&bench, entry (modality)->adapter);
    snprintf (text, sizeof text, "%s", call_bench_output (&bench));
    call_bench_free (&bench);
    return text;
}

START_TEST (nothing_configured_serves_the_builtin)
{
    ck_assert_int_eq (reel_config_load (NULL, registry, &err), REEL_OK);
    ck_assert_uint_eq (reel_registry_count (registry), 3);
    ck_assert_str_eq (entry ("sleep")->adapter->name, "sleep");
}
END_TEST

START_TEST (file_without_a_modality_serves_the_builtin)
{
    ck_assert_int_eq (load ("keep = always\nworker\n    slots = 3\n"), REEL_OK);
    ck_assert_uint_eq (reel_registry_count (registry), 3);
}
END_TEST

START_TEST (everything_is_read)
{
    static const char text[] = "modality\n"
                               "    image\n"
                               "        adapter = exec\n"
                               "        command = \"./tool\"\n"
                               "        argument = \"{payload/title}!\"\n"
                               "        environment = \"PATH LANG\"\n"
                               "        set = \"A=1\"\n"
                               "        set = \"B=x y\"\n"
                               "        class = idempotent\n"
                               "        grace_ms = 0\n"
                               "        output_bytes_max = 1000\n"
                               "        timeout_ms = 60000\n"
                               "        max_attempts = 3\n"
                               "        backoff_ms = 500\n"
                               "        backoff_max_ms = 30000\n"
                               "        in_doubt = retry\n"
                               "    paid.video\n"
                               "        adapter = exec\n"
                               "        command = \"./tool\"\n"
                               "    pause\n"
                               "        adapter = sleep\n"
                               "        timeout_ms = 5\n"
                               "work = \"made/here\"   # may stand after what it is for\n"
                               "keep = always\n";
    ck_assert_msg (load (text) == REEL_OK, "%s", err.message);
    ck_assert_uint_eq (reel_registry_count (registry), 3);
    const struct reel_registry_entry *image = entry ("image");
    ck_assert_str_eq (image->adapter->name, "exec");
    ck_assert_int_eq (image->adapter->class, REEL_ADAPTER_IDEMPOTENT);
    ck_assert_int_eq (image->policy.timeout_ms, 60000);
    ck_assert_uint_eq (image->policy.max_attempts, 3);
    ck_assert_int_eq (image->policy.backoff_ms, 500);
    ck_assert_int_eq (image->policy.backoff_max_ms, 30000);
    ck_assert_int_eq (image->policy.in_doubt, REEL_IN_DOUBT_RETRY);
    const struct reel_registry_entry *video = entry ("paid.video");
    ck_assert_int_eq (video->adapter->class, REEL_ADAPTER_NEITHER);
    ck_assert_int_eq (video->policy.timeout_ms, 0);
    ck_assert_int_eq (video->policy.in_doubt, REEL_IN_DOUBT_UNSET);
    ck_assert_str_eq (entry ("pause")->adapter->name, "sleep");
    ck_assert_str_eq (output ("image", "{\"title\":\"dusk\"}"), "{\"tool\":\"dusk!\"}");
    char made[4200];
    snprintf (made, sizeof made, "%s/made/here/wf/step.1.1", directory);
    ck_assert_int_eq (access (made, F_OK), 0);
}
END_TEST

START_TEST (names_are_found_from_anywhere)
{
    /* Relative to the file, not to where the worker was started; without a slash, on PATH. */
    ck_assert_int_eq (chdir ("/"), 0);
    ck_assert_msg (load ("modality\n    a\n        adapter = exec\n        command = \"./tool\"\n"
                         "    b\n        adapter = exec\n        command = echo\n        argument = \"{{}}\"\n")
                       == REEL_OK,
                   "%s", err.message);
    ck_assert_str_eq (output ("a", "{}"), "{\"tool\":\"\"}");
    ck_assert_str_eq (output ("b", "{}"), "{}");
    reel_registry_destroy (&registry);
    ck_assert_int_eq (reel_registry_create (&registry), REEL_OK);
    ck_assert_int_eq (chdir (directory), 0);
    ck_assert_msg (reel_config_load ("worker.zpl", registry, &err) == REEL_OK, "%s", err.message);
    ck_assert_int_eq (chdir ("/"), 0);
    ck_assert_str_eq (output ("a", "{}"), "{\"tool\":\"\"}");
}
END_TEST

#define EXEC "modality\n    x\n        adapter = exec\n        command = \"./tool\"\n        "
#define ECHO "modality\n    x\n        adapter = echo\n        "

static const struct {
    const char *text, *says;
} bad[] = {
    {"nonsense = 1\n", "nonsense: unknown key"},
    {"keep = sometimes\n", "keep: 'sometimes' is none of: never, failed, always"},
    {"keep = never\nkeep = never\n", "keep: is there twice"},
    {"work = \"\"\n", "work: is empty"},
    {"work\n    a = 1\n", "work: is a value, not a section"},
    {"modality = x\n", "modality: is a section, not a value"},
    {"modality\n    x\n", "modality/x/adapter: is missing"},
    {"modality\n    x = echo\n", "modality/x/adapter: must be a line below it"},
    {"modality\n    X\n        adapter = echo\n", "modality: X is no modality"},
    {ECHO "\n    x\n        adapter = echo\n", "modality: modality x is there twice"},
    {"modality\n    x\n        adapter = http\n",
     "modality/x/adapter: 'http' is none of exec, echo, sleep, fail, and no plugin brought it"},
    {"modality\n    x\n        adapter = exec\n", "modality/x/command: is missing"},
    {"modality\n    x\n        adapter = exec\n        command = \"\"\n", "modality/x/command: is empty"},
    {"modality\n    x\n        adapter = exec\n        command = \"./gone\"\n", "is not a file that can be executed"},
    {"modality\n    x\n        adapter = exec\n        command = \"./text\"\n", "is not a file that can be executed"},
    {"modality\n    x\n        adapter = exec\n        command = \"./\"\n", "is not a file that can be executed"},
    {"modality\n    x\n        adapter = exec\n        command = no-such-program\n",
     "modality/x/command: there is no program no-such-program on PATH"},
    {ECHO "command = \"./tool\"\n", "modality/x/adapter: echo takes none of the keys of exec"},
    {ECHO "class = neither\n", "modality/x/adapter: echo takes none of the keys of exec"},
    {ECHO "adapter = echo\n", "modality/x/adapter: is there twice"},
    {ECHO "comand = 1\n", "modality/x/comand: unknown key"},
    {ECHO "timeout_ms\n            a = 1\n", "modality/x/timeout_ms: is a value, not a section"},
    {ECHO "timeout_ms = 0\n", "modality/x/timeout_ms: '0' is not a number from 1 to 31622400000"},
    {ECHO "timeout_ms = 31622400001\n", "modality/x/timeout_ms: '31622400001' is not a number"},
    {ECHO "timeout_ms = 5s\n", "modality/x/timeout_ms: '5s' is not a number"},
    {ECHO "timeout_ms = \" 5\"\n", "modality/x/timeout_ms: ' 5' is not a number"},
    {ECHO "timeout_ms = 99999999999999999999\n", "is not a number"},
    {ECHO "max_attempts = 1001\n", "modality/x/max_attempts: '1001' is not a number from 1 to 1000"},
    {ECHO "backoff_ms = -1\n", "modality/x/backoff_ms: '-1' is not a number"},
    {ECHO "backoff_max_ms = \"\"\n", "modality/x/backoff_max_ms: '' is not a number"},
    {ECHO "in_doubt = maybe\n", "modality/x/in_doubt: 'maybe' is none of: hold, retry, fail"},
    {EXEC "class = resumable\n", "modality/x/class: 'resumable' is none of: neither, idempotent"},
    {EXEC "argument = \"{step}\"\n", "modality/x/argument: {step} is no template"},
    {EXEC "environment = \"PATH 1A\"\n", "modality/x/environment: '1A' is no variable"},
    {EXEC "environment = \"REEL_ATTEMPT\"\n", "modality/x/environment: 'REEL_ATTEMPT' is no variable"},
    {EXEC "set = \"A\"\n", "modality/x/set: 'A' is not NAME=value"},
    {EXEC "set = \"=x\"\n", "modality/x/set: '=x' is not NAME=value"},
    {EXEC "set = \"REEL_STEP_ID=x\"\n", "modality/x/set: 'REEL_STEP_ID=x' is not NAME=value"},
    {EXEC "grace_ms = 3600001\n", "modality/x/grace_ms: '3600001' is not a number from 0 to 3600000"},
    {EXEC "output_bytes_max = 0\n", "modality/x/output_bytes_max: '0' is not a number from 1 to 67108864"},
};

START_TEST (bad_file_is_refused_by_name_and_key)
{
    ck_assert_int_eq (load (bad[_i].text), REEL_INVALID);
    ck_assert_ptr_eq (strstr (err.message, path), err.message);
    ck_assert_msg (strstr (err.message, bad[_i].says) != NULL, "%s", err.message);
    ck_assert_uint_eq (reel_registry_count (registry), _i == 9); /* what stood before the second x */
}
END_TEST

START_TEST (file_that_cannot_be_read_is_io)
{
    ck_assert_int_eq (reel_config_load ("/nonexistent/worker.zpl", registry, &err), REEL_IO);
    ck_assert_ptr_nonnull (strstr (err.message, "/nonexistent/worker.zpl"));
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("worker_config");
    TCase *tc = suite_case (suite, "worker_config", set_up, tear_down);
    tcase_add_test (tc, nothing_configured_serves_the_builtin);
    tcase_add_test (tc, file_without_a_modality_serves_the_builtin);
    tcase_add_loop_test (tc, bad_file_is_refused_by_name_and_key, 0, sizeof bad / sizeof bad[0]);
    tcase_add_test (tc, file_that_cannot_be_read_is_io);
    if (call_has_children ()) {
        tcase_add_test (tc, everything_is_read);
        tcase_add_test (tc, names_are_found_from_anywhere);
    }
    return suite_run (suite);
}
