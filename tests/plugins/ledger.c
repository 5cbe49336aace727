/*
 * A plugin for tests/crash/players.c: adapters `ledger` and `ledger-job`, and hook `ledger-hook`.
 */
#include <reel/adapter.h>

#include "tests/plugins/ledger.h"

static int
init (struct reel_plugin *plugin)
{
    if (plugin->add_adapter (plugin, "ledger", REEL_ADAPTER_NEITHER, ledger_spend, NULL) != 0
        || plugin->add_adapter (plugin, "ledger-job", REEL_ADAPTER_RESUMABLE, ledger_go_on, NULL) != 0)
        return -1;
    return plugin->add_hook (plugin, "ledger-hook", REEL_HOOK_PRE_STEP | REEL_HOOK_POST_STEP, ledger_look, NULL);
}

REEL_PLUGIN (init)
