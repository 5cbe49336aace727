/*
 * The bench of the run machine's tests.
 */
#include "tests/support/run_bench.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "proto/json.h"
#include "proto/message.h"
#include "proto/scan.h"

#define WORKFLOW_BYTES_MAX 65536
static char workflow_text[WORKFLOW_BYTES_MAX];

const char *
run_bench_workflow (const char *const *steps)
{
    size_t len = (size_t) snprintf (workflow_text, sizeof workflow_text, "{'steps':[%s", steps[0]);
    for (size_t i = 1; steps[i] != NULL && len < sizeof workflow_text; i++)
        len += (size_t) snprintf (workflow_text + len, sizeof workflow_text - len, ",%s", steps[i]);
    ck_assert_uint_lt (len + 3, sizeof workflow_text);
    memcpy (workflow_text + len, "]}", 3);
    return workflow_text;
}

static bool
route (void *context, struct reel_slice modality, struct reel_route *found)
{
    static const struct {
        const char *prefix;
        enum reel_adapter_class class;
    } routes[] = {{"idem", REEL_ADAPTER_IDEMPOTENT}, {"paid", REEL_ADAPTER_NEITHER}, {"resum", REEL_ADAPTER_RESUMABLE}};
    struct run_bench *bench = context;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        size_t len = strlen (routes[i].prefix);
        if (modality.len >= len && memcmp (modality.data, routes[i].prefix, len) == 0) {
            *found = (struct reel_route){routes[i].prefix, routes[i].class, bench->defaults};
            return true;
        }
    }
    *found = (struct reel_route){"any", REEL_ADAPTER_IDEMPOTENT, bench->defaults};
    return bench->serves_everything;
}

static bool
look_up_hook (void *context, enum reel_hook_point point, uint32_t index, struct reel_hook *found)
{
    struct run_bench *bench = context;
    for (const struct run_bench_hook *hook = bench->hooks; hook != NULL && hook->name != NULL; hook++)
        if ((hook->points & point) != 0 && index-- == 0) {
            *found = (struct reel_hook){.name = hook->name, .timeout_ms = 700};
            return true;
        }
    return false;
}

void
run_bench_init (struct run_bench *bench)
{
    *bench = (struct run_bench){.wall_us = 1000};
    bench->setup = (struct reel_run_setup){.delivery = 1,
                                           .workflow_id = reel_slice_text ("wf"),
                                           .lease_ms = 10000,
                                           .seed = 1,
                                           .route = route,
                                           .hook = look_up_hook,
                                           .registry = bench};
}

static void
exchange (struct reel_buf *text, uint8_t from, uint8_t to)
{
    for (size_t i = 0; i < text->len; i++)
        if (text->data[i] == from)
            text->data[i] = to;
}

struct reel_buf
run_bench_msgpack (const char *json)
{
    struct reel_buf text = {0}, out = {0};
    struct reel_error err = {0};
    reel_buf_add_text (&text, json);
    exchange (&text, '\'', '"');
    enum reel_status status = reel_json_read (reel_buf_slice (&text), &out, &err);
    ck_assert_msg (status == REEL_OK, "%s at %s in %s", err.message, err.path, json);
    reel_buf_free (&text);
    return out;
}

static void
create_from (struct run_bench *bench, struct reel_slice document)
{
    struct reel_error err = {0};
    bench->setup.document = document;
    enum reel_status status = reel_run_create (&bench->setup, &bench->run, &err);
    ck_assert_msg (status == REEL_OK, "%s: %s at %s", err.code, err.message, err.path);
    bench->setup.document = REEL_SLICE_NONE;
}

void
run_bench_create (struct run_bench *bench, const char *document)
{
    struct reel_buf bytes = run_bench_msgpack (document);
    create_from (bench, reel_buf_slice (&bytes));
    reel_buf_free (&bytes);
}

void
run_bench_start (struct run_bench *bench, const char *document)
{
    run_bench_create (bench, document);
    run_bench_feed (bench, (struct reel_run_event){.kind = REEL_RUN_BEGIN});
}

void
run_bench_start_from (struct run_bench *bench, struct reel_slice document)
{
    create_from (bench, document);
    run_bench_feed (bench, (struct reel_run_event){.kind = REEL_RUN_BEGIN});
}

void
run_bench_free (struct run_bench *bench)
{
    reel_run_destroy (&bench->run);
    ck_assert_ptr_null (bench->run);
    reel_buf_free (&bench->trace);
    reel_buf_free (&bench->text);
}

/* --- the trace ------------------------------------------------------------------------- */

static struct reel_slice
text_in (struct reel_slice map, const char *key)
{
    struct reel_slice text = REEL_SLICE_NONE;
    (void) reel_scan_find_str (map, key, &text);
    return text;
}

static void
trace_event (struct run_bench *bench, struct reel_slice map)
{
    struct reel_message event;
    struct reel_error err = {0};
    ck_assert_int_eq (reel_scan_check (map, REEL_DEPTH_MAX, &err), REEL_OK);
    ck_assert_msg (reel_message_decode_event (REEL_REPORTED, map, "", &event, &err) == REEL_OK, "%s", err.message);
    const char *kind = strchr (reel_message_spec (event.command)->name, '.') + 1;
    reel_buf_add_text (&bench->trace, kind);
    if (reel_message_has (&event, REEL_F_STEP_ID))
        reel_buf_printf (&bench->trace, " %.*s", REEL_TEXT (event.value[REEL_F_STEP_ID].s));
    if (event.command == REEL_REPORTED_STARTED)
        reel_buf_printf (&bench->trace, " %d %s %.*s", (int) event.value[REEL_F_ATTEMPT].u,
                         event.value[REEL_F_IDEMPOTENT].b ? "idempotent" : "protected",
                         REEL_TEXT (event.value[REEL_F_IN_DOUBT].s));
    if (reel_message_has (&event, REEL_F_ERROR))
        reel_buf_printf (&bench->trace, " %.*s", REEL_TEXT (text_in (event.value[REEL_F_ERROR].s, "code")));
    if (event.command == REEL_REPORTED_RETRYING)
        reel_buf_printf (&bench->trace, " %d%s", (int) event.value[REEL_F_DELAY_MS].u,
                         reel_message_has (&event, REEL_F_OPEN) ? " open" : "");
    if (reel_message_has (&event, REEL_F_CHECKPOINT))
        reel_buf_printf (&bench->trace, " %s", run_bench_json (bench, event.value[REEL_F_CHECKPOINT].s));
    if (reel_message_has (&event, REEL_F_FRACTION))
        reel_buf_printf (&bench->trace, " %.2f", event.value[REEL_F_FRACTION].f);
    if (reel_message_has (&event, REEL_F_MESSAGE))
        reel_buf_printf (&bench->trace, " %.*s", REEL_TEXT (event.value[REEL_F_MESSAGE].s));
    reel_buf_add_text (&bench->trace, "\n");
}

/* Everything in the outbox that is new, one event a report. */
static void
trace_outbox (struct run_bench *bench)
{
    while (bench->traced < reel_run_last_index (bench->run)) {
        struct reel_buf report = {0};
        uint32_t count = 0;
        ck_assert_int_eq (reel_run_outbox (bench->run, bench->traced + 1, 1, &report, &count), REEL_OK);
        ck_assert_uint_eq (count, 1);
        struct reel_cursor cursor = reel_scan_start (reel_buf_slice (&report));
        struct reel_value head;
        struct reel_slice event;
        ck_assert (reel_scan_next (&cursor, &head) && head.type == REEL_ARRAY && head.count == 1);
        ck_assert (reel_scan_skip (&cursor, &event) && cursor.at == cursor.end);
        trace_event (bench, event);
        bench->traced++;
        reel_buf_free (&report);
    }
}

static void
trace_dispatch (struct run_bench *bench, const struct reel_call *call)
{
    struct reel_hook hook;
    ck_assert_msg (!bench->open, "a second dispatch while one is open");
    bench->open = true;
    bench->call = *call;
    if (call->hook == REEL_HOOK_NONE) {
        reel_buf_printf (&bench->trace, "dispatch %.*s %u\n", REEL_TEXT (call->step_id), call->attempt);
        return;
    }
    ck_assert (look_up_hook (bench, call->hook, call->hook_index, &hook));
    reel_buf_printf (&bench->trace, "hook %s %s %.*s\n", reel_hook_point_name (call->hook), hook.name,
                     REEL_TEXT (call->step_id));
}

static void
trace_command (struct run_bench *bench, const struct reel_run_command *command)
{
    switch (command->kind) {
    case REEL_RUN_DISPATCH: trace_dispatch (bench, &command->call); break;
    case REEL_RUN_ABORT: reel_buf_add_text (&bench->trace, "abort\n"); break;
    case REEL_RUN_CONFIRM: reel_buf_add_text (&bench->trace, "confirm\n"); break;
    case REEL_RUN_WAKE:
        reel_buf_printf (&bench->trace, "wake +%d\n", (int) ((command->wake_us - bench->monotonic_us) / 1000));
        break;
    case REEL_RUN_SEND: trace_outbox (bench); break;
    case REEL_RUN_TELL:
        reel_buf_add_text (&bench->trace, "tell ");
        trace_event (bench, command->event);
        break;
    case REEL_RUN_ENDED: reel_buf_add_text (&bench->trace, "END\n"); break;
    }
}

void
run_bench_feed (struct run_bench *bench, struct reel_run_event event)
{
    event.wall_us = bench->wall_us;
    event.monotonic_us = bench->monotonic_us;
    if (event.kind == REEL_RUN_FINISHED)
        bench->open = false;
    bench->status = reel_run_step (bench->run, &event, &bench->commands);
    for (size_t i = 0; i < bench->commands.count; i++)
        trace_command (bench, &bench->commands.list[i]);
    if (bench->status == REEL_OK)
        ck_assert_msg (bench->traced == reel_run_last_index (bench->run), "the outbox grew without a SEND");
}

void
run_bench_expect_lines (struct run_bench *bench, const char *file, int line, const char *const *lines)
{
    struct reel_buf wanted = {0};
    for (size_t i = 0; lines[i] != NULL; i++)
        if (lines[i][0] != '\0')
            reel_buf_printf (&wanted, "%s\n", lines[i]);
    bool same = reel_slice_equal (reel_buf_slice (&wanted), reel_buf_slice (&bench->trace));
    ck_assert_msg (same, "%s:%d: wanted\n%.*s----- got\n%.*s", file, line, REEL_TEXT (wanted),
                   REEL_TEXT (bench->trace));
    reel_buf_free (&wanted);
    reel_buf_clear (&bench->trace);
}

void
run_bench_forget (struct run_bench *bench)
{
    reel_buf_clear (&bench->trace);
}

/* --- events ---------------------------------------------------------------------------- */

void
run_bench_pass_ms (struct run_bench *bench, int64_t ms)
{
    bench->wall_us += ms * 1000;
    bench->monotonic_us += ms * 1000;
}

void
run_bench_tick (struct run_bench *bench)
{
    run_bench_feed (bench, (struct reel_run_event){.kind = REEL_RUN_TICK});
}

void
run_bench_succeed_with (struct run_bench *bench, const char *output, const char *extra)
{
    struct reel_buf output_bytes = {0}, extra_bytes = {0};
    if (output != NULL)
        output_bytes = run_bench_msgpack (output);
    if (extra != NULL)
        extra_bytes = run_bench_msgpack (extra);
    run_bench_feed (bench, (struct reel_run_event){.kind = REEL_RUN_FINISHED,
                                                   .result = {.succeeded = true,
                                                              .output = reel_buf_slice (&output_bytes),
                                                              .extra = reel_buf_slice (&extra_bytes)}});
    reel_buf_free (&output_bytes);
    reel_buf_free (&extra_bytes);
}

void
run_bench_succeed (struct run_bench *bench, const char *output)
{
    run_bench_succeed_with (bench, output, NULL);
}

void
run_bench_fail (struct run_bench *bench, const char *code, const char *how)
{
    run_bench_feed (bench, (struct reel_run_event){.kind = REEL_RUN_FINISHED,
                                                   .result.failure = {.code = code,
                                                                      .message = reel_slice_text ("it broke"),
                                                                      .retryable = strchr (how, 'r') != NULL,
                                                                      .open = strchr (how, 'o') != NULL}});
}

void
run_bench_checkpoint (struct run_bench *bench, const char *checkpoint)
{
    struct reel_buf bytes = run_bench_msgpack (checkpoint);
    run_bench_feed (bench, (struct reel_run_event){.kind = REEL_RUN_CHECKPOINT, .checkpoint = reel_buf_slice (&bytes)});
    reel_buf_free (&bytes);
}

void
run_bench_progress (struct run_bench *bench, double fraction, const char *message)
{
    run_bench_feed (
        bench, (struct reel_run_event){.kind = REEL_RUN_PROGRESS, .progress = {fraction, reel_slice_text (message)}});
}

void
run_bench_ack (struct run_bench *bench, uint64_t index)
{
    run_bench_feed (bench, (struct reel_run_event){.kind = REEL_RUN_ACKED, .index = index});
}

void
run_bench_ack_all (struct run_bench *bench)
{
    run_bench_ack (bench, reel_run_last_index (bench->run));
}

void
run_bench_confirm (struct run_bench *bench)
{
    run_bench_feed (bench, (struct reel_run_event){.kind = REEL_RUN_CONFIRMED, .confirmed_us = bench->monotonic_us});
}

void
run_bench_answer (struct run_bench *bench)
{
    run_bench_confirm (bench);
    run_bench_ack_all (bench);
}

void
run_bench_cancel (struct run_bench *bench)
{
    run_bench_feed (bench, (struct reel_run_event){.kind = REEL_RUN_CANCEL});
}

void
run_bench_yield (struct run_bench *bench)
{
    run_bench_feed (bench, (struct reel_run_event){.kind = REEL_RUN_YIELD});
}

/* --- looking --------------------------------------------------------------------------- */

const char *
run_bench_json (struct run_bench *bench, struct reel_slice value)
{
    reel_buf_clear (&bench->text);
    if (value.len > 0)
        ck_assert_int_eq (reel_json_write (value, REEL_JSON_COMPACT, &bench->text), REEL_OK);
    exchange (&bench->text, '"', '\'');
    reel_buf_add_byte (&bench->text, 0);
    ck_assert_int_eq (reel_buf_status (&bench->text), REEL_OK);
    return (const char *) bench->text.data;
}

struct reel_outcome
run_bench_outcome (struct run_bench *bench, const char *step_id)
{
    int64_t step = reel_workflow_find (reel_run_workflow (bench->run), reel_slice_text (step_id));
    ck_assert_int_ge (step, 0);
    return reel_run_outcomes (bench->run)[step];
}

const char *
run_bench_receipt (struct run_bench *bench, const char *step_id)
{
    return run_bench_json (bench, run_bench_outcome (bench, step_id).receipt);
}

const char *
run_bench_error (struct run_bench *bench, const char *step_id)
{
    return run_bench_json (bench, run_bench_outcome (bench, step_id).error);
}

static const char *
pointed_at (struct run_bench *bench, struct reel_slice value, const char *pointer)
{
    struct reel_slice found = REEL_SLICE_NONE;
    (void) reel_scan_pointer (value, reel_slice_text (pointer), &found);
    return run_bench_json (bench, found);
}

const char *
run_bench_of_receipt (struct run_bench *bench, const char *step_id, const char *pointer)
{
    return pointed_at (bench, run_bench_outcome (bench, step_id).receipt, pointer);
}

const char *
run_bench_of_error (struct run_bench *bench, const char *step_id, const char *pointer)
{
    return pointed_at (bench, run_bench_outcome (bench, step_id).error, pointer);
}

struct reel_buf
run_bench_document (struct run_bench *bench)
{
    struct reel_buf out = {0};
    reel_outcome_document (&out, reel_run_workflow (bench->run), reel_run_outcomes (bench->run),
                           bench->setup.workflow_id, REEL_SLICE_NONE);
    ck_assert_int_eq (reel_buf_status (&out), REEL_OK);
    return out;
}

const char *
run_bench_document_json (struct run_bench *bench)
{
    struct reel_buf document = run_bench_document (bench);
    const char *json = run_bench_json (bench, reel_buf_slice (&document));
    ck_assert_uint_lt (strlen (json), sizeof workflow_text);
    memcpy (workflow_text, json, strlen (json) + 1);
    reel_buf_free (&document);
    return workflow_text;
}
