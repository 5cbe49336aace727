/*
 * A bench for the run machine: a fake clock, scripted routes and results, and a trace of
 * everything that came out, one line each, to compare with what should have.
 *
 *     started a 1 idempotent hold     an event of the outbox (also retrying, checkpoint,
 *                                     succeeded, failed, skipped, yielded, ended)
 *     dispatch a 1                    a command (also abort, confirm, wake +ms, tell, END)
 *     hook pre_step log a             a dispatch of a hook
 *
 * A modality's name is its route: "idem..." is idempotent, "paid..." neither, "resum..."
 * resumable; others have no adapter. Documents, receipts and errors are given and read as JSON
 * with ' in the place of ".
 */
#ifndef REEL_TESTS_SUPPORT_RUN_BENCH_H
#define REEL_TESTS_SUPPORT_RUN_BENCH_H

#include "worker/run.h"

#define WORKFLOW(...) run_bench_workflow ((const char *const[]){__VA_ARGS__, NULL})
/* `more` is "" or begins with a comma. */
#define STEP(id, modality, more) "{'step_id':'" id "','modality':'" modality "'" more "}"
#define AFTER(...) ",'depends_on':[" __VA_ARGS__ "]"

/* A document of these steps; good until the next one. */
const char *run_bench_workflow (const char *const *steps);

/* A hook without a name ends the list of a bench. */
struct run_bench_hook {
    const char *name;
    unsigned points;
};

struct run_bench {
    struct reel_run *run;
    struct reel_run_setup setup;        /* change it between run_bench_init() and run_bench_start() */
    struct reel_policy defaults;        /* of every route */
    const struct run_bench_hook *hooks; /* NULL: none */
    bool serves_everything;             /* a modality of another name is idempotent */
    struct reel_run_commands commands;
    struct reel_call call; /* of the last dispatch */
    bool open;             /* it has no result yet */
    uint64_t traced;       /* number of the last event in the trace */
    struct reel_buf trace;
    struct reel_buf text; /* what the last run_bench_json() said */
    int64_t wall_us;      /* both clocks move only when told to */
    int64_t monotonic_us;
    enum reel_status status; /* of the last step */
};

/* A worker's run with a lease of 10 s at wall 1000 us, monotonic 0. */
void run_bench_init (struct run_bench *bench);
/* The document is JSON. With an id of "wf" where it has none. Fails the test when it is refused. */
void run_bench_create (struct run_bench *bench, const char *document);
/* run_bench_create() and BEGIN. */
void run_bench_start (struct run_bench *bench, const char *document);
/* The same with msgpack. */
void run_bench_start_from (struct run_bench *bench, struct reel_slice document);
void run_bench_free (struct run_bench *bench);

/* Both clocks. */
void run_bench_pass_ms (struct run_bench *bench, int64_t ms);
void run_bench_feed (struct run_bench *bench, struct reel_run_event event);
void run_bench_tick (struct run_bench *bench);
void run_bench_succeed (struct run_bench *bench, const char *output);
void run_bench_succeed_with (struct run_bench *bench, const char *output, const char *extra);
/* `how` holds any of 'r' (retryable) and 'o' (open). */
void run_bench_fail (struct run_bench *bench, const char *code, const char *how);
void run_bench_checkpoint (struct run_bench *bench, const char *checkpoint);
void run_bench_progress (struct run_bench *bench, double fraction, const char *message);
void run_bench_ack (struct run_bench *bench, uint64_t index);
void run_bench_ack_all (struct run_bench *bench);
/* Answered now. */
void run_bench_confirm (struct run_bench *bench);
/* CONFIRMED, then ACKED of everything, as the answer to a REPORT brings them. */
void run_bench_answer (struct run_bench *bench);
void run_bench_cancel (struct run_bench *bench);
void run_bench_yield (struct run_bench *bench);

/* Compares the trace since the last time with the lines. */
#define run_bench_expect(bench, ...)                                                                                   \
    run_bench_expect_lines (bench, __FILE__, __LINE__, (const char *const[]){__VA_ARGS__, NULL})
void run_bench_expect_lines (struct run_bench *bench, const char *file, int line, const char *const *lines);
/* Says nothing more about what came out so far. */
void run_bench_forget (struct run_bench *bench);

/* msgpack as JSON; "" for none. Good until the next one. */
const char *run_bench_json (struct run_bench *bench, struct reel_slice value);
struct reel_outcome run_bench_outcome (struct run_bench *bench, const char *step_id);
const char *run_bench_receipt (struct run_bench *bench, const char *step_id);
const char *run_bench_error (struct run_bench *bench, const char *step_id);
/* The member of a step's receipt or error that the pointer finds. */
const char *run_bench_of_receipt (struct run_bench *bench, const char *step_id, const char *pointer);
const char *run_bench_of_error (struct run_bench *bench, const char *step_id, const char *pointer);
/* The whole workflow as it stands, as msgpack that the caller frees. */
struct reel_buf run_bench_document (struct run_bench *bench);
/* The same as JSON; good until the next run_bench_workflow(). */
const char *run_bench_document_json (struct run_bench *bench);
/* JSON to msgpack that the caller frees. */
struct reel_buf run_bench_msgpack (const char *json);

#endif
