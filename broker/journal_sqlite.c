/*
 * The embedded journal: SQLite, one connection, one thread, one row a batch.
 *
 * Rows are dear and bytes are cheap, so a batch is one row and a commit appends to one table. SQLite's
 * own checkpoint would run inside a commit; it is off, and reel_journal_rest() does it between commits.
 * Every batch carries the hash of all before it, checked when it is replayed.
 */
#include "broker/journal_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "broker/core/record.h"

#define APPLICATION_ID 0x7265656c /* "reel" */
#define FORMAT 1

/* Pages of the write-ahead log from which on a checkpoint is worth it, without and with work waiting. */
#define IDLE_LOG_PAGES 64
#define BUSY_LOG_PAGES 1024

static const char create_sql[] = "BEGIN IMMEDIATE;"
                                 "CREATE TABLE batch (number INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL,"
                                 " event_count INTEGER NOT NULL, epoch INTEGER NOT NULL, chain BLOB NOT NULL,"
                                 " records BLOB NOT NULL);"
                                 "CREATE TABLE ended (accepted_seq INTEGER PRIMARY KEY, ended_seq INTEGER NOT NULL,"
                                 " workflow_id TEXT NOT NULL, origin TEXT, status TEXT NOT NULL,"
                                 " submitted_us INTEGER NOT NULL, started_us INTEGER NOT NULL,"
                                 " finished_us INTEGER NOT NULL, deliveries INTEGER NOT NULL);"
                                 "CREATE INDEX ended_rare ON ended (status, accepted_seq) WHERE status <> 'succeeded';"
                                 "PRAGMA application_id = 1919247724;"
                                 "PRAGMA user_version = 1;"
                                 "COMMIT;";

#define ROW_COLUMNS                                                                                                    \
    "accepted_seq, ended_seq, workflow_id, origin, status, submitted_us, started_us, finished_us, deliveries"

static const char *const statement_sql[REEL_JOURNAL_STATEMENT_COUNT] = {
    [REEL_JOURNAL_BEGIN] = "BEGIN IMMEDIATE",
    [REEL_JOURNAL_COMMIT] = "COMMIT",
    [REEL_JOURNAL_APPEND] = "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?)",
    [REEL_JOURNAL_ADD_ROW] = "INSERT INTO ended VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [REEL_JOURNAL_REPLAY] = "SELECT number, first_seq, event_count, epoch, chain, records FROM batch ORDER BY number",
    [REEL_JOURNAL_LAST] =
        "SELECT number, first_seq + event_count - 1, epoch, chain FROM batch ORDER BY number DESC LIMIT 1",
    [REEL_JOURNAL_CHAIN] = "SELECT chain FROM batch WHERE number = ?",
    [REEL_JOURNAL_PLACE] = "SELECT first_seq FROM batch WHERE number = ?",
    [REEL_JOURNAL_LOAD] = "SELECT first_seq, event_count, records FROM batch WHERE number = ?",
    [REEL_JOURNAL_LIST] = "SELECT " ROW_COLUMNS " FROM ended WHERE accepted_seq < ? ORDER BY accepted_seq DESC LIMIT ?",
    [REEL_JOURNAL_LIST_STATUS] = "SELECT " ROW_COLUMNS " FROM ended WHERE accepted_seq < ? AND status = ?3"
                                 " ORDER BY accepted_seq DESC LIMIT ?2",
    [REEL_JOURNAL_LIST_RARE] = "SELECT " ROW_COLUMNS " FROM ended INDEXED BY ended_rare WHERE accepted_seq < ?"
                               " AND status = ?3 AND status <> 'succeeded' ORDER BY accepted_seq DESC LIMIT ?2",
};

/* --- failures -------------------------------------------------------------------------------- */

enum reel_status
reel_journal_fail (struct reel_journal *journal, const char *what, struct reel_error *err)
{
    int code = sqlite3_extended_errcode (journal->db);
    journal->failed = true;
    if ((code & 0xff) == SQLITE_NOMEM)
        return reel_error_set (err, REEL_NO_MEMORY, "no_memory", NULL, "%s: cannot %s: out of memory", journal->path,
                               what);
    const char *advice = (code & 0xff) == SQLITE_CORRUPT ? "; restore the directory from a backup"
                         : (code & 0xff) == SQLITE_FULL  ? "; free some space, then start again"
                                                         : "";
    return reel_error_set (err, REEL_IO, "journal_failed", NULL, "%s: cannot %s: %s (SQLite %d)%s", journal->path, what,
                           sqlite3_errmsg (journal->db), code, advice);
}

enum reel_status
reel_journal_damaged (struct reel_journal *journal, uint64_t number, const char *what, struct reel_error *err)
{
    journal->failed = true;
    return reel_error_set (err, REEL_IO, "journal_damaged", NULL,
                           "%s is damaged: batch %llu %s; restore the directory from a backup", journal->path,
                           (unsigned long long) number, what);
}

static enum reel_status
refuse_failed (const struct reel_journal *journal, struct reel_error *err)
{
    return reel_error_set (err, REEL_IO, "journal_failed", NULL, "%s: failed earlier", journal->path);
}

sqlite3_stmt *
reel_journal_ready (struct reel_journal *journal, enum reel_journal_statement which)
{
    sqlite3_stmt *statement = journal->statements[which];
    (void) sqlite3_reset (statement);
    return statement;
}

/* --- opening --------------------------------------------------------------------------------- */

static bool
sync_directory (const char *path)
{
    int directory = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = directory >= 0 && fsync (directory) == 0;
    if (directory >= 0)
        (void) close (directory);
    return done;
}

static enum reel_status
make_file (const char *path, struct reel_error *err)
{
    int file = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0)
        return reel_error_set (err, REEL_IO, "journal_failed", NULL, "%s: %s", path, strerror (errno));
    (void) close (file);
    return REEL_OK;
}

/* Makes the directory and the empty files if they are not there, readable by nobody else. SQLite gives the
 * files that it adds the mode of the database. */
static enum reel_status
make_files (const struct reel_journal *journal, const char *directory, struct reel_error *err)
{
    if (mkdir (directory, 0700) != 0 && errno != EEXIST)
        return reel_error_set (err, REEL_IO, "journal_failed", NULL, "%s: %s", directory, strerror (errno));
    enum reel_status status = make_file (journal->path, err);
    return status == REEL_OK ? make_file (journal->tail_path, err) : status;
}

static char *
join (const char *directory, const char *name)
{
    struct reel_buf path = {0};
    reel_buf_printf (&path, "%s/%s", directory, name);
    reel_buf_add_byte (&path, '\0');
    if (reel_buf_status (&path) == REEL_OK)
        return (char *) path.data;
    reel_buf_free (&path);
    return NULL;
}

static int
count_log_pages (void *context, sqlite3 *db, const char *name, int pages)
{
    struct reel_journal *journal = context;
    (void) db, (void) name;
    journal->log_pages = pages;
    return SQLITE_OK;
}

/* The first column of the first row of `sql`, as text. */
static bool
pragma_is (sqlite3 *db, const char *sql, const char *expected)
{
    sqlite3_stmt *statement = NULL;
    bool same = sqlite3_prepare_v2 (db, sql, -1, &statement, NULL) == SQLITE_OK
                && sqlite3_step (statement) == SQLITE_ROW && sqlite3_column_text (statement, 0)
                && strcmp ((const char *) sqlite3_column_text (statement, 0), expected) == 0;
    (void) sqlite3_finalize (statement);
    return same;
}

static enum reel_status
fail_open (struct reel_journal *journal, struct reel_error *err)
{
    switch (sqlite3_errcode (journal->db)) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return reel_error_set (err, REEL_INVALID, "journal_in_use", NULL,
                               "%s is in use: another broker has this directory", journal->path);
    case SQLITE_NOTADB:
        return reel_error_set (err, REEL_INVALID, "journal_foreign", NULL, "%s is not a journal of reel",
                               journal->path);
    default: return reel_journal_fail (journal, "open it", err);
    }
}

/* Exclusive before the write-ahead log: then SQLite needs no shared memory, and nobody else gets in. */
static enum reel_status
set_up (struct reel_journal *journal, struct reel_error *err)
{
    static const char sql[] = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA page_size = 16384; PRAGMA journal_mode = WAL;"
                              "PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;"
                              "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384;";
    if (sqlite3_exec (journal->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return fail_open (journal, err);
    (void) sqlite3_wal_hook (journal->db, count_log_pages, journal);
    if (REEL_MUTANT_IS (5))
        return sqlite3_exec (journal->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL) == SQLITE_OK ? REEL_OK
                                                                                                     : REEL_IO;
    if (!pragma_is (journal->db, "PRAGMA journal_mode", "wal") || !pragma_is (journal->db, "PRAGMA synchronous", "2")
        || !pragma_is (journal->db, "PRAGMA locking_mode", "exclusive"))
        return reel_error_set (err, REEL_IO, "journal_failed", NULL,
                               "%s: SQLite does not take the settings that make a commit durable", journal->path);
    return REEL_OK;
}

static enum reel_status
check_format (struct reel_journal *journal, struct reel_error *err)
{
    if (pragma_is (journal->db, "SELECT count (*) FROM sqlite_schema", "0")
        && pragma_is (journal->db, "PRAGMA application_id", "0") && pragma_is (journal->db, "PRAGMA user_version", "0"))
        return sqlite3_exec (journal->db, create_sql, NULL, NULL, NULL) == SQLITE_OK ? REEL_OK
                                                                                     : fail_open (journal, err);
    char expected[16];
    (void) snprintf (expected, sizeof expected, "%d", APPLICATION_ID);
    if (!pragma_is (journal->db, "PRAGMA application_id", expected))
        return reel_error_set (err, REEL_INVALID, "journal_foreign", NULL, "%s is not a journal of reel",
                               journal->path);
    (void) snprintf (expected, sizeof expected, "%d", FORMAT);
    if (!pragma_is (journal->db, "PRAGMA user_version", expected))
        return reel_error_set (err, REEL_INVALID, "journal_format", NULL,
                               "%s has another format than %d, the one of this version: use the version of reel that "
                               "wrote it",
                               journal->path, FORMAT);
    return REEL_OK;
}

static enum reel_status
prepare (struct reel_journal *journal, struct reel_error *err)
{
    for (size_t i = 0; i < REEL_JOURNAL_STATEMENT_COUNT; i++)
        if (sqlite3_prepare_v3 (journal->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &journal->statements[i],
                                NULL)
            != SQLITE_OK)
            return reel_journal_fail (journal, "prepare a statement", err);
    return REEL_OK;
}

/* The chain hash in a column; false if there is none. */
static bool
take_chain (sqlite3_stmt *statement, int column, uint8_t chain[REEL_CHAIN_BYTES])
{
    const void *bytes = sqlite3_column_blob (statement, column);
    if (!bytes || sqlite3_column_bytes (statement, column) != REEL_CHAIN_BYTES)
        return false;
    memcpy (chain, bytes, REEL_CHAIN_BYTES);
    return true;
}

static enum reel_status
find_end (struct reel_journal *journal, struct reel_error *err)
{
    sqlite3_stmt *statement = reel_journal_ready (journal, REEL_JOURNAL_LAST);
    int code = sqlite3_step (statement);
    enum reel_status status = REEL_OK;
    if (code == SQLITE_ROW) {
        journal->number = (uint64_t) sqlite3_column_int64 (statement, 0);
        journal->last_seq = (uint64_t) sqlite3_column_int64 (statement, 1);
        journal->epoch = (uint64_t) sqlite3_column_int64 (statement, 2);
        if (!take_chain (statement, 3, journal->chain))
            status = reel_journal_damaged (journal, journal->number, "has no chain", err);
    } else if (code != SQLITE_DONE)
        status = reel_journal_fail (journal, "read its end", err);
    (void) sqlite3_reset (statement);
    return status;
}

static enum reel_status
check_tail (struct reel_journal *journal, const struct reel_journal_tail *tail, struct reel_error *err)
{
    if (tail->number == 0 || REEL_MUTANT_IS (8))
        return REEL_OK;
    uint8_t chain[REEL_CHAIN_BYTES];
    sqlite3_stmt *statement = reel_journal_ready (journal, REEL_JOURNAL_CHAIN);
    (void) sqlite3_bind_int64 (statement, 1, (sqlite3_int64) tail->number);
    bool same = tail->number <= journal->number && sqlite3_step (statement) == SQLITE_ROW
                && take_chain (statement, 0, chain) && memcmp (chain, tail->chain, REEL_CHAIN_BYTES) == 0;
    (void) sqlite3_reset (statement);
    if (same)
        return REEL_OK;
    return reel_error_set (err, REEL_INVALID, "journal_damaged", NULL,
                           "%s ends at batch %llu, but batch %llu was committed: what was acknowledged since is lost "
                           "(a damaged or missing %s-wal). Restore the directory from a backup, or remove %s to go on "
                           "without it",
                           journal->path, (unsigned long long) journal->number, (unsigned long long) tail->number,
                           journal->path, journal->tail_path);
}

static enum reel_status
open_all (struct reel_journal *journal, const struct reel_journal_setup *setup, struct reel_error *err)
{
    journal->vfs = sqlite3_vfs_find (setup->vfs);
    journal->path = join (setup->directory, "journal.db");
    journal->tail_path = join (setup->directory, "journal.tail");
    if (!journal->vfs || !journal->path || !journal->tail_path)
        return REEL_NO_MEMORY;
    enum reel_status status = setup->vfs ? REEL_OK : make_files (journal, setup->directory, err);
    if (status != REEL_OK)
        return status;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2 (journal->path, &journal->db, flags, setup->vfs) != SQLITE_OK)
        return journal->db ? fail_open (journal, err) : REEL_NO_MEMORY;
    struct reel_journal_tail tail;
    if ((status = set_up (journal, err)) != REEL_OK || (status = check_format (journal, err)) != REEL_OK
        || (status = prepare (journal, err)) != REEL_OK || (status = find_end (journal, err)) != REEL_OK
        || (status = reel_journal_tail_open (journal, &tail, err)) != REEL_OK
        || (status = check_tail (journal, &tail, err)) != REEL_OK)
        return status;
    if (!setup->vfs && !sync_directory (setup->directory))
        return reel_error_set (err, REEL_IO, "journal_failed", NULL, "%s: %s", setup->directory, strerror (errno));
    return REEL_OK;
}

enum reel_status
reel_journal_open (const struct reel_journal_setup *setup, struct reel_journal **journal, struct reel_error *err)
{
    struct reel_journal *opened = calloc (1, sizeof *opened);
    if (!opened)
        return REEL_NO_MEMORY;
    opened->marks.stride = 1;
    enum reel_status status = open_all (opened, setup, err);
    if (status != REEL_OK) {
        reel_journal_close (&opened);
        return status;
    }
    *journal = opened;
    return REEL_OK;
}

void
reel_journal_close (struct reel_journal **journal)
{
    struct reel_journal *closing = *journal;
    *journal = NULL;
    if (!closing)
        return;
    for (size_t i = 0; i < REEL_JOURNAL_STATEMENT_COUNT; i++)
        (void) sqlite3_finalize (closing->statements[i]);
    (void) sqlite3_close (closing->db);
    reel_journal_tail_close (closing);
    reel_journal_forget (closing);
    free (closing->path);
    free (closing->tail_path);
    free (closing);
}

/* --- committing ------------------------------------------------------------------------------ */

/* One link: what stands beside the records, then the records. `chain` goes from the one before to this one. */
static void
link_batch (uint8_t chain[REEL_CHAIN_BYTES], uint64_t number, const struct reel_journal_batch *batch)
{
    const uint64_t fields[] = {number, batch->first_seq, batch->event_count, batch->epoch};
    uint8_t bytes[sizeof fields];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t) (fields[i / 8] >> 8 * (i % 8));
    reel_hash_chain (chain, reel_slice (bytes, sizeof bytes), chain);
    reel_hash_chain (chain, batch->records, chain);
}

static bool
append_batch (struct reel_journal *journal, uint64_t number, const struct reel_journal_batch *batch,
              const uint8_t chain[REEL_CHAIN_BYTES])
{
    sqlite3_stmt *statement = reel_journal_ready (journal, REEL_JOURNAL_APPEND);
    const uint64_t numbers[] = {number, batch->first_seq, batch->event_count, batch->epoch};
    bool done = true;
    for (int i = 0; i < 4; i++)
        done = done && sqlite3_bind_int64 (statement, i + 1, (sqlite3_int64) numbers[i]) == SQLITE_OK;
    done = done && sqlite3_bind_blob64 (statement, 5, chain, REEL_CHAIN_BYTES, SQLITE_STATIC) == SQLITE_OK
           && sqlite3_bind_blob64 (statement, 6, batch->records.data, batch->records.len, SQLITE_STATIC) == SQLITE_OK
           && sqlite3_step (statement) == SQLITE_DONE;
    return sqlite3_reset (statement) == SQLITE_OK && done;
}

static bool
bind_text (sqlite3_stmt *statement, int column, struct reel_slice text)
{
    if (text.len == 0)
        return sqlite3_bind_null (statement, column) == SQLITE_OK;
    return sqlite3_bind_text64 (statement, column, (const char *) text.data, text.len, SQLITE_STATIC, SQLITE_UTF8)
           == SQLITE_OK;
}

static bool
add_row (struct reel_journal *journal, const struct reel_journal_row *row)
{
    sqlite3_stmt *statement = reel_journal_ready (journal, REEL_JOURNAL_ADD_ROW);
    bool done = sqlite3_bind_int64 (statement, 1, (sqlite3_int64) row->accepted_seq) == SQLITE_OK
                && sqlite3_bind_int64 (statement, 2, (sqlite3_int64) row->ended_seq) == SQLITE_OK
                && bind_text (statement, 3, row->workflow_id) && bind_text (statement, 4, row->origin)
                && bind_text (statement, 5, reel_slice_text (row->status))
                && sqlite3_bind_int64 (statement, 6, row->submitted_us) == SQLITE_OK
                && sqlite3_bind_int64 (statement, 7, row->started_us) == SQLITE_OK
                && sqlite3_bind_int64 (statement, 8, row->finished_us) == SQLITE_OK
                && sqlite3_bind_int64 (statement, 9, (sqlite3_int64) row->deliveries) == SQLITE_OK
                && sqlite3_step (statement) == SQLITE_DONE;
    return sqlite3_reset (statement) == SQLITE_OK && done;
}

static bool
run (struct reel_journal *journal, enum reel_journal_statement which)
{
    sqlite3_stmt *statement = reel_journal_ready (journal, which);
    bool done = sqlite3_step (statement) == SQLITE_DONE;
    return sqlite3_reset (statement) == SQLITE_OK && done;
}

/* A batch alone is a transaction of its own. */
static bool
commit (struct reel_journal *journal, uint64_t number, const struct reel_journal_batch *batch,
        const uint8_t chain[REEL_CHAIN_BYTES])
{
    if (batch->row_count == 0)
        return append_batch (journal, number, batch, chain);
    bool done = (REEL_MUTANT_IS (6) || run (journal, REEL_JOURNAL_BEGIN))
                && append_batch (journal, number, batch, chain);
    for (size_t i = 0; i < batch->row_count && done; i++)
        done = add_row (journal, &batch->rows[i]);
    return done && (REEL_MUTANT_IS (6) || run (journal, REEL_JOURNAL_COMMIT));
}

enum reel_status
reel_journal_append (struct reel_journal *journal, const struct reel_journal_batch *batch, struct reel_error *err)
{
    if (journal->failed)
        return refuse_failed (journal, err);
    if (batch->epoch < journal->epoch && !REEL_MUTANT_IS (7))
        return reel_error_set (err, REEL_INVALID, "stale_epoch", NULL,
                               "%s is at epoch %llu: this broker, at %llu, is over", journal->path,
                               (unsigned long long) journal->epoch, (unsigned long long) batch->epoch);
    REEL_ASSERT (batch->records.len > 0 && batch->first_seq == journal->last_seq + 1);
    uint8_t chain[REEL_CHAIN_BYTES];
    uint64_t number = journal->number + 1;
    memcpy (chain, journal->chain, sizeof chain);
    link_batch (chain, number, batch);
    if (!commit (journal, number, batch, chain))
        return reel_journal_fail (journal, "commit a batch", err);
    journal->number = number;
    journal->last_seq += batch->event_count;
    journal->epoch = batch->epoch;
    memcpy (journal->chain, chain, sizeof chain);
    reel_journal_note (journal, number, batch->first_seq);
    return reel_journal_tail_write (journal, err);
}

/* With one connection and nobody reading, a passive checkpoint is a complete one, and the next commit starts the
 * log from its beginning: the file is written over, not extended. */
enum reel_status
reel_journal_rest (struct reel_journal *journal, bool idle, struct reel_error *err)
{
    if (journal->failed)
        return refuse_failed (journal, err);
    if (journal->log_pages < (idle ? IDLE_LOG_PAGES : BUSY_LOG_PAGES))
        return REEL_OK;
    if (sqlite3_wal_checkpoint_v2 (journal->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) != SQLITE_OK)
        return reel_journal_fail (journal, "checkpoint", err);
    journal->log_pages = 0;
    return REEL_OK;
}

/* --- recovery -------------------------------------------------------------------------------- */

/* Where a replay stands. */
struct replay {
    uint64_t number;
    uint64_t next_seq;
    uint64_t epoch;
    uint8_t chain[REEL_CHAIN_BYTES];
    reel_journal_visit_fn visit;
    void *context;
};

static enum reel_status
visit_records (struct reel_journal *journal, const struct replay *replay, const struct reel_journal_batch *batch,
               struct reel_error *err)
{
    struct reel_slice rest = batch->records, record;
    bool damaged = false;
    while (reel_record_take (&rest, &record, &damaged) && !(REEL_MUTANT_IS (10) && rest.len == 0)) {
        enum reel_status status = replay->visit (replay->context, record, err);
        if (status != REEL_OK)
            return status;
    }
    return damaged ? reel_journal_damaged (journal, replay->number, "has records out of form", err) : REEL_OK;
}

static enum reel_status
replay_batch (struct reel_journal *journal, struct replay *replay, sqlite3_stmt *statement, struct reel_error *err)
{
    uint8_t chain[REEL_CHAIN_BYTES];
    uint64_t number = (uint64_t) sqlite3_column_int64 (statement, 0);
    int len = sqlite3_column_bytes (statement, 5);
    const void *records = sqlite3_column_blob (statement, 5);
    if (len > 0 && !records)
        return reel_journal_fail (journal, "read a batch", err);
    struct reel_journal_batch batch = {.first_seq = (uint64_t) sqlite3_column_int64 (statement, 1),
                                       .event_count = (uint64_t) sqlite3_column_int64 (statement, 2),
                                       .epoch = (uint64_t) sqlite3_column_int64 (statement, 3),
                                       .records = reel_slice (records, (size_t) len)};
    replay->number++;
    link_batch (replay->chain, replay->number, &batch);
    if (number != replay->number || batch.first_seq != replay->next_seq || batch.epoch < replay->epoch)
        return reel_journal_damaged (journal, replay->number, "is missing or out of order", err);
    if (!take_chain (statement, 4, chain)
        || (memcmp (chain, replay->chain, REEL_CHAIN_BYTES) != 0 && !REEL_MUTANT_IS (9)))
        return reel_journal_damaged (journal, number, "is not what was written (its hash differs)", err);
    replay->next_seq += batch.event_count;
    replay->epoch = batch.epoch;
    reel_journal_note (journal, number, batch.first_seq);
    return visit_records (journal, replay, &batch, err);
}

enum reel_status
reel_journal_replay (struct reel_journal *journal, reel_journal_visit_fn visit, void *context, struct reel_error *err)
{
    if (journal->failed)
        return refuse_failed (journal, err);
    struct replay replay = {.next_seq = 1, .visit = visit, .context = context};
    sqlite3_stmt *statement = reel_journal_ready (journal, REEL_JOURNAL_REPLAY);
    enum reel_status status = REEL_OK;
    int code;
    while ((code = sqlite3_step (statement)) == SQLITE_ROW && status == REEL_OK)
        status = replay_batch (journal, &replay, statement, err);
    if (status == REEL_OK && code != SQLITE_DONE)
        status = reel_journal_fail (journal, "replay", err);
    (void) sqlite3_reset (statement);
    return status;
}
