/*
 * The ZeroMQ layer: endpoints, frames within and past their bound, and what sending says when a
 * peer is unknown or does not read.
 */
#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/socket.h"
#include "tests/support/scratch.h"
#include "tests/support/suite.h"

#define DEADLINE_MS 10000

static void *context;

static void
setup (void)
{
    context = zmq_ctx_new ();
    ck_assert_ptr_nonnull (context);
}

static void
teardown (void)
{
    ck_assert_int_eq (zmq_ctx_term (context), 0);
}

static void *
opened (struct reel_socket_setup setup)
{
    struct reel_error err = {0};
    void *socket = NULL;
    ck_assert_msg (reel_socket_open (context, &setup, &socket, &err) == REEL_OK, "%s", err.message);
    return socket;
}

/* A bound socket of one type and one of another connected to it. */
static void
make_pair (struct reel_socket_setup left, struct reel_socket_setup right, void **bound, void **connected)
{
    struct reel_error err = {0};
    char endpoint[REEL_ENDPOINT_BYTES];
    *bound = opened (left);
    *connected = opened (right);
    ck_assert_msg (reel_socket_bind (*bound, "tcp://127.0.0.1:*", endpoint, &err) == REEL_OK, "%s", err.message);
    ck_assert_msg (reel_socket_connect (*connected, endpoint, &err) == REEL_OK, "%s", err.message);
}

static void
receive (void *socket, struct reel_inbox *inbox)
{
    zmq_pollitem_t item = {socket, 0, ZMQ_POLLIN, 0};
    ck_assert_int_eq (zmq_poll (&item, 1, DEADLINE_MS), 1);
    ck_assert_int_eq (reel_socket_receive (socket, inbox), REEL_OK);
}

static const char *const free_ports[] = {"tcp://127.0.0.1:*", "tcp://127.0.0.1:0"};

START_TEST (free_port)
{
    struct reel_error err = {0};
    char endpoint[REEL_ENDPOINT_BYTES] = "";
    void *socket = opened ((struct reel_socket_setup){.type = ZMQ_ROUTER});
    ck_assert_msg (reel_socket_bind (socket, free_ports[_i], endpoint, &err) == REEL_OK, "%s", err.message);
    ck_assert (strncmp (endpoint, "tcp://127.0.0.1:", 16) == 0);
    ck_assert_int_gt (strtol (endpoint + 16, NULL, 10), 0);

    void *second = opened ((struct reel_socket_setup){.type = ZMQ_ROUTER});
    ck_assert_int_eq (reel_socket_bind (second, endpoint, NULL, &err), REEL_IO);
    ck_assert_ptr_nonnull (strstr (err.message, endpoint));
    ck_assert_ptr_nonnull (strstr (err.message, "in use"));
    reel_socket_close (&second);
    reel_socket_close (&socket);
    ck_assert_ptr_null (socket);
    reel_socket_close (&socket);
}
END_TEST

START_TEST (file_endpoint)
{
    struct reel_error err = {0};
    char directory[SCRATCH_BYTES], endpoint[SCRATCH_BYTES + 16], bound[REEL_ENDPOINT_BYTES];
    scratch_make (directory, false);
    (void) snprintf (endpoint, sizeof endpoint, "ipc://%s/client", directory);
    void *socket = opened ((struct reel_socket_setup){.type = ZMQ_ROUTER});
    ck_assert_msg (reel_socket_bind (socket, endpoint, bound, &err) == REEL_OK, "%s", err.message);
    ck_assert_str_eq (bound, endpoint);
    reel_socket_close (&socket);
    /* The file is removed by the I/O thread. */
    ck_assert_int_eq (zmq_ctx_term (context), 0);
    context = zmq_ctx_new ();
    (void) unlink (endpoint + strlen ("ipc://"));
    ck_assert_int_eq (rmdir (directory), 0);
}
END_TEST

static const char *const unusable[] = {"", "nonsense", "carrier://pigeon", "tcp://127.0.0.1", "tcp://127.0.0.1:99999"};

START_TEST (file_endpoint_in_use)
{
    struct reel_error err = {0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char directory[SCRATCH_BYTES], endpoint[SCRATCH_BYTES + 16];
    scratch_make (directory, false);
    (void) snprintf (endpoint, sizeof endpoint, "ipc://%s/broker", directory);
    void *first = opened ((struct reel_socket_setup){.type = ZMQ_ROUTER});
    void *second = opened ((struct reel_socket_setup){.type = ZMQ_ROUTER});
    ck_assert_int_eq (reel_socket_bind (first, endpoint, NULL, &err), REEL_OK);
    ck_assert_int_eq (reel_socket_bind (second, endpoint, NULL, &err), REEL_IO);
    ck_assert_ptr_nonnull (strstr (err.message, endpoint));
    ck_assert_ptr_nonnull (strstr (err.message, "in use"));
    reel_socket_close (&first);

    /* What a broker that was killed has left is nobody's. */
    (void) snprintf (address.sun_path, sizeof address.sun_path, "%s/left", directory);
    int left = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq (bind (left, (const struct sockaddr *) &address, sizeof address), 0);
    (void) close (left);
    (void) snprintf (endpoint, sizeof endpoint, "ipc://%s/left", directory);
    ck_assert_int_eq (reel_socket_bind (second, endpoint, NULL, &err), REEL_OK);
    reel_socket_close (&second);
    ck_assert_int_eq (zmq_ctx_term (context), 0);
    context = zmq_ctx_new ();
    (void) unlink (address.sun_path);
    (void) snprintf (address.sun_path, sizeof address.sun_path, "%s/broker", directory);
    (void) unlink (address.sun_path);
    ck_assert_int_eq (rmdir (directory), 0);
}
END_TEST

START_TEST (bad_endpoint)
{
    struct reel_error err = {0};
    void *socket = opened ((struct reel_socket_setup){.type = ZMQ_DEALER});
    ck_assert_int_eq (reel_socket_bind (socket, unusable[_i], NULL, &err), REEL_INVALID);
    ck_assert_str_eq (err.code, "bad_endpoint");
    ck_assert_int_eq (reel_socket_connect (socket, unusable[_i], &err), REEL_INVALID);
    reel_socket_close (&socket);
}
END_TEST

START_TEST (there_and_back)
{
    void *router, *dealer;
    struct reel_inbox inbox;
    reel_inbox_init (&inbox);
    make_pair ((struct reel_socket_setup){.type = ZMQ_ROUTER}, (struct reel_socket_setup){.type = ZMQ_DEALER}, &router,
               &dealer);
    ck_assert_int_eq (reel_socket_receive (router, &inbox), REEL_AGAIN);
    ck_assert_uint_eq (inbox.count, 0);

    struct reel_slice header = reel_slice_text ("\x80"), document = reel_slice_text ("body");
    ck_assert_int_eq (reel_socket_send_message (dealer, NULL, REEL_SLICE_NONE, true, REEL_SUBMIT, header, &document),
                      REEL_OK);
    receive (router, &inbox);
    ck_assert_uint_eq (inbox.count, 6);
    ck_assert_uint_eq (inbox.frames[1].len, 0);
    ck_assert (reel_slice_is (inbox.frames[2], "REEL1"));
    ck_assert (reel_slice_is (inbox.frames[3], "SUBMIT"));
    ck_assert (reel_slice_equal (inbox.frames[4], header));
    ck_assert (reel_slice_is (inbox.frames[5], "body"));

    ck_assert_int_eq (reel_socket_send_message (router, NULL, inbox.frames[0], false, REEL_OK_PING, header, NULL),
                      REEL_OK);
    receive (dealer, &inbox);
    ck_assert_uint_eq (inbox.count, 3);
    ck_assert (reel_slice_is (inbox.frames[1], "OK"));
    ck_assert_uint_eq (inbox.dropped, 0);
    reel_inbox_free (&inbox);
    reel_socket_close (&dealer);
    reel_socket_close (&router);
}
END_TEST

START_TEST (frames_past_the_bound)
{
    void *left, *right;
    struct reel_inbox inbox;
    reel_inbox_init (&inbox);
    make_pair ((struct reel_socket_setup){.type = ZMQ_DEALER}, (struct reel_socket_setup){.type = ZMQ_DEALER}, &left,
               &right);
    struct reel_slice frames[REEL_FRAMES_MAX + 3];
    for (size_t i = 0; i < REEL_FRAMES_MAX + 3; i++)
        frames[i] = reel_slice ("abcdefghijklmnop" + i, 1);
    static const size_t counts[] = {REEL_FRAMES_MAX, REEL_FRAMES_MAX + 1, REEL_FRAMES_MAX + 3, 1};
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq (reel_socket_send (right, frames, counts[i]), REEL_OK);
    for (size_t i = 0; i < 4; i++) {
        receive (left, &inbox);
        ck_assert_uint_eq (inbox.count, counts[i] < REEL_FRAMES_MAX ? counts[i] : REEL_FRAMES_MAX);
        ck_assert_uint_eq (inbox.count + inbox.dropped, counts[i]);
        for (size_t k = 0; k < inbox.count; k++)
            ck_assert (reel_slice_equal (inbox.frames[k], frames[k]));
    }
    reel_inbox_free (&inbox);
    reel_socket_close (&right);
    reel_socket_close (&left);
}
END_TEST

START_TEST (unknown_peer)
{
    void *router = opened ((struct reel_socket_setup){.type = ZMQ_ROUTER});
    struct reel_slice peer = reel_slice ("nobody", 6), header = reel_slice_text ("\x80");
    ck_assert_int_eq (reel_socket_send_message (router, NULL, peer, false, REEL_WHO, header, NULL), REEL_NOT_FOUND);
    reel_socket_close (&router);
}
END_TEST

/* Nobody reads: the bound is reached, nothing blocks, and what was taken arrives whole. */
START_TEST (high_water_mark)
{
    void *left, *right;
    struct reel_inbox inbox;
    reel_inbox_init (&inbox);
    make_pair ((struct reel_socket_setup){.type = ZMQ_DEALER, .receive_max = 2},
               (struct reel_socket_setup){.type = ZMQ_DEALER, .send_max = 2}, &left, &right);
    static uint8_t bytes[1 << 20];
    struct reel_slice frames[2] = {reel_slice ("a", 1), reel_slice (bytes, sizeof bytes)};
    size_t taken = 0;
    enum reel_status status = REEL_OK;
    while (status == REEL_OK && taken < 1000) {
        status = reel_socket_send (right, frames, 2);
        taken += status == REEL_OK;
    }
    ck_assert_int_eq (status, REEL_AGAIN);
    for (size_t i = 0; i < taken; i++) {
        receive (left, &inbox);
        ck_assert_uint_eq (inbox.count, 2);
        ck_assert_uint_eq (inbox.frames[1].len, sizeof bytes);
    }
    reel_inbox_free (&inbox);
    reel_socket_close (&right);
    reel_socket_close (&left);
}
END_TEST

/* One of two subscribers does not read. It is said when it is full, and the other one misses nothing. */
START_TEST (subscriber_that_does_not_read)
{
    enum { COUNT = 200 };
    void *publisher, *deaf, *keen = opened ((struct reel_socket_setup){.type = ZMQ_SUB, .receive_max = 2 * COUNT});
    char endpoint[REEL_ENDPOINT_BYTES];
    size_t len = sizeof endpoint;
    struct reel_inbox inbox;
    reel_inbox_init (&inbox);
    make_pair ((struct reel_socket_setup){.type = ZMQ_XPUB, .send_max = 100},
               (struct reel_socket_setup){.type = ZMQ_SUB, .receive_max = 1}, &publisher, &deaf);
    ck_assert_int_eq (zmq_getsockopt (publisher, ZMQ_LAST_ENDPOINT, endpoint, &len), 0);
    ck_assert_int_eq (zmq_setsockopt (deaf, ZMQ_SUBSCRIBE, "a", 1), 0);
    receive (publisher, &inbox);
    ck_assert_int_eq (reel_socket_connect (keen, endpoint, NULL), REEL_OK);
    ck_assert_int_eq (zmq_setsockopt (keen, ZMQ_SUBSCRIBE, "b", 1), 0);
    receive (publisher, &inbox);
    ck_assert_int_eq (zmq_setsockopt (keen, ZMQ_SUBSCRIBE, "a", 1), 0);
    static uint8_t bytes[1 << 20];
    struct reel_slice frames[2] = {reel_slice ("b", 1), reel_slice (bytes, sizeof bytes)};
    bool full = true, ever = false;
    ck_assert_int_eq (reel_socket_publish (publisher, NULL, frames, 2, &full), REEL_OK);
    ck_assert (!full);
    receive (keen, &inbox);
    frames[0] = reel_slice ("a", 1);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq (reel_socket_publish (publisher, NULL, frames, 2, &full), REEL_OK);
        ever = ever || full;
        ck_assert (i >= 100 || !full);
        receive (keen, &inbox);
        ck_assert_uint_eq (inbox.frames[1].len, sizeof bytes);
    }
    ck_assert (ever);
    reel_inbox_free (&inbox);
    reel_socket_close (&keen);
    reel_socket_close (&deaf);
    reel_socket_close (&publisher);
}
END_TEST

/* A frame of N bytes arrives; one of N + 1 ends the connection, after which the sender connects anew. */
START_TEST (frame_limit)
{
    void *left, *right;
    struct reel_inbox inbox;
    reel_inbox_init (&inbox);
    make_pair ((struct reel_socket_setup){.type = ZMQ_DEALER, .frame_bytes_max = 1000},
               (struct reel_socket_setup){.type = ZMQ_DEALER}, &left, &right);
    static uint8_t bytes[1001];
    struct reel_slice fits = reel_slice (bytes, 1000), large = reel_slice (bytes, 1001), small = reel_slice (bytes, 1);
    ck_assert_int_eq (reel_socket_send (right, &fits, 1), REEL_OK);
    receive (left, &inbox);
    ck_assert_uint_eq (inbox.frames[0].len, 1000);
    ck_assert_int_eq (reel_socket_send (right, &large, 1), REEL_OK);
    bool arrived = false;
    for (int i = 0; i < 1000 && !arrived; i++) {
        enum reel_status sent = reel_socket_send (right, &small, 1);
        ck_assert (sent == REEL_OK || sent == REEL_AGAIN);
        zmq_pollitem_t item = {left, 0, ZMQ_POLLIN, 0};
        arrived = zmq_poll (&item, 1, 20) == 1;
    }
    ck_assert (arrived);
    ck_assert_int_eq (reel_socket_receive (left, &inbox), REEL_OK);
    ck_assert_uint_eq (inbox.frames[0].len, 1);
    reel_inbox_free (&inbox);
    reel_socket_close (&right);
    reel_socket_close (&left);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("socket");
    TCase *tcase = suite_case (suite, "socket", setup, teardown);
    tcase_add_loop_test (tcase, free_port, 0, 2);
    tcase_add_test (tcase, file_endpoint);
    tcase_add_test (tcase, file_endpoint_in_use);
    tcase_add_loop_test (tcase, bad_endpoint, 0, sizeof unusable / sizeof *unusable);
    tcase_add_test (tcase, there_and_back);
    tcase_add_test (tcase, frames_past_the_bound);
    tcase_add_test (tcase, unknown_peer);
    tcase_add_test (tcase, high_water_mark);
    tcase_add_test (tcase, subscriber_that_does_not_read);
    tcase_add_test (tcase, frame_limit);
    return suite_run (suite);
}
