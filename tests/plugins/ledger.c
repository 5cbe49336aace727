/*
 * A plugin for tests/crash/players.c: adapter `ledger` costs a line in the file LEDGER each time it is called; hook
 * `ledger-hook` costs nothing.
 */
#include <fcntl.h>
#include <reel/adapter.h>
#include <stdlib.h>
#include <unistd.h>

static int
spend (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    static const char line[] = "function\n";
    const char *path = getenv ("LEDGER");
    (void) context;
    call->host->progress (call, 0.5, "half way");
    int fd = path == NULL ? -1 : open (path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write (fd, line, sizeof line - 1) != (ssize_t) sizeof line - 1)
        return call->host->fail (reply, "no_ledger", "the ledger cannot be written", 0), 1;
    (void) close (fd);
    /* Of what has been done there is no other trace: whoever cannot say what it was says that it was something. */
    (void) call->host->checkpoint_json (call, "{\"spent\": 1}");
    (void) call->host->extra_json (reply, "{\"cost\": 1}");
    return call->host->output_json (reply, "{\"spent\": true}");
}

static int
look (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    (void) call, (void) reply, (void) context;
    return 0;
}

static int
init (struct reel_plugin *plugin)
{
    if (plugin->add_adapter (plugin, "ledger", REEL_ADAPTER_NEITHER, spend, NULL) != 0)
        return -1;
    return plugin->add_hook (plugin, "ledger-hook", REEL_HOOK_PRE_STEP | REEL_HOOK_POST_STEP, look, NULL);
}

REEL_PLUGIN (init)
