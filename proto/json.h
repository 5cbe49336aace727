/*
 * msgpack to JSON and back, losing nothing.
 *
 * What JSON cannot say travels in maps of one key: {"$bin": "<base64>"}, {"$ext": [type,
 * "<base64>"]}, {"$uint": "<digits>"} for an integer above 2^63-1, {"$f32": "<8 hex
 * digits>"}, {"$f64": "<16 hex digits>"} for a double that is no JSON number; a map whose
 * only key is one or more `$` followed by one of these names gets one more `$`. Order of
 * keys is kept. Base64 is RFC 4648's, padded.
 */
#ifndef REEL_PROTO_JSON_H
#define REEL_PROTO_JSON_H

#include "base/bytes.h"

enum reel_json_flags {
    REEL_JSON_COMPACT = 0, /* one line, no spaces */
    REEL_JSON_PRETTY = 1   /* indented by two */
};

/*
 * Appends one JSON text to `out`, without a newline at the end. `msgpack` has passed
 * reel_scan_check(). REEL_NO_MEMORY.
 */
enum reel_status reel_json_write (struct reel_slice msgpack, unsigned flags, struct reel_buf *out) REEL_MUST_USE;

/*
 * Appends the msgpack of one JSON text (RFC 8259, UTF-8) to `out`. REEL_INVALID: err->code
 * is "malformed" (not JSON; the message says line and column), "bad_type" (a repeated key, a
 * NUL in a key, a misused `$` form; err->path points at it) or "limit_exceeded" (too deep, or
 * larger than REEL_DOCUMENT_BYTES_MAX makes sense for: 4 times that). REEL_NO_MEMORY.
 * On failure nothing is left in `out`.
 */
enum reel_status reel_json_read (struct reel_slice json, struct reel_buf *out, struct reel_error *err) REEL_MUST_USE;

#endif
