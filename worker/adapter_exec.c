/*
 * A command for each step.
 */
#include "worker/adapter_exec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proto/json.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "worker/directory.h"
#include "worker/exec_output.h"
#include "worker/guard.h"
#include "worker/process.h"
#include "worker/template.h"
#include "worker/words.h"

/* What an error keeps of standard error. */
#define TAIL_BYTES 4096
/* A line of standard error in the log, and all lines of one step together. */
#define LOG_LINE_BYTES 1000
#define LOG_BYTES_MAX (64u << 10)

struct exec {
    struct reel_adapter adapter;
    struct reel_words arguments;   /* command and templates */
    struct reel_words environment; /* NAME=value, the same for every step */
    struct reel_directory work;
    enum reel_exec_keep keep;
    int64_t grace_ms;
    size_t output_bytes_max;
};

/* Why a command was ended before its time. */
enum verdict { LET_RUN, TOO_LATE, CANCELLED, TOO_MUCH };

/* One command under way. */
struct job {
    struct exec *exec;
    struct reel_task *task;
    struct reel_process process;
    struct reel_timer timeout;
    int64_t timeout_ms;
    struct reel_words environment; /* begins with the marker */
    char *directory;
    struct reel_exec_output output;
    struct reel_buf errors; /* the last TAIL_BYTES of standard error, or somewhat more */
    struct reel_buf line;   /* the line of it that is being read */
    size_t logged_bytes;
    enum verdict verdict;
};

/* --- standard error ----------------------------------------------------------------------- */

static void
log_line (struct job *job)
{
    const struct reel_call *call = reel_task_call (job->task);
    if (job->line.len > 0 && job->logged_bytes < LOG_BYTES_MAX) {
        job->logged_bytes += job->line.len;
        reel_log (REEL_LOG_INFO, "%.*s/%.*s: %.*s%s", REEL_TEXT (call->workflow_id), REEL_TEXT (call->step_id),
                  REEL_TEXT (reel_buf_slice (&job->line)),
                  job->logged_bytes < LOG_BYTES_MAX ? "" : " (no more of this step's lines are logged)");
    }
    reel_buf_clear (&job->line);
}

static void
take_errors (struct reel_process *process, struct reel_slice bytes)
{
    struct job *job = process->context;
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.data[i] != '\n')
            reel_buf_add_byte (&job->line, bytes.data[i]);
        if (bytes.data[i] == '\n' || job->line.len == LOG_LINE_BYTES)
            log_line (job);
    }
    reel_buf_add_slice (&job->errors, bytes);
    if (job->errors.len > 4 * TAIL_BYTES) {
        memmove (job->errors.data, job->errors.data + job->errors.len - TAIL_BYTES, TAIL_BYTES);
        job->errors.len = TAIL_BYTES;
    }
}

/* The tail as text: begins with a whole character; bytes that are no UTF-8 become question marks. */
static struct reel_slice
tail (struct job *job)
{
    struct reel_slice text = reel_buf_slice (&job->errors);
    if (text.len > TAIL_BYTES)
        text = reel_slice (text.data + text.len - TAIL_BYTES, TAIL_BYTES);
    while (text.len > 0 && (text.data[0] & 0xc0) == 0x80)
        text = reel_slice (text.data + 1, text.len - 1);
    if (!reel_scan_utf8 (text))
        for (uint8_t *at = job->errors.data + (job->errors.len - text.len); at < job->errors.data + job->errors.len;
             at++)
            if (*at >= 0x80)
                *at = '?';
    while (text.len > 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
        text.len--;
    return text;
}

/* --- the end ------------------------------------------------------------------------------ */

static void
free_job (struct job *job, bool failed)
{
    bool stays = job->exec->keep == REEL_EXEC_KEEP_ALWAYS || (job->exec->keep == REEL_EXEC_KEEP_FAILED && failed);
    if (job->directory != NULL && !stays)
        reel_directory_remove (job->directory);
    free (job->directory);
    reel_words_free (&job->environment);
    reel_exec_output_free (&job->output);
    reel_buf_free (&job->errors);
    reel_buf_free (&job->line);
    free (job);
}

/* The last line of standard error, after what happened. */
static void
explain (struct reel_buf *message, struct reel_slice errors)
{
    const uint8_t *newline = errors.len == 0 ? NULL : memrchr (errors.data, '\n', errors.len);
    struct reel_slice line = newline == NULL
                                 ? errors
                                 : reel_slice (newline + 1, errors.len - (size_t) (newline + 1 - errors.data));
    if (line.len > LOG_LINE_BYTES)
        for (line.len = LOG_LINE_BYTES; line.len > 0 && (line.data[line.len] & 0xc0) == 0x80;)
            line.len--;
    if (line.len == 0)
        return;
    reel_buf_add_text (message, ": ");
    reel_buf_add_slice (message, line);
}

static void
fail_job (struct job *job, struct reel_failure *failure, const char *fact, int64_t value, struct reel_buf *message)
{
    struct reel_buf detail = {0};
    struct reel_slice errors = tail (job);
    struct reel_task *task = job->task;
    reel_pack_map (&detail, 1u + (fact != NULL));
    if (fact != NULL) {
        reel_pack_text (&detail, fact);
        reel_pack_int (&detail, value);
    }
    reel_pack_text (&detail, "stderr");
    reel_pack_str (&detail, errors);
    explain (message, errors);
    failure->message = reel_buf_slice (message);
    if (!detail.failed)
        failure->detail = reel_buf_slice (&detail);
    free_job (job, true);
    reel_task_fail (task, failure);
    reel_buf_free (&detail);
}

static void
fail_ended_early (struct job *job, struct reel_buf *message)
{
    switch (job->verdict) {
    case TOO_LATE:
        reel_buf_printf (message, "it took longer than %" PRId64 " ms", job->timeout_ms);
        fail_job (job, &(struct reel_failure){.code = "timeout", .retryable = true, .open = true}, "timeout_ms",
                  job->timeout_ms, message);
        break;
    case TOO_MUCH:
        reel_buf_printf (message, "it wrote more than %zu bytes to standard output", job->output.bytes_max);
        fail_job (job, &(struct reel_failure){.code = "limit_exceeded"}, "output_bytes_max",
                  (int64_t) job->output.bytes_max, message);
        break;
    case CANCELLED:
    case LET_RUN:
        reel_buf_add_text (message, "the command was ended");
        fail_job (job, &(struct reel_failure){.code = "cancelled", .open = true}, NULL, 0, message);
        break;
    }
}

/* The command exited with code 0. What it has made is taken, also when it came late: it may have been paid for. Without
 * an output it was ended, then: many a command exits so when it is told to. */
static void
finish_job (struct job *job)
{
    struct reel_buf map = {0}, extra = {0}, message = {0};
    struct reel_error error = {0};
    struct reel_task *task = job->task;
    bool hook = reel_task_call (task)->hook != REEL_HOOK_NONE; /* what it prints is nobody's receipt */
    enum reel_status status = hook ? REEL_OK : reel_exec_output_end (&job->output, &map, &extra, &error);
    if (job->verdict != LET_RUN && (job->verdict == TOO_MUCH || status != REEL_OK || !job->output.given)) {
        fail_ended_early (job, &message);
    } else if (status == REEL_OK) {
        free_job (job, false);
        reel_task_succeed (task, reel_buf_slice (&map), reel_buf_slice (&extra));
    } else {
        reel_buf_printf (&message, "the output is not one JSON object: %s",
                         status == REEL_NO_MEMORY ? "memory is out" : error.message);
        fail_job (job, &(struct reel_failure){.code = "bad_output"}, NULL, 0, &message);
    }
    reel_buf_free (&map);
    reel_buf_free (&extra);
    reel_buf_free (&message);
}

static void
ended (struct reel_process *process, int status)
{
    struct job *job = process->context;
    struct reel_buf message = {0};
    log_line (job);
    reel_loop_disarm (reel_task_loop (job->task), &job->timeout);
    if (WIFEXITED (status) && WEXITSTATUS (status) == 0) {
        finish_job (job);
    } else if (job->verdict != LET_RUN) {
        fail_ended_early (job, &message);
    } else if (WIFSIGNALED (status)) {
        int number = WTERMSIG (status);
        reel_buf_printf (&message, "killed by signal %d (%s)", number, strsignal (number));
        fail_job (job, &(struct reel_failure){.code = "signal", .retryable = true, .open = true}, "signal", number,
                  &message);
    } else {
        int number = WEXITSTATUS (status);
        reel_buf_printf (&message, "exit status %d", number);
        fail_job (job, &(struct reel_failure){.code = "exit_status", .retryable = number == EX_TEMPFAIL}, "exit_status",
                  number, &message);
    }
    reel_buf_free (&message);
}

/* --- on the way --------------------------------------------------------------------------- */

static void
end_early (struct job *job, enum verdict verdict)
{
    /* A command that has exited by itself came to its end before; what it left behind is ended. */
    if (job->verdict == LET_RUN && (verdict == TOO_MUCH || !job->process.exited))
        job->verdict = verdict;
    reel_process_end (&job->process);
}

static void
too_late (struct reel_timer *timer)
{
    end_early (timer->context, TOO_LATE);
}

static void
take_output (struct reel_process *process, struct reel_slice bytes)
{
    struct job *job = process->context;
    bool before = job->output.too_much;
    reel_exec_output_take (&job->output, bytes);
    if (job->output.too_much && !before)
        end_early (job, TOO_MUCH);
}

static void
take_progress (void *context, double fraction, struct reel_slice message)
{
    struct job *job = context;
    reel_task_progress (job->task, fraction, message);
}

/* --- the beginning ------------------------------------------------------------------------ */

static void
add_variable (struct reel_words *words, const char *name, struct reel_slice value)
{
    reel_buf_printf (&words->bytes, "%s=%.*s", name, REEL_TEXT (value));
    reel_words_end (words);
}

static void
make_environment (struct job *job, const struct reel_call *call)
{
    struct reel_words *words = &job->environment;
    add_variable (words, "REEL_IDEMPOTENCY_KEY", call->idempotency_key);
    add_variable (words, "REEL_WORKFLOW_ID", call->workflow_id);
    add_variable (words, "REEL_STEP_ID", call->step_id);
    add_variable (words, "REEL_MODALITY", call->modality);
    if (call->hook != REEL_HOOK_NONE)
        add_variable (words, "REEL_HOOK", reel_slice_text (reel_hook_point_name (call->hook)));
    reel_buf_printf (&words->bytes, "REEL_ATTEMPT=%" PRIu32, call->attempt);
    reel_words_end (words);
    reel_buf_printf (&words->bytes, "REEL_DELIVERY=%" PRIu32, call->delivery);
    reel_words_end (words);
    reel_buf_add_slice (&words->bytes, reel_buf_slice (&job->exec->environment.bytes));
    words->count += job->exec->environment.count;
}

static enum reel_status
fill_arguments (const struct exec *exec, const struct reel_call *call, struct reel_words *words, struct reel_error *err)
{
    const char *template = (const char *) exec->arguments.bytes.data;
    reel_words_add (words, template); /* the command itself */
    for (size_t i = 1; i < exec->arguments.count; i++) {
        template += strlen (template) + 1;
        enum reel_status status = reel_template_fill (template, call, &words->bytes, err);
        if (status != REEL_OK)
            return status;
        reel_words_end (words);
    }
    return reel_buf_status (&words->bytes);
}

/* The payload as JSON in a file of its own, in memory: nobody has to wait for anybody to read it. */
static int
payload_file (const struct reel_call *call)
{
    struct reel_buf json = {0};
    int fd = -1;
    if (call->payload.len == 0)
        reel_buf_add_text (&json, "{}");
    else if (reel_json_write (call->payload, REEL_JSON_COMPACT, &json) != REEL_OK)
        goto out;
    reel_buf_add_byte (&json, '\n');
    if (reel_buf_status (&json) != REEL_OK)
        goto out;
    fd = memfd_create ("payload", MFD_CLOEXEC);
    for (size_t at = 0; fd >= 0 && at < json.len;) {
        ssize_t put = write (fd, json.data + at, json.len - at);
        if (put < 0 && errno != EINTR) {
            close (fd);
            fd = -1;
        } else if (put > 0) {
            at += (size_t) put;
        }
    }
    if (fd >= 0)
        (void) lseek (fd, 0, SEEK_SET);
out:
    reel_buf_free (&json);
    return fd;
}

/* Whether a system error is likely to be another one next time. */
static bool
passing (int error)
{
    return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE || error == ETXTBSY;
}

static void
refuse (struct job *job, const char *code, bool retryable, const char *message)
{
    struct reel_task *task = job->task;
    const struct reel_failure failure = {
        .code = code, .message = reel_slice_text (message), .retryable = retryable, .open = job->process.begun};
    reel_loop_disarm (reel_task_loop (task), &job->timeout);
    free_job (job, false);
    reel_task_fail (task, &failure);
}

/* Starts the command, or fails the task; REEL_NO_MEMORY does neither. */
static enum reel_status
launch (struct job *job, char **argv)
{
    struct reel_error error = {0};
    char **environment = reel_words_array (&job->environment);
    int input = environment == NULL ? -1 : payload_file (reel_task_call (job->task));
    enum reel_status status = input < 0 ? REEL_NO_MEMORY : REEL_OK;
    if (status == REEL_OK)
        status = reel_directory_make (&job->exec->work, reel_task_call (job->task), &job->directory, &error);
    if (status == REEL_IO) {
        refuse (job, "spawn_failed", true, error.message);
        status = REEL_OK;
    } else if (status == REEL_OK) {
        job->process.marker = (const char *) job->environment.bytes.data;
        if (reel_process_start (&job->process, argv, environment, job->directory, input) != REEL_OK) {
            int cause = errno;
            reel_error_set (&error, REEL_IO, NULL, NULL, "%s: %s", argv[0], strerror (cause));
            refuse (job, cause == E2BIG ? "bad_payload" : "spawn_failed", passing (cause), error.message);
        }
    }
    if (input >= 0)
        close (input);
    free (environment);
    return status;
}

static struct job *
make_job (struct exec *exec, struct reel_task *task)
{
    struct job *job = calloc (1, sizeof *job);
    if (job == NULL)
        return NULL;
    const struct reel_call *call = reel_task_call (task);
    job->exec = exec;
    job->task = task;
    job->timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : REEL_EXEC_TIMEOUT_MS;
    job->timeout = (struct reel_timer){.due = too_late, .context = job};
    job->output = (struct reel_exec_output){
        .bytes_max = exec->output_bytes_max, .progress = take_progress, .context = job};
    job->process = (struct reel_process){
        .loop = reel_task_loop (task),
        .grace_ms = exec->grace_ms,
        .output = take_output,
        .errors = take_errors,
        .ended = ended,
        .context = job,
    };
    make_environment (job, call);
    return job;
}

static enum reel_status
start (struct reel_adapter *adapter, struct reel_task *task)
{
    struct exec *exec = (struct exec *) adapter;
    struct reel_error error = {0};
    struct reel_words arguments = {0};
    char **argv = NULL;
    struct job *job = make_job (exec, task);
    enum reel_status status = job == NULL ? REEL_NO_MEMORY : REEL_OK;
    if (status == REEL_OK) {
        reel_task_set_state (task, job);
        reel_loop_arm (reel_task_loop (task), &job->timeout, reel_clock_monotonic_us () + job->timeout_ms * 1000);
        status = fill_arguments (exec, reel_task_call (task), &arguments, &error);
    }
    if (status == REEL_INVALID) {
        refuse (job, "bad_payload", false, error.message);
        job = NULL;
        status = REEL_OK;
    } else if (status == REEL_OK) {
        argv = reel_words_array (&arguments);
        status = argv == NULL ? REEL_NO_MEMORY : launch (job, argv);
    }
    if (status != REEL_OK && job != NULL) {
        reel_loop_disarm (reel_task_loop (task), &job->timeout);
        free_job (job, false);
    }
    free (argv);
    reel_words_free (&arguments);
    return status;
}

static void
cancel (struct reel_adapter *adapter, struct reel_task *task)
{
    (void) adapter;
    end_early (reel_task_state (task), CANCELLED);
}

/* --- making and freeing ------------------------------------------------------------------- */

static void
destroy (struct reel_adapter *adapter)
{
    struct exec *exec = (struct exec *) adapter;
    reel_words_free (&exec->arguments);
    reel_words_free (&exec->environment);
    reel_directory_free (&exec->work);
    free (exec);
}

static enum reel_status
copy_lists (struct exec *exec, const struct reel_exec_setup *setup, struct reel_error *err)
{
    static const char *const none[] = {NULL};
    reel_words_add (&exec->arguments, setup->command);
    for (const char *const *at = setup->arguments != NULL ? setup->arguments : none; *at != NULL; at++) {
        enum reel_status status = reel_template_check (*at, err);
        if (status != REEL_OK)
            return status;
        reel_words_add (&exec->arguments, *at);
    }
    const char *mark = getenv (REEL_GUARD_VARIABLE);
    if (mark != NULL)
        add_variable (&exec->environment, REEL_GUARD_VARIABLE, reel_slice_text (mark));
    for (const char *const *at = setup->environment != NULL ? setup->environment : none; *at != NULL; at++) {
        const char *value = getenv (*at);
        if (value != NULL)
            add_variable (&exec->environment, *at, reel_slice_text (value));
    }
    for (const char *const *at = setup->variables != NULL ? setup->variables : none; *at != NULL; at++)
        reel_words_add (&exec->environment, *at);
    return exec->arguments.bytes.failed || exec->environment.bytes.failed ? REEL_NO_MEMORY : REEL_OK;
}

enum reel_status
reel_adapter_exec_create (const struct reel_exec_setup *setup, struct reel_adapter **out, struct reel_error *err)
{
    struct exec *exec = calloc (1, sizeof *exec);
    if (exec == NULL)
        return REEL_NO_MEMORY;
    exec->adapter = (struct reel_adapter){
        .name = "exec", .class = setup->class, .start = start, .cancel = cancel, .destroy = destroy};
    exec->keep = setup->keep;
    exec->grace_ms = setup->grace_ms;
    exec->output_bytes_max = setup->output_bytes_max;
    enum reel_status status = copy_lists (exec, setup, err);
    if (status == REEL_OK)
        status = reel_directory_init (&exec->work, setup->work);
    if (status == REEL_OK)
        *out = &exec->adapter;
    else
        destroy (&exec->adapter);
    return status;
}
