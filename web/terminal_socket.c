/* Between a terminal and a WebSocket, each at its own speed:
 *
 *     terminal ── terminal_read, as far as there is room ──► websocket
 *     websocket ──► typed ── terminal_input, as far as that goes ──► terminal
 *
 * `typed` is what one message brought: while something of it waits, the socket is not read. */
#include "web/terminal_socket.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/sandbox_verbs.h"
#include "kernelhub/terminal.h"
#include "protocol/terminal_ws.h"
#include "protocol/text_cut.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"
#include "web/websocket.h"

#define READ_BYTES   (32u << 10)
#define MORE_BYTES   (128u << 10)
#define REASON_BYTES 123 /* of a close frame */

struct terminal_socket {
    struct websocket *socket;
    struct request *request;
    bool is_raw;
    struct terminal_client *client; /* NULL: there is no terminal */
    struct err why;                 /* then */
    struct buf typed;
    size_t typed_at;
    uint64_t n_nonsense;
    bool said_end;
};

/* ---- down ---- */

static void give_input(struct terminal_socket *s)
{
    if (s->typed_at < s->typed.len && s->client)
        s->typed_at += terminal_input(
            s->client, slice_of(s->typed.data + s->typed_at, s->typed.len - s->typed_at));
    if (s->typed_at == s->typed.len) {
        buf_done(&s->typed);
        s->typed_at = 0;
    }
    websocket_hold(s->socket, s->typed.len > 0);
}

static void pass_over(struct terminal_socket *s, size_t n)
{
    if (s->n_nonsense++ == 0)
        log_info("terminal id=%s: a message of %zu bytes makes no sense, passed over",
                 s->request->id.text, n);
}

static void take(struct terminal_socket *s, const struct terminal_ws_message *m, size_t n)
{
    if (!s->client)
        return;
    switch (m->kind) {
    case TERMINAL_WS_NONSENSE:
        pass_over(s, n);
        return;
    case TERMINAL_WS_STDIN:
        json_unescape(&s->typed, m->text);
        give_input(s);
        return;
    case TERMINAL_WS_SIZE:
        terminal_resize(s->client, m->rows, m->cols);
        return;
    }
}

static void on_text(void *arg, struct slice text)
{
    struct terminal_socket *s = arg;
    struct terminal_ws_message m = s->is_raw ? terminal_ws_read_size(text) : terminal_ws_read(text);
    take(s, &m, text.len);
}

static void on_binary(void *arg, struct slice bytes)
{
    struct terminal_socket *s = arg;
    buf_add_slice(&s->typed, bytes);
    give_input(s);
}

/* ---- up ---- */

static size_t say_text(struct terminal_socket *s, struct slice bytes, bool is_last)
{
    CLEANUP_BUF struct buf out = BUF_INIT(6 * bytes.len + 64);
    size_t n = terminal_ws_write_output(&out, bytes, is_last);
    if (n)
        websocket_text(s->socket, buf_slice(&out));
    return n;
}

static void give_copy(struct terminal_socket *s, const char *bytes, size_t n)
{
    char *copy = malloc(n);
    assert(copy);
    memcpy(copy, bytes, n);
    websocket_give(s->socket, true, copy, n);
}

/* False: nothing more for now. */
static bool give_output(struct terminal_socket *s, bool is_over)
{
    char bytes[READ_BYTES];
    size_t n = terminal_read(s->client, bytes, sizeof bytes);
    if (n && s->is_raw)
        give_copy(s, bytes, n);
    else if (n)
        n = say_text(s, slice_of(bytes, n), is_over && n < sizeof bytes);
    terminal_take(s->client, n);
    return n > 0;
}

static void close_socket(struct terminal_socket *s, enum ws_close code, const char *why)
{
    char reason[REASON_BYTES + 1];
    (void)snprintf(reason, sizeof reason, "%s", why); /* cut is fine, but at a character */
    reason[strlen(reason) - text_cut_incomplete(slice_str(reason))] = '\0';
    websocket_close(s->socket, code, reason);
}

/* Everything was read; once it is sent, the end is said. */
static void end(struct terminal_socket *s, const struct terminal_view *v)
{
    if (!s->is_raw && !v->is_dropped && !s->said_end) {
        s->said_end = true;
        websocket_text(s->socket, SLICE_LITERAL("[\"disconnect\",1]"));
        return;
    }
    if (!websocket_has_sent_all(s->socket))
        return;
    if (v->is_dropped)
        close_socket(s, WS_CLOSE_RESTART, "too slow: connect again");
    else
        close_socket(s, v->failed ? WS_CLOSE_INTERNAL : WS_CLOSE_NORMAL, v->text);
}

static void on_room(void *arg)
{
    struct terminal_socket *s = arg;
    if (!s->client) {
        close_socket(s, WS_CLOSE_INTERNAL, s->why.text);
        return;
    }
    struct terminal_view v = terminal_look(s->client);
    give_input(s);
    while (websocket_has_room(s->socket) && give_output(s, v.is_over))
        ;
    if ((v.is_over || v.is_dropped) && websocket_has_room(s->socket))
        end(s, &v);
}

static void on_changed(void *arg)
{
    struct terminal_socket *s = arg;
    websocket_wake(s->socket);
}

/* ---- life ---- */

static struct terminal_socket *begin(struct websocket *w, struct request *r, bool is_raw)
{
    struct terminal_socket *s = calloc(1, sizeof *s);
    assert(s);
    *s = (struct terminal_socket){ .socket = w, .request = r, .is_raw = is_raw, .why = ERR_INIT };
    /* a message, and what came with its end in one read: behind that the socket is held */
    buf_init(&s->typed,
             (size_t)config_number(r->site->config, CONFIG_SERVER_MAX_BODY) + MORE_BYTES);
    return s;
}

static void *begin_named(struct websocket *w, struct request *r)
{
    struct terminal_socket *s = begin(w, r, false);
    struct terminal *t;
    if (terminal_find(r->site->hub, r->user, request_part(r, 0), &t, &s->why) < 0)
        return s;
    s->client = terminal_attach(t, on_changed, s);
    websocket_text(w, SLICE_LITERAL("[\"setup\",{}]"));
    return s;
}

/* The query was checked before the 101. */
static bool read_size(const struct request *r, int64_t *rows, int64_t *cols, struct err *e)
{
    return query_number(&r->query, "rows", 1, TERMINAL_WS_MAX_SIDE, TERMINAL_ROWS, rows, e) == 0 &&
           query_number(&r->query, "cols", 1, TERMINAL_WS_MAX_SIDE, TERMINAL_COLS, cols, e) == 0;
}

static void *begin_own(struct websocket *w, struct request *r)
{
    struct terminal_socket *s = begin(w, r, true);
    struct terminal *t;
    int64_t rows, cols;
    if (!read_size(r, &rows, &cols, &s->why))
        return s;
    const struct terminal_wish wish = { .sandbox = request_part(r, 0),
                                        .is_private = true,
                                        .rows = (unsigned)rows,
                                        .cols = (unsigned)cols };
    if (terminal_open(r->site->hub, r->user, &wish, &t, &s->why) == 0)
        s->client = terminal_attach(t, on_changed, s);
    return s;
}

static void on_end(void *arg, bool client_left)
{
    struct terminal_socket *s = arg;
    if (s->client)
        terminal_detach(s->client);
    buf_done(&s->typed);
    free(s);
}

void jupyter_api_terminal_socket(struct request *r)
{
    static const struct websocket_use USE = {
        .begin = begin_named, .on_text = on_text, .on_room = on_room, .on_end = on_end
    };
    struct err e = ERR_INIT;
    struct terminal *t;
    if (terminal_find(r->site->hub, r->user, request_part(r, 0), &t, &e) < 0)
        reply_error(r, &e);
    else
        websocket_accept(r, &USE);
}

void rest_terminal(struct request *r)
{
    static const struct websocket_use USE = { .begin = begin_own,
                                              .on_text = on_text,
                                              .on_binary = on_binary,
                                              .on_room = on_room,
                                              .on_end = on_end };
    struct err e = ERR_INIT;
    struct sandbox *sandbox;
    int64_t rows, cols;
    const char *name = request_part(r, 0);
    bool is_default = strcmp(name, SANDBOX_DEFAULT) == 0; /* it is made when there is none */
    if (!read_size(r, &rows, &cols, &e) ||
        (!is_default && sandbox_find(r->site->hub, r->user, name, &sandbox, &e) < 0))
        reply_error(r, &e);
    else
        websocket_accept(r, &USE);
}
