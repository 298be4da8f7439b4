#include "kernelhub/keeper_client.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/json.h"
#include "base/log.h"
#include "protocol/frame.h"

#define MAX_ASKED     1024
#define MAX_OUT_BYTES (4u << 20)
#define RETRY_MS      200
#define READ_BYTES    (64u * 1024)

struct asked {
    struct keeper_client *client;
    struct verb_request request;
    keeper_reply_fn done;
    void *arg;
    bool owns_arg;
    int timer;
    void *handle;
};

struct keeper_client {
    struct loop *loop;
    char path[108];
    struct keeper_events events;
    int fd;
    bool connected; /* hello answered */
    int64_t epoch;  /* of the newest keeper that answered */
    char boot_id[37];
    int version; /* the keeper's */
    uint64_t next_id;
    struct buf in, out;
    zlistx_t *asked; /* in the order they were asked; sent again after a reconnect */
    int retry_timer;
};

static int on_readable(struct loop *loop, zmq_pollitem_t *item, void *arg);
static int on_retry(struct loop *loop, int timer, void *arg);

static void watch(struct keeper_client *k)
{
    short events = ZMQ_POLLIN | (k->out.len ? ZMQ_POLLOUT : 0);
    zmq_pollitem_t item = { .fd = k->fd, .events = events };
    loop_poller_end(k->loop, &item);
    loop_poller(k->loop, &item, on_readable, k);
    loop_poller_set_tolerant(k->loop, &item);
}

static void disconnect(struct keeper_client *k)
{
    if (k->fd >= 0) {
        zmq_pollitem_t item = { .fd = k->fd };
        loop_poller_end(k->loop, &item);
        close(k->fd);
        k->fd = -1;
        if (k->connected)
            log_warning("keeper is away");
    }
    k->connected = false;
    buf_reset(&k->in);
    buf_reset(&k->out);
    if (k->retry_timer < 0)
        k->retry_timer = loop_timer(k->loop, RETRY_MS, on_retry, k);
}

static void flush(struct keeper_client *k)
{
    if (k->fd < 0)
        return;
    if (k->out.len) {
        ssize_t n = send(k->fd, k->out.data, k->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            buf_drop(&k->out, (size_t)n);
        else if (n < 0 && errno != EAGAIN && errno != EINTR) {
            disconnect(k);
            return;
        }
    }
    watch(k);
}

static void connect_now(struct keeper_client *k)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memcpy(address.sun_path, k->path, sizeof address.sun_path);
    k->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (k->fd < 0 || connect(k->fd, (struct sockaddr *)&address, sizeof address) < 0) {
        disconnect(k);
        return;
    }
    struct verb_request hello = { .id = k->next_id++, .verb = VERB_HELLO, .version = VERB_VERSION };
    verb_encode_request(&k->out, &hello);
    flush(k);
}

static int on_retry(struct loop *loop, int timer, void *arg)
{
    struct keeper_client *k = arg;
    k->retry_timer = -1;
    connect_now(k);
    return 0;
}

static void asked_free(struct asked *a)
{
    (void)zlistx_detach(a->client->asked, a->handle);
    if (a->timer >= 0)
        loop_timer_end(a->client->loop, a->timer);
    free(a);
}

static void answer(struct asked *a, const struct err *e, struct slice body)
{
    keeper_reply_fn done = a->done;
    void *arg = a->arg;
    asked_free(a);
    done(arg, e, body);
}

static void refuse_new_verb(struct asked *a)
{
    struct err e;
    (void)err_set(&e, ERR_UNAVAILABLE,
                  "the keeper is of an older version: restart the service to finish its upgrade");
    answer(a, &e, slice_of(NULL, 0));
}

/* What was asked before, in order. An answer may ask for more: that is sent by then. */
static void ask_again(struct keeper_client *k)
{
    zlistx_t *too_new = zlistx_new();
    for (struct asked *a = zlistx_first(k->asked); a; a = zlistx_next(k->asked)) {
        if (verb_since(a->request.verb) > k->version)
            zlistx_add_end(too_new, a);
        else
            verb_encode_request(&k->out, &a->request);
    }
    for (struct asked *a = zlistx_first(too_new); a; a = zlistx_next(too_new))
        refuse_new_verb(a);
    zlistx_destroy(&too_new);
}

/* Who answers: one that we understand, and not one whose time is over. */
static int check_hello(const struct keeper_client *k, const struct verb_reply *reply,
                       int *ret_version, int64_t *ret_epoch, char ret_boot_id[37], struct err *e)
{
    struct slice boot = { 0 };
    struct uuid id;
    int64_t version = 0;
    if (!reply->ok)
        return err_set(e, reply->error.code, "%s", reply->error.text);
    if (!json_member_int(reply->body, "version", &version) || version < VERB_VERSION - 1 ||
        version > VERB_VERSION + 1)
        return err_set(e, ERR_PRECONDITION,
                       "it speaks version %lld of the verbs, this service %d: start the service "
                       "anew when all its programs are of one release",
                       (long long)version, VERB_VERSION);
    if (!json_member_int(reply->body, "keeper_epoch", ret_epoch) ||
        !json_member_string(reply->body, "boot_id", &boot) || !uuid_parse(boot, &id))
        return err_set(e, ERR_PRECONDITION, "it does not say who it is");
    *ret_version = (int)version;
    memcpy(ret_boot_id, id.text, sizeof id.text);
    if (*ret_epoch < k->epoch)
        return err_set(e, ERR_CONFLICT, "it is keeper %lld, and %lld has taken over from it",
                       (long long)*ret_epoch, (long long)k->epoch);
    return 0;
}

static void on_hello(struct keeper_client *k, const struct verb_reply *reply)
{
    struct err e = ERR_INIT;
    int version = 0;
    int64_t epoch;
    char boot_id[37];
    if (check_hello(k, reply, &version, &epoch, boot_id, &e) < 0) {
        log_error("the keeper that answers is refused: %s", e.text);
        disconnect(k);
        return;
    }
    bool another_boot = k->boot_id[0] && strcmp(k->boot_id, boot_id) != 0;
    k->epoch = epoch;
    memcpy(k->boot_id, boot_id, sizeof k->boot_id);
    k->version = version;
    k->connected = true;
    ask_again(k);
    if (another_boot)
        k->events.on_new_boot(k->events.arg);
    k->events.on_connected(k->events.arg);
}

static void on_frame(struct keeper_client *k, struct slice body)
{
    struct verb_reply reply;
    if (verb_decode_reply(body, &reply) != DECODE_OK) {
        log_error("keeper sent nonsense");
        disconnect(k);
        return;
    }
    if (reply.id == 0) {
        k->events.on_event(k->events.arg, reply.event, reply.body);
        return;
    }
    for (struct asked *a = zlistx_first(k->asked); a; a = zlistx_next(k->asked)) {
        if (a->request.id == reply.id) {
            answer(a, reply.ok ? NULL : &reply.error, reply.body);
            return;
        }
    }
    if (!k->connected)
        on_hello(k, &reply); /* else it came too late */
}

static int on_readable(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct keeper_client *k = arg;
    if (item->fd != k->fd)
        return 0;
    char *room = buf_room(&k->in, READ_BYTES);
    ssize_t n = room ? recv(k->fd, room, READ_BYTES, MSG_DONTWAIT) : 0;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        disconnect(k);
        return 0;
    }
    if (n > 0)
        k->in.len += (size_t)n;
    struct slice body;
    size_t used, done = 0;
    int fd = k->fd;
    while (frame_decode(slice_of(k->in.data + done, k->in.len - done), VERB_MAX_FRAME_BYTES, &body,
                        &used) == DECODE_OK) {
        on_frame(k, body);
        if (k->fd != fd)
            return 0;
        done += used;
    }
    buf_drop(&k->in, done);
    flush(k);
    return 0;
}

struct keeper_client *keeper_client_new(struct loop *loop, const char *socket_path,
                                        struct keeper_events events)
{
    struct keeper_client *k = calloc(1, sizeof *k);
    if (!k)
        abort();
    k->loop = loop;
    k->events = events;
    k->fd = -1;
    k->retry_timer = -1;
    k->next_id = 1;
    (void)snprintf(k->path, sizeof k->path, "%s", socket_path);
    buf_init(&k->in, 2 * VERB_MAX_FRAME_BYTES);
    buf_init(&k->out, MAX_OUT_BYTES);
    k->asked = zlistx_new();
    k->retry_timer = loop_timer(loop, 1, on_retry, k);
    return k;
}

void keeper_client_free(struct keeper_client *k)
{
    if (!k)
        return;
    disconnect(k);
    if (k->retry_timer >= 0)
        loop_timer_end(k->loop, k->retry_timer);
    for (struct asked *a = zlistx_first(k->asked); a; a = zlistx_first(k->asked)) {
        if (a->owns_arg)
            free(a->arg);
        asked_free(a);
    }
    zlistx_destroy(&k->asked);
    buf_done(&k->in);
    buf_done(&k->out);
    free(k);
}

bool keeper_client_connected(const struct keeper_client *k)
{
    return k->connected;
}

static int on_timeout(struct loop *loop, int timer, void *arg)
{
    struct asked *a = arg;
    struct err e;
    a->timer = -1;
    (void)err_set(&e, ERR_TIMEOUT, "the keeper did not answer in time");
    answer(a, &e, slice_of(NULL, 0));
    return 0;
}

static void ask(struct keeper_client *k, struct verb_request *r, int timeout_ms,
                keeper_reply_fn done, void *arg, bool owns_arg)
{
    struct err e;
    if (zlistx_size(k->asked) >= MAX_ASKED) {
        (void)err_set(&e, ERR_UNAVAILABLE, "too many sandboxes are being made at this moment");
        done(arg, &e, slice_of(NULL, 0));
        return;
    }
    struct asked *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    r->id = k->next_id++;
    *a = (struct asked){
        .client = k, .request = *r, .done = done, .arg = arg, .owns_arg = owns_arg
    };
    a->handle = zlistx_add_end(k->asked, a);
    a->timer = loop_timer(k->loop, (size_t)timeout_ms, on_timeout, a);
    if (!k->connected)
        return;
    if (verb_since(r->verb) > k->version) {
        refuse_new_verb(a);
        return;
    }
    verb_encode_request(&k->out, r);
    flush(k);
}

void keeper_client_ask(struct keeper_client *k, struct verb_request *r, int timeout_ms,
                       keeper_reply_fn done, void *arg)
{
    ask(k, r, timeout_ms, done, arg, false);
}

void keeper_client_ask_owning(struct keeper_client *k, struct verb_request *r, int timeout_ms,
                              keeper_reply_fn done, void *arg)
{
    ask(k, r, timeout_ms, done, arg, true);
}
