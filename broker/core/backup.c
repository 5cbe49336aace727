/*
 * BACKUP: a client fetches a copy of the journal, piece by piece.
 *
 * The journal makes the copy between commits. There is one at a time, since each takes as much room on the disk as
 * the journal itself; whoever does not ask for the next piece for a while has it no longer, and asking for the same one
 * again does not count.
 */
#include "base/assert.h"
#include "broker/core/state.h"
#include "proto/pack.h"

#define PIECE_BYTES (1u << 20)
#define SILENCE_US 60000000

static enum reel_status
read_piece (struct reel_core *core, const struct reel_asker *asker, struct reel_slice header,
            struct reel_effects *effects)
{
    const struct reel_message *in = &core->in;
    const struct reel_read read = {
        .kind = REEL_READ_BACKUP,
        .seq = core->copy,
        .after = reel_message_has (in, REEL_F_OFFSET) ? in->value[REEL_F_OFFSET].u : 0,
        .limit = PIECE_BYTES,
    };
    return reel_request_read (core, asker, &read, header, REEL_SLICE_NONE, effects);
}

static enum reel_status
begin (struct reel_core *core, const struct reel_asker *asker, struct reel_slice header, struct reel_effects *effects)
{
    const struct reel_shell_stats *shell = core->setup.shell;
    if (core->copy != 0)
        return reel_request_refuse (core, asker, "overloaded", NULL, NULL, "another backup is being fetched; try later",
                                    effects);
    if (core->disk_low || (shell != NULL && shell->disk_free_bytes < shell->journal_bytes + shell->disk_reserve_bytes))
        return reel_request_refuse (core, asker, "overloaded", NULL, NULL,
                                    "there is no room for a copy beside the journal", effects);
    core->copy = 1 + reel_random_below (&core->random, INT64_MAX);
    core->copy_heard_us = core->now.monotonic_us;
    core->copy_next = 0;
    return read_piece (core, asker, header, effects);
}

enum reel_status
reel_backup_request (struct reel_core *core, const struct reel_asker *asker, struct reel_slice header,
                     struct reel_effects *effects)
{
    const struct reel_message *in = &core->in;
    if (!reel_message_has (in, REEL_F_COPY))
        return begin (core, asker, header, effects);
    if (core->copy == 0 || in->value[REEL_F_COPY].u != core->copy)
        return reel_request_refuse (core, asker, "bad_state", NULL, "/copy",
                                    "there is no such copy (any more); begin again", effects);
    return read_piece (core, asker, header, effects);
}

static enum reel_status
drop (struct reel_core *core, struct reel_effects *effects)
{
    core->copy = 0;
    return reel_effects_read (effects, &(struct reel_read){.kind = REEL_READ_BACKUP_ENDS}, REEL_SLICE_NONE);
}

static enum reel_status
refuse_failed (struct reel_core *core, const struct reel_asker *asker, struct reel_slice why,
               struct reel_effects *effects)
{
    struct reel_error failed;
    (void) reel_error_set (&failed, REEL_IO, "internal", NULL, "the copy of the journal could not be made: %.*s",
                           REEL_TEXT (why));
    return reel_request_refuse (core, asker, failed.code, NULL, NULL, failed.message, effects);
}

/* The copy is still being made, which ends, or some of it was fetched for the first time. */
static void
note_progress (struct reel_core *core, uint64_t bytes, uint64_t offset)
{
    if (bytes > 0 && offset < core->copy_next)
        return;
    core->copy_heard_us = core->now.monotonic_us;
    if (bytes > 0)
        core->copy_next = offset + PIECE_BYTES;
}

enum reel_status
reel_backup_reply (struct reel_core *core, const struct reel_asker *asker, const struct reel_core_reading *reading,
                   struct reel_effects *effects)
{
    const struct reel_message *in = &core->in;
    uint64_t offset = reel_message_has (in, REEL_F_OFFSET) ? in->value[REEL_F_OFFSET].u : 0;
    /* Meanwhile the copy may have been dropped, and another begun. */
    bool current = core->copy != 0 && (!reel_message_has (in, REEL_F_COPY) || in->value[REEL_F_COPY].u == core->copy);
    if (reading->status != REEL_OK) {
        enum reel_status status = current ? drop (core, effects) : REEL_OK;
        return status == REEL_OK ? refuse_failed (core, asker, reading->body, effects) : status;
    }
    uint64_t bytes = reading->page.next;
    bool fetched = bytes > 0 && offset >= bytes; /* by whoever asks for what comes after it */
    if (current)
        note_progress (core, bytes, offset);
    reel_buf_clear (&core->receipt);
    reel_pack_bin (&core->receipt, reading->body);
    if (reel_buf_status (&core->receipt) != REEL_OK)
        return REEL_NO_MEMORY;
    struct reel_message *ok = reel_request_begin (core, asker);
    reel_message_set_uint (ok, REEL_F_COPY, reel_message_has (in, REEL_F_COPY) ? in->value[REEL_F_COPY].u : core->copy);
    reel_message_set_uint (ok, REEL_F_OFFSET, offset);
    reel_message_set_uint (ok, REEL_F_BYTES, bytes);
    reel_message_set_bool (ok, REEL_F_MORE, bytes == 0 || offset + reading->body.len < bytes);
    reel_message_set_document (ok, reel_buf_slice (&core->receipt));
    enum reel_status status = reel_request_reply (core, asker, effects);
    return status == REEL_OK && fetched && current ? drop (core, effects) : status;
}

enum reel_status
reel_backup_tick (struct reel_core *core, struct reel_effects *effects)
{
    bool silent = core->now.monotonic_us - core->copy_heard_us >= SILENCE_US;
    return core->copy != 0 && (silent || core->disk_low) ? drop (core, effects) : REEL_OK;
}

int64_t
reel_backup_wake_us (const struct reel_core *core)
{
    return core->copy == 0 ? INT64_MAX : core->copy_heard_us + SILENCE_US;
}
