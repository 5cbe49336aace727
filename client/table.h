/*
 * Rows of text in columns, for people.
 */
#ifndef REEL_CLIENT_TABLE_H
#define REEL_CLIENT_TABLE_H

#include "client/output.h"

#define REEL_TABLE_COLUMNS_MAX 8

struct reel_table {
    size_t columns;
    struct reel_buf text;               /* cells one after the other, each ended by a NUL */
    bool right[REEL_TABLE_COLUMNS_MAX]; /* numbers stand at the right of their column */
};

/* Begins a table with its titles. */
void reel_table_init (struct reel_table *table, const char *const *titles, size_t columns);
/* Adds cells, row by row from left to right. A NUL in the text ends it. */
void reel_table_add (struct reel_table *table, struct reel_slice text);
void reel_table_add_number (struct reel_table *table, uint64_t number);
void reel_table_free (struct reel_table *table);
/* Adds the table to the output, cut to the terminal's width, and frees it. */
void reel_table_print (struct reel_table *table, struct reel_output *output);

#endif
