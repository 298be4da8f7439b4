#include "kernelhub/lease.h"

#include <stdio.h>

#define US_PER_SECOND 1000000

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* INT64_MAX: none. */
static int64_t hard_end(const struct lease *l)
{
    return l->ttl_seconds ? l->begun_us + l->ttl_seconds * US_PER_SECOND : INT64_MAX;
}

static int64_t idle_end(const struct lease *l)
{
    return l->used_us + l->idle_seconds * US_PER_SECOND;
}

enum lease_state lease_check(const struct lease *l, struct lease_hold hold, int64_t now_us,
                             int64_t *ret_next_us)
{
    bool runs = hold.runs_until_us > now_us;
    *ret_next_us = now_us;
    if (now_us >= hard_end(l)) {
        if (!runs)
            return LEASE_OVER;
        *ret_next_us = hold.runs_until_us;
        return LEASE_HELD;
    }
    if (runs || hold.in_use) /* the idle time begins after now */
        *ret_next_us = min(hard_end(l), now_us + l->idle_seconds * US_PER_SECOND);
    else if (now_us >= idle_end(l))
        return LEASE_IDLE;
    else
        *ret_next_us = min(hard_end(l), idle_end(l));
    return LEASE_GOOD;
}

int64_t lease_expires_us(const struct lease *l, struct lease_hold hold, int64_t now_us)
{
    bool held = hold.in_use || hold.runs_until_us > now_us;
    int64_t at = held ? hard_end(l) : min(hard_end(l), idle_end(l));
    return at == INT64_MAX ? 0 : at;
}

void lease_write_seconds(int64_t seconds, char *ret, size_t size)
{
    int64_t hours = seconds / 3600, minutes = seconds % 3600 / 60, rest = seconds % 60;
    if (rest) /* exact, and short enough to read */
        (void)snprintf(ret, size, "%lld s", (long long)seconds);
    else if (hours && minutes)
        (void)snprintf(ret, size, "%lld h %lld min", (long long)hours, (long long)minutes);
    else if (hours)
        (void)snprintf(ret, size, "%lld h", (long long)hours);
    else
        (void)snprintf(ret, size, "%lld min", (long long)minutes);
}

void lease_write_reason(const struct lease *l, enum lease_state state, char *ret, size_t size)
{
    char text[48];
    lease_write_seconds(state == LEASE_IDLE ? l->idle_seconds : l->ttl_seconds, text, sizeof text);
    if (state == LEASE_IDLE)
        (void)snprintf(ret, size, "idle for %s", text);
    else
        (void)snprintf(ret, size, "its lease of %s ended", text);
}
