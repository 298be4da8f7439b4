/*      raw:   ├──── window ────┤ … counted, not unescaped … ├──── window ────┤
 *      shown: ├─ 60 % ─┤ [... n bytes left out ...] ├─ 40 % ─┤              */
#include "web/mcp_text.h"

#include "base/json.h"
#include "protocol/plain_text.h"
#include "protocol/text_excerpt.h"

static size_t count_newlines(struct slice s)
{
    size_t n = 0;
    for (const char *at; s.len && (at = memchr(s.data, '\n', s.len)) != NULL; n++)
        s = slice_of(at + 1, s.len - (size_t)(at + 1 - s.data));
    return n;
}

static void show(struct buf *source, struct buf *plain)
{
    buf_init(plain, source->len + 1);
    plain_text(plain, buf_slice(source));
}

static void finish(struct mcp_text *t)
{
    show(&t->source, &t->plain);
    if (t->tail_source.len)
        show(&t->tail_source, &t->tail_plain);
    t->chars = text_chars(buf_slice(&t->plain)) + text_chars(buf_slice(&t->tail_plain));
}

/* ---- a JSON string that is too long to be unescaped ---- */

static unsigned hex4(const char *s)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++)
        v = v * 16 + (unsigned)(s[i] <= '9' ? s[i] - '0' : (s[i] | 32) - 'a' + 10);
    return v;
}

/* Of the escape at the beginning of s (its backslash): its length, and how many bytes it stands for. */
static size_t escape_len(struct slice s, size_t *ret_bytes)
{
    *ret_bytes = 1;
    if (s.len < 6 || s.data[1] != 'u')
        return s.len < 2 ? s.len : 2;
    unsigned c = hex4(s.data + 2);
    bool is_pair = c >= 0xd800 && c <= 0xdbff && s.len >= 12;
    *ret_bytes = is_pair ? 4 : c < 0x80 ? 1 : c < 0x800 ? 2 : 3;
    return is_pair ? 12 : 6;
}

struct walk {
    struct slice raw;
    size_t at;              /* between two characters, always */
    size_t bytes, newlines; /* that stand before it */
};

/* To the first place from `to` on that is between two characters. */
static void walk_to(struct walk *w, size_t to)
{
    while (w->at < to) {
        const char *begin = w->raw.data + w->at;
        const char *escape = memchr(begin, '\\', w->raw.len - w->at);
        size_t n = escape ? (size_t)(escape - begin) : w->raw.len - w->at, bytes;
        if (w->at + n >= to) {
            n = to - w->at;
            while (w->at + n < w->raw.len && ((unsigned char)begin[n] & 0xc0) == 0x80)
                n++;
        }
        w->at += n;
        w->bytes += n;
        if (w->at >= to || !escape)
            return;
        w->newlines += w->raw.len - w->at > 1 && escape[1] == 'n';
        w->at += escape_len(slice_of(escape, w->raw.len - w->at), &bytes);
        w->bytes += bytes;
    }
}

static void init_windows(struct mcp_text *t, struct slice raw)
{
    struct walk w = { .raw = raw };
    walk_to(&w, MCP_TEXT_WINDOW);
    buf_init(&t->source, w.at + 1);
    json_unescape(&t->source, slice_of(raw.data, w.at));
    walk_to(&w, raw.len - MCP_TEXT_WINDOW);
    t->tail_offset = w.bytes;
    t->tail_newlines = w.newlines;
    buf_init(&t->tail_source, raw.len - w.at + 1);
    json_unescape(&t->tail_source, slice_of(raw.data + w.at, raw.len - w.at));
    walk_to(&w, raw.len);
    t->bytes = w.bytes;
    t->newlines = w.newlines;
}

void mcp_text_init_raw(struct mcp_text *t, struct slice raw)
{
    *t = (struct mcp_text){ .bytes = 0 };
    if (raw.len > 2 * MCP_TEXT_WINDOW) {
        init_windows(t, raw);
    } else {
        buf_init(&t->source, raw.len + 1);
        json_unescape(&t->source, raw);
        t->bytes = t->source.len;
        t->newlines = count_newlines(buf_slice(&t->source));
    }
    finish(t);
}

void mcp_text_init(struct mcp_text *t, struct slice text)
{
    *t = (struct mcp_text){ .bytes = text.len, .newlines = count_newlines(text) };
    buf_init(&t->source, text.len + 1);
    buf_add_slice(&t->source, text);
    finish(t);
}

void mcp_text_done(struct mcp_text *t)
{
    buf_done(&t->source);
    buf_done(&t->plain);
    buf_done(&t->tail_source);
    buf_done(&t->tail_plain);
}

/* ---- */

/* The part that is left out, in bytes and lines of what was written. */
struct hole {
    size_t from, to, first_line, last_line;
};

static struct hole hole_of(const struct mcp_text *t, size_t head, size_t tail)
{
    bool whole = t->tail_source.len == 0;
    const struct buf *source = whole ? &t->source : &t->tail_source;
    const struct buf *plain = whole ? &t->plain : &t->tail_plain;
    size_t before = t->tail_newlines + count_newlines(slice_of(plain->data, tail));
    bool at_line = tail == 0 || plain->data[tail - 1] == '\n';
    struct hole h = {
        .from = plain_text_source(buf_slice(&t->source), buf_slice(&t->plain), head),
        .to = t->tail_offset + plain_text_source(buf_slice(source), buf_slice(plain), tail),
        .first_line = 1 + count_newlines(slice_of(t->plain.data, head)),
        .last_line = before + !at_line,
    };
    if (h.to < h.from) /* one line that was written again and again */
        h.to = h.from;
    if (h.last_line < h.first_line)
        h.last_line = h.first_line;
    return h;
}

static void write_mark(const struct mcp_text *t, const struct mcp_text_place *place,
                       const struct hole *h, struct buf *out)
{
    if (out->len && out->data[out->len - 1] != '\n')
        buf_add_char(out, '\n');
    buf_addf(out, "[... %zu of %zu bytes left out (lines %zu-%zu)", h->to - h->from, t->bytes,
             h->first_line, h->last_line);
    if (place->stream)
        buf_addf(out,
                 "; read them with get_execution(execution_id=\"%s\", stream=\"%s\", offset=%zu, "
                 "limit=%zu), or use grep",
                 place->execution_id, place->stream, h->from, h->to - h->from);
    buf_add_str(out, " ...]\n");
}

static void write_none(const struct mcp_text *t, const struct mcp_text_place *place,
                       struct buf *out)
{
    buf_addf(out, "[... %zu bytes not shown", t->bytes);
    if (place->stream)
        buf_addf(out, ": get_execution(execution_id=\"%s\", stream=\"%s\")", place->execution_id,
                 place->stream);
    buf_add_str(out, " ...]\n");
}

bool mcp_text_write(const struct mcp_text *t, const struct mcp_text_place *place, size_t max_chars,
                    struct buf *out)
{
    bool whole = t->tail_source.len == 0;
    const struct buf *end = whole ? &t->plain : &t->tail_plain;
    if (whole && t->chars <= max_chars) {
        buf_add_slice(out, buf_slice(&t->plain));
        return false;
    }
    if (max_chars <= MCP_TEXT_MARK_CHARS) {
        write_none(t, place, out);
        return true;
    }
    size_t room = max_chars - MCP_TEXT_MARK_CHARS;
    size_t head = text_head(buf_slice(&t->plain), room * 6 / 10);
    size_t tail = text_tail(buf_slice(end), room - room * 6 / 10);
    struct hole h = hole_of(t, head, tail);
    buf_add(out, t->plain.data, head);
    write_mark(t, place, &h, out);
    buf_add(out, end->data + tail, end->len - tail);
    return true;
}
