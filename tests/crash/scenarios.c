/*
 * Each begins on an empty disk. They are small, but each of their operations is an end to be tried.
 */
#include "tests/crash/scenarios.h"

#include <sqlite3.h>

static void
first_start (struct crash_bench *bench)
{
    crash_open (bench);
    crash_close (bench);
    crash_open (bench);
    crash_close (bench);
}

static void
one_by_one (struct crash_bench *bench)
{
    crash_open (bench);
    for (int i = 0; i < 8; i++) {
        crash_submit (bench, 1, 100);
        crash_commit (bench);
    }
    crash_close (bench);
}

static void
in_tens (struct crash_bench *bench)
{
    crash_open (bench);
    for (int i = 0; i < 4; i++) {
        crash_submit (bench, 10, 200);
        crash_commit (bench);
    }
    crash_close (bench);
}

/* Batches of several pages, and small ones between them. */
static void
large_batches (struct crash_bench *bench)
{
    crash_open (bench);
    for (int i = 0; i < 3; i++) {
        crash_submit (bench, 20, 4000);
        crash_commit (bench);
        crash_submit (bench, 1, 10);
        crash_commit (bench);
    }
    crash_close (bench);
}

static void
large_document (struct crash_bench *bench)
{
    crash_open (bench);
    crash_submit (bench, 1, 300000);
    crash_commit (bench);
    crash_submit (bench, 1, 10);
    crash_commit (bench);
    crash_kill (bench);
    crash_open (bench);
    crash_read (bench);
    crash_close (bench);
}

static void
ended_rows (struct crash_bench *bench)
{
    crash_open (bench);
    crash_ready (bench, 8);
    crash_submit (bench, 8, 10);
    crash_commit (bench);
    for (int i = 0; i < 4; i++) {
        crash_work (bench, 1);
        crash_commit (bench);
        crash_fail (bench, 1);
        crash_commit (bench);
    }
    crash_close (bench);
}

/* All of a batch ends: many rows, in table and index. */
static void
ended_together (struct crash_bench *bench)
{
    crash_open (bench);
    crash_ready (bench, 40);
    crash_submit (bench, 40, 10);
    crash_commit (bench);
    crash_work (bench, 20);
    crash_fail (bench, 20);
    crash_commit (bench);
    crash_submit (bench, 2, 10);
    crash_commit (bench);
    crash_close (bench);
}

static void
life_of_steps (struct crash_bench *bench)
{
    crash_open (bench);
    crash_ready (bench, 4);
    crash_submit (bench, 6, 50);
    crash_commit (bench);
    crash_work_half (bench, 4);
    crash_commit (bench);
    crash_worker (bench, "HEARTBEAT", "{'leases':[],'sent_us':1}", NULL);
    crash_commit (bench);
    crash_read (bench);
    crash_close (bench);
}

static void
idle_checkpoints (struct crash_bench *bench)
{
    crash_open (bench);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 4; i++) {
            crash_submit (bench, 16, 18000);
            crash_commit (bench);
        }
        crash_rest (bench, true);
    }
    crash_submit (bench, 1, 10);
    crash_commit (bench);
    crash_close (bench);
}

/* Until the log is so long that it is taken in while there is work. */
static void
busy_checkpoint (struct crash_bench *bench)
{
    crash_open (bench);
    for (int i = 0; i < 30; i++) {
        crash_submit (bench, 2, 300000);
        crash_commit (bench);
        crash_rest (bench, false);
    }
    crash_submit (bench, 1, 10);
    crash_commit (bench);
    crash_close (bench);
}

/* A log that began again ends amid frames of the one before. */
static void
log_begun_again (struct crash_bench *bench)
{
    crash_open (bench);
    for (int i = 0; i < 4; i++) {
        crash_submit (bench, 16, 18000);
        crash_commit (bench);
    }
    crash_rest (bench, true);
    crash_submit (bench, 3, 18000);
    crash_commit (bench);
    crash_kill (bench);
    crash_open (bench);
    crash_submit (bench, 1, 10);
    crash_commit (bench);
    crash_cut_power (bench, DISK_ALL_LOST);
    crash_open (bench);
    crash_close (bench);
}

static void
killed (struct crash_bench *bench)
{
    crash_open (bench);
    crash_submit (bench, 3, 100);
    crash_commit (bench);
    crash_kill (bench);
    crash_open (bench);
    crash_submit (bench, 3, 100);
    crash_commit (bench);
    crash_kill (bench);
    crash_open (bench);
    crash_close (bench);
}

static void
epochs (struct crash_bench *bench)
{
    for (int i = 0; i < 4; i++) {
        crash_open (bench);
        crash_close (bench);
    }
    for (int i = 0; i < 3; i++) {
        crash_open (bench);
        crash_kill (bench);
    }
    crash_open (bench);
    crash_close (bench);
}

/* It comes so far as to read its journal, again and again. */
static void
recoveries (struct crash_bench *bench)
{
    crash_open (bench);
    crash_submit (bench, 5, 3000);
    crash_commit (bench);
    for (int i = 0; i < 3; i++) {
        crash_kill (bench);
        crash_recover (bench);
        crash_cut_power (bench, DISK_TORN);
        crash_recover (bench);
    }
    crash_kill (bench);
    crash_open (bench);
    crash_submit (bench, 1, 10);
    crash_commit (bench);
    crash_close (bench);
}

static void
power_cuts (struct crash_bench *bench)
{
    for (int how = DISK_ALL_KEPT; how < DISK_RESTART_COUNT; how++) {
        crash_open (bench);
        crash_submit (bench, 3, 500);
        crash_commit (bench);
        crash_submit (bench, 3, 500);
        crash_cut_power (bench, (enum disk_restart) how);
    }
    crash_open (bench);
    crash_close (bench);
}

static void
reads_between (struct crash_bench *bench)
{
    crash_open (bench);
    crash_ready (bench, 4);
    for (int i = 0; i < 4; i++) {
        crash_submit (bench, 2, 5000);
        crash_commit (bench);
        crash_read (bench);
        crash_work (bench, 1);
        crash_commit (bench);
        crash_read (bench);
    }
    crash_close (bench);
    crash_open (bench);
    crash_read (bench);
    crash_close (bench);
}

static void
operators (struct crash_bench *bench)
{
    crash_open (bench);
    crash_submit (bench, 4, 50);
    crash_commit (bench);
    crash_client (bench, "CANCEL", "{'workflow_id':'w1'}", NULL);
    crash_commit (bench);
    crash_client (bench, "PAUSE", "{'workflow_id':'w2'}", NULL);
    crash_client (bench, "PAUSE", "{}", NULL);
    crash_commit (bench);
    crash_kill (bench);
    crash_open (bench);
    crash_client (bench, "RESUME", "{}", NULL);
    crash_commit (bench);
    crash_client (bench, "RESUME", "{'workflow_id':'w2'}", NULL);
    crash_ready (bench, 4);
    crash_commit (bench);
    crash_fail (bench, 1);
    crash_commit (bench);
    crash_close (bench);
}

/* Steps in doubt, leases that expire, workflows that are handed out again. */
static void
lost_workers (struct crash_bench *bench)
{
    crash_open (bench);
    crash_submit (bench, 4, 50);
    crash_ready (bench, 4);
    crash_commit (bench);
    crash_work_half (bench, 2);
    crash_commit (bench);
    crash_pass_ms (bench, 60000);
    crash_commit (bench);
    crash_kill (bench);
    crash_open (bench);
    crash_ready (bench, 4);
    crash_commit (bench);
    crash_pass_ms (bench, 60000);
    crash_commit (bench);
    crash_close (bench);
}

/* The tail may be removed, and is made anew. */
static void
without_tail (struct crash_bench *bench)
{
    crash_open (bench);
    crash_submit (bench, 2, 50);
    crash_commit (bench);
    crash_close (bench);
    if (!bench->down)
        disk_remove (bench->disk, CRASH_TAIL);
    crash_open (bench);
    crash_submit (bench, 2, 50);
    crash_commit (bench);
    crash_close (bench);
}

/* Rests with little to do, and with much. */
static void
rests (struct crash_bench *bench)
{
    crash_open (bench);
    crash_ready (bench, 16);
    for (int i = 0; i < 12; i++) {
        crash_submit (bench, 4, i % 3 == 0 ? 30000 : 100);
        crash_commit (bench);
        crash_rest (bench, false);
        crash_work (bench, 3);
        crash_commit (bench);
        crash_rest (bench, i % 2 == 0);
    }
    crash_kill (bench);
    crash_open (bench);
    crash_rest (bench, true);
    crash_close (bench);
}

/* Live state is journaled anew again and again. */
static void
snapshots (struct crash_bench *bench)
{
    bench->snapshot_bytes = 4000;
    crash_open (bench);
    crash_ready (bench, 4);
    for (int i = 0; i < 8; i++) {
        crash_submit (bench, 2, 400);
        crash_commit (bench);
        crash_work (bench, 1);
        crash_commit (bench);
    }
    crash_kill (bench);
    crash_open (bench);
    crash_submit (bench, 2, 4000);
    crash_commit (bench);
    crash_close (bench);
}

/* The past is forgotten, and removed while the journal rests. */
static void
retention (struct crash_bench *bench)
{
    bench->snapshot_bytes = 3000;
    bench->retain_bytes = 8000;
    crash_open (bench);
    crash_ready (bench, 8);
    for (int i = 0; i < 14; i++) {
        crash_submit (bench, 3, 300);
        crash_commit (bench);
        crash_work (bench, 2);
        crash_fail (bench, 1);
        crash_commit (bench);
        crash_rest (bench, i % 4 == 0);
    }
    crash_read (bench);
    crash_kill (bench);
    crash_open (bench);
    crash_rest (bench, true);
    crash_close (bench);
    CRASH_MUST (bench->down || bench->forgot);
}

/* Takes back what format 2 has added. */
static void
write_format_1 (struct crash_bench *bench)
{
    static const char sql[] = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL; BEGIN IMMEDIATE;"
                              "DROP TABLE head; ALTER TABLE ended DROP COLUMN row_check;"
                              "PRAGMA user_version = 1; COMMIT;";
    sqlite3 *db = NULL;
    if (bench->down)
        return;
    bool done = sqlite3_open_v2 (CRASH_DATABASE, &db, SQLITE_OPEN_READWRITE, disk_name (bench->disk)) == SQLITE_OK
                && sqlite3_exec (db, sql, NULL, NULL, NULL) == SQLITE_OK;
    (void) sqlite3_close (db);
    bench->down = disk_crashed (bench->disk);
    CRASH_MUST (done || bench->down);
}

/* From the format of an earlier version. */
static void
upgrade (struct crash_bench *bench)
{
    crash_open (bench);
    crash_ready (bench, 4);
    crash_submit (bench, 4, 100);
    crash_commit (bench);
    crash_work (bench, 1);
    crash_fail (bench, 1);
    crash_close (bench);
    write_format_1 (bench);
    crash_open (bench);
    crash_submit (bench, 1, 10);
    crash_close (bench);
}

/* A copy is made while the journal goes on, and one is begun that nobody fetches. */
static void
backup (struct crash_bench *bench)
{
    crash_open (bench);
    crash_ready (bench, 4);
    for (int i = 0; i < 4; i++) {
        crash_submit (bench, 1, 300000);
        crash_commit (bench);
    }
    crash_copy (bench, 1);
    crash_rest (bench, false);
    crash_submit (bench, 2, 40000);
    crash_commit (bench);
    crash_work (bench, 2);
    crash_commit (bench);
    crash_fetch_copy (bench, 1);
    crash_copy (bench, 2);
    crash_rest (bench, true);
    crash_submit (bench, 1, 100);
    crash_commit (bench);
    crash_kill (bench);
    crash_open (bench);
    crash_close (bench);
}

const struct crash_scenario crash_scenarios[] = {
    {.name = "first-start", .play = first_start},
    {.name = "one-by-one", .play = one_by_one},
    {.name = "in-tens", .play = in_tens},
    {.name = "large-batches", .play = large_batches},
    {.name = "large-document", .play = large_document},
    {.name = "ended-rows", .play = ended_rows},
    {.name = "ended-together", .play = ended_together},
    {.name = "life-of-steps", .play = life_of_steps},
    {.name = "idle-checkpoints", .play = idle_checkpoints},
    {.name = "busy-checkpoint", .play = busy_checkpoint, .heavy = true},
    {.name = "log-begun-again", .play = log_begun_again},
    {.name = "killed", .play = killed},
    {.name = "epochs", .play = epochs},
    {.name = "recoveries", .play = recoveries},
    {.name = "power-cuts", .play = power_cuts},
    {.name = "reads-between", .play = reads_between},
    {.name = "operators", .play = operators},
    {.name = "lost-workers", .play = lost_workers},
    {.name = "without-tail", .play = without_tail},
    {.name = "rests", .play = rests},
    {.name = "snapshots", .play = snapshots},
    {.name = "retention", .play = retention},
    {.name = "upgrade", .play = upgrade},
    {.name = "backup", .play = backup},
};
const size_t crash_scenario_count = sizeof crash_scenarios / sizeof *crash_scenarios;
