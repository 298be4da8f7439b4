#include "web/percent.h"

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

static bool is_tail(const unsigned char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return false;
    return true;
}

/* Length of the sequence at s, 0 when it is none. */
static size_t sequence(const unsigned char *s, size_t left)
{
    size_t n = s[0] < 0x80   ? 1
               : s[0] < 0xc2 ? 0
               : s[0] < 0xe0 ? 2
               : s[0] < 0xf0 ? 3
               : s[0] < 0xf5 ? 4
                             : 0;
    if (n == 0 || n > left || !is_tail(s + 1, n - 1))
        return 0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool surrogate = s[0] == 0xed && s[1] > 0x9f;
    bool beyond = s[0] == 0xf4 && s[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : n;
}

bool utf8_valid(struct slice text)
{
    const unsigned char *s = (const unsigned char *)text.data;
    for (size_t i = 0; i < text.len;) {
        size_t n = sequence(s + i, text.len - i);
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
