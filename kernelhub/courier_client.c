#include "kernelhub/courier_client.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/json.h"
#include "base/log.h"
#include "protocol/frame.h"
#include "protocol/verb.h"

#define MAX_OUT_BYTES (256u << 20)
#define READ_BYTES    (64u * 1024)
#define PATIENCE_MS   10000 /* beyond an errand's own timeout */

struct call {
    struct courier_client *client;
    uint64_t id;
    courier_done_fn done;
    void *arg;
    int timer;
    void *handle;
};

struct courier_client {
    struct loop *loop;
    char path[108];
    int fd; /* -1: not connected */
    uint64_t next_id;
    struct buf in, out;
    zlistx_t *calls;
};

static int on_ready(struct loop *loop, zmq_pollitem_t *item, void *arg);

static void watch(struct courier_client *k)
{
    short events = ZMQ_POLLIN | (k->out.len ? ZMQ_POLLOUT : 0);
    zmq_pollitem_t item = { .fd = k->fd, .events = events };
    loop_poller_end(k->loop, &item);
    loop_poller(k->loop, &item, on_ready, k);
    loop_poller_set_tolerant(k->loop, &item);
}

static void call_free(struct call *c)
{
    (void)zlistx_detach(c->client->calls, c->handle);
    if (c->timer >= 0)
        loop_timer_end(c->client->loop, c->timer);
    free(c);
}

static void answer(struct call *c, const struct err *e, int status, int64_t retry_after)
{
    courier_done_fn done = c->done;
    void *arg = c->arg;
    call_free(c);
    done(arg, e, status, retry_after);
}

static void hang_up(struct courier_client *k)
{
    if (k->fd >= 0) {
        zmq_pollitem_t item = { .fd = k->fd };
        loop_poller_end(k->loop, &item);
        (void)close(k->fd);
        k->fd = -1;
    }
    buf_done(&k->in);
    buf_done(&k->out);
}

/* Those that are under way now; an answer may make a new call. */
static void fail_all(struct courier_client *k, const char *why)
{
    struct err e;
    hang_up(k);
    (void)err_set(&e, ERR_UNAVAILABLE, "%s", why);
    for (size_t n = zlistx_size(k->calls); n > 0; n--)
        answer(zlistx_first(k->calls), &e, 0, 0);
}

static void flush(struct courier_client *k)
{
    ssize_t n = k->out.len ? send(k->fd, k->out.data, k->out.len, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
    if (n > 0)
        buf_drop(&k->out, (size_t)n);
    if (k->out.failed || (n < 0 && errno != EAGAIN && errno != EINTR))
        fail_all(k, "the courier does not take what it is given");
    else
        watch(k);
}

static int64_t number_of(struct slice body, const char *name)
{
    int64_t n = 0;
    (void)json_member_int(body, name, &n); /* absent: 0 */
    return n;
}

static bool on_frame(struct courier_client *k, struct slice body)
{
    struct verb_reply reply;
    if (verb_decode_reply(body, &reply) != DECODE_OK || reply.id == 0)
        return false;
    for (struct call *c = zlistx_first(k->calls); c; c = zlistx_next(k->calls)) {
        if (c->id != reply.id)
            continue;
        int64_t status = number_of(reply.body, "status");
        if (reply.ok && (status < 100 || status > 999))
            return false;
        answer(c, reply.ok ? NULL : &reply.error, (int)status,
               number_of(reply.body, "retry_after"));
        return true;
    }
    return true; /* it came too late */
}

static int on_ready(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct courier_client *k = arg;
    if (item->fd != k->fd)
        return 0;
    char *room = buf_room(&k->in, READ_BYTES);
    ssize_t n = room ? recv(k->fd, room, READ_BYTES, MSG_DONTWAIT) : 0;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        fail_all(k, "the courier has ended");
        return 0;
    }
    k->in.len += n > 0 ? (size_t)n : 0;
    struct slice body;
    size_t used, eaten = 0;
    enum decode d;
    while ((d = frame_decode(slice_of(k->in.data + eaten, k->in.len - eaten), VERB_MAX_FRAME_BYTES,
                             &body, &used)) == DECODE_OK) {
        if (!on_frame(k, body)) {
            d = DECODE_BAD;
            break;
        }
        if (item->fd != k->fd)
            return 0;
        eaten += used;
    }
    if (d != DECODE_MORE) {
        log_error("event=courier_sent_nonsense");
        fail_all(k, "the courier made no sense");
        return 0;
    }
    if (eaten)
        buf_drop(&k->in, eaten);
    flush(k);
    return 0;
}

static bool connect_now(struct courier_client *k)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memcpy(address.sun_path, k->path, sizeof address.sun_path);
    k->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (k->fd >= 0 && connect(k->fd, (struct sockaddr *)&address, sizeof address) == 0)
        return true;
    hang_up(k);
    return false;
}

struct courier_client *courier_client_new(struct loop *loop, const char *socket_path)
{
    struct courier_client *k = calloc(1, sizeof *k);
    if (!k)
        abort();
    k->loop = loop;
    k->fd = -1;
    k->next_id = 1;
    (void)snprintf(k->path, sizeof k->path, "%s", socket_path);
    buf_init(&k->in, VERB_MAX_FRAME_BYTES + READ_BYTES);
    buf_init(&k->out, MAX_OUT_BYTES);
    k->calls = zlistx_new();
    return k;
}

void courier_client_free(struct courier_client *k)
{
    if (!k)
        return;
    hang_up(k);
    for (struct call *c = zlistx_first(k->calls); c; c = zlistx_first(k->calls))
        call_free(c);
    zlistx_destroy(&k->calls);
    free(k);
}

static int on_timeout(struct loop *loop, int timer, void *arg)
{
    struct call *c = arg;
    struct err e;
    c->timer = -1;
    (void)err_set(&e, ERR_TIMEOUT, "the courier did not answer in time");
    answer(c, &e, 0, 0);
    return 0;
}

void courier_client_call(struct courier_client *k, struct errand *a, courier_done_fn done,
                         void *arg)
{
    struct err e;
    if (k->fd < 0 && !connect_now(k)) {
        (void)err_set(&e, ERR_UNAVAILABLE, "no courier is there");
        done(arg, &e, 0, 0);
        return;
    }
    struct call *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    a->id = k->next_id++;
    *c = (struct call){ .client = k, .id = a->id, .done = done, .arg = arg };
    c->handle = zlistx_add_end(k->calls, c);
    c->timer = loop_timer(k->loop, (size_t)(a->timeout_ms + PATIENCE_MS), on_timeout, c);
    errand_encode(&k->out, a);
    flush(k);
}
