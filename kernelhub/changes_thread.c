/* The thread: reads what is queued, takes it in order, answers. Each turn does a bounded piece for each workspace, so that nobody's
 * large folder keeps another's cell waiting. */
#include "kernelhub/changes_internal.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define REST_MS       5 /* between two looks at a busy workspace: what repeats is one event by then */
#define LOOK_AGAIN_MS 30000
#define MAX_POLLED    4096

/* Whose chunks have all been taken is of no use any more. */
static void prune_own(struct watched *w)
{
    pthread_mutex_lock(&w->lock);
    for (struct changes_own **at = &w->own; *at;) {
        struct changes_own *own = *at;
        if (own->is_done && own->last <= w->n_taken) {
            *at = own->next;
            free(own);
        } else {
            at = &own->next;
        }
    }
    pthread_mutex_unlock(&w->lock);
}

void watched_free(struct watched *w)
{
    folders_forget(w);
    free(w->chunk);
    for (struct item *item = w->first, *next; item; item = next) {
        next = item->next;
        free(item);
    }
    for (struct changes_run *run = w->runs, *next; run; run = next) {
        next = run->next;
        changes_run_free(run);
    }
    for (struct changes_own *own = w->own, *next; own; own = next) {
        next = own->next;
        free(own);
    }
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static struct item *take_item(struct watched *w)
{
    pthread_mutex_lock(&w->lock);
    struct item *item = w->first;
    if (item) {
        w->first = item->next;
        if (!w->first)
            w->last = NULL;
        w->queued_bytes -= item->len;
    }
    pthread_mutex_unlock(&w->lock);
    return item;
}

static void answer(struct changes_run *run)
{
    struct watched *w = run->watched;
    struct changes *c = w->changes;
    pthread_mutex_lock(&w->lock);
    struct changes_run **at = &w->runs;
    while (*at != run)
        at = &(*at)->next;
    *at = run->next;
    if (!run->missed)
        run->missed = w->why;
    pthread_mutex_unlock(&w->lock);
    fold_end(run);
    pthread_mutex_lock(&c->lock);
    (void)zlistx_add_end(c->answers, run); /* no memory aborts */
    pthread_mutex_unlock(&c->lock);
    changes_ring(c->bell);
}

static void go_on(struct watched *w)
{
    if (!fold_chunk(w, w->chunk))
        return;
    w->n_taken = w->chunk->number;
    free(TAKE(w->chunk));
    w->chunk_at = 0;
}

static void take(struct watched *w, struct item *item)
{
    if (!item->end) {
        w->chunk = item;
        go_on(w);
        return;
    }
    answer(item->end);
    free(item);
}

static void set_ready(struct watched *w)
{
    pthread_mutex_lock(&w->lock);
    w->is_ready = true;
    pthread_mutex_unlock(&w->lock);
}

/* What was above a bound may be below it by now. */
static bool is_worth_another_look(const struct watched *w)
{
    return w->why && w->is_ready && w->n_folders < w->changes->max_folders / 2 &&
           zclock_mono() > w->looked_ms + LOOK_AGAIN_MS;
}

/* A piece of work. False: there is none. News go first: an end waits for what its own run has made. */
static bool step(struct watched *w)
{
    struct item *item;
    if (w->lost) {
        folders_watch(w);
        return true;
    }
    if (folders_look(w, w->fresh))
        return true;
    if (w->chunk) {
        go_on(w);
        return true;
    }
    if ((item = take_item(w))) {
        take(w, item);
        return true;
    }
    prune_own(w);
    if (!w->is_ready) {
        if (folders_look(w, w->known))
            return true;
        set_ready(w);
    }
    if (is_worth_another_look(w)) {
        folders_watch(w);
        return true;
    }
    return false;
}

/* The workspaces that are wanted; what nobody wants is freed. */
static size_t collect(struct changes *c, struct watched **ret, bool *ret_stop)
{
    size_t n = 0;
    zlistx_t *unwanted = zlistx_new();
    pthread_mutex_lock(&c->lock);
    for (struct watched *w = zlistx_first(c->all); w; w = zlistx_next(c->all)) {
        if (w->n_users == 0)
            (void)zlistx_add_end(unwanted, w); /* no memory aborts */
        else if (n < MAX_POLLED)
            ret[n++] = w;
        w->lost |= w->look_again;
        w->look_again = false;
    }
    for (struct watched *w = zlistx_first(unwanted); w; w = zlistx_next(unwanted))
        (void)zlistx_delete(c->all, zlistx_find(c->all, w)); /* it is in there */
    *ret_stop = c->stop;
    pthread_mutex_unlock(&c->lock);
    for (struct watched *w; (w = zlistx_detach(unwanted, NULL));)
        watched_free(w);
    zlistx_destroy(&unwanted);
    return n;
}

static void read_queue(struct watched *w, int64_t now_ms)
{
    pthread_mutex_lock(&w->lock);
    (void)watched_read(w); /* taken in the next turn */
    pthread_mutex_unlock(&w->lock);
    w->rest_until_ms = now_ms + REST_MS;
}

/* Waits for a queue that may be read, or for the loop; reads what there is. */
static void wait_and_read(struct changes *c, struct watched **all, size_t n, struct pollfd *fds,
                          bool is_busy)
{
    int64_t now_ms = zclock_mono();
    int timeout = is_busy ? 0 : -1;
    fds[0] = (struct pollfd){ .fd = c->wake, .events = POLLIN };
    for (size_t i = 0; i < n; i++) {
        int64_t rest = all[i]->rest_until_ms - now_ms;
        fds[i + 1] = (struct pollfd){ .fd = rest > 0 ? -1 : all[i]->inotify_fd, .events = POLLIN };
        if (rest > 0 && (timeout < 0 || rest < timeout))
            timeout = (int)rest;
    }
    if (poll(fds, n + 1, timeout) <= 0)
        return; /* the next turn looks again */
    uint64_t rings;
    if (fds[0].revents)
        (void)!read(c->wake, &rings, sizeof rings); /* a look at all follows anyway */
    for (size_t i = 0; i < n; i++)
        if (fds[i + 1].revents)
            read_queue(all[i], zclock_mono());
}

void *changes_work(void *changes)
{
    struct changes *c = changes;
    struct watched **all = calloc(MAX_POLLED, sizeof *all);
    struct pollfd *fds = calloc(MAX_POLLED + 1, sizeof *fds);
    assert(all && fds);
    for (bool stop = false; !stop;) {
        bool is_busy = false;
        size_t n = collect(c, all, &stop);
        for (size_t i = 0; i < n && !stop; i++)
            is_busy |= step(all[i]);
        if (!stop)
            wait_and_read(c, all, n, fds, is_busy);
    }
    free(all);
    free(fds);
    return NULL;
}
