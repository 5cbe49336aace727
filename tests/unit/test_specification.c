/*
 * The text of the protocol says what the tables say: every message with its fields in order, every code.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "proto/message.h"

static char *text;

static void
read_text (void)
{
    FILE *file = fopen (REEL_SOURCE_DIR "/proto/README.md", "r");
    ck_assert_ptr_nonnull (file);
    text = calloc (1, 1 << 20);
    ck_assert_ptr_nonnull (text);
    ck_assert_uint_gt (fread (text, 1, (1 << 20) - 1, file), 0);
    fclose (file);
}

static void
drop_text (void)
{
    free (text);
}

/* "`lease` `report_index`": the fields that a row must name, without those of all rows of its kind. */
static void
write_fields (struct reel_buf *out, const struct reel_message_spec *spec, bool event)
{
    static const enum reel_field common[] = {REEL_F_KIND, REEL_F_AT_US, REEL_F_SEQ, REEL_F_INDEX, REEL_F_WORKFLOW_ID};
    for (size_t i = 0; i < spec->field_count; i++) {
        bool left_out = false;
        for (size_t k = 0; event && k < sizeof common / sizeof common[0]; k++)
            left_out = left_out || spec->fields[i].field == common[k];
        if (!left_out)
            reel_buf_printf (out, "`%s%s` ", reel_field_spec (spec->fields[i].field)->name,
                             spec->fields[i].required ? "" : "?");
    }
    if (out->len > 0)
        out->len--;
    reel_buf_add_byte (out, 0);
}

static const char *
section (enum reel_channel channel)
{
    switch (channel) {
    case REEL_CLIENT_REQUEST:
    case REEL_CLIENT_REPLY: return "## 4. Client socket";
    case REEL_TO_BROKER: return "Worker to broker:";
    case REEL_TO_WORKER: return "Broker to worker:";
    case REEL_REPORTED: return "| event in a REPORT |";
    default: return "## 6. Events";
    }
}

/* The row of that name after the section's head, up to the end of the line. */
static char *
find_row (enum reel_channel channel, const char *name)
{
    char key[64], *row = NULL;
    const char *at = strstr (text, section (channel));
    ck_assert_ptr_nonnull (at);
    snprintf (key, sizeof key, "\n| `%s` |", name);
    at = strstr (at, key);
    ck_assert_msg (at != NULL, "the specification has no row for %s", name);
    row = strndup (at + 1, strcspn (at + 1, "\n"));
    ck_assert_ptr_nonnull (row);
    return row;
}

/* Explanations may stand between the fields of an event. */
static void
assert_names_each (const char *row, const char *fields)
{
    while (*fields != '\0') {
        char field[64];
        size_t len = strcspn (fields, " ");
        snprintf (field, sizeof field, "%.*s", (int) len, fields);
        ck_assert_msg (strstr (row, field) != NULL, "%s is not named in: %s", field, row);
        fields += len + (fields[len] == ' ');
    }
}

START_TEST (each_message_is_described)
{
    const struct reel_message_spec *spec = reel_message_spec ((enum reel_command) _i);
    struct reel_buf fields = {0};
    bool event = spec->channel == REEL_REPORTED || spec->channel == REEL_PUBLISHED;
    const char *name = spec->name;
    char *row, expected[1024];
    if (spec->command == REEL_CLIENT_ERROR || spec->command == REEL_EVENT_BEAT)
        return; /* told in prose; see below */
    if (spec->channel == REEL_CLIENT_REPLY)
        name = reel_message_spec ((enum reel_command) (REEL_SUBMIT + (spec->command - REEL_OK_SUBMIT)))->name;
    write_fields (&fields, spec, event);
    row = find_row (spec->channel, name);
    snprintf (expected, sizeof expected, "| %s%s|", (const char *) fields.data, fields.len > 1 ? " " : "");
    if (event)
        assert_names_each (row, (const char *) fields.data);
    else
        ck_assert_msg (strstr (row, expected) != NULL, "%s should say %s: %s", name, expected, row);
    free (row);
    reel_buf_free (&fields);
}
END_TEST

START_TEST (errors_and_beats_are_described)
{
    ck_assert_ptr_nonnull (strstr (text, "`ERROR` has `request_id?` `code` `message` `reason?` `path?`."));
    ck_assert_ptr_nonnull (strstr (text, "| `beat` | `seq` (newest durable) `epoch` `at_us`; no kind |"));
}
END_TEST

START_TEST (each_code_is_described)
{
    static const char *const codes[] = {
        "malformed",         "unsupported_version",
        "unknown_command",   "invalid_workflow",
        "too_large",         "conflict",
        "unknown_workflow",  "unknown_step",
        "bad_state",         "not_finished",
        "overloaded",        "draining",
        "internal",          "empty_workflow",
        "duplicate_step",    "missing_dependency",
        "self_dependency",   "cycle",
        "forward_reference", "bad_id",
        "bad_type",          "missing_field",
        "bad_reference",     "limit_exceeded",
        "bad_status",
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        char row[64];
        snprintf (row, sizeof row, "\n| `%s` | ", codes[i]);
        ck_assert_msg (strstr (text, row) != NULL, "the specification does not explain %s", codes[i]);
    }
}
END_TEST

/* No row speaks of a message that the tables do not have. */
START_TEST (nothing_else_is_described)
{
    const char *at = strstr (text, "## 4. Client socket"), *end = strstr (text, "### Codes of ERROR");
    size_t rows = 0;
    while ((at = strstr (at, "\n| `")) != NULL && at < end) {
        char name[32] = {0};
        bool known = false;
        ck_assert_int_eq (sscanf (at, "\n| `%31[A-Z]`", name), 1);
        for (unsigned i = 0; i < REEL_COMMAND_COUNT; i++) {
            const struct reel_message_spec *spec = reel_message_spec ((enum reel_command) i);
            known = known || (spec->channel == REEL_CLIENT_REQUEST && strcmp (spec->name, name) == 0);
        }
        ck_assert_msg (known, "the specification describes %s, which is not there", name);
        rows++;
        at++;
    }
    ck_assert_uint_gt (rows, 0);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("specification");
    TCase *tcase = tcase_create ("text");
    tcase_add_checked_fixture (tcase, read_text, drop_text);
    tcase_add_loop_test (tcase, each_message_is_described, 0, REEL_COMMAND_COUNT);
    tcase_add_test (tcase, errors_and_beats_are_described);
    tcase_add_test (tcase, each_code_is_described);
    tcase_add_test (tcase, nothing_else_is_described);
    suite_add_tcase (suite, tcase);
    SRunner *runner = srunner_create (suite);
    srunner_run_all (runner, CK_NORMAL);
    int failed = srunner_ntests_failed (runner);
    srunner_free (runner);
    return failed != 0;
}
