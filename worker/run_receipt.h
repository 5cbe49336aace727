/*
 * What a step leaves behind: its receipt, or its error, each within the limits that the
 * broker gave.
 */
#ifndef REEL_WORKER_RUN_RECEIPT_H
#define REEL_WORKER_RUN_RECEIPT_H

#include "base/bytes.h"
#include "worker/call.h"

struct reel_run_limits {
    size_t bytes_max;   /* of one receipt, error or checkpoint; at least REEL_RUN_BYTES_LEAST */
    unsigned depth_max; /* of the same; 2 to REEL_RECEIPT_DEPTH_MAX */
};

/* Any error of the machine's own making fits into this. */
#define REEL_RUN_BYTES_LEAST 1024

/* What the machine itself puts into a receipt. */
struct reel_run_receipt {
    const char *adapter;
    struct reel_slice provenance;
    uint32_t attempts;
    struct reel_slice idempotency_key;
    const char *payload_sha256; /* NULL: the step had no references */
};

/*
 * Appends the receipt: the machine's keys, then those of `extra` that are not among them
 * (`payload_sha256` is one of them even where it is not there). `output` and `extra` come from
 * an adapter and are not trusted to be msgpack.
 * REEL_INVALID with err->code "limit_exceeded" (too large, too deep) or "bad_output" (no
 * map, or not what a document may hold). REEL_NO_MEMORY. On failure nothing is left in `out`.
 */
enum reel_status reel_run_receipt_write (const struct reel_run_receipt *receipt, struct reel_slice output,
                                         struct reel_slice extra, const struct reel_run_limits *limits,
                                         struct reel_buf *out, struct reel_error *err) REEL_MUST_USE;

/*
 * Appends the error {"code", "message", "retryable", "detail"?}. What an adapter got wrong is
 * mended: a code of another form becomes "adapter_failed", broken UTF-8 is replaced, a message
 * that is too long is cut, a detail that does not fit or is no msgpack is left out.
 */
void reel_run_error_write (const struct reel_failure *failure, const struct reel_run_limits *limits,
                           struct reel_buf *out);

/* Is `value` msgpack that a document may hold, within the limits? REEL_NO_MEMORY. */
enum reel_status reel_run_value_check (struct reel_slice value, const struct reel_run_limits *limits,
                                       struct reel_error *err) REEL_MUST_USE;

/* Appends at most bytes_max bytes of `text`, cut at a character, with broken UTF-8 replaced. */
void reel_run_text_add (struct reel_buf *out, struct reel_slice text, size_t bytes_max);

#endif
