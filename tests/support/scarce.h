/*
 * Memory that runs out: in a test that includes this, the allocation number `failing` fails, counted from when `armed`
 * was set, and `outstanding` says how many of those made since have not been given back.
 *
 * The sanitizers and valgrind bring their own malloc; with them can_fail() is false and nothing ever fails.
 */
#ifndef REEL_TESTS_SUPPORT_SCARCE_H
#define REEL_TESTS_SUPPORT_SCARCE_H

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
static uint64_t allocations, failing; /* since armed; the one that fails */
static int64_t outstanding;           /* of those made while armed */

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

void *
malloc (size_t size)
{
    if (fails ())
        return NULL;
    outstanding += armed;
    return __libc_malloc (size);
}

void *
calloc (size_t count, size_t size)
{
    if (fails ())
        return NULL;
    outstanding += armed;
    return __libc_calloc (count, size);
}

void *
realloc (void *old, size_t size)
{
    if (fails ())
        return NULL;
    outstanding += armed && old == NULL;
    return __libc_realloc (old, size);
}

void
free (void *old)
{
    outstanding -= armed && old != NULL;
    __libc_free (old);
}
#endif

#endif
