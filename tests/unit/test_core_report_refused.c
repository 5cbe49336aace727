/*
 * Reports that contradict what is known, cannot be read, or are larger than allowed: who says such a thing is fenced, and
 * counts as lost.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/support/broker_worker.h"
#include "tests/support/suite.h"

/* --- contradictions ---------------------------------------------------------------------------------- */

/* What is reported at the third index of "assigned", where step a has succeeded and b has been started. */
#define DEEP "[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]"
static const char *const contradictions[] = {
    STARTED ("b", "2", "true"), /* it runs already */
    STARTED ("a", "1", "true"), /* it has an outcome */
    STARTED ("c", "1", "true"), /* out of order */
    STARTED ("z", "1", "true"), /* no such step */
    SUCCEEDED ("a"),
    SUCCEEDED ("c"),
    FAILED ("c"),
    SKIPPED ("b"),
    RETRYING ("c"),
    CHECKPOINT ("c", "1"),
    ENDED, /* while a step runs */
    EVENT ("workflow.ended", ",'error':{'code':'x'}"),
    PROGRESS ("b"),                  /* with an index */
    EVENT ("workflow.accepted", ""), /* not a worker's to say */
    EVENT ("workflow.succeeded", ""),
    EVENT ("workflow.failed", ""),
    EVENT ("step.in_doubt", ",'step_id':'b'"),
    EVENT ("nonsense", ""),
    "{}",
    "7",
    "null",
    "[]",
    STEP_EVENT ("step.succeeded", "b", ""), /* without a receipt */
    STEP_EVENT ("step.succeeded", "b", ",'receipt':null"),
    STEP_EVENT ("step.succeeded", "b", ",'receipt':[]"),
    STEP_EVENT ("step.succeeded", "b", ",'receipt':{},'seq':1"),
    STEP_EVENT ("step.succeeded", "b", ",'receipt':{},'index':1"),
    STEP_EVENT ("step.succeeded", "b", ",'receipt':{},'workflow_id':'wf'"),
    STEP_EVENT ("step.succeeded", "b", ",'receipt':{'x':" DEEP "}"),
    STEP_EVENT ("step.failed", "b", ""),
    STEP_EVENT ("step.failed", "b", ",'error':null"),
    STEP_EVENT ("step.failed", "b", ",'error':7"),
    STEP_EVENT ("step.failed", "b", ",'error':[]"),
    STEP_EVENT ("step.failed", "b", ",'error':{'x':" DEEP "}"),
    STEP_EVENT ("step.retrying", "b", ",'error':7,'delay_ms':1"),
    STEP_EVENT ("step.retrying", "b", ",'error':'x'"),
    STEP_EVENT ("step.checkpoint", "b", ",'checkpoint':[" DEEP "]"),
    STEP_EVENT ("step.checkpoint", "b", ""),
    "{'kind':'step.failed','step_id':'b','error':'x'}", /* without a time */
    "{'kind':'step.failed','at_us':-1,'step_id':'b','error':'x'}",
};

START_TEST (contradiction_is_fenced_and_loses_the_worker)
{
    char events[1024];
    assigned ();
    broker_report (&broker, "w", 1, 1,
                   "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," STARTED ("b", "1", "true") "]");
    broker_forget (&broker);
    broker_ready (&broker, "w", 0, "'echo'"); /* so that it does not get it again at once */
    broker_forget (&broker);
    snprintf (events, sizeof events, "[%s]", contradictions[_i]);
    broker_report (&broker, "w", 1, 4, events);
    broker_expect (&broker, "6 wf.6 workflow.requeued {'reason':'contradiction'}",
                   "w FENCED {'lease':[1,1],'error':{'code':...");
    ck_assert_str_eq (status ("wf"), "queued");
    broker_report (&broker, "w", 1, 4, "[" SUCCEEDED ("b") "]");
    broker_expect (&broker, "w FENCED {'lease':[1,1]}");
    broker_ready (&broker, "v", 1, "'echo'");
    ck_assert_str_eq (status ("wf"), "running");
}
END_TEST

static const char *const early_contradictions[] = {
    SUCCEEDED ("a"),
    RETRYING ("a"),
    CHECKPOINT ("a", "1"),
    SKIPPED ("a"),
    STARTED ("a", "2", "true"),
    STARTED ("a", "0", "true"),
    STARTED ("b", "1", "true"),
    ENDED,
    STEP_EVENT ("step.started", "a", ",'attempt':1"),
    STEP_EVENT ("step.started", "a", ",'attempt':1,'idempotent':1"),
    STEP_EVENT ("step.started", "a", ",'attempt':1,'idempotent':true,'in_doubt':'maybe'"),
    EVENT ("workflow.ended", ",'error':7"),
    EVENT ("workflow.ended", ",'error':{'x':" DEEP "}"),
};

START_TEST (contradiction_before_the_start)
{
    char events[1024];
    assigned ();
    broker_ready (&broker, "w", 0, "'echo'");
    broker_forget (&broker);
    snprintf (events, sizeof events, "[%s]", early_contradictions[_i]);
    broker_report (&broker, "w", 1, 1, events);
    broker_expect (&broker, "3 wf.3 workflow.requeued {'reason':'contradiction'}",
                   "w FENCED {'lease':[1,1],'error':...");
}
END_TEST

static const char *const blocked_contradictions[] = {
    STARTED ("b", "1", "true"),           FAILED ("b"), SUCCEEDED ("b"),
    STARTED ("c", "1", "true"),           ENDED,        STEP_EVENT ("step.skipped", "b", ",'error':7"),
    STEP_EVENT ("step.skipped", "b", ""),
};

START_TEST (contradiction_where_a_step_is_skipped)
{
    char events[1024];
    assigned ();
    broker_ready (&broker, "w", 0, "'echo'");
    broker_report (&broker, "w", 1, 1, "[" FAILED ("a") "]");
    broker_forget (&broker);
    snprintf (events, sizeof events, "[%s]", blocked_contradictions[_i]);
    broker_report (&broker, "w", 1, 2, events);
    broker_expect (&broker, "4 wf.4 workflow.requeued {'reason':'contradiction'}",
                   "w FENCED {'lease':[1,1],'error':...");
}
END_TEST

START_TEST (contradiction_while_it_backs_off)
{
    static const char *const events[] = {"[" SUCCEEDED ("a") "]",
                                         "[" RETRYING ("a") "]",
                                         "[" ENDED "]",
                                         "[" EVENT ("workflow.ended", ",'error':{}") "]",
                                         "[" STARTED ("a", "1", "true") "]",
                                         "[" CHECKPOINT ("a", "1") "]",
                                         "[" SKIPPED ("a") "]"};
    assigned ();
    broker_ready (&broker, "w", 0, "'echo'");
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "," RETRYING ("a") "]");
    broker_forget (&broker);
    broker_report (&broker, "w", 1, 3, events[_i]);
    broker_expect (&broker, "5 wf.5 workflow.requeued {'reason':'contradiction'}",
                   "w FENCED {'lease':[1,1],'error':...");
}
END_TEST

START_TEST (failure_while_it_backs_off)
{
    assigned ();
    broker_report (&broker, "w", 1, 1,
                   "[" STARTED ("a", "1", "true") "," RETRYING ("a") "," FAILED ("a") "," SKIPPED ("b") "]");
    ck_assert_str_eq (broker_header (&broker, "/report_index"), "4");
}
END_TEST

START_TEST (what_comes_before_a_contradiction_stays)
{
    assigned ();
    broker_ready (&broker, "w", 0, "'echo'");
    broker_forget (&broker);
    broker_report (&broker, "w", 1, 1,
                   "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," SUCCEEDED ("b") "," ENDED "]");
    broker_expect (&broker, "3 wf.3 step.started ...", "4 wf.4 step.succeeded ...",
                   "5 wf.5 workflow.requeued {'reason':'contradiction'}",
                   "w FENCED {'lease':[1,1],'error':{'code':'contradiction','message':'step.succeeded: ...");
}
END_TEST

START_TEST (nothing_comes_after_the_last_event)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, ONE ("wf"));
    broker_forget (&broker);
    broker_report (&broker, "w", 1, 1,
                   "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," ENDED "," STARTED ("a", "2", "true") "]");
    broker_expect (&broker, "3 ...", "4 ...", "5 wf.5 workflow.succeeded", "receipt wf",
                   "w ACK {'lease':[1,1],'report_index':3}");
}
END_TEST

START_TEST (report_index_counts_from_one)
{
    assigned ();
    broker_ready (&broker, "w", 0, "'echo'");
    broker_forget (&broker);
    broker_report (&broker, "w", 1, 0, "[" STARTED ("a", "1", "true") "]");
    broker_expect (&broker, "3 wf.3 workflow.requeued ...", "w FENCED {'lease':[1,1],'error':{'code':'malformed',...");
}
END_TEST

/* --- reports that cannot be read ------------------------------------------------------------------ */

START_TEST (unreadable_report_is_fenced_where_its_lease_can_be_read)
{
    static const char *const headers[] = {"{'lease':[1,1]}", "{'lease':[1,1],'report_index':'x'}",
                                          "{'report_index':-1,'lease':[1,1]}"};
    assigned ();
    broker_ready (&broker, "w", 0, "'echo'");
    broker_forget (&broker);
    broker_worker (&broker, "w", "REPORT", headers[_i], "[]");
    broker_expect (&broker, "3 wf.3 workflow.requeued {'reason':'contradiction'}",
                   "w FENCED {'lease':[1,1],'error':{'code':'malformed',...");
    broker_worker (&broker, "w", "REPORT", headers[_i], "[]");
    broker_expect (&broker, "w FENCED {'lease':[1,1],'error':{'code':'malformed',...");
}
END_TEST

START_TEST (unreadable_report_from_an_unknown_connection)
{
    assigned ();
    broker_worker (&broker, "x", "REPORT", "{'lease':[1,1]}", "[]");
    broker_expect (&broker, "x WHO {}");
    broker_worker (&broker, "x", "REPORT", "{'lease':[1,9]}", "[]");
    broker_expect (&broker, "x FENCED {'lease':[1,9],'error':...", "x WHO {}");
    ck_assert_str_eq (status ("wf"), "running");
}
END_TEST

START_TEST (unreadable_report_without_a_lease_is_an_error)
{
    static const char *const headers[] = {"{}", "{'report_index':1}", "{'lease':[1],'report_index':1}",
                                          "{'lease':7,'report_index':1}"};
    assigned ();
    broker_worker (&broker, "w", "REPORT", headers[_i], "[]");
    broker_expect (&broker, "w ERROR {'code':'malformed',...");
    ck_assert_str_eq (status ("wf"), "running");
}
END_TEST

START_TEST (report_without_a_document)
{
    assigned ();
    broker_ready (&broker, "w", 0, "'echo'");
    broker_forget (&broker);
    broker_worker (&broker, "w", "REPORT", "{'lease':[1,1],'report_index':1}", NULL);
    broker_expect (&broker, "3 wf.3 workflow.requeued ...", "w FENCED {'lease':[1,1],'error':{'code':'malformed',...");
}
END_TEST

static void
report_bytes (struct reel_slice document)
{
    struct reel_buf header = broker_msgpack ("{'lease':[1,1],'report_index':1}");
    const struct reel_slice list[] = {reel_slice_text ("REEL1"), reel_slice_text ("REPORT"), reel_buf_slice (&header),
                                      document};
    broker_frames (&broker, REEL_SOCKET_WORKER, "w", false, list, 4);
    reel_buf_free (&header);
}

START_TEST (report_whose_document_is_no_array_of_maps)
{
    static const struct reel_slice documents[] = {{(const uint8_t *) "", 0},
                                                  {(const uint8_t *) "\x80", 1},
                                                  {(const uint8_t *) "\xc0", 1},
                                                  {(const uint8_t *) "\x91", 1},
                                                  {(const uint8_t *) "\x90\x90", 2},
                                                  {(const uint8_t *) "\x91\x90", 2},
                                                  {(const uint8_t *) "\x91\x01", 2},
                                                  {(const uint8_t *) "\xdd\xff\xff\xff\xff", 5},
                                                  {(const uint8_t *) "\x91\x81\x01\x01", 4}};
    assigned ();
    broker_ready (&broker, "w", 0, "'echo'");
    broker_forget (&broker);
    report_bytes (documents[_i]);
    broker_expect (&broker, "3 wf.3 workflow.requeued ...", "w FENCED {'lease':[1,1],'error':...");
}
END_TEST

/* --- limits ------------------------------------------------------------------------------------------------ */

/* A report of one event that succeeds with a receipt of exactly that many bytes. */
static void
report_receipt (uint64_t index, size_t bytes)
{
    struct reel_buf report = {0}, header = {0};
    size_t pad = bytes - 8;
    reel_pack_array (&report, 1);
    reel_pack_map (&report, 4);
    reel_pack_text (&report, "kind");
    reel_pack_text (&report, "step.succeeded");
    reel_pack_text (&report, "at_us");
    reel_pack_uint (&report, 5);
    reel_pack_text (&report, "step_id");
    reel_pack_text (&report, "a");
    reel_pack_text (&report, "receipt");
    reel_buf_add (&report, "\x81\xa1x\xc6", 4);
    reel_buf_add (&report,
                  (const uint8_t[]){(uint8_t) (pad >> 24), (uint8_t) (pad >> 16), (uint8_t) (pad >> 8), (uint8_t) pad},
                  4);
    memset (reel_buf_reserve (&report, pad), 0, pad);
    report.len += pad;
    char json[64];
    snprintf (json, sizeof json, "{'lease':[1,1],'report_index':%llu}", (unsigned long long) index);
    header = broker_msgpack (json);
    const struct reel_slice list[] = {reel_slice_text ("REEL1"), reel_slice_text ("REPORT"), reel_buf_slice (&header),
                                      reel_buf_slice (&report)};
    broker_frames (&broker, REEL_SOCKET_WORKER, "w", false, list, 4);
    reel_buf_free (&header);
    reel_buf_free (&report);
}

START_TEST (receipt_at_the_limit_and_beyond)
{
    assigned ();
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "]");
    report_receipt (2, REEL_RECEIPT_BYTES_MAX + (size_t) _i);
    ck_assert_str_eq (broker_header (&broker, "/report_index"), _i == 0 ? "2" : "");
    ck_assert_uint_eq (broker.event_count, _i == 0 ? 4 : 5);
}
END_TEST

START_TEST (receipt_as_deep_as_allowed)
{
    struct reel_buf events = {0};
    assigned ();
    reel_buf_add_text (
        &events, "[" STARTED ("a", "1", "true") ","
                                                "{'kind':'step.succeeded','at_us':5,'step_id':'a','receipt':{'x':");
    for (unsigned i = 1; i < REEL_RECEIPT_DEPTH_MAX; i++)
        reel_buf_add_byte (&events, '[');
    for (unsigned i = 1; i < REEL_RECEIPT_DEPTH_MAX; i++)
        reel_buf_add_byte (&events, ']');
    reel_buf_add (&events, "}}]", 4);
    broker_report (&broker, "w", 1, 1, (const char *) events.data);
    ck_assert_str_eq (broker_header (&broker, "/report_index"), "2");
    /* The bench has checked that the documents made from it are still within REEL_DEPTH_MAX. */
    broker_report (&broker, "w", 1, 3, "[" FAILED ("b") "," FAILED ("c") "," ENDED "]");
    broker_client (&broker, "c", "EVENTS", "{'after':0}", NULL);
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf'}", NULL);
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf'}", NULL);
    reel_buf_free (&events);
}
END_TEST

START_TEST (report_of_as_many_events_as_allowed)
{
    struct reel_buf events = {0};
    assigned ();
    reel_buf_add_text (&events, "[" STARTED ("a", "1", "true"));
    for (unsigned i = 1; i < REEL_REPORT_EVENTS_MAX + (unsigned) _i; i++)
        reel_buf_add_text (&events, "," CHECKPOINT ("a", "1"));
    reel_buf_add (&events, "]", 2);
    broker_report (&broker, "w", 1, 1, (const char *) events.data);
    ck_assert_str_eq (broker_header (&broker, "/report_index"), _i == 0 ? "1024" : "");
    ck_assert_uint_eq (broker.event_count, _i == 0 ? 1026 : 4);
    reel_buf_free (&events);
}
END_TEST

START_TEST (report_of_as_many_bytes_as_allowed)
{
    struct reel_buf report = {0};
    struct reel_buf start = broker_msgpack ("[" STARTED ("a", "1", "true") "]");
    size_t bytes = REEL_REPORT_BYTES_MAX + (size_t) _i;
    assigned ();
    /* One more key, of a bin that fills it up. */
    reel_buf_add_byte (&report, 0x91);
    reel_buf_add_byte (&report, (uint8_t) (start.data[1] + 1));
    reel_buf_add (&report, start.data + 2, start.len - 2);
    reel_buf_add (&report, "\xa1x\xc6", 3);
    size_t pad = bytes - report.len - 4;
    reel_buf_add (&report,
                  (const uint8_t[]){(uint8_t) (pad >> 24), (uint8_t) (pad >> 16), (uint8_t) (pad >> 8), (uint8_t) pad},
                  4);
    memset (reel_buf_reserve (&report, pad), 0, pad);
    report.len += pad;
    report_bytes (reel_buf_slice (&report));
    ck_assert_uint_eq (broker.event_count, _i == 0 ? 3 : 4);
    reel_buf_free (&report);
    reel_buf_free (&start);
}
END_TEST

START_TEST (event_of_as_many_keys_as_allowed)
{
    struct reel_buf report = {0};
    uint32_t keys = REEL_OWN_KEYS_MAX + (uint32_t) _i;
    char name[16];
    assigned ();
    reel_pack_array (&report, 1);
    reel_pack_map (&report, keys);
    reel_pack_text (&report, "kind");
    reel_pack_text (&report, "step.failed");
    reel_pack_text (&report, "at_us");
    reel_pack_uint (&report, 5);
    reel_pack_text (&report, "step_id");
    reel_pack_text (&report, "a");
    reel_pack_text (&report, "error");
    reel_pack_text (&report, "x");
    for (uint32_t i = 4; i < keys; i++) {
        snprintf (name, sizeof name, "k%u", i);
        reel_pack_text (&report, name);
        reel_pack_nil (&report);
    }
    /* What is made of it is read back as a record. */
    struct reel_slice bytes = reel_buf_slice (&report);
    struct reel_buf header = broker_msgpack ("{'lease':[1,1],'report_index':1}");
    const struct reel_slice list[] = {reel_slice_text ("REEL1"), reel_slice_text ("REPORT"), reel_buf_slice (&header),
                                      bytes};
    struct reel_core_frames frames = {REEL_SOCKET_WORKER, reel_slice_text ("w"), false, list, 4};
    struct reel_core_time now = {broker.wall_us, broker.monotonic_us};
    struct reel_effects effects = {0};
    struct reel_core *core = broker.core;
    ck_assert_int_eq (reel_core_message (core, now, &frames, &effects), REEL_OK);
    ck_assert_int_eq (effects.sends[0].command, _i == 0 ? REEL_ACK : REEL_FENCED);
    ck_assert_uint_eq (effects.event_count, 1);
    for (size_t i = 0; i < effects.publish_count; i++)
        ck_assert_int_eq (reel_scan_check (reel_effects_body (&effects, &effects.publishes[i]), REEL_DEPTH_MAX, NULL),
                          REEL_OK);
    reel_effects_free (&effects);
    reel_buf_free (&report);
    reel_buf_free (&header);
    reel_core_destroy (&broker.core); /* it knows more than the bench */
}
END_TEST

#define LOOP(test, list) tcase_add_loop_test (tests, test, 0, sizeof list / sizeof list[0])

int
main (void)
{
    Suite *suite = suite_create ("core, reports refused");
    TCase *tests = suite_case (suite, "refused", set_up, tear_down);
    LOOP (contradiction_is_fenced_and_loses_the_worker, contradictions);
    LOOP (contradiction_before_the_start, early_contradictions);
    LOOP (contradiction_where_a_step_is_skipped, blocked_contradictions);
    tcase_add_loop_test (tests, contradiction_while_it_backs_off, 0, 7);
    tcase_add_test (tests, failure_while_it_backs_off);
    tcase_add_test (tests, what_comes_before_a_contradiction_stays);
    tcase_add_test (tests, nothing_comes_after_the_last_event);
    tcase_add_test (tests, report_index_counts_from_one);
    tcase_add_loop_test (tests, unreadable_report_is_fenced_where_its_lease_can_be_read, 0, 3);
    tcase_add_test (tests, unreadable_report_from_an_unknown_connection);
    tcase_add_loop_test (tests, unreadable_report_without_a_lease_is_an_error, 0, 4);
    tcase_add_test (tests, report_without_a_document);
    tcase_add_loop_test (tests, report_whose_document_is_no_array_of_maps, 0, 9);
    tcase_add_loop_test (tests, receipt_at_the_limit_and_beyond, 0, 2);
    tcase_add_test (tests, receipt_as_deep_as_allowed);
    tcase_add_loop_test (tests, report_of_as_many_events_as_allowed, 0, 2);
    tcase_add_loop_test (tests, report_of_as_many_bytes_as_allowed, 0, 2);
    tcase_add_loop_test (tests, event_of_as_many_keys_as_allowed, 0, 2);
    return suite_run (suite);
}
