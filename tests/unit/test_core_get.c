/*
 * GET and RECEIPT: what clients hear of one workflow, while it lives, after its end, and where the journal cannot find
 * it.
 */
#include <check.h>
#include <string.h>

#include "tests/support/broker_client.h"
#include "tests/support/suite.h"

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

int
main (void)
{
    Suite *suite = suite_create ("core, GET and RECEIPT");
    TCase *tests = suite_case (suite, "get", set_up, tear_down);
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
    return suite_run (suite);
}
