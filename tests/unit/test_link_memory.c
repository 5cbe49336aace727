/*
 * The worker's link when memory is out: the Nth allocation of a whole life fails, for every N, against the real core of a
 * broker. A lease that cannot be kept is given back or runs out; every workflow ends as it does with enough memory, nothing
 * that may cost twice is begun twice, and everything is given back.
 *
 * With the sanitizers there is only the life without failures.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "proto/pack.h"
#include "tests/support/broker.h"
#include "tests/support/scarce.h"
#include "tests/support/suite.h"

#define LIFE_MS_MAX 600000
#define MESSAGES_MAX 256
#define CALLS_MAX 8

static struct broker broker;

/* Whoever is out of memory says so; here it is no news. */
void
reel_log (enum reel_log_level level, const char *format, ...)
{
    (void) level, (void) format;
}

#define LINK_MONOTONIC_US broker.monotonic_us
#define LINK_WALL_US broker.wall_us
#include "tests/support/link_fixture.h"

/* --- what goes between the two ------------------------------------------------------------------- */

struct message {
    enum reel_command command;
    struct reel_buf header, document;
    bool has_document;
};

struct queue {
    struct message messages[MESSAGES_MAX];
    size_t count;
};

static struct queue to_broker, to_worker;

static void
put (struct queue *queue, enum reel_command command, struct reel_slice header, const struct reel_slice *document)
{
    bool was_armed = armed;
    armed = false; /* the network's memory */
    ck_assert (queue->count < MESSAGES_MAX);
    struct message *message = &queue->messages[queue->count++];
    *message = (struct message){.command = command, .has_document = document != NULL};
    reel_buf_add_slice (&message->header, header);
    if (document != NULL)
        reel_buf_add_slice (&message->document, *document);
    armed = was_armed;
}

static size_t
frames_of (const struct message *message, struct reel_slice frames[4])
{
    frames[0] = reel_slice_text (REEL_PROTOCOL);
    frames[1] = reel_slice_text (reel_message_spec (message->command)->name);
    frames[2] = reel_buf_slice (&message->header);
    frames[3] = reel_buf_slice (&message->document);
    return message->has_document ? 4 : 3;
}

static void
clear (struct queue *queue)
{
    while (queue->count > 0) {
        queue->count--;
        reel_buf_free (&queue->messages[queue->count].header);
        reel_buf_free (&queue->messages[queue->count].document);
    }
}

static bool
send_message (void *context, enum reel_command command, struct reel_slice header, const struct reel_slice *document)
{
    (void) context;
    put (&to_broker, command, header, document);
    return true;
}

static void
silent (void *context)
{
    (void) context;
    reel_link_connected (link_of_worker);
}

/* What the broker said in its last step. */
static void
collect (void)
{
    for (size_t i = 0; i < broker.sent_count; i++) {
        const struct broker_sent *sent = &broker.sent[i];
        struct reel_slice document = reel_buf_slice (&sent->document);
        if (sent->socket == REEL_SOCKET_WORKER)
            put (&to_worker, sent->command, reel_buf_slice (&sent->header), document.len > 0 ? &document : NULL);
    }
    broker_forget (&broker);
}

static void
tell_broker (void)
{
    for (size_t i = 0; i < to_broker.count; i++) {
        struct reel_slice frames[4];
        size_t count = frames_of (&to_broker.messages[i], frames);
        broker_frames (&broker, REEL_SOCKET_WORKER, "w", false, frames, count);
        collect ();
    }
    clear (&to_broker);
}

static void
say (const char *command, const char *header, const char *document)
{
    broker_client (&broker, "c", command, header, document);
    collect ();
}

/* --- an adapter that takes 400 ms, says half way how far it is, and leaves a checkpoint -------------- */

struct call {
    struct reel_task *task; /* NULL: free */
    struct reel_timer timer;
    bool resumable, half_way;
};

static struct call calls[CALLS_MAX];
static unsigned begun[CALLS_MAX][CALLS_MAX]; /* of what may cost twice: by workflow and step */

static void
call_due (struct reel_timer *timer)
{
    struct call *call = timer->context;
    struct reel_task *task = call->task;
    if (call->half_way) {
        call->task = NULL;
        reel_task_succeed (task, REEL_SLICE_NONE, REEL_SLICE_NONE);
        return;
    }
    call->half_way = true;
    reel_loop_arm (&loop, timer, broker.monotonic_us + 200000);
    reel_task_progress (task, 0.5, reel_slice_text ("half way"));
    /* The run may have been given up for lack of memory, and the call be cancelled. */
    if (call->task == task && call->resumable)
        reel_task_checkpoint (task, reel_slice_text ("\x81\xa3job\x01"));
}

static enum reel_status
start_call (struct reel_adapter *adapter, struct reel_task *task)
{
    const struct reel_call *asked = reel_task_call (task);
    unsigned i = 0;
    while (i < CALLS_MAX && calls[i].task != NULL)
        i++;
    if (i == CALLS_MAX)
        return REEL_NO_MEMORY;
    calls[i] = (struct call){.task = task, .resumable = adapter->class == REEL_ADAPTER_RESUMABLE};
    calls[i].timer.due = call_due;
    calls[i].timer.context = &calls[i];
    reel_task_set_state (task, &calls[i]);
    if (adapter->class == REEL_ADAPTER_NEITHER)
        begun[asked->workflow_id.data[0] % CALLS_MAX][asked->step_id.data[0] % CALLS_MAX]++;
    reel_loop_arm (&loop, &calls[i].timer, broker.monotonic_us + 200000);
    return REEL_OK;
}

static void
cancel_call (struct reel_adapter *adapter, struct reel_task *task)
{
    (void) adapter;
    struct call *call = reel_task_state (task);
    reel_loop_disarm (&loop, &call->timer);
    call->task = NULL;
    reel_task_fail (task, &(struct reel_failure){.code = "cancelled", .message = reel_slice_text ("cancelled")});
}

static struct reel_adapter paid = {"paid", REEL_ADAPTER_NEITHER, start_call, cancel_call, destroy_nothing};
static struct reel_adapter job = {"job", REEL_ADAPTER_RESUMABLE, start_call, cancel_call, destroy_nothing};

/* --- a life --------------------------------------------------------------------------------------- */

#define THRICE ",'policy':{'retry':{'max_attempts':3,'backoff_ms':10}}"

/* Their ids differ in their first characters, as do those of the steps that are paid. */
static const char *const documents[] = {
    "{'workflow_id':'all','steps':["
    "{'step_id':'e','modality':'echo','payload':{'n':[1,2,3],'text':'as long as a payload is, more or less'}},"
    "{'step_id':'p','modality':'paid','depends_on':['e'],'payload':{'of':{'$ref':'#/e/output'}}},"
    "{'step_id':'j','modality':'job'},{'step_id':'s','modality':'sleep','payload':{'ms':1500}" THRICE "}]}",
    "{'workflow_id':'drawn','steps':[{'step_id':'j','modality':'job'},{'step_id':'p','modality':'paid'},"
    "{'step_id':'q','modality':'paid'}]}",
    "{'workflow_id':'bad','steps':[{'step_id':'f','modality':'fail','payload':{'retryable':true}" THRICE "},"
    "{'step_id':'p','modality':'paid','depends_on':['f']}]}",
    "{'workflow_id':'cut','steps':[{'step_id':'s','modality':'sleep','payload':{'ms':400000}" THRICE "}]}",
};

/* What operators do in the meantime. */
static const struct {
    int64_t at_ms;
    const char *command, *header;
} operations[] = {
    {300, "PAUSE", "{'workflow_id':'drawn'}"},
    {1200, "CANCEL", "{'workflow_id':'cut'}"},
    {1300, "RESUME", "{'workflow_id':'drawn'}"},
    {1500, NULL, NULL}, /* the broker is killed and starts again */
};
#define OPERATIONS (sizeof operations / sizeof operations[0])

static bool
is_ended (const struct broker_model *model)
{
    return model->receipt.len > 0;
}

static bool
all_ended (void)
{
    bool ended = true;
    for (size_t i = 0; i < broker.model_count; i++)
        ended = ended && is_ended (&broker.models[i]);
    return ended;
}

/* Whether a paid step that was cut off has happened is for an operator to say. */
static void
resolve_held (void)
{
    for (size_t i = 0; i < broker.model_count; i++)
        for (uint32_t step = 0; step < broker.models[i].parsed.step_count; step++) {
            char header[256];
            const struct broker_model *model = &broker.models[i];
            if (strcmp (model->status, "held") != 0 || reel_step_status_final (model->outcomes[step].status))
                continue;
            (void) snprintf (header, sizeof header,
                             "{'workflow_id':'%s','step_id':'%.*s','as':'succeeded','receipt':{}}", model->workflow_id,
                             REEL_TEXT (model->parsed.steps[step].step_id));
            say ("RESOLVE", header, NULL);
        }
}

static void
operate (size_t *done, int64_t began_us)
{
    while (*done < OPERATIONS && broker.monotonic_us - began_us >= operations[*done].at_ms * 1000) {
        if (operations[*done].command != NULL)
            say (operations[*done].command, operations[*done].header, NULL);
        else {
            broker_restart (&broker);
            collect ();
        }
        ++*done;
    }
    resolve_held ();
}

/* Both clocks go on, to whatever is due next. */
static void
pass (int64_t step_us_max)
{
    const struct reel_timer *next = loop.first;
    int64_t step_us = next != NULL ? next->at_us - broker.monotonic_us : step_us_max;
    step_us = step_us < 1000 ? 1000 : step_us > step_us_max ? step_us_max : step_us;
    broker_pass_ms (&broker, (step_us + 999) / 1000);
    collect ();
}

/* One turn of the worker's; true: it was to end, and has. */
static bool
turn (void)
{
    armed = true;
    run_timers (&loop);
    for (size_t i = 0; i < to_worker.count; i++) {
        struct reel_slice frames[4];
        size_t count = frames_of (&to_worker.messages[i], frames);
        reel_link_message (link_of_worker, frames, count);
    }
    bool over = reel_link_end_turn (link_of_worker);
    armed = false;
    clear (&to_worker);
    tell_broker ();
    return over;
}

static void
live (uint64_t at)
{
    int64_t began_us = broker.monotonic_us;
    size_t done = 0;
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++)
        broker_submit (&broker, documents[i]);
    broker_forget (&broker);
    armed = true;
    reel_link_connected (link_of_worker);
    armed = false;
    while (!all_ended () || done < OPERATIONS) {
        ck_assert_msg (broker.monotonic_us - began_us < (int64_t) LIFE_MS_MAX * 1000,
                       "something has not ended after number %llu failed", (unsigned long long) at);
        (void) turn ();
        operate (&done, began_us);
        pass (100000);
    }
    armed = true;
    reel_link_stop (link_of_worker);
    armed = false;
    for (unsigned turns = 0; !turn (); turns++) {
        ck_assert_msg (turns < 1000, "it does not drain after number %llu failed", (unsigned long long) at);
        pass (100000);
    }
}

static void
check_ends (uint64_t at, bool failed)
{
    static const struct {
        const char *workflow_id, *status;
        unsigned deliveries;
    } ends[] = {{"all", "succeeded", 1}, {"bad", "failed", 1}, {"cut", "cancelled", 1}, {"drawn", "succeeded", 2}};
    ck_assert_uint_eq (broker.model_count, sizeof ends / sizeof ends[0]);
    for (size_t i = 0; i < broker.model_count; i++) {
        const struct broker_model *model = broker_model (&broker, ends[i].workflow_id);
        ck_assert_msg (strcmp (model->status, ends[i].status) == 0, "%s has %s after number %llu failed",
                       ends[i].workflow_id, model->status, (unsigned long long) at);
        ck_assert_msg (failed || model->deliveries == ends[i].deliveries, "%s was delivered %llu times",
                       ends[i].workflow_id, (unsigned long long) model->deliveries);
    }
    for (size_t i = 0; i < CALLS_MAX * CALLS_MAX; i++)
        ck_assert_msg (begun[i / CALLS_MAX][i % CALLS_MAX] <= 1, "a paid step was begun twice after number %llu failed",
                       (unsigned long long) at);
    ck_assert (failed || begun['a' % CALLS_MAX]['p' % CALLS_MAX] == 1);
}

/* True when nothing failed. */
static bool
live_with_failure (uint64_t at)
{
    const struct reel_link_setup setup = {.slots = 2, .send = send_message, .silent = silent};
    struct reel_adapter *const adapters[] = {&paid, &job, NULL};
    memset (begun, 0, sizeof begun);
    broker_init (&broker);
    broker_start (&broker);
    allocations = 0;
    failing = at;
    outstanding = 0;
    armed = true;
    enum reel_status status = make_link (setup, adapters);
    armed = false;
    if (status == REEL_OK)
        live (at);
    bool failed = at > 0 && allocations >= at;
    ck_assert (status == REEL_OK || (failed && status == REEL_NO_MEMORY));
    armed = true;
    reel_link_destroy (&link_of_worker);
    reel_registry_destroy (&registry);
    armed = false;
    ck_assert_msg (outstanding == 0, "%lld allocations are not given back after number %llu failed",
                   (long long) outstanding, (unsigned long long) at);
    ck_assert_ptr_null (loop.first);
    clear (&to_broker);
    clear (&to_worker);
    if (status == REEL_OK)
        check_ends (at, failed);
    broker_free (&broker);
    return !failed;
}

START_TEST (every_allocation_may_fail)
{
    ck_assert (live_with_failure (0));
    uint64_t failures = 0;
    while (can_fail () && !live_with_failure (failures + 1))
        failures++;
    ck_assert (!can_fail () || failures > 50);
    (void) printf ("%llu allocations failed, one in each life\n", (unsigned long long) failures);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("link, memory");
    TCase *tests = tcase_create ("memory");
    tcase_add_test (tests, every_allocation_may_fail);
    suite_add_tcase (suite, tests);
    return suite_run (suite);
}
