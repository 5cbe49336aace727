/*
 * What a workflow that nobody works on waits for, in words.
 */
#ifndef REEL_CLIENT_WAITING_H
#define REEL_CLIENT_WAITING_H

#include "base/bytes.h"
#include "client/reel.h"

/*
 * Appends what is waited for, such as "waiting for a worker that serves `video`; no worker is
 * connected", out of header and document of an OK to GET and the header of an OK to STATS (none:
 * len 0); nothing when somebody is at work on it or it has ended. Not yet safe to show.
 */
void reel_waiting_add (struct reel_buf *out, struct reel_slice header, struct reel_slice document,
                       struct reel_slice stats, int64_t now_us);

/* The same for a reply to GET, asking for the STATS where they matter. */
void reel_waiting_ask (struct reel_buf *out, struct reel_client *client, const struct reel_client_reply *got);

#endif
