/*
 * A plugin: an adapter and a hook for reel-worker (and `reel run`).
 *
 *     cc -shared -fPIC -o frames.so frames.c $(pkg-config --cflags reel-run)
 *
 * The adapter `frames` writes `count` images into the directory `into`, as a model would that renders one after the
 * other; it says how far it is, and stops when it is told to. The hook `price` refuses steps that cost too much.
 */
#include <reel/adapter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 64
#define HEIGHT 36

/* The number behind "key": in a JSON object; good enough for an example. */
static long
number_of (const char *json, const char *key, long otherwise)
{
    char quoted[64];
    snprintf (quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr (json, quoted);
    return at == NULL ? otherwise : strtol (at + strlen (quoted), NULL, 10);
}

/* The text behind "key": likewise. */
static int
text_of (const char *json, const char *key, char *text, size_t room)
{
    char quoted[64];
    snprintf (quoted, sizeof quoted, "\"%s\":\"", key);
    const char *at = strstr (json, quoted);
    size_t len = at == NULL ? 0 : strcspn (at + strlen (quoted), "\"\\");
    if (len == 0 || len >= room)
        return -1;
    memcpy (text, at + strlen (quoted), len);
    text[len] = '\0';
    return 0;
}

static int
write_frame (const char *directory, long frame, long count)
{
    char path[4200];
    snprintf (path, sizeof path, "%s/frame-%04ld.ppm", directory, frame);
    FILE *file = fopen (path, "wb");
    if (file == NULL)
        return -1;
    fprintf (file, "P6\n%d %d\n255\n", WIDTH, HEIGHT);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            const unsigned char pixel[3] = {(unsigned char) (4 * x), (unsigned char) (7 * y),
                                            (unsigned char) (255 * frame / count)};
            fwrite (pixel, sizeof pixel, 1, file);
        }
    return fclose (file);
}

static int
frames (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    (void) context;
    long count = number_of (call->payload_json, "count", 24);
    char into[4096];
    if (count < 1 || count > 100000 || text_of (call->payload_json, "into", into, sizeof into) != 0)
        return call->host->fail (reply, "bad_payload", "wanted: into, a directory, and count, 1 to 100000", 0), 1;
    for (long frame = 0; frame < count; frame++) {
        if (call->host->cancelled (call))
            return call->host->fail (reply, "cancelled", "stopped between two frames", 0), 1;
        if (write_frame (into, frame, count) != 0)
            return call->host->fail (reply, "disk", "a frame could not be written", REEL_FAIL_RETRYABLE), 1;
        call->host->progress (call, (double) (frame + 1) / (double) count, "rendering");
    }
    char output[64];
    snprintf (output, sizeof output, "{\"frames\": %ld, \"width\": %d, \"height\": %d}", count, WIDTH, HEIGHT);
    return call->host->output_json (reply, output);
}

static int
price (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    (void) context;
    if (number_of (call->payload_json, "price", 0) <= 100)
        return 0;
    return call->host->fail (reply, "too_dear", "a step must not cost more than 100", 0), 1;
}

static int
init (struct reel_plugin *plugin)
{
    if (plugin->add_hook (plugin, "price", REEL_HOOK_PRE_STEP, price, NULL) != 0)
        return 1;
    return plugin->add_adapter (plugin, "frames", REEL_ADAPTER_IDEMPOTENT, frames, NULL);
}

REEL_PLUGIN (init)
