#include "web/mcp_part.h"
#include "web/mcp_prompts.h"
#include "web/mcp_resources.h"
#include "web/mcp_tools.h"

const char MCP_INSTRUCTIONS[] =
    "Persistent code execution in isolated Linux containers. Call execute_code: it uses your "
    "default sandbox and keeps variables, imports and "
    "files between calls; pass sandbox_id, language or session to use another kernel. Files live "
    "in /workspace (list_files, upload_file, "
    "download_file) and outlive sandboxes. Plots come back as images by themselves. Text is cut to "
    "max_output_chars; the line in the middle "
    "says how to read the rest with get_execution (offset, head, tail, grep). For work above 50 s "
    "use background=true, then get_execution with "
    "wait_seconds; interrupt_execution stops what runs. Sandboxes end after 30 minutes without "
    "use: variables are lost, files are kept. There "
    "is no network inside. People in JupyterLab may share the same kernels. More: resource "
    "sandbox://help.";

_Static_assert(sizeof MCP_INSTRUCTIONS <= 1024, "at most 1 kB");

const struct mcp_part MCP_PRODUCT = {
    .tools = MCP_TOOLS,
    .n_tools = MCP_N_TOOLS,
    .prompts = MCP_PROMPTS,
    .n_prompts = MCP_N_PROMPTS,
    .resources = MCP_RESOURCES,
    .n_resources = MCP_N_RESOURCES,
    .templates = MCP_TEMPLATES,
    .n_templates = MCP_N_TEMPLATES,
    .list = mcp_resources_list,
    .read = mcp_resources_read,
    .complete = mcp_resources_complete,
};
