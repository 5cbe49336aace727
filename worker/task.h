/*
 * One call of an adapter under way: the side of it that the adapter does not see.
 *
 * A task is embedded in whoever drives a run (worker/drive.h), is opened for one call and is
 * closed when the adapter finishes it.
 */
#ifndef REEL_WORKER_TASK_H
#define REEL_WORKER_TASK_H

#include "worker/call.h"
#include "worker/run.h"

struct reel_task {
    struct reel_adapter *adapter;
    struct reel_loop *loop;
    const struct reel_call *call;
    void *state; /* the adapter's */
    bool open;
    /* Whoever opened it. What `result` points to is good until the function returns; the task may be opened again
     * in it. */
    void (*finished) (struct reel_task *task, const struct reel_run_result *result);
    void (*progress) (struct reel_task *task, double fraction, struct reel_slice message);
    void (*checkpoint) (struct reel_task *task, struct reel_slice checkpoint);
    void *context;
};

/* Starts the call; it may be finished on return. Fill loop, the three functions and context first. An adapter that
 * cannot start fails the task with code "adapter_failed". */
void reel_task_open (struct reel_task *task, struct reel_adapter *adapter, const struct reel_call *call);
/* Asks the adapter to end it; asked again, to end it at once. It is finished on return or later. Nothing happens when
 * it is not open. */
void reel_task_cancel (struct reel_task *task);

#endif
