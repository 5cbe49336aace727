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
#include "proto/pack.h"
#include "tests/support/generate.h"
#include "tests/support/suite.h"

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

static bool
same_bytes (struct reel_slice bytes, const char *data, size_t len)
{
    return reel_slice_equal (bytes, reel_slice (data, len));
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
static bool
same_number (double a, double b)
{
    return (a == b || (a != a && b != b)) && (__builtin_signbit (a) != 0) == (__builtin_signbit (b) != 0);
}

static bool same (struct reel_cursor *cursor, const msgpack_object *object);

static bool
same_array (struct reel_cursor *cursor, uint32_t count, const msgpack_object_array *array)
{
    for (uint32_t i = 0; i < count && i < array->size; i++)
        if (!same (cursor, &array->ptr[i]))
            return false;
    return count == array->size;
}

static bool
same_map (struct reel_cursor *cursor, uint32_t count, const msgpack_object_map *map)
{
    for (uint32_t i = 0; i < count && i < map->size; i++) {
        const msgpack_object_str *expected = &map->ptr[i].key.via.str;
        struct reel_slice key;
        if (!reel_scan_key (cursor, &key) || !same_bytes (key, expected->ptr, expected->size)
            || !same (cursor, &map->ptr[i].val))
            return false;
    }
    return count == map->size;
}

static bool
same (struct reel_cursor *cursor, const msgpack_object *object)
{
    static const msgpack_object_type types[] = {[REEL_NIL] = MSGPACK_OBJECT_NIL,
                                                [REEL_BOOL] = MSGPACK_OBJECT_BOOLEAN,
                                                [REEL_UINT] = MSGPACK_OBJECT_POSITIVE_INTEGER,
                                                [REEL_INT] = MSGPACK_OBJECT_NEGATIVE_INTEGER,
                                                [REEL_F32] = MSGPACK_OBJECT_FLOAT32,
                                                [REEL_F64] = MSGPACK_OBJECT_FLOAT64,
                                                [REEL_STR] = MSGPACK_OBJECT_STR,
                                                [REEL_BIN] = MSGPACK_OBJECT_BIN,
                                                [REEL_EXT] = MSGPACK_OBJECT_EXT,
                                                [REEL_ARRAY] = MSGPACK_OBJECT_ARRAY,
                                                [REEL_MAP] = MSGPACK_OBJECT_MAP};
    struct reel_value value;
    if (!reel_scan_next (cursor, &value) || types[value.type] != object->type)
        return false;
    switch (value.type) {
    case REEL_NIL: return true;
    case REEL_BOOL: return value.boolean == object->via.boolean;
    case REEL_UINT: return value.u == object->via.u64;
    case REEL_INT: return value.i == object->via.i64;
    case REEL_F32:
    case REEL_F64: return same_number (as_double (&value), object->via.f64);
    case REEL_STR: return same_bytes (value.bytes, object->via.str.ptr, object->via.str.size);
    case REEL_BIN: return same_bytes (value.bytes, object->via.bin.ptr, object->via.bin.size);
    case REEL_EXT:
        return value.ext_type == object->via.ext.type
               && same_bytes (value.bytes, object->via.ext.ptr, object->via.ext.size);
    case REEL_ARRAY: return same_array (cursor, value.count, &object->via.array);
    case REEL_MAP: return same_map (cursor, value.count, &object->via.map);
    }
    return false;
}

/* msgpack-c reserves memory for whatever an array or a map of 32 bits' count declares: it is not asked. */
static bool
may_ask (struct reel_slice bytes)
{
    return bytes.len > 0 && memchr (bytes.data, 0xdd, bytes.len) == NULL
           && memchr (bytes.data, 0xdf, bytes.len) == NULL;
}

/* Returns whether the bytes were accepted. */
static bool
ck_assert_agree (unsigned long seed, struct reel_slice bytes)
{
    struct reel_error err = {.message = "nothing"};
    enum reel_status status = reel_scan_check (bytes, REEL_DEPTH_MAX, &err);
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
        ck_assert_msg (same (&cursor, &unpacked.data) && cursor.at == cursor.end, "document %lu is read differently",
                       seed);
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
    const char *asked = getenv ("REEL_DOCUMENTS");
    if (asked != NULL)
        return strtoul (asked, NULL, 10);
    return getenv ("REEL_VALGRIND") != NULL ? 300 : 20000;
}

/* A copy of its own size, so that a read past the end is seen. Returns whether it was accepted. */
static bool
look_at (unsigned long seed, const struct reel_buf *document)
{
    uint8_t *exact = malloc (document->len > 0 ? document->len : 1);
    ck_assert_ptr_nonnull (exact);
    if (document->len > 0)
        memcpy (exact, document->data, document->len);
    struct reel_slice bytes = reel_slice (exact, document->len);
    bool accepted = ck_assert_agree (seed, bytes);
    read_unchecked (bytes);
    free (exact);
    return accepted;
}

/* Puts the document into so many arrays that it is about as deep as one may be. */
static void
look_at_depth (unsigned long seed, struct reel_random *random, const struct reel_buf *document)
{
    struct reel_buf deep = {0};
    for (uint64_t levels = REEL_DEPTH_MAX - 6 + reel_random_below (random, 9); levels > 0; levels--)
        reel_buf_add_byte (&deep, 0x91);
    reel_buf_add_slice (&deep, reel_buf_slice (document));
    ck_assert_int_eq (reel_buf_status (&deep), REEL_OK);
    look_at (seed, &deep);
    reel_buf_free (&deep);
}

/* A map of up to 40 keys, of which often two are the same, with other such maps inside. */
static void
add_crowded_map (struct reel_random *random, unsigned depth_left, struct reel_buf *out)
{
    uint32_t count = (uint32_t) reel_random_below (random, reel_random_below (random, 2) == 0 ? 8 : 40);
    reel_pack_map (out, count);
    for (uint32_t i = 0; i < count; i++) {
        char key[3] = "";
        for (uint64_t at = reel_random_below (random, 8) == 0 ? 1 : 2; at > 0; at--)
            key[at - 1] = (char) ('a' + reel_random_below (random, 26));
        reel_pack_text (out, key);
        if (depth_left > 0 && reel_random_below (random, 8) == 0)
            add_crowded_map (random, depth_left - 1, out);
        else
            reel_pack_bool (out, true);
    }
}

START_TEST (agrees_on_keys)
{
    struct reel_buf map = {0};
    unsigned long accepted = 0, count = document_count ();
    for (unsigned long n = 0; n < count; n++) {
        struct reel_random random;
        reel_random_seed (&random, n);
        reel_buf_clear (&map);
        add_crowded_map (&random, 2, &map);
        ck_assert_int_eq (reel_buf_status (&map), REEL_OK);
        accepted += look_at (n, &map);
    }
    ck_assert_uint_gt (accepted, count / 8);
    ck_assert_uint_lt (accepted, count - count / 8);
    reel_buf_free (&map);
}
END_TEST

/* Document n is that of seed n: one that fails is repeated with the number that is printed. */
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
        ck_assert (look_at (n, &document));
        look_at_depth (n, &random, &document);
        for (unsigned damage = 0; damage < DAMAGES_A_DOCUMENT; damage++) {
            generate_mutation (&random, &document);
            refused += !look_at (n, &document);
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
    tcase_add_test (tcase, agrees_on_keys);
    suite_add_tcase (suite, tcase);
    return suite_run (suite);
}
