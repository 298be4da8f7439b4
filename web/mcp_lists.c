/* All of these are short: a list has one page, but for the resources that the product's part adds. */
#include "base/json.h"
#include "web/mcp_methods.h"
#include "web/mcp_task.h"

#define MAX_CURSOR_BYTES 1024

/* Writes the next member of an object; value NULL: nothing. */
static void add_text(struct buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    buf_addf(out, ",\"%s\":", name);
    json_quote_str(out, value);
}

static void add_json(struct buf *out, const char *name, const char *json)
{
    if (json)
        buf_addf(out, ",\"%s\":%s", name, json);
}

static void begin(struct buf *out, const char *name, const char *value)
{
    if (out->len && out->data[out->len - 1] == '}')
        buf_add_char(out, ',');
    buf_addf(out, "{\"%s\":", name);
    json_quote_str(out, value);
}

static const char *title_for(const struct mcp_call *c, const char *title)
{
    return mcp_version_has_structured(c->version) ? title : NULL;
}

static void write_tool(const struct mcp_call *c, const struct mcp_tool *tool, struct buf *out)
{
    begin(out, "name", tool->name);
    add_text(out, "title", title_for(c, tool->title));
    add_text(out, "description", tool->description);
    add_json(out, "inputSchema", tool->input_schema);
    add_json(out, "outputSchema", mcp_call_wants_structured(c) ? tool->output_schema : NULL);
    add_json(out, "annotations", tool->annotations);
    add_json(out, "_meta", tool->meta);
    buf_add_char(out, '}');
}

void mcp_list_tools(struct mcp_call *c)
{
    const struct mcp *m = c->site->mcp;
    CLEANUP_BUF struct buf out = BUF_INIT(MCP_MAX_RESULT_BYTES);
    buf_add_str(&out, "{\"tools\":[");
    for (size_t i = 0; i < m->n_parts; i++)
        for (size_t k = 0; k < m->parts[i]->n_tools; k++)
            if (!(m->parts[i]->tools[k].flags & MCP_TOOL_HIDDEN))
                write_tool(c, &m->parts[i]->tools[k], &out);
    buf_add_str(&out, "]}");
    mcp_call_result(c, &out);
}

const struct mcp_tool *mcp_find_tool(const struct mcp *m, const char *name)
{
    for (size_t i = 0; i < m->n_parts; i++)
        for (size_t k = 0; k < m->parts[i]->n_tools; k++)
            if (strcmp(m->parts[i]->tools[k].name, name) == 0)
                return &m->parts[i]->tools[k];
    return NULL;
}

static void write_prompt(const struct mcp_call *c, const struct mcp_prompt *prompt, struct buf *out)
{
    begin(out, "name", prompt->name);
    add_text(out, "title", title_for(c, prompt->title));
    add_text(out, "description", prompt->description);
    buf_add_str(out, ",\"arguments\":[");
    for (size_t i = 0; i < prompt->n_arguments; i++) {
        const struct mcp_argument *a = &prompt->arguments[i];
        begin(out, "name", a->name);
        add_text(out, "description", a->description);
        add_json(out, "required", a->required ? "true" : "false");
        buf_add_char(out, '}');
    }
    buf_add_str(out, "]}");
}

void mcp_list_prompts(struct mcp_call *c)
{
    const struct mcp *m = c->site->mcp;
    CLEANUP_BUF struct buf out = BUF_INIT(MCP_MAX_RESULT_BYTES);
    buf_add_str(&out, "{\"prompts\":[");
    for (size_t i = 0; i < m->n_parts; i++)
        for (size_t k = 0; k < m->parts[i]->n_prompts; k++)
            write_prompt(c, &m->parts[i]->prompts[k], &out);
    buf_add_str(&out, "]}");
    mcp_call_result(c, &out);
}

const struct mcp_prompt *mcp_find_prompt(const struct mcp *m, const char *name)
{
    for (size_t i = 0; i < m->n_parts; i++)
        for (size_t k = 0; k < m->parts[i]->n_prompts; k++)
            if (strcmp(m->parts[i]->prompts[k].name, name) == 0)
                return &m->parts[i]->prompts[k];
    return NULL;
}

void mcp_list_templates(struct mcp_call *c)
{
    const struct mcp *m = c->site->mcp;
    CLEANUP_BUF struct buf out = BUF_INIT(MCP_MAX_RESULT_BYTES);
    buf_add_str(&out, "{\"resourceTemplates\":[");
    for (size_t i = 0; i < m->n_parts; i++) {
        for (size_t k = 0; k < m->parts[i]->n_templates; k++) {
            const struct mcp_template *t = &m->parts[i]->templates[k];
            begin(&out, "uriTemplate", t->uri_template);
            add_text(&out, "name", t->name);
            add_text(&out, "title", title_for(c, t->title));
            add_text(&out, "description", t->description);
            add_text(&out, "mimeType", t->mime_type);
            buf_add_char(&out, '}');
        }
    }
    buf_add_str(&out, "]}");
    mcp_call_result(c, &out);
}

/* ---- resources ---- */

static bool cursor_of(const struct mcp_call *c, char *ret, size_t size, bool *ret_given)
{
    struct slice raw;
    *ret_given = json_member(c->params, "cursor", &raw) && json_type(raw) != JSON_NULL;
    return !*ret_given ||
           (json_member_string(c->params, "cursor", &raw) && json_copy_string(raw, ret, size));
}

void mcp_list_resources(struct mcp_call *c)
{
    const struct mcp *m = c->site->mcp;
    char cursor[MAX_CURSOR_BYTES];
    bool is_given;
    if (!cursor_of(c, cursor, sizeof cursor, &is_given)) {
        mcp_call_error(c, MCP_INVALID_PARAMS, "params.cursor is none of ours", slice_of(NULL, 0));
        return;
    }
    for (size_t i = 0; i < m->n_parts; i++) {
        if (m->parts[i]->list) {
            m->parts[i]->list(c, is_given ? cursor : NULL);
            return;
        }
    }
    mcp_part_resources(c, slice_of(NULL, 0), NULL);
}

static void write_fixed(const struct mcp_call *c, struct buf *out)
{
    const struct mcp *m = c->site->mcp;
    for (size_t i = 0; i < m->n_parts; i++) {
        for (size_t k = 0; k < m->parts[i]->n_resources; k++) {
            const struct mcp_resource *r = &m->parts[i]->resources[k];
            begin(out, "uri", r->uri);
            add_text(out, "name", r->name);
            add_text(out, "title", title_for(c, r->title));
            add_text(out, "description", r->description);
            add_text(out, "mimeType", r->mime_type);
            buf_add_char(out, '}');
        }
    }
}

void mcp_part_resources(struct mcp_call *c, struct slice items, const char *next)
{
    CLEANUP_BUF struct buf out = BUF_INIT(MCP_MAX_RESULT_BYTES);
    struct slice cursor;
    bool is_first = !json_member(c->params, "cursor", &cursor) || json_type(cursor) == JSON_NULL;
    buf_add_str(&out, "{\"resources\":[");
    if (is_first)
        write_fixed(c, &out);
    if (items.len && out.len && out.data[out.len - 1] == '}')
        buf_add_char(&out, ',');
    buf_add_slice(&out, items);
    buf_add_char(&out, ']');
    add_text(&out, "nextCursor", next);
    buf_add_char(&out, '}');
    mcp_call_result(c, &out);
}
