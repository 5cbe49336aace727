/*
 * The follower against scripted deliveries: what it gives out, and when it asks. The last test
 * plays a broker whose publishing loses messages, from many seeds.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "client/follow.h"
#include "proto/pack.h"
#include "tests/support/suite.h"

#define SECOND 1000000
#define NOBODY "other"

static struct reel_follow follow;
static struct reel_error err;
static int64_t now_us;

static void
begin (const char *workflow_id, uint64_t after)
{
    now_us = 10 * SECOND;
    reel_follow_init (&follow, reel_slice_text (workflow_id), after, now_us);
}

static void
teardown (void)
{
    reel_follow_free (&follow);
}

/* --- making messages -------------------------------------------------------------------------- */

/* A seq of 0 makes progress, which has neither seq nor index. */
static void
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

static void
deliver_bytes (const char *topic, struct reel_slice body)
{
    ck_assert_int_eq (reel_follow_deliver (&follow, now_us, reel_slice_text (topic), body), REEL_OK);
}

static void
deliver (uint64_t seq, uint64_t index, const char *workflow_id, const char *kind)
{
    struct reel_buf body = {0};
    add_event (&body, seq, index, workflow_id, kind);
    deliver_bytes ("event/w/k", reel_buf_slice (&body));
    reel_buf_free (&body);
}

static void
live (uint64_t seq)
{
    deliver (seq, seq, "w", "step.started");
}

static void
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
static enum reel_status
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

static void
page (uint64_t from, uint64_t to, uint64_t last_seq)
{
    ck_assert_int_eq (page_of (from, to, from, last_seq, false), REEL_OK);
}

static void
empty_page (uint64_t last_seq)
{
    page (1, 0, last_seq);
}

/* --- looking ---------------------------------------------------------------------------------- */

/* The seqs of what it gives out now, "p" for progress, as in "1 2 p 3". */
static const char *
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

static void
asks (uint64_t after)
{
    uint64_t asked = UINT64_MAX;
    ck_assert (reel_follow_ask (&follow, now_us, &asked));
    ck_assert_uint_eq (asked, after);
}

static void
is_content (void)
{
    uint64_t asked;
    ck_assert (!reel_follow_ask (&follow, now_us, &asked));
}

/* Everything up to `seq` was replayed, and the first beat has come. */
static void
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

/* --- the recipe ------------------------------------------------------------------------------- */

START_TEST (replays_at_once)
{
    begin (NULL, 0);
    asks (0);
    is_content (); /* one asking at a time */
    page (1, 3, 3);
    ck_assert_str_eq (given (), "1 2 3");
    is_content ();
}
END_TEST

START_TEST (replays_past_what_is_known_already)
{
    begin (NULL, 5);
    asks (5);
    page (6, 7, 7);
    ck_assert_str_eq (given (), "6 7");
    live (5);
    live (8);
    ck_assert_str_eq (given (), "8");
    ck_assert_uint_eq (follow.lost, 0);
}
END_TEST

START_TEST (first_beat_asks_again_whatever_it_says)
{
    begin (NULL, 0);
    asks (0);
    page (1, 2, 2);
    beat (4, 7);
    asks (2);
    page (3, 4, 4);
    ck_assert_str_eq (given (), "1 2 3 4");
    beat (4, 7);
    is_content ();
}
END_TEST

START_TEST (drops_live_events_already_seen)
{
    settle (NULL, 3);
    live (2);
    live (3);
    live (4);
    live (4);
    ck_assert_str_eq (given (), "4");
}
END_TEST

START_TEST (live_events_wait_for_the_replay)
{
    begin (NULL, 0);
    asks (0);
    live (4);
    live (5);
    ck_assert_str_eq (given (), "");
    page (1, 4, 4);
    ck_assert_str_eq (given (), "1 2 3 4 5");
    is_content ();
}
END_TEST

START_TEST (live_events_before_the_asking_wait_too)
{
    begin (NULL, 0);
    live (1);
    ck_assert_str_eq (given (), "");
    asks (0);
    page (1, 1, 1);
    ck_assert_str_eq (given (), "1");
}
END_TEST

START_TEST (gap_by_seq_is_asked_for)
{
    settle (NULL, 3);
    live (6);
    ck_assert_str_eq (given (), "");
    asks (3);
    live (7);
    page (4, 6, 6);
    ck_assert_str_eq (given (), "4 5 6 7");
    is_content ();
}
END_TEST

START_TEST (second_gap_while_the_first_is_asked_for)
{
    settle (NULL, 3);
    live (5);
    asks (3);
    live (8);
    page (4, 5, 5);
    ck_assert_str_eq (given (), "4 5");
    asks (5);
    page (6, 8, 8);
    ck_assert_str_eq (given (), "6 7 8");
    is_content ();
}
END_TEST

START_TEST (beat_ahead_is_a_gap)
{
    settle (NULL, 3);
    beat (3, 7);
    is_content ();
    beat (5, 7);
    asks (3);
    page (4, 5, 5);
    ck_assert_str_eq (given (), "4 5");
    beat (4, 7); /* sent before what the page held */
    is_content ();
}
END_TEST

START_TEST (pages_follow_each_other)
{
    begin (NULL, 0);
    asks (0);
    ck_assert_int_eq (page_of (1, 2, 1, 5, true), REEL_OK);
    asks (2);
    live (6);
    page (3, 5, 5);
    ck_assert_str_eq (given (), "1 2 3 4 5 6");
}
END_TEST

START_TEST (progress_is_passed_on_in_its_place)
{
    settle (NULL, 3);
    deliver (0, 0, "w", "step.progress");
    live (4);
    deliver (0, 0, "w", "step.progress");
    ck_assert_str_eq (given (), "p 4 p");
    live (6);
    deliver (0, 0, "w", "step.progress"); /* would overtake 5 and 6 */
    asks (4);
    page (5, 6, 6);
    ck_assert_str_eq (given (), "5 6");
}
END_TEST

/* --- one workflow ----------------------------------------------------------------------------- */

START_TEST (one_workflow_goes_by_index)
{
    settle ("w", 3);
    deliver (10, 4, "w", "step.started");
    deliver (20, 5, "w", "step.started");
    ck_assert_str_eq (given (), "10 20");
    deliver (40, 7, "w", "step.started");
    ck_assert_str_eq (given (), "");
    asks (20);
    ck_assert_int_eq (page_of (39, 40, 6, 41, false), REEL_OK);
    ck_assert_str_eq (given (), "39 40");
    is_content ();
}
END_TEST

START_TEST (others_do_not_count_for_one_workflow)
{
    settle ("w", 3);
    deliver (4, 1, NOBODY, "workflow.succeeded");
    ck_assert_str_eq (given (), "");
    beat (4, 7);
    is_content ();
    ck_assert (!reel_follow_ended (&follow));
}
END_TEST

START_TEST (index_that_is_not_known_is_asked_for)
{
    begin ("w", 30);
    asks (30);
    empty_page (35);
    deliver (36, 9, "w", "step.started");
    ck_assert_str_eq (given (), "");
    asks (30);
    ck_assert_int_eq (page_of (36, 36, 9, 36, false), REEL_OK);
    deliver (38, 10, "w", "step.started");
    ck_assert_str_eq (given (), "36 38");
    ck_assert_uint_eq (follow.lost, 0);
}
END_TEST

START_TEST (final_event_is_the_end)
{
    settle ("w", 3);
    deliver (4, 4, "w", "workflow.failed");
    ck_assert (!reel_follow_ended (&follow)); /* not before it was given out */
    ck_assert_str_eq (given (), "4");
    ck_assert (reel_follow_ended (&follow));
    now_us += 60 * SECOND;
    is_content ();
    ck_assert_int_eq (reel_follow_wake_us (&follow), INT64_MAX);
    live (5);
    ck_assert_str_eq (given (), "");
}
END_TEST

START_TEST (final_event_of_one_is_no_end_of_all)
{
    settle (NULL, 3);
    deliver (4, 1, "w", "workflow.succeeded");
    live (5);
    ck_assert_str_eq (given (), "4 5");
    ck_assert (!reel_follow_ended (&follow));
}
END_TEST

/* What PUB dropped last of all shows only by nothing coming. */
START_TEST (quiet_workflow_is_asked_about)
{
    settle ("w", 3);
    for (int i = 0; i < 4; i++) {
        now_us += SECOND;
        beat (10 + (uint64_t) i, 7);
        is_content ();
    }
    ck_assert_int_eq (reel_follow_wake_us (&follow), now_us + SECOND);
    now_us += SECOND;
    beat (14, 7);
    asks (3);
    ck_assert_int_eq (page_of (13, 13, 4, 14, false), REEL_OK);
    ck_assert_str_eq (given (), "13");
    now_us += SECOND;
    beat (14, 7);
    is_content (); /* nothing was published since */
}
END_TEST

/* --- silence, restarts, failures -------------------------------------------------------------- */

START_TEST (silence_asks_and_asks_again)
{
    settle (NULL, 3);
    ck_assert_int_eq (reel_follow_wake_us (&follow), now_us + REEL_FOLLOW_SILENCE_US);
    now_us += REEL_FOLLOW_SILENCE_US - 1;
    is_content ();
    now_us += 1;
    asks (3);
    empty_page (3);
    is_content ();
    now_us += REEL_FOLLOW_SILENCE_US;
    asks (3);
    page (4, 4, 4);
    ck_assert_str_eq (given (), "4");
}
END_TEST

START_TEST (beats_are_no_silence)
{
    settle (NULL, 3);
    for (int i = 0; i < 10; i++) {
        now_us += SECOND;
        beat (3, 7);
        is_content ();
    }
}
END_TEST

START_TEST (new_epoch_asks)
{
    settle (NULL, 3);
    beat (3, 8);
    asks (3);
    empty_page (3);
    beat (3, 8);
    is_content ();
}
END_TEST

START_TEST (failed_asking_is_tried_again_later_and_later)
{
    begin (NULL, 0);
    int64_t wait_us = REEL_FOLLOW_RETRY_US;
    for (int i = 0; i < 6; i++) {
        asks (0);
        reel_follow_failed (&follow, now_us);
        ck_assert_int_eq (reel_follow_wake_us (&follow), now_us + wait_us);
        now_us += wait_us - 1;
        is_content ();
        now_us += 1;
        wait_us = wait_us * 2 < REEL_FOLLOW_RETRY_MAX_US ? wait_us * 2 : REEL_FOLLOW_RETRY_MAX_US;
    }
    asks (0);
    page (1, 1, 1);
    ck_assert_str_eq (given (), "1");
    live (3);
    asks (1);
    reel_follow_failed (&follow, now_us);
    ck_assert_int_eq (reel_follow_wake_us (&follow), now_us + REEL_FOLLOW_RETRY_US);
}
END_TEST

START_TEST (other_history_is_an_error)
{
    settle (NULL, 9);
    beat (2, 8);
    asks (9);
    struct reel_buf none = {0};
    reel_pack_array (&none, 0);
    struct reel_follow_page short_one = {.last_seq = 2, .events = reel_buf_slice (&none)};
    ck_assert_int_eq (reel_follow_page (&follow, now_us, &short_one, &err), REEL_INVALID);
    ck_assert_str_eq (err.code, "journal_replaced");
    reel_buf_free (&none);
}
END_TEST

/* --- what is no longer there ------------------------------------------------------------------ */

START_TEST (pruned_before_the_start_is_no_loss)
{
    begin (NULL, 0);
    asks (0);
    page (100, 101, 101);
    ck_assert_str_eq (given (), "100 101");
    ck_assert_uint_eq (follow.lost, 0);
}
END_TEST

START_TEST (pruned_after_a_given_start_is_counted)
{
    begin (NULL, 50);
    asks (50);
    page (100, 101, 101);
    ck_assert_str_eq (given (), "100 101");
    ck_assert_uint_eq (follow.lost, 49);
}
END_TEST

START_TEST (pruned_of_one_workflow_is_counted)
{
    begin ("w", 0);
    asks (0);
    ck_assert_int_eq (page_of (100, 101, 5, 101, false), REEL_OK);
    ck_assert_str_eq (given (), "100 101");
    ck_assert_uint_eq (follow.lost, 4);
}
END_TEST

START_TEST (pruned_to_the_last_is_counted_and_does_not_hang)
{
    settle (NULL, 3);
    live (6);
    asks (3);
    empty_page (6);
    ck_assert_str_eq (given (), "");
    ck_assert_uint_eq (follow.lost, 3);
    is_content ();
    live (7);
    ck_assert_str_eq (given (), "7");
}
END_TEST

/* --- nonsense --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *bytes;
    size_t len;
} nonsense[] = {
    {"nothing", "", 0},
    {"no msgpack", "\xdf\xff\xff\xff\xff", 5},
    {"bytes left over", "\x80\x80", 2},
    {"no map", "\x93\x01\x02\x03", 4},
    {"an empty map", "\x80", 1},
    {"a kind of another type", "\x81\xa4kind\x01", 7},
};

START_TEST (live_nonsense_is_passed_over)
{
    settle (NULL, 3);
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        deliver_bytes ("event/w/k", reel_slice (nonsense[i].bytes, nonsense[i].len));
        deliver_bytes ("beat", reel_slice (nonsense[i].bytes, nonsense[i].len));
        deliver_bytes ("receipt/w", reel_slice (nonsense[i].bytes, nonsense[i].len));
        deliver_bytes ("", reel_slice (nonsense[i].bytes, nonsense[i].len));
    }
    deliver (9, 1, "w", "step.started");
    struct reel_buf no_index = {0};
    reel_pack_map (&no_index, 3);
    reel_pack_text (&no_index, "seq");
    reel_pack_uint (&no_index, 4);
    reel_pack_text (&no_index, "workflow_id");
    reel_pack_text (&no_index, "w");
    reel_pack_text (&no_index, "kind");
    reel_pack_text (&no_index, "k");
    deliver_bytes ("event/w/k", reel_buf_slice (&no_index));
    reel_buf_free (&no_index);
    ck_assert_str_eq (given (), "");
    asks (3); /* because of 9 alone */
    page (4, 9, 9);
    ck_assert_str_eq (given (), "4 5 6 7 8 9");
}
END_TEST

START_TEST (pages_of_nonsense_are_errors)
{
    static const struct {
        uint64_t from, to;
        bool more;
    } pages[] = {
        {3, 4, false}, /* begins at what was given out */
        {1, 0, true},  /* promises more and brings nothing */
    };
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        settle (NULL, 3);
        live (9);
        asks (3);
        ck_assert_int_eq (page_of (pages[i].from, pages[i].to, pages[i].from, 9, pages[i].more), REEL_INVALID);
        ck_assert_str_eq (err.code, "malformed");
        reel_follow_free (&follow);
    }
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        settle (NULL, 3);
        live (9);
        asks (3);
        struct reel_follow_page page = {.last_seq = 9, .events = reel_slice (nonsense[i].bytes, nonsense[i].len)};
        ck_assert_msg (reel_follow_page (&follow, now_us, &page, &err) == REEL_INVALID, "%s", nonsense[i].name);
        reel_follow_free (&follow);
    }
}
END_TEST

/* A gap that is long in filling does not gather events without bound, and loses none by that. */
START_TEST (waiting_is_bounded)
{
    static uint8_t filler[60000];
    struct reel_buf body = {0};
    settle (NULL, 3);
    live (5);
    asks (3);
    uint64_t last = 5;
    while (last < 120) {
        last++;
        reel_buf_clear (&body);
        reel_pack_map (&body, 5);
        reel_pack_text (&body, "seq");
        reel_pack_uint (&body, last);
        reel_pack_text (&body, "index");
        reel_pack_uint (&body, last);
        reel_pack_text (&body, "workflow_id");
        reel_pack_text (&body, "w");
        reel_pack_text (&body, "kind");
        reel_pack_text (&body, "k");
        reel_pack_text (&body, "filler");
        reel_pack_bin (&body, reel_slice (filler, sizeof filler));
        deliver_bytes ("event/w/k", reel_buf_slice (&body));
        ck_assert_uint_le (follow.waiting.len, REEL_FOLLOW_WAITING_BYTES_MAX);
    }
    page (4, 5, 120);
    uint64_t have = follow.checked;
    ck_assert_uint_gt (have, 60);
    ck_assert_uint_lt (have, 120);
    asks (have);
    page (have + 1, 120, 120);
    is_content ();
    ck_assert_uint_eq (follow.checked, 120);
    ck_assert_uint_eq (follow.lost, 0);
    reel_buf_free (&body);
}
END_TEST

/* --- a broker that loses what it publishes ------------------------------------------------------ */

#define WORKFLOWS 3
#define EVENTS 120
#define SEEDS 400

struct history {
    uint64_t index[EVENTS + 1]; /* by seq */
    unsigned workflow[EVENTS + 1];
    uint64_t durable;
    uint64_t expected; /* the next seq that must be given out */
};

static const char *const names[WORKFLOWS] = {"a", "b", "c"};

static void
write_history (struct history *history, struct reel_random *random)
{
    uint64_t indexes[WORKFLOWS] = {0};
    *history = (struct history){0};
    for (uint64_t seq = 1; seq <= EVENTS; seq++) {
        unsigned workflow = (unsigned) reel_random_below (random, WORKFLOWS);
        history->workflow[seq] = workflow;
        history->index[seq] = ++indexes[workflow];
    }
    history->expected = 1;
}

static bool
is_followed (const struct history *history, uint64_t seq, int followed)
{
    return followed < 0 || history->workflow[seq] == (unsigned) followed;
}

static void
check_given (struct history *history, int followed, uint64_t seed)
{
    struct reel_slice event;
    while (reel_follow_next (&follow, &event)) {
        uint64_t seq = 0;
        ck_assert (reel_scan_find_uint (event, "seq", &seq));
        while (history->expected <= EVENTS && !is_followed (history, history->expected, followed))
            history->expected++;
        ck_assert_msg (seq == history->expected, "seed %" PRIu64 ": event %" PRIu64 " where %" PRIu64 " is next", seed,
                       seq, history->expected);
        history->expected++;
    }
}

static void
publish (const struct history *history, uint64_t seq)
{
    deliver (seq, history->index[seq], names[history->workflow[seq]], "step.started");
}

static void
answer (const struct history *history, uint64_t after, int followed, uint64_t limit)
{
    struct reel_buf body = {0}, events = {0};
    uint32_t count = 0;
    bool more = false;
    for (uint64_t seq = after + 1; seq <= history->durable && !more; seq++) {
        if (!is_followed (history, seq, followed))
            continue;
        more = count == limit;
        if (!more) {
            add_event (&body, seq, history->index[seq], names[history->workflow[seq]], "step.started");
            count++;
        }
    }
    reel_pack_array (&events, count);
    reel_buf_add_slice (&events, reel_buf_slice (&body));
    struct reel_follow_page page = {.last_seq = history->durable, .more = more, .events = reel_buf_slice (&events)};
    ck_assert_msg (reel_follow_page (&follow, now_us, &page, &err) == REEL_OK, "%s", err.message);
    reel_buf_free (&body);
    reel_buf_free (&events);
}

static void
play (uint64_t seed)
{
    struct reel_random random;
    struct history history;
    reel_random_seed (&random, seed);
    write_history (&history, &random);
    int followed = (int) reel_random_below (&random, WORKFLOWS + 1) - 1;
    uint64_t loss = reel_random_below (&random, 60), epoch = 1, asked_after = 0;
    bool asked = false;
    begin (followed < 0 ? NULL : names[followed], 0);
    /* Past the last event time goes on until everything has come: silence and quiet must bring it. */
    for (int turn = 0; turn < 4000 && history.expected <= EVENTS; turn++) {
        now_us += (int64_t) reel_random_below (&random, SECOND / 4);
        switch (reel_random_below (&random, 6)) {
        case 0:
        case 1:
            if (history.durable == EVENTS)
                break;
            history.durable++;
            if (reel_random_below (&random, 100) >= loss)
                publish (&history, history.durable);
            break;
        case 2:
            if (reel_random_below (&random, 100) >= loss)
                beat (history.durable, epoch);
            break;
        case 3: /* a message that was long under way, or comes twice */
            if (history.durable > 0)
                publish (&history, 1 + reel_random_below (&random, history.durable));
            break;
        case 4:
            if (asked && reel_random_below (&random, 100) < 30)
                reel_follow_failed (&follow, now_us);
            else if (asked)
                answer (&history, asked_after, followed, 1 + reel_random_below (&random, 20));
            asked = false;
            break;
        default: epoch += reel_random_below (&random, 20) == 0; break;
        }
        if (!asked)
            asked = reel_follow_ask (&follow, now_us, &asked_after);
        check_given (&history, followed, seed);
        while (history.expected <= EVENTS && !is_followed (&history, history.expected, followed))
            history.expected++;
    }
    ck_assert_msg (history.expected > EVENTS, "seed %" PRIu64 ": stuck before event %" PRIu64, seed, history.expected);
    ck_assert_uint_eq (follow.lost, 0);
    reel_follow_free (&follow);
}

START_TEST (nothing_is_lost_doubled_or_disordered)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        play (seed);
}
END_TEST

int
main (void)
{
    const TTest *const tests[] = {
        replays_at_once,
        replays_past_what_is_known_already,
        first_beat_asks_again_whatever_it_says,
        drops_live_events_already_seen,
        live_events_wait_for_the_replay,
        live_events_before_the_asking_wait_too,
        gap_by_seq_is_asked_for,
        second_gap_while_the_first_is_asked_for,
        beat_ahead_is_a_gap,
        pages_follow_each_other,
        progress_is_passed_on_in_its_place,
        one_workflow_goes_by_index,
        others_do_not_count_for_one_workflow,
        index_that_is_not_known_is_asked_for,
        final_event_is_the_end,
        final_event_of_one_is_no_end_of_all,
        quiet_workflow_is_asked_about,
        silence_asks_and_asks_again,
        beats_are_no_silence,
        new_epoch_asks,
        failed_asking_is_tried_again_later_and_later,
        other_history_is_an_error,
        pruned_before_the_start_is_no_loss,
        pruned_after_a_given_start_is_counted,
        pruned_of_one_workflow_is_counted,
        pruned_to_the_last_is_counted_and_does_not_hang,
        live_nonsense_is_passed_over,
        pages_of_nonsense_are_errors,
        waiting_is_bounded,
        nothing_is_lost_doubled_or_disordered,
    };
    Suite *suite = suite_create ("client/follow");
    TCase *tcase = suite_case (suite, "follow", NULL, teardown);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        tcase_add_test (tcase, tests[i]);
    return suite_run (suite);
}
