/*
 * One live workflow: accepted, not yet ended.
 *
 * What is durable (and in the digest) stands first; what follows is this process's own and starts
 * afresh after a restart. The document is kept as it came; of its steps only what the way of a
 * workflow needs is kept beside it, as places in the document.
 */
#ifndef REEL_BROKER_CORE_FLOW_H
#define REEL_BROKER_CORE_FLOW_H

#include "broker/core/heap.h"
#include "proto/message.h"
#include "proto/outcome.h"
#include "proto/workflow.h"

enum reel_flow_state { REEL_FLOW_QUEUED, REEL_FLOW_RUNNING, REEL_FLOW_HELD };

struct reel_flow_step {
    uint32_t id_at; /* of the characters of its step_id, in the document */
    uint32_t modality_at;
    uint32_t depends_first; /* in flow->depends */
    uint16_t depends_count;
    uint8_t id_len;
    uint8_t modality_len;
    struct reel_outcome outcome; /* receipt and error are the flow's own copies, or lie in the document */
};

struct reel_lane;
struct reel_peer;

struct reel_flow {
    /* --- durable --- */
    struct reel_slice workflow_id;
    struct reel_slice document;
    struct reel_slice provenance; /* the caller's overrides; len 0: none */
    struct reel_slice origin;
    struct reel_slice created_at;        /* the document's; len 0: none */
    struct reel_slice global_provenance; /* the document's; len 0: none */
    int64_t priority;
    int64_t not_before_us;
    int64_t submitted_us;
    int64_t started_us; /* of the first hand-out */
    uint64_t accepted_seq;
    uint64_t last_seq;
    uint64_t last_index;
    uint64_t deliveries;
    uint64_t lost; /* deliveries that lost their worker */
    enum reel_flow_state state;
    bool cancelling;         /* its worker has been told, or will be */
    bool paused;             /* by itself; all may be */
    bool yielding;           /* the holder of its lease may have been told to give it back */
    struct reel_lease lease; /* the last one granted; counter 0: none, or no longer good */
    uint64_t report_index;   /* durable under that lease */
    uint32_t step_count;
    uint32_t next;   /* the first step without an outcome */
    bool in_flight;  /* the last that was heard of step `next` is that it was started */
    bool idempotent; /* of that step */
    enum reel_in_doubt in_doubt;
    uint32_t attempts;            /* begun on that step */
    struct reel_slice checkpoint; /* of that step; own copy */
    /* --- this process's --- */
    uint64_t fingerprint;
    struct reel_peer *holder; /* the worker under whose slots it counts; NULL: none is connected */
    struct reel_flow *holder_prev, *holder_next;
    struct reel_lane *lane;       /* the queue it waits in */
    struct reel_heap_node ready;  /* in its lane, or in the queue of those that wait for a time */
    struct reel_heap_node expiry; /* in the heap of leases; its key may be older than deadline_us */
    int64_t deadline_us;          /* monotonic: when its lease expires */
    struct reel_wait *waits;      /* RECEIPTs that wait for its end */
    size_t bytes;                 /* all that it holds */
    uint16_t *depends;            /* indexes of steps; what the slices above lie in follows them */
    struct reel_flow_step steps[];
};

/* Makes a flow from a workflow that was parsed from `document`. Slices are copied. REEL_NO_MEMORY. */
enum reel_status reel_flow_create (struct reel_slice workflow_id, const struct reel_workflow *workflow,
                                   struct reel_slice provenance, struct reel_slice origin,
                                   struct reel_flow **flow) REEL_MUST_USE;
void reel_flow_destroy (struct reel_flow *flow);

struct reel_slice reel_flow_step_id (const struct reel_flow *flow, uint32_t step);
struct reel_slice reel_flow_modality (const struct reel_flow *flow, uint32_t step);
const char *reel_flow_state_name (enum reel_flow_state state);
/* The created_at in force: the document's, or the time of acceptance written into `text` (REEL_TIMESTAMP_BYTES). */
struct reel_slice reel_flow_created_at (const struct reel_flow *flow, char *text);

/* Sets what became of a step, with copies of receipt and error. */
enum reel_status reel_flow_set_outcome (struct reel_flow *flow, uint32_t step, enum reel_step_status status,
                                        struct reel_slice receipt, struct reel_slice error,
                                        int64_t finished_us) REEL_MUST_USE;
/* None, or nil, is none. */
enum reel_status reel_flow_set_checkpoint (struct reel_flow *flow, struct reel_slice checkpoint) REEL_MUST_USE;
/* Moves `next` past steps with an outcome and forgets what was in flight before it. */
void reel_flow_advance (struct reel_flow *flow);

/* Copies the outcomes out, for proto/outcome.h; `outcomes` has room for step_count. */
void reel_flow_outcomes (const struct reel_flow *flow, struct reel_outcome *outcomes);

/* Has a dependency of the step failed, or was it skipped? */
bool reel_flow_blocked (const struct reel_flow *flow, uint32_t step);
/* The step to be dispatched next when nobody has the workflow: the first that has no outcome and will not be
 * skipped; step_count when there is none. */
uint32_t reel_flow_next_dispatch (const struct reel_flow *flow);

#endif
