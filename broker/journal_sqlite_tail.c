/*
 * SQLite drops a damaged end of its write-ahead log without a word. So what was committed last is
 * also kept beside the database, and a database that ends before it is refused.
 */
#include "broker/journal_sqlite.h"

#include <stdlib.h>
#include <string.h>

#define TAIL_MAGIC "REELTAIL"
#define NUMBER_AT 8
#define CHAIN_AT 16
#define CHECK_AT (CHAIN_AT + REEL_CHAIN_BYTES)
#define TAIL_BYTES (CHECK_AT + REEL_CHAIN_BYTES)

static void
encode (const struct reel_journal_tail *tail, uint8_t bytes[TAIL_BYTES])
{
    static const uint8_t start[REEL_CHAIN_BYTES];
    memcpy (bytes, TAIL_MAGIC, NUMBER_AT);
    for (unsigned i = 0; i < 8; i++)
        bytes[NUMBER_AT + i] = (uint8_t) (tail->number >> 8 * i);
    memcpy (bytes + CHAIN_AT, tail->chain, REEL_CHAIN_BYTES);
    reel_hash_chain (start, reel_slice (bytes, CHECK_AT), bytes + CHECK_AT);
}

static bool
decode (const uint8_t bytes[TAIL_BYTES], struct reel_journal_tail *tail)
{
    struct reel_journal_tail read = {0};
    for (unsigned i = 0; i < 8; i++)
        read.number |= (uint64_t) bytes[NUMBER_AT + i] << 8 * i;
    memcpy (read.chain, bytes + CHAIN_AT, REEL_CHAIN_BYTES);
    uint8_t again[TAIL_BYTES];
    encode (&read, again);
    if (memcmp (again, bytes, TAIL_BYTES) != 0)
        return false;
    *tail = read;
    return true;
}

/* The first one was written, but when the machine stopped only the file's size was on disk. */
static bool
is_blank (const uint8_t bytes[TAIL_BYTES])
{
    static const uint8_t zeros[TAIL_BYTES];
    return memcmp (bytes, zeros, TAIL_BYTES) == 0;
}

static enum reel_status
fail (struct reel_journal *journal, int code, struct reel_error *err)
{
    journal->failed = true;
    return reel_error_set (err, REEL_IO, "journal_failed", NULL, "%s: %s (SQLite %d)", journal->tail_path,
                           sqlite3_errstr (code), code);
}

/* As far as SQLite knows, a journal that several databases share: it has no locks and no memory of its own. */
static int
open_file (struct reel_journal *journal)
{
    const int flags = SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW
                      | (journal->look_only ? 0 : SQLITE_OPEN_CREATE);
    sqlite3_file *file = calloc (1, (size_t) journal->vfs->szOsFile);
    if (!file)
        return SQLITE_NOMEM;
    int code = journal->vfs->xOpen (journal->vfs, journal->tail_path, file, flags, NULL);
    if (file->pMethods)
        journal->tail = file;
    else
        free (file);
    return code;
}

enum reel_status
reel_journal_tail_open (struct reel_journal *journal, struct reel_journal_tail *tail, struct reel_error *err)
{
    uint8_t bytes[TAIL_BYTES];
    sqlite3_int64 size = 0;
    *tail = (struct reel_journal_tail){0};
    if (journal->look_only && !reel_journal_has_file (journal, journal->tail_path))
        return REEL_OK;
    int code = open_file (journal);
    if (code == SQLITE_NOMEM)
        return REEL_NO_MEMORY;
    if (code == SQLITE_OK)
        code = journal->tail->pMethods->xFileSize (journal->tail, &size);
    if (code == SQLITE_OK && size == TAIL_BYTES)
        code = journal->tail->pMethods->xRead (journal->tail, bytes, TAIL_BYTES, 0);
    if (code != SQLITE_OK)
        return fail (journal, code, err);
    journal->tail_number = journal->number;
    if (size != 0 && (size != TAIL_BYTES || (!is_blank (bytes) && !decode (bytes, tail))))
        return reel_error_set (
            err, REEL_INVALID, "journal_damaged", NULL,
            "%s is damaged, so it cannot be told whether %s is complete: restore both from a backup, or "
            "remove the former to go on with what the latter has",
            journal->tail_path, journal->path);
    return REEL_OK;
}

/* On a disk that got full the first one may have been written in part: the next start would take it for damaged. */
static void
take_back_part (sqlite3_file *file)
{
    sqlite3_int64 size = 0;
    if (file->pMethods->xFileSize (file, &size) == SQLITE_OK && size < TAIL_BYTES)
        (void) file->pMethods->xTruncate (file, 0);
}

enum reel_status
reel_journal_tail_write (struct reel_journal *journal, struct reel_error *err)
{
    struct reel_journal_tail tail = {.number = journal->number};
    uint8_t bytes[TAIL_BYTES];
    memcpy (tail.chain, journal->chain, REEL_CHAIN_BYTES);
    encode (&tail, bytes);
    int code = journal->tail->pMethods->xWrite (journal->tail, bytes, TAIL_BYTES, 0);
    if (code == SQLITE_OK)
        return REEL_OK;
    take_back_part (journal->tail);
    return fail (journal, code, err);
}

enum reel_status
reel_journal_tail_sync (struct reel_journal *journal, struct reel_error *err)
{
    if (journal->tail_number == journal->number)
        return REEL_OK;
    int code = journal->tail->pMethods->xSync (journal->tail, SQLITE_SYNC_NORMAL);
    if (code != SQLITE_OK)
        return fail (journal, code, err);
    journal->tail_number = journal->number;
    return REEL_OK;
}

void
reel_journal_tail_close (struct reel_journal *journal)
{
    if (!journal->tail)
        return;
    (void) journal->tail->pMethods->xClose (journal->tail);
    free (journal->tail);
    journal->tail = NULL;
}
