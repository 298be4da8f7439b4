/* mcp_http.h - MCP over HTTP: /mcp, /sse with /messages, and what says who gives out keys for it. */
#ifndef WEB_MCP_HTTP_H
#define WEB_MCP_HTTP_H

#include "web/mcp.h"
#include "web/request.h"

void mcp_http_post(struct request *r); /* both eras */
void mcp_http_get(
    struct request
        *r); /* legacy: the stream beside the posts, or one to come again to; a WebSocket */
void mcp_http_delete(struct request *r); /* legacy: the session's end */

/* ?structured=0: results shall be text and images alone. */
bool mcp_http_is_plain(const struct request *r);

/* mcp_sse.c: the transport of 2024-11-05. */
void mcp_sse_get(struct request *r);
void mcp_sse_post(struct request *r);
void mcp_sse_drain(struct mcp *m);

/* mcp_socket.c: one message a frame. */
void mcp_socket(struct request *r);

/* mcp_metadata.c: OAuth's protected-resource metadata (RFC 9728); 404 unless mcp/authorization_servers is set. */
void mcp_metadata(struct request *r);
/* What WWW-Authenticate says on MCP's paths; false: nothing of its own. */
bool mcp_metadata_challenge(const struct request *r, struct buf *out);

#endif
