/*
 * Time and chance: what happens next, and what goes wrong.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "tests/sim/sim.h"

/* After the faults everything ends within this. */
#define LIVENESS_US (INT64_C (1800) * 1000000)
#define STEPS_MAX 5000000

struct sim_counts sim_counts;
struct sim_plan sim_plan;
int64_t sim_now_us;
int sim_process;
bool sim_calm, sim_shown;

static struct reel_random chance;
static uint64_t trace;
static int64_t wall_us[SIM_PROCESSES], monotonic_us[SIM_PROCESSES]; /* clock minus sim_now_us */
static int64_t disaster_us;

/* --- clocks ------------------------------------------------------------------------------- */

int64_t
reel_clock_wall_us (void)
{
    return sim_wall_us (sim_process);
}

int64_t
reel_clock_monotonic_us (void)
{
    return monotonic_us[sim_process] + sim_now_us;
}

int64_t
sim_wall_us (int process)
{
    return wall_us[process] + sim_now_us;
}

void
sim_enter (int process)
{
    sim_process = process;
}

void
sim_jump_clock (int process, int64_t by_us)
{
    sim_counts.clock_jumps++;
    wall_us[process] += by_us;
    if (sim_wall_us (process) < 0)
        wall_us[process] = -sim_now_us;
    SIM_TRACE ("process %d: its clock jumps by %lld s", process, (long long) (by_us / 1000000));
}

void
sim_new_clock (int process)
{
    monotonic_us[process] = (int64_t) sim_below (INT64_C (1) << 40) - sim_now_us;
}

/* --- chance ------------------------------------------------------------------------------- */

uint64_t
sim_below (uint64_t bound)
{
    return reel_random_below (&chance, bound);
}

bool
sim_chance (unsigned of_ten_thousand)
{
    return of_ten_thousand > 0 && sim_below (10000) < of_ten_thousand;
}

int64_t
sim_time_around (int64_t mean_us)
{
    int64_t time_us = (int64_t) sim_below ((uint64_t) mean_us + 1) + (int64_t) sim_below ((uint64_t) mean_us + 1);
    return sim_chance (sim_plan.storms && !sim_calm ? 100 : 0) ? 30 * time_us : time_us;
}

/* --- the trace ---------------------------------------------------------------------------- */

uint64_t
sim_hash (struct reel_slice bytes)
{
    uint64_t hash = UINT64_C (0xcbf29ce484222325);
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ bytes.data[i]) * UINT64_C (0x100000001b3);
    return hash;
}

void
sim_trace (struct reel_slice what, const char *format, ...)
{
    trace = (trace ^ (uint64_t) sim_now_us) * UINT64_C (0x100000001b3);
    trace = (trace ^ sim_hash (what)) * UINT64_C (0x100000001b3);
    trace = (trace ^ sim_hash (reel_slice_text (format))) * UINT64_C (0x100000001b3);
    if (!sim_shown)
        return;
    va_list args;
    va_start (args, format);
    printf ("%12.6f  ", (double) sim_now_us / 1e6);
    vprintf (format, args);
    putchar ('\n');
    va_end (args);
}

void
sim_fail (const char *invariant, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    fflush (stdout);
    fprintf (stderr, "\nseed %llu, after %.6f s: %s: ", (unsigned long long) sim_plan.seed, (double) sim_now_us / 1e6,
             invariant);
    vfprintf (stderr, format, args);
    fprintf (stderr, "\nscript/sim --seed %llu shows how it came to that\n", (unsigned long long) sim_plan.seed);
    va_end (args);
    fflush (stderr);
    _Exit (1);
}

/* --- what a seed makes of the world --------------------------------------------------------- */

static void
make_plan (uint64_t seed)
{
    reel_random_seed (&chance, seed);
    bool quick = sim_below (2) == 0;
    sim_plan = (struct sim_plan){
        .seed = seed,
        .faults_us = (int64_t) (20 + sim_below (100)) * 1000000,
        .workers = 1 + (unsigned) sim_below (SIM_WORKERS_MAX),
        .slots = 1 + (unsigned) sim_below (4),
        .lease_ms = quick ? 1000 + (int64_t) sim_below (2000) : 5000 + (int64_t) sim_below (10000),
        .deliveries_max = 2 + (uint32_t) sim_below (8),
        .flows = 3 + (unsigned) sim_below (30),
        .delay_us = sim_below (3) == 0 ? 100000 : 500 + (int64_t) sim_below (5000),
        .disasters = (unsigned) sim_below (40),
        .storms = sim_below (3) == 0,
    };
    if (sim_below (4) != 0) {
        sim_plan.snapshot_bytes = 1000 + sim_below (30000);
        sim_plan.snapshot_piece_bytes = 1 + sim_below (3000);
        sim_plan.retain_bytes = sim_below (3) == 0 ? 3000 + sim_below (20000) : 0;
        sim_plan.retain_ms = sim_below (3) == 0 ? 1 + (int64_t) sim_below (60000) : 0;
    }
    sim_plan.heartbeat_ms = sim_plan.lease_ms / (int64_t) (3 + sim_below (6));
    if (sim_below (4) != 0)
        sim_plan.drop = (unsigned) sim_below (sim_below (4) == 0 ? 2000 : 200);
    if (sim_below (3) != 0)
        sim_plan.cut = (unsigned) sim_below (50);
    if (sim_below (3) == 0)
        sim_plan.duplicate = (unsigned) sim_below (300);
    trace = 0;
    sim_now_us = 0;
    sim_calm = false;
    for (int i = 0; i < SIM_PROCESSES; i++) {
        wall_us[i] = SIM_EPOCH_US + (int64_t) sim_below (4000000) - 2000000;
        sim_new_clock (i);
    }
    SIM_TRACE ("seed %llu: %u workers of %u slots, leases of %lld ms, %u workflows, faults for %lld s",
               (unsigned long long) seed, sim_plan.workers, sim_plan.slots, (long long) sim_plan.lease_ms,
               sim_plan.flows, (long long) (sim_plan.faults_us / 1000000));
}

/* --- disasters ----------------------------------------------------------------------------- */

static int64_t
some_time (void)
{
    int64_t lease_us = sim_plan.lease_ms * 1000;
    return sim_now_us + (int64_t) sim_below ((uint64_t) (sim_below (3) == 0 ? 3 * lease_us : lease_us / 2));
}

static void
strike (void)
{
    unsigned worker = (unsigned) sim_below (sim_plan.workers);
    switch (sim_below (17)) {
    case 0:
    case 1: sim_broker_crash (); break;
    case 2: sim_broker_terminate (); break;
    case 3: sim_broker_stop (some_time ()); break;
    case 4:
    case 5: sim_worker_crash (worker); break;
    case 6:
    case 7: sim_worker_stop (worker, some_time ()); break;
    case 8: sim_worker_terminate (worker); break;
    case 9:
    case 10: sim_net_part (worker, some_time (), sim_below (2) == 0); break;
    case 11:
        for (unsigned i = 0; i < SIM_PEERS; i++)
            sim_net_part (i, some_time (), sim_below (2) == 0);
        break;
    case 12: sim_net_cut ((unsigned) sim_below (SIM_PEERS)); break;
    case 13:
    case 14: sim_broker_disk_fault (); break;
    case 15: sim_client_crash ((unsigned) sim_below (SIM_CLIENT_PEERS)); break;
    default:
        sim_jump_clock ((int) sim_below (SIM_PROCESSES),
                        ((int64_t) sim_below (4000000) - 2000000) * (sim_below (2) == 0 ? 1 : 100000));
        break;
    }
}

static void
disaster (void)
{
    strike ();
    if (sim_plan.storms && sim_below (4) == 0)
        strike ();
    disaster_us = sim_now_us + 1 + (int64_t) sim_below (UINT64_C (120000000) / sim_plan.disasters);
}

static void
heal (void)
{
    sim_calm = true;
    disaster_us = SIM_NEVER;
    SIM_TRACE ("everything heals");
    for (int i = 0; i < SIM_PROCESSES; i++)
        wall_us[i] = SIM_EPOCH_US;
    sim_plan.drop = sim_plan.cut = sim_plan.duplicate = 0;
    sim_net_heal ();
    sim_broker_heal ();
    sim_workers_heal ();
    sim_clients_heal ();
}

/* --- the way of the world ------------------------------------------------------------------- */

static int64_t
next_us (void)
{
    int64_t next = sim_calm ? SIM_NEVER : sim_plan.faults_us;
    const int64_t times[] = {sim_net_next_us (), sim_broker_next_us (), sim_clients_next_us (), disaster_us};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        next = times[i] < next ? times[i] : next;
    for (unsigned i = 0; i < sim_plan.workers; i++)
        next = sim_worker_next_us (i) < next ? sim_worker_next_us (i) : next;
    return next;
}

static void
arrive (void)
{
    struct sim_packet *packet = sim_net_take ();
    if (packet == NULL)
        return;
    if (packet->to_broker)
        sim_broker_receive (packet);
    else if (packet->peer < SIM_WORKERS_MAX)
        sim_worker_receive (packet->peer, packet);
    else
        sim_client_receive (packet->peer - SIM_WORKERS_MAX, packet);
}

/* Everything that is due now, once. */
static void
step (void)
{
    if (!sim_calm && sim_now_us >= sim_plan.faults_us)
        heal ();
    if (disaster_us <= sim_now_us)
        disaster ();
    while (sim_net_next_us () <= sim_now_us)
        arrive ();
    if (sim_broker_next_us () <= sim_now_us)
        sim_broker_turn ();
    for (unsigned i = 0; i < sim_plan.workers; i++)
        if (sim_worker_next_us (i) <= sim_now_us)
            sim_worker_turn (i);
    if (sim_clients_next_us () <= sim_now_us)
        sim_clients_turn ();
}

uint64_t
sim_run (uint64_t seed, bool show)
{
    sim_shown = show;
    make_plan (seed);
    disaster_us = sim_plan.disasters > 0 ? (int64_t) sim_below (10000000) : SIM_NEVER;
    sim_oracle_begin ();
    sim_net_begin ();
    sim_broker_begin ();
    sim_workers_begin ();
    sim_clients_begin ();
    for (uint64_t steps = 0; !sim_clients_done (); steps++) {
        int64_t next = next_us ();
        if (next >= sim_plan.faults_us + LIVENESS_US || steps == STEPS_MAX) {
            sim_clients_explain ();
            sim_fail ("liveness", "nothing is wrong any more, and not everything comes to its end");
        }
        sim_now_us = next > sim_now_us ? next : sim_now_us;
        step ();
    }
    sim_clients_end ();
    sim_workers_end ();
    sim_broker_end ();
    sim_net_end ();
    sim_oracle_end ();
    sim_counts.simulated_us += sim_now_us;
    return trace;
}
