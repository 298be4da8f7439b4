/* mcp_output.h - what an execution wrote, read afterwards: any part of it by get_execution, all of it as a resource. */
#ifndef WEB_MCP_OUTPUT_H
#define WEB_MCP_OUTPUT_H

#include "kernelhub/execution.h"
#include "web/mcp_call.h"

#define MCP_RESOURCE_MAX_BYTES (5u << 20) /* of one that is read */

/* NULL and 0: not given. */
struct mcp_output_wish {
    const char *
        stream; /* "stdout", "stderr", "result", "error", or "output-3" (with ".png" and the like: another of its media types) */
    int64_t offset /* -1: not given */, limit, head, tail;
    const char *grep;
};

/* Answers get_execution. */
void mcp_output_answer(struct mcp_call *c, const struct uuid *id,
                       const struct mcp_output_wish *wish, size_t max_chars);

/* Answers resources/read of `uri`. */
void mcp_output_read(struct mcp_call *c, const struct uuid *id, const char *stream,
                     const char *uri);

#endif
