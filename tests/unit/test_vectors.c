/*
 * The bytes of every document and message under tests/vectors are those that reel reads and
 * writes today, and no message and no field of the tables is without a vector.
 */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "proto/json.h"
#include "proto/message.h"
#include "proto/outcome.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/support/suite.h"

#define VECTORS REEL_SOURCE_DIR "/tests/vectors"
#define LINES_MAX 5
#define FILES_MAX 1000

struct vector {
    char name[256]; /* of the file, up to ".vector" */
    char *json;
    struct reel_buf lines[LINES_MAX]; /* what the lines of hexadecimal say */
    size_t line_count;
};

static unsigned
hex_digit (const char *name, char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = digit != '\0' ? strchr (digits, digit) : NULL;
    ck_assert_msg (at != NULL, "%s: '%c' is no lower-case hexadecimal", name, digit);
    return (unsigned) (at - digits);
}

static void
read_hex (const char *name, const char *line, struct reel_buf *out)
{
    for (; *line != '\0'; line += 2)
        reel_buf_add_byte (out, (uint8_t) (hex_digit (name, line[0]) << 4 | hex_digit (name, line[1])));
    ck_assert_int_eq (reel_buf_status (out), REEL_OK);
}

/* One line without its end; NULL at the end of the file. The caller frees it. */
static char *
read_line (FILE *file)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t len = getline (&line, &cap, file);
    if (len <= 0) {
        free (line);
        return NULL;
    }
    ck_assert_int_eq (line[len - 1], '\n');
    line[len - 1] = '\0';
    return line;
}

static void
vector_open (struct vector *vector, const char *folder, const char *name)
{
    memset (vector, 0, sizeof *vector);
    char path[1024];
    ck_assert_int_lt (snprintf (vector->name, sizeof vector->name, "%s", name), (int) sizeof vector->name);
    ck_assert_int_lt (snprintf (path, sizeof path, VECTORS "/%s/%s.vector", folder, name), (int) sizeof path);
    FILE *file = fopen (path, "r");
    ck_assert_msg (file != NULL, "%s cannot be read", path);
    vector->json = read_line (file);
    ck_assert_msg (vector->json != NULL, "%s is empty", path);
    char *line;
    while ((line = read_line (file)) != NULL) {
        ck_assert_uint_lt (vector->line_count, LINES_MAX);
        read_hex (name, line, &vector->lines[vector->line_count++]);
        free (line);
    }
    ck_assert_msg (vector->line_count > 0, "%s has no bytes", path);
    fclose (file);
}

static void
vector_close (struct vector *vector)
{
    free (vector->json);
    for (size_t i = 0; i < vector->line_count; i++)
        reel_buf_free (&vector->lines[i]);
}

static int
is_vector (const struct dirent *entry)
{
    size_t len = strlen (entry->d_name);
    return len > 7 && strcmp (entry->d_name + len - 7, ".vector") == 0;
}

/* Calls `look` for each vector of a folder and returns how many there were. */
static int
each_vector (const char *folder, void (*look) (const struct vector *vector))
{
    char path[1024];
    ck_assert_int_lt (snprintf (path, sizeof path, VECTORS "/%s", folder), (int) sizeof path);
    struct dirent **entries;
    int count = scandir (path, &entries, is_vector, alphasort);
    ck_assert_msg (count > 0 && count < FILES_MAX, "%d vectors in %s", count, path);
    for (int i = 0; i < count; i++) {
        struct vector vector;
        entries[i]->d_name[strlen (entries[i]->d_name) - 7] = '\0';
        vector_open (&vector, folder, entries[i]->d_name);
        look (&vector);
        vector_close (&vector);
        free (entries[i]);
    }
    free (entries);
    return count;
}

static void
ck_assert_bytes (const char *name, const char *what, const struct reel_buf *got, const struct reel_buf *expected)
{
    ck_assert_msg (reel_slice_equal (reel_buf_slice (got), reel_buf_slice (expected)), "%s: %s", name, what);
}

static void
add_json (struct reel_buf *out, const struct reel_buf *msgpack)
{
    ck_assert_int_eq (reel_scan_check (reel_buf_slice (msgpack), REEL_DEPTH_MAX, NULL), REEL_OK);
    ck_assert_int_eq (reel_json_write (reel_buf_slice (msgpack), REEL_JSON_COMPACT, out), REEL_OK);
}

static void
ck_assert_json (const struct vector *vector, const struct reel_buf *json)
{
    ck_assert_msg (reel_slice_is (reel_buf_slice (json), vector->json), "%s: the bytes say\n%.*s\ninstead of\n%s",
                   vector->name, REEL_TEXT (reel_buf_slice (json)), vector->json);
}

/* --- documents ------------------------------------------------------------------------------ */

static void
look_at_document (const struct vector *vector)
{
    struct reel_buf json = {0}, msgpack = {0};
    ck_assert_uint_eq (vector->line_count, 1);
    add_json (&json, &vector->lines[0]);
    ck_assert_json (vector, &json);
    ck_assert_int_eq (reel_json_read (reel_slice_text (vector->json), &msgpack, NULL), REEL_OK);
    ck_assert_bytes (vector->name, "the JSON gives other bytes", &msgpack, &vector->lines[0]);
    if (strncmp (vector->name, "workflow_", strlen ("workflow_")) == 0) {
        struct reel_workflow workflow = {0};
        struct reel_error err = {.message = ""};
        enum reel_status status = reel_workflow_parse (&workflow, reel_buf_slice (&msgpack), REEL_WORKFLOW_STRICT,
                                                       &err);
        ck_assert_msg (status == REEL_OK, "%s: %s at %s", vector->name, err.message, err.path);
        reel_workflow_free (&workflow);
    }
    reel_buf_free (&json);
    reel_buf_free (&msgpack);
}

START_TEST (documents)
{
    ck_assert_int_ge (each_vector ("documents", look_at_document), 19);
}
END_TEST

/* The workflow as it stands and its receipt, made from what was submitted and what happened. */
START_TEST (what_becomes_of_a_workflow)
{
    struct vector submitted, finished, receipt;
    vector_open (&submitted, "documents", "workflow_keyframe_video");
    vector_open (&finished, "documents", "workflow_keyframe_video_finished");
    vector_open (&receipt, "documents", "receipt_keyframe_video");
    struct reel_workflow before = {0}, after = {0};
    ck_assert_int_eq (reel_workflow_parse (&before, reel_buf_slice (&submitted.lines[0]), REEL_WORKFLOW_STRICT, NULL),
                      REEL_OK);
    ck_assert_int_eq (reel_workflow_parse (&after, reel_buf_slice (&finished.lines[0]), REEL_WORKFLOW_STRICT, NULL),
                      REEL_OK);
    struct reel_outcome outcomes[4];
    ck_assert_uint_eq (after.step_count, 4);
    for (uint32_t i = 0; i < 4; i++)
        outcomes[i] = reel_outcome_of (&after.steps[i]);

    struct reel_buf out = {0};
    reel_outcome_document (&out, &before, outcomes, REEL_SLICE_NONE, REEL_SLICE_NONE);
    ck_assert_bytes (finished.name, "the workflow as it stands is another", &out, &finished.lines[0]);

    const struct reel_final final = {.workflow_id = before.workflow_id,
                                     .status = "succeeded",
                                     .created_at = before.created_at,
                                     .submitted_us = 1777367406000000,
                                     .started_us = 1777367406000500,
                                     .finished_us = outcomes[3].finished_us,
                                     .deliveries = 1};
    reel_buf_clear (&out);
    reel_outcome_receipt (&out, &final, &before, outcomes);
    ck_assert_bytes (receipt.name, "the final receipt is another", &out, &receipt.lines[0]);

    reel_buf_free (&out);
    reel_workflow_free (&before);
    reel_workflow_free (&after);
    vector_close (&submitted);
    vector_close (&finished);
    vector_close (&receipt);
}
END_TEST

/* --- messages ------------------------------------------------------------------------------- */

static const char *const message_names[] = {
#define NAME(id, channel, name, document) #id,
    REEL_MESSAGES (NAME)
#undef NAME
};

static bool seen[REEL_COMMAND_COUNT];
static uint64_t fields_seen[REEL_COMMAND_COUNT][(REEL_FIELD_COUNT + 63) / 64];

static const struct reel_message_spec *
spec_of (const struct vector *vector)
{
    size_t len = strcspn (vector->name, ".");
    for (size_t i = 0; i < REEL_COMMAND_COUNT; i++)
        if (reel_slice_is (reel_slice (vector->name, len), message_names[i]))
            return reel_message_spec ((enum reel_command) i);
    ck_abort_msg ("%s names no message", vector->name);
    return NULL;
}

static void
decode_frames (const struct vector *vector, const struct reel_message_spec *spec, struct reel_message *message)
{
    struct reel_slice frames[LINES_MAX];
    for (size_t i = 0; i < vector->line_count; i++)
        frames[i] = reel_buf_slice (&vector->lines[i]);
    enum reel_command in_reply_to = REEL_COMMAND_COUNT;
    for (int request = REEL_SUBMIT; request <= REEL_BACKUP; request++)
        if (spec->channel == REEL_CLIENT_REPLY && request - REEL_SUBMIT == (int) spec->command - REEL_OK_SUBMIT)
            in_reply_to = (enum reel_command) request;
    struct reel_error err = {.message = ""};
    enum reel_status status = reel_message_decode (spec->channel, in_reply_to, frames, vector->line_count, message,
                                                   &err);
    ck_assert_msg (status == REEL_OK, "%s: %s at %s", vector->name, err.message, err.path);
}

static void
look_at_frames (const struct vector *vector, const struct reel_message_spec *spec, struct reel_message *message)
{
    decode_frames (vector, spec, message);
    ck_assert_uint_eq (vector->line_count, spec->document == REEL_DOCUMENT_REQUIRED ? 4 : 3);
    struct reel_buf json = {0};
    reel_buf_printf (&json, "[\"%s\",\"%s\",", REEL_PROTOCOL, spec->name);
    add_json (&json, &vector->lines[2]);
    if (spec->document == REEL_DOCUMENT_REQUIRED) {
        reel_buf_add_byte (&json, ',');
        add_json (&json, &vector->lines[3]);
    }
    reel_buf_add_byte (&json, ']');
    ck_assert_json (vector, &json);
    reel_buf_free (&json);
}

static void
look_at_event (const struct vector *vector, const struct reel_message_spec *spec, struct reel_message *message)
{
    struct reel_buf json = {0};
    ck_assert_uint_eq (vector->line_count, 1);
    add_json (&json, &vector->lines[0]);
    ck_assert_json (vector, &json);
    struct reel_error err = {.message = ""};
    enum reel_status status = reel_message_decode_event (spec->channel, reel_buf_slice (&vector->lines[0]), "", message,
                                                         &err);
    ck_assert_msg (status == REEL_OK, "%s: %s at %s", vector->name, err.message, err.path);
    reel_buf_free (&json);
}

static void
look_at_message (const struct vector *vector)
{
    const struct reel_message_spec *spec = spec_of (vector);
    bool event = spec->channel == REEL_REPORTED || spec->channel == REEL_PUBLISHED;
    struct reel_message message;
    if (event)
        look_at_event (vector, spec, &message);
    else
        look_at_frames (vector, spec, &message);
    ck_assert_msg (message.command == spec->command, "%s is taken for %s", vector->name,
                   message_names[message.command]);
    struct reel_buf out = {0};
    reel_message_encode (&message, &out);
    ck_assert_bytes (vector->name, "is encoded in other bytes", &out, &vector->lines[event ? 0 : 2]);
    reel_buf_free (&out);
    seen[spec->command] = true;
    for (size_t i = 0; i < sizeof message.present / sizeof message.present[0]; i++)
        fields_seen[spec->command][i] |= message.present[i];
}

START_TEST (messages)
{
    each_vector ("messages", look_at_message);
    for (int command = 0; command < REEL_COMMAND_COUNT; command++) {
        ck_assert_msg (seen[command], "%s has no vector", message_names[command]);
        const struct reel_message_spec *spec = reel_message_spec ((enum reel_command) command);
        for (size_t i = 0; i < spec->field_count; i++) {
            enum reel_field field = spec->fields[i].field;
            ck_assert_msg (fields_seen[command][field / 64] >> field % 64 & 1, "no vector of %s has %s",
                           message_names[command], reel_field_spec (field)->name);
        }
    }
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("vectors");
    TCase *tcase = tcase_create ("vectors");
    tcase_add_test (tcase, documents);
    tcase_add_test (tcase, what_becomes_of_a_workflow);
    tcase_add_test (tcase, messages);
    suite_add_tcase (suite, tcase);
    return suite_run (suite);
}
