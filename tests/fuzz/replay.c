/*
 * Runs a fuzz target over files, without a fuzzer: the corpus, in every test run and under
 * every compiler; and what a fuzzer found, under a debugger.
 *
 * usage: fuzz_TARGET FILE...
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

static int
replay (const char *path)
{
    FILE *file = fopen (path, "rb");
    if (file == NULL) {
        perror (path);
        return 1;
    }
    /* Exactly as large as the input, so that a read past it is seen. */
    uint8_t *data = NULL;
    int failed = 1;
    long len = -1;
    if (fseek (file, 0, SEEK_END) == 0)
        len = ftell (file);
    if (len >= 0 && fseek (file, 0, SEEK_SET) == 0) {
        data = malloc (len > 0 ? (size_t) len : 1);
        if (data != NULL && fread (data, 1, (size_t) len, file) == (size_t) len)
            failed = 0;
    }
    fclose (file);
    if (failed)
        fprintf (stderr, "%s: cannot be read\n", path);
    else
        (void) LLVMFuzzerTestOneInput (data, (size_t) len);
    free (data);
    return failed;
}

int
main (int argc, char **argv)
{
    int failed = argc < 2; /* a corpus that was not found is no success */
    for (int i = 1; i < argc; i++)
        failed |= replay (argv[i]);
    printf ("replayed %d inputs\n", argc - 1);
    return failed;
}
