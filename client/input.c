/*
 * Files to documents.
 */
#include "client/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/complaint.h"
#include "proto/json.h"

#define READ_BYTES 65536

static bool
is_blank (uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static struct reel_slice
trim (struct reel_slice text)
{
    while (text.len > 0 && is_blank (text.data[0]))
        text = reel_slice (text.data + 1, text.len - 1);
    while (text.len > 0 && is_blank (text.data[text.len - 1]))
        text.len--;
    return text;
}

/* The byte order mark that some editors put before a text. */
static bool
has_mark (struct reel_slice bytes)
{
    return bytes.len >= 3 && memcmp (bytes.data, "\xef\xbb\xbf", 3) == 0;
}

bool
reel_input_is_json (struct reel_slice bytes)
{
    return bytes.len == 0 || bytes.data[0] < 0x80 || has_mark (bytes);
}

static enum reel_status
read_all (int fd, struct reel_buf *bytes)
{
    for (;;) {
        uint8_t *room = reel_buf_reserve (bytes, READ_BYTES);
        if (!room)
            return REEL_NO_MEMORY;
        ssize_t got = read (fd, room, READ_BYTES);
        if (got == 0)
            return REEL_OK;
        if (got > 0)
            bytes->len += (size_t) got;
        else if (errno != EINTR)
            return REEL_IO;
    }
}

enum reel_status
reel_input_read (const char *path, struct reel_buf *bytes, struct reel_error *err)
{
    bool standard = strcmp (path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return reel_error_set (err, errno == ENOMEM ? REEL_NO_MEMORY : REEL_NOT_FOUND, "no_input", NULL, "%s",
                               strerror (errno));
    enum reel_status status = read_all (fd, bytes);
    if (status == REEL_NO_MEMORY)
        (void) reel_error_set (err, status, "limit_exceeded", NULL, "larger than memory allows");
    else if (status != REEL_OK)
        (void) reel_error_set (err, status, "no_input", NULL, "%s", strerror (errno));
    if (!standard)
        (void) close (fd);
    return status;
}

int
reel_input_value (const char *path, struct reel_buf *value, bool *json)
{
    struct reel_buf bytes = {0};
    struct reel_error err = {0};
    enum reel_status status = reel_input_read (path, &bytes, &err);
    bool is_json = status == REEL_OK && reel_input_is_json (reel_buf_slice (&bytes)), read = status == REEL_OK;
    if (is_json)
        status = reel_json_read (reel_buf_slice (&bytes), value, &err);
    else if (read)
        reel_buf_add_slice (value, reel_buf_slice (&bytes));
    if (status == REEL_OK)
        status = reel_buf_status (value);
    if (json != NULL)
        *json = is_json;
    reel_buf_free (&bytes);
    if (status == REEL_OK)
        return EX_OK;
    if (read || status == REEL_NO_MEMORY)
        return reel_complain_document (path, NULL, status, &err);
    reel_complain ("%s: %s", path, err.message);
    return EX_NOINPUT;
}

/* A new element, with its label; NULL without memory. */
static struct reel_input *
add (struct reel_inputs *inputs, const char *name, size_t line)
{
    if (inputs->count == inputs->cap) {
        size_t cap = inputs->cap > 0 ? 2 * inputs->cap : 4;
        struct reel_input *list = realloc (inputs->list, cap * sizeof *list);
        if (!list)
            return NULL;
        inputs->list = list;
        inputs->cap = cap;
    }
    struct reel_buf label = {0};
    reel_buf_add_text (&label, name);
    if (line > 0)
        reel_buf_printf (&label, ":%zu", line);
    char *text = reel_buf_status (&label) == REEL_OK ? reel_slice_dup (reel_buf_slice (&label)) : NULL;
    reel_buf_free (&label);
    if (!text)
        return NULL;
    struct reel_input *input = &inputs->list[inputs->count++];
    *input = (struct reel_input){.label = text};
    return input;
}

static enum reel_status
add_json (struct reel_inputs *inputs, const char *name, size_t line, struct reel_slice text)
{
    struct reel_input *input = add (inputs, name, line);
    if (!input)
        return REEL_NO_MEMORY;
    input->status = reel_json_read (text, &input->document, &input->err);
    return input->status == REEL_NO_MEMORY ? REEL_NO_MEMORY : REEL_OK;
}

static struct reel_slice
take_line (struct reel_slice *text)
{
    const uint8_t *end = memchr (text->data, '\n', text->len);
    size_t len = end ? (size_t) (end - text->data) : text->len;
    struct reel_slice line = reel_slice (text->data, len);
    size_t taken = end ? len + 1 : len;
    *text = reel_slice (text->data + taken, text->len - taken);
    return line;
}

/* REEL_OK: more than one line, of which the first that is not blank is a JSON text. */
static enum reel_status
check_lines (struct reel_slice text)
{
    struct reel_buf document = {0};
    text = trim (text);
    struct reel_slice first = trim (take_line (&text));
    enum reel_status status = text.len > 0 && first.len > 0 ? reel_json_read (first, &document, NULL) : REEL_INVALID;
    reel_buf_free (&document);
    return status;
}

static enum reel_status
add_lines (struct reel_inputs *inputs, const char *name, struct reel_slice text)
{
    enum reel_status status = REEL_OK;
    for (size_t number = 1; text.len > 0 && status == REEL_OK; number++) {
        struct reel_slice line = trim (take_line (&text));
        if (line.len > 0)
            status = add_json (inputs, name, number, line);
    }
    return status;
}

static void
drop_last (struct reel_inputs *inputs)
{
    struct reel_input *last = &inputs->list[--inputs->count];
    free (last->label);
    reel_buf_free (&last->document);
}

enum reel_status
reel_inputs_add_bytes (struct reel_inputs *inputs, const char *name, struct reel_slice bytes, struct reel_error *err)
{
    if (!reel_input_is_json (bytes)) {
        struct reel_input *input = add (inputs, name, 0);
        if (!input)
            return REEL_NO_MEMORY;
        reel_buf_add_slice (&input->document, bytes);
        return reel_buf_status (&input->document);
    }
    if (has_mark (bytes))
        bytes = reel_slice (bytes.data + 3, bytes.len - 3);
    if (trim (bytes).len == 0)
        return reel_error_set (err, REEL_INVALID, "malformed", NULL, "there is no document in it");
    enum reel_status status = add_json (inputs, name, 0, bytes);
    if (status != REEL_OK || inputs->list[inputs->count - 1].status == REEL_OK)
        return status;
    status = check_lines (bytes);
    if (status != REEL_OK)
        return status == REEL_NO_MEMORY ? status : REEL_OK;
    drop_last (inputs);
    return add_lines (inputs, name, bytes);
}

enum reel_status
reel_inputs_add (struct reel_inputs *inputs, const char *path, struct reel_error *err)
{
    struct reel_buf bytes = {0};
    enum reel_status status = reel_input_read (path, &bytes, err);
    if (status == REEL_OK)
        status = reel_inputs_add_bytes (inputs, strcmp (path, "-") == 0 ? "standard input" : path,
                                        reel_buf_slice (&bytes), err);
    reel_buf_free (&bytes);
    return status;
}

void
reel_inputs_free (struct reel_inputs *inputs)
{
    while (inputs->count > 0)
        drop_last (inputs);
    free (inputs->list);
    *inputs = (struct reel_inputs){0};
}
