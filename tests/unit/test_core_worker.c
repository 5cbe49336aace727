/*
 * What workers say of themselves to the broker's core: READY, HEARTBEAT, LEAVE; and what it makes of their connections.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "proto/pack.h"
#include "tests/support/broker_worker.h"
#include "tests/support/suite.h"

#define INSTANCE "'instance':{'$bin':'AAECAwQFBgcICQoLDA0ODw=='}"

/* --- READY ---------------------------------------------------------------------------------------- */

START_TEST (ready_is_welcomed)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_expect (&broker, WELCOME ("w"));
    broker_ready (&broker, "v", 0, "");
    broker_expect (&broker, WELCOME ("v"));
}
END_TEST

static const struct {
    const char *header;
    const char *path;
} bad_ready[] = {
    {"{'slots':1,'modalities':[]}", "'/name'"},
    {"{'name':7,'slots':1,'modalities':[]}", "'/name'"},
    {"{'name':'w','modalities':[]}", "'/slots'"},
    {"{'name':'w','slots':-1,'modalities':[]}", "'/slots'"},
    {"{'name':'w','slots':4097,'modalities':[]}", "'/slots'"},
    {"{'name':'w','slots':1}", "'/modalities'"},
    {"{'name':'w','slots':1,'modalities':'echo'}", "'/modalities'"},
    {"{'name':'w','slots':1,'modalities':['a',7]}", "'/modalities/1'"},
    {"{'name':'w','slots':1,'modalities':['']}", "'/modalities/0'"},
    {"{'name':'w','slots':1,'modalities':['A']}", "'/modalities/0'"},
    {"{'name':'w','slots':1,'modalities':[[]]}", "'/modalities/0'"},
    {"{'name':'w','slots':1,'modalities':[],'instance':{'$bin':'AAE='}}", "'/instance'"},
    {"{'name':'w','slots':1,'modalities':[],'dispatch':[]}", "'/dispatch'"},
    {"{'name':'w','slots':1,'modalities':[],'dispatch':{'x':[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]}}",
     "'/dispatch'"},
    {"{'name':'w','slots':1,'modalities':[],'resume':7}", "'/resume'"},
    {"{'name':'w','slots':1,'modalities':[],'resume':[[[1,1],0],[1,1]]}", "'/resume/1'"},
    {"{'name':'w','slots':1,'modalities':[],'resume':[[[1],0]]}", "'/resume/0'"},
    {"{'name':'w','slots':1,'modalities':[],'resume':[[[1,1],-1]]}", "'/resume/0'"},
    {"{'name':'w','slots':1,'modalities':[],'resume':[[[1,1],0,0]]}", "'/resume/0'"},
    {"{'name':'w','slots':1,'modalities':[],'resume':[[[1,1],'x']]}", "'/resume/0'"},
    {"{'name':'w','slots':1,'modalities':[],'resume':['x']}", "'/resume/0'"},
    {"{'name':'w','slots':1,'modalities':[],'resume':[{'x':1}]}", "'/resume/0'"},
};

START_TEST (ready_that_is_malformed_changes_nothing)
{
    broker_submit (&broker, ONE ("wf"));
    broker_worker (&broker, "w", "READY", bad_ready[_i].header, NULL);
    ck_assert_str_eq (broker_header (&broker, "/code"), "'malformed'");
    ck_assert_str_eq (broker_header (&broker, "/path"), bad_ready[_i].path);
    broker_client (&broker, "c", "WORKERS", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, ""), "{'workers':[]}");
    ck_assert_str_eq (status ("wf"), "queued");
}
END_TEST

START_TEST (ready_with_a_dispatch_at_the_limit_and_beyond)
{
    for (size_t over = 0; over < 2; over++) {
        struct reel_buf header = {0};
        size_t pad = REEL_DISPATCH_BYTES_MAX - 6 + over; /* {"x": bin 16} is 6 bytes without the body */
        reel_pack_map (&header, 4);
        reel_pack_text (&header, "name");
        reel_pack_text (&header, "w");
        reel_pack_text (&header, "slots");
        reel_pack_uint (&header, 1);
        reel_pack_text (&header, "modalities");
        reel_pack_array (&header, 0);
        reel_pack_text (&header, "dispatch");
        reel_buf_add (&header, "\x81\xa1x\xc5", 4);
        reel_buf_add (&header, (const uint8_t[]){(uint8_t) (pad >> 8), (uint8_t) pad}, 2);
        uint8_t *at = reel_buf_reserve (&header, pad);
        memset (at, 0, pad);
        header.len += pad;
        const struct reel_slice list[] = {reel_slice_text ("REEL1"), reel_slice_text ("READY"),
                                          reel_buf_slice (&header)};
        broker_frames (&broker, REEL_SOCKET_WORKER, "w", false, list, 3);
        ck_assert_str_eq (broker_header (&broker, "/code"), over ? "'malformed'" : "");
        ck_assert_str_eq (broker_header (&broker, "/path"), over ? "'/dispatch'" : "");
        reel_buf_free (&header);
    }
}
END_TEST

START_TEST (ready_again_replaces_the_offer)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, WORKFLOW ("v", STEP ("a", "video")));
    broker_submit (&broker, WORKFLOW ("w", STEP ("a", "audio")));
    broker_forget (&broker);
    broker_ready (&broker, "w", 1, "'video'");
    broker_expect (&broker, WELCOME ("w"), "3 v.2 workflow.assigned ...", "w ASSIGN ...");
    broker_ready (&broker, "w", 2, "'audio'");
    broker_expect (&broker, WELCOME ("w"), "4 w.2 workflow.assigned ...", "w ASSIGN ...");
    broker_client (&broker, "c", "WORKERS", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, ""),
                      "{'workers':[{'name':'w','slots':2,'leases':2,'heard_us':1000000,'modalities':['audio']}]}");
}
END_TEST

START_TEST (ready_with_a_repeated_modality)
{
    broker_ready (&broker, "w", 1, "'echo','echo'");
    broker_submit (&broker, ONE ("wf"));
    ck_assert_str_eq (status ("wf"), "running");
    broker_worker (&broker, "w", "LEAVE", "{}", NULL);
    broker_submit (&broker, ONE ("other"));
    broker_client (&broker, "c", "GET", "{'workflow_id':'other'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/waiting_for"), "'echo'");
}
END_TEST

START_TEST (ready_without_slots_drains)
{
    assigned ();
    broker_ready (&broker, "w", 0, "'echo'");
    broker_submit (&broker, ONE ("x"));
    ck_assert_str_eq (status ("x"), "queued");
    /* What it has it may bring to an end, or give back. */
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," YIELDED "]");
    ck_assert_str_eq (status ("wf"), "queued");
    ck_assert_str_eq (broker_header (&broker, "/report_index"), "3");
    broker_forget (&broker);
    broker_ready (&broker, "v", 1, "'echo'");
    broker_expect (&broker, WELCOME ("v"), "7 wf.6 workflow.assigned {'worker':'v','delivery':2,'lease':[1,2]}",
                   "v ASSIGN {'lease':[1,2],'workflow_id':'wf','delivery':2} +");
}
END_TEST

START_TEST (ready_of_a_known_instance_moves_it)
{
    broker_worker (&broker, "w1", "READY", "{'name':'w'," INSTANCE ",'slots':1,'modalities':['echo']}", NULL);
    broker_submit (&broker, ONE ("wf"));
    broker_submit (&broker, ONE ("next"));
    broker_ready (&broker, "w2", 0, "'video'");
    broker_forget (&broker);
    broker_worker (&broker, "w2", "READY", "{'name':'w'," INSTANCE ",'slots':1,'modalities':['echo']}", NULL);
    broker_expect (&broker, WELCOME ("w2"));
    broker_client (&broker, "c", "WORKERS", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/workers/1"), "");
    ck_assert_str_eq (broker_header (&broker, "/workers/0/leases"), "1");
    broker_forget (&broker);
    /* The old connection is nobody's; the lease goes with the worker, and so does what is handed out next. */
    broker_worker (&broker, "w1", "HEARTBEAT", "{'leases':[[1,1]],'sent_us':1}", NULL);
    broker_expect (&broker, "w1 WHO {}");
    broker_report (&broker, "w2", 1, 1, "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," ENDED "]");
    broker_expect (&broker, "4 wf.3 ...", "5 wf.4 ...", "6 wf.5 ...", "receipt wf", "w2 ACK ...", "7 next.2 ...",
                   "w2 ASSIGN ...");
}
END_TEST

START_TEST (ready_of_a_known_instance_leaves_nothing_behind)
{
    broker_worker (&broker, "w1", "READY", "{'name':'w'," INSTANCE ",'slots':1,'modalities':['echo']}", NULL);
    broker_worker (&broker, "w2", "READY", "{'name':'w'," INSTANCE ",'slots':1,'modalities':['echo']}", NULL);
    broker_worker (&broker, "w2", "LEAVE", "{}", NULL);
    broker_forget (&broker);
    broker_worker (&broker, "w1", "HEARTBEAT", "{'leases':[],'sent_us':1}", NULL);
    broker_expect (&broker, "w1 WHO {}");
}
END_TEST

START_TEST (ready_of_the_same_instance_on_the_same_connection)
{
    for (int i = 0; i < 2; i++) {
        broker_worker (&broker, "w", "READY", "{'name':'w'," INSTANCE ",'slots':1,'modalities':['echo']}", NULL);
        broker_expect (&broker, WELCOME ("w"));
    }
}
END_TEST

START_TEST (resume_is_acknowledged_or_fenced)
{
    assigned ();
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "]");
    broker_restart (&broker);
    broker_forget (&broker);
    broker_worker (&broker, "w2", "READY",
                   "{'name':'w','slots':2,'modalities':['echo'],'resume':[[[1,1],5],[[1,2],0],[[2,1],0],[[0,0],1]]}",
                   NULL);
    broker_expect (&broker, "w2 WELCOME {'heartbeat_ms':2000,'lease_ms':10000,'epoch':2,...",
                   "w2 ACK {'lease':[1,1],'report_index':2}", "w2 FENCED {'lease':[1,2]}", "w2 FENCED {'lease':[2,1]}",
                   "w2 FENCED {'lease':[0,0]}");
    broker_report (&broker, "w2", 1, 3, "[" STARTED ("b", "1", "true") "]");
    broker_expect (&broker, "5 wf.5 step.started ...", "w2 ACK {'lease':[1,1],'report_index':3}");
    broker_client (&broker, "c", "WORKERS", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/workers/0/leases"), "1");
}
END_TEST

START_TEST (many_workers_are_told_apart)
{
    char name[16];
    for (int i = 0; i < 40; i++) {
        snprintf (name, sizeof name, "w%d", i);
        broker_ready (&broker, name, 1, "'echo'");
    }
    broker_worker (&broker, "new", "READY", "{'name':'n','slots':1,'modalities':['paid']," INSTANCE "}", NULL);
    broker_client (&broker, "c", "WORKERS", "{}", NULL);
    ck_assert_str_ne (broker_header (&broker, "/workers/40"), "");
    ck_assert_str_eq (broker_header (&broker, "/workers/41"), "");
    broker_submit (&broker, WORKFLOW ("wf", STEP ("a", "paid")));
    ck_assert_str_eq (status ("wf"), "running");
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/worker"), "'n'");
}
END_TEST

/* What it says of its adapters is shown as it is; a checkpoint goes only where it says resumable in so many words. */
START_TEST (dispatch_that_does_not_say_resumable)
{
    static const char *const said[] = {"{}", "{'echo':7}", "{'echo':{}}", "{'echo':{'class':7}}",
                                       "{'paid':{'class':'resumable'}}"};
    char header[160];
    assigned ();
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "false") "," CHECKPOINT ("a", "7") "]");
    broker_worker (&broker, "w", "LEAVE", "{}", NULL);
    broker_pass_ms (&broker, 10000);
    snprintf (header, sizeof header, "{'name':'v','slots':1,'modalities':['echo'],'dispatch':%s}", said[_i]);
    broker_worker (&broker, "v", "READY", header, NULL);
    ck_assert_str_eq (status ("wf"), "queued");
    broker_worker (&broker, "v", "READY",
                   "{'name':'v','slots':1,'modalities':['echo'],'dispatch':{'echo':{'class':'resumable'}}}", NULL);
    ck_assert_str_eq (status ("wf"), "running");
}
END_TEST

START_TEST (workers_are_bounded)
{
    tear_down ();
    broker_init (&broker);
    broker.setup.workers_max = 2;
    broker_start (&broker);
    broker_ready (&broker, "u", 1, "'echo'");
    broker_ready (&broker, "v", 1, "'echo'");
    broker_forget (&broker);
    broker_ready (&broker, "w", 1, "'echo'");
    broker_expect (&broker, "w ERROR {'code':'overloaded',...");
    broker_client (&broker, "c", "STATS", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/counters/refused_workers"), "1");
    ck_assert_str_eq (broker_header (&broker, "/counters/malformed"), "0");
    broker_forget (&broker);
    broker_ready (&broker, "v", 1, "'echo'");
    broker_expect (&broker, WELCOME ("v"));
    broker_worker (&broker, "u", "LEAVE", "{}", NULL);
    broker_ready (&broker, "w", 1, "'echo'");
    broker_expect (&broker, WELCOME ("w"));
}
END_TEST

/* --- HEARTBEAT, LEAVE, unroutable ------------------------------------------------------------------------ */

START_TEST (heartbeat_is_echoed_after_what_is_fenced)
{
    assigned ();
    broker_worker (&broker, "w", "HEARTBEAT", "{'leases':[[1,1],[1,7],[0,0]],'sent_us':123}", NULL);
    broker_expect (&broker, "w FENCED {'lease':[1,7]}", "w FENCED {'lease':[0,0]}", "w HEARTBEAT {'sent_us':123}");
    broker_worker (&broker, "x", "HEARTBEAT", "{'leases':[[1,1],[1,7]],'sent_us':123}", NULL);
    broker_expect (&broker, "x FENCED {'lease':[1,7]}", "x WHO {}");
}
END_TEST

START_TEST (heartbeat_that_is_malformed_renews_nothing)
{
    static const struct {
        const char *header;
        const char *path;
    } bad[] = {{"{'leases':[[1,1]]}", "'/sent_us'"},
               {"{'sent_us':1}", "'/leases'"},
               {"{'leases':[[1,1],7],'sent_us':1}", "'/leases/1'"},
               {"{'leases':[[1,1],[1,1,1]],'sent_us':1}", "'/leases/1'"}};
    assigned ();
    broker_pass_ms (&broker, 9999);
    broker_worker (&broker, "w", "HEARTBEAT", bad[_i].header, NULL);
    ck_assert_str_eq (broker_header (&broker, "/code"), "'malformed'");
    ck_assert_str_eq (broker_header (&broker, "/path"), bad[_i].path);
    broker_pass_ms (&broker, 1);
    ck_assert_str_eq (status ("wf"), "queued");
}
END_TEST

START_TEST (leave_forgets_the_connection_and_leaves_leases_alone)
{
    assigned ();
    broker_worker (&broker, "w", "LEAVE", "{}", NULL);
    broker_worker (&broker, "nobody", "LEAVE", "{}", NULL);
    broker_expect_nothing (&broker);
    broker_client (&broker, "c", "WORKERS", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, ""), "{'workers':[]}");
    ck_assert_str_eq (status ("wf"), "running");
    broker_pass_ms (&broker, 9999);
    ck_assert_str_eq (status ("wf"), "running");
    broker_pass_ms (&broker, 1);
    ck_assert_str_eq (status ("wf"), "queued");
}
END_TEST

START_TEST (silent_connection_is_gone_before_its_leases)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_pass_ms (&broker, 9999);
    broker_worker (&broker, "w", "HEARTBEAT", "{'leases':[],'sent_us':1}", NULL);
    broker_pass_ms (&broker, 9999);
    broker_submit (&broker, ONE ("wf"));
    ck_assert_str_eq (status ("wf"), "running");
    broker_pass_ms (&broker, 1);
    broker_submit (&broker, ONE ("next"));
    broker_client (&broker, "c", "WORKERS", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, ""), "{'workers':[]}");
    ck_assert_str_eq (status ("wf"), "running");
    broker_forget (&broker);
    broker_worker (&broker, "w", "HEARTBEAT", "{'leases':[[1,1]],'sent_us':1}", NULL);
    broker_expect (&broker, "w WHO {}");
}
END_TEST

START_TEST (unroutable_connection_gets_nothing_until_it_is_ready_again)
{
    assigned ();
    broker_unroutable (&broker, "w");
    broker_unroutable (&broker, "nobody");
    broker_submit (&broker, ONE ("x"));
    ck_assert_str_eq (status ("x"), "queued");
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "]");
    ck_assert_int_eq (broker.sent[0].command, REEL_WHO);
    broker_worker (&broker, "w", "READY", "{'name':'w','slots':2,'modalities':['echo'],'resume':[[[1,1],1]]}", NULL);
    ck_assert_str_eq (status ("x"), "running");
    ck_assert_uint_eq (broker_model (&broker, "wf")->deliveries, 1);
}
END_TEST

START_TEST (messages_of_no_known_form_get_an_error)
{
    broker_worker (&broker, "w", "PING", "{}", NULL);
    broker_expect (&broker, "w ERROR {'code':'unknown_command',...");
    const struct reel_slice list[] = {reel_slice_text ("REEL9"), reel_slice_text ("READY"), reel_slice ("\x80", 1)};
    broker_frames (&broker, REEL_SOCKET_WORKER, "w", false, list, 3);
    broker_expect (&broker, "w ERROR {'code':'unsupported_version',...");
    broker_frames (&broker, REEL_SOCKET_WORKER, "w", false, list, 0);
    broker_expect (&broker, "w ERROR {'code':'malformed',...");
}
END_TEST

#define LOOP(test, list) tcase_add_loop_test (tests, test, 0, sizeof list / sizeof list[0])

int
main (void)
{
    Suite *suite = suite_create ("core, workers");
    TCase *tests = suite_case (suite, "worker", set_up, tear_down);
    tcase_add_test (tests, ready_is_welcomed);
    LOOP (ready_that_is_malformed_changes_nothing, bad_ready);
    tcase_add_test (tests, ready_with_a_dispatch_at_the_limit_and_beyond);
    tcase_add_test (tests, ready_again_replaces_the_offer);
    tcase_add_test (tests, ready_with_a_repeated_modality);
    tcase_add_test (tests, ready_without_slots_drains);
    tcase_add_test (tests, ready_of_a_known_instance_moves_it);
    tcase_add_test (tests, ready_of_a_known_instance_leaves_nothing_behind);
    tcase_add_test (tests, ready_of_the_same_instance_on_the_same_connection);
    tcase_add_test (tests, resume_is_acknowledged_or_fenced);
    tcase_add_test (tests, many_workers_are_told_apart);
    tcase_add_loop_test (tests, dispatch_that_does_not_say_resumable, 0, 5);
    tcase_add_test (tests, workers_are_bounded);
    tcase_add_test (tests, heartbeat_is_echoed_after_what_is_fenced);
    tcase_add_loop_test (tests, heartbeat_that_is_malformed_renews_nothing, 0, 4);
    tcase_add_test (tests, leave_forgets_the_connection_and_leaves_leases_alone);
    tcase_add_test (tests, silent_connection_is_gone_before_its_leases);
    tcase_add_test (tests, unroutable_connection_gets_nothing_until_it_is_ready_again);
    tcase_add_test (tests, messages_of_no_known_form_get_an_error);
    return suite_run (suite);
}
