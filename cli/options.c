/*
 * One table, four sources. A value is taken when it comes from a source that outranks the one
 * it has so far, so the sources can be read in the order in which they become known: flags
 * first, since one of them may name the file.
 */
#include "cli/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/assert.h"

#define HELP_COLUMN 30
#define HELP_WIDTH 96
#define KEY_BYTES_MAX 256
#define PLACE_BYTES_MAX 512

#define GO REEL_OPTIONS_GO

/* What a run of reel_options_read() is about. */
struct reading {
    const struct reel_options_spec *spec;
    struct reel_options *options;
};

/* --- saying what is wrong -------------------------------------------------------------------- */

static int complain (const struct reading *reading, int exit_code, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

static int
complain (const struct reading *reading, int exit_code, const char *format, ...)
{
    char message[REEL_ERROR_MESSAGE_BYTES];
    va_list arguments;
    va_start (arguments, format);
    (void) vsnprintf (message, sizeof message, format, arguments);
    va_end (arguments);
    (void) reel_error_set (&reading->options->err, REEL_INVALID, "bad_option", NULL, "%s", message);
    (void) fprintf (stderr, "%s: %s\n", reading->spec->program, message);
    if (exit_code == EX_USAGE)
        (void) fprintf (stderr, "Try '%s --help'.\n", reading->spec->program);
    return exit_code;
}

int
reel_options_complain (const struct reel_options_spec *spec, const char *format, ...)
{
    va_list arguments;
    va_start (arguments, format);
    (void) fprintf (stderr, "%s: ", spec->program);
    (void) vfprintf (stderr, format, arguments);
    (void) fprintf (stderr, "\nTry '%s --help'.\n", spec->program);
    va_end (arguments);
    return EX_USAGE;
}

/* --- values ---------------------------------------------------------------------------------- */

static bool
is_one_of (const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp (text, *words) == 0)
            return true;
    return false;
}

static bool
read_flag (const char *text, bool *flag)
{
    static const char *const yes[] = {"yes", "true", "1", NULL};
    static const char *const no[] = {"no", "false", "0", NULL};
    *flag = is_one_of (text, yes);
    return *flag || is_one_of (text, no);
}

static bool
read_number (const char *text, uint64_t min, uint64_t max, uint64_t *number)
{
    size_t digits = strspn (text, "0123456789");
    if (digits == 0 || text[digits] != '\0')
        return false;
    errno = 0;
    *number = strtoull (text, NULL, 10);
    return errno == 0 && *number >= min && *number <= max;
}

/* `words` are separated by bars. */
static bool
read_choice (const char *text, const char *words, uint64_t *number)
{
    size_t len = strlen (text);
    for (*number = 0; len > 0; (*number)++) {
        size_t word_len = strcspn (words, "|");
        if (word_len == len && memcmp (words, text, len) == 0)
            return true;
        if (words[word_len] == '\0')
            break;
        words += word_len + 1;
    }
    return false;
}

static int
append (const struct reading *reading, struct reel_option_value *value, const char *place, int exit_code)
{
    if (value->list_count == REEL_OPTION_REPEATS_MAX)
        return complain (reading, exit_code, "%s: given more than %d times", place, REEL_OPTION_REPEATS_MAX);
    const char **list = realloc (value->list, (value->list_count + 1) * sizeof *list);
    if (!list)
        return complain (reading, EX_OSERR, "out of memory");
    value->list = list;
    value->list[value->list_count++] = value->text;
    return GO;
}

/* Checks `text` even if it is outranked: a wrong value is wrong wherever it stands. `place` names where. */
static int
take (const struct reading *reading, size_t index, enum reel_option_origin origin, const char *text, const char *place)
{
    const struct reel_option *option = &reading->spec->table[index];
    struct reel_option_value *value = &reading->options->values[index];
    int exit_code = origin == REEL_FROM_FILE ? EX_CONFIG : EX_USAGE;
    bool flag = false;
    uint64_t number = 0;

    if (option->type == REEL_OPTION_FLAG && !read_flag (text, &flag))
        return complain (reading, exit_code, "%s: '%s' is neither yes nor no", place, text);
    if (option->type == REEL_OPTION_NUMBER && !read_number (text, option->min, option->max, &number))
        return complain (reading, exit_code, "%s: '%s' is not a number from %" PRIu64 " to %" PRIu64, place, text,
                         option->min, option->max);
    if (option->type == REEL_OPTION_CHOICE && !read_choice (text, option->argument, &number))
        return complain (reading, exit_code, "%s: '%s' is none of %s", place, text, option->argument);
    if (origin < value->origin)
        return GO;
    if (origin > value->origin)
        value->list_count = 0;
    value->origin = origin;
    value->flag = flag;
    value->number = number;
    value->text = text;
    return option->type == REEL_OPTION_LIST ? append (reading, value, place, exit_code) : GO;
}

static int
take_defaults (const struct reading *reading)
{
    REEL_ASSERT (reading->spec->count <= REEL_OPTIONS_MAX);
    int code = GO;
    for (size_t i = 0; i < reading->spec->count && code == GO; i++)
        if (reading->spec->table[i].standard)
            code = take (reading, i, REEL_FROM_DEFAULT, reading->spec->table[i].standard, reading->spec->table[i].name);
    return code;
}

static int
take_environment (const struct reading *reading)
{
    int code = GO;
    for (size_t i = 0; i < reading->spec->count && code == GO; i++) {
        const char *name = reading->spec->table[i].environment;
        const char *text = name ? getenv (name) : NULL;
        if (text && *text != '\0')
            code = take (reading, i, REEL_FROM_ENVIRONMENT, text, name);
    }
    return code;
}

/* --- the file -------------------------------------------------------------------------------- */

/* The option with that key, or -1; `section` says whether `key` is a part of such a key. */
static int
find_key (const struct reel_options_spec *spec, const char *key, bool *section)
{
    size_t len = strlen (key);
    *section = false;
    int found = -1;
    for (size_t i = 0; i < spec->count; i++) {
        const char *known = spec->table[i].key;
        if (known && strcmp (known, key) == 0)
            found = (int) i;
        else if (known && strncmp (known, key, len) == 0 && known[len] == '/')
            *section = true;
    }
    return found;
}

/* One line of the file, whose path is `key`. */
static int
take_node (const struct reading *reading, const struct reel_zpl_node *node, const char *key)
{
    const char *file = reading->options->values[reading->spec->config].text;
    const char *text = reel_zpl_value (node);
    bool section = false;
    int index = find_key (reading->spec, key, &section);
    if (index < 0 && (!section || *text != '\0'))
        return complain (reading, EX_CONFIG, "%s: unknown key '%s'", file, key);
    if (index < 0)
        return GO;
    if (reel_zpl_child (node))
        return complain (reading, EX_CONFIG, "%s: '%s' is a value, not a section", file, key);
    char place[PLACE_BYTES_MAX];
    (void) snprintf (place, sizeof place, "%s: %s", file, key);
    return take (reading, (size_t) index, REEL_FROM_FILE, text, place);
}

/* True when an earlier line of the same section has the same name. */
static bool
is_repeated (const struct reel_zpl_node *first, const struct reel_zpl_node *node)
{
    for (; first != node; first = reel_zpl_next (first))
        if (strcmp (reel_zpl_name (first), reel_zpl_name (node)) == 0)
            return true;
    return false;
}

/* Goes through a section, whose path is `prefix`. Sections are as deep as the keys of the table. */
static int
take_nodes (const struct reading *reading, const struct reel_zpl_node *first, const char *prefix)
{
    const struct reel_options_spec *spec = reading->spec;
    const char *file = reading->options->values[spec->config].text;
    int code = GO;
    for (const struct reel_zpl_node *node = first; node && code == GO; node = reel_zpl_next (node)) {
        const char *name = reel_zpl_name (node);
        if (*prefix == '\0' && spec->reserved && is_one_of (name, spec->reserved))
            continue;
        char key[KEY_BYTES_MAX];
        int len = snprintf (key, sizeof key, "%s%s%s", prefix, *prefix == '\0' ? "" : "/", name);
        if (len < 0 || (size_t) len >= sizeof key)
            return complain (reading, EX_CONFIG, "%s: unknown key '%s...'", file, key);
        bool section = false;
        int index = find_key (spec, key, &section);
        if (is_repeated (first, node) && (index < 0 || spec->table[index].type != REEL_OPTION_LIST))
            return complain (reading, EX_CONFIG, "%s: '%s' is there twice", file, key);
        code = take_node (reading, node, key);
        if (code == GO && index < 0)
            code = take_nodes (reading, reel_zpl_child (node), key);
    }
    return code;
}

static int
take_file (const struct reading *reading)
{
    const struct reel_options_spec *spec = reading->spec;
    const char *file = spec->config >= 0 ? reading->options->values[spec->config].text : NULL;
    if (!file)
        return GO;
    struct reel_error err = {0};
    enum reel_status status = reel_zpl_load (file, &reading->options->file, &err);
    if (status == REEL_NO_MEMORY)
        return complain (reading, EX_OSERR, "out of memory");
    if (status != REEL_OK)
        return complain (reading, EX_CONFIG, "%s", err.message);
    return take_nodes (reading, reel_zpl_first (reading->options->file), "");
}

/* --- flags ----------------------------------------------------------------------------------- */

static int
find_name (const struct reel_options_spec *spec, const char *name, size_t len)
{
    for (size_t i = 0; i < spec->count; i++)
        if (spec->table[i].name && strlen (spec->table[i].name) == len && strncmp (spec->table[i].name, name, len) == 0)
            return (int) i;
    return -1;
}

static int
find_letter (const struct reel_options_spec *spec, char letter)
{
    for (size_t i = 0; i < spec->count; i++)
        if (spec->table[i].letter == letter && letter != '\0')
            return (int) i;
    return -1;
}

static void print_help (const struct reel_options_spec *spec);

/* --help and --version end the program, with this exit code; else GO. */
static int
answer (const struct reel_options_spec *spec, const char *word)
{
    if (strcmp (word, "--help") == 0 || (strcmp (word, "-h") == 0 && find_letter (spec, 'h') < 0))
        print_help (spec);
    else if (strcmp (word, "--version") == 0)
        (void) printf ("%s %s\n", spec->program, REEL_VERSION);
    else
        return GO;
    if (fflush (stdout) == 0 && !ferror (stdout))
        return EX_OK;
    (void) fprintf (stderr, "%s: cannot write to standard output: %s\n", spec->program, strerror (errno));
    return EX_IOERR;
}

/* Takes the option at argv[*at], which moves on past a value that is a word of its own. */
static int
take_flag (const struct reading *reading, int argc, char *const *argv, int *at)
{
    const char *word = argv[*at];
    bool is_long = word[1] == '-';
    size_t name_len = is_long ? strcspn (word + 2, "=") : 1;
    int index = is_long ? find_name (reading->spec, word + 2, name_len) : find_letter (reading->spec, word[1]);
    int shown_len = (int) (is_long ? 2 + name_len : 2);
    if (index < 0)
        return complain (reading, EX_USAGE, "unknown option '%.*s'", shown_len, word);

    const struct reel_option *option = &reading->spec->table[index];
    const char *rest = word + shown_len;
    const char *text = is_long && *rest == '=' ? rest + 1 : !is_long && *rest != '\0' ? rest : NULL;
    char place[PLACE_BYTES_MAX];
    (void) snprintf (place, sizeof place, "%.*s", shown_len, word);
    if (option->type == REEL_OPTION_FLAG) {
        if (text && !is_long)
            return complain (reading, EX_USAGE, "%s takes no value", place);
        return take (reading, (size_t) index, REEL_FROM_FLAG, text ? text : "yes", place);
    }
    if (!text && *at + 1 == argc)
        return complain (reading, EX_USAGE, "%s wants a value: %s", place, option->argument);
    return take (reading, (size_t) index, REEL_FROM_FLAG, text ? text : argv[++*at], place);
}

static int
take_flags (const struct reading *reading, int argc, char **argv)
{
    size_t operand_count = 0;
    bool only_operands = false;
    for (int i = 1; i < argc; i++) {
        bool is_option = !only_operands && argv[i][0] == '-' && argv[i][1] != '\0';
        if (is_option && strcmp (argv[i], "--") == 0) {
            only_operands = true;
            continue;
        }
        int code = GO;
        if (is_option) {
            code = answer (reading->spec, argv[i]);
            if (code == GO)
                code = take_flag (reading, argc, argv, &i);
        } else {
            argv[1 + operand_count++] = argv[i];
            only_operands = only_operands || reading->spec->stop_at_operand;
        }
        if (code != GO)
            return code;
    }
    reading->options->operands = argv + (argc > 0);
    reading->options->operand_count = operand_count;
    return GO;
}

static int
check_operands (const struct reading *reading)
{
    const struct reel_options_spec *spec = reading->spec;
    const struct reel_options *options = reading->options;
    size_t max = spec->operands ? spec->operands_max : 0;
    if (options->operand_count > max)
        return complain (reading, EX_USAGE, "'%s' is one too many", options->operands[max]);
    if (options->operand_count < spec->operands_min)
        return complain (reading, EX_USAGE, "something is missing: %s", spec->operands);
    return GO;
}

int
reel_options_read (const struct reel_options_spec *spec, int argc, char **argv, struct reel_options *options)
{
    memset (options, 0, sizeof *options);
    struct reading reading = {spec, options};
    int code = take_defaults (&reading);
    if (code == GO)
        code = take_flags (&reading, argc, argv);
    if (code == GO)
        code = check_operands (&reading);
    if (code == GO)
        code = take_environment (&reading);
    if (code == GO)
        code = take_file (&reading);
    if (code != GO)
        reel_options_free (options);
    return code;
}

void
reel_options_free (struct reel_options *options)
{
    for (size_t i = 0; i < REEL_OPTIONS_MAX; i++) {
        free (options->values[i].list);
        options->values[i] = (struct reel_option_value){0};
    }
    if (options->file)
        reel_zpl_free (&options->file);
}

/* --- help ------------------------------------------------------------------------------------ */

/* Prints `text` from `column` on, in lines that start at HELP_COLUMN. */
static void
print_wrapped (const char *text, size_t column)
{
    bool first = true;
    while (*text != '\0') {
        size_t len = strcspn (text, " ");
        if (column + 1 + len > HELP_WIDTH) {
            (void) printf ("\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
            first = true;
        }
        (void) printf ("%s%.*s", first ? "" : " ", (int) len, text);
        column += len + !first;
        first = false;
        text += len;
        text += strspn (text, " ");
    }
    (void) printf ("\n");
}

/* `names`: the option with its argument; `text`: what it does. */
static void
print_entry (const char *names, const char *text)
{
    int column = printf ("  %s  ", names);
    if (column < HELP_COLUMN)
        column += printf ("%*s", HELP_COLUMN - column, "");
    else if (column > HELP_COLUMN)
        column = printf ("\n%*s", HELP_COLUMN, "") - 1;
    print_wrapped (text, (size_t) column);
}

static void
print_option (const struct reel_option *option)
{
    char names[PLACE_BYTES_MAX];
    char letter[] = {'-', option->letter, ',', ' ', '\0'};
    const char *argument = option->type == REEL_OPTION_FLAG ? "" : option->argument;
    (void) snprintf (names, sizeof names, "%s--%s%s%s", option->letter ? letter : "    ", option->name,
                     *argument ? " " : "", argument);
    char text[2 * PLACE_BYTES_MAX];
    bool more = option->standard || option->environment || option->key;
    (void) snprintf (text, sizeof text, "%s%s%s%s%s%s%s%s%s%s", option->help, more ? " (" : "",
                     option->standard ? "default " : "", option->standard ? option->standard : "",
                     option->standard && (option->environment || option->key) ? "; " : "",
                     option->environment ? option->environment : "", option->environment && option->key ? "; " : "",
                     option->key ? "file: " : "", option->key ? option->key : "", more ? ")" : "");
    print_entry (names, text);
}

static void
print_help (const struct reel_options_spec *spec)
{
    (void) printf ("Usage: %s [OPTION]...%s%s\n%s\n\nOptions:\n", spec->program, spec->operands ? " " : "",
                   spec->operands ? spec->operands : "", spec->summary);
    for (size_t i = 0; i < spec->count; i++)
        if (spec->table[i].name)
            print_option (&spec->table[i]);
    print_entry ("    --help", "Print this.");
    print_entry ("    --version", "Print the version.");
    if (spec->config >= 0)
        (void) printf (
            "\nA flag wins over the environment, the environment over the file, the file over the default.\n");
    if (spec->epilogue)
        (void) printf ("\n%s\n", spec->epilogue);
}
