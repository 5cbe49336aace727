/*
 * What is found at an opening is made durable before anything is built on it.
 *
 * What a process reads is what the system holds in memory, and that may not be what is on disk: when a sync fails,
 * the system forgets that anything was to be written, and a later sync that succeeds does not bring it back. The broker
 * ends with a failed sync; the next one would read the batch that was not synced, commit behind it, and lose
 * both when the machine stops. So the log is written again as it was read, and synced: its bytes stay what they are. So is
 * the first page of the database, without which SQLite takes the log for none. What else is in the database comes out
 * of the log, which starts anew only after a sync of the database that succeeded.
 */
#include "broker/journal_sqlite.h"

#define PIECE_BYTES 65536

static int
write_again (sqlite3_file *file, sqlite3_int64 bytes)
{
    static const int flags = SQLITE_SYNC_FULL;
    uint8_t piece[PIECE_BYTES];
    int code = SQLITE_OK;
    for (sqlite3_int64 at = 0; at < bytes && code == SQLITE_OK; at += PIECE_BYTES) {
        int len = bytes - at < PIECE_BYTES ? (int) (bytes - at) : PIECE_BYTES;
        code = file->pMethods->xRead (file, piece, len, at);
        if (code == SQLITE_OK)
            code = file->pMethods->xWrite (file, piece, len, at);
    }
    return code == SQLITE_OK ? file->pMethods->xSync (file, flags) : code;
}

/* `most` 0: all of it. A file that is not there, or empty, is left alone. */
static int
settle_file (struct reel_journal *journal, int which, sqlite3_int64 most)
{
    sqlite3_file *file = NULL;
    sqlite3_int64 bytes = 0;
    int code = sqlite3_file_control (journal->db, "main", which, &file);
    if (code == SQLITE_OK && file != NULL && file->pMethods != NULL)
        code = file->pMethods->xFileSize (file, &bytes);
    if (code != SQLITE_OK || bytes == 0)
        return code;
    return write_again (file, most > 0 && bytes > most ? most : bytes);
}

enum reel_status
reel_journal_settle (struct reel_journal *journal, struct reel_error *err)
{
    int code = settle_file (journal, SQLITE_FCNTL_JOURNAL_POINTER, 0);
    if (code == SQLITE_OK)
        code = settle_file (journal, SQLITE_FCNTL_FILE_POINTER, REEL_JOURNAL_PAGE_BYTES);
    if (code == SQLITE_OK)
        return REEL_OK;
    journal->failed = true;
    return reel_error_set (err, REEL_IO, "journal_failed", NULL,
                           "%s: cannot write again what was found: %s (SQLite %d)", journal->path,
                           sqlite3_errstr (code), code);
}
