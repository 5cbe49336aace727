/*
 * The worker's shell.
 *
 * A turn of the loop reads what has come, lets the runs go on, and then has the link report. ZeroMQ's
 * descriptor tells of edges only: so the socket is read dry at the end of every turn, whatever woke it.
 */
#include "worker/shell.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/random.h"
#include "cli/notify.h"
#include "net/socket.h"
#include "worker/guard.h"
#include "worker/link.h"

/* Messages read in one turn. */
#define MESSAGES_MAX 1024
/* How long closing may take to send what is left. */
#define LINGER_MS 1000

struct shell {
    const struct reel_worker_shell_setup *setup;
    struct reel_error *err;
    struct reel_loop *loop;
    void *context; /* ZeroMQ's */
    void *socket;
    struct reel_watch socket_watch, stop_watch;
    struct reel_guard_keeper keeper;
    struct reel_turn turn;
    struct reel_inbox inbox;
    struct reel_link *link;
    bool stopping;
    enum reel_status status;
};

/* --- the connection ------------------------------------------------------------------------- */

static bool
send_message (void *context, enum reel_command command, struct reel_slice header, const struct reel_slice *document)
{
    struct shell *shell = context;
    return shell->socket != NULL
           && reel_socket_send_message (shell->socket, NULL, REEL_SLICE_NONE, false, command, header, document)
                  == REEL_OK;
}

static void
welcomed (void *context)
{
    (void) context;
    reel_notify ("READY=1");
}

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
    if (status == REEL_OK)
        reel_link_connected (shell->link);
    return status;
}

/* Hears nothing of the broker: perhaps the connection is dead and does not know it. */
static void
reconnect (void *context)
{
    struct shell *shell = context;
    struct reel_error err = {0};
    reel_log (REEL_LOG_WARNING, "nothing was heard from the broker at %s; connecting again", shell->setup->broker);
    disconnect (shell);
    if (connect_to_broker (shell, &err) == REEL_OK)
        return;
    shell->status = reel_error_set (shell->err, REEL_IO, err.code, NULL, "%s", err.message);
    disconnect (shell);
    reel_link_give_up (shell->link);
}

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
        reel_link_message (shell->link, shell->inbox.frames, shell->inbox.count);
    }
}

/* --- stopping ------------------------------------------------------------------------------- */

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
    if (!shell->stopping)
        reel_notify ("STOPPING=1");
    shell->stopping = true;
    reel_link_stop (shell->link);
}

/* --- the turn ------------------------------------------------------------------------------- */

static bool
end_turn (struct reel_turn *turn)
{
    struct shell *shell = turn->context;
    read_socket (shell);
    if (reel_link_end_turn (shell->link))
        reel_loop_stop (shell->loop);
    return readable (shell);
}

/* --- beginning and end ---------------------------------------------------------------------- */

static enum reel_status
make_link (struct shell *shell)
{
    struct reel_link_setup setup = {
        .name = shell->setup->name,
        .slots = shell->setup->slots,
        .drain_ms = shell->setup->drain_ms,
        .registry = shell->setup->registry,
        .loop = shell->loop,
        .send = send_message,
        .welcomed = welcomed,
        .silent = reconnect,
        .context = shell,
    };
    reel_random_system (setup.instance, sizeof setup.instance);
    reel_random_system (&setup.seed, sizeof setup.seed);
    return reel_link_create (&setup, &shell->link);
}

static enum reel_status
set_up (struct shell *shell)
{
    enum reel_status status = reel_loop_create (&shell->loop);
    if (status == REEL_OK)
        status = make_link (shell);
    if (status != REEL_OK)
        return status;
    shell->context = zmq_ctx_new ();
    if (shell->context == NULL)
        return reel_error_set (shell->err, REEL_IO, "socket_failed", NULL, "no ZeroMQ context: %s",
                               zmq_strerror (errno));
    reel_guard_keep (&shell->keeper, shell->loop);
    reel_loop_add_turn (shell->loop, &shell->turn);
    if (reel_loop_watch (shell->loop, &shell->stop_watch, EPOLLIN) != REEL_OK)
        return reel_error_set (shell->err, REEL_IO, "io", NULL, "the signals cannot be watched: %s", strerror (errno));
    return connect_to_broker (shell, shell->err);
}

static void
tear_down (struct shell *shell)
{
    reel_guard_let_go (&shell->keeper);
    if (shell->loop != NULL) {
        reel_loop_unwatch (shell->loop, &shell->stop_watch);
        reel_loop_unwatch (shell->loop, &shell->socket_watch);
    }
    reel_socket_close (&shell->socket);
    if (shell->context != NULL)
        (void) zmq_ctx_term (shell->context);
    reel_link_destroy (&shell->link);
    reel_loop_destroy (&shell->loop);
    reel_inbox_free (&shell->inbox);
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
    reel_inbox_init (&shell->inbox);
    enum reel_status status = set_up (shell);
    if (status == REEL_OK)
        status = reel_loop_run (shell->loop);
    if (status == REEL_OK)
        status = shell->status != REEL_OK ? shell->status : reel_link_lost (shell->link) ? REEL_AGAIN : REEL_OK;
    tear_down (shell);
    free (shell);
    if (status == REEL_IO && err->message[0] == '\0')
        return reel_error_set (err, status, "socket_failed", NULL, "the socket to the broker failed");
    return status;
}
