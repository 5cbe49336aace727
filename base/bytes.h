/*
 * Borrowed bytes and growing bytes.
 *
 * A slice borrows; it is never freed and never NUL-terminated. A buffer owns. Appending to
 * a buffer cannot fail at the call: a failed allocation (or a size past REEL_BUF_BYTES_MAX)
 * makes the buffer `failed`, further appends do nothing, and whoever uses the result asks
 * reel_buf_status() once. An all-zero struct reel_buf is a valid empty buffer.
 */
#ifndef REEL_BASE_BYTES_H
#define REEL_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/status.h"

/* No buffer grows past this many bytes. */
#define REEL_BUF_BYTES_MAX ((size_t) 1 << 30)

struct reel_slice {
    const uint8_t *data;
    size_t len;
};

struct reel_buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    bool failed;
};

#define REEL_SLICE_NONE ((struct reel_slice){NULL, 0})
/* For "%.*s". */
#define REEL_TEXT(slice) (int) (slice).len, (const char *) (slice).data

/* These few are asked for so often that a call would cost more than what they do. */
static inline struct reel_slice
reel_slice (const void *data, size_t len)
{
    return (struct reel_slice){data, len};
}

/* The characters of a NUL-terminated string, without the NUL; none for NULL. */
static inline struct reel_slice
reel_slice_text (const char *text)
{
    return text != NULL ? reel_slice (text, strlen (text)) : REEL_SLICE_NONE;
}

static inline bool
reel_slice_equal (struct reel_slice a, struct reel_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp (a.data, b.data, a.len) == 0);
}

static inline bool
reel_slice_is (struct reel_slice a, const char *text)
{
    return reel_slice_equal (a, reel_slice_text (text));
}

/* <0, 0, >0 in the order of memcmp, the shorter first. */
int reel_slice_compare (struct reel_slice a, struct reel_slice b);
/* A NUL-terminated copy that the caller frees; NULL when memory is out. */
char *reel_slice_dup (struct reel_slice a);

void reel_buf_add (struct reel_buf *buf, const void *data, size_t len);
void reel_buf_add_slice (struct reel_buf *buf, struct reel_slice slice);
void reel_buf_add_text (struct reel_buf *buf, const char *text);
void reel_buf_add_byte (struct reel_buf *buf, uint8_t byte);
void reel_buf_printf (struct reel_buf *buf, const char *format, ...) __attribute__ ((format (printf, 2, 3)));
/* Makes room for `len` more bytes and returns where they go, or NULL (and failed); the
 * caller writes them and adds what it wrote to buf->len. */
uint8_t *reel_buf_reserve (struct reel_buf *buf, size_t len);
/* Empties, keeping the memory and clearing `failed`. */
void reel_buf_clear (struct reel_buf *buf);
/* Empties and gives the memory back. */
void reel_buf_free (struct reel_buf *buf);
struct reel_slice reel_buf_slice (const struct reel_buf *buf);
/* REEL_OK, or REEL_NO_MEMORY when something was not appended. */
enum reel_status reel_buf_status (const struct reel_buf *buf) REEL_MUST_USE;

#endif
