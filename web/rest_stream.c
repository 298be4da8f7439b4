/* WS /api/v1/stream: many executions over one socket (docs/stream.md).
 *
 *     message ──► stream_op_read ──► a verb of the hub, as a call ──► ack or rejected
 *                                    execute, attach: then a subscription gives the events */
#include <stdlib.h>

#include "base/json.h"
#include "kernelhub/execution.h"
#include "kernelhub/session.h"
#include "kernelhub/stored.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"
#include "web/stop.h"
#include "web/stream_op.h"
#include "web/subscription.h"
#include "web/websocket.h"

#define MAX_SUBSCRIPTIONS 256 /* over one socket */
#define MAX_CALLS         64  /* of one socket that wait for the hub's answer */
#define MAX_ANSWER_BYTES  65536

struct stream_socket {
    struct request *request; /* for its site, user and id */
    struct websocket *socket;
    struct subscriptions *subscriptions;
    zlistx_t *calls;
};

/* An op that waits for its answer. An execute with on_disconnect "interrupt" outlives its socket until the hub has said under
 * which id it was accepted; `stream` is NULL then, and it stands in site->orphans. */
struct call {
    struct stream_socket *stream;
    struct site *site;
    struct user *user;
    enum stream_op_kind kind;
    char id[STREAM_OP_ID_BYTES + 1];
    uint64_t after;
    bool interrupt_on_disconnect;
    struct wait *wait;
    struct buf answer; /* that has to be committed before it may be said */
    void *place;       /* in stream->calls or site->orphans */
};

/* ---- what the server says ---- */

/* {"type":…,"id":…, then the members of the object `json` */
static void answer(struct stream_socket *s, const char *type, struct slice id, struct slice json)
{
    CLEANUP_BUF struct buf out = BUF_INIT(MAX_ANSWER_BYTES);
    buf_addf(&out, "{\"type\":\"%s\",\"id\":%.*s", type, (int)id.len, id.data);
    if (json.len > 2) {
        buf_add_char(&out, ',');
        buf_add_slice(&out, slice_of(json.data + 1, json.len - 1));
    } else {
        buf_add_char(&out, '}');
    }
    websocket_text(s->socket, buf_slice(&out));
}

static void reject(struct stream_socket *s, struct slice id, const struct err *e)
{
    CLEANUP_BUF struct buf out = BUF_INIT(MAX_ANSWER_BYTES);
    buf_addf(&out, "{\"type\":\"rejected\",\"id\":%.*s,\"error\":", (int)id.len, id.data);
    reply_write_error(s->request, e, NULL, &out);
    buf_add_char(&out, '}');
    websocket_text(s->socket, buf_slice(&out));
}

static void reject_with(struct stream_socket *s, struct slice id, enum err_code code,
                        const char *text)
{
    struct err e = ERR_INIT;
    (void)err_set(&e, code, "%s", text);
    reject(s, id, &e);
}

static void ack_target(struct stream_socket *s, struct slice id, const struct subscription *target)
{
    CLEANUP_BUF struct buf json = BUF_INIT(MAX_ANSWER_BYTES);
    buf_add_char(&json, '{');
    subscription_write_target(target, &json);
    buf_add_char(&json, '}');
    answer(s, "ack", id, buf_slice(&json));
}

/* ---- calls ---- */

static void call_free(struct call *c)
{
    zlistx_t *list = c->stream ? c->stream->calls : c->site->orphans;
    (void)zlistx_delete(list, c->place); /* it is in there */
    wait_cancel(c->wait);
    buf_done(&c->answer);
    free(c);
}

static bool read_execution_id(struct slice json, struct uuid *ret)
{
    struct slice id;
    return json_member_string(json, "execution_id", &id) && uuid_parse(id, ret);
}

static void start_following(struct call *c, struct slice json)
{
    struct uuid id;
    struct stream_socket *s = c->stream;
    if (!read_execution_id(json, &id)) {
        reject_with(s, slice_str(c->id), ERR_INTERNAL, "it was accepted without an id");
    } else if (subscription_find(s->subscriptions, &id, NULL)) {
        reject_with(s, slice_str(c->id), ERR_CONFLICT, "this socket follows it already");
    } else {
        answer(s, "ack", slice_str(c->id), json);
        (void)subscription_of_execution(s->subscriptions, c->id, &id, c->after,
                                        c->interrupt_on_disconnect); /* the socket keeps it */
    }
}

static void on_stored(void *arg, const struct err *e, struct slice json)
{
    struct call *c = arg;
    c->wait = NULL;
    if (e)
        reject(c->stream, slice_str(c->id), e);
    else
        answer(c->stream, "ack", slice_str(c->id), buf_slice(&c->answer));
    call_free(c);
}

/* NULL: the answer has been, and the call is gone. */
static void call_wait(struct call *c, struct wait *w)
{
    if (w)
        c->wait = w;
}

static void on_answer(void *arg, const struct err *e, struct slice json)
{
    struct call *c = arg;
    struct uuid id;
    c->wait = NULL;
    if (!c->stream) {
        if (!e && read_execution_id(json, &id))
            stop_unwatched(c->site, c->user, &id);
    } else if (e) {
        reject(c->stream, slice_str(c->id), e);
    } else if (c->kind == OP_EXECUTE || c->kind == OP_ATTACH) {
        start_following(c, json);
    } else if ((c->kind == OP_CANCEL || c->kind == OP_INTERRUPT) && stop_is_end(json)) {
        buf_add_slice(&c->answer, json);
        call_wait(c, hub_when_stored(c->site->hub, on_stored, c));
        return;
    } else {
        answer(c->stream, "ack", slice_str(c->id), json);
    }
    call_free(c);
}

static struct call *call_new(struct stream_socket *s, const struct stream_op *op)
{
    struct call *c = calloc(1, sizeof *c);
    assert(c);
    c->stream = s;
    c->site = s->request->site;
    c->user = s->request->user;
    c->kind = op->kind;
    c->after = (uint64_t)op->after;
    buf_init(&c->answer, MAX_ANSWER_BYTES);
    memcpy(c->id, op->id.data, op->id.len);
    c->place = zlistx_add_end(s->calls, c);
    return c;
}

/* ---- ops ---- */

static bool check_room(struct stream_socket *s, const struct stream_op *op)
{
    struct err e = ERR_INIT;
    size_t n_calls = zlistx_size(s->calls);
    bool follows = op->kind == OP_EXECUTE || op->kind == OP_ATTACH;
    if (n_calls >= MAX_CALLS)
        (void)err_set(&e, ERR_QUOTA, "%d ops of this socket wait for their answers, the limit",
                      MAX_CALLS);
    else if (follows && subscriptions_count(s->subscriptions) + n_calls >= MAX_SUBSCRIPTIONS)
        (void)err_set(&e, ERR_QUOTA, "this socket follows %d executions and sessions, the limit",
                      MAX_SUBSCRIPTIONS);
    else
        return true;
    reject(s, op->id, &e);
    return false;
}

static void do_execute(struct stream_socket *s, const struct stream_op *op)
{
    const struct execution_request *wanted = &op->execute.wanted;
    struct uuid id;
    if (wanted->execution_id && uuid_parse(slice_str(wanted->execution_id), &id) &&
        subscription_find(s->subscriptions, &id, NULL)) {
        reject_with(s, op->id, ERR_CONFLICT, "this socket follows it already");
        return;
    }
    struct call *c = call_new(s, op);
    c->interrupt_on_disconnect = wanted->interrupt_on_disconnect;
    call_wait(c, execution_submit(c->site->hub, c->user, wanted, on_answer, c));
}

static void attach_session(struct stream_socket *s, const struct stream_op *op)
{
    char id[STREAM_OP_ID_BYTES + 1];
    if (!session_find(s->request->site->hub, s->request->user, op->session)) {
        reject_with(s, op->id, ERR_NOT_FOUND, "there is no such session");
        return;
    }
    (void)snprintf(id, sizeof id, "%.*s", (int)op->id.len, op->id.data); /* it fits */
    ack_target(s, op->id,
               subscription_of_session(s->subscriptions, id, op->session, (uint64_t)op->after));
}

static void do_attach(struct stream_socket *s, const struct stream_op *op)
{
    if (subscription_find(s->subscriptions, &op->execution_id, op->session)) {
        reject_with(s, op->id, ERR_CONFLICT, "this socket follows it already");
    } else if (op->session) {
        attach_session(s, op);
    } else {
        struct call *c = call_new(s, op);
        call_wait(c, execution_status(c->site->hub, c->user, &op->execution_id, on_answer, c));
    }
}

static void do_detach(struct stream_socket *s, const struct stream_op *op)
{
    struct subscription *target =
        subscription_find(s->subscriptions, &op->execution_id, op->session);
    if (!target) {
        reject_with(s, op->id, ERR_NOT_FOUND, "this socket does not follow it");
        return;
    }
    ack_target(s, op->id, target);
    subscription_end(target);
}

static void interrupt_session(struct stream_socket *s, const struct stream_op *op)
{
    CLEANUP_BUF struct buf json = BUF_INIT(MAX_ANSWER_BYTES);
    struct err e = ERR_INIT;
    struct hub *hub = s->request->site->hub;
    struct session *session = session_find(hub, s->request->user, op->session);
    if (!session) {
        reject_with(s, op->id, ERR_NOT_FOUND, "there is no such session");
    } else if (session_interrupt(hub, session, &e) < 0) {
        reject(s, op->id, &e);
    } else {
        buf_add_str(&json, "{\"session\":");
        json_quote_str(&json, op->session);
        buf_add_char(&json, '}');
        answer(s, "ack", op->id, buf_slice(&json));
    }
}

static void do_interrupt(struct stream_socket *s, const struct stream_op *op)
{
    if (op->session) {
        interrupt_session(s, op);
        return;
    }
    struct call *c = call_new(s, op);
    call_wait(c, execution_interrupt(c->site->hub, c->user, &op->execution_id, on_answer, c));
}

static void do_input(struct stream_socket *s, const struct stream_op *op)
{
    struct call *c = call_new(s, op);
    call_wait(c,
              execution_input(c->site->hub, c->user, &op->execution_id, op->value, on_answer, c));
}

static void do_cancel(struct stream_socket *s, const struct stream_op *op)
{
    struct call *c = call_new(s, op);
    call_wait(c, execution_cancel(c->site->hub, c->user, &op->execution_id, on_answer, c));
}

static void do_ping(struct stream_socket *s, const struct stream_op *op)
{
    answer(s, "pong", op->id, slice_of(NULL, 0));
}

static void on_text(void *arg, struct slice text)
{
    static void (*const DO[])(struct stream_socket * s, const struct stream_op *op) = {
        [OP_EXECUTE] = do_execute,     [OP_ATTACH] = do_attach, [OP_DETACH] = do_detach,
        [OP_INTERRUPT] = do_interrupt, [OP_INPUT] = do_input,   [OP_CANCEL] = do_cancel,
        [OP_PING] = do_ping,
    };
    struct stream_socket *s = arg;
    CLEANUP_STREAM_OP struct stream_op op;
    struct err e = ERR_INIT;
    if (stream_op_read(&op, text, s->request->site->config, &e) < 0)
        reject(s, op.id, &e);
    else if (check_room(s, &op))
        DO[op.kind](s, &op);
}

/* ---- life ---- */

static void *begin(struct websocket *w, struct request *r)
{
    struct stream_socket *s = calloc(1, sizeof *s);
    assert(s);
    *s = (struct stream_socket){ .request = r, .socket = w };
    s->subscriptions = subscriptions_new(w, r);
    s->calls = zlistx_new();
    return s;
}

static void on_room(void *arg)
{
    const struct stream_socket *s = arg;
    subscriptions_give(s->subscriptions);
}

static void orphan(struct call *c)
{
    (void)zlistx_delete(c->stream->calls, c->place); /* it is in there */
    c->stream = NULL;
    c->place = zlistx_add_end(c->site->orphans, c); /* on_answer interrupts and frees */
}

/* Executions that said so end with their socket, unless it is we who leave. */
static void on_end(void *arg, bool client_left)
{
    struct stream_socket *s = arg;
    struct call *c;
    struct uuid id;
    while ((c = zlistx_first(s->calls)) != NULL) {
        if (c->interrupt_on_disconnect && client_left)
            orphan(c);
        else
            call_free(c);
    }
    while (client_left && subscriptions_take_interrupted(s->subscriptions, &id))
        stop_unwatched(s->request->site, s->request->user, &id);
    subscriptions_free(s->subscriptions);
    zlistx_destroy(&s->calls);
    free(s);
}

void rest_stream(struct request *r)
{
    static const struct websocket_use USE = {
        .begin = begin, .on_text = on_text, .on_room = on_room, .on_end = on_end
    };
    websocket_accept(r, &USE);
}

void rest_stream_free_all(struct site *site)
{
    struct call *c;
    while (site->orphans && (c = zlistx_first(site->orphans)) != NULL)
        call_free(c);
}
