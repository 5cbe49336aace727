/*
 * msgpack to JSON and back: every type both ways in tables, what is refused and where, the limits. That nothing is
 * lost over many generated documents is for test_roundtrip.c to show.
 */
#include "proto/json.h"

#include <check.h>
#include <jansson.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/support/count.h"
#include "tests/support/suite.h"

/* A literal with NULs in it, without its last. */
#define BYTES(literal)                                                                                                 \
    {                                                                                                                  \
        (const uint8_t *) (literal), sizeof (literal) - 1                                                              \
    }

static void
ck_assert_slice_eq (struct reel_slice got, struct reel_slice expected)
{
    ck_assert_uint_eq (got.len, expected.len);
    ck_assert (reel_slice_equal (got, expected));
}

static void
ck_assert_written (struct reel_slice msgpack, unsigned flags, struct reel_slice json)
{
    struct reel_buf out = {0};
    ck_assert_int_eq (reel_scan_check (msgpack, REEL_DEPTH_MAX, NULL), REEL_OK);
    ck_assert_int_eq (reel_json_write (msgpack, flags, &out), REEL_OK);
    ck_assert_msg (reel_slice_equal (reel_buf_slice (&out), json), "wrote %.*s instead of %.*s",
                   REEL_TEXT (reel_buf_slice (&out)), REEL_TEXT (json));
    reel_buf_free (&out);
}

static void
ck_assert_read (struct reel_slice json, struct reel_slice msgpack)
{
    struct reel_buf out = {0};
    struct reel_error err = {.message = "none"};
    enum reel_status status = reel_json_read (json, &out, &err);
    ck_assert_msg (status == REEL_OK, "%.*s: %s", REEL_TEXT (json), err.message);
    ck_assert_slice_eq (reel_buf_slice (&out), msgpack);
    reel_buf_free (&out);
}

struct both_ways {
    struct reel_slice msgpack, json;
};

static const struct both_ways both_ways[] = {
    {BYTES ("\xc0"), BYTES ("null")},
    {BYTES ("\xc2"), BYTES ("false")},
    {BYTES ("\xc3"), BYTES ("true")},
    /* integers, at the borders of every width */
    {BYTES ("\x00"), BYTES ("0")},
    {BYTES ("\x7f"), BYTES ("127")},
    {BYTES ("\xcc\x80"), BYTES ("128")},
    {BYTES ("\xcd\x01\x00"), BYTES ("256")},
    {BYTES ("\xce\x00\x01\x00\x00"), BYTES ("65536")},
    {BYTES ("\xcf\x00\x00\x00\x01\x00\x00\x00\x00"), BYTES ("4294967296")},
    {BYTES ("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"), BYTES ("9223372036854775807")},
    {BYTES ("\xcf\x80\x00\x00\x00\x00\x00\x00\x00"), BYTES ("{\"$uint\":\"9223372036854775808\"}")},
    {BYTES ("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), BYTES ("{\"$uint\":\"18446744073709551615\"}")},
    {BYTES ("\xff"), BYTES ("-1")},
    {BYTES ("\xe0"), BYTES ("-32")},
    {BYTES ("\xd0\xdf"), BYTES ("-33")},
    {BYTES ("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), BYTES ("-9223372036854775808")},
    /* doubles: the shortest text, never that of an integer */
    {BYTES ("\xcb\x00\x00\x00\x00\x00\x00\x00\x00"), BYTES ("0.0")},
    {BYTES ("\xcb\x80\x00\x00\x00\x00\x00\x00\x00"), BYTES ("-0.0")},
    {BYTES ("\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"), BYTES ("1.0")},
    {BYTES ("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a"), BYTES ("0.1")},
    {BYTES ("\xcb\x3f\xd3\x33\x33\x33\x33\x33\x34"), BYTES ("0.30000000000000004")},
    {BYTES ("\xcb\x43\x40\x00\x00\x00\x00\x00\x00"), BYTES ("9007199254740992.0")},
    {BYTES ("\xcb\x43\xe0\x00\x00\x00\x00\x00\x00"), BYTES ("9.223372036854776e+18")},
    {BYTES ("\xcb\x7f\xef\xff\xff\xff\xff\xff\xff"), BYTES ("1.7976931348623157e+308")},
    {BYTES ("\xcb\x00\x00\x00\x00\x00\x00\x00\x01"), BYTES ("4.94065645841247e-324")},
    {BYTES ("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"), BYTES ("{\"$f64\":\"7ff0000000000000\"}")},
    {BYTES ("\xcb\xff\xf0\x00\x00\x00\x00\x00\x00"), BYTES ("{\"$f64\":\"fff0000000000000\"}")},
    {BYTES ("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"), BYTES ("{\"$f64\":\"7ff8000000000000\"}")},
    {BYTES ("\xcb\xff\xf0\x00\x00\x00\x00\xde\xad"), BYTES ("{\"$f64\":\"fff000000000dead\"}")},
    /* floats of 32 bits */
    {BYTES ("\xca\x3d\xcc\xcc\xcd"), BYTES ("{\"$f32\":\"3dcccccd\"}")},
    {BYTES ("\xca\x80\x00\x00\x00"), BYTES ("{\"$f32\":\"80000000\"}")},
    {BYTES ("\xca\x7f\x80\x00\x01"), BYTES ("{\"$f32\":\"7f800001\"}")},
    /* strings */
    {BYTES ("\xa0"), BYTES ("\"\"")},
    {BYTES ("\xa3"
            "a\0b"),
     BYTES ("\"a\\u0000b\"")},
    {BYTES ("\xa9\"\\/\b\f\n\r\t\x1f"), BYTES ("\"\\\"\\\\/\\b\\f\\n\\r\\t\\u001f\"")},
    {BYTES ("\xac\x7f\xC3\xA4\xE2\x82\xAC\xF0\x9F\x8E\xAC\x7e\x20"),
     BYTES ("\"\x7f\xC3\xA4\xE2\x82\xAC\xF0\x9F\x8E\xAC~ \"")},
    /* bin */
    {BYTES ("\xc4\x00"), BYTES ("{\"$bin\":\"\"}")},
    {BYTES ("\xc4\x01"
            "f"),
     BYTES ("{\"$bin\":\"Zg==\"}")},
    {BYTES ("\xc4\x02"
            "fo"),
     BYTES ("{\"$bin\":\"Zm8=\"}")},
    {BYTES ("\xc4\x03"
            "foo"),
     BYTES ("{\"$bin\":\"Zm9v\"}")},
    {BYTES ("\xc4\x06"
            "foobar"),
     BYTES ("{\"$bin\":\"Zm9vYmFy\"}")},
    {BYTES ("\xc4\x04\xff\xef\xbe\x00"), BYTES ("{\"$bin\":\"/+++AA==\"}")},
    /* ext, timestamps included */
    {BYTES ("\xc7\x00\x05"), BYTES ("{\"$ext\":[5,\"\"]}")},
    {BYTES ("\xd6\xff\x00\x00\x00\x01"), BYTES ("{\"$ext\":[-1,\"AAAAAQ==\"]}")},
    {BYTES ("\xd4\x80\x01"), BYTES ("{\"$ext\":[-128,\"AQ==\"]}")},
    {BYTES ("\xd4\x7f\x01"), BYTES ("{\"$ext\":[127,\"AQ==\"]}")},
    /* containers: order is kept */
    {BYTES ("\x90"), BYTES ("[]")},
    {BYTES ("\x80"), BYTES ("{}")},
    {BYTES ("\x93\x01\x90\x80"), BYTES ("[1,[],{}]")},
    {BYTES ("\x83\xa1z\x01\xa1"
            "a\x02\xa0\x03"),
     BYTES ("{\"z\":1,\"a\":2,\"\":3}")},
    {BYTES ("\x81\xa1\n\xc0"), BYTES ("{\"\\n\":null}")},
    /* maps that look like forms, and those that do not quite */
    {BYTES ("\x81\xa4$bin\x01"), BYTES ("{\"$$bin\":1}")},
    {BYTES ("\x81\xa5$$ext\x01"), BYTES ("{\"$$$ext\":1}")},
    {BYTES ("\x81\xa5$uint\xa1"
            "5"),
     BYTES ("{\"$$uint\":\"5\"}")},
    {BYTES ("\x81\xa4$f32\xc4\x00"), BYTES ("{\"$$f32\":{\"$bin\":\"\"}}")},
    {BYTES ("\x81\xa6$$$f64\x80"), BYTES ("{\"$$$$f64\":{}}")},
    {BYTES ("\x82\xa4$bin\x01\xa4$ext\x02"), BYTES ("{\"$bin\":1,\"$ext\":2}")},
    {BYTES ("\x81\xa4$ref\x01"), BYTES ("{\"$ref\":1}")},
    {BYTES ("\x81\xa5$$ref\x01"), BYTES ("{\"$$ref\":1}")},
    {BYTES ("\x81\xa1$\x01"), BYTES ("{\"$\":1}")},
    {BYTES ("\x81\xa3"
            "bin\x01"),
     BYTES ("{\"bin\":1}")},
    {BYTES ("\x81\xa5$bin \x01"), BYTES ("{\"$bin \":1}")},
};

START_TEST (every_type_both_ways)
{
    ck_assert_written (both_ways[_i].msgpack, REEL_JSON_COMPACT, both_ways[_i].json);
    ck_assert_read (both_ways[_i].json, both_ways[_i].msgpack);
    struct reel_buf pretty = {0};
    ck_assert_int_eq (reel_json_write (both_ways[_i].msgpack, REEL_JSON_PRETTY, &pretty), REEL_OK);
    ck_assert_read (reel_buf_slice (&pretty), both_ways[_i].msgpack);
    reel_buf_free (&pretty);
}
END_TEST

/* What only one of the two directions meets. */
START_TEST (other_spellings)
{
    static const struct both_ways read_only[] = {
        {BYTES ("\x01"), BYTES (" \t\r\n1\n ")},
        {BYTES ("\x00"), BYTES ("-0")},
        {BYTES ("\xcb\x80\x00\x00\x00\x00\x00\x00\x00"), BYTES ("-0e0")},
        {BYTES ("\xcb\x40\x59\x00\x00\x00\x00\x00\x00"), BYTES ("1E2")},
        {BYTES ("\xcb\x00\x00\x00\x00\x00\x00\x00\x00"), BYTES ("1e-999")},
        {BYTES ("\xa8/\xE2\x82\xAC\xF0\x9F\x8E\xAC"), BYTES ("\"\\/\\u20ac\\uD83C\\uDFAC\"")},
        {BYTES ("\x05"), BYTES ("{\"$uint\":\"5\"}")},
        {BYTES ("\x05"), BYTES ("{\"$uint\":\"005\"}")},
        {BYTES ("\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"), BYTES ("{\"$f64\":\"3ff0000000000000\"}")},
        {BYTES ("\x81\xa4$bin\x01"), BYTES ("{\"\\u0024$bin\":1}")},
        {BYTES ("\xc4\x00"), BYTES ("{\"\\u0024bin\":\"\"}")},
    };
    for (size_t i = 0; i < COUNT (read_only); i++)
        ck_assert_read (read_only[i].json, read_only[i].msgpack);
    /* The width an integer was written in is not a value. */
    static const struct both_ways write_only[] = {
        {BYTES ("\xcf\x00\x00\x00\x00\x00\x00\x00\x05"), BYTES ("5")},
        {BYTES ("\xd3\xff\xff\xff\xff\xff\xff\xff\xff"), BYTES ("-1")},
        {BYTES ("\xd3\x00\x00\x00\x00\x00\x00\x00\x05"), BYTES ("5")},
        {BYTES ("\xdb\x00\x00\x00\x01x"), BYTES ("\"x\"")},
        {BYTES ("\xdd\x00\x00\x00\x01\xc0"), BYTES ("[null]")},
        {BYTES ("\xdf\x00\x00\x00\x01\xda\x00\x04$bin\xc0"), BYTES ("{\"$$bin\":null}")},
    };
    for (size_t i = 0; i < COUNT (write_only); i++)
        ck_assert_written (write_only[i].msgpack, REEL_JSON_COMPACT, write_only[i].json);
}
END_TEST

START_TEST (pretty_is_indented_by_two)
{
    static const struct both_ways document = {BYTES ("\x84\xa1"
                                                     "a\x92\x01\x81\xa1"
                                                     "b\xc0\xa1"
                                                     "c\x90\xa1"
                                                     "d\x80\xa1"
                                                     "e\xd4\x05\x01"),
                                              BYTES ("{\n"
                                                     "  \"a\": [\n"
                                                     "    1,\n"
                                                     "    {\n"
                                                     "      \"b\": null\n"
                                                     "    }\n"
                                                     "  ],\n"
                                                     "  \"c\": [],\n"
                                                     "  \"d\": {},\n"
                                                     "  \"e\": {\"$ext\": [5, \"AQ==\"]}\n"
                                                     "}")};
    ck_assert_written (document.msgpack, REEL_JSON_PRETTY, document.json);
    ck_assert_read (document.json, document.msgpack);
}
END_TEST

START_TEST (both_append)
{
    struct reel_buf out = {0};
    reel_buf_add_text (&out, "x");
    ck_assert_int_eq (reel_json_write (reel_slice_text ("\x91\x01"), REEL_JSON_COMPACT, &out), REEL_OK);
    ck_assert_int_eq (reel_json_read (reel_slice_text ("[1]"), &out, NULL), REEL_OK);
    ck_assert_slice_eq (reel_buf_slice (&out), reel_slice_text ("x[1]\x91\x01"));
    ck_assert_int_eq (reel_json_read (reel_slice_text ("[1,2,{\"$bin\":3}]"), &out, NULL), REEL_INVALID);
    ck_assert_int_eq (reel_json_read (reel_slice_text ("[1,2"), &out, NULL), REEL_INVALID);
    ck_assert_slice_eq (reel_buf_slice (&out), reel_slice_text ("x[1]\x91\x01"));
    reel_buf_free (&out);
}
END_TEST

struct refusal {
    struct reel_slice json;
    const char *code, *path, *message; /* a part of it */
};

static const struct refusal refusals[] = {
    /* no JSON */
    {BYTES (""), "malformed", "", "line 1, column 0"},
    {BYTES (" "), "malformed", "", "line 1"},
    {BYTES ("{\n\"a\": 1,\n  x}"), "malformed", "", "line 3, column 3"},
    {BYTES ("[1,]"), "malformed", "", "line 1, column 4"},
    {BYTES ("[1"), "malformed", "", "line 1"},
    {BYTES ("1 2"), "malformed", "", "line 1"},
    {BYTES ("{\"a\" 1}"), "malformed", "", "line 1"},
    {BYTES ("{1:2}"), "malformed", "", "line 1"},
    {BYTES ("'a'"), "malformed", "", "line 1"},
    {BYTES ("nul"), "malformed", "", "line 1"},
    {BYTES ("NaN"), "malformed", "", "line 1"},
    {BYTES ("01"), "malformed", "", "line 1"},
    {BYTES ("+1"), "malformed", "", "line 1"},
    {BYTES ("1."), "malformed", "", "line 1"},
    {BYTES (".5"), "malformed", "", "line 1"},
    {BYTES ("0x10"), "malformed", "", "line 1"},
    {BYTES ("\"a"), "malformed", "", "line 1"},
    {BYTES ("\"\t\""), "malformed", "", "line 1"},
    {BYTES ("\"\\x41\""), "malformed", "", "line 1"},
    {BYTES ("\"\\ud83c\""), "malformed", "", "line 1"},
    {BYTES ("\"\\udfac\""), "malformed", "", "line 1"},
    {BYTES ("\"\x80\""), "malformed", "", "line 1"},
    {BYTES ("\"\xC0\x80\""), "malformed", "", "line 1"},
    {BYTES ("\"\xED\xA0\x80\""), "malformed", "", "line 1"},
    {BYTES ("\"\xF4\x90\x80\x80\""), "malformed", "", "line 1"},
    {BYTES ("\"a\0b\""), "malformed", "", "line 1"},
    {BYTES ("1\0"), "malformed", "", "line 1, column 2"},
    {BYTES ("[1,\n 2\0,3]"), "malformed", "", "line 2, column 3"},
    {BYTES ("\0"), "malformed", "", "line 1, column 1"},
    {BYTES ("\xEF\xBB\xBF"
            "1"),
     "malformed", "", "line 1"},
    {BYTES ("/**/1"), "malformed", "", "line 1"},
    /* keys: the place is the map */
    {BYTES ("{\"a\":1,\"a\":2}"), "bad_type", "", "twice"},
    {BYTES ("{\"a\":1,\"\\u0061\":2}"), "bad_type", "", "twice"},
    {BYTES ("{\"a\":[0,{\"x\":[1,2],\"y\":{},\"x\":2}]}"), "bad_type", "/a/1", "twice"},
    {BYTES ("{\"s\":\"[{,:\\\"\",\"a/~\\n\":{\"k\":1,\"k\":2}}"), "bad_type", "/a~1~0\n", "twice"},
    {BYTES ("{\"a\\u0000b\":1}"), "bad_type", "", "NUL"},
    {BYTES ("[{},{\"ok\":{\"\\u0000\":1}}]"), "bad_type", "/1/ok", "NUL"},
    /* numbers that neither side holds */
    {BYTES ("9223372036854775808"), "bad_type", "", "out of range"},
    {BYTES ("-9223372036854775809"), "bad_type", "", "out of range"},
    {BYTES ("[1,18446744073709551616,3]"), "bad_type", "/1", "out of range"},
    {BYTES ("{\"x\":[1e400]}"), "bad_type", "/x/0", "out of range"},
    {BYTES ("{\"x\":{\"y\":-1e400 }}"), "bad_type", "/x/y", "out of range"},
    /* forms */
    {BYTES ("{\"$bin\":1}"), "bad_type", "", "$$bin"},
    {BYTES ("{\"$bin\":null}"), "bad_type", "", "$$bin"},
    {BYTES ("[0,{\"a\":{\"$bin\":\"Zg=\"}}]"), "bad_type", "/1/a", "$$bin"},
    {BYTES ("{\"$bin\":\"Zg\"}"), "bad_type", "", "$$bin"},
    {BYTES ("{\"$bin\":\"Zh==\"}"), "bad_type", "", "$$bin"},
    {BYTES ("{\"$bin\":\"Zm9=\"}"), "bad_type", "", "$$bin"},
    {BYTES ("{\"$bin\":\"Z===\"}"), "bad_type", "", "$$bin"},
    {BYTES ("{\"$bin\":\"====\"}"), "bad_type", "", "$$bin"},
    {BYTES ("{\"$bin\":\"Zg==Zg==\"}"), "bad_type", "", "$$bin"},
    {BYTES ("{\"$bin\":\"Zm9_\"}"), "bad_type", "", "$$bin"},
    {BYTES ("{\"$bin\":\"Zm9v\\n\"}"), "bad_type", "", "$$bin"},
    {BYTES ("{\"$bin\":\"Zm\\u00009\"}"), "bad_type", "", "$$bin"},
    {BYTES ("{\"$ext\":\"AQ==\"}"), "bad_type", "", "$$ext"},
    {BYTES ("{\"$ext\":[1]}"), "bad_type", "", "$$ext"},
    {BYTES ("{\"$ext\":[]}"), "bad_type", "", "$$ext"},
    {BYTES ("{\"$ext\":[1,\"\",2]}"), "bad_type", "", "$$ext"},
    {BYTES ("{\"$ext\":[\"\",1]}"), "bad_type", "", "$$ext"},
    {BYTES ("{\"$ext\":[1.0,\"\"]}"), "bad_type", "", "$$ext"},
    {BYTES ("{\"$ext\":[128,\"\"]}"), "bad_type", "", "$$ext"},
    {BYTES ("{\"$ext\":[-129,\"\"]}"), "bad_type", "", "$$ext"},
    {BYTES ("{\"$ext\":[1,\"A\"]}"), "bad_type", "", "$$ext"},
    {BYTES ("{\"$uint\":5}"), "bad_type", "", "$$uint"},
    {BYTES ("{\"$uint\":\"\"}"), "bad_type", "", "$$uint"},
    {BYTES ("{\"$uint\":\"-1\"}"), "bad_type", "", "$$uint"},
    {BYTES ("{\"$uint\":\"1 \"}"), "bad_type", "", "$$uint"},
    {BYTES ("{\"$uint\":\"18446744073709551616\"}"), "bad_type", "", "$$uint"},
    {BYTES ("{\"$uint\":\"99999999999999999999999\"}"), "bad_type", "", "$$uint"},
    {BYTES ("{\"$f32\":\"3dccccc\"}"), "bad_type", "", "$$f32"},
    {BYTES ("{\"$f32\":\"3dcccccdd\"}"), "bad_type", "", "$$f32"},
    {BYTES ("{\"$f32\":\"3DCCCCCD\"}"), "bad_type", "", "$$f32"},
    {BYTES ("{\"$f32\":0.5}"), "bad_type", "", "$$f32"},
    {BYTES ("{\"$f64\":\"3ff000000000000\"}"), "bad_type", "", "$$f64"},
    {BYTES ("{\"$f64\":\"3ff00000000000000\"}"), "bad_type", "", "$$f64"},
    {BYTES ("{\"$f64\":\"3ff000000000000g\"}"), "bad_type", "", "$$f64"},
    {BYTES ("{\"$$bin\":{\"$bin\":0}}"), "bad_type", "/$$bin", "$$bin"},
};

START_TEST (refuses)
{
    const struct refusal *refusal = &refusals[_i];
    struct reel_buf out = {0};
    struct reel_error err = {0};
    ck_assert_int_eq (reel_json_read (refusal->json, &out, &err), REEL_INVALID);
    ck_assert_str_eq (err.code, refusal->code);
    ck_assert_str_eq (err.path, refusal->path);
    ck_assert_msg (strstr (err.message, refusal->message) != NULL, "%s", err.message);
    ck_assert_uint_eq (out.len, 0);
    ck_assert (!out.failed);
    ck_assert_int_eq (reel_json_read (refusal->json, &out, NULL), REEL_INVALID);
    reel_buf_free (&out);
}
END_TEST

/* `count` times `open`, then `inner`, then `count` times `close`. */
static void
nest (struct reel_buf *out, size_t count, const char *open, const char *inner, const char *close)
{
    reel_buf_clear (out);
    for (size_t i = 0; i < count; i++)
        reel_buf_add_text (out, open);
    reel_buf_add_text (out, inner);
    for (size_t i = 0; i < count; i++)
        reel_buf_add_text (out, close);
    ck_assert_int_eq (reel_buf_status (out), REEL_OK);
}

START_TEST (depth_is_that_of_the_document)
{
    static const struct {
        const char *open, *inner, *close;
        size_t inner_depth;
    } cases[] = {
        {"[", "", "]", 0},
        {"[", "[]", "]", 1},
        {"[", "{\"$ext\":[1,\"\"]}", "]", 0},
        {"{\"a\":", "{\"$bin\":\"\"}", "}", 0},
        {"{\"a\":", "{}", "}", 1},
        {"{\"$$bin\":", "1", "}", 0},
    };
    struct reel_buf json = {0}, msgpack = {0}, back = {0};
    struct reel_error err;
    for (size_t i = 0; i < COUNT (cases); i++) {
        size_t most = REEL_DEPTH_MAX - cases[i].inner_depth;
        nest (&json, most, cases[i].open, cases[i].inner, cases[i].close);
        reel_buf_clear (&msgpack);
        reel_buf_clear (&back);
        ck_assert_int_eq (reel_json_read (reel_buf_slice (&json), &msgpack, NULL), REEL_OK);
        ck_assert_int_eq (reel_scan_check (reel_buf_slice (&msgpack), REEL_DEPTH_MAX, NULL), REEL_OK);
        ck_assert_int_eq (reel_json_write (reel_buf_slice (&msgpack), REEL_JSON_COMPACT, &back), REEL_OK);
        ck_assert_slice_eq (reel_buf_slice (&back), reel_buf_slice (&json));

        nest (&json, most + 1, cases[i].open, cases[i].inner, cases[i].close);
        ck_assert_int_eq (reel_json_read (reel_buf_slice (&json), &msgpack, &err), REEL_INVALID);
        ck_assert_str_eq (err.code, "limit_exceeded");
        ck_assert_int_eq (err.path[0], '/');
    }
    reel_buf_free (&json);
    reel_buf_free (&msgpack);
    reel_buf_free (&back);
}
END_TEST

START_TEST (hostile_depth_is_refused)
{
    static const char *const opens[] = {"[", "{\"a\":", "[{\"\":", "[[],"};
    struct reel_buf json = {0}, msgpack = {0};
    for (size_t i = 0; i < COUNT (opens); i++) {
        struct reel_error err;
        nest (&json, 300000, opens[i], "", ""); /* more than any stack holds */
        ck_assert_int_eq (reel_json_read (reel_buf_slice (&json), &msgpack, &err), REEL_INVALID);
        ck_assert_str_eq (err.code, "limit_exceeded");
        ck_assert_int_eq (err.path[0], '/');
    }
    reel_buf_free (&json);
    reel_buf_free (&msgpack);
}
END_TEST

START_TEST (keys_of_a_map)
{
    struct reel_buf json = {0}, msgpack = {0};
    struct reel_error err;
    for (unsigned count = REEL_MAP_KEYS_MAX; count <= REEL_MAP_KEYS_MAX + 1; count++) {
        reel_buf_clear (&json);
        for (unsigned i = 0; i < count; i++)
            reel_buf_printf (&json, "%s\"%u\":%u", i == 0 ? "[{" : ",", i, i);
        reel_buf_add_text (&json, "}]");
        enum reel_status status = reel_json_read (reel_buf_slice (&json), &msgpack, &err);
        ck_assert_int_eq (status, count == REEL_MAP_KEYS_MAX ? REEL_OK : REEL_INVALID);
        if (status == REEL_OK)
            ck_assert_int_eq (reel_scan_check (reel_buf_slice (&msgpack), REEL_DEPTH_MAX, NULL), REEL_OK);
    }
    ck_assert_str_eq (err.code, "limit_exceeded");
    ck_assert_str_eq (err.path, "/0");
    reel_buf_free (&json);
    reel_buf_free (&msgpack);
}
END_TEST

START_TEST (size_of_a_text)
{
    size_t most = 4 * (size_t) REEL_DOCUMENT_BYTES_MAX;
    char *text = malloc (most + 1);
    ck_assert_ptr_nonnull (text);
    memset (text, 'x', most + 1);
    text[0] = text[most - 1] = '"';
    text[most] = ' ';
    struct reel_buf msgpack = {0};
    struct reel_error err;
    ck_assert_int_eq (reel_json_read (reel_slice (text, most), &msgpack, NULL), REEL_OK);
    ck_assert_uint_eq (msgpack.len, most - 2 + 5);
    reel_buf_clear (&msgpack);
    ck_assert_int_eq (reel_json_read (reel_slice (text, most + 1), &msgpack, &err), REEL_INVALID);
    ck_assert_str_eq (err.code, "limit_exceeded");
    ck_assert_uint_eq (msgpack.len, 0);
    reel_buf_free (&msgpack);
    free (text);
}
END_TEST

/* A path is cut to an enclosing value; a key in it that is long costs nothing but that. */
START_TEST (a_long_key_above_a_problem)
{
    struct reel_buf json = {0}, msgpack = {0};
    struct reel_error err;
    reel_buf_add_text (&json, "{\"a\":{\"");
    for (unsigned i = 0; i < REEL_ERROR_PATH_BYTES; i++)
        reel_buf_add_byte (&json, 'k');
    reel_buf_add_text (&json, "\":{\"b\":1,\"b\":2}}}");
    ck_assert_int_eq (reel_json_read (reel_buf_slice (&json), &msgpack, &err), REEL_INVALID);
    ck_assert_str_eq (err.path, "/a");
    reel_buf_free (&json);
    reel_buf_free (&msgpack);
}
END_TEST

/* The decimal point of a locale is nobody's business. Without such a locale on the system there is nothing to see. */
START_TEST (locale_does_not_matter)
{
    static const char *const locales[] = {"de_DE.UTF-8", "de_DE.utf8",  "fr_FR.UTF-8", "fr_FR.utf8", "ps_AF.UTF-8",
                                          "ps_AF",       "fa_IR.UTF-8", "fa_IR",       "C.UTF-8"};
    for (size_t i = 0; i < COUNT (locales); i++) {
        if (setlocale (LC_ALL, locales[i]) == NULL)
            continue;
        struct lconv before = *localeconv ();
        static const struct both_ways number = {BYTES ("\x92\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xcd\x04\xd2"),
                                                BYTES ("[1.5,1234]")};
        ck_assert_written (number.msgpack, REEL_JSON_COMPACT, number.json);
        ck_assert_read (number.json, number.msgpack);
        ck_assert_str_eq (localeconv ()->decimal_point, before.decimal_point);
    }
    setlocale (LC_ALL, "C");
}
END_TEST

static size_t allocations_left;

static void *
failing_malloc (size_t size)
{
    if (allocations_left == 0)
        return NULL;
    allocations_left--;
    return malloc (size);
}

/* Every allocation in turn fails; what is left behind shows under the address sanitizer or valgrind. */
START_TEST (the_parser_may_run_out_of_memory_anywhere)
{
    static const struct reel_slice json = BYTES ("{\"a\":[1,2.5,\"text\",{\"$bin\":\"Zg==\"},[3,4,5,6,7,8,9,10,11]],"
                                                 "\"b\":{\"c\":1,\"d\":2,\"e\":3,\"f\":4,\"g\":5,\"h\":6,\"i\":7,"
                                                 "\"j\":8,\"k\":9,\"long\":\"0123456789012345678901234567890123\"}}");
    struct reel_buf out = {0};
    json_set_alloc_funcs (failing_malloc, free);
    enum reel_status status = REEL_NO_MEMORY;
    size_t n;
    for (n = 0; status != REEL_OK && n < 1000; n++) {
        allocations_left = n;
        status = reel_json_read (json, &out, NULL);
        ck_assert (status == REEL_OK || out.len == 0);
    }
    ck_assert_int_eq (status, REEL_OK);
    ck_assert_uint_gt (n, 30);
    json_set_alloc_funcs (malloc, free);
    struct reel_buf expected = {0};
    ck_assert_int_eq (reel_json_read (json, &expected, NULL), REEL_OK);
    ck_assert_slice_eq (reel_buf_slice (&out), reel_buf_slice (&expected));
    reel_buf_free (&expected);
    reel_buf_free (&out);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("json");
    TCase *tcase = tcase_create ("json");
    tcase_add_loop_test (tcase, every_type_both_ways, 0, (int) COUNT (both_ways));
    tcase_add_test (tcase, other_spellings);
    tcase_add_test (tcase, pretty_is_indented_by_two);
    tcase_add_test (tcase, both_append);
    tcase_add_loop_test (tcase, refuses, 0, (int) COUNT (refusals));
    tcase_add_test (tcase, depth_is_that_of_the_document);
    tcase_add_test (tcase, hostile_depth_is_refused);
    tcase_add_test (tcase, keys_of_a_map);
    tcase_add_test (tcase, size_of_a_text);
    tcase_add_test (tcase, a_long_key_above_a_problem);
    tcase_add_test (tcase, locale_does_not_matter);
    tcase_add_test (tcase, the_parser_may_run_out_of_memory_anywhere);
    suite_add_tcase (suite, tcase);
    return suite_run (suite);
}
