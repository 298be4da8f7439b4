#include "web/token.h"

#include <strings.h>

#include "base/cleanup.h"

/* A token is one word of printable ASCII. */
struct slice token_of_text(struct slice s)
{
    s = slice_trim(s);
    if (s.len > TOKEN_MAX_BYTES)
        return slice_of(NULL, 0);
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] <= 0x20 || s.data[i] >= 0x7f)
            return slice_of(NULL, 0);
    return s;
}

struct slice token_of_authorization(struct slice header)
{
    static const char *const SCHEMES[] = { "Bearer", "token", "ApiKey" };
    header = slice_trim(header);
    for (size_t i = 0; i < ARRAY_LEN(SCHEMES); i++) {
        size_t n = strlen(SCHEMES[i]);
        if (header.len > n && strncasecmp(header.data, SCHEMES[i], n) == 0 &&
            (header.data[n] == ' ' || header.data[n] == '\t'))
            return token_of_text(slice_of(header.data + n, header.len - n));
    }
    return slice_of(NULL, 0);
}

struct slice token_of_path(struct slice *path)
{
    if (path->len < 4 || memcmp(path->data, "/t/", 3) != 0)
        return slice_of(NULL, 0);
    const char *token = path->data + 3, *end = path->data + path->len;
    const char *slash = memchr(token, '/', (size_t)(end - token));
    if (!slash)
        slash = end;
    *path = slash == end ? SLICE_LITERAL("/") : slice_of(slash, (size_t)(end - slash));
    return token_of_text(slice_of(token, (size_t)(slash - token)));
}

struct token token_find(const char *authorization, const char *api_key, const char *query,
                        struct slice of_path, struct slice of_cookie)
{
    struct token found = { .source = TOKEN_HEADER,
                           .text = token_of_authorization(slice_str(authorization)) };
    if (found.text.len)
        return found;
    found.text = token_of_text(slice_str(api_key));
    if (found.text.len)
        return found;
    found = (struct token){ .source = TOKEN_QUERY, .text = token_of_text(slice_str(query)) };
    if (found.text.len)
        return found;
    if (of_path.len)
        return (struct token){ .source = TOKEN_PATH, .text = of_path };
    found = (struct token){ .source = TOKEN_COOKIE, .text = token_of_text(of_cookie) };
    if (found.text.len)
        return found;
    return (struct token){ .source = TOKEN_NONE };
}
