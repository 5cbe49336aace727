/*
 * The journal on a real disk: what was committed is there after any end of the process, and what is
 * not as it was written is refused with a message that says what to do.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/core/record.h"
#include "broker/journal_sqlite.h"
#include "proto/pack.h"
#include "tests/support/suite.h"

static char directory[64];
static struct reel_journal *journal;
static struct reel_error err;

/* Goes before the C library's: SQLite syncs through here. */
static unsigned syncs;

int
fdatasync (int fd)
{
    syncs++;
    return (int) syscall (SYS_fdatasync, fd);
}

static int
remove_entry (const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void) info, (void) type, (void) where;
    return remove (path);
}

static void
setup (void)
{
    (void) snprintf (directory, sizeof directory, "/tmp/reel-journal-XXXXXX");
    ck_assert_ptr_nonnull (mkdtemp (directory));
    ck_assert_int_eq (rmdir (directory), 0);
    err = (struct reel_error){0};
}

static void
teardown (void)
{
    reel_journal_close (&journal);
    (void) nftw (directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static enum reel_status
open_in (const char *name, struct reel_journal **opened)
{
    return reel_journal_open (&(struct reel_journal_setup){.directory = name}, opened, &err);
}

static void
open_it (void)
{
    ck_assert_msg (open_in (directory, &journal) == REEL_OK, "%s", err.message);
}

static void
reopen (void)
{
    reel_journal_close (&journal);
    ck_assert_ptr_null (journal);
    open_it ();
}

static const char *
file_in (const char *name)
{
    static char path[128];
    (void) snprintf (path, sizeof path, "%s/%s", directory, name);
    return path;
}

/* --- making batches --------------------------------------------------------------------------- */

/* An event of a workflow; `padding` makes it longer. */
static void
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

static void
add_epoch (struct reel_buf *records, uint64_t epoch)
{
    (void) reel_record_write (records, &(struct reel_record){.kind = REEL_RECORD_EPOCH, .epoch = epoch});
}

static enum reel_status
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
static void
append_events (uint64_t count, uint64_t workflows)
{
    struct reel_buf records = {0};
    uint64_t first = reel_journal_last_seq (journal) + 1;
    for (uint64_t seq = first; seq < first + count; seq++)
        add_event (&records, seq, seq > workflows ? seq - workflows : 0, 10);
    ck_assert_msg (append (&records, 5, count) == REEL_OK, "%s", err.message);
}

static void
append_epoch (uint64_t epoch)
{
    struct reel_buf records = {0};
    add_epoch (&records, epoch);
    ck_assert_msg (append (&records, epoch, 0) == REEL_OK, "%s", err.message);
}

/* --- reading back ------------------------------------------------------------------------------ */

struct seen {
    uint64_t records;
    uint64_t last_seq;
    uint64_t stop_at; /* refuses that record; 0: none */
};

static enum reel_status
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

static struct seen
replay (void)
{
    struct seen seen = {0};
    ck_assert_msg (reel_journal_replay (journal, true, see, &seen, &err) == REEL_OK, "%s", err.message);
    return seen;
}

/* The seqs of the maps in `out`, which are `count`: expects first, first + step, ... */
static void
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

static struct reel_journal_page
page_of (uint64_t after, uint32_t limit, size_t bytes_max, struct reel_buf *out)
{
    struct reel_journal_page page = {0};
    const struct reel_journal_ask ask = {after, limit, bytes_max, UINT64_MAX};
    ck_assert_msg (reel_journal_events (journal, &ask, out, &page, &err) == REEL_OK, "%s", err.message);
    return page;
}

/* --- the tests --------------------------------------------------------------------------------- */

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

START_TEST (paging)
{
    open_it ();
    append_epoch (5);
    append_events (10, 1);
    append_epoch (5);
    append_epoch (5);
    append_events (1, 1);
    append_events (9, 1);
    for (int round = 0; round < 2; round++) {
        for (uint64_t after = 0; after <= 20; after++)
            for (uint32_t limit = 1; limit <= 21; limit++) {
                struct reel_buf out = {0};
                struct reel_journal_page page = page_of (after, limit, 1 << 20, &out);
                uint32_t expected = 20 - after < limit ? (uint32_t) (20 - after) : limit;
                ck_assert_uint_eq (page.count, expected);
                ck_assert_uint_eq (page.next, after + expected);
                ck_assert_int_eq (page.more, after + expected < 20);
                expect_events (&out, expected, after + 1, 1);
                reel_buf_free (&out);
            }
        reopen (); /* without a replay there are no marks */
    }
}
END_TEST

START_TEST (many_batches)
{
    open_it ();
    for (int i = 0; i < 100; i++) {
        append_events (1 + i % 3, 1);
        if (i % 10 == 0)
            append_epoch (5);
    }
    uint64_t last = reel_journal_last_seq (journal);
    for (int round = 0; round < 3; round++) {
        for (uint64_t seq = last; seq > 0; seq--) {
            struct reel_buf out = {0};
            struct reel_record_head head;
            ck_assert_int_eq (reel_journal_record (journal, seq, &out, &err), REEL_OK);
            ck_assert (reel_record_head (reel_buf_slice (&out), &head));
            ck_assert_uint_eq (head.seq, seq);
            reel_buf_free (&out);
        }
        reopen ();
        if (round == 1)
            ck_assert_uint_eq (replay ().last_seq, last);
    }
}
END_TEST

/* All the bytes of the first are given whatever the bound; of the others, as many as fit, to the byte. */
START_TEST (byte_limit)
{
    open_it ();
    struct reel_buf out = {0}, one = {0};
    append_events (5, 1);
    (void) page_of (0, 1, 0, &one);
    size_t bytes = one.len;
    ck_assert_uint_gt (bytes, 0);
    struct reel_journal_page page = page_of (0, 10, 3 * bytes, &out);
    ck_assert_uint_eq (page.count, 3);
    ck_assert (page.more);
    page = page_of (0, 10, 4 * bytes - 1, &out);
    ck_assert_uint_eq (page.count, 3);
    ck_assert_uint_eq (out.len, 6 * bytes);
    page = page_of (2, 10, 3 * bytes, &out);
    ck_assert_uint_eq (page.count, 3);
    ck_assert (!page.more);
    reel_buf_free (&one);
    reel_buf_free (&out);
}
END_TEST

static struct reel_journal_page
workflow_page (uint64_t last_seq, uint64_t after, uint32_t limit, size_t bytes_max, struct reel_buf *out)
{
    struct reel_journal_page page = {0};
    const struct reel_journal_ask ask = {after, limit, bytes_max, UINT64_MAX};
    const struct reel_journal_workflow workflow = {last_seq % 3, last_seq};
    ck_assert_msg (reel_journal_workflow_events (journal, &workflow, &ask, out, &page, &err) == REEL_OK, "%s",
                   err.message);
    return page;
}

START_TEST (one_workflow)
{
    open_it ();
    for (int i = 0; i < 12; i++)
        append_events (5, 3); /* 60 events of three workflows: the second has 2, 5, 8, ... 59 */
    for (uint64_t after = 0; after <= 60; after++)
        for (uint32_t limit = 1; limit <= 21; limit += 4) {
            struct reel_buf out = {0};
            struct reel_journal_page page = workflow_page (59, after, limit, 1 << 20, &out);
            uint64_t before = after < 2 ? 0 : (after - 2) / 3 + 1;
            uint64_t left = after >= 59 ? 0 : 20 - before;
            uint32_t expected = left < limit ? (uint32_t) left : limit;
            ck_assert_uint_eq (page.count, expected);
            ck_assert_int_eq (page.more, left > limit);
            ck_assert_uint_eq (page.next, expected == 0 ? after : 2 + 3 * (before + expected - 1));
            expect_events (&out, expected, 2 + 3 * before, 3);
            reel_buf_free (&out);
        }
    struct reel_buf out = {0};
    struct reel_journal_page page = workflow_page (59, 0, 20, 0, &out);
    ck_assert_uint_eq (page.count, 1);
    ck_assert (page.more);
    reel_buf_free (&out);
}
END_TEST

/* Every batch has one event of each of two workflows, and one workflow is asked for by somebody who may load few of them at
 * a time. All the work together is that of going back once and of reading once. */
START_TEST (long_workflow_is_read_in_pieces)
{
    enum { BATCHES = 250, WORK_MAX = 10, LIMIT = 30 };
    struct reel_journal_ask ask = {.limit = LIMIT, .bytes_max = 1 << 20, .work_max = WORK_MAX};
    struct reel_journal_workflow workflow = {.key = 77, .last_seq = 2 * BATCHES};
    struct reel_journal_page page = {.more = true};
    struct reel_buf out = {0};
    uint64_t work = 0, again = 0, pages = 0;
    open_it ();
    for (int i = 0; i < BATCHES; i++)
        append_events (2, 2);
    for (; page.more; pages++) {
        enum reel_status status = REEL_AGAIN;
        for (ask.after = page.next; status == REEL_AGAIN; work += journal->work) {
            struct reel_buf one = {0};
            struct reel_journal_page other;
            const struct reel_journal_ask ask_one = {0, 1, 1, 0};
            status = reel_journal_workflow_events (journal, &workflow, &ask, &out, &page, &err);
            ck_assert_uint_le (journal->work, WORK_MAX + 1);
            work += journal->work;
            again += status == REEL_AGAIN;
            ck_assert_uint_le (again, 2 * BATCHES / WORK_MAX);
            /* Others read, and the journal goes on. */
            ck_assert_int_eq (reel_journal_events (journal, &ask_one, &one, &other, &err), REEL_OK);
            reel_buf_free (&one);
            journal->work = 0;
        }
        ck_assert_int_eq (status, REEL_OK);
        ck_assert_uint_ge (page.count, 1);
        if (pages == 3) {
            append_events (2, 2);
            workflow.last_seq += 2;
        }
    }
    expect_events (&out, BATCHES + 1, 2, 2);
    ck_assert_uint_ge (again, BATCHES / (WORK_MAX + 1) - 1);
    ck_assert_uint_le (pages, 2 * BATCHES / WORK_MAX);
    ck_assert_uint_le (work, 3 * BATCHES);
    /* Nothing of it is kept. */
    for (size_t i = 0; i < REEL_JOURNAL_TRAILS; i++)
        ck_assert_ptr_null (journal->trails[i].seqs);
    reel_buf_free (&out);
}
END_TEST

/* More than is remembered of the way back. */
START_TEST (very_long_workflow)
{
    struct reel_journal_page page = {.more = true};
    struct reel_buf out = {0};
    open_it ();
    for (int i = 0; i < 40; i++)
        append_events (1000, 1);
    while (page.more)
        page = workflow_page (40000, page.next, 1000, 1 << 20, &out);
    expect_events (&out, 40000, 1, 1);
    reel_buf_free (&out);
}
END_TEST

/* Who begins further back than another did goes on from where that one has come. */
START_TEST (one_workflow_for_two_readers)
{
    struct reel_buf out = {0};
    open_it ();
    append_events (20, 1);
    struct reel_journal_page late = workflow_page (20, 10, 5, 1 << 20, &out);
    expect_events (&out, 5, 11, 1);
    reel_buf_clear (&out);
    struct reel_journal_page early = workflow_page (20, 2, 5, 1 << 20, &out);
    expect_events (&out, 5, 3, 1);
    reel_buf_clear (&out);
    late = workflow_page (20, late.next, 5, 1 << 20, &out);
    expect_events (&out, 5, 16, 1);
    ck_assert (!late.more);
    reel_buf_clear (&out);
    early = workflow_page (20, early.next, 20, 1 << 20, &out);
    expect_events (&out, 13, 8, 1);
    ck_assert (!early.more);
    reel_buf_free (&out);
}
END_TEST

/* As many as there is room for get on, though none gets to its end at once; then others come in their place. */
START_TEST (many_workflows_are_read_in_pieces)
{
    enum { EVENTS = 4 };
    struct reel_journal_page pages[2 * REEL_JOURNAL_TRAILS] = {0};
    struct reel_buf out = {0};
    open_it ();
    for (int i = 0; i < EVENTS; i++)
        append_events (2 * REEL_JOURNAL_TRAILS, 2 * REEL_JOURNAL_TRAILS);
    for (int half = 0; half < 2; half++)
        for (int round = 0; round < (half == 0 ? EVENTS + 1 : 2 * EVENTS); round++)
            for (uint64_t i = 0; i < REEL_JOURNAL_TRAILS; i++) {
                uint64_t key = half * REEL_JOURNAL_TRAILS + i;
                uint64_t first = 1 + key;
                const struct reel_journal_workflow workflow = {key, first + 6 * REEL_JOURNAL_TRAILS};
                const struct reel_journal_ask ask = {pages[key].next, 1, 1000, 0};
                reel_buf_clear (&out);
                journal->loaded.number = 0;
                enum reel_status status = reel_journal_workflow_events (journal, &workflow, &ask, &out, &pages[key],
                                                                        &err);
                ck_assert_int_eq (status, round < EVENTS - 1 ? REEL_AGAIN : REEL_OK);
                if (status == REEL_OK && round < 2 * EVENTS - 1)
                    expect_events (&out, 1, first + (uint64_t) (round - EVENTS + 1) * 2 * REEL_JOURNAL_TRAILS, 0);
                ck_assert (status != REEL_OK || pages[key].more == (round < 2 * EVENTS - 2));
            }
    reel_buf_free (&out);
}
END_TEST

/* --- rows -------------------------------------------------------------------------------------- */

struct listed {
    uint64_t seqs[16];
    size_t count;
    struct reel_journal_page page;
    struct reel_journal_row last; /* without slices */
    char workflow_id[32], origin[32];
};

static enum reel_status
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

static struct listed
list (uint64_t before, const char *status, uint32_t limit)
{
    struct listed listed = {0};
    const struct reel_journal_listing listing = {before, status, limit, UINT32_MAX};
    ck_assert_msg (reel_journal_list (journal, &listing, list_row, &listed, &listed.page, &err) == REEL_OK, "%s",
                   err.message);
    ck_assert_uint_eq (listed.count, listed.page.count);
    return listed;
}

/* Of the five rows of the test, however few are looked at: all that are wanted, and no page knows of more than there is. */
static void
list_in_pieces (void)
{
    static const struct {
        const char *status;
        uint64_t seqs[5];
    } wanted[] = {{NULL, {5, 4, 3, 2, 1}}, {"succeeded", {3, 1}}, {"failed", {5, 2}}, {"cancelled", {4}}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        for (uint32_t looked_max = 1; looked_max <= 6; looked_max++) {
            struct listed listed = {.page = {.next = UINT64_MAX, .more = true}};
            size_t pages = 0;
            for (; listed.page.more; pages++) {
                const struct reel_journal_listing listing = {listed.page.next, wanted[i].status, 10, looked_max};
                size_t before = listed.count;
                ck_assert_int_eq (reel_journal_list (journal, &listing, list_row, &listed, &listed.page, &err),
                                  REEL_OK);
                ck_assert_uint_eq (listed.count - before, listed.page.count);
                ck_assert_uint_le (listed.page.count, looked_max);
            }
            bool rare = i >= 2;
            ck_assert_uint_eq (pages, ((rare ? listed.count : 5) + looked_max - 1) / looked_max);
            ck_assert_mem_eq (listed.seqs, wanted[i].seqs, sizeof wanted[i].seqs);
        }
}

START_TEST (rows)
{
    open_it ();
    append_events (9, 1);
    static const char *const states[] = {"succeeded", "failed", "succeeded", "cancelled", "failed"};
    struct reel_journal_row given[5];
    for (size_t i = 0; i < 5; i++)
        given[i] = (struct reel_journal_row){.accepted_seq = 1 + i,
                                             .ended_seq = 10,
                                             .workflow_id = reel_slice_text ("w"),
                                             .status = states[i],
                                             .submitted_us = 1,
                                             .started_us = -1,
                                             .finished_us = 3,
                                             .deliveries = 4};
    given[0].workflow_id = reel_slice_text ("first");
    given[0].origin = reel_slice_text ("another");
    given[0].started_us = 2;
    struct reel_buf records = {0};
    add_event (&records, 10, 0, 1);
    struct reel_journal_batch batch = {.epoch = 5, .first_seq = 10, .event_count = 1};
    batch.records = reel_buf_slice (&records);
    batch.rows = given;
    batch.row_count = 5;
    ck_assert_int_eq (reel_journal_append (journal, &batch, &err), REEL_OK);
    reel_buf_free (&records);

    for (int round = 0; round < 2; round++) {
        struct listed all = list (UINT64_MAX, NULL, 10);
        ck_assert_uint_eq (all.count, 5);
        for (size_t i = 0; i < 5; i++)
            ck_assert_uint_eq (all.seqs[i], 5 - i);
        ck_assert_str_eq (all.workflow_id, "first");
        ck_assert_str_eq (all.origin, "another");
        ck_assert_str_eq (all.last.status, "succeeded");
        ck_assert_uint_eq (all.last.ended_seq, 10);
        ck_assert_int_eq (all.last.submitted_us, 1);
        ck_assert_int_eq (all.last.started_us, 2);
        ck_assert_int_eq (all.last.finished_us, 3);
        ck_assert_uint_eq (all.last.deliveries, 4);

        struct listed some = list (4, NULL, 2);
        ck_assert_uint_eq (some.count, 2);
        ck_assert_uint_eq (some.seqs[0], 3);
        ck_assert_uint_eq (some.seqs[1], 2);
        ck_assert_str_eq (some.origin, "");
        ck_assert_int_eq (some.last.started_us, -1);

        struct listed failed = list (UINT64_MAX, "failed", 10);
        ck_assert_uint_eq (failed.count, 2);
        ck_assert_uint_eq (failed.seqs[0], 5);
        ck_assert_uint_eq (failed.seqs[1], 2);
        ck_assert_str_eq (failed.last.status, "failed");
        ck_assert_uint_eq (list (UINT64_MAX, "succeeded", 10).count, 2);
        ck_assert_uint_eq (list (UINT64_MAX, "cancelled", 10).count, 1);
        ck_assert_uint_eq (list (5, "failed", 1).seqs[0], 2);
        ck_assert_uint_eq (list (1, NULL, 10).count, 0);
        list_in_pieces ();
        reopen ();
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

/* --- damage ------------------------------------------------------------------------------------ */

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

START_TEST (no_directory)
{
    ck_assert_int_eq (open_in ("/nowhere/at/all", &journal), REEL_IO);
    ck_assert_ptr_nonnull (strstr (err.message, "/nowhere/at/all"));
    ck_assert_int_eq (open_in ("/dev/null", &journal), REEL_IO);
}
END_TEST

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

/* --- snapshots, retention, copies ---------------------------------------------------------------- */

/* `count` events, and what the batch says besides. Rows: the workflow that was accepted with `row` ends. */
static void
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

static void
expect_replay (bool all, uint64_t first_seq, uint64_t records)
{
    struct seen seen = {.last_seq = first_seq - 1};
    ck_assert_msg (reel_journal_replay (journal, all, see, &seen, &err) == REEL_OK, "%s", err.message);
    ck_assert_uint_eq (seen.records, records);
    ck_assert_uint_eq (seen.last_seq, reel_journal_last_seq (journal));
}

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

/* 20 batches of three events, of which the 10th and the 15th begin a snapshot; every third ends a workflow that was
 * accepted at its beginning, or, for the last one, with the very first event. */
static void
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
    tcase_add_test (tcase, paging);
    tcase_add_test (tcase, many_batches);
    tcase_add_test (tcase, byte_limit);
    tcase_add_test (tcase, one_workflow);
    tcase_add_test (tcase, long_workflow_is_read_in_pieces);
    tcase_add_test (tcase, very_long_workflow);
    tcase_add_test (tcase, one_workflow_for_two_readers);
    tcase_add_test (tcase, many_workflows_are_read_in_pieces);
    tcase_add_test (tcase, rows);
    tcase_add_test (tcase, row_and_batch_stand_or_fall_together);
    tcase_add_loop_test (tcase, damaged, 0, sizeof damages / sizeof *damages);
    tcase_add_loop_test (tcase, damaged_when_it_is_read, 0, sizeof damages / sizeof *damages);
    tcase_add_test (tcase, lost_end);
    tcase_add_loop_test (tcase, lost_log, 0, 2);
    tcase_add_test (tcase, damaged_tail);
    tcase_add_loop_test (tcase, not_ours, 0, sizeof foreign / sizeof *foreign);
    tcase_add_test (tcase, not_a_database);
    tcase_add_test (tcase, no_directory);
    tcase_add_loop_test (tcase, checkpoints, 0, 2);
    tcase_add_test (tcase, recovery_goes_from_the_last_whole_snapshot);
    tcase_add_loop_test (tcase, forgets, 0, 5);
    tcase_add_test (tcase, room);
    tcase_add_test (tcase, log_is_bounded);
    tcase_add_test (tcase, batches_without_events_go);
    tcase_add_test (tcase, room_is_used_again);
    tcase_add_loop_test (tcase, lies_are_found, 0, sizeof lies / sizeof *lies);
    tcase_add_test (tcase, copied_while_it_goes_on);
    tcase_add_test (tcase, copy_that_fails);
    return suite_run (suite);
}
