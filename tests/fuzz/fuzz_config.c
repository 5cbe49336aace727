/*
 * Any bytes as a worker's configuration file: it is taken, or refused with the file's name and what is wrong with it;
 * the registry that comes of it can be told of on the wire, and comes of it again. Nothing is found on PATH, so no
 * command is; the file would lie in an empty directory, and plugins from elsewhere are not loaded.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/zpl.h"
#include "proto/identity.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/scratch.h"
#include "worker/config.h"

static char directory[SCRATCH_BYTES], file_name[SCRATCH_BYTES + 16];

static void
remove_directory (void)
{
    (void) rmdir (directory); /* fails when something was made in it, which nothing may */
}

static void
make_directory (void)
{
    scratch_make (directory, false);
    REEL_ASSERT (atexit (remove_directory) == 0);
    (void) snprintf (file_name, sizeof file_name, "%s/worker.zpl", directory);
    REEL_ASSERT (setenv ("PATH", "/nonexistent", 1) == 0);
}

/* Does it name a plugin outside of the directory? */
static bool
reaches_out (const struct reel_zpl *file)
{
    for (const struct reel_zpl_node *node = reel_zpl_first (file); node != NULL; node = reel_zpl_next (node)) {
        const char *value = reel_zpl_value (node);
        if (strcmp (reel_zpl_name (node), "plugin") == 0 && (value[0] == '/' || strstr (value, "..") != NULL))
            return true;
    }
    return false;
}

static void
check_registry (const struct reel_registry *registry, struct reel_buf *dispatch)
{
    struct reel_buf modalities = {0};
    struct reel_call call = {0};
    unsigned points;
    size_t count = reel_registry_count (registry), hooks = 0;
    REEL_ASSERT (count > 0 && count <= REEL_MODALITIES_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct reel_registry_entry *entry = reel_registry_at (registry, i);
        call.modality = reel_slice_text (entry->modality);
        REEL_ASSERT (reel_identity_modality (call.modality));
        REEL_ASSERT (reel_registry_adapter (registry, &call) == entry->adapter);
        REEL_ASSERT (entry->policy.max_attempts <= REEL_ATTEMPTS_MAX && entry->policy.timeout_ms >= 0);
    }
    while (reel_registry_hook_at (registry, hooks, &points) != NULL)
        hooks++;
    REEL_ASSERT (hooks <= REEL_HOOKS_MAX);
    reel_registry_pack_modalities (registry, &modalities);
    reel_registry_pack_dispatch (registry, dispatch);
    REEL_ASSERT (reel_scan_check (reel_buf_slice (&modalities), REEL_DEPTH_MAX, NULL) == REEL_OK);
    REEL_ASSERT (reel_scan_check (reel_buf_slice (dispatch), REEL_DEPTH_MAX, NULL) == REEL_OK);
    REEL_ASSERT (dispatch->len <= REEL_DISPATCH_BYTES_MAX);
    reel_buf_free (&modalities);
}

/* What is wrong with the file, on one line, after its name. */
static void
check_refused (enum reel_status status, const struct reel_error *err)
{
    size_t len = strlen (file_name);
    REEL_ASSERT (status == REEL_INVALID && strncmp (err->message, file_name, len) == 0);
    REEL_ASSERT (strncmp (err->message + len, ": ", 2) == 0 && err->message[len + 2] != '\0');
    REEL_ASSERT (strchr (err->message, '\n') == NULL && reel_scan_utf8 (reel_slice_text (err->message)));
}

static enum reel_status
read_config (const struct reel_zpl *file, struct reel_buf *dispatch)
{
    struct reel_registry *registry = NULL;
    struct reel_error err = {0};
    REEL_ASSERT (reel_registry_create (&registry) == REEL_OK);
    enum reel_status status = reel_config_read (file, file_name, registry, &err);
    if (status == REEL_OK)
        check_registry (registry, dispatch);
    else
        check_refused (status, &err);
    reel_registry_destroy (&registry);
    return status;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    struct reel_zpl *file = NULL;
    struct reel_error err = {0};
    struct reel_buf first = {0}, second = {0};
    if (directory[0] == '\0')
        make_directory ();
    enum reel_status status = reel_zpl_parse (reel_slice (data, len), file_name, &file, &err);
    if (status != REEL_OK) {
        check_refused (status, &err);
        return 0;
    }
    if (!reaches_out (file)) {
        status = read_config (file, &first);
        REEL_ASSERT (read_config (file, &second) == status);
        REEL_ASSERT (reel_slice_equal (reel_buf_slice (&first), reel_buf_slice (&second)));
    }
    reel_buf_free (&first);
    reel_buf_free (&second);
    reel_zpl_free (&file);
    return 0;
}
