/*
 * Rewriting a file so that a crash leaves either the old one or the new one, whole; and one process at a time.
 */
#ifndef REEL_WORKER_REWRITE_H
#define REEL_WORKER_REWRITE_H

#include "base/bytes.h"

/* A temporary file beside it, fsync, rename, fsync of the directory. REEL_IO: err->message says what failed; the file
 * is as it was, unless only the last of these failed. REEL_NO_MEMORY. */
enum reel_status reel_rewrite_file (const char *path, struct reel_slice bytes, struct reel_error *err) REEL_MUST_USE;

/* All zero: not locked. */
struct reel_rewrite_lock {
    char *path; /* of the file beside it that is locked */
    int fd;
};

/* Keeps others who lock it from rewriting the file. A lock ends with its process; the file that is locked, and that
 * names the process, is removed by reel_rewrite_unlock(). REEL_AGAIN: another has it; REEL_IO: err->message says either.
 * REEL_NO_MEMORY. */
enum reel_status reel_rewrite_lock (const char *path, struct reel_rewrite_lock *lock,
                                    struct reel_error *err) REEL_MUST_USE;
void reel_rewrite_unlock (struct reel_rewrite_lock *lock);

#endif
