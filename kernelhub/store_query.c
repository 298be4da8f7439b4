/* One query is with the reader, the others wait here: so the pipe never fills, and one that is cancelled before its turn
 * costs nothing. */
#include <errno.h>

#include "kernelhub/store_internal.h"
#include "kernelhub/text_part.h"

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
    text_part_free(q->part);
    store_notebook_free(q->notebook);
    free(q->media_type);
    free(q);
}

/* Gives the reader its next job. */
static void hand_next(struct store *s)
{
    struct store_query *q = s->waiting_first;
    if (s->reading || !q || (q->behind > s->n_answered && !s->why))
        return;
    s->waiting_first = q->next;
    if (!q->next)
        s->waiting_last = NULL;
    q->next = NULL;
    s->reading = q;
    atomic_store_explicit(&q->handed, 1, memory_order_release);
    store_actor_hand(&s->reader_actor, q);
}

void store_queries_go_on(struct store *s)
{
    hand_next(s);
}

struct store_query *store_query_send(struct store_query *q)
{
    struct store *s = q->store;
    q->behind = store_no_longer_late(s); /* who reads may have heard of it another way */
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

static void on_read(struct store *s)
{
    struct store_query *q = store_actor_take(&s->reader_actor);
    if (!q)
        return;
    (void)atomic_load_explicit(&q->handed, memory_order_acquire); /* for the order alone */
    s->reading = NULL;
    if (q->unfinished && !q->failed && !atomic_load(&q->cancelled)) {
        store_query_send(q);
        return;
    }
    hand_next(s);
    s->answering = q;
    if (!atomic_load(&q->cancelled))
        q->answer(q, q->failed ? &q->e : NULL);
    s->answering = NULL;
    query_free(q);
}

static int look_at_cancelled(void *arg)
{
    struct reader *r = arg;
    return r->now &&
           atomic_load(&r->now->cancelled); /* not 0: SQLite stops with SQLITE_INTERRUPT */
}

static void read_job(void *self, void *job)
{
    struct reader *r = self;
    struct store_query *q = job;
    (void)atomic_load_explicit(&q->handed, memory_order_acquire); /* for the order alone */
    r->now = q;
    q->failed = !atomic_load(&q->cancelled) && q->run(r, q) < 0;
    r->now = NULL;
    atomic_store_explicit(&q->handed, 2, memory_order_release);
}

static void read_end(void *self)
{
    struct reader *r = self;
    sql_close(&r->sql);
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
    sqlite3_progress_handler(r->sql.db, PROGRESS_STEPS, look_at_cancelled, r);
    const struct store_actor_job job = { read_job, read_end, r };
    return store_actor_start(&s->reader_actor, s, &job, on_read, e);
}

void store_query_stop(struct store *s)
{
    if (!s->reader_actor.zactor)
        return;
    store_actor_unwatch(&s->reader_actor);
    if (s->reading)
        atomic_store(&s->reading->cancelled, true);
    store_actor_stop(&s->reader_actor);
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
