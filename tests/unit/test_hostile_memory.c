/*
 * What refusing costs: whatever a message claims, it takes no more memory to refuse it than the message itself is
 * large. The exceptions have a stated price: keys that have to be compared, the table of steps, text of JSON.
 *
 * With the sanitizers and valgrind nothing is counted, and only the refusals are tested.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "proto/json.h"
#include "proto/message.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "proto/workflow.h"
#include "tests/support/scarce.h"
#include "tests/support/suite.h"

#define MESSAGE_BYTES (1u << 20)
#define PATH_BYTES_MAX 4096 /* of the buffer in which the path of a refusal is spelt out */
/* A key of an open map: 16 bytes; twice for the room to grow, once more while it is copied, once to sort. */
#define KEY_BYTES_MAX 64
/* Its row, and its place in the order of ids; once more while that is sorted. */
#define STEP_BYTES_MAX (sizeof (struct reel_step) + 2 * sizeof (uint32_t))
#define JSON_FACTOR 80 /* bytes for each byte of text, of which the parser makes objects */

static struct reel_buf bytes;

static void
count_from_now (void)
{
    held_bytes = held_bytes_max = 0;
    armed = true;
}

static void
check_held (size_t bytes_max)
{
    armed = false;
    ck_assert_int_eq (can_fail () ? held_bytes : 0, 0);
    ck_assert_int_le (held_bytes_max, (int64_t) bytes_max);
}

static void
check_scan (const char *code, size_t bytes_max)
{
    struct reel_error err;
    count_from_now ();
    enum reel_status status = reel_scan_check (reel_buf_slice (&bytes), REEL_DEPTH_MAX, &err);
    check_held (bytes_max);
    ck_assert_int_eq (status, REEL_INVALID);
    ck_assert_str_eq (err.code, code);
}

static void
check_workflow (const char *code, size_t bytes_max)
{
    struct reel_error err;
    struct reel_workflow workflow = {0};
    count_from_now ();
    enum reel_status status = reel_workflow_parse (&workflow, reel_buf_slice (&bytes), REEL_WORKFLOW_STRICT, &err);
    reel_workflow_free (&workflow);
    check_held (bytes_max);
    ck_assert_int_eq (status, REEL_INVALID);
    ck_assert_str_eq (err.code, code);
}

/* As a header, on each channel that has headers. */
static void
check_message (size_t bytes_max)
{
    static const struct {
        enum reel_channel channel;
        const char *command;
    } messages[] = {{REEL_CLIENT_REQUEST, "SUBMIT"},
                    {REEL_CLIENT_REPLY, "OK"},
                    {REEL_TO_BROKER, "REPORT"},
                    {REEL_TO_WORKER, "ASSIGN"}};
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        const struct reel_slice frames[] = {reel_slice_text (REEL_PROTOCOL), reel_slice_text (messages[i].command),
                                            reel_buf_slice (&bytes), reel_slice ("\x80", 1)};
        struct reel_message message;
        struct reel_error err;
        count_from_now ();
        enum reel_status status = reel_message_decode (messages[i].channel, REEL_GET, frames, 4, &message, &err);
        check_held (bytes_max);
        ck_assert_int_eq (status, REEL_INVALID);
        ck_assert_str_eq (err.code, "malformed");
    }
}

/* One that no field comes out of, and that costs nothing but itself. */
static void
check_all (const char *code)
{
    size_t bytes_max = bytes.len + PATH_BYTES_MAX;
    check_scan (code, bytes_max);
    check_workflow (code, bytes_max);
    check_message (bytes_max);
}

static void
add_raw (const void *data, size_t len)
{
    reel_buf_clear (&bytes);
    reel_buf_add (&bytes, data, len);
}

START_TEST (a_bomb_of_five_bytes)
{
    static const char bombs[][6] = {"\xdd\x10\0\0\0",       "\xdf\x10\0\0\0",       "\xdd\xff\xff\xff\xff",
                                    "\xdb\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff", "\xc9\xff\xff\xff\xff"};
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
        add_raw (bombs[i], 5);
        /* A count of keys is known to be too many before it is known to be a lie. */
        struct reel_error err;
        ck_assert_int_eq (reel_scan_check (reel_buf_slice (&bytes), REEL_DEPTH_MAX, &err), REEL_INVALID);
        check_all (err.code);
    }
}
END_TEST

/* Counts that cannot be, each inside another. */
START_TEST (huge_counts)
{
    reel_buf_clear (&bytes);
    for (int i = 0; i < REEL_DEPTH_MAX; i++)
        reel_buf_add (&bytes, "\xdd\x7f\xff\xff\xff", 5);
    check_all ("malformed");
    reel_buf_clear (&bytes);
    for (int i = 0; i < REEL_DEPTH_MAX; i++)
        reel_buf_add (&bytes, "\xdf\0\x01\0\0\xa1k", 7);
    check_all ("malformed");
}
END_TEST

START_TEST (deep_nesting)
{
    reel_buf_clear (&bytes);
    for (size_t i = 0; i < MESSAGE_BYTES; i++)
        reel_buf_add_byte (&bytes, 0x91);
    check_all ("limit_exceeded");
    reel_buf_clear (&bytes);
    for (size_t i = 0; i < MESSAGE_BYTES / 3; i++)
        reel_buf_add (&bytes, "\x81\xa1k", 3);
    check_all ("limit_exceeded");
}
END_TEST

static void
add_keys (uint32_t count)
{
    reel_pack_map (&bytes, count);
    for (uint32_t i = 0; i < count; i++) {
        char key[16];
        (void) snprintf (key, sizeof key, "%x", i);
        reel_pack_text (&bytes, key);
        reel_pack_nil (&bytes);
    }
}

START_TEST (one_key_too_many)
{
    reel_buf_clear (&bytes);
    add_keys (REEL_MAP_KEYS_MAX + 1);
    check_all ("limit_exceeded");
}
END_TEST

/* All that are allowed, and what makes it wrong at the end. */
START_TEST (many_keys_and_a_double)
{
    reel_buf_clear (&bytes);
    reel_pack_map (&bytes, REEL_MAP_KEYS_MAX);
    for (uint32_t i = 0; i < REEL_MAP_KEYS_MAX; i++)
        reel_buf_add (&bytes, "\xa0\xc0", 2);
    size_t bytes_max = bytes.len + REEL_MAP_KEYS_MAX * KEY_BYTES_MAX;
    check_scan ("bad_type", bytes_max);
    check_workflow ("bad_type", bytes_max);
    check_message (bytes_max);
}
END_TEST

/* A workflow of 1 MiB, with `steps` steps and the rest in its provenance. */
static void
make_large_workflow (uint32_t steps)
{
    reel_buf_clear (&bytes);
    reel_pack_map (&bytes, 2);
    reel_pack_text (&bytes, "steps");
    reel_pack_array (&bytes, steps);
    for (uint32_t i = 0; i < steps; i++) {
        char id[16];
        (void) snprintf (id, sizeof id, "s%u", i);
        reel_pack_map (&bytes, 2);
        reel_pack_text (&bytes, "step_id");
        reel_pack_text (&bytes, id);
        reel_pack_text (&bytes, "modality");
        reel_pack_text (&bytes, "video");
    }
    reel_pack_text (&bytes, "global_provenance");
    reel_pack_map (&bytes, 1);
    reel_pack_text (&bytes, "notes");
    uint32_t notes = (uint32_t) (MESSAGE_BYTES - bytes.len) / 8;
    reel_pack_array (&bytes, notes);
    for (uint32_t i = 0; i < notes; i++)
        reel_pack_text (&bytes, "abcdefg");
}

START_TEST (cut_off)
{
    make_large_workflow (REEL_STEPS_MAX);
    size_t whole = bytes.len;
    for (size_t cut = 1; cut < whole; cut += 1 + whole / 61) {
        bytes.len = whole - cut;
        check_all ("malformed");
    }
    bytes.len = whole;
    reel_buf_add_byte (&bytes, 0xc0);
    check_all ("malformed");
}
END_TEST

/* Well-formed, and refused for what it says: the table of its steps has a size of its own. */
START_TEST (refused_steps)
{
    size_t table = REEL_STEPS_MAX * STEP_BYTES_MAX + PATH_BYTES_MAX;
    make_large_workflow (REEL_STEPS_MAX + 1);
    check_workflow ("limit_exceeded", PATH_BYTES_MAX);
    make_large_workflow (REEL_STEPS_MAX);
    memcpy (memmem (bytes.data, bytes.len, "s999", 4), "s998", 4);
    check_workflow ("duplicate_step", table);
    add_raw ("\x81\xa5steps\xdc\x03\xe8", 10);
    for (uint32_t i = 0; i < REEL_STEPS_MAX; i++)
        reel_pack_nil (&bytes);
    check_workflow ("bad_type", table);
}
END_TEST

static void
check_json (const char *code)
{
    struct reel_buf out = {0};
    struct reel_error err;
    count_from_now ();
    enum reel_status status = reel_json_read (reel_buf_slice (&bytes), &out, &err);
    reel_buf_free (&out);
    check_held (bytes.len * JSON_FACTOR + PATH_BYTES_MAX);
    ck_assert_int_eq (status, REEL_INVALID);
    ck_assert_str_eq (err.code, code);
}

START_TEST (json_text)
{
    static const char *const parts[] = {"[",     "{\"k\":",      "0,",         "{},", "[],",
                                        "\"\",", "\"\\u0000\",", "{\"k\":0},", "1e9,"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        reel_buf_clear (&bytes);
        reel_buf_add_byte (&bytes, '[');
        while (bytes.len < MESSAGE_BYTES / 4)
            reel_buf_add_text (&bytes, parts[i]);
        struct reel_error err;
        struct reel_buf out = {0};
        ck_assert_int_eq (reel_json_read (reel_buf_slice (&bytes), &out, &err), REEL_INVALID);
        ck_assert_uint_eq (out.len, 0);
        reel_buf_free (&out);
        check_json (err.code);
    }
    reel_buf_clear (&bytes);
    reel_buf_add_byte (&bytes, '{');
    for (int i = 0; i < 20000; i++)
        reel_buf_printf (&bytes, "\"%x\":0,", i);
    check_json ("malformed");
}
END_TEST

static void
free_bytes (void)
{
    reel_buf_free (&bytes);
}

int
main (void)
{
    Suite *suite = suite_create ("hostile_memory");
    TCase *tc = suite_case (suite, "memory", NULL, free_bytes);
    tcase_add_test (tc, a_bomb_of_five_bytes);
    tcase_add_test (tc, huge_counts);
    tcase_add_test (tc, deep_nesting);
    tcase_add_test (tc, one_key_too_many);
    tcase_add_test (tc, many_keys_and_a_double);
    tcase_add_test (tc, cut_off);
    tcase_add_test (tc, refused_steps);
    tcase_add_test (tc, json_text);
    return suite_run (suite);
}
