/* Waiting for its turn: the place in its session's queue, who is told of it, and how long it waits at most. */
#include "kernelhub/execution_internal.h"

unsigned execution_position(const struct execution *x)
{
    unsigned n = x->session && x->session->running && x->session->running != x;
    if (!x->session || x == x->session->running)
        return 0;
    for (struct execution *other = zlistx_first(x->session->queue); other && other != x;
         other = zlistx_next(x->session->queue))
        n++;
    return n;
}

static int on_queue_timeout(struct loop *loop, int timer, void *arg)
{
    struct execution *x = arg;
    x->queue_timer = -1;
    struct session *s = x->session;
    execution_cancel_queued(x, "it waited longer than queue_timeout_seconds", NULL);
    execution_tell_positions(s);
    return 0;
}

void execution_enter_queue(struct execution *x)
{
    x->queue_handle = zlistx_add_end(x->session->queue, x);
    if (x->queue_timeout_ms == 0)
        return;
    int64_t left_ms = x->queue_timeout_ms - (hub_mono_us() - x->created_mono_us) / 1000;
    x->queue_timer =
        loop_timer(x->hub->loop, left_ms > 0 ? (size_t)left_ms : 0, on_queue_timeout, x);
}

void execution_leave_queue(struct execution *x)
{
    if (x->queue_handle)
        (void)zlistx_detach(x->session->queue, x->queue_handle);
    x->queue_handle = NULL;
    if (x->queue_timer >= 0)
        loop_timer_end(x->hub->loop, x->queue_timer);
    x->queue_timer = -1;
}

void execution_say_position(struct execution *x, unsigned position, int64_t unix_us)
{
    CLEANUP_BUF struct buf fields = BUF_INIT(64);
    x->told_position = position;
    buf_addf(&fields, ",\"position\":%u", position);
    execution_add_event(x, EVENT_QUEUED, buf_slice(&fields), unix_us,
                        (struct store_mark){ .number = 0 });
}

void execution_tell_positions(struct session *s)
{
    unsigned position = s->running != NULL;
    for (struct execution *x = zlistx_first(s->queue); x; x = zlistx_next(s->queue), position++)
        if (position && x->inserted && position != x->told_position && feed_is_watched(x->feed))
            execution_say_position(x, position, hub_unix_us());
}
