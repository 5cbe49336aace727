/*
 * What becomes of leases, queue and those who wait when the broker starts again.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/broker_lease.h"
#include "tests/support/suite.h"

START_TEST (restart_gives_every_lease_a_full_term)
{
    running ("[" STARTED ("a", "1", "true") "]");
    broker_pass_ms (&broker, 9000);
    broker_restart (&broker);
    ck_assert_int_eq (broker.wake_us, 19000000);
    broker_pass_ms (&broker, 9999);
    ck_assert_str_eq (status (), "running");
    broker_pass_ms (&broker, 1);
    ck_assert_str_eq (status (), "queued");
}
END_TEST

/* A worker that is cut off goes by the lease_ms that it was told. */
START_TEST (restart_with_a_shorter_lease_waits_for_the_longer_one)
{
    running (NULL);
    broker.setup.lease_ms = 1000;
    broker_restart (&broker);
    broker_pass_ms (&broker, 6000);
    broker_restart (&broker); /* and again, before it was over */
    broker_worker (&broker, "w", "READY", "{'name':'w','slots':1,'modalities':['echo'],'resume':[[[1,1],0]]}", NULL);
    broker_pass_ms (&broker, 9999);
    ck_assert_str_eq (status (), "running");
    broker_pass_ms (&broker, 1);
    ck_assert_str_eq (status (), "queued");
    broker_ready (&broker, "v", 1, "'echo'");
    broker_forget (&broker);
    broker_pass_ms (&broker, 999);
    broker_expect_nothing (&broker);
    broker_pass_ms (&broker, 1);
    ck_assert_str_eq (status (), "queued");
}
END_TEST

START_TEST (restart_after_the_longer_term_waits_for_the_shorter_one)
{
    running (NULL);
    broker.setup.lease_ms = 1000;
    broker_restart (&broker);
    ck_assert_int_eq (broker.wake_us, 10000000);
    broker_pass_ms (&broker, 10000);
    broker_ready (&broker, "v", 1, "'echo'");
    ck_assert_uint_eq (deliveries (), 2);
    broker_restart (&broker);
    ck_assert_int_eq (broker.wake_us, 11000000);
    broker_pass_ms (&broker, 1000);
    ck_assert_str_eq (status (), "queued");
}
END_TEST

START_TEST (restart_with_a_longer_lease_has_it_at_once)
{
    running (NULL);
    broker.setup.lease_ms = 60000;
    broker_restart (&broker);
    ck_assert_int_eq (broker.wake_us, 60000000);
    broker.setup.lease_ms = 10000;
    broker_restart (&broker);
    ck_assert_int_eq (broker.wake_us, 60000000);
}
END_TEST

START_TEST (restart_in_every_phase)
{
    static const char *const reports[] = {STARTED ("a", "1", "true"),
                                          CHECKPOINT ("a", "1"),
                                          RETRYING ("a"),
                                          STARTED ("a", "2", "true"),
                                          SUCCEEDED ("a"),
                                          STARTED ("b", "1", "false"),
                                          FAILED ("b"),
                                          STARTED ("c", "1", "true"),
                                          SUCCEEDED ("c"),
                                          ENDED};
    char events[512];
    broker_restart (&broker);
    broker_submit (&broker, THREE);
    broker_restart (&broker);
    broker_ready (&broker, "w", 1, "'echo'");
    ck_assert_str_eq (broker_header (&broker, "/lease"), "[3,1]");
    for (size_t i = 0; i < sizeof reports / sizeof reports[0]; i++) {
        broker_restart (&broker);
        broker_worker (&broker, "w", "READY", "{'name':'w','slots':1,'modalities':['echo'],'resume':[[[3,1],0]]}",
                       NULL);
        ck_assert_uint_eq (strtoull (broker_header (&broker, "/report_index"), NULL, 10), i);
        snprintf (events, sizeof events, "[%s]", reports[i]);
        char header[64];
        snprintf (header, sizeof header, "{'lease':[3,1],'report_index':%zu}", i + 1);
        broker_worker (&broker, "w", "REPORT", header, events);
        ck_assert_int_eq (broker.sent[broker.sent_count - 1].command, REEL_ACK);
    }
    broker_restart (&broker);
    ck_assert_str_eq (status (), "failed");
    ck_assert_uint_eq (deliveries (), 1);
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf'}", NULL);
    ck_assert (reel_slice_equal (reel_buf_slice (&broker.sent[0].document),
                                 reel_buf_slice (&broker_model (&broker, "wf")->receipt)));
}
END_TEST

START_TEST (restart_raises_the_epoch_and_never_repeats_a_lease)
{
    broker_ready (&broker, "w", 9, "'echo'");
    broker_submit (&broker, WORKFLOW ("1", STEP ("a", "echo")));
    ck_assert_str_eq (broker_header (&broker, "/lease"), "[1,1]");
    broker_restart (&broker);
    broker_ready (&broker, "w", 9, "'echo'");
    broker_submit (&broker, WORKFLOW ("2", STEP ("a", "echo")));
    ck_assert_str_eq (broker_header (&broker, "/lease"), "[2,2]");
    broker_worker (&broker, "w", "HEARTBEAT", HEARTBEAT ("[1,2]"), NULL);
    ck_assert_int_eq (broker.sent[0].command, REEL_FENCED);
}
END_TEST

START_TEST (start_before_1970_has_an_epoch)
{
    struct reel_core *core = NULL;
    struct reel_effects effects = {0};
    ck_assert_int_eq (reel_core_create (&broker.setup, &core), REEL_OK);
    ck_assert_int_eq (reel_core_start (core, (struct reel_core_time){-1, 0}, &effects), REEL_OK);
    ck_assert_uint_eq (effects.epoch, 1);
    reel_core_destroy (&core);
    reel_effects_free (&effects);
}
END_TEST

START_TEST (restart_keeps_the_order_of_the_queue)
{
    broker_submit (&broker, WORKFLOW ("1", STEP ("a", "echo")));
    broker_client (&broker, "c", "SUBMIT", "{'priority':1}", WORKFLOW ("2", STEP ("a", "echo")));
    broker_submit (&broker, WORKFLOW ("3", STEP ("a", "echo")));
    broker_restart (&broker);
    broker_forget (&broker);
    broker_ready (&broker, "w", 3, "'echo'");
    broker_expect (&broker, "w WELCOME ...", "4 2.2 ...", "5 1.2 ...", "6 3.2 ...", "w ASSIGN ...", "w ASSIGN ...",
                   "w ASSIGN ...");
}
END_TEST

START_TEST (restart_forgets_who_waits)
{
    broker_submit (&broker, THREE);
    broker_client (&broker, "c", "RECEIPT", "{'workflow_id':'wf','wait_ms':1000}", NULL);
    broker_restart (&broker);
    broker_forget (&broker);
    broker_pass_ms (&broker, 5000);
    broker_expect_nothing (&broker);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("core, restart");
    TCase *tests = suite_case (suite, "restart", set_up, tear_down);
    tcase_add_test (tests, restart_gives_every_lease_a_full_term);
    tcase_add_test (tests, restart_with_a_shorter_lease_waits_for_the_longer_one);
    tcase_add_test (tests, restart_after_the_longer_term_waits_for_the_shorter_one);
    tcase_add_test (tests, restart_with_a_longer_lease_has_it_at_once);
    tcase_add_test (tests, restart_in_every_phase);
    tcase_add_test (tests, restart_raises_the_epoch_and_never_repeats_a_lease);
    tcase_add_test (tests, start_before_1970_has_an_epoch);
    tcase_add_test (tests, restart_keeps_the_order_of_the_queue);
    tcase_add_test (tests, restart_forgets_who_waits);
    return suite_run (suite);
}
