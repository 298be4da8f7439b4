/* A call is in mcp->calls until it is answered, whether its client still listens (then it is in the peer's list, too) or not. */
#include "web/mcp_call.h"

#include <stdlib.h>

#include "base/json.h"
#include "kernelhub/stored.h"
#include "protocol/text_cut.h"
#include "web/mcp_task.h"

#define MAX_MESSAGE_BYTES  (MCP_MAX_RESULT_BYTES + 65536)
#define MAX_PROGRESS_BYTES 1024
#define MAX_PARAMS_BYTES   (1u << 20)
#define PROGRESS_MS        250
#define HEARTBEAT_MS       10000
#define OWN_CODES          1000 /* and the HTTP status */

/* ---- life ---- */

/* The id, and behind it the params, in memory of the call's own. */
static void copy_text(struct mcp_task *t, const struct mcp_message *m)
{
    struct mcp_message own = { .params = SLICE_LITERAL("{}"), .meta = SLICE_LITERAL("{}") };
    t->text = malloc(m->id.len + m->params.len);
    assert(t->text);
    memcpy(t->text, m->id.data, m->id.len);
    memcpy(t->text + m->id.len, m->params.data, m->params.len);
    own.params = slice_of(t->text + m->id.len, m->params.len);
    (void)json_member(own.params, "_meta", &own.meta); /* there may be none */
    t->call.id = slice_of(t->text, m->id.len);
    t->call.params = own.params;
    t->call.meta = own.meta;
    t->call.progress_token = mcp_message_progress_token(&own);
    t->call.capabilities = SLICE_LITERAL("{}");
    if (mcp_version_is_modern(t->call.version))
        (void)mcp_message_meta(&own, "clientCapabilities", &t->call.capabilities); /* checked */
    else if (t->peer->capabilities.len)
        t->call.capabilities = buf_slice(&t->peer->capabilities);
}

struct mcp_task *mcp_task_new(struct mcp_peer *p, struct mcp_channel *channel,
                              const struct mcp_message *m)
{
    struct mcp_task *t = calloc(1, sizeof *t);
    assert(t);
    *t = (struct mcp_task){ .peer = p,
                            .channel = channel,
                            .is_plain = p->is_plain,
                            .timer = -1,
                            .waiting = BUF_INIT(4 * MAX_PROGRESS_BYTES),
                            .answer = BUF_INIT(MAX_MESSAGE_BYTES),
                            .doing = "running" };
    t->call.site = p->mcp->site;
    t->call.user = p->user;
    t->call.version = p->version;
    copy_text(t, m);
    t->call.client = "mcp";
    t->call.begun_ms = t->said_ms = zclock_mono();
    t->place = zlistx_add_end(p->mcp->calls, t);
    t->peer_place = zlistx_add_end(p->calls, t);
    return t;
}

static struct loop *loop_of(const struct mcp_task *t)
{
    return hub_loop(t->call.site->hub);
}

static void stop_timer(struct mcp_task *t)
{
    if (t->timer >= 0)
        loop_timer_end(loop_of(t), t->timer);
    t->timer = -1;
}

/* Nobody listens any more. */
static void detach(struct mcp_task *t)
{
    stop_timer(t);
    if (t->peer)
        (void)zlistx_delete(t->peer->calls, t->peer_place); /* it is in there */
    if (!mcp_version_is_modern(t->call.version))            /* they are the peer's */
        t->call.capabilities = SLICE_LITERAL("{}");
    t->peer = NULL;
    t->channel = NULL;
}

void mcp_task_free(struct mcp_task *t)
{
    if (t->peer)
        (void)mcp_peer_forget_ask(t->peer, t); /* it has ended already */
    detach(t);
    (void)zlistx_delete(t->call.site->mcp->calls, t->place); /* it is in there */
    wait_cancel(t->wait);
    if (t->own_done)
        t->own_done(t->own);
    buf_done(&t->waiting);
    buf_done(&t->answer);
    free(t->text);
    free(t);
}

static void count(const struct mcp_task *t, const char *end)
{
    metric_counter_add(t->call.site->mcp->counter, t->call.method, end, 1);
}

void mcp_task_cancel(struct mcp_task *t)
{
    struct mcp_channel *channel = t->channel;
    if (t->call.is_cancelled)
        return;
    t->call.is_cancelled = true;
    count(t, "cancelled");
    mcp_asked_fn *asked = mcp_peer_forget_ask(t->peer, t);
    detach(t);
    channel->use->say(channel, NULL, MCP_SAID_ANSWER, MCP_SAID_NOTHING);
    if (t->call.site->is_draining)
        return;
    if (asked)
        asked(&t->call, slice_of(NULL, 0)); /* may free it */
    else if (t->on_cancel)
        t->on_cancel(&t->call, t->own); /* the same */
}

void mcp_call_wait(struct mcp_call *c, struct wait *w)
{
    if (w)
        mcp_task_of(c)->wait = w;
}

void mcp_call_waited(struct mcp_call *c)
{
    mcp_task_of(c)->wait = NULL;
}

void mcp_call_own(struct mcp_call *c, void *own, void (*on_cancel)(struct mcp_call *c, void *own),
                  void (*done)(void *own))
{
    struct mcp_task *t = mcp_task_of(c);
    t->own = own;
    t->on_cancel = on_cancel;
    t->own_done = done;
}

void *mcp_call_owned(const struct mcp_call *c)
{
    return ((const struct mcp_task *)c)->own;
}

/* ---- on the way ---- */

void mcp_call_notify(struct mcp_call *c, const char *method, struct slice params)
{
    struct mcp_task *t = mcp_task_of(c);
    CLEANUP_BUF struct buf out = BUF_INIT(MAX_PARAMS_BYTES);
    if (!t->channel)
        return;
    mcp_write_notification(&out, method, params);
    if (!out.failed)
        t->channel->use->say(t->channel, &out, MCP_SAID_NOTICE, 0);
}

bool mcp_call_wants_progress(const struct mcp_call *c)
{
    return c->progress_token.len && !c->is_cancelled;
}

static void say_progress(struct mcp_task *t, struct slice text)
{
    CLEANUP_BUF struct buf params = BUF_INIT(16 * MAX_PROGRESS_BYTES);
    t->said_ms = zclock_mono();
    buf_add_str(&params, "{\"progressToken\":");
    buf_add_slice(&params, t->call.progress_token);
    buf_addf(&params, ",\"progress\":%llu,\"message\":", (unsigned long long)++t->n_said);
    json_quote(&params, text);
    buf_add_char(&params, '}');
    mcp_call_notify(&t->call, "notifications/progress", buf_slice(&params));
}

static void say_waiting(struct mcp_task *t)
{
    say_progress(t, buf_slice(&t->waiting));
    buf_reset(&t->waiting);
}

static void arm(struct mcp_task *t);

static int on_time(struct loop *loop, int timer, void *arg)
{
    struct mcp_task *t = arg;
    char text[128];
    int64_t now_ms = zclock_mono();
    t->timer = -1;
    if (t->waiting.len) {
        say_waiting(t);
    } else if (now_ms - t->said_ms >= HEARTBEAT_MS) {
        (void)snprintf(text, sizeof text, "%s %lld s", t->doing,
                       (long long)(now_ms - t->call.begun_ms) / 1000); /* fits */
        say_progress(t, slice_str(text));
    }
    arm(t);
    return 0;
}

static void arm(struct mcp_task *t)
{
    int64_t due_ms = t->said_ms + (t->waiting.len ? PROGRESS_MS : HEARTBEAT_MS) - zclock_mono();
    if (!mcp_call_wants_progress(&t->call) || t->is_quiet)
        return;
    stop_timer(t);
    t->timer = loop_timer(loop_of(t), due_ms > 0 ? (size_t)due_ms : 0, on_time, t);
}

void mcp_task_watch(struct mcp_task *t)
{
    arm(t);
}

void mcp_call_doing(struct mcp_call *c, const char *what)
{
    mcp_task_of(c)->doing = what;
}

/* The last part of it that fits, from the beginning of a character on. */
static struct slice last_part(struct slice text)
{
    size_t from = text.len > MAX_PROGRESS_BYTES ? text.len - MAX_PROGRESS_BYTES : 0;
    while (from && from < text.len && ((unsigned char)text.data[from] & 0xc0) == 0x80)
        from++;
    return slice_of(text.data + from, text.len - from);
}

void mcp_call_progress(struct mcp_call *c, struct slice text)
{
    struct mcp_task *t = mcp_task_of(c);
    if (!mcp_call_wants_progress(c) || !text.len)
        return;
    bool is_armed = t->waiting.len > 0;
    buf_reset(&t->waiting);
    buf_add_slice(&t->waiting, last_part(text));
    if (t->n_said == 0 || zclock_mono() - t->said_ms >= PROGRESS_MS) {
        say_waiting(t);
        arm(t);
    } else if (!is_armed) {
        arm(t);
    }
}

bool mcp_call_wants_log(const struct mcp_call *c, const char *level)
{
    const struct mcp_task *t = (const struct mcp_task *)c;
    struct slice said;
    int wanted = -1;
    if (!t->peer)
        return false;
    if (!mcp_version_is_modern(c->version))
        wanted = t->peer->log_level;
    else if (json_member_string(c->meta, MCP_META_PREFIX "logLevel", &said))
        wanted = mcp_peer_log_level(said);
    return wanted >= 0 && mcp_peer_log_level(slice_str(level)) >= wanted;
}

void mcp_call_log(struct mcp_call *c, const char *level, struct slice data)
{
    CLEANUP_BUF struct buf params = BUF_INIT(MAX_PARAMS_BYTES);
    if (!mcp_call_wants_log(c, level))
        return;
    buf_addf(&params, "{\"level\":\"%s\",\"logger\":\"kernelhub\",\"data\":", level);
    buf_add_slice(&params, data);
    buf_add_char(&params, '}');
    if (!params.failed)
        mcp_call_notify(c, "notifications/message", buf_slice(&params));
}

bool mcp_call_wants_structured(const struct mcp_call *c)
{
    const struct mcp_task *t = (const struct mcp_task *)c;
    return mcp_version_has_structured(c->version) && !t->is_plain &&
           config_flag(c->site->config, CONFIG_MCP_STRUCTURED);
}

void mcp_call_hang_up(struct mcp_call *c)
{
    struct mcp_channel *channel = mcp_task_of(c)->channel;
    if (channel && channel->use->hang_up && !mcp_version_is_modern(c->version))
        channel->use->hang_up(channel);
}

/* ---- its answer ---- */

static void answer(struct mcp_task *t, struct buf *message, int code)
{
    struct mcp_channel *channel = t->channel;
    if (channel)
        count(t, code == 0 ? "ok" : "error");
    mcp_task_free(t); /* the channel may free the peer */
    if (channel)
        channel->use->say(channel, message, MCP_SAID_ANSWER, code);
}

static void on_stored(void *arg, const struct err *e, struct slice json)
{
    struct mcp_task *t = arg;
    t->wait = NULL;
    t->is_stored = false;
    if (e) {
        mcp_call_tool_error(&t->call, e, "what was asked for may have been done");
        return;
    }
    CLEANUP_BUF struct buf out = t->answer;
    t->answer = (struct buf)BUF_INIT(0);
    answer(t, &out, 0);
}

static void finish(struct mcp_call *c, const char *type, struct buf *object)
{
    struct mcp_task *t = mcp_task_of(c);
    CLEANUP_BUF struct buf out = BUF_INIT(MAX_MESSAGE_BYTES);
    if (object->failed) {
        mcp_call_error(c, MCP_INTERNAL_ERROR, "the result would be too large", slice_of(NULL, 0));
        return;
    }
    if (t->channel)
        mcp_write_result(t->is_stored ? &t->answer : &out, c->version, &MCP_SERVER, c->id, type,
                         t->keep, buf_slice(object));
    if (t->is_stored)
        mcp_call_wait(c, hub_when_stored(c->site->hub, on_stored, t));
    else
        answer(t, &out, 0);
}

void mcp_call_result(struct mcp_call *c, struct buf *object)
{
    finish(c, "complete", object);
}

void mcp_call_input_required(struct mcp_call *c, struct buf *object)
{
    mcp_task_of(c)->keep = MCP_KEEP_UNSAID;
    finish(c, "input_required", object);
}

void mcp_call_error(struct mcp_call *c, int code, const char *text, struct slice data)
{
    struct mcp_task *t = mcp_task_of(c);
    CLEANUP_BUF struct buf out = BUF_INIT(MAX_PARAMS_BYTES);
    mcp_write_error(&out, c->id, code, text, data);
    answer(t, &out, code);
}

void mcp_call_tool_error(struct mcp_call *c, const struct err *e, const char *hint)
{
    CLEANUP_BUF struct buf text = BUF_INIT(8192);
    CLEANUP_BUF struct buf out = BUF_INIT(65536);
    buf_addf(&text, "error: %s (%s)", e->text,
             err_name(e->code == ERR_NONE ? ERR_INTERNAL : e->code));
    mcp_task_of(c)->is_stored = false; /* an error promises nothing */
    if (hint)
        buf_addf(&text, "\n%s", hint);
    buf_add_str(&out, "{\"content\":[{\"type\":\"text\",\"text\":");
    json_quote(&out, buf_slice(&text));
    buf_add_str(&out, "}],\"isError\":true}");
    mcp_call_result(c, &out);
}

void mcp_call_failed(struct mcp_call *c, const struct err *e)
{
    CLEANUP_BUF struct buf data = BUF_INIT(128);
    enum err_code code = e->code == ERR_NONE ? ERR_INTERNAL : e->code;
    int rpc = code == ERR_INVALID    ? MCP_INVALID_PARAMS
              : code == ERR_INTERNAL ? MCP_INTERNAL_ERROR
                                     : OWN_CODES + err_http(code);
    buf_addf(&data, "{\"code\":\"%s\"}", err_name(code));
    mcp_call_error(c, rpc, e->text, buf_slice(&data));
}

void mcp_call_no_resource(struct mcp_call *c, struct slice uri)
{
    CLEANUP_BUF struct buf data = BUF_INIT(65536);
    buf_add_str(&data, "{\"uri\":");
    json_quote(&data, uri);
    buf_add_char(&data, '}');
    mcp_call_error(c, mcp_version_is_modern(c->version) ? MCP_INVALID_PARAMS : MCP_NO_RESOURCE,
                   "there is no such resource", data.failed ? slice_of(NULL, 0) : buf_slice(&data));
}

/* ---- when the service stops ---- */

void mcp_task_dismiss(struct mcp_task *t)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1024);
    struct mcp_channel *channel = t->channel;
    struct slice nothing = SLICE_LITERAL("{}");
    if (!channel)
        return;
    if (t->is_quiet)
        mcp_write_result(&out, t->call.version, &MCP_SERVER, t->call.id, "complete",
                         MCP_KEEP_UNSAID, nothing);
    else
        mcp_write_error(&out, t->call.id, OWN_CODES + err_http(ERR_UNAVAILABLE),
                        "the service is stopping; what was accepted runs on", slice_of(NULL, 0));
    t->call.is_cancelled = true;
    (void)mcp_peer_forget_ask(t->peer, t); /* its handler goes on, as far as that goes */
    detach(t);
    channel->use->say(channel, &out, MCP_SAID_ANSWER, 0);
}
