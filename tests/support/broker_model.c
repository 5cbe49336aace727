/*
 * The model of every workflow, kept from the events alone: what must be durable, and what may follow on what.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timestamp.h"
#include "proto/scan.h"
#include "tests/support/broker_inside.h"

struct broker_model *
broker_model (struct broker *broker, const char *workflow_id)
{
    for (size_t i = broker->model_count; i-- > 0;)
        if (strcmp (broker->models[i].workflow_id, workflow_id) == 0)
            return &broker->models[i];
    return NULL;
}

struct broker_model *
broker_model_of (struct broker *broker, const struct reel_message *event)
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

bool
broker_is_retained (const struct broker *broker, const struct broker_model *model)
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
    const struct broker_model *earlier = broker_model_of (broker, event);
    MUST (earlier == NULL || (is_ended (earlier) && (broker->readings_gone || earlier->last_seq <= broker->forgotten)));
    broker->models = broker_grown (broker->models, broker->model_count, &broker->model_cap, sizeof *broker->models);
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
        if (!reel_message_has (event, REEL_F_OPEN) || !event->value[REEL_F_OPEN].b)
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

struct reel_message
broker_event_at (struct broker *broker, uint64_t seq)
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
    struct reel_message accepted = broker_event_at (broker, model->accepted_seq);
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
        struct reel_message other = broker_event_at (broker, seq);
        if (other.command == REEL_EVENT_ASSIGNED && broker_model_of (broker, &other) == model)
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

void
broker_model_take (struct broker *broker, const struct reel_record *record)
{
    const struct reel_message *event = record->event;
    if (record->kind == REEL_RECORD_ACCEPTED)
        model_accept (broker, record);
    struct broker_model *model = broker_model_of (broker, event);
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

void
broker_models_free (struct broker *broker)
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
