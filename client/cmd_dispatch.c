/*
 * reel dispatch: who serves what.
 */
#include <inttypes.h>
#include <stdio.h>

#include "client/commands.h"
#include "client/inventory.h"
#include "client/session.h"
#include "client/table.h"
#include "client/text.h"

/* Of a name that a worker chose: no worker's cells push those of the others out of sight. */
#define CELL_COLUMNS_MAX 32
#define LIMITS_COLUMNS_MAX 200

enum { DISPATCH_MODALITY = REEL_SESSION_OPTION_COUNT, DISPATCH_COUNT };

static const struct reel_option table[] = {
    REEL_SESSION_OPTIONS,
    [DISPATCH_MODALITY] = {.name = "modality",
                           .letter = 'm',
                           .type = REEL_OPTION_TEXT,
                           .argument = "MODALITY",
                           .help = "Only who serves this one"},
};

static const struct reel_options_spec spec = {
    .program = "reel dispatch",
    .summary = "Lists which modality goes to which adapter on which connected worker, by modality.",
    .epilogue =
        "One row for each modality of each worker: its name and its number in the broker's answer (which tells\n"
        "workers of one name apart), adapter, class (idempotent, resumable or neither), free slots and slots of\n"
        "the worker, limits. A worker that does not describe its adapters has modalities only; one with 0\n"
        "slots takes no more work. reel get says what a queued workflow waits for.",
    .table = table,
    .count = DISPATCH_COUNT,
    .config = REEL_SESSION_CONFIG,
};

static const char *const titles[] = {"MODALITY", "WORKER", "#", "ADAPTER", "CLASS", "FREE", "SLOTS", "LIMITS"};

static void
add_cell (struct reel_table *rows, struct reel_slice text, size_t columns_max, bool utf8)
{
    struct reel_buf cell = {0};
    (void) reel_text_add_cut (&cell, text.len > 0 ? text : reel_slice_text ("-"), columns_max, utf8);
    if (reel_buf_status (&cell) != REEL_OK)
        rows->text.failed = true;
    reel_table_add (rows, reel_buf_slice (&cell));
    reel_buf_free (&cell);
}

static void
add_row (struct reel_table *rows, const struct reel_inventory_row *row, bool utf8)
{
    struct reel_buf limits = {0};
    reel_inventory_limits (row, &limits);
    if (reel_buf_status (&limits) != REEL_OK)
        rows->text.failed = true;
    add_cell (rows, row->modality, CELL_COLUMNS_MAX, utf8);
    add_cell (rows, row->worker, CELL_COLUMNS_MAX, utf8);
    reel_table_add_number (rows, row->number);
    add_cell (rows, row->adapter, CELL_COLUMNS_MAX, utf8);
    add_cell (rows, row->class, CELL_COLUMNS_MAX, utf8);
    reel_table_add_number (rows, row->free);
    reel_table_add_number (rows, row->slots);
    add_cell (rows, reel_buf_slice (&limits), LIMITS_COLUMNS_MAX, utf8);
    reel_buf_free (&limits);
}

static void
print_json (const struct reel_inventory *inventory, struct reel_output *output)
{
    struct reel_buf row = {0};
    for (size_t i = 0; i < inventory->count && !output->broken; i++) {
        reel_buf_clear (&row);
        reel_inventory_pack (&inventory->rows[i], &row);
        reel_output_row (output, &row);
    }
    reel_buf_free (&row);
}

static void
print_table (const struct reel_inventory *inventory, struct reel_output *output)
{
    struct reel_table rows;
    reel_table_init (&rows, titles, sizeof titles / sizeof titles[0]);
    rows.right[2] = rows.right[5] = rows.right[6] = true;
    for (size_t i = 0; i < inventory->count; i++)
        add_row (&rows, &inventory->rows[i], output->utf8);
    reel_table_print (&rows, output);
}

int
reel_command_dispatch (int argc, char **argv)
{
    struct reel_session session;
    struct reel_client_reply reply = {0};
    struct reel_client_error error;
    struct reel_inventory inventory = {0};
    int code = reel_session_start (&session, &spec, REEL_SESSION_CLIENT, argc, argv);
    if (code != REEL_OPTIONS_GO)
        return code;
    enum reel_client_status status = reel_client_workers (session.client, &reply, &error);
    if (status != REEL_CLIENT_OK)
        return reel_session_end (&session, reel_complain_client (NULL, status, &error));
    struct reel_slice modality = reel_slice_text (reel_session_option (&session, DISPATCH_MODALITY)->text);
    if (reel_inventory_read (&inventory, reel_slice (reply.header, reply.header_size), modality) != REEL_OK) {
        reel_complain ("out of memory");
        reel_client_reply_free (&reply);
        return reel_session_end (&session, EX_OSERR);
    }
    if (session.output.json)
        print_json (&inventory, &session.output);
    else
        print_table (&inventory, &session.output);
    if (inventory.left_out > 0)
        reel_complain ("%" PRIu64 " more modalities are not listed: no worker serves more than %d", inventory.left_out,
                       REEL_MODALITIES_MAX);
    reel_inventory_free (&inventory);
    reel_client_reply_free (&reply);
    return reel_session_end (&session, EX_OK);
}
