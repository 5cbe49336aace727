/*
 * Bytes from anywhere as a workflow: a refusal points into the document, and what is accepted
 * can be written as it stands, read again, and ended.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "proto/outcome.h"
#include "tests/fuzz/fuzz.h"

#define CODES                                                                                                          \
    " malformed empty_workflow duplicate_step missing_dependency self_dependency cycle forward_reference bad_id "      \
    "bad_type missing_field bad_reference limit_exceeded bad_status "

/* Writes the workflow with these outcomes twice over: the second time nothing is left to change. */
static void
check_written (const struct reel_workflow *workflow, const struct reel_outcome *outcomes)
{
    struct reel_slice id = workflow->workflow_id.len == 0 ? reel_slice_text ("given") : REEL_SLICE_NONE;
    struct reel_slice created = workflow->created_at.len == 0 ? reel_slice_text ("2026-04-28T09:10:06.000000Z")
                                                              : REEL_SLICE_NONE;
    struct reel_buf written = {0}, again = {0};
    struct reel_workflow back = {0};
    struct reel_error err = {.message = "none"};
    reel_outcome_document (&written, workflow, outcomes, id, created);
    REEL_ASSERT (reel_buf_status (&written) == REEL_OK);
    enum reel_status status = reel_workflow_parse (&back, reel_buf_slice (&written),
                                                   REEL_WORKFLOW_RUNNING_OK | REEL_WORKFLOW_GROWN, &err);
    REEL_ASSERT (status == REEL_OK);
    REEL_ASSERT (back.step_count == workflow->step_count && back.depends_count == workflow->depends_count);
    REEL_ASSERT (back.workflow_id.len > 0 && back.created_at.len > 0);
    reel_outcome_document (&again, &back, outcomes, id, created);
    REEL_ASSERT (reel_slice_equal (reel_buf_slice (&written), reel_buf_slice (&again)));
    reel_workflow_free (&back);
    reel_buf_free (&written);
    reel_buf_free (&again);
}

static void
check_receipt (const struct reel_workflow *workflow, const struct reel_outcome *outcomes)
{
    const struct reel_final final = {.workflow_id = reel_slice_text ("given"),
                                     .status = "succeeded",
                                     .created_at = reel_slice_text ("2026-04-28T09:10:06.000000Z"),
                                     .submitted_us = 1,
                                     .started_us = 2,
                                     .finished_us = 3,
                                     .deliveries = 1};
    struct reel_buf receipt = {0};
    reel_outcome_receipt (&receipt, &final, workflow, outcomes);
    REEL_ASSERT (reel_scan_check (reel_buf_slice (&receipt), REEL_DEPTH_MAX, NULL) == REEL_OK);
    reel_buf_free (&receipt);
}

static void
check_accepted (const struct reel_workflow *workflow)
{
    REEL_ASSERT (workflow->step_count > 0 && workflow->step_count <= REEL_STEPS_MAX);
    struct reel_outcome *outcomes = calloc (workflow->step_count, sizeof *outcomes);
    REEL_ASSERT (outcomes != NULL);
    for (uint32_t i = 0; i < workflow->step_count; i++) {
        REEL_ASSERT (reel_workflow_find (workflow, workflow->steps[i].step_id) == i);
        outcomes[i] = reel_outcome_of (&workflow->steps[i]);
    }
    check_written (workflow, outcomes);
    check_receipt (workflow, outcomes);
    for (uint32_t i = 0; i < workflow->step_count; i++)
        outcomes[i] = (struct reel_outcome){
            .status = REEL_STEP_SUCCEEDED, .receipt = reel_slice ("\x80", 1), .started_us = 5, .finished_us = 6};
    check_written (workflow, outcomes);
    check_receipt (workflow, outcomes);
    free (outcomes);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    static const unsigned flags[] = {REEL_WORKFLOW_STRICT, REEL_WORKFLOW_RUNNING_OK};
    struct reel_slice document = reel_slice (data, len);
    struct reel_workflow workflow = {0};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        struct reel_error err;
        enum reel_status status = reel_workflow_parse (&workflow, document, flags[i], &err);
        if (status == REEL_OK) {
            check_accepted (&workflow);
            continue;
        }
        REEL_ASSERT (status == REEL_INVALID);
        fuzz_check_error (&err, CODES);
        struct reel_slice found;
        REEL_ASSERT (reel_scan_check (document, REEL_DEPTH_MAX, NULL) != REEL_OK
                     || reel_scan_pointer (document, reel_slice_text (err.path), &found));
    }
    reel_workflow_free (&workflow);
    return 0;
}
