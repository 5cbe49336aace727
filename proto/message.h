/*
 * The wire, REEL1: every message and event, and every field, named once.
 *
 * A field has one name, one type and one bound wherever it appears (REEL_FIELDS). A message
 * is a name, a direction, the fields it may carry, and whether a document follows
 * (REEL_MESSAGES; which fields, in message.c). The encoder, the decoder, the check of the
 * specification's text and the tests all walk these tables; there is no other codec.
 *
 * A struct reel_message borrows everything it points to.
 */
#ifndef REEL_PROTO_MESSAGE_H
#define REEL_PROTO_MESSAGE_H

#include "base/bytes.h"
#include "base/limits.h"

#define REEL_PROTOCOL "REEL1"

enum reel_field_type {
    REEL_T_SCALAR,      /* nil, bool, number, str or bin; raw msgpack in .s */
    REEL_T_TEXT,        /* str of at most `max` bytes; its characters in .s */
    REEL_T_ID,          /* str in the form of an id; .s */
    REEL_T_BIN,         /* bin or str of exactly `max` bytes; .s */
    REEL_T_UINT,        /* integer 0 .. `max`; .u */
    REEL_T_UINT_OR_NIL, /* .u, and .nil */
    REEL_T_INT,         /* integer of 64 bits, signed; .i */
    REEL_T_BOOL,        /* .b */
    REEL_T_NUMBER,      /* integer or float, as .f */
    REEL_T_LEASE,       /* [epoch, counter]; .lease */
    REEL_T_MAP,         /* raw msgpack in .s */
    REEL_T_ARRAY,       /* raw msgpack of at most `max` elements in .s */
    REEL_T_ANY          /* raw msgpack in .s */
};

/* F (enumerator, name on the wire, type, max): max is 2^63-1 where 0 is given. */
#define REEL_FIELDS(F)                                                                                                 \
    F (REQUEST_ID, "request_id", SCALAR, REEL_SCALAR_BYTES_MAX)                                                        \
    F (WORKFLOW_ID, "workflow_id", ID, 0)                                                                              \
    F (STEP_ID, "step_id", ID, 0)                                                                                      \
    F (FROM_STEP, "from_step", ID, 0)                                                                                  \
    F (NEW_WORKFLOW_ID, "new_workflow_id", ID, 0)                                                                      \
    F (ORIGIN, "origin", ID, 0)                                                                                        \
    F (PROVENANCE, "provenance", MAP, 0)                                                                               \
    F (PRIORITY, "priority", INT, 0)                                                                                   \
    F (NOT_BEFORE_US, "not_before_us", UINT, 0)                                                                        \
    F (STATUS, "status", TEXT, 16)                                                                                     \
    F (DUPLICATE, "duplicate", BOOL, 0)                                                                                \
    F (SEQ, "seq", UINT, 0)                                                                                            \
    F (INDEX, "index", UINT, 0)                                                                                        \
    F (WAIT_MS, "wait_ms", UINT, 0)                                                                                    \
    F (AS, "as", TEXT, 16)                                                                                             \
    F (NOTE, "note", TEXT, REEL_NOTE_BYTES_MAX)                                                                        \
    F (AFTER, "after", UINT, 0)                                                                                        \
    F (LIMIT, "limit", UINT, 0)                                                                                        \
    F (NEXT, "next", UINT, 0)                                                                                          \
    F (MORE, "more", BOOL, 0)                                                                                          \
    F (FIRST_SEQ, "first_seq", UINT, 0)                                                                                \
    F (LAST_SEQ, "last_seq", UINT, 0)                                                                                  \
    F (WORKFLOWS, "workflows", ARRAY, REEL_LIST_LIMIT_MAX)                                                             \
    F (WORKERS, "workers", ARRAY, 0)                                                                                   \
    F (WAITING_FOR, "waiting_for", TEXT, REEL_MODALITY_BYTES_MAX)                                                      \
    F (COUNTERS, "counters", MAP, 0)                                                                                   \
    F (GAUGES, "gauges", MAP, 0)                                                                                       \
    F (VERSION, "version", TEXT, 64)                                                                                   \
    F (EPOCH, "epoch", UINT, 0)                                                                                        \
    F (IS_READY, "ready", BOOL, 0)                                                                                     \
    F (PAUSED, "paused", BOOL, 0)                                                                                      \
    F (COPY, "copy", UINT, 0)                                                                                          \
    F (OFFSET, "offset", UINT, 0)                                                                                      \
    F (BYTES, "bytes", UINT, 0)                                                                                        \
    F (CODE, "code", TEXT, 64)                                                                                         \
    F (MESSAGE, "message", TEXT, REEL_PROGRESS_TEXT_BYTES_MAX)                                                         \
    F (REASON, "reason", TEXT, 64)                                                                                     \
    F (PATH, "path", TEXT, REEL_ERROR_PATH_BYTES)                                                                      \
    F (NAME, "name", TEXT, REEL_NOTE_BYTES_MAX)                                                                        \
    F (INSTANCE, "instance", BIN, 16)                                                                                  \
    F (SLOTS, "slots", UINT, REEL_LEASES_MAX)                                                                          \
    F (MODALITIES, "modalities", ARRAY, REEL_MODALITIES_MAX)                                                           \
    F (DISPATCH, "dispatch", MAP, 0)                                                                                   \
    F (RESUMED, "resume", ARRAY, REEL_LEASES_MAX)                                                                      \
    F (LEASE, "lease", LEASE, 0)                                                                                       \
    F (LEASES, "leases", ARRAY, REEL_LEASES_MAX)                                                                       \
    F (REPORT_INDEX, "report_index", UINT_OR_NIL, 0)                                                                   \
    F (SENT_US, "sent_us", UINT, 0)                                                                                    \
    F (HEARTBEAT_MS, "heartbeat_ms", UINT, 0)                                                                          \
    F (LEASE_MS, "lease_ms", UINT, 0)                                                                                  \
    F (LIMITS, "limits", MAP, 0)                                                                                       \
    F (DELIVERY, "delivery", UINT, 0)                                                                                  \
    F (CHECKPOINT, "checkpoint", ANY, 0)                                                                               \
    F (ATTEMPTS, "attempts", UINT, 0)                                                                                  \
    F (KIND, "kind", TEXT, 32)                                                                                         \
    F (AT_US, "at_us", UINT, 0)                                                                                        \
    F (ATTEMPT, "attempt", UINT, 0)                                                                                    \
    F (IDEMPOTENT, "idempotent", BOOL, 0)                                                                              \
    F (IN_DOUBT, "in_doubt", TEXT, 16)                                                                                 \
    F (DELAY_MS, "delay_ms", UINT, 0)                                                                                  \
    F (OPEN, "open", BOOL, 0)                                                                                          \
    F (FRACTION, "fraction", NUMBER, 0)                                                                                \
    F (RECEIPT, "receipt", MAP, 0)                                                                                     \
    F (ERROR, "error", ANY, 0)                                                                                         \
    F (WORKER, "worker", TEXT, REEL_NOTE_BYTES_MAX)                                                                    \
    F (RETURNED, "returned", BOOL, 0)

enum reel_field {
#define REEL_FIELD_ENUM(id, name, type, max) REEL_F_##id,
    REEL_FIELDS (REEL_FIELD_ENUM)
#undef REEL_FIELD_ENUM
        REEL_FIELD_COUNT
};

enum reel_channel {
    REEL_CLIENT_REQUEST, /* client to broker */
    REEL_CLIENT_REPLY,   /* broker to client; "OK" has one form for each request */
    REEL_TO_BROKER,      /* worker to broker */
    REEL_TO_WORKER,      /* broker to worker */
    REEL_REPORTED,       /* an event inside a REPORT: a map, `kind` its name */
    REEL_PUBLISHED,      /* an event as published and kept */
    REEL_CHANNEL_COUNT
};

enum reel_document_rule { REEL_DOCUMENT_NONE, REEL_DOCUMENT_REQUIRED };

/* M (enumerator, channel, name on the wire, document) */
#define REEL_MESSAGES(M)                                                                                               \
    M (SUBMIT, CLIENT_REQUEST, "SUBMIT", REQUIRED)                                                                     \
    M (GET, CLIENT_REQUEST, "GET", NONE)                                                                               \
    M (RECEIPT, CLIENT_REQUEST, "RECEIPT", NONE)                                                                       \
    M (CANCEL, CLIENT_REQUEST, "CANCEL", NONE)                                                                         \
    M (RESOLVE, CLIENT_REQUEST, "RESOLVE", NONE)                                                                       \
    M (RERUN, CLIENT_REQUEST, "RERUN", NONE)                                                                           \
    M (PAUSE, CLIENT_REQUEST, "PAUSE", NONE)                                                                           \
    M (RESUME, CLIENT_REQUEST, "RESUME", NONE)                                                                         \
    M (LIST, CLIENT_REQUEST, "LIST", NONE)                                                                             \
    M (EVENTS, CLIENT_REQUEST, "EVENTS", NONE)                                                                         \
    M (WORKERS, CLIENT_REQUEST, "WORKERS", NONE)                                                                       \
    M (STATS, CLIENT_REQUEST, "STATS", NONE)                                                                           \
    M (PING, CLIENT_REQUEST, "PING", NONE)                                                                             \
    M (BACKUP, CLIENT_REQUEST, "BACKUP", NONE)                                                                         \
    M (OK_SUBMIT, CLIENT_REPLY, "OK", NONE)                                                                            \
    M (OK_GET, CLIENT_REPLY, "OK", REQUIRED)                                                                           \
    M (OK_RECEIPT, CLIENT_REPLY, "OK", REQUIRED)                                                                       \
    M (OK_CANCEL, CLIENT_REPLY, "OK", NONE)                                                                            \
    M (OK_RESOLVE, CLIENT_REPLY, "OK", NONE)                                                                           \
    M (OK_RERUN, CLIENT_REPLY, "OK", NONE)                                                                             \
    M (OK_PAUSE, CLIENT_REPLY, "OK", NONE)                                                                             \
    M (OK_RESUME, CLIENT_REPLY, "OK", NONE)                                                                            \
    M (OK_LIST, CLIENT_REPLY, "OK", NONE)                                                                              \
    M (OK_EVENTS, CLIENT_REPLY, "OK", REQUIRED)                                                                        \
    M (OK_WORKERS, CLIENT_REPLY, "OK", NONE)                                                                           \
    M (OK_STATS, CLIENT_REPLY, "OK", NONE)                                                                             \
    M (OK_PING, CLIENT_REPLY, "OK", NONE)                                                                              \
    M (OK_BACKUP, CLIENT_REPLY, "OK", REQUIRED)                                                                        \
    M (CLIENT_ERROR, CLIENT_REPLY, "ERROR", NONE)                                                                      \
    M (READY, TO_BROKER, "READY", NONE)                                                                                \
    M (REPORT, TO_BROKER, "REPORT", REQUIRED)                                                                          \
    M (WORKER_HEARTBEAT, TO_BROKER, "HEARTBEAT", NONE)                                                                 \
    M (LEAVE, TO_BROKER, "LEAVE", NONE)                                                                                \
    M (WELCOME, TO_WORKER, "WELCOME", NONE)                                                                            \
    M (ASSIGN, TO_WORKER, "ASSIGN", REQUIRED)                                                                          \
    M (ACK, TO_WORKER, "ACK", NONE)                                                                                    \
    M (FENCED, TO_WORKER, "FENCED", NONE)                                                                              \
    M (WORKER_CANCEL, TO_WORKER, "CANCEL", NONE)                                                                       \
    M (WORKER_YIELD, TO_WORKER, "YIELD", NONE)                                                                         \
    M (WHO, TO_WORKER, "WHO", NONE)                                                                                    \
    M (BROKER_HEARTBEAT, TO_WORKER, "HEARTBEAT", NONE)                                                                 \
    M (WORKER_ERROR, TO_WORKER, "ERROR", NONE)                                                                         \
    M (REPORTED_STARTED, REPORTED, "step.started", NONE)                                                               \
    M (REPORTED_RETRYING, REPORTED, "step.retrying", NONE)                                                             \
    M (REPORTED_CHECKPOINT, REPORTED, "step.checkpoint", NONE)                                                         \
    M (REPORTED_PROGRESS, REPORTED, "step.progress", NONE)                                                             \
    M (REPORTED_SUCCEEDED, REPORTED, "step.succeeded", NONE)                                                           \
    M (REPORTED_FAILED, REPORTED, "step.failed", NONE)                                                                 \
    M (REPORTED_SKIPPED, REPORTED, "step.skipped", NONE)                                                               \
    M (REPORTED_YIELDED, REPORTED, "workflow.yielded", NONE)                                                           \
    M (REPORTED_ENDED, REPORTED, "workflow.ended", NONE)                                                               \
    M (EVENT_ACCEPTED, PUBLISHED, "workflow.accepted", NONE)                                                           \
    M (EVENT_ASSIGNED, PUBLISHED, "workflow.assigned", NONE)                                                           \
    M (EVENT_REQUEUED, PUBLISHED, "workflow.requeued", NONE)                                                           \
    M (EVENT_YIELDED, PUBLISHED, "workflow.yielded", NONE)                                                             \
    M (EVENT_CANCELLING, PUBLISHED, "workflow.cancelling", NONE)                                                       \
    M (EVENT_HELD, PUBLISHED, "workflow.held", NONE)                                                                   \
    M (EVENT_RESOLVED, PUBLISHED, "workflow.resolved", NONE)                                                           \
    M (EVENT_PAUSED, PUBLISHED, "workflow.paused", NONE)                                                               \
    M (EVENT_RESUMED, PUBLISHED, "workflow.resumed", NONE)                                                             \
    M (EVENT_WORKFLOW_SUCCEEDED, PUBLISHED, "workflow.succeeded", NONE)                                                \
    M (EVENT_WORKFLOW_FAILED, PUBLISHED, "workflow.failed", NONE)                                                      \
    M (EVENT_WORKFLOW_CANCELLED, PUBLISHED, "workflow.cancelled", NONE)                                                \
    M (EVENT_STARTED, PUBLISHED, "step.started", NONE)                                                                 \
    M (EVENT_RETRYING, PUBLISHED, "step.retrying", NONE)                                                               \
    M (EVENT_CHECKPOINT, PUBLISHED, "step.checkpoint", NONE)                                                           \
    M (EVENT_SUCCEEDED, PUBLISHED, "step.succeeded", NONE)                                                             \
    M (EVENT_FAILED, PUBLISHED, "step.failed", NONE)                                                                   \
    M (EVENT_SKIPPED, PUBLISHED, "step.skipped", NONE)                                                                 \
    M (EVENT_IN_DOUBT, PUBLISHED, "step.in_doubt", NONE)                                                               \
    M (EVENT_PROGRESS, PUBLISHED, "step.progress", NONE)                                                               \
    M (EVENT_BEAT, PUBLISHED, "beat", NONE)

enum reel_command {
#define REEL_MESSAGE_ENUM(id, channel, name, document) REEL_##id,
    REEL_MESSAGES (REEL_MESSAGE_ENUM)
#undef REEL_MESSAGE_ENUM
        REEL_COMMAND_COUNT
};

struct reel_lease {
    uint64_t epoch;
    uint64_t counter;
};

struct reel_field_value {
    union {
        uint64_t u;
        int64_t i;
        bool b;
        double f;
        struct reel_lease lease;
    };
    bool nil; /* REEL_T_UINT_OR_NIL only */
    struct reel_slice s;
};

struct reel_message {
    enum reel_command command;
    uint64_t present[(REEL_FIELD_COUNT + 63) / 64];  /* bit f: field f is there */
    struct reel_field_value value[REEL_FIELD_COUNT]; /* unset where not present */
    bool has_document;
    struct reel_slice document;
};

/* --- the tables ------------------------------------------------------------------------- */

struct reel_field_use {
    enum reel_field field;
    bool required;
};

struct reel_message_spec {
    enum reel_command command;
    enum reel_channel channel;
    const char *name;
    enum reel_document_rule document;
    const struct reel_field_use *fields; /* in the order in which they are written */
    size_t field_count;
};

struct reel_field_spec {
    const char *name;
    enum reel_field_type type;
    uint64_t max;
};

const struct reel_message_spec *reel_message_spec (enum reel_command command);
const struct reel_field_spec *reel_field_spec (enum reel_field field);

/* --- writing ------------------------------------------------------------------------------ */

/* An empty message. Values are left unset; only `present` says what is there. */
void reel_message_init (struct reel_message *message, enum reel_command command);
void reel_message_set_uint (struct reel_message *message, enum reel_field field, uint64_t value);
void reel_message_set_int (struct reel_message *message, enum reel_field field, int64_t value);
void reel_message_set_bool (struct reel_message *message, enum reel_field field, bool value);
void reel_message_set_number (struct reel_message *message, enum reel_field field, double value);
/* Characters for TEXT and ID, bytes for BIN, raw msgpack for SCALAR, MAP, ARRAY and ANY. */
void reel_message_set (struct reel_message *message, enum reel_field field, struct reel_slice value);
void reel_message_set_text (struct reel_message *message, enum reel_field field, const char *value);
void reel_message_set_lease (struct reel_message *message, enum reel_field field, struct reel_lease value);
void reel_message_set_nil (struct reel_message *message, enum reel_field field);
void reel_message_set_document (struct reel_message *message, struct reel_slice document);

/*
 * Appends the header (for an event: the event) as a msgpack map: fields in the table's order,
 * those present. Setting a field that the message does not have, or leaving out a required
 * one, is a broken invariant. For the REPORTED and PUBLISHED channels `kind` is written by
 * the encoder (EVENT_BEAT has none).
 */
void reel_message_encode (const struct reel_message *message, struct reel_buf *out);

/* --- reading ------------------------------------------------------------------------------ */

static inline bool
reel_message_has (const struct reel_message *message, enum reel_field field)
{
    return (message->present[field / 64] >> field % 64 & 1) != 0;
}

/*
 * Reads the frames of one message: protocol name, command, header, document. Routing ids
 * and an empty delimiter are not among them. `in_reply_to` says which request a reply on
 * REEL_CLIENT_REPLY answers. The document is not looked into. An optional field that is nil
 * is taken for absent (SCALAR, ANY and UINT_OR_NIL keep the nil). Unknown keys are passed
 * over.
 * A frame too few or too many is malformed.
 * REEL_INVALID with err->code "malformed" (path names the field), "unsupported_version" or
 * "unknown_command"; then a request_id and a lease that could be read are in `message`, and
 * nothing else.
 */
enum reel_status reel_message_decode (enum reel_channel channel, enum reel_command in_reply_to,
                                      const struct reel_slice *frames, size_t frame_count, struct reel_message *message,
                                      struct reel_error *err) REEL_MUST_USE;

/*
 * Reads an event map of REEL_REPORTED or REEL_PUBLISHED (without kind: a beat). The bytes have
 * passed reel_scan_check(). A reported event with a key that the broker alone gives (seq, index,
 * workflow_id) is malformed. `path` prefixes the paths of errors ("/3").
 */
enum reel_status reel_message_decode_event (enum reel_channel channel, struct reel_slice map, const char *path,
                                            struct reel_message *message, struct reel_error *err) REEL_MUST_USE;

/* Reads the lease that `value` ([epoch, counter]) is. */
bool reel_lease_read (struct reel_slice value, struct reel_lease *lease);
void reel_lease_pack (struct reel_buf *out, struct reel_lease lease);
bool reel_lease_equal (struct reel_lease a, struct reel_lease b);

#endif
