/*
 * Reading and validating a workflow document, in two passes: the structure of every step, then
 * the graph over the steps. Nothing is copied but numbers.
 */
#include "proto/workflow.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/timestamp.h"
#include "proto/graph.h"
#include "proto/identity.h"
#include "proto/place.h"
#include "proto/scan.h"

static const char *const status_names[] = {"pending", "running", "succeeded", "failed", "skipped"};
static const char *const in_doubt_names[] = {"", "hold", "retry", "fail"};

const char *
reel_step_status_name (enum reel_step_status status)
{
    return status_names[status];
}

bool
reel_step_status_parse (struct reel_slice text, enum reel_step_status *status)
{
    for (unsigned i = 0; i < sizeof status_names / sizeof status_names[0]; i++)
        if (reel_slice_is (text, status_names[i])) {
            *status = (enum reel_step_status) i;
            return true;
        }
    return false;
}

bool
reel_step_status_final (enum reel_step_status status)
{
    return status >= REEL_STEP_SUCCEEDED;
}

const char *
reel_in_doubt_name (enum reel_in_doubt in_doubt)
{
    return in_doubt_names[in_doubt];
}

bool
reel_in_doubt_parse (struct reel_slice text, enum reel_in_doubt *in_doubt)
{
    for (unsigned i = REEL_IN_DOUBT_HOLD; i <= REEL_IN_DOUBT_FAIL; i++)
        if (reel_slice_is (text, in_doubt_names[i])) {
            *in_doubt = (enum reel_in_doubt) i;
            return true;
        }
    return false;
}

/* --- fields ------------------------------------------------------------------------------- */

#define KEY(text)                                                                                                      \
    {                                                                                                                  \
        (const uint8_t *) (text), sizeof (text) - 1                                                                    \
    }

const struct reel_place reel_place_steps = {NULL, "steps", 0};

static enum reel_status
wrong_type (struct reel_error *err, const struct reel_place *at, const char *wanted, enum reel_type got)
{
    static const char *const names[] = {
        [REEL_NIL] = "nil",        [REEL_BOOL] = "a boolean", [REEL_UINT] = "an integer",  [REEL_INT] = "an integer",
        [REEL_F32] = "a float",    [REEL_F64] = "a float",    [REEL_STR] = "a string",     [REEL_BIN] = "binary",
        [REEL_ARRAY] = "an array", [REEL_MAP] = "a map",      [REEL_EXT] = "an extension",
    };
    return reel_place_refuse (err, "bad_type", at, "must be %s, is %s", wanted, names[got]);
}

static enum reel_status
read_str (const struct reel_whole *value, const struct reel_place *at, struct reel_slice *text, struct reel_error *err)
{
    if (value->head.type != REEL_STR)
        return wrong_type (err, at, "a string", value->head.type);
    *text = value->head.bytes;
    return REEL_OK;
}

static enum reel_status
read_id (const struct reel_whole *value, const struct reel_place *at, struct reel_slice *id, struct reel_error *err)
{
    struct reel_slice text = REEL_SLICE_NONE;
    enum reel_status status = read_str (value, at, &text, err);
    if (status == REEL_OK && !reel_identity_id (text))
        status = reel_place_refuse (err, "bad_id", at,
                                    "an id is 1 to 128 letters, digits or . _ : - and begins with a letter or digit");
    if (status == REEL_OK)
        *id = text;
    return status;
}

static enum reel_status
read_modality (const struct reel_whole *value, const struct reel_place *at, struct reel_slice *modality,
               struct reel_error *err)
{
    struct reel_slice text = REEL_SLICE_NONE;
    enum reel_status status = read_str (value, at, &text, err);
    if (status == REEL_OK && !reel_identity_modality (text))
        status = reel_place_refuse (err, "bad_id", at,
                                    "a modality is 1 to 64 lower-case letters, digits or . _ - and begins with a "
                                    "letter or digit");
    if (status == REEL_OK)
        *modality = text;
    return status;
}

/* What has a default may be nil, which leaves `out` as it is; so for all that follow. */
static enum reel_status
read_container (const struct reel_whole *value, enum reel_type type, const struct reel_place *at,
                struct reel_slice *out, struct reel_error *err)
{
    if (value->head.type == REEL_NIL)
        return REEL_OK;
    if (value->head.type != type)
        return wrong_type (err, at, type == REEL_MAP ? "a map" : "an array", value->head.type);
    *out = value->bytes;
    return REEL_OK;
}

static enum reel_status
read_integer (const struct reel_whole *value, int64_t least, int64_t most, const struct reel_place *at, int64_t *out,
              struct reel_error *err)
{
    const struct reel_value *head = &value->head;
    if (head->type == REEL_NIL)
        return REEL_OK;
    if (head->type != REEL_UINT && head->type != REEL_INT)
        return wrong_type (err, at, "an integer", head->type);
    if (head->type == REEL_INT || head->u > (uint64_t) most || head->u < (uint64_t) least)
        return reel_place_refuse (err, "limit_exceeded", at, "must be between %lld and %lld", (long long) least,
                                  (long long) most);
    *out = (int64_t) head->u;
    return REEL_OK;
}

static enum reel_status
read_time (const struct reel_whole *value, const struct reel_place *at, int64_t *out, struct reel_error *err)
{
    if (value->head.type == REEL_INT)
        return reel_place_refuse (err, "bad_type", at, "a time is in microseconds since 1970, not negative");
    return read_integer (value, 0, INT64_MAX, at, out, err);
}

static enum reel_status
read_created_at (const struct reel_whole *value, const struct reel_place *at, struct reel_slice *out,
                 struct reel_error *err)
{
    if (value->head.type == REEL_NIL)
        return REEL_OK;
    enum reel_status status = read_str (value, at, out, err);
    if (status == REEL_OK && !reel_timestamp_parse (*out, NULL))
        status = reel_place_refuse (err, "bad_type", at,
                                    "must be an RFC 3339 time in UTC, such as 2026-04-28T09:10:06.000000Z");
    return status;
}

/* --- the structure of a step --------------------------------------------------------------- */

static enum reel_status
read_retry (const struct reel_whole *retry, const struct reel_place *at, struct reel_policy *policy,
            struct reel_error *err)
{
    struct reel_slice map = REEL_SLICE_NONE;
    enum reel_status status = read_container (retry, REEL_MAP, at, &map, err);
    if (status != REEL_OK || map.len == 0)
        return status;
    int64_t attempts = 0, backoff_ms = -1;
    const struct {
        const char *name;
        int64_t least, most, *out;
    } fields[] = {{"max_attempts", 1, REEL_ATTEMPTS_MAX, &attempts},
                  {"backoff_ms", 0, REEL_DURATION_MS_MAX, &backoff_ms},
                  {"backoff_max_ms", 0, REEL_DURATION_MS_MAX, &policy->backoff_max_ms}};
    struct reel_cursor cursor = reel_scan_start (map);
    struct reel_slice key;
    struct reel_whole member;
    bool read = reel_scan_next (&cursor, &member.head);
    for (uint32_t left = retry->head.count; left > 0 && status == REEL_OK; left--) {
        read = read && reel_scan_pair (&cursor, &key, &member);
        REEL_ASSERT (read);
        for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
            if (reel_slice_is (key, fields[i].name)) {
                struct reel_place inner = {at, fields[i].name, 0};
                status = read_integer (&member, fields[i].least, fields[i].most, &inner, fields[i].out, err);
            }
    }
    policy->max_attempts = (uint32_t) attempts;
    policy->backoff_ms = backoff_ms > 0 ? backoff_ms : 0;
    policy->no_backoff = backoff_ms == 0;
    return status;
}

static enum reel_status
read_in_doubt (const struct reel_whole *value, const struct reel_place *at, enum reel_in_doubt *out,
               struct reel_error *err)
{
    struct reel_slice text = REEL_SLICE_NONE;
    if (value->head.type == REEL_NIL)
        return REEL_OK;
    enum reel_status status = read_str (value, at, &text, err);
    if (status == REEL_OK && !reel_in_doubt_parse (text, out))
        status = reel_place_refuse (err, "bad_type", at, "must be hold, retry or fail");
    return status;
}

static enum reel_status
read_policy (const struct reel_whole *value, const struct reel_place *at, struct reel_policy *policy,
             struct reel_error *err)
{
    struct reel_slice map = REEL_SLICE_NONE;
    enum reel_status status = read_container (value, REEL_MAP, at, &map, err);
    if (status != REEL_OK || map.len == 0)
        return status;
    struct reel_cursor cursor = reel_scan_start (map);
    struct reel_slice key;
    struct reel_whole member;
    bool read = reel_scan_next (&cursor, &member.head);
    for (uint32_t left = value->head.count; left > 0 && status == REEL_OK; left--) {
        struct reel_place inner = {at, NULL, 0};
        read = read && reel_scan_pair (&cursor, &key, &member);
        REEL_ASSERT (read);
        if (reel_slice_is (key, inner.name = "timeout_ms"))
            status = read_integer (&member, 1, REEL_DURATION_MS_MAX, &inner, &policy->timeout_ms, err);
        else if (reel_slice_is (key, inner.name = "retry"))
            status = read_retry (&member, &inner, policy, err);
        else if (reel_slice_is (key, inner.name = "in_doubt"))
            status = read_in_doubt (&member, &inner, &policy->in_doubt, err);
    }
    return status;
}

static enum reel_status
read_error (const struct reel_whole *value, const struct reel_place *at, struct reel_slice *out, struct reel_error *err)
{
    if (value->head.type == REEL_NIL)
        return REEL_OK;
    if (value->head.type != REEL_MAP && value->head.type != REEL_STR)
        return wrong_type (err, at, "a map or a string", value->head.type);
    *out = value->bytes;
    return REEL_OK;
}

static enum reel_status
read_status (const struct reel_whole *value, const struct reel_place *at, enum reel_step_status *out,
             struct reel_error *err)
{
    struct reel_slice text = REEL_SLICE_NONE;
    if (value->head.type == REEL_NIL)
        return REEL_OK;
    enum reel_status status = read_str (value, at, &text, err);
    if (status == REEL_OK && !reel_step_status_parse (text, out))
        status = reel_place_refuse (err, "bad_type", at, "must be pending, running, succeeded, failed or skipped");
    return status;
}

static enum reel_status
read_depends_on (const struct reel_whole *value, const struct reel_place *at, struct reel_slice *out,
                 struct reel_error *err)
{
    enum reel_status status = read_container (value, REEL_ARRAY, at, out, err);
    if (status != REEL_OK || out->len == 0)
        return status;
    if (value->head.count > REEL_DEPENDS_MAX)
        return reel_place_refuse (err, "limit_exceeded", at, "%u dependencies, at most %u are allowed",
                                  value->head.count, REEL_DEPENDS_MAX);
    struct reel_cursor cursor = reel_scan_start (*out);
    struct reel_whole element;
    bool read = reel_scan_next (&cursor, &element.head);
    for (uint32_t i = 0; i < value->head.count; i++) {
        read = read && reel_scan_whole (&cursor, &element);
        REEL_ASSERT (read); /* the document was checked */
        if (element.head.type != REEL_STR) {
            struct reel_place inner = {at, NULL, i};
            return wrong_type (err, &inner, "a string", element.head.type);
        }
    }
    return REEL_OK;
}

enum step_field {
    STEP_ID,
    STEP_MODALITY,
    STEP_PAYLOAD,
    STEP_DEPENDS_ON,
    STEP_STATUS,
    STEP_RECEIPT,
    STEP_ERROR,
    STEP_STARTED,
    STEP_FINISHED,
    STEP_POLICY,
    STEP_UNKNOWN
};
static const struct reel_slice step_fields[] = {
    KEY ("step_id"), KEY ("modality"), KEY ("payload"),    KEY ("depends_on"),  KEY ("status"),
    KEY ("receipt"), KEY ("error"),    KEY ("started_us"), KEY ("finished_us"), KEY ("policy"),
};

/* Whoever writes the fields in the usual order has each found at the first try. */
static enum step_field
step_field (struct reel_slice key, unsigned guess)
{
    for (unsigned n = 0; n < STEP_UNKNOWN; n++) {
        unsigned field = (guess + n) % STEP_UNKNOWN;
        if (reel_slice_equal (key, step_fields[field]))
            return (enum step_field) field;
    }
    return STEP_UNKNOWN;
}

static enum reel_status
read_step_field (struct reel_step *step, enum step_field field, const struct reel_whole *value,
                 const struct reel_place *at, struct reel_error *err)
{
    switch (field) {
    case STEP_ID: return read_id (value, at, &step->step_id, err);
    case STEP_MODALITY: return read_modality (value, at, &step->modality, err);
    case STEP_PAYLOAD: return read_container (value, REEL_MAP, at, &step->payload, err);
    case STEP_DEPENDS_ON: return read_depends_on (value, at, &step->depends_on, err);
    case STEP_STATUS: return read_status (value, at, &step->status, err);
    case STEP_RECEIPT: return read_container (value, REEL_MAP, at, &step->receipt, err);
    case STEP_ERROR: return read_error (value, at, &step->error, err);
    case STEP_STARTED: return read_time (value, at, &step->started_us, err);
    case STEP_FINISHED: return read_time (value, at, &step->finished_us, err);
    case STEP_POLICY: return read_policy (value, at, &step->policy, err);
    case STEP_UNKNOWN: break;
    }
    return REEL_OK;
}

/* What is submitted leaves room for the keys that are added as it runs. */
static enum reel_status
check_own_keys (uint32_t count, unsigned flags, const struct reel_place *at, struct reel_error *err)
{
    if (count <= REEL_OWN_KEYS_MAX || (flags & REEL_WORKFLOW_GROWN) != 0)
        return REEL_OK;
    return reel_place_refuse (err, "limit_exceeded", at, "%u keys, at most %u are allowed", count, REEL_OWN_KEYS_MAX);
}

static enum reel_status
read_step (struct reel_step *step, struct reel_cursor *cursor, uint32_t index, unsigned flags, struct reel_error *err)
{
    struct reel_place at = {&reel_place_steps, NULL, index};
    const uint8_t *start = cursor->at;
    struct reel_slice key;
    struct reel_whole member;
    *step = (struct reel_step){.started_us = REEL_TIME_NIL, .finished_us = REEL_TIME_NIL};
    bool read = reel_scan_next (cursor, &member.head);
    REEL_ASSERT (read);
    if (member.head.type != REEL_MAP)
        return wrong_type (err, &at, "a map", member.head.type);
    uint32_t count = member.head.count;
    enum reel_status status = check_own_keys (count, flags, &at, err);
    for (uint32_t i = 0; i < count && status == REEL_OK; i++) {
        read = reel_scan_pair (cursor, &key, &member);
        REEL_ASSERT (read);
        enum step_field field = step_field (key, i);
        if (field == STEP_UNKNOWN)
            continue;
        struct reel_place inner = {&at, (const char *) step_fields[field].data, 0};
        status = read_step_field (step, field, &member, &inner, err);
    }
    if (status != REEL_OK)
        return status;
    if (step->step_id.len == 0 || step->modality.len == 0)
        return reel_place_refuse (err, "missing_field", &at, "a step needs a %s",
                                  step->step_id.len == 0 ? "step_id" : "modality");
    step->bytes = reel_slice (start, (size_t) (cursor->at - start));
    return REEL_OK;
}

static enum reel_status
make_room (struct reel_workflow *workflow, uint32_t count)
{
    if (count <= workflow->step_cap)
        return REEL_OK;
    struct reel_step *steps = realloc (workflow->steps, count * sizeof *steps);
    if (steps == NULL)
        return REEL_NO_MEMORY;
    workflow->steps = steps;
    uint32_t *by_id = realloc (workflow->by_id, count * sizeof *by_id);
    if (by_id == NULL)
        return REEL_NO_MEMORY;
    workflow->by_id = by_id;
    workflow->step_cap = count;
    return REEL_OK;
}

static enum reel_status
read_steps (struct reel_workflow *workflow, struct reel_cursor *cursor, unsigned flags, struct reel_error *err)
{
    struct reel_value head;
    bool read = reel_scan_next (cursor, &head);
    REEL_ASSERT (read);
    if (head.type != REEL_ARRAY)
        return wrong_type (err, &reel_place_steps, "an array", head.type);
    if (head.count == 0)
        return reel_place_refuse (err, "empty_workflow", &reel_place_steps, "a workflow needs at least one step");
    if (head.count > REEL_STEPS_MAX)
        return reel_place_refuse (err, "limit_exceeded", &reel_place_steps, "%u steps, at most %u are allowed",
                                  head.count, REEL_STEPS_MAX);
    enum reel_status status = make_room (workflow, head.count);
    for (uint32_t i = 0; i < head.count && status == REEL_OK; i++)
        status = read_step (&workflow->steps[i], cursor, i, flags, err);
    workflow->step_count = head.count;
    return status;
}

static enum reel_status
read_member (struct reel_workflow *workflow, struct reel_slice key, const struct reel_whole *member,
             struct reel_error *err)
{
    struct reel_place at = {NULL, NULL, 0};
    if (reel_slice_is (key, at.name = "workflow_id"))
        return member->head.type == REEL_NIL ? REEL_OK : read_id (member, &at, &workflow->workflow_id, err);
    if (reel_slice_is (key, at.name = "created_at"))
        return read_created_at (member, &at, &workflow->created_at, err);
    if (reel_slice_is (key, at.name = "global_provenance"))
        return read_container (member, REEL_MAP, &at, &workflow->global_provenance, err);
    return REEL_OK;
}

static enum reel_status
read_top (struct reel_workflow *workflow, unsigned flags, struct reel_error *err)
{
    struct reel_cursor cursor = reel_scan_start (workflow->document);
    struct reel_value head;
    bool read = reel_scan_next (&cursor, &head);
    REEL_ASSERT (read);
    if (head.type != REEL_MAP)
        return wrong_type (err, NULL, "a map", head.type);
    enum reel_status status = check_own_keys (head.count, flags, NULL, err);
    for (uint32_t i = 0; i < head.count && status == REEL_OK; i++) {
        struct reel_slice key;
        struct reel_whole member;
        read = reel_scan_key (&cursor, &key);
        REEL_ASSERT (read);
        if (reel_slice_is (key, "steps")) {
            status = read_steps (workflow, &cursor, flags, err);
        } else {
            read = reel_scan_whole (&cursor, &member);
            REEL_ASSERT (read);
            status = read_member (workflow, key, &member, err);
        }
    }
    if (status == REEL_OK && workflow->step_count == 0)
        return reel_place_refuse (err, "missing_field", NULL, "a workflow needs steps");
    return status;
}

enum reel_status
reel_workflow_parse (struct reel_workflow *workflow, struct reel_slice document, unsigned flags, struct reel_error *err)
{
    workflow->document = document;
    workflow->workflow_id = workflow->created_at = workflow->global_provenance = REEL_SLICE_NONE;
    workflow->step_count = workflow->depends_count = 0;
    if (document.len > REEL_DOCUMENT_BYTES_MAX && (flags & REEL_WORKFLOW_GROWN) == 0)
        return reel_place_refuse (err, "limit_exceeded", NULL, "a document of %zu bytes, at most %u are allowed",
                                  document.len, REEL_DOCUMENT_BYTES_MAX);
    enum reel_status status = reel_scan_check (document, REEL_DEPTH_MAX, err);
    if (status == REEL_OK)
        status = read_top (workflow, flags, err);
    if (status == REEL_OK)
        status = reel_graph_check (workflow, flags, err);
    return status;
}

void
reel_workflow_free (struct reel_workflow *workflow)
{
    free (workflow->steps);
    free (workflow->by_id);
    free (workflow->depends);
    memset (workflow, 0, sizeof *workflow);
}
