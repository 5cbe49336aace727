/*
 * Commits on a real disk: what was committed is there after any end of the process, together with its rows, and of one
 * broker alone.
 */
#include <check.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/journal_fixture.h"
#include "tests/support/suite.h"

/* Goes before the C library's: SQLite syncs through here. */
static unsigned syncs;

int
fdatasync (int fd)
{
    syncs++;
    return (int) syscall (SYS_fdatasync, fd);
}

START_TEST (empty)
{
    open_it ();
    ck_assert_uint_eq (reel_journal_last_seq (journal), 0);
    ck_assert_uint_eq (reel_journal_first_seq (journal), 1);
    ck_assert_uint_eq (replay ().records, 0);
    struct reel_buf out = {0};
    struct reel_journal_page page = page_of (0, 10, 1000, &out);
    ck_assert_uint_eq (page.count, 0);
    ck_assert_uint_eq (page.next, 0);
    ck_assert (!page.more);
    page = page_of (UINT64_MAX, 10, 1000, &out);
    ck_assert_uint_eq (page.next, UINT64_MAX);
    ck_assert_int_eq (reel_journal_record (journal, 1, &out, &err), REEL_NOT_FOUND);
    ck_assert_int_eq (reel_journal_record (journal, 0, &out, &err), REEL_NOT_FOUND);
    reopen ();
    ck_assert_uint_eq (reel_journal_last_seq (journal), 0);
}
END_TEST

START_TEST (private)
{
    struct stat info;
    (void) umask (0);
    open_it ();
    append_events (1, 1);
    ck_assert_int_eq (stat (directory, &info), 0);
    ck_assert_uint_eq (info.st_mode & 07777, 0700);
    static const char *const names[] = {"journal.db", "journal.db-wal", "journal.tail"};
    for (size_t i = 0; i < 3; i++) {
        ck_assert_msg (stat (file_in (names[i]), &info) == 0, "%s", names[i]);
        ck_assert_uint_eq (info.st_mode & 07777, 0600);
    }
}
END_TEST

START_TEST (append_and_reopen)
{
    open_it ();
    append_epoch (5);
    append_events (3, 1);
    append_events (1, 1);
    ck_assert_uint_eq (reel_journal_last_seq (journal), 4);
    struct seen seen = replay ();
    ck_assert_uint_eq (seen.records, 5);
    ck_assert_uint_eq (seen.last_seq, 4);
    reopen ();
    ck_assert_uint_eq (reel_journal_last_seq (journal), 4);
    append_events (2, 1);
    reopen ();
    seen = replay ();
    ck_assert_uint_eq (seen.records, 7);
    ck_assert_uint_eq (seen.last_seq, 6);
}
END_TEST

START_TEST (visitor_stops)
{
    open_it ();
    append_events (5, 1);
    append_events (5, 1);
    struct seen seen = {.stop_at = 7};
    ck_assert_int_eq (reel_journal_replay (journal, true, see, &seen, &err), REEL_INVALID);
    ck_assert_uint_eq (seen.records, 7);
    ck_assert_uint_eq (replay ().records, 10);
}
END_TEST

START_TEST (stale_epoch)
{
    open_it ();
    append_epoch (5);
    struct reel_buf records = {0};
    add_epoch (&records, 4);
    ck_assert_int_eq (append (&records, 4, 0), REEL_INVALID);
    ck_assert_str_eq (err.code, "stale_epoch");
    reopen ();
    add_epoch (&records, 4);
    ck_assert_int_eq (append (&records, 4, 0), REEL_INVALID);
    append_epoch (5);
    append_epoch (6);
    ck_assert_uint_eq (replay ().records, 3);
}
END_TEST

/* What SQLite calls a commit is on disk when it returns. */
START_TEST (every_commit_is_synced)
{
    open_it ();
    for (int i = 0; i < 20; i++) {
        unsigned before = syncs;
        append_events (1, 1);
        ck_assert_uint_gt (syncs, before);
    }
}
END_TEST

START_TEST (second_opener)
{
    open_it ();
    append_events (1, 1);
    pid_t child = fork ();
    if (child == 0) {
        struct reel_journal *second = NULL;
        bool refused = open_in (directory, &second) == REEL_INVALID && !second
                       && strcmp (err.code, "journal_in_use") == 0 && strstr (err.message, "another broker");
        _exit (refused ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq (waitpid (child, &status, 0), child);
    ck_assert_int_eq (status, 0);
    append_events (1, 1);
    reopen ();
    ck_assert_uint_eq (reel_journal_last_seq (journal), 2);
}
END_TEST

/* A child appends and says so after each commit; it is killed; everything that it said is there. */
START_TEST (killed)
{
    uint64_t said = 0;
    for (int round = 0; round < 5; round++) {
        int ends[2];
        ck_assert_int_eq (pipe (ends), 0);
        pid_t child = fork ();
        if (child == 0) {
            open_it ();
            for (;;) {
                append_events (1 + reel_journal_last_seq (journal) % 7, 3);
                uint64_t seq = reel_journal_last_seq (journal);
                if (reel_journal_rest (journal, seq % 16 == 0, &err) != REEL_OK
                    || write (ends[1], &seq, sizeof seq) != (ssize_t) sizeof seq)
                    _exit (1);
            }
        }
        (void) close (ends[1]);
        for (int i = 0; i < 20 + 7 * round; i++)
            ck_assert_int_eq (read (ends[0], &said, sizeof said), (ssize_t) sizeof said);
        ck_assert_int_eq (kill (child, SIGKILL), 0);
        while (read (ends[0], &said, sizeof said) > 0) {}
        int status;
        ck_assert_int_eq (waitpid (child, &status, 0), child);
        ck_assert (WIFSIGNALED (status));
        (void) close (ends[0]);
        open_it ();
        ck_assert_uint_ge (reel_journal_last_seq (journal), said);
        ck_assert_uint_eq (replay ().last_seq, reel_journal_last_seq (journal));
        reel_journal_close (&journal);
    }
}
END_TEST

/* The row of an ended workflow cannot be written (there is one of its number): then its end is not written either. */
START_TEST (row_and_batch_stand_or_fall_together)
{
    open_it ();
    for (int round = 0; round < 2; round++) {
        struct reel_journal_row row = {.accepted_seq = 1,
                                       .ended_seq = reel_journal_last_seq (journal) + 1,
                                       .workflow_id = reel_slice_text ("w"),
                                       .status = "failed"};
        struct reel_buf records = {0};
        add_event (&records, row.ended_seq, 0, 1);
        struct reel_journal_batch batch = {
            .epoch = 5, .first_seq = row.ended_seq, .event_count = 1, .rows = &row, .row_count = 1};
        batch.records = reel_buf_slice (&records);
        ck_assert_int_eq (reel_journal_append (journal, &batch, &err), round == 0 ? REEL_OK : REEL_IO);
        reel_buf_free (&records);
    }
    ck_assert_int_eq (reel_journal_rest (journal, true, &err), REEL_IO);
    reopen ();
    ck_assert_uint_eq (replay ().last_seq, 1);
    ck_assert_uint_eq (list (UINT64_MAX, NULL, 10).count, 1);
}
END_TEST

START_TEST (no_directory)
{
    ck_assert_int_eq (open_in ("/nowhere/at/all", &journal), REEL_IO);
    ck_assert_ptr_nonnull (strstr (err.message, "/nowhere/at/all"));
    ck_assert_int_eq (open_in ("/dev/null", &journal), REEL_IO);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("journal_sqlite");
    TCase *tcase = suite_case (suite, "journal_sqlite", setup, teardown);
    tcase_add_test (tcase, empty);
    tcase_add_test (tcase, private);
    tcase_add_test (tcase, append_and_reopen);
    tcase_add_test (tcase, visitor_stops);
    tcase_add_test (tcase, stale_epoch);
    tcase_add_test (tcase, every_commit_is_synced);
    tcase_add_test (tcase, second_opener);
    tcase_add_test (tcase, killed);
    tcase_add_test (tcase, row_and_batch_stand_or_fall_together);
    tcase_add_test (tcase, no_directory);
    return suite_run (suite);
}
