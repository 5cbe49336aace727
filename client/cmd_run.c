/*
 * reel run: one workflow, here, with the worker's own run machine and adapters.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/commands.h"
#include "client/input.h"
#include "client/session.h"
#include "client/view.h"
#include "proto/json.h"
#include "proto/scan.h"
#include "worker/config.h"
#include "worker/guard.h"
#include "worker/local.h"
#include "worker/rewrite.h"

#define TICK_MS 100

enum { OUTPUT = REEL_SESSION_OPTION_COUNT, PROVENANCE, OPTION_COUNT };

/* At the places that a session expects; none of the broker's is an option here. */
static const struct reel_option table[] = {
    [REEL_SESSION_BROKER] = {.type = REEL_OPTION_TEXT},
    [REEL_SESSION_EVENTS] = {.type = REEL_OPTION_TEXT},
    [REEL_SESSION_TIMEOUT] = {.type = REEL_OPTION_NUMBER},
    [REEL_SESSION_JSON] = {.name = "json",
                           .letter = 'j',
                           .type = REEL_OPTION_FLAG,
                           .help = "One JSON object a line, on a terminal too"},
    [REEL_SESSION_CONFIG] = {.name = "config",
                             .letter = 'c',
                             .type = REEL_OPTION_TEXT,
                             .argument = "FILE",
                             .help = "A worker's configuration: what serves which modality (else echo, sleep and fail)",
                             .environment = "REEL_CONFIG"},
    [OUTPUT] = {.name = "output",
                .letter = 'o',
                .type = REEL_OPTION_TEXT,
                .argument = "OUT",
                .help = "Keep the workflow as it stands in this file (JSON if it ends in .json, else as FILE is)"},
    [PROVENANCE] = {.name = "provenance",
                    .type = REEL_OPTION_TEXT,
                    .argument = "JSON",
                    .help = "An object whose keys override global_provenance"},
};

static const struct reel_options_spec spec = {
    .program = "reel run",
    .operands = "FILE",
    .operands_min = 1,
    .operands_max = 1,
    .summary =
        "Runs a workflow (JSON or msgpack; - is standard input) on this machine, without any broker. What is done\n"
        "already is not done again: a file that --output has left is gone on from by giving it as FILE and as OUT,\n"
        "and is not written over by another run, nor kept by two at once. In JSON: the events, then the final\n"
        "receipt. Ctrl-C cancels the step that runs, and ends.",
    .table = table,
    .count = OPTION_COUNT,
    .config = -1,
};

struct running {
    struct reel_session session;
    struct reel_input input;
    bool input_json;
    struct reel_buf provenance;
    struct reel_rewrite_lock lock;
    struct reel_registry *registry;
    struct reel_view view;
    bool has_view;
};

static void
draw (struct running *running)
{
    struct reel_session *session = &running->session;
    struct reel_view_frame frame = {
        .now_us = reel_clock_wall_us (), .color = session->output.color, .utf8 = session->output.utf8};
    struct reel_buf lines = {0};
    if (!running->has_view)
        return;
    reel_output_size (&frame.columns, &frame.rows);
    frame.rows = frame.rows > 1 ? frame.rows - 1 : 1;
    reel_view_draw (&running->view, &frame, &lines);
    if (session->output.live && reel_buf_status (&lines) == REEL_OK)
        reel_screen_draw (&session->screen, reel_buf_slice (&lines));
    reel_buf_free (&lines);
}

static void
on_event (void *context, struct reel_slice event)
{
    struct running *running = context;
    struct reel_slice workflow_id;
    if (running->session.output.json) {
        reel_output_json (&running->session.output, event);
        return;
    }
    if (!running->has_view && reel_scan_find_str (event, "workflow_id", &workflow_id))
        running->has_view = reel_view_init (&running->view, workflow_id) == REEL_OK
                            && reel_view_load (&running->view, reel_buf_slice (&running->input.document)) == REEL_OK;
    if (running->has_view)
        reel_view_event (&running->view, event);
}

static void
on_tick (void *context)
{
    struct running *running = context;
    (void) reel_session_signal (&running->session);
    if (running->session.output.live)
        draw (running);
}

/* --- before ----------------------------------------------------------------------------------- */

static int
go_on (int code)
{
    return code == EX_OK ? REEL_OPTIONS_GO : code;
}

static int
read_provenance (struct running *running)
{
    const char *text = reel_session_option (&running->session, PROVENANCE)->text;
    struct reel_error err = {0};
    if (!text)
        return REEL_OPTIONS_GO;
    if (reel_json_read (reel_slice_text (text), &running->provenance, &err) != REEL_OK)
        return reel_options_complain (&spec, "--provenance: %s", err.message);
    if (reel_scan_type (reel_buf_slice (&running->provenance)) != REEL_MAP)
        return reel_options_complain (&spec, "--provenance: an object is wanted");
    return REEL_OPTIONS_GO;
}

static int
load_registry (struct running *running)
{
    struct reel_error err = {0};
    enum reel_status status = reel_registry_create (&running->registry);
    if (status == REEL_OK)
        status = reel_config_load (reel_session_option (&running->session, REEL_SESSION_CONFIG)->text,
                                   running->registry, &err);
    if (status == REEL_OK)
        return REEL_OPTIONS_GO;
    reel_complain ("%s", status == REEL_NO_MEMORY ? "out of memory" : err.message);
    return status == REEL_NO_MEMORY ? EX_OSERR : EX_CONFIG;
}

static bool
ends_in (const char *text, const char *end)
{
    size_t len = strlen (text), end_len = strlen (end);
    return len >= end_len && strcmp (text + len - end_len, end) == 0;
}

/* --- the run ---------------------------------------------------------------------------------- */

/* Before anything is read: what another run has done meanwhile would be done again. */
static int
lock_output (struct running *running)
{
    struct reel_error err = {0};
    const char *output = reel_session_option (&running->session, OUTPUT)->text;
    enum reel_status status = output == NULL ? REEL_OK : reel_rewrite_lock (output, &running->lock, &err);
    if (status == REEL_OK)
        return REEL_OPTIONS_GO;
    reel_complain ("%s", status == REEL_NO_MEMORY ? "out of memory" : err.message);
    return status == REEL_AGAIN ? EX_TEMPFAIL : status == REEL_IO ? EX_CANTCREAT : EX_OSERR;
}

/* What another run left in the output is not written over: it may hold receipts of what was paid for, and would be paid
 * again. Only a file that is gone on from is, and one that is empty or none at all. */
static int
check_output (const char *path, const char *output)
{
    struct stat there, input;
    if (output == NULL || stat (output, &there) != 0 || !S_ISREG (there.st_mode) || there.st_size == 0)
        return REEL_OPTIONS_GO;
    if (stat (path, &input) == 0 && input.st_dev == there.st_dev && input.st_ino == there.st_ino)
        return REEL_OPTIONS_GO;
    reel_complain ("%s is there already: go on from it with `reel run %s --output %s`, or remove it to begin anew",
                   output, output, output);
    return EX_CANTCREAT;
}

static int
conclude (struct running *running, const struct reel_local_result *result)
{
    struct reel_output *output = &running->session.output;
    if (output->json)
        reel_output_json (output, reel_buf_slice (&result->receipt));
    else if (output->live)
        draw (running);
    else
        reel_buf_printf (&output->buf, "%s  %s\n", running->has_view ? running->view.workflow_id : "", result->status);
    if (strcmp (result->status, "succeeded") == 0)
        return EX_OK;
    return strcmp (result->status, "cancelled") == 0 ? REEL_EXIT_INTERRUPTED : REEL_EXIT_FAILED;
}

static int
run (struct running *running)
{
    const struct reel_session *session = &running->session;
    const char *path = session->options.operands[0];
    const char *output = reel_session_option (session, OUTPUT)->text;
    bool json = output && (ends_in (output, ".json") || (running->input_json && !ends_in (output, ".msgpack")));
    struct reel_local_result result = {0};
    struct reel_error err = {0};
    struct reel_local_setup setup = {
        .document = reel_buf_slice (&running->input.document),
        .provenance = reel_buf_slice (&running->provenance),
        .registry = running->registry,
        .output = output,
        .output_form = json ? REEL_LOCAL_JSON : REEL_LOCAL_MSGPACK,
        .stop_fd = session->stop_fd,
        .watcher = {.event = on_event, .tick = on_tick, .tick_ms = TICK_MS, .context = running},
    };
    enum reel_status status = reel_local_run (&setup, &result, &err);
    if (status == REEL_OK) {
        int code = conclude (running, &result);
        reel_local_result_free (&result);
        return code;
    }
    reel_screen_hide (&running->session.screen);
    if (status == REEL_INVALID || status == REEL_NO_MEMORY)
        return reel_complain_document (path, "invalid_workflow", status, &err);
    reel_complain ("%s: %s", output ? output : path, err.message);
    return EX_CANTCREAT;
}

static int
be_guarded (void)
{
    if (reel_guard_start () == REEL_OK)
        return REEL_OPTIONS_GO;
    reel_complain ("nobody can watch over the commands: %s", strerror (errno));
    return EX_OSERR;
}

int
reel_command_run (int argc, char **argv)
{
    struct running running = {0};
    int code = reel_session_start (&running.session, &spec, REEL_SESSION_SIGNALS | REEL_SESSION_STOP_APART, argc, argv);
    if (code != REEL_OPTIONS_GO)
        return code;
    code = read_provenance (&running);
    if (code == REEL_OPTIONS_GO)
        code = lock_output (&running);
    if (code == REEL_OPTIONS_GO)
        code = go_on (
            reel_input_value (running.session.options.operands[0], &running.input.document, &running.input_json));
    if (code == REEL_OPTIONS_GO)
        code = check_output (running.session.options.operands[0], reel_session_option (&running.session, OUTPUT)->text);
    if (code == REEL_OPTIONS_GO)
        code = be_guarded ();
    if (code == REEL_OPTIONS_GO)
        code = load_registry (&running);
    if (code == REEL_OPTIONS_GO)
        code = run (&running);
    reel_rewrite_unlock (&running.lock);
    reel_registry_destroy (&running.registry);
    reel_view_free (&running.view);
    reel_buf_free (&running.input.document);
    reel_buf_free (&running.provenance);
    return reel_session_end (&running.session, code);
}
