/*
 * The journal of the bench, as the core reads it: answers to what it asks, at once or when told to, and bent ones.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/scan.h"
#include "tests/support/broker_inside.h"

static struct reel_slice
framed (const struct broker *broker, uint64_t seq)
{
    const struct broker_record *record = &broker->records[broker->events[seq - 1]];
    return reel_slice (broker->journal.data + record->at, record->len);
}

static struct reel_slice
event_bytes (const struct broker *broker, uint64_t seq)
{
    struct reel_record_head head;
    struct reel_slice bytes = framed (broker, seq);
    MUST (reel_record_head (reel_slice (bytes.data + REEL_RECORD_FRAME_BYTES, bytes.len - REEL_RECORD_FRAME_BYTES),
                            &head));
    return head.event;
}

static bool
add_event (const struct broker *broker, uint64_t seq, const struct reel_read *read, struct reel_buf *body,
           struct reel_journal_page *page)
{
    struct reel_slice event = event_bytes (broker, seq);
    page->more = page->count == read->limit || (page->count > 0 && body->len + event.len > REEL_EVENTS_REPLY_BYTES_MAX);
    if (page->more)
        return false;
    reel_buf_add_slice (body, event);
    page->count++;
    page->next = seq;
    return true;
}

static void
read_events (const struct broker *broker, const struct reel_read *read, struct reel_buf *body,
             struct reel_journal_page *page)
{
    uint64_t first = read->after < broker->forgotten ? broker->forgotten : read->after;
    page->next = read->after;
    for (uint64_t seq = first + 1; read->after < broker->event_count && seq <= broker->event_count; seq++)
        if (!add_event (broker, seq, read, body, page))
            return;
}

static void
read_workflow_events (const struct broker *broker, const struct reel_read *read, struct reel_buf *body,
                      struct reel_journal_page *page)
{
    uint64_t *chain = calloc (broker->event_count + 1, sizeof *chain);
    size_t count = 0;
    MUST (chain != NULL);
    MUST (read->seq <= broker->event_count);
    for (uint64_t seq = read->seq; seq > read->after && seq > broker->forgotten;
         seq = broker->records[broker->events[seq - 1]].previous_seq)
        chain[count++] = seq;
    page->next = read->after;
    while (count > 0 && add_event (broker, chain[count - 1], read, body, page))
        count--;
    free (chain);
}

static void
read_ended (struct broker *broker, const struct reel_read *read, struct reel_buf *body)
{
    struct reel_record record;
    struct reel_message event;
    struct reel_slice final = framed (broker, read->seq);
    SAME (reel_record_read (reel_slice (final.data + REEL_RECORD_FRAME_BYTES, final.len - REEL_RECORD_FRAME_BYTES),
                            &record, &event, NULL),
          REEL_OK);
    reel_buf_add_slice (body, final);
    if (record.document.len > 0)
        return;
    MUST (record.accepted_seq > broker->forgotten);
    reel_buf_add_slice (body, framed (broker, record.accepted_seq));
}

static void
read_list (struct broker *broker, const struct reel_read *read, struct reel_buf *body, struct reel_journal_page *page)
{
    size_t looked = 0;
    for (size_t i = broker->model_count; i-- > 0 && !page->more;) {
        const struct broker_model *model = &broker->models[i];
        if (model->accepted_seq >= read->after || !broker_is_retained (broker, model))
            continue;
        page->more = page->count == read->limit || (broker->rows_looked > 0 && looked++ == broker->rows_looked);
        if (page->more)
            return;
        page->next = model->accepted_seq;
        if (read->status != NULL && strcmp (read->status, model->status) != 0)
            continue;
        struct reel_value number;
        struct reel_slice at = REEL_SLICE_NONE;
        struct reel_journal_row row = {.accepted_seq = model->accepted_seq,
                                       .workflow_id = reel_slice_text (model->workflow_id),
                                       .status = model->status,
                                       .deliveries = model->deliveries};
        MUST (reel_scan_find (reel_buf_slice (&model->receipt), reel_slice_text ("finished_us"), &at));
        MUST (reel_scan_value (at, &number));
        row.finished_us = (int64_t) number.u;
        reel_core_row_pack (body, &row);
        page->count++;
    }
}

/* A copy is there when it is asked for again: `copy_bytes` bytes that say where they are. */
static void
read_backup (struct broker *broker, const struct reel_read *read, struct reel_buf *body, struct reel_journal_page *page)
{
    bool begun = broker->copy != read->seq;
    broker->copy = read->seq;
    MUST (read->limit > 0);
    if (begun)
        return;
    page->next = broker->copy_bytes;
    for (uint64_t at = read->after; at < broker->copy_bytes && at - read->after < read->limit; at++)
        reel_buf_add_byte (body, (uint8_t) (at / 1000));
}

static void
answer (struct broker *broker, const struct reel_read *read, struct reel_slice context)
{
    struct reel_buf body = {0};
    struct reel_core_reading reading = {
        .read = read, .context = context, .first_seq = broker->forgotten + 1, .last_seq = broker->event_count};
    bool gone = broker->readings_gone || (read->kind == REEL_READ_ENDED && read->seq <= broker->forgotten);
    switch (gone ? REEL_READ_LIST : read->kind) {
    case REEL_READ_EVENTS: read_events (broker, read, &body, &reading.page); break;
    case REEL_READ_WORKFLOW_EVENTS: read_workflow_events (broker, read, &body, &reading.page); break;
    case REEL_READ_ENDED: read_ended (broker, read, &body); break;
    case REEL_READ_LIST: read_list (broker, read, &body, &reading.page); break;
    case REEL_READ_BACKUP: read_backup (broker, read, &body, &reading.page); break;
    case REEL_READ_BACKUP_ENDS: broker->copy = 0; break;
    }
    reading.body = !gone                            ? reel_buf_slice (&body)
                   : read->kind == REEL_READ_BACKUP ? reel_slice_text ("for a reason")
                                                    : REEL_SLICE_NONE;
    reading.status = gone ? REEL_NOT_FOUND : REEL_OK;
    if (broker->readings_again > 0) {
        broker->readings_again--;
        reading.status = REEL_AGAIN;
        reading.body = REEL_SLICE_NONE;
    }
    if (broker->readings_bent > 0 && broker->readings_bent <= body.len)
        body.data[broker->readings_bent - 1] ^= broker->readings_bend;
    if (broker->readings_torn)
        reading.body.len /= 2;
    struct reel_core_time now = {broker->wall_us, broker->monotonic_us};
    SAME (reel_core_reading (broker->core, now, &reading, &broker->effects), REEL_OK);
    reel_buf_free (&body);
    broker_take (broker, true);
}

void
broker_take_reads (struct broker *broker)
{
    static const char *const names[] = {"events", "workflow events", "ended", "list", "backup", "backup ends"};
    struct reel_effects *effects = &broker->effects;
    for (size_t i = 0; i < effects->read_count; i++) {
        struct reel_read read = effects->reads[i];
        struct reel_slice context = reel_effects_slice (effects, read.context);
        size_t at = broker->held_contexts.len;
        broker->held = realloc (broker->held, (broker->held_count + 1) * sizeof *broker->held);
        MUST (broker->held != NULL);
        reel_buf_add_slice (&broker->held_contexts, context);
        read.context = (struct reel_span){at, context.len};
        broker->held[broker->held_count++] = read;
        if (broker->hold_readings)
            reel_buf_printf (&broker->trace, "read %s\n", names[read.kind]);
    }
}

void
broker_answer (struct broker *broker)
{
    struct reel_buf context = {0};
    MUST (broker->held_count > 0);
    struct reel_read read = broker->held[0];
    broker->held_count--;
    memmove (broker->held, broker->held + 1, broker->held_count * sizeof *broker->held);
    reel_buf_add (&context, broker->held_contexts.data + read.context.at, read.context.len);
    if (broker->held_count == 0)
        reel_buf_clear (&broker->held_contexts);
    answer (broker, &read, reel_buf_slice (&context));
    reel_buf_free (&context);
}
