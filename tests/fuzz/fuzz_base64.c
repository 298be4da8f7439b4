/* Properties: any bytes come back from their own base64, wherever white space is put; and what is passed as base64 is that of
 * the bytes it gives, but for the bits that its last character has too many. */
#include <assert.h>
#include <sodium.h>
#include <stdint.h>

#include "base/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(struct buf *out, struct slice bytes)
{
    size_t size = sodium_base64_ENCODED_LEN(bytes.len, sodium_base64_VARIANT_ORIGINAL);
    char *text = buf_room(out, size);

    assert(text);
    (void)sodium_bin2base64(text, size, (const unsigned char *)bytes.data, bytes.len,
                            sodium_base64_VARIANT_ORIGINAL);
    out->len += size - 1;

    CLEANUP_BUF struct buf ours = BUF_INIT(size);
    base64_encode(&ours, bytes);
    assert(slice_equal(buf_slice(&ours), buf_slice(out)));
}

static void read_and_write(struct slice text)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT(text.len + 1), plain = BUF_INIT(text.len + 1),
                           again = BUF_INIT(2 * text.len + 8);

    if (!base64_decode(&bytes, text))
        return;
    for (size_t i = 0; i < text.len; i++)
        if (!strchr(" \t\r\n", text.data[i]))
            buf_add_char(&plain, text.data[i]);
    encode(&again, buf_slice(&bytes));
    assert(plain.len == again.len);
    assert(plain.len < 4 || memcmp(plain.data, again.data, plain.len - 4) == 0);
    assert(plain.len == 0 || strcmp(strchrnul(plain.data, '='), strchrnul(again.data, '=')) == 0);
}

static void write_and_read(struct slice bytes)
{
    CLEANUP_BUF struct buf text = BUF_INIT(2 * bytes.len + 8), spaced = BUF_INIT(4 * bytes.len + 8),
                           back = BUF_INIT(bytes.len + 1);

    encode(&text, bytes);
    for (size_t i = 0; i < text.len; i++)
        buf_addf(&spaced, i % 7 == 0 ? "\n%c" : "%c", text.data[i]);
    assert(base64_decode(&back, buf_slice(&spaced)));
    assert(slice_equal(buf_slice(&back), bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_and_write(slice_of(data, size));
    write_and_read(slice_of(data, size));
    return 0;
}
