/* mcp_stream.h - server-sent events on their way to one MCP client, at its own speed. */
#ifndef WEB_MCP_STREAM_H
#define WEB_MCP_STREAM_H

#include "base/buf.h"

struct request;
struct mcp_stream;

#define MCP_STREAM_PING_MS 15000

/* Decides the request's reply: 200 and events from now on. */
struct mcp_stream *mcp_stream_new(struct request *r);
void mcp_stream_free(struct mcp_stream *s); /* NULL is fine; the request's reply is over */

/* Appends an event, "message", without an id. The message is on one line there. */
void mcp_stream_write(struct buf *out, struct slice message);
/* The same with the event's id. */
void mcp_stream_write_as(struct buf *out, const char *id, struct slice message);

/* One whole event; takes what is in it. */
void mcp_stream_add(struct mcp_stream *s, struct buf *event);
void mcp_stream_end(struct mcp_stream *s); /* behind what was added */

size_t mcp_stream_waiting(const struct mcp_stream *s);      /* bytes */
void mcp_stream_tick(struct mcp_stream *s, int64_t now_ms); /* a comment after 15 s of silence */

#endif
