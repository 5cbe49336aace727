/*
 * The workflow document: what is read out of it, and each way in which it is refused, with code, place and words.
 */
#include "proto/workflow.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/support/document.h"
#include "tests/support/suite.h"

#define COUNT(array) (sizeof (array) / sizeof (array)[0])

/* Steps a, b, c with more fields; `more` is "" or begins with a comma. */
#define STEP(id, more) "{'step_id':'" id "','modality':'m'" more "}"
#define ONE(a) "{'steps':[" STEP ("a", a) "]}"
#define TWO(a, b) "{'steps':[" STEP ("a", a) "," STEP ("b", b) "]}"
#define THREE(a, b, c) "{'steps':[" STEP ("a", a) "," STEP ("b", b) "," STEP ("c", c) "]}"
#define AFTER(...) ",'depends_on':[" __VA_ARGS__ "]"
#define SUCCEEDED ",'status':'succeeded','receipt':{}"
#define FAILED ",'status':'failed','error':'it broke'"
#define SKIPPED ",'status':'skipped','error':{'code':'dependency_failed'}"

static struct reel_workflow workflow; /* of the last document; used again for the next */

static void
setup (void)
{
    memset (&workflow, 0, sizeof workflow);
}

static void
teardown (void)
{
    reel_workflow_free (&workflow);
}

static void
ck_assert_taken (struct reel_slice bytes, unsigned flags)
{
    struct reel_error err = {0};
    enum reel_status status = reel_workflow_parse (&workflow, bytes, flags, &err);
    ck_assert_msg (status == REEL_OK, "%s at %s: %s", err.code, err.path, err.message);
}

static void
ck_assert_refused (struct reel_slice bytes, unsigned flags, const char *code, const char *path, const char *message)
{
    struct reel_error err = {.code = "none"};
    ck_assert_msg (reel_workflow_parse (&workflow, bytes, flags, &err) == REEL_INVALID, "taken, not %s at %s", code,
                   path);
    ck_assert_msg (strcmp (err.code, code) == 0 && strcmp (err.path, path) == 0
                       && strstr (err.message, message) != NULL,
                   "%s at %s: %s; not %s at %s: %s", err.code, err.path, err.message, code, path, message);
    ck_assert_int_eq (reel_workflow_parse (&workflow, bytes, flags, NULL), REEL_INVALID);
}

static const struct reel_step *
only_step (const char *json)
{
    ck_assert_taken (document (json), REEL_WORKFLOW_STRICT);
    ck_assert_uint_eq (workflow.step_count, 1);
    return &workflow.steps[0];
}

/* --- construction ------------------------------------------------------------------------ */

START_TEST (a_step_has_its_defaults)
{
    const struct reel_step *step = only_step (ONE (""));
    ck_assert (reel_slice_is (step->step_id, "a"));
    ck_assert (reel_slice_is (step->modality, "m"));
    ck_assert_uint_eq (step->payload.len, 0);
    ck_assert_uint_eq (step->depends_on.len, 0);
    ck_assert_uint_eq (step->depends_count, 0);
    ck_assert_int_eq (step->status, REEL_STEP_PENDING);
    ck_assert_uint_eq (step->receipt.len, 0);
    ck_assert_uint_eq (step->error.len, 0);
    ck_assert_int_eq (step->started_us, REEL_TIME_NIL);
    ck_assert_int_eq (step->finished_us, REEL_TIME_NIL);
    ck_assert_int_eq (step->policy.timeout_ms, 0);
    ck_assert_uint_eq (step->policy.max_attempts, 0);
    ck_assert_int_eq (step->policy.backoff_ms, 0);
    ck_assert_int_eq (step->policy.backoff_max_ms, 0);
    ck_assert_int_eq (step->policy.in_doubt, REEL_IN_DOUBT_UNSET);
    ck_assert_str_eq (document_json (step->bytes), STEP ("a", ""));
}
END_TEST

START_TEST (a_workflow_has_its_defaults)
{
    struct reel_slice bytes = document (ONE (""));
    ck_assert_taken (bytes, REEL_WORKFLOW_STRICT);
    ck_assert_ptr_eq (workflow.document.data, bytes.data);
    ck_assert_uint_eq (workflow.document.len, bytes.len);
    ck_assert_uint_eq (workflow.workflow_id.len, 0);
    ck_assert_uint_eq (workflow.created_at.len, 0);
    ck_assert_uint_eq (workflow.global_provenance.len, 0);
}
END_TEST

START_TEST (nil_counts_as_absent_where_there_is_a_default)
{
    const struct reel_step *step = only_step (
        "{'workflow_id':null,'created_at':null,'global_provenance':null,'steps':[" STEP (
            "a", ",'payload':null,'depends_on':null,'status':null,'receipt':null,'error':null,'started_us':null,"
                 "'finished_us':null,'policy':null") "]}");
    ck_assert_uint_eq (workflow.workflow_id.len + workflow.created_at.len + workflow.global_provenance.len, 0);
    ck_assert_uint_eq (step->payload.len + step->depends_on.len + step->receipt.len + step->error.len, 0);
    ck_assert_int_eq (step->status, REEL_STEP_PENDING);
    ck_assert_int_eq (step->started_us, REEL_TIME_NIL);
    ck_assert_int_eq (step->finished_us, REEL_TIME_NIL);
    step = only_step (ONE (",'policy':{'timeout_ms':null,'retry':null,'in_doubt':null}"));
    ck_assert_int_eq (step->policy.timeout_ms, 0);
    step = only_step (ONE (",'policy':{'retry':{'max_attempts':null,'backoff_ms':null,'backoff_max_ms':null}}"));
    ck_assert_uint_eq (step->policy.max_attempts, 0);
}
END_TEST

START_TEST (a_step_keeps_all_it_was_given)
{
    ck_assert_taken (
        document (
            "{'workflow_id':'wf-1','created_at':'2026-04-28T09:10:06.000000Z','global_provenance':{'by':'jt'},"
            "'steps':[" STEP (
                "a",
                SUCCEEDED) ",{'policy':{'in_doubt':'retry','retry':{'backoff_max_ms':3,"
                           "'backoff_ms':2,'max_attempts':7},'timeout_ms':1},'finished_us':20,'started_us':10,'error':{'code':"
                           "'x'},'receipt':{'r':1},'status':'failed','depends_on':['a'],'payload':{'p':[1]},'modality':"
                           "'video.hd_2-x','step_id':'B.c_d:e-f'}]}"),
        REEL_WORKFLOW_STRICT);
    ck_assert (reel_slice_is (workflow.workflow_id, "wf-1"));
    ck_assert (reel_slice_is (workflow.created_at, "2026-04-28T09:10:06.000000Z"));
    ck_assert_str_eq (document_json (workflow.global_provenance), "{'by':'jt'}");
    const struct reel_step *step = &workflow.steps[1];
    ck_assert (reel_slice_is (step->step_id, "B.c_d:e-f"));
    ck_assert (reel_slice_is (step->modality, "video.hd_2-x"));
    ck_assert_str_eq (document_json (step->payload), "{'p':[1]}");
    ck_assert_str_eq (document_json (step->depends_on), "['a']");
    ck_assert_int_eq (step->status, REEL_STEP_FAILED);
    ck_assert_str_eq (document_json (step->receipt), "{'r':1}");
    ck_assert_str_eq (document_json (step->error), "{'code':'x'}");
    ck_assert_int_eq (step->started_us, 10);
    ck_assert_int_eq (step->finished_us, 20);
    ck_assert_int_eq (step->policy.timeout_ms, 1);
    ck_assert_uint_eq (step->policy.max_attempts, 7);
    ck_assert_int_eq (step->policy.backoff_ms, 2);
    ck_assert_int_eq (step->policy.backoff_max_ms, 3);
    ck_assert_int_eq (step->policy.in_doubt, REEL_IN_DOUBT_RETRY);
    ck_assert_uint_eq (step->depends_count, 1);
    ck_assert_uint_eq (workflow.depends[step->depends_first], 0);
}
END_TEST

START_TEST (slices_lie_in_the_document)
{
    struct reel_slice bytes = document (TWO (",'payload':{'x':1}", AFTER ("'a'")));
    ck_assert_taken (bytes, REEL_WORKFLOW_STRICT);
    for (uint32_t i = 0; i < 2; i++) {
        const struct reel_step *step = &workflow.steps[i];
        ck_assert (step->bytes.data > bytes.data && step->bytes.data + step->bytes.len <= bytes.data + bytes.len);
        ck_assert (step->step_id.data > step->bytes.data);
    }
    ck_assert_ptr_eq (workflow.steps[0].bytes.data + workflow.steps[0].bytes.len, workflow.steps[1].bytes.data);
    ck_assert_ptr_eq (workflow.steps[1].bytes.data + workflow.steps[1].bytes.len, bytes.data + bytes.len);
}
END_TEST

START_TEST (unknown_keys_are_passed_over_at_every_level)
{
    const struct reel_step *step = only_step ("{'x':{'steps':[]},'Steps':7,'steps':[" STEP (
        "a", ",'x':[{'step_id':7}],'Status':'?','policy':{'x':1,"
             "'retry':{'x':'y','max_attempts':2},'timeout':-1}") "],'version':{'$bin':'AA=='}}");
    ck_assert_uint_eq (step->policy.max_attempts, 2);
}
END_TEST

START_TEST (fields_may_come_in_any_order)
{
    ck_assert_taken (document ("{'steps':[{'depends_on':[],'modality':'m','status':'pending','step_id':'a'},"
                               "{'payload':{},'step_id':'b','depends_on':['a'],'modality':'m'}],'workflow_id':'w'}"),
                     REEL_WORKFLOW_STRICT);
    ck_assert (reel_slice_is (workflow.workflow_id, "w"));
    ck_assert (reel_slice_is (workflow.steps[1].step_id, "b"));
}
END_TEST

START_TEST (an_error_may_be_a_plain_string)
{
    const struct reel_step *step = only_step (ONE (FAILED));
    ck_assert_str_eq (document_json (step->error), "'it broke'");
    step = only_step (ONE (",'status':'failed','error':''")); /* it is there, and that is enough */
    ck_assert_str_eq (document_json (step->error), "''");
}
END_TEST

START_TEST (dependencies_become_indexes_in_their_order)
{
    ck_assert_taken (
        document ("{'steps':[" STEP ("z", "") "," STEP ("a", "") "," STEP ("m", AFTER ("'a','z'")) "," STEP (
            "b", AFTER ("'m'")) "," STEP ("c", AFTER ("'z','z','m'")) "]}"),
        REEL_WORKFLOW_STRICT);
    static const uint32_t first[] = {0, 0, 0, 2, 3}, count[] = {0, 0, 2, 1, 3}, depends[] = {1, 0, 2, 0, 0, 2};
    for (uint32_t i = 0; i < 5; i++) {
        ck_assert_uint_eq (workflow.steps[i].depends_first, first[i]);
        ck_assert_uint_eq (workflow.steps[i].depends_count, count[i]);
    }
    ck_assert_uint_eq (workflow.depends_count, COUNT (depends));
    for (size_t i = 0; i < COUNT (depends); i++)
        ck_assert_uint_eq (workflow.depends[i], depends[i]);
}
END_TEST

START_TEST (steps_are_found_by_id)
{
    ck_assert_taken (document (THREE ("", "", "")), REEL_WORKFLOW_STRICT);
    ck_assert_int_eq (reel_workflow_find (&workflow, reel_slice_text ("a")), 0);
    ck_assert_int_eq (reel_workflow_find (&workflow, reel_slice_text ("b")), 1);
    ck_assert_int_eq (reel_workflow_find (&workflow, reel_slice_text ("c")), 2);
    static const char *const none[] = {"", "A", "aa", "d", "0"};
    for (size_t i = 0; i < COUNT (none); i++)
        ck_assert_int_eq (reel_workflow_find (&workflow, reel_slice_text (none[i])), -1);
}
END_TEST

/* Ids that are prefixes of one another, in no order. */
START_TEST (many_steps_are_found_by_id)
{
    struct reel_buf out = {0};
    char id[16];
    reel_pack_map (&out, 1);
    reel_pack_text (&out, "steps");
    reel_pack_array (&out, REEL_STEPS_MAX);
    for (unsigned i = 0; i < REEL_STEPS_MAX; i++) {
        snprintf (id, sizeof id, "%u", i * 7 % REEL_STEPS_MAX);
        reel_pack_map (&out, 2);
        reel_pack_text (&out, "modality");
        reel_pack_text (&out, "m");
        reel_pack_text (&out, "step_id");
        reel_pack_text (&out, id);
    }
    ck_assert_taken (document_copy (reel_buf_slice (&out)), REEL_WORKFLOW_STRICT);
    for (unsigned i = 0; i < REEL_STEPS_MAX; i++) {
        snprintf (id, sizeof id, "%u", i * 7 % REEL_STEPS_MAX);
        ck_assert_int_eq (reel_workflow_find (&workflow, reel_slice_text (id)), i);
    }
    ck_assert_int_eq (reel_workflow_find (&workflow, reel_slice_text ("1000")), -1);
    reel_buf_free (&out);
}
END_TEST

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

/* --- half-executed ----------------------------------------------------------------------- */

START_TEST (half_executed_documents_are_taken)
{
    static const char *const documents[] = {
        ONE (SUCCEEDED),
        ONE (FAILED),
        ONE (FAILED ",'receipt':{}"),
        ONE (",'error':'of an earlier attempt'"),
        ONE (",'started_us':5"),
        TWO (SUCCEEDED, AFTER ("'a'")),
        TWO (SUCCEEDED, AFTER ("'a'") SUCCEEDED),
        TWO (SUCCEEDED, AFTER ("'a'") FAILED),
        TWO (FAILED, AFTER ("'a'")), /* to be skipped when it is its turn */
        TWO (FAILED, AFTER ("'a'") SKIPPED),
        TWO (FAILED, SUCCEEDED),
        TWO ("", SUCCEEDED), /* independent of it: in no order */
        THREE (FAILED, AFTER ("'a'") SKIPPED, AFTER ("'b'") SKIPPED),
        THREE (FAILED, AFTER ("'a'") SKIPPED, AFTER ("'b'")),
        THREE (SUCCEEDED, FAILED, AFTER ("'a','b'") SKIPPED),
        THREE (SUCCEEDED, FAILED, AFTER ("'b','a'") SKIPPED),
        THREE (FAILED, "", AFTER ("'a','b'") SKIPPED),
    };
    for (size_t i = 0; i < COUNT (documents); i++)
        ck_assert_taken (document (documents[i]), REEL_WORKFLOW_STRICT);
}
END_TEST

START_TEST (a_running_step_is_for_a_local_run_only)
{
    struct reel_slice bytes = document (TWO (SUCCEEDED, AFTER ("'a'") ",'status':'running','started_us':7"));
    ck_assert_taken (bytes, REEL_WORKFLOW_RUNNING_OK);
    ck_assert_int_eq (workflow.steps[1].status, REEL_STEP_RUNNING);
    ck_assert_taken (bytes, REEL_WORKFLOW_RUNNING_OK | REEL_WORKFLOW_GROWN);
    ck_assert_refused (bytes, REEL_WORKFLOW_STRICT, "bad_status", "/steps/1/status", "cannot be running");
    ck_assert_refused (bytes, REEL_WORKFLOW_GROWN, "bad_status", "/steps/1/status", "cannot be running");
    ck_assert_refused (document (TWO ("", AFTER ("'a'") ",'status':'running'")), REEL_WORKFLOW_RUNNING_OK, "bad_status",
                       "/steps/1/status", "only after all its dependencies");
    ck_assert_refused (document (TWO (FAILED, AFTER ("'a'") ",'status':'running'")), REEL_WORKFLOW_RUNNING_OK,
                       "bad_status", "/steps/1/status", "only after all its dependencies");
}
END_TEST

START_TEST (references_to_what_is_depended_on_are_taken)
{
    static const char *const documents[] = {
        TWO ("", AFTER ("'a'") ",'payload':{'x':{'$ref':'#/a/output/image'}}"),
        TWO ("", AFTER ("'a'") ",'payload':{'x':{'$ref':'#/a'},'y':[{'$ref':'#/a/b~0~1/0'}]}"),
        TWO ("", AFTER ("'a'") ",'payload':{'$ref':'#/a/output'}"),
        TWO ("", ",'payload':{'x':{'$$ref':'#/a/output'}}"),         /* a literal */
        TWO ("", ",'payload':{'x':{'$ref':'#/a/output','more':1}}"), /* no map of one key */
        TWO ("", ",'payload':{'x':'$ref','$':{'ref':1},'$refs':{}}"),
        TWO ("", ",'other':{'$ref':'#/a'}"), /* not in a payload */
        THREE ("", "", AFTER ("'b','a'") ",'payload':{'x':[{'$ref':'#/a'},{'$ref':'#/b'},{'$ref':'#/a'}]}"),
    };
    for (size_t i = 0; i < COUNT (documents); i++)
        ck_assert_taken (document (documents[i]), REEL_WORKFLOW_STRICT);
}
END_TEST

/* --- bounds ------------------------------------------------------------------------------ */

static struct reel_slice
taken_from (struct reel_buf *out)
{
    ck_assert_int_eq (reel_buf_status (out), REEL_OK);
    struct reel_slice copy = document_copy (reel_buf_slice (out));
    reel_buf_free (out);
    return copy;
}

static void
begin_steps (struct reel_buf *out, uint32_t count)
{
    reel_pack_map (out, 1);
    reel_pack_text (out, "steps");
    reel_pack_array (out, count);
}

/* The head of a step of that number with `more` fields to follow. */
static void
begin_step (struct reel_buf *out, unsigned number, uint32_t more)
{
    char id[16];
    snprintf (id, sizeof id, "s%u", number);
    reel_pack_map (out, 2 + more);
    reel_pack_text (out, "step_id");
    reel_pack_text (out, id);
    reel_pack_text (out, "modality");
    reel_pack_text (out, "m");
}

static struct reel_slice
steps_of (uint32_t count)
{
    struct reel_buf out = {0};
    begin_steps (&out, count);
    for (uint32_t i = 0; i < count; i++)
        begin_step (&out, i, 0);
    return taken_from (&out);
}

START_TEST (steps_are_bounded)
{
    ck_assert_taken (steps_of (1000), REEL_WORKFLOW_STRICT);
    ck_assert_uint_eq (workflow.step_count, 1000);
    ck_assert_refused (steps_of (1001), REEL_WORKFLOW_STRICT, "limit_exceeded", "/steps", "1001 steps, at most 1000");
}
END_TEST

static struct reel_slice
depends_of (uint32_t count)
{
    struct reel_buf out = {0};
    begin_steps (&out, 2);
    begin_step (&out, 0, 0);
    begin_step (&out, 1, 1);
    reel_pack_text (&out, "depends_on");
    reel_pack_array (&out, count);
    for (uint32_t i = 0; i < count; i++)
        reel_pack_text (&out, "s0");
    return taken_from (&out);
}

START_TEST (dependencies_are_bounded)
{
    ck_assert_taken (depends_of (1000), REEL_WORKFLOW_STRICT);
    ck_assert_uint_eq (workflow.steps[1].depends_count, 1000);
    ck_assert_refused (depends_of (1001), REEL_WORKFLOW_STRICT, "limit_exceeded", "/steps/1/depends_on",
                       "1001 dependencies, at most 1000");
}
END_TEST

static struct reel_slice
references_of (uint32_t count)
{
    struct reel_buf out = {0};
    begin_steps (&out, 2);
    begin_step (&out, 0, 0);
    begin_step (&out, 1, 2);
    reel_pack_text (&out, "depends_on");
    reel_pack_array (&out, 1);
    reel_pack_text (&out, "s0");
    reel_pack_text (&out, "payload");
    reel_pack_map (&out, 1);
    reel_pack_text (&out, "x");
    reel_pack_array (&out, count);
    for (uint32_t i = 0; i < count; i++) {
        reel_pack_map (&out, 1);
        reel_pack_text (&out, "$ref");
        reel_pack_text (&out, "#/s0");
    }
    return taken_from (&out);
}

START_TEST (references_are_bounded)
{
    ck_assert_taken (references_of (1000), REEL_WORKFLOW_STRICT);
    ck_assert_refused (references_of (1001), REEL_WORKFLOW_STRICT, "limit_exceeded", "/steps/1/payload/x/1000",
                       "references");
}
END_TEST

START_TEST (ids_are_bounded)
{
    char id[REEL_ID_BYTES_MAX + 2], modality[REEL_MODALITY_BYTES_MAX + 2];
    memset (id, 'i', sizeof id - 1);
    memset (modality, 'm', sizeof modality - 1);
    id[128] = modality[64] = '\0';
    ck_assert_taken (document_of ("{'workflow_id':'%s','steps':[{'step_id':'%s','modality':'%s'}]}", id, id, modality),
                     REEL_WORKFLOW_STRICT);
    id[128] = modality[64] = 'x';
    id[129] = modality[65] = '\0';
    ck_assert_refused (document_of ("{'workflow_id':'%s'}", id), REEL_WORKFLOW_STRICT, "bad_id", "/workflow_id", "128");
    ck_assert_refused (document_of ("{'steps':[{'step_id':'%s'}]}", id), REEL_WORKFLOW_STRICT, "bad_id",
                       "/steps/0/step_id", "128");
    ck_assert_refused (document_of ("{'steps':[{'modality':'%s'}]}", modality), REEL_WORKFLOW_STRICT, "bad_id",
                       "/steps/0/modality", "64");
}
END_TEST

START_TEST (numbers_are_taken_up_to_their_bounds)
{
    const struct reel_step *step = only_step (
        ONE (",'started_us':0,'finished_us':9223372036854775807,'policy':{'timeout_ms':31622400000,'retry':{"
             "'max_attempts':1000,'backoff_ms':31622400000,'backoff_max_ms':31622400000},'in_doubt':'fail'}"));
    ck_assert_int_eq (step->started_us, 0);
    ck_assert_int_eq (step->finished_us, INT64_MAX);
    ck_assert_int_eq (step->policy.timeout_ms, REEL_DURATION_MS_MAX);
    ck_assert_uint_eq (step->policy.max_attempts, 1000);
    ck_assert_int_eq (step->policy.backoff_ms, REEL_DURATION_MS_MAX);
    ck_assert_int_eq (step->policy.backoff_max_ms, REEL_DURATION_MS_MAX);
    step = only_step (ONE (",'policy':{'timeout_ms':1,'retry':{'max_attempts':1,'backoff_ms':0,'backoff_max_ms':0}}"));
    ck_assert_int_eq (step->policy.timeout_ms, 1);
    ck_assert_uint_eq (step->policy.max_attempts, 1);
}
END_TEST

/* A document of exactly that many bytes. */
static struct reel_slice
document_of_bytes (size_t len)
{
    struct reel_buf out = {0};
    begin_steps (&out, 1);
    begin_step (&out, 0, 1);
    reel_pack_text (&out, "payload");
    reel_pack_map (&out, 1);
    reel_pack_text (&out, "x");
    uint8_t *filler = calloc (1, len);
    ck_assert_ptr_nonnull (filler);
    reel_pack_bin (&out, reel_slice (filler, len - out.len - 5));
    free (filler);
    ck_assert_uint_eq (out.len, len);
    return taken_from (&out);
}

START_TEST (bytes_are_bounded_when_it_is_submitted)
{
    ck_assert_taken (document_of_bytes (REEL_DOCUMENT_BYTES_MAX), REEL_WORKFLOW_STRICT);
    struct reel_slice larger = document_of_bytes (REEL_DOCUMENT_BYTES_MAX + 1);
    ck_assert_refused (larger, REEL_WORKFLOW_STRICT, "limit_exceeded", "", "16777217 bytes, at most 16777216");
    ck_assert_refused (larger, REEL_WORKFLOW_RUNNING_OK, "limit_exceeded", "", "bytes");
    ck_assert_taken (larger, REEL_WORKFLOW_GROWN);
}
END_TEST

static struct reel_slice
payload_of_depth (unsigned depth)
{
    struct reel_buf out = {0};
    begin_steps (&out, 1);
    begin_step (&out, 0, 1);
    reel_pack_text (&out, "payload");
    for (unsigned i = 0; i < depth; i++) {
        reel_pack_map (&out, 1);
        reel_pack_text (&out, "x");
    }
    reel_pack_nil (&out);
    return taken_from (&out);
}

START_TEST (nesting_is_bounded)
{
    ck_assert_taken (payload_of_depth (21), REEL_WORKFLOW_STRICT);
    ck_assert_refused (payload_of_depth (22), REEL_WORKFLOW_STRICT, "limit_exceeded",
                       "/steps/0/payload/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x", "deep");
}
END_TEST

static void
add_keys (struct reel_buf *out, uint32_t count)
{
    char key[16];
    for (uint32_t i = 0; i < count; i++) {
        snprintf (key, sizeof key, "x%u", i);
        reel_pack_text (out, key);
        reel_pack_nil (out);
    }
}

/* A map of `count` keys: that of the workflow, that of its step, or a payload. */
static struct reel_slice
keys_of (char where, uint32_t count)
{
    struct reel_buf out = {0};
    reel_pack_map (&out, where == 'w' ? count : 1);
    if (where == 'w')
        add_keys (&out, count - 1);
    reel_pack_text (&out, "steps");
    reel_pack_array (&out, 1);
    begin_step (&out, 0, where == 's' ? count - 2 : 1);
    if (where == 's') {
        add_keys (&out, count - 2);
        return taken_from (&out);
    }
    reel_pack_text (&out, "payload");
    reel_pack_map (&out, where == 'p' ? count : 0);
    if (where == 'p')
        add_keys (&out, count);
    return taken_from (&out);
}

START_TEST (keys_are_bounded)
{
    ck_assert_taken (keys_of ('p', 65536), REEL_WORKFLOW_STRICT);
    ck_assert_refused (keys_of ('p', 65537), REEL_WORKFLOW_STRICT, "limit_exceeded", "/steps/0/payload", "keys");
    /* What is submitted leaves room for what is added to it. */
    ck_assert_taken (keys_of ('w', 65528), REEL_WORKFLOW_STRICT);
    ck_assert_refused (keys_of ('w', 65529), REEL_WORKFLOW_STRICT, "limit_exceeded", "", "65529 keys, at most 65528");
    ck_assert_taken (keys_of ('w', 65536), REEL_WORKFLOW_GROWN);
    ck_assert_refused (keys_of ('w', 65537), REEL_WORKFLOW_GROWN, "limit_exceeded", "", "keys");
    ck_assert_taken (keys_of ('s', 65528), REEL_WORKFLOW_STRICT);
    ck_assert_refused (keys_of ('s', 65529), REEL_WORKFLOW_STRICT, "limit_exceeded", "/steps/0", "65529 keys");
    ck_assert_taken (keys_of ('s', 65536), REEL_WORKFLOW_GROWN);
}
END_TEST

/* All 1000 wait for the one after, the last for the first. */
START_TEST (a_long_cycle_is_named_in_short)
{
    struct reel_buf out = {0};
    struct reel_error err = {0};
    char id[16];
    begin_steps (&out, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        begin_step (&out, i, 1);
        reel_pack_text (&out, "depends_on");
        reel_pack_array (&out, 1);
        snprintf (id, sizeof id, "s%u", (i + 1) % 1000);
        reel_pack_text (&out, id);
    }
    ck_assert_int_eq (reel_workflow_parse (&workflow, taken_from (&out), REEL_WORKFLOW_STRICT, &err), REEL_INVALID);
    ck_assert_str_eq (err.code, "cycle");
    ck_assert_str_eq (err.path, "/steps/0/depends_on/0");
    ck_assert_msg (strstr (err.message, ": s0 -> s1 -> s2 -> ") != NULL, "%s", err.message);
    ck_assert_msg (strstr (err.message, " more) -> s0") != NULL, "%s", err.message);
}
END_TEST

START_TEST (long_names_do_not_break_a_message)
{
    char first[129], second[129];
    struct reel_error err = {0};
    memset (first, 'f', 128);
    memset (second, 's', 128);
    first[128] = second[128] = '\0';
    struct reel_slice bytes = document_of (
        "{'steps':[{'step_id':'%s','modality':'m','depends_on':['%s']},{'step_id':'%s',"
        "'modality':'m','depends_on':['%s']}]}",
        first, second, second, first);
    ck_assert_int_eq (reel_workflow_parse (&workflow, bytes, REEL_WORKFLOW_STRICT, &err), REEL_INVALID);
    ck_assert_str_eq (err.code, "cycle");
    ck_assert_uint_eq (strlen (err.message), strlen ("these steps wait for each other: ") + 3 * 128 + 2 * 4);
}
END_TEST

/* --- use again, damage ------------------------------------------------------------------- */

START_TEST (memory_is_used_again_after_anything)
{
    ck_assert_taken (steps_of (3), REEL_WORKFLOW_STRICT);
    ck_assert_taken (steps_of (1000), REEL_WORKFLOW_STRICT);
    ck_assert_taken (depends_of (1000), REEL_WORKFLOW_STRICT);
    ck_assert_refused (document ("{'workflow_id':'w','steps':[]}"), REEL_WORKFLOW_STRICT, "empty_workflow", "/steps",
                       "");
    ck_assert_refused (document ("{'workflow_id':'w'}"), REEL_WORKFLOW_STRICT, "missing_field", "", "");
    ck_assert_taken (
        document ("{'workflow_id':'w','created_at':'2026-04-28T09:10:06Z','global_provenance':{},'steps':[" STEP (
            "a", "") "]}"),
        REEL_WORKFLOW_STRICT);
    ck_assert_taken (document (ONE ("")), REEL_WORKFLOW_STRICT);
    ck_assert_uint_eq (workflow.step_count, 1);
    ck_assert_uint_eq (workflow.depends_count, 0);
    ck_assert_uint_eq (workflow.workflow_id.len, 0); /* nothing is left of an earlier one */
    ck_assert_uint_eq (workflow.created_at.len, 0);
    ck_assert_uint_eq (workflow.global_provenance.len, 0);
    ck_assert_int_eq (reel_workflow_find (&workflow, reel_slice_text ("s0")), -1);
    reel_workflow_free (&workflow);
    ck_assert_ptr_null (workflow.steps);
    ck_assert_taken (document (TWO ("", AFTER ("'a'"))), REEL_WORKFLOW_STRICT);
    reel_workflow_free (&workflow);
    reel_workflow_free (&workflow);
}
END_TEST

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

/* --- names ------------------------------------------------------------------------------- */

START_TEST (statuses_have_names)
{
    static const char *const names[] = {"pending", "running", "succeeded", "failed", "skipped"};
    for (int i = REEL_STEP_PENDING; i <= REEL_STEP_SKIPPED; i++) {
        enum reel_step_status status = REEL_STEP_PENDING;
        ck_assert_str_eq (reel_step_status_name ((enum reel_step_status) i), names[i]);
        ck_assert (reel_step_status_parse (reel_slice_text (names[i]), &status));
        ck_assert_int_eq (status, i);
        ck_assert_int_eq (reel_step_status_final ((enum reel_step_status) i), i >= REEL_STEP_SUCCEEDED);
    }
    static const char *const none[] = {"", "pendin", "pendingx", "SKIPPED", "cancelled"};
    enum reel_step_status untouched = REEL_STEP_FAILED;
    for (size_t i = 0; i < COUNT (none); i++)
        ck_assert (!reel_step_status_parse (reel_slice_text (none[i]), &untouched));
    ck_assert_int_eq (untouched, REEL_STEP_FAILED);
}
END_TEST

START_TEST (in_doubt_has_names)
{
    static const char *const names[] = {"", "hold", "retry", "fail"};
    enum reel_in_doubt in_doubt = REEL_IN_DOUBT_UNSET;
    for (int i = REEL_IN_DOUBT_UNSET; i <= REEL_IN_DOUBT_FAIL; i++) {
        ck_assert_str_eq (reel_in_doubt_name ((enum reel_in_doubt) i), names[i]);
        ck_assert_int_eq (reel_in_doubt_parse (reel_slice_text (names[i]), &in_doubt), i != REEL_IN_DOUBT_UNSET);
        ck_assert_int_eq (in_doubt, i);
    }
    ck_assert (!reel_in_doubt_parse (reel_slice_text ("Hold"), &in_doubt));
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("workflow");
    TCase *tcase = suite_case (suite, "workflow", setup, teardown);
    tcase_add_test (tcase, a_step_has_its_defaults);
    tcase_add_test (tcase, a_workflow_has_its_defaults);
    tcase_add_test (tcase, nil_counts_as_absent_where_there_is_a_default);
    tcase_add_test (tcase, a_step_keeps_all_it_was_given);
    tcase_add_test (tcase, slices_lie_in_the_document);
    tcase_add_test (tcase, unknown_keys_are_passed_over_at_every_level);
    tcase_add_test (tcase, fields_may_come_in_any_order);
    tcase_add_test (tcase, an_error_may_be_a_plain_string);
    tcase_add_test (tcase, dependencies_become_indexes_in_their_order);
    tcase_add_test (tcase, steps_are_found_by_id);
    tcase_add_test (tcase, many_steps_are_found_by_id);
    tcase_add_test (tcase, every_field_with_every_type);
    tcase_add_test (tcase, every_code_with_its_place);
    tcase_add_test (tcase, bytes_that_are_no_document);
    tcase_add_test (tcase, half_executed_documents_are_taken);
    tcase_add_test (tcase, a_running_step_is_for_a_local_run_only);
    tcase_add_test (tcase, references_to_what_is_depended_on_are_taken);
    tcase_add_test (tcase, steps_are_bounded);
    tcase_add_test (tcase, dependencies_are_bounded);
    tcase_add_test (tcase, references_are_bounded);
    tcase_add_test (tcase, ids_are_bounded);
    tcase_add_test (tcase, numbers_are_taken_up_to_their_bounds);
    tcase_add_test (tcase, bytes_are_bounded_when_it_is_submitted);
    tcase_add_test (tcase, nesting_is_bounded);
    tcase_add_test (tcase, keys_are_bounded);
    tcase_add_test (tcase, a_long_cycle_is_named_in_short);
    tcase_add_test (tcase, long_names_do_not_break_a_message);
    tcase_add_test (tcase, memory_is_used_again_after_anything);
    tcase_add_test (tcase, every_truncation_is_refused);
    tcase_add_test (tcase, every_corruption_of_a_byte_is_answered);
    tcase_add_test (tcase, statuses_have_names);
    tcase_add_test (tcase, in_doubt_has_names);
    return suite_run (suite);
}
