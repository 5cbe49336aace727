/*
 * From a journal to a core: what the journal finds whole, and the core refuses, is refused with what to do.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/core/record.h"
#include "broker/recovery.h"
#include "proto/scan.h"
#include "tests/support/broker.h"
#include "tests/support/disk.h"
#include "tests/support/suite.h"

#define ONE(id) "{'workflow_id':'" id "','steps':[{'step_id':'a','modality':'echo'}]}"

static const struct reel_journal_setup setup = {.directory = "/journal", .vfs = "recovery"};
static struct broker broker;
static struct disk *disk;
static struct reel_error err;

/* Two workflows, one of them with a worker, and a snapshot of both. */
static void
set_up (void)
{
    err = (struct reel_error){0};
    disk = disk_create ("recovery", 1);
    broker_init (&broker);
    broker.setup.snapshot_bytes = 1;
    broker_start (&broker);
    broker_submit (&broker, ONE ("one"));
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, ONE ("two"));
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "]");
    for (uint64_t index = 2; broker.snapshots == 0; index++) {
        ck_assert_uint_lt (index, 100);
        broker_report (&broker, "w", 1, index, "[" CHECKPOINT ("a", "1") "]");
    }
}

static void
tear_down (void)
{
    broker_free (&broker);
    disk_destroy (&disk);
}

/* Journals records, as one batch. */
static void
write_journal (struct reel_slice records)
{
    struct reel_journal *journal = NULL;
    const struct reel_journal_batch batch = {.epoch = broker.epoch,
                                             .first_seq = 1,
                                             .event_count = broker.event_count,
                                             .records = records,
                                             .snapshot_begins = true,
                                             .snapshot_ends = true};
    ck_assert_int_eq (reel_journal_open (&setup, &journal, &err), REEL_OK);
    ck_assert_int_eq (reel_journal_append (journal, &batch, &err), REEL_OK);
    reel_journal_close (&journal);
}

/* Where the first record of that kind begins. */
static size_t
find_record (enum reel_record_kind kind)
{
    struct reel_slice rest = reel_buf_slice (&broker.journal), record;
    struct reel_record_head head;
    bool damaged;
    while (reel_record_take (&rest, &record, &damaged))
        if (reel_record_head (record, &head) && head.kind == kind)
            return (size_t) (record.data - broker.journal.data);
    ck_abort_msg ("no record of kind %d", kind);
}

/* Another priority in what the snapshot says of the first workflow. */
static struct reel_buf
bent_snapshot (void)
{
    struct reel_buf bent = {0};
    size_t at = find_record (REEL_RECORD_LIVE);
    struct reel_cursor cursor = reel_scan_start (reel_slice (broker.journal.data + at, broker.journal.len - at));
    struct reel_value head;
    ck_assert (reel_scan_next (&cursor, &head));
    for (unsigned i = 0; i < 5; i++)
        ck_assert (reel_scan_skip (&cursor, NULL));
    ck_assert (reel_scan_next (&cursor, &head) && head.type == REEL_ARRAY);
    reel_buf_add_slice (&bent, reel_buf_slice (&broker.journal));
    uint8_t *priority = &bent.data[cursor.at - broker.journal.data];
    ck_assert_uint_eq (*priority, 0);
    *priority = 1;
    return bent;
}

static enum reel_status
recover (void)
{
    struct reel_core *core = NULL;
    struct reel_journal *journal = NULL;
    struct reel_recovered recovered;
    ck_assert_int_eq (reel_core_create (&broker.setup, &core), REEL_OK);
    enum reel_status status = reel_recovery_run (&setup, core, &journal, &recovered, &err);
    if (status == REEL_OK)
        ck_assert_uint_eq (reel_core_digest (core), reel_core_digest (broker.mirror));
    reel_journal_close (&journal);
    reel_core_destroy (&core);
    return status;
}

START_TEST (whole_one_is_recovered)
{
    write_journal (reel_buf_slice (&broker.journal));
    ck_assert_int_eq (recover (), REEL_OK);
    ck_assert_int_eq (reel_recovery_verify (&setup, &err), REEL_OK);
}
END_TEST

/* The hash fits, and the core cannot follow. */
START_TEST (contradiction_is_refused_with_what_to_do)
{
    struct reel_buf twice = {0};
    reel_buf_add_slice (&twice, reel_buf_slice (&broker.journal));
    size_t at = find_record (REEL_RECORD_ACCEPTED) - REEL_RECORD_FRAME_BYTES;
    reel_buf_add (&twice, broker.journal.data + at, find_record (REEL_RECORD_ASSIGNED) - REEL_RECORD_FRAME_BYTES - at);
    write_journal (reel_buf_slice (&twice));
    ck_assert_int_eq (recover (), REEL_INVALID);
    ck_assert_str_eq (err.code, "journal_damaged");
    ck_assert_msg (strstr (err.message, "/journal is damaged: ") == err.message
                       && strstr (err.message, "; restore the directory from a backup"),
                   "%s", err.message);
    reel_buf_free (&twice);
}
END_TEST

START_TEST (snapshot_that_is_not_what_led_to_it_is_found)
{
    struct reel_buf bent = bent_snapshot ();
    write_journal (reel_buf_slice (&bent));
    ck_assert_int_eq (reel_recovery_verify (&setup, &err), REEL_INVALID);
    ck_assert_msg (strstr (err.message, "the last snapshot is not what the records before it lead to; restore"), "%s",
                   err.message);
    reel_buf_free (&bent);
}
END_TEST

START_TEST (nothing_is_verified_where_nothing_is)
{
    static char longer[5000];
    const struct reel_journal_setup none[] = {{.directory = "/nowhere/at/all"}, {.directory = longer}};
    memset (longer, 'x', sizeof longer - 1);
    ck_assert_int_eq (reel_recovery_verify (&none[_i], &err), REEL_NOT_FOUND);
    ck_assert_str_eq (err.code, "no_journal");
}
END_TEST

START_TEST (verdict_that_cannot_be_said_is_none)
{
    write_journal (reel_buf_slice (&broker.journal));
    ck_assert_int_eq (fflush (stdout), 0);
    int kept = dup (STDOUT_FILENO), full = open ("/dev/full", O_WRONLY | O_CLOEXEC);
    ck_assert (kept >= 0 && full >= 0 && dup2 (full, STDOUT_FILENO) == STDOUT_FILENO);
    enum reel_status status = reel_recovery_verify (&setup, &err);
    ck_assert (dup2 (kept, STDOUT_FILENO) == STDOUT_FILENO && close (kept) == 0 && close (full) == 0);
    ck_assert_int_eq (status, REEL_IO);
    ck_assert_str_eq (err.code, "output");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("recovery");
    TCase *tests = suite_case (suite, "recovery", set_up, tear_down);
    tcase_add_test (tests, whole_one_is_recovered);
    tcase_add_test (tests, contradiction_is_refused_with_what_to_do);
    tcase_add_test (tests, snapshot_that_is_not_what_led_to_it_is_found);
    tcase_add_loop_test (tests, nothing_is_verified_where_nothing_is, 0, 2);
    tcase_add_test (tests, verdict_that_cannot_be_said_is_none);
    return suite_run (suite);
}
