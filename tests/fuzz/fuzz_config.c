/*
 * Any bytes as a worker's configuration file: it is taken, or refused with the file's name and what is wrong with it;
 * the registry that comes of it can be told of on the wire. Nothing is found on PATH, so no command is.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "cli/zpl.h"
#include "tests/fuzz/fuzz.h"
#include "worker/config.h"

#define FILE_NAME "/nonexistent/worker.zpl"

static void
check_registry (const struct reel_registry *registry)
{
    struct reel_buf modalities = {0}, dispatch = {0};
    struct reel_call call = {0};
    unsigned points;
    size_t count = reel_registry_count (registry), hooks = 0;
    REEL_ASSERT (count > 0 && count <= REEL_MODALITIES_MAX);
    for (size_t i = 0; i < count; i++) {
        call.modality = reel_slice_text (reel_registry_at (registry, i)->modality);
        REEL_ASSERT (reel_registry_adapter (registry, &call) == reel_registry_at (registry, i)->adapter);
    }
    while (reel_registry_hook_at (registry, hooks, &points) != NULL)
        hooks++;
    REEL_ASSERT (hooks <= REEL_HOOKS_MAX);
    reel_registry_pack_modalities (registry, &modalities);
    reel_registry_pack_dispatch (registry, &dispatch);
    REEL_ASSERT (reel_scan_check (reel_buf_slice (&modalities), REEL_DEPTH_MAX, NULL) == REEL_OK);
    REEL_ASSERT (reel_scan_check (reel_buf_slice (&dispatch), REEL_DEPTH_MAX, NULL) == REEL_OK);
    reel_buf_free (&modalities);
    reel_buf_free (&dispatch);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    struct reel_zpl *file = NULL;
    struct reel_registry *registry = NULL;
    struct reel_error err = {0};
    (void) setenv ("PATH", "/nonexistent", 1);
    enum reel_status status = reel_zpl_parse (reel_slice (data, len), FILE_NAME, &file, &err);
    if (status != REEL_OK) {
        REEL_ASSERT (status == REEL_INVALID && err.message[0] != '\0'
                     && reel_scan_utf8 (reel_slice_text (err.message)));
        return 0;
    }
    REEL_ASSERT (reel_registry_create (&registry) == REEL_OK);
    status = reel_config_read (file, FILE_NAME, registry, &err);
    if (status == REEL_OK) {
        check_registry (registry);
    } else if (status == REEL_INVALID) {
        REEL_ASSERT (strncmp (err.message, FILE_NAME ": ", sizeof FILE_NAME + 1) == 0);
        REEL_ASSERT (reel_scan_utf8 (reel_slice_text (err.message)));
    }
    reel_registry_destroy (&registry);
    reel_zpl_free (&file);
    return 0;
}
