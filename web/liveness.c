#include "web/liveness.h"

#include <stdio.h>
#include <stdlib.h>

#define DEAD_PINGS    3
#define STALLED_PINGS 30

void liveness_init(struct liveness *l, int64_t ping_ms, int64_t now_ms)
{
    *l = (struct liveness){ .ping_ms = ping_ms, .heard_ms = now_ms, .moved_ms = now_ms };
}

void liveness_heard(struct liveness *l, int64_t now_ms)
{
    l->heard_ms = now_ms;
}

void liveness_sent(struct liveness *l)
{
    l->n_sent++;
}

void liveness_pong(struct liveness *l, struct slice payload)
{
    char text[LIVENESS_PAYLOAD_BYTES] = "";
    if (payload.len == 0 || payload.len >= sizeof text)
        return;
    memcpy(text, payload.data, payload.len);
    uint64_t n = strtoull(text, NULL, 10);
    if (n > l->n_read && n <= l->n_sent)
        l->n_read = n;
}

struct slice liveness_ping(struct liveness *l, int64_t now_ms, char payload[LIVENESS_PAYLOAD_BYTES])
{
    l->pinged_ms = now_ms;
    int n = snprintf(payload, LIVENESS_PAYLOAD_BYTES, "%llu", (unsigned long long)l->n_sent);
    return slice_of(payload, (size_t)n);
}

/* It has unread messages: it may be busy with them. */
static bool is_dead_reader(const struct liveness *l, const struct liveness_view *view,
                           int64_t now_ms)
{
    int64_t sign_ms = l->heard_ms > l->moved_ms ? l->heard_ms : l->moved_ms;
    return now_ms - sign_ms > (view->is_deaf ? DEAD_PINGS : STALLED_PINGS) * l->ping_ms;
}

enum liveness_verdict liveness_tick(struct liveness *l, const struct liveness_view *view,
                                    int64_t now_ms)
{
    bool was_pinged_lately = now_ms - l->pinged_ms < l->ping_ms;
    if (view->is_held) {
        l->heard_ms = now_ms;
        return was_pinged_lately || view->has_waiting ? LIVENESS_FINE : LIVENESS_PING;
    }
    bool was_asked = l->pinged_ms > l->heard_ms;
    bool has_read_all = l->n_read == l->n_sent;
    if (view->n_taken != l->n_taken) {
        l->n_taken = view->n_taken;
        l->moved_ms = now_ms;
    }
    if (has_read_all ? was_asked && now_ms - l->pinged_ms > DEAD_PINGS * l->ping_ms
                     : is_dead_reader(l, view, now_ms))
        return LIVENESS_DEAD;
    bool is_quiet = now_ms - l->heard_ms >= l->ping_ms;
    return is_quiet && !was_asked && !view->has_waiting ? LIVENESS_PING : LIVENESS_FINE;
}
