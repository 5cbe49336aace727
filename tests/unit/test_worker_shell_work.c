/*
 * Work as the worker's shell takes it from the broker: READY, what it takes of what is assigned, what it reports, and what
 * it gives back.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/suite.h"
#include "tests/support/worker_shell_fixture.h"

START_TEST (ready_says_what_it_can_do)
{
    ck_assert_int_eq (pthread_create (&thread, NULL, run_shell, NULL), 0);
    running = true;
    expect (REEL_READY);
    ck_assert (reel_slice_is (in.value[REEL_F_NAME].s, "tested"));
    ck_assert_uint_eq (in.value[REEL_F_INSTANCE].s.len, 16);
    ck_assert_uint_eq (in.value[REEL_F_SLOTS].u, 4);
    ck_assert (!reel_message_has (&in, REEL_F_RESUMED));
    struct reel_buf text = {0};
    ck_assert_int_eq (reel_json_write (in.value[REEL_F_MODALITIES].s, 0, &text), REEL_OK);
    ck_assert (reel_slice_is (reel_buf_slice (&text), "[\"echo\",\"fail\",\"sleep\"]"));
    reel_buf_clear (&text);
    ck_assert_int_eq (reel_json_write (in.value[REEL_F_DISPATCH].s, 0, &text), REEL_OK);
    reel_buf_add_byte (&text, '\0');
    ck_assert_ptr_eq (strstr ((const char *) text.data, "{\"echo\":{\"adapter\":\"echo\",\"class\":\"idempotent\"}"),
                      text.data);
    reel_buf_free (&text);
}
END_TEST

START_TEST (workflow_of_idempotent_steps_is_one_report)
{
    start (5000, 20000);
    send_assign (1, "{\"steps\":[" STEP ("a", "echo", "{\"x\":1}") "," STEP ("b", "fail", "{}") "," STEP (
                        "c", "echo", "{\"y\":2}") "]}");
    expect_report (1, 1,
                   "step.started a, step.succeeded a, step.started b, step.failed b, step.started c, step.succeeded "
                   "c, workflow.ended");
    ck_assert_str_eq (document ("/1/receipt/output"), "{\"x\":1}");
    ck_assert_str_eq (document ("/1/receipt/provenance"), "{\"workflow_id\":\"wf\",\"workflow_step_id\":\"a\"}");
    ck_assert_str_eq (document ("/3/error/code"), "\"failed\"");
    send_ack (1, 7);
    send_assign (2, ONE ("echo", "{}"));
    expect_report (2, 1, "step.started a, step.succeeded a, workflow.ended");
}
END_TEST

START_TEST (slots_are_worked_at_together)
{
    start (5000, 20000);
    for (uint64_t i = 1; i <= 4; i++)
        send_assign (i, ONE ("sleep", "{\"ms\":1000}"));
    for (int i = 0; i < 4; i++) {
        expect (REEL_REPORT);
        ck_assert_str_eq (events (), "step.started a");
    }
    for (int i = 0; i < 4; i++) {
        expect (REEL_REPORT);
        ck_assert_str_eq (events (), "step.succeeded a, workflow.ended");
        ck_assert_uint_eq (in.value[REEL_F_REPORT_INDEX].u, 2);
    }
}
END_TEST

START_TEST (delivery_attempts_and_provenance_reach_the_run)
{
    struct reel_message out;
    struct reel_buf bytes = {0}, provenance = {0};
    start (5000, 20000);
    ck_assert_int_eq (reel_json_read (reel_slice_text (ONE ("echo", "{}")), &bytes, &err), REEL_OK);
    ck_assert_int_eq (reel_json_read (reel_slice_text ("{\"who\":\"me\"}"), &provenance, &err), REEL_OK);
    reel_message_init (&out, REEL_ASSIGN);
    reel_message_set_lease (&out, REEL_F_LEASE, lease (9));
    reel_message_set_text (&out, REEL_F_WORKFLOW_ID, "given");
    reel_message_set_uint (&out, REEL_F_DELIVERY, 3);
    reel_message_set_uint (&out, REEL_F_ATTEMPTS, 2);
    reel_message_set (&out, REEL_F_PROVENANCE, reel_buf_slice (&provenance));
    reel_message_set_document (&out, reel_buf_slice (&bytes));
    send_out (&out);
    expect_report (9, 1, "step.started a, step.succeeded a, workflow.ended");
    ck_assert_str_eq (document ("/0/attempt"), "3");
    ck_assert_str_eq (document ("/1/receipt/provenance"),
                      "{\"who\":\"me\",\"workflow_id\":\"given\",\"workflow_step_id\":\"a\"}");
    ck_assert_str_eq (document ("/1/receipt/idempotency_key"), "\"given/a\"");
    reel_buf_free (&bytes);
    reel_buf_free (&provenance);
}
END_TEST

/* The broker says what it takes: what is larger, or deeper, fails its step here. */
START_TEST (limits_of_the_broker_bind_the_worker)
{
    char large[3100];
    ck_assert_int_eq (
        reel_json_read (reel_slice_text ("{\"receipt_bytes\":2000,\"report_bytes\":2500,\"depth\":5}"), &limits, &err),
        REEL_OK);
    start (5000, 20000);
    snprintf (large, sizeof large, "{\"x\":\"%03000d\"}", 0);
    const char *const payloads[] = {large, "{\"x\":[[[[[]]]]]}"};
    for (unsigned i = 0; i < 2; i++) {
        char workflow[4096];
        snprintf (workflow, sizeof workflow,
                  "{\"workflow_id\":\"wf\",\"steps\":[{\"step_id\":\"a\",\"modality\":\"echo\",\"payload\":%s}]}",
                  payloads[i]);
        send_assign (1 + i, workflow);
        expect_report (1 + i, 1, "step.started a, step.failed a, workflow.ended");
        ck_assert_str_eq (document ("/1/error/code"), "\"limit_exceeded\"");
    }
    reel_buf_free (&limits);
}
END_TEST

/* A broker that comes back may take more than the one before, or (who says 0 says nothing usable) hardly anything. */
START_TEST (limits_are_those_of_the_newest_welcome)
{
    static const char *const told[] = {"{\"receipt_bytes\":0,\"report_bytes\":0,\"depth\":0}", "{}"};
    char workflow[4096];
    snprintf (workflow, sizeof workflow,
              "{\"steps\":[{\"step_id\":\"a\",\"modality\":\"echo\",\"payload\":{\"x\":[[[\"%03000d\"]]]}}]}", 0);
    start (5000, 20000);
    for (unsigned i = 0; i < 2; i++) {
        reel_buf_clear (&limits);
        ck_assert_int_eq (reel_json_read (reel_slice_text (told[i]), &limits, &err), REEL_OK);
        send_welcome (5000, 20000);
        send_assign (1 + i, workflow);
        if (i == 0) { /* one event a report */
            expect_report (1, 1, "step.started a");
            expect_report (1, 2, "step.failed a");
            expect_report (1, 3, "workflow.ended");
        } else
            expect_report (2, 1, "step.started a, step.succeeded a, workflow.ended");
    }
    reel_buf_free (&limits);
}
END_TEST

START_TEST (modality_not_served_is_given_back)
{
    start (5000, 20000);
    send_assign (1, "{\"steps\":[" STEP ("a", "echo", "{}") "," STEP ("b", "video", "{}") "]}");
    expect_report (1, 1, "step.started a, step.succeeded a, workflow.yielded");
}
END_TEST

START_TEST (assignment_before_the_welcome_is_given_back)
{
    ck_assert_int_eq (pthread_create (&thread, NULL, run_shell, NULL), 0);
    running = true;
    expect (REEL_READY);
    send_assign (1, ONE ("echo", "{}"));
    expect_report (1, 1, "workflow.yielded");
    send_welcome (5000, 20000);
    send_assign (2, ONE ("echo", "{}"));
    expect_report (2, 1, "step.started a, step.succeeded a, workflow.ended");
}
END_TEST

START_TEST (same_assignment_twice_is_one)
{
    start (5000, 20000);
    send_assign (1, ONE ("sleep", "{\"ms\":50}"));
    send_assign (1, ONE ("sleep", "{\"ms\":50}"));
    expect_report (1, 1, "step.started a");
    expect_report (1, 2, "step.succeeded a, workflow.ended");
}
END_TEST

START_TEST (workflow_that_does_not_hold_is_given_back)
{
    start (5000, 20000);
    send_assign (1, "{\"steps\":[]}");
    expect_report (1, 1, "workflow.yielded");
    send_assign (2, ONE ("echo", "{}"));
    expect_report (2, 1, "step.started a, step.succeeded a, workflow.ended");
}
END_TEST

START_TEST (workflow_beyond_the_slots_is_given_back)
{
    setup.slots = 1;
    start (5000, 20000);
    send_assign (1, ONE ("sleep", "{\"ms\":60000}"));
    send_assign (2, ONE ("echo", "{}"));
    expect (REEL_REPORT);
    bool first = in.value[REEL_F_LEASE].lease.counter == 1;
    ck_assert_str_eq (events (), first ? "step.started a" : "workflow.yielded");
    expect (REEL_REPORT);
    ck_assert_str_eq (events (), first ? "workflow.yielded" : "step.started a");
}
END_TEST

START_TEST (slot_is_free_as_soon_as_the_run_has_ended)
{
    /* The broker may hand out the next one before its ACK is here. */
    setup.slots = 1;
    start (5000, 20000);
    for (uint64_t i = 1; i <= 20; i++) {
        send_assign (i, ONE ("echo", "{}"));
        expect_report (i, 1, "step.started a, step.succeeded a, workflow.ended");
    }
}
END_TEST

START_TEST (nonsense_is_passed_over)
{
    start (5000, 20000);
    static const char *const frames[][4] = {
        {"REEL2", "ASSIGN", "\x80", NULL},
        {"REEL1", "DANCE", "\x80", NULL},
        {"REEL1", "ASSIGN", "\x80", NULL},
        {"REEL1", NULL, NULL, NULL},
        {"", "", "", ""},
        {"REEL1", "ACK", "\xc1", NULL},
    };
    for (size_t i = 0; i < 6; i++) {
        struct reel_slice list[5] = {reel_buf_slice (&peer)};
        size_t count = 1;
        for (size_t j = 0; j < 4 && frames[i][j] != NULL; j++)
            list[count++] = reel_slice_text (frames[i][j]);
        ck_assert_int_eq (reel_socket_send (router, list, count), REEL_OK);
    }
    send_ack (99, 1);
    send_about (REEL_FENCED, 99);
    send_about (REEL_WORKER_CANCEL, 99);
    send_about (REEL_WORKER_YIELD, 99);
    struct reel_message out;
    reel_message_init (&out, REEL_WORKER_ERROR);
    reel_message_set_text (&out, REEL_F_CODE, "malformed");
    reel_message_set_text (&out, REEL_F_MESSAGE, "for the log");
    send_out (&out);
    send_assign (1, ONE ("sleep", "{\"ms\":50}"));
    expect_report (1, 1, "step.started a");
    send_ack (1, 77); /* beyond what was ever sent */
    expect_report (1, 2, "step.succeeded a, workflow.ended");
}
END_TEST

START_TEST (progress_is_thinned_and_the_newest_arrives)
{
    add_script ("busy", "for i in 1 2 3 4 5 6 7 8 9; do echo '{{\"progress\":0.'$i'}}'; done; "
                        "while [ ! -e $1/go ]; do sleep 0.01; done");
    start (5000, 20000);
    send_assign (1, ONE ("busy", "{}"));
    expect_report (1, 1, "step.started a");
    send_ack (1, 1);
    unsigned count = 0;
    int64_t begun_ms = call_now_ms ();
    do {
        expect (REEL_REPORT);
        ck_assert (in.value[REEL_F_REPORT_INDEX].nil);
        ck_assert_str_eq (events (), "step.progress a");
        ck_assert_int_le (++count, 2 + (call_now_ms () - begun_ms) / 240);
    } while (strncmp (document ("/0/fraction"), "0.9", 3) != 0);
    call_write_file (directory, "go", "");
    expect_report (1, 2, "step.succeeded a, workflow.ended");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("worker_shell, work");
    TCase *tc = suite_case (suite, "work", set_up, tear_down);
    tcase_add_test (tc, ready_says_what_it_can_do);
    tcase_add_test (tc, workflow_of_idempotent_steps_is_one_report);
    tcase_add_test (tc, slots_are_worked_at_together);
    tcase_add_test (tc, delivery_attempts_and_provenance_reach_the_run);
    tcase_add_test (tc, limits_of_the_broker_bind_the_worker);
    tcase_add_test (tc, limits_are_those_of_the_newest_welcome);
    tcase_add_test (tc, modality_not_served_is_given_back);
    tcase_add_test (tc, assignment_before_the_welcome_is_given_back);
    tcase_add_test (tc, same_assignment_twice_is_one);
    tcase_add_test (tc, workflow_that_does_not_hold_is_given_back);
    tcase_add_test (tc, workflow_beyond_the_slots_is_given_back);
    tcase_add_test (tc, slot_is_free_as_soon_as_the_run_has_ended);
    tcase_add_test (tc, nonsense_is_passed_over);
    if (call_has_children ()) {
        tcase_add_test (tc, progress_is_thinned_and_the_newest_arrives);
    }
    return suite_run (suite);
}
