/*
 * One small event loop: file descriptors, timers, children, and what is done once a turn.
 *
 * The worker and the local runner wait here and nowhere else. Everything is embedded in the
 * struct of whoever uses it and allocates nothing; any of it may be added or removed from
 * within any callback. Not for use by more than one thread.
 */
#ifndef REEL_WORKER_LOOP_H
#define REEL_WORKER_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include "base/status.h"

struct reel_loop;

enum reel_status reel_loop_create (struct reel_loop **loop) REEL_MUST_USE;
/* Nothing may be left in it but turns. */
void reel_loop_destroy (struct reel_loop **loop);

/* Runs until reel_loop_stop(). REEL_IO: waiting failed (errno). */
enum reel_status reel_loop_run (struct reel_loop *loop) REEL_MUST_USE;
/* Ends reel_loop_run() after the current turn; it may be run again. */
void reel_loop_stop (struct reel_loop *loop);

/* --- file descriptors --------------------------------------------------------------------- */

struct reel_watch {
    int fd;
    /* `events`: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR. Level-triggered. */
    void (*ready) (struct reel_watch *watch, uint32_t events);
    void *context;
    bool added;
};

/* Fill fd, ready and context first. REEL_IO: errno says why. */
enum reel_status reel_loop_watch (struct reel_loop *loop, struct reel_watch *watch, uint32_t events) REEL_MUST_USE;
/* Before the descriptor is closed. Nothing happens when it was not added. */
void reel_loop_unwatch (struct reel_loop *loop, struct reel_watch *watch);

/* --- timers: a pairing heap (Fredman et al. 1986) ------------------------------------------- */

struct reel_timer {
    int64_t at_us;                          /* monotonic */
    void (*due) (struct reel_timer *timer); /* it is off when this is called */
    void *context;
    bool armed;
    struct reel_timer *child, *next, *previous; /* previous: the sibling before, or the parent of a first child */
};

/* Fill due and context first. An armed timer is moved. */
void reel_loop_arm (struct reel_loop *loop, struct reel_timer *timer, int64_t at_us);
void reel_loop_disarm (struct reel_loop *loop, struct reel_timer *timer);

/* --- children ------------------------------------------------------------------------------- */

struct reel_child {
    pid_t pid;
    void (*exited) (struct reel_child *child); /* once; it is a zombie until it is let go */
    void *context;
    struct reel_watch watch; /* of its pidfd */
    struct reel_child *next, *previous;
    bool added;
};

/* Fill pid, exited and context first. REEL_IO: errno says why; the child is as it was. */
enum reel_status reel_loop_add_child (struct reel_loop *loop, struct reel_child *child) REEL_MUST_USE;
/* Reaps the child, which has exited, and forgets it; `status` as of waitpid(). */
void reel_loop_reap_child (struct reel_loop *loop, struct reel_child *child, int *status);
/* Is this the pid of a child that was added and not yet let go? */
bool reel_loop_has_child (const struct reel_loop *loop, pid_t pid);

/* --- once a turn ---------------------------------------------------------------------------- */

/* Called after everything that one turn brought, before waiting again. True: there is more to do, do not wait. */
struct reel_turn {
    bool (*ended) (struct reel_turn *turn);
    void *context;
    struct reel_turn *next;
};

void reel_loop_add_turn (struct reel_loop *loop, struct reel_turn *turn);
void reel_loop_remove_turn (struct reel_loop *loop, struct reel_turn *turn);

#endif
