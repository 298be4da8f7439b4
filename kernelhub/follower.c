/* Reads from memory what is in memory, else a page from the store; `after` is always the last number given out. */
#include "kernelhub/follower.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "kernelhub/execution_internal.h"
#include "kernelhub/session_internal.h"

#define PAGE_BYTES (256u * 1024)

struct follower {
    struct hub *hub;
    struct user *user;
    uint64_t after;
    bool live, waiting, of_session, at_end, wants_events;
    char session[128]; /* its name, when it is of one */
    void (*on_ready)(void *arg);
    void *arg;
    int64_t feed_number; /* -1: not yet known */
    struct feed *feed;   /* NULL: only in the store */
    struct feed_watch *watch;
    struct store_query *query;
    struct buf page; /* lines with their newlines */
    size_t page_at;
    struct feed_line *line; /* the one given out last, when it came from memory */
    struct err failure;
};

static void ready(struct follower *f)
{
    if (!f->waiting)
        return;
    f->waiting = false;
    f->on_ready(f->arg);
}

static void on_feed_changed(void *arg)
{
    ready(arg);
}

static struct follower *follower_new(struct hub *h, const struct user *u, uint64_t after, bool live,
                                     void (*on_ready)(void *arg), void *arg)
{
    struct follower *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    f->hub = h;
    f->after = after;
    f->live = live;
    f->on_ready = on_ready;
    f->arg = arg;
    f->feed_number = -1;
    buf_init(&f->page, 256u << 20); /* one event may be as big as a kernel's message */
    return f;
}

/* As long as it followed, its session's sandbox was not idle. */
static void leave_session(const struct follower *f)
{
    struct session *s = f->feed ? session_find(f->hub, f->user, f->session) : NULL;
    if (s && s->sandbox && feed_number(s->feed) == f->feed_number)
        sandbox_use(s->sandbox, hub_unix_us(), SANDBOX_ATTACHED);
}

void follower_free(struct follower *f)
{
    if (!f)
        return;
    if (f->of_session)
        leave_session(f);
    store_cancel(f->query);
    feed_unwatch(f->watch);
    feed_unref(f->feed);
    buf_done(&f->page);
    feed_line_drop(f->line);
    free(f);
}

void follower_want_events(struct follower *f)
{
    f->wants_events = true;
}

static void take_feed(struct follower *f, struct feed *feed)
{
    f->feed = feed_ref(feed);
    f->feed_number = feed_number(feed);
    f->watch = feed_watch(feed, on_feed_changed, f);
}

static void on_found(void *arg, const struct err *e, struct slice json)
{
    struct follower *f = arg;
    struct slice user;
    f->query = NULL;
    if (e)
        f->failure = *e;
    else if (!json_member_string(json, "user_id", &user) || !slice_is(user, f->user->id.text) ||
             !json_member_int(json, "feed", &f->feed_number))
        (void)err_set(&f->failure, ERR_NOT_FOUND, "there is no such execution");
    ready(f);
}

struct follower *follower_of_execution(struct hub *h, const struct user *u, const struct uuid *id,
                                       uint64_t after, bool live, void (*on_ready)(void *arg),
                                       void *arg)
{
    struct follower *f = follower_new(h, u, after, live, on_ready, arg);
    struct execution *x = zhashx_lookup(h->executions, id->text);
    f->user = zhashx_lookup(h->users, u->id.text);
    if (x && x->user == u)
        take_feed(f, x->feed);
    else if (x)
        (void)err_set(&f->failure, ERR_NOT_FOUND, "there is no such execution");
    else
        f->query = store_find_execution(h->store, id, on_found, f);
    return f;
}

struct follower *follower_of_session(struct hub *h, const struct user *u, const char *name,
                                     uint64_t after, bool live, void (*on_ready)(void *arg),
                                     void *arg)
{
    struct follower *f = follower_new(h, u, after, live, on_ready, arg);
    struct session *s = session_find(h, u, name);
    f->of_session = true;
    f->user = zhashx_lookup(h->users, u->id.text);
    (void)snprintf(f->session, sizeof f->session, "%s", name); /* a longer one is none's */
    if (s)
        take_feed(f, s->feed);
    else
        (void)err_set(&f->failure, ERR_NOT_FOUND, "there is no session '%.64s'", name);
    return f;
}

static void on_page(void *arg, const struct err *e, uint64_t first_seq, size_t n_lines,
                    struct slice lines, bool ended)
{
    struct follower *f = arg;
    f->query = NULL;
    if (e) {
        f->failure = *e;
    } else {
        buf_reset(&f->page);
        f->page_at = 0;
        buf_add_slice(&f->page, lines);
        if (n_lines)
            f->after = first_seq - 1; /* a session's oldest may be gone */
        if (n_lines == 0 || ended || f->page.failed)
            f->at_end = !f->feed;
    }
    ready(f);
}

static enum follow from_page(struct follower *f, uint64_t *ret_seq, struct slice *ret_line)
{
    const char *at = f->page.data + f->page_at;
    const char *newline = memchr(at, '\n', f->page.len - f->page_at);
    size_t n = newline ? (size_t)(newline - at) : f->page.len - f->page_at;
    *ret_line = slice_of(at, n);
    *ret_seq = ++f->after;
    f->page_at += newline ? n + 1 : n;
    return FOLLOW_LINE;
}

static enum follow wait_more(struct follower *f)
{
    f->waiting = true;
    return FOLLOW_WAIT;
}

static enum follow read_page(struct follower *f)
{
    if (!f->query)
        f->query =
            store_read_events(f->hub->store, f->feed_number, f->after, PAGE_BYTES, on_page, f);
    return wait_more(f);
}

static enum follow from_feed(struct follower *f, uint64_t *ret_seq, struct slice *ret_line,
                             struct err *e)
{
    bool tells = f->live && f->after == 0 && !f->wants_events;
    const struct err *failure = tells ? feed_failure(f->feed) : NULL;
    if (failure) {
        *e = *failure;
        return FOLLOW_FAILED;
    }
    if (f->after < feed_last_seq(f->feed)) {
        f->line = feed_line_hold(f->feed, f->after + 1);
        if (!f->line)
            return read_page(f);
        *ret_line = feed_line_text(f->line);
        *ret_seq = ++f->after;
        return FOLLOW_LINE;
    }
    return feed_has_ended(f->feed) || !f->live ? FOLLOW_END : wait_more(f);
}

enum follow follower_next(struct follower *f, uint64_t *ret_seq, struct slice *ret_line,
                          struct err *e)
{
    feed_line_drop(TAKE(f->line));
    if (f->failure.code != ERR_NONE) {
        *e = f->failure;
        return FOLLOW_FAILED;
    }
    if (f->page_at < f->page.len)
        return from_page(f, ret_seq, ret_line);
    if (f->feed_number < 0 || f->query)
        return wait_more(f);
    if (f->feed)
        return from_feed(f, ret_seq, ret_line, e);
    return f->at_end ? FOLLOW_END : read_page(f);
}
