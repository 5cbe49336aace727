/*
 * Slices compare and copy exactly; buffers grow, refuse and forget as their header says.
 */
#include "base/bytes.h"
#include "tests/support/suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST (slices_of_text)
{
    ck_assert_uint_eq (reel_slice_text ("abc").len, 3);
    ck_assert_uint_eq (reel_slice_text ("").len, 0);
    ck_assert_uint_eq (reel_slice_text (NULL).len, 0);
    ck_assert (reel_slice_is (reel_slice ("abcd", 3), "abc"));
    ck_assert (!reel_slice_is (reel_slice ("abcd", 4), "abc"));
    ck_assert (reel_slice_is (REEL_SLICE_NONE, ""));
    ck_assert (!reel_slice_is (reel_slice ("a\0b", 3), "a"));
}
END_TEST

START_TEST (slices_compare_as_bytes_the_shorter_first)
{
    static const struct {
        const char *a, *b;
        size_t a_len, b_len;
        int order;
    } cases[] = {
        {"", "", 0, 0, 0},    {"a", "a", 1, 1, 0},        {"a", "b", 1, 1, -1},     {"b", "a", 1, 1, 1},
        {"", "a", 0, 1, -1},  {"a", "", 1, 0, 1},         {"ab", "abc", 2, 3, -1},  {"abc", "ab", 3, 2, 1},
        {"b", "ab", 1, 2, 1}, {"\x7F", "\x80", 1, 1, -1}, {"\0a", "\0b", 2, 2, -1}, {"\0", "", 1, 0, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reel_slice a = cases[i].a_len > 0 ? reel_slice (cases[i].a, cases[i].a_len) : REEL_SLICE_NONE;
        struct reel_slice b = cases[i].b_len > 0 ? reel_slice (cases[i].b, cases[i].b_len) : REEL_SLICE_NONE;
        int order = reel_slice_compare (a, b);
        ck_assert_int_eq ((order > 0) - (order < 0), cases[i].order);
        ck_assert_int_eq (reel_slice_equal (a, b), cases[i].order == 0);
    }
}
END_TEST

START_TEST (slices_are_copied_with_a_nul)
{
    char *copy = reel_slice_dup (reel_slice ("a\0bc", 3));
    ck_assert_mem_eq (copy, "a\0b", 4);
    free (copy);
    copy = reel_slice_dup (REEL_SLICE_NONE);
    ck_assert_str_eq (copy, "");
    free (copy);
    ck_assert_ptr_null (reel_slice_dup (reel_slice ("", SIZE_MAX)));
}
END_TEST

START_TEST (buffers_grow)
{
    struct reel_buf buf = {0};
    ck_assert_int_eq (reel_buf_status (&buf), REEL_OK);
    for (unsigned i = 0; i < 1000; i++)
        reel_buf_add_byte (&buf, (uint8_t) i);
    reel_buf_add_text (&buf, "text");
    reel_buf_add_text (&buf, NULL);
    reel_buf_add (&buf, NULL, 0);
    reel_buf_add_slice (&buf, reel_slice ("slice", 5));
    ck_assert_uint_eq (buf.len, 1009);
    for (unsigned i = 0; i < 1000; i++)
        ck_assert_uint_eq (buf.data[i], i % 256);
    ck_assert (reel_slice_is (reel_slice (buf.data + 1000, 9), "textslice"));
    ck_assert (reel_slice_equal (reel_buf_slice (&buf), reel_slice (buf.data, 1009)));

    uint8_t *memory = buf.data;
    size_t cap = buf.cap;
    reel_buf_clear (&buf);
    ck_assert_uint_eq (buf.len, 0);
    ck_assert_ptr_eq (buf.data, memory);
    ck_assert_uint_eq (buf.cap, cap);
    reel_buf_free (&buf);
    ck_assert_ptr_null (buf.data);
    ck_assert_uint_eq (buf.cap, 0);
    reel_buf_free (&buf);
}
END_TEST

START_TEST (buffers_print)
{
    struct reel_buf buf = {0};
    reel_buf_printf (&buf, "%s", "");
    ck_assert_uint_eq (buf.len, 0);
    for (unsigned i = 0; i < 200; i++) {
        size_t before = buf.len;
        reel_buf_printf (&buf, "%0*u", (int) i + 1, i);
        ck_assert_uint_eq (buf.len, before + i + 1);
        ck_assert_uint_eq (strtoul ((char *) buf.data + before, NULL, 10), i);
    }
    ck_assert_int_eq (reel_buf_status (&buf), REEL_OK);
    reel_buf_free (&buf);
}
END_TEST

START_TEST (reserving_adds_nothing)
{
    struct reel_buf buf = {0};
    ck_assert_ptr_nonnull (reel_buf_reserve (&buf, 0));
    uint8_t *to = reel_buf_reserve (&buf, 500);
    ck_assert_ptr_nonnull (to);
    ck_assert_uint_eq (buf.len, 0);
    ck_assert_uint_ge (buf.cap, 500);
    memset (to, 'x', 500);
    buf.len += 500;
    ck_assert_ptr_eq (reel_buf_reserve (&buf, 0), buf.data + 500);
    reel_buf_free (&buf);
}
END_TEST

START_TEST (a_refused_append_leaves_what_was_there)
{
    static const size_t too_long[] = {REEL_BUF_BYTES_MAX - 2, REEL_BUF_BYTES_MAX, SIZE_MAX - 3, SIZE_MAX};
    for (size_t i = 0; i < sizeof too_long / sizeof too_long[0]; i++) {
        struct reel_buf buf = {0};
        reel_buf_add_text (&buf, "abc");
        ck_assert_ptr_null (reel_buf_reserve (&buf, too_long[i]));
        ck_assert_int_eq (reel_buf_status (&buf), REEL_NO_MEMORY);
        reel_buf_add_text (&buf, "d");
        reel_buf_printf (&buf, "%d", 5);
        reel_buf_add_byte (&buf, 'e');
        ck_assert (reel_slice_is (reel_buf_slice (&buf), "abc"));
        reel_buf_clear (&buf);
        reel_buf_add_text (&buf, "d");
        ck_assert (reel_slice_is (reel_buf_slice (&buf), "d"));
        ck_assert_int_eq (reel_buf_status (&buf), REEL_OK);
        reel_buf_free (&buf);
    }
}
END_TEST

START_TEST (the_largest_buffer_is_full_at_the_limit)
{
    struct reel_buf buf = {0};
    reel_buf_add_text (&buf, "abc");
    ck_assert_ptr_nonnull (reel_buf_reserve (&buf, REEL_BUF_BYTES_MAX - 3));
    ck_assert_uint_eq (buf.cap, REEL_BUF_BYTES_MAX);
    buf.len = REEL_BUF_BYTES_MAX - 1;
    reel_buf_add_byte (&buf, 'x');
    ck_assert_int_eq (reel_buf_status (&buf), REEL_OK);
    reel_buf_add_byte (&buf, 'x');
    ck_assert_int_eq (reel_buf_status (&buf), REEL_NO_MEMORY);
    ck_assert_uint_eq (buf.len, REEL_BUF_BYTES_MAX);
    reel_buf_free (&buf);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("bytes");
    TCase *tcase = tcase_create ("bytes");
    tcase_add_test (tcase, slices_of_text);
    tcase_add_test (tcase, slices_compare_as_bytes_the_shorter_first);
    tcase_add_test (tcase, slices_are_copied_with_a_nul);
    tcase_add_test (tcase, buffers_grow);
    tcase_add_test (tcase, buffers_print);
    tcase_add_test (tcase, reserving_adds_nothing);
    tcase_add_test (tcase, a_refused_append_leaves_what_was_there);
    tcase_add_test (tcase, the_largest_buffer_is_full_at_the_limit);
    suite_add_tcase (suite, tcase);
    return suite_run (suite);
}
