#include "protocol/frame.h"

static size_t get_length(const char *data)
{
    const unsigned char *at = (const unsigned char *)data;
    return (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
}

enum decode frame_decode(struct slice stream, size_t max_bytes, struct slice *ret, size_t *ret_used)
{
    if (stream.len < FRAME_HEADER_BYTES)
        return DECODE_MORE;
    size_t length = get_length(stream.data);
    if (length == 0)
        return DECODE_BAD;
    if (length > max_bytes)
        return DECODE_TOO_BIG;
    if (stream.len - FRAME_HEADER_BYTES < length)
        return DECODE_MORE;
    *ret = slice_of(stream.data + FRAME_HEADER_BYTES, length);
    *ret_used = FRAME_HEADER_BYTES + length;
    return DECODE_OK;
}

size_t frame_bytes_missing(struct slice stream)
{
    if (stream.len < FRAME_HEADER_BYTES)
        return FRAME_HEADER_BYTES - stream.len;
    size_t whole = FRAME_HEADER_BYTES + get_length(stream.data);
    return whole > stream.len ? whole - stream.len : 0;
}

void frame_put_length(char at[FRAME_HEADER_BYTES], uint32_t length)
{
    at[0] = (char)(length >> 24);
    at[1] = (char)(length >> 16);
    at[2] = (char)(length >> 8);
    at[3] = (char)length;
}
