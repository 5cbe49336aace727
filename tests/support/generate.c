/*
 * The generator behind the tests of properties. Small values are likely, large ones happen.
 */
#include "tests/support/generate.h"

#include <string.h>

#include "base/assert.h"
#include "proto/pack.h"

#define COUNT(array) (sizeof (array) / sizeof (array)[0])

/* Mostly 0 to 4, sometimes past the first border of msgpack's formats (16, 32), rarely past the next (256). */
static size_t
length (struct reel_random *random)
{
    switch (reel_random_below (random, 40)) {
    case 0: return 254 + reel_random_below (random, 4);
    case 1:
    case 2: return 14 + reel_random_below (random, 20);
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
    default:
        bytes (random, length (random), &body);
        reel_pack_ext (out, (int8_t) ((int) reel_random_below (random, 256) - 128), reel_buf_slice (&body));
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
