/*
 * Options, the same way in every program: flags over environment over file over defaults.
 *
 * A program lists its options in one table; parsing, the environment, the file, --help and
 * --version all walk it. A subcommand of a larger program has a table of its own.
 */
#ifndef REEL_CLI_OPTIONS_H
#define REEL_CLI_OPTIONS_H

#include <stdint.h>

#include "cli/zpl.h"

#define REEL_OPTIONS_MAX 64         /* of one table */
#define REEL_OPTION_REPEATS_MAX 256 /* of one REEL_OPTION_LIST */

enum reel_option_type {
    REEL_OPTION_FLAG, /* --x, --x=yes, --x=no; elsewhere yes/no, true/false, 1/0 */
    REEL_OPTION_TEXT,
    REEL_OPTION_NUMBER, /* decimal, min .. max */
    REEL_OPTION_CHOICE, /* one of the words of `argument`; its place among them is the value's number */
    REEL_OPTION_LIST    /* texts: may be repeated (from the environment: one) */
};

struct reel_option {
    const char *name; /* "data" is --data; NULL: only from the environment or a file */
    char letter;      /* 'd' is -d; 0: none */
    enum reel_option_type type;
    const char *argument;    /* what --help calls the value, NULL for a flag; of a choice "these|are|its|words" */
    const char *standard;    /* the default, written as a value; NULL: none */
    uint64_t min, max;       /* of a number */
    const char *help;        /* one sentence without the default, which is added */
    const char *environment; /* "REEL_DATA"; NULL: none */
    const char *key;         /* its path in a file, "server/client"; NULL: none */
};

struct reel_options_spec {
    const char *program;  /* "reel-broker"; "reel submit" */
    const char *operands; /* how --help writes them: "FILE..."; NULL: none are taken */
    size_t operands_min, operands_max;
    bool stop_at_operand; /* everything from the first operand on is an operand: `reel [OPTION]... COMMAND ...` */
    const char *summary;  /* what it does, for --help */
    const char *epilogue; /* printed after the options; NULL: nothing */
    const struct reel_option *table;
    size_t count;
    int config;                  /* index of the option that names the file; -1: there is no file */
    const char *const *reserved; /* names at the top of the file that the caller reads itself, NULL-ended; or NULL */
};

enum reel_option_origin { REEL_FROM_DEFAULT, REEL_FROM_FILE, REEL_FROM_ENVIRONMENT, REEL_FROM_FLAG };

struct reel_option_value {
    enum reel_option_origin origin;
    bool flag;
    uint64_t number;
    const char *text; /* NULL: none was given and there is no default */
    const char **list;
    size_t list_count;
};

/* Texts belong to argv, to the environment, or to the file that is kept here. */
struct reel_options {
    struct reel_option_value values[REEL_OPTIONS_MAX]; /* in the order of the table */
    char *const *operands;
    size_t operand_count;
    struct reel_zpl *file; /* NULL: none was named */
    struct reel_error err; /* what reel_options_read() printed, for a test */
};

/* What reel_options_read() returns when the program is to go on. */
#define REEL_OPTIONS_GO (-1)

/*
 * Reads them all; argv is put in another order. Anything but REEL_OPTIONS_GO is the exit
 * code to end with, all being said and freed: 0 after --help and --version (on standard output, EX_IOERR where that
 * fails), EX_USAGE for a flag or variable, EX_CONFIG for the file, EX_OSERR without memory (on standard error).
 */
int reel_options_read (const struct reel_options_spec *spec, int argc, char **argv,
                       struct reel_options *options) REEL_MUST_USE;
void reel_options_free (struct reel_options *options);

/* Says on standard error what is wrong with the way the program was called, and returns EX_USAGE. */
int reel_options_complain (const struct reel_options_spec *spec, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));

#endif
