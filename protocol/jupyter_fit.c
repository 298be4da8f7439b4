#include "protocol/jupyter_fit.h"

#include <string.h>

#include "base/json.h"
#include "protocol/jupyter_mend.h"
#include "protocol/kernel_ws.h"

#define PIECE_BYTES (1u << 20) /* of a long stream */
#define NOTE_BYTES  1024
#define SHARE       8 /* a member that is no bundle gets one part in so many of a frame */
#define MAX_VALUES  64
#define MAX_NOTES   5

enum { HEADER, PARENT, METADATA, CONTENT };

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

bool jupyter_fits(const struct jupyter_fit *f, const struct slice *parts, size_t n_parts)
{
    if (n_parts > JUPYTER_N_PARTS)
        return f->takes_buffers;
    return !f->max_frame_bytes || kernel_ws_text_bytes(parts) <= f->max_frame_bytes;
}

static void add_member(struct buf *out, struct slice key, struct slice value)
{
    buf_addf(out, "%s\"", out->data[out->len - 1] == '{' ? "" : ",");
    buf_add_slice(out, key);
    buf_add_str(out, "\":");
    buf_add_slice(out, value);
}

/* ---- texts ---- */

static bool is_surrogate(struct slice raw, size_t at, const char *second_digits)
{
    return raw.len - at >= 6 && raw.data[at] == '\\' && raw.data[at + 1] == 'u' &&
           (raw.data[at + 2] | 0x20) == 'd' && strchr(second_digits, raw.data[at + 3] | 0x20);
}

/* The bytes of what must stay together: a character, an escape, two escapes that are one character. */
static size_t unit_bytes(struct slice raw, size_t at)
{
    unsigned char c = (unsigned char)raw.data[at];
    if (c != '\\')
        return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (at + 1 == raw.len || raw.data[at + 1] != 'u')
        return 2;
    return is_surrogate(raw, at, "89ab") && is_surrogate(raw, at + 6, "cdef") ? 12 : 6;
}

/* At most max bytes of a string as it stands in JSON. */
static struct slice head_of(struct slice raw, size_t max)
{
    size_t n = 0;
    for (size_t unit; n < raw.len && n + (unit = unit_bytes(raw, n)) <= max; n += unit)
        ;
    return slice_of(raw.data, min(n, raw.len));
}

static void write_numbered(struct slice header, unsigned number, struct buf *out)
{
    buf_add_char(out, '{');
    struct json_iter it = json_iter(header);
    while (json_next(&it)) {
        bool is_id = slice_is(it.key, "msg_id") && json_type(it.value) == JSON_STRING;
        add_member(out, it.key, is_id ? slice_of(it.value.data, it.value.len - 1) : it.value);
        if (is_id)
            buf_addf(out, "_%u\"", number);
    }
    buf_add_char(out, '}');
}

static bool say_in_pieces(const struct jupyter_fit *f, const struct slice *parts)
{
    struct slice name = { 0 }, text, piece[JUPYTER_N_PARTS];
    (void)json_member_string(parts[CONTENT], "name", &name); /* mended: it has both */
    size_t max = min(f->max_frame_bytes, PIECE_BYTES);
    size_t around = kernel_ws_text_bytes(parts) - parts[CONTENT].len + name.len + NOTE_BYTES;
    if (around > max / 2 || !json_member_string(parts[CONTENT], "text", &text))
        return false;
    max -= around;
    for (unsigned number = 1; text.len; number++) {
        CLEANUP_BUF struct buf header = BUF_INIT(f->max_frame_bytes),
                               content = BUF_INIT(f->max_frame_bytes);
        struct slice head = head_of(text, max);
        text = slice_of(text.data + head.len, text.len - head.len);
        write_numbered(parts[HEADER], number, &header);
        buf_add_str(&content, "{\"name\":\"");
        buf_add_slice(&content, name);
        buf_add_str(&content, "\",\"text\":\"");
        buf_add_slice(&content, head);
        buf_add_str(&content, "\"}");
        memcpy(piece, parts, sizeof piece);
        piece[HEADER] = number > 1 ? buf_slice(&header) : parts[HEADER];
        piece[CONTENT] = buf_slice(&content);
        f->say(f->arg, piece, JUPYTER_N_PARTS);
    }
    return true;
}

/* ---- bundles ---- */

struct bundle {
    struct slice key[MAX_VALUES], value[MAX_VALUES];
    bool goes[MAX_VALUES];
    size_t n, n_go;
};

/* What has more members than any display is not kept at all. */
static void read_bundle(struct slice data, struct bundle *ret)
{
    struct json_iter it = json_iter(data);
    ret->n = ret->n_go = 0;
    while (json_next(&it)) {
        if (ret->n < MAX_VALUES) {
            ret->key[ret->n] = it.key;
            ret->value[ret->n] = it.value;
            ret->goes[ret->n++] = false;
        } else {
            ret->n_go++;
        }
    }
    for (size_t i = 0; ret->n_go && i < ret->n; i++, ret->n_go++)
        ret->goes[i] = true;
}

static void let_largest_go(struct bundle *b, size_t room)
{
    for (;;) {
        size_t sum = 0, largest = b->n;
        for (size_t i = 0; i < b->n; i++) {
            if (b->goes[i])
                continue;
            sum += b->key[i].len + b->value[i].len + 4;
            if (largest == b->n || b->value[i].len > b->value[largest].len)
                largest = i;
        }
        if (sum <= room)
            return;
        b->goes[largest] = true;
        b->n_go++;
    }
}

static void write_notes(const struct jupyter_fit *f, const struct bundle *b, struct buf *out)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n && n < MAX_NOTES; i++) {
        if (!b->goes[i])
            continue;
        struct slice name = head_of(b->key[i], 100);
        buf_addf(out, "[kernelhub: %.*s, %zu bytes]\\n", (int)name.len, name.data, b->value[i].len);
        n++;
    }
    if (n < b->n_go)
        buf_addf(out, "[kernelhub: %zu values more]\\n", b->n_go - n);
    buf_addf(out, "[left out: this connection takes at most %zu bytes in one message; %s]",
             f->max_frame_bytes, f->where);
}

static void write_bundle(const struct jupyter_fit *f, struct slice data, size_t room,
                         struct buf *out)
{
    struct bundle b;
    struct slice text = { 0 };
    read_bundle(data, &b);
    let_largest_go(&b, room);
    if (!b.n_go) {
        buf_add_slice(out, data);
        return;
    }
    buf_add_char(out, '{');
    for (size_t i = 0; i < b.n; i++) {
        if (b.goes[i])
            continue;
        if (!slice_is(b.key[i], "text/plain"))
            add_member(out, b.key[i], b.value[i]);
        else if (json_type(b.value[i]) == JSON_STRING)
            text = slice_of(b.value[i].data + 1, b.value[i].len - 2);
    }
    CLEANUP_BUF struct buf all = BUF_INIT(f->max_frame_bytes);
    buf_add_char(&all, '"');
    buf_add_slice(&all, text);
    buf_add_str(&all, text.len ? "\\n" : "");
    write_notes(f, &b, &all);
    buf_add_char(&all, '"');
    add_member(out, SLICE_LITERAL("text/plain"), buf_slice(&all));
    buf_add_char(out, '}');
}

/* ---- whatever it is ---- */

static void write_cut(const struct jupyter_fit *f, struct slice value, size_t max, struct buf *out)
{
    struct slice head = head_of(slice_of(value.data + 1, value.len - 2), max);
    buf_add_char(out, '"');
    buf_add_slice(out, head);
    buf_addf(out, "\\n[kernelhub: cut here, of %zu bytes; %s]\"", value.len - 2, f->where);
}

static void add_shorter(const struct jupyter_fit *f, struct slice key, struct slice value,
                        struct buf *out)
{
    size_t max = f->max_frame_bytes / SHARE;
    CLEANUP_BUF struct buf cut = BUF_INIT(f->max_frame_bytes);
    enum json_type type = json_type(value);
    if (value.len <= max) {
        add_member(out, key, value);
    } else if (type == JSON_STRING) {
        write_cut(f, value, max - NOTE_BYTES, &cut);
        add_member(out, key, buf_slice(&cut));
    } else {
        add_member(out, key,
                   type == JSON_ARRAY    ? SLICE_LITERAL("[]")
                   : type == JSON_OBJECT ? SLICE_LITERAL("{}")
                                         : SLICE_LITERAL("null"));
    }
}

static bool is_display(const char *msg_type)
{
    static const char *const TYPES[] = { "display_data", "update_display_data", "execute_result" };
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++)
        if (strcmp(msg_type, TYPES[i]) == 0)
            return true;
    return false;
}

/* A display's bundle gets what the rest leaves. */
static bool add_bundle(const struct jupyter_fit *f, const struct slice *parts, struct slice data,
                       struct buf *content)
{
    size_t used = kernel_ws_text_bytes(parts) - parts[CONTENT].len + content->len +
                  f->max_frame_bytes / SHARE; /* for the notes */
    CLEANUP_BUF struct buf made = BUF_INIT(f->max_frame_bytes);
    if (used >= f->max_frame_bytes)
        return false;
    write_bundle(f, data, f->max_frame_bytes - used, &made);
    add_member(content, SLICE_LITERAL("data"), buf_slice(&made));
    return !made.failed;
}

static bool say_shorter(const struct jupyter_fit *f, const struct slice *parts,
                        const char *msg_type)
{
    CLEANUP_BUF struct buf content = BUF_INIT(f->max_frame_bytes);
    struct slice shorter[JUPYTER_N_PARTS], data = { 0 };
    struct json_iter it = json_iter(parts[CONTENT]);
    memcpy(shorter, parts, sizeof shorter);
    if (parts[METADATA].len > f->max_frame_bytes / SHARE)
        shorter[METADATA] = SLICE_LITERAL("{}");
    buf_add_char(&content, '{');
    while (json_next(&it)) {
        if (is_display(msg_type) && slice_is(it.key, "data") && json_type(it.value) == JSON_OBJECT)
            data = it.value;
        else
            add_shorter(f, it.key, it.value, &content);
    }
    if (data.len && !add_bundle(f, shorter, data, &content))
        return false;
    buf_add_char(&content, '}');
    shorter[CONTENT] = buf_slice(&content);
    if (content.failed || !jupyter_fits(f, shorter, JUPYTER_N_PARTS))
        return false;
    f->say(f->arg, shorter, JUPYTER_N_PARTS);
    return true;
}

/* ---- buffers ---- */

/* A front end that finds a path without its buffer passes over the whole message. */
static void write_without_paths(struct slice content, struct buf *out)
{
    struct json_iter it = json_iter(content);
    buf_add_char(out, '{');
    while (json_next(&it)) {
        if (!slice_is(it.key, "data") || json_type(it.value) != JSON_OBJECT) {
            add_member(out, it.key, it.value);
            continue;
        }
        CLEANUP_BUF struct buf data = BUF_INIT(it.value.len + NOTE_BYTES);
        struct json_iter in = json_iter(it.value);
        buf_add_char(&data, '{');
        while (json_next(&in))
            add_member(&data, in.key,
                       slice_is(in.key, "buffer_paths") ? SLICE_LITERAL("[]") : in.value);
        buf_add_char(&data, '}');
        add_member(out, it.key, buf_slice(&data));
    }
    buf_add_char(out, '}');
}

static bool say_text(const struct jupyter_fit *f, const struct slice *parts)
{
    struct jupyter_header names;
    if (jupyter_fits(f, parts, JUPYTER_N_PARTS)) {
        f->say(f->arg, parts, JUPYTER_N_PARTS);
        return true;
    }
    (void)jupyter_read_header(parts[HEADER], &names); /* mended: it is one */
    if (strcmp(names.msg_type, "stream") == 0)
        return say_in_pieces(f, parts);
    return strncmp(names.msg_type, "comm_", 5) != 0 && say_shorter(f, parts, names.msg_type);
}

enum jupyter_fitted jupyter_fit(const struct jupyter_fit *f, const struct slice *parts,
                                size_t n_parts)
{
    struct slice text[JUPYTER_N_PARTS];
    if (jupyter_fits(f, parts, n_parts)) {
        f->say(f->arg, parts, n_parts);
        return JUPYTER_FITTED;
    }
    if (n_parts <= JUPYTER_N_PARTS)
        return say_text(f, parts) ? JUPYTER_FITTED : JUPYTER_FITTED_NOT;
    CLEANUP_BUF struct buf content = BUF_INIT(2 * parts[CONTENT].len + NOTE_BYTES);
    write_without_paths(parts[CONTENT], &content);
    memcpy(text, parts, sizeof text);
    text[CONTENT] = buf_slice(&content);
    return !content.failed && say_text(f, text) ? JUPYTER_FITTED_NO_BUFFERS : JUPYTER_FITTED_NOT;
}
