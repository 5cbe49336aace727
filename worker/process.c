/*
 * Commands: started with posix_spawn, watched through the loop, ended with all they started.
 */
#include "worker/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mutant.h"

/* Read at once, and reads in one turn of the loop. */
#define CHUNK_BYTES 16384
#define CHUNKS_MAX 16
/* Bytes of a stray's environment that are looked at. */
#define ENVIRON_BYTES_MAX (256u << 10)
/* linux/sched.h of the kernel: a process that has begun to exit. */
#define PF_EXITING 0x4u
/* Between two searches for strays, and how many. A process that cannot be killed is left in the end. */
#define SWEEP_MS 5
#define SWEEPS_MAX 200

/* --- starting ----------------------------------------------------------------------------- */

static int
spawn (pid_t *pid, char *const *argv, char *const *envp, const char *directory, const int fds[3])
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset (&none);
    sigfillset (&all);
    int error = posix_spawn_file_actions_init (&actions);
    if (error != 0)
        return error;
    error = posix_spawnattr_init (&attributes);
    if (error != 0)
        goto out_actions;
    for (int fd = 0; fd < 3 && error == 0; fd++)
        error = posix_spawn_file_actions_adddup2 (&actions, fds[fd], fd);
    if (error == 0)
        error = posix_spawn_file_actions_addclosefrom_np (&actions, 3);
    if (error == 0)
        error = posix_spawn_file_actions_addchdir_np (&actions, directory);
    if (error == 0)
        error = posix_spawnattr_setflags (&attributes,
                                          POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (error == 0)
        error = posix_spawnattr_setpgroup (&attributes, 0);
    if (error == 0)
        error = posix_spawnattr_setsigmask (&attributes, &none);
    if (error == 0)
        error = posix_spawnattr_setsigdefault (&attributes, &all);
    if (error == 0)
        error = posix_spawn (pid, argv[0], &actions, &attributes, argv, envp);
    posix_spawnattr_destroy (&attributes);
out_actions:
    posix_spawn_file_actions_destroy (&actions);
    return error;
}

static void out_ready (struct reel_watch *watch, uint32_t events);
static void err_ready (struct reel_watch *watch, uint32_t events);
static void child_exited (struct reel_child *child);
static void timer_due (struct reel_timer *timer);

/* A pipe whose reading end does not block. */
static bool
make_pipe (int ends[2])
{
    if (pipe2 (ends, O_CLOEXEC) < 0)
        return false;
    return fcntl (ends[0], F_SETFL, O_NONBLOCK) == 0;
}

static void
close_fd (int *fd)
{
    if (*fd >= 0)
        close (*fd);
    *fd = -1;
}

static void
close_watch (struct reel_process *process, struct reel_watch *watch)
{
    reel_loop_unwatch (process->loop, watch);
    close_fd (&watch->fd);
}

enum reel_status
reel_process_start (struct reel_process *process, char *const *argv, char *const *envp, const char *directory,
                    int input)
{
    int out[2] = {-1, -1}, err[2] = {-1, -1};
    int error = 0;
    pid_t pid = -1;
    process->phase = REEL_PROCESS_RUNNING;
    process->exited = process->begun = false;
    process->sweeps = 0;
    process->timer = (struct reel_timer){.due = timer_due, .context = process};
    (void) prctl (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (!make_pipe (out) || !make_pipe (err))
        error = errno;
    process->out = (struct reel_watch){.fd = out[0], .ready = out_ready, .context = process};
    process->err = (struct reel_watch){.fd = err[0], .ready = err_ready, .context = process};
    if (error == 0
        && (reel_loop_watch (process->loop, &process->out, EPOLLIN) != REEL_OK
            || reel_loop_watch (process->loop, &process->err, EPOLLIN) != REEL_OK))
        error = errno;
    if (error == 0)
        error = spawn (&pid, argv, envp, directory, (const int[3]){input, out[1], err[1]});
    close_fd (&out[1]);
    close_fd (&err[1]);
    if (error == 0) {
        process->child = (struct reel_child){.pid = pid, .exited = child_exited, .context = process};
        if (reel_loop_add_child (process->loop, &process->child) != REEL_OK) {
            error = errno;
            process->begun = true;
            kill (-pid, SIGKILL);
            while (waitpid (pid, NULL, 0) < 0 && errno == EINTR)
                ;
        }
    }
    if (error == 0)
        return REEL_OK;
    close_watch (process, &process->out);
    close_watch (process, &process->err);
    errno = error;
    return REEL_IO;
}

/* --- strays ------------------------------------------------------------------------------- */

static bool
read_file (const char *path, struct reel_buf *out)
{
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = 1;
    while (got > 0 && out->len < ENVIRON_BYTES_MAX) {
        uint8_t *into = reel_buf_reserve (out, 4096);
        if (into == NULL)
            break;
        do
            got = read (fd, into, 4096);
        while (got < 0 && errno == EINTR);
        if (got > 0)
            out->len += (size_t) got;
    }
    close (fd);
    return got >= 0 && !out->failed;
}

bool
reel_process_carries (pid_t pid, const char *marker)
{
    char path[64];
    struct reel_buf environment = {0};
    bool found = false;
    size_t len = strlen (marker);
    snprintf (path, sizeof path, "/proc/%ld/environ", (long) pid);
    if (read_file (path, &environment)) {
        for (size_t at = 0; !found && at + len < environment.len;) {
            const uint8_t *entry = environment.data + at;
            const uint8_t *end = memchr (entry, 0, environment.len - at);
            if (end == NULL)
                break;
            found = (size_t) (end - entry) == len && memcmp (entry, marker, len) == 0;
            at += (size_t) (end - entry) + 1;
        }
    }
    reel_buf_free (&environment);
    return found;
}

/* Is it in the command's group, or on its way out? Then it has lost its environment already, or soon will. */
static bool
is_leaving (pid_t pid, pid_t group)
{
    char path[64];
    struct reel_buf about = {0};
    long numbers[6] = {0}; /* parent, group, session, terminal, its group, flags */
    snprintf (path, sizeof path, "/proc/%ld/stat", (long) pid);
    if (read_file (path, &about)) {
        reel_buf_add_byte (&about, 0);
        /* proc(5): after the name, which may contain anything, and the state. */
        char *at = about.failed ? NULL : strrchr ((char *) about.data, ')');
        if (at != NULL && strlen (at) > 4)
            at += 3;
        for (int i = 0; i < 6 && at != NULL; i++)
            numbers[i] = strtol (at, &at, 10);
    }
    reel_buf_free (&about);
    return numbers[1] == group || ((unsigned long) numbers[5] & PF_EXITING) != 0;
}

/* One child of this process that the loop does not know: an orphan that came down to it. True: look again, since it will be
 * gone soon, or is gone now and its own children have come down in its place. */
static bool
sweep_child (struct reel_process *process, pid_t pid)
{
    if (reel_loop_has_child (process->loop, pid))
        return false;
    pid_t reaped = waitpid (pid, NULL, WNOHANG);
    if (reaped != 0)
        return reaped > 0;
    if (is_leaving (pid, process->child.pid))
        return true;
    if (!reel_process_carries (pid, process->marker))
        return false;
    kill (pid, SIGKILL);
    return true;
}

/* Kills the strays among the children of this process, and reaps what is dead. Orphans come down to its first thread; the
 * children of the others are those of C functions, which wait for them themselves. */
static unsigned
sweep (struct reel_process *process)
{
    char path[64];
    struct reel_buf list = {0};
    unsigned alive = 0;
    snprintf (path, sizeof path, "/proc/self/task/%ld/children", (long) getpid ());
    if (read_file (path, &list)) {
        reel_buf_add_byte (&list, 0);
        char *at = (char *) list.data, *end;
        for (long pid; !list.failed && (pid = strtol (at, &end, 10)) > 0; at = end)
            alive += sweep_child (process, (pid_t) pid);
    }
    reel_buf_free (&list);
    return alive;
}

/* --- ending ------------------------------------------------------------------------------- */

static void
arm (struct reel_process *process, int64_t ms)
{
    reel_loop_arm (process->loop, &process->timer, reel_clock_monotonic_us () + ms * 1000);
}

static void
sweep_on (struct reel_process *process)
{
    if (!REEL_MUTANT_IS (42) && sweep (process) > 0 && ++process->sweeps < SWEEPS_MAX) {
        arm (process, SWEEP_MS);
        return;
    }
    int status = 0;
    reel_loop_disarm (process->loop, &process->timer);
    reel_loop_reap_child (process->loop, &process->child, &status);
    process->ended (process, status);
}

/* Reads what is there. True at the end of it. */
static bool
drain (struct reel_watch *watch, void (*take) (struct reel_process *process, struct reel_slice bytes),
       unsigned chunks_max)
{
    uint8_t chunk[CHUNK_BYTES];
    for (unsigned i = 0; i < chunks_max; i++) {
        ssize_t got = read (watch->fd, chunk, sizeof chunk);
        if (got < 0)
            return errno != EAGAIN && errno != EINTR;
        if (got == 0)
            return true;
        take (watch->context, reel_slice (chunk, (size_t) got));
    }
    return false;
}

/* The command has exited: its status is kept (and so the number of its group) until all others are gone. */
static void
finish (struct reel_process *process)
{
    process->phase = REEL_PROCESS_SWEEPING;
    kill (-process->child.pid, SIGKILL);
    /* As much as a pipe holds, and no more: somebody out of reach may still be writing. */
    if (process->out.fd >= 0)
        drain (&process->out, process->output, (1u << 20) / CHUNK_BYTES);
    if (process->err.fd >= 0)
        drain (&process->err, process->errors, (1u << 20) / CHUNK_BYTES);
    close_watch (process, &process->out);
    close_watch (process, &process->err);
    sweep_on (process);
}

static void
consider (struct reel_process *process)
{
    bool silent = process->out.fd < 0 && process->err.fd < 0;
    if (process->exited && process->phase != REEL_PROCESS_SWEEPING && (silent || process->phase == REEL_PROCESS_KILLED))
        finish (process);
}

static void
kill_now (struct reel_process *process)
{
    process->phase = REEL_PROCESS_KILLED;
    reel_loop_disarm (process->loop, &process->timer);
    kill (-process->child.pid, SIGKILL);
}

static void
timer_due (struct reel_timer *timer)
{
    struct reel_process *process = timer->context;
    if (process->phase == REEL_PROCESS_SWEEPING) {
        sweep_on (process);
        return;
    }
    kill_now (process);
    consider (process);
}

static void
child_exited (struct reel_child *child)
{
    struct reel_process *process = child->context;
    process->exited = true;
    if (process->phase == REEL_PROCESS_RUNNING) {
        process->phase = REEL_PROCESS_ENDING;
        arm (process, process->grace_ms);
    }
    consider (process);
}

void
reel_process_end (struct reel_process *process)
{
    if (process->phase == REEL_PROCESS_RUNNING) {
        process->phase = REEL_PROCESS_ENDING;
        kill (-process->child.pid, SIGTERM);
        arm (process, process->grace_ms);
    } else if (process->phase == REEL_PROCESS_ENDING) {
        /* Not within the caller: it hears of the end from the loop. */
        process->phase = REEL_PROCESS_KILLED;
        kill (-process->child.pid, SIGKILL);
        arm (process, 0);
    }
}

static void
out_ready (struct reel_watch *watch, uint32_t events)
{
    (void) events;
    struct reel_process *process = watch->context;
    if (drain (watch, process->output, CHUNKS_MAX)) {
        close_watch (process, watch);
        consider (process);
    }
}

static void
err_ready (struct reel_watch *watch, uint32_t events)
{
    (void) events;
    struct reel_process *process = watch->context;
    if (drain (watch, process->errors, CHUNKS_MAX)) {
        close_watch (process, watch);
        consider (process);
    }
}
