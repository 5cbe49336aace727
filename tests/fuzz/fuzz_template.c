/*
 * Templates from a configuration, filled from payloads that others wrote: what was checked can be filled in or
 * lacks something in the payload, and what comes out is an argument.
 *
 * An input is two bytes of length, a template of that length, and a payload.
 */
#include "worker/template.h"

#include <stdlib.h>

#include "base/limits.h"
#include "tests/fuzz/fuzz.h"

#define KEPT "kept" /* stands before what is filled in */

static struct reel_call
call_with (struct reel_slice payload)
{
    return (struct reel_call){.workflow_id = reel_slice_text ("wf"),
                              .step_id = reel_slice_text ("step"),
                              .modality = reel_slice_text ("video"),
                              .idempotency_key = reel_slice_text ("wf/step"),
                              .payload = payload,
                              .attempt = 2,
                              .delivery = 3};
}

static void
check_template (const char *template, const struct reel_call *call)
{
    struct reel_error err;
    struct reel_buf out = {0};
    enum reel_status status = reel_template_check (template, &err);
    if (status != REEL_OK) {
        REEL_ASSERT (status == REEL_INVALID);
        fuzz_check_error (&err, " bad_template ");
        return;
    }
    reel_buf_add_text (&out, KEPT);
    status = reel_template_fill (template, call, &out, &err);
    REEL_ASSERT (out.len >= strlen (KEPT) && memcmp (out.data, KEPT, strlen (KEPT)) == 0);
    REEL_ASSERT (memchr (out.data, '\0', out.len) == NULL);
    if (status != REEL_OK) {
        REEL_ASSERT (status == REEL_INVALID && strstr (template, "{payload/") != NULL);
        fuzz_check_error (&err, " bad_payload ");
    } else if (strpbrk (template, "{}") == NULL)
        REEL_ASSERT (reel_slice_is (reel_slice (out.data + strlen (KEPT), out.len - strlen (KEPT)), template));
    reel_buf_free (&out);
}

/* Any text with its braces doubled stands for itself. */
static void
check_escaped (const char *text, const struct reel_call *call)
{
    struct reel_buf escaped = {0}, out = {0};
    for (const char *at = text; *at != '\0'; at++) {
        reel_buf_add_byte (&escaped, (uint8_t) *at);
        if (*at == '{' || *at == '}')
            reel_buf_add_byte (&escaped, (uint8_t) *at);
    }
    reel_buf_add_byte (&escaped, '\0');
    REEL_ASSERT (reel_template_check ((const char *) escaped.data, NULL) == REEL_OK);
    REEL_ASSERT (reel_template_fill ((const char *) escaped.data, call, &out, NULL) == REEL_OK);
    REEL_ASSERT (reel_slice_is (reel_buf_slice (&out), text));
    reel_buf_free (&escaped);
    reel_buf_free (&out);
}

/* "{payload/<key>}"; false for a key that no template can name. */
static bool
name_key (struct reel_slice key, struct reel_buf *template)
{
    reel_buf_clear (template);
    reel_buf_add_text (template, "{payload/");
    for (size_t i = 0; i < key.len; i++) {
        if (key.data[i] == '}')
            return false;
        if (key.data[i] == '~' || key.data[i] == '/')
            reel_buf_add_text (template, key.data[i] == '~' ? "~0" : "~1");
        else
            reel_buf_add_byte (template, key.data[i]);
    }
    reel_buf_add (template, "}", 2);
    return key.len > 0;
}

/* Each str at the top of the payload comes out as it is, braces and all; with a NUL it is refused. */
static void
check_strings (const struct reel_call *call)
{
    struct reel_cursor cursor = reel_scan_start (call->payload);
    struct reel_value map;
    struct reel_slice key;
    struct reel_whole value;
    struct reel_buf template = {0}, out = {0};
    if (!reel_scan_next (&cursor, &map) || map.type != REEL_MAP)
        return;
    while (reel_scan_pair (&cursor, &key, &value)) {
        if (value.head.type != REEL_STR || !name_key (key, &template))
            continue;
        struct reel_slice text = value.head.bytes;
        bool fits = text.len == 0 || memchr (text.data, '\0', text.len) == NULL;
        const char *name = (const char *) template.data;
        reel_buf_clear (&out);
        REEL_ASSERT (reel_template_check (name, NULL) == REEL_OK);
        REEL_ASSERT (reel_template_fill (name, call, &out, NULL) == (fits ? REEL_OK : REEL_INVALID));
        REEL_ASSERT (!fits || reel_slice_equal (reel_buf_slice (&out), text));
    }
    reel_buf_free (&template);
    reel_buf_free (&out);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    size_t template_len = (size_t) data[0] << 8 | data[1];
    if (template_len > len - 2)
        return 0;
    struct reel_call call = call_with (reel_slice (data + 2 + template_len, len - 2 - template_len));
    if (call.payload.len > 0
        && (reel_scan_check (call.payload, REEL_DEPTH_MAX, NULL) != REEL_OK
            || reel_scan_type (call.payload) != REEL_MAP))
        return 0;
    char *template = reel_slice_dup (reel_slice (data + 2, template_len));
    REEL_ASSERT (template != NULL);
    check_template (template, &call);
    check_escaped (template, &call);
    check_strings (&call);
    free (template);
    return 0;
}
