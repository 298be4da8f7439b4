/* A terminal's output and its readers.
 *
 *     start ──── slowest client ──── end ──── upto          (positions, in a ring)
 *            kept │   not yet taken   │ may still come
 *
 * What may come is a window above the slowest client, so nothing that a client has not taken is ever overwritten: who joins
 * begins TERMINAL_RECALL_BYTES back, and the ring is a window larger than that. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "kernelhub/terminal_internal.h"

#define RING        TERMINAL_RING_BYTES
#define WINDOW      LINK_TERMINAL_WINDOW_BYTES
#define GRANT_BYTES (WINDOW / 4) /* less is not worth a frame */
#define LOOK_MS     1000
#define FRAME_BYTES (32u << 10)

void terminal_tell(struct terminal *t)
{
    for (struct terminal_client *c = zlistx_first(t->clients); c; c = zlistx_next(t->clients))
        c->changed(c->arg);
}

/* ---- credit ---- */

static uint64_t slowest(const struct terminal *t)
{
    uint64_t at = t->end;
    for (struct terminal_client *c = zlistx_first(t->clients); c; c = zlistx_next(t->clients))
        if (!c->is_dropped && c->at < at)
            at = c->at;
    return at;
}

static size_t count_readers(const struct terminal *t)
{
    size_t n = 0;
    for (struct terminal_client *c = zlistx_first(t->clients); c; c = zlistx_next(t->clients))
        n += !c->is_dropped;
    return n;
}

/* All that may come has come, and somebody who has it waits for somebody who takes it slowly. */
static bool is_blocked(const struct terminal *t)
{
    return t->end == t->upto && count_readers(t) > 1 && slowest(t) < t->end;
}

static int on_stalled(struct loop *loop, int timer, void *arg);

static void look_later(struct terminal *t)
{
    if (t->stall_timer < 0 && t->state != TERMINAL_OVER && is_blocked(t))
        t->stall_timer = loop_timer(t->hub->loop, LOOK_MS, on_stalled, t);
}

/* One alone may be as slow as it likes: its program waits, as at any slow terminal. */
static int on_stalled(struct loop *loop, int timer, void *arg)
{
    struct terminal *t = arg;
    int64_t now = hub_mono_us();
    size_t n = is_blocked(t) ? count_readers(t) : 0;
    t->stall_timer = -1;
    for (struct terminal_client *c = zlistx_first(t->clients); c; c = zlistx_next(t->clients)) {
        if (c->is_dropped || c->at == t->end || n < 2 ||
            now - c->moved_us < TERMINAL_STALL_MS * 1000LL)
            continue;
        log_info("terminal id=%s: a client that takes nothing is dropped", t->id.text);
        c->is_dropped = true;
        n--;
    }
    terminal_tell(t);
    terminal_grant(t);
    look_later(t);
    return 0;
}

static void say_credit(struct terminal *t, bool is_first)
{
    char json[100], from[40] = "";
    if (is_first)
        (void)snprintf(from, sizeof from, "\"from\":%llu,", (unsigned long long)t->end);
    (void)snprintf(json, sizeof json, "{%s\"upto\":%llu}", from, (unsigned long long)t->upto);
    terminal_send(t, LINK_CREDIT, slice_str(json));
}

void terminal_grant(struct terminal *t)
{
    uint64_t upto = slowest(t) + WINDOW;
    if (t->state == TERMINAL_OVER || t->sandbox->state != SANDBOX_UP ||
        upto < t->upto + GRANT_BYTES)
        return;
    t->upto = upto;
    say_credit(t, false);
}

void terminal_restart_output(struct terminal *t, uint64_t from)
{
    if (from > t->end) { /* of a hub before us, or lost on the way */
        t->start = t->end = from;
        for (struct terminal_client *c = zlistx_first(t->clients); c; c = zlistx_next(t->clients))
            c->at = from;
    }
    t->upto = slowest(t) + WINDOW;
    if (t->upto < t->end)
        t->upto = t->end;
    say_credit(t, true);
}

/* ---- output ---- */

void terminal_add_output(struct terminal *t, struct slice bytes)
{
    int64_t now = hub_mono_us();
    for (struct terminal_client *c = zlistx_first(t->clients); c; c = zlistx_next(t->clients))
        if (c->at == t->end)
            c->moved_us = now;
    while (bytes.len) {
        size_t at = (size_t)(t->end % RING), n = RING - at < bytes.len ? RING - at : bytes.len;
        memcpy(t->ring + at, bytes.data, n);
        bytes = slice_of(bytes.data + n, bytes.len - n);
        t->end += n;
    }
    if (t->end - t->start > RING)
        t->start = t->end - RING;
    terminal_tell(t);
    terminal_grant(t);
    look_later(t);
}

size_t terminal_read(struct terminal_client *c, char *out, size_t size)
{
    const struct terminal *t = c->terminal;
    size_t n = c->is_dropped ? 0 : (size_t)(t->end - c->at), at = (size_t)(c->at % RING);
    if (n > size)
        n = size;
    size_t first = RING - at < n ? RING - at : n;
    memcpy(out, t->ring + at, first);
    memcpy(out + first, t->ring, n - first);
    return n;
}

void terminal_take(struct terminal_client *c, size_t n)
{
    struct terminal *t = c->terminal;
    assert(n <= t->end - c->at);
    c->at += n;
    c->moved_us = hub_mono_us();
    terminal_grant(t);
    look_later(t);
}

/* ---- input ---- */

size_t terminal_input(struct terminal_client *c, struct slice bytes)
{
    struct terminal *t = c->terminal;
    size_t done = 0;
    if (t->state == TERMINAL_OVER || c->is_dropped)
        return bytes.len; /* nobody reads it */
    if (t->state == TERMINAL_WAITING || t->sandbox->state != SANDBOX_UP)
        return 0;
    while (done < bytes.len && t->input - t->taken < WINDOW) {
        size_t n = bytes.len - done, room = (size_t)(WINDOW - (t->input - t->taken));
        n = n < room ? n : room;
        n = n < FRAME_BYTES ? n : FRAME_BYTES;
        terminal_send(t, LINK_INPUT, slice_of(bytes.data + done, n));
        t->input += n;
        done += n;
    }
    if (done)
        t->active_us = hub_unix_us();
    return done;
}

static unsigned smaller(unsigned a, unsigned b)
{
    return !a || (b && b < a) ? b : a;
}

void terminal_fit(struct terminal *t)
{
    char json[64];
    unsigned rows = 0, cols = 0;
    for (struct terminal_client *c = zlistx_first(t->clients); c; c = zlistx_next(t->clients)) {
        rows = smaller(rows, c->rows);
        cols = smaller(cols, c->cols);
    }
    if (!rows || !cols || (rows == t->rows && cols == t->cols))
        return;
    t->rows = rows;
    t->cols = cols;
    (void)snprintf(json, sizeof json, "{\"rows\":%u,\"cols\":%u}", rows, cols);
    if (t->state == TERMINAL_STARTING || t->state == TERMINAL_RUNNING)
        terminal_send(t, LINK_RESIZE, slice_str(json));
}

void terminal_resize(struct terminal_client *c, unsigned rows, unsigned cols)
{
    c->rows = rows;
    c->cols = cols;
    terminal_fit(c->terminal);
}

/* ---- coming and going ---- */

struct terminal_client *terminal_attach(struct terminal *t, terminal_changed_fn *changed, void *arg)
{
    struct terminal_client *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    *c = (struct terminal_client){ .terminal = t, .changed = changed, .arg = arg };
    c->at = t->end - t->start > TERMINAL_RECALL_BYTES ? t->end - TERMINAL_RECALL_BYTES : t->start;
    /* not in the middle of a character */
    while (c->at > 0 && c->at < t->end && (t->ring[c->at % RING] & 0xc0) == 0x80)
        c->at++;
    c->moved_us = hub_mono_us();
    c->place = zlistx_add_end(t->clients, c);
    if (t->sandbox)
        sandbox_attach(t->sandbox);
    look_later(t);
    return c;
}

void terminal_detach(struct terminal_client *c)
{
    struct terminal *t = c->terminal;
    (void)zlistx_delete(t->clients, c->place); /* it is in there */
    free(c);
    if (t->state == TERMINAL_OVER) {
        terminal_release(t);
        return;
    }
    sandbox_detach(t->sandbox);
    terminal_fit(t);
    terminal_grant(t);
    if (!t->name[0])
        terminal_stop(
            t); /* if this is not heard: one without a name is ended after the next hello */
}

struct terminal_view terminal_look(const struct terminal_client *c)
{
    const struct terminal *t = c->terminal;
    struct terminal_view v = { .is_dropped = c->is_dropped,
                               .is_over = t->state == TERMINAL_OVER,
                               .failed = t->end_code != ERR_NONE };
    memcpy(v.text, t->end_text, sizeof v.text);
    return v;
}
