/*
 * Working directories of steps.
 */
#include "worker/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Directories inside one another that are removed; what lies deeper stays. */
#define DEPTH_MAX 64
/* How often the workflow's directory may come and go while the step's is made in it. */
#define VANISHINGS_MAX 1000

enum reel_status
reel_directory_init (struct reel_directory *directory, const char *root)
{
    *directory = (struct reel_directory){0};
    if (root == NULL)
        return REEL_OK;
    directory->root = strdup (root);
    return directory->root == NULL ? REEL_NO_MEMORY : REEL_OK;
}

void
reel_directory_free (struct reel_directory *directory)
{
    if (directory->root != NULL && directory->temporary)
        (void) rmdir (directory->root);
    free (directory->root);
    *directory = (struct reel_directory){0};
}

static enum reel_status
failed (struct reel_error *err, const char *what, const char *path)
{
    return reel_error_set (err, REEL_IO, "work_directory", NULL, "cannot %s the directory %s: %s", what, path,
                           strerror (errno));
}

/* Makes a directory and those above it. */
static enum reel_status
make_path (char *path, struct reel_error *err)
{
    if (mkdir (path, 0755) == 0 || errno == EEXIST)
        return REEL_OK;
    for (char *slash = path; errno == ENOENT && (slash = strchr (slash + 1, '/')) != NULL;) {
        *slash = '\0';
        if (mkdir (path, 0755) == 0 || errno == EEXIST)
            errno = ENOENT;
        *slash = '/';
    }
    return mkdir (path, 0755) < 0 && errno != EEXIST ? failed (err, "make", path) : REEL_OK;
}

static enum reel_status
make_root (struct reel_directory *directory, struct reel_error *err)
{
    if (directory->root != NULL)
        return make_path (directory->root, err);
    const char *base = getenv ("TMPDIR");
    char *root = NULL;
    if (asprintf (&root, "%s/reel-work-XXXXXX", base == NULL || *base == '\0' ? "/tmp" : base) < 0)
        return REEL_NO_MEMORY;
    if (mkdtemp (root) == NULL) {
        enum reel_status status = failed (err, "make", root);
        free (root);
        return status;
    }
    directory->root = root;
    directory->temporary = true;
    return REEL_OK;
}

static void
remove_inside (int parent, const char *name, unsigned depth)
{
    int fd = openat (parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir (fd);
    if (dir == NULL) {
        if (fd >= 0)
            close (fd);
        return;
    }
    struct dirent *entry;
    while ((entry = readdir (dir)) != NULL) {
        if (strcmp (entry->d_name, ".") == 0 || strcmp (entry->d_name, "..") == 0)
            continue;
        if (unlinkat (fd, entry->d_name, 0) == 0 || depth == DEPTH_MAX)
            continue;
        remove_inside (fd, entry->d_name, depth + 1);
        (void) unlinkat (fd, entry->d_name, AT_REMOVEDIR);
    }
    closedir (dir);
}

void
reel_directory_remove (const char *path)
{
    remove_inside (AT_FDCWD, path, 0);
    (void) rmdir (path);
    char *parent = strdup (path);
    char *slash = parent == NULL ? NULL : strrchr (parent, '/');
    if (slash != NULL) {
        *slash = '\0';
        (void) rmdir (parent);
    }
    free (parent);
}

/* Makes both under another name, and gives them theirs at once: what is not empty is taken away by nobody. ENOTEMPTY: the
 * one above is there after all. */
static int
make_both (const char *path)
{
    const char *leaf = strrchr (path, '/'), *above = memrchr (path, '/', (size_t) (leaf - path));
    char *parent = strndup (path, (size_t) (leaf - path)), *aside = NULL, *inside = NULL;
    struct stat about;
    int made = -1, error;
    if (parent == NULL || asprintf (&aside, "%.*s/.XXXXXX", (int) (above - path), path) < 0)
        aside = NULL;
    else if (mkdtemp (aside) != NULL && asprintf (&inside, "%s%s", aside, leaf) < 0)
        inside = NULL;
    if (inside != NULL && mkdir (inside, 0755) == 0 && stat (inside, &about) == 0
        && chmod (aside, about.st_mode & 07777) == 0)
        made = rename (aside, parent);
    error = errno;
    if (made < 0 && inside != NULL)
        (void) rmdir (inside);
    if (made < 0 && aside != NULL)
        (void) rmdir (aside);
    free (parent);
    free (aside);
    free (inside);
    errno = error == EEXIST ? ENOTEMPTY : error;
    return made;
}

/* Makes a directory and the one above it, which somebody who leaves it empty takes away (reel_directory_remove): a call
 * that was given up and returns late does that in a thread of its own, another worker on this root in its process. */
static int
make_pair (const char *path)
{
    for (int i = 0; i < VANISHINGS_MAX; i++) {
        int made = mkdir (path, 0755);
        if (made < 0 && errno == ENOENT)
            made = make_both (path);
        if (made == 0 || (errno != ENOENT && errno != ENOTEMPTY))
            return made;
    }
    return -1;
}

enum reel_status
reel_directory_make (struct reel_directory *directory, const struct reel_call *call, char **out, struct reel_error *err)
{
    char *path = NULL;
    enum reel_status status = make_root (directory, err);
    if (status != REEL_OK)
        return status;
    /* Ids have no slash and begin with a letter or a digit: they name nothing outside the root. */
    char hook[32] = "";
    if (call->hook != REEL_HOOK_NONE)
        snprintf (hook, sizeof hook, ".%s.%" PRIu32, reel_hook_point_name (call->hook), call->hook_index);
    if (asprintf (&path, "%s/%.*s/%.*s.%" PRIu32 ".%" PRIu32 "%s", directory->root, REEL_TEXT (call->workflow_id),
                  REEL_TEXT (call->step_id), call->delivery, call->attempt, hook)
        < 0)
        return REEL_NO_MEMORY;
    int made = make_pair (path);
    if (made < 0 && errno == EEXIST) {
        remove_inside (AT_FDCWD, path, 0);
        if (unlink (path) < 0)
            (void) rmdir (path);
        made = make_pair (path);
    }
    if (made < 0)
        status = failed (err, "make", path);
    if (status == REEL_OK)
        *out = path;
    else
        free (path);
    return status;
}
