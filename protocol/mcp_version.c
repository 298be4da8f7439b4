#include "protocol/mcp_version.h"

static const struct {
    const char *name;
    bool is_modern, has_batches, has_priming, has_structured;
} VERSIONS[MCP_N_VERSIONS] = {
    [MCP_2024_11_05] = { "2024-11-05", false, false, false, false },
    [MCP_2025_03_26] = { "2025-03-26", false, true, false, false },
    [MCP_2025_06_18] = { "2025-06-18", false, false, false, true },
    [MCP_2025_11_25] = { "2025-11-25", false, false, true, true },
    [MCP_2026_07_28] = { "2026-07-28", true, false, false, true },
};

const char *mcp_version_name(enum mcp_version v)
{
    return VERSIONS[v].name;
}

bool mcp_version_parse(struct slice name, enum mcp_version *ret)
{
    for (int v = 0; v < MCP_N_VERSIONS; v++) {
        if (slice_is(name, VERSIONS[v].name)) {
            *ret = (enum mcp_version)v;
            return true;
        }
    }
    return false;
}

bool mcp_version_is_modern(enum mcp_version v)
{
    return VERSIONS[v].is_modern;
}

bool mcp_version_has_batches(enum mcp_version v)
{
    return VERSIONS[v].has_batches;
}

bool mcp_version_has_priming(enum mcp_version v)
{
    return VERSIONS[v].has_priming;
}

bool mcp_version_has_structured(enum mcp_version v)
{
    return VERSIONS[v].has_structured;
}
