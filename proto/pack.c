/*
 * msgpack-c's packer, writing into a reel_buf.
 */
#include "proto/pack.h"

#include <msgpack/pack.h>
#include <string.h>

static int
append (void *buf, const char *data, size_t len)
{
    reel_buf_add (buf, data, len);
    return 0; /* the buffer itself remembers a failure */
}

static msgpack_packer
packer (struct reel_buf *buf)
{
    msgpack_packer packer;
    msgpack_packer_init (&packer, buf, append);
    return packer;
}

void
reel_pack_nil (struct reel_buf *buf)
{
    msgpack_packer pk = packer (buf);
    msgpack_pack_nil (&pk);
}

void
reel_pack_bool (struct reel_buf *buf, bool value)
{
    msgpack_packer pk = packer (buf);
    if (value)
        msgpack_pack_true (&pk);
    else
        msgpack_pack_false (&pk);
}

void
reel_pack_uint (struct reel_buf *buf, uint64_t value)
{
    msgpack_packer pk = packer (buf);
    msgpack_pack_uint64 (&pk, value);
}

void
reel_pack_int (struct reel_buf *buf, int64_t value)
{
    msgpack_packer pk = packer (buf);
    msgpack_pack_int64 (&pk, value);
}

void
reel_pack_f32_bits (struct reel_buf *buf, uint32_t bits)
{
    /* By hand: a signalling NaN must not pass through a float register. */
    const uint8_t bytes[] = {0xca, (uint8_t) (bits >> 24), (uint8_t) (bits >> 16), (uint8_t) (bits >> 8),
                             (uint8_t) bits};
    reel_buf_add (buf, bytes, sizeof bytes);
}

void
reel_pack_f64_bits (struct reel_buf *buf, uint64_t bits)
{
    uint8_t bytes[9] = {0xcb};
    for (unsigned i = 0; i < 8; i++)
        bytes[1 + i] = (uint8_t) (bits >> (56 - 8 * i));
    reel_buf_add (buf, bytes, sizeof bytes);
}

void
reel_pack_f64 (struct reel_buf *buf, double value)
{
    uint64_t bits;
    memcpy (&bits, &value, sizeof bits);
    reel_pack_f64_bits (buf, bits);
}

void
reel_pack_str (struct reel_buf *buf, struct reel_slice text)
{
    msgpack_packer pk = packer (buf);
    msgpack_pack_str (&pk, text.len);
    reel_buf_add_slice (buf, text);
}

void
reel_pack_text (struct reel_buf *buf, const char *text)
{
    reel_pack_str (buf, reel_slice_text (text));
}

void
reel_pack_bin (struct reel_buf *buf, struct reel_slice bytes)
{
    msgpack_packer pk = packer (buf);
    msgpack_pack_bin (&pk, bytes.len);
    reel_buf_add_slice (buf, bytes);
}

void
reel_pack_ext (struct reel_buf *buf, int8_t type, struct reel_slice body)
{
    msgpack_packer pk = packer (buf);
    msgpack_pack_ext (&pk, body.len, type);
    reel_buf_add_slice (buf, body);
}

void
reel_pack_array (struct reel_buf *buf, uint32_t count)
{
    msgpack_packer pk = packer (buf);
    msgpack_pack_array (&pk, count);
}

void
reel_pack_map (struct reel_buf *buf, uint32_t pairs)
{
    msgpack_packer pk = packer (buf);
    msgpack_pack_map (&pk, pairs);
}

void
reel_pack_raw (struct reel_buf *buf, struct reel_slice value)
{
    if (value.len == 0)
        reel_pack_nil (buf);
    else
        reel_buf_add_slice (buf, value);
}

void
reel_pack_time (struct reel_buf *buf, int64_t at_us)
{
    if (at_us < 0)
        reel_pack_nil (buf);
    else
        reel_pack_uint (buf, (uint64_t) at_us);
}

void
reel_pack_error (struct reel_buf *buf, const char *code, struct reel_slice message, bool retryable)
{
    reel_pack_map (buf, 3);
    reel_pack_text (buf, "code");
    reel_pack_text (buf, code);
    reel_pack_text (buf, "message");
    reel_pack_str (buf, message);
    reel_pack_text (buf, "retryable");
    reel_pack_bool (buf, retryable);
}
