/*
 * The broker's mind: a state machine without socket, file, clock or thread.
 *
 * reel_core_step() takes one event (the time, and a message from a peer, a reading that came
 * back, or nothing but the time) and appends effects: records, reads, messages, publications.
 * Every durable change is a record that went through reel_core_apply(), in a running broker
 * and in recovery alike. The shell makes a batch of effects durable before any of its messages
 * leaves; that is the whole contract of durability.
 */
#ifndef REEL_BROKER_CORE_CORE_H
#define REEL_BROKER_CORE_CORE_H

#include "base/bytes.h"
#include "broker/journal.h"
#include "proto/message.h"

#define REEL_EFFECTS_BYTES_FULL (32u << 20)

struct reel_core;

/* What only the shell can count, for STATS. */
struct reel_shell_stats {
    uint64_t commits;               /* batches made durable */
    uint64_t subscribers;           /* subscriptions on the event socket */
    uint64_t dropped;               /* messages to peers that are gone, or have read nothing for too long */
    uint64_t subscriber_full;       /* how often a subscriber was found at its high-water mark */
    uint64_t refused_connections;   /* past connections-max: closed at once */
    uint64_t refused_waiting_bytes; /* answers past waiting-bytes-max */
    uint64_t client_connections;
    uint64_t worker_connections;
    uint64_t event_connections;
    uint64_t client_waiting_bytes; /* sent, and not yet taken by anybody */
    uint64_t worker_waiting_bytes;
    uint64_t event_waiting_bytes;
    uint64_t disk_free_bytes;
    uint64_t disk_reserve_bytes; /* that are to stay free */
    uint64_t journal_bytes;      /* of the journal's file */
    uint64_t journal_free_bytes; /* of that, what is free for what is still to come */
};

struct reel_core_setup {
    uint64_t seed;                        /* of ids and fingerprints */
    const struct reel_shell_stats *shell; /* may be NULL; outlives the core */
    /* May more be sent to that worker, which may not have read what was? NULL: to all of them. */
    bool (*has_room) (void *context, struct reel_slice peer);
    void *has_room_context;
    int64_t heartbeat_ms;
    int64_t lease_ms;
    uint64_t queue_count_max; /* live workflows; past it SUBMIT is `overloaded` */
    uint64_t queue_bytes_max; /* their documents and outcomes */
    uint32_t workers_max;
    uint32_t deliveries_max; /* lost workers until a workflow is failed with too_many_deliveries */
    uint32_t waits_max;      /* RECEIPTs that wait */
    /* Live state is journaled anew when so many bytes of records have come since the last time, and as many as live
     * workflows take; 0: never, and then nothing is ever forgotten. Of it, at most snapshot_piece_bytes a batch. */
    uint64_t snapshot_bytes;
    uint64_t snapshot_piece_bytes;
    /* For how long, and up to how many bytes of records, the past is retained; 0: for ever, without limit. Both hold
     * to within an eighth. */
    int64_t retain_ms;
    uint64_t retain_bytes;
};
void reel_core_setup_defaults (struct reel_core_setup *setup);

enum reel_status reel_core_create (const struct reel_core_setup *setup, struct reel_core **core) REEL_MUST_USE;
void reel_core_destroy (struct reel_core **core);

/* --- effects ------------------------------------------------------------------------------- */

enum reel_socket { REEL_SOCKET_CLIENT, REEL_SOCKET_WORKER };

/* A part of the effects' own bytes. */
struct reel_span {
    size_t at;
    size_t len;
};

struct reel_send {
    enum reel_socket socket;
    struct reel_span peer; /* routing id */
    bool delimiter;        /* an empty frame goes after it */
    enum reel_command command;
    struct reel_span header;
    bool has_document;
    struct reel_span document;
};

struct reel_publish {
    struct reel_span topic;
    struct reel_span body;
    bool body_in_records; /* the body lies in `records`, not in `bytes` */
};

enum reel_read_kind {
    REEL_READ_EVENTS,          /* after, limit */
    REEL_READ_WORKFLOW_EVENTS, /* key (of its id), seq (its last), after, limit */
    REEL_READ_ENDED,           /* seq (its final event): the final record, and the accepting one if it is needed */
    REEL_READ_LIST,            /* after (rows accepted before it), limit, status */
    REEL_READ_BACKUP,          /* seq (which copy; a new number begins one), after (offset), limit (bytes) */
    REEL_READ_BACKUP_ENDS      /* the copy is needed no longer; what comes back is nothing */
};

/* What the journal is asked; the answer comes back as an event with the same `context`. */
struct reel_read {
    enum reel_read_kind kind;
    uint64_t key;
    uint64_t seq;
    uint64_t after;
    uint32_t limit;
    const char *status; /* static; NULL: any */
    struct reel_span context;
};

/* Where the texts of a row lie: the bytes may still move while effects are added. */
struct reel_effect_row_text {
    struct reel_span workflow_id;
    struct reel_span origin;
};

struct reel_effects {
    struct reel_buf records; /* framed */
    uint64_t first_seq;      /* of the first event in `records`, or of the next one to come */
    uint64_t event_count;
    uint64_t epoch;
    uint64_t forgotten_seq;  /* nothing up to it is retained any more; 0: nothing new */
    uint64_t snapshot_bytes; /* of the records of a snapshot in `records` */
    bool snapshot_begins;
    bool snapshot_ends;
    struct reel_journal_row *rows; /* their slices are filled in by reel_effects_batch() */
    struct reel_effect_row_text *row_texts;
    size_t row_count, row_cap;
    struct reel_buf bytes; /* what the spans lie in */
    struct reel_send *sends;
    size_t send_count, send_cap;
    struct reel_publish *publishes;
    size_t publish_count, publish_cap;
    struct reel_read *reads;
    size_t read_count, read_cap;
    size_t again_count; /* of the reads, those that were begun before, and go on */
};

/* The bytes of a span. Borrowed until more is added or they are cleared. */
struct reel_slice reel_effects_slice (const struct reel_effects *effects, struct reel_span span);
struct reel_slice reel_effects_body (const struct reel_effects *effects, const struct reel_publish *publish);
/* Is there anything to commit, to read, to send or to publish? */
bool reel_effects_empty (const struct reel_effects *effects);
/* Do they hold so many bytes (REEL_EFFECTS_BYTES_FULL) that they should be committed before another message is taken?
 * One step adds at most a few times the largest document to them, and they end at REEL_BUF_BYTES_MAX. */
bool reel_effects_full (const struct reel_effects *effects);
/* Empties, keeping memory. */
void reel_effects_clear (struct reel_effects *effects);
void reel_effects_free (struct reel_effects *effects);
/* The journal batch that these effects hold (no records: row_count and records.len are 0). Borrowed until cleared. */
struct reel_journal_batch reel_effects_batch (struct reel_effects *effects);

/* --- events -------------------------------------------------------------------------------- */

/* A message as it arrived: frames without routing id and delimiter. */
struct reel_core_frames {
    enum reel_socket socket;
    struct reel_slice peer; /* routing id */
    bool delimiter;
    const struct reel_slice *list;
    size_t count;
};

/*
 * What a read brought. `body`: EVENTS and WORKFLOW_EVENTS: the maps; ENDED: the framed final record and, unless that has
 * the document, the accepting one; LIST: row maps, `page.count` of them, and how far was looked; BACKUP: a piece of the
 * copy, whose bytes `page.next` counts, 0 while it is being made, or, NOT_FOUND, why there is none.
 */
struct reel_core_reading {
    const struct reel_read *read; /* what was asked */
    enum reel_status status; /* REEL_OK, REEL_NOT_FOUND, or REEL_AGAIN: it takes longer, and is to be asked again */
    struct reel_slice context;
    struct reel_slice body;
    struct reel_journal_page page;
    uint64_t first_seq; /* of the journal */
    uint64_t last_seq;
};

struct reel_core_time {
    int64_t wall_us;
    int64_t monotonic_us;
};

/*
 * The three events. Each appends to `effects`, which may hold earlier ones. A peer's bad input is
 * answered in the effects and is no failure here. REEL_NO_MEMORY: the effects are unusable and the
 * state may be ahead of them: the process must end without committing them.
 *
 * reel_core_tick() must be called after every bounded run of messages and at the time it asked
 * for: it is what hands out work, notices lost workers and wakes waiting requests. `wake_us` is
 * the next monotonic time at which it wants to be called. Nobody is given up while something that
 * workers sent may not have been read (`all_heard`): their sign of life may be there.
 */
enum reel_status reel_core_message (struct reel_core *core, struct reel_core_time now,
                                    const struct reel_core_frames *frames, struct reel_effects *effects) REEL_MUST_USE;
enum reel_status reel_core_reading (struct reel_core *core, struct reel_core_time now,
                                    const struct reel_core_reading *reading,
                                    struct reel_effects *effects) REEL_MUST_USE;
enum reel_status reel_core_tick (struct reel_core *core, struct reel_core_time now, bool all_heard,
                                 struct reel_effects *effects, int64_t *wake_us) REEL_MUST_USE;
/* The process is about to end: requests that wait are answered `draining`, and so is every one from now on. */
enum reel_status reel_core_drain (struct reel_core *core, struct reel_core_time now,
                                  struct reel_effects *effects) REEL_MUST_USE;
/* A worker's connection turned out to be unroutable. */
void reel_core_unroutable (struct reel_core *core, struct reel_slice peer);

/* Whether the disk is about to be full: then no workflow is accepted, so that what is under way can still end. */
void reel_core_disk_low (struct reel_core *core, bool low);

/* --- recovery ------------------------------------------------------------------------------- */

/* Call before the first record where the journal goes from the batch in which a snapshot begins: what stands before that
 * is passed over. */
void reel_core_recover_snapshot (struct reel_core *core);
/* Replays one record. REEL_INVALID (err): it contradicts the state: the journal is not one of ours. */
enum reel_status reel_core_apply (struct reel_core *core, struct reel_slice record,
                                  struct reel_error *err) REEL_MUST_USE;
/* Call after the last record, where they went from a snapshot, for each ended workflow that the journal retains. Errors as
 * above. */
enum reel_status reel_core_recover_ended (struct reel_core *core, struct reel_slice workflow_id, uint64_t ended_seq,
                                          struct reel_error *err) REEL_MUST_USE;
/* Call after that. REEL_INVALID (err): the records end within the snapshot, or the journal retains events from another
 * seq on, or other ended workflows, than the records say. */
enum reel_status reel_core_recovered (const struct reel_core *core, uint64_t first_seq, uint64_t ended,
                                      struct reel_error *err) REEL_MUST_USE;
/* Call once, after replay: raises the epoch (a record in the effects) and gives every live lease a full term. */
enum reel_status reel_core_start (struct reel_core *core, struct reel_core_time now,
                                  struct reel_effects *effects) REEL_MUST_USE;
/* Appends a row of LIST: {workflow_id, status, seq, submitted_us, started_us, finished_us, deliveries, origin}. For live
 * workflows the core's own, for ended ones the shell's way to answer REEL_READ_LIST. */
void reel_core_row_pack (struct reel_buf *out, const struct reel_journal_row *row);
/* How many workflows it knows. */
void reel_core_count (const struct reel_core *core, uint64_t *live, uint64_t *ended);
/* A digest of the durable state, for comparing a live core with a replayed one. 0: memory is out. */
uint64_t reel_core_digest (const struct reel_core *core);

#endif
