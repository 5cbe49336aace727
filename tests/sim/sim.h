/*
 * A whole reel in one process: broker, workers, clients, network, disk and clocks, all from one seed.
 *
 * The core, the batches' rounds, the journal, the workers' link, runs, drives and leases are the real ones. What is
 * simulated is what they stand on. Time passes only from one event to the next, so that minutes take milliseconds and a
 * seed always gives the same trace. Faults happen for a while; then everything heals, and every workflow must end.
 *
 *     world.c    time, chance, faults, the phases     net.c      messages on their way
 *     broker.c   the broker's process                 worker.c   a worker's process, its loop and its adapters
 *     client.c   producers, operators, an auditor     follower.c somebody who follows all events
 *     oracle.c   what must hold, after every step     terms.c    for how long a lease is good
 *     bounds.c   how much the broker holds
 */
#ifndef REEL_TESTS_SIM_SIM_H
#define REEL_TESTS_SIM_SIM_H

#include "base/bytes.h"
#include "base/random.h"
#include "broker/core/core.h"
#include "proto/workflow.h"
#include "worker/registry.h"

#define SIM_WORKERS_MAX 4
#define SIM_FLOWS_MAX 128
#define SIM_STEPS_MAX 5
#define SIM_NEVER INT64_MAX
#define SIM_EPOCH_US (INT64_C (1700000000) * 1000000) /* when the world begins, by a wall clock that is right */

/* What happened, so that one sees that the faults do occur. */
#define SIM_COUNTERS(C)                                                                                                \
    C (workflows)                                                                                                      \
    C (succeeded)                                                                                                      \
    C (failed)                                                                                                         \
    C (cancelled)                                                                                                      \
    C (events)                                                                                                         \
    C (commits)                                                                                                        \
    C (messages)                                                                                                       \
    C (dropped)                                                                                                        \
    C (duplicated)                                                                                                     \
    C (cut)                                                                                                            \
    C (partitions)                                                                                                     \
    C (stops)                                                                                                          \
    C (broker_crashes)                                                                                                 \
    C (broker_stops)                                                                                                   \
    C (worker_crashes)                                                                                                 \
    C (client_crashes)                                                                                                 \
    C (drains)                                                                                                         \
    C (power_cuts)                                                                                                     \
    C (torn_commits)                                                                                                   \
    C (io_errors)                                                                                                      \
    C (disk_full)                                                                                                      \
    C (clock_jumps)                                                                                                    \
    C (deliveries)                                                                                                     \
    C (redeliveries)                                                                                                   \
    C (returned)                                                                                                       \
    C (requeued)                                                                                                       \
    C (yielded)                                                                                                        \
    C (in_doubt)                                                                                                       \
    C (held)                                                                                                           \
    C (resolved)                                                                                                       \
    C (paused)                                                                                                         \
    C (reruns)                                                                                                         \
    C (calls)                                                                                                          \
    C (paid_calls)                                                                                                     \
    C (resumed_calls)                                                                                                  \
    C (retries)                                                                                                        \
    C (fenced)                                                                                                         \
    C (followed)                                                                                                       \
    C (conflicts)                                                                                                      \
    C (overloaded)                                                                                                     \
    C (replays)                                                                                                        \
    C (snapshots)                                                                                                      \
    C (forgotten)

struct sim_counts {
#define SIM_COUNTER_MEMBER(name) uint64_t name;
    SIM_COUNTERS (SIM_COUNTER_MEMBER)
#undef SIM_COUNTER_MEMBER
    int64_t simulated_us;
};

/* --- world.c ------------------------------------------------------------------------------ */

extern struct sim_counts sim_counts;
extern int64_t sim_now_us; /* since the world began; every clock is made from it */
extern int sim_process;    /* whose clock is read: see sim_enter() */
extern bool sim_calm;      /* the faults are over */

enum { SIM_BROKER, SIM_WORKER, SIM_PROCESSES = SIM_WORKER + SIM_WORKERS_MAX };

/* What a seed makes of everything. */
struct sim_plan {
    uint64_t seed;
    int64_t faults_us; /* until then */
    unsigned workers, slots;
    int64_t lease_ms, heartbeat_ms;
    uint32_t deliveries_max;
    unsigned flows;
    int64_t delay_us;              /* of a message, on average */
    unsigned drop, cut, duplicate; /* of 10,000 messages */
    unsigned disasters;            /* how many a minute */
    uint64_t snapshot_bytes, snapshot_piece_bytes, retain_bytes;
    int64_t retain_ms;
    bool storms; /* some last long */
};
extern struct sim_plan sim_plan;

/* Runs a world to its end; the hash of its trace. What must hold and does not ends the process, with a message. */
uint64_t sim_run (uint64_t seed, bool show);

uint64_t sim_below (uint64_t bound);
bool sim_chance (unsigned of_ten_thousand);
/* About `mean`; now and then much more. */
int64_t sim_time_around (int64_t mean_us);

/* The clocks read from now on are those of that process. */
void sim_enter (int process);
/* Its wall clock jumps; a new process has a monotonic clock that begins somewhere. */
void sim_jump_clock (int process, int64_t by_us);
void sim_new_clock (int process);
int64_t sim_wall_us (int process);

extern bool sim_shown;
/* Goes into the hash of the trace and, where it is shown, onto standard output. */
void sim_trace (struct reel_slice what, const char *format, ...) __attribute__ ((format (printf, 2, 3)));
#define SIM_TRACE(...) sim_trace (REEL_SLICE_NONE, __VA_ARGS__)
/* An invariant does not hold. */
void sim_fail (const char *invariant, const char *format, ...) __attribute__ ((noreturn, format (printf, 2, 3)));
#define SIM_HOLDS(invariant, condition, ...)                                                                           \
    do                                                                                                                 \
        if (!(condition))                                                                                              \
            sim_fail (invariant, __VA_ARGS__);                                                                         \
    while (0)

/* --- net.c -------------------------------------------------------------------------------- */

#define SIM_FRAMES_MAX 4
#define SIM_CLIENT_PEERS 5

/* One end of a connection that is not the broker's. Workers first, then clients. */
enum { SIM_PEERS = SIM_WORKERS_MAX + SIM_CLIENT_PEERS };
/* Clients of a file of their own: one asks, the other is subscribed. */
enum { SIM_FOLLOWER = 3, SIM_SUBSCRIBER };

#define SIM_ROUTE_BYTES 32

struct sim_packet {
    int64_t at_us; /* of its arrival */
    int64_t sent_us;
    uint64_t order;
    unsigned peer;
    bool to_broker;
    unsigned life;       /* of the broker that it is from, or for */
    unsigned socket;     /* of the peer that it is from, or for */
    unsigned connection; /* of that socket */
    unsigned frame_count;
    size_t lens[SIM_FRAMES_MAX];
    struct sim_packet *next; /* in an inbox */
    uint8_t bytes[];
};

void sim_net_begin (void);
void sim_net_end (void);
/* The peer makes a new socket. What was sent over the old one may still arrive. */
void sim_net_connect (unsigned peer);
/* The connection breaks, and is made again behind everybody's back: under another routing id. */
void sim_net_cut (unsigned peer);
/* The broker is gone, or there again. What peers say meanwhile waits for it, or is lost. */
void sim_net_broker (bool up);
/* Nothing passes between the peer and the broker until then; `kept`: it arrives late, else not at all. */
void sim_net_part (unsigned peer, int64_t until_us, bool kept);
/* Sends to the broker, or from it. False: nobody is there of that name. */
void sim_net_send (unsigned peer, const struct reel_slice *frames, size_t count);
bool sim_net_reply (struct reel_slice route, const struct reel_slice *frames, size_t count);
/* To the subscriber, if it is there, and unless it gets lost. */
void sim_net_publish (struct reel_slice topic, struct reel_slice body);
/* When the next message arrives; takes it (NULL: it got lost). */
int64_t sim_net_next_us (void);
struct sim_packet *sim_net_take (void);
/* The routing id that its sender has for the broker. */
struct reel_slice sim_packet_route (const struct sim_packet *packet, char text[SIM_ROUTE_BYTES]);
struct reel_slice sim_packet_frame (const struct sim_packet *packet, unsigned frame);
/* Everything passes from now on; what would be later than this is lost. */
#define SIM_LATE_US 1000000
void sim_net_heal (void);

/* A queue of what has arrived and was not read. */
struct sim_inbox {
    struct sim_packet *first, **last;
    size_t count;
};
void sim_inbox_add (struct sim_inbox *inbox, struct sim_packet *packet);
struct sim_packet *sim_inbox_take (struct sim_inbox *inbox);
void sim_inbox_clear (struct sim_inbox *inbox);

/* --- broker.c ----------------------------------------------------------------------------- */

void sim_broker_begin (void);
void sim_broker_end (void);
void sim_broker_receive (struct sim_packet *packet); /* takes it */
int64_t sim_broker_next_us (void);
void sim_broker_turn (void);
void sim_broker_crash (void);
void sim_broker_terminate (void);        /* SIGTERM */
void sim_broker_stop (int64_t until_us); /* SIGSTOP */
void sim_broker_disk_fault (void);
void sim_broker_heal (void);
bool sim_broker_up (void);
/* For how long all brokers could hear their workers. */
int64_t sim_broker_listened_us (void);

/* --- worker.c ----------------------------------------------------------------------------- */

void sim_workers_begin (void);
void sim_workers_end (void);
void sim_worker_receive (unsigned worker, struct sim_packet *packet); /* takes it */
int64_t sim_worker_next_us (unsigned worker);
void sim_worker_turn (unsigned worker);
void sim_worker_crash (unsigned worker);
void sim_worker_terminate (unsigned worker);
void sim_worker_stop (unsigned worker, int64_t until_us);
void sim_workers_heal (void);

/* --- terms.c ------------------------------------------------------------------------------ */

/* The worker's process begins; it comes round; it reports something. */
void sim_terms_begin (unsigned worker);
void sim_terms_turn (unsigned worker);
void sim_terms_reports (unsigned worker, struct reel_slice header);
/* A worker hears this; the broker reads what a worker has sent. */
void sim_terms_heard (const struct sim_packet *packet);
void sim_terms_read (const struct sim_packet *packet);
/* The call of a step or a hook begins. */
void sim_terms_calls (unsigned worker, const struct reel_call *call, enum reel_adapter_class class);

/* --- bounds.c ----------------------------------------------------------------------------- */

/* Of live workflows. */
uint64_t sim_bounds_bytes (const struct reel_core *core);
/* The core has accepted one, beside so many bytes; it came round, and these effects wait. */
void sim_bounds_accepted (const struct reel_core *core, uint64_t bytes_before);
void sim_bounds_turn (const struct reel_core *core, const struct reel_effects *pending);

/* --- client.c ----------------------------------------------------------------------------- */

void sim_clients_begin (void);
void sim_clients_end (void);
void sim_client_receive (unsigned client, struct sim_packet *packet); /* takes it */
int64_t sim_clients_next_us (void);
void sim_clients_turn (void);
void sim_clients_heal (void);
void sim_client_crash (unsigned client); /* it forgets what it asked, and what it was told */
/* Is everything that was accepted over, and has everything been asked that was to be asked in the end? */
bool sim_clients_done (void);
/* Says on standard error what is missing. */
void sim_clients_explain (void);

/* Asks for events after that one; the number of the request. */
uint64_t sim_client_ask_events (unsigned client, uint64_t after);

/* --- follower.c --------------------------------------------------------------------------- */

struct reel_message;

void sim_follower_begin (void);
void sim_follower_end (void);
void sim_follower_delivered (struct reel_slice topic, struct reel_slice body);
void sim_follower_told (uint64_t request, const struct reel_message *reply);
void sim_follower_crash (void);
int64_t sim_follower_next_us (void);
void sim_follower_turn (void);
/* Was every event given to him that is there? */
bool sim_follower_done (void);

/* --- oracle.c ----------------------------------------------------------------------------- */

/* A workflow, as the events tell of it that are durable. */
enum sim_state { SIM_QUEUED, SIM_RUNNING, SIM_HELD, SIM_ENDED };

struct sim_step {
    char modality[16];
    enum reel_in_doubt in_doubt;
    uint32_t depends; /* bits */
    enum reel_step_status status;
    uint64_t outcome; /* hash of its receipt or error */
    /* The ledger: what nobody but the world knows. */
    unsigned paid;    /* calls that took effect, or may have */
    unsigned allowed; /* by somebody's word: one, and one more for each RESOLVE as retry */
};

struct sim_flow {
    char id[40];
    char origin[40];
    uint64_t document; /* hash */
    enum sim_state state;
    char status[16]; /* of its end */
    uint64_t accepted_seq, last_seq, last_index, deliveries, lost;
    int64_t priority;
    bool waits;              /* it was not to be handed out before some time */
    struct reel_lease lease; /* the last one granted */
    bool lease_good;
    int64_t granted_us;    /* when the broker had listened for so long */
    uint64_t report_index; /* durable under it */
    uint32_t step_count, next, attempts;
    bool in_flight, idempotent, checkpointed, cancelling, paused;
    bool excused; /* somebody said that the step in doubt may run once more */
    enum reel_in_doubt in_doubt;
    uint64_t receipt; /* hash of the final one */
    bool receipt_published;
    bool forgotten; /* it is retained no longer */
    struct sim_step steps[SIM_STEPS_MAX];
};

void sim_oracle_begin (void);
void sim_oracle_end (void);
uint64_t sim_hash (struct reel_slice bytes);

/* These records are about to be made durable, the first of which was decided when the broker had listened for so long;
 * then: they are, are not, or nobody knows. */
void sim_oracle_handed (const struct reel_effects *effects, int64_t decided_us);
void sim_oracle_committed (void);
void sim_oracle_lost (void);
void sim_oracle_unknown (void);
/* Every lease that was live has a full term from now on. */
void sim_oracle_leases_begin (int64_t lease_ms);
/* A broker has replayed so many records, and made this core of them. */
void sim_oracle_replayed (const struct reel_core *core, uint64_t records);
/* What leaves the broker. */
void sim_oracle_sends (const struct reel_effects *effects, const struct reel_send *send);
void sim_oracle_publishes (struct reel_slice topic, struct reel_slice body);
/* Nothing is under way between core and disk. */
void sim_oracle_quiet (const struct reel_core *core);
/* A step's call begins; the number of its flow and step go with it. False: a hook. */
struct sim_step *sim_oracle_calls (unsigned worker, const struct reel_call *call, enum reel_adapter_class class);
/* It ended without any effect, and its worker knows. */
void sim_oracle_call_undone (struct sim_step *step);

size_t sim_oracle_flow_count (void);
struct sim_flow *sim_oracle_flow (size_t number);
struct sim_flow *sim_oracle_find (struct reel_slice id);
bool sim_oracle_paused (void);
uint64_t sim_oracle_last_seq (void);
uint64_t sim_oracle_forgotten_seq (void);
/* What an answer says about an event, or about the end of a workflow. */
void sim_oracle_told_event (struct reel_slice event);
void sim_oracle_told_receipt (struct reel_slice id, struct reel_slice receipt);

#endif
