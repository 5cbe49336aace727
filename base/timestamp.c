/*
 * RFC 3339 timestamps by arithmetic alone: no locale, no time zone, no state of the C library.
 */
#include "base/timestamp.h"

#include <stdio.h>

#include "base/assert.h"

#define SECOND_US 1000000ll
#define DAY_S 86400ll
#define WALL_US_MAX (253402300800ll * SECOND_US - 1) /* the end of year 9999 */
#define FRACTION_DIGITS_MAX 9

/* Days since the Unix epoch of a date in the Gregorian calendar. A year is counted from its
 * March, so that the leap day is its last; 400 years are 146097 days. */
static int64_t
days_of_date (int64_t year, int64_t month, int64_t day)
{
    int64_t march_year = month > 2 ? year : year - 1;
    int64_t era = (march_year >= 0 ? march_year : march_year - 399) / 400;
    int64_t year_of_era = march_year - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

/* The other way round, for days that are not before the epoch. */
static void
date_of_days (int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    int64_t since = days + 719468;
    int64_t era = since / 146097;
    int64_t day_of_era = since - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * march_month + 2) / 5 + 1;
    *month = march_month < 10 ? march_month + 3 : march_month - 9;
    *year = era * 400 + year_of_era + (*month <= 2);
}

static int64_t
days_in_month (int64_t year, int64_t month)
{
    int64_t next_year = month == 12 ? year + 1 : year;
    int64_t next_month = month == 12 ? 1 : month + 1;
    return days_of_date (next_year, next_month, 1) - days_of_date (year, month, 1);
}

void
reel_timestamp_format (int64_t wall_us, char out[REEL_TIMESTAMP_BYTES])
{
    if (wall_us < 0)
        wall_us = 0;
    if (wall_us > WALL_US_MAX)
        wall_us = WALL_US_MAX;
    int64_t seconds = wall_us / SECOND_US;
    int64_t year, month, day;
    date_of_days (seconds / DAY_S, &year, &month, &day);
    int64_t of_day = seconds % DAY_S;
    int len = snprintf (out, REEL_TIMESTAMP_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", (int) year, (int) month,
                        (int) day, (int) (of_day / 3600), (int) (of_day / 60 % 60), (int) (of_day % 60),
                        (int) (wall_us % SECOND_US));
    REEL_ASSERT (len == REEL_TIMESTAMP_BYTES - 1);
}

/* Takes exactly `count` digits. */
static bool
take_number (struct reel_slice *text, size_t count, int64_t *number)
{
    if (text->len < count)
        return false;
    int64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        if (text->data[i] < '0' || text->data[i] > '9')
            return false;
        value = value * 10 + (text->data[i] - '0');
    }
    *number = value;
    *text = reel_slice (text->data + count, text->len - count);
    return true;
}

/* Takes one character, an upper-case letter in either case: RFC 3339's grammar is case-insensitive. */
static bool
take_char (struct reel_slice *text, char wanted)
{
    if (text->len == 0)
        return false;
    uint8_t got = text->data[0];
    if (got >= 'a' && got <= 'z')
        got = (uint8_t) (got - 'a' + 'A');
    if (got != (uint8_t) wanted)
        return false;
    *text = reel_slice (text->data + 1, text->len - 1);
    return true;
}

/* Takes "" or "." and 1 to 9 digits, of which what is below a microsecond is dropped. */
static bool
take_fraction (struct reel_slice *text, int64_t *fraction_us)
{
    *fraction_us = 0;
    if (!take_char (text, '.'))
        return true;
    int64_t unit = SECOND_US / 10;
    int64_t digit;
    size_t digits = 0;
    while (digits < FRACTION_DIGITS_MAX && take_number (text, 1, &digit)) {
        *fraction_us += digit * unit;
        unit /= 10;
        digits++;
    }
    return digits > 0;
}

bool
reel_timestamp_parse (struct reel_slice text, int64_t *wall_us)
{
    int64_t year, month, day, hour, minute, second, fraction_us;
    bool formed = take_number (&text, 4, &year) && take_char (&text, '-') && take_number (&text, 2, &month)
                  && take_char (&text, '-') && take_number (&text, 2, &day) && take_char (&text, 'T')
                  && take_number (&text, 2, &hour) && take_char (&text, ':') && take_number (&text, 2, &minute)
                  && take_char (&text, ':') && take_number (&text, 2, &second) && take_fraction (&text, &fraction_us);
    if (!formed || !(reel_slice_is (text, "Z") || reel_slice_is (text, "z") || reel_slice_is (text, "+00:00")))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month (year, month) || hour > 23 || minute > 59)
        return false;
    /* A leap second can only be the last one of June or December. */
    bool leap_place = hour == 23 && minute == 59 && ((month == 6 && day == 30) || (month == 12 && day == 31));
    if (second > (leap_place ? 60 : 59))
        return false;
    if (wall_us != NULL)
        *wall_us = (days_of_date (year, month, day) * DAY_S + hour * 3600 + minute * 60 + second) * SECOND_US
                   + fraction_us;
    return true;
}
