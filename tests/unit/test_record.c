/*
 * Records: each kind reads back as it was written, and damage of any sort is noticed or harmless.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "broker/core/core.h"
#include "broker/core/record.h"
#include "proto/pack.h"
#include "tests/support/broker.h"
#include "tests/support/generate.h"
#include "tests/support/suite.h"

static struct reel_buf event, document, provenance, receipt, out;

static const struct {
    enum reel_record_kind kind;
    const char *event;
} kinds[] = {
    {REEL_RECORD_EPOCH, NULL},
    {REEL_RECORD_ACCEPTED, "{'seq':1,'index':1,'workflow_id':'wf','kind':'workflow.accepted','at_us':7,'priority':-2}"},
    {REEL_RECORD_ACCEPTED, "{'seq':1,'index':1,'workflow_id':'wf','kind':'workflow.accepted','at_us':7}"},
    {REEL_RECORD_ASSIGNED,
     "{'seq':2,'index':2,'workflow_id':'wf','kind':'workflow.assigned','at_us':7,'worker':'w','delivery':1,'lease':[1,1]}"},
    {REEL_RECORD_STEP,
     "{'seq':3,'index':3,'workflow_id':'wf','kind':'step.started','at_us':7,'step_id':'a','attempt':1,'idempotent':true}"},
    {REEL_RECORD_STEP,
     "{'seq':4,'index':4,'workflow_id':'wf','kind':'step.succeeded','at_us':7,'step_id':'a','receipt':{}}"},
    {REEL_RECORD_STEP,
     "{'seq':4,'index':4,'workflow_id':'wf','kind':'step.in_doubt','at_us':7,'step_id':'a','in_doubt':'hold'}"},
    {REEL_RECORD_YIELDED, "{'seq':4,'index':4,'workflow_id':'wf','kind':'workflow.yielded','at_us':7}"},
    {REEL_RECORD_REQUEUED,
     "{'seq':4,'index':4,'workflow_id':'wf','kind':'workflow.requeued','at_us':7,'reason':'worker_lost'}"},
    {REEL_RECORD_HELD,
     "{'seq':4,'index':4,'workflow_id':'wf','kind':'workflow.held','at_us':7,'step_id':'a','reason':'x'}"},
    {REEL_RECORD_ENDED, "{'seq':5,'index':5,'workflow_id':'wf','kind':'workflow.succeeded','at_us':7}"},
    {REEL_RECORD_ENDED, "{'seq':5,'index':5,'workflow_id':'wf','kind':'workflow.failed','at_us':7,'error':{}}"},
    {REEL_RECORD_ENDED, "{'seq':5,'index':5,'workflow_id':'wf','kind':'workflow.cancelled','at_us':7,'error':{}}"},
    {REEL_RECORD_CANCELLING, "{'seq':5,'index':5,'workflow_id':'wf','kind':'workflow.cancelling','at_us':7}"},
    {REEL_RECORD_RESOLVED,
     "{'seq':5,'index':5,'workflow_id':'wf','kind':'workflow.resolved','at_us':7,'step_id':'a','as':'retry'}"},
    {REEL_RECORD_PAUSED, "{'seq':5,'index':5,'workflow_id':'wf','kind':'workflow.paused','at_us':7}"},
    {REEL_RECORD_RESUMED, "{'seq':5,'index':5,'workflow_id':'wf','kind':'workflow.resumed','at_us':7}"},
    {REEL_RECORD_SWITCHED, NULL},
    {REEL_RECORD_SNAPSHOT, NULL},
    {REEL_RECORD_LIVE, NULL},
    {REEL_RECORD_SNAPSHOT_ENDS, NULL},
    {REEL_RECORD_FORGOTTEN, NULL},
    {REEL_RECORD_TERM, NULL},
};

static void
tear_down (void)
{
    reel_buf_free (&event);
    reel_buf_free (&document);
    reel_buf_free (&provenance);
    reel_buf_free (&receipt);
    reel_buf_free (&out);
}

static struct reel_record
record_of (int i)
{
    document = broker_msgpack ("{'workflow_id':'wf','steps':[{'step_id':'a','modality':'echo'}]}");
    provenance = broker_msgpack ("{'who':'me'}");
    receipt = broker_msgpack ("{'status':'succeeded'}");
    if (kinds[i].event != NULL)
        event = broker_msgpack (kinds[i].event);
    struct reel_record record = {.kind = kinds[i].kind, .previous_seq = 300, .event_bytes = reel_buf_slice (&event)};
    switch (kinds[i].kind) {
    case REEL_RECORD_EPOCH: record.epoch = UINT64_MAX; break;
    case REEL_RECORD_SWITCHED: record.paused = true; break;
    case REEL_RECORD_ACCEPTED:
        record.document = reel_buf_slice (&document);
        record.provenance = i == 1 ? reel_buf_slice (&provenance) : REEL_SLICE_NONE;
        break;
    case REEL_RECORD_STEP:
    case REEL_RECORD_YIELDED:
        record.lease = (struct reel_lease){UINT64_MAX, 70000};
        record.report_index = 65536;
        break;
    case REEL_RECORD_ENDED:
        record.receipt = reel_buf_slice (&receipt);
        record.accepted_seq = 1;
        record.report_index = 9;
        if (i % 2 == 0) /* the accepting record may be gone */
            break;
        record.document = reel_buf_slice (&document);
        record.provenance = i > 11 ? reel_buf_slice (&provenance) : REEL_SLICE_NONE;
        record.priority = i > 11 ? -3 : 3;
        break;
    case REEL_RECORD_SNAPSHOT: record.state = reel_buf_slice (&receipt); break;
    case REEL_RECORD_LIVE:
        record.document = reel_buf_slice (&document);
        record.provenance = reel_buf_slice (&provenance);
        record.state = reel_buf_slice (&receipt);
        break;
    case REEL_RECORD_FORGOTTEN: record.forgotten_seq = 70000; break;
    case REEL_RECORD_TERM: record.term_ms = REEL_DURATION_MS_MAX; break;
    case REEL_RECORD_SNAPSHOT_ENDS:
    case REEL_RECORD_ASSIGNED:
    case REEL_RECORD_REQUEUED:
    case REEL_RECORD_HELD:
    case REEL_RECORD_CANCELLING:
    case REEL_RECORD_RESOLVED:
    case REEL_RECORD_PAUSED:
    case REEL_RECORD_RESUMED: break;
    }
    return record;
}

START_TEST (reads_back_as_it_was_written)
{
    struct reel_record record = record_of (_i), again = {0};
    struct reel_message message;
    struct reel_record_head head;
    struct reel_slice batch, bytes;
    bool damaged;
    reel_buf_add_text (&out, "before");
    size_t event_at = reel_record_write (&out, &record);
    ck_assert (reel_slice_equal (reel_slice (out.data + event_at, event.len), reel_buf_slice (&event)));
    batch = reel_slice (out.data + 6, out.len - 6);
    ck_assert (reel_record_take (&batch, &bytes, &damaged));
    ck_assert (!damaged);
    ck_assert_uint_eq (batch.len, 0);
    ck_assert_int_eq (reel_record_read (bytes, &again, &message, NULL), REEL_OK);
    ck_assert_int_eq (again.kind, record.kind);
    ck_assert_uint_eq (again.previous_seq, 300);
    ck_assert (reel_slice_equal (again.event_bytes, record.event_bytes));
    ck_assert_int_eq (again.event != NULL, event.len > 0);
    ck_assert_uint_eq (again.epoch, record.epoch);
    ck_assert_int_eq (again.paused, record.paused);
    ck_assert (reel_slice_equal (again.document, record.document));
    ck_assert (reel_slice_equal (again.provenance, record.provenance));
    ck_assert (reel_slice_equal (again.receipt, record.receipt));
    ck_assert (reel_lease_equal (again.lease, record.lease));
    ck_assert_uint_eq (again.report_index, record.report_index);
    ck_assert_uint_eq (again.accepted_seq, record.accepted_seq);
    ck_assert_int_eq (again.priority, record.priority);
    ck_assert (reel_slice_equal (again.state, record.state));
    ck_assert_uint_eq (again.forgotten_seq, record.forgotten_seq);
    ck_assert_int_eq (again.term_ms, record.term_ms);
    ck_assert (reel_record_head (bytes, &head));
    ck_assert_uint_eq (head.kind, record.kind);
    ck_assert_uint_eq (head.previous_seq, 300);
    ck_assert_uint_eq (head.seq, event.len > 0 ? message.value[REEL_F_SEQ].u : 0);
    ck_assert (reel_slice_equal (head.event, record.event_bytes));
}
END_TEST

START_TEST (batches_are_taken_apart)
{
    struct reel_slice batch, bytes;
    struct reel_record_head head;
    bool damaged = true;
    for (int i = 0; i < 3; i++) {
        reel_buf_free (&event);
        reel_buf_free (&document);
        reel_buf_free (&provenance);
        reel_buf_free (&receipt);
        struct reel_record record = record_of (i);
        reel_record_write (&out, &record);
    }
    batch = reel_buf_slice (&out);
    for (int i = 0; i < 3; i++) {
        ck_assert (reel_record_take (&batch, &bytes, &damaged) && !damaged);
        ck_assert (reel_record_head (bytes, &head));
        ck_assert_uint_eq (head.kind, kinds[i].kind);
    }
    ck_assert (!reel_record_take (&batch, &bytes, &damaged));
    ck_assert (!damaged);
}
END_TEST

START_TEST (batches_cut_short_are_damaged)
{
    struct reel_record record = record_of (_i);
    reel_record_write (&out, &record);
    for (size_t len = 1; len < out.len; len++) {
        struct reel_slice batch = reel_slice (out.data, len), bytes;
        bool damaged = false;
        ck_assert (!reel_record_take (&batch, &bytes, &damaged));
        ck_assert (damaged);
        ck_assert_uint_eq (batch.len, len);
    }
    struct reel_slice none = reel_slice ("\0\0\0\0", 4), bytes;
    bool damaged = false;
    ck_assert (!reel_record_take (&none, &bytes, &damaged) && damaged);
}
END_TEST

START_TEST (records_cut_short_are_refused)
{
    struct reel_record record = record_of (_i), again;
    struct reel_message message;
    struct reel_error err = {0};
    reel_record_write (&out, &record);
    for (size_t len = 0; len < out.len - REEL_RECORD_FRAME_BYTES; len++) {
        /* A copy, so that the sanitizer sees who reads on. */
        uint8_t *copy = malloc (len + 1);
        if (len > 0)
            memcpy (copy, out.data + REEL_RECORD_FRAME_BYTES, len);
        copy = realloc (copy, len == 0 ? 1 : len);
        ck_assert_int_eq (reel_record_read (reel_slice (copy, len), &again, &message, &err), REEL_INVALID);
        ck_assert_str_eq (err.code, "damaged");
        free (copy);
    }
    reel_buf_add_byte (&out, 0xc0);
    ck_assert_int_eq (
        reel_record_read (reel_slice (out.data + REEL_RECORD_FRAME_BYTES, out.len - REEL_RECORD_FRAME_BYTES), &again,
                          &message, &err),
        REEL_INVALID);
}
END_TEST

START_TEST (another_kind_of_event_is_refused)
{
    struct reel_record record = record_of (_i), again;
    struct reel_message message;
    struct reel_error err = {0};
    for (size_t other = 0; other < sizeof kinds / sizeof kinds[0]; other++) {
        if (kinds[other].kind == kinds[_i].kind || kinds[other].event == kinds[_i].event)
            continue;
        struct reel_buf wrong = {0};
        if (kinds[other].event != NULL)
            wrong = broker_msgpack (kinds[other].event);
        record.event_bytes = reel_buf_slice (&wrong);
        reel_buf_clear (&out);
        reel_record_write (&out, &record);
        ck_assert_int_eq (reel_record_read (reel_slice (out.data + 4, out.len - 4), &again, &message, &err),
                          REEL_INVALID);
        ck_assert_str_eq (err.code, "damaged");
        reel_buf_free (&wrong);
    }
}
END_TEST

static const char *const strange[] = {
    "[0,0,null,1]",
    "[9,0,null,1]",
    "[1,0,null]",
    "[1,0,null,1,1]",
    "[1,0,null,-1]",
    "[1,0,{},1]",
    "[1,0,{'seq':1},1]",
    "[]",
    "{}",
    "7",
    "null",
    "['1',0,null,1]",
    "[1,-1,null,1]",
    "[3,0,7]",
    "[3,0,{'seq':1}]",
    "[6,0,{'seq':1,'kind':'x'}]",
    "[3,0,{'seq':1,'epoch':1,'at_us':1}]", /* a beat */
    "[18,0,null,-1]",
    "[18,0,null,31622400001]",
};

START_TEST (strange_records_are_refused)
{
    struct reel_record record;
    struct reel_message message;
    struct reel_error err = {0};
    out = broker_msgpack (strange[_i]);
    ck_assert_int_eq (reel_record_read (reel_buf_slice (&out), &record, &message, &err), REEL_INVALID);
    ck_assert_ptr_nonnull (err.code);
}
END_TEST

/* Damage that the chain of the journal would have shown: whatever it is, applying it ends in an answer. */
START_TEST (damaged_records_do_no_harm)
{
    struct broker broker;
    struct reel_random random;
    size_t refused = 0;
    broker_init (&broker);
    broker_start (&broker);
    broker_ready (&broker, "w", 2, "'echo'");
    broker_client (
        &broker, "c", "SUBMIT", "{'priority':1,'provenance':{'x':1}}",
        "{'workflow_id':'wf','steps':[{'step_id':'a','modality':'echo'},{'step_id':'b','modality':'echo','depends_on':['a']}]}");
    broker_report (&broker, "w", 1, 1,
                   "[" STARTED ("a", "1", "false") "," CHECKPOINT ("a", "{'job':1}") "," RETRYING ("a") "," STARTED (
                       "a", "2", "false") "]");
    broker_pass_ms (&broker, 10000);
    broker_ready (&broker, "w", 2, "'echo'");
    broker_worker (&broker, "w", "HEARTBEAT", "{'leases':[[1,1]],'sent_us':1}", NULL);
    broker_report (&broker, "w", 1, 5,
                   "[" SUCCEEDED ("a") "," STARTED ("b", "1", "true") "," FAILED ("b") "," ENDED "]");
    broker_submit (&broker, "{'workflow_id':'wg','steps':[{'step_id':'a','modality':'echo'}]}");
    reel_random_seed (&random, 1);
    for (unsigned turn = 0; turn < 20000; turn++) {
        struct reel_core *core = NULL;
        struct reel_slice rest = reel_buf_slice (&broker.journal), bytes;
        bool damaged;
        size_t hurt = reel_random_below (&random, broker.record_count);
        enum reel_status status = REEL_OK;
        ck_assert_int_eq (reel_core_create (&broker.setup, &core), REEL_OK);
        for (size_t i = 0; status == REEL_OK && reel_record_take (&rest, &bytes, &damaged); i++) {
            struct reel_error err = {0};
            struct reel_buf copy = {0};
            reel_buf_add_slice (&copy, bytes);
            if (i == hurt)
                generate_mutation (&random, &copy);
            status = reel_core_apply (core, reel_buf_slice (&copy), &err);
            ck_assert (status == REEL_OK || (status == REEL_INVALID && err.code != NULL));
            reel_buf_free (&copy);
        }
        refused += status != REEL_OK;
        if (status == REEL_OK) {
            struct reel_effects effects = {0};
            ck_assert_int_eq (reel_core_start (core, (struct reel_core_time){1, 1}, &effects), REEL_OK);
            reel_effects_free (&effects);
        }
        reel_core_destroy (&core);
    }
    ck_assert_uint_gt (refused, 10000);
    broker_free (&broker);
}
END_TEST

#define LOOP(test, list) tcase_add_loop_test (tests, test, 0, sizeof list / sizeof list[0])

int
main (void)
{
    Suite *suite = suite_create ("record");
    TCase *tests = suite_case (suite, "record", NULL, tear_down);
    LOOP (reads_back_as_it_was_written, kinds);
    tcase_add_test (tests, batches_are_taken_apart);
    LOOP (batches_cut_short_are_damaged, kinds);
    LOOP (records_cut_short_are_refused, kinds);
    LOOP (another_kind_of_event_is_refused, kinds);
    LOOP (strange_records_are_refused, strange);
    tcase_add_test (tests, damaged_records_do_no_harm);
    return suite_run (suite);
}
