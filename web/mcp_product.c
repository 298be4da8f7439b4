#include "base/cleanup.h"
#include "web/mcp_part.h"
#include "web/mcp_tools.h"

const char MCP_INSTRUCTIONS[] =
    "Persistent code execution in isolated Linux containers. A sandbox keeps variables, imports "
    "and files between calls. "
    "Files live in /workspace. There is no network. list_sandboxes shows what is there.";

const struct mcp_part MCP_PRODUCT = {
    .tools = MCP_TOOLS,
    .n_tools = MCP_N_TOOLS,
};
