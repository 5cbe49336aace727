/*
 * The configuration file's reader: what it accepts, and that what it refuses names file and line
 * without a word on standard output.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/zpl.h"
#include "tests/support/call.h"
#include "tests/support/scratch.h"
#include "tests/support/suite.h"

static struct reel_zpl *
parse (const char *text)
{
    struct reel_zpl *zpl = NULL;
    struct reel_error err = {0};
    ck_assert_msg (reel_zpl_parse (reel_slice_text (text), "x.zpl", &zpl, &err) == REEL_OK, "%s: %s", text,
                   err.message);
    return zpl;
}

START_TEST (tree)
{
    struct reel_zpl *zpl = parse ("# top\n"
                                  "work = \"a b\"   # comment\n"
                                  "modality\n"
                                  "    echo\n"
                                  "        adapter = exec\n"
                                  "        argument = one\n"
                                  "        argument = two\n"
                                  "empty =");
    const struct reel_zpl_node *work = reel_zpl_first (zpl);
    ck_assert_str_eq (reel_zpl_name (work), "work");
    ck_assert_str_eq (reel_zpl_value (work), "a b");
    ck_assert_ptr_null (reel_zpl_child (work));
    const struct reel_zpl_node *modality = reel_zpl_next (work);
    ck_assert_str_eq (reel_zpl_name (modality), "modality");
    ck_assert_str_eq (reel_zpl_value (modality), "");
    const struct reel_zpl_node *key = reel_zpl_child (reel_zpl_child (modality));
    ck_assert_str_eq (reel_zpl_value (key), "exec");
    key = reel_zpl_next (reel_zpl_next (key));
    ck_assert_str_eq (reel_zpl_value (key), "two");
    ck_assert_ptr_null (reel_zpl_next (key));
    const struct reel_zpl_node *empty = reel_zpl_next (modality);
    ck_assert_str_eq (reel_zpl_value (empty), "");
    ck_assert_ptr_null (reel_zpl_next (empty));
    reel_zpl_free (&zpl);
    ck_assert_ptr_null (zpl);
}
END_TEST

START_TEST (nothing_in_it)
{
    struct reel_zpl *zpl = parse ("");
    ck_assert_ptr_null (reel_zpl_first (zpl));
    reel_zpl_free (&zpl);
    zpl = parse ("# only this\n\n");
    ck_assert_ptr_null (reel_zpl_first (zpl));
    reel_zpl_free (&zpl);
}
END_TEST

static const struct {
    const char *text, *message;
} refused[] = {
    {"a = 1\nq = \"open\n", "x.zpl: line 2: missing \""},
    {"a\n  b = 1\n", "x.zpl: line 2: indent 4 spaces at once"},
    {"a = 1\nb = 2\nfoo bar\n", "x.zpl: line 3: invalid syntax"},
    {"/b = 2\n", "x.zpl: line 1: '/' not valid"},
};

START_TEST (refuses)
{
    struct reel_zpl *zpl = NULL;
    struct reel_error err = {0};
    char *said = NULL;
    size_t said_bytes = 0;
    FILE *kept = stdout;
    stdout = open_memstream (&said, &said_bytes);
    enum reel_status status = reel_zpl_parse (reel_slice_text (refused[_i].text), "x.zpl", &zpl, &err);
    (void) fclose (stdout);
    stdout = kept;
    ck_assert_int_eq (status, REEL_INVALID);
    ck_assert_ptr_null (zpl);
    ck_assert_msg (strncmp (err.message, refused[_i].message, strlen (refused[_i].message)) == 0, "%s", err.message);
    ck_assert_uint_eq (said_bytes, 0);
    free (said);
}
END_TEST

/* "a = xxx...", `len` bytes in all. */
static char *
long_line (size_t len)
{
    char *text = malloc (len + 1);
    ck_assert_ptr_nonnull (text);
    memset (text, 'x', len);
    memcpy (text, "a = ", 4);
    text[len] = '\0';
    return text;
}

START_TEST (line_limit)
{
    struct reel_zpl *zpl = NULL;
    struct reel_error err = {0};
    char *text = long_line (REEL_ZPL_LINE_BYTES_MAX);
    zpl = parse (text);
    ck_assert_uint_eq (strlen (reel_zpl_value (reel_zpl_first (zpl))), REEL_ZPL_LINE_BYTES_MAX - 4);
    reel_zpl_free (&zpl);
    free (text);
    text = long_line (REEL_ZPL_LINE_BYTES_MAX + 1);
    ck_assert_int_eq (reel_zpl_parse (reel_slice_text (text), "x.zpl", &zpl, &err), REEL_INVALID);
    ck_assert_str_eq (err.message, "x.zpl: line 1 is longer than 1000 bytes");
    free (text);
}
END_TEST

START_TEST (size_limit)
{
    struct reel_zpl *zpl = NULL;
    struct reel_error err = {0};
    char *text = malloc (REEL_ZPL_BYTES_MAX + 1);
    ck_assert_ptr_nonnull (text);
    memset (text, '\n', REEL_ZPL_BYTES_MAX + 1);
    ck_assert_int_eq (reel_zpl_parse (reel_slice (text, REEL_ZPL_BYTES_MAX), "x.zpl", &zpl, &err), REEL_OK);
    reel_zpl_free (&zpl);
    ck_assert_int_eq (reel_zpl_parse (reel_slice (text, REEL_ZPL_BYTES_MAX + 1), "x.zpl", &zpl, &err), REEL_INVALID);
    free (text);
}
END_TEST

START_TEST (nul_byte)
{
    struct reel_zpl *zpl = NULL;
    struct reel_error err = {0};
    ck_assert_int_eq (reel_zpl_parse (reel_slice ("a = 1\0b = 2", 11), "x.zpl", &zpl, &err), REEL_INVALID);
    ck_assert_ptr_nonnull (strstr (err.message, "NUL"));
}
END_TEST

START_TEST (files)
{
    char directory[SCRATCH_BYTES], path[SCRATCH_BYTES + 16];
    scratch_make (directory, false);
    (void) snprintf (path, sizeof path, "%s/file", directory);
    call_write_file (directory, "file", "a = 1\n");
    struct reel_zpl *zpl = NULL;
    struct reel_error err = {0};
    ck_assert_int_eq (reel_zpl_load (path, &zpl, &err), REEL_OK);
    ck_assert_str_eq (reel_zpl_value (reel_zpl_first (zpl)), "1");
    reel_zpl_free (&zpl);
    scratch_remove (directory);
    ck_assert_int_eq (reel_zpl_load (path, &zpl, &err), REEL_IO);
    ck_assert_ptr_nonnull (strstr (err.message, path));
    ck_assert_ptr_nonnull (strstr (err.message, "No such file"));
    ck_assert_int_eq (reel_zpl_load ("/", &zpl, &err), REEL_IO);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("zpl");
    TCase *tcase = tcase_create ("zpl");
    tcase_add_test (tcase, tree);
    tcase_add_test (tcase, nothing_in_it);
    tcase_add_loop_test (tcase, refuses, 0, sizeof refused / sizeof *refused);
    tcase_add_test (tcase, line_limit);
    tcase_add_test (tcase, size_limit);
    tcase_add_test (tcase, nul_byte);
    tcase_add_test (tcase, files);
    suite_add_tcase (suite, tcase);
    return suite_run (suite);
}
