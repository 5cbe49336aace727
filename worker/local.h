/*
 * The local runner: one workflow, run here, without a broker.
 *
 * It drives the run machine and the adapters that the worker drives. Acknowledged means that
 * the output file was rewritten and synced (a temporary file beside it, fsync, rename, fsync
 * of the directory); so an output file that is left behind by a crash is a document to go on
 * from. It needs no ZeroMQ.
 */
#ifndef REEL_WORKER_LOCAL_H
#define REEL_WORKER_LOCAL_H

#include "base/bytes.h"
#include "worker/registry.h"

enum reel_local_form { REEL_LOCAL_MSGPACK, REEL_LOCAL_JSON };

/* What the caller is told while the workflow runs, from the same thread; NULL for what it does not want. */
struct reel_local_watcher {
    /* An event map in the form in which a broker publishes it, without `seq`: index (from 1; none for step.progress),
     * workflow_id, kind, at_us, step_id, ... The first is workflow.accepted, the last workflow.succeeded,
     * workflow.failed or workflow.cancelled. */
    void (*event) (void *context, struct reel_slice event);
    /* About every `tick_ms`, for redrawing. */
    void (*tick) (void *context);
    int64_t tick_ms;
    void *context;
};

struct reel_local_setup {
    struct reel_slice document;       /* msgpack; a step may be `running`: a run that was cut off */
    struct reel_slice provenance;     /* the caller's overrides, a map or none */
    struct reel_registry *registry;   /* borrowed; its adapters are used */
    const char *output;               /* path of the document as it stands, locked by the caller (rewrite.h); NULL: kept
                                         nowhere */
    enum reel_local_form output_form; /* JSON is written indented, with a newline at the end */
    int stop_fd;                      /* a signalfd or a pipe, read from here: the first that comes stops the run (what
                                         runs is cancelled, its step failed with `cancelled`), the second kills what
                                         is still running; -1: none */
    struct reel_local_watcher watcher;
};

struct reel_local_result {
    const char *status;       /* "succeeded", "failed" or "cancelled"; static */
    struct reel_buf receipt;  /* the final receipt, msgpack; free with reel_local_result_free() */
    struct reel_buf document; /* the workflow as it stands, msgpack */
};

/*
 * Runs the workflow to its end; returns when it has one. REEL_OK whatever became of the steps.
 * REEL_INVALID: the document does not hold (err: a validation code and a path), nothing was
 * run. REEL_IO: the output could not be written (err->message says why); what was running was
 * ended. REEL_NO_MEMORY. On failure `result` is left empty.
 */
enum reel_status reel_local_run (const struct reel_local_setup *setup, struct reel_local_result *result,
                                 struct reel_error *err) REEL_MUST_USE;
void reel_local_result_free (struct reel_local_result *result);

#endif
