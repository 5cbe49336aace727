/*
 * What tests of the adapter exec stand on: one adapter, which runs a script of the shell and leaves nothing of it, and
 * what became of the call.
 */
#ifndef REEL_TESTS_SUPPORT_EXEC_FIXTURE_H
#define REEL_TESTS_SUPPORT_EXEC_FIXTURE_H

#include <check.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/support/call.h"
#include "tests/support/scratch.h"
#include "worker/adapter_exec.h"

#define COUNT(list) (sizeof (list) / sizeof (list)[0])

static struct call_bench bench;
static struct reel_adapter *adapter;
static struct reel_exec_setup setup;
static struct reel_error err;
static const char *arguments[16];
static char work[SCRATCH_BYTES];
static const char *const path_only[] = {"PATH", NULL};

static inline void
set_up (void)
{
    call_bench_init (&bench);
    adapter = NULL;
    scratch_make (work, false);
    setup = (struct reel_exec_setup){
        .command = "/bin/sh",
        .arguments = arguments,
        .environment = path_only,
        .work = work,
        .grace_ms = 5000,
        .output_bytes_max = REEL_EXEC_OUTPUT_BYTES_DEFAULT,
    };
    memset (arguments, 0, sizeof arguments);
}

static inline void
tear_down (void)
{
    if (adapter != NULL)
        adapter->destroy (adapter);
    call_bench_free (&bench);
    /* Not even a zombie is left. */
    ck_assert_int_eq (waitpid (-1, NULL, WNOHANG), -1);
    scratch_remove (work);
}

static inline void
create (void)
{
    if (adapter != NULL)
        adapter->destroy (adapter);
    adapter = NULL;
    ck_assert_msg (reel_adapter_exec_create (&setup, &adapter, &err) == REEL_OK, "%s", err.message);
}

/* Runs a script of the shell, with more arguments ($1 ...) when they were set from arguments[3] on. */
static inline void
run (const char *script)
{
    arguments[0] = "-c";
    arguments[1] = script;
    arguments[2] = "script";
    create ();
    call_bench_run (&bench, adapter);
}

static inline void
expect_failure (const char *code, bool retryable, bool open)
{
    ck_assert_msg (!bench.succeeded, "%s", (const char *) bench.output.data);
    ck_assert_msg (strcmp (bench.code, code) == 0, "%s, not %s: %s", bench.code, code, bench.message);
    ck_assert_int_eq (bench.retryable, retryable);
    ck_assert_int_eq (bench.open, open);
}

#endif
