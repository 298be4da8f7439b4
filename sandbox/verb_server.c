#include "sandbox/verb_server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "protocol/frame.h"

#define MAX_CLIENTS           128
#define MAX_WARDENS           64 /* the rest is for the hub and root alone */
#define MAX_CLIENTS_OF_WARDEN 2  /* one, and one that is being left for it */
#define MAX_OUT_BYTES         (4u << 20)
#define READ_BYTES            65536
#define BACKLOG               64

struct client {
    struct watch watch;
    struct verb_server *server;
    uint64_t number;
    unsigned uid;
    bool is_hub;
    bool broken; /* to be closed by whoever reads or writes next */
    struct buf in;
    struct buf out;
};

struct verb_server {
    struct watch watch;
    struct watches *set;
    struct verb_handler handler;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    uint64_t last_number;
    struct client *clients[MAX_CLIENTS]; /* NULL: free */
};

static void close_client(struct client *c)
{
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        if (c->server->clients[i] == c)
            c->server->clients[i] = NULL;
    int fd = c->watch.fd;
    watch_remove(c->server->set, &c->watch);
    close(fd);
    buf_done(&c->in);
    buf_done(&c->out);
    free(c);
}

static struct client *find(struct verb_server *s, uint64_t number)
{
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        if (s->clients[i] && s->clients[i]->number == number && !s->clients[i]->broken)
            return s->clients[i];
    return NULL;
}

/* Sends what can be sent. Never closes: it is called from within on_request, too. */
static void flush(struct client *c)
{
    while (!c->broken && c->out.len > 0) {
        ssize_t n = send(c->watch.fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            c->broken = true;
        if (n <= 0)
            break;
        buf_drop(&c->out, (size_t)n);
    }
    if (c->out.failed) {
        log_warning("client=%llu uid=%u does not read what it is told: closed",
                    (unsigned long long)c->number, c->uid);
        c->broken = true;
    }
    /* A broken one becomes readable at once by the shutdown, and is closed from there. */
    if (c->broken)
        (void)shutdown(c->watch.fd, SHUT_RDWR);
    watch_change(c->server->set, &c->watch,
                 EPOLLIN | (c->out.len > 0 && !c->broken ? EPOLLOUT : 0u));
}

/* False: the connection makes no sense any more. */
static bool eat_frames(struct client *c)
{
    size_t eaten = 0;
    while (!c->broken) {
        struct slice body;
        size_t used;
        enum decode d = frame_decode(slice_of(c->in.data + eaten, c->in.len - eaten),
                                     VERB_MAX_FRAME_BYTES, &body, &used);
        if (d == DECODE_MORE)
            break;
        struct verb_request request;
        struct err e = ERR_INIT;
        if (d != DECODE_OK || verb_decode_request(body, &request, &e) != DECODE_OK) {
            log_warning("client=%llu uid=%u sends no request: %s", (unsigned long long)c->number,
                        c->uid, e.text);
            return false;
        }
        eaten += used;
        c->server->handler.on_request(c->server->handler.ctx,
                                      (struct verb_peer){ c->number, c->uid }, &request);
    }
    if (eaten > 0)
        buf_drop(&c->in, eaten);
    return !c->broken;
}

static void on_client(struct watch *w, uint32_t events)
{
    struct client *c = CONTAINER_OF(w, struct client, watch);
    if (events & EPOLLOUT)
        flush(c);
    if (!(events & ~(uint32_t)EPOLLOUT))
        return;
    char *room = c->broken ? NULL : buf_room(&c->in, READ_BYTES);
    ssize_t n = room ? recv(w->fd, room, READ_BYTES, MSG_DONTWAIT) : -1;
    if (room && n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        return close_client(c);
    c->in.len += (size_t)n;
    if (!eat_frames(c))
        return close_client(c);
}

/* Wardens may not keep the hub or each other out. A warden has its answer at once and leaves, so when
 * their places are all taken the one that came first holds its place for nothing. */
static bool make_place_for_warden(struct verb_server *s, unsigned uid)
{
    unsigned all = 0, own = 0;
    struct client *first = NULL;
    for (unsigned i = 0; i < MAX_CLIENTS; i++) {
        struct client *c = s->clients[i];
        if (!c || c->is_hub)
            continue;
        all++;
        own += c->uid == uid;
        if (!first || c->number < first->number)
            first = c;
    }
    if (own >= MAX_CLIENTS_OF_WARDEN)
        return false;
    if (all >= MAX_WARDENS) {
        log_warning("uid=%u stayed too long: closed for uid=%u", first->uid, uid);
        close_client(first);
    }
    return true;
}

static struct client **find_place(struct verb_server *s)
{
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        if (!s->clients[i])
            return &s->clients[i];
    return NULL;
}

static int peer_uid(int fd, unsigned *ret)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return -1;
    *ret = peer.uid;
    return 0;
}

static void on_listen(struct watch *w, uint32_t events)
{
    struct verb_server *s = CONTAINER_OF(w, struct verb_server, watch);
    CLEANUP_FD int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    unsigned uid;
    if (fd < 0 || peer_uid(fd, &uid) < 0 || !s->handler.may_connect(s->handler.ctx, uid))
        return;
    bool is_hub = s->handler.is_hub(s->handler.ctx, uid);
    struct client **place = is_hub || make_place_for_warden(s, uid) ? find_place(s) : NULL;
    if (!place) {
        log_warning("uid=%u has too many connections: refused", uid);
        return;
    }
    struct client *c = calloc(1, sizeof *c);
    assert(c);
    *c = (struct client){ .watch = { .on_ready = on_client, .fd = -1 },
                          .server = s,
                          .number = ++s->last_number,
                          .uid = uid,
                          .is_hub = is_hub };
    buf_init(&c->in, VERB_MAX_FRAME_BYTES + FRAME_HEADER_BYTES + READ_BYTES);
    buf_init(&c->out, MAX_OUT_BYTES);
    *place = c;
    watch_add(s->set, &c->watch, TAKE_FD(fd), EPOLLIN);
}

int verb_server_new(struct watches *set, const char *path, const struct verb_handler *handler,
                    struct verb_server **ret, struct err *e)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path)
        return err_set(e, ERR_INVALID, "the socket's path '%s' is too long", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)unlink(path); /* of a keeper before us; the lock says that there is no other now */
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        chmod(path, 0666) < 0 || listen(fd, BACKLOG) < 0)
        return err_errno(e, ERR_INTERNAL, "listen at '%s'", path);
    struct verb_server *s = calloc(1, sizeof *s);
    assert(s);
    s->set = set;
    s->handler = *handler;
    memcpy(s->path, address.sun_path, sizeof s->path);
    s->watch = (struct watch){ .on_ready = on_listen, .fd = -1 };
    watch_add(set, &s->watch, TAKE_FD(fd), EPOLLIN);
    *ret = s;
    return 0;
}

void verb_server_free(struct verb_server *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        if (s->clients[i])
            close_client(s->clients[i]);
    int fd = s->watch.fd;
    watch_remove(s->set, &s->watch);
    close(fd);
    (void)unlink(s->path); /* gone already: fine */
    free(s);
}

void verb_server_reply(struct verb_server *s, uint64_t client, uint64_t id, struct slice fields)
{
    struct client *c = find(s, client);
    if (!c)
        return;
    verb_encode_ok(&c->out, id, fields);
    flush(c);
}

void verb_server_refuse(struct verb_server *s, uint64_t client, uint64_t id,
                        const struct err *error)
{
    struct client *c = find(s, client);
    if (!c)
        return;
    verb_encode_error(&c->out, id, error);
    flush(c);
}

void verb_server_tell_all(struct verb_server *s, const char *event, struct slice fields)
{
    for (unsigned i = 0; i < MAX_CLIENTS; i++) {
        struct client *c = s->clients[i];
        if (!c || !c->is_hub || c->broken)
            continue;
        verb_encode_event(&c->out, event, fields);
        flush(c);
    }
}
