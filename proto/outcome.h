/*
 * What happened to the steps of a workflow, beside its document, and the two documents that
 * are made from both: the workflow as it stands, and the final receipt.
 *
 * The broker and the run machine keep one struct reel_outcome a step. The document is
 * copied through byte for byte; only the five fields below are replaced or added.
 */
#ifndef REEL_PROTO_OUTCOME_H
#define REEL_PROTO_OUTCOME_H

#include "proto/workflow.h"

struct reel_outcome {
    enum reel_step_status status;
    struct reel_slice receipt; /* a map; len 0: nil. Owned by whoever keeps the outcome */
    struct reel_slice error;   /* a map or a str; len 0: nil */
    int64_t started_us;        /* REEL_TIME_NIL: nil */
    int64_t finished_us;
};

/* The outcome that a document brings along for one of its steps; borrows the document. */
struct reel_outcome reel_outcome_of (const struct reel_step *step);

/* succeeded when every step is, failed when any step failed; false while neither is so and a step
 * has no outcome. All finished without a failure but with a skip is failed too. */
bool reel_outcome_all_final (const struct reel_outcome *outcomes, uint32_t count);
bool reel_outcome_all_succeeded (const struct reel_outcome *outcomes, uint32_t count);

/* The first dependency of `step` that is failed or skipped (its index), or -1. */
int64_t reel_outcome_blocking (const struct reel_workflow *workflow, uint32_t step,
                               const struct reel_outcome *outcomes);

/*
 * Appends the workflow as it stands. A step whose outcome is as the document has it is
 * copied as it is, and so is the document when nothing has changed. `workflow_id` and `created_at` are added at the end where the document
 * has none (pass none to add nothing). Ask reel_buf_status (out).
 */
void reel_outcome_document (struct reel_buf *out, const struct reel_workflow *workflow,
                            const struct reel_outcome *outcomes, struct reel_slice workflow_id,
                            struct reel_slice created_at);

/* Appends it as the document of another workflow: of that id, and made at no time yet. */
void reel_outcome_document_anew (struct reel_buf *out, const struct reel_workflow *workflow,
                                 const struct reel_outcome *outcomes, struct reel_slice workflow_id);

/* What a final receipt says besides the steps. */
struct reel_final {
    struct reel_slice workflow_id;
    const char *status;           /* "succeeded", "failed" or "cancelled" */
    struct reel_slice created_at; /* a str's characters */
    int64_t submitted_us;
    int64_t started_us; /* REEL_TIME_NIL: never handed out */
    int64_t finished_us;
    uint64_t deliveries;
    struct reel_slice origin; /* len 0: nil */
    struct reel_slice error;  /* msgpack; len 0: nil */
};

/* Appends the final receipt, keys in the order of the reference. */
void reel_outcome_receipt (struct reel_buf *out, const struct reel_final *final, const struct reel_workflow *workflow,
                           const struct reel_outcome *outcomes);

#endif
