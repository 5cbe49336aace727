/*
 * Runs a workflow inside this program, with an adapter and a hook of its own.
 *
 *     cc -o embed embed.c $(pkg-config --cflags --libs reel-run)
 *     ./embed workflow.json out.json
 */
#include <reel/embed.h>
#include <stdio.h>

/* Makes a title card: in real life, a call to a model. */
static int
make_title (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    (void) context;
    call->host->progress (call, 0.5, "drawing");
    printf ("title card of %s from %s\n", call->step_id, call->payload_json);
    return call->host->output_json (reply, "{\"image\": \"title.png\"}");
}

/* Called after each step that succeeded. */
static int
note (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
{
    (void) reply;
    ++*(int *) context;
    printf ("step %s is done\n", call->step_id);
    return 0;
}

int
main (int argc, char **argv)
{
    struct reel_embed *embed = NULL;
    struct reel_embed_error error = {0};
    int steps = 0;
    const char *status = "";
    if (argc != 3) {
        fprintf (stderr, "usage: %s WORKFLOW OUT\n", argv[0]);
        return 64;
    }
    if (reel_embed_create (&embed, &error) == REEL_EMBED_OK
        && reel_embed_configure (embed, NULL, &error) == REEL_EMBED_OK
        && reel_embed_add_adapter (embed, "title", REEL_ADAPTER_IDEMPOTENT, make_title, NULL, &error) == REEL_EMBED_OK
        && reel_embed_add_hook (embed, "note", REEL_HOOK_POST_STEP, note, &steps, &error) == REEL_EMBED_OK
        && reel_embed_load (embed, argv[1], &error) == REEL_EMBED_OK
        && reel_embed_run (embed, NULL, &error) == REEL_EMBED_OK
        && reel_embed_save (embed, argv[2], REEL_EMBED_JSON, &error) == REEL_EMBED_OK) {
        status = reel_embed_status (embed);
        printf ("%s: %d steps\n", status, steps);
    } else {
        fprintf (stderr, "%s%s%s: %s\n", error.code, *error.path ? " at " : "", error.path, error.message);
    }
    reel_embed_free (&embed);
    return status[0] == 's' ? 0 : 1;
}
