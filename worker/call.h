/*
 * One call of an adapter or a hook, as the inside of the worker sees it.
 *
 * An adapter starts a call and finishes it later, from the same thread, by one of
 * reel_task_succeed() and reel_task_fail(); it never blocks. It may finish inside start().
 * The loop (worker/loop.h) lends it file descriptors to watch, timers and children.
 */
#ifndef REEL_WORKER_CALL_H
#define REEL_WORKER_CALL_H

#include "base/bytes.h"
#include "worker/adapter.h"

struct reel_loop;
struct reel_task; /* one call under way; made and freed by worker/task.c */

/* "neither", "idempotent", "resumable". Static. */
const char *reel_adapter_class_name (enum reel_adapter_class adapter_class);

/* "pre_step", "post_step", "on_failure"; "" for anything else. Static. */
const char *reel_hook_point_name (enum reel_hook_point point);

/* The immutable context of one attempt at one step: a copy of the run's with the step's own changes. Everything is
 * borrowed for as long as the task lives. */
struct reel_call {
    enum reel_hook_point hook; /* NONE: the step's own call */
    uint32_t hook_index;       /* among the hooks of that point */
    struct reel_slice workflow_id;
    struct reel_slice step_id;
    struct reel_slice modality;
    struct reel_slice payload;         /* a msgpack map, references resolved; of a hook: worker/run_hook.c */
    struct reel_slice provenance;      /* a msgpack map, all layers merged */
    struct reel_slice checkpoint;      /* msgpack that an earlier call left; len 0: none */
    struct reel_slice idempotency_key; /* the same for every attempt and delivery */
    uint32_t attempt;                  /* from 1 */
    uint32_t delivery;                 /* from 1 */
    int64_t timeout_ms;                /* the step's; 0: the adapter's own */
};

/* What holds of every context of a step, checked again each time one is derived. REEL_INVALID, err->code "bad_context". */
enum reel_status reel_call_check (const struct reel_call *call, struct reel_error *err) REEL_MUST_USE;

struct reel_adapter {
    const char *name; /* appears in receipts as "adapter" */
    enum reel_adapter_class class;
    /* Begins a call. REEL_OK: the task finishes now or later. Anything else: the task was not
     * finished and will not be; the caller fails it with code "adapter_failed". */
    enum reel_status (*start) (struct reel_adapter *adapter, struct reel_task *task);
    /* Ends a call that is under way, its children included; the adapter still finishes the
     * task (usually by failing it with code "cancelled"), now or a little later. */
    void (*cancel) (struct reel_adapter *adapter, struct reel_task *task);
    /* Frees the adapter; no task of it is left. */
    void (*destroy) (struct reel_adapter *adapter);
};

/* --- what a task offers its adapter ------------------------------------------------------- */

const struct reel_call *reel_task_call (const struct reel_task *task);
struct reel_loop *reel_task_loop (const struct reel_task *task);
/* The adapter's own data for this task. */
void reel_task_set_state (struct reel_task *task, void *state);
void *reel_task_state (const struct reel_task *task);

/* Leaves something from which another delivery goes on: msgpack, copied. What is out of form is dropped. */
void reel_task_checkpoint (struct reel_task *task, struct reel_slice checkpoint);

/* How far it is: 0..1, or negative when unknown; `message` may be empty. Not kept, may be thinned out. */
void reel_task_progress (struct reel_task *task, double fraction, struct reel_slice message);

/* Finishes the task, which is gone after the call. `output` is a msgpack map (none: {}); `extra`, a msgpack map or
 * none, adds keys to the receipt (artifacts, cost, ...). Both are copied. */
void reel_task_succeed (struct reel_task *task, struct reel_slice output, struct reel_slice extra);

struct reel_failure {
    const char *code;          /* such as "exit_status"; [a-z0-9_]{1,64} */
    struct reel_slice message; /* for a person */
    bool retryable;
    bool open;                /* it is not known whether the call took effect */
    struct reel_slice detail; /* msgpack; len 0: none */
};
void reel_task_fail (struct reel_task *task, const struct reel_failure *failure);

#endif
