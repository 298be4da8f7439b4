#include "web/mcp_answer.h"

#include "base/json.h"
#include "protocol/text_excerpt.h"
#include "web/mcp_view.h"

#define CUT_NOTE  "\n[... the rest is left out: it is above max_output_chars ...]\n"
#define CUT_CHARS 80

void mcp_answer_init(struct mcp_answer *a, int64_t max_chars)
{
    a->max_chars = max_chars > 0 ? (size_t)max_chars : MCP_VIEW_DEFAULT_CHARS;
    buf_init(&a->text, MCP_ANSWER_MAX_BYTES);
    buf_init(&a->blocks, MCP_ANSWER_MAX_BYTES);
    buf_init(&a->structured, MCP_ANSWER_MAX_BYTES);
}

void mcp_answer_done(struct mcp_answer *a)
{
    buf_done(&a->text);
    buf_done(&a->blocks);
    buf_done(&a->structured);
}

size_t mcp_answer_room(const struct mcp_answer *a)
{
    size_t used = text_chars(buf_slice(&a->text)) + CUT_CHARS;
    return used < a->max_chars ? a->max_chars - used : 0;
}

void mcp_answer_link(struct mcp_answer *a, const struct mcp_call *c, struct slice uri,
                     const char *name, const char *mime_type, int64_t bytes)
{
    if (!mcp_version_has_structured(c->version))
        return;
    buf_add_str(&a->blocks, ",{\"type\":\"resource_link\",\"uri\":");
    json_quote(&a->blocks, uri);
    buf_add_str(&a->blocks, ",\"name\":");
    json_quote_str(&a->blocks, name);
    if (mime_type) {
        buf_add_str(&a->blocks, ",\"mimeType\":");
        json_quote_str(&a->blocks, mime_type);
    }
    if (bytes >= 0)
        buf_addf(&a->blocks, ",\"size\":%lld", (long long)bytes);
    buf_add_char(&a->blocks, '}');
}

void mcp_answer_send(struct mcp_answer *a, struct mcp_call *c)
{
    CLEANUP_BUF struct buf out = BUF_INIT(MCP_MAX_RESULT_BYTES);
    struct slice text = buf_slice(&a->text);
    bool is_cut = text_chars(text) > a->max_chars;
    if (is_cut) {
        a->text.len = text_head(text, a->max_chars - CUT_CHARS);
        buf_add_str(&a->text, CUT_NOTE);
    }
    buf_add_str(&out, "{\"content\":[{\"type\":\"text\",\"text\":");
    json_quote(&out, buf_slice(&a->text));
    buf_add_char(&out, '}');
    buf_add_slice(&out, buf_slice(&a->blocks));
    buf_add_char(&out, ']');
    if (a->structured.len && !a->is_error && mcp_call_wants_structured(c)) {
        buf_add_str(&out, ",\"structuredContent\":");
        buf_add_slice(&out, buf_slice(&a->structured));
    }
    buf_addf(&out, ",\"isError\":%s}", a->is_error ? "true" : "false");
    out.failed |= a->text.failed || a->blocks.failed || a->structured.failed;
    mcp_call_result(c, &out);
}

/* By the code of the error; NULL: its text says all. */
static const char *const HINTS[ERR_N_CODES] = {
    [ERR_POLICY] =
        "Only what the administrator allows can be installed; do without it, or use what is there.",
    [ERR_NOT_FOUND] = "list_sandboxes shows your sandboxes, list_files your files. Leave "
                      "sandbox_id out to use the default sandbox.",
    [ERR_GONE] = "Its variables are lost, files in /workspace are kept. create_sandbox makes a new "
                 "one; without sandbox_id the default one is used.",
    [ERR_CONFLICT] = "Use another name, or the one that is there.",
    [ERR_BUSY] = "list_sandboxes shows what runs, interrupt_execution stops it; another session or "
                 "sandbox is free.",
    [ERR_QUOTA] =
        "destroy_sandbox ends a sandbox you do not need any more; delete files you do not need.",
    [ERR_RATE] = "Wait a moment and try again.",
    [ERR_UNAVAILABLE] = "Try again in a moment.",
    [ERR_TOO_LARGE] = "Use less at once.",
    [ERR_SANDBOX] = "Try once more; if it fails again, use another language or template.",
};

void mcp_answer_error(struct mcp_call *c, const struct err *e)
{
    mcp_call_tool_error(c, e, e->code < ERR_N_CODES ? HINTS[e->code] : NULL);
}

void mcp_answer_execution_error(struct mcp_call *c, const struct err *e)
{
    if (e->code == ERR_NOT_FOUND)
        mcp_call_tool_error(c, e,
                            "An execution_id is a UUID; it stands in the first line of what "
                            "execute_code and run_code answered.");
    else
        mcp_answer_error(c, e);
}
