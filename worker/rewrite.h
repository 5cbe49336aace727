/*
 * Rewriting a file so that a crash leaves either the old one or the new one, whole.
 */
#ifndef REEL_WORKER_REWRITE_H
#define REEL_WORKER_REWRITE_H

#include "base/bytes.h"

/* A temporary file beside it, fsync, rename, fsync of the directory. REEL_IO: err->message says what failed; the file
 * is as it was, unless only the last of these failed. REEL_NO_MEMORY. */
enum reel_status reel_rewrite_file (const char *path, struct reel_slice bytes, struct reel_error *err) REEL_MUST_USE;

#endif
