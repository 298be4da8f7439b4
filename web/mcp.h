/* mcp.h - what all MCP clients of one server share: what they are offered, and everything of theirs that is under way. */
#ifndef WEB_MCP_H
#define WEB_MCP_H

#include "base/uuid.h"
#include "protocol/mcp_message.h"
#include "web/mcp_part.h"
#include "web/site.h"

#define MCP_MAX_CALLS    8  /* of a user, under way */
#define MCP_MORE_CALLS   4  /* beside them, of tools that end what runs (MCP_TOOL_ENDS) */
#define MCP_MAX_SESSIONS 32 /* of a user; the one that was idle longest makes room */
#define MCP_MAX_STREAMS  32 /* of a user over /sse */
#define MCP_MAX_SUBSCRIPTIONS                                                                      \
    32 /* of a user: subscriptions/listen, and clients that subscribed to resources */

struct mcp {
    struct site *site;
    const struct mcp_part *parts[2];
    size_t n_parts;
    zlistx_t *calls;                /* struct mcp_task of mcp_call.c */
    zlistx_t *peers;                /* struct mcp_peer */
    zhashx_t *sessions;             /* struct mcp_session by its id */
    zhashx_t *streams;              /* struct mcp_sse by its id */
    zlistx_t *subscriptions;        /* struct mcp_subscription */
    struct metric_counter *counter; /* of calls */
    struct uuid secret; /* of this server: what clients carry for us is signed with it */
    int sweep_timer;    /* -1: there is no session */
    int update_timer;   /* -1: nothing waits to be told */
};

struct mcp *mcp_new(struct site *site);
/* The service stops: calls are answered with an error, what listens gets its end. */
void mcp_drain(struct mcp *m);
void mcp_write_metrics(const struct mcp *m, struct buf *out);
void mcp_free(struct mcp *m); /* NULL is fine; libmicrohttpd has stopped */

/* What a client is given to bring again: whether it is ours, and unchanged. Good until the service starts again. */
#define MCP_SIGNATURE_CHARS 40
void mcp_sign(const struct mcp *m, const char *text, char ret[MCP_SIGNATURE_CHARS + 1]);

extern const struct mcp_server MCP_SERVER;

#endif
