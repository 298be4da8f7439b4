/* Properties: what is read as a message, written and read again is the same message, in both protocols; what is mended is
 * JSON objects, and good: mended again it stays as it is. The first byte chooses the protocol and the kind of frame. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "protocol/jupyter_mend.h"
#include "protocol/kernel_ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_same(const struct kernel_ws_message *a, const struct kernel_ws_message *b)
{
    check(a->channel == b->channel && strcmp(a->names.msg_id, b->names.msg_id) == 0);
    check(slice_equal(a->m.header, b->m.header) && slice_equal(a->m.parent, b->m.parent));
    check(slice_equal(a->m.metadata, b->m.metadata) && slice_equal(a->m.content, b->m.content));
    check(a->m.n_buffers == b->m.n_buffers);
    for (size_t i = 0; i < a->m.n_buffers; i++)
        check(slice_equal(a->m.buffers[i], b->m.buffers[i]));
}

static void check_mended(const struct slice *parts)
{
    CLEANUP_MENDED struct jupyter_mended once;
    if (!jupyter_mend(parts, true, &once))
        return;
    CLEANUP_MENDED struct jupyter_mended twice;
    check(jupyter_mend(once.part, true, &twice));
    for (size_t i = 0; i < JUPYTER_N_PARTS; i++) {
        check(json_valid(once.part[i]) && json_type(once.part[i]) == JSON_OBJECT);
        check(once.part[i].data == twice.part[i].data);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kernel_ws_message m, again;
    static struct slice parts[JUPYTER_N_PARTS + JUPYTER_MAX_BUFFERS];
    if (size < 1)
        return 0;
    struct slice frame = slice_of(data + 1, size - 1);
    enum kernel_ws protocol = data[0] & 1 ? KERNEL_WS_V1 : KERNEL_WS_DEFAULT;
    /* any bytes as a kernel's message: four parts of one length */
    for (size_t i = 0; i < JUPYTER_N_PARTS; i++)
        parts[i] = slice_of(frame.data + i * (frame.len / 4), frame.len / 4);
    check_mended(parts);
    if (!kernel_ws_read(protocol, data[0] & 2, frame, &m))
        return 0;
    parts[0] = m.m.header;
    parts[1] = m.m.parent;
    parts[2] = m.m.metadata;
    parts[3] = m.m.content;
    for (size_t i = 0; i < m.m.n_buffers; i++)
        parts[JUPYTER_N_PARTS + i] = m.m.buffers[i];
    check_mended(parts);
    for (int p = KERNEL_WS_DEFAULT; p <= KERNEL_WS_V1; p++) {
        CLEANUP_BUF struct buf out = BUF_INIT(64u << 20);
        bool is_binary = kernel_ws_write(&out, (enum kernel_ws)p, m.channel, parts,
                                         JUPYTER_N_PARTS + m.m.n_buffers);
        check(kernel_ws_read((enum kernel_ws)p, is_binary, buf_slice(&out), &again));
        check_same(&m, &again);
    }
    return 0;
}
