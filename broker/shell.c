/*
 * The loop: wait; read the clock once; pass on what the journal has made durable; take in a bounded run
 * of messages; let the core decide; give the journal the next batch as soon as it is free (rounds.c).
 */
#include "broker/shell.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mutant.h"
#include "base/random.h"
#include "broker/commit.h"
#include "broker/recovery.h"
#include "broker/rounds.h"
#include "cli/notify.h"
#include "net/door.h"
#include "net/socket.h"
#include "proto/scan.h"

/* Messages of one turn. The workers' are read up to the last one if at all possible: see keep_time(). */
#define CLIENT_MESSAGES_MAX 512
#define WORKER_MESSAGES_MAX 4096
/* And bytes: what is read and refused fills no batch, but takes its time. */
#define CLIENT_BYTES_MAX ((size_t) 1 << 20)
#define WORKER_BYTES_MAX ((size_t) 16 << 20)
/* And time: what is asked may take little to say and much to answer, and whoever comes next waits for the whole turn. */
#define CLIENT_US_MAX 10000
#define SUBSCRIPTIONS_MAX 64

#define WORKER_FRAME_BYTES_MAX (2u * REEL_REPORT_BYTES_MAX)
#define SUBSCRIPTION_BYTES_MAX 4096
/* Of one client, read ahead: they may be as large as REEL_REQUEST_FRAME_BYTES_MAX. */
#define CLIENT_WAITING_MAX 256
#define CLOSE_LINGER_MS 1000
/* Who takes nothing for so long gives up what waits for it, with its connection. */
#define UNREAD_MS 60000
/* How long requests are answered `draining` at least, and at most, however many come. */
#define DRAIN_US_MIN 50000
#define DRAIN_US_MAX 1000000
#define CONTEXT_SOCKETS_MAX 16
/* Of what the others leave, a peer for whom something waits may have one part of so many. */
#define PEER_PARTS 4

#define BEAT_US 1000000
#define PAUSE_US_MAX 1000000
/* When so many fewer are connected than there were, their memory is given back. */
#define TRIM_CONNECTIONS 64
#define TRIM_CONNECTIONS_REST 8 /* and they were the most of them */

enum { CLIENT, WORKER, EVENTS, SOCKET_COUNT };

/* What is waited for: always, up to the doors; then the client socket; then the rest. */
enum { JOURNAL, SIGNALS, DOORS, SOCKETS = DOORS + SOCKET_COUNT, WATCHED_COUNT = SOCKETS + SOCKET_COUNT };

struct reel_shell {
    void *context;
    void *sockets[SOCKET_COUNT];
    char endpoints[SOCKET_COUNT][REEL_ENDPOINT_BYTES];
    struct reel_door doors[SOCKET_COUNT];
    struct reel_backlog *backlogs[SOCKET_COUNT];
    struct pollfd watched[WATCHED_COUNT];
    int signals;
    struct reel_inbox inbox;
    struct reel_core *core;
    struct reel_journal *journal; /* until its thread has it */
    struct reel_commit *commit;
    struct reel_rounds rounds;
    struct reel_shell_stats stats;

    int64_t wake_us; /* in the core's time */
    int64_t beat_us; /* in the clock's */
    bool eager;      /* there may be more to do without waiting */
    bool stopping;
    int64_t stopping_us;       /* since when, in the clock's time */
    bool crowded;              /* connections are being refused */
    uint64_t connections_most; /* since memory was given back */
    unsigned trims;            /* how often it is to be given back yet, a beat between */
    bool disk_low;
    char *data;
    uint64_t epoch;
};

/* --- going out ------------------------------------------------------------------------------- */

/* What goes to one peer. */
struct parcel {
    struct reel_slice peer, header, document;
    bool delimiter, has_document;
    enum reel_command command;
};

static enum reel_status
send_parcel (struct reel_shell *shell, int socket, const struct parcel *parcel)
{
    return reel_socket_send_message (shell->sockets[socket], shell->backlogs[socket], parcel->peer, parcel->delimiter,
                                     parcel->command, parcel->header, parcel->has_document ? &parcel->document : NULL);
}

static bool
has_room (const struct reel_shell *shell, const struct parcel *parcel)
{
    return parcel->header.len + parcel->document.len
           <= reel_backlog_room (shell->backlogs[CLIENT], parcel->peer, PEER_PARTS);
}

/* Whoever reads `overloaded` must be able to take it that nothing happened. */
static bool
is_reading (enum reel_command answer)
{
    return answer == REEL_OK_GET || answer == REEL_OK_RECEIPT || answer == REEL_OK_LIST || answer == REEL_OK_EVENTS
           || answer == REEL_OK_WORKERS || answer == REEL_OK_STATS || answer == REEL_OK_PING
           || answer == REEL_OK_BACKUP;
}

/* Answers `overloaded` in place of what there is no room for. REEL_AGAIN: there is none for that either. */
static enum reel_status
refuse (struct reel_shell *shell, const struct parcel *parcel)
{
    struct reel_message error;
    struct reel_slice request_id;
    struct reel_buf header = {0};
    if (!is_reading (parcel->command))
        return REEL_AGAIN;
    reel_message_init (&error, REEL_CLIENT_ERROR);
    if (reel_scan_find (parcel->header, reel_slice_text ("request_id"), &request_id))
        reel_message_set (&error, REEL_F_REQUEST_ID, request_id);
    reel_message_set_text (&error, REEL_F_CODE, "overloaded");
    reel_message_set_text (&error, REEL_F_MESSAGE,
                           "too much waits already to be read (waiting-bytes-max); read on, and try later");
    reel_message_encode (&error, &header);
    const struct parcel refusal = {.peer = parcel->peer,
                                   .header = reel_buf_slice (&header),
                                   .delimiter = parcel->delimiter,
                                   .command = REEL_CLIENT_ERROR};
    enum reel_status status = reel_buf_status (&header);
    if (status == REEL_OK)
        status = has_room (shell, &refusal) ? send_parcel (shell, CLIENT, &refusal) : REEL_AGAIN;
    shell->stats.refused_waiting_bytes += status == REEL_OK;
    reel_buf_free (&header);
    return status;
}

static enum reel_status
send_one (struct reel_shell *shell, const struct reel_effects *effects, const struct reel_send *send)
{
    bool to_worker = send->socket == REEL_SOCKET_WORKER;
    const struct parcel parcel = {.peer = reel_effects_slice (effects, send->peer),
                                  .header = reel_effects_slice (effects, send->header),
                                  .document = reel_effects_slice (effects, send->document),
                                  .delimiter = send->delimiter,
                                  .has_document = send->has_document,
                                  .command = send->command};
    /* Workers are given no work that there is no room for: see worker_has_room(). */
    enum reel_status status = to_worker                   ? send_parcel (shell, WORKER, &parcel)
                              : has_room (shell, &parcel) ? send_parcel (shell, CLIENT, &parcel)
                                                          : refuse (shell, &parcel);
    if (status != REEL_NOT_FOUND && status != REEL_AGAIN)
        return status;
    /* It is gone, or does not read: whoever did not get an answer asks again. */
    shell->stats.dropped++;
    if (to_worker)
        reel_core_unroutable (shell->core, parcel.peer);
    return REEL_OK;
}

static bool
worker_has_room (void *context, struct reel_slice peer)
{
    const struct reel_shell *shell = context;
    return reel_backlog_room (shell->backlogs[WORKER], peer, PEER_PARTS) > 0;
}

static enum reel_status
publish (struct reel_shell *shell, struct reel_slice topic, struct reel_slice body)
{
    const struct reel_slice frames[] = {topic, body};
    bool full;
    enum reel_status status = reel_socket_publish (shell->sockets[EVENTS], shell->backlogs[EVENTS], frames, 2, &full);
    shell->stats.subscriber_full += full;
    return status;
}

static enum reel_status
send_all (struct reel_shell *shell, const struct reel_effects *effects)
{
    enum reel_status status = REEL_OK;
    for (size_t i = 0; i < effects->send_count && status == REEL_OK; i++)
        status = send_one (shell, effects, &effects->sends[i]);
    return status;
}

static enum reel_status
publish_all (struct reel_shell *shell, const struct reel_effects *effects)
{
    enum reel_status status = REEL_OK;
    for (size_t i = 0; i < effects->publish_count && status == REEL_OK; i++) {
        const struct reel_publish *next = &effects->publishes[REEL_MUTANT_IS (3) ? effects->publish_count - 1 - i : i];
        status = publish (shell, reel_effects_slice (effects, next->topic), reel_effects_body (effects, next));
    }
    return status;
}

/* Everything in it is durable. */
static enum reel_status
send_out (void *context, const struct reel_effects *effects)
{
    struct reel_shell *shell = context;
    enum reel_status status = send_all (shell, effects);
    shell->eager = true;
    return status == REEL_OK ? publish_all (shell, effects) : status;
}

static void
hand (void *context, struct reel_batch *batch)
{
    struct reel_shell *shell = context;
    if (REEL_MUTANT_IS (1) && send_all (shell, &batch->effects) == REEL_OK)
        batch->effects.send_count = 0;
    if (REEL_MUTANT_IS (2) && publish_all (shell, &batch->effects) == REEL_OK)
        batch->effects.publish_count = 0;
    reel_commit_hand (shell->commit, batch);
}

/* A system that does not say how much is free is taken at its last word. */
static void
look_at_disk (struct reel_shell *shell)
{
    struct statvfs disk;
    if (statvfs (shell->data, &disk) != 0)
        return;
    shell->stats.disk_free_bytes = (uint64_t) disk.f_bavail * disk.f_frsize;
    /* What was removed from the journal is room for what comes, though its file does not shrink. */
    bool low = !reel_journal_has_room (shell->stats.disk_free_bytes, shell->stats.journal_free_bytes,
                                       shell->stats.disk_reserve_bytes);
    if (low != shell->disk_low)
        reel_log (REEL_LOG_WARNING, "%s: %llu bytes are free on its disk: %s", shell->data,
                  (unsigned long long) shell->stats.disk_free_bytes,
                  low ? "no workflow is accepted" : "workflows are accepted again");
    shell->disk_low = low;
    reel_core_disk_low (shell->core, low);
}

/* Takes back what the journal has done. */
static enum reel_status
settle (struct reel_shell *shell, struct reel_error *err)
{
    struct reel_batch *done;
    enum reel_status status = reel_commit_take (shell->commit, &done, err);
    if (status != REEL_OK)
        return status == REEL_AGAIN ? REEL_OK : status;
    shell->stats.commits += done->effects.records.len > 0;
    shell->stats.journal_bytes = done->journal_bytes;
    shell->stats.journal_free_bytes = done->journal_free_bytes;
    /* A flood fills in less than a beat what is to stay free. That there is room again may wait for one. */
    if (done->effects.records.len > 0 && !shell->disk_low)
        look_at_disk (shell);
    return reel_rounds_settle (&shell->rounds, done);
}

static uint64_t
all_connections (const struct reel_shell *shell)
{
    return shell->stats.client_connections + shell->stats.worker_connections + shell->stats.event_connections;
}

/* What many connections needed is free once they are gone, but in pieces that the C library keeps. */
static void
give_back_memory (struct reel_shell *shell)
{
    uint64_t connections = all_connections (shell);
    uint64_t gone = shell->connections_most - connections;
    if (gone >= TRIM_CONNECTIONS || (gone >= TRIM_CONNECTIONS_REST && gone > connections)) {
        shell->connections_most = connections;
        shell->trims = 2; /* and a beat later, when libzmq has let go of the last one, too */
    }
    if (shell->trims == 0)
        return;
    (void) malloc_trim (0);
    shell->trims--;
}

static enum reel_status
beat (struct reel_shell *shell)
{
    if (shell->rounds.clock_us < shell->beat_us)
        return REEL_OK;
    shell->beat_us = shell->rounds.clock_us + BEAT_US;
    look_at_disk (shell);
    give_back_memory (shell);
    struct reel_message message;
    struct reel_buf body = {0};
    reel_message_init (&message, REEL_EVENT_BEAT);
    reel_message_set_uint (&message, REEL_F_SEQ, shell->rounds.last_seq);
    reel_message_set_uint (&message, REEL_F_EPOCH, shell->epoch);
    reel_message_set_uint (&message, REEL_F_AT_US, (uint64_t) shell->rounds.now.wall_us);
    reel_message_encode (&message, &body);
    enum reel_status status = reel_buf_status (&body);
    if (status == REEL_OK)
        status = publish (shell, reel_slice_text ("beat"), reel_buf_slice (&body));
    reel_buf_free (&body);
    return status;
}

/* --- coming in ------------------------------------------------------------------------------- */

static enum reel_status
take_in (struct reel_shell *shell, enum reel_socket socket)
{
    const struct reel_inbox *inbox = &shell->inbox;
    bool delimiter = socket == REEL_SOCKET_CLIENT && inbox->count > 1 && inbox->frames[1].len == 0;
    size_t envelope = delimiter ? 2 : 1;
    struct reel_core_frames frames = {.socket = socket,
                                      .peer = inbox->frames[0],
                                      .delimiter = delimiter,
                                      .list = inbox->frames + envelope,
                                      .count = inbox->count - envelope};
    return reel_core_message (shell->core, shell->rounds.now, &frames, &shell->rounds.pending->effects);
}

static size_t
inbox_bytes (const struct reel_inbox *inbox)
{
    size_t bytes = 0;
    for (size_t i = 0; i < inbox->count; i++)
        bytes += inbox->frames[i].len;
    return bytes;
}

/* REEL_AGAIN: all that was there is read; REEL_OK: there may be more. */
static enum reel_status
drain (struct reel_shell *shell, enum reel_socket socket, size_t messages_max)
{
    bool of_workers = socket == REEL_SOCKET_WORKER;
    bool (*is_full) (const struct reel_rounds *rounds) = of_workers ? reel_rounds_full_of_workers : reel_rounds_full;
    void *from = shell->sockets[of_workers ? WORKER : CLIENT];
    size_t bytes = 0, bytes_max = of_workers ? WORKER_BYTES_MAX : CLIENT_BYTES_MAX;
    int64_t end_us = of_workers ? INT64_MAX : reel_clock_monotonic_us () + CLIENT_US_MAX;
    enum reel_status status = of_workers || REEL_MUTANT_IS (84) ? REEL_OK : reel_socket_look (from);
    for (size_t i = 0; i < messages_max && bytes < bytes_max && status == REEL_OK && !is_full (&shell->rounds)
                       && reel_clock_monotonic_us () < end_us;
         i++) {
        status = reel_socket_receive (from, &shell->inbox);
        bytes += status == REEL_OK ? inbox_bytes (&shell->inbox) : 0;
        if (status == REEL_OK)
            status = take_in (shell, socket);
    }
    return status;
}

/* Subscribing is between a subscriber and its socket; here it is only counted. */
static enum reel_status
drain_subscriptions (struct reel_shell *shell)
{
    enum reel_status status = REEL_OK;
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX && status == REEL_OK; i++) {
        status = reel_socket_receive (shell->sockets[EVENTS], &shell->inbox);
        struct reel_slice frame = status == REEL_OK ? shell->inbox.frames[0] : REEL_SLICE_NONE;
        if (frame.len > 0 && frame.data[0] == 1)
            shell->stats.subscribers++;
        else if (frame.len > 0 && frame.data[0] == 0 && shell->stats.subscribers > 0)
            shell->stats.subscribers--;
    }
    return status;
}

static enum reel_status
receive (struct reel_shell *shell)
{
    enum reel_status worker = drain (shell, REEL_SOCKET_WORKER, WORKER_MESSAGES_MAX);
    shell->rounds.all_heard = worker == REEL_AGAIN;
    if (worker != REEL_OK && worker != REEL_AGAIN)
        return worker;
    enum reel_status client = drain (shell, REEL_SOCKET_CLIENT, CLIENT_MESSAGES_MAX);
    if (client != REEL_OK && client != REEL_AGAIN)
        return client;
    enum reel_status events = drain_subscriptions (shell);
    if (events != REEL_OK && events != REEL_AGAIN)
        return events;
    /* Where the workers' share is full, it is the journal that is waited for. */
    bool more_of_workers = worker == REEL_OK && !reel_rounds_full_of_workers (&shell->rounds);
    shell->eager = shell->eager || more_of_workers || client == REEL_OK || events == REEL_OK;
    return REEL_OK;
}

/* Nobody but clients is heard any more, and what they hear is `draining`. */
static enum reel_status
turn_away (struct reel_shell *shell)
{
    if (shell->rounds.clock_us - shell->stopping_us >= DRAIN_US_MAX)
        return REEL_OK;
    enum reel_status status = drain (shell, REEL_SOCKET_CLIENT, CLIENT_MESSAGES_MAX);
    if (status != REEL_OK && status != REEL_AGAIN)
        return status;
    shell->eager = shell->eager || status == REEL_OK;
    return REEL_OK;
}

static enum reel_status
attend_doors (struct reel_shell *shell)
{
    uint64_t *const connections[SOCKET_COUNT] = {[CLIENT] = &shell->stats.client_connections,
                                                 [WORKER] = &shell->stats.worker_connections,
                                                 [EVENTS] = &shell->stats.event_connections};
    uint64_t refused = 0;
    bool crowded = false;
    for (int i = 0; i < SOCKET_COUNT; i++) {
        if (reel_door_attend (&shell->doors[i]) != REEL_OK)
            return REEL_IO;
        *connections[i] = shell->doors[i].connections;
        refused += shell->doors[i].refused;
        crowded = crowded || shell->doors[i].connections >= shell->doors[i].connections_max;
    }
    if (refused > shell->stats.refused_connections && !shell->crowded) {
        reel_log (REEL_LOG_WARNING, "connections-max is reached: connections are refused");
        shell->crowded = true;
    } else if (!crowded && shell->crowded) {
        reel_log (REEL_LOG_WARNING, "connections are taken again");
        shell->crowded = false;
    }
    shell->stats.refused_connections = refused;
    shell->stats.client_waiting_bytes = reel_backlog_bytes (shell->backlogs[CLIENT]);
    shell->stats.worker_waiting_bytes = reel_backlog_bytes (shell->backlogs[WORKER]);
    shell->stats.event_waiting_bytes = reel_backlog_bytes (shell->backlogs[EVENTS]);
    if (all_connections (shell) > shell->connections_most)
        shell->connections_most = all_connections (shell);
    return REEL_OK;
}

/* --- the turn -------------------------------------------------------------------------------- */

/* How long there is nothing to do unless something comes. */
static int
pause_ms (const struct reel_shell *shell)
{
    int64_t pause_us = shell->rounds.pause_us_max;
    if (shell->eager)
        return 0;
    if (shell->wake_us - shell->rounds.now.monotonic_us < pause_us)
        pause_us = shell->wake_us - shell->rounds.now.monotonic_us;
    if (shell->beat_us - shell->rounds.clock_us < pause_us)
        pause_us = shell->beat_us - shell->rounds.clock_us;
    int64_t left_us = shell->stopping_us + DRAIN_US_MIN - shell->rounds.clock_us;
    if (shell->stopping && left_us > 0 && left_us < pause_us)
        pause_us = left_us;
    return pause_us <= 0 ? 0 : (int) ((pause_us + 999) / 1000);
}

/* A socket's descriptor says only that something changed since the socket was last found empty, which each turn
 * ends with, unless it is `eager`. While the batch is full the sockets are left alone. */
static enum reel_status
await (struct reel_shell *shell, struct reel_error *err)
{
    bool full = reel_rounds_full (&shell->rounds);
    nfds_t count = full ? SOCKETS : shell->stopping ? SOCKETS + CLIENT + 1 : WATCHED_COUNT;
    if (full)
        shell->eager = false;
    int ready = poll (shell->watched, count, pause_ms (shell));
    if (ready < 0)
        shell->watched[JOURNAL].revents = shell->watched[SIGNALS].revents = 0;
    if (ready < 0 && errno != EINTR)
        return reel_error_set (err, REEL_IO, "poll_failed", NULL, "poll: %s", strerror (errno));
    shell->eager = false;
    return REEL_OK;
}

/* A second signal says nothing new. */
static enum reel_status
heed_signals (struct reel_shell *shell)
{
    struct signalfd_siginfo info;
    if (read (shell->signals, &info, sizeof info) != (ssize_t) sizeof info || shell->stopping)
        return REEL_OK;
    reel_log (REEL_LOG_INFO, "stopping: what has been taken in is ended first");
    reel_notify ("STOPPING=1");
    shell->stopping = true;
    shell->stopping_us = shell->rounds.clock_us;
    shell->wake_us = INT64_MAX;
    return reel_core_drain (shell->core, shell->rounds.now, &shell->rounds.pending->effects);
}

static enum reel_status
turn (struct reel_shell *shell, struct reel_error *err)
{
    enum reel_status status = await (shell, err);
    reel_rounds_keep_time (&shell->rounds, reel_clock_monotonic_us (), reel_clock_wall_us ());
    if (status == REEL_OK && shell->watched[JOURNAL].revents != 0)
        status = settle (shell, err);
    if (status == REEL_OK)
        status = attend_doors (shell);
    if (status == REEL_OK && shell->watched[SIGNALS].revents != 0)
        status = heed_signals (shell);
    if (status == REEL_OK)
        status = shell->stopping ? turn_away (shell) : receive (shell);
    if (status == REEL_OK && !shell->stopping)
        status = reel_core_tick (shell->core, shell->rounds.now, shell->rounds.all_heard,
                                 &shell->rounds.pending->effects, &shell->wake_us);
    if (status == REEL_OK)
        status = reel_rounds_pass_on (&shell->rounds);
    return status == REEL_OK ? beat (shell) : status;
}

static bool
is_done (const struct reel_shell *shell)
{
    return shell->stopping && !shell->eager && reel_rounds_idle (&shell->rounds)
           && shell->rounds.clock_us - shell->stopping_us >= DRAIN_US_MIN;
}

enum reel_status
reel_shell_run (struct reel_shell *shell, struct reel_error *err)
{
    enum reel_status status = REEL_OK;
    while (status == REEL_OK && !is_done (shell))
        status = turn (shell, err);
    if (status == REEL_IO && err->message[0] == '\0')
        return reel_error_set (err, status, "socket_failed", NULL, "a socket failed");
    return status;
}

/* --- opening --------------------------------------------------------------------------------- */

static enum reel_status
recover (struct reel_shell *shell, const char *data, struct reel_error *err)
{
    struct reel_recovered recovered;
    const struct reel_journal_setup setup = {.directory = data};
    enum reel_status status = reel_recovery_run (&setup, shell->core, &shell->journal, &recovered, err);
    if (status == REEL_OK)
        reel_log (REEL_LOG_INFO, "recovered %llu records from %s in %lld ms", (unsigned long long) recovered.records,
                  data, (long long) recovered.took_ms);
    return status;
}

static enum reel_status
open_sockets (struct reel_shell *shell, const struct reel_shell_setup *setup, struct reel_error *err)
{
    const struct reel_socket_setup setups[SOCKET_COUNT] = {
        [CLIENT] = {.type = ZMQ_ROUTER,
                    .frame_bytes_max = REEL_REQUEST_FRAME_BYTES_MAX,
                    .receive_max = CLIENT_WAITING_MAX,
                    .linger_ms = CLOSE_LINGER_MS,
                    .unread_ms = UNREAD_MS},
        [WORKER] = {.type = ZMQ_ROUTER,
                    .frame_bytes_max = WORKER_FRAME_BYTES_MAX,
                    .linger_ms = CLOSE_LINGER_MS,
                    .unread_ms = UNREAD_MS},
        [EVENTS] = {.type = ZMQ_XPUB,
                    .frame_bytes_max = SUBSCRIPTION_BYTES_MAX,
                    .send_max = setup->subscriber_waiting_max,
                    .linger_ms = CLOSE_LINGER_MS,
                    .unread_ms = UNREAD_MS},
    };
    const char *const endpoints[SOCKET_COUNT] = {setup->client, setup->worker, setup->events};
    shell->context = zmq_ctx_new ();
    if (!shell->context || zmq_ctx_set (shell->context, ZMQ_MAX_SOCKETS, CONTEXT_SOCKETS_MAX) != 0)
        return REEL_NO_MEMORY;
    for (int i = 0; i < SOCKET_COUNT; i++) {
        enum reel_status status = reel_backlog_create (setup->waiting_bytes_max, &shell->backlogs[i]);
        if (status == REEL_OK)
            status = reel_socket_open (shell->context, &setups[i], &shell->sockets[i], err);
        if (status == REEL_OK)
            status = reel_door_open (shell->context, shell->sockets[i], setup->connections_max, &shell->doors[i], err);
        if (status == REEL_OK)
            status = reel_socket_bind (shell->sockets[i], endpoints[i], shell->endpoints[i], err);
        if (status != REEL_OK)
            return status;
    }
    return REEL_OK;
}

static enum reel_status
watch (struct reel_shell *shell, struct reel_error *err)
{
    sigset_t set;
    (void) sigemptyset (&set);
    (void) sigaddset (&set, SIGTERM);
    (void) sigaddset (&set, SIGINT);
    (void) pthread_sigmask (SIG_BLOCK, &set, NULL);
    shell->signals = signalfd (-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (shell->signals < 0)
        return reel_error_set (err, REEL_IO, "no_signals", NULL, "signalfd: %s", strerror (errno));
    shell->watched[SIGNALS] = (struct pollfd){.fd = shell->signals, .events = POLLIN};
    return REEL_OK;
}

static enum reel_status
watch_sockets (struct reel_shell *shell, struct reel_error *err)
{
    shell->watched[JOURNAL] = (struct pollfd){.fd = reel_commit_fd (shell->commit), .events = POLLIN};
    for (int i = 0; i < SOCKET_COUNT; i++) {
        int fd;
        size_t len = sizeof fd;
        if (zmq_getsockopt (shell->sockets[i], ZMQ_FD, &fd, &len) != 0)
            return reel_error_set (err, REEL_IO, "socket_failed", NULL, "ZMQ_FD: %s", zmq_strerror (errno));
        shell->watched[SOCKETS + i] = (struct pollfd){.fd = fd, .events = POLLIN};
        shell->watched[DOORS + i] = (struct pollfd){.fd = reel_door_fd (&shell->doors[i], err), .events = POLLIN};
        if (shell->watched[DOORS + i].fd < 0)
            return REEL_IO;
    }
    return REEL_OK;
}

/* The new epoch is durable before the first message is read. */
static enum reel_status
start (struct reel_shell *shell, struct reel_error *err)
{
    shell->rounds.core = shell->core;
    reel_rounds_begin (&shell->rounds, reel_clock_monotonic_us (), reel_clock_wall_us ());
    struct reel_effects *effects = &shell->rounds.pending->effects;
    enum reel_status status = reel_core_start (shell->core, shell->rounds.now, effects);
    if (status != REEL_OK)
        return status;
    struct reel_journal_batch batch = reel_effects_batch (effects);
    status = reel_journal_append (shell->journal, &batch, err);
    if (status != REEL_OK)
        return status;
    shell->rounds.last_seq = reel_journal_last_seq (shell->journal);
    shell->epoch = batch.epoch;
    status = send_out (shell, effects);
    reel_effects_clear (effects);
    return status == REEL_OK ? reel_commit_start (&shell->journal, &shell->commit, err) : status;
}

/* Before the first message is read. */
static enum reel_status
keep_reserve (struct reel_shell *shell, const struct reel_shell_setup *setup)
{
    shell->data = strdup (setup->data);
    shell->stats.disk_reserve_bytes = setup->disk_reserve_bytes;
    if (shell->data == NULL)
        return REEL_NO_MEMORY;
    look_at_disk (shell);
    return REEL_OK;
}

static enum reel_status
open_all (struct reel_shell *shell, const struct reel_shell_setup *setup, struct reel_error *err)
{
    struct reel_core_setup core = setup->core;
    reel_random_system (&core.seed, sizeof core.seed);
    core.shell = &shell->stats;
    core.has_room = worker_has_room;
    core.has_room_context = shell;
    shell->rounds.pause_us_max = core.lease_ms * 1000 / 4 < PAUSE_US_MAX ? core.lease_ms * 1000 / 4 : PAUSE_US_MAX;
    enum reel_status status;
    if ((status = watch (shell, err)) != REEL_OK || (status = reel_core_create (&core, &shell->core)) != REEL_OK
        || (status = recover (shell, setup->data, err)) != REEL_OK || (status = keep_reserve (shell, setup)) != REEL_OK
        || (status = open_sockets (shell, setup, err)) != REEL_OK || (status = start (shell, err)) != REEL_OK)
        return status;
    return watch_sockets (shell, err);
}

enum reel_status
reel_shell_open (const struct reel_shell_setup *setup, struct reel_shell **shell, struct reel_error *err)
{
    struct reel_shell *opened = calloc (1, sizeof *opened);
    if (!opened)
        return REEL_NO_MEMORY;
    opened->signals = -1;
    opened->rounds.hand = hand;
    opened->rounds.send_out = send_out;
    opened->rounds.context = opened;
    reel_inbox_init (&opened->inbox);
    enum reel_status status = open_all (opened, setup, err);
    if (status != REEL_OK) {
        reel_shell_close (&opened);
        return status;
    }
    *shell = opened;
    return REEL_OK;
}

const char *
reel_shell_endpoint (const struct reel_shell *shell, unsigned which)
{
    REEL_ASSERT (which < SOCKET_COUNT);
    return shell->endpoints[which];
}

void
reel_shell_close (struct reel_shell **shell)
{
    struct reel_shell *closing = *shell;
    *shell = NULL;
    if (!closing)
        return;
    reel_inbox_free (&closing->inbox);
    for (int i = 0; i < SOCKET_COUNT; i++) {
        reel_door_close (&closing->doors[i]);
        reel_socket_close (&closing->sockets[i]);
    }
    while (closing->context && zmq_ctx_term (closing->context) != 0 && errno == EINTR)
        continue;
    for (int i = 0; i < SOCKET_COUNT; i++)
        reel_backlog_free (&closing->backlogs[i]);
    reel_commit_stop (&closing->commit);
    reel_journal_close (&closing->journal);
    reel_core_destroy (&closing->core);
    reel_rounds_end (&closing->rounds);
    if (closing->signals >= 0)
        (void) close (closing->signals);
    free (closing->data);
    free (closing);
}
