/*
 * Generated documents for other implementations to read: one msgpack array of so many, from a seed. Every second one is
 * a workflow that the run machine has executed, the others are any value.
 *
 *     interop_documents SEED COUNT >FILE
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/limits.h"
#include "proto/pack.h"
#include "tests/support/generate.h"
#include "tests/support/generate_workflow.h"

static void
add_workflow (struct reel_random *random, struct reel_buf *out)
{
    struct execution execution;
    struct reel_buf submitted = {0}, executed = {0};
    generate_workflow (random, &submitted);
    execution_start (&execution, random, reel_buf_slice (&submitted));
    execution_go (&execution, (unsigned) reel_random_below (random, 8));
    execution_document (&execution, &executed);
    /* One level down, in the array: what is as deep as it may be would be too deep. */
    if (reel_scan_depth (reel_buf_slice (&executed)) < REEL_DEPTH_MAX)
        reel_buf_add_slice (out, reel_buf_slice (&executed));
    else
        reel_buf_add_slice (out, reel_buf_slice (&submitted));
    execution_free (&execution);
    reel_buf_free (&submitted);
    reel_buf_free (&executed);
}

int
main (int argc, char **argv)
{
    struct reel_random random;
    struct reel_buf out = {0};
    if (argc != 3) {
        fprintf (stderr, "usage: %s SEED COUNT\n", argv[0]);
        return EXIT_FAILURE;
    }
    unsigned long count = strtoul (argv[2], NULL, 10);
    reel_random_seed (&random, strtoull (argv[1], NULL, 10));
    reel_pack_array (&out, (uint32_t) count);
    for (unsigned long i = 0; i < count; i++)
        if (i % 2 == 0)
            add_workflow (&random, &out);
        else
            generate_value (&random, (unsigned) reel_random_below (&random, REEL_DEPTH_MAX), &out);
    REEL_ASSERT (!out.failed);
    bool written = fwrite (out.data, 1, out.len, stdout) == out.len && fflush (stdout) == 0;
    reel_buf_free (&out);
    return written ? EXIT_SUCCESS : EXIT_FAILURE;
}
