#include "sandbox/warden_terminals.h"

#include "sandbox/warden_kernel_inside.h"

void warden_terminals_done(struct warden_terminals *ts)
{
    for (size_t i = 0; i < WARDEN_TERMINALS_PLACES; i++)
        warden_terminal_free(TAKE(ts->all[i]));
}

static struct warden_terminal *find(struct warden_terminals *ts, const struct uuid *id)
{
    for (size_t i = 0; i < WARDEN_TERMINALS_PLACES; i++)
        if (ts->all[i] && uuid_equal(warden_terminal_id(ts->all[i]), id))
            return ts->all[i];
    return NULL;
}

struct warden_terminal *warden_terminals_of(struct warden_terminals *ts, unsigned number)
{
    for (size_t i = 0; i < WARDEN_TERMINALS_PLACES; i++)
        if (ts->all[i] && warden_terminal_number(ts->all[i]) == number)
            return ts->all[i];
    return NULL;
}

static void begin(struct warden_terminals *ts, struct warden_terminal *t)
{
    unsigned number = ts->free_number(ts->env->owner);
    if (number)
        warden_terminal_begin(t, number);
    else
        warden_terminal_stop(t, "so much runs in this sandbox that no terminal can be started");
}

static int order_terminal(struct warden_terminals *ts, const struct link_frame *f, struct err *e)
{
    size_t place = WARDEN_TERMINALS_PLACES, n = 0;
    if (find(ts, &f->kernel_id))
        return 0; /* exactly once */
    for (size_t i = 0; i < WARDEN_TERMINALS_PLACES; i++) {
        if (!ts->all[i])
            place = i;
        else
            n += !warden_terminal_is_stopped(ts->all[i]);
    }
    if (n >= LINK_MAX_TERMINALS || place == WARDEN_TERMINALS_PLACES)
        return err_set(e, ERR_QUOTA, "%d terminals run in this sandbox, the limit",
                       LINK_MAX_TERMINALS);
    if (warden_terminal_new(ts->env, ts->link, f, &ts->all[place], e) < 0)
        return -1;
    if (warden_init_is_there(ts->env->init))
        begin(ts, ts->all[place]);
    return 0;
}

int warden_terminals_order(struct warden_terminals *ts, const struct link_frame *f, struct err *e)
{
    if (f->type == LINK_TERMINAL)
        return order_terminal(ts, f, e);
    struct warden_terminal *t = find(ts, &f->kernel_id);
    if (!t)
        return err_set(e, ERR_GONE, "no such terminal runs here");
    if (f->n_parts != 1)
        return err_set(e, ERR_INVALID, "the order has one part");
    if (f->type == LINK_INPUT)
        return warden_terminal_input(t, f->parts[0], e);
    if (f->type == LINK_RESIZE)
        return warden_terminal_resize(t, f->parts[0], e);
    return warden_terminal_credit(t, f->parts[0], e);
}

bool warden_terminals_stop(struct warden_terminals *ts, const struct link_frame *f)
{
    struct warden_terminal *t = find(ts, &f->kernel_id);
    if (t)
        warden_terminal_stop(t, "it was closed");
    return t != NULL;
}

void warden_terminals_write_hello(struct warden_terminals *ts, struct buf *out)
{
    const char *comma = "";
    buf_add_char(out, '[');
    for (size_t i = 0; i < WARDEN_TERMINALS_PLACES; i++) {
        if (!ts->all[i] || warden_terminal_is_stopped(ts->all[i]))
            continue;
        buf_add_str(out, comma);
        warden_terminal_write_hello(ts->all[i], out);
        comma = ",";
    }
    buf_add_char(out, ']');
}

void warden_terminals_on_init(struct warden_terminals *ts)
{
    for (size_t i = 0; i < WARDEN_TERMINALS_PLACES; i++)
        if (ts->all[i] && warden_terminal_is_waiting(ts->all[i]))
            begin(ts, ts->all[i]);
}

void warden_terminals_on_init_gone(struct warden_terminals *ts)
{
    for (size_t i = 0; i < WARDEN_TERMINALS_PLACES; i++)
        if (ts->all[i])
            warden_terminal_on_init_gone(ts->all[i]);
}

/* One speaks only when what another said has gone out. So each is flushed by itself: whoever had to wait for the next batch would wait
 * for ever when there is none. Another begins each time, for when the link takes no more. */
static void say_all(struct warden_terminals *ts)
{
    ts->first = (ts->first + 1) % WARDEN_TERMINALS_PLACES;
    for (size_t i = 0; i < WARDEN_TERMINALS_PLACES; i++) {
        struct warden_terminal *t = ts->all[(ts->first + i) % WARDEN_TERMINALS_PLACES];
        if (!t)
            continue;
        warden_terminal_say(t);
        if (!warden_link_is_clear(ts->link))
            warden_link_flush(ts->link);
    }
    warden_link_flush(ts->link);
}

void warden_terminals_flush(struct warden_terminals *ts)
{
    say_all(ts);
    for (size_t i = 0; i < WARDEN_TERMINALS_PLACES; i++) {
        if (ts->all[i] && warden_terminal_is_over(ts->all[i]))
            warden_terminal_free(TAKE(ts->all[i]));
        else if (ts->all[i])
            warden_terminal_watch(ts->all[i]);
    }
}

int64_t warden_terminals_due_ms(const struct warden_terminals *ts)
{
    int64_t due = 0;
    for (size_t i = 0; i < WARDEN_TERMINALS_PLACES; i++)
        due_sooner(&due, ts->all[i] ? warden_terminal_due_ms(ts->all[i]) : 0);
    return due;
}

void warden_terminals_on_due(struct warden_terminals *ts, int64_t now_ms)
{
    for (size_t i = 0; i < WARDEN_TERMINALS_PLACES; i++) {
        int64_t due = ts->all[i] ? warden_terminal_due_ms(ts->all[i]) : 0;
        if (due && due <= now_ms)
            warden_terminal_on_due(ts->all[i]);
    }
}
