/*
 * How a function says that it failed.
 *
 * One enum of few codes, split by what the caller does next. Whoever finds a problem in
 * somebody's input also fills a struct reel_error: the text that reaches the person who
 * can act on it, unchanged, through every layer above.
 */
#ifndef REEL_BASE_STATUS_H
#define REEL_BASE_STATUS_H

#define REEL_MUST_USE __attribute__ ((warn_unused_result))

enum reel_status {
    REEL_OK = 0,
    REEL_INVALID,   /* the input is wrong: tell whoever sent it, keep nothing of it */
    REEL_NOT_FOUND, /* there is no such thing: an answer, not a fault */
    REEL_AGAIN,     /* not now, or a limit is reached: wait, or try later */
    REEL_NO_MEMORY, /* an allocation failed: everything is as it was before the call */
    REEL_IO         /* the system failed (disk, socket, process): give up cleanly */
};

/* Bytes, the final NUL included. */
#define REEL_ERROR_MESSAGE_BYTES 512
#define REEL_ERROR_PATH_BYTES 1024

struct reel_error {
    const char *code;                       /* a static string such as "bad_type"; NULL: none */
    char message[REEL_ERROR_MESSAGE_BYTES]; /* for a person: what, and what to do about it */
    char path[REEL_ERROR_PATH_BYTES];       /* RFC 6901 pointer into the input; "" is the whole */
};

/*
 * Fills err (which may be NULL) and returns status, so that a check is one return
 * statement. `code` must be a static string; `path` may be NULL for "". A message longer
 * than fits is cut at a character boundary, and what is no UTF-8 in it becomes '?'; a path that does not fit is cut to the nearest
 * enclosing value that does.
 */
enum reel_status reel_error_set (struct reel_error *err, enum reel_status status, const char *code, const char *path,
                                 const char *format, ...) __attribute__ ((format (printf, 5, 6)));

/* The code's name in lower case, for logs: "ok", "invalid", ... Static. */
const char *reel_status_name (enum reel_status status);

#endif
