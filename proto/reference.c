/*
 * References in payloads: found, checked, replaced.
 *
 * Validation walks the payload and the run machine rewrites it; both go over the checked
 * bytes in place. The way down is a chain of places on the stack, and is spelt out as a
 * path only where somebody needs it. A payload without the bytes "$ref" has neither
 * references nor literals, which spares nearly all of them the walk.
 */
#include "proto/reference.h"

#include <string.h>

#include "base/limits.h"
#include "proto/identity.h"
#include "proto/pack.h"
#include "proto/scan.h"

#define REFERENCE_KEY "$ref"

/* One step of the way from the payload down to a value. */
struct place {
    const struct place *above; /* NULL: the payload itself */
    bool in_map;
    struct reel_slice key;
    uint32_t index;
};

/* What walking and resolving share. */
struct search {
    const char *prefix; /* of every path */
    void *context;
    uint32_t seen; /* references */
    struct reel_error *err;
    char path[REEL_ERROR_PATH_BYTES]; /* the last one that was spelt out */
};

struct walk {
    struct search search;
    reel_reference_fn visit;
};

struct resolve {
    struct search search;
    reel_reference_receipt_fn receipt_of;
    struct reel_buf *out;
    size_t start; /* of the payload in `out` */
};

/* --- paths ---------------------------------------------------------------------------- */

/* Appends "/<key>" with its escapes; false, and nothing appended, when it does not fit. */
static bool
path_add_key (char *path, size_t *len, struct reel_slice key)
{
    size_t at = *len;
    if (at + 1 >= REEL_ERROR_PATH_BYTES)
        return false;
    path[at++] = '/';
    for (size_t i = 0; i < key.len; i++) {
        uint8_t byte = key.data[i];
        bool escaped = byte == '~' || byte == '/';
        if (at + (escaped ? 2 : 1) >= REEL_ERROR_PATH_BYTES)
            return false;
        path[at++] = escaped ? '~' : (char) byte;
        if (escaped)
            path[at++] = byte == '~' ? '0' : '1';
    }
    *len = at;
    return true;
}

static bool
path_add_index (char *path, size_t *len, uint32_t index)
{
    char digits[10];
    size_t count = 0;
    do {
        digits[sizeof digits - ++count] = (char) ('0' + index % 10);
        index /= 10;
    } while (index > 0);
    return path_add_key (path, len, reel_slice (digits + sizeof digits - count, count));
}

/* Adds the places from the top down, as far as they fit. */
static bool
path_add_place (char *path, size_t *len, const struct place *place)
{
    if (!place)
        return true;
    if (!path_add_place (path, len, place->above))
        return false;
    return place->in_map ? path_add_key (path, len, place->key) : path_add_index (path, len, place->index);
}

/* The path of `place`, cut to the nearest enclosing value that fits; good until the next one. */
static const char *
spell (struct search *search, const struct place *place)
{
    size_t len = strnlen (search->prefix, REEL_ERROR_PATH_BYTES - 1);
    memcpy (search->path, search->prefix, len);
    (void) path_add_place (search->path, &len, place);
    search->path[len] = '\0';
    return search->path;
}

/* --- what is a reference -------------------------------------------------------------- */

enum reel_status
reel_reference_parse (struct reel_slice text, struct reel_slice *step_id, struct reel_slice *pointer)
{
    if (text.len < 3 || text.data[0] != '#' || text.data[1] != '/')
        return REEL_INVALID;
    size_t end = 2;
    while (end < text.len && text.data[end] != '/')
        end++;
    struct reel_slice id = reel_slice (text.data + 2, end - 2);
    if (!reel_identity_id (id))
        return REEL_INVALID;
    for (size_t i = end; i < text.len; i++)
        if (text.data[i] == '~' && (i + 1 == text.len || (text.data[i + 1] != '0' && text.data[i + 1] != '1')))
            return REEL_INVALID;
    *step_id = id;
    *pointer = reel_slice (text.data + end, text.len - end);
    return REEL_OK;
}

static bool
may_have_any (struct reel_slice payload)
{
    return payload.len > 0 && memmem (payload.data, payload.len, REFERENCE_KEY, strlen (REFERENCE_KEY)) != NULL;
}

/* The `$` in front of "ref" when that is the only key of the map of one pair at `cursor`, else 0. */
static size_t
dollars_of (struct reel_cursor cursor)
{
    struct reel_slice key;
    if (!reel_scan_key (&cursor, &key) || key.len < strlen (REFERENCE_KEY)
        || memcmp (key.data + key.len - 3, "ref", 3) != 0)
        return 0;
    for (size_t i = 0; i < key.len - 3; i++)
        if (key.data[i] != '$')
            return 0;
    return key.len - 3;
}

static enum reel_status
malformed (struct search *search, const struct place *place)
{
    return reel_error_set (search->err, REEL_INVALID, "malformed", spell (search, place), "the payload is not msgpack");
}

/* Reads the one pair of a map that is a reference. */
static enum reel_status
read_reference (struct search *search, struct reel_cursor *cursor, const struct place *place, struct reel_slice *text,
                struct reel_slice *step_id, struct reel_slice *pointer)
{
    struct reel_slice key, whole;
    struct reel_value value;
    if (!reel_scan_key (cursor, &key) || !reel_scan_skip (cursor, &whole) || !reel_scan_value (whole, &value))
        return malformed (search, place);
    if (search->seen++ == REEL_REFERENCES_MAX)
        return reel_error_set (search->err, REEL_INVALID, "limit_exceeded", spell (search, place),
                               "a payload has at most %d references", REEL_REFERENCES_MAX);
    if (value.type != REEL_STR)
        return reel_error_set (search->err, REEL_INVALID, "bad_reference", spell (search, place),
                               "the value of \"$ref\" must be a string (a key that is meant literally is "
                               "written \"$$ref\")");
    if (reel_reference_parse (value.bytes, step_id, pointer) != REEL_OK)
        return reel_error_set (search->err, REEL_INVALID, "bad_reference", spell (search, place),
                               "\"%.*s\" is not of the form \"#/<step_id>/<JSON Pointer into its receipt>\"",
                               REEL_TEXT (value.bytes));
    *text = value.bytes;
    return REEL_OK;
}

/* --- walking -------------------------------------------------------------------------- */

static enum reel_status
walk_reference (struct walk *walk, struct reel_cursor *cursor, const struct place *place)
{
    struct search *search = &walk->search;
    struct reel_slice text = REEL_SLICE_NONE, step_id = REEL_SLICE_NONE, pointer = REEL_SLICE_NONE;
    enum reel_status status = read_reference (search, cursor, place, &text, &step_id, &pointer);
    if (status != REEL_OK)
        return status;
    return walk->visit (search->context, text, spell (search, place), search->err);
}

static enum reel_status
walk_value (struct walk *walk, struct reel_cursor *cursor, const struct place *above)
{
    struct reel_value value;
    if (!reel_scan_next (cursor, &value))
        return malformed (&walk->search, above);
    if (value.type != REEL_ARRAY && value.type != REEL_MAP)
        return REEL_OK;
    if (value.type == REEL_MAP && value.count == 1 && dollars_of (*cursor) == 1)
        return walk_reference (walk, cursor, above);
    enum reel_status status = REEL_OK;
    struct place place = {.above = above, .in_map = value.type == REEL_MAP};
    for (uint32_t i = 0; i < value.count && status == REEL_OK; i++) {
        place.index = i;
        if (place.in_map && !reel_scan_key (cursor, &place.key))
            return malformed (&walk->search, above);
        status = walk_value (walk, cursor, &place);
    }
    return status;
}

enum reel_status
reel_reference_walk (struct reel_slice payload, const char *path, reel_reference_fn visit, void *context,
                     struct reel_error *err)
{
    if (!may_have_any (payload))
        return REEL_OK;
    struct walk walk = {.visit = visit};
    walk.search.prefix = path ? path : "";
    walk.search.context = context;
    walk.search.err = err;
    struct reel_cursor cursor = reel_scan_start (payload);
    return walk_value (&walk, &cursor, NULL);
}

/* --- resolving ------------------------------------------------------------------------ */

static enum reel_status
check_bytes (struct resolve *resolve, const struct place *place)
{
    if (resolve->out->len - resolve->start <= REEL_DOCUMENT_BYTES_MAX)
        return REEL_OK;
    return reel_error_set (resolve->search.err, REEL_INVALID, "limit_exceeded", spell (&resolve->search, place),
                           "with its references replaced the payload is larger than %u bytes", REEL_DOCUMENT_BYTES_MAX);
}

static enum reel_status
unresolved (struct search *search, const struct place *place, struct reel_slice text, const char *why)
{
    return reel_error_set (search->err, REEL_INVALID, "unresolved_reference", spell (search, place),
                           "the reference \"%.*s\" %s", REEL_TEXT (text), why);
}

/* `depth` containers are open around the reference. */
static enum reel_status
resolve_reference (struct resolve *resolve, struct reel_cursor *cursor, const struct place *place, unsigned depth)
{
    struct search *search = &resolve->search;
    struct reel_slice text = REEL_SLICE_NONE, step_id = REEL_SLICE_NONE, pointer = REEL_SLICE_NONE;
    struct reel_slice receipt = REEL_SLICE_NONE, found = REEL_SLICE_NONE;
    enum reel_status status = read_reference (search, cursor, place, &text, &step_id, &pointer);
    if (status != REEL_OK)
        return status;
    if (!resolve->receipt_of (search->context, step_id, &receipt))
        return unresolved (search, place, text, "names a step that has no receipt");
    if (!reel_scan_pointer (receipt, pointer, &found))
        return unresolved (search, place, text, "finds nothing in that step's receipt");
    if (depth == 0 && reel_scan_type (found) != REEL_MAP)
        return unresolved (search, place, text, "stands for the whole payload and finds something that is no map");
    if (depth + reel_scan_depth (found) > REEL_DEPTH_MAX)
        return reel_error_set (search->err, REEL_INVALID, "limit_exceeded", spell (search, place),
                               "with its references replaced the payload nests deeper than %d", REEL_DEPTH_MAX);
    reel_buf_add_slice (resolve->out, found);
    return check_bytes (resolve, place);
}

static enum reel_status
resolve_value (struct resolve *resolve, struct reel_cursor *cursor, const struct place *above, unsigned depth)
{
    struct reel_value value;
    const uint8_t *start = cursor->at;
    if (!reel_scan_next (cursor, &value))
        return malformed (&resolve->search, above);
    bool map = value.type == REEL_MAP;
    size_t dollars = map && value.count == 1 ? dollars_of (*cursor) : 0;
    if (dollars == 1)
        return resolve_reference (resolve, cursor, above, depth);
    reel_buf_add (resolve->out, start, (size_t) (cursor->at - start));
    if (value.type != REEL_ARRAY && !map)
        return check_bytes (resolve, above);
    enum reel_status status = REEL_OK;
    struct place place = {.above = above, .in_map = map};
    for (uint32_t i = 0; i < value.count && status == REEL_OK; i++) {
        place.index = i;
        start = cursor->at;
        if (map && !reel_scan_key (cursor, &place.key))
            return malformed (&resolve->search, above);
        if (dollars > 1)
            reel_pack_str (resolve->out, reel_slice (place.key.data + 1, place.key.len - 1));
        else
            reel_buf_add (resolve->out, start, (size_t) (cursor->at - start));
        status = resolve_value (resolve, cursor, &place, depth + 1);
    }
    return status;
}

enum reel_status
reel_reference_resolve (struct reel_slice payload, reel_reference_receipt_fn receipt_of, void *context,
                        struct reel_buf *out, bool *replaced, struct reel_error *err)
{
    struct resolve resolve = {.receipt_of = receipt_of, .out = out, .start = out->len};
    resolve.search.prefix = "";
    resolve.search.context = context;
    resolve.search.err = err;
    enum reel_status status = REEL_OK;
    if (payload.len == 0)
        reel_pack_map (out, 0);
    else if (!may_have_any (payload))
        reel_buf_add_slice (out, payload);
    else {
        struct reel_cursor cursor = reel_scan_start (payload);
        status = resolve_value (&resolve, &cursor, NULL, 0);
    }
    if (status == REEL_OK)
        status = reel_buf_status (out);
    if (status == REEL_OK)
        *replaced = resolve.search.seen > 0;
    else
        out->len = resolve.start;
    return status;
}
