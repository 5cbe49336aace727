/*
 * References: how a step's payload takes what an earlier step made.
 *
 * A map that is exactly {"$ref": "#/<step_id>"} or {"$ref": "#/<step_id>/<pointer>"} stands
 * for that step's receipt, or for what the RFC 6901 pointer finds in it (without
 * percent-decoding). A map whose only key is two or more `$` followed by "ref" is a literal:
 * it is dispatched with one `$` less, and its value is looked into like any other. What is
 * put in the place of a reference is not looked into.
 */
#ifndef REEL_PROTO_REFERENCE_H
#define REEL_PROTO_REFERENCE_H

#include <stdbool.h>

#include "base/bytes.h"

/*
 * Takes "#/keyframe/output/image" apart into "keyframe" and "/output/image" (`pointer` is
 * empty for the whole receipt). REEL_INVALID: not of that form.
 */
enum reel_status reel_reference_parse (struct reel_slice text, struct reel_slice *step_id,
                                       struct reel_slice *pointer) REEL_MUST_USE;

/* `path` is the RFC 6901 pointer of the map {"$ref": text}. What is not REEL_OK ends the walk. */
typedef enum reel_status (*reel_reference_fn) (void *context, struct reel_slice text, const char *path,
                                               struct reel_error *err);

/*
 * Calls `visit` for every reference in a payload (checked msgpack; none counts as {}), in
 * order; their text has passed reel_reference_parse(). `path` is the payload's own and
 * prefixes the others.
 * REEL_INVALID with err->code "bad_reference" ({"$ref": x} of another type or form) or
 * "limit_exceeded" (more than REEL_REFERENCES_MAX); or what `visit` returned.
 */
enum reel_status reel_reference_walk (struct reel_slice payload, const char *path, reel_reference_fn visit,
                                      void *context, struct reel_error *err) REEL_MUST_USE;

/* The receipt (checked msgpack) of the step of that id; false when it has none. */
typedef bool (*reel_reference_receipt_fn) (void *context, struct reel_slice step_id, struct reel_slice *receipt);

/*
 * Appends the payload to `out` with its references replaced and its literals unescaped;
 * everything else is copied byte for byte. `replaced` says whether there was any reference.
 * REEL_INVALID with err->code
 *   "unresolved_reference"  no such receipt, nothing at the pointer, or the payload as a whole
 *                           became something other than a map;
 *   "limit_exceeded"        larger than REEL_DOCUMENT_BYTES_MAX or deeper than REEL_DEPTH_MAX;
 *   "bad_reference"         as above;
 * err->path is relative to the payload. REEL_NO_MEMORY. On failure nothing is left in `out`.
 */
enum reel_status reel_reference_resolve (struct reel_slice payload, reel_reference_receipt_fn receipt_of, void *context,
                                         struct reel_buf *out, bool *replaced, struct reel_error *err) REEL_MUST_USE;

#endif
