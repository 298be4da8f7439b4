/* Properties: whatever line a client or the service sends, what is cut out of it lies in it, a header is one header, and what is
 * said about it is one line of JSON. */
#include <assert.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cmd/bridge_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void lies_in(struct slice whole, struct slice part)
{
    assert(part.len == 0 ||
           (part.data >= whole.data && part.data + part.len <= whole.data + whole.len));
}

static void is_one_header(struct slice raw)
{
    CLEANUP_BUF struct buf line = BUF_INIT(256u << 10);

    bridge_message_header(&line, "N", raw);
    assert(line.len >= 4 && memcmp(line.data, "N: ", 3) == 0);
    for (size_t i = 3; i < line.len; i++)
        assert(line.data[i] >= 0x20 && line.data[i] <= 0x7e);
    assert(line.data[3] != ' ' && line.data[line.len - 1] != ' ');
}

static void is_one_message(struct buf *line)
{
    assert(json_valid(buf_slice(line)));
    assert(!memchr(line->data, '\n', line->len) && !memchr(line->data, '\r', line->len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_BUF struct buf adopted = BUF_INIT(8 << 20);
    CLEANUP_BUF struct buf told = BUF_INIT(8 << 20);
    struct slice text = slice_of(data, size);
    struct bridge_message m;
    struct err e = ERR_INIT;

    if (!bridge_message_read(text, &m))
        return 0;
    const struct slice parts[] = { m.id, m.method, m.params, m.name, m.version };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        lies_in(text, parts[i]);
    is_one_header(m.method);
    is_one_header(m.name);
    is_one_header(m.version);
    if (bridge_message_adopt(&adopted, m.id, text))
        is_one_message(&adopted);
    (void)err_set(&e, ERR_GONE, "%.*s", (int)(size < 400 ? size : 400), (const char *)data);
    bridge_message_error(&told, m.id, &e);
    is_one_message(&told);
    assert(m.kind != BRIDGE_REQUEST || bridge_message_answers(buf_slice(&told), m.id));
    return 0;
}
