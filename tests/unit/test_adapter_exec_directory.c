/*
 * Where a command of exec works: a directory of its own for each attempt, and what is kept of it; and where none can be
 * made.
 */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/exec_fixture.h"
#include "tests/support/suite.h"

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

START_TEST (work_that_has_no_place_is_not_started)
{
    setup.work = "/dev/null/work";
    run ("true");
    expect_failure ("spawn_failed", true, false);
    ck_assert_ptr_nonnull (strstr (bench.message, "/dev/null/work"));
}
END_TEST

int
main (void)
{
    if (!call_has_children ())
        return EXIT_SUCCESS;
    Suite *suite = suite_create ("adapter_exec, directory");
    TCase *tests = suite_case (suite, "directory", set_up, tear_down);
    tcase_add_loop_test (tests, directory_stays_as_configured, 0, COUNT (keeping));
    tcase_add_test (tests, directory_is_empty_each_time);
    tcase_add_test (tests, directory_is_no_way_out);
    tcase_add_test (tests, directory_without_a_root_is_a_temporary_one);
    tcase_add_test (tests, work_that_has_no_place_is_not_started);
    return suite_run (suite);
}
