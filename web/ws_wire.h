/* ws_wire.h - one WebSocket's bytes (RFC 6455, the server's side): what came in becomes messages, messages become what
 * goes out. No socket, no clock; the only file that speaks to wslay. */
#ifndef WEB_WS_WIRE_H
#define WEB_WS_WIRE_H

#include <stdint.h>

#include "base/slice.h"

enum ws_close {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_PROTOCOL = 1002,
    WS_CLOSE_UNSUPPORTED = 1003,
    WS_CLOSE_BAD_TEXT = 1007,
    WS_CLOSE_POLICY = 1008,
    WS_CLOSE_TOO_BIG = 1009,
    WS_CLOSE_INTERNAL = 1011,
    WS_CLOSE_RESTART = 1012,
};

/* What is told of what came in, from inside ws_wire_take. Any verb but ws_wire_free may be called. */
struct ws_wire_events {
    void (*on_text)(void *arg, struct slice text); /* valid UTF-8, valid during the call */
    void (*on_binary)(void *arg, struct slice bytes); /* NULL: such a message closes with 1003 */
    void (*on_pong)(void *arg, struct slice payload);
    bool any_kind; /* text is as good as binary, and not checked: all messages come by on_binary */
};

struct ws_wire;

/* A message above max_bytes closes with 1009, broken UTF-8 with 1007, broken framing with 1002. */
struct ws_wire *ws_wire_new(size_t max_bytes, const struct ws_wire_events *events, void *arg);
void ws_wire_free(struct ws_wire *w); /* NULL is fine */

/* Bytes from the client, cut anywhere. What comes after its close, or after ours, is dropped. */
void ws_wire_take(struct ws_wire *w, struct slice bytes);

/* Nothing happens once a close is on its way. */
void ws_wire_text(struct ws_wire *w, struct slice text); /* copies */
void ws_wire_give(struct ws_wire *w, bool is_binary, char *data, size_t len); /* frees data, which came from malloc */
void ws_wire_ping(struct ws_wire *w, struct slice payload); /* at most 125 bytes */
/* Takes no more messages either way. `reason` (at most 123 bytes) is for people. Does nothing when one is under way. */
void ws_wire_close(struct ws_wire *w, enum ws_close code, const char *reason);

/* What to send now, at most 256 KiB of what waits; empty: nothing waits. ws_wire_sent takes n bytes of it off. */
struct slice ws_wire_out(struct ws_wire *w);
void ws_wire_sent(struct ws_wire *w, size_t n);

/* Less than 64 KiB and 256 messages wait to be sent. */
bool ws_wire_has_room(const struct ws_wire *w);
bool ws_wire_is_empty(const struct ws_wire *w); /* nothing waits: a close frame overtakes what does */
bool ws_wire_is_closing(const struct ws_wire *w); /* either side has begun to close, or broke the rules */

#endif
