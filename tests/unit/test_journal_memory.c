/*
 * The journal when memory is out: the Nth allocation of a life fails, SQLite's and its own, for every N. It says so, what it
 * said is durable is there when it is opened again, and everything is given back.
 *
 * With the sanitizers there is only the life without failures.
 */
#include <check.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/core/record.h"
#include "broker/journal.h"
#include "proto/pack.h"
#include "tests/support/scarce.h"
#include "tests/support/scratch.h"
#include "tests/support/suite.h"

#define BATCHES 4

static char directory[SCRATCH_BYTES];
static struct reel_journal *journal;
static struct reel_error err;
static struct reel_buf batches[BATCHES], out;
static uint64_t appended;

static void
remove_files (void)
{
    static const char *const names[] = {"journal.db", "journal.db-wal", "journal.db-journal", "journal.tail"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void) snprintf (path, sizeof path, "%s/%s", directory, names[i]);
        (void) unlink (path);
    }
}

/* Events of one workflow, 300 in the last batch, so that it takes several pages. */
static void
make_batches (void)
{
    static char padding[200];
    uint64_t seq = 0;
    memset (padding, 'p', sizeof padding);
    for (size_t i = 0; i < BATCHES; i++)
        for (int n = i == BATCHES - 1 ? 300 : 2; n > 0; n--) {
            struct reel_buf event = {0};
            seq++;
            reel_pack_map (&event, 2);
            reel_pack_text (&event, "seq");
            reel_pack_uint (&event, seq);
            reel_pack_text (&event, "x");
            reel_pack_str (&event, reel_slice (padding, sizeof padding));
            (void) reel_record_write (&batches[i], &(struct reel_record){.kind = REEL_RECORD_HELD,
                                                                         .previous_seq = seq - 1,
                                                                         .event_bytes = reel_buf_slice (&event)});
            reel_buf_free (&event);
        }
}

static enum reel_status
open_it (void)
{
    return reel_journal_open (&(struct reel_journal_setup){.directory = directory}, &journal, &err);
}

static enum reel_status
append (size_t i)
{
    const struct reel_journal_row row = {.accepted_seq = 2 * i + 1,
                                         .ended_seq = 2 * i + 2,
                                         .workflow_id = reel_slice_text ("w"),
                                         .status = i % 2 == 0 ? "succeeded" : "failed",
                                         .started_us = -1};
    const struct reel_journal_batch batch = {.epoch = 1,
                                             .first_seq = 2 * i + 1,
                                             .event_count = i == BATCHES - 1 ? 300 : 2,
                                             .records = reel_buf_slice (&batches[i]),
                                             .rows = &row,
                                             .row_count = 1};
    enum reel_status status = reel_journal_append (journal, &batch, &err);
    appended += status == REEL_OK;
    return status;
}

static enum reel_status
see (void *context, struct reel_slice record, struct reel_error *error)
{
    (void) record, (void) error;
    ++*(uint64_t *) context;
    return REEL_OK;
}

static enum reel_status
see_row (void *context, const struct reel_journal_row *row, struct reel_error *error)
{
    (void) context, (void) row, (void) error;
    return REEL_OK;
}

static enum reel_status
read_all (void)
{
    struct reel_journal_page page;
    uint64_t count = 0;
    reel_buf_clear (&out);
    const struct reel_journal_ask ask = {0, 20, 100000, 100};
    const struct reel_journal_workflow workflow = {1, reel_journal_last_seq (journal)};
    const struct reel_journal_listing listing = {UINT64_MAX, "failed", 10, 10};
    enum reel_status status = reel_journal_events (journal, &ask, &out, &page, &err);
    if (status == REEL_OK)
        status = reel_journal_workflow_events (journal, &workflow, &ask, &out, &page, &err);
    if (status == REEL_OK)
        status = reel_journal_record (journal, 3, &out, &err);
    if (status == REEL_OK)
        status = reel_journal_list (journal, &listing, see_row, NULL, &page, &err);
    if (status == REEL_OK)
        status = reel_journal_ended (journal, see_row, NULL, &err);
    return status == REEL_OK ? reel_journal_replay (journal, true, see, &count, &err) : status;
}

static enum reel_status
live (void)
{
    enum reel_status status = open_it ();
    for (size_t i = 0; i < BATCHES && status == REEL_OK; i++)
        status = append (i);
    if (status == REEL_OK)
        status = read_all ();
    if (status == REEL_OK)
        status = reel_journal_rest (journal, true, &err);
    reel_journal_close (&journal);
    if (status == REEL_OK)
        status = open_it ();
    if (status == REEL_OK)
        status = read_all ();
    if (status == REEL_OK)
        status = reel_journal_check (journal, &err);
    reel_journal_close (&journal);
    return status;
}

/* True when nothing failed. */
static bool
live_with_failure (uint64_t at)
{
    remove_files ();
    appended = allocations = 0;
    err = (struct reel_error){0};
    failing = at;
    outstanding = 0;
    armed = true;
    enum reel_status status = live ();
    reel_buf_free (&out);
    armed = false;
    ck_assert_msg (outstanding == 0, "%lld allocations are not given back after number %llu failed",
                   (long long) outstanding, (unsigned long long) at);
    ck_assert_msg (status == REEL_OK || status == REEL_NO_MEMORY, "number %llu: %s: %s", (unsigned long long) at,
                   reel_status_name (status), err.message);

    uint64_t count = 0, expected = appended == BATCHES ? 2 * (BATCHES - 1) + 300 : 2 * appended;
    ck_assert_msg (open_it () == REEL_OK, "number %llu: %s", (unsigned long long) at, err.message);
    ck_assert_int_eq (reel_journal_replay (journal, true, see, &count, &err), REEL_OK);
    ck_assert_uint_ge (count, expected);
    reel_journal_close (&journal);
    return status == REEL_OK;
}

START_TEST (every_allocation_may_fail)
{
    uint64_t failures = 0;
    /* Memory, where there is one: nothing of this is about disks. */
    scratch_make (directory, true);
    ck_assert_int_eq (sqlite3_initialize (), SQLITE_OK);
    make_batches ();
    ck_assert (live_with_failure (0));
    /* Where SQLite can do without, life goes on. */
    while (can_fail () && (!live_with_failure (failures + 1) || allocations > failing))
        failures++;
    ck_assert (!can_fail () || failures > 50);
    (void) printf ("%llu allocations failed, one in each life\n", (unsigned long long) failures);
    for (size_t i = 0; i < BATCHES; i++)
        reel_buf_free (&batches[i]);
    remove_files ();
    ck_assert_int_eq (rmdir (directory), 0);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("journal, memory");
    TCase *tests = tcase_create ("memory");
    tcase_add_test (tests, every_allocation_may_fail);
    suite_add_tcase (suite, tests);
    return suite_run (suite);
}
