#include "sandbox/init_relay.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BUFFER_BYTES    (64u * 1024)
#define TURNS           4 /* buffers moved per wake-up, so that one flood does not starve the rest */
#define RETRY_MAX_MS    20
#define RETRY_MAX_TRIES 5 /* 1, 2, 4, 8, 16 ms, then the maximum */

static void dial(struct init_relay *r);

void init_relay_init(struct init_relay *r, struct init_relays *shared, void *owner,
                     unsigned channel)
{
    r->shared = shared;
    r->owner = owner;
    r->channel = channel;
    r->warden.fd = r->kernel.fd = r->folder.wd = -1;
}

static char *take_buffer(struct init_relays *all)
{
    if (all->spare)
        return TAKE(all->spare);
    void *fresh =
        mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return fresh == MAP_FAILED ? NULL : fresh;
}

static void give_buffer(struct init_relays *all, struct init_flow *f)
{
    char *buffer = TAKE(f->buffer);
    f->len = 0;
    if (buffer && all->spare)
        (void)munmap(buffer, BUFFER_BYTES); /* ours, page-aligned: cannot fail */
    else if (buffer)
        all->spare = buffer;
}

void init_relay_drop(struct init_relay *r)
{
    struct init_loop *l = r->shared->loop;
    init_timer_disarm(l, &r->retry);
    init_folders_leave(r->shared->folders, &r->folder);
    init_watch_close(l, &r->warden);
    init_watch_close(l, &r->kernel);
    give_buffer(r->shared, &r->up);
    give_buffer(r->shared, &r->down);
    r->state = INIT_RELAY_IDLE;
}

static void end(struct init_relay *r, int error)
{
    init_relay_drop(r);
    r->on_closed(r, error);
}

/* The flags are for sockets; a terminal's master does not block by itself. */
static ssize_t take_bytes(const struct init_relay *r, int from, char *at, size_t size)
{
    bool tty = r->is_tty && from == r->kernel.fd;
    return tty ? read(from, at, size) : recv(from, at, size, MSG_DONTWAIT);
}

static ssize_t give_bytes(const struct init_relay *r, int to, const char *at, size_t size)
{
    bool tty = r->is_tty && to == r->kernel.fd;
    return tty ? write(to, at, size) : send(to, at, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Passes on what the flow holds. False when the sink is full. */
static bool drain(struct init_relay *r, struct init_flow *f, int to)
{
    while (f->len) {
        ssize_t n = give_bytes(r, to, f->buffer + f->at, f->len);
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n < 0) { /* whoever reads there is gone; what comes from there is still wanted */
            f->broken = true;
            f->len = 0;
            break;
        }
        f->at += (size_t)n;
        f->len -= (size_t)n;
        r->moved += (uint64_t)n;
    }
    return true;
}

static void pump(struct init_relay *r, struct init_flow *f, int from, int to)
{
    for (int turn = 0; turn < TURNS; turn++) {
        if (!drain(r, f, to))
            return;
        if (f->eof || f->broken)
            break;
        if (!f->buffer && !(f->buffer = take_buffer(r->shared))) {
            r->error = ENOMEM;
            f->eof = true;
            break;
        }
        ssize_t n = take_bytes(r, from, f->buffer, BUFFER_BYTES);
        if (n < 0 && errno == EAGAIN && !(r->is_last && f == &r->up))
            break;
        if (n <= 0) {
            bool is_fault = n < 0 && errno != EAGAIN && !(r->is_tty && errno == EIO);
            r->error = is_fault && !r->error ? errno : r->error;
            f->eof = true;
            break;
        }
        f->at = 0;
        f->len = (size_t)n;
        if (f->len < BUFFER_BYTES && !r->is_tty) /* that gives 4 KiB at a time */
            turn = TURNS; /* most likely that was all: spare the read that says so */
    }
    if (drain(r, f, to))
        give_buffer(r->shared, f);
}

static void pump_both(struct init_relay *r)
{
    pump(r, &r->up, r->kernel.fd, r->warden.fd);
    pump(r, &r->down, r->warden.fd, r->kernel.fd);
    /* An end is only read when all before it is passed on, so a flow at its end holds nothing. */
    if (r->up.eof || r->down.eof || (r->up.broken && r->down.broken))
        return end(r, r->error);
    bool read_kernel = !r->up.len && !r->up.broken;
    bool read_warden = !r->down.len && !r->down.broken;
    uint32_t kernel = (read_kernel ? EPOLLIN : 0) | (r->down.len ? EPOLLOUT : 0);
    uint32_t warden = (read_warden ? EPOLLIN : 0) | (r->up.len ? EPOLLOUT : 0);
    if (init_watch_want(r->shared->loop, &r->kernel, kernel) < 0 ||
        init_watch_want(r->shared->loop, &r->warden, warden) < 0)
        end(r, errno);
}

static void connected(struct init_relay *r)
{
    int one = 1;
    if (r->port) /* else Nagle waits for the delayed ACK: 40 ms on small messages */
        (void)setsockopt(r->kernel.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    init_timer_disarm(r->shared->loop, &r->retry);
    init_folders_leave(r->shared->folders, &r->folder);
    r->state = INIT_RELAY_OPEN;
    r->on_connected(r);
    if (r->state == INIT_RELAY_OPEN)
        pump_both(r);
}

static void retry_due(struct init_timer *t)
{
    dial(INIT_OWNER(t, struct init_relay, retry));
}

static void folder_changed(struct init_waiter *w)
{
    struct init_relay *r = INIT_OWNER(w, struct init_relay, folder);
    if (r->state == INIT_RELAY_DIALLING)
        dial(r);
}

/* Waits for the socket's name when it is missing, else (nobody listens yet) for a moment. */
static void wait_again(struct init_relay *r, int error)
{
    init_watch_close(r->shared->loop, &r->kernel);
    r->state = INIT_RELAY_DIALLING;
    if (!r->port && error == ENOENT && r->folder.wd >= 0)
        return init_timer_disarm(r->shared->loop, &r->retry);
    int64_t in_ms = r->tries < RETRY_MAX_TRIES ? 1 << r->tries++ : RETRY_MAX_MS;
    init_timer_arm(r->shared->loop, &r->retry, in_ms, retry_due);
}

static void kernel_ready(struct init_watch *w, uint32_t events)
{
    (void)events;
    struct init_relay *r = INIT_OWNER(w, struct init_relay, kernel);
    if (r->state == INIT_RELAY_OPEN)
        return pump_both(r);
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error)
        wait_again(r, error);
    else
        connected(r);
}

static void warden_ready(struct init_watch *w, uint32_t events)
{
    (void)events;
    struct init_relay *r = INIT_OWNER(w, struct init_relay, warden);
    if (r->state == INIT_RELAY_OPEN)
        return pump_both(r);
    end(r, ECONNRESET); /* hung up before the kernel answered */
}

void init_relay_settle(struct init_relay *r)
{
    struct pollfd answer = { .fd = r->kernel.fd, .events = POLLOUT };
    if (r->state == INIT_RELAY_CONNECTING && poll(&answer, 1, 0) == 1)
        kernel_ready(&r->kernel, EPOLLOUT);
}

/* Returns 0, or -1 with errno: EINPROGRESS and what says "not yet". */
static int start_connect(struct init_relay *r, int fd)
{
    if (!r->port) {
        struct sockaddr_un to = { .sun_family = AF_UNIX };
        memcpy(to.sun_path, r->path, sizeof to.sun_path);
        return connect(fd, (struct sockaddr *)&to, sizeof to);
    }
    /* From 127.0.0.2: dialling a free port of one's own address again and again sooner or later
     * picks that port as the source, connects to itself, and takes the port from the kernel. */
    struct sockaddr_in from = { .sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1) };
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(r->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int one = 1;
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one); /* a nicety */
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
        return -1;
    return connect(fd, (struct sockaddr *)&to, sizeof to);
}

static void dial(struct init_relay *r)
{
    /* The watch comes before the attempt, so a socket made in between is not missed. */
    if (!r->port)
        (void)init_folders_wait(r->shared->folders, &r->folder, r->path, folder_changed);
    CLEANUP_FD int fd =
        socket(r->port ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = fd < 0 || start_connect(r, fd) < 0 ? errno : 0;
    if (error && error != EINPROGRESS)
        return wait_again(r, error);
    init_timer_disarm(r->shared->loop, &r->retry);
    r->state = INIT_RELAY_CONNECTING;
    if (init_watch_open(r->shared->loop, &r->kernel, TAKE_FD(fd), EPOLLOUT, kernel_ready) < 0)
        return wait_again(r, errno);
    if (!error)
        connected(r);
}

static bool parse_where(struct init_relay *r, const char *where, size_t len)
{
    r->port = 0;
    memset(r->path, 0, sizeof r->path);
    if (len > 4 && !memcmp(where, "ipc:", 4) && where[4] == '/' && len - 4 < sizeof r->path &&
        !memchr(where, '\0', len)) {
        memcpy(r->path, where + 4, len - 4);
        return true;
    }
    if (len < 5 || len > 9 || memcmp(where, "tcp:", 4))
        return false;
    unsigned port = 0;
    for (size_t i = 4; i < len; i++) {
        if (where[i] < '0' || where[i] > '9')
            return false;
        port = port * 10 + (unsigned)(where[i] - '0');
    }
    r->port = (uint16_t)port;
    return port > 0 && port <= UINT16_MAX;
}

static bool set_non_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

static void begin(struct init_relay *r, enum init_relay_state state)
{
    r->up = r->down = (struct init_flow){ 0 };
    r->tries = 0;
    r->error = 0;
    r->moved = 0;
    r->is_tty = r->is_last = false;
    r->state = state;
}

int init_relay_open(struct init_relay *r, int warden_fd, const char *where, size_t len)
{
    CLEANUP_FD int fd = warden_fd;
    init_relay_drop(r);
    if (fd < 0 || !parse_where(r, where, len))
        return fd < 0 ? EBADF : EINVAL;
    if (!set_non_blocking(fd))
        return errno;
    /* Until the kernel answers only the warden's leaving matters, not what it has already sent. */
    if (init_watch_open(r->shared->loop, &r->warden, TAKE_FD(fd), EPOLLRDHUP, warden_ready) < 0)
        return errno;
    begin(r, INIT_RELAY_DIALLING);
    dial(r);
    return 0;
}

int init_relay_join(struct init_relay *r, int warden_fd, int tty_fd)
{
    CLEANUP_FD int fd = warden_fd, tty = tty_fd;
    init_relay_drop(r);
    if (!set_non_blocking(fd))
        return errno;
    if (init_watch_open(r->shared->loop, &r->warden, TAKE_FD(fd), EPOLLIN, warden_ready) < 0 ||
        init_watch_open(r->shared->loop, &r->kernel, TAKE_FD(tty), EPOLLIN, kernel_ready) < 0) {
        int error = errno;
        init_relay_drop(r);
        return error;
    }
    begin(r, INIT_RELAY_OPEN);
    r->is_tty = true;
    return 0;
}

void init_relay_finish(struct init_relay *r)
{
    if (r->state != INIT_RELAY_OPEN)
        return;
    r->is_last = true;
    pump_both(r);
}
