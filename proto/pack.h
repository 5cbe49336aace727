/*
 * Writing msgpack: msgpack-c's packer onto a reel_buf. Appending never fails at the call;
 * ask reel_buf_status() at the end (base/bytes.h). Integers take their shortest form.
 */
#ifndef REEL_PROTO_PACK_H
#define REEL_PROTO_PACK_H

#include "base/bytes.h"
#include "proto/scan.h"

void reel_pack_nil (struct reel_buf *buf);
void reel_pack_bool (struct reel_buf *buf, bool value);
void reel_pack_uint (struct reel_buf *buf, uint64_t value);
void reel_pack_int (struct reel_buf *buf, int64_t value);
void reel_pack_f32_bits (struct reel_buf *buf, uint32_t bits);
void reel_pack_f64_bits (struct reel_buf *buf, uint64_t bits);
void reel_pack_f64 (struct reel_buf *buf, double value);
void reel_pack_str (struct reel_buf *buf, struct reel_slice text);
/* A NUL-terminated string as str; also used for keys. */
void reel_pack_text (struct reel_buf *buf, const char *text);
void reel_pack_bin (struct reel_buf *buf, struct reel_slice bytes);
void reel_pack_ext (struct reel_buf *buf, int8_t type, struct reel_slice body);
/* The head of a container; its members (for a map: key, value, key, value) follow. */
void reel_pack_array (struct reel_buf *buf, uint32_t count);
void reel_pack_map (struct reel_buf *buf, uint32_t pairs);
/* Bytes that are msgpack already; nil when there are none. */
void reel_pack_raw (struct reel_buf *buf, struct reel_slice value);
/* A time in microseconds, or nil when it is negative. */
void reel_pack_time (struct reel_buf *buf, int64_t at_us);
/* {"code", "message", "retryable"}: the form of every step and workflow error. */
void reel_pack_error (struct reel_buf *buf, const char *code, struct reel_slice message, bool retryable);

#endif
