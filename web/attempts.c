#include "web/attempts.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/slice.h"

struct place {
    struct attempts_address who;
    unsigned n; /* 0: free */
    int64_t since_ms;
};

struct attempts {
    struct place places[ATTEMPTS_PLACES];
};

struct attempts *attempts_new(void)
{
    struct attempts *a = calloc(1, sizeof *a);
    assert(a);
    return a;
}

void attempts_free(struct attempts *a)
{
    free(a);
}

static void set_v4(struct attempts_address *a, const struct in_addr *v4)
{
    memset(a->bytes + 10, 0xff, 2);
    memcpy(a->bytes + 12, v4, 4);
}

/* Who has one IPv6 address has 2^64 of them. */
static void set_v6(struct attempts_address *a, const struct in6_addr *v6)
{
    memcpy(a->bytes, v6, IN6_IS_ADDR_V4MAPPED(v6) ? 16 : 8);
}

static bool read_address(struct slice text, struct attempts_address *ret)
{
    char copy[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, &v4) == 1)
        set_v4(ret, &v4);
    else if (inet_pton(AF_INET6, copy, &v6) == 1)
        set_v6(ret, &v6);
    else
        return false;
    return true;
}

static bool read_last(const char *list, struct attempts_address *ret)
{
    const char *comma = strrchr(list, ',');
    return read_address(slice_trim(slice_str(comma ? comma + 1 : list)), ret);
}

struct attempts_address attempts_of(const struct sockaddr *peer, const char *forwarded_for)
{
    struct attempts_address a = { .bytes = { 0 } };
    if (forwarded_for && read_last(forwarded_for, &a))
        return a;
    if (peer->sa_family == AF_INET)
        set_v4(&a, &((const struct sockaddr_in *)peer)->sin_addr);
    else if (peer->sa_family == AF_INET6)
        set_v6(&a, &((const struct sockaddr_in6 *)peer)->sin6_addr);
    return a;
}

static bool is_of(const struct place *p, const struct attempts_address *who, int64_t now_ms)
{
    return p->n && now_ms - p->since_ms < ATTEMPTS_MS && memcmp(&p->who, who, sizeof *who) == 0;
}

int64_t attempts_wait_ms(const struct attempts *a, const struct attempts_address *who,
                         int64_t now_ms)
{
    for (size_t i = 0; i < ATTEMPTS_PLACES; i++)
        if (is_of(&a->places[i], who, now_ms))
            return a->places[i].n < ATTEMPTS_MAX ? 0 : a->places[i].since_ms + ATTEMPTS_MS - now_ms;
    return 0;
}

bool attempts_count(struct attempts *a, const struct attempts_address *who, int64_t now_ms)
{
    struct place *p = &a->places[0];
    for (size_t i = 0; i < ATTEMPTS_PLACES; i++) {
        struct place *other = &a->places[i];
        if (is_of(other, who, now_ms))
            return ++other->n == ATTEMPTS_MAX;
        if (p->n && (!other->n || other->since_ms < p->since_ms))
            p = other;
    }
    *p = (struct place){ .who = *who, .n = 1, .since_ms = now_ms };
    return p->n == ATTEMPTS_MAX;
}
