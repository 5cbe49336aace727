/*
 * The leases that a worker holds: found by their number, counted, linked.
 *
 * A lease is one workflow under way: its drive, and what of its reports is where.
 */
#ifndef REEL_WORKER_LEASES_H
#define REEL_WORKER_LEASES_H

#include "proto/message.h"
#include "worker/drive.h"

/* Reports of one lease that wait for their ACK; more wait in the outbox, and go together. */
#define REEL_FLIGHTS_MAX 8

/* A report: its last event, and when it was first sent. */
struct reel_flight {
    uint64_t index;
    int64_t sent_us;
};

struct reel_held {
    struct reel_lease id;
    struct reel_drive drive;
    uint64_t sent;                                /* the last event sent */
    uint64_t acked;                               /* the last one known to be durable */
    struct reel_flight flights[REEL_FLIGHTS_MAX]; /* oldest first */
    unsigned flight_count;
    int64_t rewound_us;   /* when what is under way was last sent again, monotonic */
    int64_t since_us;     /* monotonic */
    bool resuming;        /* said in READY, not answered yet: nothing is reported meanwhile */
    bool ended;           /* the run has; it leaves once everything is acknowledged */
    bool dropped;         /* it leaves once nothing runs */
    bool touched;         /* in the list of those that the end of the turn looks at */
    struct reel_buf told; /* the newest progress that was not sent yet */
    int64_t told_us;      /* when one was sent */
    struct reel_held *touched_next;
    struct reel_held *bucket_next;
    struct reel_held *next, *previous; /* all of them; `next` also links the spare ones */
};

struct reel_leases {
    struct reel_held **buckets;
    size_t bucket_mask;
    struct reel_held *first;
    size_t count;
    struct reel_held *spare;
    size_t spare_count;
};

enum reel_status reel_leases_init (struct reel_leases *leases) REEL_MUST_USE;
/* None is left. */
void reel_leases_free (struct reel_leases *leases);
struct reel_held *reel_leases_find (const struct reel_leases *leases, struct reel_lease id);
/* An all-zero one of that id, which is not there yet. NULL: memory is out. */
struct reel_held *reel_leases_add (struct reel_leases *leases, struct reel_lease id);
/* Frees it with its run; nothing of it is under way. */
void reel_leases_remove (struct reel_leases *leases, struct reel_held *held);

#endif
