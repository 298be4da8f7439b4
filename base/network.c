#include "base/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

#define V4_BITS 96 /* before the IPv4 address */

/* The first one that fits says what it is; NULL: public. Behind ::ffff: are the IPv4 ones. */
static const struct {
    const char *network, *name;
} SPECIAL[] = {
    { "0.0.0.0/8", "this network" },
    { "10.0.0.0/8", "private" },
    { "100.64.0.0/10", "shared by carriers" },
    { "127.0.0.0/8", "loopback" },
    { "168.63.129.16/32", "of a cloud's own" },
    { "169.254.0.0/16", "link-local" },
    { "172.16.0.0/12", "private" },
    { "192.0.0.0/24", "for protocols" },
    { "192.0.2.0/24", "for documentation" },
    { "192.88.99.0/24", "a 6to4 relay" },
    { "192.168.0.0/16", "private" },
    { "198.18.0.0/15", "for benchmarks" },
    { "198.51.100.0/24", "for documentation" },
    { "203.0.113.0/24", "for documentation" },
    { "224.0.0.0/4", "multicast" },
    { "240.0.0.0/4", "reserved" },
    { "0.0.0.0/0", NULL },
    { "::/128", "unspecified" },
    { "::1/128", "loopback" },
    { "::/96", "an embedded IPv4 address" },
    { "::ffff:0:0:0/96", "an embedded IPv4 address" },
    { "64:ff9b::/96", "an embedded IPv4 address" },
    { "64:ff9b:1::/48", "an embedded IPv4 address" },
    { "2001::/32", "an embedded IPv4 address" },
    { "2001::/23", "for protocols" },
    { "2001:db8::/32", "for documentation" },
    { "2002::/16", "an embedded IPv4 address" },
    { "3ffe::/16", "reserved" },
    { "3fff::/20", "for documentation" },
    { "2000::/3", NULL },
    { "fc00::/7", "private" },
    { "fe80::/10", "link-local" },
    { "fec0::/10", "site-local" },
    { "ff00::/8", "multicast" },
    { "::/0", "reserved" },
};

static void set_v4(struct network_address *ret, const void *four)
{
    static const unsigned char PREFIX[12] = { [10] = 0xff, [11] = 0xff };
    memcpy(ret->byte, PREFIX, sizeof PREFIX);
    memcpy(ret->byte + sizeof PREFIX, four, 4);
}

bool network_address_of(const struct sockaddr *from, struct network_address *ret)
{
    if (from->sa_family == AF_INET) {
        set_v4(ret, &((const struct sockaddr_in *)from)->sin_addr);
        return true;
    }
    if (from->sa_family != AF_INET6)
        return false;
    memcpy(ret->byte, &((const struct sockaddr_in6 *)from)->sin6_addr, sizeof ret->byte);
    return true;
}

static bool parse(struct slice text, struct network_address *ret, bool *ret_is_v4)
{
    char copy[INET6_ADDRSTRLEN];
    unsigned char four[4];
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.data, '\0', text.len))
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    *ret_is_v4 = inet_pton(AF_INET, copy, four) == 1;
    if (*ret_is_v4)
        set_v4(ret, four);
    return *ret_is_v4 || inet_pton(AF_INET6, copy, ret->byte) == 1;
}

bool network_address_parse(struct slice text, struct network_address *ret)
{
    bool is_v4;
    return parse(text, ret, &is_v4);
}

static bool parse_bits(struct slice text, unsigned max, unsigned *ret)
{
    unsigned n = 0;
    if (text.len == 0 || text.len > 3)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        n = 10 * n + (unsigned)(text.data[i] - '0');
    }
    *ret = n;
    return n <= max;
}

static bool bit(const struct network_address *a, unsigned i)
{
    return a->byte[i / 8] >> (7 - i % 8) & 1;
}

bool network_parse(struct slice text, struct network *ret)
{
    const char *slash = text.len ? memchr(text.data, '/', text.len) : NULL;
    size_t n = slash ? (size_t)(slash - text.data) : text.len;
    bool is_v4;
    if (!parse(slice_of(text.data, n), &ret->address, &is_v4))
        return false;
    unsigned max = is_v4 ? 128 - V4_BITS : 128, bits = max;
    if (slash && !parse_bits(slice_of(slash + 1, text.len - n - 1), max, &bits))
        return false;
    ret->bits = bits + 128 - max;
    for (unsigned i = ret->bits; i < 128; i++)
        if (bit(&ret->address, i))
            return false;
    return true;
}

bool network_contains(const struct network *n, const struct network_address *a)
{
    for (unsigned i = 0; i < n->bits; i++)
        if (bit(&n->address, i) != bit(a, i))
            return false;
    return true;
}

const char *network_special(const struct network_address *a)
{
    for (size_t i = 0; i < ARRAY_LEN(SPECIAL); i++) {
        struct network n;
        if (network_parse(slice_str(SPECIAL[i].network), &n) && network_contains(&n, a))
            return SPECIAL[i].name;
    }
    return "reserved"; /* the last line fits all */
}

static int add_allowed(struct network_policy *p, struct slice text, struct err *e)
{
    if (p->n_allowed == NETWORK_MAX_ALLOWED)
        return err_set(e, ERR_INVALID, "more than %d networks", NETWORK_MAX_ALLOWED);
    if (!network_parse(text, &p->allowed[p->n_allowed]))
        return err_set(e, ERR_INVALID,
                       "'%.*s' is no network; write 10.1.2.0/24 or fd00::/8, with no bits set "
                       "behind the prefix",
                       text.len < 60 ? (int)text.len : 60, text.data);
    p->n_allowed++;
    return 0;
}

int network_policy_parse(struct network_policy *ret, const char *list, bool allow_all,
                         struct err *e)
{
    *ret = (struct network_policy){ .allow_all = allow_all };
    for (const char *at = list + strspn(list, ", "); *at; at += strspn(at, ", ")) {
        size_t n = strcspn(at, ", ");
        if (add_allowed(ret, slice_of(at, n), e) < 0)
            return -1;
        at += n;
    }
    return 0;
}

const char *network_policy_refuses(const struct network_policy *p, const struct network_address *a)
{
    const char *special = p->allow_all ? NULL : network_special(a);
    for (size_t i = 0; special && i < p->n_allowed; i++)
        if (network_contains(&p->allowed[i], a))
            special = NULL;
    return special;
}
