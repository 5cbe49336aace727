/*
 * Which modality goes to which adapter on which worker: the rows of WORKERS, turned round.
 *
 * What workers say of themselves in READY is checked by nobody but for its size, so whatever
 * is not of the documented form counts as not said, and of one worker only so many modalities
 * are taken as it can serve.
 */
#ifndef REEL_CLIENT_INVENTORY_H
#define REEL_CLIENT_INVENTORY_H

#include "base/bytes.h"

struct reel_inventory_row {
    struct reel_slice modality;
    struct reel_slice worker;  /* its name, a mere label */
    uint32_t number;           /* its place in the broker's answer, from 1: tells workers of one name apart */
    struct reel_slice adapter; /* len 0: not said */
    struct reel_slice class;   /* "idempotent", "resumable", "neither"; len 0: not said */
    struct reel_slice limits;  /* a msgpack map; len 0: not said */
    uint64_t slots;            /* of the worker; 0: it takes no more work */
    uint64_t free;
};

struct reel_inventory {
    struct reel_inventory_row *rows; /* by modality, then name, then number */
    size_t count, cap;
    uint64_t left_out; /* rows past REEL_MODALITIES_MAX of one worker */
};

/* Reads the header of an OK to WORKERS, which the rows borrow, into an all-zero inventory; with a `modality` (none: len
 * 0) its rows only. REEL_NO_MEMORY. */
enum reel_status reel_inventory_read (struct reel_inventory *inventory, struct reel_slice header,
                                      struct reel_slice modality) REEL_MUST_USE;
void reel_inventory_free (struct reel_inventory *inventory);

/* Appends the row as a msgpack map; what was not said is nil. */
void reel_inventory_pack (const struct reel_inventory_row *row, struct reel_buf *out);
/* Appends the limits as people read them: timeout_ms=60000 max_attempts=3. Not yet safe to show. */
void reel_inventory_limits (const struct reel_inventory_row *row, struct reel_buf *out);

#endif
