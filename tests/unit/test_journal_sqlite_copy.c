/*
 * The copy of a journal for a backup: it is made and fetched while the journal goes on, opens as a journal of its own,
 * and leaves nothing behind.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/journal_fixture.h"
#include "tests/support/suite.h"

/* Fetches all of the copy into a directory of its own. */
static void
fetch_copy (uint64_t number, const char *path)
{
    struct reel_buf out = {0};
    uint64_t bytes = 0;
    for (int rests = 0; bytes == 0; rests++) {
        ck_assert_int_lt (rests, 1000);
        ck_assert_int_eq (reel_journal_backup (journal, number, 0, 1000, &out, &bytes, &err), REEL_OK);
        ck_assert (bytes > 0 || (out.len == 0 && reel_journal_restless (journal)));
        append_events (2, 3); /* goes into the copy as well */
        ck_assert_int_eq (reel_journal_rest (journal, false, &err), REEL_OK);
    }
    ck_assert_uint_eq (out.len, 1000);
    while (out.len < bytes)
        ck_assert_int_eq (reel_journal_backup (journal, number, out.len, 70000, &out, &bytes, &err), REEL_OK);
    ck_assert_uint_eq (out.len, bytes);
    ck_assert_int_eq (reel_journal_backup (journal, number, bytes, 1000, &out, &bytes, &err), REEL_OK);
    ck_assert_uint_eq (out.len, bytes);
    FILE *file = fopen (path, "wb");
    ck_assert_ptr_nonnull (file);
    ck_assert_uint_eq (fwrite (out.data, 1, out.len, file), out.len);
    ck_assert_int_eq (fclose (file), 0);
    reel_buf_free (&out);
}

START_TEST (copied_while_it_goes_on)
{
    char copy[128], path[160];
    struct stat info;
    open_it ();
    for (int i = 0; i < 60; i++) {
        struct reel_buf records = {0};
        add_event (&records, reel_journal_last_seq (journal) + 1, 0, 100000);
        ck_assert_int_eq (append (&records, 5, 1), REEL_OK);
    }
    uint64_t before = reel_journal_last_seq (journal);
    (void) snprintf (copy, sizeof copy, "%s/copy", directory);
    (void) snprintf (path, sizeof path, "%s/journal.db", copy);
    ck_assert_int_eq (mkdir (copy, 0700), 0);
    fetch_copy (7, path);
    ck_assert_int_eq (stat (file_in ("backup.db"), &info), 0);
    ck_assert_uint_eq (info.st_mode & 07777, 0600);
    reel_journal_backup_end (journal);
    ck_assert_int_ne (stat (file_in ("backup.db"), &info), 0);
    append_events (5, 3);
    uint64_t after = reel_journal_last_seq (journal);
    reel_journal_close (&journal);
    ck_assert_int_eq (open_in (copy, &journal), REEL_OK);
    ck_assert_uint_gt (reel_journal_last_seq (journal), before);
    ck_assert_uint_lt (reel_journal_last_seq (journal), after);
    expect_replay (true, 1, reel_journal_last_seq (journal));
    append_events (1, 3);
    reel_journal_close (&journal);
    /* What a process left of one is gone with the next opening. */
    open_it ();
    uint64_t bytes;
    struct reel_buf out = {0};
    ck_assert_int_eq (reel_journal_backup (journal, 8, 0, 1000, &out, &bytes, &err), REEL_OK);
    ck_assert_int_eq (stat (file_in ("backup.db"), &info), 0);
    reopen ();
    ck_assert_int_ne (stat (file_in ("backup.db"), &info), 0);
}
END_TEST

/* A copy that cannot be made is none; the journal does not mind. */
START_TEST (copy_that_fails)
{
    uint64_t bytes;
    struct reel_buf out = {0};
    open_it ();
    append_events (5, 1);
    ck_assert_int_eq (mkdir (file_in ("backup.db"), 0700), 0);
    for (int i = 0; i < 2; i++) {
        err = (struct reel_error){0};
        ck_assert_int_eq (reel_journal_backup (journal, 7, 0, 1000, &out, &bytes, &err), REEL_NOT_FOUND);
        ck_assert_ptr_nonnull (strstr (err.message, "it cannot be written"));
    }
    append_events (5, 1);
    ck_assert_int_eq (rmdir (file_in ("backup.db")), 0);
    ck_assert_int_eq (reel_journal_backup (journal, 8, 0, 1000, &out, &bytes, &err), REEL_OK);
    ck_assert_uint_eq (bytes, 0);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("journal_sqlite, copied");
    TCase *tcase = suite_case (suite, "copy", setup, teardown);
    tcase_add_test (tcase, copied_while_it_goes_on);
    tcase_add_test (tcase, copy_that_fails);
    return suite_run (suite);
}
