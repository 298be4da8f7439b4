#include "sandbox/warden_keeper.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/log.h"
#include "protocol/frame.h"
#include "protocol/verb.h"

struct warden_keeper {
    struct loop *loop;
    struct sockaddr_un address;
    int fd;
    int timer;
    bool asking;
};

struct warden_keeper *warden_keeper_new(struct loop *loop, const char *socket_path)
{
    struct warden_keeper *k = calloc(1, sizeof *k);
    assert(k);
    k->loop = loop;
    k->fd = k->timer = -1;
    k->address.sun_family = AF_UNIX;
    (void)snprintf(k->address.sun_path, sizeof k->address.sun_path, "%s", socket_path);
    return k;
}

static void hang_up(struct warden_keeper *k)
{
    if (k->fd < 0)
        return;
    zmq_pollitem_t item = { .fd = k->fd };
    loop_poller_end(k->loop, &item);
    (void)close(TAKE_FD(k->fd)); /* nothing to do about an error here */
}

void warden_keeper_free(struct warden_keeper *k)
{
    if (!k)
        return;
    hang_up(k);
    if (k->timer >= 0)
        loop_timer_end(k->loop, k->timer);
    free(k);
}

static int on_reply(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct warden_keeper *k = arg;
    char bytes[4096];
    struct slice body;
    size_t used;
    struct verb_reply reply;
    ssize_t n = recv(k->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    /* a reply that does not come in one piece counts as none: we ask again */
    if (n > 0 &&
        frame_decode(slice_of(bytes, (size_t)n), VERB_MAX_FRAME_BYTES, &body, &used) == DECODE_OK &&
        verb_decode_reply(body, &reply) == DECODE_OK && reply.ok)
        k->asking = false;
    else
        log_warning("event=keeper_refused");
    hang_up(k);
    return 0;
}

static int ask(struct warden_keeper *k)
{
    CLEANUP_BUF struct buf request = BUF_INIT(4096);
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    verb_encode_request(&request, &(struct verb_request){ .id = 1, .verb = VERB_KILL });
    if (fd < 0 || connect(fd, (const struct sockaddr *)&k->address, sizeof k->address) < 0 ||
        send(fd, request.data, request.len, MSG_NOSIGNAL) != (ssize_t)request.len)
        return -1;
    k->fd = TAKE_FD(fd);
    zmq_pollitem_t item = { .fd = k->fd, .events = ZMQ_POLLIN };
    loop_poller(k->loop, &item, on_reply, k);
    return 0;
}

static int on_again(struct loop *loop, int timer_id, void *arg)
{
    struct warden_keeper *k = arg;
    hang_up(k);
    k->timer = -1;
    if (!k->asking)
        return 0;
    if (ask(k) < 0)
        log_error("event=keeper_unreachable reason=%s", log_quote(slice_str(strerror(errno))));
    k->timer = loop_timer(loop, WARDEN_KEEPER_AGAIN_MS, on_again, k);
    return 0;
}

void warden_keeper_ask_kill(struct warden_keeper *k)
{
    if (k->asking)
        return;
    k->asking = true;
    if (k->timer < 0)
        (void)on_again(k->loop, -1, k); /* always 0 */
}
