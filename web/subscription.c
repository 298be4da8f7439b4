/* A line is taken from its follower only when the socket has room, so a slow client is served from
 * the store. Each that is ready gives one line, then goes to the end of `ready`: a flood of one
 * does not hold up another. */
#include "web/subscription.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/follower.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/websocket.h"

#define MAX_MESSAGE_BYTES 65536

struct subscriptions {
    struct websocket *socket;
    struct request *request;
    zlistx_t *list;
    zlistx_t *ready; /* those that may have a line */
};

struct subscription {
    struct subscriptions *all;
    struct follower *follower;
    char *op_id;
    struct uuid execution_id;
    char *session; /* NULL: it is an execution's */
    bool interrupt_on_disconnect;
    bool has_spoken; /* gave a line */
    void *place, *ready_place;
};

struct subscriptions *subscriptions_new(struct websocket *socket, struct request *r)
{
    struct subscriptions *all = calloc(1, sizeof *all);
    assert(all);
    *all = (struct subscriptions){ .socket = socket, .request = r };
    all->list = zlistx_new();
    all->ready = zlistx_new();
    return all;
}

void subscriptions_free(struct subscriptions *all)
{
    struct subscription *s;
    if (!all)
        return;
    while ((s = zlistx_first(all->list)) != NULL)
        subscription_end(s);
    zlistx_destroy(&all->list);
    zlistx_destroy(&all->ready);
    free(all);
}

size_t subscriptions_count(const struct subscriptions *all)
{
    return zlistx_size(all->list);
}

static bool is_of(const struct subscription *s, const struct uuid *execution_id,
                  const char *session)
{
    if (session)
        return s->session && strcmp(s->session, session) == 0;
    return !s->session && uuid_equal(&s->execution_id, execution_id);
}

struct subscription *subscription_find(struct subscriptions *all, const struct uuid *execution_id,
                                       const char *session)
{
    for (struct subscription *s = zlistx_first(all->list); s; s = zlistx_next(all->list))
        if (is_of(s, execution_id, session))
            return s;
    return NULL;
}

static void wait_more(struct subscription *s)
{
    if (s->ready_place)
        (void)zlistx_delete(s->all->ready, TAKE(s->ready_place)); /* it is in there */
}

static void on_ready(void *arg)
{
    struct subscription *s = arg;
    if (!s->ready_place)
        s->ready_place = zlistx_add_end(s->all->ready, s);
    websocket_wake(s->all->socket);
}

static struct subscription *subscription_new(struct subscriptions *all, const char *op_id)
{
    struct subscription *s = calloc(1, sizeof *s);
    assert(s);
    s->all = all;
    s->op_id = strdup(op_id);
    assert(s->op_id);
    s->place = zlistx_add_end(all->list, s);
    return s;
}

struct subscription *subscription_of_execution(struct subscriptions *all, const char *op_id,
                                               const struct uuid *id, uint64_t after,
                                               bool interrupt_on_disconnect)
{
    const struct request *r = all->request;
    struct subscription *s = subscription_new(all, op_id);
    s->execution_id = *id;
    s->interrupt_on_disconnect = interrupt_on_disconnect;
    s->follower = follower_of_execution(r->site->hub, r->user, id, after, true, on_ready, s);
    follower_want_events(s->follower);
    on_ready(s);
    return s;
}

struct subscription *subscription_of_session(struct subscriptions *all, const char *op_id,
                                             const char *session, uint64_t after)
{
    const struct request *r = all->request;
    struct subscription *s = subscription_new(all, op_id);
    s->session = strdup(session);
    assert(s->session);
    s->follower = follower_of_session(r->site->hub, r->user, session, after, true, on_ready, s);
    on_ready(s);
    return s;
}

void subscription_end(struct subscription *s)
{
    wait_more(s);
    (void)zlistx_delete(s->all->list, s->place); /* it is in there */
    follower_free(s->follower);
    free(s->session);
    free(s->op_id);
    free(s);
}

void subscription_write_target(const struct subscription *s, struct buf *out)
{
    if (s->session) {
        buf_add_str(out, "\"session\":");
        json_quote_str(out, s->session);
    } else {
        buf_addf(out, "\"execution_id\":\"%s\"", s->execution_id.text);
    }
}

static void say_detached(struct subscription *s, const struct err *e)
{
    CLEANUP_BUF struct buf out = BUF_INIT(MAX_MESSAGE_BYTES);
    buf_addf(&out, "{\"type\":\"detached\",\"id\":%s,", s->op_id);
    subscription_write_target(s, &out);
    buf_add_str(&out, ",\"error\":");
    if (e)
        reply_write_error(s->all->request, e, NULL, &out);
    else
        buf_add_str(&out, "null");
    buf_add_char(&out, '}');
    websocket_text(s->all->socket, buf_slice(&out));
}

static void give(struct subscription *s)
{
    struct err e = ERR_INIT;
    struct slice line;
    uint64_t seq;
    switch (follower_next(s->follower, &seq, &line, &e)) {
    case FOLLOW_LINE:
        s->has_spoken = true;
        websocket_text(s->all->socket, line);
        zlistx_move_end(s->all->ready, s->ready_place);
        return;
    case FOLLOW_WAIT:
        wait_more(s);
        return;
    case FOLLOW_END: /* the last line of an execution is its `finished` */
        if (s->session || !s->has_spoken)
            say_detached(s, NULL);
        break;
    case FOLLOW_FAILED:
        log_warning("stream broken id=%s code=%s", s->all->request->id.text, err_name(e.code));
        say_detached(s, &e);
        break;
    }
    subscription_end(s);
}

void subscriptions_give(struct subscriptions *all)
{
    struct subscription *s;
    while (websocket_has_room(all->socket) && (s = zlistx_first(all->ready)) != NULL)
        give(s);
}

bool subscriptions_take_interrupted(struct subscriptions *all, struct uuid *ret_execution_id)
{
    struct subscription *s = zlistx_first(all->list);
    while (s && !s->interrupt_on_disconnect)
        s = zlistx_next(all->list);
    if (!s)
        return false;
    *ret_execution_id = s->execution_id;
    subscription_end(s);
    return true;
}
