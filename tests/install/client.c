/*
 * A program as somebody with only the installed library would write it. That it compiles, links
 * and finds no broker is the test.
 */
#include <reel.h>
#include <stdio.h>
#include <string.h>

int
main (void)
{
    /* Port 1 is nobody's. */
    struct reel_client_options options = {.client_endpoint = "tcp://127.0.0.1:1", .timeout_ms = 200};
    struct reel_client *client = NULL;
    struct reel_client_reply reply;
    struct reel_client_error error;
    if (reel_client_open (&options, &client, &error) != REEL_CLIENT_OK) {
        fprintf (stderr, "%s: %s\n", error.code, error.message);
        return 1;
    }
    enum reel_client_status status = reel_client_ping (client, &reply, &error);
    reel_client_close (&client);
    printf ("ping: %s\n", reel_client_status_name (status));
    return strcmp (reel_client_status_name (status), "unreachable") == 0 ? 0 : 1;
}
