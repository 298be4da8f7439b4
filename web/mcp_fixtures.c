#include "web/mcp_fixtures.h"

#include "base/cleanup.h"

#define NO_ARGUMENTS "{\"type\":\"object\",\"properties\":{}}"

static void answer(struct mcp_call *c, const char *json)
{
    CLEANUP_BUF struct buf out = BUF_INIT(65536);
    buf_add_str(&out, json);
    mcp_call_result(c, &out);
}

static void simple_text(struct mcp_call *c, struct slice arguments)
{
    answer(c, "{\"content\":[{\"type\":\"text\",\"text\":"
              "\"This is a simple text response for testing.\"}]}");
}

static const struct mcp_tool TOOLS[] = {
    { .name = "test_simple_text",
      .description = "Answers with a text.",
      .input_schema = NO_ARGUMENTS,
      .call = simple_text },
};

const struct mcp_part MCP_FIXTURES = {
    .tools = TOOLS,
    .n_tools = ARRAY_LEN(TOOLS),
};
