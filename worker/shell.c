/*
 * The worker's shell.
 *
 * A turn of the loop reads what has come, lets the runs go on, and then, once for each lease that
 * has something new, sends one report. ZeroMQ's descriptor tells of edges only: so the socket is
 * read dry at the end of every turn, whatever woke it.
 */
#include "worker/shell.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "cli/notify.h"
#include "net/socket.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "worker/leases.h"

/* Messages read in one turn. */
#define MESSAGES_MAX 1024
/* Between two reports of one step's progress. */
#define TELL_MS 250
/* How long closing may take to send what is left. */
#define LINGER_MS 1000
#define INSTANCE_BYTES 16
/* What a broker may ask for. */
#define HEARTBEAT_MS_MIN 5
#define TERM_MS_MAX 86400000

struct shell {
    const struct reel_worker_shell_setup *setup;
    struct reel_error *err;
    struct reel_loop *loop;
    void *context; /* ZeroMQ's */
    void *socket;
    struct reel_watch socket_watch, stop_watch;
    struct reel_turn turn;
    struct reel_timer beat;  /* a heartbeat is due */
    struct reel_timer tell;  /* progress that was held back is due */
    struct reel_timer drain; /* the time of draining is over */
    struct reel_inbox inbox;
    struct reel_message in, out;
    struct reel_buf header, body;
    struct reel_leases leases;
    struct reel_held *touched;
    size_t active; /* leases whose run has not ended: slots in use */
    uint8_t instance[INSTANCE_BYTES];
    struct reel_random random; /* seeds of the runs */
    int64_t heartbeat_ms, lease_ms;
    uint64_t receipt_bytes_max, report_bytes_max, receipt_depth_max;
    int64_t heard_us; /* monotonic */
    int64_t ready_us; /* when READY was said */
    bool known;       /* READY was answered */
    bool welcomed;    /* it was once */
    bool confirm;     /* a run wants to know whether its lease is alive */
    unsigned stops;   /* how often it was told to stop */
    bool lost;        /* a lease was dropped with something unreported */
    enum reel_status status;
};

/* --- sending ------------------------------------------------------------------------------ */

/* Sends shell->out. What cannot be sent now is sent again later, by whoever waits for its answer. */
static bool
send_message (struct shell *shell)
{
    reel_buf_clear (&shell->header);
    reel_message_encode (&shell->out, &shell->header);
    if (shell->socket == NULL || reel_buf_status (&shell->header) != REEL_OK)
        return false;
    return reel_socket_send_message (shell->socket, REEL_SLICE_NONE, false, shell->out.command,
                                     reel_buf_slice (&shell->header),
                                     shell->out.has_document ? &shell->out.document : NULL)
           == REEL_OK;
}

/* Sends an array of events under a lease; `index` 0: not numbered. */
static bool
send_report (struct shell *shell, struct reel_lease lease, uint64_t index, struct reel_slice events)
{
    reel_message_init (&shell->out, REEL_REPORT);
    reel_message_set_lease (&shell->out, REEL_F_LEASE, lease);
    if (index == 0)
        reel_message_set_nil (&shell->out, REEL_F_REPORT_INDEX);
    else
        reel_message_set_uint (&shell->out, REEL_F_REPORT_INDEX, index);
    reel_message_set_document (&shell->out, events);
    return send_message (shell);
}

static void
send_heartbeat (struct shell *shell)
{
    uint32_t count = 0;
    for (struct reel_held *held = shell->leases.first; held != NULL; held = held->next)
        count += !held->dropped;
    reel_buf_clear (&shell->body);
    reel_pack_array (&shell->body, count);
    for (struct reel_held *held = shell->leases.first; held != NULL; held = held->next)
        if (!held->dropped)
            reel_lease_pack (&shell->body, held->id);
    reel_message_init (&shell->out, REEL_WORKER_HEARTBEAT);
    reel_message_set (&shell->out, REEL_F_LEASES, reel_buf_slice (&shell->body));
    reel_message_set_uint (&shell->out, REEL_F_SENT_US, (uint64_t) reel_clock_monotonic_us ());
    if (reel_buf_status (&shell->body) == REEL_OK)
        (void) send_message (shell);
    shell->confirm = false;
}

/* Names every lease, so that the broker says of each how far it is. */
static void
add_resume (struct shell *shell)
{
    uint32_t count = 0;
    for (struct reel_held *held = shell->leases.first; held != NULL; held = held->next)
        count += !held->dropped;
    size_t at = shell->body.len;
    reel_pack_array (&shell->body, count);
    for (struct reel_held *held = shell->leases.first; held != NULL; held = held->next) {
        if (held->dropped)
            continue;
        reel_pack_array (&shell->body, 2);
        reel_lease_pack (&shell->body, held->id);
        reel_pack_uint (&shell->body, held->sent);
        held->resuming = true;
    }
    if (count > 0 && !shell->body.failed)
        reel_message_set (&shell->out, REEL_F_RESUMED, reel_slice (shell->body.data + at, shell->body.len - at));
}

static void
send_ready (struct shell *shell, bool resume)
{
    struct reel_buf modalities = {0}, dispatch = {0};
    reel_registry_pack_modalities (shell->setup->registry, &modalities);
    reel_registry_pack_dispatch (shell->setup->registry, &dispatch);
    reel_buf_clear (&shell->body);
    reel_message_init (&shell->out, REEL_READY);
    reel_message_set_text (&shell->out, REEL_F_NAME, shell->setup->name);
    reel_message_set (&shell->out, REEL_F_INSTANCE, reel_slice (shell->instance, sizeof shell->instance));
    reel_message_set_uint (&shell->out, REEL_F_SLOTS, shell->stops > 0 ? 0 : shell->setup->slots);
    reel_message_set (&shell->out, REEL_F_MODALITIES, reel_buf_slice (&modalities));
    reel_message_set (&shell->out, REEL_F_DISPATCH, reel_buf_slice (&dispatch));
    if (resume)
        add_resume (shell);
    if (!modalities.failed && !dispatch.failed && !shell->body.failed)
        (void) send_message (shell);
    shell->known = false;
    shell->ready_us = reel_clock_monotonic_us ();
    reel_buf_free (&modalities);
    reel_buf_free (&dispatch);
}

/* --- leases ------------------------------------------------------------------------------- */

static struct reel_held *
held_of (struct reel_drive *drive)
{
    return (struct reel_held *) ((char *) drive - offsetof (struct reel_held, drive));
}

static void
touch (struct shell *shell, struct reel_held *held)
{
    if (held->touched)
        return;
    held->touched = true;
    held->touched_next = shell->touched;
    shell->touched = held;
}

/* Ends what runs under a lease; nothing more is said of it. */
static void
drop (struct shell *shell, struct reel_held *held)
{
    if (!held->dropped && !held->ended)
        shell->active--;
    held->dropped = true;
    reel_drive_drop (&held->drive);
    touch (shell, held);
}

static void
drop_all (struct shell *shell)
{
    for (struct reel_held *held = shell->leases.first; held != NULL; held = held->next) {
        shell->lost |= !held->dropped;
        drop (shell, held);
    }
}

/* Everything that is not acknowledged is to be sent again. What was under way becomes one flight that was sent when the
 * first of it was: that may be the one that is answered. */
static void
rewind_report (struct reel_held *held)
{
    held->sent = held->acked;
    if (held->flight_count > 1)
        held->flights[0].index = held->flights[held->flight_count - 1].index;
    held->flight_count = held->flight_count > 0;
}

/* Sends what is new, as far as the broker has answered for what was sent before. */
static void
report (struct shell *shell, struct reel_held *held)
{
    uint64_t last = reel_run_last_index (held->drive.run);
    while (!held->resuming && held->sent < last && held->flight_count < REEL_FLIGHTS_MAX) {
        uint32_t count = 0;
        reel_buf_clear (&shell->body);
        if (reel_run_outbox (held->drive.run, held->sent + 1, shell->report_bytes_max, &shell->body, &count) != REEL_OK)
            return;
        int64_t now_us = reel_clock_monotonic_us ();
        if (!send_report (shell, held->id, held->sent + 1, reel_buf_slice (&shell->body)))
            return;
        held->sent += count;
        if (held->flight_count == 0 || held->flights[held->flight_count - 1].index < held->sent)
            held->flights[held->flight_count++] = (struct reel_flight){held->sent, now_us};
    }
}

static void
finish_touched (struct shell *shell, struct reel_held *held)
{
    bool over = held->dropped || (held->ended && reel_run_outbox_empty (held->drive.run));
    if (!over)
        report (shell, held);
    else if (reel_drive_idle (&held->drive))
        reel_leases_remove (&shell->leases, held);
}

static void
on_send (struct reel_drive *drive)
{
    struct reel_held *held = held_of (drive);
    reel_buf_clear (&held->told); /* what is reported now is newer than the progress before it */
    touch (drive->context, held);
}

static void
on_confirm (struct reel_drive *drive)
{
    ((struct shell *) drive->context)->confirm = true;
}

static void
send_told (struct shell *shell, struct reel_held *held, int64_t now_us)
{
    reel_buf_clear (&shell->body);
    reel_pack_array (&shell->body, 1);
    reel_buf_add_slice (&shell->body, reel_buf_slice (&held->told));
    if (!shell->body.failed && !held->told.failed && !held->resuming)
        (void) send_report (shell, held->id, 0, reel_buf_slice (&shell->body));
    reel_buf_clear (&held->told);
    held->told_us = now_us;
}

/* Progress is thinned: at once if the last one was a while ago, else the newest when it was. */
static void
on_tell (struct reel_drive *drive, struct reel_slice event)
{
    struct shell *shell = drive->context;
    struct reel_held *held = held_of (drive);
    int64_t now_us = reel_clock_monotonic_us ();
    reel_buf_clear (&held->told);
    reel_buf_add_slice (&held->told, event);
    if (now_us - held->told_us >= TELL_MS * 1000)
        send_told (shell, held, now_us);
    else if (!shell->tell.armed)
        reel_loop_arm (shell->loop, &shell->tell, held->told_us + TELL_MS * 1000);
}

static void
tell_due (struct reel_timer *timer)
{
    struct shell *shell = timer->context;
    int64_t now_us = reel_clock_monotonic_us (), next_us = INT64_MAX;
    for (struct reel_held *held = shell->leases.first; held != NULL; held = held->next) {
        if (held->dropped || held->told.len == 0)
            continue;
        int64_t due_us = held->told_us + TELL_MS * 1000;
        if (due_us <= now_us)
            send_told (shell, held, now_us);
        else if (due_us < next_us)
            next_us = due_us;
    }
    if (next_us != INT64_MAX)
        reel_loop_arm (shell->loop, &shell->tell, next_us);
}

static void
on_ended (struct reel_drive *drive)
{
    struct shell *shell = drive->context;
    struct reel_held *held = held_of (drive);
    held->ended = true;
    shell->active--;
    touch (shell, held);
}

static void
on_idle (struct reel_drive *drive)
{
    touch (drive->context, held_of (drive));
}

static void
on_broken (struct reel_drive *drive)
{
    struct shell *shell = drive->context;
    struct reel_held *held = held_of (drive);
    if (held->dropped)
        return;
    reel_log (REEL_LOG_ERROR, "out of memory: lease %ju is given up", (uintmax_t) held->id.counter);
    shell->lost = true;
    drop (shell, held);
}

/* --- ASSIGN ------------------------------------------------------------------------------- */

/* Gives a workflow back that cannot be taken: the broker hears at once what it would else learn from an expired
 * lease. */
static void
refuse_assignment (struct shell *shell, const char *why)
{
    struct reel_lease lease = shell->in.value[REEL_F_LEASE].lease;
    reel_log (REEL_LOG_WARNING, "workflow %.*s is given back: %s", REEL_TEXT (shell->in.value[REEL_F_WORKFLOW_ID].s),
              why);
    reel_buf_clear (&shell->body);
    reel_pack_array (&shell->body, 1);
    reel_message_init (&shell->out, REEL_REPORTED_YIELDED);
    reel_message_set_uint (&shell->out, REEL_F_AT_US, (uint64_t) reel_clock_wall_us ());
    reel_message_encode (&shell->out, &shell->body);
    if (reel_buf_status (&shell->body) == REEL_OK)
        (void) send_report (shell, lease, 1, reel_buf_slice (&shell->body));
}

static enum reel_status
make_run (struct shell *shell, struct reel_run **run, struct reel_error *err)
{
    const struct reel_message *in = &shell->in;
    struct reel_run_setup setup = {
        .document = in->document,
        .flags = REEL_WORKFLOW_GROWN, /* as it stands: receipts and all */
        .workflow_id = in->value[REEL_F_WORKFLOW_ID].s,
        .delivery = in->value[REEL_F_DELIVERY].u > UINT32_MAX ? UINT32_MAX : (uint32_t) in->value[REEL_F_DELIVERY].u,
        .lease_ms = shell->lease_ms,
        .receipt_bytes_max = shell->receipt_bytes_max,
        .receipt_depth_max = (unsigned) shell->receipt_depth_max,
        .route = reel_registry_route,
        .hook = reel_registry_hook,
        .registry = shell->setup->registry,
    };
    if (reel_message_has (in, REEL_F_PROVENANCE))
        setup.provenance = in->value[REEL_F_PROVENANCE].s;
    if (reel_message_has (in, REEL_F_CHECKPOINT))
        setup.checkpoint = in->value[REEL_F_CHECKPOINT].s;
    if (reel_message_has (in, REEL_F_ATTEMPTS))
        setup.attempts = (uint32_t) in->value[REEL_F_ATTEMPTS].u;
    setup.seed = reel_random_next (&shell->random);
    return reel_run_create (&setup, run, err);
}

static void
on_assign (struct shell *shell)
{
    struct reel_lease lease = shell->in.value[REEL_F_LEASE].lease;
    struct reel_error err = {0};
    struct reel_run *run = NULL;
    if (reel_leases_find (&shell->leases, lease) != NULL)
        return;
    if (shell->stops > 0) {
        refuse_assignment (shell, "this worker is draining");
        return;
    }
    if (shell->active >= shell->setup->slots || shell->leases.count >= REEL_LEASES_MAX) {
        refuse_assignment (shell, "no slot is free");
        return;
    }
    enum reel_status status = make_run (shell, &run, &err);
    if (status != REEL_OK) {
        refuse_assignment (shell, status == REEL_INVALID ? err.message : "out of memory");
        return;
    }
    struct reel_held *held = reel_leases_add (&shell->leases, lease);
    if (held == NULL) {
        reel_run_destroy (&run);
        refuse_assignment (shell, "out of memory");
        return;
    }
    shell->active++;
    held->since_us = reel_clock_monotonic_us ();
    held->told_us = held->since_us - TELL_MS * 1000;
    held->drive.loop = shell->loop;
    held->drive.registry = shell->setup->registry;
    held->drive.run = run;
    held->drive.send = on_send;
    held->drive.confirm = on_confirm;
    held->drive.tell = on_tell;
    held->drive.ended = on_ended;
    held->drive.broken = on_broken;
    held->drive.idle = on_idle;
    held->drive.context = shell;
    reel_log (REEL_LOG_DEBUG, "workflow %.*s is begun, delivery %ju", REEL_TEXT (shell->in.value[REEL_F_WORKFLOW_ID].s),
              (uintmax_t) shell->in.value[REEL_F_DELIVERY].u);
    reel_drive_begin (&held->drive);
}

/* --- what else the broker says -------------------------------------------------------------- */

static struct reel_held *
find_held (struct shell *shell)
{
    struct reel_held *held = reel_leases_find (&shell->leases, shell->in.value[REEL_F_LEASE].lease);
    return held == NULL || held->dropped ? NULL : held;
}

static void
on_ack (struct shell *shell)
{
    struct reel_held *held = find_held (shell);
    const struct reel_field_value *value = &shell->in.value[REEL_F_REPORT_INDEX];
    if (held == NULL || value->nil || value->u > reel_run_last_index (held->drive.run))
        return;
    int64_t confirmed_us = 0;
    unsigned answered = 0;
    while (answered < held->flight_count && held->flights[answered].index <= value->u)
        confirmed_us = held->flights[answered++].sent_us;
    held->flight_count -= answered;
    memmove (held->flights, held->flights + answered, held->flight_count * sizeof held->flights[0]);
    if (value->u > held->acked)
        held->acked = value->u;
    if (held->resuming || held->sent < held->acked)
        rewind_report (held);
    held->resuming = false;
    touch (shell, held);
    if (answered > 0 && !held->ended)
        reel_drive_confirmed (&held->drive, confirmed_us);
    reel_drive_acked (&held->drive, held->acked);
}

static void
on_fenced (struct shell *shell)
{
    struct reel_held *held = find_held (shell);
    if (held == NULL)
        return;
    struct reel_slice message = REEL_SLICE_NONE;
    if (reel_message_has (&shell->in, REEL_F_ERROR) && reel_scan_type (shell->in.value[REEL_F_ERROR].s) == REEL_MAP)
        (void) reel_scan_find_str (shell->in.value[REEL_F_ERROR].s, "message", &message);
    reel_log (REEL_LOG_WARNING, "lease %ju is not ours any more%s%.*s", (uintmax_t) held->id.counter,
              message.len > 0 ? ": " : "", REEL_TEXT (message));
    drop (shell, held);
}

static void
on_cancel (struct shell *shell)
{
    struct reel_held *held = find_held (shell);
    if (held != NULL)
        reel_drive_cancel (&held->drive);
}

static void
on_yield (struct shell *shell)
{
    struct reel_held *held = find_held (shell);
    if (held != NULL)
        reel_drive_yield (&held->drive);
}

/* A time that can be lived with, whatever the broker says. */
static int64_t
within (uint64_t ms, int64_t ms_min)
{
    return ms < (uint64_t) ms_min ? ms_min : ms > TERM_MS_MAX ? TERM_MS_MAX : (int64_t) ms;
}

static void
on_welcome (struct shell *shell)
{
    const struct reel_message *in = &shell->in;
    struct reel_slice limits = in->value[REEL_F_LIMITS].s;
    uint64_t number;
    shell->known = true;
    if (!shell->welcomed)
        reel_notify ("READY=1");
    shell->welcomed = true;
    shell->heartbeat_ms = within (in->value[REEL_F_HEARTBEAT_MS].u, HEARTBEAT_MS_MIN);
    shell->lease_ms = within (in->value[REEL_F_LEASE_MS].u, 2 * HEARTBEAT_MS_MIN);
    if (reel_scan_find_uint (limits, "receipt_bytes", &number) && number < shell->receipt_bytes_max)
        shell->receipt_bytes_max = number;
    if (reel_scan_find_uint (limits, "report_bytes", &number) && number < shell->report_bytes_max)
        shell->report_bytes_max = number;
    if (reel_scan_find_uint (limits, "depth", &number) && number < shell->receipt_depth_max)
        shell->receipt_depth_max = number;
    reel_loop_arm (shell->loop, &shell->beat, reel_clock_monotonic_us () + shell->heartbeat_ms * 1000);
    reel_log (REEL_LOG_INFO, "the broker at %s knows us (epoch %ju)", shell->setup->broker,
              (uintmax_t) in->value[REEL_F_EPOCH].u);
}

/* The broker has taken note of every lease that our heartbeat named and that was not FENCED before. */
static void
on_heartbeat (struct shell *shell)
{
    int64_t sent_us = (int64_t) shell->in.value[REEL_F_SENT_US].u;
    struct reel_held *next;
    for (struct reel_held *held = shell->leases.first; held != NULL; held = next) {
        next = held->next;
        if (!held->dropped && !held->ended && held->since_us <= sent_us)
            reel_drive_confirmed (&held->drive, sent_us);
    }
}

static void
on_message (struct shell *shell)
{
    struct reel_error err = {0};
    if (reel_message_decode (REEL_TO_WORKER, REEL_COMMAND_COUNT, shell->inbox.frames, shell->inbox.count, &shell->in,
                             &err)
        != REEL_OK) {
        reel_log (REEL_LOG_WARNING, "a message of the broker is passed over: %s", err.message);
        return;
    }
    switch (shell->in.command) {
    case REEL_ASSIGN: on_assign (shell); break;
    case REEL_ACK: on_ack (shell); break;
    case REEL_FENCED: on_fenced (shell); break;
    case REEL_WORKER_CANCEL: on_cancel (shell); break;
    case REEL_WORKER_YIELD: on_yield (shell); break;
    case REEL_WELCOME: on_welcome (shell); break;
    case REEL_BROKER_HEARTBEAT: on_heartbeat (shell); break;
    case REEL_WHO:
        /* It may answer several messages that were on their way before our READY. */
        if (shell->known)
            send_ready (shell, true);
        break;
    case REEL_WORKER_ERROR:
        reel_log (REEL_LOG_ERROR, "the broker says %.*s: %.*s", REEL_TEXT (shell->in.value[REEL_F_CODE].s),
                  REEL_TEXT (shell->in.value[REEL_F_MESSAGE].s));
        break;
    default: break;
    }
}

/* --- the connection ------------------------------------------------------------------------- */

static void
disconnect (struct shell *shell)
{
    reel_loop_unwatch (shell->loop, &shell->socket_watch);
    reel_socket_close (&shell->socket);
}

static enum reel_status
connect_to_broker (struct shell *shell, struct reel_error *err)
{
    const struct reel_socket_setup setup = {.type = ZMQ_DEALER, .linger_ms = LINGER_MS};
    size_t len = sizeof shell->socket_watch.fd;
    enum reel_status status = reel_socket_open (shell->context, &setup, &shell->socket, err);
    if (status == REEL_OK)
        status = reel_socket_connect (shell->socket, shell->setup->broker, err);
    if (status == REEL_OK
        && (zmq_getsockopt (shell->socket, ZMQ_FD, &shell->socket_watch.fd, &len) != 0
            || reel_loop_watch (shell->loop, &shell->socket_watch, EPOLLIN) != REEL_OK))
        status = reel_error_set (err, REEL_IO, "socket_failed", NULL, "the socket cannot be watched: %s",
                                 zmq_strerror (errno));
    if (status != REEL_OK)
        return status;
    shell->heard_us = reel_clock_monotonic_us ();
    send_ready (shell, true);
    return REEL_OK;
}

/* Hears nothing of the broker: perhaps the connection is dead and does not know it. */
static void
reconnect (struct shell *shell)
{
    struct reel_error err = {0};
    reel_log (REEL_LOG_WARNING, "nothing was heard from the broker at %s; connecting again", shell->setup->broker);
    disconnect (shell);
    if (connect_to_broker (shell, &err) == REEL_OK)
        return;
    shell->status = reel_error_set (shell->err, REEL_IO, err.code, NULL, "%s", err.message);
    disconnect (shell);
    drop_all (shell);
}

/* Reports that have been under way for too long are sent again. */
static void
send_again (struct shell *shell, int64_t now_us)
{
    for (struct reel_held *held = shell->leases.first; held != NULL; held = held->next) {
        if (held->dropped || held->resuming)
            continue;
        if (held->flight_count > 0 && now_us - held->flights[0].sent_us > shell->lease_ms * 500)
            rewind_report (held);
        if (held->sent < reel_run_last_index (held->drive.run))
            touch (shell, held);
    }
}

static void
beat_due (struct reel_timer *timer)
{
    struct shell *shell = timer->context;
    int64_t now_us = reel_clock_monotonic_us ();
    reel_loop_arm (shell->loop, timer, now_us + shell->heartbeat_ms * 1000);
    if (now_us - shell->heard_us > shell->lease_ms * 1000) {
        reconnect (shell);
        return;
    }
    if (!shell->known && now_us - shell->ready_us > shell->heartbeat_ms * 500)
        send_ready (shell, true);
    if (shell->known)
        send_heartbeat (shell);
    send_again (shell, now_us);
}

/* --- stopping ------------------------------------------------------------------------------- */

static void
drain_over (struct reel_timer *timer)
{
    struct shell *shell = timer->context;
    if (shell->leases.count > 0)
        reel_log (REEL_LOG_WARNING, "%zu workflows are given up: their steps did not end in %jd ms",
                  shell->leases.count, (intmax_t) shell->setup->drain_ms);
    drop_all (shell);
}

static void
start_draining (struct shell *shell)
{
    struct reel_held *next;
    reel_log (REEL_LOG_INFO, "draining: %zu workflows are under way", shell->leases.count);
    send_ready (shell, false);
    for (struct reel_held *held = shell->leases.first; held != NULL; held = next) {
        next = held->next;
        if (!held->dropped && !held->ended)
            reel_drive_yield (&held->drive);
    }
    reel_loop_arm (shell->loop, &shell->drain, reel_clock_monotonic_us () + shell->setup->drain_ms * 1000);
}

static void
stop_ready (struct reel_watch *watch, uint32_t events)
{
    (void) events;
    struct shell *shell = watch->context;
    uint8_t chunk[128]; /* as long as a struct signalfd_siginfo, so that each signal counts by itself */
    ssize_t got = read (watch->fd, chunk, sizeof chunk);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0)
        reel_loop_unwatch (shell->loop, watch);
    shell->stops++;
    if (shell->stops == 1) {
        reel_notify ("STOPPING=1");
        start_draining (shell);
        return;
    }
    /* The first dropping asks, the second does not. */
    drop_all (shell);
    drop_all (shell);
}

static void
leave (struct shell *shell)
{
    if (!shell->lost) {
        reel_message_init (&shell->out, REEL_LEAVE);
        (void) send_message (shell);
    }
    reel_loop_stop (shell->loop);
}

/* --- the turn ------------------------------------------------------------------------------- */

static void
socket_ready (struct reel_watch *watch, uint32_t events)
{
    (void) watch; /* it is read at the end of the turn */
    (void) events;
}

static bool
readable (const struct shell *shell)
{
    int events = 0;
    size_t len = sizeof events;
    return shell->socket != NULL && zmq_getsockopt (shell->socket, ZMQ_EVENTS, &events, &len) == 0
           && (events & ZMQ_POLLIN) != 0;
}

static void
read_socket (struct shell *shell)
{
    for (unsigned i = 0; i < MESSAGES_MAX && shell->socket != NULL; i++) {
        enum reel_status status = reel_socket_receive (shell->socket, &shell->inbox);
        if (status == REEL_AGAIN)
            return;
        if (status != REEL_OK) {
            reconnect (shell);
            return;
        }
        shell->heard_us = reel_clock_monotonic_us ();
        on_message (shell);
    }
}

static bool
end_turn (struct reel_turn *turn)
{
    struct shell *shell = turn->context;
    read_socket (shell);
    while (shell->touched != NULL) {
        struct reel_held *held = shell->touched;
        shell->touched = held->touched_next;
        held->touched = false;
        finish_touched (shell, held);
    }
    if (shell->confirm && shell->known)
        send_heartbeat (shell);
    if ((shell->stops > 0 || shell->status != REEL_OK) && shell->leases.count == 0)
        leave (shell);
    return readable (shell);
}

/* --- beginning and end ---------------------------------------------------------------------- */

static enum reel_status
set_up (struct shell *shell)
{
    uint64_t seed;
    reel_random_system (shell->instance, sizeof shell->instance);
    reel_random_system (&seed, sizeof seed);
    reel_random_seed (&shell->random, seed);
    enum reel_status status = reel_leases_init (&shell->leases);
    if (status == REEL_OK)
        status = reel_loop_create (&shell->loop);
    if (status != REEL_OK)
        return status;
    shell->context = zmq_ctx_new ();
    if (shell->context == NULL)
        return reel_error_set (shell->err, REEL_IO, "socket_failed", NULL, "no ZeroMQ context: %s",
                               zmq_strerror (errno));
    reel_loop_add_turn (shell->loop, &shell->turn);
    if (reel_loop_watch (shell->loop, &shell->stop_watch, EPOLLIN) != REEL_OK)
        return reel_error_set (shell->err, REEL_IO, "io", NULL, "the signals cannot be watched: %s", strerror (errno));
    status = connect_to_broker (shell, shell->err);
    if (status == REEL_OK)
        reel_loop_arm (shell->loop, &shell->beat, reel_clock_monotonic_us () + shell->heartbeat_ms * 1000);
    return status;
}

static void
tear_down (struct shell *shell)
{
    if (shell->loop != NULL) {
        reel_loop_disarm (shell->loop, &shell->beat);
        reel_loop_disarm (shell->loop, &shell->tell);
        reel_loop_disarm (shell->loop, &shell->drain);
        reel_loop_unwatch (shell->loop, &shell->stop_watch);
        reel_loop_unwatch (shell->loop, &shell->socket_watch);
    }
    reel_socket_close (&shell->socket);
    if (shell->context != NULL)
        (void) zmq_ctx_term (shell->context);
    reel_leases_free (&shell->leases);
    reel_loop_destroy (&shell->loop);
    reel_inbox_free (&shell->inbox);
    reel_buf_free (&shell->header);
    reel_buf_free (&shell->body);
}

enum reel_status
reel_worker_shell_run (const struct reel_worker_shell_setup *setup, struct reel_error *err)
{
    struct shell *shell = calloc (1, sizeof *shell);
    if (shell == NULL)
        return REEL_NO_MEMORY;
    shell->setup = setup;
    shell->err = err;
    shell->socket_watch = (struct reel_watch){.ready = socket_ready, .context = shell};
    shell->stop_watch = (struct reel_watch){.fd = setup->stop_fd, .ready = stop_ready, .context = shell};
    shell->turn = (struct reel_turn){.ended = end_turn, .context = shell};
    shell->beat = (struct reel_timer){.due = beat_due, .context = shell};
    shell->tell = (struct reel_timer){.due = tell_due, .context = shell};
    shell->drain = (struct reel_timer){.due = drain_over, .context = shell};
    shell->heartbeat_ms = REEL_HEARTBEAT_MS_DEFAULT;
    shell->lease_ms = REEL_LEASE_MS_DEFAULT;
    shell->receipt_bytes_max = REEL_RECEIPT_BYTES_MAX;
    shell->report_bytes_max = REEL_REPORT_BYTES_MAX;
    shell->receipt_depth_max = REEL_RECEIPT_DEPTH_MAX;
    reel_inbox_init (&shell->inbox);
    enum reel_status status = set_up (shell);
    if (status == REEL_OK)
        status = reel_loop_run (shell->loop);
    if (status == REEL_OK)
        status = shell->status != REEL_OK ? shell->status : shell->lost ? REEL_AGAIN : REEL_OK;
    tear_down (shell);
    free (shell);
    return status;
}
