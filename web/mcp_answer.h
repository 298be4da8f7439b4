/* mcp_answer.h - what a tool answers with: text within the caller's budget, blocks behind it, and structured content. */
#ifndef WEB_MCP_ANSWER_H
#define WEB_MCP_ANSWER_H

#include "base/buf.h"
#include "web/mcp_call.h"

#define MCP_ANSWER_MAX_BYTES (8u << 20) /* of each buffer */

struct mcp_answer {
    size_t max_chars; /* of the text */
    struct buf text;
    struct buf blocks;     /* JSON objects, each with a comma before it; empty: only the text */
    struct buf structured; /* a JSON object; empty: none */
    bool is_error;         /* for the model: then there is nothing structured */
};

void mcp_answer_init(struct mcp_answer *a, int64_t max_chars /* 0: the default */);
void mcp_answer_done(struct mcp_answer *a);
#define CLEANUP_MCP_ANSWER __attribute__((cleanup(mcp_answer_done)))

/* How many characters the text still takes. */
size_t mcp_answer_room(const struct mcp_answer *a);
/* Appends ",{resource_link}" when the client knows such. mime_type may be NULL; bytes -1: not known. */
void mcp_answer_link(struct mcp_answer *a, const struct mcp_call *c, struct slice uri,
                     const char *name, const char *mime_type, int64_t bytes);
/* Answers the call, which is gone then. Text above the budget is cut, and says so. */
void mcp_answer_send(struct mcp_answer *a, struct mcp_call *c);

/* A tool's failure, with what a model may do about it. */
void mcp_answer_error(struct mcp_call *c, const struct err *e);
/* The same where an execution was named. */
void mcp_answer_execution_error(struct mcp_call *c, const struct err *e);

#endif
