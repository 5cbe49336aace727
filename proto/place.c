/*
 * Spelling out where a document is wrong.
 */
#include "proto/place.h"

#include <stdarg.h>
#include <stdio.h>

static void
spell (const struct reel_place *at, struct reel_buf *path)
{
    if (at == NULL)
        return;
    spell (at->outer, path);
    if (at->name != NULL)
        reel_buf_printf (path, "/%s", at->name);
    else
        reel_buf_printf (path, "/%u", at->index);
}

enum reel_status
reel_place_refuse (struct reel_error *err, const char *code, const struct reel_place *at, const char *format, ...)
{
    struct reel_buf path = {0};
    char message[REEL_ERROR_MESSAGE_BYTES + 1]; /* what does not fit is cut by reel_error_set, between characters */
    va_list args;
    va_start (args, format);
    vsnprintf (message, sizeof message, format, args);
    va_end (args);
    spell (at, &path);
    reel_buf_add_byte (&path, 0);
    reel_error_set (err, REEL_INVALID, code, path.failed ? "" : (const char *) path.data, "%s", message);
    reel_buf_free (&path);
    return REEL_INVALID;
}
