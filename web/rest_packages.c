/* Packages: what may be installed, what is, and installing more. An install answers when it has ended; or, as a stream, record by
 * record: what the client is slow to take waits here, up to a bound. */
#include <stddef.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kernelhub/packages.h"
#include "web/accept.h"
#include "web/fields.h"
#include "web/page.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"

#define MAX_NAME_BYTES    255
#define MAX_LIST_BYTES    (64 * 1024)
#define MAX_WAITING_BYTES (24u * 1024 * 1024) /* the last record alone may be most of it */
#define KEPT_FOR_THE_LAST (17u * 1024 * 1024)
#define MAX_REPLY_BYTES   (16u * 1024 * 1024)

/* ---- installing ---- */

struct install {
    struct request *request; /* NULL: the client has left */
    struct package_install *under_way;
    enum form form;
    struct buf waiting; /* of the stream */
    bool is_streaming, is_over;
};

struct body {
    const char *language, *session, *package;
    struct slice packages;
};

#define AT(member) offsetof(struct body, member)
static const struct field FIELDS[] = {
    { "language", FIELD_NAME, AT(language), false, MAX_NAME_BYTES, FIELD_NO_CONFIG, NULL },
    { "session", FIELD_NAME, AT(session), false, MAX_NAME_BYTES, FIELD_NO_CONFIG, NULL },
    { "package", FIELD_NAME, AT(package), false, MAX_NAME_BYTES, FIELD_NO_CONFIG, NULL },
    { "packages", FIELD_STRINGS, AT(packages), false, MAX_LIST_BYTES, FIELD_NO_CONFIG, NULL },
};
#undef AT

static void install_free(struct install *i)
{
    buf_done(&i->waiting);
    free(i);
}

static void on_request_done(void *work, bool completed)
{
    struct install *i = work;
    if (i->under_way)
        packages_leave(i->under_way);
    install_free(i);
}

static ssize_t fill(void *arg, uint64_t pos, char *out, size_t max)
{
    struct install *i = arg;
    if (i->request->socket->peer_has_left)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t n = i->waiting.len < max ? i->waiting.len : max;
    if (n) {
        memcpy(out, i->waiting.data, n);
        buf_drop(&i->waiting, n);
        return (ssize_t)n;
    }
    if (i->is_over)
        return MHD_CONTENT_READER_END_OF_STREAM;
    request_suspend(i->request);
    return 0;
}

/* A record of a client that does not read is left out; the last one never is. */
static void give(struct install *i, struct slice record, bool is_last)
{
    if (!is_last && i->waiting.len + 2 * record.len > MAX_WAITING_BYTES - KEPT_FOR_THE_LAST)
        return;
    buf_add_str(&i->waiting, i->form == FORM_SSE ? "data: " : "");
    buf_add_slice(&i->waiting, record);
    buf_add_str(&i->waiting, i->form == FORM_SSE ? "\n\n" : "\n");
    if (i->is_streaming) {
        request_wake(i->request);
    } else if (!i->request->response) {
        i->is_streaming = true;
        reply_stream(i->request, form_media_type(i->form), fill, i);
    }
}

static void on_record(void *arg, struct slice record)
{
    struct install *i = arg;
    if (i->form != FORM_JSON)
        give(i, record, false);
}

/* {"type":"finished",…} */
static void write_last(const struct err *e, const struct request *r, struct slice result,
                       struct buf *out)
{
    buf_add_str(out, "{\"type\":\"finished\",");
    if (e) {
        buf_add_str(out, "\"status\":\"error\",\"error\":");
        reply_write_error(r, e, NULL, out);
        buf_add_char(out, '}');
    } else {
        buf_add_slice(out, slice_of(result.data + 1, result.len - 1));
    }
}

static void on_end(void *arg, const struct err *e, struct slice result)
{
    struct install *i = arg;
    struct request *r = i->request;
    i->under_way = NULL;
    i->is_over = true;
    if (i->is_streaming || (!e && i->form != FORM_JSON)) {
        CLEANUP_BUF struct buf last = BUF_INIT(KEPT_FOR_THE_LAST);
        write_last(e, r, result, &last);
        give(i, buf_slice(&last), true);
    } else if (r->response) {
        return; /* the server stops: that was the answer */
    } else if (e) {
        reply_error(r, e);
    } else {
        reply_json(r, 200, result);
    }
}

static int read_body(struct request *r, struct fields *fields, struct body *body, struct buf *one,
                     struct err *e)
{
    *body = (struct body){ .language = NULL };
    if (fields_read(fields, buf_slice(&r->body), FIELDS, ARRAY_LEN(FIELDS), r->site->config, body,
                    e) < 0)
        return -1;
    if ((body->package != NULL) == (body->packages.data != NULL))
        return err_set(e, ERR_INVALID,
                       "either field 'packages' or field 'package' has to be given");
    if (body->package) {
        buf_add_char(one, '[');
        json_quote_str(one, body->package);
        buf_add_char(one, ']');
        body->packages = buf_slice(one);
    }
    return 0;
}

void rest_package_install(struct request *r)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    CLEANUP_BUF struct buf one = BUF_INIT(8 * MAX_NAME_BYTES);
    struct body body;
    struct err e = ERR_INIT;
    if (read_body(r, &fields, &body, &one, &e) < 0) {
        reply_error(r, &e);
        return;
    }
    struct install *i = calloc(1, sizeof *i);
    assert(i);
    *i = (struct install){ .request = r,
                           .form = accept_form(r->head.accept),
                           .waiting = BUF_INIT(MAX_WAITING_BYTES) };
    request_work(r, i, on_request_done);
    const struct packages_wish wish = { .language = body.language,
                                        .session = body.session,
                                        .list = body.packages };
    const struct packages_listener listener = { on_record, on_end, i };
    if (packages_install(r->site->hub, r->user, &wish, &listener, &i->under_way, &e) == 0)
        return;
    r->hint = e.code == ERR_POLICY ? "GET /api/v1/packages/allowed/{language} lists what may be "
                                     "installed; the administrator decides it"
              : e.code == ERR_BUSY ? "try again in a moment"
                                   : NULL;
    reply_error(r, &e);
}

/* ---- what there is ---- */

struct listing {
    struct request *request; /* NULL: the client has left */
    struct files_job *job;   /* NULL: it has ended */
    const char *language;    /* NULL: all */
    struct buf list;
};

static void listing_free(void *arg)
{
    struct listing *l = arg;
    buf_done(&l->list);
    free(l);
}

static void on_listing_request_done(void *work, bool completed)
{
    struct listing *l = work;
    l->request = NULL;
    if (l->job)
        files_leave(l->job); /* listing_free then, or later */
    else
        listing_free(l);
}

static int read_installed(void *arg, struct tree *t, struct err *e)
{
    static const char *const LANGUAGES[] = { "javascript", "python" };
    struct listing *l = arg;
    buf_add_str(&l->list, "{\"items\":[");
    size_t begin = l->list.len;
    for (size_t i = 0; i < ARRAY_LEN(LANGUAGES); i++) {
        size_t before = l->list.len;
        if (l->language && strcmp(l->language, LANGUAGES[i]) != 0)
            continue;
        if (before > begin)
            buf_add_char(&l->list, ',');
        size_t after = l->list.len;
        if (packages_write_installed(t, LANGUAGES[i], &l->list, e) < 0)
            return -1;
        if (l->list.len == after)
            l->list.len = before; /* no comma before nothing */
    }
    buf_add_str(&l->list, "],\"next\":null}");
    return 0;
}

static void on_installed(void *arg, const struct err *e)
{
    struct listing *l = arg;
    l->job = NULL;
    if (l->request->response)
        return; /* the server stops: that was the answer */
    if (e)
        reply_error(l->request, e);
    else
        page_reply(l->request, &l->list);
}

void rest_packages_installed(struct request *r)
{
    const char *language = query_get(&r->query, "language");
    struct err e = ERR_INIT;
    if (language && !packages_language(language)) {
        (void)err_set(&e, ERR_INVALID, "query parameter 'language' can be python or javascript");
        reply_error(r, &e);
        return;
    }
    struct listing *l = calloc(1, sizeof *l);
    assert(l);
    *l = (struct listing){ .request = r,
                           .language = language ? packages_language(language) : NULL,
                           .list = BUF_INIT(MAX_REPLY_BYTES) };
    request_work(r, l, on_listing_request_done);
    const struct files_work work = {
        .run = read_installed, .done = on_installed, .drop = listing_free, .ctx = l
    };
    if (files_submit(r->site->hub, r->user, &work, &l->job, &e) < 0) {
        r->hint = "try again in a moment";
        reply_error(r, &e);
    }
}

void rest_packages_allowed(struct request *r)
{
    CLEANUP_BUF struct buf list = BUF_INIT(MAX_REPLY_BYTES);
    struct err e = ERR_INIT;
    if (packages_write_allowed(r->site->hub, request_part(r, 0), &list, &e) < 0)
        reply_error(r, &e);
    else
        reply_buf(r, 200, &list);
}
