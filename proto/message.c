/*
 * The tables of the wire, and the one encoder and the one decoder that walk them.
 */
#include "proto/message.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "proto/identity.h"
#include "proto/pack.h"
#include "proto/scan.h"

#define NAME(text)                                                                                                     \
    {                                                                                                                  \
        (const uint8_t *) (text), sizeof (text) - 1                                                                    \
    }

static const struct reel_field_spec fields[REEL_FIELD_COUNT] = {
#define FIELD(id, name, type, max) [REEL_F_##id] = {name, REEL_T_##type, (max) == 0 ? INT64_MAX : (max)},
    REEL_FIELDS (FIELD)
#undef FIELD
};

/* The same names with their lengths, to be compared and copied without counting each time. */
static const struct reel_slice field_names[REEL_FIELD_COUNT] = {
#define FIELD(id, name, type, max) [REEL_F_##id] = NAME (name),
    REEL_FIELDS (FIELD)
#undef FIELD
};

#define MUST(id)                                                                                                       \
    {                                                                                                                  \
        REEL_F_##id, true                                                                                              \
    }
#define MAY(id)                                                                                                        \
    {                                                                                                                  \
        REEL_F_##id, false                                                                                             \
    }
/* What every kept event carries before what its kind adds. */
#define KEPT MUST (SEQ), MUST (INDEX), MUST (WORKFLOW_ID), MUST (KIND), MUST (AT_US)

#define USES(id, ...) static const struct reel_field_use uses_##id[] = {__VA_ARGS__};
USES (SUBMIT, MAY (REQUEST_ID), MAY (PROVENANCE), MAY (PRIORITY), MAY (NOT_BEFORE_US))
USES (GET, MAY (REQUEST_ID), MUST (WORKFLOW_ID))
USES (RECEIPT, MAY (REQUEST_ID), MUST (WORKFLOW_ID), MAY (WAIT_MS))
USES (CANCEL, MAY (REQUEST_ID), MUST (WORKFLOW_ID))
USES (RESOLVE, MAY (REQUEST_ID), MUST (WORKFLOW_ID), MUST (STEP_ID), MUST (AS), MAY (RECEIPT), MAY (NOTE))
USES (RERUN, MAY (REQUEST_ID), MUST (WORKFLOW_ID), MAY (FROM_STEP), MAY (NEW_WORKFLOW_ID))
USES (PAUSE, MAY (REQUEST_ID), MAY (WORKFLOW_ID))
USES (RESUME, MAY (REQUEST_ID), MAY (WORKFLOW_ID))
USES (LIST, MAY (REQUEST_ID), MAY (STATUS), MAY (AFTER), MAY (LIMIT))
USES (EVENTS, MAY (REQUEST_ID), MUST (AFTER), MAY (WORKFLOW_ID), MAY (LIMIT))
USES (WORKERS, MAY (REQUEST_ID))
USES (STATS, MAY (REQUEST_ID))
USES (PING, MAY (REQUEST_ID))
USES (BACKUP, MAY (REQUEST_ID), MAY (COPY), MAY (OFFSET))
USES (OK_SUBMIT, MAY (REQUEST_ID), MUST (WORKFLOW_ID), MUST (STATUS), MUST (DUPLICATE), MUST (SEQ))
USES (OK_GET, MAY (REQUEST_ID), MUST (WORKFLOW_ID), MUST (STATUS), MAY (WAITING_FOR), MAY (PAUSED), MAY (WORKER),
      MUST (DELIVERY), MUST (LAST_SEQ), MAY (PRIORITY), MAY (NOT_BEFORE_US), MAY (ORIGIN), MAY (PROVENANCE))
USES (OK_RECEIPT, MAY (REQUEST_ID), MUST (WORKFLOW_ID), MUST (STATUS))
USES (OK_CANCEL, MAY (REQUEST_ID), MUST (WORKFLOW_ID), MUST (STATUS))
USES (OK_RESOLVE, MAY (REQUEST_ID), MUST (WORKFLOW_ID), MUST (STATUS))
USES (OK_RERUN, MAY (REQUEST_ID), MUST (WORKFLOW_ID), MUST (STATUS), MUST (DUPLICATE), MUST (SEQ))
USES (OK_PAUSE, MAY (REQUEST_ID), MAY (WORKFLOW_ID), MUST (STATUS))
USES (OK_RESUME, MAY (REQUEST_ID), MAY (WORKFLOW_ID), MUST (STATUS))
USES (OK_LIST, MAY (REQUEST_ID), MUST (WORKFLOWS), MAY (NEXT))
USES (OK_EVENTS, MAY (REQUEST_ID), MUST (FIRST_SEQ), MUST (LAST_SEQ), MUST (NEXT), MUST (MORE))
USES (OK_WORKERS, MAY (REQUEST_ID), MUST (WORKERS))
USES (OK_STATS, MAY (REQUEST_ID), MUST (COUNTERS), MUST (GAUGES))
USES (OK_PING, MAY (REQUEST_ID), MUST (VERSION), MUST (EPOCH), MUST (IS_READY), MUST (PAUSED))
USES (OK_BACKUP, MAY (REQUEST_ID), MUST (COPY), MUST (OFFSET), MUST (BYTES), MUST (MORE))
USES (CLIENT_ERROR, MAY (REQUEST_ID), MUST (CODE), MUST (MESSAGE), MAY (REASON), MAY (PATH))
USES (READY, MUST (NAME), MAY (INSTANCE), MUST (SLOTS), MUST (MODALITIES), MAY (DISPATCH), MAY (RESUMED))
USES (REPORT, MUST (LEASE), MUST (REPORT_INDEX))
USES (WORKER_HEARTBEAT, MUST (LEASES), MUST (SENT_US))
USES (LEAVE, MAY (NAME))
USES (WELCOME, MUST (HEARTBEAT_MS), MUST (LEASE_MS), MUST (EPOCH), MUST (LIMITS))
USES (ASSIGN, MUST (LEASE), MUST (WORKFLOW_ID), MUST (DELIVERY), MAY (PROVENANCE), MAY (CHECKPOINT), MAY (ATTEMPTS))
USES (ACK, MUST (LEASE), MUST (REPORT_INDEX))
USES (FENCED, MUST (LEASE), MAY (ERROR))
USES (WORKER_CANCEL, MUST (LEASE))
USES (WORKER_YIELD, MUST (LEASE))
USES (WHO, MAY (MESSAGE))
USES (BROKER_HEARTBEAT, MUST (SENT_US))
USES (WORKER_ERROR, MUST (CODE), MUST (MESSAGE), MAY (PATH))
USES (REPORTED_STARTED, MUST (KIND), MUST (AT_US), MUST (STEP_ID), MUST (ATTEMPT), MUST (IDEMPOTENT), MAY (IN_DOUBT))
USES (REPORTED_RETRYING, MUST (KIND), MUST (AT_US), MUST (STEP_ID), MUST (ERROR), MUST (DELAY_MS), MAY (OPEN))
USES (REPORTED_CHECKPOINT, MUST (KIND), MUST (AT_US), MUST (STEP_ID), MUST (CHECKPOINT))
USES (REPORTED_PROGRESS, MUST (KIND), MUST (AT_US), MUST (STEP_ID), MAY (FRACTION), MAY (MESSAGE))
USES (REPORTED_SUCCEEDED, MUST (KIND), MUST (AT_US), MUST (STEP_ID), MUST (RECEIPT))
USES (REPORTED_FAILED, MUST (KIND), MUST (AT_US), MUST (STEP_ID), MUST (ERROR))
USES (REPORTED_SKIPPED, MUST (KIND), MUST (AT_US), MUST (STEP_ID), MUST (ERROR))
USES (REPORTED_YIELDED, MUST (KIND), MUST (AT_US))
USES (REPORTED_ENDED, MUST (KIND), MUST (AT_US), MAY (ERROR))
USES (EVENT_ACCEPTED, KEPT, MAY (PRIORITY), MAY (NOT_BEFORE_US), MAY (ORIGIN))
USES (EVENT_ASSIGNED, KEPT, MUST (WORKER), MUST (DELIVERY), MUST (LEASE), MAY (RETURNED))
USES (EVENT_REQUEUED, KEPT, MUST (REASON), MAY (WORKER))
USES (EVENT_YIELDED, KEPT, MAY (WORKER))
USES (EVENT_CANCELLING, KEPT)
USES (EVENT_HELD, KEPT, MUST (STEP_ID), MUST (REASON))
USES (EVENT_RESOLVED, KEPT, MUST (STEP_ID), MUST (AS), MAY (NOTE))
USES (EVENT_PAUSED, KEPT)
USES (EVENT_RESUMED, KEPT)
USES (EVENT_WORKFLOW_SUCCEEDED, KEPT)
USES (EVENT_WORKFLOW_FAILED, KEPT, MAY (ERROR))
USES (EVENT_WORKFLOW_CANCELLED, KEPT, MAY (ERROR))
USES (EVENT_STARTED, KEPT, MUST (STEP_ID), MUST (ATTEMPT), MUST (IDEMPOTENT), MAY (IN_DOUBT))
USES (EVENT_RETRYING, KEPT, MUST (STEP_ID), MUST (ERROR), MUST (DELAY_MS), MAY (OPEN))
USES (EVENT_CHECKPOINT, KEPT, MUST (STEP_ID), MUST (CHECKPOINT))
USES (EVENT_SUCCEEDED, KEPT, MUST (STEP_ID), MUST (RECEIPT))
USES (EVENT_FAILED, KEPT, MUST (STEP_ID), MUST (ERROR))
USES (EVENT_SKIPPED, KEPT, MUST (STEP_ID), MUST (ERROR))
USES (EVENT_IN_DOUBT, KEPT, MUST (STEP_ID), MUST (IN_DOUBT), MAY (WORKER))
USES (EVENT_PROGRESS, MUST (WORKFLOW_ID), MUST (KIND), MUST (AT_US), MUST (STEP_ID), MAY (FRACTION), MAY (MESSAGE))
USES (EVENT_BEAT, MUST (SEQ), MUST (EPOCH), MUST (AT_US))

static const struct reel_message_spec messages[REEL_COMMAND_COUNT] = {
#define MESSAGE(id, channel, name, document)                                                                           \
    [REEL_##id] = {                                                                                                    \
        REEL_##id, REEL_##channel, name, REEL_DOCUMENT_##document, uses_##id, sizeof uses_##id / sizeof uses_##id[0]},
    REEL_MESSAGES (MESSAGE)
#undef MESSAGE
};

static const struct reel_slice message_names[REEL_COMMAND_COUNT] = {
#define MESSAGE(id, channel, name, document) [REEL_##id] = NAME (name),
    REEL_MESSAGES (MESSAGE)
#undef MESSAGE
};

/* REEL_MESSAGES lists each channel's messages together. */
static const struct {
    enum reel_command first, last;
} channels[REEL_CHANNEL_COUNT] = {
    [REEL_CLIENT_REQUEST] = {REEL_SUBMIT, REEL_BACKUP},
    [REEL_CLIENT_REPLY] = {REEL_OK_SUBMIT, REEL_CLIENT_ERROR},
    [REEL_TO_BROKER] = {REEL_READY, REEL_LEAVE},
    [REEL_TO_WORKER] = {REEL_WELCOME, REEL_WORKER_ERROR},
    [REEL_REPORTED] = {REEL_REPORTED_STARTED, REEL_REPORTED_ENDED},
    [REEL_PUBLISHED] = {REEL_EVENT_ACCEPTED, REEL_EVENT_BEAT},
};
_Static_assert(REEL_OK_BACKUP - REEL_OK_SUBMIT == REEL_BACKUP - REEL_SUBMIT,
               "each request has its OK, in the same order");

const struct reel_message_spec *
reel_message_spec (enum reel_command command)
{
    REEL_ASSERT (command < REEL_COMMAND_COUNT);
    return &messages[command];
}

const struct reel_field_spec *
reel_field_spec (enum reel_field field)
{
    REEL_ASSERT (field < REEL_FIELD_COUNT);
    return &fields[field];
}

/* --- writing ------------------------------------------------------------------------------ */

void
reel_message_init (struct reel_message *message, enum reel_command command)
{
    message->command = command;
    memset (message->present, 0, sizeof message->present);
    message->has_document = false;
    message->document = REEL_SLICE_NONE;
}

static struct reel_field_value *
put (struct reel_message *message, enum reel_field field)
{
    message->present[field / 64] |= UINT64_C (1) << field % 64;
    message->value[field].nil = false;
    return &message->value[field];
}

void
reel_message_set_uint (struct reel_message *message, enum reel_field field, uint64_t value)
{
    put (message, field)->u = value;
}

void
reel_message_set_int (struct reel_message *message, enum reel_field field, int64_t value)
{
    put (message, field)->i = value;
}

void
reel_message_set_bool (struct reel_message *message, enum reel_field field, bool value)
{
    put (message, field)->b = value;
}

void
reel_message_set_number (struct reel_message *message, enum reel_field field, double value)
{
    put (message, field)->f = value;
}

void
reel_message_set (struct reel_message *message, enum reel_field field, struct reel_slice value)
{
    put (message, field)->s = value;
}

void
reel_message_set_text (struct reel_message *message, enum reel_field field, const char *value)
{
    put (message, field)->s = reel_slice_text (value);
}

void
reel_message_set_lease (struct reel_message *message, enum reel_field field, struct reel_lease value)
{
    put (message, field)->lease = value;
}

void
reel_message_set_nil (struct reel_message *message, enum reel_field field)
{
    put (message, field)->nil = true;
}

void
reel_message_set_document (struct reel_message *message, struct reel_slice document)
{
    message->has_document = true;
    message->document = document;
}

static void
encode_value (enum reel_field_type type, const struct reel_field_value *value, struct reel_buf *out)
{
    switch (type) {
    case REEL_T_SCALAR:
    case REEL_T_MAP:
    case REEL_T_ARRAY:
    case REEL_T_ANY: reel_pack_raw (out, value->s); break;
    case REEL_T_TEXT:
    case REEL_T_ID: reel_pack_str (out, value->s); break;
    case REEL_T_BIN: reel_pack_bin (out, value->s); break;
    case REEL_T_UINT: reel_pack_uint (out, value->u); break;
    case REEL_T_UINT_OR_NIL:
        if (value->nil)
            reel_pack_nil (out);
        else
            reel_pack_uint (out, value->u);
        break;
    case REEL_T_INT: reel_pack_int (out, value->i); break;
    case REEL_T_BOOL: reel_pack_bool (out, value->b); break;
    case REEL_T_NUMBER: reel_pack_f64 (out, value->f); break;
    case REEL_T_LEASE: reel_lease_pack (out, value->lease); break;
    }
}

void
reel_message_encode (const struct reel_message *message, struct reel_buf *out)
{
    const struct reel_message_spec *spec = reel_message_spec (message->command);
    uint32_t count = 0;
    uint64_t unknown[sizeof message->present / sizeof message->present[0]];
    memcpy (unknown, message->present, sizeof unknown);
    for (size_t i = 0; i < spec->field_count; i++) {
        enum reel_field field = spec->fields[i].field;
        bool there = field == REEL_F_KIND || reel_message_has (message, field);
        REEL_ASSERT (there || !spec->fields[i].required);
        unknown[field / 64] &= ~(UINT64_C (1) << field % 64);
        count += there;
    }
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        REEL_ASSERT (unknown[i] == 0);
    reel_pack_map (out, count);
    for (size_t i = 0; i < spec->field_count; i++) {
        enum reel_field field = spec->fields[i].field;
        if (field == REEL_F_KIND) {
            reel_pack_str (out, field_names[field]);
            reel_pack_str (out, message_names[spec->command]);
        } else if (reel_message_has (message, field)) {
            reel_pack_str (out, field_names[field]);
            encode_value (fields[field].type, &message->value[field], out);
        }
    }
}

/* --- reading ------------------------------------------------------------------------------ */

bool
reel_lease_read (struct reel_slice bytes, struct reel_lease *lease)
{
    struct reel_cursor cursor = reel_scan_start (bytes);
    struct reel_value head, epoch, counter;
    if (!reel_scan_next (&cursor, &head) || head.type != REEL_ARRAY || head.count != 2
        || !reel_scan_next (&cursor, &epoch) || epoch.type != REEL_UINT || !reel_scan_next (&cursor, &counter)
        || counter.type != REEL_UINT)
        return false;
    *lease = (struct reel_lease){epoch.u, counter.u};
    return true;
}

void
reel_lease_pack (struct reel_buf *out, struct reel_lease lease)
{
    reel_pack_array (out, 2);
    reel_pack_uint (out, lease.epoch);
    reel_pack_uint (out, lease.counter);
}

bool
reel_lease_equal (struct reel_lease a, struct reel_lease b)
{
    return a.epoch == b.epoch && a.counter == b.counter;
}

static double
as_double (const struct reel_value *value)
{
    if (value->type == REEL_UINT)
        return (double) value->u;
    if (value->type == REEL_INT)
        return (double) value->i;
    if (value->type == REEL_F64) {
        double wide;
        memcpy (&wide, &value->bits64, sizeof wide);
        return wide;
    }
    float narrow;
    memcpy (&narrow, &value->bits32, sizeof narrow);
    return (double) narrow;
}

#define TROUBLE_BYTES 80

static const char *
at_most (uint64_t max, const char *what, char trouble[TROUBLE_BYTES])
{
    snprintf (trouble, TROUBLE_BYTES, "must be at most %llu%s", (unsigned long long) max, what);
    return trouble;
}

/* Reads one value as its field's type; says what is wrong with it when it cannot. */
static const char *
decode_value (const struct reel_field_spec *spec, const struct reel_whole *whole, struct reel_field_value *out,
              char trouble[TROUBLE_BYTES])
{
    const struct reel_value *head = &whole->head;
    out->nil = false;
    switch (spec->type) {
    case REEL_T_SCALAR:
        if (head->type == REEL_EXT || head->type == REEL_ARRAY || head->type == REEL_MAP)
            return "must be a scalar";
        out->s = whole->bytes;
        return whole->bytes.len > spec->max ? at_most (spec->max, " bytes, as msgpack", trouble) : NULL;
    case REEL_T_TEXT:
        if (head->type != REEL_STR)
            return "must be a string";
        out->s = head->bytes;
        return head->bytes.len > spec->max ? at_most (spec->max, " bytes", trouble) : NULL;
    case REEL_T_ID:
        if (head->type != REEL_STR || !reel_identity_id (head->bytes))
            return "must be an id: 1 to 128 letters, digits or . _ : -, the first a letter or digit";
        out->s = head->bytes;
        return NULL;
    case REEL_T_BIN:
        if ((head->type != REEL_BIN && head->type != REEL_STR) || head->bytes.len != spec->max)
            return "must be 16 bytes";
        out->s = head->bytes;
        return NULL;
    case REEL_T_UINT_OR_NIL:
    case REEL_T_UINT:
        out->nil = head->type == REEL_NIL && spec->type == REEL_T_UINT_OR_NIL;
        if (out->nil)
            return NULL;
        if (head->type != REEL_UINT)
            return "must be an integer of 0 or more";
        out->u = head->u;
        return head->u > spec->max ? at_most (spec->max, "", trouble) : NULL;
    case REEL_T_INT:
        if (head->type != REEL_INT && (head->type != REEL_UINT || head->u > INT64_MAX))
            return "must be an integer of 64 bits, signed";
        out->i = head->type == REEL_INT ? head->i : (int64_t) head->u;
        return NULL;
    case REEL_T_BOOL:
        if (head->type != REEL_BOOL)
            return "must be true or false";
        out->b = head->boolean;
        return NULL;
    case REEL_T_NUMBER:
        if (head->type != REEL_UINT && head->type != REEL_INT && head->type != REEL_F32 && head->type != REEL_F64)
            return "must be a number";
        out->f = as_double (head);
        return NULL;
    case REEL_T_LEASE: return reel_lease_read (whole->bytes, &out->lease) ? NULL : "must be a lease, [epoch, counter]";
    case REEL_T_MAP:
    case REEL_T_ARRAY:
        if (head->type != (spec->type == REEL_T_MAP ? REEL_MAP : REEL_ARRAY))
            return spec->type == REEL_T_MAP ? "must be a map" : "must be an array";
        out->s = whole->bytes;
        return spec->type == REEL_T_ARRAY && head->count > spec->max ? at_most (spec->max, " elements", trouble) : NULL;
    case REEL_T_ANY: out->s = whole->bytes; return NULL;
    }
    return NULL;
}

static bool
keeps_nil (enum reel_field_type type)
{
    return type == REEL_T_SCALAR || type == REEL_T_ANY || type == REEL_T_UINT_OR_NIL;
}

static const struct reel_field_use *
find_use (const struct reel_message_spec *spec, struct reel_slice name, size_t guess)
{
    /* Whoever writes in the table's order is found at the first try. */
    for (size_t n = 0; n < spec->field_count; n++) {
        const struct reel_field_use *use = &spec->fields[(guess + n) % spec->field_count];
        if (reel_slice_equal (name, field_names[use->field]))
            return use;
    }
    return NULL;
}

/* What the broker alone gives: a worker that sends it would have it published twice. */
static bool
is_given (enum reel_channel channel, struct reel_slice name)
{
    return channel == REEL_REPORTED
           && (reel_slice_equal (name, field_names[REEL_F_SEQ]) || reel_slice_equal (name, field_names[REEL_F_INDEX])
               || reel_slice_equal (name, field_names[REEL_F_WORKFLOW_ID]));
}

static void
mark_present (struct reel_message *message, enum reel_field field)
{
    message->present[field / 64] |= UINT64_C (1) << field % 64;
}

/* `prefix` is the path of the map whose field it is. */
static enum reel_status
refuse_field (struct reel_error *err, const char *prefix, const char *of, struct reel_slice field, const char *trouble)
{
    char path[REEL_ERROR_PATH_BYTES];
    snprintf (path, sizeof path, "%s/%.*s", prefix, REEL_TEXT (field));
    return reel_error_set (err, REEL_INVALID, "malformed", path, "%s: %.*s %s", of, REEL_TEXT (field), trouble);
}

/* Reads the fields of a checked map; `prefix` begins the path of an error. */
static enum reel_status
decode_fields (const struct reel_message_spec *spec, struct reel_slice map, const char *prefix,
               struct reel_message *message, struct reel_error *err)
{
    char room[TROUBLE_BYTES];
    struct reel_cursor cursor = reel_scan_start (map);
    struct reel_value head;
    if (!reel_scan_next (&cursor, &head) || head.type != REEL_MAP)
        return reel_error_set (err, REEL_INVALID, "malformed", prefix, "the fields of %s must be a map", spec->name);
    for (uint32_t i = 0; i < head.count; i++) {
        struct reel_slice name;
        struct reel_whole value;
        bool read = reel_scan_pair (&cursor, &name, &value);
        REEL_ASSERT (read);
        const struct reel_field_use *use = find_use (spec, name, i);
        if (use == NULL && is_given (spec->channel, name))
            return refuse_field (err, prefix, spec->name, name, "is given by the broker alone");
        const struct reel_field_spec *field = use == NULL ? NULL : &fields[use->field];
        if (use == NULL || (value.head.type == REEL_NIL && !keeps_nil (field->type)))
            continue;
        const char *trouble = decode_value (field, &value, &message->value[use->field], room);
        if (trouble != NULL)
            return refuse_field (err, prefix, spec->name, name, trouble);
        mark_present (message, use->field);
    }
    for (size_t i = 0; i < spec->field_count; i++)
        if (spec->fields[i].required && !reel_message_has (message, spec->fields[i].field))
            return refuse_field (err, prefix, spec->name, field_names[spec->fields[i].field], "is missing");
    return REEL_OK;
}

static const struct reel_message_spec *
find_message (enum reel_channel channel, enum reel_command in_reply_to, struct reel_slice name)
{
    for (enum reel_command i = channels[channel].first; i <= channels[channel].last; i++) {
        if (!reel_slice_equal (name, message_names[i]))
            continue;
        if (channel == REEL_CLIENT_REPLY && i != REEL_CLIENT_ERROR && i - REEL_OK_SUBMIT != in_reply_to - REEL_SUBMIT)
            continue;
        return &messages[i];
    }
    return NULL;
}

/* --- frames ------------------------------------------------------------------------------- */

/* A peer's bytes as they may stand in a message: short, printable, ASCII. */
static const char *
printable (struct reel_slice bytes, char out[36])
{
    size_t len = bytes.len < 32 ? bytes.len : 32;
    for (size_t i = 0; i < len; i++)
        out[i] = bytes.data[i] > ' ' && bytes.data[i] < 0x7f ? (char) bytes.data[i] : '?';
    memcpy (out + len, bytes.len > len ? "..." : "", bytes.len > len ? 4 : 1);
    return out;
}

static bool
has_prefix (struct reel_slice bytes, const char *prefix, size_t len)
{
    return bytes.len >= len && memcmp (bytes.data, prefix, len) == 0;
}

static enum reel_status
check_frames (const struct reel_slice *frames, size_t frame_count, struct reel_error *err)
{
    char shown[36];
    if (frame_count < 1 || !has_prefix (frames[0], REEL_PROTOCOL, strlen (REEL_PROTOCOL) - 1))
        return reel_error_set (err, REEL_INVALID, "malformed", "", "the first frame must be %s", REEL_PROTOCOL);
    if (!reel_slice_is (frames[0], REEL_PROTOCOL))
        return reel_error_set (err, REEL_INVALID, "unsupported_version", "", "this end speaks %s, not %s",
                               REEL_PROTOCOL, printable (frames[0], shown));
    if (frame_count < 3)
        return reel_error_set (err, REEL_INVALID, "malformed", "",
                               "%zu frames, where protocol name, command and header are the least", frame_count);
    return REEL_OK;
}

static enum reel_status
check_header (struct reel_slice header, struct reel_error *err)
{
    if (header.len > REEL_HEADER_BYTES_MAX)
        return reel_error_set (err, REEL_INVALID, "malformed", "", "a header of %zu bytes, at most %u are allowed",
                               header.len, REEL_HEADER_BYTES_MAX);
    enum reel_status status = reel_scan_check (header, REEL_DEPTH_MAX, err);
    if (status == REEL_INVALID && err != NULL)
        err->code = "malformed";
    return status;
}

static enum reel_status
decode_header (enum reel_channel channel, enum reel_command in_reply_to, const struct reel_slice *frames,
               size_t frame_count, struct reel_message *message, struct reel_error *err)
{
    char shown[36];
    const struct reel_message_spec *spec = find_message (channel, in_reply_to, frames[1]);
    if (spec == NULL)
        return reel_error_set (err, REEL_INVALID, "unknown_command", "", "there is no command %s here",
                               printable (frames[1], shown));
    enum reel_status status = decode_fields (spec, frames[2], "", message, err);
    if (status != REEL_OK)
        return status;
    bool wants = spec->document == REEL_DOCUMENT_REQUIRED;
    if (wants && frame_count < 4)
        return reel_error_set (err, REEL_INVALID, "malformed", "", "%s needs a document, the fourth frame", spec->name);
    if (frame_count > (wants ? 4 : 3))
        return reel_error_set (err, REEL_INVALID, "malformed", "", "%zu frames, where %s has %d", frame_count,
                               spec->name, wants ? 4 : 3);
    message->command = spec->command;
    if (wants)
        reel_message_set_document (message, frames[3]);
    return REEL_OK;
}

/* So that whoever sent it can be told which question, or which lease, was wrong. */
static void
keep_address (struct reel_slice header, struct reel_message *message)
{
    static const enum reel_field kept[] = {REEL_F_REQUEST_ID, REEL_F_LEASE};
    reel_message_init (message, REEL_COMMAND_COUNT);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        char room[TROUBLE_BYTES];
        struct reel_slice bytes;
        struct reel_whole value;
        if (!reel_scan_find (header, field_names[kept[i]], &bytes))
            continue;
        struct reel_cursor cursor = reel_scan_start (bytes);
        if (reel_scan_whole (&cursor, &value)
            && decode_value (&fields[kept[i]], &value, &message->value[kept[i]], room) == NULL)
            mark_present (message, kept[i]);
    }
}

enum reel_status
reel_message_decode (enum reel_channel channel, enum reel_command in_reply_to, const struct reel_slice *frames,
                     size_t frame_count, struct reel_message *message, struct reel_error *err)
{
    reel_message_init (message, REEL_COMMAND_COUNT);
    enum reel_status form = check_frames (frames, frame_count, err);
    if (frame_count < 3)
        return form;
    enum reel_status status = check_header (frames[2], form == REEL_OK ? err : NULL);
    if (status != REEL_OK)
        return form != REEL_OK ? form : status;
    status = form != REEL_OK ? form : decode_header (channel, in_reply_to, frames, frame_count, message, err);
    if (status != REEL_OK)
        keep_address (frames[2], message);
    return status;
}

/* --- events ------------------------------------------------------------------------------- */

static enum reel_status
find_event (enum reel_channel channel, struct reel_slice map, const char *path, const struct reel_message_spec **spec,
            struct reel_error *err)
{
    char shown[36];
    struct reel_slice bytes, kind;
    *spec = &messages[REEL_EVENT_BEAT];
    if (reel_scan_type (map) != REEL_MAP)
        return reel_error_set (err, REEL_INVALID, "malformed", path, "an event must be a map");
    if (!reel_scan_find (map, field_names[REEL_F_KIND], &bytes))
        return channel == REEL_PUBLISHED ? REEL_OK
                                         : refuse_field (err, path, "an event", field_names[REEL_F_KIND], "is missing");
    struct reel_cursor cursor = reel_scan_start (bytes);
    if (!reel_scan_key (&cursor, &kind))
        return refuse_field (err, path, "an event", field_names[REEL_F_KIND], "must be a string");
    *spec = find_message (channel, REEL_COMMAND_COUNT, kind);
    if (*spec != NULL && *spec != &messages[REEL_EVENT_BEAT])
        return REEL_OK;
    reel_error_set (err, REEL_INVALID, "malformed", path, "no event here is of kind %s", printable (kind, shown));
    return REEL_INVALID;
}

enum reel_status
reel_message_decode_event (enum reel_channel channel, struct reel_slice map, const char *path,
                           struct reel_message *message, struct reel_error *err)
{
    const struct reel_message_spec *spec;
    reel_message_init (message, REEL_COMMAND_COUNT);
    enum reel_status status = find_event (channel, map, path, &spec, err);
    if (status == REEL_OK)
        status = decode_fields (spec, map, path, message, err);
    if (status == REEL_OK)
        message->command = spec->command;
    return status;
}
