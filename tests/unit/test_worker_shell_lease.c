/*
 * What the worker's shell works under: leases that it keeps alive or loses, the broker that it says them to again, and paid
 * work that waits until its lease is known to live.
 */
#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/support/suite.h"
#include "tests/support/worker_shell_fixture.h"

/* --- the rule that protects paid work --------------------------------------------------------- */

START_TEST (paid_step_starts_after_its_start_is_durable)
{
    add_script ("paid", "touch $1/ran; echo '{{\"a\":1}}'");
    start (20, 20000);
    send_assign (1, ONE ("paid", "{}"));
    expect_report (1, 1, "step.started a");
    ck_assert_str_eq (document ("/0/idempotent"), "false");
    for (int i = 0; i < 3; i++)
        expect (REEL_WORKER_HEARTBEAT); /* several turns of its loop later */
    ck_assert (!file_exists ("ran"));
    send_ack (1, 1);
    expect_report (1, 2, "step.succeeded a, workflow.ended");
    ck_assert (file_exists ("ran"));
}
END_TEST

START_TEST (paid_step_waits_for_a_lease_that_is_known_to_live)
{
    /* The ACK comes, but what it answers was sent too long ago. */
    add_script ("paid", "touch $1/ran");
    start (60000, 200);
    send_assign (1, ONE ("paid", "{}"));
    expect_report (1, 1, "step.started a");
    let_pass_ms (300);
    send_ack (1, 1);
    expect (REEL_WORKER_HEARTBEAT);
    ck_assert (!file_exists ("ran"));
    uint64_t sent_us = in.value[REEL_F_SENT_US].u;
    struct reel_message out;
    reel_message_init (&out, REEL_BROKER_HEARTBEAT);
    reel_message_set_uint (&out, REEL_F_SENT_US, sent_us - 250000); /* an old one, under this lease, does not help */
    send_out (&out);
    expect (REEL_WORKER_HEARTBEAT);
    ck_assert (!file_exists ("ran"));
    reel_message_set_uint (&out, REEL_F_SENT_US, in.value[REEL_F_SENT_US].u);
    send_out (&out);
    expect_report (1, 2, "step.succeeded a, workflow.ended");
    ck_assert (file_exists ("ran"));
}
END_TEST

START_TEST (terms_of_a_new_welcome_hold_for_what_is_under_way)
{
    add_script ("paid", "touch $1/ran");
    start (60000, 20000);
    send_assign (1, ONE ("paid", "{}"));
    expect_report (1, 1, "step.started a");
    send_welcome (60000, 200);
    let_pass_ms (300);
    send_ack (1, 1);
    expect (REEL_WORKER_HEARTBEAT);
    ck_assert (!file_exists ("ran"));
}
END_TEST

START_TEST (report_sent_again_counts_from_its_first_sending)
{
    /* A lease of 1200: sent again after 600; the ACK at 1250 may answer the first, which is too long ago. */
    add_script ("paid", "touch $1/ran");
    start (50, 1200);
    send_assign (1, ONE ("paid", "{}"));
    expect_report (1, 1, "step.started a");
    int64_t sent_ms = call_now_ms ();
    do {
        ck_assert (receive_within (DEADLINE_MS)); /* heartbeats stay unanswered, but something is heard */
        send_about (REEL_FENCED, 99);
    } while (in.command != REEL_REPORT);
    ck_assert_str_eq (events (), "step.started a");
    ck_assert_uint_eq (in.value[REEL_F_REPORT_INDEX].u, 1);
    while (call_now_ms () < sent_ms + 1250) {
        (void) receive_within (10);
        send_about (REEL_FENCED, 99);
    }
    send_ack (1, 1);
    int64_t answer_ms = call_now_ms () + 200;
    while (call_now_ms () < answer_ms) {
        (void) receive_within (10);
        send_about (REEL_FENCED, 99);
    }
    ck_assert (!file_exists ("ran"));
    expect_report (1, 2, "step.succeeded a, workflow.ended");
}
END_TEST

/* --- heartbeats, fences, reconnection ----------------------------------------------------------- */

START_TEST (heartbeat_names_every_lease)
{
    start (20, 20000);
    send_assign (1, ONE ("sleep", "{\"ms\":60000}"));
    send_assign (2, ONE ("sleep", "{\"ms\":60000}"));
    struct reel_buf text = {0};
    int64_t until_ms = call_now_ms () + DEADLINE_MS;
    do {
        ck_assert (receive_within (DEADLINE_MS) && call_now_ms () < until_ms);
        if (in.command != REEL_WORKER_HEARTBEAT)
            continue;
        reel_buf_clear (&text);
        ck_assert_int_eq (reel_json_write (in.value[REEL_F_LEASES].s, 0, &text), REEL_OK);
    } while (!reel_slice_is (reel_buf_slice (&text), "[[7,2],[7,1]]")
             && !reel_slice_is (reel_buf_slice (&text), "[[7,1],[7,2]]"));
    ck_assert_int_le ((int64_t) in.value[REEL_F_SENT_US].u, reel_clock_monotonic_us ());
    reel_buf_free (&text);
}
END_TEST

/* Why a lease is not ours any more is for the log, whatever form it has. */
START_TEST (fenced_lease_may_say_why)
{
    static const char *const errors[] = {"{\"code\":\"x\",\"message\":\"it was given to another\"}", "{}", "\"why\""};
    setup.slots = 1;
    start (20, 20000);
    for (unsigned i = 0; i < 3; i++) {
        struct reel_message out;
        struct reel_buf error = {0};
        ck_assert_int_eq (reel_json_read (reel_slice_text (errors[i]), &error, &err), REEL_OK);
        send_assign (1 + i, ONE ("sleep", "{\"ms\":60000}"));
        expect_report (1 + i, 1, "step.started a");
        reel_message_init (&out, REEL_FENCED);
        reel_message_set_lease (&out, REEL_F_LEASE, lease (1 + i));
        reel_message_set (&out, REEL_F_ERROR, reel_buf_slice (&error));
        send_out (&out);
        send_out (&out); /* it is nothing to us any more */
        reel_buf_free (&error);
    }
}
END_TEST

START_TEST (fenced_lease_is_ended_without_a_word)
{
    setup.slots = 1;
    add_script ("long", "echo $$ >$1/pid.new; mv $1/pid.new $1/pid; exec sleep 60");
    start (20, 20000);
    send_assign (1, ONE ("long", "{}"));
    expect_report (1, 1, "step.started a");
    send_ack (1, 1);
    await_file ("pid");
    send_about (REEL_FENCED, 1);
    /* The slot is free at once; and nothing more is heard of the first lease. */
    send_assign (2, ONE ("sleep", "{\"ms\":100}"));
    expect_report (2, 1, "step.started a");
    expect_report (2, 2, "step.succeeded a, workflow.ended");
    char *text = call_read_file (directory, "pid");
    long pid = strtol (text, NULL, 10);
    int64_t until_ms = call_now_ms () + DEADLINE_MS;
    while (call_process_lives (pid)) {
        ck_assert_int_lt (call_now_ms (), until_ms);
        poll (NULL, 0, 5);
    }
    free (text);
    expect (REEL_WORKER_HEARTBEAT);
    ck_assert_uint_eq (in.value[REEL_F_LEASES].s.len, 1 + 3); /* [[7, 2]], which is not acknowledged */
}
END_TEST

/* The resume list of READY, as JSON. */
static const char *
resume (void)
{
    reel_buf_clear (&json);
    if (reel_message_has (&in, REEL_F_RESUMED))
        ck_assert_int_eq (reel_json_write (in.value[REEL_F_RESUMED].s, 0, &json), REEL_OK);
    reel_buf_add_byte (&json, 0);
    return (const char *) json.data;
}

START_TEST (who_is_answered_with_ready_and_the_rest_is_sent_again)
{
    start (5000, 20000);
    send_assign (1, "{\"steps\":[" STEP ("a", "echo", "{}") "," STEP ("b", "sleep", "{\"ms\":60000}") "]}");
    expect_report (1, 1, "step.started a, step.succeeded a, step.started b");
    struct reel_message out;
    reel_message_init (&out, REEL_WHO);
    send_out (&out);
    send_out (&out); /* of another message that was under way */
    expect (REEL_READY);
    ck_assert_str_eq (resume (), "[[[7,1],3]]");
    ck_assert_uint_eq (in.value[REEL_F_SLOTS].u, 4);
    send_welcome (5000, 20000);
    send_ack (1, 1);
    expect_report (1, 2, "step.succeeded a, step.started b");
    send_ack (1, 3);
    send_about (REEL_WORKER_CANCEL, 1);
    expect_report (1, 4, "step.failed b, workflow.ended");
}
END_TEST

START_TEST (nothing_is_reported_between_ready_and_its_answer)
{
    start (20, 20000);
    send_assign (1, ONE ("sleep", "{\"ms\":500}"));
    expect_report (1, 1, "step.started a");
    struct reel_message out;
    reel_message_init (&out, REEL_WHO);
    send_out (&out);
    expect (REEL_READY);
    ck_assert_str_eq (resume (), "[[[7,1],1]]");
    /* While it is not welcome it says READY again and again, and nothing else: not even what has ended by now. */
    int64_t until_ms = call_now_ms () + 700;
    while (call_now_ms () < until_ms) {
        if (receive_within (10))
            ck_assert_str_eq (reel_message_spec (in.command)->name, "READY");
    }
    send_welcome (5000, 20000);
    send_ack (1, 0);
    do
        ck_assert (receive_within (DEADLINE_MS));
    while (in.command == REEL_READY);
    ck_assert_str_eq (events (), "step.started a, step.succeeded a, workflow.ended");
    ck_assert_uint_eq (in.value[REEL_F_REPORT_INDEX].u, 1);
}
END_TEST

START_TEST (lease_that_ready_named_in_vain_is_named_again)
{
    start (20, 20000);
    send_assign (1, ONE ("echo", "{}"));
    expect_report (1, 1, "step.started a, step.succeeded a, workflow.ended");
    struct reel_message out;
    reel_message_init (&out, REEL_WHO);
    send_out (&out);
    expect (REEL_READY);
    send_welcome (20, 20000);
    do /* the answer about the lease got lost */
        ck_assert (receive_within (DEADLINE_MS));
    while (in.command != REEL_READY);
    ck_assert_str_eq (resume (), "[[[7,1],3]]");
    send_welcome (5000, 20000);
    send_ack (1, 2);
    do
        ck_assert (receive_within (DEADLINE_MS));
    while (in.command != REEL_REPORT);
    ck_assert_str_eq (events (), "workflow.ended");
}
END_TEST

START_TEST (lease_that_was_lost_meanwhile_is_dropped)
{
    setup.slots = 1;
    start (5000, 20000);
    send_assign (1, ONE ("sleep", "{\"ms\":60000}"));
    expect_report (1, 1, "step.started a");
    struct reel_message out;
    reel_message_init (&out, REEL_WHO);
    send_out (&out);
    expect (REEL_READY);
    send_welcome (5000, 20000);
    send_about (REEL_FENCED, 1);
    send_assign (2, ONE ("echo", "{}"));
    expect_report (2, 1, "step.started a, step.succeeded a, workflow.ended");
}
END_TEST

START_TEST (silent_broker_is_connected_to_again)
{
    uint8_t instance[16];
    ck_assert_int_eq (pthread_create (&thread, NULL, run_shell, NULL), 0);
    running = true;
    expect (REEL_READY);
    memcpy (instance, in.value[REEL_F_INSTANCE].s.data, 16);
    send_welcome (20, 1000);
    send_assign (1, ONE ("sleep", "{\"ms\":60000}"));
    expect_report (1, 1, "step.started a");
    struct reel_buf before = {0};
    reel_buf_add_slice (&before, reel_buf_slice (&peer));
    do
        ck_assert (receive_within (DEADLINE_MS)); /* nothing is answered */
    while (reel_slice_equal (reel_buf_slice (&before), reel_buf_slice (&peer)));
    ck_assert_int_eq (in.command, REEL_READY);
    ck_assert_int_eq (memcmp (instance, in.value[REEL_F_INSTANCE].s.data, 16), 0);
    ck_assert_str_eq (resume (), "[[[7,1],1]]");
    send_welcome (5000, 20000);
    send_ack (1, 1);
    send_about (REEL_WORKER_CANCEL, 1);
    do
        ck_assert (receive_within (DEADLINE_MS));
    while (in.command != REEL_REPORT || in.value[REEL_F_REPORT_INDEX].u != 2);
    ck_assert_str_eq (events (), "step.failed a, workflow.ended");
    reel_buf_free (&before);
}
END_TEST

START_TEST (report_that_was_lost_is_sent_again)
{
    start (20, 1000);
    send_assign (1, ONE ("echo", "{}"));
    expect_report (1, 1, "step.started a, step.succeeded a, workflow.ended");
    expect_report (1, 1, "step.started a, step.succeeded a, workflow.ended");
    send_ack (1, 2); /* says from where */
    do
        expect (REEL_REPORT);
    while (in.value[REEL_F_REPORT_INDEX].u == 1); /* sent before that arrived */
    ck_assert_str_eq (events (), "workflow.ended");
    ck_assert_uint_eq (in.value[REEL_F_REPORT_INDEX].u, 3);
    send_ack (1, 3);
    do
        ck_assert (receive_within (DEADLINE_MS));
    while (in.command != REEL_WORKER_HEARTBEAT || in.value[REEL_F_LEASES].s.len != 1); /* [] */
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("worker_shell, leases");
    TCase *tc = suite_case (suite, "leases", set_up, tear_down);
    tcase_add_test (tc, heartbeat_names_every_lease);
    tcase_add_test (tc, fenced_lease_may_say_why);
    tcase_add_test (tc, who_is_answered_with_ready_and_the_rest_is_sent_again);
    tcase_add_test (tc, nothing_is_reported_between_ready_and_its_answer);
    tcase_add_test (tc, lease_that_ready_named_in_vain_is_named_again);
    tcase_add_test (tc, lease_that_was_lost_meanwhile_is_dropped);
    tcase_add_test (tc, silent_broker_is_connected_to_again);
    tcase_add_test (tc, report_that_was_lost_is_sent_again);
    if (call_has_children ()) {
        tcase_add_test (tc, paid_step_starts_after_its_start_is_durable);
        tcase_add_test (tc, paid_step_waits_for_a_lease_that_is_known_to_live);
        tcase_add_test (tc, terms_of_a_new_welcome_hold_for_what_is_under_way);
        tcase_add_test (tc, report_sent_again_counts_from_its_first_sending);
        tcase_add_test (tc, fenced_lease_is_ended_without_a_word);
    }
    return suite_run (suite);
}
