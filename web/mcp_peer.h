/* mcp_peer.h - an MCP client as somebody to talk to, over whatever: takes its messages, knows what it said of itself, and has its calls.
 *
 *     a POST, a WebSocket … ──► mcp_peer_take ──► a call ──► channel->use->say ──► the same POST, WebSocket …
 *
 * Modern over HTTP there is one for each request; else one for a session, a socket, an event stream. */
#ifndef WEB_MCP_PEER_H
#define WEB_MCP_PEER_H

#include "web/mcp.h"

struct mcp_channel;
struct mcp_peer;
struct mcp_subscription;

enum mcp_said {
    MCP_SAID_NOTICE, /* may be left out when the client does not keep up */
    MCP_SAID_ASK,    /* a request of ours, or what must not be left out */
    MCP_SAID_ANSWER, /* of one of its requests, or (code MCP_SAID_NOTHING, without a message) the end of one that is not answered */
};

#define MCP_SAID_NOTHING 1

/* Where messages to a client go. Embedded in what it is. */
struct mcp_channel_use {
    /* Takes what is in `message`. code: the error's, of an answer; 0: a result. */
    void (*say)(struct mcp_channel *ch, struct buf *message, enum mcp_said said, int code);
    /* Before a call's answer: the client shall come again for it (tests of that). NULL: cannot be. */
    void (*hang_up)(struct mcp_channel *ch);
};

struct mcp_channel {
    const struct mcp_channel_use *use;
};

enum mcp_era { MCP_ERA_OPEN, MCP_ERA_LEGACY, MCP_ERA_MODERN };

struct mcp_peer {
    struct mcp *mcp;
    struct user *user;
    enum mcp_era era;          /* decided by the first request, or by HTTP */
    enum mcp_version version;  /* of the handshake; MCP_UNSAID before */
    bool is_http;              /* a modern client cancels by leaving, not by a message */
    bool is_plain;             /* it wants no structuredContent */
    struct buf capabilities;   /* of the handshake; empty: none */
    int log_level;             /* logging/setLevel; -1: never */
    struct mcp_channel *aside; /* for what belongs to no call; NULL: nobody listens there */
    struct mcp_subscription *subscription; /* to resources (legacy); NULL: none */
    zlistx_t *calls;                       /* struct mcp_task */
    zlistx_t *asks;                        /* struct mcp_ask: what we asked it */
    uint64_t n_asked;
    void *place;
};

struct mcp_peer *mcp_peer_new(struct mcp *m, struct user *user, enum mcp_era era, bool is_http);
/* Its calls are cancelled: what of them goes on says nothing any more. NULL is fine. */
void mcp_peer_free(struct mcp_peer *p);

/* One message; answers go to `channel`, some before this returns. */
void mcp_peer_take(struct mcp_peer *p, struct mcp_channel *channel, const struct mcp_message *m);
/* A whole frame or line of a socket or pipe: whatever is wrong with it is answered, too. */
void mcp_peer_take_text(struct mcp_peer *p, struct mcp_channel *channel, struct slice text);

/* A notification that belongs to no call, to `aside` when there is one. */
void mcp_peer_notify(struct mcp_peer *p, const char *method, struct slice params);

struct mcp_task;
/* Nobody waits any more for the answer to what was asked for that call. Returns who did; NULL: nobody. */
mcp_asked_fn *mcp_peer_forget_ask(struct mcp_peer *p, const struct mcp_task *t);

/* "debug" 0 … "emergency" 7; -1: none of them. */
int mcp_peer_log_level(struct slice name);

/* Says an error on a channel as the answer to `id` (may be empty). */
void mcp_channel_error(struct mcp_channel *ch, struct slice id, int code, const char *text);

#endif
