/*
 * Carries out what a run commands: the part that the worker and the local runner have in common.
 *
 * It opens and cancels the tasks, keeps the timer, stamps the events with both clocks. Its
 * owner reports, acknowledges and confirms. The callbacks only take note: they neither call
 * back into the drive nor free it; that is for the end of the turn (worker/loop.h).
 */
#ifndef REEL_WORKER_DRIVE_H
#define REEL_WORKER_DRIVE_H

#include "worker/loop.h"
#include "worker/registry.h"
#include "worker/run.h"
#include "worker/task.h"

struct reel_drive {
    /* Filled by the owner. Everything is zero otherwise. */
    struct reel_loop *loop;
    struct reel_registry *registry;
    struct reel_run *run;                    /* owned by the drive from reel_drive_begin() on */
    void (*send) (struct reel_drive *drive); /* the outbox has grown */
    void (*confirm) (struct reel_drive *drive);
    void (*tell) (struct reel_drive *drive, struct reel_slice event); /* borrowed for the call */
    void (*ended) (struct reel_drive *drive);                         /* the run has; its outbox may not be empty yet */
    void (*broken) (struct reel_drive *drive);                        /* out of memory: drop it */
    void (*idle) (struct reel_drive *drive); /* it was dropped, and the call that was under way is over */
    const int64_t *turn_us; /* monotonic: when the loop last came round; NULL: nobody else can have the workflow */
    void *context;

    struct reel_task task;
    struct reel_call call; /* of the open task */
    struct reel_timer wake;
    struct reel_run_commands commands;
    bool carrying; /* commands are being carried out, further up on the stack */
    bool fresh;    /* and there are new ones */
    bool dropped;
};

void reel_drive_begin (struct reel_drive *drive);
void reel_drive_confirmed (struct reel_drive *drive, int64_t confirmed_us);
void reel_drive_acked (struct reel_drive *drive, uint64_t index);
void reel_drive_cancel (struct reel_drive *drive);
void reel_drive_yield (struct reel_drive *drive);
/* Lets the run see that the loop did not come round for long. */
void reel_drive_look (struct reel_drive *drive);

/* Ends what runs, and reports nothing more. Again: ends it at once. */
void reel_drive_drop (struct reel_drive *drive);
/* Is there no call under way? Then it may be freed, outside of its callbacks. */
bool reel_drive_idle (const struct reel_drive *drive);
/* Destroys the run. */
void reel_drive_free (struct reel_drive *drive);

#endif
