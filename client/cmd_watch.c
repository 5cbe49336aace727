/*
 * reel watch and events: what happens, as it happens or as it was kept.
 */
#include <string.h>

#include "client/commands.h"
#include "client/event_line.h"
#include "client/watching.h"
#include "proto/identity.h"
#include "proto/scan.h"

/* Of an event in text; longer than most terminals are wide, so that errors can be read. */
#define LINE_COLUMNS_MAX 1000

/* --- watch ------------------------------------------------------------------------------------ */

static const struct reel_option watch_table[] = {REEL_SESSION_OPTIONS};

static const struct reel_options_spec watch_spec = {
    .program = "reel watch",
    .operands = "[ID]...",
    .operands_max = SIZE_MAX,
    .summary = "Follows workflows from their first event to their end; without any ID everything, from now on.\n"
               "Ctrl-C ends the watching, not the workflow. In JSON: the events, and after the last one the receipt.",
    .table = watch_table,
    .count = REEL_SESSION_OPTION_COUNT,
    .config = REEL_SESSION_CONFIG,
};

/* Every id must be known before several are watched: following them all would wait for one that never was. */
static int
add_known (struct reel_session *session, struct reel_watching *watching, const char *workflow_id)
{
    struct reel_client_reply reply = {0};
    struct reel_client_error error;
    struct reel_slice document;
    enum reel_client_status status;
    uint64_t first_seq = 0;
    do {
        status = reel_client_get (session->client, workflow_id, &reply, &error);
        int number = status == REEL_CLIENT_INTERRUPTED ? reel_session_signal (session) : 0;
        if (number != 0)
            return 128 + number;
    } while (status == REEL_CLIENT_INTERRUPTED);
    if (status != REEL_CLIENT_OK)
        return reel_complain_client (workflow_id, status, &error);
    document = reel_slice (reply.document, reply.document_size);
    bool added = reel_watching_add (watching, reel_slice_text (workflow_id), document, first_seq) == REEL_OK;
    reel_client_reply_free (&reply);
    if (!added)
        reel_complain ("out of memory");
    return added ? REEL_OPTIONS_GO : EX_OSERR;
}

int
reel_command_watch (int argc, char **argv)
{
    struct reel_session session;
    int code = reel_session_start (&session, &watch_spec, REEL_SESSION_CLIENT | REEL_SESSION_SIGNALS, argc, argv);
    if (code != REEL_OPTIONS_GO)
        return code;
    struct reel_watching *watching = reel_watching_create (&session);
    if (!watching) {
        reel_complain ("out of memory");
        return reel_session_end (&session, EX_OSERR);
    }
    for (size_t i = 0; i < session.options.operand_count && code == REEL_OPTIONS_GO; i++)
        code = add_known (&session, watching, session.options.operands[i]);
    if (code == REEL_OPTIONS_GO)
        code = session.options.operand_count > 0 ? reel_watching_run (watching) : reel_watching_run_all (watching);
    reel_watching_destroy (&watching);
    return reel_session_end (&session, code);
}

/* --- events ----------------------------------------------------------------------------------- */

enum { EVENTS_AFTER = REEL_SESSION_OPTION_COUNT, EVENTS_FOLLOW, EVENTS_COUNT };

static const struct reel_option events_table[] = {
    REEL_SESSION_OPTIONS,
    [EVENTS_AFTER] = {.name = "after",
                      .letter = 'a',
                      .type = REEL_OPTION_NUMBER,
                      .argument = "SEQ",
                      .standard = "0",
                      .max = INT64_MAX,
                      .help = "Only those with a higher seq"},
    [EVENTS_FOLLOW] = {.name = "follow",
                       .letter = 'f',
                       .type = REEL_OPTION_FLAG,
                       .help = "Go on with those to come, progress included, until Ctrl-C or the workflow's end"},
};

static const struct reel_options_spec events_spec = {
    .program = "reel events",
    .operands = "[ID]",
    .operands_max = 1,
    .summary = "Prints the events that the broker keeps, oldest first: of one workflow, or all.",
    .table = events_table,
    .count = EVENTS_COUNT,
    .config = REEL_SESSION_CONFIG,
};

static void
print_event (struct reel_session *session, struct reel_slice event)
{
    if (session->output.json) {
        reel_output_json (&session->output, event);
        return;
    }
    reel_event_line_add (&session->output.buf, event, LINE_COLUMNS_MAX, session->output.utf8);
    reel_output_flush (&session->output);
}

static int
print_page (struct reel_session *session, const char *workflow_id, uint64_t *after, bool *more)
{
    struct reel_client_reply reply = {0};
    struct reel_client_error error;
    struct reel_slice event, bytes;
    struct reel_value head = {0}, value = {0};
    enum reel_client_status status = reel_client_events (session->client, workflow_id, *after, 0, &reply, &error);
    if (status != REEL_CLIENT_OK)
        return reel_complain_client (workflow_id, status, &error);
    struct reel_slice header = reel_slice (reply.header, reply.header_size);
    struct reel_cursor cursor = reel_scan_start (reel_slice (reply.document, reply.document_size));
    if (reel_scan_next (&cursor, &head) && head.type == REEL_ARRAY)
        for (uint32_t i = 0; i < head.count && reel_scan_skip (&cursor, &event); i++)
            print_event (session, event);
    uint64_t before = *after;
    *more = reel_scan_find_uint (header, "next", after) && *after > before
            && reel_scan_find (header, reel_slice_text ("more"), &bytes) && reel_scan_value (bytes, &value)
            && value.type == REEL_BOOL && value.boolean;
    reel_client_reply_free (&reply);
    return REEL_OPTIONS_GO;
}

static int
print_kept (struct reel_session *session, const char *workflow_id, uint64_t after)
{
    bool more = true;
    int code = REEL_OPTIONS_GO;
    while (code == REEL_OPTIONS_GO && more && !session->output.broken)
        code = print_page (session, workflow_id, &after, &more);
    return code == REEL_OPTIONS_GO ? EX_OK : code;
}

static int
follow (struct reel_session *session, const char *workflow_id, uint64_t after)
{
    struct reel_client_follow *follower = NULL;
    struct reel_client_event event;
    struct reel_client_error error;
    int code = REEL_OPTIONS_GO;
    uint64_t lost = 0;
    enum reel_client_status status = reel_client_follow_open (session->client, workflow_id, after, &follower, &error);
    if (status != REEL_CLIENT_OK)
        return reel_complain_client (workflow_id, status, &error);
    while (code == REEL_OPTIONS_GO && !session->output.broken) {
        status = reel_client_follow_next (follower, -1, &event, &error);
        int number = reel_session_signal (session);
        if (reel_client_follow_lost (follower) > lost)
            reel_complain ("%llu events are no longer kept by the broker",
                           (unsigned long long) (reel_client_follow_lost (follower) - lost));
        lost = reel_client_follow_lost (follower);
        if (status == REEL_CLIENT_OK)
            print_event (session, reel_slice (event.data, event.size));
        else if (status == REEL_CLIENT_END)
            code = EX_OK;
        else if (status != REEL_CLIENT_INTERRUPTED)
            code = reel_complain_client (workflow_id, status, &error);
        if (number != 0)
            code = 128 + number;
    }
    reel_client_follow_close (&follower);
    return code;
}

int
reel_command_events (int argc, char **argv)
{
    struct reel_session session;
    int code = reel_session_start (&session, &events_spec, 0, argc, argv);
    if (code != REEL_OPTIONS_GO)
        return code;
    bool following = reel_session_option (&session, EVENTS_FOLLOW)->flag;
    uint64_t after = reel_session_option (&session, EVENTS_AFTER)->number;
    const char *workflow_id = session.options.operand_count > 0 ? session.options.operands[0] : NULL;
    code = reel_session_connect (&session, REEL_SESSION_CLIENT | (following ? REEL_SESSION_SIGNALS : 0u));
    if (code == REEL_OPTIONS_GO)
        code = following ? follow (&session, workflow_id, after) : print_kept (&session, workflow_id, after);
    return reel_session_end (&session, code);
}
