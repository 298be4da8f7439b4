/* mcp_fixtures_ask.h - those of the fixtures that ask the client: legacy ones by a request, modern ones by a result that wants input. */
#ifndef WEB_MCP_FIXTURES_ASK_H
#define WEB_MCP_FIXTURES_ASK_H

#include "web/mcp_call.h"

void mcp_fixtures_answer(struct mcp_call *c, const char *json);
void mcp_fixtures_answer_text(struct mcp_call *c, struct slice text);

/* legacy */
void mcp_fixtures_sampling(struct mcp_call *c, struct slice arguments);
void mcp_fixtures_elicitation(struct mcp_call *c, struct slice arguments);
void mcp_fixtures_defaults(struct mcp_call *c, struct slice arguments);
void mcp_fixtures_enums(struct mcp_call *c, struct slice arguments);

/* modern */
void mcp_fixtures_streaming(struct mcp_call *c, struct slice arguments);
void mcp_fixtures_name(struct mcp_call *c, struct slice arguments);
void mcp_fixtures_capital(struct mcp_call *c, struct slice arguments);
void mcp_fixtures_roots(struct mcp_call *c, struct slice arguments);
void mcp_fixtures_state(struct mcp_call *c, struct slice arguments);
void mcp_fixtures_several(struct mcp_call *c, struct slice arguments);
void mcp_fixtures_rounds(struct mcp_call *c, struct slice arguments);
void mcp_fixtures_capabilities(struct mcp_call *c, struct slice arguments);
void mcp_fixtures_prompt(struct mcp_call *c, struct slice arguments);

#endif
