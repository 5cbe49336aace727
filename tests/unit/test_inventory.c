/*
 * Who serves what, out of the broker's answer to WORKERS: order, what counts as not said, bounds.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "client/inventory.h"
#include "proto/json.h"
#include "tests/support/suite.h"

static struct reel_buf header, text;
static struct reel_inventory inventory;

static void
teardown (void)
{
    reel_inventory_free (&inventory);
    reel_buf_free (&header);
    reel_buf_free (&text);
}

static void
read_all (const char *json, const char *modality)
{
    struct reel_error err = {0};
    ck_assert_msg (reel_json_read (reel_slice_text (json), &header, &err) == REEL_OK, "%s: %s", json, err.message);
    ck_assert_int_eq (reel_inventory_read (&inventory, reel_buf_slice (&header), reel_slice_text (modality)), REEL_OK);
}

/* The row as JSON. */
static const char *
row (size_t i)
{
    struct reel_buf packed = {0};
    ck_assert_uint_lt (i, inventory.count);
    reel_inventory_pack (&inventory.rows[i], &packed);
    reel_buf_clear (&text);
    ck_assert_int_eq (reel_json_write (reel_buf_slice (&packed), REEL_JSON_COMPACT, &text), REEL_OK);
    reel_buf_add_byte (&text, '\0');
    reel_buf_free (&packed);
    ck_assert_int_eq (reel_buf_status (&text), REEL_OK);
    return (const char *) text.data;
}

static const char *
limits (size_t i)
{
    ck_assert_uint_lt (i, inventory.count);
    reel_buf_clear (&text);
    reel_inventory_limits (&inventory.rows[i], &text);
    reel_buf_add_byte (&text, '\0');
    ck_assert_int_eq (reel_buf_status (&text), REEL_OK);
    return (const char *) text.data;
}

START_TEST (rows_are_by_modality_then_name_then_number)
{
    read_all (
        "{\"workers\":["
        "{\"name\":\"b\",\"slots\":4,\"leases\":3,\"dispatch\":{\"z\":{\"adapter\":\"exec\",\"class\":\"neither\","
        "\"limits\":{\"timeout_ms\":5}},\"a\":{\"adapter\":\"echo\",\"class\":\"idempotent\"}}},"
        "{\"name\":\"a\",\"slots\":1,\"leases\":0,\"modalities\":[\"z\"]},"
        "{\"name\":\"a\",\"slots\":0,\"leases\":2,\"modalities\":[\"z\"]}]}",
        "");
    ck_assert_uint_eq (inventory.count, 4);
    ck_assert_str_eq (row (0), "{\"modality\":\"a\",\"worker\":\"b\",\"number\":1,\"adapter\":\"echo\","
                               "\"class\":\"idempotent\",\"limits\":null,\"slots\":4,\"free\":1}");
    ck_assert_str_eq (row (1), "{\"modality\":\"z\",\"worker\":\"a\",\"number\":2,\"adapter\":null,\"class\":null,"
                               "\"limits\":null,\"slots\":1,\"free\":1}");
    ck_assert_str_eq (row (2), "{\"modality\":\"z\",\"worker\":\"a\",\"number\":3,\"adapter\":null,\"class\":null,"
                               "\"limits\":null,\"slots\":0,\"free\":0}");
    ck_assert_str_eq (row (3), "{\"modality\":\"z\",\"worker\":\"b\",\"number\":1,\"adapter\":\"exec\","
                               "\"class\":\"neither\",\"limits\":{\"timeout_ms\":5},\"slots\":4,\"free\":1}");
    ck_assert_uint_eq (inventory.left_out, 0);
}
END_TEST

START_TEST (one_modality_alone)
{
    read_all ("{\"workers\":[{\"name\":\"w\",\"slots\":1,\"leases\":0,\"modalities\":[\"echo\",\"video\",\"vide\"]},"
              "{\"name\":\"v\",\"slots\":1,\"leases\":0,\"dispatch\":{\"video\":{},\"echo\":{}}}]}",
              "video");
    ck_assert_uint_eq (inventory.count, 2);
    ck_assert_uint_eq (inventory.rows[0].number, 2);
    ck_assert_uint_eq (inventory.rows[1].number, 1);
}
END_TEST

START_TEST (what_is_not_of_the_form_was_not_said)
{
    read_all (
        "{\"workers\":[7,{\"name\":5,\"dispatch\":{\"a\":1,\"b\":{\"adapter\":2,\"class\":\"best\",\"limits\":[1]},"
        "\"c\":{\"class\":7}}},{\"name\":\"w\",\"dispatch\":\"x\"},{\"name\":\"m\",\"modalities\":[1,\"d\"]}]}",
        "");
    ck_assert_uint_eq (inventory.count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct reel_inventory_row *said = &inventory.rows[i];
        ck_assert_uint_eq (said->adapter.len + said->class.len + said->limits.len + said->worker.len, 0);
        ck_assert_str_eq (limits (i), "");
    }
    reel_inventory_free (&inventory);
    reel_buf_clear (&header);
    read_all ("{\"workers\":3}", "");
    ck_assert_uint_eq (inventory.count, 0);
    reel_buf_clear (&header);
    read_all ("{}", "");
    ck_assert_uint_eq (inventory.count, 0);
}
END_TEST

/* `count` modalities of one worker, and another worker after it. */
static void
read_many (unsigned count)
{
    struct reel_buf json = {0};
    reel_buf_add_text (&json, "{\"workers\":[{\"name\":\"w\",\"slots\":1,\"dispatch\":{");
    for (unsigned i = 0; i < count; i++)
        reel_buf_printf (&json, "%s\"m%u\":{}", i > 0 ? "," : "", i);
    reel_buf_add_text (&json, "}},{\"name\":\"x\",\"slots\":1,\"modalities\":[\"m0\"]}]}");
    reel_buf_add_byte (&json, '\0');
    ck_assert_int_eq (reel_buf_status (&json), REEL_OK);
    read_all ((const char *) json.data, "");
    reel_buf_free (&json);
}

START_TEST (no_worker_fills_the_list)
{
    read_many (REEL_MODALITIES_MAX);
    ck_assert_uint_eq (inventory.count, REEL_MODALITIES_MAX + 1);
    ck_assert_uint_eq (inventory.left_out, 0);
    reel_inventory_free (&inventory);
    reel_buf_clear (&header);
    read_many (REEL_MODALITIES_MAX + 1);
    ck_assert_uint_eq (inventory.count, REEL_MODALITIES_MAX + 1);
    ck_assert_uint_eq (inventory.left_out, 1);
}
END_TEST

START_TEST (limits_in_words)
{
    read_all (
        "{\"workers\":[{\"name\":\"w\",\"dispatch\":{\"a\":{\"limits\":{\"timeout_ms\":60000,\"in_doubt\":\"fail\","
        "\"x\":-3,\"y\":{\"z\":1}}},\"b\":{\"limits\":{}},\"c\":{\"limits\":{\"1\":1,\"2\":1,\"3\":1,\"4\":1,"
        "\"5\":1,\"6\":1,\"7\":1,\"8\":1,\"9\":1,\"10\":1,\"11\":1,\"12\":1,\"13\":1,\"14\":1,\"15\":1,\"16\":1,"
        "\"17\":1}}}}]}",
        "");
    ck_assert_str_eq (limits (0), "timeout_ms=60000 in_doubt=fail x=-3 y=?");
    ck_assert_str_eq (limits (1), "");
    ck_assert_str_eq (limits (2), "1=1 2=1 3=1 4=1 5=1 6=1 7=1 8=1 9=1 10=1 11=1 12=1 13=1 14=1 15=1 16=1 ...");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("inventory");
    TCase *cases = suite_case (suite, "inventory", NULL, teardown);
    tcase_add_test (cases, rows_are_by_modality_then_name_then_number);
    tcase_add_test (cases, one_modality_alone);
    tcase_add_test (cases, what_is_not_of_the_form_was_not_said);
    tcase_add_test (cases, no_worker_fills_the_list);
    tcase_add_test (cases, limits_in_words);
    return suite_run (suite);
}
