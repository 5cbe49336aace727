/*
 * What clients ask. Each request gets one reply: at once from what is in memory, or later, when the
 * journal has been read (reading.c) or the workflow has ended.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "base/timestamp.h"
#include "broker/core/state.h"
#include "proto/identity.h"
#include "proto/pack.h"
#include "proto/scan.h"

#define LIST_SCAN_MAX 100000 /* live workflows that a LIST of one status looks at */

struct reel_message *
reel_request_begin (struct reel_core *core, const struct reel_asker *asker)
{
    /* The replies stand in the table in the order of the requests. */
    enum reel_command reply = (enum reel_command) (REEL_OK_SUBMIT + (core->in.command - REEL_SUBMIT));
    reel_message_init (&core->out, reply);
    if (asker->request_id.len > 0)
        reel_message_set (&core->out, REEL_F_REQUEST_ID, asker->request_id);
    return &core->out;
}

enum reel_status
reel_request_reply (struct reel_core *core, const struct reel_asker *asker, struct reel_effects *effects)
{
    return reel_effects_send (effects, REEL_SOCKET_CLIENT, asker->peer, asker->delimiter, &core->out);
}

enum reel_status
reel_request_refuse (struct reel_core *core, const struct reel_asker *asker, const char *code, const char *reason,
                     const char *path, const char *message, struct reel_effects *effects)
{
    struct reel_message *error = &core->out;
    core->counters.refused++;
    core->counters.refused_size += strcmp (code, "too_large") == 0;
    reel_message_init (error, REEL_CLIENT_ERROR);
    if (asker->request_id.len > 0)
        reel_message_set (error, REEL_F_REQUEST_ID, asker->request_id);
    reel_message_set_text (error, REEL_F_CODE, code);
    reel_message_set_text (error, REEL_F_MESSAGE, message);
    if (reason != NULL)
        reel_message_set_text (error, REEL_F_REASON, reason);
    if (path != NULL)
        reel_message_set_text (error, REEL_F_PATH, path);
    return reel_request_reply (core, asker, effects);
}

/* A limit is reached, which its counter tells from the others. */
static enum reel_status
overloaded (struct reel_core *core, const struct reel_asker *asker, uint64_t *counter, const char *message,
            struct reel_effects *effects)
{
    ++*counter;
    return reel_request_refuse (core, asker, "overloaded", NULL, NULL, message, effects);
}

enum reel_status
reel_request_draining (struct reel_core *core, const struct reel_asker *asker, struct reel_effects *effects)
{
    core->counters.refused_draining++;
    return reel_request_refuse (core, asker, "draining", NULL, NULL, "the broker is about to end; try again later",
                                effects);
}

static enum reel_status
unknown_workflow (struct reel_core *core, const struct reel_asker *asker, struct reel_effects *effects)
{
    return reel_request_refuse (core, asker, "unknown_workflow", NULL, NULL, "there is no workflow of that id",
                                effects);
}

enum reel_status
reel_request_read (struct reel_core *core, const struct reel_asker *asker, const struct reel_read *read,
                   struct reel_slice header, struct reel_slice extra, struct reel_effects *effects)
{
    struct reel_buf *context = &core->context;
    reel_buf_clear (context);
    reel_pack_array (context, 5);
    reel_pack_bin (context, asker->peer);
    reel_pack_bool (context, asker->delimiter);
    reel_pack_uint (context, core->in.command);
    reel_pack_bin (context, header);
    reel_pack_bin (context, extra);
    if (reel_buf_status (context) != REEL_OK)
        return REEL_NO_MEMORY;
    return reel_effects_read (effects, read, reel_buf_slice (context));
}

/* --- SUBMIT --------------------------------------------------------------------------------- */

static enum reel_status
reply_submitted (struct reel_core *core, const struct reel_asker *asker, const struct reel_flow *flow, bool duplicate,
                 struct reel_effects *effects)
{
    struct reel_message *ok = reel_request_begin (core, asker);
    reel_message_set (ok, REEL_F_WORKFLOW_ID, flow->workflow_id);
    reel_message_set_text (ok, REEL_F_STATUS, reel_flow_state_name (flow->state));
    reel_message_set_bool (ok, REEL_F_DUPLICATE, duplicate);
    reel_message_set_uint (ok, REEL_F_SEQ, flow->accepted_seq);
    return reel_request_reply (core, asker, effects);
}

struct reel_submission
reel_request_submission (const struct reel_core *core, struct reel_slice document)
{
    const struct reel_message *in = &core->in;
    struct reel_submission submission = {.document = document};
    if (reel_message_has (in, REEL_F_PROVENANCE))
        submission.provenance = in->value[REEL_F_PROVENANCE].s;
    if (reel_message_has (in, REEL_F_PRIORITY))
        submission.priority = in->value[REEL_F_PRIORITY].i;
    if (reel_message_has (in, REEL_F_NOT_BEFORE_US))
        submission.not_before_us = in->value[REEL_F_NOT_BEFORE_US].u;
    return submission;
}

static enum reel_status
accept (struct reel_core *core, const struct reel_asker *asker, struct reel_slice workflow_id,
        const struct reel_submission *submission, struct reel_effects *effects)
{
    struct reel_message *event = &core->out;
    reel_core_event (core, NULL, REEL_EVENT_ACCEPTED);
    reel_message_set (event, REEL_F_WORKFLOW_ID, workflow_id);
    if (submission->priority != 0)
        reel_message_set_int (event, REEL_F_PRIORITY, submission->priority);
    if (submission->not_before_us != 0)
        reel_message_set_uint (event, REEL_F_NOT_BEFORE_US, submission->not_before_us);
    if (submission->origin.len > 0)
        reel_message_set (event, REEL_F_ORIGIN, submission->origin);
    core->record = (struct reel_record){
        .kind = REEL_RECORD_ACCEPTED, .document = submission->document, .provenance = submission->provenance};
    if (reel_core_record (core, NULL, effects) != REEL_OK)
        return REEL_NO_MEMORY;
    struct reel_flow *flow = reel_roll_last (&core->roll);
    core->counters.submitted++;
    if (reel_queue_add (core, flow) != REEL_OK)
        return REEL_NO_MEMORY;
    return reply_submitted (core, asker, flow, false, effects);
}

static enum reel_status
refuse_document (struct reel_core *core, const struct reel_asker *asker, const struct reel_error *err,
                 struct reel_effects *effects)
{
    bool malformed = strcmp (err->code, "malformed") == 0;
    return reel_request_refuse (core, asker, malformed ? "malformed" : "invalid_workflow", malformed ? NULL : err->code,
                                err->path, err->message, effects);
}

enum reel_status
reel_request_submit (struct reel_core *core, const struct reel_asker *asker, struct reel_slice header,
                     const struct reel_submission *submission, struct reel_effects *effects)
{
    struct reel_slice document = submission->document;
    struct reel_error err = {0};
    char uuid[REEL_UUID_BYTES];
    if (document.len > REEL_DOCUMENT_BYTES_MAX)
        return reel_request_refuse (core, asker, "too_large", NULL, NULL,
                                    "the document is larger than 16 MiB, which is the limit", effects);
    enum reel_status status = reel_workflow_parse (&core->workflow, document, REEL_WORKFLOW_STRICT, &err);
    if (status == REEL_INVALID)
        return refuse_document (core, asker, &err, effects);
    if (status != REEL_OK)
        return status;
    struct reel_slice workflow_id = core->workflow.workflow_id;
    if (workflow_id.len == 0) {
        reel_identity_uuid7 (core->now.wall_us, &core->random, uuid);
        workflow_id = reel_slice_text (uuid);
    }
    struct reel_flow *flow = reel_core_find (core, workflow_id);
    if (flow != NULL && (REEL_MUTANT_IS (27) || reel_slice_equal (flow->document, document))) {
        core->counters.duplicates++;
        return reply_submitted (core, asker, flow, true, effects);
    }
    if (flow != NULL)
        return reel_request_refuse (core, asker, "conflict", NULL, "/workflow_id",
                                    "another document was submitted under this workflow_id", effects);
    uint64_t fingerprint = reel_core_fingerprint (core, workflow_id);
    uint64_t ended_seq = REEL_MUTANT_IS (26) ? 0 : reel_map_get (&core->ended, fingerprint);
    if (ended_seq != 0 && ended_seq != submission->other_seq) {
        struct reel_read read = {.kind = REEL_READ_ENDED, .seq = ended_seq};
        return reel_request_read (core, asker, &read, header, document, effects);
    }
    uint64_t live, ended;
    reel_core_count (core, &live, &ended);
    if (live >= core->setup.queue_count_max)
        return overloaded (core, asker, &core->counters.refused_queue_count,
                           "the limit of live workflows (queue-count-max) is reached; try later", effects);
    if (core->live_bytes + document.len > core->setup.queue_bytes_max)
        return overloaded (core, asker, &core->counters.refused_queue_bytes,
                           "the limit of memory for live workflows (queue-bytes-max) is reached; try later", effects);
    if (core->disk_low && !REEL_MUTANT_IS (28))
        return overloaded (core, asker, &core->counters.refused_disk,
                           "the disk of the journal is nearly full (disk-reserve-bytes); try later", effects);
    if (reel_map_get (&core->flows, fingerprint) != 0)
        return reel_request_refuse (core, asker, "internal", NULL, NULL,
                                    "this workflow_id collides with another in the table; choose another", effects);
    return accept (core, asker, workflow_id, submission, effects);
}

/* Provenance goes with each hand-out, beside a checkpoint, in one header. */
static enum reel_status
on_submit (struct reel_core *core, const struct reel_asker *asker, struct reel_slice header,
           struct reel_effects *effects)
{
    const struct reel_message *in = &core->in;
    if (reel_message_has (in, REEL_F_PROVENANCE) && in->value[REEL_F_PROVENANCE].s.len > REEL_PROVENANCE_BYTES_MAX)
        return reel_request_refuse (core, asker, "too_large", NULL, "/provenance",
                                    "the provenance is larger than 256 KiB, which is the limit", effects);
    struct reel_submission submission = reel_request_submission (core, in->document);
    return reel_request_submit (core, asker, header, &submission, effects);
}

/* --- GET, RECEIPT --------------------------------------------------------------------------- */

static enum reel_status
reply_live (struct reel_core *core, const struct reel_asker *asker, const struct reel_flow *flow,
            struct reel_effects *effects)
{
    char created_at[REEL_TIMESTAMP_BYTES];
    if (reel_core_parse (core, flow) != REEL_OK)
        return REEL_NO_MEMORY;
    reel_buf_clear (&core->receipt);
    reel_outcome_document (&core->receipt, &core->workflow, core->outcomes, flow->workflow_id,
                           reel_flow_created_at (flow, created_at));
    if (reel_buf_status (&core->receipt) != REEL_OK)
        return REEL_NO_MEMORY;
    struct reel_message *ok = reel_request_begin (core, asker);
    const char *waiting_for = flow->state == REEL_FLOW_QUEUED ? reel_queue_waiting_for (flow) : NULL;
    reel_message_set (ok, REEL_F_WORKFLOW_ID, flow->workflow_id);
    reel_message_set_text (ok, REEL_F_STATUS, reel_flow_state_name (flow->state));
    if (waiting_for != NULL)
        reel_message_set_text (ok, REEL_F_WAITING_FOR, waiting_for);
    if (flow->paused)
        reel_message_set_bool (ok, REEL_F_PAUSED, true);
    if (flow->holder != NULL)
        reel_message_set_text (ok, REEL_F_WORKER, flow->holder->name);
    reel_message_set_uint (ok, REEL_F_DELIVERY, flow->deliveries);
    reel_message_set_uint (ok, REEL_F_LAST_SEQ, flow->last_seq);
    if (flow->priority != 0)
        reel_message_set_int (ok, REEL_F_PRIORITY, flow->priority);
    if (flow->not_before_us != 0)
        reel_message_set_uint (ok, REEL_F_NOT_BEFORE_US, (uint64_t) flow->not_before_us);
    if (flow->origin.len > 0)
        reel_message_set (ok, REEL_F_ORIGIN, flow->origin);
    if (flow->provenance.len > 0)
        reel_message_set (ok, REEL_F_PROVENANCE, flow->provenance);
    reel_message_set_document (ok, reel_buf_slice (&core->receipt));
    return reel_request_reply (core, asker, effects);
}

enum reel_status
reel_request_ask_ended (struct reel_core *core, const struct reel_asker *asker, struct reel_slice header,
                        struct reel_effects *effects)
{
    struct reel_slice workflow_id = core->in.value[REEL_F_WORKFLOW_ID].s;
    struct reel_read read = {.kind = REEL_READ_ENDED,
                             .seq = reel_map_get (&core->ended, reel_core_fingerprint (core, workflow_id))};
    return read.seq == 0 ? unknown_workflow (core, asker, effects)
                         : reel_request_read (core, asker, &read, header, REEL_SLICE_NONE, effects);
}

static struct reel_slice
copy (uint8_t **at, struct reel_slice slice)
{
    struct reel_slice copied = reel_slice (*at, slice.len);
    if (slice.len > 0)
        memcpy (*at, slice.data, slice.len);
    *at += slice.len;
    return copied;
}

static enum reel_status
wait_for_end (struct reel_core *core, const struct reel_asker *asker, struct reel_flow *flow, int64_t wait_ms)
{
    struct reel_wait *wait = malloc (sizeof *wait + asker->peer.len + asker->request_id.len);
    if (wait == NULL)
        return REEL_NO_MEMORY;
    uint8_t *at = (uint8_t *) (wait + 1);
    *wait = (struct reel_wait){
        .flow = flow,
        .next = flow->waits,
        .peer = copy (&at, asker->peer),
        .request_id = copy (&at, asker->request_id),
        .delimiter = asker->delimiter,
    };
    wait->deadline.key = core->now.monotonic_us + 1000 * wait_ms;
    if (reel_heap_add (&core->waits, &wait->deadline) != REEL_OK) {
        free (wait);
        return REEL_NO_MEMORY;
    }
    if (flow->waits != NULL)
        flow->waits->prev = wait;
    flow->waits = wait;
    return REEL_OK;
}

void
reel_request_drop_wait (struct reel_core *core, struct reel_wait *wait)
{
    reel_heap_remove (&core->waits, &wait->deadline);
    if (wait->prev != NULL)
        wait->prev->next = wait->next;
    else
        wait->flow->waits = wait->next;
    if (wait->next != NULL)
        wait->next->prev = wait->prev;
    free (wait);
}

static struct reel_asker
waiting (const struct reel_wait *wait)
{
    return (struct reel_asker){wait->peer, wait->delimiter, wait->request_id};
}

static enum reel_status
not_finished (struct reel_core *core, const struct reel_asker *asker, const struct reel_flow *flow,
              struct reel_effects *effects)
{
    return reel_request_refuse (core, asker, "not_finished", reel_flow_state_name (flow->state), NULL,
                                "the workflow has not ended yet", effects);
}

enum reel_status
reel_request_expire_waits (struct reel_core *core, struct reel_effects *effects)
{
    struct reel_heap_node *node;
    while ((node = reel_heap_top (&core->waits)) != NULL && node->key <= core->now.monotonic_us) {
        struct reel_wait *wait = REEL_HEAP_OWNER (node, struct reel_wait, deadline);
        struct reel_asker asker = waiting (wait);
        enum reel_status status = not_finished (core, &asker, wait->flow, effects);
        if (status != REEL_OK)
            return status;
        reel_request_drop_wait (core, wait);
    }
    return REEL_OK;
}

enum reel_status
reel_request_drain (struct reel_core *core, struct reel_effects *effects)
{
    struct reel_heap_node *node;
    while ((node = reel_heap_top (&core->waits)) != NULL) {
        struct reel_wait *wait = REEL_HEAP_OWNER (node, struct reel_wait, deadline);
        struct reel_asker asker = waiting (wait);
        enum reel_status status = reel_request_draining (core, &asker, effects);
        if (status != REEL_OK)
            return status;
        reel_request_drop_wait (core, wait);
    }
    return REEL_OK;
}

enum reel_status
reel_request_ended (struct reel_core *core, struct reel_flow *flow, const char *status, struct reel_span receipt,
                    struct reel_effects *effects)
{
    for (struct reel_wait *wait = flow->waits, *next; wait != NULL; wait = next) {
        struct reel_asker asker = waiting (wait);
        next = wait->next;
        reel_message_init (&core->out, REEL_OK_RECEIPT);
        if (asker.request_id.len > 0)
            reel_message_set (&core->out, REEL_F_REQUEST_ID, asker.request_id);
        reel_message_set (&core->out, REEL_F_WORKFLOW_ID, flow->workflow_id);
        reel_message_set_text (&core->out, REEL_F_STATUS, status);
        if (reel_effects_send_span (effects, REEL_SOCKET_CLIENT, asker.peer, asker.delimiter, &core->out, receipt)
            != REEL_OK)
            return REEL_NO_MEMORY;
        reel_request_drop_wait (core, wait);
    }
    return REEL_OK;
}

static enum reel_status
on_receipt (struct reel_core *core, const struct reel_asker *asker, struct reel_slice header,
            struct reel_effects *effects)
{
    const struct reel_message *in = &core->in;
    struct reel_flow *flow = reel_core_find (core, in->value[REEL_F_WORKFLOW_ID].s);
    uint64_t wait_ms = reel_message_has (in, REEL_F_WAIT_MS) ? in->value[REEL_F_WAIT_MS].u : 0;
    if (flow == NULL)
        return reel_request_ask_ended (core, asker, header, effects);
    if (wait_ms == 0)
        return not_finished (core, asker, flow, effects);
    if (core->waits.count >= core->setup.waits_max)
        return overloaded (core, asker, &core->counters.refused_waits,
                           "the limit of waiting requests (waits-max) is reached; try later", effects);
    return wait_for_end (core, asker, flow, (int64_t) (wait_ms < REEL_WAIT_MS_MAX ? wait_ms : REEL_WAIT_MS_MAX));
}

static enum reel_status
on_get (struct reel_core *core, const struct reel_asker *asker, struct reel_slice header, struct reel_effects *effects)
{
    struct reel_flow *flow = reel_core_find (core, core->in.value[REEL_F_WORKFLOW_ID].s);
    return flow == NULL ? reel_request_ask_ended (core, asker, header, effects)
                        : reply_live (core, asker, flow, effects);
}

static enum reel_status
on_rerun (struct reel_core *core, const struct reel_asker *asker, struct reel_slice header,
          struct reel_effects *effects)
{
    const struct reel_flow *flow = reel_core_find (core, core->in.value[REEL_F_WORKFLOW_ID].s);
    if (flow != NULL)
        return reel_request_refuse (core, asker, "bad_state", reel_flow_state_name (flow->state), NULL,
                                    "the workflow has not ended yet: only one that has can be rerun", effects);
    return reel_request_ask_ended (core, asker, header, effects);
}

/* --- LIST, EVENTS --------------------------------------------------------------------------- */

uint32_t
reel_request_limit (const struct reel_core *core, uint32_t standard, uint32_t most)
{
    const struct reel_message *in = &core->in;
    uint64_t asked = reel_message_has (in, REEL_F_LIMIT) ? in->value[REEL_F_LIMIT].u : standard;
    return asked < 1 ? 1 : asked > most ? most : (uint32_t) asked;
}

void
reel_core_row_pack (struct reel_buf *out, const struct reel_journal_row *row)
{
    reel_pack_map (out, 8);
    reel_pack_text (out, "workflow_id");
    reel_pack_str (out, row->workflow_id);
    reel_pack_text (out, "status");
    reel_pack_text (out, row->status);
    reel_pack_text (out, "seq");
    reel_pack_uint (out, row->accepted_seq);
    reel_pack_text (out, "submitted_us");
    reel_pack_time (out, row->submitted_us);
    reel_pack_text (out, "started_us");
    reel_pack_time (out, row->started_us);
    reel_pack_text (out, "finished_us");
    reel_pack_time (out, row->finished_us);
    reel_pack_text (out, "deliveries");
    reel_pack_uint (out, row->deliveries);
    reel_pack_text (out, "origin");
    if (row->origin.len == 0)
        reel_pack_nil (out);
    else
        reel_pack_str (out, row->origin);
}

static void
pack_live_row (const struct reel_flow *flow, struct reel_buf *out)
{
    struct reel_journal_row row = {
        .accepted_seq = flow->accepted_seq,
        .workflow_id = flow->workflow_id,
        .origin = flow->origin,
        .status = reel_flow_state_name (flow->state),
        .submitted_us = flow->submitted_us,
        .started_us = flow->started_us,
        .finished_us = REEL_TIME_NIL,
        .deliveries = flow->deliveries,
    };
    reel_core_row_pack (out, &row);
}

/* What LIST asks for. The statuses of live workflows come first, in the order of enum reel_flow_state. */
struct wanted {
    unsigned status;
    uint64_t before;
    uint32_t limit;
};
static const char *const statuses[] = {"queued", "running", "held", "succeeded", "failed", "cancelled"};
#define STATUS_COUNT (sizeof statuses / sizeof statuses[0])
#define ANY_STATUS STATUS_COUNT

/* Packs the live rows that are wanted, of one status as far as LIST_SCAN_MAX goes; `next` is the seq of the last one
 * looked at when there may be more. */
static uint32_t
pack_live_rows (const struct reel_core *core, const struct wanted *wanted, struct reel_buf *out, uint64_t *next)
{
    size_t place = reel_roll_before (&core->roll, wanted->before);
    size_t end = wanted->status != ANY_STATUS && place > LIST_SCAN_MAX ? place - LIST_SCAN_MAX : 0;
    uint32_t count = 0;
    *next = 0;
    while (place > end && count < wanted->limit) {
        const struct reel_roll_place *at = &core->roll.places[--place];
        if (at->flow != NULL && (wanted->status == ANY_STATUS || wanted->status == at->flow->state)) {
            pack_live_row (at->flow, out);
            count++;
        }
        *next = place > 0 ? at->accepted_seq : 0;
    }
    return count;
}

enum reel_status
reel_request_reply_list (struct reel_core *core, const struct reel_asker *asker, struct reel_slice rows, uint32_t count,
                         uint64_t next, struct reel_effects *effects)
{
    reel_buf_clear (&core->scratch);
    reel_pack_array (&core->scratch, count);
    reel_buf_add_slice (&core->scratch, rows);
    if (reel_buf_status (&core->scratch) != REEL_OK)
        return REEL_NO_MEMORY;
    struct reel_message *ok = reel_request_begin (core, asker);
    reel_message_set (ok, REEL_F_WORKFLOWS, reel_buf_slice (&core->scratch));
    if (next > 0)
        reel_message_set_uint (ok, REEL_F_NEXT, next);
    return reel_request_reply (core, asker, effects);
}

static enum reel_status
on_list (struct reel_core *core, const struct reel_asker *asker, struct reel_slice header, struct reel_effects *effects)
{
    const struct reel_message *in = &core->in;
    struct wanted wanted = {ANY_STATUS, INT64_MAX,
                            reel_request_limit (core, REEL_LIST_LIMIT_DEFAULT, REEL_LIST_LIMIT_MAX)};
    if (reel_message_has (in, REEL_F_AFTER) && in->value[REEL_F_AFTER].u > 0)
        wanted.before = in->value[REEL_F_AFTER].u;
    if (reel_message_has (in, REEL_F_STATUS)) {
        wanted.status = 0;
        while (wanted.status < STATUS_COUNT && !reel_slice_is (in->value[REEL_F_STATUS].s, statuses[wanted.status]))
            wanted.status++;
        if (wanted.status == STATUS_COUNT)
            return reel_request_refuse (core, asker, "malformed", NULL, "/status",
                                        "status is one of queued, running, held, succeeded, failed, cancelled",
                                        effects);
    }
    struct reel_buf *rows = &core->receipt;
    uint64_t next = 0;
    uint32_t count = 0;
    reel_buf_clear (rows);
    if (wanted.status == ANY_STATUS || wanted.status <= REEL_FLOW_HELD)
        count = pack_live_rows (core, &wanted, rows, &next);
    if (reel_buf_status (rows) != REEL_OK)
        return REEL_NO_MEMORY;
    if (wanted.status <= REEL_FLOW_HELD)
        return reel_request_reply_list (core, asker, reel_buf_slice (rows), count, next, effects);
    struct reel_read read = {
        .kind = REEL_READ_LIST,
        .after = wanted.before,
        .limit = wanted.limit,
        .status = wanted.status == ANY_STATUS ? NULL : statuses[wanted.status],
    };
    return reel_request_read (core, asker, &read, header, reel_buf_slice (rows), effects);
}

static enum reel_status
on_events (struct reel_core *core, const struct reel_asker *asker, struct reel_slice header,
           struct reel_effects *effects)
{
    const struct reel_message *in = &core->in;
    struct reel_read read = {
        .kind = REEL_READ_EVENTS,
        .after = in->value[REEL_F_AFTER].u,
        .limit = reel_request_limit (core, REEL_EVENTS_LIMIT_DEFAULT, REEL_EVENTS_LIMIT_MAX),
    };
    if (reel_message_has (in, REEL_F_WORKFLOW_ID)) {
        struct reel_slice workflow_id = in->value[REEL_F_WORKFLOW_ID].s;
        const struct reel_flow *flow = reel_core_find (core, workflow_id);
        read.kind = REEL_READ_WORKFLOW_EVENTS;
        read.key = reel_core_fingerprint (core, workflow_id);
        read.seq = flow != NULL ? flow->last_seq : reel_map_get (&core->ended, read.key);
        if (read.seq == 0)
            return unknown_workflow (core, asker, effects);
    }
    return reel_request_read (core, asker, &read, header, REEL_SLICE_NONE, effects);
}

/* --- WORKERS, STATS, PING ------------------------------------------------------------------- */

static enum reel_status
on_workers (struct reel_core *core, const struct reel_asker *asker, struct reel_effects *effects)
{
    reel_buf_clear (&core->receipt);
    reel_pack_array (&core->receipt, (uint32_t) core->peer_count);
    for (size_t i = 0; i < core->peer_count && core->receipt.len <= REEL_WORKERS_BYTES_MAX; i++)
        reel_worker_row (&core->receipt, core->peers[i]);
    if (reel_buf_status (&core->receipt) != REEL_OK)
        return REEL_NO_MEMORY;
    if (core->receipt.len > REEL_WORKERS_BYTES_MAX && !REEL_MUTANT_IS (83))
        return reel_request_refuse (
            core, asker, "too_large", NULL, NULL,
            "what the workers say of themselves is larger than 1023 KiB, which is the limit of an "
            "answer",
            effects);
    struct reel_message *ok = reel_request_begin (core, asker);
    reel_message_set (ok, REEL_F_WORKERS, reel_buf_slice (&core->receipt));
    return reel_request_reply (core, asker, effects);
}

static void
pack_number (struct reel_buf *out, const char *name, uint64_t number)
{
    reel_pack_text (out, name);
    reel_pack_uint (out, number);
}

static enum reel_status
on_stats (struct reel_core *core, const struct reel_asker *asker, struct reel_effects *effects)
{
    static const struct reel_shell_stats nothing = {0};
    const struct reel_shell_stats *shell = core->setup.shell != NULL ? core->setup.shell : &nothing;
    struct reel_buf *buf = &core->receipt;
#define COUNT(name) +1
    const uint32_t counters = 0 REEL_COUNTERS (COUNT);
#undef COUNT
    reel_buf_clear (buf);
    reel_pack_map (buf, counters + 6);
#define PACK(name) pack_number (buf, #name, core->counters.name);
    REEL_COUNTERS (PACK)
#undef PACK
    pack_number (buf, "events", core->last_seq);
    pack_number (buf, "commits", shell->commits);
    pack_number (buf, "dropped", shell->dropped);
    pack_number (buf, "subscriber_full", shell->subscriber_full);
    pack_number (buf, "refused_connections", shell->refused_connections);
    pack_number (buf, "refused_waiting_bytes", shell->refused_waiting_bytes);
    size_t gauges_at = buf->len;
    reel_pack_map (buf, 20);
    pack_number (buf, "queued", core->state_count[REEL_FLOW_QUEUED]);
    pack_number (buf, "running", core->state_count[REEL_FLOW_RUNNING]);
    pack_number (buf, "held", core->state_count[REEL_FLOW_HELD]);
    pack_number (buf, "ended", reel_retention_ended (core));
    pack_number (buf, "live_bytes", core->live_bytes);
    pack_number (buf, "workers", core->peer_count);
    pack_number (buf, "leases", core->leases.count);
    pack_number (buf, "waits", core->waits.count);
    pack_number (buf, "subscribers", shell->subscribers);
    pack_number (buf, "client_connections", shell->client_connections);
    pack_number (buf, "worker_connections", shell->worker_connections);
    pack_number (buf, "event_connections", shell->event_connections);
    pack_number (buf, "client_waiting_bytes", shell->client_waiting_bytes);
    pack_number (buf, "worker_waiting_bytes", shell->worker_waiting_bytes);
    pack_number (buf, "event_waiting_bytes", shell->event_waiting_bytes);
    pack_number (buf, "disk_free_bytes", shell->disk_free_bytes);
    pack_number (buf, "journal_bytes", shell->journal_bytes);
    pack_number (buf, "journal_free_bytes", shell->journal_free_bytes);
    pack_number (buf, "retained_bytes", core->journal_bytes - core->forgotten.bytes);
    pack_number (buf, "first_seq", core->forgotten.seq + 1);
    if (reel_buf_status (buf) != REEL_OK)
        return REEL_NO_MEMORY;
    struct reel_message *ok = reel_request_begin (core, asker);
    reel_message_set (ok, REEL_F_COUNTERS, reel_slice (buf->data, gauges_at));
    reel_message_set (ok, REEL_F_GAUGES, reel_slice (buf->data + gauges_at, buf->len - gauges_at));
    return reel_request_reply (core, asker, effects);
}

static enum reel_status
on_ping (struct reel_core *core, const struct reel_asker *asker, struct reel_effects *effects)
{
    struct reel_message *ok = reel_request_begin (core, asker);
    reel_message_set_text (ok, REEL_F_VERSION, REEL_VERSION);
    reel_message_set_uint (ok, REEL_F_EPOCH, core->epoch);
    reel_message_set_bool (ok, REEL_F_IS_READY, core->started);
    reel_message_set_bool (ok, REEL_F_PAUSED, core->paused);
    return reel_request_reply (core, asker, effects);
}

enum reel_status
reel_request_message (struct reel_core *core, const struct reel_core_frames *frames, struct reel_effects *effects)
{
    struct reel_error err = {0};
    struct reel_message *in = &core->in;
    enum reel_status status = reel_message_decode (REEL_CLIENT_REQUEST, REEL_COMMAND_COUNT, frames->list, frames->count,
                                                   in, &err);
    struct reel_asker asker = {.peer = frames->peer, .delimiter = frames->delimiter};
    if (reel_message_has (in, REEL_F_REQUEST_ID))
        asker.request_id = in->value[REEL_F_REQUEST_ID].s;
    if (status == REEL_INVALID) {
        core->counters.malformed++;
        return reel_request_refuse (core, &asker, err.code, NULL, err.path[0] == '\0' ? NULL : err.path, err.message,
                                    effects);
    }
    if (status != REEL_OK)
        return status;
    if (core->draining && !REEL_MUTANT_IS (60))
        return reel_request_draining (core, &asker, effects);
    struct reel_slice header = frames->list[2];
    switch (in->command) {
    case REEL_SUBMIT: return on_submit (core, &asker, header, effects);
    case REEL_GET: return on_get (core, &asker, header, effects);
    case REEL_RECEIPT: return on_receipt (core, &asker, header, effects);
    case REEL_CANCEL:
    case REEL_RESOLVE:
    case REEL_PAUSE:
    case REEL_RESUME: return reel_control_request (core, &asker, header, effects);
    case REEL_RERUN: return on_rerun (core, &asker, header, effects);
    case REEL_LIST: return on_list (core, &asker, header, effects);
    case REEL_EVENTS: return on_events (core, &asker, header, effects);
    case REEL_WORKERS: return on_workers (core, &asker, effects);
    case REEL_STATS: return on_stats (core, &asker, effects);
    case REEL_PING: return on_ping (core, &asker, effects);
    case REEL_BACKUP: return reel_backup_request (core, &asker, header, effects);
    default: REEL_ASSERT (false); return REEL_OK;
    }
}
