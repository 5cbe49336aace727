/*
 * What a command writes to standard output: progress lines, and one JSON object.
 */
#ifndef REEL_WORKER_EXEC_OUTPUT_H
#define REEL_WORKER_EXEC_OUTPUT_H

#include <stdbool.h>

#include "base/bytes.h"

struct reel_exec_output {
    size_t bytes_max;
    void (*progress) (void *context, double fraction, struct reel_slice message); /* negative: unknown */
    void *context;
    struct reel_buf bytes; /* everything but the progress lines */
    size_t line_at;        /* where the line that is being read begins */
    bool too_much;         /* more than bytes_max, or than memory; what comes is dropped */
    bool given;            /* an object was there in the end, and not nothing */
};

void reel_exec_output_take (struct reel_exec_output *output, struct reel_slice bytes);
/*
 * After the last byte: appends the output map without its artifacts to `map`, and {"artifacts": [...]} to
 * `extra` when there are any. REEL_INVALID (err->message): it is no JSON object. REEL_NO_MEMORY.
 */
enum reel_status reel_exec_output_end (struct reel_exec_output *output, struct reel_buf *map, struct reel_buf *extra,
                                       struct reel_error *err) REEL_MUST_USE;
void reel_exec_output_free (struct reel_exec_output *output);

#endif
