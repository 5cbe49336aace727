/*
 * RECEIPT with patience.
 */
#include "client/await.h"

#include "base/clock.h"
#include "proto/scan.h"

void
reel_await_print (struct reel_session *session, const struct reel_client_reply *reply)
{
    reel_output_document (&session->output, reel_slice (reply->document, reply->document_size));
}

static bool
succeeded (const struct reel_client_reply *reply)
{
    struct reel_slice status;
    return reel_scan_find_str (reel_slice (reply->document, reply->document_size), "status", &status)
           && reel_slice_is (status, "succeeded");
}

int
reel_await (struct reel_session *session, const char *workflow_id, int64_t wait_ms)
{
    struct reel_client_reply reply = {0};
    struct reel_client_error error;
    int64_t end_us = reel_clock_monotonic_us () + 1000 * wait_ms;
    enum reel_client_status status;
    do {
        int64_t left_ms = (end_us - reel_clock_monotonic_us ()) / 1000;
        status = reel_client_wait (session->client, workflow_id,
                                   wait_ms < 0   ? -1
                                   : left_ms > 0 ? left_ms
                                                 : 0,
                                   &reply, &error);
        int number = status == REEL_CLIENT_INTERRUPTED ? reel_session_signal (session) : 0;
        if (number != 0) {
            reel_complain ("workflow %s goes on; wait for it again with: reel receipt --wait %s", workflow_id,
                           workflow_id);
            return 128 + number;
        }
    } while (status == REEL_CLIENT_INTERRUPTED);
    if (status != REEL_CLIENT_OK)
        return reel_complain_client (workflow_id, status, &error);
    reel_await_print (session, &reply);
    int code = succeeded (&reply) ? EX_OK : REEL_EXIT_FAILED;
    reel_client_reply_free (&reply);
    return code;
}
