/* Property: whatever bytes come, what is read of them lies in them, what is said in answer is one JSON object, and a message that is found good for a
 * head is good without one. The first line is the head: version, method and name by tabs. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "protocol/mcp_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static bool is_inside(struct slice s, struct slice text)
{
    return s.len == 0 || (s.data >= text.data && s.data + s.len <= text.data + text.len);
}

static void check_message(struct slice text, const struct mcp_head *head)
{
    static const struct mcp_server SERVER = { "s", "S", "1" };
    struct mcp_message m;
    const char *why;
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    int code = mcp_message_read(text, &m, &why);
    check(!code == !why && is_inside(m.id, text));
    mcp_write_error(&out, m.id, code, why ? why : "none", slice_of(NULL, 0));
    check(json_valid(buf_slice(&out)));
    if (code)
        return;
    check((is_inside(m.params, text) || slice_is(m.params, "{}")) && json_valid(m.params));
    check((is_inside(m.meta, text) || slice_is(m.meta, "{}")) && json_valid(m.meta));
    check((m.kind == MCP_NOTIFICATION) == (m.id.len == 0));
    buf_reset(&out);
    mcp_write_result(&out, MCP_2026_07_28, &SERVER, m.id, "complete", MCP_KEEP_PUBLIC, m.params);
    check(json_valid(buf_slice(&out)));
    struct mcp_fault with = mcp_message_check(&m, head), without = mcp_message_check(&m, NULL);
    check(with.code || !without.code);
    buf_reset(&out);
    mcp_write_fault(&out, m.id, &with);
    check(json_valid(buf_slice(&out)));
    (void)mcp_message_is_modern(&m, head->version);
}

static void check_broken(struct slice text)
{
    CLEANUP_BUF struct buf room = BUF_INIT(0);
    struct slice id;
    if (mcp_message_broken_id(text, &room, &id))
        check(is_inside(id, buf_slice(&room)) &&
              (json_type(id) == JSON_STRING || json_type(id) == JSON_NUMBER));
}

/* The next field of the head, as a string; NULL when it is empty. */
static const char *next(char **at)
{
    char *field = *at;
    size_t n = strcspn(field, "\t");
    *at = field[n] ? field + n + 1 : field + n;
    field[n] = '\0';
    return n ? field : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char line[256] = "", *at = line;
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    size_t n = end ? (size_t)(end - data) : 0;
    if (!end || n >= sizeof line)
        return 0;
    memcpy(line, data, n);
    struct mcp_head head;
    head.version = next(&at);
    head.method = next(&at);
    head.name = next(&at);
    struct slice text = slice_of(end + 1, size - n - 1);
    switch (mcp_message_shape(text)) {
    case MCP_OBJECT:
        check_message(text, &head);
        break;
    case MCP_BATCH:
        for (struct json_iter it = json_iter(text); json_next(&it);)
            check_message(it.value, &head);
        break;
    case MCP_NO_JSON:
        check_broken(text);
        break;
    case MCP_NO_MESSAGE:
        break;
    }
    return 0;
}
