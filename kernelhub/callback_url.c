#include "kernelhub/callback_url.h"

#include <ctype.h>
#include <stdlib.h>

#include "protocol/errand.h"

static int wrong(struct err *e, const char *why)
{
    return err_set(e, ERR_INVALID, "callback_url %s", why);
}

static bool is_name(struct slice host)
{
    for (size_t i = 0; i < host.len; i++)
        if (!isalnum((unsigned char)host.data[i]) && !strchr(".-_", host.data[i]))
            return false;
    return host.len > 0 && host.len <= 253;
}

/* "" or ":8080". */
static bool is_port(struct slice text)
{
    unsigned n = 0;
    if (text.len == 0)
        return true;
    if (text.data[0] != ':' || text.len < 2 || text.len > 6)
        return false;
    for (size_t i = 1; i < text.len; i++) {
        if (!isdigit((unsigned char)text.data[i]))
            return false;
        n = 10 * n + (unsigned)(text.data[i] - '0');
    }
    return n >= 1 && n <= 65535;
}

static struct slice authority_of(struct slice url)
{
    const char *at = memmem(url.data, url.len, "://", 3);
    struct slice rest = slice_of(at + 3, url.len - (size_t)(at + 3 - url.data));
    size_t n = 0;
    while (n < rest.len && !strchr("/?#", rest.data[n]))
        n++;
    return slice_of(rest.data, n);
}

/* Cuts host and port; *ret_is_v6: the host stood in brackets. */
static bool cut(struct slice authority, struct slice *ret_host, bool *ret_is_v6)
{
    *ret_is_v6 = authority.len && authority.data[0] == '[';
    const char *end =
        authority.len ? memchr(authority.data, *ret_is_v6 ? ']' : ':', authority.len) : NULL;
    if (*ret_is_v6 && !end)
        return false;
    size_t n = end ? (size_t)(end - authority.data) : authority.len;
    *ret_host = *ret_is_v6 ? slice_of(authority.data + 1, n - 1) : slice_of(authority.data, n);
    n += *ret_is_v6;
    return is_port(slice_of(authority.data + n, authority.len - n));
}

int callback_url_check(struct slice url, const struct network_policy *policy, struct err *e)
{
    struct network_address address;
    struct slice host;
    bool is_v6;
    if (!errand_url_is_plain(url))
        return err_set(e, ERR_INVALID,
                       "callback_url has to be an http:// or https:// URL of printable ASCII, %d "
                       "characters at most",
                       ERRAND_MAX_URL);
    struct slice authority = authority_of(url);
    if (authority.len && memchr(authority.data, '@', authority.len))
        return wrong(e, "must hold no user name and no password: check the signature instead");
    if (memchr(url.data, '#', url.len))
        return wrong(e, "must have no fragment");
    if (!cut(authority, &host, &is_v6))
        return wrong(e, "has a host or a port that makes no sense");
    bool is_address = network_address_parse(host, &address);
    if (is_v6 ? !is_address : !is_address && !is_name(host))
        return wrong(e, "has a host that makes no sense");
    const char *refused = is_address ? network_policy_refuses(policy, &address) : NULL;
    if (refused)
        return err_policy(e, "courier/allow",
                          "callback_url has an address that is %s: not called (courier/allow "
                          "names those that are)",
                          refused);
    return 0;
}

struct slice callback_url_shown(struct slice url)
{
    const char *query = url.len ? memchr(url.data, '?', url.len) : NULL;
    return query ? slice_of(url.data, (size_t)(query - url.data)) : url;
}
