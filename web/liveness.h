/* liveness.h - whether a WebSocket's client is still there, though it says nothing. No socket, no clock of its own. */
#ifndef WEB_LIVENESS_H
#define WEB_LIVENESS_H

#include <stdint.h>

#include "base/slice.h"

#define LIVENESS_PAYLOAD_BYTES 24

/* A ping carries how many messages went before it, so its pong says that the client has read them all. A client that had read
 * everything and does not answer a ping is dead after three times ping_ms. One that had not may only be slow, and stays; unless
 * its TCP does not answer either, or nothing at all moved for thirty times ping_ms. */
struct liveness {
    int64_t ping_ms;
    int64_t heard_ms;  /* bytes came from it */
    int64_t pinged_ms;
    int64_t moved_ms;  /* its TCP took bytes of ours */
    uint64_t n_taken;  /* so many, as of then */
    uint64_t n_sent, n_read; /* messages: sent, and surely read */
};

void liveness_init(struct liveness *l, int64_t ping_ms, int64_t now_ms);
void liveness_heard(struct liveness *l, int64_t now_ms);
void liveness_sent(struct liveness *l); /* one message more */
void liveness_pong(struct liveness *l, struct slice payload);

/* What can be seen of its socket. */
struct liveness_view {
    uint64_t n_taken;  /* bytes of ours that its TCP has acknowledged */
    bool is_deaf;      /* its TCP leaves ours without an answer */
    bool has_waiting;  /* bytes wait here to be sent */
    bool is_held;      /* it is not read for now: its pong may wait behind what it said. A ping still shows whose socket is gone */
};

enum liveness_verdict { LIVENESS_FINE, LIVENESS_PING, LIVENESS_DEAD };

/* Asked every few seconds. PING: send one now, with what liveness_ping writes. */
enum liveness_verdict liveness_tick(struct liveness *l, const struct liveness_view *view, int64_t now_ms);
struct slice liveness_ping(struct liveness *l, int64_t now_ms, char payload[LIVENESS_PAYLOAD_BYTES]);

#endif
