/* Built for an ABI that this worker does not have; its init must never be called. */
#include <stdint.h>
#include <stdlib.h>

__attribute__ ((visibility ("default"))) const uint32_t reel_plugin_abi = 99;
__attribute__ ((visibility ("default"))) int reel_plugin_init (void *plugin);

int
reel_plugin_init (void *plugin)
{
    (void) plugin;
    abort ();
}
