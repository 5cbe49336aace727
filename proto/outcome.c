/*
 * The document as it stands and the final receipt, put together from the document's bytes and
 * the outcomes beside it.
 */
#include "proto/outcome.h"

#include "base/assert.h"
#include "proto/pack.h"
#include "proto/scan.h"

enum { FIELD_STATUS, FIELD_RECEIPT, FIELD_ERROR, FIELD_STARTED, FIELD_FINISHED, FIELD_COUNT };
static const char *const field_names[FIELD_COUNT] = {"status", "receipt", "error", "started_us", "finished_us"};

struct reel_outcome
reel_outcome_of (const struct reel_step *step)
{
    return (struct reel_outcome){step->status, step->receipt, step->error, step->started_us, step->finished_us};
}

bool
reel_outcome_all_final (const struct reel_outcome *outcomes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!reel_step_status_final (outcomes[i].status))
            return false;
    return true;
}

bool
reel_outcome_all_succeeded (const struct reel_outcome *outcomes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (outcomes[i].status != REEL_STEP_SUCCEEDED)
            return false;
    return true;
}

int64_t
reel_outcome_blocking (const struct reel_workflow *workflow, uint32_t step, const struct reel_outcome *outcomes)
{
    const struct reel_step *blocked = &workflow->steps[step];
    for (uint32_t d = 0; d < blocked->depends_count; d++) {
        uint32_t dependency = workflow->depends[blocked->depends_first + d];
        if (outcomes[dependency].status == REEL_STEP_FAILED || outcomes[dependency].status == REEL_STEP_SKIPPED)
            return dependency;
    }
    return -1;
}

static bool
same (const struct reel_outcome *outcome, const struct reel_step *step)
{
    return outcome->status == step->status && outcome->started_us == step->started_us
           && outcome->finished_us == step->finished_us && reel_slice_equal (outcome->receipt, step->receipt)
           && reel_slice_equal (outcome->error, step->error);
}

static void
pack_field (struct reel_buf *out, unsigned field, const struct reel_outcome *outcome)
{
    switch (field) {
    case FIELD_STATUS: reel_pack_text (out, reel_step_status_name (outcome->status)); break;
    case FIELD_RECEIPT: reel_pack_raw (out, outcome->receipt); break;
    case FIELD_ERROR: reel_pack_raw (out, outcome->error); break;
    case FIELD_STARTED: reel_pack_time (out, outcome->started_us); break;
    default: reel_pack_time (out, outcome->finished_us); break;
    }
}

static unsigned
find_field (struct reel_slice key)
{
    unsigned field = 0;
    while (field < FIELD_COUNT && !reel_slice_is (key, field_names[field]))
        field++;
    return field;
}

/* Copies a step's map with the five fields replaced where they are, and added where they are not. */
static void
write_step (struct reel_buf *out, struct reel_slice bytes, const struct reel_outcome *outcome)
{
    struct reel_cursor cursor = reel_scan_start (bytes);
    struct reel_value head;
    struct reel_slice key;
    struct reel_whole value;
    bool there[FIELD_COUNT + 1] = {false};
    uint32_t missing = FIELD_COUNT;
    bool read = reel_scan_next (&cursor, &head);
    struct reel_cursor members = cursor;
    for (uint32_t i = 0; i < head.count; i++) {
        read = read && reel_scan_pair (&cursor, &key, &value);
        REEL_ASSERT (read);
        unsigned field = find_field (key);
        there[field] = true;
        missing -= field < FIELD_COUNT;
    }
    reel_pack_map (out, head.count + missing);
    for (uint32_t i = 0; i < head.count; i++) {
        const uint8_t *start = members.at;
        read = reel_scan_pair (&members, &key, &value);
        REEL_ASSERT (read);
        unsigned field = find_field (key);
        if (field == FIELD_COUNT) {
            reel_buf_add (out, start, (size_t) (members.at - start));
        } else {
            reel_pack_str (out, key);
            pack_field (out, field, outcome);
        }
    }
    for (unsigned field = 0; field < FIELD_COUNT; field++)
        if (!there[field]) {
            reel_pack_text (out, field_names[field]);
            pack_field (out, field, outcome);
        }
}

static void
write_steps (struct reel_buf *out, const struct reel_workflow *workflow, const struct reel_outcome *outcomes)
{
    reel_pack_array (out, workflow->step_count);
    for (uint32_t i = 0; i < workflow->step_count; i++) {
        if (same (&outcomes[i], &workflow->steps[i]))
            reel_buf_add_slice (out, workflow->steps[i].bytes);
        else
            write_step (out, workflow->steps[i].bytes, &outcomes[i]);
    }
}

/* Is the document as it came what is to be written? */
static bool
untouched (const struct reel_workflow *workflow, const struct reel_outcome *outcomes, struct reel_slice workflow_id,
           struct reel_slice created_at)
{
    bool complete = (workflow_id.len == 0 || workflow->workflow_id.len > 0)
                    && (created_at.len == 0 || workflow->created_at.len > 0);
    for (uint32_t i = 0; i < workflow->step_count && complete; i++)
        complete = same (&outcomes[i], &workflow->steps[i]);
    return complete;
}

/* `anew`: id and time of the document are replaced, whatever they are. */
static void
write_document (struct reel_buf *out, const struct reel_workflow *workflow, const struct reel_outcome *outcomes,
                struct reel_slice workflow_id, struct reel_slice created_at, bool anew)
{
    struct reel_cursor cursor = reel_scan_start (workflow->document);
    struct reel_value head;
    struct reel_slice key;
    struct reel_whole value;
    bool id_there = workflow_id.len == 0, created_there = created_at.len == 0;
    bool read = reel_scan_next (&cursor, &head);
    struct reel_cursor members = cursor;
    for (uint32_t i = 0; i < head.count; i++) {
        read = read && reel_scan_pair (&cursor, &key, &value);
        REEL_ASSERT (read);
        id_there = id_there || reel_slice_is (key, "workflow_id");
        created_there = created_there || reel_slice_is (key, "created_at");
    }
    reel_pack_map (out, head.count + !id_there + !created_there);
    for (uint32_t i = 0; i < head.count; i++) {
        const uint8_t *start = members.at;
        read = reel_scan_pair (&members, &key, &value);
        REEL_ASSERT (read);
        bool open = anew || value.head.type == REEL_NIL;
        if (reel_slice_is (key, "steps")) {
            reel_pack_str (out, key);
            write_steps (out, workflow, outcomes);
        } else if (open && workflow_id.len > 0 && reel_slice_is (key, "workflow_id")) {
            reel_pack_str (out, key);
            reel_pack_str (out, workflow_id);
        } else if (open && (anew || created_at.len > 0) && reel_slice_is (key, "created_at")) {
            reel_pack_str (out, key);
            if (created_at.len > 0)
                reel_pack_str (out, created_at);
            else
                reel_pack_nil (out);
        } else {
            reel_buf_add (out, start, (size_t) (members.at - start));
        }
    }
    if (!id_there) {
        reel_pack_text (out, "workflow_id");
        reel_pack_str (out, workflow_id);
    }
    if (!created_there) {
        reel_pack_text (out, "created_at");
        reel_pack_str (out, created_at);
    }
}

void
reel_outcome_document (struct reel_buf *out, const struct reel_workflow *workflow, const struct reel_outcome *outcomes,
                       struct reel_slice workflow_id, struct reel_slice created_at)
{
    if (untouched (workflow, outcomes, workflow_id, created_at))
        reel_buf_add_slice (out, workflow->document);
    else
        write_document (out, workflow, outcomes, workflow_id, created_at, false);
}

void
reel_outcome_document_anew (struct reel_buf *out, const struct reel_workflow *workflow,
                            const struct reel_outcome *outcomes, struct reel_slice workflow_id)
{
    write_document (out, workflow, outcomes, workflow_id, REEL_SLICE_NONE, true);
}

static void
receipt_step (struct reel_buf *out, const struct reel_step *step, const struct reel_outcome *outcome)
{
    reel_pack_map (out, 2 + FIELD_COUNT);
    reel_pack_text (out, "step_id");
    reel_pack_str (out, step->step_id);
    reel_pack_text (out, "modality");
    reel_pack_str (out, step->modality);
    for (unsigned field = 0; field < FIELD_COUNT; field++) {
        reel_pack_text (out, field_names[field]);
        pack_field (out, field, outcome);
    }
}

void
reel_outcome_receipt (struct reel_buf *out, const struct reel_final *final, const struct reel_workflow *workflow,
                      const struct reel_outcome *outcomes)
{
    reel_pack_map (out, 11);
    reel_pack_text (out, "workflow_id");
    reel_pack_str (out, final->workflow_id);
    reel_pack_text (out, "status");
    reel_pack_text (out, final->status);
    reel_pack_text (out, "created_at");
    reel_pack_str (out, final->created_at);
    reel_pack_text (out, "submitted_us");
    reel_pack_time (out, final->submitted_us);
    reel_pack_text (out, "started_us");
    reel_pack_time (out, final->started_us);
    reel_pack_text (out, "finished_us");
    reel_pack_time (out, final->finished_us);
    reel_pack_text (out, "deliveries");
    reel_pack_uint (out, final->deliveries);
    reel_pack_text (out, "origin");
    if (final->origin.len == 0)
        reel_pack_nil (out);
    else
        reel_pack_str (out, final->origin);
    reel_pack_text (out, "error");
    reel_pack_raw (out, final->error);
    reel_pack_text (out, "global_provenance");
    if (workflow->global_provenance.len == 0)
        reel_pack_map (out, 0);
    else
        reel_buf_add_slice (out, workflow->global_provenance);
    reel_pack_text (out, "steps");
    reel_pack_array (out, workflow->step_count);
    for (uint32_t i = 0; i < workflow->step_count; i++)
        receipt_step (out, &workflow->steps[i], &outcomes[i]);
}
