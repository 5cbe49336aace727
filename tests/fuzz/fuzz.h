/*
 * What the fuzz targets share: the entry point that libFuzzer and replay.c call, and what must be
 * true of every refusal, whatever the input was. A property that does not hold aborts.
 */
#ifndef REEL_TESTS_FUZZ_FUZZ_H
#define REEL_TESTS_FUZZ_FUZZ_H

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "proto/scan.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t len);

/* Is `code` one of the words of `codes`, which stand between spaces? */
static inline bool
fuzz_is_word (const char *code, const char *codes)
{
    const char *at = code != NULL && code[0] != '\0' ? strstr (codes, code) : NULL;
    return at != NULL && at[-1] == ' ' && at[strlen (code)] == ' ';
}

/* A refusal has a known code and a message, and both its texts can go on the wire; a path is a pointer. */
static inline void
fuzz_check_error (const struct reel_error *err, const char *codes)
{
    REEL_ASSERT (fuzz_is_word (err->code, codes));
    REEL_ASSERT (err->message[0] != '\0');
    REEL_ASSERT (reel_scan_utf8 (reel_slice_text (err->message)));
    REEL_ASSERT (reel_scan_utf8 (reel_slice_text (err->path)));
    REEL_ASSERT (err->path[0] == '\0' || err->path[0] == '/');
}

#endif
