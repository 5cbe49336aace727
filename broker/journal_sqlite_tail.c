/*
 * SQLite drops a damaged end of its write-ahead log without a word. So what was committed last is
 * also kept beside the database, and a database that ends before it is refused.
 */
#include "broker/journal_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

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

enum reel_status
reel_journal_tail_open (struct reel_journal *journal, struct reel_journal_tail *tail, struct reel_error *err)
{
    uint8_t bytes[TAIL_BYTES];
    journal->tail = open (journal->tail_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (journal->tail < 0)
        return reel_error_set (err, REEL_IO, "journal_failed", NULL, "%s: %s", journal->tail_path, strerror (errno));
    ssize_t got = pread (journal->tail, bytes, sizeof bytes, 0);
    if (got < 0)
        return reel_error_set (err, REEL_IO, "journal_failed", NULL, "%s: %s", journal->tail_path, strerror (errno));
    *tail = (struct reel_journal_tail){0};
    if (got != 0 && (got != TAIL_BYTES || !decode (bytes, tail)))
        return reel_error_set (
            err, REEL_INVALID, "journal_damaged", NULL,
            "%s is damaged, so it cannot be told whether %s is complete: restore both from a backup, or "
            "remove the former to go on with what the latter has",
            journal->tail_path, journal->path);
    return REEL_OK;
}

enum reel_status
reel_journal_tail_write (struct reel_journal *journal, struct reel_error *err)
{
    struct reel_journal_tail tail = {.number = journal->number};
    uint8_t bytes[TAIL_BYTES];
    memcpy (tail.chain, journal->chain, REEL_CHAIN_BYTES);
    encode (&tail, bytes);
    if (pwrite (journal->tail, bytes, sizeof bytes, 0) == (ssize_t) sizeof bytes)
        return REEL_OK;
    journal->failed = true;
    return reel_error_set (err, REEL_IO, "journal_failed", NULL, "%s: %s", journal->tail_path, strerror (errno));
}
