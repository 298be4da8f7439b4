/* mcp_version.h - the revisions of the Model Context Protocol that we speak, and what differs between them.
 *
 * Legacy: `initialize`, then a session. Modern (2026-07-28): each request says all, nothing is kept between two. */
#ifndef PROTOCOL_MCP_VERSION_H
#define PROTOCOL_MCP_VERSION_H

#include "base/slice.h"

enum mcp_version {
    MCP_2024_11_05,
    MCP_2025_03_26,
    MCP_2025_06_18,
    MCP_2025_11_25,
    MCP_2026_07_28,
    MCP_N_VERSIONS
};

#define MCP_LATEST_LEGACY MCP_2025_11_25
#define MCP_UNSAID        MCP_2025_03_26 /* a legacy client's that says no version */

const char *mcp_version_name(enum mcp_version v); /* "2025-11-25" */
bool mcp_version_parse(struct slice name, enum mcp_version *ret);

bool mcp_version_is_modern(enum mcp_version v);
bool mcp_version_has_batches(enum mcp_version v); /* several messages in one array */
bool mcp_version_has_priming(
    enum mcp_version v); /* a stream may begin with an event without data */
bool mcp_version_has_structured(
    enum mcp_version v); /* structuredContent, outputSchema, titles and resource links */

#endif
