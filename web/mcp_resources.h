/* mcp_resources.h - what clients read as resources:
 *
 *     sandbox://SANDBOX/files/PATH             a file of the workspace, or a folder's list
 *     sandbox://SANDBOX/executions/ID/STREAM   what an execution wrote: mcp_output.h's names
 *     sandbox://help                           how to work here
 *
 * SANDBOX is an id or a name; a user's sandboxes share one workspace unless they were made with one of their own. PATH is percent-encoded. */
#ifndef WEB_MCP_RESOURCES_H
#define WEB_MCP_RESOURCES_H

#include "web/mcp_part.h"

#define MCP_N_RESOURCES 1
#define MCP_N_TEMPLATES 2
extern const struct mcp_resource MCP_RESOURCES[MCP_N_RESOURCES];
extern const struct mcp_template MCP_TEMPLATES[MCP_N_TEMPLATES];

void mcp_resources_list(struct mcp_call *c, const char *cursor);
bool mcp_resources_read(struct mcp_call *c, const char *uri);
bool mcp_resources_complete(struct mcp_call *c, const struct mcp_completion *wanted);

/* Tells those who have subscribed: hub_on_files_changed's, of whatever execution (arg: the site); and that a call has written a file. */
void mcp_resources_on_change(void *arg, const struct user *u, const struct uuid *sandbox_id, struct slice items);
/* sandbox: as the call named it. */
void mcp_resources_file_changed(struct mcp_call *c, const char *sandbox, const char *path, bool is_new);

#endif
