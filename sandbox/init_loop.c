#include "sandbox/init_loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define BATCH 32

static int64_t clock_ms(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int init_loop_init(struct init_loop *l)
{
    l->now_ms = clock_ms();
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return l->epoll_fd < 0 ? -1 : 0;
}

void init_loop_end(struct init_loop *l, int exit_code)
{
    l->ended = true;
    l->exit_code = exit_code;
}

static int timeout_ms(const struct init_loop *l)
{
    int64_t least = -1;
    for (const struct init_timer *t = l->timers; t; t = t->next) {
        int64_t left = t->due_ms > l->now_ms ? t->due_ms - l->now_ms : 0;
        if (least < 0 || left < least)
            least = left;
    }
    return (int)least;
}

/* A callback may arm or disarm any timer, so each round starts from the front. What is armed for
 * "now" inside a callback waits for the next turn of the loop. */
static void run_timers(struct init_loop *l)
{
    int64_t now_ms = l->now_ms;
    l->now_ms++; /* timers armed from here on are due later than now_ms */
    for (struct init_timer *t = l->timers; t && !l->ended;) {
        if (t->due_ms > now_ms) {
            t = t->next;
            continue;
        }
        init_timer_disarm(l, t);
        t->on_due(t);
        t = l->timers;
    }
    l->now_ms = now_ms;
}

void init_loop_run(struct init_loop *l)
{
    while (!l->ended) {
        struct epoll_event events[BATCH];
        l->now_ms = clock_ms();
        int n = epoll_wait(l->epoll_fd, events, BATCH, timeout_ms(l));
        l->now_ms = clock_ms();
        l->stale = false;
        for (int i = 0; i < n && !l->stale && !l->ended; i++) {
            struct init_watch *w = events[i].data.ptr;
            w->on_ready(w, events[i].events);
        }
        if (!l->ended)
            run_timers(l);
    }
}

int init_watch_open(struct init_loop *l, struct init_watch *w, int fd, uint32_t mask,
                    void (*on_ready)(struct init_watch *, uint32_t))
{
    w->fd = fd;
    w->mask = 0;
    w->on_ready = on_ready;
    if (init_watch_want(l, w, mask) == 0)
        return 0;
    int error = errno;
    init_watch_close(l, w);
    errno = error;
    return -1;
}

int init_watch_want(struct init_loop *l, struct init_watch *w, uint32_t mask)
{
    if (w->fd < 0 || w->mask == mask)
        return 0;
    struct epoll_event event = { .events = mask, .data.ptr = w };
    int op = !w->mask ? EPOLL_CTL_ADD : !mask ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    if (epoll_ctl(l->epoll_fd, op, w->fd, &event) < 0)
        return -1;
    w->mask = mask;
    return 0;
}

void init_watch_close(struct init_loop *l, struct init_watch *w)
{
    if (w->fd < 0)
        return;
    (void)init_watch_want(l, w, 0); /* taking it out of the set cannot fail */
    (void)close(w->fd);             /* nothing to do about an error here */
    w->fd = -1;
    l->stale = true;
}

void init_timer_arm(struct init_loop *l, struct init_timer *t, int64_t in_ms,
                    void (*on_due)(struct init_timer *))
{
    t->due_ms = l->now_ms + in_ms;
    t->on_due = on_due;
    if (t->armed)
        return;
    t->armed = true;
    t->next = l->timers;
    l->timers = t;
}

void init_timer_disarm(struct init_loop *l, struct init_timer *t)
{
    if (!t->armed)
        return;
    struct init_timer **at = &l->timers;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    t->armed = false;
}
