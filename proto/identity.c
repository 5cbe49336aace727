/*
 * The forms of ids, and UUIDv7: time-ordered, so that a list of them is a list in time.
 */
#include "proto/identity.h"

#include <stdio.h>

#include "base/limits.h"

static bool
is_digit (uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool
is_lower (uint8_t byte)
{
    return byte >= 'a' && byte <= 'z';
}

static bool
is_upper (uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z';
}

bool
reel_identity_id (struct reel_slice text)
{
    if (text.len == 0 || text.len > REEL_ID_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        bool letter = is_digit (byte) || is_lower (byte) || is_upper (byte);
        if (!letter && (i == 0 || (byte != '.' && byte != '_' && byte != ':' && byte != '-')))
            return false;
    }
    return true;
}

bool
reel_identity_modality (struct reel_slice text)
{
    if (text.len == 0 || text.len > REEL_MODALITY_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        bool letter = is_digit (byte) || is_lower (byte);
        if (!letter && (i == 0 || (byte != '.' && byte != '_' && byte != '-')))
            return false;
    }
    return true;
}

void
reel_identity_uuid7 (int64_t wall_us, struct reel_random *random, char out[REEL_UUID_BYTES])
{
    uint64_t ms = wall_us < 0 ? 0 : (uint64_t) wall_us / 1000;
    /* Method 3 of RFC 9562, 6.2: the microseconds within the millisecond go first into the random part. */
    unsigned sub_ms = wall_us < 0 ? 0 : (unsigned) (((uint64_t) wall_us % 1000) * 4096 / 1000);
    uint64_t low = reel_random_next (random);
    snprintf (out, REEL_UUID_BYTES, "%08x-%04x-7%03x-%04x-%012llx", (unsigned) (ms >> 16 & 0xffffffff),
              (unsigned) (ms & 0xffff), sub_ms, (unsigned) (0x8000 | (low >> 48 & 0x3fff)),
              (unsigned long long) (low & 0xffffffffffff));
}
