/*
 * Finding the id of a document, and giving it one.
 */
#include "client/submission.h"

#include "base/limits.h"
#include "proto/pack.h"
#include "proto/scan.h"

#define ID_KEY "workflow_id"

bool
reel_submission_id (struct reel_slice document, struct reel_slice *workflow_id)
{
    return reel_scan_check (document, REEL_DEPTH_MAX, NULL) == REEL_OK && reel_scan_type (document) == REEL_MAP
           && reel_scan_find_str (document, ID_KEY, workflow_id);
}

/* Copies a map without the key whose value is nil, and with it at the end. */
static void
add_id (struct reel_slice document, bool has_nil, struct reel_slice workflow_id, struct reel_buf *out)
{
    struct reel_cursor cursor = reel_scan_start (document);
    struct reel_value head;
    struct reel_slice key, value;
    (void) reel_scan_next (&cursor, &head);
    reel_pack_map (out, head.count + (has_nil ? 0 : 1));
    for (uint32_t i = 0; i < head.count; i++) {
        const uint8_t *pair = cursor.at;
        (void) reel_scan_key (&cursor, &key);
        (void) reel_scan_skip (&cursor, &value);
        if (!reel_slice_is (key, ID_KEY))
            reel_buf_add (out, pair, (size_t) (cursor.at - pair));
    }
    reel_pack_text (out, ID_KEY);
    reel_pack_str (out, workflow_id);
}

enum reel_status
reel_submission_prepare (struct reel_slice document, struct reel_slice workflow_id, struct reel_buf *out,
                         struct reel_slice *used)
{
    struct reel_slice present, found = REEL_SLICE_NONE;
    enum reel_status checked = reel_scan_check (document, REEL_DEPTH_MAX, NULL);
    if (checked == REEL_NO_MEMORY)
        return checked; /* for all that is known it is a map, and must not leave without an id */
    bool map = checked == REEL_OK && reel_scan_type (document) == REEL_MAP;
    bool has_key = map && reel_scan_find (document, reel_slice_text (ID_KEY), &present);
    bool has_nil = has_key && reel_scan_type (present) == REEL_NIL;
    size_t start = out->len;
    if (map && (!has_key || has_nil)) {
        add_id (document, has_nil, workflow_id, out);
        found = workflow_id;
    } else {
        reel_buf_add_slice (out, document);
    }
    enum reel_status status = reel_buf_status (out);
    if (status != REEL_OK)
        return status;
    if (has_key && !has_nil)
        (void) reel_scan_find_str (reel_slice (out->data + start, out->len - start), ID_KEY, &found);
    *used = found;
    return REEL_OK;
}
