/*
 * Runs worlds, and says what happened in them.
 *
 *     sim --seed N              one, with its trace
 *     sim --from A --to B       all of them; one in a hundred twice, which must give the same trace
 *     --jobs N                  so many at once
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/sim/sim.h"

#define JOBS_MAX 64
#define TWICE_EVERY 100
/* So often it is said how far they are. */
#define SAY_S 10

/* What a job tells the one who waits for it. */
struct told {
    volatile uint64_t seed; /* under way */
    volatile uint64_t done;
    struct sim_counts counts;
};

static double
seconds (void)
{
    struct timespec now;
    (void) clock_gettime (CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static void
run_seed (uint64_t seed)
{
    uint64_t trace = sim_run (seed, false);
    if (seed % TWICE_EVERY != 0)
        return;
    uint64_t again = sim_run (seed, false);
    SIM_HOLDS ("determinism", trace == again, "the trace was %016llx, and then %016llx", (unsigned long long) trace,
               (unsigned long long) again);
}

static void
run_job (struct told *told, uint64_t from, uint64_t to, uint64_t stride)
{
    for (uint64_t seed = from; seed <= to; seed += stride) {
        told->seed = seed;
        run_seed (seed);
        told->counts = sim_counts;
        told->done++;
    }
}

static void
print_counts (const struct sim_counts *counts)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
#define SIM_COUNTER_ROW(name) {#name, counts->name},
        SIM_COUNTERS (SIM_COUNTER_ROW)
#undef SIM_COUNTER_ROW
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf ("%16s %-12llu%s", rows[i].name, (unsigned long long) rows[i].value,
                i % 4 == 3 || i + 1 == sizeof rows / sizeof *rows ? "\n" : "");
}

static void
add_counts (struct sim_counts *all, const struct sim_counts *counts)
{
#define SIM_COUNTER_ADD(name) all->name += counts->name;
    SIM_COUNTERS (SIM_COUNTER_ADD)
#undef SIM_COUNTER_ADD
    all->simulated_us += counts->simulated_us;
}

static uint64_t
done (const struct told *told, unsigned jobs)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < jobs; i++)
        sum += told[i].done;
    return sum;
}

/* The next one that has ended; 0: none has for a while. `ends`: the signal that tells, which is blocked. */
static pid_t
await_end (const sigset_t *ends, int *status)
{
    const struct timespec patience = {.tv_sec = SAY_S};
    pid_t pid = waitpid (-1, status, WNOHANG);
    if (pid == 0 && sigtimedwait (ends, NULL, &patience) == SIGCHLD)
        pid = waitpid (-1, status, WNOHANG);
    return pid;
}

/* Waits for all of them, saying how far they are. False: one failed. */
static bool
wait_for_jobs (struct told *told, const pid_t *pids, unsigned jobs, uint64_t count, const sigset_t *ends)
{
    bool good = true;
    unsigned left = jobs;
    double said = seconds ();
    while (left > 0) {
        int status;
        pid_t pid = await_end (ends, &status);
        if (pid == 0) {
            if (seconds () - said < SAY_S)
                continue;
            said = seconds ();
            printf ("%llu of %llu seeds\n", (unsigned long long) done (told, jobs), (unsigned long long) count);
            (void) fflush (stdout);
            continue;
        }
        left--;
        if (WIFEXITED (status) && WEXITSTATUS (status) == 0)
            continue;
        for (unsigned i = 0; i < jobs; i++)
            if (pids[i] == pid && WIFSIGNALED (status) && good)
                fprintf (stderr, "\nseed %llu: killed by signal %d\nscript/sim --seed %llu shows how it came to that\n",
                         (unsigned long long) told[i].seed, WTERMSIG (status), (unsigned long long) told[i].seed);
        for (unsigned i = 0; i < jobs && good; i++)
            if (pids[i] != pid)
                (void) kill (pids[i], SIGTERM);
        good = false;
    }
    return good;
}

static int
run_all (uint64_t from, uint64_t to, unsigned jobs)
{
    pid_t pids[JOBS_MAX];
    double began = seconds ();
    struct told *told = mmap (NULL, jobs * sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (told == MAP_FAILED) {
        perror ("mmap");
        return 1;
    }
    sigset_t ends;
    (void) sigemptyset (&ends);
    (void) sigaddset (&ends, SIGCHLD);
    (void) sigprocmask (SIG_BLOCK, &ends, NULL);
    (void) fflush (stdout);
    for (unsigned i = 0; i < jobs; i++) {
        pids[i] = fork ();
        if (pids[i] < 0) {
            perror ("fork");
            return 1;
        }
        if (pids[i] == 0) {
            run_job (&told[i], from + i, to, jobs);
            exit (0);
        }
    }
    bool good = wait_for_jobs (told, pids, jobs, to - from + 1, &ends);
    struct sim_counts all = {0};
    for (unsigned i = 0; i < jobs; i++)
        add_counts (&all, &told[i].counts);
    double took = seconds () - began, simulated = (double) all.simulated_us / 1e6;
    print_counts (&all);
    printf ("%llu of %llu seeds in %.1f s; %.1f hours simulated, %.0f times real time\n",
            (unsigned long long) done (told, jobs), (unsigned long long) (to - from + 1), took, simulated / 3600,
            simulated / took);
    (void) munmap (told, jobs * sizeof *told);
    return good ? 0 : 1;
}

static bool
read_number (const char *text, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull (text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

int
main (int argc, char **argv)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"from", required_argument, NULL, 'f'},
                                            {"to", required_argument, NULL, 't'},
                                            {"jobs", required_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    uint64_t seed = 0, from = 1, to = 300, jobs = 2;
    bool one = false, good = true;
    int option;
    while ((option = getopt_long (argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 's': good &= one = read_number (optarg, &seed); break;
        case 'f': good &= read_number (optarg, &from); break;
        case 't': good &= read_number (optarg, &to); break;
        case 'j': good &= read_number (optarg, &jobs) && jobs >= 1 && jobs <= JOBS_MAX; break;
        default: good = false; break;
        }
    }
    if (!good || optind != argc || from > to) {
        fprintf (stderr, "usage: sim --seed N | sim [--from A] [--to B] [--jobs N]\n");
        return 64;
    }
    reel_log_start ("sim", REEL_LOG_ERROR);
    if (!one)
        return run_all (from, to, (unsigned) jobs);
    printf ("trace %016llx\n", (unsigned long long) sim_run (seed, true));
    print_counts (&sim_counts);
    return 0;
}
