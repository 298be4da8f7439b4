/* mcp_prompts.h - what a user may choose in a client's menu: a task, put into words that name our tools. */
#ifndef WEB_MCP_PROMPTS_H
#define WEB_MCP_PROMPTS_H

#include "web/mcp_part.h"

#define MCP_N_PROMPTS 2
extern const struct mcp_prompt MCP_PROMPTS[MCP_N_PROMPTS];

#endif
