/*
 * The form of records in the journal.
 */
#include "broker/core/record.h"

#include "base/assert.h"
#include "proto/pack.h"
#include "proto/scan.h"

/* A final record has three more where it stands without the accepting one. */
#define ENDED_ALONE 3

static uint32_t
members (enum reel_record_kind kind)
{
    switch (kind) {
    case REEL_RECORD_EPOCH:
    case REEL_RECORD_SWITCHED:
    case REEL_RECORD_SNAPSHOT:
    case REEL_RECORD_FORGOTTEN:
    case REEL_RECORD_TERM: return 4;
    case REEL_RECORD_ACCEPTED: return 5;
    case REEL_RECORD_STEP: return 5;
    case REEL_RECORD_YIELDED: return 5;
    case REEL_RECORD_ENDED: return 6;
    case REEL_RECORD_LIVE: return 6;
    case REEL_RECORD_SNAPSHOT_ENDS:
    case REEL_RECORD_ASSIGNED:
    case REEL_RECORD_REQUEUED:
    case REEL_RECORD_HELD:
    case REEL_RECORD_CANCELLING:
    case REEL_RECORD_RESOLVED:
    case REEL_RECORD_PAUSED:
    case REEL_RECORD_RESUMED: return 3;
    }
    return 0;
}

size_t
reel_record_write (struct reel_buf *out, const struct reel_record *record)
{
    size_t frame = out->len;
    reel_buf_add (out, "\0\0\0\0", REEL_RECORD_FRAME_BYTES);
    bool alone = record->kind == REEL_RECORD_ENDED && record->document.len > 0;
    reel_pack_array (out, members (record->kind) + (alone ? ENDED_ALONE : 0));
    reel_pack_uint (out, record->kind);
    reel_pack_uint (out, record->previous_seq);
    size_t event_at = out->len;
    reel_pack_raw (out, record->event_bytes);
    switch (record->kind) {
    case REEL_RECORD_EPOCH: reel_pack_uint (out, record->epoch); break;
    case REEL_RECORD_SWITCHED: reel_pack_bool (out, record->paused); break;
    case REEL_RECORD_ACCEPTED:
        reel_buf_add_slice (out, record->document);
        reel_pack_raw (out, record->provenance);
        break;
    case REEL_RECORD_STEP:
    case REEL_RECORD_YIELDED:
        reel_lease_pack (out, record->lease);
        reel_pack_uint (out, record->report_index);
        break;
    case REEL_RECORD_ENDED:
        reel_buf_add_slice (out, record->receipt);
        reel_pack_uint (out, record->accepted_seq);
        reel_pack_uint (out, record->report_index);
        if (!alone)
            break;
        reel_buf_add_slice (out, record->document);
        reel_pack_raw (out, record->provenance);
        reel_pack_int (out, record->priority);
        break;
    case REEL_RECORD_SNAPSHOT: reel_buf_add_slice (out, record->state); break;
    case REEL_RECORD_LIVE:
        reel_buf_add_slice (out, record->document);
        reel_pack_raw (out, record->provenance);
        reel_buf_add_slice (out, record->state);
        break;
    case REEL_RECORD_FORGOTTEN: reel_pack_uint (out, record->forgotten_seq); break;
    case REEL_RECORD_TERM: reel_pack_uint (out, (uint64_t) record->term_ms); break;
    case REEL_RECORD_SNAPSHOT_ENDS:
    case REEL_RECORD_ASSIGNED:
    case REEL_RECORD_REQUEUED:
    case REEL_RECORD_HELD:
    case REEL_RECORD_CANCELLING:
    case REEL_RECORD_RESOLVED:
    case REEL_RECORD_PAUSED:
    case REEL_RECORD_RESUMED: break;
    }
    if (out->failed)
        return 0;
    size_t len = out->len - frame - REEL_RECORD_FRAME_BYTES;
    for (unsigned i = 0; i < REEL_RECORD_FRAME_BYTES; i++)
        out->data[frame + i] = (uint8_t) (len >> 8 * i);
    return event_at;
}

bool
reel_record_take (struct reel_slice *batch, struct reel_slice *record, bool *damaged)
{
    *damaged = false;
    if (batch->len == 0)
        return false;
    size_t len = 0;
    *damaged = true;
    if (batch->len < REEL_RECORD_FRAME_BYTES)
        return false;
    for (unsigned i = 0; i < REEL_RECORD_FRAME_BYTES; i++)
        len |= (size_t) batch->data[i] << 8 * i;
    if (len == 0 || len > batch->len - REEL_RECORD_FRAME_BYTES)
        return false;
    *damaged = false;
    *record = reel_slice (batch->data + REEL_RECORD_FRAME_BYTES, len);
    *batch = reel_slice (record->data + len, batch->len - REEL_RECORD_FRAME_BYTES - len);
    return true;
}

static bool
take_bool (struct reel_cursor *cursor, bool *flag)
{
    struct reel_value value;
    if (!reel_scan_next (cursor, &value) || value.type != REEL_BOOL)
        return false;
    *flag = value.boolean;
    return true;
}

/* Takes the three members that all records begin with. */
static bool
take_head (struct reel_cursor *cursor, struct reel_record_head *head, uint32_t *count)
{
    struct reel_value array;
    if (!reel_scan_next (cursor, &array) || array.type != REEL_ARRAY || array.count < 3
        || !reel_scan_uint (cursor, &head->kind) || !reel_scan_uint (cursor, &head->previous_seq)
        || !reel_scan_skip (cursor, &head->event))
        return false;
    *count = array.count;
    head->seq = 0;
    if (reel_scan_type (head->event) == REEL_NIL)
        head->event = REEL_SLICE_NONE;
    else if (!reel_scan_find_uint (head->event, "seq", &head->seq))
        return false;
    return true;
}

bool
reel_record_head (struct reel_slice record, struct reel_record_head *head)
{
    struct reel_cursor cursor = reel_scan_start (record);
    uint32_t count;
    return take_head (&cursor, head, &count);
}

static bool
take_lease (struct reel_cursor *cursor, struct reel_lease *lease)
{
    struct reel_slice bytes;
    return reel_scan_skip (cursor, &bytes) && reel_lease_read (bytes, lease);
}

static bool
take_document (struct reel_cursor *cursor, struct reel_record *record)
{
    if (!reel_scan_skip (cursor, &record->document) || !reel_scan_skip (cursor, &record->provenance))
        return false;
    if (reel_scan_type (record->provenance) == REEL_NIL)
        record->provenance = REEL_SLICE_NONE;
    return true;
}

static bool
take_priority (struct reel_cursor *cursor, int64_t *priority)
{
    struct reel_value value;
    if (!reel_scan_next (cursor, &value)
        || !(value.type == REEL_INT || (value.type == REEL_UINT && value.u <= INT64_MAX)))
        return false;
    *priority = value.type == REEL_INT ? value.i : (int64_t) value.u;
    return true;
}

static bool
take_term (struct reel_cursor *cursor, int64_t *term_ms)
{
    uint64_t number;
    if (!reel_scan_uint (cursor, &number) || number > REEL_DURATION_MS_MAX)
        return false;
    *term_ms = (int64_t) number;
    return true;
}

static bool
take_rest (struct reel_cursor *cursor, struct reel_record *record, bool alone)
{
    switch (record->kind) {
    case REEL_RECORD_EPOCH: return reel_scan_uint (cursor, &record->epoch);
    case REEL_RECORD_SWITCHED: return take_bool (cursor, &record->paused);
    case REEL_RECORD_ACCEPTED: return take_document (cursor, record);
    case REEL_RECORD_SNAPSHOT: return reel_scan_skip (cursor, &record->state);
    case REEL_RECORD_LIVE: return take_document (cursor, record) && reel_scan_skip (cursor, &record->state);
    case REEL_RECORD_FORGOTTEN: return reel_scan_uint (cursor, &record->forgotten_seq);
    case REEL_RECORD_TERM: return take_term (cursor, &record->term_ms);
    case REEL_RECORD_STEP:
    case REEL_RECORD_YIELDED:
        return take_lease (cursor, &record->lease) && reel_scan_uint (cursor, &record->report_index);
    case REEL_RECORD_ENDED:
        return reel_scan_skip (cursor, &record->receipt) && reel_scan_uint (cursor, &record->accepted_seq)
               && reel_scan_uint (cursor, &record->report_index)
               && (!alone || (take_document (cursor, record) && take_priority (cursor, &record->priority)));
    case REEL_RECORD_SNAPSHOT_ENDS:
    case REEL_RECORD_ASSIGNED:
    case REEL_RECORD_REQUEUED:
    case REEL_RECORD_HELD:
    case REEL_RECORD_CANCELLING:
    case REEL_RECORD_RESOLVED:
    case REEL_RECORD_PAUSED:
    case REEL_RECORD_RESUMED: return true;
    }
    return false;
}

bool
reel_record_has_event (enum reel_record_kind kind)
{
    switch (kind) {
    case REEL_RECORD_EPOCH:
    case REEL_RECORD_SWITCHED:
    case REEL_RECORD_SNAPSHOT:
    case REEL_RECORD_LIVE:
    case REEL_RECORD_SNAPSHOT_ENDS:
    case REEL_RECORD_FORGOTTEN:
    case REEL_RECORD_TERM: return false;
    default: return true;
    }
}

static bool
fits (enum reel_record_kind kind, enum reel_command event)
{
    switch (kind) {
    case REEL_RECORD_ACCEPTED: return event == REEL_EVENT_ACCEPTED;
    case REEL_RECORD_ASSIGNED: return event == REEL_EVENT_ASSIGNED;
    case REEL_RECORD_STEP: return event >= REEL_EVENT_STARTED && event <= REEL_EVENT_IN_DOUBT;
    case REEL_RECORD_YIELDED: return event == REEL_EVENT_YIELDED;
    case REEL_RECORD_REQUEUED: return event == REEL_EVENT_REQUEUED;
    case REEL_RECORD_HELD: return event == REEL_EVENT_HELD;
    case REEL_RECORD_ENDED: return event >= REEL_EVENT_WORKFLOW_SUCCEEDED && event <= REEL_EVENT_WORKFLOW_CANCELLED;
    case REEL_RECORD_CANCELLING: return event == REEL_EVENT_CANCELLING;
    case REEL_RECORD_RESOLVED: return event == REEL_EVENT_RESOLVED;
    case REEL_RECORD_PAUSED: return event == REEL_EVENT_PAUSED;
    case REEL_RECORD_RESUMED: return event == REEL_EVENT_RESUMED;
    default: return false; /* it has none */
    }
}

static enum reel_status
wrong_event (enum reel_record_kind kind, struct reel_error *err)
{
    return reel_error_set (err, REEL_INVALID, "damaged", "", "a record of kind %u with the wrong event",
                           (unsigned) kind);
}

enum reel_status
reel_record_read (struct reel_slice bytes, struct reel_record *record, struct reel_message *event,
                  struct reel_error *err)
{
    struct reel_cursor cursor = reel_scan_start (bytes);
    struct reel_record_head head;
    uint32_t count;
    if (!take_head (&cursor, &head, &count) || head.kind < REEL_RECORD_EPOCH || head.kind > REEL_RECORD_TERM)
        return reel_error_set (err, REEL_INVALID, "damaged", "", "a record of unknown form");
    record->kind = (enum reel_record_kind) head.kind;
    record->previous_seq = head.previous_seq;
    record->event_bytes = head.event;
    bool alone = record->kind == REEL_RECORD_ENDED && count == members (record->kind) + ENDED_ALONE;
    record->document = record->provenance = REEL_SLICE_NONE;
    if ((count != members (record->kind) && !alone) || !take_rest (&cursor, record, alone) || cursor.at != cursor.end)
        return reel_error_set (err, REEL_INVALID, "damaged", "", "a record of kind %u that lacks something",
                               (unsigned) head.kind);
    if (reel_record_has_event (record->kind) != (head.event.len > 0))
        return wrong_event (record->kind, err);
    record->event = head.event.len == 0 ? NULL : event;
    if (head.event.len == 0)
        return REEL_OK;
    enum reel_status status = reel_scan_check (head.event, REEL_DEPTH_MAX, err);
    if (status == REEL_OK)
        status = reel_message_decode_event (REEL_PUBLISHED, head.event, "", event, err);
    return status == REEL_OK && !fits (record->kind, event->command) ? wrong_event (record->kind, err) : status;
}
