/*
 * Receipts and errors, composed out of what the machine knows and what an adapter said.
 *
 * An adapter's words go into a document that the broker would refuse as a whole, and with it
 * the lease, if they broke its rules: they are checked here, where only the step is at stake.
 */
#include "worker/run_receipt.h"

#include <string.h>

#include "base/limits.h"
#include "proto/pack.h"
#include "proto/scan.h"

#define CODE_BYTES_MAX 64
/* An error without its message and detail, at the most. */
#define ERROR_FRAME_BYTES 256

static const char *const own_keys[] = {"adapter",  "output",          "provenance",
                                       "attempts", "idempotency_key", "payload_sha256"};

/* --- text ----------------------------------------------------------------------------- */

/* The length of the character that `text` begins with; 0 when it is none. */
static size_t
character_bytes (struct reel_slice text)
{
    for (size_t len = 1; len <= 4 && len <= text.len; len++)
        if (reel_scan_utf8 (reel_slice (text.data, len)))
            return len;
    return 0;
}

static size_t
cut_at_character (struct reel_slice text, size_t bytes_max)
{
    size_t len = text.len;
    if (len <= bytes_max)
        return len;
    len = bytes_max;
    while (len > 0 && (text.data[len] & 0xc0) == 0x80)
        len--;
    return len;
}

void
reel_run_text_add (struct reel_buf *out, struct reel_slice text, size_t bytes_max)
{
    if (reel_scan_utf8 (text)) {
        reel_buf_add (out, text.data, cut_at_character (text, bytes_max));
        return;
    }
    size_t start = out->len;
    while (text.len > 0 && !out->failed) {
        size_t len = character_bytes (text);
        struct reel_slice character = len > 0 ? reel_slice (text.data, len) : reel_slice_text ("\xef\xbf\xbd");
        if (out->len - start + character.len > bytes_max)
            break;
        reel_buf_add_slice (out, character);
        text = reel_slice (text.data + (len > 0 ? len : 1), text.len - (len > 0 ? len : 1));
    }
}

/* --- values --------------------------------------------------------------------------- */

enum reel_status
reel_run_value_check (struct reel_slice value, const struct reel_run_limits *limits, struct reel_error *err)
{
    if (value.len > limits->bytes_max)
        return reel_error_set (err, REEL_INVALID, "limit_exceeded", NULL, "%zu bytes, where at most %zu are allowed",
                               value.len, limits->bytes_max);
    return reel_scan_check (value, limits->depth_max, err);
}

/* --- receipts ------------------------------------------------------------------------- */

static bool
is_own_key (struct reel_slice key)
{
    for (size_t i = 0; i < sizeof own_keys / sizeof own_keys[0]; i++)
        if (reel_slice_is (key, own_keys[i]))
            return true;
    return false;
}

static enum reel_status
check_map (struct reel_slice map, const char *what, const struct reel_run_limits *limits, struct reel_error *err)
{
    if (map.len == 0)
        return REEL_OK;
    struct reel_error found;
    enum reel_status status = reel_run_value_check (map, limits, &found);
    if (status == REEL_NO_MEMORY)
        return status;
    if (status != REEL_OK && strcmp (found.code, "limit_exceeded") == 0)
        return reel_error_set (err, status, "limit_exceeded", NULL, "the adapter's %s: %s", what, found.message);
    if (status != REEL_OK)
        return reel_error_set (err, status, "bad_output", NULL, "the adapter's %s: %s", what, found.message);
    if (reel_scan_type (map) != REEL_MAP)
        return reel_error_set (err, REEL_INVALID, "bad_output", NULL, "the adapter's %s is not a map", what);
    return REEL_OK;
}

/* Goes over the keys of `extra` that may stay; writes them when `out` is given. */
static uint32_t
extra_keys (struct reel_slice extra, struct reel_buf *out)
{
    struct reel_cursor cursor = reel_scan_start (extra);
    struct reel_value head;
    struct reel_slice key;
    uint32_t kept = 0;
    if (!reel_scan_next (&cursor, &head))
        return 0;
    for (uint32_t i = 0; i < head.count; i++) {
        const uint8_t *start = cursor.at;
        if (!reel_scan_key (&cursor, &key) || !reel_scan_skip (&cursor, NULL) || is_own_key (key))
            continue;
        kept++;
        if (out != NULL)
            reel_buf_add (out, start, (size_t) (cursor.at - start));
    }
    return kept;
}

static void
pack_receipt (const struct reel_run_receipt *receipt, struct reel_slice output, struct reel_slice extra,
              struct reel_buf *out)
{
    reel_pack_map (out, (receipt->payload_sha256 != NULL ? 6u : 5u) + extra_keys (extra, NULL));
    reel_pack_text (out, "adapter");
    reel_pack_text (out, receipt->adapter);
    reel_pack_text (out, "output");
    if (output.len == 0)
        reel_pack_map (out, 0);
    else
        reel_buf_add_slice (out, output);
    reel_pack_text (out, "provenance");
    reel_pack_raw (out, receipt->provenance);
    reel_pack_text (out, "attempts");
    reel_pack_uint (out, receipt->attempts);
    reel_pack_text (out, "idempotency_key");
    reel_pack_str (out, receipt->idempotency_key);
    if (receipt->payload_sha256 != NULL) {
        reel_pack_text (out, "payload_sha256");
        reel_pack_text (out, receipt->payload_sha256);
    }
    (void) extra_keys (extra, out);
}

enum reel_status
reel_run_receipt_write (const struct reel_run_receipt *receipt, struct reel_slice output, struct reel_slice extra,
                        const struct reel_run_limits *limits, struct reel_buf *out, struct reel_error *err)
{
    enum reel_status status = check_map (output, "output", limits, err);
    if (status == REEL_OK)
        status = check_map (extra, "extra receipt keys", limits, err);
    if (status != REEL_OK)
        return status;
    size_t start = out->len;
    struct reel_error found;
    pack_receipt (receipt, output, extra, out);
    status = reel_buf_status (out);
    if (status == REEL_OK) {
        status = reel_run_value_check (reel_slice (out->data + start, out->len - start), limits, &found);
        if (status == REEL_INVALID)
            (void) reel_error_set (err, status, "limit_exceeded", NULL, "the receipt: %s", found.message);
    }
    if (status != REEL_OK)
        out->len = start;
    return status;
}

/* --- errors --------------------------------------------------------------------------- */

static const char *
checked_code (const char *code)
{
    size_t len = code != NULL ? strnlen (code, CODE_BYTES_MAX + 1) : 0;
    bool fits = len > 0 && len <= CODE_BYTES_MAX;
    for (size_t i = 0; fits && i < len; i++)
        fits = (code[i] >= 'a' && code[i] <= 'z') || (code[i] >= '0' && code[i] <= '9') || code[i] == '_';
    return fits ? code : "adapter_failed";
}

static bool
detail_fits (struct reel_slice detail, size_t message_bytes, const struct reel_run_limits *limits)
{
    if (detail.len == 0 || detail.len > limits->bytes_max - ERROR_FRAME_BYTES - message_bytes)
        return false;
    return reel_scan_check (detail, limits->depth_max - 1, NULL) == REEL_OK;
}

void
reel_run_error_write (const struct reel_failure *failure, const struct reel_run_limits *limits, struct reel_buf *out)
{
    struct reel_buf message = {0};
    reel_run_text_add (&message, failure->message, limits->bytes_max - ERROR_FRAME_BYTES);
    bool detail = detail_fits (failure->detail, message.len, limits);
    reel_pack_map (out, detail ? 4 : 3);
    reel_pack_text (out, "code");
    reel_pack_text (out, checked_code (failure->code));
    reel_pack_text (out, "message");
    reel_pack_str (out, reel_buf_slice (&message));
    reel_pack_text (out, "retryable");
    reel_pack_bool (out, failure->retryable);
    if (detail) {
        reel_pack_text (out, "detail");
        reel_buf_add_slice (out, failure->detail);
    }
    out->failed = out->failed || message.failed;
    reel_buf_free (&message);
}
