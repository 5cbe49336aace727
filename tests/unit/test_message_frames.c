/*
 * What comes in on the wire before it is a message: frames and events, whole, or refused with code, place and words.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proto/message.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/support/count.h"
#include "tests/support/document.h"
#include "tests/support/message_samples.h"
#include "tests/support/suite.h"

#define FRAMES_MOST 6

/* --- frames -------------------------------------------------------------------------------- */

/* A message of frames as text; "~" is an empty map, "~7" one with request_id 7, "~!" one with one that is no scalar. */
static enum reel_status
decode_frames (enum reel_channel channel, enum reel_command in_reply_to, const char *const *texts,
               struct reel_message *message, struct reel_error *err)
{
    struct reel_slice frames[FRAMES_MOST];
    size_t count = 0;
    for (; count < FRAMES_MOST && texts[count] != NULL; count++) {
        frames[count] = document_copy (reel_slice_text (texts[count]));
        if (strcmp (texts[count], "~") == 0)
            frames[count] = document ("{}");
        if (strcmp (texts[count], "~7") == 0)
            frames[count] = document ("{'x':1,'request_id':7}");
        if (strcmp (texts[count], "~!") == 0)
            frames[count] = document ("{'request_id':[7]}");
    }
    memset (message, 0xA5, sizeof *message);
    return reel_message_decode (channel, in_reply_to, frames, count, message, err);
}

static const struct {
    const char *frames[FRAMES_MOST];
    enum reel_channel channel;
    const char *code, *path, *message;
    bool request_id; /* is known all the same */
} frame_refusals[] = {
    {{NULL}, REEL_CLIENT_REQUEST, "malformed", "", "first frame must be REEL1", false},
    {{"", NULL}, REEL_CLIENT_REQUEST, "malformed", "", "first frame", false},
    {{"HTTP1", "PING", "~7", NULL}, REEL_CLIENT_REQUEST, "malformed", "", "first frame", true},
    {{"REE", "PING", "~7", NULL}, REEL_CLIENT_REQUEST, "malformed", "", "first frame", true},
    {{"reel1", "PING", "~7", NULL}, REEL_CLIENT_REQUEST, "malformed", "", "first frame", true},
    {{"REEL2", "PING", "~7", NULL}, REEL_CLIENT_REQUEST, "unsupported_version", "", "speaks REEL1, not REEL2", true},
    {{"REEL", "PING", "~7", NULL}, REEL_CLIENT_REQUEST, "unsupported_version", "", "not REEL", true},
    {{"REEL11", "PING", "~7", NULL}, REEL_CLIENT_REQUEST, "unsupported_version", "", "not REEL11", true},
    {{"REEL2", NULL}, REEL_CLIENT_REQUEST, "unsupported_version", "", "", false},
    {{"REEL2", "?", "not msgpack", NULL}, REEL_CLIENT_REQUEST, "unsupported_version", "", "", false},
    {{"REEL\xff\n%s", "PING", "~7", NULL}, REEL_CLIENT_REQUEST, "unsupported_version", "", "not REEL??%s", true},
    {{"REEL1", NULL}, REEL_CLIENT_REQUEST, "malformed", "", "1 frames", false},
    {{"REEL1", "PING", NULL}, REEL_CLIENT_REQUEST, "malformed", "", "2 frames", false},
    {{"REEL1", "PING", "~7", "document", NULL},
     REEL_CLIENT_REQUEST,
     "malformed",
     "",
     "4 frames, where PING has 3",
     true},
    {{"REEL1", "SUBMIT", "~7", NULL}, REEL_CLIENT_REQUEST, "malformed", "", "SUBMIT needs a document", true},
    {{"REEL1", "SUBMIT", "~7", "d", "e", NULL},
     REEL_CLIENT_REQUEST,
     "malformed",
     "",
     "5 frames, where SUBMIT has 4",
     true},
    {{"REEL1", "PING", "", NULL}, REEL_CLIENT_REQUEST, "malformed", "", "cut off", false},
    {{"REEL1", "PING", "\xdd\x10\x01\x01\x01", NULL}, REEL_CLIENT_REQUEST, "malformed", "", "cut off", false},
    {{"REEL1", "PING", "\x90", NULL}, REEL_CLIENT_REQUEST, "malformed", "", "must be a map", false},
    {{"REEL1", "PING", "\x81\x01\x02", NULL}, REEL_CLIENT_REQUEST, "malformed", "", "not a string", false},
    {{"REEL1", "PING", "\x81\xa1x\xa1\xff", NULL}, REEL_CLIENT_REQUEST, "malformed", "/x", "UTF-8", false},
    {{"REEL1", "PING", "~!", NULL}, REEL_CLIENT_REQUEST, "malformed", "/request_id", "scalar", false},
    {{"REEL1", "GET", "~7", NULL}, REEL_CLIENT_REQUEST, "malformed", "/workflow_id", "missing", true},
    {{"REEL1", "GET", "~!", NULL}, REEL_CLIENT_REQUEST, "malformed", "/request_id", "scalar", false},
    {{"REEL1", "", "~7", NULL}, REEL_CLIENT_REQUEST, "unknown_command", "", "", true},
    {{"REEL1", "ping", "~7", NULL}, REEL_CLIENT_REQUEST, "unknown_command", "", "ping", true},
    {{"REEL1", "PINGS", "~7", NULL}, REEL_CLIENT_REQUEST, "unknown_command", "", "PINGS", true},
    {{"REEL1", "PIN", "~7", NULL}, REEL_CLIENT_REQUEST, "unknown_command", "", "PIN", true},
    {{"REEL1", "\xff\x01 %n", "~7", NULL}, REEL_CLIENT_REQUEST, "unknown_command", "", "command ???%n", true},
    {{"REEL1", "0123456789012345678901234567890123456789", "~", NULL},
     REEL_CLIENT_REQUEST,
     "unknown_command",
     "",
     "command 01234567890123456789012345678901... here",
     false},
    /* each channel has its own */
    {{"REEL1", "READY", "~7", NULL}, REEL_CLIENT_REQUEST, "unknown_command", "", "READY", true},
    {{"REEL1", "OK", "~7", NULL}, REEL_CLIENT_REQUEST, "unknown_command", "", "OK", true},
    {{"REEL1", "PING", "~", NULL}, REEL_TO_BROKER, "unknown_command", "", "PING", false},
    {{"REEL1", "ACK", "~", NULL}, REEL_TO_BROKER, "unknown_command", "", "ACK", false},
    {{"REEL1", "READY", "~", NULL}, REEL_TO_WORKER, "unknown_command", "", "READY", false},
    {{"REEL1", "PING", "~7", NULL}, REEL_CLIENT_REPLY, "unknown_command", "", "PING", true},
    {{"REEL1", "step.started", "~", NULL}, REEL_TO_BROKER, "unknown_command", "", "", false},
};

START_TEST (frames_that_are_no_message)
{
    for (size_t i = 0; i < COUNT (frame_refusals); i++) {
        struct reel_message message;
        struct reel_error err = {0};
        enum reel_status status = decode_frames (frame_refusals[i].channel, NO_REQUEST, frame_refusals[i].frames,
                                                 &message, &err);
        ck_assert_int_eq (status, REEL_INVALID);
        ck_assert_msg (strcmp (err.code, frame_refusals[i].code) == 0 && strcmp (err.path, frame_refusals[i].path) == 0
                           && strstr (err.message, frame_refusals[i].message) != NULL,
                       "row %zu: %s at %s: %s", i, err.code, err.path, err.message);
        ck_assert (reel_scan_utf8 (reel_slice_text (err.message)));
        ck_assert_msg (reel_message_has (&message, REEL_F_REQUEST_ID) == frame_refusals[i].request_id, "row %zu", i);
        if (frame_refusals[i].request_id)
            ck_assert_str_eq (document_bytes (message.value[REEL_F_REQUEST_ID].s), "07");
        ck_assert_int_eq (message.command, REEL_COMMAND_COUNT);
        ck_assert (!message.has_document);
        ck_assert_int_eq (
            decode_frames (frame_refusals[i].channel, NO_REQUEST, frame_refusals[i].frames, &message, NULL),
            REEL_INVALID);
    }
}
END_TEST

START_TEST (the_lease_of_a_wrong_report_is_known)
{
    const struct reel_slice frames[] = {reel_slice_text ("REEL1"), reel_slice_text ("REPORT"),
                                        document ("{'report_index':'x','lease':[3,4]}"), document ("[]")};
    struct reel_message message;
    ck_assert_int_eq (reel_message_decode (REEL_TO_BROKER, NO_REQUEST, frames, 4, &message, NULL), REEL_INVALID);
    ck_assert (reel_message_has (&message, REEL_F_LEASE));
    ck_assert (reel_lease_equal (message.value[REEL_F_LEASE].lease, (struct reel_lease){3, 4}));
    ck_assert (!reel_message_has (&message, REEL_F_REPORT_INDEX));
}
END_TEST

/* A header of exactly that many bytes. */
static struct reel_slice
header_of_bytes (size_t len)
{
    struct reel_buf out = {0};
    uint8_t *filler = calloc (1, len);
    ck_assert_ptr_nonnull (filler);
    reel_pack_map (&out, 1);
    reel_pack_text (&out, "x");
    reel_pack_bin (&out, reel_slice (filler, len - 8));
    free (filler);
    ck_assert_uint_eq (out.len, len);
    struct reel_slice header = document_copy (reel_buf_slice (&out));
    reel_buf_free (&out);
    return header;
}

START_TEST (headers_are_bounded)
{
    struct reel_message message;
    struct reel_error err = {0};
    ck_assert_decoded (REEL_PING, header_of_bytes (REEL_HEADER_BYTES_MAX), &message);
    ck_assert_int_eq (decode (REEL_PING, header_of_bytes (REEL_HEADER_BYTES_MAX + 1), &message, &err), REEL_INVALID);
    ck_assert_str_eq (err.code, "malformed");
    ck_assert_msg (strstr (err.message, "1048577 bytes, at most 1048576") != NULL, "%s", err.message);
    ck_assert (!reel_message_has (&message, REEL_F_REQUEST_ID));
}
END_TEST

START_TEST (a_document_is_not_looked_into)
{
    const struct reel_slice frames[] = {reel_slice_text ("REEL1"), reel_slice_text ("SUBMIT"), document ("{}"),
                                        document_hex ("dd 10 00 00 00")};
    struct reel_message message;
    ck_assert_int_eq (reel_message_decode (REEL_CLIENT_REQUEST, NO_REQUEST, frames, 4, &message, NULL), REEL_OK);
    ck_assert_ptr_eq (message.document.data, frames[3].data);
    const struct reel_slice empty[] = {frames[0], frames[1], frames[2], REEL_SLICE_NONE};
    ck_assert_int_eq (reel_message_decode (REEL_CLIENT_REQUEST, NO_REQUEST, empty, 4, &message, NULL), REEL_OK);
    ck_assert (message.has_document && message.document.len == 0);
}
END_TEST

START_TEST (an_ok_is_read_as_the_answer_to_its_request)
{
    struct reel_message message;
    for (int request = REEL_SUBMIT; request <= REEL_BACKUP; request++)
        for (int answer = REEL_OK_SUBMIT; answer <= REEL_OK_BACKUP; answer++) {
            const struct reel_message_spec *spec = reel_message_spec ((enum reel_command) answer);
            const struct reel_slice frames[] = {reel_slice_text ("REEL1"), reel_slice_text ("OK"),
                                                whole_header ((enum reel_command) answer), document ("[]")};
            size_t count = spec->document == REEL_DOCUMENT_REQUIRED ? 4 : 3;
            enum reel_status status = reel_message_decode (REEL_CLIENT_REPLY, (enum reel_command) request, frames,
                                                           count, &message, NULL);
            if (answer - REEL_OK_SUBMIT == request - REEL_SUBMIT) {
                ck_assert_int_eq (status, REEL_OK);
                ck_assert_int_eq (message.command, answer);
            } else if (status == REEL_OK) {
                ck_assert_int_ne (message.command, answer);
            }
        }
    const char *const error[] = {"REEL1", "ERROR",
                                 "\x82\xa4"
                                 "code\xa1x\xa7"
                                 "message\xa1y",
                                 NULL};
    for (int request = REEL_SUBMIT; request <= REEL_COMMAND_COUNT; request++) {
        ck_assert_int_eq (decode_frames (REEL_CLIENT_REPLY, (enum reel_command) request, error, &message, NULL),
                          REEL_OK);
        ck_assert_int_eq (message.command, REEL_CLIENT_ERROR);
    }
}
END_TEST

/* --- events -------------------------------------------------------------------------------- */

static const struct {
    enum reel_channel channel;
    const char *json, *path, *message;
} event_refusals[] = {
    {REEL_REPORTED, "{}", "/3/kind", "kind is missing"},
    {REEL_REPORTED, "[]", "/3", "must be a map"},
    {REEL_REPORTED, "'step.started'", "/3", "must be a map"},
    {REEL_REPORTED, "null", "/3", "must be a map"},
    {REEL_REPORTED, "{'kind':7}", "/3/kind", "must be a string"},
    {REEL_REPORTED, "{'kind':null}", "/3/kind", "must be a string"},
    {REEL_REPORTED, "{'kind':'step.paused'}", "/3", "no event here is of kind step.paused"},
    {REEL_REPORTED, "{'kind':''}", "/3", "no event here"},
    {REEL_REPORTED, "{'kind':'step.started '}", "/3", "step.started?"},
    {REEL_REPORTED,
     "{'kind':'\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4'}",
     "/3", "????..."},
    {REEL_REPORTED, "{'kind':'workflow.accepted'}", "/3", "workflow.accepted"}, /* the broker's, not a worker's */
    {REEL_REPORTED, "{'kind':'workflow.succeeded'}", "/3", "workflow.succeeded"},
    {REEL_REPORTED, "{'kind':'beat'}", "/3", "beat"},
    {REEL_REPORTED, "{'kind':'workflow.ended'}", "/3/at_us", "missing"},
    {REEL_REPORTED, "{'at_us':1,'kind':'step.failed','error':'x'}", "/3/step_id", "missing"},
    /* what the broker alone gives */
    {REEL_REPORTED, "{'kind':'workflow.ended','at_us':1,'seq':1}", "/3/seq", "broker alone"},
    {REEL_REPORTED, "{'kind':'workflow.ended','at_us':1,'index':null}", "/3/index", "broker alone"},
    {REEL_REPORTED, "{'workflow_id':'w','kind':'workflow.ended','at_us':1}", "/3/workflow_id", "broker alone"},
    {REEL_PUBLISHED, "[]", "/3", "must be a map"},
    {REEL_PUBLISHED, "{}", "/3/seq", "missing"}, /* read as a beat */
    {REEL_PUBLISHED, "{'kind':7,'seq':1,'epoch':1,'at_us':1}", "/3/kind", "must be a string"},
    {REEL_PUBLISHED, "{'kind':'beat','seq':1,'epoch':1,'at_us':1}", "/3", "beat"},
    {REEL_PUBLISHED, "{'kind':'workflow.ended','at_us':1}", "/3", "workflow.ended"},
    {REEL_PUBLISHED, "{'kind':'step.started','index':1}", "/3/seq", "missing"},
};

START_TEST (maps_that_are_no_event)
{
    for (size_t i = 0; i < COUNT (event_refusals); i++) {
        struct reel_message message;
        struct reel_error err = {0};
        enum reel_status status = reel_message_decode_event (event_refusals[i].channel,
                                                             document (event_refusals[i].json), "/3", &message, &err);
        ck_assert_msg (status == REEL_INVALID, "row %zu", i);
        ck_assert_str_eq (err.code, "malformed");
        ck_assert_msg (strcmp (err.path, event_refusals[i].path) == 0
                           && strstr (err.message, event_refusals[i].message) != NULL,
                       "row %zu: at %s: %s", i, err.path, err.message);
        ck_assert (reel_scan_utf8 (reel_slice_text (err.message)));
    }
}
END_TEST

START_TEST (a_published_map_without_kind_is_a_beat)
{
    struct reel_message message;
    ck_assert_int_eq (
        reel_message_decode_event (REEL_PUBLISHED, document ("{'seq':1,'epoch':2,'at_us':3}"), "", &message, NULL),
        REEL_OK);
    ck_assert_int_eq (message.command, REEL_EVENT_BEAT);
    ck_assert_uint_eq (message.value[REEL_F_SEQ].u, 1);
    ck_assert_uint_eq (message.value[REEL_F_EPOCH].u, 2);
    ck_assert_uint_eq (message.value[REEL_F_AT_US].u, 3);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("message frames");
    TCase *tcase = tcase_create ("message frames");
    tcase_add_test (tcase, frames_that_are_no_message);
    tcase_add_test (tcase, the_lease_of_a_wrong_report_is_known);
    tcase_add_test (tcase, headers_are_bounded);
    tcase_add_test (tcase, a_document_is_not_looked_into);
    tcase_add_test (tcase, an_ok_is_read_as_the_answer_to_its_request);
    tcase_add_test (tcase, maps_that_are_no_event);
    tcase_add_test (tcase, a_published_map_without_kind_is_a_beat);
    suite_add_tcase (suite, tcase);
    return suite_run (suite);
}
