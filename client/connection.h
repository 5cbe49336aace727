/*
 * One connection to the broker's client socket, with one request under way at most.
 *
 * It only sends once the broker's end has been heard of (ZMQ_IMMEDIATE), so that a request
 * that was never sent can be told from one that was not answered; and it watches the
 * connection, so that a request whose connection was lost is sent again over the next one.
 * A second reply to the same request is recognised by its request_id and dropped.
 */
#ifndef REEL_CLIENT_CHANNEL_H
#define REEL_CLIENT_CHANNEL_H

#include "net/socket.h"
#include "proto/message.h"

#define REEL_CONNECTION_POLLS 2

struct reel_connection {
    void *dealer;
    void *monitor; /* tells when the dealer's connection is made and lost */
    bool up;       /* it stands, as far as was told */
    struct reel_inbox inbox;
    uint64_t request_id;
    enum reel_command command;
    struct reel_buf header;
    bool has_document;
    struct reel_slice document; /* borrowed until the request has ended */
    bool open;                  /* a request is under way */
    bool sent;                  /* over a connection that still stands, as far as is known */
    bool sent_once;             /* over any */
    int64_t unsent_since_us;    /* while open and not sent */
};

/* REEL_INVALID: not an endpoint; REEL_IO. The connection is all-zero before, and again after a failure. */
enum reel_status reel_connection_open (void *context, const char *endpoint, struct reel_connection *connection,
                                       struct reel_error *err) REEL_MUST_USE;
void reel_connection_close (struct reel_connection *connection);

/* Begins a request, to which a request_id is added. None may be under way. REEL_NO_MEMORY. */
enum reel_status reel_connection_begin (struct reel_connection *connection, int64_t now_us,
                                        struct reel_message *request) REEL_MUST_USE;
/*
 * Does what can be done without waiting. REEL_OK: the reply (OK_... or CLIENT_ERROR) is in
 * `reply`, borrowed until the next call. REEL_AGAIN: not yet; poll. REEL_INVALID: a reply came
 * that is none (err). REEL_IO. Anything but REEL_AGAIN ends the request.
 */
enum reel_status reel_connection_advance (struct reel_connection *connection, int64_t now_us,
                                          struct reel_message *reply, struct reel_error *err) REEL_MUST_USE;
/* Ends the request under way without a reply. */
void reel_connection_abandon (struct reel_connection *connection);
/* What to wait for until reel_connection_advance() may get further. */
void reel_connection_polls (const struct reel_connection *connection, zmq_pollitem_t polls[REEL_CONNECTION_POLLS]);

#endif
