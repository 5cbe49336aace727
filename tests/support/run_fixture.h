/*
 * The bench that each test of the run machine has of its own, and what several of them do with it.
 */
#ifndef REEL_TESTS_SUPPORT_RUN_FIXTURE_H
#define REEL_TESTS_SUPPORT_RUN_FIXTURE_H

#include <check.h>
#include <stdlib.h>

#include "proto/pack.h"
#include "tests/support/run_bench.h"

/* For `more` of a STEP(); what follows it ends the policy with a "}". */
#define THREE ",'policy':{'retry':{'max_attempts':3}"

/* A step that an earlier run has paid for. */
#define DONE(id)                                                                                                       \
    "{'step_id':'" id "','modality':'paid','status':'succeeded','receipt':{'output':{'n':1}},'started_us':1,"          \
    "'finished_us':2}"

static struct run_bench bench;

static inline void
set_up_bench (void)
{
    run_bench_init (&bench);
}

static inline void
tear_down_bench (void)
{
    run_bench_free (&bench);
}

static inline enum reel_step_status
status_of (const char *step_id)
{
    return run_bench_outcome (&bench, step_id).status;
}

/* The dispatched context's values, as JSON. */
static inline const char *
payload (void)
{
    return run_bench_json (&bench, bench.call.payload);
}

static inline void
succeed_raw (struct reel_slice output, struct reel_slice extra)
{
    run_bench_feed (&bench, (struct reel_run_event){.kind = REEL_RUN_FINISHED,
                                                    .result = {.succeeded = true, .output = output, .extra = extra}});
}

/* A map {"x": bin} of exactly that many bytes. */
static inline struct reel_buf
map_of_bytes (size_t bytes)
{
    struct reel_buf out = {0};
    size_t body = bytes - 3 - (bytes > 65541 ? 5 : bytes > 261 ? 3 : 2);
    uint8_t *zeros = calloc (1, body);
    reel_pack_map (&out, 1);
    reel_pack_text (&out, "x");
    reel_pack_bin (&out, reel_slice (zeros, body));
    free (zeros);
    ck_assert_uint_eq (out.len, bytes);
    return out;
}

static inline size_t
receipt_frame_bytes (void)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_succeed (&bench, "{}");
    size_t bytes = run_bench_outcome (&bench, "a").receipt.len - 1;
    run_bench_free (&bench);
    run_bench_init (&bench);
    return bytes;
}

#endif
