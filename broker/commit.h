/*
 * The journal's thread: it makes one batch durable, reads what the batch asks for, and hands it back,
 * while the thread of the core takes in the next one. That is all of group commit: the longer a disk
 * takes, the more is in the next batch.
 */
#ifndef REEL_BROKER_COMMIT_H
#define REEL_BROKER_COMMIT_H

#include "broker/core/core.h"
#include "broker/journal.h"

/* Effects on their way through the journal, with what it read for them. Zero is an empty one. */
struct reel_batch {
    struct reel_effects effects;
    struct reel_core_reading *readings; /* in the order of effects.reads */
    size_t reading_count, reading_cap;
    struct reel_buf bodies; /* what the readings lie in */
    uint64_t last_seq;      /* durable after it */
    uint64_t journal_bytes, journal_free_bytes;
};

/* Empties; memory is kept as far as it is small. */
void reel_batch_clear (struct reel_batch *batch);
void reel_batch_free (struct reel_batch *batch);

/* What the thread does with a batch: makes it durable, then reads what it asks for. Failures are the journal's. */
enum reel_status reel_commit_carry_out (struct reel_journal *journal, struct reel_batch *batch,
                                        struct reel_error *err) REEL_MUST_USE;

struct reel_commit;

/* Takes the journal. REEL_NO_MEMORY, REEL_IO. */
enum reel_status reel_commit_start (struct reel_journal **journal, struct reel_commit **commit,
                                    struct reel_error *err) REEL_MUST_USE;
/* Lets the batch under way end, then closes the journal. */
void reel_commit_stop (struct reel_commit **commit);

/* Lends the thread a batch; only when it has none. */
void reel_commit_hand (struct reel_commit *commit, struct reel_batch *batch);
/* Readable when there is something to take. */
int reel_commit_fd (const struct reel_commit *commit);
/*
 * Takes the batch back: REEL_OK: what is in it is durable, and what it asked for is read. REEL_AGAIN: not yet.
 * Anything else: the journal failed; nothing of the batch may leave, and nothing may be handed over any more.
 */
enum reel_status reel_commit_take (struct reel_commit *commit, struct reel_batch **batch,
                                   struct reel_error *err) REEL_MUST_USE;

#endif
