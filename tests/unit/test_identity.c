/*
 * Ids, modalities, and new ids that sort by time.
 */
#include "proto/identity.h"

#include <check.h>
#include <stdlib.h>

#include "base/limits.h"
#include "tests/support/document.h"
#include "tests/support/suite.h"

static bool
is_letter_or_digit (unsigned byte, bool upper)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (upper && byte >= 'A' && byte <= 'Z');
}

static bool
id (const char *text, size_t len)
{
    return reel_identity_id (document_copy (reel_slice (text, len)));
}

static bool
modality (const char *text, size_t len)
{
    return reel_identity_modality (document_copy (reel_slice (text, len)));
}

START_TEST (every_byte_at_every_place)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        const char first[] = {(char) byte}, middle[] = {'a', (char) byte, 'b'}, last[] = {'0', (char) byte};
        bool inner = byte == '.' || byte == '_' || byte == '-';
        ck_assert_int_eq (id (first, 1), is_letter_or_digit (byte, true));
        ck_assert_int_eq (id (middle, 3), is_letter_or_digit (byte, true) || inner || byte == ':');
        ck_assert_int_eq (id (last, 2), is_letter_or_digit (byte, true) || inner || byte == ':');
        ck_assert_int_eq (modality (first, 1), is_letter_or_digit (byte, false));
        ck_assert_int_eq (modality (middle, 3), is_letter_or_digit (byte, false) || inner);
        ck_assert_int_eq (modality (last, 2), is_letter_or_digit (byte, false) || inner);
    }
}
END_TEST

START_TEST (lengths)
{
    char text[REEL_ID_BYTES_MAX + 1];
    memset (text, 'a', sizeof text);
    for (size_t len = 0; len <= sizeof text; len++) {
        ck_assert_int_eq (id (text, len), len >= 1 && len <= 128);
        ck_assert_int_eq (modality (text, len), len >= 1 && len <= 64);
    }
    ck_assert (!reel_identity_id (REEL_SLICE_NONE));
    ck_assert (!reel_identity_modality (REEL_SLICE_NONE));
}
END_TEST

START_TEST (a_new_id_has_the_form_of_a_uuid_7)
{
    struct reel_random random;
    reel_random_seed (&random, 1);
    for (unsigned n = 0; n < 1000; n++) {
        char text[REEL_UUID_BYTES];
        memset (text, 'X', sizeof text);
        reel_identity_uuid7 (INT64_C (1777367406123456) + n, &random, text);
        ck_assert_uint_eq (strlen (text), 36);
        for (size_t i = 0; i < 36; i++)
            if (i == 8 || i == 13 || i == 18 || i == 23)
                ck_assert_int_eq (text[i], '-');
            else
                ck_assert_msg ((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f'), "%s", text);
        ck_assert_int_eq (text[14], '7');
        ck_assert_msg (strchr ("89ab", text[19]) != NULL, "%s", text);
        ck_assert (reel_identity_id (reel_slice_text (text)));
    }
}
END_TEST

START_TEST (a_new_id_says_when)
{
    struct reel_random random;
    char text[REEL_UUID_BYTES];
    reel_random_seed (&random, 1);
    /* RFC 9562, A.6: 2022-02-22T19:22:22.00Z is 017f22e2-79b0. */
    reel_identity_uuid7 (INT64_C (1645557742000) * 1000, &random, text);
    ck_assert_int_eq (strncmp (text, "017f22e2-79b0-7000-", 19), 0);
    reel_identity_uuid7 (INT64_C (1645557742000) * 1000 + 500, &random, text);
    ck_assert_int_eq (strncmp (text, "017f22e2-79b0-7800-", 19), 0);
    reel_identity_uuid7 (INT64_C (1645557742000) * 1000 + 999, &random, text);
    ck_assert_int_eq (strncmp (text, "017f22e2-79b0-7ffb-", 19), 0);
    reel_identity_uuid7 (-1, &random, text);
    ck_assert_int_eq (strncmp (text, "00000000-0000-7000-", 19), 0);
    reel_identity_uuid7 (INT64_MAX, &random, text);
    ck_assert_uint_eq (strlen (text), 36);
}
END_TEST

START_TEST (new_ids_sort_by_microseconds)
{
    struct reel_random random;
    char before[REEL_UUID_BYTES] = "", now[REEL_UUID_BYTES];
    reel_random_seed (&random, 2);
    for (int64_t at_us = INT64_C (1777367405999000); at_us < INT64_C (1777367406001000); at_us++) {
        reel_identity_uuid7 (at_us, &random, now);
        ck_assert_int_lt (strcmp (before, now), 0);
        memcpy (before, now, sizeof now);
    }
}
END_TEST

START_TEST (new_ids_of_one_microsecond_differ)
{
    struct reel_random random;
    char ids[64][REEL_UUID_BYTES];
    reel_random_seed (&random, 3);
    for (size_t i = 0; i < 64; i++) {
        reel_identity_uuid7 (1, &random, ids[i]);
        for (size_t other = 0; other < i; other++)
            ck_assert_str_ne (ids[i], ids[other]);
    }
    reel_random_seed (&random, 3);
    reel_identity_uuid7 (1, &random, ids[1]);
    ck_assert_str_eq (ids[0], ids[1]); /* what is random comes from the seed alone */
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("identity");
    TCase *tcase = tcase_create ("identity");
    tcase_add_test (tcase, every_byte_at_every_place);
    tcase_add_test (tcase, lengths);
    tcase_add_test (tcase, a_new_id_has_the_form_of_a_uuid_7);
    tcase_add_test (tcase, a_new_id_says_when);
    tcase_add_test (tcase, new_ids_sort_by_microseconds);
    tcase_add_test (tcase, new_ids_of_one_microsecond_differ);
    suite_add_tcase (suite, tcase);
    return suite_run (suite);
}
