/*
 * The registry: modalities in a sorted array, looked up by halving; hooks in the order they came.
 */
#include "worker/registry.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "proto/identity.h"
#include "proto/pack.h"
#include "worker/adapter_builtin.h"

struct hook {
    char *name;
    unsigned points;
    int64_t timeout_ms;
    struct reel_adapter *adapter;
};

struct reel_registry {
    struct reel_registry_entry *entries; /* by modality */
    size_t count;
    struct hook *hooks; /* REEL_HOOKS_MAX of them, once there is one */
    size_t hook_count;
};

enum reel_status
reel_registry_create (struct reel_registry **out)
{
    struct reel_registry *registry = calloc (1, sizeof *registry);
    if (registry == NULL)
        return REEL_NO_MEMORY;
    *out = registry;
    return REEL_OK;
}

void
reel_registry_destroy (struct reel_registry **registry)
{
    if (*registry == NULL)
        return;
    for (size_t i = 0; i < (*registry)->count; i++) {
        struct reel_registry_entry *entry = &(*registry)->entries[i];
        entry->adapter->destroy (entry->adapter);
        free (entry->modality);
    }
    for (size_t i = 0; i < (*registry)->hook_count; i++) {
        struct hook *hook = &(*registry)->hooks[i];
        hook->adapter->destroy (hook->adapter);
        free (hook->name);
    }
    free ((*registry)->hooks);
    free ((*registry)->entries);
    free (*registry);
    *registry = NULL;
}

/* Where the modality is, or where it would have to go. */
static size_t
place (const struct reel_registry *registry, struct reel_slice modality, bool *found)
{
    size_t low = 0, high = registry->count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = reel_slice_compare (reel_slice_text (registry->entries[middle].modality), modality);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum reel_status
reel_registry_add (struct reel_registry *registry, const char *modality, struct reel_adapter **adapter,
                   const struct reel_policy *policy, struct reel_error *err)
{
    bool found;
    struct reel_slice name = reel_slice_text (modality);
    if (!reel_identity_modality (name))
        return reel_error_set (err, REEL_INVALID, "bad_id", NULL,
                               "%s is no modality: it must match [a-z0-9][a-z0-9._-]{0,63}", modality);
    size_t at = place (registry, name, &found);
    if (found)
        return reel_error_set (err, REEL_INVALID, "duplicate", NULL, "modality %s is there twice", modality);
    if (registry->count == REEL_MODALITIES_MAX)
        return reel_error_set (err, REEL_INVALID, "limit_exceeded", NULL, "more than %d modalities",
                               REEL_MODALITIES_MAX);
    char *copy = strdup (modality);
    struct reel_registry_entry *entries = copy == NULL
                                              ? NULL
                                              : realloc (registry->entries, (registry->count + 1) * sizeof *entries);
    if (entries == NULL) {
        free (copy);
        return REEL_NO_MEMORY;
    }
    registry->entries = entries;
    memmove (&entries[at + 1], &entries[at], (registry->count - at) * sizeof *entries);
    entries[at] = (struct reel_registry_entry){.modality = copy, .adapter = *adapter, .policy = *policy};
    registry->count++;
    *adapter = NULL;
    return REEL_OK;
}

enum reel_status
reel_registry_add_builtin (struct reel_registry *registry, struct reel_error *err)
{
    for (const char *const *name = reel_adapter_builtin_names; *name != NULL; name++) {
        struct reel_adapter *adapter = NULL;
        enum reel_status status = reel_adapter_builtin_create (*name, &adapter);
        if (status == REEL_OK)
            status = reel_registry_add (registry, *name, &adapter, &(struct reel_policy){0}, err);
        if (adapter != NULL)
            adapter->destroy (adapter);
        if (status != REEL_OK)
            return status;
    }
    return REEL_OK;
}

size_t
reel_registry_count (const struct reel_registry *registry)
{
    return registry->count;
}

const struct reel_registry_entry *
reel_registry_at (const struct reel_registry *registry, size_t index)
{
    return index < registry->count ? &registry->entries[index] : NULL;
}

const struct reel_registry_entry *
reel_registry_find (const struct reel_registry *registry, struct reel_slice modality)
{
    bool found;
    size_t at = place (registry, modality, &found);
    return found ? &registry->entries[at] : NULL;
}

bool
reel_registry_route (void *registry, struct reel_slice modality, struct reel_route *route)
{
    const struct reel_registry_entry *entry = reel_registry_find (registry, modality);
    if (entry == NULL)
        return false;
    *route = (struct reel_route){
        .adapter = entry->adapter->name,
        .class = entry->adapter->class,
        .policy = entry->policy,
    };
    return true;
}

static bool
has_hook (const struct reel_registry *registry, const char *name)
{
    for (size_t i = 0; i < registry->hook_count; i++)
        if (strcmp (registry->hooks[i].name, name) == 0)
            return true;
    return false;
}

enum reel_status
reel_registry_add_hook (struct reel_registry *registry, const char *name, unsigned points, int64_t timeout_ms,
                        struct reel_adapter **adapter, struct reel_error *err)
{
    const unsigned all = REEL_HOOK_PRE_STEP | REEL_HOOK_POST_STEP | REEL_HOOK_ON_FAILURE;
    if (!reel_identity_modality (reel_slice_text (name)))
        return reel_error_set (err, REEL_INVALID, "bad_id", NULL,
                               "%s is no name of a hook: it must match [a-z0-9][a-z0-9._-]{0,63}", name);
    if (points == 0 || (points & ~all) != 0)
        return reel_error_set (err, REEL_INVALID, "bad_type", NULL, "hook %s has no point that there is", name);
    if (has_hook (registry, name))
        return reel_error_set (err, REEL_INVALID, "duplicate", NULL, "hook %s is there twice", name);
    if (registry->hook_count == REEL_HOOKS_MAX)
        return reel_error_set (err, REEL_INVALID, "limit_exceeded", NULL, "more than %d hooks", REEL_HOOKS_MAX);
    if (registry->hooks == NULL)
        registry->hooks = calloc (REEL_HOOKS_MAX, sizeof *registry->hooks);
    char *copy = strdup (name);
    if (registry->hooks == NULL || copy == NULL) {
        free (copy);
        return REEL_NO_MEMORY;
    }
    registry->hooks[registry->hook_count++] = (struct hook){
        .name = copy, .points = points, .timeout_ms = timeout_ms, .adapter = *adapter};
    *adapter = NULL;
    return REEL_OK;
}

static const struct hook *
find_hook (const struct reel_registry *registry, enum reel_hook_point point, uint32_t index)
{
    for (size_t i = 0; i < registry->hook_count; i++)
        if ((registry->hooks[i].points & point) != 0 && index-- == 0)
            return &registry->hooks[i];
    return NULL;
}

const char *
reel_registry_hook_at (const struct reel_registry *registry, size_t index, unsigned *points)
{
    if (index >= registry->hook_count)
        return NULL;
    *points = registry->hooks[index].points;
    return registry->hooks[index].name;
}

bool
reel_registry_hook (void *registry, enum reel_hook_point point, uint32_t index, struct reel_hook *out)
{
    const struct hook *hook = find_hook (registry, point, index);
    if (hook != NULL)
        *out = (struct reel_hook){.name = hook->name, .timeout_ms = hook->timeout_ms};
    return hook != NULL;
}

struct reel_adapter *
reel_registry_adapter (const struct reel_registry *registry, const struct reel_call *call)
{
    if (call->hook != REEL_HOOK_NONE) {
        const struct hook *hook = find_hook (registry, call->hook, call->hook_index);
        return hook == NULL ? NULL : hook->adapter;
    }
    const struct reel_registry_entry *entry = reel_registry_find (registry, call->modality);
    return entry == NULL ? NULL : entry->adapter;
}

void
reel_registry_pack_modalities (const struct reel_registry *registry, struct reel_buf *out)
{
    reel_pack_array (out, (uint32_t) registry->count);
    for (size_t i = 0; i < registry->count; i++)
        reel_pack_text (out, registry->entries[i].modality);
}

static void
pack_limit (struct reel_buf *out, const char *key, int64_t value, uint32_t *count)
{
    if (value == 0)
        return;
    (*count)++;
    reel_pack_text (out, key);
    reel_pack_int (out, value);
}

/* The defaults of the policy; nothing when there are none. */
static void
pack_limits (struct reel_buf *out, const struct reel_policy *policy)
{
    struct reel_buf pairs = {0};
    uint32_t count = 0;
    pack_limit (&pairs, "timeout_ms", policy->timeout_ms, &count);
    pack_limit (&pairs, "max_attempts", policy->max_attempts, &count);
    pack_limit (&pairs, "backoff_ms", policy->backoff_ms, &count);
    pack_limit (&pairs, "backoff_max_ms", policy->backoff_max_ms, &count);
    if (policy->in_doubt != REEL_IN_DOUBT_UNSET) {
        count++;
        reel_pack_text (&pairs, "in_doubt");
        reel_pack_text (&pairs, reel_in_doubt_name (policy->in_doubt));
    }
    out->failed |= pairs.failed;
    reel_pack_map (out, count);
    reel_buf_add_slice (out, reel_buf_slice (&pairs));
    reel_buf_free (&pairs);
}

static bool
has_limits (const struct reel_policy *policy)
{
    return policy->timeout_ms != 0 || policy->max_attempts != 0 || policy->backoff_ms != 0
           || policy->backoff_max_ms != 0 || policy->in_doubt != REEL_IN_DOUBT_UNSET;
}

void
reel_registry_pack_dispatch (const struct reel_registry *registry, struct reel_buf *out)
{
    reel_pack_map (out, (uint32_t) registry->count);
    for (size_t i = 0; i < registry->count; i++) {
        const struct reel_registry_entry *entry = &registry->entries[i];
        bool limits = has_limits (&entry->policy);
        reel_pack_text (out, entry->modality);
        reel_pack_map (out, limits ? 3 : 2);
        reel_pack_text (out, "adapter");
        reel_pack_text (out, entry->adapter->name);
        reel_pack_text (out, "class");
        reel_pack_text (out, reel_adapter_class_name (entry->adapter->class));
        if (limits) {
            reel_pack_text (out, "limits");
            pack_limits (out, &entry->policy);
        }
    }
}
