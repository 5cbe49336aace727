/*
 * Somebody who follows all events: the rules of client/follow.h, over a subscription that loses what it likes and a
 * connection like any other. Whatever else happens he is given every event once, in order.
 */
#include "client/follow.h"
#include "proto/message.h"
#include "proto/scan.h"
#include "tests/sim/sim.h"

#define ANSWER_US_MAX 5000000

static struct follower {
    bool begun;
    int64_t begin_us;
    struct reel_follow rules;
    uint64_t seq; /* of the last event that he was given */
    uint64_t request;
    int64_t asked_us;
} follower;

static void
take (void)
{
    struct reel_slice event;
    uint64_t seq;
    while (reel_follow_next (&follower.rules, &event)) {
        if (!reel_scan_find_uint (event, "seq", &seq))
            continue; /* progress, which is not kept */
        sim_oracle_told_event (event);
        SIM_HOLDS (
            "following", seq == follower.seq + 1 || (seq > follower.seq && seq <= sim_oracle_forgotten_seq () + 1),
            "who follows is given event %llu after %llu", (unsigned long long) seq, (unsigned long long) follower.seq);
        follower.seq = seq;
        sim_counts.followed++;
    }
    SIM_HOLDS ("following", follower.rules.lost <= sim_oracle_forgotten_seq (),
               "who follows is told that %llu events are lost", (unsigned long long) follower.rules.lost);
    SIM_HOLDS ("memory",
               follower.rules.asking || follower.rules.want || follower.rules.checked < follower.rules.target
                   || follower.rules.waiting.len == 0,
               "who follows keeps what he was given");
}

static void
begin (uint64_t after)
{
    follower.begun = true;
    follower.seq = after;
    follower.request = 0;
    reel_follow_init (&follower.rules, REEL_SLICE_NONE, after, sim_now_us);
}

static void
give_up_asking (void)
{
    follower.request = 0;
    reel_follow_failed (&follower.rules, sim_now_us);
}

/* --- the doors ------------------------------------------------------------------------------ */

void
sim_follower_begin (void)
{
    follower = (struct follower){.begin_us = (int64_t) sim_below ((uint64_t) sim_plan.faults_us)};
}

void
sim_follower_end (void)
{
    reel_follow_free (&follower.rules);
}

void
sim_follower_delivered (struct reel_slice topic, struct reel_slice body)
{
    if (!follower.begun)
        return;
    SIM_HOLDS ("memory", reel_follow_deliver (&follower.rules, sim_now_us, topic, body) == REEL_OK, "out of memory");
    take ();
}

void
sim_follower_told (uint64_t request, const struct reel_message *reply)
{
    struct reel_error err = {0};
    if (request != follower.request)
        return;
    if (reply->command != REEL_OK_EVENTS) {
        give_up_asking ();
        return;
    }
    const struct reel_follow_page page = {
        .last_seq = reply->value[REEL_F_LAST_SEQ].u, .more = reply->value[REEL_F_MORE].b, .events = reply->document};
    follower.request = 0;
    SIM_HOLDS ("following", reel_follow_page (&follower.rules, sim_now_us, &page, &err) == REEL_OK,
               "who follows cannot go on: %s", err.message);
    take ();
}

void
sim_follower_crash (void)
{
    if (!follower.begun)
        return;
    reel_follow_free (&follower.rules);
    begin (sim_below (4) == 0 ? 0 : follower.seq);
}

int64_t
sim_follower_next_us (void)
{
    return !follower.begun         ? follower.begin_us
           : follower.request != 0 ? follower.asked_us + ANSWER_US_MAX
                                   : reel_follow_wake_us (&follower.rules);
}

void
sim_follower_turn (void)
{
    uint64_t after;
    if (!follower.begun)
        begin (sim_below (2) == 0 ? 0 : sim_oracle_last_seq ());
    else if (follower.request != 0)
        give_up_asking ();
    if (!reel_follow_ask (&follower.rules, sim_now_us, &after))
        return;
    follower.request = sim_client_ask_events (SIM_FOLLOWER, after);
    follower.asked_us = sim_now_us;
}

bool
sim_follower_done (void)
{
    uint64_t gone = sim_oracle_forgotten_seq ();
    return follower.begun && (follower.seq > gone ? follower.seq : gone) == sim_oracle_last_seq ();
}
