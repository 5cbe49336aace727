/*
 * Documents as a test writes them: JSON with ' in the place of ", or bytes in hexadecimal; and back.
 *
 * What is returned lies in memory of exactly its size, so that a sanitizer sees a read past its end. It is good
 * until DOCUMENTS_BYTES_KEPT more bytes were made.
 */
#ifndef REEL_TESTS_SUPPORT_DOCUMENT_H
#define REEL_TESTS_SUPPORT_DOCUMENT_H

#include "base/bytes.h"

#define DOCUMENTS_BYTES_KEPT ((size_t) 32 << 20)

/* The msgpack of a JSON text, which is correct: else the test fails. */
struct reel_slice document (const char *json);
/* The same of a text that is put together as by printf. */
struct reel_slice document_of (const char *format, ...) __attribute__ ((format (printf, 1, 2)));
/* "dd 10 00 00 00": digits in pairs, blanks between them as one likes. */
struct reel_slice document_hex (const char *hex);
/* A copy. */
struct reel_slice document_copy (struct reel_slice bytes);
/* The compact JSON of checked msgpack, with ' for ". */
const char *document_json (struct reel_slice msgpack);
/* Bytes as "dd 10 00 00 00", for comparing. */
const char *document_bytes (struct reel_slice bytes);

#endif
