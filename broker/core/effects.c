/*
 * The lists of what a step brings about, all in a few growing blocks that are used again and again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "broker/core/state.h"

/* Room for one more element; NULL when memory is out. */
static void *
grow (void *list, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return list;
    size_t larger = *cap == 0 ? 64 : 2 * *cap;
    void *moved = realloc (list, larger * size);
    if (moved != NULL)
        *cap = larger;
    return moved;
}

#define PUSH(effects, list, counter, capacity, ...)                                                                    \
    do {                                                                                                               \
        void *moved = grow ((effects)->list, (effects)->counter, &(effects)->capacity, sizeof *(effects)->list);       \
        if (moved == NULL)                                                                                             \
            return REEL_NO_MEMORY;                                                                                     \
        (effects)->list = moved;                                                                                       \
        (effects)->list[(effects)->counter++] = __VA_ARGS__;                                                           \
    } while (0)

struct reel_span
reel_effects_add (struct reel_effects *effects, struct reel_slice bytes)
{
    struct reel_span span = {effects->bytes.len, bytes.len};
    reel_buf_add_slice (&effects->bytes, bytes);
    return span;
}

enum reel_status
reel_effects_send (struct reel_effects *effects, enum reel_socket socket, struct reel_slice peer, bool delimiter,
                   const struct reel_message *message)
{
    struct reel_span document = {0};
    if (message->has_document)
        document = reel_effects_add (effects, message->document);
    return reel_effects_send_span (effects, socket, peer, delimiter, message, document);
}

enum reel_status
reel_effects_send_span (struct reel_effects *effects, enum reel_socket socket, struct reel_slice peer, bool delimiter,
                        const struct reel_message *message, struct reel_span document)
{
    struct reel_send send = {
        .socket = socket,
        .peer = reel_effects_add (effects, peer),
        .delimiter = delimiter,
        .command = message->command,
        .has_document = reel_message_spec (message->command)->document == REEL_DOCUMENT_REQUIRED,
        .document = document,
    };
    send.header.at = effects->bytes.len;
    reel_message_encode (message, &effects->bytes);
    send.header.len = effects->bytes.len - send.header.at;
    PUSH (effects, sends, send_count, send_cap, send);
    return reel_buf_status (&effects->bytes);
}

static enum reel_status
publish (struct reel_effects *effects, size_t topic_at, struct reel_span body, bool body_in_records)
{
    struct reel_publish one = {{topic_at, effects->bytes.len - topic_at}, body, body_in_records};
    PUSH (effects, publishes, publish_count, publish_cap, one);
    return reel_buf_status (&effects->bytes);
}

enum reel_status
reel_effects_publish (struct reel_effects *effects, struct reel_slice workflow_id, const char *kind,
                      struct reel_slice body, bool body_in_records)
{
    struct reel_span span = {0, body.len};
    if (body_in_records)
        span.at = (size_t) (body.data - effects->records.data);
    else
        span = reel_effects_add (effects, body);
    size_t topic_at = effects->bytes.len;
    reel_buf_add_text (&effects->bytes, "event/");
    reel_buf_add_slice (&effects->bytes, workflow_id);
    reel_buf_add_byte (&effects->bytes, '/');
    reel_buf_add_text (&effects->bytes, kind);
    return publish (effects, topic_at, span, body_in_records);
}

enum reel_status
reel_effects_publish_receipt (struct reel_effects *effects, struct reel_slice workflow_id, struct reel_span receipt)
{
    size_t topic_at = effects->bytes.len;
    reel_buf_add_text (&effects->bytes, "receipt/");
    reel_buf_add_slice (&effects->bytes, workflow_id);
    return publish (effects, topic_at, receipt, false);
}

enum reel_status
reel_effects_read (struct reel_effects *effects, const struct reel_read *read, struct reel_slice context)
{
    struct reel_read one = *read;
    one.context = reel_effects_add (effects, context);
    PUSH (effects, reads, read_count, read_cap, one);
    return reel_buf_status (&effects->bytes);
}

enum reel_status
reel_effects_read_again (struct reel_effects *effects, const struct reel_core_reading *reading)
{
    effects->again_count++;
    return reel_effects_read (effects, reading->read, reading->context);
}

enum reel_status
reel_effects_row (struct reel_effects *effects, const struct reel_journal_row *row)
{
    struct reel_effect_row_text text = {reel_effects_add (effects, row->workflow_id),
                                        reel_effects_add (effects, row->origin)};
    size_t cap = effects->row_cap;
    void *texts = grow (effects->row_texts, effects->row_count, &cap, sizeof *effects->row_texts);
    if (texts == NULL)
        return REEL_NO_MEMORY;
    effects->row_texts = texts;
    effects->row_texts[effects->row_count] = text;
    PUSH (effects, rows, row_count, row_cap, *row);
    return reel_buf_status (&effects->bytes);
}

struct reel_slice
reel_effects_slice (const struct reel_effects *effects, struct reel_span span)
{
    REEL_ASSERT (span.at <= effects->bytes.len && span.len <= effects->bytes.len - span.at);
    return span.len == 0 ? REEL_SLICE_NONE : reel_slice (effects->bytes.data + span.at, span.len);
}

struct reel_slice
reel_effects_body (const struct reel_effects *effects, const struct reel_publish *publish_effect)
{
    return publish_effect->body_in_records
               ? reel_slice (effects->records.data + publish_effect->body.at, publish_effect->body.len)
               : reel_effects_slice (effects, publish_effect->body);
}

bool
reel_effects_empty (const struct reel_effects *effects)
{
    return effects->records.len == 0 && effects->send_count == 0 && effects->publish_count == 0
           && effects->read_count == 0;
}

bool
reel_effects_full (const struct reel_effects *effects)
{
    return effects->records.len + effects->bytes.len >= REEL_EFFECTS_BYTES_FULL;
}

struct reel_journal_batch
reel_effects_batch (struct reel_effects *effects)
{
    for (size_t i = 0; i < effects->row_count; i++) {
        effects->rows[i].workflow_id = reel_effects_slice (effects, effects->row_texts[i].workflow_id);
        effects->rows[i].origin = reel_effects_slice (effects, effects->row_texts[i].origin);
    }
    return (struct reel_journal_batch){
        .epoch = effects->epoch,
        .first_seq = effects->first_seq,
        .event_count = effects->event_count,
        .records = reel_buf_slice (&effects->records),
        .rows = effects->rows,
        .row_count = effects->row_count,
        .snapshot_begins = effects->snapshot_begins,
        .snapshot_ends = effects->snapshot_ends,
        .forgotten_seq = effects->forgotten_seq,
    };
}

void
reel_effects_clear (struct reel_effects *effects)
{
    reel_buf_clear (&effects->records);
    reel_buf_clear (&effects->bytes);
    effects->first_seq = effects->event_count = effects->epoch = 0;
    effects->forgotten_seq = effects->snapshot_bytes = 0;
    effects->snapshot_begins = effects->snapshot_ends = false;
    effects->row_count = effects->send_count = effects->publish_count = effects->read_count = effects->again_count = 0;
}

void
reel_effects_free (struct reel_effects *effects)
{
    reel_buf_free (&effects->records);
    reel_buf_free (&effects->bytes);
    free (effects->rows);
    free (effects->row_texts);
    free (effects->sends);
    free (effects->publishes);
    free (effects->reads);
    memset (effects, 0, sizeof *effects);
}
