/*
 * REPORT: what a worker says happened, event by event.
 *
 * Each event must be the next thing that can happen to its workflow. One that cannot is answered FENCED
 * and its sender is treated as lost; what was durable already is passed over; what lies beyond a gap is
 * dropped, and the ACK says from where to send again.
 */
#include "base/assert.h"
#include "base/mutant.h"
#include "broker/core/state.h"
#include "proto/pack.h"
#include "proto/scan.h"

static const char *
too_large (struct reel_slice value)
{
    if (value.len > REEL_RECEIPT_BYTES_MAX)
        return "a receipt, error or checkpoint that is larger than limits.receipt_bytes";
    return reel_scan_depth (value) > REEL_RECEIPT_DEPTH_MAX ? "a receipt, error or checkpoint deeper than limits.depth"
                                                            : NULL;
}

/* An error is a map, or a plain string. */
static const char *
error_trouble (struct reel_slice error)
{
    enum reel_type type = reel_scan_type (error);
    return type == REEL_MAP || type == REEL_STR ? too_large (error) : "its error is neither a map nor a string";
}

static bool
is_about_next (const struct reel_message *event, const struct reel_flow *flow)
{
    return flow->next < flow->step_count
           && reel_slice_equal (event->value[REEL_F_STEP_ID].s, reel_flow_step_id (flow, flow->next));
}

static const char *
start_trouble (const struct reel_message *event, const struct reel_flow *flow)
{
    enum reel_in_doubt in_doubt;
    if (flow->in_flight)
        return "the step is running already";
    if (reel_flow_blocked (flow, flow->next))
        return "a dependency of the step failed, so it is skipped";
    if (event->value[REEL_F_ATTEMPT].u != (uint64_t) flow->attempts + 1)
        return "the attempt is not the next one";
    if (reel_message_has (event, REEL_F_IN_DOUBT) && !reel_in_doubt_parse (event->value[REEL_F_IN_DOUBT].s, &in_doubt))
        return "in_doubt is not hold, retry or fail";
    return NULL;
}

/* What is wrong with an event of a step as the next thing to happen to the flow; NULL: nothing. */
static const char *
step_trouble (const struct reel_message *event, const struct reel_flow *flow)
{
    static const char not_running[] = "the step is not running";
    if (!is_about_next (event, flow))
        return "it is not about the next step without an outcome";
    const struct reel_field_value *value = event->value;
    bool blocked = reel_flow_blocked (flow, flow->next);
    switch (event->command) {
    case REEL_REPORTED_STARTED: return start_trouble (event, flow);
    case REEL_REPORTED_CHECKPOINT: return flow->in_flight ? too_large (value[REEL_F_CHECKPOINT].s) : not_running;
    case REEL_REPORTED_SUCCEEDED: return flow->in_flight ? too_large (value[REEL_F_RECEIPT].s) : not_running;
    case REEL_REPORTED_RETRYING: return flow->in_flight ? error_trouble (value[REEL_F_ERROR].s) : not_running;
    case REEL_REPORTED_SKIPPED:
        return blocked ? error_trouble (value[REEL_F_ERROR].s) : "no dependency of the step failed";
    case REEL_REPORTED_FAILED:
        return blocked ? "the step is skipped, not failed" : error_trouble (value[REEL_F_ERROR].s);
    default: return "step.progress is not numbered";
    }
}

/* The error of an event, none when it is nil. */
static struct reel_slice
error_of (const struct reel_message *event)
{
    bool there = reel_message_has (event, REEL_F_ERROR) && reel_scan_type (event->value[REEL_F_ERROR].s) != REEL_NIL;
    return there ? event->value[REEL_F_ERROR].s : REEL_SLICE_NONE;
}

/* The end that a worker reports: did it go through all steps, or say why not? */
static const char *
end_trouble (const struct reel_core *core, const struct reel_flow *flow)
{
    struct reel_slice error = error_of (&core->reported);
    if (flow->next == flow->step_count)
        return error.len > 0 ? error_trouble (error) : NULL;
    if (flow->steps[flow->next].outcome.status == REEL_STEP_RUNNING)
        return "a step is still running";
    return error.len > 0 ? error_trouble (error) : "steps without an outcome are left, and no error says why";
}

/* A step that was running, or one that the worker said it could do (there being none left, anybody can): then it is
 * not yielded but lost. A draining worker may give back anything that does not run. */
static bool
yield_is_loss (const struct reel_flow *flow, const struct reel_peer *peer)
{
    uint32_t step = reel_flow_next_dispatch (flow);
    if (flow->in_flight)
        return true;
    if (flow->yielding)
        return false; /* it was asked to */
    if (step == flow->step_count)
        return peer->slots > 0;
    struct reel_slice modality = reel_flow_modality (flow, step);
    for (size_t i = 0; i < peer->lane_count; i++)
        if (!peer->lanes[i]->resumable && reel_slice_is (modality, peer->lanes[i]->name))
            return true;
    return false;
}

static enum reel_status
on_yielded (struct reel_core *core, struct reel_flow *flow, struct reel_peer *peer, struct reel_slice map,
            struct reel_effects *effects)
{
    if (yield_is_loss (flow, peer))
        return reel_lease_lose (core, flow, "yielded_running", effects);
    reel_roster_release (flow);
    reel_heap_remove (&core->expiries, &flow->expiry);
    core->record.kind = REEL_RECORD_YIELDED;
    if (reel_core_record_reported (core, flow, map, effects) != REEL_OK)
        return REEL_NO_MEMORY;
    if (!flow->cancelling)
        return reel_queue_add (core, flow);
    return flow->next < flow->step_count ? reel_core_end_cancelled (core, flow, 0, effects)
                                         : reel_core_end (core, flow, REEL_SLICE_NONE, 0, effects);
}

/* Was it cancelled before every step had an outcome of its own? A step that the cancelling ended has none. */
static bool
ends_cancelled (const struct reel_flow *flow, struct reel_slice error)
{
    struct reel_slice code = REEL_SLICE_NONE;
    bool said = error.len > 0 && reel_scan_type (error) == REEL_MAP && reel_scan_find_str (error, "code", &code)
                && reel_slice_is (code, "cancelled");
    return flow->cancelling && (said || flow->next < flow->step_count);
}

/* Reads one event of a report into core->reported. */
static enum reel_status
read_event (struct reel_core *core, struct reel_slice map, const char *path, struct reel_error *err)
{
    struct reel_value head = {0};
    enum reel_status status = reel_message_decode_event (REEL_REPORTED, map, path, &core->reported, err);
    if (status != REEL_OK)
        return status;
    if (reel_scan_value (map, &head) && head.count > REEL_OWN_KEYS_MAX)
        return reel_error_set (err, REEL_INVALID, "limit_exceeded", path, "%u keys, at most %u are allowed", head.count,
                               REEL_OWN_KEYS_MAX);
    return REEL_OK;
}

/* One event of a report. `ended`: the lease is over. REEL_INVALID: it is refused (err). */
static enum reel_status
take_event (struct reel_core *core, struct reel_flow *flow, struct reel_peer *peer, struct reel_slice map,
            uint64_t index, const char *path, bool *ended, struct reel_effects *effects, struct reel_error *err)
{
    struct reel_message *event = &core->reported;
    const char *trouble = NULL;
    *ended = false;
    enum reel_status status = read_event (core, map, path, err);
    if (status != REEL_OK)
        return status;
    if (event->command == REEL_REPORTED_ENDED)
        trouble = end_trouble (core, flow);
    else if (event->command != REEL_REPORTED_YIELDED)
        trouble = step_trouble (event, flow);
    if (trouble != NULL)
        return reel_error_set (err, REEL_INVALID, "contradiction", path, "%s: %s",
                               reel_message_spec (event->command)->name, trouble);
    core->record = (struct reel_record){.lease = flow->lease, .report_index = index};
    *ended = event->command == REEL_REPORTED_ENDED || event->command == REEL_REPORTED_YIELDED;
    if (event->command == REEL_REPORTED_ENDED)
        return ends_cancelled (flow, error_of (event)) ? reel_core_end_cancelled (core, flow, index, effects)
                                                       : reel_core_end (core, flow, error_of (event), index, effects);
    if (event->command == REEL_REPORTED_YIELDED)
        return on_yielded (core, flow, peer, map, effects);
    core->record.kind = REEL_RECORD_STEP;
    return reel_core_record_reported (core, flow, map, effects);
}

static enum reel_status
check_report (const struct reel_message *report, uint32_t *count, struct reel_error *err)
{
    struct reel_slice document = report->document;
    const struct reel_field_value *index = &report->value[REEL_F_REPORT_INDEX];
    struct reel_value head = {0};
    if (!index->nil && index->u == 0)
        return reel_error_set (err, REEL_INVALID, "malformed", "/report_index", "REPORT: report_index counts from 1");
    if (document.len > REEL_REPORT_BYTES_MAX)
        return reel_error_set (err, REEL_INVALID, "limit_exceeded", "", "a report of %zu bytes, at most %u are allowed",
                               document.len, REEL_REPORT_BYTES_MAX);
    enum reel_status status = reel_scan_check (document, REEL_DEPTH_MAX, err);
    if (status != REEL_OK)
        return status;
    if (!reel_scan_value (document, &head) || head.type != REEL_ARRAY || head.count > REEL_REPORT_EVENTS_MAX)
        return reel_error_set (err, REEL_INVALID, "malformed", "", "a report is an array of at most %u events",
                               REEL_REPORT_EVENTS_MAX);
    *count = head.count;
    return REEL_OK;
}

/* The worker contradicts itself or us: what it does is not to be trusted, so the workflow is taken from it. */
static enum reel_status
refuse_report (struct reel_core *core, struct reel_flow *flow, struct reel_peer *peer, struct reel_lease lease,
               const struct reel_error *err, struct reel_effects *effects)
{
    enum reel_status status = reel_worker_send_fenced (core, peer->route, lease, err, effects);
    return status == REEL_OK ? reel_lease_lose (core, flow, "contradiction", effects) : status;
}

static enum reel_status
publish_progress (struct reel_core *core, struct reel_flow *flow, struct reel_slice map, const char *path,
                  struct reel_effects *effects, struct reel_error *err)
{
    struct reel_message *event = &core->reported;
    enum reel_status status = read_event (core, map, path, err);
    if (status != REEL_OK)
        return status;
    if (event->command != REEL_REPORTED_PROGRESS)
        return reel_error_set (err, REEL_INVALID, "malformed", path, "only step.progress has no report_index");
    if (!flow->in_flight || !is_about_next (event, flow))
        return REEL_OK; /* of a start that got lost on its way: nobody is to see it before its start */
    struct reel_cursor cursor = reel_scan_start (map);
    struct reel_value head;
    bool read = reel_scan_next (&cursor, &head);
    REEL_ASSERT (read);
    reel_buf_clear (&core->scratch);
    reel_pack_map (&core->scratch, head.count + 1);
    reel_pack_text (&core->scratch, "workflow_id");
    reel_pack_str (&core->scratch, flow->workflow_id);
    reel_buf_add (&core->scratch, cursor.at, (size_t) (cursor.end - cursor.at));
    if (reel_buf_status (&core->scratch) != REEL_OK)
        return REEL_NO_MEMORY;
    return reel_effects_publish (effects, flow->workflow_id, reel_message_spec (event->command)->name,
                                 reel_buf_slice (&core->scratch), false);
}

/* The pointer to event `i` of a report, "/17". It is made for each one, and needed for hardly any. */
static void
place_of (uint32_t i, char path[16])
{
    uint32_t power = 1;
    while (i / power >= 10)
        power *= 10;
    *path++ = '/';
    for (; power > 0; power /= 10)
        *path++ = (char) ('0' + i / power % 10);
    *path = '\0';
}

static enum reel_status
take_events (struct reel_core *core, struct reel_flow *flow, struct reel_peer *peer, const struct reel_message *report,
             uint32_t count, struct reel_effects *effects)
{
    struct reel_lease lease = report->value[REEL_F_LEASE].lease;
    bool numbered = !report->value[REEL_F_REPORT_INDEX].nil;
    uint64_t first = numbered ? report->value[REEL_F_REPORT_INDEX].u : 0, durable = flow->report_index;
    struct reel_cursor cursor = reel_scan_start (report->document);
    struct reel_value head;
    struct reel_error err;
    bool ended = false, read = reel_scan_next (&cursor, &head);
    REEL_ASSERT (read);
    if (numbered && first > durable + 1 && !REEL_MUTANT_IS (25))
        count = 0; /* beyond a gap */
    for (uint32_t i = 0; i < count; i++) {
        struct reel_slice map;
        char path[16];
        read = reel_scan_skip (&cursor, &map);
        REEL_ASSERT (read);
        if (numbered && first + i <= durable && !REEL_MUTANT_IS (24))
            continue;
        place_of (i, path);
        enum reel_status status = ended ? reel_error_set (&err, REEL_INVALID, "contradiction", path,
                                                          "an event after the last of its lease")
                                  : numbered
                                      ? take_event (core, flow, peer, map, first + i, path, &ended, effects, &err)
                                      : publish_progress (core, flow, map, path, effects, &err);
        if (status == REEL_INVALID && !ended)
            return refuse_report (core, flow, peer, lease, &err, effects);
        if (status == REEL_INVALID)
            break;
        if (status != REEL_OK)
            return status;
        durable = numbered ? first + i : durable;
    }
    return numbered ? reel_worker_send_ack (core, peer->route, lease, durable, effects) : REEL_OK;
}

enum reel_status
reel_worker_report (struct reel_core *core, struct reel_slice route, const struct reel_message *report,
                    struct reel_effects *effects)
{
    struct reel_lease lease = report->value[REEL_F_LEASE].lease;
    struct reel_flow *flow = reel_core_find_lease (core, lease);
    struct reel_peer *peer = reel_roster_find (core, route);
    struct reel_error err = {0};
    uint32_t count = 0;
    core->counters.reports++;
    if (flow == NULL && reel_worker_send_fenced (core, route, lease, NULL, effects) != REEL_OK)
        return REEL_NO_MEMORY;
    if (peer == NULL)
        return reel_worker_send_who (core, route, effects);
    reel_worker_heard (core, peer);
    if (flow == NULL)
        return REEL_OK;
    enum reel_status status = reel_lease_renew (core, flow, peer, effects);
    if (status == REEL_OK)
        status = check_report (report, &count, &err);
    if (status == REEL_INVALID)
        return refuse_report (core, flow, peer, lease, &err, effects);
    return status == REEL_OK ? take_events (core, flow, peer, report, count, effects) : status;
}

enum reel_status
reel_worker_report_refused (struct reel_core *core, struct reel_slice route, struct reel_lease lease,
                            const struct reel_error *err, struct reel_effects *effects)
{
    struct reel_flow *flow = reel_core_find_lease (core, lease);
    struct reel_peer *peer = reel_roster_find (core, route);
    core->counters.malformed++;
    if (flow == NULL && reel_worker_send_fenced (core, route, lease, err, effects) != REEL_OK)
        return REEL_NO_MEMORY;
    if (peer == NULL)
        return reel_worker_send_who (core, route, effects);
    reel_worker_heard (core, peer);
    if (flow == NULL)
        return REEL_OK;
    enum reel_status status = reel_lease_renew (core, flow, peer, effects);
    return status == REEL_OK ? refuse_report (core, flow, peer, lease, err, effects) : status;
}
