/*
 * References against receipts: what is resolved is a bounded, well-formed payload that has at each
 * place what its receipt has there; what is refused says where in the payload.
 *
 * An input is two bytes of length, a payload of that length, and the receipt of every step but "none".
 */
#include "proto/reference.h"

#include "base/limits.h"
#include "proto/identity.h"
#include "tests/fuzz/fuzz.h"

#define KEPT "kept" /* stands before what is resolved */

struct work {
    struct reel_slice payload;
    struct reel_slice receipt;
    struct reel_slice resolved; /* len 0 while it is not */
    uint32_t seen;
};

static bool
receipt_of (void *context, struct reel_slice step_id, struct reel_slice *receipt)
{
    const struct work *work = context;
    REEL_ASSERT (reel_identity_id (step_id));
    *receipt = work->receipt;
    return !reel_slice_is (step_id, "none");
}

/* Of many references only the first are looked up again: the way to an element is as long as those before it. */
#define LOOKED_UP 64

/* A literal on the way has another name in the result, and a path that was cut leads elsewhere. */
static bool
same_way (const char *path)
{
    return strstr (path, "/$$") == NULL && strlen (path) < REEL_ERROR_PATH_BYTES / 2;
}

static enum reel_status
check_visited (void *context, struct reel_slice text, const char *path, struct reel_error *err)
{
    struct work *work = context;
    struct reel_slice step_id, pointer, place, there, receipt, wanted, found;
    (void) err;
    work->seen++;
    REEL_ASSERT (reel_reference_parse (text, &step_id, &pointer) == REEL_OK);
    REEL_ASSERT (strncmp (path, "/p", 2) == 0);
    if (work->seen > LOOKED_UP)
        return REEL_OK;
    path += 2;
    REEL_ASSERT (reel_scan_pointer (work->payload, reel_slice_text (path), &place));
    if (!same_way (path))
        return REEL_OK;
    REEL_ASSERT (reel_scan_find_str (place, "$ref", &there) && reel_slice_equal (there, text));
    if (work->resolved.len > 0) {
        REEL_ASSERT (receipt_of (work, step_id, &receipt) && reel_scan_pointer (receipt, pointer, &wanted));
        REEL_ASSERT (reel_scan_pointer (work->resolved, reel_slice_text (path), &found));
        REEL_ASSERT (reel_slice_equal (found, wanted));
    }
    return REEL_OK;
}

static void
check_resolved (struct work *work, bool replaced, struct reel_slice result)
{
    struct reel_error err;
    work->resolved = result;
    REEL_ASSERT (reel_reference_walk (work->payload, "/p", check_visited, work, &err) == REEL_OK);
    REEL_ASSERT (replaced == (work->seen > 0) && work->seen <= REEL_REFERENCES_MAX);
    REEL_ASSERT (reel_scan_check (result, REEL_DEPTH_MAX, &err) == REEL_OK && reel_scan_type (result) == REEL_MAP);
    REEL_ASSERT (result.len <= REEL_DOCUMENT_BYTES_MAX);
    REEL_ASSERT (result.len <= work->payload.len + work->seen * work->receipt.len);
    if (memmem (work->payload.data, work->payload.len, "$ref", 4) == NULL)
        REEL_ASSERT (reel_slice_equal (result, work->payload));
}

static void
check_refused (struct work *work, const struct reel_error *err)
{
    struct reel_error walk;
    struct reel_slice found;
    fuzz_check_error (err, " unresolved_reference limit_exceeded bad_reference ");
    REEL_ASSERT (reel_scan_pointer (work->payload, reel_slice_text (err->path), &found));
    /* What is out of form is found without receipts, too. */
    enum reel_status status = reel_reference_walk (work->payload, "/p", check_visited, work, &walk);
    REEL_ASSERT (status == REEL_INVALID || strcmp (err->code, "bad_reference") != 0);
    if (status == REEL_INVALID)
        fuzz_check_error (&walk, " limit_exceeded bad_reference ");
}

static void
check_payload (struct work *work)
{
    struct reel_buf out = {0};
    struct reel_error err;
    bool replaced = false;
    reel_buf_add_text (&out, KEPT);
    enum reel_status status = reel_reference_resolve (work->payload, receipt_of, work, &out, &replaced, &err);
    REEL_ASSERT (out.len >= strlen (KEPT) && memcmp (out.data, KEPT, strlen (KEPT)) == 0);
    if (status == REEL_OK)
        check_resolved (work, replaced, reel_slice (out.data + strlen (KEPT), out.len - strlen (KEPT)));
    else {
        REEL_ASSERT (status == REEL_INVALID && out.len == strlen (KEPT));
        check_refused (work, &err);
    }
    reel_buf_free (&out);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    size_t payload_len = (size_t) data[0] << 8 | data[1];
    if (payload_len > len - 2)
        return 0;
    struct work work = {.payload = reel_slice (data + 2, payload_len),
                        .receipt = reel_slice (data + 2 + payload_len, len - 2 - payload_len)};
    if (reel_scan_check (work.payload, REEL_DEPTH_MAX, NULL) == REEL_OK && reel_scan_type (work.payload) == REEL_MAP
        && reel_scan_check (work.receipt, REEL_RECEIPT_DEPTH_MAX, NULL) == REEL_OK)
        check_payload (&work);
    return 0;
}
