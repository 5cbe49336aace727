/*
 * What a workflow waits for, in words: each case by its sentence.
 */
#include <check.h>
#include <stdlib.h>

#include "client/waiting.h"
#include "proto/json.h"
#include "tests/support/suite.h"

#define NOW_US 1700000000000000
#define STEP(id, modality, more) "{\"step_id\":\"" id "\",\"modality\":\"" modality "\"" more "}"
#define DONE ",\"status\":\"succeeded\",\"receipt\":{}"
#define FAILED ",\"status\":\"failed\",\"error\":\"no\""

static struct reel_buf header, document, stats, words;

static void
teardown (void)
{
    reel_buf_free (&header);
    reel_buf_free (&document);
    reel_buf_free (&stats);
    reel_buf_free (&words);
}

static void
read_json (const char *json, struct reel_buf *out)
{
    struct reel_error err = {0};
    reel_buf_clear (out);
    if (json != NULL)
        ck_assert_msg (reel_json_read (reel_slice_text (json), out, &err) == REEL_OK, "%s: %s", json, err.message);
}

/* `steps`: those of the document; `of_stats`: NULL when the broker did not say. */
static void
says (const char *expected, const char *of_header, const char *steps, const char *of_stats)
{
    struct reel_buf json = {0};
    reel_buf_printf (&json, "{\"steps\":[%s]}", steps);
    reel_buf_add_byte (&json, '\0');
    read_json (of_header, &header);
    read_json ((const char *) json.data, &document);
    read_json (of_stats, &stats);
    reel_buf_clear (&words);
    reel_waiting_add (&words, reel_buf_slice (&header), reel_buf_slice (&document), reel_buf_slice (&stats), NOW_US);
    reel_buf_add_byte (&words, '\0');
    ck_assert_str_eq ((const char *) words.data, expected);
    reel_buf_free (&json);
}

static const char none[] = "{\"gauges\":{\"workers\":0}}";
static const char one[] = "{\"gauges\":{\"workers\":1}}";
static const char three[] = "{\"gauges\":{\"workers\":3}}";

START_TEST (for_a_worker_that_serves_it)
{
    const char unserved[] = "{\"status\":\"queued\",\"waiting_for\":\"video\"}";
    says ("waiting for a worker that serves `video`; no worker is connected", unserved, STEP ("a", "video", ""), none);
    says ("waiting for a worker that serves `video`; 1 worker is connected", unserved, STEP ("a", "video", ""), one);
    says ("waiting for a worker that serves `video`; 3 workers are connected", unserved, STEP ("a", "video", ""),
          three);
    says ("waiting for a worker that serves `video`", unserved, STEP ("a", "video", ""), NULL);
}
END_TEST

START_TEST (for_a_slot)
{
    const char queued[] = "{\"status\":\"queued\"}";
    says ("waiting for a free slot of a worker that serves `echo`", queued, STEP ("a", "echo", ""), one);
    says ("waiting for a free slot of a worker that serves `d`", queued,
          STEP ("a", "a", DONE) "," STEP ("b", "b", FAILED) "," STEP ("c", "c", ",\"depends_on\":[\"b\"]") "," STEP (
              "d", "d", ",\"depends_on\":[\"a\"]") "," STEP ("e", "e", ""),
          one);
    /* What depends on what will be skipped will be skipped too, and so is nothing left to dispatch. */
    const char blocked[] = STEP ("b", "b", FAILED) "," STEP ("c", "c", ",\"depends_on\":[\"b\"]") "," STEP (
        "d", "d", ",\"depends_on\":[\"c\"]");
    says ("waiting for any worker; no worker is connected", queued, blocked, none);
    says ("waiting for any worker; 1 worker is connected", queued, blocked, one);
}
END_TEST

START_TEST (for_its_time)
{
    says ("waiting until 2023-11-14T22:13:20.000001Z", "{\"status\":\"queued\",\"not_before_us\":1700000000000001}",
          STEP ("a", "echo", ""), one);
    says ("waiting until 2023-11-14T22:13:20.000001Z, and for a worker that serves `x`; no worker is connected",
          "{\"status\":\"queued\",\"not_before_us\":1700000000000001,\"waiting_for\":\"x\"}", STEP ("a", "x", ""),
          none);
    says ("waiting for a free slot of a worker that serves `echo`",
          "{\"status\":\"queued\",\"not_before_us\":1700000000000000}", STEP ("a", "echo", ""), one);
}
END_TEST

START_TEST (for_nothing)
{
    says ("held: whether its running step took effect is not known; waiting for its worker", "{\"status\":\"held\"}",
          STEP ("a", "echo", ""), NULL);
    says ("", "{\"status\":\"running\",\"worker\":\"w\",\"waiting_for\":\"video\"}", STEP ("a", "echo", ""), one);
    says ("", "{\"status\":\"succeeded\"}", STEP ("a", "echo", DONE), one);
    says ("", "{}", STEP ("a", "echo", ""), one);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("waiting");
    TCase *cases = suite_case (suite, "waiting", NULL, teardown);
    tcase_add_test (cases, for_a_worker_that_serves_it);
    tcase_add_test (cases, for_a_slot);
    tcase_add_test (cases, for_its_time);
    tcase_add_test (cases, for_nothing);
    return suite_run (suite);
}
