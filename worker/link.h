/*
 * The worker's side of the wire: what it says to the broker, and what it does with the answers.
 *
 * It keeps the leases, their outboxes and what of them is under way; it offers, resumes, beats, drains and leaves. It
 * has no socket: whoever has one hands it the messages that came and sends those that it gives out.
 */
#ifndef REEL_WORKER_LINK_H
#define REEL_WORKER_LINK_H

#include "proto/message.h"
#include "worker/loop.h"
#include "worker/registry.h"

#define REEL_INSTANCE_BYTES 16

struct reel_link;

struct reel_link_setup {
    const char *name;               /* a label */
    uint32_t slots;                 /* 1 .. REEL_LEASES_MAX */
    int64_t drain_ms;               /* how long current steps may go on once it is to end */
    struct reel_registry *registry; /* borrowed, as is the loop */
    struct reel_loop *loop;
    uint8_t instance[REEL_INSTANCE_BYTES]; /* chosen at random for each process */
    uint64_t seed;                         /* of the runs */

    /* Sends a message (`document` NULL: without). False: not now; it is said again by whoever waits for its answer. */
    bool (*send) (void *context, enum reel_command command, struct reel_slice header,
                  const struct reel_slice *document);
    void (*welcomed) (void *context); /* the broker knows us, for the first time */
    void (*silent) (void *context);   /* nothing was heard for a whole lease: make a new connection */
    void *context;
};

enum reel_status reel_link_create (const struct reel_link_setup *setup, struct reel_link **link) REEL_MUST_USE;
/* No lease is left. */
void reel_link_destroy (struct reel_link **link);

/* There is a connection, or a new one: says READY. */
void reel_link_connected (struct reel_link *link);
/* A message came: its frames without the routing id. */
void reel_link_message (struct reel_link *link, const struct reel_slice *frames, size_t count);
/* To be called at the end of every turn of the loop: reports what is new. True: it was to end, and has; LEAVE is said. */
bool reel_link_end_turn (struct reel_link *link);

/* It is to end: no more work; what runs may end in its time. Again: what runs is ended at once. */
void reel_link_stop (struct reel_link *link);
/* It is to end, and there is no connection any more: ends what runs. */
void reel_link_give_up (struct reel_link *link);
/* Was a lease dropped with something unreported? */
bool reel_link_lost (const struct reel_link *link);

#endif
