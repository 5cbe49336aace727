/*
 * The journal stops before and after each of its operations in the course of each scenario, and starts again with what a
 * disk may then hold. From there it recovers, goes on, and now and then stops again on its way.
 *
 *     enumerate [-p POINTS] [-j JOBS] [SCENARIO [OPERATION]]
 *
 * POINTS bounds the operations of each scenario that are tried (0: all of them; a heavy one's to a twelfth of it).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/random.h"
#include "tests/crash/scenarios.h"

#define POINTS 100

struct options {
    uint64_t points;
    uint64_t jobs;
    const char *scenario; /* NULL: all */
    uint64_t only;        /* operation; 0: all */
};

/* What all processes have done together. */
struct totals {
    uint64_t operations; /* of all scenarios */
    uint64_t points;     /* of them, tried; each before and after it */
    uint64_t restarts;
    uint64_t again; /* of them, after a second stop in the course of recovery */
};
static struct totals *totals;

static const char *const ways[DISK_RESTART_COUNT] = {"process ended", "all kept", "all lost", "torn", "reordered"};

static uint64_t
case_seed (size_t scenario, uint64_t at, bool after, enum disk_restart how)
{
    return ((scenario * 1000003 + at) * 2 + after) * DISK_RESTART_COUNT + (uint64_t) how + 1;
}

/* Recovers, goes on, ends in order and recovers again. */
static void
go_on (struct crash_bench *bench)
{
    crash_open (bench);
    crash_submit (bench, 1, 20);
    crash_commit (bench);
    crash_rest (bench, true);
    crash_read (bench);
    crash_close (bench);
    crash_recover (bench);
    crash_close (bench);
}

/*
 * From a disk that has stopped. Whatever was not synced when a process ended may still be lost a little later, with the
 * machine: that is tried always, other second stops now and then.
 */
static void
restart (const struct crash_bench *stopped, struct crash_bench *bench, enum disk_restart how, uint64_t seed)
{
    struct reel_random random;
    bool soon = how == DISK_PROCESS_ENDED;
    reel_random_seed (&random, seed);
    crash_bench_expect (bench, stopped);
    disk_copy (stopped->disk, bench->disk);
    disk_reseed (bench->disk, seed);
    disk_restart (bench->disk, how);
    __atomic_add_fetch (&totals->restarts, 1, __ATOMIC_RELAXED);
    if (soon || reel_random_below (&random, 3) == 0) {
        uint64_t at = disk_operations (bench->disk) + 1 + reel_random_below (&random, soon ? 6 : 24);
        disk_crash_at (bench->disk, at, reel_random_below (&random, 2) == 0);
        go_on (bench);
        if (!bench->down)
            return;
        crash_kill (bench);
        how = soon ? DISK_ALL_LOST + reel_random_below (&random, 3) : reel_random_below (&random, DISK_RESTART_COUNT);
        disk_restart (bench->disk, how);
        bench->down = false;
        __atomic_add_fetch (&totals->restarts, 1, __ATOMIC_RELAXED);
        __atomic_add_fetch (&totals->again, 1, __ATOMIC_RELAXED);
    }
    go_on (bench);
    CRASH_MUST (!bench->down);
}

static uint64_t
play (const struct crash_scenario *scenario, struct crash_bench *bench, struct disk *disk, uint64_t at, bool after)
{
    crash_case ("enumerate %s %llu (%s the operation)", scenario->name, (unsigned long long) at,
                after ? "after" : "before");
    crash_bench_init (bench, disk);
    disk_crash_at (disk, at, after);
    scenario->play (bench);
    uint64_t operations = disk_operations (disk);
    if (bench->down)
        crash_kill (bench);
    else
        CRASH_MUST (!bench->core);
    return operations;
}

static void
try_point (size_t number, uint64_t at, bool after)
{
    const struct crash_scenario *scenario = &crash_scenarios[number];
    struct disk *disk = disk_create ("stopped", number + 1), *copy = disk_create ("copy", 1);
    struct crash_bench stopped, bench;
    (void) play (scenario, &stopped, disk, at, after);
    crash_bench_init (&bench, copy);
    for (int how = 0; how < DISK_RESTART_COUNT; how++) {
        crash_case ("enumerate %s %llu (%s the operation, %s)", scenario->name, (unsigned long long) at,
                    after ? "after" : "before", ways[how]);
        restart (&stopped, &bench, (enum disk_restart) how, case_seed (number, at, after, (enum disk_restart) how));
    }
    crash_bench_free (&stopped);
    crash_bench_free (&bench);
    disk_destroy (&disk);
    disk_destroy (&copy);
}

/* A whole life counts its operations. */
static uint64_t
count_operations (size_t number)
{
    struct disk *disk = disk_create ("stopped", number + 1);
    struct crash_bench bench;
    uint64_t operations = play (&crash_scenarios[number], &bench, disk, 0, false);
    CRASH_MUST (!bench.down);
    crash_bench_free (&bench);
    disk_destroy (&disk);
    return operations;
}

/* One process of `jobs` does every so many-th point. */
static void
enumerate (size_t number, const struct options *options, uint64_t job)
{
    uint64_t operations = count_operations (number), jobs = options->jobs;
    uint64_t points = crash_scenarios[number].heavy ? (options->points + 11) / 12 : options->points;
    if (points == 0 || points > operations)
        points = operations;
    for (uint64_t i = options->only != 0 ? options->only - 1 : 0; i < points; i++) {
        if (i % jobs != job && options->only == 0)
            continue;
        uint64_t at = options->only != 0 ? options->only : 1 + i * operations / points;
        try_point (number, at, false);
        try_point (number, at, true);
        if (options->only != 0)
            break;
    }
    if (job != 0)
        return;
    totals->operations += operations;
    totals->points += points;
    (void) printf ("%-18s %5llu operations, %5llu tried\n", crash_scenarios[number].name,
                   (unsigned long long) operations, (unsigned long long) points);
    (void) fflush (stdout);
}

static void
work (void *context, uint64_t job)
{
    const struct options *options = context;
    for (size_t i = 0; i < crash_scenario_count; i++)
        if (!options->scenario || strcmp (options->scenario, crash_scenarios[i].name) == 0)
            enumerate (i, options, job);
}

static bool
read_options (int argc, char **argv, struct options *options)
{
    int option;
    while ((option = getopt (argc, argv, "p:j:")) != -1)
        if (option == 'p')
            options->points = strtoull (optarg, NULL, 10);
        else if (option == 'j')
            options->jobs = strtoull (optarg, NULL, 10);
        else
            return false;
    if (optind < argc)
        options->scenario = argv[optind++];
    if (optind < argc)
        options->only = strtoull (argv[optind++], NULL, 10);
    if (options->only != 0)
        options->jobs = 1;
    return optind == argc && options->jobs > 0;
}

int
main (int argc, char **argv)
{
    struct options options = {.points = POINTS, .jobs = (uint64_t) sysconf (_SC_NPROCESSORS_ONLN)};
    if (!read_options (argc, argv, &options)) {
        (void) fprintf (stderr, "usage: enumerate [-p POINTS] [-j JOBS] [SCENARIO [OPERATION]]\n");
        return EXIT_FAILURE;
    }
    totals = mmap (NULL, sizeof *totals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (totals == MAP_FAILED || !crash_together (options.jobs, work, &options))
        return EXIT_FAILURE;
    (void) printf ("%llu of %llu operations, before and after each: %llu restarts (%llu of them after a stop in the "
                   "course of recovery), nothing acknowledged lost\n",
                   (unsigned long long) totals->points, (unsigned long long) totals->operations,
                   (unsigned long long) totals->restarts, (unsigned long long) totals->again);
    return EXIT_SUCCESS;
}
