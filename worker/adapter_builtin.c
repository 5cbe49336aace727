/*
 * echo, sleep and fail.
 */
#include "worker/adapter_builtin.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "proto/scan.h"
#include "worker/loop.h"

const char *const reel_adapter_builtin_names[] = {"echo", "sleep", "fail", NULL};

static enum reel_status
bad_payload (struct reel_task *task, const char *message)
{
    reel_task_fail (task, &(struct reel_failure){.code = "bad_payload", .message = reel_slice_text (message)});
    return REEL_OK;
}

/* The value under `key`, REEL_NIL when there is none. */
static struct reel_value
payload_value (const struct reel_call *call, const char *key)
{
    struct reel_slice bytes;
    struct reel_value value;
    if (call->payload.len > 0 && reel_scan_find (call->payload, reel_slice_text (key), &bytes)
        && reel_scan_value (bytes, &value))
        return value;
    return (struct reel_value){.type = REEL_NIL};
}

static enum reel_status
echo_start (struct reel_adapter *adapter, struct reel_task *task)
{
    (void) adapter;
    reel_task_succeed (task, reel_task_call (task)->payload, REEL_SLICE_NONE);
    return REEL_OK;
}

static void
nothing_to_cancel (struct reel_adapter *adapter, struct reel_task *task)
{
    (void) adapter;
    (void) task;
}

static enum reel_status
fail_start (struct reel_adapter *adapter, struct reel_task *task)
{
    (void) adapter;
    struct reel_value message = payload_value (reel_task_call (task), "message");
    struct reel_value retryable = payload_value (reel_task_call (task), "retryable");
    if (message.type != REEL_NIL && message.type != REEL_STR)
        return bad_payload (task, "fail: message must be a string");
    if (retryable.type != REEL_NIL && retryable.type != REEL_BOOL)
        return bad_payload (task, "fail: retryable must be true or false");
    reel_task_fail (
        task, &(struct reel_failure){
                  .code = "failed",
                  .message = message.type == REEL_STR ? message.bytes : reel_slice_text ("failed, as it was asked to"),
                  .retryable = retryable.type == REEL_BOOL && retryable.boolean,
              });
    return REEL_OK;
}

/* --- sleep -------------------------------------------------------------------------------- */

struct nap {
    struct reel_task *task;
    struct reel_timer timer;
    bool too_long; /* it ends at the step's timeout */
};

/* Frees what a sleeping task keeps. */
static struct reel_task *
awake (struct nap *nap)
{
    struct reel_task *task = nap->task;
    reel_loop_disarm (reel_task_loop (task), &nap->timer);
    free (nap);
    return task;
}

static void
nap_over (struct reel_timer *timer)
{
    struct nap *nap = timer->context;
    bool too_long = nap->too_long;
    struct reel_task *task = awake (nap);
    if (too_long)
        reel_task_fail (task, &(struct reel_failure){
                                  .code = "timeout",
                                  .message = reel_slice_text ("sleep: longer than the step's timeout_ms"),
                                  .retryable = true,
                                  .open = true,
                              });
    else
        reel_task_succeed (task, reel_task_call (task)->payload, REEL_SLICE_NONE);
}

static enum reel_status
sleep_start (struct reel_adapter *adapter, struct reel_task *task)
{
    (void) adapter;
    const struct reel_call *call = reel_task_call (task);
    struct reel_value ms = payload_value (call, "ms");
    if (ms.type != REEL_UINT || ms.u > REEL_DURATION_MS_MAX)
        return bad_payload (task, "sleep: ms must be an integer, from 0 to 31622400000");
    struct nap *nap = calloc (1, sizeof *nap);
    if (nap == NULL)
        return REEL_NO_MEMORY;
    int64_t wait_ms = (int64_t) ms.u;
    nap->too_long = call->timeout_ms > 0 && call->timeout_ms < wait_ms;
    nap->task = task;
    nap->timer = (struct reel_timer){.due = nap_over, .context = nap};
    reel_task_set_state (task, nap);
    reel_loop_arm (reel_task_loop (task), &nap->timer,
                   reel_clock_monotonic_us () + (nap->too_long ? call->timeout_ms : wait_ms) * 1000);
    return REEL_OK;
}

static void
sleep_cancel (struct reel_adapter *adapter, struct reel_task *task)
{
    (void) adapter;
    awake (reel_task_state (task));
    reel_task_fail (task, &(struct reel_failure){
                              .code = "cancelled",
                              .message = reel_slice_text ("sleep: cancelled"),
                          });
}

/* --- making them -------------------------------------------------------------------------- */

static void
destroy (struct reel_adapter *adapter)
{
    free (adapter);
}

static const struct reel_adapter kinds[] = {
    {"echo", REEL_ADAPTER_IDEMPOTENT, echo_start, nothing_to_cancel, destroy},
    {"sleep", REEL_ADAPTER_IDEMPOTENT, sleep_start, sleep_cancel, destroy},
    {"fail", REEL_ADAPTER_IDEMPOTENT, fail_start, nothing_to_cancel, destroy},
};

enum reel_status
reel_adapter_builtin_create (const char *name, struct reel_adapter **out)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp (kinds[i].name, name) != 0)
            continue;
        struct reel_adapter *adapter = malloc (sizeof *adapter);
        if (adapter == NULL)
            return REEL_NO_MEMORY;
        *adapter = kinds[i];
        *out = adapter;
        return REEL_OK;
    }
    return REEL_NOT_FOUND;
}
