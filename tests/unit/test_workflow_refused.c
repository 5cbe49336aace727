/*
 * The workflow document: each way in which it is refused, with code, place and words; whatever the bytes are.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "proto/scan.h"
#include "tests/support/count.h"
#include "tests/support/document.h"
#include "tests/support/suite.h"
#include "tests/support/workflow_fixture.h"

/* --- types ------------------------------------------------------------------------------- */

enum { NIL, BOOL, UINT, INT, F32, F64, STR, BIN, EXT, ARRAY, MAP, TYPES };

static const char *const examples[TYPES] = {
    "null", "true", "5", "-5", "{'$f32':'3fc00000'}", "1.5", NULL, "{'$bin':'AAE='}", "{'$ext':[1,'AA==']}", "[]", "{}",
};
static const char *const named[TYPES] = {
    "nil",      "a boolean", "an integer",   "an integer", "a float", "a float",
    "a string", "binary",    "an extension", "an array",   "a map",
};

static const struct {
    const char *format; /* of the document around the value */
    const char *path;
    const char *text;   /* a string that it may be */
    const char *wanted; /* what it must be, in words */
    unsigned taken;     /* bits: types that it may be */
    unsigned other;     /* bits: types that are refused with another code than bad_type */
} fields[] = {
    {"%s", "", "'x'", "a map", 0, 1u << MAP},
    {"{'workflow_id':%s,'steps':[" STEP ("a", "") "]}", "/workflow_id", "'w'", "a string", 1u << NIL | 1u << STR, 0},
    {"{'created_at':%s,'steps':[" STEP ("a", "") "]}", "/created_at", "'2026-04-28T09:10:06Z'", "a string",
     1u << NIL | 1u << STR, 0},
    {"{'global_provenance':%s,'steps':[" STEP ("a", "") "]}", "/global_provenance", "'x'", "a map",
     1u << NIL | 1u << MAP, 0},
    {"{'steps':%s}", "/steps", "'x'", "an array", 0, 1u << ARRAY},
    {"{'steps':[%s]}", "/steps/0", "'x'", "a map", 0, 1u << MAP},
    {"{'steps':[" STEP ("a", "") ",%s]}", "/steps/1", "'x'", "a map", 0, 1u << MAP},
    {"{'steps':[{'step_id':%s,'modality':'m'}]}", "/steps/0/step_id", "'a'", "a string", 1u << STR, 0},
    {"{'steps':[{'step_id':'a','modality':%s}]}", "/steps/0/modality", "'m'", "a string", 1u << STR, 0},
    {ONE (",'payload':%s"), "/steps/0/payload", "'x'", "a map", 1u << NIL | 1u << MAP, 0},
    {ONE (",'depends_on':%s"), "/steps/0/depends_on", "'x'", "an array", 1u << NIL | 1u << ARRAY, 0},
    {TWO ("", ",'depends_on':[%s]"), "/steps/1/depends_on/0", "'a'", "a string", 1u << STR, 0},
    {TWO ("", ",'depends_on':['a','a',%s]"), "/steps/1/depends_on/2", "'a'", "a string", 1u << STR, 0},
    {ONE (",'status':%s"), "/steps/0/status", "'pending'", "a string", 1u << NIL | 1u << STR, 0},
    {ONE (FAILED ",'receipt':%s"), "/steps/0/receipt", "'x'", "a map", 1u << NIL | 1u << MAP, 0},
    {ONE (",'error':%s"), "/steps/0/error", "'x'", "a map or a string", 1u << NIL | 1u << STR | 1u << MAP, 0},
    {ONE (",'started_us':%s"), "/steps/0/started_us", "'x'", "an integer", 1u << NIL | 1u << UINT, 0},
    {ONE (",'finished_us':%s"), "/steps/0/finished_us", "'x'", "an integer", 1u << NIL | 1u << UINT, 0},
    {ONE (",'policy':%s"), "/steps/0/policy", "'x'", "a map", 1u << NIL | 1u << MAP, 0},
    {ONE (",'policy':{'timeout_ms':%s}"), "/steps/0/policy/timeout_ms", "'x'", "an integer", 1u << NIL | 1u << UINT,
     1u << INT},
    {ONE (",'policy':{'in_doubt':%s}"), "/steps/0/policy/in_doubt", "'hold'", "a string", 1u << NIL | 1u << STR, 0},
    {ONE (",'policy':{'retry':%s}"), "/steps/0/policy/retry", "'x'", "a map", 1u << NIL | 1u << MAP, 0},
    {ONE (",'policy':{'retry':{'max_attempts':%s}}"), "/steps/0/policy/retry/max_attempts", "'x'", "an integer",
     1u << NIL | 1u << UINT, 1u << INT},
    {ONE (",'policy':{'retry':{'backoff_ms':%s}}"), "/steps/0/policy/retry/backoff_ms", "'x'", "an integer",
     1u << NIL | 1u << UINT, 1u << INT},
    {ONE (",'policy':{'retry':{'backoff_max_ms':%s}}"), "/steps/0/policy/retry/backoff_max_ms", "'x'", "an integer",
     1u << NIL | 1u << UINT, 1u << INT},
};

/* `format` is one of the table's. */
static struct reel_slice
put_into (const char *format, const char *value)
{
    struct reel_buf text = {0};
    const char *mark = strstr (format, "%s");
    ck_assert_ptr_nonnull (mark);
    reel_buf_add (&text, format, (size_t) (mark - format));
    reel_buf_add_text (&text, value);
    reel_buf_add_text (&text, mark + 2);
    reel_buf_add_byte (&text, 0);
    struct reel_slice bytes = document ((const char *) text.data);
    reel_buf_free (&text);
    return bytes;
}

START_TEST (every_field_with_every_type)
{
    char message[64];
    for (size_t i = 0; i < COUNT (fields); i++)
        for (unsigned type = 0; type < TYPES; type++) {
            struct reel_slice bytes = put_into (fields[i].format, type == STR ? fields[i].text : examples[type]);
            bool time = strstr (fields[i].path, "ed_us") != NULL && type == INT;
            snprintf (message, sizeof message, "must be %s, is %s", fields[i].wanted, named[type]);
            if ((fields[i].taken >> type & 1) != 0)
                ck_assert_taken (bytes, REEL_WORKFLOW_STRICT);
            else if ((fields[i].other >> type & 1) != 0)
                ck_assert_int_eq (reel_workflow_parse (&workflow, bytes, REEL_WORKFLOW_STRICT, NULL), REEL_INVALID);
            else
                ck_assert_refused (bytes, REEL_WORKFLOW_STRICT, "bad_type", fields[i].path,
                                   time ? "not negative" : message);
        }
}
END_TEST

/* --- validation -------------------------------------------------------------------------- */

static const struct {
    const char *json, *code, *path, *message;
} refusals[] = {
    /* empty_workflow, missing_field */
    {"{'steps':[]}", "empty_workflow", "/steps", "at least one step"},
    {"{}", "missing_field", "", "needs steps"},
    {"{'workflow_id':'w','step':[]}", "missing_field", "", "needs steps"},
    {"{'steps':[{}]}", "missing_field", "/steps/0", "step_id"},
    {"{'steps':[{'modality':'m'}]}", "missing_field", "/steps/0", "step_id"},
    {"{'steps':[{'step_id':'a'}]}", "missing_field", "/steps/0", "modality"},
    {"{'steps':[" STEP ("a", "") ",{'step_id':'b'}]}", "missing_field", "/steps/1", "modality"},
    {"[]", "bad_type", "", "must be a map, is an array"},
    /* bad_id */
    {"{'workflow_id':'','steps':[" STEP ("a", "") "]}", "bad_id", "/workflow_id", "letters"},
    {"{'workflow_id':'a b','steps':[" STEP ("a", "") "]}", "bad_id", "/workflow_id", ""},
    {"{'steps':[" STEP ("", "") "]}", "bad_id", "/steps/0/step_id", ""},
    {"{'steps':[" STEP ("-a", "") "]}", "bad_id", "/steps/0/step_id", ""},
    {"{'steps':[" STEP ("a/b", "") "]}", "bad_id", "/steps/0/step_id", ""},
    {"{'steps':[" STEP ("\xc3\xa4", "") "]}", "bad_id", "/steps/0/step_id", ""},
    {"{'steps':[{'step_id':'a','modality':''}]}", "bad_id", "/steps/0/modality", "lower-case"},
    {"{'steps':[{'step_id':'a','modality':'Video'}]}", "bad_id", "/steps/0/modality", "lower-case"},
    {"{'steps':[{'step_id':'a','modality':'a:b'}]}", "bad_id", "/steps/0/modality", "lower-case"},
    /* bad_type beyond the types */
    {ONE (",'status':'done'"), "bad_type", "/steps/0/status", "pending, running, succeeded"},
    {ONE (",'status':'Pending'"), "bad_type", "/steps/0/status", ""},
    {ONE (",'status':''"), "bad_type", "/steps/0/status", ""},
    {ONE (",'policy':{'in_doubt':'wait'}"), "bad_type", "/steps/0/policy/in_doubt", "hold, retry or fail"},
    {ONE (",'policy':{'in_doubt':''}"), "bad_type", "/steps/0/policy/in_doubt", "hold, retry or fail"},
    {"{'created_at':'yesterday','steps':[" STEP ("a", "") "]}", "bad_type", "/created_at", "RFC 3339"},
    {"{'created_at':'2026-04-28T09:10:06+02:00','steps':[" STEP ("a", "") "]}", "bad_type", "/created_at", "UTC"},
    {"{'created_at':'2026-02-30T09:10:06Z','steps':[" STEP ("a", "") "]}", "bad_type", "/created_at", ""},
    {"{'created_at':'','steps':[" STEP ("a", "") "]}", "bad_type", "/created_at", ""},
    /* limit_exceeded: numbers */
    {ONE (",'policy':{'timeout_ms':0}"), "limit_exceeded", "/steps/0/policy/timeout_ms", "between 1 and 31622400000"},
    {ONE (",'policy':{'timeout_ms':-1}"), "limit_exceeded", "/steps/0/policy/timeout_ms", "between"},
    {ONE (",'policy':{'timeout_ms':31622400001}"), "limit_exceeded", "/steps/0/policy/timeout_ms", "between"},
    {ONE (",'policy':{'retry':{'max_attempts':0}}"), "limit_exceeded", "/steps/0/policy/retry/max_attempts",
     "between 1 and 1000"},
    {ONE (",'policy':{'retry':{'max_attempts':1001}}"), "limit_exceeded", "/steps/0/policy/retry/max_attempts",
     "between"},
    {ONE (",'policy':{'retry':{'backoff_ms':-1}}"), "limit_exceeded", "/steps/0/policy/retry/backoff_ms",
     "between 0 and 31622400000"},
    {ONE (",'policy':{'retry':{'backoff_ms':31622400001}}"), "limit_exceeded", "/steps/0/policy/retry/backoff_ms", ""},
    {ONE (",'policy':{'retry':{'backoff_max_ms':31622400001}}"), "limit_exceeded",
     "/steps/0/policy/retry/backoff_max_ms", ""},
    {ONE (",'started_us':{'$uint':'9223372036854775808'}"), "limit_exceeded", "/steps/0/started_us", "between"},
    {ONE (",'finished_us':{'$uint':'18446744073709551615'}"), "limit_exceeded", "/steps/0/finished_us", "between"},
    /* duplicate_step: the second of two */
    {"{'steps':[" STEP ("a", "") "," STEP ("a", "") "]}", "duplicate_step", "/steps/1/step_id", "called a too"},
    {"{'steps':[" STEP ("b", "") "," STEP ("a", "") "," STEP ("b", "") "," STEP ("a", "") "]}", "duplicate_step",
     "/steps/2/step_id", "called b too"},
    {"{'steps':[" STEP ("a", "") "," STEP ("a", "") "," STEP ("a", "") "]}", "duplicate_step", "/steps/1/step_id", ""},
    /* missing_dependency */
    {ONE (AFTER ("'ghost'")), "missing_dependency", "/steps/0/depends_on/0", "no step ghost"},
    {TWO ("", AFTER ("'a','A'")), "missing_dependency", "/steps/1/depends_on/1", "no step A"},
    {TWO ("", AFTER ("'a','','b'")), "missing_dependency", "/steps/1/depends_on/1", "no id"},
    {TWO ("", AFTER ("'a\\u0000'")), "missing_dependency", "/steps/1/depends_on/0", "no id"},
    {TWO ("", AFTER ("'\xf0\x9f\x8e\xac'")), "missing_dependency", "/steps/1/depends_on/0", "no id"},
    /* self_dependency */
    {ONE (AFTER ("'a'")), "self_dependency", "/steps/0/depends_on/0", "wait for itself"},
    {TWO ("", AFTER ("'a','b'")), "self_dependency", "/steps/1/depends_on/1", "wait for itself"},
    /* forward_reference: later, but no loop */
    {TWO (AFTER ("'b'"), ""), "forward_reference", "/steps/0/depends_on/0", "move it before a"},
    {THREE ("", AFTER ("'a','c'"), AFTER ("'a'")), "forward_reference", "/steps/1/depends_on/1", "c comes later"},
    {THREE (AFTER ("'c'"), "", AFTER ("'b'")), "forward_reference", "/steps/0/depends_on/0", "c comes later"},
    /* cycle: the loop is named */
    {TWO (AFTER ("'b'"), AFTER ("'a'")), "cycle", "/steps/0/depends_on/0", ": a -> b -> a"},
    {THREE (AFTER ("'b'"), AFTER ("'c'"), AFTER ("'a'")), "cycle", "/steps/0/depends_on/0", ": a -> b -> c -> a"},
    {THREE (AFTER ("'c'"), AFTER ("'a'"), AFTER ("'b'")), "cycle", "/steps/0/depends_on/0", ": a -> c -> b -> a"},
    {THREE ("", AFTER ("'a','c'"), AFTER ("'a','b'")), "cycle", "/steps/1/depends_on/1", ": b -> c -> b"},
    {THREE (AFTER ("'b'"), AFTER ("'c'"), AFTER ("'b'")), "forward_reference", "/steps/0/depends_on/0",
     "b comes later"},
    {THREE (AFTER ("'b'"), AFTER ("'c','a'"), AFTER ("'b','a'")), "cycle", "/steps/0/depends_on/0", ": a -> b -> a"},
    {"{'steps':[" STEP ("a", AFTER ("'d'")) "," STEP ("b", AFTER ("'a'")) "," STEP ("c", AFTER ("'b'")) "," STEP (
         "d", AFTER ("'c','b','ghost','d'")) "]}",
     "cycle", "/steps/0/depends_on/0", ": a -> d -> b -> a"},
    {"{'steps':[" STEP ("a", AFTER ("'e'")) "," STEP ("b", AFTER ("'a'")) "," STEP ("c", AFTER ("'a'")) "," STEP (
         "d", AFTER ("'c'")) "," STEP ("e", AFTER ("'b','d'")) "]}",
     "cycle", "/steps/0/depends_on/0", ": a -> e -> b -> a"}, /* the shortest way round, wherever it is */
    {"{'steps':[" STEP ("a", AFTER ("'e'")) "," STEP ("b", AFTER ("'a'")) "," STEP ("c", AFTER ("'a'")) "," STEP (
         "d", AFTER ("'c'")) "," STEP ("e", AFTER ("'d','b'")) "]}",
     "cycle", "/steps/0/depends_on/0", ": a -> e -> b -> a"},
    /* bad_status */
    {ONE (",'status':'running'"), "bad_status", "/steps/0/status", "set it to pending"},
    {ONE (",'status':'succeeded'"), "bad_status", "/steps/0/status", "needs its receipt"},
    {ONE (",'status':'succeeded','receipt':null"), "bad_status", "/steps/0/status", "needs its receipt"},
    {ONE (",'status':'failed'"), "bad_status", "/steps/0/status", "needs its error"},
    {ONE (",'status':'failed','error':null,'receipt':{}"), "bad_status", "/steps/0/status", "needs its error"},
    {TWO (FAILED, AFTER ("'a'") ",'status':'skipped'"), "bad_status", "/steps/1/status", "needs its error"},
    {ONE (",'receipt':{}"), "bad_status", "/steps/0/receipt", "pending step has no receipt"},
    {ONE (",'status':'pending','receipt':{'x':1}"), "bad_status", "/steps/0/receipt", "pending step has no receipt"},
    {ONE (SKIPPED), "bad_status", "/steps/0/status", "one of its dependencies failed"},
    {TWO (SUCCEEDED, AFTER ("'a'") SKIPPED), "bad_status", "/steps/1/status", "one of its dependencies failed"},
    {TWO ("", AFTER ("'a'") SKIPPED), "bad_status", "/steps/1/status", "one of its dependencies failed"},
    {TWO ("", AFTER ("'a'") SUCCEEDED), "bad_status", "/steps/1/status", "only after all its dependencies"},
    {TWO (FAILED, AFTER ("'a'") SUCCEEDED), "bad_status", "/steps/1/status", "only after all its dependencies"},
    {TWO ("", AFTER ("'a'") FAILED), "bad_status", "/steps/1/status", "only after all its dependencies"},
    {TWO (FAILED, AFTER ("'a'") FAILED), "bad_status", "/steps/1/status", "only after all its dependencies"},
    {THREE (SUCCEEDED, "", AFTER ("'a','b'") SUCCEEDED), "bad_status", "/steps/2/status", ""},
    {THREE (SUCCEEDED, "", AFTER ("'b','a'") SUCCEEDED), "bad_status", "/steps/2/status", ""},
    /* bad_reference: the map that is the reference */
    {TWO ("", ",'payload':{'x':{'$ref':'#/a/output'}}"), "bad_reference", "/steps/1/payload/x",
     "a is not in this step's depends_on"},
    {TWO ("", AFTER ("'a'") ",'payload':{'x':[1,{'y':{'$ref':'#/b/output'}}]}"), "bad_reference",
     "/steps/1/payload/x/1/y", "b is not in"},
    {TWO ("", AFTER ("'a'") ",'payload':{'x':{'$ref':'#/ghost'}}"), "bad_reference", "/steps/1/payload/x", "ghost"},
    {TWO ("", AFTER ("'a'") ",'payload':{'x':{'$ref':'a'}}"), "bad_reference", "/steps/1/payload/x", "form"},
    {TWO ("", AFTER ("'a'") ",'payload':{'x':{'$ref':7}}"), "bad_reference", "/steps/1/payload/x", "string"},
    {TWO ("", AFTER ("'a'") ",'payload':{'$ref':'#/b'}"), "bad_reference", "/steps/1/payload", "b is not in"},
    {TWO ("", AFTER ("'a'") ",'payload':{'x':{'$ref':'#/a'},'y/z':{'$ref':'#/b'}}"), "bad_reference",
     "/steps/1/payload/y~1z", "b is not in"},
    {THREE ("", AFTER ("'a'") ",'payload':{'x':{'$ref':'#/a'}}", ",'payload':{'x':{'$ref':'#/a'}}"), "bad_reference",
     "/steps/2/payload/x", "a is not in"}, /* what another step depends on does not count */
    /* the first of several problems: structure in document order, then ids, then the graph step by step */
    {"{'steps':[" STEP ("a", ",'payload':7") "],'workflow_id':''}", "bad_type", "/steps/0/payload", ""},
    {"{'workflow_id':'','steps':[" STEP ("a", ",'payload':7") "]}", "bad_id", "/workflow_id", ""},
    {"{'steps':[" STEP ("a", ",'status':7,'payload':7") "]}", "bad_type", "/steps/0/status", ""},
    {"{'steps':[{'payload':7}]}", "bad_type", "/steps/0/payload", ""},
    {ONE (",'policy':{'in_doubt':7,'timeout_ms':0}"), "bad_type", "/steps/0/policy/in_doubt", ""},
    {ONE (",'policy':{'timeout_ms':0,'in_doubt':7}"), "limit_exceeded", "/steps/0/policy/timeout_ms", ""},
    {ONE (",'policy':{'retry':{'backoff_ms':'x','max_attempts':0}}"), "bad_type", "/steps/0/policy/retry/backoff_ms",
     ""},
    {TWO (AFTER ("'ghost'"), ",'payload':7"), "bad_type", "/steps/1/payload", ""},
    {"{'steps':[" STEP ("a", AFTER ("'ghost'")) "," STEP ("a", "") "]}", "duplicate_step", "/steps/1/step_id", ""},
    {TWO (",'status':'running'", AFTER ("'ghost'")), "bad_status", "/steps/0/status", ""},
    {TWO (AFTER ("'ghost'"), ",'status':'running'"), "missing_dependency", "/steps/0/depends_on/0", ""},
    {TWO ("", AFTER ("'b','ghost'")), "self_dependency", "/steps/1/depends_on/0", ""},
    {TWO ("", AFTER ("'ghost','b'")), "missing_dependency", "/steps/1/depends_on/0", ""},
    {TWO (",'payload':{'x':{'$ref':7}}", ",'status':'running'"), "bad_reference", "/steps/0/payload/x", ""},
};

START_TEST (every_code_with_its_place)
{
    for (size_t i = 0; i < COUNT (refusals); i++)
        ck_assert_refused (document (refusals[i].json), REEL_WORKFLOW_STRICT, refusals[i].code, refusals[i].path,
                           refusals[i].message);
}
END_TEST

START_TEST (bytes_that_are_no_document)
{
    static const struct {
        const char *hex, *code, *path;
    } cases[] = {
        {"", "malformed", ""},
        {"c1", "malformed", ""},
        {"dd 10 00 00 00", "malformed", ""},
        {"81 a5 73 74 65 70 73 dd 10 00 00 00", "malformed", "/steps"},
        {"81 a5 73 74 65 70 73 dc 00 01", "malformed", "/steps"},
        {"80 00", "malformed", ""},
        {"81 01 02", "bad_type", ""},
        {"82 a5 73 74 65 70 73 90 a5 73 74 65 70 73 90", "bad_type", ""}, /* steps twice */
        {"81 a5 73 74 65 70 73 91 81 a1 ff c0", "bad_type", "/steps/0"},
        {"81 a1 78 a1 ff", "bad_type", "/x"},
    };
    for (size_t i = 0; i < COUNT (cases); i++)
        ck_assert_refused (document_hex (cases[i].hex), REEL_WORKFLOW_STRICT, cases[i].code, cases[i].path, "");
    ck_assert_refused (REEL_SLICE_NONE, REEL_WORKFLOW_STRICT, "malformed", "", "");
}
END_TEST

/* --- damage ------------------------------------------------------------------------------ */

#define WHOLE                                                                                                                    \
    "{'workflow_id':'wf-1','created_at':'2026-04-28T09:10:06.000000Z','global_provenance':{'by':'h\xc3\xa4'},'x':1,"             \
    "'steps':[" STEP ("a", SUCCEEDED ",'started_us':1,'finished_us':2") "," STEP ("b", FAILED AFTER ("'a'")) "," STEP (          \
        "c",                                                                                                                     \
        SKIPPED AFTER (                                                                                                          \
            "'b'")) "," STEP ("d",                                                                                               \
                              AFTER (                                                                                            \
                                  "'a'") ",'status':'pending','payload':{'p':{'$ref':'#/a/output'},'n':[1,-1,1.5,null,true,{'$b" \
                                         "in':'AA=='},{'$ext':[1,'AA==']}]},'receipt':null,'error':null,'policy':{'timeout_ms'"  \
                                         ":5,'retry':{'max_attempts':2,'backoff_ms':1,'backoff_max_ms':2},'in_doubt':'hold'}") "]}"

static const char *const codes[] = {
    "malformed",          "bad_type",        "limit_exceeded", "empty_workflow",    "duplicate_step",
    "missing_dependency", "self_dependency", "cycle",          "forward_reference", "bad_id",
    "missing_field",      "bad_reference",   "bad_status",
};

/* Taken, or refused with a known code, a place that is there and a message of whole characters. */
static void
ck_assert_answered (struct reel_slice bytes)
{
    struct reel_error err = {.code = NULL};
    struct reel_slice found;
    if (reel_workflow_parse (&workflow, bytes, REEL_WORKFLOW_STRICT, &err) == REEL_OK)
        return;
    bool known = false;
    for (size_t i = 0; i < COUNT (codes); i++)
        known = known || strcmp (err.code, codes[i]) == 0;
    bool there = reel_scan_check (bytes, REEL_DEPTH_MAX, NULL) == REEL_OK
                     ? reel_scan_pointer (bytes, reel_slice_text (err.path), &found)
                     : err.path[0] == '\0' || err.path[0] == '/';
    if (!known || !there || err.message[0] == '\0' || !reel_scan_utf8 (reel_slice_text (err.message)))
        ck_abort_msg ("%s at %s: %s", err.code, err.path, err.message); /* Check's assertions cost a system call each */
}

START_TEST (every_truncation_is_refused)
{
    struct reel_slice whole = document (WHOLE);
    ck_assert_taken (whole, REEL_WORKFLOW_STRICT);
    for (size_t len = 0; len < whole.len; len++) {
        struct reel_error err = {0};
        ck_assert_int_eq (
            reel_workflow_parse (&workflow, document_copy (reel_slice (whole.data, len)), REEL_WORKFLOW_STRICT, &err),
            REEL_INVALID);
        ck_assert_str_eq (err.code, "malformed");
    }
}
END_TEST

START_TEST (every_corruption_of_a_byte_is_answered)
{
    struct reel_slice whole = document (WHOLE);
    struct reel_slice hurt = document_copy (whole);
    uint8_t *bytes = (uint8_t *) (uintptr_t) hurt.data;
    for (size_t at = 0; at < whole.len; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            bytes[at] = (uint8_t) byte;
            ck_assert_answered (hurt);
        }
        bytes[at] = whole.data[at];
    }
    ck_assert_taken (hurt, REEL_WORKFLOW_STRICT);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("workflow refused");
    TCase *tcase = suite_case (suite, "workflow refused", setup, teardown);
    tcase_add_test (tcase, every_field_with_every_type);
    tcase_add_test (tcase, every_code_with_its_place);
    tcase_add_test (tcase, bytes_that_are_no_document);
    tcase_add_test (tcase, every_truncation_is_refused);
    tcase_add_test (tcase, every_corruption_of_a_byte_is_answered);
    return suite_run (suite);
}
