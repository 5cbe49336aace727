/*
 * What clients ask of the broker's core: each command, each way to refuse it, and the replies byte for byte where
 * they matter.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/support/broker.h"
#include "tests/support/suite.h"

#define ONE(id) "{'workflow_id':'" id "','steps':[{'step_id':'a','modality':'echo'}]}"
#define OTHER(id) "{'workflow_id':'" id "','steps':[{'step_id':'a','modality':'video'}]}"
#define RUN "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," ENDED "]"

static struct broker broker;

static void
set_up (void)
{
    broker_init (&broker);
    broker_start (&broker);
    broker_forget (&broker);
}

static void
tear_down (void)
{
    broker_free (&broker);
}

/* Starts again, with another setup that begins where there is nothing yet. */
static void
start_over (void)
{
    struct reel_core_setup setup = broker.setup;
    broker_free (&broker);
    broker_init (&broker);
    broker.setup = setup;
    broker_start (&broker);
    broker_forget (&broker);
}

/* One worker ends a workflow of one step under that lease. */
static void
end (const char *document, uint64_t counter)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, document);
    broker_report (&broker, "w", counter, 1, RUN);
    broker_forget (&broker);
}

/* --- the frame around every request -------------------------------------------------------------- */

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

/* --- SUBMIT ------------------------------------------------------------------------------------------ */

START_TEST (submit_with_an_id)
{
    broker_client (&broker, "c", "SUBMIT", "{'request_id':9}", ONE ("wf"));
    broker_expect (&broker, "1 wf.1 workflow.accepted",
                   "c OK {'request_id':9,'workflow_id':'wf','status':'queued','duplicate':false,'seq':1}");
}
END_TEST

START_TEST (submit_without_an_id_gives_one)
{
    char first[64];
    broker.wall_us = 1700000000000000;
    broker_submit (&broker, "{'steps':[{'step_id':'a','modality':'echo'}]}");
    snprintf (first, sizeof first, "%s", broker_header (&broker, "/workflow_id"));
    ck_assert_uint_eq (strlen (first), 38);
    ck_assert_int_eq (strncmp (first, "'018bcfe5-6800-7", 16), 0);
    broker_submit (&broker, "{'workflow_id':null,'steps':[{'step_id':'a','modality':'echo'}]}");
    ck_assert_str_ne (broker_header (&broker, "/workflow_id"), first);
    ck_assert_str_eq (broker_header (&broker, "/duplicate"), "false");
    ck_assert_uint_eq (broker.model_count, 2);
    /* The id that was given is in the document that GET shows. */
    char header[128];
    snprintf (header, sizeof header, "{'workflow_id':%s}", first);
    broker_client (&broker, "c", "GET", header, NULL);
    ck_assert_ptr_nonnull (strstr (broker_document (&broker), first));
}
END_TEST

START_TEST (submit_again_while_it_is_queued_and_running)
{
    broker_submit (&broker, ONE ("wf"));
    broker_forget (&broker);
    broker_client (&broker, "d", "SUBMIT", "{'priority':9,'provenance':{'x':1}}", ONE ("wf"));
    broker_expect (&broker, "d OK {'workflow_id':'wf','status':'queued','duplicate':true,'seq':1}");
    broker_ready (&broker, "w", 1, "'echo'");
    broker_forget (&broker);
    broker_submit (&broker, ONE ("wf"));
    broker_expect (&broker, "c OK {'workflow_id':'wf','status':'running','duplicate':true,'seq':1}");
    broker_restart (&broker);
    broker_forget (&broker);
    broker_submit (&broker, ONE ("wf"));
    broker_expect (&broker, "c OK {'workflow_id':'wf','status':'running','duplicate':true,'seq':1}");
}
END_TEST

START_TEST (submit_again_after_its_end)
{
    end (ONE ("wf"), 1);
    broker_client (&broker, "d", "SUBMIT", "{'request_id':'r'}", ONE ("wf"));
    broker_expect (&broker, "d OK {'request_id':'r','workflow_id':'wf','status':'succeeded','duplicate':true,'seq':1}");
    broker_restart (&broker);
    broker_forget (&broker);
    broker_submit (&broker, ONE ("wf"));
    broker_expect (&broker, "c OK {'workflow_id':'wf','status':'succeeded','duplicate':true,'seq':1}");
    ck_assert_uint_eq (broker.event_count, 5);
}
END_TEST

START_TEST (submit_of_another_document_under_the_same_id)
{
    end (ONE ("ended"), 1);
    broker_submit (&broker, OTHER ("live"));
    broker_forget (&broker);
    broker_client (&broker, "c", "SUBMIT", "{'request_id':1}", ONE ("live"));
    broker_expect (&broker, "c ERROR {'request_id':1,'code':'conflict',...");
    broker_client (&broker, "c", "SUBMIT", "{'request_id':2}", OTHER ("ended"));
    broker_expect (&broker, "c ERROR {'request_id':2,'code':'conflict',...");
    ck_assert_str_eq (broker_header (&broker, "/path"), "'/workflow_id'");
    ck_assert_uint_eq (broker.model_count, 2);
}
END_TEST

START_TEST (submit_means_the_bytes)
{
    /* The same document with the keys in another order is another document. */
    broker_submit (&broker, ONE ("wf"));
    broker_submit (&broker, "{'steps':[{'step_id':'a','modality':'echo'}],'workflow_id':'wf'}");
    ck_assert_str_eq (broker_header (&broker, "/code"), "'conflict'");
}
END_TEST

START_TEST (two_submits_of_one_id_while_the_journal_is_read)
{
    end (ONE ("wf"), 1);
    broker.hold_readings = true;
    broker_client (&broker, "c", "SUBMIT", "{}", ONE ("wf"));
    broker_client (&broker, "d", "SUBMIT", "{}", OTHER ("wf"));
    broker_client (&broker, "e", "SUBMIT", "{}", ONE ("wf"));
    broker_expect (&broker, "read ended", "read ended", "read ended");
    broker_answer (&broker);
    broker_answer (&broker);
    broker_answer (&broker);
    broker_expect (&broker, "c OK {'workflow_id':'wf','status':'succeeded','duplicate':true,'seq':1}",
                   "d ERROR {'code':'conflict',...", "e OK {'workflow_id':'wf',...");
}
END_TEST

static const struct {
    const char *document;
    const char *reason;
    const char *path;
} invalid[] = {
    {"{'steps':[]}", "'empty_workflow'", "'/steps'"},
    {"{}", "'missing_field'", "''"},
    {"[]", "'bad_type'", "''"},
    {"{'workflow_id':'a b','steps':[{'step_id':'a','modality':'echo'}]}", "'bad_id'", "'/workflow_id'"},
    {"{'steps':[{'step_id':'a','modality':'Echo'}]}", "'bad_id'", "'/steps/0/modality'"},
    {"{'steps':[{'step_id':'a','modality':'m'},{'step_id':'a','modality':'m'}]}", "'duplicate_step'",
     "'/steps/1/step_id'"},
    {"{'steps':[{'step_id':'a','modality':'m','depends_on':['b']}]}", "'missing_dependency'",
     "'/steps/0/depends_on/0'"},
    {"{'steps':[{'step_id':'a','modality':'m','depends_on':['a']}]}", "'self_dependency'", "'/steps/0/depends_on/0'"},
    {"{'steps':[{'step_id':'a','modality':'m','depends_on':['b']},{'step_id':'b','modality':'m'}]}",
     "'forward_reference'", "'/steps/0/depends_on/0'"},
    {"{'steps':[{'step_id':'a','modality':'m','depends_on':['b']},{'step_id':'b','modality':'m','depends_on':['a']}]}",
     "'cycle'", "'/steps/0/depends_on/0'"},
    {"{'steps':[{'step_id':'a','modality':'m','payload':{'x':{'$ref':'#/b/y'}}}]}", "'bad_reference'",
     "'/steps/0/payload/x'"},
    {"{'steps':[{'step_id':'a','modality':'m','status':'running'}]}", "'bad_status'", "'/steps/0/status'"},
    {"{'steps':[{'step_id':'a','modality':'m','status':'succeeded'}]}", "'bad_status'", "'/steps/0/status'"},
};

START_TEST (submit_of_an_invalid_workflow_says_why_and_where)
{
    size_t records = broker.record_count;
    broker_client (&broker, "c", "SUBMIT", "{'request_id':1}", invalid[_i].document);
    ck_assert_str_eq (broker_header (&broker, "/code"), "'invalid_workflow'");
    ck_assert_str_eq (broker_header (&broker, "/reason"), invalid[_i].reason);
    ck_assert_str_eq (broker_header (&broker, "/path"), invalid[_i].path);
    ck_assert_str_eq (broker_header (&broker, "/request_id"), "1");
    ck_assert_uint_eq (broker.record_count, records);
}
END_TEST

static void
submit_bytes (const char *protocol_header, struct reel_slice document, size_t count)
{
    struct reel_buf header = broker_msgpack (protocol_header);
    const struct reel_slice list[] = {reel_slice_text ("REEL1"), reel_slice_text ("SUBMIT"), reel_buf_slice (&header),
                                      document};
    broker_frames (&broker, REEL_SOCKET_CLIENT, "c", false, list, count);
    reel_buf_free (&header);
}

START_TEST (submit_of_a_malformed_document)
{
    static const struct reel_slice documents[] = {{(const uint8_t *) "", 0},
                                                  {(const uint8_t *) "\xc1", 1},
                                                  {(const uint8_t *) "\x82\xa1x\x01", 4},
                                                  {(const uint8_t *) "\x80\x80", 2},
                                                  {(const uint8_t *) "\xdf\xff\xff\xff\xff", 5}};
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        submit_bytes ("{'request_id':1}", documents[i], 4);
        ck_assert_str_eq (broker_header (&broker, "/code"), "'malformed'");
        ck_assert_str_eq (broker_header (&broker, "/reason"), "");
    }
    submit_bytes ("{'request_id':1}", REEL_SLICE_NONE, 3);
    ck_assert_str_eq (broker_header (&broker, "/code"), "'malformed'");
    ck_assert_str_eq (broker_header (&broker, "/request_id"), "1");
}
END_TEST

/* A valid document of exactly that many bytes. */
static struct reel_buf
document_of (size_t bytes)
{
    struct reel_buf small = broker_msgpack (
                        "{'workflow_id':'wf','steps':[{'step_id':'a','modality':'echo'}],'x':null}"),
                    out = {0};
    size_t pad = bytes - (small.len - 1) - 5;
    reel_buf_add (&out, small.data, small.len - 1);
    reel_buf_add (
        &out,
        (const uint8_t[]){0xc6, (uint8_t) (pad >> 24), (uint8_t) (pad >> 16), (uint8_t) (pad >> 8), (uint8_t) pad}, 5);
    uint8_t *at = reel_buf_reserve (&out, pad);
    memset (at, 0, pad);
    out.len += pad;
    ck_assert_uint_eq (out.len, bytes);
    reel_buf_free (&small);
    return out;
}

static uint64_t
number (const char *pointer)
{
    broker_client (&broker, "c", "STATS", "{}", NULL);
    return strtoull (broker_header (&broker, pointer), NULL, 10);
}

static uint64_t
live_bytes (void)
{
    return number ("/gauges/live_bytes");
}

START_TEST (submit_of_a_document_at_the_limit_and_beyond)
{
    struct reel_buf document = document_of (REEL_DOCUMENT_BYTES_MAX + 1);
    submit_bytes ("{}", reel_buf_slice (&document), 4);
    ck_assert_str_eq (broker_header (&broker, "/code"), "'too_large'");
    reel_buf_free (&document);
    document = document_of (REEL_DOCUMENT_BYTES_MAX);
    submit_bytes ("{}", reel_buf_slice (&document), 4);
    ck_assert_str_eq (broker_header (&broker, "/status"), "'queued'");
    ck_assert_uint_eq (number ("/counters/refused_size"), 1);
    reel_buf_free (&document);
}
END_TEST

START_TEST (submit_of_provenance_at_the_limit_and_beyond)
{
    for (size_t over = 0; over < 2; over++) {
        struct reel_buf header = {0}, document = broker_msgpack (over ? ONE ("b") : ONE ("a"));
        reel_pack_map (&header, 1);
        reel_pack_text (&header, "provenance");
        size_t pad = REEL_PROVENANCE_BYTES_MAX - 8 + over; /* {"x": bin 32} is 8 bytes without the body */
        reel_buf_add (&header, "\x81\xa1x\xc6", 4);
        reel_buf_add (&header, (const uint8_t[]){0, (uint8_t) (pad >> 16), (uint8_t) (pad >> 8), (uint8_t) pad}, 4);
        uint8_t *at = reel_buf_reserve (&header, pad);
        memset (at, 0, pad);
        header.len += pad;
        const struct reel_slice list[] = {reel_slice_text ("REEL1"), reel_slice_text ("SUBMIT"),
                                          reel_buf_slice (&header), reel_buf_slice (&document)};
        broker_frames (&broker, REEL_SOCKET_CLIENT, "c", false, list, 4);
        ck_assert_str_eq (broker_header (&broker, "/code"), over ? "'too_large'" : "");
        ck_assert_str_eq (broker_header (&broker, "/path"), over ? "'/provenance'" : "");
        reel_buf_free (&header);
        reel_buf_free (&document);
    }
    ck_assert_uint_eq (broker.model_count, 1);
}
END_TEST

START_TEST (submit_when_so_many_are_live)
{
    broker.setup.queue_count_max = 2;
    start_over ();
    broker_submit (&broker, ONE ("1"));
    broker_submit (&broker, ONE ("2"));
    ck_assert_str_eq (broker_header (&broker, "/status"), "'queued'");
    ck_assert_uint_eq (number ("/counters/refused_queue_count"), 0);
    broker_submit (&broker, ONE ("3"));
    ck_assert_str_eq (broker_header (&broker, "/code"), "'overloaded'");
    ck_assert_uint_eq (number ("/counters/refused_queue_count"), 1);
    broker_submit (&broker, ONE ("1"));
    ck_assert_str_eq (broker_header (&broker, "/duplicate"), "true");
    /* One that has ended makes room. */
    broker_ready (&broker, "w", 1, "'echo'");
    broker_report (&broker, "w", 1, 1, RUN);
    broker_submit (&broker, ONE ("3"));
    ck_assert_str_eq (broker_header (&broker, "/status"), "'queued'");
}
END_TEST

START_TEST (submit_when_they_hold_so_many_bytes)
{
    broker_submit (&broker, ONE ("1"));
    uint64_t one = live_bytes ();
    ck_assert_uint_gt (one, 0);
    struct reel_buf document = broker_msgpack (ONE ("2"));
    broker.setup.queue_bytes_max = one + document.len;
    start_over ();
    broker_submit (&broker, ONE ("1"));
    broker_submit (&broker, ONE ("2"));
    ck_assert_str_eq (broker_header (&broker, "/status"), "'queued'");
    broker.setup.queue_bytes_max--;
    start_over ();
    broker_submit (&broker, ONE ("1"));
    broker_submit (&broker, ONE ("2"));
    ck_assert_str_eq (broker_header (&broker, "/code"), "'overloaded'");
    ck_assert_uint_eq (number ("/counters/refused_queue_bytes"), 1);
    reel_buf_free (&document);
}
END_TEST

START_TEST (submit_while_the_disk_is_nearly_full)
{
    broker_submit (&broker, ONE ("before"));
    reel_core_disk_low (broker.core, true);
    broker_forget (&broker);
    broker_submit (&broker, ONE ("wf"));
    broker_expect (&broker, "c ERROR {'code':'overloaded',...");
    broker_submit (&broker, ONE ("before"));
    ck_assert_str_eq (broker_header (&broker, "/duplicate"), "true");
    reel_core_disk_low (broker.core, false);
    broker_submit (&broker, ONE ("wf"));
    ck_assert_str_eq (broker_header (&broker, "/duplicate"), "false");
}
END_TEST

START_TEST (live_bytes_come_and_go)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, ONE ("wf"));
    uint64_t one = live_bytes ();
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "," CHECKPOINT ("a", "{'job':1}") "]");
    ck_assert_uint_eq (live_bytes (), one + 6);
    broker_report (&broker, "w", 1, 3, "[" CHECKPOINT ("a", "1") "]");
    ck_assert_uint_eq (live_bytes (), one + 1);
    broker_report (&broker, "w", 1, 4, "[" SUCCEEDED ("a") "]");
    ck_assert_uint_eq (live_bytes (), one + 6);
    broker_report (&broker, "w", 1, 5, "[" ENDED "]");
    ck_assert_uint_eq (live_bytes (), 0);
}
END_TEST

START_TEST (submit_keeps_the_header_beside_the_document)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_forget (&broker);
    broker_client (&broker, "c", "SUBMIT", "{'priority':-3,'not_before_us':1000000,'provenance':{'who':'me'}}",
                   ONE ("wf"));
    broker_expect (&broker, "1 wf.1 workflow.accepted {'priority':-3,'not_before_us':1000000}", "c OK ...",
                   "2 wf.2 workflow.assigned ...",
                   "w ASSIGN {'lease':[1,1],'workflow_id':'wf','delivery':1,'provenance':{'who':'me'}} +");
    broker_restart (&broker);
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/priority"), "-3");
    ck_assert_str_eq (broker_header (&broker, "/not_before_us"), "1000000");
    ck_assert_str_eq (broker_header (&broker, "/provenance"), "{'who':'me'}");
}
END_TEST

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

/* --- GET ---------------------------------------------------------------------------------------------- */

START_TEST (get_of_none)
{
    broker_client (&broker, "c", "GET", "{'workflow_id':'none'}", NULL);
    broker_expect (&broker, "c ERROR {'code':'unknown_workflow',...");
}
END_TEST

START_TEST (get_says_what_it_waits_for)
{
    broker_submit (
        &broker,
        "{'workflow_id':'wf','steps':[{'step_id':'a','modality':'video'}],'created_at':'2026-01-02T03:04:05Z'}");
    broker_forget (&broker);
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf'}", NULL);
    broker_expect (&broker,
                   "c OK {'workflow_id':'wf','status':'queued','waiting_for':'video','delivery':0,'last_seq':1} +");
    ck_assert_str_eq (broker_document (&broker), "{'workflow_id':'wf','steps':[{'step_id':'a','modality':'video'}],"
                                                 "'created_at':'2026-01-02T03:04:05Z'}");
    /* A worker without slots serves nothing, nor does one of another modality. */
    broker_ready (&broker, "v", 0, "'video'");
    broker_ready (&broker, "w", 1, "'echo'");
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/waiting_for"), "'video'");
    /* With a worker that is busy it waits, but not in vain. */
    broker_submit (&broker, "{'workflow_id':'other','steps':[{'step_id':'a','modality':'video'}]}");
    broker_ready (&broker, "v", 1, "'video'");
    broker_client (&broker, "c", "GET", "{'workflow_id':'other'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/status"), "'queued'");
    ck_assert_str_eq (broker_header (&broker, "/waiting_for"), "");
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/status"), "'running'");
    ck_assert_str_eq (broker_header (&broker, "/worker"), "'v'");
    ck_assert_str_eq (broker_header (&broker, "/delivery"), "1");
    broker_worker (&broker, "v", "LEAVE", "{}", NULL);
    broker_client (&broker, "c", "GET", "{'workflow_id':'other'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/waiting_for"), "'video'");
}
END_TEST

START_TEST (get_shows_what_happened_so_far)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker,
                   "{'workflow_id':'wf','x':[1],'steps':[{'step_id':'a','modality':'echo','status':'pending','y':2},"
                   "{'step_id':'b','modality':'echo'}]}");
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "]");
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf'}", NULL);
    ck_assert_str_eq (
        broker_document (&broker),
        "{'workflow_id':'wf','x':[1],'steps':[{'step_id':'a','modality':'echo','status':'succeeded','y':2,"
        "'receipt':{'of':'a'},'error':null,'started_us':5,'finished_us':5},{'step_id':'b',"
        "'modality':'echo'}],'created_at':'1970-01-01T00:00:01.000000Z'}");
}
END_TEST

START_TEST (get_of_an_ended_one)
{
    broker_client (&broker, "c", "SUBMIT", "{'provenance':{'who':'me'}}", ONE ("wf"));
    broker_ready (&broker, "w", 1, "'echo'");
    broker_report (&broker, "w", 1, 1, RUN);
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf','request_id':1}", NULL);
    broker_forget (&broker);
    for (int i = 0; i < 2; i++) {
        broker_client (&broker, "c", "GET", "{'workflow_id':'wf','request_id':1}", NULL);
        ck_assert_str_eq (
            broker_document (&broker),
            "{'workflow_id':'wf','steps':[{'step_id':'a','modality':'echo','status':'succeeded','receipt':"
            "{'of':'a'},'error':null,'started_us':5,'finished_us':5}],'created_at':"
            "'1970-01-01T00:00:01.000000Z'}");
        ck_assert_str_eq (broker_header (&broker, "/status"), "'succeeded'");
        ck_assert_str_eq (broker_header (&broker, "/delivery"), "1");
        ck_assert_str_eq (broker_header (&broker, "/last_seq"), "5");
        ck_assert_str_eq (broker_header (&broker, "/provenance"), "{'who':'me'}");
        broker_restart (&broker);
    }
}
END_TEST

/* --- RECEIPT ------------------------------------------------------------------------------------------ */

START_TEST (receipt_of_none)
{
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'none','wait_ms':5}", NULL);
    broker_expect (&broker, "c ERROR {'code':'unknown_workflow',...");
}
END_TEST

START_TEST (receipt_that_is_not_there)
{
    broker_submit (&broker, ONE ("wf"));
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf','request_id':1}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/code"), "'not_finished'");
    ck_assert_str_eq (broker_header (&broker, "/reason"), "'queued'");
    broker_ready (&broker, "w", 1, "'echo'");
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf','wait_ms':0}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/reason"), "'running'");
}
END_TEST

START_TEST (receipt_that_is_there)
{
    static const char receipt[] =
        "{'workflow_id':'wf','status':'succeeded','created_at':'1970-01-01T00:00:01.000000Z','submitted_us':1000000,"
        "'started_us':1000000,'finished_us':1000000,'deliveries':1,'origin':null,'error':null,'global_provenance':{},"
        "'steps':[{'step_id':'a','modality':'echo','status':'succeeded','receipt':{'of':'a'},'error':null,"
        "'started_us':5,'finished_us':5}]}";
    end (ONE ("wf"), 1);
    for (int i = 0; i < 2; i++) {
        broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf','wait_ms':1000,'request_id':3}", NULL);
        ck_assert_str_eq (broker_header (&broker, ""), "{'request_id':3,'workflow_id':'wf','status':'succeeded'}");
        ck_assert_str_eq (broker_document (&broker), receipt);
        broker_restart (&broker);
    }
}
END_TEST

START_TEST (receipt_waits_for_its_time)
{
    broker_submit (&broker, ONE ("wf"));
    broker_forget (&broker);
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf','wait_ms':1000,'request_id':1}", NULL);
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf','wait_ms':400,'request_id':2}", NULL);
    broker_pass_ms (&broker, 399);
    broker_expect_nothing (&broker);
    broker_pass_ms (&broker, 1);
    broker_expect (&broker, "c ERROR {'request_id':2,'code':'not_finished',...");
    broker_pass_ms (&broker, 600);
    broker_expect (&broker, "c ERROR {'request_id':1,'code':'not_finished',...");
    ck_assert_int_eq (broker.wake_us, INT64_MAX);
}
END_TEST

START_TEST (receipt_waits_no_longer_than_an_hour)
{
    broker_submit (&broker, ONE ("wf"));
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf','wait_ms':9223372036854775807}", NULL);
    ck_assert_int_eq (broker.wake_us, 3600000000);
}
END_TEST

START_TEST (receipt_waits_until_the_end)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, ONE ("wf"));
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf','wait_ms':1000,'request_id':1}", NULL);
    broker_client (&broker, "d", "RECEIPT", "{'workflow_id':'wf','wait_ms':1000}", NULL);
    broker_forget (&broker);
    broker_report (&broker, "w", 1, 1, RUN);
    broker_expect (&broker, "3 wf.3 ...", "4 wf.4 ...", "5 wf.5 ...", "receipt wf",
                   "d OK {'workflow_id':'wf','status':'succeeded'} +",
                   "c OK {'request_id':1,'workflow_id':'wf','status':'succeeded'} +", "w ACK ...");
    for (size_t i = 0; i < 2; i++)
        ck_assert (reel_slice_equal (reel_buf_slice (&broker.sent[i].document),
                                     reel_buf_slice (&broker_model (&broker, "wf")->receipt)));
    broker_pass_ms (&broker, 2000);
    broker_expect_nothing (&broker);
}
END_TEST

START_TEST (receipts_that_wait_are_bounded)
{
    broker.setup.waits_max = 2;
    start_over ();
    broker_submit (&broker, ONE ("wf"));
    broker_forget (&broker);
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf','wait_ms':10}", NULL);
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf','wait_ms':10}", NULL);
    broker_expect_nothing (&broker);
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf','wait_ms':10,'request_id':3}", NULL);
    broker_expect (&broker, "c ERROR {'request_id':3,'code':'overloaded',...");
    ck_assert_uint_eq (number ("/counters/refused_waits"), 1);
    broker_pass_ms (&broker, 10);
    broker_forget (&broker);
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf','wait_ms':10}", NULL);
    broker_expect_nothing (&broker);
}
END_TEST

START_TEST (draining_answers_what_waits_and_whatever_comes)
{
    broker_submit (&broker, ONE ("wf"));
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf','wait_ms':10,'request_id':1}", NULL);
    broker_client (&broker, "d", "RECEIPT", "{'workflow_id':'wf','wait_ms':20,'request_id':2}", NULL);
    broker_forget (&broker);
    broker_drain (&broker);
    broker_expect (&broker, "c ERROR {'request_id':1,'code':'draining',...",
                   "d ERROR {'request_id':2,'code':'draining',...");
    broker_client (&broker, "c", "PING", "{'request_id':3}", NULL);
    broker_expect (&broker, "c ERROR {'request_id':3,'code':'draining',...");
    broker_submit (&broker, ONE ("more"));
    broker_expect (&broker, "c ERROR {'code':'draining',...");
    broker_pass_ms (&broker, 1000);
    broker_expect_nothing (&broker);
}
END_TEST

/* --- what the journal cannot find ----------------------------------------------------------------------- */

START_TEST (ended_one_whose_records_are_gone)
{
    end (ONE ("wf"), 1);
    broker.readings_gone = true;
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf'}", NULL);
    broker_expect (&broker, "c ERROR {'code':'unknown_workflow',...");
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf'}", NULL);
    broker_expect (&broker, "c ERROR {'code':'unknown_workflow',...");
    /* It is retained no longer, so its id is free. */
    broker_ready (&broker, "w", 0, "");
    broker_forget (&broker);
    broker_client (&broker, "c", "SUBMIT", "{'request_id':1}", OTHER ("wf"));
    broker_expect (&broker, "6 wf.1 workflow.accepted",
                   "c OK {'request_id':1,'workflow_id':'wf','status':'queued','duplicate':false,'seq':6}");
}
END_TEST

START_TEST (ended_one_whose_records_are_torn)
{
    end (ONE ("wf"), 1);
    broker.readings_torn = true;
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf'}", NULL);
    broker_expect (&broker, "c ERROR {'code':'internal',...");
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf'}", NULL);
    broker_expect (&broker, "c ERROR {'code':'internal',...");
    broker_client (&broker, "c", "SUBMIT", "{}", ONE ("wf"));
    broker_expect (&broker, "c ERROR {'code':'internal',...");
}
END_TEST

START_TEST (ended_one_is_retained_for_its_time)
{
    broker.setup.snapshot_bytes = 400;
    broker.setup.retain_ms = 60000;
    start_over ();
    end (ONE ("wf"), 1);
    broker_pass_ms (&broker, 30000);
    ck_assert_uint_gt (broker.snapshots, 0);
    ck_assert_uint_eq (broker.forgotten, 0);
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/status"), "'succeeded'");
    broker_pass_ms (&broker, 90000);
    ck_assert_uint_gt (broker.forgotten, 0);
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/code"), "'unknown_workflow'");
}
END_TEST

/* While the journal is asked for what ended under that id, that is forgotten, and another is accepted and ends. */
START_TEST (submit_again_is_looked_at_again)
{
    broker.setup.snapshot_bytes = 400;
    broker.setup.retain_ms = 60000;
    start_over ();
    end (ONE ("wf"), 1);
    broker_pass_ms (&broker, 30000);
    broker.hold_readings = true;
    broker_client (&broker, "c", "SUBMIT", "{}", ONE ("wf"));
    broker_pass_ms (&broker, 90000);
    ck_assert_uint_gt (broker.forgotten, 0);
    broker_client (&broker, "d", "SUBMIT", "{}", ONE ("wf"));
    ck_assert_str_eq (broker_header (&broker, "/duplicate"), "false");
    broker_client (&broker, "d", "CANCEL", "{'workflow_id':'wf'}", NULL);
    broker_answer (&broker);
    broker_answer (&broker);
    broker.hold_readings = false;
    ck_assert_str_eq (broker.sent[broker.sent_count - 1].peer, "c");
    ck_assert_str_eq (broker_header (&broker, "/duplicate"), "true");
    ck_assert_str_eq (broker_header (&broker, "/status"), "'cancelled'");
}
END_TEST

/* Whatever the journal answers gets one reply. */
START_TEST (ended_one_whose_records_are_bent)
{
    static const char *const questions[] = {"GET", "RECEIPT", "CANCEL", "RERUN"};
    static const uint8_t bends[] = {0x01, 0x10, 0x40}; /* what is text stays so */
    end (ONE ("wf"), 1);
    broker.readings_bend = bends[_i];
    unsigned unreadable = 0;
    for (size_t at = 1; at < 700; at++) {
        broker.readings_bent = at;
        for (size_t i = 0; i < 4; i++) {
            broker_client (&broker, "c", questions[i], "{'workflow_id':'wf','from_step':'none'}", NULL);
            ck_assert_uint_eq (broker.sent_count, 1);
            unreadable += strcmp (broker_header (&broker, "/code"), "'internal'") == 0;
            broker_forget (&broker);
        }
    }
    ck_assert_uint_gt (unreadable, 100);
    broker.readings_bent = 0;
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/status"), "'succeeded'");
}
END_TEST

/* --- LIST ---------------------------------------------------------------------------------------------- */

/* The ids and statuses of the rows of the last reply. */
static const char *
rows (void)
{
    static char text[4096];
    struct reel_slice array = REEL_SLICE_NONE, row, id = REEL_SLICE_NONE, status = REEL_SLICE_NONE;
    struct reel_value head;
    struct reel_buf out = {0};
    ck_assert (reel_scan_find (reel_buf_slice (&broker.sent[broker.sent_count - 1].header),
                               reel_slice_text ("workflows"), &array));
    struct reel_cursor cursor = reel_scan_start (array);
    ck_assert (reel_scan_next (&cursor, &head));
    for (uint32_t i = 0; i < head.count; i++) {
        ck_assert (reel_scan_skip (&cursor, &row) && reel_scan_find_str (row, "workflow_id", &id)
                   && reel_scan_find_str (row, "status", &status));
        reel_buf_printf (&out, "%s%.*s:%.*s", i > 0 ? " " : "", REEL_TEXT (id), REEL_TEXT (status));
    }
    snprintf (text, sizeof text, "%.*s", (int) out.len, (const char *) out.data);
    reel_buf_free (&out);
    return text;
}

static const char *
list (const char *header)
{
    broker_client (&broker, "c", "LIST", header, NULL);
    return rows ();
}

/* 1 queued; 2 succeeded; 3 running; 4 held; 5 failed; 6 queued. */
static void
six (void)
{
    broker_submit (&broker, OTHER ("1"));
    end (ONE ("2"), 1);
    broker_ready (&broker, "w", 3, "'echo'");
    broker_submit (&broker, ONE ("3"));
    broker_submit (&broker, ONE ("4"));
    broker_report (&broker, "w", 3, 1, "[" STARTED ("a", "1", "false") "]");
    broker_submit (&broker, ONE ("5"));
    broker_report (&broker, "w", 4, 1, "[" FAILED ("a") "," ENDED "]");
    broker_report (&broker, "w", 3, 2, "[" SUCCEEDED ("b") "]");
    broker_submit (&broker, OTHER ("6"));
    broker_forget (&broker);
}

START_TEST (list_of_nothing)
{
    broker_client (&broker, "c", "LIST", "{'request_id':1}", NULL);
    broker_expect (&broker, "c OK {'request_id':1,'workflows':[]}");
    broker_client (&broker, "c", "LIST", "{'status':'held'}", NULL);
    broker_expect (&broker, "c OK {'workflows':[]}");
}
END_TEST

START_TEST (list_newest_first_live_and_ended_mixed)
{
    six ();
    ck_assert_str_eq (list ("{}"), "6:queued 5:failed 4:held 3:running 2:succeeded 1:queued");
    ck_assert_str_eq (broker_header (&broker, "/next"), "");
    ck_assert_str_eq (list ("{'after':0}"), "6:queued 5:failed 4:held 3:running 2:succeeded 1:queued");
    ck_assert_str_eq (broker_header (&broker, "/workflows/3"),
                      "{'workflow_id':'3','status':'running','seq':7,'submitted_us':1000000,'started_us':1000000,"
                      "'finished_us':null,'deliveries':1,'origin':null}");
}
END_TEST

START_TEST (list_by_status)
{
    six ();
    ck_assert_str_eq (list ("{'status':'queued'}"), "6:queued 1:queued");
    ck_assert_str_eq (broker_header (&broker, "/next"), "");
    ck_assert_str_eq (list ("{'status':'running'}"), "3:running");
    ck_assert_str_eq (list ("{'status':'held'}"), "4:held");
    ck_assert_str_eq (list ("{'status':'succeeded'}"), "2:succeeded");
    ck_assert_str_eq (list ("{'status':'failed'}"), "5:failed");
    ck_assert_str_eq (list ("{'status':'cancelled'}"), "");
}
END_TEST

static const char *const list_filters[] = {"", "'status':'queued',", "'status':'failed',", "'status':'held',"};

START_TEST (list_pages_are_the_whole)
{
    char header[128], whole[4096] = "", paged[4096];
    six ();
    snprintf (header, sizeof header, "{%s'limit':1000}", list_filters[_i]);
    snprintf (whole, sizeof whole, "%s", list (header));
    for (int round = 0; round < 4 * 7; round++) {
        int limit = 1 + round / 4;
        broker.rows_looked = round % 4;
        char after[32] = "0";
        size_t len = 0;
        int pages = 0;
        do {
            snprintf (header, sizeof header, "{%s'limit':%d,'after':%s}", list_filters[_i], limit, after);
            const char *page = list (header);
            len += (size_t) snprintf (paged + len, sizeof paged - len, "%s%s", len > 0 && page[0] != '\0' ? " " : "",
                                      page);
            snprintf (after, sizeof after, "%s", broker_header (&broker, "/next"));
            ck_assert_int_lt (pages++, 20);
        } while (after[0] != '\0');
        ck_assert_str_eq (paged, whole);
    }
}
END_TEST

START_TEST (list_clamps_the_limit)
{
    six ();
    ck_assert_str_eq (list ("{'limit':0}"), "6:queued");
    ck_assert_str_eq (list ("{'limit':9223372036854775807}"),
                      "6:queued 5:failed 4:held 3:running 2:succeeded 1:queued");
}
END_TEST

START_TEST (list_of_one_that_ends_while_the_journal_is_read)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, ONE ("wf"));
    broker.hold_readings = true;
    broker_client (&broker, "c", "LIST", "{}", NULL);
    broker_report (&broker, "w", 1, 1, RUN);
    broker_answer (&broker);
    ck_assert_str_eq (rows (), "wf:succeeded");
}
END_TEST

/* --- EVENTS -------------------------------------------------------------------------------------------- */

START_TEST (events_of_nothing)
{
    broker_client (&broker, "c", "EVENTS", "{'after':0}", NULL);
    broker_expect (&broker, "c OK {'first_seq':1,'last_seq':0,'next':0,'more':false} +");
    ck_assert_str_eq (broker_document (&broker), "[]");
    broker_client (&broker, "c", "EVENTS", "{'after':9223372036854775807}", NULL);
    broker_expect (&broker, "c OK {'first_seq':1,'last_seq':0,'next':9223372036854775807,'more':false} +");
}
END_TEST

START_TEST (events_are_what_was_published)
{
    end (ONE ("wf"), 1);
    broker_client (&broker, "c", "EVENTS", "{'after':0,'request_id':1}", NULL);
    broker_expect (&broker, "c OK {'request_id':1,'first_seq':1,'last_seq':5,'next':5,'more':false} +");
    ck_assert_str_eq (
        broker_document (&broker),
        "[{'seq':1,'index':1,'workflow_id':'wf','kind':'workflow.accepted','at_us':1000000},"
        "{'seq':2,'index':2,'workflow_id':'wf','kind':'workflow.assigned','at_us':1000000,'worker':'w','delivery':1,'lease':[1,1]},"
        "{'seq':3,'index':3,'workflow_id':'wf','kind':'step.started','at_us':5,'step_id':'a','attempt':1,'idempotent':true},"
        "{'seq':4,'index':4,'workflow_id':'wf','kind':'step.succeeded','at_us':5,'step_id':'a','receipt':{'of':'a'}},"
        "{'seq':5,'index':5,'workflow_id':'wf','kind':'workflow.succeeded','at_us':1000000}]");
}
END_TEST

static void
ask_events (const char *header, size_t again)
{
    broker.readings_again = again;
    broker_client (&broker, "c", "EVENTS", header, NULL);
}

START_TEST (events_that_take_long)
{
    end (ONE ("wf"), 1);
    ask_events ("{'after':3,'workflow_id':'wf','request_id':1}", 20);
    broker_expect (&broker, "c OK {'request_id':1,'first_seq':1,'last_seq':5,'next':5,'more':false} +");
    ck_assert_uint_eq (broker.readings_again, 0);
}
END_TEST

START_TEST (events_that_take_long_are_not_waited_for_at_the_end)
{
    end (ONE ("wf"), 1);
    broker.hold_readings = true;
    ask_events ("{'after':0,'workflow_id':'wf'}", 2);
    broker_answer (&broker);
    broker_expect (&broker, "read workflow events", "read workflow events");
    broker_drain (&broker);
    broker_answer (&broker);
    broker_expect (&broker, "c ERROR {'code':'draining',...");
}
END_TEST

START_TEST (events_that_take_long_are_bounded)
{
    struct reel_effects effects = {0};
    end (ONE ("wf"), 1);
    broker.hold_readings = true;
    ask_events ("{'after':0,'workflow_id':'wf'}", 0);
    const struct reel_core_reading reading = {
        .kind = REEL_READ_WORKFLOW_EVENTS,
        .status = REEL_AGAIN,
        .read = &broker.held[0],
        .context = reel_slice (broker.held_contexts.data, broker.held_contexts.len)};
    for (size_t i = 1; i <= 65; i++) {
        ck_assert_int_eq (reel_core_reading (broker.core, (struct reel_core_time){0}, &reading, &effects), REEL_OK);
        ck_assert_uint_eq (effects.again_count, i < 65 ? i : 64);
        ck_assert_uint_eq (effects.read_count, effects.again_count);
        ck_assert_uint_eq (effects.send_count, i < 65 ? 0 : 1);
    }
    reel_effects_free (&effects);
    broker_answer (&broker);
    broker.hold_readings = false;
    broker_client (&broker, "c", "STATS", "{}", NULL);
    ck_assert_uint_eq (number ("/counters/refused_reads"), 1);
}
END_TEST

START_TEST (events_by_pages)
{
    end (ONE ("wf"), 1);
    broker_client (&broker, "c", "EVENTS", "{'after':0,'limit':2}", NULL);
    broker_expect (&broker, "c OK {'first_seq':1,'last_seq':5,'next':2,'more':true} +");
    broker_client (&broker, "c", "EVENTS", "{'after':2,'limit':3}", NULL);
    broker_expect (&broker, "c OK {'first_seq':1,'last_seq':5,'next':5,'more':false} +");
    broker_client (&broker, "c", "EVENTS", "{'after':5,'limit':0}", NULL);
    broker_expect (&broker, "c OK {'first_seq':1,'last_seq':5,'next':5,'more':false} +");
}
END_TEST

START_TEST (events_of_one_workflow)
{
    end (ONE ("other"), 1);
    broker_submit (&broker, ONE ("wf"));
    broker_report (&broker, "w", 2, 1, "[" STARTED ("a", "1", "true") "]");
    broker_forget (&broker);
    broker_client (&broker, "c", "EVENTS", "{'after':0,'workflow_id':'wf'}", NULL);
    broker_expect (&broker, "c OK {'first_seq':1,'last_seq':8,'next':8,'more':false} +");
    ck_assert_ptr_nonnull (strstr (broker_document (&broker), "'seq':6,"));
    ck_assert_ptr_null (strstr (broker_document (&broker), "other"));
    broker_client (&broker, "c", "EVENTS", "{'after':0,'workflow_id':'wf','limit':2}", NULL);
    broker_expect (&broker, "c OK {'first_seq':1,'last_seq':8,'next':7,'more':true} +");
    broker_client (&broker, "c", "EVENTS", "{'after':1,'workflow_id':'other','limit':3}", NULL);
    broker_expect (&broker, "c OK {'first_seq':1,'last_seq':8,'next':4,'more':true} +");
    broker_client (&broker, "c", "EVENTS", "{'after':4,'workflow_id':'other'}", NULL);
    broker_expect (&broker, "c OK {'first_seq':1,'last_seq':8,'next':5,'more':false} +");
    broker_restart (&broker);
    broker_forget (&broker);
    broker_client (&broker, "c", "EVENTS", "{'after':4,'workflow_id':'other'}", NULL);
    broker_expect (&broker, "c OK {'first_seq':1,'last_seq':8,'next':5,'more':false} +");
    broker_client (&broker, "c", "EVENTS", "{'after':0,'workflow_id':'none'}", NULL);
    broker_expect (&broker, "c ERROR {'code':'unknown_workflow',...");
}
END_TEST

/* --- WORKERS, STATS, PING ----------------------------------------------------------------------------- */

START_TEST (workers)
{
    broker_client (&broker, "c", "WORKERS", "{}", NULL);
    broker_expect (&broker, "c OK {'workers':[]}");
    broker_ready (&broker, "v", 2, "'echo','x'");
    broker_worker (&broker, "w", "READY",
                   "{'name':'W','slots':1,'modalities':['y'],'dispatch':{'y':{'adapter':'exec','class':'resumable'}}}",
                   NULL);
    broker_submit (&broker, ONE ("wf"));
    broker_forget (&broker);
    broker_client (&broker, "c", "WORKERS", "{'request_id':1}", NULL);
    broker_expect (
        &broker, "c OK {'request_id':1,'workers':[{'name':'v','slots':2,'leases':1,'heard_us':1000000,'modalities':"
                 "['echo','x']},{'name':'W','slots':1,'leases':0,'heard_us':1000000,'dispatch':{'y':{'adapter':'exec',"
                 "'class':'resumable'}}}]}");
}
END_TEST

/* The answer ends before its header would be too large for who asks. */
START_TEST (workers_who_say_too_much)
{
    struct reel_buf ready = {0};
    reel_buf_printf (&ready, "{'name':'v','slots':1,'modalities':[],'dispatch':{'x':'%0*d'}}%c", 65000, 0, 0);
    for (char peer[] = "a"; peer[0] <= 'q'; peer[0]++) {
        ck_assert_int_eq (reel_buf_status (&ready), REEL_OK);
        broker_forget (&broker);
        broker_client (&broker, "c", "WORKERS", "{}", NULL);
        ck_assert (broker.sent[broker.sent_count - 1].command == REEL_OK_WORKERS);
        ck_assert_uint_le (broker.sent[broker.sent_count - 1].header.len, REEL_HEADER_BYTES_MAX);
        broker_worker (&broker, peer, "READY", (const char *) ready.data, NULL);
    }
    broker_forget (&broker);
    broker_client (&broker, "c", "WORKERS", "{}", NULL);
    broker_expect (&broker, "c ERROR {'code':'too_large',...");
    reel_buf_free (&ready);
}
END_TEST

START_TEST (stats)
{
    six ();
    broker_client (&broker, "c", "SUBMIT", "{}", ONE ("2"));
    broker_client (&broker, "c", "GET", "{'workflow_id':'none'}", NULL);
    broker_client (&broker, "c", "NONE", "{}", NULL);
    broker_client (&broker, "c", "STATS", "{'request_id':1}", NULL);
    ck_assert_str_eq (
        broker_header (&broker, "/counters"),
        "{'submitted':6,'duplicates':1,'refused':2,'refused_queue_count':0,'refused_queue_bytes':0,"
        "'refused_disk':0,'refused_reads':0,'refused_waits':0,'refused_workers':0,'refused_size':0,'refused_draining':0,'assigned':4,'reports':4,'requeued':0,'held':1,'fenced':1,"
        "'succeeded':1,'failed':1,'cancelled':0,'snapshots':0,'forgotten':0,'malformed':1,'events':18,'commits':0,'dropped':0,"
        "'subscriber_full':0,'refused_connections':0,'refused_waiting_bytes':0}");
    ck_assert_str_eq (broker_header (&broker, "/gauges/queued"), "2");
    ck_assert_str_eq (broker_header (&broker, "/gauges/running"), "1");
    ck_assert_str_eq (broker_header (&broker, "/gauges/held"), "1");
    ck_assert_str_eq (broker_header (&broker, "/gauges/ended"), "2");
    ck_assert_str_eq (broker_header (&broker, "/gauges/workers"), "1");
    ck_assert_str_eq (broker_header (&broker, "/gauges/leases"), "1");
    ck_assert_str_eq (broker_header (&broker, "/gauges/waits"), "0");
}
END_TEST

START_TEST (stats_of_the_shell)
{
    static const struct reel_shell_stats shell = {.commits = 3, .subscribers = 4, .dropped = 5};
    broker.setup.shell = &shell;
    start_over ();
    broker_client (&broker, "c", "STATS", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/counters/commits"), "3");
    ck_assert_str_eq (broker_header (&broker, "/counters/dropped"), "5");
    ck_assert_str_eq (broker_header (&broker, "/gauges/subscribers"), "4");
}
END_TEST

START_TEST (ping)
{
    broker_client (&broker, "c", "PING", "{'request_id':1}", NULL);
    broker_expect (&broker, "c OK {'request_id':1,'version':'" REEL_VERSION "','epoch':1,'ready':true,'paused':false}");
    broker_restart (&broker);
    broker_client (&broker, "c", "PING", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/epoch"), "2");
    broker.wall_us = 1700000000000000;
    broker_restart (&broker);
    broker_client (&broker, "c", "PING", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/epoch"), "1700000000");
    /* A clock that is set back does not lower it. */
    broker.wall_us = 0;
    broker_restart (&broker);
    broker_client (&broker, "c", "PING", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/epoch"), "1700000001");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("core, clients");
    TCase *tests = suite_case (suite, "client", set_up, tear_down);
    tcase_add_test (tests, echoes_a_request_id_of_every_scalar_type);
    tcase_add_test (tests, refuses_a_request_id_that_is_no_scalar);
    tcase_add_test (tests, mirrors_the_delimiter);
    tcase_add_test (tests, refuses_what_is_no_message);
    tcase_add_test (tests, refuses_another_version);
    tcase_add_test (tests, refuses_an_unknown_command);
    tcase_add_loop_test (tests, says_which_header_field_is_malformed, 0, sizeof malformed / sizeof malformed[0]);
    tcase_add_test (tests, ignores_unknown_keys_but_not_frames);
    tcase_add_test (tests, submit_with_an_id);
    tcase_add_test (tests, submit_without_an_id_gives_one);
    tcase_add_test (tests, submit_again_while_it_is_queued_and_running);
    tcase_add_test (tests, submit_again_after_its_end);
    tcase_add_test (tests, submit_of_another_document_under_the_same_id);
    tcase_add_test (tests, submit_means_the_bytes);
    tcase_add_test (tests, two_submits_of_one_id_while_the_journal_is_read);
    tcase_add_loop_test (tests, submit_of_an_invalid_workflow_says_why_and_where, 0,
                         sizeof invalid / sizeof invalid[0]);
    tcase_add_test (tests, submit_of_a_malformed_document);
    tcase_add_test (tests, submit_of_a_document_at_the_limit_and_beyond);
    tcase_add_test (tests, submit_of_provenance_at_the_limit_and_beyond);
    tcase_add_test (tests, submit_when_so_many_are_live);
    tcase_add_test (tests, submit_when_they_hold_so_many_bytes);
    tcase_add_test (tests, submit_while_the_disk_is_nearly_full);
    tcase_add_test (tests, live_bytes_come_and_go);
    tcase_add_test (tests, submit_keeps_the_header_beside_the_document);
    tcase_add_test (tests, priority_comes_before_age);
    tcase_add_test (tests, not_before_its_time);
    tcase_add_test (tests, not_before_survives_a_restart);
    tcase_add_test (tests, a_time_far_off_is_looked_at_every_minute);
    tcase_add_test (tests, get_of_none);
    tcase_add_test (tests, get_says_what_it_waits_for);
    tcase_add_test (tests, get_shows_what_happened_so_far);
    tcase_add_test (tests, get_of_an_ended_one);
    tcase_add_test (tests, receipt_of_none);
    tcase_add_test (tests, receipt_that_is_not_there);
    tcase_add_test (tests, receipt_that_is_there);
    tcase_add_test (tests, receipt_waits_for_its_time);
    tcase_add_test (tests, receipt_waits_no_longer_than_an_hour);
    tcase_add_test (tests, receipt_waits_until_the_end);
    tcase_add_test (tests, receipts_that_wait_are_bounded);
    tcase_add_test (tests, draining_answers_what_waits_and_whatever_comes);
    tcase_add_test (tests, ended_one_whose_records_are_gone);
    tcase_add_test (tests, ended_one_whose_records_are_torn);
    tcase_add_test (tests, ended_one_is_retained_for_its_time);
    tcase_add_test (tests, submit_again_is_looked_at_again);
    tcase_add_loop_test (tests, ended_one_whose_records_are_bent, 0, 3);
    tcase_add_test (tests, list_of_nothing);
    tcase_add_test (tests, list_newest_first_live_and_ended_mixed);
    tcase_add_test (tests, list_by_status);
    tcase_add_loop_test (tests, list_pages_are_the_whole, 0, sizeof list_filters / sizeof list_filters[0]);
    tcase_add_test (tests, list_clamps_the_limit);
    tcase_add_test (tests, list_of_one_that_ends_while_the_journal_is_read);
    tcase_add_test (tests, events_of_nothing);
    tcase_add_test (tests, events_are_what_was_published);
    tcase_add_test (tests, events_that_take_long);
    tcase_add_test (tests, events_that_take_long_are_not_waited_for_at_the_end);
    tcase_add_test (tests, events_that_take_long_are_bounded);
    tcase_add_test (tests, events_by_pages);
    tcase_add_test (tests, events_of_one_workflow);
    tcase_add_test (tests, workers);
    tcase_add_test (tests, workers_who_say_too_much);
    tcase_add_test (tests, stats);
    tcase_add_test (tests, stats_of_the_shell);
    tcase_add_test (tests, ping);
    return suite_run (suite);
}
