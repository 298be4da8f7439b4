/* ws_handshake.h - how a WebSocket begins (RFC 6455, 4.2): what a client's head has to say, and what ours says. */
#ifndef WEB_WS_HANDSHAKE_H
#define WEB_WS_HANDSHAKE_H

#include "base/err.h"

#define WS_ACCEPT_CHARS 28

/* Header fields; NULL: not there. */
struct ws_handshake {
    const char *upgrade, *connection, *version, *key;
    bool is_http_1_1;
};

enum ws_handshake_result {
    WS_HANDSHAKE_OK,
    WS_HANDSHAKE_BAD,     /* 400 */
    WS_HANDSHAKE_UPGRADE, /* 426: no WebSocket is asked for */
    WS_HANDSHAKE_VERSION, /* 426: one of a version that we do not speak */
};

/* Sets e (ERR_INVALID) unless the result is OK. */
enum ws_handshake_result ws_handshake_check(const struct ws_handshake *h, struct err *e)
    __attribute__((warn_unused_result));

/* The value of Sec-WebSocket-Accept for a key that was checked. */
void ws_handshake_accept(const char *key, char ret[WS_ACCEPT_CHARS + 1]);

/* Whether `list` ("a, b") names `token`, in any case. */
bool ws_handshake_names(const char *list, const char *token);

/* Whether a page of `origin` may open a WebSocket: none (no browser), the page's host is `host`, or it stands in `allowed`,
 * origins separated by blanks or commas. */
bool ws_handshake_origin_allowed(const char *origin, const char *host, const char *allowed);

#endif
