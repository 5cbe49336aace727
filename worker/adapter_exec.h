/*
 * The adapter that runs a command for each step.
 *
 * The payload goes in as JSON on standard input and through templates in the arguments
 * (worker/template.h). Standard output is the receipt's output: one JSON object, either all
 * of it or its last line; nothing at all counts as {}. A line that is an object of
 * `progress` (0..1, or null) and perhaps `message` and nothing else is progress, not output.
 * An array under the output's key `artifacts` becomes the receipt's. Standard error goes to the log, and
 * its tail into the error of a step that fails.
 *
 * The command has a working directory of its own, no shell, no environment but the allowed
 * variables and REEL_WORKFLOW_ID, REEL_STEP_ID, REEL_MODALITY, REEL_ATTEMPT, REEL_DELIVERY,
 * REEL_IDEMPOTENCY_KEY (and the guard's REEL_GUARD, worker/guard.h), and is ended together with everything it started.
 *
 * Errors: spawn_failed, bad_payload, exit_status (retryable when it is 75, EX_TEMPFAIL), signal,
 * timeout, cancelled, bad_output, limit_exceeded.
 */
#ifndef REEL_WORKER_ADAPTER_EXEC_H
#define REEL_WORKER_ADAPTER_EXEC_H

#include "worker/call.h"

#define REEL_EXEC_GRACE_MS_DEFAULT 5000
#define REEL_EXEC_OUTPUT_BYTES_DEFAULT (1u << 20)
#define REEL_EXEC_OUTPUT_BYTES_MAX (64u << 20)
/* For steps that bring no timeout of their own. */
#define REEL_EXEC_TIMEOUT_MS 3600000

enum reel_exec_keep { REEL_EXEC_KEEP_NEVER, REEL_EXEC_KEEP_FAILED, REEL_EXEC_KEEP_ALWAYS };

/* Everything is copied. Lists end with NULL; NULL is an empty list. */
struct reel_exec_setup {
    const char *command;            /* absolute path */
    const char *const *arguments;   /* templates */
    const char *const *environment; /* names of this process's variables that the command gets */
    const char *const *variables;   /* "NAME=value", more of them */
    const char *work;               /* root of the working directories; NULL: a temporary one */
    enum reel_exec_keep keep;
    enum reel_adapter_class class; /* neither or idempotent */
    int64_t grace_ms;              /* from TERM to KILL, and for output held open after the command's exit */
    size_t output_bytes_max;
};

/* REEL_INVALID (err->message): a template that does not hold. REEL_NO_MEMORY. */
enum reel_status reel_adapter_exec_create (const struct reel_exec_setup *setup, struct reel_adapter **adapter,
                                           struct reel_error *err) REEL_MUST_USE;

#endif
