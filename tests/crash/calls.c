/*
 * The system refuses: the nth call of a process (players.h) that may fail for want of something (descriptors, processes,
 * threads, memory, room), or that is interrupted; of those that are made by reel itself, before which the linker puts the
 * functions of this file. Calls that can only fail on a wrong argument are left alone.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/players.h"

/* Each with a number and a name. */
#define ALL(X)                                                                                                         \
    X (pipe2), X (fork), X (eventfd), X (signalfd), X (memfd_create), X (epoll_create1), X (epoll_wait), X (poll),     \
        X (socket), X (mkdir), X (fsync), X (rename), X (statvfs), X (setenv), X (mkdtemp), X (fdopendir), X (write),  \
        X (read), X (open), X (openat), X (epoll_ctl), X (waitpid), X (syscall), X (posix_spawn),                      \
        X (posix_spawn_file_actions_adddup2), X (pthread_create)

#define KIND(name) KIND_##name
enum { ALL (KIND), KIND_COUNT };
#define NAME(name) #name
static const char *const kinds[KIND_COUNT] = {ALL (NAME)};

static bool
fails (unsigned kind, int error)
{
    if (!players_fails (kind))
        return false;
    errno = error;
    return true;
}

/* RESULT NAME (PARAMETERS), called with ARGUMENTS: fails with ERROR. */
#define MAY_FAIL(result, name, parameters, arguments, error)                                                           \
    result __real_##name parameters;                                                                                   \
    result __wrap_##name parameters;                                                                                   \
    result __wrap_##name parameters                                                                                    \
    {                                                                                                                  \
        return fails (KIND_##name, error) ? (result) -1 : __real_##name arguments;                                     \
    }

MAY_FAIL (int, pipe2, (int ends[2], int flags), (ends, flags), EMFILE)
MAY_FAIL (pid_t, fork, (void), (), EAGAIN)
MAY_FAIL (int, eventfd, (unsigned count, int flags), (count, flags), EMFILE)
MAY_FAIL (int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags), EMFILE)
MAY_FAIL (int, memfd_create, (const char *name, unsigned flags), (name, flags), EMFILE)
MAY_FAIL (int, epoll_create1, (int flags), (flags), EMFILE)
MAY_FAIL (int, epoll_wait, (int fd, struct epoll_event *list, int count, int ms), (fd, list, count, ms), EINTR)
MAY_FAIL (int, poll, (struct pollfd * list, nfds_t count, int ms), (list, count, ms), EINTR)
MAY_FAIL (int, socket, (int domain, int type, int protocol), (domain, type, protocol), EMFILE)
MAY_FAIL (int, mkdir, (const char *path, mode_t mode), (path, mode), ENOSPC)
MAY_FAIL (int, fsync, (int fd), (fd), EIO)
MAY_FAIL (int, rename, (const char *from, const char *to), (from, to), ENOSPC)
MAY_FAIL (int, statvfs, (const char *path, struct statvfs *about), (path, about), EIO)
MAY_FAIL (int, setenv, (const char *name, const char *value, int over), (name, value, over), ENOMEM)

char *__real_mkdtemp (char *path);
char *__wrap_mkdtemp (char *path);

char *
__wrap_mkdtemp (char *path)
{
    return fails (KIND_mkdtemp, ENOSPC) ? NULL : __real_mkdtemp (path);
}

DIR *__real_fdopendir (int fd);
DIR *__wrap_fdopendir (int fd);

DIR *
__wrap_fdopendir (int fd)
{
    return fails (KIND_fdopendir, ENOMEM) ? NULL : __real_fdopendir (fd);
}

/* What writes finds no room in a file, and is interrupted elsewhere; not at an eventfd, which takes what it is given. */
ssize_t __real_write (int fd, const void *bytes, size_t len);
ssize_t __wrap_write (int fd, const void *bytes, size_t len);

ssize_t
__wrap_write (int fd, const void *bytes, size_t len)
{
    struct stat about;
    bool apart = fd == STDERR_FILENO || fstat (fd, &about) != 0 || (about.st_mode & S_IFMT) == 0;
    return !apart && fails (KIND_write, S_ISREG (about.st_mode) ? ENOSPC : EINTR) ? -1 : __real_write (fd, bytes, len);
}

ssize_t __real_read (int fd, void *bytes, size_t len);
ssize_t __wrap_read (int fd, void *bytes, size_t len);

ssize_t
__wrap_read (int fd, void *bytes, size_t len)
{
    struct stat about;
    bool file = fstat (fd, &about) == 0 && S_ISREG (about.st_mode);
    return fails (KIND_read, file ? EIO : EINTR) ? -1 : __real_read (fd, bytes, len);
}

int __real_open (const char *path, int flags, ...);
int __wrap_open (const char *path, int flags, ...);

int
__wrap_open (const char *path, int flags, ...)
{
    va_list args;
    va_start (args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg (args, mode_t) : 0;
    va_end (args);
    return fails (KIND_open, EMFILE) ? -1 : __real_open (path, flags, mode);
}

int __real_openat (int at, const char *path, int flags, ...);
int __wrap_openat (int at, const char *path, int flags, ...);

int
__wrap_openat (int at, const char *path, int flags, ...)
{
    va_list args;
    va_start (args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg (args, mode_t) : 0;
    va_end (args);
    return fails (KIND_openat, EMFILE) ? -1 : __real_openat (at, path, flags, mode);
}

/* A watch that is taken away is there. */
int __real_epoll_ctl (int fd, int what, int other, struct epoll_event *event);
int __wrap_epoll_ctl (int fd, int what, int other, struct epoll_event *event);

int
__wrap_epoll_ctl (int fd, int what, int other, struct epoll_event *event)
{
    return what == EPOLL_CTL_ADD && fails (KIND_epoll_ctl, ENOSPC) ? -1 : __real_epoll_ctl (fd, what, other, event);
}

/* Who does not wait is not interrupted. */
pid_t __real_waitpid (pid_t pid, int *status, int options);
pid_t __wrap_waitpid (pid_t pid, int *status, int options);

pid_t
__wrap_waitpid (pid_t pid, int *status, int options)
{
    return (options & WNOHANG) == 0 && fails (KIND_waitpid, EINTR) ? -1 : __real_waitpid (pid, status, options);
}

static pid_t command; /* the last one that was started */

/* pidfd_open, which for a command is refused when it has done its worst. */
long __real_syscall (long number, ...);
long __wrap_syscall (long number, ...);

long
__wrap_syscall (long number, ...)
{
    va_list args;
    va_start (args, number);
    long first = va_arg (args, long), second = va_arg (args, long);
    va_end (args);
    if (!players_fails (KIND_syscall))
        return __real_syscall (number, first, second);
    siginfo_t about;
    if (first == command)
        (void) waitid (P_PID, (id_t) first, &about, WEXITED | WNOWAIT);
    errno = EMFILE;
    return -1;
}

int __real_posix_spawn (pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]);
int __wrap_posix_spawn (pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]);

int
__wrap_posix_spawn (pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                    const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
    if (players_fails (KIND_posix_spawn))
        return EAGAIN;
    int error = __real_posix_spawn (pid, path, actions, attributes, argv, envp);
    command = error == 0 ? *pid : 0;
    return error;
}

int __real_posix_spawn_file_actions_adddup2 (posix_spawn_file_actions_t *actions, int from, int to);
int __wrap_posix_spawn_file_actions_adddup2 (posix_spawn_file_actions_t *actions, int from, int to);

int
__wrap_posix_spawn_file_actions_adddup2 (posix_spawn_file_actions_t *actions, int from, int to)
{
    return players_fails (KIND_posix_spawn_file_actions_adddup2)
               ? ENOMEM
               : __real_posix_spawn_file_actions_adddup2 (actions, from, to);
}

int __real_pthread_create (pthread_t *thread, const pthread_attr_t *attributes, void *(*begin) (void *), void *context);
int __wrap_pthread_create (pthread_t *thread, const pthread_attr_t *attributes, void *(*begin) (void *), void *context);

int
__wrap_pthread_create (pthread_t *thread, const pthread_attr_t *attributes, void *(*begin) (void *), void *context)
{
    return players_fails (KIND_pthread_create) ? EAGAIN : __real_pthread_create (thread, attributes, begin, context);
}

int
main (int argc, char **argv)
{
    const struct players_setup setup = {.what = "calls of the system",
                                        .kinds = kinds,
                                        .kind_count = KIND_COUNT,
                                        .who = (1u << PLAYERS_COUNT) - 1,
                                        .files = true};
    return players_main (argc, argv, &setup);
}
