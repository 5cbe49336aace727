/*
 * The worker's protocol.
 *
 * Messages are taken in as they come; what the runs have to say goes out at the end of the turn, one report a lease.
 * Whatever is not answered is said again: reports and READY by the beat, everything after a reconnect.
 */
#include "worker/link.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mutant.h"
#include "base/random.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "worker/leases.h"

/* Between two reports of one step's progress. */
#define TELL_MS 250
/* What a broker may ask for. */
#define HEARTBEAT_MS_MIN 5
#define TERM_MS_MAX 86400000

struct reel_link {
    struct reel_link_setup setup;
    struct reel_timer beat;  /* a heartbeat is due */
    struct reel_timer tell;  /* progress that was held back is due */
    struct reel_timer drain; /* the time of draining is over */
    struct reel_message in, out;
    struct reel_buf header, body;
    struct reel_leases leases;
    struct reel_held *touched;
    size_t active;             /* leases whose run has not ended: slots in use */
    struct reel_random random; /* seeds of the runs */
    int64_t heartbeat_ms, lease_ms;
    uint64_t receipt_bytes_max, report_bytes_max, receipt_depth_max;
    int64_t heard_us; /* monotonic */
    int64_t turn_us;  /* monotonic: the end of the last turn */
    int64_t ready_us; /* when READY was said */
    bool known;       /* READY was answered */
    bool welcomed;    /* it was once */
    bool confirm;     /* a run wants to know whether its lease is alive */
    unsigned stops;   /* how often it was told to stop */
    bool given_up;    /* there is no connection any more */
    bool lost;        /* a lease was dropped with something unreported */
};

/* --- sending ------------------------------------------------------------------------------ */

/* Sends link->out. What cannot be sent now is sent again later, by whoever waits for its answer. */
static bool
send_message (struct reel_link *link)
{
    reel_buf_clear (&link->header);
    reel_message_encode (&link->out, &link->header);
    if (reel_buf_status (&link->header) != REEL_OK)
        return false;
    return link->setup.send (link->setup.context, link->out.command, reel_buf_slice (&link->header),
                             link->out.has_document ? &link->out.document : NULL);
}

/* Sends an array of events under a lease; `index` 0: not numbered. */
static bool
send_report (struct reel_link *link, struct reel_lease lease, uint64_t index, struct reel_slice events)
{
    reel_message_init (&link->out, REEL_REPORT);
    reel_message_set_lease (&link->out, REEL_F_LEASE, lease);
    if (index == 0)
        reel_message_set_nil (&link->out, REEL_F_REPORT_INDEX);
    else
        reel_message_set_uint (&link->out, REEL_F_REPORT_INDEX, index);
    reel_message_set_document (&link->out, events);
    return send_message (link);
}

static void
send_heartbeat (struct reel_link *link)
{
    uint32_t count = 0;
    for (struct reel_held *held = link->leases.first; held != NULL; held = held->next)
        count += !held->dropped;
    reel_buf_clear (&link->body);
    reel_pack_array (&link->body, count);
    for (struct reel_held *held = link->leases.first; held != NULL; held = held->next)
        if (!held->dropped)
            reel_lease_pack (&link->body, held->id);
    reel_message_init (&link->out, REEL_WORKER_HEARTBEAT);
    reel_message_set (&link->out, REEL_F_LEASES, reel_buf_slice (&link->body));
    reel_message_set_uint (&link->out, REEL_F_SENT_US, (uint64_t) reel_clock_monotonic_us ());
    if (reel_buf_status (&link->body) == REEL_OK)
        (void) send_message (link);
    link->confirm = false;
}

/* Names every lease, so that the broker says of each how far it is. */
static void
add_resume (struct reel_link *link)
{
    uint32_t count = 0;
    for (struct reel_held *held = link->leases.first; held != NULL; held = held->next)
        count += !held->dropped;
    size_t at = link->body.len;
    reel_pack_array (&link->body, count);
    for (struct reel_held *held = link->leases.first; held != NULL; held = held->next) {
        if (held->dropped)
            continue;
        reel_pack_array (&link->body, 2);
        reel_lease_pack (&link->body, held->id);
        reel_pack_uint (&link->body, held->sent);
        held->resuming = true;
    }
    if (count > 0 && !link->body.failed)
        reel_message_set (&link->out, REEL_F_RESUMED, reel_slice (link->body.data + at, link->body.len - at));
}

static void
send_ready (struct reel_link *link, bool resume)
{
    struct reel_buf modalities = {0}, dispatch = {0};
    reel_registry_pack_modalities (link->setup.registry, &modalities);
    reel_registry_pack_dispatch (link->setup.registry, &dispatch);
    reel_buf_clear (&link->body);
    reel_message_init (&link->out, REEL_READY);
    reel_message_set_text (&link->out, REEL_F_NAME, link->setup.name);
    reel_message_set (&link->out, REEL_F_INSTANCE, reel_slice (link->setup.instance, sizeof link->setup.instance));
    reel_message_set_uint (&link->out, REEL_F_SLOTS, link->stops > 0 ? 0 : link->setup.slots);
    reel_message_set (&link->out, REEL_F_MODALITIES, reel_buf_slice (&modalities));
    reel_message_set (&link->out, REEL_F_DISPATCH, reel_buf_slice (&dispatch));
    if (resume)
        add_resume (link);
    if (!modalities.failed && !dispatch.failed && !link->body.failed)
        (void) send_message (link);
    link->known = false;
    link->ready_us = reel_clock_monotonic_us ();
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
touch (struct reel_link *link, struct reel_held *held)
{
    if (held->touched)
        return;
    held->touched = true;
    held->touched_next = link->touched;
    link->touched = held;
}

/* Ends what runs under a lease; nothing more is said of it. */
static void
drop (struct reel_link *link, struct reel_held *held)
{
    if (!held->dropped && !held->ended)
        link->active--;
    held->dropped = true;
    reel_drive_drop (&held->drive);
    touch (link, held);
}

static void
drop_all (struct reel_link *link)
{
    for (struct reel_held *held = link->leases.first; held != NULL; held = held->next) {
        link->lost |= !held->dropped;
        drop (link, held);
    }
}

/* Everything that is not acknowledged is to be sent again. What was under way becomes one flight that was sent when the
 * first of it was: that may be the one that is answered. */
static void
rewind_report (struct reel_held *held)
{
    held->sent = REEL_MUTANT_IS (37) ? held->sent : held->acked;
    if (held->flight_count > 1)
        held->flights[0].index = held->flights[held->flight_count - 1].index;
    held->flight_count = held->flight_count > 0 && !REEL_MUTANT_IS (38);
}

/* Sends what is new, as far as the broker has answered for what was sent before. */
static void
report (struct reel_link *link, struct reel_held *held)
{
    uint64_t last = reel_run_last_index (held->drive.run);
    while (!held->resuming && held->sent < last && held->flight_count < REEL_FLIGHTS_MAX) {
        uint32_t count = 0;
        reel_buf_clear (&link->body);
        if (reel_run_outbox (held->drive.run, held->sent + 1, link->report_bytes_max, &link->body, &count) != REEL_OK)
            return;
        int64_t now_us = reel_clock_monotonic_us ();
        if (!send_report (link, held->id, held->sent + 1, reel_buf_slice (&link->body)))
            return;
        held->sent += count;
        if (held->flight_count == 0 || held->flights[held->flight_count - 1].index < held->sent)
            held->flights[held->flight_count++] = (struct reel_flight){held->sent, now_us};
    }
}

static void
finish_touched (struct reel_link *link, struct reel_held *held)
{
    bool over = held->dropped || (held->ended && reel_run_outbox_empty (held->drive.run));
    if (!over)
        report (link, held);
    else if (reel_drive_idle (&held->drive))
        reel_leases_remove (&link->leases, held);
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
    ((struct reel_link *) drive->context)->confirm = true;
}

static void
send_told (struct reel_link *link, struct reel_held *held, int64_t now_us)
{
    reel_buf_clear (&link->body);
    reel_pack_array (&link->body, 1);
    reel_buf_add_slice (&link->body, reel_buf_slice (&held->told));
    if (!link->body.failed && !held->told.failed && !held->resuming)
        (void) send_report (link, held->id, 0, reel_buf_slice (&link->body));
    reel_buf_clear (&held->told);
    held->told_us = now_us;
}

/* Progress is thinned: at once if the last one was a while ago, else the newest when it was. */
static void
on_tell (struct reel_drive *drive, struct reel_slice event)
{
    struct reel_link *link = drive->context;
    struct reel_held *held = held_of (drive);
    int64_t now_us = reel_clock_monotonic_us ();
    reel_buf_clear (&held->told);
    reel_buf_add_slice (&held->told, event);
    if (now_us - held->told_us >= TELL_MS * 1000)
        send_told (link, held, now_us);
    else if (!link->tell.armed)
        reel_loop_arm (link->setup.loop, &link->tell, held->told_us + TELL_MS * 1000);
}

static void
tell_due (struct reel_timer *timer)
{
    struct reel_link *link = timer->context;
    int64_t now_us = reel_clock_monotonic_us (), next_us = INT64_MAX;
    for (struct reel_held *held = link->leases.first; held != NULL; held = held->next) {
        if (held->dropped || held->told.len == 0)
            continue;
        int64_t due_us = held->told_us + TELL_MS * 1000;
        if (due_us <= now_us)
            send_told (link, held, now_us);
        else if (due_us < next_us)
            next_us = due_us;
    }
    if (next_us != INT64_MAX)
        reel_loop_arm (link->setup.loop, &link->tell, next_us);
}

static void
on_ended (struct reel_drive *drive)
{
    struct reel_link *link = drive->context;
    struct reel_held *held = held_of (drive);
    held->ended = true;
    link->active--;
    touch (link, held);
}

static void
on_idle (struct reel_drive *drive)
{
    touch (drive->context, held_of (drive));
}

static void
on_broken (struct reel_drive *drive)
{
    struct reel_link *link = drive->context;
    struct reel_held *held = held_of (drive);
    if (held->dropped)
        return;
    reel_log (REEL_LOG_ERROR, "out of memory: lease %ju is given up", (uintmax_t) held->id.counter);
    link->lost = true;
    drop (link, held);
}

/* --- ASSIGN ------------------------------------------------------------------------------- */

/* Gives a workflow back that cannot be taken: the broker hears at once what it would else learn from an expired
 * lease. */
static void
refuse_assignment (struct reel_link *link, const char *why)
{
    struct reel_lease lease = link->in.value[REEL_F_LEASE].lease;
    reel_log (REEL_LOG_WARNING, "workflow %.*s is given back: %s", REEL_TEXT (link->in.value[REEL_F_WORKFLOW_ID].s),
              why);
    reel_buf_clear (&link->body);
    reel_pack_array (&link->body, 1);
    reel_message_init (&link->out, REEL_REPORTED_YIELDED);
    reel_message_set_uint (&link->out, REEL_F_AT_US, (uint64_t) reel_clock_wall_us ());
    reel_message_encode (&link->out, &link->body);
    if (reel_buf_status (&link->body) == REEL_OK)
        (void) send_report (link, lease, 1, reel_buf_slice (&link->body));
}

static enum reel_status
make_run (struct reel_link *link, struct reel_run **run, struct reel_error *err)
{
    const struct reel_message *in = &link->in;
    struct reel_run_setup setup = {
        .document = in->document,
        .flags = REEL_WORKFLOW_GROWN, /* as it stands: receipts and all */
        .workflow_id = in->value[REEL_F_WORKFLOW_ID].s,
        .delivery = in->value[REEL_F_DELIVERY].u > UINT32_MAX ? UINT32_MAX : (uint32_t) in->value[REEL_F_DELIVERY].u,
        .lease_ms = link->lease_ms,
        .receipt_bytes_max = link->receipt_bytes_max,
        .receipt_depth_max = (unsigned) link->receipt_depth_max,
        .route = reel_registry_route,
        .hook = reel_registry_hook,
        .registry = link->setup.registry,
    };
    if (reel_message_has (in, REEL_F_PROVENANCE))
        setup.provenance = in->value[REEL_F_PROVENANCE].s;
    if (reel_message_has (in, REEL_F_CHECKPOINT))
        setup.checkpoint = in->value[REEL_F_CHECKPOINT].s;
    if (reel_message_has (in, REEL_F_ATTEMPTS))
        setup.attempts = (uint32_t) in->value[REEL_F_ATTEMPTS].u;
    setup.seed = reel_random_next (&link->random);
    return reel_run_create (&setup, run, err);
}

static void
on_assign (struct reel_link *link)
{
    struct reel_lease lease = link->in.value[REEL_F_LEASE].lease;
    struct reel_error err = {0};
    struct reel_run *run = NULL;
    if (reel_leases_find (&link->leases, lease) != NULL)
        return;
    if (link->stops > 0) {
        refuse_assignment (link, "this worker is draining");
        return;
    }
    if (!link->welcomed) {
        refuse_assignment (link, "it is not known yet for how long a lease lives");
        return;
    }
    if (link->active >= link->setup.slots || link->leases.count >= REEL_LEASES_MAX) {
        refuse_assignment (link, "no slot is free");
        return;
    }
    enum reel_status status = make_run (link, &run, &err);
    if (status != REEL_OK) {
        refuse_assignment (link, status == REEL_INVALID ? err.message : "out of memory");
        return;
    }
    struct reel_held *held = reel_leases_add (&link->leases, lease);
    if (held == NULL) {
        reel_run_destroy (&run);
        refuse_assignment (link, "out of memory");
        return;
    }
    link->active++;
    held->since_us = reel_clock_monotonic_us ();
    held->told_us = held->since_us - TELL_MS * 1000;
    held->drive.loop = link->setup.loop;
    held->drive.registry = link->setup.registry;
    held->drive.run = run;
    held->drive.send = on_send;
    held->drive.confirm = on_confirm;
    held->drive.tell = on_tell;
    held->drive.ended = on_ended;
    held->drive.broken = on_broken;
    held->drive.idle = on_idle;
    held->drive.turn_us = &link->turn_us;
    held->drive.context = link;
    reel_log (REEL_LOG_DEBUG, "workflow %.*s is begun, delivery %ju", REEL_TEXT (link->in.value[REEL_F_WORKFLOW_ID].s),
              (uintmax_t) link->in.value[REEL_F_DELIVERY].u);
    reel_drive_begin (&held->drive);
}

/* --- what else the broker says -------------------------------------------------------------- */

static struct reel_held *
find_held (struct reel_link *link)
{
    struct reel_held *held = reel_leases_find (&link->leases, link->in.value[REEL_F_LEASE].lease);
    return held == NULL || held->dropped ? NULL : held;
}

static void
on_ack (struct reel_link *link)
{
    struct reel_held *held = find_held (link);
    const struct reel_field_value *value = &link->in.value[REEL_F_REPORT_INDEX];
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
    touch (link, held);
    if (answered > 0 && !held->ended)
        reel_drive_confirmed (&held->drive, confirmed_us);
    reel_drive_acked (&held->drive, held->acked);
}

static void
on_fenced (struct reel_link *link)
{
    struct reel_held *held = find_held (link);
    if (held == NULL || REEL_MUTANT_IS (39))
        return;
    struct reel_slice message = REEL_SLICE_NONE;
    if (reel_message_has (&link->in, REEL_F_ERROR) && reel_scan_type (link->in.value[REEL_F_ERROR].s) == REEL_MAP)
        (void) reel_scan_find_str (link->in.value[REEL_F_ERROR].s, "message", &message);
    reel_log (REEL_LOG_WARNING, "lease %ju is not ours any more%s%.*s", (uintmax_t) held->id.counter,
              message.len > 0 ? ": " : "", REEL_TEXT (message));
    drop (link, held);
}

static void
on_cancel (struct reel_link *link)
{
    struct reel_held *held = find_held (link);
    if (held != NULL)
        reel_drive_cancel (&held->drive);
}

static void
on_yield (struct reel_link *link)
{
    struct reel_held *held = find_held (link);
    if (held != NULL)
        reel_drive_yield (&held->drive);
}

/* A time that can be lived with, whatever the broker says. */
static int64_t
within (uint64_t ms, int64_t ms_min)
{
    return ms < (uint64_t) ms_min ? ms_min : ms > TERM_MS_MAX ? TERM_MS_MAX : (int64_t) ms;
}

/* What this broker takes, and no more than we ever send. One before it may have taken less. */
static uint64_t
limit (struct reel_slice limits, const char *name, uint64_t most)
{
    uint64_t number;
    if (!reel_scan_find_uint (limits, name, &number) || number > most)
        return most;
    return number > 0 ? number : 1;
}

static void
on_welcome (struct reel_link *link)
{
    const struct reel_message *in = &link->in;
    struct reel_slice limits = in->value[REEL_F_LIMITS].s;
    link->known = true;
    if (!link->welcomed)
        link->setup.welcomed (link->setup.context);
    link->welcomed = true;
    link->heartbeat_ms = within (in->value[REEL_F_HEARTBEAT_MS].u, HEARTBEAT_MS_MIN);
    link->lease_ms = within (in->value[REEL_F_LEASE_MS].u, 2 * HEARTBEAT_MS_MIN);
    link->receipt_bytes_max = limit (limits, "receipt_bytes", REEL_RECEIPT_BYTES_MAX);
    link->report_bytes_max = limit (limits, "report_bytes", REEL_REPORT_BYTES_MAX);
    link->receipt_depth_max = limit (limits, "depth", REEL_RECEIPT_DEPTH_MAX);
    for (struct reel_held *held = link->leases.first; held != NULL; held = held->next)
        reel_run_set_terms (held->drive.run, link->lease_ms, link->receipt_bytes_max,
                            (unsigned) link->receipt_depth_max);
    reel_loop_arm (link->setup.loop, &link->beat, reel_clock_monotonic_us () + link->heartbeat_ms * 1000);
    reel_log (REEL_LOG_INFO, "the broker knows us (epoch %ju)", (uintmax_t) in->value[REEL_F_EPOCH].u);
}

/* The broker has taken note of every lease that our heartbeat named and that was not FENCED before. */
static void
on_heartbeat (struct reel_link *link)
{
    int64_t sent_us = (int64_t) link->in.value[REEL_F_SENT_US].u;
    struct reel_held *next;
    for (struct reel_held *held = link->leases.first; held != NULL; held = next) {
        next = held->next;
        if (!held->dropped && !held->ended && held->since_us <= sent_us)
            reel_drive_confirmed (&held->drive, sent_us);
    }
}

void
reel_link_message (struct reel_link *link, const struct reel_slice *frames, size_t count)
{
    struct reel_error err = {0};
    link->heard_us = reel_clock_monotonic_us ();
    if (reel_message_decode (REEL_TO_WORKER, REEL_COMMAND_COUNT, frames, count, &link->in, &err) != REEL_OK) {
        reel_log (REEL_LOG_WARNING, "a message of the broker is passed over: %s", err.message);
        return;
    }
    switch (link->in.command) {
    case REEL_ASSIGN: on_assign (link); break;
    case REEL_ACK: on_ack (link); break;
    case REEL_FENCED: on_fenced (link); break;
    case REEL_WORKER_CANCEL: on_cancel (link); break;
    case REEL_WORKER_YIELD: on_yield (link); break;
    case REEL_WELCOME: on_welcome (link); break;
    case REEL_BROKER_HEARTBEAT: on_heartbeat (link); break;
    case REEL_WHO:
        /* It may answer several messages that were on their way before our READY. */
        if (link->known)
            send_ready (link, true);
        break;
    case REEL_WORKER_ERROR:
        reel_log (REEL_LOG_ERROR, "the broker says %.*s: %.*s", REEL_TEXT (link->in.value[REEL_F_CODE].s),
                  REEL_TEXT (link->in.value[REEL_F_MESSAGE].s));
        break;
    default: break;
    }
}

/* --- the connection ------------------------------------------------------------------------- */

void
reel_link_connected (struct reel_link *link)
{
    int64_t now_us = reel_clock_monotonic_us ();
    link->heard_us = now_us;
    if (!link->beat.armed)
        reel_loop_arm (link->setup.loop, &link->beat, now_us + link->heartbeat_ms * 1000);
    send_ready (link, true);
}

/* Reports that have been under way for too long are sent again, twice a lease at most: whoever does not read them must not
 * find more and more of them. */
static void
send_again (struct reel_link *link, int64_t now_us)
{
    for (struct reel_held *held = link->leases.first; held != NULL; held = held->next) {
        if (held->dropped || held->resuming)
            continue;
        if (held->flight_count > 0 && now_us - held->flights[0].sent_us > link->lease_ms * 500
            && now_us - held->rewound_us > link->lease_ms * 500) {
            rewind_report (held);
            held->rewound_us = now_us;
        }
        if (held->sent < reel_run_last_index (held->drive.run))
            touch (link, held);
    }
}

/* This process was stopped: each run has to know of it before it begins anything. */
static void
look_all (struct reel_link *link)
{
    struct reel_held *next;
    for (struct reel_held *held = link->leases.first; held != NULL; held = next) {
        next = held->next;
        if (!held->ended)
            reel_drive_look (&held->drive);
    }
}

/* Has READY been answered, for every lease that it named? */
static bool
ready_is_answered (const struct reel_link *link)
{
    bool answered = link->known;
    for (const struct reel_held *held = link->leases.first; held != NULL && answered; held = held->next)
        answered = !held->resuming || held->dropped;
    return answered;
}

static void
beat_due (struct reel_timer *timer)
{
    struct reel_link *link = timer->context;
    int64_t now_us = reel_clock_monotonic_us ();
    reel_loop_arm (link->setup.loop, timer, now_us + link->heartbeat_ms * 1000);
    if (now_us - link->turn_us >= link->lease_ms * 1000)
        look_all (link);
    if (now_us - link->heard_us > link->lease_ms * 1000) {
        link->setup.silent (link->setup.context);
        return;
    }
    if (!ready_is_answered (link) && now_us - link->ready_us > link->heartbeat_ms * 500)
        send_ready (link, true);
    if (link->known)
        send_heartbeat (link);
    send_again (link, now_us);
}

/* --- stopping ------------------------------------------------------------------------------- */

static void
drain_over (struct reel_timer *timer)
{
    struct reel_link *link = timer->context;
    if (link->leases.count > 0)
        reel_log (REEL_LOG_WARNING, "%zu workflows are given up: their steps did not end in %jd ms", link->leases.count,
                  (intmax_t) link->setup.drain_ms);
    drop_all (link);
}

static void
start_draining (struct reel_link *link)
{
    struct reel_held *next;
    reel_log (REEL_LOG_INFO, "draining: %zu workflows are under way", link->leases.count);
    send_ready (link, false);
    for (struct reel_held *held = link->leases.first; held != NULL; held = next) {
        next = held->next;
        if (!held->dropped && !held->ended)
            reel_drive_yield (&held->drive);
    }
    reel_loop_arm (link->setup.loop, &link->drain, reel_clock_monotonic_us () + link->setup.drain_ms * 1000);
}

void
reel_link_stop (struct reel_link *link)
{
    link->stops++;
    if (link->stops == 1) {
        start_draining (link);
        return;
    }
    /* The first dropping asks, the second does not. */
    drop_all (link);
    drop_all (link);
}

void
reel_link_give_up (struct reel_link *link)
{
    link->given_up = true;
    reel_loop_disarm (link->setup.loop, &link->beat);
    drop_all (link);
}

bool
reel_link_lost (const struct reel_link *link)
{
    return link->lost;
}

/* --- the turn ------------------------------------------------------------------------------- */

bool
reel_link_end_turn (struct reel_link *link)
{
    while (link->touched != NULL) {
        struct reel_held *held = link->touched;
        link->touched = held->touched_next;
        held->touched = false;
        finish_touched (link, held);
    }
    if (link->confirm && link->known)
        send_heartbeat (link);
    link->turn_us = reel_clock_monotonic_us ();
    if ((link->stops == 0 && !link->given_up) || link->leases.count > 0)
        return false;
    if (!link->lost) {
        reel_message_init (&link->out, REEL_LEAVE);
        (void) send_message (link);
    }
    return true;
}

/* --- beginning and end ---------------------------------------------------------------------- */

enum reel_status
reel_link_create (const struct reel_link_setup *setup, struct reel_link **out)
{
    struct reel_link *link = calloc (1, sizeof *link);
    if (link == NULL)
        return REEL_NO_MEMORY;
    link->setup = *setup;
    link->turn_us = reel_clock_monotonic_us ();
    link->beat = (struct reel_timer){.due = beat_due, .context = link};
    link->tell = (struct reel_timer){.due = tell_due, .context = link};
    link->drain = (struct reel_timer){.due = drain_over, .context = link};
    link->heartbeat_ms = REEL_HEARTBEAT_MS_DEFAULT;
    link->lease_ms = REEL_LEASE_MS_DEFAULT;
    link->receipt_bytes_max = REEL_RECEIPT_BYTES_MAX;
    link->report_bytes_max = REEL_REPORT_BYTES_MAX;
    link->receipt_depth_max = REEL_RECEIPT_DEPTH_MAX;
    reel_random_seed (&link->random, setup->seed);
    if (reel_leases_init (&link->leases) != REEL_OK) {
        free (link);
        return REEL_NO_MEMORY;
    }
    *out = link;
    return REEL_OK;
}

void
reel_link_destroy (struct reel_link **slot)
{
    struct reel_link *link = *slot;
    *slot = NULL;
    if (link == NULL)
        return;
    reel_loop_disarm (link->setup.loop, &link->beat);
    reel_loop_disarm (link->setup.loop, &link->tell);
    reel_loop_disarm (link->setup.loop, &link->drain);
    reel_leases_free (&link->leases);
    reel_buf_free (&link->header);
    reel_buf_free (&link->body);
    free (link);
}
