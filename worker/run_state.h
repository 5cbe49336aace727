/*
 * The run machine's insides, shared by the files that it is made of.
 *
 * run.c moves the cursor and takes events in; run_attempt.c takes the step at the cursor from
 * its route to its dispatch; run_hook.c has the hooks around it; run_report.c says what happened
 * and gives a step its outcome.
 * The cursor stands on the step that is next or under way; everything before it has an outcome.
 */
#ifndef REEL_WORKER_RUN_STATE_H
#define REEL_WORKER_RUN_STATE_H

#include "base/hash.h"
#include "base/random.h"
#include "worker/run.h"
#include "worker/run_outbox.h"
#include "worker/run_receipt.h"

enum reel_run_phase {
    PHASE_NEW,     /* nothing happened yet */
    PHASE_ROOM,    /* the outbox is full: the next attempt waits until it is not */
    PHASE_CLAIM,   /* a hook waits until the lease is known to be ours still */
    PHASE_HOOK,    /* a hook is open */
    PHASE_DURABLE, /* step.started is reported; the call waits for reel_run_dispatch() to allow it */
    PHASE_CALL,    /* a dispatch is open */
    PHASE_BACKOFF, /* the next attempt has its time */
    PHASE_ENDED
};

/* The step at the cursor, from its first attempt to its outcome. */
struct reel_run_current {
    bool begun;    /* a step.started of this run is out */
    bool over;     /* it was running, and has its outcome */
    bool known;    /* the route was found */
    bool prepared; /* the payload is made */
    struct reel_route route;
    struct reel_policy policy; /* in force */
    uint32_t attempt;          /* the last one begun */
    int64_t wake_us;           /* of the next one, in PHASE_BACKOFF */
    struct reel_buf payload;
    struct reel_buf provenance;
    struct reel_buf key;
    bool referred; /* the payload had references */
    char payload_sha256[2 * REEL_SHA256_BYTES + 1];
    struct reel_buf handed_checkpoint; /* what the open call was given */
    struct reel_buf checkpoint;        /* the newest one */
    bool checkpoint_held;              /* it is not in the outbox yet */
    uint64_t checkpoint_index;         /* of the last one that is; 0: none */
};

/* The hook that is open, or was last. */
struct reel_run_hooking {
    enum reel_hook_point owed; /* by the step at the cursor, which has its outcome */
    enum reel_hook_point point;
    uint32_t index;
    struct reel_hook found;
    struct reel_buf payload;
};

struct reel_run {
    struct reel_buf document;
    struct reel_workflow workflow;
    struct reel_outcome *outcomes;
    uint8_t **kept; /* what the receipts and errors of this run lie in, one a step */
    struct reel_buf workflow_id;
    struct reel_buf overrides;
    uint32_t setup_attempts; /* of the first step that is begun; taken by it */
    struct reel_call base;   /* what the contexts of all steps have in common */
    bool local;
    int64_t lease_ms;
    struct reel_run_limits limits;
    struct reel_random random;
    reel_route_fn route;
    reel_hook_fn look_up_hook;
    void *registry;

    enum reel_run_phase phase;
    bool broken;
    bool cancelled;
    bool cut;             /* a step was ended by the cancelling */
    bool ended_cancelled; /* before every step had an outcome of its own */
    bool hook_failed;     /* so nothing more is begun */
    bool yielding;
    uint32_t cursor;
    struct reel_run_current current;
    struct reel_run_hooking hook;
    int64_t wall_us; /* never runs backwards */
    int64_t monotonic_us;
    bool confirmed;       /* at all */
    int64_t confirmed_us; /* when the newest message that was answered was sent */
    bool doubted;         /* this process did not run for lease_ms: is the lease still ours? */
    int64_t doubted_us;   /* when that was noticed */
    struct reel_run_outbox outbox;
    struct reel_buf told;
    struct reel_buf error;

    /* What the event under way brings out. */
    bool tell, abort, confirm, wake, dispatch, ended;
};

/* --- run_attempt.c: REEL_NO_MEMORY is the only failure ----------------------------------- */

/* Asks for the route and settles the policy of the step at the cursor. */
void reel_run_look_up (struct reel_run *run);
/* Is it idempotent, or does its policy say `retry`? */
bool reel_run_may_run_twice (const struct reel_run *run);
/* Begins the next attempt at the step at the cursor: with its hooks before the first one. Without a dispatch it has its
 * outcome then. */
enum reel_status reel_run_begin (struct reel_run *run) REEL_MUST_USE;
/* Goes on with it once the hooks are through. */
enum reel_status reel_run_attempt (struct reel_run *run) REEL_MUST_USE;
/* The provenance and the idempotency key of the step at the cursor, unless they are there. */
enum reel_status reel_run_make_context (struct reel_run *run) REEL_MUST_USE;
/* The context of the open call: the base with the step's own, and the hook's. */
struct reel_call reel_run_open_call (const struct reel_run *run);
/* Dispatches it, or waits (PHASE_DURABLE) until that is allowed. */
void reel_run_dispatch (struct reel_run *run);
/* False: this process was stopped, and the lease may be somebody else's. It asks. */
bool reel_run_undoubted (struct reel_run *run);
bool reel_run_may_retry (const struct reel_run *run, const struct reel_failure *failure);
/* Reports step.retrying, and sets the time of the next attempt: `delay_ms` from now. */
enum reel_status reel_run_retry (struct reel_run *run, const struct reel_failure *failure,
                                 int64_t *delay_ms) REEL_MUST_USE;
/* What the machine itself says in the receipt of the step at the cursor. */
struct reel_run_receipt reel_run_own_receipt (const struct reel_run *run);

/* --- run_hook.c: REEL_NO_MEMORY is the only failure --------------------------------------- */

/* Dispatches the first hook of a point for the step at the cursor; `begun` false: there is none. */
enum reel_status reel_run_hooks_begin (struct reel_run *run, enum reel_hook_point point, bool *begun) REEL_MUST_USE;
/* Dispatches the one after it; false: there is none. */
bool reel_run_hooks_next (struct reel_run *run);
/* Dispatches the one that was found, or waits (PHASE_CLAIM) until that is allowed. */
void reel_run_hook_dispatch (struct reel_run *run);
/* The open hook failed: fails the step if that was before it, and makes the workflow's error. */
enum reel_status reel_run_hook_failed (struct reel_run *run, const struct reel_failure *failure) REEL_MUST_USE;

/* --- run_report.c: REEL_NO_MEMORY is the only failure ------------------------------------- */

enum reel_status reel_run_report_started (struct reel_run *run) REEL_MUST_USE;
/* It leaves the checkpoint that there is as it is. */
enum reel_status reel_run_report_retrying (struct reel_run *run, const struct reel_failure *failure,
                                           int64_t delay_ms) REEL_MUST_USE;
/* The newest checkpoint, or nil: there is none any more. */
enum reel_status reel_run_report_checkpoint (struct reel_run *run) REEL_MUST_USE;
/* Prepares a step.progress for TELL. A fraction below 0 is unknown, a message may be empty. */
enum reel_status reel_run_tell_progress (struct reel_run *run, double fraction,
                                         struct reel_slice message) REEL_MUST_USE;
/* Gives the step at the cursor its outcome; `body` is its receipt or its error, and is copied. */
enum reel_status reel_run_finish (struct reel_run *run, enum reel_step_status result,
                                  struct reel_slice body) REEL_MUST_USE;
enum reel_status reel_run_finish_failed (struct reel_run *run, const struct reel_failure *failure) REEL_MUST_USE;
/* Forgets the step that was there, keeping its memory for the next one. */
void reel_run_leave_step (struct reel_run *run);
/* Fails it for a reason of the machine's own. */
enum reel_status reel_run_fail (struct reel_run *run, const char *code, const char *message) REEL_MUST_USE;
/* Skips it because of the step at `blocking`. */
enum reel_status reel_run_skip (struct reel_run *run, uint32_t blocking) REEL_MUST_USE;
/* The last event: REEL_REPORTED_YIELDED, or REEL_REPORTED_ENDED with the workflow's error. */
enum reel_status reel_run_end (struct reel_run *run, enum reel_command kind) REEL_MUST_USE;

static inline const struct reel_step *
reel_run_current_step (const struct reel_run *run)
{
    return &run->workflow.steps[run->cursor];
}

static inline struct reel_outcome *
reel_run_current_outcome (const struct reel_run *run)
{
    return &run->outcomes[run->cursor];
}

static inline bool
reel_run_idempotent (const struct reel_run *run)
{
    return run->current.known && run->current.route.class == REEL_ADAPTER_IDEMPOTENT;
}

#endif
