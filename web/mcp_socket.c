/* MCP over a WebSocket: one message a text frame, both ways. The first request decides which era it is; closing cancels all. */
#include <stdlib.h>

#include "web/mcp_http.h"
#include "web/mcp_peer.h"
#include "web/reply.h"
#include "web/websocket.h"
#include "web/ws_handshake.h"

#define SUBPROTOCOL "mcp"

struct mcp_socket {
    struct mcp_channel channel; /* first */
    struct websocket *socket;
    struct mcp_peer *peer;
};

static void say(struct mcp_channel *ch, struct buf *message, enum mcp_said said, int code)
{
    struct mcp_socket *s = (struct mcp_socket *)ch;
    if (!message || (said == MCP_SAID_NOTICE && !websocket_has_room(s->socket)))
        return;
    size_t len = message->len;
    char *data = buf_take(message);
    if (data)
        websocket_give(s->socket, false, data, len);
}

static void *begin(struct websocket *w, struct request *r)
{
    static const struct mcp_channel_use USE = { .say = say };
    struct mcp_socket *s = calloc(1, sizeof *s);
    assert(s);
    *s = (struct mcp_socket){ .channel = { &USE }, .socket = w };
    s->peer = mcp_peer_new(r->site->mcp, r->user, MCP_ERA_OPEN, false);
    s->peer->aside = &s->channel;
    s->peer->is_plain = mcp_http_is_plain(r);
    return s;
}

static void on_text(void *arg, struct slice text)
{
    struct mcp_socket *s = arg;
    mcp_peer_take_text(s->peer, &s->channel, text);
}

/* Answers do not wait for room: there are few at a time. */
static void on_room(void *arg)
{
}

static void on_end(void *arg, bool client_left)
{
    struct mcp_socket *s = arg;
    mcp_peer_free(s->peer);
    free(s);
}

void mcp_socket(struct request *r)
{
    static const struct websocket_use USE = {
        .begin = begin, .on_text = on_text, .on_room = on_room, .on_end = on_end
    };
    struct err e = ERR_INIT;
    const char *offered =
        MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, "Sec-WebSocket-Protocol");
    bool is_offered = ws_handshake_names(offered, SUBPROTOCOL);
    if (offered && !is_offered) {
        (void)err_set(&e, ERR_INVALID, "the subprotocol here is " SUBPROTOCOL);
        reply_error(r, &e);
        return;
    }
    websocket_accept_as(r, &USE, is_offered ? SUBPROTOCOL : NULL);
}
