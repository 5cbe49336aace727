/*
 * From a journal to a core that stands where the last one did; and the same only to see that it can be done.
 */
#ifndef REEL_BROKER_RECOVERY_H
#define REEL_BROKER_RECOVERY_H

#include "broker/core/core.h"
#include "broker/journal.h"

struct reel_recovered {
    uint64_t records;
    int64_t took_ms;
};

/* Opens the journal and replays all of it into a core that is new. Errors are those of broker/journal.h; the journal is
 * the caller's, and may be there after a failure too. */
enum reel_status reel_recovery_run (const struct reel_journal_setup *setup, struct reel_core *core,
                                    struct reel_journal **journal, struct reel_recovered *recovered,
                                    struct reel_error *err) REEL_MUST_USE;

/*
 * Reads a journal from its first batch to its last, checks the chain of their hashes against what the journal's head
 * says was committed, and replays every record. Prints on standard output what it holds. REEL_OK: it is whole.
 * REEL_NOT_FOUND: there is none in that directory (err). Otherwise as above. Nothing in it is changed.
 */
enum reel_status reel_recovery_verify (const struct reel_journal_setup *setup, struct reel_error *err) REEL_MUST_USE;

#endif
