/*
 * Files that are replaced as a whole.
 */
#include "worker/rewrite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
