/*
 * What a command writes, in pieces of any size: the pieces make no difference, nothing grows past the limit,
 * and what is accepted is a map that lacks nothing of what was written.
 *
 * The first byte of an input is the size of the pieces, the rest is the output.
 */
#include "worker/exec_output.h"

#include "base/limits.h"
#include "proto/json.h"
#include "tests/fuzz/fuzz.h"

/* One reading of the output. */
struct reading {
    struct reel_exec_output output;
    struct reel_buf map, extra;
    struct reel_error err;
    enum reel_status status;
    uint32_t progress_count;
    struct reel_buf progress; /* all that was reported, one after the other */
};

static void
take_progress (void *context, double fraction, struct reel_slice message)
{
    struct reading *reading = context;
    REEL_ASSERT (fraction == -1 || (fraction >= 0 && fraction <= 1));
    REEL_ASSERT (message.len <= REEL_PROGRESS_TEXT_BYTES_MAX && reel_scan_utf8 (message));
    reading->progress_count++;
    reel_buf_add (&reading->progress, &fraction, sizeof fraction);
    reel_buf_add_slice (&reading->progress, message);
}

/* False: it was too much. */
static bool
read_pieces (struct reading *reading, struct reel_slice bytes, size_t piece, size_t bytes_max)
{
    reading->output = (struct reel_exec_output){.bytes_max = bytes_max, .progress = take_progress, .context = reading};
    for (size_t at = 0; at < bytes.len; at += piece) {
        size_t len = bytes.len - at < piece ? bytes.len - at : piece;
        reel_exec_output_take (&reading->output, reel_slice (bytes.data + at, len));
        REEL_ASSERT (reading->output.bytes.len <= bytes_max + piece);
        REEL_ASSERT (reading->output.too_much == (reading->output.bytes.len > bytes_max));
    }
    if (reading->output.too_much)
        return false;
    reading->status = reel_exec_output_end (&reading->output, &reading->map, &reading->extra, &reading->err);
    return true;
}

static void
free_reading (struct reading *reading)
{
    reel_exec_output_free (&reading->output);
    reel_buf_free (&reading->map);
    reel_buf_free (&reading->extra);
    reel_buf_free (&reading->progress);
}

static uint32_t
count_of (struct reel_slice map)
{
    struct reel_value head;
    REEL_ASSERT (reel_scan_value (map, &head) && head.type == REEL_MAP);
    return head.count;
}

/* The map has no list of artifacts left, and `extra` is nothing or that list. */
static void
check_split (struct reel_slice map, struct reel_slice extra)
{
    struct reel_slice artifacts;
    REEL_ASSERT (reel_scan_check (map, REEL_DEPTH_MAX, NULL) == REEL_OK && reel_scan_type (map) == REEL_MAP);
    bool found = reel_scan_find (map, reel_slice_text ("artifacts"), &artifacts);
    REEL_ASSERT (!found || (reel_scan_type (artifacts) != REEL_ARRAY && extra.len == 0));
    if (extra.len == 0)
        return;
    REEL_ASSERT (reel_scan_check (extra, REEL_DEPTH_MAX, NULL) == REEL_OK && count_of (extra) == 1);
    REEL_ASSERT (reel_scan_find (extra, reel_slice_text ("artifacts"), &artifacts));
    REEL_ASSERT (reel_scan_type (artifacts) == REEL_ARRAY);
}

/* Where the whole output is one JSON object, each of its pairs is in the map or in `extra`. */
static void
check_complete (struct reel_slice written, const struct reading *reading)
{
    struct reel_buf whole = {0};
    struct reel_slice map = reel_buf_slice (&reading->map), extra = reel_buf_slice (&reading->extra);
    struct reel_slice key, value, there;
    struct reel_value head;
    if (reel_json_read (written, &whole, NULL) == REEL_OK && reel_scan_type (reel_buf_slice (&whole)) == REEL_MAP) {
        REEL_ASSERT (reading->status == REEL_OK);
        struct reel_cursor cursor = reel_scan_start (reel_buf_slice (&whole));
        REEL_ASSERT (reel_scan_next (&cursor, &head));
        REEL_ASSERT (head.count == count_of (map) + (extra.len > 0));
        while (reel_scan_key (&cursor, &key) && reel_scan_skip (&cursor, &value)) {
            REEL_ASSERT (reel_scan_find (map, key, &there) || reel_scan_find (extra, key, &there));
            REEL_ASSERT (reel_slice_equal (value, there));
        }
    }
    reel_buf_free (&whole);
}

static void
check_whole (struct reel_slice written, const struct reading *reading)
{
    if (reading->status == REEL_OK)
        check_split (reel_buf_slice (&reading->map), reel_buf_slice (&reading->extra));
    else {
        REEL_ASSERT (reading->status == REEL_INVALID && reading->map.len == 0 && reading->extra.len == 0);
        fuzz_check_error (&reading->err, " malformed bad_type limit_exceeded bad_output ");
    }
    if (reading->progress_count == 0)
        check_complete (written, reading);
}

static void
check_same (const struct reading *one, const struct reading *other)
{
    REEL_ASSERT (one->status == other->status && one->progress_count == other->progress_count);
    REEL_ASSERT (reel_slice_equal (reel_buf_slice (&one->map), reel_buf_slice (&other->map)));
    REEL_ASSERT (reel_slice_equal (reel_buf_slice (&one->extra), reel_buf_slice (&other->extra)));
    REEL_ASSERT (reel_slice_equal (reel_buf_slice (&one->progress), reel_buf_slice (&other->progress)));
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    size_t piece = data[0] + 1u;
    struct reel_slice written = reel_slice (data + 1, len - 1);
    struct reading whole = {0}, pieces = {0}, limited = {0};
    REEL_ASSERT (read_pieces (&whole, written, written.len, written.len));
    check_whole (written, &whole);
    REEL_ASSERT (read_pieces (&pieces, written, piece, written.len));
    check_same (&whole, &pieces);
    if (read_pieces (&limited, written, piece, written.len / 2))
        check_same (&whole, &limited);
    free_reading (&whole);
    free_reading (&pieces);
    free_reading (&limited);
    return 0;
}
