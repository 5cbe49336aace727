/*
 * The directories that steps work in: <root>/<workflow_id>/<step_id>.<delivery>.<attempt>, and for
 * their hooks the same followed by .<point>.<index>.
 *
 * Without a configured root one is made under TMPDIR (or /tmp) when it is first needed, and
 * removed in the end if nothing was left in it.
 */
#ifndef REEL_WORKER_DIRECTORY_H
#define REEL_WORKER_DIRECTORY_H

#include "worker/call.h"

struct reel_directory {
    char *root;     /* owned; NULL until it is needed */
    bool temporary; /* the root was made here */
};

/* `root` NULL: a temporary one. REEL_NO_MEMORY. */
enum reel_status reel_directory_init (struct reel_directory *directory, const char *root) REEL_MUST_USE;
void reel_directory_free (struct reel_directory *directory);

/* Makes the call's directory, empty (what an earlier run left there is removed); `path` is the caller's to free.
 * REEL_IO: err->message says what failed. REEL_NO_MEMORY. */
enum reel_status reel_directory_make (struct reel_directory *directory, const struct reel_call *call, char **path,
                                      struct reel_error *err) REEL_MUST_USE;
/* Removes such a directory with all that is in it, and the workflow's when nothing else is. Symbolic links are not
 * followed. What cannot be removed stays. */
void reel_directory_remove (const char *path);

#endif
