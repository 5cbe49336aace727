/*
 * libreel: submitting workflows to a reel broker and following what becomes of them.
 *
 * This header stands alone. Documents, receipts, events and replies are msgpack, handed over
 * as bytes; what is needed to route them is given in plain C beside them. Times are
 * microseconds since the Unix epoch (`_us`), durations milliseconds (`_ms`).
 *
 *     struct reel_client_options options = {0};
 *     struct reel_client *client = NULL;
 *     struct reel_client_error error;
 *     if (reel_client_open (&options, &client, &error) == REEL_CLIENT_OK)
 *         reel_client_submit (client, &(struct reel_client_submission){.document = bytes, .size = n},
 *                             &submitted, &error);
 *     reel_client_close (&client);
 *
 * Every request is sent again after the connection was lost, until its deadline: each of them
 * may arrive twice without harm, SUBMIT because it always carries the workflow's id. A client
 * is used by one thread at a time; several clients are independent of each other.
 *
 * Every function that can fail returns an enum reel_client_status and, for anything but
 * REEL_CLIENT_OK, fills *error (which may be NULL). Results are written only on success.
 */
#ifndef REEL_CLIENT_REEL_H
#define REEL_CLIENT_REEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum reel_client_status {
    REEL_CLIENT_OK = 0,
    REEL_CLIENT_REFUSED,     /* the broker answered ERROR: error->code, ->message, ->reason, ->path are its own */
    REEL_CLIENT_UNREACHABLE, /* no broker could be reached in time */
    REEL_CLIENT_TIMEOUT,     /* the broker is there, and did not answer in time */
    REEL_CLIENT_PROTOCOL,    /* what came is no answer of a broker */
    REEL_CLIENT_INTERRUPTED, /* options.wake_fd became readable; the call may be repeated */
    REEL_CLIENT_INVALID,     /* an argument is out of form */
    REEL_CLIENT_NO_MEMORY,
    REEL_CLIENT_SYSTEM, /* the system refused a socket */
    REEL_CLIENT_END     /* reel_client_follow_next() only: nothing more will come */
};

/* Texts are cut where they do not fit; "" where there is none. They are as they came: not made safe for a terminal. */
struct reel_client_error {
    char code[65];      /* "invalid_workflow", "unknown_workflow", "unreachable", "timeout", ... */
    char reason[65];    /* with invalid_workflow: the validation code, such as "cycle" */
    char path[1025];    /* JSON Pointer (RFC 6901) into what was sent */
    char message[1025]; /* for a person */
};

#define REEL_CLIENT_ID_BYTES 129 /* a workflow's id, the final NUL included */

struct reel_client;

struct reel_client_options {
    const char *client_endpoint; /* NULL: tcp://127.0.0.1:5570 */
    const char *events_endpoint; /* NULL: tcp://127.0.0.1:5572 */
    int64_t timeout_ms;          /* until a request must be answered; 0: 10000 */
    int wake_fd;                 /* when > 0: a descriptor (a signalfd, a pipe) that ends any wait once it is readable.
                                    It is not read from, and stays the caller's */
};

/* Strings of `options` are copied. Connecting goes on in the background: an unreachable broker shows at the first
 * request. INVALID: not an endpoint; SYSTEM; NO_MEMORY. */
enum reel_client_status reel_client_open (const struct reel_client_options *options, struct reel_client **client,
                                          struct reel_client_error *error);
/* Closes, frees and nulls; its followers must be closed before. NULL inside is fine. */
void reel_client_close (struct reel_client **client);

/* "ok", "refused", "unreachable", ... Static. */
const char *reel_client_status_name (enum reel_client_status status);

/* --- submitting --------------------------------------------------------------------------- */

/* Writes a new workflow id (a UUIDv7, RFC 9562). */
void reel_client_new_id (char id[REEL_CLIENT_ID_BYTES]);

struct reel_client_submission {
    const void *document; /* a workflow in msgpack. Without a workflow_id it is sent with one, added at its end */
    size_t size;
    const char *workflow_id; /* the id to add to a document without one; NULL: a new one */
    const void *provenance;  /* a msgpack map: overrides of the document's global_provenance; NULL: none */
    size_t provenance_size;
    int64_t priority;       /* higher first */
    uint64_t not_before_us; /* 0: at once */
};

struct reel_client_submitted {
    char workflow_id[REEL_CLIENT_ID_BYTES];
    char status[17];
    int duplicate; /* the broker had this very document under this id already */
    uint64_t seq;  /* of its workflow.accepted event */
};

/*
 * Submits. OK means that the broker has the workflow on disk. REFUSED: invalid_workflow, conflict, too_large,
 * overloaded, ... INVALID (code "id_conflict"): the document has a workflow_id and it is not submission->workflow_id.
 * After any other failure submitted->workflow_id is set if it was sent all the same: whether it was accepted is then
 * open, and repeating it under that id is safe; otherwise it is "".
 */
enum reel_client_status reel_client_submit (struct reel_client *client, const struct reel_client_submission *submission,
                                            struct reel_client_submitted *submitted, struct reel_client_error *error);

/* --- asking ------------------------------------------------------------------------------- */

/* A reply, checked to be msgpack. Free with reel_client_reply_free(). */
struct reel_client_reply {
    void *header; /* a map: the fields that the protocol names, and request_id */
    size_t header_size;
    void *document; /* NULL where the reply has none */
    size_t document_size;
};
void reel_client_reply_free (struct reel_client_reply *reply);

/* The workflow as it stands. REFUSED: unknown_workflow. */
enum reel_client_status reel_client_get (struct reel_client *client, const char *workflow_id,
                                         struct reel_client_reply *reply, struct reel_client_error *error);
/* The final receipt. REFUSED: not_finished (as yet), unknown_workflow. */
enum reel_client_status reel_client_receipt (struct reel_client *client, const char *workflow_id,
                                             struct reel_client_reply *reply, struct reel_client_error *error);
/* The same, waiting for it for wait_ms (negative: for ever). A broker that is away meanwhile is waited for too,
 * each time for the timeout of the options. REFUSED with not_finished when the time is over. */
enum reel_client_status reel_client_wait (struct reel_client *client, const char *workflow_id, int64_t wait_ms,
                                          struct reel_client_reply *reply, struct reel_client_error *error);
/* A page of workflows, newest first. `status` NULL: any; `after`: `next` of the page before, 0: from the newest;
 * `limit` 0: the broker's. */
enum reel_client_status reel_client_list (struct reel_client *client, const char *status, uint64_t after,
                                          uint32_t limit, struct reel_client_reply *reply,
                                          struct reel_client_error *error);
/* A page of kept events with a seq past `after`, oldest first. `workflow_id` NULL: of all. */
enum reel_client_status reel_client_events (struct reel_client *client, const char *workflow_id, uint64_t after,
                                            uint32_t limit, struct reel_client_reply *reply,
                                            struct reel_client_error *error);
enum reel_client_status reel_client_workers (struct reel_client *client, struct reel_client_reply *reply,
                                             struct reel_client_error *error);
/* A piece of a copy of the broker's journal, from `offset` on. `copy` 0 begins one; the others name it as the reply does.
 * While its `bytes` is 0 the copy is still being made. Who asks for what comes after its end lets go of it. */
enum reel_client_status reel_client_backup (struct reel_client *client, uint64_t copy, uint64_t offset,
                                            struct reel_client_reply *reply, struct reel_client_error *error);
enum reel_client_status reel_client_stats (struct reel_client *client, struct reel_client_reply *reply,
                                           struct reel_client_error *error);
enum reel_client_status reel_client_ping (struct reel_client *client, struct reel_client_reply *reply,
                                          struct reel_client_error *error);

/* --- operating ------------------------------------------------------------------------------ */

/* Cancels a workflow. The reply's `status`: "cancelled"; "cancelling" while its worker winds down; or the final status
 * that it has already. REFUSED: unknown_workflow. */
enum reel_client_status reel_client_cancel (struct reel_client *client, const char *workflow_id,
                                            struct reel_client_reply *reply, struct reel_client_error *error);

struct reel_client_resolution {
    const char *workflow_id;
    const char *step_id;
    const char *as;      /* "retry", "failed" or "succeeded" */
    const void *receipt; /* a msgpack map: what "succeeded" needs, and nothing else may have; NULL: none */
    size_t receipt_size;
    const char *note; /* for people, at most 1024 bytes; NULL: none */
};
/* Says what became of the step that a held workflow is held for. REFUSED: unknown_workflow, unknown_step, bad_state (it
 * is not held: also when this is the second time that it arrives), too_large. */
enum reel_client_status reel_client_resolve (struct reel_client *client,
                                             const struct reel_client_resolution *resolution,
                                             struct reel_client_reply *reply, struct reel_client_error *error);

/* Makes a new workflow from an ended one, keeping the receipts of the steps that succeeded before `from_step` (NULL: all
 * of them). `new_workflow_id` NULL: a new one, in submitted->workflow_id. REFUSED: unknown_workflow, unknown_step, bad_state
 * (it has not ended), conflict, overloaded. */
enum reel_client_status reel_client_rerun (struct reel_client *client, const char *workflow_id, const char *from_step,
                                           const char *new_workflow_id, struct reel_client_submitted *submitted,
                                           struct reel_client_error *error);

/* No new step of the workflow (NULL: of any) is handed out, a running one ends. REFUSED: unknown_workflow, bad_state
 * (it has ended). */
enum reel_client_status reel_client_pause (struct reel_client *client, const char *workflow_id,
                                           struct reel_client_reply *reply, struct reel_client_error *error);
enum reel_client_status reel_client_resume (struct reel_client *client, const char *workflow_id,
                                            struct reel_client_reply *reply, struct reel_client_error *error);

/* --- following ---------------------------------------------------------------------------- */

/*
 * An iterator over events: every kept event once, in order, through lost messages, lost
 * connections and restarts of the broker. Progress is passed on as it comes and may be missed.
 */
struct reel_client_follow;

/* Strings and bytes are borrowed until the next call on the follower. */
struct reel_client_event {
    uint64_t seq; /* 0: a step.progress, which is not kept */
    uint64_t index;
    int64_t at_us;
    const char *kind;
    const char *workflow_id;
    const char *step_id; /* NULL: the workflow's own */
    const void *data;    /* the whole event, a msgpack map */
    size_t size;
};

/* Follows one workflow (to its end), or all (`workflow_id` NULL: for ever), past the event `after` (0: from the oldest
 * that is kept). The client must outlive the follower. INVALID, SYSTEM, NO_MEMORY. */
enum reel_client_status reel_client_follow_open (struct reel_client *client, const char *workflow_id, uint64_t after,
                                                 struct reel_client_follow **follow, struct reel_client_error *error);
/*
 * Waits for the next event, for wait_ms (negative: for ever). TIMEOUT: none came, and nothing was missed; go on.
 * UNREACHABLE: the broker has not answered for the timeout of the options; calling again goes on trying. END: the
 * workflow's final event was given before. REFUSED: unknown_workflow. PROTOCOL with code "journal_replaced": the
 * broker has another history now. After REFUSED and PROTOCOL the follower is only to be closed.
 */
enum reel_client_status reel_client_follow_next (struct reel_client_follow *follow, int64_t wait_ms,
                                                 struct reel_client_event *event, struct reel_client_error *error);
/* How many events the broker had already removed when they were asked for. */
uint64_t reel_client_follow_lost (const struct reel_client_follow *follow);
/* Closes, frees and nulls; NULL inside is fine. */
void reel_client_follow_close (struct reel_client_follow **follow);

#ifdef __cplusplus
}
#endif

#endif
