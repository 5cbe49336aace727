/*
 * Snapshots, retention and backups, as the core decides them. That recovery from a snapshot leads to the same state as
 * a replay of everything is checked by the bench after each step, and by test_core_random.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/broker.h"
#include "tests/support/suite.h"

static struct broker broker;

static void
set_up (void)
{
    broker_init (&broker);
    broker.setup.snapshot_bytes = 1;
}

static void
tear_down (void)
{
    broker_free (&broker);
}

static void
submit (const char *id)
{
    char document[256];
    snprintf (document, sizeof document, "{'workflow_id':'%s','steps':[{'step_id':'a','modality':'echo'}]}", id);
    broker_submit (&broker, document);
}

static void
cancel (const char *id)
{
    char header[256];
    snprintf (header, sizeof header, "{'workflow_id':'%s'}", id);
    broker_client (&broker, "c", "CANCEL", header, NULL);
}

/* A workflow that ends at once. */
static void
pass (void)
{
    static unsigned number;
    char id[32];
    snprintf (id, sizeof id, "passing%u", number++);
    submit (id);
    cancel (id);
    broker_forget (&broker);
}

/* Until so many snapshots are complete. */
static void
churn (size_t snapshots)
{
    for (size_t until = broker.snapshots + snapshots; broker.snapshots < until;)
        pass ();
}

static const char *
gauge (const char *name)
{
    char pointer[64];
    broker_client (&broker, "c", "STATS", "{}", NULL);
    snprintf (pointer, sizeof pointer, "/gauges/%s", name);
    return broker_header (&broker, pointer);
}

/* --- snapshots -------------------------------------------------------------------------------- */

START_TEST (comes_when_as_much_was_journaled_as_live_workflows_take)
{
    broker_start (&broker);
    submit ("one");
    size_t live = broker.snapshots;
    churn (1);
    ck_assert_uint_ge (broker.snapshots, live + 1);
    broker.setup.snapshot_bytes = 0;
    broker_restart (&broker);
    size_t before = broker.snapshots;
    for (int i = 0; i < 100; i++)
        pass ();
    ck_assert_uint_eq (broker.snapshots, before);
}
END_TEST

/* A snapshot is no reason for another, however much it takes: here, what came with the document is written twice. */
START_TEST (comes_of_what_happens_only)
{
    char document[20000], receipt[8000];
    memset (receipt, 'x', sizeof receipt);
    snprintf (document, sizeof document,
              "{'workflow_id':'live','steps':[{'step_id':'a','modality':'none','status':'succeeded',"
              "'receipt':{'x':'%.*s'}},{'step_id':'b','modality':'none'}]}",
              (int) sizeof receipt, receipt);
    broker_start (&broker);
    broker_submit (&broker, document);
    churn (2);
    size_t before = broker.snapshots;
    broker_pass_ms (&broker, 1000000);
    for (int i = 0; i < 100; i++)
        broker_tick (&broker);
    ck_assert_uint_eq (broker.snapshots, before);
    for (int i = 0; i < 8; i++)
        pass ();
    ck_assert_uint_le (broker.snapshots, before + 1);
}
END_TEST

/* Pauses and restarts are no events, and lead to a snapshot all the same: nothing else would bound what a start replays. */
START_TEST (comes_of_many_pauses)
{
    broker.setup.snapshot_bytes = 1 << 20;
    broker_start (&broker);
    for (int round = 0; round < 3; round++) {
        size_t before = broker.snapshots, pauses = 0;
        for (; broker.snapshots == before; pauses++) {
            ck_assert_uint_lt (pauses, 1100);
            broker_client (&broker, "c", pauses % 2 == 0 ? "PAUSE" : "RESUME", "{}", NULL);
            broker_forget (&broker);
        }
        ck_assert_uint_gt (pauses, 900);
        if (round == 1)
            pass ();
        else
            broker_restart (&broker);
    }
    /* Not where a snapshot would cost more than they did. */
    char document[150000];
    static char text[140000];
    memset (text, 'x', sizeof text - 1);
    snprintf (document, sizeof document,
              "{'workflow_id':'large','steps':[{'step_id':'a','modality':'none','payload':{'x':'%s'}}]}", text);
    broker_submit (&broker, document);
    size_t before = broker.snapshots;
    for (int i = 0; i < 1300; i++)
        broker_client (&broker, "c", i % 2 == 0 ? "RESUME" : "PAUSE", "{}", NULL);
    ck_assert_uint_eq (broker.snapshots, before);
}
END_TEST

/* However many workflows there are, no batch holds more of a snapshot than its share, and one workflow. */
START_TEST (is_journaled_in_pieces)
{
    broker.setup.snapshot_bytes = 5000;
    broker.setup.snapshot_piece_bytes = 1000;
    broker_start (&broker);
    for (int i = 0; i < 40; i++) {
        char id[32];
        snprintf (id, sizeof id, "live%d", i);
        submit (id);
    }
    size_t most = 0, begun = broker.begun;
    for (int i = 0; broker.snapshots < 2; i++) {
        struct reel_core_time now = {broker.wall_us, broker.monotonic_us};
        int64_t wake_us;
        ck_assert_int_lt (i, 100000);
        ck_assert_int_eq (reel_core_tick (broker.core, now, true, &broker.effects, &wake_us), REEL_OK);
        if (broker.effects.snapshot_bytes > most)
            most = broker.effects.snapshot_bytes;
        pass ();
    }
    ck_assert_uint_gt (broker.begun, begun);
    ck_assert_uint_gt (most, 500);
    ck_assert_uint_lt (most, 2000);
}
END_TEST

/* What was under way is begun anew; the one before it still holds. */
START_TEST (is_abandoned_by_a_restart)
{
    broker.setup.snapshot_piece_bytes = 1;
    broker_start (&broker);
    for (int i = 0; i < 20; i++) {
        char id[32];
        snprintf (id, sizeof id, "live%d", i);
        submit (id);
    }
    churn (1);
    while (broker.begun == broker.snapshot)
        pass ();
    size_t snapshot = broker.snapshot, begun = broker.begun;
    ck_assert_uint_gt (begun, snapshot);
    broker_restart (&broker);
    ck_assert_str_eq (gauge ("queued"), "20");
    ck_assert_uint_eq (broker.snapshot, snapshot);
    churn (1);
    ck_assert_uint_gt (broker.begun, begun);
    ck_assert_str_eq (gauge ("queued"), "20");
}
END_TEST

START_TEST (waits_while_the_disk_is_nearly_full)
{
    broker_start (&broker);
    churn (1);
    submit ("live");
    size_t before = broker.snapshots;
    reel_core_disk_low (broker.core, true);
    for (int i = 0; i < 50; i++)
        broker_client (&broker, "c", i % 2 == 0 ? "PAUSE" : "RESUME", "{'workflow_id':'live'}", NULL);
    ck_assert_uint_eq (broker.snapshots, before);
    reel_core_disk_low (broker.core, false);
    churn (1);
}
END_TEST

START_TEST (does_not_begin_without_room)
{
    struct reel_shell_stats shell = {.disk_reserve_bytes = 1000};
    broker.setup.shell = &shell;
    broker_start (&broker);
    submit ("live");
    shell.disk_free_bytes = 1000;
    shell.journal_free_bytes = strtoul (gauge ("live_bytes"), NULL, 10) - 1;
    ck_assert_uint_gt (shell.journal_free_bytes, 0);
    for (int i = 0; i < 100; i++)
        pass ();
    ck_assert_uint_eq (broker.snapshots, 0);
    shell.journal_free_bytes++;
    broker_tick (&broker);
    ck_assert_uint_eq (broker.snapshots, 1);
}
END_TEST

/* One that was begun, too: what it still has to say may be more than the disk has left. */
START_TEST (stands_still_while_the_disk_is_nearly_full)
{
    int64_t wake_us = 0;
    broker.setup.snapshot_piece_bytes = 1;
    broker_start (&broker);
    for (int i = 0; i < 20; i++) {
        char id[32];
        snprintf (id, sizeof id, "live%d", i);
        submit (id);
    }
    churn (1);
    while (broker.begun == broker.snapshot)
        pass ();
    size_t before = broker.snapshots;
    reel_core_disk_low (broker.core, true);
    for (int i = 0; i < 50; i++)
        broker_tick (&broker);
    ck_assert_uint_eq (broker.snapshots, before);
    struct reel_core_time now = {broker.wall_us, broker.monotonic_us};
    ck_assert_int_eq (reel_core_tick (broker.core, now, true, &broker.effects, &wake_us), REEL_OK);
    ck_assert_int_gt (wake_us, broker.monotonic_us + 1000);
    reel_core_disk_low (broker.core, false);
    for (int i = 0; i < 50; i++)
        broker_tick (&broker);
    ck_assert_uint_eq (broker.snapshots, before + 1);
    broker_restart (&broker);
    ck_assert_str_eq (gauge ("queued"), "20");
}
END_TEST

/* Everything that a workflow can carry goes through a snapshot and a restart, into the hands of its next worker. */
START_TEST (carries_everything)
{
    broker_start (&broker);
    broker_client (&broker, "c", "SUBMIT", "{'provenance':{'who':'me'},'priority':-3}",
                   "{'workflow_id':'wf','steps':[{'step_id':'a','modality':'echo','status':'succeeded',"
                   "'receipt':{'kept':1}},{'step_id':'b','modality':'echo'},{'step_id':'c','modality':'echo'}]}");
    broker_ready (&broker, "w", 1, "'echo'");
    broker_report (&broker, "w", 1, 1,
                   "[" STARTED ("b", "1", "true") "," SUCCEEDED ("b") "," STARTED ("c", "1", "true") "," CHECKPOINT (
                       "c", "{'job':7}") "]");
    broker_worker (&broker, "w", "LEAVE", "{}", NULL);
    broker_pass_ms (&broker, 10000);
    churn (3);
    broker_restart (&broker);
    broker_forget (&broker);
    /* The bench compares what is assigned with all that was said. */
    broker_ready (&broker, "v", 1, "'echo'");
    ck_assert_uint_gt (broker.sent_count, 1);
    ck_assert_str_eq (broker_header (&broker, "/checkpoint"), "{'job':7}");
    ck_assert_str_eq (broker_header (&broker, "/attempts"), "1");
    ck_assert_str_eq (broker_header (&broker, "/provenance"), "{'who':'me'}");
    ck_assert_str_eq (broker_header (&broker, "/delivery"), "2");
}
END_TEST

/* What the journal keeps beside the records is held against them. */
START_TEST (recovery_believes_the_records_only)
{
    struct reel_core *core = NULL;
    struct reel_error err;
    const struct reel_slice id = reel_slice_text ("wf");
    ck_assert_int_eq (reel_core_create (&broker.setup, &core), REEL_OK);
    ck_assert_int_eq (reel_core_recovered (core, 1, 0, &err), REEL_OK);
    ck_assert_int_eq (reel_core_recover_ended (core, id, 0, &err), REEL_INVALID);
    ck_assert_int_eq (reel_core_recover_ended (core, id, 1, &err), REEL_INVALID);
    ck_assert_ptr_nonnull (strstr (err.message, "a workflow has ended that did not"));
    ck_assert_int_eq (reel_core_recovered (core, 2, 0, &err), REEL_INVALID);
    ck_assert_ptr_nonnull (strstr (err.message, "events are retained from another one on"));
    ck_assert_int_eq (reel_core_recovered (core, 1, 1, &err), REEL_INVALID);
    ck_assert_ptr_nonnull (strstr (err.message, "other ended workflows are retained"));
    reel_core_recover_snapshot (core);
    ck_assert_int_eq (reel_core_recovered (core, 1, 0, &err), REEL_INVALID);
    ck_assert_ptr_nonnull (strstr (err.message, "a snapshot that is not there as a whole"));
    reel_core_destroy (&core);
}
END_TEST

/* --- retention -------------------------------------------------------------------------------- */

START_TEST (forgets_by_size)
{
    broker.setup.retain_bytes = 8000;
    broker_start (&broker);
    submit ("live");
    submit ("first");
    cancel ("first");
    churn (1);
    broker_client (&broker, "c", "GET", "{'workflow_id':'first'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/status"), "'cancelled'");
    while (broker.forgotten == 0)
        churn (1);
    churn (8);
    broker_client (&broker, "c", "GET", "{'workflow_id':'first'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/code"), "'unknown_workflow'");
    broker_client (&broker, "c", "EVENTS", "{'workflow_id':'first','after':0}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/code"), "'unknown_workflow'");
    broker_client (&broker, "c", "GET", "{'workflow_id':'live'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/status"), "'queued'");
    broker_client (&broker, "c", "EVENTS", "{'after':0,'limit':1}", NULL);
    char first[32];
    snprintf (first, sizeof first, "%llu", (unsigned long long) broker.forgotten + 1);
    ck_assert_str_eq (broker_header (&broker, "/first_seq"), first);
    ck_assert_str_eq (broker_header (&broker, "/next"), first);
    ck_assert_str_eq (gauge ("first_seq"), first);
    ck_assert_int_lt (strtol (gauge ("retained_bytes"), NULL, 10), 12000);
    /* The id is free. */
    submit ("first");
    ck_assert_str_eq (broker_header (&broker, "/duplicate"), "false");
}
END_TEST

START_TEST (forgets_by_age)
{
    broker.setup.snapshot_bytes = 1 << 30;
    broker.setup.retain_ms = 80000;
    broker_start (&broker);
    submit ("live");
    submit ("first");
    cancel ("first");
    broker_pass_ms (&broker, 12000);
    submit ("second");
    cancel ("second");
    broker_pass_ms (&broker, 79000);
    ck_assert_str_eq (gauge ("ended"), "1");
    broker_client (&broker, "c", "GET", "{'workflow_id':'first'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/code"), "'unknown_workflow'");
    broker_pass_ms (&broker, 20000);
    ck_assert_str_eq (gauge ("ended"), "0");
    ck_assert_str_eq (gauge ("queued"), "1");
    /* Nothing more to do, and nothing more is done. */
    size_t records = broker.record_count;
    broker_pass_ms (&broker, 10000000);
    ck_assert_uint_eq (broker.record_count, records);
}
END_TEST

START_TEST (forgets_all_that_is_old_at_once)
{
    broker.setup.snapshot_bytes = 1 << 30;
    broker.setup.retain_ms = 80000;
    broker_start (&broker);
    submit ("first");
    cancel ("first");
    broker_pass_ms (&broker, 12000);
    submit ("second");
    cancel ("second");
    broker_pass_ms (&broker, 12000);
    ck_assert_str_eq (gauge ("ended"), "2");
    broker.setup.retain_ms = 1;
    broker_restart (&broker);
    broker_pass_ms (&broker, 1);
    ck_assert_str_eq (gauge ("ended"), "0");
}
END_TEST

/* It lived across the cut, and its first record is gone: what it was made of is in the last. */
START_TEST (final_record_stands_alone)
{
    broker.setup.retain_bytes = 8000;
    broker_start (&broker);
    broker_client (&broker, "c", "SUBMIT", "{'provenance':{'who':'me'},'priority':7}",
                   "{'workflow_id':'long','steps':[{'step_id':'a','modality':'none'}]}");
    while (broker.forgotten < 10)
        churn (1);
    cancel ("long");
    broker_restart (&broker);
    broker_client (&broker, "c", "GET", "{'workflow_id':'long'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/status"), "'cancelled'");
    ck_assert_str_eq (broker_header (&broker, "/provenance"), "{'who':'me'}");
    broker_submit (&broker, "{'workflow_id':'long','steps':[{'step_id':'a','modality':'none'}]}");
    ck_assert_str_eq (broker_header (&broker, "/duplicate"), "true");
    broker_submit (&broker, "{'workflow_id':'long','steps':[{'step_id':'b','modality':'none'}]}");
    ck_assert_str_eq (broker_header (&broker, "/code"), "'conflict'");
    broker_client (&broker, "c", "RERUN", "{'workflow_id':'long','new_workflow_id':'longer'}", NULL);
    broker_client (&broker, "c", "GET", "{'workflow_id':'longer'}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/priority"), "7");
    ck_assert_str_eq (broker_header (&broker, "/provenance"), "{'who':'me'}");
}
END_TEST

/* --- backups ---------------------------------------------------------------------------------- */

START_TEST (backup_in_pieces)
{
    char header[128], copy[32];
    broker.copy_bytes = (2 << 20) + 5;
    broker_start (&broker);
    broker_client (&broker, "c", "BACKUP", "{'request_id':1}", NULL);
    snprintf (copy, sizeof copy, "%s", broker_header (&broker, "/copy"));
    ck_assert_str_eq (broker_header (&broker, "/bytes"), "0");
    ck_assert_str_eq (broker_header (&broker, "/more"), "true");
    static const struct {
        unsigned long offset;
        size_t len;
        const char *more;
    } pieces[] = {{0, 1 << 20, "true"}, {1 << 20, 1 << 20, "true"}, {2 << 20, 5, "false"}, {7, 1 << 20, "true"}};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        snprintf (header, sizeof header, "{'copy':%s,'offset':%lu}", copy, pieces[i].offset);
        broker_client (&broker, "c", "BACKUP", header, NULL);
        ck_assert_str_eq (broker_header (&broker, "/copy"), copy);
        ck_assert_str_eq (broker_header (&broker, "/bytes"), "2097157");
        ck_assert_str_eq (broker_header (&broker, "/more"), pieces[i].more);
        /* The head of a bin is 2 to 5 bytes. */
        ck_assert_uint_ge (broker.sent[0].document.len, pieces[i].len + 2);
        ck_assert_uint_le (broker.sent[0].document.len, pieces[i].len + 5);
    }
    broker_client (&broker, "d", "BACKUP", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/code"), "'overloaded'");
    snprintf (header, sizeof header, "{'copy':%s,'offset':2097157}", copy);
    broker_client (&broker, "c", "BACKUP", header, NULL);
    ck_assert_str_eq (broker_header (&broker, "/more"), "false");
    ck_assert_uint_eq (broker.copy, 0);
    broker_client (&broker, "c", "BACKUP", header, NULL);
    ck_assert_str_eq (broker_header (&broker, "/code"), "'bad_state'");
}
END_TEST

START_TEST (backup_that_nobody_fetches)
{
    broker_start (&broker);
    broker_client (&broker, "c", "BACKUP", "{}", NULL);
    broker_pass_ms (&broker, 59999);
    ck_assert_uint_ne (broker.copy, 0);
    broker_pass_ms (&broker, 1);
    ck_assert_uint_eq (broker.copy, 0);
    broker_client (&broker, "d", "BACKUP", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/bytes"), "0");
    /* The journal's own room comes first. */
    reel_core_disk_low (broker.core, true);
    broker_tick (&broker);
    ck_assert_uint_eq (broker.copy, 0);
    broker_client (&broker, "d", "BACKUP", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/code"), "'overloaded'");
}
END_TEST

/* Nor may one keep it by asking for the same again and again, while others wait. */
START_TEST (backup_that_does_not_get_on)
{
    char header[128];
    broker.copy_bytes = (3 << 20) + 5;
    broker_start (&broker);
    broker_client (&broker, "c", "BACKUP", "{}", NULL);
    snprintf (header, sizeof header, "{'copy':%s}", broker_header (&broker, "/copy"));
    broker_pass_ms (&broker, 59999);
    broker_client (&broker, "c", "BACKUP", header, NULL);
    uint64_t copy = broker.copy;
    for (unsigned long offset = 1 << 20; offset <= 3 << 20; offset += 1 << 20) {
        broker_pass_ms (&broker, 30000);
        snprintf (header, sizeof header, "{'copy':%llu,'offset':%lu}", (unsigned long long) copy, offset);
        broker_client (&broker, "c", "BACKUP", header, NULL);
        ck_assert_str_eq (broker_header (&broker, "/bytes"), "3145733");
    }
    for (int second = 1; second < 60; second++) {
        broker_pass_ms (&broker, 1000);
        snprintf (header, sizeof header, "{'copy':%llu,'offset':%d}", (unsigned long long) copy, second << 15);
        broker_client (&broker, "c", "BACKUP", header, NULL);
        ck_assert_str_eq (broker_header (&broker, "/bytes"), "3145733");
        broker_client (&broker, "d", "BACKUP", "{}", NULL);
        ck_assert_str_eq (broker_header (&broker, "/code"), "'overloaded'");
    }
    broker_pass_ms (&broker, 1000);
    broker_client (&broker, "c", "BACKUP", header, NULL);
    ck_assert_str_eq (broker_header (&broker, "/code"), "'bad_state'");
    broker_client (&broker, "d", "BACKUP", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/bytes"), "0");
}
END_TEST

START_TEST (backup_without_room)
{
    struct reel_shell_stats shell = {.journal_bytes = 100, .disk_reserve_bytes = 10, .disk_free_bytes = 109};
    broker.setup.shell = &shell;
    broker_start (&broker);
    broker_client (&broker, "c", "BACKUP", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/code"), "'overloaded'");
    shell.disk_free_bytes = 110;
    broker_client (&broker, "c", "BACKUP", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/bytes"), "0");
}
END_TEST

START_TEST (backup_that_fails)
{
    broker_start (&broker);
    broker.readings_gone = true;
    broker_client (&broker, "c", "BACKUP", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/code"), "'internal'");
    ck_assert_str_eq (broker_header (&broker, "/message"), "'the copy of the journal could not be made: for a reason'");
    broker.readings_gone = false;
    broker_client (&broker, "c", "BACKUP", "{}", NULL);
    ck_assert_str_eq (broker_header (&broker, "/bytes"), "0");
}
END_TEST

/* Who lets go of a copy again and again lets go of nobody else's. */
START_TEST (backup_of_another)
{
    char header[128];
    broker.copy_bytes = 10;
    broker_start (&broker);
    broker_client (&broker, "c", "BACKUP", "{}", NULL);
    snprintf (header, sizeof header, "{'copy':%s,'offset':10}", broker_header (&broker, "/copy"));
    broker.hold_readings = true;
    for (int i = 0; i < 3; i++)
        broker_client (&broker, "c", "BACKUP", header, NULL);
    broker_answer (&broker);
    broker_client (&broker, "d", "BACKUP", "{}", NULL);
    broker_answer (&broker);
    broker.readings_gone = true;
    broker_answer (&broker);
    broker.readings_gone = false;
    broker_answer (&broker);
    broker_answer (&broker);
    ck_assert_str_eq (broker_header (&broker, "/more"), "true");
    snprintf (header, sizeof header, "{'copy':%s}", broker_header (&broker, "/copy"));
    while (broker.held_count > 0)
        broker_answer (&broker);
    broker.hold_readings = false;
    broker_client (&broker, "d", "BACKUP", header, NULL);
    ck_assert_str_eq (broker_header (&broker, "/bytes"), "10");
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("core, snapshots");
    TCase *tests = suite_case (suite, "snapshots", set_up, tear_down);
    tcase_add_test (tests, comes_when_as_much_was_journaled_as_live_workflows_take);
    tcase_add_test (tests, comes_of_what_happens_only);
    tcase_add_test (tests, comes_of_many_pauses);
    tcase_add_test (tests, is_journaled_in_pieces);
    tcase_add_test (tests, is_abandoned_by_a_restart);
    tcase_add_test (tests, waits_while_the_disk_is_nearly_full);
    tcase_add_test (tests, does_not_begin_without_room);
    tcase_add_test (tests, stands_still_while_the_disk_is_nearly_full);
    tcase_add_test (tests, carries_everything);
    tcase_add_test (tests, recovery_believes_the_records_only);
    tcase_add_test (tests, forgets_by_size);
    tcase_add_test (tests, forgets_by_age);
    tcase_add_test (tests, forgets_all_that_is_old_at_once);
    tcase_add_test (tests, final_record_stands_alone);
    tcase_add_test (tests, backup_in_pieces);
    tcase_add_test (tests, backup_that_nobody_fetches);
    tcase_add_test (tests, backup_that_does_not_get_on);
    tcase_add_test (tests, backup_without_room);
    tcase_add_test (tests, backup_that_fails);
    tcase_add_test (tests, backup_of_another);
    return suite_run (suite);
}
