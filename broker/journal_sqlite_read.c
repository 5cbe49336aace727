/*
 * Reading events, records and rows between commits, a bounded amount at a time.
 *
 * An event is found by its seq: marks say roughly where, the batches around say exactly, and the
 * batch that was read last stays in memory, since most readers go on where they are.
 */
#include "broker/journal_sqlite.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "broker/core/record.h"

#define WORK_BYTES 8192

/* --- finding --------------------------------------------------------------------------------- */

void
reel_journal_note (struct reel_journal *journal, uint64_t number, uint64_t first_seq)
{
    struct reel_journal_marks *marks = &journal->marks;
    if (marks->count == REEL_JOURNAL_MARKS_MAX) {
        for (size_t i = 0; i < REEL_JOURNAL_MARKS_MAX / 2; i++)
            marks->first_seqs[i] = marks->first_seqs[2 * i];
        marks->count = REEL_JOURNAL_MARKS_MAX / 2;
        marks->stride *= 2;
    }
    if (marks->count == 0) {
        marks->base = number;
        marks->stride = 1;
    }
    if (number == marks->base + marks->count * marks->stride)
        marks->first_seqs[marks->count++] = first_seq;
}

void
reel_journal_forget (struct reel_journal *journal)
{
    reel_buf_free (&journal->loaded.records);
    free (journal->loaded.offsets);
    journal->loaded = (struct reel_journal_loaded){0};
    for (size_t i = 0; i < REEL_JOURNAL_TRAILS; i++)
        reel_journal_drop_trail (&journal->trails[i]);
}

static enum reel_status
first_seq_of (struct reel_journal *journal, uint64_t number, uint64_t *first_seq, struct reel_error *err)
{
    sqlite3_stmt *statement = reel_journal_ready (journal, REEL_JOURNAL_PLACE);
    (void) sqlite3_bind_int64 (statement, 1, (sqlite3_int64) number);
    int code = sqlite3_step (statement);
    *first_seq = code == SQLITE_ROW ? (uint64_t) sqlite3_column_int64 (statement, 0) : 0;
    (void) sqlite3_reset (statement);
    if (code == SQLITE_ROW)
        return REEL_OK;
    return code == SQLITE_DONE ? reel_journal_damaged (journal, number, "is missing", err)
                               : reel_journal_fail (journal, "find a batch", err);
}

/* Narrows [*low, *high] to between two marks. What has been removed is below *low, and was marked perhaps. */
static void
narrow (const struct reel_journal_marks *marks, uint64_t seq, uint64_t *low, uint64_t *high)
{
    if (marks->count == 0)
        return;
    if (seq < marks->first_seqs[0]) {
        *high = marks->base - 1;
        return;
    }
    size_t from = 0, to = marks->count; /* the last mark that is not beyond seq is in [from, to) */
    while (to > from + 1) {
        size_t middle = from + (to - from) / 2;
        if (marks->first_seqs[middle] <= seq)
            from = middle;
        else
            to = middle;
    }
    if (*low < marks->base + from * marks->stride)
        *low = marks->base + from * marks->stride;
    if (to < marks->count)
        *high = marks->base + to * marks->stride - 1;
}

/* The batch that holds event `seq`: the last one that does not begin beyond it (those without events begin where
 * the next one does). */
static enum reel_status
find_batch (struct reel_journal *journal, uint64_t seq, uint64_t *number, struct reel_error *err)
{
    uint64_t low = journal->kept_number, high = journal->number;
    narrow (&journal->marks, seq, &low, &high);
    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2, first_seq;
        enum reel_status status = first_seq_of (journal, middle, &first_seq, err);
        if (status != REEL_OK)
            return status;
        if (first_seq <= seq)
            low = middle;
        else
            high = middle - 1;
    }
    *number = low;
    return REEL_OK;
}

/* --- loading --------------------------------------------------------------------------------- */

/* Notes where each event of the loaded batch is. */
static enum reel_status
index_loaded (struct reel_journal *journal, struct reel_error *err)
{
    struct reel_journal_loaded *loaded = &journal->loaded;
    if (loaded->event_count > loaded->records.len)
        return reel_journal_damaged (journal, loaded->number, "says it holds more events than it has bytes", err);
    if (loaded->event_count > loaded->offset_cap) {
        size_t *offsets = realloc (loaded->offsets, loaded->event_count * sizeof *offsets);
        if (!offsets)
            return REEL_NO_MEMORY;
        loaded->offsets = offsets;
        loaded->offset_cap = loaded->event_count;
    }
    struct reel_slice rest = reel_buf_slice (&loaded->records), record;
    struct reel_record_head head;
    uint64_t found = 0;
    bool damaged = false, good = true;
    while (good && reel_record_take (&rest, &record, &damaged)) {
        good = reel_record_head (record, &head);
        if (!good || head.event.len == 0)
            continue;
        good = found < loaded->event_count && head.seq == loaded->first_seq + found;
        if (good)
            loaded->offsets[found++] = (size_t) (record.data - loaded->records.data) - REEL_RECORD_FRAME_BYTES;
    }
    return good && !damaged && found == loaded->event_count
               ? REEL_OK
               : reel_journal_damaged (journal, loaded->number, "has records out of form", err);
}

/* Is the loaded batch what was written? It may have changed on the disk since recovery read it. */
static enum reel_status
check_loaded (struct reel_journal *journal, sqlite3_stmt *statement, struct reel_error *err)
{
    const struct reel_journal_loaded *loaded = &journal->loaded;
    const struct reel_journal_batch batch = {.first_seq = loaded->first_seq,
                                             .event_count = loaded->event_count,
                                             .epoch = (uint64_t) sqlite3_column_int64 (statement, 3),
                                             .records = reel_buf_slice (&loaded->records)};
    uint8_t chain[REEL_CHAIN_BYTES], kept[REEL_CHAIN_BYTES];
    enum reel_status status = reel_journal_chain_before (journal, loaded->number, chain, err);
    if (status != REEL_OK)
        return status;
    reel_journal_link (chain, loaded->number, &batch);
    return (reel_journal_take_chain (statement, 4, kept) && memcmp (kept, chain, sizeof kept) == 0)
                   || REEL_MUTANT_IS (49)
               ? REEL_OK
               : reel_journal_damaged (journal, loaded->number, "is not what was written (its hash differs)", err);
}

static enum reel_status
copy_batch (struct reel_journal *journal, uint64_t number, sqlite3_stmt *statement, struct reel_error *err)
{
    struct reel_journal_loaded *loaded = &journal->loaded;
    int len = sqlite3_column_bytes (statement, 2);
    const void *records = sqlite3_column_blob (statement, 2);
    if (!records)
        return reel_journal_fail (journal, "read a batch", err);
    reel_buf_clear (&loaded->records);
    reel_buf_add (&loaded->records, records, (size_t) len);
    journal->work += 1 + (uint64_t) len / WORK_BYTES;
    loaded->number = number;
    loaded->first_seq = (uint64_t) sqlite3_column_int64 (statement, 0);
    loaded->event_count = (uint64_t) sqlite3_column_int64 (statement, 1);
    enum reel_status status = reel_buf_status (&loaded->records);
    if (status == REEL_OK)
        status = check_loaded (journal, statement, err);
    return status == REEL_OK ? index_loaded (journal, err) : status;
}

static enum reel_status
load_batch (struct reel_journal *journal, uint64_t number, struct reel_error *err)
{
    journal->loaded.number = 0;
    sqlite3_stmt *statement = reel_journal_ready (journal, REEL_JOURNAL_LOAD);
    (void) sqlite3_bind_int64 (statement, 1, (sqlite3_int64) number);
    int code = sqlite3_step (statement);
    enum reel_status status = code == SQLITE_ROW    ? copy_batch (journal, number, statement, err)
                              : code == SQLITE_DONE ? reel_journal_damaged (journal, number, "is missing", err)
                                                    : reel_journal_fail (journal, "read a batch", err);
    if (status != REEL_OK)
        journal->loaded.number = 0;
    (void) sqlite3_reset (statement);
    return status;
}

/* The record of event `seq`, which is durable. Borrowed until the next one is found. */
static enum reel_status
find_record (struct reel_journal *journal, uint64_t seq, struct reel_slice *record, struct reel_error *err)
{
    struct reel_journal_loaded *loaded = &journal->loaded;
    if (loaded->number == 0 || seq < loaded->first_seq || seq - loaded->first_seq >= loaded->event_count) {
        uint64_t number;
        enum reel_status status = find_batch (journal, seq, &number, err);
        if (status == REEL_OK)
            status = load_batch (journal, number, err);
        if (status != REEL_OK)
            return status;
    }
    if (seq < loaded->first_seq || seq - loaded->first_seq >= loaded->event_count)
        return reel_journal_damaged (journal, loaded->number, "does not hold the event it should", err);
    size_t at = loaded->offsets[seq - loaded->first_seq];
    struct reel_slice rest = reel_slice (loaded->records.data + at, loaded->records.len - at);
    bool damaged = false;
    REEL_ASSERT (reel_record_take (&rest, record, &damaged));
    return REEL_OK;
}

enum reel_status
reel_journal_find_head (struct reel_journal *journal, uint64_t seq, struct reel_record_head *head,
                        struct reel_error *err)
{
    struct reel_slice record = REEL_SLICE_NONE;
    enum reel_status status = find_record (journal, seq, &record, err);
    if (status == REEL_OK)
        REEL_ASSERT (reel_record_head (record, head));
    return status;
}

/* --- what is asked --------------------------------------------------------------------------- */

uint64_t
reel_journal_last_seq (const struct reel_journal *journal)
{
    return journal->last_seq;
}

uint64_t
reel_journal_first_seq (const struct reel_journal *journal)
{
    return journal->first_seq;
}

uint64_t
reel_journal_bytes (const struct reel_journal *journal, uint64_t *free_bytes)
{
    *free_bytes = journal->free_bytes;
    return journal->bytes;
}

uint64_t
reel_journal_no_less (const struct reel_journal *journal, uint64_t after)
{
    return after < journal->first_seq - 1 ? journal->first_seq - 1 : after;
}

enum reel_status
reel_journal_add_event (struct reel_journal *journal, uint64_t seq, const struct reel_journal_ask *ask, size_t end,
                        struct reel_buf *out, struct reel_journal_page *page, struct reel_error *err)
{
    struct reel_record_head head;
    page->more = page->count == ask->limit || (page->count > 0 && journal->work > ask->work_max);
    if (page->more)
        return REEL_OK;
    enum reel_status status = reel_journal_find_head (journal, seq, &head, err);
    if (status != REEL_OK)
        return status;
    page->more = page->count > 0 && (out->len > end || head.event.len > end - out->len);
    if (page->more)
        return REEL_OK;
    reel_buf_add_slice (out, head.event);
    page->count++;
    page->next = seq;
    return reel_buf_status (out);
}

enum reel_status
reel_journal_events (struct reel_journal *journal, const struct reel_journal_ask *ask, struct reel_buf *out,
                     struct reel_journal_page *page, struct reel_error *err)
{
    struct reel_journal_page read = {.next = ask->after};
    size_t end = out->len + ask->bytes_max;
    enum reel_status status = REEL_OK;
    journal->work = 0;
    for (uint64_t seq = reel_journal_no_less (journal, ask->after);
         seq < journal->last_seq && !read.more && status == REEL_OK; seq++)
        status = reel_journal_add_event (journal, seq + 1, ask, end, out, &read, err);
    if (status == REEL_OK)
        *page = read;
    return status;
}

enum reel_status
reel_journal_record (struct reel_journal *journal, uint64_t seq, struct reel_buf *out, struct reel_error *err)
{
    struct reel_slice record = REEL_SLICE_NONE;
    if (seq < journal->first_seq || seq > journal->last_seq)
        return REEL_NOT_FOUND;
    enum reel_status status = find_record (journal, seq, &record, err);
    if (status != REEL_OK)
        return status;
    reel_buf_add_slice (out, record);
    return reel_buf_status (out);
}

static struct reel_slice
text_at (sqlite3_stmt *statement, int column)
{
    const void *text = sqlite3_column_text (statement, column);
    return reel_slice (text, (size_t) sqlite3_column_bytes (statement, column));
}

static const char *
status_at (sqlite3_stmt *statement, int column)
{
    static const char *const names[] = {"succeeded", "failed", "cancelled"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (reel_slice_is (text_at (statement, column), names[i]))
            return names[i];
    return NULL;
}

bool
reel_journal_take_row (sqlite3_stmt *statement, struct reel_journal_row *row)
{
    *row = (struct reel_journal_row){.accepted_seq = (uint64_t) sqlite3_column_int64 (statement, 0),
                                     .ended_seq = (uint64_t) sqlite3_column_int64 (statement, 1),
                                     .workflow_id = text_at (statement, 2),
                                     .origin = text_at (statement, 3),
                                     .status = status_at (statement, 4),
                                     .submitted_us = sqlite3_column_int64 (statement, 5),
                                     .started_us = sqlite3_column_int64 (statement, 6),
                                     .finished_us = sqlite3_column_int64 (statement, 7),
                                     .deliveries = (uint64_t) sqlite3_column_int64 (statement, 8)};
    return row->workflow_id.data && row->status && sqlite3_column_int (statement, 9) == 1;
}

static enum reel_status
refuse_row (const struct reel_journal *journal, struct reel_error *err)
{
    return reel_error_set (
        err, REEL_IO, "journal_damaged", NULL,
        "%s is damaged: a row of an ended workflow is not what was written; restore the directory from a backup",
        journal->path);
}

enum reel_status
reel_journal_ended (struct reel_journal *journal, reel_journal_row_fn visit, void *context, struct reel_error *err)
{
    enum reel_status status = REEL_OK;
    struct reel_journal_row row;
    sqlite3_stmt *statement = reel_journal_ready (journal, REEL_JOURNAL_ENDED);
    (void) sqlite3_bind_int64 (statement, 1, (sqlite3_int64) journal->first_seq);
    int code = SQLITE_DONE;
    while (status == REEL_OK && (code = sqlite3_step (statement)) == SQLITE_ROW)
        status = reel_journal_take_row (statement, &row) ? visit (context, &row, err) : refuse_row (journal, err);
    if (status == REEL_OK && code != SQLITE_DONE)
        status = reel_journal_fail (journal, "list", err);
    (void) sqlite3_reset (statement);
    return status;
}

/* Those of other statuses are passed over, where there is no index, and those that are about to be removed. */
static bool
is_wanted (const struct reel_journal *journal, const struct reel_journal_row *row, const char *status)
{
    return row->ended_seq >= journal->first_seq && (!status || strcmp (row->status, status) == 0);
}

enum reel_status
reel_journal_list (struct reel_journal *journal, const struct reel_journal_listing *listing, reel_journal_row_fn visit,
                   void *context, struct reel_journal_page *page, struct reel_error *err)
{
    bool rare = listing->status && strcmp (listing->status, "succeeded") != 0;
    sqlite3_stmt *statement = reel_journal_ready (journal, rare ? REEL_JOURNAL_LIST_RARE : REEL_JOURNAL_LIST);
    enum reel_status status = REEL_OK;
    struct reel_journal_row row;
    struct reel_journal_page read = {0};
    int code = SQLITE_DONE;
    uint32_t looked = 0;
    (void) sqlite3_bind_int64 (statement, 1, listing->before > INT64_MAX ? INT64_MAX : (sqlite3_int64) listing->before);
    if (rare)
        (void) sqlite3_bind_text (statement, 2, listing->status, -1, SQLITE_STATIC);
    while (status == REEL_OK && !read.more && (code = sqlite3_step (statement)) == SQLITE_ROW) {
        read.more = read.count == listing->limit || looked++ == listing->looked_max;
        if (!reel_journal_take_row (statement, &row)) {
            status = refuse_row (journal, err);
        } else if (!read.more) {
            bool wanted = is_wanted (journal, &row, listing->status);
            read.next = row.accepted_seq;
            read.count += wanted;
            status = wanted ? visit (context, &row, err) : REEL_OK;
        }
    }
    if (status == REEL_OK && !read.more && code != SQLITE_DONE)
        status = reel_journal_fail (journal, "list", err);
    (void) sqlite3_reset (statement);
    if (status == REEL_OK)
        *page = read;
    return status;
}
