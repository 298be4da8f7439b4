#include "kernelhub/wait.h"

#include <stdlib.h>

struct wait {
    reply_fn done;
    void *arg;
    zlistx_t *list;
    void *handle;
    struct wait **place;
    struct store_query *query;
    void *ticket;
};

struct wait *wait_new(zlistx_t *list, reply_fn done, void *arg)
{
    struct wait *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    w->done = done;
    w->arg = arg;
    w->list = list;
    if (list)
        w->handle = zlistx_add_end(list, w);
    return w;
}

struct wait *wait_new_owned(struct wait **place, reply_fn done, void *arg)
{
    struct wait *w = wait_new(NULL, done, arg);
    w->place = place;
    return w;
}

void wait_set_ticket(struct wait *w, struct store_query *query, void *ticket)
{
    w->query = query;
    w->ticket = ticket;
}

void wait_set_query(struct wait *w, struct store_query *query)
{
    w->query = query;
}

void wait_leave(struct wait *w)
{
    if (w->list)
        (void)zlistx_detach(w->list, w->handle); /* gives back w itself */
    w->list = NULL;
    if (w->place)
        *w->place = NULL;
    w->place = NULL;
}

void wait_answer(struct wait *w, const struct err *e, struct slice json)
{
    wait_leave(w);
    w->done(w->arg, e, json);
    free(w);
}

void wait_fail(struct wait *w, enum err_code code, const char *text)
{
    struct err e;
    (void)err_set(&e, code, "%s", text);
    wait_answer(w, &e, slice_of(NULL, 0));
}

void wait_cancel(struct wait *w)
{
    if (!w)
        return;
    wait_leave(w);
    store_cancel(w->query);
    free(w->ticket);
    free(w);
}

zlistx_t *wait_list_new(void)
{
    zlistx_t *list = zlistx_new();
    assert(list);
    return list;
}

void wait_list_answer(zlistx_t *list, const struct err *e, struct slice json)
{
    /* an answer may add a wait to the same list: only those that are here now */
    for (size_t n = zlistx_size(list); n > 0; n--) {
        struct wait *w = zlistx_first(list);
        if (!w)
            return;
        wait_answer(w, e, json);
    }
}

void wait_list_free(zlistx_t **list)
{
    struct err e;
    if (!*list)
        return;
    (void)err_set(&e, ERR_UNAVAILABLE, "the service is going down");
    while (zlistx_size(*list))
        wait_list_answer(*list, &e, slice_of(NULL, 0));
    zlistx_destroy(list);
}
