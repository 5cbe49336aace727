/*
 * Nothing that a process started outlives it.
 *
 * A worker that is killed cannot end its commands any more. They would go on: a payment whose outcome nobody will
 * hear of, perhaps after somebody has resolved the step; a render beside its own repetition on the same machine. So
 * a process of its own, the guard, waits for the end of the worker, whatever that is, and then kills whoever carries
 * the worker's mark in its environment, in whatever group or session. (PR_SET_PDEATHSIG would reach the command
 * itself, but nothing that it had started.)
 */
#ifndef REEL_WORKER_GUARD_H
#define REEL_WORKER_GUARD_H

#include "base/status.h"

/* The variable with the mark, which every command is given. It is set in this process's own environment too. */
#define REEL_GUARD_VARIABLE "REEL_GUARD"

/* Starts a guard over this process, which has no threads yet. Call it before the adapters are made. REEL_IO: errno says
 * why. */
enum reel_status reel_guard_start (void) REEL_MUST_USE;

#endif
