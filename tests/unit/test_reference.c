/*
 * References in payloads: their form, the walk with its paths, and what they are replaced by.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "proto/pack.h"
#include "proto/reference.h"
#include "proto/scan.h"
#include "tests/support/run_bench.h"
#include "tests/support/suite.h"

static struct run_bench bench; /* for its JSON */
static struct reel_buf receipt;
static struct reel_error err;

static void
set_up (void)
{
    receipt = run_bench_msgpack (
        "{'output':{'image':'k.png','n':7,'list':[10,{'x':null}],'a/b':1,'m~n':2,'':3,'50%25':4}}");
    err = (struct reel_error){0};
}

static void
tear_down (void)
{
    reel_buf_free (&receipt);
    run_bench_free (&bench);
}

/* --- form ---------------------------------------------------------------------------------- */

START_TEST (form_is_a_step_and_a_pointer)
{
    static const struct {
        const char *text, *step_id, *pointer; /* NULL: refused */
    } cases[] = {
        {"#/a", "a", ""},
        {"#/a/", "a", "/"},
        {"#/a/output/image", "a", "/output/image"},
        {"#/A.b_c:d-e/x", "A.b_c:d-e", "/x"},
        {"#/a/x~0y~1z", "a", "/x~0y~1z"},
        {"#/a//", "a", "//"},
        {"", NULL, NULL},
        {"#", NULL, NULL},
        {"#/", NULL, NULL},
        {"a/output", NULL, NULL},
        {"/a/output", NULL, NULL},
        {"#a/output", NULL, NULL},
        {"#//output", NULL, NULL},
        {"##/a", NULL, NULL},
        {"#/-a", NULL, NULL},
        {"#/a b/x", NULL, NULL},
        {"#/a/~", NULL, NULL},
        {"#/a/x~2", NULL, NULL},
        {"#/a/x~", NULL, NULL},
        {"#/a~0/x", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reel_slice step_id, pointer;
        enum reel_status status = reel_reference_parse (reel_slice_text (cases[i].text), &step_id, &pointer);
        ck_assert_msg (status == (cases[i].step_id != NULL ? REEL_OK : REEL_INVALID), "%s", cases[i].text);
        if (status == REEL_OK) {
            ck_assert (reel_slice_is (step_id, cases[i].step_id));
            ck_assert (reel_slice_is (pointer, cases[i].pointer));
        }
    }
}
END_TEST

START_TEST (form_has_an_id_of_at_most_128_bytes)
{
    char text[2 + REEL_ID_BYTES_MAX + 2] = "#/";
    struct reel_slice step_id, pointer;
    memset (text + 2, 'x', REEL_ID_BYTES_MAX + 1);
    ck_assert_int_eq (reel_reference_parse (reel_slice (text, 2 + REEL_ID_BYTES_MAX), &step_id, &pointer), REEL_OK);
    ck_assert_int_eq (reel_reference_parse (reel_slice (text, 3 + REEL_ID_BYTES_MAX), &step_id, &pointer),
                      REEL_INVALID);
}
END_TEST

/* --- the walk ------------------------------------------------------------------------------ */

static char visited[4096];

static enum reel_status
note (void *context, struct reel_slice text, const char *path, struct reel_error *error)
{
    size_t len = strlen (visited);
    snprintf (visited + len, sizeof visited - len, "%s=%.*s;", path, REEL_TEXT (text));
    if (context != NULL && reel_slice_is (text, context))
        return reel_error_set (error, REEL_INVALID, "bad_reference", path, "not this one");
    return REEL_OK;
}

static enum reel_status
walk (const char *payload, const char *stop_at)
{
    struct reel_buf bytes = run_bench_msgpack (payload);
    visited[0] = '\0';
    enum reel_status status = reel_reference_walk (reel_buf_slice (&bytes), "/steps/3/payload", note,
                                                   (void *) (uintptr_t) stop_at, &err);
    reel_buf_free (&bytes);
    return status;
}

START_TEST (walk_calls_back_in_order_with_paths)
{
    ck_assert_int_eq (
        walk ("{'a':{'$ref':'#/x'},'b':[0,{'c/d':{'$ref':'#/y/1'}},[{'$ref':'#/z'}]],'e~':{'$ref':'#/x/'}}", NULL),
        REEL_OK);
    ck_assert_str_eq (visited, "/steps/3/payload/a=#/x;/steps/3/payload/b/1/c~1d=#/y/1;/steps/3/payload/b/2/0=#/z;"
                               "/steps/3/payload/e~0=#/x/;");
}
END_TEST

START_TEST (walk_takes_the_payload_itself_for_a_reference)
{
    ck_assert_int_eq (walk ("{'$ref':'#/x'}", NULL), REEL_OK);
    ck_assert_str_eq (visited, "/steps/3/payload=#/x;");
}
END_TEST

START_TEST (walk_passes_over_what_is_no_reference)
{
    static const char *const payloads[] = {"{}",
                                           "{'x':'$ref'}",
                                           "{'x':['$ref','#/a']}",
                                           "{'$ref':'#/a','y':1}",
                                           "{'y':1,'$ref':'#/a'}",
                                           "{'$ref':5,'y':1}",
                                           "{'$$ref':'anything'}",
                                           "{'$$$ref':5}",
                                           "{'ref':'#/a'}",
                                           "{'x$ref':'#/a'}",
                                           "{'$refs':'#/a'}",
                                           "{'$Ref':'#/a'}"};
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        ck_assert_msg (walk (payloads[i], NULL) == REEL_OK, "%s", payloads[i]);
        ck_assert_str_eq (visited, "");
    }
    ck_assert_int_eq (reel_reference_walk (REEL_SLICE_NONE, "", note, NULL, NULL), REEL_OK);
}
END_TEST

START_TEST (walk_looks_into_a_literal)
{
    ck_assert_int_eq (walk ("{'$$ref':{'$ref':'#/a'}}", NULL), REEL_OK);
    ck_assert_str_eq (visited, "/steps/3/payload/$$ref=#/a;");
}
END_TEST

START_TEST (walk_refuses_a_bad_reference_where_it_is)
{
    static const struct {
        const char *payload, *path;
    } cases[] = {{"{'$ref':5}", "/steps/3/payload"},
                 {"{'$ref':null}", "/steps/3/payload"},
                 {"{'$ref':{'$ref':'#/a'}}", "/steps/3/payload"},
                 {"{'x':[1,{'$ref':['#/a']}]}", "/steps/3/payload/x/1"},
                 {"{'x':{'$ref':'a/b'}}", "/steps/3/payload/x"},
                 {"{'x':{'$ref':''}}", "/steps/3/payload/x"},
                 {"{'x':{'$ref':{'$bin':'Iy9h'}}}", "/steps/3/payload/x"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_msg (walk (cases[i].payload, NULL) == REEL_INVALID, "%s", cases[i].payload);
        ck_assert_str_eq (err.code, "bad_reference");
        ck_assert_str_eq (err.path, cases[i].path);
        ck_assert_str_eq (visited, "");
    }
}
END_TEST

START_TEST (walk_ends_where_the_visitor_says_no)
{
    ck_assert_int_eq (walk ("[{'$ref':'#/a'},{'$ref':'#/b'},{'$ref':'#/c'}]", "#/b"), REEL_INVALID);
    ck_assert_str_eq (visited, "/steps/3/payload/0=#/a;/steps/3/payload/1=#/b;");
    ck_assert_str_eq (err.path, "/steps/3/payload/1");
}
END_TEST

START_TEST (walk_cuts_a_path_at_an_enclosing_value)
{
    struct reel_buf payload = {0};
    char name[REEL_ERROR_PATH_BYTES];
    memset (name, 'k', sizeof name);
    name[sizeof name - 1] = '\0';
    reel_pack_map (&payload, 1);
    reel_pack_text (&payload, "short");
    reel_pack_map (&payload, 1);
    reel_pack_text (&payload, name);
    reel_pack_map (&payload, 1);
    reel_pack_text (&payload, "$ref");
    reel_pack_nil (&payload);
    ck_assert_int_eq (reel_reference_walk (reel_buf_slice (&payload), "/p", note, NULL, &err), REEL_INVALID);
    ck_assert_str_eq (err.path, "/p/short");
    reel_buf_free (&payload);
}
END_TEST

static struct reel_buf
many_references (uint32_t count)
{
    struct reel_buf payload = {0};
    reel_pack_map (&payload, 1);
    reel_pack_text (&payload, "x");
    reel_pack_array (&payload, count);
    for (uint32_t i = 0; i < count; i++) {
        reel_pack_map (&payload, 1);
        reel_pack_text (&payload, "$ref");
        reel_pack_text (&payload, "#/a/output/n");
    }
    return payload;
}

static enum reel_status
count_one (void *context, struct reel_slice text, const char *path, struct reel_error *error)
{
    (void) text;
    (void) path;
    (void) error;
    ++*(uint32_t *) context;
    return REEL_OK;
}

START_TEST (walk_takes_a_thousand_references)
{
    for (uint32_t over = 0; over < 2; over++) {
        uint32_t count = 0;
        struct reel_buf payload = many_references (REEL_REFERENCES_MAX + over);
        ck_assert_int_eq (reel_reference_walk (reel_buf_slice (&payload), "", count_one, &count, &err),
                          over ? REEL_INVALID : REEL_OK);
        ck_assert_uint_eq (count, REEL_REFERENCES_MAX);
        reel_buf_free (&payload);
    }
    ck_assert_str_eq (err.code, "limit_exceeded");
    ck_assert_str_eq (err.path, "/x/1000");
}
END_TEST

/* --- resolving ----------------------------------------------------------------------------- */

static bool
only_a (void *context, struct reel_slice step_id, struct reel_slice *found)
{
    (void) context;
    *found = reel_buf_slice (&receipt);
    return reel_slice_is (step_id, "a");
}

static bool replaced;

/* What the payload becomes, or the code and path of its error. */
static const char *
resolve (const char *payload)
{
    static char text[2048];
    struct reel_buf bytes = run_bench_msgpack (payload), out = {0};
    reel_buf_add_text (&out, "before");
    enum reel_status status = reel_reference_resolve (reel_buf_slice (&bytes), only_a, NULL, &out, &replaced, &err);
    if (status == REEL_OK) {
        struct reel_slice made = reel_slice (out.data + 6, out.len - 6);
        ck_assert_int_eq (reel_scan_check (made, REEL_DEPTH_MAX, NULL), REEL_OK);
        snprintf (text, sizeof text, "%s", run_bench_json (&bench, made));
    } else {
        ck_assert_uint_eq (out.len, 6);
        snprintf (text, sizeof text, "%s %s", err.code, err.path);
    }
    reel_buf_free (&bytes);
    reel_buf_free (&out);
    return text;
}

START_TEST (resolve_replaces)
{
    static const char *const cases[][2] = {
        {"{'x':{'$ref':'#/a/output/n'}}", "{'x':7}"},
        {"{'x':[{'$ref':'#/a/output/image'},{'y':{'$ref':'#/a/output/list'}}]}",
         "{'x':['k.png',{'y':[10,{'x':null}]}]}"},
        {"{'x':{'$ref':'#/a/output/list/1'}}", "{'x':{'x':null}}"},
        {"{'x':{'$ref':'#/a/output/list/1/x'}}", "{'x':null}"},
        {"{'x':{'$ref':'#/a/output/a~1b'}}", "{'x':1}"},
        {"{'x':{'$ref':'#/a/output/m~0n'}}", "{'x':2}"},
        {"{'x':{'$ref':'#/a/output/'}}", "{'x':3}"},
        {"{'x':{'$ref':'#/a/output/50%25'}}", "{'x':4}"},
        {"{'$ref':'#/a/output/list/1'}", "{'x':null}"},
        {"{'b':{'$ref':'#/a/output/n'},'a':{'$ref':'#/a/output/n'}}", "{'b':7,'a':7}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_str_eq (resolve (cases[i][0]), cases[i][1]);
        ck_assert (replaced);
    }
}
END_TEST

START_TEST (resolve_takes_one_dollar_off_a_literal)
{
    static const char *const cases[][2] = {
        {"{'$$ref':'#/a'}", "{'$ref':'#/a'}"},
        {"{'x':{'$$ref':5}}", "{'x':{'$ref':5}}"},
        {"{'x':{'$$$ref':'y'}}", "{'x':{'$$ref':'y'}}"},
        {"{'x':[{'$$$$ref':null}]}", "{'x':[{'$$$ref':null}]}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_str_eq (resolve (cases[i][0]), cases[i][1]);
        ck_assert (!replaced);
    }
    ck_assert_str_eq (resolve ("{'$$ref':{'$ref':'#/a/output/n'}}"), "{'$ref':7}");
    ck_assert (replaced);
}
END_TEST

START_TEST (resolve_leaves_everything_else)
{
    static const char *const cases[] = {"{}",
                                        "{'z':1,'a':[true,null,-5,1.5,{'$bin':'AAE='},{'$ext':[5,'AQ==']}]}",
                                        "{'$ref':'#/a','y':1}",
                                        "{'$$ref':1,'y':2}",
                                        "{'x':'$ref'}",
                                        "{'$ref ':'#/a'}"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_str_eq (resolve (cases[i]), cases[i]);
        ck_assert (!replaced);
    }
}
END_TEST

START_TEST (resolve_copies_bytes_as_they_are)
{
    /* {"w": 5 in eight bytes, "x": {"$ref": ...}, "s": "y" as str 8} as a map 16 */
    static const char payload[] =
        "\xde\x00\x03\xa1w\xcf\0\0\0\0\0\0\0\x05\xa1x\x81\xa4$ref\xac#/a/output/n\xa1s\xd9\x01y";
    static const char wanted[] = "\xde\x00\x03\xa1w\xcf\0\0\0\0\0\0\0\x05\xa1x\x07\xa1s\xd9\x01y";
    struct reel_buf out = {0};
    ck_assert_int_eq (
        reel_reference_resolve (reel_slice (payload, sizeof payload - 1), only_a, NULL, &out, &replaced, &err),
        REEL_OK);
    ck_assert (reel_slice_equal (reel_buf_slice (&out), reel_slice (wanted, sizeof wanted - 1)));
    reel_buf_free (&out);
}
END_TEST

START_TEST (resolve_makes_an_absent_payload_an_empty_map)
{
    struct reel_buf out = {0};
    ck_assert_int_eq (reel_reference_resolve (REEL_SLICE_NONE, only_a, NULL, &out, &replaced, &err), REEL_OK);
    ck_assert_str_eq (run_bench_json (&bench, reel_buf_slice (&out)), "{}");
    reel_buf_free (&out);
}
END_TEST

START_TEST (resolve_says_what_it_did_not_find)
{
    static const char *const cases[][2] = {
        {"{'x':{'$ref':'#/b'}}", "unresolved_reference /x"},
        {"{'x':{'$ref':'#/a/none'}}", "unresolved_reference /x"},
        {"{'x':[{'$ref':'#/a/output/list/2'}]}", "unresolved_reference /x/0"},
        {"{'x':{'$ref':'#/a/output/list/01'}}", "unresolved_reference /x"},
        {"{'x':{'$ref':'#/a/output/list/-'}}", "unresolved_reference /x"},
        {"{'x':{'$ref':'#/a/output/n/deeper'}}", "unresolved_reference /x"},
        {"{'$ref':'#/a/output/n'}", "unresolved_reference "},
        {"{'$ref':'#/a/output/list'}", "unresolved_reference "},
        {"{'x':{'$ref':5}}", "bad_reference /x"},
        {"{'x':{'$ref':'nowhere'}}", "bad_reference /x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_str_eq (resolve (cases[i][0]), cases[i][1]);
}
END_TEST

START_TEST (resolve_nests_as_deep_as_a_document)
{
    for (unsigned over = 0; over < 2; over++) {
        struct reel_buf out = {0}, payload = {0}, deep = {0};
        /* The reference lies in 4 containers; what it finds has 20, or 21. */
        reel_pack_map (&deep, 1);
        reel_pack_text (&deep, "d");
        for (unsigned i = 1; i < REEL_DEPTH_MAX - 3 + over; i++)
            reel_pack_array (&deep, 1);
        reel_pack_nil (&deep);
        reel_buf_free (&receipt);
        receipt = deep;
        reel_pack_map (&payload, 1);
        reel_pack_text (&payload, "x");
        for (unsigned i = 0; i < 3; i++)
            reel_pack_array (&payload, 1);
        reel_pack_map (&payload, 1);
        reel_pack_text (&payload, "$ref");
        reel_pack_text (&payload, "#/a/d");
        enum reel_status status = reel_reference_resolve (reel_buf_slice (&payload), only_a, NULL, &out, &replaced,
                                                          &err);
        ck_assert_int_eq (status, over ? REEL_INVALID : REEL_OK);
        if (over)
            ck_assert_str_eq (err.code, "limit_exceeded");
        else
            ck_assert_int_eq (reel_scan_depth (reel_buf_slice (&out)), REEL_DEPTH_MAX);
        reel_buf_free (&payload);
        reel_buf_free (&out);
    }
}
END_TEST

START_TEST (resolve_makes_no_more_than_a_document_may_have)
{
    for (size_t over = 0; over < 2; over++) {
        struct reel_buf out = {0}, payload = {0};
        size_t filler = REEL_DOCUMENT_BYTES_MAX - 16 + over;
        uint8_t *zeros = calloc (1, filler);
        reel_pack_map (&payload, 2);
        reel_pack_text (&payload, "f");
        reel_pack_bin (&payload, reel_slice (zeros, filler));
        reel_pack_text (&payload, "r");
        reel_pack_map (&payload, 1);
        reel_pack_text (&payload, "$ref");
        reel_pack_text (&payload, "#/a/output/image");
        enum reel_status status = reel_reference_resolve (reel_buf_slice (&payload), only_a, NULL, &out, &replaced,
                                                          &err);
        ck_assert_int_eq (status, over ? REEL_INVALID : REEL_OK);
        ck_assert_uint_eq (out.len, over ? 0 : REEL_DOCUMENT_BYTES_MAX);
        if (over)
            ck_assert_str_eq (err.code, "limit_exceeded");
        free (zeros);
        reel_buf_free (&payload);
        reel_buf_free (&out);
    }
}
END_TEST

START_TEST (resolve_takes_a_thousand_references)
{
    for (uint32_t over = 0; over < 2; over++) {
        struct reel_buf out = {0}, payload = many_references (REEL_REFERENCES_MAX + over);
        ck_assert_int_eq (reel_reference_resolve (reel_buf_slice (&payload), only_a, NULL, &out, &replaced, &err),
                          over ? REEL_INVALID : REEL_OK);
        ck_assert_uint_eq (out.len == 0, over);
        reel_buf_free (&payload);
        reel_buf_free (&out);
    }
    ck_assert_str_eq (err.code, "limit_exceeded");
}
END_TEST

START_TEST (resolve_survives_bytes_that_were_not_checked)
{
    static const char whole[] = "\x82\xa1x\x92\x81\xa4$ref\xac#/a/output/n\x81\xa5$$ref\x01\xa1y\x02";
    for (size_t len = 1; len < sizeof whole - 1; len++) {
        struct reel_buf out = {0};
        char *cut = malloc (len);
        memcpy (cut, whole, len);
        enum reel_status resolved = reel_reference_resolve (reel_slice (cut, len), only_a, NULL, &out, &replaced, &err);
        enum reel_status walked = reel_reference_walk (reel_slice (cut, len), "", count_one, &(uint32_t){0}, &err);
        ck_assert (len < 10 || (resolved == REEL_INVALID && walked == REEL_INVALID));
        free (cut);
        reel_buf_free (&out);
    }
}
END_TEST

/* ------------------------------------------------------------------------------------------- */

int
main (void)
{
    Suite *suite = suite_create ("reference");
    TCase *tc;
    tc = suite_case (suite, "form", set_up, tear_down);
    tcase_add_test (tc, form_is_a_step_and_a_pointer);
    tcase_add_test (tc, form_has_an_id_of_at_most_128_bytes);
    tc = suite_case (suite, "walk", set_up, tear_down);
    tcase_add_test (tc, walk_calls_back_in_order_with_paths);
    tcase_add_test (tc, walk_takes_the_payload_itself_for_a_reference);
    tcase_add_test (tc, walk_passes_over_what_is_no_reference);
    tcase_add_test (tc, walk_looks_into_a_literal);
    tcase_add_test (tc, walk_refuses_a_bad_reference_where_it_is);
    tcase_add_test (tc, walk_ends_where_the_visitor_says_no);
    tcase_add_test (tc, walk_cuts_a_path_at_an_enclosing_value);
    tcase_add_test (tc, walk_takes_a_thousand_references);
    tc = suite_case (suite, "resolve", set_up, tear_down);
    tcase_add_test (tc, resolve_replaces);
    tcase_add_test (tc, resolve_takes_one_dollar_off_a_literal);
    tcase_add_test (tc, resolve_leaves_everything_else);
    tcase_add_test (tc, resolve_copies_bytes_as_they_are);
    tcase_add_test (tc, resolve_makes_an_absent_payload_an_empty_map);
    tcase_add_test (tc, resolve_says_what_it_did_not_find);
    tcase_add_test (tc, resolve_nests_as_deep_as_a_document);
    tcase_add_test (tc, resolve_makes_no_more_than_a_document_may_have);
    tcase_add_test (tc, resolve_takes_a_thousand_references);
    tcase_add_test (tc, resolve_survives_bytes_that_were_not_checked);
    return suite_run (suite);
}
