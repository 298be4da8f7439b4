#include "web/request.h"

#include <assert.h>
#include <stdlib.h>
#include <strings.h>

#include "base/log.h"
#include "kernelhub/spare.h"
#include "kernelhub/stored.h"
#include "web/fields.h"
#include "web/gate.h"
#include "web/reply.h"
#include "web/stream.h"

#define SMALL_BODY_BYTES  4096                /* where none is wanted: {} and some white space */
#define MAX_LARGE         8                   /* requests with a large body at a time */
#define MAX_DISCARD_BYTES (64u * 1024 * 1024) /* of a refused body; what sends more is cut off */
#define MAX_LATE_DISCARD                                                                           \
    (1ull << 30) /* of one that was refused in the middle: libmicrohttpd replies at its end only */
#define PACE_BYTES (1u << 20) /* of a body in pieces: for so many there is new time */

struct request *request_new(struct site *site, struct connection *socket,
                            struct MHD_Connection *mhd, const char *uri)
{
    struct request *r = calloc(1, sizeof *r);
    char *copy = strdup(uri);
    assert(r && copy);
    *r = (struct request){ .site = site,
                           .socket = socket,
                           .mhd = mhd,
                           .uri = copy,
                           .id = uuid_new(),
                           .begun_us = zclock_usecs() };
    return r;
}

static void account(const struct request *r, bool completed)
{
    char status[8];
    double seconds = (double)(zclock_usecs() - r->begun_us) / 1e6;
    const char *route = r->match.route ? r->match.route->pattern : "none";
    /* 499 as nginx has it: the client did not wait for the end */
    (void)snprintf(status, sizeof status, "%u", completed ? r->status : 499);
    metric_counter_add(r->site->requests, route, status, 1);
    metric_histogram_observe(r->site->seconds, seconds);
    log_debug("request id=%s route=%s path=%s status=%s ms=%.3f user=%s", r->id.text, route,
              log_quote(r->path), status, seconds * 1e3, r->user ? r->user->name : "-");
}

void request_free(struct request *r, bool completed)
{
    if (!r)
        return;
    if (r->work_done)
        r->work_done(r->work, completed); /* may take the wait over */
    wait_cancel(r->wait);
    stream_free(r->stream);
    if (r->response)
        MHD_destroy_response(r->response);
    if (!r->is_accounted)
        account(r, completed);
    if (r->is_large)
        r->site->n_large--;
    query_done(&r->query);
    if (r->is_large || r->body.capacity >= SPARE_LARGE_BYTES)
        spare_note(r->site->hub);
    buf_done(&r->body);
    free(r->set_cookie);
    free(r->uri);
    free(r);
}

void request_upgraded(struct request *r)
{
    account(r, true);
    r->is_accounted = true;
}

/* ---- the body ---- */

/* Suspended, libmicrohttpd missed that the client has closed. Once resumed it reads: what is left, then the end. */
static void look_again(struct request *r)
{
    request_suspend(r);
    request_wake(r);
}

static size_t max_body(const struct request *r)
{
    size_t most = (size_t)config_number(r->site->config, CONFIG_SERVER_MAX_BODY);
    if (!request_has_flag(r, ROUTE_BODY))
        return SMALL_BODY_BYTES;
    size_t large = request_is_mcp(r) ? ROUTER_MCP_BYTES : ROUTER_LARGE_BYTES;
    return request_has_flag(r, ROUTE_LARGE) && most < large ? large : most;
}

/* Above what every route takes only a few bodies may be in memory at a time. */
static void count_large(struct request *r)
{
    struct err e = ERR_INIT;
    size_t usual = (size_t)config_number(r->site->config, CONFIG_SERVER_MAX_BODY);
    if (r->is_large || r->response || r->body.len <= usual)
        return;
    if (r->site->n_large == MAX_LARGE) {
        buf_done(&r->body);
        (void)err_set(&e, ERR_UNAVAILABLE, "%d bodies above %zu bytes are under way, the limit",
                      MAX_LARGE, usual);
        reply_error(r, &e);
        return;
    }
    r->is_large = true;
    r->site->n_large++;
}

static void refuse_size(struct request *r)
{
    struct err e = ERR_INIT;
    (void)err_set(&e, ERR_TOO_LARGE, "the request body is above %zu bytes, the limit%s",
                  max_body(r),
                  request_has_flag(r, ROUTE_BODY) && !request_has_flag(r, ROUTE_LARGE)
                      ? " (server/max_body_bytes)"
                      : " of this path");
    buf_done(&r->body);
    reply_error(r, &e);
}

/* What is refused is still read: to close with bytes unread would reset the connection under the
 * reply. */
static enum MHD_Result feed(struct request *r, const char *data, size_t size)
{
    if (!r->response) {
        buf_add(&r->body, data, size);
        if (r->body.failed)
            refuse_size(r);
        else
            count_large(r);
    }
    if (r->response)
        r->discarded_bytes += size;
    return r->discarded_bytes > (r->taken_bytes ? MAX_LATE_DISCARD : MAX_DISCARD_BYTES) ? MHD_NO
                                                                                        : MHD_YES;
}

/* Whoever sends, however slowly, may go on; who drips is cut off by the server. */
static void keep_pace(struct request *r, size_t n)
{
    if ((r->taken_bytes + n) / PACE_BYTES > r->taken_bytes / PACE_BYTES)
        r->socket->since_ms = zclock_mono();
    r->taken_bytes += n;
}

static enum MHD_Result give(struct request *r, const char *data, size_t *size)
{
    size_t n = r->taker.take(r->taker.arg, slice_of(data, *size));
    keep_pace(r, n);
    *size -= n;
    if (*size == 0 && r->socket->peer_has_left)
        look_again(r);
    else if (*size && !r->response)
        request_suspend(r);
    return MHD_YES;
}

/* ---- turns ---- */

static enum MHD_Result send_reply(struct request *r)
{
    r->state = REQUEST_REPLYING;
    return MHD_queue_response(r->mhd, r->status, r->response);
}

/* A client that asked first ("Expect: 100-continue") has not sent its body: no need to read it. The
 * same for one that announces more than we would throw away. */
static bool body_is_hopeless(const struct request *r)
{
    const char *length = r->head.content_length;
    return (r->head.expect && strcasecmp(r->head.expect, "100-continue") == 0) ||
           (length && strtoull(length, NULL, 10) > MAX_DISCARD_BYTES);
}

/* The handler has said what it wants of the body, or waits for somebody to say it. */
static enum MHD_Result begun(struct request *r)
{
    if (!r->response && r->taker.take && !r->is_taker_ready) {
        if (r->socket->peer_has_left)
            return MHD_NO;
        request_suspend(r);
        return MHD_YES;
    }
    r->state = REQUEST_BODY;
    if (!r->response && !r->taker.take && r->head.content_length &&
        strtoull(r->head.content_length, NULL, 10) > max_body(r))
        refuse_size(r);
    return r->response && body_is_hopeless(r) ? send_reply(r) : MHD_YES;
}

static enum MHD_Result begin(struct request *r, const char *method)
{
    struct err e = ERR_INIT;
    r->state = REQUEST_BEGINNING;
    if (gate_pass(r, method, &e) < 0)
        reply_error(r, &e);
    buf_init(&r->body, max_body(r));
    if (!r->response && request_has_flag(r, ROUTE_PIECES))
        r->match.route->handle(r);
    return begun(r);
}

static void on_stored(void *arg, const struct err *e, struct slice json)
{
    struct request *r = arg;
    r->wait = NULL;
    r->is_stored = true;
    if (e) {
        MHD_destroy_response(TAKE(r->response));
        reply_error(r, e);
    }
    request_wake(r);
}

/* A reply is a promise: what it says must not be undone by a hub that dies now. */
static bool may_be_sent(struct request *r)
{
    if (r->is_stored || !request_has_flag(r, ROUTE_STORED) || r->status >= 300)
        return true; /* what else is waited for, a stream's work goes on with */
    request_wait(r, hub_when_stored(r->site->hub, on_stored, r));
    return !r->wait;
}

static enum MHD_Result act(struct request *r)
{
    if (r->state == REQUEST_BODY) {
        r->state = REQUEST_WAITING;
        if (!r->response && r->taker.take)
            r->taker.end(r->taker.arg);
        else if (!r->response)
            r->match.route->handle(r); /* may reply at once */
    }
    if (r->response && may_be_sent(r))
        return send_reply(r);
    if (r->socket->peer_has_left) /* its edge is over: nobody would tell us later */
        return MHD_NO;
    request_suspend(r);
    return MHD_YES;
}

enum MHD_Result request_turn(struct request *r, const char *method, const char *version,
                             const char *data, size_t *size)
{
    switch (r->state) {
    case REQUEST_HEAD:
        r->is_http_1_1 = strcmp(version, "HTTP/1.1") == 0;
        r->is_head = strcmp(method, "HEAD") == 0;
        return begin(r, method);
    case REQUEST_BEGINNING:
        return begun(r);
    case REQUEST_BODY:
        if (*size && r->taker.take && !r->response)
            return give(r, data, size);
        if (*size) {
            size_t n = *size;
            *size = 0;
            return feed(r, data, n);
        }
        return act(r);
    case REQUEST_WAITING:
        return act(r);
    case REQUEST_REPLYING:
        return MHD_YES;
    case REQUEST_LEFT:
        break;
    }
    return MHD_NO;
}

void request_suspend(struct request *r)
{
    r->is_suspended = true;
    MHD_suspend_connection(r->mhd);
}

void request_wake(struct request *r)
{
    if (!r->is_suspended)
        return;
    r->is_suspended = false;
    MHD_resume_connection(r->mhd);
    connection_run_soon(
        r->socket); /* without an own thread libmicrohttpd has nothing that would wake it */
}

void request_client_left(struct request *r)
{
    if (!r->is_suspended) {
        if (r->state == REQUEST_BODY && r->taker.take)
            look_again(r);
        return;
    }
    if (r->state == REQUEST_WAITING)
        r->state = REQUEST_LEFT;
    else if (r->stream)
        stream_cut(r->stream);
    request_wake(r);
}

void request_drain(struct request *r)
{
    struct err e = ERR_INIT;
    if (r->stream && r->response) {
        stream_end(r->stream);
    } else if (r->state == REQUEST_WAITING && !r->response) {
        wait_cancel(TAKE(r->wait));
        stream_free(TAKE(r->stream));
        r->hint = "what was accepted runs on; ask for it again by its execution_id in a moment";
        (void)err_set(&e, ERR_UNAVAILABLE, "the service is stopping");
        reply_error(r, &e);
    }
}

void request_take_body(struct request *r, const struct body_taker *taker)
{
    r->taker = *taker;
}

void request_open_body(struct request *r)
{
    r->is_taker_ready = true;
    r->socket->since_ms = zclock_mono();
    request_wake(r);
}

void request_wait(struct request *r, struct wait *w)
{
    if (w) /* NULL: the callback has been, and may have started the next wait */
        r->wait = w;
}

bool request_execution(struct request *r, struct uuid *ret)
{
    struct err e = ERR_INIT;
    if (uuid_parse(slice_str(request_part(r, 0)), ret))
        return true;
    (void)err_set(&e, ERR_NOT_FOUND, "no execution %s", log_quote(slice_str(request_part(r, 0))));
    reply_error(r, &e);
    return false;
}

static void answer(struct request *r, unsigned status, const struct err *e, struct slice json)
{
    r->wait = NULL;
    if (e)
        reply_error(r, e);
    else
        reply_json(r, status, json);
}

void request_answer(void *arg, const struct err *e, struct slice json)
{
    answer(arg, 200, e, json);
}

void request_answer_created(void *arg, const struct err *e, struct slice json)
{
    answer(arg, 201, e, json);
}

static bool is_beneath(struct slice path, const char *root)
{
    size_t n = strlen(root);
    return path.len >= n && memcmp(path.data, root, n) == 0 &&
           (path.len == n || path.data[n] == '/');
}

bool request_is_jupyter(const struct request *r)
{
    return (is_beneath(r->path, "/api") && !is_beneath(r->path, "/api/v1")) ||
           is_beneath(r->path, "/kernelspecs") || is_beneath(r->path, "/files") ||
           is_beneath(r->path, "/terminals");
}

bool request_is_mcp(const struct request *r)
{
    return slice_is(r->path, "/mcp") || slice_is(r->path, "/sse") || slice_is(r->path, "/messages");
}

void request_work(struct request *r, void *work, void (*done)(void *work, bool completed))
{
    r->work = work;
    r->work_done = done;
}

bool request_has_empty_body(struct request *r)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct err e = ERR_INIT;
    if (fields_read(&fields, buf_slice(&r->body), NULL, 0, r->site->config, NULL, &e) == 0)
        return true;
    reply_error(r, &e);
    return false;
}
