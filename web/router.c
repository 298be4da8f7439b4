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

/* True when the shapes agree; the raw parts go to `ret`. */
static bool fits(const char *pattern, struct slice path, struct slice ret[ROUTER_MAX_PARTS])
{
    struct slice rest = slice_str(pattern);
    size_t n = 0;
    while (rest.len && path.len) {
        struct slice want = segment(&rest), have = segment(&path);
        if (want.len && want.data[0] == '{') {
            if (have.len == 0 || n == ROUTER_MAX_PARTS)
                return false;
            ret[n++] = have;
        } else if (!slice_equal(want, have)) {
            return false;
        }
    }
    while (n < ROUTER_MAX_PARTS)
        ret[n++] = slice_of(NULL, 0);
    return rest.len == 0 && path.len == 0;
}

static bool copy_parts(const struct slice raw[ROUTER_MAX_PARTS], struct route_match *ret)
{
    char text[3 * ROUTER_PART_BYTES];
    for (size_t i = 0; i < ROUTER_MAX_PARTS; i++) {
        size_t n;
        if (raw[i].len >= sizeof text || !percent_decode(raw[i], false, text, &n) ||
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
    struct slice raw[ROUTER_MAX_PARTS];
    for (size_t i = 0; i < n; i++) {
        if (!fits(table[i].pattern, path, raw))
            continue;
        found = ROUTE_WRONG_METHOD;
        if (method_fits(&table[i], method)) {
            ret->route = &table[i];
            return copy_parts(raw, ret) ? ROUTE_FOUND : ROUTE_BAD_PATH;
        }
    }
    return found;
}

void router_allow(const struct route *table, size_t n, struct slice path, struct buf *out)
{
    struct slice raw[ROUTER_MAX_PARTS];
    for (size_t i = 0; i < n; i++) {
        if (!fits(table[i].pattern, path, raw))
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
