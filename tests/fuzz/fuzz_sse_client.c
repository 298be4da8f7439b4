/* Any cut of the bytes gives the same events: the same input whole, and cut where its first byte
 * says. */
#include <assert.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "cmd/sse_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_down(void *arg, uint64_t id, struct slice data)
{
    struct buf *out = arg;
    buf_addf(out, "%llu:", (unsigned long long)id);
    buf_add_slice(out, data);
    buf_add_char(out, '|');
}

static void read_in_steps(struct buf *out, struct slice bytes, size_t step)
{
    struct sse_reader r;

    sse_reader_init(&r, write_down, out);
    for (size_t at = 0; at < bytes.len; at += step) {
        size_t n = bytes.len - at < step ? bytes.len - at : step;
        assert(sse_reader_feed(&r, slice_of(bytes.data + at, n)));
    }
    sse_reader_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_BUF struct buf whole = BUF_INIT(64 << 20);
    CLEANUP_BUF struct buf cut = BUF_INIT(64 << 20);

    if (size < 2)
        return 0;
    struct slice bytes = slice_of(data + 1, size - 1);
    read_in_steps(&whole, bytes, bytes.len);
    read_in_steps(&cut, bytes, (size_t)data[0] % 16 + 1);
    assert(slice_equal(buf_slice(&whole), buf_slice(&cut)));
    return 0;
}
