/*
 * One thread, one batch at a time, one lock. What the two threads share is who has the batch.
 */
#include "broker/commit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mutant.h"
#include "broker/core/record.h"

/* Without work for so long, the journal may tidy up. */
#define REST_AFTER_MS 50

/* What all reads of one batch do of reading, at most (struct reel_journal_ask), and at how many rows they look. */
#define READ_WORK 512
#define READ_ROWS 8192

/* A buffer larger than this is given back after use. */
#define KEPT_BYTES_MAX ((size_t) 4 << 20)

struct reel_commit {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int done_fd;
    struct reel_journal *journal; /* the thread's */
    /* Under the lock: */
    struct reel_batch *work; /* to be done */
    struct reel_batch *done; /* to be taken back */
    bool stop;
    enum reel_status failure; /* REEL_OK: none so far */
    struct reel_error err;
};

/* --- batches --------------------------------------------------------------------------------- */

void
reel_batch_clear (struct reel_batch *batch)
{
    reel_effects_clear (&batch->effects);
    batch->reading_count = 0;
    reel_buf_clear (&batch->bodies);
    if (batch->bodies.cap > KEPT_BYTES_MAX)
        reel_buf_free (&batch->bodies);
}

void
reel_batch_free (struct reel_batch *batch)
{
    reel_effects_free (&batch->effects);
    reel_buf_free (&batch->bodies);
    free (batch->readings);
    *batch = (struct reel_batch){0};
}

/* --- reading --------------------------------------------------------------------------------- */

/* What reads of one batch have in common. `err` is the caller's. */
struct reader {
    struct reel_journal *journal;
    struct reel_buf *out;
    struct reel_error *err;
    size_t count; /* of them, who share the time */
};

/* Appends the record of event `seq`, framed. */
static enum reel_status
read_record (const struct reader *reader, uint64_t seq)
{
    size_t frame = reader->out->len;
    reel_buf_add (reader->out, "\0\0\0\0", REEL_RECORD_FRAME_BYTES);
    enum reel_status status = reel_journal_record (reader->journal, seq, reader->out, reader->err);
    if (status != REEL_OK)
        return status;
    size_t len = reader->out->len - frame - REEL_RECORD_FRAME_BYTES;
    for (unsigned i = 0; i < REEL_RECORD_FRAME_BYTES; i++)
        reader->out->data[frame + i] = (uint8_t) (len >> 8 * i);
    return REEL_OK;
}

/* The final record has the document, or names the accepting one, which then is there as well. */
static enum reel_status
read_ended (const struct reader *reader, uint64_t seq)
{
    size_t at = reader->out->len + REEL_RECORD_FRAME_BYTES;
    enum reel_status status = read_record (reader, seq);
    if (status != REEL_OK)
        return status;
    struct reel_record record;
    struct reel_message event;
    status = reel_record_read (reel_slice (reader->out->data + at, reader->out->len - at), &record, &event,
                               reader->err);
    if (status != REEL_OK)
        return status;
    if (record.kind != REEL_RECORD_ENDED)
        return REEL_NOT_FOUND;
    return record.document.len > 0 ? REEL_OK : read_record (reader, record.accepted_seq);
}

static enum reel_status
list_row (void *context, const struct reel_journal_row *row, struct reel_error *err)
{
    (void) err;
    reel_core_row_pack (context, row);
    return reel_buf_status (context);
}

/* Of what one batch may do: nothing that waits for it waits for much longer because many read at once. */
static uint32_t
share (const struct reader *reader, uint32_t all)
{
    return reader->count < all ? all / (uint32_t) reader->count : 1;
}

static enum reel_status
read_list (const struct reader *reader, const struct reel_read *read, struct reel_journal_page *page)
{
    const struct reel_journal_listing listing = {.before = read->after == 0 ? INT64_MAX : read->after,
                                                 .status = read->status,
                                                 .limit = read->limit,
                                                 .looked_max = share (reader, READ_ROWS)};
    return reel_journal_list (reader->journal, &listing, list_row, reader->out, page, reader->err);
}

static enum reel_status
read_events (const struct reader *reader, const struct reel_read *read, struct reel_journal_page *page)
{
    const struct reel_journal_ask ask = {.after = read->after,
                                         .limit = read->limit,
                                         .bytes_max = REEL_EVENTS_REPLY_BYTES_MAX,
                                         .work_max = share (reader, READ_WORK)};
    const struct reel_journal_workflow workflow = {read->key, read->seq};
    return read->kind == REEL_READ_EVENTS
               ? reel_journal_events (reader->journal, &ask, reader->out, page, reader->err)
               : reel_journal_workflow_events (reader->journal, &workflow, &ask, reader->out, page, reader->err);
}

/* A copy that could not be made is no failure of the journal, and whoever asked for it learns why. */
static enum reel_status
read_backup (const struct reader *reader, const struct reel_read *read, struct reel_journal_page *page)
{
    enum reel_status status = reel_journal_backup (reader->journal, read->seq, read->after, read->limit, reader->out,
                                                   &page->next, reader->err);
    if (status == REEL_NOT_FOUND)
        reel_buf_add_text (reader->out, reader->err->message);
    return status;
}

static enum reel_status
read_one (const struct reader *reader, const struct reel_read *read, struct reel_journal_page *page)
{
    switch (read->kind) {
    case REEL_READ_EVENTS:
    case REEL_READ_WORKFLOW_EVENTS: return read_events (reader, read, page);
    case REEL_READ_ENDED: return read_ended (reader, read->seq);
    case REEL_READ_LIST: return read_list (reader, read, page);
    case REEL_READ_BACKUP: return read_backup (reader, read, page);
    case REEL_READ_BACKUP_ENDS: reel_journal_backup_end (reader->journal); return REEL_OK;
    }
    return REEL_NOT_FOUND;
}

static bool
make_room (struct reel_batch *batch, size_t count)
{
    if (count <= batch->reading_cap)
        return true;
    struct reel_core_reading *readings = realloc (batch->readings, count * sizeof *readings);
    if (!readings)
        return false;
    batch->readings = readings;
    batch->reading_cap = count;
    return true;
}

/* Bodies move while more are added: until all are there, `body.len` says where each ends and its data is unset. */
static enum reel_status
read_all (struct reel_journal *journal, struct reel_batch *batch, struct reel_error *err)
{
    const struct reel_effects *effects = &batch->effects;
    const struct reader reader = {journal, &batch->bodies, err, effects->read_count};
    if (!make_room (batch, effects->read_count))
        return REEL_NO_MEMORY;
    for (size_t i = 0; i < effects->read_count; i++) {
        const struct reel_read *read = &effects->reads[i];
        struct reel_core_reading *reading = &batch->readings[i];
        size_t start = batch->bodies.len;
        *reading = (struct reel_core_reading){.read = read,
                                              .context = reel_effects_slice (effects, read->context),
                                              .first_seq = reel_journal_first_seq (journal),
                                              .last_seq = reel_journal_last_seq (journal)};
        reading->status = read_one (&reader, read, &reading->page);
        if (reading->status != REEL_OK && reading->status != REEL_NOT_FOUND && reading->status != REEL_AGAIN)
            return reading->status;
        if (reading->status != REEL_OK && read->kind != REEL_READ_BACKUP)
            batch->bodies.len = start;
        reading->body.len = batch->bodies.len - start;
    }
    size_t at = 0;
    for (size_t i = 0; i < effects->read_count; i++) {
        struct reel_slice *body = &batch->readings[i].body;
        *body = reel_slice (body->len > 0 ? batch->bodies.data + at : NULL, body->len);
        at += body->len;
    }
    batch->reading_count = effects->read_count;
    return REEL_OK;
}

enum reel_status
reel_commit_carry_out (struct reel_journal *journal, struct reel_batch *batch, struct reel_error *err)
{
    enum reel_status status = REEL_OK;
    if (batch->effects.records.len > 0) {
        struct reel_journal_batch records = reel_effects_batch (&batch->effects);
        status = reel_journal_append (journal, &records, err);
    }
    if (status == REEL_OK || REEL_MUTANT_IS (4))
        status = read_all (journal, batch, err);
    batch->last_seq = reel_journal_last_seq (journal);
    batch->journal_bytes = reel_journal_bytes (journal, &batch->journal_free_bytes);
    return status;
}

/* --- the thread ------------------------------------------------------------------------------ */

static void
hand_back (struct reel_commit *commit, struct reel_batch *batch, enum reel_status status, const struct reel_error *err)
{
    (void) pthread_mutex_lock (&commit->lock);
    if (batch) {
        commit->work = NULL;
        commit->done = batch;
    }
    if (status != REEL_OK && commit->failure == REEL_OK) {
        commit->failure = status;
        commit->err = *err;
    }
    (void) pthread_mutex_unlock (&commit->lock);
    uint64_t one = 1;
    REEL_ASSERT (write (commit->done_fd, &one, sizeof one) == (ssize_t) sizeof one);
}

/* The next batch, or NULL: to stop, or (`*idle`) to rest, which is worth doing once after work, and at once where there is
 * much to do. */
static struct reel_batch *
wait_for_work (struct reel_commit *commit, bool rested, bool *idle)
{
    bool restless = reel_journal_restless (commit->journal);
    struct timespec until;
    (void) clock_gettime (CLOCK_MONOTONIC, &until);
    until.tv_nsec += restless ? 0 : REST_AFTER_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    int code = 0;
    (void) pthread_mutex_lock (&commit->lock);
    while (!commit->work && !commit->stop && code != ETIMEDOUT)
        code = rested && !restless ? pthread_cond_wait (&commit->wake, &commit->lock)
                                   : pthread_cond_timedwait (&commit->wake, &commit->lock, &until);
    struct reel_batch *batch = commit->work;
    *idle = !batch && !commit->stop;
    (void) pthread_mutex_unlock (&commit->lock);
    return batch;
}

static void *
run (void *context)
{
    struct reel_commit *commit = context;
    struct reel_error err = {0};
    bool rested = false;
    for (;;) {
        bool idle;
        struct reel_batch *batch = wait_for_work (commit, rested, &idle);
        if (!batch && !idle)
            return NULL;
        enum reel_status status = REEL_OK;
        if (batch)
            status = reel_commit_carry_out (commit->journal, batch, &err);
        if (batch)
            hand_back (commit, batch, status, &err);
        rested = idle;
        if (status == REEL_OK && (status = reel_journal_rest (commit->journal, idle, &err)) != REEL_OK)
            hand_back (commit, NULL, status, &err);
        if (status != REEL_OK)
            return NULL;
    }
}

/* --- the other side -------------------------------------------------------------------------- */

static bool
start_thread (struct reel_commit *commit)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init (&attributes) != 0)
        return false;
    bool started = pthread_condattr_setclock (&attributes, CLOCK_MONOTONIC) == 0
                   && pthread_cond_init (&commit->wake, &attributes) == 0
                   && pthread_mutex_init (&commit->lock, NULL) == 0
                   && pthread_create (&commit->thread, NULL, run, commit) == 0;
    (void) pthread_condattr_destroy (&attributes);
    return started;
}

enum reel_status
reel_commit_start (struct reel_journal **journal, struct reel_commit **commit, struct reel_error *err)
{
    struct reel_commit *started = calloc (1, sizeof *started);
    if (!started)
        return REEL_NO_MEMORY;
    started->journal = *journal;
    started->done_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (started->done_fd < 0 || !start_thread (started)) {
        if (started->done_fd >= 0)
            (void) close (started->done_fd);
        free (started);
        return reel_error_set (err, REEL_IO, "no_thread", NULL, "cannot start the thread of the journal");
    }
    *journal = NULL;
    *commit = started;
    return REEL_OK;
}

void
reel_commit_stop (struct reel_commit **commit)
{
    struct reel_commit *stopping = *commit;
    *commit = NULL;
    if (!stopping)
        return;
    (void) pthread_mutex_lock (&stopping->lock);
    stopping->stop = true;
    (void) pthread_cond_signal (&stopping->wake);
    (void) pthread_mutex_unlock (&stopping->lock);
    (void) pthread_join (stopping->thread, NULL);
    (void) pthread_cond_destroy (&stopping->wake);
    (void) pthread_mutex_destroy (&stopping->lock);
    (void) close (stopping->done_fd);
    reel_journal_close (&stopping->journal);
    free (stopping);
}

void
reel_commit_hand (struct reel_commit *commit, struct reel_batch *batch)
{
    (void) pthread_mutex_lock (&commit->lock);
    REEL_ASSERT (!commit->work && !commit->done);
    commit->work = batch;
    (void) pthread_cond_signal (&commit->wake);
    (void) pthread_mutex_unlock (&commit->lock);
}

int
reel_commit_fd (const struct reel_commit *commit)
{
    return commit->done_fd;
}

enum reel_status
reel_commit_take (struct reel_commit *commit, struct reel_batch **batch, struct reel_error *err)
{
    uint64_t count;
    if (read (commit->done_fd, &count, sizeof count) < 0)
        return REEL_AGAIN;
    (void) pthread_mutex_lock (&commit->lock);
    enum reel_status status = commit->failure;
    if (status != REEL_OK && err)
        *err = commit->err;
    if (status == REEL_OK && commit->done) {
        *batch = commit->done;
        commit->done = NULL;
    } else if (status == REEL_OK)
        status = REEL_AGAIN;
    (void) pthread_mutex_unlock (&commit->lock);
    return status;
}
