/*
 * A connection is turned away with shutdown(2): its descriptor is libzmq's, which sees the end of it and cleans up as
 * after any other. Between the monitor's word and the shutdown the descriptor may have become somebody else's;
 * then that one is turned away, and comes back.
 */
#include "net/door.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mutant.h"

/* Events that wait to be attended to. libzmq's thread waits for us past them. */
#define WAITING_MAX 100000
/* Turned away at once. */
#define EXCESS_MAX 256

enum reel_status
reel_door_open (void *context, void *socket, uint64_t connections_max, struct reel_door *door, struct reel_error *err)
{
    char endpoint[64];
    const struct reel_socket_setup setup = {.type = ZMQ_PAIR, .receive_max = WAITING_MAX};
    *door = (struct reel_door){.socket = socket, .connections_max = connections_max};
    reel_inbox_init (&door->inbox);
    door->open = true;
    (void) snprintf (endpoint, sizeof endpoint, "inproc://reel-door-%p", socket);
    if (zmq_socket_monitor (socket, endpoint, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED) != 0)
        return reel_error_set (err, REEL_IO, "socket_failed", NULL, "cannot watch a socket: %s", zmq_strerror (errno));
    enum reel_status status = reel_socket_open (context, &setup, &door->monitor, err);
    return status == REEL_OK ? reel_socket_connect (door->monitor, endpoint, err) : status;
}

int
reel_door_fd (const struct reel_door *door, struct reel_error *err)
{
    int fd;
    size_t len = sizeof fd;
    if (zmq_getsockopt (door->monitor, ZMQ_FD, &fd, &len) == 0)
        return fd;
    (void) reel_error_set (err, REEL_IO, "socket_failed", NULL, "ZMQ_FD: %s", zmq_strerror (errno));
    return -1;
}

static void
forget (int *excess, size_t *count, int fd)
{
    for (size_t i = 0; i < *count; i++)
        if (excess[i] == fd)
            excess[i--] = excess[--*count];
}

enum reel_status
reel_door_attend (struct reel_door *door)
{
    int excess[EXCESS_MAX];
    size_t count = 0;
    enum reel_status status;
    while ((status = reel_socket_receive (door->monitor, &door->inbox)) == REEL_OK) {
        uint16_t event;
        uint32_t value;
        struct reel_slice frame = door->inbox.frames[0];
        if (frame.len < sizeof event + sizeof value)
            continue;
        memcpy (&event, frame.data, sizeof event);
        memcpy (&value, frame.data + sizeof event, sizeof value);
        if (event == ZMQ_EVENT_ACCEPTED && ++door->connections > door->connections_max && !REEL_MUTANT_IS (62)) {
            door->refused++;
            if (count == EXCESS_MAX)
                (void) shutdown (excess[--count], SHUT_RDWR);
            excess[count++] = (int) value;
        } else if (event == ZMQ_EVENT_DISCONNECTED && door->connections > 0) {
            door->connections--;
            forget (excess, &count, (int) value);
        }
    }
    while (count > 0)
        (void) shutdown (excess[--count], SHUT_RDWR);
    return status == REEL_AGAIN ? REEL_OK : status;
}

void
reel_door_close (struct reel_door *door)
{
    if (!door->open)
        return;
    (void) zmq_socket_monitor (door->socket, NULL, 0);
    reel_socket_close (&door->monitor);
    reel_inbox_free (&door->inbox);
    *door = (struct reel_door){0};
}
