/*
 * Who may be connected to a bound socket, and how many at a time.
 *
 * libzmq accepts whoever comes, and spins when it is out of file descriptors. A door counts the connections of one
 * socket through its monitor, and closes those past the limit as soon as they are there. Their peers see a
 * connection that ended, and try again by themselves.
 */
#ifndef REEL_NET_DOOR_H
#define REEL_NET_DOOR_H

#include "net/socket.h"

struct reel_door {
    void *socket; /* borrowed */
    void *monitor;
    struct reel_inbox inbox;
    uint64_t connections_max;
    uint64_t connections; /* now, those included that are being closed */
    uint64_t refused;     /* ever */
    bool open;
};

/* Before the socket is bound; the door is closed before the socket is. REEL_IO: err says why. */
enum reel_status reel_door_open (void *context, void *socket, uint64_t connections_max, struct reel_door *door,
                                 struct reel_error *err) REEL_MUST_USE;
/* Tells like ZMQ_FD that there may be something to attend to. -1: err says why. */
int reel_door_fd (const struct reel_door *door, struct reel_error *err);
/* Counts who came and went, and turns away who is too many. */
enum reel_status reel_door_attend (struct reel_door *door) REEL_MUST_USE;
/* Nothing happens to one that is all zeros. */
void reel_door_close (struct reel_door *door);

#endif
