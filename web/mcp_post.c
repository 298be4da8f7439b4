#include "web/mcp_post.h"

#include <stdlib.h>

#include "web/mcp_http.h"
#include "web/reply.h"
#include "web/request.h"

#define MAX_EVENT_BYTES  (MCP_MAX_RESULT_BYTES + (1u << 20))
#define BEHIND_BYTES     (1u << 20) /* more than that waits: what may be left out is */
#define COMMIT_MS        15000      /* so long a modern client sees nothing of a stream */
#define COMMIT_LEGACY_MS 1000       /* a legacy one has to learn where to come again */

struct mcp_post {
    struct mcp_channel channel;  /* first */
    struct request *request;     /* NULL: the client has left */
    struct mcp_peer *own;        /* modern: of this request alone */
    struct mcp_session *session; /* legacy; NULL when it has ended */
    unsigned line;
    uint64_t number;
    struct mcp_stream *stream; /* once it is decided that there are events */
    size_t n_pending;          /* answers that have not been said */
    bool is_several;           /* a batch: always a stream */
    bool is_over;              /* nothing is said any more */
    int code;                  /* of the last answer */
    int64_t begun_ms;
    void *place; /* in session->posts */
};

static void post_free(struct mcp_post *p)
{
    if (p->session && p->place)
        (void)zlistx_delete(p->session->posts, p->place); /* it is in there */
    mcp_stream_free(p->stream);
    free(p);
}

/* ---- what is said ---- */

static unsigned status_of(const struct mcp_post *p, int code)
{
    if (!p->own)
        return 200;
    switch (code) {
    case MCP_METHOD_NOT_FOUND:
        return 404;
    case MCP_INVALID_REQUEST:
    case MCP_HEADER_MISMATCH:
    case MCP_MISSING_CAPABILITY:
    case MCP_UNSUPPORTED_VERSION:
        return 400;
    default:
        return 200;
    }
}

static void commit(struct mcp_post *p)
{
    CLEANUP_BUF struct buf event = BUF_INIT(256);
    if (p->stream || !p->request || p->request->response)
        return;
    p->stream = mcp_stream_new(p->request);
    if (p->session && mcp_version_has_priming(p->session->peer->version))
        mcp_session_write_priming(&event, p->line, 0);
    else
        buf_add_str(&event, ": hello\n\n"); /* the head goes out at once */
    mcp_stream_add(p->stream, &event);
}

static void write_event(struct mcp_post *p, struct buf *event, struct slice message)
{
    if (!p->session) {
        mcp_stream_write(event, message);
        return;
    }
    p->number++;
    mcp_session_write_event(event, p->line, p->number, message);
    mcp_session_keep(p->session, p->line, p->number, buf_slice(event));
}

static void send_event(struct mcp_post *p, struct buf *message, enum mcp_said said)
{
    CLEANUP_BUF struct buf event = BUF_INIT(MAX_EVENT_BYTES);
    bool is_behind = p->stream && mcp_stream_waiting(p->stream) > BEHIND_BYTES;
    commit(p);
    if (said == MCP_SAID_NOTICE && is_behind)
        return;
    write_event(p, &event, buf_slice(message));
    if (p->stream)
        mcp_stream_add(p->stream, &event);
}

static void end(struct mcp_post *p)
{
    p->is_over = true;
    if (p->stream)
        mcp_stream_end(p->stream);
    if (!p->request)
        post_free(p);
}

static void say(struct mcp_channel *ch, struct buf *message, enum mcp_said said, int code)
{
    struct mcp_post *p = (struct mcp_post *)ch;
    if (p->is_over)
        return;
    bool is_answer = said == MCP_SAID_ANSWER;
    bool is_alone = is_answer && message && !p->stream && !p->is_several && p->request;
    if (is_answer)
        p->code = code;
    if (is_alone)
        reply_buf(p->request, status_of(p, code), message);
    else if (message)
        send_event(p, message, said);
    else
        commit(p); /* an end without an answer */
    if (is_answer && --p->n_pending == 0)
        end(p);
}

/* ---- the request ---- */

static void on_tick(void *work, int64_t now_ms)
{
    struct mcp_post *p = work;
    int64_t limit_ms = p->own ? COMMIT_MS : COMMIT_LEGACY_MS;
    if (p->stream && user_shut_out(p->request->site->hub, p->request->user, p->request->user_key))
        mcp_stream_end(p->stream);
    else if (p->stream)
        mcp_stream_tick(p->stream, now_ms);
    else if (now_ms - p->begun_ms >= limit_ms)
        commit(p);
}

static void on_modern_done(void *work, bool completed)
{
    struct mcp_post *p = work;
    p->is_over = true;
    mcp_peer_free(p->own); /* cancels what has not been answered */
    post_free(p);
}

static void on_legacy_done(void *work, bool completed)
{
    struct mcp_post *p = work;
    p->request = NULL;
    mcp_stream_free(TAKE(p->stream));
    if (p->session)
        p->session->used_ms = zclock_mono();
    if (p->is_over || !p->session)
        post_free(p);
}

static void attach(struct mcp_post *p, struct request *r, void (*done)(void *work, bool completed))
{
    p->request = r;
    p->begun_ms = zclock_mono();
    request_work(r, p, done);
    r->on_tick = on_tick;
}

/* It closes the stream of a call that goes on: the client comes again. */
static void hang_up(struct mcp_channel *ch)
{
    struct mcp_post *p = (struct mcp_post *)ch;
    commit(p);
    if (p->stream)
        mcp_stream_end(p->stream);
}

static struct mcp_post *post_new(void)
{
    static const struct mcp_channel_use USE = { .say = say, .hang_up = hang_up };
    struct mcp_post *p = calloc(1, sizeof *p);
    assert(p);
    p->channel.use = &USE;
    return p;
}

void mcp_post_modern(struct request *r, const struct mcp_message *m)
{
    struct mcp_post *p = post_new();
    p->n_pending = 1;
    p->own = mcp_peer_new(r->site->mcp, r->user, MCP_ERA_MODERN, true);
    p->own->is_plain = mcp_http_is_plain(r);
    attach(p, r, on_modern_done);
    mcp_peer_take(p->own, &p->channel, m);
}

void mcp_post_legacy(struct request *r, struct mcp_session *s, const struct mcp_message *messages,
                     size_t n, size_t n_requests, int *ret_code)
{
    struct mcp_post *p = post_new();
    p->n_pending = n_requests;
    p->is_several = n > 1;
    p->session = s;
    p->line = ++s->n_lines;
    p->place = zlistx_add_end(s->posts, p);
    attach(p, r, on_legacy_done); /* it stays at least until the request is over */
    for (size_t i = 0; i < n; i++)
        mcp_peer_take(s->peer, &p->channel, &messages[i]);
    *ret_code = p->code;
}

static struct mcp_post *find_line(struct mcp_session *s, unsigned line)
{
    for (struct mcp_post *p = zlistx_first(s->posts); p; p = zlistx_next(s->posts))
        if (p->line == line)
            return p;
    return NULL;
}

static void on_replay_done(void *work, bool completed)
{
    mcp_stream_free(work);
}

void mcp_post_resume(struct request *r, struct mcp_session *s, unsigned line, uint64_t after)
{
    struct slice no_id = slice_of(NULL, 0);
    struct mcp_post *p = find_line(s, line);
    if (line > s->n_lines) {
        mcp_post_refuse(r, 400, no_id, MCP_SERVER_ERROR, "Last-Event-ID is none of this session");
        return;
    }
    if (p && p->request) {
        mcp_post_refuse(r, 409, no_id, MCP_SERVER_ERROR, "that stream is still open");
        return;
    }
    struct mcp_stream *stream = mcp_stream_new(r);
    CLEANUP_BUF struct buf hello = BUF_INIT(64);
    buf_add_str(&hello, ": hello\n\n");
    mcp_stream_add(stream, &hello);
    mcp_session_replay(s, line, after, stream);
    if (p) {
        p->stream = stream;
        attach(p, r, on_legacy_done);
    } else {
        request_work(r, stream, on_replay_done);
        mcp_stream_end(stream);
    }
}

void mcp_post_leave(struct mcp_post *p)
{
    (void)zlistx_delete(p->session->posts, p->place); /* it is in there */
    p->session = NULL;
    p->place = NULL;
    if (!p->is_over)
        end(p);
    else if (!p->request)
        post_free(p);
}

void mcp_post_refuse(struct request *r, unsigned status, struct slice id, int code,
                     const char *text)
{
    CLEANUP_BUF struct buf out = BUF_INIT(8192);
    mcp_write_error(&out, id, code, text, slice_of(NULL, 0));
    reply_buf(r, status, &out);
}
