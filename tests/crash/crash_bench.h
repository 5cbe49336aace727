/*
 * A broker without a shell whose journal is the real one on a simulated disk, and a ledger of what it was told is
 * durable, to hold against what is there after a crash.
 *
 * Once the disk has stopped (or an operation failed as it was told to) the broker is down, and everything it is asked
 * to do is passed over: so a scenario is written as if nothing could happen. What must not happen ends the program with
 * a message that says which case it was.
 */
#ifndef REEL_TESTS_CRASH_BENCH_H
#define REEL_TESTS_CRASH_BENCH_H

#include "broker/core/core.h"
#include "tests/support/disk.h"

#define CRASH_DATABASE "data/journal.db"
#define CRASH_LOG "data/journal.db-wal"
#define CRASH_TAIL "data/journal.tail"
#define CRASH_COPY "data/backup.db"

/* What the ledger says when a batch has been written. */
struct crash_entry {
    size_t bytes_end;
    size_t row_end;
    uint64_t digest;
    uint64_t last_seq;
};

struct crash_row {
    uint64_t accepted_seq;
    uint64_t ended_seq;
    size_t at, len; /* packed */
};

struct crash_ledger {
    struct crash_entry *entries; /* the first one: of no batch */
    size_t count, cap;
    size_t acknowledged; /* entries up to this one are durable: it was said so */
    struct reel_buf bytes;
    struct crash_row *rows;
    size_t row_count, row_cap;
    struct reel_buf packed;
};

struct crash_lease {
    struct reel_lease lease;
    uint64_t reported;
};

struct crash_bench {
    struct disk *disk;
    struct reel_core *core;
    struct reel_journal *journal;
    struct reel_effects effects;
    struct reel_core_time now;
    uint64_t snapshot_bytes; /* of the core's setup; 0: as it comes */
    uint64_t retain_bytes;
    struct crash_ledger ledger;
    struct crash_lease leases[64]; /* that nobody has ended */
    size_t lease_count;
    uint64_t lives;
    uint64_t submitted;
    bool down;
    bool forgot;   /* batches were removed */
    bool may_fail; /* errors that are not a crash's are no reason to end */
    bool damaged;  /* not all that is read need be right: `differs` says that it was not */
    bool differs;
    struct reel_error err; /* of what it is down for */
};

/* On a disk that somebody else owns. */
void crash_bench_init (struct crash_bench *bench, struct disk *disk);
void crash_bench_free (struct crash_bench *bench);
/* `to` expects of its disk what `from` does of its own. */
void crash_bench_expect (struct crash_bench *to, const struct crash_bench *from);

/* --- a broker's life ------------------------------------------------------------------------- */

/*
 * Recovers, and checks everything that can be: each batch that was acknowledged is there, in order and byte for byte;
 * beyond them nothing but those not yet acknowledged; rows, and the digest of the core, as they were then. Then raises
 * the epoch.
 */
void crash_open (struct crash_bench *bench);
/* The same, without an epoch: nothing is written but what recovery writes. */
void crash_recover (struct crash_bench *bench);
/* Ends in order. */
void crash_close (struct crash_bench *bench);
/* Ends as a process does that is killed; or with its machine. Also takes down what is left of one that is down. */
void crash_kill (struct crash_bench *bench);
void crash_cut_power (struct crash_bench *bench, enum disk_restart how);

/* --- what it does ---------------------------------------------------------------------------- */

/* A message of client or worker; JSON with ' for ", the first two with the arguments of printf's family filled in. */
void crash_client (struct crash_bench *bench, const char *command, const char *header, const char *document);
void crash_worker (struct crash_bench *bench, const char *command, const char *header, const char *document);
/* Submits so many workflows of two steps, each with so many bytes of payload. They are called w1, w2, .... */
void crash_submit (struct crash_bench *bench, unsigned count, size_t bytes);
/* A worker comes with so many free slots. */
void crash_ready (struct crash_bench *bench, unsigned slots);
/* So many of the leases that were granted: their first step is through; all is; the first fails. */
void crash_work_half (struct crash_bench *bench, unsigned count);
void crash_work (struct crash_bench *bench, unsigned count);
void crash_fail (struct crash_bench *bench, unsigned count);
void crash_pass_ms (struct crash_bench *bench, int64_t ms);
/* Makes durable what has come of it so far. */
void crash_commit (struct crash_bench *bench);
void crash_rest (struct crash_bench *bench, bool idle);
/* Reads every event by page, every record, and every list. */
void crash_read (struct crash_bench *bench);
/* Has the copy of that number begun; or, when it has, fetches it: all that is acknowledged is in it. */
void crash_copy (struct crash_bench *bench, uint64_t number);
void crash_fetch_copy (struct crash_bench *bench, uint64_t number);

/* --- who plays ------------------------------------------------------------------------------- */

/* Has so many processes work, each on its share, and waits for them. False: one failed, or could not be started. */
bool crash_together (uint64_t jobs, void (*work) (void *context, uint64_t job), void *context);

/* --- what must be ---------------------------------------------------------------------------- */

/* Says which case this is, for the message of what must not be. */
void crash_case (const char *format, ...) __attribute__ ((format (printf, 1, 2)));
void crash_wrong (const char *format, ...) __attribute__ ((format (printf, 1, 2), noreturn));
#define CRASH_MUST(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            crash_wrong ("%s:%d: not so: %s", __FILE__, __LINE__, #condition);                                         \
    } while (0)

#endif
