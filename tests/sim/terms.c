/*
 * For how long a lease is good, told from the messages alone: what its worker has heard of it, and what the broker has
 * read. Whatever the worker dispatches is held against that.
 *
 * A worker that has heard FENCED begins nothing more under that lease. What may not run twice begins only while less
 * than lease_ms has passed since a message was sent that the broker has answered, and nothing at all begins before that
 * once the worker stood still for lease_ms.
 */
#include <string.h>

#include "base/clock.h"
#include "proto/scan.h"
#include "tests/sim/sim.h"

#define TERMS_MAX 64
#define REPORTS_MAX 256

struct term {
    struct reel_lease lease;
    uint64_t flow; /* hash of its id */
    uint64_t delivery;
    bool fenced;
    int64_t heard_us;
    int64_t confirmed_us;             /* when the newest message was sent that was answered; SIM_NEVER: none was */
    int64_t stood_us;                 /* it stood still until then; 0: it did not */
    int64_t reported_us[REPORTS_MAX]; /* by its last index: when the newest report was sent that the broker has read */
};

static struct holder {
    struct term terms[TERMS_MAX]; /* the newest ones, by `count` */
    uint64_t count;
    int64_t lease_ms;
    int64_t turn_us; /* when it last came round */
} holders[SIM_WORKERS_MAX];

/* --- finding -------------------------------------------------------------------------------- */

static struct reel_lease
lease_in (struct reel_slice header)
{
    struct reel_lease lease = {0};
    struct reel_slice bytes;
    if (reel_scan_find (header, reel_slice_text ("lease"), &bytes))
        SIM_HOLDS ("form", reel_lease_read (bytes, &lease), "a lease that is none");
    return lease;
}

/* The one that was granted `age` before the newest; NULL: nobody knows any more. */
static struct term *
term_of (struct holder *holder, uint64_t age)
{
    return age < holder->count && age < TERMS_MAX ? &holder->terms[(holder->count - 1 - age) % TERMS_MAX] : NULL;
}

static struct term *
find (struct holder *holder, struct reel_lease lease)
{
    struct term *term;
    for (uint64_t age = 0; (term = term_of (holder, age)) != NULL; age++)
        if (reel_lease_equal (term->lease, lease))
            return term;
    return NULL;
}

/* --- what is said --------------------------------------------------------------------------- */

static void
confirm (struct term *term, int64_t sent_us)
{
    if (term->confirmed_us == SIM_NEVER || term->confirmed_us < sent_us)
        term->confirmed_us = sent_us;
}

static void
hear_assign (struct holder *holder, struct reel_slice header)
{
    struct reel_slice id = REEL_SLICE_NONE;
    struct reel_lease lease = lease_in (header);
    if (find (holder, lease) != NULL)
        return;
    struct term *term = &holder->terms[holder->count++ % TERMS_MAX];
    *term = (struct term){.lease = lease, .heard_us = sim_now_us, .confirmed_us = SIM_NEVER};
    SIM_HOLDS ("form",
               reel_scan_find_str (header, "workflow_id", &id)
                   && reel_scan_find_uint (header, "delivery", &term->delivery),
               "an ASSIGN of nothing");
    term->flow = sim_hash (id);
}

static void
hear_ack (struct term *term, struct reel_slice header)
{
    uint64_t index = 0;
    (void) reel_scan_find_uint (header, "report_index", &index);
    for (uint64_t i = 0; i <= index && i < REPORTS_MAX; i++)
        if (term->reported_us[i] != 0)
            confirm (term, term->reported_us[i]);
}

/* It answers for every lease that was there when the worker's own was sent. */
static void
hear_heartbeat (struct holder *holder, struct reel_slice header)
{
    uint64_t at_us = 0;
    struct term *term;
    SIM_HOLDS ("form", reel_scan_find_uint (header, "sent_us", &at_us), "a HEARTBEAT that answers none");
    int64_t sent_us = sim_now_us - (reel_clock_monotonic_us () - (int64_t) at_us);
    for (uint64_t age = 0; (term = term_of (holder, age)) != NULL; age++)
        if (term->heard_us <= sent_us)
            confirm (term, sent_us);
}

void
sim_terms_heard (const struct sim_packet *packet)
{
    struct holder *holder = &holders[packet->peer];
    struct reel_slice command = sim_packet_frame (packet, 1), header = sim_packet_frame (packet, 2);
    uint64_t lease_ms;
    if (reel_slice_is (command, "WELCOME") && reel_scan_find_uint (header, "lease_ms", &lease_ms))
        holder->lease_ms = (int64_t) lease_ms;
    else if (reel_slice_is (command, "ASSIGN"))
        hear_assign (holder, header);
    else if (reel_slice_is (command, "HEARTBEAT"))
        hear_heartbeat (holder, header);
    struct term *term = find (holder, lease_in (header));
    if (term != NULL && reel_slice_is (command, "FENCED"))
        term->fenced = true;
    else if (term != NULL && reel_slice_is (command, "ACK"))
        hear_ack (term, header);
}

void
sim_terms_read (const struct sim_packet *packet)
{
    struct reel_slice header = sim_packet_frame (packet, 2);
    struct reel_value events;
    uint64_t first;
    if (!reel_slice_is (sim_packet_frame (packet, 1), "REPORT"))
        return;
    struct term *term = find (&holders[packet->peer], lease_in (header));
    if (term == NULL || !reel_scan_find_uint (header, "report_index", &first))
        return;
    SIM_HOLDS ("form", reel_scan_value (sim_packet_frame (packet, 3), &events), "a report of nothing");
    uint64_t last = first + events.count - 1;
    SIM_HOLDS ("bounds", last < REPORTS_MAX, "%llu events under one lease", (unsigned long long) last);
    if (term->reported_us[last] < packet->sent_us)
        term->reported_us[last] = packet->sent_us;
}

/* --- what is done --------------------------------------------------------------------------- */

void
sim_terms_begin (unsigned worker)
{
    holders[worker] = (struct holder){.turn_us = sim_now_us};
}

void
sim_terms_turn (unsigned worker)
{
    struct holder *holder = &holders[worker];
    struct term *term;
    bool stood = holder->lease_ms > 0 && sim_now_us - holder->turn_us >= holder->lease_ms * 1000;
    holder->turn_us = sim_now_us;
    for (uint64_t age = 0; stood && (term = term_of (holder, age)) != NULL; age++)
        term->stood_us = sim_now_us;
}

void
sim_terms_reports (unsigned worker, struct reel_slice header)
{
    const struct term *term = find (&holders[worker], lease_in (header));
    SIM_HOLDS ("fencing", term == NULL || !term->fenced, "worker %u reports under lease %llu, which was fenced", worker,
               (unsigned long long) term->lease.counter);
}

void
sim_terms_calls (unsigned worker, const struct reel_call *call, enum reel_adapter_class class)
{
    struct holder *holder = &holders[worker];
    const struct term *term;
    uint64_t flow = sim_hash (call->workflow_id), age = 0;
    while ((term = term_of (holder, age)) != NULL && (term->flow != flow || term->delivery != call->delivery))
        age++;
    SIM_HOLDS ("terms", term != NULL && holder->lease_ms > 0, "worker %u works under a lease that it was not given",
               worker);
    SIM_HOLDS ("fencing", !term->fenced, "worker %u calls something under lease %llu, which was fenced", worker,
               (unsigned long long) term->lease.counter);
    if (call->hook != REEL_HOOK_NONE)
        return;
    bool confirmed = term->confirmed_us != SIM_NEVER;
    SIM_HOLDS ("terms", term->stood_us == 0 || (confirmed && term->confirmed_us >= term->stood_us),
               "worker %u stood still, and begins a step without having asked", worker);
    SIM_HOLDS ("terms",
               class == REEL_ADAPTER_IDEMPOTENT
                   || (confirmed && sim_now_us - term->confirmed_us < holder->lease_ms * 1000),
               "worker %u begins a step under lease %llu, which may be over", worker,
               (unsigned long long) term->lease.counter);
}
