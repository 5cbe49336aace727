/*
 * Bytes from anywhere as msgpack: the check and the cursor stay in bounds and agree with each
 * other, and what is accepted goes to JSON and back.
 */
#include "base/limits.h"
#include "proto/json.h"
#include "tests/fuzz/fuzz.h"

/* On unchecked bytes: within bounds, and an end. */
static void
read_unchecked (struct reel_slice bytes)
{
    struct reel_cursor cursor = reel_scan_start (bytes);
    struct reel_value value;
    struct reel_slice found;
    uint64_t number;
    while (reel_scan_next (&cursor, &value))
        REEL_ASSERT (cursor.at <= cursor.end);
    (void) reel_scan_find (bytes, reel_slice_text ("steps"), &found);
    (void) reel_scan_find_str (bytes, "kind", &found);
    (void) reel_scan_find_uint (bytes, "seq", &number);
    (void) reel_scan_pointer (bytes, reel_slice_text ("/steps/0/a~1b"), &found);
    (void) reel_scan_depth (bytes);
    (void) reel_scan_type (bytes);
}

/* Where the bytes are msgpack at all, the path of a refusal leads to something in them. (A map of more than 15 keys,
 * 0xde or 0xdf, may hold a key twice that is only found when it ends; a path cannot tell the two apart.) */
static void
check_path (struct reel_slice bytes, const struct reel_error *err)
{
    struct reel_cursor cursor = reel_scan_start (bytes);
    struct reel_slice found;
    if (strcmp (err->code, "malformed") == 0 || !reel_scan_skip (&cursor, NULL)
        || memchr (bytes.data, 0xde, bytes.len) != NULL || memchr (bytes.data, 0xdf, bytes.len) != NULL)
        return;
    REEL_ASSERT (reel_scan_pointer (bytes, reel_slice_text (err->path), &found));
}

static void
check_accepted (struct reel_slice bytes)
{
    struct reel_cursor cursor = reel_scan_start (bytes);
    struct reel_slice whole;
    REEL_ASSERT (reel_scan_skip (&cursor, &whole) && reel_slice_equal (whole, bytes));
    unsigned depth = reel_scan_depth (bytes);
    REEL_ASSERT (depth <= REEL_DEPTH_MAX && reel_scan_check (bytes, depth, NULL) == REEL_OK);
    REEL_ASSERT (depth == 0 || reel_scan_check (bytes, depth - 1, NULL) == REEL_INVALID);

    struct reel_buf json = {0}, canonical = {0}, again = {0};
    REEL_ASSERT (reel_json_write (bytes, REEL_JSON_COMPACT, &json) == REEL_OK);
    REEL_ASSERT (reel_json_read (reel_buf_slice (&json), &canonical, NULL) == REEL_OK);
    REEL_ASSERT (reel_scan_check (reel_buf_slice (&canonical), REEL_DEPTH_MAX, NULL) == REEL_OK);
    REEL_ASSERT (canonical.len <= bytes.len);
    REEL_ASSERT (reel_json_write (reel_buf_slice (&canonical), REEL_JSON_COMPACT, &again) == REEL_OK);
    REEL_ASSERT (reel_slice_equal (reel_buf_slice (&json), reel_buf_slice (&again)));
    reel_buf_free (&json);
    reel_buf_free (&canonical);
    reel_buf_free (&again);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    struct reel_slice bytes = reel_slice (data, len);
    read_unchecked (bytes);
    struct reel_error err;
    enum reel_status status = reel_scan_check (bytes, REEL_DEPTH_MAX, &err);
    if (status == REEL_OK) {
        check_accepted (bytes);
        return 0;
    }
    REEL_ASSERT (status == REEL_INVALID);
    fuzz_check_error (&err, " malformed bad_type limit_exceeded ");
    check_path (bytes, &err);
    return 0;
}
