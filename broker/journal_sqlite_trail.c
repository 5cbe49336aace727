/*
 * The events of one workflow, in their order.
 *
 * Each record names the one before it of the same workflow, so they are found from the newest one back to where somebody
 * asks from. That way may be long, and is gone a piece at a time, between commits; then it is kept, so that the next page
 * begins where this one ended. Past TRAIL_SEQS_MAX events the newest ones are let go of, to be found anew when the reader
 * has come there.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "broker/journal_sqlite.h"

#define TRAIL_SEQS_MIN 64
#define TRAIL_SEQS_MAX 32768

void
reel_journal_drop_trail (struct reel_journal_trail *trail)
{
    free (trail->seqs);
    *trail = (struct reel_journal_trail){0};
}

static uint64_t
seq_at (const struct reel_journal_trail *trail, size_t place)
{
    return trail->seqs[place % trail->cap];
}

/* The place of the newest one that is kept. */
static size_t
newest_of (const struct reel_journal_trail *trail)
{
    return trail->found > trail->cap ? trail->found - trail->cap : 0;
}

/* Somebody asks for the same again, to go on. */
static bool
is_under_way (const struct reel_journal *journal, const struct reel_journal_trail *trail)
{
    return trail->found > 0 && trail->next > reel_journal_no_less (journal, trail->after);
}

/* The trail to read from beyond `after`: the workflow's own, or a new one in place of what is needed least. */
static struct reel_journal_trail *
find_trail (struct reel_journal *journal, const struct reel_journal_workflow *workflow, uint64_t after)
{
    struct reel_journal_trail *least = NULL;
    bool needed = false; /* is the least needed one under way? */
    for (size_t i = 0; i < REEL_JOURNAL_TRAILS; i++) {
        struct reel_journal_trail *trail = &journal->trails[i];
        bool under_way = is_under_way (journal, trail);
        if (trail->found > 0 && trail->key == workflow->key && seq_at (trail, newest_of (trail)) > after
            && !REEL_MUTANT_IS (70))
            return trail;
        if (!least || under_way < needed || (under_way == needed && trail->used < least->used)) {
            least = trail;
            needed = under_way;
        }
    }
    reel_journal_drop_trail (least);
    least->key = workflow->key;
    least->next = workflow->last_seq;
    least->after = after;
    return least;
}

static bool
note (struct reel_journal_trail *trail, uint64_t seq)
{
    if (trail->found == trail->cap && trail->cap < TRAIL_SEQS_MAX) {
        size_t cap = trail->cap == 0 ? TRAIL_SEQS_MIN : 2 * trail->cap;
        uint64_t *seqs = realloc (trail->seqs, cap * sizeof *seqs);
        if (!seqs)
            return false;
        trail->seqs = seqs;
        trail->cap = cap;
    }
    trail->seqs[trail->found++ % trail->cap] = seq;
    return true;
}

/* Goes back until there is nothing beyond `after` that was not found. */
static enum reel_status
go_back (struct reel_journal *journal, struct reel_journal_trail *trail, uint64_t after, uint64_t work_max,
         struct reel_error *err)
{
    struct reel_record_head head;
    if (after < trail->after)
        trail->after = after;
    while (trail->next > after) {
        if (journal->work > work_max)
            return REEL_AGAIN;
        enum reel_status status = reel_journal_find_head (journal, trail->next, &head, err);
        if (status != REEL_OK)
            return status;
        if (head.previous_seq >= trail->next)
            return reel_journal_damaged (journal, journal->loaded.number, "names a later event as an earlier one", err);
        if (!note (trail, trail->next))
            return REEL_NO_MEMORY;
        trail->next = head.previous_seq;
    }
    return REEL_OK;
}

/* The place after that of the oldest one beyond `after`. */
static size_t
end_beyond (const struct reel_journal_trail *trail, uint64_t after)
{
    size_t low = newest_of (trail), high = trail->found;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (seq_at (trail, middle) > after)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum reel_status
give (struct reel_journal *journal, const struct reel_journal_trail *trail, const struct reel_journal_ask *ask,
      uint64_t after, struct reel_buf *out, struct reel_journal_page *page, struct reel_error *err)
{
    enum reel_status status = REEL_OK;
    size_t end = out->len + ask->bytes_max;
    journal->work = 0;
    for (size_t place = end_beyond (trail, after); place > newest_of (trail) && !page->more && status == REEL_OK;
         place--)
        status = reel_journal_add_event (journal, seq_at (trail, place - 1), ask, end, out, page, err);
    return status;
}

enum reel_status
reel_journal_workflow_events (struct reel_journal *journal, const struct reel_journal_workflow *workflow,
                              const struct reel_journal_ask *ask, struct reel_buf *out, struct reel_journal_page *page,
                              struct reel_error *err)
{
    REEL_ASSERT (workflow->last_seq <= journal->last_seq);
    struct reel_journal_page read = {.next = ask->after};
    uint64_t after = reel_journal_no_less (journal, ask->after);
    if (workflow->last_seq <= after) {
        *page = read;
        return REEL_OK;
    }
    struct reel_journal_trail *trail = find_trail (journal, workflow, after);
    trail->used = ++journal->reads;
    journal->work = 0;
    enum reel_status status = go_back (journal, trail, after, ask->work_max, err);
    if (status == REEL_OK)
        status = give (journal, trail, ask, after, out, &read, err);
    if (status != REEL_OK)
        return status;
    read.more = read.next < workflow->last_seq;
    if (read.next == seq_at (trail, newest_of (trail)))
        reel_journal_drop_trail (trail);
    *page = read;
    return REEL_OK;
}
