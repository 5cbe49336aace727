/*
 * Arguments of commands: any template over any payload is refused when the configuration is read, or fills in to text
 * without NUL, or is refused then.
 *
 * An input is two bytes of length, a template of that length, and a payload.
 */
#include "worker/template.h"

#include <stdlib.h>

#include "base/limits.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    size_t template_len = (size_t) data[0] << 8 | data[1];
    if (template_len > len - 2)
        return 0;
    struct reel_slice payload = reel_slice (data + 2 + template_len, len - 2 - template_len);
    char *text = reel_slice_dup (reel_slice (data + 2, template_len));
    struct reel_buf out = {0};
    struct reel_error err = {0};
    REEL_ASSERT (text != NULL);
    if (payload.len > 0
        && (reel_scan_check (payload, REEL_DEPTH_MAX, NULL) != REEL_OK || reel_scan_type (payload) != REEL_MAP))
        goto out;
    if (reel_template_check (text, &err) != REEL_OK) {
        REEL_ASSERT (err.message[0] != '\0');
        goto out;
    }
    const struct reel_call call = {.workflow_id = reel_slice_text ("wf"),
                                   .step_id = reel_slice_text ("step"),
                                   .modality = reel_slice_text ("image"),
                                   .idempotency_key = reel_slice_text ("wf/step"),
                                   .payload = payload,
                                   .attempt = 1,
                                   .delivery = 1};
    enum reel_status status = reel_template_fill (text, &call, &out, &err);
    REEL_ASSERT (status == REEL_OK || (status == REEL_INVALID && err.message[0] != '\0'));
    if (status == REEL_OK && out.len > 0)
        REEL_ASSERT (memchr (out.data, 0, out.len) == NULL);
out:
    reel_buf_free (&out);
    free (text);
    return 0;
}
