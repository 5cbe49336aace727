/*
 * A copy of the journal for a backup, while the journal goes on.
 *
 * SQLite copies page by page, between commits, and what is written meanwhile through this connection goes into the
 * copy as well: complete, it is the journal of that moment. It lies beside the journal, belongs to it alone, and is
 * gone when it was fetched, when nobody fetches it, and at the next start. It need not be synced: it is worth something
 * only once it is elsewhere.
 */
#include <string.h>

#include "broker/journal_sqlite.h"

#define PAGES_COPIED 64 /* between two commits: 1 MiB */

static void
drop (struct reel_journal_copy *copy)
{
    (void) sqlite3_backup_finish (copy->under_way);
    (void) sqlite3_close (copy->db);
    *copy = (struct reel_journal_copy){
        .path = copy->path, .number = copy->number, .failure = copy->failure, .simulated = copy->simulated};
}

/* It stays a failure: whoever asks for that number learns of it. */
static void
give_up (struct reel_journal_copy *copy, int code)
{
    copy->failure = code;
    drop (copy);
}

/* What was to be read is the journal's, and what was to be written the copy's; of a page that changed meanwhile, the copy
 * may be read as well. */
static enum reel_status
say_why (const struct reel_journal *journal, struct reel_error *err)
{
    int code = journal->copy.failure;
    bool full = (code & 0xff) == SQLITE_FULL;
    bool read = code == SQLITE_IOERR_READ || code == SQLITE_IOERR_SHORT_READ || code == SQLITE_IOERR_CORRUPTFS
                || (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
    return reel_error_set (err, REEL_NOT_FOUND, "no_copy", NULL, "%s: %s (SQLite %d)%s", sqlite3_errstr (code),
                           full   ? "there is no room for it beside the journal"
                           : read ? "the journal cannot be read"
                                  : "it cannot be written",
                           code, full ? "" : "; see to the disk of the journal");
}

void
reel_journal_copy_close (struct reel_journal *journal)
{
    struct reel_journal_copy *copy = &journal->copy;
    drop (copy);
    copy->number = 0;
    copy->failure = SQLITE_OK;
    if (copy->path && !journal->look_only)
        (void) journal->vfs->xDelete (journal->vfs, copy->path, 0);
}

static int
begin (struct reel_journal *journal)
{
    static const char sql[] = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;";
    struct reel_journal_copy *copy = &journal->copy;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    if (!copy->simulated && reel_journal_make_file (copy->path, NULL) != REEL_OK)
        return SQLITE_CANTOPEN;
    int code = sqlite3_open_v2 (copy->path, &copy->db, flags, journal->vfs->zName);
    if (code == SQLITE_OK)
        code = sqlite3_exec (copy->db, sql, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        copy->under_way = sqlite3_backup_init (copy->db, "main", journal->db, "main");
    return code == SQLITE_OK && !copy->under_way ? sqlite3_extended_errcode (copy->db) : code;
}

static int
complete (struct reel_journal_copy *copy)
{
    sqlite3_int64 bytes = 0;
    int code = sqlite3_backup_finish (copy->under_way);
    copy->under_way = NULL;
    if (code == SQLITE_OK)
        code = sqlite3_file_control (copy->db, "main", SQLITE_FCNTL_FILE_POINTER, &copy->file);
    if (code == SQLITE_OK)
        code = copy->file->pMethods->xFileSize (copy->file, &bytes);
    copy->bytes = (uint64_t) bytes;
    return code;
}

void
reel_journal_copy_go_on (struct reel_journal *journal)
{
    struct reel_journal_copy *copy = &journal->copy;
    if (!copy->under_way)
        return;
    int code = sqlite3_backup_step (copy->under_way, PAGES_COPIED);
    if (code == SQLITE_DONE)
        code = complete (copy);
    if (code != SQLITE_OK)
        give_up (copy, code);
}

enum reel_status
reel_journal_backup (struct reel_journal *journal, uint64_t number, uint64_t offset, size_t bytes_max,
                     struct reel_buf *out, uint64_t *bytes, struct reel_error *err)
{
    struct reel_journal_copy *copy = &journal->copy;
    *bytes = 0;
    if (number != copy->number) {
        reel_journal_copy_close (journal);
        copy->number = number;
        int code = begin (journal);
        if (code != SQLITE_OK)
            give_up (copy, code);
    }
    if (copy->under_way)
        return REEL_OK;
    if (!copy->file)
        return say_why (journal, err);
    *bytes = copy->bytes;
    uint64_t left = offset < copy->bytes ? copy->bytes - offset : 0;
    size_t len = left < bytes_max ? (size_t) left : bytes_max;
    uint8_t *room = len > 0 ? reel_buf_reserve (out, len) : NULL;
    if (len > 0 && !room)
        return REEL_NO_MEMORY;
    if (len > 0 && copy->file->pMethods->xRead (copy->file, room, (int) len, (sqlite3_int64) offset) != SQLITE_OK)
        return reel_error_set (err, REEL_NOT_FOUND, "no_copy", NULL,
                               "what was copied cannot be read again; see to the disk"
                               " of the journal");
    out->len += len;
    return REEL_OK;
}

void
reel_journal_backup_end (struct reel_journal *journal)
{
    reel_journal_copy_close (journal);
}
