#include "cmd/sse_reader.h"

#include <stdio.h>

#include "protocol/sse.h"

void sse_reader_init(struct sse_reader *r, sse_event_fn on_event, void *arg)
{
    *r = (struct sse_reader){ .on_event = on_event, .arg = arg, .retry_ms = -1 };
    buf_init(&r->line, SSE_READER_MAX_BYTES);
    buf_init(&r->data, SSE_READER_MAX_BYTES);
}

void sse_reader_done(struct sse_reader *r)
{
    buf_done(&r->line);
    buf_done(&r->data);
}

void sse_reader_reset(struct sse_reader *r)
{
    buf_reset(&r->line);
    buf_reset(&r->data);
    r->id = 0;
    r->id_text[0] = '\0';
    r->retry_ms = -1;
    r->has_data = r->after_cr = r->begun = false;
}

static void end_event(struct sse_reader *r)
{
    if (r->has_data)
        r->on_event(r->arg, r->id, buf_slice(&r->data));
    buf_reset(&r->data);
    r->has_data = false;
}

static void take_id(struct sse_reader *r, struct slice value)
{
    if (!sse_parse_id(value, &r->id))
        r->id = 0;
    bool fits = value.len && value.len < sizeof r->id_text && !memchr(value.data, '\0', value.len);
    (void)snprintf(r->id_text, sizeof r->id_text, "%.*s", fits ? (int)value.len : 0,
                   fits ? value.data : "");
}

static void take_retry(struct sse_reader *r, struct slice value)
{
    uint64_t ms;

    if (sse_parse_id(value, &ms)) /* digits only, too */
        r->retry_ms = (int64_t)ms;
}

static void end_line(struct sse_reader *r)
{
    struct slice line = buf_slice(&r->line);

    if (!r->begun && line.len >= 3 && memcmp(line.data, "\xef\xbb\xbf", 3) == 0)
        line = slice_of(line.data + 3, line.len - 3);
    r->begun = true;
    if (line.len == 0) {
        end_event(r);
        return;
    }
    const char *colon = memchr(line.data, ':', line.len);
    struct slice name = slice_of(line.data, colon ? (size_t)(colon - line.data) : line.len);
    struct slice value = colon ? slice_of(colon + 1, line.len - name.len - 1) : slice_of(NULL, 0);
    if (value.len > 0 && value.data[0] == ' ')
        value = slice_of(value.data + 1, value.len - 1);
    if (slice_is(name, "data")) {
        if (r->has_data)
            buf_add_char(&r->data, '\n');
        buf_add_slice(&r->data, value);
        r->has_data = true;
    } else if (slice_is(name, "id")) {
        take_id(r, value);
    } else if (slice_is(name, "retry")) {
        take_retry(r, value);
    }
}

/* A line ends with LF, CR or CRLF; the LF of a CRLF may come in the next piece. */
bool sse_reader_feed(struct sse_reader *r, struct slice bytes)
{
    size_t at = 0;

    while (at < bytes.len) {
        if (r->after_cr && bytes.data[at] == '\n') {
            r->after_cr = false;
            at++;
            continue;
        }
        r->after_cr = false;
        size_t end = at;
        while (end < bytes.len && bytes.data[end] != '\n' && bytes.data[end] != '\r')
            end++;
        buf_add(&r->line, bytes.data + at, end - at);
        if (r->line.failed || r->data.failed)
            return false;
        if (end == bytes.len)
            return true;
        r->after_cr = bytes.data[end] == '\r';
        end_line(r);
        buf_reset(&r->line);
        at = end + 1;
    }
    return !r->data.failed;
}
