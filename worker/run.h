/*
 * One workflow under execution: a pure state machine, without clock, socket or child.
 *
 * Events go in with the time; commands come out, for a shell to carry out. The serial
 * cursor, the cascade of skips, attempts and backoff, the rule that protects paid work and
 * the outbox of unacknowledged events live here. The worker (over leases) and the local
 * runner (over a file) drive the same machine.
 *
 *     CONFIRM --> confirmed           DISPATCH --> finished
 *     REPORT  --> acked               WAKE     --> tick
 *
 * Serial means that at most one DISPATCH is open at any time.
 *
 * A step that is not idempotent is dispatched only when the outbox is empty and the lease was
 * confirmed less than lease_ms ago; idempotent ones flow without waiting, until the outbox holds
 * REEL_OUTBOX_BYTES_MAX or REEL_OUTBOX_EVENTS_MAX: then the next attempt, or skip, waits for an ACKED. When the process did
 * not run for lease_ms (it was stopped, and somebody else may have the workflow by now), they wait for a CONFIRMED too,
 * and so do hooks.
 */
#ifndef REEL_WORKER_RUN_H
#define REEL_WORKER_RUN_H

#include "proto/outcome.h"
#include "proto/workflow.h"
#include "worker/call.h"

struct reel_run;

/* What the registry says of a modality. `policy` holds the worker's defaults (0: none). */
struct reel_route {
    const char *adapter; /* its name; outlives the run */
    enum reel_adapter_class class;
    struct reel_policy policy;
};
typedef bool (*reel_route_fn) (void *context, struct reel_slice modality, struct reel_route *route);

/* A hook of the registry. */
struct reel_hook {
    const char *name;   /* outlives the run */
    int64_t timeout_ms; /* 0: its adapter's own */
};
/* Hook `index` (from 0) of a point, in the order of their registration; false: there are no more. */
typedef bool (*reel_hook_fn) (void *context, enum reel_hook_point point, uint32_t index, struct reel_hook *hook);

struct reel_run_setup {
    struct reel_slice document; /* copied; parsed with `flags` (proto/workflow.h) */
    unsigned flags;
    struct reel_slice workflow_id; /* the id in force; the document may lack one */
    struct reel_slice provenance;  /* the caller's overrides, a map or none */
    struct reel_slice checkpoint;  /* of the step in doubt (the first to be dispatched), msgpack or none */
    uint32_t attempts;             /* begun on that step already */
    uint32_t delivery;             /* from 1 */
    bool local;                    /* no broker: a modality without adapter fails with no_adapter */
    int64_t lease_ms;              /* 0 when local: always confirmed */
    size_t receipt_bytes_max;      /* of a receipt, error or checkpoint; 0: REEL_RECEIPT_BYTES_MAX; at least 1024 */
    unsigned receipt_depth_max;    /* 0, or more than that: REEL_RECEIPT_DEPTH_MAX; at least 2 */
    uint64_t seed;                 /* of the jitter */
    reel_route_fn route;
    reel_hook_fn hook; /* NULL: there are none */
    void *registry;    /* given to both */
};

enum reel_run_event_kind {
    REEL_RUN_BEGIN,      /* the first event; once; whatever comes before it is ignored */
    REEL_RUN_TICK,       /* the time asked for by WAKE has come (an early one brings the WAKE out again) */
    REEL_RUN_FINISHED,   /* the open dispatch, of a step or of a hook, has its result */
    REEL_RUN_PROGRESS,   /* of the open dispatch */
    REEL_RUN_CHECKPOINT, /* the open dispatch left one. While one is not acknowledged, only the newest after it is
                            kept; nil takes back what was left; one beyond the limits is dropped, and a step.progress
                            says so */
    REEL_RUN_ACKED,      /* everything up to `index` is durable */
    REEL_RUN_CONFIRMED,  /* a REPORT or HEARTBEAT sent at `confirmed_us` (monotonic) was answered; goes before the
                            ACKED of the same answer */
    REEL_RUN_CANCEL,     /* stop the running step, end the workflow: unless its call succeeds all the same, the step
                            fails with code "cancelled"; later ones stay pending. A hook before a step is ended too, one after its
                            outcome is let finish */
    REEL_RUN_YIELD       /* let the running step end, give the rest back. A step between two attempts is given back
                            at once; one that was started but not dispatched is reported as step.retrying first (error
                            "yielded"), because left as started it would be in doubt. Where no step is left to be
                            dispatched, the workflow ends */
};

struct reel_run_result {
    bool succeeded;
    struct reel_slice output; /* map or none */
    struct reel_slice extra;  /* map or none */
    struct reel_failure failure;
};

struct reel_run_event {
    enum reel_run_event_kind kind;
    int64_t wall_us;
    int64_t monotonic_us;
    int64_t stalled_us; /* how long nobody looked at events before this one */
    union {
        struct reel_run_result result; /* FINISHED */
        struct reel_slice checkpoint;  /* CHECKPOINT: msgpack */
        struct {
            double fraction; /* negative: unknown */
            struct reel_slice message;
        } progress;           /* PROGRESS */
        uint64_t index;       /* ACKED */
        int64_t confirmed_us; /* CONFIRMED */
    };
};

enum reel_run_command_kind {
    REEL_RUN_DISPATCH, /* start `call` with the adapter of its modality, or as the hook that it names */
    REEL_RUN_ABORT,    /* cancel the open dispatch; its FINISHED still comes */
    REEL_RUN_CONFIRM,  /* heartbeat now: the lease must be known to be alive before going on */
    REEL_RUN_WAKE,     /* send a TICK at `wake_us` (monotonic); replaces an earlier one */
    REEL_RUN_SEND,     /* the outbox has grown: report it */
    REEL_RUN_TELL,     /* an event that is not kept (progress): `event`, a map, once, unacknowledged */
    REEL_RUN_ENDED     /* nothing more will come; free the run when the outbox is empty */
};

struct reel_run_command {
    enum reel_run_command_kind kind;
    struct reel_call call;   /* DISPATCH: borrowed from the run until FINISHED */
    int64_t wake_us;         /* WAKE */
    struct reel_slice event; /* TELL: borrowed until the next step */
};

/* As many commands as one event can bring out. */
#define REEL_RUN_COMMANDS_MAX 8
struct reel_run_commands {
    struct reel_run_command list[REEL_RUN_COMMANDS_MAX];
    size_t count;
};

/* REEL_INVALID: the document does not hold, or there is no workflow_id (err); REEL_NO_MEMORY. */
enum reel_status reel_run_create (const struct reel_run_setup *setup, struct reel_run **run,
                                  struct reel_error *err) REEL_MUST_USE;
void reel_run_destroy (struct reel_run **run);
/* From now on a lease lives for so long, and so much is taken: a broker that was started again may have other terms. */
void reel_run_set_terms (struct reel_run *run, int64_t lease_ms, size_t receipt_bytes_max, unsigned receipt_depth_max);

/*
 * Takes one event in. Overwrites `commands`. An event that does not fit the state (a FINISHED
 * without open dispatch, a stale ACKED) changes nothing. REEL_NO_MEMORY: the run is broken;
 * the lease must be given up.
 */
enum reel_status reel_run_step (struct reel_run *run, const struct reel_run_event *event,
                                struct reel_run_commands *commands) REEL_MUST_USE;

/*
 * The outbox: events not yet acknowledged, numbered 1, 2, 3 ... over the life of the run.
 * Appends the events from number `from` on to `out` as one msgpack array of at most
 * bytes_max bytes and REEL_REPORT_EVENTS_MAX events (at least one event), sets `count`.
 * REEL_NOT_FOUND when there is none of that number (acknowledged, or yet to come); REEL_NO_MEMORY.
 */
enum reel_status reel_run_outbox (const struct reel_run *run, uint64_t from, size_t bytes_max, struct reel_buf *out,
                                  uint32_t *count) REEL_MUST_USE;
uint64_t reel_run_last_index (const struct reel_run *run); /* of the newest event; 0: none */
bool reel_run_outbox_empty (const struct reel_run *run);
bool reel_run_ended (const struct reel_run *run);

/* For the local runner: where the workflow stands. Borrowed until the next step. */
const struct reel_workflow *reel_run_workflow (const struct reel_run *run);
const struct reel_outcome *reel_run_outcomes (const struct reel_run *run);
/* The workflow's error (cancelled, hook_failed), msgpack; len 0: none. */
struct reel_slice reel_run_error (const struct reel_run *run);
/* Did it end, by a CANCEL, before every step had an outcome of its own? */
bool reel_run_cancelled (const struct reel_run *run);

#endif
