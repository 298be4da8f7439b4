/* watch.h - many fds behind one: an epoll set that is a single fd in the loop, so that a turn costs
 * nothing per idle sandbox. */
#ifndef SANDBOX_WATCH_H
#define SANDBOX_WATCH_H

#include <czmq.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/loop.h"

/* Embedded in whoever owns the fd. */
struct watch {
    void (*on_ready)(struct watch *w, uint32_t events); /* EPOLL…; may remove and free any watch, itself too */
    int fd; /* -1: not in a set */
};
#define WATCH_INIT { .fd = -1 }

struct watches;

struct watches *watches_new(struct loop *loop);
void watches_free(struct watches *set); /* NULL is fine; the fds stay open */
DEFINE_CLEANUP(struct watches, watches_free)

void watches_stop(struct watches *set); /* the loop ends once the event at hand is handled */

/* level-triggered. The fd must leave the set before it is closed. */
void watch_add(struct watches *set, struct watch *w, int fd, uint32_t events);
void watch_change(struct watches *set, struct watch *w, uint32_t events);
void watch_remove(struct watches *set, struct watch *w); /* nothing when it is in no set */

/* `ret = CONTAINER_OF(w, struct thing, watch)` */
#define CONTAINER_OF(member_at, type, member) ((type *)((char *)(member_at)-offsetof(type, member)))

#endif
