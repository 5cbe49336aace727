/*
 * A plugin for tests/system/test_plugin.py: what it is asked for goes into the file PROBE_LOG.
 *
 * Adapter `probe-wait` is there until the file `until` of its payload exists, and hears no cancelling; `probe-heed` is
 * there until it is told to end. Hooks `probe-first` and `probe-second` note each point; a step whose payload has
 * "refuse": true is refused before it, one with "regret": true is regretted after it.
 */
#include <libgen.h>
#include <poll.h>
#include <reel/adapter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static void
note (const char *what, const struct reel_adapter_call *call)
{
    const char *path = getenv ("PROBE_LOG");
    FILE *file = path == NULL ? NULL : fopen (path, "a");
    if (file == NULL)
        return;
    fprintf (file, "%s %s %s\n", what, call->workflow_id, call->step_id);
    fclose (file);
}

/* The text behind "key": in the payload. */
static void
text_of (const char *json, const char *key, char *text, size_t room)
{
    char quoted[64];
    snprintf (quoted, sizeof quoted, "\"%s\":\"", key);
    const char *at = strstr (json, quoted);
    snprintf (text, room, "%.*s", at == NULL ? 0 : (int) strcspn (at + strlen (quoted), "\""),
              at == NULL ? "" : at + strlen (quoted));
}

/* Until it is there. */
static int
await_file (const char *path)
{
    char directory[4096], events[4096] __attribute__ ((aligned (8)));
    snprintf (directory, sizeof directory, "%s", path);
    int changes = inotify_init1 (IN_CLOEXEC);
    int good = changes >= 0 && inotify_add_watch (changes, dirname (directory), IN_CREATE | IN_MOVED_TO) >= 0;
    while (good && access (path, F_OK) != 0)
        good = read (changes, events, sizeof events) > 0;
    if (changes >= 0)
        close (changes);
    return good ? 0 : -1;
}

static int
wait_for_file (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    char path[4096];
    (void) context;
    text_of (call->payload_json, "until", path, sizeof path);
    note ("begin", call);
    if (await_file (path) != 0)
        return call->host->fail (reply, "no_watch", path, 0), 1;
    note ("end", call);
    return call->host->output_json (reply, "{\"waited\": true}");
}

static int
wait_to_be_told (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    struct pollfd told = {.fd = call->host->cancel_fd (call), .events = POLLIN};
    (void) context;
    note ("begin", call);
    while (poll (&told, 1, -1) != 1 || !call->host->cancelled (call))
        ;
    note ("told", call);
    return call->host->fail (reply, "told", "told to end", 0), 1;
}

static int
look (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    char what[64];
    const char *point = call->hook == REEL_HOOK_PRE_STEP    ? "pre_step"
                        : call->hook == REEL_HOOK_POST_STEP ? "post_step"
                                                            : "on_failure";
    snprintf (what, sizeof what, "%s %s", (const char *) context, point);
    note (what, call);
    if (call->hook == REEL_HOOK_PRE_STEP && strstr (call->payload_json, "\"refuse\":true") != NULL)
        return call->host->fail (reply, "refused", "it is refused", 0), 1;
    if (call->hook == REEL_HOOK_POST_STEP && strstr (call->payload_json, "\"regret\":true") != NULL)
        return call->host->fail (reply, "regretted", "it is regretted", 0), 1;
    return 0;
}

static int
init (struct reel_plugin *plugin)
{
    static char first[] = "first", second[] = "second";
    const unsigned all = REEL_HOOK_PRE_STEP | REEL_HOOK_POST_STEP | REEL_HOOK_ON_FAILURE;
    return plugin->add_hook (plugin, "probe-first", all, look, first)
           | plugin->add_hook (plugin, "probe-second", REEL_HOOK_PRE_STEP, look, second)
           | plugin->add_adapter (plugin, "probe-wait", REEL_ADAPTER_NEITHER, wait_for_file, NULL)
           | plugin->add_adapter (plugin, "probe-heed", REEL_ADAPTER_IDEMPOTENT, wait_to_be_told, NULL);
}

REEL_PLUGIN (init)
