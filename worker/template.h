/*
 * The templates in an exec adapter's arguments.
 *
 *     {step_id} {workflow_id} {modality} {attempt} {delivery} {idempotency_key}
 *     {payload/<RFC 6901 pointer>}   a str as it is, a number or bool as JSON writes it, a
 *                                    map or array as compact JSON, nil as nothing
 *     {{ }}                          a brace
 *
 * What is filled in stays within its argument, whatever it contains: there is no shell.
 */
#ifndef REEL_WORKER_TEMPLATE_H
#define REEL_WORKER_TEMPLATE_H

#include "worker/call.h"

/* REEL_INVALID (err->message): a brace without its partner, or a name that is none of the above. */
enum reel_status reel_template_check (const char *text, struct reel_error *err) REEL_MUST_USE;
/*
 * Appends a checked template, filled in. REEL_INVALID with code "bad_payload": the payload has
 * nothing there, or something that no argument can hold (bin, ext, a NUL). REEL_NO_MEMORY.
 */
enum reel_status reel_template_fill (const char *text, const struct reel_call *call, struct reel_buf *out,
                                     struct reel_error *err) REEL_MUST_USE;

#endif
