/*
 * Measured first, then printed.
 */
#include "client/table.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "client/text.h"

#define GAP_COLUMNS 2

void
reel_table_add (struct reel_table *table, struct reel_slice text)
{
    const uint8_t *end = text.len > 0 ? memchr (text.data, '\0', text.len) : NULL;
    reel_buf_add (&table->text, text.data, end ? (size_t) (end - text.data) : text.len);
    reel_buf_add_byte (&table->text, '\0');
}

void
reel_table_add_number (struct reel_table *table, uint64_t number)
{
    reel_buf_printf (&table->text, "%" PRIu64, number);
    reel_buf_add_byte (&table->text, '\0');
}

void
reel_table_init (struct reel_table *table, const char *const *titles, size_t columns)
{
    REEL_ASSERT (columns <= REEL_TABLE_COLUMNS_MAX);
    *table = (struct reel_table){.columns = columns};
    for (size_t i = 0; i < columns; i++)
        reel_table_add (table, reel_slice_text (titles[i]));
}

static struct reel_slice
take_cell (struct reel_slice *rest)
{
    size_t len = strlen ((const char *) rest->data);
    struct reel_slice cell = reel_slice (rest->data, len);
    *rest = reel_slice (rest->data + len + 1, rest->len - len - 1);
    return cell;
}

static void
print_row (const struct reel_table *table, const size_t *widths, struct reel_slice *rest, size_t left,
           struct reel_output *output)
{
    for (size_t i = 0; i < table->columns; i++) {
        struct reel_slice cell = take_cell (rest);
        size_t width = widths[i] < left ? widths[i] : left;
        size_t used = reel_text_columns (cell, output->utf8);
        bool last = i + 1 == table->columns;
        for (size_t n = used; table->right[i] && n < width; n++)
            reel_buf_add_byte (&output->buf, ' ');
        if (table->right[i] || last)
            (void) reel_text_add_cut (&output->buf, cell, width, output->utf8);
        else
            reel_text_add_padded (&output->buf, cell, width, output->utf8);
        left -= width;
        for (size_t n = 0; !last && n < GAP_COLUMNS && left > 0; n++, left--)
            reel_buf_add_byte (&output->buf, ' ');
    }
    reel_buf_add_byte (&output->buf, '\n');
}

void
reel_table_free (struct reel_table *table)
{
    reel_buf_free (&table->text);
}

void
reel_table_print (struct reel_table *table, struct reel_output *output)
{
    size_t widths[REEL_TABLE_COLUMNS_MAX] = {0};
    unsigned columns, rows;
    if (reel_buf_status (&table->text) != REEL_OK) {
        output->buf.failed = true;
        reel_table_free (table);
        return;
    }
    reel_output_size (&columns, &rows);
    struct reel_slice rest = reel_buf_slice (&table->text);
    for (size_t i = 0; rest.len > 0; i = (i + 1) % table->columns) {
        size_t used = reel_text_columns (take_cell (&rest), output->utf8);
        widths[i] = used > widths[i] ? used : widths[i];
    }
    rest = reel_buf_slice (&table->text);
    while (rest.len > 0)
        print_row (table, widths, &rest, columns, output);
    reel_table_free (table);
}
