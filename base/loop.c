/* zloop (4.2.1) takes ended timers out after the pollers' part of a turn, and leaves that part out when a timer changed a
 * poller; until then it calls those that are due. So it is given the loop in place of the owner, and who is called stands
 * here, where an end takes effect at once. It is given no timer that fires twice: one that ended itself would be freed
 * under its feet in a loop that is started a second time. */
#include "base/loop.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

struct loop {
    zloop_t *zloop;
    zhashx_t *timers;  /* of struct timer, by number */
    zhashx_t *pollers; /* of struct poller, by descriptor or socket */
};

struct timer {
    int id; /* zloop's; becomes negative when it has counted to the end */
    loop_timer_fn *handler;
    void *arg;
};

struct poller {
    loop_poller_fn *handler;
    void *arg;
};

static size_t hash_key(const void *key)
{
    return (size_t)key;
}

static int compare_keys(const void *a, const void *b)
{
    return (a > b) - (a < b);
}

static void free_item(void **item)
{
    free(*item);
    *item = NULL;
}

static zhashx_t *new_table(void)
{
    zhashx_t *table = zhashx_new();
    assert(table);
    zhashx_set_key_hasher(table, hash_key);
    zhashx_set_key_comparator(table, compare_keys);
    zhashx_set_key_duplicator(table, NULL);
    zhashx_set_key_destructor(table, NULL);
    zhashx_set_destructor(table, free_item);
    return table;
}

static const void *timer_key(int number)
{
    return (const void *)(intptr_t)number;
}

static const void *poller_key(const zmq_pollitem_t *item)
{
    return item->socket ? item->socket : (const void *)(intptr_t)(item->fd + 1);
}

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof *loop);
    assert(loop);
    loop->zloop = zloop_new();
    assert(loop->zloop);
    loop->timers = new_table();
    loop->pollers = new_table();
    return loop;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    zloop_destroy(&loop->zloop);
    zhashx_destroy(&loop->timers);
    zhashx_destroy(&loop->pollers);
    free(loop);
}

int loop_start(struct loop *loop)
{
    return zloop_start(loop->zloop);
}

static int on_timer(zloop_t *zloop, int id, void *arg)
{
    struct loop *loop = arg;
    int number = id & INT_MAX;
    struct timer *found = zhashx_lookup(loop->timers, timer_key(number));
    if (!found || found->id != id)
        return 0; /* it was ended */
    struct timer t = *found;
    zhashx_delete(loop->timers, timer_key(number));
    return t.handler(loop, number, t.arg);
}

int loop_timer(struct loop *loop, size_t delay_ms, loop_timer_fn *handler, void *arg)
{
    struct timer *t = malloc(sizeof *t);
    assert(t);
    *t = (struct timer){ zloop_timer(loop->zloop, delay_ms, 1, on_timer, loop), handler, arg };
    int number = t->id & INT_MAX;
    zhashx_update(loop->timers, timer_key(number), t);
    return number;
}

void loop_timer_end(struct loop *loop, int timer)
{
    struct timer *found = zhashx_lookup(loop->timers, timer_key(timer));
    if (!found)
        return;
    zloop_timer_end(loop->zloop, found->id);
    zhashx_delete(loop->timers, timer_key(timer));
}

static int on_poller(zloop_t *zloop, zmq_pollitem_t *item, void *arg)
{
    struct loop *loop = arg;
    struct poller *found = zhashx_lookup(loop->pollers, poller_key(item));
    return found ? found->handler(loop, item, found->arg) : 0;
}

void loop_poller(struct loop *loop, const zmq_pollitem_t *item, loop_poller_fn *handler, void *arg)
{
    zmq_pollitem_t own = *item;
    if (own.socket)
        own.fd = -1; /* zloop ends sockets, too, by their descriptor */
    loop_poller_end(loop, &own);
    struct poller *p = malloc(sizeof *p);
    assert(p);
    *p = (struct poller){ handler, arg };
    zhashx_update(loop->pollers, poller_key(&own), p);
    int rc = zloop_poller(loop->zloop, &own, on_poller, loop);
    assert(rc == 0); /* a socket is none */
}

void loop_poller_set_tolerant(struct loop *loop, zmq_pollitem_t *item)
{
    zloop_poller_set_tolerant(loop->zloop, item);
}

void loop_poller_end(struct loop *loop, zmq_pollitem_t *item)
{
    if (!zhashx_lookup(loop->pollers, poller_key(item)))
        return;
    zhashx_delete(loop->pollers, poller_key(item));
    zloop_poller_end(loop->zloop, item);
}
