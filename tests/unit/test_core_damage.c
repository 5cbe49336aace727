/*
 * Records that are not as the core wrote them, though every hash fits: each byte of a record of every kind is another
 * one, or the record ends there. Recovery takes it or refuses it, and what it took can be said anew.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "broker/core/record.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/support/broker.h"
#include "tests/support/suite.h"

#define STEP(id, modality) "{'step_id':'" id "','modality':'" modality "'}"
#define TWO(id) "{'workflow_id':'" id "','steps':[" STEP ("a", "echo") "," STEP ("b", "paid") "]}"
#define HEARTBEAT "{'leases':[[1,1],[1,2],[1,3]],'sent_us':1}"

#define COUNT(list) (sizeof (list) / sizeof *(list))

static struct broker broker;

/* A life in which records of every kind are written; the last of them belong to a snapshot. */
static void
live (void)
{
    broker_init (&broker);
    broker.setup.snapshot_bytes = 1;
    broker.setup.snapshot_piece_bytes = 200;
    broker.setup.retain_ms = 60000;
    broker_start (&broker);
    broker_ready (&broker, "w", 3, "'echo','paid'");
    broker_submit (&broker, TWO ("one"));
    broker_submit (&broker, TWO ("two"));
    broker_submit (&broker, TWO ("three"));
    broker_client (&broker, "c", "SUBMIT", "{'provenance':{'x':1},'priority':-3,'not_before_us':99000000000}",
                   TWO ("later"));
    broker_report (&broker, "w", 1, 1,
                   "[" STARTED ("a", "1", "true") "," RETRYING ("a") "," STARTED ("a", "2", "true") "," SUCCEEDED (
                       "a") "," STARTED ("b", "1", "false") "," CHECKPOINT ("b", "{'job':1}") "]");
    broker_report (&broker, "w", 2, 1, "[" STARTED ("a", "1", "false") "]");
    broker_report (&broker, "w", 3, 1,
                   "[" STARTED ("a", "1", "true") "," FAILED ("a") "," STARTED ("b", "1", "true") "]");
    broker_client (&broker, "c", "CANCEL", "{'workflow_id':'three'}", NULL);
    broker_client (&broker, "c", "PAUSE", "{'workflow_id':'one'}", NULL);
    broker_client (&broker, "c", "RESUME", "{'workflow_id':'one'}", NULL);
    broker_client (&broker, "c", "PAUSE", "{}", NULL);
    broker_pass_ms (&broker, 5000);
    broker_worker (&broker, "w", "HEARTBEAT", HEARTBEAT, NULL);
    broker_report (&broker, "w", 3, 4, "[" FAILED ("b") "," ENDED "]");
    broker_pass_ms (&broker, 11000);
    broker_client (&broker, "c", "RESOLVE", "{'workflow_id':'two','step_id':'a','as':'failed','note':'n'}", NULL);
    broker_pass_ms (&broker, 20000);
    ck_assert_uint_gt (broker.snapshots, 0);
}

static struct reel_slice
record_at (size_t place)
{
    const struct broker_record *record = &broker.records[place];
    return reel_slice (broker.journal.data + record->at + REEL_RECORD_FRAME_BYTES,
                       record->len - REEL_RECORD_FRAME_BYTES);
}

/* Recovers from record `from` on up to `place`, which is `bent`. */
static bool
taken (size_t from, size_t place, struct reel_slice bent)
{
    struct reel_core *core = NULL;
    struct reel_error err = {0};
    ck_assert_int_eq (reel_core_create (&broker.setup, &core), REEL_OK);
    if (from > 0)
        reel_core_recover_snapshot (core);
    for (size_t i = from; i < place; i++)
        ck_assert_msg (reel_core_apply (core, record_at (i), &err) == REEL_OK, "%s", err.message);
    enum reel_status status = reel_core_apply (core, bent, &err);
    ck_assert (status == REEL_OK || (status == REEL_INVALID && err.message[0] != '\0'));
    if (status == REEL_OK)
        (void) reel_core_digest (core);
    reel_core_destroy (&core);
    return status == REEL_OK;
}

/* `from`: recovery goes from the last snapshot, or from the beginning. */
START_TEST (bent_records_are_taken_or_refused)
{
    live ();
    size_t from = _i == 0 ? 0 : broker.snapshot - 1, refused = 0;
    size_t stride = getenv ("REEL_VALGRIND") != NULL ? 29 : 1;
    uint8_t bytes[4096];
    for (size_t place = from; place < broker.record_count; place++) {
        struct reel_slice record = record_at (place);
        ck_assert_uint_le (record.len, sizeof bytes);
        for (size_t at = 0; at < record.len; at += stride) {
            static const uint8_t bends[] = {0x01, 0x06, 0x40, 0xa0};
            memcpy (bytes, record.data, record.len);
            bytes[at] ^= bends[at % 4];
            refused += !taken (from, place, reel_slice (bytes, record.len));
            if (at % 3 == 0)
                ck_assert (!taken (from, place, reel_slice (record.data, at)));
        }
    }
    ck_assert_uint_gt (refused, 10);
    broker_free (&broker);
}
END_TEST

/* Values of every type, and a head of an array that has no members. */
static const struct reel_slice others[] = {
    {(const uint8_t *) "\xc0", 1}, /* nil */
    {(const uint8_t *) "\xc3", 1}, /* true */
    {(const uint8_t *) "\x00", 1},
    {(const uint8_t *) "\xff", 1}, /* -1 */
    {(const uint8_t *) "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9},
    {(const uint8_t *) "\xa1x", 2},
    {(const uint8_t *) "\xc4\x01x", 3},
    {(const uint8_t *) "\x90", 1},
    {(const uint8_t *) "\x80", 1},
    {(const uint8_t *) "\x91", 1},
};

/* In how many ways a value is bent. */
#define BENDS (COUNT (others) + 4)

/* Appends what stands for the value at `old`: another one, none, two, or an array with a member less or more. */
static void
bend (struct reel_buf *out, struct reel_slice old, size_t how)
{
    struct reel_cursor cursor = reel_scan_start (old);
    struct reel_value head;
    struct reel_slice member;
    ck_assert (reel_scan_next (&cursor, &head));
    bool less = how == COUNT (others) + 2;
    if (how < COUNT (others)) {
        reel_buf_add_slice (out, others[how]);
    } else if (how < COUNT (others) + 2) {
        for (size_t times = 0; times < 2 * (how - COUNT (others)); times++)
            reel_buf_add_slice (out, old);
    } else if (head.type == REEL_ARRAY && head.count > 0) {
        reel_pack_array (out, less ? head.count - 1 : head.count + 1);
        for (uint32_t i = 0; i < head.count - less; i++) {
            ck_assert (reel_scan_skip (&cursor, &member));
            reel_buf_add_slice (out, member);
        }
        if (!less)
            reel_pack_nil (out);
    }
}

START_TEST (records_with_other_values_are_taken_or_refused)
{
    live ();
    size_t from = _i == 0 ? 0 : broker.snapshot - 1, refused = 0, turn = 0;
    size_t stride = getenv ("REEL_VALGRIND") != NULL ? 97 : 1;
    struct reel_buf bent = {0};
    for (size_t place = from; place < broker.record_count; place++) {
        struct reel_slice record = record_at (place), old;
        struct reel_cursor cursor = reel_scan_start (record);
        struct reel_value value;
        while (cursor.at < cursor.end) {
            struct reel_cursor rest = cursor;
            ck_assert (reel_scan_skip (&rest, &old) && reel_scan_next (&cursor, &value));
            for (size_t how = 0; how < BENDS; how++) {
                if (turn++ % stride != 0)
                    continue;
                reel_buf_clear (&bent);
                reel_buf_add (&bent, record.data, (size_t) (old.data - record.data));
                bend (&bent, old, how);
                reel_buf_add (&bent, rest.at, (size_t) (rest.end - rest.at));
                refused += !taken (from, place, reel_buf_slice (&bent));
            }
        }
    }
    ck_assert_uint_gt (refused, 100 / stride);
    reel_buf_free (&bent);
    broker_free (&broker);
}
END_TEST

/* A record in the place of another. */
START_TEST (records_out_of_place_are_taken_or_refused)
{
    live ();
    size_t from = _i == 0 ? 0 : broker.snapshot - 1, refused = 0;
    for (size_t place = from; place < broker.record_count; place++)
        for (size_t other = 0; other < broker.record_count; other++)
            refused += !taken (from, place, record_at (other));
    ck_assert_uint_gt (refused, 100);
    broker_free (&broker);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("core, damage");
    TCase *tests = tcase_create ("damage");
    tcase_set_timeout (tests, 120);
    tcase_add_loop_test (tests, bent_records_are_taken_or_refused, 0, 2);
    tcase_add_loop_test (tests, records_with_other_values_are_taken_or_refused, 0, 2);
    tcase_add_loop_test (tests, records_out_of_place_are_taken_or_refused, 0, 2);
    suite_add_tcase (suite, tests);
    return suite_run (suite);
}
