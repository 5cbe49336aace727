/*
 * Reading a command's standard output.
 */
#include "worker/exec_output.h"

#include <string.h>

#include "base/limits.h"
#include "proto/json.h"
#include "proto/pack.h"
#include "proto/scan.h"

/* A longer line is output. */
#define PROGRESS_LINE_BYTES_MAX 8192

static bool
blank (uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static struct reel_slice
trim (struct reel_slice text)
{
    while (text.len > 0 && blank (text.data[text.len - 1]))
        text.len--;
    while (text.len > 0 && blank (text.data[0])) {
        text.data++;
        text.len--;
    }
    return text;
}

/* --- progress ----------------------------------------------------------------------------- */

/* The fraction that a number or nil says, between 0 and 1, or negative; false for another type. */
static bool
read_fraction (struct reel_value value, double *fraction)
{
    double number = -1;
    switch (value.type) {
    case REEL_NIL: break;
    case REEL_UINT: number = value.u > 0 ? 1 : 0; break;
    case REEL_INT: break;
    case REEL_F64: memcpy (&number, &value.bits64, sizeof number); break;
    default: return false;
    }
    *fraction = number > 1 ? 1 : number >= 0 ? number : -1;
    return true;
}

/* Cut at the end of a character. */
static struct reel_slice
shorten (struct reel_slice text, size_t bytes_max)
{
    if (text.len <= bytes_max)
        return text;
    size_t len = bytes_max;
    while (len > 0 && (text.data[len] & 0xc0) == 0x80)
        len--;
    return reel_slice (text.data, len);
}

static bool
read_progress (struct reel_slice map, double *fraction, struct reel_slice *message)
{
    struct reel_cursor cursor = reel_scan_start (map);
    struct reel_value head, value;
    bool found = false;
    *message = REEL_SLICE_NONE;
    if (!reel_scan_next (&cursor, &head) || head.type != REEL_MAP || head.count > 2)
        return false;
    for (uint32_t i = 0; i < head.count; i++) {
        struct reel_slice key, bytes;
        if (!reel_scan_key (&cursor, &key) || !reel_scan_skip (&cursor, &bytes) || !reel_scan_value (bytes, &value))
            return false;
        if (reel_slice_is (key, "progress"))
            found = read_fraction (value, fraction);
        else if (reel_slice_is (key, "message") && (value.type == REEL_STR || value.type == REEL_NIL))
            *message = value.type == REEL_STR ? shorten (value.bytes, REEL_PROGRESS_TEXT_BYTES_MAX) : REEL_SLICE_NONE;
        else
            return false;
    }
    return found;
}

/* Takes the line that `bytes` ends with out again if it is progress. */
static void
end_line (struct reel_exec_output *output)
{
    static const char key[] = "\"progress\"";
    if (output->line_at == output->bytes.len)
        return;
    struct reel_slice line = trim (
        reel_slice (output->bytes.data + output->line_at, output->bytes.len - output->line_at));
    struct reel_buf map = {0};
    double fraction = -1;
    struct reel_slice message;
    if (line.len > 0 && line.len <= PROGRESS_LINE_BYTES_MAX && line.data[0] == '{'
        && memmem (line.data, line.len, key, sizeof key - 1) != NULL && reel_json_read (line, &map, NULL) == REEL_OK
        && read_progress (reel_buf_slice (&map), &fraction, &message)) {
        output->bytes.len = output->line_at;
        output->progress (output->context, fraction, message);
    }
    reel_buf_free (&map);
    output->line_at = output->bytes.len;
}

void
reel_exec_output_take (struct reel_exec_output *output, struct reel_slice bytes)
{
    while (bytes.len > 0 && !output->too_much) {
        const uint8_t *newline = memchr (bytes.data, '\n', bytes.len);
        size_t len = newline == NULL ? bytes.len : (size_t) (newline - bytes.data) + 1;
        reel_buf_add (&output->bytes, bytes.data, len);
        if (newline != NULL && !output->bytes.failed)
            end_line (output);
        output->too_much = output->bytes.failed || output->bytes.len > output->bytes_max;
        bytes.data += len;
        bytes.len -= len;
    }
}

/* --- the output --------------------------------------------------------------------------- */

static enum reel_status
read_object (struct reel_slice text, struct reel_buf *map, struct reel_error *err)
{
    enum reel_status status = reel_json_read (text, map, err);
    if (status != REEL_OK || reel_scan_type (reel_buf_slice (map)) == REEL_MAP)
        return status;
    reel_buf_clear (map);
    return reel_error_set (err, REEL_INVALID, "bad_output", NULL, "it is JSON, but no object");
}

static struct reel_slice
last_line (struct reel_slice text)
{
    const uint8_t *newline = memrchr (text.data, '\n', text.len);
    if (newline == NULL)
        return text;
    return reel_slice (newline + 1, text.len - (size_t) (newline + 1 - text.data));
}

/* Copies `map` without its artifacts, which go to `extra`, when they are a list. */
static void
split (struct reel_slice map, struct reel_buf *rest, struct reel_buf *extra)
{
    static const char name[] = "artifacts";
    struct reel_slice key, value, artifacts;
    struct reel_value head;
    struct reel_cursor cursor = reel_scan_start (map);
    if (!reel_scan_find (map, reel_slice_text (name), &artifacts) || reel_scan_type (artifacts) != REEL_ARRAY
        || !reel_scan_next (&cursor, &head)) {
        reel_buf_add_slice (rest, map);
        return;
    }
    reel_pack_map (rest, head.count - 1);
    while (reel_scan_key (&cursor, &key) && reel_scan_skip (&cursor, &value)) {
        if (reel_slice_is (key, name))
            continue;
        reel_pack_str (rest, key);
        reel_buf_add_slice (rest, value);
    }
    reel_pack_map (extra, 1);
    reel_pack_text (extra, name);
    reel_buf_add_slice (extra, artifacts);
}

enum reel_status
reel_exec_output_end (struct reel_exec_output *output, struct reel_buf *map, struct reel_buf *extra,
                      struct reel_error *err)
{
    end_line (output);
    struct reel_slice text = trim (reel_buf_slice (&output->bytes));
    if (text.len == 0) {
        reel_pack_map (map, 0);
        return reel_buf_status (map);
    }
    struct reel_buf whole = {0};
    enum reel_status status = read_object (text, &whole, err);
    struct reel_slice line = last_line (text);
    if (status == REEL_INVALID && line.len < text.len)
        status = read_object (line, &whole, NULL);
    if (status == REEL_OK)
        split (reel_buf_slice (&whole), map, extra);
    reel_buf_free (&whole);
    output->given = status == REEL_OK;
    if (status == REEL_OK && (map->failed || extra->failed))
        status = REEL_NO_MEMORY;
    return status;
}

void
reel_exec_output_free (struct reel_exec_output *output)
{
    reel_buf_free (&output->bytes);
}
