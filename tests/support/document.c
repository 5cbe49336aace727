/*
 * Copies of exactly the size, the oldest given back first: a test that keeps a document for long is a test of
 * something else.
 */
#include "tests/support/document.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/json.h"

struct kept {
    struct kept *next;
    uint8_t *bytes;
    size_t len;
};

static struct kept *oldest, *newest;
static size_t bytes_kept;

static void
forget_oldest (void)
{
    struct kept *first = oldest;
    oldest = first->next;
    if (oldest == NULL)
        newest = NULL;
    bytes_kept -= first->len;
    free (first->bytes);
    free (first);
}

struct reel_slice
document_copy (struct reel_slice bytes)
{
    struct kept *kept = malloc (sizeof *kept);
    uint8_t *copy = malloc (bytes.len > 0 ? bytes.len : 1);
    ck_assert (kept != NULL && copy != NULL);
    if (bytes.len > 0)
        memcpy (copy, bytes.data, bytes.len);
    while (oldest != NULL && bytes_kept > DOCUMENTS_BYTES_KEPT)
        forget_oldest ();
    *kept = (struct kept){NULL, copy, bytes.len};
    *(newest != NULL ? &newest->next : &oldest) = kept;
    newest = kept;
    bytes_kept += bytes.len;
    return reel_slice (copy, bytes.len);
}

static struct reel_slice
keep (struct reel_buf *bytes)
{
    ck_assert_int_eq (reel_buf_status (bytes), REEL_OK);
    struct reel_slice copy = document_copy (reel_buf_slice (bytes));
    reel_buf_free (bytes);
    return copy;
}

static void
exchange (struct reel_buf *text, uint8_t from, uint8_t to)
{
    for (size_t i = 0; i < text->len; i++)
        if (text->data[i] == from)
            text->data[i] = to;
}

static struct reel_slice
read_text (struct reel_buf *text)
{
    struct reel_buf out = {0};
    struct reel_error err = {0};
    exchange (text, '\'', '"');
    enum reel_status status = reel_json_read (reel_buf_slice (text), &out, &err);
    ck_assert_msg (status == REEL_OK, "%s at %s in %.*s", err.message, err.path, (int) text->len,
                   (const char *) text->data);
    reel_buf_free (text);
    return keep (&out);
}

struct reel_slice
document (const char *json)
{
    struct reel_buf text = {0};
    reel_buf_add_text (&text, json);
    return read_text (&text);
}

struct reel_slice
document_of (const char *format, ...)
{
    struct reel_buf text = {0};
    char *made = NULL;
    va_list args;
    va_start (args, format);
    int len = vasprintf (&made, format, args);
    va_end (args);
    ck_assert_int_ge (len, 0);
    reel_buf_add (&text, made, (size_t) len);
    free (made);
    return read_text (&text);
}

static unsigned
digit (char character)
{
    const char *digits = "0123456789abcdef";
    const char *found = character != '\0' ? strchr (digits, character) : NULL;
    ck_assert_msg (found != NULL, "no hexadecimal digit: %c", character);
    return (unsigned) (found - digits);
}

struct reel_slice
document_hex (const char *hex)
{
    struct reel_buf bytes = {0};
    while (*hex != '\0') {
        if (*hex == ' ') {
            hex++;
            continue;
        }
        reel_buf_add_byte (&bytes, (uint8_t) (16 * digit (hex[0]) + digit (hex[1])));
        hex += 2;
    }
    return keep (&bytes);
}

const char *
document_json (struct reel_slice msgpack)
{
    struct reel_buf text = {0};
    ck_assert_int_eq (reel_json_write (msgpack, REEL_JSON_COMPACT, &text), REEL_OK);
    exchange (&text, '"', '\'');
    reel_buf_add_byte (&text, 0);
    return (const char *) keep (&text).data;
}

const char *
document_bytes (struct reel_slice bytes)
{
    struct reel_buf text = {0};
    for (size_t i = 0; i < bytes.len; i++)
        reel_buf_printf (&text, "%s%02x", i > 0 ? " " : "", bytes.data[i]);
    reel_buf_add_byte (&text, 0);
    return (const char *) keep (&text).data;
}
