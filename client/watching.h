/*
 * Watching workflows until they end: as JSON lines, or as a live view.
 *
 * In JSON: their events, and after each final one the receipt. On a terminal one workflow is
 * drawn with all its steps; several are a line each, and those that have ended stay above.
 */
#ifndef REEL_CLIENT_WATCHING_H
#define REEL_CLIENT_WATCHING_H

#include "client/session.h"

struct reel_watching;

/* For a session with client and signals. NULL without memory. */
struct reel_watching *reel_watching_create (struct reel_session *session);
void reel_watching_destroy (struct reel_watching **watching);

/* Adds a workflow: its document (none: the broker is asked for it when a view needs it) and the seq of an event not
 * after its first. REEL_NO_MEMORY. */
enum reel_status reel_watching_add (struct reel_watching *watching, struct reel_slice workflow_id,
                                    struct reel_slice document, uint64_t seq) REEL_MUST_USE;

/* Watches the workflows that were added until all have ended. Returns the exit code. */
int reel_watching_run (struct reel_watching *watching);
/* Watches everything that happens from now on, until it is stopped. */
int reel_watching_run_all (struct reel_watching *watching);

#endif
