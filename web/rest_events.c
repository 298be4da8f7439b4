/* The events of an execution or of a session: as a stream, or page by page as JSON. */
#include <assert.h>
#include <stdlib.h>

#include "kernelhub/follower.h"
#include "protocol/sse.h"
#include "web/accept.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"
#include "web/stream.h"

#define PAGE_EVENTS    1000
#define PAGE_BYTES     (8u * 1024 * 1024) /* a page ends behind the event that passes it */
#define MAX_PAGE_BYTES (256u * 1024 * 1024)

/* What the request asks for. */
struct wanted {
    enum form form;
    uint64_t after;
    bool is_live;
    int64_t limit;
};

static int read_after(const struct request *r, enum form form, uint64_t *ret, struct err *e)
{
    const char *after = query_get(&r->query, "after");
    const char *last = form == FORM_SSE ? r->head.last_event_id : NULL;
    *ret = 0;
    if (after && !sse_parse_id(slice_str(after), ret))
        return err_set(e, ERR_INVALID, "query parameter 'after' must be the number of an event");
    /* a reconnecting EventSource repeats its URL; the header is newer */
    if (last && *last && !sse_parse_id(slice_str(last), ret))
        return err_set(e, ERR_INVALID, "Last-Event-ID must be the number of an event");
    return 0;
}

/* SSE follows unless told not to, or EventSource would come back every few seconds; a JSON list
 * cannot. */
static int read_wanted(const struct request *r, struct wanted *w, struct err *e)
{
    w->form = accept_form(r->head.accept);
    if (read_after(r, w->form, &w->after, e) < 0 ||
        query_flag(&r->query, "follow", w->form == FORM_SSE, &w->is_live, e) < 0 ||
        query_number(&r->query, "limit", 1, PAGE_EVENTS, PAGE_EVENTS, &w->limit, e) < 0)
        return -1;
    if (w->is_live && w->form == FORM_JSON)
        w->form = FORM_NDJSON;
    if (w->form != FORM_JSON && query_get(&r->query, "limit"))
        return err_set(e, ERR_INVALID,
                       "query parameter 'limit' is for a JSON list, not for a stream");
    return 0;
}

/* ---- a JSON page ---- */

struct page {
    struct request *request;
    struct follower *follower;
    struct buf out;
    int64_t left;
    uint64_t last;
};

static void page_free(void *arg, bool completed)
{
    struct page *page = arg;
    follower_free(page->follower);
    buf_done(&page->out);
    free(page);
}

/* `next` is the `after` of the next page; null when there is nothing more now. */
static void page_finish(struct page *page, bool has_more)
{
    if (has_more)
        buf_addf(&page->out, "],\"next\":\"%llu\"}", (unsigned long long)page->last);
    else
        buf_add_str(&page->out, "],\"next\":null}");
    reply_buf(page->request, 200, &page->out);
}

static void page_fill(struct page *page)
{
    struct err e = ERR_INIT;
    struct slice line;
    uint64_t seq;
    while (page->left > 0 && page->out.len < PAGE_BYTES) {
        switch (follower_next(page->follower, &seq, &line, &e)) {
        case FOLLOW_LINE:
            if (page->last)
                buf_add_char(&page->out, ',');
            buf_add_slice(&page->out, line);
            page->last = seq;
            page->left--;
            continue;
        case FOLLOW_WAIT:
            return;
        case FOLLOW_END:
            page_finish(page, false);
            return;
        case FOLLOW_FAILED:
            reply_error(page->request, &e);
            return;
        }
    }
    page_finish(page, true);
}

static void page_on_ready(void *arg)
{
    struct page *page = arg;
    if (page->follower && !page->request->response)
        page_fill(page);
}

static struct page *page_new(struct request *r, int64_t limit)
{
    struct page *page = calloc(1, sizeof *page);
    assert(page);
    *page = (struct page){ .request = r, .left = limit, .out = BUF_INIT(MAX_PAGE_BYTES) };
    buf_add_str(&page->out, "{\"items\":[");
    request_work(r, page, page_free);
    return page;
}

/* ---- where from ---- */

typedef struct follower *open_fn(struct request *r, const struct wanted *w,
                                 void (*on_ready)(void *arg), void *arg);

static void serve(struct request *r, open_fn *open)
{
    struct wanted w;
    struct err e = ERR_INIT;
    if (read_wanted(r, &w, &e) < 0) {
        reply_error(r, &e);
    } else if (w.form == FORM_JSON) {
        struct page *page = page_new(r, w.limit);
        page->follower = open(r, &w, page_on_ready, page);
        page_fill(page);
    } else {
        struct stream *s = stream_new(r, w.form);
        stream_follow(s, open(r, &w, stream_on_ready, s));
    }
}

static struct follower *open_execution(struct request *r, const struct wanted *w,
                                       void (*on_ready)(void *arg), void *arg)
{
    struct uuid id = { "" };
    (void)uuid_parse(slice_str(request_part(r, 0)), &id); /* checked by the handler */
    return follower_of_execution(r->site->hub, r->user, &id, w->after, w->is_live, on_ready, arg);
}

static struct follower *open_session(struct request *r, const struct wanted *w,
                                     void (*on_ready)(void *arg), void *arg)
{
    return follower_of_session(r->site->hub, r->user, request_part(r, 0), w->after, w->is_live,
                               on_ready, arg);
}

void rest_execution_events(struct request *r)
{
    struct uuid id;
    if (request_execution(r, &id))
        serve(r, open_execution);
}

void rest_session_events(struct request *r)
{
    serve(r, open_session);
}
