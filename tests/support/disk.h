/*
 * A disk in memory, as a VFS of SQLite: what was written but not synced may be lost, in part or out of order, when the
 * machine stops; operations can be made to fail; and all of it follows from a seed.
 *
 * As a real one it keeps what was synced, and a byte that was not written is never changed by a write beside it
 * (SQLite's "powersafe overwrite"). A sync that fails has given up what it was to keep: a later one that succeeds does
 * not bring it back. Syncing a file that was made makes its name durable too, and the first sync of a log or journal
 * that may have been made syncs the directory, as SQLite's VFS for Unix does it. Several disks may exist, each a VFS
 * with a name of its own. Running out of real memory ends the program.
 */
#ifndef REEL_TESTS_SUPPORT_DISK_H
#define REEL_TESTS_SUPPORT_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISK_SECTOR_BYTES 512

enum disk_operation { DISK_READ, DISK_WRITE, DISK_SYNC, DISK_TRUNCATE, DISK_CREATE, DISK_DELETE, DISK_OPERATION_COUNT };

/* What has become of what was not synced. */
enum disk_restart {
    DISK_PROCESS_ENDED, /* the machine did not stop: all is there, and still not synced */
    DISK_ALL_KEPT,
    DISK_ALL_LOST,
    DISK_TORN,      /* of each file, the first so many sectors in the order of writing */
    DISK_REORDERED, /* of each file, any of its sectors; lost ones that others were written behind are zeros */
    DISK_RESTART_COUNT
};

struct disk;

/* Registers the VFS `name`, and seeds SQLite's own random numbers, which all disks share. */
struct disk *disk_create (const char *name, uint64_t seed);
void disk_destroy (struct disk **disk);
const char *disk_name (const struct disk *disk);
/* Makes `to`, which nobody has open, hold what `from` holds, synced and not. Counts, faults and limits are not taken
 * along: `to` has none, and has not crashed. */
void disk_copy (const struct disk *from, struct disk *to);
/* From here on what follows from chance follows from this seed. */
void disk_reseed (struct disk *disk, uint64_t seed);

/* --- faults --------------------------------------------------------------------------------- */

/* All operations but reads since the disk was made or copied to; or those of one kind. */
uint64_t disk_operations (const struct disk *disk);
uint64_t disk_count (const struct disk *disk, enum disk_operation kind);
/* Stops at operation `at` of disk_operations() (the first is 1; 0: never), before it has been done or after. Whoever
 * asked for it sees it fail, as everything from then on. */
void disk_crash_at (struct disk *disk, uint64_t at, bool after);
/* Stops now. */
void disk_crash (struct disk *disk);
bool disk_crashed (const struct disk *disk);
/* Goes on after a crash (or without one). All files must have been closed. Faults that were to come are over; a crash
 * that is, and a limit, stay. */
void disk_restart (struct disk *disk, enum disk_restart how);
/* The operation number `at` of its kind from now on fails, and with `lasting` all later ones (0: none does). A write
 * that fails may have written a part. */
void disk_fail_at (struct disk *disk, enum disk_operation kind, uint64_t at, bool lasting);
/* The disk is full at so many bytes; 0: never. */
void disk_limit (struct disk *disk, uint64_t bytes);
uint64_t disk_used (const struct disk *disk);

/* --- looking and damaging ------------------------------------------------------------------- */

/* The bytes of a file; NULL: there is none. Good until it changes. */
const uint8_t *disk_file (const struct disk *disk, const char *path, size_t *len);
/* Changes the bits of `mask` in one byte. */
void disk_flip (struct disk *disk, const char *path, size_t at, uint8_t mask);
/* Cuts a file that is longer. */
void disk_cut (struct disk *disk, const char *path, size_t len);
/* Makes zeros of what a file has there. */
void disk_blank (struct disk *disk, const char *path, size_t at, size_t len);
void disk_remove (struct disk *disk, const char *path);

#endif
