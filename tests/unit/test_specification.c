/*
 * The text of the protocol says what the tables say: every message with its fields in order, the type of every field,
 * every code, every limit; and nothing more.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "proto/message.h"
#include "tests/support/suite.h"

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

/* --- types of fields ------------------------------------------------------------------------ */

/* The first word of the row of that type in section 3. */
static const char *
type_name (enum reel_field_type type)
{
    switch (type) {
    case REEL_T_SCALAR: return "scalar";
    case REEL_T_TEXT: return "text(n)";
    case REEL_T_ID: return "id";
    case REEL_T_BIN: return "bin(16)";
    case REEL_T_UINT:
    case REEL_T_UINT_OR_NIL: return "uint, uint(n)";
    case REEL_T_INT: return "int";
    case REEL_T_BOOL: return "bool";
    case REEL_T_NUMBER: return "number";
    case REEL_T_LEASE: return "lease";
    case REEL_T_MAP: return "map";
    case REEL_T_ARRAY: return "array(n)";
    case REEL_T_ANY: return "any";
    }
    return "";
}

/* Where the row of that type lists its fields: "`a` `b`; text(64): `c`" up to the end of the line. */
static const char *
listed (enum reel_field_type type)
{
    char head[64];
    snprintf (head, sizeof head, "\n| %s | ", type_name (type));
    const char *at = strstr (strstr (text, "## 3. Types of fields"), head);
    ck_assert_msg (at != NULL, "section 3 has no row for %s", type_name (type));
    at = strstr (at + strlen (head), " | ");
    ck_assert_ptr_nonnull (at);
    return at;
}

static bool
is_among (const char *word, const char *from, const char *until)
{
    const char *at = strstr (from, word);
    return at != NULL && at < until;
}

/* A name that says by its end that it is a uint. */
static bool
speaks_for_itself (const char *name)
{
    static const char *const ends[] = {"_us", "_ms", "seq"};
    size_t len = strlen (name);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (len >= 3 && strcmp (name + len - 3, ends[i]) == 0)
            return true;
    return false;
}

START_TEST (each_type_is_described)
{
    const struct reel_field_spec *spec = reel_field_spec ((enum reel_field) _i);
    const char *from = listed (spec->type), *until = from + strcspn (from, "\n");
    bool counted = spec->type == REEL_T_TEXT || spec->type == REEL_T_ARRAY || spec->type == REEL_T_UINT;
    char word[64], group[64];
    snprintf (word, sizeof word, "`%s`", spec->name);
    if (spec->type == REEL_T_UINT && speaks_for_itself (spec->name)) {
        ck_assert_uint_eq (spec->max, INT64_MAX);
        ck_assert (is_among ("`..._us`, `..._ms` and `...seq`", from, until));
        return;
    }
    if (counted && spec->max != INT64_MAX) {
        snprintf (group, sizeof group, "%.*s(%llu): ", (int) strcspn (type_name (spec->type), ",("),
                  type_name (spec->type), (unsigned long long) spec->max);
        from = strstr (from, group);
        ck_assert_msg (from != NULL && from < until, "section 3 does not say %s for %s", group, spec->name);
        until = from + strcspn (from, ";|\n");
    } else if (counted && strchr (from, '(') != NULL) {
        const char *first_group = strstr (from, type_name (spec->type)[0] == 'u' ? "uint(" : "array(");
        until = first_group != NULL && first_group < until ? first_group : until;
    }
    ck_assert_msg (is_among (word, from, until), "section 3 does not list %s where it belongs", spec->name);
}
END_TEST

/* --- limits and codes ----------------------------------------------------------------------- */

/* The text with every run of white space as one space. */
static void
fold_text (void)
{
    char *to = text;
    for (const char *at = text; *at != '\0'; at++)
        if (strchr (" \n", *at) == NULL)
            *to++ = *at;
        else if (to == text || to[-1] != ' ')
            *to++ = ' ';
    *to = '\0';
}

static const struct {
    const char *words; /* # stands for a number */
    unsigned long long numbers[2];
} limits[] = {
    {"<one msgpack map, at most # MiB>", {REEL_HEADER_BYTES_MAX >> 20, 0}},
    {"containers MUST NOT nest deeper than #.", {REEL_DEPTH_MAX, 0}},
    {"nil, bool, number, str or bin, at most # bytes", {REEL_SCALAR_BYTES_MAX, 0}},
    {"`[A-Za-z0-9][A-Za-z0-9._:-]{0,#}`", {REEL_ID_BYTES_MAX - 1, 0}},
    {"`[a-z0-9][a-z0-9._-]{0,#}`", {REEL_MODALITY_BYTES_MAX - 1, 0}},
    {"A document is at most # MiB.", {REEL_DOCUMENT_BYTES_MAX >> 20, 0}},
    {"(0 unless given, # at most) for the end", {REEL_WAIT_MS_MAX, 0}},
    {"(at most # KiB long and # deep)", {REEL_RECEIPT_BYTES_MAX >> 10, REEL_RECEIPT_DEPTH_MAX}},
    {"`limit` is # unless given, # at most. `next`", {REEL_LIST_LIMIT_DEFAULT, REEL_LIST_LIMIT_MAX}},
    {"`limit` is # unless given, # at most, and", {REEL_EVENTS_LIMIT_DEFAULT, REEL_EVENTS_LIMIT_MAX}},
    {"a reply is cut near # MiB", {REEL_EVENTS_REPLY_BYTES_MAX >> 20, 0}},
    {"larger than # MiB, or (`path`) `provenance` or `receipt` than # KiB",
     {REEL_DOCUMENT_BYTES_MAX >> 20, REEL_RECEIPT_BYTES_MAX >> 10}},
    {"`provenance` or `receipt` than # KiB", {REEL_PROVENANCE_BYTES_MAX >> 10, 0}},
    {"more than # KiB of them are `too_large`", {REEL_WORKERS_BYTES_MAX >> 10, 0}},
    {"or what WORKERS would show than # KiB", {REEL_WORKERS_BYTES_MAX >> 10, 0}},
    {"`resumable` or `neither`, in at most # KiB", {REEL_DISPATCH_BYTES_MAX >> 10, 0}},
    {"A report is at most # MiB and # events", {REEL_REPORT_BYTES_MAX >> 20, REEL_REPORT_EVENTS_MAX}},
    {"at most # steps, a step at most # dependencies", {REEL_STEPS_MAX, REEL_DEPENDS_MAX}},
    {"a payload at most # references", {REEL_REFERENCES_MAX, 0}},
    {"a map at most # keys (a workflow and a step #:", {REEL_MAP_KEYS_MAX, REEL_OWN_KEYS_MAX}},
    {"\"max_attempts\"?: 1..#", {REEL_ATTEMPTS_MAX, 0}},
    {"a duration of a policy is at most # ms", {REEL_DURATION_MS_MAX, 0}},
};

START_TEST (each_limit_is_described)
{
    struct reel_buf expected = {0};
    size_t number = 0;
    for (const char *at = limits[_i].words; *at != '\0'; at++)
        if (*at == '#')
            reel_buf_printf (&expected, "%llu", limits[_i].numbers[number++]);
        else
            reel_buf_add_byte (&expected, (uint8_t) *at);
    reel_buf_add_byte (&expected, 0);
    fold_text ();
    ck_assert_msg (strstr (text, (const char *) expected.data) != NULL, "the specification does not say: %s",
                   (const char *) expected.data);
    reel_buf_free (&expected);
}
END_TEST

START_TEST (default_endpoints_are_described)
{
    ck_assert_ptr_nonnull (strstr (text, "| client, ROUTER | `" REEL_CLIENT_ENDPOINT_DEFAULT "` |"));
    ck_assert_ptr_nonnull (strstr (text, "| worker, ROUTER | `" REEL_WORKER_ENDPOINT_DEFAULT "` |"));
    ck_assert_ptr_nonnull (strstr (text, "| event, XPUB | `" REEL_EVENTS_ENDPOINT_DEFAULT "` |"));
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

/* Between these heads each row of a table is about a message of that channel. */
static const struct {
    const char *from, *until;
    enum reel_channel channel;
} tables[] = {
    {"## 4. Client socket", "### Codes of ERROR", REEL_CLIENT_REQUEST},
    {"Worker to broker:", "Broker to worker:", REEL_TO_BROKER},
    {"Broker to worker:", "| event in a REPORT |", REEL_TO_WORKER},
    {"| event in a REPORT |", "## 6. Events", REEL_REPORTED},
    {"## 6. Events", "## 7. The workflow document", REEL_PUBLISHED},
};

/* No row speaks of a message that the tables do not have. */
START_TEST (nothing_else_is_described)
{
    const char *at = strstr (text, tables[_i].from), *end = strstr (at, tables[_i].until);
    size_t rows = 0, wanted = 0;
    while ((at = strstr (at, "\n| `")) != NULL && at < end) {
        char name[32] = {0};
        bool known = false;
        ck_assert_int_eq (sscanf (at, "\n| `%31[A-Za-z._]`", name), 1);
        for (unsigned i = 0; i < REEL_COMMAND_COUNT; i++) {
            const struct reel_message_spec *spec = reel_message_spec ((enum reel_command) i);
            known = known || (spec->channel == tables[_i].channel && strcmp (spec->name, name) == 0);
        }
        ck_assert_msg (known, "the specification describes %s, which is not there", name);
        rows++;
        at++;
    }
    for (unsigned i = 0; i < REEL_COMMAND_COUNT; i++)
        wanted += reel_message_spec ((enum reel_command) i)->channel == tables[_i].channel;
    ck_assert_uint_eq (rows, wanted);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("specification");
    TCase *tcase = suite_case (suite, "text", read_text, drop_text);
    tcase_add_loop_test (tcase, each_message_is_described, 0, REEL_COMMAND_COUNT);
    tcase_add_test (tcase, errors_and_beats_are_described);
    tcase_add_loop_test (tcase, each_type_is_described, 0, REEL_FIELD_COUNT);
    tcase_add_loop_test (tcase, each_limit_is_described, 0, sizeof limits / sizeof limits[0]);
    tcase_add_test (tcase, default_endpoints_are_described);
    tcase_add_test (tcase, each_code_is_described);
    tcase_add_loop_test (tcase, nothing_else_is_described, 0, sizeof tables / sizeof tables[0]);
    return suite_run (suite);
}
