/* mcp_part.h - one part of what MCP clients are offered: tools, resources, prompts. Adding one is adding a line to a part's table.
 *
 * What is JSON here is a constant of ours and written into replies as it is; tests/unit/test_mcp_part.c reads all of it. */
#ifndef WEB_MCP_PART_H
#define WEB_MCP_PART_H

#include "web/mcp_call.h"

enum mcp_tool_flag {
    MCP_TOOL_HIDDEN = 1, /* not in tools/list; it can be called */
    MCP_TOOL_STORED =
        2, /* its result promises a change: it is said when all that it wrote is committed (ROUTE_STORED) */
    MCP_TOOL_ENDS =
        4, /* it ends what others wait for: it is called, too, when no more calls may be */
};

struct mcp_tool {
    const char *name, *title, *description;
    const char *
        input_schema; /* a JSON object; x-mcp-header marks what modern clients repeat in the head */
    const char *output_schema; /* a JSON object; NULL: no structuredContent */
    const char *annotations;   /* a JSON object */
    const char *meta;          /* a JSON object; NULL: none */
    unsigned flags;
    /* `arguments` is a JSON object of unchecked members, "{}" when none were given (read it with fields_read; what is wrong is
     * mcp_call_tool_error). Answers with {"content":[…],"structuredContent"?,"isError"?}. */
    void (*call)(struct mcp_call *c, struct slice arguments);
};

struct mcp_argument {
    const char *name, *description;
    bool required;
};

struct mcp_prompt {
    const char *name, *title, *description;
    const struct mcp_argument *arguments;
    size_t n_arguments;
    /* `arguments`: a JSON object of strings, required ones are there. Answers with {"description"?,"messages":[…]}. */
    void (*get)(struct mcp_call *c, struct slice arguments);
};

/* What is always there, on the first page of resources/list. */
struct mcp_resource {
    const char *uri, *name, *title, *description, *mime_type;
};

struct mcp_template {
    const char *uri_template, *name, *title, *description, *mime_type; /* mime_type may be NULL */
};

/* completion/complete: texts, unescaped, good for the call. */
struct mcp_completion {
    bool is_prompt;                     /* ref is a prompt's name; else a template's URI */
    const char *ref, *argument, *value; /* value: what was typed so far */
    struct slice context;               /* JSON object: arguments given already, "{}" when none */
};

struct mcp_part {
    const struct mcp_tool *tools;
    size_t n_tools;
    const struct mcp_prompt *prompts;
    size_t n_prompts;
    const struct mcp_resource *resources;
    size_t n_resources;
    const struct mcp_template *templates;
    size_t n_templates;

    /* resources/list beyond the table, one page: answers with mcp_part_resources. NULL: nothing beyond. One part has it. */
    void (*list)(struct mcp_call *c, const char *cursor /* NULL: the first page */);
    /* Whether the URI (text) is this part's to read; then it answers with {"contents":[…]}. NULL: it has none. */
    bool (*read)(struct mcp_call *c, const char *uri);
    /* Whether it is this part's to complete; then it answers by mcp_part_completed. NULL: it has none. */
    bool (*complete)(struct mcp_call *c, const struct mcp_completion *wanted);
};

/* What the product offers: web/mcp_product.c. */
extern const struct mcp_part MCP_PRODUCT;
extern const char MCP_INSTRUCTIONS[]; /* at most 1 kB, for the model */

/* Answers resources/list: `items` are JSON objects with commas between them (may be empty), next NULL at the end. */
void mcp_part_resources(struct mcp_call *c, struct slice items, const char *next);
/* Answers completion/complete: `values` are JSON strings with commas between them, at most 100; total: how many there are. */
void mcp_part_completed(struct mcp_call *c, struct slice values, size_t total);

/* Whether a client of the user's has subscribed to anything. */
bool mcp_part_is_watched(struct site *site, const struct user *user);
/* Something a client may have subscribed to has changed. Told at most once a second for each URI. */
void mcp_part_resource_updated(struct site *site, const struct user *user, const char *uri);
/* The same for each one that somebody watches and that `is_it`. */
void mcp_part_resources_updated(struct site *site, const struct user *user,
                                bool (*is_it)(void *arg, const char *uri), void *arg);
void mcp_part_resources_changed(struct site *site, const struct user *user); /* the list */

#endif
