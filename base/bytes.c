/*
 * Slices and growing buffers: the only place where the memory of variable-sized data grows.
 */
#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_CAP_MIN 64

int
reel_slice_compare (struct reel_slice a, struct reel_slice b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter > 0 ? memcmp (a.data, b.data, shorter) : 0;
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

char *
reel_slice_dup (struct reel_slice a)
{
    if (a.len == SIZE_MAX)
        return NULL;
    char *copy = malloc (a.len + 1);
    if (copy == NULL)
        return NULL;
    if (a.len > 0)
        memcpy (copy, a.data, a.len);
    copy[a.len] = '\0';
    return copy;
}

/* Doubling, so that n appends cost O(n); cannot overflow below REEL_BUF_BYTES_MAX. */
static bool
grow (struct reel_buf *buf, size_t needed)
{
    size_t cap = buf->cap > 0 ? buf->cap : BUF_CAP_MIN;
    while (cap < needed)
        cap *= 2;
    if (cap > REEL_BUF_BYTES_MAX)
        cap = REEL_BUF_BYTES_MAX;
    uint8_t *data = realloc (buf->data, cap);
    if (data == NULL)
        return false;
    buf->data = data;
    buf->cap = cap;
    return true;
}

uint8_t *
reel_buf_reserve (struct reel_buf *buf, size_t len)
{
    if (buf->failed)
        return NULL;
    if (len > REEL_BUF_BYTES_MAX - buf->len
        || ((buf->data == NULL || len > buf->cap - buf->len) && !grow (buf, buf->len + len))) {
        buf->failed = true;
        return NULL;
    }
    return buf->data + buf->len;
}

void
reel_buf_add (struct reel_buf *buf, const void *data, size_t len)
{
    if (len == 0)
        return;
    uint8_t *to = reel_buf_reserve (buf, len);
    if (to == NULL)
        return;
    memcpy (to, data, len);
    buf->len += len;
}

void
reel_buf_add_slice (struct reel_buf *buf, struct reel_slice slice)
{
    reel_buf_add (buf, slice.data, slice.len);
}

void
reel_buf_add_text (struct reel_buf *buf, const char *text)
{
    reel_buf_add_slice (buf, reel_slice_text (text));
}

void
reel_buf_add_byte (struct reel_buf *buf, uint8_t byte)
{
    reel_buf_add (buf, &byte, 1);
}

void
reel_buf_printf (struct reel_buf *buf, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    int needed = vsnprintf (NULL, 0, format, args);
    va_end (args);
    if (needed < 0) {
        buf->failed = true;
        return;
    }
    uint8_t *to = reel_buf_reserve (buf, (size_t) needed + 1);
    if (to == NULL)
        return;
    va_start (args, format);
    vsnprintf ((char *) to, (size_t) needed + 1, format, args);
    va_end (args);
    buf->len += (size_t) needed;
}

void
reel_buf_clear (struct reel_buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

void
reel_buf_free (struct reel_buf *buf)
{
    free (buf->data);
    *buf = (struct reel_buf){0};
}

struct reel_slice
reel_buf_slice (const struct reel_buf *buf)
{
    return reel_slice (buf->data, buf->len);
}

enum reel_status
reel_buf_status (const struct reel_buf *buf)
{
    return buf->failed ? REEL_NO_MEMORY : REEL_OK;
}
