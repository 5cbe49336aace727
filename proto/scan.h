/*
 * Reading msgpack where it lies.
 *
 * Bytes from anywhere are first walked once by reel_scan_check(): declared counts against
 * the bytes left, depth, UTF-8, map keys, full consumption; nothing is allocated for them.
 * After that the cursor functions below read them in place, as slices of the original
 * bytes, so that what a producer wrote is stored, forwarded and published unchanged.
 *
 * On bytes that have not been checked the cursor functions stay within bounds and return
 * false; nothing more is promised. Source: the msgpack specification.
 */
#ifndef REEL_PROTO_SCAN_H
#define REEL_PROTO_SCAN_H

#include "base/bytes.h"

enum reel_type {
    REEL_NIL,
    REEL_BOOL,
    REEL_UINT, /* any integer >= 0, whatever width it was written in */
    REEL_INT,  /* any integer < 0 */
    REEL_F32,
    REEL_F64,
    REEL_STR,
    REEL_BIN,
    REEL_EXT,
    REEL_ARRAY,
    REEL_MAP
};

/* One value, or the head of a container. */
struct reel_value {
    enum reel_type type;
    union {
        bool boolean;
        uint64_t u;      /* REEL_UINT */
        int64_t i;       /* REEL_INT */
        uint32_t bits32; /* REEL_F32, bit for bit */
        uint64_t bits64; /* REEL_F64, bit for bit */
        uint32_t count;  /* REEL_ARRAY: elements; REEL_MAP: pairs */
    };
    int8_t ext_type;         /* REEL_EXT */
    struct reel_slice bytes; /* REEL_STR, REEL_BIN, REEL_EXT: the body */
};

struct reel_cursor {
    const uint8_t *at;
    const uint8_t *end;
};

/*
 * Is this exactly one msgpack value whose maps have unique keys that are UTF-8 strings
 * without NUL, whose strings are UTF-8, and whose containers nest at most depth_max deep
 * (a lone scalar is 0 deep, {} is 1)?
 * REEL_INVALID with err->code
 *   "malformed"       not msgpack: truncated, a count that cannot be, bytes left over;
 *   "bad_type"        a key that is no string, a repeated key, a NUL in a key, broken UTF-8;
 *   "limit_exceeded"  too deep, or more than REEL_MAP_KEYS_MAX keys in one map;
 * REEL_NO_MEMORY only where many keys are open at once (16 bytes of work space for each).
 */
enum reel_status reel_scan_check (struct reel_slice bytes, unsigned depth_max, struct reel_error *err) REEL_MUST_USE;

struct reel_cursor reel_scan_start (struct reel_slice bytes);
/* Reads one value; of a container the head only, leaving the cursor at its first member. */
bool reel_scan_next (struct reel_cursor *cursor, struct reel_value *value);
/* Passes over one whole value, members included; `whole` (may be NULL) gets its bytes. */
bool reel_scan_skip (struct reel_cursor *cursor, struct reel_slice *whole);
/* Reads a map key, then leaves the cursor at its value. */
bool reel_scan_key (struct reel_cursor *cursor, struct reel_slice *key);
/* Reads an integer from 0 on. */
bool reel_scan_uint (struct reel_cursor *cursor, uint64_t *number);

/* One value as a whole: its head (of a container: the head only) and all its bytes. */
struct reel_whole {
    struct reel_value head;
    struct reel_slice bytes;
};

/* Reads one value, members included. */
bool reel_scan_whole (struct reel_cursor *cursor, struct reel_whole *whole);
/* Reads one pair of a map. */
bool reel_scan_pair (struct reel_cursor *cursor, struct reel_slice *key, struct reel_whole *value);

/* Reads the value that `bytes` starts with. */
bool reel_scan_value (struct reel_slice bytes, struct reel_value *value);
/* The type of the value that `bytes` starts with; REEL_NIL for none. */
enum reel_type reel_scan_type (struct reel_slice bytes);
/* Finds `key` in the map that `map` holds; `value` gets the bytes of its whole value. */
bool reel_scan_find (struct reel_slice map, struct reel_slice key, struct reel_slice *value);
/* The str found there; false when there is none or it is of another type. */
bool reel_scan_find_str (struct reel_slice map, const char *key, struct reel_slice *text);
bool reel_scan_find_uint (struct reel_slice map, const char *key, uint64_t *number);
/* How deep the containers of a checked value nest. */
unsigned reel_scan_depth (struct reel_slice bytes);
/* Is this valid UTF-8 (RFC 3629: no surrogates, shortest form)? */
bool reel_scan_utf8 (struct reel_slice text);
/* Follows an RFC 6901 pointer ("" is the whole) without percent-decoding into a checked value. */
bool reel_scan_pointer (struct reel_slice root, struct reel_slice pointer, struct reel_slice *found);

#endif
