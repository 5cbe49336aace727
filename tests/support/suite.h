/*
 * What the main() of every program of Check's is made of.
 */
#ifndef REEL_TESTS_SUPPORT_SUITE_H
#define REEL_TESTS_SUPPORT_SUITE_H

#include <check.h>
#include <stdlib.h>

/* Adds a case each of whose tests runs between these two. */
static inline TCase *
suite_case (Suite *suite, const char *name, SFun before, SFun after)
{
    TCase *tests = tcase_create (name);
    tcase_add_checked_fixture (tests, before, after);
    suite_add_tcase (suite, tests);
    return tests;
}

/* Runs the suite, and frees it. Gives the exit code. */
static inline int
suite_run (Suite *suite)
{
    SRunner *runner = srunner_create (suite);
    srunner_run_all (runner, CK_NORMAL);
    int failed = srunner_ntests_failed (runner);
    srunner_free (runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
