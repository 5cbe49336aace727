/*
 * References in a payload against any receipt: what is refused names a place in the payload, what is resolved is
 * well-formed, within bounds, and has no reference of its own left that was not put there by the receipt.
 *
 * An input is two bytes of length, a payload of that length, and a receipt.
 */
#include "proto/reference.h"

#include "base/limits.h"
#include "tests/fuzz/fuzz.h"

struct walk {
    unsigned count;
    struct reel_slice receipt;
};

static enum reel_status
visit (void *context, struct reel_slice text, const char *path, struct reel_error *err)
{
    struct walk *walk = context;
    struct reel_slice step_id, pointer;
    (void) err;
    REEL_ASSERT (reel_reference_parse (text, &step_id, &pointer) == REEL_OK);
    REEL_ASSERT (step_id.len > 0 && (pointer.len == 0 || pointer.data[0] == '/'));
    REEL_ASSERT (path[0] == '\0' || path[0] == '/');
    walk->count++;
    return REEL_OK;
}

/* Every step but "none" has the same receipt. */
static bool
receipt_of (void *context, struct reel_slice step_id, struct reel_slice *receipt)
{
    const struct walk *walk = context;
    *receipt = walk->receipt;
    return !reel_slice_is (step_id, "none");
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    size_t payload_len = (size_t) data[0] << 8 | data[1];
    if (payload_len > len - 2)
        return 0;
    struct reel_slice payload = reel_slice (data + 2, payload_len);
    struct walk walk = {.receipt = reel_slice (data + 2 + payload_len, len - 2 - payload_len)};
    struct reel_buf out = {0};
    struct reel_error err = {0};
    bool replaced = false;
    if (reel_scan_check (payload, REEL_DEPTH_MAX, NULL) != REEL_OK || reel_scan_type (payload) != REEL_MAP
        || reel_scan_check (walk.receipt, REEL_RECEIPT_DEPTH_MAX, NULL) != REEL_OK)
        return 0;
    enum reel_status walked = reel_reference_walk (payload, "", visit, &walk, &err);
    if (walked != REEL_OK)
        fuzz_check_error (&err, " bad_reference limit_exceeded ");
    REEL_ASSERT (walk.count <= REEL_REFERENCES_MAX);
    enum reel_status status = reel_reference_resolve (payload, receipt_of, &walk, &out, &replaced, &err);
    if (status != REEL_OK) {
        struct reel_slice found;
        REEL_ASSERT (status == REEL_INVALID && out.len == 0);
        fuzz_check_error (&err, " unresolved_reference limit_exceeded bad_reference ");
        REEL_ASSERT (walked == REEL_OK || strcmp (err.code, "unresolved_reference") == 0
                     || reel_scan_pointer (payload, reel_slice_text (err.path), &found));
    } else {
        struct reel_slice made = reel_buf_slice (&out);
        REEL_ASSERT (walked == REEL_OK && replaced == (walk.count > 0));
        REEL_ASSERT (made.len <= REEL_DOCUMENT_BYTES_MAX && reel_scan_type (made) == REEL_MAP);
        REEL_ASSERT (reel_scan_check (made, REEL_DEPTH_MAX, NULL) == REEL_OK);
    }
    reel_buf_free (&out);
    return 0;
}
