/*
 * Loading plugins.
 *
 * The number of the ABI is looked at before anything of the plugin is called.
 */
#include "worker/plugin.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "proto/identity.h"
#include "worker/adapter_function.h"

/* A plugin while its init runs. */
struct loading {
    struct reel_plugin plugin; /* first: init has a pointer to it */
    struct reel_plugins *plugins;
    struct reel_registry *registry;
    const char *path;
    const char *work;
    enum reel_status status; /* of the first registration that failed */
    struct reel_error *err;
};

static int refuse (struct loading *loading, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

/* The first refusal is the one that is told. */
static int
refuse (struct loading *loading, const char *format, ...)
{
    char what[REEL_ERROR_MESSAGE_BYTES];
    va_list arguments;
    va_start (arguments, format);
    (void) vsnprintf (what, sizeof what, format, arguments);
    va_end (arguments);
    if (loading->status == REEL_OK)
        loading->status = reel_error_set (loading->err, REEL_INVALID, "bad_plugin", NULL, "plugin %s: %s",
                                          loading->path, what);
    return -1;
}

static int
out_of_memory (struct loading *loading)
{
    loading->status = REEL_NO_MEMORY;
    return -1;
}

const struct reel_plugin_kind *
reel_plugins_find (const struct reel_plugins *plugins, const char *name)
{
    for (size_t i = 0; i < plugins->count; i++)
        if (strcmp (plugins->kinds[i].name, name) == 0)
            return &plugins->kinds[i];
    return NULL;
}

static bool
is_builtin (const char *name)
{
    static const char *const names[] = {"exec", "echo", "sleep", "fail"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp (names[i], name) == 0)
            return true;
    return false;
}

static int
add_adapter (struct reel_plugin *plugin, const char *name, enum reel_adapter_class adapter_class,
             reel_adapter_fn function, void *context)
{
    struct loading *loading = (struct loading *) plugin;
    struct reel_plugins *plugins = loading->plugins;
    if (name == NULL || !reel_identity_modality (reel_slice_text (name)))
        return refuse (loading, "adapter %s is no name: it must match [a-z0-9][a-z0-9._-]{0,63}",
                       name == NULL ? "NULL" : name);
    if (is_builtin (name) || reel_plugins_find (plugins, name) != NULL)
        return refuse (loading, "adapter %s is there already", name);
    if (function == NULL || (unsigned) adapter_class > REEL_ADAPTER_RESUMABLE)
        return refuse (loading, "adapter %s has no function, or a class that there is not", name);
    if (plugins->count == REEL_MODALITIES_MAX)
        return refuse (loading, "adapter %s is one too many", name);
    struct reel_plugin_kind *kinds = realloc (plugins->kinds, (plugins->count + 1) * sizeof *kinds);
    char *copy = strdup (name);
    if (kinds != NULL)
        plugins->kinds = kinds;
    if (kinds == NULL || copy == NULL) {
        free (copy);
        return out_of_memory (loading);
    }
    kinds[plugins->count++] = (struct reel_plugin_kind){
        .name = copy, .class = adapter_class, .function = function, .context = context};
    return 0;
}

static int
add_hook (struct reel_plugin *plugin, const char *name, unsigned points, reel_adapter_fn function, void *context)
{
    struct loading *loading = (struct loading *) plugin;
    struct reel_adapter *adapter = NULL;
    struct reel_error err = {0};
    if (name == NULL || function == NULL)
        return refuse (loading, "a hook has no name or no function");
    const struct reel_function_setup setup = {
        .name = name, .class = REEL_ADAPTER_NEITHER, .function = function, .context = context, .work = loading->work};
    enum reel_status status = reel_adapter_function_create (&setup, &adapter);
    if (status == REEL_OK)
        status = reel_registry_add_hook (loading->registry, name, points, 0, &adapter, &err);
    if (adapter != NULL)
        adapter->destroy (adapter);
    if (status == REEL_INVALID)
        return refuse (loading, "%s", err.message);
    return status == REEL_OK ? 0 : out_of_memory (loading);
}

/* A function's address comes as an object's. */
static int (*find_init (void *object)) (struct reel_plugin *)
{
    int (*init) (struct reel_plugin *) = NULL;
    void *address = dlsym (object, "reel_plugin_init");
    memcpy (&init, &address, sizeof address);
    return init;
}

enum reel_status
reel_plugin_load (struct reel_plugins *plugins, const char *path, const char *work, struct reel_registry *registry,
                  struct reel_error *err)
{
    void *object = dlopen (path, RTLD_NOW | RTLD_LOCAL);
    if (object == NULL)
        return reel_error_set (err, REEL_INVALID, "bad_plugin", NULL, "plugin %s cannot be loaded: %s", path,
                               dlerror ());
    const uint32_t *abi = dlsym (object, "reel_plugin_abi");
    if (abi != NULL && *abi != REEL_ADAPTER_ABI) {
        uint32_t built_for = *abi;
        (void) dlclose (object);
        return reel_error_set (err, REEL_INVALID, "bad_plugin", NULL,
                               "plugin %s was built for ABI %u of reel/adapter.h, this is ABI %u: build it again", path,
                               built_for, REEL_ADAPTER_ABI);
    }
    int (*init) (struct reel_plugin *) = find_init (object);
    if (abi == NULL || init == NULL) {
        (void) dlclose (object);
        return reel_error_set (err, REEL_INVALID, "bad_plugin", NULL, "%s is no plugin: it lacks REEL_PLUGIN (init)",
                               path);
    }
    struct loading loading = {.plugin = {REEL_ADAPTER_ABI, add_adapter, add_hook},
                              .plugins = plugins,
                              .registry = registry,
                              .path = path,
                              .work = work,
                              .err = err};
    int result = init (&loading.plugin);
    if (loading.status != REEL_OK)
        return loading.status;
    if (result != 0)
        return reel_error_set (err, REEL_INVALID, "bad_plugin", NULL, "plugin %s did not start: its init returned %d",
                               path, result);
    return REEL_OK;
}

void
reel_plugins_free (struct reel_plugins *plugins)
{
    for (size_t i = 0; i < plugins->count; i++)
        free (plugins->kinds[i].name);
    free (plugins->kinds);
    *plugins = (struct reel_plugins){0};
}
