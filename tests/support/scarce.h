/*
 * Memory that runs out: in a test that includes this, the allocation number `failing` fails, counted from when `armed`
 * was set, and `outstanding` says how many of those made since have not been given back; `held_bytes` and `held_bytes_max`
 * say how much they take, now and at most (until the test sets them anew).
 *
 * The sanitizers and valgrind bring their own malloc; with them can_fail() is false and nothing ever fails.
 */
#ifndef REEL_TESTS_SUPPORT_SCARCE_H
#define REEL_TESTS_SUPPORT_SCARCE_H

#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CAN_FAIL 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CAN_FAIL 0
#endif
#endif
#ifndef CAN_FAIL
#define CAN_FAIL 1
#endif

static bool
can_fail (void)
{
    return CAN_FAIL && getenv ("REEL_VALGRIND") == NULL;
}

static bool armed;
/* A test need not look at all of them, and under a sanitizer nothing counts. */
static uint64_t allocations __attribute__ ((unused)); /* since armed */
static uint64_t failing __attribute__ ((unused));     /* the one that fails */
static int64_t outstanding __attribute__ ((unused));  /* of those made while armed */
static int64_t held_bytes __attribute__ ((unused)), held_bytes_max __attribute__ ((unused));

#if CAN_FAIL
extern void *__libc_malloc (size_t size);
extern void *__libc_calloc (size_t count, size_t size);
extern void *__libc_realloc (void *old, size_t size);
extern void __libc_free (void *old);

static bool
fails (void)
{
    return armed && ++allocations == failing;
}

/* Counts memory that was got, or is about to be given back. */
static void
hold (void *memory, int sign)
{
    if (!armed || memory == NULL)
        return;
    held_bytes += sign * (int64_t) malloc_usable_size (memory);
    if (held_bytes > held_bytes_max)
        held_bytes_max = held_bytes;
}

void *
malloc (size_t size)
{
    if (fails ())
        return NULL;
    outstanding += armed;
    void *memory = __libc_malloc (size);
    hold (memory, 1);
    return memory;
}

void *
calloc (size_t count, size_t size)
{
    if (fails ())
        return NULL;
    outstanding += armed;
    void *memory = __libc_calloc (count, size);
    hold (memory, 1);
    return memory;
}

void *
realloc (void *old, size_t size)
{
    if (fails ())
        return NULL;
    outstanding += armed && old == NULL;
    int64_t before = armed && old != NULL ? (int64_t) malloc_usable_size (old) : 0;
    void *memory = __libc_realloc (old, size);
    hold (memory, 1); /* with the old: it may have been copied */
    held_bytes -= memory != NULL ? before : 0;
    return memory;
}

void
free (void *old)
{
    outstanding -= armed && old != NULL;
    hold (old, -1);
    __libc_free (old);
}
#endif

#endif
