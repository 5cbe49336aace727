/*
 * The door: N connections are let in and counted, the one after them is turned away until somebody leaves.
 */
#include <check.h>
#include <poll.h>
#include <stdlib.h>

#include "net/door.h"
#include "tests/support/suite.h"

#define DEADLINE_MS 10000
#define CONNECTIONS_MAX 3

static void *context, *server;
static struct reel_door door;
static char endpoint[REEL_ENDPOINT_BYTES];

static void *
open_socket (int type)
{
    struct reel_error err = {0};
    const struct reel_socket_setup setup = {.type = type};
    void *socket = NULL;
    ck_assert_msg (reel_socket_open (context, &setup, &socket, &err) == REEL_OK, "%s", err.message);
    return socket;
}

static void
setup (void)
{
    struct reel_error err = {0};
    context = zmq_ctx_new ();
    server = open_socket (ZMQ_ROUTER);
    ck_assert_int_eq (reel_door_open (context, server, CONNECTIONS_MAX, &door, &err), REEL_OK);
    ck_assert_int_eq (reel_socket_bind (server, "tcp://127.0.0.1:*", endpoint, &err), REEL_OK);
}

static void
teardown (void)
{
    reel_door_close (&door);
    reel_door_close (&door);
    reel_socket_close (&server);
    ck_assert_int_eq (zmq_ctx_term (context), 0);
}

/* Attends to the door until so many are connected. */
static void
await (uint64_t connections)
{
    struct reel_error err = {0};
    struct pollfd item = {.fd = reel_door_fd (&door, &err), .events = POLLIN};
    ck_assert_int_ge (item.fd, 0);
    ck_assert_int_eq (reel_door_attend (&door), REEL_OK);
    while (door.connections != connections) {
        ck_assert_int_eq (poll (&item, 1, DEADLINE_MS), 1);
        ck_assert_int_eq (reel_door_attend (&door), REEL_OK);
    }
}

static void *
come (void)
{
    struct reel_error err = {0};
    void *client = open_socket (ZMQ_DEALER);
    ck_assert_int_eq (reel_socket_connect (client, endpoint, &err), REEL_OK);
    return client;
}

START_TEST (counts_who_comes_and_goes)
{
    void *clients[CONNECTIONS_MAX];
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        clients[i] = come ();
        await (i + 1);
    }
    for (size_t i = CONNECTIONS_MAX; i-- > 0;) {
        reel_socket_close (&clients[i]);
        await (i);
    }
    ck_assert_uint_eq (door.refused, 0);
}
END_TEST

START_TEST (turns_away_who_is_too_many)
{
    void *clients[CONNECTIONS_MAX + 1];
    struct reel_slice hello = reel_slice_text ("hello");
    struct reel_inbox inbox;
    reel_inbox_init (&inbox);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        clients[i] = come ();
        await (i + 1);
    }
    clients[CONNECTIONS_MAX] = come ();
    await (CONNECTIONS_MAX + 1);
    await (CONNECTIONS_MAX); /* it was closed by us */
    ck_assert_uint_ge (door.refused, 1);
    /* The others are as they were, and when one of them leaves, there is room. */
    ck_assert_int_eq (reel_socket_send (clients[0], &hello, 1), REEL_OK);
    zmq_pollitem_t item = {server, 0, ZMQ_POLLIN, 0};
    ck_assert_int_eq (zmq_poll (&item, 1, DEADLINE_MS), 1);
    ck_assert_int_eq (reel_socket_receive (server, &inbox), REEL_OK);
    reel_socket_close (&clients[1]);
    ck_assert_int_eq (reel_socket_send (clients[CONNECTIONS_MAX], &hello, 1), REEL_OK);
    for (int i = 0; zmq_poll (&item, 1, 10) == 0; i++) {
        ck_assert_int_lt (i, DEADLINE_MS / 10);
        ck_assert_int_eq (reel_door_attend (&door), REEL_OK);
    }
    await (CONNECTIONS_MAX);
    reel_inbox_free (&inbox);
    for (size_t i = 0; i <= CONNECTIONS_MAX; i++)
        reel_socket_close (&clients[i]);
    await (0);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("door");
    TCase *tests = suite_case (suite, "door", setup, teardown);
    tcase_add_test (tests, counts_who_comes_and_goes);
    tcase_add_test (tests, turns_away_who_is_too_many);
    return suite_run (suite);
}
