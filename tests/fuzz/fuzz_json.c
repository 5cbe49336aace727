/*
 * Text from anywhere as JSON: what is accepted is a document, and comes back as the same bytes.
 */
#include "base/limits.h"
#include "proto/json.h"
#include "tests/fuzz/fuzz.h"

static void
check_accepted (struct reel_slice msgpack, unsigned flags)
{
    REEL_ASSERT (reel_scan_check (msgpack, REEL_DEPTH_MAX, NULL) == REEL_OK);
    struct reel_buf json = {0}, again = {0};
    REEL_ASSERT (reel_json_write (msgpack, flags, &json) == REEL_OK);
    REEL_ASSERT (reel_json_read (reel_buf_slice (&json), &again, NULL) == REEL_OK);
    REEL_ASSERT (reel_slice_equal (msgpack, reel_buf_slice (&again)));
    reel_buf_free (&json);
    reel_buf_free (&again);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    struct reel_buf msgpack = {0};
    struct reel_error err;
    enum reel_status status = reel_json_read (reel_slice (data, len), &msgpack, &err);
    if (status == REEL_OK) {
        check_accepted (reel_buf_slice (&msgpack), REEL_JSON_COMPACT);
        check_accepted (reel_buf_slice (&msgpack), REEL_JSON_PRETTY);
    } else {
        REEL_ASSERT (status == REEL_INVALID && msgpack.len == 0);
        fuzz_check_error (&err, " malformed bad_type limit_exceeded ");
    }
    reel_buf_free (&msgpack);
    return 0;
}
