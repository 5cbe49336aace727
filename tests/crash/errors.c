/*
 * The disk fails: the nth read, write, sync, truncation, creation or deletion of a life, once or from then on, for every
 * n until a life passes unhurt; and it is full at so many bytes, from none to as many as are needed. The broker ends
 * with an error that says so; on a disk that is well again, also if the machine stopped in between, nothing that was
 * acknowledged is missing, and it goes on.
 *
 *     errors [-s STEP] [-f STEP] [-j JOBS]
 *
 * Only every STEP-th n is tried (-s), and every STEP-th size (-f; else as many of these as of the others).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/crash/scenarios.h"

#define FULL_STEP 3000 /* bytes from one limit to the next */

/* What all processes have seen together. */
struct totals {
    uint64_t failed[DISK_OPERATION_COUNT];
    uint64_t full;
    uint64_t unhurt; /* lives that an error did not end */
};
static struct totals *totals;
static uint64_t jobs, job, step = 1, size_step;

static const char *const lives[] = {"first-start", "ended-rows", "killed", "reads-between", "retention", "rests"};
static const char *const kinds[DISK_OPERATION_COUNT] = {"read", "write", "sync", "truncation", "creation", "deletion"};

static const struct crash_scenario *
find_scenario (const char *name)
{
    for (size_t i = 0; i < crash_scenario_count; i++)
        if (strcmp (crash_scenarios[i].name, name) == 0)
            return &crash_scenarios[i];
    crash_wrong ("there is no scenario %s", name);
}

static void
count (uint64_t *counter)
{
    __atomic_add_fetch (counter, 1, __ATOMIC_RELAXED);
}

/* A process ended with that error; the machine may have ended, too. */
static void
start_again (struct crash_bench *failed, enum disk_restart how)
{
    struct disk *disk = disk_create ("well", 1);
    struct crash_bench bench;
    disk_copy (failed->disk, disk);
    disk_restart (disk, how);
    crash_bench_init (&bench, disk);
    crash_bench_expect (&bench, failed);
    crash_open (&bench);
    crash_submit (&bench, 1, 20);
    crash_commit (&bench);
    crash_rest (&bench, true);
    crash_read (&bench);
    crash_cut_power (&bench, DISK_ALL_LOST);
    crash_recover (&bench);
    crash_close (&bench);
    crash_bench_free (&bench);
    disk_destroy (&disk);
}

/* True when the life that `disk` was prepared for passed unhurt. */
static bool
live (const struct crash_scenario *scenario, struct disk *disk, uint64_t *counter)
{
    struct crash_bench bench;
    crash_bench_init (&bench, disk);
    bench.may_fail = true;
    scenario->play (&bench);
    bool hurt = bench.down;
    if (hurt && bench.err.message[0] == '\0')
        crash_wrong ("an error without a message");
    if (hurt) {
        disk_crash (disk);
        crash_kill (&bench);
        start_again (&bench, DISK_PROCESS_ENDED);
        start_again (&bench, DISK_ALL_LOST);
        start_again (&bench, DISK_REORDERED);
    }
    count (hurt ? counter : &totals->unhurt);
    crash_bench_free (&bench);
    return !hurt;
}

/* Returns whether there was an operation of that number. */
static bool
fail_at (const struct crash_scenario *scenario, enum disk_operation kind, uint64_t at, bool lasting)
{
    struct disk *disk = disk_create ("failing", 1);
    crash_case ("%s, %s %llu fails%s", scenario->name, kinds[kind], (unsigned long long) at,
                lasting ? ", and all after it" : "");
    disk_fail_at (disk, kind, at, lasting);
    (void) live (scenario, disk, &totals->failed[kind]);
    bool reached = disk_count (disk, kind) >= at;
    disk_destroy (&disk);
    return reached;
}

static void
fail_each (const struct crash_scenario *scenario)
{
    for (int kind = 0; kind < DISK_OPERATION_COUNT; kind++)
        for (uint64_t at = 1 + job * step;; at += jobs * step) {
            bool reached = fail_at (scenario, (enum disk_operation) kind, at, false);
            if (!fail_at (scenario, (enum disk_operation) kind, at, true) && !reached)
                break;
        }
}

static void
fill_up (const struct crash_scenario *scenario)
{
    bool unhurt = false;
    for (uint64_t limit = 1 + job * size_step * FULL_STEP; !unhurt; limit += jobs * size_step * FULL_STEP) {
        struct disk *disk = disk_create ("full", 1);
        crash_case ("%s, on a disk of %llu bytes", scenario->name, (unsigned long long) limit);
        disk_limit (disk, limit);
        unhurt = live (scenario, disk, &totals->full);
        disk_destroy (&disk);
    }
}

static void
work (void *context, uint64_t number)
{
    (void) context;
    job = number;
    for (size_t i = 0; i < sizeof lives / sizeof *lives; i++) {
        fail_each (find_scenario (lives[i]));
        fill_up (find_scenario (lives[i]));
    }
}

int
main (int argc, char **argv)
{
    int option;
    jobs = (uint64_t) sysconf (_SC_NPROCESSORS_ONLN);
    while ((option = getopt (argc, argv, "s:f:j:")) != -1)
        if (option == 's')
            step = strtoull (optarg, NULL, 10);
        else if (option == 'f')
            size_step = strtoull (optarg, NULL, 10);
        else if (option == 'j')
            jobs = strtoull (optarg, NULL, 10);
    if (size_step == 0)
        size_step = step;
    if (optind < argc || jobs == 0 || step == 0) {
        (void) fprintf (stderr, "usage: errors [-s STEP] [-f STEP] [-j JOBS]\n");
        return EXIT_FAILURE;
    }
    totals = mmap (NULL, sizeof *totals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (totals == MAP_FAILED || !crash_together (jobs, work, NULL))
        return EXIT_FAILURE;
    uint64_t ended = totals->full;
    for (int kind = 0; kind < DISK_OPERATION_COUNT; kind++)
        ended += totals->failed[kind];
    (void) printf ("%llu lives ended by an error of the disk (", (unsigned long long) ended);
    for (int kind = 0; kind < DISK_OPERATION_COUNT; kind++)
        (void) printf ("%s %llu, ", kinds[kind], (unsigned long long) totals->failed[kind]);
    (void) printf ("full %llu), %llu not ended by it: nothing acknowledged lost\n", (unsigned long long) totals->full,
                   (unsigned long long) totals->unhurt);
    return EXIT_SUCCESS;
}
