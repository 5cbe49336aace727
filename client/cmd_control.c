/*
 * reel cancel, resolve, rerun, pause and resume: what operators ask of workflows under way, and of ended ones.
 */
#include <stdio.h>
#include <string.h>

#include "client/commands.h"
#include "client/input.h"
#include "client/session.h"
#include "client/text.h"
#include "proto/pack.h"
#include "proto/scan.h"

/* --- what all of them say ----------------------------------------------------------------------- */

/* "film-1: cancelling"; without an id the status alone. */
static void
say_status (struct reel_session *session, struct reel_slice header)
{
    struct reel_slice workflow_id = REEL_SLICE_NONE, status = REEL_SLICE_NONE;
    struct reel_buf *out = &session->output.buf;
    if (session->output.json) {
        reel_output_header (&session->output, header);
        return;
    }
    (void) reel_scan_find_str (header, "status", &status);
    if (reel_scan_find_str (header, "workflow_id", &workflow_id))
        reel_buf_printf (out, "%.*s: ", REEL_TEXT (workflow_id));
    (void) reel_text_add (out, status, session->output.utf8);
    reel_buf_add_byte (out, '\n');
}

static int
say (struct reel_session *session, const char *about, enum reel_client_status status, struct reel_client_reply *reply,
     const struct reel_client_error *error)
{
    if (status != REEL_CLIENT_OK)
        return reel_complain_client (about, status, error);
    say_status (session, reel_slice (reply->header, reply->header_size));
    reel_client_reply_free (reply);
    return EX_OK;
}

/* --- cancel -------------------------------------------------------------------------------------- */

static const struct reel_option plain_table[] = {REEL_SESSION_OPTIONS};

static const struct reel_options_spec cancel_spec = {
    .program = "reel cancel",
    .operands = "ID...",
    .operands_min = 1,
    .operands_max = SIZE_MAX,
    .summary =
        "Cancels workflows. One that runs is `cancelling` while its worker winds down: the running step is ended\n"
        "and fails with code `cancelled`, later ones stay pending.",
    .table = plain_table,
    .count = REEL_SESSION_OPTION_COUNT,
    .config = REEL_SESSION_CONFIG,
};

int
reel_command_cancel (int argc, char **argv)
{
    struct reel_session session;
    int code = reel_session_start (&session, &cancel_spec, REEL_SESSION_CLIENT, argc, argv);
    if (code != REEL_OPTIONS_GO)
        return code;
    code = EX_OK;
    for (size_t i = 0; i < session.options.operand_count; i++) {
        struct reel_client_reply reply = {0};
        struct reel_client_error error;
        const char *id = session.options.operands[i];
        int said = say (&session, id, reel_client_cancel (session.client, id, &reply, &error), &reply, &error);
        code = code == EX_OK ? said : code;
    }
    return reel_session_end (&session, code);
}

/* --- resolve ------------------------------------------------------------------------------------- */

enum { AS = REEL_SESSION_OPTION_COUNT, RECEIPT, NOTE, RESOLVE_COUNT };

static const struct reel_option resolve_table[] = {
    REEL_SESSION_OPTIONS,
    [AS] = {.name = "as",
            .type = REEL_OPTION_CHOICE,
            .argument = "retry|failed|succeeded",
            .help = "What became of it; retry: it did not happen, run it again"},
    [RECEIPT] = {.name = "receipt",
                 .type = REEL_OPTION_TEXT,
                 .argument = "FILE",
                 .help = "The receipt of a step that succeeded: an object, JSON or msgpack; - is standard input"},
    [NOTE] = {.name = "note", .type = REEL_OPTION_TEXT, .argument = "TEXT", .help = "Kept with the event, for people"},
};

static const struct reel_options_spec resolve_spec = {
    .program = "reel resolve",
    .operands = "ID STEP",
    .operands_min = 2,
    .operands_max = 2,
    .summary =
        "Says what became of the step that a workflow is held for: its worker was lost while it ran, and nobody\n"
        "but you can find out. The workflow goes on from there.",
    .table = resolve_table,
    .count = RESOLVE_COUNT,
    .config = REEL_SESSION_CONFIG,
};

int
reel_command_resolve (int argc, char **argv)
{
    struct reel_session session;
    struct reel_buf receipt = {0};
    struct reel_client_reply reply = {0};
    struct reel_client_error error;
    int code = reel_session_start (&session, &resolve_spec, REEL_SESSION_CLIENT, argc, argv);
    if (code != REEL_OPTIONS_GO)
        return code;
    const char *as = reel_session_option (&session, AS)->text, *path = reel_session_option (&session, RECEIPT)->text;
    if (as == NULL)
        code = reel_options_complain (&resolve_spec, "--as is wanted: retry, failed or succeeded");
    else if ((path != NULL) != (strcmp (as, "succeeded") == 0))
        code = reel_options_complain (&resolve_spec, "--receipt goes with --as succeeded, which needs it");
    else
        code = path == NULL ? EX_OK : reel_input_value (path, &receipt, NULL);
    if (code == EX_OK) {
        const struct reel_client_resolution resolution = {.workflow_id = session.options.operands[0],
                                                          .step_id = session.options.operands[1],
                                                          .as = as,
                                                          .receipt = path == NULL ? NULL : receipt.data,
                                                          .receipt_size = receipt.len,
                                                          .note = reel_session_option (&session, NOTE)->text};
        enum reel_client_status status = reel_client_resolve (session.client, &resolution, &reply, &error);
        code = say (&session, resolution.workflow_id, status, &reply, &error);
    }
    reel_buf_free (&receipt);
    return reel_session_end (&session, code);
}

/* --- rerun --------------------------------------------------------------------------------------- */

enum { FROM = REEL_SESSION_OPTION_COUNT, ID, RERUN_COUNT };

static const struct reel_option rerun_table[] = {
    REEL_SESSION_OPTIONS,
    [FROM] = {.name = "from",
              .type = REEL_OPTION_TEXT,
              .argument = "STEP",
              .help = "Run this step and all after it again, whatever became of them"},
    [ID] = {.name = "id",
            .type = REEL_OPTION_TEXT,
            .argument = "NEW",
            .help = "The new workflow's id; with it the command may be repeated (else one is made)"},
};

static const struct reel_options_spec rerun_spec = {
    .program = "reel rerun",
    .operands = "ID",
    .operands_min = 1,
    .operands_max = 1,
    .summary =
        "Makes a new workflow from one that has ended. Steps that succeeded keep their receipts and are not run\n"
        "again. Prints the new workflow's id.",
    .table = rerun_table,
    .count = RERUN_COUNT,
    .config = REEL_SESSION_CONFIG,
};

static void
say_submitted (struct reel_session *session, const struct reel_client_submitted *submitted)
{
    struct reel_buf out = {0};
    if (session->output.json) {
        reel_pack_map (&out, 3);
        reel_pack_text (&out, "workflow_id");
        reel_pack_text (&out, submitted->workflow_id);
        reel_pack_text (&out, "status");
        reel_pack_text (&out, submitted->status);
        reel_pack_text (&out, "duplicate");
        reel_pack_bool (&out, submitted->duplicate != 0);
        reel_output_row (&session->output, &out);
    } else {
        reel_buf_printf (&session->output.buf, "%s\n", submitted->workflow_id);
    }
    reel_buf_free (&out);
}

int
reel_command_rerun (int argc, char **argv)
{
    struct reel_session session;
    struct reel_client_submitted submitted;
    struct reel_client_error error;
    int code = reel_session_start (&session, &rerun_spec, REEL_SESSION_CLIENT, argc, argv);
    if (code != REEL_OPTIONS_GO)
        return code;
    const char *id = session.options.operands[0];
    enum reel_client_status status = reel_client_rerun (session.client, id, reel_session_option (&session, FROM)->text,
                                                        reel_session_option (&session, ID)->text, &submitted, &error);
    if (status == REEL_CLIENT_OK) {
        say_submitted (&session, &submitted);
        code = EX_OK;
    } else {
        code = reel_complain_client (id, status, &error);
        if (submitted.workflow_id[0] != '\0')
            reel_complain ("it may have been accepted as %s: repeat it with --id %s", submitted.workflow_id,
                           submitted.workflow_id);
    }
    return reel_session_end (&session, code);
}

/* --- pause, resume ------------------------------------------------------------------------------- */

static const struct reel_options_spec pause_spec = {
    .program = "reel pause",
    .operands = "[ID]",
    .operands_max = 1,
    .summary =
        "Hands out no new step of a workflow, or of any: a running step ends, then its worker gives the rest back.\n"
        "It holds until `reel resume`, through restarts of the broker.",
    .table = plain_table,
    .count = REEL_SESSION_OPTION_COUNT,
    .config = REEL_SESSION_CONFIG,
};

static const struct reel_options_spec resume_spec = {
    .program = "reel resume",
    .operands = "[ID]",
    .operands_max = 1,
    .summary =
        "Goes on with a workflow that was paused, or with everything. What was paused by its id is resumed by it.",
    .table = plain_table,
    .count = REEL_SESSION_OPTION_COUNT,
    .config = REEL_SESSION_CONFIG,
};

typedef enum reel_client_status (*switching_fn) (struct reel_client *client, const char *workflow_id,
                                                 struct reel_client_reply *reply, struct reel_client_error *error);

static int
switch_one_or_all (const struct reel_options_spec *spec, switching_fn switching, int argc, char **argv)
{
    struct reel_session session;
    struct reel_client_reply reply = {0};
    struct reel_client_error error;
    int code = reel_session_start (&session, spec, REEL_SESSION_CLIENT, argc, argv);
    if (code != REEL_OPTIONS_GO)
        return code;
    const char *id = session.options.operand_count > 0 ? session.options.operands[0] : NULL;
    code = say (&session, id, switching (session.client, id, &reply, &error), &reply, &error);
    return reel_session_end (&session, code);
}

int
reel_command_pause (int argc, char **argv)
{
    return switch_one_or_all (&pause_spec, reel_client_pause, argc, argv);
}

int
reel_command_resume (int argc, char **argv)
{
    return switch_one_or_all (&resume_spec, reel_client_resume, argc, argv);
}
