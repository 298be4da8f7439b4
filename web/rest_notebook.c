/* GET /sessions/{name}/notebook: what a session has run, as a file for notebook programs. It is made while it is sent:
 *
 *     notebook_reader_next ──► piece ──► fill() ──► socket
 *
 * A slow client costs one piece; while the next one is read from the store the connection is suspended. */
#include <assert.h>
#include <ctype.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/timestamp.h"
#include "kernelhub/notebook_reader.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"

#define MAX_HEADER_BYTES 1024

struct export
{
    struct request *request;
    struct notebook_reader *reader;
    struct slice piece; /* what is still to be sent of it */
    bool is_started;
};

static void export_free(void *arg, bool completed)
{
    struct export *x = arg;
    notebook_reader_free(x->reader);
    free(x);
}

static ssize_t fill(void *arg, uint64_t pos, char *out, size_t max)
{
    struct export *x = arg;
    struct err e = ERR_INIT;
    if (x->request->socket->peer_has_left)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (x->piece.len == 0) {
        switch (notebook_reader_next(x->reader, &x->piece, &e)) {
        case FOLLOW_LINE:
            break;
        case FOLLOW_WAIT:
            request_suspend(x->request);
            return 0;
        case FOLLOW_END:
            return MHD_CONTENT_READER_END_OF_STREAM;
        case FOLLOW_FAILED: /* half a notebook is none: the client sees that it was cut off */
            log_warning("notebook broken id=%s code=%s error=%s", x->request->id.text,
                        err_name(e.code), log_quote(slice_str(e.text)));
            return MHD_CONTENT_READER_END_WITH_ERROR;
        }
    }
    size_t n = x->piece.len < max ? x->piece.len : max;
    memcpy(out, x->piece.data, n);
    x->piece = slice_of(x->piece.data + n, x->piece.len - n);
    return (ssize_t)n;
}

/* ---- its name ---- */

/* "a/b" → attachment; filename*=UTF-8''b.ipynb (RFC 8187). */
static void write_disposition(const char *session, struct buf *out)
{
    static const char END[] = ".ipynb";
    const char *slash = strrchr(session, '/');
    const char *name = slash && slash[1] ? slash + 1 : session;
    size_t n = strlen(name), end = sizeof END - 1;
    buf_add_str(out, "attachment; filename*=UTF-8''");
    for (const char *p = name; *p; p++) {
        if (isalnum((unsigned char)*p) || (*p && strchr("-._~", *p)))
            buf_add_char(out, *p);
        else
            buf_addf(out, "%%%02X", (unsigned char)*p);
    }
    if (n < end || strcmp(name + n - end, END) != 0)
        buf_add_str(out, END);
}

/* ---- the beginning ---- */

static void start(struct export *x)
{
    struct request *r = x->request;
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf disposition = BUF_INIT(MAX_HEADER_BYTES);
    switch (notebook_reader_next(x->reader, &x->piece, &e)) {
    case FOLLOW_WAIT:
        return;
    case FOLLOW_FAILED:
        r->hint = "GET /api/v1/sessions lists yours; GET /api/v1/executions has the history";
        reply_error(r, &e);
        return;
    case FOLLOW_LINE:
    case FOLLOW_END:
        break;
    }
    x->is_started = true;
    write_disposition(request_part(r, 0), &disposition);
    reply_stream(r, "application/x-ipynb+json", fill, x);
    reply_header(r, "Content-Disposition", disposition.data);
}

static void on_ready(void *arg)
{
    struct export *x = arg;
    if (x->is_started)
        request_wake(x->request);
    else if (x->reader && !x->request->response) /* a service that stops has replied for us */
        start(x);
}

static int read_time(const struct request *r, const char *name, int64_t *ret_us, struct err *e)
{
    const char *text = query_get(&r->query, name);
    if (!text || timestamp_parse(slice_str(text), ret_us))
        return 0;
    return err_set(e, ERR_INVALID,
                   "%s %s is no RFC 3339 time like 2026-11-21T10:00:00Z (a + in a URL is written "
                   "%%2B)",
                   name, log_quote(slice_str(text)));
}

void rest_session_notebook(struct request *r)
{
    struct notebook_wish wish = { .session = request_part(r, 0) };
    bool outputs;
    struct err e = ERR_INIT;
    if (read_time(r, "since", &wish.since_us, &e) < 0 ||
        read_time(r, "until", &wish.until_us, &e) < 0 ||
        query_flag(&r->query, "outputs", true, &outputs, &e) < 0) {
        reply_error(r, &e);
        return;
    }
    wish.without_outputs = !outputs;
    struct export *x = calloc(1, sizeof *x);
    assert(x);
    x->request = r;
    request_work(r, x, export_free);
    x->reader = notebook_reader_new(r->site->hub, r->user, &wish, on_ready, x);
    start(x);
}
