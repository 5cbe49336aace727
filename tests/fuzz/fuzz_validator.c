/*
 * Workflows made from bytes, so that most are well-formed and differ in what validation looks at: ids, dependencies,
 * statuses, policies, references. What is accepted keeps every rule of a workflow and can be executed to its end; what
 * is refused says which value it is about.
 *
 * Each byte of an input is one choice, in the order of the functions below; where it ends all choices are 0.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "proto/outcome.h"
#include "proto/pack.h"
#include "proto/reference.h"
#include "tests/fuzz/fuzz.h"

#define CODES                                                                                                          \
    " empty_workflow duplicate_step missing_dependency self_dependency cycle forward_reference bad_id bad_type "       \
    "missing_field bad_reference limit_exceeded bad_status "
#define STEPS 6 /* of a workflow, at most; some name one more */

/* --- making ------------------------------------------------------------------------------- */

struct choices {
    const uint8_t *at;
    const uint8_t *end;
};

static unsigned
choose (struct choices *choices, unsigned count)
{
    return choices->at < choices->end ? *choices->at++ % count : 0;
}

static void
make_scalar (struct choices *choices, struct reel_buf *out)
{
    switch (choose (choices, 12)) {
    case 0: reel_pack_nil (out); break;
    case 1: reel_pack_bool (out, true); break;
    case 2: reel_pack_uint (out, choose (choices, 256)); break;
    case 3: reel_pack_int (out, -(int64_t) choose (choices, 256)); break;
    case 4: reel_pack_uint (out, UINT64_MAX >> choose (choices, 64)); break;
    case 5: reel_pack_f64 (out, choose (choices, 256) / 2.0); break;
    case 6: reel_pack_f32_bits (out, choose (choices, 256) << 24); break;
    case 7: reel_pack_bin (out, reel_slice ("\0\xff", 2)); break;
    case 8: reel_pack_ext (out, (int8_t) choose (choices, 256), reel_slice ("time", 4)); break;
    case 9: reel_pack_text (out, ""); break;
    case 10: reel_pack_text (out, "s0"); break;
    default: reel_pack_text (out, "2026-04-28T09:10:06.000000Z"); break;
    }
}

static void
make_reference (struct choices *choices, unsigned self, struct reel_buf *out)
{
    static const char *const pointers[] = {"", "/output", "/output/value", "/output/none", "/", "/~2", "x", "/a~1b"};
    unsigned step = choose (choices, 8);
    char text[32];
    (void) snprintf (text, sizeof text, "#/s%u%s", step == 7 && self > 0 ? self - 1 : step,
                     pointers[choose (choices, 8)]);
    reel_pack_map (out, 1);
    reel_pack_text (out, "$ref");
    reel_pack_text (out, text);
}

static void
make_value (struct choices *choices, unsigned self, unsigned depth, struct reel_buf *out)
{
    static const char *const keys[] = {"a", "$ref", "$$ref", "a/b", "~", ""};
    unsigned count = choose (choices, 4), first;
    switch (depth < 2 ? choose (choices, 8) : 0) {
    case 1: make_reference (choices, self, out); break;
    case 2:
        reel_pack_array (out, count);
        for (unsigned i = 0; i < count; i++)
            make_value (choices, self, depth + 1, out);
        break;
    case 3:
        reel_pack_map (out, count);
        first = choose (choices, 6);
        for (unsigned i = 0; i < count; i++) {
            reel_pack_text (out, keys[(first + i) % 6]);
            make_value (choices, self, depth + 1, out);
        }
        break;
    default: make_scalar (choices, out); break;
    }
}

/* A map, or now and then any value. */
static void
make_map (struct choices *choices, unsigned self, struct reel_buf *out)
{
    switch (choose (choices, 8)) {
    case 0: reel_pack_map (out, 0); break;
    case 1: make_value (choices, self, 0, out); break;
    default:
        reel_pack_map (out, 1);
        reel_pack_text (out, choose (choices, 2) == 0 ? "value" : "output");
        make_value (choices, self, 0, out);
    }
}

static void
make_id (struct choices *choices, unsigned usual, struct reel_buf *out)
{
    char text[REEL_ID_BYTES_MAX + 2] = "s0";
    unsigned choice = choose (choices, 16);
    if (choice >= 8 && choice < 15)
        usual = choice - 8;
    text[1] = (char) ('0' + usual % 10);
    if (choice == 7) {
        memset (text, 'a', sizeof text - 1);
        text[REEL_ID_BYTES_MAX + choose (choices, 2)] = '\0';
    }
    if (choice == 15)
        make_scalar (choices, out);
    else
        reel_pack_text (out, choice == 6 ? "no id" : text);
}

static void
make_depends (struct choices *choices, unsigned self, struct reel_buf *out)
{
    unsigned count = choose (choices, 5);
    if (count == 4) {
        make_value (choices, self, 1, out);
        return;
    }
    reel_pack_array (out, count);
    for (unsigned i = 0; i < count; i++)
        make_id (choices, self > i ? self - i - 1 : 0, out);
}

static void
make_policy (struct choices *choices, struct reel_buf *out)
{
    static const char *const keys[] = {"timeout_ms", "in_doubt", "other"};
    static const char *const retry[] = {"max_attempts", "backoff_ms", "backoff_max_ms"};
    static const char *const in_doubt[] = {"hold", "retry", "fail", "else"};
    unsigned count = choose (choices, 4), inner = choose (choices, 4);
    reel_pack_map (out, count + 1);
    for (unsigned i = 0; i < count; i++) {
        reel_pack_text (out, keys[i]);
        if (i == 1 && choose (choices, 8) != 0)
            reel_pack_text (out, in_doubt[choose (choices, 4)]);
        else
            make_scalar (choices, out);
    }
    reel_pack_text (out, "retry");
    reel_pack_map (out, inner);
    for (unsigned i = 0; i < inner; i++) {
        reel_pack_text (out, retry[i]);
        make_scalar (choices, out);
    }
}

static void
make_status (struct choices *choices, struct reel_buf *out)
{
    unsigned choice = choose (choices, 8);
    if (choice < 5)
        reel_pack_text (out, reel_step_status_name ((enum reel_step_status) choice));
    else
        make_scalar (choices, out);
}

/* Begins one of the fields of a map whose count is written afterwards. */
static bool
field (struct choices *choices, const char *name, unsigned of, unsigned *count, struct reel_buf *out)
{
    if (choose (choices, of) == of - 1)
        return false;
    reel_pack_text (out, name);
    ++*count;
    return true;
}

static void
make_step (struct choices *choices, unsigned self, struct reel_buf *out)
{
    struct reel_buf fields = {0};
    unsigned count = 0;
    if (field (choices, "step_id", 32, &count, &fields))
        make_id (choices, self, &fields);
    if (field (choices, "modality", 32, &count, &fields)) {
        if (choose (choices, 16) == 15)
            make_scalar (choices, &fields);
        else
            reel_pack_text (&fields, "video");
    }
    if (field (choices, "depends_on", 3, &count, &fields))
        make_depends (choices, self, &fields);
    if (field (choices, "payload", 3, &count, &fields))
        make_map (choices, self, &fields);
    if (field (choices, "status", 2, &count, &fields))
        make_status (choices, &fields);
    if (field (choices, "receipt", 2, &count, &fields))
        make_map (choices, self, &fields);
    if (field (choices, "error", 2, &count, &fields))
        make_value (choices, self, 1, &fields);
    if (field (choices, "started_us", 2, &count, &fields))
        make_scalar (choices, &fields);
    if (field (choices, "policy", 2, &count, &fields))
        make_policy (choices, &fields);
    if (field (choices, "unknown", 2, &count, &fields))
        make_value (choices, self, 0, &fields);
    reel_pack_map (out, count);
    reel_buf_add_slice (out, reel_buf_slice (&fields));
    reel_buf_free (&fields);
}

static void
make_workflow (struct choices *choices, struct reel_buf *out)
{
    struct reel_buf fields = {0};
    unsigned count = 0, steps = choose (choices, STEPS + 2);
    if (field (choices, "steps", 64, &count, &fields)) {
        if (steps > STEPS) {
            make_value (choices, 0, 0, &fields);
        } else {
            reel_pack_array (&fields, steps);
            for (unsigned i = 0; i < steps; i++)
                make_step (choices, i, &fields);
        }
    }
    if (field (choices, "workflow_id", 2, &count, &fields))
        make_id (choices, 0, &fields);
    if (field (choices, "created_at", 2, &count, &fields))
        make_scalar (choices, &fields);
    if (field (choices, "global_provenance", 2, &count, &fields))
        make_map (choices, 0, &fields);
    reel_pack_map (out, count);
    reel_buf_add_slice (out, reel_buf_slice (&fields));
    reel_buf_free (&fields);
    REEL_ASSERT (reel_buf_status (out) == REEL_OK);
}

/* --- the rules, said once more ------------------------------------------------------------ */

static bool
depends (const struct reel_workflow *workflow, uint32_t step, uint32_t on)
{
    for (uint32_t d = 0; d < workflow->steps[step].depends_count; d++)
        if (workflow->depends[workflow->steps[step].depends_first + d] == on)
            return true;
    return false;
}

struct look {
    const struct reel_workflow *workflow;
    uint32_t step;
};

static enum reel_status
check_reference (void *context, struct reel_slice text, const char *path, struct reel_error *err)
{
    const struct look *look = context;
    struct reel_slice step_id, pointer;
    (void) path;
    (void) err;
    REEL_ASSERT (reel_reference_parse (text, &step_id, &pointer) == REEL_OK);
    int64_t named = reel_workflow_find (look->workflow, step_id);
    REEL_ASSERT (named >= 0 && depends (look->workflow, look->step, (uint32_t) named));
    return REEL_OK;
}

static void
check_status (const struct reel_workflow *workflow, uint32_t index, unsigned flags)
{
    const struct reel_step *step = &workflow->steps[index];
    bool succeeded = true, stopped = false;
    for (uint32_t on = 0; on < index; on++) {
        if (!depends (workflow, index, on))
            continue;
        succeeded &= workflow->steps[on].status == REEL_STEP_SUCCEEDED;
        stopped |= workflow->steps[on].status == REEL_STEP_FAILED || workflow->steps[on].status == REEL_STEP_SKIPPED;
    }
    REEL_ASSERT (step->status != REEL_STEP_RUNNING || ((flags & REEL_WORKFLOW_RUNNING_OK) != 0 && succeeded));
    REEL_ASSERT (step->status != REEL_STEP_SUCCEEDED || (step->receipt.len > 0 && succeeded));
    REEL_ASSERT (step->status != REEL_STEP_FAILED || (step->error.len > 0 && succeeded));
    REEL_ASSERT (step->status != REEL_STEP_SKIPPED || (step->error.len > 0 && stopped));
}

static void
check_rules (const struct reel_workflow *workflow, unsigned flags)
{
    REEL_ASSERT (workflow->step_count > 0 && workflow->step_count <= STEPS);
    for (uint32_t i = 0; i < workflow->step_count; i++) {
        const struct reel_step *step = &workflow->steps[i];
        struct look look = {workflow, i};
        REEL_ASSERT (reel_workflow_find (workflow, step->step_id) == i);
        REEL_ASSERT (step->step_id.len > 0 && step->step_id.len <= REEL_ID_BYTES_MAX && step->modality.len > 0);
        REEL_ASSERT (step->policy.timeout_ms >= 0 && step->policy.timeout_ms <= REEL_DURATION_MS_MAX);
        REEL_ASSERT (step->policy.max_attempts <= REEL_ATTEMPTS_MAX && step->policy.backoff_ms >= 0);
        for (uint32_t d = 0; d < step->depends_count; d++)
            REEL_ASSERT (workflow->depends[step->depends_first + d] < i);
        check_status (workflow, i, flags);
        REEL_ASSERT (reel_reference_walk (step->payload, "", check_reference, &look, NULL) == REEL_OK);
    }
}

/* --- executing ---------------------------------------------------------------------------- */

struct execution {
    const struct reel_workflow *workflow;
    struct reel_outcome outcomes[STEPS];
    struct reel_buf receipts[STEPS];
};

static bool
receipt_of (void *context, struct reel_slice step_id, struct reel_slice *receipt)
{
    const struct execution *execution = context;
    int64_t index = reel_workflow_find (execution->workflow, step_id);
    REEL_ASSERT (index >= 0);
    *receipt = execution->outcomes[index].receipt;
    return receipt->len > 0;
}

/* The workflow as it stands may be read again, now and at any later time. */
static void
check_standing (const struct execution *execution, unsigned flags)
{
    struct reel_buf document = {0};
    struct reel_workflow back = {0};
    reel_outcome_document (&document, execution->workflow, execution->outcomes, REEL_SLICE_NONE, REEL_SLICE_NONE);
    REEL_ASSERT (reel_buf_status (&document) == REEL_OK);
    REEL_ASSERT (reel_workflow_parse (&back, reel_buf_slice (&document), flags | REEL_WORKFLOW_GROWN, NULL) == REEL_OK);
    REEL_ASSERT (back.step_count == execution->workflow->step_count);
    for (uint32_t i = 0; i < back.step_count; i++) {
        REEL_ASSERT (back.steps[i].status == execution->outcomes[i].status);
        REEL_ASSERT (reel_slice_equal (back.steps[i].receipt, execution->outcomes[i].receipt));
        REEL_ASSERT (reel_slice_equal (back.steps[i].payload, execution->workflow->steps[i].payload));
    }
    reel_workflow_free (&back);
    reel_buf_free (&document);
}

/* Runs one step, whose dependencies have succeeded. */
static void
dispatch (struct execution *execution, uint32_t index, struct choices *choices)
{
    struct reel_outcome *outcome = &execution->outcomes[index];
    struct reel_buf payload = {0}, *receipt = &execution->receipts[index];
    struct reel_error err;
    bool replaced = false;
    outcome->status = REEL_STEP_RUNNING;
    outcome->started_us = 2 * index;
    outcome->error = REEL_SLICE_NONE;
    check_standing (execution, REEL_WORKFLOW_RUNNING_OK);
    enum reel_status status = reel_reference_resolve (execution->workflow->steps[index].payload, receipt_of, execution,
                                                      &payload, &replaced, &err);
    if (status != REEL_OK)
        fuzz_check_error (&err, " unresolved_reference limit_exceeded ");
    if (status == REEL_OK && choose (choices, 4) != 3) {
        reel_pack_map (receipt, 1);
        reel_pack_text (receipt, "output");
        make_value (choices, index, 0, receipt);
        outcome->status = REEL_STEP_SUCCEEDED;
        outcome->receipt = reel_buf_slice (receipt);
    } else {
        outcome->status = REEL_STEP_FAILED;
        outcome->receipt = REEL_SLICE_NONE;
        outcome->error = reel_slice ("\xa6"
                                     "failed",
                                     7);
    }
    outcome->finished_us = 2 * index + 1;
    reel_buf_free (&payload);
}

static void
check_blocking (const struct execution *execution, uint32_t index, int64_t blocking)
{
    for (uint32_t on = 0; on < index; on++) {
        enum reel_step_status status = execution->outcomes[on].status;
        bool stops = status == REEL_STEP_FAILED || status == REEL_STEP_SKIPPED;
        if (depends (execution->workflow, index, on))
            REEL_ASSERT (reel_step_status_final (status) && (!stops || blocking >= 0));
        if (on == blocking)
            REEL_ASSERT (stops && depends (execution->workflow, index, on));
    }
    REEL_ASSERT (blocking < (int64_t) index);
}

static void
execute (const struct reel_workflow *workflow, struct choices *choices)
{
    struct execution execution = {.workflow = workflow};
    uint32_t count = workflow->step_count;
    for (uint32_t i = 0; i < count; i++)
        execution.outcomes[i] = reel_outcome_of (&workflow->steps[i]);
    for (uint32_t i = 0; i < count; i++) {
        struct reel_outcome *outcome = &execution.outcomes[i];
        if (reel_step_status_final (outcome->status))
            continue;
        int64_t blocking = reel_outcome_blocking (workflow, i, execution.outcomes);
        check_blocking (&execution, i, blocking);
        if (blocking < 0)
            dispatch (&execution, i, choices);
        else
            *outcome = (struct reel_outcome){.status = REEL_STEP_SKIPPED,
                                             .error = reel_slice ("\x80", 1),
                                             .started_us = REEL_TIME_NIL,
                                             .finished_us = i};
        check_standing (&execution, REEL_WORKFLOW_RUNNING_OK);
    }
    REEL_ASSERT (reel_outcome_all_final (execution.outcomes, count));
    check_standing (&execution, REEL_WORKFLOW_STRICT);
    for (uint32_t i = 0; i < count; i++)
        reel_buf_free (&execution.receipts[i]);
}

/* --- checking ----------------------------------------------------------------------------- */

static bool
check_parsed (struct reel_workflow *workflow, struct reel_slice document, unsigned flags)
{
    struct reel_error err;
    struct reel_slice found;
    enum reel_status status = reel_workflow_parse (workflow, document, flags, &err);
    if (status == REEL_OK) {
        check_rules (workflow, flags);
        return true;
    }
    REEL_ASSERT (status == REEL_INVALID);
    fuzz_check_error (&err, CODES);
    REEL_ASSERT (reel_scan_pointer (document, reel_slice_text (err.path), &found));
    return false;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    struct choices choices = {data, data + len};
    struct reel_buf document = {0};
    struct reel_workflow workflow = {0};
    make_workflow (&choices, &document);
    bool strict = check_parsed (&workflow, reel_buf_slice (&document), REEL_WORKFLOW_STRICT);
    bool running = check_parsed (&workflow, reel_buf_slice (&document), REEL_WORKFLOW_RUNNING_OK);
    REEL_ASSERT (running || !strict);
    if (running) {
        bool any = false;
        for (uint32_t i = 0; i < workflow.step_count; i++)
            any |= workflow.steps[i].status == REEL_STEP_RUNNING;
        REEL_ASSERT (strict == !any);
        execute (&workflow, &choices);
    }
    reel_workflow_free (&workflow);
    reel_buf_free (&document);
    return 0;
}
