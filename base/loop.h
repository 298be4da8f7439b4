/* loop.h - the one loop of a process: timers and pollers, of which nothing is heard once they are ended. */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <czmq.h>

#include "base/cleanup.h"

/* A zloop goes on calling, for a turn or for many, the timer that another timer's handler has ended. Here an end holds
 * from where it is said, so a handler may free whatever owns other timers and pollers. */
struct loop;

/* 0, or -1 to end the loop. Both may start and end any timer and any poller, their own, too. */
typedef int loop_timer_fn(struct loop *loop, int timer, void *arg);
typedef int loop_poller_fn(struct loop *loop, zmq_pollitem_t *item, void *arg);

struct loop *loop_new(void);
void loop_free(
    struct loop *loop); /* NULL is fine; not from a handler; what is in it is not closed */
DEFINE_CLEANUP(struct loop, loop_free)

int loop_start(
    struct loop *loop); /* till a handler says -1 or a signal comes; may be called again */

/* Fires once, after delay_ms. Returns its number, never negative: that is free for another when 2^31 more were made. */
int loop_timer(struct loop *loop, size_t delay_ms, loop_timer_fn *handler, void *arg);
void loop_timer_end(struct loop *loop,
                    int timer); /* it fires now, has fired or was ended: nothing happens */

/* A descriptor or socket stands in the loop once: what stood there before is ended. End it before you close it. */
void loop_poller(struct loop *loop, const zmq_pollitem_t *item, loop_poller_fn *handler, void *arg);
void loop_poller_set_tolerant(struct loop *loop,
                              zmq_pollitem_t *item);           /* errors are its handler's alone */
void loop_poller_end(struct loop *loop, zmq_pollitem_t *item); /* not in it: nothing happens */

#endif
