/*
 * Every bound that is not a matter of configuration, in one place.
 *
 * Units are in the names. What is refused at a bound names it; each has a test at N and at
 * N + 1. A bound that an operator may move is the default of an option instead, and is
 * listed here only where both sides of a wire must agree on it.
 */
#ifndef REEL_BASE_LIMITS_H
#define REEL_BASE_LIMITS_H

/* --- the workflow document ------------------------------------------------------------ */
#define REEL_DOCUMENT_BYTES_MAX (16u << 20) /* a submitted document, in msgpack */
#define REEL_DEPTH_MAX 24                   /* containers inside one another, in anything */
#define REEL_STEPS_MAX 1000                 /* steps of one workflow */
#define REEL_DEPENDS_MAX 1000               /* elements of one depends_on */
#define REEL_REFERENCES_MAX 1000            /* references in one payload */
#define REEL_MAP_KEYS_MAX 65536             /* keys of one map, anywhere */
#define REEL_OWN_KEYS_MAX 65528             /* keys of a submitted workflow and of its steps: some are added later */
#define REEL_ID_BYTES_MAX 128               /* a workflow's or a step's id */
#define REEL_MODALITY_BYTES_MAX 64
#define REEL_ATTEMPTS_MAX 1000             /* policy.retry.max_attempts */
#define REEL_DURATION_MS_MAX 31622400000ll /* 366 days: any duration that is asked for */

/* --- receipts and reports ------------------------------------------------------------- */
#define REEL_RECEIPT_BYTES_MAX (256u << 10) /* one step's receipt, error or checkpoint */
#define REEL_RECEIPT_DEPTH_MAX 21           /* so that it fits into a document, 3 levels down */
#define REEL_REPORT_BYTES_MAX (4u << 20)    /* one REPORT, all its events together */
#define REEL_REPORT_EVENTS_MAX 1024         /* events in one REPORT */
#define REEL_OUTBOX_BYTES_MAX (8u << 20)    /* unacknowledged events past which a run begins nothing new */
#define REEL_OUTBOX_EVENTS_MAX 4096
#define REEL_PROGRESS_TEXT_BYTES_MAX 1024 /* message of a step.progress */
#define REEL_NOTE_BYTES_MAX 1024          /* the note of a RESOLVE, the name of a worker */

/* --- messages ------------------------------------------------------------------------- */
#define REEL_HEADER_BYTES_MAX (1u << 20)
#define REEL_SCALAR_BYTES_MAX 256              /* a request_id */
#define REEL_FRAMES_MAX 8                      /* frames of one message that are looked at */
#define REEL_MODALITIES_MAX 256                /* modalities of one worker */
#define REEL_HOOKS_MAX 64                      /* hooks of one worker */
#define REEL_ABANDONED_MAX 64                  /* calls of C functions that were given up and have not returned */
#define REEL_DISPATCH_BYTES_MAX (64u << 10)    /* what a worker says of their adapters */
#define REEL_PROVENANCE_BYTES_MAX (256u << 10) /* of a submission: it travels in a header, beside a checkpoint */
#define REEL_WORKERS_BYTES_MAX (1023u << 10)   /* what all workers say of themselves: it is shown in a header */
#define REEL_LEASES_MAX 4096                   /* leases (and so slots) of one worker */
#define REEL_LIST_LIMIT_MAX 1000               /* rows of one LIST */
#define REEL_LIST_LIMIT_DEFAULT 100
#define REEL_EVENTS_LIMIT_MAX 10000 /* events of one EVENTS reply */
#define REEL_EVENTS_LIMIT_DEFAULT 1000
#define REEL_EVENTS_REPLY_BYTES_MAX (8u << 20)
#define REEL_WAIT_MS_MAX 3600000 /* RECEIPT's wait_ms */

/* --- defaults both ends start from ----------------------------------------------------- */
#define REEL_HEARTBEAT_MS_DEFAULT 2000
#define REEL_LEASE_MS_DEFAULT 10000
#define REEL_CLIENT_ENDPOINT_DEFAULT "tcp://127.0.0.1:5570"
#define REEL_WORKER_ENDPOINT_DEFAULT "tcp://127.0.0.1:5571"
#define REEL_EVENTS_ENDPOINT_DEFAULT "tcp://127.0.0.1:5572"

#endif
