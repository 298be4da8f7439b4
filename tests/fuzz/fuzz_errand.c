/* Property: an errand that is accepted is encoded to one that decodes to the same again, has a plain URL and nothing in
 * what becomes a header that could end it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "protocol/errand.h"
#include "protocol/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct errand a, again;
    struct err e = ERR_INIT;
    struct slice frame;
    size_t used;
    if (errand_decode(slice_of(data, size), &a, &e) != DECODE_OK)
        return 0;
    check(errand_url_is_plain(slice_str(a.url)) && !strpbrk(a.message_id, "\r\n ,:") &&
          !strpbrk(a.signature, "\r\n :"));
    CLEANUP_BUF struct buf text = BUF_INIT(1 << 20);
    CLEANUP_BUF struct buf out = BUF_INIT(8 << 20);
    json_unescape(&text, a.body);
    check(!text.failed);
    a.body = buf_slice(&text);
    errand_encode(&out, &a);
    check(frame_decode(buf_slice(&out), ERRAND_MAX_FRAME_BYTES, &frame, &used) == DECODE_OK &&
          used == out.len);
    check(errand_decode(frame, &again, &e) == DECODE_OK);
    check(again.id == a.id && again.timestamp == a.timestamp && again.timeout_ms == a.timeout_ms);
    check(strcmp(again.url, a.url) == 0 && strcmp(again.message_id, a.message_id) == 0 &&
          strcmp(again.signature, a.signature) == 0);
    CLEANUP_BUF struct buf back = BUF_INIT(1 << 20);
    json_unescape(&back, again.body);
    check(slice_equal(buf_slice(&text), buf_slice(&back)));
    return 0;
}
