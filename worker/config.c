/*
 * From a configuration file to a registry.
 *
 * The keys of a modality are a table; each writes into a struct reading, from which the
 * adapter is made when the section is through.
 */
#include "worker/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "worker/adapter_builtin.h"
#include "worker/adapter_exec.h"
#include "worker/adapter_function.h"
#include "worker/plugin.h"
#include "worker/template.h"
#include "worker/words.h"

const char *const reel_config_names[] = {"work", "keep", "plugin", "hook", "modality", NULL};

/* A modality's section or a hook's, as far as it is read. */
struct section {
    const char *kind; /* "modality" or "hook"; NULL: none is being read */
    const char *name;
    unsigned points; /* of a hook */
    const char *adapter;
    const char *command;
    bool exec_key; /* a key was seen that only exec has */
    bool environment_given;
    struct reel_words arguments, environment, variables;
    enum reel_adapter_class class;
    int64_t grace_ms;
    int64_t output_bytes_max;
    struct reel_policy policy;
};

struct reading {
    const char *path;
    char *work; /* NULL: a temporary root */
    enum reel_exec_keep keep;
    struct section section;
    struct reel_plugins plugins;
    struct reel_registry *registry;
    struct reel_error *err;
};

/* --- values ------------------------------------------------------------------------------- */

static enum reel_status refuse (struct reading *reading, const char *key, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

static enum reel_status
refuse (struct reading *reading, const char *key, const char *format, ...)
{
    char what[REEL_ERROR_MESSAGE_BYTES];
    va_list arguments;
    va_start (arguments, format);
    vsnprintf (what, sizeof what, format, arguments);
    va_end (arguments);
    const struct section *section = &reading->section;
    if (section->kind == NULL)
        return reel_error_set (reading->err, REEL_INVALID, "bad_config", NULL, "%s: %s: %s", reading->path, key, what);
    return reel_error_set (reading->err, REEL_INVALID, "bad_config", NULL, "%s: %s/%s/%s: %s", reading->path,
                           section->kind, section->name, key, what);
}

static enum reel_status
read_number (struct reading *reading, const char *key, const char *text, int64_t min, int64_t max, int64_t *number)
{
    char *end;
    errno = 0;
    long long value = strtoll (text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value < min || value > max)
        return refuse (reading, key, "'%s' is not a number from %lld to %lld", text, (long long) min, (long long) max);
    *number = value;
    return REEL_OK;
}

/* One of `words`; its place among them. */
static enum reel_status
read_word (struct reading *reading, const char *key, const char *text, const char *const *words, int *place)
{
    struct reel_buf list = {0};
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp (text, words[i]) == 0) {
            *place = i;
            reel_buf_free (&list);
            return REEL_OK;
        }
        reel_buf_printf (&list, "%s%s", i == 0 ? "" : ", ", words[i]);
    }
    enum reel_status status = refuse (reading, key, "'%s' is none of: %.*s", text, REEL_TEXT (reel_buf_slice (&list)));
    reel_buf_free (&list);
    return status;
}

static bool
is_variable (const char *text, size_t len)
{
    if (len == 0 || (*text >= '0' && *text <= '9'))
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] != '_' && (text[i] < '0' || text[i] > '9') && (text[i] < 'A' || text[i] > 'Z')
            && (text[i] < 'a' || text[i] > 'z'))
            return false;
    return strncmp (text, "REEL_", 5) != 0 || len < 5;
}

/* --- the keys of a modality ----------------------------------------------------------------- */

typedef enum reel_status (*key_fn) (struct reading *reading, const char *key, const char *text);

static enum reel_status
take_adapter (struct reading *reading, const char *key, const char *text)
{
    (void) key;
    reading->section.adapter = text; /* it may be a plugin's */
    return REEL_OK;
}

static enum reel_status
take_point (struct reading *reading, const char *key, const char *text)
{
    static const char *const names[] = {"pre_step", "post_step", "on_failure", NULL};
    static const enum reel_hook_point points[] = {REEL_HOOK_PRE_STEP, REEL_HOOK_POST_STEP, REEL_HOOK_ON_FAILURE};
    for (size_t len; *(text += strspn (text, " \t")) != '\0'; text += len) {
        char word[16];
        int place = 0;
        len = strcspn (text, " \t");
        snprintf (word, sizeof word, "%.*s", (int) len, text);
        enum reel_status status = read_word (reading, key, word, names, &place);
        if (status != REEL_OK)
            return status;
        reading->section.points |= points[place];
    }
    return reading->section.points == 0 ? refuse (reading, key, "is empty") : REEL_OK;
}

static enum reel_status
take_command (struct reading *reading, const char *key, const char *text)
{
    reading->section.command = text;
    return *text == '\0' ? refuse (reading, key, "is empty") : REEL_OK;
}

static enum reel_status
take_argument (struct reading *reading, const char *key, const char *text)
{
    struct reel_error err = {0};
    if (reel_template_check (text, &err) != REEL_OK)
        return refuse (reading, key, "%s", err.message);
    reel_words_add (&reading->section.arguments, text);
    return REEL_OK;
}

static enum reel_status
take_environment (struct reading *reading, const char *key, const char *text)
{
    reading->section.environment_given = true;
    for (size_t len; *(text += strspn (text, " \t")) != '\0'; text += len) {
        len = strcspn (text, " \t");
        if (!is_variable (text, len))
            return refuse (reading, key, "'%.*s' is no variable that a command can be given", (int) len, text);
        reel_buf_add (&reading->section.environment.bytes, text, len);
        reel_words_end (&reading->section.environment);
    }
    return REEL_OK;
}

static enum reel_status
take_set (struct reading *reading, const char *key, const char *text)
{
    size_t len = strcspn (text, "=");
    if (text[len] != '=' || !is_variable (text, len))
        return refuse (reading, key, "'%s' is not NAME=value (REEL_... is reel's own)", text);
    reel_words_add (&reading->section.variables, text);
    return REEL_OK;
}

static enum reel_status
take_class (struct reading *reading, const char *key, const char *text)
{
    static const char *const classes[] = {"neither", "idempotent", NULL};
    int place = 0;
    enum reel_status status = read_word (reading, key, text, classes, &place);
    reading->section.class = place == 0 ? REEL_ADAPTER_NEITHER : REEL_ADAPTER_IDEMPOTENT;
    return status;
}

static enum reel_status
take_grace (struct reading *reading, const char *key, const char *text)
{
    return read_number (reading, key, text, 0, 3600000, &reading->section.grace_ms);
}

static enum reel_status
take_output_bytes (struct reading *reading, const char *key, const char *text)
{
    return read_number (reading, key, text, 1, REEL_EXEC_OUTPUT_BYTES_MAX, &reading->section.output_bytes_max);
}

static enum reel_status
take_timeout (struct reading *reading, const char *key, const char *text)
{
    return read_number (reading, key, text, 1, REEL_DURATION_MS_MAX, &reading->section.policy.timeout_ms);
}

static enum reel_status
take_attempts (struct reading *reading, const char *key, const char *text)
{
    int64_t number = 0;
    enum reel_status status = read_number (reading, key, text, 1, REEL_ATTEMPTS_MAX, &number);
    reading->section.policy.max_attempts = (uint32_t) number;
    return status;
}

static enum reel_status
take_backoff (struct reading *reading, const char *key, const char *text)
{
    return read_number (reading, key, text, 1, REEL_DURATION_MS_MAX, &reading->section.policy.backoff_ms);
}

static enum reel_status
take_backoff_max (struct reading *reading, const char *key, const char *text)
{
    return read_number (reading, key, text, 1, REEL_DURATION_MS_MAX, &reading->section.policy.backoff_max_ms);
}

static enum reel_status
take_in_doubt (struct reading *reading, const char *key, const char *text)
{
    if (reel_in_doubt_parse (reel_slice_text (text), &reading->section.policy.in_doubt))
        return REEL_OK;
    return refuse (reading, key, "'%s' is none of: hold, retry, fail", text);
}

#define OF_MODALITY 1u
#define OF_HOOK 2u

static const struct {
    const char *name;
    key_fn take;
    unsigned where;
    bool exec; /* only exec has it */
    bool repeats;
} keys[] = {
    {"adapter", take_adapter, OF_MODALITY, false, false},
    {"point", take_point, OF_HOOK, false, false},
    {"command", take_command, OF_MODALITY | OF_HOOK, true, false},
    {"argument", take_argument, OF_MODALITY | OF_HOOK, true, true},
    {"environment", take_environment, OF_MODALITY | OF_HOOK, true, false},
    {"set", take_set, OF_MODALITY | OF_HOOK, true, true},
    {"class", take_class, OF_MODALITY, true, false},
    {"grace_ms", take_grace, OF_MODALITY | OF_HOOK, true, false},
    {"output_bytes_max", take_output_bytes, OF_MODALITY | OF_HOOK, true, false},
    {"timeout_ms", take_timeout, OF_MODALITY | OF_HOOK, false, false},
    {"max_attempts", take_attempts, OF_MODALITY, false, false},
    {"backoff_ms", take_backoff, OF_MODALITY, false, false},
    {"backoff_max_ms", take_backoff_max, OF_MODALITY, false, false},
    {"in_doubt", take_in_doubt, OF_MODALITY, false, false},
};
#define KEYS (sizeof keys / sizeof keys[0])

/* --- making the adapter --------------------------------------------------------------------- */

/* `name` relative to the directory of the file; the caller's to free. */
static char *
beside_file (const struct reading *reading, const char *name)
{
    const char *slash = strrchr (reading->path, '/');
    char *directory = slash == NULL ? realpath (".", NULL) : NULL;
    char *joined = NULL;
    if (*name == '/') {
        joined = strdup (name);
    } else if (slash != NULL) {
        char *base = strndup (reading->path, (size_t) (slash - reading->path) + 1);
        directory = base == NULL ? NULL : realpath (base, NULL);
        free (base);
    }
    if (joined == NULL && directory != NULL && asprintf (&joined, "%s/%s", directory, name) < 0)
        joined = NULL;
    free (directory);
    return joined;
}

static bool
executable (const char *path)
{
    struct stat about;
    return stat (path, &about) == 0 && S_ISREG (about.st_mode) && access (path, X_OK) == 0;
}

/* Looks for it in the directories of PATH that are absolute. */
static char *
find_on_path (const char *name)
{
    const char *path = getenv ("PATH");
    for (const char *at = path == NULL ? "" : path; *at != '\0';) {
        size_t len = strcspn (at, ":");
        char *joined = NULL;
        if (*at == '/' && asprintf (&joined, "%.*s/%s", (int) len, at, name) >= 0) {
            if (executable (joined))
                return joined;
            free (joined);
        }
        at += len + (at[len] == ':');
    }
    return NULL;
}

static enum reel_status
find_command (struct reading *reading, char **command)
{
    const char *name = reading->section.command;
    if (name == NULL)
        return refuse (reading, "command", "is missing: %s needs one",
                       reading->section.points > 0 ? "a hook" : "adapter exec");
    char *found = strchr (name, '/') == NULL ? find_on_path (name) : beside_file (reading, name);
    if (found == NULL && strchr (name, '/') == NULL)
        return refuse (reading, "command", "there is no program %s on PATH", name);
    if (found == NULL)
        return REEL_NO_MEMORY;
    if (!executable (found)) {
        enum reel_status status = refuse (reading, "command", "%s is not a file that can be executed", found);
        free (found);
        return status;
    }
    *command = found;
    return REEL_OK;
}

static enum reel_status
make_exec (struct reading *reading, struct reel_adapter **adapter)
{
    struct section *section = &reading->section;
    char *command = NULL;
    char **arguments = NULL, **environment = NULL, **variables = NULL;
    if (!section->environment_given)
        reel_words_add (&section->environment, "PATH");
    enum reel_status status = find_command (reading, &command);
    if (status != REEL_OK)
        return status;
    arguments = reel_words_array (&section->arguments);
    environment = reel_words_array (&section->environment);
    variables = reel_words_array (&section->variables);
    status = REEL_NO_MEMORY;
    if (arguments != NULL && environment != NULL && variables != NULL)
        status = reel_adapter_exec_create (
            &(struct reel_exec_setup){.command = command,
                                      .arguments = (const char *const *) arguments,
                                      .environment = (const char *const *) environment,
                                      .variables = (const char *const *) variables,
                                      .work = reading->work,
                                      .keep = reading->keep,
                                      .class = section->class,
                                      .grace_ms = section->grace_ms,
                                      .output_bytes_max = (size_t) section->output_bytes_max},
            adapter, reading->err);
    free (arguments);
    free (environment);
    free (variables);
    free (command);
    return status;
}

static enum reel_status
make_of_plugin (struct reading *reading, struct reel_adapter **adapter)
{
    const struct reel_plugin_kind *kind = reel_plugins_find (&reading->plugins, reading->section.adapter);
    if (kind == NULL)
        return refuse (reading, "adapter", "'%s' is none of exec, echo, sleep, fail, and no plugin brought it",
                       reading->section.adapter);
    return reel_adapter_function_create (&(struct reel_function_setup){.name = kind->name,
                                                                       .class = kind->class,
                                                                       .function = kind->function,
                                                                       .context = kind->context,
                                                                       .work = reading->work},
                                         adapter);
}

/* The registry has taken the adapter, or said why not. */
static enum reel_status
registered (struct reading *reading, enum reel_status status, struct reel_adapter *adapter,
            const struct reel_error *err)
{
    if (adapter != NULL)
        adapter->destroy (adapter);
    if (status == REEL_INVALID)
        return reel_error_set (reading->err, REEL_INVALID, "bad_config", NULL, "%s: %s: %s", reading->path,
                               reading->section.kind, err->message);
    return status;
}

static enum reel_status
make_adapter (struct reading *reading)
{
    struct section *section = &reading->section;
    struct reel_adapter *adapter = NULL;
    struct reel_error err = {0};
    enum reel_status status;
    if (section->adapter == NULL)
        return refuse (reading, "adapter", "is missing: exec, echo, sleep, fail, or one of a plugin");
    if (strcmp (section->adapter, "exec") == 0)
        status = make_exec (reading, &adapter);
    else if (section->exec_key)
        return refuse (reading, "adapter", "%s takes none of the keys of exec", section->adapter);
    else
        status = reel_adapter_builtin_create (section->adapter, &adapter);
    if (status == REEL_NOT_FOUND)
        status = make_of_plugin (reading, &adapter);
    if (status != REEL_OK)
        return status;
    status = reel_registry_add (reading->registry, section->name, &adapter, &section->policy, &err);
    return registered (reading, status, adapter, &err);
}

static enum reel_status
make_hook (struct reading *reading)
{
    const struct section *section = &reading->section;
    struct reel_adapter *adapter = NULL;
    struct reel_error err = {0};
    if (section->points == 0)
        return refuse (reading, "point", "is missing: pre_step, post_step, on_failure, or some of them");
    enum reel_status status = make_exec (reading, &adapter);
    if (status != REEL_OK)
        return status;
    status = reel_registry_add_hook (reading->registry, section->name, section->points, section->policy.timeout_ms,
                                     &adapter, &err);
    return registered (reading, status, adapter, &err);
}

/* --- the file ------------------------------------------------------------------------------- */

/* True when an earlier line of the same section has the same name. */
static bool
repeated (const struct reel_zpl_node *first, const struct reel_zpl_node *node)
{
    for (; first != node; first = reel_zpl_next (first))
        if (strcmp (reel_zpl_name (first), reel_zpl_name (node)) == 0)
            return true;
    return false;
}

static enum reel_status
take_key (struct reading *reading, const struct reel_zpl_node *node, unsigned where, bool again)
{
    const char *name = reel_zpl_name (node);
    for (size_t i = 0; i < KEYS; i++) {
        if (strcmp (name, keys[i].name) != 0 || (keys[i].where & where) == 0)
            continue;
        if (again && !keys[i].repeats)
            return refuse (reading, name, "is there twice");
        if (reel_zpl_child (node) != NULL)
            return refuse (reading, name, "is a value, not a section");
        reading->section.exec_key |= keys[i].exec;
        return keys[i].take (reading, name, reel_zpl_value (node));
    }
    return refuse (reading, name, "unknown key");
}

static enum reel_status
take_section (struct reading *reading, const struct reel_zpl_node *node, unsigned where)
{
    enum reel_status status = REEL_OK;
    reading->section = (struct section){
        .kind = where == OF_HOOK ? "hook" : "modality",
        .name = reel_zpl_name (node),
        .grace_ms = REEL_EXEC_GRACE_MS_DEFAULT,
        .output_bytes_max = REEL_EXEC_OUTPUT_BYTES_DEFAULT,
    };
    if (*reel_zpl_value (node) != '\0')
        status = where == OF_HOOK ? refuse (reading, "point", "must be a line below it: point = ...")
                                  : refuse (reading, "adapter", "must be a line below it: adapter = ...");
    const struct reel_zpl_node *first = reel_zpl_child (node);
    for (const struct reel_zpl_node *key = first; key != NULL && status == REEL_OK; key = reel_zpl_next (key))
        status = take_key (reading, key, where, repeated (first, key));
    if (status == REEL_OK)
        status = where == OF_HOOK ? make_hook (reading) : make_adapter (reading);
    reel_words_free (&reading->section.arguments);
    reel_words_free (&reading->section.environment);
    reel_words_free (&reading->section.variables);
    reading->section.kind = NULL;
    return status;
}

static enum reel_status
take_plugin (struct reading *reading, const struct reel_zpl_node *node)
{
    char *path = beside_file (reading, reel_zpl_value (node));
    if (path == NULL)
        return REEL_NO_MEMORY;
    struct reel_error err = {0};
    enum reel_status status = reel_plugin_load (&reading->plugins, path, reading->work, reading->registry, &err);
    if (status == REEL_INVALID)
        (void) reel_error_set (reading->err, REEL_INVALID, "bad_config", NULL, "%s: %s", reading->path, err.message);
    free (path);
    return status;
}

static enum reel_status
take_top (struct reading *reading, const struct reel_zpl_node *node)
{
    static const char *const keeps[] = {"never", "failed", "always", NULL};
    const char *name = reel_zpl_name (node);
    const char *text = reel_zpl_value (node);
    int place = 0;
    if (strcmp (name, "modality") == 0 || strcmp (name, "hook") == 0 || strcmp (name, "worker") == 0)
        return *text == '\0' ? REEL_OK : refuse (reading, name, "is a section, not a value");
    if (strcmp (name, "work") != 0 && strcmp (name, "keep") != 0 && strcmp (name, "plugin") != 0)
        return refuse (reading, name, "unknown key");
    if (reel_zpl_child (node) != NULL)
        return refuse (reading, name, "is a value, not a section");
    if (strcmp (name, "plugin") == 0)
        return *text == '\0' ? refuse (reading, name, "is empty") : REEL_OK;
    if (strcmp (name, "work") == 0) {
        reading->work = *text == '\0' ? NULL : beside_file (reading, text);
        return *text == '\0' ? refuse (reading, name, "is empty") : reading->work == NULL ? REEL_NO_MEMORY : REEL_OK;
    }
    enum reel_status status = read_word (reading, name, text, keeps, &place);
    reading->keep = (enum reel_exec_keep) place;
    return status;
}

/* The sections of one kind, or the plugins, in the order of the file. */
static enum reel_status
take_all (struct reading *reading, const struct reel_zpl_node *first, const char *name)
{
    enum reel_status status = REEL_OK;
    for (const struct reel_zpl_node *node = first; node != NULL && status == REEL_OK; node = reel_zpl_next (node)) {
        if (strcmp (reel_zpl_name (node), name) != 0)
            continue;
        const struct reel_zpl_node *section = reel_zpl_child (node); /* a plugin has none */
        if (strcmp (name, "plugin") == 0)
            status = take_plugin (reading, node);
        unsigned where = strcmp (name, "hook") == 0 ? OF_HOOK : OF_MODALITY;
        for (; section != NULL && status == REEL_OK; section = reel_zpl_next (section))
            status = take_section (reading, section, where);
    }
    return status;
}

enum reel_status
reel_config_read (const struct reel_zpl *file, const char *path, struct reel_registry *registry, struct reel_error *err)
{
    struct reading reading = {.path = path, .registry = registry, .err = err};
    enum reel_status status = REEL_OK;
    const struct reel_zpl_node *first = reel_zpl_first (file);
    /* What holds for all modalities first, wherever it stands. */
    for (const struct reel_zpl_node *node = first; node != NULL && status == REEL_OK; node = reel_zpl_next (node))
        status = strcmp (reel_zpl_name (node), "plugin") != 0 && repeated (first, node)
                     ? refuse (&reading, reel_zpl_name (node), "is there twice")
                     : take_top (&reading, node);
    static const char *const kinds[] = {"plugin", "modality", "hook"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && status == REEL_OK; i++)
        status = take_all (&reading, first, kinds[i]);
    free (reading.work);
    reel_plugins_free (&reading.plugins);
    if (status == REEL_OK && reel_registry_count (registry) == 0)
        status = reel_registry_add_builtin (registry, err);
    return status;
}

enum reel_status
reel_config_load (const char *path, struct reel_registry *registry, struct reel_error *err)
{
    if (path == NULL)
        return reel_registry_add_builtin (registry, err);
    struct reel_zpl *file = NULL;
    enum reel_status status = reel_zpl_load (path, &file, err);
    if (status == REEL_OK)
        status = reel_config_read (file, path, registry, err);
    if (file != NULL)
        reel_zpl_free (&file);
    return status;
}
