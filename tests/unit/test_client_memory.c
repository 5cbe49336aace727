/*
 * The client, and what everybody makes of documents, when memory is out: the Nth allocation of each deed fails, for every N.
 * The deed says so and gives everything back, or goes on, and then what comes of it is what it is with enough memory.
 *
 * With the sanitizers there is only the deed without failures.
 */
#include <check.h>
#include <stdio.h>

#include "base/limits.h"
#include "client/follow.h"
#include "client/input.h"
#include "client/inventory.h"
#include "client/submission.h"
#include "proto/json.h"
#include "proto/outcome.h"
#include "proto/pack.h"
#include "proto/provenance.h"
#include "proto/scan.h"
#include "tests/support/document.h"
#include "tests/support/scarce.h"
#include "tests/support/suite.h"

#define SECOND 1000000
#define KEYS 100 /* more than are compared where they lie */

static struct reel_slice json, workflow, keys, other_keys, workers, events;
static struct reel_buf out; /* what comes of a deed */
static struct reel_error err;

static enum reel_status
read_json (void)
{
    return reel_json_read (json, &out, &err);
}

static enum reel_status
write_json (void)
{
    return reel_json_write (workflow, REEL_JSON_PRETTY, &out);
}

static enum reel_status
parse_workflow (void)
{
    struct reel_workflow parsed = {0};
    struct reel_outcome outcomes[8];
    enum reel_status status = reel_workflow_parse (&parsed, workflow, REEL_WORKFLOW_GROWN, &err);
    for (uint32_t i = 0; status == REEL_OK && i < parsed.step_count; i++)
        outcomes[i] = reel_outcome_of (&parsed.steps[i]);
    if (status == REEL_OK) {
        reel_outcome_document (&out, &parsed, outcomes, reel_slice_text ("wf"), reel_slice_text ("then"));
        reel_outcome_receipt (&out, &(struct reel_final){.workflow_id = reel_slice_text ("wf"), .status = "succeeded"},
                              &parsed, outcomes);
        status = reel_buf_status (&out);
    }
    reel_workflow_free (&parsed);
    return status;
}

static enum reel_status
merge_provenance (void)
{
    return reel_provenance_merge (keys, other_keys, reel_slice_text ("wf"), reel_slice_text ("a"), &out);
}

/* What leaves has an id. */
static enum reel_status
prepare_submission (void)
{
    struct reel_slice used = REEL_SLICE_NONE;
    enum reel_status status = reel_submission_prepare (keys, reel_slice_text ("wf"), &out, &used);
    if (status == REEL_OK)
        reel_buf_add_slice (&out, used);
    return status == REEL_OK ? reel_buf_status (&out) : status;
}

static enum reel_status
read_inputs (const char *text)
{
    struct reel_inputs inputs = {0};
    enum reel_status status = reel_inputs_add_bytes (&inputs, "file", reel_slice_text (text), &err);
    for (size_t i = 0; status == REEL_OK && i < inputs.count; i++) {
        reel_buf_printf (&out, "%s %d ", inputs.list[i].label, (int) inputs.list[i].status);
        reel_buf_add_slice (&out, reel_buf_slice (&inputs.list[i].document));
    }
    reel_inputs_free (&inputs);
    return status == REEL_OK ? reel_buf_status (&out) : status;
}

static enum reel_status
read_input (void)
{
    return read_inputs ("{\"steps\":[{\"step_id\":\"a\"}]}");
}

static enum reel_status
read_lines (void)
{
    return read_inputs ("{\"steps\":[]}\n{\"broken\":\n[1]\n{}\n{\"a\":1}\n{}\n");
}

static enum reel_status
read_inventory (void)
{
    struct reel_inventory inventory = {0};
    enum reel_status status = reel_inventory_read (&inventory, workers, REEL_SLICE_NONE);
    for (size_t i = 0; status == REEL_OK && i < inventory.count; i++) {
        reel_inventory_pack (&inventory.rows[i], &out);
        reel_inventory_limits (&inventory.rows[i], &out);
    }
    reel_inventory_free (&inventory);
    return status == REEL_OK ? reel_buf_status (&out) : status;
}

/* --- a follower ------------------------------------------------------------------------------- */

static struct reel_follow follow;
static int64_t now_us;

/* Event `seq` of those that there are. */
static struct reel_slice
event_at (uint64_t seq)
{
    struct reel_cursor cursor = reel_scan_start (events);
    struct reel_value head;
    struct reel_slice event = REEL_SLICE_NONE;
    (void) reel_scan_next (&cursor, &head);
    while (seq-- > 0)
        (void) reel_scan_skip (&cursor, &event);
    return event;
}

/* What was published; what a follower has no memory for it asks for. */
static void
publish (uint64_t seq)
{
    enum reel_status status = reel_follow_deliver (&follow, now_us, reel_slice_text ("event/w/k"), event_at (seq));
    if (status != REEL_OK && status != REEL_NO_MEMORY)
        reel_buf_add_text (&out, "refused");
}

static enum reel_status
page (uint64_t after, uint64_t last_seq)
{
    struct reel_buf bytes = {0};
    bool was_armed = armed;
    armed = false; /* the broker's memory */
    reel_pack_array (&bytes, last_seq > after ? (uint32_t) (last_seq - after) : 0);
    for (uint64_t seq = after + 1; seq <= last_seq; seq++)
        reel_buf_add_slice (&bytes, event_at (seq));
    armed = was_armed;
    enum reel_status status = reel_follow_page (
        &follow, now_us, &(struct reel_follow_page){.last_seq = last_seq, .events = reel_buf_slice (&bytes)}, &err);
    armed = false;
    reel_buf_free (&bytes);
    armed = was_armed;
    return status;
}

/* Asks while the rules want it. */
static enum reel_status
ask (uint64_t last_seq)
{
    enum reel_status status = REEL_OK;
    uint64_t after;
    now_us += 20 * SECOND;
    while (status == REEL_OK && reel_follow_ask (&follow, now_us, &after))
        status = page (after, last_seq);
    return status;
}

static void
give_out (void)
{
    struct reel_slice event;
    while (reel_follow_next (&follow, &event))
        reel_buf_add_slice (&out, event);
}

/* Some come live, some behind a gap, the rest by asking: each once, in order. */
static enum reel_status
follow_events (void)
{
    now_us = 0;
    reel_follow_init (&follow, REEL_SLICE_NONE, 0, now_us);
    publish (2);
    enum reel_status status = ask (2);
    publish (3);
    give_out ();
    publish (5);
    publish (7);
    publish (8);
    if (status == REEL_OK)
        status = ask (6);
    publish (9);
    give_out ();
    if (status == REEL_OK)
        status = ask (10);
    give_out ();
    reel_follow_free (&follow);
    return status == REEL_OK ? reel_buf_status (&out) : status;
}

/* --- every deed --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum reel_status (*run) (void);
} deeds[] = {
    {"reading JSON", read_json},
    {"writing JSON", write_json},
    {"parsing a workflow", parse_workflow},
    {"merging provenance", merge_provenance},
    {"preparing a submission", prepare_submission},
    {"reading a file", read_input},
    {"reading JSON lines", read_lines},
    {"reading an inventory", read_inventory},
    {"following", follow_events},
};
#define DEEDS (sizeof deeds / sizeof deeds[0])

static struct reel_slice
many_keys (char first)
{
    struct reel_buf bytes = {0};
    reel_pack_map (&bytes, KEYS);
    for (int i = 0; i < KEYS; i++) {
        char key[16];
        (void) snprintf (key, sizeof key, "%c%d", first + i % 2, i);
        reel_pack_text (&bytes, key);
        reel_pack_text (&bytes, "a value of some length, so that it takes room");
    }
    struct reel_slice copy = document_copy (reel_buf_slice (&bytes));
    reel_buf_free (&bytes);
    return copy;
}

static struct reel_slice
ten_events (void)
{
    struct reel_buf bytes = {0};
    reel_pack_array (&bytes, 10);
    for (unsigned seq = 1; seq <= 10; seq++)
        reel_buf_add_slice (&bytes, document_of ("{'seq':%u,'index':%u,'workflow_id':'w','kind':'step.started',"
                                                 "'note':'as long as an event is, more or less'}",
                                                 seq, seq));
    struct reel_slice copy = document_copy (reel_buf_slice (&bytes));
    reel_buf_free (&bytes);
    return copy;
}

static void
make_documents (void)
{
    /* A key whose closing quote is the first character that jansson needs more memory for. */
    json = reel_slice_text (
        "{\"fourteen chars\":0,\"steps\":[1,2.5,-3,null,true,{\"$bin\":\"AAAA\"},{\"$ext\":[5,\"AAAA\"]},"
        "{\"$uint\":\"18446744073709551615\"},{\"$$f32\":[]}],\"a longer key than most\":"
        "\"and a string that does not fit into a small buffer, so that it has to grow\"}");
    workflow = document ("{'workflow_id':'w','global_provenance':{'p':1},'steps':["
                         "{'step_id':'a','modality':'x','payload':{'n':1},'status':'succeeded','receipt':{'y':2}},"
                         "{'step_id':'b','modality':'x','depends_on':['a'],'payload':{'of':{'$ref':'#/a/y'}}},"
                         "{'step_id':'c','modality':'x','depends_on':['a','b'],'policy':{'timeout_ms':5}}]}");
    keys = many_keys ('a');
    other_keys = many_keys ('b');
    workers = document ("{'workers':[{'name':'w','slots':2,'leases':1,'dispatch':{'x':{'adapter':'a','class':'neither',"
                        "'limits':{'timeout_ms':5}},'y':{}}},{'name':'v','slots':1,'modalities':['y','z']}]}");
    events = ten_events ();
}

/* True when nothing failed. */
static bool
do_with_failure (size_t deed, uint64_t at, const struct reel_buf *expected)
{
    failing = at;
    allocations = 0;
    outstanding = 0;
    armed = true;
    enum reel_status status = deeds[deed].run ();
    struct reel_buf made = out;
    bool failed = allocations >= failing;
    if (status != REEL_OK)
        reel_buf_free (&out);
    armed = false;
    if (status == REEL_OK) {
        ck_assert_msg (reel_slice_equal (reel_buf_slice (&made), reel_buf_slice (expected)),
                       "%s: another result after number %llu failed", deeds[deed].name, (unsigned long long) at);
        armed = true;
        reel_buf_free (&out);
        armed = false;
    } else {
        ck_assert_msg (status == REEL_NO_MEMORY, "%s: number %llu: %s: %s", deeds[deed].name, (unsigned long long) at,
                       reel_status_name (status), err.message);
    }
    ck_assert_msg (outstanding == 0, "%s: %lld allocations are not given back after number %llu failed",
                   deeds[deed].name, (long long) outstanding, (unsigned long long) at);
    return !failed;
}

START_TEST (every_allocation_may_fail)
{
    uint64_t failures = 0;
    make_documents ();
    ck_assert_msg (deeds[_i].run () == REEL_OK, "%s: %s", deeds[_i].name, err.message);
    struct reel_buf expected = out;
    out = (struct reel_buf){0};
    ck_assert_uint_gt (expected.len, 0);
    while (can_fail () && !do_with_failure ((size_t) _i, failures + 1, &expected))
        failures++;
    ck_assert (!can_fail () || failures > 0);
    reel_buf_free (&expected);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("client, memory");
    TCase *tests = tcase_create ("memory");
    tcase_add_loop_test (tests, every_allocation_may_fail, 0, DEEDS);
    suite_add_tcase (suite, tests);
    return suite_run (suite);
}
