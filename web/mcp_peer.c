#include "web/mcp_peer.h"

#include <stdlib.h>

#include "base/json.h"
#include "web/mcp_methods.h"
#include "web/mcp_task.h"

#define MAX_SMALL_BYTES (1u << 20)
#define ASK_ID_BYTES    32
#define ASK_MS          600000 /* a person may have to be found */

/* What we asked a client. */
struct mcp_ask {
    struct mcp_task *task;
    char id[ASK_ID_BYTES]; /* "kernelhub-7" */
    int timer;
    void *place; /* in the peer's asks */
    mcp_asked_fn *on_answer;
};

struct mcp_peer *mcp_peer_new(struct mcp *m, struct user *user, enum mcp_era era, bool is_http)
{
    struct mcp_peer *p = calloc(1, sizeof *p);
    assert(p);
    *p = (struct mcp_peer){ .mcp = m,
                            .user = user,
                            .era = era,
                            .version = era == MCP_ERA_MODERN ? MCP_2026_07_28 : MCP_UNSAID,
                            .is_http = is_http,
                            .capabilities = BUF_INIT(MAX_SMALL_BYTES),
                            .log_level = -1 };
    p->calls = zlistx_new();
    p->asks = zlistx_new();
    p->place = zlistx_add_end(m->peers, p);
    return p;
}

void mcp_peer_free(struct mcp_peer *p)
{
    struct mcp_task *t;
    if (!p)
        return;
    p->aside = NULL;
    while ((t = zlistx_first(p->calls)) != NULL)
        mcp_task_cancel(t);
    mcp_subscription_free(p->subscription);
    (void)zlistx_delete(p->mcp->peers, p->place); /* it is in there */
    zlistx_destroy(&p->calls);
    zlistx_destroy(&p->asks);
    buf_done(&p->capabilities);
    free(p);
}

void mcp_channel_error(struct mcp_channel *ch, struct slice id, int code, const char *text)
{
    CLEANUP_BUF struct buf out = BUF_INIT(8192);
    mcp_write_error(&out, id, code, text, slice_of(NULL, 0));
    ch->use->say(ch, &out, MCP_SAID_ANSWER, code);
}

void mcp_peer_notify(struct mcp_peer *p, const char *method, struct slice params)
{
    CLEANUP_BUF struct buf out = BUF_INIT(MAX_SMALL_BYTES);
    if (!p->aside)
        return;
    mcp_write_notification(&out, method, params);
    if (!out.failed)
        p->aside->use->say(p->aside, &out, MCP_SAID_NOTICE, 0);
}

int mcp_peer_log_level(struct slice name)
{
    static const char *const NAMES[] = { "debug", "info",     "notice", "warning",
                                         "error", "critical", "alert",  "emergency" };
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (slice_is(name, NAMES[i]))
            return (int)i;
    return -1;
}

/* ---- what we ask ---- */

static struct mcp_ask *find_ask(struct mcp_peer *p, const struct mcp_task *t)
{
    for (struct mcp_ask *a = zlistx_first(p->asks); a; a = zlistx_next(p->asks))
        if (a->task == t)
            return a;
    return NULL;
}

static struct loop *loop_of(const struct mcp_task *t)
{
    return hub_loop(t->call.site->hub);
}

static void ask_free(struct mcp_ask *a)
{
    (void)zlistx_delete(a->task->peer->asks, a->place); /* it is in there */
    loop_timer_end(loop_of(a->task), a->timer);
    free(a);
}

static void answer_ask(struct mcp_ask *a, struct slice result)
{
    struct mcp_call *c = &a->task->call;
    mcp_asked_fn *on_answer = a->on_answer;
    ask_free(a);
    on_answer(c, result);
}

static int on_ask_late(struct loop *loop, int timer, void *arg)
{
    answer_ask(arg, slice_of(NULL, 0));
    return 0;
}

void mcp_call_ask(struct mcp_call *c, const char *method, struct slice params,
                  mcp_asked_fn *on_answer)
{
    struct mcp_task *t = mcp_task_of(c);
    CLEANUP_BUF struct buf out = BUF_INIT(MAX_SMALL_BYTES);
    if (!t->peer || find_ask(t->peer, t)) {
        on_answer(c, slice_of(NULL, 0));
        return;
    }
    struct mcp_ask *a = calloc(1, sizeof *a);
    assert(a);
    a->task = t;
    a->on_answer = on_answer;
    (void)snprintf(a->id, sizeof a->id, "kernelhub-%llu", (unsigned long long)++t->peer->n_asked);
    a->timer = loop_timer(loop_of(t), ASK_MS, on_ask_late, a);
    a->place = zlistx_add_end(t->peer->asks, a);
    mcp_write_request(&out, a->id, method, params);
    t->channel->use->say(t->channel, &out, MCP_SAID_ASK, 0);
}

mcp_asked_fn *mcp_peer_forget_ask(struct mcp_peer *p, const struct mcp_task *t)
{
    struct mcp_ask *a = find_ask(p, t);
    mcp_asked_fn *on_answer = a ? a->on_answer : NULL;
    if (a)
        ask_free(a);
    return on_answer;
}

static void take_response(struct mcp_peer *p, const struct mcp_message *m)
{
    char id[ASK_ID_BYTES];
    if (m->id.data[0] != '"' ||
        !json_copy_string(slice_of(m->id.data + 1, m->id.len - 2), id, sizeof id))
        return;
    for (struct mcp_ask *a = zlistx_first(p->asks); a; a = zlistx_next(p->asks)) {
        if (strcmp(a->id, id) == 0) {
            answer_ask(a, m->result);
            return;
        }
    }
}

/* ---- what it says ---- */

static struct mcp_task *find_call(struct mcp_peer *p, struct slice id)
{
    for (struct mcp_task *t = zlistx_first(p->calls); t; t = zlistx_next(p->calls))
        if (slice_equal(t->call.id, id))
            return t;
    return NULL;
}

static void take_notification(struct mcp_peer *p, const struct mcp_message *m)
{
    struct slice id;
    bool is_cancel = strcmp(m->method, "notifications/cancelled") == 0;
    if (!is_cancel || (p->is_http && p->era == MCP_ERA_MODERN) ||
        !json_member(m->params, "requestId", &id))
        return;
    struct mcp_task *t = find_call(p, id);
    if (t)
        mcp_task_cancel(t);
}

/* The calls may be those of a session whose client is gone for good: who comes again could neither cancel nor wait for them. */
static size_t max_calls(const struct mcp_call *c)
{
    char name[64];
    struct slice raw;
    const struct mcp_tool *tool = NULL;
    if (strcmp(c->method, "tools/call") == 0 && json_member_string(c->params, "name", &raw) &&
        json_copy_string(raw, name, sizeof name))
        tool = mcp_find_tool(c->site->mcp, name);
    return tool && tool->flags & MCP_TOOL_ENDS ? MCP_MAX_CALLS + MCP_MORE_CALLS : MCP_MAX_CALLS;
}

static bool is_crowded(const struct mcp_peer *p, const struct mcp_call *c)
{
    zlistx_t *calls = p->mcp->calls;
    size_t n = 0;
    for (struct mcp_task *t = zlistx_first(calls); t; t = zlistx_next(calls))
        n += t->call.user == p->user && !t->is_quiet;
    return n > max_calls(c);
}

/* A model reads the results of tools, and seldom errors. */
static void refuse_crowd(struct mcp_call *c)
{
    struct err e = ERR_INIT;
    (void)err_set(&e, ERR_BUSY, "%d calls of yours are under way, the limit", MCP_MAX_CALLS);
    if (strcmp(c->method, "tools/call") == 0)
        mcp_call_tool_error(c, &e, "wait for one of them, cancel it, or interrupt_execution");
    else
        mcp_call_failed(c, &e);
}

static void take_request(struct mcp_peer *p, struct mcp_channel *channel,
                         const struct mcp_message *m)
{
    const struct mcp_method *method = mcp_method_find(m->method, p->era == MCP_ERA_MODERN);
    if (!method) {
        mcp_channel_error(channel, m->id, MCP_METHOD_NOT_FOUND, "there is no such method");
        return;
    }
    if (find_call(p, m->id)) {
        mcp_channel_error(channel, m->id, MCP_INVALID_REQUEST,
                          "a request with that id is under way");
        return;
    }
    struct mcp_task *t = mcp_task_new(p, channel, m);
    t->call.method = method->name;
    t->keep = method->keep;
    t->is_quiet = method->flags & MCP_METHOD_QUIET;
    if ((method->flags & MCP_METHOD_WORKS) && is_crowded(p, &t->call)) {
        refuse_crowd(&t->call);
        return;
    }
    mcp_task_watch(t);
    method->handle(&t->call);
}

void mcp_peer_take(struct mcp_peer *p, struct mcp_channel *channel, const struct mcp_message *m)
{
    switch (m->kind) {
    case MCP_REQUEST:
        take_request(p, channel, m);
        return;
    case MCP_NOTIFICATION:
        take_notification(p, m);
        return;
    case MCP_RESPONSE:
        take_response(p, m);
        return;
    }
}

/* ---- sockets and pipes: the first request says which era it is ---- */

static bool check_era(struct mcp_peer *p, struct mcp_channel *channel, const struct mcp_message *m)
{
    CLEANUP_BUF struct buf out = BUF_INIT(8192);
    bool is_handshake = strcmp(m->method, "initialize") == 0;
    if (p->era == MCP_ERA_OPEN) {
        bool is_modern = mcp_message_has_envelope(m) && !is_handshake;
        p->era = is_modern ? MCP_ERA_MODERN : MCP_ERA_LEGACY;
        p->version = is_modern ? MCP_2026_07_28 : MCP_UNSAID;
    }
    if (p->era == MCP_ERA_LEGACY) {
        if (!mcp_message_has_envelope(m))
            return true;
        mcp_channel_error(channel, m->id, MCP_INVALID_REQUEST,
                          "this connection began with initialize, and stays with that protocol");
        return false;
    }
    struct mcp_fault f = mcp_message_check(m, NULL);
    if (is_handshake) {
        f = (struct mcp_fault){ .code = MCP_UNSUPPORTED_VERSION,
                                .text = "this connection began with another protocol version" };
        struct slice version;
        if (!json_member_string(m->params, "protocolVersion", &version) ||
            !json_copy_string(version, f.requested, sizeof f.requested))
            f.requested[0] = '\0';
    }
    if (!f.code)
        return true;
    mcp_write_fault(&out, m->id, &f);
    channel->use->say(channel, &out, MCP_SAID_ANSWER, f.code);
    return false;
}

static void take_one(struct mcp_peer *p, struct mcp_channel *channel, struct slice text)
{
    struct mcp_message m;
    const char *why;
    int code = mcp_message_read(text, &m, &why);
    if (code && (m.kind != MCP_NOTIFICATION || m.id.len || code == MCP_INVALID_REQUEST))
        mcp_channel_error(channel, m.id, code, why);
    else if (!code && (m.kind != MCP_REQUEST || check_era(p, channel, &m)))
        mcp_peer_take(p, channel, &m);
}

static void take_batch(struct mcp_peer *p, struct mcp_channel *channel, struct slice text)
{
    size_t n = 0;
    for (struct json_iter it = json_iter(text); json_next(&it);)
        n++;
    if (p->era == MCP_ERA_MODERN || !mcp_version_has_batches(p->version) || n == 0 ||
        n > MCP_MAX_BATCH) {
        mcp_channel_error(channel, slice_of(NULL, 0), MCP_INVALID_REQUEST,
                          "one message at a time, please: no batches of this kind or size");
        return;
    }
    for (struct json_iter it = json_iter(text); json_next(&it);)
        take_one(p, channel, it.value);
}

static void refuse_broken(struct mcp_channel *channel, struct slice text)
{
    CLEANUP_BUF struct buf room = BUF_INIT(0);
    struct slice id;
    if (mcp_message_broken_id(text, &room, &id))
        mcp_channel_error(channel, id, MCP_INVALID_PARAMS, MCP_BROKEN_TEXT);
    else
        mcp_channel_error(channel, slice_of(NULL, 0), MCP_PARSE_ERROR,
                          "this is no JSON (or is more than 64 levels deep)");
}

void mcp_peer_take_text(struct mcp_peer *p, struct mcp_channel *channel, struct slice text)
{
    switch (mcp_message_shape(text)) {
    case MCP_OBJECT:
        take_one(p, channel, text);
        return;
    case MCP_BATCH:
        take_batch(p, channel, text);
        return;
    case MCP_NO_JSON:
        refuse_broken(channel, text);
        return;
    case MCP_NO_MESSAGE:
        break;
    }
    mcp_channel_error(channel, slice_of(NULL, 0), MCP_INVALID_REQUEST,
                      "a message has to be an object");
}
