/*
 * The walk over msgpack bytes: one reader of heads, used by the check and by the cursor.
 *
 * The check keeps an explicit stack of at most REEL_DEPTH_MAX containers, so hostile depth
 * costs nothing, and that stack is also what an error's path is made of.
 */
#include "proto/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mutant.h"
#include "base/utf8.h"

static inline bool
take_number (struct reel_cursor *cursor, unsigned len, uint64_t *number)
{
    if ((size_t) (cursor->end - cursor->at) < len)
        return false;
    *number = 0;
    for (unsigned i = 0; i < len; i++)
        *number = *number << 8 | cursor->at[i];
    cursor->at += len;
    return true;
}

static inline bool
take_body (struct reel_cursor *cursor, enum reel_type type, uint64_t len, struct reel_value *value)
{
    if ((uint64_t) (cursor->end - cursor->at) < len)
        return false;
    value->type = type;
    value->bytes = reel_slice (cursor->at, (size_t) len);
    cursor->at += len;
    return true;
}

static bool
take_ext (struct reel_cursor *cursor, uint64_t len, struct reel_value *value)
{
    uint64_t type;
    if (!take_number (cursor, 1, &type))
        return false;
    value->ext_type = (int8_t) (uint8_t) type;
    return take_body (cursor, REEL_EXT, len, value);
}

static bool
set_container (struct reel_cursor *cursor, enum reel_type type, uint64_t count, struct reel_value *value)
{
    uint64_t members = type == REEL_MAP ? 2 * count : count;
    if (members > (uint64_t) (cursor->end - cursor->at) && !REEL_MUTANT_IS (40))
        return false;
    value->type = type;
    value->count = (uint32_t) count;
    return true;
}

static bool
set_signed (int64_t number, struct reel_value *value)
{
    if (number >= 0) {
        value->type = REEL_UINT;
        value->u = (uint64_t) number;
    } else {
        value->type = REEL_INT;
        value->i = number;
    }
    return true;
}

/* The formats that are one byte and a big-endian number of 1, 2, 4 or 8 bytes. */
static bool
take_sized (struct reel_cursor *cursor, uint8_t format, struct reel_value *value)
{
    static const uint8_t widths[32] = {
        [0x04] = 1, [0x05] = 2, [0x06] = 4, [0x07] = 1, [0x08] = 2, [0x09] = 4, [0x0a] = 4, [0x0b] = 8,
        [0x0c] = 1, [0x0d] = 2, [0x0e] = 4, [0x0f] = 8, [0x10] = 1, [0x11] = 2, [0x12] = 4, [0x13] = 8,
        [0x19] = 1, [0x1a] = 2, [0x1b] = 4, [0x1c] = 2, [0x1d] = 4, [0x1e] = 2, [0x1f] = 4,
    };
    uint64_t number;
    if (!take_number (cursor, widths[format & 0x1f], &number))
        return false;
    switch (format) {
    case 0xc4:
    case 0xc5:
    case 0xc6: return take_body (cursor, REEL_BIN, number, value);
    case 0xc7:
    case 0xc8:
    case 0xc9: return take_ext (cursor, number, value);
    case 0xca:
        value->type = REEL_F32;
        value->bits32 = (uint32_t) number;
        return true;
    case 0xcb:
        value->type = REEL_F64;
        value->bits64 = number;
        return true;
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        value->type = REEL_UINT;
        value->u = number;
        return true;
    case 0xd0: return set_signed ((int8_t) (uint8_t) number, value);
    case 0xd1: return set_signed ((int16_t) (uint16_t) number, value);
    case 0xd2: return set_signed ((int32_t) (uint32_t) number, value);
    case 0xd3: return set_signed ((int64_t) number, value);
    case 0xda:
    case 0xdb: return take_body (cursor, REEL_STR, number, value);
    case 0xdc:
    case 0xdd: return set_container (cursor, REEL_ARRAY, number, value);
    default: return set_container (cursor, REEL_MAP, number, value);
    }
}

struct reel_cursor
reel_scan_start (struct reel_slice bytes)
{
    return (struct reel_cursor){bytes.data, bytes.data == NULL ? NULL : bytes.data + bytes.len};
}

static inline __attribute__ ((always_inline)) bool
next (struct reel_cursor *cursor, struct reel_value *value)
{
    if (cursor->at == cursor->end)
        return false;
    uint8_t format = *cursor->at++;
    uint64_t len;
    value->bytes = REEL_SLICE_NONE;
    if (format <= 0x7f || format >= 0xe0)
        return set_signed ((int8_t) format, value);
    if (format <= 0x8f)
        return set_container (cursor, REEL_MAP, format & 0x0fu, value);
    if (format <= 0x9f)
        return set_container (cursor, REEL_ARRAY, format & 0x0fu, value);
    if (format <= 0xbf)
        return take_body (cursor, REEL_STR, format & 0x1fu, value);
    switch (format) {
    case 0xc0: value->type = REEL_NIL; return true;
    case 0xc1: return false;
    case 0xc2:
    case 0xc3:
        value->type = REEL_BOOL;
        value->boolean = format == 0xc3;
        return true;
    case 0xd9: return take_number (cursor, 1, &len) && take_body (cursor, REEL_STR, len, value);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8: return take_ext (cursor, UINT64_C (1) << (format - 0xd4), value);
    default: return take_sized (cursor, format, value);
    }
}

bool
reel_scan_next (struct reel_cursor *cursor, struct reel_value *value)
{
    return next (cursor, value);
}

static uint64_t
members (const struct reel_value *head)
{
    return head->type == REEL_ARRAY ? head->count : head->type == REEL_MAP ? 2 * (uint64_t) head->count : 0;
}

/* Passes over `left` values. */
static bool
skip (struct reel_cursor *cursor, uint64_t left)
{
    struct reel_value value;
    for (; left > 0; left += members (&value) - 1)
        if (!next (cursor, &value))
            return false;
    return true;
}

bool
reel_scan_skip (struct reel_cursor *cursor, struct reel_slice *whole)
{
    const uint8_t *start = cursor->at;
    if (!skip (cursor, 1))
        return false;
    if (whole != NULL)
        *whole = reel_slice (start, (size_t) (cursor->at - start));
    return true;
}

static inline bool
take_whole (struct reel_cursor *cursor, struct reel_whole *whole)
{
    const uint8_t *start = cursor->at;
    if (!next (cursor, &whole->head))
        return false;
    uint64_t left = members (&whole->head);
    if (left > 0 && !skip (cursor, left))
        return false;
    whole->bytes = reel_slice (start, (size_t) (cursor->at - start));
    return true;
}

bool
reel_scan_whole (struct reel_cursor *cursor, struct reel_whole *whole)
{
    return take_whole (cursor, whole);
}

bool
reel_scan_pair (struct reel_cursor *cursor, struct reel_slice *key, struct reel_whole *value)
{
    struct reel_value name;
    if (!next (cursor, &name) || name.type != REEL_STR || !take_whole (cursor, value))
        return false;
    *key = name.bytes;
    return true;
}

bool
reel_scan_key (struct reel_cursor *cursor, struct reel_slice *key)
{
    struct reel_value value;
    if (!reel_scan_next (cursor, &value) || value.type != REEL_STR)
        return false;
    *key = value.bytes;
    return true;
}

bool
reel_scan_uint (struct reel_cursor *cursor, uint64_t *number)
{
    struct reel_value value;
    if (!reel_scan_next (cursor, &value) || value.type != REEL_UINT)
        return false;
    *number = value.u;
    return true;
}

bool
reel_scan_value (struct reel_slice bytes, struct reel_value *value)
{
    struct reel_cursor cursor = reel_scan_start (bytes);
    return reel_scan_next (&cursor, value);
}

enum reel_type
reel_scan_type (struct reel_slice bytes)
{
    struct reel_value value;
    return reel_scan_value (bytes, &value) ? value.type : REEL_NIL;
}

bool
reel_scan_find (struct reel_slice map, struct reel_slice key, struct reel_slice *value)
{
    struct reel_cursor cursor = reel_scan_start (map);
    struct reel_value head;
    if (!reel_scan_next (&cursor, &head) || head.type != REEL_MAP)
        return false;
    for (uint32_t i = 0; i < head.count; i++) {
        struct reel_slice name, body;
        if (!reel_scan_key (&cursor, &name) || !reel_scan_skip (&cursor, &body))
            return false;
        if (reel_slice_equal (name, key)) {
            *value = body;
            return true;
        }
    }
    return false;
}

bool
reel_scan_find_str (struct reel_slice map, const char *key, struct reel_slice *text)
{
    struct reel_slice bytes;
    struct reel_value value;
    if (!reel_scan_find (map, reel_slice_text (key), &bytes) || !reel_scan_value (bytes, &value)
        || value.type != REEL_STR)
        return false;
    *text = value.bytes;
    return true;
}

bool
reel_scan_find_uint (struct reel_slice map, const char *key, uint64_t *number)
{
    struct reel_slice bytes;
    if (!reel_scan_find (map, reel_slice_text (key), &bytes))
        return false;
    struct reel_cursor cursor = reel_scan_start (bytes);
    return reel_scan_uint (&cursor, number);
}

unsigned
reel_scan_depth (struct reel_slice bytes)
{
    uint64_t left[REEL_DEPTH_MAX + 1] = {1};
    unsigned level = 0, deepest = 0;
    struct reel_cursor cursor = reel_scan_start (bytes);
    struct reel_value value;
    while (reel_scan_next (&cursor, &value)) {
        left[level]--;
        if (value.type == REEL_ARRAY || value.type == REEL_MAP) {
            if (level == REEL_DEPTH_MAX)
                return REEL_DEPTH_MAX + 1;
            left[++level] = value.type == REEL_MAP ? 2 * (uint64_t) value.count : value.count;
            deepest = level > deepest ? level : deepest;
        }
        while (level > 0 && left[level] == 0)
            level--;
        if (level == 0)
            break;
    }
    return deepest;
}

/* --- UTF-8 ------------------------------------------------------------------------------- */

#define ONES UINT64_C (0x0101010101010101)
#define HIGH_BITS (0x80 * ONES)

/* `len` of at most 8 characters in one word, in any order, some of them twice; no zero that is not among them. */
static inline uint64_t
word_of (const uint8_t *at, size_t len)
{
    uint64_t word = ONES;
    uint32_t half;
    if (len == 8) {
        memcpy (&word, at, 8);
    } else if (len >= 4) {
        memcpy (&half, at, 4);
        word = half;
        memcpy (&half, at + len - 4, 4);
        word = word << 32 | half;
    } else if (len > 0) {
        word = word << 24 | (uint64_t) at[0] << 16 | (uint64_t) at[len / 2] << 8 | at[len - 1];
    }
    return word;
}

/* Nearly all strings are ASCII without NUL, which is seen eight characters at a time. */
static inline void
survey (struct reel_slice text, bool *ascii, bool *no_nul)
{
    uint64_t high = 0, nul = 0;
    size_t at = 0;
    do {
        size_t len = text.len - at < 8 ? text.len - at : 8;
        uint64_t word = word_of (text.data + at, len);
        high |= word;
        nul |= (word - ONES) & ~word;
        at += len;
    } while (at < text.len);
    *ascii = (high & HIGH_BITS) == 0;
    *no_nul = (nul & HIGH_BITS) == 0;
}

static bool
utf8_slow (struct reel_slice text)
{
    size_t at = 0;
    while (at < text.len) {
        size_t len = reel_utf8_character (text.data + at, text.len - at);
        if (len == 0)
            return false;
        at += len;
    }
    return true;
}

static inline bool
utf8 (struct reel_slice text, bool *no_nul)
{
    bool ascii;
    survey (text, &ascii, no_nul);
    return ascii || utf8_slow (text);
}

bool
reel_scan_utf8 (struct reel_slice text)
{
    bool no_nul;
    return text.len == 0 || utf8 (text, &no_nul);
}

/* --- the check ---------------------------------------------------------------------------- */

/* A map of up to this many keys has each new key compared with those before it, so that the first double is found
 * where it is; a map of more has them sorted when it ends. */
#define KEYS_PAIRWISE_MAX 16
#define KEYS_FEW 48

struct level {
    bool is_map;
    uint32_t count; /* members; keys and values both count in a map */
    uint32_t left;  /* members not begun yet; odd in a map while a key is under way */
    size_t keys_first;
    uint64_t keys_hint; /* a bit for each key seen, so that most keys are compared with none */
};

struct check {
    struct reel_cursor cursor;
    const uint8_t *start;
    struct reel_error *err;
    unsigned depth;
    struct level stack[REEL_DEPTH_MAX + 1]; /* [0] stands for the outside */
    struct reel_slice *keys;                /* of all the maps that are open, the outermost map's first */
    size_t key_count;
    size_t key_cap;
    struct reel_slice few[KEYS_FEW]; /* where `keys` lie until they are too many */
};

static bool
at_key (const struct level *level)
{
    return level->is_map && level->left % 2 == 1;
}

/* Adds the member under way at `depth`. */
static void
path_member (const struct check *check, unsigned depth, struct reel_buf *path)
{
    const struct level *level = &check->stack[depth];
    reel_buf_add_byte (path, '/');
    if (!level->is_map) {
        reel_buf_printf (path, "%u", level->count - level->left - 1);
        return;
    }
    size_t keys = depth == check->depth ? check->key_count : check->stack[depth + 1].keys_first;
    struct reel_slice key = check->keys[keys - 1];
    for (size_t i = 0; i < key.len && path->len < REEL_ERROR_PATH_BYTES; i++) {
        uint8_t byte = key.data[i];
        if (byte == '~')
            reel_buf_add_text (path, "~0");
        else if (byte == '/')
            reel_buf_add_text (path, "~1");
        else
            reel_buf_add_byte (path, byte);
    }
}

/* The trouble is in the member under way; when that is a key, the map that has it is the place. */
static enum reel_status
refuse (const struct check *check, const char *code, const char *what)
{
    struct reel_buf path = {0};
    for (unsigned depth = 1; depth <= check->depth && !at_key (&check->stack[depth]); depth++)
        path_member (check, depth, &path);
    reel_buf_add_byte (&path, 0);
    enum reel_status status = reel_error_set (check->err, REEL_INVALID, code,
                                              path.failed ? "" : (const char *) path.data, "%s", what);
    reel_buf_free (&path);
    return status;
}

static enum reel_status
refuse_cut_off (const struct check *check, const uint8_t *at)
{
    char what[128];
    snprintf (what, sizeof what, "msgpack that is cut off, or wrong, at byte %zu of %zu", (size_t) (at - check->start),
              (size_t) (check->cursor.end - check->start));
    return refuse (check, "malformed", what);
}

static bool
add_key (struct check *check, struct reel_slice key)
{
    if (check->key_count == check->key_cap) {
        bool few = check->keys == check->few;
        size_t cap = 2 * check->key_cap;
        struct reel_slice *keys = realloc (few ? NULL : check->keys, cap * sizeof *keys);
        if (keys == NULL)
            return false;
        if (few)
            memcpy (keys, check->few, sizeof check->few);
        check->keys = keys;
        check->key_cap = cap;
    }
    check->keys[check->key_count].data = key.data;
    check->keys[check->key_count++].len = key.len;
    return true;
}

static bool
is_double (const struct check *check, struct level *level, struct reel_slice key)
{
    unsigned hint = key.len == 0 ? 0 : (unsigned) key.len + 5u * key.data[0] + 11u * key.data[key.len - 1];
    uint64_t bit = UINT64_C (1) << hint % 64;
    bool maybe = (level->keys_hint & bit) != 0;
    level->keys_hint |= bit;
    for (size_t i = level->keys_first; maybe && i < check->key_count; i++)
        if (reel_slice_equal (check->keys[i], key))
            return true;
    return false;
}

static enum reel_status
take_key (struct check *check, struct level *level, const struct reel_value *value)
{
    if (value->type != REEL_STR)
        return refuse (check, "bad_type", "a map key that is not a string");
    bool no_nul;
    if (!utf8 (value->bytes, &no_nul))
        return refuse (check, "bad_type", "a map key that is not valid UTF-8");
    if (!no_nul)
        return refuse (check, "bad_type", "a map key that contains NUL");
    if (level->count <= 2 * KEYS_PAIRWISE_MAX && is_double (check, level, value->bytes))
        return refuse (check, "bad_type", "a map key that is there twice");
    return add_key (check, value->bytes) ? REEL_OK : REEL_NO_MEMORY;
}

static enum reel_status
enter (struct check *check, const struct reel_value *value, unsigned depth_max)
{
    if (check->depth == depth_max)
        return refuse (check, "limit_exceeded", "containers nested too deep");
    if (value->type == REEL_MAP && value->count > REEL_MAP_KEYS_MAX)
        return refuse (check, "limit_exceeded", "a map of too many keys");
    struct level *inner = &check->stack[++check->depth];
    inner->is_map = value->type == REEL_MAP;
    inner->count = inner->left = inner->is_map ? 2 * value->count : value->count;
    inner->keys_first = check->key_count;
    inner->keys_hint = 0;
    return REEL_OK;
}

static int
compare_keys (const void *a, const void *b)
{
    return reel_slice_compare (*(const struct reel_slice *) a, *(const struct reel_slice *) b);
}

/* Ends the container that has no member left. */
static enum reel_status
leave (struct check *check)
{
    const struct level *level = &check->stack[check->depth--];
    bool twice = false;
    if (level->is_map && level->count > 2 * KEYS_PAIRWISE_MAX) {
        struct reel_slice *keys = check->keys + level->keys_first;
        size_t count = check->key_count - level->keys_first;
        qsort (keys, count, sizeof *keys, compare_keys);
        for (size_t i = 1; i < count && !twice; i++)
            twice = reel_slice_equal (keys[i - 1], keys[i]);
    }
    check->key_count = level->keys_first;
    return twice ? refuse (check, "bad_type", "a map key that is there twice") : REEL_OK;
}

static enum reel_status
walk (struct check *check, unsigned depth_max)
{
    do {
        struct level *level = &check->stack[check->depth];
        const uint8_t *start = check->cursor.at;
        struct reel_value value;
        enum reel_status status = REEL_OK;
        if (check->depth > 0)
            level->left--;
        if (!next (&check->cursor, &value))
            return refuse_cut_off (check, start);
        if (check->depth > 0 && at_key (level))
            status = take_key (check, level, &value);
        else if (value.type == REEL_ARRAY || value.type == REEL_MAP)
            status = enter (check, &value, depth_max);
        else if (value.type == REEL_STR && !reel_scan_utf8 (value.bytes))
            status = refuse (check, "bad_type", "a string that is not valid UTF-8 (bytes belong in bin)");
        while (status == REEL_OK && check->depth > 0 && check->stack[check->depth].left == 0)
            status = leave (check);
        if (status != REEL_OK)
            return status;
    } while (check->depth > 0);
    if (check->cursor.at != check->cursor.end)
        return reel_error_set (check->err, REEL_INVALID, "malformed", "",
                               "%zu bytes left over after the end of the value",
                               (size_t) (check->cursor.end - check->cursor.at));
    return REEL_OK;
}

enum reel_status
reel_scan_check (struct reel_slice bytes, unsigned depth_max, struct reel_error *err)
{
    REEL_ASSERT (depth_max <= REEL_DEPTH_MAX);
    struct check check;
    check.cursor = reel_scan_start (bytes);
    check.start = bytes.data;
    check.err = err;
    check.depth = 0;
    check.keys = check.few;
    check.key_count = 0;
    check.key_cap = KEYS_FEW;
    enum reel_status status = REEL_MUTANT_IS (44) ? REEL_OK : walk (&check, depth_max);
    if (check.keys != check.few)
        free (check.keys);
    return status;
}

/* --- pointers ------------------------------------------------------------------------------ */

/* Does `token`, with ~0 and ~1 in it, spell `key`? */
static bool
token_is (struct reel_slice token, struct reel_slice key)
{
    size_t at = 0;
    for (size_t i = 0; i < token.len; i++, at++) {
        uint8_t byte = token.data[i];
        if (byte == '~') {
            if (++i == token.len || (token.data[i] != '0' && token.data[i] != '1'))
                return false;
            byte = token.data[i] == '0' ? '~' : '/';
        }
        if (at == key.len || key.data[at] != byte)
            return false;
    }
    return at == key.len;
}

static bool
token_index (struct reel_slice token, uint32_t *index)
{
    uint64_t number = 0;
    if (token.len == 0 || token.len > 9 || (token.len > 1 && token.data[0] == '0'))
        return false;
    for (size_t i = 0; i < token.len; i++) {
        if (token.data[i] < '0' || token.data[i] > '9')
            return false;
        number = 10 * number + (uint64_t) (token.data[i] - '0');
    }
    *index = (uint32_t) number;
    return true;
}

static bool
member (struct reel_slice container, struct reel_slice token, struct reel_slice *found)
{
    struct reel_cursor cursor = reel_scan_start (container);
    struct reel_value head;
    uint32_t index;
    if (!reel_scan_next (&cursor, &head))
        return false;
    if (head.type == REEL_ARRAY) {
        if (!token_index (token, &index) || index >= head.count)
            return false;
        for (uint32_t i = 0; i < index; i++)
            if (!reel_scan_skip (&cursor, NULL))
                return false;
        return reel_scan_skip (&cursor, found);
    }
    for (uint32_t i = 0; head.type == REEL_MAP && i < head.count; i++) {
        struct reel_slice key, value;
        if (!reel_scan_key (&cursor, &key) || !reel_scan_skip (&cursor, &value))
            return false;
        if (token_is (token, key)) {
            *found = value;
            return true;
        }
    }
    return false;
}

bool
reel_scan_pointer (struct reel_slice root, struct reel_slice pointer, struct reel_slice *found)
{
    struct reel_slice here = root;
    size_t at = 0;
    while (at < pointer.len) {
        if (pointer.data[at] != '/')
            return false;
        size_t end = ++at;
        while (end < pointer.len && pointer.data[end] != '/')
            end++;
        if (!member (here, reel_slice (pointer.data + at, end - at), &here))
            return false;
        at = end;
    }
    *found = here;
    return true;
}
