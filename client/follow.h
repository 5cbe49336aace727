/*
 * Following events without loss, doubles or disorder: what decides, without a socket.
 *
 * Two sources bring the same events: the broker's PUB socket, which may drop, and EVENTS,
 * which does not but must be asked. What the first brought goes in through
 * reel_follow_deliver(), a reply of the second through reel_follow_page(); reel_follow_ask()
 * says when to ask; reel_follow_next() gives out every kept event once, in order, with the
 * progress that was heard in between. Source: the recipe for followers in the protocol.
 *
 * Everything with a seq up to `checked` was given out (or is none of ours). A live event
 * that directly follows is given out at once; one that does not waits while the gap is asked
 * for. A gap shows by `seq` when everything is followed, by `index` when one workflow is,
 * and by a beat that is ahead; what was lost last of all, by silence.
 */
#ifndef REEL_CLIENT_FOLLOW_H
#define REEL_CLIENT_FOLLOW_H

#include "base/bytes.h"
#include "base/limits.h"

#define REEL_FOLLOW_SILENCE_US 3000000 /* without even a beat: ask */
#define REEL_FOLLOW_QUIET_US 5000000   /* one workflow: beats go on, but nothing of ours comes: ask */
#define REEL_FOLLOW_RETRY_US 250000    /* after a failed asking; doubles */
#define REEL_FOLLOW_RETRY_MAX_US 2000000
#define REEL_FOLLOW_WAITING_BYTES_MAX (4u << 20) /* live events that wait behind a gap; past it EVENTS brings them */

struct reel_follow {
    char workflow_id[REEL_ID_BYTES_MAX + 1]; /* "": all of them */
    uint64_t checked;
    uint64_t target;     /* `checked` must come to here */
    uint64_t horizon;    /* seq of the newest beat */
    uint64_t evidence;   /* the highest seq that the broker has shown */
    uint64_t epoch;      /* of the newest beat; 0: none yet */
    uint64_t last_index; /* one workflow: of its newest event given out */
    bool index_known;
    bool started; /* an event was given out: a jump from here on is a loss */
    bool want;    /* ask, whatever `target` says */
    bool asking;
    uint64_t asked_after;
    uint64_t asked_target;
    uint64_t asked_evidence;
    int64_t not_before_us; /* no asking earlier */
    int64_t retry_us;
    int64_t heard_us; /* of the last delivery, or the last asking that silence brought about */
    int64_t own_us;   /* the same for an event of the one workflow */
    uint64_t lost;
    bool ended;
    struct reel_buf ready; /* maps one after the other; what lies before `ready_at` was given out */
    size_t ready_at;
    struct reel_buf waiting;
};

/* Begins to follow workflow_id (none: everything) past the event `after` (0: from the oldest kept). */
void reel_follow_init (struct reel_follow *follow, struct reel_slice workflow_id, uint64_t after, int64_t now_us);
void reel_follow_free (struct reel_follow *follow);

/* Takes in one message of the events socket. What is no event of ours is passed over. REEL_NO_MEMORY: no harm done,
 * the event will be asked for. */
enum reel_status reel_follow_deliver (struct reel_follow *follow, int64_t now_us, struct reel_slice topic,
                                      struct reel_slice body) REEL_MUST_USE;

/*
 * Should EVENTS be asked now, with which `after`? When true, the asking counts as begun: it
 * must be ended by reel_follow_page() or reel_follow_failed(). The workflow is `workflow_id`.
 */
bool reel_follow_ask (struct reel_follow *follow, int64_t now_us, uint64_t *after);
/* The next time at which reel_follow_ask() may turn true without a delivery. */
int64_t reel_follow_wake_us (const struct reel_follow *follow);

/* A reply to EVENTS. */
struct reel_follow_page {
    uint64_t last_seq;
    bool more;
    struct reel_slice events; /* an array */
};
/*
 * Takes in the reply to the asking under way. REEL_INVALID (code "malformed": it is no reply
 * that a broker gives; "journal_replaced": the broker now has fewer events than it had shown,
 * so this is another history) and REEL_NO_MEMORY leave the follower unable to go on.
 */
enum reel_status reel_follow_page (struct reel_follow *follow, int64_t now_us, const struct reel_follow_page *page,
                                   struct reel_error *err) REEL_MUST_USE;
/* The asking under way came to nothing; it will be wanted again after a while. */
void reel_follow_failed (struct reel_follow *follow, int64_t now_us);

/* The next event, if one is there; borrowed until the next delivery or page. */
bool reel_follow_next (struct reel_follow *follow, struct reel_slice *event);
/* One workflow was followed and its final event was given out. */
bool reel_follow_ended (const struct reel_follow *follow);

#endif
