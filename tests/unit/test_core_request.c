/*
 * The frame around every request of a client, and the ways to refuse it.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/broker_client.h"
#include "tests/support/suite.h"

static void
frames (const char *protocol, const char *command, struct reel_slice header, size_t count, bool delimiter)
{
    const struct reel_slice list[] = {reel_slice_text (protocol), reel_slice_text (command), header};
    broker_frames (&broker, REEL_SOCKET_CLIENT, "c", delimiter, list, count);
}

START_TEST (echoes_a_request_id_of_every_scalar_type)
{
    static const char *const ids[] = {"7",
                                      "-7",
                                      "'x'",
                                      "null",
                                      "true",
                                      "false",
                                      "1.5",
                                      "{'$bin':'AAE='}",
                                      "{'$uint':'18446744073709551615'}",
                                      "{'$f32':'3fc00000'}",
                                      "''"};
    char header[128], expected[256];
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        snprintf (header, sizeof header, "{'request_id':%s}", ids[i]);
        snprintf (expected, sizeof expected, "c OK {'request_id':%s,'version':'...", ids[i]);
        broker_client (&broker, "c", "PING", header, NULL);
        broker_expect (&broker, expected);
        snprintf (header, sizeof header, "{'workflow_id':'none','request_id':%s}", ids[i]);
        snprintf (expected, sizeof expected, "c ERROR {'request_id':%s,'code':'unknown_workflow',...", ids[i]);
        broker_client (&broker, "c", "GET", header, NULL);
        broker_expect (&broker, expected);
    }
}
END_TEST

START_TEST (refuses_a_request_id_that_is_no_scalar)
{
    static const char *const ids[] = {"[]", "{}", "{'$ext':[1,'AA==']}"};
    char header[128];
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        snprintf (header, sizeof header, "{'request_id':%s}", ids[i]);
        broker_client (&broker, "c", "PING", header, NULL);
        ck_assert_str_eq (broker_header (&broker, "/code"), "'malformed'");
        ck_assert_str_eq (broker_header (&broker, "/path"), "'/request_id'");
        ck_assert_str_eq (broker_header (&broker, "/request_id"), "");
    }
}
END_TEST

START_TEST (mirrors_the_delimiter)
{
    frames ("REEL1", "PING", reel_slice ("\x80", 1), 3, true);
    broker_expect (&broker, "c| OK ...");
    frames ("REEL1", "NONE", reel_slice ("\x80", 1), 3, true);
    broker_expect (&broker, "c| ERROR {'code':'unknown_command',...");
    /* Also when the answer comes later: from the journal, at the end, at the deadline. */
    struct reel_buf header = broker_msgpack ("{'after':0}");
    frames ("REEL1", "EVENTS", reel_buf_slice (&header), 3, true);
    broker_expect (&broker, "c| OK ...");
    reel_buf_free (&header);
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, ONE ("wf"));
    broker_forget (&broker);
    header = broker_msgpack ("{'workflow_id':'wf','wait_ms':100}");
    frames ("REEL1", "RECEIPT", reel_buf_slice (&header), 3, true);
    broker_expect_nothing (&broker);
    broker_pass_ms (&broker, 100);
    broker_expect (&broker, "c| ERROR {'code':'not_finished',...");
    frames ("REEL1", "RECEIPT", reel_buf_slice (&header), 3, true);
    reel_buf_free (&header);
    broker_report (&broker, "w", 1, 1, RUN);
    broker_expect (&broker, "3 wf.3 step.started...", "4 wf.4 ...", "5 wf.5 workflow.succeeded", "receipt wf",
                   "c| OK {'workflow_id':'wf','status':'succeeded'} +", "w ACK ...");
}
END_TEST

START_TEST (refuses_what_is_no_message)
{
    frames ("REEL1", "PING", reel_slice ("\x80", 1), 2, false);
    broker_expect (&broker, "c ERROR {'code':'malformed',...");
    frames ("REEL1", "PING", reel_slice ("\x80", 1), 0, false);
    broker_expect (&broker, "c ERROR {'code':'malformed',...");
    frames ("HELLO", "PING", reel_slice ("\x80", 1), 3, false);
    broker_expect (&broker, "c ERROR {'code':'malformed',...");
    frames ("REEL1", "PING", reel_slice ("\x81", 1), 3, false);
    broker_expect (&broker, "c ERROR {'code':'malformed',...");
    frames ("REEL1", "PING", reel_slice ("\x90", 1), 3, false);
    broker_expect (&broker, "c ERROR {'code':'malformed',...");
    frames ("REEL1", "PING", reel_slice ("\x80\x80", 2), 3, false);
    broker_expect (&broker, "c ERROR {'code':'malformed',...");
    frames ("REEL1", "PING", reel_slice ("\xdd\x10\x00\x00\x00", 5), 3, false);
    broker_expect (&broker, "c ERROR {'code':'malformed',...");
}
END_TEST

START_TEST (refuses_another_version)
{
    struct reel_buf header = broker_msgpack ("{'request_id':1}");
    frames ("REEL2", "PING", reel_buf_slice (&header), 3, false);
    broker_expect (&broker, "c ERROR {'request_id':1,'code':'unsupported_version',...");
    reel_buf_free (&header);
}
END_TEST

START_TEST (refuses_an_unknown_command)
{
    static const char *const names[] = {"NONE", "", "ping", "READY", "OK", "SUBMIT ", "YIELD"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        broker_client (&broker, "c", names[i], "{'request_id':1}", NULL);
        broker_expect (&broker, "c ERROR {'request_id':1,'code':'unknown_command',...");
    }
}
END_TEST

static const struct {
    const char *command;
    const char *header;
    const char *path;
} malformed[] = {
    {"GET", "{'request_id':1}", "'/workflow_id'"},
    {"GET", "{'request_id':1,'workflow_id':7}", "'/workflow_id'"},
    {"GET", "{'request_id':1,'workflow_id':''}", "'/workflow_id'"},
    {"GET", "{'request_id':1,'workflow_id':'a/b'}", "'/workflow_id'"},
    {"RECEIPT", "{'request_id':1}", "'/workflow_id'"},
    {"RECEIPT", "{'request_id':1,'workflow_id':'wf','wait_ms':-1}", "'/wait_ms'"},
    {"LIST", "{'request_id':1,'status':'lost'}", "'/status'"},
    {"LIST", "{'request_id':1,'status':7}", "'/status'"},
    {"LIST", "{'request_id':1,'after':'x'}", "'/after'"},
    {"LIST", "{'request_id':1,'limit':-1}", "'/limit'"},
    {"EVENTS", "{'request_id':1}", "'/after'"},
    {"EVENTS", "{'request_id':1,'after':0,'workflow_id':'/'}", "'/workflow_id'"},
    {"EVENTS", "{'request_id':1,'after':0,'limit':1.5}", "'/limit'"},
    {"EVENTS", "{'request_id':1,'after':{'$uint':'9223372036854775808'}}", "'/after'"},
    {"PING", "{'request_id':[]}", "'/request_id'"},
    {"SUBMIT", "{'request_id':1,'priority':'high'}", "'/priority'"},
    {"SUBMIT", "{'request_id':1,'priority':{'$uint':'9223372036854775808'}}", "'/priority'"},
    {"SUBMIT", "{'request_id':1,'not_before_us':-1}", "'/not_before_us'"},
    {"SUBMIT", "{'request_id':1,'provenance':[]}", "'/provenance'"},
};

START_TEST (says_which_header_field_is_malformed)
{
    size_t records = broker.record_count;
    bool submit = strcmp (malformed[_i].command, "SUBMIT") == 0;
    broker_client (&broker, "c", malformed[_i].command, malformed[_i].header, submit ? ONE ("wf") : NULL);
    ck_assert_str_eq (broker_header (&broker, "/code"), "'malformed'");
    ck_assert_str_eq (broker_header (&broker, "/path"), malformed[_i].path);
    ck_assert_str_eq (broker_header (&broker, "/request_id"), strcmp (malformed[_i].command, "PING") == 0 ? "" : "1");
    ck_assert_uint_eq (broker.record_count, records);
}
END_TEST

START_TEST (ignores_unknown_keys_but_not_frames)
{
    const struct reel_slice list[] = {reel_slice_text ("REEL1"), reel_slice_text ("PING"),
                                      reel_slice ("\x81\xa1x\x90", 4), reel_slice_text ("anything")};
    broker_frames (&broker, REEL_SOCKET_CLIENT, "c", false, list, 3);
    broker_expect (&broker, "c OK ...");
    broker_frames (&broker, REEL_SOCKET_CLIENT, "c", false, list, 4);
    broker_expect (&broker, "c ERROR {'code':'malformed',...");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("core, requests");
    TCase *tests = suite_case (suite, "request", set_up, tear_down);
    tcase_add_test (tests, echoes_a_request_id_of_every_scalar_type);
    tcase_add_test (tests, refuses_a_request_id_that_is_no_scalar);
    tcase_add_test (tests, mirrors_the_delimiter);
    tcase_add_test (tests, refuses_what_is_no_message);
    tcase_add_test (tests, refuses_another_version);
    tcase_add_test (tests, refuses_an_unknown_command);
    tcase_add_loop_test (tests, says_which_header_field_is_malformed, 0, sizeof malformed / sizeof malformed[0]);
    tcase_add_test (tests, ignores_unknown_keys_but_not_frames);
    return suite_run (suite);
}
