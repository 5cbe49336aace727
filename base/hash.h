/*
 * Digests, fingerprints and random bytes: libsodium's, under the names that reel uses.
 */
#ifndef REEL_BASE_HASH_H
#define REEL_BASE_HASH_H

#include <stdint.h>

#include "base/bytes.h"

#define REEL_SHA256_BYTES 32
#define REEL_FINGERPRINT_KEY_BYTES 16
#define REEL_CHAIN_BYTES 32

/* SHA-256 (FIPS 180-4). */
void reel_hash_sha256 (struct reel_slice data, uint8_t out[REEL_SHA256_BYTES]);
/* The same as 64 lower-case hex digits and a NUL. */
void reel_hash_sha256_hex (struct reel_slice data, char out[2 * REEL_SHA256_BYTES + 1]);

/* SipHash-2-4 under a secret key: table positions that a stranger cannot aim at. */
uint64_t reel_hash_fingerprint (const uint8_t key[REEL_FINGERPRINT_KEY_BYTES], struct reel_slice data);

/* BLAKE2b-256 of `previous` followed by `data`: one link of a chain. `out` may be `previous`. */
void reel_hash_chain (const uint8_t previous[REEL_CHAIN_BYTES], struct reel_slice data, uint8_t out[REEL_CHAIN_BYTES]);

#endif
