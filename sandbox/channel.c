#include "sandbox/channel.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/uuid.h"

/* Of init's end. The system may give less; each time it is full two processes take turns. */
#define SEND_BUFFER_BYTES (1 << 20)

/* A message that waits for the kernel to be there. */
struct waiting {
    size_t n;
    zmq_msg_t frames[];
};

struct channel {
    struct loop *loop;
    enum link_channel which;
    struct channel_events events;
    struct sockaddr_un address;
    zsock_t *socket;
    zsock_t *monitor; /* tells when the peer has shaken hands and when it is gone */
    zlistx_t *waiting;
    bool attached;
    int again_timer; /* there is more to do, and no event will say so; -1: none */
};

static void waiting_destroy(void **item)
{
    struct waiting *w = *item;
    for (size_t i = 0; i < w->n; i++)
        zmq_msg_close(&w->frames[i]);
    free(w);
    *item = NULL;
}

static void flush(struct channel *c);

/* What flush sends may swallow what came meanwhile: so the events after it count. */
static void work(struct channel *c)
{
    int events = zsock_events(c->socket);
    if ((events & ZMQ_POLLOUT) && zlistx_size(c->waiting) > 0) {
        flush(c);
        events = zsock_events(c->socket);
    }
    if (events & ZMQ_POLLIN)
        c->events.on_readable(c->events.owner, c->which);
}

static int on_socket(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    work(arg);
    return 0;
}

static int on_again(struct loop *loop, int timer, void *arg)
{
    struct channel *c = arg;
    c->again_timer = -1;
    work(c);
    return 0;
}

/* A ZeroMQ socket's descriptor tells of changes, not of states (zmq_getsockopt(3), ZMQ_FD), and each call on the socket may swallow
 * what it would have told: so after each of them we look. That somebody is there to send to is told no other way. */
void channel_look_again(struct channel *c)
{
    if (c->again_timer >= 0)
        return;
    int events = zsock_events(c->socket);
    if ((events & ZMQ_POLLIN) || ((events & ZMQ_POLLOUT) && zlistx_size(c->waiting) > 0))
        c->again_timer = loop_timer(c->loop, 0, on_again, c);
}

static int on_monitor(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct channel *c = arg;
    void *raw = zsock_resolve(c->monitor);
    char event[6], address[256];
    bool before = c->attached;
    /* frame 1: u16 event, u32 value; frame 2: the endpoint (zmq_socket_monitor(3)) */
    while (zmq_recv(raw, event, sizeof event, ZMQ_DONTWAIT) >= 2) {
        uint16_t what;
        memcpy(&what, event, sizeof what);
        c->attached = what == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
        if (zmq_recv(raw, address, sizeof address, ZMQ_DONTWAIT) < 0)
            break;
    }
    if (c->attached)
        flush(c);
    channel_look_again(c);
    if (c->attached != before)
        c->events.on_attach(c->events.owner, c->which);
    return 0;
}

/* The descriptor, not the socket: a ZeroMQ socket in the loop costs system calls in each turn, whoever woke it. */
static zmq_pollitem_t descriptor_of(zsock_t *socket)
{
    return (zmq_pollitem_t){ .fd = (int)zsock_fd(socket), .events = ZMQ_POLLIN };
}

static int open_monitor(struct channel *c, struct err *e)
{
    char endpoint[64];
    /* Never a name twice: ZeroMQ frees one some time after its socket was closed. */
    const struct uuid unique = uuid_new();
    (void)snprintf(endpoint, sizeof endpoint, "inproc://monitor-%s", unique.text);
    if (zmq_socket_monitor(zsock_resolve(c->socket), endpoint,
                           ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED) < 0)
        return err_errno(e, ERR_INTERNAL, "monitor channel %s", link_channel_name(c->which));
    c->monitor = zsock_new(ZMQ_PAIR);
    if (!c->monitor || zsock_connect(c->monitor, "%s", endpoint) < 0)
        return err_errno(e, ERR_INTERNAL, "read the monitor of channel %s",
                         link_channel_name(c->which));
    /* Its descriptor tells of what comes after somebody has looked in vain. */
    (void)zsock_events(c->monitor);
    return 0;
}

struct channel *channel_open(struct loop *loop, enum link_channel which, const char *path,
                             const char *routing_id, const struct channel_events *events,
                             struct err *e)
{
    CLEANUP(channel_close) struct channel *c = calloc(1, sizeof *c);
    assert(c);
    c->loop = loop;
    c->again_timer = -1;
    c->which = which;
    c->events = *events;
    c->waiting = zlistx_new();
    zlistx_set_destructor(c->waiting, waiting_destroy);
    c->address.sun_family = AF_UNIX;
    if (strlen(path) >= sizeof c->address.sun_path) {
        err_set(e, ERR_INTERNAL, "path of channel %s is too long", link_channel_name(which));
        return NULL;
    }
    strcpy(c->address.sun_path, path);
    c->socket = zsock_new(which == LINK_IOPUB ? ZMQ_SUB : ZMQ_DEALER);
    if (!c->socket) {
        err_errno(e, ERR_INTERNAL, "make channel %s", link_channel_name(which));
        return NULL;
    }
    zsock_set_linger(c->socket, 0);
    zsock_set_rcvhwm(c->socket,
                     0); /* we always drain; a mark would make the kernel drop, silently */
    zsock_set_sndhwm(c->socket, 0);
    int64_t max = CHANNEL_MAX_FRAME_BYTES;
    (void)zmq_setsockopt(zsock_resolve(c->socket), ZMQ_MAXMSGSIZE, &max,
                         sizeof max); /* a known option */
    zsock_set_handshake_ivl(c->socket,
                            0); /* a kernel may take long to listen; its start has a deadline */
    if (which == LINK_IOPUB)
        zsock_set_subscribe(c->socket, "");
    else
        zsock_set_identity(c->socket, routing_id);
    if (open_monitor(c, e) < 0)
        return NULL;
    if (zsock_bind(c->socket, "ipc://%s", path) < 0) {
        err_errno(e, ERR_INTERNAL, "bind channel %s", link_channel_name(which));
        return NULL;
    }
    zmq_pollitem_t socket = descriptor_of(c->socket), monitor = descriptor_of(c->monitor);
    loop_poller(loop, &socket, on_socket, c);
    loop_poller(loop, &monitor, on_monitor, c); /* takes until there is nothing, never sends */
    return TAKE(c);
}

void channel_close(struct channel *c)
{
    if (!c)
        return;
    if (c->again_timer >= 0)
        loop_timer_end(c->loop, c->again_timer);
    if (c->monitor) {
        zmq_pollitem_t monitor = descriptor_of(c->monitor);
        loop_poller_end(c->loop, &monitor);
        (void)zmq_socket_monitor(zsock_resolve(c->socket), NULL, 0); /* stops it */
        zsock_destroy(&c->monitor);
    }
    if (c->socket) {
        zmq_pollitem_t socket = descriptor_of(c->socket);
        loop_poller_end(c->loop, &socket);
    }
    zsock_destroy(&c->socket);
    zlistx_destroy(&c->waiting);
    free(c);
}

int channel_dial(struct channel *c, struct err *e)
{
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&c->address, sizeof c->address) < 0)
        return err_errno(e, ERR_INTERNAL, "dial channel %s", link_channel_name(c->which));
    int much = SEND_BUFFER_BYTES;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &much, sizeof much); /* a nicety */
    return TAKE_FD(fd);
}

/* Sends the message's frames from `w`; false when no peer is there to take it. */
static bool send_now(struct channel *c, struct waiting *w)
{
    void *raw = zsock_resolve(c->socket);
    for (size_t i = 0; i < w->n; i++) {
        int flags = ZMQ_DONTWAIT | (i + 1 < w->n ? ZMQ_SNDMORE : 0);
        if (zmq_msg_send(&w->frames[i], raw, flags) < 0) {
            /* only the first frame can find no peer; what a lost peer leaves unsent ZeroMQ drops */
            if (i == 0)
                return false;
            break;
        }
    }
    return true;
}

static void flush(struct channel *c)
{
    struct waiting *w;
    while ((w = zlistx_first(c->waiting)) && send_now(c, w))
        zlistx_delete(c->waiting, zlistx_cursor(c->waiting));
}

bool channel_send(struct channel *c, const struct slice *frames, size_t n)
{
    if (zlistx_size(c->waiting) >= CHANNEL_MAX_WAITING)
        return false;
    struct waiting *w = calloc(1, sizeof *w + n * sizeof w->frames[0]);
    if (!w)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (zmq_msg_init_size(&w->frames[i], frames[i].len) < 0) {
            waiting_destroy((void **)&w);
            return false;
        }
        w->n++;
        if (frames[i].len)
            memcpy(zmq_msg_data(&w->frames[i]), frames[i].data, frames[i].len);
    }
    /* in order: nothing overtakes what waits */
    if (zlistx_size(c->waiting) == 0 && send_now(c, w))
        waiting_destroy((void **)&w);
    else
        zlistx_add_end(c->waiting, w); /* till a peer is there: on_socket */
    channel_look_again(c);
    return true;
}

void channel_message_done(struct channel_message *m)
{
    for (size_t i = 0; i < m->n; i++)
        zmq_msg_close(&m->frames[i]);
    m->n = 0;
}

enum channel_got channel_receive(struct channel *c, struct channel_message *ret)
{
    void *raw = zsock_resolve(c->socket);
    struct slice slices[CHANNEL_MAX_FRAMES];
    bool more = true, too_big = false;
    ret->n = ret->bytes = 0;
    for (size_t i = 0; more; i++) {
        /* past the bound the last place is used again and again, to read the rest away */
        zmq_msg_t *frame = &ret->frames[ret->n];
        zmq_msg_init(frame);
        if (zmq_msg_recv(frame, raw, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(frame);
            channel_message_done(ret);
            return CHANNEL_EMPTY;
        }
        more = zmq_msg_more(frame);
        ret->bytes += zmq_msg_size(frame);
        if (ret->bytes > CHANNEL_MAX_BYTES || ret->n + 1 >= CHANNEL_MAX_FRAMES)
            too_big = true;
        if (too_big) {
            zmq_msg_close(frame);
            channel_message_done(ret);
            continue;
        }
        slices[ret->n] = slice_of(zmq_msg_data(frame), zmq_msg_size(frame));
        ret->n++;
    }
    if (too_big)
        return CHANNEL_TOO_BIG;
    /* slices of small frames point into the zmq_msg_t itself, which does not move */
    if (jupyter_cut(slices, ret->n, &ret->message))
        return CHANNEL_MESSAGE;
    channel_message_done(ret);
    return CHANNEL_NONSENSE;
}

bool channel_is_attached(const struct channel *c)
{
    return c->attached;
}

bool channel_has_input(struct channel *c)
{
    channel_look_again(c);
    return (zsock_events(c->socket) & ZMQ_POLLIN) != 0;
}
