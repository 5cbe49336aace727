/*
 * Frames from anywhere on every channel, and events: what is accepted is written in one way only,
 * and that way is accepted as the same.
 *
 * An input is a channel (one byte) and frames: two bytes of length before each but the last, which
 * takes the rest. An event channel takes the rest as the event, without lengths. A reply is taken
 * for one to each of the requests.
 */
#include "proto/message.h"

#include "tests/fuzz/fuzz.h"

#define FRAMES_MAX 5

static size_t
split (struct reel_slice rest, struct reel_slice frames[FRAMES_MAX])
{
    size_t count = 0;
    while (count < FRAMES_MAX - 1 && rest.len >= 2) {
        size_t len = (size_t) rest.data[0] << 8 | rest.data[1];
        if (len > rest.len - 2)
            break;
        frames[count++] = reel_slice (rest.data + 2, len);
        rest = reel_slice (rest.data + 2 + len, rest.len - 2 - len);
    }
    if (rest.len > 0)
        frames[count++] = rest;
    return count;
}

static void
encode (const struct reel_message *message, struct reel_buf *out)
{
    reel_buf_clear (out);
    reel_message_encode (message, out);
    REEL_ASSERT (reel_buf_status (out) == REEL_OK);
    REEL_ASSERT (reel_scan_check (reel_buf_slice (out), REEL_DEPTH_MAX, NULL) == REEL_OK);
}

static void
check_message (enum reel_channel channel, enum reel_command in_reply_to, struct reel_slice rest)
{
    struct reel_slice frames[FRAMES_MAX];
    size_t count = split (rest, frames);
    struct reel_message message, back;
    struct reel_error err;
    enum reel_status status = reel_message_decode (channel, in_reply_to, frames, count, &message, &err);
    if (status != REEL_OK) {
        REEL_ASSERT (status == REEL_INVALID);
        fuzz_check_error (&err, " malformed unsupported_version unknown_command ");
        return;
    }
    const struct reel_message_spec *spec = reel_message_spec (message.command);
    REEL_ASSERT (spec->channel == channel);
    REEL_ASSERT (message.has_document == (spec->document == REEL_DOCUMENT_REQUIRED));
    struct reel_buf first = {0}, second = {0};
    encode (&message, &first);
    frames[2] = reel_buf_slice (&first);
    REEL_ASSERT (reel_message_decode (channel, in_reply_to, frames, count, &back, &err) == REEL_OK);
    REEL_ASSERT (back.command == message.command && back.has_document == message.has_document);
    REEL_ASSERT (memcmp (back.present, message.present, sizeof back.present) == 0);
    encode (&back, &second);
    REEL_ASSERT (reel_slice_equal (reel_buf_slice (&first), reel_buf_slice (&second)));
    reel_buf_free (&first);
    reel_buf_free (&second);
}

static void
check_event (enum reel_channel channel, struct reel_slice map)
{
    struct reel_message message, back;
    struct reel_error err;
    if (reel_scan_check (map, REEL_DEPTH_MAX, NULL) != REEL_OK)
        return;
    enum reel_status status = reel_message_decode_event (channel, map, "/3", &message, &err);
    if (status != REEL_OK) {
        REEL_ASSERT (status == REEL_INVALID);
        fuzz_check_error (&err, " malformed ");
        REEL_ASSERT (strncmp (err.path, "/3", 2) == 0 && (err.path[2] == '\0' || err.path[2] == '/'));
        return;
    }
    REEL_ASSERT (reel_message_spec (message.command)->channel == channel);
    struct reel_buf first = {0}, second = {0};
    encode (&message, &first);
    REEL_ASSERT (reel_message_decode_event (channel, reel_buf_slice (&first), "", &back, &err) == REEL_OK);
    REEL_ASSERT (back.command == message.command);
    encode (&back, &second);
    REEL_ASSERT (reel_slice_equal (reel_buf_slice (&first), reel_buf_slice (&second)));
    reel_buf_free (&first);
    reel_buf_free (&second);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    enum reel_channel channel = (enum reel_channel) (data[0] % REEL_CHANNEL_COUNT);
    struct reel_slice rest = reel_slice (data + 1, len - 1);
    if (channel == REEL_REPORTED || channel == REEL_PUBLISHED)
        check_event (channel, rest);
    else if (channel != REEL_CLIENT_REPLY)
        check_message (channel, REEL_COMMAND_COUNT, rest);
    else
        for (int request = 0; request < REEL_COMMAND_COUNT; request++)
            if (reel_message_spec ((enum reel_command) request)->channel == REEL_CLIENT_REQUEST)
                check_message (channel, (enum reel_command) request, rest);
    return 0;
}
