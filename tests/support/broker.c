/*
 * The bench of the tests of the broker's core.
 */
#include "tests/support/broker.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timestamp.h"
#include "broker/core/record.h"
#include "proto/json.h"
#include "proto/scan.h"

/* Check's own assertions each cost a system call, and here are thousands. */
#define MUST_SAY(condition, ...)                                                                                       \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            ck_abort_msg (__VA_ARGS__);                                                                                \
    } while (0)
#define MUST(condition) MUST_SAY (condition, "%s", #condition)
#define SAME(a, b)                                                                                                     \
    MUST_SAY ((uint64_t) (a) == (uint64_t) (b), "%s is %llu, not %s, %llu", #a, (unsigned long long) (a), #b,          \
              (unsigned long long) (b))

/* Room for one more element of a list. */
static void *
grown (void *list, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return list;
    *cap = *cap == 0 ? 64 : 2 * *cap;
    void *moved = realloc (list, *cap * size);
    MUST (moved != NULL);
    return moved;
}

static void
exchange (struct reel_buf *text, uint8_t from, uint8_t to)
{
    for (size_t i = 0; i < text->len; i++)
        if (text->data[i] == from)
            text->data[i] = to;
}

struct reel_buf
broker_msgpack (const char *json)
{
    struct reel_buf text = {0}, out = {0};
    struct reel_error err = {0};
    reel_buf_add_text (&text, json);
    exchange (&text, '\'', '"');
    enum reel_status status = reel_json_read (reel_buf_slice (&text), &out, &err);
    MUST_SAY (status == REEL_OK, "%s at %s in %s", err.message, err.path, json);
    reel_buf_free (&text);
    return out;
}

const char *
broker_json (struct broker *broker, struct reel_slice value)
{
    reel_buf_clear (&broker->text);
    if (value.len > 0)
        SAME (reel_json_write (value, REEL_JSON_COMPACT, &broker->text), REEL_OK);
    exchange (&broker->text, '"', '\'');
    reel_buf_add_byte (&broker->text, 0);
    return (const char *) broker->text.data;
}

/* --- the model ------------------------------------------------------------------------------ */

struct broker_model *
broker_model (struct broker *broker, const char *workflow_id)
{
    for (size_t i = broker->model_count; i-- > 0;)
        if (strcmp (broker->models[i].workflow_id, workflow_id) == 0)
            return &broker->models[i];
    return NULL;
}

static struct broker_model *
model_of (struct broker *broker, const struct reel_message *event)
{
    char id[REEL_ID_BYTES_MAX + 1];
    snprintf (id, sizeof id, "%.*s", REEL_TEXT (event->value[REEL_F_WORKFLOW_ID].s));
    return broker_model (broker, id);
}

static uint32_t
next_step (const struct broker_model *model)
{
    uint32_t next = 0;
    while (next < model->parsed.step_count && reel_step_status_final (model->outcomes[next].status))
        next++;
    return next;
}

static bool
is_ended (const struct broker_model *model)
{
    return strcmp (model->status, "succeeded") == 0 || strcmp (model->status, "failed") == 0
           || strcmp (model->status, "cancelled") == 0;
}

static bool
is_retained (const struct broker *broker, const struct broker_model *model)
{
    return is_ended (model) && model->last_seq > broker->forgotten;
}

static void
set_status (struct broker_model *model, const char *from, const char *to)
{
    MUST_SAY (strstr (from, model->status) != NULL, "%s: from %s to %s", model->workflow_id, model->status, to);
    snprintf (model->status, sizeof model->status, "%s", to);
}

static void
set_slice (struct reel_slice *slice, struct reel_slice value)
{
    uint8_t *copy = malloc (value.len + 1);
    MUST (copy != NULL);
    if (value.len > 0)
        memcpy (copy, value.data, value.len);
    free ((void *) (uintptr_t) slice->data);
    *slice = reel_slice (copy, value.len);
}

static void
model_accept (struct broker *broker, const struct reel_record *record)
{
    const struct reel_message *event = record->event;
    const struct broker_model *earlier = model_of (broker, event);
    MUST (earlier == NULL || (is_ended (earlier) && (broker->readings_gone || earlier->last_seq <= broker->forgotten)));
    broker->models = grown (broker->models, broker->model_count, &broker->model_cap, sizeof *broker->models);
    struct broker_model *model = &broker->models[broker->model_count++];
    *model = (struct broker_model){.accepted_seq = event->value[REEL_F_SEQ].u, .status = "queued"};
    snprintf (model->workflow_id, sizeof model->workflow_id, "%.*s", REEL_TEXT (event->value[REEL_F_WORKFLOW_ID].s));
    reel_buf_add_slice (&model->document, record->document);
    SAME (reel_workflow_parse (&model->parsed, reel_buf_slice (&model->document), 0, NULL), REEL_OK);
    model->outcomes = calloc (model->parsed.step_count, sizeof *model->outcomes);
    MUST (model->outcomes != NULL);
    for (uint32_t i = 0; i < model->parsed.step_count; i++) {
        model->outcomes[i] = reel_outcome_of (&model->parsed.steps[i]);
        struct reel_slice receipt = model->outcomes[i].receipt, error = model->outcomes[i].error;
        model->outcomes[i].receipt = model->outcomes[i].error = REEL_SLICE_NONE;
        set_slice (&model->outcomes[i].receipt, receipt);
        set_slice (&model->outcomes[i].error, error);
    }
}

static void
model_assign (struct broker *broker, struct broker_model *model, const struct reel_message *event)
{
    struct reel_lease lease = event->value[REEL_F_LEASE].lease;
    if (reel_message_has (event, REEL_F_RETURNED)) {
        MUST (model->leased && reel_lease_equal (lease, model->lease));
        SAME (event->value[REEL_F_DELIVERY].u, model->deliveries);
        set_status (model, "queued held", "running");
        return;
    }
    MUST (!model->cancelling && !model->paused && !broker->paused);
    SAME (lease.epoch, broker->epoch);
    MUST (lease.counter > broker->newest_lease.counter);
    MUST (lease.epoch >= broker->newest_lease.epoch);
    SAME (event->value[REEL_F_DELIVERY].u, ++model->deliveries);
    broker->newest_lease = model->lease = lease;
    model->leased = true;
    model->running = false;
    set_status (model, "queued", "running");
}

/* Each step has one outcome, in the order of the list, and none whose dependencies did not succeed is begun. */
static void
model_step (struct broker_model *model, const struct reel_record *record)
{
    const struct reel_message *event = record->event;
    uint32_t next = next_step (model);
    MUST (next < model->parsed.step_count);
    MUST (reel_slice_equal (event->value[REEL_F_STEP_ID].s, model->parsed.steps[next].step_id));
    /* The broker gives an outcome of its own to a step that nobody works on. */
    bool own = record->report_index == 0
               && (event->command == REEL_EVENT_FAILED || event->command == REEL_EVENT_SUCCEEDED);
    MUST (own ? model->running || model->attempts > 0 : strcmp (model->status, "running") == 0 && model->leased);
    bool blocked = reel_outcome_blocking (&model->parsed, next, model->outcomes) >= 0;
    struct reel_outcome *outcome = &model->outcomes[next];
    enum reel_step_status status = REEL_STEP_PENDING;
    switch (event->command) {
    case REEL_EVENT_STARTED:
        MUST (!model->running && !blocked);
        SAME (event->value[REEL_F_ATTEMPT].u, ++model->attempts);
        model->running = true;
        model->idempotent = event->value[REEL_F_IDEMPOTENT].b;
        if (outcome->started_us < 0)
            outcome->started_us = (int64_t) event->value[REEL_F_AT_US].u;
        return;
    case REEL_EVENT_CHECKPOINT:
        MUST (model->running);
        reel_buf_clear (&model->checkpoint);
        if (reel_scan_type (event->value[REEL_F_CHECKPOINT].s) != REEL_NIL)
            reel_buf_add_slice (&model->checkpoint, event->value[REEL_F_CHECKPOINT].s);
        return;
    case REEL_EVENT_RETRYING:
        MUST (model->running);
        model->running = false;
        reel_buf_clear (&model->checkpoint);
        return;
    case REEL_EVENT_IN_DOUBT: MUST (model->running && !model->idempotent && model->checkpoint.len == 0); return;
    case REEL_EVENT_SUCCEEDED:
        MUST (model->running);
        status = REEL_STEP_SUCCEEDED;
        set_slice (&outcome->receipt, event->value[REEL_F_RECEIPT].s);
        break;
    case REEL_EVENT_FAILED:
        MUST (!blocked);
        status = REEL_STEP_FAILED;
        break;
    case REEL_EVENT_SKIPPED:
        MUST (blocked && !model->running);
        status = REEL_STEP_SKIPPED;
        break;
    default: ck_abort ();
    }
    if (status != REEL_STEP_SUCCEEDED)
        set_slice (&outcome->error, event->value[REEL_F_ERROR].s);
    outcome->status = status;
    outcome->finished_us = (int64_t) event->value[REEL_F_AT_US].u;
    model->running = false;
    model->attempts = 0;
    reel_buf_clear (&model->checkpoint);
    if (record->report_index == 0)
        model->leased = false; /* the broker's own */
}

static struct reel_message
event_at (struct broker *broker, uint64_t seq)
{
    struct reel_record record;
    struct reel_message event;
    const struct broker_record *place = &broker->records[broker->events[seq - 1]];
    struct reel_slice bytes = reel_slice (broker->journal.data + place->at + REEL_RECORD_FRAME_BYTES,
                                          place->len - REEL_RECORD_FRAME_BYTES);
    SAME (reel_record_read (bytes, &record, &event, NULL), REEL_OK);
    return event;
}

/* The receipt is made of what was reported, byte for byte. */
static void
model_end (struct broker *broker, struct broker_model *model, const struct reel_record *record)
{
    const struct reel_message *event = record->event;
    char created_at[REEL_TIMESTAMP_BYTES];
    bool error = reel_message_has (event, REEL_F_ERROR), cancelled = event->command == REEL_EVENT_WORKFLOW_CANCELLED;
    bool succeeded = !error && reel_outcome_all_succeeded (model->outcomes, model->parsed.step_count);
    MUST (!model->running);
    MUST (error || reel_outcome_all_final (model->outcomes, model->parsed.step_count));
    set_status (model, "running queued held", cancelled ? "cancelled" : succeeded ? "succeeded" : "failed");
    MUST (cancelled ? error
                    : event->command == (succeeded ? REEL_EVENT_WORKFLOW_SUCCEEDED : REEL_EVENT_WORKFLOW_FAILED));
    SAME (record->accepted_seq, model->accepted_seq);
    struct reel_message accepted = event_at (broker, model->accepted_seq);
    struct reel_final final = {
        .workflow_id = reel_slice_text (model->workflow_id),
        .status = model->status,
        .created_at = model->parsed.created_at,
        .submitted_us = (int64_t) accepted.value[REEL_F_AT_US].u,
        .started_us = REEL_TIME_NIL,
        .finished_us = (int64_t) event->value[REEL_F_AT_US].u,
        .deliveries = model->deliveries,
        .error = error ? event->value[REEL_F_ERROR].s : REEL_SLICE_NONE,
        .origin = reel_message_has (&accepted, REEL_F_ORIGIN) ? accepted.value[REEL_F_ORIGIN].s : REEL_SLICE_NONE,
    };
    for (uint64_t seq = model->accepted_seq; model->deliveries > 0 && final.started_us == REEL_TIME_NIL; seq++) {
        struct reel_message other = event_at (broker, seq);
        if (other.command == REEL_EVENT_ASSIGNED && model_of (broker, &other) == model)
            final.started_us = (int64_t) other.value[REEL_F_AT_US].u;
    }
    if (final.created_at.len == 0) {
        reel_timestamp_format (final.submitted_us, created_at);
        final.created_at = reel_slice_text (created_at);
    }
    reel_outcome_receipt (&model->receipt, &final, &model->parsed, model->outcomes);
    MUST (reel_slice_equal (reel_buf_slice (&model->receipt), record->receipt));
    model->leased = false;
}

static void
model_event (struct broker *broker, const struct reel_record *record)
{
    const struct reel_message *event = record->event;
    if (record->kind == REEL_RECORD_ACCEPTED)
        model_accept (broker, record);
    struct broker_model *model = model_of (broker, event);
    MUST (model != NULL);
    MUST_SAY (!is_ended (model), "an event after the end of %s", model->workflow_id);
    SAME (record->previous_seq, model->last_seq);
    SAME (event->value[REEL_F_INDEX].u, model->last_index + 1);
    bool lost = reel_message_has (event, REEL_F_REASON)
                && !reel_slice_is (event->value[REEL_F_REASON].s, "worker_lost");
    switch (record->kind) {
    case REEL_RECORD_EPOCH:
    case REEL_RECORD_SWITCHED:
    case REEL_RECORD_SNAPSHOT:
    case REEL_RECORD_LIVE:
    case REEL_RECORD_SNAPSHOT_ENDS:
    case REEL_RECORD_FORGOTTEN:
    case REEL_RECORD_TERM: ck_abort ();
    case REEL_RECORD_ACCEPTED: break;
    case REEL_RECORD_ASSIGNED: model_assign (broker, model, event); break;
    case REEL_RECORD_STEP: model_step (model, record); break;
    case REEL_RECORD_YIELDED:
        MUST (!model->running);
        set_status (model, "running", "queued");
        model->leased = false;
        break;
    case REEL_RECORD_REQUEUED:
        set_status (model, "running", "queued");
        model->leased = model->leased && !lost;
        break;
    case REEL_RECORD_HELD:
        MUST (model->running && !model->idempotent && model->checkpoint.len == 0);
        set_status (model, "running", "held");
        model->leased = model->leased && !lost;
        break;
    case REEL_RECORD_ENDED: model_end (broker, model, record); break;
    case REEL_RECORD_CANCELLING:
        MUST (!model->cancelling && strcmp (model->status, "running") == 0);
        model->cancelling = true;
        break;
    case REEL_RECORD_RESOLVED: set_status (model, "held", "queued"); break;
    case REEL_RECORD_PAUSED:
    case REEL_RECORD_RESUMED:
        MUST (model->paused == (record->kind == REEL_RECORD_RESUMED));
        model->paused = !model->paused;
        break;
    }
    model->last_seq = event->value[REEL_F_SEQ].u;
    model->last_index = event->value[REEL_F_INDEX].u;
}

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
    broker->records = grown (broker->records, broker->record_count, &broker->record_cap, sizeof *broker->records);
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
    broker->events = grown (broker->events, broker->event_count, &broker->event_cap, sizeof *broker->events);
    broker->events[broker->event_count++] = broker->record_count - 1;
    model_event (broker, &record);
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
                 && event_at (broker, broker->records[i].seq).command >= REEL_EVENT_WORKFLOW_SUCCEEDED
                 && event_at (broker, broker->records[i].seq).command <= REEL_EVENT_WORKFLOW_CANCELLED;
    SAME (ended, batch.row_count);
    for (size_t i = 0; i < batch.row_count; i++) {
        struct reel_message event = event_at (broker, batch.rows[i].ended_seq);
        const struct broker_model *model = model_of (broker, &event);
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
        struct reel_message event = event_at (broker, seq);
        if (event.command >= REEL_EVENT_WORKFLOW_SUCCEEDED && event.command <= REEL_EVENT_WORKFLOW_CANCELLED)
            final = model_of (broker, &event);
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
    const struct broker_model *model = model_of (broker, assign);
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
        broker->sent = grown (broker->sent, broker->sent_count, &broker->sent_cap, sizeof *broker->sent);
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

/* --- readings --------------------------------------------------------------------------------- */

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
        if (model->accepted_seq >= read->after || !is_retained (broker, model))
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

static void take_effects (struct broker *broker, bool again);

static void
answer (struct broker *broker, const struct reel_read *read, struct reel_slice context)
{
    struct reel_buf body = {0};
    struct reel_core_reading reading = {
        .kind = read->kind, .context = context, .first_seq = broker->forgotten + 1, .last_seq = broker->event_count};
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
    reading.read = read;
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
    take_effects (broker, true);
}

/* The reads of the step, whose contexts would be gone once they are answered. */
static void
take_reads (struct broker *broker)
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

/* --- after each step --------------------------------------------------------------------------- */

static uint64_t
gauge (struct reel_slice header, const char *name)
{
    struct reel_slice gauges = REEL_SLICE_NONE;
    uint64_t value = 0;
    MUST (reel_scan_find (header, reel_slice_text ("gauges"), &gauges));
    MUST (reel_scan_find_uint (gauges, name, &value));
    return value;
}

static void
check_counts (struct broker *broker)
{
    const struct reel_slice frames[] = {reel_slice_text ("REEL1"), reel_slice_text ("STATS"), reel_slice ("\x80", 1)};
    struct reel_core_frames stats = {REEL_SOCKET_CLIENT, reel_slice_text ("?"), false, frames, 3};
    struct reel_core_time now = {broker->wall_us, broker->monotonic_us};
    struct reel_effects effects = {0};
    uint64_t queued = 0, running = 0, held = 0, ended = 0, leases = 0;
    if (broker->draining)
        return;
    for (size_t i = 0; i < broker->model_count; i++) {
        const struct broker_model *model = &broker->models[i];
        queued += strcmp (model->status, "queued") == 0;
        running += strcmp (model->status, "running") == 0;
        held += strcmp (model->status, "held") == 0;
        ended += is_retained (broker, model);
        leases += model->leased;
    }
    SAME (reel_core_message (broker->core, now, &stats, &effects), REEL_OK);
    SAME (effects.send_count, 1);
    struct reel_slice header = reel_effects_slice (&effects, effects.sends[0].header);
    SAME (gauge (header, "queued"), queued);
    SAME (gauge (header, "running"), running);
    SAME (gauge (header, "held"), held);
    SAME (gauge (header, "ended"), ended);
    SAME (gauge (header, "leases"), leases);
    size_t asked = 0; /* of what is held; the rest nobody waits for */
    for (size_t i = 0; i < broker->held_count; i++)
        asked += broker->held[i].kind != REEL_READ_BACKUP_ENDS;
    SAME (broker->requests, broker->replies + asked + gauge (header, "waits"));
    reel_effects_free (&effects);
}

static struct reel_core *recovered (struct broker *broker);

/* When one has ended, and at other times. */
static void
check_snapshot (struct broker *broker, bool ended)
{
    if (broker->snapshot == 0 || (!ended && broker->record_count % 64 != 0))
        return;
    struct reel_core *core = recovered (broker);
    SAME (reel_core_digest (broker->core), reel_core_digest (core));
    reel_core_destroy (&core);
}

static void
take_effects (struct broker *broker, bool again)
{
    uint64_t seq = broker->event_count;
    size_t snapshots = broker->snapshots, records = broker->record_count;
    if (!again)
        broker->sent_count = 0;
    if (!reel_effects_empty (&broker->effects)) {
        take_records (broker);
        take_publishes (broker, seq);
        take_sends (broker);
        take_reads (broker);
    }
    reel_effects_clear (&broker->effects);
    SAME (reel_core_digest (broker->core), reel_core_digest (broker->mirror));
    if (broker->record_count > records)
        check_snapshot (broker, broker->snapshots > snapshots);
    while (!broker->hold_readings && broker->held_count > 0)
        broker_answer (broker);
}

static void
tick (struct broker *broker)
{
    struct reel_core_time now = {broker->wall_us, broker->monotonic_us};
    size_t rounds = 0;
    do {
        SAME (reel_core_tick (broker->core, now, !broker->more_to_read, &broker->effects, &broker->wake_us), REEL_OK);
        take_effects (broker, true);
        MUST (rounds++ < 100000);
    } while (broker->wake_us <= broker->monotonic_us);
    check_counts (broker);
}

void
broker_tick (struct broker *broker)
{
    broker->sent_count = 0;
    tick (broker);
}

void
broker_pass_ms (struct broker *broker, int64_t ms)
{
    int64_t until_us = broker->monotonic_us + 1000 * ms;
    broker->sent_count = 0;
    for (int64_t step_us; broker->wake_us < until_us;) {
        step_us = broker->wake_us - broker->monotonic_us;
        broker->monotonic_us += step_us;
        broker->wall_us += step_us;
        tick (broker);
    }
    broker->wall_us += until_us - broker->monotonic_us;
    broker->monotonic_us = until_us;
    tick (broker);
}

void
broker_frames (struct broker *broker, enum reel_socket socket, const char *peer, bool delimiter,
               const struct reel_slice *frames, size_t count)
{
    struct reel_core_time now = {broker->wall_us, broker->monotonic_us};
    struct reel_core_frames message = {socket, reel_slice_text (peer), delimiter, frames, count};
    broker->requests += socket == REEL_SOCKET_CLIENT;
    SAME (reel_core_message (broker->core, now, &message, &broker->effects), REEL_OK);
    take_effects (broker, false);
    tick (broker);
}

static void
say (struct broker *broker, enum reel_socket socket, const char *peer, const char *command, const char *header,
     const char *document)
{
    struct reel_buf head = broker_msgpack (header), body = {0};
    if (document != NULL)
        body = broker_msgpack (document);
    const struct reel_slice frames[] = {reel_slice_text ("REEL1"), reel_slice_text (command), reel_buf_slice (&head),
                                        reel_buf_slice (&body)};
    broker_frames (broker, socket, peer, false, frames, document != NULL ? 4 : 3);
    reel_buf_free (&head);
    reel_buf_free (&body);
}

void
broker_client (struct broker *broker, const char *peer, const char *command, const char *header, const char *document)
{
    say (broker, REEL_SOCKET_CLIENT, peer, command, header, document);
}

void
broker_worker (struct broker *broker, const char *peer, const char *command, const char *header, const char *document)
{
    say (broker, REEL_SOCKET_WORKER, peer, command, header, document);
}

void
broker_submit (struct broker *broker, const char *document)
{
    broker_client (broker, "c", "SUBMIT", "{}", document);
}

void
broker_unroutable (struct broker *broker, const char *peer)
{
    reel_core_unroutable (broker->core, reel_slice_text (peer));
    broker_tick (broker);
}

void
broker_drain (struct broker *broker)
{
    struct reel_core_time now = {broker->wall_us, broker->monotonic_us};
    SAME (reel_core_drain (broker->core, now, &broker->effects), REEL_OK);
    broker->draining = true;
    take_effects (broker, false);
}

void
broker_ready (struct broker *broker, const char *peer, int slots, const char *modalities)
{
    char header[1024];
    snprintf (header, sizeof header, "{'name':'%s','slots':%d,'modalities':[%s]}", peer, slots, modalities);
    broker_worker (broker, peer, "READY", header, NULL);
}

void
broker_report (struct broker *broker, const char *peer, uint64_t counter, uint64_t index, const char *events)
{
    char header[128];
    snprintf (header, sizeof header, "{'lease':[1,%llu],'report_index':%llu}", (unsigned long long) counter,
              (unsigned long long) index);
    broker_worker (broker, peer, "REPORT", header, events);
}

/* --- its life ----------------------------------------------------------------------------------- */

void
broker_init (struct broker *broker)
{
    *broker = (struct broker){.wall_us = 1000000};
    reel_core_setup_defaults (&broker->setup);
    broker->setup.seed = 1;
    broker->setup.retain_ms = 0; /* so that nothing is due for it */
}

/* A core made from the journal alone. */
static struct reel_core *
replayed (struct broker *broker)
{
    struct reel_core *core = NULL;
    struct reel_slice rest = reel_buf_slice (&broker->journal), record;
    struct reel_error err = {0};
    bool damaged = false;
    SAME (reel_core_create (&broker->setup, &core), REEL_OK);
    while (reel_record_take (&rest, &record, &damaged))
        MUST_SAY (reel_core_apply (core, record, &err) == REEL_OK, "%s", err.message);
    MUST (!damaged);
    return core;
}

/* A core made from the last complete snapshot on, as a journal would have it: from somewhere in its batch, and the rows
 * of ended workflows. */
static struct reel_core *
recovered (struct broker *broker)
{
    struct reel_core *core = NULL;
    struct reel_error err = {0};
    uint64_t ended = 0;
    size_t first = broker->snapshot - 1, before = broker->recoveries++ % 3;
    SAME (reel_core_create (&broker->setup, &core), REEL_OK);
    reel_core_recover_snapshot (core);
    for (size_t i = first > before ? first - before : first; i < broker->record_count; i++) {
        const struct broker_record *place = &broker->records[i];
        struct reel_slice record = reel_slice (broker->journal.data + place->at + REEL_RECORD_FRAME_BYTES,
                                               place->len - REEL_RECORD_FRAME_BYTES);
        struct reel_record_head head;
        MUST (reel_record_head (record, &head));
        if (i < first && head.kind == REEL_RECORD_SNAPSHOT)
            continue; /* a batch has but one */
        MUST_SAY (reel_core_apply (core, record, &err) == REEL_OK, "%s", err.message);
    }
    for (size_t i = 0; i < broker->model_count; i++) {
        const struct broker_model *model = &broker->models[i];
        if (!is_retained (broker, model))
            continue;
        SAME (reel_core_recover_ended (core, reel_slice_text (model->workflow_id), model->last_seq, &err), REEL_OK);
        ended++;
    }
    MUST_SAY (reel_core_recovered (core, broker->forgotten + 1, ended, &err) == REEL_OK, "%s", err.message);
    return core;
}

void
broker_start (struct broker *broker)
{
    struct reel_core_time now = {broker->wall_us, broker->monotonic_us};
    broker->core = broker->snapshot > 0 ? recovered (broker) : replayed (broker);
    if (broker->mirror == NULL)
        broker->mirror = replayed (broker);
    broker->requests = broker->replies = broker->held_count = 0;
    reel_buf_clear (&broker->held_contexts);
    SAME (reel_core_digest (broker->core), reel_core_digest (broker->mirror));
    SAME (reel_core_start (broker->core, now, &broker->effects), REEL_OK);
    take_effects (broker, false);
    tick (broker);
}

void
broker_restart (struct broker *broker)
{
    reel_core_destroy (&broker->core);
    broker->setup.seed++;
    broker_start (broker);
}

static void
free_models (struct broker *broker)
{
    for (size_t i = 0; i < broker->model_count; i++) {
        struct broker_model *model = &broker->models[i];
        for (uint32_t s = 0; s < model->parsed.step_count; s++) {
            free ((void *) (uintptr_t) model->outcomes[s].receipt.data);
            free ((void *) (uintptr_t) model->outcomes[s].error.data);
        }
        free (model->outcomes);
        reel_workflow_free (&model->parsed);
        reel_buf_free (&model->document);
        reel_buf_free (&model->checkpoint);
        reel_buf_free (&model->receipt);
    }
    free (broker->models);
}

void
broker_free (struct broker *broker)
{
    struct reel_core *again = replayed (broker);
    if (broker->core != NULL)
        SAME (reel_core_digest (broker->core), reel_core_digest (again));
    reel_core_destroy (&again);
    reel_core_destroy (&broker->core);
    reel_core_destroy (&broker->mirror);
    reel_effects_free (&broker->effects);
    free_models (broker);
    for (size_t i = 0; i < broker->sent_cap; i++) {
        reel_buf_free (&broker->sent[i].header);
        reel_buf_free (&broker->sent[i].document);
    }
    free (broker->sent);
    free (broker->records);
    free (broker->events);
    free (broker->held);
    reel_buf_free (&broker->journal);
    reel_buf_free (&broker->held_contexts);
    reel_buf_free (&broker->trace);
    reel_buf_free (&broker->text);
}
