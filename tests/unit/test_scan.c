/*
 * The walk over bytes of strangers: every format, every way to be wrong, every bound, and the place that is named.
 */
#include "proto/scan.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "proto/pack.h"
#include "tests/support/count.h"
#include "tests/support/document.h"
#include "tests/support/suite.h"

static void
ck_assert_accepted (struct reel_slice bytes, unsigned depth_max)
{
    struct reel_error err = {0};
    enum reel_status status = reel_scan_check (bytes, depth_max, &err);
    ck_assert_msg (status == REEL_OK, "%s at %s: %s", err.code, err.path, err.message);
}

static void
ck_assert_refused (struct reel_slice bytes, const char *code, const char *path, const char *message)
{
    struct reel_error err = {0};
    ck_assert_int_eq (reel_scan_check (bytes, REEL_DEPTH_MAX, &err), REEL_INVALID);
    ck_assert_str_eq (err.code, code);
    ck_assert_str_eq (err.path, path);
    ck_assert_msg (strstr (err.message, message) != NULL, "\"%s\" lacks \"%s\"", err.message, message);
    ck_assert_int_eq (reel_scan_check (bytes, REEL_DEPTH_MAX, NULL), REEL_INVALID);
}

/* --- values ------------------------------------------------------------------------------ */

static const struct {
    const char *hex;
    enum reel_type type;
    uint64_t number; /* the value, its bits, the length of a body or the count of a container */
    int ext_type;
} values[] = {
    {"c0", REEL_NIL, 0, 0},
    {"c2", REEL_BOOL, 0, 0},
    {"c3", REEL_BOOL, 1, 0},
    {"00", REEL_UINT, 0, 0},
    {"7f", REEL_UINT, 127, 0},
    {"e0", REEL_INT, (uint64_t) -32, 0},
    {"ff", REEL_INT, (uint64_t) -1, 0},
    {"cc 00", REEL_UINT, 0, 0},
    {"cc ff", REEL_UINT, 255, 0},
    {"cd 01 02", REEL_UINT, 0x0102, 0},
    {"cd ff ff", REEL_UINT, 65535, 0},
    {"ce 01 02 03 04", REEL_UINT, 0x01020304, 0},
    {"ce ff ff ff ff", REEL_UINT, UINT32_MAX, 0},
    {"cf 01 02 03 04 05 06 07 08", REEL_UINT, UINT64_C (0x0102030405060708), 0},
    {"cf ff ff ff ff ff ff ff ff", REEL_UINT, UINT64_MAX, 0},
    {"d0 00", REEL_UINT, 0, 0}, /* a signed width does not make a value negative */
    {"d0 7f", REEL_UINT, 127, 0},
    {"d0 80", REEL_INT, (uint64_t) -128, 0},
    {"d1 7f ff", REEL_UINT, 32767, 0},
    {"d1 80 00", REEL_INT, (uint64_t) -32768, 0},
    {"d2 7f ff ff ff", REEL_UINT, INT32_MAX, 0},
    {"d2 80 00 00 00", REEL_INT, (uint64_t) INT32_MIN, 0},
    {"d3 7f ff ff ff ff ff ff ff", REEL_UINT, INT64_MAX, 0},
    {"d3 80 00 00 00 00 00 00 00", REEL_INT, (uint64_t) INT64_MIN, 0},
    {"d3 ff ff ff ff ff ff ff fe", REEL_INT, (uint64_t) -2, 0},
    {"ca 7f a0 00 01", REEL_F32, 0x7fa00001, 0}, /* signalling NaN, bit for bit */
    {"cb 7f f4 00 00 00 00 00 01", REEL_F64, UINT64_C (0x7ff4000000000001), 0},
    {"a0", REEL_STR, 0, 0},
    {"a3 61 62 63", REEL_STR, 3, 0},
    {"d9 00", REEL_STR, 0, 0},
    {"d9 02 61 62", REEL_STR, 2, 0},
    {"da 00 02 61 62", REEL_STR, 2, 0},
    {"db 00 00 00 02 61 62", REEL_STR, 2, 0},
    {"c4 00", REEL_BIN, 0, 0},
    {"c4 02 ff 00", REEL_BIN, 2, 0},
    {"c5 00 02 ff 00", REEL_BIN, 2, 0},
    {"c6 00 00 00 02 ff 00", REEL_BIN, 2, 0},
    {"d4 05 01", REEL_EXT, 1, 5},
    {"d5 80 01 02", REEL_EXT, 2, -128},
    {"d6 ff 01 02 03 04", REEL_EXT, 4, -1},
    {"d7 7f 01 02 03 04 05 06 07 08", REEL_EXT, 8, 127},
    {"d8 00 01 02 03 04 05 06 07 08 01 02 03 04 05 06 07 08", REEL_EXT, 16, 0},
    {"c7 00 05", REEL_EXT, 0, 5},
    {"c7 03 05 01 02 03", REEL_EXT, 3, 5},
    {"c8 00 01 05 01", REEL_EXT, 1, 5},
    {"c9 00 00 00 01 05 01", REEL_EXT, 1, 5},
    {"90", REEL_ARRAY, 0, 0},
    {"92 01 02", REEL_ARRAY, 2, 0},
    {"dc 00 01 01", REEL_ARRAY, 1, 0},
    {"dd 00 00 00 01 01", REEL_ARRAY, 1, 0},
    {"80", REEL_MAP, 0, 0},
    {"81 a1 61 01", REEL_MAP, 1, 0},
    {"de 00 01 a1 61 01", REEL_MAP, 1, 0},
    {"df 00 00 00 01 a1 61 01", REEL_MAP, 1, 0},
};

static void
ck_assert_value (const struct reel_value *value, size_t row)
{
    uint64_t number = values[row].number;
    ck_assert_int_eq (value->type, values[row].type);
    switch (value->type) {
    case REEL_NIL: break;
    case REEL_BOOL: ck_assert_int_eq (value->boolean, number == 1); break;
    case REEL_UINT: ck_assert_uint_eq (value->u, number); break;
    case REEL_INT: ck_assert_int_eq (value->i, (int64_t) number); break;
    case REEL_F32: ck_assert_uint_eq (value->bits32, number); break;
    case REEL_F64: ck_assert_uint_eq (value->bits64, number); break;
    case REEL_EXT: ck_assert_int_eq (value->ext_type, values[row].ext_type); /* fall through */
    case REEL_STR:
    case REEL_BIN: ck_assert_uint_eq (value->bytes.len, number); break;
    case REEL_ARRAY:
    case REEL_MAP: ck_assert_uint_eq (value->count, number); break;
    }
}

START_TEST (every_format_is_read)
{
    for (size_t i = 0; i < COUNT (values); i++) {
        struct reel_slice bytes = document_hex (values[i].hex), body;
        struct reel_value value;
        struct reel_whole whole;
        struct reel_cursor cursor = reel_scan_start (bytes);
        ck_assert_accepted (bytes, 1);
        ck_assert (reel_scan_value (bytes, &value));
        ck_assert_value (&value, i);
        if (value.type == REEL_STR || value.type == REEL_BIN || value.type == REEL_EXT)
            ck_assert_ptr_eq (value.bytes.data + value.bytes.len, bytes.data + bytes.len);
        ck_assert_int_eq (reel_scan_type (bytes), values[i].type);
        ck_assert (reel_scan_skip (&cursor, &body) && reel_slice_equal (body, bytes));
        ck_assert_ptr_eq (cursor.at, cursor.end);
        cursor = reel_scan_start (bytes);
        ck_assert (reel_scan_whole (&cursor, &whole) && reel_slice_equal (whole.bytes, bytes));
        ck_assert_value (&whole.head, i);
        ck_assert_ptr_eq (cursor.at, cursor.end);
    }
}
END_TEST

START_TEST (every_format_is_refused_when_cut_off_anywhere)
{
    for (size_t i = 0; i < COUNT (values); i++) {
        struct reel_slice bytes = document_hex (values[i].hex);
        for (size_t len = 0; len < bytes.len; len++) {
            struct reel_slice cut = document_copy (reel_slice (bytes.data, len));
            struct reel_error err = {0};
            struct reel_cursor cursor = reel_scan_start (cut);
            struct reel_whole whole;
            ck_assert_int_eq (reel_scan_check (cut, REEL_DEPTH_MAX, &err), REEL_INVALID);
            ck_assert_str_eq (err.code, "malformed");
            ck_assert (!reel_scan_whole (&cursor, &whole));
            cursor = reel_scan_start (cut);
            ck_assert (!reel_scan_skip (&cursor, NULL));
        }
    }
}
END_TEST

START_TEST (every_format_is_refused_with_a_byte_too_many)
{
    for (size_t i = 0; i < COUNT (values); i++) {
        char hex[80];
        snprintf (hex, sizeof hex, "%s c0", values[i].hex);
        ck_assert_refused (document_hex (hex), "malformed", "", "1 bytes left over");
    }
}
END_TEST

START_TEST (a_cursor_without_bytes_reads_nothing)
{
    struct reel_value value;
    struct reel_slice found = REEL_SLICE_NONE;
    struct reel_cursor cursor = reel_scan_start (REEL_SLICE_NONE);
    ck_assert (!reel_scan_next (&cursor, &value));
    ck_assert (!reel_scan_skip (&cursor, NULL));
    ck_assert (!reel_scan_key (&cursor, &found));
    ck_assert (!reel_scan_value (REEL_SLICE_NONE, &value));
    ck_assert_int_eq (reel_scan_type (REEL_SLICE_NONE), REEL_NIL);
    ck_assert (!reel_scan_find (REEL_SLICE_NONE, reel_slice_text ("a"), &found));
    ck_assert_uint_eq (reel_scan_depth (REEL_SLICE_NONE), 0);
    ck_assert (reel_scan_utf8 (REEL_SLICE_NONE));
}
END_TEST

/* --- the check --------------------------------------------------------------------------- */

static const struct {
    const char *hex, *code, *path, *message;
} refusals[] = {
    {"", "malformed", "", "cut off"},
    {"c1", "malformed", "", "at byte 0 of 1"},
    {"93 01 c1 02", "malformed", "/1", "at byte 2 of 4"},
    {"c0 c0 c0", "malformed", "", "2 bytes left over"},
    /* counts that cannot be: five bytes that cost others gigabytes */
    {"dd 10 00 00 00", "malformed", "", "at byte 0 of 5"},
    {"df 10 00 00 00", "malformed", "", ""},
    {"dd ff ff ff ff", "malformed", "", ""},
    {"df ff ff ff ff", "malformed", "", ""},
    {"df 80 00 00 00", "malformed", "", ""}, /* twice that is nothing in 32 bits */
    {"df 80 00 00 01 a1 61", "malformed", "", ""},
    {"dc ff ff", "malformed", "", ""},
    {"de ff ff", "malformed", "", ""},
    {"9f 01", "malformed", "", ""},
    {"82 a1 61 c0", "malformed", "", "at byte 0 of 4"}, /* two pairs are four bytes or more */
    {"db ff ff ff ff 61", "malformed", "", ""},
    {"c6 ff ff ff ff 61", "malformed", "", ""},
    {"c9 ff ff ff ff 01 61", "malformed", "", ""},
    {"81 a1 61 dd 10 00 00 00", "malformed", "/a", "at byte 3 of 8"},
    {"81 a1 61 92 01 a5 61", "malformed", "/a/1", ""},
    /* keys */
    {"81 01 02", "bad_type", "", "key that is not a string"},
    {"81 c0 02", "bad_type", "", "key that is not a string"},
    {"81 c4 01 61 02", "bad_type", "", "key that is not a string"},
    {"81 90 02", "bad_type", "", "key that is not a string"},
    {"81 80 02", "bad_type", "", "key that is not a string"},
    {"81 a1 00 02", "bad_type", "", "contains NUL"},
    {"81 a3 61 00 62 02", "bad_type", "", "contains NUL"},
    {"81 a1 ff 02", "bad_type", "", "key that is not valid UTF-8"},
    {"82 a1 61 01 a1 61 02", "bad_type", "", "there twice"},
    {"82 a0 01 a0 02", "bad_type", "", "there twice"},
    {"82 a1 61 01 d9 01 61 02", "bad_type", "", "there twice"}, /* however it was written */
    {"82 a1 78 81 01 02 a1 79 01", "bad_type", "/x", "key that is not a string"},
    {"92 01 82 a1 61 01 a1 61 02", "bad_type", "/1", "there twice"},
    /* values */
    {"a1 80", "bad_type", "", "string that is not valid UTF-8"},
    {"81 a1 61 a1 ff", "bad_type", "/a", "string that is not valid UTF-8"},
    {"93 a1 61 a1 62 a1 ff", "bad_type", "/2", "string that is not valid UTF-8"},
    /* the pointer's own characters */
    {"81 a3 61 2f 62 a1 ff", "bad_type", "/a~1b", ""},
    {"81 a3 61 7e 62 a1 ff", "bad_type", "/a~0b", ""},
    {"81 a2 7e 31 a1 ff", "bad_type", "/~01", ""},
    {"81 a0 a1 ff", "bad_type", "/", ""},
    {"81 a2 c3 a4 91 a1 ff", "bad_type", "/\xc3\xa4/0", ""},
    {"9c 00 01 02 03 04 05 06 07 08 09 0a 81 a1 6b c1", "malformed", "/11/k", ""},
    /* the first of two problems */
    {"82 a1 61 a1 ff 01 02", "bad_type", "/a", "string"},
    {"92 a1 ff c1", "bad_type", "/0", "string"},
    {"83 a1 61 01 a1 61 02 a1 62 c1", "bad_type", "", "there twice"},
    {"83 a1 61 01 a1 62 c1 a1 61 02", "malformed", "/b", ""},
    {"83 a1 61 81 a1 78 01 a1 62 01 a1 61 c0", "bad_type", "", "there twice"},
};

START_TEST (what_is_wrong_is_named_with_its_place)
{
    for (size_t i = 0; i < COUNT (refusals); i++)
        ck_assert_refused (document_hex (refusals[i].hex), refusals[i].code, refusals[i].path, refusals[i].message);
}
END_TEST

START_TEST (the_same_key_in_different_maps_is_no_double)
{
    static const char *const documents[] = {"{'a':{'a':{'a':1}},'b':{'a':1,'b':[{'a':1},{'a':1}]}}",
                                            "[{'a':1},{'a':1}]", "{'a':{},'b':{'a':1},'ab':1,'ba':2,'':3}"};
    for (size_t i = 0; i < COUNT (documents); i++)
        ck_assert_accepted (document (documents[i]), REEL_DEPTH_MAX);
}
END_TEST

/* `levels` containers around nil: arrays, maps, or both in turn. */
static struct reel_slice
nest (unsigned levels, char kind)
{
    struct reel_buf out = {0};
    for (unsigned i = 0; i < levels; i++) {
        if (kind == 'a' || (kind == 'b' && i % 2 == 0)) {
            reel_pack_array (&out, 1);
        } else {
            reel_pack_map (&out, 1);
            reel_pack_text (&out, "k");
        }
    }
    reel_pack_nil (&out);
    struct reel_slice copy = document_copy (reel_buf_slice (&out));
    reel_buf_free (&out);
    return copy;
}

START_TEST (nesting_is_bounded)
{
    for (unsigned depth_max = 0; depth_max <= REEL_DEPTH_MAX; depth_max++)
        for (const char *kind = "amb"; *kind != '\0'; kind++) {
            ck_assert_accepted (nest (depth_max, *kind), depth_max);
            ck_assert_int_eq (reel_scan_check (nest (depth_max + 1, *kind), depth_max, NULL), REEL_INVALID);
        }
    ck_assert_refused (nest (25, 'a'), "limit_exceeded", "/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0", "deep");
    ck_assert_refused (nest (25, 'm'), "limit_exceeded", "/k/k/k/k/k/k/k/k/k/k/k/k/k/k/k/k/k/k/k/k/k/k/k/k", "deep");
    ck_assert_refused (nest (100000, 'a'), "limit_exceeded", "/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0",
                       "deep");
}
END_TEST

START_TEST (an_empty_container_counts_as_a_level)
{
    ck_assert_accepted (document_hex ("90"), 1);
    ck_assert_int_eq (reel_scan_check (document_hex ("90"), 0, NULL), REEL_INVALID);
    ck_assert_int_eq (reel_scan_check (document_hex ("80"), 0, NULL), REEL_INVALID);
    ck_assert_int_eq (reel_scan_check (document_hex ("91 80"), 1, NULL), REEL_INVALID);
    ck_assert_accepted (document_hex ("93 90 80 91 c0"), 2);
}
END_TEST

START_TEST (depth_is_measured)
{
    for (unsigned levels = 0; levels <= REEL_DEPTH_MAX; levels++)
        for (const char *kind = "amb"; *kind != '\0'; kind++)
            ck_assert_uint_eq (reel_scan_depth (nest (levels, *kind)), levels);
    ck_assert_uint_gt (reel_scan_depth (nest (REEL_DEPTH_MAX + 1, 'a')), REEL_DEPTH_MAX);
    ck_assert_uint_eq (reel_scan_depth (document ("[[],{'a':[[1]]},[],2]")), 4);
    ck_assert_uint_eq (reel_scan_depth (document ("{'a':1,'b':{}}")), 2);
}
END_TEST

/* A map of `count` keys k0, k1, ...; the one at `at` (none for UINT32_MAX) is called like the one at `like`. */
static void
add_map (struct reel_buf *out, uint32_t count, uint32_t at, uint32_t like)
{
    char key[16];
    reel_pack_map (out, count);
    for (uint32_t i = 0; i < count; i++) {
        snprintf (key, sizeof key, "k%u", i == at ? like : i);
        reel_pack_text (out, key);
        reel_pack_uint (out, i % 100);
    }
}

static struct reel_slice
map_of (uint32_t count, uint32_t at, uint32_t like)
{
    struct reel_buf out = {0};
    reel_pack_array (&out, 2);
    reel_pack_nil (&out);
    add_map (&out, count, at, like);
    struct reel_slice copy = document_copy (reel_buf_slice (&out));
    reel_buf_free (&out);
    return copy;
}

START_TEST (doubles_of_keys_are_found_in_maps_of_any_size)
{
    static const uint32_t counts[] = {2, 3, 15, 16, 17, 18, 47, 48, 49, 50, 95, 96, 97, 1000, 65535, 65536};
    for (size_t i = 0; i < COUNT (counts); i++) {
        uint32_t last = counts[i] - 1;
        ck_assert_accepted (map_of (counts[i], UINT32_MAX, 0), 2);
        ck_assert_refused (map_of (counts[i], last, 0), "bad_type", "/1", "there twice");
        ck_assert_refused (map_of (counts[i], last, last - 1), "bad_type", "/1", "there twice");
        ck_assert_refused (map_of (counts[i], 0, last), "bad_type", "/1", "there twice");
        ck_assert_refused (map_of (counts[i], last / 2, last), "bad_type", "/1", "there twice");
    }
}
END_TEST

START_TEST (every_pair_of_keys_of_a_small_map_is_compared)
{
    for (uint32_t count = 2; count <= 17; count++)
        for (uint32_t at = 0; at < count; at++)
            for (uint32_t like = 0; like < count; like++)
                if (at != like)
                    ck_assert_refused (map_of (count, at, like), "bad_type", "/1", "there twice");
}
END_TEST

START_TEST (keys_of_one_map_are_bounded)
{
    ck_assert_accepted (map_of (REEL_MAP_KEYS_MAX, UINT32_MAX, 0), 2);
    ck_assert_refused (map_of (REEL_MAP_KEYS_MAX + 1, UINT32_MAX, 0), "limit_exceeded", "/1", "keys");
}
END_TEST

/* Large maps inside one another and after one another: each has its keys to itself. */
START_TEST (large_maps_nest)
{
    for (unsigned twice = 0; twice <= 1; twice++) {
        struct reel_buf out = {0};
        reel_pack_map (&out, 41);
        for (unsigned i = 0; i < 41; i++) {
            char key[16];
            snprintf (key, sizeof key, "k%u", i == 40 && twice ? 3 : i);
            reel_pack_text (&out, key);
            add_map (&out, 10 + 5 * i, UINT32_MAX, 0);
        }
        struct reel_slice copy = document_copy (reel_buf_slice (&out));
        reel_buf_free (&out);
        if (twice)
            ck_assert_refused (copy, "bad_type", "", "there twice");
        else
            ck_assert_accepted (copy, 2);
    }
}
END_TEST

START_TEST (the_path_goes_through_large_maps)
{
    struct reel_buf out = {0};
    reel_pack_map (&out, 60);
    for (unsigned i = 0; i < 60; i++) {
        char key[16];
        snprintf (key, sizeof key, "k%u", i);
        reel_pack_text (&out, key);
        if (i == 55) {
            add_map (&out, 70, 69, 68);
        } else {
            add_map (&out, 20, UINT32_MAX, 0);
        }
    }
    ck_assert_refused (document_copy (reel_buf_slice (&out)), "bad_type", "/k55", "there twice");
    ck_assert_refused (document_copy (reel_slice (out.data, out.len - 1)), "bad_type", "/k55", "there twice");
    reel_buf_clear (&out);
    reel_pack_map (&out, 50);
    for (unsigned i = 0; i < 50; i++) {
        char key[16];
        snprintf (key, sizeof key, "k%u", i);
        reel_pack_text (&out, key);
        reel_pack_array (&out, 1);
        reel_buf_add_byte (&out, i == 49 ? 0xc1 : 0xc0);
    }
    ck_assert_refused (document_copy (reel_buf_slice (&out)), "malformed", "/k49/0", "");
    reel_buf_free (&out);
}
END_TEST

START_TEST (a_path_too_long_ends_at_an_enclosing_value)
{
    static char key[2 * REEL_ERROR_PATH_BYTES];
    struct reel_buf out = {0};
    struct reel_error err = {0};
    memset (key, 'x', sizeof key - 1);
    reel_pack_map (&out, 1);
    reel_pack_text (&out, "a");
    reel_pack_map (&out, 1);
    reel_pack_text (&out, key);
    reel_pack_array (&out, 1);
    reel_buf_add_byte (&out, 0xc1);
    ck_assert_int_eq (reel_scan_check (document_copy (reel_buf_slice (&out)), REEL_DEPTH_MAX, &err), REEL_INVALID);
    ck_assert_str_eq (err.path, "/a");
    reel_buf_free (&out);
}
END_TEST

/* --- UTF-8 ------------------------------------------------------------------------------- */

static const struct {
    const char *hex;
    bool valid;
} texts[] = {
    {"00", true},
    {"7f", true},
    {"80", false},
    {"bf", false},
    {"c0 80", false},
    {"c1 bf", false},
    {"c2 80", true},
    {"df bf", true},
    {"c2", false},
    {"c2 7f", false},
    {"c2 c0", false},
    {"e0 9f bf", false},
    {"e0 a0 80", true},
    {"ed 9f bf", true},
    {"ed a0 80", false},
    {"ed bf bf", false},
    {"ee 80 80", true},
    {"ef bf bf", true},
    {"e2 82", false},
    {"e2 82 c0", false},
    {"f0 8f bf bf", false},
    {"f0 90 80 80", true},
    {"f4 8f bf bf", true},
    {"f4 90 80 80", false},
    {"f5 80 80 80", false},
    {"f0 90 80", false},
    {"f8 88 80 80", false},
    {"ff", false},
    {"fe", false},
    {"f0 9f 8e ac", true},
    {"f0 9f 8e ac ac", false},
};

/* Each text at every place of strings of every length around the eight bytes that are looked at together. */
START_TEST (utf8_is_checked_wherever_it_stands)
{
    for (size_t i = 0; i < COUNT (texts); i++) {
        struct reel_slice text = document_hex (texts[i].hex);
        for (size_t before = 0; before <= 17; before++)
            for (size_t after = 0; after <= 17; after++) {
                uint8_t bytes[48];
                memset (bytes, 'x', sizeof bytes);
                memcpy (bytes + before, text.data, text.len);
                struct reel_slice whole = document_copy (reel_slice (bytes, before + text.len + after));
                if (reel_scan_utf8 (whole) != texts[i].valid)
                    ck_abort_msg ("%s after %zu before %zu", texts[i].hex, before, after);
            }
    }
}
END_TEST

START_TEST (nul_in_a_key_is_found_wherever_it_stands)
{
    for (size_t len = 1; len <= 40; len++)
        for (size_t at = 0; at <= len; at++)
            for (unsigned wide = 0; wide <= 1; wide++) {
                struct reel_buf out = {0};
                uint8_t key[64];
                memset (key, 'x', sizeof key);
                memcpy (key + len, "\xc3\xa4", 2);
                if (at < len)
                    key[at] = 0;
                reel_pack_map (&out, 1);
                reel_pack_str (&out, reel_slice (key, len + 2 * wide));
                reel_pack_nil (&out);
                struct reel_slice bytes = document_copy (reel_buf_slice (&out));
                if (at < len)
                    ck_assert_refused (bytes, "bad_type", "", "contains NUL");
                else
                    ck_assert_accepted (bytes, 1);
                reel_buf_free (&out);
            }
}
END_TEST

/* --- finding ----------------------------------------------------------------------------- */

START_TEST (members_are_found_by_key)
{
    struct reel_slice map = document ("{'a':1,'text':'x','map':{'b':[2]},'':null,'neg':-1}"), found, text;
    uint64_t number;
    ck_assert (reel_scan_find (map, reel_slice_text ("map"), &found));
    ck_assert_str_eq (document_json (found), "{'b':[2]}");
    ck_assert (reel_scan_find (map, reel_slice_text (""), &found));
    ck_assert_str_eq (document_json (found), "null");
    ck_assert (!reel_scan_find (map, reel_slice_text ("b"), &found));
    ck_assert (!reel_scan_find (map, reel_slice_text ("te"), &found));
    ck_assert (!reel_scan_find (document ("['a',1]"), reel_slice_text ("a"), &found));
    ck_assert (reel_scan_find_str (map, "text", &text) && reel_slice_is (text, "x"));
    ck_assert (!reel_scan_find_str (map, "a", &text));
    ck_assert (!reel_scan_find_str (map, "none", &text));
    ck_assert (reel_scan_find_uint (map, "a", &number) && number == 1);
    ck_assert (!reel_scan_find_uint (map, "neg", &number));
    ck_assert (!reel_scan_find_uint (map, "text", &number));
}
END_TEST

START_TEST (pairs_are_read_in_order)
{
    struct reel_cursor cursor = reel_scan_start (document ("{'a':[1,{'x':2}],'b':'c'}"));
    struct reel_value head;
    struct reel_slice key;
    struct reel_whole value;
    ck_assert (reel_scan_next (&cursor, &head) && head.count == 2);
    ck_assert (reel_scan_pair (&cursor, &key, &value) && reel_slice_is (key, "a"));
    ck_assert_int_eq (value.head.type, REEL_ARRAY);
    ck_assert_str_eq (document_json (value.bytes), "[1,{'x':2}]");
    ck_assert (reel_scan_pair (&cursor, &key, &value) && reel_slice_is (key, "b"));
    ck_assert (reel_slice_is (value.head.bytes, "c"));
    ck_assert (!reel_scan_pair (&cursor, &key, &value));
    cursor = reel_scan_start (document_hex ("01 02"));
    ck_assert (!reel_scan_pair (&cursor, &key, &value));
}
END_TEST

static const struct {
    const char *pointer, *found; /* NULL: nothing */
} pointers[] = {
    {"",
     "{'a':{'b':[10,{'c':'deep'}]},'':{'':1},'m~n':2,'a/b':3,'01':4,'arr':[0,1,2,3,4,5,6,7,8,9,10],'x y':5,'%25':6}"},
    {"/a", "{'b':[10,{'c':'deep'}]}"},
    {"/a/b", "[10,{'c':'deep'}]"},
    {"/a/b/0", "10"},
    {"/a/b/1/c", "'deep'"},
    {"/", "{'':1}"},
    {"//", "1"},
    {"/m~0n", "2"},
    {"/a~1b", "3"},
    {"/01", "4"}, /* a key, not an index */
    {"/x y", "5"},
    {"/%25", "6"}, /* no percent-decoding */
    {"/arr/10", "10"},
    {"/arr/11", NULL},
    {"/arr/-", NULL},
    {"/arr/01", NULL},
    {"/arr/ 1", NULL},
    {"/arr/1x", NULL},
    {"/arr/", NULL},
    {"/arr/4294967296", NULL},
    {"/arr/18446744073709551616", NULL},
    {"/a/b/1/c/0", NULL}, /* into a string */
    {"/a/b/0/", NULL},    /* into a number */
    {"/a/", NULL},
    {"/b", NULL},
    {"/m~n", NULL}, /* a lone ~ is no escape */
    {"/m~2n", NULL},
    {"/m~", NULL},
    {"/a/b/1/cc", NULL},
    {"/a/b/1/", NULL},
    {"a", NULL},
    {"#/a", NULL},
};

START_TEST (pointers_are_followed)
{
    struct reel_slice root = document (pointers[0].found), found;
    for (size_t i = 0; i < COUNT (pointers); i++) {
        bool there = reel_scan_pointer (root, document_copy (reel_slice_text (pointers[i].pointer)), &found);
        ck_assert_msg (there == (pointers[i].found != NULL), "%s", pointers[i].pointer);
        if (there)
            ck_assert_str_eq (document_json (found), pointers[i].found);
    }
    ck_assert (reel_scan_pointer (document ("7"), REEL_SLICE_NONE, &found));
    ck_assert (!reel_scan_pointer (document ("7"), reel_slice_text ("/0"), &found));
}
END_TEST

/* --- damage ------------------------------------------------------------------------------ */

#define SMALL                                                                                                          \
    "{'a':{'n':[1,-5,1.5,null,true],'bin':{'$bin':'AAEC'},'ext':{'$ext':[5,'AA==']}},'text':'h\xc3\xa4llo','big':"     \
    "70000,'list':[[],{},['x']]}"

/* An answer: accepted, or a known code with the path of something. */
static void
ck_assert_answered (struct reel_slice bytes)
{
    struct reel_error err = {.code = NULL};
    enum reel_status status = reel_scan_check (bytes, REEL_DEPTH_MAX, &err);
    if (status == REEL_OK) {
        if (reel_scan_depth (bytes) > REEL_DEPTH_MAX)
            ck_abort_msg ("too deep, but taken");
        return;
    }
    if (status != REEL_INVALID || (strcmp (err.code, "malformed") != 0 && strcmp (err.code, "bad_type") != 0)
        || (err.path[0] != '\0' && err.path[0] != '/') || !reel_scan_utf8 (reel_slice_text (err.path))
        || err.message[0] == '\0')
        ck_abort_msg ("%s at %s: %s", err.code, err.path, err.message); /* Check's assertions cost a system call each */
}

START_TEST (every_corruption_of_a_byte_is_answered)
{
    struct reel_slice whole = document (SMALL);
    struct reel_slice hurt = document_copy (whole);
    uint8_t *bytes = (uint8_t *) (uintptr_t) hurt.data;
    for (size_t at = 0; at < whole.len; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            bytes[at] = (uint8_t) byte;
            ck_assert_answered (hurt);
        }
        bytes[at] = whole.data[at];
    }
    ck_assert_accepted (hurt, REEL_DEPTH_MAX);
}
END_TEST

START_TEST (every_truncation_is_refused)
{
    struct reel_slice whole = document (SMALL);
    for (size_t len = 0; len < whole.len; len++) {
        struct reel_error err = {0};
        ck_assert_int_eq (reel_scan_check (document_copy (reel_slice (whole.data, len)), REEL_DEPTH_MAX, &err),
                          REEL_INVALID);
        ck_assert_str_eq (err.code, "malformed");
    }
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("scan");
    TCase *tcase = tcase_create ("scan");
    tcase_add_test (tcase, every_format_is_read);
    tcase_add_test (tcase, every_format_is_refused_when_cut_off_anywhere);
    tcase_add_test (tcase, every_format_is_refused_with_a_byte_too_many);
    tcase_add_test (tcase, a_cursor_without_bytes_reads_nothing);
    tcase_add_test (tcase, what_is_wrong_is_named_with_its_place);
    tcase_add_test (tcase, the_same_key_in_different_maps_is_no_double);
    tcase_add_test (tcase, nesting_is_bounded);
    tcase_add_test (tcase, an_empty_container_counts_as_a_level);
    tcase_add_test (tcase, depth_is_measured);
    tcase_add_test (tcase, doubles_of_keys_are_found_in_maps_of_any_size);
    tcase_add_test (tcase, every_pair_of_keys_of_a_small_map_is_compared);
    tcase_add_test (tcase, keys_of_one_map_are_bounded);
    tcase_add_test (tcase, large_maps_nest);
    tcase_add_test (tcase, the_path_goes_through_large_maps);
    tcase_add_test (tcase, a_path_too_long_ends_at_an_enclosing_value);
    tcase_add_test (tcase, utf8_is_checked_wherever_it_stands);
    tcase_add_test (tcase, nul_in_a_key_is_found_wherever_it_stands);
    tcase_add_test (tcase, members_are_found_by_key);
    tcase_add_test (tcase, pairs_are_read_in_order);
    tcase_add_test (tcase, pointers_are_followed);
    tcase_add_test (tcase, every_corruption_of_a_byte_is_answered);
    tcase_add_test (tcase, every_truncation_is_refused);
    suite_add_tcase (suite, tcase);
    return suite_run (suite);
}
