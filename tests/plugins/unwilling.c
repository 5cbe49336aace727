/* A plugin whose init does what WRONG says, or returns 7. */
#include <reel/adapter.h>
#include <stdlib.h>
#include <string.h>

static int
nothing (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    (void) call, (void) reply, (void) context;
    return 0;
}

static int
init (struct reel_plugin *plugin)
{
    const char *wrong = getenv ("WRONG") == NULL ? "" : getenv ("WRONG");
    if (strcmp (wrong, "name") == 0)
        plugin->add_adapter (plugin, "Not-A-Name", REEL_ADAPTER_NEITHER, nothing, NULL);
    else if (strcmp (wrong, "null") == 0)
        plugin->add_adapter (plugin, NULL, REEL_ADAPTER_NEITHER, nothing, NULL);
    else if (strcmp (wrong, "builtin") == 0)
        plugin->add_adapter (plugin, "echo", REEL_ADAPTER_NEITHER, nothing, NULL);
    else if (strcmp (wrong, "class") == 0)
        plugin->add_adapter (plugin, "x", (enum reel_adapter_class) 7, nothing, NULL);
    else if (strcmp (wrong, "function") == 0)
        plugin->add_adapter (plugin, "x", REEL_ADAPTER_NEITHER, NULL, NULL);
    else if (strcmp (wrong, "twice") == 0)
        for (int i = 0; i < 2; i++)
            plugin->add_adapter (plugin, "x", REEL_ADAPTER_NEITHER, nothing, NULL);
    else if (strcmp (wrong, "hook") == 0)
        for (int i = 0; i < 2; i++)
            plugin->add_hook (plugin, "h", REEL_HOOK_PRE_STEP, nothing, NULL);
    else if (strcmp (wrong, "point") == 0)
        plugin->add_hook (plugin, "h", 8, nothing, NULL);
    else
        return 7;
    return 0; /* what was refused is an error all the same */
}

REEL_PLUGIN (init)
