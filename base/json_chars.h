/* json_chars.h - the characters of JSON's strings, for the scanner's innermost loop; the sequences of UTF-8 for whoever reads some. */
#ifndef BASE_JSON_CHARS_H
#define BASE_JSON_CHARS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Past the bytes that mean nothing in a string (ASCII from the blank on, but quote and backslash), as far as they come in whole
 * vectors: what is signed and below the blank is a control character or no ASCII. */
static inline const unsigned char *json_chars_plain(const unsigned char *at,
                                                    const unsigned char *end)
{
    typedef signed char vector __attribute__((vector_size(16)));
    while (end - at >= (ptrdiff_t)sizeof(vector)) {
        vector v;
        uint64_t found[2];
        memcpy(&v, at, sizeof v);
        v = (v < 0x20) | (v == '"') | (v == '\\');
        memcpy(found, &v, sizeof found);
        if (found[0] | found[1])
            break;
        at += sizeof v;
    }
    return at;
}

/* Length of the UTF-8 sequence at s (Unicode table 3-7), 0 when it is not one. */
static inline size_t json_chars_utf8(const unsigned char *s, const unsigned char *end)
{
    size_t left = (size_t)(end - s);
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        return left >= 2 && (s[1] & 0xc0) == 0x80 ? 2 : 0;
    if (s[0] >= 0xe0 && s[0] <= 0xef) {
        unsigned char low = s[0] == 0xe0 ? 0xa0 : 0x80, high = s[0] == 0xed ? 0x9f : 0xbf;
        return left >= 3 && s[1] >= low && s[1] <= high && (s[2] & 0xc0) == 0x80 ? 3 : 0;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        unsigned char low = s[0] == 0xf0 ? 0x90 : 0x80, high = s[0] == 0xf4 ? 0x8f : 0xbf;
        return left >= 4 && s[1] >= low && s[1] <= high && (s[2] & 0xc0) == 0x80 &&
                       (s[3] & 0xc0) == 0x80
                   ? 4
                   : 0;
    }
    return 0;
}

#endif
