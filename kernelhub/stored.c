#include "kernelhub/stored.h"

#include <stdlib.h>

#include "kernelhub/hub_internal.h"
#include "kernelhub/wait.h"

struct stored {
    struct hub *hub;
    struct wait *wait; /* NULL: nobody wants to know any more */
    int timer;
};

/* The store answers whenever it can: it frees. */
static void on_committed(void *arg)
{
    struct stored *t = arg;
    if (t->timer >= 0)
        loop_timer_end(t->hub->loop, t->timer);
    if (t->wait)
        wait_answer(t->wait, NULL, SLICE_LITERAL("{}"));
    free(t);
}

static int on_late(struct loop *loop, int timer, void *arg)
{
    struct stored *t = arg;
    t->timer = -1;
    if (t->wait)
        wait_fail(t->wait, ERR_UNAVAILABLE,
                  "it is done, but could not be written yet: a restart now would undo it");
    return 0;
}

struct wait *hub_when_stored(struct hub *h, reply_fn done, void *arg)
{
    char why[200];
    struct err e;
    if (!store_healthy(h->store, why, sizeof why)) {
        (void)err_set(&e, ERR_UNAVAILABLE, "it is done, but cannot be written: %s", why);
        done(arg, &e, slice_of(NULL, 0));
        return NULL;
    }
    if (store_queued(h->store) == 0) {
        done(arg, NULL, SLICE_LITERAL("{}"));
        return NULL;
    }
    struct stored *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    t->hub = h;
    t->wait = wait_new_owned(&t->wait, done, arg);
    t->timer = loop_timer(h->loop, STORED_LIMIT_MS, on_late, t);
    store_mark(h->store, (struct store_mark){ .number = 0 }, on_committed, t);
    return t->wait;
}
