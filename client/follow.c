/*
 * The follower's rules. The struct's fields and the reasoning are in the header.
 */
#include "client/follow.h"

#include <string.h>

#include "base/assert.h"
#include "proto/identity.h"
#include "proto/scan.h"

/* What the rules look at in an event. */
struct mark {
    uint64_t seq; /* 0: not kept (progress) */
    uint64_t index;
    bool final;
};

static bool
follows_one (const struct reel_follow *follow)
{
    return follow->workflow_id[0] != '\0';
}

static bool
kind_final (struct reel_slice kind)
{
    return reel_slice_is (kind, "workflow.succeeded") || reel_slice_is (kind, "workflow.failed")
           || reel_slice_is (kind, "workflow.cancelled");
}

/* False when the checked value is no event, or not one of the workflow that is followed. */
static bool
mark_read (const struct reel_follow *follow, struct reel_slice event, struct mark *mark)
{
    struct reel_slice workflow_id, kind;
    if (reel_scan_type (event) != REEL_MAP || !reel_scan_find_str (event, "workflow_id", &workflow_id)
        || !reel_scan_find_str (event, "kind", &kind))
        return false;
    if (follows_one (follow) && !reel_slice_is (workflow_id, follow->workflow_id))
        return false;
    *mark = (struct mark){0};
    if (reel_scan_find_uint (event, "seq", &mark->seq)
        && (mark->seq == 0 || !reel_scan_find_uint (event, "index", &mark->index)))
        return false;
    mark->final = kind_final (kind);
    return true;
}

void
reel_follow_init (struct reel_follow *follow, struct reel_slice workflow_id, uint64_t after, int64_t now_us)
{
    REEL_ASSERT (workflow_id.len <= REEL_ID_BYTES_MAX);
    *follow = (struct reel_follow){.checked = after,
                                   .index_known = after == 0,
                                   .want = true,
                                   .retry_us = REEL_FOLLOW_RETRY_US,
                                   .heard_us = now_us,
                                   .own_us = now_us};
    if (workflow_id.len > 0)
        memcpy (follow->workflow_id, workflow_id.data, workflow_id.len);
}

void
reel_follow_free (struct reel_follow *follow)
{
    reel_buf_free (&follow->ready);
    reel_buf_free (&follow->waiting);
}

static void
lift (uint64_t *value, uint64_t to)
{
    if (*value < to)
        *value = to;
}

/* Appends, or leaves the buffer as it was. */
static enum reel_status
append (struct reel_buf *buf, struct reel_slice bytes)
{
    size_t len = buf->len;
    reel_buf_add_slice (buf, bytes);
    if (reel_buf_status (buf) == REEL_OK)
        return REEL_OK;
    buf->failed = false;
    buf->len = len;
    return REEL_NO_MEMORY;
}

static enum reel_status
give (struct reel_follow *follow, struct reel_slice event)
{
    if (follow->ready_at == follow->ready.len) {
        reel_buf_clear (&follow->ready);
        follow->ready_at = 0;
    }
    return append (&follow->ready, event);
}

static enum reel_status
give_kept (struct reel_follow *follow, struct reel_slice event, struct mark mark, int64_t now_us)
{
    if (give (follow, event) != REEL_OK)
        return REEL_NO_MEMORY;
    lift (&follow->checked, mark.seq);
    lift (&follow->evidence, mark.seq);
    follow->last_index = mark.index;
    follow->index_known = true;
    follow->started = true;
    follow->own_us = now_us;
    if (follows_one (follow) && mark.final)
        follow->ended = true;
    return REEL_OK;
}

static bool
directly_next (const struct reel_follow *follow, struct mark mark)
{
    if (follows_one (follow))
        return follow->index_known && mark.index == follow->last_index + 1;
    return mark.seq == follow->checked + 1;
}

/* Keeps a live event until the gap before it is filled. The target makes sure that it comes, kept here or not. */
static enum reel_status
wait_behind_gap (struct reel_follow *follow, struct reel_slice event, struct mark mark)
{
    lift (&follow->target, mark.seq);
    if (follow->waiting.len + event.len > REEL_FOLLOW_WAITING_BYTES_MAX)
        return REEL_OK;
    return append (&follow->waiting, event);
}

static void
take_beat (struct reel_follow *follow, struct reel_slice body, int64_t now_us)
{
    uint64_t seq, epoch;
    if (reel_scan_type (body) != REEL_MAP || !reel_scan_find_uint (body, "seq", &seq)
        || !reel_scan_find_uint (body, "epoch", &epoch))
        return;
    follow->heard_us = now_us;
    lift (&follow->horizon, seq);
    lift (&follow->evidence, seq);
    /* The first beat proves the subscription; one of another epoch, that there was a restart. */
    bool first_of_epoch = epoch != follow->epoch;
    follow->epoch = epoch;
    if (first_of_epoch || !follows_one (follow))
        lift (&follow->target, seq);
    follow->want = follow->want || first_of_epoch;
}

static enum reel_status
take_event (struct reel_follow *follow, struct reel_slice body, int64_t now_us)
{
    struct mark mark;
    if (follow->ended || !mark_read (follow, body, &mark))
        return REEL_OK;
    follow->heard_us = now_us;
    bool settled = !follow->asking && !follow->want && follow->checked >= follow->target;
    if (mark.seq == 0)
        return settled ? give (follow, body) : REEL_OK;
    if (mark.seq <= follow->checked)
        return REEL_OK;
    if (settled && directly_next (follow, mark))
        return give_kept (follow, body, mark, now_us);
    return wait_behind_gap (follow, body, mark);
}

enum reel_status
reel_follow_deliver (struct reel_follow *follow, int64_t now_us, struct reel_slice topic, struct reel_slice body)
{
    bool beat = reel_slice_is (topic, "beat");
    bool event = topic.len > 6 && memcmp (topic.data, "event/", 6) == 0;
    if (!beat && !event)
        return REEL_OK;
    enum reel_status status = reel_scan_check (body, REEL_DEPTH_MAX, NULL);
    if (status == REEL_NO_MEMORY)
        follow->want = true;
    if (status != REEL_OK)
        return status == REEL_NO_MEMORY ? status : REEL_OK;
    if (event) {
        status = take_event (follow, body, now_us);
        if (status != REEL_OK)
            follow->want = true;
        return status;
    }
    take_beat (follow, body, now_us);
    return REEL_OK;
}

bool
reel_follow_ask (struct reel_follow *follow, int64_t now_us, uint64_t *after)
{
    if (follow->asking || follow->ended || now_us < follow->not_before_us)
        return false;
    if (now_us - follow->heard_us >= REEL_FOLLOW_SILENCE_US) {
        follow->heard_us = now_us;
        follow->want = true;
    }
    if (follow->checked < follow->horizon && now_us - follow->own_us >= REEL_FOLLOW_QUIET_US) {
        follow->own_us = now_us;
        lift (&follow->target, follow->horizon);
    }
    if (!follow->want && follow->checked >= follow->target)
        return false;
    follow->want = false;
    follow->asking = true;
    follow->asked_after = follow->checked;
    follow->asked_target = follow->target;
    follow->asked_evidence = follow->evidence;
    *after = follow->checked;
    return true;
}

int64_t
reel_follow_wake_us (const struct reel_follow *follow)
{
    if (follow->asking || follow->ended)
        return INT64_MAX;
    int64_t wake_us = follow->heard_us + REEL_FOLLOW_SILENCE_US;
    if (follow->checked < follow->horizon && follow->own_us + REEL_FOLLOW_QUIET_US < wake_us)
        wake_us = follow->own_us + REEL_FOLLOW_QUIET_US;
    if (follow->want || follow->checked < follow->target)
        return follow->not_before_us;
    return wake_us < follow->not_before_us ? follow->not_before_us : wake_us;
}

void
reel_follow_failed (struct reel_follow *follow, int64_t now_us)
{
    REEL_ASSERT (follow->asking);
    follow->asking = false;
    follow->want = true;
    follow->not_before_us = now_us + follow->retry_us;
    follow->retry_us *= 2;
    if (follow->retry_us > REEL_FOLLOW_RETRY_MAX_US)
        follow->retry_us = REEL_FOLLOW_RETRY_MAX_US;
}

/* Counts the events between the last one given out and this one, which the broker no longer keeps. */
static void
count_lost (struct reel_follow *follow, struct mark mark)
{
    if (follows_one (follow)) {
        if (follow->index_known && mark.index > follow->last_index + 1)
            follow->lost += mark.index - follow->last_index - 1;
    } else if (follow->started || follow->asked_after > 0) {
        follow->lost += mark.seq - follow->checked - 1;
    }
}

static enum reel_status
take_page_events (struct reel_follow *follow, struct reel_slice events, int64_t now_us, struct reel_error *err)
{
    enum reel_status status = reel_scan_check (events, REEL_DEPTH_MAX, err);
    if (status != REEL_OK)
        return status;
    struct reel_cursor cursor = reel_scan_start (events);
    struct reel_value head;
    if (!reel_scan_next (&cursor, &head) || head.type != REEL_ARRAY)
        return reel_error_set (err, REEL_INVALID, "malformed", "", "the reply to EVENTS is no array of events");
    for (uint32_t i = 0; i < head.count && !follow->ended; i++) {
        struct reel_slice event;
        struct mark mark;
        if (!reel_scan_skip (&cursor, &event) || !mark_read (follow, event, &mark) || mark.seq <= follow->checked)
            return reel_error_set (err, REEL_INVALID, "malformed", "",
                                   "element %u of the reply to EVENTS is no event that was asked for", (unsigned) i);
        count_lost (follow, mark);
        if (give_kept (follow, event, mark, now_us) != REEL_OK)
            return REEL_NO_MEMORY;
    }
    return REEL_OK;
}

/* Gives out the live events that have become next, and keeps those that still have a gap before them. */
static enum reel_status
take_waiting (struct reel_follow *follow, int64_t now_us)
{
    struct reel_buf waiting = follow->waiting;
    struct reel_cursor cursor = reel_scan_start (reel_buf_slice (&waiting));
    struct reel_slice event;
    struct mark mark;
    enum reel_status status = REEL_OK;
    follow->waiting = (struct reel_buf){0};
    while (status == REEL_OK && !follow->ended && cursor.at < cursor.end && reel_scan_skip (&cursor, &event)) {
        REEL_ASSERT (mark_read (follow, event, &mark));
        if (mark.seq <= follow->checked)
            continue;
        if (directly_next (follow, mark))
            status = give_kept (follow, event, mark, now_us);
        else
            status = append (&follow->waiting, event);
    }
    reel_buf_free (&waiting);
    return status;
}

enum reel_status
reel_follow_page (struct reel_follow *follow, int64_t now_us, const struct reel_follow_page *page,
                  struct reel_error *err)
{
    REEL_ASSERT (follow->asking);
    if (page->last_seq < follow->asked_evidence)
        return reel_error_set (err, REEL_INVALID, "journal_replaced", "",
                               "the broker has %llu events now and had shown %llu: this is another journal",
                               (unsigned long long) page->last_seq, (unsigned long long) follow->asked_evidence);
    uint64_t checked_before = follow->checked;
    enum reel_status status = take_page_events (follow, page->events, now_us, err);
    if (status != REEL_OK)
        return status;
    if (page->more && follow->checked == checked_before)
        return reel_error_set (err, REEL_INVALID, "malformed", "",
                               "a reply to EVENTS promises more and brings nothing");
    follow->asking = false;
    follow->heard_us = now_us;
    follow->not_before_us = 0;
    follow->retry_us = REEL_FOLLOW_RETRY_US;
    if (page->more) {
        follow->want = true;
        return REEL_OK;
    }
    /* The reply holds everything that was durable when it was asked for. */
    if (!follows_one (follow) && follow->asked_target > follow->checked) {
        if (follow->started || follow->asked_after > 0)
            follow->lost += follow->asked_target - follow->checked;
    }
    lift (&follow->checked, follow->asked_target);
    return take_waiting (follow, now_us);
}

bool
reel_follow_next (struct reel_follow *follow, struct reel_slice *event)
{
    if (follow->ready_at == follow->ready.len)
        return false;
    struct reel_cursor cursor = reel_scan_start (
        reel_slice (follow->ready.data + follow->ready_at, follow->ready.len - follow->ready_at));
    REEL_ASSERT (reel_scan_skip (&cursor, event));
    follow->ready_at += event->len;
    return true;
}

bool
reel_follow_ended (const struct reel_follow *follow)
{
    return follow->ended && follow->ready_at == follow->ready.len;
}
