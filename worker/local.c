/*
 * The local runner: a drive whose reports go to a file and to a watcher.
 */
#include "worker/local.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/timestamp.h"
#include "proto/identity.h"
#include "proto/json.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "worker/drive.h"
#include "worker/guard.h"
#include "worker/rewrite.h"

#define TICK_MS_DEFAULT 100

struct local {
    const struct reel_local_setup *setup;
    struct reel_loop *loop;
    struct reel_drive drive;
    struct reel_guard_keeper keeper;
    struct reel_turn turn;
    struct reel_timer tick;
    struct reel_watch stop;
    bool stopping;
    char id_made[REEL_UUID_BYTES];
    char created_made[REEL_TIMESTAMP_BYTES];
    struct reel_buf workflow_id;
    struct reel_slice created_at; /* in the setup's document, or made */
    int64_t started_us;
    uint64_t index; /* of the last event told */
    uint64_t acked; /* of the run's */
    struct reel_buf scratch;
    bool grown;
    bool broken;
    enum reel_status status; /* why it was given up */
    struct reel_error *err;
};

/* --- telling ------------------------------------------------------------------------------ */

static void
tell (struct local *local, struct reel_buf *event)
{
    if (local->setup->watcher.event != NULL && reel_buf_status (event) == REEL_OK)
        local->setup->watcher.event (local->setup->watcher.context, reel_buf_slice (event));
    reel_buf_free (event);
}

/* The broker's keys, then the pairs of the map as they come. */
static void
tell_reported (struct local *local, struct reel_slice map, bool kept)
{
    struct reel_buf event = {0};
    struct reel_value head;
    struct reel_cursor cursor = reel_scan_start (map);
    if (!reel_scan_next (&cursor, &head))
        return;
    reel_pack_map (&event, head.count + (kept ? 2 : 1));
    if (kept) {
        reel_pack_text (&event, "index");
        reel_pack_uint (&event, ++local->index);
    }
    reel_pack_text (&event, "workflow_id");
    reel_pack_str (&event, reel_buf_slice (&local->workflow_id));
    reel_buf_add (&event, cursor.at, (size_t) (cursor.end - cursor.at));
    tell (local, &event);
}

/* An event of the workflow's own. */
static void
tell_workflow (struct local *local, const char *kind, struct reel_slice error)
{
    struct reel_buf event = {0};
    reel_pack_map (&event, 4u + (error.len > 0));
    reel_pack_text (&event, "index");
    reel_pack_uint (&event, ++local->index);
    reel_pack_text (&event, "workflow_id");
    reel_pack_str (&event, reel_buf_slice (&local->workflow_id));
    reel_pack_text (&event, "kind");
    reel_pack_text (&event, kind);
    reel_pack_text (&event, "at_us");
    reel_pack_time (&event, reel_clock_wall_us ());
    if (error.len > 0) {
        reel_pack_text (&event, "error");
        reel_pack_raw (&event, error);
    }
    tell (local, &event);
}

/* Tells those of a report; what the workflow's end is called is said later. */
static void
tell_report (struct local *local, struct reel_slice report)
{
    struct reel_cursor cursor = reel_scan_start (report);
    struct reel_value head;
    struct reel_slice event, kind;
    if (!reel_scan_next (&cursor, &head))
        return;
    while (reel_scan_skip (&cursor, &event))
        if (reel_scan_find_str (event, "kind", &kind) && !reel_slice_is (kind, "workflow.ended"))
            tell_reported (local, event, true);
}

/* --- acknowledging ------------------------------------------------------------------------ */

static void
pack_document (struct local *local, struct reel_buf *out)
{
    reel_outcome_document (out, reel_run_workflow (local->drive.run), reel_run_outcomes (local->drive.run),
                           reel_buf_slice (&local->workflow_id), local->created_at);
}

static enum reel_status
write_output (struct local *local)
{
    struct reel_buf document = {0}, json = {0};
    pack_document (local, &document);
    enum reel_status status = reel_buf_status (&document);
    struct reel_slice bytes = reel_buf_slice (&document);
    if (status == REEL_OK && local->setup->output_form == REEL_LOCAL_JSON) {
        status = reel_json_write (bytes, REEL_JSON_PRETTY, &json);
        reel_buf_add_byte (&json, '\n');
        bytes = reel_buf_slice (&json);
        if (status == REEL_OK)
            status = reel_buf_status (&json);
    }
    if (status == REEL_OK)
        status = reel_rewrite_file (local->setup->output, bytes, local->err);
    reel_buf_free (&document);
    reel_buf_free (&json);
    return status;
}

static void
give_up (struct local *local, enum reel_status status)
{
    if (local->status == REEL_OK)
        local->status = status;
    reel_drive_drop (&local->drive);
}

/* Makes durable what was reported, tells it, and acknowledges it. */
static void
acknowledge (struct local *local)
{
    uint32_t count;
    enum reel_status status = local->setup->output == NULL ? REEL_OK : write_output (local);
    while (status == REEL_OK) {
        reel_buf_clear (&local->scratch);
        status = reel_run_outbox (local->drive.run, local->acked + 1, REEL_REPORT_BYTES_MAX, &local->scratch, &count);
        if (status == REEL_OK) {
            tell_report (local, reel_buf_slice (&local->scratch));
            local->acked += count;
        }
    }
    if (status == REEL_NOT_FOUND)
        reel_drive_acked (&local->drive, local->acked);
    else
        give_up (local, status);
}

static bool
end_turn (struct reel_turn *turn)
{
    struct local *local = turn->context;
    while (local->grown && local->status == REEL_OK) {
        local->grown = false;
        acknowledge (local);
    }
    if (local->broken && local->status == REEL_OK)
        give_up (local, REEL_NO_MEMORY);
    bool over = local->status != REEL_OK
                || (reel_run_ended (local->drive.run) && reel_run_outbox_empty (local->drive.run));
    if (over && reel_drive_idle (&local->drive))
        reel_loop_stop (local->loop);
    return false;
}

/* --- what the drive says ------------------------------------------------------------------ */

static void
on_send (struct reel_drive *drive)
{
    ((struct local *) drive->context)->grown = true;
}

static void
on_confirm (struct reel_drive *drive)
{
    (void) drive; /* never asked for: there is no lease */
}

static void
on_tell (struct reel_drive *drive, struct reel_slice event)
{
    tell_reported (drive->context, event, false);
}

static void
on_ended (struct reel_drive *drive)
{
    (void) drive; /* seen at the end of the turn */
}

static void
on_idle (struct reel_drive *drive)
{
    (void) drive; /* likewise */
}

static void
on_broken (struct reel_drive *drive)
{
    ((struct local *) drive->context)->broken = true;
}

/* --- ticking and stopping ----------------------------------------------------------------- */

static void
arm_tick (struct local *local)
{
    int64_t ms = local->setup->watcher.tick_ms > 0 ? local->setup->watcher.tick_ms : TICK_MS_DEFAULT;
    reel_loop_arm (local->loop, &local->tick, reel_clock_monotonic_us () + ms * 1000);
}

static void
tick_due (struct reel_timer *timer)
{
    struct local *local = timer->context;
    local->setup->watcher.tick (local->setup->watcher.context);
    arm_tick (local);
}

static void
stop_ready (struct reel_watch *watch, uint32_t events)
{
    (void) events;
    struct local *local = watch->context;
    uint8_t chunk[128]; /* as long as a struct signalfd_siginfo, so that each signal counts by itself */
    ssize_t got = read (watch->fd, chunk, sizeof chunk);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0)
        reel_loop_unwatch (local->loop, watch);
    if (local->stopping)
        reel_task_cancel (&local->drive.task);
    else
        reel_drive_cancel (&local->drive);
    local->stopping = true;
}

/* --- beginning and end -------------------------------------------------------------------- */

/* Takes the document's id and time of making, or makes them. */
static enum reel_status
identify (struct local *local)
{
    struct reel_workflow workflow = {0};
    struct reel_random random;
    uint64_t seed;
    enum reel_status status = reel_workflow_parse (&workflow, local->setup->document,
                                                   REEL_WORKFLOW_RUNNING_OK | REEL_WORKFLOW_GROWN, local->err);
    if (status == REEL_OK) {
        local->started_us = reel_clock_wall_us ();
        reel_random_system (&seed, sizeof seed);
        reel_random_seed (&random, seed);
        reel_identity_uuid7 (local->started_us, &random, local->id_made);
        reel_timestamp_format (local->started_us, local->created_made);
        reel_buf_add_slice (&local->workflow_id,
                            workflow.workflow_id.len > 0 ? workflow.workflow_id : reel_slice_text (local->id_made));
        local->created_at = workflow.created_at.len > 0 ? workflow.created_at : reel_slice_text (local->created_made);
        status = reel_buf_status (&local->workflow_id);
    }
    reel_workflow_free (&workflow);
    return status;
}

static enum reel_status
make_run (struct local *local)
{
    struct reel_run_setup setup = {
        .document = local->setup->document,
        .flags = REEL_WORKFLOW_RUNNING_OK | REEL_WORKFLOW_GROWN,
        .workflow_id = reel_buf_slice (&local->workflow_id),
        .provenance = local->setup->provenance,
        .delivery = 1,
        .local = true,
        .route = reel_registry_route,
        .hook = reel_registry_hook,
        .registry = local->setup->registry,
    };
    reel_random_system (&setup.seed, sizeof setup.seed);
    return reel_run_create (&setup, &local->drive.run, local->err);
}

static enum reel_status
run_loop (struct local *local)
{
    enum reel_status status = REEL_OK;
    reel_guard_keep (&local->keeper, local->loop);
    reel_loop_add_turn (local->loop, &local->turn);
    if (local->setup->watcher.tick != NULL)
        arm_tick (local);
    if (local->stop.fd >= 0)
        status = reel_loop_watch (local->loop, &local->stop, EPOLLIN);
    if (status == REEL_OK) {
        tell_workflow (local, "workflow.accepted", REEL_SLICE_NONE);
        reel_drive_begin (&local->drive);
        status = reel_loop_run (local->loop);
    }
    reel_guard_let_go (&local->keeper);
    reel_loop_unwatch (local->loop, &local->stop);
    reel_loop_disarm (local->loop, &local->tick);
    if (status == REEL_IO)
        return reel_error_set (local->err, REEL_IO, "io", NULL, "the event loop failed");
    return local->status;
}

static const char *
final_status (const struct reel_run *run)
{
    if (reel_run_cancelled (run))
        return "cancelled";
    bool all = reel_run_error (run).len == 0
               && reel_outcome_all_succeeded (reel_run_outcomes (run), reel_run_workflow (run)->step_count);
    return all ? "succeeded" : "failed";
}

static void
tell_end (struct local *local, const char *status, struct reel_slice error)
{
    char kind[32];
    snprintf (kind, sizeof kind, "workflow.%s", status);
    tell_workflow (local, kind, error);
}

static enum reel_status
conclude (struct local *local, struct reel_local_result *result)
{
    const struct reel_run *run = local->drive.run;
    struct reel_local_result made = {.status = final_status (run)};
    const struct reel_final final = {
        .workflow_id = reel_buf_slice (&local->workflow_id),
        .status = made.status,
        .created_at = local->created_at,
        .submitted_us = local->started_us,
        .started_us = local->started_us,
        .finished_us = reel_clock_wall_us (),
        .deliveries = 1,
        .error = reel_run_error (run),
    };
    reel_outcome_receipt (&made.receipt, &final, reel_run_workflow (run), reel_run_outcomes (run));
    pack_document (local, &made.document);
    if (made.receipt.failed || made.document.failed) {
        reel_local_result_free (&made);
        return REEL_NO_MEMORY;
    }
    tell_end (local, made.status, final.error);
    *result = made;
    return REEL_OK;
}

enum reel_status
reel_local_run (const struct reel_local_setup *setup, struct reel_local_result *result, struct reel_error *err)
{
    struct local local = {.setup = setup, .err = err};
    local.turn = (struct reel_turn){.ended = end_turn, .context = &local};
    local.tick = (struct reel_timer){.due = tick_due, .context = &local};
    local.stop = (struct reel_watch){.fd = setup->stop_fd, .ready = stop_ready, .context = &local};
    enum reel_status status = identify (&local);
    if (status == REEL_OK)
        status = make_run (&local);
    if (status == REEL_OK)
        status = reel_loop_create (&local.loop);
    if (status == REEL_OK) {
        local.drive.loop = local.loop;
        local.drive.registry = setup->registry;
        local.drive.send = on_send;
        local.drive.confirm = on_confirm;
        local.drive.tell = on_tell;
        local.drive.ended = on_ended;
        local.drive.broken = on_broken;
        local.drive.idle = on_idle;
        local.drive.context = &local;
        status = run_loop (&local);
        if (status == REEL_OK)
            status = conclude (&local, result);
        reel_drive_free (&local.drive);
    }
    reel_run_destroy (&local.drive.run);
    reel_loop_destroy (&local.loop);
    reel_buf_free (&local.workflow_id);
    reel_buf_free (&local.scratch);
    return status;
}

void
reel_local_result_free (struct reel_local_result *result)
{
    reel_buf_free (&result->receipt);
    reel_buf_free (&result->document);
    result->status = NULL;
}
