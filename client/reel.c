/*
 * libreel's requests: one struct reel_client, its connection, and what may be asked over it.
 */
#include "client/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "client/submission.h"
#include "proto/identity.h"
#include "proto/scan.h"

#define TIMEOUT_MS_DEFAULT 10000
/* One RECEIPT of a wait: short enough that a broker which forgot about us is asked again. */
#define WAIT_SLICE_MS 30000
/* Before a broker that is about to end is asked again, if its connection has not ended by then. */
#define DRAINING_PAUSE_US 100000

/* --- errors --------------------------------------------------------------------------------- */

const char *
reel_client_status_name (enum reel_client_status status)
{
    switch (status) {
    case REEL_CLIENT_OK: return "ok";
    case REEL_CLIENT_REFUSED: return "refused";
    case REEL_CLIENT_UNREACHABLE: return "unreachable";
    case REEL_CLIENT_TIMEOUT: return "timeout";
    case REEL_CLIENT_PROTOCOL: return "protocol";
    case REEL_CLIENT_INTERRUPTED: return "interrupted";
    case REEL_CLIENT_INVALID: return "invalid";
    case REEL_CLIENT_NO_MEMORY: return "no_memory";
    case REEL_CLIENT_SYSTEM: return "system";
    case REEL_CLIENT_END: return "end";
    }
    return "unknown";
}

/* Copies text that is known to be UTF-8, cut at the start of a character. */
static void
copy_text (char *to, size_t size, struct reel_slice text)
{
    size_t len = text.len < size ? text.len : size - 1;
    while (len < text.len && len > 0 && (text.data[len] & 0xc0) == 0x80)
        len--;
    if (len > 0)
        memcpy (to, text.data, len);
    to[len] = '\0';
}

enum reel_client_status
reel_lib_fail (struct reel_client_error *error, enum reel_client_status status, const char *code, const char *format,
               ...)
{
    if (!error)
        return status;
    *error = (struct reel_client_error){0};
    copy_text (error->code, sizeof error->code, reel_slice_text (code));
    va_list args;
    va_start (args, format);
    (void) vsnprintf (error->message, sizeof error->message, format, args);
    va_end (args);
    return status;
}

enum reel_client_status
reel_lib_no_memory (struct reel_client_error *error)
{
    return reel_lib_fail (error, REEL_CLIENT_NO_MEMORY, "no_memory", "out of memory");
}

enum reel_client_status
reel_lib_fail_as (struct reel_client_error *error, enum reel_status status, const struct reel_error *err)
{
    if (status == REEL_NO_MEMORY)
        return reel_lib_no_memory (error);
    enum reel_client_status as = status == REEL_INVALID ? REEL_CLIENT_PROTOCOL : REEL_CLIENT_SYSTEM;
    (void) reel_lib_fail (error, as, err->code ? err->code : reel_status_name (status), "%s", err->message);
    if (error)
        copy_text (error->path, sizeof error->path, reel_slice_text (err->path));
    return as;
}

enum reel_client_status
reel_lib_refuse (struct reel_client_error *error, const struct reel_message *refusal)
{
    if (!error)
        return REEL_CLIENT_REFUSED;
    *error = (struct reel_client_error){0};
    copy_text (error->code, sizeof error->code, refusal->value[REEL_F_CODE].s);
    copy_text (error->message, sizeof error->message, refusal->value[REEL_F_MESSAGE].s);
    if (reel_message_has (refusal, REEL_F_REASON))
        copy_text (error->reason, sizeof error->reason, refusal->value[REEL_F_REASON].s);
    if (reel_message_has (refusal, REEL_F_PATH))
        copy_text (error->path, sizeof error->path, refusal->value[REEL_F_PATH].s);
    return REEL_CLIENT_REFUSED;
}

/* --- opening and closing ---------------------------------------------------------------------- */

static bool
copy_endpoint (char to[REEL_ENDPOINT_BYTES], const char *endpoint, const char *standard)
{
    const char *from = endpoint ? endpoint : standard;
    if (strlen (from) >= REEL_ENDPOINT_BYTES)
        return false;
    memcpy (to, from, strlen (from) + 1);
    return true;
}

static enum reel_client_status
open_client (const struct reel_client_options *options, struct reel_client *client, struct reel_client_error *error)
{
    struct reel_error err = {0};
    uint64_t seed;
    if (!copy_endpoint (client->client_endpoint, options->client_endpoint, REEL_CLIENT_ENDPOINT_DEFAULT)
        || !copy_endpoint (client->events_endpoint, options->events_endpoint, REEL_EVENTS_ENDPOINT_DEFAULT))
        return reel_lib_fail (error, REEL_CLIENT_INVALID, "bad_endpoint", "an endpoint has at most %d characters",
                              REEL_ENDPOINT_BYTES - 1);
    if (options->timeout_ms < 0 || options->timeout_ms > REEL_DURATION_MS_MAX)
        return reel_lib_fail (error, REEL_CLIENT_INVALID, "bad_timeout", "a timeout is 0 to %lld ms",
                              (long long) REEL_DURATION_MS_MAX);
    client->timeout_us = 1000 * (options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS_DEFAULT);
    client->wake_fd = options->wake_fd > 0 ? options->wake_fd : -1;
    reel_random_system (&seed, sizeof seed);
    reel_random_seed (&client->random, seed);
    client->context = zmq_ctx_new ();
    if (!client->context)
        return reel_lib_fail (error, REEL_CLIENT_SYSTEM, "socket_failed", "cannot start ZeroMQ: %s",
                              zmq_strerror (zmq_errno ()));
    enum reel_status status = reel_connection_open (client->context, client->client_endpoint, &client->connection,
                                                    &err);
    if (status == REEL_OK)
        return REEL_CLIENT_OK;
    enum reel_client_status failed = reel_lib_fail_as (error, status, &err);
    return failed == REEL_CLIENT_PROTOCOL ? REEL_CLIENT_INVALID : failed;
}

enum reel_client_status
reel_client_open (const struct reel_client_options *options, struct reel_client **client,
                  struct reel_client_error *error)
{
    struct reel_client *opened = calloc (1, sizeof *opened);
    if (!opened)
        return reel_lib_no_memory (error);
    enum reel_client_status status = open_client (options, opened, error);
    if (status == REEL_CLIENT_OK)
        *client = opened;
    else
        reel_client_close (&opened);
    return status;
}

void
reel_client_close (struct reel_client **client)
{
    struct reel_client *closed = *client;
    if (!closed)
        return;
    REEL_ASSERT (closed->followers == 0);
    reel_connection_close (&closed->connection);
    if (closed->context)
        (void) zmq_ctx_term (closed->context);
    free (closed);
    *client = NULL;
}

/* --- one request and its reply ---------------------------------------------------------------- */

enum reel_client_status
reel_lib_poll (const struct reel_client *client, const struct reel_connection *connection, void *extra,
               int64_t until_us, struct reel_client_error *error)
{
    zmq_pollitem_t polls[REEL_CONNECTION_POLLS + 2];
    int count = REEL_CONNECTION_POLLS;
    reel_connection_polls (connection, polls);
    if (extra)
        polls[count++] = (zmq_pollitem_t){.socket = extra, .events = ZMQ_POLLIN};
    int wake = count;
    if (client->wake_fd >= 0)
        polls[count++] = (zmq_pollitem_t){.fd = client->wake_fd, .events = ZMQ_POLLIN};
    int64_t now_us = reel_clock_monotonic_us ();
    /* Rounded up, so that nobody spins through the last millisecond. */
    int64_t wait_ms = until_us <= now_us ? 0 : (until_us - now_us) / 1000 + 1;
    if (wait_ms > INT32_MAX)
        wait_ms = INT32_MAX;
    if (zmq_poll (polls, count, (long) wait_ms) < 0 && zmq_errno () != EINTR)
        return reel_lib_fail (error, REEL_CLIENT_SYSTEM, "socket_failed", "cannot wait for the broker: %s",
                              zmq_strerror (zmq_errno ()));
    if (wake < count && (polls[wake].revents & (ZMQ_POLLIN | ZMQ_POLLERR)) != 0)
        return reel_lib_fail (error, REEL_CLIENT_INTERRUPTED, "interrupted", "interrupted");
    return REEL_CLIENT_OK;
}

/* Sends the request and waits for its reply: for the client's timeout, and where the broker was asked to wait, for
 * extra_us more. `reply` is borrowed from the connection. */
static enum reel_client_status
exchange (struct reel_client *client, struct reel_message *request, int64_t extra_us, struct reel_message *reply,
          struct reel_client_error *error)
{
    struct reel_connection *connection = &client->connection;
    struct reel_error err = {0};
    int64_t now_us = reel_clock_monotonic_us ();
    int64_t deadline_us = now_us + client->timeout_us + extra_us;
    enum reel_client_status waited = REEL_CLIENT_OK;
    enum reel_status status = reel_connection_begin (connection, now_us, request);
    if (status != REEL_OK)
        return reel_lib_fail_as (error, status, &err);
    for (;;) {
        status = reel_connection_advance (connection, now_us, reply, &err);
        if (status == REEL_OK)
            return reply->command == REEL_CLIENT_ERROR ? reel_lib_refuse (error, reply) : REEL_CLIENT_OK;
        if (status != REEL_AGAIN)
            return reel_lib_fail_as (error, status, &err);
        int64_t until_us = deadline_us;
        if (!connection->sent && connection->unsent_since_us + client->timeout_us < until_us)
            until_us = connection->unsent_since_us + client->timeout_us;
        if (now_us >= until_us)
            break;
        waited = reel_lib_poll (client, connection, NULL, until_us, error);
        if (waited != REEL_CLIENT_OK)
            break;
        now_us = reel_clock_monotonic_us ();
    }
    reel_connection_abandon (connection);
    if (waited != REEL_CLIENT_OK)
        return waited;
    if (!connection->sent)
        return reel_lib_fail (error, REEL_CLIENT_UNREACHABLE, "unreachable", "no broker at %s for %lld ms",
                              client->client_endpoint, (long long) client->timeout_us / 1000);
    return reel_lib_fail (error, REEL_CLIENT_TIMEOUT, "timeout", "the broker at %s did not answer within %lld ms",
                          client->client_endpoint, (long long) (client->timeout_us + extra_us) / 1000);
}

void
reel_client_reply_free (struct reel_client_reply *reply)
{
    free (reply->header);
    free (reply->document);
    *reply = (struct reel_client_reply){0};
}

static void *
copy_bytes (struct reel_slice bytes)
{
    void *copy = malloc (bytes.len > 0 ? bytes.len : 1);
    if (copy && bytes.len > 0)
        memcpy (copy, bytes.data, bytes.len);
    return copy;
}

static enum reel_client_status
copy_reply (const struct reel_connection *connection, const struct reel_message *message,
            struct reel_client_reply *reply, struct reel_client_error *error)
{
    struct reel_error err = {0};
    struct reel_slice header = connection->inbox.frames[2];
    if (message->has_document) {
        enum reel_status status = reel_scan_check (message->document, REEL_DEPTH_MAX, &err);
        if (status != REEL_OK)
            return reel_lib_fail_as (error, status, &err);
    }
    struct reel_client_reply copy = {.header = copy_bytes (header), .header_size = header.len};
    if (message->has_document) {
        copy.document = copy_bytes (message->document);
        copy.document_size = message->document.len;
    }
    if (!copy.header || (message->has_document && !copy.document)) {
        reel_client_reply_free (&copy);
        return reel_lib_no_memory (error);
    }
    *reply = copy;
    return REEL_CLIENT_OK;
}

static enum reel_client_status
ask (struct reel_client *client, struct reel_message *request, int64_t extra_us, struct reel_client_reply *reply,
     struct reel_client_error *error)
{
    struct reel_message answer = {0};
    enum reel_client_status status = exchange (client, request, extra_us, &answer, error);
    return status == REEL_CLIENT_OK ? copy_reply (&client->connection, &answer, reply, error) : status;
}

static enum reel_client_status
check_id (const char *workflow_id, struct reel_client_error *error)
{
    if (reel_identity_id (reel_slice_text (workflow_id)))
        return REEL_CLIENT_OK;
    return reel_lib_fail (error, REEL_CLIENT_INVALID, "bad_id",
                          "a workflow's id is 1 to %d of the characters A-Z a-z 0-9 . _ : -, not: %s",
                          REEL_ID_BYTES_MAX, workflow_id ? workflow_id : "(none)");
}

/* --- submitting ------------------------------------------------------------------------------- */

static void
new_id (struct reel_random *random, char id[REEL_CLIENT_ID_BYTES])
{
    reel_identity_uuid7 (reel_clock_wall_us (), random, id);
}

void
reel_client_new_id (char id[REEL_CLIENT_ID_BYTES])
{
    struct reel_random random;
    uint64_t seed;
    reel_random_system (&seed, sizeof seed);
    reel_random_seed (&random, seed);
    new_id (&random, id);
}

/* The document to send, and the id it is sent under. */
static enum reel_client_status
prepare (struct reel_client *client, const struct reel_client_submission *submission, struct reel_buf *document,
         char id[REEL_CLIENT_ID_BYTES], struct reel_client_error *error)
{
    struct reel_slice used;
    if (submission->workflow_id) {
        enum reel_client_status checked = check_id (submission->workflow_id, error);
        if (checked != REEL_CLIENT_OK)
            return checked;
        copy_text (id, REEL_CLIENT_ID_BYTES, reel_slice_text (submission->workflow_id));
    } else {
        new_id (&client->random, id);
    }
    enum reel_status status = reel_submission_prepare (reel_slice (submission->document, submission->size),
                                                       reel_slice_text (id), document, &used);
    if (status != REEL_OK)
        return reel_lib_no_memory (error);
    if (submission->workflow_id && used.len > 0 && !reel_slice_is (used, submission->workflow_id))
        return reel_lib_fail (error, REEL_CLIENT_INVALID, "id_conflict",
                              "the document has the workflow_id %.*s already, so it cannot be %s", REEL_TEXT (used),
                              submission->workflow_id);
    char final[REEL_CLIENT_ID_BYTES];
    copy_text (final, sizeof final, used);
    memcpy (id, final, sizeof final);
    return REEL_CLIENT_OK;
}

static void
fill_submitted (const struct reel_message *reply, struct reel_client_submitted *submitted)
{
    copy_text (submitted->workflow_id, sizeof submitted->workflow_id, reply->value[REEL_F_WORKFLOW_ID].s);
    copy_text (submitted->status, sizeof submitted->status, reply->value[REEL_F_STATUS].s);
    submitted->duplicate = reply->value[REEL_F_DUPLICATE].b ? 1 : 0;
    submitted->seq = reply->value[REEL_F_SEQ].u;
}

enum reel_client_status
reel_client_submit (struct reel_client *client, const struct reel_client_submission *submission,
                    struct reel_client_submitted *submitted, struct reel_client_error *error)
{
    struct reel_message request, reply;
    struct reel_buf document = {0};
    char id[REEL_CLIENT_ID_BYTES];
    submitted->workflow_id[0] = '\0';
    enum reel_client_status status = prepare (client, submission, &document, id, error);
    if (status != REEL_CLIENT_OK)
        goto out;
    reel_message_init (&request, REEL_SUBMIT);
    reel_message_set_document (&request, reel_buf_slice (&document));
    if (submission->provenance) {
        struct reel_slice provenance = reel_slice (submission->provenance, submission->provenance_size);
        if (reel_scan_check (provenance, REEL_DEPTH_MAX, NULL) != REEL_OK || reel_scan_type (provenance) != REEL_MAP) {
            status = reel_lib_fail (error, REEL_CLIENT_INVALID, "bad_provenance", "provenance is no msgpack map");
            goto out;
        }
        reel_message_set (&request, REEL_F_PROVENANCE, provenance);
    }
    if (submission->priority != 0)
        reel_message_set_int (&request, REEL_F_PRIORITY, submission->priority);
    if (submission->not_before_us != 0)
        reel_message_set_uint (&request, REEL_F_NOT_BEFORE_US, submission->not_before_us);
    status = exchange (client, &request, 0, &reply, error);
    if (status == REEL_CLIENT_OK)
        fill_submitted (&reply, submitted);
    else if (status != REEL_CLIENT_REFUSED && client->connection.sent_once)
        memcpy (submitted->workflow_id, id, sizeof id);
out:
    reel_buf_free (&document);
    return status;
}

/* --- asking ----------------------------------------------------------------------------------- */

static enum reel_client_status
ask_about (struct reel_client *client, enum reel_command command, const char *workflow_id, int64_t wait_ms,
           struct reel_client_reply *reply, struct reel_client_error *error)
{
    struct reel_message request;
    enum reel_client_status status = check_id (workflow_id, error);
    if (status != REEL_CLIENT_OK)
        return status;
    reel_message_init (&request, command);
    reel_message_set_text (&request, REEL_F_WORKFLOW_ID, workflow_id);
    if (wait_ms > 0)
        reel_message_set_uint (&request, REEL_F_WAIT_MS, (uint64_t) wait_ms);
    return ask (client, &request, 1000 * wait_ms, reply, error);
}

enum reel_client_status
reel_client_get (struct reel_client *client, const char *workflow_id, struct reel_client_reply *reply,
                 struct reel_client_error *error)
{
    return ask_about (client, REEL_GET, workflow_id, 0, reply, error);
}

enum reel_client_status
reel_client_receipt (struct reel_client *client, const char *workflow_id, struct reel_client_reply *reply,
                     struct reel_client_error *error)
{
    return ask_about (client, REEL_RECEIPT, workflow_id, 0, reply, error);
}

enum reel_client_status
reel_client_wait (struct reel_client *client, const char *workflow_id, int64_t wait_ms, struct reel_client_reply *reply,
                  struct reel_client_error *error)
{
    struct reel_client_error ignored;
    struct reel_client_error *said = error ? error : &ignored;
    int64_t start_us = reel_clock_monotonic_us ();
    for (;;) {
        int64_t left_ms = wait_ms < 0 ? WAIT_SLICE_MS : wait_ms - (reel_clock_monotonic_us () - start_us) / 1000;
        int64_t slice_ms = left_ms < 0 ? 0 : left_ms > WAIT_SLICE_MS ? WAIT_SLICE_MS : left_ms;
        enum reel_client_status status = ask_about (client, REEL_RECEIPT, workflow_id, slice_ms, reply, said);
        bool unfinished = status == REEL_CLIENT_REFUSED && strcmp (said->code, "not_finished") == 0;
        if (status == REEL_CLIENT_REFUSED && strcmp (said->code, "draining") == 0) {
            /* It is about to end; the one after it is asked as soon as there is a connection again. */
            int64_t until_us = reel_clock_monotonic_us () + DRAINING_PAUSE_US;
            enum reel_client_status waited = reel_lib_poll (client, &client->connection, NULL, until_us, said);
            if (waited != REEL_CLIENT_OK)
                return waited;
            unfinished = true;
        }
        if (!unfinished || (wait_ms >= 0 && left_ms <= WAIT_SLICE_MS))
            return status;
    }
}

enum reel_client_status
reel_client_list (struct reel_client *client, const char *status, uint64_t after, uint32_t limit,
                  struct reel_client_reply *reply, struct reel_client_error *error)
{
    struct reel_message request;
    reel_message_init (&request, REEL_LIST);
    if (status)
        reel_message_set_text (&request, REEL_F_STATUS, status);
    if (after > 0)
        reel_message_set_uint (&request, REEL_F_AFTER, after);
    if (limit > 0)
        reel_message_set_uint (&request, REEL_F_LIMIT, limit);
    return ask (client, &request, 0, reply, error);
}

enum reel_client_status
reel_client_events (struct reel_client *client, const char *workflow_id, uint64_t after, uint32_t limit,
                    struct reel_client_reply *reply, struct reel_client_error *error)
{
    struct reel_message request;
    enum reel_client_status status = workflow_id ? check_id (workflow_id, error) : REEL_CLIENT_OK;
    if (status != REEL_CLIENT_OK)
        return status;
    reel_message_init (&request, REEL_EVENTS);
    reel_message_set_uint (&request, REEL_F_AFTER, after);
    if (workflow_id)
        reel_message_set_text (&request, REEL_F_WORKFLOW_ID, workflow_id);
    if (limit > 0)
        reel_message_set_uint (&request, REEL_F_LIMIT, limit);
    return ask (client, &request, 0, reply, error);
}

static enum reel_client_status
ask_plainly (struct reel_client *client, enum reel_command command, struct reel_client_reply *reply,
             struct reel_client_error *error)
{
    struct reel_message request;
    reel_message_init (&request, command);
    return ask (client, &request, 0, reply, error);
}

enum reel_client_status
reel_client_workers (struct reel_client *client, struct reel_client_reply *reply, struct reel_client_error *error)
{
    return ask_plainly (client, REEL_WORKERS, reply, error);
}

enum reel_client_status
reel_client_stats (struct reel_client *client, struct reel_client_reply *reply, struct reel_client_error *error)
{
    return ask_plainly (client, REEL_STATS, reply, error);
}

enum reel_client_status
reel_client_backup (struct reel_client *client, uint64_t copy, uint64_t offset, struct reel_client_reply *reply,
                    struct reel_client_error *error)
{
    struct reel_message request;
    reel_message_init (&request, REEL_BACKUP);
    if (copy != 0)
        reel_message_set_uint (&request, REEL_F_COPY, copy);
    reel_message_set_uint (&request, REEL_F_OFFSET, offset);
    return ask (client, &request, 0, reply, error);
}

enum reel_client_status
reel_client_ping (struct reel_client *client, struct reel_client_reply *reply, struct reel_client_error *error)
{
    return ask_plainly (client, REEL_PING, reply, error);
}

/* --- operating -------------------------------------------------------------------------------- */

enum reel_client_status
reel_client_cancel (struct reel_client *client, const char *workflow_id, struct reel_client_reply *reply,
                    struct reel_client_error *error)
{
    return ask_about (client, REEL_CANCEL, workflow_id, 0, reply, error);
}

enum reel_client_status
reel_client_resolve (struct reel_client *client, const struct reel_client_resolution *resolution,
                     struct reel_client_reply *reply, struct reel_client_error *error)
{
    struct reel_message request;
    struct reel_slice receipt = reel_slice (resolution->receipt, resolution->receipt_size);
    enum reel_client_status status = check_id (resolution->workflow_id, error);
    if (status == REEL_CLIENT_OK)
        status = check_id (resolution->step_id, error);
    if (status != REEL_CLIENT_OK)
        return status;
    if (resolution->receipt != NULL
        && (reel_scan_check (receipt, REEL_DEPTH_MAX, NULL) != REEL_OK || reel_scan_type (receipt) != REEL_MAP))
        return reel_lib_fail (error, REEL_CLIENT_INVALID, "bad_receipt", "the receipt is no msgpack map");
    reel_message_init (&request, REEL_RESOLVE);
    reel_message_set_text (&request, REEL_F_WORKFLOW_ID, resolution->workflow_id);
    reel_message_set_text (&request, REEL_F_STEP_ID, resolution->step_id);
    reel_message_set_text (&request, REEL_F_AS, resolution->as);
    if (resolution->receipt != NULL)
        reel_message_set (&request, REEL_F_RECEIPT, receipt);
    if (resolution->note != NULL)
        reel_message_set_text (&request, REEL_F_NOTE, resolution->note);
    return ask (client, &request, 0, reply, error);
}

enum reel_client_status
reel_client_rerun (struct reel_client *client, const char *workflow_id, const char *from_step,
                   const char *new_workflow_id, struct reel_client_submitted *submitted,
                   struct reel_client_error *error)
{
    struct reel_message request, reply;
    char id[REEL_CLIENT_ID_BYTES];
    submitted->workflow_id[0] = '\0';
    enum reel_client_status status = check_id (workflow_id, error);
    if (status == REEL_CLIENT_OK && from_step != NULL)
        status = check_id (from_step, error);
    if (status == REEL_CLIENT_OK && new_workflow_id != NULL)
        status = check_id (new_workflow_id, error);
    if (status != REEL_CLIENT_OK)
        return status;
    if (new_workflow_id == NULL) /* so that it may arrive twice */
        reel_client_new_id (id);
    else
        copy_text (id, sizeof id, reel_slice_text (new_workflow_id));
    reel_message_init (&request, REEL_RERUN);
    reel_message_set_text (&request, REEL_F_WORKFLOW_ID, workflow_id);
    reel_message_set_text (&request, REEL_F_NEW_WORKFLOW_ID, id);
    if (from_step != NULL)
        reel_message_set_text (&request, REEL_F_FROM_STEP, from_step);
    status = exchange (client, &request, 0, &reply, error);
    if (status == REEL_CLIENT_OK)
        fill_submitted (&reply, submitted);
    else if (status != REEL_CLIENT_REFUSED && client->connection.sent_once)
        memcpy (submitted->workflow_id, id, sizeof id);
    return status;
}

static enum reel_client_status
ask_about_one_or_all (struct reel_client *client, enum reel_command command, const char *workflow_id,
                      struct reel_client_reply *reply, struct reel_client_error *error)
{
    return workflow_id == NULL ? ask_plainly (client, command, reply, error)
                               : ask_about (client, command, workflow_id, 0, reply, error);
}

enum reel_client_status
reel_client_pause (struct reel_client *client, const char *workflow_id, struct reel_client_reply *reply,
                   struct reel_client_error *error)
{
    return ask_about_one_or_all (client, REEL_PAUSE, workflow_id, reply, error);
}

enum reel_client_status
reel_client_resume (struct reel_client *client, const char *workflow_id, struct reel_client_reply *reply,
                    struct reel_client_error *error)
{
    return ask_about_one_or_all (client, REEL_RESUME, workflow_id, reply, error);
}
