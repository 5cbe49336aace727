/*
 * Requests and replies over a DEALER that loses its connection now and then.
 */
#include "client/connection.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "proto/pack.h"
#include "proto/scan.h"

/* ZMTP's own heartbeats notice a peer that is gone without a word; a busy broker still answers them. */
#define HEARTBEAT_MS 2000
#define HEARTBEAT_TIMEOUT_MS 6000

static enum reel_status
system_failed (struct reel_error *err, const char *what)
{
    return reel_error_set (err, REEL_IO, "socket_failed", NULL, "cannot %s: %s", what, zmq_strerror (zmq_errno ()));
}

static enum reel_status
set_int (void *socket, int option, int value, struct reel_error *err)
{
    if (zmq_setsockopt (socket, option, &value, sizeof value) != 0)
        return system_failed (err, "set up a socket");
    return REEL_OK;
}

static enum reel_status
watch_connection (void *context, struct reel_connection *connection, struct reel_error *err)
{
    char endpoint[64];
    struct reel_socket_setup setup = {.type = ZMQ_PAIR};
    (void) snprintf (endpoint, sizeof endpoint, "inproc://reel-connection-%p", (void *) connection);
    if (zmq_socket_monitor (connection->dealer, endpoint, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED) != 0)
        return system_failed (err, "watch a connection");
    enum reel_status status = reel_socket_open (context, &setup, &connection->monitor, err);
    return status == REEL_OK ? reel_socket_connect (connection->monitor, endpoint, err) : status;
}

enum reel_status
reel_connection_open (void *context, const char *endpoint, struct reel_connection *connection, struct reel_error *err)
{
    struct reel_socket_setup setup = {.type = ZMQ_DEALER};
    reel_inbox_init (&connection->inbox);
    enum reel_status status = reel_socket_open (context, &setup, &connection->dealer, err);
    if (status == REEL_OK)
        status = set_int (connection->dealer, ZMQ_IMMEDIATE, 1, err);
    if (status == REEL_OK)
        status = set_int (connection->dealer, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS, err);
    if (status == REEL_OK)
        status = set_int (connection->dealer, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS, err);
    if (status == REEL_OK)
        status = watch_connection (context, connection, err);
    if (status == REEL_OK)
        status = reel_socket_connect (connection->dealer, endpoint, err);
    if (status != REEL_OK)
        reel_connection_close (connection);
    return status;
}

void
reel_connection_close (struct reel_connection *connection)
{
    if (connection->dealer)
        (void) zmq_socket_monitor (connection->dealer, NULL, 0);
    reel_socket_close (&connection->monitor);
    reel_socket_close (&connection->dealer);
    reel_inbox_free (&connection->inbox);
    reel_buf_free (&connection->header);
    *connection = (struct reel_connection){0};
}

enum reel_status
reel_connection_begin (struct reel_connection *connection, int64_t now_us, struct reel_message *request)
{
    REEL_ASSERT (!connection->open);
    struct reel_buf request_id = {0};
    reel_pack_uint (&request_id, connection->request_id + 1);
    enum reel_status status = reel_buf_status (&request_id);
    if (status == REEL_OK) {
        reel_message_set (request, REEL_F_REQUEST_ID, reel_buf_slice (&request_id));
        reel_buf_clear (&connection->header);
        reel_message_encode (request, &connection->header);
        status = reel_buf_status (&connection->header);
    }
    reel_buf_free (&request_id);
    if (status != REEL_OK)
        return status;
    connection->request_id++;
    connection->command = request->command;
    connection->has_document = request->has_document;
    connection->document = request->document;
    connection->open = true;
    connection->sent = false;
    connection->sent_once = false;
    connection->unsent_since_us = now_us;
    return REEL_OK;
}

void
reel_connection_abandon (struct reel_connection *connection)
{
    connection->open = false;
    connection->document = REEL_SLICE_NONE;
}

/* Reads what the monitor has to tell: a number of 16 bits is the event, what follows does not matter. */
static enum reel_status
notice_changes (struct reel_connection *connection, int64_t now_us)
{
    for (;;) {
        uint16_t event = 0;
        enum reel_status status = reel_socket_receive (connection->monitor, &connection->inbox);
        if (status != REEL_OK)
            return status == REEL_AGAIN ? REEL_OK : status;
        if (connection->inbox.frames[0].len >= sizeof event)
            memcpy (&event, connection->inbox.frames[0].data, sizeof event);
        connection->up = event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
        if (connection->sent && !connection->up) {
            connection->sent = false;
            connection->unsent_since_us = now_us;
        }
    }
}

/*
 * Sends over a connection that is up. Right after a loss libzmq would still take a message for the old one, and lose
 * it; asking for ZMQ_EVENTS once the new one was announced makes it notice (run).
 */
static enum reel_status
send_request (struct reel_connection *connection)
{
    int events = 0;
    size_t len = sizeof events;
    if (zmq_getsockopt (connection->dealer, ZMQ_EVENTS, &events, &len) != 0)
        return REEL_IO;
    if ((events & ZMQ_POLLOUT) == 0)
        return REEL_OK;
    enum reel_status status = reel_socket_send_message (connection->dealer, NULL, REEL_SLICE_NONE, false,
                                                        connection->command, reel_buf_slice (&connection->header),
                                                        connection->has_document ? &connection->document : NULL);
    connection->sent = status == REEL_OK;
    connection->sent_once = connection->sent_once || connection->sent;
    return status == REEL_AGAIN ? REEL_OK : status;
}

static bool
answers (const struct reel_connection *connection, const struct reel_message *reply)
{
    struct reel_value request_id;
    return reel_message_has (reply, REEL_F_REQUEST_ID)
           && reel_scan_value (reply->value[REEL_F_REQUEST_ID].s, &request_id) && request_id.type == REEL_UINT
           && request_id.u == connection->request_id;
}

/* The reply to the open request, passing over late ones to earlier requests. */
static enum reel_status
receive_reply (struct reel_connection *connection, struct reel_message *reply, struct reel_error *err)
{
    for (;;) {
        enum reel_status status = reel_socket_receive (connection->dealer, &connection->inbox);
        if (status != REEL_OK)
            return status;
        status = reel_message_decode (REEL_CLIENT_REPLY, connection->command, connection->inbox.frames,
                                      connection->inbox.count, reply, err);
        if (status == REEL_NO_MEMORY)
            return status;
        /* What cannot be read is an answer to us if it says so, or if it does not say to whom. */
        if (answers (connection, reply) || (status != REEL_OK && !reel_message_has (reply, REEL_F_REQUEST_ID)))
            return status;
    }
}

enum reel_status
reel_connection_advance (struct reel_connection *connection, int64_t now_us, struct reel_message *reply,
                         struct reel_error *err)
{
    REEL_ASSERT (connection->open);
    enum reel_status status = notice_changes (connection, now_us);
    if (status == REEL_OK && connection->up && !connection->sent)
        status = send_request (connection);
    if (status == REEL_OK)
        status = receive_reply (connection, reply, err);
    if (status == REEL_IO)
        (void) reel_error_set (err, REEL_IO, "socket_failed", NULL, "the connection cannot be used any more");
    if (status != REEL_AGAIN)
        reel_connection_abandon (connection);
    return status;
}

void
reel_connection_polls (const struct reel_connection *connection, zmq_pollitem_t polls[REEL_CONNECTION_POLLS])
{
    short events = ZMQ_POLLIN;
    if (connection->open && connection->up && !connection->sent)
        events |= ZMQ_POLLOUT;
    polls[0] = (zmq_pollitem_t){.socket = connection->dealer, .events = events};
    polls[1] = (zmq_pollitem_t){.socket = connection->monitor, .events = ZMQ_POLLIN};
}
