/*
 * Where in a document its reader is, one member inside another. It costs nothing to keep, and is spelled
 * out as an RFC 6901 pointer only when there is something to refuse.
 */
#ifndef REEL_PROTO_PLACE_H
#define REEL_PROTO_PLACE_H

#include "base/bytes.h"

struct reel_place {
    const struct reel_place *outer; /* NULL: the document itself */
    const char *name;               /* NULL: an element, `index`; contains no ~ and no / */
    uint32_t index;
};

/* Fills err with REEL_INVALID at that place (NULL: the document) and returns it. `code` is a static string. */
enum reel_status reel_place_refuse (struct reel_error *err, const char *code, const struct reel_place *at,
                                    const char *format, ...) __attribute__ ((format (printf, 4, 5)));

#endif
