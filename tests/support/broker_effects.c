/*
 * What came out of the core: each effect held against the model and the wire, and the trace of them.
 */
#include <stdio.h>
#include <string.h>

#include "proto/scan.h"
#include "tests/support/broker_inside.h"

/* --- the trace ------------------------------------------------------------------------------- */

static bool
is_one_of (struct reel_slice key, const char *const *names)
{
    for (; *names != NULL; names++)
        if (reel_slice_is (key, *names))
            return true;
    return false;
}

/* The members of an event that its kind adds; "" when it adds none. */
static const char *
added (struct broker *broker, struct reel_slice map)
{
    static const char *const common[] = {"seq", "index", "workflow_id", "kind", "at_us", NULL};
    struct reel_buf out = {0}, rest = {0};
    struct reel_cursor cursor = reel_scan_start (map);
    struct reel_value head;
    uint32_t count = 0;
    MUST (reel_scan_next (&cursor, &head));
    for (uint32_t i = 0; i < head.count; i++) {
        const uint8_t *start = cursor.at;
        struct reel_slice key;
        MUST (reel_scan_key (&cursor, &key) && reel_scan_skip (&cursor, NULL));
        if (is_one_of (key, common))
            continue;
        reel_buf_add (&rest, start, (size_t) (cursor.at - start));
        count++;
    }
    MUST (count < 16);
    reel_buf_add_byte (&out, (uint8_t) (0x80 | count));
    reel_buf_add_slice (&out, reel_buf_slice (&rest));
    const char *json = count == 0 ? "" : broker_json (broker, reel_buf_slice (&out));
    reel_buf_free (&out);
    reel_buf_free (&rest);
    return json;
}

static void
trace_publish (struct broker *broker, struct reel_slice topic, struct reel_slice body)
{
    struct reel_message event;
    struct reel_error err = {0};
    uint64_t seq = 0, index = 0;
    char expected[256];
    if (topic.len > 8 && memcmp (topic.data, "receipt/", 8) == 0) {
        reel_buf_printf (&broker->trace, "receipt %.*s\n", (int) topic.len - 8, (const char *) topic.data + 8);
        return;
    }
    SAME (reel_scan_check (body, REEL_DEPTH_MAX, NULL), REEL_OK);
    MUST_SAY (reel_message_decode_event (REEL_PUBLISHED, body, "", &event, &err) == REEL_OK, "%s", err.message);
    const char *kind = reel_message_spec (event.command)->name;
    struct reel_slice id = event.value[REEL_F_WORKFLOW_ID].s;
    snprintf (expected, sizeof expected, "event/%.*s/%s", REEL_TEXT (id), kind);
    MUST_SAY (reel_slice_is (topic, expected), "%.*s is not %s", REEL_TEXT (topic), expected);
    bool kept = reel_scan_find_uint (body, "seq", &seq);
    SAME (kept, reel_scan_find_uint (body, "index", &index));
    SAME (kept, event.command != REEL_EVENT_PROGRESS);
    if (kept)
        reel_buf_printf (&broker->trace, "%llu %.*s.%llu %s", (unsigned long long) seq, REEL_TEXT (id),
                         (unsigned long long) index, kind);
    else
        reel_buf_printf (&broker->trace, "~ %.*s %s", REEL_TEXT (id), kind);
    const char *more = added (broker, body);
    reel_buf_printf (&broker->trace, "%s%s\n", *more == '\0' ? "" : " ", more);
}

static void
trace_send (struct broker *broker, const struct broker_sent *sent, bool delimiter)
{
    reel_buf_printf (&broker->trace, "%s%s %s ", sent->peer, delimiter ? "|" : "",
                     reel_message_spec (sent->command)->name);
    reel_buf_printf (&broker->trace, "%s%s\n", broker_json (broker, reel_buf_slice (&sent->header)),
                     sent->document.len > 0 ? " +" : "");
}

void
broker_expect_lines (struct broker *broker, const char *file, int line, const char *const *lines)
{
    reel_buf_add_byte (&broker->trace, 0);
    char *rest = (char *) broker->trace.data;
    bool same = true;
    const char *const *expected = lines;
    for (; *expected != NULL && same; expected++) {
        size_t len = strlen (*expected);
        char *end = strchr (rest, '\n');
        bool open = len >= 3 && strcmp (*expected + len - 3, "...") == 0;
        same = end != NULL
               && (open ? (size_t) (end - rest) >= len - 3 && strncmp (rest, *expected, len - 3) == 0
                        : (size_t) (end - rest) == len && strncmp (rest, *expected, len) == 0);
        if (same)
            rest = end + 1;
    }
    if (!same || *rest != '\0')
        ck_abort_msg ("%s:%d: expected\n  %s\nhere in\n%sbefore\n%s", file, line, same ? "nothing more" : expected[-1],
                      (char *) broker->trace.data, rest);
    reel_buf_clear (&broker->trace);
}

void
broker_forget (struct broker *broker)
{
    reel_buf_clear (&broker->trace);
}

const char *
broker_document (struct broker *broker)
{
    MUST (broker->sent_count > 0);
    return broker_json (broker, reel_buf_slice (&broker->sent[broker->sent_count - 1].document));
}

const char *
broker_header (struct broker *broker, const char *pointer)
{
    struct reel_slice found = REEL_SLICE_NONE;
    MUST (broker->sent_count > 0);
    (void) reel_scan_pointer (reel_buf_slice (&broker->sent[broker->sent_count - 1].header), reel_slice_text (pointer),
                              &found);
    return broker_json (broker, found);
}

/* --- taking effects ---------------------------------------------------------------------------- */

/* A record of a snapshot, or what is retained no longer: all that is live is in a snapshot by then. */
static void
take_snapshot (struct broker *broker, const struct reel_record *record)
{
    switch (record->kind) {
    case REEL_RECORD_SNAPSHOT: broker->begun = broker->record_count; break;
    case REEL_RECORD_SNAPSHOT_ENDS:
        broker->snapshot = broker->begun;
        broker->snapshots++;
        break;
    case REEL_RECORD_FORGOTTEN:
        MUST (record->forgotten_seq > broker->forgotten);
        for (size_t i = broker->snapshot - 1; i < broker->record_count; i++)
            MUST (broker->records[i].seq == 0 || broker->records[i].seq > record->forgotten_seq);
        broker->forgotten = record->forgotten_seq;
        break;
    case REEL_RECORD_TERM: break;
    default: SAME (record->kind, REEL_RECORD_LIVE);
    }
}

static void
take_record (struct broker *broker, struct reel_slice bytes)
{
    struct reel_record record = {0};
    struct reel_message event;
    struct reel_error err = {0};
    MUST_SAY (reel_record_read (bytes, &record, &event, &err) == REEL_OK, "%s", err.message);
    broker->records = broker_grown (broker->records, broker->record_count, &broker->record_cap,
                                    sizeof *broker->records);
    struct broker_record *place = &broker->records[broker->record_count];
    *place = (struct broker_record){
        .at = broker->journal.len, .len = bytes.len + REEL_RECORD_FRAME_BYTES, .previous_seq = record.previous_seq};
    reel_buf_add (&broker->journal, bytes.data - REEL_RECORD_FRAME_BYTES, place->len);
    broker->record_count++;
    MUST_SAY (reel_core_apply (broker->mirror, bytes, &err) == REEL_OK, "%s", err.message);
    if (record.kind == REEL_RECORD_EPOCH) {
        MUST (record.epoch > broker->epoch);
        broker->epoch = record.epoch;
        reel_buf_printf (&broker->trace, "epoch %llu\n", (unsigned long long) record.epoch);
        return;
    }
    if (record.kind == REEL_RECORD_SWITCHED) {
        MUST (record.paused != broker->paused);
        broker->paused = record.paused;
        reel_buf_add_text (&broker->trace, record.paused ? "paused\n" : "resumed\n");
        return;
    }
    if (!reel_record_has_event (record.kind)) {
        take_snapshot (broker, &record);
        return;
    }
    SAME (event.value[REEL_F_SEQ].u, broker->event_count + 1);
    place->seq = event.value[REEL_F_SEQ].u;
    broker->events = broker_grown (broker->events, broker->event_count, &broker->event_cap, sizeof *broker->events);
    broker->events[broker->event_count++] = broker->record_count - 1;
    broker_model_take (broker, &record);
}

static void
take_records (struct broker *broker)
{
    struct reel_journal_batch batch = reel_effects_batch (&broker->effects);
    size_t before = broker->event_count, first_record = broker->record_count;
    uint64_t ended = 0;
    struct reel_slice rest = batch.records, record;
    bool damaged = false;
    while (reel_record_take (&rest, &record, &damaged))
        take_record (broker, record);
    MUST (!damaged);
    SAME (batch.epoch, broker->epoch);
    SAME (batch.event_count, broker->event_count - before);
    SAME (batch.first_seq, before + 1);
    MUST (batch.forgotten_seq == 0 || batch.forgotten_seq == broker->forgotten);
    SAME (batch.snapshot_begins, broker->begun > first_record);
    MUST (!batch.snapshot_ends || broker->snapshot == broker->begun);
    for (size_t i = first_record; i < broker->record_count; i++)
        ended += broker->records[i].seq > 0
                 && broker_event_at (broker, broker->records[i].seq).command >= REEL_EVENT_WORKFLOW_SUCCEEDED
                 && broker_event_at (broker, broker->records[i].seq).command <= REEL_EVENT_WORKFLOW_CANCELLED;
    SAME (ended, batch.row_count);
    for (size_t i = 0; i < batch.row_count; i++) {
        struct reel_message event = broker_event_at (broker, batch.rows[i].ended_seq);
        const struct broker_model *model = broker_model_of (broker, &event);
        MUST (reel_slice_is (batch.rows[i].workflow_id, model->workflow_id));
        MUST (strcmp (batch.rows[i].status, model->status) == 0);
        SAME (batch.rows[i].accepted_seq, model->accepted_seq);
        SAME (batch.rows[i].deliveries, model->deliveries);
    }
}

/* Each kept event is published, in order, and a receipt directly after its final event. */
static void
take_publishes (struct broker *broker, uint64_t seq)
{
    const struct reel_effects *effects = &broker->effects;
    const struct broker_model *final = NULL;
    for (size_t i = 0; i < effects->publish_count; i++) {
        struct reel_slice topic = reel_effects_slice (effects, effects->publishes[i].topic);
        struct reel_slice body = reel_effects_body (effects, &effects->publishes[i]);
        trace_publish (broker, topic, body);
        if (final != NULL) {
            MUST (topic.len == 8 + strlen (final->workflow_id) && memcmp (topic.data, "receipt/", 8) == 0);
            MUST (reel_slice_equal (body, reel_buf_slice (&final->receipt)));
            final = NULL;
            continue;
        }
        uint64_t number;
        if (!reel_scan_find_uint (body, "seq", &number))
            continue;
        SAME (number, ++seq);
        struct reel_message event = broker_event_at (broker, seq);
        if (event.command >= REEL_EVENT_WORKFLOW_SUCCEEDED && event.command <= REEL_EVENT_WORKFLOW_CANCELLED)
            final = broker_model_of (broker, &event);
    }
    MUST (final == NULL);
    SAME (seq, broker->event_count);
}

/* What is handed out is the workflow as it stands, what is finished byte for byte. */
static void
check_assign (struct broker *broker, const struct reel_message *assign)
{
    struct reel_workflow parsed = {0};
    struct reel_error err = {0};
    const struct broker_model *model = broker_model_of (broker, assign);
    MUST (model != NULL);
    MUST (strcmp (model->status, "running") == 0);
    MUST (reel_lease_equal (assign->value[REEL_F_LEASE].lease, model->lease));
    SAME (assign->value[REEL_F_DELIVERY].u, model->deliveries);
    SAME (reel_message_has (assign, REEL_F_ATTEMPTS) ? assign->value[REEL_F_ATTEMPTS].u : 0, model->attempts);
    SAME (reel_message_has (assign, REEL_F_CHECKPOINT), model->checkpoint.len > 0);
    if (model->checkpoint.len > 0)
        MUST (reel_slice_equal (assign->value[REEL_F_CHECKPOINT].s, reel_buf_slice (&model->checkpoint)));
    if (model->deliveries == 1)
        MUST (reel_slice_equal (assign->document, reel_buf_slice (&model->document)));
    MUST_SAY (reel_workflow_parse (&parsed, assign->document, REEL_WORKFLOW_GROWN, &err) == REEL_OK, "%s at %s",
              err.message, err.path);
    for (uint32_t i = 0; i < parsed.step_count; i++) {
        struct reel_outcome outcome = reel_outcome_of (&parsed.steps[i]), *kept = &model->outcomes[i];
        MUST (outcome.status == kept->status && outcome.started_us == kept->started_us);
        MUST (outcome.finished_us == kept->finished_us && reel_slice_equal (outcome.receipt, kept->receipt));
        MUST (reel_slice_equal (outcome.error, kept->error));
    }
    reel_workflow_free (&parsed);
}

static void
take_sends (struct broker *broker)
{
    const struct reel_effects *effects = &broker->effects;
    for (size_t i = 0; i < effects->send_count; i++) {
        const struct reel_send *send = &effects->sends[i];
        const struct reel_message_spec *spec = reel_message_spec (send->command);
        struct reel_message message;
        struct reel_error err = {0};
        size_t cap = broker->sent_cap;
        broker->sent = broker_grown (broker->sent, broker->sent_count, &broker->sent_cap, sizeof *broker->sent);
        if (cap != broker->sent_cap)
            memset (broker->sent + cap, 0, (broker->sent_cap - cap) * sizeof *broker->sent);
        struct broker_sent *sent = &broker->sent[broker->sent_count++];
        sent->socket = send->socket;
        sent->command = send->command;
        snprintf (sent->peer, sizeof sent->peer, "%.*s", REEL_TEXT (reel_effects_slice (effects, send->peer)));
        reel_buf_clear (&sent->header);
        reel_buf_clear (&sent->document);
        reel_buf_add_slice (&sent->header, reel_effects_slice (effects, send->header));
        if (send->has_document)
            reel_buf_add_slice (&sent->document, reel_effects_slice (effects, send->document));
        const struct reel_slice frames[] = {reel_slice_text (REEL_PROTOCOL), reel_slice_text (spec->name),
                                            reel_buf_slice (&sent->header), reel_buf_slice (&sent->document)};
        enum reel_command request = (enum reel_command) (REEL_SUBMIT + (send->command - REEL_OK_SUBMIT));
        SAME (spec->channel, send->socket == REEL_SOCKET_CLIENT ? REEL_CLIENT_REPLY : REEL_TO_WORKER);
        SAME (send->has_document, spec->document == REEL_DOCUMENT_REQUIRED);
        MUST_SAY (reel_message_decode (spec->channel, request, frames, send->has_document ? 4 : 3, &message, &err)
                      == REEL_OK,
                  "%s: %s", spec->name, err.message);
        SAME (message.command, send->command);
        if (send->has_document && broker->readings_bent == 0)
            SAME (reel_scan_check (message.document, REEL_DEPTH_MAX, NULL), REEL_OK);
        if (send->command == REEL_ASSIGN)
            check_assign (broker, &message);
        broker->replies += send->socket == REEL_SOCKET_CLIENT;
        trace_send (broker, sent, send->delimiter);
    }
}

void
broker_take_outcome (struct broker *broker)
{
    uint64_t seq = broker->event_count;
    take_records (broker);
    take_publishes (broker, seq);
    take_sends (broker);
}
