/* One query is with the reader, the others wait here: so the pipe never fills, and one that is cancelled before its turn
 * costs nothing. */
#include <errno.h>

#include "kernelhub/store_internal.h"

#define PROGRESS_STEPS 10000 /* SQLite's own steps between two looks at `cancelled`: about 1 ms */

struct store_query *store_query_new(struct store *s,
                                    int (*run)(struct reader *r, struct store_query *q),
                                    void (*answer)(struct store_query *q, const struct err *e),
                                    void *arg)
{
    struct store_query *q = zmalloc(sizeof *q);
    q->store = s;
    q->run = run;
    q->answer = answer;
    q->arg = arg;
    buf_init(&q->out, STORE_MAX_LINES_BYTES);
    return q;
}

static void query_free(struct store_query *q)
{
    if (!q)
        return;
    store_list_filter_free(q->filter);
    buf_done(&q->out);
    free(q->media_type);
    free(q);
}

/* Gives the reader its next job. */
static void hand_next(struct store *s)
{
    struct store_query *q = s->waiting_first;
    if (s->reading || !q)
        return;
    s->waiting_first = q->next;
    if (!q->next)
        s->waiting_last = NULL;
    q->next = NULL;
    s->reading = q;
    void *p = q;
    atomic_store_explicit(&q->handed, 1, memory_order_release);
    int rc = zmq_send(zsock_resolve(s->reader_actor), &p, sizeof p, 0);
    assert(rc == sizeof p); /* one pointer at a time never fills the pipe */
}

struct store_query *store_query_send(struct store_query *q)
{
    struct store *s = q->store;
    if (s->waiting_last)
        s->waiting_last->next = q;
    else
        s->waiting_first = q;
    s->waiting_last = q;
    hand_next(s);
    return q;
}

static void take_out(struct store *s, struct store_query *q)
{
    struct store_query *before = NULL, *at = s->waiting_first;
    for (; at && at != q; at = at->next)
        before = at;
    assert(at); /* a query whose done has been called must not be cancelled */
    if (before)
        before->next = q->next;
    else
        s->waiting_first = q->next;
    if (s->waiting_last == q)
        s->waiting_last = before;
}

void store_cancel(struct store_query *q)
{
    if (!q || q == q->store->answering)
        return;
    if (q == q->store->reading) {
        atomic_store(&q->cancelled, true); /* freed when it comes back */
        return;
    }
    take_out(q->store, q);
    query_free(q);
}

static int reader_readable(zloop_t *loop, zsock_t *pipe, void *arg)
{
    struct store *s = arg;
    struct store_query *q = store_take_pointer(s->reader_actor);
    if (!q)
        return 0;
    (void)atomic_load_explicit(&q->handed, memory_order_acquire); /* for the order alone */
    s->reading = NULL;
    hand_next(s);
    s->answering = q;
    if (!atomic_load(&q->cancelled))
        q->answer(q, q->failed ? &q->e : NULL);
    s->answering = NULL;
    query_free(q);
    return 0;
}

static int look_at_cancelled(void *arg)
{
    struct reader *r = arg;
    return r->now &&
           atomic_load(&r->now->cancelled); /* not 0: SQLite stops with SQLITE_INTERRUPT */
}

static void reader_actor(zsock_t *pipe, void *arg)
{
    struct reader *r = arg;
    struct store_query *q;
    int n;
    sqlite3_progress_handler(r->sql.db, PROGRESS_STEPS, look_at_cancelled, r);
    (void)zsock_signal(pipe, 0); /* zactor_new waits for it */
    while ((n = zmq_recv(zsock_resolve(pipe), &q, sizeof q, 0)) == sizeof q ||
           (n < 0 && errno == EINTR)) {
        if (n < 0)
            continue;
        (void)atomic_load_explicit(&q->handed, memory_order_acquire); /* for the order alone */
        r->now = q;
        q->failed = !atomic_load(&q->cancelled) && q->run(r, q) < 0;
        r->now = NULL;
        atomic_store_explicit(&q->handed, 2, memory_order_release);
        (void)zmq_send(zsock_resolve(pipe), &q, sizeof q, 0); /* fails only when the process ends */
    }
    sql_close(&r->sql); /* "$TERM" came, or ZeroMQ is ending */
    free(r);
}

int store_query_start(struct store *s, const char *path, struct err *e)
{
    struct reader *r = zmalloc(sizeof *r);
    r->blob_dir = s->blob_dir;
    if (sql_open(&r->sql, path, e) < 0 || sql_tune(&r->sql, true, e) < 0) {
        sql_close(&r->sql);
        free(r);
        return -1;
    }
    s->reader_actor = zactor_new(reader_actor, r);
    assert(s->reader_actor); /* no thread, no memory */
    (void)zloop_reader(s->loop, zactor_sock(s->reader_actor), reader_readable,
                       s); /* fails only without memory */
    return 0;
}

void store_query_stop(struct store *s)
{
    if (!s->reader_actor)
        return;
    zloop_reader_end(s->loop, zactor_sock(s->reader_actor));
    if (s->reading)
        atomic_store(&s->reading->cancelled, true);
    zactor_destroy(&s->reader_actor); /* returns when its job has ended */
    if (s->reading)
        (void)atomic_load_explicit(&s->reading->handed,
                                   memory_order_acquire); /* for the order alone */
    query_free(TAKE(s->reading));
    struct store_query *next;
    for (struct store_query *q = s->waiting_first; q; q = next) {
        next = q->next;
        query_free(q);
    }
}
