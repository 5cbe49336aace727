/*
 * Provenance: three layers, later wins, nothing moves.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "proto/pack.h"
#include "proto/provenance.h"
#include "proto/scan.h"
#include "tests/support/run_bench.h"
#include "tests/support/suite.h"

static struct run_bench bench; /* for its JSON */

static void
set_up (void)
{
}

static void
tear_down (void)
{
    run_bench_free (&bench);
}

static const char *
merge (const char *global, const char *overrides)
{
    struct reel_buf lower = {0}, upper = {0}, out = {0};
    if (global != NULL)
        lower = run_bench_msgpack (global);
    if (overrides != NULL)
        upper = run_bench_msgpack (overrides);
    reel_buf_add_byte (&out, 0xc3);
    ck_assert_int_eq (reel_provenance_merge (reel_buf_slice (&lower), reel_buf_slice (&upper), reel_slice_text ("w"),
                                             reel_slice_text ("s"), &out),
                      REEL_OK);
    struct reel_slice made = reel_slice (out.data + 1, out.len - 1);
    ck_assert_int_eq (reel_scan_check (made, REEL_DEPTH_MAX, NULL), REEL_OK);
    const char *json = run_bench_json (&bench, made);
    reel_buf_free (&lower);
    reel_buf_free (&upper);
    reel_buf_free (&out);
    return json;
}

#define ID "'workflow_id':'w','workflow_step_id':'s'"

START_TEST (merge_of_nothing_is_identity)
{
    ck_assert_str_eq (merge (NULL, NULL), "{" ID "}");
    ck_assert_str_eq (merge ("{}", "{}"), "{" ID "}");
    ck_assert_str_eq (merge (NULL, "{}"), "{" ID "}");
}
END_TEST

START_TEST (merge_takes_the_later_layer)
{
    ck_assert_str_eq (merge ("{'a':1}", NULL), "{'a':1," ID "}");
    ck_assert_str_eq (merge (NULL, "{'a':2}"), "{'a':2," ID "}");
    ck_assert_str_eq (merge ("{'a':1}", "{'a':2}"), "{'a':2," ID "}");
}
END_TEST

START_TEST (merge_is_at_the_top_level_only)
{
    ck_assert_str_eq (merge ("{'a':{'x':1,'y':2}}", "{'a':{'x':3}}"), "{'a':{'x':3}," ID "}");
}
END_TEST

START_TEST (merge_lets_a_nil_win)
{
    ck_assert_str_eq (merge ("{'a':1}", "{'a':null}"), "{'a':null," ID "}");
}
END_TEST

START_TEST (merge_keeps_keys_where_the_lowest_layer_put_them)
{
    ck_assert_str_eq (merge ("{'c':1,'b':2,'a':3}", "{'z':9,'a':30,'y':8,'c':10}"),
                      "{'c':10,'b':2,'a':30,'z':9,'y':8," ID "}");
}
END_TEST

START_TEST (merge_lets_nobody_forge_identity)
{
    ck_assert_str_eq (merge ("{'workflow_id':'x','a':1}", NULL), "{'workflow_id':'w','a':1,'workflow_step_id':'s'}");
    ck_assert_str_eq (merge (NULL, "{'workflow_step_id':{'x':1},'a':1}"),
                      "{'workflow_step_id':'s','a':1,'workflow_id':'w'}");
    ck_assert_str_eq (merge ("{'a':1,'workflow_step_id':'x'}", "{'workflow_id':'y','workflow_step_id':'z'}"),
                      "{'a':1,'workflow_step_id':'s','workflow_id':'w'}");
    ck_assert_str_eq (merge ("{'workflow_id':'x'}", "{'workflow_id':'y'}"),
                      "{'workflow_id':'w','workflow_step_id':'s'}");
}
END_TEST

START_TEST (merge_keeps_types_and_values)
{
    ck_assert_str_eq (merge ("{'a':{'$bin':'AA=='},'b':{'$f32':'3f800000'}}", "{'c':{'$ext':[1,'AA==']},'d':-1}"),
                      "{'a':{'$bin':'AA=='},'b':{'$f32':'3f800000'},'c':{'$ext':[1,'AA==']},'d':-1," ID "}");
}
END_TEST

START_TEST (merge_tells_keys_apart_by_all_their_bytes)
{
    ck_assert_str_eq (merge ("{'a':1,'ab':2,'':3}", "{'abc':4,'ab':5,'b':6}"),
                      "{'a':1,'ab':5,'':3,'abc':4,'b':6," ID "}");
}
END_TEST

static struct reel_buf
keys (uint32_t first, uint32_t count, uint64_t value)
{
    struct reel_buf out = {0};
    reel_pack_map (&out, count);
    for (uint32_t i = 0; i < count; i++) {
        char name[16];
        snprintf (name, sizeof name, "k%u", first + i * 7 % count);
        reel_pack_text (&out, name);
        reel_pack_uint (&out, value);
    }
    return out;
}

START_TEST (merge_of_large_layers_is_quick)
{
    const uint32_t half = REEL_MAP_KEYS_MAX / 2;
    struct reel_buf lower = keys (0, REEL_MAP_KEYS_MAX, 1), upper = keys (half, REEL_MAP_KEYS_MAX, 2), out = {0};
    ck_assert_int_eq (reel_provenance_merge (reel_buf_slice (&lower), reel_buf_slice (&upper), reel_slice_text ("w"),
                                             reel_slice_text ("s"), &out),
                      REEL_OK);
    struct reel_value head;
    uint64_t value;
    ck_assert (reel_scan_value (reel_buf_slice (&out), &head));
    ck_assert_uint_eq (head.count, REEL_MAP_KEYS_MAX + half + 2);
    ck_assert (reel_scan_find_uint (reel_buf_slice (&out), "k0", &value) && value == 1);
    ck_assert (reel_scan_find_uint (reel_buf_slice (&out), "k40000", &value) && value == 2);
    ck_assert (reel_scan_find_uint (reel_buf_slice (&out), "k90000", &value) && value == 2);
    reel_buf_free (&lower);
    reel_buf_free (&upper);
    reel_buf_free (&out);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("provenance");
    TCase *tc;
    tc = suite_case (suite, "merge", set_up, tear_down);
    tcase_add_test (tc, merge_of_nothing_is_identity);
    tcase_add_test (tc, merge_takes_the_later_layer);
    tcase_add_test (tc, merge_is_at_the_top_level_only);
    tcase_add_test (tc, merge_lets_a_nil_win);
    tcase_add_test (tc, merge_keeps_keys_where_the_lowest_layer_put_them);
    tcase_add_test (tc, merge_lets_nobody_forge_identity);
    tcase_add_test (tc, merge_keeps_types_and_values);
    tcase_add_test (tc, merge_tells_keys_apart_by_all_their_bytes);
    tcase_add_test (tc, merge_of_large_layers_is_quick);
    return suite_run (suite);
}
