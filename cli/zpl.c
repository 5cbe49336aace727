/*
 * The wall between zconfig and everybody else. It cuts long lines, stops at a NUL, and prints its
 * complaints to standard output, which belongs to what the program has to say: none of that gets out.
 */
#include "cli/zpl.h"

#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A struct reel_zpl is zconfig's root, a struct reel_zpl_node one of those below it. */
static zconfig_t *
config_of (const void *handle)
{
    return (zconfig_t *) handle;
}

static enum reel_status
check_lines (struct reel_slice text, const char *name, struct reel_error *err)
{
    if (text.len > REEL_ZPL_BYTES_MAX)
        return reel_error_set (err, REEL_INVALID, "bad_file", NULL, "%s: longer than %u bytes", name,
                               REEL_ZPL_BYTES_MAX);
    if (text.len > 0 && memchr (text.data, '\0', text.len))
        return reel_error_set (err, REEL_INVALID, "bad_file", NULL, "%s: holds a NUL byte: not a text", name);
    size_t line = 1, start = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\n') {
            line++;
            start = i + 1;
        } else if (i - start >= REEL_ZPL_LINE_BYTES_MAX)
            return reel_error_set (err, REEL_INVALID, "bad_file", NULL, "%s: line %zu is longer than %u bytes", name,
                                   line, REEL_ZPL_LINE_BYTES_MAX);
    }
    return REEL_OK;
}

/* Has zconfig read `text` while standard output is `said`: glibc's stdout is a variable like any other. */
static zconfig_t *
read_quietly (const char *text, FILE *said)
{
    FILE *kept = stdout;
    stdout = said;
    zconfig_t *root = zconfig_str_load (text);
    stdout = kept;
    return root;
}

/* zconfig says `DATE TIME E (zconfig): (LINE) WHAT`. */
static enum reel_status
report (const char *name, const char *said, struct reel_error *err)
{
    const char *line = strstr (said, "(zconfig): (");
    const char *what = line ? strchr (line, ')') : NULL;
    what = what ? strstr (what + 1, ") ") : NULL;
    if (!line || !what)
        return reel_error_set (err, REEL_INVALID, "bad_file", NULL, "%s: is not ZPL", name);
    line += strlen ("(zconfig): (");
    what += strlen (") ");
    return reel_error_set (err, REEL_INVALID, "bad_file", NULL, "%s: line %.*s: %.*s", name,
                           (int) strspn (line, "0123456789"), line, (int) strcspn (what, "\n"), what);
}

enum reel_status
reel_zpl_parse (struct reel_slice text, const char *name, struct reel_zpl **zpl, struct reel_error *err)
{
    enum reel_status status = check_lines (text, name, err);
    if (status != REEL_OK)
        return status;
    char *copy = reel_slice_dup (text);
    char *said = NULL;
    size_t said_bytes = 0;
    FILE *said_file = open_memstream (&said, &said_bytes);
    zconfig_t *root = NULL;
    if (!copy || !said_file) {
        status = REEL_NO_MEMORY;
        goto out;
    }
    zsys_handler_set (NULL);
    root = read_quietly (copy, said_file);
out:
    if (said_file)
        (void) fclose (said_file);
    if (root)
        *zpl = (struct reel_zpl *) root;
    else if (status == REEL_OK)
        status = report (name, said ? said : "", err);
    free (said);
    free (copy);
    return status;
}

static enum reel_status
read_file (const char *path, struct reel_buf *text, struct reel_error *err)
{
    int file = open (path, O_RDONLY | O_CLOEXEC);
    ssize_t got = file < 0 ? -1 : 1;
    while (got > 0 && text->len <= REEL_ZPL_BYTES_MAX) {
        uint8_t *room = reel_buf_reserve (text, BUFSIZ);
        if (!room)
            break;
        got = read (file, room, BUFSIZ);
        if (got > 0)
            text->len += (size_t) got;
    }
    enum reel_status status = reel_buf_status (text);
    if (got < 0)
        status = reel_error_set (err, REEL_IO, "bad_file", NULL, "%s: %s", path, strerror (errno));
    if (file >= 0)
        (void) close (file);
    return status;
}

enum reel_status
reel_zpl_load (const char *path, struct reel_zpl **zpl, struct reel_error *err)
{
    struct reel_buf text = {0};
    enum reel_status status = read_file (path, &text, err);
    if (status == REEL_OK)
        status = reel_zpl_parse (reel_buf_slice (&text), path, zpl, err);
    reel_buf_free (&text);
    return status;
}

void
reel_zpl_free (struct reel_zpl **zpl)
{
    zconfig_t *root = config_of (*zpl);
    zconfig_destroy (&root);
    *zpl = NULL;
}

const struct reel_zpl_node *
reel_zpl_first (const struct reel_zpl *zpl)
{
    return (const struct reel_zpl_node *) zconfig_child (config_of (zpl));
}

const struct reel_zpl_node *
reel_zpl_child (const struct reel_zpl_node *node)
{
    return (const struct reel_zpl_node *) zconfig_child (config_of (node));
}

const struct reel_zpl_node *
reel_zpl_next (const struct reel_zpl_node *node)
{
    return (const struct reel_zpl_node *) zconfig_next (config_of (node));
}

const char *
reel_zpl_name (const struct reel_zpl_node *node)
{
    return zconfig_name (config_of (node));
}

const char *
reel_zpl_value (const struct reel_zpl_node *node)
{
    const char *value = zconfig_value (config_of (node));
    return value ? value : "";
}
