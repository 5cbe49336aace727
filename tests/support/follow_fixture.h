/*
 * What tests of the follower stand on: one of them, its clock, the messages that it is given, and looking at what it
 * gives out and asks for.
 */
#ifndef REEL_TESTS_SUPPORT_FOLLOW_FIXTURE_H
#define REEL_TESTS_SUPPORT_FOLLOW_FIXTURE_H

#include <check.h>
#include <inttypes.h>
#include <stdio.h>

#include "client/follow.h"
#include "proto/pack.h"

#define SECOND 1000000

static struct reel_follow follow;
static struct reel_error err;
static int64_t now_us;

static inline void
begin (const char *workflow_id, uint64_t after)
{
    now_us = 10 * SECOND;
    reel_follow_init (&follow, reel_slice_text (workflow_id), after, now_us);
}

static inline void
teardown (void)
{
    reel_follow_free (&follow);
}

/* --- making messages -------------------------------------------------------------------------- */

/* A seq of 0 makes progress, which has neither seq nor index. */
static inline void
add_event (struct reel_buf *out, uint64_t seq, uint64_t index, const char *workflow_id, const char *kind)
{
    reel_pack_map (out, seq > 0 ? 4 : 2);
    if (seq > 0) {
        reel_pack_text (out, "seq");
        reel_pack_uint (out, seq);
        reel_pack_text (out, "index");
        reel_pack_uint (out, index);
    }
    reel_pack_text (out, "workflow_id");
    reel_pack_text (out, workflow_id);
    reel_pack_text (out, "kind");
    reel_pack_text (out, kind);
}

static inline void
deliver_bytes (const char *topic, struct reel_slice body)
{
    ck_assert_int_eq (reel_follow_deliver (&follow, now_us, reel_slice_text (topic), body), REEL_OK);
}

static inline void
deliver (uint64_t seq, uint64_t index, const char *workflow_id, const char *kind)
{
    struct reel_buf body = {0};
    add_event (&body, seq, index, workflow_id, kind);
    deliver_bytes ("event/w/k", reel_buf_slice (&body));
    reel_buf_free (&body);
}

static inline void
live (uint64_t seq)
{
    deliver (seq, seq, "w", "step.started");
}

static inline void
beat (uint64_t seq, uint64_t epoch)
{
    struct reel_buf body = {0};
    reel_pack_map (&body, 2);
    reel_pack_text (&body, "seq");
    reel_pack_uint (&body, seq);
    reel_pack_text (&body, "epoch");
    reel_pack_uint (&body, epoch);
    deliver_bytes ("beat", reel_buf_slice (&body));
    reel_buf_free (&body);
}

/* Events from..to of workflow w, index and seq alike (index_from: those of the first). */
static inline enum reel_status
page_of (uint64_t from, uint64_t to, uint64_t index_from, uint64_t last_seq, bool more)
{
    struct reel_buf events = {0};
    reel_pack_array (&events, to >= from ? (uint32_t) (to - from + 1) : 0);
    for (uint64_t seq = from; seq <= to; seq++)
        add_event (&events, seq, index_from + seq - from, "w", "step.started");
    struct reel_follow_page page = {.last_seq = last_seq, .more = more, .events = reel_buf_slice (&events)};
    enum reel_status status = reel_follow_page (&follow, now_us, &page, &err);
    reel_buf_free (&events);
    return status;
}

static inline void
page (uint64_t from, uint64_t to, uint64_t last_seq)
{
    ck_assert_int_eq (page_of (from, to, from, last_seq, false), REEL_OK);
}

static inline void
empty_page (uint64_t last_seq)
{
    page (1, 0, last_seq);
}

/* --- looking ---------------------------------------------------------------------------------- */

/* The seqs of what it gives out now, "p" for progress, as in "1 2 p 3". */
static inline const char *
given (void)
{
    static char text[4096];
    size_t len = 0;
    struct reel_slice event;
    text[0] = '\0';
    while (reel_follow_next (&follow, &event)) {
        uint64_t seq = 0;
        bool kept = reel_scan_find_uint (event, "seq", &seq);
        len += (size_t) snprintf (text + len, sizeof text - len, "%s%s", len > 0 ? " " : "", kept ? "" : "p");
        if (kept)
            len += (size_t) snprintf (text + len, sizeof text - len, "%" PRIu64, seq);
        ck_assert_uint_lt (len, sizeof text);
    }
    return text;
}

static inline void
asks (uint64_t after)
{
    uint64_t asked = UINT64_MAX;
    ck_assert (reel_follow_ask (&follow, now_us, &asked));
    ck_assert_uint_eq (asked, after);
}

static inline void
is_content (void)
{
    uint64_t asked;
    ck_assert (!reel_follow_ask (&follow, now_us, &asked));
}

/* Everything up to `seq` was replayed, and the first beat has come. */
static inline void
settle (const char *workflow_id, uint64_t seq)
{
    begin (workflow_id, 0);
    asks (0);
    page (1, seq, seq);
    beat (seq, 7);
    asks (seq);
    empty_page (seq);
    (void) given ();
    is_content ();
}

#endif
