/*
 * The journal's thread: what is taken back is durable and read, in the order in which it was handed
 * over, and after a failure nothing is.
 */
#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/commit.h"
#include "broker/core/record.h"
#include "broker/core/state.h"
#include "proto/pack.h"
#include "tests/support/scratch.h"
#include "tests/support/suite.h"

#define DEADLINE_MS 30000

static char directory[SCRATCH_BYTES];
static struct reel_journal *journal;
static struct reel_commit *commit;
static struct reel_batch batch;
static struct reel_error err;

static void
start (void)
{
    ck_assert_int_eq (reel_journal_open (&(struct reel_journal_setup){.directory = directory}, &journal, &err),
                      REEL_OK);
    ck_assert_int_eq (reel_commit_start (&journal, &commit, &err), REEL_OK);
    ck_assert_ptr_null (journal);
}

static void
setup (void)
{
    scratch_make (directory, false);
    start ();
}

static void
teardown (void)
{
    reel_commit_stop (&commit);
    reel_batch_free (&batch);
    scratch_remove (directory);
}

/* One event more: a workflow that ended, which names itself as the one accepted. */
static void
add_ended (uint64_t epoch, uint64_t seq)
{
    struct reel_effects *effects = &batch.effects;
    struct reel_buf event = {0};
    struct reel_message message;
    reel_message_init (&message, REEL_EVENT_WORKFLOW_SUCCEEDED);
    reel_message_set_uint (&message, REEL_F_SEQ, seq);
    reel_message_set_uint (&message, REEL_F_INDEX, 1);
    reel_message_set_uint (&message, REEL_F_AT_US, 1);
    reel_message_set_text (&message, REEL_F_WORKFLOW_ID, "w");
    reel_message_encode (&message, &event);
    effects->epoch = epoch;
    if (effects->event_count++ == 0)
        effects->first_seq = seq;
    (void) reel_record_write (&effects->records, &(struct reel_record){.kind = REEL_RECORD_ENDED,
                                                                       .event_bytes = reel_buf_slice (&event),
                                                                       .receipt = reel_slice_text ("\x80"),
                                                                       .accepted_seq = seq});
    reel_buf_free (&event);
    const struct reel_journal_row row = {.accepted_seq = seq,
                                         .ended_seq = seq,
                                         .workflow_id = reel_slice_text ("w"),
                                         .status = "succeeded",
                                         .started_us = -1};
    ck_assert_int_eq (reel_effects_row (effects, &row), REEL_OK);
}

static void
add_read (enum reel_read_kind kind, uint64_t seq, uint64_t after, const char *context)
{
    const struct reel_read read = {.kind = kind, .seq = seq, .after = after, .limit = 10};
    ck_assert_int_eq (reel_effects_read (&batch.effects, &read, reel_slice_text (context)), REEL_OK);
}

static enum reel_status
take_back (void)
{
    struct reel_batch *taken = NULL;
    struct pollfd item = {.fd = reel_commit_fd (commit), .events = POLLIN};
    ck_assert_int_eq (poll (&item, 1, DEADLINE_MS), 1);
    enum reel_status status = reel_commit_take (commit, &taken, &err);
    if (status == REEL_OK)
        ck_assert_ptr_eq (taken, &batch);
    return status;
}

START_TEST (durable)
{
    struct reel_batch *taken = NULL;
    ck_assert_int_eq (reel_commit_take (commit, &taken, &err), REEL_AGAIN);
    for (uint64_t seq = 1; seq <= 100; seq++) {
        add_ended (3, seq);
        reel_commit_hand (commit, &batch);
        ck_assert_int_eq (take_back (), REEL_OK);
        ck_assert_uint_eq (batch.last_seq, seq);
        ck_assert_int_eq (reel_commit_take (commit, &taken, &err), REEL_AGAIN);
        reel_batch_clear (&batch);
    }
    reel_commit_stop (&commit);
    start ();
    add_read (REEL_READ_EVENTS, 0, 95, "");
    reel_commit_hand (commit, &batch);
    ck_assert_int_eq (take_back (), REEL_OK);
    ck_assert_uint_eq (batch.last_seq, 100);
    ck_assert_uint_eq (batch.readings[0].page.count, 5);
}
END_TEST

START_TEST (stopping_ends_what_is_under_way)
{
    for (uint64_t seq = 1; seq <= 500; seq++)
        add_ended (3, seq);
    reel_commit_hand (commit, &batch);
    reel_commit_stop (&commit);
    ck_assert_ptr_null (commit);
    reel_batch_clear (&batch);
    ck_assert_int_eq (reel_journal_open (&(struct reel_journal_setup){.directory = directory}, &journal, &err),
                      REEL_OK);
    ck_assert_uint_eq (reel_journal_last_seq (journal), 500);
    reel_journal_close (&journal);
}
END_TEST

/* Reads see what is written in the same batch, and come back in order, each with its own body and context. */
START_TEST (readings)
{
    for (uint64_t seq = 1; seq <= 4; seq++)
        add_ended (3, seq);
    add_read (REEL_READ_EVENTS, 0, 1, "first");
    add_read (REEL_READ_ENDED, 99, 0, "second");
    add_read (REEL_READ_LIST, 0, 3, "third");
    add_read (REEL_READ_ENDED, 2, 0, "fourth");
    add_read (REEL_READ_WORKFLOW_EVENTS, 4, 0, "fifth");
    add_read (REEL_READ_LIST, 0, 0, "sixth");
    reel_commit_hand (commit, &batch);
    ck_assert_int_eq (take_back (), REEL_OK);
    ck_assert_uint_eq (batch.reading_count, 6);
    static const char *const contexts[] = {"first", "second", "third", "fourth", "fifth", "sixth"};
    static const uint32_t counts[] = {3, 0, 2, 0, 1, 4};
    static const uint64_t nexts[] = {4, 0, 1, 0, 4, 1};
    for (size_t i = 0; i < 6; i++) {
        const struct reel_core_reading *reading = &batch.readings[i];
        ck_assert (reel_slice_is (reading->context, contexts[i]));
        ck_assert_int_eq (reading->status, i == 1 ? REEL_NOT_FOUND : REEL_OK);
        ck_assert_uint_eq (reading->page.count, counts[i]);
        ck_assert_uint_eq (reading->page.next, nexts[i]);
        ck_assert_uint_eq (reading->last_seq, 4);
        ck_assert_uint_eq (reading->first_seq, 1);
    }
    ck_assert_uint_eq (batch.readings[1].body.len, 0);

    uint64_t seq = 0;
    ck_assert (reel_scan_find_uint (batch.readings[0].body, "seq", &seq));
    ck_assert_uint_eq (seq, 2);
    ck_assert (reel_scan_find_uint (batch.readings[2].body, "seq", &seq));
    ck_assert_uint_eq (seq, 2);

    struct reel_slice rest = batch.readings[3].body, record;
    bool damaged;
    for (int i = 0; i < 2; i++) {
        struct reel_record_head head;
        ck_assert (reel_record_take (&rest, &record, &damaged));
        ck_assert (reel_record_head (record, &head));
        ck_assert_uint_eq (head.seq, 2);
    }
    ck_assert_uint_eq (rest.len, 0);
}
END_TEST

static void
add_epoch (void)
{
    batch.effects.epoch = 3;
    batch.effects.first_seq = batch.last_seq + 1;
    (void) reel_record_write (&batch.effects.records, &(struct reel_record){.kind = REEL_RECORD_EPOCH, .epoch = 3});
}

/* So many batches of one event of one workflow; the first of a batch names no other, which the second does. */
static void
fill (uint64_t count)
{
    for (uint64_t seq = 1; seq <= count; seq++) {
        struct reel_buf event = {0};
        reel_pack_map (&event, 1);
        reel_pack_text (&event, "seq");
        reel_pack_uint (&event, seq);
        batch.effects.epoch = 3;
        batch.effects.first_seq = seq;
        batch.effects.event_count = 1;
        (void) reel_record_write (&batch.effects.records,
                                  &(struct reel_record){.kind = REEL_RECORD_HELD,
                                                        .previous_seq = seq - 1,
                                                        .event_bytes = reel_buf_slice (&event)});
        reel_buf_free (&event);
        reel_commit_hand (commit, &batch);
        ck_assert_int_eq (take_back (), REEL_OK);
        reel_batch_clear (&batch);
    }
}

/* Between two commits not more is read than so much, by whoever and however many: they get on all the same. */
START_TEST (readings_in_pieces)
{
    enum { BATCHES = 700, READERS = 4 };
    bool again[READERS] = {true, true, true, true};
    unsigned rounds = 0;
    fill (BATCHES);
    for (; again[0]; rounds++) {
        ck_assert_uint_lt (rounds, BATCHES);
        for (uint64_t i = 0; i < READERS; i++) {
            const struct reel_read read = {.kind = REEL_READ_WORKFLOW_EVENTS, .key = i, .seq = BATCHES, .limit = 1};
            ck_assert_int_eq (reel_effects_read (&batch.effects, &read, reel_slice_text ("context")), REEL_OK);
        }
        add_read (REEL_READ_EVENTS, 0, 7, "others");
        add_epoch ();
        reel_commit_hand (commit, &batch);
        ck_assert_int_eq (take_back (), REEL_OK);
        for (size_t i = 0; i < READERS; i++) {
            const struct reel_core_reading *reading = &batch.readings[i];
            again[i] = reading->status == REEL_AGAIN;
            ck_assert (again[i] == again[0]);
            ck_assert (again[i] || reading->status == REEL_OK);
            ck_assert_uint_eq (reading->page.count, again[i] ? 0 : 1);
            ck_assert_uint_eq (reading->body.len == 0, again[i]);
            ck_assert_ptr_eq (reading->read, &batch.effects.reads[i]);
        }
        ck_assert_int_eq (batch.readings[READERS].status, REEL_OK);
        ck_assert_uint_gt (batch.readings[READERS].page.count, 0);
        reel_batch_clear (&batch);
    }
    ck_assert_uint_ge (rounds, BATCHES * READERS / 512);
}
END_TEST

/* It is no failure of the journal, and says why. */
START_TEST (copy_that_fails)
{
    char path[128];
    (void) snprintf (path, sizeof path, "%s/backup.db", directory);
    ck_assert_int_eq (mkdir (path, 0700), 0);
    add_read (REEL_READ_BACKUP, 7, 0, "first");
    add_read (REEL_READ_EVENTS, 0, 0, "second");
    reel_commit_hand (commit, &batch);
    ck_assert_int_eq (take_back (), REEL_OK);
    const struct reel_core_reading *reading = &batch.readings[0];
    ck_assert_int_eq (reading->status, REEL_NOT_FOUND);
    ck_assert_uint_gt (reading->body.len, 0);
    ck_assert_ptr_nonnull (memmem (reading->body.data, reading->body.len, "it cannot be written", 20));
    ck_assert_int_eq (batch.readings[1].status, REEL_OK);
    ck_assert_uint_eq (batch.readings[1].body.len, 0);
}
END_TEST

START_TEST (failure_is_final)
{
    add_ended (3, 1);
    reel_commit_hand (commit, &batch);
    ck_assert_int_eq (take_back (), REEL_OK);
    reel_batch_clear (&batch);
    add_ended (2, 2);
    reel_commit_hand (commit, &batch);
    ck_assert_int_eq (take_back (), REEL_INVALID);
    ck_assert_str_eq (err.code, "stale_epoch");
}
END_TEST

START_TEST (no_descriptor_is_left)
{
    struct reel_commit *second = NULL;
    struct rlimit limit, none;
    reel_commit_stop (&commit);
    ck_assert_int_eq (reel_journal_open (&(struct reel_journal_setup){.directory = directory}, &journal, &err),
                      REEL_OK);
    ck_assert_int_eq (getrlimit (RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    ck_assert_int_eq (setrlimit (RLIMIT_NOFILE, &none), 0);
    enum reel_status status = reel_commit_start (&journal, &second, &err);
    ck_assert_int_eq (setrlimit (RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq (status, REEL_IO);
    ck_assert_str_eq (err.code, "no_thread");
    ck_assert_ptr_null (second);
    ck_assert_ptr_nonnull (journal); /* it is still the caller's */
    reel_journal_close (&journal);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("commit");
    TCase *tcase = suite_case (suite, "commit", setup, teardown);
    tcase_add_test (tcase, durable);
    tcase_add_test (tcase, stopping_ends_what_is_under_way);
    tcase_add_test (tcase, readings);
    tcase_add_test (tcase, readings_in_pieces);
    tcase_add_test (tcase, copy_that_fails);
    tcase_add_test (tcase, failure_is_final);
    tcase_add_test (tcase, no_descriptor_is_left);
    return suite_run (suite);
}
