#include "protocol/text_excerpt.h"

static bool is_inside(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

size_t text_chars(struct slice text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += !is_inside(text.data[i]);
    return n;
}

size_t text_head(struct slice text, size_t max_chars)
{
    size_t end = 0;
    while (end < text.len && (max_chars > 0 || is_inside(text.data[end])))
        max_chars -= !is_inside(text.data[end++]);
    if (end == text.len)
        return end;
    const char *newline = end ? memrchr(text.data, '\n', end) : NULL;
    size_t line = newline ? (size_t)(newline - text.data) + 1 : 0;
    return line > end / 2 ? line : end;
}

size_t text_tail(struct slice text, size_t max_chars)
{
    size_t begin = text.len;
    while (begin > 0 && max_chars > 0)
        max_chars -= !is_inside(text.data[--begin]);
    while (begin < text.len &&
           is_inside(text.data[begin])) /* of a character without its beginning */
        begin++;
    if (begin == 0 || begin == text.len || text.data[begin - 1] == '\n')
        return begin;
    const char *newline = memchr(text.data + begin, '\n', text.len - begin);
    size_t line = newline ? (size_t)(newline - text.data) + 1 : text.len;
    return line - begin < (text.len - begin) / 2 ? line : begin;
}
