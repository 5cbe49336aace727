/*
 * The broker's process: what broker/shell.c does, with a network and a disk that are not there.
 *
 * A commit takes its time: a batch is handed over, reaches the disk, and is taken back at three different moments, and
 * the process may die, or stand still, between any two of them, and while the batch reaches the disk.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "broker/recovery.h"
#include "broker/rounds.h"
#include "tests/sim/sim.h"
#include "tests/support/disk.h"

#define BEAT_US 1000000
#define PAUSE_US_MAX 1000000
#define DRAIN_US_MIN 100000
#define READ_MAX 4096
#define DIRECTORY "/journal"

struct broker {
    bool up, stopping, eager;
    int64_t stopping_us;      /* when it was told to */
    int64_t start_us;         /* when it is started again */
    int64_t stopped_until_us; /* by SIGSTOP */
    int64_t turn_us;          /* when it has something to do */
    int64_t came_round_us;    /* when it had */
    int64_t gathers_us;       /* listened_us when the first of the pending records was decided; -1: there is none */
    struct reel_core *core;
    struct reel_journal *journal;
    struct reel_rounds rounds;
    struct reel_shell_stats stats;
    struct sim_inbox inboxes[2]; /* by enum reel_socket */
    uint64_t epoch;
    int64_t wake_us, beat_us;
    bool disk_low;

    /* The journal's thread. */
    struct reel_batch *work;
    bool carried;
    int64_t carry_us, done_us;
    int64_t crash_us; /* 0: as far as it knows it goes on */
};

static const char *const restarts[] = {"what was not synced is there, and still is not synced", "all is kept",
                                       "what was not synced is lost", "what was not synced is torn",
                                       "what was not synced is there in part"};

static struct broker broker;
/* For how long a broker could hear its workers: time that it stood still, or had not read all that was there, is no such
 * time. */
static int64_t listened_us;
static struct disk *disk;
static bool disk_faulty; /* something was made to fail since it was last restarted */
static bool disk_is_full;

/* --- dying ---------------------------------------------------------------------------------- */

/* What it had in memory is gone. */
static void
die (int64_t start_us)
{
    sim_enter (SIM_BROKER);
    reel_rounds_end (&broker.rounds);
    reel_journal_close (&broker.journal);
    reel_core_destroy (&broker.core);
    sim_inbox_clear (&broker.inboxes[0]);
    sim_inbox_clear (&broker.inboxes[1]);
    broker = (struct broker){.start_us = start_us};
    sim_net_broker (false);
}

/* It is killed, or its machine stops: then what it had not synced may be gone too. */
static void
die_suddenly (int64_t start_us)
{
    bool machine = sim_below (2) == 0;
    disk_crash (disk);
    die (start_us);
    sim_counts.power_cuts += machine;
    enum disk_restart how = machine ? 1 + (enum disk_restart) sim_below (DISK_RESTART_COUNT - 1) : DISK_PROCESS_ENDED;
    SIM_TRACE ("disk: %s", restarts[how]);
    disk_restart (disk, how);
    disk_crash_at (disk, 0, false);
    disk_is_full &= !sim_calm && sim_below (2) == 0;
    if (!disk_is_full)
        disk_limit (disk, 0);
    disk_faulty = disk_is_full;
}

static int64_t
soon (void)
{
    return sim_now_us + 1000 + (int64_t) sim_below (sim_calm ? 1000000 : (uint64_t) (3000 * sim_plan.lease_ms));
}

void
sim_broker_crash (void)
{
    if (!broker.up)
        return;
    bool working = broker.work != NULL && !broker.carried;
    sim_counts.broker_crashes++;
    SIM_TRACE ("broker: crashes%s", working ? " with a batch at the journal" : "");
    if (working && sim_below (4) != 0) {
        struct reel_error err = {0};
        sim_counts.torn_commits++;
        sim_enter (SIM_BROKER);
        disk_crash_at (disk, disk_operations (disk) + 1 + sim_below (6), sim_below (2) == 0);
        enum reel_status status = reel_commit_carry_out (broker.journal, broker.work, &err);
        SIM_TRACE ("broker: that batch %s", status == REEL_OK ? "is durable" : "is cut off");
        if (status == REEL_OK)
            sim_oracle_committed ();
        else
            sim_oracle_unknown ();
    } else if (working) {
        sim_oracle_lost ();
    }
    die_suddenly (soon ());
}

/* A disk that failed: the process must end. */
static void
fail (const char *what, const struct reel_error *err)
{
    SIM_TRACE ("broker: ends: %s: %s", what, err->message);
    SIM_HOLDS ("disk", disk_faulty, "the broker cannot %s, and nothing is wrong with its disk: %s", what, err->message);
    sim_counts.io_errors++;
    die_suddenly (soon ());
}

/* --- going out ------------------------------------------------------------------------------ */

static void
send_one (const struct reel_effects *effects, const struct reel_send *send)
{
    struct reel_slice peer = reel_effects_slice (effects, send->peer);
    const struct reel_slice frames[] = {
        reel_slice_text (REEL_PROTOCOL), reel_slice_text (reel_message_spec (send->command)->name),
        reel_effects_slice (effects, send->header), reel_effects_slice (effects, send->document)};
    sim_oracle_sends (effects, send);
    sim_trace (frames[2], "broker: %s to %.*s", reel_message_spec (send->command)->name, REEL_TEXT (peer));
    if (!sim_net_reply (peer, frames, send->has_document ? 4 : 3) && send->socket == REEL_SOCKET_WORKER)
        reel_core_unroutable (broker.core, peer);
}

static void
publish_one (struct reel_slice topic, struct reel_slice body)
{
    sim_oracle_publishes (topic, body);
    sim_net_publish (topic, body);
}

static enum reel_status
send_out (void *context, const struct reel_effects *effects)
{
    (void) context;
    for (size_t i = 0; i < effects->send_count; i++)
        send_one (effects, &effects->sends[i]);
    for (size_t i = 0; i < effects->publish_count; i++)
        publish_one (reel_effects_slice (effects, effects->publishes[i].topic),
                     reel_effects_body (effects, &effects->publishes[i]));
    broker.eager = true;
    return REEL_OK;
}

static void
hand (void *context, struct reel_batch *batch)
{
    (void) context;
    sim_oracle_handed (&batch->effects, broker.gathers_us < 0 ? listened_us : broker.gathers_us);
    broker.gathers_us = -1;
    broker.work = batch;
    broker.carried = false;
    if (!sim_calm && sim_plan.disasters > 0 && sim_chance (50))
        broker.crash_us = sim_now_us + (int64_t) sim_below (600);
    broker.carry_us = sim_now_us + 20 + sim_time_around (sim_chance (200) ? 200000 : 400);
}

static void
carry_out (void)
{
    struct reel_error err = {0};
    sim_enter (SIM_BROKER);
    enum reel_status status = reel_commit_carry_out (broker.journal, broker.work, &err);
    if (status != REEL_OK) {
        sim_oracle_unknown ();
        fail ("commit", &err);
        return;
    }
    sim_counts.commits += broker.work->effects.records.len > 0;
    sim_oracle_committed ();
    sim_trace (reel_buf_slice (&broker.work->effects.records), "broker: %zu bytes are durable",
               broker.work->effects.records.len);
    broker.carried = true;
    broker.done_us = sim_now_us + 5 + sim_time_around (sim_chance (200) ? 100000 : 100);
    if (reel_journal_rest (broker.journal, sim_below (4) == 0, &err) != REEL_OK)
        fail ("tidy up", &err);
}

static void
settle (void)
{
    struct reel_batch *done = broker.work;
    broker.work = NULL;
    broker.stats.commits++;
    enum reel_status status = reel_rounds_settle (&broker.rounds, done);
    SIM_HOLDS ("memory", status == REEL_OK, "the broker cannot settle: %s", reel_status_name (status));
}

/* --- a turn --------------------------------------------------------------------------------- */

static void
take_in (enum reel_socket socket, const struct sim_packet *packet)
{
    struct reel_slice list[SIM_FRAMES_MAX];
    char route[SIM_ROUTE_BYTES];
    for (unsigned i = 0; i < packet->frame_count; i++)
        list[i] = sim_packet_frame (packet, i);
    const struct reel_core_frames frames = {
        .socket = socket, .peer = sim_packet_route (packet, route), .list = list, .count = packet->frame_count};
    sim_trace (list[2], "broker: reads %.*s of %s", REEL_TEXT (list[1]), route);
    if (socket == REEL_SOCKET_WORKER)
        sim_terms_read (packet);
    uint64_t live, ended, live_before, ended_before, bytes_before = sim_bounds_bytes (broker.core);
    reel_core_count (broker.core, &live_before, &ended_before);
    enum reel_status status = reel_core_message (broker.core, broker.rounds.now, &frames,
                                                 &broker.rounds.pending->effects);
    reel_core_count (broker.core, &live, &ended);
    SIM_HOLDS ("refusals", live + ended == live_before + ended_before || (!broker.disk_low && !broker.stopping),
               "a workflow is accepted while the disk is nearly full, or the broker ends");
    if (live + ended > live_before + ended_before)
        sim_bounds_accepted (broker.core, bytes_before);
    SIM_HOLDS ("memory", status == REEL_OK, "the core cannot take a message: %s", reel_status_name (status));
}

/* All that was there is read? */
static bool
drain (enum reel_socket socket)
{
    struct sim_packet *packet;
    uint64_t most = sim_chance (500) ? 1 + sim_below (3) : READ_MAX;
    bool (*is_full) (const struct reel_rounds *rounds) = socket == REEL_SOCKET_WORKER ? reel_rounds_full_of_workers
                                                                                      : reel_rounds_full;
    for (uint64_t i = 0; i < most && !is_full (&broker.rounds); i++) {
        packet = sim_inbox_take (&broker.inboxes[socket]);
        if (packet == NULL)
            return true;
        take_in (socket, packet);
        free (packet);
    }
    return false;
}

static void
beat (void)
{
    if (broker.rounds.clock_us < broker.beat_us)
        return;
    broker.beat_us = broker.rounds.clock_us + BEAT_US;
    if (!sim_calm && sim_chance (50))
        broker.disk_low = !broker.disk_low;
    reel_core_disk_low (broker.core, broker.disk_low);
    SIM_HOLDS ("durable first", broker.rounds.last_seq <= sim_oracle_last_seq (), "a beat tells of event %llu",
               (unsigned long long) broker.rounds.last_seq);
    struct reel_buf body = {0};
    struct reel_message message;
    reel_message_init (&message, REEL_EVENT_BEAT);
    reel_message_set_uint (&message, REEL_F_SEQ, broker.rounds.last_seq);
    reel_message_set_uint (&message, REEL_F_EPOCH, broker.epoch);
    reel_message_set_uint (&message, REEL_F_AT_US, (uint64_t) broker.rounds.now.wall_us);
    reel_message_encode (&message, &body);
    sim_net_publish (reel_slice_text ("beat"), reel_buf_slice (&body));
    reel_buf_free (&body);
}

static void
listen (void)
{
    int64_t passed_us = sim_now_us - broker.came_round_us, most_us = 2 * broker.rounds.pause_us_max;
    if (broker.rounds.all_heard)
        listened_us += passed_us < most_us ? passed_us : most_us;
    broker.came_round_us = sim_now_us;
}

static void
turn (void)
{
    sim_enter (SIM_BROKER);
    listen ();
    reel_rounds_keep_time (&broker.rounds, reel_clock_monotonic_us (), reel_clock_wall_us ());
    broker.eager = false;
    if (broker.work != NULL && broker.carried && broker.done_us <= sim_now_us)
        settle ();
    if (broker.stopping) {
        broker.eager |= !drain (REEL_SOCKET_CLIENT);
    } else {
        broker.rounds.all_heard = drain (REEL_SOCKET_WORKER);
        broker.eager |= !drain (REEL_SOCKET_CLIENT) || !broker.rounds.all_heard;
        enum reel_status status = reel_core_tick (broker.core, broker.rounds.now, broker.rounds.all_heard,
                                                  &broker.rounds.pending->effects, &broker.wake_us);
        SIM_HOLDS ("memory", status == REEL_OK, "the core cannot tick: %s", reel_status_name (status));
    }
    if (broker.gathers_us < 0 && broker.rounds.pending->effects.records.len > 0)
        broker.gathers_us = listened_us;
    sim_bounds_turn (broker.core, &broker.rounds.pending->effects);
    enum reel_status status = reel_rounds_pass_on (&broker.rounds);
    SIM_HOLDS ("memory", status == REEL_OK, "a batch cannot be passed on: %s", reel_status_name (status));
    beat ();
    if (reel_rounds_idle (&broker.rounds))
        sim_oracle_quiet (broker.core);
}

static int64_t
pause_us (void)
{
    int64_t left_us = broker.rounds.pause_us_max;
    if (broker.eager)
        return 10;
    if (broker.stopping)
        return DRAIN_US_MIN / 2;
    if (broker.wake_us - broker.rounds.now.monotonic_us < left_us)
        left_us = broker.wake_us - broker.rounds.now.monotonic_us;
    if (broker.beat_us - broker.rounds.clock_us < left_us)
        left_us = broker.beat_us - broker.rounds.clock_us;
    return left_us <= 0 ? 10 : (left_us + 999) / 1000 * 1000;
}

/* --- starting ------------------------------------------------------------------------------- */

static enum reel_status
recover (struct reel_error *err)
{
    const struct reel_journal_setup setup = {.directory = DIRECTORY, .vfs = disk_name (disk)};
    struct reel_recovered recovered;
    enum reel_status status = reel_recovery_run (&setup, broker.core, &broker.journal, &recovered, err);
    if (status == REEL_OK)
        sim_oracle_replayed (broker.core, recovered.records);
    return status;
}

static enum reel_status
begin_epoch (int64_t lease_ms, struct reel_error *err)
{
    struct reel_rounds *rounds = &broker.rounds;
    *rounds = (struct reel_rounds){.core = broker.core, .hand = hand, .send_out = send_out};
    int64_t quarter_us = lease_ms * 1000 / 4;
    rounds->pause_us_max = quarter_us < PAUSE_US_MAX ? quarter_us : PAUSE_US_MAX;
    reel_rounds_begin (rounds, reel_clock_monotonic_us (), reel_clock_wall_us ());
    struct reel_effects *effects = &rounds->pending->effects;
    enum reel_status status = reel_core_start (broker.core, rounds->now, effects);
    if (status != REEL_OK)
        return status;
    struct reel_journal_batch batch = reel_effects_batch (effects);
    sim_oracle_handed (effects, listened_us);
    sim_oracle_leases_begin (lease_ms);
    status = reel_journal_append (broker.journal, &batch, err);
    if (status != REEL_OK) {
        sim_oracle_unknown ();
        return status;
    }
    sim_oracle_committed ();
    broker.epoch = batch.epoch;
    rounds->last_seq = reel_journal_last_seq (broker.journal);
    status = send_out (NULL, effects);
    reel_effects_clear (effects);
    return status;
}

static void
start (void)
{
    struct reel_core_setup setup;
    struct reel_error err = {0};
    reel_core_setup_defaults (&setup);
    setup.seed = sim_below (UINT64_MAX);
    setup.shell = &broker.stats;
    broker.stats.disk_free_bytes = INT64_MAX; /* it is the core that is told whether that is little */
    setup.heartbeat_ms = sim_plan.heartbeat_ms;
    setup.lease_ms = sim_plan.lease_ms;
    if (sim_plan.seed % 5 == 0 && !sim_calm) { /* with other terms than before */
        setup.lease_ms = sim_plan.lease_ms / 2 + (int64_t) sim_below ((uint64_t) sim_plan.lease_ms);
        setup.heartbeat_ms = setup.lease_ms / 4;
    }
    setup.deliveries_max = sim_plan.deliveries_max;
    setup.snapshot_bytes = sim_plan.snapshot_bytes;
    setup.snapshot_piece_bytes = sim_plan.snapshot_piece_bytes;
    setup.retain_ms = sim_plan.retain_ms;
    setup.retain_bytes = sim_plan.retain_bytes;
    if (sim_plan.seed % 8 == 0 && !sim_calm)
        setup.queue_count_max = 8;
    if (sim_plan.seed % 8 == 1 && !sim_calm)
        setup.waits_max = 2;
    if (sim_plan.seed % 8 == 2 && !sim_calm)
        setup.queue_bytes_max = 4000;
    sim_new_clock (SIM_BROKER);
    sim_enter (SIM_BROKER);
    SIM_TRACE ("broker: starts");
    enum reel_status status = reel_core_create (&setup, &broker.core);
    if (status == REEL_OK)
        status = recover (&err);
    if (status == REEL_OK)
        status = begin_epoch (setup.lease_ms, &err);
    SIM_HOLDS ("disk", status != REEL_INVALID, "the broker refuses to start: %s", err.message);
    if (status != REEL_OK) {
        fail ("start", &err);
        return;
    }
    broker.up = true;
    broker.turn_us = broker.came_round_us = sim_now_us;
    broker.gathers_us = -1;
    sim_net_broker (true);
}

/* --- the doors ------------------------------------------------------------------------------ */

void
sim_broker_begin (void)
{
    broker = (struct broker){.start_us = 0};
    disk_faulty = disk_is_full = false;
    listened_us = 0;
    disk = disk_create ("sim", sim_below (UINT64_MAX));
}

void
sim_broker_end (void)
{
    die (SIM_NEVER);
    disk_destroy (&disk);
}

void
sim_broker_receive (struct sim_packet *packet)
{
    sim_inbox_add (&broker.inboxes[packet->peer < SIM_WORKERS_MAX ? REEL_SOCKET_WORKER : REEL_SOCKET_CLIENT], packet);
    int64_t at_us = sim_now_us + 10 + (int64_t) sim_below (100);
    if (at_us < broker.turn_us)
        broker.turn_us = at_us;
}

/* When its journal's thread has something to do. */
static int64_t
journal_us (void)
{
    return broker.work == NULL ? SIM_NEVER : broker.carried ? broker.done_us : broker.carry_us;
}

int64_t
sim_broker_next_us (void)
{
    if (!broker.up)
        return broker.start_us;
    int64_t next_us = journal_us () < broker.turn_us ? journal_us () : broker.turn_us;
    if (broker.crash_us != 0 && broker.crash_us < next_us)
        return broker.crash_us;
    return next_us < broker.stopped_until_us ? broker.stopped_until_us : next_us;
}

void
sim_broker_turn (void)
{
    if (!broker.up) {
        start ();
        return;
    }
    if (broker.crash_us != 0 && broker.crash_us <= sim_now_us) {
        sim_broker_crash ();
        return;
    }
    if (broker.work != NULL && !broker.carried && broker.carry_us <= sim_now_us) {
        carry_out ();
        return;
    }
    turn ();
    broker.turn_us = sim_now_us + pause_us ();
    if (broker.stopping && reel_rounds_idle (&broker.rounds) && !broker.eager
        && sim_now_us - broker.stopping_us >= DRAIN_US_MIN) {
        SIM_TRACE ("broker: has stopped");
        die (soon ());
    }
}

void
sim_broker_terminate (void)
{
    if (!broker.up || broker.stopping || broker.stopped_until_us > sim_now_us)
        return;
    SIM_TRACE ("broker: is to stop");
    broker.stopping = true;
    broker.stopping_us = sim_now_us;
    broker.wake_us = INT64_MAX;
    sim_enter (SIM_BROKER);
    enum reel_status status = reel_core_drain (broker.core, broker.rounds.now, &broker.rounds.pending->effects);
    SIM_HOLDS ("memory", status == REEL_OK, "the core cannot drain: %s", reel_status_name (status));
    broker.turn_us = sim_now_us;
}

void
sim_broker_stop (int64_t until_us)
{
    if (!broker.up)
        return;
    sim_counts.broker_stops++;
    SIM_TRACE ("broker: stands still until %.3f", (double) until_us / 1e6);
    broker.stopped_until_us = until_us;
}

void
sim_broker_disk_fault (void)
{
    disk_faulty = true;
    if (sim_below (3) == 0) {
        sim_counts.disk_full++;
        SIM_TRACE ("disk: is full");
        disk_is_full = true;
        disk_limit (disk, disk_used (disk) + sim_below (40000));
        return;
    }
    enum disk_operation kind = (enum disk_operation) sim_below (DISK_OPERATION_COUNT);
    SIM_TRACE ("disk: operation of kind %d will fail", kind);
    disk_fail_at (disk, kind, 1 + sim_below (kind == DISK_READ || kind == DISK_WRITE ? 20 : 4), sim_below (2) == 0);
}

void
sim_broker_heal (void)
{
    disk_is_full = false;
    disk_limit (disk, 0);
    for (int kind = 0; kind < DISK_OPERATION_COUNT; kind++)
        disk_fail_at (disk, (enum disk_operation) kind, 0, false);
    broker.disk_low = false;
    broker.crash_us = 0;
    broker.stopped_until_us = 0;
    if (!broker.up && broker.start_us > sim_now_us)
        broker.start_us = sim_now_us;
}

int64_t
sim_broker_listened_us (void)
{
    return listened_us;
}

bool
sim_broker_up (void)
{
    return broker.up;
}
