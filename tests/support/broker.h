/*
 * A broker without a shell: the core under a fake clock, its journal in memory, and a trace of everything
 * that came out, one line each, to compare with what should have.
 *
 *     epoch 1                          a record (also paused, resumed: of everything)
 *     3 wf.2 workflow.assigned {...}   an event: seq, workflow and index, kind, what the kind adds
 *     ~ wf step.progress {...}         one that is not kept
 *     receipt wf                       a published receipt
 *     c OK {...} +                     a message to a peer, with a document
 *     c| OK {...}                      the same behind a delimiter
 *     read ended                       a reading that was asked for, where they are held back
 *
 * Events come first, then messages. After each step everything is checked that can be: the records are applied to
 * a second core whose digest must be the same, now and then a third one recovers from the last snapshot, a model of every workflow is kept from the events alone, each
 * message is read by the table of the wire, each request has its one reply. Documents and headers are given and
 * shown as JSON with ' in the place of ".
 */
#ifndef REEL_TESTS_SUPPORT_BROKER_H
#define REEL_TESTS_SUPPORT_BROKER_H

#include "broker/core/core.h"
#include "proto/outcome.h"

/* A record of the journal. */
struct broker_record {
    size_t at; /* of its frame */
    size_t len;
    uint64_t previous_seq;
    uint64_t seq; /* 0: no event */
};

/* A workflow as its events tell of it. */
struct broker_model {
    char workflow_id[REEL_ID_BYTES_MAX + 1];
    struct reel_buf document;
    struct reel_workflow parsed;
    struct reel_outcome *outcomes; /* own copies of the reported receipts and errors */
    uint64_t accepted_seq, last_seq, last_index, deliveries;
    char status[16];
    struct reel_lease lease;
    bool leased; /* somebody works on it */
    bool cancelling, paused;
    bool running;      /* a step is under way: started, not retrying, no outcome */
    uint32_t attempts; /* begun on the next step */
    bool idempotent;
    struct reel_buf checkpoint;
    struct reel_buf receipt; /* of its end */
};

/* A message that went out. */
struct broker_sent {
    enum reel_socket socket;
    char peer[64];
    enum reel_command command;
    struct reel_buf header;
    struct reel_buf document;
};

struct broker {
    struct reel_core *core;
    struct reel_core *mirror;
    struct reel_core_setup setup; /* change it between broker_init() and broker_start() */
    struct reel_effects effects;
    int64_t wall_us; /* both clocks move only when told to */
    int64_t monotonic_us;
    int64_t wake_us; /* what the last tick asked for */
    struct reel_buf journal;
    struct broker_record *records;
    size_t record_count, record_cap;
    size_t *events; /* index of the record of event i + 1 */
    size_t event_count, event_cap;
    uint64_t epoch;
    bool paused;            /* everything */
    size_t begun, snapshot; /* 1 + the record with which the last snapshot begins, and the last complete one */
    size_t snapshots;       /* complete ones */
    size_t recoveries;      /* from one of them */
    uint64_t forgotten;     /* nothing up to that seq is retained */
    struct reel_lease newest_lease;
    struct broker_model *models;
    size_t model_count, model_cap;
    bool draining;
    bool more_to_read;     /* of what workers sent */
    bool hold_readings;    /* until broker_answer() */
    uint64_t copy;         /* for a backup; 0: none */
    uint64_t copy_bytes;   /* of it */
    size_t readings_again; /* so many times it has not ended */
    size_t rows_looked;    /* at which it looks at most; 0: all */
    bool readings_gone;    /* the journal finds nothing */
    bool readings_torn;    /* what it finds is cut short */
    size_t readings_bent;  /* the byte of what it finds, from 1, that is another one; 0: none */
    uint8_t readings_bend; /* the bits of it that are */
    struct reel_read *held;
    struct reel_buf held_contexts;
    size_t held_count;
    size_t requests, replies; /* of this core's life */
    struct broker_sent *sent; /* of the last step */
    size_t sent_count, sent_cap;
    struct reel_buf trace;
    struct reel_buf text; /* what the last broker_json() said */
};

/* Wall 1 s, monotonic 0, a lease of 10 s. */
void broker_init (struct broker *broker);
/* Replays the journal, begins an epoch and ticks. */
void broker_start (struct broker *broker);
/* Ends as a killed process does, and starts again. */
void broker_restart (struct broker *broker);
void broker_free (struct broker *broker);

/* --- what comes in; each is followed by a tick ----------------------------------------------- */

void broker_tick (struct broker *broker);
/* Both clocks; ticks on the way whenever the core asked for it. */
void broker_pass_ms (struct broker *broker, int64_t ms);
void broker_client (struct broker *broker, const char *peer, const char *command, const char *header,
                    const char *document);
void broker_worker (struct broker *broker, const char *peer, const char *command, const char *header,
                    const char *document);
/* A SUBMIT of peer "c" without a header. */
void broker_submit (struct broker *broker, const char *document);
void broker_frames (struct broker *broker, enum reel_socket socket, const char *peer, bool delimiter,
                    const struct reel_slice *frames, size_t count);
void broker_unroutable (struct broker *broker, const char *peer);
/* The process is about to end. */
void broker_drain (struct broker *broker);
/* A worker that serves these modalities ("'echo','video'"), with that many slots. */
void broker_ready (struct broker *broker, const char *peer, int slots, const char *modalities);
/* Events ("[{...}]") under the lease [1, counter]. */
void broker_report (struct broker *broker, const char *peer, uint64_t counter, uint64_t index, const char *events);
/* Answers the oldest reading that was held back. */
void broker_answer (struct broker *broker);

/* Reported events, at 5 us. */
#define EVENT(kind, more) "{'kind':'" kind "','at_us':5" more "}"
#define STEP_EVENT(kind, step, more) EVENT (kind, ",'step_id':'" step "'" more)
#define STARTED(step, attempt, idempotent)                                                                             \
    STEP_EVENT ("step.started", step, ",'attempt':" attempt ",'idempotent':" idempotent)
#define SUCCEEDED(step) STEP_EVENT ("step.succeeded", step, ",'receipt':{'of':'" step "'}")
#define FAILED(step) STEP_EVENT ("step.failed", step, ",'error':{'code':'x','message':'m','retryable':false}")
#define SKIPPED(step)                                                                                                  \
    STEP_EVENT ("step.skipped", step, ",'error':{'code':'dependency_failed','message':'m','retryable':false}")
#define CHECKPOINT(step, value) STEP_EVENT ("step.checkpoint", step, ",'checkpoint':" value)
#define RETRYING_AS(step, more)                                                                                        \
    STEP_EVENT ("step.retrying", step, ",'error':{'code':'x','message':'m','retryable':true},'delay_ms':7" more)
#define RETRYING(step) RETRYING_AS (step, "")
#define PROGRESS(step) STEP_EVENT ("step.progress", step, ",'fraction':0.5")
#define YIELDED EVENT ("workflow.yielded", "")
#define ENDED EVENT ("workflow.ended", "")

/* --- what came out -------------------------------------------------------------------------- */

/* Compares the trace since the last time with the lines; one that ends in ... says how the line begins. */
#define broker_expect(broker, ...)                                                                                     \
    broker_expect_lines (broker, __FILE__, __LINE__, (const char *const[]){__VA_ARGS__, NULL})
#define broker_expect_nothing(broker) broker_expect_lines (broker, __FILE__, __LINE__, (const char *const[]){NULL})
void broker_expect_lines (struct broker *broker, const char *file, int line, const char *const *lines);
/* Says nothing more about what came out so far. */
void broker_forget (struct broker *broker);
/* msgpack as JSON; good until the next one. */
const char *broker_json (struct broker *broker, struct reel_slice value);
/* The document of the last message, as JSON. */
const char *broker_document (struct broker *broker);
/* A member of the last message's header, by pointer, as JSON; "" for none. */
const char *broker_header (struct broker *broker, const char *pointer);
struct broker_model *broker_model (struct broker *broker, const char *workflow_id);
/* JSON to msgpack that the caller frees. */
struct reel_buf broker_msgpack (const char *json);

#endif
