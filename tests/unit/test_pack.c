/*
 * Writing: the shortest form of everything, at the borders of every width, and back through the reader.
 */
#include "proto/pack.h"

#include <check.h>
#include <stdlib.h>

#include "tests/support/count.h"
#include "tests/support/document.h"
#include "tests/support/suite.h"

/* Compares what was written, and starts anew. */
static void
ck_assert_written (struct reel_buf *out, const char *hex)
{
    ck_assert_int_eq (reel_buf_status (out), REEL_OK);
    ck_assert_str_eq (document_bytes (reel_buf_slice (out)), hex);
    reel_buf_clear (out);
}

static const struct {
    uint64_t value;
    const char *hex;
} uints[] = {
    {0, "00"},
    {127, "7f"},
    {128, "cc 80"},
    {255, "cc ff"},
    {256, "cd 01 00"},
    {65535, "cd ff ff"},
    {65536, "ce 00 01 00 00"},
    {UINT32_MAX, "ce ff ff ff ff"},
    {(uint64_t) UINT32_MAX + 1, "cf 00 00 00 01 00 00 00 00"},
    {INT64_MAX, "cf 7f ff ff ff ff ff ff ff"},
    {UINT64_MAX, "cf ff ff ff ff ff ff ff ff"},
};

static const struct {
    int64_t value;
    const char *hex;
} ints[] = {
    {-1, "ff"},
    {-32, "e0"},
    {-33, "d0 df"},
    {-128, "d0 80"},
    {-129, "d1 ff 7f"},
    {-32768, "d1 80 00"},
    {-32769, "d2 ff ff 7f ff"},
    {INT32_MIN, "d2 80 00 00 00"},
    {(int64_t) INT32_MIN - 1, "d3 ff ff ff ff 7f ff ff ff"},
    {INT64_MIN, "d3 80 00 00 00 00 00 00 00"},
};

START_TEST (integers_take_their_shortest_form)
{
    struct reel_buf out = {0};
    struct reel_value value;
    for (size_t i = 0; i < COUNT (uints); i++) {
        reel_pack_uint (&out, uints[i].value);
        ck_assert (reel_scan_value (reel_buf_slice (&out), &value));
        ck_assert (value.type == REEL_UINT && value.u == uints[i].value);
        ck_assert_written (&out, uints[i].hex);
        if (uints[i].value > INT64_MAX)
            continue;
        reel_pack_int (&out, (int64_t) uints[i].value);
        ck_assert_written (&out, uints[i].hex);
        reel_pack_time (&out, (int64_t) uints[i].value);
        ck_assert_written (&out, uints[i].hex);
    }
    for (size_t i = 0; i < COUNT (ints); i++) {
        reel_pack_int (&out, ints[i].value);
        ck_assert (reel_scan_value (reel_buf_slice (&out), &value));
        ck_assert (value.type == REEL_INT && value.i == ints[i].value);
        ck_assert_written (&out, ints[i].hex);
        reel_pack_time (&out, ints[i].value);
        ck_assert_written (&out, "c0");
    }
    reel_buf_free (&out);
}
END_TEST

START_TEST (scalars)
{
    struct reel_buf out = {0};
    reel_pack_nil (&out);
    ck_assert_written (&out, "c0");
    reel_pack_bool (&out, false);
    ck_assert_written (&out, "c2");
    reel_pack_bool (&out, true);
    ck_assert_written (&out, "c3");
    reel_pack_f32_bits (&out, 0x7fa00001);
    ck_assert_written (&out, "ca 7f a0 00 01");
    reel_pack_f64_bits (&out, UINT64_C (0x7ff4000000000001));
    ck_assert_written (&out, "cb 7f f4 00 00 00 00 00 01");
    reel_pack_f64 (&out, 1.5);
    ck_assert_written (&out, "cb 3f f8 00 00 00 00 00 00");
    reel_pack_f64 (&out, -0.0);
    ck_assert_written (&out, "cb 80 00 00 00 00 00 00 00");
    reel_buf_free (&out);
}
END_TEST

/* The head of a body, which is `len` zeros. */
static void
ck_assert_body (void (*pack) (struct reel_buf *, struct reel_slice), size_t len, const char *head)
{
    static const uint8_t zeros[65537];
    struct reel_buf out = {0};
    pack (&out, reel_slice (zeros, len));
    ck_assert_int_eq (reel_buf_status (&out), REEL_OK);
    ck_assert_uint_ge (out.len, len);
    ck_assert_str_eq (document_bytes (reel_slice (out.data, out.len - len)), head);
    ck_assert_int_eq (memcmp (out.data + out.len - len, zeros, len), 0);
    reel_buf_free (&out);
}

static void
pack_ext_of_type_minus_two (struct reel_buf *out, struct reel_slice body)
{
    reel_pack_ext (out, -2, body);
}

START_TEST (bodies_have_the_shortest_head)
{
    static const struct {
        void (*pack) (struct reel_buf *, struct reel_slice);
        size_t len;
        const char *head;
    } cases[] = {
        {reel_pack_str, 0, "a0"},
        {reel_pack_str, 31, "bf"},
        {reel_pack_str, 32, "d9 20"},
        {reel_pack_str, 255, "d9 ff"},
        {reel_pack_str, 256, "da 01 00"},
        {reel_pack_str, 65535, "da ff ff"},
        {reel_pack_str, 65536, "db 00 01 00 00"},
        {reel_pack_bin, 0, "c4 00"},
        {reel_pack_bin, 255, "c4 ff"},
        {reel_pack_bin, 256, "c5 01 00"},
        {reel_pack_bin, 65535, "c5 ff ff"},
        {reel_pack_bin, 65536, "c6 00 01 00 00"},
        {pack_ext_of_type_minus_two, 0, "c7 00 fe"},
        {pack_ext_of_type_minus_two, 1, "d4 fe"},
        {pack_ext_of_type_minus_two, 2, "d5 fe"},
        {pack_ext_of_type_minus_two, 3, "c7 03 fe"},
        {pack_ext_of_type_minus_two, 4, "d6 fe"},
        {pack_ext_of_type_minus_two, 8, "d7 fe"},
        {pack_ext_of_type_minus_two, 16, "d8 fe"},
        {pack_ext_of_type_minus_two, 17, "c7 11 fe"},
        {pack_ext_of_type_minus_two, 255, "c7 ff fe"},
        {pack_ext_of_type_minus_two, 256, "c8 01 00 fe"},
        {pack_ext_of_type_minus_two, 65536, "c9 00 01 00 00 fe"},
    };
    for (size_t i = 0; i < COUNT (cases); i++)
        ck_assert_body (cases[i].pack, cases[i].len, cases[i].head);
    struct reel_buf out = {0};
    reel_pack_text (&out, "h\xc3\xa4");
    ck_assert_written (&out, "a3 68 c3 a4");
    reel_pack_str (&out, REEL_SLICE_NONE);
    ck_assert_written (&out, "a0");
    reel_pack_bin (&out, REEL_SLICE_NONE);
    ck_assert_written (&out, "c4 00");
    reel_buf_free (&out);
}
END_TEST

START_TEST (containers_have_the_shortest_head)
{
    static const struct {
        uint32_t count;
        const char *array, *map;
    } cases[] = {
        {0, "90", "80"},
        {15, "9f", "8f"},
        {16, "dc 00 10", "de 00 10"},
        {65535, "dc ff ff", "de ff ff"},
        {65536, "dd 00 01 00 00", "df 00 01 00 00"},
        {UINT32_MAX, "dd ff ff ff ff", "df ff ff ff ff"},
    };
    struct reel_buf out = {0};
    for (size_t i = 0; i < COUNT (cases); i++) {
        reel_pack_array (&out, cases[i].count);
        ck_assert_written (&out, cases[i].array);
        reel_pack_map (&out, cases[i].count);
        ck_assert_written (&out, cases[i].map);
    }
    reel_buf_free (&out);
}
END_TEST

START_TEST (raw_values_are_copied_and_none_is_nil)
{
    struct reel_buf out = {0};
    reel_pack_raw (&out, document_hex ("92 cd 00 01 c0")); /* not the shortest form, and it stays so */
    ck_assert_written (&out, "92 cd 00 01 c0");
    reel_pack_raw (&out, REEL_SLICE_NONE);
    ck_assert_written (&out, "c0");
    reel_buf_free (&out);
}
END_TEST

START_TEST (errors_have_one_form)
{
    struct reel_buf out = {0};
    reel_pack_error (&out, "no_adapter", reel_slice_text ("nothing here serves 'video'"), false);
    reel_pack_error (&out, "", REEL_SLICE_NONE, true);
    struct reel_slice first, both = reel_buf_slice (&out);
    struct reel_cursor cursor = reel_scan_start (both);
    ck_assert (reel_scan_skip (&cursor, &first));
    ck_assert_str_eq (document_json (first),
                      "{'code':'no_adapter','message':'nothing here serves 'video'','retryable':false}");
    ck_assert_str_eq (document_json (reel_slice (both.data + first.len, both.len - first.len)),
                      "{'code':'','message':'','retryable':true}");
    reel_buf_free (&out);
}
END_TEST

START_TEST (a_failed_buffer_stays_failed)
{
    struct reel_buf out = {.failed = true};
    reel_pack_nil (&out);
    reel_pack_text (&out, "x");
    reel_pack_map (&out, 3);
    reel_pack_f32_bits (&out, 1);
    reel_pack_raw (&out, document_hex ("01"));
    ck_assert_int_eq (reel_buf_status (&out), REEL_NO_MEMORY);
    ck_assert_uint_eq (out.len, 0);
    reel_buf_free (&out);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("pack");
    TCase *tcase = tcase_create ("pack");
    tcase_add_test (tcase, integers_take_their_shortest_form);
    tcase_add_test (tcase, scalars);
    tcase_add_test (tcase, bodies_have_the_shortest_head);
    tcase_add_test (tcase, containers_have_the_shortest_head);
    tcase_add_test (tcase, raw_values_are_copied_and_none_is_nil);
    tcase_add_test (tcase, errors_have_one_form);
    tcase_add_test (tcase, a_failed_buffer_stays_failed);
    suite_add_tcase (suite, tcase);
    return suite_run (suite);
}
