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

struct replay {
    struct reel_core *core;
    uint64_t count;
};

static enum reel_status
replay_record (void *context, struct reel_slice record, struct reel_error *err)
{
    struct replay *replay = context;
    replay->count++;
    return reel_core_apply (replay->core, record, err);
}

enum reel_status
reel_recovery_run (const struct reel_journal_setup *setup, struct reel_core *core, struct reel_journal **journal,
                   struct reel_recovered *recovered, struct reel_error *err)
{
    struct replay replay = {.core = core};
    int64_t from_us = reel_clock_monotonic_us ();
    enum reel_status status = reel_journal_open (setup, journal, err);
    if (status == REEL_OK)
        status = reel_journal_replay (*journal, replay_record, &replay, err);
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

enum reel_status
reel_recovery_verify (const char *directory, struct reel_error *err)
{
    struct reel_core_setup setup;
    struct reel_core *core = NULL;
    struct reel_journal *journal = NULL;
    struct reel_recovered recovered;
    reel_core_setup_defaults (&setup);
    enum reel_status status = find_journal (directory, err);
    if (status == REEL_OK)
        status = reel_core_create (&setup, &core);
    if (status == REEL_OK)
        status = reel_recovery_run (&(struct reel_journal_setup){.directory = directory}, core, &journal, &recovered,
                                    err);
    if (status == REEL_OK) {
        uint64_t live, ended;
        reel_core_count (core, &live, &ended);
        if (printf ("%s is whole: %" PRIu64 " records, %" PRIu64 " events, %" PRIu64 " workflows live, %" PRIu64
                    " ended\n",
                    directory, recovered.records, reel_journal_last_seq (journal), live, ended)
                < 0
            || fflush (stdout) != 0)
            status = reel_error_set (err, REEL_IO, "output", NULL, "standard output: %s", strerror (errno));
    }
    reel_journal_close (&journal);
    reel_core_destroy (&core);
    return status;
}
