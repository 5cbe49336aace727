/*
 * Waiting for one workflow's final receipt and showing it.
 */
#ifndef REEL_CLIENT_AWAIT_H
#define REEL_CLIENT_AWAIT_H

#include "client/session.h"

/* Waits for wait_ms (negative: for ever), prints the receipt, and returns the exit code: REEL_EXIT_FAILED when the
 * workflow did not succeed. The session has a client and signals. */
int reel_await (struct reel_session *session, const char *workflow_id, int64_t wait_ms);

/* Prints a final receipt: JSON, indented on a terminal. */
void reel_await_print (struct reel_session *session, const struct reel_client_reply *reply);

#endif
