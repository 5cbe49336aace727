/*
 * The graph over the steps: unique ids, dependencies that come earlier in the list, statuses that do not
 * contradict them, references to what is depended on.
 */
#include "proto/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "proto/identity.h"
#include "proto/reference.h"
#include "proto/scan.h"

#define NO_STEP UINT32_MAX
#define PATH_BYTES 64        /* "/steps/999/payload" */
#define LOOP_NAMES_BYTES 160 /* no further step of a loop is named beyond these, which have room for two */

/* --- ids ----------------------------------------------------------------------------------- */

static int
compare_ids (const void *a, const void *b, void *steps)
{
    uint32_t left = *(const uint32_t *) a, right = *(const uint32_t *) b;
    const struct reel_step *list = steps;
    int order = reel_slice_compare (list[left].step_id, list[right].step_id);
    return order != 0 ? order : left < right ? -1 : left > right;
}

static enum reel_status
index_ids (struct reel_workflow *workflow, struct reel_error *err)
{
    uint32_t second = NO_STEP;
    for (uint32_t i = 0; i < workflow->step_count; i++)
        workflow->by_id[i] = i;
    qsort_r (workflow->by_id, workflow->step_count, sizeof *workflow->by_id, compare_ids, workflow->steps);
    for (uint32_t i = 1; i < workflow->step_count; i++) {
        uint32_t here = workflow->by_id[i];
        if (here < second
            && reel_slice_equal (workflow->steps[workflow->by_id[i - 1]].step_id, workflow->steps[here].step_id))
            second = here;
    }
    if (second == NO_STEP)
        return REEL_OK;
    struct reel_place step = {&reel_place_steps, NULL, second}, at = {&step, "step_id", 0};
    return reel_place_refuse (err, "duplicate_step", &at, "an earlier step is called %.*s too",
                              REEL_TEXT (workflow->steps[second].step_id));
}

int64_t
reel_workflow_find (const struct reel_workflow *workflow, struct reel_slice step_id)
{
    uint32_t low = 0, high = workflow->step_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = reel_slice_compare (workflow->steps[workflow->by_id[middle]].step_id, step_id);
        if (order == 0)
            return workflow->by_id[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

/* --- the graph ----------------------------------------------------------------------------- */

static enum reel_status
resolve_depends (struct reel_workflow *workflow)
{
    workflow->depends_count = 0;
    for (uint32_t i = 0; i < workflow->step_count; i++) {
        struct reel_step *step = &workflow->steps[i];
        step->depends_first = workflow->depends_count;
        step->depends_count = 0;
        if (step->depends_on.len == 0)
            continue;
        struct reel_cursor cursor = reel_scan_start (step->depends_on);
        struct reel_value head, element;
        bool read = reel_scan_next (&cursor, &head);
        if (workflow->depends_count + head.count > workflow->depends_cap) {
            uint32_t cap = 2 * (workflow->depends_count + head.count);
            uint32_t *depends = realloc (workflow->depends, cap * sizeof *depends);
            if (depends == NULL)
                return REEL_NO_MEMORY;
            workflow->depends = depends;
            workflow->depends_cap = cap;
        }
        step->depends_count = head.count;
        for (uint32_t d = 0; d < head.count; d++) {
            read = read && reel_scan_next (&cursor, &element);
            REEL_ASSERT (read);
            int64_t found = reel_workflow_find (workflow, element.bytes);
            workflow->depends[workflow->depends_count++] = found < 0 ? NO_STEP : (uint32_t) found;
        }
    }
    return REEL_OK;
}

/* Follows dependencies from `from` to `to`, the shortest way; came[x] is the step that depends on x on that way. */
static bool
find_way (const struct reel_workflow *workflow, uint32_t from, uint32_t to, uint32_t *came, uint32_t *queue)
{
    uint32_t first = 0, last = 0;
    for (uint32_t i = 0; i < workflow->step_count; i++)
        came[i] = NO_STEP;
    came[from] = from;
    queue[last++] = from;
    while (first < last) {
        uint32_t here = queue[first++];
        const struct reel_step *step = &workflow->steps[here];
        for (uint32_t d = 0; d < step->depends_count; d++) {
            uint32_t next = workflow->depends[step->depends_first + d];
            if (next == NO_STEP || came[next] != NO_STEP)
                continue;
            came[next] = here;
            if (next == to)
                return true;
            queue[last++] = next;
        }
    }
    return false;
}

/* Names the loop that `index`, `later` and the way back from there are; of a long one the beginning. */
static void
name_loop (const struct reel_workflow *workflow, uint32_t index, uint32_t later, const uint32_t *came, uint32_t *loop,
           struct reel_buf *names)
{
    uint32_t count = 0;
    for (uint32_t here = came[index]; here != later; here = came[here])
        loop[count++] = here;
    loop[count++] = later;
    reel_buf_printf (names, "%.*s -> ", REEL_TEXT (workflow->steps[index].step_id));
    for (; count > 0 && names->len < LOOP_NAMES_BYTES; count--)
        reel_buf_printf (names, "%.*s -> ", REEL_TEXT (workflow->steps[loop[count - 1]].step_id));
    if (count > 0)
        reel_buf_printf (names, "(%u more) -> ", count);
    reel_buf_printf (names, "%.*s", REEL_TEXT (workflow->steps[index].step_id));
}

/* Step `index` depends on the later step `later`: a loop, or only the wrong order? */
static enum reel_status
refuse_later (const struct reel_workflow *workflow, uint32_t index, uint32_t later, const struct reel_place *at,
              struct reel_error *err)
{
    enum reel_status status;
    struct reel_buf names = {0};
    uint32_t *came = calloc (2 * (size_t) workflow->step_count, sizeof *came);
    if (came == NULL)
        return REEL_NO_MEMORY;
    uint32_t *work = came + workflow->step_count;
    if (find_way (workflow, later, index, came, work)) {
        name_loop (workflow, index, later, came, work, &names);
        status = names.failed ? REEL_NO_MEMORY
                              : reel_place_refuse (err, "cycle", at, "these steps wait for each other: %.*s",
                                                   (int) names.len, (const char *) names.data);
    } else {
        status = reel_place_refuse (
            err, "forward_reference", at, "%.*s comes later in the list; steps run in order, so move it before %.*s",
            REEL_TEXT (workflow->steps[later].step_id), REEL_TEXT (workflow->steps[index].step_id));
    }
    reel_buf_free (&names);
    free (came);
    return status;
}

/* Names what is missing where it can be named on a line. */
static enum reel_status
refuse_missing (const struct reel_step *step, uint32_t element, const struct reel_place *at, struct reel_error *err)
{
    struct reel_cursor cursor = reel_scan_start (step->depends_on);
    struct reel_value name;
    bool read = reel_scan_next (&cursor, &name);
    for (uint32_t i = 0; i <= element; i++) {
        read = read && reel_scan_next (&cursor, &name);
        REEL_ASSERT (read);
    }
    if (reel_identity_id (name.bytes))
        return reel_place_refuse (err, "missing_dependency", at, "there is no step %.*s", REEL_TEXT (name.bytes));
    return reel_place_refuse (err, "missing_dependency", at, "there is no step of that name, which is no id");
}

static enum reel_status
check_depends (const struct reel_workflow *workflow, uint32_t index, struct reel_error *err)
{
    const struct reel_step *step = &workflow->steps[index];
    for (uint32_t d = 0; d < step->depends_count; d++) {
        uint32_t dependency = workflow->depends[step->depends_first + d];
        if (dependency < index)
            continue;
        struct reel_place outer = {&reel_place_steps, NULL, index}, list = {&outer, "depends_on", 0},
                          at = {&list, NULL, d};
        if (dependency == NO_STEP)
            return refuse_missing (step, d, &at, err);
        if (dependency == index)
            return reel_place_refuse (err, "self_dependency", &at, "a step cannot wait for itself");
        return refuse_later (workflow, index, dependency, &at, err);
    }
    return REEL_OK;
}

/* What is wrong with a step's status, given those of the steps before it. */
static const char *
status_trouble (const struct reel_workflow *workflow, const struct reel_step *step, unsigned flags)
{
    bool all_succeeded = true, any_stopped = false;
    for (uint32_t d = 0; d < step->depends_count; d++) {
        enum reel_step_status status = workflow->steps[workflow->depends[step->depends_first + d]].status;
        all_succeeded = all_succeeded && status == REEL_STEP_SUCCEEDED;
        any_stopped = any_stopped || status == REEL_STEP_FAILED || status == REEL_STEP_SKIPPED;
    }
    switch (step->status) {
    case REEL_STEP_PENDING: return NULL;
    case REEL_STEP_RUNNING:
        if ((flags & REEL_WORKFLOW_RUNNING_OK) == 0)
            return "a step cannot be running already; set it to pending to have it run";
        return all_succeeded ? NULL : "a step runs only after all its dependencies have succeeded";
    case REEL_STEP_SUCCEEDED:
        if (step->receipt.len == 0)
            return "a succeeded step needs its receipt; set it to pending to have it run";
        return all_succeeded ? NULL : "a step succeeds only after all its dependencies have";
    case REEL_STEP_FAILED:
        if (step->error.len == 0)
            return "a failed step needs its error; set it to pending to have it run";
        return all_succeeded ? NULL : "a step is dispatched, and can fail, only after all its dependencies succeeded";
    case REEL_STEP_SKIPPED:
        if (step->error.len == 0)
            return "a skipped step needs its error; set it to pending to have it run";
        return any_stopped ? NULL : "a step is skipped only when one of its dependencies failed or was skipped";
    }
    return NULL;
}

static enum reel_status
check_status (const struct reel_workflow *workflow, uint32_t index, unsigned flags, struct reel_error *err)
{
    const struct reel_step *step = &workflow->steps[index];
    struct reel_place outer = {&reel_place_steps, NULL, index}, at = {&outer, "status", 0};
    const char *trouble = status_trouble (workflow, step, flags);
    if (trouble == NULL && step->status == REEL_STEP_PENDING && step->receipt.len > 0) {
        at.name = "receipt"; /* the status need not be there */
        trouble = "a pending step has no receipt yet; set its status, or drop the receipt";
    }
    return trouble == NULL ? REEL_OK : reel_place_refuse (err, "bad_status", &at, "%s", trouble);
}

/* --- references ---------------------------------------------------------------------------- */

struct reference_check {
    const struct reel_workflow *workflow;
    uint32_t *depended; /* by step: one more than the step that was the last to depend on it, of those looked at */
    uint32_t index;
};

static enum reel_status
check_reference (void *context, struct reel_slice text, const char *path, struct reel_error *err)
{
    const struct reference_check *check = context;
    struct reel_slice step_id = REEL_SLICE_NONE, pointer = REEL_SLICE_NONE;
    enum reel_status status = reel_reference_parse (text, &step_id, &pointer);
    REEL_ASSERT (status == REEL_OK); /* the walk has looked at its form */
    int64_t named = reel_workflow_find (check->workflow, step_id);
    if (named >= 0 && check->depended[named] == check->index + 1)
        return REEL_OK;
    return reel_error_set (err, REEL_INVALID, "bad_reference", path, "%.*s is not in this step's depends_on",
                           REEL_TEXT (step_id));
}

static enum reel_status
check_references (struct reference_check *check, uint32_t index, struct reel_error *err)
{
    const struct reel_workflow *workflow = check->workflow;
    const struct reel_step *step = &workflow->steps[index];
    char path[PATH_BYTES];
    if (step->payload.len == 0 || memchr (step->payload.data, '$', step->payload.len) == NULL)
        return REEL_OK; /* as nearly always */
    if (check->depended == NULL)
        check->depended = calloc (workflow->step_count, sizeof *check->depended);
    if (check->depended == NULL)
        return REEL_NO_MEMORY;
    check->index = index;
    for (uint32_t d = 0; d < step->depends_count; d++)
        check->depended[workflow->depends[step->depends_first + d]] = index + 1;
    snprintf (path, sizeof path, "/steps/%u/payload", index);
    return reel_reference_walk (step->payload, path, check_reference, check, err);
}

enum reel_status
reel_graph_check (struct reel_workflow *workflow, unsigned flags, struct reel_error *err)
{
    struct reference_check references = {.workflow = workflow};
    enum reel_status status = index_ids (workflow, err);
    if (status == REEL_OK)
        status = resolve_depends (workflow);
    for (uint32_t i = 0; i < workflow->step_count && status == REEL_OK; i++) {
        status = check_depends (workflow, i, err);
        if (status == REEL_OK)
            status = check_status (workflow, i, flags, err);
        if (status == REEL_OK)
            status = check_references (&references, i, err);
    }
    free (references.depended);
    return status;
}
