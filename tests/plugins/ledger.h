/*
 * What the adapters and hooks of tests/crash/ cost: each call of `spend` a line in the file LEDGER, one of `go_on` a line
 * when it was left no checkpoint, `look` nothing. For plugins and for programs that embed reel.
 */
#ifndef REEL_TESTS_PLUGINS_LEDGER_H
#define REEL_TESTS_PLUGINS_LEDGER_H

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/adapter.h"

static inline int
ledger_write (const char *line)
{
    const char *path = getenv ("LEDGER");
    int fd = path == NULL ? -1 : open (path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    int failed = fd < 0 || write (fd, line, strlen (line)) != (ssize_t) strlen (line);
    if (fd >= 0)
        (void) close (fd);
    return failed;
}

static inline int
ledger_spend (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    (void) context;
    call->host->progress (call, 0.5, "half way");
    if (ledger_write ("function\n") != 0)
        return call->host->fail (reply, "no_ledger", "the ledger cannot be written", 0), 1;
    /* Nobody goes on from it; and whoever has no memory for more has spent something all the same. */
    (void) call->host->checkpoint_json (call, "{\"spent\": 1}");
    (void) call->host->extra_json (reply, "{\"cost\": 1}");
    return call->host->output_json (reply, "{\"spent\": true}");
}

static inline int
ledger_go_on (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    (void) context;
    if (call->checkpoint.size == 0
        && (ledger_write ("job\n") != 0 || call->host->checkpoint_json (call, "{\"job\": 1}") != 0))
        return call->host->fail (reply, "no_job", "there is no job, or no trace of it", REEL_FAIL_OPEN), 1;
    return call->host->output_json (reply, "{\"spent\": true}");
}

static inline int
ledger_look (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    (void) call, (void) reply, (void) context;
    return 0;
}

#endif
