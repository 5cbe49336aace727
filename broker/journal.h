/*
 * Where what was decided is kept: the broker's only durable thing.
 *
 * A journal is a sequence of batches, each committed as a whole; a batch is a sequence of
 * framed records (broker/core/record.h) that the core produced and will read again. Epoch
 * and sequence number are part of the interface: an append under an older epoch than the
 * journal has seen is refused, so that a replicated engine can stand here one day.
 *
 * One thread owns a journal. Beside the batches it keeps one row for each ended workflow,
 * written in the same commit, for LIST, for finding a receipt, and for recovery from a snapshot.
 *
 * Batches and rows that are retained no longer are not shown from the commit on that says so; they are removed
 * little by little, when the journal rests.
 */
#ifndef REEL_BROKER_JOURNAL_H
#define REEL_BROKER_JOURNAL_H

#include "base/bytes.h"

struct reel_journal;

/* An ended workflow, as LIST shows it. Slices are borrowed. */
struct reel_journal_row {
    uint64_t accepted_seq; /* of its workflow.accepted; the key */
    uint64_t ended_seq;    /* of its final event */
    struct reel_slice workflow_id;
    struct reel_slice origin; /* len 0: none */
    const char *status;       /* "succeeded", "failed", "cancelled"; static */
    int64_t submitted_us;
    int64_t started_us; /* -1: never handed out */
    int64_t finished_us;
    uint64_t deliveries;
};

struct reel_journal_batch {
    uint64_t epoch;
    uint64_t first_seq; /* of its first event; of the next one to come if it has none */
    uint64_t event_count;
    struct reel_slice records; /* framed, one after the other */
    const struct reel_journal_row *rows;
    size_t row_count;
    bool snapshot_begins;   /* in this batch; when it has ended, recovery goes from this batch */
    bool snapshot_ends;     /* the one begun last, here or earlier */
    uint64_t forgotten_seq; /* events and ended workflows up to it are retained no longer; 0: nothing new */
};

struct reel_journal_setup {
    const char *directory;
    const char *vfs; /* the VFS of SQLite that is the disk, and has the directory already; NULL: the system's */
    bool look_only;  /* there is a journal, to be read and not to be changed by a byte; it is opened for writing all the
                      * same, since that is how SQLite keeps others out */
};

/*
 * Opens the journal in its directory (made if it is not there), alone: a second opener is
 * refused. REEL_INVALID or REEL_IO with err saying which file and why; REEL_NO_MEMORY.
 */
enum reel_status reel_journal_open (const struct reel_journal_setup *setup, struct reel_journal **journal,
                                    struct reel_error *err) REEL_MUST_USE;
void reel_journal_close (struct reel_journal **journal);

/*
 * Makes a batch durable: REEL_OK means that it is on disk. REEL_INVALID (code "stale_epoch"):
 * nothing was written. REEL_IO: whether it was written is not known; the process must end
 * without acknowledging anything.
 */
enum reel_status reel_journal_append (struct reel_journal *journal, const struct reel_journal_batch *batch,
                                      struct reel_error *err) REEL_MUST_USE;

/*
 * Housekeeping, so that no append has to do any: to be called after the answer to an append was handed on, and
 * with `idle` when there has been nothing to append for a while. Does nothing unless it is worth it. REEL_IO as above.
 */
enum reel_status reel_journal_rest (struct reel_journal *journal, bool idle, struct reel_error *err) REEL_MUST_USE;

/* Is there housekeeping that need not wait until there has been nothing to append for a while? */
bool reel_journal_restless (const struct reel_journal *journal);

/* --- recovery ------------------------------------------------------------------------------ */

/* Is everything there that was ever written? */
bool reel_journal_is_whole (const struct reel_journal *journal);
/* Is there a complete snapshot to recover from? */
bool reel_journal_has_snapshot (const struct reel_journal *journal);
/*
 * Calls `visit` for every record, oldest first, until it returns other than REEL_OK, which is then returned. `all`: from
 * the oldest batch that is kept; otherwise from the batch in which the last complete snapshot begins, if there is one.
 * What was visited is what was written, and nothing in between is missing: else REEL_IO.
 */
typedef enum reel_status (*reel_journal_visit_fn) (void *context, struct reel_slice record, struct reel_error *err);
enum reel_status reel_journal_replay (struct reel_journal *journal, bool all, reel_journal_visit_fn visit,
                                      void *context, struct reel_error *err) REEL_MUST_USE;
/* Calls `visit` for the row of every ended workflow that is retained, in the order of acceptance. */
typedef enum reel_status (*reel_journal_row_fn) (void *context, const struct reel_journal_row *row,
                                                 struct reel_error *err);
enum reel_status reel_journal_ended (struct reel_journal *journal, reel_journal_row_fn visit, void *context,
                                     struct reel_error *err) REEL_MUST_USE;

/* Compares what the journal is looked up by with what it holds, all of it: this takes as long as reading it. REEL_IO. */
enum reel_status reel_journal_check (struct reel_journal *journal, struct reel_error *err) REEL_MUST_USE;

/* --- reading between commits --------------------------------------------------------------- */

/* The newest durable event, and the oldest one that is retained (0 and 1 when there is none yet). */
uint64_t reel_journal_last_seq (const struct reel_journal *journal);
uint64_t reel_journal_first_seq (const struct reel_journal *journal);
/* What its files took when it last rested, and how much of that is free for what is still to come. */
uint64_t reel_journal_bytes (const struct reel_journal *journal, uint64_t *free_bytes);

/*
 * Is there room for what is still to come, `reserve_bytes` of it being asked for? What the database has free is room, but
 * not for the log, which what is committed goes through first: of the reserve, that has to be free on the disk itself.
 */
bool reel_journal_has_room (uint64_t disk_free_bytes, uint64_t journal_free_bytes, uint64_t reserve_bytes);

/*
 * How much is read at a time, since no commit goes on meanwhile. To load a batch is work of 1, and of 1 more for each
 * 8 KiB of it; when more than `work_max` is done nothing more is loaded (the first batch always is).
 */
struct reel_journal_ask {
    uint64_t after;
    uint32_t limit;   /* events */
    size_t bytes_max; /* of them, past the first */
    uint64_t work_max;
};

/*
 * Appends events with seq > after, oldest first, to `out` as msgpack maps one after the other: at least one, if there
 * is one. `next` is the seq of the last one given (or `after`), `more` says whether another is durable already.
 */
struct reel_journal_page {
    uint32_t count;
    uint64_t next;
    bool more;
};
enum reel_status reel_journal_events (struct reel_journal *journal, const struct reel_journal_ask *ask,
                                      struct reel_buf *out, struct reel_journal_page *page,
                                      struct reel_error *err) REEL_MUST_USE;

struct reel_journal_workflow {
    uint64_t key;      /* no other retained one has it */
    uint64_t last_seq; /* of its newest event, which is durable */
};
/* The same for one workflow. They are found by walking back from the newest one: REEL_AGAIN: that takes longer; nothing
 * was appended, and whoever asks for the same again goes on with it. */
enum reel_status reel_journal_workflow_events (struct reel_journal *journal,
                                               const struct reel_journal_workflow *workflow,
                                               const struct reel_journal_ask *ask, struct reel_buf *out,
                                               struct reel_journal_page *page, struct reel_error *err) REEL_MUST_USE;

/* Appends the unframed record that holds event `seq`. REEL_NOT_FOUND. */
enum reel_status reel_journal_record (struct reel_journal *journal, uint64_t seq, struct reel_buf *out,
                                      struct reel_error *err) REEL_MUST_USE;

/*
 * Appends to `out` at most `bytes_max` bytes of a consistent copy of the journal, from `offset` on: a file that can stand
 * as journal.db in a directory of its own. A number that is not that of the last copy begins another, which drops
 * the last one. The copy is made little by little, when the journal rests: until it is there, `bytes` (of all of it) is
 * 0 and nothing is appended. REEL_NOT_FOUND: it could not be made, for what err says; the journal itself goes on.
 */
enum reel_status reel_journal_backup (struct reel_journal *journal, uint64_t number, uint64_t offset, size_t bytes_max,
                                      struct reel_buf *out, uint64_t *bytes, struct reel_error *err) REEL_MUST_USE;
/* Drops it. */
void reel_journal_backup_end (struct reel_journal *journal);

/* Calls `visit` for rows with accepted_seq < before, newest first, of that status (NULL: any), at most `limit`, looking
 * at no more than `looked_max`. `next` is the accepted_seq of the last one looked at, `more` whether there may be others. */
struct reel_journal_listing {
    uint64_t before;
    const char *status;
    uint32_t limit;
    uint32_t looked_max;
};
enum reel_status reel_journal_list (struct reel_journal *journal, const struct reel_journal_listing *listing,
                                    reel_journal_row_fn visit, void *context, struct reel_journal_page *page,
                                    struct reel_error *err) REEL_MUST_USE;

#endif
