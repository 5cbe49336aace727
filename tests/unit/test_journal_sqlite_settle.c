/*
 * A disk whose sync failed keeps showing what it will lose: what a new process finds there is not to be built upon before
 * it was written again.
 */
#include <check.h>
#include <string.h>

#include "broker/core/record.h"
#include "broker/journal.h"
#include "tests/support/disk.h"
#include "tests/support/suite.h"

static struct disk *disk;
static struct reel_journal *journal;
static struct reel_error err;

static void
set_up (void)
{
    disk = disk_create ("settle", 1);
    err = (struct reel_error){0};
}

static void
tear_down (void)
{
    reel_journal_close (&journal);
    disk_destroy (&disk);
}

static enum reel_status
open_it (void)
{
    const struct reel_journal_setup setup = {.directory = "/journal", .vfs = "settle"};
    return reel_journal_open (&setup, &journal, &err);
}

static enum reel_status
append (uint64_t epoch)
{
    struct reel_buf records = {0};
    (void) reel_record_write (&records, &(struct reel_record){.kind = REEL_RECORD_EPOCH, .epoch = epoch});
    struct reel_journal_batch batch = {.epoch = epoch, .first_seq = 1, .records = reel_buf_slice (&records)};
    enum reel_status status = reel_journal_append (journal, &batch, &err);
    reel_buf_free (&records);
    return status;
}

static void
end (enum disk_restart how)
{
    disk_crash (disk);
    reel_journal_close (&journal);
    disk_restart (disk, how);
}

static enum reel_status
count_record (void *context, struct reel_slice record, struct reel_error *unused)
{
    (void) record, (void) unused;
    ++*(unsigned *) context;
    return REEL_OK;
}

static unsigned
count (void)
{
    unsigned found = 0;
    ck_assert_msg (open_it () == REEL_OK, "%s", err.message);
    ck_assert_int_eq (reel_journal_replay (journal, true, count_record, &found, &err), REEL_OK);
    return found;
}

START_TEST (batch_whose_sync_failed_is_there_for_good_once_it_was_read)
{
    ck_assert_int_eq (open_it (), REEL_OK);
    ck_assert_int_eq (append (1), REEL_OK);
    disk_fail_at (disk, DISK_SYNC, 1, false);
    ck_assert_int_eq (append (2), REEL_IO);
    end (DISK_PROCESS_ENDED);
    ck_assert_uint_eq (count (), 2);
    ck_assert_int_eq (append (3), REEL_OK);
    end (DISK_ALL_LOST);
    ck_assert_uint_eq (count (), 3);
}
END_TEST

START_TEST (journal_whose_making_failed_is_made_again)
{
    bool made = false;
    for (uint64_t at = 1; !made; at++) {
        disk_fail_at (disk, DISK_SYNC, at, false);
        made = open_it () == REEL_OK && append (1) == REEL_OK;
        end (DISK_PROCESS_ENDED);
        unsigned there = count ();
        ck_assert_uint_le (there, 1);
        ck_assert (there == 1 || !made);
        ck_assert_int_eq (append (there + 1), REEL_OK);
        end (DISK_ALL_LOST);
        ck_assert_uint_eq (count (), there + 1);
        tear_down ();
        set_up ();
    }
}
END_TEST

START_TEST (writing_again_may_fail)
{
    ck_assert_int_eq (open_it (), REEL_OK);
    ck_assert_int_eq (append (1), REEL_OK);
    end (DISK_PROCESS_ENDED);
    disk_fail_at (disk, DISK_SYNC, 1, false);
    ck_assert_int_eq (open_it (), REEL_IO);
    ck_assert_ptr_nonnull (strstr (err.message, "cannot write again"));
    end (DISK_PROCESS_ENDED);
    disk_fail_at (disk, DISK_WRITE, 1, false);
    ck_assert_int_eq (open_it (), REEL_IO);
    ck_assert_ptr_nonnull (strstr (err.message, "cannot write again"));
    end (DISK_ALL_LOST);
    ck_assert_uint_eq (count (), 1);
}
END_TEST

START_TEST (tail_that_did_not_fit_is_none)
{
    ck_assert_int_eq (open_it (), REEL_OK);
    ck_assert_int_eq (append (1), REEL_OK);
    uint64_t most = disk_used (disk);
    for (uint64_t less = 1; less < 100; less++) {
        tear_down ();
        set_up ();
        disk_limit (disk, most - less);
        ck_assert (open_it () != REEL_OK || append (1) != REEL_OK);
        end (DISK_PROCESS_ENDED);
        disk_limit (disk, 0);
        ck_assert_uint_le (count (), 1);
    }
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("journal, settled");
    TCase *tests = suite_case (suite, "settle", set_up, tear_down);
    tcase_add_test (tests, batch_whose_sync_failed_is_there_for_good_once_it_was_read);
    tcase_add_test (tests, journal_whose_making_failed_is_made_again);
    tcase_add_test (tests, writing_again_may_fail);
    tcase_add_test (tests, tail_that_did_not_fit_is_none);
    return suite_run (suite);
}
