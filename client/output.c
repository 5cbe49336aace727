/*
 * Bytes to standard output, through one buffer.
 */
#include "client/output.h"

#include <errno.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/complaint.h"
#include "client/text.h"
#include "proto/json.h"
#include "proto/pack.h"
#include "proto/scan.h"

#define COLUMNS_DEFAULT 80
#define ROWS_DEFAULT 24

void
reel_output_init (struct reel_output *output, bool json)
{
    const char *term = getenv ("TERM");
    const char *no_color = getenv ("NO_COLOR");
    bool able = term && term[0] != '\0' && strcmp (term, "dumb") != 0;
    *output = (struct reel_output){0};
    output->terminal = isatty (STDOUT_FILENO) == 1;
    output->json = json || !output->terminal;
    output->live = !output->json && able;
    output->color = output->live && !(no_color && no_color[0] != '\0');
    output->utf8 = strcmp (nl_langinfo (CODESET), "UTF-8") == 0;
    (void) signal (SIGPIPE, SIG_IGN);
}

void
reel_output_size (unsigned *columns, unsigned *rows)
{
    struct winsize size = {0};
    if (ioctl (STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
        size = (struct winsize){0};
    *columns = size.ws_col > 0 ? size.ws_col : COLUMNS_DEFAULT;
    *rows = size.ws_row > 0 ? size.ws_row : ROWS_DEFAULT;
}

void
reel_output_flush (struct reel_output *output)
{
    size_t done = 0;
    if (!output->broken && reel_buf_status (&output->buf) != REEL_OK) {
        output->broken = true;
        output->write_errno = ENOMEM;
    }
    while (!output->broken && done < output->buf.len) {
        ssize_t written = write (STDOUT_FILENO, output->buf.data + done, output->buf.len - done);
        if (written >= 0) {
            done += (size_t) written;
        } else if (errno == EAGAIN) {
            struct pollfd item = {.fd = STDOUT_FILENO, .events = POLLOUT};
            (void) poll (&item, 1, -1);
        } else if (errno != EINTR) {
            output->broken = true;
            output->write_errno = errno;
        }
    }
    reel_buf_clear (&output->buf);
}

static void
add_json (struct reel_output *output, struct reel_slice msgpack, unsigned flags)
{
    struct reel_buf text = {0};
    if (reel_json_write (msgpack, flags, &text) != REEL_OK)
        output->buf.failed = true;
    else if (output->terminal)
        reel_text_add_json (&output->buf, reel_buf_slice (&text));
    else
        reel_buf_add_slice (&output->buf, reel_buf_slice (&text));
    reel_buf_add_byte (&output->buf, '\n');
    reel_buf_free (&text);
    reel_output_flush (output);
}

void
reel_output_json (struct reel_output *output, struct reel_slice msgpack)
{
    add_json (output, msgpack, REEL_JSON_COMPACT);
}

void
reel_output_row (struct reel_output *output, const struct reel_buf *row)
{
    if (reel_buf_status (row) == REEL_OK)
        reel_output_json (output, reel_buf_slice (row));
    else
        output->buf.failed = true;
}

void
reel_output_document (struct reel_output *output, struct reel_slice msgpack)
{
    add_json (output, msgpack, output->json ? REEL_JSON_COMPACT : REEL_JSON_PRETTY);
}

void
reel_output_header (struct reel_output *output, struct reel_slice header)
{
    struct reel_cursor cursor = reel_scan_start (header);
    struct reel_value head;
    struct reel_slice key, value;
    struct reel_buf fields = {0}, map = {0};
    uint32_t count = 0;
    if (!reel_scan_next (&cursor, &head) || head.type != REEL_MAP)
        return;
    for (uint32_t i = 0; i < head.count && reel_scan_key (&cursor, &key) && reel_scan_skip (&cursor, &value); i++) {
        if (reel_slice_is (key, "request_id"))
            continue;
        reel_pack_str (&fields, key);
        reel_pack_raw (&fields, value);
        count++;
    }
    reel_pack_map (&map, count);
    reel_buf_add_slice (&map, reel_buf_slice (&fields));
    if (reel_buf_status (&fields) != REEL_OK || reel_buf_status (&map) != REEL_OK)
        output->buf.failed = true;
    else
        reel_output_document (output, reel_buf_slice (&map));
    reel_buf_free (&fields);
    reel_buf_free (&map);
}

int
reel_output_end (struct reel_output *output, int exit_code)
{
    reel_output_flush (output);
    reel_buf_free (&output->buf);
    if (!output->broken)
        return exit_code;
    if (output->write_errno == EPIPE) {
        (void) signal (SIGPIPE, SIG_DFL);
        (void) raise (SIGPIPE);
    }
    reel_complain ("cannot write to standard output: %s", strerror (output->write_errno));
    return EX_IOERR;
}
