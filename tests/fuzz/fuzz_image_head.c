/* Property: a head that is read has two sides, and is read the same however many bytes stand behind it. */
#include <assert.h>
#include <stdint.h>

#include "base/buf.h"
#include "protocol/image_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_head head, again;
    CLEANUP_BUF struct buf more = BUF_INIT(size + 16);
    if (!image_head_read(slice_of(data, size), &head))
        return 0;
    assert(head.width && head.height && image_kind_media_type(head.kind));
    buf_add(&more, data, size);
    buf_add(&more, "\xff\xd9 and more", 11);
    assert(image_head_read(buf_slice(&more), &again));
    assert(head.kind == again.kind && head.width == again.width && head.height == again.height);
    return 0;
}
