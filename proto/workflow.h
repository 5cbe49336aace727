/*
 * The workflow document, read and validated in place.
 *
 * The document's bytes are never edited. A struct reel_workflow is a table of slices into
 * them; what happened to the steps since is kept beside it (proto/outcome.h). The codes of
 * validation are those of the reference: empty_workflow, duplicate_step,
 * missing_dependency, self_dependency, cycle, forward_reference, bad_id, bad_type,
 * missing_field, bad_reference, limit_exceeded, bad_status; and malformed, for bytes that
 * are no msgpack at all.
 */
#ifndef REEL_PROTO_WORKFLOW_H
#define REEL_PROTO_WORKFLOW_H

#include "base/bytes.h"
#include "base/limits.h"

#define REEL_TIME_NIL (-1) /* a time that is not there */

enum reel_step_status {
    REEL_STEP_PENDING,
    REEL_STEP_RUNNING,
    REEL_STEP_SUCCEEDED,
    REEL_STEP_FAILED,
    REEL_STEP_SKIPPED
};

enum reel_in_doubt {
    REEL_IN_DOUBT_UNSET, /* as the adapter is declared */
    REEL_IN_DOUBT_HOLD,
    REEL_IN_DOUBT_RETRY,
    REEL_IN_DOUBT_FAIL
};

/* What a step's policy says; 0 (or UNSET) where it says nothing. */
struct reel_policy {
    int64_t timeout_ms;
    uint32_t max_attempts;
    int64_t backoff_ms;
    bool no_backoff; /* it says 0: a worker's default does not hold */
    int64_t backoff_max_ms;
    enum reel_in_doubt in_doubt;
};

struct reel_step {
    struct reel_slice bytes; /* the whole step map */
    struct reel_slice step_id;
    struct reel_slice modality;
    struct reel_slice payload;    /* a map; len 0 when absent, which means {} */
    struct reel_slice receipt;    /* a map; len 0 when nil or absent */
    struct reel_slice error;      /* a map or a str; len 0 when nil or absent */
    struct reel_slice depends_on; /* an array; len 0 when absent, which means [] */
    enum reel_step_status status;
    int64_t started_us; /* REEL_TIME_NIL when nil or absent */
    int64_t finished_us;
    struct reel_policy policy;
    uint32_t depends_first; /* index into workflow->depends */
    uint32_t depends_count;
};

struct reel_workflow {
    struct reel_slice document;
    struct reel_slice workflow_id;       /* len 0 when absent */
    struct reel_slice created_at;        /* len 0 when absent */
    struct reel_slice global_provenance; /* a map; len 0 when absent, which means {} */
    struct reel_step *steps;
    uint32_t step_count;
    uint32_t step_cap;
    uint32_t *by_id;   /* indexes of steps in the order of their ids */
    uint32_t *depends; /* indexes of steps; a step's own lie together, in its order */
    uint32_t depends_count;
    uint32_t depends_cap;
};

enum reel_workflow_flags {
    REEL_WORKFLOW_STRICT = 0,
    REEL_WORKFLOW_RUNNING_OK = 1, /* a step may be `running`: a local run that was cut off */
    REEL_WORKFLOW_GROWN = 2       /* not as submitted but as it stands, receipts and all: of any number of bytes */
};

/*
 * Reads and validates a document. `workflow` is all-zero or was used before (its memory is
 * used again); it borrows `document`, which must stay. `nil` counts as absent wherever a
 * field has a default.
 * REEL_INVALID: err says the first problem: of the structure, in document order; then of the
 * ids; then step by step of its dependencies, its status and its references. REEL_NO_MEMORY.
 * After a failure only
 * reel_workflow_free() and another parse may be called on it.
 */
enum reel_status reel_workflow_parse (struct reel_workflow *workflow, struct reel_slice document, unsigned flags,
                                      struct reel_error *err) REEL_MUST_USE;
void reel_workflow_free (struct reel_workflow *workflow);

/* The index of the step of that id, or -1. */
int64_t reel_workflow_find (const struct reel_workflow *workflow, struct reel_slice step_id);

/* "pending", "running", ... Static. */
const char *reel_step_status_name (enum reel_step_status status);
bool reel_step_status_parse (struct reel_slice text, enum reel_step_status *status);
/* Has it an outcome: succeeded, failed or skipped? */
bool reel_step_status_final (enum reel_step_status status);
/* "hold", "retry", "fail"; "" for UNSET. Static. */
const char *reel_in_doubt_name (enum reel_in_doubt in_doubt);
bool reel_in_doubt_parse (struct reel_slice text, enum reel_in_doubt *in_doubt);

#endif
