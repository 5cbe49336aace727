/*
 * A sample of each field and of each message of the wire's tables, and what becomes of a header when it is read.
 */
#ifndef REEL_TESTS_SUPPORT_MESSAGE_SAMPLES_H
#define REEL_TESTS_SUPPORT_MESSAGE_SAMPLES_H

#include <check.h>
#include <string.h>

#include "proto/message.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/support/count.h"
#include "tests/support/document.h"

#define NO_REQUEST REEL_COMMAND_COUNT

/* A value that a field of that type has, as JSON. */
static const char *const samples[] = {
    [REEL_T_SCALAR] = "'q-7'",     [REEL_T_TEXT] = "'text'",
    [REEL_T_ID] = "'An.id:1'",     [REEL_T_BIN] = "{'$bin':'AAECAwQFBgcICQoLDA0ODw=='}",
    [REEL_T_UINT] = "7",           [REEL_T_UINT_OR_NIL] = "8",
    [REEL_T_INT] = "-9",           [REEL_T_BOOL] = "true",
    [REEL_T_NUMBER] = "0.25",      [REEL_T_LEASE] = "[1777367406,{'$uint':'18446744073709551615'}]",
    [REEL_T_MAP] = "{'k':[1]}",    [REEL_T_ARRAY] = "[[1,2],'x']",
    [REEL_T_ANY] = "{'any':null}",
};

/* The sample of a field as msgpack; made once. */
static inline struct reel_slice
sample (enum reel_field field)
{
    static struct reel_buf made[COUNT (samples)];
    enum reel_field_type type = reel_field_spec (field)->type;
    if (made[type].len == 0)
        reel_buf_add_slice (&made[type], document (samples[type]));
    return reel_buf_slice (&made[type]);
}

static inline bool
is_event (const struct reel_message_spec *spec)
{
    return spec->channel == REEL_REPORTED || spec->channel == REEL_PUBLISHED;
}

static inline const char *
field_name (const struct reel_message_spec *spec, size_t use)
{
    return reel_field_spec (spec->fields[use].field)->name;
}

/* A header with every field of the message as its sample says, but `odd` (an index, or field_count) as `value`
 * says; NULL: without it. */
static inline struct reel_slice
header_with (enum reel_command command, size_t odd, const struct reel_slice *value)
{
    const struct reel_message_spec *spec = reel_message_spec (command);
    struct reel_buf out = {0};
    reel_pack_map (&out, (uint32_t) (spec->field_count - (odd < spec->field_count && value == NULL ? 1 : 0)));
    for (size_t i = 0; i < spec->field_count; i++) {
        if (i == odd && value == NULL)
            continue;
        reel_pack_text (&out, field_name (spec, i));
        if (i == odd)
            reel_buf_add_slice (&out, *value);
        else if (spec->fields[i].field == REEL_F_KIND)
            reel_pack_text (&out, spec->name);
        else
            reel_buf_add_slice (&out, sample (spec->fields[i].field));
    }
    struct reel_slice header = document_copy (reel_buf_slice (&out));
    reel_buf_free (&out);
    return header;
}

static inline struct reel_slice
whole_header (enum reel_command command)
{
    return header_with (command, reel_message_spec (command)->field_count, NULL);
}

/* --- decoding one message, whatever its channel --------------------------------------------- */

static inline enum reel_command
request_of (enum reel_command command)
{
    return command >= REEL_OK_SUBMIT && command <= REEL_OK_BACKUP
               ? (enum reel_command) (REEL_SUBMIT + (command - REEL_OK_SUBMIT))
               : NO_REQUEST;
}

static inline enum reel_status
decode (enum reel_command command, struct reel_slice header, struct reel_message *message, struct reel_error *err)
{
    const struct reel_message_spec *spec = reel_message_spec (command);
    memset (message, 0xA5, sizeof *message); /* what is not said to be there must not be looked at */
    if (is_event (spec)) {
        if (reel_scan_check (header, REEL_DEPTH_MAX, NULL) != REEL_OK)
            ck_abort_msg ("an event is decoded only after it was checked");
        return reel_message_decode_event (spec->channel, header, "/3", message, err);
    }
    static const uint8_t attached[] = {0x93, 1, 2, 3};
    const struct reel_slice frames[] = {reel_slice_text ("REEL1"), reel_slice_text (spec->name), header,
                                        reel_slice (attached, sizeof attached)};
    return reel_message_decode (spec->channel, request_of (command), frames,
                                spec->document == REEL_DOCUMENT_REQUIRED ? 4 : 3, message, err);
}

static inline void
ck_assert_decoded (enum reel_command command, struct reel_slice header, struct reel_message *message)
{
    struct reel_error err = {0};
    enum reel_status status = decode (command, header, message, &err);
    ck_assert_msg (status == REEL_OK, "%s: %s at %s", reel_message_spec (command)->name, err.message, err.path);
    ck_assert_int_eq (message->command, command);
}

#endif
