#include "web/mcp_stream.h"

#include <assert.h>
#include <czmq.h>
#include <stdlib.h>

#include "protocol/sse.h"
#include "web/reply.h"
#include "web/request.h"

struct piece {
    char *data;
    size_t len;
};

struct mcp_stream {
    struct request *request;
    zlistx_t *pieces;
    size_t at; /* of the first piece: sent */
    size_t waiting_bytes;
    bool is_over;
    int64_t sent_ms;
};

static void piece_free(void **item)
{
    struct piece *p = *item;
    free(p->data);
    free(p);
    *item = NULL;
}

static size_t copy_pieces(struct mcp_stream *s, char *out, size_t max)
{
    struct piece *p;
    size_t n = 0;
    while (n < max && (p = zlistx_first(s->pieces)) != NULL) {
        size_t k = p->len - s->at < max - n ? p->len - s->at : max - n;
        memcpy(out + n, p->data + s->at, k);
        n += k;
        s->at += k;
        if (s->at == p->len) {
            s->at = 0;
            (void)zlistx_delete(s->pieces, zlistx_cursor(s->pieces)); /* it is in there */
        }
    }
    s->waiting_bytes -= n;
    return n;
}

static ssize_t fill(void *arg, uint64_t pos, char *out, size_t max)
{
    struct mcp_stream *s = arg;
    size_t n = copy_pieces(s, out, max);
    if (s->request->socket->peer_has_left)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (n) {
        s->sent_ms = zclock_mono();
        return (ssize_t)n;
    }
    if (s->is_over)
        return MHD_CONTENT_READER_END_OF_STREAM;
    request_suspend(s->request);
    return 0;
}

struct mcp_stream *mcp_stream_new(struct request *r)
{
    struct mcp_stream *s = calloc(1, sizeof *s);
    assert(s);
    *s = (struct mcp_stream){ .request = r, .pieces = zlistx_new(), .sent_ms = zclock_mono() };
    zlistx_set_destructor(s->pieces, piece_free);
    reply_stream(r, "text/event-stream", fill, s);
    reply_cacheable(r, "no-store, no-transform");
    return s;
}

void mcp_stream_free(struct mcp_stream *s)
{
    if (!s)
        return;
    zlistx_destroy(&s->pieces);
    free(s);
}

static void write_data(struct buf *out, struct slice message)
{
    buf_add_str(out, "data: ");
    size_t at = out->len;
    buf_add_slice(out, message);
    for (; !out->failed && at < out->len; at++)
        if (out->data[at] == '\n' || out->data[at] == '\r')
            out->data[at] = ' '; /* between tokens: inside of strings JSON has none */
    buf_add_str(out, "\n\n");
}

void mcp_stream_write(struct buf *out, struct slice message)
{
    buf_add_str(out, "event: message\n");
    write_data(out, message);
}

void mcp_stream_write_as(struct buf *out, const char *id, struct slice message)
{
    buf_addf(out, "event: message\nid: %s\n", id);
    write_data(out, message);
}

void mcp_stream_add(struct mcp_stream *s, struct buf *event)
{
    size_t len = event->len;
    char *data = buf_take(event);
    if (!data)
        return; /* it was empty, or failed */
    struct piece *p = malloc(sizeof *p);
    assert(p);
    *p = (struct piece){ .data = data, .len = len };
    (void)zlistx_add_end(s->pieces, p); /* found by walking */
    s->waiting_bytes += len;
    request_wake(s->request);
}

void mcp_stream_end(struct mcp_stream *s)
{
    s->is_over = true;
    request_wake(s->request);
}

size_t mcp_stream_waiting(const struct mcp_stream *s)
{
    return s->waiting_bytes;
}

void mcp_stream_tick(struct mcp_stream *s, int64_t now_ms)
{
    CLEANUP_BUF struct buf ping = BUF_INIT(64);
    if (s->is_over || s->waiting_bytes || now_ms - s->sent_ms < MCP_STREAM_PING_MS)
        return;
    sse_write_ping(&ping);
    mcp_stream_add(s, &ping);
}
