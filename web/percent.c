#include "web/percent.h"

#include "base/json_chars.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool utf8_valid(struct slice text)
{
    const unsigned char *s = (const unsigned char *)text.data;
    for (size_t i = 0; i < text.len;) {
        size_t n = json_chars_utf8(s + i, s + text.len);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

bool percent_decode(struct slice raw, bool plus_is_space, char *ret, size_t *ret_len)
{
    size_t n = 0;
    for (size_t i = 0; i < raw.len; i++) {
        unsigned char c = (unsigned char)raw.data[i];
        if (c == '%') {
            int high = i + 1 < raw.len ? hex_value(raw.data[i + 1]) : -1;
            int low = i + 2 < raw.len ? hex_value(raw.data[i + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0))
                return false;
            c = (unsigned char)(high << 4 | low);
            i += 2;
        } else if (c < 0x20 || c == 0x7f) {
            return false;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        ret[n++] = (char)c;
    }
    ret[n] = '\0';
    *ret_len = n;
    return utf8_valid(slice_of(ret, n));
}
