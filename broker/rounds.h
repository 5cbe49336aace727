/*
 * How batches go round: one fills up, one is with the journal, one is being sent out. And the time that the core is
 * told.
 *
 * This is what the contract of durability hangs on: nothing of a batch leaves before its records are on disk. It has
 * neither socket nor thread: whoever has them is called.
 */
#ifndef REEL_BROKER_ROUNDS_H
#define REEL_BROKER_ROUNDS_H

#include "broker/commit.h"

struct reel_rounds {
    /* Filled by the owner. Everything is zero otherwise. */
    struct reel_core *core;
    int64_t pause_us_max; /* longer than this nobody waits, unless this process does not run */
    /* Gives a batch to the journal, which has none. It comes back through reel_rounds_settle(). */
    void (*hand) (void *context, struct reel_batch *batch);
    /* Sends and publishes: all that the effects depend on is durable. What it fails with ends the broker. */
    enum reel_status (*send_out) (void *context, const struct reel_effects *effects);
    void *context;

    struct reel_core_time now; /* the core's: see reel_rounds_keep_time() */
    int64_t clock_us;          /* the monotonic clock at this turn */
    bool all_heard;            /* whatever the workers had sent was read; set it after reading */
    bool committing;           /* a batch is with the journal */
    uint64_t last_seq;         /* durable and published */
    struct reel_batch *pending;
    struct reel_batch *spares[2];
    size_t spare_count;
    struct reel_batch batches[3];
};

/* Starts both clocks. */
void reel_rounds_begin (struct reel_rounds *rounds, int64_t monotonic_us, int64_t wall_us);
void reel_rounds_end (struct reel_rounds *rounds);

/*
 * Once a turn, before anything is read. What has arrived is read before anything expires: so the core's time stands
 * still while there is something that was not read, and while this process did not run (stopped, or starved), since then
 * what arrived meanwhile may still be on its way through the socket.
 */
void reel_rounds_keep_time (struct reel_rounds *rounds, int64_t monotonic_us, int64_t wall_us);

/* Is the batch that fills up so full that nothing more is to be read before the journal takes it? */
bool reel_rounds_full (const struct reel_rounds *rounds);
/* The same for what workers may fill of it, who are read first: the rest is there for clients. */
bool reel_rounds_full_of_workers (const struct reel_rounds *rounds);
/* Is there nothing to wait for, neither with the journal nor before it? */
bool reel_rounds_idle (const struct reel_rounds *rounds);

/* At the end of a turn: gives the journal what has gathered, or, where nothing depends on the journal, sends it out. */
enum reel_status reel_rounds_pass_on (struct reel_rounds *rounds) REEL_MUST_USE;
/* The journal has made the batch durable, and read what it asked for. The next one is with it before this is sent. */
enum reel_status reel_rounds_settle (struct reel_rounds *rounds, struct reel_batch *done) REEL_MUST_USE;

#endif
