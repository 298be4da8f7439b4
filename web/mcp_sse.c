/* MCP as of 2024-11-05: GET /sse is a stream that first names the address to post messages to; all answers come on the stream. */
#include <stdlib.h>

#include "base/uuid.h"
#include "web/mcp_http.h"
#include "web/mcp_post.h"
#include "web/mcp_stream.h"
#include "web/reply.h"

#define MAX_EVENT_BYTES (MCP_MAX_RESULT_BYTES + (1u << 20))
#define BEHIND_BYTES    (1u << 20) /* more than that waits: what may be left out is */
#define MAX_WAITING     (8u << 20) /* more than that waits: nothing is taken until it is read */

struct mcp_sse {
    struct mcp_channel channel; /* first */
    struct mcp *mcp;
    char id[MCP_SESSION_ID_CHARS + 1];
    struct mcp_peer *peer;
    struct request *request;
    struct mcp_stream *stream;
    bool is_over;
};

static void say(struct mcp_channel *ch, struct buf *message, enum mcp_said said, int code)
{
    struct mcp_sse *s = (struct mcp_sse *)ch;
    CLEANUP_BUF struct buf event = BUF_INIT(MAX_EVENT_BYTES);
    bool is_behind = mcp_stream_waiting(s->stream) > BEHIND_BYTES;
    if (s->is_over || !message || (said == MCP_SAID_NOTICE && is_behind))
        return;
    mcp_stream_write(&event, buf_slice(message));
    mcp_stream_add(s->stream, &event);
}

static void on_done(void *work, bool completed)
{
    struct mcp_sse *s = work;
    s->is_over = true;
    zhashx_delete(s->mcp->streams, s->id);
    mcp_peer_free(s->peer);
    mcp_stream_free(s->stream);
    free(s);
}

static void on_tick(void *work, int64_t now_ms)
{
    struct mcp_sse *s = work;
    if (user_shut_out(s->mcp->site->hub, s->peer->user, s->request->user_key))
        mcp_stream_end(s->stream);
    else
        mcp_stream_tick(s->stream, now_ms);
}

static bool is_on(struct request *r)
{
    struct err e = ERR_INIT;
    if (config_flag(r->site->config, CONFIG_MCP_SSE))
        return true;
    r->hint = "POST /mcp is where MCP is spoken";
    (void)err_set(&e, ERR_NOT_FOUND, "MCP over /sse is switched off (mcp/sse)");
    reply_error(r, &e);
    return false;
}

static bool has_room(const struct mcp *m, const struct user *user)
{
    size_t n = 0;
    for (struct mcp_sse *s = zhashx_first(m->streams); s; s = zhashx_next(m->streams))
        n += s->peer->user == user;
    return n < MCP_MAX_STREAMS;
}

static void say_endpoint(struct mcp_sse *s)
{
    CLEANUP_BUF struct buf event = BUF_INIT(1024);
    buf_add_str(&event, "event: endpoint\ndata: ");
    buf_add_slice(&event, site_base(s->mcp->site));
    buf_addf(&event, "/messages?sessionId=%s\n\n", s->id);
    mcp_stream_add(s->stream, &event);
}

void mcp_sse_get(struct request *r)
{
    static const struct mcp_channel_use USE = { .say = say };
    struct mcp *m = r->site->mcp;
    struct uuid a = uuid_new(), b = uuid_new();
    struct err e = ERR_INIT;
    if (!is_on(r))
        return;
    if (!has_room(m, r->user)) {
        (void)err_set(&e, ERR_QUOTA, "%d streams of yours are open, the limit", MCP_MAX_STREAMS);
        reply_error(r, &e);
        return;
    }
    struct mcp_sse *s = calloc(1, sizeof *s);
    assert(s);
    *s = (struct mcp_sse){ .channel = { &USE }, .mcp = m, .request = r };
    (void)snprintf(s->id, sizeof s->id, "%.36s%.36s", a.text, b.text); /* fits */
    s->peer = mcp_peer_new(m, r->user, MCP_ERA_LEGACY, false);
    s->peer->version = MCP_2024_11_05;
    s->peer->is_plain = mcp_http_is_plain(r);
    s->peer->aside = &s->channel;
    s->stream = mcp_stream_new(r);
    (void)zhashx_insert(m->streams, s->id, s); /* a new id */
    request_work(r, s, on_done);
    r->on_tick = on_tick;
    say_endpoint(s);
}

/* Or would be one: then who waits on the stream is told there. */
static bool is_object(struct slice text)
{
    CLEANUP_BUF struct buf room = BUF_INIT(0);
    struct slice id;
    enum mcp_shape shape = mcp_message_shape(text);
    return shape == MCP_OBJECT || (shape == MCP_NO_JSON && mcp_message_broken_id(text, &room, &id));
}

void mcp_sse_post(struct request *r)
{
    const char *id = query_get(&r->query, "sessionId");
    struct slice no_id = slice_of(NULL, 0);
    if (!is_on(r))
        return;
    struct mcp_sse *s = id ? zhashx_lookup(r->site->mcp->streams, id) : NULL;
    if (!s || s->peer->user != r->user || s->is_over)
        mcp_post_refuse(r, 404, no_id, MCP_NO_SESSION,
                        "there is no such stream: begin with GET /sse");
    else if (mcp_stream_waiting(s->stream) > MAX_WAITING)
        mcp_post_refuse(r, 429, no_id, MCP_SERVER_ERROR,
                        "more than 8 MiB wait on the stream of GET /sse: read them first");
    else if (!head_content_is(&r->head, "application/json"))
        mcp_post_refuse(r, 415, no_id, MCP_SERVER_ERROR, "Content-Type has to be application/json");
    else if (!is_object(buf_slice(&r->body)))
        mcp_post_refuse(r, 400, no_id, MCP_PARSE_ERROR, "the body has to be a JSON object");
    else {
        mcp_peer_take_text(s->peer, &s->channel, buf_slice(&r->body));
        reply_bytes(r, 202, "text/plain", SLICE_LITERAL("Accepted"));
    }
}

void mcp_sse_drain(struct mcp *m)
{
    for (struct mcp_sse *s = zhashx_first(m->streams); s; s = zhashx_next(m->streams))
        mcp_stream_end(s->stream);
}
