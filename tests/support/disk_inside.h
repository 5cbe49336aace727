/*
 * What disk.c, which keeps files and lets them fail, and disk_vfs.c, through which SQLite uses them, share.
 */
#ifndef REEL_TESTS_SUPPORT_DISK_INSIDE_H
#define REEL_TESTS_SUPPORT_DISK_INSIDE_H

#include <sqlite3.h>

#include "base/random.h"
#include "tests/support/disk.h"

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

struct file *disk_find_file (const struct disk *disk, const char *path);
/* Without a path: one that goes when it is closed. */
struct file *disk_add_file (struct disk *disk, const char *path);
/* Forgets files that nobody can reach any more. */
void disk_sweep (struct disk *disk);
void disk_write_file (struct file *file, size_t at, const uint8_t *data, size_t len);
void disk_truncate_file (struct file *file, size_t len);
void disk_sync_file (struct disk *disk, struct file *file);
/* There is one directory for all. */
void disk_sync_directory (struct disk *disk);

enum verdict { GO, FAIL, GO_THEN_FAIL };

/* Counts an operation, and says what is to become of it. */
enum verdict disk_judge (struct disk *disk, enum disk_operation kind);
/* How many of `len` bytes that are to be written at `at` still fit. */
size_t disk_room (const struct disk *disk, const struct file *file, size_t at, size_t len);

/* Makes it known to SQLite by its name. */
void disk_register (struct disk *disk);

#endif
