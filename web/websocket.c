/* A socket's life:
 *
 *     ASKED ──101──► OPEN ──► CLOSING ──► LINGERING ──► GONE
 *                      │      a close      all is sent;   libmicrohttpd closes the
 *                      │      is on its    what still     descriptor, then frees the
 *                      │      way          comes is read  request and us with it
 *                      └── the client vanished ──────────►┘
 *
 * LINGERING, because to close with bytes unread would reset the connection under the close frame.
 */
#include "web/websocket.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "web/liveness.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/tcp_line.h"
#include "web/ws_handshake.h"
#include "web/ws_upgrade.h"

#define MAX_READY        64 /* per wake */
#define READ_BYTES       (16 * 1024)
#define MAX_READ_BYTES   (64 * 1024)  /* of one socket, per wake */
#define MAX_SENT_BYTES   (256 * 1024) /* of one socket, per wake */
#define MAX_PUSHED_BYTES (4u << 20)
#define MAX_TICK_MS      5000
#define CLOSING_MS       5000 /* for the close frame and what waits before it */
#define LINGER_MS        2000

enum state { ASKED, OPEN, CLOSING, LINGERING, GONE };

struct websockets {
    struct site *site;
    struct loop *loop;
    int epoll_fd;
    zlistx_t *asked;            /* struct websocket before its 101 */
    zlistx_t *open;             /* struct websocket from 101 to GONE */
    zlistx_t *due;              /* those that get a turn when turn_timer fires */
    int turn_timer, tick_timer; /* -1: none */
    int64_t ping_ms;
    uint64_t n_in, n_out; /* messages */
};

struct websocket {
    struct websockets *all;
    struct request *request;
    const struct websocket_use *use;
    void *arg; /* NULL once on_end was called */
    struct ws_wire *wire;
    struct MHD_UpgradeResponseHandle *mhd;
    enum state state;
    int fd;
    uint32_t watched;        /* what epoll is asked for */
    bool is_in_turn;         /* what is said now is sent at its end */
    bool is_held;            /* not read for now */
    void *place, *due_place; /* in `asked` or `open`; in `due` */
    struct liveness liveness;
    uint64_t n_bytes;    /* given to the socket */
    int64_t deadline_ms; /* of CLOSING and LINGERING */
};

/* ---- ends ---- */

static void end_use(struct websocket *w, bool client_left)
{
    void *arg = TAKE(w->arg);
    if (arg)
        w->use->on_end(arg, client_left);
}

static void vanish(struct websocket *w)
{
    if (w->state == GONE)
        return;
    log_debug("websocket gone id=%s state=%d", w->request->id.text, (int)w->state);
    w->state = GONE;
    end_use(w, true);
    (void)epoll_ctl(w->all->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL); /* it is in there */
    if (w->due_place)
        (void)zlistx_delete(w->all->due, TAKE(w->due_place));
    (void)zlistx_delete(w->all->open, TAKE(w->place));
    (void)MHD_upgrade_action(w->mhd, MHD_UPGRADE_ACTION_CLOSE);
    connection_run_soon(w->request->socket);
}

static void enter_closing(struct websocket *w, bool client_left)
{
    if (w->state != OPEN)
        return;
    w->state = CLOSING;
    w->deadline_ms = zclock_mono() + CLOSING_MS;
    end_use(w, client_left);
}

static void linger(struct websocket *w)
{
    w->state = LINGERING;
    w->deadline_ms = zclock_mono() + LINGER_MS;
    (void)shutdown(w->fd, SHUT_WR); /* if that fails, reading does too */
}

/* ---- turns ---- */

static int on_due(struct loop *loop, int id, void *arg);

/* A turn in the loop's next one. */
static void make_due(struct websocket *w)
{
    if (!w->due_place)
        w->due_place = zlistx_add_end(w->all->due, w);
    if (w->all->turn_timer < 0)
        w->all->turn_timer = loop_timer(w->all->loop, 0, on_due, w->all);
}

void websocket_wake(struct websocket *w)
{
    if (!w->is_in_turn && (w->state == OPEN || w->state == CLOSING))
        make_due(w);
}

/* A client that does not read what it asks for is not heard until it does. */
static bool may_read(const struct websocket *w)
{
    return ws_wire_has_room(w->wire) && !(w->is_held && w->state == OPEN);
}

static void watch(struct websocket *w)
{
    bool wants_more = w->state == LINGERING || may_read(w);
    uint32_t events = (wants_more ? EPOLLIN : 0) | (ws_wire_out(w->wire).len ? EPOLLOUT : 0);
    struct epoll_event event = { .events = events, .data.ptr = w };
    if (events == w->watched)
        return;
    w->watched = events;
    if (epoll_ctl(w->all->epoll_fd, EPOLL_CTL_MOD, w->fd, &event) < 0)
        vanish(w);
}

static void take(struct websocket *w, struct slice bytes)
{
    liveness_heard(&w->liveness, zclock_mono());
    ws_wire_take(w->wire, bytes);
    if (ws_wire_is_closing(w->wire))
        enter_closing(w, true);
}

static void receive(struct websocket *w)
{
    char bytes[READ_BYTES];
    for (size_t total = 0; total < MAX_READ_BYTES && w->state != GONE;) {
        if (w->state != LINGERING && !may_read(w))
            return;
        ssize_t n = recv(w->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            vanish(w);
            return;
        }
        take(w, slice_of(bytes, (size_t)n));
        if ((size_t)n < sizeof bytes)
            return;
        total += (size_t)n;
    }
}

/* One piece of what waits: how much the socket took, -1 with errno. */
static ssize_t send_piece(struct websocket *w, struct slice out)
{
    ssize_t n = send(w->fd, out.data, out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return n;
    ws_wire_sent(w->wire, (size_t)n);
    w->n_bytes += (size_t)n;
    return n;
}

/* Sends what waits. False when the socket takes no more, or is gone. */
static bool flush(struct websocket *w, size_t *sent)
{
    for (struct slice out; (out = ws_wire_out(w->wire)).len;) {
        ssize_t n = send_piece(w, out);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            vanish(w);
        if (n < 0)
            return false;
        *sent += (size_t)n;
        if ((size_t)n < out.len)
            return false;
    }
    return true;
}

void websocket_push(struct websocket *w)
{
    struct slice out;
    size_t sent = 0;
    for (; w->state == OPEN && sent < MAX_PUSHED_BYTES; sent += out.len)
        if ((out = ws_wire_out(w->wire)).len == 0 || send_piece(w, out) != (ssize_t)out.len)
            return;
}

static void send_more(struct websocket *w)
{
    size_t sent = 0, before;
    do {
        before = sent;
        if (w->state == OPEN && ws_wire_has_room(w->wire))
            w->use->on_room(w->arg);
        if (!flush(w, &sent))
            return;
    } while (sent != before && sent < MAX_SENT_BYTES);
    if (w->state == CLOSING)
        linger(w);
    else if (sent != before)
        make_due(w); /* the others first */
}

static void turn(struct websocket *w, uint32_t events)
{
    if (w->state == GONE)
        return;
    w->is_in_turn = true;
    if (w->is_held && events & (EPOLLHUP | EPOLLERR))
        vanish(w); /* nobody would read that it has gone */
    else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        receive(w);
    if (w->state == OPEN || w->state == CLOSING)
        send_more(w);
    if (w->state != GONE)
        watch(w);
    w->is_in_turn = false;
}

/* The hub's too, before it commits: what is said to clients waits for no disk. */
static void send_due(void *arg)
{
    struct websockets *all = arg;
    for (size_t n = zlistx_size(all->due); n > 0; n--) {
        struct websocket *w = zlistx_detach(all->due, NULL);
        if (!w)
            break;
        w->due_place = NULL;
        turn(w, 0);
    }
}

static int on_due(struct loop *loop, int id, void *arg)
{
    struct websockets *all = arg;
    all->turn_timer = -1;
    send_due(all);
    return 0;
}

static int on_epoll(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct websockets *all = arg;
    struct epoll_event events[MAX_READY];
    int n = epoll_wait(all->epoll_fd, events, MAX_READY, 0);
    for (int i = 0; i < n; i++)
        turn(events[i].data.ptr,
             events[i].events); /* nobody is freed before libmicrohttpd's next run */
    return 0;
}

/* ---- messages ---- */

/* Whom a new request would not let in does nothing over an old socket either. */
static bool shuts_out(struct websocket *w)
{
    const struct request *r = w->request;
    const char *why = user_shut_out(r->site->hub, r->user, r->user_key);
    if (why)
        websocket_close(w, WS_CLOSE_POLICY, why);
    return why != NULL;
}

static void on_text(void *arg, struct slice text)
{
    struct websocket *w = arg;
    w->all->n_in++;
    if (!shuts_out(w))
        w->use->on_text(w->arg, text);
}

static void on_binary(void *arg, struct slice bytes)
{
    struct websocket *w = arg;
    w->all->n_in++;
    if (!shuts_out(w))
        w->use->on_binary(w->arg, bytes);
}

static void on_pong(void *arg, struct slice payload)
{
    struct websocket *w = arg;
    liveness_pong(&w->liveness, payload);
}

void websocket_text(struct websocket *w, struct slice text)
{
    ws_wire_text(w->wire, text);
    liveness_sent(&w->liveness);
    w->all->n_out++;
    websocket_wake(w);
}

void websocket_give(struct websocket *w, bool is_binary, char *data, size_t len)
{
    ws_wire_give(w->wire, is_binary, data, len);
    liveness_sent(&w->liveness);
    w->all->n_out++;
    websocket_wake(w);
}

void websocket_hold(struct websocket *w, bool on)
{
    if (w->is_held != on)
        websocket_wake(w);
    w->is_held = on;
}

bool websocket_has_room(const struct websocket *w)
{
    return w->state == OPEN && ws_wire_has_room(w->wire);
}

bool websocket_has_sent_all(const struct websocket *w)
{
    return ws_wire_is_empty(w->wire);
}

void websocket_close(struct websocket *w, enum ws_close code, const char *reason)
{
    ws_wire_close(w->wire, code, reason);
    enter_closing(w, false);
    websocket_wake(w);
}

/* ---- time ---- */

static struct liveness_view look(const struct websocket *w)
{
    return (struct liveness_view){
        .n_taken = w->n_bytes - (uint64_t)tcp_line_unacknowledged(w->fd),
        .is_deaf = tcp_line_is_deaf(w->fd),
        .has_waiting = ws_wire_out(w->wire).len > 0,
        .is_held = w->is_held,
    };
}

static void tick_open(struct websocket *w, int64_t now_ms)
{
    char payload[LIVENESS_PAYLOAD_BYTES];
    const struct liveness_view view = look(w);
    if (shuts_out(w))
        return;
    switch (liveness_tick(&w->liveness, &view, now_ms)) {
    case LIVENESS_FINE:
        return;
    case LIVENESS_PING:
        ws_wire_ping(w->wire, liveness_ping(&w->liveness, now_ms, payload));
        websocket_wake(w);
        return;
    case LIVENESS_DEAD:
        vanish(w);
        return;
    }
}

static int on_tick(struct loop *loop, int id, void *arg);

static void tick_later(struct websockets *all)
{
    int64_t ms = all->ping_ms < MAX_TICK_MS ? all->ping_ms : MAX_TICK_MS;
    all->tick_timer = loop_timer(all->loop, (size_t)ms, on_tick, all);
}

static int on_tick(struct loop *loop, int id, void *arg)
{
    struct websockets *all = arg;
    int64_t now_ms = zclock_mono();
    for (size_t n = zlistx_size(all->open); n > 0; n--) { /* each goes to the end, or out */
        struct websocket *w = zlistx_first(all->open);
        (void)zlistx_move_end(all->open, w->place); /* it is in there */
        if (w->state == OPEN)
            tick_open(w, now_ms);
        else if (now_ms > w->deadline_ms)
            vanish(w);
    }
    all->tick_timer = -1;
    if (zlistx_size(all->open) > 0)
        tick_later(all);
    return 0;
}

/* ---- beginnings ---- */

static void on_upgraded(void *arg, struct MHD_Connection *mhd, void *context, const char *extra,
                        size_t n_extra, MHD_socket fd, struct MHD_UpgradeResponseHandle *handle)
{
    struct websocket *w = arg;
    struct websockets *all = w->all;
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = w };
    request_upgraded(w->request);
    (void)zlistx_delete(all->asked, w->place); /* it is in there */
    w->mhd = handle;
    w->fd = fd;
    w->state = OPEN;
    w->watched = event.events;
    liveness_init(&w->liveness, all->ping_ms, zclock_mono());
    w->place = zlistx_add_end(all->open, w);
    w->arg = w->use->begin(w, w->request);
    tcp_line_tune(fd);
    if (epoll_ctl(all->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        log_warning("websocket not watched error=%s", strerror(errno));
        vanish(w);
        return;
    }
    if (all->tick_timer < 0)
        tick_later(all);
    if (all->site->is_draining)
        websocket_close(w, WS_CLOSE_RESTART, "the service restarts");
    if (n_extra)
        take(w, slice_of(extra, n_extra)); /* libmicrohttpd had read too far */
    websocket_wake(w);
}

/* The request ends: libmicrohttpd has closed the descriptor, or there never was an upgrade. */
static void on_request_done(void *arg, bool completed)
{
    struct websocket *w = arg;
    assert(w->state == ASKED || w->state == GONE);
    if (w->state == ASKED)
        (void)zlistx_delete(w->all->asked, w->place); /* it is in there */
    ws_wire_free(w->wire);
    free(w);
}

static int64_t count_of(zlistx_t *list, const struct user *user)
{
    int64_t n = 0;
    for (struct websocket *w = zlistx_first(list); w; w = zlistx_next(list))
        n += w->request->user == user;
    return n;
}

static int check_limit(const struct request *r, struct err *e)
{
    const struct websockets *all = r->site->websockets;
    int64_t max = config_number(r->site->config, CONFIG_LIMITS_SOCKETS);
    int64_t n = count_of(all->asked, r->user) + count_of(all->open, r->user);
    if (n < max)
        return 0;
    return err_set(e, ERR_QUOTA, "%lld WebSockets are open, the limit (limits/max_sockets)",
                   (long long)n);
}

static void answer(struct request *r, const struct websocket_use *use, const char *key,
                   const char *protocol)
{
    const struct ws_wire_events events = { on_text, use->on_binary ? on_binary : NULL, on_pong,
                                           use->any_kind };
    char accept[WS_ACCEPT_CHARS + 1];
    struct websocket *w = calloc(1, sizeof *w);
    assert(w);
    size_t max = (size_t)config_number(r->site->config, CONFIG_SERVER_MAX_BODY);
    *w = (struct websocket){ .all = r->site->websockets, .request = r, .use = use, .fd = -1 };
    w->wire = ws_wire_new(max, &events, w);
    w->place = zlistx_add_end(w->all->asked, w);
    request_work(r, w, on_request_done);
    ws_handshake_accept(key, accept);
    reply_upgrade(r, "websocket", on_upgraded, w);
    reply_header(r, "Sec-WebSocket-Accept", accept);
    if (protocol)
        reply_header(r, "Sec-WebSocket-Protocol", protocol);
}

void websocket_accept(struct request *r, const struct websocket_use *use)
{
    websocket_accept_as(r, use, NULL);
}

void websocket_accept_as(struct request *r, const struct websocket_use *use, const char *protocol)
{
    struct err e = ERR_INIT;
    const char *key;
    if (!ws_upgrade_check(r, &key))
        return;
    if (check_limit(r, &e) < 0)
        reply_error(r, &e);
    else
        answer(r, use, key, protocol);
}

/* ---- all of them ---- */

struct websockets *websockets_new(struct site *site, struct loop *loop, struct err *e)
{
    struct websockets *all = calloc(1, sizeof *all);
    assert(all);
    *all = (struct websockets){ .site = site, .loop = loop, .turn_timer = -1, .tick_timer = -1 };
    all->ping_ms = 1000 * config_number(site->config, CONFIG_SERVER_PING);
    all->asked = zlistx_new();
    all->open = zlistx_new();
    all->due = zlistx_new();
    all->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (all->epoll_fd < 0) {
        (void)err_errno(e, ERR_UNAVAILABLE, "epoll");
        websockets_free(all);
        return NULL;
    }
    zmq_pollitem_t item = { .fd = all->epoll_fd, .events = ZMQ_POLLIN };
    loop_poller(loop, &item, on_epoll, all);
    loop_poller_set_tolerant(loop, &item);
    hub_before_commit(site->hub, send_due, all);
    return all;
}

void websockets_drain(struct websockets *all)
{
    for (struct websocket *w = zlistx_first(all->open); w; w = zlistx_next(all->open))
        if (w->state == OPEN)
            websocket_close(w, WS_CLOSE_RESTART, "the service restarts");
}

void websockets_cut(struct websockets *all)
{
    struct websocket *w;
    websockets_drain(all);
    while ((w = zlistx_first(all->open)) != NULL)
        vanish(w);
    zmq_pollitem_t item = { .fd = all->epoll_fd };
    hub_before_commit(all->site->hub, NULL, NULL);
    loop_poller_end(all->loop, &item);
    if (all->turn_timer >= 0)
        loop_timer_end(all->loop, all->turn_timer);
    if (all->tick_timer >= 0)
        loop_timer_end(all->loop, all->tick_timer);
}

void websockets_free(struct websockets *all)
{
    if (!all)
        return;
    if (all->epoll_fd >= 0)
        (void)close(all->epoll_fd); /* nothing to do about an error here */
    zlistx_destroy(&all->asked);
    zlistx_destroy(&all->open);
    zlistx_destroy(&all->due);
    free(all);
}

void websockets_write_metrics(const struct websockets *all, struct buf *out)
{
    metric_gauge_write(out, "kernelhub_websockets", "WebSockets open now.",
                       (double)zlistx_size(all->open));
    buf_addf(out,
             "# HELP kernelhub_websocket_messages_total Messages over WebSockets.\n"
             "# TYPE kernelhub_websocket_messages_total counter\n"
             "kernelhub_websocket_messages_total{direction=\"in\"} %llu\n"
             "kernelhub_websocket_messages_total{direction=\"out\"} %llu\n",
             (unsigned long long)all->n_in, (unsigned long long)all->n_out);
}
