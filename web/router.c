#include "web/router.h"

#include "web/percent.h"

/* Takes the next "/segment" off. */
static struct slice segment(struct slice *rest)
{
    if (rest->len == 0 || rest->data[0] != '/')
        return slice_of(NULL, 0);
    const char *start = rest->data + 1, *end = rest->data + rest->len;
    const char *slash = start < end ? memchr(start, '/', (size_t)(end - start)) : NULL;
    if (!slash)
        slash = end;
    *rest = slice_of(slash, (size_t)(end - slash));
    return slice_of(start, (size_t)(slash - start));
}

struct raw_parts {
    struct slice part[ROUTER_MAX_PARTS];
    size_t n;
    struct slice rest;
};

static size_t count_segments(struct slice pattern)
{
    size_t n = 0;
    for (size_t i = 0; i < pattern.len; i++)
        n += pattern.data[i] == '/';
    return n;
}

/* Cuts off as many bytes of `path` as leave n segments. False when it has fewer. */
static bool take_rest(struct slice *path, size_t n, struct slice *ret)
{
    size_t at = path->len;
    for (; n > 0 && at > 0; n--)
        do
            at--;
        while (at > 0 && path->data[at] != '/');
    if (n > 0)
        return false;
    *ret = at > 0 ? slice_of(path->data + 1, at - 1) : slice_of(NULL, 0);
    *path = slice_of(path->data + at, path->len - at);
    return true;
}

static bool is_rest(struct slice want)
{
    return want.len > 5 && memcmp(want.data + want.len - 4, "...}", 4) == 0;
}

/* True when the shapes agree; the raw parts go to `ret`. */
static bool fits(const char *pattern, struct slice path, struct raw_parts *ret)
{
    struct slice rest = slice_str(pattern);
    *ret = (struct raw_parts){ .n = 0 };
    while (rest.len) {
        struct slice want = segment(&rest);
        if (want.len && want.data[0] == '{' && is_rest(want)) {
            if (!take_rest(&path, count_segments(rest), &ret->rest))
                return false;
            continue;
        }
        if (!path.len)
            return false;
        struct slice have = segment(&path);
        if (want.len && want.data[0] == '{') {
            if (have.len == 0 || ret->n == ROUTER_MAX_PARTS)
                return false;
            ret->part[ret->n++] = have;
        } else if (!slice_equal(want, have)) {
            return false;
        }
    }
    return path.len == 0;
}

static bool copy_parts(const struct raw_parts *raw, struct route_match *ret)
{
    char text[3 * ROUTER_PART_BYTES];
    ret->rest = raw->rest;
    for (size_t i = 0; i < ROUTER_MAX_PARTS; i++) {
        size_t n;
        if (raw->part[i].len >= sizeof text || !percent_decode(raw->part[i], false, text, &n) ||
            n >= ROUTER_PART_BYTES)
            return false;
        memcpy(ret->part[i], text, n + 1);
    }
    return true;
}

static bool method_fits(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0 &&
            !(route->flags & ROUTE_UPGRADE));
}

enum route_found router_find(const struct route *table, size_t n, const char *method,
                             struct slice path, struct route_match *ret)
{
    enum route_found found = ROUTE_NOT_FOUND;
    struct raw_parts raw;
    for (size_t i = 0; i < n; i++) {
        if (!fits(table[i].pattern, path, &raw))
            continue;
        found = ROUTE_WRONG_METHOD;
        if (method_fits(&table[i], method)) {
            ret->route = &table[i];
            return copy_parts(&raw, ret) ? ROUTE_FOUND : ROUTE_BAD_PATH;
        }
    }
    return found;
}

/* Two patterns may fit one path. */
static bool is_said(const struct route *table, size_t i, struct slice path)
{
    struct raw_parts raw;
    for (size_t k = 0; k < i; k++)
        if (strcmp(table[k].method, table[i].method) == 0 && fits(table[k].pattern, path, &raw))
            return true;
    return false;
}

void router_allow(const struct route *table, size_t n, struct slice path, struct buf *out)
{
    struct raw_parts raw;
    for (size_t i = 0; i < n; i++) {
        if (!fits(table[i].pattern, path, &raw) || is_said(table, i, path))
            continue;
        if (out->len)
            buf_add_str(out, ", ");
        buf_add_str(out, table[i].method);
        if (strcmp(table[i].method, "GET") == 0 && !(table[i].flags & ROUTE_UPGRADE))
            buf_add_str(out, ", HEAD");
    }
    if (out->len)
        buf_add_str(out, ", OPTIONS");
}
