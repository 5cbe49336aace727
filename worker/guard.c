/*
 * The guard reads from a pipe that nobody writes to: its end is the end of the one who is guarded.
 */
#include "worker/guard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "worker/process.h"

#define MARK_BYTES 16
/* Between two searches; how many in a row must find nobody; how many there are at most. */
#define SWEEP_MS 5
#define QUIET_SWEEPS 3
#define SWEEPS_MAX 400
/* Between the beginnings of two guards, at least. */
#define AGAIN_MS 100

/* The guard over this process. */
static struct {
    pid_t pid; /* 0: there is none */
    int pipe_fd;
    int64_t begun_us;
    char *outer; /* the mark of whoever began this process in a step of its own; NULL: nobody */
    char mark[sizeof REEL_GUARD_VARIABLE + 1 + 2 * MARK_BYTES]; /* as in the environment, NAME=value */
} own;

/* Kills whoever carries the mark. Gives how many there were. */
static unsigned
sweep (const char *mark)
{
    unsigned found = 0;
    struct dirent *entry;
    DIR *all = opendir ("/proc");
    while (all != NULL && (entry = readdir (all)) != NULL) {
        char *end;
        long pid = strtol (entry->d_name, &end, 10);
        if (pid > 0 && *end == '\0' && pid != getpid () && reel_process_carries ((pid_t) pid, mark)) {
            kill ((pid_t) pid, SIGKILL);
            found++;
        }
    }
    if (all != NULL)
        closedir (all);
    return found;
}

/* When the one it guards was begun in a step itself, whoever ends that step must not take the guard for a part of it: what
 * the guard has to kill carries a mark of its own, and would be left. Written over where the kernel shows it. */
static void
wipe (char *value)
{
    if (value != NULL)
        memset (value, '-', strlen (value));
}

/* Holds nothing of what was open before, and hears no signal: it ends after the one it guards. */
static void
let_go (int pipe_fd)
{
    sigset_t every;
    sigfillset (&every);
    (void) sigprocmask (SIG_SETMASK, &every, NULL);
    (void) setsid ();
    int null = open ("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; fd++)
        (void) dup2 (null, fd);
    (void) dup2 (pipe_fd, 3);
    closefrom (4);
    (void) prctl (PR_SET_NAME, "reel-guard");
    if (chdir ("/") != 0)
        return; /* then a directory stays in use */
}

static void
guard (int pipe_fd, const char *mark)
{
    const struct timespec pause = {.tv_nsec = SWEEP_MS * 1000000L};
    char byte;
    wipe (own.outer);
    wipe (getenv ("REEL_IDEMPOTENCY_KEY"));
    let_go (pipe_fd);
    while (read (3, &byte, 1) < 0 && errno == EINTR)
        ;
    for (unsigned sweeps = 0, quiet = 0; sweeps < SWEEPS_MAX && quiet < QUIET_SWEEPS; sweeps++) {
        quiet = sweep (mark) > 0 ? 0 : quiet + 1;
        (void) nanosleep (&pause, NULL);
    }
    _exit (0);
}

/* Where this process has threads by now, the guard has none of them, and the C library lets it allocate all the same. */
static enum reel_status
begin (void)
{
    int ends[2];
    if (pipe2 (ends, O_CLOEXEC) < 0)
        return REEL_IO;
    pid_t pid = fork ();
    if (pid == 0)
        guard (ends[0], own.mark);
    int error = errno;
    close (ends[0]);
    if (pid > 0) {
        own.pid = pid;
        own.pipe_fd = ends[1]; /* closed by the end of this process */
        own.begun_us = reel_clock_monotonic_us ();
        return REEL_OK;
    }
    close (ends[1]);
    errno = error;
    return REEL_IO;
}

enum reel_status
reel_guard_start (void)
{
    uint8_t bytes[MARK_BYTES];
    int at = snprintf (own.mark, sizeof own.mark, "%s=", REEL_GUARD_VARIABLE), value = at;
    reel_random_system (bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        at += snprintf (own.mark + at, sizeof own.mark - (size_t) at, "%02x", bytes[i]);
    own.outer = getenv (REEL_GUARD_VARIABLE);
    enum reel_status status = begin ();
    if (status == REEL_OK && setenv (REEL_GUARD_VARIABLE, own.mark + value, 1) != 0)
        status = REEL_IO;
    return status;
}

/* --- one after the other ------------------------------------------------------------------- */

static void
watch_guard (struct reel_guard_keeper *keeper)
{
    keeper->ended.fd = (int) syscall (SYS_pidfd_open, own.pid, 0);
    if (keeper->ended.fd >= 0 && reel_loop_watch (keeper->loop, &keeper->ended, EPOLLIN) == REEL_OK)
        return;
    reel_log (REEL_LOG_WARNING, "the guard over the commands cannot be watched: %s", strerror (errno));
    reel_guard_let_go (keeper);
}

static void
begin_again (struct reel_timer *timer)
{
    struct reel_guard_keeper *keeper = timer->context;
    if (begin () == REEL_OK) {
        watch_guard (keeper);
        return;
    }
    reel_log (REEL_LOG_ERROR, "nobody watches over the commands: %s", strerror (errno));
    reel_loop_arm (keeper->loop, timer, reel_clock_monotonic_us () + AGAIN_MS * 1000);
}

static void
guard_ended (struct reel_watch *watch, uint32_t events)
{
    (void) events;
    struct reel_guard_keeper *keeper = watch->context;
    reel_log (REEL_LOG_WARNING, "the guard over the commands was killed; another takes over");
    reel_guard_let_go (keeper);
    (void) waitpid (own.pid, NULL, WNOHANG); /* unless a step that ended has reaped it */
    close (own.pipe_fd);
    own.pid = 0;
    reel_loop_arm (keeper->loop, &keeper->again, own.begun_us + AGAIN_MS * 1000);
}

void
reel_guard_keep (struct reel_guard_keeper *keeper, struct reel_loop *loop)
{
    keeper->loop = loop;
    keeper->ended = (struct reel_watch){.fd = -1, .ready = guard_ended, .context = keeper};
    keeper->again = (struct reel_timer){.due = begin_again, .context = keeper};
    if (own.pid > 0)
        watch_guard (keeper);
}

void
reel_guard_let_go (struct reel_guard_keeper *keeper)
{
    if (keeper->loop == NULL)
        return;
    reel_loop_disarm (keeper->loop, &keeper->again);
    reel_loop_unwatch (keeper->loop, &keeper->ended);
    if (keeper->ended.fd >= 0)
        close (keeper->ended.fd);
    keeper->ended.fd = -1;
}
