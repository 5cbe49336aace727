#include "tests/support/call.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "proto/json.h"
#include "worker/adapter_exec.h"

#define DEADLINE_US 30000000

static void
set_json (struct reel_buf *out, struct reel_slice msgpack)
{
    reel_buf_clear (out);
    if (msgpack.len > 0)
        ck_assert_int_eq (reel_json_write (msgpack, REEL_JSON_COMPACT, out), REEL_OK);
    reel_buf_add_byte (out, 0);
}

static void
finished (struct reel_task *task, const struct reel_run_result *result)
{
    struct call_bench *bench = task->context;
    ck_assert (!bench->finished);
    bench->finished = true;
    bench->succeeded = result->succeeded;
    if (result->succeeded) {
        set_json (&bench->output, result->output);
        set_json (&bench->extra, result->extra);
    } else {
        bench->code = strdup (result->failure.code);
        bench->message = reel_slice_dup (result->failure.message);
        bench->retryable = result->failure.retryable;
        bench->open = result->failure.open;
        set_json (&bench->detail, result->failure.detail);
    }
    reel_loop_stop (bench->loop);
}

static void
progress (struct reel_task *task, double fraction, struct reel_slice message)
{
    struct call_bench *bench = task->context;
    bench->progress_count++;
    bench->fraction = fraction;
    reel_buf_clear (&bench->said);
    reel_buf_add_slice (&bench->said, message);
    reel_buf_add_byte (&bench->said, 0);
    if (bench->progress_count == bench->cancel_at)
        for (unsigned i = 0; i < bench->cancel_times; i++)
            reel_task_cancel (task);
}

static void
checkpoint (struct reel_task *task, struct reel_slice value)
{
    struct call_bench *bench = task->context;
    set_json (&bench->left, value);
}

void
call_bench_init (struct call_bench *bench)
{
    *bench = (struct call_bench){.cancel_times = 1};
    ck_assert_int_eq (reel_loop_create (&bench->loop), REEL_OK);
    bench->call = (struct reel_call){
        .workflow_id = reel_slice_text ("wf"),
        .step_id = reel_slice_text ("step"),
        .modality = reel_slice_text ("image"),
        .idempotency_key = reel_slice_text ("wf/step"),
        .attempt = 1,
        .delivery = 1,
    };
    bench->task = (struct reel_task){
        .loop = bench->loop, .finished = finished, .progress = progress, .checkpoint = checkpoint, .context = bench};
    call_bench_payload (bench, "{}");
}

static void
forget (struct call_bench *bench)
{
    free (bench->code);
    free (bench->message);
    bench->code = bench->message = NULL;
    bench->finished = bench->succeeded = bench->retryable = bench->open = false;
    bench->progress_count = 0;
}

void
call_bench_free (struct call_bench *bench)
{
    forget (bench);
    reel_buf_free (&bench->payload);
    reel_buf_free (&bench->output);
    reel_buf_free (&bench->extra);
    reel_buf_free (&bench->detail);
    reel_buf_free (&bench->said);
    reel_buf_free (&bench->left);
    reel_loop_destroy (&bench->loop);
}

void
call_bench_payload (struct call_bench *bench, const char *json)
{
    struct reel_error err = {0};
    reel_buf_clear (&bench->payload);
    ck_assert_msg (reel_json_read (reel_slice_text (json), &bench->payload, &err) == REEL_OK, "%s", err.message);
    bench->call.payload = reel_buf_slice (&bench->payload);
}

static void
too_late (struct reel_timer *timer)
{
    (void) timer;
    ck_abort_msg ("the call did not finish in time");
}

void
call_bench_run (struct call_bench *bench, struct reel_adapter *adapter)
{
    struct reel_timer deadline = {.due = too_late};
    forget (bench);
    reel_task_open (&bench->task, adapter, &bench->call);
    bench->inside = bench->finished;
    reel_loop_arm (bench->loop, &deadline, reel_clock_monotonic_us () + DEADLINE_US);
    if (!bench->finished)
        ck_assert_int_eq (reel_loop_run (bench->loop), REEL_OK);
    ck_assert (bench->finished && !bench->task.open);
    reel_loop_disarm (bench->loop, &deadline);
}

const char *
call_bench_output (const struct call_bench *bench)
{
    ck_assert_msg (bench->succeeded, "%s: %s %s", bench->code, bench->message, (const char *) bench->detail.data);
    return (const char *) bench->output.data;
}

void
call_add_script (struct reel_registry *registry, const char *modality, const char *script, const char *work,
                 const char *argument)
{
    struct reel_adapter *adapter = NULL;
    struct reel_error err = {0};
    const char *const arguments[] = {"-c", script, "script", argument, NULL};
    const char *const environment[] = {"PATH", NULL};
    const struct reel_exec_setup exec = {.command = "/bin/sh",
                                         .arguments = arguments,
                                         .environment = environment,
                                         .work = work,
                                         .grace_ms = 60000,
                                         .output_bytes_max = 100000};
    ck_assert_msg (reel_adapter_exec_create (&exec, &adapter, &err) == REEL_OK, "%s", err.message);
    ck_assert_int_eq (reel_registry_add (registry, modality, &adapter, &(struct reel_policy){0}, &err), REEL_OK);
}

/* --- files and processes ------------------------------------------------------------------ */

char *
call_read_file (const char *directory, const char *name)
{
    char path[4096], chunk[4096];
    snprintf (path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen (path, "re");
    if (file == NULL)
        return NULL;
    struct reel_buf text = {0};
    for (size_t got; (got = fread (chunk, 1, sizeof chunk, file)) > 0;)
        reel_buf_add (&text, chunk, got);
    fclose (file);
    reel_buf_add_byte (&text, 0);
    return (char *) text.data;
}

void
call_write_file (const char *directory, const char *name, const char *text)
{
    char path[4096];
    snprintf (path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen (path, "we");
    ck_assert_ptr_nonnull (file);
    ck_assert_int_ge (fputs (text, file), 0);
    ck_assert_int_eq (fclose (file), 0);
}

bool
call_process_lives (long pid)
{
    char path[64];
    snprintf (path, sizeof path, "/proc/%ld", pid);
    char *stat = call_read_file (path, "stat");
    if (stat == NULL)
        return false;
    const char *after = strrchr (stat, ')');
    bool lives = after != NULL && after[2] != 'Z' && after[2] != 'X';
    free (stat);
    return lives;
}

int64_t
call_now_ms (void)
{
    return reel_clock_monotonic_us () / 1000;
}

bool
call_has_children (void)
{
    int fd = (int) syscall (SYS_pidfd_open, getpid (), 0);
    if (fd < 0)
        fputs ("no pidfd_open(2) here: tests with children are left out\n", stderr);
    else
        close (fd);
    return fd >= 0;
}
