/* mcp_run.h - an execution that an MCP client asked for, or looks at, until the call is answered with its record.
 *
 * It is an execution as any other: JupyterLab shows it, REST has its history, its events are numbered. */
#ifndef WEB_MCP_RUN_H
#define WEB_MCP_RUN_H

#include "kernelhub/execution.h"
#include "web/mcp_call.h"
#include "web/mcp_view.h"

/* Submits it and answers the call with its end; `in_background`: with its beginning. A client that cancels interrupts it. */
void mcp_run_start(struct mcp_call *c, const struct execution_request *wanted,
                   const struct mcp_view_options *options, bool in_background);

/* Answers with the record as it stands, or its end when that comes within wait_ms. */
void mcp_run_look(struct mcp_call *c, const struct uuid *id, const struct mcp_view_options *options,
                  int64_t wait_ms);

#endif
