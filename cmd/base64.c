#include "cmd/base64.h"

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

    for (size_t i = 0; i < text.len; i++) {
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
            if (++n_chars % 4 != 1)
                buf_add_char(out, (char)(bits >> (2 * ((4 - n_chars % 4) % 4))));
        }
    }
    return n_chars % 4 != 1 && (n_chars + n_padding) % 4 == 0 && n_padding < 3 && !out->failed;
}
