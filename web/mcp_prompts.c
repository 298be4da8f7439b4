#include "web/mcp_prompts.h"

#include "base/cleanup.h"
#include "base/json.h"

#define MAX_BYTES (4u << 20)

static void add_argument(struct slice arguments, const char *name, struct buf *out)
{
    struct slice raw;
    if (json_member_string(arguments, name, &raw))
        json_unescape(out, raw);
}

static void answer(struct mcp_call *c, const char *description, const struct buf *text)
{
    CLEANUP_BUF struct buf out = BUF_INIT(2 * MAX_BYTES);
    buf_add_str(&out, "{\"description\":");
    json_quote_str(&out, description);
    buf_add_str(&out, ",\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":");
    json_quote(&out, buf_slice(text));
    buf_add_str(&out, "}}]}");
    out.failed |= text->failed;
    mcp_call_result(c, &out);
}

static void analyze_file(struct mcp_call *c, struct slice arguments)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_BYTES);
    struct slice question;
    buf_add_str(&text, "Analyze the file /workspace/");
    add_argument(arguments, "path", &text);
    buf_add_str(&text,
                ".\n\nLook at its beginning first (download_file), then load it with execute_code "
                "and work on it there: its shape, types, missing "
                "values and outliers, and what stands out. Draw a figure where that says more than "
                "numbers. Do not print the whole file. "
                "Say what you found in a few sentences, with the numbers that support it.\n");
    if (json_member_string(arguments, "question", &question) && question.len) {
        buf_add_str(&text, "\nThe question to answer: ");
        json_unescape(&text, question);
        buf_add_char(&text, '\n');
    }
    answer(c, "Analyze a file of the workspace", &text);
}

static void fix_error(struct mcp_call *c, struct slice arguments)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_BYTES);
    struct slice code;
    buf_add_str(&text, "This error came up:\n\n```\n");
    add_argument(arguments, "traceback", &text);
    buf_add_str(&text, "\n```\n");
    if (json_member_string(arguments, "code", &code) && code.len) {
        buf_add_str(&text, "\nin this code:\n\n```\n");
        json_unescape(&text, code);
        buf_add_str(&text, "\n```\n");
    }
    buf_add_str(&text, "\nFind its cause: look at the variables and files it names with "
                       "execute_code before you change anything. Then write the "
                       "corrected code, run it with execute_code to show that it works, and say in "
                       "a sentence what was wrong.\n");
    answer(c, "Find and fix the cause of an error", &text);
}

static const struct mcp_argument ANALYZE[] = {
    { "path", "The file, relative to the workspace", true },
    { "question", "What you want to know of it", false },
};

static const struct mcp_argument FIX[] = {
    { "traceback", "The error as it was shown", true },
    { "code", "The code that raised it", false },
};

const struct mcp_prompt MCP_PROMPTS[MCP_N_PROMPTS] = {
    { "analyze_file", "Analyze a file", "Look into a file of the workspace, and say what is in it",
      ANALYZE, ARRAY_LEN(ANALYZE), analyze_file },
    { "fix_error", "Fix an error",
      "Find the cause of an error, and show that the corrected code runs", FIX, ARRAY_LEN(FIX),
      fix_error },
};
