/*
 * The few control sequences (ECMA-48, and two private modes that every terminal has) that redrawing takes.
 */
#include "client/screen.h"

#include <string.h>

#define HIDE_CURSOR "\033[?25l"
#define SHOW_CURSOR "\033[?25h"
#define NO_WRAP "\033[?7l"
#define WRAP "\033[?7h"
#define ERASE_LINE_END "\033[K"
#define ERASE_BELOW "\033[J"

static void
go_to_top (struct reel_screen *screen)
{
    struct reel_buf *out = &screen->output->buf;
    reel_buf_add_text (out, "\r");
    if (screen->lines > 0)
        reel_buf_printf (out, "\033[%uA", screen->lines);
}

void
reel_screen_draw (struct reel_screen *screen, struct reel_slice lines)
{
    struct reel_buf *out = &screen->output->buf;
    unsigned count = 0;
    if (!screen->shown)
        reel_buf_add_text (out, HIDE_CURSOR NO_WRAP);
    screen->shown = true;
    go_to_top (screen);
    while (lines.len > 0) {
        const uint8_t *end = memchr (lines.data, '\n', lines.len);
        size_t len = end ? (size_t) (end - lines.data) : lines.len;
        reel_buf_add (out, lines.data, len);
        reel_buf_add_text (out, ERASE_LINE_END "\n");
        len += end ? 1 : 0;
        lines = reel_slice (lines.data + len, lines.len - len);
        count++;
    }
    reel_buf_add_text (out, ERASE_BELOW);
    screen->lines = count;
    reel_output_flush (screen->output);
}

void
reel_screen_above (struct reel_screen *screen, struct reel_slice text)
{
    struct reel_buf *out = &screen->output->buf;
    go_to_top (screen);
    reel_buf_add_text (out, ERASE_BELOW);
    reel_buf_add_slice (out, text);
    screen->lines = 0;
    reel_output_flush (screen->output);
}

void
reel_screen_hide (struct reel_screen *screen)
{
    if (screen->shown)
        reel_buf_add_text (&screen->output->buf, WRAP SHOW_CURSOR);
    screen->shown = false;
    screen->lines = 0;
    reel_output_flush (screen->output);
}
