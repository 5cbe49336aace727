/*
 * Adapters and hooks that are C functions (worker/adapter.h): a plugin's, or those of a program that embeds reel.
 *
 * A function may block, so each call is made in a thread of its own, with copies of everything it is given. At its
 * deadline, or when it is cancelled, it is told so; if it has not returned REEL_FUNCTION_GRACE_MS later it is
 * abandoned: the step fails, the thread goes on by itself, and what it comes to is dropped.
 */
#ifndef REEL_WORKER_ADAPTER_FUNCTION_H
#define REEL_WORKER_ADAPTER_FUNCTION_H

#include "worker/call.h"

/* For steps that bring no timeout of their own. */
#define REEL_FUNCTION_TIMEOUT_MS 3600000
#define REEL_FUNCTION_GRACE_MS 5000

struct reel_function_setup {
    const char *name; /* copied */
    enum reel_adapter_class class;
    reel_adapter_fn function; /* outlives the process's last call of it, abandoned ones included */
    void *context;            /* likewise */
    const char *work;         /* root of the working directories, copied; NULL: a temporary one */
};

/*
 * A step fails with these codes besides those that the function gives: adapter_failed (it said nothing), bad_output
 * (what it said is out of form), timeout, cancelled, spawn_failed (no thread, no directory), too_many_abandoned
 * (REEL_ABANDONED_MAX calls of this process have not returned). REEL_NO_MEMORY.
 */
enum reel_status reel_adapter_function_create (const struct reel_function_setup *setup,
                                               struct reel_adapter **adapter) REEL_MUST_USE;

/* Calls that were abandoned and have not returned yet, in this process. */
unsigned reel_adapter_function_abandoned (void);

#endif
