/*
 * The run machine when memory is out: the Nth allocation of a whole life fails, for every N. The
 * machine says so, stays broken, and gives everything back.
 *
 * With the sanitizers there is only the life without failures.
 */
#include <check.h>
#include <string.h>

#include "tests/support/run_bench.h"
#include "tests/support/scarce.h"
#include "tests/support/suite.h"

static struct reel_run *run;
static struct reel_run_commands commands;
static int64_t now_us;
static bool cancelling;

static bool
route (void *context, struct reel_slice modality, struct reel_route *found)
{
    (void) context;
    *found = (struct reel_route){.adapter = "adapter",
                                 .class = reel_slice_is (modality, "paid") ? REEL_ADAPTER_NEITHER
                                                                           : REEL_ADAPTER_IDEMPOTENT,
                                 .policy = {.max_attempts = 3}};
    return !reel_slice_is (modality, "unknown");
}

/* Around everything one hook, and one more on failure. */
static bool
hook (void *context, enum reel_hook_point point, uint32_t index, struct reel_hook *found)
{
    (void) context;
    *found = (struct reel_hook){.name = "log"};
    return index < (point == REEL_HOOK_ON_FAILURE ? 2 : 1);
}

static bool feed (struct reel_run_event event);

/* What a hook that was opened says: the last one of a step that is cancelled fails. */
static bool
finish_hook (void)
{
    for (size_t i = 0; i < commands.count; i++) {
        const struct reel_call *call = &commands.list[i].call;
        if (commands.list[i].kind != REEL_RUN_DISPATCH || call->hook == REEL_HOOK_NONE)
            continue;
        struct reel_run_event finished = {.kind = REEL_RUN_FINISHED,
                                          .result.succeeded = !(cancelling && call->hook_index == 1),
                                          .result.failure = {.message = reel_slice_text ("no disk")}};
        return feed (finished);
    }
    return true;
}

/* False when the run is broken, and then nothing came out. */
static bool
feed (struct reel_run_event event)
{
    now_us += 1000;
    event.wall_us = event.monotonic_us = now_us;
    cancelling |= event.kind == REEL_RUN_CANCEL;
    enum reel_status status = reel_run_step (run, &event, &commands);
    if (status == REEL_OK)
        return finish_hook ();
    ck_assert_int_eq (status, REEL_NO_MEMORY);
    ck_assert_uint_eq (commands.count, 0);
    event.kind = REEL_RUN_CANCEL;
    ck_assert_int_eq (reel_run_step (run, &event, &commands), REEL_NO_MEMORY);
    ck_assert_uint_eq (commands.count, 0);
    return false;
}

static bool
answer (void)
{
    return feed ((struct reel_run_event){.kind = REEL_RUN_CONFIRMED, .confirmed_us = now_us})
           && feed ((struct reel_run_event){.kind = REEL_RUN_ACKED, .index = reel_run_last_index (run)});
}

static struct reel_buf document, overrides, output, extra, job;

static bool
live (void)
{
    struct reel_run_event success = {
        .kind = REEL_RUN_FINISHED,
        .result = {.succeeded = true, .output = reel_buf_slice (&output), .extra = reel_buf_slice (&extra)}};
    struct reel_run_event failure = {.kind = REEL_RUN_FINISHED,
                                     .result.failure = {.code = "busy",
                                                        .message = reel_slice_text ("try \xff again"),
                                                        .retryable = true,
                                                        .detail = reel_buf_slice (&job)}};
    struct reel_buf report = {0};
    uint32_t count;
    bool lived = feed ((struct reel_run_event){.kind = REEL_RUN_BEGIN}) && feed (success) && answer () && feed (failure)
                 && answer ()
                 && feed ((struct reel_run_event){.kind = REEL_RUN_CHECKPOINT, .checkpoint = reel_buf_slice (&job)})
                 && feed (
                     (struct reel_run_event){.kind = REEL_RUN_PROGRESS, .progress = {0.5, reel_slice_text ("half")}})
                 && feed (success) && feed (failure) && feed (failure) && feed (failure)
                 && feed ((struct reel_run_event){.kind = REEL_RUN_CANCEL}) && feed (failure)
                 && reel_run_outbox (run, reel_run_last_index (run), 4096, &report, &count) == REEL_OK;
    reel_buf_free (&report);
    return lived;
}

/* True when nothing failed. */
static bool
live_with_failure (uint64_t at)
{
    struct reel_run_setup setup = {.document = reel_buf_slice (&document),
                                   .workflow_id = reel_slice_text ("wf"),
                                   .provenance = reel_buf_slice (&overrides),
                                   .checkpoint = reel_buf_slice (&job),
                                   .delivery = 1,
                                   .lease_ms = 10000,
                                   .route = route,
                                   .hook = hook};
    struct reel_error err;
    now_us = 0;
    cancelling = false;
    allocations = 0;
    failing = at;
    outstanding = 0;
    armed = true;
    run = NULL;
    enum reel_status status = reel_run_create (&setup, &run, &err);
    bool lived = status == REEL_OK && live ();
    if (lived)
        ck_assert (reel_run_ended (run) && reel_run_error (run).len > 0);
    else
        ck_assert (status == REEL_OK || (status == REEL_NO_MEMORY && run == NULL));
    reel_run_destroy (&run);
    armed = false;
    ck_assert_int_eq (outstanding, 0);
    return lived;
}

START_TEST (every_allocation_may_fail)
{
    document = run_bench_msgpack (
        "{'global_provenance':{'p':1},'steps':[{'step_id':'a','modality':'idem'},"
        "{'step_id':'b','modality':'paid','depends_on':['a'],'payload':{'x':{'$ref':'#/a/output'},'y':{'$$ref':1}}},"
        "{'step_id':'c','modality':'idem'},{'step_id':'d','modality':'idem','depends_on':['c']},"
        "{'step_id':'e','modality':'idem','payload':{'x':5}},{'step_id':'f','modality':'idem'}]}");
    overrides = run_bench_msgpack ("{'q':2}");
    output = run_bench_msgpack ("{'image':'k.png'}");
    extra = run_bench_msgpack ("{'cost':1}");
    job = run_bench_msgpack ("{'job':'j1'}");
    ck_assert (live_with_failure (0));
    uint64_t failures = 0;
    while (can_fail () && !live_with_failure (failures + 1))
        failures++;
    ck_assert (!can_fail () || failures > 50);
    reel_buf_free (&document);
    reel_buf_free (&overrides);
    reel_buf_free (&output);
    reel_buf_free (&extra);
    reel_buf_free (&job);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("run_memory");
    TCase *tc = tcase_create ("memory");
    tcase_add_test (tc, every_allocation_may_fail);
    suite_add_tcase (suite, tc);
    return suite_run (suite);
}
