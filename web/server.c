/* libmicrohttpd runs in the hub's loop, without a thread of its own:
 *
 * - loop ──► its epoll fd is readable, or its timer is due ──► MHD_run ──► request_turn, stream fill
 * - hub's callback ──► request_wake ──► MHD_resume_connection, and a timer that is due now
 * - loop ──► `watch` is readable: a client closed its side ──► request_client_left
 *
 * What MHD_run leaves over does not make its epoll fd readable: MHD_get_timeout says so, and a
 * timer follows. A suspended connection is not polled by libmicrohttpd at all, so a second epoll
 * set of ours watches every socket for its peer's leaving, edge-triggered: one system call per
 * connection, none per request. */
#include "web/server.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "web/batch.h"
#include "web/connection.h"
#include "web/listener.h"
#include "web/mcp.h"
#include "web/request.h"
#include "web/rest.h"
#include "web/run.h"
#include "web/site.h"
#include "web/stream.h"
#include "web/websocket.h"

#define CONNECTION_BYTES (64 * 1024) /* head, read buffer and chunk of one connection */
#define IDLE_SECONDS     75          /* between requests, and without a byte moving within one */
#define STALL_MS                                                                                   \
    300000 /* a request's head and body have to be there by then, however slowly they drip */
#define TICK_MS     5000
#define MAX_LEAVING 64 /* per wake */

struct server {
    struct site site;
    struct loop *loop;
    struct MHD_Daemon *daemon;
    zlistx_t *connections;
    int listen_fd;
    int epoll_fd; /* libmicrohttpd's own */
    int watch_fd;
    uint16_t port;
    unsigned max_connections;
    int run_timer; /* -1: none */
    int64_t run_due_ms;
    int tick_timer;
};

static void run(struct server *s);

/* ---- timers ---- */

static int on_run_due(struct loop *loop, int id, void *arg)
{
    struct server *s = arg;
    s->run_timer = -1;
    run(s);
    return 0;
}

/* The timer stays when it is due soon enough: a run too many per minute is cheaper than a timer per
 * request. */
static void run_within(struct server *s, int64_t ms)
{
    int64_t due_ms = zclock_mono() + ms;
    if (!s->loop) /* the server is being freed */
        return;
    if (s->run_timer >= 0 && s->run_due_ms <= due_ms)
        return;
    if (s->run_timer >= 0)
        loop_timer_end(s->loop, s->run_timer);
    s->run_due_ms = due_ms;
    s->run_timer = loop_timer(s->loop, (size_t)ms, on_run_due, s);
}

static void arm(struct server *s)
{
    MHD_UNSIGNED_LONG_LONG ms;
    if (MHD_get_timeout(s->daemon, &ms) == MHD_YES)
        run_within(s, (int64_t)ms);
}

void connection_run_soon(struct connection *c)
{
    run_within(c->server, 0);
}

static void run(struct server *s)
{
    (void)MHD_run(s->daemon); /* fails only for a daemon of another kind */
    arm(s);
}

static void tick_one(struct connection *c, int64_t now_ms)
{
    struct request *r = c->request;
    bool is_arriving =
        !r || r->state == REQUEST_HEAD ||
        (r->state == REQUEST_BODY && !r->is_suspended); /* else it is we who let wait */
    if (r && r->stream)
        stream_tick(r->stream, now_ms);
    else if (r && r->on_tick)
        r->on_tick(r->work, now_ms);
    else if (is_arriving && now_ms - c->since_ms > STALL_MS)
        (void)shutdown(c->fd, SHUT_RDWR); /* libmicrohttpd sees that and closes */
}

static int on_tick(struct loop *loop, int id, void *arg)
{
    struct server *s = arg;
    int64_t now_ms = zclock_mono();
    for (struct connection *c = zlistx_first(s->connections); c; c = zlistx_next(s->connections))
        tick_one(c, now_ms);
    bool is_idle = zlistx_size(s->connections) == 0;
    s->tick_timer = is_idle ? -1 : loop_timer(loop, TICK_MS, on_tick, s);
    return 0;
}

/* ---- connections ---- */

static bool is_local(const struct sockaddr *from)
{
    if (from->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)from)->sin_addr.s_addr) >> 24 == 127;
    return from->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)from)->sin6_addr);
}

static struct connection *connection_new(struct server *s, struct MHD_Connection *mhd)
{
    struct connection *c = calloc(1, sizeof *c);
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *from =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    int yes = 1;
    assert(c);
    *c = (struct connection){ .server = s, .fd = fd->connect_fd, .since_ms = zclock_mono() };
    c->is_local = from && from->client_addr && is_local(from->client_addr);
    c->place = zlistx_add_end(s->connections, c);
    /* Nagle with delayed ACK costs 40 ms; without either we are only slower */
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct epoll_event event = { .events = EPOLLRDHUP | EPOLLET, .data.ptr = c };
    if (epoll_ctl(s->watch_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
        log_warning("client not watched error=%s", strerror(errno));
    if (s->tick_timer < 0)
        s->tick_timer = loop_timer(s->loop, TICK_MS, on_tick, s);
    return c;
}

/* When all places were taken, libmicrohttpd accepts again only in the run after the one that
 * closed. */
static void connection_free(struct connection *c)
{
    if (zlistx_size(c->server->connections) >= c->server->max_connections)
        connection_run_soon(c);
    (void)epoll_ctl(c->server->watch_fd, EPOLL_CTL_DEL, c->fd, NULL); /* closing would do it too */
    (void)zlistx_delete(c->server->connections, c->place);            /* it is in there */
    free(c);
}

static void on_connection(void *arg, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        *context = connection_new(arg, mhd);
    else if (*context)
        connection_free(*context);
}

static int on_watch(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct server *s = arg;
    struct epoll_event events[MAX_LEAVING];
    int n = epoll_wait(s->watch_fd, events, MAX_LEAVING, 0);
    for (int i = 0; i < n; i++) {
        struct connection *c =
            events[i].data.ptr; /* nobody is freed before libmicrohttpd's next run */
        c->peer_has_left = true;
        if (c->request)
            request_client_left(c->request);
    }
    return 0;
}

/* ---- requests ---- */

static struct connection *connection_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void *on_first_line(void *arg, const char *uri, struct MHD_Connection *mhd)
{
    struct server *s = arg;
    struct connection *c = connection_of(mhd);
    c->request = request_new(&s->site, c, mhd, uri);
    return c->request;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **context)
{
    return request_turn(*context, method, version, data, size);
}

static void on_done(void *arg, struct MHD_Connection *mhd, void **context,
                    enum MHD_RequestTerminationCode how)
{
    struct connection *c = connection_of(mhd);
    request_free(*context, how == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    *context = NULL;
    c->request = NULL;
    c->since_ms = zclock_mono();
}

/* Paths and parameters are decoded by us, strictly. */
static size_t leave_escaped(void *arg, struct MHD_Connection *mhd, char *text)
{
    return strlen(text);
}

static void on_log(void *arg, const char *format, va_list args)
{
    char line[512];
    (void)vsnprintf(line, sizeof line, format, args); /* cut is fine */
    line[strcspn(line, "\r\n")] = '\0';
    log_debug("libmicrohttpd says=%s", log_quote(slice_str(line)));
}

/* ---- life ---- */

/* On loopback all clients, and any proxy, share one address. */
static unsigned per_address(const struct server *s, unsigned max)
{
    return s->site.is_loopback ? 0 : max / 2 > 64 ? max / 2 : 64;
}

static int start(struct server *s, struct err *e)
{
    unsigned max = s->max_connections =
        (unsigned)config_number(s->site.config, CONFIG_SERVER_MAX_CONNECTIONS);
    s->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG, s->port,
        NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, s, MHD_OPTION_LISTEN_SOCKET,
        s->listen_fd, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_CONNECTION_LIMIT, max, MHD_OPTION_PER_IP_CONNECTION_LIMIT, per_address(s, max),
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_URI_LOG_CALLBACK, on_first_line, s, MHD_OPTION_NOTIFY_COMPLETED, on_done, s,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped,
        s, MHD_OPTION_END);
    if (!s->daemon)
        return err_set(e, ERR_UNAVAILABLE, "the HTTP server does not start");
    s->listen_fd = -1; /* libmicrohttpd's now */
    s->epoll_fd = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    return 0;
}

static int on_readable(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    run(arg);
    return 0;
}

static void join_loop(struct server *s)
{
    zmq_pollitem_t mhd = { .fd = s->epoll_fd, .events = ZMQ_POLLIN },
                   watch = { .fd = s->watch_fd, .events = ZMQ_POLLIN };
    loop_poller(s->loop, &mhd, on_readable, s);
    loop_poller_set_tolerant(s->loop, &mhd);
    loop_poller(s->loop, &watch, on_watch, s);
    loop_poller_set_tolerant(s->loop, &watch);
    arm(s);
}

static void leave_loop(struct server *s)
{
    zmq_pollitem_t mhd = { .fd = s->epoll_fd }, watch = { .fd = s->watch_fd };
    if (s->epoll_fd >= 0)
        loop_poller_end(s->loop, &mhd);
    if (s->watch_fd >= 0)
        loop_poller_end(s->loop, &watch);
    if (s->run_timer >= 0)
        loop_timer_end(s->loop, s->run_timer);
    if (s->tick_timer >= 0)
        loop_timer_end(s->loop, s->tick_timer);
    s->loop = NULL;
}

DEFINE_CLEANUP(struct server, server_free)

int server_new(struct hub *hub, struct server **ret, struct err *e)
{
    CLEANUP(server_free) struct server *s = calloc(1, sizeof *s);
    assert(s);
    *s = (struct server){ .loop = hub_loop(hub),
                          .listen_fd = -1,
                          .epoll_fd = -1,
                          .watch_fd = -1,
                          .run_timer = -1,
                          .tick_timer = -1 };
    s->connections = zlistx_new();
    if (site_init(&s->site, hub, e) < 0)
        return -1;
    s->site.websockets = websockets_new(&s->site, s->loop, e);
    if (!s->site.websockets)
        return -1;
    s->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->watch_fd < 0)
        return err_errno(e, ERR_UNAVAILABLE, "epoll");
    s->listen_fd = listener_open(
        s->site.address, (uint16_t)config_number(s->site.config, CONFIG_SERVER_PORT), &s->port, e);
    if (s->listen_fd < 0 || start(s, e) < 0)
        return -1;
    join_loop(s);
    log_info("listening address=%s port=%u", s->site.address, s->port);
    *ret = TAKE(s);
    return 0;
}

uint16_t server_port(const struct server *s)
{
    return s->port;
}

void server_drain(struct server *s)
{
    if (s->site.is_draining)
        return;
    s->site.is_draining = true;
    int fd = MHD_quiesce_daemon(s->daemon);
    if (fd >= 0)
        (void)close(fd); /* nothing to do about an error here */
    mcp_drain(s->site.mcp);
    for (struct connection *c = zlistx_first(s->connections); c; c = zlistx_next(s->connections))
        if (c->request)
            request_drain(c->request);
    websockets_drain(s->site.websockets);
    run(s);
}

/* libmicrohttpd panics when it stops with suspended connections. */
static void resume_all(struct server *s)
{
    for (struct connection *c = zlistx_first(s->connections); c; c = zlistx_next(s->connections))
        if (c->request)
            request_wake(c->request);
}

void server_free(struct server *s)
{
    if (!s)
        return;
    s->site.is_draining = true;
    if (s->site.websockets)
        websockets_cut(s->site.websockets);
    leave_loop(s);
    if (s->daemon) {
        resume_all(s);
        MHD_stop_daemon(s->daemon);
    }
    if (s->listen_fd >= 0)
        (void)close(s->listen_fd); /* nothing to do about an error here */
    if (s->watch_fd >= 0)
        (void)close(s->watch_fd);
    if (s->site.hub) {
        run_free_all(&s->site);
        batch_free_all(&s->site);
        rest_stream_free_all(&s->site);
        mcp_free(s->site.mcp);
        s->site.mcp = NULL;
    }
    websockets_free(s->site.websockets);
    site_done(&s->site);
    zlistx_destroy(&s->connections);
    free(s);
}
