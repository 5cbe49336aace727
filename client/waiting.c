/*
 * The broker says which modality is not served, until when a workflow waits and how many
 * workers there are; the document says which step is next.
 */
#include "client/waiting.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/timestamp.h"
#include "proto/scan.h"
#include "proto/workflow.h"

static bool
will_be_skipped (const struct reel_workflow *workflow, uint32_t step, const bool *skipped)
{
    for (uint32_t i = 0; i < workflow->steps[step].depends_count; i++)
        if (skipped[workflow->depends[workflow->steps[step].depends_first + i]])
            return true;
    return false;
}

/* Appends the modality of the step to be dispatched next; nothing when none is left, or the document is none. */
static void
add_next_modality (struct reel_buf *out, struct reel_slice document)
{
    bool skipped[REEL_STEPS_MAX]; /* failed ones too: what depends on them is */
    struct reel_workflow workflow = {0};
    if (reel_workflow_parse (&workflow, document, REEL_WORKFLOW_RUNNING_OK | REEL_WORKFLOW_GROWN, NULL) == REEL_OK) {
        for (uint32_t i = 0; i < workflow.step_count; i++) {
            const struct reel_step *step = &workflow.steps[i];
            bool final = reel_step_status_final (step->status);
            skipped[i] = final ? step->status != REEL_STEP_SUCCEEDED : will_be_skipped (&workflow, i, skipped);
            if (final || skipped[i])
                continue;
            reel_buf_add_slice (out, step->modality);
            break;
        }
    }
    reel_workflow_free (&workflow);
}

static void
add_workers (struct reel_buf *out, struct reel_slice stats)
{
    struct reel_slice gauges;
    uint64_t workers;
    if (!reel_scan_find (stats, reel_slice_text ("gauges"), &gauges)
        || !reel_scan_find_uint (gauges, "workers", &workers))
        return;
    if (workers == 0)
        reel_buf_add_text (out, "; no worker is connected");
    else
        reel_buf_printf (out, "; %" PRIu64 " %s connected", workers, workers == 1 ? "worker is" : "workers are");
}

static void
add_queued (struct reel_buf *out, struct reel_slice header, struct reel_slice document, struct reel_slice stats,
            int64_t now_us)
{
    struct reel_slice modality;
    struct reel_buf next = {0};
    uint64_t not_before_us;
    char until[REEL_TIMESTAMP_BYTES];
    bool unserved = reel_scan_find_str (header, "waiting_for", &modality);
    bool later = reel_scan_find_uint (header, "not_before_us", &not_before_us) && (int64_t) not_before_us > now_us;
    reel_buf_add_text (out, "waiting ");
    if (later) {
        reel_timestamp_format ((int64_t) not_before_us, until);
        reel_buf_printf (out, "until %s%s", until, unserved ? ", and " : "");
        if (!unserved)
            return;
    }
    if (unserved) {
        reel_buf_printf (out, "for a worker that serves `%.*s`", REEL_TEXT (modality));
        add_workers (out, stats);
        return;
    }
    add_next_modality (&next, document);
    if (next.len > 0) {
        reel_buf_printf (out, "for a free slot of a worker that serves `%.*s`", REEL_TEXT (reel_buf_slice (&next)));
    } else {
        reel_buf_add_text (out, "for any worker");
        add_workers (out, stats);
    }
    reel_buf_free (&next);
}

void
reel_waiting_add (struct reel_buf *out, struct reel_slice header, struct reel_slice document, struct reel_slice stats,
                  int64_t now_us)
{
    struct reel_slice status = REEL_SLICE_NONE;
    (void) reel_scan_find_str (header, "status", &status);
    if (reel_slice_is (status, "queued"))
        add_queued (out, header, document, stats, now_us);
    else if (reel_slice_is (status, "held"))
        reel_buf_add_text (out, "held: whether its running step took effect is not known; waiting for its worker");
}

void
reel_waiting_ask (struct reel_buf *out, struct reel_client *client, const struct reel_client_reply *got)
{
    struct reel_client_reply stats = {0};
    struct reel_slice header = reel_slice (got->header, got->header_size), status = REEL_SLICE_NONE;
    /* Without an answer the sentence is shorter. */
    if (reel_scan_find_str (header, "status", &status) && reel_slice_is (status, "queued"))
        (void) reel_client_stats (client, &stats, NULL);
    reel_waiting_add (out, header, reel_slice (got->document, got->document_size),
                      reel_slice (stats.header, stats.header_size), reel_clock_wall_us ());
    reel_client_reply_free (&stats);
}
