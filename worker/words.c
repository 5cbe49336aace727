/*
 * Lists of strings for exec.
 */
#include "worker/words.h"

#include <stdlib.h>
#include <string.h>

void
reel_words_end (struct reel_words *words)
{
    reel_buf_add_byte (&words->bytes, 0);
    words->count++;
}

void
reel_words_add (struct reel_words *words, const char *text)
{
    reel_buf_add_text (&words->bytes, text);
    reel_words_end (words);
}

char **
reel_words_array (const struct reel_words *words)
{
    if (reel_buf_status (&words->bytes) != REEL_OK)
        return NULL;
    char **array = calloc (words->count + 1, sizeof *array);
    if (array == NULL)
        return NULL;
    char *at = (char *) words->bytes.data;
    for (size_t i = 0; i < words->count; i++) {
        array[i] = at;
        at += strlen (at) + 1;
    }
    return array;
}

void
reel_words_free (struct reel_words *words)
{
    reel_buf_free (&words->bytes);
    words->count = 0;
}
