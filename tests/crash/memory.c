/*
 * Memory runs out: the nth allocation of a process (players.h), of those that are made by reel itself; the linker puts
 * the functions of this file before the C library's. What the libraries do that it stands on is not asked here: libzmq, for
 * one, ends the process on purpose. Whoever ends has given back everything.
 */
#include <errno.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/crash/players.h"

enum { MALLOC, CALLOC, REALLOC, STRDUP, STRNDUP, REALPATH, OPEN_MEMSTREAM, ASPRINTF, KIND_COUNT };
static const char *const kinds[KIND_COUNT] = {"malloc",  "calloc",   "realloc",        "strdup",
                                              "strndup", "realpath", "open_memstream", "asprintf"};

#define PATIENCE_S 5

static int64_t outstanding;
static sem_t all_back; /* posted whenever nothing is outstanding */

void *__real_malloc (size_t size);
void *__real_calloc (size_t count, size_t size);
void *__real_realloc (void *old, size_t size);
void __real_free (void *old);
char *__real_strdup (const char *text);
char *__real_strndup (const char *text, size_t len);
void *__wrap_malloc (size_t size);
void *__wrap_calloc (size_t count, size_t size);
void *__wrap_realloc (void *old, size_t size);
void __wrap_free (void *old);
char *__wrap_strdup (const char *text);
char *__wrap_strndup (const char *text, size_t len);
char *__real_realpath (const char *path, char *out);
FILE *__real_open_memstream (char **out, size_t *len);
char *__wrap_realpath (const char *path, char *out);
FILE *__wrap_open_memstream (char **out, size_t *len);
int __wrap_asprintf (char **out, const char *format, ...) __attribute__ ((format (printf, 2, 3)));
int __wrap___asprintf_chk (char **out, int flag, const char *format, ...) __attribute__ ((format (printf, 3, 4)));

static void *
count (void *memory)
{
    __atomic_add_fetch (&outstanding, memory != NULL, __ATOMIC_RELAXED);
    return memory;
}

void *
__wrap_malloc (size_t size)
{
    return players_fails (MALLOC) ? NULL : count (__real_malloc (size));
}

void *
__wrap_calloc (size_t number, size_t size)
{
    return players_fails (CALLOC) ? NULL : count (__real_calloc (number, size));
}

void *
__wrap_realloc (void *old, size_t size)
{
    if (players_fails (REALLOC))
        return NULL;
    return old == NULL ? count (__real_realloc (old, size)) : __real_realloc (old, size);
}

void
__wrap_free (void *old)
{
    if (old != NULL && __atomic_sub_fetch (&outstanding, 1, __ATOMIC_ACQ_REL) == 0)
        (void) sem_post (&all_back);
    __real_free (old);
}

char *
__wrap_strdup (const char *text)
{
    return players_fails (STRDUP) ? NULL : count (__real_strdup (text));
}

char *
__wrap_strndup (const char *text, size_t len)
{
    return players_fails (STRNDUP) ? NULL : count (__real_strndup (text, len));
}

static int
print (char **out, const char *format, va_list args)
{
    int len = players_fails (ASPRINTF) ? -1 : vasprintf (out, format, args);
    (void) count (len < 0 ? NULL : *out);
    return len;
}

int
__wrap_asprintf (char **out, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    int len = print (out, format, args);
    va_end (args);
    return len;
}

/* What asprintf() is called in an optimised build. */
int
__wrap___asprintf_chk (char **out, int flag, const char *format, ...)
{
    (void) flag;
    va_list args;
    va_start (args, format);
    int len = print (out, format, args);
    va_end (args);
    return len;
}

char *
__wrap_realpath (const char *path, char *out)
{
    if (out != NULL)
        return __real_realpath (path, out);
    return players_fails (REALPATH) ? NULL : count (__real_realpath (path, NULL));
}

FILE *
__wrap_open_memstream (char **out, size_t *len)
{
    FILE *file = players_fails (OPEN_MEMSTREAM) ? NULL : __real_open_memstream (out, len);
    (void) count (file); /* what is given back is what was written, when it is closed */
    return file;
}

/* A thread that ends at last may hold the rest for a moment. */
static const char *
amiss (void)
{
    static char text[64];
    int64_t left;
    struct timespec until;
    (void) clock_gettime (CLOCK_MONOTONIC, &until);
    until.tv_sec += PATIENCE_S;
    while ((left = __atomic_load_n (&outstanding, __ATOMIC_ACQUIRE)) != 0
           && (sem_clockwait (&all_back, CLOCK_MONOTONIC, &until) == 0 || errno == EINTR))
        continue;
    if (left == 0)
        return NULL;
    (void) snprintf (text, sizeof text, "%lld allocations were not given back", (long long) left);
    return text;
}

int
main (int argc, char **argv)
{
    if (sem_init (&all_back, 0, 0) != 0)
        return EXIT_FAILURE;
    const struct players_setup setup = {.what = "allocations",
                                        .kinds = kinds,
                                        .kind_count = KIND_COUNT,
                                        .who = (1u << PLAYERS_COUNT) - 1,
                                        .amiss = amiss};
    return players_main (argc, argv, &setup);
}
