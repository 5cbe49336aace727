/*
 * One character at a time: what it is shown as, and how wide that is.
 */
#include "client/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "base/utf8.h"

#define SHOWN_BYTES 16

struct shown {
    char bytes[SHOWN_BYTES];
    size_t len;
    size_t columns;
    size_t taken; /* bytes of the text that it stands for */
};

/* Reads one character; 0 bytes when the text does not begin with one in UTF-8. */
static size_t
read_character (struct reel_slice text, uint32_t *character)
{
    size_t len = reel_utf8_character (text.data, text.len);
    if (len == 0)
        return 0;
    uint32_t value = len == 1 ? text.data[0] : text.data[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++)
        value = value << 6 | (text.data[i] & 0x3fu);
    *character = value;
    return len;
}

/* Characters that move or reorder what is around them, though they have no width. */
static bool
is_treacherous (uint32_t character)
{
    return character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0xad || character == 0x61c
           || (character >= 0x200b && character <= 0x200f) || (character >= 0x2028 && character <= 0x202e)
           || (character >= 0x2060 && character <= 0x206f) || character == 0xfeff
           || (character >= 0xfff9 && character <= 0xfffb) || (character >= 0xe0000 && character <= 0xe0fff);
}

static struct shown
show (struct reel_slice text, bool utf8)
{
    struct shown shown = {.taken = 1};
    uint32_t character = 0;
    size_t len = read_character (text, &character);
    if (len == 0) {
        shown.len = (size_t) snprintf (shown.bytes, sizeof shown.bytes, "\\x%02x", text.data[0]);
        shown.columns = shown.len;
        return shown;
    }
    shown.taken = len;
    int width = character < 0x80 ? 1 : wcwidth ((wchar_t) character);
    if (is_treacherous (character) || width < 0 || (character >= 0x80 && !utf8)) {
        shown.len = (size_t) (character < 0x80
                                  ? snprintf (shown.bytes, sizeof shown.bytes, "\\x%02" PRIx32, character)
                                  : snprintf (shown.bytes, sizeof shown.bytes, "\\u{%" PRIx32 "}", character));
        shown.columns = shown.len;
        return shown;
    }
    memcpy (shown.bytes, text.data, len);
    shown.len = len;
    shown.columns = (size_t) width;
    return shown;
}

static struct reel_slice
rest (struct reel_slice text, size_t taken)
{
    return reel_slice (text.data + taken, text.len - taken);
}

size_t
reel_text_columns (struct reel_slice text, bool utf8)
{
    size_t columns = 0;
    while (text.len > 0) {
        struct shown shown = show (text, utf8);
        columns += shown.columns;
        text = rest (text, shown.taken);
    }
    return columns;
}

static size_t
add_up_to (struct reel_buf *out, struct reel_slice text, size_t columns_max, bool utf8)
{
    size_t columns = 0;
    while (text.len > 0) {
        struct shown shown = show (text, utf8);
        if (shown.columns > columns_max - columns)
            break;
        reel_buf_add (out, shown.bytes, shown.len);
        columns += shown.columns;
        text = rest (text, shown.taken);
    }
    return columns;
}

size_t
reel_text_add (struct reel_buf *out, struct reel_slice text, bool utf8)
{
    return add_up_to (out, text, SIZE_MAX, utf8);
}

size_t
reel_text_add_cut (struct reel_buf *out, struct reel_slice text, size_t columns, bool utf8)
{
    if (reel_text_columns (text, utf8) <= columns)
        return add_up_to (out, text, columns, utf8);
    if (columns == 0)
        return 0;
    size_t used = add_up_to (out, text, columns - 1, utf8);
    reel_buf_add_text (out, utf8 ? "…" : "~");
    return used + 1;
}

void
reel_text_add_padded (struct reel_buf *out, struct reel_slice text, size_t columns, bool utf8)
{
    for (size_t used = reel_text_add_cut (out, text, columns, utf8); used < columns; used++)
        reel_buf_add_byte (out, ' ');
}

void
reel_text_add_json (struct reel_buf *out, struct reel_slice json)
{
    while (json.len > 0) {
        uint32_t character = 0;
        size_t len = read_character (json, &character);
        if (len == 0) {
            len = 1;
            character = 0xfffd;
        }
        /* Below a space there is only the layout: in strings JSON has escaped those itself. */
        if (character < 0x20 || !is_treacherous (character))
            reel_buf_add (out, json.data, len);
        else if (character < 0x10000)
            reel_buf_printf (out, "\\u%04" PRIx32, character);
        else
            reel_buf_printf (out, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xd800 + ((character - 0x10000) >> 10),
                             0xdc00 + ((character - 0x10000) & 0x3ff));
        json = rest (json, len);
    }
}

void
reel_text_duration (int64_t us, char out[REEL_TEXT_DURATION_BYTES])
{
    int64_t tenths = us < 0 ? 0 : us / 100000;
    int64_t seconds = tenths / 10;
    if (seconds < 60)
        (void) snprintf (out, REEL_TEXT_DURATION_BYTES, "%" PRId64 ".%" PRId64 "s", seconds, tenths % 10);
    else if (seconds < 3600)
        (void) snprintf (out, REEL_TEXT_DURATION_BYTES, "%" PRId64 ":%02" PRId64, seconds / 60, seconds % 60);
    else
        (void) snprintf (out, REEL_TEXT_DURATION_BYTES, "%" PRId64 ":%02" PRId64 ":%02" PRId64, seconds / 3600,
                         seconds / 60 % 60, seconds % 60);
}
