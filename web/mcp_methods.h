/* mcp_methods.h - the one table of what MCP clients may ask for, and who answers. */
#ifndef WEB_MCP_METHODS_H
#define WEB_MCP_METHODS_H

#include "web/mcp_peer.h"

enum mcp_method_flag {
    MCP_METHOD_LEGACY = 1,
    MCP_METHOD_MODERN = 2,
    MCP_METHOD_BOTH = 3,
    MCP_METHOD_WORKS = 4, /* may take its time: a user has MCP_MAX_CALLS of them */
    MCP_METHOD_QUIET = 8, /* stays as long as the client likes: no heartbeat */
};

struct mcp_method {
    const char *name;
    unsigned flags;
    enum mcp_keep keep;
    void (*handle)(struct mcp_call *c);
};

const struct mcp_method *mcp_method_find(const char *name, bool is_modern); /* NULL: none */

/* mcp_lists.c: what is in the tables of the parts. */
void mcp_list_tools(struct mcp_call *c);
void mcp_list_prompts(struct mcp_call *c);
void mcp_list_templates(struct mcp_call *c);
void mcp_list_resources(struct mcp_call *c);
const struct mcp_tool *mcp_find_tool(const struct mcp *m, const char *name);     /* NULL: none */
const struct mcp_prompt *mcp_find_prompt(const struct mcp *m, const char *name); /* NULL: none */

/* mcp_listen.c: subscriptions. */
void mcp_subscribe(struct mcp_call *c);
void mcp_unsubscribe(struct mcp_call *c);
void mcp_listen(struct mcp_call *c);
void mcp_subscription_free(struct mcp_subscription *s); /* NULL is fine */

#endif
