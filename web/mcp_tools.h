/* mcp_tools.h - the tools of the product, in the order in which clients see them. */
#ifndef WEB_MCP_TOOLS_H
#define WEB_MCP_TOOLS_H

#include "web/mcp_part.h"

#define MCP_N_TOOLS 1
extern const struct mcp_tool MCP_TOOLS[MCP_N_TOOLS];

#endif
