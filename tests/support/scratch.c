#include "tests/support/scratch.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK_IN_MEMORY "/dev/shm"

static const char *
base (bool in_memory)
{
    const char *asked = getenv ("TMPDIR");
    if (in_memory && access (DISK_IN_MEMORY, W_OK) == 0)
        return DISK_IN_MEMORY;
    return asked == NULL ? "/tmp" : asked;
}

void
scratch_make (char path[SCRATCH_BYTES], bool in_memory)
{
    int len = snprintf (path, SCRATCH_BYTES, "%s/reel-test-XXXXXX", base (in_memory));
    if (len < SCRATCH_BYTES && mkdtemp (path) != NULL)
        return;
    (void) fprintf (stderr, "no directory %s: %s\n", path, len < SCRATCH_BYTES ? strerror (errno) : "too long a name");
    abort ();
}

static int
remove_one (const char *path, const struct stat *about, int type, struct FTW *where)
{
    (void) about, (void) type, (void) where;
    return remove (path);
}

void
scratch_remove (const char *path)
{
    (void) nftw (path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
