/*
 * From a decision to its effects: the record that makes it last, the change itself, the event that tells
 * of it, in that order for every decision there is.
 */
#include <string.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "base/timestamp.h"
#include "broker/core/state.h"
#include "proto/pack.h"
#include "proto/scan.h"

void
reel_core_event (struct reel_core *core, const struct reel_flow *flow, enum reel_command kind)
{
    struct reel_message *event = &core->out;
    reel_message_init (event, kind);
    reel_message_set_uint (event, REEL_F_SEQ, core->last_seq + 1);
    reel_message_set_uint (event, REEL_F_INDEX, flow == NULL ? 1 : flow->last_index + 1);
    if (flow != NULL)
        reel_message_set (event, REEL_F_WORKFLOW_ID, flow->workflow_id);
    reel_message_set_uint (event, REEL_F_AT_US, (uint64_t) core->now.wall_us);
}

/* core->record is complete but for its event, which core->scratch and core->record.event hold. */
static enum reel_status
record_and_publish (struct reel_core *core, struct reel_flow *flow, struct reel_effects *effects)
{
    struct reel_record *record = &core->record;
    if (reel_buf_status (&core->scratch) != REEL_OK)
        return REEL_NO_MEMORY;
    record->event_bytes = reel_buf_slice (&core->scratch);
    record->previous_seq = flow == NULL ? 0 : flow->last_seq;
    size_t before = effects->records.len, event_at = reel_record_write (&effects->records, record);
    if (reel_buf_status (&effects->records) != REEL_OK)
        return REEL_NO_MEMORY;
    effects->event_count++;
    struct reel_slice body = reel_slice (effects->records.data + event_at, record->event_bytes.len);
    if (reel_effects_publish (effects, record->event->value[REEL_F_WORKFLOW_ID].s,
                              reel_message_spec (record->event->command)->name, body, true)
        != REEL_OK)
        return REEL_NO_MEMORY;
    enum reel_status status = reel_apply_record (core, record, effects->records.len - before,
                                                 record->kind == REEL_RECORD_ACCEPTED, NULL);
    REEL_ASSERT (status != REEL_INVALID); /* what was decided fits the state it was decided in */
    return status;
}

enum reel_status
reel_core_record_plain (struct reel_core *core, struct reel_effects *effects)
{
    size_t before = effects->records.len;
    reel_record_write (&effects->records, &core->record);
    if (reel_buf_status (&effects->records) != REEL_OK)
        return REEL_NO_MEMORY;
    enum reel_status status = reel_apply_record (core, &core->record, effects->records.len - before, false, NULL);
    REEL_ASSERT (status != REEL_INVALID);
    return status;
}

enum reel_status
reel_core_record (struct reel_core *core, struct reel_flow *flow, struct reel_effects *effects)
{
    reel_buf_clear (&core->scratch);
    reel_message_encode (&core->out, &core->scratch);
    core->record.event = &core->out;
    return record_and_publish (core, flow, effects);
}

static enum reel_command
published_form (enum reel_command reported)
{
    switch (reported) {
    case REEL_REPORTED_STARTED: return REEL_EVENT_STARTED;
    case REEL_REPORTED_RETRYING: return REEL_EVENT_RETRYING;
    case REEL_REPORTED_CHECKPOINT: return REEL_EVENT_CHECKPOINT;
    case REEL_REPORTED_SUCCEEDED: return REEL_EVENT_SUCCEEDED;
    case REEL_REPORTED_FAILED: return REEL_EVENT_FAILED;
    case REEL_REPORTED_SKIPPED: return REEL_EVENT_SKIPPED;
    case REEL_REPORTED_YIELDED: return REEL_EVENT_YIELDED;
    default: REEL_ASSERT (false); return REEL_EVENT_YIELDED;
    }
}

enum reel_status
reel_core_record_reported (struct reel_core *core, struct reel_flow *flow, struct reel_slice map,
                           struct reel_effects *effects)
{
    struct reel_message *event = &core->reported;
    struct reel_cursor cursor = reel_scan_start (map);
    struct reel_value head;
    bool read = reel_scan_next (&cursor, &head);
    REEL_ASSERT (read && head.type == REEL_MAP);
    event->command = published_form (event->command);
    reel_message_set_uint (event, REEL_F_SEQ, core->last_seq + 1);
    reel_message_set_uint (event, REEL_F_INDEX, flow->last_index + 1);
    reel_message_set (event, REEL_F_WORKFLOW_ID, flow->workflow_id);
    reel_buf_clear (&core->scratch);
    reel_pack_map (&core->scratch, head.count + 3);
    reel_pack_text (&core->scratch, "seq");
    reel_pack_uint (&core->scratch, core->last_seq + 1);
    reel_pack_text (&core->scratch, "index");
    reel_pack_uint (&core->scratch, flow->last_index + 1);
    reel_pack_text (&core->scratch, "workflow_id");
    reel_pack_str (&core->scratch, flow->workflow_id);
    reel_buf_add (&core->scratch, cursor.at, (size_t) (cursor.end - cursor.at));
    core->record.event = event;
    return record_and_publish (core, flow, effects);
}

/* What a final receipt needs of the document, without reading the document again. */
static enum reel_status
view (struct reel_core *core, const struct reel_flow *flow)
{
    struct reel_workflow *workflow = &core->workflow;
    if (workflow->step_cap < flow->step_count)
        return reel_core_parse (core, flow);
    workflow->global_provenance = flow->global_provenance;
    workflow->step_count = flow->step_count;
    for (uint32_t i = 0; i < flow->step_count; i++) {
        workflow->steps[i].step_id = reel_flow_step_id (flow, i);
        workflow->steps[i].modality = reel_flow_modality (flow, i);
    }
    reel_flow_outcomes (flow, core->outcomes);
    return REEL_OK;
}

static enum reel_status
write_receipt (struct reel_core *core, const struct reel_flow *flow, const char *status, struct reel_slice error)
{
    char created_at[REEL_TIMESTAMP_BYTES];
    if (view (core, flow) != REEL_OK)
        return REEL_NO_MEMORY;
    struct reel_final final = {
        .workflow_id = flow->workflow_id,
        .status = status,
        .created_at = reel_flow_created_at (flow, created_at),
        .submitted_us = flow->submitted_us,
        .started_us = flow->started_us,
        .finished_us = core->now.wall_us,
        .deliveries = flow->deliveries,
        .origin = flow->origin,
        .error = error,
    };
    reel_buf_clear (&core->receipt);
    reel_outcome_receipt (&core->receipt, &final, &core->workflow, core->outcomes);
    return reel_buf_status (&core->receipt);
}

/* How a workflow ends. */
struct ending {
    enum reel_command event;
    const char *status;
    struct reel_slice error; /* len 0: none */
};

static enum reel_status
end (struct reel_core *core, struct reel_flow *flow, const struct ending *ending, uint64_t report_index,
     struct reel_effects *effects)
{
    const char *status = ending->status;
    struct reel_slice error = ending->error;
    reel_flow_outcomes (flow, core->outcomes);
    uint8_t id_bytes[REEL_ID_BYTES_MAX];
    struct reel_slice workflow_id = reel_slice (id_bytes, flow->workflow_id.len);
    memcpy (id_bytes, flow->workflow_id.data, flow->workflow_id.len); /* the flow is gone once the record is applied */
    if (write_receipt (core, flow, status, error) != REEL_OK)
        return REEL_NO_MEMORY;
    struct reel_slice receipt = reel_buf_slice (&core->receipt);
    struct reel_journal_row row = {
        .accepted_seq = flow->accepted_seq,
        .ended_seq = core->last_seq + 1,
        .workflow_id = workflow_id,
        .origin = flow->origin,
        .status = status,
        .submitted_us = flow->submitted_us,
        .started_us = flow->started_us,
        .finished_us = core->now.wall_us,
        .deliveries = flow->deliveries,
    };
    struct reel_span receipt_span = reel_effects_add (effects, receipt);
    if (reel_effects_row (effects, &row) != REEL_OK
        || reel_request_ended (core, flow, status, receipt_span, effects) != REEL_OK)
        return REEL_NO_MEMORY;
    reel_core_event (core, flow, ending->event);
    reel_message_set (&core->out, REEL_F_WORKFLOW_ID, workflow_id);
    if (error.len > 0)
        reel_message_set (&core->out, REEL_F_ERROR, error);
    core->record = (struct reel_record){
        .kind = REEL_RECORD_ENDED,
        .receipt = receipt,
        .accepted_seq = flow->accepted_seq,
        .report_index = report_index,
    };
    /* The journal may be cut between the accepting record and this one. */
    if (flow->accepted_seq <= core->snapshot.seq && !REEL_MUTANT_IS (47)) {
        core->record.document = flow->document;
        core->record.provenance = flow->provenance;
        core->record.priority = flow->priority;
    }
    if (reel_core_record (core, flow, effects) != REEL_OK)
        return REEL_NO_MEMORY;
    core->counters.succeeded += ending->event == REEL_EVENT_WORKFLOW_SUCCEEDED;
    core->counters.failed += ending->event == REEL_EVENT_WORKFLOW_FAILED;
    core->counters.cancelled += ending->event == REEL_EVENT_WORKFLOW_CANCELLED;
    return reel_effects_publish_receipt (effects, workflow_id, receipt_span);
}

enum reel_status
reel_core_end (struct reel_core *core, struct reel_flow *flow, struct reel_slice error, uint64_t report_index,
               struct reel_effects *effects)
{
    reel_flow_outcomes (flow, core->outcomes);
    bool succeeded = error.len == 0 && reel_outcome_all_succeeded (core->outcomes, flow->step_count);
    const struct ending ending = {succeeded ? REEL_EVENT_WORKFLOW_SUCCEEDED : REEL_EVENT_WORKFLOW_FAILED,
                                  succeeded ? "succeeded" : "failed", error};
    return end (core, flow, &ending, report_index, effects);
}

enum reel_status
reel_core_end_cancelled (struct reel_core *core, struct reel_flow *flow, uint64_t report_index,
                         struct reel_effects *effects)
{
    struct reel_buf error = {0};
    enum reel_status status = REEL_OK;
    /* What its worker was lost with, or what it was about to try again. */
    bool in_doubt = flow->in_flight;
    if (in_doubt || (flow->next < flow->step_count && flow->steps[flow->next].outcome.status == REEL_STEP_RUNNING))
        status = reel_core_fail_step (core, flow, in_doubt ? "in_doubt" : "cancelled",
                                      reel_slice_text (in_doubt
                                                           ? "the workflow was cancelled, and it is not known what "
                                                             "became of this step"
                                                           : "the workflow was cancelled between two attempts"),
                                      effects);
    reel_pack_error (&error, "cancelled", reel_slice_text ("the workflow was cancelled"), false);
    if (status == REEL_OK)
        status = reel_buf_status (&error);
    const struct ending ending = {REEL_EVENT_WORKFLOW_CANCELLED, "cancelled", reel_buf_slice (&error)};
    if (status == REEL_OK)
        status = end (core, flow, &ending, report_index, effects);
    reel_buf_free (&error);
    return status;
}

/* --- outcomes of the broker's own ------------------------------------------------------------- */

static enum reel_status
give_outcome (struct reel_core *core, struct reel_flow *flow, enum reel_command event, enum reel_field field,
              struct reel_slice body, struct reel_effects *effects)
{
    reel_core_event (core, flow, event);
    reel_message_set (&core->out, REEL_F_STEP_ID, reel_flow_step_id (flow, flow->next));
    reel_message_set (&core->out, field, body);
    core->record = (struct reel_record){.kind = REEL_RECORD_STEP};
    return reel_core_record (core, flow, effects);
}

enum reel_status
reel_core_fail_step (struct reel_core *core, struct reel_flow *flow, const char *code, struct reel_slice message,
                     struct reel_effects *effects)
{
    reel_buf_clear (&core->receipt);
    reel_pack_error (&core->receipt, code, message, false);
    if (reel_buf_status (&core->receipt) != REEL_OK)
        return REEL_NO_MEMORY;
    return give_outcome (core, flow, REEL_EVENT_FAILED, REEL_F_ERROR, reel_buf_slice (&core->receipt), effects);
}

enum reel_status
reel_core_succeed_step (struct reel_core *core, struct reel_flow *flow, struct reel_slice receipt,
                        struct reel_effects *effects)
{
    return give_outcome (core, flow, REEL_EVENT_SUCCEEDED, REEL_F_RECEIPT, receipt, effects);
}
