/*
 * The broker's shell: sockets, clock and journal around the core.
 *
 * One thread owns the core and the three sockets; the journal has its own (broker/commit.h). Nothing
 * that depends on a record leaves before the record is on disk.
 */
#ifndef REEL_BROKER_SHELL_H
#define REEL_BROKER_SHELL_H

#include "broker/core/core.h"

struct reel_shell;

struct reel_shell_setup {
    const char *client; /* endpoints; port `*` or `0` picks a free one */
    const char *worker;
    const char *events;
    const char *data;            /* the journal's directory */
    uint64_t disk_reserve_bytes; /* with less free on its disk, no workflow is accepted */
    uint64_t connections_max;    /* of each socket */
    int subscriber_waiting_max;  /* messages that wait for one subscriber */
    uint64_t waiting_bytes_max;  /* of messages that wait for clients, for workers and for subscribers, each */
    struct reel_core_setup core;
};

/*
 * Recovers what the journal holds, binds the sockets, and makes the new epoch durable: what comes in from
 * then on is served by reel_shell_run(). SIGTERM and SIGINT are blocked from then on. err says what went wrong:
 * REEL_INVALID when somebody has to change something (a directory in use, an endpoint out of form, a
 * damaged journal), REEL_IO when the system failed.
 */
enum reel_status reel_shell_open (const struct reel_shell_setup *setup, struct reel_shell **shell,
                                  struct reel_error *err) REEL_MUST_USE;
/* The endpoints that were bound, in the order client, worker, events. */
const char *reel_shell_endpoint (const struct reel_shell *shell, unsigned which);
/* Serves until SIGTERM or SIGINT (REEL_OK: all that was taken in is durable and answered, what came after it was answered
 * `draining`), or until something fails. */
enum reel_status reel_shell_run (struct reel_shell *shell, struct reel_error *err) REEL_MUST_USE;
void reel_shell_close (struct reel_shell **shell);

#endif
