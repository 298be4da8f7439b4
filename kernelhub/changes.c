/* The loop's half: runs begin and end, workspaces come and go. */
#include "kernelhub/changes_internal.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/json.h"
#include "kernelhub/files_internal.h"

#define READ_BYTES (64 * 1024)

const char CHANGES_OVERFLOW[] = "more changed at once than could be followed";
static const char LATE[] = "the workspace could not be looked at in time";
static const char LOOKING[] =
    "the workspace was still being looked at for the first time when it began";

void changes_ring(int bell)
{
    const uint64_t one = 1;
    ssize_t n = write(bell, &one, sizeof one);
    assert(n == sizeof one); /* fails only at 2^64 rings */
}

void watched_append(struct watched *w, struct item *item)
{
    item->next = NULL;
    if (w->last)
        w->last->next = item;
    else
        w->first = item;
    w->last = item;
    w->queued_bytes += item->len;
}

bool watched_read(struct watched *w)
{
    char bytes[READ_BYTES] __attribute__((aligned(8)));
    bool some = false;
    ssize_t n;
    while (w->inotify_fd >= 0 && w->queued_bytes < CHANGES_MAX_QUEUED &&
           (n = read(w->inotify_fd, bytes, sizeof bytes)) > 0) {
        struct item *item = malloc(sizeof *item + (size_t)n);
        assert(item);
        *item = (struct item){ .number = ++w->n_read, .len = (size_t)n };
        memcpy(item->bytes, bytes, (size_t)n);
        watched_append(w, item);
        some = true;
    }
    return some;
}

/* ---- runs ---- */

void changes_write_missed(const char *why, struct buf *out)
{
    buf_add_str(out, ",\"items\":[],\"incomplete\":");
    json_quote_str(out, why);
}

void changes_run_free(struct changes_run *run)
{
    zhashx_destroy(&run->by_path); /* before its keys */
    for (size_t i = 0; i < run->n_touched; i++)
        free(run->touched[i].path);
    free(run->touched);
    buf_done(&run->fields);
    free(run);
}

static void retain(struct watched *w)
{
    pthread_mutex_lock(&w->changes->lock);
    w->n_users++;
    pthread_mutex_unlock(&w->changes->lock);
}

void changes_unwatch(struct watched *w)
{
    if (!w)
        return;
    struct changes *c = w->changes;
    pthread_mutex_lock(&c->lock);
    bool last = --w->n_users == 0;
    pthread_mutex_unlock(&c->lock);
    if (last)
        changes_ring(c->wake); /* the thread frees it */
}

static int64_t unix_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t); /* never fails */
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct changes_run *changes_begin(struct watched *w, const char *missed)
{
    struct changes_run *run = calloc(1, sizeof *run);
    assert(run);
    run->watched = w;
    run->timer = -1;
    run->missed = missed;
    buf_init(&run->fields, CHANGES_MAX_FIELDS);
    run->began_ns = unix_ns();
    retain(w);
    pthread_mutex_lock(&w->lock);
    bool some = watched_read(w);
    run->after = w->n_read;
    if (!w->is_ready && !run->missed)
        run->missed = LOOKING;
    for (struct changes_run *other = w->runs; other; other = other->next)
        if (!other->done)
            other->shared = run->shared = true;
    run->next = w->runs;
    w->runs = run;
    pthread_mutex_unlock(&w->lock);
    if (some)
        changes_ring(w->changes->wake);
    return run;
}

static void unlink_run(struct changes_run *run)
{
    struct changes_run **at = &run->watched->runs;
    while (*at != run)
        at = &(*at)->next;
    *at = run->next;
}

static int on_late(struct loop *loop, int timer, void *arg)
{
    struct changes_run *run = arg;
    CLEANUP_BUF struct buf fields = BUF_INIT(1024);
    run->timer = -1;
    run->is_left = true; /* freed when its answer comes after all */
    changes_write_missed(LATE, &fields);
    run->done(run->arg, buf_slice(&fields));
    return 0;
}

/* The thread is asked; what it has to look at stands before this in the queue. */
static void ask(struct changes_run *run, changes_fn *done, void *arg)
{
    struct item *item = calloc(1, sizeof *item);
    assert(item);
    item->end = run;
    run->done = done;
    run->arg = arg;
    watched_append(run->watched, item);
}

bool changes_end(struct changes_run *run, struct buf *ret, changes_fn *done, void *arg)
{
    struct watched *w = run->watched;
    struct changes *c = w->changes;
    pthread_mutex_lock(&w->lock);
    (void)watched_read(w); /* the thread is asked anyway */
    if (w->queued_bytes >= CHANGES_MAX_QUEUED && !run->missed)
        run->missed =
            CHANGES_OVERFLOW; /* what inotify still has is not read any more for this run */
    bool is_quiet = w->n_read == run->after;
    const char *missed = run->missed ? run->missed : w->why;
    if (is_quiet)
        unlink_run(run);
    else
        ask(run, done, arg);
    pthread_mutex_unlock(&w->lock);
    if (!is_quiet) {
        run->timer = loop_timer(c->loop, CHANGES_PATIENCE_MS, on_late, run);
        changes_ring(c->wake);
        return false;
    }
    if (missed)
        changes_write_missed(missed, ret);
    changes_run_free(run);
    changes_unwatch(w);
    return true;
}

static struct changes_run *take_answer(struct changes *c)
{
    pthread_mutex_lock(&c->lock);
    struct changes_run *run = zlistx_detach(c->answers, NULL);
    pthread_mutex_unlock(&c->lock);
    return run;
}

static int on_bell(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct changes *c = arg;
    uint64_t rings;
    if (read(c->bell, &rings, sizeof rings) != sizeof rings)
        return 0;
    for (struct changes_run *run; (run = take_answer(c));) {
        if (run->timer >= 0)
            loop_timer_end(loop, run->timer);
        if (!run->is_left)
            run->done(run->arg, buf_slice(&run->fields));
        changes_unwatch(run->watched);
        changes_run_free(run);
    }
    return 0;
}

/* ---- workspaces ---- */

static struct watched *find(struct changes *c, const char *workspace)
{
    for (struct watched *w = zlistx_first(c->all); w; w = zlistx_next(c->all))
        if (strcmp(w->workspace, workspace) == 0)
            return w;
    return NULL;
}

static struct watched *watched_new(struct changes *c, const char *workspace)
{
    struct watched *w = calloc(1, sizeof *w);
    assert(w);
    w->changes = c;
    (void)snprintf(w->workspace, sizeof w->workspace, "%s", workspace); /* ours: it fits */
    w->inotify_fd = w->root_fd = -1;
    w->look_again = true;
    pthread_mutex_init(&w->lock, NULL);
    (void)zlistx_add_end(c->all, w); /* searched for by its name */
    return w;
}

struct watched *changes_watch(struct changes *c, const char *workspace)
{
    if (!c)
        return NULL;
    pthread_mutex_lock(&c->lock);
    struct watched *w = find(c, workspace);
    if (!w)
        w = watched_new(c, workspace);
    else if (w->n_users == 0)
        w->look_again = true;
    w->n_users++;
    pthread_mutex_unlock(&c->lock);
    changes_ring(c->wake);
    return w;
}

uint64_t changes_count_of(struct watched *w)
{
    pthread_mutex_lock(&w->lock);
    uint64_t n = w->n_read;
    pthread_mutex_unlock(&w->lock);
    return n;
}

bool changes_sees_all(struct watched *w)
{
    pthread_mutex_lock(&w->lock);
    bool sees_all = !w->why;
    pthread_mutex_unlock(&w->lock);
    return sees_all;
}

uint64_t changes_count(struct changes *c, const char *user_id)
{
    uint64_t n = 0;
    size_t len = strlen(user_id);
    if (!c)
        return 0;
    pthread_mutex_lock(&c->lock);
    for (struct watched *w = zlistx_first(c->all); w; w = zlistx_next(c->all))
        if (strncmp(w->workspace, user_id, len) == 0 && w->workspace[len] == '/')
            n += changes_count_of(w);
    pthread_mutex_unlock(&c->lock);
    return n;
}

/* ---- what the hub does itself ---- */

struct changes_own *changes_own_begin(struct changes *c, const char *workspace, const char *path)
{
    if (!c)
        return NULL;
    pthread_mutex_lock(&c->lock);
    struct watched *w = find(c, workspace);
    if (w && w->n_users > 0)
        w->n_users++;
    else
        w = NULL;
    pthread_mutex_unlock(&c->lock);
    if (!w)
        return NULL;
    size_t n = strlen(path) + 1;
    struct changes_own *own = malloc(sizeof *own + n);
    assert(own);
    *own = (struct changes_own){ .watched = w };
    memcpy(own->path, path, n);
    pthread_mutex_lock(&w->lock);
    own->next = w->own;
    w->own = own;
    pthread_mutex_unlock(&w->lock);
    return own;
}

void changes_own_end(struct changes_own *own)
{
    if (!own)
        return;
    struct watched *w = own->watched;
    pthread_mutex_lock(&w->lock);
    bool some = watched_read(w);
    own->last = w->n_read;
    own->is_done = true; /* the thread frees it, once it has been there */
    pthread_mutex_unlock(&w->lock);
    if (some)
        changes_ring(w->changes->wake);
    changes_unwatch(w);
}

/* ---- life ---- */

int changes_new(struct loop *loop, const char *state_dir, size_t max_folders, struct changes **ret,
                struct err *e)
{
    CLEANUP_FD int workspaces = files_open_workspaces(state_dir, e);
    CLEANUP_FD int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CLEANUP_FD int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (workspaces < 0 || bell < 0 || wake < 0)
        return workspaces < 0 ? -1 : err_errno(e, ERR_INTERNAL, "make an eventfd");
    struct changes *c = calloc(1, sizeof *c);
    assert(c);
    *c = (struct changes){ .loop = loop,
                           .workspaces_fd = TAKE_FD(workspaces),
                           .bell = TAKE_FD(bell),
                           .wake = TAKE_FD(wake),
                           .max_folders = max_folders };
    randombytes_buf(c->hash_key, sizeof c->hash_key);
    c->all = zlistx_new();
    c->answers = zlistx_new();
    pthread_mutex_init(&c->lock, NULL);
    int rc = pthread_create(&c->thread, NULL, changes_work, c);
    assert(rc == 0); /* no thread, no memory */
    zmq_pollitem_t item = { .fd = c->bell, .events = ZMQ_POLLIN };
    loop_poller(loop, &item, on_bell, c);
    *ret = c;
    return 0;
}

void changes_free(struct changes *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_mutex_unlock(&c->lock);
    changes_ring(c->wake);
    (void)pthread_join(c->thread, NULL); /* it ends: a piece of its work is bounded */
    zmq_pollitem_t item = { .fd = c->bell, .events = ZMQ_POLLIN };
    loop_poller_end(c->loop, &item);
    for (struct changes_run *run; (run = zlistx_detach(c->answers, NULL));) {
        loop_timer_end(c->loop, run->timer);
        changes_run_free(run);
    }
    for (struct watched *w; (w = zlistx_detach(c->all, NULL));) {
        for (struct changes_run *run = w->runs; run; run = run->next)
            loop_timer_end(c->loop, run->timer);
        watched_free(w);
    }
    zlistx_destroy(&c->all);
    zlistx_destroy(&c->answers);
    pthread_mutex_destroy(&c->lock);
    close_fd_at(&c->workspaces_fd);
    close_fd_at(&c->bell);
    close_fd_at(&c->wake);
    free(c);
}
