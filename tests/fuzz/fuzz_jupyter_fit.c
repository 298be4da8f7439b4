/* Properties: what is said for a message is JSON objects, fits, and has no buffers for whom they are not; a stream's texts together are
 * the text. The first byte chooses whether the client takes buffers; in the frame behind it (default protocol, binary) each @
 * stands for 5000 characters. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "protocol/jupyter_fit.h"
#include "protocol/jupyter_mend.h"
#include "protocol/kernel_ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

struct said {
    struct jupyter_fit fit;
    struct buf text; /* of streams */
    size_t n;
};

static void on_said(void *arg, const struct slice *parts, size_t n_parts)
{
    struct said *s = arg;
    struct slice text;
    check(jupyter_fits(&s->fit, parts, n_parts));
    for (size_t i = 0; i < JUPYTER_N_PARTS; i++)
        check(json_valid(parts[i]) && json_type(parts[i]) == JSON_OBJECT);
    if (json_member_string(parts[3], "text", &text))
        buf_add_slice(&s->text, text);
    s->n++;
}

static void blow_up(const uint8_t *data, size_t size, struct buf *out)
{
    static const char LONG[] = "0123456789";
    for (size_t i = 0; i < size; i++) {
        if (data[i] != '@')
            buf_add(out, data + i, 1);
        for (size_t n = 0; data[i] == '@' && n < 500; n++)
            buf_add(out, LONG, sizeof LONG - 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kernel_ws_message m;
    static struct slice parts[JUPYTER_N_PARTS + JUPYTER_MAX_BUFFERS];
    CLEANUP_BUF struct buf frame = BUF_INIT(1u << 20);
    if (size < 1)
        return 0;
    blow_up(data + 1, size - 1, &frame);
    if (frame.failed || !kernel_ws_read(KERNEL_WS_DEFAULT, data[0] & 2, buf_slice(&frame), &m))
        return 0;
    const struct slice raw[] = { m.m.header, m.m.parent, m.m.metadata, m.m.content };
    CLEANUP_MENDED struct jupyter_mended mended;
    if (!jupyter_mend(raw, true, &mended))
        return 0;
    for (size_t i = 0; i < JUPYTER_N_PARTS; i++)
        parts[i] = mended.part[i];
    for (size_t i = 0; i < m.m.n_buffers; i++)
        parts[JUPYTER_N_PARTS + i] = m.m.buffers[i];
    struct said said = { .fit = { .takes_buffers = data[0] & 1,
                                  .max_frame_bytes = 65536,
                                  .where = "there",
                                  .say = on_said,
                                  .arg = &said } };
    buf_init(&said.text, 1u << 20);
    enum jupyter_fitted how = jupyter_fit(&said.fit, parts, JUPYTER_N_PARTS + m.m.n_buffers);
    check((how == JUPYTER_FITTED_NOT) <= (said.n == 0));
    struct slice text;
    if (strcmp(m.names.msg_type, "stream") == 0 && how != JUPYTER_FITTED_NOT) {
        check(json_member_string(parts[3], "text", &text));
        check(slice_equal(text, buf_slice(&said.text)));
    }
    buf_done(&said.text);
    return 0;
}
