/*
 * Lists of strings in the form that exec wants: argv and environ.
 */
#ifndef REEL_WORKER_WORDS_H
#define REEL_WORKER_WORDS_H

#include "base/bytes.h"

/* Strings one after the other, each with its NUL. All-zero is empty. */
struct reel_words {
    struct reel_buf bytes;
    size_t count;
};

/* Makes a word of what was appended to `bytes` since the last one; it contains no NUL. */
void reel_words_end (struct reel_words *words);
void reel_words_add (struct reel_words *words, const char *text);
/* A NULL-ended array that points into the words, to be freed before they change; NULL when memory was out. */
char **reel_words_array (const struct reel_words *words);
void reel_words_free (struct reel_words *words);

#endif
