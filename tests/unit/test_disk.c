/*
 * The simulated disk: what it loses, keeps and refuses, and that all of it follows from its seed.
 */
#include <check.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "broker/journal.h"
#include "tests/support/disk.h"
#include "tests/support/suite.h"

#define FLAGS (SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)

static struct disk *disk;
static sqlite3_file *file;

static void
setup (void)
{
    disk = disk_create ("disk", 7);
}

static void
close_it (void)
{
    if (file && file->pMethods)
        (void) file->pMethods->xClose (file);
    free (file);
    file = NULL;
}

static void
teardown (void)
{
    close_it ();
    disk_destroy (&disk);
}

static int
open_it (const char *path)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find ("disk");
    file = calloc (1, (size_t) vfs->szOsFile);
    ck_assert_ptr_nonnull (file);
    return vfs->xOpen (vfs, path, file, FLAGS, NULL);
}

/* `len` times that letter. */
static int
write_at (char letter, int len, int at)
{
    static char letters[1 << 16];
    memset (letters, letter, (size_t) len);
    return file->pMethods->xWrite (file, letters, len, at);
}

static int
sync_it (void)
{
    return file->pMethods->xSync (file, SQLITE_SYNC_NORMAL);
}

static void
restart (enum disk_restart how)
{
    disk_crash (disk);
    close_it ();
    disk_restart (disk, how);
}

/* The letter that fills [from, to) of the file "f", or '?' when there are several. */
static char
letter_in (size_t from, size_t to)
{
    size_t len;
    const uint8_t *bytes = disk_file (disk, "f", &len);
    ck_assert_ptr_nonnull (bytes);
    ck_assert_uint_le (to, len);
    for (size_t i = from; i < to; i++)
        if (bytes[i] != bytes[from])
            return '?';
    return (char) bytes[from];
}

static size_t
size_of (const char *path)
{
    size_t len;
    return disk_file (disk, path, &len) ? len : SIZE_MAX;
}

START_TEST (keeps_what_was_synced)
{
    ck_assert_int_eq (open_it ("f"), SQLITE_OK);
    ck_assert_int_eq (write_at ('a', 5000, 0), SQLITE_OK);
    ck_assert_int_eq (sync_it (), SQLITE_OK);
    ck_assert_int_eq (write_at ('b', 5000, 0), SQLITE_OK);
    ck_assert_int_eq (file->pMethods->xTruncate (file, 100), SQLITE_OK);
    ck_assert_uint_eq (disk_operations (disk), 5); /* it was made, too */
    ck_assert_uint_eq (disk_count (disk, DISK_WRITE), 2);
    restart (_i);
    switch ((enum disk_restart) _i) {
    case DISK_PROCESS_ENDED:
    case DISK_ALL_KEPT:
        ck_assert_uint_eq (size_of ("f"), 100);
        ck_assert_int_eq (letter_in (0, 100), 'b');
        break;
    case DISK_ALL_LOST:
        ck_assert_uint_eq (size_of ("f"), 5000);
        ck_assert_int_eq (letter_in (0, 5000), 'a');
        break;
    default: ck_assert (size_of ("f") == 100 || size_of ("f") == 5000);
    }
    if (_i != DISK_PROCESS_ENDED)
        return;
    restart (DISK_ALL_LOST);
    ck_assert_uint_eq (size_of ("f"), 5000);
}
END_TEST

/* Whole sectors, and the bytes beside a write are as they were. */
START_TEST (tears_at_sectors)
{
    const bool torn = _i % 2 == 0;
    const char before = 'a', after = 'b';
    unsigned cuts = 0, turns = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        disk_reseed (disk, seed);
        ck_assert_int_eq (open_it ("f"), SQLITE_OK);
        ck_assert_int_eq (write_at (before, 16384, 0), SQLITE_OK);
        ck_assert_int_eq (sync_it (), SQLITE_OK);
        ck_assert_int_eq (write_at (after, 16384 - 200, 100), SQLITE_OK);
        restart (torn ? DISK_TORN : DISK_REORDERED);
        ck_assert_uint_eq (size_of ("f"), 16384);
        ck_assert_int_eq (letter_in (0, 100), before);
        ck_assert_int_eq (letter_in (16384 - 100, 16384), before);
        unsigned changes = 0;
        for (size_t at = 0; at < 16384; at += DISK_SECTOR_BYTES) {
            size_t from = at == 0 ? 100 : at,
                   to = at + DISK_SECTOR_BYTES < 16384 ? at + DISK_SECTOR_BYTES : 16384 - 100;
            char here = letter_in (from, to);
            ck_assert (here == before || here == after);
            changes += to + 1 < 16384 - 100 && letter_in (to, to + 1) != here;
        }
        ck_assert (!torn || changes <= 1);
        cuts += changes == 1;
        turns += changes > 1;
        disk_remove (disk, "f");
    }
    ck_assert_uint_ge (torn ? cuts : turns, 25);
}
END_TEST

START_TEST (names)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find ("disk");
    ck_assert_int_eq (open_it ("f"), SQLITE_OK);
    restart (DISK_ALL_LOST);
    ck_assert_uint_eq (size_of ("f"), SIZE_MAX);
    ck_assert_int_eq (open_it ("f"), SQLITE_OK);
    restart (DISK_ALL_KEPT);
    ck_assert_uint_eq (size_of ("f"), 0);

    /* Deleted, but not for good. */
    ck_assert_int_eq (vfs->xDelete (vfs, "f", 0), SQLITE_OK);
    ck_assert_uint_eq (size_of ("f"), SIZE_MAX);
    restart (DISK_ALL_LOST);
    ck_assert_uint_eq (size_of ("f"), 0);

    /* A second one took its name, and was synced. */
    ck_assert_int_eq (vfs->xDelete (vfs, "f", 0), SQLITE_OK);
    ck_assert_int_eq (open_it ("f"), SQLITE_OK);
    ck_assert_int_eq (write_at ('b', 10, 0), SQLITE_OK);
    ck_assert_int_eq (sync_it (), SQLITE_OK);
    restart (DISK_ALL_LOST);
    ck_assert_int_eq (letter_in (0, 10), 'b');

    ck_assert_int_eq (vfs->xDelete (vfs, "f", 1), SQLITE_OK);
    restart (DISK_ALL_LOST);
    ck_assert_uint_eq (size_of ("f"), SIZE_MAX);
}
END_TEST

START_TEST (crashes_when_told)
{
    for (int after = 0; after < 2; after++) {
        disk_restart (disk, DISK_ALL_KEPT);
        ck_assert_int_eq (open_it ("f"), SQLITE_OK);
        uint64_t made = disk_operations (disk);
        disk_crash_at (disk, made + 2, after);
        ck_assert_int_eq (write_at ('a', 10, 0), SQLITE_OK);
        ck_assert (!disk_crashed (disk));
        ck_assert_int_eq (write_at ('b', 10, 0), SQLITE_IOERR_WRITE);
        ck_assert (disk_crashed (disk));
        ck_assert_int_eq (write_at ('c', 10, 0), SQLITE_IOERR_WRITE);
        ck_assert_int_eq (sync_it (), SQLITE_IOERR_FSYNC);
        close_it ();
        ck_assert_int_eq (open_it ("f"), SQLITE_CANTOPEN);
        restart (DISK_ALL_KEPT);
        ck_assert_int_eq (letter_in (0, 10), after ? 'b' : 'a');
    }
}
END_TEST

/* What a failed sync was to keep is never kept. */
START_TEST (fails_when_told)
{
    ck_assert_int_eq (open_it ("f"), SQLITE_OK);
    disk_fail_at (disk, DISK_SYNC, 2, false);
    ck_assert_int_eq (write_at ('a', 10, 0), SQLITE_OK);
    ck_assert_int_eq (sync_it (), SQLITE_OK);
    ck_assert_int_eq (write_at ('b', 10, 0), SQLITE_OK);
    ck_assert_int_eq (sync_it (), SQLITE_IOERR_FSYNC);
    ck_assert_int_eq (write_at ('c', 5, 0), SQLITE_OK);
    ck_assert_int_eq (sync_it (), SQLITE_OK);
    ck_assert_int_eq (letter_in (5, 10), 'b');
    disk_fail_at (disk, DISK_WRITE, 1, true);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq (write_at ('d', 10, 0), SQLITE_IOERR_WRITE);
    disk_fail_at (disk, DISK_READ, 1, false);
    char byte;
    ck_assert_int_eq (file->pMethods->xRead (file, &byte, 1, 0), SQLITE_IOERR_READ);
    ck_assert_int_eq (file->pMethods->xRead (file, &byte, 1, 0), SQLITE_OK);
    restart (DISK_ALL_KEPT);
    ck_assert_int_eq (letter_in (0, 5), 'c');
    ck_assert_int_eq (letter_in (5, 10), 'a');
}
END_TEST

START_TEST (fills_up)
{
    ck_assert_int_eq (open_it ("f"), SQLITE_OK);
    disk_limit (disk, 1000);
    ck_assert_int_eq (write_at ('a', 900, 0), SQLITE_OK);
    ck_assert_int_eq (write_at ('b', 200, 850), SQLITE_FULL);
    ck_assert_uint_eq (size_of ("f"), 1000);
    ck_assert_int_eq (write_at ('c', 1000, 0), SQLITE_OK);
    ck_assert_int_eq (write_at ('d', 1, 5000), SQLITE_FULL);
    disk_limit (disk, 0);
    ck_assert_int_eq (write_at ('d', 1, 5000), SQLITE_OK);
    ck_assert_uint_eq (disk_used (disk), 5001);
}
END_TEST

/* --- under a journal ------------------------------------------------------------------------- */

static void
append (struct reel_journal *journal)
{
    static const uint8_t epoch[] = {2, 0, 0, 0, 'x', 'y'};
    struct reel_error err = {0};
    struct reel_journal_batch batch = {
        .epoch = 1, .first_seq = reel_journal_last_seq (journal) + 1, .records = reel_slice (epoch, sizeof epoch)};
    ck_assert_msg (reel_journal_append (journal, &batch, &err) == REEL_OK, "%s", err.message);
}

static struct reel_journal *
open_journal (void)
{
    struct reel_error err = {0};
    struct reel_journal *journal = NULL;
    const struct reel_journal_setup where = {.directory = "d", .vfs = "disk"};
    ck_assert_msg (reel_journal_open (&where, &journal, &err) == REEL_OK, "%s", err.message);
    return journal;
}

/* The same seed, the same bytes; and a copy of a disk is one. */
START_TEST (repeats)
{
    static const char *const paths[] = {"d/journal.db", "d/journal.db-wal", "d/journal.tail"};
    struct disk *other = disk_create ("other", 1);
    for (int round = 0; round < 2; round++) {
        disk_destroy (&disk);
        disk = disk_create ("disk", 99);
        struct reel_journal *journal = open_journal ();
        for (int i = 0; i < 10; i++)
            append (journal);
        if (round == 1)
            disk_crash (disk);
        else
            disk_copy (disk, other);
        reel_journal_close (&journal);
    }
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        size_t len, other_len;
        const uint8_t *bytes = disk_file (disk, paths[i], &len), *others = disk_file (other, paths[i], &other_len);
        ck_assert_ptr_nonnull (bytes);
        ck_assert_ptr_nonnull (others);
        ck_assert_uint_eq (len, other_len);
        ck_assert_mem_eq (bytes, others, len);
    }
    disk_destroy (&other);
}
END_TEST

/* A copy that is not there says what it failed of; the journal goes on. */
START_TEST (copy_that_fails)
{
    static const struct {
        enum disk_operation operation;
        const char *message;
    } failures[] = {{DISK_READ, "the journal cannot be read"}, {DISK_WRITE, "it cannot be written"}};
    struct reel_journal *journal = open_journal ();
    struct reel_error err = {0};
    struct reel_buf out = {0};
    uint64_t bytes;
    for (int i = 0; i < 10; i++)
        append (journal);
    reel_journal_close (&journal);
    journal = open_journal (); /* what it has in memory it need not read */
    ck_assert_int_eq (reel_journal_backup (journal, 7, 0, 1000, &out, &bytes, &err), REEL_OK);
    disk_fail_at (disk, failures[_i].operation, 1, false);
    ck_assert_int_eq (reel_journal_rest (journal, false, &err), REEL_OK);
    ck_assert_int_eq (reel_journal_backup (journal, 7, 0, 1000, &out, &bytes, &err), REEL_NOT_FOUND);
    ck_assert_msg (strstr (err.message, failures[_i].message) != NULL, "%s", err.message);
    append (journal);
    reel_journal_close (&journal);
    reel_buf_free (&out);
}
END_TEST

/* A second opener is kept out here, too. */
START_TEST (locks)
{
    struct reel_journal *journal = open_journal (), *second = NULL;
    struct reel_error err = {0};
    const struct reel_journal_setup where = {.directory = "d", .vfs = "disk"};
    append (journal);
    ck_assert_int_eq (reel_journal_open (&where, &second, &err), REEL_INVALID);
    ck_assert_str_eq (err.code, "journal_in_use");
    append (journal);
    reel_journal_close (&journal);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("disk");
    TCase *tests = suite_case (suite, "disk", setup, teardown);
    tcase_add_loop_test (tests, keeps_what_was_synced, 0, DISK_RESTART_COUNT);
    tcase_add_loop_test (tests, tears_at_sectors, 0, 2);
    tcase_add_test (tests, names);
    tcase_add_test (tests, crashes_when_told);
    tcase_add_test (tests, fails_when_told);
    tcase_add_test (tests, fills_up);
    tcase_add_test (tests, repeats);
    tcase_add_loop_test (tests, copy_that_fails, 0, 2);
    tcase_add_test (tests, locks);
    return suite_run (suite);
}
