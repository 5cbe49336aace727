/*
 * Nothing that a process started outlives it.
 *
 * A worker that is killed cannot end its commands any more. They would go on: a payment whose outcome nobody will
 * hear of, perhaps after somebody has resolved the step; a render beside its own repetition on the same machine. So
 * a process of its own, the guard, waits for the end of the worker, whatever that is, and then kills whoever carries
 * the worker's mark in its environment, in whatever group or session. (PR_SET_PDEATHSIG would reach the command
 * itself, but nothing that it had started.) A guard may be killed as well: another follows. Only who is killed within
 * that moment leaves its commands behind.
 */
#ifndef REEL_WORKER_GUARD_H
#define REEL_WORKER_GUARD_H

#include "base/status.h"
#include "worker/loop.h"

/* The variable with the mark, which every command is given. It is set in this process's own environment too. */
#define REEL_GUARD_VARIABLE "REEL_GUARD"

/* Starts a guard over this process, which has no threads yet. Call it before the adapters are made. REEL_IO: errno says
 * why. */
enum reel_status reel_guard_start (void) REEL_MUST_USE;

/* What sees to it, in a loop, that a guard that was killed is followed by another, with the same mark. */
struct reel_guard_keeper {
    struct reel_loop *loop;
    struct reel_watch ended;
    struct reel_timer again;
};

/* Nothing happens where no guard was started. */
void reel_guard_keep (struct reel_guard_keeper *keeper, struct reel_loop *loop);
/* Before the loop is destroyed; also of one that is all zero. */
void reel_guard_let_go (struct reel_guard_keeper *keeper);

#endif
