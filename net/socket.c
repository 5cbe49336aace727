/*
 * The one place that knows libzmq's defaults and what they would do to us: it lingers for ever, takes
 * frames of any size, and drops what a ROUTER cannot route.
 */
#include "net/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"

#define WAITING_MAX_DEFAULT 10000

/* Peer, delimiter, protocol, command, header, document. */
#define MESSAGE_FRAMES_MAX 6
/* Of any message. */
#define SENT_FRAMES_MAX (2 * REEL_FRAMES_MAX)

/* Bytes of a publication that is bounded by the high-water mark alone. */
#define PUBLICATION_SMALL_MAX 1024

static enum reel_status
fail (struct reel_error *err, const char *what, const char *endpoint)
{
    int number = errno;
    bool unusable = number == EINVAL || number == EPROTONOSUPPORT || number == ENOCOMPATPROTO || number == ENODEV
                    || number == ENAMETOOLONG;
    return reel_error_set (err, unusable ? REEL_INVALID : REEL_IO, unusable ? "bad_endpoint" : "socket_failed", NULL,
                           "cannot %s %s: %s", what, endpoint, zmq_strerror (number));
}

static bool
set_int (void *socket, int option, int value)
{
    return zmq_setsockopt (socket, option, &value, sizeof value) == 0;
}

/* High-water marks have to be there before the socket is bound or connected. */
static bool
set_all (void *socket, const struct reel_socket_setup *setup)
{
    int64_t frame_bytes_max = (int64_t) (setup->frame_bytes_max > 0 ? setup->frame_bytes_max
                                                                    : REEL_REPLY_FRAME_BYTES_MAX);
    return set_int (socket, ZMQ_LINGER, setup->linger_ms)
           && set_int (socket, ZMQ_SNDHWM, setup->send_max > 0 ? setup->send_max : WAITING_MAX_DEFAULT)
           && set_int (socket, ZMQ_RCVHWM, setup->receive_max > 0 ? setup->receive_max : WAITING_MAX_DEFAULT)
           && zmq_setsockopt (socket, ZMQ_MAXMSGSIZE, &frame_bytes_max, sizeof frame_bytes_max) == 0
           && (setup->unread_ms == 0 || set_int (socket, ZMQ_TCP_MAXRT, setup->unread_ms))
           && set_int (socket, ZMQ_TCP_KEEPALIVE, 1) && set_int (socket, ZMQ_TCP_KEEPALIVE_IDLE, 60)
           && (setup->type != ZMQ_ROUTER || set_int (socket, ZMQ_ROUTER_MANDATORY, 1))
           && (setup->type != ZMQ_XPUB || set_int (socket, ZMQ_XPUB_NODROP, 1));
}

enum reel_status
reel_socket_open (void *context, const struct reel_socket_setup *setup, void **socket, struct reel_error *err)
{
    void *opened = zmq_socket (context, setup->type);
    if (!opened)
        return fail (err, "open", "a socket");
    if (!set_all (opened, setup)) {
        enum reel_status status = fail (err, "set up", "a socket");
        reel_socket_close (&opened);
        return status;
    }
    *socket = opened;
    return REEL_OK;
}

void
reel_socket_close (void **socket)
{
    if (*socket)
        REEL_ASSERT (zmq_close (*socket) == 0);
    *socket = NULL;
}

/* With IPv6 on, `*` would mean both families and names would prefer the new one: on where it is written out. */
static bool
set_family (void *socket, const char *endpoint)
{
    return set_int (socket, ZMQ_IPV6, strchr (endpoint, '[') != NULL);
}

/* libzmq takes a port modulo 65536. */
static bool
has_port (const char *endpoint)
{
    static const char tcp[] = "tcp://";
    if (strncmp (endpoint, tcp, sizeof tcp - 1) != 0)
        return true;
    const char *port = strrchr (endpoint, ':') + 1;
    size_t digits = strspn (port, "0123456789");
    if (strcmp (port, "*") == 0)
        return true;
    if (digits > 0 && digits <= 5 && port[digits] == '\0' && strtol (port, NULL, 10) <= 65535)
        return true;
    errno = EINVAL;
    return false;
}

/* libzmq takes the path of an ipc endpoint away from whoever has it: somebody who listens there keeps it. */
static bool
is_free (const char *endpoint)
{
    static const char ipc[] = "ipc://";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = endpoint + sizeof ipc - 1;
    if (strncmp (endpoint, ipc, sizeof ipc - 1) != 0 || *path == '@' || strlen (path) >= sizeof address.sun_path)
        return true;
    memcpy (address.sun_path, path, strlen (path));
    int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool taken = connect (fd, (const struct sockaddr *) &address, sizeof address) == 0 || errno == EAGAIN;
    (void) close (fd);
    if (taken)
        errno = EADDRINUSE;
    return !taken;
}

enum reel_status
reel_socket_bind (void *socket, const char *endpoint, char bound[REEL_ENDPOINT_BYTES], struct reel_error *err)
{
    if (!has_port (endpoint) || !is_free (endpoint) || !set_family (socket, endpoint)
        || zmq_bind (socket, endpoint) != 0)
        return fail (err, "bind", endpoint);
    size_t len = REEL_ENDPOINT_BYTES;
    if (bound && zmq_getsockopt (socket, ZMQ_LAST_ENDPOINT, bound, &len) != 0)
        return fail (err, "ask the address of", endpoint);
    return REEL_OK;
}

enum reel_status
reel_socket_connect (void *socket, const char *endpoint, struct reel_error *err)
{
    if (!has_port (endpoint) || !set_family (socket, endpoint) || zmq_connect (socket, endpoint) != 0)
        return fail (err, "connect to", endpoint);
    return REEL_OK;
}

/* --- receiving ------------------------------------------------------------------------------ */

void
reel_inbox_init (struct reel_inbox *inbox)
{
    inbox->count = 0;
    inbox->dropped = 0;
    for (size_t i = 0; i < REEL_FRAMES_MAX; i++)
        REEL_ASSERT (zmq_msg_init (&inbox->parts[i]) == 0);
}

void
reel_inbox_free (struct reel_inbox *inbox)
{
    for (size_t i = 0; i < REEL_FRAMES_MAX; i++)
        (void) zmq_msg_close (&inbox->parts[i]);
    inbox->count = 0;
}

/* The memory of a long message goes back at once, not when as many frames arrive again. */
static void
empty_inbox (struct reel_inbox *inbox)
{
    for (size_t i = 0; i < inbox->count; i++) {
        (void) zmq_msg_close (&inbox->parts[i]);
        (void) zmq_msg_init (&inbox->parts[i]);
    }
    inbox->count = 0;
    inbox->dropped = 0;
}

enum reel_status
reel_socket_look (void *socket)
{
    int events;
    size_t len = sizeof events;
    while (zmq_getsockopt (socket, ZMQ_EVENTS, &events, &len) != 0)
        if (errno != EINTR)
            return REEL_IO;
    return REEL_OK;
}

/* Later frames are there as soon as the first one is. */
static enum reel_status
take_frame (void *socket, zmq_msg_t *part)
{
    while (zmq_msg_recv (part, socket, ZMQ_DONTWAIT) < 0) {
        if (errno == EAGAIN)
            return REEL_AGAIN;
        if (errno != EINTR)
            return REEL_IO;
    }
    return REEL_OK;
}

static enum reel_status
drop_rest (void *socket, struct reel_inbox *inbox)
{
    zmq_msg_t part;
    REEL_ASSERT (zmq_msg_init (&part) == 0);
    enum reel_status status;
    int more = 0;
    do {
        status = take_frame (socket, &part);
        inbox->dropped++;
        more = zmq_msg_more (&part);
    } while (status == REEL_OK && more);
    (void) zmq_msg_close (&part);
    return status;
}

enum reel_status
reel_socket_receive (void *socket, struct reel_inbox *inbox)
{
    empty_inbox (inbox);
    for (;;) {
        zmq_msg_t *part = &inbox->parts[inbox->count];
        enum reel_status status = take_frame (socket, part);
        if (status != REEL_OK)
            return inbox->count == 0 ? status : REEL_IO;
        inbox->frames[inbox->count++] = reel_slice (zmq_msg_data (part), zmq_msg_size (part));
        if (!zmq_msg_more (part))
            return REEL_OK;
        if (inbox->count == REEL_FRAMES_MAX)
            return drop_rest (socket, inbox) == REEL_OK ? REEL_OK : REEL_IO;
    }
}

/* --- sending -------------------------------------------------------------------------------- */

static enum reel_status
failure (void)
{
    switch (errno) {
    case EAGAIN: return REEL_AGAIN;
    case EHOSTUNREACH: return REEL_NOT_FOUND;
    case ENOMEM: return REEL_NO_MEMORY;
    default: return REEL_IO;
    }
}

/* Whose frames count, and where. */
struct account {
    struct reel_backlog *backlog; /* NULL: they do not */
    struct reel_slice peer;
};

static enum reel_status
make_part (const struct account *account, struct reel_slice frame, zmq_msg_t *part)
{
    if (account->backlog != NULL && frame.len >= REEL_BACKLOG_FRAME_BYTES_MIN)
        return reel_backlog_wrap (account->backlog, account->peer, frame, part);
    if (zmq_msg_init_size (part, frame.len) != 0)
        return REEL_NO_MEMORY;
    if (frame.len > 0)
        memcpy (zmq_msg_data (part), frame.data, frame.len);
    return REEL_OK;
}

static enum reel_status
send_part (void *socket, zmq_msg_t *part, bool more)
{
    while (zmq_msg_send (part, socket, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) < 0)
        if (errno != EINTR)
            return failure ();
    return REEL_OK;
}

/*
 * When the peer goes away between two frames, libzmq refuses one of them, takes back those before it, and
 * swallows what comes up to the last one: so the rest is sent all the same, or the next message would be lost.
 */
static enum reel_status
send_parts (void *socket, zmq_msg_t *parts, size_t count)
{
    enum reel_status first_failure = REEL_OK;
    for (size_t i = 0; i < count; i++) {
        enum reel_status status = send_part (socket, &parts[i], i + 1 < count);
        if (status != REEL_OK && i == 0)
            return status;
        if (status != REEL_OK && first_failure == REEL_OK)
            first_failure = status;
    }
    return first_failure;
}

/* All frames are there before the first one goes: memory that is out between two of them would leave a message without
 * one of its frames. */
static enum reel_status
send_frames (void *socket, const struct account *account, const struct reel_slice *frames, size_t count)
{
    zmq_msg_t parts[SENT_FRAMES_MAX];
    size_t made = 0;
    enum reel_status status = REEL_OK;
    REEL_ASSERT (count <= SENT_FRAMES_MAX);
    while (made < count && (status = make_part (account, frames[made], &parts[made])) == REEL_OK)
        made++;
    if (status == REEL_OK)
        status = send_parts (socket, parts, count);
    while (made > 0) /* one that was sent is empty now */
        (void) zmq_msg_close (&parts[--made]);
    return status;
}

enum reel_status
reel_socket_send (void *socket, const struct reel_slice *frames, size_t count)
{
    return send_frames (socket, &(struct account){0}, frames, count);
}

static size_t
bytes_of (const struct reel_slice *frames, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += frames[i].len;
    return bytes;
}

/* libzmq says that somebody is full before it has sent anything to anybody. */
enum reel_status
reel_socket_publish (void *socket, struct reel_backlog *backlog, const struct reel_slice *frames, size_t count,
                     bool *full)
{
    /* One message is all its subscribers' together, and there is no saying who has not read it. */
    const struct account account = {.backlog = backlog};
    size_t bytes = bytes_of (frames, count);
    *full = backlog != NULL && bytes > PUBLICATION_SMALL_MAX && bytes > reel_backlog_room (backlog, account.peer, 1);
    if (*full)
        return REEL_OK;
    enum reel_status status = send_frames (socket, &account, frames, count);
    *full = status == REEL_AGAIN;
    if (!*full)
        return status;
    if (!set_int (socket, ZMQ_XPUB_NODROP, 0))
        return REEL_IO;
    status = send_frames (socket, &account, frames, count);
    return set_int (socket, ZMQ_XPUB_NODROP, 1) ? status : REEL_IO;
}

enum reel_status
reel_socket_send_message (void *socket, struct reel_backlog *backlog, struct reel_slice peer, bool delimiter,
                          enum reel_command command, struct reel_slice header, const struct reel_slice *document)
{
    struct reel_slice frames[MESSAGE_FRAMES_MAX];
    size_t count = 0;
    if (peer.len > 0)
        frames[count++] = peer;
    if (delimiter)
        frames[count++] = REEL_SLICE_NONE;
    frames[count++] = reel_slice_text (REEL_PROTOCOL);
    frames[count++] = reel_slice_text (reel_message_spec (command)->name);
    frames[count++] = header;
    if (document)
        frames[count++] = *document;
    return send_frames (socket, &(struct account){backlog, peer}, frames, count);
}
