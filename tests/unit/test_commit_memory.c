/*
 * A broker without sockets when memory is out: the Nth allocation of a life fails, for every N, from recovery through
 * rounds and commits to the next recovery. It says so, nothing has left that is not durable, all that left is there when
 * the journal is opened again, and everything is given back.
 *
 * SQLite's own do not: that is for test_journal_memory.c. With the sanitizers there is only the life without failures.
 */
#include <check.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/recovery.h"
#include "broker/rounds.h"
#include "tests/support/broker.h"
#include "tests/support/scarce.h"
#include "tests/support/scratch.h"
#include "tests/support/suite.h"

/* What is said in the course of a life. */
struct line {
    enum reel_socket socket;
    const char *command;
    const char *header;
    const char *document;
};

static const struct line first_half[] = {
    {REEL_SOCKET_CLIENT, "SUBMIT", "{}",
     "{'workflow_id':'wf','steps':[{'step_id':'a','modality':'echo'},{'step_id':'b','modality':'paid'}]}"},
    {REEL_SOCKET_CLIENT, "SUBMIT", "{'not_before_us':9000000}",
     "{'workflow_id':'later','steps':[{'step_id':'a','modality':'echo'}]}"},
    {REEL_SOCKET_CLIENT, "RECEIPT", "{'workflow_id':'wf','wait_ms':1000000}", NULL},
    {REEL_SOCKET_WORKER, "READY", "{'name':'w','slots':4,'modalities':['echo','paid']}", NULL},
    {REEL_SOCKET_WORKER, "REPORT", "{'lease':[1,1],'report_index':1}",
     "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," STARTED ("b", "1", "false") "]"},
    {REEL_SOCKET_WORKER, "REPORT", "{'lease':[1,1],'report_index':4}", "[" SUCCEEDED ("b") "," ENDED "]"},
    {REEL_SOCKET_CLIENT, "EVENTS", "{'after':0,'workflow_id':'wf'}", NULL},
    {REEL_SOCKET_CLIENT, "CANCEL", "{'workflow_id':'later'}", NULL},
    {REEL_SOCKET_CLIENT, "SUBMIT", "{}", "{'workflow_id':'live','steps':[{'step_id':'a','modality':'none'}]}"},
};
static const struct line second_half[] = {
    {REEL_SOCKET_CLIENT, "GET", "{'workflow_id':'wf'}", NULL},
    {REEL_SOCKET_CLIENT, "RECEIPT", "{'workflow_id':'later'}", NULL},
    {REEL_SOCKET_CLIENT, "LIST", "{}", NULL},
    {REEL_SOCKET_CLIENT, "EVENTS", "{'after':0}", NULL},
    {REEL_SOCKET_CLIENT, "RERUN", "{'workflow_id':'wf','new_workflow_id':'again','from_step':'b'}", NULL},
};
#define COUNT_OF(lines) (sizeof (lines) / sizeof (lines)[0])
#define LINES_MAX 16

static char directory[SCRATCH_BYTES];
static struct reel_buf headers[2][LINES_MAX], documents[2][LINES_MAX];
static struct reel_core *core;
static struct reel_journal *journal;
static struct reel_rounds rounds;
static struct reel_batch *handed; /* it comes back */
static enum reel_status commit_status;
static struct reel_error err;
static uint64_t promised; /* the newest event that was spoken of */
static size_t replies;

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

static void
make_lines (size_t half, const struct line *lines, size_t count)
{
    ck_assert (count <= LINES_MAX);
    for (size_t i = 0; i < count; i++) {
        headers[half][i] = broker_msgpack (lines[i].header);
        if (lines[i].document != NULL)
            documents[half][i] = broker_msgpack (lines[i].document);
    }
}

/* --- SQLite's memory, which neither fails nor counts -------------------------------------------------- */

static sqlite3_mem_methods others;

static void *
exempt_malloc (int size)
{
    bool was_armed = armed;
    armed = false;
    void *memory = others.xMalloc (size);
    armed = was_armed;
    return memory;
}

static void *
exempt_realloc (void *old, int size)
{
    bool was_armed = armed;
    armed = false;
    void *memory = others.xRealloc (old, size);
    armed = was_armed;
    return memory;
}

static void
exempt_free (void *old)
{
    bool was_armed = armed;
    armed = false;
    others.xFree (old);
    armed = was_armed;
}

static void
exempt_sqlite (void)
{
    ck_assert_int_eq (sqlite3_config (SQLITE_CONFIG_GETMALLOC, &others), SQLITE_OK);
    sqlite3_mem_methods methods = others;
    methods.xMalloc = exempt_malloc;
    methods.xRealloc = exempt_realloc;
    methods.xFree = exempt_free;
    ck_assert_int_eq (sqlite3_config (SQLITE_CONFIG_MALLOC, &methods), SQLITE_OK);
    ck_assert_int_eq (sqlite3_initialize (), SQLITE_OK);
}

/* --- what a shell does -------------------------------------------------------------------------- */

static void
hand (void *context, struct reel_batch *batch)
{
    (void) context;
    commit_status = reel_commit_carry_out (journal, batch, &err);
    handed = batch;
}

static enum reel_status
send_out (void *context, const struct reel_effects *effects)
{
    (void) context;
    uint64_t last_seq = effects->event_count > 0 ? effects->first_seq + effects->event_count - 1 : 0;
    if (last_seq > promised)
        promised = last_seq;
    replies += effects->send_count;
    return promised <= reel_journal_last_seq (journal) ? REEL_OK : REEL_INVALID;
}

/* Until nothing is under way. */
static enum reel_status
go_round (void)
{
    int64_t wake_us;
    enum reel_status status = reel_core_tick (core, rounds.now, true, &rounds.pending->effects, &wake_us);
    if (status == REEL_OK)
        status = reel_rounds_pass_on (&rounds);
    while (status == REEL_OK && rounds.committing) {
        struct reel_batch *done = handed;
        status = commit_status;
        if (status == REEL_OK)
            status = reel_rounds_settle (&rounds, done);
        if (status == REEL_OK)
            status = reel_rounds_pass_on (&rounds);
    }
    return status;
}

static enum reel_status
say (const struct line *line, struct reel_slice header, struct reel_slice document)
{
    const struct reel_slice frames[] = {reel_slice_text ("REEL1"), reel_slice_text (line->command), header, document};
    const struct reel_core_frames message = {line->socket, reel_slice_text ("peer"), false, frames,
                                             line->document != NULL ? 4 : 3};
    enum reel_status status = reel_core_message (core, rounds.now, &message, &rounds.pending->effects);
    return status == REEL_OK ? go_round () : status;
}

static enum reel_status
live_half (size_t half, const struct line *lines, size_t count)
{
    struct reel_core_setup setup;
    struct reel_recovered recovered;
    reel_core_setup_defaults (&setup);
    setup.snapshot_bytes = 2000;
    rounds = (struct reel_rounds){.pause_us_max = 250000, .hand = hand, .send_out = send_out};
    reel_rounds_begin (&rounds, 1000000, 1000000);
    enum reel_status status = reel_core_create (&setup, &core);
    rounds.core = core;
    if (status == REEL_OK)
        status = reel_recovery_run (&(struct reel_journal_setup){.directory = directory}, core, &journal, &recovered,
                                    &err);
    if (status == REEL_OK)
        status = reel_core_start (core, rounds.now, &rounds.pending->effects);
    if (status == REEL_OK)
        status = go_round ();
    for (size_t i = 0; i < count && status == REEL_OK; i++)
        status = say (&lines[i], reel_buf_slice (&headers[half][i]), reel_buf_slice (&documents[half][i]));
    reel_rounds_end (&rounds);
    reel_journal_close (&journal);
    reel_core_destroy (&core);
    return status;
}

/* True when nothing failed. */
static bool
live_with_failure (uint64_t at)
{
    const struct reel_journal_setup where = {.directory = directory};
    remove_files ();
    err = (struct reel_error){0};
    promised = 0;
    replies = 0;
    allocations = 0;
    failing = at;
    outstanding = 0;
    armed = true;
    enum reel_status status = live_half (0, first_half, COUNT_OF (first_half));
    if (status == REEL_OK)
        status = live_half (1, second_half, COUNT_OF (second_half));
    if (status == REEL_OK)
        status = reel_recovery_verify (&where, &err);
    armed = false;
    ck_assert_msg (outstanding == 0, "%lld allocations are not given back after number %llu failed",
                   (long long) outstanding, (unsigned long long) at);
    ck_assert_msg (status == REEL_OK || status == REEL_NO_MEMORY, "number %llu: %s: %s", (unsigned long long) at,
                   reel_status_name (status), err.message);
    /* One each, and an ASSIGN. */
    ck_assert (status != REEL_OK || replies == COUNT_OF (first_half) + COUNT_OF (second_half) + 1);

    struct reel_core_setup setup;
    struct reel_recovered recovered;
    reel_core_setup_defaults (&setup);
    ck_assert_int_eq (reel_core_create (&setup, &core), REEL_OK);
    ck_assert_msg (reel_recovery_run (&where, core, &journal, &recovered, &err) == REEL_OK, "number %llu: %s",
                   (unsigned long long) at, err.message);
    ck_assert_uint_ge (reel_journal_last_seq (journal), promised);
    reel_journal_close (&journal);
    reel_core_destroy (&core);
    ck_assert_msg (reel_recovery_verify (&where, &err) == REEL_OK, "number %llu: %s", (unsigned long long) at,
                   err.message);
    return at == 0 || allocations < at;
}

START_TEST (every_allocation_may_fail)
{
    uint64_t failures = 0;
    /* Memory, where there is one: nothing of this is about disks. */
    scratch_make (directory, true);
    exempt_sqlite ();
    make_lines (0, first_half, COUNT_OF (first_half));
    make_lines (1, second_half, COUNT_OF (second_half));
    /* What --verify says of each. */
    int out = dup (STDOUT_FILENO), nothing = open ("/dev/null", O_WRONLY | O_CLOEXEC);
    (void) printf ("\n");
    (void) fflush (stdout);
    ck_assert (out >= 0 && nothing >= 0 && dup2 (nothing, STDOUT_FILENO) >= 0);
    ck_assert (live_with_failure (0));
    while (can_fail () && !live_with_failure (failures + 1))
        failures++;
    ck_assert (dup2 (out, STDOUT_FILENO) >= 0);
    (void) close (out);
    (void) close (nothing);
    ck_assert (!can_fail () || failures > 100);
    (void) printf ("%llu allocations failed, one in each life\n", (unsigned long long) failures);
    for (size_t i = 0; i < 2 * LINES_MAX; i++) {
        reel_buf_free (&headers[i / LINES_MAX][i % LINES_MAX]);
        reel_buf_free (&documents[i / LINES_MAX][i % LINES_MAX]);
    }
    remove_files ();
    ck_assert_int_eq (rmdir (directory), 0);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("commit, memory");
    TCase *tests = tcase_create ("memory");
    tcase_add_test (tests, every_allocation_may_fail);
    suite_add_tcase (suite, tests);
    return suite_run (suite);
}
