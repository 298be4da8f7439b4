#include "kernelhub/link_client.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/log.h"
#include "kernelhub/spare.h"
#include "protocol/frame.h"

#define READ_BYTES       (256u * 1024)
#define MAX_OUT_BYTES    (64u << 20)
#define LARGER_THAN_COME 8
#define ACK_BYTES        (64u * 1024)  /* acknowledge at once after so much */
#define ACK_MS           20            /* ... and else this late, or with the next order */
#define KEEP_IN_BYTES    (512u * 1024) /* a bigger buffer is given back when it is empty */

struct link_client {
    struct hub *hub;
    struct link_handler handler;
    int fd;
    struct buf in, out;
    bool handling;      /* inside on_frame: freeing waits */
    uint64_t seen;      /* highest number handled */
    uint64_t committed; /* highest number whose writes are in the store */
    uint64_t acked;
    size_t pending;             /* marks taken and not yet committed */
    size_t unacked_bytes;       /* seen since the last ACK */
    size_t unacked_large_bytes; /* of these, what is bigger than the window */
    int ack_timer;              /* -1: none is owed */
    uint64_t last_here;         /* highest number of this connection */
    bool greeted, heard;
    const char *broken; /* the rule that was broken */
    bool paused;        /* frames stay in `in`, and bytes in the socket */
    uint32_t watched;   /* epoll events that are asked for */
};

struct link_client *link_client_new(struct hub *h, struct link_handler handler)
{
    struct link_client *l = calloc(1, sizeof *l);
    if (!l)
        abort();
    l->hub = h;
    l->handler = handler;
    l->fd = l->ack_timer = -1;
    buf_init(&l->in, LINK_MAX_FRAME_BYTES + READ_BYTES + 64);
    buf_init(&l->out, MAX_OUT_BYTES);
    return l;
}

static void owe_nothing(struct link_client *l)
{
    if (l->ack_timer >= 0)
        loop_timer_end(l->hub->loop, l->ack_timer);
    l->ack_timer = -1;
}

void link_client_close(struct link_client *l)
{
    if (l->fd < 0)
        return;
    owe_nothing(l);
    (void)epoll_ctl(l->hub->link_epoll, EPOLL_CTL_DEL, l->fd, NULL); /* closing does it as well */
    close(l->fd);
    l->fd = -1;
    buf_done(&l->in);
    buf_done(&l->out);
}

void link_client_free(struct link_client *l)
{
    if (!l)
        return;
    assert(!l->handling);
    link_client_close(l);
    free(l);
}

bool link_client_is_open(const struct link_client *l)
{
    return l->fd >= 0;
}

static void fail(struct link_client *l, const char *why, bool broke_rules)
{
    link_client_close(l);
    l->handler.on_closed(l->handler.arg, why, broke_rules);
}

static bool watch(struct link_client *l)
{
    uint32_t wanted = (l->paused ? 0 : EPOLLIN) | (l->out.len ? EPOLLOUT : 0);
    struct epoll_event ev = { .events = wanted, .data.ptr = l };
    if (wanted == l->watched)
        return true;
    /* with no events asked for a hangup would still be told, in each turn */
    int op = !wanted ? EPOLL_CTL_DEL : l->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    l->watched = wanted;
    return epoll_ctl(l->hub->link_epoll, op, l->fd, &ev) == 0;
}

/* False when the link broke (closed, handler not yet told). */
static bool flush(struct link_client *l)
{
    while (l->out.len) {
        ssize_t n = send(l->fd, l->out.data, l->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n < 0)
            break;
        buf_drop(&l->out, (size_t)n);
    }
    return watch(l);
}

static uint64_t may_acknowledge(const struct link_client *l)
{
    return l->pending ? l->committed : l->seen;
}

/* Not from inside on_frame: what that frame causes may not have taken its mark yet. */
static void encode_ack(struct link_client *l)
{
    if (l->handling)
        return;
    owe_nothing(l);
    if (may_acknowledge(l) <= l->acked)
        return;
    struct link_frame ack = { .type = LINK_ACK, .number = may_acknowledge(l) };
    l->acked = ack.number;
    l->unacked_bytes = l->unacked_large_bytes = 0;
    link_encode(&l->out, &ack);
}

/* Sends `f` and, in the same write, what is owed; NULL: only that. */
static void send_frame(struct link_client *l, const struct link_frame *f)
{
    encode_ack(l);
    if (f)
        link_encode(&l->out, f);
    if (l->out.failed)
        shutdown(
            l->fd,
            SHUT_RDWR); /* the loop sees the end and closes: a sender must not lose its link under its feet */
    else if (!flush(l))
        shutdown(l->fd, SHUT_RDWR);
}

void link_client_send(struct link_client *l, const struct link_frame *f)
{
    if (l->fd >= 0)
        send_frame(l, f);
}

int link_client_connect(struct link_client *l, const char *path, const char *epoch, struct err *e)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path)
        return err_set(e, ERR_INTERNAL, "path '%s' is too long for a socket", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    link_client_close(l);
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return err_errno(e, ERR_SANDBOX, "connect to the sandbox's warden");
    l->fd = TAKE_FD(fd);
    l->watched = 0;
    if (!watch(l)) {
        (void)err_errno(e, ERR_INTERNAL, "watch a link");
        link_client_close(l);
        return -1;
    }
    l->acked = l->committed;
    l->unacked_bytes = l->unacked_large_bytes = 0;
    l->last_here = 0;
    l->greeted = false;
    l->broken = NULL;
    CLEANUP_BUF struct buf json = BUF_INIT(512);
    buf_addf(&json,
             "{\"version\":%d,\"newest\":%d,\"epoch\":\"%s\",\"last\":%llu,\"features\":"
             "[\"" LINK_LARGE_BESIDE "\"]}",
             LINK_OLDEST_VERSION, LINK_VERSION, epoch, (unsigned long long)l->committed);
    struct link_frame hello = { .type = LINK_HELLO, .n_parts = 1, .parts = { buf_slice(&json) } };
    link_encode(&l->out, &hello); /* before any ACK */
    if (!flush(l))
        shutdown(l->fd, SHUT_RDWR); /* the loop sees the end */
    return 0;
}

void link_client_set_seen(struct link_client *l, uint64_t number)
{
    l->seen = l->committed = l->acked = number;
}

void link_client_new_epoch(struct link_client *l)
{
    owe_nothing(l);
    l->paused = false;
    l->pending = 0;
    l->last_here = 0;
    link_client_set_seen(l, 0);
}

bool link_client_heard(struct link_client *l)
{
    bool heard = l->heard;
    l->heard = false;
    return heard;
}

uint64_t link_client_seen(const struct link_client *l)
{
    return l->seen;
}

static int ack_due(struct loop *loop, int timer, void *arg)
{
    struct link_client *l = arg;
    l->ack_timer = -1;
    send_frame(l, NULL);
    return 0;
}

/* Little is acknowledged late: an ACK of its own wakes the warden, and did so between an event and its reader (150 of the 700 µs
 * that we add to a cell). What is not acknowledged stays in the warden's memory, far below its window. */
static void acknowledge(struct link_client *l)
{
    if (l->fd < 0 || may_acknowledge(l) <= l->acked)
        return;
    if (l->unacked_bytes >= ACK_BYTES)
        send_frame(l, NULL);
    else if (l->ack_timer < 0)
        l->ack_timer = loop_timer(l->hub->loop, ACK_MS, ack_due, l);
}

uint64_t link_client_take_mark(struct link_client *l)
{
    l->pending++;
    return l->seen;
}

void link_client_committed(struct link_client *l, uint64_t number)
{
    assert(l->pending > 0);
    l->pending--;
    if (number > l->committed)
        l->committed = number;
    if (!l->handling)
        acknowledge(l);
}

/* It does not wait for us: more than the window is under way, or a second frame that is bigger than that. */
static bool is_too_much(const struct link_client *l, size_t bytes)
{
    if (bytes > LINK_WINDOW_BYTES)
        return l->unacked_large_bytes > 0;
    return l->unacked_bytes - l->unacked_large_bytes + bytes > LINK_WINDOW_BYTES;
}

/* What no warden sends, NULL: nothing of that kind. A warden may leave out what we had before this connection. */
static const char *find_fault(const struct link_client *l, const struct link_frame *f)
{
    bool ours = f->type < LINK_KERNEL && f->type != LINK_HELLO && f->type != LINK_MESSAGE;
    if (ours)
        return "it gives orders";
    if ((f->type == LINK_HELLO) == l->greeted)
        return l->greeted ? "it says hello again" : "it speaks before its hello";
    if (link_is_numbered(f->type) != (f->number > 0))
        return f->number ? "it counts what is not counted" : "a frame has no number";
    if (f->number && f->number <= l->last_here)
        return "its numbers go backwards";
    if (f->number > l->seen + 1)
        return "its numbers have a hole";
    if (f->number > l->seen && is_too_much(l, link_encoded_bytes(f)))
        return "it does not wait for us";
    return NULL;
}

static void on_frame(struct link_client *l, const struct link_frame *f)
{
    l->broken = find_fault(l, f);
    if (l->broken)
        return;
    l->greeted = true;
    if (f->number) {
        l->last_here = f->number;
        if (f->number <= l->seen)
            return; /* sent again after a reconnect */
        l->seen = f->number;
        size_t bytes = link_encoded_bytes(f);
        l->unacked_bytes += bytes;
        l->unacked_large_bytes += bytes > LINK_WINDOW_BYTES ? bytes : 0;
    }
    l->handler.on_frame(l->handler.arg, f);
}

static bool decode_all(struct link_client *l)
{
    static struct link_frame f; /* 8 KiB: one loop, one thread */
    size_t used, done = 0;
    enum decode d = DECODE_MORE;
    l->handling = true;
    while (l->fd >= 0 && !l->broken && !l->paused &&
           (d = link_decode(slice_of(l->in.data + done, l->in.len - done), &f, &used)) ==
               DECODE_OK) {
        on_frame(l, &f);
        done += used;
    }
    l->handling = false;
    if (l->fd < 0)
        return true; /* a handler closed it and knows */
    buf_drop(&l->in, done);
    if (l->in.len == 0 && l->in.capacity > KEEP_IN_BYTES) {
        if (l->in.capacity >= SPARE_LARGE_BYTES)
            spare_note(l->hub);
        buf_done(&l->in);
    }
    if (!l->broken && !l->paused && d != DECODE_MORE)
        l->broken = "its frames are malformed";
    return !l->broken;
}

static void handle_all(struct link_client *l)
{
    store_hold(l->hub->store);
    bool good = decode_all(l);
    if (l->hub->before_commit)
        l->hub->before_commit(l->hub->before_commit_arg);
    store_release(l->hub->store);
    if (!good)
        fail(l, l->broken, true);
    else if (l->fd >= 0 && !watch(l))
        fail(l, "the link broke", false);
    else
        acknowledge(l);
}

void link_client_pause(struct link_client *l)
{
    assert(l->handling);
    l->paused = true;
}

void link_client_resume(struct link_client *l)
{
    if (!l->paused)
        return;
    l->paused = false;
    if (!l->handling && l->fd >= 0)
        handle_all(l);
}

/* A large frame gets its whole room at once, when so much of it has come that it is more than announced; and its end is read alone, for
 * what comes behind it would double that room. */
static char *room_to_read(struct link_client *l, size_t *ret_n)
{
    size_t missing = frame_bytes_missing(buf_slice(&l->in)), room = READ_BYTES;
    *ret_n = READ_BYTES;
    if (missing > READ_BYTES && missing <= LARGER_THAN_COME * l->in.len)
        room = missing;
    else if (missing > 0 && missing < READ_BYTES && l->in.len > READ_BYTES)
        room = *ret_n = missing;
    return buf_room(&l->in, room);
}

static void on_readable(struct link_client *l)
{
    size_t n_room;
    char *room = room_to_read(l, &n_room);
    ssize_t n = room ? recv(l->fd, room, n_room, MSG_DONTWAIT) : -1;
    if (n == 0 || (n < 0 && (!room || (errno != EAGAIN && errno != EINTR)))) {
        fail(l, n == 0 ? "the warden closed the link" : "the link broke", false);
        return;
    }
    if (n < 0)
        return;
    l->in.len += (size_t)n;
    l->heard = true;
    handle_all(l);
}

static int on_epoll(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct hub *h = arg;
    struct epoll_event events[1]; /* one a turn: a handler may free another link */
    int n = epoll_wait(h->link_epoll, events, 1, 0);
    if (n < 1)
        return 0;
    struct link_client *l = events[0].data.ptr;
    bool sent = !(events[0].events & EPOLLOUT) || flush(l);
    if (!sent &&
        !(events[0].events & EPOLLIN)) /* what a warden said before it went is still heard */
        fail(l, "the link broke", false);
    else if (events[0].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        on_readable(l);
    return 0;
}

int link_clients_open(struct hub *h, struct err *e)
{
    h->link_epoll = epoll_create1(EPOLL_CLOEXEC);
    if (h->link_epoll < 0)
        return err_errno(e, ERR_INTERNAL, "epoll");
    zmq_pollitem_t item = { .fd = h->link_epoll, .events = ZMQ_POLLIN };
    loop_poller(h->loop, &item, on_epoll, h);
    return 0;
}

void link_clients_close(struct hub *h)
{
    if (h->link_epoll < 0)
        return;
    zmq_pollitem_t item = { .fd = h->link_epoll };
    loop_poller_end(h->loop, &item);
    close(h->link_epoll);
    h->link_epoll = -1;
}
