/*
 * What is known of the steps. Drawing is in view_draw.c.
 */
#include "client/view.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timestamp.h"
#include "proto/scan.h"

enum reel_status
reel_view_init (struct reel_view *view, struct reel_slice workflow_id)
{
    char *id = reel_slice_dup (workflow_id);
    if (!id)
        return REEL_NO_MEMORY;
    *view = (struct reel_view){.workflow_id = id,
                               .state = "queued",
                               .accepted_us = REEL_TIME_NIL,
                               .started_us = REEL_TIME_NIL,
                               .finished_us = REEL_TIME_NIL};
    return REEL_OK;
}

static void
free_steps (struct reel_view_step *steps, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        free (steps[i].step_id);
        free (steps[i].modality);
        free (steps[i].note);
    }
    free (steps);
}

void
reel_view_free (struct reel_view *view)
{
    free_steps (view->steps, view->step_count);
    free (view->workflow_id);
    free (view->note);
    *view = (struct reel_view){0};
}

/* Replaces; without memory there is no note. */
static void
set_note (char **note, struct reel_slice text)
{
    free (*note);
    *note = text.len > 0 ? reel_slice_dup (text) : NULL;
}

/* "code: message" of an error map, or the str that it is. */
static void
set_note_from_error (char **note, struct reel_slice error)
{
    struct reel_slice code = REEL_SLICE_NONE, message = REEL_SLICE_NONE;
    struct reel_value value;
    struct reel_buf text = {0};
    if (reel_scan_value (error, &value) && value.type == REEL_STR) {
        set_note (note, value.bytes);
        return;
    }
    if (reel_scan_type (error) != REEL_MAP)
        return;
    (void) reel_scan_find_str (error, "code", &code);
    (void) reel_scan_find_str (error, "message", &message);
    reel_buf_add_slice (&text, code);
    if (code.len > 0 && message.len > 0)
        reel_buf_add_text (&text, ": ");
    reel_buf_add_slice (&text, message);
    if (reel_buf_status (&text) == REEL_OK)
        set_note (note, reel_buf_slice (&text));
    reel_buf_free (&text);
}

enum reel_status
reel_view_load (struct reel_view *view, struct reel_slice document)
{
    struct reel_workflow workflow = {0};
    struct reel_view_step *steps = NULL;
    enum reel_status status = reel_workflow_parse (&workflow, document, REEL_WORKFLOW_RUNNING_OK | REEL_WORKFLOW_GROWN,
                                                   NULL);
    if (status != REEL_OK)
        goto out;
    steps = calloc (workflow.step_count, sizeof *steps);
    if (!steps) {
        status = REEL_NO_MEMORY;
        goto out;
    }
    for (uint32_t i = 0; i < workflow.step_count; i++) {
        const struct reel_step *step = &workflow.steps[i];
        steps[i] = (struct reel_view_step){.step_id = reel_slice_dup (step->step_id),
                                           .modality = reel_slice_dup (step->modality),
                                           .fraction = -1,
                                           .status = step->status,
                                           .started_us = step->started_us,
                                           .finished_us = step->finished_us};
        if (!steps[i].step_id || !steps[i].modality) {
            free_steps (steps, i + 1);
            status = REEL_NO_MEMORY;
            goto out;
        }
        if (step->error.len > 0)
            set_note_from_error (&steps[i].note, step->error);
    }
    free_steps (view->steps, view->step_count);
    view->steps = steps;
    view->step_count = workflow.step_count;
    if (view->accepted_us < 0 && workflow.created_at.len > 0)
        (void) reel_timestamp_parse (workflow.created_at, &view->accepted_us);
out:
    reel_workflow_free (&workflow);
    return status;
}

void
reel_view_note (struct reel_view *view, struct reel_slice text)
{
    set_note (&view->note, text);
}

/* --- events ----------------------------------------------------------------------------------- */

struct rule {
    const char *kind;
    const char *state; /* of the workflow from here on; NULL: as it was */
    enum reel_view_end end;
    bool step;                    /* it has a step_id */
    enum reel_step_status status; /* of the step from here on */
};

static const struct rule rules[] = {
    {"workflow.accepted", "queued", REEL_VIEW_RUNNING, false, REEL_STEP_PENDING},
    {"workflow.assigned", "running", REEL_VIEW_RUNNING, false, REEL_STEP_PENDING},
    {"workflow.requeued", "queued", REEL_VIEW_RUNNING, false, REEL_STEP_PENDING},
    {"workflow.yielded", "queued", REEL_VIEW_RUNNING, false, REEL_STEP_PENDING},
    {"workflow.held", "held", REEL_VIEW_RUNNING, false, REEL_STEP_PENDING},
    {"workflow.resolved", "queued", REEL_VIEW_RUNNING, false, REEL_STEP_PENDING},
    {"workflow.cancelling", "cancelling", REEL_VIEW_RUNNING, false, REEL_STEP_PENDING},
    {"workflow.paused", "paused", REEL_VIEW_RUNNING, false, REEL_STEP_PENDING},
    {"workflow.resumed", "queued", REEL_VIEW_RUNNING, false, REEL_STEP_PENDING},
    {"workflow.succeeded", "succeeded", REEL_VIEW_SUCCEEDED, false, REEL_STEP_PENDING},
    {"workflow.failed", "failed", REEL_VIEW_FAILED, false, REEL_STEP_PENDING},
    {"workflow.cancelled", "cancelled", REEL_VIEW_CANCELLED, false, REEL_STEP_PENDING},
    {"step.started", "running", REEL_VIEW_RUNNING, true, REEL_STEP_RUNNING},
    {"step.progress", NULL, REEL_VIEW_RUNNING, true, REEL_STEP_RUNNING},
    {"step.retrying", NULL, REEL_VIEW_RUNNING, true, REEL_STEP_RUNNING},
    {"step.checkpoint", NULL, REEL_VIEW_RUNNING, true, REEL_STEP_RUNNING},
    {"step.succeeded", NULL, REEL_VIEW_RUNNING, true, REEL_STEP_SUCCEEDED},
    {"step.failed", NULL, REEL_VIEW_RUNNING, true, REEL_STEP_FAILED},
    {"step.skipped", NULL, REEL_VIEW_RUNNING, true, REEL_STEP_SKIPPED},
    {"step.in_doubt", NULL, REEL_VIEW_RUNNING, true, REEL_STEP_RUNNING},
};

static const struct rule *
find_rule (struct reel_slice kind)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (reel_slice_is (kind, rules[i].kind))
            return &rules[i];
    return NULL;
}

static struct reel_view_step *
find_step (struct reel_view *view, struct reel_slice step_id)
{
    for (uint32_t i = 0; i < view->step_count; i++)
        if (reel_slice_is (step_id, view->steps[i].step_id))
            return &view->steps[i];
    return NULL;
}

static double
read_fraction (struct reel_slice event)
{
    struct reel_slice bytes;
    struct reel_value value;
    double fraction = -1;
    float narrow;
    if (!reel_scan_find (event, reel_slice_text ("fraction"), &bytes) || !reel_scan_value (bytes, &value))
        return -1;
    if (value.type == REEL_UINT) {
        fraction = (double) value.u;
    } else if (value.type == REEL_F64) {
        memcpy (&fraction, &value.bits64, sizeof fraction);
    } else if (value.type == REEL_F32) {
        memcpy (&narrow, &value.bits32, sizeof narrow);
        fraction = (double) narrow;
    }
    if (isnan (fraction) || fraction < 0)
        return -1;
    return fraction > 1 ? 1 : fraction;
}

static void
take_workflow_event (struct reel_view *view, const struct rule *rule, struct reel_slice event, int64_t at_us)
{
    struct reel_slice text;
    if (strcmp (rule->kind, "workflow.accepted") == 0)
        view->accepted_us = at_us;
    if (rule->end != REEL_VIEW_RUNNING)
        view->finished_us = at_us;
    /* Given back: nobody runs the step until it is started again. */
    for (uint32_t i = 0; i < view->step_count && strcmp (rule->kind, "workflow.requeued") == 0; i++)
        if (view->steps[i].status == REEL_STEP_RUNNING)
            view->steps[i].status = REEL_STEP_PENDING;
    set_note (&view->note, REEL_SLICE_NONE);
    if (reel_scan_find (event, reel_slice_text ("error"), &text))
        set_note_from_error (&view->note, text);
    else if (reel_scan_find_str (event, "reason", &text) || reel_scan_find_str (event, "worker", &text))
        set_note (&view->note, text);
}

static void
take_step_event (struct reel_view *view, const struct rule *rule, struct reel_slice event, int64_t at_us)
{
    struct reel_slice step_id, text;
    uint64_t attempt;
    if (!reel_scan_find_str (event, "step_id", &step_id))
        return;
    struct reel_view_step *step = find_step (view, step_id);
    if (!step || (strcmp (rule->kind, "step.progress") == 0 && step->status != REEL_STEP_RUNNING))
        return;
    if (strcmp (rule->kind, "step.started") == 0) {
        step->fraction = -1;
        set_note (&step->note, REEL_SLICE_NONE);
        if (step->started_us < 0)
            step->started_us = at_us;
        if (view->started_us < 0)
            view->started_us = at_us;
    }
    step->status = rule->status;
    if (reel_step_status_final (rule->status)) {
        step->finished_us = at_us;
        step->fraction = -1;
        set_note (&step->note, REEL_SLICE_NONE);
    }
    if (reel_scan_find_uint (event, "attempt", &attempt))
        step->attempt = attempt;
    if (strcmp (rule->kind, "step.progress") == 0) {
        double fraction = read_fraction (event);
        step->fraction = fraction >= 0 ? fraction : step->fraction;
    }
    if (reel_scan_find (event, reel_slice_text ("error"), &text))
        set_note_from_error (&step->note, text);
    else if (reel_scan_find_str (event, "message", &text))
        set_note (&step->note, text);
    else if (strcmp (rule->kind, "step.in_doubt") == 0)
        set_note (&step->note, reel_slice_text ("in doubt: its worker was lost"));
}

void
reel_view_event (struct reel_view *view, struct reel_slice event)
{
    struct reel_slice kind;
    uint64_t at_us = 0;
    if (!reel_scan_find_str (event, "kind", &kind))
        return;
    const struct rule *rule = find_rule (kind);
    if (!rule)
        return;
    (void) reel_scan_find_uint (event, "at_us", &at_us);
    if (rule->state)
        (void) snprintf (view->state, sizeof view->state, "%s", rule->state);
    if (rule->end != REEL_VIEW_RUNNING)
        view->end = rule->end;
    if (rule->step)
        take_step_event (view, rule, event, (int64_t) at_us);
    else
        take_workflow_event (view, rule, event, (int64_t) at_us);
}
