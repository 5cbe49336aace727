/*
 * ZeroMQ sockets as reel uses them: what must be set is set, everything is bounded, nothing blocks.
 *
 * A socket is libzmq's own `void *`, so that it can be polled with everything else. Messages
 * come and go as slices; a receiver reads them where libzmq put them.
 */
#ifndef REEL_NET_SOCKET_H
#define REEL_NET_SOCKET_H

#include <stdbool.h>
#include <zmq.h>

#include "base/limits.h"
#include "net/backlog.h"
#include "proto/message.h"

/* Bytes, the final NUL included. */
#define REEL_ENDPOINT_BYTES 256

/* A longer frame ends its connection (ZMQ_MAXMSGSIZE). What the broker takes: a document that is too large
 * is still answered, up to here. What the others take: as much as a document with all its receipts. */
#define REEL_REQUEST_FRAME_BYTES_MAX (2u * REEL_DOCUMENT_BYTES_MAX)
#define REEL_REPLY_FRAME_BYTES_MAX REEL_BUF_BYTES_MAX

struct reel_socket_setup {
    int type;               /* ZMQ_ROUTER, ZMQ_DEALER, ZMQ_SUB, ZMQ_XPUB, ... */
    int send_max;           /* messages that wait for one peer (high-water mark); 0: 10000 */
    int receive_max;        /* messages of one peer that wait here; 0: 10000 */
    size_t frame_bytes_max; /* 0: REEL_REPLY_FRAME_BYTES_MAX */
    int linger_ms;          /* how long closing waits for what was sent; 0: not at all */
    int unread_ms; /* a TCP connection whose peer takes nothing for so long while something waits ends; 0: never */
};

/* A ROUTER refuses what it cannot route (ZMQ_ROUTER_MANDATORY); an XPUB hands each subscription to the reader, and
 * says when a subscriber is full.
 * REEL_IO: err says why (mostly: out of file descriptors). */
enum reel_status reel_socket_open (void *context, const struct reel_socket_setup *setup, void **socket,
                                   struct reel_error *err) REEL_MUST_USE;
/* Closes and nulls; NULL inside is fine. */
void reel_socket_close (void **socket);

/*
 * Binds. A TCP port `*` or `0` is a free one; `bound` (may be NULL) gets the endpoint as a peer can
 * connect to it. REEL_INVALID: not an endpoint; REEL_IO: in use, or not permitted.
 */
enum reel_status reel_socket_bind (void *socket, const char *endpoint, char bound[REEL_ENDPOINT_BYTES],
                                   struct reel_error *err) REEL_MUST_USE;
/* Connects, now or whenever there is something to connect to. REEL_INVALID: not an endpoint. */
enum reel_status reel_socket_connect (void *socket, const char *endpoint, struct reel_error *err) REEL_MUST_USE;

/* --- receiving ------------------------------------------------------------------------------ */

/* One message. Frames are valid until the next reel_socket_receive() into it. */
struct reel_inbox {
    zmq_msg_t parts[REEL_FRAMES_MAX];
    struct reel_slice frames[REEL_FRAMES_MAX];
    size_t count;   /* of frames */
    size_t dropped; /* frames past REEL_FRAMES_MAX, which are not there */
};

void reel_inbox_init (struct reel_inbox *inbox);
void reel_inbox_free (struct reel_inbox *inbox);

/* Looks at who has come or has something new. Without it libzmq does so only once nobody of those it knows of has anything
 * left, or after 100 frames. REEL_IO: the socket is of no use any more. */
enum reel_status reel_socket_look (void *socket) REEL_MUST_USE;

/* Takes one whole message, if there is one. REEL_AGAIN: there is none. REEL_IO: the socket is of no use any more. */
enum reel_status reel_socket_receive (void *socket, struct reel_inbox *inbox) REEL_MUST_USE;

/* --- sending -------------------------------------------------------------------------------- */

/*
 * Hands over one message, whole or not at all, copying it. REEL_AGAIN: too many wait for that peer
 * already; REEL_NOT_FOUND: a ROUTER has no such peer; REEL_NO_MEMORY; REEL_IO.
 */
enum reel_status reel_socket_send (void *socket, const struct reel_slice *frames, size_t count) REEL_MUST_USE;

/* For an XPUB, to whoever subscribed. One that has reached its high-water mark (`*full`) gets nothing until it has read
 * on; the others get it all the same. What is over 1 KiB and the backlog (NULL: none) has no room for nobody gets; that is
 * `*full` too. */
enum reel_status reel_socket_publish (void *socket, struct reel_backlog *backlog, const struct reel_slice *frames,
                                      size_t count, bool *full) REEL_MUST_USE;

/*
 * The same for one message of REEL1: [peer][empty] "REEL1" COMMAND header [document]. A peer of len 0
 * is left out; so are the empty frame unless `delimiter`, and a document that is NULL. It counts in the backlog (NULL:
 * nowhere) as the peer's, without being held against what there is room for.
 */
enum reel_status reel_socket_send_message (void *socket, struct reel_backlog *backlog, struct reel_slice peer,
                                           bool delimiter, enum reel_command command, struct reel_slice header,
                                           const struct reel_slice *document) REEL_MUST_USE;

#endif
