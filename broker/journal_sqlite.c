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

/* Pages of the write-ahead log from which on a checkpoint is worth it, without and with work waiting. */
#define PAGE_BYTES 16384
#define IDLE_LOG_PAGES 64
#define BUSY_LOG_PAGES 1024

/* So much the log may take, with the batch after which there is a checkpoint; what that writes beyond the database's end
 * was counted as free in it before. */
#define LOG_BYTES (2ull * BUSY_LOG_PAGES * PAGE_BYTES)

/* A row, and whether it is what was written. */
#define ROW REEL_JOURNAL_ROW ", row_check IS row_check (" REEL_JOURNAL_ROW ")"

/* Commits after which, with work waiting, a sync of the tail is worth it. */
#define BUSY_TAIL_COMMITS 64

static const char *const statement_sql[REEL_JOURNAL_STATEMENT_COUNT] = {
    [REEL_JOURNAL_BEGIN] = "BEGIN IMMEDIATE",
    [REEL_JOURNAL_COMMIT] = "COMMIT",
    [REEL_JOURNAL_APPEND] = "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?)",
    [REEL_JOURNAL_ADD_ROW] = "INSERT INTO ended VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
                             " row_check (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9))",
    [REEL_JOURNAL_REPLAY] = "SELECT number, first_seq, event_count, epoch, chain, records FROM batch WHERE number >= ?"
                            " ORDER BY number",
    [REEL_JOURNAL_LAST] =
        "SELECT number, first_seq + event_count - 1, epoch, chain FROM batch ORDER BY number DESC LIMIT 1",
    [REEL_JOURNAL_CHAIN] = "SELECT chain FROM batch WHERE number = ?",
    [REEL_JOURNAL_PLACE] = "SELECT first_seq FROM batch WHERE number = ?",
    [REEL_JOURNAL_LOAD] = "SELECT first_seq, event_count, records, epoch, chain FROM batch WHERE number = ?",
    [REEL_JOURNAL_LIST] = "SELECT " ROW " FROM ended WHERE accepted_seq < ?1 ORDER BY accepted_seq DESC",
    [REEL_JOURNAL_LIST_RARE] = "SELECT " ROW " FROM ended INDEXED BY ended_rare WHERE accepted_seq < ?1"
                               " AND status = ?2 AND status <> 'succeeded' ORDER BY accepted_seq DESC",
    [REEL_JOURNAL_ENDED] = "SELECT " ROW " FROM ended WHERE ended_seq >= ? ORDER BY accepted_seq",
    [REEL_JOURNAL_HEAD] = "SELECT first_seq, kept_number, kept_chain, snapshot_number FROM head",
    [REEL_JOURNAL_SET_SNAPSHOT] = "UPDATE head SET snapshot_number = ?",
    [REEL_JOURNAL_SET_FIRST] = "UPDATE head SET first_seq = ?",
    [REEL_JOURNAL_SET_KEPT] = "UPDATE head SET kept_number = ?, kept_chain = ?",
    [REEL_JOURNAL_OLDEST] = "SELECT first_seq + event_count, chain, length (records) FROM batch WHERE number = ?",
    [REEL_JOURNAL_DROP_BATCH] = "DELETE FROM batch WHERE number = ?",
    [REEL_JOURNAL_NEXT_ROW] = "SELECT min (accepted_seq) FROM ended WHERE accepted_seq >= ?",
    [REEL_JOURNAL_DROP_ROWS] = "DELETE FROM ended WHERE accepted_seq >= ? AND accepted_seq < ? AND ended_seq < ?",
    [REEL_JOURNAL_PAGES] = "PRAGMA page_count",
    [REEL_JOURNAL_FREE_PAGES] = "PRAGMA freelist_count",
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
                         : (code & 0xff) == SQLITE_FULL
                             ? "; free some space, then start again"
                             : "; see to its disk and start again, or restore the directory from a backup";
    return reel_error_set (err, REEL_IO, "journal_failed", NULL, "%s: cannot %s: %s (SQLite %d)%s", journal->path, what,
                           sqlite3_errmsg (journal->db), code, advice);
}

/* What it was last asked came to nothing for want of memory. */
static bool
is_out_of_memory (const struct reel_journal *journal)
{
    return (sqlite3_errcode (journal->db) & 0xff) == SQLITE_NOMEM;
}

enum reel_status
reel_journal_damaged (struct reel_journal *journal, uint64_t number, const char *what, struct reel_error *err)
{
    if (is_out_of_memory (journal))
        return reel_journal_fail (journal, "read a batch", err);
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

enum reel_status
reel_journal_make_file (const char *path, struct reel_error *err)
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
    enum reel_status status = reel_journal_make_file (journal->path, err);
    return status == REEL_OK ? reel_journal_make_file (journal->tail_path, err) : status;
}

bool
reel_journal_has_file (const struct reel_journal *journal, const char *path)
{
    int there = 0;
    return journal->vfs->xAccess (journal->vfs, path, SQLITE_ACCESS_EXISTS, &there) == SQLITE_OK && there != 0;
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
        return reel_error_set (
            err, REEL_INVALID, "journal_foreign", NULL,
            "%s is not a journal of reel, or damaged: restore the directory from a backup, or name another one",
            journal->path);
    default: return reel_journal_fail (journal, "open it", err);
    }
}

/* At the close SQLite would write the log into the database, and remove it; one that it made itself may go. */
static enum reel_status
leave_log (struct reel_journal *journal, struct reel_error *err)
{
    sqlite3_file *log = NULL;
    sqlite3_int64 bytes = 0;
    int code = sqlite3_file_control (journal->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (code == SQLITE_OK && log && log->pMethods)
        code = log->pMethods->xFileSize (log, &bytes);
    if (code == SQLITE_OK)
        code = sqlite3_db_config (journal->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, bytes > 0, NULL);
    return code == SQLITE_OK ? REEL_OK : reel_journal_fail (journal, "set it up", err);
}

/* Exclusive before the write-ahead log: then SQLite needs no shared memory, and nobody else gets in. */
static enum reel_status
set_up (struct reel_journal *journal, struct reel_error *err)
{
    static const char own_sql[] =
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA page_size = 16384; PRAGMA journal_mode = WAL;";
    static const char look_sql[] = "PRAGMA locking_mode = EXCLUSIVE; SELECT count (*) FROM sqlite_schema;";
    static const char sql[] = "PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;"
                              "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384; PRAGMA secure_delete = OFF;";
    if (sqlite3_exec (journal->db, journal->look_only ? look_sql : own_sql, NULL, NULL, NULL) != SQLITE_OK
        || sqlite3_exec (journal->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return fail_open (journal, err);
    (void) sqlite3_wal_hook (journal->db, count_log_pages, journal);
    if (REEL_MUTANT_IS (5))
        return sqlite3_exec (journal->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL) == SQLITE_OK ? REEL_OK
                                                                                                     : REEL_IO;
    if (journal->look_only)
        return leave_log (journal, err);
    if (!pragma_is (journal->db, "PRAGMA journal_mode", "wal") || !pragma_is (journal->db, "PRAGMA synchronous", "2")
        || !pragma_is (journal->db, "PRAGMA locking_mode", "exclusive"))
        return is_out_of_memory (journal)
                   ? reel_journal_fail (journal, "set it up", err)
                   : reel_error_set (err, REEL_IO, "journal_failed", NULL,
                                     "%s: SQLite does not take the settings that make a commit durable", journal->path);
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

bool
reel_journal_take_chain (sqlite3_stmt *statement, int column, uint8_t chain[REEL_CHAIN_BYTES])
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
        if (!reel_journal_take_chain (statement, 3, journal->chain))
            status = reel_journal_damaged (journal, journal->number, "has no chain", err);
    } else if (code != SQLITE_DONE)
        status = reel_journal_fail (journal, "read its end", err);
    (void) sqlite3_reset (statement);
    return status;
}

static enum reel_status
check_tail (struct reel_journal *journal, const struct reel_journal_tail *tail, struct reel_error *err)
{
    if (tail->number < journal->kept_number || REEL_MUTANT_IS (8))
        return REEL_OK; /* none, or what came before was complete, and is gone by now */
    uint8_t chain[REEL_CHAIN_BYTES];
    sqlite3_stmt *statement = reel_journal_ready (journal, REEL_JOURNAL_CHAIN);
    (void) sqlite3_bind_int64 (statement, 1, (sqlite3_int64) tail->number);
    int code = tail->number <= journal->number ? sqlite3_step (statement) : SQLITE_DONE;
    bool same = code == SQLITE_ROW && reel_journal_take_chain (statement, 0, chain)
                && memcmp (chain, tail->chain, REEL_CHAIN_BYTES) == 0;
    enum reel_status status = REEL_OK;
    if ((code != SQLITE_ROW && code != SQLITE_DONE) || (!same && is_out_of_memory (journal)))
        status = reel_journal_fail (journal, "read its end", err);
    (void) sqlite3_reset (statement);
    if (same || status != REEL_OK)
        return status;
    return reel_error_set (err, REEL_INVALID, "journal_damaged", NULL,
                           "%s ends at batch %llu, but batch %llu was committed: what was acknowledged since is lost "
                           "(a damaged or missing %s-wal). Restore the directory from a backup, or remove %s to go on "
                           "without it",
                           journal->path, (unsigned long long) journal->number, (unsigned long long) tail->number,
                           journal->path, journal->tail_path);
}

static bool
read_number (struct reel_journal *journal, enum reel_journal_statement which, uint64_t *number)
{
    sqlite3_stmt *statement = reel_journal_ready (journal, which);
    bool read = sqlite3_step (statement) == SQLITE_ROW;
    *number = read ? (uint64_t) sqlite3_column_int64 (statement, 0) : 0;
    return sqlite3_reset (statement) == SQLITE_OK && read;
}

static bool
measure (struct reel_journal *journal)
{
    uint64_t pages, free_pages;
    if (!read_number (journal, REEL_JOURNAL_PAGES, &pages)
        || !read_number (journal, REEL_JOURNAL_FREE_PAGES, &free_pages))
        return false;
    journal->bytes = pages * PAGE_BYTES;
    journal->free_bytes = free_pages * PAGE_BYTES;
    return true;
}

static enum reel_status
open_all (struct reel_journal *journal, const struct reel_journal_setup *setup, struct reel_error *err)
{
    journal->vfs = sqlite3_vfs_find (setup->vfs);
    journal->path = join (setup->directory, "journal.db");
    journal->tail_path = join (setup->directory, "journal.tail");
    if (!journal->vfs || !journal->path || !journal->tail_path)
        return REEL_NO_MEMORY;
    journal->look_only = setup->look_only;
    enum reel_status status = setup->vfs || setup->look_only ? REEL_OK : make_files (journal, setup->directory, err);
    if (status != REEL_OK)
        return status;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
                | (setup->look_only ? 0 : SQLITE_OPEN_CREATE);
    if (sqlite3_open_v2 (journal->path, &journal->db, flags, setup->vfs) != SQLITE_OK)
        return journal->db ? fail_open (journal, err) : REEL_NO_MEMORY;
    struct reel_journal_tail tail;
    if ((status = set_up (journal, err)) != REEL_OK || (status = reel_journal_format_check (journal, err)) != REEL_OK
        || (status = prepare (journal, err)) != REEL_OK || (status = reel_journal_keep_open (journal, err)) != REEL_OK
        || (status = find_end (journal, err)) != REEL_OK
        || (!setup->look_only && (status = reel_journal_settle (journal, err)) != REEL_OK)
        || (status = reel_journal_tail_open (journal, &tail, err)) != REEL_OK
        || (status = check_tail (journal, &tail, err)) != REEL_OK)
        return status;
    if (!measure (journal))
        return reel_journal_fail (journal, "measure it", err);
    journal->copy.simulated = setup->vfs != NULL;
    journal->copy.path = join (setup->directory, "backup.db");
    if (!journal->copy.path)
        return REEL_NO_MEMORY;
    reel_journal_copy_close (journal);
    if (!setup->vfs && !setup->look_only && !sync_directory (setup->directory))
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
    reel_journal_copy_close (closing);
    (void) sqlite3_close (closing->db);
    reel_journal_tail_close (closing);
    reel_journal_forget (closing);
    free (closing->path);
    free (closing->tail_path);
    free (closing->copy.path);
    free (closing);
}

/* --- committing ------------------------------------------------------------------------------ */

void
reel_journal_link (uint8_t chain[REEL_CHAIN_BYTES], uint64_t number, const struct reel_journal_batch *batch)
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

bool
reel_journal_run (struct reel_journal *journal, enum reel_journal_statement which)
{
    sqlite3_stmt *statement = reel_journal_ready (journal, which);
    bool done = sqlite3_step (statement) == SQLITE_DONE;
    return sqlite3_reset (statement) == SQLITE_OK && done;
}

bool
reel_journal_run_with (struct reel_journal *journal, enum reel_journal_statement which, uint64_t first, uint64_t second,
                       uint64_t third)
{
    sqlite3_stmt *statement = reel_journal_ready (journal, which);
    const uint64_t numbers[] = {first, second, third};
    bool bound = true;
    for (int i = 0; i < sqlite3_bind_parameter_count (statement) && i < 3; i++)
        bound = bound && sqlite3_bind_int64 (statement, i + 1, (sqlite3_int64) numbers[i]) == SQLITE_OK;
    return bound && reel_journal_run (journal, which);
}

/* A batch alone is a transaction of its own. */
static bool
commit (struct reel_journal *journal, uint64_t number, const struct reel_journal_batch *batch,
        const uint8_t chain[REEL_CHAIN_BYTES])
{
    if (batch->row_count == 0 && !batch->snapshot_ends && batch->forgotten_seq == 0)
        return append_batch (journal, number, batch, chain);
    bool done = (REEL_MUTANT_IS (6) || reel_journal_run (journal, REEL_JOURNAL_BEGIN))
                && append_batch (journal, number, batch, chain);
    for (size_t i = 0; i < batch->row_count && done; i++)
        done = add_row (journal, &batch->rows[i]);
    return done && reel_journal_keep_note (journal, batch)
           && (REEL_MUTANT_IS (6) || reel_journal_run (journal, REEL_JOURNAL_COMMIT));
}

enum reel_status
reel_journal_append (struct reel_journal *journal, const struct reel_journal_batch *batch, struct reel_error *err)
{
    if (journal->failed)
        return refuse_failed (journal, err);
    REEL_ASSERT (!journal->look_only);
    if (batch->epoch < journal->epoch && !REEL_MUTANT_IS (7))
        return reel_error_set (err, REEL_INVALID, "stale_epoch", NULL,
                               "%s is at epoch %llu: this broker, at %llu, is over", journal->path,
                               (unsigned long long) journal->epoch, (unsigned long long) batch->epoch);
    REEL_ASSERT (batch->records.len > 0 && batch->first_seq == journal->last_seq + 1);
    if (batch->snapshot_begins)
        journal->begun_number = journal->number + 1;
    uint8_t chain[REEL_CHAIN_BYTES];
    uint64_t number = journal->number + 1;
    memcpy (chain, journal->chain, sizeof chain);
    reel_journal_link (chain, number, batch);
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
    if (idle || journal->number - journal->tail_number >= BUSY_TAIL_COMMITS) {
        enum reel_status status = reel_journal_tail_sync (journal, err);
        if (status != REEL_OK)
            return status;
    }
    reel_journal_copy_go_on (journal);
    if (journal->pruning && !reel_journal_keep_prune (journal))
        return reel_journal_fail (journal, "remove what is not retained", err);
    if (journal->log_pages < (idle && !journal->pruning ? IDLE_LOG_PAGES : BUSY_LOG_PAGES))
        return REEL_OK;
    if (sqlite3_wal_checkpoint_v2 (journal->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) != SQLITE_OK)
        return reel_journal_fail (journal, "checkpoint", err);
    journal->log_pages = 0;
    return measure (journal) ? REEL_OK : reel_journal_fail (journal, "measure it", err);
}

bool
reel_journal_restless (const struct reel_journal *journal)
{
    return (journal->pruning || journal->copy.under_way) && !journal->failed;
}

bool
reel_journal_has_room (uint64_t disk_free_bytes, uint64_t journal_free_bytes, uint64_t reserve_bytes)
{
    uint64_t log_bytes = reserve_bytes < LOG_BYTES ? reserve_bytes : LOG_BYTES;
    return disk_free_bytes >= log_bytes && disk_free_bytes + journal_free_bytes >= reserve_bytes;
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
    if (replay->next_seq == 0)
        replay->next_seq = batch.first_seq; /* the first one */
    replay->number++;
    reel_journal_link (replay->chain, replay->number, &batch);
    if (number != replay->number || batch.first_seq != replay->next_seq || batch.epoch < replay->epoch)
        return reel_journal_damaged (journal, replay->number, "is missing or out of order", err);
    if (!reel_journal_take_chain (statement, 4, chain)
        || (memcmp (chain, replay->chain, REEL_CHAIN_BYTES) != 0 && !REEL_MUTANT_IS (9)))
        return reel_journal_damaged (journal, number, "is not what was written (its hash differs)", err);
    replay->next_seq += batch.event_count;
    replay->epoch = batch.epoch;
    reel_journal_note (journal, number, batch.first_seq);
    return visit_records (journal, replay, &batch, err);
}

enum reel_status
reel_journal_chain_before (struct reel_journal *journal, uint64_t number, uint8_t chain[REEL_CHAIN_BYTES],
                           struct reel_error *err)
{
    if (number == journal->kept_number) {
        memcpy (chain, journal->kept_chain, REEL_CHAIN_BYTES);
        return REEL_OK;
    }
    sqlite3_stmt *statement = reel_journal_ready (journal, REEL_JOURNAL_CHAIN);
    (void) sqlite3_bind_int64 (statement, 1, (sqlite3_int64) number - 1);
    int code = sqlite3_step (statement);
    bool found = code == SQLITE_ROW && reel_journal_take_chain (statement, 0, chain);
    (void) sqlite3_reset (statement);
    if (found)
        return REEL_OK;
    return code == SQLITE_ROW || code == SQLITE_DONE
               ? reel_journal_damaged (journal, number - 1, "is missing or has no chain", err)
               : reel_journal_fail (journal, "find a batch", err);
}

enum reel_status
reel_journal_replay (struct reel_journal *journal, bool all, reel_journal_visit_fn visit, void *context,
                     struct reel_error *err)
{
    if (journal->failed)
        return refuse_failed (journal, err);
    uint64_t from = all || journal->snapshot_number == 0 ? journal->kept_number : journal->snapshot_number;
    struct replay replay = {.number = from - 1, .next_seq = from == 1, .visit = visit, .context = context};
    enum reel_status status = reel_journal_chain_before (journal, from, replay.chain, err);
    if (status != REEL_OK)
        return status;
    sqlite3_stmt *statement = reel_journal_ready (journal, REEL_JOURNAL_REPLAY);
    (void) sqlite3_bind_int64 (statement, 1, (sqlite3_int64) from);
    journal->marks.count = 0;
    int code;
    while ((code = sqlite3_step (statement)) == SQLITE_ROW && status == REEL_OK)
        status = replay_batch (journal, &replay, statement, err);
    if (status == REEL_OK && code != SQLITE_DONE)
        status = reel_journal_fail (journal, "replay", err);
    (void) sqlite3_reset (statement);
    if (status == REEL_OK && replay.number != journal->number)
        status = reel_journal_damaged (journal, replay.number + 1, "is missing", err);
    return status;
}

bool
reel_journal_is_whole (const struct reel_journal *journal)
{
    return journal->kept_number == 1;
}

bool
reel_journal_has_snapshot (const struct reel_journal *journal)
{
    return journal->snapshot_number != 0;
}

enum reel_status
reel_journal_check (struct reel_journal *journal, struct reel_error *err)
{
    if (pragma_is (journal->db, "PRAGMA integrity_check (1)", "ok"))
        return REEL_OK;
    if (is_out_of_memory (journal))
        return reel_journal_fail (journal, "check it", err);
    journal->failed = true;
    return reel_error_set (err, REEL_IO, "journal_damaged", NULL,
                           "%s is damaged: its tables and indexes do not agree; restore the directory from a backup",
                           journal->path);
}
