/*
 * Files that are replaced as a whole.
 */
#include "worker/rewrite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that was locked may be one that its last owner has removed: so often another is tried. */
#define LOCK_TRIES 100
/* Of a file that names a process. */
#define NAME_BYTES 16

static enum reel_status
failed (struct reel_error *err, const char *what, const char *path)
{
    return reel_error_set (err, REEL_IO, "io", NULL, "cannot %s %s: %s", what, path, strerror (errno));
}

static bool
write_all (int fd, struct reel_slice bytes)
{
    while (bytes.len > 0) {
        ssize_t put = write (fd, bytes.data, bytes.len);
        if (put < 0 && errno != EINTR)
            return false;
        if (put > 0)
            bytes = reel_slice (bytes.data + put, bytes.len - (size_t) put);
    }
    return true;
}

static enum reel_status
write_temporary (const char *path, struct reel_slice bytes, struct reel_error *err)
{
    int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0)
        return failed (err, "create", path);
    enum reel_status status = REEL_OK;
    if (!write_all (fd, bytes))
        status = failed (err, "write", path);
    else if (fsync (fd) < 0)
        status = failed (err, "sync", path);
    if (close (fd) < 0 && status == REEL_OK)
        status = failed (err, "close", path);
    return status;
}

static enum reel_status
sync_directory (const char *path, struct reel_error *err)
{
    const char *slash = strrchr (path, '/');
    char *name = slash == NULL ? strdup (".") : strndup (path, slash == path ? 1 : (size_t) (slash - path));
    if (name == NULL)
        return REEL_NO_MEMORY;
    enum reel_status status = REEL_OK;
    int fd = open (name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync (fd) < 0)
        status = failed (err, "sync", name);
    if (fd >= 0)
        close (fd);
    free (name);
    return status;
}

enum reel_status
reel_rewrite_file (const char *path, struct reel_slice bytes, struct reel_error *err)
{
    char *temporary = NULL;
    if (asprintf (&temporary, "%s.%ld.tmp", path, (long) getpid ()) < 0)
        return REEL_NO_MEMORY;
    enum reel_status status = write_temporary (temporary, bytes, err);
    if (status == REEL_OK && rename (temporary, path) < 0)
        status = failed (err, "rename", temporary);
    if (status != REEL_OK)
        (void) unlink (temporary);
    else
        status = sync_directory (path, err);
    free (temporary);
    return status;
}

/* --- one at a time ------------------------------------------------------------------------ */

static bool
same_file (int fd, const char *path)
{
    struct stat ours, there;
    return fstat (fd, &ours) == 0 && stat (path, &there) == 0 && ours.st_dev == there.st_dev
           && ours.st_ino == there.st_ino;
}

/* A file of that name that says more than a process is somebody's own, and would be lost. */
static bool
is_lock (int fd)
{
    char name[NAME_BYTES + 1] = {0};
    struct stat about;
    if (fstat (fd, &about) < 0 || !S_ISREG (about.st_mode) || about.st_size > NAME_BYTES)
        return false;
    ssize_t got = pread (fd, name, NAME_BYTES, 0);
    return got >= 0 && strspn (name, "0123456789\n") == (size_t) got;
}

static enum reel_status
refuse (int fd, const char *path, struct reel_error *err)
{
    char name[NAME_BYTES + 1] = {0};
    ssize_t got = pread (fd, name, NAME_BYTES, 0);
    size_t digits = got > 0 ? strspn (name, "0123456789") : 0;
    name[digits] = '\0';
    return reel_error_set (err, REEL_AGAIN, "busy", NULL,
                           "%s is kept by another run, which is still under way (process %s)", path,
                           digits > 0 ? name : "unknown");
}

/* For people: without it they are told as much as is known. */
static void
name_owner (int fd)
{
    char name[NAME_BYTES + 1];
    int len = snprintf (name, sizeof name, "%ld\n", (long) getpid ());
    ssize_t put = ftruncate (fd, 0) < 0 ? 0 : pwrite (fd, name, (size_t) len, 0);
    (void) put;
}

enum reel_status
reel_rewrite_lock (const char *path, struct reel_rewrite_lock *lock, struct reel_error *err)
{
    char *beside = NULL;
    int fd = -1;
    enum reel_status status = REEL_AGAIN;
    if (asprintf (&beside, "%s.lock", path) < 0)
        return REEL_NO_MEMORY;
    for (unsigned i = 0; i < LOCK_TRIES && status == REEL_AGAIN; i++) {
        if (fd >= 0)
            close (fd);
        fd = open (beside, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
        if (fd < 0)
            status = failed (err, "create", beside);
        else if (flock (fd, LOCK_EX | LOCK_NB) < 0)
            break;
        else if (same_file (fd, beside))
            status = is_lock (fd)
                         ? REEL_OK
                         : reel_error_set (err, REEL_IO, "io", NULL,
                                           "%s is no lock of a run: move it away, or choose another output", beside);
    }
    if (status == REEL_OK) {
        name_owner (fd);
        *lock = (struct reel_rewrite_lock){beside, fd};
        return REEL_OK;
    }
    if (status == REEL_AGAIN)
        status = errno == EWOULDBLOCK ? refuse (fd, path, err) : failed (err, "lock", beside);
    if (fd >= 0)
        close (fd);
    free (beside);
    return status;
}

void
reel_rewrite_unlock (struct reel_rewrite_lock *lock)
{
    if (lock->path == NULL)
        return;
    (void) unlink (lock->path);
    close (lock->fd);
    free (lock->path);
    *lock = (struct reel_rewrite_lock){0};
}
