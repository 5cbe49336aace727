/*
 * Reading a journal a piece at a time: events, those of one workflow, and the rows of those that ended.
 */
#include <check.h>

#include "tests/support/journal_fixture.h"
#include "tests/support/suite.h"

/* --- events ------------------------------------------------------------------------------------ */

START_TEST (paging)
{
    open_it ();
    append_epoch (5);
    append_events (10, 1);
    append_epoch (5);
    append_epoch (5);
    append_events (1, 1);
    append_events (9, 1);
    for (int round = 0; round < 2; round++) {
        for (uint64_t after = 0; after <= 20; after++)
            for (uint32_t limit = 1; limit <= 21; limit++) {
                struct reel_buf out = {0};
                struct reel_journal_page page = page_of (after, limit, 1 << 20, &out);
                uint32_t expected = 20 - after < limit ? (uint32_t) (20 - after) : limit;
                ck_assert_uint_eq (page.count, expected);
                ck_assert_uint_eq (page.next, after + expected);
                ck_assert_int_eq (page.more, after + expected < 20);
                expect_events (&out, expected, after + 1, 1);
                reel_buf_free (&out);
            }
        reopen (); /* without a replay there are no marks */
    }
}
END_TEST

START_TEST (many_batches)
{
    open_it ();
    for (int i = 0; i < 100; i++) {
        append_events (1 + i % 3, 1);
        if (i % 10 == 0)
            append_epoch (5);
    }
    uint64_t last = reel_journal_last_seq (journal);
    for (int round = 0; round < 3; round++) {
        for (uint64_t seq = last; seq > 0; seq--) {
            struct reel_buf out = {0};
            struct reel_record_head head;
            ck_assert_int_eq (reel_journal_record (journal, seq, &out, &err), REEL_OK);
            ck_assert (reel_record_head (reel_buf_slice (&out), &head));
            ck_assert_uint_eq (head.seq, seq);
            reel_buf_free (&out);
        }
        reopen ();
        if (round == 1)
            ck_assert_uint_eq (replay ().last_seq, last);
    }
}
END_TEST

/* All the bytes of the first are given whatever the bound; of the others, as many as fit, to the byte. */
START_TEST (byte_limit)
{
    open_it ();
    struct reel_buf out = {0}, one = {0};
    append_events (5, 1);
    (void) page_of (0, 1, 0, &one);
    size_t bytes = one.len;
    ck_assert_uint_gt (bytes, 0);
    struct reel_journal_page page = page_of (0, 10, 3 * bytes, &out);
    ck_assert_uint_eq (page.count, 3);
    ck_assert (page.more);
    page = page_of (0, 10, 4 * bytes - 1, &out);
    ck_assert_uint_eq (page.count, 3);
    ck_assert_uint_eq (out.len, 6 * bytes);
    page = page_of (2, 10, 3 * bytes, &out);
    ck_assert_uint_eq (page.count, 3);
    ck_assert (!page.more);
    reel_buf_free (&one);
    reel_buf_free (&out);
}
END_TEST

/* --- the events of one workflow ---------------------------------------------------------------- */

START_TEST (one_workflow)
{
    open_it ();
    for (int i = 0; i < 12; i++)
        append_events (5, 3); /* 60 events of three workflows: the second has 2, 5, 8, ... 59 */
    for (uint64_t after = 0; after <= 60; after++)
        for (uint32_t limit = 1; limit <= 21; limit += 4) {
            struct reel_buf out = {0};
            struct reel_journal_page page = workflow_page (59, after, limit, 1 << 20, &out);
            uint64_t before = after < 2 ? 0 : (after - 2) / 3 + 1;
            uint64_t left = after >= 59 ? 0 : 20 - before;
            uint32_t expected = left < limit ? (uint32_t) left : limit;
            ck_assert_uint_eq (page.count, expected);
            ck_assert_int_eq (page.more, left > limit);
            ck_assert_uint_eq (page.next, expected == 0 ? after : 2 + 3 * (before + expected - 1));
            expect_events (&out, expected, 2 + 3 * before, 3);
            reel_buf_free (&out);
        }
    struct reel_buf out = {0};
    struct reel_journal_page page = workflow_page (59, 0, 20, 0, &out);
    ck_assert_uint_eq (page.count, 1);
    ck_assert (page.more);
    reel_buf_free (&out);
}
END_TEST

/* Every batch has one event of each of two workflows, and one workflow is asked for by somebody who may load few of them at
 * a time. All the work together is that of going back once and of reading once. */
START_TEST (long_workflow_is_read_in_pieces)
{
    enum { BATCHES = 250, WORK_MAX = 10, LIMIT = 30 };
    struct reel_journal_ask ask = {.limit = LIMIT, .bytes_max = 1 << 20, .work_max = WORK_MAX};
    struct reel_journal_workflow workflow = {.key = 77, .last_seq = 2 * BATCHES};
    struct reel_journal_page page = {.more = true};
    struct reel_buf out = {0};
    uint64_t work = 0, again = 0, pages = 0;
    open_it ();
    for (int i = 0; i < BATCHES; i++)
        append_events (2, 2);
    for (; page.more; pages++) {
        enum reel_status status = REEL_AGAIN;
        for (ask.after = page.next; status == REEL_AGAIN; work += journal->work) {
            struct reel_buf one = {0};
            struct reel_journal_page other;
            const struct reel_journal_ask ask_one = {0, 1, 1, 0};
            status = reel_journal_workflow_events (journal, &workflow, &ask, &out, &page, &err);
            ck_assert_uint_le (journal->work, WORK_MAX + 1);
            work += journal->work;
            again += status == REEL_AGAIN;
            ck_assert_uint_le (again, 2 * BATCHES / WORK_MAX);
            /* Others read, and the journal goes on. */
            ck_assert_int_eq (reel_journal_events (journal, &ask_one, &one, &other, &err), REEL_OK);
            reel_buf_free (&one);
            journal->work = 0;
        }
        ck_assert_int_eq (status, REEL_OK);
        ck_assert_uint_ge (page.count, 1);
        if (pages == 3) {
            append_events (2, 2);
            workflow.last_seq += 2;
        }
    }
    expect_events (&out, BATCHES + 1, 2, 2);
    ck_assert_uint_ge (again, BATCHES / (WORK_MAX + 1) - 1);
    ck_assert_uint_le (pages, 2 * BATCHES / WORK_MAX);
    ck_assert_uint_le (work, 3 * BATCHES);
    /* Nothing of it is kept. */
    for (size_t i = 0; i < REEL_JOURNAL_TRAILS; i++)
        ck_assert_ptr_null (journal->trails[i].seqs);
    reel_buf_free (&out);
}
END_TEST

/* More than is remembered of the way back. */
START_TEST (very_long_workflow)
{
    struct reel_journal_page page = {.more = true};
    struct reel_buf out = {0};
    open_it ();
    for (int i = 0; i < 40; i++)
        append_events (1000, 1);
    while (page.more)
        page = workflow_page (40000, page.next, 1000, 1 << 20, &out);
    expect_events (&out, 40000, 1, 1);
    reel_buf_free (&out);
}
END_TEST

/* Who begins further back than another did goes on from where that one has come. */
START_TEST (one_workflow_for_two_readers)
{
    struct reel_buf out = {0};
    open_it ();
    append_events (20, 1);
    struct reel_journal_page late = workflow_page (20, 10, 5, 1 << 20, &out);
    expect_events (&out, 5, 11, 1);
    reel_buf_clear (&out);
    struct reel_journal_page early = workflow_page (20, 2, 5, 1 << 20, &out);
    expect_events (&out, 5, 3, 1);
    reel_buf_clear (&out);
    late = workflow_page (20, late.next, 5, 1 << 20, &out);
    expect_events (&out, 5, 16, 1);
    ck_assert (!late.more);
    reel_buf_clear (&out);
    early = workflow_page (20, early.next, 20, 1 << 20, &out);
    expect_events (&out, 13, 8, 1);
    ck_assert (!early.more);
    reel_buf_free (&out);
}
END_TEST

/* As many as there is room for get on, though none gets to its end at once; then others come in their place. */
START_TEST (many_workflows_are_read_in_pieces)
{
    enum { EVENTS = 4 };
    struct reel_journal_page pages[2 * REEL_JOURNAL_TRAILS] = {0};
    struct reel_buf out = {0};
    open_it ();
    for (int i = 0; i < EVENTS; i++)
        append_events (2 * REEL_JOURNAL_TRAILS, 2 * REEL_JOURNAL_TRAILS);
    for (int half = 0; half < 2; half++)
        for (int round = 0; round < (half == 0 ? EVENTS + 1 : 2 * EVENTS); round++)
            for (uint64_t i = 0; i < REEL_JOURNAL_TRAILS; i++) {
                uint64_t key = half * REEL_JOURNAL_TRAILS + i;
                uint64_t first = 1 + key;
                const struct reel_journal_workflow workflow = {key, first + 6 * REEL_JOURNAL_TRAILS};
                const struct reel_journal_ask ask = {pages[key].next, 1, 1000, 0};
                reel_buf_clear (&out);
                journal->loaded.number = 0;
                enum reel_status status = reel_journal_workflow_events (journal, &workflow, &ask, &out, &pages[key],
                                                                        &err);
                ck_assert_int_eq (status, round < EVENTS - 1 ? REEL_AGAIN : REEL_OK);
                if (status == REEL_OK && round < 2 * EVENTS - 1)
                    expect_events (&out, 1, first + (uint64_t) (round - EVENTS + 1) * 2 * REEL_JOURNAL_TRAILS, 0);
                ck_assert (status != REEL_OK || pages[key].more == (round < 2 * EVENTS - 2));
            }
    reel_buf_free (&out);
}
END_TEST

/* --- rows -------------------------------------------------------------------------------------- */

/* Of the five rows of the test, however few are looked at: all that are wanted, and no page knows of more than there is. */
static void
list_in_pieces (void)
{
    static const struct {
        const char *status;
        uint64_t seqs[5];
    } wanted[] = {{NULL, {5, 4, 3, 2, 1}}, {"succeeded", {3, 1}}, {"failed", {5, 2}}, {"cancelled", {4}}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        for (uint32_t looked_max = 1; looked_max <= 6; looked_max++) {
            struct listed listed = {.page = {.next = UINT64_MAX, .more = true}};
            size_t pages = 0;
            for (; listed.page.more; pages++) {
                const struct reel_journal_listing listing = {listed.page.next, wanted[i].status, 10, looked_max};
                size_t before = listed.count;
                ck_assert_int_eq (reel_journal_list (journal, &listing, list_row, &listed, &listed.page, &err),
                                  REEL_OK);
                ck_assert_uint_eq (listed.count - before, listed.page.count);
                ck_assert_uint_le (listed.page.count, looked_max);
            }
            bool rare = i >= 2;
            ck_assert_uint_eq (pages, ((rare ? listed.count : 5) + looked_max - 1) / looked_max);
            ck_assert_mem_eq (listed.seqs, wanted[i].seqs, sizeof wanted[i].seqs);
        }
}

START_TEST (rows)
{
    open_it ();
    append_events (9, 1);
    static const char *const states[] = {"succeeded", "failed", "succeeded", "cancelled", "failed"};
    struct reel_journal_row given[5];
    for (size_t i = 0; i < 5; i++)
        given[i] = (struct reel_journal_row){.accepted_seq = 1 + i,
                                             .ended_seq = 10,
                                             .workflow_id = reel_slice_text ("w"),
                                             .status = states[i],
                                             .submitted_us = 1,
                                             .started_us = -1,
                                             .finished_us = 3,
                                             .deliveries = 4};
    given[0].workflow_id = reel_slice_text ("first");
    given[0].origin = reel_slice_text ("another");
    given[0].started_us = 2;
    struct reel_buf records = {0};
    add_event (&records, 10, 0, 1);
    struct reel_journal_batch batch = {.epoch = 5, .first_seq = 10, .event_count = 1};
    batch.records = reel_buf_slice (&records);
    batch.rows = given;
    batch.row_count = 5;
    ck_assert_int_eq (reel_journal_append (journal, &batch, &err), REEL_OK);
    reel_buf_free (&records);

    for (int round = 0; round < 2; round++) {
        struct listed all = list (UINT64_MAX, NULL, 10);
        ck_assert_uint_eq (all.count, 5);
        for (size_t i = 0; i < 5; i++)
            ck_assert_uint_eq (all.seqs[i], 5 - i);
        ck_assert_str_eq (all.workflow_id, "first");
        ck_assert_str_eq (all.origin, "another");
        ck_assert_str_eq (all.last.status, "succeeded");
        ck_assert_uint_eq (all.last.ended_seq, 10);
        ck_assert_int_eq (all.last.submitted_us, 1);
        ck_assert_int_eq (all.last.started_us, 2);
        ck_assert_int_eq (all.last.finished_us, 3);
        ck_assert_uint_eq (all.last.deliveries, 4);

        struct listed some = list (4, NULL, 2);
        ck_assert_uint_eq (some.count, 2);
        ck_assert_uint_eq (some.seqs[0], 3);
        ck_assert_uint_eq (some.seqs[1], 2);
        ck_assert_str_eq (some.origin, "");
        ck_assert_int_eq (some.last.started_us, -1);

        struct listed failed = list (UINT64_MAX, "failed", 10);
        ck_assert_uint_eq (failed.count, 2);
        ck_assert_uint_eq (failed.seqs[0], 5);
        ck_assert_uint_eq (failed.seqs[1], 2);
        ck_assert_str_eq (failed.last.status, "failed");
        ck_assert_uint_eq (list (UINT64_MAX, "succeeded", 10).count, 2);
        ck_assert_uint_eq (list (UINT64_MAX, "cancelled", 10).count, 1);
        ck_assert_uint_eq (list (5, "failed", 1).seqs[0], 2);
        ck_assert_uint_eq (list (1, NULL, 10).count, 0);
        list_in_pieces ();
        reopen ();
    }
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("journal_sqlite, read");
    TCase *tcase = suite_case (suite, "read", setup, teardown);
    tcase_add_test (tcase, paging);
    tcase_add_test (tcase, many_batches);
    tcase_add_test (tcase, byte_limit);
    tcase_add_test (tcase, one_workflow);
    tcase_add_test (tcase, long_workflow_is_read_in_pieces);
    tcase_add_test (tcase, very_long_workflow);
    tcase_add_test (tcase, one_workflow_for_two_readers);
    tcase_add_test (tcase, many_workflows_are_read_in_pieces);
    tcase_add_test (tcase, rows);
    return suite_run (suite);
}
