/*
 * What the journal answered: the rest of a request that memory could not answer.
 *
 * The question's header came along as the context, so nothing is kept while the journal reads.
 */
#include <string.h>

#include "base/assert.h"
#include "broker/core/state.h"
#include "proto/identity.h"
#include "proto/pack.h"
#include "proto/scan.h"

/* Reads that take longer than one turn, at a time. */
#define AGAIN_MAX 64

struct context {
    struct reel_asker asker;
    struct reel_slice header;
    struct reel_slice extra;
};

/* Takes the context apart and decodes the request anew, into core->in. */
static enum reel_status
recall (struct reel_core *core, struct reel_slice bytes, struct context *context)
{
    struct reel_cursor cursor = reel_scan_start (bytes);
    struct reel_value array, peer, delimiter, command, header, extra;
    bool read = reel_scan_next (&cursor, &array) && reel_scan_next (&cursor, &peer)
                && reel_scan_next (&cursor, &delimiter) && reel_scan_next (&cursor, &command)
                && reel_scan_next (&cursor, &header) && reel_scan_next (&cursor, &extra);
    REEL_ASSERT (read);
    *context = (struct context){{peer.bytes, delimiter.boolean, REEL_SLICE_NONE}, header.bytes, extra.bytes};
    const struct reel_message_spec *spec = reel_message_spec ((enum reel_command) command.u);
    const struct reel_slice frames[] = {
        reel_slice_text (REEL_PROTOCOL),
        reel_slice_text (spec->name),
        context->header,
        context->extra,
    };
    enum reel_status status = reel_message_decode (REEL_CLIENT_REQUEST, REEL_COMMAND_COUNT, frames,
                                                   spec->document == REEL_DOCUMENT_REQUIRED ? 4 : 3, &core->in, NULL);
    REEL_ASSERT (status != REEL_INVALID);
    if (reel_message_has (&core->in, REEL_F_REQUEST_ID))
        context->asker.request_id = core->in.value[REEL_F_REQUEST_ID].s;
    return status;
}

/* The final record of an ended workflow, with what the accepting one adds to it. */
struct ended {
    struct reel_slice workflow_id;
    struct reel_slice document;
    struct reel_slice provenance;
    int64_t priority;
    uint64_t accepted_seq;
    struct reel_slice receipt;
    struct reel_slice status;
    uint64_t ended_seq;
};

static enum reel_status
read_ended (struct reel_core *core, struct reel_slice body, struct ended *ended)
{
    struct reel_slice final = REEL_SLICE_NONE, accepting = REEL_SLICE_NONE;
    struct reel_error err;
    bool damaged;
    if (!reel_record_take (&body, &final, &damaged))
        return REEL_INVALID;
    struct reel_record *record = &core->record;
    if (reel_record_read (final, record, &core->out, &err) != REEL_OK || record->kind != REEL_RECORD_ENDED)
        return REEL_INVALID;
    ended->workflow_id = record->event->value[REEL_F_WORKFLOW_ID].s;
    ended->ended_seq = record->event->value[REEL_F_SEQ].u;
    ended->receipt = record->receipt;
    ended->accepted_seq = record->accepted_seq;
    if (!reel_scan_find_str (record->receipt, "status", &ended->status))
        return REEL_INVALID;
    ended->document = record->document;
    ended->provenance = record->provenance;
    ended->priority = record->priority;
    if (record->document.len > 0)
        return REEL_OK;
    if (!reel_record_take (&body, &accepting, &damaged)
        || reel_record_read (accepting, record, &core->out, &err) != REEL_OK || record->kind != REEL_RECORD_ACCEPTED)
        return REEL_INVALID;
    ended->document = record->document;
    ended->provenance = record->provenance;
    ended->priority = reel_message_has (record->event, REEL_F_PRIORITY) ? record->event->value[REEL_F_PRIORITY].i : 0;
    return REEL_OK;
}

/* The id that is asked for is not the one that was found: two ids of one fingerprint. */
static bool
is_other (const struct reel_core *core, const struct ended *ended)
{
    return !reel_slice_equal (ended->workflow_id, core->in.value[REEL_F_WORKFLOW_ID].s);
}

static enum reel_status
unknown (struct reel_core *core, const struct reel_asker *asker, struct reel_effects *effects)
{
    return reel_request_refuse (core, asker, "unknown_workflow", NULL, NULL, "there is no workflow of that id",
                                effects);
}

/* The document of a SUBMIT, or of a RERUN, has an id that an ended workflow may have. */
static enum reel_status
go_on_submit (struct reel_core *core, const struct context *context, const struct ended *ended, uint64_t ended_seq,
              struct reel_effects *effects)
{
    struct reel_slice workflow_id = REEL_SLICE_NONE;
    if (!reel_scan_find_str (context->extra, "workflow_id", &workflow_id) || ended == NULL
        || !reel_slice_equal (workflow_id, ended->workflow_id)) {
        if (core->in.command == REEL_RERUN)
            return reel_request_refuse (core, &context->asker, "internal", NULL, NULL,
                                        "this workflow_id collides with another in the table; choose another", effects);
        struct reel_submission submission = reel_request_submission (core, context->extra);
        submission.other_seq = ended_seq; /* by now another may have ended under that id */
        return reel_request_submit (core, &context->asker, context->header, &submission, effects);
    }
    if (!reel_slice_equal (ended->document, context->extra))
        return reel_request_refuse (core, &context->asker, "conflict", NULL, "/workflow_id",
                                    "another document was submitted under this workflow_id", effects);
    core->counters.duplicates++;
    struct reel_message *ok = reel_request_begin (core, &context->asker);
    reel_message_set (ok, REEL_F_WORKFLOW_ID, ended->workflow_id);
    reel_message_set (ok, REEL_F_STATUS, ended->status);
    reel_message_set_bool (ok, REEL_F_DUPLICATE, true);
    reel_message_set_uint (ok, REEL_F_SEQ, ended->accepted_seq);
    return reel_request_reply (core, &context->asker, effects);
}

static int64_t
time_of (struct reel_slice step, const char *key)
{
    uint64_t number;
    return reel_scan_find_uint (step, key, &number) ? (int64_t) number : REEL_TIME_NIL;
}

static struct reel_slice
unless_nil (struct reel_slice map, const char *key)
{
    struct reel_slice value = REEL_SLICE_NONE;
    return reel_scan_find (map, reel_slice_text (key), &value) && reel_scan_type (value) != REEL_NIL ? value
                                                                                                     : REEL_SLICE_NONE;
}

/* The outcomes of an ended workflow are in its receipt. */
static bool
outcomes_of_receipt (struct reel_core *core, struct reel_slice receipt)
{
    struct reel_slice steps = REEL_SLICE_NONE, step, text = REEL_SLICE_NONE;
    struct reel_value head;
    if (!reel_scan_find (receipt, reel_slice_text ("steps"), &steps))
        return false;
    struct reel_cursor cursor = reel_scan_start (steps);
    if (!reel_scan_next (&cursor, &head) || head.type != REEL_ARRAY || head.count != core->workflow.step_count)
        return false;
    for (uint32_t i = 0; i < head.count; i++) {
        struct reel_outcome *outcome = &core->outcomes[i];
        if (!reel_scan_skip (&cursor, &step) || !reel_scan_find_str (step, "status", &text)
            || !reel_step_status_parse (text, &outcome->status))
            return false;
        outcome->receipt = unless_nil (step, "receipt");
        outcome->error = unless_nil (step, "error");
        outcome->started_us = time_of (step, "started_us");
        outcome->finished_us = time_of (step, "finished_us");
    }
    return true;
}

/* Which steps a rerun keeps: those that succeeded, before the one from which it goes on. REEL_INVALID: there is no such
 * step. */
static enum reel_status
keep_outcomes (struct reel_core *core)
{
    const struct reel_message *in = &core->in;
    int64_t from = core->workflow.step_count;
    if (reel_message_has (in, REEL_F_FROM_STEP))
        from = reel_workflow_find (&core->workflow, in->value[REEL_F_FROM_STEP].s);
    if (from < 0)
        return REEL_INVALID;
    for (uint32_t i = 0; i < core->workflow.step_count; i++)
        if (core->outcomes[i].status != REEL_STEP_SUCCEEDED || (int64_t) i >= from)
            core->outcomes[i] = (struct reel_outcome){.started_us = REEL_TIME_NIL, .finished_us = REEL_TIME_NIL};
    return REEL_OK;
}

static enum reel_status
unreadable (struct reel_core *core, const struct reel_asker *asker, struct reel_effects *effects)
{
    return reel_request_refuse (core, asker, "internal", NULL, NULL,
                                "the journal's record of this workflow cannot be read", effects);
}

static enum reel_status
go_on_rerun (struct reel_core *core, const struct context *context, const struct ended *ended,
             struct reel_effects *effects)
{
    const struct reel_message *in = &core->in;
    char uuid[REEL_UUID_BYTES];
    enum reel_status status = reel_workflow_parse (&core->workflow, ended->document, REEL_WORKFLOW_STRICT, NULL);
    if (status == REEL_NO_MEMORY)
        return status;
    if (status != REEL_OK || !outcomes_of_receipt (core, ended->receipt))
        return unreadable (core, &context->asker, effects);
    if (keep_outcomes (core) != REEL_OK)
        return reel_request_refuse (core, &context->asker, "unknown_step", NULL, "/from_step",
                                    "the workflow has no step of that id", effects);
    reel_identity_uuid7 (core->now.wall_us, &core->random, uuid);
    struct reel_slice workflow_id = reel_message_has (in, REEL_F_NEW_WORKFLOW_ID) ? in->value[REEL_F_NEW_WORKFLOW_ID].s
                                                                                  : reel_slice_text (uuid);
    if (reel_slice_equal (workflow_id, ended->workflow_id))
        return reel_request_refuse (core, &context->asker, "conflict", NULL, "/new_workflow_id",
                                    "a rerun is another workflow: it needs another id", effects);
    struct reel_buf document = {0};
    reel_outcome_document_anew (&document, &core->workflow, core->outcomes, workflow_id);
    const struct reel_submission submission = {.document = reel_buf_slice (&document),
                                               .provenance = ended->provenance,
                                               .origin = ended->workflow_id,
                                               .priority = ended->priority};
    status = reel_buf_status (&document);
    if (status == REEL_OK)
        status = reel_request_submit (core, &context->asker, context->header, &submission, effects);
    reel_buf_free (&document);
    return status;
}

static enum reel_status
go_on_get (struct reel_core *core, const struct context *context, const struct ended *ended,
           struct reel_effects *effects)
{
    struct reel_slice created_at = REEL_SLICE_NONE, origin = REEL_SLICE_NONE;
    uint64_t deliveries = 0;
    enum reel_status status = reel_workflow_parse (&core->workflow, ended->document, REEL_WORKFLOW_STRICT, NULL);
    if (status == REEL_NO_MEMORY)
        return status;
    if (status != REEL_OK || !outcomes_of_receipt (core, ended->receipt)
        || !reel_scan_find_str (ended->receipt, "created_at", &created_at)
        || !reel_scan_find_uint (ended->receipt, "deliveries", &deliveries))
        return unreadable (core, &context->asker, effects);
    reel_buf_clear (&core->receipt);
    reel_outcome_document (&core->receipt, &core->workflow, core->outcomes, ended->workflow_id, created_at);
    if (reel_buf_status (&core->receipt) != REEL_OK)
        return REEL_NO_MEMORY;
    struct reel_message *ok = reel_request_begin (core, &context->asker);
    reel_message_set (ok, REEL_F_WORKFLOW_ID, ended->workflow_id);
    reel_message_set (ok, REEL_F_STATUS, ended->status);
    reel_message_set_uint (ok, REEL_F_DELIVERY, deliveries);
    reel_message_set_uint (ok, REEL_F_LAST_SEQ, ended->ended_seq);
    if (reel_scan_find_str (ended->receipt, "origin", &origin))
        reel_message_set (ok, REEL_F_ORIGIN, origin);
    if (ended->provenance.len > 0)
        reel_message_set (ok, REEL_F_PROVENANCE, ended->provenance);
    reel_message_set_document (ok, reel_buf_slice (&core->receipt));
    return reel_request_reply (core, &context->asker, effects);
}

static enum reel_status
go_on_receipt (struct reel_core *core, const struct context *context, const struct ended *ended,
               struct reel_effects *effects)
{
    struct reel_message *ok = reel_request_begin (core, &context->asker);
    reel_message_set (ok, REEL_F_WORKFLOW_ID, ended->workflow_id);
    reel_message_set (ok, REEL_F_STATUS, ended->status);
    reel_message_set_document (ok, ended->receipt);
    return reel_request_reply (core, &context->asker, effects);
}

static enum reel_status
on_ended (struct reel_core *core, const struct context *context, const struct reel_core_reading *reading,
          struct reel_effects *effects)
{
    struct ended ended = {0};
    bool found = reading->status == REEL_OK;
    if (found && read_ended (core, reading->body, &ended) != REEL_OK)
        return unreadable (core, &context->asker, effects);
    if (context->extra.len > 0)
        return go_on_submit (core, context, found ? &ended : NULL, reading->read->seq, effects);
    if (!found || is_other (core, &ended))
        return unknown (core, &context->asker, effects);
    switch (core->in.command) {
    case REEL_GET: return go_on_get (core, context, &ended, effects);
    case REEL_RECEIPT: return go_on_receipt (core, context, &ended, effects);
    case REEL_RERUN: return go_on_rerun (core, context, &ended, effects);
    default: return reel_control_ended (core, &context->asker, ended.status, effects);
    }
}

static uint64_t
row_seq (struct reel_slice row)
{
    uint64_t seq = 0;
    return reel_scan_find_uint (row, "seq", &seq) ? seq : 0;
}

static bool
next_row (struct reel_cursor *cursor, struct reel_slice *row, uint64_t *seq)
{
    *row = REEL_SLICE_NONE;
    *seq = 0;
    if (cursor->at == cursor->end || !reel_scan_skip (cursor, row))
        return false;
    *seq = row_seq (*row);
    return true;
}

/* Merges the rows that were live when the question came with those of ended workflows, newest first. One that
 * ended in between is in both: the ended row is the truth. Where the journal has not looked yet nothing is said. */
static enum reel_status
on_list (struct reel_core *core, const struct context *context, const struct reel_core_reading *reading,
         struct reel_effects *effects)
{
    uint32_t limit = reel_request_limit (core, REEL_LIST_LIMIT_DEFAULT, REEL_LIST_LIMIT_MAX), count = 0;
    struct reel_cursor live = reel_scan_start (context->extra), ended = reel_scan_start (reading->body);
    struct reel_slice live_row, ended_row;
    uint64_t live_seq, ended_seq, last = 0, from = reading->page.more ? reading->page.next : 1;
    reel_buf_clear (&core->receipt);
    next_row (&live, &live_row, &live_seq);
    next_row (&ended, &ended_row, &ended_seq);
    while (count < limit && (live_seq >= from || ended_seq >= from)) {
        bool take_ended = ended_seq >= live_seq, both = ended_seq == live_seq;
        reel_buf_add_slice (&core->receipt, take_ended ? ended_row : live_row);
        last = take_ended ? ended_seq : live_seq;
        count++;
        if (!take_ended || both)
            next_row (&live, &live_row, &live_seq);
        if (take_ended)
            next_row (&ended, &ended_row, &ended_seq);
    }
    if (reel_buf_status (&core->receipt) != REEL_OK)
        return REEL_NO_MEMORY;
    return reel_request_reply_list (core, &context->asker, reel_buf_slice (&core->receipt), count,
                                    count == limit       ? last
                                    : reading->page.more ? from
                                                         : 0,
                                    effects);
}

static enum reel_status
on_events (struct reel_core *core, const struct context *context, const struct reel_core_reading *reading,
           struct reel_effects *effects)
{
    reel_buf_clear (&core->receipt);
    reel_pack_array (&core->receipt, reading->page.count);
    reel_buf_add_slice (&core->receipt, reading->body);
    if (reel_buf_status (&core->receipt) != REEL_OK)
        return REEL_NO_MEMORY;
    struct reel_message *ok = reel_request_begin (core, &context->asker);
    reel_message_set_uint (ok, REEL_F_FIRST_SEQ, reading->first_seq);
    reel_message_set_uint (ok, REEL_F_LAST_SEQ, reading->last_seq);
    reel_message_set_uint (ok, REEL_F_NEXT, reading->page.next);
    reel_message_set_bool (ok, REEL_F_MORE, reading->page.more);
    reel_message_set_document (ok, reel_buf_slice (&core->receipt));
    return reel_request_reply (core, &context->asker, effects);
}

/* What takes longer is asked again, unless too many do, or the broker is about to end. */
static enum reel_status
refuse_again (struct reel_core *core, const struct reel_asker *asker, struct reel_effects *effects)
{
    if (core->draining)
        return reel_request_draining (core, asker, effects);
    core->counters.refused_reads++;
    return reel_request_refuse (core, asker, "overloaded", NULL, NULL,
                                "too many long histories are being read; try later", effects);
}

enum reel_status
reel_request_reading (struct reel_core *core, const struct reel_core_reading *reading, struct reel_effects *effects)
{
    struct context context;
    if (reading->read->kind == REEL_READ_BACKUP_ENDS)
        return REEL_OK;
    if (reading->status == REEL_AGAIN && !core->draining && effects->again_count < AGAIN_MAX)
        return reel_effects_read_again (effects, reading);
    enum reel_status status = recall (core, reading->context, &context);
    if (status != REEL_OK)
        return status;
    if (reading->status == REEL_AGAIN)
        return refuse_again (core, &context.asker, effects);
    switch (reading->read->kind) {
    case REEL_READ_ENDED: return on_ended (core, &context, reading, effects);
    case REEL_READ_LIST: return on_list (core, &context, reading, effects);
    case REEL_READ_BACKUP: return reel_backup_reply (core, &context.asker, reading, effects);
    case REEL_READ_BACKUP_ENDS:
    case REEL_READ_EVENTS:
    case REEL_READ_WORKFLOW_EVENTS: break;
    }
    return on_events (core, &context, reading, effects);
}
