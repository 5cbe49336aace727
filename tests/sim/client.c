/*
 * Those who ask: a producer that submits until it is told OK, an operator who wants this and that of workflows in any
 * state, and an auditor who in the end asks for everything that was kept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/message.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/sim/sim.h"

#define REQUESTS_MAX 256
#define RERUNS_MAX 30
#define ANEW_MAX 8 /* so many that are forgotten are submitted again */

enum { PRODUCER, OPERATOR, AUDITOR };

struct order {
    char id[16];
    struct reel_buf document, other; /* the one that it is about, and one under the same id */
    int64_t at_us;                   /* when to say it, or say it again */
    bool acknowledged;
};

struct request {
    uint64_t id;
    enum reel_command command;
    unsigned client;
    unsigned order;
    uint64_t document; /* hash */
    bool answered;
};

struct audit {
    bool begun, events_done, list_done, stats_done;
    uint64_t after, before;
    uint64_t list_request; /* the newest; answers to others are late */
    size_t listed;
    bool receipts[SIM_FLOWS_MAX]; /* whose was told? */
    int64_t again_us;
};

static struct order orders[SIM_FLOWS_MAX];
static struct request requests[REQUESTS_MAX];
static uint64_t request_id;
static unsigned reruns, anew;
static int64_t operator_us;
static struct audit audit;
static struct reel_message message;

/* --- documents ------------------------------------------------------------------------------ */

static const char *const modalities[] = {"echo", "sleep", "fail", "flaky", "paid", "paid", "paid", "job", "job"};
static const char *const doubts[] = {NULL, "hold", "retry", "fail"};

static void
pack_pair (struct reel_buf *out, const char *key, const char *value)
{
    reel_pack_text (out, key);
    reel_pack_text (out, value);
}

static void
pack_policy (struct reel_buf *out)
{
    const char *doubt = doubts[sim_below (4)];
    bool retry = sim_below (2) == 0;
    reel_pack_map (out, (uint32_t) retry + (doubt != NULL));
    if (retry) {
        reel_pack_text (out, "retry");
        reel_pack_map (out, 2);
        reel_pack_text (out, "max_attempts");
        reel_pack_uint (out, 1 + sim_below (4));
        reel_pack_text (out, "backoff_ms");
        reel_pack_uint (out, sim_below (2000));
    }
    if (doubt != NULL)
        pack_pair (out, "in_doubt", doubt);
}

static void
pack_payload (struct reel_buf *out, const char *modality, unsigned depends_on, bool refer)
{
    char pointer[32];
    if (strcmp (modality, "sleep") == 0) {
        reel_pack_map (out, 1);
        reel_pack_text (out, "ms");
        reel_pack_uint (out, sim_below ((uint64_t) sim_plan.lease_ms * 2));
    } else if (refer) {
        snprintf (pointer, sizeof pointer, "#/s%u/output", depends_on);
        reel_pack_map (out, 1);
        reel_pack_text (out, "from");
        reel_pack_map (out, 1);
        pack_pair (out, "$ref", pointer);
    } else {
        reel_pack_map (out, 1);
        reel_pack_text (out, "n");
        reel_pack_uint (out, sim_below (1000));
    }
}

static void
pack_step (struct reel_buf *out, unsigned number)
{
    char id[16];
    const char *modality = modalities[sim_below (sizeof modalities / sizeof *modalities)];
    bool depends = number > 0 && sim_below (3) == 0;
    bool policy = sim_below (4) != 0, done = number == 0 && sim_below (16) == 0;
    unsigned depends_on = depends ? (unsigned) sim_below (number) : 0;
    snprintf (id, sizeof id, "s%u", number);
    reel_pack_map (out, 3 + (uint32_t) depends + policy + 2 * (uint32_t) done);
    pack_pair (out, "step_id", id);
    pack_pair (out, "modality", modality);
    reel_pack_text (out, "payload");
    pack_payload (out, modality, depends_on, depends && sim_below (2) == 0);
    if (depends) {
        snprintf (id, sizeof id, "s%u", depends_on);
        reel_pack_text (out, "depends_on");
        reel_pack_array (out, 1);
        reel_pack_text (out, id);
    }
    if (policy) {
        reel_pack_text (out, "policy");
        pack_policy (out);
    }
    if (done) {
        pack_pair (out, "status", "succeeded");
        reel_pack_text (out, "receipt");
        reel_pack_map (out, 1);
        reel_pack_text (out, "output");
        reel_pack_map (out, 0);
    }
}

static void
begin_document (struct reel_buf *out, const char *id, uint32_t steps)
{
    reel_pack_map (out, 2);
    pack_pair (out, "workflow_id", id);
    reel_pack_text (out, "steps");
    reel_pack_array (out, steps);
}

static void
make_order (unsigned number)
{
    struct order *order = &orders[number];
    uint32_t steps = 1 + (uint32_t) sim_below (SIM_STEPS_MAX);
    snprintf (order->id, sizeof order->id, "wf%u", number);
    begin_document (&order->other, order->id, 1);
    reel_pack_map (&order->other, 2);
    pack_pair (&order->other, "step_id", "s0");
    pack_pair (&order->other, "modality", "echo");
    begin_document (&order->document, order->id, steps);
    for (uint32_t i = 0; i < steps; i++)
        pack_step (&order->document, i);
    order->at_us = (int64_t) sim_below ((uint64_t) sim_plan.faults_us);
    SIM_HOLDS ("memory", reel_buf_status (&order->document) == REEL_OK && reel_buf_status (&order->other) == REEL_OK,
               "out of memory");
}

/* --- asking --------------------------------------------------------------------------------- */

static struct reel_message *
begin (enum reel_command command)
{
    reel_message_init (&message, command);
    return &message;
}

static void
ask (unsigned client, unsigned order)
{
    struct reel_buf header = {0}, id = {0};
    struct request *request = &requests[++request_id % REQUESTS_MAX];
    *request = (struct request){.id = request_id, .command = message.command, .client = client, .order = order};
    if (message.command == REEL_SUBMIT)
        request->document = sim_hash (message.document);
    reel_pack_uint (&id, request_id);
    reel_message_set (&message, REEL_F_REQUEST_ID, reel_buf_slice (&id));
    reel_message_encode (&message, &header);
    const struct reel_slice frames[] = {reel_slice_text (REEL_PROTOCOL),
                                        reel_slice_text (reel_message_spec (message.command)->name),
                                        reel_buf_slice (&header), message.document};
    sim_trace (frames[2], "client %u: asks %s (%llu)", client, reel_message_spec (message.command)->name,
               (unsigned long long) request_id);
    sim_net_send (SIM_WORKERS_MAX + client, frames, message.has_document ? 4 : 3);
    reel_buf_free (&header);
    reel_buf_free (&id);
}

static void
submit (unsigned number)
{
    struct order *order = &orders[number];
    const struct sim_flow *known = order->acknowledged ? sim_oracle_find (reel_slice_text (order->id)) : NULL;
    if (known != NULL && known->forgotten && anew++ >= ANEW_MAX) {
        order->at_us = SIM_NEVER;
        return;
    }
    bool other = known != NULL && !known->forgotten && sim_below (2) == 0;
    struct reel_message *request = begin (REEL_SUBMIT);
    reel_message_set_document (request, reel_buf_slice (other ? &order->other : &order->document));
    if (sim_below (3) == 0)
        reel_message_set_int (request, REEL_F_PRIORITY, (int64_t) sim_below (5) - 2);
    if (sim_below (8) == 0)
        reel_message_set_uint (request, REEL_F_NOT_BEFORE_US,
                               (uint64_t) (SIM_EPOCH_US + sim_now_us) + sim_below (20000000));
    ask (PRODUCER, number);
    order->at_us = sim_now_us + 500000 + (int64_t) sim_below (3000000);
}

uint64_t
sim_client_ask_events (unsigned client, uint64_t after)
{
    struct reel_message *request = begin (REEL_EVENTS);
    reel_message_set_uint (request, REEL_F_AFTER, after);
    if (sim_below (2) == 0)
        reel_message_set_uint (request, REEL_F_LIMIT, 1 + sim_below (30));
    ask (client, 0);
    return request_id;
}

static void
resolve (const struct sim_flow *flow)
{
    static const char *const outcomes[] = {"retry", "failed", "succeeded"};
    const char *as = outcomes[sim_below (3)];
    char step[16];
    static const uint8_t receipt[] = {0x80};
    struct reel_message *request = begin (REEL_RESOLVE);
    snprintf (step, sizeof step, "s%u", flow->next < flow->step_count ? flow->next : 0);
    reel_message_set_text (request, REEL_F_WORKFLOW_ID, flow->id);
    reel_message_set_text (request, REEL_F_STEP_ID, step);
    reel_message_set_text (request, REEL_F_AS, as);
    if (strcmp (as, "succeeded") == 0)
        reel_message_set (request, REEL_F_RECEIPT, reel_slice (receipt, sizeof receipt));
    ask (OPERATOR, 0);
}

static void
ask_about (unsigned client, enum reel_command command, const struct sim_flow *flow)
{
    struct reel_message *request = begin (command);
    if (flow != NULL)
        reel_message_set_text (request, REEL_F_WORKFLOW_ID, flow->id);
    if (command == REEL_RECEIPT && client == OPERATOR)
        reel_message_set_uint (request, REEL_F_WAIT_MS, sim_below (20000));
    if (command == REEL_EVENTS) {
        reel_message_set_uint (request, REEL_F_AFTER,
                               client == AUDITOR ? audit.after : sim_below (sim_oracle_last_seq () + 2));
        reel_message_set_uint (request, REEL_F_LIMIT, 1 + sim_below (200));
    }
    if (command == REEL_LIST && client == AUDITOR && audit.before > 0)
        reel_message_set_uint (request, REEL_F_AFTER, audit.before);
    if (command == REEL_LIST)
        reel_message_set_uint (request, REEL_F_LIMIT, 1 + sim_below (20));
    ask (client, 0);
    if (command == REEL_LIST && client == AUDITOR)
        audit.list_request = request_id;
}

static void
rerun (const struct sim_flow *flow)
{
    char id[16], step[16];
    if (reruns == RERUNS_MAX || sim_calm)
        return;
    struct reel_message *request = begin (REEL_RERUN);
    snprintf (id, sizeof id, "re%u", reruns++);
    snprintf (step, sizeof step, "s%u", (unsigned) sim_below (flow->step_count));
    reel_message_set_text (request, REEL_F_WORKFLOW_ID, flow->id);
    reel_message_set_text (request, REEL_F_NEW_WORKFLOW_ID, id);
    if (sim_below (2) == 0)
        reel_message_set_text (request, REEL_F_FROM_STEP, step);
    ask (OPERATOR, 0);
}

static struct sim_flow *
any_flow (enum sim_state state)
{
    size_t count = sim_oracle_flow_count (), first = count > 0 ? sim_below (count) : 0;
    for (size_t i = 0; i < count; i++)
        if (sim_oracle_flow ((first + i) % count)->state == state)
            return sim_oracle_flow ((first + i) % count);
    return count > 0 ? sim_oracle_flow (first) : NULL;
}

static void
operate (void)
{
    static const enum reel_command others[] = {REEL_LIST, REEL_WORKERS, REEL_STATS, REEL_PING, REEL_EVENTS};
    struct sim_flow *flow = any_flow ((enum sim_state) sim_below (4));
    operator_us = sim_now_us + 1 + (int64_t) sim_below (2000000);
    if (flow == NULL)
        return;
    switch (sim_below (16)) {
    case 0: ask_about (OPERATOR, REEL_CANCEL, flow); break;
    case 1: ask_about (OPERATOR, REEL_PAUSE, flow); break;
    case 2:
    case 3: ask_about (OPERATOR, REEL_RESUME, flow); break;
    case 4:
        if (sim_below (3) == 0)
            ask_about (OPERATOR, REEL_PAUSE, NULL);
        break;
    case 5: ask_about (OPERATOR, REEL_RESUME, NULL); break;
    case 6:
    case 7: resolve (any_flow (SIM_HELD)); break;
    case 8: rerun (any_flow (SIM_ENDED)); break;
    case 9:
    case 10: ask_about (OPERATOR, REEL_GET, flow); break;
    case 11:
    case 12: ask_about (OPERATOR, REEL_RECEIPT, flow); break;
    case 13: ask_about (OPERATOR, REEL_EVENTS, flow); break;
    default: ask_about (OPERATOR, others[sim_below (5)], NULL); break;
    }
}

/* In the end whatever is held back is let go. */
static void
put_right (void)
{
    operator_us = sim_now_us + 1000000;
    if (sim_oracle_paused ())
        ask_about (OPERATOR, REEL_RESUME, NULL);
    for (size_t i = 0; i < sim_oracle_flow_count (); i++) {
        struct sim_flow *flow = sim_oracle_flow (i);
        if (flow->state != SIM_ENDED && flow->paused)
            ask_about (OPERATOR, REEL_RESUME, flow);
        if (flow->state == SIM_HELD)
            resolve (flow);
    }
}

/* --- answers -------------------------------------------------------------------------------- */

static void
hear_events (unsigned client)
{
    struct reel_cursor cursor = reel_scan_start (message.document);
    struct reel_value head;
    struct reel_slice event;
    uint64_t seq = 0;
    bool read = reel_scan_next (&cursor, &head);
    for (uint32_t i = 0; read && i < head.count; i++) {
        read = reel_scan_skip (&cursor, &event);
        sim_oracle_told_event (event);
        (void) reel_scan_find_uint (event, "seq", &seq);
        if (client == AUDITOR && seq > audit.after) {
            SIM_HOLDS ("numbering", seq == audit.after + 1 || seq == message.value[REEL_F_FIRST_SEQ].u,
                       "event %llu is missing", (unsigned long long) audit.after + 1);
            audit.after = seq;
        }
    }
    if (client != AUDITOR)
        return;
    if (audit.after < sim_oracle_forgotten_seq ())
        audit.after = sim_oracle_forgotten_seq (); /* the rest is gone */
    audit.events_done = !message.value[REEL_F_MORE].b && audit.after == sim_oracle_last_seq ();
    if (!audit.events_done)
        ask_about (AUDITOR, REEL_EVENTS, NULL);
}

static size_t
retained (void)
{
    size_t count = 0;
    for (size_t i = 0; i < sim_oracle_flow_count (); i++)
        count += !sim_oracle_flow (i)->forgotten;
    return count;
}

static void
hear_list (void)
{
    struct reel_cursor cursor = reel_scan_start (message.value[REEL_F_WORKFLOWS].s);
    struct reel_value head;
    struct reel_slice row, id, status;
    uint64_t seq = 0;
    bool read = reel_scan_next (&cursor, &head);
    for (uint32_t i = 0; read && i < head.count; i++) {
        read = reel_scan_skip (&cursor, &row) && reel_scan_find_str (row, "workflow_id", &id)
               && reel_scan_find_str (row, "status", &status) && reel_scan_find_uint (row, "seq", &seq);
        const struct sim_flow *flow = read ? sim_oracle_find (id) : NULL;
        SIM_HOLDS ("list", flow != NULL && reel_slice_is (status, flow->status), "%.*s is listed as %.*s",
                   REEL_TEXT (id), REEL_TEXT (status));
        SIM_HOLDS ("list", audit.before == 0 || seq < audit.before, "%.*s is listed out of order", REEL_TEXT (id));
        audit.listed++;
        audit.before = seq;
    }
    audit.list_done = !reel_message_has (&message, REEL_F_NEXT);
    if (audit.list_done)
        SIM_HOLDS ("list", audit.listed >= retained (), "%zu workflows are listed of %zu", audit.listed, retained ());
    else
        ask_about (AUDITOR, REEL_LIST, NULL);
}

static void
hear_receipt (void)
{
    for (size_t i = 0; i < sim_oracle_flow_count (); i++)
        if (!sim_oracle_flow (i)->forgotten
            && reel_slice_is (message.value[REEL_F_WORKFLOW_ID].s, sim_oracle_flow (i)->id))
            audit.receipts[i] = true;
}

static void
hear_stats (void)
{
    uint64_t leases = 1;
    SIM_HOLDS ("bounds", reel_scan_find_uint (message.value[REEL_F_GAUGES].s, "leases", &leases) && leases == 0,
               "%llu leases are left in the end", (unsigned long long) leases);
    audit.stats_done = true;
}

/* Was this document, or (not `same`) another accepted under its id? */
static bool
was_accepted (const struct request *request, bool same)
{
    for (size_t i = 0; i < sim_oracle_flow_count (); i++) {
        const struct sim_flow *flow = sim_oracle_flow (i);
        if (strcmp (flow->id, orders[request->order].id) == 0 && (flow->document == request->document) == same)
            return true;
    }
    return false;
}

static void
hear_submitted (const struct request *request)
{
    struct order *order = &orders[request->order];
    if (message.command == REEL_OK_SUBMIT) {
        SIM_HOLDS ("acknowledged is kept", was_accepted (request, true), "%s was lost, or is another", order->id);
        order->acknowledged = true;
        order->at_us = sim_below (4) == 0 && !sim_calm ? sim_now_us + (int64_t) sim_below (20000000) : SIM_NEVER;
        return;
    }
    struct reel_slice code = message.command == REEL_CLIENT_ERROR ? message.value[REEL_F_CODE].s : REEL_SLICE_NONE;
    if (reel_slice_is (code, "conflict")) {
        SIM_HOLDS ("answers", was_accepted (request, false), "%s is refused, and is no other than it was", order->id);
        sim_counts.conflicts++;
        order->at_us = SIM_NEVER;
        return;
    }
    SIM_HOLDS ("answers", reel_slice_is (code, "overloaded") || reel_slice_is (code, "draining"),
               "a document is refused: %.*s", REEL_TEXT (message.value[REEL_F_MESSAGE].s));
}

static void
hear (const struct request *request)
{
    if (request->client == PRODUCER) {
        hear_submitted (request);
    } else if (request->client == SIM_FOLLOWER) {
        sim_follower_told (request->id, &message);
    } else if (message.command == REEL_OK_EVENTS) {
        hear_events (request->client);
    } else if (request->id == audit.list_request && message.command == REEL_OK_LIST) {
        hear_list ();
    } else if (request->client == AUDITOR && message.command == REEL_OK_RECEIPT) {
        hear_receipt ();
    } else if (request->client == AUDITOR && message.command == REEL_OK_STATS) {
        hear_stats ();
    }
}

void
sim_client_receive (unsigned client, struct sim_packet *packet)
{
    struct reel_slice frames[SIM_FRAMES_MAX], id;
    struct reel_value value = {0};
    struct reel_error err = {0};
    for (unsigned i = 0; i < packet->frame_count; i++)
        frames[i] = sim_packet_frame (packet, i);
    if (client == SIM_SUBSCRIBER) {
        sim_follower_delivered (sim_packet_frame (packet, 0), sim_packet_frame (packet, 1));
        free (packet);
        return;
    }
    SIM_HOLDS ("form", reel_scan_find (frames[2], reel_slice_text ("request_id"), &id) && reel_scan_value (id, &value),
               "an answer without a request_id");
    struct request *request = &requests[value.u % REQUESTS_MAX];
    sim_trace (frames[2], "client %u: hears %.*s (%llu)", client, REEL_TEXT (frames[1]), (unsigned long long) value.u);
    if (request->id == value.u) {
        SIM_HOLDS ("answers", request->client == client, "an answer for somebody else");
        SIM_HOLDS (
            "form",
            reel_message_decode (REEL_CLIENT_REPLY, request->command, frames, packet->frame_count, &message, &err)
                == REEL_OK,
            "an answer that cannot be read: %s", err.message);
        SIM_HOLDS ("answers", !request->answered, "request %llu is answered twice", (unsigned long long) value.u);
        request->answered = true;
        const struct request asked = *request;
        hear (&asked);
    }
    free (packet);
}

/* --- the end -------------------------------------------------------------------------------- */

/* Nothing is under way any more that could make another workflow. */
static bool
all_over (void)
{
    if (sim_now_us < sim_plan.faults_us + 5 * SIM_LATE_US)
        return false;
    for (unsigned i = 0; i < sim_plan.flows; i++)
        if (!orders[i].acknowledged)
            return false;
    for (size_t i = 0; i < sim_oracle_flow_count (); i++)
        if (sim_oracle_flow (i)->state != SIM_ENDED)
            return false;
    return true;
}

static void
ask_everything (void)
{
    audit.again_us = sim_now_us + 5000000;
    if (!audit.events_done)
        ask_about (AUDITOR, REEL_EVENTS, NULL);
    if (!audit.list_done) {
        audit.before = audit.listed = 0;
        ask_about (AUDITOR, REEL_LIST, NULL);
    }
    if (!audit.stats_done)
        ask_about (AUDITOR, REEL_STATS, NULL);
    for (size_t i = 0; i < sim_oracle_flow_count (); i++)
        if (!audit.receipts[i] && !sim_oracle_flow (i)->forgotten)
            ask_about (AUDITOR, REEL_RECEIPT, sim_oracle_flow (i));
}

bool
sim_clients_done (void)
{
    bool done = audit.begun && audit.events_done && audit.list_done && audit.stats_done && sim_follower_done ();
    for (size_t i = 0; i < sim_oracle_flow_count () && done; i++)
        done = audit.receipts[i] || sim_oracle_flow (i)->forgotten;
    return done;
}

void
sim_clients_explain (void)
{
    static const char *const states[] = {"queued", "running", "held", "ended"};
    for (unsigned i = 0; i < sim_plan.flows; i++)
        if (!orders[i].acknowledged)
            fprintf (stderr, "%s was never acknowledged\n", orders[i].id);
    for (size_t i = 0; i < sim_oracle_flow_count (); i++) {
        const struct sim_flow *flow = sim_oracle_flow (i);
        if (flow->state != SIM_ENDED)
            fprintf (stderr, "%s is %s at step %u (%s)%s\n", flow->id, states[flow->state], flow->next,
                     flow->steps[flow->next].modality, flow->paused ? ", paused" : "");
        else if (audit.begun && !audit.receipts[i])
            fprintf (stderr, "nobody told the receipt of %s\n", flow->id);
    }
    if (audit.begun && !(audit.events_done && audit.list_done && audit.stats_done))
        fprintf (stderr, "nobody told all events, workflows or figures\n");
    if (!sim_follower_done ())
        fprintf (stderr, "who follows has not been given every event\n");
}

/* --- the doors ------------------------------------------------------------------------------ */

void
sim_clients_begin (void)
{
    memset (requests, 0, sizeof requests);
    memset (&audit, 0, sizeof audit);
    memset (orders, 0, sizeof orders);
    audit.again_us = SIM_NEVER;
    request_id = reruns = anew = 0;
    operator_us = (int64_t) sim_below (5000000);
    for (unsigned i = 0; i < sim_plan.flows; i++)
        make_order (i);
    sim_follower_begin ();
}

void
sim_clients_end (void)
{
    sim_follower_end ();
    for (unsigned i = 0; i < SIM_FLOWS_MAX; i++) {
        reel_buf_free (&orders[i].document);
        reel_buf_free (&orders[i].other);
    }
}

int64_t
sim_clients_next_us (void)
{
    int64_t next = operator_us < audit.again_us ? operator_us : audit.again_us;
    next = sim_follower_next_us () < next ? sim_follower_next_us () : next;
    for (unsigned i = 0; i < sim_plan.flows; i++)
        next = orders[i].at_us < next ? orders[i].at_us : next;
    return next;
}

void
sim_clients_turn (void)
{
    if (sim_follower_next_us () <= sim_now_us)
        sim_follower_turn ();
    for (unsigned i = 0; i < sim_plan.flows; i++)
        if (orders[i].at_us <= sim_now_us)
            submit (i);
    if (operator_us <= sim_now_us && sim_calm)
        put_right ();
    else if (operator_us <= sim_now_us)
        operate ();
    if (sim_calm && !audit.begun && all_over ()) {
        audit.begun = true;
        operator_us = SIM_NEVER;
        ask_everything ();
    } else if (audit.again_us <= sim_now_us) {
        ask_everything ();
    }
}

void
sim_clients_heal (void)
{
    operator_us = sim_now_us;
    for (unsigned i = 0; i < sim_plan.flows; i++)
        orders[i].at_us = orders[i].acknowledged ? SIM_NEVER : sim_now_us;
}

void
sim_client_crash (unsigned client)
{
    sim_counts.client_crashes++;
    SIM_TRACE ("client %u: crashes", client);
    sim_net_connect (SIM_WORKERS_MAX + client);
    for (unsigned i = 0; i < REQUESTS_MAX; i++)
        if (requests[i].client == client)
            requests[i].id = 0;
    if (client == SIM_FOLLOWER) {
        sim_net_connect (SIM_WORKERS_MAX + SIM_SUBSCRIBER);
        sim_follower_crash ();
    }
    for (unsigned i = 0; i < sim_plan.flows && client == PRODUCER; i++)
        if (orders[i].at_us == SIM_NEVER && sim_below (4) == 0)
            orders[i].at_us = sim_now_us + (int64_t) sim_below (5000000);
}
