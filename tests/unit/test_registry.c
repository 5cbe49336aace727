/*
 * The registry: order, refusals, the limit, and what is told of it.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "proto/json.h"
#include "tests/support/suite.h"
#include "worker/adapter_builtin.h"
#include "worker/registry.h"

static struct reel_registry *registry;
static struct reel_error err;

static void
set_up (void)
{
    ck_assert_int_eq (reel_registry_create (&registry), REEL_OK);
}

static void
tear_down (void)
{
    reel_registry_destroy (&registry);
    ck_assert_ptr_null (registry);
    reel_registry_destroy (&registry);
}

static enum reel_status
add (const char *modality, const char *name, const struct reel_policy *policy)
{
    struct reel_adapter *adapter = NULL;
    ck_assert_int_eq (reel_adapter_builtin_create (name, &adapter), REEL_OK);
    enum reel_status status = reel_registry_add (registry, modality, &adapter, policy, &err);
    ck_assert_int_eq (adapter == NULL, status == REEL_OK); /* taken if and only if it worked */
    if (adapter != NULL)
        adapter->destroy (adapter);
    return status;
}

static const char *
dispatch_json (void)
{
    static char text[4096];
    struct reel_buf packed = {0}, json = {0};
    reel_registry_pack_dispatch (registry, &packed);
    ck_assert_int_eq (reel_json_write (reel_buf_slice (&packed), REEL_JSON_COMPACT, &json), REEL_OK);
    snprintf (text, sizeof text, "%.*s", REEL_TEXT (reel_buf_slice (&json)));
    reel_buf_free (&packed);
    reel_buf_free (&json);
    return text;
}

static const struct reel_policy no_policy;

START_TEST (builtin_serves_three)
{
    ck_assert_int_eq (reel_registry_add_builtin (registry, &err), REEL_OK);
    ck_assert_str_eq (dispatch_json (), "{\"echo\":{\"adapter\":\"echo\",\"class\":\"idempotent\"},"
                                        "\"fail\":{\"adapter\":\"fail\",\"class\":\"idempotent\"},"
                                        "\"sleep\":{\"adapter\":\"sleep\",\"class\":\"idempotent\"}}");
}
END_TEST

START_TEST (entries_are_found_and_in_order)
{
    static const char *const names[] = {"video", "audio", "v", "keyframe", "video.hd", "0"};
    static const char *const sorted[] = {"0", "audio", "keyframe", "v", "video", "video.hd"};
    for (size_t i = 0; i < 6; i++)
        ck_assert_int_eq (add (names[i], "echo", &no_policy), REEL_OK);
    for (size_t i = 0; i < 6; i++) {
        ck_assert_str_eq (reel_registry_at (registry, i)->modality, sorted[i]);
        ck_assert_ptr_eq (reel_registry_find (registry, reel_slice_text (sorted[i])), reel_registry_at (registry, i));
    }
    ck_assert_ptr_null (reel_registry_at (registry, 6));
    ck_assert_ptr_null (reel_registry_find (registry, reel_slice_text ("vide")));
    ck_assert_ptr_null (reel_registry_find (registry, reel_slice_text ("videos")));
    ck_assert_ptr_null (reel_registry_find (registry, REEL_SLICE_NONE));
    struct reel_buf packed = {0}, json = {0};
    reel_registry_pack_modalities (registry, &packed);
    ck_assert_int_eq (reel_json_write (reel_buf_slice (&packed), REEL_JSON_COMPACT, &json), REEL_OK);
    ck_assert (reel_slice_is (reel_buf_slice (&json), "[\"0\",\"audio\",\"keyframe\",\"v\",\"video\",\"video.hd\"]"));
    reel_buf_free (&packed);
    reel_buf_free (&json);
}
END_TEST

START_TEST (modality_is_there_once)
{
    ck_assert_int_eq (add ("video", "echo", &no_policy), REEL_OK);
    ck_assert_int_eq (add ("video", "sleep", &no_policy), REEL_INVALID);
    ck_assert_ptr_nonnull (strstr (err.message, "video"));
    ck_assert_str_eq (reel_registry_find (registry, reel_slice_text ("video"))->adapter->name, "echo");
}
END_TEST

START_TEST (modality_out_of_form_is_refused)
{
    static const char *const names[] = {"", "Video", "-video", "vi deo", "vid/eo"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_assert_int_eq (add (names[i], "echo", &no_policy), REEL_INVALID);
        ck_assert_str_eq (err.code, "bad_id");
    }
    ck_assert_uint_eq (reel_registry_count (registry), 0);
}
END_TEST

START_TEST (limit_is_refused_at_one_more)
{
    char name[16];
    for (int i = 0; i < REEL_MODALITIES_MAX; i++) {
        snprintf (name, sizeof name, "m%d", i);
        ck_assert_int_eq (add (name, "echo", &no_policy), REEL_OK);
    }
    ck_assert_int_eq (add ("more", "echo", &no_policy), REEL_INVALID);
    ck_assert_str_eq (err.code, "limit_exceeded");
    ck_assert_uint_eq (reel_registry_count (registry), REEL_MODALITIES_MAX);
}
END_TEST

START_TEST (route_gives_adapter_class_and_policy)
{
    struct reel_route route;
    struct reel_policy policy = {.timeout_ms = 5, .max_attempts = 3, .backoff_ms = 7, .in_doubt = REEL_IN_DOUBT_FAIL};
    ck_assert_int_eq (add ("video", "sleep", &policy), REEL_OK);
    ck_assert (!reel_registry_route (registry, reel_slice_text ("audio"), &route));
    ck_assert (reel_registry_route (registry, reel_slice_text ("video"), &route));
    ck_assert_str_eq (route.adapter, "sleep");
    ck_assert_int_eq (route.class, REEL_ADAPTER_IDEMPOTENT);
    ck_assert_int_eq (route.policy.timeout_ms, 5);
    ck_assert_uint_eq (route.policy.max_attempts, 3);
    ck_assert_int_eq (route.policy.in_doubt, REEL_IN_DOUBT_FAIL);
    ck_assert_str_eq (dispatch_json (), "{\"video\":{\"adapter\":\"sleep\",\"class\":\"idempotent\",\"limits\":"
                                        "{\"timeout_ms\":5,\"max_attempts\":3,\"backoff_ms\":7,"
                                        "\"in_doubt\":\"fail\"}}}");
}
END_TEST

START_TEST (classes_have_names)
{
    ck_assert_str_eq (reel_adapter_class_name (REEL_ADAPTER_NEITHER), "neither");
    ck_assert_str_eq (reel_adapter_class_name (REEL_ADAPTER_IDEMPOTENT), "idempotent");
    ck_assert_str_eq (reel_adapter_class_name (REEL_ADAPTER_RESUMABLE), "resumable");
}
END_TEST

static const char *
hook_refused (const char *name, unsigned points)
{
    struct reel_adapter *adapter = NULL;
    ck_assert_int_eq (reel_adapter_builtin_create ("echo", &adapter), REEL_OK);
    enum reel_status status = reel_registry_add_hook (registry, name, points, 5, &adapter, &err);
    ck_assert_int_eq (status == REEL_OK, adapter == NULL);
    if (adapter != NULL)
        adapter->destroy (adapter);
    return status == REEL_OK ? "" : err.code;
}

START_TEST (hooks_are_found_by_point_in_their_order)
{
    struct reel_hook hook;
    ck_assert_str_eq (hook_refused ("b", REEL_HOOK_PRE_STEP | REEL_HOOK_ON_FAILURE), "");
    ck_assert_str_eq (hook_refused ("a", REEL_HOOK_PRE_STEP), "");
    ck_assert (reel_registry_hook (registry, REEL_HOOK_PRE_STEP, 0, &hook));
    ck_assert_str_eq (hook.name, "b");
    ck_assert_int_eq (hook.timeout_ms, 5);
    ck_assert (reel_registry_hook (registry, REEL_HOOK_PRE_STEP, 1, &hook));
    ck_assert_str_eq (hook.name, "a");
    ck_assert (!reel_registry_hook (registry, REEL_HOOK_PRE_STEP, 2, &hook));
    ck_assert (!reel_registry_hook (registry, REEL_HOOK_POST_STEP, 0, &hook));
    ck_assert (reel_registry_hook (registry, REEL_HOOK_ON_FAILURE, 0, &hook));
    struct reel_call call = {.hook = REEL_HOOK_PRE_STEP, .hook_index = 1, .modality = reel_slice_text ("echo")};
    struct reel_adapter *second = reel_registry_adapter (registry, &call);
    call.hook_index = 0;
    ck_assert_ptr_nonnull (second);
    ck_assert_ptr_ne (second, reel_registry_adapter (registry, &call));
    call.hook_index = 2;
    ck_assert_ptr_null (reel_registry_adapter (registry, &call));
    call.hook = REEL_HOOK_NONE;
    ck_assert_ptr_null (reel_registry_adapter (registry, &call));
}
END_TEST

START_TEST (hooks_out_of_form_are_refused)
{
    char name[16];
    ck_assert_str_eq (hook_refused ("No", REEL_HOOK_PRE_STEP), "bad_id");
    ck_assert_str_eq (hook_refused ("a", 0), "bad_type");
    ck_assert_str_eq (hook_refused ("a", 8), "bad_type");
    ck_assert_str_eq (hook_refused ("a", REEL_HOOK_PRE_STEP), "");
    ck_assert_str_eq (hook_refused ("a", REEL_HOOK_POST_STEP), "duplicate");
    for (int i = 1; i < REEL_HOOKS_MAX; i++) {
        snprintf (name, sizeof name, "h%d", i);
        ck_assert_str_eq (hook_refused (name, REEL_HOOK_PRE_STEP), "");
    }
    ck_assert_str_eq (hook_refused ("more", REEL_HOOK_PRE_STEP), "limit_exceeded");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("registry");
    TCase *tc = suite_case (suite, "registry", set_up, tear_down);
    tcase_add_test (tc, builtin_serves_three);
    tcase_add_test (tc, entries_are_found_and_in_order);
    tcase_add_test (tc, modality_is_there_once);
    tcase_add_test (tc, modality_out_of_form_is_refused);
    tcase_add_test (tc, limit_is_refused_at_one_more);
    tcase_add_test (tc, route_gives_adapter_class_and_policy);
    tcase_add_test (tc, classes_have_names);
    tcase_add_test (tc, hooks_are_found_by_point_in_their_order);
    tcase_add_test (tc, hooks_out_of_form_are_refused);
    return suite_run (suite);
}
