/*
 * What a command prints, in pieces of any size: its progress is in range, its output is a map or the step fails, and
 * no more of it is kept than is allowed. The pieces make no difference.
 *
 * The first byte of an input is the size of the pieces, the rest is printed.
 */
#include "worker/exec_output.h"

#include "base/limits.h"
#include "tests/fuzz/fuzz.h"

#define OUTPUT_BYTES_MAX 4096

struct heard {
    unsigned count;
    double last;
};

static void
hear (void *context, double fraction, struct reel_slice message)
{
    struct heard *heard = context;
    REEL_ASSERT (fraction < 0 || (fraction >= 0 && fraction <= 1));
    REEL_ASSERT (message.len <= REEL_PROGRESS_TEXT_BYTES_MAX && reel_scan_utf8 (message));
    heard->count++;
    heard->last = fraction;
}

static enum reel_status
print (struct reel_slice text, size_t piece, struct heard *heard, struct reel_buf *map, struct reel_buf *extra,
       bool *too_much)
{
    struct reel_exec_output output = {.bytes_max = OUTPUT_BYTES_MAX, .progress = hear, .context = heard};
    struct reel_error err = {0};
    while (text.len > 0) {
        size_t len = text.len < piece ? text.len : piece;
        reel_exec_output_take (&output, reel_slice (text.data, len));
        text = reel_slice (text.data + len, text.len - len);
    }
    *too_much = output.too_much;
    enum reel_status status = output.too_much ? REEL_INVALID : reel_exec_output_end (&output, map, extra, &err);
    if (status == REEL_OK) {
        REEL_ASSERT (reel_scan_check (reel_buf_slice (map), REEL_DEPTH_MAX, NULL) == REEL_OK);
        REEL_ASSERT (reel_scan_type (reel_buf_slice (map)) == REEL_MAP);
        REEL_ASSERT (extra->len == 0 || reel_scan_type (reel_buf_slice (extra)) == REEL_MAP);
    } else {
        REEL_ASSERT (status == REEL_INVALID && (output.too_much || err.message[0] != '\0'));
    }
    reel_exec_output_free (&output);
    return status;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    if (len < 2 || len > 3 * OUTPUT_BYTES_MAX)
        return 0;
    struct reel_buf map = {0}, extra = {0}, map_again = {0}, extra_again = {0};
    struct heard heard = {0}, heard_again = {0};
    bool too_much, too_much_again;
    struct reel_slice text = reel_slice (data + 1, len - 1);
    enum reel_status status = print (text, text.len, &heard, &map, &extra, &too_much);
    enum reel_status again = print (text, (size_t) data[0] + 1, &heard_again, &map_again, &extra_again,
                                    &too_much_again);
    if (!too_much && !too_much_again) {
        REEL_ASSERT (status == again && heard.count == heard_again.count && heard.last == heard_again.last);
        REEL_ASSERT (reel_slice_equal (reel_buf_slice (&map), reel_buf_slice (&map_again)));
        REEL_ASSERT (reel_slice_equal (reel_buf_slice (&extra), reel_buf_slice (&extra_again)));
    }
    reel_buf_free (&map);
    reel_buf_free (&extra);
    reel_buf_free (&map_again);
    reel_buf_free (&extra_again);
    return 0;
}
