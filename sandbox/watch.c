#include "sandbox/watch.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define MAX_PER_TURN 64

struct watches {
    int epoll_fd;
    struct loop *loop;
    zmq_pollitem_t item;
    bool stopped;
};

/* One event at a time is fetched, so that no event is in hand for a watch that an earlier one's
 * owner has just freed. */
static int on_epoll(struct loop *loop, zmq_pollitem_t *item, void *ctx)
{
    struct watches *set = ctx;
    for (int i = 0; i < MAX_PER_TURN && !set->stopped; i++) {
        struct epoll_event event;
        if (epoll_wait(set->epoll_fd, &event, 1, 0) != 1)
            break;
        struct watch *w = event.data.ptr;
        w->on_ready(w, event.events);
    }
    return set->stopped ? -1 : 0;
}

struct watches *watches_new(struct loop *loop)
{
    struct watches *set = calloc(1, sizeof *set);
    assert(set);
    set->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    assert(set->epoll_fd >= 0);
    set->loop = loop;
    set->item = (zmq_pollitem_t){ .fd = set->epoll_fd, .events = ZMQ_POLLIN };
    loop_poller(loop, &set->item, on_epoll, set);
    return set;
}

void watches_free(struct watches *set)
{
    if (!set)
        return;
    loop_poller_end(set->loop, &set->item);
    close(set->epoll_fd);
    free(set);
}

void watches_stop(struct watches *set)
{
    set->stopped = true;
}

void watch_add(struct watches *set, struct watch *w, int fd, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = w };
    int r = epoll_ctl(set->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    assert(r == 0);
    w->fd = fd;
}

void watch_change(struct watches *set, struct watch *w, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = w };
    int r = epoll_ctl(set->epoll_fd, EPOLL_CTL_MOD, w->fd, &event);
    assert(r == 0);
}

void watch_remove(struct watches *set, struct watch *w)
{
    if (w->fd < 0)
        return;
    (void)epoll_ctl(set->epoll_fd, EPOLL_CTL_DEL, w->fd,
                    NULL); /* closed already: left the set with that */
    w->fd = -1;
}
