/*
 * One durable decision, as the journal keeps it.
 *
 * A record is a msgpack array [kind, previous seq of the workflow, event or nil, ...]; the
 * event is the map that is published, byte for byte. In a batch each record is framed by
 * its length (32 bits, little endian), so that a reader can pass over it.
 */
#ifndef REEL_BROKER_CORE_RECORD_H
#define REEL_BROKER_CORE_RECORD_H

#include "base/bytes.h"
#include "proto/message.h"

#define REEL_RECORD_FRAME_BYTES 4

/* The numbers are part of the journal's format. */
enum reel_record_kind {
    REEL_RECORD_EPOCH = 1,    /* a broker has started: epoch */
    REEL_RECORD_ACCEPTED = 2, /* workflow.accepted; document, provenance, origin */
    REEL_RECORD_ASSIGNED = 3, /* workflow.assigned: a lease is granted, or its holder is back */
    REEL_RECORD_STEP = 4,     /* step.*: lease and report_index when a worker reported it, else 0 */
    REEL_RECORD_YIELDED = 5,  /* workflow.yielded; lease, report_index */
    REEL_RECORD_REQUEUED = 6, /* workflow.requeued: its worker was lost */
    REEL_RECORD_HELD = 7,     /* workflow.held */
    REEL_RECORD_ENDED = 8,    /* workflow.succeeded, .failed or .cancelled; receipt, accepted_seq */
    REEL_RECORD_CANCELLING = 9,
    REEL_RECORD_RESOLVED = 10, /* workflow.resolved: a held one is held no longer */
    REEL_RECORD_PAUSED = 11,
    REEL_RECORD_RESUMED = 12,
    REEL_RECORD_SWITCHED = 13, /* everything is paused, or resumed: paused */
    /* Since format 2: */
    REEL_RECORD_SNAPSHOT = 14,      /* live state is journaled anew from here on: state, of the broker */
    REEL_RECORD_LIVE = 15,          /* a live workflow as it stands: document, provenance, state */
    REEL_RECORD_SNAPSHOT_ENDS = 16, /* every workflow that was live at its beginning was journaled, or has ended */
    REEL_RECORD_FORGOTTEN = 17,     /* what ended up to that seq is retained no longer, nor are the events */
    REEL_RECORD_TERM = 18           /* no worker goes by a longer lease than that: term_ms */
};

/* A whole record. Slices are borrowed: from whoever writes, or from the bytes that were read. */
struct reel_record {
    enum reel_record_kind kind;
    uint64_t previous_seq;
    struct reel_slice event_bytes;    /* as published; len 0: none */
    const struct reel_message *event; /* the same, decoded; NULL: none */
    uint64_t epoch;                   /* EPOCH */
    bool paused;                      /* SWITCHED */
    struct reel_slice document;       /* ACCEPTED, LIVE; ENDED, or len 0: the accepting record has it */
    struct reel_slice provenance;     /* the same; len 0: none */
    int64_t priority;                 /* ENDED with a document */
    struct reel_lease lease;          /* STEP, YIELDED */
    uint64_t report_index;            /* STEP, YIELDED, ENDED; 0: the broker's own */
    struct reel_slice receipt;        /* ENDED */
    uint64_t accepted_seq;            /* ENDED */
    struct reel_slice state;          /* SNAPSHOT, LIVE: msgpack of broker/core/snapshot.c */
    uint64_t forgotten_seq;           /* FORGOTTEN */
    int64_t term_ms;                  /* TERM; at most REEL_DURATION_MS_MAX */
};

/* Appends the framed record; `event_bytes`, not `event`, is what is written. Returns where in `out` they begin. */
size_t reel_record_write (struct reel_buf *out, const struct reel_record *record);
/* Reads an unframed record; its event is decoded into `event`. REEL_INVALID: it is none of ours (err). */
enum reel_status reel_record_read (struct reel_slice bytes, struct reel_record *record, struct reel_message *event,
                                   struct reel_error *err) REEL_MUST_USE;

/* Do records of that kind hold an event, and so a seq? */
bool reel_record_has_event (enum reel_record_kind kind);

/* Takes the next record off `batch` (which moves on). False at its end; `damaged` says whether the end is a clean one. */
bool reel_record_take (struct reel_slice *batch, struct reel_slice *record, bool *damaged);

/* What every record can be asked without knowing its kind. `event` has len 0 and `seq` is 0 when it holds none. */
struct reel_record_head {
    uint64_t kind;
    uint64_t previous_seq; /* of the same workflow; 0: none */
    uint64_t seq;
    struct reel_slice event;
};
bool reel_record_head (struct reel_slice record, struct reel_record_head *head);

#endif
