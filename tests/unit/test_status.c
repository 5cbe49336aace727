/*
 * What reaches a person: whole characters, a path that names something, the code as given.
 */
#include "base/status.h"
#include "tests/support/suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST (fills_and_returns)
{
    struct reel_error err;
    memset (&err, 0xAA, sizeof err);
    ck_assert_int_eq (reel_error_set (&err, REEL_INVALID, "bad_id", "/steps/3", "step %d: %s", 3, "no"), REEL_INVALID);
    ck_assert_str_eq (err.code, "bad_id");
    ck_assert_str_eq (err.path, "/steps/3");
    ck_assert_str_eq (err.message, "step 3: no");
    ck_assert_int_eq (reel_error_set (&err, REEL_AGAIN, "overloaded", NULL, "later"), REEL_AGAIN);
    ck_assert_str_eq (err.path, "");
    ck_assert_int_eq (reel_error_set (NULL, REEL_IO, "internal", NULL, "%s", "x"), REEL_IO);
}
END_TEST

START_TEST (an_error_may_be_told_again_with_more_around_it)
{
    struct reel_error err;
    reel_error_set (&err, REEL_INVALID, "bad_type", "/a/b", "no string");
    reel_error_set (&err, REEL_INVALID, "bad_type", err.path + 2, "at %s: %s", err.path, err.message);
    ck_assert_str_eq (err.message, "at /a/b: no string");
    ck_assert_str_eq (err.path, "/b");
}
END_TEST

/* A message of `ascii` letters and one character that starts there. */
static size_t
cut_len (size_t ascii, const char *character)
{
    char text[REEL_ERROR_MESSAGE_BYTES + 16];
    memset (text, 'x', ascii);
    memcpy (text + ascii, character, strlen (character) + 1);
    struct reel_error err;
    reel_error_set (&err, REEL_INVALID, "bad_type", NULL, "%s", text);
    return strlen (err.message);
}

START_TEST (messages_are_cut_between_characters)
{
    const size_t room = REEL_ERROR_MESSAGE_BYTES - 1;
    static const char *const characters[] = {"y", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x8E\xAC"};
    for (size_t c = 0; c < 4; c++) {
        size_t len = strlen (characters[c]);
        ck_assert_uint_eq (cut_len (room - len, characters[c]), room);
        for (size_t over = 1; over <= len; over++)
            ck_assert_uint_eq (cut_len (room - len + over, characters[c]), room - len + over);
    }
}
END_TEST

START_TEST (what_is_no_character_is_marked)
{
    struct reel_error err;
    reel_error_set (&err, REEL_INVALID, "malformed", NULL, "%s", "a\x80z \xC3\xA4 \xED\xA0\x80 \xC3");
    ck_assert_str_eq (err.message, "a?z \xC3\xA4 ??? ?");
}
END_TEST

START_TEST (paths_are_cut_to_an_enclosing_value)
{
    char path[REEL_ERROR_PATH_BYTES + 8];
    struct reel_error err;
    memset (path, 'k', sizeof path);
    path[0] = '/';
    path[REEL_ERROR_PATH_BYTES - 1] = '\0';
    reel_error_set (&err, REEL_INVALID, "bad_type", path, "fits");
    ck_assert_str_eq (err.path, path);

    path[REEL_ERROR_PATH_BYTES - 1] = 'k';
    path[REEL_ERROR_PATH_BYTES] = '\0';
    reel_error_set (&err, REEL_INVALID, "bad_type", path, "one long key");
    ck_assert_str_eq (err.path, "");

    path[6] = '/';
    reel_error_set (&err, REEL_INVALID, "bad_type", path, "two keys");
    ck_assert_str_eq (err.path, "/kkkkk");

    path[REEL_ERROR_PATH_BYTES - 1] = '/';
    reel_error_set (&err, REEL_INVALID, "bad_type", path, "the value around an empty key fits");
    ck_assert_uint_eq (strlen (err.path), REEL_ERROR_PATH_BYTES - 1);
}
END_TEST

START_TEST (names)
{
    static const char *const expected[] = {"ok", "invalid", "not_found", "again", "no_memory", "io"};
    for (int status = REEL_OK; status <= REEL_IO; status++)
        ck_assert_str_eq (reel_status_name ((enum reel_status) status), expected[status]);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("status");
    TCase *tcase = tcase_create ("status");
    tcase_add_test (tcase, fills_and_returns);
    tcase_add_test (tcase, an_error_may_be_told_again_with_more_around_it);
    tcase_add_test (tcase, messages_are_cut_between_characters);
    tcase_add_test (tcase, what_is_no_character_is_marked);
    tcase_add_test (tcase, paths_are_cut_to_an_enclosing_value);
    tcase_add_test (tcase, names);
    suite_add_tcase (suite, tcase);
    return suite_run (suite);
}
