/*
 * Every sequence of up to three bytes and the corners of four, against the ranges of RFC 3629.
 */
#include "base/utf8.h"
#include "tests/support/suite.h"

#include <check.h>
#include <stdlib.h>

/* Writes a scalar value as UTF-8 and returns its length. */
static size_t
encode (uint32_t scalar, uint8_t out[4])
{
    if (scalar < 0x80) {
        out[0] = (uint8_t) scalar;
        return 1;
    }
    size_t len = scalar < 0x800 ? 2 : scalar < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len - 1; i > 0; i--, scalar >>= 6)
        out[i] = (uint8_t) (0x80 | (scalar & 0x3f));
    out[0] = (uint8_t) (lead[len] | scalar);
    return len;
}

START_TEST (every_scalar_value)
{
    uint32_t wrong = 0;
    for (uint32_t scalar = 0; scalar <= 0x10FFFF; scalar++) {
        uint8_t bytes[4];
        size_t len = encode (scalar, bytes);
        size_t expected = scalar >= 0xD800 && scalar <= 0xDFFF ? 0 : len;
        wrong += reel_utf8_character (bytes, len) != expected;
        wrong += len > 1 && reel_utf8_character (bytes, len - 1) != 0;
    }
    ck_assert_uint_eq (wrong, 0);
}
END_TEST

/* As many sequences are accepted as there are characters: so no other is. */
START_TEST (no_other_sequence)
{
    size_t found[5] = {0};
    for (uint32_t bits = 0; bits < 1u << 24; bits++) {
        const uint8_t bytes[3] = {(uint8_t) (bits >> 16), (uint8_t) (bits >> 8), (uint8_t) bits};
        size_t len = reel_utf8_character (bytes, 3);
        found[len] += len == 1 ? (bits & 0xFFFF) == 0 : len == 2 ? (bits & 0xFF) == 0 : len == 3;
    }
    ck_assert_uint_eq (found[1], 0x80);
    ck_assert_uint_eq (found[2], 0x800 - 0x80);
    ck_assert_uint_eq (found[3], 0x10000 - 0x800 - 0x800);
    ck_assert_uint_eq (found[4], 0);

    static const uint8_t refused[][4] = {{0xf0, 0x8f, 0xbf, 0xbf}, {0xf4, 0x90, 0x80, 0x80}, {0xf5, 0x80, 0x80, 0x80},
                                         {0xf8, 0x88, 0x80, 0x80}, {0xff, 0x80, 0x80, 0x80}, {0xf1, 0x7f, 0x80, 0x80},
                                         {0xf1, 0x80, 0xc0, 0x80}, {0xf1, 0x80, 0x80, 0x7f}};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        ck_assert_uint_eq (reel_utf8_character (refused[i], 4), 0);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("utf8");
    TCase *tcase = tcase_create ("utf8");
    tcase_add_test (tcase, every_scalar_value);
    tcase_add_test (tcase, no_other_sequence);
    suite_add_tcase (suite, tcase);
    return suite_run (suite);
}
