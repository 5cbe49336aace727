/*
 * Standard output: JSON lines for programs, text for people.
 *
 * A pipe (or --json) gets one JSON object a line, written at once; a terminal gets what the
 * command makes for people. When nobody reads any more, the output is `broken` and writes
 * nothing further; reel_output_end() then ends the process the way a closed pipe ends any.
 */
#ifndef REEL_CLIENT_OUTPUT_H
#define REEL_CLIENT_OUTPUT_H

#include "base/bytes.h"

struct reel_output {
    bool json;     /* JSON lines */
    bool terminal; /* standard output is one */
    bool live;     /* it can be drawn upon */
    bool color;
    bool utf8;
    bool broken;
    int write_errno;
    struct reel_buf buf; /* what is to be written next; commands add text to it */
};

/* Looks at standard output, TERM and NO_COLOR, and ignores SIGPIPE. The locale has been set. */
void reel_output_init (struct reel_output *output, bool json);
/* The terminal's size now; 80 by 24 where it does not say. */
void reel_output_size (unsigned *columns, unsigned *rows);
void reel_output_flush (struct reel_output *output);
/* Adds a checked msgpack value as one JSON line, and writes. */
void reel_output_json (struct reel_output *output, struct reel_slice msgpack);
/* The same for one that was packed just now; where memory was out for it, output is lost. */
void reel_output_row (struct reel_output *output, const struct reel_buf *row);
/* The same, indented over several lines when it is for people. */
void reel_output_document (struct reel_output *output, struct reel_slice msgpack);
/* The same for the header of a reply, without the request_id. */
void reel_output_header (struct reel_output *output, struct reel_slice header);
/* Writes what is left and frees. Returns `exit_code`, or EX_IOERR (said on standard error) when output was lost. */
int reel_output_end (struct reel_output *output, int exit_code);

#endif
