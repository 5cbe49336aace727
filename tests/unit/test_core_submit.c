/*
 * SUBMIT: what is accepted, what is the same workflow said again, and what is refused.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "proto/pack.h"
#include "tests/support/broker_client.h"
#include "tests/support/suite.h"

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

int
main (void)
{
    Suite *suite = suite_create ("core, SUBMIT");
    TCase *tests = suite_case (suite, "submit", set_up, tear_down);
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
    return suite_run (suite);
}
