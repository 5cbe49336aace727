/*
 * What the database looks like, and how that of an earlier version becomes this one.
 *
 * `batch` holds what was decided, `ended` a row for each ended workflow, `head` where recovery goes from and what is
 * retained. Batches check each other by their chain; a row of `ended` carries a hash of its own, and the records say how
 * many of them there are.
 */
#include <stdio.h>
#include <string.h>

#include "broker/journal_sqlite.h"

#define APPLICATION_ID 1919247724 /* "reel" */
#define FORMAT 2

#define ROW_BYTES_MAX 1024

#define HEAD_SQL                                                                                                       \
    "CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), first_seq INTEGER NOT NULL,"                            \
    " kept_number INTEGER NOT NULL, kept_chain BLOB NOT NULL, snapshot_number INTEGER NOT NULL);"                      \
    "INSERT INTO head VALUES (1, 1, 1, zeroblob (32), 0);"                                                             \
    "PRAGMA user_version = 2;"

static const char create_sql[] = "BEGIN IMMEDIATE;"
                                 "CREATE TABLE batch (number INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL,"
                                 " event_count INTEGER NOT NULL, epoch INTEGER NOT NULL, chain BLOB NOT NULL,"
                                 " records BLOB NOT NULL);"
                                 "CREATE TABLE ended (accepted_seq INTEGER PRIMARY KEY, ended_seq INTEGER NOT NULL,"
                                 " workflow_id TEXT NOT NULL, origin TEXT, status TEXT NOT NULL,"
                                 " submitted_us INTEGER NOT NULL, started_us INTEGER NOT NULL,"
                                 " finished_us INTEGER NOT NULL, deliveries INTEGER NOT NULL, row_check INTEGER);"
                                 "CREATE INDEX ended_rare ON ended (status, accepted_seq) WHERE status <> 'succeeded';"
                                 "PRAGMA application_id = 1919247724;" HEAD_SQL;

/* Format 1 had no snapshots and forgot nothing; its records are read as they are. */
static const char upgrade_sql[] = "BEGIN IMMEDIATE;"
                                  "ALTER TABLE ended ADD COLUMN row_check INTEGER;"
                                  "UPDATE ended SET row_check = row_check (" REEL_JOURNAL_ROW ");" HEAD_SQL;

/* A hash of its arguments. */
static void
row_check (sqlite3_context *context, int count, sqlite3_value **values)
{
    static const uint8_t key[REEL_FINGERPRINT_KEY_BYTES];
    uint8_t bytes[ROW_BYTES_MAX];
    size_t len = 0;
    for (int i = 0; i < count; i++) {
        bool text = sqlite3_value_type (values[i]) == SQLITE_TEXT;
        sqlite3_int64 number = sqlite3_value_int64 (values[i]);
        const void *data = text ? (const void *) sqlite3_value_text (values[i]) : &number;
        size_t size = text ? (size_t) sqlite3_value_bytes (values[i]) : sizeof number;
        if (!data || size > sizeof bytes - len - 2)
            return; /* NULL: no row of ours */
        bytes[len++] = (uint8_t) sqlite3_value_type (values[i]);
        bytes[len++] = (uint8_t) size;
        memcpy (bytes + len, data, size);
        len += size;
    }
    sqlite3_result_int64 (context, (sqlite3_int64) reel_hash_fingerprint (key, reel_slice (bytes, len)));
}

static bool
read_number (struct reel_journal *journal, const char *sql, sqlite3_int64 *number)
{
    sqlite3_stmt *statement = NULL;
    bool read = sqlite3_prepare_v2 (journal->db, sql, -1, &statement, NULL) == SQLITE_OK
                && sqlite3_step (statement) == SQLITE_ROW;
    *number = read ? sqlite3_column_int64 (statement, 0) : 0;
    (void) sqlite3_finalize (statement);
    return read;
}

static bool
run_sql (struct reel_journal *journal, const char *sql)
{
    return sqlite3_exec (journal->db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* What is not committed stays in memory, however much it is, and ends with the connection. */
static bool
change (struct reel_journal *journal, const char *sql)
{
    return journal->look_only ? run_sql (journal, "PRAGMA cache_spill = OFF;") && run_sql (journal, sql)
                              : run_sql (journal, sql) && run_sql (journal, "COMMIT;");
}

enum reel_status
reel_journal_format_check (struct reel_journal *journal, struct reel_error *err)
{
    sqlite3_int64 tables, application, format;
    if (sqlite3_create_function_v2 (journal->db, "row_check", 9, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY,
                                    NULL, row_check, NULL, NULL, NULL)
            != SQLITE_OK
        || !read_number (journal, "SELECT count (*) FROM sqlite_schema", &tables)
        || !read_number (journal, "PRAGMA application_id", &application)
        || !read_number (journal, "PRAGMA user_version", &format))
        return reel_journal_fail (journal, "open it", err);
    if (tables == 0 && application == 0 && format == 0)
        return change (journal, create_sql) ? REEL_OK : reel_journal_fail (journal, "make its tables", err);
    if (application != APPLICATION_ID)
        return reel_error_set (
            err, REEL_INVALID, "journal_foreign", NULL,
            "%s is not a journal of reel, or damaged: restore the directory from a backup, or name another one",
            journal->path);
    if (format == 1)
        return change (journal, upgrade_sql) ? REEL_OK : reel_journal_fail (journal, "bring it to format 2", err);
    if (format != FORMAT)
        return reel_error_set (err, REEL_INVALID, "journal_format", NULL,
                               "%s has format %lld, and this version of reel knows those up to %d: use the version "
                               "that wrote it",
                               journal->path, (long long) format, FORMAT);
    return REEL_OK;
}
