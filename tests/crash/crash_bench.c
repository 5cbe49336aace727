/*
 * The broker is the real core and the real journal; only its commits are not in a thread of their own.
 */
#include "tests/crash/crash_bench.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/core/record.h"
#include "broker/journal_sqlite.h"
#include "broker/recovery.h"
#include "proto/scan.h"
#include "tests/support/broker.h"

static char this_case[512];

void
crash_case (const char *format, ...)
{
    va_list arguments;
    va_start (arguments, format);
    (void) vsnprintf (this_case, sizeof this_case, format, arguments);
    va_end (arguments);
}

void
crash_wrong (const char *format, ...)
{
    va_list arguments;
    va_start (arguments, format);
    (void) fprintf (stderr, "%s: ", this_case);
    (void) vfprintf (stderr, format, arguments);
    (void) fprintf (stderr, "\n");
    va_end (arguments);
    exit (EXIT_FAILURE);
}

/* --- the ledger ------------------------------------------------------------------------------ */

static void *
grown (void *list, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return list;
    *cap = *cap == 0 ? 64 : 2 * *cap;
    void *moved = realloc (list, *cap * size);
    CRASH_MUST (moved != NULL);
    return moved;
}

static const struct crash_entry *
last_entry (const struct crash_ledger *ledger)
{
    return &ledger->entries[ledger->count - 1];
}

static void
add_entry (struct crash_ledger *ledger, uint64_t digest, uint64_t last_seq)
{
    ledger->entries = grown (ledger->entries, ledger->count, &ledger->cap, sizeof *ledger->entries);
    ledger->entries[ledger->count++] = (struct crash_entry){
        .bytes_end = ledger->bytes.len, .row_end = ledger->row_count, .digest = digest, .last_seq = last_seq};
}

static void
add_row (struct crash_ledger *ledger, const struct reel_journal_row *row)
{
    ledger->rows = grown (ledger->rows, ledger->row_count, &ledger->row_cap, sizeof *ledger->rows);
    struct crash_row *added = &ledger->rows[ledger->row_count++];
    *added = (struct crash_row){
        .accepted_seq = row->accepted_seq, .ended_seq = row->ended_seq, .at = ledger->packed.len};
    reel_core_row_pack (&ledger->packed, row);
    added->len = ledger->packed.len - added->at;
}

/* A batch that is about to be written. */
static void
note_batch (struct crash_bench *bench, const struct reel_journal_batch *batch)
{
    struct crash_ledger *ledger = &bench->ledger;
    reel_buf_add_slice (&ledger->bytes, batch->records);
    for (size_t i = 0; i < batch->row_count; i++)
        add_row (ledger, &batch->rows[i]);
    add_entry (ledger, reel_core_digest (bench->core), last_entry (ledger)->last_seq + batch->event_count);
    CRASH_MUST (reel_buf_status (&ledger->bytes) == REEL_OK && reel_buf_status (&ledger->packed) == REEL_OK);
}

/* The first `count` entries turned out to be all that there is. */
static void
cut_ledger (struct crash_ledger *ledger, size_t count)
{
    ledger->count = count;
    const struct crash_entry *last = last_entry (ledger);
    ledger->bytes.len = last->bytes_end;
    ledger->row_count = last->row_end;
    ledger->packed.len = 0;
    for (size_t i = 0; i < ledger->row_count; i++)
        ledger->packed.len += ledger->rows[i].len;
}

static void
empty_ledger (struct crash_ledger *ledger)
{
    ledger->count = ledger->row_count = ledger->acknowledged = 0;
    ledger->bytes.len = ledger->packed.len = 0;
}

static void
copy_ledger (const struct crash_ledger *from, struct crash_ledger *to)
{
    empty_ledger (to);
    for (size_t i = 0; i < from->count; i++) {
        add_entry (to, 0, 0);
        to->entries[i] = from->entries[i];
    }
    for (size_t i = 0; i < from->row_count; i++) {
        to->rows = grown (to->rows, to->row_count, &to->row_cap, sizeof *to->rows);
        to->rows[to->row_count++] = from->rows[i];
    }
    reel_buf_add_slice (&to->bytes, reel_buf_slice (&from->bytes));
    reel_buf_add_slice (&to->packed, reel_buf_slice (&from->packed));
    to->acknowledged = from->acknowledged;
}

/* --- the bench ------------------------------------------------------------------------------- */

void
crash_bench_init (struct crash_bench *bench, struct disk *disk)
{
    struct reel_core_setup setup;
    *bench = (struct crash_bench){.disk = disk, .now = {.wall_us = 1000000}};
    reel_core_setup_defaults (&setup);
    CRASH_MUST (reel_core_create (&setup, &bench->core) == REEL_OK);
    add_entry (&bench->ledger, reel_core_digest (bench->core), 0);
    reel_core_destroy (&bench->core);
}

void
crash_bench_free (struct crash_bench *bench)
{
    crash_kill (bench);
    reel_effects_free (&bench->effects);
    free (bench->ledger.entries);
    free (bench->ledger.rows);
    reel_buf_free (&bench->ledger.bytes);
    reel_buf_free (&bench->ledger.packed);
}

void
crash_bench_expect (struct crash_bench *to, const struct crash_bench *from)
{
    copy_ledger (&from->ledger, &to->ledger);
    to->now = from->now;
    to->lives = from->lives;
    to->submitted = from->submitted;
    to->snapshot_bytes = from->snapshot_bytes;
    to->retain_bytes = from->retain_bytes;
    to->down = to->differs = false;
}

/* Down; the reason is in bench->err. */
static void
go_down (struct crash_bench *bench)
{
    bench->down = true;
    if (!disk_crashed (bench->disk) && !bench->may_fail)
        crash_wrong ("failed: %s", bench->err.message);
}

/* --- checking -------------------------------------------------------------------------------- */

struct comparison {
    const struct crash_ledger *ledger;
    size_t at;
};

static enum reel_status
compare_record (void *context, struct reel_slice record, struct reel_error *err)
{
    (void) err;
    struct comparison *comparison = context;
    struct reel_slice rest = reel_slice (comparison->ledger->bytes.data + comparison->at,
                                         comparison->ledger->bytes.len - comparison->at);
    struct reel_slice expected;
    bool damaged;
    CRASH_MUST (reel_record_take (&rest, &expected, &damaged));
    CRASH_MUST (reel_slice_equal (record, expected));
    comparison->at = comparison->ledger->bytes.len - rest.len;
    return REEL_OK;
}

/* All that is there, byte for byte; which entry of the ledger it ends with. */
static bool
compare_records (struct crash_bench *bench, size_t *entry)
{
    const struct crash_ledger *ledger = &bench->ledger;
    struct comparison comparison = {.ledger = ledger};
    CRASH_MUST (bench->journal->kept_number <= ledger->count);
    comparison.at = ledger->entries[bench->journal->kept_number - 1].bytes_end;
    if (reel_journal_replay (bench->journal, true, compare_record, &comparison, &bench->err) != REEL_OK)
        return false;
    *entry = 0;
    while (*entry < ledger->count && ledger->entries[*entry].bytes_end != comparison.at)
        ++*entry;
    CRASH_MUST (*entry < ledger->count); /* else a part of a batch */
    return true;
}

/* What only --verify must notice. */
static void
must_be_so (struct crash_bench *bench, bool so)
{
    bench->differs = bench->differs || !so;
    CRASH_MUST (so || bench->damaged);
}

struct row_comparison {
    struct crash_bench *bench;
    uint64_t before;
    size_t count;
};

static const struct crash_row *
find_row (const struct crash_ledger *ledger, uint64_t accepted_seq)
{
    for (size_t i = 0; i < ledger->row_count; i++)
        if (ledger->rows[i].accepted_seq == accepted_seq)
            return &ledger->rows[i];
    return NULL;
}

static enum reel_status
compare_row (void *context, const struct reel_journal_row *row, struct reel_error *err)
{
    struct row_comparison *comparison = context;
    (void) err;
    const struct crash_ledger *ledger = &comparison->bench->ledger;
    const struct crash_row *expected = find_row (ledger, row->accepted_seq);
    struct reel_buf packed = {0};
    reel_core_row_pack (&packed, row);
    must_be_so (comparison->bench,
                expected && row->accepted_seq < comparison->before
                    && reel_slice_equal (reel_buf_slice (&packed),
                                         reel_slice (ledger->packed.data + expected->at, expected->len)));
    reel_buf_free (&packed);
    comparison->before = row->accepted_seq;
    comparison->count++;
    return REEL_OK;
}

/* Of those that are retained. */
static size_t
count_rows (const struct crash_bench *bench)
{
    size_t count = 0;
    for (size_t i = 0; i < bench->ledger.row_count; i++)
        count += bench->ledger.rows[i].ended_seq >= reel_journal_first_seq (bench->journal);
    return count;
}

/* Rows of every status, in order: `count` of them. False: it failed. */
static bool
compare_rows (struct crash_bench *bench, const char *status, size_t *count)
{
    struct row_comparison comparison = {bench, UINT64_MAX, 0};
    const struct reel_journal_listing all = {UINT64_MAX, status, UINT32_MAX, UINT32_MAX};
    struct reel_journal_page page;
    if (reel_journal_list (bench->journal, &all, compare_row, &comparison, &page, &bench->err) != REEL_OK)
        return false;
    *count += comparison.count;
    return true;
}

static bool
compare_all (struct crash_bench *bench)
{
    size_t entry, all = 0, parts = 0;
    if (!compare_records (bench, &entry))
        return false;
    if (entry < bench->ledger.acknowledged)
        crash_wrong ("%zu batches were acknowledged, %zu are there", bench->ledger.acknowledged, entry);
    cut_ledger (&bench->ledger, entry + 1);
    const struct crash_entry *last = last_entry (&bench->ledger);
    CRASH_MUST (reel_core_digest (bench->core) == last->digest);
    CRASH_MUST (reel_journal_last_seq (bench->journal) == last->last_seq);
    if (!compare_rows (bench, NULL, &all) || !compare_rows (bench, "succeeded", &parts)
        || !compare_rows (bench, "failed", &parts) || !compare_rows (bench, "cancelled", &parts))
        return false;
    must_be_so (bench, all == count_rows (bench) && parts == all);
    return true;
}

/* --- a broker's life ------------------------------------------------------------------------- */

void
crash_recover (struct crash_bench *bench)
{
    struct reel_core_setup setup;
    struct reel_recovered recovered;
    size_t len;
    const struct reel_journal_setup where = {.directory = "data", .vfs = disk_name (bench->disk)};
    if (bench->down)
        return;
    reel_core_setup_defaults (&setup);
    setup.seed = ++bench->lives;
    if (bench->snapshot_bytes > 0)
        setup.snapshot_bytes = bench->snapshot_bytes;
    setup.retain_bytes = bench->retain_bytes;
    CRASH_MUST (!bench->core && !bench->journal && reel_core_create (&setup, &bench->core) == REEL_OK);
    if (reel_recovery_run (&where, bench->core, &bench->journal, &recovered, &bench->err) != REEL_OK
        || !compare_all (bench))
        go_down (bench);
    else
        CRASH_MUST (bench->may_fail || !disk_file (bench->disk, CRASH_COPY, &len));
}

void
crash_open (struct crash_bench *bench)
{
    crash_recover (bench);
    if (bench->down)
        return;
    bench->now.wall_us += 1000000;
    bench->now.monotonic_us = 0;
    CRASH_MUST (reel_core_start (bench->core, bench->now, &bench->effects) == REEL_OK);
    crash_commit (bench);
}

static void
take_down (struct crash_bench *bench)
{
    reel_journal_close (&bench->journal);
    reel_core_destroy (&bench->core);
    reel_effects_clear (&bench->effects);
    bench->lease_count = 0;
}

void
crash_close (struct crash_bench *bench)
{
    if (bench->down)
        return;
    crash_commit (bench);
    take_down (bench);
    bench->down = bench->down || disk_crashed (bench->disk);
}

void
crash_kill (struct crash_bench *bench)
{
    if (bench->down) {
        take_down (bench);
        return;
    }
    disk_crash (bench->disk);
    take_down (bench);
    disk_restart (bench->disk, DISK_PROCESS_ENDED);
}

void
crash_cut_power (struct crash_bench *bench, enum disk_restart how)
{
    if (bench->down)
        return;
    disk_crash (bench->disk);
    take_down (bench);
    disk_restart (bench->disk, how);
}

/* --- what it does ---------------------------------------------------------------------------- */

static void
take_message (struct crash_bench *bench, enum reel_socket socket, const char *command, const char *header,
              const char *document)
{
    if (bench->down)
        return;
    struct reel_buf head = broker_msgpack (header), body = {0};
    if (document)
        body = broker_msgpack (document);
    const struct reel_slice frames[] = {reel_slice_text ("REEL1"), reel_slice_text (command), reel_buf_slice (&head),
                                        reel_buf_slice (&body)};
    struct reel_core_frames message = {socket, reel_slice_text ("peer"), false, frames, document ? 4 : 3};
    bench->now.wall_us += 1000;
    bench->now.monotonic_us += 1000;
    CRASH_MUST (reel_core_message (bench->core, bench->now, &message, &bench->effects) == REEL_OK);
    reel_buf_free (&head);
    reel_buf_free (&body);
}

void
crash_client (struct crash_bench *bench, const char *command, const char *header, const char *document)
{
    take_message (bench, REEL_SOCKET_CLIENT, command, header, document);
}

void
crash_worker (struct crash_bench *bench, const char *command, const char *header, const char *document)
{
    take_message (bench, REEL_SOCKET_WORKER, command, header, document);
}

void
crash_submit (struct crash_bench *bench, unsigned count, size_t bytes)
{
    struct reel_buf document = {0};
    for (unsigned i = 0; i < count; i++) {
        reel_buf_clear (&document);
        reel_buf_printf (&document, "{'workflow_id':'w%llu','steps':[{'step_id':'a','modality':'echo','payload':{'x':'",
                         (unsigned long long) ++bench->submitted);
        uint8_t *room = reel_buf_reserve (&document, bytes);
        CRASH_MUST (room != NULL);
        memset (room, 'a' + (int) (bench->submitted % 26), bytes);
        document.len += bytes;
        reel_buf_add_text (&document, "'}},{'step_id':'b','modality':'paid','depends_on':['a']}]}");
        reel_buf_add_byte (&document, '\0');
        crash_client (bench, "SUBMIT", "{}", (const char *) document.data);
    }
    reel_buf_free (&document);
}

void
crash_ready (struct crash_bench *bench, unsigned slots)
{
    char header[200];
    (void) snprintf (header, sizeof header,
                     "{'name':'w','instance':'0123456789abcdef','slots':%u,'modalities':['echo','paid']}", slots);
    crash_worker (bench, "READY", header, NULL);
}

/* `steps` is the list of reported events, which are `events`. */
static void
report (struct crash_bench *bench, unsigned count, const char *steps, uint64_t events, bool ends)
{
    char header[200];
    for (size_t i = ends ? 0 : bench->lease_count; count > 0 && bench->lease_count > 0 && !bench->down; count--) {
        struct crash_lease *held = &bench->leases[ends ? 0 : --i];
        (void) snprintf (header, sizeof header, "{'lease':[%llu,%llu],'report_index':%llu}",
                         (unsigned long long) held->lease.epoch, (unsigned long long) held->lease.counter,
                         (unsigned long long) held->reported + 1);
        crash_worker (bench, "REPORT", header, steps);
        held->reported += events;
        if (ends)
            memmove (held, held + 1, --bench->lease_count * sizeof *held);
        else if (i == 0)
            return;
    }
}

void
crash_work_half (struct crash_bench *bench, unsigned count)
{
    report (bench, count, "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "]", 2, false);
}

void
crash_work (struct crash_bench *bench, unsigned count)
{
    report (bench, count,
            "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," STARTED ("b", "1",
                                                                            "false") "," SUCCEEDED ("b") "," ENDED "]",
            5, true);
}

void
crash_fail (struct crash_bench *bench, unsigned count)
{
    report (bench, count, "[" STARTED ("a", "1", "true") "," FAILED ("a") "," SKIPPED ("b") "," ENDED "]", 4, true);
}

void
crash_pass_ms (struct crash_bench *bench, int64_t ms)
{
    bench->now.wall_us += 1000 * ms;
    bench->now.monotonic_us += 1000 * ms;
}

static void
take_sends (struct crash_bench *bench)
{
    for (size_t i = 0; i < bench->effects.send_count; i++) {
        const struct reel_send *send = &bench->effects.sends[i];
        struct crash_lease granted = {0};
        struct reel_slice lease;
        if (send->command != REEL_ASSIGN || bench->lease_count == sizeof bench->leases / sizeof *bench->leases)
            continue;
        CRASH_MUST (
            reel_scan_find (reel_effects_slice (&bench->effects, send->header), reel_slice_text ("lease"), &lease)
            && reel_lease_read (lease, &granted.lease));
        bench->leases[bench->lease_count++] = granted;
    }
}

void
crash_commit (struct crash_bench *bench)
{
    int64_t wake_us;
    if (bench->down)
        return;
    CRASH_MUST (reel_core_tick (bench->core, bench->now, true, &bench->effects, &wake_us) == REEL_OK);
    if (bench->effects.records.len > 0) {
        struct reel_journal_batch batch = reel_effects_batch (&bench->effects);
        note_batch (bench, &batch);
        if (reel_journal_append (bench->journal, &batch, &bench->err) != REEL_OK) {
            go_down (bench);
            return;
        }
        bench->ledger.acknowledged = bench->ledger.count - 1;
    }
    take_sends (bench);
    reel_effects_clear (&bench->effects);
}

void
crash_rest (struct crash_bench *bench, bool idle)
{
    if (bench->down)
        return;
    if (reel_journal_rest (bench->journal, idle, &bench->err) != REEL_OK)
        go_down (bench);
    else
        bench->forgot = bench->journal->kept_number > 1;
}

/* The record of each event is where the ledger has it; the events, by page, are those of the records. */
static bool
read_events (struct crash_bench *bench)
{
    struct reel_slice rest = reel_buf_slice (&bench->ledger.bytes), record;
    struct reel_buf out = {0};
    uint64_t seq = 0, first_seq = reel_journal_first_seq (bench->journal);
    bool damaged, read = true;
    while (read && reel_record_take (&rest, &record, &damaged)) {
        struct reel_record_head head;
        CRASH_MUST (reel_record_head (record, &head));
        if (head.event.len == 0 || ++seq < first_seq)
            continue;
        reel_buf_clear (&out);
        read = reel_journal_record (bench->journal, seq, &out, &bench->err) == REEL_OK;
        CRASH_MUST (!read || reel_slice_equal (reel_buf_slice (&out), record));
    }
    for (struct reel_journal_page page = {.next = first_seq - 1, .more = true}; read && page.more;) {
        const uint64_t after = page.next;
        reel_buf_clear (&out);
        const struct reel_journal_ask ask = {after, 7, 1 << 20, UINT64_MAX};
        read = reel_journal_events (bench->journal, &ask, &out, &page, &bench->err) == REEL_OK;
        CRASH_MUST (!read || (page.next == after + page.count && page.more == (page.next < seq)));
    }
    reel_buf_free (&out);
    return read;
}

void
crash_read (struct crash_bench *bench)
{
    size_t all = 0;
    if (bench->down)
        return;
    if (!read_events (bench) || !compare_rows (bench, NULL, &all))
        go_down (bench);
    else
        must_be_so (bench, all == count_rows (bench));
}

/* More of the copy into `out`; true when there may be still more. */
static bool
fetch (struct crash_bench *bench, uint64_t number, struct reel_buf *out)
{
    uint64_t bytes = 0;
    enum reel_status status = reel_journal_backup (bench->journal, number, out->len, 100000, out, &bytes, &bench->err);
    CRASH_MUST (status == REEL_OK || disk_crashed (bench->disk) || bench->may_fail);
    bench->down = bench->down || disk_crashed (bench->disk);
    return !bench->down && status == REEL_OK && (bytes == 0 || out->len < bytes);
}

void
crash_copy (struct crash_bench *bench, uint64_t number)
{
    struct reel_buf none = {0};
    if (bench->down)
        return;
    (void) fetch (bench, number, &none);
    CRASH_MUST (none.len == 0);
    reel_buf_free (&none);
}

static void
write_file (struct disk *disk, const char *path, struct reel_slice bytes)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find (disk_name (disk));
    sqlite3_file *file = calloc (1, (size_t) vfs->szOsFile);
    int flags = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    CRASH_MUST (file && vfs->xOpen (vfs, path, file, flags, NULL) == SQLITE_OK);
    CRASH_MUST (file->pMethods->xWrite (file, bytes.data, (int) bytes.len, 0) == SQLITE_OK);
    (void) file->pMethods->xClose (file);
    free (file);
}

/* A broker that starts from it has all that this one has. */
static void
start_from (const struct crash_bench *bench, struct reel_slice copied)
{
    struct disk *disk = disk_create ("copied", 1);
    struct crash_bench other;
    write_file (disk, CRASH_DATABASE, copied);
    crash_bench_init (&other, disk);
    crash_bench_expect (&other, bench);
    crash_recover (&other);
    crash_read (&other);
    crash_close (&other);
    crash_bench_free (&other);
    disk_destroy (&disk);
}

void
crash_fetch_copy (struct crash_bench *bench, uint64_t number)
{
    struct reel_buf copied = {0};
    if (bench->down)
        return;
    while (fetch (bench, number, &copied))
        if (copied.len == 0)
            crash_rest (bench, false);
    if (!bench->down && copied.len > 0)
        start_from (bench, reel_buf_slice (&copied));
    reel_buf_free (&copied);
    if (!bench->down)
        reel_journal_backup_end (bench->journal);
}

bool
crash_together (uint64_t jobs, void (*work) (void *context, uint64_t job), void *context)
{
    bool good = true;
    (void) fflush (NULL);
    for (uint64_t job = 0; job < jobs; job++) {
        pid_t child = fork ();
        if (child < 0)
            return false;
        if (child == 0) {
            work (context, job);
            exit (EXIT_SUCCESS);
        }
    }
    for (int status; wait (&status) > 0;)
        good = good && WIFEXITED (status) && WEXITSTATUS (status) == 0;
    return good;
}
