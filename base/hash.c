/*
 * libsodium's digests under reel's names.
 */
#include "base/hash.h"

#include <sodium.h>

#include "base/assert.h"

_Static_assert(REEL_SHA256_BYTES == crypto_hash_sha256_BYTES, "SHA-256");
_Static_assert(REEL_FINGERPRINT_KEY_BYTES == crypto_shorthash_siphash24_KEYBYTES, "SipHash key");
_Static_assert(sizeof (uint64_t) == crypto_shorthash_siphash24_BYTES, "SipHash");
_Static_assert(REEL_CHAIN_BYTES == crypto_generichash_blake2b_BYTES, "BLAKE2b");

void
reel_hash_sha256 (struct reel_slice data, uint8_t out[REEL_SHA256_BYTES])
{
    crypto_hash_sha256 (out, data.data, data.len);
}

void
reel_hash_sha256_hex (struct reel_slice data, char out[2 * REEL_SHA256_BYTES + 1])
{
    uint8_t digest[REEL_SHA256_BYTES];
    reel_hash_sha256 (data, digest);
    sodium_bin2hex (out, 2 * REEL_SHA256_BYTES + 1, digest, sizeof digest);
}

uint64_t
reel_hash_fingerprint (const uint8_t key[REEL_FINGERPRINT_KEY_BYTES], struct reel_slice data)
{
    uint8_t out[crypto_shorthash_siphash24_BYTES];
    crypto_shorthash_siphash24 (out, data.data, data.len, key);
    uint64_t fingerprint = 0;
    for (size_t i = sizeof out; i > 0; i--)
        fingerprint = fingerprint << 8 | out[i - 1];
    return fingerprint;
}

void
reel_hash_chain (const uint8_t previous[REEL_CHAIN_BYTES], struct reel_slice data, uint8_t out[REEL_CHAIN_BYTES])
{
    /* Idempotent and safe from any thread; it picks the fast BLAKE2b of this processor. */
    REEL_ASSERT (sodium_init () >= 0);
    crypto_generichash_blake2b_state state;
    REEL_ASSERT (crypto_generichash_blake2b_init (&state, NULL, 0, REEL_CHAIN_BYTES) == 0);
    REEL_ASSERT (crypto_generichash_blake2b_update (&state, previous, REEL_CHAIN_BYTES) == 0);
    REEL_ASSERT (crypto_generichash_blake2b_update (&state, data.data, data.len) == 0);
    REEL_ASSERT (crypto_generichash_blake2b_final (&state, out, REEL_CHAIN_BYTES) == 0);
}
