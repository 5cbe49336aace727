/*
 * A journal on a real disk, which each test of it has for itself, and what several of them do with it.
 */
#ifndef REEL_TESTS_SUPPORT_JOURNAL_FIXTURE_H
#define REEL_TESTS_SUPPORT_JOURNAL_FIXTURE_H

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/core/record.h"
#include "broker/journal_sqlite.h"
#include "proto/pack.h"
#include "tests/support/scratch.h"

static char directory[SCRATCH_BYTES]; /* of the journal, which makes it */
static struct reel_journal *journal;
static struct reel_error err;

static inline void
setup (void)
{
    scratch_make (directory, false);
    ck_assert_int_eq (rmdir (directory), 0);
    err = (struct reel_error){0};
}

static inline void
teardown (void)
{
    reel_journal_close (&journal);
    scratch_remove (directory);
}

static inline enum reel_status
open_in (const char *name, struct reel_journal **opened)
{
    return reel_journal_open (&(struct reel_journal_setup){.directory = name}, opened, &err);
}

static inline void
open_it (void)
{
    ck_assert_msg (open_in (directory, &journal) == REEL_OK, "%s", err.message);
}

static inline void
reopen (void)
{
    reel_journal_close (&journal);
    ck_assert_ptr_null (journal);
    open_it ();
}

static inline const char *
file_in (const char *name)
{
    static char path[128];
    (void) snprintf (path, sizeof path, "%s/%s", directory, name);
    return path;
}

/* --- making batches --------------------------------------------------------------------------- */

/* An event of a workflow; `padding` makes it longer. */
static inline void
add_event (struct reel_buf *records, uint64_t seq, uint64_t previous, size_t padding)
{
    struct reel_buf event = {0};
    struct reel_buf text = {0};
    uint8_t *room = reel_buf_reserve (&text, padding);
    ck_assert_ptr_nonnull (room);
    memset (room, 'p', padding);
    text.len = padding;
    reel_pack_map (&event, 2);
    reel_pack_text (&event, "seq");
    reel_pack_uint (&event, seq);
    reel_pack_text (&event, "x");
    reel_pack_str (&event, reel_buf_slice (&text));
    (void) reel_record_write (records, &(struct reel_record){.kind = REEL_RECORD_HELD,
                                                             .previous_seq = previous,
                                                             .event_bytes = reel_buf_slice (&event)});
    reel_buf_free (&event);
    reel_buf_free (&text);
}

static inline void
add_epoch (struct reel_buf *records, uint64_t epoch)
{
    (void) reel_record_write (records, &(struct reel_record){.kind = REEL_RECORD_EPOCH, .epoch = epoch});
}

static inline enum reel_status
append (struct reel_buf *records, uint64_t epoch, uint64_t event_count)
{
    struct reel_journal_batch batch = {.epoch = epoch,
                                       .first_seq = reel_journal_last_seq (journal) + 1,
                                       .event_count = event_count,
                                       .records = reel_buf_slice (records)};
    enum reel_status status = reel_journal_append (journal, &batch, &err);
    reel_buf_free (records);
    return status;
}

/* `count` events of 20-odd bytes, each the successor of the `workflows`-th before it: that many chains. */
static inline void
append_events (uint64_t count, uint64_t workflows)
{
    struct reel_buf records = {0};
    uint64_t first = reel_journal_last_seq (journal) + 1;
    for (uint64_t seq = first; seq < first + count; seq++)
        add_event (&records, seq, seq > workflows ? seq - workflows : 0, 10);
    ck_assert_msg (append (&records, 5, count) == REEL_OK, "%s", err.message);
}

static inline void
append_epoch (uint64_t epoch)
{
    struct reel_buf records = {0};
    add_epoch (&records, epoch);
    ck_assert_msg (append (&records, epoch, 0) == REEL_OK, "%s", err.message);
}

/* `count` events, and what the batch says besides. Rows: the workflow that was accepted with `row` ends. */
static inline void
append_saying (struct reel_journal_batch batch, uint64_t count, uint64_t row)
{
    struct reel_buf records = {0};
    batch.epoch = 5;
    batch.first_seq = reel_journal_last_seq (journal) + 1;
    batch.event_count = count;
    for (uint64_t seq = batch.first_seq; seq < batch.first_seq + count; seq++)
        add_event (&records, seq, seq > 3 ? seq - 3 : 0, 10);
    if (count == 0)
        add_epoch (&records, 5);
    batch.records = reel_buf_slice (&records);
    const struct reel_journal_row ended = {.accepted_seq = row,
                                           .ended_seq = batch.first_seq,
                                           .workflow_id = reel_slice_text ("w"),
                                           .status = "failed",
                                           .started_us = -1};
    batch.rows = &ended;
    batch.row_count = row > 0;
    ck_assert_msg (reel_journal_append (journal, &batch, &err) == REEL_OK, "%s", err.message);
    reel_buf_free (&records);
}

/* 20 batches of three events, of which the 10th and the 15th begin a snapshot; every third ends a workflow that was
 * accepted at its beginning, or, for the last one, with the very first event. */
static inline void
fill_and_forget (uint64_t forgotten_seq)
{
    for (uint64_t batch = 1; batch <= 20; batch++)
        append_saying ((struct reel_journal_batch){.snapshot_begins = batch % 5 == 0 && batch >= 10,
                                                   .snapshot_ends = batch % 5 == 1 && batch > 10,
                                                   .forgotten_seq = batch == 18 ? forgotten_seq : 0},
                       3,
                       batch == 18      ? 1
                       : batch % 3 == 0 ? 3 * batch - 2
                                        : 0);
}

/* --- reading back ------------------------------------------------------------------------------ */

struct seen {
    uint64_t records;
    uint64_t last_seq;
    uint64_t stop_at; /* refuses that record; 0: none */
};

static inline enum reel_status
see (void *context, struct reel_slice record, struct reel_error *error)
{
    (void) error;
    struct seen *seen = context;
    struct reel_record_head head;
    ck_assert (reel_record_head (record, &head));
    if (++seen->records == seen->stop_at)
        return REEL_INVALID;
    if (head.event.len > 0) {
        ck_assert_uint_eq (head.seq, seen->last_seq + 1);
        seen->last_seq = head.seq;
    }
    return REEL_OK;
}

static inline struct seen
replay (void)
{
    struct seen seen = {0};
    ck_assert_msg (reel_journal_replay (journal, true, see, &seen, &err) == REEL_OK, "%s", err.message);
    return seen;
}

static inline void
expect_replay (bool all, uint64_t first_seq, uint64_t records)
{
    struct seen seen = {.last_seq = first_seq - 1};
    ck_assert_msg (reel_journal_replay (journal, all, see, &seen, &err) == REEL_OK, "%s", err.message);
    ck_assert_uint_eq (seen.records, records);
    ck_assert_uint_eq (seen.last_seq, reel_journal_last_seq (journal));
}

/* The seqs of the maps in `out`, which are `count`: expects first, first + step, ... */
static inline void
expect_events (const struct reel_buf *out, uint32_t count, uint64_t first, uint64_t step)
{
    struct reel_cursor cursor = reel_scan_start (reel_buf_slice (out));
    for (uint32_t i = 0; i < count; i++) {
        struct reel_slice event;
        uint64_t seq = 0;
        ck_assert (reel_scan_skip (&cursor, &event));
        ck_assert (reel_scan_find_uint (event, "seq", &seq));
        ck_assert_uint_eq (seq, first + i * step);
    }
    ck_assert_ptr_eq (cursor.at, cursor.end);
}

static inline struct reel_journal_page
page_of (uint64_t after, uint32_t limit, size_t bytes_max, struct reel_buf *out)
{
    struct reel_journal_page page = {0};
    const struct reel_journal_ask ask = {after, limit, bytes_max, UINT64_MAX};
    ck_assert_msg (reel_journal_events (journal, &ask, out, &page, &err) == REEL_OK, "%s", err.message);
    return page;
}

static inline struct reel_journal_page
workflow_page (uint64_t last_seq, uint64_t after, uint32_t limit, size_t bytes_max, struct reel_buf *out)
{
    struct reel_journal_page page = {0};
    const struct reel_journal_ask ask = {after, limit, bytes_max, UINT64_MAX};
    const struct reel_journal_workflow workflow = {last_seq % 3, last_seq};
    ck_assert_msg (reel_journal_workflow_events (journal, &workflow, &ask, out, &page, &err) == REEL_OK, "%s",
                   err.message);
    return page;
}

struct listed {
    uint64_t seqs[16];
    size_t count;
    struct reel_journal_page page;
    struct reel_journal_row last; /* without slices */
    char workflow_id[32], origin[32];
};

static inline enum reel_status
list_row (void *context, const struct reel_journal_row *row, struct reel_error *error)
{
    (void) error;
    struct listed *listed = context;
    ck_assert_uint_lt (listed->count, 16);
    listed->seqs[listed->count++] = row->accepted_seq;
    listed->last = *row;
    (void) snprintf (listed->workflow_id, sizeof listed->workflow_id, "%.*s", REEL_TEXT (row->workflow_id));
    (void) snprintf (listed->origin, sizeof listed->origin, "%.*s", REEL_TEXT (row->origin));
    return REEL_OK;
}

static inline struct listed
list (uint64_t before, const char *status, uint32_t limit)
{
    struct listed listed = {0};
    const struct reel_journal_listing listing = {before, status, limit, UINT32_MAX};
    ck_assert_msg (reel_journal_list (journal, &listing, list_row, &listed, &listed.page, &err) == REEL_OK, "%s",
                   err.message);
    ck_assert_uint_eq (listed.count, listed.page.count);
    return listed;
}

#endif
