/*
 * The worker's shell: the socket to the broker, the signals, and the loop that waits for both.
 *
 * What is said over it is the link's (worker/link.h), what becomes of a workflow the run machine's.
 */
#ifndef REEL_WORKER_SHELL_H
#define REEL_WORKER_SHELL_H

#include "worker/registry.h"

struct reel_worker_shell_setup {
    const char *broker;             /* endpoint */
    const char *name;               /* a label */
    uint32_t slots;                 /* 1 .. REEL_LEASES_MAX */
    int64_t drain_ms;               /* how long current steps may go on once it is to end */
    struct reel_registry *registry; /* borrowed */
    int stop_fd; /* a signalfd or a pipe, read from here: the first that comes drains, the second ends what
                           runs at once */
};

/*
 * Works until it is told to stop and is through with what it has. REEL_OK: everything was
 * reported, or given back. REEL_AGAIN: something was not, and the broker will find out by its
 * lease. REEL_INVALID: the endpoint is none (err). REEL_IO: the system failed (err). REEL_NO_MEMORY.
 */
enum reel_status reel_worker_shell_run (const struct reel_worker_shell_setup *setup,
                                        struct reel_error *err) REEL_MUST_USE;

#endif
