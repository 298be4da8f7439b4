#include "web/origin.h"

#include <arpa/inet.h>
#include <strings.h>

#include "base/cleanup.h"

#define MAX_PATH_BYTES 2048

bool origin_is_loopback(const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (strcasecmp(address, "localhost") == 0 || strcmp(address, "[::1]") == 0)
        return true;
    if (inet_pton(AF_INET, address, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool is_port(struct slice s)
{
    if (s.len > 5)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
    return true;
}

/* "name:port", "name", "[v6]:port": the name, empty when it is none of them. */
static struct slice name_of(const char *host)
{
    size_t len = strlen(host);
    const char *end = host[0] == '[' ? memchr(host, ']', len) : NULL;
    if (host[0] == '[' && !end)
        return slice_of(NULL, 0);
    const char *colon = strchr(end ? end : host, ':');
    size_t n = colon ? (size_t)(colon - host) : len;
    if ((end && host + n != end + 1) || (colon && !is_port(slice_str(colon + 1))))
        return slice_of(NULL, 0);
    return slice_of(host, n);
}

static bool same(struct slice name, const char *text)
{
    return name.len == strlen(text) && strncasecmp(name.data, text, name.len) == 0;
}

bool origin_host_allowed(const char *host, const char *address)
{
    static const char *const OURS[] = { "localhost", "127.0.0.1", "[::1]" };
    struct slice name = name_of(host);
    if (name.len == 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(OURS); i++)
        if (same(name, OURS[i]))
            return true;
    if (strchr(address, ':') &&
        address[0] != '[') /* a bare IPv6 address stands in brackets in a Host */
        return name.len > 2 && same(slice_of(name.data + 1, name.len - 2), address);
    return same(name, address);
}

bool origin_is_own(const char *origin, const char *host)
{
    const char *after = strstr(origin, "://");
    if (!after || !host)
        return false;
    bool http = strncasecmp(origin, "http://", 7) == 0,
         https = strncasecmp(origin, "https://", 8) == 0;
    return (http || https) && strcasecmp(after + 3, host) == 0;
}

/* Two dots in a row, in either spelling: more than is needed, so that nobody has to know what a browser makes of them. */
static bool climbs(const char *path)
{
    size_t n = strcspn(path, "?#"), dots = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_escaped = strncasecmp(path + i, "%2e", 3) == 0;
        dots = path[i] == '.' || is_escaped ? dots + 1 : 0;
        if (dots == 2)
            return true;
        i += is_escaped ? 2 : 0;
    }
    return false;
}

bool origin_path_is_own(const char *path, struct slice base)
{
    static const char URI[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                              "-._~!$&'()*+,;=:@/?%#";
    size_t n = strlen(path);
    if (n > MAX_PATH_BYTES || strspn(path, URI) != n || n < base.len ||
        (base.len && memcmp(path, base.data, base.len) != 0))
        return false;
    return path[base.len] == '/' && path[0] == '/' && path[1] != '/' && !climbs(path);
}
