/* The terminal verbs of kernelhub/ that web/ uses (fake_hub.h). Its program sends back what is typed. Lines it knows: "exit" ends it;
 * "stuck" takes nothing more until its model is read; "flood" writes a megabyte; "size" writes the size; a terminal "none" cannot be
 * started, "known later" cannot be found yet. */
#include "kernelhub/terminal.h"

#include <assert.h>
#include <stdlib.h>

#include "base/json.h"
#include "fake_hub.h"

struct terminal {
    char name[64];
    bool is_stuck, is_over, is_dropped;
    unsigned rows, cols;
    struct buf output;
    struct terminal_client *clients;
};

struct terminal_client {
    struct terminal *terminal;
    terminal_changed_fn *changed;
    void *arg;
    size_t at;
    struct terminal_client *next;
};

static struct terminal *all[8];

static struct terminal **place_of(const char *name)
{
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (name ? all[i] && strcmp(all[i]->name, name) == 0 : !all[i])
            return &all[i];
    return NULL;
}

static void tell(struct terminal *t)
{
    for (struct terminal_client *c = t->clients; c; c = c->next)
        c->changed(c->arg);
}

static void leave(const struct terminal *t)
{
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        all[i] = all[i] == t ? NULL : all[i];
}

static void release(struct terminal *t)
{
    if (!t->is_over || t->clients)
        return;
    buf_done(&t->output);
    free(t);
}

int terminal_open(struct hub *h, struct user *u, const struct terminal_wish *w,
                  struct terminal **ret, struct err *e)
{
    struct terminal **place = w->is_private ? NULL : place_of(w->name ? w->name : "1");
    if (place) {
        *ret = *place;
        return 0;
    }
    place = place_of(NULL);
    if (!place)
        return err_set(e, ERR_QUOTA, "16 terminals are open, the limit: close one");
    struct terminal *t = *place = calloc(1, sizeof *t);
    assert(t);
    buf_init(&t->output, 64u << 20);
    (void)snprintf(t->name, sizeof t->name, "%s",
                   w->is_private ? "private"
                   : w->name     ? w->name
                                 : "1");
    t->rows = w->rows;
    t->cols = w->cols;
    *ret = t;
    return 0;
}

static void end(struct terminal *t)
{
    t->is_over = true;
    leave(t);
    tell(t);
    release(t);
}

int terminal_close(struct terminal *t, struct err *e)
{
    end(t);
    return 0;
}

struct wait *terminal_await(struct terminal *t, reply_fn done, void *arg)
{
    CLEANUP_BUF struct buf json = BUF_INIT(1024);
    struct err e = ERR_INIT;
    bool fails = strcmp(t->name, "none") == 0;
    terminal_write(t, &json);
    if (fails) {
        (void)err_set(&e, ERR_SANDBOX, "the terminal cannot be started");
        end(t);
    }
    done(arg, fails ? &e : NULL, buf_slice(&json));
    return NULL;
}

int terminal_find(struct hub *h, const struct user *u, const char *name, struct terminal **ret,
                  struct err *e)
{
    struct terminal **place = place_of(name);
    if (strcmp(name, "known later") == 0)
        return err_set(e, ERR_UNAVAILABLE, "sandbox 'box' is being reached again");
    if (!place)
        return err_set(e, ERR_NOT_FOUND, "there is no terminal '%s'", name);
    *ret = *place;
    return 0;
}

void terminal_write(const struct terminal *t, struct buf *out)
{
    struct terminal **place = place_of(t->name);
    buf_addf(out, "{\"name\":\"%s\",\"last_activity\":\"2026-11-21T10:00:00.000000Z\"}", t->name);
    if (place && (*place)->is_stuck) {
        (*place)->is_stuck = false;
        tell(*place);
    }
}

int terminal_write_all(struct hub *h, const struct user *u, struct buf *out, struct err *e)
{
    const char *comma = "";
    buf_add_char(out, '[');
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!all[i])
            continue;
        buf_add_str(out, comma);
        terminal_write(all[i], out);
        comma = ",";
    }
    buf_add_char(out, ']');
    return 0;
}

struct terminal_client *terminal_attach(struct terminal *t, terminal_changed_fn *changed, void *arg)
{
    struct terminal_client *c = calloc(1, sizeof *c);
    assert(c);
    *c = (struct terminal_client){ t, changed, arg, 0, t->clients };
    t->clients = c;
    return c;
}

void terminal_detach(struct terminal_client *c)
{
    struct terminal *t = c->terminal;
    struct terminal_client **at = &t->clients;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    free(c);
    if (!t->is_over && strcmp(t->name, "private") == 0)
        end(t);
    else
        release(t);
}

size_t terminal_read(struct terminal_client *c, char *out, size_t size)
{
    size_t n = c->terminal->output.len - c->at;
    n = n < size ? n : size;
    if (n)
        memcpy(out, c->terminal->output.data + c->at, n);
    return n;
}

void terminal_take(struct terminal_client *c, size_t n)
{
    c->at += n;
}

static void flood(struct terminal *t)
{
    char *room = buf_room(&t->output, 1u << 20);
    assert(room);
    memset(room, 'x', 1u << 20);
    t->output.len += 1u << 20;
}

size_t terminal_input(struct terminal_client *c, struct slice bytes)
{
    struct terminal *t = c->terminal;
    if (t->is_stuck)
        return 0;
    if (slice_is(bytes, "exit\r"))
        t->is_over = true;
    else if (slice_is(bytes, "stuck\r"))
        t->is_stuck = true;
    else if (slice_is(bytes, "flood\r"))
        flood(t);
    else if (slice_is(bytes, "size\r"))
        buf_addf(&t->output, "%u x %u\r\n", t->rows, t->cols);
    else
        buf_add_slice(&t->output, bytes);
    if (t->is_over)
        leave(t);
    tell(t);
    return bytes.len;
}

void terminal_resize(struct terminal_client *c, unsigned rows, unsigned cols)
{
    c->terminal->rows = rows;
    c->terminal->cols = cols;
}

struct terminal_view terminal_look(const struct terminal_client *c)
{
    return (struct terminal_view){ .is_over = c->terminal->is_over, .text = "exit code 0" };
}
