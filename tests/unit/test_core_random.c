/*
 * The broker's core against workers and clients that do anything in any order: messages get lost both ways, workers
 * stall, vanish, come back, drain, contradict themselves; the broker is killed before and after it has committed.
 * After each step the bench checks all that can be checked. In the end everything heals, and every workflow must end,
 * but for those that are held for a person to decide. A step that may not run twice does not, whatever happens.
 *
 * REEL_SEED in the environment says with which seed to begin; a failure prints its own.
 */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "proto/scan.h"
#include "tests/support/broker.h"
#include "tests/support/suite.h"

#define WORKERS 4
#define JOBS_MAX 8
#define EVENTS_MAX 64
#define WORKFLOWS_MAX 4000
#define STEPS_MAX 5
#define SEEDS 6
#define SEEDS_UNDER_VALGRIND 2
#define TURNS 2500

/* A workflow that a worker has been handed. */
struct job {
    bool taken;
    unsigned number; /* of the workflow */
    struct reel_lease lease;
    struct reel_buf document;
    struct reel_workflow parsed;
    struct reel_outcome *outcomes;
    uint32_t attempts; /* on the next step */
    bool started, called, checkpoint, over;
    unsigned started_index;
    char events[EVENTS_MAX][160];
    unsigned count; /* of events */
    unsigned acked;
    bool begun;         /* its step was started, and has no outcome */
    bool cancel, yield; /* the broker asked for it */
};

struct worker {
    unsigned connection; /* part of its routing id */
    unsigned instance;
    int slots;
    unsigned modalities; /* bits */
    bool stale;          /* it was told WHO, or has moved */
    struct job jobs[JOBS_MAX];
};

enum { ECHO, PAID, RESUMABLE, MODALITIES };
static const char *const modalities[MODALITIES] = {"echo", "paid", "resum"};
static const char *const policies[] = {"hold", "retry", "fail"};

static struct broker broker;
static struct reel_random source;
static struct worker workers[WORKERS];
static unsigned workflow_count;
static uint8_t calls[WORKFLOWS_MAX][STEPS_MAX]; /* fresh calls of a step that may not run twice */
static uint64_t loss;                           /* of 100 messages */

static uint64_t
below (uint64_t bound)
{
    return reel_random_below (&source, bound);
}

static bool
chance (uint64_t percent)
{
    return below (100) < percent;
}

static const char *
policy_of (unsigned number)
{
    return policies[number % 3];
}

static const char *
name_of (const struct worker *worker)
{
    static char name[32];
    snprintf (name, sizeof name, "w%td.%u", worker - workers, worker->connection);
    return name;
}

/* --- workers --------------------------------------------------------------------------------------- */

static void
drop_job (struct job *job)
{
    reel_buf_free (&job->document);
    reel_workflow_free (&job->parsed);
    free (job->outcomes);
    memset (job, 0, sizeof *job);
}

static struct job *
job_of (struct worker *worker, struct reel_lease lease)
{
    for (size_t i = 0; i < JOBS_MAX; i++)
        if (worker->jobs[i].taken && reel_lease_equal (worker->jobs[i].lease, lease))
            return &worker->jobs[i];
    return NULL;
}

static void
take_job (struct worker *worker, const struct reel_message *assign)
{
    struct job *job = worker->jobs;
    while (job < worker->jobs + JOBS_MAX && job->taken)
        job++;
    if (job == worker->jobs + JOBS_MAX)
        return; /* as if it had got lost */
    *job = (struct job){.taken = true, .lease = assign->value[REEL_F_LEASE].lease};
    job->number = (unsigned) strtoul ((const char *) assign->value[REEL_F_WORKFLOW_ID].s.data + 2, NULL, 10);
    reel_buf_add_slice (&job->document, assign->document);
    ck_assert_int_eq (reel_workflow_parse (&job->parsed, reel_buf_slice (&job->document), REEL_WORKFLOW_GROWN, NULL),
                      REEL_OK);
    job->outcomes = calloc (job->parsed.step_count, sizeof *job->outcomes);
    for (uint32_t i = 0; i < job->parsed.step_count; i++)
        job->outcomes[i] = reel_outcome_of (&job->parsed.steps[i]);
    if (reel_message_has (assign, REEL_F_ATTEMPTS))
        job->attempts = (uint32_t) assign->value[REEL_F_ATTEMPTS].u;
    job->checkpoint = reel_message_has (assign, REEL_F_CHECKPOINT);
}

/* What the broker said in its last step, as far as it arrives. */
static void
hear (void)
{
    for (size_t i = 0; i < broker.sent_count; i++) {
        const struct broker_sent *sent = &broker.sent[i];
        unsigned number, connection;
        struct reel_message message;
        if (sent->socket != REEL_SOCKET_WORKER || chance (loss)
            || sscanf (sent->peer, "w%u.%u", &number, &connection) != 2 || workers[number].connection != connection)
            continue;
        struct worker *worker = &workers[number];
        const struct reel_slice frames[] = {reel_slice_text ("REEL1"),
                                            reel_slice_text (reel_message_spec (sent->command)->name),
                                            reel_buf_slice (&sent->header), reel_buf_slice (&sent->document)};
        ck_assert_int_eq (reel_message_decode (REEL_TO_WORKER, REEL_COMMAND_COUNT, frames,
                                               sent->document.len > 0 ? 4 : 3, &message, NULL),
                          REEL_OK);
        struct job *job = reel_message_has (&message, REEL_F_LEASE) ? job_of (worker, message.value[REEL_F_LEASE].lease)
                                                                    : NULL;
        if (message.command == REEL_WHO)
            worker->stale = true;
        else if (message.command == REEL_ASSIGN)
            take_job (worker, &message);
        else if (message.command == REEL_FENCED && job != NULL)
            drop_job (job);
        else if (message.command == REEL_WORKER_CANCEL && job != NULL)
            job->cancel = true;
        else if (message.command == REEL_WORKER_YIELD && job != NULL)
            job->yield = true;
        else if (message.command == REEL_ACK && job != NULL && message.value[REEL_F_REPORT_INDEX].u > job->acked) {
            job->acked = (unsigned) message.value[REEL_F_REPORT_INDEX].u;
            ck_assert_uint_le (job->acked, job->count);
            if (job->over && job->acked == job->count)
                drop_job (job);
        }
    }
    broker.sent_count = 0;
    broker_forget (&broker);
}

static void
say (const struct worker *worker, const char *command, const char *header, const char *document)
{
    if (!chance (loss))
        broker_worker (&broker, name_of (worker), command, header, document);
    hear ();
}

static void
ready (struct worker *worker)
{
    char header[2048], served[128] = "", dispatch[256] = "";
    size_t len = 0, served_len = 0, dispatch_len = 0;
    for (unsigned m = 0; m < MODALITIES; m++)
        if ((worker->modalities & 1u << m) != 0) {
            const char *comma = served_len > 0 ? "," : "";
            served_len += (size_t) snprintf (served + served_len, sizeof served - served_len, "%s'%s'", comma,
                                             modalities[m]);
            dispatch_len += (size_t) snprintf (dispatch + dispatch_len, sizeof dispatch - dispatch_len,
                                               "%s'%s':{'class':'%s'}", comma, modalities[m],
                                               m == RESUMABLE ? "resumable" : "neither");
        }
    len += (size_t) snprintf (
        header, sizeof header,
        "{'name':'%s','instance':'%08u%08td','slots':%d,'modalities':[%s],'dispatch':{%s},'resume':[", name_of (worker),
        worker->instance, worker - workers, worker->slots, served, dispatch);
    for (size_t i = 0, n = 0; i < JOBS_MAX; i++)
        if (worker->jobs[i].taken)
            len += (size_t) snprintf (header + len, sizeof header - len, "%s[[%llu,%llu],%u]", n++ > 0 ? "," : "",
                                      (unsigned long long) worker->jobs[i].lease.epoch,
                                      (unsigned long long) worker->jobs[i].lease.counter, worker->jobs[i].count);
    snprintf (header + len, sizeof header - len, "]}");
    worker->stale = false;
    say (worker, "READY", header, NULL);
}

static void
heartbeat (struct worker *worker)
{
    char header[1024];
    size_t len = (size_t) snprintf (header, sizeof header, "{'sent_us':1,'leases':[");
    for (size_t i = 0, n = 0; i < JOBS_MAX; i++)
        if (worker->jobs[i].taken)
            len += (size_t) snprintf (header + len, sizeof header - len, "%s[%llu,%llu]", n++ > 0 ? "," : "",
                                      (unsigned long long) worker->jobs[i].lease.epoch,
                                      (unsigned long long) worker->jobs[i].lease.counter);
    snprintf (header + len, sizeof header - len, "]}");
    say (worker, "HEARTBEAT", header, NULL);
}

static void add_event (struct job *job, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

static void
add_event (struct job *job, const char *format, ...)
{
    va_list args;
    ck_assert_uint_lt (job->count, EVENTS_MAX);
    va_start (args, format);
    int len = vsnprintf (job->events[job->count], sizeof job->events[0], format, args);
    va_end (args);
    ck_assert_int_lt (len, (int) sizeof job->events[0]);
    job->count++;
}

static int
modality_of (const struct job *job, uint32_t step)
{
    for (int m = 0; m < MODALITIES; m++)
        if (reel_slice_is (job->parsed.steps[step].modality, modalities[m]))
            return m;
    ck_abort ();
    return 0;
}

static void
finish_step (struct job *job, uint32_t step, bool succeeded)
{
    const char *id = (const char *) job->parsed.steps[step].step_id.data;
    if (succeeded)
        add_event (job, STEP_EVENT ("step.succeeded", "%.2s", ",'receipt':{'by':%u,'x':%u}"), id, job->number,
                   (unsigned) below (1000));
    else
        add_event (job, STEP_EVENT ("step.failed", "%.2s", ",'error':'no'"), id);
    job->outcomes[step].status = succeeded ? REEL_STEP_SUCCEEDED : REEL_STEP_FAILED;
    job->started = job->begun = job->called = job->checkpoint = false;
    job->attempts = 0;
}

static void
finish_cancelled (struct job *job, uint32_t step)
{
    if (job->begun)
        add_event (job, STEP_EVENT ("step.failed", "%.2s", ",'error':{'code':'cancelled'}"),
                   (const char *) job->parsed.steps[step].step_id.data);
    add_event (job, EVENT ("workflow.ended", ",'error':{'code':'cancelled'}"));
    job->over = true;
}

/* A step runs: calls its adapter, and comes to some result. */
static void
run_on (struct job *job, uint32_t step, int modality)
{
    const char *id = (const char *) job->parsed.steps[step].step_id.data;
    bool twice = modality == ECHO || strcmp (policy_of (job->number), "retry") == 0;
    if (!job->called) {
        /* What is not idempotent waits until its start is known to be durable. */
        if (modality != ECHO && job->acked < job->started_index)
            return;
        job->called = true;
        if (!twice && !job->checkpoint)
            ck_assert_msg (++calls[job->number][step] == 1, "step %u of wf%u ran twice", step, job->number);
        return;
    }
    if (modality == RESUMABLE && !job->checkpoint && chance (80)) {
        add_event (job, STEP_EVENT ("step.checkpoint", "%.2s", ",'checkpoint':{'job':%u}"), id,
                   (unsigned) below (1000));
        job->checkpoint = true;
    } else if (twice && job->attempts < 3 && chance (15)) {
        if (job->checkpoint && chance (20)) {
            add_event (job, STEP_EVENT ("step.checkpoint", "%.2s", ",'checkpoint':null"), id);
            job->checkpoint = false;
        }
        bool open = chance (50);
        add_event (job, STEP_EVENT ("step.retrying", "%.2s", ",'error':{'code':'x'},'delay_ms':1%s"), id,
                   open          ? ",'open':true"
                   : chance (50) ? ",'open':false"
                                 : "");
        job->checkpoint = job->checkpoint && open;
        job->started = job->called = false;
    } else {
        finish_step (job, step, chance (85));
    }
}

/* The next thing that happens to a workflow at its worker. */
static void
work_on (const struct worker *worker, struct job *job)
{
    uint32_t step = 0;
    if (job->over || job->count > EVENTS_MAX - 2)
        return;
    while (step < job->parsed.step_count && reel_step_status_final (job->outcomes[step].status))
        step++;
    if (step == job->parsed.step_count) {
        add_event (job, ENDED);
        job->over = true;
        return;
    }
    const char *id = (const char *) job->parsed.steps[step].step_id.data;
    int modality = modality_of (job, step);
    if (job->cancel) {
        finish_cancelled (job, step);
        return;
    }
    if (reel_outcome_blocking (&job->parsed, step, job->outcomes) >= 0) {
        add_event (job, STEP_EVENT ("step.skipped", "%.2s", ",'error':'dep'"), id);
        job->outcomes[step].status = REEL_STEP_SKIPPED;
    } else if (job->started) {
        run_on (job, step, modality);
    } else if (job->yield || worker->slots == 0 || (worker->modalities & 1u << modality) == 0) {
        add_event (job, YIELDED);
        job->over = true;
    } else {
        add_event (job, STEP_EVENT ("step.started", "%.2s", ",'attempt':%u,'idempotent':%s,'in_doubt':'%s'"), id,
                   ++job->attempts, modality == ECHO ? "true" : "false", policy_of (job->number));
        job->started = job->begun = true;
        job->started_index = job->count;
    }
}

static void
report_from (const struct worker *worker, const struct job *job, unsigned index, const char *instead)
{
    struct reel_buf events = {0};
    char header[128];
    reel_buf_add_byte (&events, '[');
    for (unsigned i = index; i <= job->count; i++)
        reel_buf_printf (&events, "%s%s", i > index ? "," : "", job->events[i - 1]);
    if (instead != NULL) {
        reel_buf_clear (&events);
        reel_buf_printf (&events, "[%s", instead);
    }
    reel_buf_add (&events, "]", 2);
    snprintf (header, sizeof header, "{'lease':[%llu,%llu],'report_index':%u}", (unsigned long long) job->lease.epoch,
              (unsigned long long) job->lease.counter, index);
    say (worker, "REPORT", header, (const char *) events.data);
    reel_buf_free (&events);
}

static struct job *
any_job (struct worker *worker)
{
    size_t first = below (JOBS_MAX);
    for (size_t i = 0; i < JOBS_MAX; i++)
        if (worker->jobs[(first + i) % JOBS_MAX].taken)
            return &worker->jobs[(first + i) % JOBS_MAX];
    return NULL;
}

static void
crash (struct worker *worker)
{
    for (size_t i = 0; i < JOBS_MAX; i++)
        drop_job (&worker->jobs[i]);
    worker->connection++;
    worker->instance++;
    worker->stale = true;
}

static void
worker_turn (struct worker *worker)
{
    static const char *const nonsense[] = {SUCCEEDED ("zz"), "7", EVENT ("workflow.failed", "")};
    struct job *job = any_job (worker);
    uint64_t dice = below (1000);
    if (worker->stale && dice < 500)
        ready (worker);
    else if (dice < 5)
        crash (worker);
    else if (dice < 10) {
        worker->connection++;
        worker->stale = true;
    } else if (dice < 20) {
        worker->slots = chance (30) ? 0 : 1 + (int) below (JOBS_MAX - 2);
        worker->modalities = 1 + (unsigned) below (7);
        ready (worker);
    } else if (dice < 23) {
        say (worker, "LEAVE", "{}", NULL);
    } else if (dice < 26) {
        broker_unroutable (&broker, name_of (worker));
        hear ();
    } else if (dice < 150) {
        heartbeat (worker);
    } else if (job == NULL) {
        return;
    } else if (dice < 154) {
        report_from (worker, job, job->acked + 1, nonsense[below (3)]);
    } else if (dice < 160) {
        report_from (worker, job, job->acked + 2 <= job->count ? job->acked + 2 : job->acked + 1, NULL);
    } else if (dice < 170) {
        report_from (worker, job, 1 + (unsigned) below (job->acked + 1), NULL);
    } else if (dice < 190 && job->started && job->acked >= job->started_index) {
        char header[128];
        snprintf (header, sizeof header, "{'lease':[%llu,%llu],'report_index':null}",
                  (unsigned long long) job->lease.epoch, (unsigned long long) job->lease.counter);
        say (worker, "REPORT", header, "[" PROGRESS ("s0") "]");
    } else if (dice < 600) {
        work_on (worker, job);
    } else {
        work_on (worker, job);
        report_from (worker, job, job->acked + 1, NULL);
    }
}

/* --- clients -------------------------------------------------------------------------------------------- */

static const char *
document_of (unsigned number)
{
    static char text[1024];
    struct reel_random random;
    reel_random_seed (&random, number);
    unsigned steps = 1 + (unsigned) reel_random_below (&random, STEPS_MAX);
    size_t len = (size_t) snprintf (text, sizeof text, "{'workflow_id':'wf%u','steps':[", number);
    for (unsigned i = 0; i < steps; i++) {
        len += (size_t) snprintf (text + len, sizeof text - len, "%s{'step_id':'s%u','modality':'%s'", i > 0 ? "," : "",
                                  i, modalities[reel_random_below (&random, MODALITIES)]);
        if (i > 0 && reel_random_below (&random, 2) == 0)
            len += (size_t) snprintf (text + len, sizeof text - len, ",'depends_on':['s%u']",
                                      (unsigned) reel_random_below (&random, i));
        if (reel_random_below (&random, 10) == 0 && i == 0)
            len += (size_t) snprintf (text + len, sizeof text - len, ",'status':'succeeded','receipt':{'r':%u}",
                                      number);
        len += (size_t) snprintf (text + len, sizeof text - len, "}");
    }
    snprintf (text + len, sizeof text - len, "]}");
    return text;
}

static void
submit (unsigned number)
{
    char header[128];
    snprintf (header, sizeof header, "{'priority':%d,'not_before_us':%lld}", (int) below (3) - 1,
              (long long) (chance (10) ? broker.wall_us + (int64_t) below (20000000) : 0));
    broker_client (&broker, "c", "SUBMIT", header, document_of (number));
    if (broker.sent_count > 0 && strcmp (broker_header (&broker, "/duplicate"), "false") == 0)
        memset (calls[number], 0, sizeof calls[number]); /* it is new, or was forgotten */
    hear ();
}

/* An operator asks for something, of any workflow in any state. */
static void
operator_turn (void)
{
    static const char *const commands[] = {"CANCEL", "PAUSE", "RESUME", "RESOLVE", "RESOLVE", "RERUN"};
    static const char *const resolutions[] = {"retry", "failed", "succeeded"};
    char header[256];
    const char *command = commands[below (6)], *as = resolutions[below (3)];
    if (workflow_count == 0 || workflow_count == WORKFLOWS_MAX)
        return;
    /* One of the newest: those are still under way. */
    unsigned number = workflow_count - 1 - (unsigned) below (workflow_count < 12 ? workflow_count : 12),
             step = (unsigned) below (STEPS_MAX);
    if (strcmp (command, "RERUN") == 0)
        snprintf (header, sizeof header, "{'workflow_id':'wf%u','new_workflow_id':'wf%u'%s}", number, workflow_count++,
                  chance (30) ? ",'from_step':'s0'" : "");
    else if (strcmp (command, "RESOLVE") == 0)
        snprintf (header, sizeof header, "{'workflow_id':'wf%u','step_id':'s%u','as':'%s'%s}", number, step, as,
                  strcmp (as, "succeeded") == 0 ? ",'receipt':{'by':'hand'}" : "");
    else if (command[0] != 'C' && chance (15))
        snprintf (header, sizeof header, "{}");
    else
        snprintf (header, sizeof header, "{'workflow_id':'wf%u'}", number);
    broker_client (&broker, "c", command, header, NULL);
    for (size_t i = 0; i < broker.sent_count; i++)
        if (broker.sent[i].command == REEL_OK_RESOLVE && strcmp (as, "retry") == 0)
            calls[number][step] = 0; /* somebody said that it may run once more */
    hear ();
}

static void
client_turn (void)
{
    static const char *const commands[] = {"GET", "RECEIPT", "EVENTS", "LIST", "WORKERS", "PING", "STATS", "NONSENSE"};
    char header[256];
    uint64_t dice = below (100);
    unsigned number = (unsigned) below (workflow_count + 1);
    if (chance (15)) {
        operator_turn ();
        return;
    }
    if (dice < 45 && workflow_count < WORKFLOWS_MAX) {
        submit (workflow_count++);
        return;
    }
    if (dice < 55) {
        submit (number < workflow_count ? number : 0);
        return;
    }
    snprintf (header, sizeof header, "{'workflow_id':'wf%u','wait_ms':%u,'after':%u,'limit':%u}", number,
              (unsigned) below (20000), (unsigned) below (broker.event_count + 2), (unsigned) below (50));
    const char *command = commands[below (8)];
    broker_client (&broker, "c", command, header, NULL);
    const struct broker_model *model;
    for (size_t i = 0; i < broker.sent_count; i++)
        if (broker.sent[i].command == REEL_OK_RECEIPT && strcmp (command, "RECEIPT") == 0 && broker.sent_count == 1) {
            snprintf (header, sizeof header, "wf%u", number);
            ck_assert_ptr_nonnull (model = broker_model (&broker, header));
            ck_assert (reel_slice_equal (reel_buf_slice (&broker.sent[i].document), reel_buf_slice (&model->receipt)));
        }
    hear ();
}

/* --- the world ------------------------------------------------------------------------------------------- */

static void
kill_broker (void)
{
    /* What it was just about to commit is gone, and nobody has heard of it. */
    if (chance (50)) {
        struct reel_buf header = broker_msgpack ("{}"), document = broker_msgpack (document_of (workflow_count));
        const struct reel_slice frames[] = {reel_slice_text ("REEL1"), reel_slice_text ("SUBMIT"),
                                            reel_buf_slice (&header), reel_buf_slice (&document)};
        struct reel_core_frames message = {REEL_SOCKET_CLIENT, reel_slice_text ("c"), false, frames, 4};
        struct reel_core_time now = {broker.wall_us, broker.monotonic_us};
        int64_t wake_us;
        ck_assert_int_eq (reel_core_message (broker.core, now, &message, &broker.effects), REEL_OK);
        ck_assert_int_eq (reel_core_tick (broker.core, now, true, &broker.effects, &wake_us), REEL_OK);
        reel_effects_clear (&broker.effects);
        reel_buf_free (&header);
        reel_buf_free (&document);
    }
    broker_restart (&broker);
    hear ();
}

static void
turn (void)
{
    uint64_t dice = below (1000);
    if (dice < 2)
        kill_broker ();
    else if (dice < 60)
        broker_pass_ms (&broker, (int64_t) below (dice < 10 ? 12000 : 500));
    else if (dice < 200)
        client_turn ();
    else
        worker_turn (&workers[below (WORKERS)]);
    hear ();
}

static bool
is_over (const struct broker_model *model)
{
    return strcmp (model->status, "queued") != 0 && strcmp (model->status, "running") != 0
           && strcmp (model->status, "held") != 0;
}

static void
resume_everything (void)
{
    char header[64];
    broker_client (&broker, "c", "RESUME", "{}", NULL);
    hear ();
    for (unsigned number = 0; number < workflow_count; number++) {
        snprintf (header, sizeof header, "{'workflow_id':'wf%u'}", number);
        broker_client (&broker, "c", "RESUME", header, NULL);
        hear ();
    }
}

/* Nothing is lost any more, every worker is there, serves everything and gets on with it. */
static void
heal (void)
{
    size_t left = 1;
    loss = 0;
    resume_everything ();
    for (unsigned round = 0; round < 500 && left > 0; round++) {
        for (struct worker *worker = workers; worker < workers + WORKERS; worker++) {
            if (round == 0 || worker->stale) {
                worker->slots = 4;
                worker->modalities = 7;
                ready (worker);
            }
            heartbeat (worker);
            for (size_t i = 0; i < JOBS_MAX; i++) {
                struct job *job = &worker->jobs[i];
                for (unsigned n = 0; n < 30 && job->taken; n++) {
                    work_on (worker, job);
                    report_from (worker, job, job->acked + 1, NULL);
                }
            }
        }
        broker_pass_ms (&broker, 2000);
        hear ();
        left = 0;
        for (size_t i = 0; i < broker.model_count; i++)
            left += !is_over (&broker.models[i]) && strcmp (broker.models[i].status, "held") != 0;
    }
    ck_assert_msg (left == 0, "%zu workflows never ended", left);
}

START_TEST (whatever_happens)
{
    const char *from = getenv ("REEL_SEED");
    uint64_t seed = (from != NULL ? strtoull (from, NULL, 10) : 1) + (uint64_t) _i;
    fprintf (stderr, "seed %llu\n", (unsigned long long) seed);
    reel_random_seed (&source, seed);
    memset (calls, 0, sizeof calls); /* without a process of its own, what the last one left is still there */
    memset (workers, 0, sizeof workers);
    workflow_count = 0;
    loss = _i % 2 == 0 ? 2 : 15;
    broker_init (&broker);
    if (_i > 0)
        broker.setup.snapshot_bytes = 1 + below (_i % 2 == 0 ? 2000 : 50000);
    broker.setup.snapshot_piece_bytes = 1 + below (3000);
    broker.setup.retain_bytes = _i % 3 == 1 ? 200000 : 0;
    broker.setup.retain_ms = _i % 3 == 2 ? 100000 : 0;
    broker_start (&broker);
    for (struct worker *worker = workers; worker < workers + WORKERS; worker++) {
        worker->slots = 3;
        worker->modalities = 7;
        ready (worker);
    }
    for (unsigned i = 0; i < TURNS; i++)
        turn ();
    heal ();
    size_t held = 0, succeeded = 0, failed = 0, cancelled = 0;
    for (size_t i = 0; i < broker.model_count; i++) {
        held += strcmp (broker.models[i].status, "held") == 0;
        succeeded += strcmp (broker.models[i].status, "succeeded") == 0;
        failed += strcmp (broker.models[i].status, "failed") == 0;
        cancelled += strcmp (broker.models[i].status, "cancelled") == 0;
    }
    fprintf (stderr, "%zu workflows, %zu events: %zu succeeded, %zu failed, %zu cancelled, %zu held, epoch %llu\n",
             broker.model_count, broker.event_count, succeeded, failed, cancelled, held,
             (unsigned long long) broker.epoch);
    fprintf (stderr, "%zu snapshots, %zu recoveries from one, forgotten up to %llu\n", broker.snapshots,
             broker.recoveries, (unsigned long long) broker.forgotten);
    if (_i > 0)
        ck_assert_uint_gt (broker.recoveries, 10);
    if (_i % 3 != 0)
        ck_assert_uint_gt (broker.forgotten, 0);
    ck_assert_uint_gt (succeeded, 10);
    ck_assert_uint_gt (cancelled, 0);
    for (struct worker *worker = workers; worker < workers + WORKERS; worker++)
        crash (worker);
    broker_free (&broker);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("core, at random");
    TCase *tests = tcase_create ("random");
    tcase_add_loop_test (tests, whatever_happens, 0, getenv ("REEL_VALGRIND") != NULL ? SEEDS_UNDER_VALGRIND : SEEDS);
    suite_add_tcase (suite, tests);
    return suite_run (suite);
}
