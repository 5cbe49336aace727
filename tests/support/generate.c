/*
 * The generator behind the tests of properties. Small values are likely, large ones happen.
 */
#include "tests/support/generate.h"

#include <string.h>

#include "base/assert.h"
#include "proto/pack.h"
#include "tests/support/count.h"

/* Mostly 0 to 4, sometimes past the first border of msgpack's formats (16, 32), rarely past the next (256). */
static size_t
length (struct reel_random *random)
{
    switch (reel_random_below (random, 120)) {
    case 0: return 254 + reel_random_below (random, 4);
    case 1:
    case 2:
    case 3:
    case 4: return 14 + reel_random_below (random, 20);
    default: return reel_random_below (random, 5);
    }
}

static void
characters (struct reel_random *random, size_t count, bool nul, struct reel_buf *out)
{
    static const char *const texts[] = {"a",
                                        "Z",
                                        " ",
                                        "\"",
                                        "\\",
                                        "/",
                                        "~",
                                        "$",
                                        "\n",
                                        "\x1f",
                                        "\x7f",
                                        "\xC3\xA4",
                                        "\xE2\x82\xAC",
                                        "\xE2\x80\xA8",
                                        "\xEF\xBF\xBF",
                                        "\xED\x9F\xBF",
                                        "\xF0\x9F\x8E\xAC",
                                        "\xF4\x8F\xBF\xBF"};
    for (size_t i = 0; i < count; i++) {
        size_t chosen = reel_random_below (random, COUNT (texts) + nul);
        if (chosen == COUNT (texts))
            reel_buf_add_byte (out, 0);
        else
            reel_buf_add_text (out, texts[chosen]);
    }
}

static void
bytes (struct reel_random *random, size_t count, struct reel_buf *out)
{
    for (size_t i = 0; i < count; i++)
        reel_buf_add_byte (out, (uint8_t) reel_random_below (random, 256));
}

static void
big_endian (struct reel_buf *out, uint64_t number, unsigned width)
{
    while (width-- > 0)
        reel_buf_add_byte (out, (uint8_t) (number >> 8 * width));
}

/* A number of random width, or one beside a power of two. */
static uint64_t
whole_number (struct reel_random *random)
{
    uint64_t number = reel_random_next (random) >> reel_random_below (random, 64);
    if (reel_random_below (random, 2) == 0)
        number = (1ull << reel_random_below (random, 64)) + reel_random_below (random, 3) - 1;
    return number;
}

static void
integer (struct reel_random *random, struct reel_buf *out)
{
    uint64_t number = whole_number (random);
    if (number > INT64_MAX || reel_random_below (random, 2) == 0)
        reel_pack_uint (out, number);
    else
        reel_pack_int (out, -1 - (int64_t) number);
}

static uint64_t
double_bits (struct reel_random *random)
{
    static const uint64_t special[] = {
        0x0000000000000000u, 0x8000000000000000u, 0x7ff0000000000000u, 0xfff0000000000000u, 0x7ff8000000000000u,
        0x7ff0000000000001u, 0xfff8dead0000beefu, 0x0000000000000001u, 0x000fffffffffffffu, 0x7fefffffffffffffu,
        0x3fb999999999999au, 0x4340000000000000u, 0x4341c37937e08000u, 0x7e37e43c8800759cu};
    double value;
    uint64_t bits;
    switch (reel_random_below (random, 4)) {
    case 0: return special[reel_random_below (random, COUNT (special))];
    case 1: return reel_random_next (random);
    case 2: value = (double) (int64_t) whole_number (random); break;
    default: value = (double) reel_random_below (random, 100000) / 100; break;
    }
    memcpy (&bits, &value, sizeof bits);
    return bits;
}

static uint32_t
float_bits (struct reel_random *random)
{
    static const uint32_t special[] = {0x00000000u, 0x80000000u, 0x7f800000u, 0xff800000u, 0x7fc00000u,
                                       0x7f800001u, 0xffc0dead,  0x00000001u, 0x7f7fffffu, 0x3dcccccdu};
    return reel_random_below (random, 2) == 0 ? special[reel_random_below (random, COUNT (special))]
                                              : (uint32_t) reel_random_next (random);
}

/* The three forms of a timestamp, each at its borders: other implementations refuse any other body of type -1. */
static void
timestamp (struct reel_random *random, struct reel_buf *body)
{
    static const uint64_t nanoseconds[] = {1, 999999999, 123456789}, seconds[] = {0, 1777367406, (1ull << 34) - 1};
    uint64_t form = reel_random_below (random, 3), fraction = nanoseconds[reel_random_below (random, 3)];
    if (form == 0) {
        big_endian (body, (uint32_t) reel_random_next (random), 4);
    } else if (form == 1) {
        big_endian (body, fraction << 34 | seconds[reel_random_below (random, 3)], 8);
    } else {
        big_endian (body, fraction, 4);
        big_endian (body, (1ull << 63 | reel_random_next (random)) >> reel_random_below (random, 2), 8);
    }
}

static void
extension (struct reel_random *random, struct reel_buf *out)
{
    struct reel_buf body = {0};
    int8_t type = (int8_t) ((int) reel_random_below (random, 256) - 128);
    if (type == -1 || reel_random_below (random, 6) == 0) {
        type = -1;
        timestamp (random, &body);
    } else {
        bytes (random, length (random), &body);
    }
    REEL_ASSERT (!body.failed);
    reel_pack_ext (out, type, reel_buf_slice (&body));
    reel_buf_free (&body);
}

static void
scalar (struct reel_random *random, struct reel_buf *out)
{
    struct reel_buf body = {0};
    switch (reel_random_below (random, 9)) {
    case 0: reel_pack_nil (out); break;
    case 1: reel_pack_bool (out, reel_random_below (random, 2) == 0); break;
    case 2:
    case 3: integer (random, out); break;
    case 4: reel_pack_f64_bits (out, double_bits (random)); break;
    case 5: reel_pack_f32_bits (out, float_bits (random)); break;
    case 6:
        characters (random, length (random), true, &body);
        reel_pack_str (out, reel_buf_slice (&body));
        break;
    case 7:
        bytes (random, length (random), &body);
        reel_pack_bin (out, reel_buf_slice (&body));
        break;
    default: extension (random, out);
    }
    REEL_ASSERT (!body.failed);
    reel_buf_free (&body);
}

/* A key like a `$` form's, or nearly. */
static void
form_key (struct reel_random *random, struct reel_buf *key)
{
    static const char *const names[] = {"bin", "ext", "uint", "f32", "f64", "ref", "", "Bin", "bin$"};
    for (size_t dollars = reel_random_below (random, 4); dollars > 0; dollars--)
        reel_buf_add_byte (key, '$');
    reel_buf_add_text (key, names[reel_random_below (random, COUNT (names))]);
}

static void
array (struct reel_random *random, unsigned depth_max, struct reel_buf *out)
{
    size_t count = length (random);
    reel_pack_array (out, (uint32_t) count);
    for (size_t i = 0; i < count; i++)
        generate_value (random, count > 4 ? 0 : depth_max - 1, out);
}

void
generate_map (struct reel_random *random, unsigned depth_max, struct reel_buf *out)
{
    size_t count = length (random);
    reel_pack_map (out, (uint32_t) count);
    for (size_t i = 0; i < count; i++) {
        struct reel_buf key = {0};
        if (count == 1 && reel_random_below (random, 2) == 0)
            form_key (random, &key);
        else
            characters (random, reel_random_below (random, 6), false, &key);
        if (count > 1)
            reel_buf_printf (&key, "%zu", i); /* so that no two are equal: the texts have no digits */
        REEL_ASSERT (!key.failed);
        reel_pack_str (out, reel_buf_slice (&key));
        reel_buf_free (&key);
        generate_value (random, count > 4 ? 0 : depth_max - 1, out);
    }
}

void
generate_value (struct reel_random *random, unsigned depth_max, struct reel_buf *out)
{
    /* Half of the members are scalars, so that a value is finite without its depth's bound. */
    uint64_t kind = reel_random_below (random, 4);
    if (depth_max == 0 || kind < 2)
        scalar (random, out);
    else if (kind == 2)
        array (random, depth_max, out);
    else
        generate_map (random, depth_max, out);
}

/* --- other spellings ----------------------------------------------------------------------- */

/* A head of one byte, the lowest of its kind, and a number of 1 << power bytes that follow it: any width that holds the
 * number, from `least` on. */
static void
wide_head (struct reel_random *random, uint8_t lowest, unsigned least, unsigned most, uint64_t number,
           struct reel_buf *out)
{
    unsigned power = least;
    while (power < 3 && number >> (8u << power) != 0)
        power++;
    power += (unsigned) reel_random_below (random, most - power + 1);
    reel_buf_add_byte (out, (uint8_t) (lowest + power - least));
    big_endian (out, number, 1u << power);
}

static void
wide_integer (struct reel_random *random, const struct reel_value *value, struct reel_buf *out)
{
    if (value->type == REEL_UINT && (value->u > INT64_MAX || reel_random_below (random, 2) == 0)) {
        wide_head (random, 0xcc, 0, 3, value->u, out);
        return;
    }
    int64_t number = value->type == REEL_UINT ? (int64_t) value->u : value->i;
    uint64_t magnitude = number < 0 ? ~(uint64_t) number : (uint64_t) number;
    unsigned power = 0;
    while (power < 3 && magnitude >> ((8u << power) - 1) != 0)
        power++;
    power += (unsigned) reel_random_below (random, 4 - power);
    reel_buf_add_byte (out, (uint8_t) (0xd0 + power));
    big_endian (out, (uint64_t) number, 1u << power);
}

/* True when the head (and the body, of what has one) is written. */
static bool
spell_otherwise (struct reel_random *random, const struct reel_value *value, struct reel_buf *out)
{
    switch (value->type) {
    case REEL_UINT:
    case REEL_INT: wide_integer (random, value, out); return true;
    case REEL_STR: wide_head (random, 0xd9, 0, 2, value->bytes.len, out); break;
    case REEL_BIN: wide_head (random, 0xc4, 0, 2, value->bytes.len, out); break;
    case REEL_EXT:
        wide_head (random, 0xc7, 0, 2, value->bytes.len, out);
        reel_buf_add_byte (out, (uint8_t) value->ext_type);
        break;
    case REEL_ARRAY: wide_head (random, 0xdc, 1, 2, value->count, out); return true;
    case REEL_MAP: wide_head (random, 0xde, 1, 2, value->count, out); return true;
    default: return false;
    }
    reel_buf_add_slice (out, value->bytes);
    return true;
}

static void
spell_shortest (const struct reel_value *value, struct reel_buf *out)
{
    switch (value->type) {
    case REEL_NIL: reel_pack_nil (out); break;
    case REEL_BOOL: reel_pack_bool (out, value->boolean); break;
    case REEL_UINT: reel_pack_uint (out, value->u); break;
    case REEL_INT: reel_pack_int (out, value->i); break;
    case REEL_F32: reel_pack_f32_bits (out, value->bits32); break;
    case REEL_F64: reel_pack_f64_bits (out, value->bits64); break;
    case REEL_STR: reel_pack_str (out, value->bytes); break;
    case REEL_BIN: reel_pack_bin (out, value->bytes); break;
    case REEL_EXT: reel_pack_ext (out, value->ext_type, value->bytes); break;
    case REEL_ARRAY: reel_pack_array (out, value->count); break;
    case REEL_MAP: reel_pack_map (out, value->count); break;
    }
}

void
generate_spelling (struct reel_random *random, struct reel_slice msgpack, struct reel_buf *out)
{
    struct reel_cursor cursor = reel_scan_start (msgpack);
    struct reel_value value;
    while (cursor.at < cursor.end) {
        bool read = reel_scan_next (&cursor, &value);
        REEL_ASSERT (read);
        if (random == NULL || reel_random_below (random, 3) > 0 || !spell_otherwise (random, &value, out))
            spell_shortest (&value, out);
    }
}

static void
mutate_once (struct reel_random *random, struct reel_buf *bytes)
{
    size_t at = reel_random_below (random, bytes->len);
    uint8_t *byte = bytes->data + at;
    switch (reel_random_below (random, 6)) {
    case 0: *byte ^= (uint8_t) (1u << reel_random_below (random, 8)); break;
    case 1: *byte = (uint8_t) reel_random_below (random, 256); break;
    case 2: *byte = 0; break;
    case 3:
        memmove (byte, byte + 1, bytes->len - at - 1);
        bytes->len--;
        break;
    case 4:
        reel_buf_add_byte (bytes, 0);
        REEL_ASSERT (!bytes->failed);
        memmove (bytes->data + at + 1, bytes->data + at, bytes->len - at - 1);
        break;
    default: bytes->len = at; break;
    }
}

void
generate_mutation (struct reel_random *random, struct reel_buf *bytes)
{
    for (size_t left = 1 + reel_random_below (random, 3); left > 0 && bytes->len > 0; left--)
        mutate_once (random, bytes);
}
