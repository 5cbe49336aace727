/*
 * What the parts of libreel share and its users do not see.
 */
#ifndef REEL_CLIENT_CLIENT_H
#define REEL_CLIENT_CLIENT_H

#include "base/random.h"
#include "client/connection.h"
#include "client/reel.h"

struct reel_client {
    void *context; /* libzmq's */
    struct reel_connection connection;
    char client_endpoint[REEL_ENDPOINT_BYTES];
    char events_endpoint[REEL_ENDPOINT_BYTES];
    int64_t timeout_us;
    int wake_fd; /* -1: none */
    struct reel_random random;
    int followers;
};

/* Fills error (which may be NULL) and returns status. */
enum reel_client_status reel_lib_fail (struct reel_client_error *error, enum reel_client_status status,
                                       const char *code, const char *format, ...)
    __attribute__ ((format (printf, 4, 5)));
enum reel_client_status reel_lib_no_memory (struct reel_client_error *error);
/* The same from what a lower layer says; `status` is not REEL_OK. */
enum reel_client_status reel_lib_fail_as (struct reel_client_error *error, enum reel_status status,
                                          const struct reel_error *err);
/* REFUSED, as an ERROR of the broker says it. */
enum reel_client_status reel_lib_refuse (struct reel_client_error *error, const struct reel_message *refusal);

/*
 * Waits until a connection (or `extra`, which may be NULL) is ready, or until_us; INTERRUPTED by the
 * wake_fd; SYSTEM.
 */
enum reel_client_status reel_lib_poll (const struct reel_client *client, const struct reel_connection *connection,
                                       void *extra, int64_t until_us, struct reel_client_error *error);

#endif
