/*
 * The events of a run that are not yet known to be durable, numbered from 1.
 *
 * They are kept as one run of bytes, so that a report is copied out in one piece.
 */
#ifndef REEL_WORKER_RUN_OUTBOX_H
#define REEL_WORKER_RUN_OUTBOX_H

#include "proto/message.h"

/* All zero: empty. */
struct reel_run_outbox {
    struct reel_buf bytes;
    size_t *ends; /* of the kept events, in `bytes` */
    size_t ends_cap;
    size_t count;   /* kept */
    size_t start;   /* of the first kept one, in `bytes` */
    uint64_t acked; /* number of the newest event that is durable */
};

void reel_run_outbox_free (struct reel_run_outbox *outbox);
/* Encodes an event of REEL_REPORTED and keeps it. REEL_NO_MEMORY: nothing was added. */
enum reel_status reel_run_outbox_add (struct reel_run_outbox *outbox, const struct reel_message *event) REEL_MUST_USE;
uint64_t reel_run_outbox_last (const struct reel_run_outbox *outbox);
/* Drops everything up to `index`. False, and nothing changed, when that says nothing new or cannot be. */
bool reel_run_outbox_ack (struct reel_run_outbox *outbox, uint64_t index);
/* Fewer than REEL_OUTBOX_EVENTS_MAX events and REEL_OUTBOX_BYTES_MAX bytes are kept. */
bool reel_run_outbox_room (const struct reel_run_outbox *outbox);
/* See reel_run_outbox(). */
enum reel_status reel_run_outbox_pack (const struct reel_run_outbox *outbox, uint64_t from, size_t bytes_max,
                                       struct reel_buf *out, uint32_t *count) REEL_MUST_USE;

#endif
