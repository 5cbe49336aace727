/*
 * The broker's core when memory is out: the Nth allocation of a whole life fails, for every N. The core says so, and
 * gives everything back.
 *
 * With the sanitizers there is only the life without failures.
 */
#include <check.h>
#include <string.h>

#include "broker/core/record.h"
#include "tests/support/broker.h"
#include "tests/support/scarce.h"

/* What is said in the course of that life. */
static const struct {
    enum reel_socket socket;
    const char *command;
    const char *header;
    const char *document;
    int64_t pass_ms; /* before */
} script[] = {
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
#define LINES (sizeof script / sizeof script[0])

static struct reel_buf headers[LINES], documents[LINES];
static struct reel_core *core;
static struct reel_core *again;
static struct reel_effects effects;
static struct reel_core_time now;

/* Reads come back empty-handed; records are replayed into another core. */
static enum reel_status
settle (void)
{
    struct reel_slice rest = reel_buf_slice (&effects.records), record;
    enum reel_status status = REEL_OK;
    bool damaged;
    struct reel_error err;
    struct reel_buf context = {0};
    struct reel_core_reading reading = {0};
    bool read = effects.read_count > 0;
    while (status == REEL_OK && reel_record_take (&rest, &record, &damaged))
        status = reel_core_apply (again, record, &err);
    if (read) {
        reading = (struct reel_core_reading){.kind = effects.reads[0].kind, .status = REEL_NOT_FOUND};
        reel_buf_add_slice (&context, reel_effects_slice (&effects, effects.reads[0].context));
        reading.context = reel_buf_slice (&context);
        if (status == REEL_OK)
            status = reel_buf_status (&context);
    }
    reel_effects_clear (&effects);
    if (read && status == REEL_OK)
        status = reel_core_reading (core, now, &reading, &effects);
    reel_buf_free (&context);
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
    now.monotonic_us += 1000 * script[line].pass_ms;
    now.wall_us += 1000 * script[line].pass_ms;
    enum reel_status status = reel_core_tick (core, now, &effects, &wake_us);
    if (status == REEL_OK)
        status = reel_core_message (core, now, &message, &effects);
    if (status == REEL_OK)
        status = reel_core_tick (core, now, &effects, &wake_us);
    return status == REEL_OK ? settle () : status;
}

/* True when nothing failed. */
static bool
live_with_failure (uint64_t at)
{
    struct reel_core_setup setup;
    reel_core_setup_defaults (&setup);
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
    for (size_t line = 0; line < LINES && status == REEL_OK; line++)
        status = say (line);
    if (status == REEL_OK)
        status = reel_core_start (again, now, &effects);
    reel_core_destroy (&core);
    reel_core_destroy (&again);
    reel_effects_free (&effects);
    armed = false;
    ck_assert_int_eq (outstanding, 0);
    ck_assert (status == REEL_OK || status == REEL_NO_MEMORY);
    return status == REEL_OK;
}

START_TEST (every_allocation_may_fail)
{
    uint64_t failures = 0;
    for (size_t line = 0; line < LINES; line++) {
        headers[line] = broker_msgpack (script[line].header);
        if (script[line].document != NULL)
            documents[line] = broker_msgpack (script[line].document);
    }
    ck_assert (live_with_failure (0));
    /* Where only the text of an error is cut short for it, life goes on. */
    while (can_fail () && (!live_with_failure (failures + 1) || allocations > failing))
        failures++;
    ck_assert (!can_fail () || failures > 50);
    for (size_t line = 0; line < LINES; line++) {
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
    tcase_add_test (tests, every_allocation_may_fail);
    suite_add_tcase (suite, tests);
    SRunner *runner = srunner_create (suite);
    srunner_run_all (runner, CK_NORMAL);
    int failed = srunner_ntests_failed (runner);
    srunner_free (runner);
    return failed == 0 ? 0 : 1;
}
