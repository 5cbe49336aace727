/*
 * The walk over msgpack against msgpack-c's own unpacker: on generated documents and on damaged ones
 * both must agree on what is msgpack, and where they do, on every value in it.
 *
 * The rules that are reel's own (keys, UTF-8, depth) are looked at in msgpack-c's objects, with
 * jansson's idea of UTF-8, so that no line of proto/scan.c judges itself.
 */
#include "proto/scan.h"

#include <check.h>
#include <jansson.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "tests/support/generate.h"

#define DAMAGES_A_DOCUMENT 8

static bool
is_utf8 (const char *data, size_t len)
{
    json_t *string = json_stringn (len > 0 ? data : "", len);
    bool valid = string != NULL;
    json_decref (string);
    return valid;
}

static bool
same_str (const msgpack_object_str *a, const msgpack_object_str *b)
{
    return a->size == b->size && memcmp (a->ptr, b->ptr, a->size) == 0;
}

static bool acceptable (const msgpack_object *object, unsigned depth_left);

static bool
acceptable_map (const msgpack_object_map *map, unsigned depth_left)
{
    for (uint32_t i = 0; i < map->size; i++) {
        const msgpack_object *key = &map->ptr[i].key;
        if (key->type != MSGPACK_OBJECT_STR || !is_utf8 (key->via.str.ptr, key->via.str.size)
            || (key->via.str.size > 0 && memchr (key->via.str.ptr, 0, key->via.str.size) != NULL)
            || !acceptable (&map->ptr[i].val, depth_left))
            return false;
        for (uint32_t k = 0; k < i; k++)
            if (same_str (&key->via.str, &map->ptr[k].key.via.str))
                return false;
    }
    return map->size <= REEL_MAP_KEYS_MAX;
}

static bool
acceptable (const msgpack_object *object, unsigned depth_left)
{
    switch (object->type) {
    case MSGPACK_OBJECT_STR: return is_utf8 (object->via.str.ptr, object->via.str.size);
    case MSGPACK_OBJECT_MAP: return depth_left > 0 && acceptable_map (&object->via.map, depth_left - 1);
    case MSGPACK_OBJECT_ARRAY:
        if (depth_left == 0)
            return false;
        for (uint32_t i = 0; i < object->via.array.size; i++)
            if (!acceptable (&object->via.array.ptr[i], depth_left - 1))
                return false;
        return true;
    default: return true;
    }
}

static void
ck_assert_bytes (struct reel_slice bytes, const char *data, size_t len)
{
    ck_assert (reel_slice_equal (bytes, reel_slice (data, len)));
}

static double
as_double (const struct reel_value *value)
{
    float single;
    double number;
    memcpy (&single, &value->bits32, sizeof single);
    memcpy (&number, &value->bits64, sizeof number);
    return value->type == REEL_F32 ? (double) single : number;
}

/* NaNs are equal here when their signs are: msgpack-c passes floats through a register. */
static void
ck_assert_number (double a, double b)
{
    ck_assert (a == b || (a != a && b != b));
    ck_assert_int_eq (__builtin_signbit (a) != 0, __builtin_signbit (b) != 0);
}

static void ck_assert_same (struct reel_cursor *cursor, const msgpack_object *object);

static void
ck_assert_same_members (struct reel_cursor *cursor, uint32_t count, const msgpack_object *object)
{
    if (object->type == MSGPACK_OBJECT_ARRAY) {
        ck_assert_uint_eq (count, object->via.array.size);
        for (uint32_t i = 0; i < count; i++)
            ck_assert_same (cursor, &object->via.array.ptr[i]);
        return;
    }
    ck_assert_int_eq (object->type, MSGPACK_OBJECT_MAP);
    ck_assert_uint_eq (count, object->via.map.size);
    for (uint32_t i = 0; i < count; i++) {
        const msgpack_object_kv *pair = &object->via.map.ptr[i];
        struct reel_slice key;
        ck_assert (reel_scan_key (cursor, &key));
        ck_assert_bytes (key, pair->key.via.str.ptr, pair->key.via.str.size);
        ck_assert_same (cursor, &pair->val);
    }
}

static void
ck_assert_same (struct reel_cursor *cursor, const msgpack_object *object)
{
    static const msgpack_object_type types[] = {
        [REEL_NIL] = MSGPACK_OBJECT_NIL,      [REEL_BOOL] = MSGPACK_OBJECT_BOOLEAN,
        [REEL_UINT] = MSGPACK_OBJECT_POSITIVE_INTEGER, [REEL_INT] = MSGPACK_OBJECT_NEGATIVE_INTEGER,
        [REEL_F32] = MSGPACK_OBJECT_FLOAT32,  [REEL_F64] = MSGPACK_OBJECT_FLOAT64,
        [REEL_STR] = MSGPACK_OBJECT_STR,      [REEL_BIN] = MSGPACK_OBJECT_BIN,
        [REEL_EXT] = MSGPACK_OBJECT_EXT,      [REEL_ARRAY] = MSGPACK_OBJECT_ARRAY,
        [REEL_MAP] = MSGPACK_OBJECT_MAP};
    struct reel_value value;
    ck_assert (reel_scan_next (cursor, &value));
    ck_assert_int_eq (types[value.type], object->type);
    switch (value.type) {
    case REEL_NIL: break;
    case REEL_BOOL: ck_assert_int_eq (value.boolean, object->via.boolean); break;
    case REEL_UINT: ck_assert_uint_eq (value.u, object->via.u64); break;
    case REEL_INT: ck_assert_int_eq (value.i, object->via.i64); break;
    case REEL_F32:
    case REEL_F64: ck_assert_number (as_double (&value), object->via.f64); break;
    case REEL_STR: ck_assert_bytes (value.bytes, object->via.str.ptr, object->via.str.size); break;
    case REEL_BIN: ck_assert_bytes (value.bytes, object->via.bin.ptr, object->via.bin.size); break;
    case REEL_EXT:
        ck_assert_int_eq (value.ext_type, object->via.ext.type);
        ck_assert_bytes (value.bytes, object->via.ext.ptr, object->via.ext.size);
        break;
    case REEL_ARRAY:
    case REEL_MAP: ck_assert_same_members (cursor, value.count, object); break;
    }
}

/* msgpack-c reserves memory for whatever an array or a map of 32 bits' count declares: it is not asked. */
static bool
may_ask (struct reel_slice bytes)
{
    return bytes.len > 0 && memchr (bytes.data, 0xdd, bytes.len) == NULL && memchr (bytes.data, 0xdf, bytes.len) == NULL;
}

/* Returns whether the bytes were accepted. */
static bool
ck_assert_agree (unsigned long seed, struct reel_slice bytes)
{
    struct reel_error err = {.message = "nothing"};
    enum reel_status status = reel_scan_check (bytes, REEL_DEPTH_MAX, &err);
    ck_assert (status == REEL_OK || status == REEL_INVALID);
    if (!may_ask (bytes))
        return status == REEL_OK;
    msgpack_unpacked unpacked;
    msgpack_unpacked_init (&unpacked);
    size_t end = 0;
    bool whole = msgpack_unpack_next (&unpacked, (const char *) bytes.data, bytes.len, &end) == MSGPACK_UNPACK_SUCCESS
                 && end == bytes.len;
    bool accepted = whole && acceptable (&unpacked.data, REEL_DEPTH_MAX);
    ck_assert_msg ((status == REEL_OK) == accepted, "document %lu: msgpack-c says %d, %d; reel finds %s", seed, whole,
                   accepted, err.message);
    if (accepted) {
        struct reel_cursor cursor = reel_scan_start (bytes);
        ck_assert_same (&cursor, &unpacked.data);
        ck_assert_ptr_eq (cursor.at, cursor.end);
    }
    msgpack_unpacked_destroy (&unpacked);
    return accepted;
}

/* What is promised of bytes that nobody has checked: to stay inside of them and to end. */
static void
read_unchecked (struct reel_slice bytes)
{
    struct reel_cursor cursor = reel_scan_start (bytes);
    struct reel_slice found;
    uint64_t number;
    if (reel_scan_skip (&cursor, &found))
        ck_assert_uint_le (found.len, bytes.len);
    if (reel_scan_find (bytes, reel_slice_text ("a1"), &found))
        ck_assert (found.data > bytes.data && found.data + found.len <= bytes.data + bytes.len);
    (void) reel_scan_find_str (bytes, "0", &found);
    (void) reel_scan_find_uint (bytes, "0", &number);
    (void) reel_scan_pointer (bytes, reel_slice_text ("/0/0/0"), &found);
    (void) reel_scan_depth (bytes);
}

static unsigned long
document_count (void)
{
    const char *asked = getenv ("REEL_TEST_DOCUMENTS");
    if (asked != NULL)
        return strtoul (asked, NULL, 10);
    return getenv ("REEL_VALGRIND") != NULL ? 300 : 20000;
}

/* Document n is that of seed n: one that fails is repeated with the number that is printed. The copies have
 * their own size, so that a read past the end is seen. */
START_TEST (agrees_with_msgpack_c)
{
    struct reel_buf document = {0};
    unsigned long refused = 0, count = document_count ();
    for (unsigned long n = 0; n < count; n++) {
        struct reel_random random;
        reel_random_seed (&random, n);
        reel_buf_clear (&document);
        generate_value (&random, (unsigned) reel_random_below (&random, 6), &document);
        ck_assert_int_eq (reel_buf_status (&document), REEL_OK);
        ck_assert (ck_assert_agree (n, reel_buf_slice (&document)));
        for (unsigned damage = 0; damage < DAMAGES_A_DOCUMENT; damage++) {
            generate_mutation (&random, &document);
            char *exact = reel_slice_dup (reel_buf_slice (&document));
            ck_assert_ptr_nonnull (exact);
            char *shrunk = realloc (exact, document.len > 0 ? document.len : 1);
            ck_assert_ptr_nonnull (shrunk);
            struct reel_slice bytes = reel_slice (shrunk, document.len);
            refused += !ck_assert_agree (n, bytes);
            read_unchecked (bytes);
            free (shrunk);
        }
    }
    ck_assert_uint_ge (refused, count); /* damage is damage: else this test looks at nothing */
    reel_buf_free (&document);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("scan against msgpack-c");
    TCase *tcase = tcase_create ("scan against msgpack-c");
    tcase_add_test (tcase, agrees_with_msgpack_c);
    suite_add_tcase (suite, tcase);
    SRunner *runner = srunner_create (suite);
    srunner_run_all (runner, CK_NORMAL);
    int failed = srunner_ntests_failed (runner);
    srunner_free (runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
