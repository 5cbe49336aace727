/*
 * What libzmq still holds of what was sent through one socket, in bytes, for each peer and for all.
 *
 * High-water marks count messages, of which one may be a few bytes and the next one many MiB: a peer that asks and does
 * not read would have its answers kept by the gigabyte. Who sends asks here first how much that peer may still have.
 */
#ifndef REEL_NET_BACKLOG_H
#define REEL_NET_BACKLOG_H

#include <zmq.h>

#include "base/bytes.h"

/* Shorter frames are not counted: libzmq keeps them within its own messages, whose number is bounded. */
#define REEL_BACKLOG_FRAME_BYTES_MIN 64
/* So much each peer may have, whatever the others have. */
#define REEL_BACKLOG_FLOOR_BYTES (64u << 10)

struct reel_backlog;

/* `bytes_max`: of all peers together, beside the floor of each. REEL_NO_MEMORY. */
enum reel_status reel_backlog_create (uint64_t bytes_max, struct reel_backlog **backlog) REEL_MUST_USE;
/* Frees and nulls; once the context is terminated, for until then libzmq may hold something. NULL inside is fine. */
void reel_backlog_free (struct reel_backlog **backlog);

/* How many bytes more may be sent to a peer that may have one of `parts` equal parts of what the others leave. One to
 * whom nothing is under way may have all of it; and whatever it is, if nothing is under way to anybody. */
uint64_t reel_backlog_room (struct reel_backlog *backlog, struct reel_slice peer, unsigned parts);
/* What is held now, of all peers. */
uint64_t reel_backlog_bytes (struct reel_backlog *backlog);

/* Makes a message of a copy of `frame`, which counts for the peer until libzmq has sent or dropped it. REEL_NO_MEMORY:
 * there is no message. */
enum reel_status reel_backlog_wrap (struct reel_backlog *backlog, struct reel_slice peer, struct reel_slice frame,
                                    zmq_msg_t *message) REEL_MUST_USE;

#endif
