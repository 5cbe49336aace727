/*
 * The context of a step: what must hold of it, whoever made it.
 */
#include "worker/call.h"

#include <string.h>

#include "base/limits.h"
#include "proto/identity.h"
#include "proto/scan.h"

static bool
is_map (struct reel_slice bytes)
{
    struct reel_value head;
    return bytes.len > 0 && reel_scan_value (bytes, &head) && head.type == REEL_MAP;
}

/* Does the map say so of itself? */
static bool
names (struct reel_slice map, const char *key, struct reel_slice id)
{
    struct reel_slice bytes;
    struct reel_value value;
    return reel_scan_find (map, reel_slice_text (key), &bytes) && reel_scan_value (bytes, &value)
           && value.type == REEL_STR && reel_slice_compare (value.bytes, id) == 0;
}

static bool
is_key_of (struct reel_slice key, struct reel_slice workflow_id, struct reel_slice step_id)
{
    return key.len == workflow_id.len + 1 + step_id.len && memcmp (key.data, workflow_id.data, workflow_id.len) == 0
           && key.data[workflow_id.len] == '/'
           && memcmp (key.data + workflow_id.len + 1, step_id.data, step_id.len) == 0;
}

static const char *
trouble (const struct reel_call *call)
{
    if (!reel_identity_id (call->workflow_id) || !reel_identity_id (call->step_id))
        return "an id is out of form";
    if (!reel_identity_modality (call->modality))
        return "the modality is out of form";
    if (!is_map (call->payload))
        return "the payload is not a map";
    if (!is_map (call->provenance) || !names (call->provenance, "workflow_id", call->workflow_id)
        || !names (call->provenance, "workflow_step_id", call->step_id))
        return "the provenance does not name the workflow and the step";
    if (!is_key_of (call->idempotency_key, call->workflow_id, call->step_id))
        return "the idempotency key is not <workflow_id>/<step_id>";
    if (call->attempt == 0 || call->delivery == 0)
        return "attempts and deliveries count from 1";
    if (call->timeout_ms < 0 || call->timeout_ms > REEL_DURATION_MS_MAX)
        return "the timeout is out of range";
    return NULL;
}

enum reel_status
reel_call_check (const struct reel_call *call, struct reel_error *err)
{
    const char *found = trouble (call);
    return found == NULL ? REEL_OK
                         : reel_error_set (err, REEL_INVALID, "bad_context", NULL, "the step's context: %s", found);
}
