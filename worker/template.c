/*
 * Templates: one walk over the text, which checks or fills in.
 */
#include "worker/template.h"

#include <inttypes.h>
#include <string.h>

#include "proto/json.h"
#include "proto/scan.h"

static struct reel_slice
the_step_id (const struct reel_call *call)
{
    return call->step_id;
}

static struct reel_slice
the_workflow_id (const struct reel_call *call)
{
    return call->workflow_id;
}

static struct reel_slice
the_modality (const struct reel_call *call)
{
    return call->modality;
}

static struct reel_slice
the_idempotency_key (const struct reel_call *call)
{
    return call->idempotency_key;
}

static const struct {
    const char *name;
    struct reel_slice (*text) (const struct reel_call *call);
} texts[] = {
    {"step_id", the_step_id},
    {"workflow_id", the_workflow_id},
    {"modality", the_modality},
    {"idempotency_key", the_idempotency_key},
};
#define TEXTS (sizeof texts / sizeof texts[0])

static bool
in_payload (struct reel_slice name)
{
    return name.len > 8 && memcmp (name.data, "payload/", 8) == 0;
}

static bool
known (struct reel_slice name)
{
    for (size_t i = 0; i < TEXTS; i++)
        if (reel_slice_is (name, texts[i].name))
            return true;
    return reel_slice_is (name, "attempt") || reel_slice_is (name, "delivery") || in_payload (name);
}

/* JSON says a float of 32 bits in a map of its own; an argument wants the number. */
static void
add_f32 (struct reel_buf *out, uint32_t bits)
{
    float number;
    memcpy (&number, &bits, sizeof number);
    reel_buf_printf (out, "%.9g", (double) number);
}

static enum reel_status
fill_payload (struct reel_slice name, const struct reel_call *call, struct reel_buf *out, struct reel_error *err)
{
    struct reel_slice pointer = reel_slice (name.data + 7, name.len - 7);
    struct reel_slice bytes;
    struct reel_value value;
    if (call->payload.len == 0 || !reel_scan_pointer (call->payload, pointer, &bytes)
        || !reel_scan_value (bytes, &value))
        return reel_error_set (err, REEL_INVALID, "bad_payload", NULL, "the command needs {%.*s}, which is not there",
                               REEL_TEXT (name));
    switch (value.type) {
    case REEL_NIL: return REEL_OK;
    case REEL_STR:
        if (memchr (value.bytes.data, 0, value.bytes.len) != NULL)
            return reel_error_set (err, REEL_INVALID, "bad_payload", NULL, "{%.*s} contains a NUL, an argument cannot",
                                   REEL_TEXT (name));
        reel_buf_add_slice (out, value.bytes);
        return REEL_OK;
    case REEL_F32: add_f32 (out, value.bits32); return REEL_OK;
    case REEL_BIN:
    case REEL_EXT:
        return reel_error_set (err, REEL_INVALID, "bad_payload", NULL, "{%.*s} is binary, an argument is text",
                               REEL_TEXT (name));
    default: return reel_json_write (bytes, REEL_JSON_COMPACT, out);
    }
}

static enum reel_status
fill (struct reel_slice name, const struct reel_call *call, struct reel_buf *out, struct reel_error *err)
{
    for (size_t i = 0; i < TEXTS; i++) {
        if (reel_slice_is (name, texts[i].name)) {
            reel_buf_add_slice (out, texts[i].text (call));
            return REEL_OK;
        }
    }
    if (in_payload (name))
        return fill_payload (name, call, out, err);
    reel_buf_printf (out, "%" PRIu32, reel_slice_is (name, "attempt") ? call->attempt : call->delivery);
    return REEL_OK;
}

/* Walks the text; only checks it when `call` is NULL. */
static enum reel_status
walk (const char *text, const struct reel_call *call, struct reel_buf *out, struct reel_error *err)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at != '{' && *at != '}') {
            if (call != NULL)
                reel_buf_add_byte (out, (uint8_t) *at);
            continue;
        }
        if (at[1] == *at) {
            if (call != NULL)
                reel_buf_add_byte (out, (uint8_t) *at);
            at++;
            continue;
        }
        const char *end = *at == '{' ? strchr (at, '}') : NULL;
        if (end == NULL)
            return reel_error_set (err, REEL_INVALID, "bad_template", NULL,
                                   "'%s' has a brace without its partner; write {{ or }} for a brace", text);
        struct reel_slice name = reel_slice (at + 1, (size_t) (end - at - 1));
        if (!known (name))
            return reel_error_set (err, REEL_INVALID, "bad_template", NULL,
                                   "{%.*s} is no template; there are step_id, workflow_id, modality, attempt, "
                                   "delivery, idempotency_key and payload/<pointer>",
                                   REEL_TEXT (name));
        if (call != NULL) {
            enum reel_status status = fill (name, call, out, err);
            if (status != REEL_OK)
                return status;
        }
        at = end;
    }
    return call == NULL ? REEL_OK : reel_buf_status (out);
}

enum reel_status
reel_template_check (const char *text, struct reel_error *err)
{
    return walk (text, NULL, NULL, err);
}

enum reel_status
reel_template_fill (const char *text, const struct reel_call *call, struct reel_buf *out, struct reel_error *err)
{
    return walk (text, call, out, err);
}
