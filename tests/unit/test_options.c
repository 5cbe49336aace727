/*
 * Options: the order of the four sources, every way to be wrong, and that each complaint says where.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/options.h"
#include "tests/support/call.h"
#include "tests/support/scratch.h"
#include "tests/support/suite.h"

enum { DATA, LEASE, QUIET, TAG, LOUDNESS, FILE_NAME, OPTION_COUNT };

static const struct reel_option table[] = {
    {"data", 'd', REEL_OPTION_TEXT, "DIR", "here", 0, 0, "Where things are.", "REEL_T_DATA", "store/data"},
    {"lease-ms", 0, REEL_OPTION_NUMBER, "MS", "10", 1, 100, "How long.", "REEL_T_LEASE_MS", "lease_ms"},
    {"quiet", 'q', REEL_OPTION_FLAG, NULL, NULL, 0, 0, "Say less.", "REEL_T_QUIET", "quiet"},
    {"tag", 't', REEL_OPTION_LIST, "TAG", NULL, 0, 0, "A tag.", "REEL_T_TAG", "tag"},
    {"loudness", 0, REEL_OPTION_CHOICE, "low|high|higher", "low", 0, 0, "How loud.", "REEL_T_LOUDNESS", "loudness"},
    {"config", 0, REEL_OPTION_TEXT, "FILE", NULL, 0, 0, "This file.", "REEL_T_CONFIG", NULL},
};
static const char *const reserved[] = {"modality", NULL};
static const struct reel_options_spec spec = {.program = "tried",
                                              .operands = "FILE...",
                                              .operands_max = 2,
                                              .summary = "Tries options.",
                                              .table = table,
                                              .count = OPTION_COUNT,
                                              .config = FILE_NAME,
                                              .reserved = reserved};

static struct reel_options options;
static char directory[SCRATCH_BYTES], path[SCRATCH_BYTES + 16];

#define ARGUMENTS(...)                                                                                                 \
    (char *[])                                                                                                         \
    {                                                                                                                  \
        (char *) "tried", __VA_ARGS__, NULL                                                                            \
    }

static int
count (char **argv)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    return argc;
}

/* The operands are a part of argv, so it has to last. */
static int
run (char **argv)
{
    static char *kept[16];
    int argc = count (argv);
    ck_assert_int_lt (argc, 16);
    memcpy (kept, argv, ((size_t) argc + 1) * sizeof *argv);
    return reel_options_read (&spec, argc, kept, &options);
}

static void
write_file (const char *text)
{
    call_write_file (directory, "file", text);
}

static void
setup (void)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        unsetenv (table[i].environment);
    scratch_make (directory, false);
    (void) snprintf (path, sizeof path, "%s/file", directory);
}

static void
teardown (void)
{
    reel_options_free (&options);
    scratch_remove (directory);
}

START_TEST (defaults)
{
    char *argv[] = {(char *) "tried", NULL};
    ck_assert_int_eq (run (argv), REEL_OPTIONS_GO);
    ck_assert_str_eq (options.values[DATA].text, "here");
    ck_assert_uint_eq (options.values[LEASE].number, 10);
    ck_assert (!options.values[QUIET].flag);
    ck_assert_ptr_null (options.values[FILE_NAME].text);
    ck_assert_uint_eq (options.values[TAG].list_count, 0);
    ck_assert_uint_eq (options.operand_count, 0);
    ck_assert_int_eq (options.values[DATA].origin, REEL_FROM_DEFAULT);
}
END_TEST

START_TEST (each_source_outranks_the_next)
{
    write_file ("lease_ms = 20\nstore\n    data = file\nquiet = yes\ntag = a\ntag = b\nmodality\n    x = y\n");
    ck_assert_int_eq (run (ARGUMENTS ((char *) "--config", path)), REEL_OPTIONS_GO);
    ck_assert_uint_eq (options.values[LEASE].number, 20);
    ck_assert_str_eq (options.values[DATA].text, "file");
    ck_assert (options.values[QUIET].flag);
    ck_assert_uint_eq (options.values[TAG].list_count, 2);
    ck_assert_str_eq (options.values[TAG].list[0], "a");
    ck_assert_str_eq (options.values[TAG].list[1], "b");
    ck_assert_int_eq (options.values[DATA].origin, REEL_FROM_FILE);
    ck_assert_ptr_nonnull (options.file);
    reel_options_free (&options);

    setenv ("REEL_T_LEASE_MS", "30", 1);
    setenv ("REEL_T_QUIET", "no", 1);
    setenv ("REEL_T_TAG", "c", 1);
    setenv ("REEL_T_CONFIG", path, 1);
    setenv ("REEL_T_DATA", "", 1);
    ck_assert_int_eq (run ((char *[]){(char *) "tried", NULL}), REEL_OPTIONS_GO);
    ck_assert_uint_eq (options.values[LEASE].number, 30);
    ck_assert (!options.values[QUIET].flag);
    ck_assert_uint_eq (options.values[TAG].list_count, 1);
    ck_assert_str_eq (options.values[TAG].list[0], "c");
    ck_assert_str_eq (options.values[DATA].text, "file");
    reel_options_free (&options);

    ck_assert_int_eq (run (ARGUMENTS ((char *) "--lease-ms=40", (char *) "-td", (char *) "-t", (char *) "e",
                                      (char *) "-q", (char *) "--data", (char *) "flag")),
                      REEL_OPTIONS_GO);
    ck_assert_uint_eq (options.values[LEASE].number, 40);
    ck_assert (options.values[QUIET].flag);
    ck_assert_uint_eq (options.values[TAG].list_count, 2);
    ck_assert_str_eq (options.values[TAG].list[1], "e");
    ck_assert_str_eq (options.values[DATA].text, "flag");
    ck_assert_int_eq (options.values[DATA].origin, REEL_FROM_FLAG);
}
END_TEST

START_TEST (operands)
{
    ck_assert_int_eq (run (ARGUMENTS ((char *) "-", (char *) "--quiet=no", (char *) "--", (char *) "--quiet")),
                      REEL_OPTIONS_GO);
    ck_assert_uint_eq (options.operand_count, 2);
    ck_assert_str_eq (options.operands[0], "-");
    ck_assert_str_eq (options.operands[1], "--quiet");
    ck_assert (!options.values[QUIET].flag);
    ck_assert_int_eq (run (ARGUMENTS ((char *) "a", (char *) "b", (char *) "c")), EX_USAGE);
    ck_assert_str_eq (options.err.message, "'c' is one too many");
}
END_TEST

START_TEST (missing_operand)
{
    struct reel_options_spec wants = spec;
    wants.operands_min = 1;
    char *argv[] = {(char *) "tried", NULL};
    ck_assert_int_eq (reel_options_read (&wants, 1, argv, &options), EX_USAGE);
    ck_assert_str_eq (options.err.message, "something is missing: FILE...");
}
END_TEST

START_TEST (subcommand)
{
    struct reel_options_spec outer = spec;
    outer.stop_at_operand = true;
    outer.operands_max = 100;
    char **argv = ARGUMENTS ((char *) "-q", (char *) "submit", (char *) "--wait", (char *) "x");
    ck_assert_int_eq (reel_options_read (&outer, 5, argv, &options), REEL_OPTIONS_GO);
    ck_assert (options.values[QUIET].flag);
    ck_assert_uint_eq (options.operand_count, 3);
    ck_assert_str_eq (options.operands[0], "submit");
    ck_assert_str_eq (options.operands[1], "--wait");
}
END_TEST

static const struct {
    const char *argument, *value, *message;
} wrong_flags[] = {
    {"--nosuch", NULL, "unknown option '--nosuch'"},
    {"--nosuch=1", NULL, "unknown option '--nosuch'"},
    {"--dat", NULL, "unknown option '--dat'"},
    {"-z", NULL, "unknown option '-z'"},
    {"--data", NULL, "--data wants a value: DIR"},
    {"-d", NULL, "-d wants a value: DIR"},
    {"-qx", NULL, "-q takes no value"},
    {"--quiet=maybe", NULL, "--quiet: 'maybe' is neither yes nor no"},
    {"--lease-ms", "0", "--lease-ms: '0' is not a number from 1 to 100"},
    {"--lease-ms", "101", "--lease-ms: '101' is not a number from 1 to 100"},
    {"--lease-ms", "1x", "--lease-ms: '1x' is not a number from 1 to 100"},
    {"--lease-ms", "-1", "--lease-ms: '-1' is not a number from 1 to 100"},
    {"--lease-ms", "", "--lease-ms: '' is not a number from 1 to 100"},
    {"--lease-ms", "18446744073709551617", "--lease-ms: '18446744073709551617' is not a number from 1 to 100"},
    {"--loudness", "hig", "--loudness: 'hig' is none of low|high|higher"},
    {"--loudness", "low|high", "--loudness: 'low|high' is none of low|high|higher"},
    {"--loudness", "", "--loudness: '' is none of low|high|higher"},
};

START_TEST (refuses_flags)
{
    ck_assert_int_eq (run (ARGUMENTS ((char *) wrong_flags[_i].argument, (char *) wrong_flags[_i].value)), EX_USAGE);
    ck_assert_str_eq (options.err.message, wrong_flags[_i].message);
}
END_TEST

START_TEST (bounds)
{
    ck_assert_int_eq (run (ARGUMENTS ((char *) "--lease-ms", (char *) "1")), REEL_OPTIONS_GO);
    ck_assert_uint_eq (options.values[LEASE].number, 1);
    ck_assert_int_eq (run (ARGUMENTS ((char *) "--lease-ms", (char *) "100")), REEL_OPTIONS_GO);
    ck_assert_uint_eq (options.values[LEASE].number, 100);
}
END_TEST

START_TEST (choices)
{
    static const char *const words[] = {"low", "high", "higher"};
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq (run (ARGUMENTS ((char *) "--loudness", (char *) words[i])), REEL_OPTIONS_GO);
        ck_assert_uint_eq (options.values[LOUDNESS].number, i);
        ck_assert_str_eq (options.values[LOUDNESS].text, words[i]);
        reel_options_free (&options);
    }
    ck_assert_int_eq (run ((char *[]){(char *) "tried", NULL}), REEL_OPTIONS_GO);
    ck_assert_uint_eq (options.values[LOUDNESS].number, 0);
}
END_TEST

START_TEST (refuses_environment)
{
    setenv ("REEL_T_LEASE_MS", "many", 1);
    ck_assert_int_eq (run (ARGUMENTS ((char *) "--lease-ms=7")), EX_USAGE);
    ck_assert_str_eq (options.err.message, "REEL_T_LEASE_MS: 'many' is not a number from 1 to 100");
}
END_TEST

static const struct {
    const char *text, *message; /* after the file's name */
} wrong_files[] = {
    {"lease_ms = 0\n", ": lease_ms: '0' is not a number from 1 to 100"},
    {"lease = 5\n", ": unknown key 'lease'"},
    {"store\n    date = x\n", ": unknown key 'store/date'"},
    {"store = x\n", ": unknown key 'store'"},
    {"store\n    data = x\n        deeper = y\n", ": 'store/data' is a value, not a section"},
    {"store\n    modality\n        x = 1\n", ": unknown key 'store/modality'"},
    {"quiet = yes\nquiet = yes\n", ": 'quiet' is there twice"},
    {"store\n    data = a\nstore\n    data = b\n", ": 'store' is there twice"},
    {"loudness = shrill\n", ": loudness: 'shrill' is none of low|high|higher"},
    {"quiet = perhaps\n", ": quiet: 'perhaps' is neither yes nor no"},
    {"quiet\n  x\n", ": line 2: indent 4 spaces at once"},
};

START_TEST (refuses_files)
{
    write_file (wrong_files[_i].text);
    ck_assert_int_eq (run (ARGUMENTS ((char *) "--config", path, (char *) "--quiet")), EX_CONFIG);
    ck_assert_str_eq (options.err.message + strlen (path), wrong_files[_i].message);
    ck_assert_ptr_null (options.file);
}
END_TEST

START_TEST (no_file)
{
    ck_assert_int_eq (run (ARGUMENTS ((char *) "--config", (char *) "/nowhere/x")), EX_CONFIG);
    ck_assert_str_eq (options.err.message, "/nowhere/x: No such file or directory");
}
END_TEST

START_TEST (repeats)
{
    static char *argv[2 * (REEL_OPTION_REPEATS_MAX + 1) + 2] = {(char *) "tried"};
    for (int i = 0; i < 2 * (REEL_OPTION_REPEATS_MAX + 1); i++)
        argv[1 + i] = (char *) (i % 2 == 0 ? "-t" : "x");
    ck_assert_int_eq (reel_options_read (&spec, 1 + 2 * REEL_OPTION_REPEATS_MAX, argv, &options), REEL_OPTIONS_GO);
    ck_assert_uint_eq (options.values[TAG].list_count, REEL_OPTION_REPEATS_MAX);
    reel_options_free (&options);
    ck_assert_int_eq (reel_options_read (&spec, 3 + 2 * REEL_OPTION_REPEATS_MAX, argv, &options), EX_USAGE);
    ck_assert_str_eq (options.err.message, "-t: given more than 256 times");
}
END_TEST

/* What it prints on standard output, which the caller frees. */
static char *
printed (const char *argument)
{
    char *said = NULL;
    size_t said_bytes = 0;
    FILE *kept = stdout;
    stdout = open_memstream (&said, &said_bytes);
    int code = run (ARGUMENTS ((char *) argument));
    (void) fclose (stdout);
    stdout = kept;
    ck_assert_int_eq (code, 0);
    return said;
}

START_TEST (help_and_version)
{
    char *text = printed ("--help");
    ck_assert_ptr_nonnull (strstr (text, "Usage: tried [OPTION]... FILE...\nTries options.\n"));
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        ck_assert_ptr_nonnull (strstr (text, table[i].name));
        ck_assert_ptr_nonnull (strstr (text, table[i].environment));
    }
    ck_assert_ptr_nonnull (strstr (
        text, "  -d, --data DIR              Where things are. (default here; REEL_T_DATA; file: store/data)\n"));
    free (text);
    text = printed ("--version");
    ck_assert_str_eq (text, "tried " REEL_VERSION "\n");
    free (text);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("options");
    TCase *tcase = suite_case (suite, "options", setup, teardown);
    tcase_add_test (tcase, defaults);
    tcase_add_test (tcase, each_source_outranks_the_next);
    tcase_add_test (tcase, operands);
    tcase_add_test (tcase, missing_operand);
    tcase_add_test (tcase, subcommand);
    tcase_add_loop_test (tcase, refuses_flags, 0, sizeof wrong_flags / sizeof *wrong_flags);
    tcase_add_test (tcase, bounds);
    tcase_add_test (tcase, choices);
    tcase_add_test (tcase, refuses_environment);
    tcase_add_loop_test (tcase, refuses_files, 0, sizeof wrong_files / sizeof *wrong_files);
    tcase_add_test (tcase, no_file);
    tcase_add_test (tcase, repeats);
    tcase_add_test (tcase, help_and_version);
    return suite_run (suite);
}
