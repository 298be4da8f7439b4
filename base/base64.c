#include "base/base64.h"

#include <stdint.h>

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

bool base64_decode(struct buf *out, struct slice text)
{
    uint32_t bits = 0;
    unsigned n_chars = 0, n_padding = 0;
    size_t n = 0, most = text.len / 4 * 3 + text.len % 4, left = out->max_bytes - out->len;
    size_t n_room = most < left ? most : left; /* less than most may be enough: some is space */
    char *room = buf_room(out, n_room);

    for (size_t i = 0; room && i < text.len; i++) {
        char c = text.data[i];
        if (is_space(c))
            continue;
        int value = value_of(c);
        if (c == '=') {
            n_padding++;
        } else if (value < 0 || n_padding > 0) {
            return false;
        } else {
            bits = bits << 6 | (uint32_t)value;
            if (++n_chars % 4 == 1)
                continue;
            if (n == n_room)
                return false;
            room[n++] = (char)(bits >> (2 * ((4 - n_chars % 4) % 4)));
        }
    }
    if (!room)
        return false;
    out->len += n;
    out->data[out->len] = '\0';
    return n_chars % 4 != 1 && (n_chars + n_padding) % 4 == 0 && n_padding < 3;
}

void base64_encode(struct buf *out, struct slice bytes)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *s = (const unsigned char *)bytes.data;
    size_t len = (bytes.len + 2) / 3 * 4;
    char *room = buf_room(out, len);
    if (!room || !len)
        return;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t v = (uint32_t)s[i] << 16 | (left > 1 ? (uint32_t)s[i + 1] << 8 : 0) |
                     (left > 2 ? (uint32_t)s[i + 2] : 0);
        *room++ = DIGITS[v >> 18];
        *room++ = DIGITS[v >> 12 & 63];
        *room++ = left > 1 ? DIGITS[v >> 6 & 63] : '=';
        *room++ = left > 2 ? DIGITS[v & 63] : '=';
    }
    out->len += len;
    out->data[out->len] = '\0';
}
