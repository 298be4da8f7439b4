#include "web/mcp_tools.h"

#include "base/json.h"
#include "kernelhub/sandbox_verbs.h"
#include "web/fields.h"

#define MAX_LIST_BYTES (8u << 20)

static const char NAMES[][16] = { "name", "sandbox_id", "state", "template" };

static void add_line(struct slice sandbox, struct buf *text)
{
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        struct slice value;
        if (i)
            buf_add_char(text, '\t');
        if (json_member_string(sandbox, NAMES[i], &value))
            json_unescape(text, value);
    }
    buf_add_char(text, '\n');
}

static void add_object(struct slice sandbox, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        struct slice value;
        buf_addf(out, "%c\"%s\":", i ? ',' : '{', NAMES[i]);
        if (json_member(sandbox, NAMES[i], &value))
            buf_add_slice(out, value);
        else
            buf_add_str(out, "null");
    }
    buf_add_char(out, '}');
}

static void list_sandboxes(struct mcp_call *c, struct slice arguments)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    CLEANUP_BUF struct buf all = BUF_INIT(MAX_LIST_BYTES);
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_LIST_BYTES);
    CLEANUP_BUF struct buf objects = BUF_INIT(MAX_LIST_BYTES);
    CLEANUP_BUF struct buf out = BUF_INIT(MCP_MAX_RESULT_BYTES);
    struct err e = ERR_INIT;
    struct slice items;
    size_t n = 0;
    if (fields_read(&fields, arguments, NULL, 0, c->site->config, NULL, &e) < 0) {
        mcp_call_tool_error(c, &e, NULL);
        return;
    }
    sandbox_write_all(c->site->hub, c->user, false, NULL, &all);
    if (json_member(buf_slice(&all), "items", &items)) {
        for (struct json_iter it = json_iter(items); json_next(&it); n++) {
            if (n)
                buf_add_char(&objects, ',');
            add_object(it.value, &objects);
            add_line(it.value, &text);
        }
    }
    if (n == 0)
        buf_add_str(&text, "no sandboxes: the first code that is run makes one\n");
    buf_add_str(&out, "{\"content\":[{\"type\":\"text\",\"text\":");
    json_quote(&out, buf_slice(&text));
    buf_add_str(&out, "}],\"structuredContent\":{\"sandboxes\":[");
    buf_add_slice(&out, buf_slice(&objects));
    buf_addf(&out, "],\"count\":%zu}}", n);
    out.failed |= all.failed || text.failed || objects.failed;
    mcp_call_result(c, &out);
}

const struct mcp_tool MCP_TOOLS[MCP_N_TOOLS] = {
    { .name = "list_sandboxes",
      .title = "List sandboxes",
      .description = "List your sandboxes with name, id, state and template.",
      .input_schema = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{}}",
      .output_schema =
          "{\"type\":\"object\",\"required\":[\"sandboxes\",\"count\"],\"properties\":{"
          "\"count\":{\"type\":\"integer\"},\"sandboxes\":{\"type\":\"array\",\"items\":{"
          "\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},"
          "\"sandbox_id\":{\"type\":\"string\"},\"state\":{\"type\":\"string\"},"
          "\"template\":{\"type\":\"string\"}}}}}}",
      .annotations = "{\"readOnlyHint\":true,\"openWorldHint\":false}",
      .call = list_sandboxes },
};
