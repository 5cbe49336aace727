/*
 * A broken invariant ends the process, in release builds too.
 *
 * Never for bad input from a peer, a file or a user: that is answered (base/status.h).
 */
#ifndef REEL_BASE_ASSERT_H
#define REEL_BASE_ASSERT_H

#define REEL_ASSERT(expression) ((expression) ? (void) 0 : reel_assert_failed (#expression, __FILE__, __LINE__))

/* Prints where and what to standard error, and aborts. */
void reel_assert_failed (const char *expression, const char *file, int line) __attribute__ ((noreturn, cold));

#endif
