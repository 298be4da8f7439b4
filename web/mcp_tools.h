/* mcp_tools.h - the tools of the product: mcp_tools.c has the table in the order in which clients see them, with what models read of them;
 * mcp_tool_*.c what they do. */
#ifndef WEB_MCP_TOOLS_H
#define WEB_MCP_TOOLS_H

#include "web/mcp_part.h"

#define MCP_N_TOOLS 10
extern const struct mcp_tool MCP_TOOLS[MCP_N_TOOLS];

typedef void mcp_tool_fn(struct mcp_call *c, struct slice arguments);

mcp_tool_fn mcp_list_sandboxes, mcp_destroy_sandbox;           /* mcp_tool_sandboxes.c */
mcp_tool_fn mcp_create_sandbox;                                /* mcp_tool_create.c */
mcp_tool_fn mcp_execute_code, mcp_run_code, mcp_get_execution; /* mcp_tool_run.c */
mcp_tool_fn mcp_interrupt_execution;                           /* mcp_tool_interrupt.c */
mcp_tool_fn mcp_list_files, mcp_upload_file;                   /* mcp_tool_files.c */
mcp_tool_fn mcp_download_file;                                 /* mcp_tool_download.c */

#define MCP_MAX_NAME 255 /* of what names something */

/* A sandbox's record (sandbox_verbs.h) as a line, and as members of an object without its braces. */
void mcp_sandbox_write_line(struct slice sandbox, struct buf *text);
void mcp_sandbox_write_members(struct slice sandbox, struct buf *out);

/* Of every tool: the caller's budget for the text. 0, when it is not given. ERR_INVALID. */
#define MCP_FIELD_CHARS(struct_type, member)                                                       \
    {                                                                                              \
        "max_output_chars", FIELD_INTEGER, offsetof(struct_type, member), false,                   \
            MCP_VIEW_MAX_CHARS, FIELD_NO_CONFIG, NULL                                              \
    }
int mcp_check_chars(int64_t max_chars, struct err *e);

#endif
