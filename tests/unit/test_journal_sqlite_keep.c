/*
 * What a journal keeps: where recovery goes from, what is retained and what is given back, and how much room all of it
 * takes on the disk.
 */
#include <check.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "tests/support/journal_fixture.h"
#include "tests/support/suite.h"

/* --- snapshots, retention ---------------------------------------------------------------------- */

START_TEST (recovery_goes_from_the_last_whole_snapshot)
{
    open_it ();
    append_saying ((struct reel_journal_batch){0}, 3, 0);
    ck_assert (!reel_journal_has_snapshot (journal));
    append_saying ((struct reel_journal_batch){.snapshot_begins = true}, 2, 0);
    append_saying ((struct reel_journal_batch){0}, 2, 0);
    expect_replay (false, 1, 7);
    append_saying ((struct reel_journal_batch){.snapshot_ends = true}, 0, 0);
    ck_assert (reel_journal_has_snapshot (journal));
    for (int round = 0; round < 2; round++) {
        expect_replay (false, 4, 5);
        expect_replay (true, 1, 8);
        reopen ();
    }
    /* One that a process began and never ended is none, whatever the next one does. */
    append_saying ((struct reel_journal_batch){.snapshot_begins = true}, 2, 0);
    expect_replay (false, 4, 7);
    reopen ();
    append_saying ((struct reel_journal_batch){.snapshot_begins = true}, 1, 0);
    append_saying ((struct reel_journal_batch){.snapshot_ends = true}, 1, 0);
    expect_replay (false, 10, 2);
    /* One in a single batch. */
    append_saying ((struct reel_journal_batch){.snapshot_begins = true, .snapshot_ends = true}, 1, 0);
    reopen ();
    expect_replay (false, 12, 1);
    expect_replay (true, 1, 13);
}
END_TEST

static uint64_t
number_in (const char *text)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    reel_journal_close (&journal);
    ck_assert_int_eq (sqlite3_open (file_in ("journal.db"), &db), SQLITE_OK);
    ck_assert_int_eq (sqlite3_prepare_v2 (db, text, -1, &statement, NULL), SQLITE_OK);
    ck_assert_int_eq (sqlite3_step (statement), SQLITE_ROW);
    uint64_t number = (uint64_t) sqlite3_column_int64 (statement, 0);
    ck_assert_int_eq (sqlite3_finalize (statement), SQLITE_OK);
    ck_assert_int_eq (sqlite3_close (db), SQLITE_OK);
    open_it ();
    return number;
}

static void
expect_from (uint64_t first_seq)
{
    struct reel_buf out = {0};
    ck_assert_uint_eq (reel_journal_first_seq (journal), first_seq);
    struct reel_journal_page page = page_of (0, 100, 1 << 20, &out);
    ck_assert_uint_eq (page.count, 61 - first_seq);
    expect_events (&out, page.count, first_seq, 1);
    reel_buf_clear (&out);
    page = page_of (first_seq + 4, 100, 1 << 20, &out);
    expect_events (&out, page.count, first_seq + 5, 1);
    reel_buf_clear (&out);
    page = workflow_page (60, 0, 100, 1 << 20, &out);
    expect_events (&out, page.count, 60 - 3 * (page.count - 1), 3);
    ck_assert_uint_ge (60 - 3 * (page.count - 1), first_seq);
    ck_assert_uint_lt (60 - 3 * (page.count - 1), first_seq + 3);
    reel_buf_clear (&out);
    ck_assert_int_eq (reel_journal_record (journal, first_seq - 1, &out, &err), REEL_NOT_FOUND);
    ck_assert_int_eq (reel_journal_record (journal, first_seq, &out, &err), REEL_OK);
    reel_buf_free (&out);
}

/* The cut is within a batch, so that the batch stays, and within those that recovery needs. */
START_TEST (forgets)
{
    static const struct {
        uint64_t forgotten_seq, oldest_batch, first_of_oldest, rows;
    } cuts[] = {{3, 2, 4, 6}, {27, 10, 28, 3}, {28, 10, 28, 3}, {44, 15, 43, 1}, {50, 15, 43, 1}};
    open_it ();
    fill_and_forget (cuts[_i].forgotten_seq);
    ck_assert (reel_journal_restless (journal));
    expect_from (cuts[_i].forgotten_seq + 1);
    reopen ();
    ck_assert (reel_journal_restless (journal));
    expect_from (cuts[_i].forgotten_seq + 1);
    ck_assert_uint_eq (list (UINT64_MAX, NULL, 10).count, cuts[_i].rows);
    ck_assert_uint_eq (list (UINT64_MAX, "failed", 10).count, cuts[_i].rows);
    ck_assert_uint_eq (number_in ("SELECT min (number) FROM batch"), 1);
    for (int rests = 0; reel_journal_restless (journal); rests++) {
        ck_assert_int_lt (rests, 100);
        ck_assert_int_eq (reel_journal_rest (journal, rests % 2 == 0, &err), REEL_OK);
    }
    for (int round = 0; round < 2; round++) {
        expect_from (cuts[_i].forgotten_seq + 1);
        expect_replay (false, 43, 18);
        expect_replay (true, cuts[_i].first_of_oldest, 61 - cuts[_i].first_of_oldest);
        expect_from (cuts[_i].forgotten_seq + 1);
        ck_assert_uint_eq (number_in ("SELECT min (number) FROM batch"), cuts[_i].oldest_batch);
        ck_assert_uint_eq (number_in ("SELECT count (*) FROM ended"), cuts[_i].rows);
        ck_assert_uint_eq (list (UINT64_MAX, NULL, 10).count, cuts[_i].rows);
    }
    append_events (1, 3);
    reopen ();
    ck_assert_uint_eq (reel_journal_last_seq (journal), 61);
}
END_TEST

/* Of batches without an event nothing is kept that recovery does not need, once there is a snapshot. */
START_TEST (batches_without_events_go)
{
    open_it ();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 30; i++)
            append_epoch (5);
        append_saying ((struct reel_journal_batch){.snapshot_begins = true}, 0, 0);
        append_saying ((struct reel_journal_batch){.snapshot_ends = true}, 0, 0);
        while (reel_journal_restless (journal))
            ck_assert_int_eq (reel_journal_rest (journal, true, &err), REEL_OK);
        ck_assert (!reel_journal_is_whole (journal));
        expect_replay (false, 1, 2);
        expect_replay (true, 1, 2);
        reopen ();
    }
    append_events (3, 1);
    append_saying ((struct reel_journal_batch){.snapshot_begins = true, .snapshot_ends = true}, 0, 0);
    ck_assert (!reel_journal_restless (journal));
    expect_replay (true, 1, 6);
    append_saying ((struct reel_journal_batch){.forgotten_seq = 3}, 0, 0);
    while (reel_journal_restless (journal))
        ck_assert_int_eq (reel_journal_rest (journal, true, &err), REEL_OK);
    append_saying ((struct reel_journal_batch){.snapshot_begins = true, .snapshot_ends = true}, 0, 0);
    ck_assert (reel_journal_restless (journal));
    while (reel_journal_restless (journal))
        ck_assert_int_eq (reel_journal_rest (journal, true, &err), REEL_OK);
    reopen ();
    expect_replay (true, 4, 1);
}
END_TEST

/* --- room -------------------------------------------------------------------------------------- */

static off_t
log_bytes (void)
{
    struct stat info;
    ck_assert_int_eq (stat (file_in ("journal.db-wal"), &info), 0);
    return info.st_size;
}

/* The log does not grow for ever, whether there is ever a rest or not, and no append moves it. */
START_TEST (checkpoints)
{
    const int count = _i == 1 ? 40 : 120;
    open_it ();
    for (int i = 0; i < count; i++) {
        struct reel_buf records = {0};
        add_event (&records, reel_journal_last_seq (journal) + 1, 0, 200000);
        ck_assert_int_eq (append (&records, 5, 1), REEL_OK);
        ck_assert_int_eq (reel_journal_rest (journal, _i == 1, &err), REEL_OK);
        ck_assert_int_lt (log_bytes (), _i == 1 ? 3 << 20 : 20 << 20);
    }
    if (_i == 0)
        ck_assert_int_gt (log_bytes (), 12 << 20);
    reopen ();
    ck_assert_uint_eq (replay ().last_seq, (uint64_t) count);
}
END_TEST

/* The log takes no more than has_room() says, and so much of it is there that the reserve may be needed. */
START_TEST (log_is_bounded)
{
    struct stat info;
    open_it ();
    for (int i = 0; i < 6; i++) {
        struct reel_buf records = {0};
        add_event (&records, reel_journal_last_seq (journal) + 1, 0, 5 << 20);
        ck_assert_int_eq (append (&records, 5, 1), REEL_OK);
        ck_assert_int_eq (reel_journal_rest (journal, false, &err), REEL_OK);
    }
    ck_assert_int_eq (stat (file_in ("journal.db-wal"), &info), 0);
    ck_assert_int_le (info.st_size, 32 << 20);
    ck_assert_int_ge (info.st_size, 16 << 20);
}
END_TEST

/* On a disk that something else has filled, what is free in the database helps no commit. */
START_TEST (room)
{
    static const struct {
        uint64_t disk_free, journal_free, reserve;
        bool room;
    } disks[] = {{0, 0, 0, true},
                 {99, 0, 100, false},
                 {100, 0, 100, true},
                 {99, 1, 100, false},
                 {0, UINT64_C (1) << 40, 100, false},
                 {(32 << 20) - 1, 1 << 30, 256 << 20, false},
                 {32 << 20, 1 << 30, 256 << 20, true},
                 {32 << 20, (224 << 20) - 1, 256 << 20, false},
                 {32 << 20, 224 << 20, 256 << 20, true}};
    for (size_t i = 0; i < sizeof disks / sizeof *disks; i++)
        ck_assert_msg (reel_journal_has_room (disks[i].disk_free, disks[i].journal_free, disks[i].reserve)
                           == disks[i].room,
                       "disk %zu", i);
}
END_TEST

/* What is removed makes room: the file does not grow though a hundred times as much goes through it. */
START_TEST (room_is_used_again)
{
    uint64_t free_bytes;
    open_it ();
    for (int i = 0; i < 200; i++) {
        struct reel_buf records = {0};
        struct reel_journal_batch batch = {.epoch = 5, .first_seq = reel_journal_last_seq (journal) + 1};
        batch.event_count = 1;
        batch.snapshot_begins = batch.snapshot_ends = true;
        batch.forgotten_seq = i < 4 ? 0 : reel_journal_last_seq (journal) - 3;
        add_event (&records, batch.first_seq, 0, 100000);
        batch.records = reel_buf_slice (&records);
        ck_assert_int_eq (reel_journal_append (journal, &batch, &err), REEL_OK);
        reel_buf_free (&records);
        ck_assert_int_eq (reel_journal_rest (journal, i % 10 == 0, &err), REEL_OK);
    }
    ck_assert_uint_lt (reel_journal_bytes (journal, &free_bytes), 4 << 20);
    ck_assert_uint_lt (free_bytes, reel_journal_bytes (journal, &free_bytes));
    reopen ();
    expect_replay (false, 200, 1);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("journal_sqlite, kept");
    TCase *tcase = suite_case (suite, "keep", setup, teardown);
    tcase_add_test (tcase, recovery_goes_from_the_last_whole_snapshot);
    tcase_add_loop_test (tcase, forgets, 0, 5);
    tcase_add_test (tcase, batches_without_events_go);
    tcase_add_loop_test (tcase, checkpoints, 0, 2);
    tcase_add_test (tcase, log_is_bounded);
    tcase_add_test (tcase, room);
    tcase_add_test (tcase, room_is_used_again);
    return suite_run (suite);
}
