/*
 * Tasks: between the adapter that makes a step happen and the run that waits for it.
 */
#include "worker/task.h"

#include "base/assert.h"

const char *
reel_adapter_class_name (enum reel_adapter_class adapter_class)
{
    switch (adapter_class) {
    case REEL_ADAPTER_NEITHER: return "neither";
    case REEL_ADAPTER_IDEMPOTENT: return "idempotent";
    case REEL_ADAPTER_RESUMABLE: return "resumable";
    }
    return "";
}

void
reel_task_open (struct reel_task *task, struct reel_adapter *adapter, const struct reel_call *call)
{
    REEL_ASSERT (!task->open);
    task->adapter = adapter;
    task->call = call;
    task->state = NULL;
    task->open = true;
    enum reel_status status = adapter->start (adapter, task);
    if (status == REEL_OK)
        return;
    reel_task_fail (task, &(struct reel_failure){
                              .code = "adapter_failed",
                              .message = reel_slice_text (status == REEL_NO_MEMORY ? "the adapter is out of memory"
                                                                                   : "the adapter could not start"),
                              .retryable = true,
                          });
}

void
reel_task_cancel (struct reel_task *task)
{
    if (task->open)
        task->adapter->cancel (task->adapter, task);
}

const struct reel_call *
reel_task_call (const struct reel_task *task)
{
    return task->call;
}

struct reel_loop *
reel_task_loop (const struct reel_task *task)
{
    return task->loop;
}

void
reel_task_set_state (struct reel_task *task, void *state)
{
    task->state = state;
}

void *
reel_task_state (const struct reel_task *task)
{
    return task->state;
}

void
reel_task_progress (struct reel_task *task, double fraction, struct reel_slice message)
{
    REEL_ASSERT (task->open);
    task->progress (task, fraction, message);
}

void
reel_task_checkpoint (struct reel_task *task, struct reel_slice checkpoint)
{
    REEL_ASSERT (task->open);
    task->checkpoint (task, checkpoint);
}

static void
finish (struct reel_task *task, const struct reel_run_result *result)
{
    REEL_ASSERT (task->open);
    task->open = false;
    task->state = NULL;
    task->finished (task, result);
}

void
reel_task_succeed (struct reel_task *task, struct reel_slice output, struct reel_slice extra)
{
    finish (task, &(struct reel_run_result){.succeeded = true, .output = output, .extra = extra});
}

void
reel_task_fail (struct reel_task *task, const struct reel_failure *failure)
{
    finish (task, &(struct reel_run_result){.failure = *failure});
}
