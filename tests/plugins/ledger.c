/*
 * A plugin for tests/crash/players.c: each call of adapter `ledger` costs a line in the file LEDGER; one of `ledger-job` does
 * when it was left no checkpoint; hook `ledger-hook` costs nothing.
 */
#include <fcntl.h>
#include <reel/adapter.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
write_line (const char *line)
{
    const char *path = getenv ("LEDGER");
    int fd = path == NULL ? -1 : open (path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    int failed = fd < 0 || write (fd, line, strlen (line)) != (ssize_t) strlen (line);
    if (fd >= 0)
        (void) close (fd);
    return failed;
}

static int
spend (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    (void) context;
    call->host->progress (call, 0.5, "half way");
    if (write_line ("function\n") != 0)
        return call->host->fail (reply, "no_ledger", "the ledger cannot be written", 0), 1;
    /* Nobody goes on from it; and whoever has no memory for more has spent something all the same. */
    (void) call->host->checkpoint_json (call, "{\"spent\": 1}");
    (void) call->host->extra_json (reply, "{\"cost\": 1}");
    return call->host->output_json (reply, "{\"spent\": true}");
}

static int
go_on (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    (void) context;
    if (call->checkpoint.size == 0
        && (write_line ("job\n") != 0 || call->host->checkpoint_json (call, "{\"job\": 1}") != 0))
        return call->host->fail (reply, "no_job", "there is no job, or no trace of it", REEL_FAIL_OPEN), 1;
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
    if (plugin->add_adapter (plugin, "ledger", REEL_ADAPTER_NEITHER, spend, NULL) != 0
        || plugin->add_adapter (plugin, "ledger-job", REEL_ADAPTER_RESUMABLE, go_on, NULL) != 0)
        return -1;
    return plugin->add_hook (plugin, "ledger-hook", REEL_HOOK_PRE_STEP | REEL_HOOK_POST_STEP, look, NULL);
}

REEL_PLUGIN (init)
