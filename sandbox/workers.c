#include "sandbox/workers.h"

#include <assert.h>
#include <stdlib.h>

#define MAX_THREADS 16

struct worker {
    struct workers *owner;
    zactor_t *actor;
    struct job job; /* written before the pipe says go, read after */
    bool busy;
};

struct workers {
    struct loop *loop;
    zlistx_t *queue; /* of struct job * */
    unsigned max_queued;
    char *podman_socket;
    unsigned n;
    struct worker worker[MAX_THREADS];
};

static void work(zsock_t *pipe, void *arg)
{
    struct worker *worker = arg;
    CLEANUP(podman_free) struct podman *podman = podman_new(worker->owner->podman_socket);
    zsock_signal(pipe, 0);
    for (;;) {
        char *word = zstr_recv(pipe);
        bool stop = !word || strcmp(word, "$TERM") == 0;
        zstr_free(&word);
        if (stop)
            return;
        worker->job.run(worker->job.ctx, podman);
        zsock_signal(pipe, 0);
    }
}

static void dispatch(struct workers *w)
{
    for (unsigned i = 0; i < w->n && zlistx_size(w->queue) > 0; i++) {
        struct worker *worker = &w->worker[i];
        if (worker->busy)
            continue;
        struct job *job = zlistx_detach(w->queue, NULL);
        worker->job = *job;
        worker->busy = true;
        free(job);
        zstr_send(worker->actor, "go");
    }
}

static int on_done(struct loop *loop, zmq_pollitem_t *item, void *ctx)
{
    struct worker *worker = ctx;
    if (zsock_wait(worker->actor) < 0)
        return 0;
    struct job job = worker->job;
    worker->busy = false;
    dispatch(worker->owner);
    job.done(job.ctx);
    return 0;
}

static zmq_pollitem_t pipe_of(struct worker *worker)
{
    return (zmq_pollitem_t){ .socket = zsock_resolve(worker->actor), .events = ZMQ_POLLIN };
}

struct workers *workers_new(struct loop *loop, unsigned n_threads, unsigned max_queued,
                            const char *podman_socket)
{
    assert(n_threads > 0 && n_threads <= MAX_THREADS);
    struct workers *w = calloc(1, sizeof *w);
    assert(w);
    w->loop = loop;
    w->queue = zlistx_new();
    w->max_queued = max_queued;
    w->podman_socket = strdup(podman_socket);
    w->n = n_threads;
    for (unsigned i = 0; i < n_threads; i++) {
        w->worker[i].owner = w;
        w->worker[i].actor = zactor_new(work, &w->worker[i]);
        assert(w->worker[i].actor);
        zmq_pollitem_t pipe = pipe_of(&w->worker[i]);
        loop_poller(loop, &pipe, on_done, &w->worker[i]);
    }
    return w;
}

static void drop(const struct job *job)
{
    if (job->drop)
        job->drop(job->ctx);
}

void workers_free(struct workers *w)
{
    if (!w)
        return;
    for (unsigned i = 0; i < w->n; i++) {
        zmq_pollitem_t pipe = pipe_of(&w->worker[i]);
        loop_poller_end(w->loop, &pipe);
        if (w->worker[i].busy)
            (void)zsock_wait(w->worker[i].actor); /* every call of a job has a deadline */
        zactor_destroy(&w->worker[i].actor);
        if (w->worker[i].busy)
            drop(&w->worker[i].job);
    }
    for (struct job *job; (job = zlistx_detach(w->queue, NULL));) {
        drop(job);
        free(job);
    }
    zlistx_destroy(&w->queue);
    free(w->podman_socket);
    free(w);
}

int workers_submit(struct workers *w, struct job job, bool must, struct err *e)
{
    if (!must && zlistx_size(w->queue) >= w->max_queued)
        return err_set(e, ERR_BUSY, "%u requests wait already", w->max_queued);
    struct job *copy = malloc(sizeof *copy);
    assert(copy);
    *copy = job;
    zlistx_add_end(w->queue, copy);
    dispatch(w);
    return 0;
}

unsigned workers_busy(const struct workers *w)
{
    unsigned n = (unsigned)zlistx_size(w->queue);
    for (unsigned i = 0; i < w->n; i++)
        n += w->worker[i].busy;
    return n;
}
