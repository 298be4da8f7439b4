/* Properties: what is read as typed text gives bytes, and what is read as a size is one; output that is written in pieces, each as long as
 * the one before said, is JSON and is all of it. The first byte says how long a piece is. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "protocol/terminal_ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_message(struct terminal_ws_message m, struct slice text)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT(text.len);
    bool side = m.rows >= 1 && m.rows <= TERMINAL_WS_MAX_SIDE && m.cols >= 1 &&
                m.cols <= TERMINAL_WS_MAX_SIDE;
    check((m.kind == TERMINAL_WS_SIZE) == side || m.kind == TERMINAL_WS_NONSENSE);
    if (m.kind != TERMINAL_WS_STDIN)
        return;
    check(m.text.data >= text.data && m.text.data + m.text.len <= text.data + text.len);
    json_unescape(&bytes, m.text);
    check(!bytes.failed);
}

static void check_output(struct slice all, size_t step)
{
    while (all.len) {
        size_t n = all.len < step ? all.len : step;
        CLEANUP_BUF struct buf out = BUF_INIT(6 * n + 64);
        size_t done = terminal_ws_write_output(&out, slice_of(all.data, n), n == all.len);
        check(done <= n && done + 3 >= n && !out.failed);
        check(done == 0 ? out.len == 0 : json_valid(buf_slice(&out)));
        if (done == 0)
            step = n + 1; /* the beginning of a character: more has to be there */
        all = slice_of(all.data + done, all.len - done);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_of(data, size);
    check_message(terminal_ws_read(all), all);
    check_message(terminal_ws_read_size(all), all);
    if (size)
        check_output(slice_of(data + 1, size - 1), (size_t)data[0] % 7 + 1);
    return 0;
}
