/*
 * Timestamps are exact to the microsecond over the whole range, and only days that exist are taken.
 */
#include "base/timestamp.h"

#include <check.h>
#include <stdlib.h>
#include <time.h>

#include "base/random.h"
#include "tests/support/suite.h"

#define LAST_US 253402300799999999ll

START_TEST (formats)
{
    static const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {1, "1970-01-01T00:00:00.000001Z"},
        {1777367406000000, "2026-04-28T09:10:06.000000Z"},
        {951868799999999, "2000-02-29T23:59:59.999999Z"},
        {951868800000000, "2000-03-01T00:00:00.000000Z"},
        {4107542399000000, "2100-02-28T23:59:59.000000Z"},
        {4107542400000000, "2100-03-01T00:00:00.000000Z"},
        {LAST_US, "9999-12-31T23:59:59.999999Z"},
        {LAST_US + 1, "9999-12-31T23:59:59.999999Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999999Z"},
        {-1, "1970-01-01T00:00:00.000000Z"},
        {INT64_MIN, "1970-01-01T00:00:00.000000Z"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[REEL_TIMESTAMP_BYTES];
        reel_timestamp_format (cases[i].us, text);
        ck_assert_str_eq (text, cases[i].text);
    }
}
END_TEST

START_TEST (parses)
{
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00+00:00", 0},
        {"1970-01-01t00:00:00z", 0},
        {"2026-04-28T09:10:06Z", 1777367406000000},
        {"2026-04-28T09:10:06.5Z", 1777367406500000},
        {"2026-04-28T09:10:06.000001+00:00", 1777367406000001},
        {"2026-04-28T09:10:06.123456789Z", 1777367406123456},
        {"2000-02-29T23:59:59Z", 951868799000000},
        {"1969-12-31T23:59:59Z", -1000000},
        {"0001-01-01T00:00:00Z", -62135596800000000},
        {"0000-02-29T00:00:00Z", -62162121600000000},
        {"9999-12-31T23:59:59.999999Z", LAST_US},
        {"2016-12-31T23:59:60Z", 1483228800000000},
        {"1972-06-30T23:59:60.25Z", 78796800250000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t us = -7;
        ck_assert_msg (reel_timestamp_parse (reel_slice_text (cases[i].text), &us), "%s", cases[i].text);
        ck_assert_int_eq (us, cases[i].us);
        ck_assert (reel_timestamp_parse (reel_slice_text (cases[i].text), NULL));
    }
}
END_TEST

START_TEST (refuses)
{
    static const char *const cases[] = {
        "",
        "2026",
        "2026-04-28",
        "2026-04-28T09:10:06",
        "2026-04-28T09:10Z",
        "2026-04-28 09:10:06Z",
        "2026-04-28T09:10:06+01:00",
        "2026-04-28T09:10:06-00:00",
        "2026-04-28T09:10:06+0000",
        "2026-04-28T09:10:06.Z",
        "2026-04-28T09:10:06.1234567890Z",
        "2026-04-28T09:10:06,5Z",
        "2026-04-28T09:10:06ZZ",
        " 2026-04-28T09:10:06Z",
        "2026-04-28T09:10:06Z ",
        "26-04-28T09:10:06Z",
        "2026-4-28T09:10:06Z",
        "-026-04-28T09:10:06Z",
        "+026-04-28T09:10:06Z",
        "2026-00-28T09:10:06Z",
        "2026-13-28T09:10:06Z",
        "2026-04-00T09:10:06Z",
        "2026-04-31T09:10:06Z",
        "2026-02-29T09:10:06Z",
        "2100-02-29T09:10:06Z",
        "2026-04-28T24:00:00Z",
        "2026-04-28T09:60:06Z",
        "2026-04-28T09:10:60Z",
        "2026-04-28T23:59:60Z",
        "2026-12-31T23:59:61Z",
        "2026-04-28T0a:10:06Z",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t us = -7;
        ck_assert_msg (!reel_timestamp_parse (reel_slice_text (cases[i]), &us), "%s", cases[i]);
        ck_assert_int_eq (us, -7);
    }
    ck_assert (!reel_timestamp_parse (reel_slice ("2026-04-28T09:10:06Z\0", 21), NULL));
}
END_TEST

/* Against the C library's calendar, and back. */
START_TEST (every_time_survives)
{
    struct reel_random random;
    reel_random_seed (&random, 3);
    for (unsigned n = 0; n < 20000; n++) {
        int64_t us = (int64_t) reel_random_below (&random, LAST_US + 1), back;
        char text[REEL_TIMESTAMP_BYTES], expected[REEL_TIMESTAMP_BYTES];
        reel_timestamp_format (us, text);
        ck_assert (reel_timestamp_parse (reel_slice_text (text), &back));
        ck_assert_int_eq (back, us);
        time_t seconds = us / 1000000;
        struct tm tm;
        ck_assert_ptr_nonnull (gmtime_r (&seconds, &tm));
        ck_assert_uint_eq (strftime (expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.", &tm), 20);
        ck_assert_mem_eq (text, expected, 20);
    }
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("timestamp");
    TCase *tcase = tcase_create ("timestamp");
    tcase_add_test (tcase, formats);
    tcase_add_test (tcase, parses);
    tcase_add_test (tcase, refuses);
    tcase_add_test (tcase, every_time_survives);
    suite_add_tcase (suite, tcase);
    return suite_run (suite);
}
