/* One loop, curl's own: it waits for its transfers, for the listening socket and for the hub's connections at once. Every
 * table has a fixed size; a peer that does not read what it is told is closed. */
#include "courier/courier.h"

#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "protocol/frame.h"
#include "protocol/verb.h"

#define MAX_CLIENTS    4 /* the hub has one; another while it is started again */
#define MAX_DELIVERIES 64
#define MAX_OUT_BYTES  (1u << 20)
#define READ_BYTES     65536u
#define MAX_WAIT_MS    1000

struct client {
    int fd; /* -1: free */
    struct buf in, out;
};

struct place {
    struct delivery *delivery; /* NULL: free */
    struct client *client;
    uint64_t id;
};

struct courier {
    const struct courier_options *o;
    CURLM *multi;
    struct client clients[MAX_CLIENTS];
    struct place places[MAX_DELIVERIES];
    int64_t busy_ms; /* when there was last something to do */
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void close_client(struct courier *k, struct client *c)
{
    for (size_t i = 0; i < MAX_DELIVERIES; i++) {
        if (k->places[i].client != c || !k->places[i].delivery)
            continue;
        delivery_free(k->places[i].delivery); /* the next hub asks again */
        k->places[i] = (struct place){ .delivery = NULL };
    }
    (void)close(c->fd);
    c->fd = -1;
    buf_done(&c->in);
    buf_done(&c->out);
}

/* ---- answers ---- */

static void flush(struct courier *k, struct client *c)
{
    ssize_t n = c->out.len ? send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
    if (n > 0)
        buf_drop(&c->out, (size_t)n);
    if (c->out.failed || (n < 0 && errno != EAGAIN && errno != EINTR))
        close_client(k, c);
}

static void end_delivery(struct courier *k, struct place *p, CURLcode code)
{
    long status, retry_after;
    struct err e = ERR_INIT;
    struct client *c = p->client;
    if (delivery_result(p->delivery, code, &status, &retry_after, &e) < 0) {
        verb_encode_error(&c->out, p->id, &e);
    } else {
        char fields[80];
        (void)snprintf(fields, sizeof fields, ",\"status\":%ld,\"retry_after\":%ld", status,
                       retry_after);
        verb_encode_ok(&c->out, p->id, slice_str(fields));
    }
    delivery_free(p->delivery);
    *p = (struct place){ .delivery = NULL };
    flush(k, c);
}

static void end_deliveries(struct courier *k)
{
    const CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(k->multi, &left)) != NULL) {
        const struct delivery *d = m->msg == CURLMSG_DONE ? delivery_of(m->easy_handle) : NULL;
        CURLcode code = m->data.result;
        for (size_t i = 0; d && i < MAX_DELIVERIES; i++) {
            if (k->places[i].delivery == d) {
                end_delivery(k, &k->places[i], code);
                break;
            }
        }
    }
}

/* ---- errands ---- */

static struct place *find_place(struct courier *k)
{
    for (size_t i = 0; i < MAX_DELIVERIES; i++)
        if (!k->places[i].delivery)
            return &k->places[i];
    return NULL;
}

static void begin(struct courier *k, struct client *c, const struct errand *a)
{
    struct err e = ERR_INIT;
    struct delivery *d;
    struct place *p = find_place(k);
    if (!p)
        (void)err_set(&e, ERR_BUSY, "%d calls are under way, the limit", MAX_DELIVERIES);
    if (!p || delivery_start(k->multi, &k->o->delivery, a, &d, &e) < 0) {
        verb_encode_error(&c->out, a->id, &e);
        return;
    }
    *p = (struct place){ d, c, a->id };
}

/* False: the connection makes no sense any more. */
static bool eat_frames(struct courier *k, struct client *c)
{
    struct slice body;
    size_t used, eaten = 0;
    enum decode d;
    while ((d = frame_decode(slice_of(c->in.data + eaten, c->in.len - eaten),
                             ERRAND_MAX_FRAME_BYTES, &body, &used)) == DECODE_OK) {
        struct errand a;
        struct err e = ERR_INIT;
        if (errand_decode(body, &a, &e) != DECODE_OK) {
            log_error("event=bad_errand reason=%s", log_quote(slice_str(e.text)));
            return false;
        }
        begin(k, c, &a);
        eaten += used;
    }
    if (eaten)
        buf_drop(&c->in, eaten);
    return d == DECODE_MORE;
}

static void on_client(struct courier *k, struct client *c)
{
    char *room = buf_room(&c->in, READ_BYTES);
    ssize_t n = room ? recv(c->fd, room, READ_BYTES, MSG_DONTWAIT) : 0;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        c->in.len += (size_t)n;
    if (n <= 0 || !eat_frames(k, c))
        close_client(k, c);
    else
        flush(k, c);
}

/* ---- connections ---- */

static bool is_hub(const struct courier *k, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == k->o->hub_uid;
}

static void on_listen(struct courier *k)
{
    CLEANUP_FD int fd = accept4(k->o->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    for (size_t i = 0; fd >= 0 && i < MAX_CLIENTS; i++) {
        struct client *c = &k->clients[i];
        if (c->fd >= 0 || !is_hub(k, fd))
            continue;
        c->fd = TAKE_FD(fd);
        buf_init(&c->in, ERRAND_MAX_FRAME_BYTES + FRAME_HEADER_BYTES + READ_BYTES);
        buf_init(&c->out, MAX_OUT_BYTES);
        return;
    }
    if (fd >= 0)
        log_warning("event=refused_connection");
}

/* ---- the loop ---- */

static bool has_work(const struct courier *k)
{
    for (size_t i = 0; i < MAX_DELIVERIES; i++)
        if (k->places[i].delivery)
            return true;
    for (size_t i = 0; i < MAX_CLIENTS; i++)
        if (k->clients[i].fd >= 0 && (k->clients[i].in.len || k->clients[i].out.len))
            return true;
    return false;
}

/* True: something came. */
static bool turn(struct courier *k)
{
    struct curl_waitfd fds[1 + MAX_CLIENTS] = { { k->o->listen_fd, CURL_WAIT_POLLIN, 0 } };
    struct client *of[1 + MAX_CLIENTS] = { NULL };
    unsigned n = 1;
    for (size_t i = 0; i < MAX_CLIENTS; i++) {
        struct client *c = &k->clients[i];
        if (c->fd < 0)
            continue;
        of[n] = c;
        fds[n++] = (struct curl_waitfd){
            c->fd, (short)(CURL_WAIT_POLLIN | (c->out.len ? CURL_WAIT_POLLOUT : 0)), 0
        };
    }
    if (curl_multi_poll(k->multi, fds, n, MAX_WAIT_MS, NULL) != CURLM_OK)
        return false;
    bool came = fds[0].revents != 0;
    for (unsigned i = 1; i < n; i++) {
        came |= fds[i].revents != 0;
        if (fds[i].revents & CURL_WAIT_POLLOUT)
            flush(k, of[i]);
        if (of[i]->fd >= 0 && fds[i].revents & ~CURL_WAIT_POLLOUT)
            on_client(k, of[i]);
    }
    if (fds[0].revents)
        on_listen(k);
    return came;
}

static int work(struct courier *k, struct err *e)
{
    int running;
    k->busy_ms = now_ms();
    while (now_ms() - k->busy_ms < k->o->idle_ms) {
        bool came = turn(k);
        if (curl_multi_perform(k->multi, &running) != CURLM_OK)
            return err_set(e, ERR_INTERNAL, "libcurl cannot go on");
        end_deliveries(k);
        if (came || has_work(k))
            k->busy_ms = now_ms();
    }
    return 0;
}

int courier_prepare(struct err *e)
{
    struct addrinfo *found = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(e, ERR_INTERNAL, "libcurl does not start");
    if (getaddrinfo("localhost", NULL, NULL, &found) == 0) /* loads the resolver's parts */
        freeaddrinfo(found);
    return 0;
}

int courier_run(const struct courier_options *o, struct err *e)
{
    struct courier k = { .o = o, .multi = curl_multi_init() };
    if (!k.multi)
        return err_set(e, ERR_INTERNAL, "libcurl does not start");
    for (size_t i = 0; i < MAX_CLIENTS; i++)
        k.clients[i].fd = -1;
    int result = work(&k, e);
    for (size_t i = 0; i < MAX_CLIENTS; i++)
        if (k.clients[i].fd >= 0)
            close_client(&k, &k.clients[i]);
    (void)curl_multi_cleanup(k.multi);
    return result;
}
