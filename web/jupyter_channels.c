/* /api/kernels/ID/channels: a WebSocket between a Jupyter client and a kernel.
 *
 *     kernel ──► front ──on_message──► waiting ──on_room──► websocket      (each at its client's own speed)
 *     websocket ──on_text, on_binary──► kernel_ws_read ──► front_send
 *
 * What a client cannot take is made to fit it (kernel_peer.h, protocol/jupyter_fit.h).
 *
 * The bounds: over MAX_WAITING_BYTES here, or MAX_USERS_BYTES in all channels of its user, what the kernel publishes is left out for a
 * client that is behind, and a line on its stderr says so once there is room again; all of it is in the history. Replies are few and
 * wait; over twice a bound the socket is closed. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/front.h"
#include "kernelhub/jupyter.h"
#include "protocol/jupyter_fit.h"
#include "web/jupyter_api.h"
#include "web/kernel_peer.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/websocket.h"
#include "web/ws_handshake.h"

#define MAX_WAITING_BYTES (32u << 20)
#define MAX_USERS_BYTES   (128u << 20)
#define FEW_WAITING_BYTES (1u << 20)
#define HOLD_MS           9000 /* for the kernel; clients wait 10 s for their 101 */
#define LARGE_BYTES       (1u << 20)
#define MAX_FRAME_BYTES   (160u << 20) /* a kernel's message, and what is written around it */

struct waiting {
    bool is_binary;
    size_t len;
    char *data;
};

struct channels {
    struct websocket *socket;
    struct request *request;
    struct front *front; /* NULL: the session has ended */
    enum kernel_ws protocol;
    struct kernel_peer peer;
    zlistx_t *waiting; /* struct waiting, owned */
    size_t waiting_bytes;
    size_t given_bytes; /* may wait in the socket; both count for the user */
    uint64_t n_left_out, n_nonsense;
    bool said_no_buffers, said_too_long;
    bool is_full;             /* nothing more is taken: what waits is sent, then it closes */
    enum ws_close close_code; /* JupyterLab comes again after 1012, and not after 1000 */
};

static void waiting_free(void **p)
{
    struct waiting *w = *p;
    free(w->data);
    free(w);
    *p = NULL;
}

/* The socket has room: next to nothing of what it was given waits in there. */
static void forget_given(struct channels *c)
{
    c->request->user->channels_bytes -= c->given_bytes;
    c->given_bytes = 0;
}

static void give(struct channels *c)
{
    struct waiting *w;
    while (websocket_has_room(c->socket)) {
        forget_given(c);
        if ((w = zlistx_detach(c->waiting, NULL)) == NULL)
            return;
        c->waiting_bytes -= w->len;
        c->given_bytes += w->len;
        websocket_give(c->socket, w->is_binary, TAKE(w->data), w->len);
        waiting_free((void **)&w);
    }
}

static void add(struct channels *c, enum link_channel channel, const struct slice *parts, size_t n)
{
    struct buf out = BUF_INIT(MAX_FRAME_BYTES);
    bool is_binary = kernel_ws_write(&out, c->protocol, channel, parts, n);
    size_t len = out.len;
    char *data = buf_take(&out);
    if (!data) {
        c->n_left_out++;
        return;
    }
    struct waiting *w = calloc(1, sizeof *w);
    assert(w);
    *w = (struct waiting){ is_binary, len, data };
    c->waiting_bytes += len;
    c->request->user->channels_bytes += len;
    (void)zlistx_add_end(c->waiting, w); /* aborts for want of memory */
    websocket_wake(c->socket);
    if (len > LARGE_BYTES) { /* the client takes it while the hub makes an event of it */
        give(c);
        websocket_push(c->socket);
    }
}

/* As a kernel would say it. parent: a header, or {}. */
static void say_on_stderr(struct channels *c, struct slice parent, const char *text)
{
    CLEANUP_BUF struct buf header = BUF_INIT(1024), content = BUF_INIT(4096);
    struct uuid id = uuid_new();
    jupyter_write_header(&header, id.text, "stream", "kernelhub", 1000 * zclock_time());
    buf_add_str(&content, "{\"name\":\"stderr\",\"text\":");
    json_quote_str(&content, text);
    buf_add_char(&content, '}');
    const struct slice parts[] = { buf_slice(&header), parent, SLICE_LITERAL("{}"),
                                   buf_slice(&content) };
    add(c, LINK_IOPUB, parts, 4);
}

static void say_left_out(struct channels *c)
{
    char text[256];
    (void)snprintf(text, sizeof text,
                   "[kernelhub: this client was too slow, %llu messages are left out here; the "
                   "history has them]\n",
                   (unsigned long long)c->n_left_out);
    c->n_left_out = 0;
    say_on_stderr(c, SLICE_LITERAL("{}"), text);
}

/* ---- what does not fit ---- */

struct fitting {
    struct channels *channels;
    enum link_channel channel;
};

static void say_fitted(void *arg, const struct slice *parts, size_t n)
{
    const struct fitting *f = arg;
    add(f->channels, f->channel, parts, n);
}

static void write_where(const struct channels *c, struct slice parent, char *ret, size_t size)
{
    struct jupyter_header names = { .msg_id = "" };
    (void)jupyter_read_header(parent, &names); /* none: no cell is known */
    const struct uuid *execution = c->front ? front_execution(c->front, names.msg_id) : NULL;
    if (execution)
        (void)snprintf(ret, size, "GET /api/v1/executions/%s has it", execution->text);
    else
        (void)snprintf(ret, size, "the session's history may have it");
}

/* Once a connection each. */
static void say_what_is_missing(struct channels *c, enum jupyter_fitted fitted, struct slice parent,
                                const char *where)
{
    char text[512];
    bool *said = fitted == JUPYTER_FITTED_NOT ? &c->said_too_long : &c->said_no_buffers;
    if (fitted == JUPYTER_FITTED || *said)
        return;
    *said = true;
    if (fitted == JUPYTER_FITTED_NOT)
        (void)snprintf(text, sizeof text,
                       "[kernelhub: a message is left out here, for this connection takes at most "
                       "%zu bytes in one; %s]\n",
                       c->peer.max_frame_bytes, where);
    else
        (void)snprintf(text, sizeof text,
                       "[kernelhub: binary data (a widget's buffers) is left out here, for this "
                       "connection cannot take it: see docs/jupyter.md]\n");
    say_on_stderr(c, parent, text);
}

static void add_fitted(struct channels *c, enum link_channel channel, const struct slice *parts,
                       size_t n)
{
    char where[128];
    struct fitting fitting = { c, channel };
    const struct jupyter_fit fit = { .takes_buffers = c->peer.takes_binary,
                                     .max_frame_bytes = c->peer.max_frame_bytes,
                                     .where = where,
                                     .say = say_fitted,
                                     .arg = &fitting };
    if (c->protocol == KERNEL_WS_V1 || jupyter_fits(&fit, parts, n)) {
        add(c, channel, parts, n);
        return;
    }
    write_where(c, parts[1], where, sizeof where);
    say_what_is_missing(c, jupyter_fit(&fit, parts, n), parts[1], where);
}

/* Not for a client that keeps up with what is small, nor for the only thing that waits. */
static bool is_too_much_for_user(const struct channels *c, size_t n_bytes, size_t max)
{
    size_t all = c->request->user->channels_bytes, own = c->waiting_bytes + c->given_bytes;
    return all > 0 && all + n_bytes > max && own + n_bytes > FEW_WAITING_BYTES;
}

static void become_full(struct channels *c, enum ws_close code)
{
    c->is_full = true;
    c->close_code = code;
    websocket_wake(c->socket);
}

static void on_message(void *arg, enum link_channel channel, const struct slice *parts, size_t n)
{
    struct channels *c = arg;
    size_t n_bytes = 0;
    for (size_t i = 0; i < n; i++)
        n_bytes += parts[i].len;
    bool is_iopub = channel == LINK_IOPUB;
    if (!c->is_full && !is_iopub && is_too_much_for_user(c, n_bytes, 2 * (size_t)MAX_USERS_BYTES))
        become_full(c, WS_CLOSE_RESTART);
    if (c->is_full || (is_iopub && (c->waiting_bytes > MAX_WAITING_BYTES ||
                                    is_too_much_for_user(c, n_bytes, MAX_USERS_BYTES)))) {
        c->n_left_out++;
        return;
    }
    if (c->n_left_out)
        say_left_out(c);
    add_fitted(c, channel, parts, n);
    if (c->waiting_bytes > 2 * (size_t)MAX_WAITING_BYTES)
        become_full(c, WS_CLOSE_RESTART);
}

static void on_front_end(void *arg, const char *reason, bool is_replaced)
{
    struct channels *c = arg;
    c->front = NULL;
    become_full(c, is_replaced ? WS_CLOSE_RESTART : WS_CLOSE_NORMAL);
}

static bool has_room(void *arg)
{
    const struct channels *c = arg;
    return !c->is_full && c->waiting_bytes < FEW_WAITING_BYTES;
}

static void on_room(void *arg)
{
    struct channels *c = arg;
    give(c);
    if (c->front && has_room(c)) {
        front_has_room(c->front);
        give(c);
    }
    if (c->is_full && zlistx_size(c->waiting) == 0 && websocket_has_sent_all(c->socket))
        websocket_close(c->socket, c->close_code,
                        c->front ? "too slow: connect again" : "nothing more comes here");
}

static void take(struct channels *c, bool is_binary, struct slice frame)
{
    struct kernel_ws_message m;
    if (!c->front)
        return;
    if (kernel_ws_read(c->protocol, is_binary, frame, &m))
        front_send(c->front, &m);
    else if (c->n_nonsense++ == 0)
        log_info("jupyter id=%s: a message of %zu bytes makes no sense, passed over",
                 c->request->id.text, frame.len);
}

static void on_text(void *arg, struct slice text)
{
    take(arg, false, text);
}

static void on_binary(void *arg, struct slice bytes)
{
    take(arg, true, bytes);
}

/* Jupyter Server in between passes its clients' frames on, all as text. */
static void on_either(void *arg, struct slice frame)
{
    take(arg, frame.len && frame.data[0] == '\0', frame); /* the first byte of a number of parts */
}

static struct kernel_peer peer_of(const struct request *r)
{
    return kernel_peer_of(MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, "User-Agent"),
                          query_get(&r->query, "session_id"));
}

static enum kernel_ws protocol_of(const struct request *r)
{
    const char *offered =
        MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, "Sec-WebSocket-Protocol");
    return ws_handshake_names(offered, KERNEL_WS_V1_NAME) ? KERNEL_WS_V1 : KERNEL_WS_DEFAULT;
}

static void *begin(struct websocket *w, struct request *r)
{
    static const struct front_events EVENTS = { on_message, has_room, on_front_end };
    struct channels *c = calloc(1, sizeof *c);
    const char *client = query_get(&r->query, "session_id");
    struct session *s = jupyter_find_kernel(r->site->hub, r->user, request_part(r, 0));
    assert(c);
    c->socket = w;
    c->request = r;
    c->protocol = protocol_of(r);
    c->peer = peer_of(r);
    c->waiting = zlistx_new();
    zlistx_set_destructor(c->waiting, waiting_free);
    if (s)
        c->front = front_open(s, r->user, client ? client : "", &EVENTS, c);
    else
        on_front_end(c, "the kernel has gone", false);
    return c;
}

static void on_end(void *arg, bool client_left)
{
    struct channels *c = arg;
    if (c->front)
        front_close(c->front);
    forget_given(c);
    c->request->user->channels_bytes -= c->waiting_bytes;
    zlistx_destroy(&c->waiting);
    free(c);
}

/* ---- before the 101 ---- */

/* A request that waits for its kernel. */
struct held {
    struct request *request;
    int timer;
};

static void held_free(struct held *h)
{
    loop_timer_end(hub_loop(h->request->site->hub), h->timer);
    request_work(h->request, NULL, NULL);
    free(h);
}

static void on_request_done(void *work, bool completed)
{
    held_free(work);
}

/* The kernel is there: clients count on its answer as soon as the socket is open. */
static void on_kernel(void *arg, const struct err *e, struct slice json)
{
    static const struct websocket_use USE = { begin, on_text, on_binary, false, on_room, on_end };
    static const struct websocket_use EITHER = { begin, on_text, on_either, true, on_room, on_end };
    struct held *h = arg;
    struct request *r = h->request;
    bool is_v1 = protocol_of(r) == KERNEL_WS_V1;
    held_free(h);
    r->wait = NULL;
    if (e)
        reply_error(r, e);
    else
        websocket_accept_as(r, !is_v1 && peer_of(r).sends_binary_as_text ? &EITHER : &USE,
                            is_v1 ? KERNEL_WS_V1_NAME : NULL);
}

/* Its kernel goes on starting; a 503 makes JupyterLab and Jupyter Server come again. */
static int on_held_too_long(struct loop *loop, int timer, void *arg)
{
    const struct held *h = arg;
    struct request *r = h->request;
    struct err e = ERR_INIT;
    if (!r->wait)
        return 0; /* it was told something else already: the service stops */
    wait_cancel(TAKE(r->wait));
    r->hint = "it goes on starting: connect again";
    (void)err_set(&e, ERR_UNAVAILABLE, "kernel %.36s is still starting", request_part(r, 0));
    reply_error(r, &e);
    return 0;
}

void jupyter_api_channels(struct request *r)
{
    struct err e = ERR_INIT;
    const char *client = query_get(&r->query, "session_id");
    if (client && strlen(client) > FRONT_MAX_CLIENT_BYTES) { /* cut it would be another's */
        (void)err_set(&e, ERR_INVALID, "a session_id has at most %d bytes", FRONT_MAX_CLIENT_BYTES);
        reply_error(r, &e);
        return;
    }
    struct session *s = jupyter_find_kernel(r->site->hub, r->user, request_part(r, 0));
    if (!s) {
        (void)err_set(&e, ERR_NOT_FOUND, "there is no kernel %s",
                      log_quote(slice_str(request_part(r, 0))));
        reply_error(r, &e);
        return;
    }
    struct held *h = calloc(1, sizeof *h);
    assert(h);
    h->request = r;
    h->timer = loop_timer(hub_loop(r->site->hub), HOLD_MS, on_held_too_long, h);
    request_work(r, h, on_request_done);
    request_wait(r, jupyter_await(s, on_kernel, h));
}
