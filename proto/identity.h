/*
 * Ids, modalities and the making of new ids.
 */
#ifndef REEL_PROTO_IDENTITY_H
#define REEL_PROTO_IDENTITY_H

#include "base/bytes.h"
#include "base/random.h"

#define REEL_UUID_BYTES 37 /* text, the final NUL included */

/* [A-Za-z0-9][A-Za-z0-9._:-]{0,127} */
bool reel_identity_id (struct reel_slice text);
/* [a-z0-9][a-z0-9._-]{0,63} */
bool reel_identity_modality (struct reel_slice text);
/* A UUIDv7 (RFC 9562, 5.7) of wall_us, its random bits from `random`. */
void reel_identity_uuid7 (int64_t wall_us, struct reel_random *random, char out[REEL_UUID_BYTES]);

#endif
