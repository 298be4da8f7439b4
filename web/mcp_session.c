#include "web/mcp_session.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/uuid.h"
#include "web/mcp_post.h"
#include "web/request.h"

#define MAX_KEPT       256
#define MAX_KEPT_BYTES (4u << 20)
#define KEEP_MS        300000
#define IDLE_MS        1800000
#define SWEEP_MS       60000
#define RETRY_MS       1000
#define BEHIND_BYTES   (1u << 20) /* more than that waits: what may be left out is */

struct kept {
    unsigned line;
    uint64_t number;
    int64_t since_ms;
    size_t len;
    char event[];
};

/* ---- events ---- */

bool mcp_session_parse_event(const char *text, unsigned *ret_line, uint64_t *ret_number)
{
    char *end;
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 9 || text[n] != '-')
        return false;
    *ret_line = (unsigned)strtoul(text, NULL, 10);
    size_t m = strspn(text + n + 1, "0123456789");
    if (m == 0 || m > 18 || text[n + 1 + m] != '\0')
        return false;
    *ret_number = strtoull(text + n + 1, &end, 10);
    return true;
}

void mcp_session_write_event(struct buf *out, unsigned line, uint64_t number, struct slice message)
{
    char id[48];
    (void)snprintf(id, sizeof id, "%u-%llu", line, (unsigned long long)number); /* fits */
    mcp_stream_write_as(out, id, message);
}

void mcp_session_write_priming(struct buf *out, unsigned line, uint64_t number)
{
    buf_addf(out, "id: %u-%llu\nretry: %d\ndata: \n\n", line, (unsigned long long)number, RETRY_MS);
}

static void drop_first(struct mcp_session *s)
{
    struct kept *k = zlistx_detach(s->kept, NULL);
    s->kept_bytes -= k->len;
    free(k);
}

static void forget_old(struct mcp_session *s, int64_t now_ms)
{
    struct kept *k;
    while ((k = zlistx_first(s->kept)) != NULL && now_ms - k->since_ms > KEEP_MS)
        drop_first(s);
}

void mcp_session_keep(struct mcp_session *s, unsigned line, uint64_t number, struct slice event)
{
    if (event.len > MAX_KEPT_BYTES)
        return;
    while (zlistx_size(s->kept) >= MAX_KEPT || s->kept_bytes + event.len > MAX_KEPT_BYTES)
        drop_first(s);
    struct kept *k = malloc(sizeof *k + event.len);
    assert(k);
    *k = (struct kept){
        .line = line, .number = number, .since_ms = zclock_mono(), .len = event.len
    };
    memcpy(k->event, event.data, event.len);
    s->kept_bytes += event.len;
    (void)zlistx_add_end(s->kept, k); /* found by walking */
}

void mcp_session_replay(struct mcp_session *s, unsigned line, uint64_t after, struct mcp_stream *to)
{
    for (struct kept *k = zlistx_first(s->kept); k; k = zlistx_next(s->kept)) {
        CLEANUP_BUF struct buf event = BUF_INIT(MAX_KEPT_BYTES);
        if (k->line != line || k->number <= after)
            continue;
        buf_add(&event, k->event, k->len);
        mcp_stream_add(to, &event);
    }
}

/* ---- line 0 ---- */

static void say_aside(struct mcp_channel *ch, struct buf *message, enum mcp_said said, int code)
{
    struct mcp_session *s =
        (struct mcp_session *)((char *)ch - offsetof(struct mcp_session, aside));
    CLEANUP_BUF struct buf event = BUF_INIT(MCP_MAX_RESULT_BYTES);
    if (!message || !s->was_aside ||
        (s->aside_stream && mcp_stream_waiting(s->aside_stream) > BEHIND_BYTES))
        return;
    s->aside_number++;
    mcp_session_write_event(&event, 0, s->aside_number, buf_slice(message));
    mcp_session_keep(s, 0, s->aside_number, buf_slice(&event));
    if (s->aside_stream)
        mcp_stream_add(s->aside_stream, &event);
}

static void on_aside_done(void *work, bool completed)
{
    struct mcp_session *s = work;
    mcp_stream_free(TAKE(s->aside_stream));
    s->aside_request = NULL;
    s->used_ms = zclock_mono();
}

/* The session has ended before its stream's request. */
static void on_orphan_done(void *work, bool completed)
{
    mcp_stream_free(work);
}

static void on_aside_tick(void *work, int64_t now_ms)
{
    struct mcp_session *s = work;
    const struct request *r = s->aside_request;
    if (user_shut_out(s->mcp->site->hub, r->user, r->user_key))
        mcp_stream_end(s->aside_stream);
    else
        mcp_stream_tick(s->aside_stream, now_ms);
}

void mcp_session_listen(struct mcp_session *s, struct request *r, bool again, uint64_t after)
{
    CLEANUP_BUF struct buf event = BUF_INIT(256);
    s->aside_request = r;
    s->aside_stream = mcp_stream_new(r);
    s->was_aside = true;
    s->used_ms = zclock_mono();
    request_work(r, s, on_aside_done);
    r->on_tick = on_aside_tick;
    buf_add_str(&event, ": hello\n\n"); /* the head goes out at once */
    if (!again && mcp_version_has_priming(s->peer->version))
        mcp_session_write_priming(&event, 0, s->aside_number);
    mcp_stream_add(s->aside_stream, &event);
    if (again)
        mcp_session_replay(s, 0, after, s->aside_stream);
}

/* ---- life ---- */

static bool is_idle(const struct mcp_session *s)
{
    return !s->aside_request && zlistx_size(s->posts) == 0 && zlistx_size(s->peer->calls) == 0;
}

static int on_sweep(struct loop *loop, int timer, void *arg)
{
    struct mcp *m = arg;
    int64_t now_ms = zclock_mono();
    zlistx_t *all = zhashx_values(m->sessions);
    for (struct mcp_session *s = zlistx_first(all); s; s = zlistx_next(all)) {
        forget_old(s, now_ms);
        if (is_idle(s) && now_ms - s->used_ms > IDLE_MS)
            mcp_session_end(s);
    }
    zlistx_destroy(&all);
    m->sweep_timer = zhashx_size(m->sessions) ? loop_timer(loop, SWEEP_MS, on_sweep, m) : -1;
    return 0;
}

/* False: as many as may be are in use. */
static bool make_room(struct mcp *m, const struct user *user)
{
    struct mcp_session *oldest = NULL;
    size_t n = 0;
    for (struct mcp_session *s = zhashx_first(m->sessions); s; s = zhashx_next(m->sessions)) {
        if (s->peer->user != user)
            continue;
        n++;
        if (is_idle(s) && (!oldest || s->used_ms < oldest->used_ms))
            oldest = s;
    }
    if (n < MCP_MAX_SESSIONS)
        return true;
    if (oldest)
        mcp_session_end(oldest);
    return oldest != NULL;
}

int mcp_session_new(struct mcp *m, struct user *user, struct mcp_session **ret, struct err *e)
{
    static const struct mcp_channel_use ASIDE = { .say = say_aside };
    struct uuid a = uuid_new(), b = uuid_new();
    if (!make_room(m, user))
        return err_set(e, ERR_QUOTA, "%d MCP sessions of yours are in use, the limit",
                       MCP_MAX_SESSIONS);
    struct mcp_session *s = calloc(1, sizeof *s);
    assert(s);
    (void)snprintf(s->id, sizeof s->id, "%.36s%.36s", a.text, b.text); /* fits: 244 random bits */
    s->mcp = m;
    s->aside.use = &ASIDE;
    s->posts = zlistx_new();
    s->kept = zlistx_new();
    s->used_ms = zclock_mono();
    s->peer = mcp_peer_new(m, user, MCP_ERA_LEGACY, true);
    s->peer->aside = &s->aside;
    (void)zhashx_insert(m->sessions, s->id, s); /* a new id */
    if (m->sweep_timer < 0)
        m->sweep_timer = loop_timer(hub_loop(m->site->hub), SWEEP_MS, on_sweep, m);
    *ret = s;
    return 0;
}

struct mcp_session *mcp_session_find(struct mcp *m, const struct user *user, const char *id)
{
    struct mcp_session *s = zhashx_lookup(m->sessions, id);
    if (!s || s->peer->user != user)
        return NULL;
    s->used_ms = zclock_mono();
    return s;
}

static void end_aside(struct mcp_session *s)
{
    if (!s->aside_request)
        return;
    request_work(s->aside_request, s->aside_stream, on_orphan_done);
    s->aside_request->on_tick = NULL;
    mcp_stream_end(s->aside_stream);
    s->aside_request = NULL;
    s->aside_stream = NULL;
}

void mcp_session_end(struct mcp_session *s)
{
    struct mcp_post *p;
    zhashx_delete(s->mcp->sessions, s->id);
    mcp_peer_free(s->peer); /* its posts end by that */
    end_aside(s);
    while ((p = zlistx_first(s->posts)) != NULL)
        mcp_post_leave(p);
    while (zlistx_size(s->kept))
        drop_first(s);
    zlistx_destroy(&s->posts);
    zlistx_destroy(&s->kept);
    free(s);
}

void mcp_sessions_drain(struct mcp *m)
{
    for (struct mcp_session *s = zhashx_first(m->sessions); s; s = zhashx_next(m->sessions))
        end_aside(s);
}

void mcp_sessions_free(struct mcp *m)
{
    struct mcp_session *s;
    while ((s = zhashx_first(m->sessions)) != NULL)
        mcp_session_end(s);
}
