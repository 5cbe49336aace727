/*
 * Each file twice: as it looks to those who read it, and as it is on the platter; between the two the list of what
 * was done since the last sync.
 */
#include "tests/support/disk.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"

#define PATH_BYTES_MAX 512

/* What Unix says of its disks. */
#define SECTOR_SIZE 4096
#define CHARACTERISTICS SQLITE_IOCAP_POWERSAFE_OVERWRITE

struct bytes {
    uint8_t *data;
    size_t len;
    size_t cap;
};

/* A write, or (with `at` alone) a truncation to so many bytes. */
struct change {
    bool truncates;
    bool forsaken; /* a sync that was to keep it failed */
    size_t at;
    size_t len;
    size_t data; /* in the file's log */
};

struct file {
    struct file *next;
    char *path;
    bool linked; /* it has its name, as those who look see it */
    bool linked_durably;
    unsigned handles;
    struct bytes now;
    struct bytes durable;
    struct bytes log;
    struct change *changes;
    size_t change_count, change_cap;
};

struct fault {
    uint64_t at; /* of counts; 0: none */
    bool lasting;
};

struct disk {
    sqlite3_vfs vfs;
    char *name;
    struct file *files; /* in the order of their making */
    struct handle *handles;
    struct reel_random random;
    uint64_t operations;
    uint64_t counts[DISK_OPERATION_COUNT];
    struct fault faults[DISK_OPERATION_COUNT];
    uint64_t crash_at;
    bool crash_after;
    bool crashed;
    uint64_t limit;
};

struct handle {
    sqlite3_file base;
    struct handle *next;
    struct disk *disk;
    struct file *file;
    int lock;
    bool delete_on_close;
    bool syncs_directory; /* its next sync does, too */
};

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

static struct file *
find_file (const struct disk *disk, const char *path)
{
    struct file *file = disk->files;
    while (file && !(file->linked && file->path && strcmp (file->path, path) == 0))
        file = file->next;
    return file;
}

/* Without a path: one that goes when it is closed. */
static struct file *
add_file (struct disk *disk, const char *path)
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

/* Forgets files that nobody can reach any more. */
static void
sweep (struct disk *disk)
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

static void
write_file (struct file *file, size_t at, const uint8_t *data, size_t len)
{
    struct change *change = add_change (file);
    change->at = at;
    change->len = len;
    change->data = file->log.len;
    put (&file->log, file->log.len, data, len);
    put (&file->now, at, data, len);
}

static void
truncate_file (struct file *file, size_t len)
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

static void
sync_file (struct disk *disk, struct file *file)
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

/* There is one directory for all. */
static void
sync_directory (struct disk *disk)
{
    for (struct file *file = disk->files; file; file = file->next)
        file->linked_durably = file->linked;
}

/* --- faults ---------------------------------------------------------------------------------- */

enum verdict { GO, FAIL, GO_THEN_FAIL };

static enum verdict
judge (struct disk *disk, enum disk_operation kind)
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

/* How many of `len` bytes that are to be written at `at` still fit. */
static size_t
room (const struct disk *disk, const struct file *file, size_t at, size_t len)
{
    if (disk->limit == 0 || at + len <= file->now.len)
        return len;
    uint64_t used = disk_used (disk), more = at + len - file->now.len;
    uint64_t left = disk->limit > used ? disk->limit - used : 0;
    if (more <= left)
        return len;
    return more - left > len ? 0 : len - (size_t) (more - left);
}

/* --- an open file ---------------------------------------------------------------------------- */

static int
file_close (sqlite3_file *base)
{
    struct handle *handle = (struct handle *) base;
    struct handle **at = &handle->disk->handles;
    while (*at != handle)
        at = &(*at)->next;
    *at = handle->next;
    handle->file->handles--;
    if (handle->delete_on_close)
        handle->file->linked = handle->file->linked_durably = false;
    sweep (handle->disk);
    return SQLITE_OK;
}

static int
file_read (sqlite3_file *base, void *out, int amount, sqlite3_int64 offset)
{
    struct handle *handle = (struct handle *) base;
    const struct bytes *now = &handle->file->now;
    size_t at = (size_t) offset, len = (size_t) amount;
    if (judge (handle->disk, DISK_READ) != GO)
        return SQLITE_IOERR_READ;
    size_t there = at >= now->len ? 0 : now->len - at < len ? now->len - at : len;
    if (there > 0)
        memcpy (out, now->data + at, there);
    memset ((uint8_t *) out + there, 0, len - there);
    return there == len ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int
file_write (sqlite3_file *base, const void *data, int amount, sqlite3_int64 offset)
{
    struct handle *handle = (struct handle *) base;
    struct disk *disk = handle->disk;
    size_t at = (size_t) offset, len = (size_t) amount;
    bool crashed = disk->crashed;
    enum verdict verdict = judge (disk, DISK_WRITE);
    if (verdict == FAIL && (crashed || disk->crashed))
        return SQLITE_IOERR_WRITE;
    if (verdict == FAIL) {
        size_t part = (size_t) reel_random_below (&disk->random, len / DISK_SECTOR_BYTES + 1) * DISK_SECTOR_BYTES;
        if (part > 0)
            write_file (handle->file, at, data, part < len ? part : len);
        return SQLITE_IOERR_WRITE;
    }
    size_t fits = room (disk, handle->file, at, len);
    if (fits > 0)
        write_file (handle->file, at, data, fits);
    return verdict == GO_THEN_FAIL ? SQLITE_IOERR_WRITE : fits < len ? SQLITE_FULL : SQLITE_OK;
}

static int
file_truncate (sqlite3_file *base, sqlite3_int64 size)
{
    struct handle *handle = (struct handle *) base;
    enum verdict verdict = judge (handle->disk, DISK_TRUNCATE);
    if (verdict != FAIL)
        truncate_file (handle->file, (size_t) size);
    return verdict == GO ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

static int
file_sync (sqlite3_file *base, int flags)
{
    struct handle *handle = (struct handle *) base;
    struct file *file = handle->file;
    (void) flags;
    enum verdict verdict = judge (handle->disk, DISK_SYNC);
    if (verdict != FAIL) {
        sync_file (handle->disk, file);
        if (handle->syncs_directory)
            sync_directory (handle->disk);
        handle->syncs_directory = false;
    } else if (!handle->disk->crashed)
        for (size_t i = 0; i < file->change_count; i++)
            file->changes[i].forsaken = true;
    return verdict == GO ? SQLITE_OK : SQLITE_IOERR_FSYNC;
}

static int
file_size (sqlite3_file *base, sqlite3_int64 *size)
{
    struct handle *handle = (struct handle *) base;
    *size = (sqlite3_int64) handle->file->now.len;
    return handle->disk->crashed ? SQLITE_IOERR_FSTAT : SQLITE_OK;
}

static bool
held_by_another (const struct handle *handle, int at_least)
{
    for (const struct handle *other = handle->disk->handles; other; other = other->next)
        if (other != handle && other->file == handle->file && other->lock >= at_least)
            return true;
    return false;
}

static int
file_lock (sqlite3_file *base, int level)
{
    struct handle *handle = (struct handle *) base;
    int others = level == SQLITE_LOCK_SHARED     ? SQLITE_LOCK_PENDING
                 : level == SQLITE_LOCK_RESERVED ? SQLITE_LOCK_RESERVED
                                                 : SQLITE_LOCK_SHARED;
    if (level <= handle->lock)
        return SQLITE_OK;
    if (held_by_another (handle, others))
        return SQLITE_BUSY;
    handle->lock = level;
    return SQLITE_OK;
}

static int
file_unlock (sqlite3_file *base, int level)
{
    struct handle *handle = (struct handle *) base;
    if (level < handle->lock)
        handle->lock = level;
    return SQLITE_OK;
}

static int
file_check_lock (sqlite3_file *base, int *held)
{
    const struct handle *handle = (const struct handle *) base;
    *held = handle->lock >= SQLITE_LOCK_RESERVED || held_by_another (handle, SQLITE_LOCK_RESERVED);
    return SQLITE_OK;
}

static int
file_control (sqlite3_file *base, int operation, void *argument)
{
    (void) base, (void) operation, (void) argument;
    return SQLITE_NOTFOUND;
}

static int
sector_size (sqlite3_file *base)
{
    (void) base;
    return SECTOR_SIZE;
}

static int
characteristics (sqlite3_file *base)
{
    (void) base;
    return CHARACTERISTICS;
}

/* Without shared memory: a write-ahead log takes an exclusive lock. */
static const sqlite3_io_methods methods = {.iVersion = 1,
                                           .xClose = file_close,
                                           .xRead = file_read,
                                           .xWrite = file_write,
                                           .xTruncate = file_truncate,
                                           .xSync = file_sync,
                                           .xFileSize = file_size,
                                           .xLock = file_lock,
                                           .xUnlock = file_unlock,
                                           .xCheckReservedLock = file_check_lock,
                                           .xFileControl = file_control,
                                           .xSectorSize = sector_size,
                                           .xDeviceCharacteristics = characteristics};

/* --- the disk, as SQLite sees it ------------------------------------------------------------- */

static struct disk *
disk_of (sqlite3_vfs *vfs)
{
    return vfs->pAppData;
}

static int
vfs_open (sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *out_flags)
{
    struct disk *disk = disk_of (vfs);
    struct handle *handle = (struct handle *) base;
    *handle = (struct handle){.disk = disk, .delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) || !path};
    if (disk->crashed)
        return SQLITE_CANTOPEN;
    struct file *file = path ? find_file (disk, path) : NULL;
    if (file && (flags & SQLITE_OPEN_EXCLUSIVE))
        return SQLITE_CANTOPEN;
    if (!file) {
        enum verdict verdict = flags & SQLITE_OPEN_CREATE || !path ? judge (disk, DISK_CREATE) : FAIL;
        if (verdict != FAIL)
            file = add_file (disk, path);
        if (verdict != GO)
            return SQLITE_CANTOPEN;
    }
    file->handles++;
    handle->file = file;
    /* As Unix has it. */
    handle->syncs_directory = (flags & SQLITE_OPEN_CREATE)
                              && (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL));
    handle->base.pMethods = &methods;
    handle->next = disk->handles;
    disk->handles = handle;
    if (out_flags)
        *out_flags = flags;
    return SQLITE_OK;
}

static int
vfs_delete (sqlite3_vfs *vfs, const char *path, int durably)
{
    struct disk *disk = disk_of (vfs);
    struct file *file = disk->crashed ? NULL : find_file (disk, path);
    if (!file)
        return disk->crashed ? SQLITE_IOERR_DELETE : SQLITE_IOERR_DELETE_NOENT;
    enum verdict verdict = judge (disk, DISK_DELETE);
    if (verdict != FAIL) {
        file->linked = false;
        if (durably)
            sync_directory (disk);
        sweep (disk);
    }
    return verdict == GO ? SQLITE_OK : SQLITE_IOERR_DELETE;
}

static int
vfs_access (sqlite3_vfs *vfs, const char *path, int flags, int *result)
{
    struct disk *disk = disk_of (vfs);
    const struct file *file = find_file (disk, path);
    /* As Unix has it: an empty file is taken for none. */
    *result = file && (flags != SQLITE_ACCESS_EXISTS || file->now.len > 0);
    return disk->crashed ? SQLITE_IOERR_ACCESS : SQLITE_OK;
}

static int
vfs_full_pathname (sqlite3_vfs *vfs, const char *path, int bytes, char *out)
{
    size_t len = strlen (path) + 1;
    (void) vfs;
    if (len > (size_t) bytes)
        return SQLITE_CANTOPEN;
    memcpy (out, path, len);
    return SQLITE_OK;
}

static int
vfs_randomness (sqlite3_vfs *vfs, int bytes, char *out)
{
    struct disk *disk = disk_of (vfs);
    for (int i = 0; i < bytes; i++)
        out[i] = (char) reel_random_next (&disk->random);
    return bytes;
}

static int
vfs_sleep (sqlite3_vfs *vfs, int us)
{
    (void) vfs;
    return us;
}

static int
vfs_time (sqlite3_vfs *vfs, sqlite3_int64 *julian_ms)
{
    (void) vfs;
    *julian_ms = 212000000000000;
    return SQLITE_OK;
}

static int
vfs_time_days (sqlite3_vfs *vfs, double *days)
{
    sqlite3_int64 ms;
    int code = vfs_time (vfs, &ms);
    *days = (double) ms / 86400000.0;
    return code;
}

static int
vfs_last_error (sqlite3_vfs *vfs, int bytes, char *out)
{
    (void) vfs, (void) bytes, (void) out;
    return 0;
}

struct disk *
disk_create (const char *name, uint64_t seed)
{
    struct disk *disk = calloc (1, sizeof *disk);
    REEL_ASSERT (disk != NULL);
    disk->name = strdup (name);
    REEL_ASSERT (disk->name != NULL && !sqlite3_vfs_find (name));
    disk->vfs = (sqlite3_vfs){.iVersion = 2,
                              .szOsFile = sizeof (struct handle),
                              .mxPathname = PATH_BYTES_MAX,
                              .zName = disk->name,
                              .pAppData = disk,
                              .xOpen = vfs_open,
                              .xDelete = vfs_delete,
                              .xAccess = vfs_access,
                              .xFullPathname = vfs_full_pathname,
                              .xRandomness = vfs_randomness,
                              .xSleep = vfs_sleep,
                              .xCurrentTime = vfs_time_days,
                              .xGetLastError = vfs_last_error,
                              .xCurrentTimeInt64 = vfs_time};
    REEL_ASSERT (sqlite3_vfs_register (&disk->vfs, 0) == SQLITE_OK);
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
        copy_file (file, add_file (to, file->path));
    sweep (to);
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
        struct file *older = stays ? find_file (disk, file->path) : NULL;
        if (older)
            older->linked = older->linked_durably = false;
        file->linked = file->linked_durably = stays;
    }
    sweep (disk);
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
    struct file *file = find_file (disk, path);
    REEL_ASSERT (file != NULL);
    return file;
}

const uint8_t *
disk_file (const struct disk *disk, const char *path, size_t *len)
{
    static const uint8_t nothing[1];
    const struct file *file = find_file (disk, path);
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
    sweep (disk);
}
