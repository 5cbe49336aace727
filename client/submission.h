/*
 * A document on its way to the broker: it leaves with an id, so that sending it twice is safe.
 *
 * The client owns its copy of a document until it is submitted for the first time; adding a
 * workflow_id at its end is the one change it makes. From then on the bytes are what the
 * broker compares repeats by.
 */
#ifndef REEL_CLIENT_SUBMISSION_H
#define REEL_CLIENT_SUBMISSION_H

#include "base/bytes.h"

/*
 * Appends to `out` the document to send, with `workflow_id` as its last key where it has none (or
 * nil), and points `used` (into `out` or at workflow_id) to the id it then has. What is no map of
 * msgpack, or has an id of another type, is copied as it is, `used` none: saying what is wrong with
 * it is the broker's part. REEL_NO_MEMORY.
 */
enum reel_status reel_submission_prepare (struct reel_slice document, struct reel_slice workflow_id,
                                          struct reel_buf *out, struct reel_slice *used) REEL_MUST_USE;

/* The workflow_id that a document has; false when it has none, or is no document. */
bool reel_submission_id (struct reel_slice document, struct reel_slice *workflow_id);

#endif
