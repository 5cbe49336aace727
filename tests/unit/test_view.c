/*
 * The live view, drawn into a buffer: exact pictures, narrow and low terminals, hostile text.
 */
#include <check.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "client/text.h"
#include "client/view.h"
#include "proto/json.h"
#include "tests/support/suite.h"

#define T0 1700000000000000

static struct reel_view view;
static struct reel_buf picture;
static struct reel_view_frame frame;

static void
setup (void)
{
    ck_assert_ptr_nonnull (setlocale (LC_CTYPE, "C.UTF-8"));
    frame = (struct reel_view_frame){.columns = 72, .rows = 24, .now_us = T0, .utf8 = false};
}

static void
teardown (void)
{
    reel_view_free (&view);
    reel_buf_free (&picture);
}

static struct reel_buf
msgpack (const char *json)
{
    struct reel_error err = {0};
    struct reel_buf bytes = {0};
    ck_assert_msg (reel_json_read (reel_slice_text (json), &bytes, &err) == REEL_OK, "%s: %s", json, err.message);
    return bytes;
}

static void
load (const char *json)
{
    struct reel_buf document = msgpack (json);
    ck_assert_int_eq (reel_view_init (&view, reel_slice_text ("film-1")), REEL_OK);
    ck_assert_int_eq (reel_view_load (&view, reel_buf_slice (&document)), REEL_OK);
    reel_buf_free (&document);
}

/* An event `ms` after T0; `more` are further members, each after a comma. */
static void
happen (const char *kind, long ms, const char *more)
{
    struct reel_buf json = {0};
    reel_buf_printf (&json, "{\"kind\":\"%s\",\"at_us\":%lld%s}", kind, T0 + 1000ll * ms, more);
    reel_buf_add_byte (&json, '\0');
    struct reel_buf event = msgpack ((const char *) json.data);
    reel_view_event (&view, reel_buf_slice (&event));
    reel_buf_free (&event);
    reel_buf_free (&json);
}

static const char *
draw_at (long ms)
{
    frame.now_us = T0 + 1000ll * ms;
    reel_buf_clear (&picture);
    reel_view_draw (&view, &frame, &picture);
    reel_buf_add_byte (&picture, '\0');
    return (const char *) picture.data;
}

static const char *
draw_line_at (long ms)
{
    frame.now_us = T0 + 1000ll * ms;
    reel_buf_clear (&picture);
    reel_view_draw_line (&view, &frame, &picture);
    reel_buf_add_byte (&picture, '\0');
    return (const char *) picture.data;
}

static const char film[] = "{\"steps\":[{\"step_id\":\"still\",\"modality\":\"keyframe\"},"
                           "{\"step_id\":\"clip\",\"modality\":\"video\",\"depends_on\":[\"still\"]},"
                           "{\"step_id\":\"film\",\"modality\":\"mux\",\"depends_on\":[\"clip\"]}]}";

#define STILL ",\"step_id\":\"still\""
#define CLIP ",\"step_id\":\"clip\""
#define FILM ",\"step_id\":\"film\""

/* --- pictures --------------------------------------------------------------------------------- */

START_TEST (before_anything_happened)
{
    load (film);
    ck_assert_str_eq (draw_at (0), "film-1  queued        \n"
                                   " . still  keyframe          \n"
                                   " . clip   video             \n"
                                   " . film   mux               \n");
}
END_TEST

START_TEST (while_a_step_runs)
{
    load (film);
    happen ("workflow.accepted", 0, "");
    happen ("workflow.assigned", 100, ",\"worker\":\"left\"");
    happen ("step.started", 1000, STILL ",\"attempt\":1");
    happen ("step.succeeded", 1800, STILL ",\"receipt\":{}");
    happen ("step.started", 2000, CLIP ",\"attempt\":1");
    happen ("step.progress", 3000, CLIP ",\"fraction\":0.25,\"message\":\"frame 25\"");
    ck_assert_str_eq (draw_at (62000), "film-1  running    1:01  left\n"
                                       " + still  keyframe    0.8s  \n"
                                       " > clip   video       1:00  #####---------------  25% frame 25\n"
                                       " . film   mux               \n");
    frame.columns = 60;
    ck_assert_ptr_nonnull (strstr (draw_at (62000), "1:00  ###-------  25% frame 25\n"));
}
END_TEST

START_TEST (after_it_failed)
{
    load (film);
    happen ("step.started", 0, STILL);
    happen ("step.failed", 1500, STILL ",\"error\":{\"code\":\"exit_status\",\"message\":\"ffmpeg gave 1\"}");
    happen ("step.skipped", 1500, CLIP ",\"error\":{\"code\":\"dependency_failed\",\"message\":\"still\"}");
    happen ("step.skipped", 1500, FILM ",\"error\":\"as a text\"");
    happen ("workflow.failed", 1600, "");
    ck_assert_int_eq (view.end, REEL_VIEW_FAILED);
    ck_assert_str_eq (draw_at (99000), "film-1  failed    1.6s\n"
                                       " x still  keyframe    1.5s  exit_status: ffmpeg gave 1\n"
                                       " - clip   video             dependency_failed: still\n"
                                       " - film   mux               as a text\n");
}
END_TEST

START_TEST (marks_and_bars_in_utf8)
{
    frame.utf8 = true;
    frame.columns = 60;
    load (film);
    happen ("step.started", 0, STILL);
    happen ("step.progress", 0, STILL ",\"fraction\":1");
    ck_assert_str_eq (draw_at (1000), "film-1  running    1.0s\n"
                                      " ▶ still  keyframe    1.0s  ██████████ 100% \n"
                                      " · clip   video             \n"
                                      " · film   mux               \n");
}
END_TEST

START_TEST (colours_end_where_they_begin)
{
    frame.color = true;
    load (film);
    happen ("step.started", 0, STILL);
    const char *text = draw_at (0);
    int open = 0;
    for (const char *at = strchr (text, '\033'); at; at = strchr (at + 1, '\033')) {
        bool end = strncmp (at, "\033[0m", 4) == 0;
        ck_assert_int_eq (open, end ? 1 : 0);
        open = end ? 0 : 1;
    }
    ck_assert_int_eq (open, 0);
    ck_assert_ptr_nonnull (strstr (text, "\033[1mfilm-1\033[0m"));
}
END_TEST

START_TEST (as_one_line)
{
    load (film);
    ck_assert_str_eq (draw_line_at (0), "> film-1  queued  0/3          \n");
    happen ("step.started", 0, STILL);
    happen ("step.succeeded", 500, STILL);
    happen ("step.started", 500, CLIP);
    happen ("step.progress", 500, CLIP ",\"fraction\":0.5");
    ck_assert_str_eq (draw_line_at (2000), "> film-1  running  1/3    2.0s  clip  #####-----  50% \n");
    happen ("step.failed", 2500, CLIP ",\"error\":{\"code\":\"c\",\"message\":\"m\"}");
    happen ("workflow.failed", 2500, "");
    ck_assert_str_eq (draw_line_at (9000), "x film-1  failed  2/3    2.5s  clip  c: m\n");
}
END_TEST

/* --- what events do ----------------------------------------------------------------------------- */

static const struct {
    const char *kind;
    const char *state;
    enum reel_view_end end;
} states[] = {
    {"workflow.accepted", "queued", REEL_VIEW_RUNNING},
    {"workflow.assigned", "running", REEL_VIEW_RUNNING},
    {"workflow.requeued", "queued", REEL_VIEW_RUNNING},
    {"workflow.yielded", "queued", REEL_VIEW_RUNNING},
    {"workflow.held", "held", REEL_VIEW_RUNNING},
    {"workflow.cancelling", "cancelling", REEL_VIEW_RUNNING},
    {"workflow.succeeded", "succeeded", REEL_VIEW_SUCCEEDED},
    {"workflow.failed", "failed", REEL_VIEW_FAILED},
    {"workflow.cancelled", "cancelled", REEL_VIEW_CANCELLED},
    {"workflow.of_the_future", "queued", REEL_VIEW_RUNNING},
};

START_TEST (states_of_the_workflow)
{
    load (film);
    happen (states[_i].kind, 0, "");
    ck_assert_str_eq (view.state, states[_i].state);
    ck_assert_int_eq (view.end, states[_i].end);
}
END_TEST

START_TEST (given_back_steps_run_no_more)
{
    load (film);
    happen ("step.started", 0, STILL ",\"attempt\":1");
    happen ("workflow.requeued", 10, ",\"reason\":\"worker lost\"");
    ck_assert_int_eq (view.steps[0].status, REEL_STEP_PENDING);
    ck_assert_str_eq (view.note, "worker lost");
    happen ("step.started", 20, STILL ",\"attempt\":2");
    ck_assert_int_eq (view.steps[0].status, REEL_STEP_RUNNING);
    ck_assert_int_eq (view.steps[0].started_us, T0);
    ck_assert_ptr_nonnull (strstr (draw_at (1000), "attempt 2"));
}
END_TEST

START_TEST (late_progress_changes_nothing)
{
    load (film);
    happen ("step.started", 0, STILL);
    happen ("step.succeeded", 10, STILL);
    happen ("step.progress", 5, STILL ",\"fraction\":0.5,\"message\":\"late\"");
    ck_assert_int_eq (view.steps[0].status, REEL_STEP_SUCCEEDED);
    ck_assert_ptr_null (view.steps[0].note);
}
END_TEST

static const struct {
    const char *json;
    double fraction;
} fractions[] = {
    {"0.5", 0.5},
    {"1", 1},
    {"7", 1},
    {"-0.5", -1},
    {"-3", -1},
    {"null", -1},
    {"\"x\"", -1},
    {"{\"$f32\":\"3f000000\"}", 0.5},
    {"{\"$f64\":\"7ff8000000000000\"}", -1},
};

START_TEST (fractions_are_kept_within_bounds)
{
    char more[128];
    load (film);
    happen ("step.started", 0, STILL);
    (void) snprintf (more, sizeof more, STILL ",\"fraction\":%s", fractions[_i].json);
    happen ("step.progress", 0, more);
    ck_assert_double_eq (view.steps[0].fraction, fractions[_i].fraction);
}
END_TEST

START_TEST (finished_steps_of_the_document_are_shown)
{
    load ("{\"steps\":[{\"step_id\":\"a\",\"modality\":\"m\",\"status\":\"succeeded\",\"receipt\":{},"
          "\"started_us\":1700000000000000,\"finished_us\":1700000002000000},"
          "{\"step_id\":\"b\",\"modality\":\"m\"}]}");
    ck_assert_str_eq (draw_at (0), "film-1  queued        \n"
                                   " + a  m    2.0s  \n"
                                   " . b  m          \n");
}
END_TEST

START_TEST (what_is_no_workflow_is_refused)
{
    struct reel_buf document = msgpack ("{\"steps\":[]}");
    load (film);
    ck_assert_int_eq (reel_view_load (&view, reel_buf_slice (&document)), REEL_INVALID);
    ck_assert_uint_eq (view.step_count, 3);
    ck_assert_int_eq (reel_view_load (&view, reel_slice ("\xdf\xff", 2)), REEL_INVALID);
    reel_buf_free (&document);
}
END_TEST

/* --- sizes -------------------------------------------------------------------------------------- */

static void
load_many (unsigned count)
{
    struct reel_buf json = {0};
    reel_buf_add_text (&json, "{\"steps\":[");
    for (unsigned i = 0; i < count; i++)
        reel_buf_printf (&json, "%s{\"step_id\":\"s%u\",\"modality\":\"m\"}", i > 0 ? "," : "", i);
    reel_buf_add_text (&json, "]}");
    reel_buf_add_byte (&json, '\0');
    load ((const char *) json.data);
    reel_buf_free (&json);
}

static unsigned
lines_of (const char *text)
{
    unsigned lines = 0;
    for (const char *at = strchr (text, '\n'); at; at = strchr (at + 1, '\n'))
        lines++;
    return lines;
}

START_TEST (steps_that_do_not_fit_are_counted)
{
    char more[64];
    frame.rows = 7;
    load_many (100);
    for (int i = 0; i < 50; i++) {
        (void) snprintf (more, sizeof more, ",\"step_id\":\"s%d\"", i);
        happen ("step.started", 0, more);
        happen (i == 7 ? "step.failed" : "step.succeeded", 0, more);
    }
    happen ("step.started", 0, ",\"step_id\":\"s50\"");
    ck_assert_str_eq (draw_at (0), "film-1  running    0.0s\n"
                                   " ... 49 more: 48 succeeded, 1 failed\n"
                                   " + s49  m    0.0s  \n"
                                   " > s50  m    0.0s  \n"
                                   " . s51  m          \n"
                                   " . s52  m          \n"
                                   " ... 47 more: 47 pending\n");
}
END_TEST

START_TEST (the_open_step_is_always_in_the_picture)
{
    char more[64], wanted[64];
    frame.rows = 6;
    load_many (30);
    for (int i = 0; i < 30; i++) {
        (void) snprintf (more, sizeof more, ",\"step_id\":\"s%d\"", i);
        happen ("step.started", 0, more);
        (void) snprintf (wanted, sizeof wanted, " > s%d ", i);
        ck_assert_ptr_nonnull (strstr (draw_at (0), wanted));
        happen ("step.succeeded", 0, more);
    }
}
END_TEST

START_TEST (as_many_steps_as_rows_are_all_shown)
{
    load_many (5);
    frame.rows = 6;
    ck_assert_ptr_null (strstr (draw_at (0), "more"));
    ck_assert_uint_eq (lines_of (draw_at (0)), 6);
    frame.rows = 5;
    ck_assert_ptr_nonnull (strstr (draw_at (0), "more"));
    ck_assert_uint_le (lines_of (draw_at (0)), 5);
}
END_TEST

START_TEST (narrow_lines_drop_the_modality)
{
    load (film);
    happen ("step.started", 0, STILL);
    happen ("step.progress", 0, STILL ",\"fraction\":0.5,\"message\":\"message\"");
    frame.columns = 30;
    ck_assert_str_eq (draw_at (1000), "film-1  running    1.0s\n"
                                      " > still    1.0s  message\n"
                                      " . clip           \n"
                                      " . film           \n");
    frame.columns = 12;
    ck_assert_str_eq (draw_at (1000), "film-1  ru~\n"
                                      " > still  \n"
                                      " . clip   \n"
                                      " . film   \n");
}
END_TEST

/* Whatever the size and the text, no line reaches the last column and no picture the last row. */
START_TEST (no_line_is_too_long)
{
    static const char *const notes[] = {"plain", "\\u001b[31m", "\\u65e5\\u672c\\u8a9e\\u65e5\\u672c\\u8a9e",
                                        "e\\u0301"};
    struct reel_random random;
    char more[256];
    reel_random_seed (&random, 1);
    for (int round = 0; round < 300; round++) {
        load_many (1 + (unsigned) reel_random_below (&random, 40));
        (void) snprintf (more, sizeof more, ",\"step_id\":\"s0\",\"attempt\":2,\"fraction\":0.3,\"message\":\"%s%s%s\"",
                         notes[round % 4], notes[(round + 1) % 4], notes[round / 4 % 4]);
        happen ("step.started", 0, more);
        happen ("step.progress", 0, more);
        frame.utf8 = round % 2 == 0;
        frame.columns = 1 + (unsigned) reel_random_below (&random, 120);
        frame.rows = 1 + (unsigned) reel_random_below (&random, 40);
        const char *text = draw_at (0);
        ck_assert_uint_le (lines_of (text), frame.rows);
        for (const char *at = text, *end; (end = strchr (at, '\n')) != NULL; at = end + 1) {
            size_t columns = reel_text_columns (reel_slice (at, (size_t) (end - at)), true);
            ck_assert_msg (columns < frame.columns || columns <= 1, "%zu columns of %u: %.*s", columns, frame.columns,
                           (int) (end - at), at);
        }
        reel_view_free (&view);
    }
}
END_TEST

/* --- text --------------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    const char *utf8;
    const char *ascii;
    size_t columns; /* of the first */
} safe[] = {
    {"plain", "plain", "plain", 5},
    {"\033[31mred", "\\x1b[31mred", "\\x1b[31mred", 11},
    {"a\tb\r\n", "a\\x09b\\x0d\\x0a", "a\\x09b\\x0d\\x0a", 14},
    {"\x7f", "\\x7f", "\\x7f", 4},
    {"\xc2\x9b"
     "31m",
     "\\u{9b}31m", "\\u{9b}31m", 9}, /* CSI of eight bits */
    {"\xe2\x80\xae"
     "gpj",
     "\\u{202e}gpj", "\\u{202e}gpj", 11}, /* right-to-left override */
    {"\xef\xbb\xbfx", "\\u{feff}x", "\\u{feff}x", 9},
    {"\xf3\xa0\x80\x81", "\\u{e0001}", "\\u{e0001}", 9}, /* a tag: invisible */
    {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", "gr\\u{fc}\\u{df}", 4},
    {"\xe6\x97\xa5", "\xe6\x97\xa5", "\\u{65e5}", 2},
    {"\xff\xc3", "\\xff\\xc3", "\\xff\\xc3", 8},
    {"\xed\xa0\x80", "\\xed\\xa0\\x80", "\\xed\\xa0\\x80", 12}, /* a surrogate */
    {"", "", "", 0},
};

START_TEST (text_is_made_safe)
{
    struct reel_buf out = {0};
    struct reel_slice text = reel_slice_text (safe[_i].text);
    ck_assert_uint_eq (reel_text_add (&out, text, true), safe[_i].columns);
    ck_assert (reel_slice_is (reel_buf_slice (&out), safe[_i].utf8));
    ck_assert_uint_eq (reel_text_columns (text, true), safe[_i].columns);
    reel_buf_clear (&out);
    (void) reel_text_add (&out, text, false);
    ck_assert (reel_slice_is (reel_buf_slice (&out), safe[_i].ascii));
    reel_buf_free (&out);
}
END_TEST

static const struct {
    const char *text;
    size_t columns;
    const char *cut;
} cuts[] = {
    {"abcdef", 6, "abcdef"}, {"abcdef", 5, "abcd…"}, {"abcdef", 1, "…"},   {"abcdef", 0, ""},
    {"日本語", 6, "日本語"}, {"日本語", 5, "日本…"}, {"日本語", 4, "日…"}, {"a\n", 4, "a…"},
};

START_TEST (text_is_cut_at_characters)
{
    struct reel_buf out = {0};
    ck_assert_uint_le (reel_text_add_cut (&out, reel_slice_text (cuts[_i].text), cuts[_i].columns, true),
                       cuts[_i].columns);
    ck_assert_msg (reel_slice_is (reel_buf_slice (&out), cuts[_i].cut), "%.*s", REEL_TEXT (reel_buf_slice (&out)));
    reel_buf_free (&out);
}
END_TEST

START_TEST (json_keeps_its_meaning)
{
    struct reel_buf out = {0};
    reel_text_add_json (&out, reel_slice_text ("{\n\"a\":\"\x7f\xc2\x9b\xe2\x80\xae\xf3\xa0\x80\x81 \xc3\xbc\"}"));
    ck_assert (reel_slice_is (reel_buf_slice (&out), "{\n\"a\":\"\\u007f\\u009b\\u202e\\udb40\\udc01 \xc3\xbc\"}"));
    reel_buf_free (&out);
}
END_TEST

static const struct {
    int64_t us;
    const char *text;
} durations[] = {
    {0, "0.0s"},
    {-5, "0.0s"},
    {99999, "0.0s"},
    {100000, "0.1s"},
    {59999999, "59.9s"},
    {60000000, "1:00"},
    {3599999999, "59:59"},
    {3600000000, "1:00:00"},
    {90061000000, "25:01:01"},
    {INT64_MAX, "2562047788:00:54"},
};

START_TEST (durations_are_readable)
{
    char text[REEL_TEXT_DURATION_BYTES];
    reel_text_duration (durations[_i].us, text);
    ck_assert_str_eq (text, durations[_i].text);
}
END_TEST

#define COUNT(array) (int) (sizeof (array) / sizeof (array)[0])

int
main (void)
{
    Suite *suite = suite_create ("client/view");
    TCase *tcase = suite_case (suite, "view", setup, teardown);
    tcase_add_test (tcase, before_anything_happened);
    tcase_add_test (tcase, while_a_step_runs);
    tcase_add_test (tcase, after_it_failed);
    tcase_add_test (tcase, marks_and_bars_in_utf8);
    tcase_add_test (tcase, colours_end_where_they_begin);
    tcase_add_test (tcase, as_one_line);
    tcase_add_loop_test (tcase, states_of_the_workflow, 0, COUNT (states));
    tcase_add_test (tcase, given_back_steps_run_no_more);
    tcase_add_test (tcase, late_progress_changes_nothing);
    tcase_add_loop_test (tcase, fractions_are_kept_within_bounds, 0, COUNT (fractions));
    tcase_add_test (tcase, finished_steps_of_the_document_are_shown);
    tcase_add_test (tcase, what_is_no_workflow_is_refused);
    tcase_add_test (tcase, steps_that_do_not_fit_are_counted);
    tcase_add_test (tcase, the_open_step_is_always_in_the_picture);
    tcase_add_test (tcase, as_many_steps_as_rows_are_all_shown);
    tcase_add_test (tcase, narrow_lines_drop_the_modality);
    tcase_add_test (tcase, no_line_is_too_long);
    tcase_add_loop_test (tcase, text_is_made_safe, 0, COUNT (safe));
    tcase_add_loop_test (tcase, text_is_cut_at_characters, 0, COUNT (cuts));
    tcase_add_test (tcase, json_keeps_its_meaning);
    tcase_add_loop_test (tcase, durations_are_readable, 0, COUNT (durations));
    return suite_run (suite);
}
