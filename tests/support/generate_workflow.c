/*
 * Workflows are put together from their members, which are then shuffled. Receipts and errors are those of the run
 * machine: what is told of them here is only what an adapter would.
 */
#include "tests/support/generate_workflow.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "proto/pack.h"
#include "proto/reference.h"
#include "proto/scan.h"
#include "tests/support/count.h"
#include "tests/support/generate.h"

#define STEPS_MOST 24
#define MEMBERS_MOST 16
#define WALL_US 1777367406000000

/* --- members ------------------------------------------------------------------------------- */

/* A map under construction. */
struct members {
    struct reel_random *random;
    struct reel_buf list[MEMBERS_MOST];
    uint32_t count;
};

static bool
one_in (struct reel_random *random, uint64_t count)
{
    return reel_random_below (random, count) == 0;
}

/* Where the member's value is to go. */
static struct reel_buf *
member (struct members *members, const char *key)
{
    REEL_ASSERT (members->count < MEMBERS_MOST);
    struct reel_buf *buf = &members->list[members->count++];
    *buf = (struct reel_buf){0};
    reel_pack_text (buf, key);
    return buf;
}

/* A member that may be left out or be nil; NULL when it is. */
static struct reel_buf *
optional (struct members *members, const char *key)
{
    uint64_t how = reel_random_below (members->random, 5);
    if (how == 0)
        return NULL;
    struct reel_buf *value = member (members, key);
    if (how > 1)
        return value;
    reel_pack_nil (value);
    return NULL;
}

static void
unknown_members (struct members *members)
{
    static const char *const names[] = {"note", "Status", "steps ", "\xC3\xBC/~", ""};
    for (size_t i = 0; i < COUNT (names); i++)
        if (one_in (members->random, 12))
            generate_value (members->random, 3, member (members, names[i]));
}

static void
finish (struct members *members, struct reel_buf *out)
{
    reel_pack_map (out, members->count);
    for (uint32_t left = members->count; left > 0; left--) {
        uint64_t chosen = reel_random_below (members->random, left);
        struct reel_buf last = members->list[left - 1];
        REEL_ASSERT (!members->list[chosen].failed);
        reel_buf_add_slice (out, reel_buf_slice (&members->list[chosen]));
        reel_buf_free (&members->list[chosen]);
        members->list[chosen] = last;
    }
}

/* --- steps --------------------------------------------------------------------------------- */

struct plan {
    struct reel_random *random;
    uint32_t count;
    uint32_t spoiled; /* the step one of whose fields is replaced; count: none */
    char ids[STEPS_MOST][REEL_ID_BYTES_MAX + 1];
    enum reel_step_status status[STEPS_MOST];
};

static void
make_id (struct reel_random *random, uint32_t index, char id[REEL_ID_BYTES_MAX + 1])
{
    static const char *const heads[] = {"s", "Keyframe-", "0", "a.b:c_"};
    int len = snprintf (id, REEL_ID_BYTES_MAX + 1, "%s%u", heads[reel_random_below (random, COUNT (heads))], index);
    REEL_ASSERT (len > 0);
    if (one_in (random, 60)) {
        memset (id + len, 'x', REEL_ID_BYTES_MAX - (size_t) len);
        id[REEL_ID_BYTES_MAX] = '\0';
    }
}

static enum reel_status
refuse_reference (void *context, struct reel_slice text, const char *path, struct reel_error *err)
{
    (void) context, (void) text, (void) path, (void) err;
    return REEL_INVALID;
}

/* A map that may be a payload: no other references than those that are put in later. */
static void
sound_map (struct reel_random *random, unsigned depth_max, struct reel_buf *out)
{
    size_t before = out->len;
    for (;;) {
        generate_map (random, depth_max, out);
        struct reel_slice map = reel_slice (out->data + before, out->len - before);
        if (reel_reference_walk (map, "", refuse_reference, NULL, NULL) == REEL_OK)
            return;
        out->len = before;
    }
}

static void
payload (struct plan *plan, const uint32_t *depends, uint32_t depends_count, struct reel_buf *out)
{
    static const char *const pointers[] = {"",
                                           "/adapter",
                                           "/output",
                                           "/output/image",
                                           "/attempts",
                                           "/output",
                                           "/output/image",
                                           "/provenance/workflow_step_id",
                                           "/output/a~1~0"};
    struct members members = {.random = plan->random};
    sound_map (plan->random, one_in (plan->random, 20) ? 18 : 2, member (&members, "parameters"));
    if (depends_count > 0 && one_in (plan->random, 2)) {
        char reference[2 * REEL_ID_BYTES_MAX];
        snprintf (reference, sizeof reference, "#/%s%s",
                  plan->ids[depends[reel_random_below (plan->random, depends_count)]],
                  pointers[reel_random_below (plan->random, COUNT (pointers))]);
        struct reel_buf *value = member (&members, "from");
        reel_pack_array (value, 2);
        reel_pack_nil (value);
        reel_pack_map (value, 1);
        reel_pack_text (value, "$ref");
        reel_pack_text (value, reference);
    }
    if (one_in (plan->random, 6)) {
        struct reel_buf *value = member (&members, "literal");
        reel_pack_map (value, 1);
        reel_pack_text (value, one_in (plan->random, 2) ? "$$ref" : "$$$ref");
        sound_map (plan->random, 2, value);
    }
    finish (&members, out);
}

static void
policy (struct reel_random *random, struct reel_buf *out)
{
    static const char *const in_doubt[] = {"hold", "retry", "fail"};
    struct members members = {.random = random}, retry = {.random = random};
    struct reel_buf *value = optional (&members, "timeout_ms");
    if (value != NULL)
        reel_pack_uint (value, 1 + reel_random_below (random, 100000));
    if ((value = optional (&members, "in_doubt")) != NULL)
        reel_pack_text (value, in_doubt[reel_random_below (random, COUNT (in_doubt))]);
    if ((value = optional (&retry, "max_attempts")) != NULL)
        reel_pack_uint (value, 1 + reel_random_below (random, 4));
    if ((value = optional (&retry, "backoff_ms")) != NULL)
        reel_pack_uint (value, reel_random_below (random, 70000));
    unknown_members (&retry);
    finish (&retry, member (&members, "retry"));
    unknown_members (&members);
    finish (&members, out);
}

static uint32_t
choose_depends (struct plan *plan, uint32_t index, uint32_t *depends)
{
    uint32_t count = 0;
    for (uint32_t i = index > 4 ? index - 4 : 0; i < index; i++)
        if (one_in (plan->random, 3))
            depends[count++] = i;
    return count;
}

/* What a step may have been through before it is submitted, given its dependencies. */
static enum reel_step_status
choose_status (struct plan *plan, const uint32_t *depends, uint32_t depends_count)
{
    bool all_succeeded = true, any_stopped = false;
    for (uint32_t i = 0; i < depends_count; i++) {
        enum reel_step_status status = plan->status[depends[i]];
        all_succeeded = all_succeeded && status == REEL_STEP_SUCCEEDED;
        any_stopped = any_stopped || status == REEL_STEP_FAILED || status == REEL_STEP_SKIPPED;
    }
    if (any_stopped && one_in (plan->random, 2))
        return REEL_STEP_SKIPPED;
    if (!all_succeeded || !one_in (plan->random, 6))
        return REEL_STEP_PENDING;
    return one_in (plan->random, 3) ? REEL_STEP_FAILED : REEL_STEP_SUCCEEDED;
}

static void
outcome (struct members *members, enum reel_step_status status)
{
    struct reel_buf *value;
    if (status != REEL_STEP_PENDING)
        reel_pack_text (member (members, "status"), reel_step_status_name (status));
    else if ((value = optional (members, "status")) != NULL)
        reel_pack_text (value, "pending");
    if (status == REEL_STEP_SUCCEEDED)
        generate_map (members->random, 3, member (members, "receipt"));
    if (status == REEL_STEP_FAILED)
        reel_pack_text (member (members, "error"), "by hand");
    if (status == REEL_STEP_SKIPPED)
        reel_pack_error (member (members, "error"), "dependency_failed", reel_slice_text ("\xE2\x82\xAC"), false);
    if (status == REEL_STEP_PENDING && one_in (members->random, 4))
        reel_pack_nil (member (members, "receipt"));
    if ((value = optional (members, "started_us")) != NULL)
        reel_pack_uint (value, reel_random_next (members->random) >> (1 + reel_random_below (members->random, 63)));
    if ((value = optional (members, "finished_us")) != NULL)
        reel_pack_uint (value, WALL_US);
}

/* What might stand there, and nearly does: the wrong step, the wrong status, or any value at all. */
static void
spoiled_value (struct plan *plan, struct reel_slice key, struct reel_buf *out)
{
    static const char *const statuses[] = {"running", "succeeded", "failed", "skipped", "done"};
    const char *id = plan->ids[reel_random_below (plan->random, plan->count)];
    if (one_in (plan->random, 4)) {
        generate_value (plan->random, 2, out);
    } else if (reel_slice_is (key, "status")) {
        reel_pack_text (out, statuses[reel_random_below (plan->random, COUNT (statuses))]);
    } else if (reel_slice_is (key, "depends_on")) {
        reel_pack_array (out, 1);
        reel_pack_text (out, one_in (plan->random, 5) ? "nobody" : id);
    } else if (reel_slice_is (key, "payload")) {
        reel_pack_map (out, 1);
        reel_pack_text (out, "$ref");
        reel_pack_str (out, reel_slice_text ("#/s0/output"));
    } else {
        reel_pack_text (out, id);
    }
}

static void
spoil (struct plan *plan, struct members *members)
{
    struct reel_buf *value = &members->list[reel_random_below (members->random, members->count)];
    struct reel_cursor cursor = reel_scan_start (reel_buf_slice (value));
    struct reel_slice key;
    bool read = reel_scan_key (&cursor, &key);
    REEL_ASSERT (read);
    struct reel_buf spoiled = {0};
    reel_pack_str (&spoiled, key);
    spoiled_value (plan, key, &spoiled);
    reel_buf_free (value);
    *value = spoiled;
}

static void
generate_step (struct plan *plan, uint32_t index, struct reel_buf *out)
{
    static const char *const modalities[] = {"keyframe", "video", "audio", "0._-"};
    struct members members = {.random = plan->random};
    uint32_t depends[STEPS_MOST], depends_count = choose_depends (plan, index, depends);
    struct reel_buf *value;
    reel_pack_text (member (&members, "step_id"), plan->ids[index]);
    reel_pack_text (member (&members, "modality"), modalities[reel_random_below (plan->random, COUNT (modalities))]);
    if ((value = optional (&members, "payload")) != NULL)
        payload (plan, depends, depends_count, value);
    if (depends_count > 0) {
        value = member (&members, "depends_on");
        reel_pack_array (value, depends_count);
        for (uint32_t i = 0; i < depends_count; i++)
            reel_pack_text (value, plan->ids[depends[i]]);
    } else if ((value = optional (&members, "depends_on")) != NULL) {
        reel_pack_array (value, 0);
    }
    plan->status[index] = choose_status (plan, depends, depends_count);
    outcome (&members, plan->status[index]);
    if (one_in (plan->random, 4) && (value = optional (&members, "policy")) != NULL)
        policy (plan->random, value);
    unknown_members (&members);
    if (index == plan->spoiled)
        spoil (plan, &members);
    finish (&members, out);
}

/* --- workflows ----------------------------------------------------------------------------- */

static void
generate (struct reel_random *random, bool sound, struct reel_buf *out)
{
    struct members members = {.random = random};
    struct plan plan = {.random = random, .count = 1 + (uint32_t) reel_random_below (random, 4)};
    struct reel_buf *value;
    if (one_in (random, 50))
        plan.count = 14 + (uint32_t) reel_random_below (random, STEPS_MOST - 14 + 1);
    for (uint32_t i = 0; i < plan.count; i++)
        make_id (random, i, plan.ids[i]);
    plan.spoiled = sound ? plan.count : (uint32_t) reel_random_below (random, plan.count + 1);
    if ((value = optional (&members, "workflow_id")) != NULL)
        reel_pack_text (value, "shot:12");
    if ((value = optional (&members, "created_at")) != NULL)
        reel_pack_text (value, "2026-04-28T09:10:06.000000Z");
    if ((value = optional (&members, "global_provenance")) != NULL)
        generate_map (random, 3, value);
    unknown_members (&members);
    value = member (&members, "steps");
    reel_pack_array (value, plan.count);
    for (uint32_t i = 0; i < plan.count; i++)
        generate_step (&plan, i, value);
    if (!sound && plan.spoiled == plan.count)
        spoil (&plan, &members);
    finish (&members, out);
    REEL_ASSERT (!out->failed);
}

void
generate_workflow (struct reel_random *random, struct reel_buf *out)
{
    generate (random, true, out);
}

void
generate_unsound_workflow (struct reel_random *random, struct reel_buf *out)
{
    generate (random, false, out);
}

/* --- execution ----------------------------------------------------------------------------- */

static bool
route (void *registry, struct reel_slice modality, struct reel_route *found)
{
    (void) registry;
    *found = (struct reel_route){"generated", REEL_ADAPTER_IDEMPOTENT, {0}};
    return !reel_slice_is (modality, "0._-");
}

static void
obey (struct execution *execution, const struct reel_run_command *command)
{
    switch (command->kind) {
    case REEL_RUN_DISPATCH:
        REEL_ASSERT (!execution->open);
        execution->open = true;
        execution->dispatched++;
        break;
    case REEL_RUN_WAKE:
        if (command->wake_us > execution->monotonic_us)
            execution->monotonic_us = command->wake_us;
        break;
    default: break;
    }
}

static void
feed (struct execution *execution, struct reel_run_event event)
{
    execution->wall_us += (int64_t) reel_random_below (execution->random, 1000000);
    event.wall_us = execution->wall_us;
    event.monotonic_us = execution->monotonic_us;
    enum reel_status status = reel_run_step (execution->run, &event, &execution->commands);
    REEL_ASSERT (status == REEL_OK);
    for (size_t i = 0; i < execution->commands.count; i++)
        obey (execution, &execution->commands.list[i]);
}

static void
succeed_call (struct execution *execution)
{
    struct reel_random *random = execution->random;
    struct members members = {.random = random}, more = {.random = random};
    struct reel_buf output = {0}, extra = {0};
    generate_value (random, one_in (random, 30) ? 18 : 2, member (&members, "image"));
    unknown_members (&members);
    finish (&members, &output);
    if (one_in (random, 3)) {
        generate_value (random, 2, member (&more, "cost"));
        unknown_members (&more);
    }
    finish (&more, &extra);
    feed (execution,
          (struct reel_run_event){
              .kind = REEL_RUN_FINISHED,
              .result = {.succeeded = true, .output = reel_buf_slice (&output), .extra = reel_buf_slice (&extra)}});
    reel_buf_free (&output);
    reel_buf_free (&extra);
}

static void
fail_call (struct execution *execution)
{
    struct reel_random *random = execution->random;
    struct reel_buf detail = {0};
    if (one_in (random, 2))
        generate_value (random, 3, &detail);
    feed (execution, (struct reel_run_event){.kind = REEL_RUN_FINISHED,
                                             .result.failure = {.code = one_in (random, 2) ? "timeout" : "busy",
                                                                .message = reel_slice_text ("it \"broke\"\n\xC3\xA4"),
                                                                .retryable = one_in (random, 2),
                                                                .open = one_in (random, 3),
                                                                .detail = reel_buf_slice (&detail)}});
    reel_buf_free (&detail);
}

void
execution_start (struct execution *execution, struct reel_random *random, struct reel_slice document)
{
    struct reel_error err = {0};
    *execution = (struct execution){.random = random, .wall_us = WALL_US};
    struct reel_run_setup setup = {.document = document,
                                   .flags = REEL_WORKFLOW_GROWN | REEL_WORKFLOW_RUNNING_OK,
                                   .workflow_id = reel_slice_text ("given"),
                                   .delivery = 1,
                                   .local = true,
                                   .seed = 1,
                                   .route = route};
    if (reel_run_create (&setup, &execution->run, &err) != REEL_OK)
        ck_abort_msg ("%s at %s", err.message, err.path);
    feed (execution, (struct reel_run_event){.kind = REEL_RUN_BEGIN});
}

bool
execution_go (struct execution *execution, unsigned calls)
{
    while (!reel_run_ended (execution->run)) {
        if (!execution->open)
            feed (execution, (struct reel_run_event){.kind = REEL_RUN_TICK});
        else if (calls-- == 0)
            return false;
        else {
            execution->open = false;
            if (one_in (execution->random, 4))
                fail_call (execution);
            else
                succeed_call (execution);
        }
        feed (execution,
              (struct reel_run_event){.kind = REEL_RUN_ACKED, .index = reel_run_last_index (execution->run)});
    }
    return true;
}

void
execution_document (const struct execution *execution, struct reel_buf *out)
{
    reel_outcome_document (out, reel_run_workflow (execution->run), reel_run_outcomes (execution->run),
                           reel_slice_text ("given"), reel_slice_text ("2026-04-28T09:10:06.000000Z"));
    REEL_ASSERT (!out->failed);
}

void
execution_free (struct execution *execution)
{
    reel_run_destroy (&execution->run);
}
