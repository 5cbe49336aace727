/*
 * What is retained, and giving back what is not.
 *
 * A commit only says from which event on the past is retained; from then on nothing older is shown. Batches and rows
 * are removed in small transactions between commits. The file does not shrink: its free pages are taken for what comes.
 * To give them back to the system, SQLite would have to keep a map of all pages, which costs every commit a page more.
 */
#include <string.h>

#include "broker/journal_sqlite.h"

/* Of one transaction: removing takes about as long as reading. */
#define BATCHES_REMOVED 64
#define BYTES_REMOVED ((sqlite3_int64) 1 << 20)
#define ROW_SEQS_REMOVED 4096 /* seqs in which the accepting events of rows lie */

enum reel_status
reel_journal_keep_open (struct reel_journal *journal, struct reel_error *err)
{
    sqlite3_stmt *statement = reel_journal_ready (journal, REEL_JOURNAL_HEAD);
    int code = sqlite3_step (statement);
    enum reel_status status = REEL_OK;
    if (code == SQLITE_ROW) {
        journal->first_seq = (uint64_t) sqlite3_column_int64 (statement, 0);
        journal->kept_number = (uint64_t) sqlite3_column_int64 (statement, 1);
        journal->snapshot_number = (uint64_t) sqlite3_column_int64 (statement, 3);
        journal->pruning = journal->first_seq > 1;
    }
    if (code == SQLITE_ROW
        && (!reel_journal_take_chain (statement, 2, journal->kept_chain) || journal->first_seq < 1
            || journal->first_seq > INT64_MAX || journal->kept_number < 1 || journal->kept_number > INT64_MAX
            || journal->snapshot_number > INT64_MAX
            || (journal->snapshot_number > 0 && journal->snapshot_number < journal->kept_number)))
        code = SQLITE_DONE;
    if (code == SQLITE_DONE)
        status = reel_error_set (err, REEL_IO, "journal_damaged", NULL,
                                 "%s is damaged: what it says of itself cannot be; restore the directory from a backup",
                                 journal->path);
    else if (code != SQLITE_ROW)
        status = reel_journal_fail (journal, "read its head", err);
    (void) sqlite3_reset (statement);
    return status;
}

bool
reel_journal_keep_note (struct reel_journal *journal, const struct reel_journal_batch *batch)
{
    if (batch->snapshot_ends && journal->begun_number > 0) {
        if (!reel_journal_run_with (journal, REEL_JOURNAL_SET_SNAPSHOT, journal->begun_number, 0, 0))
            return false;
        journal->snapshot_number = journal->begun_number;
        /* Where no event is retained before it, nothing is. */
        journal->pruning = journal->pruning || journal->first_seq > 1 || journal->last_seq == 0;
    }
    if (batch->forgotten_seq == 0)
        return true;
    journal->first_seq = batch->forgotten_seq + 1;
    journal->pruning = true;
    journal->pruned_seq = 0;
    return reel_journal_run_with (journal, REEL_JOURNAL_SET_FIRST, journal->first_seq, 0, 0);
}

/* A batch that may go. */
struct oldest {
    bool goes;
    uint8_t chain[REEL_CHAIN_BYTES];
    sqlite3_int64 bytes;
};

/* Recovery needs those from the last snapshot on, readers those with an event that is retained. */
static bool
look_at_oldest (struct reel_journal *journal, uint64_t number, struct oldest *oldest)
{
    oldest->goes = number < journal->snapshot_number;
    if (!oldest->goes)
        return true;
    sqlite3_stmt *statement = reel_journal_ready (journal, REEL_JOURNAL_OLDEST);
    (void) sqlite3_bind_int64 (statement, 1, (sqlite3_int64) number);
    bool read = sqlite3_step (statement) == SQLITE_ROW && reel_journal_take_chain (statement, 1, oldest->chain);
    oldest->goes = read && (uint64_t) sqlite3_column_int64 (statement, 0) <= journal->first_seq;
    oldest->bytes = read ? sqlite3_column_int64 (statement, 2) : 0;
    return sqlite3_reset (statement) == SQLITE_OK && read;
}

static bool
remove_batches (struct reel_journal *journal, bool *more)
{
    struct oldest oldest = {.goes = true};
    uint64_t number = journal->kept_number;
    uint8_t chain[REEL_CHAIN_BYTES];
    sqlite3_int64 bytes = 0;
    memcpy (chain, journal->kept_chain, sizeof chain);
    while (number < journal->kept_number + BATCHES_REMOVED && bytes < BYTES_REMOVED) {
        if (!look_at_oldest (journal, number, &oldest))
            return false;
        if (!oldest.goes)
            break;
        if (!reel_journal_run_with (journal, REEL_JOURNAL_DROP_BATCH, number, 0, 0))
            return false;
        memcpy (chain, oldest.chain, sizeof chain);
        bytes += oldest.bytes;
        number++;
    }
    *more = oldest.goes;
    if (number == journal->kept_number)
        return true;
    sqlite3_stmt *statement = reel_journal_ready (journal, REEL_JOURNAL_SET_KEPT);
    if (sqlite3_bind_int64 (statement, 1, (sqlite3_int64) number) != SQLITE_OK
        || sqlite3_bind_blob (statement, 2, chain, sizeof chain, SQLITE_STATIC) != SQLITE_OK
        || !reel_journal_run (journal, REEL_JOURNAL_SET_KEPT))
        return false;
    memcpy (journal->kept_chain, chain, sizeof chain);
    journal->kept_number = number;
    return true;
}

/* Workflows that were accepted before what is retained, and may have ended later, are few. */
static bool
remove_rows (struct reel_journal *journal, bool *more)
{
    sqlite3_stmt *statement = reel_journal_ready (journal, REEL_JOURNAL_NEXT_ROW);
    (void) sqlite3_bind_int64 (statement, 1, (sqlite3_int64) journal->pruned_seq);
    bool read = sqlite3_step (statement) == SQLITE_ROW;
    bool there = read && sqlite3_column_type (statement, 0) == SQLITE_INTEGER;
    uint64_t from = there ? (uint64_t) sqlite3_column_int64 (statement, 0) : 0;
    if (sqlite3_reset (statement) != SQLITE_OK || !read)
        return false;
    *more = there && from < journal->first_seq;
    if (!*more)
        return true;
    journal->pruned_seq = from + ROW_SEQS_REMOVED;
    return reel_journal_run_with (journal, REEL_JOURNAL_DROP_ROWS, from, journal->pruned_seq, journal->first_seq);
}

bool
reel_journal_keep_prune (struct reel_journal *journal)
{
    bool batches = false, rows = false;
    bool done = reel_journal_run (journal, REEL_JOURNAL_BEGIN) && remove_batches (journal, &batches)
                && remove_rows (journal, &rows) && reel_journal_run (journal, REEL_JOURNAL_COMMIT);
    journal->pruning = batches || rows;
    return done;
}
