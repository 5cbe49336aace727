/*
 * libreel's follower: the rules of client/follow.h between a SUB socket and a connection of its own.
 */
#include "client/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "client/follow.h"
#include "proto/identity.h"
#include "proto/scan.h"

/* Of one publisher; what it then drops is asked for. */
#define RECEIVE_MAX 1000
#define HEARTBEAT_MS 2000
#define HEARTBEAT_TIMEOUT_MS 6000
#define KIND_BYTES 65

struct reel_client_follow {
    struct reel_client *client;
    struct reel_follow rules;
    struct reel_connection connection;
    void *events;
    struct reel_inbox inbox;
    int64_t asked_us;
    bool broken;
    char kind[KIND_BYTES];
    char workflow_id[REEL_CLIENT_ID_BYTES];
    char step_id[REEL_CLIENT_ID_BYTES];
};

static bool
subscribe (void *socket, const char *workflow_id)
{
    char topic[REEL_ID_BYTES_MAX + 16];
    int len = workflow_id[0] != '\0' ? snprintf (topic, sizeof topic, "event/%s/", workflow_id)
                                     : snprintf (topic, sizeof topic, "event/");
    int every_ms = HEARTBEAT_MS, timeout_ms = HEARTBEAT_TIMEOUT_MS;
    /* `beat` last: the first one proves that the subscription before it is in force. */
    return zmq_setsockopt (socket, ZMQ_HEARTBEAT_IVL, &every_ms, sizeof every_ms) == 0
           && zmq_setsockopt (socket, ZMQ_HEARTBEAT_TIMEOUT, &timeout_ms, sizeof timeout_ms) == 0
           && zmq_setsockopt (socket, ZMQ_SUBSCRIBE, topic, (size_t) len) == 0
           && zmq_setsockopt (socket, ZMQ_SUBSCRIBE, "beat", 4) == 0;
}

static enum reel_client_status
open_sockets (struct reel_client_follow *follow, struct reel_client_error *error)
{
    struct reel_client *client = follow->client;
    struct reel_error err = {0};
    struct reel_socket_setup setup = {.type = ZMQ_SUB, .receive_max = RECEIVE_MAX};
    enum reel_status status = reel_socket_open (client->context, &setup, &follow->events, &err);
    if (status == REEL_OK && !subscribe (follow->events, follow->rules.workflow_id))
        status = reel_error_set (&err, REEL_IO, "socket_failed", NULL, "cannot subscribe: %s",
                                 zmq_strerror (zmq_errno ()));
    if (status == REEL_OK)
        status = reel_socket_connect (follow->events, client->events_endpoint, &err);
    if (status == REEL_OK)
        status = reel_connection_open (client->context, client->client_endpoint, &follow->connection, &err);
    if (status == REEL_OK)
        return REEL_CLIENT_OK;
    enum reel_client_status failed = reel_lib_fail_as (error, status, &err);
    return failed == REEL_CLIENT_PROTOCOL ? REEL_CLIENT_INVALID : failed;
}

enum reel_client_status
reel_client_follow_open (struct reel_client *client, const char *workflow_id, uint64_t after,
                         struct reel_client_follow **follow, struct reel_client_error *error)
{
    struct reel_slice id = reel_slice_text (workflow_id);
    if (workflow_id && !reel_identity_id (id))
        return reel_lib_fail (error, REEL_CLIENT_INVALID, "bad_id", "%s is not the id of a workflow", workflow_id);
    struct reel_client_follow *opened = calloc (1, sizeof *opened);
    if (!opened)
        return reel_lib_no_memory (error);
    opened->client = client;
    client->followers++;
    reel_inbox_init (&opened->inbox);
    reel_follow_init (&opened->rules, id, after, reel_clock_monotonic_us ());
    enum reel_client_status status = open_sockets (opened, error);
    if (status == REEL_CLIENT_OK)
        *follow = opened;
    else
        reel_client_follow_close (&opened);
    return status;
}

void
reel_client_follow_close (struct reel_client_follow **follow)
{
    struct reel_client_follow *closed = *follow;
    if (!closed)
        return;
    reel_connection_close (&closed->connection);
    reel_socket_close (&closed->events);
    reel_inbox_free (&closed->inbox);
    reel_follow_free (&closed->rules);
    closed->client->followers--;
    free (closed);
    *follow = NULL;
}

uint64_t
reel_client_follow_lost (const struct reel_client_follow *follow)
{
    return follow->rules.lost;
}

static const char *
copy_field (struct reel_slice event, const char *key, char *to, size_t size)
{
    struct reel_slice text;
    if (!reel_scan_find_str (event, key, &text) || text.len >= size)
        return NULL;
    memcpy (to, text.data, text.len);
    to[text.len] = '\0';
    return to;
}

static void
fill_event (struct reel_client_follow *follow, struct reel_slice bytes, struct reel_client_event *event)
{
    uint64_t at_us = 0;
    struct reel_client_event filled = {.data = bytes.data, .size = bytes.len};
    (void) reel_scan_find_uint (bytes, "seq", &filled.seq);
    (void) reel_scan_find_uint (bytes, "index", &filled.index);
    (void) reel_scan_find_uint (bytes, "at_us", &at_us);
    filled.at_us = (int64_t) at_us;
    filled.kind = copy_field (bytes, "kind", follow->kind, sizeof follow->kind);
    filled.workflow_id = copy_field (bytes, "workflow_id", follow->workflow_id, sizeof follow->workflow_id);
    filled.step_id = copy_field (bytes, "step_id", follow->step_id, sizeof follow->step_id);
    if (!filled.kind)
        filled.kind = "";
    if (!filled.workflow_id)
        filled.workflow_id = "";
    *event = filled;
}

/* Asks EVENTS when the rules want it. */
static enum reel_client_status
begin_asking (struct reel_client_follow *follow, int64_t now_us, struct reel_client_error *error)
{
    struct reel_message request;
    uint64_t after;
    if (!reel_follow_ask (&follow->rules, now_us, &after))
        return REEL_CLIENT_OK;
    reel_message_init (&request, REEL_EVENTS);
    reel_message_set_uint (&request, REEL_F_AFTER, after);
    if (follow->rules.workflow_id[0] != '\0')
        reel_message_set_text (&request, REEL_F_WORKFLOW_ID, follow->rules.workflow_id);
    enum reel_status status = reel_connection_begin (&follow->connection, now_us, &request);
    if (status != REEL_OK) {
        reel_follow_failed (&follow->rules, now_us);
        return reel_lib_no_memory (error);
    }
    follow->asked_us = now_us;
    return REEL_CLIENT_OK;
}

static bool
is_passing (const struct reel_message *refusal)
{
    struct reel_slice code = refusal->value[REEL_F_CODE].s;
    return reel_slice_is (code, "overloaded") || reel_slice_is (code, "draining");
}

/* Looks for the reply to EVENTS. */
static enum reel_client_status
end_asking (struct reel_client_follow *follow, int64_t now_us, struct reel_client_error *error)
{
    struct reel_message reply;
    struct reel_error err = {0};
    if (!follow->connection.open)
        return REEL_CLIENT_OK;
    enum reel_status status = reel_connection_advance (&follow->connection, now_us, &reply, &err);
    if (status == REEL_AGAIN && now_us - follow->asked_us < follow->client->timeout_us)
        return REEL_CLIENT_OK;
    if (status == REEL_AGAIN) {
        reel_connection_abandon (&follow->connection);
        reel_follow_failed (&follow->rules, now_us);
        return reel_lib_fail (error, REEL_CLIENT_UNREACHABLE, "unreachable",
                              "the broker at %s has not answered for %lld ms", follow->client->client_endpoint,
                              (long long) follow->client->timeout_us / 1000);
    }
    if (status == REEL_OK && reply.command == REEL_CLIENT_ERROR && is_passing (&reply)) {
        reel_follow_failed (&follow->rules, now_us);
        return REEL_CLIENT_OK;
    }
    if (status == REEL_OK && reply.command == REEL_CLIENT_ERROR) {
        follow->broken = true;
        return reel_lib_refuse (error, &reply);
    }
    if (status == REEL_OK) {
        struct reel_follow_page page = {
            .last_seq = reply.value[REEL_F_LAST_SEQ].u, .more = reply.value[REEL_F_MORE].b, .events = reply.document};
        status = reel_follow_page (&follow->rules, now_us, &page, &err);
    }
    if (status == REEL_OK)
        return REEL_CLIENT_OK;
    follow->broken = true;
    return reel_lib_fail_as (error, status, &err);
}

/* Takes in what was published, until there is something to give out or nothing more to take. */
static enum reel_client_status
take_published (struct reel_client_follow *follow, int64_t now_us, struct reel_client_error *error)
{
    for (;;) {
        enum reel_status status = reel_socket_receive (follow->events, &follow->inbox);
        if (status == REEL_AGAIN)
            return REEL_CLIENT_OK;
        if (status != REEL_OK)
            return reel_lib_fail (error, REEL_CLIENT_SYSTEM, "socket_failed", "cannot receive events");
        if (follow->inbox.count != 2)
            continue;
        /* Out of memory is no harm: the event will be asked for. */
        (void) !reel_follow_deliver (&follow->rules, now_us, follow->inbox.frames[0], follow->inbox.frames[1]);
        if (follow->rules.ready_at < follow->rules.ready.len)
            return REEL_CLIENT_OK;
    }
}

enum reel_client_status
reel_client_follow_next (struct reel_client_follow *follow, int64_t wait_ms, struct reel_client_event *event,
                         struct reel_client_error *error)
{
    int64_t now_us = reel_clock_monotonic_us ();
    int64_t deadline_us = wait_ms < 0 ? INT64_MAX : now_us + 1000 * wait_ms;
    struct reel_slice bytes;
    for (;; now_us = reel_clock_monotonic_us ()) {
        if (reel_follow_next (&follow->rules, &bytes)) {
            fill_event (follow, bytes, event);
            return REEL_CLIENT_OK;
        }
        if (reel_follow_ended (&follow->rules))
            return reel_lib_fail (error, REEL_CLIENT_END, "end", "the workflow has ended");
        if (follow->broken)
            return reel_lib_fail (error, REEL_CLIENT_PROTOCOL, "broken", "this follower can only be closed");
        enum reel_client_status status = take_published (follow, now_us, error);
        if (status == REEL_CLIENT_OK)
            status = begin_asking (follow, now_us, error);
        if (status == REEL_CLIENT_OK)
            status = end_asking (follow, now_us, error);
        if (status != REEL_CLIENT_OK)
            return status;
        if (follow->rules.ready_at < follow->rules.ready.len || reel_follow_ended (&follow->rules))
            continue;
        if (now_us >= deadline_us)
            return reel_lib_fail (error, REEL_CLIENT_TIMEOUT, "timeout", "no event came");
        int64_t until_us = reel_follow_wake_us (&follow->rules);
        if (follow->connection.open)
            until_us = follow->asked_us + follow->client->timeout_us;
        /* A page that has more, or a gap, wants asking again at once. */
        if (until_us <= now_us)
            continue;
        status = reel_lib_poll (follow->client, &follow->connection, follow->events,
                                until_us < deadline_us ? until_us : deadline_us, error);
        if (status != REEL_CLIENT_OK)
            return status;
    }
}
