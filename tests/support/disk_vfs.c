/*
 * The disk as SQLite sees it: a VFS, whose operations are judged before they are done.
 */
#include <string.h>

#include "base/assert.h"
#include "tests/support/disk_inside.h"

#define PATH_BYTES_MAX 512

/* What Unix says of its disks. */
#define SECTOR_SIZE 4096
#define CHARACTERISTICS SQLITE_IOCAP_POWERSAFE_OVERWRITE

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
    disk_sweep (handle->disk);
    return SQLITE_OK;
}

static int
file_read (sqlite3_file *base, void *out, int amount, sqlite3_int64 offset)
{
    struct handle *handle = (struct handle *) base;
    const struct bytes *now = &handle->file->now;
    size_t at = (size_t) offset, len = (size_t) amount;
    if (disk_judge (handle->disk, DISK_READ) != GO)
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
    enum verdict verdict = disk_judge (disk, DISK_WRITE);
    if (verdict == FAIL && (crashed || disk->crashed))
        return SQLITE_IOERR_WRITE;
    if (verdict == FAIL) {
        size_t part = (size_t) reel_random_below (&disk->random, len / DISK_SECTOR_BYTES + 1) * DISK_SECTOR_BYTES;
        if (part > 0)
            disk_write_file (handle->file, at, data, part < len ? part : len);
        return SQLITE_IOERR_WRITE;
    }
    size_t fits = disk_room (disk, handle->file, at, len);
    if (fits > 0)
        disk_write_file (handle->file, at, data, fits);
    return verdict == GO_THEN_FAIL ? SQLITE_IOERR_WRITE : fits < len ? SQLITE_FULL : SQLITE_OK;
}

static int
file_truncate (sqlite3_file *base, sqlite3_int64 size)
{
    struct handle *handle = (struct handle *) base;
    enum verdict verdict = disk_judge (handle->disk, DISK_TRUNCATE);
    if (verdict != FAIL)
        disk_truncate_file (handle->file, (size_t) size);
    return verdict == GO ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

static int
file_sync (sqlite3_file *base, int flags)
{
    struct handle *handle = (struct handle *) base;
    struct file *file = handle->file;
    (void) flags;
    enum verdict verdict = disk_judge (handle->disk, DISK_SYNC);
    if (verdict != FAIL) {
        disk_sync_file (handle->disk, file);
        if (handle->syncs_directory)
            disk_sync_directory (handle->disk);
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
    struct file *file = path ? disk_find_file (disk, path) : NULL;
    if (file && (flags & SQLITE_OPEN_EXCLUSIVE))
        return SQLITE_CANTOPEN;
    if (!file) {
        enum verdict verdict = flags & SQLITE_OPEN_CREATE || !path ? disk_judge (disk, DISK_CREATE) : FAIL;
        if (verdict != FAIL)
            file = disk_add_file (disk, path);
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
    struct file *file = disk->crashed ? NULL : disk_find_file (disk, path);
    if (!file)
        return disk->crashed ? SQLITE_IOERR_DELETE : SQLITE_IOERR_DELETE_NOENT;
    enum verdict verdict = disk_judge (disk, DISK_DELETE);
    if (verdict != FAIL) {
        file->linked = false;
        if (durably)
            disk_sync_directory (disk);
        disk_sweep (disk);
    }
    return verdict == GO ? SQLITE_OK : SQLITE_IOERR_DELETE;
}

static int
vfs_access (sqlite3_vfs *vfs, const char *path, int flags, int *result)
{
    struct disk *disk = disk_of (vfs);
    const struct file *file = disk_find_file (disk, path);
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

void
disk_register (struct disk *disk)
{
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
}
