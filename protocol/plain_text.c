/* Source of the escape sequences: ECMA-48, 5.3 to 5.6. */
#include "protocol/plain_text.h"

/* Of the escape sequence at the beginning of s (its ESC); one that is cut short goes to the text's end, but never beyond its line. */
static size_t escape_len(struct slice s)
{
    size_t at = 2;
    if (s.len < 2 || s.data[1] == '\n')
        return 1;
    switch (s.data[1]) {
    case '[': /* control sequence: parameters, then one byte that ends it */
        while (at < s.len && s.data[at] >= 0x20 && s.data[at] <= 0x3f)
            at++;
        return at < s.len && s.data[at] >= 0x40 && s.data[at] <= 0x7e ? at + 1 : at;
    case ']': /* strings: to BEL or ESC \ */
    case 'P':
    case 'X':
    case '^':
    case '_':
        for (; at < s.len && s.data[at] != '\n'; at++) {
            if (s.data[at] == '\a')
                return at + 1;
            if (s.data[at] == '\033')
                return at + 1 < s.len && s.data[at + 1] == '\\' ? at + 2 : at;
        }
        return at;
    default:
        break;
    }
    at = 1;
    while (at < s.len && s.data[at] >= 0x20 && s.data[at] <= 0x2f)
        at++;
    return at < s.len && s.data[at] >= 0x30 && s.data[at] <= 0x7e ? at + 1 : at;
}

static bool is_inside(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static void take_back(struct buf *out, size_t line)
{
    if (out->len == line)
        return;
    do
        out->len--;
    while (out->len > line && is_inside(out->data[out->len]));
}

/* How many "\r" stand at the beginning of s: they are one, or to look behind each would take the square of them. */
static size_t returns_len(struct slice s)
{
    size_t n = 0;
    while (n < s.len && s.data[n] == '\r')
        n++;
    return n;
}

static bool is_plain(char c)
{
    return (unsigned char)c >= 0x20 && c != 0x7f;
}

void plain_text(struct buf *out, struct slice text)
{
    size_t line = out->len; /* where the present one begins */
    for (size_t at = 0; at < text.len && !out->failed;) {
        struct slice rest = slice_of(text.data + at, text.len - at);
        size_t n = 0;
        while (n < rest.len && (is_plain(rest.data[n]) || rest.data[n] == '\t'))
            n++;
        buf_add(out, rest.data, n);
        at += n;
        if (n)
            continue;
        n = rest.data[0] == '\033' ? escape_len(rest) : 1;
        if (rest.data[0] == '\n') {
            buf_add_char(out, '\n');
            line = out->len;
        } else if (rest.data[0] == '\r') {
            n = returns_len(rest);
            if (n < rest.len && rest.data[n] != '\n') /* something is written over the line */
                out->len = line;
        } else if (rest.data[0] == '\b') {
            take_back(out, line);
        }
        at += n;
    }
}

static size_t line_begin(struct slice s, size_t n_newlines)
{
    size_t at = 0;
    for (; n_newlines && at < s.len; n_newlines--) {
        const char *newline = memchr(s.data + at, '\n', s.len - at);
        at = newline ? (size_t)(newline - s.data) + 1 : s.len;
    }
    return at;
}

size_t plain_text_source(struct slice text, struct slice plain, size_t at)
{
    size_t n = 0, begin = 0;
    for (size_t i = 0; i < at; i++) {
        if (plain.data[i] == '\n') {
            n++;
            begin = i + 1;
        }
    }
    size_t source = line_begin(text, n), column = at - begin;
    bool same = text.len - source >= column &&
                (column == 0 || memcmp(text.data + source, plain.data + begin, column) == 0);
    return same ? source + column : source;
}
