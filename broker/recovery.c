/*
 * Recovery is replay: there is no other way from disk to memory.
 */
#include "broker/recovery.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker/core/record.h"

struct replay {
    struct reel_core *core;
    uint64_t count;
    uint64_t ended;
};

static enum reel_status
replay_record (void *context, struct reel_slice record, struct reel_error *err)
{
    struct replay *replay = context;
    replay->count++;
    return reel_core_apply (replay->core, record, err);
}

static enum reel_status
take_ended (void *context, const struct reel_journal_row *row, struct reel_error *err)
{
    struct replay *replay = context;
    replay->ended++;
    return reel_core_recover_ended (replay->core, row->workflow_id, row->ended_seq, err);
}

/* The core refused what the journal holds, though the journal found it whole. */
static enum reel_status
say_what_to_do (const struct reel_journal_setup *setup, enum reel_status status, struct reel_error *err)
{
    if (status != REEL_INVALID)
        return status;
    struct reel_error refused = *err;
    return reel_error_set (err, status, "journal_damaged", NULL,
                           "%s is damaged: %s; restore the directory from a backup", setup->directory, refused.message);
}

/* Into a new core; `all`: not from a snapshot, though there is one. */
static enum reel_status
recover (struct reel_journal *journal, bool all, struct replay *replay, struct reel_error *err)
{
    if (!all && reel_journal_has_snapshot (journal))
        reel_core_recover_snapshot (replay->core);
    enum reel_status status = reel_journal_replay (journal, all, replay_record, replay, err);
    if (status == REEL_OK)
        status = reel_journal_ended (journal, take_ended, replay, err);
    if (status == REEL_OK)
        status = reel_core_recovered (replay->core, reel_journal_first_seq (journal), replay->ended, err);
    return status;
}

enum reel_status
reel_recovery_run (const struct reel_journal_setup *setup, struct reel_core *core, struct reel_journal **journal,
                   struct reel_recovered *recovered, struct reel_error *err)
{
    struct replay replay = {.core = core};
    int64_t from_us = reel_clock_monotonic_us ();
    enum reel_status status = reel_journal_open (setup, journal, err);
    if (status == REEL_OK)
        status = say_what_to_do (setup, recover (*journal, false, &replay, err), err);
    if (status == REEL_OK)
        *recovered = (struct reel_recovered){.records = replay.count,
                                             .took_ms = (reel_clock_monotonic_us () - from_us) / 1000};
    return status;
}

static enum reel_status
find_journal (const char *directory, struct reel_error *err)
{
    char path[4096];
    int len = snprintf (path, sizeof path, "%s/journal.db", directory);
    if (len < 0 || (size_t) len >= sizeof path)
        return reel_error_set (err, REEL_NOT_FOUND, "no_journal", NULL, "%s: the name is too long", directory);
    if (access (path, R_OK | W_OK) != 0)
        return reel_error_set (err, REEL_NOT_FOUND, "no_journal", NULL, "%s: %s", path, strerror (errno));
    return REEL_OK;
}

static enum reel_status
read_record (void *context, struct reel_slice bytes, struct reel_error *err)
{
    struct reel_record record;
    struct reel_message event;
    struct replay *replay = context;
    replay->count++;
    return reel_record_read (bytes, &record, &event, err);
}

static enum reel_status
compare (const struct reel_core *replayed, const struct reel_core *recovered, struct reel_error *err)
{
    uint64_t digest = reel_core_digest (replayed), expected = reel_core_digest (recovered);
    if (digest == 0 || expected == 0)
        return REEL_NO_MEMORY;
    return digest == expected ? REEL_OK
                              : reel_error_set (err, REEL_INVALID, "damaged", NULL,
                                                "the last snapshot is not what the records before it lead to");
}

/* All that is kept, from its oldest batch on. Where nothing has been removed, it must lead to where recovery from the last
 * snapshot leads. */
static enum reel_status
check_all (struct reel_journal *journal, const struct reel_core *recovered, uint64_t *records, struct reel_error *err)
{
    struct reel_core_setup setup;
    struct replay replay = {0};
    enum reel_status status;
    if (!reel_journal_is_whole (journal) || reel_journal_first_seq (journal) > 1) {
        status = reel_journal_replay (journal, true, read_record, &replay, err);
    } else {
        reel_core_setup_defaults (&setup);
        status = reel_core_create (&setup, &replay.core);
        if (status == REEL_OK)
            status = recover (journal, true, &replay, err);
        if (status == REEL_OK)
            status = compare (replay.core, recovered, err);
        reel_core_destroy (&replay.core);
    }
    *records = replay.count;
    return status;
}

static enum reel_status
say_whole (const char *directory, struct reel_journal *journal, const struct reel_core *core, uint64_t records,
           struct reel_error *err)
{
    uint64_t live, ended, first_seq = reel_journal_first_seq (journal);
    reel_core_count (core, &live, &ended);
    bool said = printf ("%s is whole: %" PRIu64 " records, %" PRIu64 " events, %" PRIu64 " workflows live, %" PRIu64
                        " ended\n",
                        directory, records, reel_journal_last_seq (journal) + 1 - first_seq, live, ended)
                > 0;
    if (said && first_seq > 1)
        said = printf ("%s retains events from %" PRIu64 " on\n", directory, first_seq) > 0;
    return said && fflush (stdout) == 0
               ? REEL_OK
               : reel_error_set (err, REEL_IO, "output", NULL, "standard output: %s", strerror (errno));
}

enum reel_status
reel_recovery_verify (const struct reel_journal_setup *setup, struct reel_error *err)
{
    struct reel_core_setup core_setup;
    struct reel_core *core = NULL;
    struct reel_journal *journal = NULL;
    struct reel_recovered recovered;
    uint64_t records = 0;
    reel_core_setup_defaults (&core_setup);
    enum reel_status status = setup->vfs ? REEL_OK : find_journal (setup->directory, err);
    if (status == REEL_OK)
        status = reel_core_create (&core_setup, &core);
    const struct reel_journal_setup look = {.directory = setup->directory, .vfs = setup->vfs, .look_only = true};
    if (status == REEL_OK)
        status = reel_recovery_run (&look, core, &journal, &recovered, err);
    if (status == REEL_OK)
        status = reel_journal_check (journal, err);
    if (status == REEL_OK)
        status = say_what_to_do (setup, check_all (journal, core, &records, err), err);
    if (status == REEL_OK)
        status = say_whole (setup->directory, journal, core, records, err);
    reel_journal_close (&journal);
    reel_core_destroy (&core);
    return status;
}
