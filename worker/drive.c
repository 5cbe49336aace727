/*
 * Between a run and the adapters.
 *
 * A call may finish while it is being started, or while it is being cancelled. The run then
 * takes that in at once, since what the adapter hands over is only borrowed; what the run
 * commands next is carried out by whoever is at it already, so the stack does not grow with the
 * number of steps.
 */
#include "worker/drive.h"

#include "base/assert.h"
#include "base/clock.h"

static void
open_task (struct reel_drive *drive)
{
    /* The run asked for its route, and for its hooks, in the same registry. */
    struct reel_adapter *adapter = reel_registry_adapter (drive->registry, &drive->call);
    REEL_ASSERT (adapter != NULL);
    reel_task_open (&drive->task, adapter, &drive->call);
}

static void
carry_out_once (struct reel_drive *drive)
{
    bool abort = false, dispatch = false;
    for (size_t i = 0; i < drive->commands.count; i++) {
        const struct reel_run_command *command = &drive->commands.list[i];
        switch (command->kind) {
        case REEL_RUN_TELL: drive->tell (drive, command->event); break;
        case REEL_RUN_SEND: drive->send (drive); break;
        case REEL_RUN_CONFIRM: drive->confirm (drive); break;
        case REEL_RUN_WAKE: reel_loop_arm (drive->loop, &drive->wake, command->wake_us); break;
        case REEL_RUN_ENDED: drive->ended (drive); break;
        case REEL_RUN_ABORT: abort = true; break;
        case REEL_RUN_DISPATCH:
            drive->call = command->call;
            dispatch = true;
            break;
        }
    }
    /* Last, because they may bring out new commands. */
    if (abort)
        reel_task_cancel (&drive->task);
    if (dispatch)
        open_task (drive);
}

static void
step (struct reel_drive *drive, struct reel_run_event *event)
{
    if (drive->dropped)
        return;
    event->wall_us = reel_clock_wall_us ();
    event->monotonic_us = reel_clock_monotonic_us ();
    event->stalled_us = drive->turn_us != NULL ? event->monotonic_us - *drive->turn_us : 0;
    if (reel_run_step (drive->run, event, &drive->commands) != REEL_OK) {
        drive->commands.count = 0;
        drive->broken (drive);
        return;
    }
    drive->fresh = true;
    if (drive->carrying)
        return;
    drive->carrying = true;
    while (drive->fresh) {
        drive->fresh = false;
        carry_out_once (drive);
    }
    drive->carrying = false;
}

static void
task_finished (struct reel_task *task, const struct reel_run_result *result)
{
    struct reel_drive *drive = task->context;
    if (drive->dropped)
        drive->idle (drive);
    else
        step (drive, &(struct reel_run_event){.kind = REEL_RUN_FINISHED, .result = *result});
}

static void
task_progress (struct reel_task *task, double fraction, struct reel_slice message)
{
    step (task->context, &(struct reel_run_event){.kind = REEL_RUN_PROGRESS, .progress = {fraction, message}});
}

static void
task_checkpoint (struct reel_task *task, struct reel_slice checkpoint)
{
    step (task->context, &(struct reel_run_event){.kind = REEL_RUN_CHECKPOINT, .checkpoint = checkpoint});
}

static void
wake_due (struct reel_timer *timer)
{
    step (timer->context, &(struct reel_run_event){.kind = REEL_RUN_TICK});
}

void
reel_drive_begin (struct reel_drive *drive)
{
    drive->task.loop = drive->loop;
    drive->task.finished = task_finished;
    drive->task.progress = task_progress;
    drive->task.checkpoint = task_checkpoint;
    drive->task.context = drive;
    drive->wake.due = wake_due;
    drive->wake.context = drive;
    step (drive, &(struct reel_run_event){.kind = REEL_RUN_BEGIN});
}

void
reel_drive_confirmed (struct reel_drive *drive, int64_t confirmed_us)
{
    step (drive, &(struct reel_run_event){.kind = REEL_RUN_CONFIRMED, .confirmed_us = confirmed_us});
}

void
reel_drive_acked (struct reel_drive *drive, uint64_t index)
{
    step (drive, &(struct reel_run_event){.kind = REEL_RUN_ACKED, .index = index});
}

void
reel_drive_cancel (struct reel_drive *drive)
{
    step (drive, &(struct reel_run_event){.kind = REEL_RUN_CANCEL});
}

void
reel_drive_yield (struct reel_drive *drive)
{
    step (drive, &(struct reel_run_event){.kind = REEL_RUN_YIELD});
}

void
reel_drive_look (struct reel_drive *drive)
{
    step (drive, &(struct reel_run_event){.kind = REEL_RUN_TICK});
}

void
reel_drive_drop (struct reel_drive *drive)
{
    drive->dropped = true;
    reel_loop_disarm (drive->loop, &drive->wake);
    reel_task_cancel (&drive->task);
}

bool
reel_drive_idle (const struct reel_drive *drive)
{
    return !drive->task.open;
}

void
reel_drive_free (struct reel_drive *drive)
{
    REEL_ASSERT (reel_drive_idle (drive) && !drive->carrying);
    reel_loop_disarm (drive->loop, &drive->wake);
    reel_run_destroy (&drive->run);
}
