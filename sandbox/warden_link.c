#include "sandbox/warden_link.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/json.h"
#include "base/log.h"

#define READ_BYTES      (64u << 10)
#define IOVECS          64
#define WRITES_PER_WAKE 16
#define CALM_MS         3
/* The system may give less. Each time it is full two processes take turns. */
#define SEND_BUFFER_BYTES (1 << 20)

struct warden_link {
    struct loop *loop;
    struct warden_link_events events;
    struct keep *keep;
    const char *sandbox_id;
    struct uuid epoch;
    unsigned first_uid, last_uid;
    int listener, fd;
    int hello_timer;
    bool greeted, wants_write, dead; /* dead: to be closed when nothing of it is on the stack */
    struct buf in, out;
    size_t out_at;   /* bytes of out that are written */
    int64_t calm_ms; /* what may wait goes then; 0: nothing waits */
};

static int on_connection(struct loop *loop, zmq_pollitem_t *item, void *arg);

static void watch(struct warden_link *l, bool write)
{
    zmq_pollitem_t item = { .fd = l->fd, .events = ZMQ_POLLIN | (write ? ZMQ_POLLOUT : 0) };
    loop_poller_end(l->loop, &item);
    l->wants_write = write;
    loop_poller(l->loop, &item, on_connection, l);
}

static void stop_hello_timer(struct warden_link *l)
{
    if (l->hello_timer >= 0)
        loop_timer_end(l->loop, l->hello_timer);
    l->hello_timer = -1;
}

static void hang_up(struct warden_link *l, const char *why)
{
    if (l->fd < 0)
        return;
    zmq_pollitem_t item = { .fd = l->fd };
    loop_poller_end(l->loop, &item);
    (void)close(TAKE_FD(l->fd)); /* nothing to do about an error here */
    stop_hello_timer(l);
    buf_done(&l->in);
    buf_done(&l->out);
    l->out_at = 0;
    l->calm_ms = 0;
    l->greeted = l->wants_write = l->dead = false;
    log_info("event=hub_gone reason=%s kept_bytes=%zu", log_quote(slice_str(why)),
             keep_bytes(l->keep));
}

static int on_no_hello(struct loop *loop, int timer_id, void *arg)
{
    struct warden_link *l = arg;
    l->hello_timer = -1;
    hang_up(l, "no HELLO");
    return 0;
}

static bool may_be_hub(struct warden_link *l, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid < l->first_uid || peer.uid > l->last_uid);
}

static int on_dial(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct warden_link *l = arg;
    CLEANUP_FD int fd = accept4(l->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return 0;
    if (!may_be_hub(l, fd)) {
        log_warning("event=hub_refused reason=\"a uid of the sandbox\"");
        return 0;
    }
    hang_up(l, "another connection came");
    int much = SEND_BUFFER_BYTES;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &much, sizeof much); /* a nicety */
    l->fd = TAKE_FD(fd);
    l->hello_timer = loop_timer(loop, WARDEN_LINK_HELLO_MS, on_no_hello, l);
    watch(l, false);
    return 0;
}

struct warden_link *warden_link_new(struct loop *loop, int listener, unsigned first_uid,
                                    unsigned last_uid, const char *sandbox_id,
                                    const struct uuid *epoch, struct keep *keep,
                                    const struct warden_link_events *events)
{
    struct warden_link *l = calloc(1, sizeof *l);
    assert(l);
    *l = (struct warden_link){ .loop = loop,
                               .events = *events,
                               .keep = keep,
                               .sandbox_id = sandbox_id,
                               .epoch = *epoch,
                               .first_uid = first_uid,
                               .last_uid = last_uid,
                               .listener = listener,
                               .fd = -1,
                               .hello_timer = -1,
                               .in = BUF_INIT(LINK_MAX_FRAME_BYTES + READ_BYTES + 4),
                               .out = BUF_INIT(WARDEN_LINK_MAX_OUT_BYTES) };
    zmq_pollitem_t item = { .fd = listener, .events = ZMQ_POLLIN };
    loop_poller(loop, &item, on_dial, l);
    return l;
}

void warden_link_free(struct warden_link *l)
{
    if (!l)
        return;
    hang_up(l, "the warden ends");
    zmq_pollitem_t item = { .fd = l->listener };
    loop_poller_end(l->loop, &item);
    close_fd_at(&l->listener);
    free(l);
}

static void say(struct warden_link *l, const struct link_frame *f)
{
    link_encode(&l->out, f);
    if (l->out.failed)
        l->dead = true;
}

bool warden_link_is_clear(const struct warden_link *l)
{
    return l->greeted && !l->dead && l->out.len == 0;
}

void warden_link_say(struct warden_link *l, const struct link_frame *f)
{
    if (l->greeted && !l->dead)
        say(l, f);
}

/* Writes what stands in iov; returns the bytes written, 0 when the socket is full or broken. */
static size_t write_some(struct warden_link *l, struct iovec *iov, size_t n)
{
    struct msghdr m = { .msg_iov = iov, .msg_iovlen = n };
    ssize_t written = sendmsg(l->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written < 0 && errno != EAGAIN && errno != EINTR)
        l->dead = true;
    return written < 0 ? 0 : (size_t)written;
}

/* Frames are never mixed: what is half written is finished first. Returns false when nothing can be
 * written now; *ret_more says whether that is because the socket is full. */
static bool write_turn(struct warden_link *l, bool *ret_more)
{
    struct iovec iov[IOVECS];
    bool own = l->out_at > 0 || (l->out.len > 0 && !keep_in_mid_frame(l->keep));
    size_t n = 1, wanted = 0;
    if (own)
        iov[0] = (struct iovec){ .iov_base = l->out.data + l->out_at,
                                 .iov_len = l->out.len - l->out_at };
    else
        n = keep_gather(l->keep, iov, l->out.len > 0 ? 1 : IOVECS);
    for (size_t i = 0; i < n; i++)
        wanted += iov[i].iov_len;
    *ret_more = wanted > 0;
    size_t written = wanted ? write_some(l, iov, n) : 0;
    if (!own) {
        keep_sent(l->keep, written);
    } else if ((l->out_at += written) == l->out.len) {
        buf_done(&l->out);
        l->out_at = 0;
    }
    return written > 0 && written == wanted;
}

/* "It has begun" is mostly followed by "it has ended", or by output: one wake-up of the hub and its clients instead of three. */
static bool may_wait(struct warden_link *l)
{
    int64_t now = zclock_mono();
    if (l->out.len > 0 || !keep_may_wait(l->keep) || (l->calm_ms && l->calm_ms <= now)) {
        l->calm_ms = 0;
        return false;
    }
    if (!l->calm_ms)
        l->calm_ms = now + CALM_MS;
    return true;
}

int64_t warden_link_due_ms(const struct warden_link *l)
{
    return l->calm_ms;
}

void warden_link_flush(struct warden_link *l)
{
    bool more = false;
    if (!l->greeted || may_wait(l))
        return;
    for (int i = 0; i < WRITES_PER_WAKE && !l->dead && write_turn(l, &more); i++)
        ;
    if (l->dead)
        hang_up(l, "it does not read");
    else if (more != l->wants_write)
        watch(l, more);
}

/* So that the hub can say why, and not only that the line was cut. */
static void say_own_version(struct warden_link *l)
{
    struct iovec iov;
    CLEANUP_BUF struct buf text = BUF_INIT(256);
    buf_addf(&text, "{\"version\":%d,\"sandbox_id\":\"%s\",\"epoch\":\"%s\"}", LINK_VERSION,
             l->sandbox_id, l->epoch.text);
    struct link_frame hello = { .type = LINK_HELLO, .n_parts = 1 };
    hello.parts[0] = buf_slice(&text);
    say(l, &hello);
    iov = (struct iovec){ .iov_base = l->out.data, .iov_len = l->out.len };
    (void)write_some(l, &iov, 1); /* the first bytes of a connection: they fit */
}

static bool has_feature(struct slice hello, const char *name)
{
    struct slice list;
    if (!json_member(hello, "features", &list))
        return false;
    struct json_iter it = json_iter(list);
    while (json_next(&it))
        if (it.value.len >= 2 && slice_is(slice_of(it.value.data + 1, it.value.len - 2), name))
            return true;
    return false;
}

/* The hub's HELLO: what it has is dropped, ours is said, the rest goes again. */
static bool on_hello(struct warden_link *l, const struct link_frame *f)
{
    int64_t oldest = 0, newest, last = 0;
    struct slice epoch = { 0 };
    struct uuid theirs;
    if (f->n_parts != 1 || !json_valid(f->parts[0]) ||
        !json_member_int(f->parts[0], "version", &oldest))
        return false;
    newest = oldest;
    (void)json_member_int(f->parts[0], "newest", &newest); /* absent: it speaks one version only */
    int version = link_choose_version(oldest, newest);
    if (version == 0) {
        log_warning("event=hub_of_another_version oldest=%lld newest=%lld", (long long)oldest,
                    (long long)newest);
        say_own_version(l);
        return false;
    }
    (void)json_member_string(f->parts[0], "epoch", &epoch); /* absent: it knows none */
    (void)json_member_int(f->parts[0], "last", &last);      /* absent: 0 */
    keep_rewind(l->keep);
    keep_set_large_beside(l->keep, has_feature(f->parts[0], LINK_LARGE_BESIDE));
    if (uuid_parse(epoch, &theirs) && uuid_equal(&theirs, &l->epoch) &&
        (last < 0 || !keep_ack(l->keep, (uint64_t)last)))
        return false;
    l->greeted = true;
    stop_hello_timer(l);
    CLEANUP_BUF struct buf text = BUF_INIT(WARDEN_LINK_MAX_OUT_BYTES - 1024);
    buf_addf(&text, "{\"version\":%d,\"sandbox_id\":\"%s\",\"epoch\":\"%s\",\"first\":%llu",
             version, l->sandbox_id, l->epoch.text, (unsigned long long)keep_first(l->keep));
    l->events.write_hello(l->events.owner, &text);
    buf_add_char(&text, '}');
    struct link_frame hello = { .type = LINK_HELLO, .n_parts = 1 };
    hello.parts[0] = buf_slice(&text);
    say(l, &hello);
    log_info("event=hub_connected last=%lld kept_bytes=%zu", (long long)last, keep_bytes(l->keep));
    return true;
}

static bool take_frame(struct warden_link *l, const struct link_frame *f)
{
    if (f->type >= LINK_KERNEL || (f->type == LINK_HELLO) == l->greeted)
        return false;
    if (f->type == LINK_HELLO)
        return on_hello(l, f);
    if (f->type == LINK_ACK)
        return keep_ack(l->keep, f->number);
    return l->events.on_frame(l->events.owner, f);
}

/* Takes the frames that are complete and says how many bytes they were; false: close the connection. */
static bool take_frames(struct warden_link *l, struct slice bytes, size_t *ret_used)
{
    size_t used;
    struct link_frame f;
    enum decode d = DECODE_OK;
    *ret_used = 0;
    while (*ret_used < bytes.len) {
        d = link_decode(slice_of(bytes.data + *ret_used, bytes.len - *ret_used), &f, &used);
        if (d != DECODE_OK)
            break;
        *ret_used += used;
        if (!take_frame(l, &f))
            return false;
    }
    return d == DECODE_OK || d == DECODE_MORE;
}

/* Whole frames are taken from the stack, so that an idle link holds no memory. */
static bool read_fresh(struct warden_link *l)
{
    char bytes[READ_BYTES];
    size_t used;
    ssize_t n = recv(l->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    if (!take_frames(l, slice_of(bytes, (size_t)n), &used))
        return false;
    buf_add(&l->in, bytes + used, (size_t)n - used);
    return !l->in.failed;
}

/* There is the beginning of a frame already. */
static bool read_more(struct warden_link *l)
{
    size_t used;
    char *room = buf_room(&l->in, READ_BYTES);
    ssize_t n = room ? recv(l->fd, room, READ_BYTES, MSG_DONTWAIT) : 0;
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    l->in.len += (size_t)n;
    if (!take_frames(l, buf_slice(&l->in), &used))
        return false;
    buf_drop(&l->in, used);
    if (l->in.len == 0)
        buf_done(&l->in);
    return true;
}

static int on_connection(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct warden_link *l = arg;
    if (item->revents & (ZMQ_POLLIN | ZMQ_POLLERR) && !(l->in.len ? read_more(l) : read_fresh(l)))
        hang_up(l, "it hung up or sent nonsense");
    l->events.after(l->events.owner);
    return 0;
}
