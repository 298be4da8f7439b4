/* One scanner serves all: scan_value() moves a cursor over one value and says whether it is RFC 8259. */
#include "base/json.h"

#include <errno.h>
#include <stdlib.h>

#include "base/json_chars.h"

struct cursor {
    const unsigned char *at;
    const unsigned char *end;
};

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && is_space(*c->at))
        c->at++;
}

static bool is_digit(const struct cursor *c)
{
    return c->at < c->end && *c->at >= '0' && *c->at <= '9';
}

static bool hex4(const unsigned char *s, const unsigned char *end, unsigned *ret)
{
    if (end - s < 4)
        return false;
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = s[i];
        if (c >= '0' && c <= '9')
            v = v << 4 | (unsigned)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            v = v << 4 | (unsigned)((c | 32) - 'a' + 10);
        else
            return false;
    }
    *ret = v;
    return true;
}

/* The cursor stands behind the backslash. */
static bool scan_escape(struct cursor *c)
{
    if (c->at >= c->end)
        return false;
    unsigned char kind = *c->at++;
    if (kind != 'u')
        return strchr("\"\\/bfnrt", kind) != NULL && kind != '\0';
    unsigned v, low;
    if (!hex4(c->at, c->end, &v))
        return false;
    c->at += 4;
    if (v == 0 || (v >= 0xdc00 && v <= 0xdfff))
        return false;
    if (v < 0xd800 || v > 0xdbff)
        return true;
    if (c->end - c->at < 6 || c->at[0] != '\\' || c->at[1] != 'u' || !hex4(c->at + 2, c->end, &low))
        return false;
    c->at += 6;
    return low >= 0xdc00 && low <= 0xdfff;
}

/* The cursor stands behind the opening quote; afterwards behind the closing one. */
static bool scan_string(struct cursor *c)
{
    while ((c->at = json_chars_plain(c->at, c->end)) < c->end) {
        unsigned char ch = *c->at;
        if (ch == '"') {
            c->at++;
            return true;
        }
        if (ch < 0x20)
            return false;
        if (ch == '\\') {
            c->at++;
            if (!scan_escape(c))
                return false;
        } else if (ch < 0x80) {
            c->at++;
        } else {
            size_t n = json_chars_utf8(c->at, c->end);
            if (n == 0)
                return false;
            c->at += n;
        }
    }
    return false;
}

static bool scan_digits(struct cursor *c)
{
    if (!is_digit(c))
        return false;
    while (is_digit(c))
        c->at++;
    return true;
}

static bool scan_number(struct cursor *c)
{
    if (*c->at == '-')
        c->at++;
    if (c->at < c->end && *c->at == '0')
        c->at++;
    else if (!scan_digits(c))
        return false;
    if (c->at < c->end && *c->at == '.') {
        c->at++;
        if (!scan_digits(c))
            return false;
    }
    if (c->at < c->end && (*c->at | 32) == 'e') {
        c->at++;
        if (c->at < c->end && (*c->at == '+' || *c->at == '-'))
            c->at++;
        return scan_digits(c);
    }
    return true;
}

static bool scan_word(struct cursor *c, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0)
        return false;
    c->at += n;
    return true;
}

static bool scan_value(struct cursor *c, int depth);

static bool scan_container(struct cursor *c, int depth, bool object)
{
    unsigned char close = object ? '}' : ']';
    c->at++;
    skip_space(c);
    if (c->at < c->end && *c->at == close) {
        c->at++;
        return true;
    }
    for (;;) {
        skip_space(c);
        if (object) {
            if (c->at >= c->end || *c->at++ != '"' || !scan_string(c))
                return false;
            skip_space(c);
            if (c->at >= c->end || *c->at++ != ':')
                return false;
            skip_space(c);
        }
        if (!scan_value(c, depth + 1))
            return false;
        skip_space(c);
        if (c->at >= c->end)
            return false;
        unsigned char next = *c->at++;
        if (next == close)
            return true;
        if (next != ',')
            return false;
    }
}

static bool scan_value(struct cursor *c, int depth)
{
    if (c->at >= c->end || depth >= JSON_MAX_DEPTH)
        return false;
    switch (*c->at) {
    case '{':
        return scan_container(c, depth, true);
    case '[':
        return scan_container(c, depth, false);
    case '"':
        c->at++;
        return scan_string(c);
    case 't':
        return scan_word(c, "true");
    case 'f':
        return scan_word(c, "false");
    case 'n':
        return scan_word(c, "null");
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return scan_number(c);
    default:
        return false;
    }
}

static struct cursor cursor_of(struct slice s)
{
    static const unsigned char NOTHING[1];
    const unsigned char *at = s.len ? (const unsigned char *)s.data : NOTHING;
    return (struct cursor){ .at = at, .end = at + s.len };
}

bool json_valid(struct slice s)
{
    struct cursor c = cursor_of(s);
    skip_space(&c);
    if (!scan_value(&c, 0))
        return false;
    skip_space(&c);
    return c.at == c.end;
}

enum json_type json_type(struct slice value)
{
    struct cursor c = cursor_of(value);
    skip_space(&c);
    if (c.at >= c.end)
        return JSON_NONE;
    switch (*c.at) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        return *c.at == '-' || is_digit(&c) ? JSON_NUMBER : JSON_NONE;
    }
}

struct json_iter json_iter(struct slice value)
{
    struct cursor c = cursor_of(value);
    struct json_iter it = { .ok = false };
    skip_space(&c);
    if (c.at < c.end && (*c.at == '{' || *c.at == '[')) {
        it.is_object = *c.at == '{';
        it.ok = true;
        c.at++;
        it.rest = slice_of(c.at, (size_t)(c.end - c.at));
    }
    return it;
}

struct json_iter json_iter_members(struct slice members)
{
    return (struct json_iter){ .rest = members, .is_object = true, .ok = true };
}

static bool stop(struct json_iter *it)
{
    it->ok = false;
    return false;
}

bool json_next(struct json_iter *it)
{
    if (!it->ok)
        return false;
    struct cursor c = cursor_of(it->rest);
    skip_space(&c);
    if (c.at < c.end && *c.at == ',') {
        c.at++;
        skip_space(&c);
    }
    if (c.at >= c.end || *c.at == '}' || *c.at == ']')
        return stop(it);
    it->key = slice_of(NULL, 0);
    if (it->is_object) {
        if (*c.at++ != '"')
            return stop(it);
        const unsigned char *key = c.at;
        if (!scan_string(&c))
            return stop(it);
        it->key = slice_of(key, (size_t)(c.at - key) - 1);
        skip_space(&c);
        if (c.at >= c.end || *c.at++ != ':')
            return stop(it);
        skip_space(&c);
    }
    const unsigned char *value = c.at;
    if (!scan_value(&c, 1))
        return stop(it);
    it->value = slice_of(value, (size_t)(c.at - value));
    it->rest = slice_of(c.at, (size_t)(c.end - c.at));
    return true;
}

bool json_member(struct slice object, const char *key, struct slice *ret)
{
    struct json_iter it = json_iter(object);
    if (!it.is_object)
        return false;
    while (json_next(&it)) {
        if (slice_is(it.key, key)) {
            *ret = it.value;
            return true;
        }
    }
    return false;
}

void json_members(struct slice object, const char *const *names, size_t n, struct slice *ret)
{
    struct json_iter it = json_iter(object);
    size_t left = n;
    for (size_t i = 0; i < n; i++)
        ret[i] = slice_of(NULL, 0);
    while (it.is_object && left && json_next(&it)) {
        size_t i = 0;
        while (i < n && (ret[i].data || !slice_is(it.key, names[i])))
            i++;
        if (i == n)
            continue;
        ret[i] = it.value;
        left--;
    }
}

bool json_member_string(struct slice object, const char *key, struct slice *ret)
{
    struct slice v;
    if (!json_member(object, key, &v) || v.len < 2 || v.data[0] != '"')
        return false;
    *ret = slice_of(v.data + 1, v.len - 2);
    return true;
}

bool json_member_int(struct slice object, const char *key, int64_t *ret)
{
    struct slice v;
    char text[24];
    if (!json_member(object, key, &v) || v.len >= sizeof text || json_type(v) != JSON_NUMBER)
        return false;
    memcpy(text, v.data, v.len);
    text[v.len] = '\0';
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (*end != '\0' || errno != 0)
        return false;
    *ret = n;
    return true;
}

bool json_member_bool(struct slice object, const char *key, bool *ret)
{
    struct slice v;
    if (!json_member(object, key, &v))
        return false;
    enum json_type type = json_type(v);
    if (type != JSON_TRUE && type != JSON_FALSE)
        return false;
    *ret = type == JSON_TRUE;
    return true;
}

static void add_utf8(struct buf *out, unsigned v)
{
    char s[4];
    size_t n;
    if (v < 0x80) {
        s[0] = (char)v;
        n = 1;
    } else if (v < 0x800) {
        s[0] = (char)(0xc0 | v >> 6);
        s[1] = (char)(0x80 | (v & 63));
        n = 2;
    } else if (v < 0x10000) {
        s[0] = (char)(0xe0 | v >> 12);
        s[1] = (char)(0x80 | (v >> 6 & 63));
        s[2] = (char)(0x80 | (v & 63));
        n = 3;
    } else {
        s[0] = (char)(0xf0 | v >> 18);
        s[1] = (char)(0x80 | (v >> 12 & 63));
        s[2] = (char)(0x80 | (v >> 6 & 63));
        s[3] = (char)(0x80 | (v & 63));
        n = 4;
    }
    buf_add(out, s, n);
}

static const unsigned char *unescape_one(struct buf *out, const unsigned char *s,
                                         const unsigned char *end)
{
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
    if (*s != 'u') {
        const char *found = *s ? strchr(FROM, *s) : NULL;
        if (found)
            buf_add_char(out, TO[found - FROM]);
        return s + 1;
    }
    unsigned v, low;
    if (!hex4(s + 1, end, &v))
        return end;
    s += 5;
    if (v >= 0xd800 && v <= 0xdbff && end - s >= 6 && s[0] == '\\' && s[1] == 'u' &&
        hex4(s + 2, end, &low) && low >= 0xdc00 && low <= 0xdfff) {
        v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
        s += 6;
    } else if (v >= 0xd800 && v <= 0xdfff) {
        v = 0xfffd;
    }
    add_utf8(out, v);
    return s;
}

void json_unescape(struct buf *out, struct slice raw)
{
    struct cursor c = cursor_of(raw);
    while (c.at < c.end) {
        const unsigned char *plain = c.at;
        const unsigned char *found = memchr(plain, '\\', (size_t)(c.end - plain));
        c.at = found ? found : c.end;
        buf_add(out, plain, (size_t)(c.at - plain));
        if (c.end - c.at < 2)
            break;
        c.at = unescape_one(out, c.at + 1, c.end);
    }
}

bool json_copy_string(struct slice raw, char *ret, size_t size)
{
    CLEANUP_BUF struct buf b = BUF_INIT(size - 1);
    json_unescape(&b, raw);
    if (b.failed || (b.len && memchr(b.data, '\0', b.len)))
        return false;
    if (b.len)
        memcpy(ret, b.data, b.len);
    ret[b.len] = '\0';
    return true;
}

char *json_member_dup(struct slice object, const char *key, size_t max_bytes)
{
    struct slice raw;
    if (!json_member_string(object, key, &raw))
        return NULL;
    CLEANUP_BUF struct buf b = BUF_INIT(max_bytes);
    json_unescape(&b, raw);
    return buf_take(&b);
}

/* By hand: of a hostile kernel there may be 64 MiB of them. */
static void add_escape(struct buf *out, unsigned c)
{
    static const char HEX[] = "0123456789abcdef";
    const char text[] = { '\\',       'u', HEX[c >> 12 & 15], HEX[c >> 8 & 15], HEX[c >> 4 & 15],
                          HEX[c & 15] };
    buf_add(out, text, sizeof text);
}

static void quote_special(struct buf *out, unsigned char c)
{
    static const char FROM[] = "\"\\\b\f\n\r\t", TO[] = "\"\\bfnrt";
    const char *found = c ? strchr(FROM, c) : NULL;
    if (found) {
        char s[2] = { '\\', TO[found - FROM] };
        buf_add(out, s, 2);
    } else {
        add_escape(out, c);
    }
}

void json_quote(struct buf *out, struct slice text)
{
    struct cursor c = cursor_of(text);
    buf_add_char(out, '"');
    while (c.at < c.end) {
        const unsigned char *plain = c.at;
        size_t n = 1;
        while ((c.at = json_chars_plain(c.at, c.end)) < c.end && *c.at >= 0x20 && *c.at != '"' &&
               *c.at != '\\') {
            n = json_chars_utf8(c.at, c.end);
            if (n == 0)
                break;
            c.at += n;
        }
        buf_add(out, plain, (size_t)(c.at - plain));
        if (c.at >= c.end)
            break;
        if (n == 0)
            buf_add_str(out, "\xef\xbf\xbd");
        else if (*c.at == 0)
            buf_add_str(out, "\xef\xbf\xbd"); /* a NUL has no place in our records */
        else
            quote_special(out, *c.at);
        c.at++;
    }
    buf_add_char(out, '"');
}

void json_quote_str(struct buf *out, const char *text)
{
    if (text)
        json_quote(out, slice_str(text));
    else
        buf_add_str(out, "null");
}

bool json_splice(struct buf *out, struct slice value)
{
    if (!json_valid(value)) {
        json_quote(out, value);
        return false;
    }
    const char *at = value.data, *end = value.data + value.len;
    bool in_string = false;
    while (at < end) {
        const char *plain = at;
        if (in_string) {
            while ((at = (const char *)json_chars_plain((const unsigned char *)at,
                                                        (const unsigned char *)end)) < end &&
                   *at != '"')
                at += *at == '\\' ? 2 : 1;
            if (at < end)
                at++;
            in_string = false;
        } else {
            while (at < end && *at != '"' && !is_space((unsigned char)*at))
                at++;
            if (at < end && *at == '"') {
                at++;
                in_string = true;
            }
        }
        buf_add(out, plain, (size_t)(at - plain));
        while (!in_string && at < end && is_space((unsigned char)*at))
            at++;
    }
    return true;
}

/* The escape at s (a backslash) as it may stand in a string of ours; returns what is behind it. */
static const unsigned char *mend_escape(struct buf *out, const unsigned char *s,
                                        const unsigned char *end)
{
    struct cursor c = { .at = s + 1, .end = end };
    unsigned v;
    if (scan_escape(&c)) {
        buf_add(out, s, (size_t)(c.at - s));
        return c.at;
    }
    if (end - s >= 6 && s[1] == 'u' && hex4(s + 2, end, &v)) { /* NUL or a lone surrogate */
        buf_add_str(out, "\\ufffd");
        return s + 6;
    }
    buf_add_char(out, '\\'); /* no escape at all: still none behind us */
    return s + 1;
}

void json_mend(struct buf *out, struct slice text)
{
    struct cursor c = cursor_of(text);
    bool in_string = false;
    while (c.at < c.end) {
        const unsigned char *plain = c.at;
        size_t n = 1;
        while (c.at < c.end && *c.at != '"' && (!in_string || (*c.at >= 0x20 && *c.at != '\\'))) {
            n = in_string ? json_chars_utf8(c.at, c.end) : 1;
            if (n == 0)
                break;
            c.at += n;
        }
        buf_add(out, plain, (size_t)(c.at - plain));
        if (c.at >= c.end)
            break;
        if (*c.at == '\\') {
            c.at = mend_escape(out, c.at, c.end);
            continue;
        }
        if (*c.at == '"') {
            in_string = !in_string;
            buf_add_char(out, '"');
        } else if (n == 0) {
            buf_add_str(out, "\xef\xbf\xbd");
        } else {
            add_escape(out, *c.at == 0 ? 0xfffdu : *c.at);
        }
        c.at++;
    }
}
