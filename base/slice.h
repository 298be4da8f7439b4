/* slice.h - some bytes that belong to somebody else. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *data; /* not NUL-terminated; may be NULL when len is 0 */
    size_t len;
};

#define SLICE_LITERAL(s) ((struct slice){ .data = (s), .len = sizeof(s) - 1 })

static inline struct slice slice_of(const void *data, size_t len)
{
    return (struct slice){ .data = data, .len = len };
}

static inline struct slice slice_str(const char *s)
{
    return (struct slice){ .data = s, .len = s ? strlen(s) : 0 };
}

static inline bool slice_is(struct slice s, const char *text)
{
    size_t len = strlen(text);
    return s.len == len && (len == 0 || memcmp(s.data, text, len) == 0);
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Without the blanks and tabs around it. */
static inline struct slice slice_trim(struct slice s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t'))
        s = slice_of(s.data + 1, s.len - 1);
    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
        s.len--;
    return s;
}

#endif
