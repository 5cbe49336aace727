/*
 * `reel`: the command line of producers and operators. Finds the command and hands over.
 */
#include <locale.h>
#include <string.h>
#include <sysexits.h>

#include "cli/options.h"
#include "cli/standard.h"
#include "client/commands.h"

struct command {
    const char *name;
    int (*run) (int argc, char **argv);
};

static const struct command commands[] = {
    {"submit", reel_command_submit},   {"watch", reel_command_watch},       {"get", reel_command_get},
    {"receipt", reel_command_receipt}, {"list", reel_command_list},         {"events", reel_command_events},
    {"workers", reel_command_workers}, {"dispatch", reel_command_dispatch}, {"stats", reel_command_stats},
    {"ping", reel_command_ping},       {"validate", reel_command_validate}, {"convert", reel_command_convert},
    {"run", reel_command_run},         {"cancel", reel_command_cancel},     {"resolve", reel_command_resolve},
    {"rerun", reel_command_rerun},     {"pause", reel_command_pause},       {"resume", reel_command_resume},
    {"backup", reel_command_backup},
};

static const struct reel_options_spec spec = {
    .program = "reel",
    .operands = "COMMAND [ARGUMENT]...",
    .operands_min = 1,
    .operands_max = SIZE_MAX,
    .stop_at_operand = true,
    .summary = "Submits workflows to a reel broker, follows them, and looks at both.",
    .epilogue = "Commands:\n"
                "  submit FILE...    submit workflows (JSON, JSON lines or msgpack)\n"
                "  watch [ID]        follow a workflow to its end, or everything\n"
                "  get ID            the workflow as it stands\n"
                "  receipt ID        its final receipt\n"
                "  list              workflows, newest first\n"
                "  events [ID]       kept events, and those to come\n"
                "  cancel ID...      cancel workflows\n"
                "  resolve ID STEP   say what became of the step that a workflow is held for\n"
                "  rerun ID          run an ended workflow again, keeping what succeeded\n"
                "  pause [ID]        hand out no new step of a workflow, or of any\n"
                "  resume [ID]       go on\n"
                "  workers           who is connected, and what they serve\n"
                "  dispatch          which modality goes to which adapter on which worker\n"
                "  stats             counters and gauges of the broker\n"
                "  ping              is the broker there?\n"
                "  backup DIR        copy the broker's journal into a directory\n"
                "  validate FILE...  check documents without a broker\n"
                "  convert [FILE]    JSON to msgpack and back\n"
                "  run FILE          run a workflow here, without a broker\n"
                "\n"
                "reel COMMAND --help says more. On a terminal people are shown tables and live views; a\n"
                "pipe, or --json, gets one JSON object a line.\n"
                "\n"
                "Exit codes: 0 done; 1 a workflow that was watched, awaited or run did not succeed; 64 wrong usage;\n"
                "65 a document was refused; 66 no such file or workflow; 69 no broker reached; 70 the broker failed;\n"
                "71 out of memory or files; 74 output was lost; 75 not now (timeout, overloaded, not finished,\n"
                "another run's OUT); 76 not a broker's answer; 77 forbidden; 78 configuration; 130 ended by Ctrl-C.\n",
    .config = -1,
};

int
main (int argc, char **argv)
{
    struct reel_options options;
    if (!reel_standard_keep ())
        return EX_OSERR;
    (void) setlocale (LC_CTYPE, "");
    int code = reel_options_read (&spec, argc, argv, &options);
    if (code != REEL_OPTIONS_GO)
        return code;
    int rest = (int) options.operand_count;
    char **arguments = argv + (argc - rest);
    const struct command *found = NULL;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp (arguments[0], commands[i].name) == 0)
            found = &commands[i];
    reel_options_free (&options);
    if (!found)
        return reel_options_complain (&spec, "there is no command '%s'", arguments[0]);
    return found->run (rest, arguments);
}
