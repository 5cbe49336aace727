/*
 * The core's own state, shared by the files of this folder and by nobody else.
 *
 * One message walks: core.c decodes it and calls request.c or worker.c, which decide; whatever is to last
 * becomes a record through reel_core_record() (decide.c), which writes it, applies it (apply.c) and
 * publishes its event; queue.c says who waits for what, roster.c who works, lease.c who loses what.
 */
#ifndef REEL_BROKER_CORE_STATE_H
#define REEL_BROKER_CORE_STATE_H

#include "base/hash.h"
#include "base/random.h"
#include "broker/core/core.h"
#include "broker/core/flow.h"
#include "broker/core/heap.h"
#include "broker/core/map.h"
#include "broker/core/record.h"
#include "broker/core/roll.h"

/* Workflows whose next step has this modality; `resumable`: and that need a worker that can resume it. The lane
 * without a name holds those with nothing left to dispatch, which any worker may end. */
struct reel_lane {
    uint64_t key;
    char name[REEL_MODALITY_BYTES_MAX + 1];
    bool resumable;
    uint32_t servers; /* workers that serve it */
    uint32_t flows;   /* workflows that wait in it, those that wait for their time included */
    struct reel_heap ready;
};

/* A worker's connection. */
struct reel_peer {
    struct reel_slice route; /* routing id; own copy */
    uint64_t fingerprint;
    size_t place; /* in core->peers */
    char *name;
    bool has_instance;
    uint8_t instance[16];
    uint32_t slots;
    uint32_t leases; /* workflows in its list */
    struct reel_flow *flows;
    struct reel_lane **lanes;
    size_t lane_count;
    struct reel_buf dispatch; /* as it said in READY, or the list of its modalities */
    bool dispatch_given;
    int64_t heard_us; /* monotonic */
    int64_t heard_wall_us;
};

/* A RECEIPT that waits. */
struct reel_wait {
    struct reel_heap_node deadline;
    struct reel_flow *flow;
    struct reel_wait *prev, *next;
    struct reel_slice peer; /* own copy, as is request_id */
    struct reel_slice request_id;
    bool delimiter;
};

/* Who asked. */
struct reel_asker {
    struct reel_slice peer;
    bool delimiter;
    struct reel_slice request_id; /* raw msgpack; len 0: none given */
};

#define REEL_COUNTERS(C)                                                                                               \
    C (submitted)                                                                                                      \
    C (duplicates)                                                                                                     \
    C (refused)                                                                                                        \
    C (refused_queue_count)                                                                                            \
    C (refused_queue_bytes)                                                                                            \
    C (refused_disk)                                                                                                   \
    C (refused_reads)                                                                                                  \
    C (refused_waits)                                                                                                  \
    C (refused_workers)                                                                                                \
    C (refused_size)                                                                                                   \
    C (refused_draining)                                                                                               \
    C (assigned)                                                                                                       \
    C (reports)                                                                                                        \
    C (requeued)                                                                                                       \
    C (held)                                                                                                           \
    C (fenced)                                                                                                         \
    C (succeeded)                                                                                                      \
    C (failed)                                                                                                         \
    C (cancelled)                                                                                                      \
    C (snapshots)                                                                                                      \
    C (forgotten)                                                                                                      \
    C (malformed)

struct reel_counters {
#define REEL_COUNTER_MEMBER(name) uint64_t name;
    REEL_COUNTERS (REEL_COUNTER_MEMBER)
#undef REEL_COUNTER_MEMBER
};

/* What waits for a time by the wall clock, which may be set, is looked at so often. */
#define REEL_LOOK_AGAIN_US 60000000

/* Where the journal can be cut: at the beginning of a snapshot. Sums are of all that was ever recorded before it. */
struct reel_mark {
    uint64_t seq; /* the last one before it */
    int64_t at_us;
    uint64_t bytes; /* of records */
    uint64_t ended; /* workflows */
};
#define REEL_MARKS_MAX 64

struct reel_core {
    struct reel_core_setup setup;
    struct reel_random random;
    uint8_t key[REEL_FINGERPRINT_KEY_BYTES];

    /* --- durable --- */
    uint64_t epoch;
    uint64_t last_seq;
    uint64_t lease_counter;
    int64_t term_ms;           /* no worker goes by a longer lease than that; 0: nobody was told one */
    bool paused;               /* nothing is handed out */
    struct reel_map flows;     /* fingerprint of a live workflow's id -> it */
    struct reel_roll roll;     /* the same, in the order of acceptance */
    struct reel_map ended;     /* fingerprint of an ended and retained workflow's id -> seq of its final event */
    uint64_t ended_count;      /* of all that ever ended */
    uint64_t journal_bytes;    /* of all records that ever were */
    struct reel_mark snapshot; /* the one begun last */
    bool snapshot_open;        /* it goes on */
    struct reel_mark marks[REEL_MARKS_MAX]; /* of complete snapshots, oldest first */
    size_t mark_count;
    struct reel_mark forgotten; /* nothing before it is retained */

    /* --- derived --- */
    struct reel_map leases;  /* counter of a good lease -> workflow */
    uint64_t state_count[3]; /* by enum reel_flow_state */
    uint64_t live_bytes;
    uint64_t snapshot_end; /* journal_bytes when the last complete snapshot ended */
    uint64_t quiet_count;  /* records since then that bring no event, nor belong to a snapshot */

    /* --- recovery's --- */
    bool skipping;           /* what comes before the snapshot from which recovery goes */
    bool partial;            /* that snapshot goes on: workflows that were live at its beginning may not be known yet */
    struct reel_roll recent; /* those accepted since, while it goes on */

    /* --- this process's --- */
    bool started;
    uint64_t copy;          /* of the journal, that a client is fetching; 0: none */
    int64_t copy_heard_us;  /* monotonic: when it last got on with it */
    uint64_t copy_next;     /* the offset from which on a piece is one that was not fetched before */
    uint64_t snapshot_next; /* workflows accepted before that seq are in the snapshot under way */
    struct reel_peer **peers;
    size_t peer_count, peer_cap;
    size_t turn;         /* whose turn it is at the next hand-out */
    int64_t term_due_us; /* monotonic: from when on nobody goes by a longer lease than this broker's */
    bool disk_low;
    bool draining;
    bool more_to_hand_out;  /* the last one was cut short: its effects were full */
    struct reel_map routes; /* fingerprint of a routing id -> peer */
    struct reel_map lanes;  /* key -> lane */
    struct reel_heap later; /* workflows that wait for their time, by wall clock */
    struct reel_heap expiries;
    struct reel_heap waits;
    int64_t silence_due_us; /* monotonic: when to look for silent workers again */
    struct reel_counters counters;
    struct reel_core_time now;

    /* --- work space of one step --- */
    struct reel_workflow workflow;
    struct reel_outcome outcomes[REEL_STEPS_MAX];
    struct reel_message in;
    struct reel_message out;
    struct reel_message reported;
    struct reel_record record;
    struct reel_buf scratch; /* an event under way */
    struct reel_buf receipt; /* a final receipt, or another document, under way */
    struct reel_buf context; /* of a read */
};

/* --- effects.c ------------------------------------------------------------------------------ */

struct reel_span reel_effects_add (struct reel_effects *effects, struct reel_slice bytes);
/* Encodes `message` and queues it for a peer. */
enum reel_status reel_effects_send (struct reel_effects *effects, enum reel_socket socket, struct reel_slice peer,
                                    bool delimiter, const struct reel_message *message) REEL_MUST_USE;
/* The same with a document that lies in the effects already. */
enum reel_status reel_effects_send_span (struct reel_effects *effects, enum reel_socket socket, struct reel_slice peer,
                                         bool delimiter, const struct reel_message *message,
                                         struct reel_span document) REEL_MUST_USE;
/* Queues an event under event/<id>/<kind>; a body inside the records is not copied. */
enum reel_status reel_effects_publish (struct reel_effects *effects, struct reel_slice workflow_id, const char *kind,
                                       struct reel_slice body, bool body_in_records) REEL_MUST_USE;
enum reel_status reel_effects_publish_receipt (struct reel_effects *effects, struct reel_slice workflow_id,
                                               struct reel_span receipt) REEL_MUST_USE;
enum reel_status reel_effects_read (struct reel_effects *effects, const struct reel_read *read,
                                    struct reel_slice context) REEL_MUST_USE;
/* Goes on with one that the journal has not ended. */
enum reel_status reel_effects_read_again (struct reel_effects *effects,
                                          const struct reel_core_reading *reading) REEL_MUST_USE;
enum reel_status reel_effects_row (struct reel_effects *effects, const struct reel_journal_row *row) REEL_MUST_USE;

/* --- decide.c ------------------------------------------------------------------------------- */

/* Begins core->out as an event of `flow`: seq, index, workflow_id and at_us are set. */
void reel_core_event (struct reel_core *core, const struct reel_flow *flow, enum reel_command kind);
/* Makes core->record (kind and its own members set, event in core->out) durable-to-be: writes it, applies it,
 * publishes the event. `flow` is NULL for the accepting record only. */
enum reel_status reel_core_record (struct reel_core *core, struct reel_flow *flow,
                                   struct reel_effects *effects) REEL_MUST_USE;
/* Makes core->record, which holds no event, durable-to-be. */
enum reel_status reel_core_record_plain (struct reel_core *core, struct reel_effects *effects) REEL_MUST_USE;
/* The same for an event that a worker reported, whose bytes are kept as they came: core->reported is its decoded form. */
enum reel_status reel_core_record_reported (struct reel_core *core, struct reel_flow *flow, struct reel_slice map,
                                            struct reel_effects *effects) REEL_MUST_USE;
/* Ends a workflow: final receipt, record, event, answers to those who wait. `error` is raw msgpack or none. The
 * flow is gone afterwards. */
enum reel_status reel_core_end (struct reel_core *core, struct reel_flow *flow, struct reel_slice error,
                                uint64_t report_index, struct reel_effects *effects) REEL_MUST_USE;
/* Ends it as cancelled: whatever was running is in doubt, what has no outcome stays without. */
enum reel_status reel_core_end_cancelled (struct reel_core *core, struct reel_flow *flow, uint64_t report_index,
                                          struct reel_effects *effects) REEL_MUST_USE;
/* Gives the next step an outcome of the broker's own: failed with that error, or succeeded with `receipt` (a map). */
enum reel_status reel_core_fail_step (struct reel_core *core, struct reel_flow *flow, const char *code,
                                      struct reel_slice message, struct reel_effects *effects) REEL_MUST_USE;
enum reel_status reel_core_succeed_step (struct reel_core *core, struct reel_flow *flow, struct reel_slice receipt,
                                         struct reel_effects *effects) REEL_MUST_USE;

/* --- apply.c -------------------------------------------------------------------------------- */

/* Changes the durable state by a record of `bytes` bytes, frame included, whose `event` is decoded. `parsed`:
 * core->workflow holds the accepting record's document already. */
enum reel_status reel_apply_record (struct reel_core *core, const struct reel_record *record, size_t bytes, bool parsed,
                                    struct reel_error *err) REEL_MUST_USE;
/* REEL_INVALID: it contradicts the state. */
enum reel_status reel_apply_contradicts (struct reel_error *err, const char *what);
/* Makes a workflow known. On failure it is the caller's still. */
enum reel_status reel_apply_new_flow (struct reel_core *core, struct reel_flow *flow) REEL_MUST_USE;
uint64_t reel_core_fingerprint (const struct reel_core *core, struct reel_slice text);
/* The live workflow of that id, or NULL. */
struct reel_flow *reel_core_find (const struct reel_core *core, struct reel_slice workflow_id);
/* The workflow whose last granted lease this is and still good, or NULL. */
struct reel_flow *reel_core_find_lease (const struct reel_core *core, struct reel_lease lease);
/* Parses a flow's document into core->workflow and its outcomes into core->outcomes. REEL_NO_MEMORY. */
enum reel_status reel_core_parse (struct reel_core *core, const struct reel_flow *flow) REEL_MUST_USE;
void reel_core_set_state (struct reel_core *core, struct reel_flow *flow, enum reel_flow_state state);
void reel_core_remove_flow (struct reel_core *core, struct reel_flow *flow);

/* --- snapshot.c ------------------------------------------------------------------------------ */

/* Appends everything durable of a workflow but its document and provenance. */
void reel_snapshot_pack_flow (struct reel_buf *out, const struct reel_flow *flow);
/* Appends everything durable of the broker but its workflows, as it stood when the snapshot in `mark` began. */
void reel_snapshot_pack_broker (struct reel_buf *out, const struct reel_core *core, const struct reel_mark *mark);
/* SNAPSHOT, LIVE, SNAPSHOT_ENDS. */
enum reel_status reel_snapshot_apply (struct reel_core *core, const struct reel_record *record,
                                      struct reel_error *err) REEL_MUST_USE;
/* Begins a snapshot when one is due, and goes on with it. */
enum reel_status reel_snapshot_tick (struct reel_core *core, struct reel_effects *effects) REEL_MUST_USE;
/* When that is to be looked at again; INT64_MAX: not until something happens. */
int64_t reel_snapshot_wake_us (const struct reel_core *core, const struct reel_effects *effects);

/* --- retention.c ----------------------------------------------------------------------------- */

/* How many ended workflows are retained. */
uint64_t reel_retention_ended (const struct reel_core *core);
/* FORGOTTEN. */
enum reel_status reel_retention_apply (struct reel_core *core, uint64_t seq, struct reel_error *err) REEL_MUST_USE;
/* Forgets what is old enough, or too much. */
enum reel_status reel_retention_tick (struct reel_core *core, struct reel_effects *effects) REEL_MUST_USE;
int64_t reel_retention_wake_us (const struct reel_core *core);

/* --- backup.c -------------------------------------------------------------------------------- */

enum reel_status reel_backup_request (struct reel_core *core, const struct reel_asker *asker, struct reel_slice header,
                                      struct reel_effects *effects) REEL_MUST_USE;
/* The rest of it, when the journal has answered. */
enum reel_status reel_backup_reply (struct reel_core *core, const struct reel_asker *asker,
                                    const struct reel_core_reading *reading,
                                    struct reel_effects *effects) REEL_MUST_USE;
/* Drops a copy that nobody asks for any more, or that takes the room which the journal needs. */
enum reel_status reel_backup_tick (struct reel_core *core, struct reel_effects *effects) REEL_MUST_USE;
int64_t reel_backup_wake_us (const struct reel_core *core);

/* --- queue.c -------------------------------------------------------------------------------- */

/* Puts a queued workflow where it waits. */
enum reel_status reel_queue_add (struct reel_core *core, struct reel_flow *flow) REEL_MUST_USE;
void reel_queue_remove (struct reel_core *core, struct reel_flow *flow);
/* Moves those whose time has come. */
enum reel_status reel_queue_wake (struct reel_core *core) REEL_MUST_USE;
/* The next workflow for that worker, or NULL; it stays queued. */
struct reel_flow *reel_queue_next (const struct reel_core *core, const struct reel_peer *peer);
/* The modality that a queued workflow waits for in vain, or NULL. */
const char *reel_queue_waiting_for (const struct reel_flow *flow);
/* Makes a worker serve a lane, or all of its lanes no longer. */
enum reel_status reel_queue_serve (struct reel_core *core, struct reel_peer *peer, struct reel_slice modality,
                                   bool resumable) REEL_MUST_USE;
void reel_queue_serve_none (struct reel_core *core, struct reel_peer *peer);

/* --- roster.c ------------------------------------------------------------------------------- */

struct reel_peer *reel_roster_find (const struct reel_core *core, struct reel_slice route);
struct reel_peer *reel_roster_find_instance (const struct reel_core *core, struct reel_slice instance);
enum reel_status reel_roster_add (struct reel_core *core, struct reel_slice route,
                                  struct reel_peer **peer) REEL_MUST_USE;
enum reel_status reel_roster_move (struct reel_core *core, struct reel_peer *peer,
                                   struct reel_slice route) REEL_MUST_USE;
/* Forgets a connection; its leases run on without a holder. */
void reel_roster_remove (struct reel_core *core, struct reel_peer *peer);
void reel_roster_hold (struct reel_peer *peer, struct reel_flow *flow);
void reel_roster_release (struct reel_flow *flow);

/* --- lease.c -------------------------------------------------------------------------------- */

enum reel_status reel_lease_hand_out (struct reel_core *core, struct reel_effects *effects) REEL_MUST_USE;
/* Its holder was heard of: the lease runs anew, and a workflow that was taken back meanwhile goes on under it. */
enum reel_status reel_lease_renew (struct reel_core *core, struct reel_flow *flow, struct reel_peer *peer,
                                   struct reel_effects *effects) REEL_MUST_USE;
/* Its worker is lost, for that reason: the rules for a step in doubt decide how it goes on. */
enum reel_status reel_lease_lose (struct reel_core *core, struct reel_flow *flow, const char *reason,
                                  struct reel_effects *effects) REEL_MUST_USE;
/* Tells the holder what it does not know yet, or may not: to cancel, or to yield. */
enum reel_status reel_lease_remind (struct reel_core *core, const struct reel_flow *flow,
                                    struct reel_effects *effects) REEL_MUST_USE;
/* Starts the clock of a lease. */
enum reel_status reel_lease_start (struct reel_core *core, struct reel_flow *flow) REEL_MUST_USE;
/* Silent workers and expired leases. */
enum reel_status reel_lease_expire (struct reel_core *core, struct reel_effects *effects) REEL_MUST_USE;
/* When that is to be called again. */
int64_t reel_lease_wake_us (const struct reel_core *core);
/* At a start: a longer term than any before is durable before anybody is told it. */
enum reel_status reel_lease_begin_term (struct reel_core *core, struct reel_effects *effects) REEL_MUST_USE;

/* --- control.c -------------------------------------------------------------------------------- */

/* CANCEL, RESOLVE, PAUSE and RESUME (core->in). */
enum reel_status reel_control_request (struct reel_core *core, const struct reel_asker *asker, struct reel_slice header,
                                       struct reel_effects *effects) REEL_MUST_USE;
/* The same of a workflow that has ended with that status. */
enum reel_status reel_control_ended (struct reel_core *core, const struct reel_asker *asker, struct reel_slice status,
                                     struct reel_effects *effects) REEL_MUST_USE;

/* --- request.c, reading.c, worker.c, report.c ----------------------------------------------------------- */

enum reel_status reel_request_message (struct reel_core *core, const struct reel_core_frames *frames,
                                       struct reel_effects *effects) REEL_MUST_USE;
enum reel_status reel_request_reply (struct reel_core *core, const struct reel_asker *asker,
                                     struct reel_effects *effects) REEL_MUST_USE;
enum reel_status reel_request_refuse (struct reel_core *core, const struct reel_asker *asker, const char *code,
                                      const char *reason, const char *path, const char *message,
                                      struct reel_effects *effects) REEL_MUST_USE;
/* What goes with a document that is to be accepted. */
struct reel_submission {
    struct reel_slice document;
    struct reel_slice provenance; /* the caller's overrides; len 0: none */
    struct reel_slice origin;     /* len 0: none */
    int64_t priority;
    uint64_t not_before_us;
    uint64_t other_seq; /* what ended there is not of its id, or is forgotten; 0: nothing was looked at yet */
};
/* Accepts or refuses it. */
enum reel_status reel_request_submit (struct reel_core *core, const struct reel_asker *asker, struct reel_slice header,
                                      const struct reel_submission *submission,
                                      struct reel_effects *effects) REEL_MUST_USE;
/* What SUBMIT's own header says of its document. */
struct reel_submission reel_request_submission (const struct reel_core *core, struct reel_slice document);
/* There is no such workflow; asks the journal where it may have ended. */
enum reel_status reel_request_ask_ended (struct reel_core *core, const struct reel_asker *asker,
                                         struct reel_slice header, struct reel_effects *effects) REEL_MUST_USE;
/* Answers those who wait for a workflow's end; the receipt lies in the effects. */
enum reel_status reel_request_ended (struct reel_core *core, struct reel_flow *flow, const char *status,
                                     struct reel_span receipt, struct reel_effects *effects) REEL_MUST_USE;
enum reel_status reel_request_expire_waits (struct reel_core *core, struct reel_effects *effects) REEL_MUST_USE;
enum reel_status reel_request_draining (struct reel_core *core, const struct reel_asker *asker,
                                        struct reel_effects *effects) REEL_MUST_USE;
/* Answers them all `draining`. */
enum reel_status reel_request_drain (struct reel_core *core, struct reel_effects *effects) REEL_MUST_USE;
void reel_request_drop_wait (struct reel_core *core, struct reel_wait *wait);
enum reel_status reel_request_reading (struct reel_core *core, const struct reel_core_reading *reading,
                                       struct reel_effects *effects) REEL_MUST_USE;
/* Asks the journal, to go on with the request (core->in, whose header this is) when the answer comes. `extra` is raw
 * msgpack to have back then, or none. */
enum reel_status reel_request_read (struct reel_core *core, const struct reel_asker *asker,
                                    const struct reel_read *read, struct reel_slice header, struct reel_slice extra,
                                    struct reel_effects *effects) REEL_MUST_USE;
/* Replies to LIST with `count` rows, the newest first; `next` is the seq of the last one looked at, 0 at the end. */
enum reel_status reel_request_reply_list (struct reel_core *core, const struct reel_asker *asker,
                                          struct reel_slice rows, uint32_t count, uint64_t next,
                                          struct reel_effects *effects) REEL_MUST_USE;
/* The limit that the request core->in asks for, within bounds. */
uint32_t reel_request_limit (const struct reel_core *core, uint32_t standard, uint32_t most);
/* Begins core->out as the reply to core->in. */
struct reel_message *reel_request_begin (struct reel_core *core, const struct reel_asker *asker);

enum reel_status reel_worker_message (struct reel_core *core, const struct reel_core_frames *frames,
                                      struct reel_effects *effects) REEL_MUST_USE;
enum reel_status reel_worker_report (struct reel_core *core, struct reel_slice route, const struct reel_message *report,
                                     struct reel_effects *effects) REEL_MUST_USE;
/* A REPORT under that lease which cannot be read. */
enum reel_status reel_worker_report_refused (struct reel_core *core, struct reel_slice route, struct reel_lease lease,
                                             const struct reel_error *err, struct reel_effects *effects) REEL_MUST_USE;
void reel_worker_heard (struct reel_core *core, struct reel_peer *peer);
enum reel_status reel_worker_send_ack (struct reel_core *core, struct reel_slice route, struct reel_lease lease,
                                       uint64_t report_index, struct reel_effects *effects) REEL_MUST_USE;
/* `err` may be NULL. */
enum reel_status reel_worker_send_fenced (struct reel_core *core, struct reel_slice route, struct reel_lease lease,
                                          const struct reel_error *err, struct reel_effects *effects) REEL_MUST_USE;
enum reel_status reel_worker_send_who (struct reel_core *core, struct reel_slice route,
                                       struct reel_effects *effects) REEL_MUST_USE;
/* Writes the row of a worker for WORKERS. */
void reel_worker_row (struct reel_buf *out, const struct reel_peer *peer);

#endif
