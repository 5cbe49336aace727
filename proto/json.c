/*
 * JSON on one side, msgpack on the other, and nothing lost between them.
 *
 * Text is parsed by jansson, whose tree is walked once; text is written straight from the
 * msgpack bytes, so that a document on its way out costs no tree. Both run under the "C"
 * locale, because the C library's conversions of numbers would obey any other.
 */
#include "proto/json.h"

#include <jansson.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "proto/pack.h"
#include "proto/scan.h"

#define JSON_BYTES_MAX (4 * (size_t) REEL_DOCUMENT_BYTES_MAX)
#define DOUBLE_DIGITS_MIN 15 /* every decimal of so many digits survives a double */
#define DOUBLE_DIGITS_MAX 17 /* every double survives a decimal of so many digits */
#define DOUBLE_TEXT_BYTES 32

/* The maps of one key that stand for what JSON cannot say. */
enum form { FORM_NONE, FORM_ESCAPED, FORM_BIN, FORM_EXT, FORM_UINT, FORM_F32, FORM_F64 };

/* What a map means whose only key is this one; FORM_ESCAPED: the same with one `$` less. */
static enum form
form_of_key (struct reel_slice key)
{
    static const struct {
        const char *name;
        enum form form;
    } forms[] = {{"bin", FORM_BIN}, {"ext", FORM_EXT}, {"uint", FORM_UINT}, {"f32", FORM_F32}, {"f64", FORM_F64}};
    size_t dollars = 0;
    while (dollars < key.len && key.data[dollars] == '$')
        dollars++;
    if (dollars == 0)
        return FORM_NONE;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (reel_slice_is (reel_slice (key.data + dollars, key.len - dollars), forms[i].name))
            return dollars == 1 ? forms[i].form : FORM_ESCAPED;
    return FORM_NONE;
}

/* --- base64 (RFC 4648, section 4) ---------------------------------------------------------- */

static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void
base64_write (struct reel_buf *out, struct reel_slice bytes)
{
    uint8_t *to = reel_buf_reserve (out, (bytes.len / 3 + 1) * 4);
    if (to == NULL)
        return;
    size_t len = 0;
    for (size_t at = 0; at < bytes.len; at += 3) {
        size_t left = bytes.len - at;
        uint32_t group = (uint32_t) bytes.data[at] << 16;
        if (left > 1)
            group |= (uint32_t) bytes.data[at + 1] << 8;
        if (left > 2)
            group |= bytes.data[at + 2];
        to[len++] = (uint8_t) base64_alphabet[group >> 18];
        to[len++] = (uint8_t) base64_alphabet[group >> 12 & 63];
        to[len++] = left > 1 ? (uint8_t) base64_alphabet[group >> 6 & 63] : '=';
        to[len++] = left > 2 ? (uint8_t) base64_alphabet[group & 63] : '=';
    }
    out->len += len;
}

static int
base64_digit (uint8_t character)
{
    if (character >= 'A' && character <= 'Z')
        return character - 'A';
    if (character >= 'a' && character <= 'z')
        return character - 'a' + 26;
    if (character >= '0' && character <= '9')
        return character - '0' + 52;
    return character == '+' ? 62 : character == '/' ? 63 : -1;
}

/* Appends what `text` says; false when it is not padded base64, or has bits left over. */
static bool
base64_read (struct reel_slice text, struct reel_buf *out)
{
    if (text.len % 4 != 0)
        return false;
    size_t padding = 0;
    while (padding < 2 && padding < text.len && text.data[text.len - 1 - padding] == '=')
        padding++;
    uint32_t group = 0;
    for (size_t at = 0; at < text.len - padding; at++) {
        int digit = base64_digit (text.data[at]);
        if (digit < 0)
            return false;
        group = group << 6 | (uint32_t) digit;
        if (at % 4 == 0)
            continue;
        unsigned spare = 6 - 2 * (unsigned) (at % 4); /* bits of the digit that belong to the next byte */
        reel_buf_add_byte (out, (uint8_t) (group >> spare));
        if (at + 1 == text.len - padding && (group & ((1u << spare) - 1)) != 0)
            return false;
    }
    return true;
}

/* --- writing ---------------------------------------------------------------------------------- */

struct writer {
    struct reel_cursor from;
    struct reel_buf *out;
    bool pretty;
    unsigned depth;
};

static void
write_escape (struct reel_buf *out, uint8_t byte)
{
    switch (byte) {
    case '"': reel_buf_add_text (out, "\\\""); break;
    case '\\': reel_buf_add_text (out, "\\\\"); break;
    case '\b': reel_buf_add_text (out, "\\b"); break;
    case '\f': reel_buf_add_text (out, "\\f"); break;
    case '\n': reel_buf_add_text (out, "\\n"); break;
    case '\r': reel_buf_add_text (out, "\\r"); break;
    case '\t': reel_buf_add_text (out, "\\t"); break;
    default: reel_buf_printf (out, "\\u%04x", byte);
    }
}

static void
write_characters (struct reel_buf *out, struct reel_slice text)
{
    size_t start = 0;
    for (size_t at = 0; at < text.len; at++) {
        uint8_t byte = text.data[at];
        if (byte >= 0x20 && byte != '"' && byte != '\\')
            continue;
        reel_buf_add (out, text.data + start, at - start);
        write_escape (out, byte);
        start = at + 1;
    }
    if (text.len > start)
        reel_buf_add (out, text.data + start, text.len - start);
}

static void
write_string (struct reel_buf *out, struct reel_slice text)
{
    reel_buf_add_byte (out, '"');
    write_characters (out, text);
    reel_buf_add_byte (out, '"');
}

static void
write_colon (struct writer *writer)
{
    reel_buf_add_text (writer->out, writer->pretty ? ": " : ":");
}

/* Begins {"$name": "; form_close() ends it. */
static void
form_open (struct writer *writer, const char *name)
{
    reel_buf_printf (writer->out, "{\"$%s\"", name);
    write_colon (writer);
}

static void
write_bits (struct writer *writer, const char *name, int digits, uint64_t bits)
{
    form_open (writer, name);
    reel_buf_printf (writer->out, "\"%0*llx\"}", digits, (unsigned long long) bits);
}

/* As few of 15 to 17 digits as read back as the same bits, and a mark that it is no integer. */
static void
write_double (struct writer *writer, uint64_t bits)
{
    double value;
    memcpy (&value, &bits, sizeof value);
    if (!isfinite (value)) {
        write_bits (writer, "f64", 16, bits);
        return;
    }
    char text[DOUBLE_TEXT_BYTES];
    for (int digits = DOUBLE_DIGITS_MIN; digits <= DOUBLE_DIGITS_MAX; digits++) {
        int len = snprintf (text, sizeof text, "%.*g", digits, value);
        REEL_ASSERT (len > 0 && (size_t) len < sizeof text);
        double back = strtod (text, NULL);
        if (memcmp (&back, &value, sizeof value) == 0)
            break;
    }
    reel_buf_add_text (writer->out, text);
    if (strpbrk (text, ".e") == NULL)
        reel_buf_add_text (writer->out, ".0");
}

static void
write_scalar (struct writer *writer, const struct reel_value *value)
{
    struct reel_buf *out = writer->out;
    switch (value->type) {
    case REEL_NIL: reel_buf_add_text (out, "null"); break;
    case REEL_BOOL: reel_buf_add_text (out, value->boolean ? "true" : "false"); break;
    case REEL_INT: reel_buf_printf (out, "%lld", (long long) value->i); break;
    case REEL_F32: write_bits (writer, "f32", 8, value->bits32); break;
    case REEL_F64: write_double (writer, value->bits64); break;
    case REEL_STR: write_string (out, value->bytes); break;
    case REEL_UINT:
        if (value->u > INT64_MAX)
            form_open (writer, "uint");
        reel_buf_printf (out, value->u > INT64_MAX ? "\"%llu\"}" : "%llu", (unsigned long long) value->u);
        break;
    case REEL_BIN:
        form_open (writer, "bin");
        reel_buf_add_byte (out, '"');
        base64_write (out, value->bytes);
        reel_buf_add_text (out, "\"}");
        break;
    case REEL_EXT:
        form_open (writer, "ext");
        reel_buf_printf (out, writer->pretty ? "[%d, \"" : "[%d,\"", value->ext_type);
        base64_write (out, value->bytes);
        reel_buf_add_text (out, "\"]}");
        break;
    case REEL_ARRAY:
    case REEL_MAP: REEL_ASSERT (!"a scalar");
    }
}

static void
write_line (struct writer *writer)
{
    if (!writer->pretty)
        return;
    reel_buf_add_byte (writer->out, '\n');
    for (unsigned i = 0; i < writer->depth; i++)
        reel_buf_add_text (writer->out, "  ");
}

static void
write_key (struct writer *writer, bool only)
{
    struct reel_slice key;
    REEL_ASSERT (reel_scan_key (&writer->from, &key));
    reel_buf_add_byte (writer->out, '"');
    if (only && form_of_key (key) != FORM_NONE)
        reel_buf_add_byte (writer->out, '$');
    write_characters (writer->out, key);
    reel_buf_add_byte (writer->out, '"');
    write_colon (writer);
}

static void
write_value (struct writer *writer)
{
    struct reel_value value;
    REEL_ASSERT (reel_scan_next (&writer->from, &value));
    if (value.type != REEL_ARRAY && value.type != REEL_MAP) {
        write_scalar (writer, &value);
        return;
    }
    REEL_ASSERT (writer->depth < REEL_DEPTH_MAX);
    reel_buf_add_byte (writer->out, value.type == REEL_MAP ? '{' : '[');
    writer->depth++;
    for (uint32_t i = 0; i < value.count; i++) {
        if (i > 0)
            reel_buf_add_byte (writer->out, ',');
        write_line (writer);
        if (value.type == REEL_MAP)
            write_key (writer, value.count == 1);
        write_value (writer);
    }
    writer->depth--;
    if (value.count > 0)
        write_line (writer);
    reel_buf_add_byte (writer->out, value.type == REEL_MAP ? '}' : ']');
}

enum reel_status
reel_json_write (struct reel_slice msgpack, unsigned flags, struct reel_buf *out)
{
    locale_t locale = newlocale (LC_ALL_MASK, "C", (locale_t) 0);
    if (locale == (locale_t) 0)
        return REEL_NO_MEMORY;
    locale_t before = uselocale (locale);
    size_t start = out->len;
    struct writer writer = {.from = reel_scan_start (msgpack), .out = out, .pretty = (flags & REEL_JSON_PRETTY) != 0};
    write_value (&writer);
    uselocale (before);
    freelocale (locale);
    if (out->failed)
        out->len = start;
    return reel_buf_status (out);
}

/* --- where a problem is ------------------------------------------------------------------- */

/* A member of the tree and what is around it. */
struct place {
    const struct place *outer; /* NULL: the whole */
    struct reel_slice key;     /* data is NULL for an element, whose `index` counts */
    size_t index;
};

static void
path_add_key (struct reel_buf *path, struct reel_slice key)
{
    reel_buf_add_byte (path, '/');
    for (size_t i = 0; i < key.len; i++) {
        if (key.data[i] == '~' || key.data[i] == '/')
            reel_buf_add_text (path, key.data[i] == '~' ? "~0" : "~1");
        else
            reel_buf_add_byte (path, key.data[i]);
    }
}

static void
path_add (struct reel_buf *path, const struct place *at)
{
    if (at->outer == NULL)
        return;
    path_add (path, at->outer);
    if (at->key.data != NULL)
        path_add_key (path, at->key);
    else
        reel_buf_printf (path, "/%zu", at->index);
}

static enum reel_status
refuse (struct reel_error *err, const char *code, const struct place *at, const char *what)
{
    struct reel_buf path = {0};
    path_add (&path, at);
    reel_buf_add_byte (&path, 0);
    reel_error_set (err, REEL_INVALID, code, path.failed ? NULL : (const char *) path.data, "%s", what);
    reel_buf_free (&path);
    return REEL_INVALID;
}

/* An open container of a text that is known to be well-formed as far as it is looked at. */
struct open_container {
    bool is_map;
    bool at_key;           /* no ':' since the last '{' or ',' */
    struct reel_slice key; /* with its quotes and escapes */
    size_t index;
};

/* Passes over the string that starts at text[at]; returns the place of its closing quote. */
static size_t
string_end (struct reel_slice text, size_t at)
{
    for (at++; at < text.len && text.data[at] != '"'; at++)
        if (text.data[at] == '\\')
            at++;
    return at;
}

/* Fills open[1..] with the containers open at the end of `text` and returns how many there are. */
static size_t
open_containers (struct reel_slice text, struct open_container open[REEL_DEPTH_MAX + 2])
{
    size_t depth = 0;
    struct open_container beyond = {0}; /* stands for all that is deeper */
    for (size_t at = 0; at < text.len; at++) {
        struct open_container *inner = depth <= REEL_DEPTH_MAX + 1 ? &open[depth] : &beyond;
        switch (text.data[at]) {
        case '{':
        case '[':
            depth++;
            *(depth <= REEL_DEPTH_MAX + 1 ? &open[depth] : &beyond) = (struct open_container){
                .is_map = text.data[at] == '{', .at_key = true};
            break;
        case '}':
        case ']': depth--; break;
        case ',':
            inner->index++;
            inner->at_key = true;
            break;
        case ':': inner->at_key = false; break;
        case '"': {
            size_t end = string_end (text, at);
            if (depth > 0 && inner->at_key && end < text.len)
                inner->key = reel_slice (text.data + at, end + 1 - at);
            at = end;
            break;
        }
        default: break;
        }
    }
    return depth <= REEL_DEPTH_MAX + 1 ? depth : REEL_DEPTH_MAX + 1;
}

/* Refuses at the value that ends where `text` does or, when that is a key, at the map that has it. */
static enum reel_status
refuse_at_end (struct reel_error *err, const char *code, struct reel_slice text, const char *what)
{
    struct open_container open[REEL_DEPTH_MAX + 2] = {0};
    size_t depth = open_containers (text, open);
    struct reel_buf path = {0};
    for (size_t i = 1; i <= depth && !(open[i].is_map && open[i].at_key); i++) {
        if (!open[i].is_map) {
            reel_buf_printf (&path, "/%zu", open[i].index);
            continue;
        }
        json_t *key = json_loadb ((const char *) open[i].key.data, open[i].key.len, JSON_DECODE_ANY, NULL);
        if (key == NULL)
            break;
        path_add_key (&path, reel_slice (json_string_value (key), json_string_length (key)));
        json_decref (key);
    }
    reel_buf_add_byte (&path, 0);
    reel_error_set (err, REEL_INVALID, code, path.failed ? NULL : (const char *) path.data, "%s", what);
    reel_buf_free (&path);
    return REEL_INVALID;
}

/* --- reading ------------------------------------------------------------------------------- */

struct reader {
    struct reel_buf *out;
    struct reel_error *err;
};

static struct reel_slice
string_slice (const json_t *string)
{
    return reel_slice (json_string_value (string), json_string_length (string));
}

static bool
read_uint (struct reel_slice digits, uint64_t *number)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        uint64_t digit = (uint64_t) digits.data[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *number = value;
    return digits.len > 0;
}

static bool
read_bits (struct reel_slice digits, size_t count, uint64_t *bits)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        uint8_t digit = digits.data[i];
        if (digit >= '0' && digit <= '9')
            value = value << 4 | (uint64_t) (digit - '0');
        else if (digit >= 'a' && digit <= 'f')
            value = value << 4 | (uint64_t) (digit - 'a' + 10);
        else
            return false;
    }
    *bits = value;
    return digits.len == count;
}

/* Decodes base64 and packs it: as bin, or as ext when there is a type. */
static bool
read_bytes (struct reader *reader, struct reel_slice text, const int8_t *ext_type)
{
    struct reel_buf bytes = {0};
    bool read = base64_read (text, &bytes);
    if (bytes.failed)
        reader->out->failed = true;
    else if (read && ext_type != NULL)
        reel_pack_ext (reader->out, *ext_type, reel_buf_slice (&bytes));
    else if (read)
        reel_pack_bin (reader->out, reel_buf_slice (&bytes));
    reel_buf_free (&bytes);
    return read;
}

static bool
read_ext (struct reader *reader, const json_t *value)
{
    const json_t *type = json_array_get (value, 0);
    const json_t *body = json_array_get (value, 1);
    if (json_array_size (value) != 2 || !json_is_integer (type) || !json_is_string (body))
        return false;
    json_int_t number = json_integer_value (type);
    int8_t ext_type = (int8_t) number;
    return number == ext_type && read_bytes (reader, string_slice (body), &ext_type);
}

static bool
read_form (struct reader *reader, enum form form, const json_t *value)
{
    uint64_t number;
    if (form == FORM_EXT)
        return read_ext (reader, value);
    if (!json_is_string (value))
        return false;
    struct reel_slice text = string_slice (value);
    if (form == FORM_BIN)
        return read_bytes (reader, text, NULL);
    bool read = form == FORM_UINT ? read_uint (text, &number) : read_bits (text, form == FORM_F32 ? 8 : 16, &number);
    if (!read)
        return false;
    if (form == FORM_UINT)
        reel_pack_uint (reader->out, number);
    else if (form == FORM_F32)
        reel_pack_f32_bits (reader->out, (uint32_t) number);
    else
        reel_pack_f64_bits (reader->out, number);
    return true;
}

static const char *
form_usage (enum form form)
{
    switch (form) {
    case FORM_BIN: return "{\"$bin\": ...} takes a string of padded base64; for a map with that key write \"$$bin\"";
    case FORM_EXT:
        return "{\"$ext\": ...} takes [a type from -128 to 127, a string of padded base64]; for a map with that key "
               "write \"$$ext\"";
    case FORM_UINT:
        return "{\"$uint\": ...} takes a string of decimal digits, at most 2^64-1; for a map with that key write "
               "\"$$uint\"";
    case FORM_F32:
        return "{\"$f32\": ...} takes a string of 8 lower-case hex digits; for a map with that key write \"$$f32\"";
    default:
        return "{\"$f64\": ...} takes a string of 16 lower-case hex digits; for a map with that key write \"$$f64\"";
    }
}

static enum reel_status read_value (struct reader *reader, const json_t *value, const struct place *at, unsigned depth);

static enum reel_status
read_array (struct reader *reader, const json_t *array, const struct place *at, unsigned depth)
{
    size_t count = json_array_size (array);
    reel_pack_array (reader->out, (uint32_t) count);
    for (size_t i = 0; i < count; i++) {
        struct place member = {.outer = at, .index = i};
        enum reel_status status = read_value (reader, json_array_get (array, i), &member, depth + 1);
        if (status != REEL_OK)
            return status;
    }
    return REEL_OK;
}

static enum reel_status
read_map (struct reader *reader, json_t *map, const struct place *at, unsigned depth, bool escaped)
{
    if (json_object_size (map) > REEL_MAP_KEYS_MAX)
        return refuse (reader->err, "limit_exceeded", at, "a map of more than 65536 keys");
    reel_pack_map (reader->out, (uint32_t) json_object_size (map));
    for (void *pair = json_object_iter (map); pair != NULL; pair = json_object_iter_next (map, pair)) {
        struct reel_slice key = reel_slice (json_object_iter_key (pair), json_object_iter_key_len (pair));
        reel_pack_str (reader->out, escaped ? reel_slice (key.data + 1, key.len - 1) : key);
        struct place member = {.outer = at, .key = key};
        enum reel_status status = read_value (reader, json_object_iter_value (pair), &member, depth + 1);
        if (status != REEL_OK)
            return status;
    }
    return REEL_OK;
}

static enum reel_status
read_container (struct reader *reader, json_t *value, const struct place *at, unsigned depth)
{
    void *pair = json_object_size (value) == 1 ? json_object_iter (value) : NULL;
    enum form form = FORM_NONE;
    if (pair != NULL)
        form = form_of_key (reel_slice (json_object_iter_key (pair), json_object_iter_key_len (pair)));
    if (form != FORM_NONE && form != FORM_ESCAPED) {
        if (!read_form (reader, form, json_object_iter_value (pair)) && !reader->out->failed)
            return refuse (reader->err, "bad_type", at, form_usage (form));
        return REEL_OK;
    }
    if (depth == REEL_DEPTH_MAX)
        return refuse (reader->err, "limit_exceeded", at, "containers nested too deep");
    return json_is_array (value) ? read_array (reader, value, at, depth)
                                 : read_map (reader, value, at, depth, form == FORM_ESCAPED);
}

/* `depth` containers are around the value. */
static enum reel_status
read_value (struct reader *reader, const json_t *value, const struct place *at, unsigned depth)
{
    switch (json_typeof (value)) {
    case JSON_NULL: reel_pack_nil (reader->out); return REEL_OK;
    case JSON_TRUE: reel_pack_bool (reader->out, true); return REEL_OK;
    case JSON_FALSE: reel_pack_bool (reader->out, false); return REEL_OK;
    case JSON_INTEGER: reel_pack_int (reader->out, json_integer_value (value)); return REEL_OK;
    case JSON_REAL: reel_pack_f64 (reader->out, json_real_value (value)); return REEL_OK;
    case JSON_STRING: reel_pack_str (reader->out, string_slice (value)); return REEL_OK;
    case JSON_ARRAY:
    case JSON_OBJECT: break;
    }
    /* Iterating does not change an object, but jansson has no iterator that says so. */
    return read_container (reader, (json_t *) value, at, depth);
}

static enum reel_status
malformed (struct reel_error *err, int line, int column, const char *what)
{
    return reel_error_set (err, REEL_INVALID, "malformed", "", "no JSON: line %d, column %d: %s", line, column, what);
}

/* jansson passes over a NUL that follows a number or a word. */
static enum reel_status
refuse_nul (struct reel_slice json, const uint8_t *nul, struct reel_error *err)
{
    int line = 1, column = 1;
    for (const uint8_t *at = json.data; at < nul; at++) {
        line += *at == '\n';
        column = *at == '\n' ? 1 : column + ((*at & 0xc0) != 0x80);
    }
    return malformed (err, line, column, "a NUL byte");
}

/* Tells the caller what jansson found wrong. */
static enum reel_status
parse_error (struct reel_slice json, const json_error_t *error, struct reel_error *err)
{
    size_t read = error->position > 0 && (size_t) error->position < json.len ? (size_t) error->position : json.len;
    struct reel_slice text = reel_slice (json.data, read);
    switch (json_error_code (error)) {
    case json_error_out_of_memory: return REEL_NO_MEMORY;
    case json_error_stack_overflow: return refuse_at_end (err, "limit_exceeded", text, "containers nested too deep");
    case json_error_duplicate_key: return refuse_at_end (err, "bad_type", text, "a map key that is there twice");
    case json_error_null_byte_in_key: return refuse_at_end (err, "bad_type", text, "a map key that contains NUL");
    case json_error_numeric_overflow:
        return refuse_at_end (err, "bad_type", text,
                              "a number out of range; an integer from 2^63 to 2^64-1 is written {\"$uint\": \"...\"}");
    default: break;
    }
    /* jansson says nothing where a container could not be made or grown. */
    if (error->text[0] == '\0')
        return REEL_NO_MEMORY;
    return malformed (err, error->line, error->column, error->text);
}

/* Where memory is out while it gathers a token, jansson goes on with what it has of it: a text that lacks a character, or a
 * closing quote, behind which it would look for another. So its allocations are watched, and after one that failed it gets
 * nothing any more. This goes for our reading alone; whoever else uses jansson in this process notices nothing. */
static _Thread_local enum { ELSEWHERE, READING, MEMORY_OUT } reading;
static json_malloc_t others_malloc;
static json_free_t others_free;

static void *
watched_malloc (size_t size)
{
    void *memory = reading == MEMORY_OUT ? NULL : others_malloc (size);
    if (memory == NULL && reading == READING)
        reading = MEMORY_OUT;
    return memory;
}

/* Before there are threads; for good, so a library that has this in it stays once it is loaded. */
__attribute__ ((constructor)) static void
begin_watching (void)
{
    json_get_alloc_funcs (&others_malloc, &others_free);
    json_set_alloc_funcs (watched_malloc, others_free);
}

static enum reel_status
read_tree (struct reel_slice json, struct reel_buf *out, struct reel_error *err)
{
    json_error_t error = {0}; /* jansson does not touch it when its first allocation fails */
    json_t *root = json_loadb ((const char *) json.data, json.len,
                               JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (root == NULL)
        return parse_error (json, &error, err);
    struct reader reader = {.out = out, .err = err};
    struct place whole = {0};
    enum reel_status status = read_value (&reader, root, &whole, 0);
    json_decref (root);
    return status == REEL_OK ? reel_buf_status (out) : status;
}

static enum reel_status
read_text (struct reel_slice json, struct reel_buf *out, struct reel_error *err)
{
    size_t start = out->len;
    reading = READING;
    enum reel_status status = read_tree (json, out, err);
    if (reading == MEMORY_OUT)
        status = REEL_NO_MEMORY;
    reading = ELSEWHERE;
    if (status != REEL_OK)
        out->len = start;
    return status;
}

enum reel_status
reel_json_read (struct reel_slice json, struct reel_buf *out, struct reel_error *err)
{
    if (json.len > JSON_BYTES_MAX)
        return reel_error_set (err, REEL_INVALID, "limit_exceeded", "", "a JSON text of more than %zu bytes",
                               JSON_BYTES_MAX);
    if (json.len == 0)
        return malformed (err, 1, 0, "the text is empty");
    const uint8_t *nul = memchr (json.data, 0, json.len);
    if (nul != NULL)
        return refuse_nul (json, nul, err);
    locale_t locale = newlocale (LC_ALL_MASK, "C", (locale_t) 0);
    if (locale == (locale_t) 0)
        return REEL_NO_MEMORY;
    locale_t before = uselocale (locale);
    enum reel_status status = read_text (json, out, err);
    uselocale (before);
    freelocale (locale);
    return status;
}
