#include <errno.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "kernelhub/store_internal.h"

/* What the thread is given; it frees it. */
struct start {
    struct store_actor_job job;
    int bell;
};

static void ring(int bell)
{
    const uint64_t one = 1;
    ssize_t n = write(bell, &one, sizeof one);
    assert(n == sizeof one); /* fails only at 2^64 rings */
}

static void actor(zsock_t *pipe, void *arg)
{
    const struct start start = *(struct start *)arg;
    void *job;
    int n;
    free(arg);
    (void)zsock_signal(pipe, 0); /* zactor_new waits for it */
    while ((n = zmq_recv(zsock_resolve(pipe), &job, sizeof job, 0)) == sizeof job ||
           (n < 0 && errno == EINTR)) {
        if (n < 0)
            continue;
        start.job.run(start.job.self, job);
        (void)zmq_send(zsock_resolve(pipe), &job, sizeof job, 0); /* fails only at the end */
        ring(start.bell);
    }
    start.job.end(start.job.self); /* "$TERM" came (it is shorter), or ZeroMQ is ending */
}

static int on_bell(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct store_actor *a = arg;
    uint64_t rings;
    if (read(a->bell, &rings, sizeof rings) == sizeof rings)
        a->on_answer(a->store);
    return 0;
}

int store_actor_start(struct store_actor *a, struct store *s, const struct store_actor_job *job,
                      void (*on_answer)(struct store *s), struct err *e)
{
    a->store = s;
    a->on_answer = on_answer;
    a->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (a->bell < 0) {
        job->end(job->self);
        return err_errno(e, ERR_INTERNAL, "make an eventfd");
    }
    struct start *start = zmalloc(sizeof *start);
    *start = (struct start){ *job, a->bell };
    a->zactor = zactor_new(actor, start);
    assert(a->zactor); /* no thread, no memory */
    zmq_pollitem_t item = { .fd = a->bell, .events = ZMQ_POLLIN };
    loop_poller(s->loop, &item, on_bell, a);
    return 0;
}

void store_actor_hand(struct store_actor *a, void *job)
{
    int rc = zmq_send(zsock_resolve(a->zactor), &job, sizeof job, 0);
    assert(rc == sizeof job); /* one at a time never fills the pipe */
}

void *store_actor_take(struct store_actor *a)
{
    void *job = NULL;
    int n = zmq_recv(zsock_resolve(a->zactor), &job, sizeof job, ZMQ_DONTWAIT);
    return n == sizeof job ? job : NULL;
}

void store_actor_unwatch(struct store_actor *a)
{
    zmq_pollitem_t item = { .fd = a->bell, .events = ZMQ_POLLIN };
    loop_poller_end(a->store->loop, &item);
}

void store_actor_stop(struct store_actor *a)
{
    zactor_destroy(&a->zactor);
    close_fd_at(&a->bell);
}
