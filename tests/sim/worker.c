/*
 * The workers' processes: what worker/shell.c does, with a network that is not there, and a loop (worker/loop.h) over
 * the world's clock. Their adapters are the builtin ones and some that pay, fail, take their time, or leave checkpoints.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/sim/sim.h"
#include "tests/support/timers.h"
#include "worker/adapter_builtin.h"
#include "worker/link.h"

#define READ_MAX 1024

struct worker {
    unsigned number;
    char name[16];
    bool up, dead;
    int64_t start_us, stopped_until_us, turn_us;
    struct reel_loop loop;
    struct reel_registry *registry;
    struct reel_link *link;
    struct sim_inbox inbox;
};

static struct worker workers[SIM_WORKERS_MAX];

/* --- adapters ----------------------------------------------------------------------------- */

enum kind { ECHO, SLEEP, FAIL, FLAKY, PAID, JOB, KINDS };
static const char *const kind_names[KINDS] = {"echo", "sleep", "fail", "flaky", "paid", "job"};

struct adapter {
    struct reel_adapter base;
    struct worker *worker;
    enum kind kind;
    struct reel_adapter *inner; /* of a builtin one */
};

/* A call under way. */
struct work {
    struct adapter *adapter;
    struct reel_task *task;
    struct reel_timer timer;
    struct sim_step *step; /* its ledger; NULL: a hook */
    uint64_t job;          /* it is the job that a checkpoint is to name; 0: none, or it does already */
    bool cancelled;
};

static struct adapter *
adapter_of (struct reel_adapter *adapter)
{
    return (struct adapter *) adapter;
}

static int64_t
duration_us (void)
{
    uint64_t lease_us = (uint64_t) sim_plan.lease_ms * 1000, dice = sim_below (100);
    if (dice < 50)
        return (int64_t) sim_below (20000);
    return (int64_t) (dice < 85   ? sim_below (lease_us / 2)
                      : dice < 97 ? sim_below (2 * lease_us)
                                  : sim_below (5 * lease_us));
}

static struct reel_task *
end_work (struct work *work)
{
    struct reel_task *task = work->task;
    reel_loop_disarm (reel_task_loop (task), &work->timer);
    free (work);
    return task;
}

static void
fail_work (struct work *work, const char *code, bool retryable, bool open)
{
    reel_task_fail (end_work (work), &(struct reel_failure){.code = code,
                                                            .message = reel_slice_text ("so it was decided"),
                                                            .retryable = retryable,
                                                            .open = open});
}

static void
succeed_work (struct work *work)
{
    struct reel_buf output = {0};
    reel_pack_map (&output, 1);
    reel_pack_text (&output, "result");
    reel_pack_uint (&output, sim_below (UINT64_MAX));
    reel_task_succeed (end_work (work), reel_buf_slice (&output), REEL_SLICE_NONE);
    reel_buf_free (&output);
}

static void
leave_checkpoint (struct work *work)
{
    struct reel_buf checkpoint = {0};
    reel_pack_map (&checkpoint, 1);
    reel_pack_text (&checkpoint, "job");
    reel_pack_uint (&checkpoint, work->job);
    if (sim_below (4) != 0)
        work->job = 0;
    reel_task_checkpoint (work->task, reel_buf_slice (&checkpoint));
    reel_buf_free (&checkpoint);
}

/* How it ends, unless it is cancelled. */
static void
finish_work (struct work *work)
{
    uint64_t dice = sim_below (100);
    bool paid = work->step != NULL && work->adapter->kind != FLAKY;
    if (work->step == NULL && dice < 2) {
        fail_work (work, "hook_refuses", false, false);
    } else if (work->step == NULL || dice < 78) {
        succeed_work (work);
    } else if (dice < 92) {
        if (paid)
            sim_oracle_call_undone (work->step);
        sim_counts.retries += dice < 88;
        fail_work (work, "refused", dice < 88, false);
    } else {
        fail_work (work, dice < 96 ? "timeout" : "cut_off", true, true);
    }
}

static void
work_due (struct reel_timer *timer)
{
    struct work *work = timer->context;
    struct reel_loop *loop = reel_task_loop (work->task);
    int64_t now_us = reel_clock_monotonic_us ();
    if (work->cancelled) {
        if (sim_below (5) == 0)
            succeed_work (work);
        else
            fail_work (work, "cancelled", false, false);
        return;
    }
    if (work->job != 0) {
        reel_loop_arm (loop, timer, now_us + duration_us ());
        leave_checkpoint (work);
        return;
    }
    if (sim_below (4) == 0) {
        reel_loop_arm (loop, timer, now_us + duration_us () / 4);
        reel_task_progress (work->task, 0.5, reel_slice_text ("half way"));
        return;
    }
    finish_work (work);
}

/* The job that its checkpoint names; 0: it has none. */
static uint64_t
named_job (const struct reel_call *call)
{
    uint64_t job = 0;
    return call->checkpoint.len > 0 && reel_scan_find_uint (call->checkpoint, "job", &job) ? job : 0;
}

static enum reel_status
start_work (struct reel_adapter *base, struct reel_task *task)
{
    struct adapter *adapter = adapter_of (base);
    const struct reel_call *call = reel_task_call (task);
    struct work *work = malloc (sizeof *work);
    SIM_HOLDS ("memory", work != NULL, "out of memory");
    *work = (struct work){.adapter = adapter, .task = task};
    work->timer.due = work_due;
    work->timer.context = work;
    reel_task_set_state (task, work);
    sim_terms_calls (adapter->worker->number, call, base->class);
    if (call->hook == REEL_HOOK_NONE)
        work->step = sim_oracle_calls (adapter->worker->number, call, base->class);
    if (adapter->kind == JOB && base->class == REEL_ADAPTER_RESUMABLE && call->hook == REEL_HOOK_NONE
        && named_job (call) == 0)
        work->job = 1 + sim_below (1000000);
    int64_t after_us = work->step == NULL ? (int64_t) sim_below (50000) : duration_us ();
    if (sim_below (8) == 0)
        work_due (&work->timer); /* it may be over before its start returns */
    else
        reel_loop_arm (reel_task_loop (task), &work->timer, reel_clock_monotonic_us () + after_us);
    return REEL_OK;
}

static void
cancel_work (struct reel_adapter *base, struct reel_task *task)
{
    struct work *work = reel_task_state (task);
    bool again = work->cancelled;
    work->cancelled = true;
    if (adapter_of (base)->worker->dead || again || sim_below (2) == 0)
        fail_work (work, "cancelled", false, false);
    else
        reel_loop_arm (reel_task_loop (task), &work->timer,
                       reel_clock_monotonic_us () + (int64_t) sim_below ((uint64_t) sim_plan.lease_ms * 1000));
}

static enum reel_status
start_inner (struct reel_adapter *base, struct reel_task *task)
{
    struct adapter *adapter = adapter_of (base);
    sim_terms_calls (adapter->worker->number, reel_task_call (task), base->class);
    (void) sim_oracle_calls (adapter->worker->number, reel_task_call (task), base->class);
    return adapter->inner->start (adapter->inner, task);
}

static void
cancel_inner (struct reel_adapter *base, struct reel_task *task)
{
    adapter_of (base)->inner->cancel (adapter_of (base)->inner, task);
}

static void
destroy (struct reel_adapter *base)
{
    if (adapter_of (base)->inner != NULL)
        adapter_of (base)->inner->destroy (adapter_of (base)->inner);
    free (base);
}

static struct reel_adapter *
make_adapter (struct worker *worker, enum kind kind, enum reel_adapter_class class)
{
    struct adapter *adapter = malloc (sizeof *adapter);
    SIM_HOLDS ("memory", adapter != NULL, "out of memory");
    *adapter = (struct adapter){
        .base = {kind_names[kind], class, start_work, cancel_work, destroy}, .worker = worker, .kind = kind};
    if (kind > FAIL)
        return &adapter->base;
    SIM_HOLDS ("memory", reel_adapter_builtin_create (kind_names[kind], &adapter->inner) == REEL_OK, "out of memory");
    adapter->base.class = adapter->inner->class;
    adapter->base.start = start_inner;
    adapter->base.cancel = cancel_inner;
    return &adapter->base;
}

/* The first worker serves everything; others do not, until everything heals. */
static void
fill_registry (struct worker *worker)
{
    bool all = worker->number == 0 || sim_calm;
    bool resumable = all || sim_below (4) != 0;
    const struct reel_policy none = {0};
    enum reel_status status = reel_registry_create (&worker->registry);
    for (int kind = 0; kind < KINDS && status == REEL_OK; kind++) {
        struct reel_adapter *adapter;
        if (!all && sim_below (3) == 0)
            continue;
        adapter = make_adapter (worker, (enum kind) kind,
                                kind == FLAKY              ? REEL_ADAPTER_IDEMPOTENT
                                : kind == JOB && resumable ? REEL_ADAPTER_RESUMABLE
                                                           : REEL_ADAPTER_NEITHER);
        status = reel_registry_add (worker->registry, kind_names[kind], &adapter, &none, NULL);
    }
    if (status == REEL_OK && sim_plan.seed % 4 == 0) {
        struct reel_adapter *adapter = make_adapter (worker, FLAKY, REEL_ADAPTER_NEITHER);
        status = reel_registry_add_hook (worker->registry, "audit", 1 + (unsigned) sim_below (7), 0, &adapter, NULL);
    }
    SIM_HOLDS ("memory", status == REEL_OK, "a registry cannot be made");
}

/* --- the connection ------------------------------------------------------------------------- */

/* What was reported arrives, and the answer takes until the lease is about to end, or has ended. */
static void
after_report (struct worker *worker)
{
    uint64_t lease_us = (uint64_t) sim_plan.lease_ms * 1000, beat_us = (uint64_t) sim_plan.heartbeat_ms * 1000;
    if (sim_calm || sim_plan.disasters == 0 || !sim_chance (200))
        return;
    if (sim_below (2) == 0)
        sim_worker_stop (worker->number, sim_now_us + (int64_t) (lease_us / 2 + sim_below (2 * lease_us)));
    else
        sim_net_part (worker->number, sim_now_us + (int64_t) (lease_us - beat_us / 2 + sim_below (2 * beat_us)), true);
}

static bool
send_message (void *context, enum reel_command command, struct reel_slice header, const struct reel_slice *document)
{
    struct worker *worker = context;
    if (worker->dead || sim_chance (sim_calm ? 0 : 10))
        return false;
    const struct reel_slice frames[] = {reel_slice_text (REEL_PROTOCOL),
                                        reel_slice_text (reel_message_spec (command)->name), header,
                                        document != NULL ? *document : REEL_SLICE_NONE};
    if (command == REEL_REPORT)
        sim_terms_reports (worker->number, header);
    sim_trace (header, "worker %u: says %s", worker->number, reel_message_spec (command)->name);
    sim_net_send (worker->number, frames, document != NULL ? 4 : 3);
    if (command == REEL_REPORT)
        after_report (worker);
    return true;
}

static void
welcomed (void *context)
{
    (void) context;
}

static void
silent (void *context)
{
    struct worker *worker = context;
    SIM_TRACE ("worker %u: connects again", worker->number);
    sim_inbox_clear (&worker->inbox);
    sim_net_connect (worker->number);
    reel_link_connected (worker->link);
}

/* --- living and dying ----------------------------------------------------------------------- */

static void
start (struct worker *worker)
{
    sim_new_clock (SIM_WORKER + (int) worker->number);
    sim_enter (SIM_WORKER + (int) worker->number);
    snprintf (worker->name, sizeof worker->name, "w%u", worker->number);
    fill_registry (worker);
    struct reel_link_setup setup = {
        .name = worker->name,
        .slots = sim_plan.slots,
        .drain_ms = (int64_t) sim_below ((uint64_t) (3 * sim_plan.lease_ms)),
        .registry = worker->registry,
        .loop = &worker->loop,
        .seed = sim_below (UINT64_MAX),
        .send = send_message,
        .welcomed = welcomed,
        .silent = silent,
        .context = worker,
    };
    for (size_t i = 0; i < sizeof setup.instance; i++)
        setup.instance[i] = (uint8_t) sim_below (256);
    SIM_HOLDS ("memory", reel_link_create (&setup, &worker->link) == REEL_OK, "a link cannot be made");
    SIM_TRACE ("worker %u: starts", worker->number);
    worker->up = true;
    worker->dead = false;
    sim_terms_begin (worker->number);
    worker->stopped_until_us = 0;
    worker->turn_us = sim_now_us;
    sim_net_connect (worker->number);
    reel_link_connected (worker->link);
}

static void
clear (struct worker *worker, int64_t start_us)
{
    reel_link_destroy (&worker->link);
    SIM_HOLDS ("memory", worker->loop.first == NULL, "worker %u has left a timer behind", worker->number);
    reel_registry_destroy (&worker->registry);
    sim_inbox_clear (&worker->inbox);
    worker->up = false;
    worker->start_us = start_us;
}

/* The link is made to let go of everything without a word. */
static void
die (struct worker *worker, int64_t start_us)
{
    if (!worker->up)
        return;
    sim_enter (SIM_WORKER + (int) worker->number);
    worker->dead = true;
    reel_link_give_up (worker->link);
    reel_link_give_up (worker->link);
    SIM_HOLDS ("leases", reel_link_end_turn (worker->link), "worker %u does not let go of a lease", worker->number);
    sim_net_connect (worker->number);
    clear (worker, start_us);
}

static int64_t
soon (void)
{
    return sim_now_us + 1000 + (int64_t) sim_below (sim_calm ? 500000 : (uint64_t) (3000 * sim_plan.lease_ms));
}

/* --- a turn --------------------------------------------------------------------------------- */

static void
read_inbox (struct worker *worker)
{
    struct reel_slice frames[SIM_FRAMES_MAX];
    struct sim_packet *packet;
    for (unsigned i = 0; i < READ_MAX && (packet = sim_inbox_take (&worker->inbox)) != NULL; i++) {
        for (unsigned frame = 0; frame < packet->frame_count; frame++)
            frames[frame] = sim_packet_frame (packet, frame);
        sim_trace (frames[2], "worker %u: hears %.*s", worker->number, REEL_TEXT (frames[1]));
        sim_terms_heard (packet);
        reel_link_message (worker->link, frames, packet->frame_count);
        free (packet);
    }
}

void
sim_worker_turn (unsigned number)
{
    struct worker *worker = &workers[number];
    if (!worker->up) {
        start (worker);
        return;
    }
    sim_enter (SIM_WORKER + (int) number);
    sim_terms_turn (number);
    run_timers (&worker->loop);
    read_inbox (worker);
    if (reel_link_end_turn (worker->link)) {
        SIM_TRACE ("worker %u: has ended", number);
        clear (worker, soon ());
        return;
    }
    int64_t left_us = worker->loop.first == NULL ? SIM_NEVER : worker->loop.first->at_us - reel_clock_monotonic_us ();
    worker->turn_us = worker->inbox.count > 0 || left_us <= 0 ? sim_now_us + 5
                      : left_us == SIM_NEVER                  ? SIM_NEVER
                                                              : sim_now_us + (left_us + 999) / 1000 * 1000;
}

/* --- the doors ------------------------------------------------------------------------------ */

void
sim_workers_begin (void)
{
    for (unsigned i = 0; i < SIM_WORKERS_MAX; i++)
        workers[i] = (struct worker){.number = i, .start_us = (int64_t) sim_below (3000000)};
}

void
sim_workers_end (void)
{
    for (unsigned i = 0; i < SIM_WORKERS_MAX; i++)
        die (&workers[i], SIM_NEVER);
}

void
sim_worker_receive (unsigned number, struct sim_packet *packet)
{
    struct worker *worker = &workers[number];
    if (!worker->up) {
        free (packet);
        return;
    }
    sim_inbox_add (&worker->inbox, packet);
    int64_t at_us = sim_now_us + 10 + (int64_t) sim_below (100);
    if (at_us < worker->turn_us)
        worker->turn_us = at_us;
}

int64_t
sim_worker_next_us (unsigned number)
{
    const struct worker *worker = &workers[number];
    if (!worker->up)
        return worker->start_us;
    return worker->turn_us < worker->stopped_until_us ? worker->stopped_until_us : worker->turn_us;
}

void
sim_worker_crash (unsigned number)
{
    if (!workers[number].up)
        return;
    sim_counts.worker_crashes++;
    SIM_TRACE ("worker %u: crashes", number);
    die (&workers[number], soon ());
}

void
sim_worker_terminate (unsigned number)
{
    struct worker *worker = &workers[number];
    if (!worker->up || worker->stopped_until_us > sim_now_us)
        return;
    sim_counts.drains++;
    SIM_TRACE ("worker %u: is to end", number);
    sim_enter (SIM_WORKER + (int) number);
    reel_link_stop (worker->link);
    worker->turn_us = sim_now_us;
}

void
sim_worker_stop (unsigned number, int64_t until_us)
{
    if (!workers[number].up)
        return;
    sim_counts.stops++;
    SIM_TRACE ("worker %u: stands still until %.3f", number, (double) until_us / 1e6);
    workers[number].stopped_until_us = until_us;
}

void
sim_workers_heal (void)
{
    for (unsigned i = 0; i < SIM_WORKERS_MAX; i++) {
        workers[i].stopped_until_us = 0;
        if (!workers[i].up && workers[i].start_us > sim_now_us)
            workers[i].start_us = sim_now_us + (int64_t) sim_below (1000000);
    }
}
