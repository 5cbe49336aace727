/*
 * Text from the wire, made safe and measured for a terminal.
 *
 * Whatever a peer wrote is printed as visible characters only: control characters, what
 * reorders a line (bidirectional controls) and broken UTF-8 become \xNN or \u{NNNN}. Columns
 * are the C library's wcwidth(), so the locale must have been set.
 */
#ifndef REEL_CLIENT_TEXT_H
#define REEL_CLIENT_TEXT_H

#include "base/bytes.h"

/* Appends the text, made safe. `utf8`: the reader knows UTF-8; otherwise ASCII only. Returns the columns it takes. */
size_t reel_text_add (struct reel_buf *out, struct reel_slice text, bool utf8);
/* The same in at most `columns`, cut with an ellipsis. */
size_t reel_text_add_cut (struct reel_buf *out, struct reel_slice text, size_t columns, bool utf8);
/* The same in exactly `columns`, filled with spaces. */
void reel_text_add_padded (struct reel_buf *out, struct reel_slice text, size_t columns, bool utf8);
size_t reel_text_columns (struct reel_slice text, bool utf8);
/* Appends JSON text: what is not safe becomes \uNNNN, which means the same there. */
void reel_text_add_json (struct reel_buf *out, struct reel_slice json);

/* A duration as people read it: 3.4s, 12:05, 3:12:05. Negative ones count as 0. */
#define REEL_TEXT_DURATION_BYTES 32
void reel_text_duration (int64_t us, char out[REEL_TEXT_DURATION_BYTES]);

#endif
