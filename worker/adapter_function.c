/*
 * A call of a C function in a thread of its own.
 *
 * A job is shared by the loop's thread and the call's; whoever is the last to let go of it frees it. What the function
 * says goes into the job under its lock, and one eventfd wakes the loop, which takes it out. A job that was abandoned
 * belongs to its thread alone: it touches neither the task nor the loop nor the adapter again.
 */
#include "worker/adapter_function.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/limits.h"
#include "proto/json.h"
#include "proto/scan.h"
#include "worker/directory.h"
#include "worker/loop.h"

#define CODE_BYTES 65
#define MESSAGE_BYTES_MAX 4096

struct function {
    struct reel_adapter adapter;
    char *name;
    reel_adapter_fn function;
    void *context;
    struct reel_directory work;
};

enum verdict { LET_RUN, TOO_LATE, CANCELLED };

/* What a function says in the end; its address is the struct reel_adapter_reply of the public header. */
struct reply {
    bool bad; /* something was out of form */
    bool memory_out;
    struct reel_buf output, extra;
    bool failure; /* fail() was called */
    char code[CODE_BYTES];
    struct reel_buf message;
    unsigned flags;
};

struct job {
    struct reel_adapter_call call; /* first: a function has a pointer to it */
    reel_adapter_fn function;
    void *context;
    char *texts; /* what the call's strings lie in */
    struct reel_buf payload, payload_json, provenance, checkpoint;
    char *directory;
    struct reply reply;
    int result;
    atomic_bool cancelled;
    int cancel_fd;
    atomic_uint holders; /* the loop's thread and the call's */

    /* --- under the lock: from the call's thread to the loop's --- */
    pthread_mutex_t lock;
    bool abandoned;
    bool returned;
    bool has_progress;
    double fraction;
    struct reel_buf progress; /* the message */
    struct reel_buf left;     /* the newest checkpoint; empty: none */
    int wake_fd;

    /* --- the loop's thread alone --- */
    struct reel_task *task;
    struct reel_watch watch;
    struct reel_timer timer; /* the deadline, then the end of the grace */
    enum verdict verdict;
    bool over;    /* the task is finished */
    bool telling; /* somebody hears of the call, and may end it meanwhile: the job is let go of afterwards */
    int64_t timeout_ms;
};

static atomic_uint abandoned_count;

unsigned
reel_adapter_function_abandoned (void)
{
    return atomic_load (&abandoned_count);
}

/* --- a job's life --------------------------------------------------------------------------- */

static void
remove_directory (struct job *job)
{
    if (job->directory != NULL)
        reel_directory_remove (job->directory);
    free (job->directory);
    job->directory = NULL;
}

static void
free_job (struct job *job)
{
    remove_directory (job); /* of a call that was abandoned */
    free (job->texts);
    reel_buf_free (&job->payload);
    reel_buf_free (&job->payload_json);
    reel_buf_free (&job->provenance);
    reel_buf_free (&job->checkpoint);
    reel_buf_free (&job->reply.output);
    reel_buf_free (&job->reply.extra);
    reel_buf_free (&job->reply.message);
    reel_buf_free (&job->progress);
    reel_buf_free (&job->left);
    if (job->cancel_fd >= 0)
        (void) close (job->cancel_fd);
    if (job->wake_fd >= 0)
        (void) close (job->wake_fd);
    (void) pthread_mutex_destroy (&job->lock);
    free (job);
}

static void
let_go (struct job *job)
{
    if (atomic_fetch_sub (&job->holders, 1) == 1)
        free_job (job);
}

static void
signal_fd (int fd)
{
    const uint64_t one = 1;
    ssize_t put;
    do
        put = write (fd, &one, sizeof one);
    while (put < 0 && errno == EINTR);
}

/* --- what a function may ask of its host ------------------------------------------------------- */

static struct job *
job_of (const struct reel_adapter_call *call)
{
    struct job *job;
    memcpy (&job, &call, sizeof job); /* the job is ours, though its call is const to the function */
    return job;
}

static bool
host_cancelled (const struct reel_adapter_call *call)
{
    return atomic_load (&job_of (call)->cancelled);
}

static int
host_cancel_fd (const struct reel_adapter_call *call)
{
    return job_of (call)->cancel_fd;
}

static void
host_progress (const struct reel_adapter_call *call, double fraction, const char *message)
{
    struct job *job = job_of (call);
    bool valid = fraction >= 0 && fraction <= 1; /* NaN is not */
    (void) pthread_mutex_lock (&job->lock);
    job->fraction = valid ? fraction : -1;
    reel_buf_clear (&job->progress);
    if (message != NULL)
        reel_buf_add (&job->progress, message, strnlen (message, REEL_PROGRESS_TEXT_BYTES_MAX));
    job->has_progress = true;
    bool told = job->abandoned;
    (void) pthread_mutex_unlock (&job->lock);
    if (!told)
        signal_fd (job->wake_fd);
}

static bool
well_formed (struct reel_slice value, bool map)
{
    return value.len > 0 && reel_scan_check (value, REEL_DEPTH_MAX, NULL) == REEL_OK
           && (!map || reel_scan_type (value) == REEL_MAP);
}

static int
leave (struct job *job, struct reel_slice value)
{
    (void) pthread_mutex_lock (&job->lock);
    reel_buf_clear (&job->left);
    reel_buf_add_slice (&job->left, value);
    bool kept = reel_buf_status (&job->left) == REEL_OK, told = job->abandoned;
    (void) pthread_mutex_unlock (&job->lock);
    if (kept && !told)
        signal_fd (job->wake_fd);
    return kept ? 0 : -1;
}

static int
host_checkpoint (const struct reel_adapter_call *call, struct reel_adapter_bytes msgpack)
{
    struct reel_slice value = reel_slice (msgpack.data, msgpack.data == NULL ? 0 : msgpack.size);
    return well_formed (value, false) ? leave (job_of (call), value) : -1;
}

static int
host_checkpoint_json (const struct reel_adapter_call *call, const char *json)
{
    struct reel_buf value = {0};
    int result = -1;
    if (json != NULL && reel_json_read (reel_slice_text (json), &value, NULL) == REEL_OK)
        result = leave (job_of (call), reel_buf_slice (&value));
    reel_buf_free (&value);
    return result;
}

static struct reply *
reply_of (struct reel_adapter_reply *reply)
{
    return (struct reply *) (void *) reply;
}

static int
take_map (struct reply *reply, struct reel_buf *to, struct reel_slice map)
{
    if (!well_formed (map, true)) {
        reply->bad = true;
        return -1;
    }
    reel_buf_clear (to);
    reel_buf_add_slice (to, map);
    reply->memory_out |= reel_buf_status (to) != REEL_OK;
    return reply->memory_out ? -1 : 0;
}

static int
take_json (struct reply *reply, struct reel_buf *to, const char *json)
{
    struct reel_buf map = {0};
    enum reel_status status = json == NULL ? REEL_INVALID : reel_json_read (reel_slice_text (json), &map, NULL);
    int result = -1;
    if (status == REEL_OK)
        result = take_map (reply, to, reel_buf_slice (&map));
    else
        reply->bad = true;
    reel_buf_free (&map);
    return result;
}

static struct reel_slice
given (struct reel_adapter_bytes bytes)
{
    return reel_slice (bytes.data, bytes.data == NULL ? 0 : bytes.size);
}

static int
host_output (struct reel_adapter_reply *reply, struct reel_adapter_bytes msgpack)
{
    return take_map (reply_of (reply), &reply_of (reply)->output, given (msgpack));
}

static int
host_output_json (struct reel_adapter_reply *reply, const char *json)
{
    return take_json (reply_of (reply), &reply_of (reply)->output, json);
}

static int
host_extra (struct reel_adapter_reply *reply, struct reel_adapter_bytes msgpack)
{
    return take_map (reply_of (reply), &reply_of (reply)->extra, given (msgpack));
}

static int
host_extra_json (struct reel_adapter_reply *reply, const char *json)
{
    return take_json (reply_of (reply), &reply_of (reply)->extra, json);
}

static bool
is_code (const char *code)
{
    size_t len = code == NULL ? 0 : strnlen (code, CODE_BYTES);
    if (len == 0 || len == CODE_BYTES)
        return false;
    for (size_t i = 0; i < len; i++)
        if (code[i] != '_' && (code[i] < 'a' || code[i] > 'z') && (code[i] < '0' || code[i] > '9'))
            return false;
    return true;
}

static int
host_fail (struct reel_adapter_reply *public, const char *code, const char *message, unsigned flags)
{
    struct reply *reply = reply_of (public);
    if (!is_code (code) || (flags & ~(REEL_FAIL_RETRYABLE | REEL_FAIL_OPEN)) != 0) {
        reply->bad = true;
        return -1;
    }
    reply->failure = true;
    (void) snprintf (reply->code, sizeof reply->code, "%s", code);
    reel_buf_clear (&reply->message);
    if (message != NULL)
        reel_buf_add (&reply->message, message, strnlen (message, MESSAGE_BYTES_MAX));
    reply->flags = flags;
    reply->memory_out |= reel_buf_status (&reply->message) != REEL_OK;
    return reply->memory_out ? -1 : 0;
}

static const struct reel_adapter_host host = {
    .abi = REEL_ADAPTER_ABI,
    .cancelled = host_cancelled,
    .cancel_fd = host_cancel_fd,
    .progress = host_progress,
    .checkpoint = host_checkpoint,
    .checkpoint_json = host_checkpoint_json,
    .output = host_output,
    .output_json = host_output_json,
    .extra = host_extra,
    .extra_json = host_extra_json,
    .fail = host_fail,
};

/* --- the call's thread ------------------------------------------------------------------------- */

static void *
make_call (void *argument)
{
    struct job *job = argument;
    struct reel_adapter_reply *reply = (struct reel_adapter_reply *) (void *) &job->reply;
    int result = job->function (&job->call, reply, job->context);
    (void) pthread_mutex_lock (&job->lock);
    job->result = result;
    job->returned = true;
    bool alone = job->abandoned;
    (void) pthread_mutex_unlock (&job->lock);
    if (alone)
        atomic_fetch_sub (&abandoned_count, 1);
    else
        signal_fd (job->wake_fd);
    let_go (job);
    return NULL;
}

/* Detached: it is not waited for by joining. Signals are for the loop. */
static bool
start_thread (struct job *job)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    if (pthread_attr_init (&attributes) != 0)
        return false;
    (void) sigfillset (&all);
    (void) pthread_sigmask (SIG_SETMASK, &all, &before);
    bool started = pthread_attr_setdetachstate (&attributes, PTHREAD_CREATE_DETACHED) == 0
                   && pthread_create (&thread, &attributes, make_call, job) == 0;
    (void) pthread_sigmask (SIG_SETMASK, &before, NULL);
    (void) pthread_attr_destroy (&attributes);
    return started;
}

/* --- the end, in the loop's thread --------------------------------------------------------------- */

/* Lets go of the loop's side; the task is the caller's to finish. */
static struct reel_task *
leave_loop (struct job *job)
{
    struct reel_task *task = job->task;
    reel_loop_unwatch (reel_task_loop (task), &job->watch);
    reel_loop_disarm (reel_task_loop (task), &job->timer);
    job->over = true;
    return task;
}

static struct reel_failure
failure_of (const struct job *job, char *text, size_t room)
{
    switch (job->verdict) {
    case TOO_LATE:
        (void) snprintf (text, room, "it took longer than %" PRId64 " ms", job->timeout_ms);
        return (struct reel_failure){
            .code = "timeout", .message = reel_slice_text (text), .retryable = true, .open = true};
    case CANCELLED:
        return (struct reel_failure){
            .code = "cancelled", .message = reel_slice_text ("the call was ended"), .open = true};
    case LET_RUN: break;
    }
    const struct reply *reply = &job->reply;
    if (reply->memory_out) /* for what it has done: that may have been paid for */
        return (struct reel_failure){
            .code = "adapter_failed", .message = reel_slice_text ("out of memory"), .retryable = true, .open = true};
    if (reply->bad)
        return (struct reel_failure){.code = "bad_output",
                                     .message = reel_slice_text ("what the function handed over is out of form")};
    if (!reply->failure) {
        (void) snprintf (text, room, "the function returned %d and did not say why", job->result);
        return (struct reel_failure){.code = "adapter_failed", .message = reel_slice_text (text)};
    }
    return (struct reel_failure){.code = reply->code,
                                 .message = reel_buf_slice (&reply->message),
                                 .retryable = (reply->flags & REEL_FAIL_RETRYABLE) != 0,
                                 .open = (reply->flags & REEL_FAIL_OPEN) != 0};
}

static void
finish (struct job *job)
{
    char text[96];
    struct reel_task *task = leave_loop (job);
    const struct reply *reply = &job->reply;
    remove_directory (job);
    bool hook = job->call.hook != REEL_HOOK_NONE;
    /* What it has made is taken, also when it came late: it may have been paid for. */
    bool succeeded = job->result == 0 && !reply->memory_out && (hook || !reply->bad);
    if (succeeded) {
        reel_task_succeed (task, hook ? REEL_SLICE_NONE : reel_buf_slice (&reply->output),
                           hook ? REEL_SLICE_NONE : reel_buf_slice (&reply->extra));
    } else {
        struct reel_failure failure = failure_of (job, text, sizeof text);
        reel_task_fail (task, &failure);
    }
    if (!job->telling)
        let_go (job);
}

/* The thread has not come back in time: from now on it is alone. False: it came back at the last moment. */
static bool
abandon (struct job *job)
{
    (void) pthread_mutex_lock (&job->lock);
    bool alone = !job->returned;
    job->abandoned = alone;
    if (alone)
        atomic_fetch_add (&abandoned_count, 1);
    (void) pthread_mutex_unlock (&job->lock);
    return alone;
}

static void
give_up (struct job *job)
{
    char text[96];
    if (!abandon (job)) {
        finish (job);
        return;
    }
    struct reel_failure failure = failure_of (job, text, sizeof text);
    struct reel_task *task = leave_loop (job);
    if (!job->telling)
        let_go (job);
    reel_task_fail (task, &failure); /* what it says is not the job's: its verdict is no LET_RUN */
}

static void
end_early (struct job *job, enum verdict verdict)
{
    bool again = job->verdict != LET_RUN;
    if (!again)
        job->verdict = verdict;
    atomic_store (&job->cancelled, true);
    signal_fd (job->cancel_fd);
    if (again && verdict == CANCELLED)
        give_up (job);
    else
        reel_loop_arm (reel_task_loop (job->task), &job->timer,
                       reel_clock_monotonic_us () + (int64_t) REEL_FUNCTION_GRACE_MS * 1000);
}

static void
timer_due (struct reel_timer *timer)
{
    struct job *job = timer->context;
    if (job->verdict == LET_RUN)
        end_early (job, TOO_LATE);
    else
        give_up (job);
}

static void
woken (struct reel_watch *watch, uint32_t events)
{
    (void) events;
    struct job *job = watch->context;
    struct reel_buf message = {0}, left = {0};
    uint64_t count;
    ssize_t got = read (watch->fd, &count, sizeof count);
    (void) got;
    (void) pthread_mutex_lock (&job->lock);
    bool returned = job->returned, progress = job->has_progress;
    double fraction = job->fraction;
    job->has_progress = false;
    /* Taken by moving: the lock is not held while the run hears of it. */
    message = job->progress;
    left = job->left;
    job->progress = (struct reel_buf){0};
    job->left = (struct reel_buf){0};
    (void) pthread_mutex_unlock (&job->lock);
    job->telling = true;
    if (job->call.hook == REEL_HOOK_NONE && left.len > 0)
        reel_task_checkpoint (job->task, reel_buf_slice (&left));
    if (progress && !job->over)
        reel_task_progress (job->task, fraction, reel_buf_slice (&message));
    job->telling = false;
    reel_buf_free (&message);
    reel_buf_free (&left);
    if (job->over)
        let_go (job);
    else if (returned)
        finish (job);
}

/* --- the beginning -------------------------------------------------------------------------------- */

static const char *
keep_text (char **at, struct reel_slice text)
{
    char *kept = *at;
    memcpy (kept, text.data, text.len);
    kept[text.len] = '\0';
    *at += text.len + 1;
    return kept;
}

static struct reel_adapter_bytes
bytes_of (const struct reel_buf *buf)
{
    return (struct reel_adapter_bytes){buf->data, buf->len};
}

/* The clock of the ABI's deadline, which is not the loop's. */
static int64_t
plugin_clock_us (void)
{
    struct timespec now = {0};
    (void) clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static enum reel_status
copy_call (struct job *job, const struct reel_call *call)
{
    reel_buf_add_slice (&job->payload, call->payload);
    reel_buf_add_slice (&job->provenance, call->provenance);
    reel_buf_add_slice (&job->checkpoint, call->checkpoint);
    enum reel_status status = reel_json_write (call->payload, REEL_JSON_COMPACT, &job->payload_json);
    reel_buf_add_byte (&job->payload_json, 0);
    job->texts = malloc (call->workflow_id.len + call->step_id.len + call->modality.len + call->idempotency_key.len
                         + 4);
    if (status != REEL_OK || job->texts == NULL || job->payload.failed || job->provenance.failed
        || job->checkpoint.failed || job->payload_json.failed)
        return REEL_NO_MEMORY;
    char *at = job->texts;
    job->call = (struct reel_adapter_call){
        .host = &host,
        .hook = call->hook,
        .workflow_id = keep_text (&at, call->workflow_id),
        .step_id = keep_text (&at, call->step_id),
        .modality = keep_text (&at, call->modality),
        .idempotency_key = keep_text (&at, call->idempotency_key),
        .attempt = call->attempt,
        .delivery = call->delivery,
        .deadline_us = plugin_clock_us () + job->timeout_ms * 1000,
        .directory = job->directory,
        .payload = bytes_of (&job->payload),
        .payload_json = (const char *) job->payload_json.data,
        .provenance = bytes_of (&job->provenance),
        .checkpoint = bytes_of (&job->checkpoint),
    };
    return REEL_OK;
}

static void
refuse (struct reel_task *task, const char *code, bool retryable, const char *message)
{
    reel_task_fail (task,
                    &(struct reel_failure){.code = code, .message = reel_slice_text (message), .retryable = retryable});
}

static struct job *
make_job (struct function *function, struct reel_task *task)
{
    struct job *job = calloc (1, sizeof *job);
    if (job == NULL)
        return NULL;
    const struct reel_call *call = reel_task_call (task);
    job->function = function->function;
    job->context = function->context;
    job->timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : REEL_FUNCTION_TIMEOUT_MS;
    job->task = task;
    job->fraction = -1;
    job->cancel_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    job->wake_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    job->timer = (struct reel_timer){.due = timer_due, .context = job};
    job->watch = (struct reel_watch){.fd = job->wake_fd, .ready = woken, .context = job};
    atomic_init (&job->cancelled, false);
    atomic_init (&job->holders, 1);
    (void) pthread_mutex_init (&job->lock, NULL);
    return job;
}

/* REEL_IO: err->message says what there is too little of. */
static enum reel_status
launch (struct job *job, struct function *function, struct reel_error *err)
{
    const struct reel_call *call = reel_task_call (job->task);
    struct reel_loop *loop = reel_task_loop (job->task);
    if (job->cancel_fd < 0 || job->wake_fd < 0)
        return reel_error_set (err, REEL_IO, "spawn_failed", NULL, "eventfd: %s", strerror (errno));
    enum reel_status status = reel_directory_make (&function->work, call, &job->directory, err);
    if (status == REEL_OK)
        status = copy_call (job, call);
    if (status != REEL_OK)
        return status;
    if (reel_loop_watch (loop, &job->watch, EPOLLIN) != REEL_OK)
        return reel_error_set (err, REEL_IO, "spawn_failed", NULL, "epoll: %s", strerror (errno));
    atomic_fetch_add (&job->holders, 1);
    if (!start_thread (job)) {
        atomic_fetch_sub (&job->holders, 1);
        reel_loop_unwatch (loop, &job->watch);
        return reel_error_set (err, REEL_IO, "spawn_failed", NULL, "no thread can be started");
    }
    reel_loop_arm (loop, &job->timer, reel_clock_monotonic_us () + job->timeout_ms * 1000);
    return REEL_OK;
}

static enum reel_status
start (struct reel_adapter *adapter, struct reel_task *task)
{
    struct function *function = (struct function *) adapter;
    struct reel_error err = {0};
    char text[96];
    if (reel_adapter_function_abandoned () >= REEL_ABANDONED_MAX) {
        (void) snprintf (text, sizeof text, "%d calls that were given up have not returned yet: start the worker again",
                         REEL_ABANDONED_MAX);
        refuse (task, "too_many_abandoned", true, text);
        return REEL_OK;
    }
    struct job *job = make_job (function, task);
    if (job == NULL)
        return REEL_NO_MEMORY;
    reel_task_set_state (task, job);
    enum reel_status status = launch (job, function, &err);
    if (status == REEL_OK)
        return REEL_OK;
    let_go (job);
    if (status != REEL_IO)
        return status;
    refuse (task, "spawn_failed", true, err.message);
    return REEL_OK;
}

static void
cancel (struct reel_adapter *adapter, struct reel_task *task)
{
    (void) adapter;
    end_early (reel_task_state (task), CANCELLED);
}

/* --- making and freeing ---------------------------------------------------------------------------- */

static void
destroy (struct reel_adapter *adapter)
{
    struct function *function = (struct function *) adapter;
    reel_directory_free (&function->work);
    free (function->name);
    free (function);
}

enum reel_status
reel_adapter_function_create (const struct reel_function_setup *setup, struct reel_adapter **out)
{
    struct function *function = calloc (1, sizeof *function);
    if (function == NULL)
        return REEL_NO_MEMORY;
    function->name = strdup (setup->name);
    function->function = setup->function;
    function->context = setup->context;
    function->adapter = (struct reel_adapter){
        .name = function->name, .class = setup->class, .start = start, .cancel = cancel, .destroy = destroy};
    enum reel_status status = function->name == NULL ? REEL_NO_MEMORY
                                                     : reel_directory_init (&function->work, setup->work);
    if (status == REEL_OK)
        *out = &function->adapter;
    else
        destroy (&function->adapter);
    return status;
}
