/*
 * What workers say to the broker's core, what is handed to whom, and what a report may hold.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/support/broker.h"
#include "tests/support/suite.h"

#define STEP(id, modality) "{'step_id':'" id "','modality':'" modality "'}"
#define AFTER(id, modality, other) "{'step_id':'" id "','modality':'" modality "','depends_on':['" other "']}"
#define WORKFLOW(id, steps) "{'workflow_id':'" id "','steps':[" steps "]}"
#define ONE(id) WORKFLOW (id, STEP ("a", "echo"))
#define WELCOME(peer)                                                                                                  \
    peer                                                                                                               \
        " WELCOME {'heartbeat_ms':2000,'lease_ms':10000,'epoch':1,'limits':{'receipt_bytes':262144,'report_bytes':4194304,'depth':21}}"
#define INSTANCE "'instance':{'$bin':'AAECAwQFBgcICQoLDA0ODw=='}"

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

/* A worker "w" of one slot that holds a workflow "wf" of steps a, b (after a) and c under [1,1]. */
static void
assigned (void)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, WORKFLOW ("wf", STEP ("a", "echo") "," AFTER ("b", "echo", "a") "," STEP ("c", "echo")));
    broker_forget (&broker);
}

static const char *
status (const char *workflow_id)
{
    return broker_model (&broker, workflow_id)->status;
}

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

/* --- hand-out --------------------------------------------------------------------------------------- */

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

/* --- REPORT ------------------------------------------------------------------------------------------ */

START_TEST (report_of_every_kind)
{
    assigned ();
    broker_report (
        &broker, "w", 1, 1,
        "[" STEP_EVENT ("step.started", "a", ",'attempt':1,'idempotent':false,'in_doubt':'retry','more':[1]") "]");
    broker_expect (&broker,
                   "3 wf.3 step.started {'step_id':'a','attempt':1,'idempotent':false,'in_doubt':'retry','more':[1]}",
                   "w ACK {'lease':[1,1],'report_index':1}");
    broker_report (&broker, "w", 1, 2,
                   "[" CHECKPOINT ("a", "{'job':7}") "," RETRYING ("a") "," STARTED ("a", "2", "false") "]");
    broker_expect (
        &broker, "4 wf.4 step.checkpoint {'step_id':'a','checkpoint':{'job':7}}",
        "5 wf.5 step.retrying {'step_id':'a','error':{'code':'x','message':'m','retryable':true},'delay_ms':7}",
        "6 wf.6 step.started {'step_id':'a','attempt':2,'idempotent':false}", "w ACK {'lease':[1,1],'report_index':4}");
    broker_report (&broker, "w", 1, 5,
                   "[" FAILED ("a") "," SKIPPED ("b") "," STARTED ("c", "1", "true") "," SUCCEEDED ("c") "]");
    broker_expect (&broker, "7 wf.7 step.failed ...", "8 wf.8 step.skipped ...", "9 wf.9 step.started ...",
                   "10 wf.10 step.succeeded {'step_id':'c','receipt':{'of':'c'}}",
                   "w ACK {'lease':[1,1],'report_index':8}");
    broker_report (&broker, "w", 1, 9, "[" ENDED "]");
    broker_expect (&broker, "11 wf.11 workflow.failed", "receipt wf", "w ACK {'lease':[1,1],'report_index':9}");
    /* The lease is over with it. */
    broker_report (&broker, "w", 1, 9, "[" ENDED "]");
    broker_expect (&broker, "w FENCED {'lease':[1,1]}");
}
END_TEST

START_TEST (step_starts_with_its_first_attempt)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, ONE ("wf"));
    broker_report (&broker, "w", 1, 1,
                   "[{'kind':'step.started','at_us':7,'step_id':'a','attempt':1,'idempotent':true}," RETRYING (
                       "a") ",{'kind':'step.started','at_us':9,'step_id':'a','attempt':2,'idempotent':true},"
                            "{'kind':'step.succeeded','at_us':11,'step_id':'a','receipt':{}}]");
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf'}", NULL);
    ck_assert_ptr_nonnull (strstr (broker_document (&broker), "'started_us':7,'finished_us':11"));
}
END_TEST

START_TEST (report_of_an_end_with_an_error)
{
    assigned ();
    broker_report (&broker, "w", 1, 1,
                   "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," EVENT (
                       "workflow.ended", ",'error':{'code':'hook_failed','message':'m','retryable':false}") "]");
    broker_expect (&broker, "3 ...", "4 ...",
                   "5 wf.5 workflow.failed {'error':{'code':'hook_failed','message':'m','retryable':false}}",
                   "receipt wf", "w ACK ...");
}
END_TEST

START_TEST (report_of_an_end_with_an_error_after_all_succeeded)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, ONE ("wf"));
    broker_report (&broker, "w", 1, 1,
                   "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," EVENT ("workflow.ended", ",'error':{}") "]");
    ck_assert_str_eq (status ("wf"), "failed");
}
END_TEST

START_TEST (report_of_an_end_with_a_nil_error_is_one_without)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, ONE ("wf"));
    broker_report (
        &broker, "w", 1, 1,
        "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," EVENT ("workflow.ended", ",'error':null") "]");
    ck_assert_str_eq (status ("wf"), "succeeded");
}
END_TEST

START_TEST (report_of_a_failure_before_the_start)
{
    assigned ();
    broker_report (&broker, "w", 1, 1, "[" FAILED ("a") "," SKIPPED ("b") "," FAILED ("c") "," ENDED "]");
    ck_assert_str_eq (status ("wf"), "failed");
}
END_TEST

START_TEST (report_twice_is_passed_over)
{
    assigned ();
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "]");
    broker_forget (&broker);
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "]");
    broker_expect (&broker, "w ACK {'lease':[1,1],'report_index':2}");
    broker_report (&broker, "w", 1, 2, "[" SUCCEEDED ("a") "," STARTED ("b", "1", "true") "]");
    broker_expect (&broker, "5 wf.5 step.started {'step_id':'b',...", "w ACK {'lease':[1,1],'report_index':3}");
    broker_report (&broker, "w", 1, 1, "[]");
    broker_expect (&broker, "w ACK {'lease':[1,1],'report_index':3}");
    broker_report (&broker, "w", 1, 4, "[]");
    broker_expect (&broker, "w ACK {'lease':[1,1],'report_index':3}");
}
END_TEST

START_TEST (report_beyond_a_gap_is_dropped)
{
    assigned ();
    broker_report (&broker, "w", 1, 2, "[" SUCCEEDED ("a") "]");
    broker_expect (&broker, "w ACK {'lease':[1,1],'report_index':0}");
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "]");
    broker_report (&broker, "w", 1, 9223372036854775807, "[" SUCCEEDED ("a") "]");
    broker_expect (&broker, "3 wf.3 ...", "w ACK {'lease':[1,1],'report_index':1}",
                   "w ACK {'lease':[1,1],'report_index':1}");
}
END_TEST

START_TEST (report_under_another_lease)
{
    assigned ();
    broker_report (&broker, "w", 2, 1, "[" STARTED ("a", "1", "true") "]");
    broker_expect (&broker, "w FENCED {'lease':[1,2]}");
    broker_worker (&broker, "w", "REPORT", "{'lease':[2,1],'report_index':1}", "[" STARTED ("a", "1", "true") "]");
    broker_expect (&broker, "w FENCED {'lease':[2,1]}");
    broker_worker (&broker, "w", "REPORT", "{'lease':[0,0],'report_index':1}", "[]");
    broker_expect (&broker, "w FENCED {'lease':[0,0]}");
}
END_TEST

START_TEST (report_from_an_unknown_connection)
{
    assigned ();
    broker_report (&broker, "x", 1, 1, "[" STARTED ("a", "1", "true") "]");
    broker_expect (&broker, "x WHO {}");
    broker_report (&broker, "x", 9, 1, "[" STARTED ("a", "1", "true") "]");
    broker_expect (&broker, "x FENCED {'lease':[1,9]}", "x WHO {}");
    ck_assert_uint_eq (broker.event_count, 2);
}
END_TEST

START_TEST (report_from_another_connection_takes_the_lease_along)
{
    assigned ();
    broker_ready (&broker, "x", 1, "'echo'");
    broker_report (&broker, "x", 1, 1, "[" STARTED ("a", "1", "true") "]");
    broker_client (&broker, "c", "GET", "{'workflow_id':'wf'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/worker"), "'x'");
    broker_forget (&broker);
    broker_submit (&broker, ONE ("next"));
    broker_expect (&broker, "4 next.1 ...", "c OK ...", "5 next.2 workflow.assigned {'worker':'w',...", "w ASSIGN ...");
}
END_TEST

START_TEST (progress_is_published_and_not_kept)
{
    assigned ();
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "]");
    broker_forget (&broker);
    broker_worker (&broker, "w", "REPORT", "{'lease':[1,1],'report_index':null}",
                   "[" PROGRESS ("a") "," PROGRESS ("a") "]");
    broker_expect (&broker, "~ wf step.progress {'step_id':'a','fraction':0.5}",
                   "~ wf step.progress {'step_id':'a','fraction':0.5}");
    /* Of a step that is not known to run: its start got lost, or it has an outcome. */
    broker_worker (&broker, "w", "REPORT", "{'lease':[1,1],'report_index':null}", "[" PROGRESS ("b") "]");
    broker_expect_nothing (&broker);
    broker_report (&broker, "w", 1, 2, "[" SUCCEEDED ("a") "," STARTED ("b", "1", "true") "]");
    broker_forget (&broker);
    broker_worker (&broker, "w", "REPORT", "{'lease':[1,1],'report_index':null}", "[" PROGRESS ("a") "]");
    broker_expect_nothing (&broker);
    broker_worker (&broker, "w", "REPORT", "{'lease':[1,9],'report_index':null}", "[" PROGRESS ("a") "]");
    broker_expect (&broker, "w FENCED {'lease':[1,9]}");
    ck_assert_uint_eq (broker.event_count, 5);
    broker_worker (&broker, "w", "REPORT", "{'lease':[1,1],'report_index':null}", "[{'kind':'step.progress'}]");
    ck_assert_uint_eq (broker_model (&broker, "wf")->deliveries, 2); /* what cannot be read counts as a lost worker */
}
END_TEST

START_TEST (nothing_but_progress_comes_without_an_index)
{
    assigned ();
    broker_ready (&broker, "w", 0, "'echo'");
    broker_forget (&broker);
    broker_worker (&broker, "w", "REPORT", "{'lease':[1,1],'report_index':null}", "[" STARTED ("a", "1", "true") "]");
    broker_expect (&broker, "3 wf.3 workflow.requeued ...", "w FENCED {'lease':[1,1],'error':{'code':'malformed',...");
}
END_TEST

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

/* --- yield ------------------------------------------------------------------------------------------- */

START_TEST (yield_at_a_modality_that_is_not_served)
{
    broker_ready (&broker, "w", 1, "'echo'");
    broker_submit (&broker, WORKFLOW ("wf", STEP ("a", "echo") "," STEP ("b", "video")));
    broker_forget (&broker);
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," YIELDED "]");
    broker_expect (&broker, "3 ...", "4 ...", "5 wf.5 workflow.yielded", "w ACK {'lease':[1,1],'report_index':3}");
    broker_report (&broker, "w", 1, 3, "[" YIELDED "]");
    broker_expect (&broker, "w FENCED {'lease':[1,1]}");
    broker_ready (&broker, "v", 1, "'video'");
    broker_expect (&broker, WELCOME ("v"), "6 wf.6 workflow.assigned {'worker':'v','delivery':2,'lease':[1,2]}",
                   "v ASSIGN ...");
    ck_assert_str_eq (broker_document (&broker),
                      "{'workflow_id':'wf','steps':[{'step_id':'a','modality':'echo','status':'succeeded','receipt':"
                      "{'of':'a'},'error':null,'started_us':5,'finished_us':5},{'step_id':'b','modality':'video'}]}");
}
END_TEST

START_TEST (yield_that_counts_as_a_lost_worker)
{
    static const char *const events[] = {
        "[" YIELDED "]",                                /* at a modality it announced */
        "[" STARTED ("a", "1", "true") "," YIELDED "]", /* while a step runs */
        "[" STARTED ("a", "1", "true") "," CHECKPOINT ("a", "1") "," YIELDED "]",
        "[" FAILED ("a") "," YIELDED "]",                                    /* where c is left */
        "[" FAILED ("a") "," SKIPPED ("b") "," FAILED ("c") "," YIELDED "]", /* where nothing is */
    };
    assigned ();
    broker_report (&broker, "w", 1, 1, events[_i]);
    ck_assert_str_eq (broker_model (&broker, "wf")->status, "running"); /* it got it again */
    ck_assert_uint_eq (broker_model (&broker, "wf")->deliveries, 2);
    broker_client (&broker, "c", "STATS", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/counters/requeued"), "1");
}
END_TEST

START_TEST (yield_while_it_drains)
{
    static const char *const events[] = {"[" YIELDED "]",
                                         "[" STARTED ("a", "1", "true") "," RETRYING ("a") "," YIELDED "]"};
    assigned ();
    broker_ready (&broker, "w", 0, "'echo'");
    broker_report (&broker, "w", 1, 1, events[_i]);
    broker_client (&broker, "c", "STATS", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/counters/requeued"), "0");
    ck_assert_str_eq (status ("wf"), "queued");
    /* The bench sees to it that the next one goes on counting attempts. */
    broker_ready (&broker, "w", 1, "'echo'");
    ck_assert_str_eq (status ("wf"), "running");
}
END_TEST

START_TEST (yield_of_a_running_step_while_it_drains_is_a_loss_all_the_same)
{
    assigned ();
    broker_ready (&broker, "w", 0, "'echo'");
    broker_report (&broker, "w", 1, 1, "[" STARTED ("a", "1", "false") "," YIELDED "]");
    ck_assert_str_eq (status ("wf"), "held");
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
    tcase_add_test (tests, report_of_every_kind);
    tcase_add_test (tests, step_starts_with_its_first_attempt);
    tcase_add_test (tests, report_of_an_end_with_an_error);
    tcase_add_test (tests, report_of_an_end_with_an_error_after_all_succeeded);
    tcase_add_test (tests, report_of_an_end_with_a_nil_error_is_one_without);
    tcase_add_test (tests, report_of_a_failure_before_the_start);
    tcase_add_test (tests, report_twice_is_passed_over);
    tcase_add_test (tests, report_beyond_a_gap_is_dropped);
    tcase_add_test (tests, report_under_another_lease);
    tcase_add_test (tests, report_from_an_unknown_connection);
    tcase_add_test (tests, report_from_another_connection_takes_the_lease_along);
    tcase_add_test (tests, progress_is_published_and_not_kept);
    tcase_add_test (tests, nothing_but_progress_comes_without_an_index);
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
    tcase_add_test (tests, yield_at_a_modality_that_is_not_served);
    tcase_add_loop_test (tests, yield_that_counts_as_a_lost_worker, 0, 5);
    tcase_add_loop_test (tests, yield_while_it_drains, 0, 2);
    tcase_add_test (tests, yield_of_a_running_step_while_it_drains_is_a_loss_all_the_same);
    tcase_add_test (tests, heartbeat_is_echoed_after_what_is_fenced);
    tcase_add_loop_test (tests, heartbeat_that_is_malformed_renews_nothing, 0, 4);
    tcase_add_test (tests, leave_forgets_the_connection_and_leaves_leases_alone);
    tcase_add_test (tests, silent_connection_is_gone_before_its_leases);
    tcase_add_test (tests, unroutable_connection_gets_nothing_until_it_is_ready_again);
    tcase_add_test (tests, messages_of_no_known_form_get_an_error);
    return suite_run (suite);
}
