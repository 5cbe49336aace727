/*
 * reel get, receipt and list: workflows as the broker has them.
 */
#include <stdio.h>
#include <time.h>

#include "client/await.h"
#include "client/commands.h"
#include "client/table.h"
#include "client/text.h"
#include "client/waiting.h"
#include "proto/pack.h"
#include "proto/scan.h"

static struct reel_slice
header_of (const struct reel_client_reply *reply)
{
    return reel_slice (reply->header, reply->header_size);
}

/* --- get -------------------------------------------------------------------------------------- */

enum { GET_HEADER = REEL_SESSION_OPTION_COUNT, GET_COUNT };

static const struct reel_option get_table[] = {
    REEL_SESSION_OPTIONS,
    [GET_HEADER] = {.name = "header",
                    .type = REEL_OPTION_FLAG,
                    .help =
                        "What the broker says of it instead: status, worker, delivery ..., and `waiting`: what for"},
};

static const struct reel_options_spec get_spec = {
    .program = "reel get",
    .operands = "ID",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "Prints the workflow as it stands, receipts and all: a document that can be run again.",
    .epilogue =
        "While nobody works on it, standard error says what it waits for: a worker that serves the modality of its\n"
        "next step, a free slot, a time, or, when it is held, its worker. With --header that is `waiting`, and\n"
        "`waiting_for` is a modality that no connected worker serves.",
    .table = get_table,
    .count = GET_COUNT,
    .config = REEL_SESSION_CONFIG,
};

/* The header with one more member. */
static void
print_header (struct reel_output *output, struct reel_slice header, struct reel_slice waiting)
{
    struct reel_cursor cursor = reel_scan_start (header);
    struct reel_value head = {0};
    struct reel_buf map = {0};
    if (waiting.len == 0 || !reel_scan_next (&cursor, &head) || head.type != REEL_MAP) {
        reel_output_header (output, header);
        return;
    }
    reel_pack_map (&map, head.count + 1);
    reel_buf_add (&map, cursor.at, (size_t) (cursor.end - cursor.at));
    reel_pack_text (&map, "waiting");
    reel_pack_str (&map, waiting);
    if (reel_buf_status (&map) != REEL_OK)
        output->buf.failed = true;
    else
        reel_output_header (output, reel_buf_slice (&map));
    reel_buf_free (&map);
}

/* The document goes to standard output alone, so that it can be run again; what it waits for is said beside it. */
static void
print_workflow (struct reel_session *session, const char *workflow_id, const struct reel_client_reply *reply)
{
    struct reel_buf waiting = {0};
    reel_waiting_ask (&waiting, session->client, reply);
    if (reel_buf_status (&waiting) != REEL_OK)
        session->output.buf.failed = true;
    if (reel_session_option (session, GET_HEADER)->flag) {
        print_header (&session->output, header_of (reply), reel_buf_slice (&waiting));
    } else {
        reel_output_document (&session->output, reel_slice (reply->document, reply->document_size));
        if (waiting.len > 0)
            reel_complain ("%s: %.*s", workflow_id, REEL_TEXT (reel_buf_slice (&waiting)));
    }
    reel_buf_free (&waiting);
}

int
reel_command_get (int argc, char **argv)
{
    struct reel_session session;
    struct reel_client_reply reply = {0};
    struct reel_client_error error;
    int code = reel_session_start (&session, &get_spec, REEL_SESSION_CLIENT, argc, argv);
    if (code != REEL_OPTIONS_GO)
        return code;
    const char *workflow_id = session.options.operands[0];
    enum reel_client_status status = reel_client_get (session.client, workflow_id, &reply, &error);
    if (status != REEL_CLIENT_OK)
        return reel_session_end (&session, reel_complain_client (workflow_id, status, &error));
    print_workflow (&session, workflow_id, &reply);
    reel_client_reply_free (&reply);
    return reel_session_end (&session, EX_OK);
}

/* --- receipt ---------------------------------------------------------------------------------- */

enum { RECEIPT_WAIT = REEL_SESSION_OPTION_COUNT, RECEIPT_WAIT_MS, RECEIPT_COUNT };

static const struct reel_option receipt_table[] = {
    REEL_SESSION_OPTIONS,
    [RECEIPT_WAIT] = {.name = "wait",
                      .letter = 'w',
                      .type = REEL_OPTION_FLAG,
                      .help = "Wait until there is one; exit code 1 if it did not succeed"},
    [RECEIPT_WAIT_MS] = {.name = "wait-ms",
                         .type = REEL_OPTION_NUMBER,
                         .argument = "MS",
                         .max = REEL_DURATION_MS_MAX,
                         .help = "The same, for so long at most (then exit code 75)"},
};

static const struct reel_options_spec receipt_spec = {
    .program = "reel receipt",
    .operands = "ID",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "Prints the final receipt of a workflow.",
    .table = receipt_table,
    .count = RECEIPT_COUNT,
    .config = REEL_SESSION_CONFIG,
};

static int
print_receipt (struct reel_session *session, const char *workflow_id)
{
    struct reel_client_reply reply = {0};
    struct reel_client_error error;
    enum reel_client_status status = reel_client_receipt (session->client, workflow_id, &reply, &error);
    if (status != REEL_CLIENT_OK)
        return reel_complain_client (workflow_id, status, &error);
    reel_await_print (session, &reply);
    reel_client_reply_free (&reply);
    return EX_OK;
}

int
reel_command_receipt (int argc, char **argv)
{
    struct reel_session session;
    int code = reel_session_start (&session, &receipt_spec, 0, argc, argv);
    if (code != REEL_OPTIONS_GO)
        return code;
    const struct reel_option_value *limit = reel_session_option (&session, RECEIPT_WAIT_MS);
    bool limited = limit->origin != REEL_FROM_DEFAULT;
    bool wait = limited || reel_session_option (&session, RECEIPT_WAIT)->flag;
    const char *workflow_id = session.options.operands[0];
    code = reel_session_connect (&session, REEL_SESSION_CLIENT | (wait ? REEL_SESSION_SIGNALS : 0u));
    if (code != REEL_OPTIONS_GO)
        return reel_session_end (&session, code);
    code = wait ? reel_await (&session, workflow_id, limited ? (int64_t) limit->number : -1)
                : print_receipt (&session, workflow_id);
    return reel_session_end (&session, code);
}

/* --- list ------------------------------------------------------------------------------------- */

enum { LIST_STATUS = REEL_SESSION_OPTION_COUNT, LIST_LIMIT, LIST_AFTER, LIST_ALL, LIST_COUNT };

static const struct reel_option list_table[] = {
    REEL_SESSION_OPTIONS,
    [LIST_STATUS] = {.name = "status",
                     .letter = 's',
                     .type = REEL_OPTION_CHOICE,
                     .argument = "queued|running|held|succeeded|failed|cancelled",
                     .help = "Only these"},
    [LIST_LIMIT] = {.name = "limit",
                    .letter = 'n',
                    .type = REEL_OPTION_NUMBER,
                    .argument = "N",
                    .standard = "20",
                    .min = 1,
                    .max = UINT32_MAX,
                    .help = "So many at most"},
    [LIST_AFTER] = {.name = "after",
                    .type = REEL_OPTION_NUMBER,
                    .argument = "SEQ",
                    .max = INT64_MAX,
                    .help = "Only those accepted before the event SEQ (the `seq` of a row)"},
    [LIST_ALL] = {.name = "all", .letter = 'a', .type = REEL_OPTION_FLAG, .help = "However many there are"},
};

static const struct reel_options_spec list_spec = {
    .program = "reel list",
    .summary = "Lists workflows, the newest first.",
    .table = list_table,
    .count = LIST_COUNT,
    .config = REEL_SESSION_CONFIG,
};

static const char *const list_titles[] = {"WORKFLOW", "STATUS", "SUBMITTED", "TOOK", "DELIV"};

/* Local time to the second; nothing for a time that is not there. */
static void
add_time (struct reel_table *table, struct reel_slice row, const char *key)
{
    char text[32] = "-";
    uint64_t at_us;
    struct tm local;
    if (reel_scan_find_uint (row, key, &at_us)) {
        time_t seconds = (time_t) (at_us / 1000000);
        if (localtime_r (&seconds, &local))
            (void) strftime (text, sizeof text, "%m-%d %H:%M:%S", &local);
    }
    reel_table_add (table, reel_slice_text (text));
}

static void
add_row (struct reel_table *table, struct reel_slice row)
{
    struct reel_slice text = REEL_SLICE_NONE;
    uint64_t started_us, finished_us, deliveries = 0;
    char took[REEL_TEXT_DURATION_BYTES] = "-";
    (void) reel_scan_find_str (row, "workflow_id", &text);
    reel_table_add (table, text);
    text = REEL_SLICE_NONE;
    (void) reel_scan_find_str (row, "status", &text);
    reel_table_add (table, text);
    add_time (table, row, "submitted_us");
    if (reel_scan_find_uint (row, "started_us", &started_us) && reel_scan_find_uint (row, "finished_us", &finished_us))
        reel_text_duration ((int64_t) (finished_us - started_us), took);
    reel_table_add (table, reel_slice_text (took));
    (void) reel_scan_find_uint (row, "deliveries", &deliveries);
    reel_table_add_number (table, deliveries);
}

/* One page; `*count` is what it held, `*next` what to ask with for the next one (0: there is none). */
static int
list_page (struct reel_session *session, struct reel_table *table, uint64_t after, uint32_t limit, uint64_t *count,
           uint64_t *next)
{
    struct reel_client_reply reply = {0};
    struct reel_client_error error;
    struct reel_slice rows = REEL_SLICE_NONE, row;
    struct reel_value head = {0};
    enum reel_client_status status = reel_client_list (
        session->client, reel_session_option (session, LIST_STATUS)->text, after, limit, &reply, &error);
    if (status != REEL_CLIENT_OK)
        return reel_complain_client (NULL, status, &error);
    (void) reel_scan_find (header_of (&reply), reel_slice_text ("workflows"), &rows);
    struct reel_cursor cursor = reel_scan_start (rows);
    (void) reel_scan_next (&cursor, &head);
    for (*count = 0; *count < head.count && reel_scan_skip (&cursor, &row); (*count)++) {
        if (session->output.json)
            reel_output_json (&session->output, row);
        else
            add_row (table, row);
    }
    *next = 0;
    (void) reel_scan_find_uint (header_of (&reply), "next", next);
    reel_client_reply_free (&reply);
    return REEL_OPTIONS_GO;
}

int
reel_command_list (int argc, char **argv)
{
    struct reel_session session;
    struct reel_table table;
    int code = reel_session_start (&session, &list_spec, REEL_SESSION_CLIENT, argc, argv);
    if (code != REEL_OPTIONS_GO)
        return code;
    bool all = reel_session_option (&session, LIST_ALL)->flag;
    uint64_t left = all ? UINT64_MAX : reel_session_option (&session, LIST_LIMIT)->number;
    uint64_t after, next = reel_session_option (&session, LIST_AFTER)->number, count = 0;
    reel_table_init (&table, list_titles, sizeof list_titles / sizeof list_titles[0]);
    table.right[3] = table.right[4] = true;
    do {
        uint32_t limit = left < REEL_LIST_LIMIT_MAX ? (uint32_t) left : REEL_LIST_LIMIT_MAX;
        after = next;
        code = list_page (&session, &table, after, limit, &count, &next);
        left -= count < left ? count : left;
        /* A page may be empty, but each begins before the last one. */
    } while (code == REEL_OPTIONS_GO && next > 0 && (after == 0 || next < after) && left > 0 && !session.output.broken);
    if (session.output.json || code != REEL_OPTIONS_GO)
        reel_table_free (&table);
    else
        reel_table_print (&table, &session.output);
    return reel_session_end (&session, code == REEL_OPTIONS_GO ? EX_OK : code);
}
