#include "sandbox/warden_init.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/log.h"

#define PER_WAKE          64
#define ACCEPTS_PER_WAKE  16
#define SETTLE_MS         1000 /* for the kernels that init says it will name; then it gets orders anyway */
#define STRANGERS_REST_MS 20 /* user code that dials in a loop gets this often a look, no more */
/* the biggest init may send: OUTPUT */
#define MAX_IN_BYTES (INIT_HEADER_BYTES + INIT_PAYLOAD_OUTPUT)

struct order {
    int fds[INIT_MAX_FDS];
    size_t n_fds;
    size_t len;
    char bytes[];
};

struct warden_init {
    struct loop *loop;
    struct warden_init_events events;
    pid_t pid;
    int listener, fd;
    bool greeted, settled;
    unsigned can;     /* bits of enum init_can */
    uint32_t to_come; /* STARTED and EXITED packets that init's HELLO announced */
    bool listening, wants_write;
    int rest_timer, settle_timer;
    zlistx_t *waiting; /* of struct order */
};

static void order_destroy(void **item)
{
    struct order *o = *item;
    for (size_t i = 0; i < o->n_fds; i++)
        close_fd_at(&o->fds[i]);
    free(o);
    *item = NULL;
}

static int on_connection(struct loop *loop, zmq_pollitem_t *item, void *arg);
static int on_stranger(struct loop *loop, zmq_pollitem_t *item, void *arg);

static void listen_now(struct warden_init *in, bool on)
{
    if (on == in->listening)
        return;
    in->listening = on;
    zmq_pollitem_t item = { .fd = in->listener, .events = ZMQ_POLLIN };
    if (on)
        loop_poller(in->loop, &item, on_stranger, in);
    else
        loop_poller_end(in->loop, &item);
}

static void watch(struct warden_init *in, bool write)
{
    zmq_pollitem_t item = { .fd = in->fd, .events = ZMQ_POLLIN | (write ? ZMQ_POLLOUT : 0) };
    loop_poller_end(in->loop, &item);
    in->wants_write = write;
    loop_poller(in->loop, &item, on_connection, in);
}

struct warden_init *warden_init_new(struct loop *loop, int listener, pid_t pid,
                                    const struct warden_init_events *events)
{
    struct warden_init *in = calloc(1, sizeof *in);
    assert(in);
    in->loop = loop;
    in->events = *events;
    in->pid = pid;
    in->listener = listener;
    in->fd = -1;
    in->rest_timer = in->settle_timer = -1;
    in->waiting = zlistx_new();
    zlistx_set_destructor(in->waiting, order_destroy);
    listen_now(in, true);
    return in;
}

static void hang_up(struct warden_init *in)
{
    zmq_pollitem_t item = { .fd = in->fd };
    loop_poller_end(in->loop, &item);
    (void)close(TAKE_FD(in->fd)); /* nothing to do about an error here */
    in->greeted = in->settled = in->wants_write = false;
    if (in->settle_timer >= 0)
        loop_timer_end(in->loop, in->settle_timer);
    in->settle_timer = -1;
    zlistx_purge(in->waiting);
    listen_now(in, true);
}

void warden_init_free(struct warden_init *in)
{
    if (!in)
        return;
    if (in->fd >= 0)
        hang_up(in);
    if (in->rest_timer >= 0)
        loop_timer_end(in->loop, in->rest_timer);
    listen_now(in, false);
    close_fd_at(&in->listener);
    zlistx_destroy(&in->waiting);
    free(in);
}

void warden_init_drop(struct warden_init *in, const char *why)
{
    if (in->fd < 0)
        return;
    log_warning("event=init_gone reason=%s", log_quote(slice_str(why)));
    hang_up(in);
    in->events.on_gone(in->events.owner);
}

static int on_rested(struct loop *loop, int timer_id, void *arg)
{
    struct warden_init *in = arg;
    in->rest_timer = -1;
    if (in->fd < 0)
        listen_now(in, true);
    return 0;
}

static bool is_our_init(struct warden_init *in, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid == in->pid;
}

static int on_stranger(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct warden_init *in = arg;
    for (int i = 0; i < ACCEPTS_PER_WAKE; i++) {
        CLEANUP_FD int fd = accept4(in->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            break;
        if (!is_our_init(in, fd))
            continue;
        in->fd = TAKE_FD(fd);
        listen_now(in, false);
        watch(in, false);
        return 0;
    }
    /* whoever it was, it may be one that dials in a loop */
    listen_now(in, false);
    in->rest_timer = loop_timer(loop, STRANGERS_REST_MS, on_rested, in);
    return 0;
}

/* False: the socket is full. Errors show when it is read next. */
static bool send_order(struct warden_init *in, const struct order *o)
{
    struct iovec iov = { .iov_base = (void *)o->bytes, .iov_len = o->len };
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(INIT_MAX_FDS * sizeof(int))];
    } control = { 0 };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (o->n_fds > 0) {
        control.head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
                                         .cmsg_type = SCM_RIGHTS,
                                         .cmsg_len = CMSG_LEN(o->n_fds * sizeof(int)) };
        memcpy(CMSG_DATA(&control.head), o->fds, o->n_fds * sizeof(int));
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(o->n_fds * sizeof(int));
    }
    return sendmsg(in->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

static void flush(struct warden_init *in)
{
    struct order *o;
    while ((o = zlistx_first(in->waiting)) && send_order(in, o))
        zlistx_delete(in->waiting, zlistx_cursor(in->waiting));
    bool full = zlistx_size(in->waiting) > 0;
    if (full != in->wants_write)
        watch(in, full);
}

void warden_init_send_fds(struct warden_init *in, const struct init_packet *p, const int *fds,
                          size_t n)
{
    struct order *o = malloc(sizeof *o + INIT_HEADER_BYTES + p->payload_len);
    assert(o && n <= INIT_MAX_FDS);
    o->n_fds = n;
    for (size_t i = 0; i < n; i++)
        o->fds[i] = fds[i];
    o->len = init_encode(p, o->bytes, INIT_HEADER_BYTES + p->payload_len);
    if (!in->greeted || o->len == 0 || zlistx_size(in->waiting) >= WARDEN_INIT_MAX_WAITING) {
        /* an order that is forgotten is not confirmed: its owner's deadline tells */
        order_destroy((void **)&o);
        return;
    }
    zlistx_add_end(in->waiting, o);
    flush(in);
}

void warden_init_send(struct warden_init *in, const struct init_packet *p, int fd)
{
    warden_init_send_fds(in, p, &fd, fd >= 0);
}

bool warden_init_is_there(const struct warden_init *in)
{
    return in->settled;
}

bool warden_init_can(const struct warden_init *in, enum init_can what)
{
    return in->settled && (in->can & what);
}

/* The kernels of an earlier warden are heard of: init gets orders from now on. */
static void settle(struct warden_init *in)
{
    if (in->settle_timer >= 0)
        loop_timer_end(in->loop, in->settle_timer);
    in->settle_timer = -1;
    in->settled = true;
    in->events.on_hello(in->events.owner);
}

static int on_settle_timeout(struct loop *loop, int timer_id, void *arg)
{
    struct warden_init *in = arg;
    in->settle_timer = -1;
    settle(in);
    in->events.after(in->events.owner);
    return 0;
}

/* False: the peer broke the protocol. */
static bool take_packet(struct warden_init *in, const struct init_packet *p)
{
    if (p->type < INIT_HELLO || (p->type == INIT_HELLO) == in->greeted)
        return false;
    if (p->type != INIT_HELLO) {
        bool named = p->type == INIT_STARTED || p->type == INIT_EXITED;
        in->events.on_packet(in->events.owner, p);
        if (!in->settled && named && in->to_come && --in->to_come == 0)
            settle(in);
        return true;
    }
    if (p->value != INIT_WIRE_VERSION)
        return false;
    in->greeted = true;
    in->can = p->channel;
    in->to_come = p->kernel;
    if (in->to_come)
        in->settle_timer = loop_timer(in->loop, SETTLE_MS, on_settle_timeout, in);
    else
        settle(in);
    return true;
}

static int on_connection(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct warden_init *in = arg;
    char bytes[MAX_IN_BYTES];
    struct init_packet p;
    if (in->wants_write)
        flush(in);
    for (int i = 0; i < PER_WAKE && in->fd >= 0; i++) {
        /* recv, not recvmsg: descriptors it may send are dropped by the kernel */
        ssize_t n = recv(in->fd, bytes, sizeof bytes, MSG_TRUNC | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n <= 0)
            warden_init_drop(in, n == 0 ? "it hung up" : strerror(errno));
        else if ((size_t)n > sizeof bytes || !init_decode(bytes, (size_t)n, &p) ||
                 !take_packet(in, &p))
            warden_init_drop(in, "it sent nonsense");
    }
    in->events.after(in->events.owner);
    return 0;
}
