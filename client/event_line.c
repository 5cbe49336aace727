/*
 * The fields worth a glance, by name.
 */
#include "client/event_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "client/text.h"
#include "proto/json.h"
#include "proto/scan.h"

/* Fields that the kinds add, in the order in which they are shown; receipts and checkpoints are too long for a line. */
static const char *const details[] = {"worker",   "delivery", "attempt", "reason",   "in_doubt", "delay_ms",
                                      "fraction", "message",  "error",   "priority", "origin"};

static void
add_time (struct reel_buf *line, uint64_t at_us)
{
    char text[32] = "";
    struct tm local;
    time_t seconds = (time_t) (at_us / 1000000);
    if (localtime_r (&seconds, &local))
        (void) strftime (text, sizeof text, "%H:%M:%S", &local);
    reel_buf_printf (line, "%s.%03" PRIu64, text, at_us / 1000 % 1000);
}

static void
add_detail (struct reel_buf *line, const char *name, struct reel_slice bytes)
{
    struct reel_value value;
    struct reel_slice code = REEL_SLICE_NONE, message = REEL_SLICE_NONE;
    if (!reel_scan_value (bytes, &value) || value.type == REEL_NIL)
        return;
    reel_buf_printf (line, "  %s=", name);
    if (value.type == REEL_STR) {
        reel_buf_add_slice (line, value.bytes);
    } else if (value.type == REEL_MAP && reel_scan_find_str (bytes, "code", &code)) {
        (void) reel_scan_find_str (bytes, "message", &message);
        reel_buf_add_slice (line, code);
        reel_buf_add_text (line, ": ");
        reel_buf_add_slice (line, message);
    } else if (reel_json_write (bytes, REEL_JSON_COMPACT, line) != REEL_OK) {
        line->failed = true;
    }
}

void
reel_event_line_add (struct reel_buf *out, struct reel_slice event, size_t columns, bool utf8)
{
    struct reel_buf line = {0};
    struct reel_slice text, value;
    uint64_t number = 0;
    if (reel_scan_find_uint (event, "seq", &number))
        reel_buf_printf (&line, "%8" PRIu64 "  ", number);
    else
        reel_buf_printf (&line, "%8s  ", "");
    number = 0;
    (void) reel_scan_find_uint (event, "at_us", &number);
    add_time (&line, number);
    if (reel_scan_find_str (event, "kind", &text))
        reel_buf_printf (&line, "  %-18.*s", REEL_TEXT (text));
    if (reel_scan_find_str (event, "workflow_id", &text))
        reel_buf_printf (&line, "  %.*s", REEL_TEXT (text));
    if (reel_scan_find_str (event, "step_id", &text))
        reel_buf_printf (&line, "/%.*s", REEL_TEXT (text));
    for (size_t i = 0; i < sizeof details / sizeof details[0]; i++)
        if (reel_scan_find (event, reel_slice_text (details[i]), &value))
            add_detail (&line, details[i], value);
    if (reel_buf_status (&line) == REEL_OK)
        (void) reel_text_add_cut (out, reel_buf_slice (&line), columns, utf8);
    else
        out->failed = true;
    reel_buf_add_byte (out, '\n');
    reel_buf_free (&line);
}
