/*
 * Working directories: made empty, removed whole, and made though others remove what is around them.
 */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/call.h"
#include "tests/support/scratch.h"
#include "tests/support/suite.h"
#include "worker/directory.h"

#define ROUNDS 300

static char root[SCRATCH_BYTES];
static struct reel_directory work;
static struct reel_error err;

static void
set_up (void)
{
    scratch_make (root, false);
    ck_assert_int_eq (reel_directory_init (&work, root), REEL_OK);
}

static void
tear_down (void)
{
    reel_directory_free (&work);
    scratch_remove (root);
}

static char *
make (const char *step, uint32_t attempt)
{
    const struct reel_call call = {
        .workflow_id = reel_slice_text ("wf"), .step_id = reel_slice_text (step), .delivery = 1, .attempt = attempt};
    char *path = NULL;
    enum reel_status status = reel_directory_make (&work, &call, &path, &err);
    ck_assert_msg (status == REEL_OK, "%s", err.message);
    return path;
}

START_TEST (made_empty_and_removed_whole)
{
    char inside[4200];
    char *first = make ("a", 1), *second = make ("a", 2);
    snprintf (inside, sizeof inside, "%s/deeper", first);
    ck_assert_int_eq (mkdir (inside, 0755), 0);
    char *again = make ("a", 1);
    ck_assert_str_eq (first, again);
    ck_assert_int_lt (access (inside, F_OK), 0);
    reel_directory_remove (first);
    ck_assert_int_lt (access (first, F_OK), 0);
    ck_assert_int_eq (access (second, F_OK), 0);
    reel_directory_remove (second);
    snprintf (inside, sizeof inside, "%s/wf", root);
    ck_assert_int_lt (access (inside, F_OK), 0);
    ck_assert_int_eq (access (root, F_OK), 0);
    free (first);
    free (second);
    free (again);
}
END_TEST

static atomic_bool over;

/* What a call that ends does to the directory of its workflow, again and again. */
static void *
take_away (void *path)
{
    while (!atomic_load (&over))
        (void) rmdir (path);
    return NULL;
}

START_TEST (made_while_others_end)
{
    char path[4200];
    pthread_t thread;
    snprintf (path, sizeof path, "%s/wf", root);
    atomic_init (&over, false);
    ck_assert_int_eq (pthread_create (&thread, NULL, take_away, path), 0);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        char *made = make ("a", i + 1);
        ck_assert_int_eq (access (made, F_OK), 0);
        reel_directory_remove (made);
        free (made);
    }
    atomic_store (&over, true);
    ck_assert_int_eq (pthread_join (thread, NULL), 0);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("directory");
    TCase *tcase = suite_case (suite, "directory", set_up, tear_down);
    tcase_add_test (tcase, made_empty_and_removed_whole);
    tcase_add_test (tcase, made_while_others_end);
    return suite_run (suite);
}
