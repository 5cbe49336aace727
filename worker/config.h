/*
 * A worker's configuration file: which modality is served by what.
 *
 * ZPL (ZeroMQ RFC 4), as in this example; every key but `adapter` (and `command` of exec) may be left out:
 *
 *     work = "work"                       # where exec steps get their directories; relative to this file
 *     keep = failed                       # which of them stay: never (default), failed, always
 *     plugin = "./film.so"                # adapters and hooks in C (worker/adapter.h); as many as needed
 *     modality
 *         keyframe
 *             adapter = exec
 *             command = "./keyframe.sh"   # a path (relative to this file) or a name to be found on PATH; no shell
 *             argument = "--title={payload/title}"   # as many as needed; templates: worker/template.h
 *             argument = "{step_id}"
 *             environment = "PATH LANG"   # what of the worker's environment it gets; default PATH
 *             set = "THREADS=2"           # and what more; as many as needed
 *             class = idempotent          # neither (default) or idempotent
 *             grace_ms = 5000             # from TERM to KILL
 *             output_bytes_max = 1048576
 *             timeout_ms = 60000          # from here on: defaults of the steps' policy, for any adapter
 *             max_attempts = 3
 *             backoff_ms = 500
 *             backoff_max_ms = 30000
 *             in_doubt = hold             # hold, retry or fail
 *         pause
 *             adapter = sleep             # echo, sleep and fail have no keys of their own
 *         colour
 *             adapter = film-grade        # one that a plugin brought
 *     hook                                # called around every step, in this order, after those of the plugins
 *         ledger
 *             point = "post_step on_failure"   # any of pre_step, post_step, on_failure
 *             command = "./ledger.sh"     # and argument, environment, set, grace_ms, output_bytes_max, timeout_ms
 *
 * A file without any modality serves what a worker without a file serves. Unknown keys are refused; a section
 * `worker` is passed over: it holds the options of reel-worker itself (reel-worker --help).
 */
#ifndef REEL_WORKER_CONFIG_H
#define REEL_WORKER_CONFIG_H

#include "cli/zpl.h"
#include "worker/registry.h"

/* The names at the top of the file that are read here, NULL-ended (cli/options.h, `reserved`). */
extern const char *const reel_config_names[];

/*
 * Adds what the file says to an empty registry; `path` NULL: the builtin adapters. REEL_INVALID:
 * err->message names the file and the key, and says what to do. REEL_IO: it cannot be read.
 * REEL_NO_MEMORY.
 */
enum reel_status reel_config_load (const char *path, struct reel_registry *registry,
                                   struct reel_error *err) REEL_MUST_USE;
/* The same from a file that was read already; `path` is where it lay. */
enum reel_status reel_config_read (const struct reel_zpl *file, const char *path, struct reel_registry *registry,
                                   struct reel_error *err) REEL_MUST_USE;

#endif
