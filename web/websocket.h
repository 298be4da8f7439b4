/* websocket.h - WebSockets after their handshake: messages both ways, each at its client's own speed. All of a server's
 * share one epoll descriptor in the hub's loop.
 *
 *     websocket_accept ──► 101 ──► use.begin ──► use.on_text, use.on_room … ──► use.on_end */
#ifndef WEB_WEBSOCKET_H
#define WEB_WEBSOCKET_H

#include "web/site.h"
#include "web/ws_wire.h"

struct request;
struct websocket;
struct websockets;

/* What a route does with its sockets. `arg` is what begin returned. */
struct websocket_use {
    void *(*begin)(struct websocket *w, struct request *r); /* the request stays until after on_end */
    void (*on_text)(void *arg, struct slice text);
    void (*on_binary)(void *arg, struct slice bytes); /* NULL: such a message closes the socket */
    bool any_kind; /* text comes by on_binary, too, and unchecked */
    void (*on_room)(void *arg); /* there is room: now is the time to say what waits */
    /* Nothing can be sent any more; frees arg. client_left: it was the client's doing, or its network's, not ours. */
    void (*on_end)(void *arg, bool client_left);
};

/* Decides the request's reply: 101, or the error. The gate has let it in. */
void websocket_accept(struct request *r, const struct websocket_use *use);
/* The same with a subprotocol that the client has offered; NULL: none. It lives as long as the program. */
void websocket_accept_as(struct request *r, const struct websocket_use *use, const char *protocol);

void websocket_text(struct websocket *w, struct slice text); /* copied; send no more than there is room for */
/* The same without a copy: it frees data, which came from malloc. */
void websocket_give(struct websocket *w, bool is_binary, char *data, size_t len);
/* Gives the socket now what it takes, for what is done next takes long. Calls nothing back: that the client is gone is found in the loop's
 * next turn. */
void websocket_push(struct websocket *w);
bool websocket_has_room(const struct websocket *w);
bool websocket_has_sent_all(const struct websocket *w);
/* What comes waits in the client, until it is let go again. What was read already still comes. */
void websocket_hold(struct websocket *w, bool on);
void websocket_wake(struct websocket *w); /* on_room comes in the loop's next turn, if there is room */
/* An orderly end, now, before what has not been sent: on_end comes from inside the call, so call it last. */
void websocket_close(struct websocket *w, enum ws_close code, const char *reason);

struct websockets *websockets_new(struct site *site, struct loop *loop, struct err *e);
void websockets_drain(struct websockets *all); /* closes each with 1012: the service restarts */
void websockets_cut(struct websockets *all);   /* whatever is left, before libmicrohttpd stops */
void websockets_free(struct websockets *all);  /* NULL is fine; after libmicrohttpd has stopped */
void websockets_write_metrics(const struct websockets *all, struct buf *out);

#endif
