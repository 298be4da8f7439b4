/* A write's way:   store_put_…() ─► queued ─► batch ──pipe──► writer's thread: BEGIN, run each, marks, COMMIT
 *                                               done, in order ◄── batch ◄──pipe──┘
 * One batch is in flight; what is called meanwhile is the next one. A batch that failed stays in flight and is sent again. */
#include "kernelhub/store_internal.h"

#include "base/cleanup.h"
#include "base/log.h"

#define HERE_OPS     16
#define HERE_BYTES   (64 * 1024)
#define HERE_SLOW_US 2000
#define HERE_REST_MS 1000

static void hand_batch(struct store *s)
{
    atomic_store_explicit(&s->flight.handed, 1, memory_order_release);
    store_actor_hand(&s->writer_actor, &s->flight);
}

/* Moves what is queued, up to the bounds of a batch. */
static void fill_batch(struct store *s)
{
    struct op_queue *from = &s->queued, *to = &s->flight.ops;
    while (from->first && ((to->last && to->last->with_next) ||
                           (to->n < STORE_BATCH_OPS &&
                            (to->n == 0 || to->bytes + from->first->bytes <= STORE_BATCH_BYTES)))) {
        struct op *op = from->first;
        from->first = op->next;
        from->n--;
        from->n_late -= op->late;
        from->bytes -= op->bytes;
        op->next = NULL;
        if (to->last)
            to->last->next = op;
        else
            to->first = op;
        to->last = op;
        to->n++;
        to->bytes += op->bytes;
    }
    if (!from->first)
        from->last = NULL;
}

/* Two wake-ups of a thread cost more than the commit of a few rows (11 µs, no fsync), so the loop does these itself; a disk
 * that made it wait once is left to the writer's thread for a while (docs/decisions/0031). */
static bool commits_here(const struct store *s)
{
    const struct op_queue *ops = &s->flight.ops;
    if (ops->n > HERE_OPS || ops->bytes > HERE_BYTES || zclock_mono() < s->here_after_ms)
        return false;
    for (const struct op *op = ops->first; op; op = op->next)
        if (op->type->slow)
            return false;
    return true;
}

static int here_done(struct loop *loop, int timer, void *arg);

static void commit_here(struct store *s)
{
    int64_t began_us = zclock_usecs();
    store_writer_run(s->writer, &s->flight);
    if (zclock_usecs() - began_us > HERE_SLOW_US)
        s->here_after_ms = zclock_mono() + HERE_REST_MS;
    s->here_timer =
        loop_timer(s->loop, 0, here_done, s); /* nobody is answered from inside a call */
}

static int on_late(struct loop *loop, int timer, void *arg);

static void no_late_timer(struct store *s)
{
    if (s->late_timer >= 0)
        loop_timer_end(s->loop, s->late_timer);
    s->late_timer = -1;
}

static void send_batch(struct store *s)
{
    const struct op_queue *q = &s->queued;
    if (s->in_flight || s->held || !q->first)
        return;
    if (q->n == q->n_late && !s->late_due) {
        if (s->late_timer < 0)
            s->late_timer = loop_timer(s->loop, STORE_LATE_MS, on_late, s);
        return;
    }
    no_late_timer(s);
    fill_batch(s);
    s->late_due = q->n_late > 0; /* what was too much for this one */
    s->in_flight = true;
    s->flight_ops = s->flight.ops.n;
    s->flight_bytes = s->flight.ops.bytes;
    if (commits_here(s))
        commit_here(s);
    else
        hand_batch(s);
}

uint64_t store_no_longer_late(struct store *s)
{
    if (s->queued.n_late == 0)
        return 0;
    s->late_due = true;
    send_batch(s);
    return s->n_sent;
}

static int on_late(struct loop *loop, int timer, void *arg)
{
    struct store *s = arg;
    s->late_timer = -1;
    (void)store_no_longer_late(s);
    return 0;
}

void store_send(struct store *s, struct op *op)
{
    op->next = NULL;
    if (s->queued.last)
        s->queued.last->next = op;
    else
        s->queued.first = op;
    s->queued.last = op;
    s->queued.n++;
    s->n_sent++;
    s->queued.n_late += op->late;
    s->queued.bytes += op->bytes;
    send_batch(s);
}

void store_hold(struct store *s)
{
    s->held++;
}

void store_release(struct store *s)
{
    assert(s->held > 0);
    s->held--;
    send_batch(s);
}

static void free_op(struct op *op)
{
    free(op->owned);
    free(op);
}

static void free_ops(struct op_queue *ops)
{
    struct op *next;
    for (struct op *op = ops->first; op; op = next) {
        next = op->next;
        free_op(op);
    }
    *ops = (struct op_queue){ 0 };
}

static void answer_batch(struct store *s)
{
    struct batch *b = &s->flight;
    while (b->ops.first) {
        struct op *op = b->ops.first;
        b->ops.first = op->next;
        s->n_answered++;
        s->flight_ops--;
        s->flight_bytes -= op->bytes;
        op->type->answer(s, op, b);
        free_op(op);
    }
    b->ops = (struct op_queue){ 0 };
    if (b->lines.capacity > 1024 * 1024)
        buf_done(&b->lines);
}

static int retry(struct loop *loop, int timer, void *arg)
{
    struct store *s = arg;
    s->retry_timer = -1;
    hand_batch(s);
    return 0;
}

static void batch_failed(struct store *s)
{
    metric_counter_add(s->failures, NULL, NULL, 1);
    if (!s->why || strcmp(s->why, s->flight.e.text) != 0) {
        log_error("event=store_failed waiting=%zu why=%s", store_queued(s),
                  log_quote(slice_str(s->flight.e.text)));
        free(s->why);
        s->why = strdup(s->flight.e.text);
        assert(s->why);
    }
    s->retry_timer = loop_timer(s->loop, STORE_RETRY_MS, retry, s);
    store_queries_go_on(s);
}

static void batch_committed(struct store *s)
{
    metric_histogram_observe(s->batch_ops, (double)s->flight.ops.n);
    metric_histogram_observe(s->commit_seconds, s->flight.commit_seconds);
    metric_counter_add(s->ops, NULL, NULL, (double)s->flight.ops.n);
    if (s->why) {
        log_info("event=store_recovered waiting=%zu", store_queued(s));
        free(TAKE(s->why));
    }
    store_checkpoint_look(s, s->flight.wal_pages);
    answer_batch(s);
    s->in_flight = false;
    send_batch(s);
    store_queries_go_on(s);
}

static int here_done(struct loop *loop, int timer, void *arg)
{
    struct store *s = arg;
    s->here_timer = -1;
    if (s->flight.failed)
        batch_failed(s);
    else
        batch_committed(s);
    return 0;
}

static void on_written(struct store *s)
{
    struct batch *b = store_actor_take(&s->writer_actor);
    if (!b)
        return;
    (void)atomic_load_explicit(&b->handed, memory_order_acquire); /* for the order alone */
    if (b->failed)
        batch_failed(s);
    else
        batch_committed(s);
}

int store_batch_start(struct store *s, const char *path, struct err *e)
{
    struct writer *w = store_writer_new(path, s->blob_dir, e);
    if (!w)
        return -1;
    s->writer = w;
    s->here_timer = -1;
    const struct store_actor_job job = { store_writer_job, store_writer_free, w };
    return store_actor_start(&s->writer_actor, s, &job, on_written, e);
}

/* Waits for the batch in flight. True when it came back before the deadline. */
static bool wait_for_batch(struct store *s, int64_t deadline_ms)
{
    while (s->in_flight) {
        int64_t left_ms = deadline_ms - zclock_mono();
        zmq_pollitem_t item = { .socket = zsock_resolve(s->writer_actor.zactor),
                                .events = ZMQ_POLLIN };
        if (left_ms <= 0)
            return false;
        if (zmq_poll(&item, 1, left_ms) <= 0)
            continue;
        struct batch *b = store_actor_take(&s->writer_actor);
        if (b && atomic_load_explicit(&b->handed, memory_order_acquire))
            return true;
    }
    return false;
}

/* The batch that was committed here has no one left to tell; a failed one is tried again. */
static void free_committed(struct store *s)
{
    s->here_timer = -1;
    if (s->flight.failed) {
        hand_batch(s);
        return;
    }
    free_ops(&s->flight.ops);
    s->in_flight = false;
    send_batch(s);
}

static void commit_rest(struct store *s)
{
    int64_t deadline_ms = zclock_mono() + STORE_CLOSE_MS;
    no_late_timer(s);
    s->late_due = true;
    s->here_after_ms = INT64_MAX; /* from here on by the actor alone, with a deadline */
    if (s->here_timer >= 0) {
        loop_timer_end(s->loop, s->here_timer);
        free_committed(s);
    }
    if (s->retry_timer >= 0) {
        loop_timer_end(s->loop, s->retry_timer);
        hand_batch(s);
    }
    send_batch(s);
    while (wait_for_batch(s, deadline_ms)) {
        if (s->flight.failed) {
            zclock_sleep(STORE_RETRY_MS);
            hand_batch(s);
            continue;
        }
        free_ops(&s->flight.ops);
        s->in_flight = false;
        send_batch(s);
    }
    if (s->in_flight)
        log_error("event=store_closed_early lost=%zu", s->flight.ops.n + s->queued.n);
}

void store_batch_stop(struct store *s)
{
    if (s->writer_actor.zactor) {
        store_actor_unwatch(&s->writer_actor);
        commit_rest(s);
        store_actor_stop(&s->writer_actor);
    }
    free_ops(&s->flight.ops);
    free_ops(&s->queued);
    buf_done(&s->flight.lines);
}
