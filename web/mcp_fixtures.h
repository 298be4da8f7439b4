/* mcp_fixtures.h - tools, resources and prompts that the official conformance suite calls by their names. Only with mcp/fixtures, and only on
 * loopback: they say nothing true of this service. */
#ifndef WEB_MCP_FIXTURES_H
#define WEB_MCP_FIXTURES_H

#include "web/mcp_part.h"

extern const struct mcp_part MCP_FIXTURES;

#endif
