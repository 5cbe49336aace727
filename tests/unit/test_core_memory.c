/*
 * The broker's core when memory is out: the Nth allocation of a whole life fails, for every N. The core says so, and
 * gives everything back. Each life is lived twice: with buffers that are kept from one message to the next, as they are
 * in a broker, and with none, so that whatever needs memory has to ask for it.
 *
 * With the sanitizers there is only the life without failures.
 */
#include <check.h>
#include <string.h>

#include "broker/core/state.h"
#include "tests/support/broker.h"
#include "tests/support/scarce.h"
#include "tests/support/suite.h"

/* What is said in the course of a life. */
struct line {
    enum reel_socket socket;
    const char *command;
    const char *header;
    const char *document;
    int64_t pass_ms; /* before */
};

static const struct line ordinary[] = {
    {REEL_SOCKET_CLIENT, "SUBMIT", "{'provenance':{'x':1},'priority':1}",
     "{'workflow_id':'wf','steps':[{'step_id':'a','modality':'echo'},{'step_id':'b','modality':'paid','depends_on':['a']}]}",
     0},
    {REEL_SOCKET_CLIENT, "SUBMIT", "{'not_before_us':2000000}",
     "{'workflow_id':'later','steps':[{'step_id':'a','modality':'echo'}]}", 0},
    {REEL_SOCKET_CLIENT, "SUBMIT", "{}", "{'steps':[]}", 0},
    {REEL_SOCKET_CLIENT, "RECEIPT", "{'workflow_id':'wf','wait_ms':1000000,'request_id':'x'}", NULL, 0},
    {REEL_SOCKET_CLIENT, "RECEIPT", "{'workflow_id':'later','wait_ms':10}", NULL, 0},
    {REEL_SOCKET_CLIENT, "GET", "{'workflow_id':'wf'}", NULL, 0},
    {REEL_SOCKET_WORKER, "READY",
     "{'name':'w','instance':'0123456789abcdef','slots':4,'modalities':['echo','paid'],'dispatch':{'paid':{'class':'resumable'}}}",
     NULL, 0},
    {REEL_SOCKET_WORKER, "REPORT", "{'lease':[1,1],'report_index':1}",
     "[" STARTED ("a", "1", "true") "," SUCCEEDED ("a") "," STARTED ("b", "1",
                                                                     "false") "," CHECKPOINT ("b", "{'job':1}") "]",
     0},
    {REEL_SOCKET_WORKER, "REPORT", "{'lease':[1,1],'report_index':null}", "[" PROGRESS ("b") "]", 100},
    {REEL_SOCKET_CLIENT, "LIST", "{'status':'running'}", NULL, 0},
    {REEL_SOCKET_CLIENT, "WORKERS", "{}", NULL, 0},
    {REEL_SOCKET_CLIENT, "STATS", "{}", NULL, 0},
    {REEL_SOCKET_WORKER, "HEARTBEAT", "{'leases':[[1,1],[7,7]],'sent_us':1}", NULL, 0},
    {REEL_SOCKET_WORKER, "READY", "{'name':'w','slots':4,'modalities':['echo','paid'],'resume':[[[1,1],4]]}", NULL,
     11000},
    {REEL_SOCKET_WORKER, "REPORT", "{'lease':[1,1],'report_index':5}", "[" SUCCEEDED ("b") "," ENDED "]", 0},
    {REEL_SOCKET_CLIENT, "RECEIPT", "{'workflow_id':'wf'}", NULL, 0},
    {REEL_SOCKET_CLIENT, "LIST", "{}", NULL, 0},
    {REEL_SOCKET_CLIENT, "EVENTS", "{'after':0}", NULL, 0},
    {REEL_SOCKET_WORKER, "REPORT", "{'lease':[1,2],'report_index':1}",
     "[" STARTED ("a", "1", "false") "," SUCCEEDED ("b") "]", 0},
    {REEL_SOCKET_WORKER, "LEAVE", "{}", NULL, 0},
    {REEL_SOCKET_CLIENT, "PING", "{}", NULL, 30000},
};

#define TWO(id) "{'workflow_id':'" id "','steps':[{'step_id':'a','modality':'paid'},{'step_id':'b','modality':'echo'}]}"
#define ONE(id) "{'workflow_id':'" id "','steps':[{'step_id':'a','modality':'paid'}]}"
#define DOUBTED(policy)                                                                                                \
    "[" STEP_EVENT ("step.started", "a", ",'attempt':1,'idempotent':false,'in_doubt':'" policy "'") "]"
#define READY_FOR_ALL                                                                                                  \
    {                                                                                                                  \
        REEL_SOCKET_WORKER, "READY", "{'name':'w','slots':9,'modalities':['echo','paid']}", NULL, 0                    \
    }

/* Workers are lost, operators step in, and what has ended is asked for again. */
static const struct line troubled[] = {
    READY_FOR_ALL,
    {REEL_SOCKET_CLIENT, "SUBMIT", "{}", TWO ("hold"), 0},
    {REEL_SOCKET_CLIENT, "SUBMIT", "{}", ONE ("fail"), 0},
    {REEL_SOCKET_CLIENT, "SUBMIT", "{}", TWO ("cut"), 0},
    {REEL_SOCKET_CLIENT, "SUBMIT", "{}", TWO ("retry"), 0},
    {REEL_SOCKET_CLIENT, "SUBMIT", "{}", TWO ("done"), 0},
    {REEL_SOCKET_CLIENT, "RECEIPT", "{'workflow_id':'fail','wait_ms':1000000}", NULL, 0},
    {REEL_SOCKET_WORKER, "REPORT", "{'lease':[1,1],'report_index':1}", DOUBTED ("hold"), 0},
    {REEL_SOCKET_WORKER, "REPORT", "{'lease':[1,2],'report_index':1}", DOUBTED ("fail"), 0},
    {REEL_SOCKET_WORKER, "REPORT", "{'lease':[1,3],'report_index':1}", DOUBTED ("fail"), 0},
    {REEL_SOCKET_WORKER, "REPORT", "{'lease':[1,4],'report_index':1}", DOUBTED ("retry"), 0},
    {REEL_SOCKET_WORKER, "REPORT", "{'lease':[1,5],'report_index':1}",
     "[" STARTED ("a", "1", "true") "," RETRYING ("a") "," STARTED ("a", "2", "true") "," SUCCEEDED ("a") "]", 0},
    {REEL_SOCKET_CLIENT, "GET", "{'workflow_id':'hold'}", NULL, 11000},
    {REEL_SOCKET_CLIENT, "RESOLVE", "{'workflow_id':'hold','step_id':'a','as':'failed','note':'no'}", NULL, 0},
    {REEL_SOCKET_CLIENT, "CANCEL", "{'workflow_id':'retry'}", NULL, 0},
    READY_FOR_ALL,
    {REEL_SOCKET_CLIENT, "PAUSE", "{'workflow_id':'hold'}", NULL, 0},
    {REEL_SOCKET_CLIENT, "RESUME", "{'workflow_id':'hold'}", NULL, 0},
    {REEL_SOCKET_CLIENT, "PAUSE", "{}", NULL, 0},
    {REEL_SOCKET_CLIENT, "RESUME", "{}", NULL, 0},
    {REEL_SOCKET_CLIENT, "CANCEL", "{'workflow_id':'cut'}", NULL, 0},
    {REEL_SOCKET_WORKER, "HEARTBEAT", "{'leases':[[1,6],[1,7],[1,8]],'sent_us':1}", NULL, 0},
    {REEL_SOCKET_WORKER, "REPORT", "{'lease':[1,6],'report_index':1}", "[" YIELDED "]", 0},
    {REEL_SOCKET_WORKER, "REPORT", "{'lease':[1,7],'report_index':1}", "[" YIELDED "]", 0},
    {REEL_SOCKET_WORKER, "REPORT", "{'lease':[1,8],'report_index':1}", "[" STARTED ("b", "1", "false") "]", 0},
    {REEL_SOCKET_WORKER, "LEAVE", "{}", NULL, 0},
    {REEL_SOCKET_CLIENT, "LIST", "{}", NULL, 11000},
    {REEL_SOCKET_CLIENT, "RESOLVE", "{'workflow_id':'done','step_id':'b','as':'succeeded','receipt':{'x':1}}", NULL, 0},
    {REEL_SOCKET_CLIENT, "PAUSE", "{'workflow_id':'hold'}", NULL, 0},
    {REEL_SOCKET_CLIENT, "RESUME", "{'workflow_id':'hold'}", NULL, 0},
    {REEL_SOCKET_CLIENT, "CANCEL", "{'workflow_id':'hold'}", NULL, 0},
    {REEL_SOCKET_CLIENT, "GET", "{'workflow_id':'done'}", NULL, 0},
    {REEL_SOCKET_CLIENT, "RECEIPT", "{'workflow_id':'fail'}", NULL, 0},
    {REEL_SOCKET_CLIENT, "CANCEL", "{'workflow_id':'fail'}", NULL, 0},
    {REEL_SOCKET_CLIENT, "EVENTS", "{'after':0,'workflow_id':'fail'}", NULL, 0},
    {REEL_SOCKET_CLIENT, "SUBMIT", "{}", ONE ("fail"), 0},
    {REEL_SOCKET_CLIENT, "RERUN", "{'workflow_id':'fail'}", NULL, 0},
    {REEL_SOCKET_CLIENT, "RERUN", "{'workflow_id':'done','new_workflow_id':'again','from_step':'b'}", NULL, 0},
    {REEL_SOCKET_CLIENT, "GET", "{'workflow_id':'again'}", NULL, 0},
    {REEL_SOCKET_WORKER, "REPORT", "{'lease':[9,9],'report_index':1}", "[]", 0},
    {REEL_SOCKET_WORKER, "REPORT", "{'lease':[9,9],'report_index':'x'}", "[]", 0},
    READY_FOR_ALL,
    {REEL_SOCKET_WORKER, "REPORT", "{'lease':[1,9],'report_index':'x'}", "[]", 0},
    {REEL_SOCKET_WORKER, "REPORT", "{'lease':[1,10],'report_index':1}", "[" ENDED "]", 0},
};

/* Every worker is lost, and the first loss is the last. */
static const struct line poisoned[] = {
    READY_FOR_ALL,
    {REEL_SOCKET_CLIENT, "SUBMIT", "{}", TWO ("one"), 0},
    {REEL_SOCKET_CLIENT, "SUBMIT", "{}", TWO ("two"), 0},
    {REEL_SOCKET_WORKER, "REPORT", "{'lease':[1,1],'report_index':1}", "[" STARTED ("a", "1", "true") "]", 0},
    {REEL_SOCKET_CLIENT, "PING", "{}", NULL, 11000},
};

#define COUNT_OF(lines) (sizeof (lines) / sizeof (lines)[0])
static const struct {
    const struct line *lines;
    size_t count;
    uint32_t deliveries_max;
    uint64_t failures_least;
} lives[] = {
    {ordinary, COUNT_OF (ordinary), 5, 50},
    {troubled, COUNT_OF (troubled), 5, 50},
    {poisoned, COUNT_OF (poisoned), 1, 20},
};
#define LINES_MAX 64

static const struct line *script;
static size_t script_lines;
static uint32_t deliveries_max;
static bool bare; /* nothing is kept between messages */
static struct reel_buf headers[LINES_MAX], documents[LINES_MAX];
static struct reel_buf journal;
static struct reel_core *core;
static struct reel_core *again;
static struct reel_effects effects;
static struct reel_core_time now;

static void
let_go (void)
{
    if (!bare)
        return;
    reel_buf_free (&core->scratch);
    reel_buf_free (&core->receipt);
    reel_buf_free (&core->context);
    reel_workflow_free (&core->workflow);
    reel_effects_free (&effects);
}

/* Appends the record of that event, framed, as the journal would. */
static bool
find_record (uint64_t seq, struct reel_buf *out, struct reel_slice *found)
{
    struct reel_slice rest = reel_buf_slice (&journal);
    struct reel_record_head head;
    bool damaged;
    while (reel_record_take (&rest, found, &damaged))
        if (reel_record_head (*found, &head) && head.seq == seq) {
            reel_buf_add (out, found->data - REEL_RECORD_FRAME_BYTES, found->len + REEL_RECORD_FRAME_BYTES);
            return true;
        }
    return false;
}

/* What the journal has on one that has ended; all other reads come back empty-handed. */
static enum reel_status
read_ended (const struct reel_read *read, struct reel_buf *body)
{
    struct reel_record record;
    struct reel_message event;
    struct reel_slice found;
    bool there = read->kind == REEL_READ_ENDED && find_record (read->seq, body, &found)
                 && reel_record_read (found, &record, &event, NULL) == REEL_OK
                 && find_record (record.accepted_seq, body, &found);
    return there ? REEL_OK : REEL_NOT_FOUND;
}

/* Records are replayed into another core, reads answered. */
static enum reel_status
settle (void)
{
    struct reel_slice rest = reel_buf_slice (&effects.records), record;
    enum reel_status status = REEL_OK;
    bool damaged;
    struct reel_error err;
    struct reel_buf context = {0}, body = {0};
    struct reel_core_reading reading = {0};
    struct reel_read asked;
    bool read = effects.read_count > 0;
    reel_buf_add_slice (&journal, rest);
    while (status == REEL_OK && reel_record_take (&rest, &record, &damaged))
        status = reel_core_apply (again, record, &err);
    if (read) {
        asked = effects.reads[0];
        reading = (struct reel_core_reading){.read = &asked, .status = read_ended (&asked, &body)};
        reel_buf_add_slice (&context, reel_effects_slice (&effects, effects.reads[0].context));
        reading.context = reel_buf_slice (&context);
        reading.body = reel_buf_slice (&body);
    }
    if (status == REEL_OK && (context.failed || body.failed || journal.failed))
        status = REEL_NO_MEMORY;
    reel_effects_clear (&effects);
    let_go ();
    if (read && status == REEL_OK)
        status = reel_core_reading (core, now, &reading, &effects);
    reel_buf_free (&context);
    reel_buf_free (&body);
    if (status == REEL_OK && read && effects.records.len > 0)
        status = settle ();
    return status;
}

static enum reel_status
say (size_t line)
{
    const struct reel_slice frames[] = {reel_slice_text ("REEL1"), reel_slice_text (script[line].command),
                                        reel_buf_slice (&headers[line]), reel_buf_slice (&documents[line])};
    struct reel_core_frames message = {script[line].socket, reel_slice_text ("peer"), false, frames,
                                       script[line].document != NULL ? 4 : 3};
    int64_t wake_us;
    let_go ();
    now.monotonic_us += 1000 * script[line].pass_ms;
    now.wall_us += 1000 * script[line].pass_ms;
    enum reel_status status = reel_core_tick (core, now, true, &effects, &wake_us);
    if (status == REEL_OK)
        status = reel_core_message (core, now, &message, &effects);
    if (status == REEL_OK)
        status = reel_core_tick (core, now, true, &effects, &wake_us);
    return status == REEL_OK ? settle () : status;
}

/* True when nothing failed. */
static bool
live_with_failure (uint64_t at)
{
    struct reel_core_setup setup;
    reel_core_setup_defaults (&setup);
    setup.deliveries_max = deliveries_max;
    now = (struct reel_core_time){1000000, 0};
    allocations = 0;
    failing = at;
    outstanding = 0;
    armed = true;
    enum reel_status status = reel_core_create (&setup, &core);
    if (status == REEL_OK)
        status = reel_core_create (&setup, &again);
    if (status == REEL_OK)
        status = reel_core_start (core, now, &effects);
    for (size_t line = 0; line < script_lines && status == REEL_OK; line++)
        status = say (line);
    if (status == REEL_OK)
        status = reel_core_start (again, now, &effects);
    reel_core_destroy (&core);
    reel_core_destroy (&again);
    reel_effects_free (&effects);
    reel_buf_free (&journal);
    armed = false;
    ck_assert_int_eq (outstanding, 0);
    ck_assert (status == REEL_OK || status == REEL_NO_MEMORY);
    return status == REEL_OK;
}

START_TEST (every_allocation_may_fail)
{
    uint64_t failures = 0;
    script = lives[_i / 2].lines;
    script_lines = lives[_i / 2].count;
    deliveries_max = lives[_i / 2].deliveries_max;
    bare = _i % 2 == 1;
    ck_assert_uint_le (script_lines, LINES_MAX);
    for (size_t line = 0; line < script_lines; line++) {
        headers[line] = broker_msgpack (script[line].header);
        if (script[line].document != NULL)
            documents[line] = broker_msgpack (script[line].document);
    }
    ck_assert (live_with_failure (0));
    /* Where only the text of an error is cut short for it, life goes on. */
    while (can_fail () && (!live_with_failure (failures + 1) || allocations > failing))
        failures++;
    ck_assert (!can_fail () || failures > lives[_i / 2].failures_least);
    for (size_t line = 0; line < script_lines; line++) {
        reel_buf_free (&headers[line]);
        reel_buf_free (&documents[line]);
    }
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("core, memory");
    TCase *tests = tcase_create ("memory");
    tcase_add_loop_test (tests, every_allocation_may_fail, 0, 2 * COUNT_OF (lives));
    suite_add_tcase (suite, tests);
    return suite_run (suite);
}
