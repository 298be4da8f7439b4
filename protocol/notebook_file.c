#include "protocol/notebook_file.h"

#include <stdlib.h>

#include "base/json.h"

#define MAX_TEXT_BYTES (1u << 30) /* of one string: never more than the notebook has */

/* Where a value stands; what it means there. */
enum place {
    TOP,
    NOTEBOOK_METADATA,
    CELLS,
    CELL,
    CELL_METADATA,
    ATTACHMENTS,
    OUTPUTS,
    OUTPUT,
    BUNDLE,
    TEXT,
    ELSE
};

struct walk {
    struct buf *out;
    bool for_file;
};

struct member {
    struct slice key, value;
    size_t place; /* in the object */
    char *own;    /* the key, written anew; NULL: it is as it came */
};

/* ---- names ---- */

/* A name may be written with escapes: what counts is what it means. */
static bool key_is(struct slice raw, const char *name)
{
    char text[32];
    if (!raw.len || !memchr(raw.data, '\\', raw.len))
        return slice_is(raw, name);
    return raw.len < 6 * sizeof text && json_copy_string(raw, text, sizeof text) &&
           strcmp(text, name) == 0;
}

static bool starts(struct slice s, const char *text)
{
    size_t n = strlen(text);
    return s.len >= n && memcmp(s.data, text, n) == 0;
}

static bool ends(struct slice s, const char *text)
{
    size_t n = strlen(text);
    return s.len >= n && memcmp(s.data + s.len - n, text, n) == 0;
}

static bool is_json_type(struct slice media)
{
    return slice_is(media, "application/json") ||
           (starts(media, "application/") && ends(media, "+json"));
}

static bool is_lines_type(struct slice media)
{
    return starts(media, "text/") || slice_is(media, "application/javascript") ||
           slice_is(media, "image/svg+xml");
}

static enum place place_of(const struct walk *w, enum place parent, struct slice key)
{
    static const struct {
        enum place parent;
        const char *key;
        enum place place;
    } PLACES[] = {
        { TOP, "cells", CELLS },      { TOP, "metadata", NOTEBOOK_METADATA },
        { CELL, "source", TEXT },     { CELL, "metadata", CELL_METADATA },
        { CELL, "outputs", OUTPUTS }, { CELL, "attachments", ATTACHMENTS },
        { OUTPUT, "data", BUNDLE },   { OUTPUT, "text", TEXT },
    };
    if (parent == ATTACHMENTS)
        return BUNDLE;
    if (parent == BUNDLE) /* what is split into lines is less than what is joined again */
        return (w->for_file ? is_lines_type(key) : !is_json_type(key)) ? TEXT : ELSE;
    for (size_t i = 0; i < ARRAY_LEN(PLACES); i++)
        if (PLACES[i].parent == parent && key_is(key, PLACES[i].key))
            return PLACES[i].place;
    return ELSE;
}

static bool is_dropped(const struct walk *w, enum place parent, struct slice key)
{
    if (parent == CELL_METADATA)
        return key_is(key, "trusted");
    return w->for_file && parent == NOTEBOOK_METADATA &&
           (key_is(key, "signature") || key_is(key, "orig_nbformat") ||
            key_is(key, "orig_nbformat_minor"));
}

/* ---- strings ---- */

static struct slice inner(struct slice string)
{
    return slice_of(string.data + 1, string.len - 2);
}

static void put_string(struct walk *w, struct slice raw)
{
    if (!w->for_file || !raw.len || !memchr(raw.data, '\\', raw.len)) {
        buf_add_char(w->out, '"');
        buf_add_slice(w->out, raw);
        buf_add_char(w->out, '"');
        return;
    }
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_TEXT_BYTES);
    json_unescape(&text, raw);
    json_quote(w->out, buf_slice(&text));
}

static bool all_strings(struct slice list)
{
    struct json_iter it = json_iter(list);
    while (json_next(&it))
        if (json_type(it.value) != JSON_STRING)
            return false;
    return true;
}

static void join(struct walk *w, struct slice list)
{
    struct json_iter it = json_iter(list);
    buf_add_char(w->out, '"');
    while (json_next(&it))
        buf_add_slice(w->out, inner(it.value));
    buf_add_char(w->out, '"');
}

static void indent(struct walk *w, int depth)
{
    static const char BLANKS[] = "                                                                ";
    if (!w->for_file)
        return;
    buf_add_char(w->out, '\n');
    buf_add(w->out, BLANKS, (size_t)depth < sizeof BLANKS ? (size_t)depth : sizeof BLANKS - 1);
}

/* How many bytes the line has with its end, as Python's str.splitlines sees lines. */
static size_t line_of(struct slice text)
{
    const unsigned char *s = (const unsigned char *)text.data;
    for (size_t i = 0; i < text.len; i++) {
        if (s[i] == '\r')
            return i + 1 < text.len && s[i + 1] == '\n' ? i + 2 : i + 1;
        if ((s[i] >= 0x0a && s[i] <= 0x0c) || (s[i] >= 0x1c && s[i] <= 0x1e))
            return i + 1;
        if (s[i] == 0xc2 && i + 1 < text.len && s[i + 1] == 0x85)
            return i + 2;
        if (s[i] == 0xe2 && i + 2 < text.len && s[i + 1] == 0x80 && (s[i + 2] & 0xfe) == 0xa8)
            return i + 3;
    }
    return text.len;
}

static void split(struct walk *w, struct slice raw, int depth)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_TEXT_BYTES);
    json_unescape(&text, raw);
    struct slice rest = buf_slice(&text);
    buf_add_char(w->out, '[');
    while (rest.len) {
        size_t n = line_of(rest);
        indent(w, depth + 1);
        json_quote(w->out, slice_of(rest.data, n));
        rest = slice_of(rest.data + n, rest.len - n);
        if (rest.len)
            buf_add_char(w->out, ',');
    }
    if (text.len)
        indent(w, depth);
    buf_add_char(w->out, ']');
}

/* ---- values ---- */

static void put(struct walk *w, struct slice value, enum place place, int depth);

static int compare(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    size_t n = x->key.len < y->key.len ? x->key.len : y->key.len;
    int order = n ? memcmp(x->key.data, y->key.data, n) : 0;
    if (order == 0 && x->key.len != y->key.len)
        order = x->key.len < y->key.len ? -1 : 1;
    return order ? order : x->place < y->place ? -1 : 1;
}

/* Two keys that mean the same are written the same. */
static void normalise(struct member *m)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_TEXT_BYTES), quoted = BUF_INIT(MAX_TEXT_BYTES);
    if (!m->key.len || !memchr(m->key.data, '\\', m->key.len))
        return;
    json_unescape(&text, m->key);
    json_quote(&quoted, buf_slice(&text));
    size_t n = quoted.len;
    m->own = buf_take(&quoted);
    if (m->own)
        m->key = slice_of(m->own + 1, n - 2);
}

/* For a file: sorted, and of two with the same name the last. Returns how many are left. */
static size_t sort(struct member *all, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        normalise(&all[i]);
    qsort(all, n, sizeof *all, compare);
    for (size_t i = 0; i < n; i++) {
        if (i + 1 == n || !slice_equal(all[i].key, all[i + 1].key))
            all[kept++] = all[i];
        else
            free(all[i].own);
    }
    return kept;
}

/* The caller frees them, and what each owns. */
static struct member *members_of(const struct walk *w, struct slice object, enum place place,
                                 size_t *ret_n)
{
    struct member *all = NULL;
    size_t n = 0, capacity = 0;
    struct json_iter it = json_iter(object);
    while (json_next(&it)) {
        if (is_dropped(w, place, it.key))
            continue;
        if (n == capacity) {
            capacity = capacity ? 2 * capacity : 8;
            all = realloc(all, capacity * sizeof *all);
            if (!all)
                abort();
        }
        all[n] = (struct member){ it.key, it.value, n, NULL };
        n++;
    }
    *ret_n = w->for_file && n ? sort(all, n) : n;
    return all;
}

static bool is_code(struct slice cell)
{
    struct slice type;
    return json_member_string(cell, "cell_type", &type) && key_is(type, "code");
}

static void put_key(struct walk *w, struct slice key)
{
    put_string(w, key);
    buf_add_str(w->out, w->for_file ? ": " : ":");
}

static void put_object(struct walk *w, struct slice object, enum place place, int depth)
{
    size_t n;
    struct member *all = members_of(w, object, place, &n);
    bool marks = place == CELL && !w->for_file && is_code(object);
    buf_add_char(w->out, '{');
    for (size_t i = 0; i < n; i++) {
        enum place inside = place_of(w, place, all[i].key);
        if (i)
            buf_add_char(w->out, ',');
        indent(w, depth + 1);
        put_key(w, all[i].key);
        size_t at = w->out->len;
        put(w, all[i].value, inside, depth + 1);
        if (marks && inside == CELL_METADATA && json_type(all[i].value) == JSON_OBJECT &&
            !w->out->failed) { /* "{…}" becomes "{…,"trusted":false}" */
            bool is_empty = w->out->len - at == 2;
            w->out->len--;
            buf_add_str(w->out, is_empty ? "\"trusted\":false}" : ",\"trusted\":false}");
        }
        free(all[i].own);
    }
    if (n)
        indent(w, depth);
    buf_add_char(w->out, '}');
    free(all);
}

static void put_array(struct walk *w, struct slice array, enum place place, int depth)
{
    struct json_iter it = json_iter(array);
    enum place inside = place == CELLS ? CELL : place == OUTPUTS ? OUTPUT : ELSE;
    bool has_any = false;
    buf_add_char(w->out, '[');
    while (json_next(&it)) {
        if (has_any)
            buf_add_char(w->out, ',');
        has_any = true;
        indent(w, depth + 1);
        put(w, it.value, inside, depth + 1);
    }
    if (has_any)
        indent(w, depth);
    buf_add_char(w->out, ']');
}

static void put(struct walk *w, struct slice value, enum place place, int depth)
{
    switch (json_type(value)) {
    case JSON_OBJECT:
        put_object(w, value, place, depth);
        return;
    case JSON_ARRAY:
        if (place == TEXT && !w->for_file && all_strings(value))
            join(w, value);
        else
            put_array(w, value, place, depth);
        return;
    case JSON_STRING:
        if (place == TEXT && w->for_file)
            split(w, inner(value), depth);
        else
            put_string(w, inner(value));
        return;
    case JSON_NUMBER:
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
    case JSON_NONE:
        buf_add_slice(w->out, value);
    }
}

static struct slice trim(struct slice s)
{
    static const char SPACE[] = " \t\r\n";
    while (s.len && memchr(SPACE, s.data[0], 4))
        s = slice_of(s.data + 1, s.len - 1);
    while (s.len && memchr(SPACE, s.data[s.len - 1], 4))
        s.len--;
    return s;
}

void notebook_file_read(struct slice json, struct buf *out)
{
    struct walk w = { .out = out, .for_file = false };
    put(&w, trim(json), TOP, 0);
}

void notebook_file_write(struct slice json, struct buf *out)
{
    struct walk w = { .out = out, .for_file = true };
    put(&w, trim(json), TOP, 0);
    buf_add_char(out, '\n');
}
