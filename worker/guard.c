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
#include <time.h>
#include <unistd.h>

#include "base/random.h"
#include "worker/process.h"

#define MARK_BYTES 16
/* Between two searches; how many in a row must find nobody; how many there are at most. */
#define SWEEP_MS 5
#define QUIET_SWEEPS 3
#define SWEEPS_MAX 400

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
wipe (const char *name)
{
    char *value = getenv (name);
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
    (void) prctl (PR_SET_NAME, "reel-guard");
    int null = open ("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; fd++)
        (void) dup2 (null, fd);
    (void) dup2 (pipe_fd, 3);
    closefrom (4);
    if (chdir ("/") != 0)
        return; /* then a directory stays in use */
}

static void
guard (int pipe_fd, const char *mark)
{
    const struct timespec pause = {.tv_nsec = SWEEP_MS * 1000000L};
    char byte;
    wipe (REEL_GUARD_VARIABLE);
    wipe ("REEL_IDEMPOTENCY_KEY");
    let_go (pipe_fd);
    while (read (3, &byte, 1) < 0 && errno == EINTR)
        ;
    for (unsigned sweeps = 0, quiet = 0; sweeps < SWEEPS_MAX && quiet < QUIET_SWEEPS; sweeps++) {
        quiet = sweep (mark) > 0 ? 0 : quiet + 1;
        (void) nanosleep (&pause, NULL);
    }
    _exit (0);
}

enum reel_status
reel_guard_start (void)
{
    uint8_t bytes[MARK_BYTES];
    char mark[sizeof REEL_GUARD_VARIABLE + 1 + 2 * MARK_BYTES];
    int ends[2];
    int at = snprintf (mark, sizeof mark, "%s=", REEL_GUARD_VARIABLE), value = at;
    reel_random_system (bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        at += snprintf (mark + at, sizeof mark - (size_t) at, "%02x", bytes[i]);
    if (pipe2 (ends, O_CLOEXEC) < 0)
        return REEL_IO;
    pid_t pid = fork ();
    if (pid == 0)
        guard (ends[0], mark);
    int error = errno;
    close (ends[0]);
    if (pid > 0 && setenv (REEL_GUARD_VARIABLE, mark + value, 1) == 0)
        return REEL_OK; /* the other end is closed by the end of this process */
    if (pid > 0)
        error = errno;
    close (ends[1]);
    errno = error;
    return REEL_IO;
}
