/*
 * A follower of a broker whose publishing loses messages, doubles them and brings them late, from many seeds.
 */
#include <check.h>
#include <inttypes.h>

#include "base/random.h"
#include "tests/support/follow_fixture.h"
#include "tests/support/suite.h"

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
    Suite *suite = suite_create ("client/follow, random");
    TCase *tcase = suite_case (suite, "random", NULL, teardown);
    tcase_add_test (tcase, nothing_is_lost_doubled_or_disordered);
    return suite_run (suite);
}
