/* Property: a text that is quoted in pieces, cut where text_cut_incomplete says, is the text quoted whole. The first byte
 * says where the reads end. */
#include <assert.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "protocol/text_cut.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_piece(struct buf *out, struct slice piece)
{
    CLEANUP_BUF struct buf quoted = BUF_INIT(6 * piece.len + 2);
    json_quote(&quoted, piece);
    buf_add(out, quoted.data + 1, quoted.len - 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice all = slice_of(data + 1, size - 1);
    size_t step = (size_t)data[0] % 16 + 1, from = 0;
    CLEANUP_BUF struct buf whole = BUF_INIT(6 * size), pieces = BUF_INIT(6 * size);
    add_piece(&whole, all);
    for (size_t to = 0; to < all.len;) {
        to = all.len - to < step ? all.len : to + step;
        struct slice read = slice_of(all.data + from, to - from);
        size_t kept = text_cut_incomplete(read);
        assert(kept <= 3 && kept <= read.len);
        if (to == all.len)
            kept = 0;
        add_piece(&pieces, slice_of(read.data, read.len - kept));
        from = to - kept;
    }
    assert(!whole.failed && slice_equal(buf_slice(&whole), buf_slice(&pieces)));
    return 0;
}
