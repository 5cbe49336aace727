/*
 * What a broker left behind is damaged: its log cut or gone, bits turned in database, log and tail, sectors blank. Each
 * time the journal is refused with a message that says what to do, or everything in it is as it was written.
 *
 *     damage [-n FLIPS] [-s STEP] [-j JOBS]
 *
 * Only every STEP-th case is tried. FLIPS is how many places in each database and each log, chosen at random, are tried beside those that have a meaning of
 * their own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/random.h"
#include "broker/recovery.h"
#include "tests/crash/scenarios.h"

#define PAGE_BYTES 16384
#define LOG_HEAD_BYTES 32
#define FRAME_HEAD_BYTES 24
#define FRAME_BYTES (FRAME_HEAD_BYTES + PAGE_BYTES)
#define FLIPS 40

/* What all processes have seen together. */
struct totals {
    uint64_t cases;
    uint64_t refused;  /* at the start */
    uint64_t noticed;  /* later, by whoever read */
    uint64_t verified; /* by --verify alone */
    uint64_t harmless; /* everything was as it was written */
};
static struct totals *totals;
static uint64_t jobs, job, step = 1, flips = FLIPS;

/* --- what is damaged ------------------------------------------------------------------------- */

/* All is in the log. */
static void
in_the_log (struct crash_bench *bench)
{
    crash_open (bench);
    crash_ready (bench, 16);
    crash_submit (bench, 6, 200);
    crash_commit (bench);
    crash_submit (bench, 3, 9000);
    crash_commit (bench);
    crash_work (bench, 2);
    crash_fail (bench, 2);
    crash_commit (bench);
    crash_submit (bench, 1, 10);
    crash_commit (bench);
    crash_kill (bench);
}

/* All is in the database. */
static void
in_the_database (struct crash_bench *bench)
{
    in_the_log (bench);
    crash_open (bench);
    crash_submit (bench, 4, 30000);
    crash_commit (bench);
    crash_close (bench);
}

/* Some is in both, and behind the log's end there is what it held before. */
static void
in_both (struct crash_bench *bench)
{
    in_the_log (bench);
    crash_open (bench);
    crash_ready (bench, 16);
    for (int i = 0; i < 4; i++) {
        crash_submit (bench, 16, 18000);
        crash_commit (bench);
    }
    crash_rest (bench, true);
    crash_work (bench, 3);
    crash_commit (bench);
    crash_submit (bench, 2, 300);
    crash_commit (bench);
    crash_kill (bench);
}

/* The machine stopped, and what the tail said last was lost with it. */
static void
after_power_cut (struct crash_bench *bench)
{
    in_both (bench);
    crash_open (bench);
    crash_submit (bench, 1, 10);
    crash_commit (bench);
    crash_rest (bench, true);
    crash_cut_power (bench, DISK_ALL_LOST);
}

static const struct crash_scenario left_behind[] = {
    {.name = "in the log", .play = in_the_log},
    {.name = "in the database", .play = in_the_database},
    {.name = "in both", .play = in_both},
    {.name = "after a power cut", .play = after_power_cut},
};

/* --- one case -------------------------------------------------------------------------------- */

static const char *left;                /* the name of what was left behind */
static struct crash_bench whole, bench; /* what was left behind; and what is made of a damaged copy of it */

/* Whoever reads it knows what to do. */
static void
check_message (const struct reel_error *err)
{
    static const char *const advice[] = {"backup", "use the version", "name another"};
    for (size_t i = 0; i < sizeof advice / sizeof *advice; i++)
        if (strstr (err->message, advice[i]))
            return;
    crash_wrong ("the message does not say what to do: %s", err->message);
}

static void
count (uint64_t *counter)
{
    __atomic_add_fetch (counter, 1, __ATOMIC_RELAXED);
}

/* It has to be refused. */
static void
verify_it (void)
{
    const struct reel_journal_setup where = {.directory = "data", .vfs = disk_name (bench.disk)};
    struct reel_error err = {0};
    if (reel_recovery_verify (&where, &err) == REEL_OK)
        crash_wrong ("nobody notices");
    check_message (&err);
    count (&totals->verified);
}

/* The broker starts on what is left, reads all of it, goes on, and starts again. */
static void
start_on_it (void)
{
    crash_recover (&bench);
    if (bench.down) {
        check_message (&bench.err);
        crash_kill (&bench);
        count (&totals->refused);
        return;
    }
    crash_read (&bench);
    crash_close (&bench);
    if (bench.differs) {
        verify_it ();
        return;
    }
    crash_open (&bench);
    crash_submit (&bench, 1, 20);
    crash_commit (&bench);
    crash_rest (&bench, true);
    crash_read (&bench);
    crash_close (&bench);
    crash_recover (&bench);
    crash_read (&bench);
    CRASH_MUST (!bench.differs);
    count (bench.down ? &totals->noticed : &totals->harmless);
    if (bench.down)
        check_message (&bench.err);
    crash_kill (&bench);
}

enum damage { FLIP, CUT, REMOVE, BLANK };

/* FLIP: the bits of `amount`; CUT: to `at`; BLANK: `amount` bytes. */
static void
damage (enum damage kind, const char *path, size_t at, size_t amount)
{
    static const char *const names[] = {[FLIP] = "bits", [CUT] = "cut at", [REMOVE] = "removed", [BLANK] = "blank"};
    static uint64_t number;
    if (number++ % (jobs * step) != job * step)
        return;
    crash_case ("%s: %s %s %zu %zu", left, path, names[kind], at, amount);
    crash_bench_expect (&bench, &whole);
    bench.may_fail = bench.damaged = true;
    disk_copy (whole.disk, bench.disk);
    switch (kind) {
    case FLIP: disk_flip (bench.disk, path, at, (uint8_t) amount); break;
    case CUT: disk_cut (bench.disk, path, at); break;
    case REMOVE: disk_remove (bench.disk, path); break;
    case BLANK: disk_blank (bench.disk, path, at, amount); break;
    }
    count (&totals->cases);
    start_on_it ();
}

/* --- all of them ----------------------------------------------------------------------------- */

static struct reel_random chance;

static void
flip_at (const char *path, size_t at)
{
    damage (FLIP, path, at, (size_t) 1 << reel_random_below (&chance, 8));
}

static void
flip_anywhere (const char *path, size_t len)
{
    for (uint64_t i = 0; i < flips && len > 0; i++)
        flip_at (path, reel_random_below (&chance, len));
}

/* Cut at every frame, and in the head and the page of each; every field of every frame's head. */
static void
damage_log (size_t len)
{
    if (len == 0)
        return;
    for (size_t at = 0; at < LOG_HEAD_BYTES; at++)
        flip_at (CRASH_LOG, at);
    for (size_t frame = LOG_HEAD_BYTES; frame < len; frame += FRAME_BYTES) {
        damage (CUT, CRASH_LOG, frame, 0);
        damage (CUT, CRASH_LOG, frame + 1 + reel_random_below (&chance, FRAME_HEAD_BYTES), 0);
        damage (CUT, CRASH_LOG, frame + FRAME_HEAD_BYTES + 1 + reel_random_below (&chance, PAGE_BYTES - 1), 0);
        for (size_t field = 0; field < FRAME_HEAD_BYTES; field += 4)
            flip_at (CRASH_LOG, frame + field + reel_random_below (&chance, 4));
        flip_at (CRASH_LOG, frame + FRAME_HEAD_BYTES + reel_random_below (&chance, PAGE_BYTES));
        damage (BLANK, CRASH_LOG, frame + reel_random_below (&chance, 32) * DISK_SECTOR_BYTES, DISK_SECTOR_BYTES);
    }
    damage (CUT, CRASH_LOG, 0, 0);
    damage (REMOVE, CRASH_LOG, 0, 0);
    flip_anywhere (CRASH_LOG, len);
}

/* The head, the head of every page and some of its pointers, and anything else. */
static void
damage_database (size_t len)
{
    for (size_t at = 0; at < 100 && at < len; at++)
        flip_at (CRASH_DATABASE, at);
    for (size_t page = 0; page < len; page += PAGE_BYTES) {
        size_t start = page == 0 ? 100 : page;
        for (size_t at = start; at < start + 16; at++)
            flip_at (CRASH_DATABASE, at);
        flip_at (CRASH_DATABASE, page + PAGE_BYTES - 1 - reel_random_below (&chance, 400));
        damage (CUT, CRASH_DATABASE, page, 0);
        damage (CUT, CRASH_DATABASE, page + 1 + reel_random_below (&chance, PAGE_BYTES - 1), 0);
        damage (BLANK, CRASH_DATABASE, page + reel_random_below (&chance, 32) * DISK_SECTOR_BYTES, DISK_SECTOR_BYTES);
        damage (BLANK, CRASH_DATABASE, page, PAGE_BYTES);
    }
    damage (REMOVE, CRASH_DATABASE, 0, 0);
    flip_anywhere (CRASH_DATABASE, len);
}

static void
damage_tail (size_t len)
{
    for (size_t at = 0; at < len; at++)
        flip_at (CRASH_TAIL, at);
    for (size_t at = 0; at < len; at += 7)
        damage (CUT, CRASH_TAIL, at, 0);
    damage (BLANK, CRASH_TAIL, 0, len);
    damage (REMOVE, CRASH_TAIL, 0, 0);
}

static size_t
length (const char *path)
{
    size_t len;
    (void) disk_file (whole.disk, path, &len);
    return len;
}

static void
work (void *context, uint64_t number)
{
    (void) context;
    job = number;
    reel_random_seed (&chance, 1);
    struct disk *disk = disk_create ("whole", 1), *copy = disk_create ("damaged", 1);
    for (size_t i = 0; i < sizeof left_behind / sizeof *left_behind; i++) {
        struct disk *none = disk_create ("none", 1);
        disk_copy (none, disk);
        disk_destroy (&none);
        left = left_behind[i].name;
        crash_case ("%s", left);
        crash_bench_init (&whole, disk);
        crash_bench_init (&bench, copy);
        left_behind[i].play (&whole);
        CRASH_MUST (!whole.down && whole.ledger.acknowledged == whole.ledger.count - 1);
        damage_log (length (CRASH_LOG));
        damage_database (length (CRASH_DATABASE));
        damage_tail (length (CRASH_TAIL));
        crash_bench_free (&whole);
        crash_bench_free (&bench);
    }
    disk_destroy (&disk);
    disk_destroy (&copy);
}

int
main (int argc, char **argv)
{
    int option;
    jobs = (uint64_t) sysconf (_SC_NPROCESSORS_ONLN);
    while ((option = getopt (argc, argv, "n:s:j:")) != -1)
        if (option == 'n')
            flips = strtoull (optarg, NULL, 10);
        else if (option == 's')
            step = strtoull (optarg, NULL, 10);
        else if (option == 'j')
            jobs = strtoull (optarg, NULL, 10);
    if (optind < argc || jobs == 0 || step == 0) {
        (void) fprintf (stderr, "usage: damage [-n FLIPS] [-s STEP] [-j JOBS]\n");
        return EXIT_FAILURE;
    }
    totals = mmap (NULL, sizeof *totals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (totals == MAP_FAILED || !crash_together (jobs, work, NULL))
        return EXIT_FAILURE;
    (void) printf ("%llu cases of damage: %llu refused at the start, %llu noticed later, %llu by "
                   "--verify, %llu harmless, none silent\n",
                   (unsigned long long) totals->cases, (unsigned long long) totals->refused,
                   (unsigned long long) totals->noticed, (unsigned long long) totals->verified,
                   (unsigned long long) totals->harmless);
    return EXIT_SUCCESS;
}
