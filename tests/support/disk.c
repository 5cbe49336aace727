/*
 * Each file twice: as it looks to those who read it, and as it is on the platter; between the two the list of what
 * was done since the last sync.
 */
#include "tests/support/disk.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/support/disk_inside.h"

/* --- bytes ----------------------------------------------------------------------------------- */

static void *
grown (void *memory, size_t *cap, size_t count, size_t size)
{
    if (count <= *cap)
        return memory;
    size_t wanted = *cap < 16 ? 16 : *cap;
    while (wanted < count)
        wanted *= 2;
    memory = realloc (memory, wanted * size);
    REEL_ASSERT (memory != NULL);
    *cap = wanted;
    return memory;
}

/* What is new is zeros. */
static void
resize (struct bytes *bytes, size_t len)
{
    bytes->data = grown (bytes->data, &bytes->cap, len, 1);
    if (len > bytes->len)
        memset (bytes->data + bytes->len, 0, len - bytes->len);
    bytes->len = len;
}

static void
put (struct bytes *bytes, size_t at, const uint8_t *data, size_t len)
{
    if (at + len > bytes->len)
        resize (bytes, at + len);
    if (len > 0)
        memcpy (bytes->data + at, data, len);
}

static void
replace (struct bytes *bytes, const struct bytes *by)
{
    bytes->len = 0;
    put (bytes, 0, by->data, by->len);
}

/* --- files ----------------------------------------------------------------------------------- */

struct file *
disk_find_file (const struct disk *disk, const char *path)
{
    struct file *file = disk->files;
    while (file && !(file->linked && file->path && strcmp (file->path, path) == 0))
        file = file->next;
    return file;
}

struct file *
disk_add_file (struct disk *disk, const char *path)
{
    struct file *file = calloc (1, sizeof *file);
    REEL_ASSERT (file != NULL);
    if (path) {
        file->path = strdup (path);
        REEL_ASSERT (file->path != NULL);
        file->linked = true;
    }
    struct file **end = &disk->files;
    while (*end)
        end = &(*end)->next;
    *end = file;
    return file;
}

static void
free_file (struct file *file)
{
    free (file->path);
    free (file->now.data);
    free (file->durable.data);
    free (file->log.data);
    free (file->changes);
    free (file);
}

void
disk_sweep (struct disk *disk)
{
    for (struct file **at = &disk->files; *at;) {
        struct file *file = *at;
        if (file->linked || file->linked_durably || file->handles > 0) {
            at = &file->next;
            continue;
        }
        *at = file->next;
        free_file (file);
    }
}

static struct change *
add_change (struct file *file)
{
    file->changes = grown (file->changes, &file->change_cap, file->change_count + 1, sizeof *file->changes);
    struct change *change = &file->changes[file->change_count++];
    *change = (struct change){0};
    return change;
}

void
disk_write_file (struct file *file, size_t at, const uint8_t *data, size_t len)
{
    struct change *change = add_change (file);
    change->at = at;
    change->len = len;
    change->data = file->log.len;
    put (&file->log, file->log.len, data, len);
    put (&file->now, at, data, len);
}

void
disk_truncate_file (struct file *file, size_t len)
{
    struct change *change = add_change (file);
    change->truncates = true;
    change->at = len;
    resize (&file->now, len);
}

static void
forget_changes (struct file *file)
{
    file->change_count = 0;
    file->log.len = 0;
}

/* Bytes [from, to) of a write reach the platter. */
static void
apply_part (struct file *file, const struct change *change, size_t from, size_t to)
{
    put (&file->durable, change->at + from, file->log.data + change->data + from, to - from);
}

/* Its name is durable: no older file's of that name is. */
static void
settle_name (struct disk *disk, struct file *file)
{
    file->linked_durably = file->linked;
    for (struct file *other = disk->files; other; other = other->next)
        if (file->linked && other != file && other->path && strcmp (other->path, file->path) == 0)
            other->linked_durably = false;
}

void
disk_sync_file (struct disk *disk, struct file *file)
{
    for (size_t i = 0; i < file->change_count; i++) {
        const struct change *change = &file->changes[i];
        if (change->forsaken)
            continue;
        if (change->truncates)
            resize (&file->durable, change->at);
        else
            apply_part (file, change, 0, change->len);
    }
    settle_name (disk, file);
    forget_changes (file);
}

void
disk_sync_directory (struct disk *disk)
{
    for (struct file *file = disk->files; file; file = file->next)
        file->linked_durably = file->linked;
}

/* --- faults ---------------------------------------------------------------------------------- */

enum verdict
disk_judge (struct disk *disk, enum disk_operation kind)
{
    if (disk->crashed)
        return FAIL;
    disk->operations += kind != DISK_READ;
    if (kind != DISK_READ && disk->operations == disk->crash_at) {
        disk->crashed = true;
        return disk->crash_after ? GO_THEN_FAIL : FAIL;
    }
    uint64_t number = ++disk->counts[kind];
    const struct fault *fault = &disk->faults[kind];
    bool fails = fault->at != 0 && (fault->lasting ? number >= fault->at : number == fault->at);
    return fails ? FAIL : GO;
}

size_t
disk_room (const struct disk *disk, const struct file *file, size_t at, size_t len)
{
    if (disk->limit == 0 || at + len <= file->now.len)
        return len;
    uint64_t used = disk_used (disk), more = at + len - file->now.len;
    uint64_t left = disk->limit > used ? disk->limit - used : 0;
    if (more <= left)
        return len;
    return more - left > len ? 0 : len - (size_t) (more - left);
}

/* --- disks ------------------------------------------------------------------------------------ */

struct disk *
disk_create (const char *name, uint64_t seed)
{
    struct disk *disk = calloc (1, sizeof *disk);
    REEL_ASSERT (disk != NULL);
    disk->name = strdup (name);
    REEL_ASSERT (disk->name != NULL && !sqlite3_vfs_find (name));
    disk_register (disk);
    disk_reseed (disk, seed);
    return disk;
}

static void
forget_files (struct disk *disk)
{
    REEL_ASSERT (!disk->handles);
    for (struct file *file = disk->files; file; file = disk->files) {
        disk->files = file->next;
        free_file (file);
    }
}

void
disk_destroy (struct disk **disk)
{
    struct disk *going = *disk;
    *disk = NULL;
    if (!going)
        return;
    forget_files (going);
    REEL_ASSERT (sqlite3_vfs_unregister (&going->vfs) == SQLITE_OK);
    free (going->name);
    free (going);
}

const char *
disk_name (const struct disk *disk)
{
    return disk->name;
}

void
disk_reseed (struct disk *disk, uint64_t seed)
{
    reel_random_seed (&disk->random, seed);
    REEL_ASSERT (sqlite3_test_control (SQLITE_TESTCTRL_PRNG_SEED, (int) (seed | 1), NULL) == SQLITE_OK);
}

static void
forget_faults (struct disk *disk)
{
    disk->crashed = false;
    memset (disk->faults, 0, sizeof disk->faults);
}

static void
copy_file (const struct file *from, struct file *to)
{
    to->linked = from->linked;
    to->linked_durably = from->linked_durably;
    replace (&to->now, &from->now);
    replace (&to->durable, &from->durable);
    replace (&to->log, &from->log);
    for (size_t i = 0; i < from->change_count; i++)
        *add_change (to) = from->changes[i];
}

void
disk_copy (const struct disk *from, struct disk *to)
{
    forget_files (to);
    forget_faults (to);
    to->crash_at = to->operations = to->limit = 0;
    memset (to->counts, 0, sizeof to->counts);
    for (const struct file *file = from->files; file; file = file->next)
        copy_file (file, disk_add_file (to, file->path));
    disk_sweep (to);
}

/* --- faults, from outside -------------------------------------------------------------------- */

uint64_t
disk_operations (const struct disk *disk)
{
    return disk->operations;
}

uint64_t
disk_count (const struct disk *disk, enum disk_operation kind)
{
    return disk->counts[kind];
}

void
disk_crash_at (struct disk *disk, uint64_t at, bool after)
{
    disk->crash_at = at;
    disk->crash_after = after;
}

void
disk_crash (struct disk *disk)
{
    disk->crashed = true;
}

bool
disk_crashed (const struct disk *disk)
{
    return disk->crashed;
}

/* Which sectors of a file are kept: the first `prefix` of them, or with a chance in four. */
struct luck {
    enum disk_restart how;
    uint64_t prefix;
    uint64_t chance;
};

static bool
is_kept (struct disk *disk, struct luck *luck)
{
    switch (luck->how) {
    case DISK_TORN: return luck->prefix > 0 && luck->prefix-- > 0;
    case DISK_REORDERED: return reel_random_below (&disk->random, 4) < luck->chance;
    case DISK_ALL_LOST: return false;
    default: return true;
    }
}

/* The end of the sector in which byte `from` of a write lies, counted as `from` is. */
static size_t
sector_end (const struct change *change, size_t from)
{
    size_t to = from + DISK_SECTOR_BYTES - (change->at + from) % DISK_SECTOR_BYTES;
    return to < change->len ? to : change->len;
}

static uint64_t
count_sectors (const struct file *file)
{
    uint64_t count = 0;
    for (size_t i = 0; i < file->change_count; i++) {
        const struct change *change = &file->changes[i];
        count += change->truncates;
        for (size_t from = 0; from < change->len; from = sector_end (change, from))
            count++;
    }
    return count;
}

static void
lose_changes (struct disk *disk, struct file *file, enum disk_restart how)
{
    struct luck luck = {.how = how, .chance = 1 + reel_random_below (&disk->random, 3)};
    luck.prefix = how == DISK_TORN ? reel_random_below (&disk->random, count_sectors (file) + 1) : 0;
    size_t longest = file->durable.len;
    for (size_t i = 0; i < file->change_count; i++) {
        const struct change *change = &file->changes[i];
        if (change->truncates && !change->forsaken && is_kept (disk, &luck))
            resize (&file->durable, longest = change->at);
        for (size_t from = 0, to; from < change->len; from = to) {
            to = sector_end (change, from);
            if (change->forsaken || !is_kept (disk, &luck))
                continue;
            apply_part (file, change, from, to);
        }
        if (!change->truncates && !change->forsaken && change->at + change->len > longest)
            longest = change->at + change->len;
    }
    /* A size may be on disk before what it is the size of. */
    if (how == DISK_REORDERED && longest > file->durable.len && reel_random_below (&disk->random, 4) == 0)
        resize (&file->durable, longest);
    forget_changes (file);
    replace (&file->now, &file->durable);
}

/* Whether a name that was given or taken since the last sync is there. */
static bool
name_stays (struct disk *disk, const struct file *file, enum disk_restart how)
{
    if (file->linked == file->linked_durably || how == DISK_ALL_KEPT)
        return file->linked;
    if (how == DISK_ALL_LOST)
        return file->linked_durably;
    return reel_random_below (&disk->random, 2) == 0;
}

void
disk_restart (struct disk *disk, enum disk_restart how)
{
    REEL_ASSERT (!disk->handles);
    forget_faults (disk);
    if (how == DISK_PROCESS_ENDED)
        return;
    for (struct file *file = disk->files; file; file = file->next) {
        lose_changes (disk, file, how);
        bool stays = name_stays (disk, file, how);
        file->linked = file->linked_durably = false;
        struct file *older = stays ? disk_find_file (disk, file->path) : NULL;
        if (older)
            older->linked = older->linked_durably = false;
        file->linked = file->linked_durably = stays;
    }
    disk_sweep (disk);
}

void
disk_fail_at (struct disk *disk, enum disk_operation kind, uint64_t at, bool lasting)
{
    disk->faults[kind] = (struct fault){at == 0 ? 0 : disk->counts[kind] + at, lasting};
}

void
disk_limit (struct disk *disk, uint64_t bytes)
{
    disk->limit = bytes;
}

uint64_t
disk_used (const struct disk *disk)
{
    uint64_t used = 0;
    for (const struct file *file = disk->files; file; file = file->next)
        used += file->now.len;
    return used;
}

/* --- looking and damaging -------------------------------------------------------------------- */

static struct file *
must_find (const struct disk *disk, const char *path)
{
    struct file *file = disk_find_file (disk, path);
    REEL_ASSERT (file != NULL);
    return file;
}

const uint8_t *
disk_file (const struct disk *disk, const char *path, size_t *len)
{
    static const uint8_t nothing[1];
    const struct file *file = disk_find_file (disk, path);
    *len = file ? file->now.len : 0;
    return !file ? NULL : file->now.data ? file->now.data : nothing;
}

void
disk_flip (struct disk *disk, const char *path, size_t at, uint8_t mask)
{
    struct file *file = must_find (disk, path);
    REEL_ASSERT (at < file->now.len);
    file->now.data[at] ^= mask;
    if (at < file->durable.len)
        file->durable.data[at] ^= mask;
}

void
disk_cut (struct disk *disk, const char *path, size_t len)
{
    struct file *file = must_find (disk, path);
    if (len < file->now.len)
        resize (&file->now, len);
    if (len < file->durable.len)
        resize (&file->durable, len);
}

static void
blank (struct bytes *bytes, size_t at, size_t len)
{
    if (at < bytes->len)
        memset (bytes->data + at, 0, len < bytes->len - at ? len : bytes->len - at);
}

void
disk_blank (struct disk *disk, const char *path, size_t at, size_t len)
{
    struct file *file = must_find (disk, path);
    blank (&file->now, at, len);
    blank (&file->durable, at, len);
}

void
disk_remove (struct disk *disk, const char *path)
{
    struct file *file = must_find (disk, path);
    file->linked = file->linked_durably = false;
    disk_sweep (disk);
}
