/*
 * The run machine's bounds, each at N and at N + 1: of receipts, errors, checkpoints, what is said of progress, and
 * provenance; and what it makes of bytes that are no good.
 */
#include <check.h>
#include <string.h>

#include "base/limits.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/support/run_fixture.h"
#include "tests/support/suite.h"

static void
fail_raw (const char *code, struct reel_slice message, struct reel_slice detail)
{
    run_bench_feed (&bench,
                    (struct reel_run_event){.kind = REEL_RUN_FINISHED,
                                            .result.failure = {.code = code, .message = message, .detail = detail}});
}

/* Arrays inside a map, `depth` in all. */
static struct reel_buf
map_of_depth (unsigned depth)
{
    struct reel_buf out = {0};
    reel_pack_map (&out, 1);
    reel_pack_text (&out, "x");
    for (unsigned i = 1; i < depth; i++)
        reel_pack_array (&out, 1);
    reel_pack_nil (&out);
    ck_assert_uint_eq (reel_scan_depth (reel_buf_slice (&out)), depth);
    return out;
}

static void
check_receipt_bytes (size_t bytes_max)
{
    size_t frame = receipt_frame_bytes (), limit = bytes_max > 0 ? bytes_max : REEL_RECEIPT_BYTES_MAX;
    for (size_t over = 0; over < 2; over++) {
        bench.setup.receipt_bytes_max = bytes_max;
        bench.defaults.max_attempts = 5;
        run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
        struct reel_buf output = map_of_bytes (limit - frame + over);
        succeed_raw (reel_buf_slice (&output), REEL_SLICE_NONE);
        run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1",
                          over ? "failed a limit_exceeded" : "succeeded a", "ended", "END");
        if (over)
            ck_assert_str_eq (run_bench_of_error (&bench, "a", "/retryable"), "false");
        reel_buf_free (&output);
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}

START_TEST (bound_of_a_receipt_in_bytes)
{
    check_receipt_bytes (0);
    check_receipt_bytes (2000);
}
END_TEST

START_TEST (bound_of_a_receipt_is_that_of_the_newest_terms)
{
    struct reel_buf output = map_of_bytes (3000);
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", ""), STEP ("b", "idem", "")));
    reel_run_set_terms (bench.run, 10000, 2000, 4);
    succeed_raw (reel_buf_slice (&output), REEL_SLICE_NONE);
    reel_run_set_terms (bench.run, 10000, REEL_RECEIPT_BYTES_MAX, REEL_RECEIPT_DEPTH_MAX);
    succeed_raw (reel_buf_slice (&output), REEL_SLICE_NONE);
    run_bench_expect (&bench, "started a 1 idempotent hold", "dispatch a 1", "failed a limit_exceeded",
                      "started b 1 idempotent hold", "dispatch b 1", "succeeded b", "ended", "END");
    reel_buf_free (&output);
}
END_TEST

START_TEST (bound_of_a_receipt_is_at_least_1024)
{
    size_t frame = receipt_frame_bytes ();
    for (size_t over = 0; over < 2; over++) {
        bench.setup.receipt_bytes_max = 1;
        run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
        struct reel_buf output = map_of_bytes (1024 - frame + over);
        succeed_raw (reel_buf_slice (&output), REEL_SLICE_NONE);
        ck_assert_int_eq (status_of ("a"), over ? REEL_STEP_FAILED : REEL_STEP_SUCCEEDED);
        reel_buf_free (&output);
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

START_TEST (bound_of_a_receipt_holds_for_each_part)
{
    struct reel_buf parts[] = {map_of_bytes (REEL_RECEIPT_BYTES_MAX + 1), map_of_depth (REEL_RECEIPT_DEPTH_MAX + 1)};
    for (size_t i = 0; i < 2; i++) {
        run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
        succeed_raw (reel_buf_slice (&parts[i]), REEL_SLICE_NONE);
        ck_assert_str_eq (run_bench_of_error (&bench, "a", "/code"), "'limit_exceeded'");
        reel_buf_free (&parts[i]);
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

START_TEST (bound_of_a_receipt_in_depth)
{
    static const struct {
        unsigned asked, in_force;
    } cases[] = {{0, REEL_RECEIPT_DEPTH_MAX}, {24, REEL_RECEIPT_DEPTH_MAX}, {5, 5}, {1, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (unsigned over = 0; over < 2; over++) {
            bench.setup.receipt_depth_max = cases[i].asked;
            run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
            struct reel_buf output = map_of_depth (cases[i].in_force - 1 + over);
            succeed_raw (over ? reel_buf_slice (&output) : REEL_SLICE_NONE,
                         over ? REEL_SLICE_NONE : reel_buf_slice (&output));
            ck_assert_int_eq (status_of ("a"), over ? REEL_STEP_FAILED : REEL_STEP_SUCCEEDED);
            if (over)
                ck_assert_str_eq (run_bench_of_error (&bench, "a", "/code"), "'limit_exceeded'");
            reel_buf_free (&output);
            run_bench_free (&bench);
            run_bench_init (&bench);
        }
}
END_TEST

START_TEST (bound_of_a_checkpoint)
{
    bench.setup.receipt_bytes_max = 2000;
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_forget (&bench);
    for (size_t over = 0; over < 2; over++) {
        struct reel_buf checkpoint = map_of_bytes (2000 + over);
        run_bench_feed (
            &bench, (struct reel_run_event){.kind = REEL_RUN_CHECKPOINT, .checkpoint = reel_buf_slice (&checkpoint)});
        ck_assert_uint_eq (reel_run_last_index (bench.run), 2);
        run_bench_ack_all (&bench);
        reel_buf_free (&checkpoint);
        if (!over)
            run_bench_forget (&bench);
    }
    struct reel_buf deep = map_of_depth (REEL_RECEIPT_DEPTH_MAX + 1);
    run_bench_feed (&bench, (struct reel_run_event){.kind = REEL_RUN_CHECKPOINT, .checkpoint = reel_buf_slice (&deep)});
    reel_buf_free (&deep);
    run_bench_expect (&bench, "tell progress a a checkpoint was dropped: it is too large, too deep or no msgpack",
                      "tell progress a a checkpoint was dropped: it is too large, too deep or no msgpack");
}
END_TEST

START_TEST (bound_of_an_error_in_bytes)
{
    static char text[REEL_RECEIPT_BYTES_MAX + 10];
    memset (text, 'x', sizeof text - 1);
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    fail_raw ("loud", reel_slice_text (text), REEL_SLICE_NONE);
    struct reel_slice error = run_bench_outcome (&bench, "a").error;
    ck_assert_uint_le (error.len, REEL_RECEIPT_BYTES_MAX);
    ck_assert_uint_gt (error.len, REEL_RECEIPT_BYTES_MAX - 300);
}
END_TEST

START_TEST (bound_of_an_errors_message_is_at_a_character)
{
    static char text[4000] = "e";
    for (size_t i = 1; i + 3 < sizeof text; i += 2)
        memcpy (text + i, "\xc3\xa9", 2);
    for (size_t odd = 0; odd < 2; odd++) {
        bench.setup.receipt_bytes_max = 1024;
        run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
        fail_raw ("loud", reel_slice_text (text + 1 - odd), REEL_SLICE_NONE);
        struct reel_slice error = run_bench_outcome (&bench, "a").error, message = REEL_SLICE_NONE;
        ck_assert_uint_le (error.len, 1024);
        ck_assert (reel_scan_find_str (error, "message", &message));
        ck_assert_uint_eq (message.len, 768 - odd);
        ck_assert (reel_scan_utf8 (message));
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

START_TEST (bound_of_an_errors_detail)
{
    struct {
        struct reel_buf detail;
        bool kept;
    } cases[] = {{map_of_bytes (500), true},
                 {map_of_bytes (1024), false},
                 {map_of_depth (REEL_RECEIPT_DEPTH_MAX - 1), true},
                 {map_of_depth (REEL_RECEIPT_DEPTH_MAX), false},
                 {map_of_bytes (20), false}};
    cases[4].detail.len = 10; /* cut off */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bench.setup.receipt_bytes_max = 1024;
        run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
        fail_raw ("odd", reel_slice_text ("m"), reel_buf_slice (&cases[i].detail));
        ck_assert_int_eq (run_bench_of_error (&bench, "a", "/detail")[0] != '\0', cases[i].kept);
        ck_assert_str_eq (run_bench_of_error (&bench, "a", "/message"), "'m'");
        reel_buf_free (&cases[i].detail);
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

START_TEST (bound_of_an_errors_code)
{
    static const struct {
        const char *code;
        bool kept;
    } cases[] = {{"a_1", true},
                 {"x234567890123456789012345678901234567890123456789012345678901234", true},
                 {"x2345678901234567890123456789012345678901234567890123456789012345", false},
                 {"", false},
                 {"Upper", false},
                 {"sp ace", false},
                 {NULL, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
        fail_raw (cases[i].code, reel_slice_text ("m"), REEL_SLICE_NONE);
        struct reel_slice code = REEL_SLICE_NONE;
        ck_assert (reel_scan_find_str (run_bench_outcome (&bench, "a").error, "code", &code));
        ck_assert (reel_slice_is (code, cases[i].kept ? cases[i].code : "adapter_failed"));
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

START_TEST (bound_broken_text_is_mended)
{
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    run_bench_forget (&bench);
    run_bench_progress (&bench, -1, "a\xff\xc3\xa9\xed\xa0\x80z\xc3");
    run_bench_expect (&bench, "tell progress a a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd");
    fail_raw ("bad", reel_slice_text ("\xfe!"), REEL_SLICE_NONE);
    ck_assert_str_eq (run_bench_of_error (&bench, "a", "/message"), "'\xef\xbf\xbd!'");
}
END_TEST

START_TEST (bound_of_a_progress_message)
{
    char text[REEL_PROGRESS_TEXT_BYTES_MAX + 2];
    run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
    for (size_t over = 0; over < 2; over++) {
        memset (text, 'x', sizeof text);
        text[REEL_PROGRESS_TEXT_BYTES_MAX + over] = '\0';
        run_bench_forget (&bench);
        run_bench_progress (&bench, -1, text);
        ck_assert_uint_eq (bench.trace.len, strlen ("tell progress a \n") + REEL_PROGRESS_TEXT_BYTES_MAX);
    }
}
END_TEST

START_TEST (bound_output_that_is_no_map_fails_the_step)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {{"\x93\x01\x02\x03", 4},       /* an array */
                 {"\x81\xa1x", 3},              /* cut off */
                 {"\x82\xa1x\x01\xa1x\x02", 7}, /* a key twice */
                 {"\x81\x01\x02", 3},           /* a key that is no string */
                 {"\x81\xa1x\xa1\xff", 5},      /* no UTF-8 */
                 {"\x80\x80", 2}};              /* bytes left over */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int extra = 0; extra < 2; extra++) {
            run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
            struct reel_slice bytes = reel_slice (cases[i].bytes, cases[i].len);
            succeed_raw (extra ? REEL_SLICE_NONE : bytes, extra ? bytes : REEL_SLICE_NONE);
            ck_assert_str_eq (run_bench_of_error (&bench, "a", "/code"), "'bad_output'");
            run_bench_free (&bench);
            run_bench_init (&bench);
        }
}
END_TEST

START_TEST (bound_provenance_that_no_receipt_can_hold_is_not_paid_for)
{
    for (size_t over = 0; over < 2; over++) {
        bench.setup.receipt_bytes_max = 3000;
        struct reel_buf overrides = map_of_bytes (2800 + 200 * over);
        bench.setup.provenance = reel_buf_slice (&overrides);
        run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
        reel_buf_free (&overrides);
        run_bench_expect (&bench, "started a 1 idempotent hold", over ? "failed a limit_exceeded" : "dispatch a 1",
                          over ? "ended" : "", over ? "END" : "");
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

START_TEST (bound_provenance_that_is_too_deep_is_not_paid_for)
{
    for (unsigned over = 0; over < 2; over++) {
        struct reel_buf overrides = map_of_depth (REEL_RECEIPT_DEPTH_MAX - 1 + over);
        bench.setup.provenance = reel_buf_slice (&overrides);
        run_bench_start (&bench, WORKFLOW (STEP ("a", "idem", "")));
        reel_buf_free (&overrides);
        ck_assert_int_eq (status_of ("a"), over ? REEL_STEP_FAILED : REEL_STEP_RUNNING);
        run_bench_free (&bench);
        run_bench_init (&bench);
    }
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("run_bounds");
    TCase *tc = suite_case (suite, "bound", set_up_bench, tear_down_bench);
    tcase_add_test (tc, bound_of_a_receipt_in_bytes);
    tcase_add_test (tc, bound_of_a_receipt_is_that_of_the_newest_terms);
    tcase_add_test (tc, bound_of_a_receipt_is_at_least_1024);
    tcase_add_test (tc, bound_of_a_receipt_holds_for_each_part);
    tcase_add_test (tc, bound_of_a_receipt_in_depth);
    tcase_add_test (tc, bound_of_a_checkpoint);
    tcase_add_test (tc, bound_of_an_error_in_bytes);
    tcase_add_test (tc, bound_of_an_errors_message_is_at_a_character);
    tcase_add_test (tc, bound_of_an_errors_detail);
    tcase_add_test (tc, bound_of_an_errors_code);
    tcase_add_test (tc, bound_broken_text_is_mended);
    tcase_add_test (tc, bound_of_a_progress_message);
    tcase_add_test (tc, bound_output_that_is_no_map_fails_the_step);
    tcase_add_test (tc, bound_provenance_that_no_receipt_can_hold_is_not_paid_for);
    tcase_add_test (tc, bound_provenance_that_is_too_deep_is_not_paid_for);
    return suite_run (suite);
}
