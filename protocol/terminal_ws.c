#include "protocol/terminal_ws.h"

#include "base/json.h"
#include "protocol/text_cut.h"

#define SIDE_DIGITS 5

/* A number as it stands there; what is none, is too big or has a fraction: 0. */
static unsigned read_side(struct slice value)
{
    unsigned n = 0;
    if (value.len == 0 || value.len > SIDE_DIGITS)
        return 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return 0;
        n = n * 10 + (unsigned)(value.data[i] - '0');
    }
    return n <= TERMINAL_WS_MAX_SIDE ? n : 0;
}

static struct terminal_ws_message size_of(struct slice rows, struct slice cols)
{
    struct terminal_ws_message m = { .rows = read_side(rows), .cols = read_side(cols) };
    m.kind = m.rows && m.cols ? TERMINAL_WS_SIZE : TERMINAL_WS_NONSENSE;
    return m;
}

/* A NUL is a key (Ctrl-Space), but no JSON that is good elsewhere: what is checked has another character in its place. */
static struct slice without_nul(struct slice text, struct buf *copy)
{
    static const char NUL[] = "\\u0000";
    const size_t n = sizeof NUL - 1;
    const char *at = memmem(text.data, text.len, NUL, n);
    if (!at)
        return text;
    buf_add_slice(copy, text);
    for (char *found = copy->data;
         (found = memmem(found, text.len - (size_t)(found - copy->data), NUL, n));)
        found[n - 1] = '1';
    return buf_slice(copy);
}

struct terminal_ws_message terminal_ws_read(struct slice text)
{
    struct terminal_ws_message m = { .kind = TERMINAL_WS_NONSENSE };
    struct slice part[3] = { { 0 } };
    CLEANUP_BUF struct buf copy = BUF_INIT(text.len);
    struct slice checked = without_nul(text, &copy);
    if (!json_valid(checked) || json_type(checked) != JSON_ARRAY)
        return m;
    struct json_iter it = json_iter(checked);
    for (size_t i = 0; i < 3 && json_next(&it); i++)
        part[i] = it.value;
    if (slice_is(part[0], "\"set_size\""))
        return size_of(part[1], part[2]);
    if (slice_is(part[0], "\"stdin\"") && json_type(part[1]) == JSON_STRING) {
        m.kind = TERMINAL_WS_STDIN;
        m.text = slice_of(text.data + (part[1].data + 1 - checked.data), part[1].len - 2);
    }
    return m;
}

struct terminal_ws_message terminal_ws_read_size(struct slice text)
{
    struct slice rows, cols;
    if (json_valid(text) && json_member(text, "rows", &rows) && json_member(text, "cols", &cols))
        return size_of(rows, cols);
    return (struct terminal_ws_message){ .kind = TERMINAL_WS_NONSENSE };
}

size_t terminal_ws_write_output(struct buf *out, struct slice output, bool is_last)
{
    CLEANUP_BUF struct buf plain = BUF_INIT(output.len);
    if (!is_last)
        output.len -= text_cut_incomplete(output);
    if (output.len == 0)
        return 0;
    for (size_t at = 0; at < output.len;) {
        const char *nul = memchr(output.data + at, '\0', output.len - at);
        size_t n = nul ? (size_t)(nul - (output.data + at)) : output.len - at;
        buf_add(&plain, output.data + at, n);
        at += n + (nul != NULL);
    }
    buf_add_str(out, "[\"stdout\",");
    json_quote(out, buf_slice(&plain));
    buf_add_char(out, ']');
    return output.len;
}
