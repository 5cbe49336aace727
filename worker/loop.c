/*
 * The event loop: epoll for descriptors and pidfds, a pairing heap for timers.
 */
#include "worker/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"

/* Descriptors looked at in one turn. */
#define BATCH 64

struct reel_loop {
    int epoll;
    bool stopped;
    struct epoll_event batch[BATCH];
    int batch_at, batch_count;
    struct reel_timer *timers; /* root of the heap */
    struct reel_child *children;
    struct reel_turn *turns;
};

enum reel_status
reel_loop_create (struct reel_loop **out)
{
    struct reel_loop *loop = calloc (1, sizeof *loop);
    if (loop == NULL)
        return REEL_NO_MEMORY;
    loop->epoll = epoll_create1 (EPOLL_CLOEXEC);
    if (loop->epoll < 0) {
        free (loop);
        return REEL_IO;
    }
    *out = loop;
    return REEL_OK;
}

void
reel_loop_destroy (struct reel_loop **loop)
{
    if (*loop == NULL)
        return;
    REEL_ASSERT ((*loop)->timers == NULL && (*loop)->children == NULL);
    close ((*loop)->epoll);
    free (*loop);
    *loop = NULL;
}

void
reel_loop_stop (struct reel_loop *loop)
{
    loop->stopped = true;
}

/* --- file descriptors --------------------------------------------------------------------- */

enum reel_status
reel_loop_watch (struct reel_loop *loop, struct reel_watch *watch, uint32_t events)
{
    REEL_ASSERT (!watch->added);
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl (loop->epoll, EPOLL_CTL_ADD, watch->fd, &event) < 0)
        return REEL_IO;
    watch->added = true;
    return REEL_OK;
}

void
reel_loop_unwatch (struct reel_loop *loop, struct reel_watch *watch)
{
    if (!watch->added)
        return;
    watch->added = false;
    int gone = epoll_ctl (loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    REEL_ASSERT (gone == 0);
    /* What this turn still holds for it must not reach it any more. */
    for (int i = loop->batch_at; i < loop->batch_count; i++)
        if (loop->batch[i].data.ptr == watch)
            loop->batch[i].data.ptr = NULL;
}

/* --- timers ------------------------------------------------------------------------------- */

static struct reel_timer *
meld (struct reel_timer *a, struct reel_timer *b)
{
    if (a == NULL || b == NULL)
        return a == NULL ? b : a;
    if (b->at_us < a->at_us) {
        struct reel_timer *swap = a;
        a = b;
        b = swap;
    }
    b->previous = a;
    b->next = a->child;
    if (a->child != NULL)
        a->child->previous = b;
    a->child = b;
    return a;
}

/* Makes one heap of a list of siblings: in pairs from the left, then from the right. */
static struct reel_timer *
meld_siblings (struct reel_timer *first)
{
    struct reel_timer *pairs = NULL, *heap = NULL;
    while (first != NULL) {
        struct reel_timer *a = first, *b = first->next;
        first = b == NULL ? NULL : b->next;
        a->next = a->previous = NULL;
        if (b != NULL)
            b->next = b->previous = NULL;
        a = meld (a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs != NULL) {
        struct reel_timer *rest = pairs->next;
        pairs->next = NULL;
        heap = meld (heap, pairs);
        pairs = rest;
    }
    return heap;
}

void
reel_loop_disarm (struct reel_loop *loop, struct reel_timer *timer)
{
    if (!timer->armed)
        return;
    timer->armed = false;
    if (timer == loop->timers) {
        loop->timers = meld_siblings (timer->child);
    } else {
        if (timer->previous->child == timer)
            timer->previous->child = timer->next;
        else
            timer->previous->next = timer->next;
        if (timer->next != NULL)
            timer->next->previous = timer->previous;
        loop->timers = meld (loop->timers, meld_siblings (timer->child));
    }
    timer->child = timer->next = timer->previous = NULL;
}

void
reel_loop_arm (struct reel_loop *loop, struct reel_timer *timer, int64_t at_us)
{
    reel_loop_disarm (loop, timer);
    timer->at_us = at_us;
    timer->armed = true;
    timer->child = timer->next = timer->previous = NULL;
    loop->timers = meld (loop->timers, timer);
}

static void
run_timers (struct reel_loop *loop)
{
    if (loop->timers == NULL)
        return;
    /* One reading of the clock: a timer that arms itself for now does not keep the others waiting. */
    int64_t now_us = reel_clock_monotonic_us ();
    while (loop->timers != NULL && loop->timers->at_us <= now_us) {
        struct reel_timer *timer = loop->timers;
        reel_loop_disarm (loop, timer);
        timer->due (timer);
    }
}

/* --- children ----------------------------------------------------------------------------- */

static void
child_ready (struct reel_watch *watch, uint32_t events)
{
    (void) events;
    struct reel_child *child = watch->context;
    child->exited (child);
}

enum reel_status
reel_loop_add_child (struct reel_loop *loop, struct reel_child *child)
{
    int fd = (int) syscall (SYS_pidfd_open, child->pid, 0);
    if (fd < 0)
        return REEL_IO;
    child->watch = (struct reel_watch){.fd = fd, .ready = child_ready, .context = child};
    /* Once: it stays readable until it is reaped, which may be later. */
    if (reel_loop_watch (loop, &child->watch, EPOLLIN | EPOLLONESHOT) != REEL_OK) {
        close (fd);
        return REEL_IO;
    }
    child->added = true;
    child->previous = NULL;
    child->next = loop->children;
    if (child->next != NULL)
        child->next->previous = child;
    loop->children = child;
    return REEL_OK;
}

void
reel_loop_reap_child (struct reel_loop *loop, struct reel_child *child, int *status)
{
    REEL_ASSERT (child->added);
    pid_t reaped;
    do
        reaped = waitpid (child->pid, status, 0);
    while (reaped < 0 && errno == EINTR);
    REEL_ASSERT (reaped == child->pid);
    reel_loop_unwatch (loop, &child->watch);
    close (child->watch.fd);
    if (child->previous != NULL)
        child->previous->next = child->next;
    else
        loop->children = child->next;
    if (child->next != NULL)
        child->next->previous = child->previous;
    child->added = false;
}

bool
reel_loop_has_child (const struct reel_loop *loop, pid_t pid)
{
    for (const struct reel_child *child = loop->children; child != NULL; child = child->next)
        if (child->pid == pid)
            return true;
    return false;
}

/* --- once a turn -------------------------------------------------------------------------- */

void
reel_loop_add_turn (struct reel_loop *loop, struct reel_turn *turn)
{
    turn->next = loop->turns;
    loop->turns = turn;
}

void
reel_loop_remove_turn (struct reel_loop *loop, struct reel_turn *turn)
{
    for (struct reel_turn **at = &loop->turns; *at != NULL; at = &(*at)->next) {
        if (*at == turn) {
            *at = turn->next;
            return;
        }
    }
}

static bool
end_turns (struct reel_loop *loop)
{
    bool more = false;
    struct reel_turn *next;
    for (struct reel_turn *turn = loop->turns; turn != NULL; turn = next) {
        next = turn->next;
        more |= turn->ended (turn);
    }
    return more;
}

/* How long to wait, in milliseconds, rounded up: a timer is never early. */
static int
patience (const struct reel_loop *loop)
{
    if (loop->timers == NULL)
        return -1;
    int64_t left_us = loop->timers->at_us - reel_clock_monotonic_us ();
    if (left_us <= 0)
        return 0;
    int64_t left_ms = (left_us - 1) / 1000 + 1;
    return left_ms > INT_MAX ? INT_MAX : (int) left_ms;
}

enum reel_status
reel_loop_run (struct reel_loop *loop)
{
    loop->stopped = false;
    for (;;) {
        bool more = end_turns (loop);
        if (loop->stopped)
            return REEL_OK;
        int count = epoll_wait (loop->epoll, loop->batch, BATCH, more ? 0 : patience (loop));
        if (count < 0 && errno != EINTR)
            return REEL_IO;
        loop->batch_count = count < 0 ? 0 : count;
        for (loop->batch_at = 0; loop->batch_at < loop->batch_count; loop->batch_at++) {
            struct epoll_event event = loop->batch[loop->batch_at];
            struct reel_watch *watch = event.data.ptr;
            if (watch != NULL)
                watch->ready (watch, event.events);
        }
        loop->batch_count = 0;
        run_timers (loop);
    }
}
