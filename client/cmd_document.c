/*
 * reel validate and convert: documents without a broker.
 */
#include <string.h>

#include "base/limits.h"
#include "client/commands.h"
#include "client/input.h"
#include "client/session.h"
#include "proto/json.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "proto/workflow.h"

/* --- validate --------------------------------------------------------------------------------- */

enum { VALIDATE_JSON, VALIDATE_COUNT };

static const struct reel_option validate_table[] = {
    [VALIDATE_JSON] = {.name = "json",
                       .letter = 'j',
                       .type = REEL_OPTION_FLAG,
                       .help = "One JSON object a line, on a terminal too"},
};

static const struct reel_options_spec validate_spec = {
    .program = "reel validate",
    .operands = "FILE...",
    .operands_min = 1,
    .operands_max = SIZE_MAX,
    .summary = "Checks workflows (JSON, JSON lines or msgpack; - is standard input) as the broker would.",
    .table = validate_table,
    .count = VALIDATE_COUNT,
    .config = -1,
};

static void
pack_verdict (struct reel_buf *row, const struct reel_input *input, const struct reel_workflow *workflow,
              const struct reel_error *err)
{
    struct reel_slice label = reel_slice_text (input->label);
    reel_pack_map (row, err ? 5 : 4);
    reel_pack_text (row, "file");
    reel_pack_str (row, reel_scan_utf8 (label) ? label : reel_slice_text ("?"));
    reel_pack_text (row, "valid");
    reel_pack_bool (row, !err);
    if (err) {
        reel_pack_text (row, "code");
        reel_pack_text (row, err->code);
        reel_pack_text (row, "path");
        reel_pack_text (row, err->path);
        reel_pack_text (row, "message");
        reel_pack_text (row, err->message);
        return;
    }
    reel_pack_text (row, "workflow_id");
    if (workflow->workflow_id.len > 0)
        reel_pack_str (row, workflow->workflow_id);
    else
        reel_pack_nil (row);
    reel_pack_text (row, "steps");
    reel_pack_uint (row, workflow->step_count);
}

static int
judge (const struct reel_input *input, struct reel_output *output)
{
    struct reel_workflow workflow = {0};
    struct reel_buf row = {0};
    struct reel_error err = input->err;
    enum reel_status status = input->status;
    bool parsed = status == REEL_OK;
    if (parsed)
        status = reel_workflow_parse (&workflow, reel_buf_slice (&input->document), REEL_WORKFLOW_STRICT, &err);
    int code = EX_OK;
    if (status != REEL_OK)
        code = reel_complain_document (
            input->label, parsed && strcmp (err.code, "malformed") != 0 ? "invalid_workflow" : NULL, status, &err);
    if (output->json && status != REEL_NO_MEMORY) {
        pack_verdict (&row, input, &workflow, status == REEL_OK ? NULL : &err);
        reel_output_row (output, &row);
    } else if (status == REEL_OK) {
        reel_buf_printf (&output->buf, "%s: valid, %u step%s\n", input->label, (unsigned) workflow.step_count,
                         workflow.step_count == 1 ? "" : "s");
    }
    reel_buf_free (&row);
    reel_workflow_free (&workflow);
    return code;
}

static int
complain_unreadable (const char *path, enum reel_status status, const struct reel_error *err)
{
    if (status == REEL_INVALID || status == REEL_NO_MEMORY)
        return reel_complain_document (path, NULL, status, err);
    reel_complain ("%s: %s", path, err->message);
    return EX_NOINPUT;
}

int
reel_command_validate (int argc, char **argv)
{
    struct reel_options options;
    struct reel_output output;
    int code = reel_options_read (&validate_spec, argc, argv, &options);
    if (code != REEL_OPTIONS_GO)
        return code;
    reel_output_init (&output, options.values[VALIDATE_JSON].flag);
    code = EX_OK;
    for (size_t i = 0; i < options.operand_count; i++) {
        struct reel_inputs inputs = {0};
        struct reel_error err = {0};
        enum reel_status status = reel_inputs_add (&inputs, options.operands[i], &err);
        int failed = status == REEL_OK ? EX_OK : complain_unreadable (options.operands[i], status, &err);
        code = code == EX_OK ? failed : code;
        for (size_t n = 0; n < inputs.count; n++) {
            failed = judge (&inputs.list[n], &output);
            code = code == EX_OK ? failed : code;
        }
        reel_inputs_free (&inputs);
    }
    reel_options_free (&options);
    return reel_output_end (&output, code);
}

/* --- convert ---------------------------------------------------------------------------------- */

enum { CONVERT_PRETTY, CONVERT_COUNT };

static const struct reel_option convert_table[] = {
    [CONVERT_PRETTY] = {.name = "pretty",
                        .letter = 'p',
                        .type = REEL_OPTION_FLAG,
                        .help = "Indent the JSON (done on a terminal anyway)"},
};

static const struct reel_options_spec convert_spec = {
    .program = "reel convert",
    .operands = "[FILE]",
    .operands_max = 1,
    .summary = "Writes JSON as msgpack and msgpack as JSON to standard output, losing nothing in either direction;\n"
               "without FILE, or with -, from standard input. Any value will do, not only workflows.",
    .table = convert_table,
    .count = CONVERT_COUNT,
    .config = -1,
};

static enum reel_status
to_json (struct reel_slice bytes, bool pretty, struct reel_output *output, struct reel_error *err)
{
    enum reel_status status = reel_scan_check (bytes, REEL_DEPTH_MAX, err);
    if (status != REEL_OK)
        return status;
    output->json = !pretty && !output->terminal;
    reel_output_document (output, bytes);
    return REEL_OK;
}

static int
convert (const char *path, bool pretty, struct reel_output *output)
{
    struct reel_buf bytes = {0};
    struct reel_error err = {0};
    enum reel_status status = reel_input_read (path, &bytes, &err);
    int code = EX_OK;
    if (status != REEL_OK) {
        code = complain_unreadable (path, status, &err);
    } else if (reel_input_is_json (reel_buf_slice (&bytes)) && output->terminal) {
        reel_complain ("msgpack is not for a terminal: redirect standard output");
        code = EX_USAGE;
    } else {
        status = reel_input_is_json (reel_buf_slice (&bytes))
                     ? reel_json_read (reel_buf_slice (&bytes), &output->buf, &err)
                     : to_json (reel_buf_slice (&bytes), pretty, output, &err);
        if (status != REEL_OK)
            code = reel_complain_document (path, NULL, status, &err);
    }
    reel_buf_free (&bytes);
    return code;
}

int
reel_command_convert (int argc, char **argv)
{
    struct reel_options options;
    struct reel_output output;
    int code = reel_options_read (&convert_spec, argc, argv, &options);
    if (code != REEL_OPTIONS_GO)
        return code;
    reel_output_init (&output, false);
    code = convert (options.operand_count > 0 ? options.operands[0] : "-", options.values[CONVERT_PRETTY].flag,
                    &output);
    reel_options_free (&options);
    return reel_output_end (&output, code);
}
