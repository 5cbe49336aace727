/*
 * What libzmq holds: how much each peer may have of it, and that it is given back whatever becomes of a message.
 */
#include <check.h>
#include <stdlib.h>

#include "net/backlog.h"
#include "net/socket.h"
#include "tests/support/suite.h"

#define DEADLINE_MS 10000
#define MIB ((uint64_t) 1 << 20)
#define FLOOR REEL_BACKLOG_FLOOR_BYTES
#define HELD_MAX 512

static struct reel_backlog *backlog;
static zmq_msg_t held[HELD_MAX];
static size_t held_count;
static uint8_t bytes[4 << 20];

static void
setup (void)
{
    ck_assert_int_eq (reel_backlog_create (16 * MIB, &backlog), REEL_OK);
    held_count = 0;
}

static void
teardown (void)
{
    while (held_count > 0)
        ck_assert_int_eq (zmq_msg_close (&held[--held_count]), 0);
    ck_assert_uint_eq (reel_backlog_bytes (backlog), 0);
    reel_backlog_free (&backlog);
    ck_assert_ptr_null (backlog);
    reel_backlog_free (&backlog);
}

static void
hold (const char *peer, uint64_t len)
{
    ck_assert_uint_lt (held_count, HELD_MAX);
    ck_assert_int_eq (
        reel_backlog_wrap (backlog, reel_slice_text (peer), reel_slice (bytes, (size_t) len), &held[held_count++]),
        REEL_OK);
}

static uint64_t
room (const char *peer)
{
    return reel_backlog_room (backlog, reel_slice_text (peer), 4);
}

START_TEST (whatever_there_is_room_for)
{
    ck_assert_uint_eq (room ("a"), UINT64_MAX); /* nothing waits for anybody */
    hold ("a", MIB);
    ck_assert_uint_eq (reel_backlog_bytes (backlog), MIB);
    ck_assert_uint_eq (room ("a"), 3 * MIB);  /* a quarter */
    ck_assert_uint_eq (room ("b"), 15 * MIB); /* all that is left, since nothing waits for it */
    hold ("b", 4 * MIB);
    ck_assert_uint_eq (room ("a"), 2 * MIB); /* (16 - 4) / 4 - 1 */
    ck_assert_uint_eq (room ("b"), 0);       /* more than (16 - 1) / 4 */
    ck_assert_uint_eq (reel_backlog_room (backlog, reel_slice_text ("b"), 1), 11 * MIB);
    ck_assert_int_eq (zmq_msg_close (&held[--held_count]), 0);
    ck_assert_uint_eq (room ("a"), 3 * MIB);
}
END_TEST

/* However many take what they get and read nothing, who comes has something. */
START_TEST (nobody_takes_all)
{
    for (char peer[] = "a"; peer[0] <= 'j'; peer[0]++)
        while (room (peer) >= FLOOR)
            hold (peer, FLOOR);
    ck_assert_uint_gt (room ("z"), MIB / 2);
    ck_assert_uint_lt (reel_backlog_bytes (backlog), 16 * MIB);
}
END_TEST

START_TEST (everybody_has_a_floor)
{
    for (int i = 0; i < 4; i++)
        hold ("a", 4 * MIB);
    ck_assert_uint_eq (room ("a"), 0);
    ck_assert_uint_eq (room ("b"), FLOOR);
    hold ("b", 1000);
    ck_assert_uint_eq (room ("b"), FLOOR - 1000);
    hold ("b", FLOOR - 1000);
    ck_assert_uint_eq (room ("b"), 0);
    ck_assert_uint_eq (room ("c"), FLOOR);
}
END_TEST

/* --- with sockets ---------------------------------------------------------------------------- */

static void *context, *router, *dealer;

static void
open_with (int unread_ms)
{
    struct reel_error err = {0};
    char endpoint[REEL_ENDPOINT_BYTES];
    struct reel_inbox inbox;
    struct reel_slice hello = reel_slice_text ("hello");
    setup ();
    context = zmq_ctx_new ();
    ck_assert_ptr_nonnull (context);
    ck_assert_int_eq (
        reel_socket_open (context,
                          &(struct reel_socket_setup){.type = ZMQ_ROUTER, .linger_ms = 10, .unread_ms = unread_ms},
                          &router, &err),
        REEL_OK);
    ck_assert_int_eq (
        reel_socket_open (context, &(struct reel_socket_setup){.type = ZMQ_DEALER, .receive_max = 1}, &dealer, &err),
        REEL_OK);
    ck_assert_int_eq (zmq_setsockopt (dealer, ZMQ_ROUTING_ID, "peer", 4), 0);
    ck_assert_int_eq (reel_socket_bind (router, "tcp://127.0.0.1:*", endpoint, &err), REEL_OK);
    ck_assert_int_eq (reel_socket_connect (dealer, endpoint, &err), REEL_OK);
    ck_assert_int_eq (reel_socket_send (dealer, &hello, 1), REEL_OK);
    reel_inbox_init (&inbox);
    ck_assert_int_eq (zmq_poll (&(zmq_pollitem_t){router, 0, ZMQ_POLLIN, 0}, 1, DEADLINE_MS), 1);
    ck_assert_int_eq (reel_socket_receive (router, &inbox), REEL_OK);
    ck_assert (reel_slice_is (inbox.frames[0], "peer"));
    reel_inbox_free (&inbox);
}

static void
open_pair (void)
{
    open_with (0);
}

static void
open_impatient_pair (void)
{
    open_with (1000);
}

static void
close_pair (void)
{
    reel_socket_close (&dealer);
    reel_socket_close (&router);
    ck_assert_int_eq (zmq_ctx_term (context), 0);
    teardown ();
}

static void
send_piece (const char *peer, enum reel_status expected)
{
    static const uint8_t header[] = {0x80};
    struct reel_slice document = reel_slice (bytes, MIB);
    ck_assert_int_eq (reel_socket_send_message (router, backlog, reel_slice_text (peer), false, REEL_OK_EVENTS,
                                                reel_slice (header, sizeof header), &document),
                      expected);
}

/* A socket hears of a connection's end when it is looked at. */
static void
await_nothing (void)
{
    struct reel_inbox inbox;
    reel_inbox_init (&inbox);
    for (int i = 0; reel_backlog_bytes (backlog) > 0; i++) {
        ck_assert_int_lt (i, DEADLINE_MS / 10);
        (void) zmq_poll (NULL, 0, 10);
        ck_assert_int_eq (reel_socket_receive (router, &inbox), REEL_AGAIN);
    }
    reel_inbox_free (&inbox);
}

static void
fill (void)
{
    for (int i = 0; i < 40; i++)
        send_piece ("peer", REEL_OK);
    ck_assert_uint_gt (reel_backlog_bytes (backlog), 0);
    ck_assert_uint_eq (room ("peer"), 0);
}

START_TEST (what_is_read_is_given_back)
{
    struct reel_inbox inbox;
    fill ();
    reel_inbox_init (&inbox);
    for (int i = 0; i < 40; i++) {
        ck_assert_int_eq (zmq_poll (&(zmq_pollitem_t){dealer, 0, ZMQ_POLLIN, 0}, 1, DEADLINE_MS), 1);
        ck_assert_int_eq (reel_socket_receive (dealer, &inbox), REEL_OK);
        ck_assert_uint_eq (inbox.frames[inbox.count - 1].len, MIB);
    }
    await_nothing ();
    reel_inbox_free (&inbox);
}
END_TEST

START_TEST (what_a_peer_leaves_is_given_back)
{
    fill ();
    reel_socket_close (&dealer);
    await_nothing ();
}
END_TEST

START_TEST (what_is_not_read_in_time_is_given_back)
{
    fill ();
    await_nothing ();
}
END_TEST

START_TEST (what_nobody_takes_is_given_back)
{
    send_piece ("nobody", REEL_NOT_FOUND);
    ck_assert_uint_eq (reel_backlog_bytes (backlog), 0);
}
END_TEST

/* The end of everything, with much that nobody has read. */
START_TEST (what_is_left_is_given_back)
{
    fill ();
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("backlog");
    TCase *counts = tcase_create ("counts"), *sockets = tcase_create ("sockets"),
          *impatient = tcase_create ("impatient");
    tcase_add_checked_fixture (counts, setup, teardown);
    tcase_add_test (counts, whatever_there_is_room_for);
    tcase_add_test (counts, nobody_takes_all);
    tcase_add_test (counts, everybody_has_a_floor);
    suite_add_tcase (suite, counts);
    tcase_add_checked_fixture (sockets, open_pair, close_pair);
    tcase_add_test (sockets, what_is_read_is_given_back);
    tcase_add_test (sockets, what_a_peer_leaves_is_given_back);
    tcase_add_test (sockets, what_nobody_takes_is_given_back);
    tcase_add_test (sockets, what_is_left_is_given_back);
    suite_add_tcase (suite, sockets);
    tcase_add_checked_fixture (impatient, open_impatient_pair, close_pair);
    tcase_add_test (impatient, what_is_not_read_in_time_is_given_back);
    suite_add_tcase (suite, impatient);
    return suite_run (suite);
}
