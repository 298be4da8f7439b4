#include "sandbox/init_warden.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"

#define RETRY_MAX_MS  1000
#define ORDERS_A_WAKE 16
#define MAX_TEXT      128
#define PROVEN_MS     1000 /* a connection that lasted so long was a warden's */

static void try_connect(struct init_warden *w);
static void lost(struct init_warden *w);

bool init_warden_connected(const struct init_warden *w)
{
    return w->watch.fd >= 0;
}

enum sent { SENT, NOT_YET, NEVER };

static enum sent send_packet(struct init_warden *w, const struct init_packet *p)
{
    char bytes[INIT_HEADER_BYTES + INIT_PAYLOAD_OUTPUT];
    size_t len = init_encode(p, bytes, sizeof bytes);
    if (send(w->watch.fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return SENT;
    return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? NOT_YET : NEVER;
}

static enum sent send_note(struct init_warden *w, const struct init_note *n)
{
    struct init_packet p = { .type = (enum init_type)n->type,
                             .channel = n->channel,
                             .kernel = n->kernel,
                             .value = n->value,
                             .payload = n->text,
                             .payload_len = n->text ? strnlen(n->text, MAX_TEXT) : 0 };
    return send_packet(w, &p);
}

/* Orders are not read while an answer waits, so the warden cannot make the queue grow. */
static void want(struct init_warden *w)
{
    if (init_watch_want(w->loop, &w->watch, w->n_notes ? EPOLLOUT : EPOLLIN) < 0)
        lost(w);
}

bool init_warden_say(struct init_warden *w, enum init_type type, uint32_t kernel, unsigned channel,
                     int value, const char *text)
{
    struct init_note note = { (uint8_t)type, (uint8_t)channel, kernel, value, text };
    if (!init_warden_connected(w))
        return false;
    enum sent sent = w->n_notes ? NOT_YET : send_note(w, &note);
    if (sent == SENT)
        return true;
    if (sent == NEVER || w->n_notes == INIT_MAX_NOTES) {
        lost(w);
        return false;
    }
    w->notes[(w->first_note + w->n_notes++) % INIT_MAX_NOTES] = note;
    want(w);
    return true;
}

void init_warden_output(struct init_warden *w, uint32_t kernel, unsigned channel, const char *bytes,
                        size_t len)
{
    struct init_packet p = { .type = INIT_OUTPUT,
                             .channel = (uint8_t)channel,
                             .kernel = kernel,
                             .payload = bytes,
                             .payload_len = len };
    if (init_warden_connected(w) && !w->n_notes)
        (void)send_packet(w, &p); /* dropped when the warden does not read: see the header */
}

/* Receives one packet and its descriptors. Returns its length, 0 at the end, -1 with errno. */
static ssize_t receive(struct init_warden *w, int ret_fds[INIT_MAX_FDS])
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE((INIT_MAX_FDS + 1) * sizeof(int))];
    } control;
    size_t n_fds = 0;
    struct iovec part = { .iov_base = w->packet, .iov_len = sizeof w->packet };
    struct msghdr m = { .msg_iov = &part,
                        .msg_iovlen = 1,
                        .msg_control = control.bytes,
                        .msg_controllen = sizeof control.bytes };
    ssize_t n = recvmsg(w->watch.fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (n_fds < INIT_MAX_FDS)
                ret_fds[n_fds++] = fd;
            else
                (void)close(fd); /* no order has so many */
        }
    }
    return n >= 0 && (m.msg_flags & MSG_TRUNC) ? INIT_MAX_PACKET + 1 : n;
}

static void hear(struct init_warden *w)
{
    for (int i = 0; i < ORDERS_A_WAKE && init_warden_connected(w) && !w->n_notes; i++) {
        int fds[INIT_MAX_FDS] = { -1, -1, -1 };
        ssize_t n = receive(w, fds);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            return lost(w);
        w->proven = true;
        struct init_packet p;
        if (!init_decode(w->packet, (size_t)n, &p) || p.type >= INIT_HELLO)
            (void)init_warden_say(w, INIT_FAILED, 0, 0, EBADMSG, "not an order"); /* a courtesy */
        else
            w->on_order(w->owner, &p, fds);
        for (size_t f = 0; f < INIT_MAX_FDS; f++)
            close_fd_at(&fds[f]);
    }
}

static void flush(struct init_warden *w)
{
    while (w->n_notes) {
        enum sent sent = send_note(w, &w->notes[w->first_note]);
        if (sent == NOT_YET)
            return;
        if (sent == NEVER)
            return lost(w);
        w->first_note = (w->first_note + 1) % INIT_MAX_NOTES;
        w->n_notes--;
    }
    want(w);
}

static void ready(struct init_watch *watch, uint32_t events)
{
    struct init_warden *w = INIT_OWNER(watch, struct init_warden, watch);
    if (events & EPOLLOUT)
        flush(w);
    else if (events & (EPOLLERR | EPOLLHUP) && w->n_notes)
        lost(w);
    else
        hear(w);
}

static void alone_due(struct init_timer *t)
{
    struct init_warden *w = INIT_OWNER(t, struct init_warden, alone);
    w->on_alone(w->owner);
}

static void retry_due(struct init_timer *t)
{
    try_connect(INIT_OWNER(t, struct init_warden, retry));
}

static void folder_changed(struct init_waiter *waiter)
{
    struct init_warden *w = INIT_OWNER(waiter, struct init_warden, folder);
    w->tries = 0;
    try_connect(w);
}

static void retry_later(struct init_warden *w)
{
    int64_t in_ms = w->tries < 10 ? 1 << w->tries++ : RETRY_MAX_MS;
    init_timer_arm(w->loop, &w->retry, in_ms, retry_due);
}

/* Somebody who accepts and hangs up at once is no warden: the back-off and the 30 s go on. */
static void lost(struct init_warden *w)
{
    init_watch_close(w->loop, &w->watch);
    for (; w->n_notes; w->n_notes--, w->first_note = (w->first_note + 1) % INIT_MAX_NOTES)
        if (w->notes[w->first_note].type == INIT_EXITED)
            w->on_unheard(w->owner, w->notes[w->first_note].kernel);
    if (w->proven || w->loop->now_ms - w->connected_ms > PROVEN_MS) {
        w->tries = 0;
        w->alone_since_ms = w->loop->now_ms;
    }
    w->proven = false;
    int64_t left_ms = w->alone_since_ms + INIT_ALONE_MS - w->loop->now_ms;
    init_timer_arm(w->loop, &w->alone, left_ms > 0 ? left_ms : 0, alone_due);
    (void)init_folders_wait(w->folders, &w->folder, w->path, folder_changed); /* else by timer */
    retry_later(w);
}

static void try_connect(struct init_warden *w)
{
    if (init_warden_connected(w))
        return;
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    memcpy(to.sun_path, w->path, strnlen(w->path, sizeof to.sun_path - 1));
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0 ||
        init_watch_open(w->loop, &w->watch, TAKE_FD(fd), EPOLLIN, ready) < 0)
        return retry_later(w);
    init_timer_disarm(w->loop, &w->retry);
    init_timer_disarm(w->loop, &w->alone);
    init_folders_leave(w->folders, &w->folder);
    w->connected_ms = w->loop->now_ms;
    w->on_connected(w->owner);
}

void init_warden_open(struct init_warden *w, struct init_loop *l, struct init_folders *f,
                      const char *path)
{
    w->loop = l;
    w->folders = f;
    w->path = path;
    w->watch.fd = w->folder.wd = -1;
    w->alone_since_ms = l->now_ms;
    init_timer_arm(l, &w->alone, INIT_ALONE_MS, alone_due);
    (void)init_folders_wait(f, &w->folder, path, folder_changed); /* else by timer */
    try_connect(w);
}
