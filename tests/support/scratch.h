/*
 * A directory of a test's own.
 */
#ifndef REEL_TESTS_SUPPORT_SCRATCH_H
#define REEL_TESTS_SUPPORT_SCRATCH_H

#include <stdbool.h>

#define SCRATCH_BYTES 80

/* Makes one below $TMPDIR, or /tmp; with `in_memory`, for tests that sync thousands of times, below a disk that is none
 * where the machine has one. A test that cannot have it ends the program. Allocates nothing, so that allocations can be
 * counted around it. */
void scratch_make (char path[SCRATCH_BYTES], bool in_memory);
/* Removes it with all that is in it. */
void scratch_remove (const char *path);

#endif
