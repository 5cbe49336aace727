/*
 * The end of a program whose invariant broke.
 */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void
reel_assert_failed (const char *expr, const char *file, int line)
{
    fprintf (stderr, "%s:%d: broken invariant: %s\n", file, line, expr);
    abort ();
}
