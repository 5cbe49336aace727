/*
 * libreel-run: the local runner behind a header that stands alone.
 */
#include "worker/embed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "proto/json.h"
#include "proto/scan.h"
#include "proto/workflow.h"
#include "worker/adapter_function.h"
#include "worker/config.h"
#include "worker/local.h"
#include "worker/rewrite.h"

/* Of a file: JSON is longer than the msgpack it stands for, and a document grows with its receipts. */
#define FILE_BYTES_MAX (512u << 20)
#define PARSE_FLAGS (REEL_WORKFLOW_RUNNING_OK | REEL_WORKFLOW_GROWN)

struct reel_embed {
    struct reel_registry *registry;
    struct reel_buf document; /* msgpack; empty: none */
    struct reel_buf receipt;
    struct reel_buf json; /* what was last asked for in JSON */
    const char *status;
    const struct reel_embed_options *options; /* of the run under way */
};

/* --- saying what went wrong ------------------------------------------------------------------- */

static void
copy_text (char *to, size_t room, const char *text)
{
    (void) snprintf (to, room, "%s", text == NULL ? "" : text);
}

static enum reel_embed_result
failed (enum reel_status status, const struct reel_error *err, struct reel_embed_error *error)
{
    enum reel_embed_result result = status == REEL_NO_MEMORY ? REEL_EMBED_NO_MEMORY
                                    : status == REEL_INVALID ? REEL_EMBED_INVALID
                                                             : REEL_EMBED_SYSTEM;
    if (error == NULL)
        return result;
    bool said = status != REEL_NO_MEMORY && err->message[0] != '\0';
    copy_text (error->code, sizeof error->code,
               status == REEL_NO_MEMORY ? "no_memory"
               : err->code == NULL      ? reel_status_name (status)
                                        : err->code);
    copy_text (error->path, sizeof error->path, said ? err->path : "");
    copy_text (error->message, sizeof error->message,
               said                       ? err->message
               : status == REEL_NO_MEMORY ? "out of memory"
                                          : reel_status_name (status));
    return result;
}

static enum reel_embed_result
done (enum reel_status status, const struct reel_error *err, struct reel_embed_error *error)
{
    if (status != REEL_OK)
        return failed (status, err, error);
    if (error != NULL)
        error->code[0] = error->path[0] = error->message[0] = '\0';
    return REEL_EMBED_OK;
}

/* --- making it -------------------------------------------------------------------------------- */

enum reel_embed_result
reel_embed_create (struct reel_embed **out, struct reel_embed_error *error)
{
    struct reel_error err = {0};
    struct reel_embed *embed = calloc (1, sizeof *embed);
    enum reel_status status = embed == NULL ? REEL_NO_MEMORY : reel_registry_create (&embed->registry);
    if (status == REEL_OK)
        *out = embed;
    else
        free (embed);
    return done (status, &err, error);
}

void
reel_embed_free (struct reel_embed **slot)
{
    struct reel_embed *embed = *slot;
    if (embed == NULL)
        return;
    reel_registry_destroy (&embed->registry);
    reel_buf_free (&embed->document);
    reel_buf_free (&embed->receipt);
    reel_buf_free (&embed->json);
    free (embed);
    *slot = NULL;
}

enum reel_embed_result
reel_embed_configure (struct reel_embed *embed, const char *path, struct reel_embed_error *error)
{
    struct reel_error err = {0};
    return done (reel_config_load (path, embed->registry, &err), &err, error);
}

enum reel_embed_result
reel_embed_add_adapter (struct reel_embed *embed, const char *modality, enum reel_adapter_class adapter_class,
                        reel_adapter_fn function, void *context, struct reel_embed_error *error)
{
    struct reel_error err = {0};
    struct reel_adapter *adapter = NULL;
    const struct reel_function_setup setup = {
        .name = modality, .class = adapter_class, .function = function, .context = context};
    enum reel_status status = reel_adapter_function_create (&setup, &adapter);
    if (status == REEL_OK)
        status = reel_registry_add (embed->registry, modality, &adapter, &(struct reel_policy){0}, &err);
    if (adapter != NULL)
        adapter->destroy (adapter);
    return done (status, &err, error);
}

enum reel_embed_result
reel_embed_add_hook (struct reel_embed *embed, const char *name, unsigned points, reel_adapter_fn function,
                     void *context, struct reel_embed_error *error)
{
    struct reel_error err = {0};
    struct reel_adapter *adapter = NULL;
    const struct reel_function_setup setup = {.name = name, .function = function, .context = context};
    enum reel_status status = reel_adapter_function_create (&setup, &adapter);
    if (status == REEL_OK)
        status = reel_registry_add_hook (embed->registry, name, points, 0, &adapter, &err);
    if (adapter != NULL)
        adapter->destroy (adapter);
    return done (status, &err, error);
}

/* --- documents -------------------------------------------------------------------------------- */

/* JSON begins with a brace, which no msgpack map does. */
static bool
is_json (struct reel_slice bytes)
{
    while (bytes.len > 0 && memchr (" \t\r\n", bytes.data[0], 4) != NULL)
        bytes = reel_slice (bytes.data + 1, bytes.len - 1);
    return bytes.len > 0 && bytes.data[0] == '{';
}

/* As msgpack, validated. */
static enum reel_status
read_document (struct reel_slice bytes, struct reel_buf *document, struct reel_error *err)
{
    struct reel_workflow workflow = {0};
    enum reel_status status = REEL_OK;
    if (is_json (bytes))
        status = reel_json_read (bytes, document, err);
    else
        reel_buf_add_slice (document, bytes);
    if (status == REEL_OK)
        status = reel_buf_status (document);
    if (status == REEL_OK)
        status = reel_workflow_parse (&workflow, reel_buf_slice (document), PARSE_FLAGS, err);
    reel_workflow_free (&workflow);
    return status;
}

enum reel_embed_result
reel_embed_validate (const void *data, size_t size, struct reel_embed_error *error)
{
    struct reel_error err = {0};
    struct reel_buf document = {0};
    enum reel_status status = read_document (reel_slice (data, size), &document, &err);
    reel_buf_free (&document);
    return done (status, &err, error);
}

static enum reel_status
take_document (struct reel_embed *embed, struct reel_slice bytes, struct reel_error *err)
{
    struct reel_buf document = {0};
    enum reel_status status = read_document (bytes, &document, err);
    if (status != REEL_OK) {
        reel_buf_free (&document);
        return status;
    }
    reel_buf_free (&embed->document);
    reel_buf_free (&embed->receipt);
    embed->document = document;
    embed->status = NULL;
    return REEL_OK;
}

enum reel_embed_result
reel_embed_load_bytes (struct reel_embed *embed, const void *data, size_t size, struct reel_embed_error *error)
{
    struct reel_error err = {0};
    return done (take_document (embed, reel_slice (data, size), &err), &err, error);
}

static enum reel_status
read_all (int fd, const char *path, struct reel_buf *bytes, struct reel_error *err)
{
    uint8_t chunk[65536];
    ssize_t got;
    while ((got = read (fd, chunk, sizeof chunk)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return reel_error_set (err, REEL_IO, "io", NULL, "%s: %s", path, strerror (errno));
        reel_buf_add (bytes, chunk, (size_t) got);
        if (bytes->len > FILE_BYTES_MAX)
            return reel_error_set (err, REEL_INVALID, "limit_exceeded", NULL, "%s: more than %u bytes", path,
                                   FILE_BYTES_MAX);
        if (reel_buf_status (bytes) != REEL_OK)
            return REEL_NO_MEMORY;
    }
    return REEL_OK;
}

enum reel_embed_result
reel_embed_load (struct reel_embed *embed, const char *path, struct reel_embed_error *error)
{
    struct reel_error err = {0};
    struct reel_buf bytes = {0};
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    enum reel_status status = fd < 0 ? reel_error_set (&err, REEL_IO, "io", NULL, "%s: %s", path, strerror (errno))
                                     : read_all (fd, path, &bytes, &err);
    if (status == REEL_OK)
        status = take_document (embed, reel_buf_slice (&bytes), &err);
    if (fd >= 0)
        (void) close (fd);
    reel_buf_free (&bytes);
    return done (status, &err, error);
}

/* --- running ---------------------------------------------------------------------------------- */

static void
on_event (void *context, struct reel_slice event)
{
    const struct reel_embed *embed = context;
    embed->options->event (embed->options->context, event.data, event.len);
}

static enum reel_status
read_provenance (const char *json, struct reel_buf *provenance, struct reel_error *err)
{
    if (json == NULL)
        return REEL_OK;
    enum reel_status status = reel_json_read (reel_slice_text (json), provenance, err);
    if (status == REEL_OK && reel_scan_type (reel_buf_slice (provenance)) != REEL_MAP)
        return reel_error_set (err, REEL_INVALID, "bad_type", NULL, "provenance_json: an object is wanted");
    return status;
}

enum reel_embed_result
reel_embed_run (struct reel_embed *embed, const struct reel_embed_options *options, struct reel_embed_error *error)
{
    static const struct reel_embed_options none;
    struct reel_error err = {0};
    struct reel_buf provenance = {0};
    struct reel_local_result result = {0};
    struct reel_rewrite_lock lock = {0};
    enum reel_status status = REEL_OK;
    embed->options = options == NULL ? &none : options;
    if (embed->document.len == 0)
        status = reel_error_set (&err, REEL_INVALID, "not_loaded", NULL, "no document was loaded");
    if (status == REEL_OK)
        status = read_provenance (embed->options->provenance_json, &provenance, &err);
    if (status == REEL_OK && embed->options->output != NULL)
        status = reel_rewrite_lock (embed->options->output, &lock, &err);
    if (status == REEL_OK) {
        struct reel_local_setup setup = {
            .document = reel_buf_slice (&embed->document),
            .provenance = reel_buf_slice (&provenance),
            .registry = embed->registry,
            .output = embed->options->output,
            .output_form = embed->options->output_form == REEL_EMBED_JSON ? REEL_LOCAL_JSON : REEL_LOCAL_MSGPACK,
            .stop_fd = embed->options->stop_fd > 0 ? embed->options->stop_fd : -1,
        };
        if (embed->options->event != NULL)
            setup.watcher = (struct reel_local_watcher){.event = on_event, .context = embed};
        status = reel_local_run (&setup, &result, &err);
    }
    if (status == REEL_OK) {
        reel_buf_free (&embed->document);
        reel_buf_free (&embed->receipt);
        embed->document = result.document;
        embed->receipt = result.receipt;
        embed->status = result.status;
    }
    embed->options = NULL;
    reel_rewrite_unlock (&lock);
    reel_buf_free (&provenance);
    return done (status, &err, error);
}

const char *
reel_embed_status (const struct reel_embed *embed)
{
    return embed->status == NULL ? "" : embed->status;
}

/* --- what came of it -------------------------------------------------------------------------- */

static enum reel_status
give (struct reel_embed *embed, const struct reel_buf *bytes, enum reel_embed_form form, const void **data,
      size_t *size)
{
    const struct reel_buf *given = bytes;
    if (form == REEL_EMBED_JSON) {
        reel_buf_clear (&embed->json);
        enum reel_status status = reel_json_write (reel_buf_slice (bytes), REEL_JSON_PRETTY, &embed->json);
        reel_buf_add_byte (&embed->json, 0);
        if (status == REEL_OK)
            status = reel_buf_status (&embed->json);
        if (status != REEL_OK)
            return status;
        given = &embed->json;
    }
    *data = given->data;
    *size = given->len - (form == REEL_EMBED_JSON);
    return REEL_OK;
}

enum reel_embed_result
reel_embed_receipt (struct reel_embed *embed, enum reel_embed_form form, const void **data, size_t *size,
                    struct reel_embed_error *error)
{
    struct reel_error err = {0};
    enum reel_status status = embed->receipt.len == 0
                                  ? reel_error_set (&err, REEL_INVALID, "not_run", NULL, "the document was not run")
                                  : give (embed, &embed->receipt, form, data, size);
    return done (status, &err, error);
}

enum reel_embed_result
reel_embed_document (struct reel_embed *embed, enum reel_embed_form form, const void **data, size_t *size,
                     struct reel_embed_error *error)
{
    struct reel_error err = {0};
    enum reel_status status = embed->document.len == 0
                                  ? reel_error_set (&err, REEL_INVALID, "not_loaded", NULL, "no document was loaded")
                                  : give (embed, &embed->document, form, data, size);
    return done (status, &err, error);
}

enum reel_embed_result
reel_embed_save (struct reel_embed *embed, const char *path, enum reel_embed_form form, struct reel_embed_error *error)
{
    struct reel_error err = {0};
    const void *data = NULL;
    size_t size = 0;
    enum reel_embed_result result = reel_embed_document (embed, form, &data, &size, error);
    if (result != REEL_EMBED_OK)
        return result;
    if (form == REEL_EMBED_JSON)
        embed->json.data[size++] = '\n'; /* in the place of the NUL */
    enum reel_status status = reel_rewrite_file (path, reel_slice (data, size), &err);
    return done (status, &err, error);
}
