/*
 * The outbox: appended to at the end, dropped from the front, packed from anywhere between.
 */
#include "worker/run_outbox.h"

#include <stdlib.h>
#include <string.h>

#include "proto/pack.h"

/* A msgpack array's head at its longest. */
#define ARRAY_HEAD_BYTES_MAX 5
#define ENDS_CAP_MIN 16

void
reel_run_outbox_free (struct reel_run_outbox *outbox)
{
    reel_buf_free (&outbox->bytes);
    free (outbox->ends);
    *outbox = (struct reel_run_outbox){0};
}

uint64_t
reel_run_outbox_last (const struct reel_run_outbox *outbox)
{
    return outbox->acked + outbox->count;
}

enum reel_status
reel_run_outbox_add (struct reel_run_outbox *outbox, const struct reel_message *event)
{
    if (outbox->count == outbox->ends_cap) {
        size_t cap = outbox->ends_cap > 0 ? 2 * outbox->ends_cap : ENDS_CAP_MIN;
        size_t *ends = realloc (outbox->ends, cap * sizeof *ends);
        if (ends == NULL)
            return REEL_NO_MEMORY;
        outbox->ends = ends;
        outbox->ends_cap = cap;
    }
    size_t before = outbox->bytes.len;
    reel_message_encode (event, &outbox->bytes);
    enum reel_status status = reel_buf_status (&outbox->bytes);
    if (status != REEL_OK) {
        outbox->bytes.len = before;
        return status;
    }
    outbox->ends[outbox->count++] = outbox->bytes.len;
    return REEL_OK;
}

/* Moves what is kept to the front once that is the smaller half, so that each byte is moved once on average. */
static void
compact (struct reel_run_outbox *outbox)
{
    if (outbox->start <= outbox->bytes.len / 2)
        return;
    outbox->bytes.len -= outbox->start;
    memmove (outbox->bytes.data, outbox->bytes.data + outbox->start, outbox->bytes.len);
    for (size_t i = 0; i < outbox->count; i++)
        outbox->ends[i] -= outbox->start;
    outbox->start = 0;
}

bool
reel_run_outbox_ack (struct reel_run_outbox *outbox, uint64_t index)
{
    if (index <= outbox->acked || index > reel_run_outbox_last (outbox))
        return false;
    size_t dropped = (size_t) (index - outbox->acked);
    outbox->acked = index;
    outbox->start = outbox->ends[dropped - 1];
    outbox->count -= dropped;
    memmove (outbox->ends, outbox->ends + dropped, outbox->count * sizeof *outbox->ends);
    compact (outbox);
    return true;
}

bool
reel_run_outbox_room (const struct reel_run_outbox *outbox)
{
    return outbox->count < REEL_OUTBOX_EVENTS_MAX && outbox->bytes.len - outbox->start < REEL_OUTBOX_BYTES_MAX;
}

enum reel_status
reel_run_outbox_pack (const struct reel_run_outbox *outbox, uint64_t from, size_t bytes_max, struct reel_buf *out,
                      uint32_t *count)
{
    if (from <= outbox->acked || from > reel_run_outbox_last (outbox))
        return REEL_NOT_FOUND;
    size_t first = (size_t) (from - outbox->acked - 1), next = first + 1;
    size_t start = first > 0 ? outbox->ends[first - 1] : outbox->start;
    while (next < outbox->count && next - first < REEL_REPORT_EVENTS_MAX
           && ARRAY_HEAD_BYTES_MAX + outbox->ends[next] - start <= bytes_max)
        next++;
    size_t before = out->len;
    reel_pack_array (out, (uint32_t) (next - first));
    reel_buf_add (out, outbox->bytes.data + start, outbox->ends[next - 1] - start);
    enum reel_status status = reel_buf_status (out);
    if (status == REEL_OK)
        *count = (uint32_t) (next - first);
    else
        out->len = before;
    return status;
}
