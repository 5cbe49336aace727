/*
 * Filling a struct reel_error so that what reaches a person is whole characters and a path
 * that names something, however long the input was.
 */
#include "base/status.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define UTF8_BYTES_MAX 4

/* Ends `text` before a last character that was cut off, and puts '?' for what is no character at all: a
 * message quotes what a peer sent, and goes on the wire as a string. */
static void
keep_characters (char *text, bool cut)
{
    size_t len = strlen (text);
    for (size_t at = 0; at < len;) {
        size_t character = reel_utf8_character ((const uint8_t *) text + at, len - at);
        if (character == 0 && cut && len - at < UTF8_BYTES_MAX) {
            text[at] = '\0';
            return;
        }
        if (character == 0)
            text[at] = '?';
        at += character > 0 ? character : 1;
    }
}

static void
format_message (char out[REEL_ERROR_MESSAGE_BYTES], const char *format, va_list args)
{
    int needed = vsnprintf (out, REEL_ERROR_MESSAGE_BYTES, format, args);
    if (needed < 0)
        out[0] = '\0';
    keep_characters (out, needed >= REEL_ERROR_MESSAGE_BYTES);
}

/* Cuts at a '/', so that what is left points at a value around the one meant. `path` may be `out`. */
static void
copy_path (char out[REEL_ERROR_PATH_BYTES], const char *path)
{
    size_t len = strnlen (path, REEL_ERROR_PATH_BYTES);
    if (len == REEL_ERROR_PATH_BYTES)
        do
            len--;
        while (len > 0 && path[len] != '/');
    memmove (out, path, len);
    out[len] = '\0';
}

enum reel_status
reel_error_set (struct reel_error *err, enum reel_status status, const char *code, const char *path, const char *format,
                ...)
{
    if (err == NULL)
        return status;
    /* The arguments may lie in *err itself: an error that is told again with more around it. */
    char message[REEL_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start (args, format);
    format_message (message, format, args);
    va_end (args);
    copy_path (err->path, path != NULL ? path : "");
    memcpy (err->message, message, strlen (message) + 1);
    err->code = code;
    return status;
}

const char *
reel_status_name (enum reel_status status)
{
    switch (status) {
    case REEL_OK: return "ok";
    case REEL_INVALID: return "invalid";
    case REEL_NOT_FOUND: return "not_found";
    case REEL_AGAIN: return "again";
    case REEL_NO_MEMORY: return "no_memory";
    case REEL_IO: return "io";
    }
    return "unknown";
}
