/*
 * What is handed to which worker, and when.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/broker_worker.h"
#include "tests/support/suite.h"

/* --- to whom ----------------------------------------------------------------------------------------------- */

START_TEST (hand_out_by_the_modality_of_the_first_step_to_be_dispatched)
{
    broker_submit (&broker, WORKFLOW ("video", "{'step_id':'a','modality':'echo','status':'succeeded','receipt':{}},"
                                               "{'step_id':'b','modality':'audio','status':'failed','error':'no'},"
                                               "{'step_id':'c','modality':'audio','depends_on':['b']},"
                                               "{'step_id':'d','modality':'audio','depends_on':['c','a']},"
                                               "{'step_id':'e','modality':'video','depends_on':['a']}"));
    broker_forget (&broker);
    broker_ready (&broker, "e", 1, "'echo'");
    broker_ready (&broker, "a", 1, "'audio'");
    broker_expect (&broker, WELCOME ("e"), WELCOME ("a"));
    broker_client (&broker, "c", "GET", "{'workflow_id':'video'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/waiting_for"), "'video'");
    broker_forget (&broker);
    broker_ready (&broker, "v", 1, "'video'");
    broker_expect (&broker, WELCOME ("v"), "2 video.2 workflow.assigned ...", "v ASSIGN ...");
    broker_report (&broker, "v", 1, 1,
                   "[" SKIPPED ("c") "," SKIPPED ("d") "," STARTED ("e", "1", "true") "," SUCCEEDED ("e") "," ENDED
                                                                                                          "]");
    ck_assert_str_eq (status ("video"), "failed");
}
END_TEST

START_TEST (hand_out_of_nothing_left_goes_to_anybody)
{
    broker_submit (&broker,
                   WORKFLOW ("done", "{'step_id':'a','modality':'echo','status':'succeeded','receipt':{'r':1}}"));
    broker_submit (&broker, WORKFLOW ("skip", "{'step_id':'a','modality':'x','status':'failed','error':{}},"
                                              "{'step_id':'b','modality':'x','depends_on':['a']}"));
    broker_client (&broker, "c", "GET", "{'workflow_id':'done'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/waiting_for"), "");
    broker_ready (&broker, "w", 2, "");
    broker_forget (&broker);
    broker_report (&broker, "w", 1, 1, "[" ENDED "]");
    broker_expect (&broker, "5 done.3 workflow.succeeded", "receipt done", "w ACK ...");
    broker_report (&broker, "w", 2, 1, "[" SKIPPED ("b") "," ENDED "]");
    broker_expect (&broker, "6 skip.3 step.skipped ...", "7 skip.4 workflow.failed", "receipt skip", "w ACK ...");
}
END_TEST

START_TEST (hand_out_fills_the_slots_and_no_more)
{
    broker_ready (&broker, "w", 2, "'echo'");
    for (int i = 0; i < 3; i++) {
        char document[128];
        snprintf (document, sizeof document, "{'workflow_id':'%d','steps':[{'step_id':'a','modality':'echo'}]}", i);
        broker_submit (&broker, document);
    }
    ck_assert_str_eq (status ("1"), "running");
    ck_assert_str_eq (status ("2"), "queued");
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "," FAILED ("a") "]");
    ck_assert_str_eq (status ("2"), "queued");
    broker_report (&broker, "w", 1, 3, "[" ENDED "]");
    ck_assert_str_eq (status ("2"), "running");
}
END_TEST

/* `context` names the worker for whom there is none. */
static bool
no_room_for (void *context, struct reel_slice peer)
{
    return !reel_slice_is (peer, *(const char **) context);
}

START_TEST (hand_out_passes_over_a_worker_for_whom_there_is_no_room)
{
    const char *full = "w";
    broker.setup.has_room = no_room_for;
    broker.setup.has_room_context = &full;
    broker_restart (&broker);
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, ONE ("wf"));
    ck_assert_str_eq (status ("wf"), "queued");
    broker_ready (&broker, "v", 1, "'echo'");
    ck_assert_str_eq (broker.sent[broker.sent_count - 1].peer, "v");
    broker_submit (&broker, ONE ("next"));
    ck_assert_str_eq (status ("next"), "queued");
    full = "";
    broker_tick (&broker);
    ck_assert_str_eq (status ("next"), "running");
}
END_TEST

/* Who got each of the workflows 0 .. count - 1. */
static const char *
shares (int count)
{
    static char text[64];
    struct reel_buf document = {0}, peers = {0};
    for (int i = 0; i < count; i++) {
        reel_buf_clear (&document);
        reel_buf_printf (&document, "{'workflow_id':'%d','steps':[{'step_id':'a','modality':'echo'}]}%c", i, 0);
        broker_submit (&broker, (const char *) document.data);
        reel_buf_add_text (&peers, broker.sent[broker.sent_count - 1].peer);
    }
    (void) snprintf (text, sizeof text, "%.*s", REEL_TEXT (peers));
    reel_buf_free (&document);
    reel_buf_free (&peers);
    return text;
}

START_TEST (hand_out_goes_round)
{
    broker_ready (&broker, "u", 9, "'echo'");
    broker_ready (&broker, "v", 9, "'echo'");
    broker_ready (&broker, "w", 9, "'echo'");
    ck_assert_str_eq (shares (7), "uvwuvwu");
}
END_TEST

START_TEST (hand_out_goes_round_while_others_wait)
{
    broker_submit (&broker, WORKFLOW ("x", STEP ("a", "nobody")));
    broker_ready (&broker, "u", 9, "'echo'");
    broker_ready (&broker, "v", 9, "'echo'");
    ck_assert_str_eq (shares (6), "uvuvuv");
}
END_TEST

START_TEST (hand_out_goes_round_past_the_busy)
{
    broker_ready (&broker, "u", 9, "'echo'");
    broker_ready (&broker, "v", 0, "'echo'");
    broker_ready (&broker, "w", 9, "'echo'");
    ck_assert_str_eq (shares (6), "uwuwuw");
}
END_TEST

/* The shell has room for more to any worker but the one that is named. */
static bool
has_room (void *context, struct reel_slice peer)
{
    return !reel_slice_is (peer, context);
}

START_TEST (hand_out_goes_round_past_who_has_enough)
{
    char full[] = "v";
    broker.setup.has_room = has_room;
    broker.setup.has_room_context = full;
    broker_restart (&broker);
    broker_ready (&broker, "u", 9, "'echo'");
    broker_ready (&broker, "v", 9, "'echo'");
    broker_ready (&broker, "w", 9, "'echo'");
    ck_assert_str_eq (shares (4), "uwuw");
    full[0] = 'x'; /* it has read on */
    broker_submit (&broker, WORKFLOW ("x", STEP ("a", "echo")));
    broker_submit (&broker, WORKFLOW ("y", STEP ("a", "echo")));
    ck_assert_str_eq (broker.sent[broker.sent_count - 1].peer, "v");
}
END_TEST

START_TEST (hand_out_at_once_fills_one_worker)
{
    for (int i = 0; i < 4; i++) {
        char document[128];
        snprintf (document, sizeof document, "{'workflow_id':'%d','steps':[{'step_id':'a','modality':'x'}]}", i);
        broker_submit (&broker, document);
    }
    broker_ready (&broker, "u", 0, "'x'");
    broker_ready (&broker, "v", 3, "'x'");
    ck_assert_uint_eq (broker.sent_count, 4);
    ck_assert_str_eq (status ("3"), "queued");
}
END_TEST

START_TEST (hand_out_stops_when_its_effects_are_full)
{
    struct reel_buf document = {0};
    size_t body = REEL_DOCUMENT_BYTES_MAX / 2;
    for (int i = 0; i < 6; i++) {
        char json[128];
        snprintf (json, sizeof json, "{'workflow_id':'%d','steps':[{'step_id':'a','modality':'echo'}],'x':null}", i);
        document = broker_msgpack (json);
        document.len--;
        reel_buf_add (&document, (const uint8_t[]){0xc6, 0, (uint8_t) (body >> 16), 0, 0}, 5);
        memset (reel_buf_reserve (&document, body), 0, body);
        document.len += body;
        const struct reel_slice list[] = {reel_slice_text ("REEL1"), reel_slice_text ("SUBMIT"), reel_slice ("\x80", 1),
                                          reel_buf_slice (&document)};
        broker_frames (&broker, REEL_SOCKET_CLIENT, "c", false, list, 4);
        reel_buf_free (&document);
    }
    /* The bench ticks again as long as it is asked to at once. */
    broker_ready (&broker, "w", 9, "'echo'");
    ck_assert_uint_eq (broker.sent_count, 7);
    ck_assert_uint_le (broker.effects.bytes.cap, 2 * (REEL_EFFECTS_BYTES_FULL + 2 * body));
    ck_assert_str_eq (status ("5"), "running");
}
END_TEST

/* --- when -------------------------------------------------------------------------------------------------- */

START_TEST (priority_comes_before_age)
{
    broker_client (&broker, "c", "SUBMIT", "{'priority':0}", ONE ("first"));
    broker_client (&broker, "c", "SUBMIT", "{'priority':-9223372036854775808}", ONE ("least"));
    broker_client (&broker, "c", "SUBMIT", "{}", ONE ("second"));
    broker_client (&broker, "c", "SUBMIT", "{'priority':9223372036854775807}", ONE ("most"));
    broker_client (&broker, "c", "SUBMIT", "{'priority':5}", OTHER ("five"));
    broker_forget (&broker);
    broker_ready (&broker, "w", 5, "'echo','video'");
    broker_expect (
        &broker, "w WELCOME ...", "6 most.2 ...", "7 five.2 ...", "8 first.2 ...", "9 second.2 ...", "10 least.2 ...",
        "w ASSIGN {'lease':[1,1],'workflow_id':'most',...", "w ASSIGN {'lease':[1,2],'workflow_id':'five',...",
        "w ASSIGN {'lease':[1,3],'workflow_id':'first',...", "w ASSIGN {'lease':[1,4],'workflow_id':'second',...",
        "w ASSIGN {'lease':[1,5],'workflow_id':'least',...");
}
END_TEST

START_TEST (not_before_its_time)
{
    broker_ready (&broker, "w", 5, "'echo'");
    broker_client (&broker, "c", "SUBMIT", "{'not_before_us':3000000}", ONE ("later"));
    broker_client (&broker, "c", "SUBMIT", "{'not_before_us':2000000}", ONE ("sooner"));
    broker_client (&broker, "c", "SUBMIT", "{'not_before_us':1000000}", ONE ("now"));
    broker_forget (&broker);
    ck_assert_int_eq (broker.wake_us, 1000000);
    broker_pass_ms (&broker, 999);
    broker_expect_nothing (&broker);
    broker_pass_ms (&broker, 1);
    broker_expect (&broker, "5 sooner.2 workflow.assigned ...", "w ASSIGN ...");
    /* A clock that is set back makes it wait; one that is set on wakes it. */
    broker.wall_us -= 5000000;
    broker_tick (&broker);
    broker_expect_nothing (&broker);
    broker.wall_us += 90000000;
    broker_tick (&broker);
    broker_expect (&broker, "6 later.2 workflow.assigned ...", "w ASSIGN ...");
}
END_TEST

START_TEST (not_before_survives_a_restart)
{
    broker_client (&broker, "c", "SUBMIT", "{'not_before_us':3000000}", ONE ("wf"));
    broker_restart (&broker);
    broker_ready (&broker, "w", 5, "'echo'");
    broker_forget (&broker);
    broker_pass_ms (&broker, 1999);
    broker_expect_nothing (&broker);
    broker_pass_ms (&broker, 1);
    broker_expect (&broker, "2 wf.2 workflow.assigned ...", "w ASSIGN ...");
}
END_TEST

START_TEST (a_time_far_off_is_looked_at_every_minute)
{
    broker_client (&broker, "c", "SUBMIT", "{'not_before_us':9223372036854775807}", ONE ("wf"));
    ck_assert_int_eq (broker.wake_us, 60000000);
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/not_before_us"), "9223372036854775807");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("core, hand-out");
    TCase *tests = suite_case (suite, "hand-out", set_up, tear_down);
    tcase_add_test (tests, hand_out_by_the_modality_of_the_first_step_to_be_dispatched);
    tcase_add_test (tests, hand_out_of_nothing_left_goes_to_anybody);
    tcase_add_test (tests, hand_out_fills_the_slots_and_no_more);
    tcase_add_test (tests, hand_out_passes_over_a_worker_for_whom_there_is_no_room);
    tcase_add_test (tests, hand_out_goes_round);
    tcase_add_test (tests, hand_out_goes_round_while_others_wait);
    tcase_add_test (tests, hand_out_goes_round_past_the_busy);
    tcase_add_test (tests, hand_out_goes_round_past_who_has_enough);
    tcase_add_test (tests, hand_out_at_once_fills_one_worker);
    tcase_add_test (tests, hand_out_stops_when_its_effects_are_full);
    tcase_add_test (tests, priority_comes_before_age);
    tcase_add_test (tests, not_before_its_time);
    tcase_add_test (tests, not_before_survives_a_restart);
    tcase_add_test (tests, a_time_far_off_is_looked_at_every_minute);
    return suite_run (suite);
}
