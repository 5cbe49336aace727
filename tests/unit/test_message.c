/*
 * The messages of the wire. The tables are walked: every message with every field, each left out, mistyped, nil, and at
 * its bound; then what some types of fields have of their own.
 */
#include "proto/message.h"

#include <check.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/support/count.h"
#include "tests/support/document.h"
#include "tests/support/message_samples.h"

/* A test that does the same with each message of the tables; its body follows. */
#define EACH_MESSAGE(test)                                                                                             \
    static void test##_with (enum reel_command command);                                                               \
    START_TEST (test)                                                                                                  \
    {                                                                                                                  \
        for (int i = 0; i < REEL_COMMAND_COUNT; i++)                                                                   \
            test##_with ((enum reel_command) i);                                                                       \
    }                                                                                                                  \
    END_TEST                                                                                                           \
    static void test##_with (enum reel_command command)

enum { NIL, BOOL, UINT, INT, F32, F64, STR, BIN, EXT, ARRAY, MAP, TYPES };

static const char *const examples[TYPES] = {
    "null", "true", "5", "-5", "{'$f32':'3fc00000'}", "1.5", "'x'", "{'$bin':'AAE='}", "{'$ext':[1,'AA==']}",
    "[]",   "{}",
};

/* Which types a field's type takes; nil only where it is kept. */
static const unsigned takes[] = {
    [REEL_T_SCALAR] = 1u << NIL | 1u << BOOL | 1u << UINT | 1u << INT | 1u << F32 | 1u << F64 | 1u << STR | 1u << BIN,
    [REEL_T_TEXT] = 1u << STR,
    [REEL_T_ID] = 1u << STR,
    [REEL_T_BIN] = 0, /* the examples have not the length */
    [REEL_T_UINT] = 1u << UINT,
    [REEL_T_UINT_OR_NIL] = 1u << UINT | 1u << NIL,
    [REEL_T_INT] = 1u << UINT | 1u << INT,
    [REEL_T_BOOL] = 1u << BOOL,
    [REEL_T_NUMBER] = 1u << UINT | 1u << INT | 1u << F32 | 1u << F64,
    [REEL_T_LEASE] = 0,
    [REEL_T_MAP] = 1u << MAP,
    [REEL_T_ARRAY] = 1u << ARRAY,
    [REEL_T_ANY] = (1u << TYPES) - 1,
};

static void
ck_assert_malformed (enum reel_command command, struct reel_slice header, const char *field, const char *trouble)
{
    const struct reel_message_spec *spec = reel_message_spec (command);
    struct reel_message message;
    struct reel_error err = {0};
    char path[64];
    snprintf (path, sizeof path, "%s/%s", is_event (spec) ? "/3" : "", field);
    ck_assert_msg (decode (command, header, &message, &err) == REEL_INVALID, "%s: %s was taken", spec->name, field);
    ck_assert_str_eq (err.code, "malformed");
    ck_assert_str_eq (err.path, path);
    ck_assert_msg (strstr (err.message, field) != NULL && strstr (err.message, trouble) != NULL, "%s lacks %s",
                   err.message, trouble);
    ck_assert_int_eq (message.command, REEL_COMMAND_COUNT);
    ck_assert_int_eq (decode (command, header, &message, NULL), REEL_INVALID);
}

/* --- encode and decode --------------------------------------------------------------------- */

static void
set_sample (struct reel_message *message, enum reel_field field)
{
    enum reel_field_type type = reel_field_spec (field)->type;
    struct reel_value value;
    struct reel_slice raw = sample (field);
    ck_assert (reel_scan_value (raw, &value));
    switch (type) {
    case REEL_T_SCALAR:
    case REEL_T_MAP:
    case REEL_T_ARRAY:
    case REEL_T_ANY: reel_message_set (message, field, raw); break;
    case REEL_T_ID:
    case REEL_T_BIN: reel_message_set (message, field, value.bytes); break;
    case REEL_T_TEXT: reel_message_set_text (message, field, "text"); break;
    case REEL_T_UINT:
    case REEL_T_UINT_OR_NIL: reel_message_set_uint (message, field, value.u); break;
    case REEL_T_INT: reel_message_set_int (message, field, value.i); break;
    case REEL_T_BOOL: reel_message_set_bool (message, field, true); break;
    case REEL_T_NUMBER: reel_message_set_number (message, field, 0.25); break;
    case REEL_T_LEASE: reel_message_set_lease (message, field, (struct reel_lease){1777367406, UINT64_MAX}); break;
    }
}

/* Is the field's value the sample? */
static void
ck_assert_sample (const struct reel_message *message, enum reel_field field)
{
    const struct reel_field_spec *spec = reel_field_spec (field);
    const struct reel_field_value *value = &message->value[field];
    struct reel_slice raw = sample (field);
    struct reel_value read;
    ck_assert (reel_scan_value (raw, &read));
    ck_assert_msg (reel_message_has (message, field), "%s is not there", spec->name);
    switch (spec->type) {
    case REEL_T_SCALAR:
    case REEL_T_MAP:
    case REEL_T_ARRAY:
    case REEL_T_ANY: ck_assert (reel_slice_equal (value->s, raw)); break;
    case REEL_T_TEXT:
    case REEL_T_ID:
    case REEL_T_BIN: ck_assert (reel_slice_equal (value->s, read.bytes)); break;
    case REEL_T_UINT_OR_NIL: ck_assert (!value->nil); /* fall through */
    case REEL_T_UINT: ck_assert_uint_eq (value->u, read.u); break;
    case REEL_T_INT: ck_assert_int_eq (value->i, read.i); break;
    case REEL_T_BOOL: ck_assert (value->b); break;
    case REEL_T_NUMBER: ck_assert_double_eq (value->f, 0.25); break;
    case REEL_T_LEASE: ck_assert (reel_lease_equal (value->lease, (struct reel_lease){1777367406, UINT64_MAX})); break;
    }
}

/* Encodes the message with its required fields and those optional ones that `optional` has a bit for. */
static struct reel_slice
encode (enum reel_command command, unsigned optional)
{
    const struct reel_message_spec *spec = reel_message_spec (command);
    struct reel_message message;
    struct reel_buf out = {0};
    reel_message_init (&message, command);
    for (size_t i = 0; i < spec->field_count; i++)
        if (spec->fields[i].field != REEL_F_KIND && (spec->fields[i].required || (optional >> i & 1) != 0))
            set_sample (&message, spec->fields[i].field);
    reel_message_encode (&message, &out);
    ck_assert_int_eq (reel_buf_status (&out), REEL_OK);
    struct reel_slice header = document_copy (reel_buf_slice (&out));
    reel_buf_free (&out);
    return header;
}

static void
ck_assert_round_trip (enum reel_command command, unsigned optional)
{
    const struct reel_message_spec *spec = reel_message_spec (command);
    struct reel_message message;
    ck_assert_decoded (command, encode (command, optional), &message);
    uint64_t present[COUNT (message.present)] = {0};
    for (size_t i = 0; i < spec->field_count; i++) {
        enum reel_field field = spec->fields[i].field;
        if (!spec->fields[i].required && (optional >> i & 1) == 0)
            continue;
        present[field / 64] |= UINT64_C (1) << field % 64;
        if (field == REEL_F_KIND)
            ck_assert (reel_slice_is (message.value[field].s, spec->name));
        else
            ck_assert_sample (&message, field);
    }
    ck_assert_int_eq (memcmp (message.present, present, sizeof present), 0);
    ck_assert_int_eq (message.has_document, spec->document == REEL_DOCUMENT_REQUIRED);
    if (message.has_document)
        ck_assert_str_eq (document_bytes (message.document), "93 01 02 03");
}

EACH_MESSAGE (every_message_comes_back_as_it_was)
{
    const struct reel_message_spec *spec = reel_message_spec (command);
    ck_assert_uint_lt (spec->field_count, 16);
    ck_assert_round_trip (command, 0);
    ck_assert_round_trip (command, UINT_MAX);
    for (size_t i = 0; i < spec->field_count; i++) {
        ck_assert_round_trip (command, 1u << i);
        ck_assert_round_trip (command, ~(1u << i));
    }
}

EACH_MESSAGE (fields_are_written_in_the_order_of_the_table)
{
    ck_assert_str_eq (document_bytes (encode (command, UINT_MAX)), document_bytes (whole_header (command)));
}

EACH_MESSAGE (fields_are_read_in_any_order)
{
    const struct reel_message_spec *spec = reel_message_spec (command);
    struct reel_message message;
    struct reel_buf out = {0};
    reel_pack_map (&out, (uint32_t) spec->field_count);
    for (size_t i = spec->field_count; i-- > 0;) {
        enum reel_field field = spec->fields[i].field;
        reel_pack_text (&out, field_name (spec, i));
        if (field == REEL_F_KIND)
            reel_pack_text (&out, spec->name);
        else
            reel_buf_add_slice (&out, sample (field));
    }
    ck_assert_decoded (command, document_copy (reel_buf_slice (&out)), &message);
    for (size_t i = 0; i < spec->field_count; i++)
        if (spec->fields[i].field != REEL_F_KIND)
            ck_assert_sample (&message, spec->fields[i].field);
    reel_buf_free (&out);
}

/* --- each field ---------------------------------------------------------------------------- */

/* `kind` says which message it is: its troubles are others. */
static bool
is_plain (const struct reel_message_spec *spec, size_t use)
{
    return spec->fields[use].field != REEL_F_KIND;
}

EACH_MESSAGE (each_field_may_be_missing_or_not)
{
    const struct reel_message_spec *spec = reel_message_spec (command);
    struct reel_message message;
    for (size_t i = 0; i < spec->field_count; i++) {
        struct reel_slice header = header_with (command, i, NULL);
        if (!is_plain (spec, i))
            continue;
        if (spec->fields[i].required) {
            ck_assert_malformed (command, header, field_name (spec, i), "is missing");
        } else {
            ck_assert_decoded (command, header, &message);
            ck_assert (!reel_message_has (&message, spec->fields[i].field));
        }
    }
}

EACH_MESSAGE (each_field_with_each_type)
{
    const struct reel_message_spec *spec = reel_message_spec (command);
    struct reel_message message;
    for (size_t i = 0; i < spec->field_count; i++)
        for (unsigned type = 0; is_plain (spec, i) && type < TYPES; type++) {
            enum reel_field field = spec->fields[i].field;
            struct reel_slice value = document (examples[type]);
            struct reel_slice header = header_with (command, i, &value);
            if ((takes[reel_field_spec (field)->type] >> type & 1) != 0) {
                ck_assert_decoded (command, header, &message);
                ck_assert (reel_message_has (&message, field));
            } else if (type != NIL) {
                ck_assert_malformed (command, header, field_name (spec, i), "must be");
            } else if (spec->fields[i].required) {
                ck_assert_malformed (command, header, field_name (spec, i), "is missing");
            } else {
                ck_assert_decoded (command, header, &message);
                ck_assert (!reel_message_has (&message, field));
            }
        }
}

/* Appends a value of that field of the size `max`, plus `over`; false when such a one is beyond what a test holds. */
static bool
add_at_bound (struct reel_buf *out, const struct reel_field_spec *spec, unsigned over)
{
    static char characters[4096];
    memset (characters, 'x', sizeof characters);
    switch (spec->type) {
    case REEL_T_SCALAR: reel_pack_bin (out, reel_slice (characters, spec->max - 2 + over)); return true;
    case REEL_T_TEXT: reel_pack_str (out, reel_slice (characters, spec->max + over)); return true;
    case REEL_T_ID: reel_pack_str (out, reel_slice (characters, REEL_ID_BYTES_MAX + over)); return true;
    case REEL_T_BIN: reel_pack_bin (out, reel_slice (characters, spec->max + over)); return true;
    case REEL_T_UINT:
    case REEL_T_UINT_OR_NIL: reel_pack_uint (out, spec->max + over); return true;
    case REEL_T_INT: reel_pack_uint (out, (uint64_t) INT64_MAX + over); return true;
    case REEL_T_ARRAY:
        if (spec->max > REEL_LEASES_MAX)
            return false;
        reel_pack_array (out, (uint32_t) spec->max + over);
        for (uint64_t i = 0; i < spec->max + over; i++)
            reel_pack_nil (out);
        return true;
    default: return false;
    }
}

EACH_MESSAGE (each_field_at_its_bound)
{
    const struct reel_message_spec *spec = reel_message_spec (command);
    struct reel_message message;
    for (size_t i = 0; i < spec->field_count; i++) {
        struct reel_buf value = {0};
        const struct reel_field_spec *field = reel_field_spec (spec->fields[i].field);
        if (is_plain (spec, i) && add_at_bound (&value, field, 0)) {
            struct reel_slice bytes = reel_buf_slice (&value);
            ck_assert_decoded (command, header_with (command, i, &bytes), &message);
            reel_buf_clear (&value);
            ck_assert (add_at_bound (&value, field, 1));
            bytes = reel_buf_slice (&value);
            ck_assert_malformed (command, header_with (command, i, &bytes), field->name, "must be");
        }
        reel_buf_free (&value);
    }
}

EACH_MESSAGE (unknown_keys_are_passed_over)
{
    const struct reel_message_spec *spec = reel_message_spec (command);
    struct reel_message message;
    struct reel_slice header = whole_header (command);
    struct reel_buf out = {0};
    reel_pack_map (&out, (uint32_t) spec->field_count + 4);
    reel_pack_text (&out, "no_such_field");
    reel_buf_add_slice (&out, document ("{'deep':[{'er':1}]}"));
    reel_pack_text (&out, "");
    reel_pack_nil (&out);
    reel_buf_add (&out, header.data + 1, header.len - 1);
    reel_pack_text (&out, "Lease");
    reel_pack_nil (&out);
    reel_pack_text (&out, "bin");
    reel_pack_bin (&out, reel_slice_text ("\xff"));
    ck_assert_decoded (command, document_copy (reel_buf_slice (&out)), &message);
    for (size_t i = 0; i < spec->field_count; i++)
        if (is_plain (spec, i))
            ck_assert_sample (&message, spec->fields[i].field);
    reel_buf_free (&out);
}

EACH_MESSAGE (every_truncation_and_corruption_is_answered)
{
    struct reel_slice header = whole_header (command), hurt = document_copy (header);
    uint8_t *bytes = (uint8_t *) (uintptr_t) hurt.data;
    struct reel_message message;
    struct reel_error err;
    bool event = is_event (reel_message_spec (command));
    static const uint8_t heads[] = {0,    0x7f, 0x80, 0x81, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1,
                                    0xc4, 0xc7, 0xca, 0xcf, 0xd4, 0xd9, 0xdb, 0xdd, 0xdf, 0xe0, 0xff};
    for (size_t len = 0; !event && len < header.len; len++)
        ck_assert_int_eq (decode (command, document_copy (reel_slice (header.data, len)), &message, &err),
                          REEL_INVALID);
    for (size_t at = 0; at < header.len; at++) {
        for (unsigned n = 0; n < 8 + COUNT (heads); n++) {
            uint8_t byte = n < 8 ? (uint8_t) (header.data[at] ^ 1u << n) : heads[n - 8];
            bytes[at] = byte;
            if (event && reel_scan_check (hurt, REEL_DEPTH_MAX, NULL) != REEL_OK)
                continue;
            if (decode (command, hurt, &message, &err) == REEL_OK)
                continue;
            if (strcmp (err.code, "malformed") != 0 || !reel_scan_utf8 (reel_slice_text (err.message)))
                ck_abort_msg ("%02x at %zu: %s, %s", byte, at, err.code, err.message);
        }
        bytes[at] = header.data[at];
    }
}

/* --- numbers, leases ----------------------------------------------------------------------- */

START_TEST (numbers_are_read_from_any_type)
{
    static const struct {
        const char *json;
        double value;
    } cases[] = {{"0", 0},
                 {"1", 1},
                 {"-3", -3},
                 {"0.5", 0.5},
                 {"{'$f32':'3f000000'}", 0.5},
                 {"{'$uint':'18446744073709551615'}", 18446744073709551616.0}};
    struct reel_message message;
    for (size_t i = 0; i < COUNT (cases); i++) {
        ck_assert_decoded (
            REEL_REPORTED_PROGRESS,
            document_of ("{'kind':'step.progress','at_us':1,'step_id':'a','fraction':%s}", cases[i].json), &message);
        ck_assert_double_eq (message.value[REEL_F_FRACTION].f, cases[i].value);
    }
}
END_TEST

START_TEST (signed_integers_at_their_ends)
{
    struct reel_message message;
    ck_assert_decoded (REEL_SUBMIT, document ("{'priority':-9223372036854775808}"), &message);
    ck_assert_int_eq (message.value[REEL_F_PRIORITY].i, INT64_MIN);
    ck_assert_decoded (REEL_SUBMIT, document ("{'priority':9223372036854775807}"), &message);
    ck_assert_int_eq (message.value[REEL_F_PRIORITY].i, INT64_MAX);
}
END_TEST

START_TEST (a_report_of_progress_has_no_index)
{
    struct reel_message message;
    struct reel_buf out = {0};
    ck_assert_decoded (REEL_REPORT, document ("{'lease':[1,2],'report_index':null}"), &message);
    ck_assert (reel_message_has (&message, REEL_F_REPORT_INDEX));
    ck_assert (message.value[REEL_F_REPORT_INDEX].nil);
    reel_message_init (&message, REEL_REPORT);
    reel_message_set_lease (&message, REEL_F_LEASE, (struct reel_lease){1, 2});
    reel_message_set_nil (&message, REEL_F_REPORT_INDEX);
    reel_message_encode (&message, &out);
    ck_assert_str_eq (document_json (reel_buf_slice (&out)), "{'lease':[1,2],'report_index':null}");
    reel_buf_free (&out);
}
END_TEST

START_TEST (a_scalar_or_any_that_is_nil_is_kept)
{
    struct reel_message message;
    ck_assert_decoded (REEL_PING, document ("{'request_id':null}"), &message);
    ck_assert (reel_message_has (&message, REEL_F_REQUEST_ID));
    ck_assert_str_eq (document_bytes (message.value[REEL_F_REQUEST_ID].s), "c0");
    ck_assert_decoded (REEL_REPORTED_CHECKPOINT,
                       document ("{'kind':'step.checkpoint','at_us':1,'step_id':'a','checkpoint':null}"), &message);
    ck_assert_str_eq (document_bytes (message.value[REEL_F_CHECKPOINT].s), "c0");
}
END_TEST

START_TEST (an_instance_is_sixteen_bytes)
{
    static const struct {
        const char *json;
        bool taken;
    } cases[] = {
        {"{'$bin':'AAECAwQFBgcICQoLDA0ODw=='}", true},
        {"'0123456789abcdef'", true},
        {"'0123456789abcde'", false},
        {"'0123456789abcdefg'", false},
        {"{'$bin':''}", false},
        {"{'$ext':[1,'AAECAwQFBgcICQoLDA0ODw==']}", false},
    };
    for (size_t i = 0; i < COUNT (cases); i++) {
        struct reel_message message;
        struct reel_slice header = document_of ("{'name':'w','slots':1,'modalities':[],'instance':%s}", cases[i].json);
        if (cases[i].taken)
            ck_assert_decoded (REEL_READY, header, &message);
        else
            ck_assert_malformed (REEL_READY, header, "instance", "16 bytes");
    }
}
END_TEST

START_TEST (leases_are_two_integers)
{
    static const char *const none[] = {"[]",      "[1]",     "[1,2,3]", "[-1,2]", "[1,-2]",   "['1',2]", "[1,'2']",
                                       "[1,2.0]", "{'1':2}", "[[1,2]]", "null",   "[null,1]", "1",       "'x'"};
    struct reel_lease lease = {7, 8};
    for (size_t i = 0; i < COUNT (none); i++)
        ck_assert_msg (!reel_lease_read (document (none[i]), &lease), "%s", none[i]);
    ck_assert (!reel_lease_read (REEL_SLICE_NONE, &lease));
    ck_assert (reel_lease_equal (lease, (struct reel_lease){7, 8}));
    ck_assert (reel_lease_read (document ("[1,2]"), &lease));
    ck_assert (reel_lease_equal (lease, (struct reel_lease){1, 2}));
    ck_assert (!reel_lease_equal (lease, (struct reel_lease){1, 3}));
    ck_assert (!reel_lease_equal (lease, (struct reel_lease){2, 2}));
    struct reel_buf out = {0};
    reel_lease_pack (&out, (struct reel_lease){UINT64_MAX, 0});
    ck_assert_str_eq (document_bytes (reel_buf_slice (&out)), "92 cf ff ff ff ff ff ff ff ff 00");
    reel_buf_free (&out);
}
END_TEST

/* --- the tables ---------------------------------------------------------------------------- */

START_TEST (names_say_which_message_it_is)
{
    for (int i = 0; i < REEL_COMMAND_COUNT; i++) {
        const struct reel_message_spec *spec = reel_message_spec ((enum reel_command) i);
        ck_assert_int_eq (spec->command, i);
        for (int other = 0; other < i; other++) {
            const struct reel_message_spec *before = reel_message_spec ((enum reel_command) other);
            bool both_ok = request_of (spec->command) != NO_REQUEST && request_of (before->command) != NO_REQUEST;
            ck_assert (both_ok || spec->channel != before->channel || strcmp (spec->name, before->name) != 0);
        }
    }
    for (int i = 0; i < REEL_FIELD_COUNT; i++)
        for (int other = 0; other < i; other++)
            ck_assert_str_ne (reel_field_spec ((enum reel_field) i)->name,
                              reel_field_spec ((enum reel_field) other)->name);
}
END_TEST

EACH_MESSAGE (a_message_names_a_field_once)
{
    const struct reel_message_spec *spec = reel_message_spec (command);
    for (size_t i = 0; i < spec->field_count; i++)
        for (size_t other = 0; other < i; other++)
            ck_assert_int_ne (spec->fields[i].field, spec->fields[other].field);
}

/* --- broken invariants --------------------------------------------------------------------- */

START_TEST (leaving_out_a_required_field_is_a_broken_invariant)
{
    struct reel_message message;
    struct reel_buf out = {0};
    reel_message_init (&message, REEL_GET);
    reel_message_encode (&message, &out);
}
END_TEST

START_TEST (setting_a_field_of_another_message_is_a_broken_invariant)
{
    struct reel_message message;
    struct reel_buf out = {0};
    reel_message_init (&message, REEL_PING);
    reel_message_set_uint (&message, REEL_F_SLOTS, 1);
    reel_message_encode (&message, &out);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("message");
    TCase *each = tcase_create ("each message");
    tcase_add_test (each, every_message_comes_back_as_it_was);
    tcase_add_test (each, fields_are_written_in_the_order_of_the_table);
    tcase_add_test (each, fields_are_read_in_any_order);
    tcase_add_test (each, each_field_may_be_missing_or_not);
    tcase_add_test (each, each_field_with_each_type);
    tcase_add_test (each, each_field_at_its_bound);
    tcase_add_test (each, unknown_keys_are_passed_over);
    tcase_add_test (each, every_truncation_and_corruption_is_answered);
    tcase_add_test (each, a_message_names_a_field_once);
    suite_add_tcase (suite, each);
    TCase *tcase = tcase_create ("message");
    tcase_add_test (tcase, numbers_are_read_from_any_type);
    tcase_add_test (tcase, signed_integers_at_their_ends);
    tcase_add_test (tcase, a_report_of_progress_has_no_index);
    tcase_add_test (tcase, a_scalar_or_any_that_is_nil_is_kept);
    tcase_add_test (tcase, an_instance_is_sixteen_bytes);
    tcase_add_test (tcase, leases_are_two_integers);
    tcase_add_test (tcase, names_say_which_message_it_is);
    suite_add_tcase (suite, tcase);
    SRunner *runner = srunner_create (suite);
    if (srunner_fork_status (runner) == CK_FORK) {
        TCase *broken = tcase_create ("broken invariants");
        tcase_add_test_raise_signal (broken, leaving_out_a_required_field_is_a_broken_invariant, SIGABRT);
        tcase_add_test_raise_signal (broken, setting_a_field_of_another_message_is_a_broken_invariant, SIGABRT);
        suite_add_tcase (suite, broken);
    }
    srunner_run_all (runner, CK_NORMAL);
    int failed = srunner_ntests_failed (runner);
    srunner_free (runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
