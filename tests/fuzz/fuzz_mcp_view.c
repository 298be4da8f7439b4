/* Properties: of any record the result is JSON, its text and its structured strings are within the budget, and no character that
 * moves a terminal's cursor is in it. The first byte says how large the budget is. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "protocol/text_excerpt.h"
#include "web/mcp_view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t string_chars(struct slice object, const char *name)
{
    struct slice raw;
    if (!json_member_string(object, name, &raw))
        return 0;
    CLEANUP_BUF struct buf text = BUF_INIT(raw.len + 1);
    json_unescape(&text, raw);
    for (size_t i = 0; i < text.len; i++)
        assert(
            ((unsigned char)text.data[i] >= 0x20 || text.data[i] == '\n' || text.data[i] == '\t') &&
            text.data[i] != 0x7f);
    return text_chars(buf_slice(&text));
}

static void check(struct slice result, size_t max)
{
    struct slice list, structured, error = { 0 };
    assert(json_valid(result));
    assert(json_member(result, "content", &list) &&
           json_member(result, "structuredContent", &structured));
    struct json_iter it = json_iter(list);
    assert(json_next(&it));
    assert(string_chars(it.value, "text") <= max);
    (void)json_member(structured, "error", &error); /* absent: empty */
    size_t chars = string_chars(structured, "stdout") + string_chars(structured, "stderr") +
                   string_chars(structured, "result");
    assert(chars <= max + 64 * 200); /* 200: that nothing of a text is shown */
    assert(string_chars(error, "traceback") <= max + 200);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const struct mcp_view_options options = { .max_chars = MCP_VIEW_MIN_CHARS + 100u * data[0],
                                              .has_links = data[0] & 1,
                                              .is_run_code = data[0] & 2 };
    struct slice record = slice_of(data + 1, size - 1);
    if (!json_valid(record) || json_type(record) != JSON_OBJECT)
        return 0;
    CLEANUP_BUF struct buf out = BUF_INIT(64u << 20);
    struct mcp_view *v = mcp_view_new(record, &options);
    unsigned blob;
    for (int i = 0; i < 100 && mcp_view_wants(v, &blob); i++)
        mcp_view_give(v, i % 2 ? SLICE_LITERAL("R0lGODlhAwAFAQ==") : slice_of(NULL, 0));
    assert(!mcp_view_wants(v, &blob));
    mcp_view_write(v, &out);
    mcp_view_free(v);
    assert(!out.failed);
    check(buf_slice(&out), options.max_chars);
    return 0;
}
