/*
 * What clients ask of the whole: LIST, EVENTS, WORKERS, STATS, PING, and the replies byte for byte where they matter.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "proto/scan.h"
#include "tests/support/broker_client.h"
#include "tests/support/suite.h"

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
    Suite *suite = suite_create ("core, overview");
    TCase *tests = suite_case (suite, "overview", set_up, tear_down);
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
