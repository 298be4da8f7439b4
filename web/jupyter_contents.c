/* The loop's half of the Contents API: reads the address, hands body and all to a worker, sends what comes back. No byte of a body
 * or of a file is looked at here. */
#include "web/jupyter_contents.h"

#include <stdlib.h>

#include "web/contents.h"
#include "web/file_path.h"
#include "web/reply.h"
#include "web/request.h"

#define MAX_LOCATION (3 * FILES_MAX_TEXT + 512)

struct call {
    struct request *request; /* NULL: the client has left */
    struct files_job *job;   /* NULL: it has ended */
    contents_fn *run;
    struct contents_ask ask;
    struct contents_answer answer;
};

static void call_free(void *arg)
{
    struct call *c = arg;
    buf_done(&c->ask.body);
    buf_done(&c->answer.json);
    free(c);
}

static void on_request_end(void *work, bool completed)
{
    struct call *c = work;
    c->request = NULL;
    if (c->job)
        files_leave(c->job); /* call_free then, or later */
    else
        call_free(c);
}

/* ---- in a worker ---- */

static int run(void *arg, struct tree *t, struct err *e)
{
    struct call *c = arg;
    return c->run(t, &c->ask, &c->answer, e);
}

/* ---- the answer ---- */

static void add_location(struct request *r, const char *path)
{
    CLEANUP_BUF struct buf url = BUF_INIT(MAX_LOCATION);
    buf_addf(&url, "%s/api/contents/", config_text(r->site->config, CONFIG_SERVER_BASE_PATH));
    file_path_write(path, &url);
    if (!url.failed)
        reply_header(r, "Location", url.data);
}

/* To these clients 409 says that a name is taken; what is only busy they try again after a 503. */
void jupyter_contents_refuse(struct request *r, const struct err *e)
{
    if (e->code == ERR_TOO_LARGE)
        r->hint = "GET /files/… gives a file of any size, uploads in chunks take one";
    if (e->code != ERR_BUSY) {
        reply_error(r, e);
        return;
    }
    r->hint = "try again in a moment";
    reply_error_as(r, 503, e);
}

static void done(void *arg, const struct err *e)
{
    struct call *c = arg;
    struct request *r = c->request;
    c->job = NULL;
    if (r->response) /* the server stops: that was the answer */
        return;
    if (e) {
        jupyter_contents_refuse(r, e);
    } else if (c->answer.status == 204) {
        reply_empty(r, 204);
    } else {
        reply_buf(r, c->answer.status, &c->answer.json);
        if (c->answer.has_path && r->status < 300)
            add_location(r, c->answer.path);
    }
}

/* ---- the question ---- */

static bool is_one_of(const char *value, const char *one, const char *other)
{
    return !value || strcmp(value, one) == 0 || strcmp(value, other) == 0;
}

static int read_query(const struct query *q, struct contents_ask *ask, struct err *e)
{
    const char *type = query_get(q, "type"), *format = query_get(q, "format"),
               *content = query_get(q, "content"), *hash = query_get(q, "hash");
    if (!is_one_of(format, "text", "base64"))
        return err_set(e, ERR_INVALID, "format is 'text' or 'base64'");
    if (!is_one_of(content, "0", "1") || !is_one_of(hash, "0", "1"))
        return err_set(e, ERR_INVALID, "content and hash are 0 or 1");
    ask->type = !type                            ? CONTENTS_ANY
                : strcmp(type, "directory") == 0 ? CONTENTS_DIRECTORY
                : strcmp(type, "notebook") == 0  ? CONTENTS_NOTEBOOK
                                                 : CONTENTS_FILE;
    ask->format = !format                       ? CONTENTS_DEFAULT
                  : strcmp(format, "text") == 0 ? CONTENTS_TEXT
                                                : CONTENTS_BASE64;
    ask->content = !content || content[0] == '1';
    ask->hash = hash && hash[0] == '1';
    return 0;
}

static void call(struct request *r, contents_fn *fn, bool is_change)
{
    struct err e = ERR_INIT;
    struct call *c = calloc(1, sizeof *c);
    assert(c);
    c->request = r;
    c->run = fn;
    c->answer = (struct contents_answer){ .status = 200, .json = BUF_INIT(CONTENTS_MAX_JSON) };
    request_work(r, c, on_request_end);
    const struct files_work work = {
        .run = run, .done = done, .drop = call_free, .ctx = c, .is_change = is_change
    };
    if (file_path_read(r->match.rest, c->ask.path, &e) < 0) {
        reply_error(r, &e);
        return;
    }
    (void)snprintf(c->ask.checkpoint, sizeof c->ask.checkpoint, "%.63s",
                   request_part(r, 0)); /* a longer one is none that exists */
    if (fn == contents_get && read_query(&r->query, &c->ask, &e) < 0) {
        reply_error(r, &e);
        return;
    }
    c->ask.body = r->body;
    r->body = (struct buf)BUF_INIT(0);
    if (files_submit(r->site->hub, r->user, &work, &c->job, &e) < 0)
        jupyter_contents_refuse(r, &e);
}

void jupyter_contents_get(struct request *r)
{
    call(r, contents_get, false);
}

void jupyter_contents_post(struct request *r)
{
    call(r, contents_post, true);
}

void jupyter_contents_put(struct request *r)
{
    call(r, contents_put, true);
}

void jupyter_contents_patch(struct request *r)
{
    call(r, contents_patch, true);
}

void jupyter_contents_delete(struct request *r)
{
    call(r, contents_delete, true);
}

void jupyter_checkpoints(struct request *r)
{
    call(r, contents_checkpoints, false);
}

void jupyter_checkpoint_create(struct request *r)
{
    call(r, contents_checkpoint_create, true);
}

void jupyter_checkpoint_restore(struct request *r)
{
    call(r, contents_checkpoint_restore, true);
}

void jupyter_checkpoint_delete(struct request *r)
{
    call(r, contents_checkpoint_delete, true);
}
