/*
 * What the parts of the SQLite journal share: commits and recovery (journal_sqlite.c), its format
 * (journal_sqlite_format.c), reading (journal_sqlite_read.c, and of one workflow journal_sqlite_trail.c), what is
 * retained (journal_sqlite_keep.c), a copy for a backup (journal_sqlite_copy.c), and the memory of the last commit
 * (journal_sqlite_tail.c).
 */
#ifndef REEL_BROKER_JOURNAL_SQLITE_H
#define REEL_BROKER_JOURNAL_SQLITE_H

#include <sqlite3.h>

#include "base/hash.h"
#include "broker/core/record.h"
#include "broker/journal.h"

enum reel_journal_statement {
    REEL_JOURNAL_BEGIN,
    REEL_JOURNAL_COMMIT,
    REEL_JOURNAL_APPEND,
    REEL_JOURNAL_ADD_ROW,
    REEL_JOURNAL_REPLAY,
    REEL_JOURNAL_LAST,
    REEL_JOURNAL_CHAIN,
    REEL_JOURNAL_PLACE,
    REEL_JOURNAL_LOAD,
    REEL_JOURNAL_LIST,
    REEL_JOURNAL_LIST_RARE,
    REEL_JOURNAL_ENDED,
    REEL_JOURNAL_HEAD,
    REEL_JOURNAL_SET_SNAPSHOT,
    REEL_JOURNAL_SET_FIRST,
    REEL_JOURNAL_SET_KEPT,
    REEL_JOURNAL_OLDEST,
    REEL_JOURNAL_DROP_BATCH,
    REEL_JOURNAL_NEXT_ROW,
    REEL_JOURNAL_DROP_ROWS,
    REEL_JOURNAL_PAGES,
    REEL_JOURNAL_FREE_PAGES,
    REEL_JOURNAL_STATEMENT_COUNT
};

#define REEL_JOURNAL_PAGE_BYTES 16384

/*
 * Where in the journal a seq is, roughly: the first seq of each stride-th batch. The stride doubles
 * whenever the marks are full; between two of them the batches themselves are searched. An index in
 * the database would cost each commit a page.
 */
#define REEL_JOURNAL_MARKS_MAX 8192

struct reel_journal_marks {
    uint64_t first_seqs[REEL_JOURNAL_MARKS_MAX]; /* of batch base + index * stride */
    uint64_t base;
    size_t count;
    uint64_t stride;
};

/* The batch that was read last, and where in it its events are: walking about in it is cheap. */
struct reel_journal_loaded {
    uint64_t number; /* 0: none */
    uint64_t first_seq;
    uint64_t event_count;
    struct reel_buf records;
    size_t *offsets; /* of the framed record of event first_seq + index */
    size_t offset_cap;
};

/* The way back through the events of one workflow, for who reads them in their order. */
struct reel_journal_trail {
    uint64_t key;      /* the workflow's */
    uint64_t *seqs;    /* from the newest one on: the i-th one found is at i % cap */
    size_t found, cap; /* found 0: no trail */
    uint64_t next;     /* the one before the last found; 0: none */
    uint64_t after;    /* the least that was asked for: so far it is to go */
    uint64_t used;     /* when, counted in reads */
};
#define REEL_JOURNAL_TRAILS 128

/* A copy that is being made, or was. */
struct reel_journal_copy {
    uint64_t number; /* 0: none */
    int failure;     /* SQLite's code, where it could not be made */
    char *path;
    sqlite3 *db;
    bool simulated;            /* it is no file of the system's */
    sqlite3_backup *under_way; /* NULL: complete, or failed */
    sqlite3_file *file;        /* when it is complete */
    uint64_t bytes;
};

struct reel_journal {
    sqlite3 *db;
    sqlite3_stmt *statements[REEL_JOURNAL_STATEMENT_COUNT];
    sqlite3_vfs *vfs;     /* every byte of database, log and tail goes through it */
    char *path;           /* of the database, for messages */
    char *tail_path;      /* of the tail */
    sqlite3_file *tail;   /* NULL: not open */
    uint64_t tail_number; /* that it held when it was synced, or opened */
    bool failed;          /* nothing is tried again after a failure of the disk */
    bool look_only;
    uint64_t number; /* of the last batch; 0: none */
    uint64_t last_seq;
    uint64_t epoch;
    uint8_t chain[REEL_CHAIN_BYTES];
    uint64_t first_seq;                   /* of the oldest event that is retained */
    uint64_t kept_number;                 /* of the oldest batch that is there */
    uint8_t kept_chain[REEL_CHAIN_BYTES]; /* before it */
    uint64_t snapshot_number;             /* of the batch in which the last complete snapshot begins; 0: none */
    uint64_t begun_number;                /* the same of the last one begun by this process */
    bool pruning;                         /* there may be more to remove */
    uint64_t pruned_seq;                  /* of the rows of ended workflows, those accepted before were looked at */
    uint64_t bytes, free_bytes;
    int log_pages; /* in the write-ahead log */
    struct reel_journal_marks marks;
    struct reel_journal_loaded loaded;
    uint64_t work; /* of this read */
    uint64_t reads;
    struct reel_journal_trail trails[REEL_JOURNAL_TRAILS];
    struct reel_journal_copy copy;
};

/* REEL_IO (REEL_NO_MEMORY): says in err what SQLite says, and marks the journal as failed. */
enum reel_status reel_journal_fail (struct reel_journal *journal, const char *what, struct reel_error *err);
/* REEL_IO: what was read is not what was written. `what` says what to name before it. */
enum reel_status reel_journal_damaged (struct reel_journal *journal, uint64_t number, const char *what,
                                       struct reel_error *err);
/* The statement, reset and ready to be bound. */
sqlite3_stmt *reel_journal_ready (struct reel_journal *journal, enum reel_journal_statement which);
/* Runs a statement that gives no rows. */
bool reel_journal_run (struct reel_journal *journal, enum reel_journal_statement which);
/* The same with numbers bound to it. */
bool reel_journal_run_with (struct reel_journal *journal, enum reel_journal_statement which, uint64_t first,
                            uint64_t second, uint64_t third);
/* The chain hash in a column; false if there is none. */
bool reel_journal_take_chain (sqlite3_stmt *statement, int column, uint8_t chain[REEL_CHAIN_BYTES]);
/* The chain before batch `number`, which is kept. */
enum reel_status reel_journal_chain_before (struct reel_journal *journal, uint64_t number,
                                            uint8_t chain[REEL_CHAIN_BYTES], struct reel_error *err) REEL_MUST_USE;
/* One link: what stands beside the records, then the records. `chain` goes from the one before to this one. */
void reel_journal_link (uint8_t chain[REEL_CHAIN_BYTES], uint64_t number, const struct reel_journal_batch *batch);
/* The row that the columns hold; false: it is not what was written. */
bool reel_journal_take_row (sqlite3_stmt *statement, struct reel_journal_row *row);
/* Is there such a file, with something in it? */
bool reel_journal_has_file (const struct reel_journal *journal, const char *path);
/* Makes durable what was found at the opening (journal_sqlite_settle.c). */
enum reel_status reel_journal_settle (struct reel_journal *journal, struct reel_error *err) REEL_MUST_USE;
/* Makes an empty file, readable by nobody else, unless it is there. */
enum reel_status reel_journal_make_file (const char *path, struct reel_error *err) REEL_MUST_USE;
/* Frees what reading holds. */
void reel_journal_forget (struct reel_journal *journal);
/* What is not retained counts as seen. */
uint64_t reel_journal_no_less (const struct reel_journal *journal, uint64_t after);
/* The head of the record of event `seq`, which is durable. Borrowed until the next one is asked for. */
enum reel_status reel_journal_find_head (struct reel_journal *journal, uint64_t seq, struct reel_record_head *head,
                                         struct reel_error *err) REEL_MUST_USE;
/* Adds event `seq` to the page unless that is full, or the work done: then there is `more`. `end` is where in `out` the
 * page ends at the latest. */
enum reel_status reel_journal_add_event (struct reel_journal *journal, uint64_t seq, const struct reel_journal_ask *ask,
                                         size_t end, struct reel_buf *out, struct reel_journal_page *page,
                                         struct reel_error *err) REEL_MUST_USE;
void reel_journal_drop_trail (struct reel_journal_trail *trail);
/* Batches are noted in order, as they are replayed or appended. */
void reel_journal_note (struct reel_journal *journal, uint64_t number, uint64_t first_seq);

/* --- the format ----------------------------------------------------------------------------- */

/* The columns of a row of `ended`, and whether they are what was written. */
#define REEL_JOURNAL_ROW                                                                                               \
    "accepted_seq, ended_seq, workflow_id, origin, status, submitted_us, started_us, finished_us, deliveries"

/* Makes the tables in an empty database, brings those of an earlier format up to this one, refuses others. Where the
 * journal is only looked at, in a transaction that is not committed. */
enum reel_status reel_journal_format_check (struct reel_journal *journal, struct reel_error *err) REEL_MUST_USE;

/* --- what is retained ------------------------------------------------------------------------ */

/* Reads what the journal says of itself. */
enum reel_status reel_journal_keep_open (struct reel_journal *journal, struct reel_error *err) REEL_MUST_USE;
/* Notes, within its transaction, what a batch says of snapshots and retention. False: see SQLite's error. */
bool reel_journal_keep_note (struct reel_journal *journal, const struct reel_journal_batch *batch);
/* Removes a little of what is not retained. False: see SQLite's error. */
bool reel_journal_keep_prune (struct reel_journal *journal);

/* --- the copy -------------------------------------------------------------------------------- */

/* Goes on with it a little. It may fail, which does no harm to the journal. */
void reel_journal_copy_go_on (struct reel_journal *journal);
/* Removes it, and what an earlier process left of one. */
void reel_journal_copy_close (struct reel_journal *journal);

/* --- the tail ------------------------------------------------------------------------------- */

/* The number and chain of the last commit, beside the database. `number` 0: none was kept. */
struct reel_journal_tail {
    uint64_t number;
    uint8_t chain[REEL_CHAIN_BYTES];
};

enum reel_status reel_journal_tail_open (struct reel_journal *journal, struct reel_journal_tail *tail,
                                         struct reel_error *err) REEL_MUST_USE;
/* After a commit, and without a sync: on a disk that lost it, the older one is still true. Never before one: what was
 * found at an opening may be there but not synced, and go with the machine. */
enum reel_status reel_journal_tail_write (struct reel_journal *journal, struct reel_error *err) REEL_MUST_USE;
/* From time to time: as far as this the end of the log cannot be lost, by a damaged disk, without being missed. */
enum reel_status reel_journal_tail_sync (struct reel_journal *journal, struct reel_error *err) REEL_MUST_USE;
void reel_journal_tail_close (struct reel_journal *journal);

#endif
