/* network.h - addresses and networks: which address belongs to whom, and which may be called by a stranger's wish. Pure.
 *
 * An address is 16 bytes of IPv6; IPv4 stands in ::ffff:0:0/96. */
#ifndef BASE_NETWORK_H
#define BASE_NETWORK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/slice.h"

#define NETWORK_MAX_ALLOWED 32

struct sockaddr;

struct network_address {
    unsigned char byte[16];
};

struct network {
    struct network_address address;
    unsigned bits; /* of the 128 that count */
};

bool network_address_of(const struct sockaddr *from, struct network_address *ret); /* false: neither IPv4 nor IPv6 */
/* "10.0.0.1", "fe80::1": nothing around it, no zone, no short or octal form. */
bool network_address_parse(struct slice text, struct network_address *ret);
/* "10.0.0.0/8", "::1/128", or an address alone. False also when bits behind the prefix are set. */
bool network_parse(struct slice text, struct network *ret);
bool network_contains(const struct network *n, const struct network_address *a);

/* What an address that is not of the public internet is for: "loopback", "private", "link-local" …; NULL: it is public.
 * Source: IANA's registries of special-purpose addresses; of IPv6 only 2000::/3 is public, and no form that has an IPv4
 * address in it. */
const char *network_special(const struct network_address *a);

/* Which addresses may be called. */
struct network_policy {
    bool allow_all; /* special ones too */
    struct network allowed[NETWORK_MAX_ALLOWED];
    size_t n_allowed;
};

/* `list`: networks with commas between them, spaces allowed; "" for none. */
int network_policy_parse(struct network_policy *ret, const char *list, bool allow_all, struct err *e);
/* NULL: it may be called. Else why not, as network_special says it. */
const char *network_policy_refuses(const struct network_policy *p, const struct network_address *a);

#endif
