/* mcp_session.h - a legacy client over HTTP between its requests: bound to its user, with what it may have missed.
 *
 * Everything it is sent as an event has an id, "LINE-NUMBER". Line 0 is the one stream that belongs to no request; each POST has one
 * of its own. What was sent is kept for a while: a client that lost its connection comes again with the last id. */
#ifndef WEB_MCP_SESSION_H
#define WEB_MCP_SESSION_H

#include "web/mcp_peer.h"
#include "web/mcp_stream.h"

struct mcp_post;
struct request;

#define MCP_SESSION_ID_CHARS 72

struct mcp_session {
    char id[MCP_SESSION_ID_CHARS + 1];
    struct mcp *mcp;
    struct mcp_peer *peer;
    zlistx_t *posts;  /* struct mcp_post: under way, with a client or without */
    unsigned n_lines; /* of the posts: 1 … */
    zlistx_t *kept;   /* struct kept of mcp_session.c: events that were sent, the oldest first */
    size_t kept_bytes;
    struct mcp_channel aside; /* line 0 */
    struct request *aside_request;
    struct mcp_stream *aside_stream;
    uint64_t aside_number;
    bool was_aside; /* somebody listened there once, and may come again */
    int64_t used_ms;
};

/* Made for an `initialize`; the oldest idle one of this user makes room when there are too many. ERR_QUOTA: all are in use. */
int mcp_session_new(struct mcp *m, struct user *user, struct mcp_session **ret, struct err *e)
    __attribute__((warn_unused_result));
/* NULL: there is none, or it is somebody else's. */
struct mcp_session *mcp_session_find(struct mcp *m, const struct user *user, const char *id);
/* Cancels its calls, ends its streams. */
void mcp_session_end(struct mcp_session *s);

/* Keeps an event for who comes again. */
void mcp_session_keep(struct mcp_session *s, unsigned line, uint64_t number, struct slice event);
/* Sends what is kept of that line behind that number. */
void mcp_session_replay(struct mcp_session *s, unsigned line, uint64_t after,
                        struct mcp_stream *to);

/* The one stream beside the posts; `after`: what of it comes again (from 0: nothing). There must be none now. */
void mcp_session_listen(struct mcp_session *s, struct request *r, bool again, uint64_t after);

/* "LINE-NUMBER". */
bool mcp_session_parse_event(const char *text, unsigned *ret_line, uint64_t *ret_number);
/* One event as text; the message is on one line afterwards. */
void mcp_session_write_event(struct buf *out, unsigned line, uint64_t number, struct slice message);
/* An event without data, by which a client learns where to come again. */
void mcp_session_write_priming(struct buf *out, unsigned line, uint64_t number);

void mcp_sessions_drain(struct mcp *m);
void mcp_sessions_free(struct mcp *m);

#endif
