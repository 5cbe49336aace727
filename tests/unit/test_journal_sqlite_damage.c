/*
 * A journal that is not as it was written is refused, or found out when it is read, with a message that says what to do.
 */
#include <check.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/journal_fixture.h"
#include "tests/support/suite.h"

static void
sql (const char *text)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    ck_assert_int_eq (sqlite3_open (file_in ("journal.db"), &db), SQLITE_OK);
    ck_assert_msg (sqlite3_exec (db, text, NULL, NULL, &message) == SQLITE_OK, "%s", message);
    ck_assert_int_eq (sqlite3_close (db), SQLITE_OK);
}

static const struct {
    const char *sql;
    const char *message;
} damages[] = {
    {"UPDATE batch SET records = CAST (replace (CAST (records AS TEXT), 'p', 'q') AS BLOB) WHERE number = 2",
     "batch 2"},
    {"UPDATE batch SET epoch = 6 WHERE number = 2", "batch 2"},
    {"UPDATE batch SET first_seq = 7, event_count = 1 WHERE number = 2", "batch 2"},
    {"UPDATE batch SET chain = zeroblob (32) WHERE number = 2", "batch 2"},
    {"UPDATE batch SET chain = x'00' WHERE number = 2", "batch 2"},
    {"DELETE FROM batch WHERE number = 1", "batch 1 is missing"},
    {"DELETE FROM batch WHERE number = 2", "batch 2 is missing"},
};

START_TEST (damaged)
{
    open_it ();
    append_events (2, 1);
    append_events (2, 1);
    append_events (2, 1);
    reel_journal_close (&journal);
    sql (damages[_i].sql);
    open_it ();
    struct seen seen = {0};
    ck_assert_int_eq (reel_journal_replay (journal, true, see, &seen, &err), REEL_IO);
    ck_assert_str_eq (err.code, "journal_damaged");
    ck_assert_msg (strstr (err.message, damages[_i].message) != NULL, "%s", err.message);
    ck_assert_ptr_nonnull (strstr (err.message, "restore the directory from a backup"));
    ck_assert_uint_le (seen.last_seq, 2);
    struct reel_buf records = {0};
    ck_assert_int_eq (append (&records, 5, 0), REEL_IO);
}
END_TEST

/* Recovery found it whole; what is read later is held to the same chain. */
START_TEST (damaged_when_it_is_read)
{
    struct reel_buf record = {0};
    open_it ();
    append_events (2, 1);
    append_events (2, 1);
    append_events (2, 1);
    reopen ();
    ck_assert_int_eq (reel_journal_record (journal, 3, &record, &err), REEL_OK);
    reel_journal_close (&journal);
    sql (damages[_i].sql);
    open_it ();
    ck_assert_int_eq (reel_journal_record (journal, 3, &record, &err), REEL_IO);
    ck_assert_str_eq (err.code, "journal_damaged");
    ck_assert_ptr_nonnull (strstr (err.message, "restore the directory from a backup"));
    reel_buf_free (&record);
}
END_TEST

/* SQLite itself takes this for a database that is well. */
START_TEST (lost_end)
{
    open_it ();
    append_events (2, 1);
    append_events (2, 1);
    reel_journal_close (&journal);
    sql ("DELETE FROM batch WHERE number = 2");
    ck_assert_int_eq (open_in (directory, &journal), REEL_INVALID);
    ck_assert_str_eq (err.code, "journal_damaged");
    ck_assert_ptr_nonnull (strstr (err.message, "ends at batch 1, but batch 2 was committed"));
    ck_assert_ptr_nonnull (strstr (err.message, "journal.tail"));
    ck_assert_int_eq (unlink (file_in ("journal.tail")), 0);
    open_it ();
    ck_assert_uint_eq (replay ().last_seq, 2);
}
END_TEST

/* A process was killed, and the log that it left is gone or damaged. */
START_TEST (lost_log)
{
    pid_t child = fork ();
    if (child == 0) {
        open_it ();
        append_events (2, 1);
        append_events (2, 1);
        _exit (0);
    }
    int status = -1;
    ck_assert_int_eq (waitpid (child, &status, 0), child);
    ck_assert_int_eq (status, 0);
    int log = open (file_in ("journal.db-wal"), O_RDWR);
    ck_assert_int_ge (log, 0);
    off_t end = lseek (log, 0, SEEK_END);
    if (_i == 0)
        ck_assert_int_eq (ftruncate (log, 0), 0);
    else
        ck_assert_int_eq (pwrite (log, "damage", 6, end - 1000), 6);
    (void) close (log);
    ck_assert_int_eq (open_in (directory, &journal), REEL_INVALID);
    ck_assert_str_eq (err.code, "journal_damaged");
}
END_TEST

START_TEST (damaged_tail)
{
    open_it ();
    append_events (2, 1);
    reel_journal_close (&journal);
    int tail = open (file_in ("journal.tail"), O_RDWR);
    ck_assert_int_ge (tail, 0);
    ck_assert_int_eq (pwrite (tail, "x", 1, 20), 1);
    (void) close (tail);
    ck_assert_int_eq (open_in (directory, &journal), REEL_INVALID);
    ck_assert_ptr_nonnull (strstr (err.message, "journal.tail is damaged"));
}
END_TEST

static const struct {
    const char *sql;
    bool opens;
} lies[] = {
    {"UPDATE head SET kept_number = 0", false},
    {"UPDATE head SET first_seq = 0", false},
    {"UPDATE head SET kept_chain = x'00'", false},
    {"UPDATE head SET snapshot_number = kept_number - 1", false},
    {"DELETE FROM head", false},
    {"UPDATE head SET snapshot_number = 1000", true},
    {"UPDATE head SET kept_number = kept_number + 1", true},
    {"UPDATE head SET kept_number = kept_number - 1", true},
    {"UPDATE head SET kept_chain = zeroblob (32)", true},
    {"UPDATE ended SET ended_seq = ended_seq - 1 WHERE accepted_seq = 34", true},
    {"UPDATE ended SET workflow_id = 'v' WHERE accepted_seq = 34", true},
    {"UPDATE ended SET origin = '' WHERE accepted_seq = 34", true},
    {"UPDATE ended SET row_check = NULL WHERE accepted_seq = 34", true},
};

/* Batches check each other; the rest says something that it cannot be. (What only the records know, recovery checks.) */
START_TEST (lies_are_found)
{
    open_it ();
    fill_and_forget (27);
    while (reel_journal_restless (journal))
        ck_assert_int_eq (reel_journal_rest (journal, true, &err), REEL_OK);
    reel_journal_close (&journal);
    sql (lies[_i].sql);
    enum reel_status status = open_in (directory, &journal);
    ck_assert_int_eq (status == REEL_OK, lies[_i].opens);
    struct seen seen = {.last_seq = 27};
    struct listed listed = {0};
    if (status == REEL_OK)
        status = reel_journal_replay (journal, true, see, &seen, &err);
    if (status == REEL_OK && (seen.last_seq = 42) > 0)
        status = reel_journal_replay (journal, false, see, &seen, &err);
    if (status == REEL_OK)
        status = reel_journal_ended (journal, list_row, &listed, &err);
    ck_assert_int_eq (status, REEL_IO);
    ck_assert_ptr_nonnull (strstr (err.message, "damaged"));
}
END_TEST

static const struct {
    const char *sql, *code;
} foreign[] = {
    {"CREATE TABLE t (x)", "journal_foreign"},
    {"PRAGMA user_version = 3", "journal_foreign"},
    {"PRAGMA application_id = 1919247724; PRAGMA user_version = 3; CREATE TABLE t (x)", "journal_format"},
};

START_TEST (not_ours)
{
    ck_assert_int_eq (mkdir (directory, 0700), 0);
    sql (foreign[_i].sql);
    ck_assert_int_eq (open_in (directory, &journal), REEL_INVALID);
    ck_assert_str_eq (err.code, foreign[_i].code);
    ck_assert_ptr_nonnull (strstr (err.message, "journal.db"));
}
END_TEST

START_TEST (not_a_database)
{
    ck_assert_int_eq (mkdir (directory, 0700), 0);
    int file = open (file_in ("journal.db"), O_WRONLY | O_CREAT, 0600);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq (write (file, "no database at all\n", 19), 19);
    (void) close (file);
    ck_assert_int_eq (open_in (directory, &journal), REEL_INVALID);
    ck_assert_str_eq (err.code, "journal_foreign");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("journal_sqlite, damaged");
    TCase *tcase = suite_case (suite, "damage", setup, teardown);
    tcase_add_loop_test (tcase, damaged, 0, sizeof damages / sizeof *damages);
    tcase_add_loop_test (tcase, damaged_when_it_is_read, 0, sizeof damages / sizeof *damages);
    tcase_add_test (tcase, lost_end);
    tcase_add_loop_test (tcase, lost_log, 0, 2);
    tcase_add_test (tcase, damaged_tail);
    tcase_add_loop_test (tcase, lies_are_found, 0, sizeof lies / sizeof *lies);
    tcase_add_loop_test (tcase, not_ours, 0, sizeof foreign / sizeof *foreign);
    tcase_add_test (tcase, not_a_database);
    return suite_run (suite);
}
