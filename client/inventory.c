/*
 * Rows are read in the broker's order, then sorted.
 */
#include "client/inventory.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/limits.h"
#include "proto/pack.h"
#include "proto/scan.h"

/* Of the limits of one row as text. */
#define LIMITS_SHOWN_MAX 16

static enum reel_status
add (struct reel_inventory *inventory, const struct reel_inventory_row *row)
{
    if (inventory->count == inventory->cap) {
        size_t cap = inventory->cap > 0 ? 2 * inventory->cap : 64;
        struct reel_inventory_row *rows = realloc (inventory->rows, cap * sizeof *rows);
        if (!rows)
            return REEL_NO_MEMORY;
        inventory->rows = rows;
        inventory->cap = cap;
    }
    inventory->rows[inventory->count++] = *row;
    return REEL_OK;
}

/* What `dispatch` says of one modality. */
static void
take_entry (struct reel_inventory_row *row, struct reel_slice entry)
{
    static const char *const classes[] = {"idempotent", "resumable", "neither"};
    struct reel_slice found;
    row->adapter = row->class = row->limits = REEL_SLICE_NONE;
    if (reel_scan_type (entry) != REEL_MAP)
        return;
    (void) reel_scan_find_str (entry, "adapter", &row->adapter);
    if (reel_scan_find_str (entry, "class", &found))
        for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
            if (reel_slice_is (found, classes[i]))
                row->class = found;
    if (reel_scan_find (entry, reel_slice_text ("limits"), &found) && reel_scan_type (found) == REEL_MAP)
        row->limits = found;
}

/* The pairs of `dispatch`, or the elements of `modalities` where that was not given. */
static enum reel_status
add_modalities (struct reel_inventory *inventory, struct reel_inventory_row *row, struct reel_slice worker,
                struct reel_slice wanted)
{
    struct reel_slice bytes = REEL_SLICE_NONE, entry;
    struct reel_value head = {0}, value;
    if (!reel_scan_find (worker, reel_slice_text ("dispatch"), &bytes))
        (void) reel_scan_find (worker, reel_slice_text ("modalities"), &bytes);
    struct reel_cursor cursor = reel_scan_start (bytes);
    if (!reel_scan_next (&cursor, &head) || (head.type != REEL_MAP && head.type != REEL_ARRAY))
        return REEL_OK;
    uint32_t taken = 0;
    for (uint32_t i = 0; i < head.count && reel_scan_next (&cursor, &value) && value.type == REEL_STR; i++) {
        row->modality = value.bytes;
        if (head.type == REEL_MAP) {
            if (!reel_scan_skip (&cursor, &entry))
                break;
            take_entry (row, entry);
        }
        if (wanted.len > 0 && !reel_slice_equal (wanted, row->modality))
            continue;
        if (taken == REEL_MODALITIES_MAX)
            inventory->left_out++;
        else if (add (inventory, row) != REEL_OK)
            return REEL_NO_MEMORY;
        else
            taken++;
    }
    return REEL_OK;
}

static int
compare (const void *a, const void *b)
{
    const struct reel_inventory_row *first = a, *second = b;
    int order = reel_slice_compare (first->modality, second->modality);
    if (order == 0)
        order = reel_slice_compare (first->worker, second->worker);
    return order != 0 ? order : (first->number > second->number) - (first->number < second->number);
}

enum reel_status
reel_inventory_read (struct reel_inventory *inventory, struct reel_slice header, struct reel_slice modality)
{
    struct reel_slice workers = REEL_SLICE_NONE, worker;
    struct reel_value head = {0};
    (void) reel_scan_find (header, reel_slice_text ("workers"), &workers);
    struct reel_cursor cursor = reel_scan_start (workers);
    if (!reel_scan_next (&cursor, &head) || head.type != REEL_ARRAY)
        return REEL_OK;
    for (uint32_t i = 0; i < head.count && reel_scan_skip (&cursor, &worker); i++) {
        struct reel_inventory_row row = {.number = i + 1};
        uint64_t leases = 0;
        if (reel_scan_type (worker) != REEL_MAP)
            continue;
        (void) reel_scan_find_str (worker, "name", &row.worker);
        (void) reel_scan_find_uint (worker, "slots", &row.slots);
        (void) reel_scan_find_uint (worker, "leases", &leases);
        row.free = row.slots > leases ? row.slots - leases : 0;
        if (add_modalities (inventory, &row, worker, modality) != REEL_OK) {
            reel_inventory_free (inventory);
            return REEL_NO_MEMORY;
        }
    }
    if (inventory->count > 1)
        qsort (inventory->rows, inventory->count, sizeof inventory->rows[0], compare);
    return REEL_OK;
}

void
reel_inventory_free (struct reel_inventory *inventory)
{
    free (inventory->rows);
    *inventory = (struct reel_inventory){0};
}

static void
pack_said (struct reel_buf *out, const char *key, struct reel_slice text)
{
    reel_pack_text (out, key);
    if (text.len > 0)
        reel_pack_str (out, text);
    else
        reel_pack_nil (out);
}

void
reel_inventory_pack (const struct reel_inventory_row *row, struct reel_buf *out)
{
    reel_pack_map (out, 8);
    reel_pack_text (out, "modality");
    reel_pack_str (out, row->modality);
    reel_pack_text (out, "worker");
    reel_pack_str (out, row->worker);
    reel_pack_text (out, "number");
    reel_pack_uint (out, row->number);
    pack_said (out, "adapter", row->adapter);
    pack_said (out, "class", row->class);
    reel_pack_text (out, "limits");
    reel_pack_raw (out, row->limits);
    reel_pack_text (out, "slots");
    reel_pack_uint (out, row->slots);
    reel_pack_text (out, "free");
    reel_pack_uint (out, row->free);
}

void
reel_inventory_limits (const struct reel_inventory_row *row, struct reel_buf *out)
{
    struct reel_cursor cursor = reel_scan_start (row->limits);
    struct reel_value head = {0};
    struct reel_slice key;
    struct reel_whole value;
    (void) reel_scan_next (&cursor, &head);
    for (uint32_t i = 0; row->limits.len > 0 && i < head.count && reel_scan_pair (&cursor, &key, &value); i++) {
        if (i > 0)
            reel_buf_add_byte (out, ' ');
        if (i == LIMITS_SHOWN_MAX) {
            reel_buf_add_text (out, "...");
            return;
        }
        reel_buf_add_slice (out, key);
        reel_buf_add_byte (out, '=');
        if (value.head.type == REEL_UINT)
            reel_buf_printf (out, "%" PRIu64, value.head.u);
        else if (value.head.type == REEL_INT)
            reel_buf_printf (out, "%" PRId64, value.head.i);
        else if (value.head.type == REEL_STR)
            reel_buf_add_slice (out, value.head.bytes);
        else
            reel_buf_add_byte (out, '?');
    }
}
