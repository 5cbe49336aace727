/*
 * Documents from files and standard input: JSON or msgpack, told apart by their first byte,
 * and JSON lines, where every line is a document of its own.
 *
 * A file is JSON lines when it is no JSON text as a whole but its first line is.
 */
#ifndef REEL_CLIENT_INPUT_H
#define REEL_CLIENT_INPUT_H

#include "base/bytes.h"

struct reel_input {
    char *label;              /* "FILE", or "FILE:LINE" of JSON lines */
    struct reel_buf document; /* msgpack; empty when status is not REEL_OK. Bytes of a msgpack file are not checked */
    enum reel_status status;  /* REEL_OK, or REEL_INVALID with err: it is no JSON, or none that msgpack can say */
    struct reel_error err;
};

struct reel_inputs {
    struct reel_input *list;
    size_t count;
    size_t cap;
};

/* Is this JSON rather than msgpack? (A document of msgpack begins with a byte past 0x7f.) */
bool reel_input_is_json (struct reel_slice bytes);

/* Reads a whole file into `bytes`; "-" is standard input. REEL_NOT_FOUND and REEL_IO (err->message says why),
 * REEL_NO_MEMORY. */
enum reel_status reel_input_read (const char *path, struct reel_buf *bytes, struct reel_error *err) REEL_MUST_USE;

/* Reads a file that holds one value into msgpack; `json` (NULL: of no interest) says what it was. The bytes of msgpack are
 * not checked. EX_OK, or the exit code, all being said. */
int reel_input_value (const char *path, struct reel_buf *value, bool *json) REEL_MUST_USE;

/* Adds the documents of a file. An empty file holds none, which is REEL_INVALID. A document that cannot be read is
 * added with its error; the others are not hurt by it. Failures as above. */
enum reel_status reel_inputs_add (struct reel_inputs *inputs, const char *path, struct reel_error *err) REEL_MUST_USE;
/* The same from bytes; `name` is what labels call them. */
enum reel_status reel_inputs_add_bytes (struct reel_inputs *inputs, const char *name, struct reel_slice bytes,
                                        struct reel_error *err) REEL_MUST_USE;
void reel_inputs_free (struct reel_inputs *inputs);

#endif
