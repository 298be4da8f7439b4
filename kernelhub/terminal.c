#include "kernelhub/terminal_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/catalog.h"
#include "kernelhub/quota.h"
#include "kernelhub/wait.h"
#include "protocol/jupyter_message.h"

#define WORKSPACE       "/workspace"
#define MAX_ORDER_BYTES (256u * 1024)
#define MAX_CWD_BYTES   1024

/* Which shell there is, the sandbox itself knows. */
static const char ORDER[] =
    "{\"argv\":[\"/bin/sh\",\"-c\",\"SHELL=$(command -v bash || command -v sh); export SHELL; "
    "exec \\\"$SHELL\\\" -i\"],\"env\":{\"TERM\":\"xterm-256color\"";

/* ---- tables ---- */

static struct terminal *by_name(struct hub *h, const struct user *u, const char *name)
{
    for (struct terminal *t = zhashx_first(h->terminals); t; t = zhashx_next(h->terminals))
        if (t->user == u && t->name[0] && strcmp(t->name, name) == 0)
            return t;
    return NULL;
}

static bool is_name(const char *name)
{
    size_t n = strlen(name);
    for (const char *at = name; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f || *at == '/')
            return false;
    return n > 0 && n <= TERMINAL_NAME_BYTES && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static void next_name(struct hub *h, const struct user *u, char ret[16])
{
    unsigned n = 1;
    do
        (void)snprintf(ret, 16, "%u", n++);
    while (by_name(h, u, ret));
}

static unsigned count_in(const struct sandbox *s)
{
    unsigned n = 0;
    zhashx_t *all = s->hub->terminals;
    for (struct terminal *t = zhashx_first(all); t; t = zhashx_next(all))
        n += t->sandbox == s;
    return n;
}

static struct terminal *make(struct hub *h, struct sandbox *s, const struct uuid *id,
                             const char *name)
{
    struct terminal *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    t->hub = h;
    t->user = s->user;
    t->sandbox = s;
    t->id = *id;
    t->rows = TERMINAL_ROWS;
    t->cols = TERMINAL_COLS;
    t->stall_timer = -1;
    t->active_us = hub_unix_us();
    t->waits = wait_list_new();
    t->clients = zlistx_new();
    t->ring = malloc(TERMINAL_RING_BYTES); /* pages that are not written to cost nothing */
    if (!t->ring)
        abort();
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    zhashx_insert(h->terminals, t->id.text, t);
    return t;
}

void terminal_free(struct terminal *t)
{
    if (t->stall_timer >= 0)
        loop_timer_end(t->hub->loop, t->stall_timer);
    wait_list_free(&t->waits);
    zlistx_destroy(&t->clients);
    free(t->cwd);
    free(t->ring);
    free(t);
}

/* ---- the link ---- */

void terminal_send(struct terminal *t, enum link_type type, struct slice part)
{
    struct link_frame f = { .type = type, .kernel_id = t->id, .n_parts = 1, .parts = { part } };
    sandbox_send(t->sandbox, &f);
}

static void write_order(const struct terminal *t, struct buf *out)
{
    struct slice env = slice_str(t->sandbox->env);
    buf_add_str(out, ORDER);
    if (env.len > 2) { /* of two of one name the later counts */
        buf_add_char(out, ',');
        buf_add(out, env.data + 1, env.len - 2);
    }
    buf_add_str(out, "},\"cwd\":");
    json_quote_str(out, t->cwd ? t->cwd : WORKSPACE);
    buf_add_str(out, ",\"name\":");
    json_quote_str(out, t->name);
    buf_addf(out, ",\"rows\":%u,\"cols\":%u}", t->rows, t->cols);
}

void terminal_begin(struct terminal *t)
{
    CLEANUP_BUF struct buf order = BUF_INIT(MAX_ORDER_BYTES);
    if (!t->sandbox->can_terminal) {
        terminal_end(t, ERR_UNAVAILABLE,
                     "the sandbox was made by an older version, which has no terminals: end it, "
                     "the next one will");
        return;
    }
    t->state = TERMINAL_STARTING;
    t->input = t->taken = 0;
    write_order(t, &order);
    terminal_send(t, LINK_TERMINAL, buf_slice(&order));
    terminal_restart_output(t, 0);
}

/* ---- its life ---- */

static int choose_sandbox(struct hub *h, struct user *u, const char *named, struct sandbox **ret,
                          struct err *e)
{
    if (sandbox_named(h, u, named, ret, e) < 0)
        return -1;
    if (*ret)
        return 0;
    const char *template_name = sandbox_default_template(h, u);
    if (!template_name && catalog_is_empty(h->catalog))
        return err_set(e, ERR_UNAVAILABLE, "the images are not known yet: try again in a moment");
    return sandbox_get(h, u, template_name ? template_name : catalog_default_template(h->catalog),
                       ret, e);
}

static char *place_of(const char *cwd)
{
    char text[MAX_CWD_BYTES + sizeof WORKSPACE + 1];
    (void)snprintf(text, sizeof text, "%s%.*s", cwd[0] == '/' ? "" : WORKSPACE "/", MAX_CWD_BYTES,
                   cwd);
    char *ret = strdup(text);
    if (!ret)
        abort();
    return ret;
}

int terminal_open(struct hub *h, struct user *u, const struct terminal_wish *w,
                  struct terminal **ret, struct err *e)
{
    char number[16] = "";
    struct sandbox *s;
    if (w->name && !is_name(w->name))
        return err_set(e, ERR_INVALID,
                       "a terminal's name is 1 to %d bytes without slashes and control characters",
                       TERMINAL_NAME_BYTES);
    struct terminal *t = w->name ? by_name(h, u, w->name) : NULL;
    if (t) {
        *ret = t;
        return 0;
    }
    if (quota_may_begin(h->quota, u, e) < 0 || choose_sandbox(h, u, w->sandbox, &s, e) < 0)
        return -1;
    if (s->held)
        return err_set(e, ERR_UNAVAILABLE,
                       "sandbox '%s' only waits for a cell to end: its lease is over", s->name);
    if (count_in(s) >= LINK_MAX_TERMINALS)
        return err_set(e, ERR_QUOTA, "%d terminals are open in sandbox '%s', the limit: close one",
                       LINK_MAX_TERMINALS, s->name);
    if (!w->name && !w->is_private)
        next_name(h, u, number);
    struct uuid id = uuid_new();
    t = make(h, s, &id, w->name ? w->name : number);
    t->cwd = w->cwd && w->cwd[0] ? place_of(w->cwd) : NULL;
    t->rows = w->rows ? w->rows : t->rows;
    t->cols = w->cols ? w->cols : t->cols;
    log_info("terminal opened id=%s sandbox=%s", t->id.text, s->id.text);
    sandbox_called(s);
    if (s->state == SANDBOX_UP)
        terminal_begin(t);
    *ret = t;
    return 0;
}

struct terminal *terminal_recover(struct sandbox *s, const struct uuid *id, const char *name)
{
    if (!is_name(name) || by_name(s->hub, s->user, name))
        return NULL;
    return make(s->hub, s, id, name);
}

static void why_over(const struct terminal *t, struct err *e)
{
    (void)err_set(e, t->end_code == ERR_NONE ? ERR_GONE : t->end_code, "%s", t->end_text);
}

struct wait *terminal_await(struct terminal *t, reply_fn done, void *arg)
{
    CLEANUP_BUF struct buf json = BUF_INIT(4096);
    struct err e;
    if (t->state == TERMINAL_WAITING || t->state == TERMINAL_STARTING)
        return wait_new(t->waits, done, arg);
    terminal_write(t, &json);
    bool over = t->state == TERMINAL_OVER;
    why_over(t, &e);
    done(arg, over ? &e : NULL, buf_slice(&json));
    return NULL;
}

/* It may be in the hands of who opened it: memory goes in the loop's next turn. */
static int on_reap(struct loop *loop, int timer, void *arg)
{
    struct terminal *t = arg;
    t->stall_timer = -1;
    if (zlistx_size(t->clients))
        return 0; /* one came in the same turn: it goes with that */
    zlistx_t *dead = t->hub->dead_terminals;
    void *place = zlistx_find(dead, t);
    if (place)
        (void)zlistx_delete(dead, place);
    terminal_free(t);
    return 0;
}

void terminal_release(struct terminal *t)
{
    if (t->state == TERMINAL_OVER && zlistx_size(t->clients) == 0 && t->stall_timer < 0)
        t->stall_timer = loop_timer(t->hub->loop, 1, on_reap, t);
}

void terminal_end(struct terminal *t, enum err_code code, const char *text)
{
    struct err e;
    if (t->state == TERMINAL_OVER)
        return;
    for (size_t n = zlistx_size(t->clients); n > 0; n--)
        sandbox_detach(t->sandbox);
    log_info("terminal ended id=%s why=%s", t->id.text, log_quote(slice_str(text)));
    (void)snprintf(t->end_text, sizeof t->end_text, "%s", text); /* cut is fine */
    t->end_code = code;
    t->state = TERMINAL_OVER;
    t->sandbox = NULL;
    if (t->stall_timer >= 0)
        loop_timer_end(t->hub->loop, t->stall_timer);
    t->stall_timer = -1;
    zhashx_delete(t->hub->terminals, t->id.text);
    (void)zlistx_add_end(t->hub->dead_terminals, t); /* aborts for want of memory */
    why_over(t, &e);
    wait_list_answer(t->waits, &e, slice_of(NULL, 0));
    terminal_tell(t);
    terminal_release(t);
}

void terminal_stop(struct terminal *t)
{
    const struct link_frame stop = { .type = LINK_STOP, .kernel_id = t->id };
    if (t->sandbox && t->state != TERMINAL_WAITING)
        sandbox_send(t->sandbox, &stop);
    terminal_end(t, ERR_NONE, "it was closed");
}

/* Else the next hello would bring it back. */
int terminal_close(struct terminal *t, struct err *e)
{
    if (t->state != TERMINAL_WAITING && t->sandbox->state != SANDBOX_UP)
        return err_set(e, ERR_UNAVAILABLE, "its sandbox is being reached again: try in a moment");
    terminal_stop(t);
    return 0;
}

/* ---- what clients of the hub see ---- */

/* Which terminals a hub before us had, only its sandboxes know. */
static int check_known(struct hub *h, const struct user *u, struct err *e)
{
    for (struct sandbox *s = zhashx_first(h->sandboxes); s; s = zhashx_next(h->sandboxes))
        if (s->user == u && s->epoch[0] && !s->heard)
            return err_set(e, ERR_UNAVAILABLE,
                           "sandbox '%s' is being reached again: try in a moment", s->name);
    return 0;
}

int terminal_find(struct hub *h, const struct user *u, const char *name, struct terminal **ret,
                  struct err *e)
{
    *ret = by_name(h, u, name);
    if (*ret)
        return 0;
    if (check_known(h, u, e) < 0)
        return -1;
    return err_set(e, ERR_NOT_FOUND, "there is no terminal %s", log_quote(slice_str(name)));
}

void terminal_write(const struct terminal *t, struct buf *out)
{
    char active[28];
    jupyter_format_time(t->active_us, active);
    buf_add_str(out, "{\"name\":");
    json_quote_str(out, t->name);
    buf_addf(out, ",\"last_activity\":\"%s\"}", active);
}

int terminal_write_all(struct hub *h, const struct user *u, struct buf *out, struct err *e)
{
    const char *comma = "";
    if (check_known(h, u, e) < 0)
        return -1;
    buf_add_char(out, '[');
    for (struct terminal *t = zhashx_first(h->terminals); t; t = zhashx_next(h->terminals)) {
        if (t->user != u || !t->name[0])
            continue;
        buf_add_str(out, comma);
        terminal_write(t, out);
        comma = ",";
    }
    buf_add_char(out, ']');
    return 0;
}
