/*
 * reel workers, stats and ping: the broker itself.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "client/commands.h"
#include "client/session.h"
#include "client/table.h"
#include "client/text.h"
#include "proto/scan.h"

static const struct reel_option table[] = {REEL_SESSION_OPTIONS};

typedef enum reel_client_status (*asking_fn) (struct reel_client *client, struct reel_client_reply *reply,
                                              struct reel_client_error *error);

/* Starts a session and asks the one question of its command. */
static int
begin (struct reel_session *session, const struct reel_options_spec *spec, asking_fn asking,
       struct reel_client_reply *reply, int argc, char **argv)
{
    struct reel_client_error error;
    int code = reel_session_start (session, spec, REEL_SESSION_CLIENT, argc, argv);
    if (code != REEL_OPTIONS_GO)
        return code;
    enum reel_client_status status = asking (session->client, reply, &error);
    if (status == REEL_CLIENT_OK)
        return REEL_OPTIONS_GO;
    return reel_session_end (session, reel_complain_client (NULL, status, &error));
}

/* --- workers ---------------------------------------------------------------------------------- */

static const struct reel_options_spec workers_spec = {
    .program = "reel workers",
    .summary = "Lists the workers that are connected to the broker, and what they serve.",
    .table = table,
    .count = REEL_SESSION_OPTION_COUNT,
    .config = REEL_SESSION_CONFIG,
};

static const char *const worker_titles[] = {"WORKER", "LEASES", "SLOTS", "HEARD", "SERVES"};

/* The modalities: the keys of `dispatch`, or the elements of `modalities`. */
static void
add_modalities (struct reel_table *rows, struct reel_slice worker)
{
    struct reel_slice bytes = REEL_SLICE_NONE;
    struct reel_value head = {0}, value;
    struct reel_buf text = {0};
    if (!reel_scan_find (worker, reel_slice_text ("dispatch"), &bytes))
        (void) reel_scan_find (worker, reel_slice_text ("modalities"), &bytes);
    struct reel_cursor cursor = reel_scan_start (bytes);
    if (reel_scan_next (&cursor, &head) && head.type != REEL_MAP && head.type != REEL_ARRAY)
        head.count = 0;
    for (uint32_t i = 0; i < head.count && reel_scan_next (&cursor, &value) && value.type == REEL_STR; i++) {
        if (i > 0)
            reel_buf_add_byte (&text, ' ');
        reel_buf_add_slice (&text, value.bytes);
        if (head.type == REEL_MAP && !reel_scan_skip (&cursor, NULL))
            break;
    }
    if (reel_buf_status (&text) != REEL_OK)
        rows->text.failed = true;
    reel_table_add (rows, reel_buf_slice (&text));
    reel_buf_free (&text);
}

static void
add_worker (struct reel_table *rows, struct reel_slice worker, int64_t now_us)
{
    struct reel_slice name = REEL_SLICE_NONE;
    uint64_t leases = 0, slots = 0, heard_us = 0;
    char ago[REEL_TEXT_DURATION_BYTES];
    (void) reel_scan_find_str (worker, "name", &name);
    (void) reel_scan_find_uint (worker, "leases", &leases);
    (void) reel_scan_find_uint (worker, "slots", &slots);
    (void) reel_scan_find_uint (worker, "heard_us", &heard_us);
    reel_text_duration (now_us - (int64_t) heard_us, ago);
    reel_table_add (rows, name);
    reel_table_add_number (rows, leases);
    reel_table_add_number (rows, slots);
    reel_table_add (rows, reel_slice_text (ago));
    add_modalities (rows, worker);
}

int
reel_command_workers (int argc, char **argv)
{
    struct reel_session session;
    struct reel_client_reply reply = {0};
    struct reel_table rows;
    struct reel_slice workers = REEL_SLICE_NONE, worker;
    struct reel_value head = {0};
    int code = begin (&session, &workers_spec, reel_client_workers, &reply, argc, argv);
    if (code != REEL_OPTIONS_GO)
        return code;
    (void) reel_scan_find (reel_slice (reply.header, reply.header_size), reel_slice_text ("workers"), &workers);
    struct reel_cursor cursor = reel_scan_start (workers);
    (void) reel_scan_next (&cursor, &head);
    reel_table_init (&rows, worker_titles, sizeof worker_titles / sizeof worker_titles[0]);
    rows.right[1] = rows.right[2] = rows.right[3] = true;
    for (uint32_t i = 0; i < head.count && reel_scan_skip (&cursor, &worker); i++) {
        if (session.output.json)
            reel_output_json (&session.output, worker);
        else
            add_worker (&rows, worker, reel_clock_wall_us ());
    }
    if (session.output.json)
        reel_table_free (&rows);
    else
        reel_table_print (&rows, &session.output);
    reel_client_reply_free (&reply);
    return reel_session_end (&session, EX_OK);
}

/* --- stats ------------------------------------------------------------------------------------ */

static const struct reel_options_spec stats_spec = {
    .program = "reel stats",
    .summary = "Prints the broker's counters (since its start) and gauges (now).",
    .table = table,
    .count = REEL_SESSION_OPTION_COUNT,
    .config = REEL_SESSION_CONFIG,
};

static void
print_numbers (struct reel_output *output, struct reel_slice header, const char *what, const char *title)
{
    const char *const titles[] = {title, ""};
    struct reel_table rows;
    struct reel_slice map, key;
    struct reel_value head = {0}, value;
    if (!reel_scan_find (header, reel_slice_text (what), &map))
        return;
    struct reel_cursor cursor = reel_scan_start (map);
    (void) reel_scan_next (&cursor, &head);
    reel_table_init (&rows, titles, 2);
    rows.right[1] = true;
    for (uint32_t i = 0;
         i < head.count && reel_scan_key (&cursor, &key) && reel_scan_next (&cursor, &value) && value.type == REEL_UINT;
         i++) {
        reel_table_add (&rows, key);
        reel_table_add_number (&rows, value.u);
    }
    reel_table_print (&rows, output);
}

int
reel_command_stats (int argc, char **argv)
{
    struct reel_session session;
    struct reel_client_reply reply = {0};
    int code = begin (&session, &stats_spec, reel_client_stats, &reply, argc, argv);
    if (code != REEL_OPTIONS_GO)
        return code;
    struct reel_slice header = reel_slice (reply.header, reply.header_size);
    if (session.output.json) {
        reel_output_header (&session.output, header);
    } else {
        print_numbers (&session.output, header, "counters", "COUNTER");
        reel_buf_add_byte (&session.output.buf, '\n');
        print_numbers (&session.output, header, "gauges", "GAUGE");
    }
    reel_client_reply_free (&reply);
    return reel_session_end (&session, EX_OK);
}

/* --- ping ------------------------------------------------------------------------------------- */

static const struct reel_options_spec ping_spec = {
    .program = "reel ping",
    .summary = "Asks whether the broker is there and ready.",
    .table = table,
    .count = REEL_SESSION_OPTION_COUNT,
    .config = REEL_SESSION_CONFIG,
};

int
reel_command_ping (int argc, char **argv)
{
    struct reel_session session;
    struct reel_client_reply reply = {0};
    struct reel_slice version = REEL_SLICE_NONE, bytes;
    struct reel_value ready = {0};
    uint64_t epoch = 0;
    int code = begin (&session, &ping_spec, reel_client_ping, &reply, argc, argv);
    if (code != REEL_OPTIONS_GO)
        return code;
    struct reel_slice header = reel_slice (reply.header, reply.header_size);
    bool is_ready = reel_scan_find (header, reel_slice_text ("ready"), &bytes) && reel_scan_value (bytes, &ready)
                    && ready.type == REEL_BOOL && ready.boolean;
    if (session.output.json) {
        reel_output_header (&session.output, header);
    } else {
        (void) reel_scan_find_str (header, "version", &version);
        (void) reel_scan_find_uint (header, "epoch", &epoch);
        reel_buf_printf (&session.output.buf, "%s: %s, version ",
                         reel_session_option (&session, REEL_SESSION_BROKER)->text, is_ready ? "ready" : "not ready");
        (void) reel_text_add (&session.output.buf, version, session.output.utf8);
        reel_buf_printf (&session.output.buf, ", epoch %" PRIu64 "\n", epoch);
    }
    reel_client_reply_free (&reply);
    return reel_session_end (&session, is_ready ? EX_OK : EX_TEMPFAIL);
}
