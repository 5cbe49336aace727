/*
 * Making, filling and freeing live workflows.
 */
#include "broker/core/flow.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/timestamp.h"
#include "proto/scan.h"

static struct reel_slice
keep (uint8_t **at, struct reel_slice slice)
{
    struct reel_slice kept = reel_slice (*at, slice.len);
    if (slice.len > 0)
        memcpy (*at, slice.data, slice.len);
    *at += slice.len;
    return kept;
}

static struct reel_slice
moved (struct reel_slice slice, const struct reel_workflow *workflow, const struct reel_flow *flow)
{
    return slice.len == 0 ? REEL_SLICE_NONE
                          : reel_slice (flow->document.data + (slice.data - workflow->document.data), slice.len);
}

enum reel_status
reel_flow_create (struct reel_slice workflow_id, const struct reel_workflow *workflow, struct reel_slice provenance,
                  struct reel_slice origin, struct reel_flow **out)
{
    size_t depends_bytes = workflow->depends_count * sizeof (uint16_t);
    size_t text_bytes = depends_bytes + workflow_id.len + workflow->document.len + provenance.len + origin.len;
    size_t bytes = sizeof (struct reel_flow) + workflow->step_count * sizeof (struct reel_flow_step);
    struct reel_flow *flow = calloc (1, bytes);
    uint16_t *depends = malloc (text_bytes);
    if (flow == NULL || depends == NULL) {
        free (flow);
        free (depends);
        return REEL_NO_MEMORY;
    }
    flow->depends = depends;
    for (uint32_t i = 0; i < workflow->depends_count; i++)
        depends[i] = (uint16_t) workflow->depends[i];
    uint8_t *text = (uint8_t *) depends + depends_bytes;
    flow->bytes = bytes + text_bytes;
    flow->workflow_id = keep (&text, workflow_id);
    flow->document = keep (&text, workflow->document);
    flow->provenance = keep (&text, provenance);
    flow->origin = keep (&text, origin);
    flow->created_at = moved (workflow->created_at, workflow, flow);
    flow->global_provenance = moved (workflow->global_provenance, workflow, flow);
    flow->started_us = REEL_TIME_NIL;
    flow->step_count = workflow->step_count;
    for (uint32_t i = 0; i < flow->step_count; i++) {
        const struct reel_step *step = &workflow->steps[i];
        flow->steps[i] = (struct reel_flow_step){
            .id_at = (uint32_t) (step->step_id.data - workflow->document.data),
            .id_len = (uint8_t) step->step_id.len,
            .modality_at = (uint32_t) (step->modality.data - workflow->document.data),
            .modality_len = (uint8_t) step->modality.len,
            .depends_first = step->depends_first,
            .depends_count = (uint16_t) step->depends_count,
            .outcome = reel_outcome_of (step),
        };
        flow->steps[i].outcome.receipt = moved (step->receipt, workflow, flow);
        flow->steps[i].outcome.error = moved (step->error, workflow, flow);
    }
    reel_flow_advance (flow);
    *out = flow;
    return REEL_OK;
}

/* A receipt that came with the document lies in the document; all others are copies of their own. */
static bool
own (const struct reel_flow *flow, struct reel_slice slice)
{
    return slice.len > 0
           && (slice.data < flow->document.data || slice.data >= flow->document.data + flow->document.len);
}

static void
drop (struct reel_flow *flow, struct reel_slice *slice)
{
    if (own (flow, *slice)) {
        flow->bytes -= slice->len;
        void *data;
        memcpy (&data, &slice->data, sizeof data);
        free (data);
    }
    *slice = REEL_SLICE_NONE;
}

static enum reel_status
replace (struct reel_flow *flow, struct reel_slice *slice, struct reel_slice with)
{
    uint8_t *copy = NULL;
    if (with.len > 0) {
        copy = malloc (with.len);
        if (copy == NULL)
            return REEL_NO_MEMORY;
        memcpy (copy, with.data, with.len);
    }
    drop (flow, slice);
    *slice = reel_slice (copy, with.len);
    flow->bytes += with.len;
    return REEL_OK;
}

void
reel_flow_destroy (struct reel_flow *flow)
{
    if (flow == NULL)
        return;
    for (uint32_t i = 0; i < flow->step_count; i++) {
        drop (flow, &flow->steps[i].outcome.receipt);
        drop (flow, &flow->steps[i].outcome.error);
    }
    drop (flow, &flow->checkpoint);
    free (flow->depends);
    free (flow);
}

struct reel_slice
reel_flow_step_id (const struct reel_flow *flow, uint32_t step)
{
    REEL_ASSERT (step < flow->step_count);
    return reel_slice (flow->document.data + flow->steps[step].id_at, flow->steps[step].id_len);
}

struct reel_slice
reel_flow_modality (const struct reel_flow *flow, uint32_t step)
{
    REEL_ASSERT (step < flow->step_count);
    return reel_slice (flow->document.data + flow->steps[step].modality_at, flow->steps[step].modality_len);
}

const char *
reel_flow_state_name (enum reel_flow_state state)
{
    static const char *const names[] = {"queued", "running", "held"};
    return names[state];
}

struct reel_slice
reel_flow_created_at (const struct reel_flow *flow, char *text)
{
    if (flow->created_at.len > 0)
        return flow->created_at;
    reel_timestamp_format (flow->submitted_us, text);
    return reel_slice_text (text);
}

enum reel_status
reel_flow_set_outcome (struct reel_flow *flow, uint32_t step, enum reel_step_status status, struct reel_slice receipt,
                       struct reel_slice error, int64_t finished_us)
{
    struct reel_outcome *outcome = &flow->steps[step].outcome;
    if (replace (flow, &outcome->receipt, receipt) != REEL_OK || replace (flow, &outcome->error, error) != REEL_OK)
        return REEL_NO_MEMORY;
    outcome->status = status;
    outcome->finished_us = finished_us;
    return REEL_OK;
}

enum reel_status
reel_flow_set_checkpoint (struct reel_flow *flow, struct reel_slice checkpoint)
{
    bool nil = reel_scan_type (checkpoint) == REEL_NIL;
    return replace (flow, &flow->checkpoint, nil ? REEL_SLICE_NONE : checkpoint);
}

void
reel_flow_advance (struct reel_flow *flow)
{
    uint32_t before = flow->next;
    while (flow->next < flow->step_count && reel_step_status_final (flow->steps[flow->next].outcome.status))
        flow->next++;
    if (flow->next == before)
        return;
    flow->in_flight = false;
    flow->idempotent = false;
    flow->in_doubt = REEL_IN_DOUBT_UNSET;
    flow->attempts = 0;
    drop (flow, &flow->checkpoint);
}

void
reel_flow_outcomes (const struct reel_flow *flow, struct reel_outcome *outcomes)
{
    for (uint32_t i = 0; i < flow->step_count; i++)
        outcomes[i] = flow->steps[i].outcome;
}

bool
reel_flow_blocked (const struct reel_flow *flow, uint32_t step)
{
    const uint16_t *depends = flow->depends + flow->steps[step].depends_first;
    for (uint32_t d = 0; d < flow->steps[step].depends_count; d++) {
        enum reel_step_status status = flow->steps[depends[d]].outcome.status;
        if (status == REEL_STEP_FAILED || status == REEL_STEP_SKIPPED)
            return true;
    }
    return false;
}

static bool
waits_for_any (const struct reel_flow *flow, uint32_t step, const bool *will_skip)
{
    const uint16_t *depends = flow->depends + flow->steps[step].depends_first;
    bool waits = false;
    for (uint32_t d = 0; d < flow->steps[step].depends_count && !waits; d++)
        waits = will_skip[depends[d]];
    return waits;
}

uint32_t
reel_flow_next_dispatch (const struct reel_flow *flow)
{
    bool will_skip[REEL_STEPS_MAX]; /* as the worker will, or did */
    memset (will_skip, 0, flow->next * sizeof *will_skip);
    for (uint32_t i = flow->next; i < flow->step_count; i++) {
        bool final = reel_step_status_final (flow->steps[i].outcome.status);
        will_skip[i] = !final && (reel_flow_blocked (flow, i) || waits_for_any (flow, i, will_skip));
        if (!final && !will_skip[i])
            return i;
    }
    return flow->step_count;
}
