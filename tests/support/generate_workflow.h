/*
 * Whole workflows from a seed, and what becomes of them: for tests of properties of documents.
 */
#ifndef REEL_TESTS_SUPPORT_GENERATE_WORKFLOW_H
#define REEL_TESTS_SUPPORT_GENERATE_WORKFLOW_H

#include "base/bytes.h"
#include "base/random.h"
#include "worker/run.h"

/*
 * Appends a workflow that may be submitted, in its shortest spelling: every field absent, nil or there, in any order and
 * among unknown keys; references and their escapes; steps that have an outcome already.
 */
void generate_workflow (struct reel_random *random, struct reel_buf *out);
/* The same, but one of its fields may have any value at all. */
void generate_unsound_workflow (struct reel_random *random, struct reel_buf *out);

/* A workflow under execution by the run machine itself, with generated results and times. */
struct execution {
    struct reel_run *run;
    struct reel_random *random;
    struct reel_run_commands commands;
    int64_t wall_us, monotonic_us;
    unsigned dispatched; /* calls made so far */
    bool open;           /* the last one has no result yet */
};

/* Begins. `document` is of that many bytes and of any age, a step may be running. The test fails when it is refused. */
void execution_start (struct execution *execution, struct reel_random *random, struct reel_slice document);
/* Gives results to at most so many calls; returns whether the workflow ended. */
bool execution_go (struct execution *execution, unsigned calls);
/* Appends the document as it stands. */
void execution_document (const struct execution *execution, struct reel_buf *out);
void execution_free (struct execution *execution);

#endif
