/* Properties: a frame that is accepted is encoded to the very bytes it was decoded from, and every beginning
 * of a frame wants more: so any split of the bytes gives the same frames. The first byte chooses a split. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct link_frame f, part;
    if (size < 1)
        return 0;
    struct slice stream = slice_of(data + 1, size - 1);
    while (stream.len > 0) {
        size_t used = 0, used_part = 0;
        if (link_decode(stream, &f, &used) != DECODE_OK)
            break;
        check(used <= stream.len);
        CLEANUP_BUF struct buf out = BUF_INIT(LINK_MAX_FRAME_BYTES + 4);
        link_encode(&out, &f);
        check(out.len == used && link_encoded_bytes(&f) == used &&
              memcmp(out.data, stream.data, used) == 0);
        size_t cut = data[0] * used / 256;
        check(link_decode(slice_of(stream.data, cut), &part, &used_part) == DECODE_MORE);
        check(link_decode(slice_of(stream.data, used), &part, &used_part) == DECODE_OK &&
              used_part == used);
        stream = slice_of(stream.data + used, stream.len - used);
    }
    return 0;
}
