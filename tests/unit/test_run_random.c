/*
 * Random workflows under random results, acknowledgements, time, cancelling, yielding and lost
 * workers, against what must hold whatever happens. REEL_SEED=<n> repeats the one that failed.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "proto/message.h"
#include "proto/outcome.h"
#include "proto/scan.h"
#include "tests/support/run_bench.h"
#include "tests/support/suite.h"

#define SEEDS 500
#define STEPS_MAX 8
#define DELIVERIES_MAX 50
#define EVENTS_MAX 4096

#define HOLDS(condition) ck_assert_msg (condition, "seed %llu: %s", (unsigned long long) world.seed, #condition)

struct event {
    enum reel_command kind;
    int step; /* -1: of the workflow */
    uint32_t attempt;
    bool idempotent;
    bool failed_workflow;
    struct reel_buf body; /* receipt or error */
};

static const struct run_bench_hook hookings[3][3] = {
    {{NULL, 0}},
    {{"all", REEL_HOOK_PRE_STEP | REEL_HOOK_POST_STEP | REEL_HOOK_ON_FAILURE}, {NULL, 0}},
    {{"before", REEL_HOOK_PRE_STEP | REEL_HOOK_POST_STEP}, {"after", REEL_HOOK_POST_STEP}, {NULL, 0}}};

/* What the broker would know, and what the shell would. */
static struct world {
    uint64_t seed;
    struct reel_random random;
    struct run_bench bench;
    struct event events[EVENTS_MAX]; /* of this delivery */
    uint64_t event_count;
    uint64_t acked;
    bool confirmed;
    int64_t confirmed_us;
    int open; /* the step, or -1 */
    bool open_hook;
    uint32_t hooks_done; /* of the point that is at hand, since the last event of its step */
    bool hook_failed;
    bool cancelled, yielded;
    /* durable, over all deliveries */
    struct reel_outcome durable[STEPS_MAX];
    struct reel_buf kept[STEPS_MAX];
    uint32_t attempts[STEPS_MAX];
    uint32_t steps;
} world;

static uint64_t
roll (uint64_t sides)
{
    return reel_random_below (&world.random, sides);
}

static bool
one_in (uint64_t sides)
{
    return roll (sides) == 0;
}

/* --- a workflow ---------------------------------------------------------------------------- */

static void
add_step (struct reel_buf *out, uint32_t step)
{
    static const char *const modalities[] = {"idem", "idem", "paid", "paid", "resum"};
    static const char *const doubts[] = {"hold", "retry", "fail"};
    reel_buf_printf (out, "%s{'step_id':'s%u','modality':'%s','depends_on':[", step > 0 ? "," : "", step,
                     modalities[roll (5)]);
    uint64_t referred = UINT64_MAX;
    bool first = true;
    for (uint32_t d = 0; d < step; d++)
        if (one_in (3)) {
            reel_buf_printf (out, "%s's%u'", first ? "" : ",", d);
            first = false;
            referred = d;
        }
    reel_buf_add_text (out, "]");
    if (referred != UINT64_MAX && one_in (2))
        reel_buf_printf (out, ",'payload':{'x':{'$ref':'#/s%llu/output/%s'}}", (unsigned long long) referred,
                         one_in (6) ? "none" : "n");
    if (one_in (2))
        reel_buf_printf (out, ",'policy':{'in_doubt':'%s','retry':{'max_attempts':%d,'backoff_ms':%d}}",
                         doubts[roll (3)], 1 + (int) roll (4), one_in (2) ? 0 : 200);
    reel_buf_add_text (out, "}");
}

static struct reel_buf
random_workflow (void)
{
    struct reel_buf text = {0};
    world.steps = (uint32_t) (1 + roll (STEPS_MAX));
    reel_buf_add_text (&text, "{'steps':[");
    for (uint32_t i = 0; i < world.steps; i++)
        add_step (&text, i);
    reel_buf_add_text (&text, "]}");
    reel_buf_add_byte (&text, 0);
    struct reel_buf document = run_bench_msgpack ((const char *) text.data);
    reel_buf_free (&text);
    return document;
}

/* --- what must hold of the events ----------------------------------------------------------- */

static enum reel_step_status
said (const struct event *event)
{
    return event->kind == REEL_REPORTED_SUCCEEDED ? REEL_STEP_SUCCEEDED
           : event->kind == REEL_REPORTED_FAILED  ? REEL_STEP_FAILED
           : event->kind == REEL_REPORTED_SKIPPED ? REEL_STEP_SKIPPED
                                                  : REEL_STEP_RUNNING;
}

/* Where a step stands after this delivery's events so far, on top of what was durable when it began. */
static enum reel_step_status
stands (int step, uint64_t before)
{
    enum reel_step_status status = reel_run_workflow (world.bench.run)->steps[step].status;
    for (uint64_t i = 0; i < before; i++)
        if (world.events[i].step == step)
            status = said (&world.events[i]);
    return status;
}

static bool
blocked (int step, uint64_t before)
{
    const struct reel_workflow *workflow = reel_run_workflow (world.bench.run);
    for (uint32_t d = 0; d < workflow->steps[step].depends_count; d++) {
        int dependency = (int) workflow->depends[workflow->steps[step].depends_first + d];
        enum reel_step_status status = stands (dependency, before);
        HOLDS (reel_step_status_final (status));
        if (status != REEL_STEP_SUCCEEDED)
            return true;
    }
    return false;
}

/* All the hooks that the last event of a step brings were called, and did not fail. */
static bool
hooks_through (const struct event *last)
{
    uint32_t owed = 0;
    unsigned point = last->kind == REEL_REPORTED_SUCCEEDED ? REEL_HOOK_POST_STEP
                     : last->kind == REEL_REPORTED_FAILED  ? REEL_HOOK_ON_FAILURE
                                                           : REEL_HOOK_NONE;
    for (const struct run_bench_hook *hook = world.bench.hooks; hook->name != NULL; hook++)
        owed += (hook->points & point) != 0;
    return !world.hook_failed && world.hooks_done == owed;
}

static void
check_event (uint64_t index)
{
    const struct event *event = &world.events[index], *last = index > 0 ? &world.events[index - 1] : NULL;
    HOLDS (last == NULL || last->step >= 0); /* nothing after the end */
    if (last != NULL && event->step != last->step)
        HOLDS (hooks_through (last) || (world.hook_failed && event->kind == REEL_REPORTED_ENDED));
    if (event->kind != REEL_REPORTED_CHECKPOINT)
        world.hooks_done = 0;
    if (event->step < 0)
        return;
    HOLDS (last == NULL || event->step >= last->step); /* in list order */
    for (int step = 0; step < event->step; step++)
        HOLDS (reel_step_status_final (stands (step, index)));
    HOLDS (!reel_step_status_final (stands (event->step, index)));
    bool same_step = last != NULL && last->step == event->step;
    switch (event->kind) {
    case REEL_REPORTED_STARTED:
        HOLDS (!blocked (event->step, index));
        HOLDS (!same_step || last->kind == REEL_REPORTED_RETRYING);
        world.attempts[event->step]++;
        HOLDS (event->attempt == world.attempts[event->step]);
        break;
    case REEL_REPORTED_SKIPPED:
        HOLDS (blocked (event->step, index));
        HOLDS (!same_step);
        break;
    default: HOLDS (same_step && (last->kind != REEL_REPORTED_RETRYING || world.cancelled)); break;
    }
}

static void
read_event (struct reel_slice map)
{
    struct reel_message message;
    HOLDS (world.event_count < EVENTS_MAX);
    HOLDS (reel_message_decode_event (REEL_REPORTED, map, "", &message, NULL) == REEL_OK);
    struct event *event = &world.events[world.event_count];
    *event = (struct event){.kind = message.command, .step = -1};
    if (reel_message_has (&message, REEL_F_STEP_ID))
        event->step = (int) reel_workflow_find (reel_run_workflow (world.bench.run), message.value[REEL_F_STEP_ID].s);
    if (message.command == REEL_REPORTED_STARTED) {
        event->attempt = (uint32_t) message.value[REEL_F_ATTEMPT].u;
        event->idempotent = message.value[REEL_F_IDEMPOTENT].b;
    }
    if (reel_message_has (&message, REEL_F_RECEIPT))
        reel_buf_add_slice (&event->body, message.value[REEL_F_RECEIPT].s);
    if (reel_message_has (&message, REEL_F_ERROR)) {
        reel_buf_add_slice (&event->body, message.value[REEL_F_ERROR].s);
        event->failed_workflow = event->step < 0;
    }
    check_event (world.event_count++);
}

static void
read_outbox (void)
{
    struct reel_buf report = {0};
    uint32_t count;
    if (reel_run_outbox (world.bench.run, world.event_count + 1, 4u << 20, &report, &count) != REEL_OK)
        return;
    struct reel_cursor cursor = reel_scan_start (reel_buf_slice (&report));
    struct reel_value head;
    struct reel_slice event;
    HOLDS (reel_scan_next (&cursor, &head));
    for (uint32_t i = 0; i < count; i++) {
        HOLDS (reel_scan_skip (&cursor, &event));
        read_event (event);
    }
    reel_buf_free (&report);
}

static void
check_hook (const struct reel_call *call)
{
    const struct event *last = &world.events[world.event_count - 1];
    HOLDS (last->step >= 0 && !world.hook_failed);
    HOLDS (reel_slice_equal (reel_run_workflow (world.bench.run)->steps[last->step].step_id, call->step_id));
    HOLDS (last->kind
           == (call->hook == REEL_HOOK_PRE_STEP    ? REEL_REPORTED_STARTED
               : call->hook == REEL_HOOK_POST_STEP ? REEL_REPORTED_SUCCEEDED
                                                   : REEL_REPORTED_FAILED));
    HOLDS (call->hook != REEL_HOOK_PRE_STEP || !world.cancelled);
    HOLDS (call->hook_index == world.hooks_done);
    world.open = last->step;
    world.open_hook = true;
}

static void
check_dispatch (const struct reel_call *call)
{
    HOLDS (world.event_count > 0);
    HOLDS (world.open < 0);
    world.open_hook = false;
    if (call->hook != REEL_HOOK_NONE) {
        check_hook (call);
        return;
    }
    HOLDS (!world.hook_failed);
    const struct event *last = &world.events[world.event_count - 1];
    HOLDS (last->kind == REEL_REPORTED_STARTED && last->attempt == call->attempt);
    HOLDS (!world.cancelled);
    HOLDS (!world.yielded);
    HOLDS (reel_slice_equal (reel_run_workflow (world.bench.run)->steps[last->step].step_id, call->step_id));
    HOLDS (!reel_step_status_final (world.durable[last->step].status)); /* finished steps are not run again */
    if (!last->idempotent) {
        HOLDS (world.acked == world.event_count);
        HOLDS (world.confirmed && world.bench.monotonic_us - world.confirmed_us < 10000 * 1000);
    }
    world.open = last->step;
}

static void
look (void)
{
    HOLDS (world.bench.status == REEL_OK);
    bool was_ended = world.event_count > 0 && world.events[world.event_count - 1].step < 0;
    read_outbox ();
    for (size_t i = 0; i < world.bench.commands.count; i++) {
        HOLDS (!was_ended);
        if (world.bench.commands.list[i].kind == REEL_RUN_DISPATCH)
            check_dispatch (&world.bench.commands.list[i].call);
        if (world.bench.commands.list[i].kind == REEL_RUN_ABORT)
            HOLDS (world.open >= 0 && world.cancelled);
    }
    world.bench.commands.count = 0;
    run_bench_forget (&world.bench);
}

/* --- what happens --------------------------------------------------------------------------- */

static void
acknowledge (uint64_t index)
{
    for (; world.acked < index; world.acked++) {
        struct event *event = &world.events[world.acked];
        if (event->step < 0 || !reel_step_status_final (said (event)))
            continue;
        struct reel_outcome *outcome = &world.durable[event->step];
        HOLDS (!reel_step_status_final (outcome->status)); /* exactly once */
        reel_buf_clear (&world.kept[event->step]);
        reel_buf_add_slice (&world.kept[event->step], reel_buf_slice (&event->body));
        struct reel_slice body = reel_buf_slice (&world.kept[event->step]);
        bool succeeded = event->kind == REEL_REPORTED_SUCCEEDED;
        *outcome = (struct reel_outcome){said (event), succeeded ? body : REEL_SLICE_NONE,
                                         succeeded ? REEL_SLICE_NONE : body,
                                         event->kind == REEL_REPORTED_SKIPPED ? REEL_TIME_NIL : 1, 2};
    }
    run_bench_ack (&world.bench, index);
}

static void
finish_call (void)
{
    static const char *const codes[] = {"busy", "timeout", "lost", "cancelled"};
    static const char *const hows[] = {"", "r", "r", "ro", "o"};
    world.open = -1;
    bool hook_fails = world.open_hook && one_in (12), before = world.bench.call.hook == REEL_HOOK_PRE_STEP;
    world.hook_failed |= hook_fails && !(before && world.cancelled);
    world.hooks_done += world.open_hook;
    if (world.open_hook ? hook_fails : one_in (2))
        run_bench_fail (&world.bench, codes[roll (4)], hows[roll (5)]);
    else
        run_bench_succeed (&world.bench, "{'n':1}");
}

static void
confirm (int64_t sent_us)
{
    if (!world.confirmed || sent_us > world.confirmed_us)
        world.confirmed_us = sent_us;
    world.confirmed = true;
    run_bench_feed (&world.bench, (struct reel_run_event){.kind = REEL_RUN_CONFIRMED, .confirmed_us = sent_us});
}

static void
happen (bool gentle)
{
    struct run_bench *bench = &world.bench;
    switch (roll (gentle ? 8 : 13)) {
    case 0:
    case 1:
        if (world.open >= 0)
            finish_call ();
        break;
    case 2: acknowledge (world.acked + roll (world.event_count - world.acked + 1)); break;
    case 3: acknowledge (world.event_count); break;
    case 4: confirm (bench->monotonic_us); break;
    case 5: confirm (bench->monotonic_us - (int64_t) roll (20000000)); break;
    case 6: run_bench_pass_ms (bench, (int64_t) roll (400)); break;
    case 7: run_bench_tick (bench); break;
    case 8: run_bench_checkpoint (bench, "{'job':1}"); break;
    case 9: run_bench_progress (bench, 0.5, "half"); break;
    case 10: run_bench_pass_ms (bench, 15000); break;
    case 11:
        if (one_in (10)) {
            world.cancelled = world.cancelled || !reel_run_ended (bench->run);
            run_bench_cancel (bench);
        }
        break;
    default:
        if (one_in (10)) {
            world.yielded = world.yielded || !reel_run_ended (bench->run);
            run_bench_yield (bench);
        }
        break;
    }
    look ();
}

static void
check_end (void)
{
    const struct event *last = &world.events[world.event_count - 1];
    const struct reel_outcome *outcomes = reel_run_outcomes (world.bench.run);
    bool all_final = reel_outcome_all_final (outcomes, world.steps);
    HOLDS (last->step < 0 && world.open < 0);
    HOLDS (last->kind == REEL_REPORTED_ENDED || (world.yielded && !all_final));
    HOLDS (last->kind != REEL_REPORTED_ENDED || last->failed_workflow || all_final);
    HOLDS (!last->failed_workflow || world.cancelled || world.hook_failed);
    HOLDS (!world.hook_failed || last->failed_workflow);
    HOLDS (!reel_run_cancelled (world.bench.run) || (world.cancelled && last->failed_workflow));
    for (uint32_t i = 0; i < world.steps; i++)
        HOLDS (outcomes[i].status == stands ((int) i, world.event_count)
               || (outcomes[i].status == REEL_STEP_RUNNING && world.yielded));
}

/* --- deliveries ----------------------------------------------------------------------------- */

static void
begin_delivery (uint32_t delivery, struct reel_slice document)
{
    struct run_bench *bench = &world.bench;
    int64_t wall_us = bench->wall_us, monotonic_us = bench->monotonic_us;
    run_bench_init (bench);
    bench->wall_us = wall_us + 1;
    bench->monotonic_us = monotonic_us + 1;
    bench->hooks = hookings[world.seed % 3];
    bench->setup.delivery = delivery;
    bench->setup.seed = roll (UINT64_MAX);
    world.open = -1;
    world.confirmed = world.cancelled = world.yielded = world.open_hook = world.hook_failed = false;
    world.hooks_done = 0;
    world.event_count = world.acked = 0;
    for (uint32_t i = 0; delivery > 1 && i < world.steps; i++)
        if (!reel_step_status_final (world.durable[i].status)) {
            bench->setup.attempts = world.attempts[i];
            break;
        }
    /* Whatever was begun behind the last durable outcome is forgotten with the worker. */
    for (uint32_t i = 0, open = 0; i < world.steps; i++)
        if (!reel_step_status_final (world.durable[i].status) && open++ > 0)
            world.attempts[i] = 0;
    run_bench_start_from (bench, document);
    look ();
}

/* The document as the broker would hand it out again. */
static struct reel_buf
end_delivery (void)
{
    struct reel_buf document = {0};
    struct reel_outcome outcomes[STEPS_MAX];
    memcpy (outcomes, world.durable, sizeof outcomes);
    reel_outcome_document (&document, reel_run_workflow (world.bench.run), outcomes, REEL_SLICE_NONE, REEL_SLICE_NONE);
    for (uint64_t i = 0; i < world.event_count; i++)
        reel_buf_free (&world.events[i].body);
    run_bench_free (&world.bench);
    return document;
}

static void
check_what_was_durable (void)
{
    for (uint32_t i = 0; i < world.steps; i++) {
        const struct reel_outcome *now = &reel_run_outcomes (world.bench.run)[i];
        if (!reel_step_status_final (world.durable[i].status))
            continue;
        HOLDS (now->status == world.durable[i].status);
        HOLDS (reel_slice_equal (now->receipt, world.durable[i].receipt));
        HOLDS (reel_slice_equal (now->error, world.durable[i].error));
    }
}

static void
live (uint64_t seed)
{
    world.seed = seed;
    world.steps = 0;
    memset (world.attempts, 0, sizeof world.attempts);
    for (size_t i = 0; i < STEPS_MAX; i++)
        world.durable[i] = (struct reel_outcome){.started_us = REEL_TIME_NIL, .finished_us = REEL_TIME_NIL};
    reel_random_seed (&world.random, seed);
    struct reel_buf document = random_workflow ();
    bool done = false;
    for (uint32_t delivery = 1; !done; delivery++) {
        HOLDS (delivery <= DELIVERIES_MAX);
        begin_delivery (delivery, reel_buf_slice (&document));
        reel_buf_free (&document);
        bool last_chance = delivery > 5;
        uint64_t patience = last_chance ? 20000 : 1 + roll (150);
        for (uint64_t i = 0; i < patience && !reel_run_ended (world.bench.run); i++)
            happen (last_chance);
        if (reel_run_ended (world.bench.run)) {
            check_end ();
            check_what_was_durable ();
            if (one_in (2)) {
                acknowledge (world.event_count);
                look ();
                done = world.events[world.event_count - 1].kind == REEL_REPORTED_ENDED;
                HOLDS (reel_run_outbox_empty (world.bench.run));
            }
        } else {
            HOLDS (!last_chance);
        }
        document = end_delivery ();
    }
    reel_buf_free (&document);
    for (size_t i = 0; i < STEPS_MAX; i++)
        reel_buf_free (&world.kept[i]);
}

START_TEST (whatever_happens)
{
    const char *wanted = getenv ("REEL_SEED");
    if (wanted != NULL) {
        live (strtoull (wanted, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        live (seed);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("run_random");
    TCase *tc = tcase_create ("random");
    tcase_set_timeout (tc, 60);
    tcase_add_test (tc, whatever_happens);
    suite_add_tcase (suite, tc);
    return suite_run (suite);
}
