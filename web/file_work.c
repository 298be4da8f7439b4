#include "web/file_work.h"

#include <assert.h>

#include "web/request.h"

static void on_request_end(void *work, bool completed)
{
    struct file_work *w = work;
    w->request = NULL;
    if (w->job)
        files_leave(w->job); /* gone then, or later */
    else
        w->gone(w);
}

void file_work_begin(struct file_work *w, struct request *r, void (*gone)(struct file_work *w))
{
    w->request = r;
    w->hub = r->site->hub;
    w->user = r->user;
    w->gone = gone;
    request_work(r, w, on_request_end);
}

static int run(void *arg, struct tree *t, struct err *e)
{
    struct file_work *w = arg;
    return w->run(w, t, e);
}

static void done(void *arg, const struct err *e)
{
    struct file_work *w = arg;
    w->job = NULL;
    if (w->is_piece || !w->request->response)
        w->done(w, e);
}

static void drop(void *arg)
{
    struct file_work *w = arg;
    w->job = NULL;
    w->gone(w);
}

int file_work_submit(struct file_work *w, enum file_work_kind kind,
                     int (*run_it)(struct file_work *w, struct tree *t, struct err *e),
                     void (*done_it)(struct file_work *w, const struct err *e), struct err *e)
{
    const struct files_work work = {
        .run = run,
        .done = done,
        .drop = drop,
        .ctx = w,
        .place = w->place,
        .is_piece = kind == FILE_WORK_PIECE || kind == FILE_WORK_LAST,
        .is_change = kind == FILE_WORK_CHANGE || kind == FILE_WORK_LAST,
    };
    assert(!w->job);
    w->is_piece = kind == FILE_WORK_PIECE;
    w->run = run_it;
    w->done = done_it;
    return files_submit(w->hub, w->user, &work, &w->job, e);
}

int file_work_place(struct file_work *w, struct err *e)
{
    const char *sandbox = query_get(&w->request->query, "sandbox");
    return files_place(w->hub, w->user, sandbox && sandbox[0] ? sandbox : NULL, &w->place, e);
}
