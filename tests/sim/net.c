/*
 * The network: connections as ZeroMQ makes them.
 *
 * What goes over one connection stays in order, and takes its time; what goes over two does not. A connection breaks
 * and is made anew by the sockets, and neither side is told: only the routing id is another. A closed socket still sends
 * what it had. On top of that single messages are lost or come twice, which is worse than any transport.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define WAITING_MAX 200 /* messages of one peer that wait for a broker */
#define HEAP_CAP_MIN 256

struct line {
    unsigned socket, connection;
    int64_t part_until_us;
    bool part_keeps;
    int64_t deaf_until_us; /* what it subscribes to has not arrived yet */
    int64_t last_us[2];    /* arrival of the newest message, each way */
    struct sim_inbox waiting;
};

static struct line lines[SIM_PEERS];
static bool broker_up;
static unsigned life; /* of the broker */
static struct sim_packet **heap;
static size_t heap_count, heap_cap;
static uint64_t order;

/* --- what is under way: a heap by arrival ------------------------------------------------- */

static bool
before (const struct sim_packet *a, const struct sim_packet *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void
push (struct sim_packet *packet)
{
    if (heap_count == heap_cap) {
        heap_cap = heap_cap > 0 ? 2 * heap_cap : HEAP_CAP_MIN;
        heap = realloc (heap, heap_cap * sizeof *heap);
        SIM_HOLDS ("memory", heap != NULL, "out of memory");
    }
    size_t at = heap_count++;
    for (; at > 0 && before (packet, heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = packet;
}

static struct sim_packet *
pop (void)
{
    struct sim_packet *first = heap[0], *last = heap[--heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < heap_count && before (heap[child + 1], heap[child]))
            child++;
        if (child >= heap_count || !before (heap[child], last))
            break;
        heap[at] = heap[child];
        at = child;
    }
    if (heap_count > 0)
        heap[at] = last;
    return first;
}

/* --- inboxes ------------------------------------------------------------------------------ */

void
sim_inbox_add (struct sim_inbox *inbox, struct sim_packet *packet)
{
    if (inbox->first == NULL)
        inbox->last = &inbox->first;
    packet->next = NULL;
    *inbox->last = packet;
    inbox->last = &packet->next;
    inbox->count++;
}

struct sim_packet *
sim_inbox_take (struct sim_inbox *inbox)
{
    struct sim_packet *packet = inbox->first;
    if (packet == NULL)
        return NULL;
    inbox->first = packet->next;
    inbox->count--;
    return packet;
}

void
sim_inbox_clear (struct sim_inbox *inbox)
{
    struct sim_packet *packet;
    while ((packet = sim_inbox_take (inbox)) != NULL)
        free (packet);
}

/* --- packets ------------------------------------------------------------------------------ */

static struct sim_packet *
make_packet (unsigned peer, bool to_broker, const struct reel_slice *frames, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += frames[i].len;
    struct sim_packet *packet = malloc (sizeof *packet + len);
    SIM_HOLDS ("memory", packet != NULL && count <= SIM_FRAMES_MAX, "out of memory, or %zu frames", count);
    *packet = (struct sim_packet){.sent_us = sim_now_us,
                                  .peer = peer,
                                  .to_broker = to_broker,
                                  .life = life,
                                  .socket = lines[peer].socket,
                                  .connection = lines[peer].connection,
                                  .frame_count = (unsigned) count};
    uint8_t *at = packet->bytes;
    for (size_t i = 0; i < count; i++) {
        packet->lens[i] = frames[i].len;
        if (frames[i].len > 0)
            memcpy (at, frames[i].data, frames[i].len);
        at += frames[i].len;
    }
    return packet;
}

struct reel_slice
sim_packet_frame (const struct sim_packet *packet, unsigned frame)
{
    size_t at = 0;
    for (unsigned i = 0; i < frame; i++)
        at += packet->lens[i];
    return reel_slice (packet->bytes + at, packet->lens[frame]);
}

static struct reel_slice
name_route (unsigned peer, unsigned socket, unsigned connection, unsigned of_life, char text[SIM_ROUTE_BYTES])
{
    int len = snprintf (text, SIM_ROUTE_BYTES, "%c%u.%u.%u.%u", peer < SIM_WORKERS_MAX ? 'w' : 'c',
                        peer < SIM_WORKERS_MAX ? peer : peer - SIM_WORKERS_MAX, socket, connection, of_life);
    return reel_slice (text, (size_t) len);
}

struct reel_slice
sim_packet_route (const struct sim_packet *packet, char text[SIM_ROUTE_BYTES])
{
    return name_route (packet->peer, packet->socket, packet->connection, packet->life, text);
}

/* Puts it on its way, whatever may happen there. */
static void
launch (struct sim_packet *packet)
{
    struct line *line = &lines[packet->peer];
    bool parted = line->part_until_us > sim_now_us;
    if ((parted && !line->part_keeps) || sim_chance (sim_plan.drop)) {
        sim_counts.dropped++;
        free (packet);
        return;
    }
    int64_t at_us = (parted ? line->part_until_us : sim_now_us) + 1 + sim_time_around (sim_plan.delay_us);
    int64_t *last_us = &line->last_us[packet->to_broker];
    packet->at_us = at_us > *last_us ? at_us : *last_us + 1;
    *last_us = packet->at_us;
    packet->order = order++;
    push (packet);
}

static void
send (unsigned peer, bool to_broker, const struct reel_slice *frames, size_t count)
{
    sim_counts.messages++;
    launch (make_packet (peer, to_broker, frames, count));
    if (peer < SIM_WORKERS_MAX && sim_chance (sim_plan.duplicate)) {
        sim_counts.duplicated++;
        launch (make_packet (peer, to_broker, frames, count));
    }
    if (sim_chance (sim_plan.cut))
        sim_net_cut (peer);
}

/* Its subscription has to be made anew. */
static void
unsubscribe (struct line *line)
{
    line->deaf_until_us = sim_now_us + (int64_t) sim_below (sim_below (2) == 0 ? 10000 : 2000000);
}

/* --- the doors ---------------------------------------------------------------------------- */

void
sim_net_begin (void)
{
    memset (lines, 0, sizeof lines);
    broker_up = false;
    life = 0;
    order = 0;
}

void
sim_net_end (void)
{
    while (heap_count > 0)
        free (pop ());
    free (heap);
    heap = NULL;
    heap_cap = 0;
    for (unsigned i = 0; i < SIM_PEERS; i++)
        sim_inbox_clear (&lines[i].waiting);
}

void
sim_net_connect (unsigned peer)
{
    lines[peer].socket++;
    lines[peer].connection = 0;
    unsubscribe (&lines[peer]);
    lines[peer].last_us[0] = lines[peer].last_us[1] = 0;
    sim_inbox_clear (&lines[peer].waiting);
}

void
sim_net_cut (unsigned peer)
{
    sim_counts.cut++;
    lines[peer].connection++;
    unsubscribe (&lines[peer]);
    SIM_TRACE ("peer %u: the connection broke", peer);
}

void
sim_net_broker (bool up)
{
    broker_up = up;
    if (!up)
        return;
    life++;
    for (unsigned i = 0; i < SIM_PEERS; i++) {
        struct sim_packet *packet;
        lines[i].connection++;
        unsubscribe (&lines[i]);
        while ((packet = sim_inbox_take (&lines[i].waiting)) != NULL) {
            packet->life = life;
            packet->connection = lines[i].connection;
            launch (packet);
        }
    }
}

void
sim_net_part (unsigned peer, int64_t until_us, bool kept)
{
    sim_counts.partitions++;
    lines[peer].part_until_us = until_us;
    lines[peer].part_keeps = kept;
}

void
sim_net_heal (void)
{
    size_t count = heap_count;
    struct sim_packet **old = heap;
    heap = NULL;
    heap_count = heap_cap = 0;
    for (size_t i = 0; i < count; i++) {
        if (old[i]->at_us <= sim_now_us + SIM_LATE_US) {
            push (old[i]);
            continue;
        }
        sim_counts.dropped++;
        free (old[i]);
    }
    free (old);
    for (unsigned i = 0; i < SIM_PEERS; i++)
        lines[i].part_until_us = lines[i].last_us[0] = lines[i].last_us[1] = 0;
}

void
sim_net_send (unsigned peer, const struct reel_slice *frames, size_t count)
{
    struct sim_inbox *waiting = &lines[peer].waiting;
    if (broker_up)
        send (peer, true, frames, count);
    else if (waiting->count < WAITING_MAX && sim_chance (5000))
        sim_inbox_add (waiting, make_packet (peer, true, frames, count));
    else
        sim_counts.dropped++;
}

bool
sim_net_reply (struct reel_slice route, const struct reel_slice *frames, size_t count)
{
    char kind, text[SIM_ROUTE_BYTES];
    unsigned peer, socket, connection, of_life;
    snprintf (text, sizeof text, "%.*s", REEL_TEXT (route));
    SIM_HOLDS ("peers", sscanf (text, "%c%u.%u.%u.%u", &kind, &peer, &socket, &connection, &of_life) == 5,
               "a message for %s", text);
    peer += kind == 'c' ? SIM_WORKERS_MAX : 0;
    if (of_life != life)
        return false;
    if (socket != lines[peer].socket || connection != lines[peer].connection)
        return sim_chance (3000); /* not everybody has noticed yet */
    send (peer, false, frames, count);
    return true;
}

void
sim_net_publish (struct reel_slice topic, struct reel_slice body)
{
    unsigned peer = SIM_WORKERS_MAX + SIM_SUBSCRIBER;
    const struct reel_slice frames[] = {topic, body};
    if (lines[peer].deaf_until_us <= sim_now_us && !sim_chance (300))
        send (peer, false, frames, 2);
}

int64_t
sim_net_next_us (void)
{
    return heap_count > 0 ? heap[0]->at_us : SIM_NEVER;
}

/* Does it get lost at the last moment? */
static bool
is_lost (const struct sim_packet *packet)
{
    const struct line *line = &lines[packet->peer];
    bool same = packet->socket == line->socket && packet->connection == line->connection;
    if (packet->to_broker)
        return !broker_up || packet->life != life || (!same && sim_chance (5000));
    return packet->socket != line->socket || (!same && sim_chance (5000));
}

struct sim_packet *
sim_net_take (void)
{
    struct sim_packet *packet = pop ();
    if (!is_lost (packet))
        return packet;
    sim_counts.dropped++;
    free (packet);
    return NULL;
}
