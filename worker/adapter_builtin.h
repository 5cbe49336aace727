/*
 * The adapters that need nothing: for trying out, and for tests. All are idempotent.
 *
 *     echo    the output is the payload
 *     sleep   {"ms": n}: waits; the output is the payload
 *     fail    {"message": str, "retryable": bool}: fails with code "failed"
 */
#ifndef REEL_WORKER_ADAPTER_BUILTIN_H
#define REEL_WORKER_ADAPTER_BUILTIN_H

#include "worker/call.h"

/* Their names; NULL ends the list. */
extern const char *const reel_adapter_builtin_names[];

/* REEL_NOT_FOUND: none is called that. REEL_NO_MEMORY. */
enum reel_status reel_adapter_builtin_create (const char *name, struct reel_adapter **adapter) REEL_MUST_USE;

#endif
