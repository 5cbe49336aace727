/*
 * Known answers: what is on disk and on the wire depends on these digests for ever.
 */
#include "base/hash.h"
#include "tests/support/suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST (sha256_of_fips_180)
{
    static const struct {
        const char *text, *hex;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char hex[2 * REEL_SHA256_BYTES + 1];
        reel_hash_sha256_hex (reel_slice_text (cases[i].text), hex);
        ck_assert_str_eq (hex, cases[i].hex);
    }
    uint8_t digest[REEL_SHA256_BYTES];
    reel_hash_sha256 (REEL_SLICE_NONE, digest);
    ck_assert_mem_eq (digest, "\xe3\xb0\xc4\x42\x98\xfc\x1c\x14", 8);
}
END_TEST

START_TEST (sha256_of_a_million_letters)
{
    size_t len = 1000000;
    char *letters = malloc (len);
    ck_assert_ptr_nonnull (letters);
    memset (letters, 'a', len);
    char hex[2 * REEL_SHA256_BYTES + 1];
    reel_hash_sha256_hex (reel_slice (letters, len), hex);
    ck_assert_str_eq (hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free (letters);
}
END_TEST

/* The vectors of the SipHash paper's authors: key 00 01 .. 0f, data 00 01 .. of each length. */
START_TEST (fingerprint_is_siphash_2_4)
{
    static const uint64_t expected[] = {0x726fdb47dd0e0e31u, 0x74f839c593dc67fdu, 0x0d6c8009d9a94f5au,
                                        0x85676696d7fb7e2du, 0xcf2794e0277187b7u, 0x18765564cd99a68du,
                                        0xcbc9466e58fee3ceu, 0xab0200f58b01d137u, 0x93f5f5799a932462u};
    uint8_t key[REEL_FINGERPRINT_KEY_BYTES], data[16];
    for (uint8_t i = 0; i < 16; i++)
        key[i] = data[i] = i;
    ck_assert_uint_eq (reel_hash_fingerprint (key, REEL_SLICE_NONE), expected[0]);
    for (size_t len = 0; len < sizeof expected / sizeof expected[0]; len++)
        ck_assert_uint_eq (reel_hash_fingerprint (key, reel_slice (data, len)), expected[len]);
    ck_assert_uint_eq (reel_hash_fingerprint (key, reel_slice (data, 15)), 0xa129ca6149be45e5u);
}
END_TEST

static void
ck_assert_link (const uint8_t link[REEL_CHAIN_BYTES], const char *hex)
{
    for (size_t i = 0; i < REEL_CHAIN_BYTES; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        ck_assert_uint_eq (link[i], strtoul (digits, NULL, 16));
    }
}

/* Reckoned with another implementation of RFC 7693 (Python's hashlib). */
START_TEST (chain_is_blake2b_256_of_both)
{
    static const uint8_t zero[REEL_CHAIN_BYTES];
    uint8_t link[REEL_CHAIN_BYTES], data[200];
    reel_hash_chain (zero, REEL_SLICE_NONE, link);
    ck_assert_link (link, "89eb0d6a8a691dae2cd15ed0369931ce0a949ecafa5c3f93f8121833646e15c3");
    reel_hash_chain (zero, reel_slice_text ("abc"), link);
    ck_assert_link (link, "5db827e5e925e6b933a86596a0446c345c0d74d77f55a751ade5d7c7162eead8");
    for (uint8_t i = 0; i < 200; i++)
        data[i] = i;
    reel_hash_chain (link, reel_slice (data, 200), link);
    ck_assert_link (link, "fd5280c0fba51be3d49ba6f3314f5c41f34db7cd9ac5c13245460dc4c7bf58b5");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("hash");
    TCase *tcase = tcase_create ("hash");
    tcase_add_test (tcase, sha256_of_fips_180);
    tcase_add_test (tcase, sha256_of_a_million_letters);
    tcase_add_test (tcase, fingerprint_is_siphash_2_4);
    tcase_add_test (tcase, chain_is_blake2b_256_of_both);
    suite_add_tcase (suite, tcase);
    return suite_run (suite);
}
