/* The input, cut at newlines, is a multipart message. Properties: what is cut lies inside the frames and in
 * their order; ids that are read are NUL-terminated and come back from a header written with them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "protocol/jupyter_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_header(struct slice raw)
{
    struct jupyter_header h, again;
    if (!jupyter_read_header(raw, &h))
        return;
    check(memchr(h.msg_id, '\0', sizeof h.msg_id) && memchr(h.msg_type, '\0', sizeof h.msg_type));
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
    jupyter_write_header(&out, h.msg_id, "status", "s", 0);
    check(json_valid(buf_slice(&out)) && jupyter_read_header(buf_slice(&out), &again));
    if (json_valid(raw)) /* else the id may be no UTF-8, which is not written as it is */
        check(strcmp(h.msg_id, again.msg_id) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct slice frames[JUPYTER_MAX_BUFFERS + 32];
    static struct jupyter_message m;
    char signature[JUPYTER_SIGNATURE_CHARS + 1];
    size_t n = 0, begin = 0;
    for (size_t i = 0; i <= size && n < ARRAY_LEN(frames); i++) {
        if (i < size && data[i] != '\n')
            continue;
        frames[n++] = slice_of(data + begin, i - begin);
        begin = i + 1;
    }
    if (!jupyter_cut(frames, n, &m))
        return 0;
    check(m.n_buffers <= JUPYTER_MAX_BUFFERS && m.header.data <= m.content.data);
    jupyter_sign(SLICE_LITERAL("key"), &m, signature);
    check(strlen(signature) == JUPYTER_SIGNATURE_CHARS);
    check_header(m.header);
    check_header(m.parent);
    return 0;
}
