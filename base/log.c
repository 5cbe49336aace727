/*
 * The log: one write a line, so that lines of several threads or processes do not mix, and no
 * allocation, so that running out of memory can be told.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/timestamp.h"
#include "base/utf8.h"

#define MESSAGE_BYTES_MAX 2048
#define HEAD_BYTES_MAX 128
/* Every byte of a message may become "\xHH". */
#define LINE_BYTES_MAX (HEAD_BYTES_MAX + 4 * MESSAGE_BYTES_MAX + 1)

static const char *log_program = "reel";
static enum reel_log_level log_level = REEL_LOG_INFO;

void
reel_log_start (const char *program, enum reel_log_level level)
{
    log_program = program;
    log_level = level;
}

static const char *
level_name (enum reel_log_level level)
{
    switch (level) {
    case REEL_LOG_ERROR: return "error";
    case REEL_LOG_WARNING: return "warning";
    case REEL_LOG_INFO: return "info";
    case REEL_LOG_DEBUG: return "debug";
    }
    return "unknown";
}

/* C0, DEL, C1 (which some terminals obey as well) and what is no UTF-8 (`len` 0). */
static bool
is_control (const uint8_t *at, size_t len)
{
    return len == 0 || at[0] < 0x20 || at[0] == 0x7f || (at[0] == 0xc2 && at[1] <= 0x9f);
}

/* Writes the escaped message (NUL-terminated) to `out`, which has room; returns where it ended. */
static char *
escape (char *out, const char *message)
{
    static const char hex[] = "0123456789abcdef";
    size_t left = strlen (message);
    while (left > 0) {
        const uint8_t *at = (const uint8_t *) message;
        size_t len = reel_utf8_character (at, left);
        bool control = is_control (at, len);
        for (len = len > 0 ? len : 1; len > 0; len--, left--, message++) {
            if (!control) {
                *out++ = *message;
                continue;
            }
            *out++ = '\\';
            *out++ = 'x';
            *out++ = hex[(unsigned char) *message >> 4];
            *out++ = hex[(unsigned char) *message & 15];
        }
    }
    return out;
}

static void
write_all (const char *data, size_t len)
{
    while (len > 0) {
        ssize_t written = write (STDERR_FILENO, data, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return; /* there is nowhere left to say so */
        data += written;
        len -= (size_t) written;
    }
}

void
reel_log (enum reel_log_level level, const char *format, ...)
{
    if (level > log_level)
        return;
    int saved_errno = errno;
    char message[MESSAGE_BYTES_MAX];
    va_list args;
    va_start (args, format);
    int needed = vsnprintf (message, sizeof message, format, args);
    va_end (args);
    if (needed < 0)
        memcpy (message, "?", 2);
    else if ((size_t) needed >= sizeof message)
        memcpy (message + sizeof message - 4, "...", 4);

    char line[LINE_BYTES_MAX];
    char now[REEL_TIMESTAMP_BYTES];
    reel_timestamp_format (reel_clock_wall_us (), now);
    int head = snprintf (line, HEAD_BYTES_MAX, "%s %s %.64s: ", now, level_name (level), log_program);
    char *end = escape (line + (head > 0 ? head : 0), message);
    *end++ = '\n';
    write_all (line, (size_t) (end - line));
    errno = saved_errno;
}
