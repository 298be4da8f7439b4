#include "cmd/bridge_internal.h"

#include <czmq.h>
#include <stdio.h>

#include "base/json.h"
#include "protocol/mcp_message.h"

#define MAX_CALLS  256
#define MAX_BYTES  (128u << 20) /* of all calls that are under way */
#define FINISH_MS  500          /* what runs when the client's lines end may still be answered */
#define GOODBYE_MS 1000         /* what is cancelled is told so */
#define POLL_MS    1000

/* ---- to the client ---- */

void bridge_say(struct bridge *b, struct slice text)
{
    bridge_output_add(&b->out, text);
}

void bridge_say_error(struct bridge *b, struct slice id, const struct err *e)
{
    CLEANUP_BUF struct buf line = BUF_INIT(BRIDGE_MAX_LINE);

    bridge_message_error(&line, id, e);
    bridge_say(b, buf_slice(&line));
}

void bridge_log(const struct bridge_call *c, const struct err *e)
{
    fprintf(stderr, "kernelhub mcp: %.*s: %s\n",
            (int)(c->message.method.len < 100 ? c->message.method.len : 100),
            c->message.method.len ? c->message.method.data : "", e->text);
}

/* ---- from the client ---- */

static void no_json(struct bridge *b, const char *why)
{
    CLEANUP_BUF struct buf line = BUF_INIT(1024);

    bridge_message_no_json(&line, why);
    bridge_say(b, buf_slice(&line));
}

static void refuse_broken(struct bridge *b, struct slice line)
{
    CLEANUP_BUF struct buf room = BUF_INIT(0);
    CLEANUP_BUF struct buf answer = BUF_INIT(4096);
    struct slice id;

    if (!mcp_message_broken_id(line, &room, &id)) {
        no_json(b, "that line is no JSON (UTF-8, one message a line, at most 64 levels)");
        return;
    }
    mcp_write_error(&answer, id, MCP_INVALID_PARAMS, MCP_BROKEN_TEXT, slice_of(NULL, 0));
    bridge_say(b, buf_slice(&answer));
}

/* A connection stays with its era, as one over a WebSocket does: calls behind such a handshake would lack what a modern one says. */
static bool refuse_handshake(struct bridge *b, const struct bridge_message *m)
{
    CLEANUP_BUF struct buf answer = BUF_INIT(4096);
    struct mcp_fault f = { .code = MCP_UNSUPPORTED_VERSION,
                           .text = "this connection began with another protocol version" };
    struct slice version;

    if (b->era != BRIDGE_MODERN || m->kind != BRIDGE_REQUEST || !bridge_message_is(m, "initialize"))
        return false;
    if (!json_member_string(m->params, "protocolVersion", &version) ||
        !json_copy_string(version, f.requested, sizeof f.requested))
        f.requested[0] = '\0';
    mcp_write_fault(&answer, m->id, &f);
    bridge_say(b, buf_slice(&answer));
    return true;
}

static bool is_with_service(const struct bridge_call *c)
{
    return c->curl || c->is_resumed;
}

/* Over HTTP a modern request is cancelled by leaving it; a legacy one by saying so, unless it has not been sent. True: nothing is left to be said. */
static bool cancel(struct bridge *b, const struct bridge_message *m)
{
    struct slice id = slice_of(NULL, 0);
    struct bridge_call *c;

    if (!bridge_message_is(m, "notifications/cancelled") ||
        !json_member(m->params, "requestId", &id) || !(c = bridge_call_find(b, id)))
        return bridge_message_is(m, "notifications/cancelled") && bridge_is_modern(b, m);
    if (!c->is_modern && bridge_message_is(&c->message, "initialize"))
        return false; /* that cannot be */
    if (c->is_modern || !is_with_service(c)) {
        bridge_call_free(c);
        return true;
    }
    c->is_cancelled = true;
    return false;
}

static void on_line(void *arg, struct slice line)
{
    struct bridge *b = arg;
    struct bridge_message m;
    struct err e = ERR_INIT;

    if (!line.data) {
        no_json(b, "the message is longer than 32 MiB");
        return;
    }
    if (!bridge_message_read(line, &m)) {
        refuse_broken(b, line);
        return;
    }
    if (cancel(b, &m) || refuse_handshake(b, &m))
        return;
    if (b->n_calls < MAX_CALLS && b->n_bytes + line.len <= MAX_BYTES) {
        bridge_on_new(bridge_call_add(b, BRIDGE_FOR_CLIENT, line, false));
        return;
    }
    (void)err_set(&e, ERR_RATE, "%zu requests are under way, with %zu bytes: that is the most",
                  b->n_calls, b->n_bytes);
    if (m.kind == BRIDGE_REQUEST)
        bridge_say_error(b, m.id, &e);
    else
        fprintf(stderr, "kernelhub mcp: a message was passed over: %s\n", e.text);
}

/* ---- calls ---- */

/* What cancels a request goes behind it, also when that is long and still on its way. */
static bool is_in_turn(struct bridge *b, const struct bridge_call *c)
{
    struct slice id;
    const struct bridge_call *other;

    return !bridge_message_is(&c->message, "notifications/cancelled") ||
           !json_member(c->message.params, "requestId", &id) ||
           !(other = bridge_call_find(b, id)) || !other->curl || bridge_call_is_sent(other);
}

/* Sends what may be sent. True: the list is another now. */
static bool send_one(struct bridge *b, struct bridge_call *c)
{
    struct err e = ERR_INIT;
    bool is_ready;

    int rc = bridge_session_ready(c, &is_ready, &e);
    if (rc == 0 && !is_ready)
        return true;
    if (rc == 0)
        rc = bridge_call_start(c, &e);
    if (rc < 0)
        bridge_call_fail(c, &e);
    return rc < 0;
}

static void send_all(struct bridge *b)
{
    int64_t now_ms = zclock_mono();

    for (struct bridge_call *c = b->calls; c;) {
        bool waits = !c->curl && now_ms >= c->not_before_ms && is_in_turn(b, c);
        if (waits && send_one(b, c))
            c = b->calls;
        else if (c->is_barrier)
            return;
        else
            c = c->next;
    }
}

static void end_some(struct bridge *b)
{
    const CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(b->multi, &left))) {
        struct bridge_call *c = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &c);
        bridge_call_ended(c, code);
    }
}

static void go_on(struct bridge *b)
{
    for (struct bridge_call *c = b->calls; c; c = c->next)
        bridge_call_go_on(c);
}

/* ---- the end ---- */

static void say_cancelled(struct bridge *b, struct slice id)
{
    CLEANUP_BUF struct buf text = BUF_INIT(BRIDGE_MAX_LINE);

    buf_add_str(
        &text,
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":");
    buf_add_slice(&text, id);
    buf_add_str(&text, ",\"reason\":\"the client has gone\"}}");
    (void)bridge_call_add(b, BRIDGE_AGAIN, buf_slice(&text), false);
}

static struct bridge_call *last_call(const struct bridge *b)
{
    struct bridge_call *c = b->calls;

    while (c && c->next)
        c = c->next;
    return c;
}

/* A modern request is cancelled by being left, a legacy one is told so. */
static void begin_to_cancel(struct bridge *b)
{
    struct bridge_call *last = last_call(b), *c = b->calls;
    bool is_told = b->state == BRIDGE_OPEN;

    b->stage = BRIDGE_CANCELS;
    b->end_ms = zclock_mono() + GOODBYE_MS;
    for (bool more = c != NULL; more;) {
        struct bridge_call *next = c->next;
        more = c != last;
        if (is_told && c->purpose == BRIDGE_FOR_CLIENT && is_with_service(c) && !c->is_modern &&
            c->message.kind == BRIDGE_REQUEST) {
            c->is_cancelled = true;
            say_cancelled(b, c->message.id);
        } else if (c->purpose != BRIDGE_GOODBYE) {
            bridge_call_free(c);
        }
        c = next;
    }
}

static bool has_any(const struct bridge *b, enum bridge_purpose purpose)
{
    for (const struct bridge_call *c = b->calls; c; c = c->next)
        if (c->purpose == purpose)
            return true;
    return false;
}

static void begin_to_finish(struct bridge *b)
{
    if (b->stage != BRIDGE_RUNS)
        return;
    b->stage = BRIDGE_FINISHES;
    b->end_ms = zclock_mono() + FINISH_MS;
}

/* Goes from stage to stage. False: everything has ended, or has to. */
static bool goes_on(struct bridge *b)
{
    bool is_late = b->stage != BRIDGE_RUNS && zclock_mono() >= b->end_ms;

    if (b->in.has_ended || b->out.is_broken)
        begin_to_finish(b);
    if (b->stage == BRIDGE_FINISHES &&
        (is_late || b->out.is_broken || !has_any(b, BRIDGE_FOR_CLIENT)))
        begin_to_cancel(b);
    else if (b->stage == BRIDGE_CANCELS && is_late)
        return false;
    if (b->stage != BRIDGE_CANCELS || has_any(b, BRIDGE_AGAIN))
        return true;
    if (b->session[0]) {
        bridge_say_goodbye(b);
        b->session[0] = '\0';
    }
    return has_any(b, BRIDGE_GOODBYE) || (bridge_output_pending(&b->out) && !b->out.is_broken);
}

/* ---- the loop ---- */

static int wait_ms(const struct bridge *b)
{
    int64_t now_ms = zclock_mono(), due_ms = now_ms + POLL_MS;

    if (b->stage != BRIDGE_RUNS && b->end_ms < due_ms)
        due_ms = b->end_ms;
    for (const struct bridge_call *c = b->calls; c; c = c->next)
        if (!c->curl && c->not_before_ms > now_ms && c->not_before_ms < due_ms)
            due_ms = c->not_before_ms;
    return due_ms > now_ms ? (int)(due_ms - now_ms) : 0;
}

static int wait_for_something(struct bridge *b, struct err *e)
{
    struct curl_waitfd fds[3] = { { .fd = b->settings->signal_fd, .events = CURL_WAIT_POLLIN } };
    struct curl_waitfd *in = NULL, *out = NULL;
    unsigned n = 1;

    if (b->stage == BRIDGE_RUNS) {
        in = &fds[n++];
        *in = (struct curl_waitfd){ .fd = b->in.fd, .events = CURL_WAIT_POLLIN };
    }
    if (bridge_output_pending(&b->out) && !b->out.is_broken) {
        out = &fds[n++];
        *out = (struct curl_waitfd){ .fd = b->out.fd, .events = CURL_WAIT_POLLOUT };
    }
    if (curl_multi_poll(b->multi, fds, n, wait_ms(b), NULL) != CURLM_OK)
        return err_set(e, ERR_INTERNAL, "libcurl cannot wait");
    if (fds[0].revents && b->stage != BRIDGE_CANCELS)
        begin_to_cancel(b);
    if (in && in->revents && b->stage == BRIDGE_RUNS)
        bridge_input_read(&b->in, on_line, b);
    if (out && out->revents) {
        bridge_output_write(&b->out);
        go_on(b);
    }
    return 0;
}

static int run(struct bridge *b, struct err *e)
{
    int running;

    for (;;) {
        if (curl_multi_perform(b->multi, &running) != CURLM_OK)
            return err_set(e, ERR_INTERNAL, "libcurl does not go on");
        end_some(b);
        if (!goes_on(b))
            return 0;
        send_all(b);
        if (wait_for_something(b, e) < 0)
            return -1;
    }
}

static void done(struct bridge *b)
{
    while (b->calls)
        bridge_call_free(b->calls);
    (void)curl_multi_cleanup(b->multi);
    bridge_input_done(&b->in);
    bridge_output_done(&b->out);
    buf_done(&b->hello);
    buf_done(&b->welcome);
    for (size_t i = 0; i < BRIDGE_MAX_KEPT; i++)
        buf_done(&b->kept[i]);
}

int bridge_run(const struct bridge_settings *s, struct err *e)
{
    struct bridge b = { .settings = s, .multi = curl_multi_init() };

    if (!b.multi)
        return err_set(e, ERR_INTERNAL, "libcurl does not start");
    bridge_input_init(&b.in, s->in_fd);
    bridge_output_init(&b.out, s->out_fd);
    buf_init(&b.hello, BRIDGE_MAX_LINE);
    buf_init(&b.welcome, BRIDGE_MAX_LINE);
    for (size_t i = 0; i < BRIDGE_MAX_KEPT; i++)
        buf_init(&b.kept[i], BRIDGE_MAX_LINE);
    int rc = run(&b, e);
    done(&b);
    return rc;
}
