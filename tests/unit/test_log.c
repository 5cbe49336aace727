/*
 * One line a happening, whatever the text: its form, its levels, and that no text can forge one.
 */
#include "base/log.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/timestamp.h"
#include "tests/support/suite.h"

#define LOGGED_BYTES_MAX 16384

static int saved_stderr, log_pipe[2];

/* Standard error goes into a pipe, which holds more than any line. */
static void
capture (void)
{
    saved_stderr = dup (STDERR_FILENO);
    ck_assert_int_ge (saved_stderr, 0);
    ck_assert_int_eq (pipe (log_pipe), 0);
    ck_assert_int_eq (dup2 (log_pipe[1], STDERR_FILENO), STDERR_FILENO);
    close (log_pipe[1]);
}

static void
captured (char out[LOGGED_BYTES_MAX])
{
    ck_assert_int_eq (dup2 (saved_stderr, STDERR_FILENO), STDERR_FILENO);
    close (saved_stderr);
    size_t len = 0;
    ssize_t got;
    while ((got = read (log_pipe[0], out + len, LOGGED_BYTES_MAX - 1 - len)) > 0)
        len += (size_t) got;
    ck_assert_int_eq (got, 0);
    ck_assert_uint_lt (len, LOGGED_BYTES_MAX - 1);
    close (log_pipe[0]);
    out[len] = '\0';
}

START_TEST (a_line_has_time_level_program_message)
{
    char out[LOGGED_BYTES_MAX];
    reel_log_start ("reel-test", REEL_LOG_INFO);
    capture ();
    errno = ENOENT;
    reel_log (REEL_LOG_WARNING, "%d of %s", 3, "four");
    ck_assert_int_eq (errno, ENOENT);
    captured (out);
    ck_assert (reel_timestamp_parse (reel_slice (out, REEL_TIMESTAMP_BYTES - 1), NULL));
    ck_assert_str_eq (out + REEL_TIMESTAMP_BYTES - 1, " warning reel-test: 3 of four\n");
}
END_TEST

START_TEST (levels_above_are_dropped)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    for (int limit = REEL_LOG_ERROR; limit <= REEL_LOG_DEBUG; limit++) {
        char out[LOGGED_BYTES_MAX];
        reel_log_start ("t", (enum reel_log_level) limit);
        capture ();
        for (int level = REEL_LOG_ERROR; level <= REEL_LOG_DEBUG; level++)
            reel_log ((enum reel_log_level) level, "x");
        captured (out);
        for (int level = REEL_LOG_ERROR; level <= REEL_LOG_DEBUG; level++)
            ck_assert_int_eq (strstr (out, names[level]) != NULL, level <= limit);
    }
}
END_TEST

START_TEST (control_characters_are_escaped)
{
    static const struct {
        const char *message, *line;
    } cases[] = {
        {"a\nb", "a\\x0ab"},
        {"\r\t\x1b[31m\x7f", "\\x0d\\x09\\x1b[31m\\x7f"},
        {"\xC2\x9b", "\\xc2\\x9b"},
        {"\xC2\xA0 \xC3\xA4 \xE2\x82\xAC", "\xC2\xA0 \xC3\xA4 \xE2\x82\xAC"},
        {"\xC2", "\\xc2"},
        {"a\x9b\xED\xA0\x80z", "a\\x9b\\xed\\xa0\\x80z"},
        {"", ""},
    };
    reel_log_start ("t", REEL_LOG_INFO);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[LOGGED_BYTES_MAX], expected[64];
        capture ();
        reel_log (REEL_LOG_ERROR, "%s", cases[i].message);
        captured (out);
        ck_assert_int_gt (snprintf (expected, sizeof expected, " error t: %s\n", cases[i].line), 0);
        ck_assert_str_eq (out + REEL_TIMESTAMP_BYTES - 1, expected);
    }
}
END_TEST

START_TEST (a_message_too_long_is_marked_as_cut)
{
    char message[5000], out[LOGGED_BYTES_MAX];
    memset (message, '\n', sizeof message);
    message[sizeof message - 1] = '\0';
    reel_log_start ("t", REEL_LOG_INFO);
    capture ();
    reel_log (REEL_LOG_ERROR, "%s", message);
    captured (out);
    size_t len = strlen (out);
    ck_assert_str_eq (out + len - 8, "\\x0a...\n");
    ck_assert_ptr_eq (strchr (out, '\n'), out + len - 1);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("log");
    TCase *tcase = tcase_create ("log");
    tcase_add_test (tcase, a_line_has_time_level_program_message);
    tcase_add_test (tcase, levels_above_are_dropped);
    tcase_add_test (tcase, control_characters_are_escaped);
    tcase_add_test (tcase, a_message_too_long_is_marked_as_cut);
    suite_add_tcase (suite, tcase);
    return suite_run (suite);
}
