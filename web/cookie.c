#include "web/cookie.h"

/* Takes what stands before `at`, and `at`, off the front; all of it when there is none. */
static struct slice cut(struct slice *rest, char at)
{
    const char *found = rest->len ? memchr(rest->data, at, rest->len) : NULL;
    size_t n = found ? (size_t)(found - rest->data) : rest->len, used = found ? n + 1 : n;
    struct slice head = slice_of(rest->data, n);
    *rest = slice_of(rest->data + used, rest->len - used);
    return head;
}

struct slice cookie_find(struct slice header)
{
    while (header.len) {
        struct slice value = cut(&header, ';');
        struct slice name = cut(&value, '=');
        if (slice_is(slice_trim(name), COOKIE_NAME))
            return slice_trim(value);
    }
    return slice_of(NULL, 0);
}

void cookie_write(struct buf *out, const char *value, struct slice base, bool is_https,
                  int64_t seconds)
{
    buf_addf(out, COOKIE_NAME "=%s; Path=", value);
    buf_add_slice(out, base.len ? base : SLICE_LITERAL("/"));
    buf_addf(out, "; Max-Age=%lld; HttpOnly; SameSite=Lax%s", (long long)seconds,
             is_https ? "; Secure" : "");
}
