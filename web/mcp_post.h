/* mcp_post.h - the answers to one POST of an MCP client: one JSON object, or events as soon as there is more to say or it takes long.
 *
 *     mcp_peer_take ──► say ──► the first is the only answer: JSON ─────────────────► reply
 *                        └────► a notification before it, or a while has passed ──► events … the answer, the end
 *
 * A modern client cancels by leaving. A legacy one does not: its post goes on without it, and it may come again (mcp_session.h). */
#ifndef WEB_MCP_POST_H
#define WEB_MCP_POST_H

#include "web/mcp_session.h"

struct mcp_post;

/* A modern request that has been checked. */
void mcp_post_modern(struct request *r, const struct mcp_message *m);
/* Requests of a session, one message or all of a batch; `n_requests` of them want an answer, at least one. ret_code of a
 * single one that was answered at once: its error's code, or 0. */
void mcp_post_legacy(struct request *r, struct mcp_session *s, const struct mcp_message *messages,
                     size_t n, size_t n_requests, int *ret_code);

/* The client of a post that went on without it comes again: 409 when it never left, 400 when there was no such line. */
void mcp_post_resume(struct request *r, struct mcp_session *s, unsigned line, uint64_t after);

/* Its session ends. */
void mcp_post_leave(struct mcp_post *p);

/* A JSON-RPC error as the request's reply. */
void mcp_post_refuse(struct request *r, unsigned status, struct slice id, int code,
                     const char *text);

#endif
